"""`logtracer vendor`: copy logtracer, and what is wanted of its parts, into a project.

Inside a package the imports become relative ones, so that the copy meets no other logtracer. The
first line of each copied file says its version and its hash: `--check` tells an old or an edited
copy by it.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from logtracer import __version__
from logtracer_cli import CommandError, Screen, UsageError, complain, counted

__all__ = ["add_arguments", "run"]

_ROOT = Path(__file__).resolve().parents[2]
_TOPS = ("logtracer", "logtracer_cli", "logtracer_extras")
_HEADER = re.compile(r"# logtracer (\S+), copied by `logtracer vendor`; sha256 ([0-9a-f]{64})\n")
_DATA = {"logtracer_extras/viewer/page.py": ["logtracer_extras/viewer/viewer.html"]}
_TYPED = "logtracer_extras/py.typed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Copy logtracer.py into a directory, with the parts that are named and what they need."
        " In a package, imports become relative."
    )
    parser.add_argument("target", metavar="DIRECTORY", help="such as mypackage/_vendor")
    parser.add_argument(
        "--with",
        dest="parts",
        metavar="PARTS",
        default="",
        help="parts besides the tracer, by commas: terminal, sqlite, adapters, importers, ...",
    )
    parser.add_argument("--check", action="store_true", help="tell old and edited copies; exit 1")
    parser.add_argument("--force", action="store_true", help="replace edited files")


def run(options: argparse.Namespace, screen: Screen) -> int:
    """Copy, or check what was copied."""
    target = Path(options.target)
    if options.check:
        return _check(target, screen)
    files = _needed(_chosen(options.parts))
    is_package = any((place / "__init__.py").exists() for place in (target, target.parent))
    texts = {file: _copied(file, is_package) for file in files if file.endswith(".py")}
    if not options.force:
        _refuse_edited(target, files)
    for file in files:
        place = target / file
        place.parent.mkdir(parents=True, exist_ok=True)
        data = texts[file].encode() if file in texts else (_ROOT / file).read_bytes()
        place.write_bytes(data)
    if is_package and not (target / "__init__.py").exists():
        (target / "__init__.py").write_bytes(b"")
    screen.show([[(f"copied {counted(len(files), 'file')} of logtracer {__version__} to ", "")]])
    screen.show([[(f"  {target}", "heading")]])
    return 0


# ---- Which files -------------------------------------------------------------------------------


def _chosen(parts: str) -> Iterator[str]:
    """Yield the files of the parts; wrong use when a part is none."""
    yield "logtracer.py"
    extras = _ROOT / "logtracer_extras"
    for part in filter(None, (name.strip() for name in parts.split(","))):
        if part == "terminal":
            yield "logtracer_cli.py"
        places = (extras / part, extras / f"{part}.py", extras / "adapters" / f"{part}.py")
        found = next((place for place in places if place.exists()), None)
        if found is None or part.startswith("_"):
            known = sorted({path.stem for path in extras.iterdir() if path.stem[0] not in "_."})
            raise UsageError("vendor", f"unknown part {part!r}; available: {', '.join(known)}")
        for path in [found] if found.is_file() else sorted(found.rglob("*.py")):
            yield path.relative_to(_ROOT).as_posix()


def _needed(chosen: Iterable[str]) -> list[str]:
    """Return the files with all that they import, and what Python and checkers want beside them."""
    found: dict[str, None] = {}
    waiting = list(chosen)
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found[file] = None
        waiting += _imported(file)
        waiting += _DATA.get(file, ()) if file.endswith(".py") else ()
    if any("/" in file for file in found):
        found[_TYPED] = None
    return sorted(found)


def _imported(file: str) -> Iterator[str]:
    """Yield the files of ours that a file imports, and the packages that they lie in."""
    if not file.endswith(".py"):
        return
    package = PurePosixPath(file).parts[:-1]
    for node in ast.walk(ast.parse((_ROOT / file).read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *filter(None, [node.module])])
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        for name in names:
            yield from _files_of(name.split("."))


def _files_of(parts: list[str]) -> Iterator[str]:
    if parts[0] not in _TOPS:
        return
    for length in range(1, len(parts) + 1):
        path = "/".join(parts[:length])
        for file in (f"{path}.py", f"{path}/__init__.py"):
            if (_ROOT / file).is_file():
                yield file


# ---- What becomes of a file --------------------------------------------------------------------


def _copied(file: str, is_package: bool) -> str:
    text = (_ROOT / file).read_text(encoding="utf-8")
    text = _relative(text, file.count("/")) if is_package else text
    return f"# logtracer {__version__}, copied by `logtracer vendor`; sha256 {_hash(text)}\n{text}"


def _relative(text: str, depth: int) -> str:
    """Return a module whose imports of ours are relative; it lies `depth` folders down."""
    lines, dots = text.splitlines(keepends=True), "." * (depth + 1)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and not node.level:
            if (node.module or "").split(".")[0] in _TOPS:
                line = lines[node.lineno - 1]
                lines[node.lineno - 1] = line.replace("from ", f"from {dots}", 1)
        elif isinstance(node, ast.Import) and node.names[0].name in _TOPS:
            line = lines[node.lineno - 1]
            lines[node.lineno - 1] = line.replace("import ", f"from {dots} import ", 1)
    return "".join(lines)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


# ---- What was copied ---------------------------------------------------------------------------


def _state(place: Path) -> str:
    """Return `same`, `old`, `edited`, or `other` for a file that is none of ours."""
    text = place.read_text(encoding="utf-8", errors="replace")
    header = _HEADER.match(text)
    if header is None:
        return "other"
    if _hash(text[header.end() :]) != header[2]:
        return "edited"
    return "same" if header[1] == __version__ else "old"


def _refuse_edited(target: Path, files: Iterable[str]) -> None:
    for file in files:
        place = target / file
        if file.endswith(".py") and place.exists() and _state(place) in ("edited", "other"):
            raise CommandError(str(place), "was edited, or is another file; --force replaces it")


def _check(target: Path, screen: Screen) -> int:
    states = {
        place: _state(place)
        for top in _TOPS
        for place in [target / f"{top}.py", *sorted((target / top).rglob("*.py"))]
        if place.is_file()
    }
    if not states:
        raise CommandError(str(target), "holds no copy of logtracer; make one: logtracer vendor")
    for place, state in states.items():
        if state != "same":
            complain(f"{place}: {_SAYS[state]}")
    wrong = sum(state != "same" for state in states.values())
    screen.show([[(f"{counted(len(states), 'file')}, {wrong} old or edited", "")]])
    return int(wrong > 0)


_SAYS = {
    "old": f"copied from another version; this is {__version__}",
    "edited": "edited since it was copied",
    "other": "not copied by logtracer vendor",
}
