"""A trace in a few lines of plain text, for messages and reports."""

from __future__ import annotations

from logtracer import Node, NodeStatus, TraceGraph

from ..facts import error_text, path_text, title_of
from ..why import explain

__all__ = ["failure_text", "outline", "why_text"]

_LINES = 40
_WIDTH = 100
_CAUSES = 3


def failure_text(node: Node) -> str:
    """Return what a node says of its failure, in a line; its status when it says nothing."""
    return _line(error_text(node).partition("\n")[0]) or str(node.status)


def outline(trace: TraceGraph, *, lines: int = _LINES) -> list[str]:
    """Return the tree of a trace, a node a line, with what it was given and what came out."""
    texts = [_line("  " * level + _node_text(node)) for level, node in trace.walk()]
    if len(texts) <= lines:
        return texts
    return [*texts[: lines - 1], f"... and {len(texts) - lines + 1} more nodes"]


def why_text(trace: TraceGraph) -> list[str]:
    """Return, for each failure, where it began; nothing when nothing failed."""
    texts: list[str] = []
    for item in explain(trace)[:_CAUSES]:
        path = path_text(trace, item.cause, title_of)
        ending = "it began with" if item.cause is not item.node else "why:"
        outcome = item.recovered_by or item.handled_by
        handled = f" (handled by {outcome.name})" if outcome is not None else ""
        texts.append(_line(f"{ending} {path}: {failure_text(item.cause)}{handled}"))
    return texts


def _node_text(node: Node) -> str:
    sign = "" if node.status == NodeStatus.COMPLETED else f" {node.status!s}"
    error = f" {failure_text(node)}" if error_text(node) else ""
    given = f" {node.input_data!r}" if node.input_data else ""
    result = f" -> {node.output_data!r}" if node.output_data else ""
    return f"{title_of(node)}{sign}{error}{given}{result}"


def _line(text: str) -> str:
    """Return a text as one line that no terminal obeys, and not too long."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[: 2 * _WIDTH])
    return shown if len(text) <= _WIDTH else shown[: _WIDTH - 3] + "..."
