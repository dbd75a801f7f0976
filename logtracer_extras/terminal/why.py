"""`logtracer why`: why a node failed, or what led to a node."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from logtracer import EdgeType, Node, NodeStatus, TraceGraph

from ..diff import path_text, step_title
from ..diff.pairing import step_marks
from ..why import BROKEN, DECISION, PART_OF, Cause, Explanation, looked_for
from ._diff_text import Paper, more

__all__ = ["render_why"]


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


def render_why(
    trace: TraceGraph,
    node_id: str | None = None,
    *,
    width: int = 80,
    unicode: bool = True,
    limit: int = 200,
    whole: bool = False,
) -> list[str]:
    """Return the explanations as lines of plain text; none when nothing failed.

    A line that starts with `!` is a failure that lasted, one with `~` one that was made good.
    `limit` bounds the lines, to the end of an explanation; `whole` cuts nothing else.
    """
    paper = Paper(unicode, width, whole)
    drawing, (search, failures) = _Drawing(trace, paper), looked_for(trace, node_id)
    lines: list[str] = []
    for number, node in enumerate(failures):
        if len(lines) >= limit:  # not explained at all: each may lead back through all of the run
            left = more(len(failures) - number, "failure")
            return [*lines, "", f"  {paper.glyph('fold')} {left}"]
        lines += [*([""] if lines else []), *drawing.lines(search.explanation(node))]
    return lines


_CAUSES = 20  # steps shown on the way back from one failure: the nearest, and where it began
_FARTHEST = 3


def _sign(explanation: Explanation) -> str:
    if explanation.node.status not in (*BROKEN, NodeStatus.CANCELLED):
        return " "  # it was asked for
    return "~" if explanation.recovered_by else "!"


class _Drawing:
    """Write explanations of one trace."""

    def __init__(self, trace: TraceGraph, paper: Paper) -> None:
        self._trace, self._paper = trace, paper
        self._marks = step_marks(trace)

    def lines(self, explanation: Explanation) -> Iterator[str]:
        """Yield the failure, what came of it, then the steps back to its cause."""
        node = explanation.node
        yield self._paper.step_line(_sign(explanation), 0, self._path(node), str(node.status))
        yield from self._facts(node, 0, shows_output=False)
        if node.input_data:
            yield self._paper.line(" ", 1, f"given: {self._paper.value(node.input_data)}")
        for words in self._outcome(explanation):
            yield self._paper.line(" ", 1, words)
        yield from self._causes(explanation.causes)
        if explanation.cause is not node:
            path = self._paper.text(self._path(explanation.cause))
            path = self._paper.path(path, self._paper.width - len("  it began with "))
            yield self._paper.line(" ", 0, f"it began with {path}")

    def _outcome(self, explanation: Explanation) -> Iterator[str]:
        """Yield what a failure came to."""
        consequences = explanation.consequences[:_CAUSES]
        for status, steps in groupby(consequences, lambda step: step.status):
            yield f"so {status!s}: {', '.join(map(self._label, steps))}"
        if explanation.recovered_by is not None:
            yield f"made good by {self._label(explanation.recovered_by)}"
        if explanation.handled_by is not None:
            yield f"but {self._label(explanation.handled_by)} {explanation.handled_by.status!s}"

    def _causes(self, causes: list[Cause]) -> Iterator[str]:
        nearest, farthest = causes, causes[:0]
        if len(causes) > _CAUSES and not self._paper.whole:
            nearest, farthest = causes[: _CAUSES - _FARTHEST], causes[-_FARTHEST:]
        for cause in nearest:
            yield from self._cause(cause)
        if farthest:
            fold = f"{self._paper.glyph('fold')} {more(len(causes) - _CAUSES, 'step')} back"
            yield self._paper.line(" ", farthest[0].level, fold)
        for cause in farthest:
            yield from self._cause(cause)

    def _cause(self, cause: Cause) -> Iterator[str]:
        words = _RELATIONS.get(cause.relation, str(cause.relation))
        label = f" ({cause.label})" if cause.label else ""
        text = f"{words} {self._label(cause.node)}{label}"
        yield self._paper.step_line(" ", cause.level, text, str(cause.node.status))
        yield from self._facts(cause.node, cause.level, cause.relation in _GIVES_OUTPUT)

    def _facts(self, node: Node, level: int, shows_output: bool) -> Iterator[str]:
        if node.error or node.error_type:
            error = ": ".join(filter(None, [node.error_type, node.error]))
            yield self._paper.line(" ", level + 1, f"error: {error}")
        for annotation in node.annotations:
            yield self._paper.line(" ", level + 1, f'note: "{annotation}"')
        if shows_output and node.output_data:
            yield self._paper.line(" ", level + 1, f"gave: {self._paper.value(node.output_data)}")

    def _label(self, node: Node) -> str:
        mark = self._marks.get(node.id)
        return f"{step_title(node)} {mark}" if mark else step_title(node)

    def _path(self, node: Node) -> str:
        return path_text(self._trace, node, self._label)
