"""Write every trace to several stores.

from logtracer import FileStore
from logtracer_extras.otlp import OTLPStore
from logtracer_extras.tee import TeeStore

store = TeeStore(FileStore("./traces"), OTLPStore("http://localhost:4318"))
"""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Callable, Iterator
from typing import Any

from logtracer import StorageBackend, StoreError, StreamingBackend, TraceGraph

from .listing import EVERYTHING, TraceFilter, TraceSummary, list_summaries, newest_first
from .streaming import as_streaming, check_id

__all__ = ["TeeStore"]

_logger = logging.getLogger("logtracer")


class TeeStore:
    """Write to every store; one that fails does not stop the others.

    Reads come from the first store that has the trace. Raises StoreError only when no store took
    what was written; `failures` counts, for each store, what it did not take.
    """

    def __init__(self, *stores: StorageBackend) -> None:
        if not stores:
            raise ValueError("TeeStore needs at least one store")
        self.stores = stores
        self.failures = [0] * len(stores)
        self._streams: list[StreamingBackend] = [as_streaming(store) for store in stores]

    def __repr__(self) -> str:
        return f"TeeStore({', '.join(map(repr, self.stores))})"

    def save(self, trace: TraceGraph) -> None:
        """Keep a trace in every store."""
        check_id(trace.trace_id)
        self._each(lambda store: store.save(trace))

    def load(self, trace_id: str) -> TraceGraph | None:
        """Return the trace from the first store that has it."""
        for store in self._streams:
            trace = store.load(trace_id)
            if trace is not None:
                return trace
        return None

    def list_traces(self) -> list[str]:
        """Return the ids that any store has, in the order of the stores."""
        ids = [trace_id for store in self._streams for trace_id in store.list_traces()]
        return list(dict.fromkeys(ids))

    def list_summaries(
        self, wanted: TraceFilter = EVERYTHING, limit: int | None = None
    ) -> Iterator[TraceSummary]:
        """Yield the wanted traces that any store has, newest first, each once."""
        lists = [list_summaries(store, wanted) for store in self._streams]
        return itertools.islice(_each_once(heapq.merge(*lists, key=newest_first)), limit)

    def write_event(self, trace_id: str, event: str, line: str) -> None:
        """Hand one event to every store; see logtracer.StreamingBackend."""
        self._each(lambda store: store.write_event(trace_id, event, line))

    def flush(self, timeout: float | None = None) -> None:
        """Flush every store that can be flushed."""
        self._each(lambda store: _call(store, "flush", timeout))

    def close(self) -> None:
        """Close every store that can be closed."""
        self._each(lambda store: _call(store, "close"))

    def _each(self, action: Callable[[StreamingBackend], object]) -> None:
        problems = []
        for position, store in enumerate(self._streams):
            try:
                action(store)
            except Exception as problem:  # the other stores are not to suffer for it
                self.failures[position] += 1
                problems.append(f"{type(self.stores[position]).__name__}: {problem}")
        if len(problems) == len(self._streams):
            raise StoreError("; ".join(problems))
        if problems and sum(self.failures) == len(problems):  # the first time
            _logger.warning("a store of the tee failed: %s", "; ".join(problems))


def _each_once(summaries: Iterator[TraceSummary]) -> Iterator[TraceSummary]:
    seen: set[str] = set()
    for summary in summaries:
        if summary.trace_id not in seen:
            seen.add(summary.trace_id)
            yield summary


def _call(store: Any, method: str, *arguments: Any) -> None:
    function = getattr(store, method, None)
    if callable(function):
        function(*arguments)
