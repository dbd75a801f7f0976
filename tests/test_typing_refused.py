"""What type checkers refuse of a user's program, and the names they find in the extras."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import ROOT
from needs import needs
from wheels import build_wheel, make_environment, vendor

MISTAKES = """
import logtracer
from logtracer import MemoryStore, NodeStatus, TraceGraph, Tracer, TracerConfig, trace_node
from logtracer import Trcer  # refused

logtracer.no_such_thing()  # refused
logtracer.current_spam()  # refused


@trace_node(node_type="tool_call")
def fetch(city: str) -> dict[str, int]:
    return {"temp": len(city)}


class NotAStore:
    def save(self, trace: TraceGraph) -> None:
        pass


fetch(7)  # refused
fetch("Paris").upper()  # refused
trace_node(kind="tool_call")  # refused
Tracer(NotAStore())  # refused
Tracer(storage=NotAStore())  # refused
TracerConfig(max_input_size="large")  # refused
MemoryStore().save("trace")  # refused
with Tracer().trace("run") as root:
    root.nod("step")  # refused
    root.annotate(7)  # refused
    root.set_status("done")  # refused
    root.llm(input_tokens="many")  # refused
    root.trace.nodes["1"].status.upper().nme  # refused
done: NodeStatus = "completed"  # refused
"""

EXTRAS = """
from logtracer_extras.background import BackgroundStore
from logtracer_extras.sqlite import SQLiteStore
from logtracer_extras.tee import TeeStore

from logtracer import StorageBackend, Tracer

stores: list[StorageBackend] = [TeeStore(BackgroundStore(SQLiteStore("traces.db")))]
Tracer(storage=SQLiteStore("traces.db")).close()
SQLiteStore(7)  # refused
SQLiteStore("traces.db").no_such_thing()  # refused
"""

BY_NAME = """
import logtracer
from logtracer import BackgroundStore, SQLiteStore, StorageBackend, TeeStore, Tracer
from logtracer.storage import SQLiteStore as SameStore

stores: list[StorageBackend] = [TeeStore(BackgroundStore(SQLiteStore("traces.db")))]
same: SQLiteStore = SameStore("traces.db")
Tracer(storage=logtracer.SQLiteStore("traces.db")).close()
logtracer.SQLiteStore(7)  # refused
from logtracer.storage import SQLStore  # refused
"""


@dataclass
class Program:
    """A user's program, where it finds the tracer and with what it is checked."""

    directory: Path
    python: Path  # of the environment that the program runs in
    path: Path | None = None  # a source tree that lies on the module path

    def refused_by_mypy(self, text: str) -> dict[int, str]:
        """Return what `mypy --strict` has against the program, by line."""
        options = ["--strict", "--python-version", "3.10", "--python-executable", str(self.python)]
        return self._refused(text, r"program\.py:(\d+): error: (.*)", "mypy", *options)

    def refused_by_pyright(self, text: str) -> dict[int, str]:
        """Return what pyright has against the program, by line."""
        options = ["--pythonpath", str(self.python), "--pythonversion", "3.10"]
        return self._refused(text, r"program\.py:(\d+):\d+ - error: (.*)", "pyright", *options)

    def _refused(self, text: str, pattern: str, checker: str, *options: str) -> dict[int, str]:
        (self.directory / "program.py").write_text(text, encoding="utf-8")
        paths = "" if self.path is None else f', "extraPaths": ["{self.path}"]'
        (self.directory / "pyrightconfig.json").write_text(f'{{"include": []{paths}}}')
        clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        done = subprocess.run(
            [sys.executable, "-m", checker, *options, "program.py"],
            cwd=self.directory,
            env={**clean, "MYPYPATH": str(self.path or "")},
            capture_output=True,
            encoding="utf-8",
            timeout=300,
        )
        return {int(line): message for line, message in re.findall(pattern, done.stdout)}


def is_refused_where_it_says_so(check: Callable[[str], dict[int, str]], text: str) -> bool:
    """Tell whether a checker refuses the marked lines of a program and no others."""
    lines = text.split("\n")
    expected = {number for number, line in enumerate(lines, 1) if line.endswith("# refused")}
    refused = check(text)
    assert refused.keys() == expected, refused
    return True


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with nothing in it."""
    needs("mypy")
    needs("pyright")
    return make_environment(tmp_path_factory.mktemp("bare"))


@pytest.fixture
def from_source(environment: Path, tmp_path: Path) -> Program:
    """A program beside a checkout of the tracer."""
    return Program(tmp_path, environment, ROOT)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel and nothing else."""
    needs("mypy")
    needs("pyright")
    wheel = build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))
    return make_environment(tmp_path_factory.mktemp("installed"), wheel)


@pytest.fixture
def from_wheel(installed: Path, tmp_path: Path) -> Program:
    """A program where the tracer is installed."""
    return Program(tmp_path, installed)


@pytest.mark.parametrize("text", [MISTAKES, EXTRAS], ids=["mistakes", "extras"])
def test_a_checkout_refuses_mistakes_alone(from_source: Program, text: str) -> None:
    assert is_refused_where_it_says_so(from_source.refused_by_mypy, text)
    assert is_refused_where_it_says_so(from_source.refused_by_pyright, text)


@pytest.mark.parametrize("text", [MISTAKES, EXTRAS, BY_NAME], ids=["mistakes", "extras", "by name"])
def test_the_wheel_refuses_mistakes_alone(from_wheel: Program, text: str) -> None:
    assert is_refused_where_it_says_so(from_wheel.refused_by_mypy, text)
    assert is_refused_where_it_says_so(from_wheel.refused_by_pyright, text)


def test_a_vendored_copy_refuses_mistakes_alone(environment: Path, tmp_path: Path) -> None:
    vendor(tmp_path)
    program = Program(tmp_path, environment)
    text = MISTAKES.replace("import logtracer\n", "from app._vendor import logtracer\n")
    text = text.replace("from logtracer ", "from app._vendor.logtracer ")
    assert is_refused_where_it_says_so(program.refused_by_mypy, text)
    assert is_refused_where_it_says_so(program.refused_by_pyright, text)


def test_every_name_that_runs_is_known_to_the_stub() -> None:
    hook = (ROOT / "hatch_build.py").read_text(encoding="utf-8")
    source = (ROOT / "logtracer.py").read_text(encoding="utf-8")
    (names,) = re.findall(r"^        modules = \{(.*)\}$", source, re.MULTILINE)
    for name, module in re.findall(r'"(\w+)": "(\w+)"', names):
        assert f"from logtracer_extras.{module} import {name} as {name}\n" in hook
