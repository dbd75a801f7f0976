"""Traces in a form that a test can compare: no ids, no times."""

from __future__ import annotations

import re
from contextlib import ExitStack

from logtracer import Node, Span, TraceGraph, Tracer, trace_to_json

_UNREADABLE = r"NON-SERIALIZABLE| at 0x[0-9a-f]{6,}"
_MARKS = {"completed": "", "running": " (running)"}


def tree(trace: TraceGraph) -> list[str]:
    """Return a line for each node below the root: indentation, type, name, and a bad end."""
    return [
        f"{'  ' * (level - 1)}{node.node_type} {node.name}"
        + _MARKS.get(node.status, f" ({node.status})")
        for level, node in trace.walk()
        if level
    ]


def last_trace(tracer: Tracer) -> TraceGraph:
    """Return the trace that was recorded last."""
    found = tracer.storage.load(tracer.storage.list_traces()[-1])
    assert found is not None
    return found


def unreadable_in(trace: TraceGraph) -> list[str]:
    """Return what is kept of objects that nobody can read, and addresses, new in each run."""
    return re.findall(rf'[^"]*(?:{_UNREADABLE})', trace_to_json(trace, indent=None))


def nodes_of_type(trace: TraceGraph, node_type: str) -> list[Node]:
    """Return the nodes of a type, in start order."""
    return [node for node in trace.nodes.values() if node.node_type == node_type]


def only_call(trace: TraceGraph) -> Node:
    """Return the trace's one model call."""
    (call,) = nodes_of_type(trace, "llm_call")
    return call


def begin_trace(stack: ExitStack, tracer: Tracer) -> Span:
    """Open a trace for as long as the stack is.

    A fixture that yields is a generator, and what a generator opens is current for its own code
    alone: so it calls this function.
    """
    return stack.enter_context(tracer.trace("run"))
