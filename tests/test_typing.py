"""What type checkers make of a user's program: with the wheel installed, with the file copied."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from conftest import ROOT
from needs import needs
from wheels import build_wheel, make_environment, run, vendor

PYTHONS = ("3.10", "3.11", "3.12", "3.13")
API = (ROOT / "tests" / "typing_api.py").read_text(encoding="utf-8")
VENDORED = API.replace("from logtracer ", "from app._vendor.logtracer ")

# Only with the package installed: the terminal, a copied file comes without it.
INSTALLED = f"""{API}

from logtracer_cli import main, render_trace


def traces_can_be_shown(graph: TraceGraph) -> None:
    assert_type(main(["inspect", "latest"]), int)
    assert_type(render_trace(graph, verbosity="full"), str)
"""

OLD_PATHS = """
from logtracer import Tracer as NewTracer
from logtracer.core import Span, Tracer, TracerConfig, trace_node
from logtracer.models import Edge, EdgeType, Node, NodeStatus, NodeType, TraceGraph
from logtracer.serializers import load_trace_json, save_trace_json, trace_from_json, trace_to_json
from logtracer.storage import FileStore, MemoryStore, StorageBackend


@trace_node(node_type="tool_call")
def fetch_weather(location: str) -> dict[str, int]:
    return {"temp": len(location)}


tracer: NewTracer = Tracer(config=TracerConfig(), storage=FileStore("./traces"))
with tracer.trace("weather_agent") as root:
    span: Span = root
    weather: dict[str, int] = fetch_weather("Paris")
    graph: TraceGraph = trace_from_json(trace_to_json(root.trace))
    edges: list[Edge] = graph.edges
    nodes: dict[str, Node] = graph.nodes
    save_trace_json(graph, "trace.json")
known: tuple[str, str, str] = (NodeType.LLM_CALL, NodeStatus.FAILED, EdgeType.RETRY_OF)
store: StorageBackend = MemoryStore()
loaded: TraceGraph = load_trace_json("trace.json")
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel and nothing else."""
    needs("mypy")
    needs("pyright")
    wheel = build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))
    return make_environment(tmp_path_factory.mktemp("installed"), wheel)


def write_program(directory: Path, text: str) -> Path:
    program = directory / "program.py"
    program.write_text(text, encoding="utf-8")
    return program


def check_with_mypy(program: Path, environment: Path, python: str = "3.10") -> None:
    options = ["--strict", "--python-version", python, "--python-executable", str(environment)]
    run(program.parent, sys.executable, "-m", "mypy", *options, program.name)


def check_with_pyright(program: Path, environment: Path, *sources: str) -> None:
    (program.parent / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    options = ["--pythonpath", str(environment), "--pythonversion", "3.10"]
    run(program.parent, sys.executable, "-m", "pyright", *options, program.name, *sources)


@pytest.mark.parametrize("python", PYTHONS)
def test_mypy_knows_the_installed_tracer(installed: Path, tmp_path: Path, python: str) -> None:
    check_with_mypy(write_program(tmp_path, INSTALLED), installed, python)


def test_pyright_knows_the_installed_tracer(installed: Path, tmp_path: Path) -> None:
    check_with_pyright(write_program(tmp_path, INSTALLED), installed)


def test_mypy_knows_the_old_import_paths(installed: Path, tmp_path: Path) -> None:
    check_with_mypy(write_program(tmp_path, OLD_PATHS), installed)


def test_pyright_knows_the_old_import_paths(installed: Path, tmp_path: Path) -> None:
    check_with_pyright(write_program(tmp_path, OLD_PATHS), installed)


def test_a_wrong_call_is_found(installed: Path, tmp_path: Path) -> None:
    wrong = write_program(tmp_path, f"{OLD_PATHS}\nfetch_weather(7)\n")
    for check in (check_with_mypy, check_with_pyright):
        with pytest.raises(AssertionError, match=r"\"str\""):
            check(wrong, installed)


def test_the_vendored_tracer_passes_as_source_of_the_user(tmp_path: Path) -> None:
    needs("mypy")
    needs("pyright")
    vendor(tmp_path)
    program = write_program(tmp_path, VENDORED)
    environment = make_environment(tmp_path / "environment")
    check_with_mypy(program, environment)
    check_with_pyright(program, environment, "app")


def test_the_vendored_tracer_is_another_one_than_the_installed(
    installed: Path, tmp_path: Path
) -> None:
    vendor(tmp_path)
    both = f"{VENDORED}\n\nimport logtracer\n\nmixed: Tracer = logtracer.Tracer()\n"
    for check in (check_with_mypy, check_with_pyright):
        with pytest.raises(AssertionError, match="Tracer") as found:
            check(write_program(tmp_path, both), installed)
        assert "1 error" in str(found.value)
