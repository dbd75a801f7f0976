"""Tell where the time, the tokens and the money of a run went, and what was tried again.

    from logtracer import load_trace
    from logtracer_extras.analysis import Statistics, critical_path, measure

    run = measure(load_trace("traces/7f3a9c21.json"))
    totals = Statistics([run])
    for row in totals.by_name():
        print(row.name, row.count, row.total, row.share)

Functions from a trace to rows, without any output of their own. Every time is an integer of
microseconds counted from the start of the run, so that parts add up exactly. Sections, in order:
tokens, prices, measuring a run, statistics, the critical path, retries and fallbacks, data flow.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from fnmatch import fnmatchcase
from functools import cached_property
from hashlib import blake2b
from operator import attrgetter
from typing import Any

from logtracer import Edge, EdgeType, LogtracerError, Node, NodeStatus, NodeType, TraceGraph

__all__ = [
    "DataFlow",
    "ModelRow",
    "NameRow",
    "PriceError",
    "PriceTable",
    "RetryWaste",
    "Run",
    "Segment",
    "Statistics",
    "Step",
    "Usage",
    "critical_path",
    "infer_data_flow",
    "infer_retries",
    "load_prices",
    "measure",
    "merge_path",
    "models_of",
    "own_usage",
    "usage_of",
]

# ---- Tokens: disjoint buckets ------------------------------------------------------------------


@dataclass(slots=True)
class Usage:
    """Tokens in buckets that do not overlap: each token is in one, and has one price."""

    uncached_input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    plain_output: int = 0
    reasoning: int = 0

    @property
    def input(self) -> int:
        """All that was sent, cached or not."""
        return self.uncached_input + self.cache_read + self.cache_write

    @property
    def output(self) -> int:
        """All that came back, reasoning included."""
        return self.plain_output + self.reasoning

    @property
    def tokens(self) -> int:
        """Everything: input and output."""
        return self.input + self.output

    def __add__(self, other: Usage) -> Usage:
        """Return both together, bucket by bucket."""
        return Usage(
            self.uncached_input + other.uncached_input,
            self.cache_read + other.cache_read,
            self.cache_write + other.cache_write,
            self.plain_output + other.plain_output,
            self.reasoning + other.reasoning,
        )

    def beyond(self, part: Usage) -> Usage:
        """Return what this total holds beyond a part of it, nothing where the part is larger."""
        extra_input = max(self.input - part.input, 0)
        extra_output = max(self.output - part.output, 0)
        cache_read = min(max(self.cache_read - part.cache_read, 0), extra_input)
        cache_write = min(max(self.cache_write - part.cache_write, 0), extra_input - cache_read)
        reasoning = min(max(self.reasoning - part.reasoning, 0), extra_output)
        uncached = extra_input - cache_read - cache_write
        return Usage(uncached, cache_read, cache_write, extra_output - reasoning, reasoning)


def usage_of(node: Node) -> Usage | None:
    """Return the tokens a node recorded under the GenAI names, None when it recorded none.

    The recorded input includes cached tokens, the recorded output includes reasoning. Somebody
    else's trace may count them beside it: a part larger than its whole shows that, and is added.
    """
    facts = node.metadata
    whole_input = _count(facts.get("gen_ai.usage.input_tokens"))
    whole_output = _count(facts.get("gen_ai.usage.output_tokens"))
    if whole_input is None and whole_output is None:
        return None
    cache_read = _count(facts.get("gen_ai.usage.cache_read.input_tokens")) or 0
    cache_write = _count(facts.get("gen_ai.usage.cache_creation.input_tokens")) or 0
    reasoning = _count(facts.get("gen_ai.usage.reasoning.output_tokens")) or 0
    uncached = _without(whole_input or 0, cache_read + cache_write)
    return Usage(
        uncached, cache_read, cache_write, _without(whole_output or 0, reasoning), reasoning
    )


def models_of(node: Node) -> list[str]:
    """Return the model that was asked for, then the one that answered, as far as recorded."""
    asked = node.metadata.get("gen_ai.request.model")
    answered = node.metadata.get("gen_ai.response.model")
    return [name for name in (asked, answered) if isinstance(name, str) and name]


def _count(value: object) -> int | None:
    """Return a recorded number of tokens; anything but a plain number was not recorded."""
    if type(value) is int or type(value) is float and math.isfinite(value):
        return int(value) if value > 0 else 0
    return None


def _without(whole: int, part: int) -> int:
    return whole if part > whole else whole - part


# ---- Prices: a table the user gives ------------------------------------------------------------

_PRICE_KEYS = ("input", "cache_read", "cache_write", "output", "reasoning")
_PER = 1_000_000  # tokens; providers publish their prices per million


class PriceError(LogtracerError, ValueError):
    """A price table is not what it should be; the message names the model and the remedy."""


class PriceTable:
    """Prices per million tokens by model name, `*` standing for any characters.

    An exact name wins over a pattern, a longer pattern over a shorter one. Cached input costs
    what `input` costs, and reasoning what `output` costs, unless the table says otherwise.

    >>> table = PriceTable({"small-*": {"input": 2.0, "output": 8.0}})
    >>> table.cost(Usage(uncached_input=500_000), ["small-1"])
    1.0
    >>> print(table.cost(Usage(uncached_input=500_000), ["large-1"]))
    None
    """

    def __init__(self, table: Mapping[str, Mapping[str, float]]) -> None:
        self._prices = {
            pattern.lower(): _checked_price(pattern, table[pattern])
            for pattern in sorted(table, key=len, reverse=True)
        }
        self._known: dict[str, tuple[float, ...] | None] = {}

    def cost(self, usage: Usage, models: Iterable[str]) -> float | None:
        """Return what the tokens cost; None, never 0, when no model has a price.

        The last model with a price counts: the one that answered rather than the one asked for.
        """
        price: tuple[float, ...] | None = None
        for model in models:
            price = self._price(model) or price
        if price is None:
            return None
        uncached, cache_read, cache_write, output, reasoning = price
        spent = usage.uncached_input * uncached
        spent += usage.cache_read * cache_read + usage.cache_write * cache_write
        spent += usage.plain_output * output + usage.reasoning * reasoning
        return spent / _PER

    def _price(self, model: str) -> tuple[float, ...] | None:
        if model not in self._known:
            self._known[model] = self._find(model.lower())
        return self._known[model]

    def _find(self, model: str) -> tuple[float, ...] | None:
        if model in self._prices:
            return self._prices[model]
        for pattern, price in self._prices.items():  # the longest pattern first
            if fnmatchcase(model, pattern.replace("[", "[[]")):
                return price
        return None


def load_prices(path: str | os.PathLike[str]) -> PriceTable:
    """Read a price table from a JSON file: `{"MODEL*": {"input": 3, "output": 15, ...}, ...}`.

    Raises OSError when the file cannot be opened, PriceError when it is not a price table.
    """
    with open(path, encoding="utf-8") as file:
        try:
            table = json.load(file)
        except (ValueError, RecursionError) as error:
            raise PriceError(f"{os.fspath(path)}: not JSON: {error}") from None
    if not isinstance(table, dict):
        raise PriceError(f"{os.fspath(path)}: must be an object of model names and their prices")
    try:
        return PriceTable(table)
    except PriceError as error:
        raise PriceError(f"{os.fspath(path)}: {error}") from None


def _checked_price(model: str, given: object) -> tuple[float, ...]:
    if not isinstance(given, Mapping):
        raise PriceError(f"{model!r}: must be an object such as {{'input': 3, 'output': 15}}")
    for key, value in given.items():
        if key not in _PRICE_KEYS:
            raise PriceError(f"{model!r}: unknown price {key!r}; known: {', '.join(_PRICE_KEYS)}")
        if type(value) not in (int, float) or not 0 <= value < math.inf:
            raise PriceError(f"{model!r}: {key} must be a number of 0 or more, not {value!r}")
    for key in ("input", "output"):
        if key not in given:
            raise PriceError(f"{model!r}: {key!r} is missing; give the price per million tokens")
    price = {"cache_read": given["input"], "cache_write": given["input"]}
    price |= {"reasoning": given["output"], **given}
    return tuple(float(price[key]) for key in _PRICE_KEYS)


# ---- Measuring a run ---------------------------------------------------------------------------

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FAILED = NodeStatus.FAILED
_AGAIN = (EdgeType.RETRY_OF, EdgeType.FALLBACK_OF)
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
        return self.node.status == _FAILED

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
        return sorted((step for step in self.steps if step.parent is None), key=_by_start)

    @cached_property
    def work(self) -> int:
        """The time in which steps did something themselves, parallel ones counted each."""
        return sum(step.self_time for step in self.steps)

    @cached_property
    def chains(self) -> list[list[Step]]:
        """Each first try of something with its retries and fallbacks, in the order they ran."""
        heads: dict[str, str] = {}
        chains: dict[str, list[Step]] = {}
        again = [edge for edge in self.edges if edge.edge_type in _AGAIN]
        ends = [(self.by_id.get(edge.source_id), self.by_id.get(edge.target_id)) for edge in again]
        pairs = [(a, b) for a, b in ends if a is not None and b is not None and a is not b]
        for earlier, later in sorted(pairs, key=lambda pair: (pair[1].start, pair[0].start)):
            head = heads.setdefault(earlier.node.id, earlier.node.id)
            if later.node.id not in heads:
                heads[later.node.id] = head
                chains.setdefault(head, [self.by_id[head]]).append(later)
        return list(chains.values())


def measure(trace: TraceGraph, prices: PriceTable | None = None, *, infer: bool = True) -> Run:
    """Return every step's place, times, attempt, tokens and cost.

    Retries and fallbacks nobody recorded are inferred, unless `infer` is False.
    """
    placed, wall = _placed(trace)
    steps = _ordered(placed)
    for step in steps:
        if step.children:
            step.children.sort(key=_by_start)
            step.self_time = _self_time(step)
    _roll_up(steps, prices)
    run = Run(trace, steps, placed, wall)
    if infer:
        run.inferred = _infer(run)
    _number_attempts(run)
    return run


def _placed(trace: TraceGraph) -> tuple[dict[str, Step], int]:
    """Return a step per node, with its times, and how long the run took."""
    nodes = trace.nodes.values()
    moments = [node.start_time for node in nodes] + [node.end_time for node in nodes]
    known = [at for at in (*moments, trace.start_time, trace.end_time) if at is not None]
    origin = min(known, default=_EPOCH)
    last = (max(known, default=_EPOCH) - origin) // _MICROSECOND
    placed: dict[str, Step] = {}
    for node in nodes:
        start, end = node.start_time, node.end_time
        end_at = last if end is None else (end - origin) // _MICROSECOND
        start_at = end_at if start is None else (start - origin) // _MICROSECOND
        end_at = max(start_at, end_at)
        placed[node.id] = Step(node, None, 0, start_at, end_at, [], end_at - start_at)
    wall = last if trace.end_time is None else (trace.end_time - origin) // _MICROSECOND
    return placed, wall


def _ordered(placed: dict[str, Step]) -> list[Step]:
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


_by_start = attrgetter("start")


def _self_time(step: Step) -> int:
    return step.end - step.start - _union(step.children, step.start, step.end)


def _union(steps: list[Step], begin: int, end: int) -> int:
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


def _roll_up(steps: list[Step], prices: PriceTable | None) -> None:
    for step in reversed(steps):  # so that `total` holds what the steps below used
        recorded = usage_of(step.node) if step.node.metadata else None
        if recorded is not None:
            parts = [child.total for child in step.children if child.total is not None]
            step.usage = own_usage(step.node, recorded, step.total, parts)
        if step.usage is not None:
            _add_usage(step, step.usage)
            if prices is not None:
                step.cost = prices.cost(step.usage, models_of(step.node))
            _add_cost(step, step.cost, step.cost is None)
        if step.parent is not None and step.total is not None:
            _add_usage(step.parent, step.total)
            _add_cost(step.parent, step.total_cost, step.unpriced)


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


def _number_attempts(run: Run) -> None:
    fallbacks = {edge.target_id for edge in run.edges if edge.edge_type == EdgeType.FALLBACK_OF}
    for chain in run.chains:
        number = 0
        for step in chain:
            number = 1 if step.node.id in fallbacks else number + 1
            step.attempt = number


# ---- Statistics: one run or many ---------------------------------------------------------------


@dataclass(slots=True)
class NameRow:
    """All steps of one type and name."""

    node_type: str
    name: str
    count: int
    errors: int
    total: int  # overlapping steps counted each in full
    self_time: int
    p50: int
    p95: int
    covered: int  # overlapping steps counted once
    share: float  # covered / the wall time of all runs: never above 1


@dataclass(slots=True)
class ModelRow:
    """All calls of one model; their tokens are counted once, whoever else repeats them."""

    model: str
    count: int = 0
    errors: int = 0
    usage: Usage = field(default_factory=Usage)
    cost: float | None = None  # of the calls that have a price
    unpriced: int = 0  # calls with tokens that have none


@dataclass(slots=True)
class RetryWaste:
    """What tries cost that were replaced by another try."""

    attempts: int = 0
    time: int = 0
    waited: int = 0  # between one try and the next
    tokens: int = 0
    cost: float | None = None  # of the calls that have a price
    unpriced: int = 0  # calls with tokens that have none


class Statistics:
    """Totals over runs; give them at once or `add` them one by one, none is kept.

    A run that is added twice counts twice.
    """

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        self.runs = 0
        self.nodes = 0
        self.wall = 0
        self.work = 0
        self.usage = Usage()
        self.cost: float | None = None
        self.unpriced = 0
        self.retry_waste = RetryWaste()
        self._names: dict[tuple[str, str], _NameTotals] = {}
        self._models: dict[str, ModelRow] = {}
        for run in runs:
            self.add(run)

    @property
    def errors(self) -> int:
        """How many steps failed."""
        return sum(totals.errors for totals in self._names.values())

    @property
    def parallelism(self) -> float | None:
        """Work done per wall time: 1.0 for a run that did one thing at a time."""
        return self.work / self.wall if self.wall else None

    def add(self, run: Run) -> None:
        """Count one more run."""
        self.runs += 1
        self.nodes += len(run.steps)
        self.wall += run.wall
        self.work += run.work
        for step in run.top:
            self.usage += step.total or Usage()
            self.unpriced += step.unpriced
            self.cost = _sum_costs(self.cost, step.total_cost)
        names: defaultdict[tuple[str, str], list[Step]] = defaultdict(list)
        for step in sorted(run.steps, key=_by_start):
            node = step.node
            names[node.node_type, node.name].append(step)
            if node.metadata:
                self._add_model(step)
        for key, steps in names.items():
            self._names.setdefault(key, _NameTotals()).add(steps, run.wall)
        _add_waste(self.retry_waste, run)

    def by_name(self) -> list[NameRow]:
        """Return a row per type and name of step, the most time first."""
        names = self._names.items()
        # The run itself is left out: its time is the wall time.
        rows = [totals.row(*key, self.wall) for key, totals in names if key[0] != "trace"]
        return sorted(rows, key=lambda row: (-row.total, row.node_type, row.name))

    def by_model(self) -> list[ModelRow]:
        """Return a row per model, the most expensive first, then the most tokens."""
        return sorted(
            self._models.values(),
            key=lambda row: (-(row.cost or 0.0), -row.usage.tokens, row.model),
        )

    def _add_model(self, step: Step) -> None:
        models = models_of(step.node)
        if not models or step.usage is None and usage_of(step.node) is not None:
            return  # not a model call, or one that only repeats what was counted below it
        row = self._models.setdefault(models[0], ModelRow(models[0]))
        row.count += 1
        row.errors += step.failed
        if step.usage is not None:
            row.usage += step.usage
            row.cost = _sum_costs(row.cost, step.cost)
            row.unpriced += step.cost is None


class _NameTotals:
    """What is kept of the steps of one name while runs are added."""

    def __init__(self) -> None:
        self.errors = 0
        self._durations: list[int] = []
        self._self_time = 0
        self._covered = 0

    def add(self, steps: list[Step], wall: int) -> None:
        """Count the steps of a run, given in the order they started."""
        self.errors += sum(1 for step in steps if step.node.status == _FAILED)
        self._durations += [step.end - step.start for step in steps]
        self._self_time += sum(step.self_time for step in steps)
        self._covered += _union(steps, 0, wall)

    def row(self, node_type: str, name: str, wall: int) -> NameRow:
        """Return the finished row."""
        durations = sorted(self._durations)
        return NameRow(
            node_type,
            name,
            len(durations),
            self.errors,
            sum(durations),
            self._self_time,
            _percentile(durations, 50),
            _percentile(durations, 95),
            self._covered,
            self._covered / wall if wall else 0.0,
        )


def _percentile(ordered: list[int], percent: int) -> int:
    """Return the smallest value that so many percent of the values do not exceed."""
    return ordered[-(-len(ordered) * percent // 100) - 1]


def _sum_costs(one: float | None, other: float | None) -> float | None:
    return one if other is None else (one or 0.0) + other


def _add_waste(waste: RetryWaste, run: Run) -> None:
    replaced: set[str] = set()
    for chain in run.chains:
        replaced.update(step.node.id for step in chain[:-1])
        waste.waited += sum(max(b.start - a.end, 0) for a, b in zip(chain, chain[1:]))
    within: set[str] = set()  # what is below a replaced step is counted with it
    for step in run.steps if replaced else ():
        if step.parent is not None and step.parent.node.id in within:
            within.add(step.node.id)
        elif step.node.id in replaced:
            within.add(step.node.id)
            waste.attempts += 1
            waste.time += step.duration
            waste.tokens += step.total.tokens if step.total else 0
            waste.cost = _sum_costs(waste.cost, step.total_cost)
            waste.unpriced += step.unpriced


# ---- The critical path -------------------------------------------------------------------------


@dataclass(slots=True)
class Segment:
    """A stretch of the critical path: time in which the whole run was held up by one step."""

    step: Step | None  # None: no step of the trace was running
    waiting: bool  # the step only waited for its next try of something
    start: int
    time: int


@dataclass(slots=True)
class _Frame:
    """A step being walked back through, from its end to its start."""

    step: Step | None
    floor: int
    cursor: int
    children: list[Step]  # the last to finish is the last of the list
    later: Step | None = None  # the child that was taken before

    def next_child(self) -> Step | None:
        """Return the child that was last to finish before the cursor, None when there is none."""
        limit = self.cursor
        while self.children:
            child = self.children.pop()
            overlaps = child.end > limit and self.later is not None
            if not overlaps and max(child.start, self.floor) < min(child.end, limit):
                return child
        return None


def critical_path(run: Run) -> list[Segment]:
    """Return what held the run up, moment by moment from its start to its end, without a gap.

    Walks back from the end: the child that finished last held its parent up, then the one that
    had finished before that one started, and so on down into each. What remains is the parent's
    own time, or its waiting when the two children are tries of the same thing. A child that
    outlives its parent counts up to the parent's end.
    """
    place = {id(step): number for number, chain in enumerate(run.chains) for step in chain}
    found: list[Segment] = []
    frames = [_Frame(None, 0, run.wall, _by_end(run.top, run.wall))]
    while frames:
        frame = frames[-1]
        child = frame.next_child()
        end = frame.floor if child is None else min(child.end, frame.cursor)
        if frame.cursor > end:
            waiting = child is not None and place.get(id(child), -1) == place.get(id(frame.later))
            found.append(Segment(frame.step, waiting, end, frame.cursor - end))
        if child is None:
            frames.pop()
            continue
        floor = max(child.start, frame.floor)
        frame.cursor, frame.later = floor, child
        if child.children:
            frames.append(_Frame(child, floor, end, _by_end(child.children, end)))
        elif end > floor:
            found.append(Segment(child, False, floor, end - floor))
    return found[::-1]


def _by_end(steps: list[Step], limit: int) -> list[Step]:
    return sorted(steps, key=lambda step: (min(step.end, limit), -step.start))


def merge_path(segments: Iterable[Segment], *, depth: int | None = None) -> list[Segment]:
    """Join the segments of each step, in the order of their first one.

    With a depth, the time of deeper steps goes to their ancestor at that level.
    """
    merged: dict[tuple[int, bool], Segment] = {}
    for segment in segments:
        step = segment.step
        waiting = segment.waiting
        while step is not None and depth is not None and step.level > depth:
            step, waiting = step.parent, False
        key = (id(step), waiting)
        if key in merged:
            merged[key].time += segment.time
        else:
            merged[key] = Segment(step, waiting, segment.start, segment.time)
    return list(merged.values())


# ---- Retries and fallbacks that nobody recorded ------------------------------------------------

# Facts of a call that say which try it is, and others that a further try may change.
_TRY_KEYS = frozenset(
    ("attempt", "attempts", "attempt_number", "retry", "retries", "retry_count", "try", "tries")
)
_MODEL_KEYS = ("model", "model_name", "provider", "engine", "deployment", "base_url", "api_base")
_CHANGING = _TRY_KEYS | {
    *("timeout", "timeout_s", "timeout_ms", "timeout_seconds", "deadline"),
    *("request_id", "idempotency_key", "timestamp", *_MODEL_KEYS),
}
_TRY_WORDS = ("attempt", "retry", "try")
_NUMBERING = " _-.:#()[]0123456789"
_FALLBACK_NAME = re.compile(r"fall_?back", re.IGNORECASE)
_FALLBACK_NOTE = re.compile(
    r"\b(?:fell|falls?|falling)[ -]back\b|\bfallback (?:to|for|after)\b|\bas (?:a )?fallback\b",
    re.IGNORECASE,
)
_UNDONE = (NodeStatus.FAILED, NodeStatus.CANCELLED)
# Kinds of step of which one can stand in for another when both get the same input. Several
# checks or transformations of one text are an ordinary pipeline.
_STAND_INS: dict[str, str] = {
    NodeType.LLM_CALL: "model",
    NodeType.TOOL_CALL: "tool",
    NodeType.RETRIEVAL: "tool",
    NodeType.SUB_AGENT: "agent",
}
# What a tool's name says that takes the input of a failed one, but not to replace it.
_AFTERMATH = frozenset(
    (
        *("abort", "cancel", "clean", "cleanup", "close", "delete", "release", "remove"),
        *("revert", "rollback", "undo", "alert", "create", "log", "notify", "record", "report"),
    )
)
_WORD = re.compile("[A-Z]?[a-z]+|[A-Z]+")


def infer_retries(trace: TraceGraph) -> list[Edge]:
    """Return the `retry_of` and `fallback_of` edges a trace shows but did not record.

    A retry repeats the name (numbers at its end aside), the type, the model and the input of a
    sibling that failed before it. A fallback takes the input of a failed sibling to another name
    or model, or says itself that it is one. Every edge has `metadata == {"inferred": True}`.
    """
    return measure(trace).inferred


def _infer(run: Run) -> list[Edge]:
    links = _Links([edge for edge in run.trace.edges if edge.edge_type in _AGAIN])
    scopes: dict[int, list[Step]] = {}
    for step in run.steps:
        if step.node.status in _UNDONE:
            scopes[id(step.parent)] = step.parent.children if step.parent else run.top
    for scope in scopes.values():
        if len(scope) > 1:
            _infer_scope(scope, links)
    links.inferred.sort(key=lambda edge: run.by_id[edge.target_id].start)
    return links.inferred


class _Links:
    """The retries and fallbacks known so far, recorded or inferred."""

    def __init__(self, recorded: list[Edge]) -> None:
        self.inferred: list[Edge] = []
        self._explained = {edge.target_id for edge in recorded}
        retries = [edge for edge in recorded if edge.edge_type == EdgeType.RETRY_OF]
        self._earlier = {edge.target_id: edge.source_id for edge in retries}
        self._retried = {edge.source_id for edge in retries}

    def add(self, earlier: str, later: str, edge_type: EdgeType) -> None:
        """Note an inferred edge, unless what it explains is explained already."""
        if later in self._explained:
            return
        self._explained.add(later)
        if edge_type == EdgeType.RETRY_OF:
            self._earlier[later] = earlier
            self._retried.add(earlier)
        self.inferred.append(Edge(earlier, later, edge_type, "", {"inferred": True}))

    def gave_up(self, step: Step) -> bool:
        """Tell whether a step failed and was not tried again."""
        return step.node.status in _UNDONE and step.node.id not in self._retried

    def first_try(self, node_id: str) -> str:
        """Return the first try of what this step tried again."""
        climbed: dict[str, None] = {}  # in order, and safe from recorded circles
        while node_id in self._earlier and node_id not in climbed:
            climbed[node_id] = None
            node_id = self._earlier[node_id]
        for later in climbed:  # so that asking for each of a long chain stays cheap
            self._earlier[later] = node_id
        return node_id


def _infer_scope(scope: list[Step], links: _Links) -> None:
    """Infer the edges between siblings, given in the order they started."""
    undone = [number for number, step in enumerate(scope) if step.node.status in _UNDONE]
    lost = {_given(scope[number].node) for number in undone}
    groups: dict[str, list[Step]] = {}  # of steps that got the same input
    following: dict[int, Step | None] = {}
    for step, next_step in zip(scope, [*scope[1:], None]):
        given = _given(step.node)
        if given in lost and (given or _says_try(step.node)):
            groups.setdefault(given, []).append(step)
            following[id(step)] = next_step
    for given, group in groups.items():
        for alike in _split(group, _identity):
            _link_retries(alike, following, links)
        for alike in _split(group, _stand_in_kind) if given else ():
            _link_fallbacks(alike, links)
    for number in undone:
        for next_step in scope[number + 1 : number + 2]:
            _link_said_fallback(scope[number], next_step, links)


def _split(steps: list[Step], key: Callable[[Step], object]) -> list[list[Step]]:
    groups: dict[object, list[Step]] = {}
    for step in steps:
        groups.setdefault(key(step), []).append(step)
    return list(groups.values())


def _link_retries(alike: list[Step], following: dict[int, Step | None], links: _Links) -> None:
    tries = _first_tries(alike)
    if any(step is following[id(tries[-1])] for step in alike):
        return  # the same call straight after it succeeded: a loop that polls or samples
    rounds = {_identity(step) for end in (0, -1) if (step := following[id(tries[end])])}
    if len(alike) > len(tries) and len(rounds) == 1:
        return  # such a loop, with a pause or the like recorded in each round
    for earlier, later in zip(tries, tries[1:]):
        links.add(earlier.node.id, later.node.id, EdgeType.RETRY_OF)


def _link_fallbacks(alike: list[Step], links: _Links) -> None:
    tries = _first_tries(alike)
    names = {_identity(step) for step in tries}
    if any(_identity(step) not in names for step in alike):
        return  # a third name at work on the same input: a pipeline, not a replacement
    for earlier, later in zip(tries, tries[1:]):
        is_other = _identity(earlier) != _identity(later)
        if is_other and _stand_in_kind(earlier) and not _cleans_up(earlier, later):
            links.add(links.first_try(earlier.node.id), later.node.id, EdgeType.FALLBACK_OF)


def _link_said_fallback(earlier: Step, later: Step, links: _Links) -> None:
    """Link a failed step with its next sibling, if that says it is a fallback."""
    if links.gave_up(earlier) and later.start >= earlier.end and _says_fallback(later.node):
        links.add(links.first_try(earlier.node.id), later.node.id, EdgeType.FALLBACK_OF)


def _first_tries(group: list[Step]) -> list[Step]:
    """Return the failures a group begins with and what came after them.

    What fails after it had succeeded is part of a loop, what overlaps is a fan-out: then there
    is nothing but the first step.
    """
    if any(later.start < earlier.end for earlier, later in zip(group, group[1:])):
        return group[:1]
    for number, step in enumerate(group):
        if step.node.status not in _UNDONE:
            return group[: number + 1]
    return group


def _cleans_up(earlier: Step, later: Step) -> bool:
    """Tell whether a tool deals with the failure of another one, rather than do its work."""
    if _stand_in_kind(later) != "tool":
        return False
    before, after = (set(_WORD.findall(step.node.name)) for step in (earlier, later))
    return any(word.lower() in _AFTERMATH for word in after - before)


def _stand_in_kind(step: Step) -> str | None:
    return _STAND_INS.get(step.node.node_type)


def _identity(step: Step) -> tuple[str, ...]:
    """Return what tries of one thing have in common, whatever they were given."""
    node = step.node
    given = (node.input_data.get(key) for key in _MODEL_KEYS)
    models = [*models_of(node)[:1], *(model for model in given if isinstance(model, str))]
    return node.node_type, _plain_name(node.name)[0], *models


def _plain_name(name: str) -> tuple[str, bool]:
    """Return a name without the number at its end, and whether it said to be a try.

    >>> _plain_name("api_call_attempt_2"), _plain_name("turn 3"), _plain_name("registry")
    (('api_call', True), ('turn', False), ('registry', False))
    >>> _plain_name("attempt_2")
    ('attempt', True)
    """
    stem = name.rstrip(_NUMBERING)
    for word in _TRY_WORDS:
        rest = stem[: -len(word)]
        if stem.lower().endswith(word) and not rest[-1:].isalnum():
            return rest.rstrip(_NUMBERING) or stem, True
    return stem or name, False


def _given(node: Node) -> str:
    """Return the input that tells a try from a call for something else, "" when there is none."""
    given = node.input_data
    kept = [key for key in given if key not in _CHANGING and given[key] != "[REDACTED]"]
    try:
        return repr([(key, given[key]) for key in sorted(kept)]) if kept else ""
    except (TypeError, ValueError, RecursionError):  # of a node made by hand
        return ""


def _says_try(node: Node) -> bool:
    """Tell whether a step without input says itself that it is a try of something."""
    keys = {*node.input_data, *node.metadata}
    return _plain_name(node.name)[1] or not keys.isdisjoint(_TRY_KEYS)


def _says_fallback(node: Node) -> bool:
    return bool(_FALLBACK_NAME.search(node.name)) or any(
        isinstance(note, str) and _FALLBACK_NOTE.search(note) for note in node.annotations
    )


# ---- Data flow: what one step gave and a later one took ----------------------------------------

_MIN_SIZE = 20  # characters; shorter values meet by chance
_MAX_LEVELS = 8  # of containers looked into
_WHOLE = "$"  # the path of all that a step was given, or gave
_RECENT = 8  # steps that gave the same value and are looked at, the latest first


def infer_data_flow(trace: TraceGraph, *, min_size: int = _MIN_SIZE) -> list[Edge]:
    """Return a `data_flow` edge for each pair of steps whose output is found in a later input.

    Compares values (texts, lists, objects) of at least `min_size` characters by a hash of their
    content. A value that was an input before it was an output did not come from there, and what
    is recorded already is left out. The edge's metadata tells where the value lay:
    `{"inferred": True, "source_path": "$.result", "target_path": "$.messages[1].content"}`.
    """
    flow = DataFlow(min_size=min_size)
    for step in measure(trace, infer=False).steps:
        flow.add(step.node, step.start, step.end, step.level)
    return flow.edges(trace.edges)


class DataFlow:
    """Finds what one step gave and a later one took; keeps hashes of values, not the values."""

    def __init__(self, *, min_size: int = _MIN_SIZE) -> None:
        self._min_size = min_size
        self._steps: list[_Exchange] = []

    def add(self, node: Node, start: int, end: int, level: int) -> None:
        """Take a step with its times and its level in the tree, in any order."""
        given = _values(node.input_data, self._min_size)
        gave = _values(node.output_data, self._min_size)
        if given or gave:
            self._steps.append(_Exchange(node.id, start, end, level, given, gave))

    def edges(self, recorded: Iterable[Edge] = ()) -> list[Edge]:
        """Return an edge for each pair of steps, without those that are recorded."""
        sources: dict[bytes, list[tuple[_Exchange, str]]] = {}
        seen: set[bytes] = set()
        flows = [edge for edge in recorded if edge.edge_type == EdgeType.DATA_FLOW]
        known = {(edge.source_id, edge.target_id) for edge in flows}
        edges: dict[tuple[str, str], Edge] = {}
        for step in sorted(self._steps, key=_by_start):
            for path, key in step.given:
                source = _source(sources.get(key, []), step, path)
                if source is not None and (source[0].node_id, step.node_id) not in known:
                    edge = _data_edge(source[0], source[1], step, path)
                    edges.setdefault((edge.source_id, edge.target_id), edge)
                seen.add(key)
            for path, key in step.gave:
                if key not in seen:
                    sources.setdefault(key, []).append((step, path))
        return list(edges.values())


@dataclass(slots=True, eq=False)
class _Exchange:
    """Where in a step's input and output which values lay: a path and a hash of each."""

    node_id: str
    start: int
    end: int
    level: int
    given: list[tuple[str, bytes]]
    gave: list[tuple[str, bytes]]


def _source(
    candidates: list[tuple[_Exchange, str]], later: _Exchange, path: str
) -> tuple[_Exchange, str] | None:
    """Return the last to end before a step began, the outermost of several."""
    ended = [item for item in candidates[-_RECENT:] if item[0].end <= later.start]
    ended = [item for item in ended if item[0] is not later]
    if path == _WHOLE:  # all of one is all of another: small facts may meet by chance
        ended = [item for item in ended if item[1] != _WHOLE]
    return max(ended, key=lambda item: (item[0].end, -item[0].level), default=None)


def _data_edge(earlier: _Exchange, source_path: str, later: _Exchange, target_path: str) -> Edge:
    paths = {"source_path": source_path, "target_path": target_path}
    facts = {"inferred": True, **paths}
    return Edge(earlier.node_id, later.node_id, EdgeType.DATA_FLOW, "", facts)


def _values(data: Mapping[str, Any], min_size: int) -> list[tuple[str, bytes]]:
    """Return path and content hash of each value of some size, outer values first, the whole last.

    A text of JSON has two: models give arguments to tools so, and get the results of tools so.
    """
    found: list[tuple[str, bytes]] = []
    waiting: list[tuple[str, Any, int]] = [
        (f"${_key_path(key)}", value, 1) for key, value in reversed(list(data.items()))
    ]
    while waiting:
        path, value, level = waiting.pop()
        text = value if isinstance(value, str) else _container_text(value)
        if len(text) < min_size:
            continue
        found.append((path, _hash(text, b"text" if text is value else b"data")))
        meant = _meant(text) if text is value else ""
        if len(meant) >= min_size:
            found.append((path, _hash(meant, b"data")))
        if level < _MAX_LEVELS:
            waiting += _inner_values(path, value, level + 1)
    whole = _container_text(data)
    if len(whole) >= min_size:
        found.append((_WHOLE, _hash(whole, b"data")))
    return found


def _hash(text: str, kind: bytes) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, person=kind).digest()


def _meant(text: str) -> str:
    """Return, as `_container_text` does, the data that a text of JSON stands for, or ""."""
    if not text.startswith(("{", "[")):
        return ""
    try:
        return _container_text(json.loads(text))
    except (ValueError, RecursionError):
        return ""


def _container_text(value: object) -> str:
    if not isinstance(value, (dict, list)) or not value:
        return ""
    try:
        return json.dumps(value, sort_keys=True)
    except (TypeError, ValueError, RecursionError):  # of a node made by hand
        return ""


def _inner_values(path: str, value: object, level: int) -> list[tuple[str, Any, int]]:
    inner: list[tuple[str, Any, int]] = []
    if isinstance(value, dict):
        inner = [(path + _key_path(key), each, level) for key, each in value.items()]
    elif isinstance(value, list):
        inner = [(f"{path}[{number}]", each, level) for number, each in enumerate(value)]
    return inner[::-1]


def _key_path(key: object) -> str:
    return f".{key}" if str(key).isidentifier() else f"[{json.dumps(str(key))}]"
