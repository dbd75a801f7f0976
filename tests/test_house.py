"""Rules of the house that can be read off the source, or seen when it is imported."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import ROOT

CORE = ROOT / "logtracer.py"
ROOMS = [CORE, ROOT / "logtracer_cli.py", *sorted(ROOT.glob("logtracer_extras/**/*.py"))]

# Modules that cost as much as the tracer itself, or that a quiet library has no business with.
PAID_WHEN_USED = {
    "asyncio",
    "concurrent.futures",
    "http",
    "logging",
    "multiprocessing",
    "pathlib",
    "socket",
    "sqlite3",
    "subprocess",
    "tempfile",
    "threading",
    "traceback",
    "typing",
    "urllib",
    "uuid",
}

# Starts nothing and opens nothing: every thread, socket, process and written file is reported.
QUIET = """
import sys

def watch(event, arguments):
    if event.startswith(("socket.", "_thread.start", "subprocess.", "os.exec", "os.fork")):
        print(event, arguments)
    if event == "open" and (str(arguments[1] or "r")[0] != "r" or arguments[2] & 3):
        print(event, arguments)

sys.addaudithook(watch)
import logtracer

tracer = logtracer.Tracer()
with tracer.trace("run") as root, root.node("step") as step:
    step.output(answer=42)
"""


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-B", "-W", "error", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=60)


def imported_by(statement: str) -> set[str]:
    """Return what a statement imports beyond what every interpreter has loaded already."""
    listings = [run_python("-X", "importtime", "-c", code).stderr for code in ("", statement)]
    bare, loaded = (
        {line.rpartition("|")[2].strip() for line in listing.splitlines()} for listing in listings
    )
    return loaded - bare


def calls_in(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def imports_in(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module or "")
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("path", ROOMS, ids=lambda path: path.stem)
def test_nothing_is_unpickled_evaluated_or_given_to_a_shell(path: Path) -> None:
    forbidden = {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}
    forbidden |= {"marshal.load", "marshal.loads"}
    for name, call in calls_in(path):
        assert name not in forbidden
        assert "shell" not in {keyword.arg for keyword in call.keywords}
    assert imports_in(path).isdisjoint({"pickle", "shelve", "dill", "cloudpickle"})


def test_the_core_imports_the_standard_library_alone() -> None:
    assert imports_in(CORE) <= set(sys.stdlib_module_names)


def test_no_import_points_upwards() -> None:
    for path in ROOMS[2:]:
        assert "logtracer_cli" not in imports_in(path), path


def test_the_core_names_no_product() -> None:
    products = r"openai|anthropic|langchain|crewai|autogen|agno|dify"
    assert not re.search(products, CORE.read_text(encoding="utf-8"), re.IGNORECASE)


def test_the_public_names_exist_and_are_documented() -> None:
    import logtracer

    for name in logtracer.__all__:
        value = getattr(logtracer, name)
        assert name == "__version__" or name.isupper() or (value.__doc__ or "").strip(), name


def test_import_loads_nothing_that_is_paid_when_used() -> None:
    own = imported_by("import logtracer") - imported_by("import json, dataclasses, contextvars")
    tops = {name.split(".")[0] for name in own}
    assert tops - set(sys.stdlib_module_names) == {"logtracer"}
    assert own & PAID_WHEN_USED == set()


def test_import_and_a_tracer_in_memory_start_and_open_nothing() -> None:
    run = run_python("-c", QUIET)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_the_watcher_of_the_last_test_sees_what_it_looks_for() -> None:
    noisy = QUIET + "open('/dev/null', 'w').close()\nimport socket; socket.socket().close()"
    printed = run_python("-c", noisy).stdout
    assert "open" in printed
    assert "socket.__new__" in printed
