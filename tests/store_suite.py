"""What every store must do: the tests of memory, files, SQLite, PostgreSQL, background and tee.

A test file makes a class of StoreSuite and a fixture `store`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from logtracer import (
    FileStore,
    MemoryStore,
    NodeStatus,
    StorageBackend,
    StoreError,
    TraceGraph,
    Tracer,
)
from logtracer_extras.stores.listing import list_summaries
from logtracer_extras.stores.retention import prune
from logtracer_extras.stores.summaries import TraceFilter, TraceSummary, newest_first, summarize
from sample_traces import START, weather
from stress.figures import figure

ODD_IDS = [
    "", ".", "..", "../secret", "/etc/passwd", "a/b", "a\\b", "a\0b", "a b", "a.b", "a\n", "é",
    "\ud800", "x" * 65, "x" * 5_000, "C:secret",
]  # fmt: skip


def record(store: StorageBackend, name: str = "run", steps: int = 3) -> TraceGraph:
    """Record a trace with every kind of fact and return it as it was saved."""
    with Tracer(storage=store).trace(name, {"model": "m"}) as root:
        previous = root
        for number in range(steps):
            with root.node(f"step {number}", "tool_call") as step:
                step.input(number=number, text="Zürich — 東京 \u2028 \x85 \x0b\x1c")
                step.output(nested={"list": [1, None, True]})
                step.annotate("why")
                previous.link(step, "retry_of", "again")
            previous = step
    trace = store.load(root.trace.trace_id)
    assert trace is not None
    return trace


def only(store: StorageBackend) -> TraceGraph:
    [trace_id] = store.list_traces()
    trace = store.load(trace_id)
    assert trace is not None
    return trace


def record_all_kinds(store: StorageBackend) -> None:
    """Record runs of every fate: fine, failed, paused, gone on with, joined, late, never ended."""
    tracer = Tracer(storage=store)
    with (
        contextlib.suppress(LookupError),
        tracer.trace("100% of_it! \\", tags=['a"b', "c"]) as root,
    ):
        with contextlib.suppress(ValueError), root.node("wrong"):
            raise ValueError
        raise LookupError
    for is_resumed in (False, True):
        with tracer.trace("paused \x00 \x1b é", session_id="s-\u20ac", user_id="ann") as root:
            root.node("ask").start().pause("a human")
        if is_resumed:
            with tracer.resume(root.trace.trace_id) as root, root.node("act"):
                pass
    with tracer.trace("outer", session_id="s-1") as root:
        late = root.node("late").start()
    with tracer.trace("inner", parent=root), tracer.trace("apart", parent=OTHERS):
        late.end()
    store.save(weather())


OTHERS = f"00-{'ab' * 16}-{'cd' * 8}-01"  # the trace context of a program that records elsewhere


def summaries(store: StorageBackend, **wanted: Any) -> list[TraceSummary]:
    """Return what a store lists, but for the files that it is in."""
    found = list_summaries(store, TraceFilter(**wanted))
    return [dataclasses.replace(summary, path="") for summary in found]


def summaries_by_loading(store: StorageBackend) -> list[TraceSummary]:
    """Return what a list is to say, found out by loading everything."""
    traces = [store.load(trace_id) for trace_id in store.list_traces()]
    return sorted((summarize(trace) for trace in traces if trace is not None), key=newest_first)


WANTED: list[tuple[dict[str, Any], set[str]]] = [
    ({"name": "out"}, {"outer"}),
    ({"name": "% of_it! \\"}, {"100% of_it! \\"}),
    ({"status": "paused"}, {"paused \x00 \x1b é"}),
    ({"status": "failed", "tag": 'a"b'}, {"100% of_it! \\"}),
    ({"tag": "c", "status": "running"}, set()),
    ({"session_id": "s-\u20ac", "status": "completed"}, {"paused \x00 \x1b é"}),
    ({"user_id": "ann", "session_id": "s-1"}, set()),
    ({"prefix": "abab"}, {"apart"}),
    ({"prefix": "a\x00\ud800é"}, set()),
    ({"until": START + timedelta(seconds=1)}, {"weather_agent"}),
    ({"since": START, "until": START}, set()),
    ({"tag": '","'}, set()),
]


HOUR = timedelta(hours=1)


def can_remove(store: StorageBackend) -> bool:
    """Tell whether traces can be removed from a store: files, SQLite and PostgreSQL."""
    return isinstance(store, FileStore) or hasattr(store, "delete")


class StoreSuite:
    """What every store does."""

    def test_a_saved_trace_is_loaded_as_it_was(self, store: StorageBackend) -> None:
        trace = weather()
        store.save(trace)
        assert store.load(trace.trace_id) == trace

    def test_a_recorded_trace_is_loaded_as_it_was(self, store: StorageBackend) -> None:
        trace = record(store)
        assert [node.name for node in trace.nodes.values()] == ["run", "step 0", "step 1", "step 2"]
        assert {edge.edge_type for edge in trace.edges} == {"caused_by", "retry_of"}
        assert len(trace.edges) == 6
        assert trace.nodes[trace.edges[-1].target_id].input_data["number"] == 2
        assert trace.metadata == {"model": "m"}
        assert trace.end_time == trace.root_nodes[0].end_time

    def test_an_unknown_trace_is_none(self, store: StorageBackend) -> None:
        assert store.load("0" * 32) is None
        assert store.list_traces() == []

    def test_saving_again_replaces(self, store: StorageBackend) -> None:
        trace = weather()
        store.save(trace)
        trace.name = "renamed"
        store.save(trace)
        assert only(store).name == "renamed"

    def test_every_recorded_trace_is_listed(self, store: StorageBackend) -> None:
        ids = {record(store, f"run {number}", steps=1).trace_id for number in range(20)}
        assert set(store.list_traces()) == ids

    def test_a_trace_in_progress_can_be_read_by_its_writer(self, store: StorageBackend) -> None:
        with Tracer(storage=store).trace("run") as root:
            with root.node("done"):
                pass
            root.node("open").start()
            found = {node.name: node.status for node in root.trace.nodes.values()}
        assert found == {
            "run": NodeStatus.RUNNING,
            "done": NodeStatus.COMPLETED,
            "open": NodeStatus.RUNNING,
        }

    def test_a_node_that_ends_after_its_trace_is_kept(self, store: StorageBackend) -> None:
        with Tracer(storage=store).trace("run") as root:
            slow = root.node("slow").start()
            slow.input(question=1)
        slow.output(answer=2)
        slow.end()
        node = only(store).nodes[slow.id]
        assert (node.status, node.output_data) == (NodeStatus.COMPLETED, {"answer": 2})

    def test_a_long_trace_is_kept_whole(self, store: StorageBackend) -> None:
        steps = figure(12_000, 100_000)
        with Tracer(storage=store).trace("run") as root:
            for _ in range(steps):
                with root.node("step"):
                    pass
            assert len(root.trace.nodes) == steps + 1
        numbers = [node.sequence_number for node in only(store).nodes.values()]
        assert numbers == list(range(steps + 1))

    @pytest.mark.parametrize("trace_id", ODD_IDS, ids=ascii)
    def test_an_id_that_is_none_reads_nothing(self, store: StorageBackend, trace_id: str) -> None:
        assert store.load(trace_id) is None

    @pytest.mark.parametrize("trace_id", ODD_IDS, ids=ascii)
    def test_an_id_that_is_none_is_refused(self, store: StorageBackend, trace_id: str) -> None:
        if isinstance(store, MemoryStore):
            pytest.skip("keeps its traces under no path and in no table")
        with pytest.raises(StoreError, match="trace id"):
            store.save(TraceGraph(trace_id=trace_id, name="odd"))

    def test_threads_write_one_store_together(self, store: StorageBackend) -> None:
        threads = [threading.Thread(target=record, args=(store,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        traces = [store.load(trace_id) for trace_id in store.list_traces()]
        assert [len(trace.nodes) for trace in traces if trace is not None] == [4] * 8

    def test_closing_while_threads_write_crashes_no_process(self, store: StorageBackend) -> None:
        close = getattr(store, "close", lambda: None)
        threads = [threading.Thread(target=record, args=(store,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            close()
        assert len(store.list_traces()) == 4

    def test_a_list_says_what_loading_each_trace_says(self, store: StorageBackend) -> None:
        record_all_kinds(store)
        listed = summaries(store)
        assert listed == summaries_by_loading(store)
        assert len(listed) == 6
        assert {summary.status for summary in listed} == {"failed", "paused", "completed"}

    def test_a_list_shows_what_is_not_finished(self, store: StorageBackend) -> None:
        record_all_kinds(store)
        with Tracer(storage=store).trace("still open", tags=["c"]) as root, root.node("step"):
            if hasattr(store, "write_event"):
                (summary,) = summaries(store, tag="c", status="running")
                assert (summary.name, summary.node_count) == ("still open", 2)
            assert summaries(store) == summaries_by_loading(store)
        assert summaries(store, tag="c", status="running") == []

    @pytest.mark.parametrize(("wanted", "names"), WANTED, ids=lambda value: ascii(value))
    def test_a_list_is_narrowed(
        self, store: StorageBackend, wanted: dict[str, Any], names: set[str]
    ) -> None:
        record_all_kinds(store)
        found = summaries(store, **wanted)
        assert {summary.name for summary in found} == names
        chosen = TraceFilter(**wanted)
        assert found == [each for each in summaries_by_loading(store) if chosen.matches(each)]

    def test_a_list_has_a_limit(self, store: StorageBackend) -> None:
        record_all_kinds(store)
        everything = list(list_summaries(store))
        assert list(list_summaries(store, limit=3)) == everything[:3]
        assert list(list_summaries(store, TraceFilter(name="weather"), 1)) == everything[-1:]

    def test_recording_goes_on_while_a_list_is_read(self, store: StorageBackend) -> None:
        record_all_kinds(store)
        listed = list_summaries(store)
        first = next(listed)
        record(store, "meanwhile")
        assert len({first.trace_id, *(summary.trace_id for summary in listed)}) >= 6

    def test_old_traces_are_removed(self, store: StorageBackend) -> None:
        record_all_kinds(store)
        if not can_remove(store):
            with pytest.raises(StoreError, match="cannot remove traces"):
                prune(store, keep=1)
            return
        (removed,) = prune(store, older_than=START + HOUR)
        assert removed.name == "weather_agent"
        assert prune(store, older_than=START + HOUR) == []
        kept = summaries(store)[:2]
        assert len(prune(store, keep=2)) == 3
        assert summaries(store) == kept
        assert len(store.list_traces()) == 2

    def test_what_runs_is_removed_only_when_asked_for(self, store: StorageBackend) -> None:
        if not can_remove(store):
            return
        with Tracer(storage=store).trace("still open") as root, root.node("step"):
            assert prune(store, status="running") == []
            assert prune(store, older_than=datetime.now(timezone.utc) + HOUR) == []
            assert len(prune(store, status="running", running=True)) == 1
            assert store.load(root.trace.trace_id) is None
