"""What nobody recorded and the terminal finds: retries, fallbacks and, on request, data flow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from logtracer import TraceGraph, save_trace_json
from logtracer_cli import main
from sample_traces import Sample, failing

Run = Callable[..., list[str]]
ANSWER = "Small models use tools well when the tools are few."


def unlinked() -> TraceGraph:
    """Return a run with a retry and a value that is handed on, and no edge that says so."""
    sample = Sample("run", 4.0)
    sample.node("search", "tool_call", 0, 1, input_data={"q": "a"}, **failing(error="no answer"))
    again = sample.node("search", "tool_call", 1, 2, input_data={"q": "a"})
    again.output_data = {"results": [ANSWER]}
    sample.node("report", "llm_call", 2, 3, input_data={"prompt": ANSWER})
    return sample.trace


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command on the unlinked run, with flags, and return the lines."""
    save_trace_json(unlinked(), tmp_path / "run.json")

    def call(command: str, *flags: str, code: int = 0) -> list[str]:
        assert main([command, *flags[:-1], str(tmp_path / "run.json"), *flags[-1:]]) == code
        return capsys.readouterr().out.splitlines()

    return call


def test_the_tree_shows_an_inferred_retry_and_says_that_it_is(run: Run) -> None:
    assert "├── [tool_call] search (1.00s) ✓ ← retry of search (inferred)" in run("inspect")


def test_a_node_shows_it_too(run: Run) -> None:
    assert "← retry of search (inferred)" in run("inspect", "--node=0003")


def test_the_summary_for_programs_counts_what_was_recorded(run: Run) -> None:
    assert json.loads("\n".join(run("inspect", "--json")))["edge_count"] == 3


def test_data_flow_is_shown_when_asked_for_with_its_paths(run: Run) -> None:
    line = "└── [llm_call] report (1.00s) ✓"
    assert line in run("inspect")
    shown = run("inspect", "--data-flow")
    assert f"{line} ← data from search ($.results[0] → $.prompt, inferred)" in shown
    assert "<- data from search ($.results[0] -> $.prompt, inferred)" in "\n".join(
        run("inspect", "--ascii", "--data-flow")
    )


def test_search_finds_data_flow_when_asked_for(run: Run) -> None:
    assert run("search", "kind:data_flow", "--ascii", code=1) == ["nothing found in 1 trace"]
    assert any("report" in line for line in run("search", "kind:data_flow", "--data-flow"))


def test_why_follows_an_inferred_retry(run: Run) -> None:
    (explained,) = json.loads("\n".join(run("why", "--json")))
    assert explained["recovered_by"] == "0000000000000003"


@pytest.mark.usefixtures("no_extras")
def test_without_the_extra_the_tree_is_that_of_what_was_recorded(run: Run) -> None:
    assert "├── [tool_call] search (1.00s) ✓" in run("inspect")
