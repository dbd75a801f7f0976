"""Go from a failure back to its cause: earlier attempts, what fed it, who decided it.

    from logtracer_extras.why import explain, render_why

    for explanation in explain(trace):
        print(explanation.cause.name, explanation.cause.error)
    print("
".join(render_why(trace)))

A failure is a step that failed, or that its process did not live to end, and that no such step
below it accounts for. From there every edge is followed against its direction. Sections, in order:
explanations, finding failures, going back, drawing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from logtracer import Edge, EdgeType, LogtracerError, Node, NodeStatus, NodeType, TraceGraph

from .facts import AGAIN, REPEATS_PARENT

__all__ = [
    "BROKEN",
    "Cause",
    "DECISION",
    "Explanation",
    "PART_OF",
    "UnknownNodeError",
    "explain",
    "looked_for",
]


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
    handled_by: Node | None = None  # the step around it that completed all the same

    @property
    def cause(self) -> Node:
        """The failed step that comes first: where the failure began, as far as edges tell."""
        failed = [item.node for item in self.causes if item.node.status in BROKEN]
        return min([self.node, *failed], key=_order)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {
            "node": _node_to_dict(self.node),
            "cause": self.cause.id,
            "recovered_by": self.recovered_by.id if self.recovered_by else None,
            "handled_by": self.handled_by.id if self.handled_by else None,
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


BROKEN = (NodeStatus.FAILED, NodeStatus.INTERRUPTED)


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


def explain(trace: TraceGraph, node_id: str | None = None) -> list[Explanation]:
    """Explain every failure of a run, or of one step and what is below it.

    First come those that reached the end of the run, then those that a step around them handled,
    then those that a later attempt or a fallback made good; each in the order of time. A step that
    did not fail is explained too when it is asked for. Raises UnknownNodeError.
    """
    search, failures = looked_for(trace, node_id)
    return [search.explanation(node) for node in failures]


def looked_for(trace: TraceGraph, node_id: str | None) -> tuple[_Search, list[Node]]:
    """Return the steps to be explained, and what explains them."""
    if node_id is not None and node_id not in trace.nodes:
        raise UnknownNodeError(f"unknown node {node_id!r}; see the ids: logtracer inspect --json")
    search = _Search(trace)
    failures = search.failures(node_id)
    if not failures and node_id is not None:
        failures = [trace.nodes[node_id]]
    return search, failures


# In which order the edges of one step are followed; those of other types come last.
_RANKS: dict[str, int] = {EdgeType.RETRY_OF: 0, EdgeType.FALLBACK_OF: 1, EdgeType.DATA_FLOW: 2}


class _Search:
    """A trace, indexed for going back."""

    def __init__(self, trace: TraceGraph) -> None:
        self._trace, self._nodes = trace, trace.nodes
        self._incoming: dict[str, list[Edge]] = defaultdict(list)
        self._again: dict[str, list[str]] = defaultdict(list)  # later attempts and fallbacks
        for edge in trace.edges:
            if edge.source_id in trace.nodes and edge.target_id in trace.nodes:
                self._add(edge)
        self._walk = [node for _, node in trace.walk()]
        self._decisions = self._find_decisions()
        self._recoveries = self._find_recoveries()
        self._broken = self._find_broken()

    def _add(self, edge: Edge) -> None:
        if edge.edge_type in AGAIN:
            self._again[edge.source_id].append(edge.target_id)
        is_tree = self._nodes[edge.target_id].parent_id == edge.source_id
        if edge.edge_type not in REPEATS_PARENT or not is_tree:
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

    def _find_broken(self) -> set[str]:
        """Return the ids of the steps that failed or were cut off.

        A cancelled step is one of them where nothing else accounts for what is around it: it is
        what was too slow for a time limit, or what ran when a person stopped the run.
        """
        broken = {node.id for node in self._walk if node.status in BROKEN}
        blamed = self._blamed(broken)
        for node in self._walk:  # what is around a step comes before it
            is_top = node.parent_id not in self._nodes
            if node.status == NodeStatus.CANCELLED and (
                is_top or (node.parent_id in broken and node.parent_id not in blamed)
            ):
                broken.add(node.id)
        return broken

    def _blamed(self, broken: set[str]) -> set[str | None]:
        """Return the ids of steps whose failure one below them accounts for."""
        lasting = broken.difference(self._recoveries)
        return {self._nodes[node_id].parent_id for node_id in lasting}

    def failures(self, node_id: str | None) -> list[Node]:
        """Return the failures of a run or of a branch, those that mattered most first.

        Not those which were tried again in vain: the last attempt stands for them, and leads back
        to them.
        """
        blamed = self._blamed(self._broken)
        inside = None if node_id is None else self._branch(node_id)
        last = [
            node
            for node in self._walk
            if node.id in self._broken
            and node.id not in blamed
            and not self._is_tried_again_in_vain(node)
            and (inside is None or node.id in inside)
        ]
        return sorted(last, key=self._rank)

    def _rank(self, node: Node) -> tuple[int, tuple[bool, float, int]]:
        _, recovery, handler = self._outcome(node)
        return 2 if recovery else 1 if handler else 0, _order(node)

    def _outcome(self, node: Node) -> tuple[list[Node], Node | None, Node | None]:
        """Return what failed with a step, then what ended that: an attempt, or a step around it."""
        failed: list[Node] = []
        for step in self._upwards(node):
            if step.id not in self._broken:
                return failed[1:], None, step
            failed.append(step)
            if step.id in self._recoveries:
                return failed[1:], self._recoveries[step.id], None
            if self._is_tried_again_in_vain(step):
                break  # it was not this attempt that what is around it failed with
        return failed[1:], None, None

    def _branch(self, node_id: str) -> set[str]:
        inside = {node_id}
        inside.update(node.id for node in self._walk if node.parent_id in inside)
        return inside

    def _is_tried_again_in_vain(self, node: Node) -> bool:
        return any(later_id in self._broken for later_id in self._again.get(node.id, ()))

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
        yield node
        yield from self._trace.ancestors(node.id)

    # Going back

    def explanation(self, node: Node) -> Explanation:
        """Follow everything that leads to a step back to where it began."""
        explanation = Explanation(node)
        if node.id in self._broken:
            explanation = Explanation(node, [], *self._outcome(node))
        recovery = explanation.recovered_by
        seen = {node.id}
        self._trace_back(node, 1, seen, explanation.causes)
        for step in islice(self._upwards(node), 1, None):
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
        # one decision after the other, back to the start of a loop, would explain nothing
        if decision is not None and node.node_type != NodeType.DECISION:
            causes.append(Cause(decision, DECISION, level))
        return [cause for cause in causes if cause.node.id not in seen]
