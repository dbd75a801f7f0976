"""A measured trace: when each node ran, what it used by itself and with all below it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter

from logtracer import Edge, Node, NodeStatus, NodeType, TraceGraph

from ..facts import (
    MICROSECOND,
    Moments,
    Usage,
    attempt_chains,
    attempt_numbers,
    cost_of,
    models_of,
    usage_of,
)
from .tokens import PriceTable

__all__ = [
    "Run",
    "Step",
    "UNSUCCESSFUL",
    "by_start",
    "in_order",
    "number_attempts",
    "own_time",
    "own_usage",
    "placed_steps",
    "roll_up",
    "union",
]


UNSUCCESSFUL = NodeStatus.FAILED
_MAIN_LANE = "main"
_AGENT_TYPES = frozenset({NodeType.SUB_AGENT.value, "agent"})


@dataclass(slots=True, eq=False)
class Step:
    """A node, and what only the whole trace tells about it."""

    node: Node
    parent: Step | None
    level: int
    start: int
    end: int  # of a step that never ended: the last moment the trace knows of
    children: list[Step] = field(default_factory=list)  # in the order they started
    self_time: int = 0  # during which no child ran
    attempt: int | None = None  # 1, 2, ... among the tries of one thing; None if tried once
    usage: Usage | None = None  # its own share: what no step below it accounts for
    cost: float | None = None
    total: Usage | None = None  # its own and those of all steps below it
    total_cost: float | None = None  # of the steps whose model has a price
    unpriced: int = 0  # steps, of itself and below, whose tokens have no price

    @property
    def duration(self) -> int:
        """How long it took, in microseconds."""
        return self.end - self.start

    @property
    def failed(self) -> bool:
        """Tell whether it ended with an error."""
        return self.node.status == UNSUCCESSFUL

    @property
    def path(self) -> list[Step]:
        """The steps from the top of the trace down to this one."""
        path: list[Step] = []
        step: Step | None = self
        while step is not None:
            path.append(step)
            step = step.parent
        return path[::-1]


@dataclass(eq=False)
class Run:
    """A measured trace; made by `measure`."""

    trace: TraceGraph
    steps: list[Step]  # parents before their children
    by_id: dict[str, Step]  # the same by node id, in the order of the trace
    wall: int
    inferred: list[Edge] = field(default_factory=list)

    @property
    def edges(self) -> list[Edge]:
        """The recorded edges, then the inferred ones."""
        return self.trace.edges + self.inferred

    @cached_property
    def lanes(self) -> dict[str, str]:
        """The lane of each node: recorded, a parallel agent's name, or that of its parent."""
        lanes: dict[str, str] = {}
        parallel: set[int] = set()
        for step in self.steps:
            lane = step.node.metadata.get("lane")
            if type(lane) not in (str, int):
                inherited = lanes[step.parent.node.id] if step.parent else _MAIN_LANE
                lane = step.node.name if id(step) in parallel else inherited
            lanes[step.node.id] = str(lane)
            agents = [child for child in step.children if child.node.node_type in _AGENT_TYPES]
            if len(agents) > 1:
                parallel |= _overlapping(agents)
        return lanes

    @cached_property
    def top(self) -> list[Step]:
        """The steps without a parent in the trace; a recorded run has one."""
        return sorted((step for step in self.steps if step.parent is None), key=by_start)

    @cached_property
    def work(self) -> int:
        """The time in which steps did something themselves, parallel ones counted each."""
        return sum(step.self_time for step in self.steps)

    @cached_property
    def chains(self) -> list[list[Step]]:
        """Each first try of something with its retries and fallbacks, in the order they ran."""
        starts = {node_id: step.start for node_id, step in self.by_id.items()}
        found = attempt_chains(self.edges, starts)
        return [[self.by_id[node_id] for node_id in chain] for chain in found]


def placed_steps(trace: TraceGraph) -> tuple[dict[str, Step], int]:
    """Return a step per node, with its times, and how long the trace took."""
    moments = Moments(trace)
    placed: dict[str, Step] = {}
    for node in trace.nodes.values():
        start, end = moments.of(node)
        placed[node.id] = Step(node, None, 0, start, end, [], end - start)
    end_time = trace.end_time
    wall = moments.last if end_time is None else (end_time - moments.origin) // MICROSECOND
    return placed, wall


def in_order(placed: dict[str, Step]) -> list[Step]:
    """Join parents and children, and return the steps with parents before their children.

    Of steps that are each other's parents the first becomes a step without one, as in
    `TraceGraph.walk`.
    """
    for step in placed.values():
        parent = placed.get(step.node.parent_id or "")
        if parent is not None:
            step.parent = parent
            parent.children.append(step)
    ordered = [step for step in placed.values() if step.parent is None]
    for step in ordered:  # the list grows as it is read
        _lower_children(step)
        ordered += step.children
    if len(ordered) == len(placed):
        return ordered
    return ordered + _circles(placed, ordered)


def _lower_children(step: Step) -> None:
    for child in step.children:
        child.level = step.level + 1


def _circles(placed: dict[str, Step], reached: list[Step]) -> list[Step]:
    seen = {step.node.id for step in reached}
    ordered: list[Step] = []
    for top in placed.values():
        if top.node.id in seen or top.parent is None:
            continue
        top.parent.children.remove(top)
        top.parent = None
        below = [top]
        for step in below:
            _lower_children(step)
            below += step.children
        seen.update(step.node.id for step in below)
        ordered += below
    return ordered


by_start = attrgetter("start")


def own_time(step: Step) -> int:
    return step.end - step.start - union(step.children, step.start, step.end)


def union(steps: list[Step], begin: int, end: int) -> int:
    """Return how much of a stretch of time is covered by steps given in start order."""
    covered, until = 0, begin
    for step in steps:  # min() and max() would take most of the time here
        start = step.start if step.start > until else until
        stop = step.end if step.end < end else end
        if stop > start:
            covered += stop - start
            until = stop
    return covered


def _overlapping(steps: list[Step]) -> set[int]:
    """Return the ids of the objects among steps in start order that overlap another one."""
    found: set[int] = set()
    longest = steps[0]
    for step in steps[1:]:
        if step.start < longest.end:
            found |= {id(step), id(longest)}
        if step.end > longest.end:
            longest = step
    return found


def roll_up(steps: list[Step], prices: PriceTable | None) -> None:
    for step in reversed(steps):  # so that `total` holds what the steps below used
        recorded = usage_of(step.node) if step.node.metadata else None
        if recorded is not None:
            parts = [child.total for child in step.children if child.total is not None]
            step.usage = own_usage(step.node, recorded, step.total, parts)
        if step.usage is not None:
            _add_usage(step, step.usage)
            if prices is not None:
                step.cost = prices.cost(step.usage, models_of(step.node))
        if step.cost is None and step.node.metadata:
            step.cost = _own_recorded_cost(step)
        if step.usage is not None or step.cost is not None:
            _add_cost(step, step.cost, step.cost is None)
        if step.parent is not None and step.total is not None:
            _add_usage(step.parent, step.total)
        if step.parent is not None and (step.unpriced or step.total_cost is not None):
            _add_cost(step.parent, step.total_cost, step.unpriced)


def _own_recorded_cost(step: Step) -> float | None:
    """Return what of a cost that was recorded the steps below it do not account for."""
    cost = cost_of(step.node)
    if cost is None or step.total_cost is None:
        return cost
    return max(cost - step.total_cost, 0.0) or None


def own_usage(
    node: Node, recorded: Usage, below: Usage | None, parts: Iterable[Usage]
) -> Usage | None:
    """Return what of its recorded tokens the steps below a step do not account for already.

    `below` are the tokens of all of them, `parts` those of its children. A model call adds to
    calls made within it, unless it is one of them seen from a layer above. Any other step that
    reports tokens reports the sum of what happened in it.
    """
    if below is None:
        return recorded
    if node.node_type == NodeType.LLM_CALL:
        numbers = (recorded.input, recorded.output)
        return (
            None if numbers in [(each.input, each.output) for each in (below, *parts)] else recorded
        )
    share = recorded.beyond(below)
    return share if share.tokens else None


def _add_usage(step: Step, usage: Usage) -> None:
    total = step.total
    if total is None:
        total = step.total = Usage()
    total.uncached_input += usage.uncached_input  # in place: this runs once for each step
    total.cache_read += usage.cache_read
    total.cache_write += usage.cache_write
    total.plain_output += usage.plain_output
    total.reasoning += usage.reasoning


def _add_cost(step: Step, cost: float | None, unpriced: int) -> None:
    step.unpriced += unpriced
    if cost is not None:
        step.total_cost = (step.total_cost or 0.0) + cost


def number_attempts(run: Run) -> None:
    chains = [[step.node.id for step in chain] for chain in run.chains]
    for node_id, number in attempt_numbers(run.edges, chains).items():
        run.by_id[node_id].attempt = number
