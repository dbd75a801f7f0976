"""Bounds and edges that no other test comes near: each fails when its guard is taken out."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from logtracer import FileStore, MemoryStore, Node, TraceGraph, Tracer, open_store
from logtracer_extras.background import BackgroundStore
from logtracer_extras.listing import list_summaries
from logtracer_extras.sqlite import SQLiteStore

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://agent:hunter2secret@db/traces",
        "mysql://db/traces?user=agent&password=hunter2secret",
        "postgresql:agent:hunter2secret@db/traces?password=hunter2secret",
        "mysql:///traces?password=hunter2secret",
    ],
)
def test_a_refused_url_of_a_store_shows_no_password(url: str) -> None:
    with pytest.raises(ValueError, match="unknown storage") as found:
        open_store(url)
    assert "hunter2" not in str(found.value)


# Caches: a host may have endless names and keys


def test_endless_keys_names_and_types_fill_no_memory(tmp_path: Path) -> None:
    tracer = Tracer(storage=FileStore(tmp_path))
    with tracer.trace("run") as root:
        for number in range(4_200):
            with root.node(f"name {number}", f"type {number}") as step:
                step.output(**{f"key_{number}": "x"})
        assert len(root.trace.nodes) == 4_201
    capture = tracer._capture
    caches: list[dict[Any, Any]] = [capture._names, capture._keys, capture._headings]
    assert [len(cache) for cache in caches] == [4_096] * 3
    last = root.trace.find("name 4199")
    assert last is not None and last.output_data == {"key_4199": "x"}


def test_a_long_name_is_not_remembered() -> None:
    tracer = Tracer()
    with tracer.trace("run") as root, root.node("x" * 300):
        pass
    assert len(root.trace.nodes) == 2
    assert all(len(name) <= 200 for name in tracer._capture._names)
    assert all(len(name) <= 200 for name, _ in tracer._capture._headings)


# Stores


class Refusing(MemoryStore):
    """A store that takes events together, and is away when it is given some."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False

    def write_event(self, trace_id: str, event: str, line: str) -> None:
        if self.is_away:
            raise OSError("the store is away")

    def write_events(self, events: list[tuple[str, str, str]]) -> None:
        if self.is_away:
            raise OSError("the store is away")


def test_every_event_of_a_batch_that_is_lost_is_counted() -> None:
    inner = Refusing()
    store = BackgroundStore(inner)
    store.write_event("a" * 32, "trace.started", "{}\n")
    assert store.flush(60)
    inner.is_away = True
    batch = [("a" * 32, "node.completed", "{}\n")] * 7
    store._thread = None  # as in a process that can start none: what fails is not tried again
    store._write_events(batch)
    assert store.dropped == 7


def stored(store: SQLiteStore, count: int) -> set[str]:
    """Save traces that all started at the same moment."""
    ids = set()
    for number in range(count):
        trace = TraceGraph(trace_id=f"{number:032x}", name="run", start_time=NOON, end_time=NOON)
        trace.add_node(Node(name="run", node_type="trace", start_time=NOON, end_time=NOON))
        store.save(trace)
        ids.add(trace.trace_id)
    return ids


def test_a_page_may_end_among_traces_that_started_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SQLiteStore(tmp_path / "traces.db")
    [table] = [module for name, module in sys.modules.items() if name.endswith("trace_table")]
    monkeypatch.setattr(table, "_PAGE", 3)
    ids = stored(store, 10)
    listed = [summary.trace_id for summary in list_summaries(store)]
    assert len(listed) == 10 and set(listed) == ids
    later = TraceGraph(trace_id="f" * 32, name="run", start_time=NOON + timedelta(seconds=1))
    store.save(later)
    assert [summary.trace_id for summary in list_summaries(store)] == ["f" * 32, *listed]
