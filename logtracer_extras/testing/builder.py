"""Build traces by hand: seconds instead of a clock, ids that count up."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

from logtracer import Edge, EdgeType, Node, NodeStatus, TraceGraph

__all__ = ["START", "TraceBuilder"]

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
"""When a trace begins that a builder makes, unless it is told otherwise."""


class _Root:
    """The type of the parent that stands for the builder's own root."""

    def __repr__(self) -> str:
        return "<root>"


_ROOT = _Root()
_OPEN = (NodeStatus.PENDING, NodeStatus.RUNNING, NodeStatus.PAUSED, NodeStatus.INTERRUPTED)
_STEP = 1.0  # seconds that a node takes when nobody says how long


def _counted(number: int) -> str:
    return f"{number:016x}"


class TraceBuilder:
    """Builds one trace, node by node; the same calls give the same trace, to the byte.

    Times are seconds from `start`. A node begins when the one before it below the same parent
    ended. It takes a second, or until the last node below it ends, unless `end` says otherwise.

    >>> builder = TraceBuilder("weather_agent")
    >>> plan = builder.node("plan", "llm_call", input={"query": "Paris?"}, model="small-1")
    >>> search = builder.node("search", "tool_call", error="timed out")
    >>> again = builder.node("search", "tool_call", output={"celsius": 18})
    >>> edge = builder.link(search, again, "retry_of")
    >>> [node.name for node in builder.trace.nodes.values()]
    ['weather_agent', 'plan', 'search', 'search']
    """

    def __init__(
        self,
        name: str = "run",
        *,
        trace_id: str = "0" * 31 + "1",
        start: datetime = START,
        end: float | None = None,
        has_root: bool = True,
        new_id: Callable[[int], str] = _counted,
    ) -> None:
        self.trace = TraceGraph(trace_id=trace_id, name=name, start_time=start, end_time=start)
        self._start = start
        self._new_id = new_id
        self._fixed: set[str] = set()  # nodes that were told when to end
        self._next: dict[str | None, datetime] = {}  # when the next child of a node begins
        self.root: Node | None = None
        if has_root:
            self.root = self.node(name, "trace", parent=None, start=0.0, end=end)

    def node(
        self,
        name: str,
        node_type: str = "custom",
        *,
        parent: Node | str | _Root | None = _ROOT,
        start: float | None = None,
        end: float | None = None,
        status: NodeStatus | str | None = None,
        input: dict[str, Any] | None = None,
        output: dict[str, Any] | None = None,
        error: str | None = None,
        error_type: str | None = None,
        model: str | None = None,
        tokens: tuple[int, int] | None = None,
        metadata: dict[str, Any] | None = None,
        annotations: Iterable[str] = (),
        id: str | None = None,
    ) -> Node:
        """Add a node and return it; it may be changed until the trace is used.

        It has completed, or failed when there is an error, unless `status` says otherwise; one
        that is not over has no end. `parent` is a node, an id, or None for a node at the top.
        `tokens` are what a model read and wrote.
        """
        broken = error is not None or error_type is not None
        number = len(self.trace.nodes)
        node = Node(id or self._new_id(number + 1), number, name, node_type)
        node.status = NodeStatus(status or ("failed" if broken else "completed"))
        node.parent_id = self._id_of(parent)
        node.error, node.error_type = error, error_type
        node.input_data, node.output_data = dict(input or {}), dict(output or {})
        node.annotations = list(annotations)
        node.metadata = {**_model_facts(model, tokens), **(metadata or {})}
        if start is not None:
            node.start_time = self._at(start)
        if end is not None:
            node.end_time = self._at(end)
        return self.add(node)

    def add(self, node: Node) -> Node:
        """Add a node that is made already; the times it lacks are filled in."""
        above = self.trace.nodes.get(node.parent_id or "")
        if above is not None:
            node.depth = above.depth + 1
        if node.start_time is None:
            began = self._start if above is None else above.start_time
            node.start_time = self._next.get(node.parent_id, began)
        if node.end_time is not None:
            self._fixed.add(node.id)
        elif node.status not in _OPEN and node.start_time is not None:
            node.end_time = node.start_time + timedelta(seconds=_STEP)
        self.trace.add_node(node)
        if above is not None:
            self.link(above, node, EdgeType.CAUSED_BY)
        self._make_room(node)
        return node

    def link(
        self, earlier: Node, later: Node, edge_type: str = EdgeType.DATA_FLOW, label: str = ""
    ) -> Edge:
        """Add an edge from an earlier node to a later one, and return it."""
        edge = Edge(earlier.id, later.id, edge_type, label)
        self.trace.add_edge(edge)
        return edge

    def end(self, node: Node, seconds: float) -> None:
        """Let a node end then, and the trace with its root."""
        node.end_time = self._at(seconds)
        self._fixed.add(node.id)
        if node is self.root:
            self.trace.end_time = node.end_time

    def _at(self, seconds: float) -> datetime:
        return self._start + timedelta(seconds=seconds)

    def _id_of(self, parent: Node | str | _Root | None) -> str | None:
        if isinstance(parent, _Root):
            return None if self.root is None else self.root.id
        return parent.id if isinstance(parent, Node) else parent

    def _make_room(self, node: Node) -> None:
        """Let what is around a node end no sooner than the node, unless it was told when."""
        ended = node.end_time or node.start_time
        if ended is None:
            return
        self._next[node.parent_id] = ended
        above = self.trace.nodes.get(node.parent_id or "")
        while above is not None and above.id not in self._fixed:
            if above.end_time is None or above.end_time >= ended:
                break
            above.end_time = self._next[above.parent_id] = ended
            above = self.trace.nodes.get(above.parent_id or "")
        top = self.root or node
        if top.end_time is not None and (self.trace.end_time or self._start) < top.end_time:
            self.trace.end_time = top.end_time


def _model_facts(model: str | None, tokens: tuple[int, int] | None) -> dict[str, Any]:
    facts: dict[str, Any] = {} if model is None else {"gen_ai.request.model": model}
    if tokens is not None:
        facts["gen_ai.usage.input_tokens"], facts["gen_ai.usage.output_tokens"] = tokens
    return facts
