"""What tests ask of a recorded trace."""

from __future__ import annotations

from logtracer import Node, TraceGraph, Tracer


def only_trace(tracer: Tracer) -> TraceGraph:
    """Return the one trace that a tracer has saved."""
    [trace_id] = tracer.storage.list_traces()
    found = tracer.storage.load(trace_id)
    assert found is not None
    return found


def named(trace: TraceGraph, name: str) -> Node:
    """Return the one node of a name."""
    [node] = [node for node in trace.nodes.values() if node.name == name]
    return node


def parents(trace: TraceGraph) -> dict[str, str | None]:
    """Return the name of each node's parent, by the node's name."""
    nodes = trace.nodes
    return {
        node.name: None if node.parent_id is None else nodes[node.parent_id].name
        for node in nodes.values()
    }


def statuses(trace: TraceGraph) -> dict[str, str]:
    """Return the status of each node, by its name."""
    return {node.name: node.status.value for node in trace.nodes.values()}
