"""Find retries and fallbacks, and where values went, while a run is recorded.

    from logtracer import FileStore, Tracer
    from logtracer_extras.stores.inferring import InferringStore

    tracer = Tracer(storage=InferringStore(FileStore("./traces")))

What is found stands in the trace as edges that say `{"inferred": True}`. The rules are those by
which `logtracer_extras.analysis` finds them in traces that were recorded without.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from logtracer import Edge, Node, NodeStatus, StorageBackend, TraceGraph

from ..analysis import infer_data_flow, infer_retries
from ..analysis.data_flow import DataFlow
from ._streaming import flushed

__all__ = ["InferringStore"]

_logger = logging.getLogger("logtracer")
_MOST = 10_000  # siblings that are looked at: a run without an end must not fill the memory
_LAST = ("trace.completed", "part.completed")
_ENDED = ("node.completed", "node.failed")
_UNDONE = (NodeStatus.FAILED, NodeStatus.CANCELLED)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


class InferringStore:
    """Hand every trace to `inner`, with the retries and fallbacks that nobody recorded.

    When a step ends its children are compared, and what is found follows as edges. `data_flow`
    adds, at the end of the trace, what one step gave and a later one took. Kept meanwhile are
    the inputs of steps whose parent is open, and hashes of values for `data_flow`. Of a step
    with 10,000 children or more nothing is inferred: who reads the trace can.
    """

    def __init__(self, inner: StorageBackend, *, data_flow: bool = False) -> None:
        self.inner = inner
        self._follows_data = data_flow
        self._traces: dict[str, _Inference] = {}
        self._stream: Any = inner
        if callable(getattr(inner, "write_event", None)):  # only then does a tracer stream
            self.write_event = self._write_event

    def __repr__(self) -> str:
        return f"InferringStore({self.inner!r})"

    def save(self, trace: TraceGraph) -> None:
        """Keep a trace with the edges that are found in it."""
        edges = infer_retries(trace)
        if self._follows_data:
            edges += infer_data_flow(trace)
        self.inner.save(replace(trace, edges=trace.edges + edges))

    def load(self, trace_id: str) -> TraceGraph | None:
        """Return the trace as `inner` has it."""
        return self.inner.load(trace_id)

    def list_traces(self) -> list[str]:
        """Return the ids of all traces of `inner`."""
        return self.inner.list_traces()

    def flush(self, timeout: float | None = None) -> bool:
        """Flush `inner`, if it can be flushed; tell whether that came to its end."""
        return flushed(self.inner, timeout)

    def close(self) -> None:
        """Close `inner`, if it can be closed."""
        getattr(self.inner, "close", _nothing)()

    def _write_event(self, trace_id: str, event: str, line: str) -> None:
        """Hand an event on, and after it what it tells; before the event that ends a trace."""
        if event not in _LAST:
            self._stream.write_event(trace_id, event, line)
        try:
            for edge in self._told(trace_id, event, line):
                text = json.dumps({"event": "edge", **edge.to_dict()}, separators=(",", ":"))
                self._stream.write_event(trace_id, "edge", f"{text}\n")
        except Exception as problem:  # the steps are what counts; a reader infers what is missing
            _logger.warning("an inferred edge is missing: %s", problem)
        if event in _LAST:
            self._stream.write_event(trace_id, event, line)

    def _told(self, trace_id: str, event: str, line: str) -> Iterator[Edge]:
        if event in _LAST:
            known = self._traces.pop(trace_id, None)
            return iter(()) if known is None else known.rest()
        known = self._traces.get(trace_id)
        if known is None:  # setdefault: another thread may be as far
            known = self._traces.setdefault(trace_id, _Inference(self._follows_data))
        return known.take(event, line)


class _Inference:
    """What is kept of a trace that goes on; every change of it is one step for other threads."""

    def __init__(self, follows_data: bool) -> None:
        self._flow = DataFlow() if follows_data else None
        self._scopes: dict[str | None, list[Node]] = {}  # ended steps by the id of their parent
        self._recorded: list[Edge] = []

    def take(self, event: str, line: str) -> Iterator[Edge]:
        """Take an event and yield the edges between the children of a step that has ended."""
        if event == "edge":
            self._recorded.append(Edge.from_dict(json.loads(line)))
        elif event in _ENDED:
            node = Node.from_dict(json.loads(line)["node"])
            if self._flow is not None:
                self._flow.add(node, _moment(node.start_time), _moment(node.end_time), node.depth)
            scope = self._scopes.setdefault(node.parent_id, [])
            if len(scope) < _MOST:
                node.output_data, node.error_traceback = {}, None  # not needed, and large
                scope.append(node)
            yield from self._scope_edges(node.id)

    def rest(self) -> Iterator[Edge]:
        """Yield, at the end, the edges between steps that outlived their parent, and the flow."""
        for parent_id in list(self._scopes):
            yield from self._scope_edges(parent_id)
        if self._flow is not None:
            yield from self._flow.edges(self._recorded)

    def _scope_edges(self, parent_id: str | None) -> list[Edge]:
        scope = self._scopes.pop(parent_id, [])
        if len(scope) >= _MOST or all(node.status not in _UNDONE for node in scope):
            return []
        nodes = {node.id: node for node in scope}
        edges = [edge for edge in self._recorded if edge.target_id in nodes]
        return infer_retries(TraceGraph(nodes=nodes, edges=edges))


def _moment(time: datetime | None) -> int:
    return 0 if time is None else (time - _EPOCH) // _MICROSECOND


def _nothing(*arguments: object) -> None:
    """Stand in for a method that a store need not have."""
