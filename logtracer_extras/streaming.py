"""Give any store the streaming method, so that stores can be combined."""

from __future__ import annotations

from typing import cast

from logtracer import StorageBackend, StreamingBackend, TraceGraph, trace_from_journal

__all__ = ["as_streaming"]


def as_streaming(store: StorageBackend) -> StreamingBackend:
    """Return the store itself when it takes events, else one that gathers and saves them."""
    if callable(getattr(store, "write_event", None)):
        return cast(StreamingBackend, store)
    return _Gathering(store)


class _Gathering:
    """Gather a trace's events in memory, and save the trace when it has ended."""

    def __init__(self, store: StorageBackend) -> None:
        self._store = store
        self._lines: dict[str, list[str]] = {}

    def save(self, trace: TraceGraph) -> None:
        """Keep a trace, replacing the one with its id."""
        self._store.save(trace)

    def load(self, trace_id: str) -> TraceGraph | None:
        """Return the trace, also while it is gathered."""
        lines = self._lines.get(trace_id)
        return trace_from_journal(lines) if lines else self._store.load(trace_id)

    def list_traces(self) -> list[str]:
        """Return the ids of all traces that were saved."""
        return self._store.list_traces()

    def write_event(self, trace_id: str, event: str, line: str) -> None:
        """Gather one event; the last one of a trace saves it."""
        self._lines.setdefault(trace_id, []).append(line)
        if event == "trace.completed":
            self._store.save(trace_from_journal(self._lines.pop(trace_id)))
