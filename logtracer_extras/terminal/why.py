"""`logtracer why`: from a failed node back to its cause."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import groupby

from logtracer import EdgeType, Node, NodeStatus, TraceGraph
from logtracer_cli import (
    TRACE_HELP,
    Line,
    Pen,
    Screen,
    add_data_flow,
    count,
    find_node,
    find_trace,
    inferred_edges,
    with_data_flow,
)

from ..facts import attempt_titles, error_text, path_text, title_of
from ..why import BROKEN, DECISION, PART_OF, Cause, Explanation, explain, looked_for
from ._diff_text import Layout, more

__all__ = ["add_arguments", "run", "why_lines"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("trace", help=TRACE_HELP)
    parser.add_argument("node", nargs="?", help="a node's id, or how it ends; else every failure")
    parser.add_argument("--json", action="store_true", help="print the explanations as JSON")
    parser.add_argument("--limit", type=count, default=200, metavar="N", help="lines, 0 for all")
    add_data_flow(parser)


def run(options: argparse.Namespace, screen: Screen) -> int:
    """Explain; a run in which nothing failed is answered with 1."""
    trace = with_data_flow(find_trace(options.trace, options.store), options)
    trace.edges += inferred_edges(trace)
    node_id = None if options.node is None else find_node(trace, options.node).id
    if options.json:
        explanations = explain(trace, node_id)
        screen.show_json([explanation.to_dict() for explanation in explanations])
        return 0 if explanations else 1
    lines = why_lines(trace, node_id, screen.pen, limit=options.limit or sys.maxsize)
    screen.show(lines or [[("no node failed; to compare it with another: logtracer diff", "")]])
    return 0 if lines else 1


_RELATIONS: dict[str, str] = {
    EdgeType.RETRY_OF: "retry of",
    EdgeType.FALLBACK_OF: "fallback after",
    EdgeType.DATA_FLOW: "fed by",
    EdgeType.CAUSED_BY: "caused by",
    EdgeType.BRANCHED_FROM: "branched from",
    DECISION: "decided by",
    PART_OF: "part of",
}

_GIVES_OUTPUT = (EdgeType.DATA_FLOW, DECISION)  # relations in which the output is what mattered


def why_lines(trace: TraceGraph, node_id: str | None, pen: Pen, *, limit: int = 200) -> list[Line]:
    """Return the explanations as lines; none when nothing failed.

    A line that starts with `!` is a failure that lasted, one with `~` one that was recovered from.
    `limit` bounds the lines, to the end of an explanation; a wide pen cuts nothing else.
    """
    layout = Layout(pen)
    drawing, (search, failures) = _Drawing(trace, layout), looked_for(trace, node_id)
    lines: list[Line] = []
    for number, node in enumerate(failures):
        if len(lines) >= limit:  # not explained at all: each may lead back through all of the trace
            return [*lines, [], layout.fold(more(len(failures) - number, "failure"))]
        lines += [*([[]] if lines else []), *drawing.lines(search.explanation(node))]
    return lines


_CAUSES = 20  # steps shown on the way back from one failure: the nearest, and where it began

_FARTHEST = 3


def _sign(explanation: Explanation) -> str:
    if explanation.node.status not in (*BROKEN, NodeStatus.CANCELLED):
        return " "  # it was asked for
    return "~" if explanation.recovered_by else "!"


class _Drawing:
    """Write explanations of one trace."""

    def __init__(self, trace: TraceGraph, layout: Layout) -> None:
        self._trace, self._layout = trace, layout
        self._marks = attempt_titles(trace)

    def lines(self, explanation: Explanation) -> Iterator[Line]:
        """Yield the failure, what came of it, then the steps back to its cause."""
        node = explanation.node
        yield self._layout.node_line(_sign(explanation), 0, self._path(node), str(node.status))
        yield from self._facts(node, 0, shows_output=False)
        if node.input_data:
            yield self._layout.line(" ", 1, f"given: {self._layout.value(node.input_data)}")
        for words in self._outcome(explanation):
            yield self._layout.line(" ", 1, words)
        yield from self._causes(explanation.causes)
        if explanation.cause is not node:
            path = self._layout.pen.plain(self._path(explanation.cause))
            path = self._layout.path(path, self._layout.pen.width - len("  it began with "))
            yield self._layout.line(" ", 0, f"it began with {path}")

    def _outcome(self, explanation: Explanation) -> Iterator[str]:
        """Yield what a failure came to."""
        consequences = explanation.consequences[:_CAUSES]
        for status, steps in groupby(consequences, lambda step: step.status):
            yield f"which also {status!s}: {', '.join(map(self._label, steps))}"
        if explanation.recovered_by is not None:
            yield f"recovered by {self._label(explanation.recovered_by)}"
        if explanation.handled_by is not None:
            yield f"but {self._label(explanation.handled_by)} {explanation.handled_by.status!s}"

    def _causes(self, causes: list[Cause]) -> Iterator[Line]:
        nearest, farthest = causes, causes[:0]
        if len(causes) > _CAUSES and not self._layout.pen.is_wide:
            nearest, farthest = causes[: _CAUSES - _FARTHEST], causes[-_FARTHEST:]
        for cause in nearest:
            yield from self._cause(cause)
        if farthest:
            fold = f"{self._layout.pen.glyph('fold')} {more(len(causes) - _CAUSES, 'node')} back"
            yield self._layout.line(" ", farthest[0].level, fold)
        for cause in farthest:
            yield from self._cause(cause)

    def _cause(self, cause: Cause) -> Iterator[Line]:
        words = _RELATIONS.get(cause.relation, str(cause.relation))
        label = f" ({cause.label})" if cause.label else ""
        text = f"{words} {self._label(cause.node)}{label}"
        yield self._layout.node_line(" ", cause.level, text, str(cause.node.status))
        yield from self._facts(cause.node, cause.level, cause.relation in _GIVES_OUTPUT)

    def _facts(self, node: Node, level: int, shows_output: bool) -> Iterator[Line]:
        if node.error or node.error_type:
            error = error_text(node)
            yield self._layout.line(" ", level + 1, f"error: {error}")
        for annotation in node.annotations:
            yield self._layout.line(" ", level + 1, f'note: "{annotation}"')
        if shows_output and node.output_data:
            yield self._layout.line(" ", level + 1, f"gave: {self._layout.value(node.output_data)}")

    def _label(self, node: Node) -> str:
        mark = self._marks.get(node.id)
        return f"{title_of(node)} {mark}" if mark else title_of(node)

    def _path(self, node: Node) -> str:
        return path_text(self._trace, node, self._label)
