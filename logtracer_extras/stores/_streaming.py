"""What stores beside the tracer share: the streaming method for any of them, the check of ids."""

from __future__ import annotations

import re
from typing import Any, cast

from logtracer import (
    StorageBackend,
    StoreError,
    StreamingBackend,
    TraceGraph,
    merge_traces,
    trace_from_journal,
)

__all__ = ["as_streaming", "check_id", "flushed"]

_TRACE_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")


def check_id(trace_id: str) -> None:
    """Raise StoreError for what is no trace id, as FileStore does: none may lead out of a store."""
    if not _TRACE_ID.fullmatch(trace_id):
        raise StoreError(f"trace id {ascii(trace_id)[:80]} is not 1 to 64 of 0-9 A-Z a-z _ -")


def flushed(store: Any, timeout: float | None) -> bool:
    """Flush a store, if it can be flushed, and tell whether that came to its end."""
    flush = getattr(store, "flush", None)
    return not callable(flush) or flush(timeout) is not False  # most have nothing to tell


def as_streaming(store: StorageBackend) -> StreamingBackend:
    """Return the store itself when it takes events, else one that gathers and saves them."""
    if callable(getattr(store, "write_event", None)):
        return cast(StreamingBackend, store)
    return _Gathering(store)


class _Gathering:
    """Gather a trace's events in memory, and save the trace when it has ended.

    One that the store would not take is kept until the next one ends: whoever hands out events
    may try again, or may not.
    """

    def __init__(self, store: StorageBackend) -> None:
        self._store = store
        self._refused = ""  # the id of the trace that was not taken
        self._lines: dict[str, list[str]] = {}
        self._begun: set[str] = set()  # traces whose own end is still to come

    def save(self, trace: TraceGraph) -> None:
        """Keep a trace, replacing the one with its id."""
        self._store.save(trace)

    def load(self, trace_id: str) -> TraceGraph | None:
        """Return the trace, also while it is gathered."""
        stored = self._store.load(trace_id)
        lines = self._lines.get(trace_id)
        if not lines:
            return stored
        gathered = trace_from_journal(lines, trace_id)
        return gathered if stored is None else merge_traces([stored, gathered])

    def list_traces(self) -> list[str]:
        """Return the ids of all traces, those that are gathered last."""
        return list(dict.fromkeys([*self._store.list_traces(), *self._lines]))

    def flush(self, timeout: float | None = None) -> bool:
        """Flush the store, if it can be flushed; tell whether that came to its end."""
        return flushed(self._store, timeout)

    def close(self) -> None:
        """Close the store, if it can be closed."""
        close = getattr(self._store, "close", None)
        if callable(close):
            close()

    def write_event(self, trace_id: str, event: str, line: str) -> None:
        """Gather one event; the last one of a trace, or of a part of it, saves it."""
        self._lines.setdefault(trace_id, []).append(line)
        if event == "trace.started":
            self._begun.add(trace_id)
        if event == "trace.completed":
            self._begun.discard(trace_id)
        elif event != "part.completed" or trace_id in self._begun:
            return
        if self._refused != trace_id:
            self._lines.pop(self._refused, None)
        try:
            trace = self.load(trace_id)
            if trace is not None:
                trace.trace_id = trace_id  # what is added late does not say whose it is
                self._store.save(trace)
        except OSError:
            self._refused = trace_id
            raise
        except BaseException:  # it will never be taken
            self._lines.pop(trace_id, None)
            raise
        self._lines.pop(trace_id, None)
