"""Retries, fallbacks and data flow found while a run is recorded: those a reader would find."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import ROOT
from logtracer import (
    EdgeType,
    FileStore,
    MemoryStore,
    NodeStatus,
    Span,
    SQLiteStore,
    StorageBackend,
    StoreError,
    TraceGraph,
    Tracer,
    load_trace,
)
from logtracer_extras.analysis import infer_data_flow, infer_retries, measure
from logtracer_extras.background import BackgroundStore
from logtracer_extras.inferring import InferringStore
from logtracer_extras.streaming import as_streaming
from test_inference import FALSE_CASES, TRUE_CASES, Scope, research

MakeStore = Callable[[Path], StorageBackend]

INNER: dict[str, MakeStore] = {
    "memory": lambda directory: MemoryStore(),
    "file": FileStore,
    "sqlite": lambda directory: SQLiteStore(directory / "runs.db"),
    "background": lambda directory: BackgroundStore(FileStore(directory)),
}


@pytest.fixture(params=INNER)
def inner(request: pytest.FixtureRequest, tmp_path: Path) -> StorageBackend:
    """A store of each kind: one that takes whole traces, others that take events."""
    return INNER[request.param](tmp_path)


def named_edges(trace: TraceGraph | None) -> list[tuple[str, str, str]]:
    """Return the edges beside those of the tree, by the names of their ends."""
    assert trace is not None
    names = {node.id: node.name for node in trace.nodes.values()}
    edges = [edge for edge in trace.edges if edge.edge_type != EdgeType.CAUSED_BY]
    assert all(edge.metadata["inferred"] is True for edge in edges)
    return [(names[edge.source_id], str(edge.edge_type), names[edge.target_id]) for edge in edges]


def stored(store: Any) -> TraceGraph | None:
    """Return the only trace of a store."""
    store.flush(10.0)
    (trace_id,) = store.list_traces()
    found = store.load(trace_id)
    return found if isinstance(found, TraceGraph) else None


def run_example_without_links(tracer: Tracer) -> None:
    """Run the example of retries as it would be if nobody had thought of linking."""
    source = (ROOT / "examples" / "03_retry_and_fallback.py").read_text(encoding="utf-8")
    kept = [line for line in source.splitlines() if ".link(" not in line]
    assert len(source.splitlines()) - len(kept) == 2
    names: dict[str, Any] = {"__name__": "example", "__file__": str(ROOT / "examples" / "x.py")}
    exec(compile("\n".join(kept), "example", "exec"), names)
    names["Tracer"] = lambda: tracer
    with pytest.raises(AssertionError):  # it checks its links
        names["main"]()


EXAMPLE = [
    ("attempt_1", "retry_of", "attempt_2"),
    ("attempt_1", "fallback_of", "small_model"),
]


def test_the_example_yields_its_edges_while_it_is_recorded(inner: StorageBackend) -> None:
    store = InferringStore(inner)
    run_example_without_links(Tracer(storage=store))
    trace = stored(store)
    assert named_edges(trace) == EXAMPLE
    assert trace is not None
    assert measure(trace).inferred == []  # nothing is found a second time


def test_the_example_yields_its_edges_when_it_is_read() -> None:
    store = MemoryStore()
    run_example_without_links(Tracer(storage=store))
    trace = store.load(store.list_traces()[0])
    assert trace is not None
    assert named_edges(trace) == []
    trace.edges = infer_retries(trace)
    assert named_edges(trace) == EXAMPLE


# ---- The labelled runs: the same edges as at read time -----------------------------------------


def recorded(scope: Scope, store: StorageBackend) -> TraceGraph:
    """Tell a store of a run step by step, as a tracer would, and return what it keeps."""
    trace, stream = scope.sample.trace, as_streaming(store)
    head = {key: trace.to_dict()[key] for key in ("schema_version", "trace_id", "name")}
    events = [{"event": "trace.started", **head}]
    nodes = list(trace.nodes.values())
    events += [{"event": "node.completed", "node": node.to_dict()} for node in nodes[1:]]
    events.append({"event": "node.completed", "node": nodes[0].to_dict()})  # the run ends last
    events.append({"event": "trace.completed", "trace_id": trace.trace_id})
    for event in events:
        stream.write_event(trace.trace_id, event["event"], json.dumps(event) + "\n")
    found = store.load(trace.trace_id)
    assert found is not None
    return found


@pytest.mark.parametrize("case", [*TRUE_CASES, *FALSE_CASES], ids=lambda case: case.__name__)
def test_a_labelled_run_has_the_same_edges_as_when_it_is_read(
    case: Callable[[Scope], str | None],
) -> None:
    scope = Scope()
    expected = case(scope)
    found = recorded(scope, InferringStore(as_streaming(MemoryStore())))
    ids = {node_id: number for number, node_id in enumerate(scope.sample.trace.nodes)}
    edges = [edge for edge in found.edges if edge.edge_type != EdgeType.CAUSED_BY]
    ends = [(ids[edge.source_id], ids[edge.target_id]) for edge in edges]
    shown = [f"{edge.edge_type[:-3]} {a}-{b}" for edge, (a, b) in zip(edges, ends)]
    assert ", ".join(shown) == (expected or "")


CALLS = st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.booleans()), max_size=9)


@given(CALLS)
def test_what_is_found_while_recording_is_what_a_reader_finds(
    calls: list[tuple[str, bool, bool]],
) -> None:
    scope = Scope()
    for name, failed, beside in calls:
        scope.step(name, failed, beside=beside, query="same")
    for store in (InferringStore(as_streaming(MemoryStore())), InferringStore(MemoryStore())):
        found = recorded(scope, store)
        edges = [edge for edge in found.edges if edge.metadata.get("inferred")]
        assert edges == infer_retries(scope.sample.trace)


# ---- While the run goes on ---------------------------------------------------------------------


def try_twice(parent: Span) -> None:
    """Fail and try again, under a step of their own."""
    with parent.node("work") as work:
        for fails in (True, False):
            with work.node("search", "tool_call") as step:
                step.input(query="x")
                step.set_status(NodeStatus.FAILED if fails else NodeStatus.COMPLETED)


def test_an_edge_is_there_as_soon_as_the_step_around_it_has_ended(tmp_path: Path) -> None:
    with Tracer(storage=InferringStore(FileStore(tmp_path))).trace("run") as root:
        try_twice(root)
        running = load_trace(next(tmp_path.glob("*.jsonl")))
        assert named_edges(running) == [("search", "retry_of", "search")]


def test_a_recorded_edge_is_not_added_once_more(tmp_path: Path) -> None:
    store = InferringStore(FileStore(tmp_path))
    with Tracer(storage=store).trace("run") as root:
        tries = [root.node("search", "tool_call"), root.node("search", "tool_call")]
        for step in tries:
            with step:
                step.input(query="x")
                step.set_status(NodeStatus.FAILED)
        tries[0].link(tries[1], EdgeType.RETRY_OF)
    trace = stored(store)
    assert trace is not None
    assert [edge.edge_type for edge in trace.edges].count(EdgeType.RETRY_OF) == 1


def test_steps_that_outlive_their_parent_are_compared_at_the_end(tmp_path: Path) -> None:
    store = InferringStore(FileStore(tmp_path))
    with Tracer(storage=store).trace("run") as root:
        with root.node("work") as work:
            tries = [work.node("search", "tool_call") for _ in range(2)]
        for step, status in zip(tries, (NodeStatus.FAILED, NodeStatus.COMPLETED)):
            with step:
                step.input(query="x")
                step.set_status(status)
    assert named_edges(stored(store)) == [("search", "retry_of", "search")]


def test_of_very_many_siblings_nothing_is_inferred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logtracer_extras.inferring._MOST", 2)
    store = InferringStore(FileStore(tmp_path))
    with Tracer(storage=store).trace("run") as root:
        try_twice(root)
    trace = stored(store)
    assert named_edges(trace) == []
    assert trace is not None
    assert len(measure(trace).inferred) == 1  # who reads it still finds it


class RefusesEdges(FileStore):
    """A store that takes steps and no edges."""

    def write_event(self, trace_id: str, event: str, line: str) -> None:
        if event == "edge":
            raise StoreError("no edges here")
        super().write_event(trace_id, event, line)


def test_an_edge_that_cannot_be_written_costs_no_step(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracer = Tracer(storage=InferringStore(RefusesEdges(tmp_path)))
    with tracer.trace("run") as root:
        try_twice(root)
    assert tracer.stats()["saved"] == 4
    assert "an inferred edge is missing: no edges here" in caplog.text


# ---- Data flow ---------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [MemoryStore, lambda: as_streaming(MemoryStore())])
def test_data_flow_is_found_only_when_asked_for(make: Callable[[], StorageBackend]) -> None:
    scope = Scope()
    scope.sample.trace = research()[0]
    assert named_edges(recorded(scope, InferringStore(make()))) == []
    found = recorded(scope, InferringStore(make(), data_flow=True))
    edges = [edge for edge in found.edges if edge.metadata.get("inferred")]
    assert edges == infer_data_flow(scope.sample.trace)
    assert len(edges) == 2


def test_recorded_data_flow_is_not_found_again() -> None:
    trace = research()[0]
    trace.edges += infer_data_flow(trace)
    assert infer_data_flow(trace) == []
