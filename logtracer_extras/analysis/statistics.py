"""Sums over nodes and traces: by name, by model, what retries wasted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from .run import UNSUCCESSFUL, Run, Step, by_start, union
from .tokens import Usage, models_of, usage_of

__all__ = ["ModelRow", "NameRow", "RetryWaste", "Statistics"]


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
        for step in sorted(run.steps, key=by_start):
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
        self.errors += sum(1 for step in steps if step.node.status == UNSUCCESSFUL)
        self._durations += [step.end - step.start for step in steps]
        self._self_time += sum(step.self_time for step in steps)
        self._covered += union(steps, 0, wall)

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
