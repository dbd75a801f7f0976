"""Fixed traces for tests of what is drawn: no clock, no random ids."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from logtracer import Edge, Node, NodeStatus, TraceGraph

START = datetime(2026, 11, 22, 18, 24, 23, tzinfo=timezone.utc)


class Sample:
    """Builds a trace from names and seconds; ids count up, the root is the first."""

    def __init__(self, name: str, seconds: float = 0.0, trace_id: str = "7f3a9c21") -> None:
        self.trace = TraceGraph(trace_id=trace_id.ljust(32, "0"), name=name, start_time=START)
        self.trace.end_time = START + timedelta(seconds=seconds)
        self.root = self.node(name, "trace", 0.0, seconds, parent=None)

    def node(
        self,
        name: str,
        node_type: str,
        start: float = 0.0,
        end: float | None = 0.0,
        *,
        parent: Node | None | str = "root",
        **facts: Any,
    ) -> Node:
        """Add a node that ran from `start` to `end` seconds; `end=None` leaves it open."""
        number = len(self.trace.nodes) + 1
        above = self.root if parent == "root" else parent
        node = Node(f"{number:016x}", number, name, node_type, NodeStatus.COMPLETED)
        node.start_time = START + timedelta(seconds=start)
        node.end_time = None if end is None else START + timedelta(seconds=end)
        node.parent_id = above.id if isinstance(above, Node) else above
        for field, value in facts.items():
            setattr(node, field, value)
        self.trace.add_node(node)
        if node.parent_id in self.trace.nodes:
            self.link(self.trace.nodes[node.parent_id], node, "caused_by")
        return node

    def link(self, earlier: Node, later: Node, edge_type: str, label: str = "") -> None:
        """Add an edge from an earlier node to a later one."""
        self.trace.add_edge(Edge(earlier.id, later.id, edge_type, label))


def weather() -> TraceGraph:
    """Return the run of the published README."""
    sample = Sample("weather_agent")
    sample.node(
        "classify_intent",
        "llm_call",
        input_data={"query": "What's the weather in Paris?"},
        output_data={"intent": "weather_lookup", "confidence": 0.95},
        annotations=["High confidence — routing to weather tool"],
    )
    sample.node(
        "weather_api",
        "tool_call",
        input_data={"location": "Paris"},
        output_data={"temperature_c": 18, "condition": "partly cloudy"},
    )
    return sample.trace


def failing(**facts: Any) -> dict[str, Any]:
    """Return the facts of a node that failed."""
    return {"status": NodeStatus.FAILED, **facts}
