"""Write every trace to several stores.

from logtracer import FileStore
from logtracer_extras.otlp import OTLPStore
from logtracer_extras.tee import TeeStore

store = TeeStore(FileStore("./traces"), OTLPStore("http://localhost:4318"))
"""

from __future__ import annotations

import dataclasses
import functools
import heapq
import itertools
import logging
import math
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from logtracer import StorageBackend, StoreError, StreamingBackend, TraceGraph, merge_traces

from ._streaming import as_streaming, check_id, flushed
from .listing import list_summaries
from .summaries import EVERYTHING, TraceFilter, TraceSummary, newest_first, summary_of

__all__ = ["TeeStore"]

T = TypeVar("T")

_logger = logging.getLogger("logtracer")


class TeeStore:
    """Write to every store; one that fails does not stop the others.

    A trace is read from all stores: one may have what another did not take. What a store that
    cannot be read holds is missing. Raises StoreError only when no store took what was written,
    or when none could be read; `failures` counts, for each store, what it did not take or tell.
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
        """Return what the stores have of the trace."""
        problems: list[str] = []
        traces: list[TraceGraph] = []
        for position, store in enumerate(self._streams):
            try:
                trace = store.load(trace_id)
            except Exception as problem:  # another one may have it
                problems.append(self._note(position, problem))
            else:
                traces += [] if trace is None else [trace]
        if problems and not traces:  # it may have been there
            raise StoreError("; ".join(problems))
        return _union(traces)

    def list_traces(self) -> list[str]:
        """Return the ids that any store has, in the order of the stores."""
        lists = self._each(lambda store: store.list_traces())
        return list(dict.fromkeys(itertools.chain(*lists)))

    def list_summaries(
        self, wanted: TraceFilter = EVERYTHING, limit: int | None = None
    ) -> Iterator[TraceSummary]:
        """Yield the wanted traces that any store has, newest first, each once."""
        lists = self._each(lambda store: _begun(list_summaries(store, wanted)))
        merged = heapq.merge(*lists, key=newest_first)
        return itertools.islice(self._each_once(merged, wanted), limit)

    def write_event(self, trace_id: str, event: str, line: str) -> None:
        """Hand one event to every store; see logtracer.StreamingBackend."""
        self._each(lambda store: store.write_event(trace_id, event, line))

    def flush(self, timeout: float | None = None) -> bool:
        """Flush every store that can be flushed; tell whether all came to their end."""
        until = math.inf if timeout is None else time.monotonic() + timeout
        answers = self._each(
            lambda store: flushed(
                store, None if timeout is None else max(0, until - time.monotonic())
            )
        )
        return len(answers) == len(self.stores) and all(answers)

    def close(self) -> None:
        """Close every store that can be closed."""
        self._each(lambda store: getattr(store, "close", _nothing)())

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

    def _each_once(
        self, summaries: Iterator[TraceSummary], wanted: TraceFilter
    ) -> Iterator[TraceSummary]:
        """Yield each trace once; where stores do not say the same of it, as it is loaded."""
        seen: set[str] = set()
        for trace_id, same in itertools.groupby(summaries, key=lambda summary: summary.trace_id):
            if trace_id in seen:
                continue
            seen.add(trace_id)
            first, *others = same
            if all(_facts(other) == _facts(first) for other in others):
                yield first
                continue
            found = summary_of(trace_id, functools.partial(self.load, trace_id))
            if found is not None and wanted.matches(found):
                yield found

    def _note(self, position: int, problem: Exception) -> str:
        """Count what a store did not do, tell of the first time, and return what was wrong."""
        text = f"{type(self.stores[position]).__name__}: {problem}"
        self.failures[position] += 1
        if self.failures[position] == 1:
            _logger.warning("a store of the tee failed: %s", text)
        return text


def _facts(summary: TraceSummary) -> TraceSummary:
    return dataclasses.replace(summary, path="")


def _begun(summaries: Iterator[TraceSummary]) -> Iterator[TraceSummary]:
    """Ask for the first one at once: a store that cannot be read says so now."""
    first = list(itertools.islice(summaries, 1))
    return itertools.chain(first, summaries)


def _union(traces: list[TraceGraph]) -> TraceGraph | None:
    """Return what several stores have of a trace, under the name that it began with."""
    if len(traces) < 2:
        return next(iter(traces), None)
    traces.sort(key=lambda trace: (trace.start_time is None, str(trace.start_time)))
    try:
        return merge_traces([dataclasses.replace(traces[0]), *traces[1:]])  # a store may own it
    except TypeError:  # made by hand: in memory its times have no zone, in a file they do
        return traces[0]


def _nothing() -> None:
    """Stand in for a method that a store need not have."""
