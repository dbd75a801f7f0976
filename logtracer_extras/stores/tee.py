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
from typing import Any, TypeVar

from logtracer import StorageBackend, StoreError, StreamingBackend, TraceGraph

from ._streaming import as_streaming, check_id
from .listing import list_summaries
from .summaries import EVERYTHING, TraceFilter, TraceSummary, newest_first

__all__ = ["TeeStore"]

T = TypeVar("T")

_logger = logging.getLogger("logtracer")


class TeeStore:
    """Write to every store; one that fails does not stop the others.

    Reads come from the first store that has the trace; what a store that cannot be read holds is
    missing in a list. Raises StoreError only when no store took what was written, or when none
    could be read; `failures` counts, for each store, what it did not take or tell.
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
        problems: list[str] = []
        for position, store in enumerate(self._streams):
            try:
                trace = store.load(trace_id)
            except Exception as problem:  # another one may have it
                problems.append(self._note(position, problem))
                continue
            if trace is not None:
                return trace
        if problems:  # it may have been there
            raise StoreError("; ".join(problems))
        return None

    def list_traces(self) -> list[str]:
        """Return the ids that any store has, in the order of the stores."""
        lists = self._each(lambda store: store.list_traces())
        return list(dict.fromkeys(itertools.chain(*lists)))

    def list_summaries(
        self, wanted: TraceFilter = EVERYTHING, limit: int | None = None
    ) -> Iterator[TraceSummary]:
        """Yield the wanted traces that any store has, newest first, each once."""
        lists = self._each(lambda store: _begun(list_summaries(store, wanted)))
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

    def _each(self, action: Callable[[StreamingBackend], T]) -> list[T]:
        """Do the same to every store, and return what those said that did not fail."""
        answers: list[T] = []
        problems: list[str] = []
        for position, store in enumerate(self._streams):
            try:
                answers.append(action(store))
            except Exception as problem:  # the other stores are not to suffer for it
                problems.append(self._note(position, problem))
        if not answers:
            raise StoreError("; ".join(problems))
        return answers

    def _note(self, position: int, problem: Exception) -> str:
        """Count what a store did not do, tell of the first time, and return what was wrong."""
        text = f"{type(self.stores[position]).__name__}: {problem}"
        self.failures[position] += 1
        if self.failures[position] == 1:
            _logger.warning("a store of the tee failed: %s", text)
        return text


def _begun(summaries: Iterator[TraceSummary]) -> Iterator[TraceSummary]:
    """Ask for the first one at once: a store that cannot be read says so now."""
    first = list(itertools.islice(summaries, 1))
    return itertools.chain(first, summaries)


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
