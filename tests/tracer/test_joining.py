"""Traces that go on: in another process, below a span of another one, after a pause."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from logtracer import (
    FileStore,
    NodeStatus,
    StorageBackend,
    TraceGraph,
    Tracer,
    load_trace,
    save_trace_json,
)
from logtracer_cli import main
from stress.stores import STORES

ROOT = Path(__file__).resolve().parents[2]
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
INVALID = [
    "",
    "00",
    f"00-{TRACE}-{SPAN}",
    f"00-{'0' * 32}-{SPAN}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"ff-{TRACE}-{SPAN}-01",
    f"00-{TRACE}-{SPAN}-01-more",
    f"00-{TRACE.upper()}-{SPAN}-01",
    f"00-{TRACE}-{SPAN}-01\n",
    f"00-{TRACE[:-1]}٣-{SPAN}-01",
    f"0-{TRACE}-{SPAN}-01",
]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> StorageBackend:
    """Give each store in turn."""
    return STORES[request.param](tmp_path)


def outline(trace: TraceGraph | None) -> list[tuple[int, str, str]]:
    assert trace is not None
    return [(level, node.name, node.status.value) for level, node in trace.walk()]


def test_a_span_gives_its_trace_context() -> None:
    with Tracer().trace("run") as root:
        version, trace_id, span_id, flags = root.traceparent.split("-")
    assert (version, trace_id, span_id, flags) == ("00", root.trace.trace_id, root.id, "01")


@pytest.mark.parametrize("parent", INVALID)
def test_what_is_no_trace_context_begins_a_new_trace(parent: str) -> None:
    with Tracer().trace("run", parent=parent) as root:
        pass
    assert root.trace.trace_id != TRACE
    assert root.node_record.parent_id is None


@pytest.mark.parametrize("parent", [f"00-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-09-what"])
def test_a_trace_context_is_joined(parent: str) -> None:
    with Tracer().trace("run", parent=parent) as root:
        pass
    assert root.trace.trace_id == TRACE
    assert root.node_record.parent_id == SPAN


def test_a_context_that_is_not_sampled_is_not_recorded() -> None:
    tracer = Tracer()
    with tracer.trace("run", parent=f"00-{TRACE}-{SPAN}-00") as root:
        root.input(a=1)
    assert tracer.stats()["started"] == 0
    assert root.traceparent.endswith("-00")


def test_a_joined_trace_is_one_trace(store: Any) -> None:
    tracer = Tracer(storage=store)
    with (
        tracer.trace("outer") as outer,
        outer.node("call") as call,
        tracer.trace("inner", parent=call) as inner,
        inner.node("deep"),
    ):
        pass
    assert outline(store.load(outer.trace.trace_id)) == [
        (0, "outer", "completed"),
        (1, "call", "completed"),
        (2, "inner", "completed"),
        (3, "deep", "completed"),
    ]


def test_a_file_is_loaded_with_what_others_added_beside_it(tmp_path: Path) -> None:
    with Tracer(storage=FileStore(tmp_path)).trace("parent") as root:
        pass
    with Tracer(storage=FileStore(tmp_path)).trace("child", parent=root.traceparent):
        pass
    trace = load_trace(tmp_path / f"{root.trace.trace_id}.json")
    assert [name for _, name, _ in outline(trace)] == ["parent", "child"]


def test_a_pause_is_no_failure_and_is_kept_with_its_reason(store: Any) -> None:
    with Tracer(storage=store).trace("run") as root, root.node("ask", "human_input") as ask:
        ask.pause("needs a signature")
    trace = store.load(root.trace.trace_id)
    assert outline(trace) == [(0, "run", "paused"), (1, "ask", "paused")]
    assert trace.failed_nodes == []
    reasons = [node.metadata.get("logtracer.paused_reason") for node in trace.nodes.values()]
    assert "needs a signature" in reasons


def test_a_paused_trace_goes_on_under_its_own_root(store: Any) -> None:
    with Tracer(storage=store).trace("run") as root, root.node("ask") as ask:
        ask.pause("a human")
    trace_id = root.trace.trace_id
    with Tracer(storage=store).resume(trace_id) as again, again.node("act"):
        pass
    trace = store.load(trace_id)
    assert outline(trace) == [
        (0, "run", "completed"),
        (1, "ask", "paused"),
        (1, "act", "completed"),
    ]
    assert again.id == root.id
    assert store.list_traces() == [trace_id]


def test_the_time_waited_is_kept_apart(store: Any) -> None:
    with Tracer(storage=store).trace("run") as root:
        root.pause("a human")
    paused = store.load(root.trace.trace_id)
    with Tracer(storage=store).resume(paused.trace_id) as again:
        pass
    trace = store.load(paused.trace_id)
    root_node = trace.nodes[again.id]
    since_pause = root_node.end_time - paused.nodes[root.id].end_time
    assert 0 < root_node.metadata["logtracer.waited_ms"] < trace.duration_ms
    assert trace.duration_ms >= since_pause / timedelta(milliseconds=1)
    assert root_node.start_time == paused.nodes[root.id].start_time


def test_inspect_tells_waiting_from_working(
    store: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Tracer(storage=store).trace("run") as root:
        root.pause("a human")
    with Tracer(storage=store).resume(root.trace.trace_id):
        pass
    trace = store.load(root.trace.trace_id)
    trace.root_nodes[0].metadata["logtracer.waited_ms"] = 3_600_000.0
    trace.end_time = trace.start_time + timedelta(hours=1, seconds=2)
    save_trace_json(trace, tmp_path / "run.json")
    assert main(["inspect", str(tmp_path / "run.json")]) == 0
    assert "waited 1h00m for a human · worked 2.00s\n" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "run.json"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["waited_ms"], facts["worked_ms"]) == (3_600_000.0, 2_000.0)


def test_a_step_can_go_on_in_the_same_process() -> None:
    with Tracer().trace("run") as root, root.node("ask") as ask:
        ask.pause("a human")
        assert root.node_record.status == NodeStatus.PAUSED
        ask.resume()
    assert outline(root.trace) == [(0, "run", "completed"), (1, "ask", "completed")]
    assert ask.node_record.metadata["logtracer.waited_ms"] >= 0


def test_a_failure_after_a_pause_is_a_failure() -> None:
    with pytest.raises(ZeroDivisionError), Tracer().trace("run") as root:
        root.pause("a human")
        1 / 0  # noqa: B018
    assert root.node_record.status == NodeStatus.FAILED


def test_only_a_trace_that_is_there_can_be_resumed(store: Any) -> None:
    with pytest.raises(ValueError, match="no such trace: 'nowhere'"):
        Tracer(storage=store).resume("nowhere")
