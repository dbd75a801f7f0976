"""Build viewer.html from its sources: `python logtracer_extras/viewer/build_page.py [--check]`.

The page that is shipped is one file, so that it opens in a browser as it is. It is made of
source/page.html, in which a line such as `/* build: core */` stands for the files named below, one
after the other in this order. Edit the sources, not viewer.html: a test compares the two.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE / "viewer.html"
SOURCE = HERE / "source"

# What each mark stands for. All scripts share one scope; a class stands before one that extends it.
CORE = """
    text model builder tree layout analysis pairing differences
    messages conversation markdown query search measure
"""
UI = """
    document details list colours timeline pointer overview tree_view log table flame
    detail texts values messages marks media markdown conversation tooltip
    live differences comparison search_box totals app copying keys splitters opening start
"""
PARTS = {
    "style": ["style.css"],
    "boot": ["boot.js"],
    "core": [f"core/{name}.js" for name in CORE.split()],
    "ui": [f"ui/{name}.js" for name in UI.split()],
}
_MARK = re.compile(r"/\* build: (\w+) \*/\n")


def build() -> str:
    """Return the page that the sources make."""
    return _MARK.sub(lambda mark: "\n".join(map(_read, PARTS[mark[1]])), _read("page.html"))


def _read(name: str) -> str:
    return (SOURCE / name).read_text(encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Write the page; with `--check` only say whether it is up to date. Return the exit code."""
    if arguments not in ([], ["--check"]):
        print("usage: build_page.py [--check]", file=sys.stderr)
        return 2
    page = build()
    if not arguments:
        PAGE.write_text(page, encoding="utf-8", newline="\n")
        return 0
    if PAGE.read_text(encoding="utf-8") == page:
        return 0
    print(f"{PAGE.name} is not what its sources make; run {Path(__file__).name}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
