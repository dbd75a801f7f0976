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
EXTRAS = ROOT / "logtracer_extras"
ROOMS = [CORE, ROOT / "logtracer_cli.py", *sorted(ROOT.glob("logtracer_extras/**/*.py"))]

# What a room of logtracer_extras may import of the others; what is not here imports none.
MAY_IMPORT = {
    "adapters": {"conventions"},
    "analysis": {"facts"},
    "check": {"analysis", "conventions", "diff", "facts", "query"},
    "diff": {"facts"},
    "formats": {"conventions", "facts", "otlp", "viewer"},
    "importers": {"conventions"},
    "otlp": {"conventions"},
    "query": {"analysis", "facts"},
    "stores": {"analysis"},
    "testing": {"analysis", "check", "diff", "facts", "query", "why"},
    "viewer": {"facts"},
    "why": {"facts"},
    "terminal": {path.stem for path in EXTRAS.iterdir()},
    **{door: {"stores"} for door in ("background", "listing", "postgres", "sqlite", "tee")},
}

# The paths that people import from, because the README, the docs or an example show them.
PROMISED = (
    "from logtracer import BackgroundStore, SQLiteStore, TeeStore, Tracer, trace_node",
    "from logtracer.core import Tracer, TracerConfig, trace_node",
    "from logtracer.models import Edge, Node, TraceGraph",
    "from logtracer.storage import FileStore, MemoryStore",
    "from logtracer.serializers import load_trace_json, save_trace_json",
    "from logtracer_cli import main, render_trace",
    "from logtracer_extras.adapters import all, openai",
    "from logtracer_extras.analysis import Statistics, critical_path, measure",
    "from logtracer_extras.background import BackgroundStore",
    "from logtracer_extras.check import Watch, broken, check, learn",
    "from logtracer_extras.conventions import attributes_of, facts_of, type_of",
    "from logtracer_extras.diff import diff",
    "from logtracer_extras.diff.groups import compare_groups",
    "from logtracer_extras.formats import to_chrome, to_mermaid, to_speedscope",
    "from logtracer_extras.importers import import_file, import_traces",
    "from logtracer_extras.listing import TraceFilter, list_summaries",
    "from logtracer_extras.otlp import OTLPStore",
    "from logtracer_extras.postgres import PostgresStore",
    "from logtracer_extras.query import parse",
    "from logtracer_extras.sqlite import SQLiteStore",
    "from logtracer_extras.stores.copying import copy",
    "from logtracer_extras.stores.inferring import InferringStore",
    "from logtracer_extras.stores.retention import prune",
    "from logtracer_extras.tee import TeeStore",
    "from logtracer_extras.testing import TraceBuilder, assert_order, assert_same, find",
    "from logtracer_extras.testing.flip import flip",
    "from logtracer_extras.testing.replay import replayable, replaying",
    "from logtracer_extras.viewer import LiveServer, trace_page, write_page",
    "from logtracer_extras.why import explain",
)

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


def modules_in(path: Path) -> Iterator[str]:
    """Yield the whole name of every module that a file imports, inside functions too."""
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                yield f"{module}.{alias.name}" if is_module(f"{module}.{alias.name}") else module


def is_module(name: str) -> bool:
    place = ROOT.joinpath(*name.split("."))
    return place.with_suffix(".py").exists() or (place / "__init__.py").exists()


def imports_in(path: Path) -> set[str]:
    return {name.split(".")[0] for name in modules_in(path)}


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def circles(arrows: dict[str, set[str]]) -> set[str]:
    """Return the modules that lead back to themselves."""
    reached = {start: set(ends) for start, ends in arrows.items()}
    for middle in reached:
        for start in reached:
            if middle in reached[start]:
                reached[start] |= reached[middle]
    return {start for start, ends in reached.items() if start in ends}


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


def test_nothing_below_the_commands_imports_the_terminal() -> None:
    for path in ROOMS[2:]:
        if path.parent.name != "terminal":
            rooms = {room_of(module) for module in modules_in(path)}
            assert rooms.isdisjoint({"logtracer_cli", "terminal"}), path


@pytest.mark.parametrize("path", ROOMS[2:], ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_room_imports_only_the_rooms_it_may(path: Path) -> None:
    extras = [module for module in modules_in(path) if module.startswith("logtracer_extras")]
    own = path.relative_to(EXTRAS).parts[0].removesuffix(".py")
    assert {room_of(module) for module in extras} - {own} <= MAY_IMPORT.get(own, set())


def test_only_the_inferring_store_measures_traces() -> None:
    stores = (EXTRAS / "stores").glob("*.py")
    found = {path.stem for path in stores if "analysis" in map(room_of, modules_in(path))}
    assert found == {"inferring"}


def test_no_import_goes_round_in_a_circle() -> None:
    arrows: dict[str, set[str]] = {}
    for path in ROOMS[2:]:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        arrows[name] = {module for module in modules_in(path) if module != name}
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == {"b", "c"}
    assert circles(arrows) == set()


@pytest.mark.parametrize("promised", PROMISED)
def test_a_promised_import_path_works(promised: str) -> None:
    run = run_python("-c", promised)
    assert "needs psycopg" in run.stderr or (run.returncode, run.stderr) == (0, "")


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
