"""Go from a failure back to its cause: earlier attempts, what fed it, who decided it.

    from logtracer_extras.why import explain, render_why

    for explanation in explain(trace):
        print(explanation.cause.name, explanation.cause.error)
    print("\n".join(render_why(trace)))

A failure is a failed step that no failed step below it accounts for. From there every edge is
followed against its direction. Sections, in order: explanations, finding failures, going back,
drawing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from logtracer import Edge, EdgeType, LogtracerError, Node, NodeStatus, NodeType, TraceGraph

from .diff import path_text, step_marks, step_title
from .diff_text import Paper

__all__ = ["Cause", "Explanation", "UnknownNodeError", "explain", "render_why"]

# ---- Explanations ------------------------------------------------------------------------------

DECISION = "decision"  # the last decision beside a step, before it
PART_OF = "part_of"  # a step around it that has something to say


class UnknownNodeError(LogtracerError, KeyError):
    """The trace has no such node; the message names it."""

    __str__ = Exception.__str__  # KeyError would show the message as repr does


@dataclass(frozen=True, slots=True)
class Cause:
    """A step on the way back from a failure.

    `relation` says how the step one level nearer to the failure hangs on it: an edge type,
    `decision` or `part_of`. `level` counts from 1, right behind the failure.
    """

    node: Node
    relation: str
    level: int
    label: str = ""


@dataclass(slots=True)
class Explanation:
    """A step, usually one that failed, and what led to it, nearest first."""

    node: Node
    causes: list[Cause] = field(default_factory=list)
    consequences: list[Node] = field(default_factory=list)  # steps around it that failed with it
    recovered_by: Node | None = None  # the attempt or fallback that worked in the end

    @property
    def cause(self) -> Node:
        """The failed step that comes first: where the failure began, as far as edges tell."""
        failed = [item.node for item in self.causes if item.node.status == NodeStatus.FAILED]
        return min([self.node, *failed], key=_order)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {
            "node": _node_to_dict(self.node),
            "cause": self.cause.id,
            "recovered_by": self.recovered_by.id if self.recovered_by else None,
            "consequences": [node.id for node in self.consequences],
            "causes": [
                {
                    "relation": str(item.relation),
                    "label": item.label,
                    "level": item.level,
                    **_node_to_dict(item.node),
                }
                for item in self.causes
            ],
        }


def _node_to_dict(node: Node) -> dict[str, Any]:
    return {
        "id": node.id,
        "name": node.name,
        "node_type": str(node.node_type),
        "status": str(node.status),
        "error": node.error,
        "error_type": node.error_type,
        "annotations": node.annotations,
    }


def _order(node: Node) -> tuple[bool, float, int]:
    start = node.start_time
    return start is None, start.timestamp() if start else 0.0, node.sequence_number


# ---- Finding failures --------------------------------------------------------------------------


def explain(trace: TraceGraph, node_id: str | None = None) -> list[Explanation]:
    """Explain every failure of a run, or of one step and what is below it.

    The failure that happened first comes first; failures that a later attempt or a fallback made
    good come after all others. A step that did not fail is explained too when it is asked for.
    Raises UnknownNodeError.
    """
    if node_id is not None and node_id not in trace.nodes:
        raise UnknownNodeError(f"unknown node {node_id!r}; see the ids: logtracer inspect --json")
    search = _Search(trace)
    failures = search.failures(node_id)
    if not failures and node_id is not None:
        failures = [trace.nodes[node_id]]
    found = [search.explanation(node) for node in failures]
    found.sort(key=lambda item: item.recovered_by is not None)
    return found


_AGAIN = (EdgeType.RETRY_OF, EdgeType.FALLBACK_OF)
_TREE = (EdgeType.CAUSED_BY, EdgeType.BRANCHED_FROM)  # between a step and its parent
# In which order the edges of one step are followed; those of other types come last.
_RANKS: dict[str, int] = {EdgeType.RETRY_OF: 0, EdgeType.FALLBACK_OF: 1, EdgeType.DATA_FLOW: 2}


class _Search:
    """A trace, indexed for going back."""

    def __init__(self, trace: TraceGraph) -> None:
        self._nodes = trace.nodes
        self._incoming: dict[str, list[Edge]] = defaultdict(list)
        self._again: dict[str, list[str]] = defaultdict(list)  # later attempts and fallbacks
        for edge in trace.edges:
            if edge.source_id in trace.nodes and edge.target_id in trace.nodes:
                self._add(edge)
        self._walk = [node for _, node in trace.walk()]
        self._decisions = self._find_decisions()
        self._recoveries = self._find_recoveries()

    def _add(self, edge: Edge) -> None:
        if edge.edge_type in _AGAIN:
            self._again[edge.source_id].append(edge.target_id)
        is_tree = self._nodes[edge.target_id].parent_id == edge.source_id
        if edge.edge_type not in _TREE or not is_tree:
            self._incoming[edge.target_id].append(edge)

    def _find_decisions(self) -> dict[str, Node]:
        """Return, for every step, the last decision among the siblings that started before it."""
        latest: dict[str | None, Node] = {}
        decisions: dict[str, Node] = {}
        for node in self._nodes.values():
            if node.parent_id in latest:
                decisions[node.id] = latest[node.parent_id]
            if node.node_type == NodeType.DECISION:
                latest[node.parent_id] = node
        return decisions

    def failures(self, node_id: str | None) -> list[Node]:
        """Return the failures of a run or of a branch, the first first.

        Not those which were tried again in vain: the last attempt stands for them, and leads back
        to them.
        """
        failed = [node for node in self._walk if node.status == NodeStatus.FAILED]
        blamed = {node.parent_id for node in failed if node.id not in self._recoveries}
        leaves = [node for node in failed if node.id not in blamed]
        last = [node for node in leaves if not self._is_tried_again_in_vain(node)]
        if node_id is not None:
            inside = self._branch(node_id)
            last = [node for node in last if node.id in inside]
        return sorted(last, key=_order)

    def _branch(self, node_id: str) -> set[str]:
        inside = {node_id}
        inside.update(node.id for node in self._walk if node.parent_id in inside)
        return inside

    def _is_tried_again_in_vain(self, node: Node) -> bool:
        later = [self._nodes[node_id] for node_id in self._again[node.id]]
        return any(other.status == NodeStatus.FAILED for other in later)

    def _find_recoveries(self) -> dict[str, Node]:
        """Return, for every step tried again, the later attempt or fallback that worked."""
        recoveries: dict[str, Node] = {}
        for node_id in reversed(self._nodes):  # what comes later is settled first
            for later_id in self._again.get(node_id, ()):
                later = self._nodes[later_id]
                works = later if later.status == NodeStatus.COMPLETED else recoveries.get(later_id)
                if works is not None:
                    recoveries[node_id] = works
        return recoveries

    def _upwards(self, node: Node) -> Iterator[Node]:
        """Yield a step and the steps around it, from the inside out."""
        seen: set[str] = set()
        around: Node | None = node
        while around is not None and around.id not in seen:
            seen.add(around.id)
            yield around
            around = self._nodes.get(around.parent_id or "")

    # Going back

    def explanation(self, node: Node) -> Explanation:
        """Follow everything that leads to a step back to where it began."""
        around = list(self._upwards(node))[1:]
        has_failed = node.status == NodeStatus.FAILED
        recovery = self._recoveries.get(node.id) if has_failed else None
        failed: list[Node] = []
        if has_failed and recovery is None:
            failed = [step for step in around if step.status == NodeStatus.FAILED]
        explanation = Explanation(node, consequences=failed, recovered_by=recovery)
        seen = {node.id}
        self._trace_back(node, 1, seen, explanation.causes)
        for step in around:
            if step.id not in seen and (step.annotations or self._before(step, seen)):
                seen.add(step.id)
                explanation.causes.append(Cause(step, PART_OF, 1))
                self._trace_back(step, 2, seen, explanation.causes)
            if recovery is not None and step.id == recovery.parent_id:
                break  # what is further out never knew of the failure
        return explanation

    def _trace_back(self, node: Node, level: int, seen: set[str], causes: list[Cause]) -> None:
        """Add what leads to a step, each before what leads to it in turn."""
        waiting = self._before(node, seen, level)[::-1]
        while waiting:
            cause = waiting.pop()
            if cause.node.id not in seen:
                seen.add(cause.node.id)
                causes.append(cause)
                waiting += self._before(cause.node, seen, cause.level + 1)[::-1]

    def _before(self, node: Node, seen: set[str], level: int = 1) -> list[Cause]:
        edges = sorted(self._incoming[node.id], key=lambda edge: _RANKS.get(edge.edge_type, 3))
        causes = [
            Cause(self._nodes[edge.source_id], edge.edge_type, level, edge.label) for edge in edges
        ]
        decision = self._decisions.get(node.id)
        if decision is not None:
            causes.append(Cause(decision, DECISION, level))
        return [cause for cause in causes if cause.node.id not in seen]


# ---- Drawing -----------------------------------------------------------------------------------

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
    whole: bool = False,
) -> list[str]:
    """Return the explanations as lines of plain text; none when nothing failed.

    A line that starts with `!` is a failure that lasted, one with `~` one that was made good.
    """
    drawing = _Drawing(trace, Paper(unicode, width, whole))
    lines: list[str] = []
    for explanation in explain(trace, node_id):
        lines += [*([""] if lines else []), *drawing.lines(explanation)]
    return lines


class _Drawing:
    """Write explanations of one trace."""

    def __init__(self, trace: TraceGraph, paper: Paper) -> None:
        self._trace, self._paper = trace, paper
        self._marks = step_marks(trace)

    def lines(self, explanation: Explanation) -> Iterator[str]:
        """Yield the failure, what came of it, then the steps back to its cause."""
        node, recovery = explanation.node, explanation.recovered_by
        sign = " " if node.status != NodeStatus.FAILED else "~" if recovery else "!"
        yield self._paper.line(sign, 0, self._path(node), str(node.status))
        yield from self._facts(node, 0, shows_output=False)
        if node.input_data:
            yield self._paper.line(" ", 1, f"given: {self._paper.value(node.input_data)}")
        if recovery is not None:
            yield self._paper.line(" ", 1, f"made good by {self._label(recovery)}")
        if explanation.consequences:
            names = ", ".join(self._label(step) for step in explanation.consequences)
            yield self._paper.line(" ", 1, f"so failed: {names}")
        for cause in explanation.causes:
            yield from self._cause(cause)
        if explanation.cause is not node:
            yield self._paper.line(" ", 0, f"it began with {self._path(explanation.cause)}")

    def _cause(self, cause: Cause) -> Iterator[str]:
        words = _RELATIONS.get(cause.relation, str(cause.relation))
        label = f" ({cause.label})" if cause.label else ""
        text = f"{words} {self._label(cause.node)}{label}"
        yield self._paper.line(" ", cause.level, text, str(cause.node.status))
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
