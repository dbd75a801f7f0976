"""viewer.html is what its sources make, and the build notices when it is not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from viewer.browser import PAGE


def build(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "build_page.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def copied(tmp_path: Path) -> Path:
    """Return a copy of the page's folder, to change things in."""
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(PAGE.parent, tmp_path / "viewer", ignore=ignored))


def test_the_shipped_page_is_what_its_sources_make() -> None:
    result = build(PAGE.parent, "--check")
    assert (result.returncode, result.stderr) == (0, "")


def test_a_page_that_is_older_than_its_sources_is_noticed_and_built(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    with open(folder / "source" / "ui" / "app.js", "a", encoding="utf-8") as file:
        file.write("// changed\n")
    result = build(folder, "--check")
    assert result.returncode == 1
    assert "run build_page.py" in result.stderr
    assert build(folder).returncode == 0
    assert "// changed\n" in (folder / "viewer.html").read_text(encoding="utf-8")
    assert build(folder, "--check").returncode == 0


def test_every_script_of_the_sources_is_in_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    sources = sorted(PAGE.parent.glob("source/**/*.js"))
    assert len(sources) > 20
    assert [each.name for each in sources if each.read_text(encoding="utf-8") not in page] == []


def test_no_source_of_the_page_is_longer_than_a_file_may_be() -> None:
    lengths = {
        each.name: each.read_text(encoding="utf-8").count("\n")
        for each in PAGE.parent.glob("source/**/*.*")
    }
    assert {name: lines for name, lines in lengths.items() if lines > 800} == {}
