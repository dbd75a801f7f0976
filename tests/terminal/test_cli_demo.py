"""`logtracer demo`: the main job in one command, with nothing installed."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from logtracer import MemoryStore, NodeStatus, Tracer
from logtracer_cli import find_trace, main
from logtracer_extras.terminal.demo import record


def test_demo_records_into_traces_and_shows_the_run(
    empty_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo"]) == 0
    shown = capsys.readouterr().out
    trace = find_trace("latest", "./traces")
    assert f"Recorded in ./traces/{trace.trace_id}.json" in shown
    for node in trace.nodes.values():
        assert node.name in shown
    assert [path.suffix for path in (empty_directory / "traces").iterdir()] == [".json"]


def test_demo_of_a_checkout_says_how_to_look_again(tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        return subprocess.check_output(
            [sys.executable, *arguments], cwd=tmp_path, encoding="utf-8", timeout=60
        )

    shown = run(str(ROOT / "logtracer_cli.py"), "demo", "--store", "my runs", "--ascii")
    python, *again = shlex.split(shown.splitlines()[-1].partition("Look again: ")[2])
    assert python == "python3"
    assert "Trace: trip_planner" in run(*again, "--ascii")


def test_demo_shows_what_the_library_is_for() -> None:
    store = MemoryStore()
    trace = store.load(record(Tracer(storage=store)))
    assert trace is not None
    kinds = {edge.edge_type for edge in trace.edges}
    assert {"retry_of", "fallback_of", "branched_from"} <= kinds
    assert {"sub_agent", "llm_call", "tool_call", "retrieval"} <= {
        node.node_type for node in trace.nodes.values()
    }
    assert [node.name for node in trace.failed_nodes] == ["search_hotels", "draft", "send_mail"]
    assert any(node.annotations for node in trace.nodes.values())
    assert trace.root_nodes[0].status == NodeStatus.COMPLETED


def test_demo_look_ups_overlap_in_time() -> None:
    store = MemoryStore()
    trace = store.load(record(Tracer(storage=store)))
    assert trace is not None
    times = {node.name: (node.start_time, node.end_time) for node in trace.nodes.values()}
    flights, weather = times["search_flights"], times["weather_notes"]
    assert flights[0] is not None and weather[1] is not None and flights[1] is not None
    assert flights[0] < weather[1] < flights[1]


def test_demo_in_a_directory_that_cannot_be_made_is_one_line(
    empty_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_text("")
    assert main(["demo", "--store", "file/traces"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
