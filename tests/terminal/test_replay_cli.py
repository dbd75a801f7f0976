"""`logtracer replay`: a program that knows nothing of it is answered from a trace."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from logtracer import save_trace_json
from logtracer_cli import main
from logtracer_extras.testing import TraceBuilder

PROGRAM = """
import sys
from logtracer_extras.testing.replay import replayable

@replayable
def search(query):
    raise SystemExit("this was called")

print("found", search(sys.argv[1]))
if len(sys.argv) > 2:
    sys.exit(7)
"""


@pytest.fixture
def program(empty_directory: Path) -> list[str]:
    builder = TraceBuilder("agent")
    found = {"return_value": [1, 2]}
    builder.node("search", "tool_call", input={"query": "order 12"}, output=found)
    save_trace_json(builder.trace, "run.json")
    Path("agent.py").write_text(PROGRAM, encoding="utf-8")
    return ["--", sys.executable, "agent.py"]


def test_the_program_is_answered_and_its_exit_code_kept(
    program: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", "run.json", *program, "order 12"]) == 0
    assert capfd.readouterr() == ("found [1, 2]\n", "")
    assert main(["replay", "run.json", *program, "order 12", "--fail"]) == 7
    assert main(["replay", "run.json", "--mask", "[0-9]+", *program, "order 99"]) == 0


def test_a_call_that_nobody_recorded_is_named(
    program: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", "run.json", *program, "order 99"]) == 1
    said = capfd.readouterr()
    assert said.out == ""
    assert "input.query: 'order 12' -> 'order 99'" in said.err


def test_another_sitecustomize_is_run_too(
    program: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("own").mkdir()
    Path("own/sitecustomize.py").write_text("print('mine')", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(Path("own").resolve()))
    assert main(["replay", "run.json", *program, "order 12"]) == 0
    assert capfd.readouterr().out == "mine\nfound [1, 2]\n"


def test_trouble_is_answered_with_2(program: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "missing.json", *program]) == 2
    assert main(["replay", "run.json", "--", "./no_such_program"]) == 2
    assert "no_such_program" in capfd.readouterr().err
