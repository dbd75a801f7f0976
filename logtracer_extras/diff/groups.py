"""Compare groups of runs of an agent that never does quite the same twice.

    from logtracer_extras.diff.groups import compare_groups

    comparison = compare_groups(runs_with_old_prompt, runs_with_new_prompt)
    for step in comparison.steps:
        print(step.path, step.verdicts())

Per step: how often it appears and fails, how its time, tokens and cost are distributed, and which
differences chance does not explain. Sections, in order: distributions, steps, verdicts, reading the
runs.
"""

from __future__ import annotations

import math
import random
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from logtracer import Node, NodeStatus, TraceGraph

from ..facts import attempt_titles, title_of
from . import tokens_of

__all__ = [
    "CHANCE",
    "Distribution",
    "GroupComparison",
    "StepComparison",
    "StepRuns",
    "compare_groups",
]


# ---- Distributions: what a measure came to in each run -----------------------------------------

_RESAMPLES = 1_000
# Runs in a group below which no interval is worth its name: the median of 3 runs lies between the
# least and the most of them only 75 times in 100, of 4 runs 88 times, of 5 runs 94 times.
_ENOUGH = 5
CHANCE = 0.05  # the share of verdicts that chance may explain


@dataclass(frozen=True, slots=True)
class Distribution:
    """What one measure of a step came to, one value from each run that has the step."""

    values: tuple[float, ...]
    seed: int = 0

    @property
    def median(self) -> float | None:
        """The middle value; None without values."""
        return statistics.median(self.values) if self.values else None

    @property
    def p95(self) -> float | None:
        """The value that 95 of 100 runs stay below, by linear interpolation; None without values.

        >>> Distribution((10.0, 20.0, 30.0)).p95
        29.0
        """
        return _quantile(sorted(self.values), 0.95) if self.values else None

    def interval(self) -> tuple[float, float] | None:
        """Return where the median of all such runs lies, 95 times in 100; None for a few values.

        A bootstrap: medians of samples drawn from the values themselves. The same values and the
        same seed give the same interval.
        """
        if len(self.values) < _ENOUGH:
            return None
        generator, size = random.Random(self.seed), len(self.values)
        draws = (generator.choices(self.values, k=size) for _ in range(_RESAMPLES))
        medians = sorted(map(statistics.median, draws))
        return _quantile(medians, 0.025), _quantile(medians, 0.975)


def _quantile(ordered: Sequence[float], share: float) -> float:
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


# ---- Steps: how each went in either group ------------------------------------------------------


@dataclass(slots=True)
class StepRuns:
    """How a step went in one group of runs; a step that repeats within a run is added up."""

    runs: int
    present: int = 0
    failing: int = 0
    count: int = 0
    _values: dict[str, list[float]] = field(default_factory=dict)
    _seed: int = 0

    @property
    def is_flaky(self) -> bool:
        """Whether it fails in some of the runs that have it, and in others does not."""
        return 0 < self.failing < self.present

    def distribution(self, measure: str) -> Distribution:
        """Return the values of a measure: `per_run` (how often), `time_ms`, `tokens`, `cost`."""
        return Distribution(tuple(self._values.get(measure, ())), self._seed)

    def add(self, measures: Mapping[str, float]) -> None:
        """Count one run that has the step."""
        self.present += 1
        self.failing += measures["failures"] > 0
        self.count += round(measures["per_run"])
        for measure in _MEASURES:
            if measure in measures:
                self._values.setdefault(measure, []).append(measures[measure])


_MEASURES = ("per_run", "time_ms", "tokens", "cost")
_WORDS = {
    "per_run": ("repeats more often", "repeats less often"),
    "time_ms": ("slower", "faster"),
    "tokens": ("more tokens", "fewer tokens"),
    "cost": ("dearer", "cheaper"),
}


@dataclass(slots=True)
class StepComparison:
    """How a step went in either group. `path` holds the labels from the run's root down."""

    path: tuple[str, ...]
    before: StepRuns
    after: StepRuns
    _verdicts: list[str] = field(default_factory=list)

    def verdicts(self) -> list[str]:
        """Return what chance alone does not explain: `slower`, `fails more often`, `only in b`."""
        return list(self._verdicts)


# ---- Verdicts: what chance does not explain ----------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Test:
    """A difference between two groups, and how likely chance makes one as large.

    `least` is how likely the greatest difference would be: no test of too few runs can tell.
    """

    step: StepComparison
    word: str
    likelihood: float
    least: float


def _judge(steps: Iterable[StepComparison]) -> int:
    """Give the steps their verdicts; return how many tests that took.

    Of a hundred tests of runs that are alike, five would find something by chance. So the more
    there are, the less likely a difference must be (Benjamini and Hochberg): of all verdicts, not
    of all tests, five in a hundred are wrong.
    """
    tests = [test for step in steps for test in _tests(step) if test.least < CHANCE]
    ordered = sorted(test.likelihood for test in tests)
    bounds = (
        likelihood
        for rank, likelihood in enumerate(ordered, 1)
        if likelihood <= CHANCE * rank / len(ordered)
    )
    bound = max(bounds, default=-1.0)
    for test in tests:
        if test.likelihood <= bound:
            test.step._verdicts.append(test.word)
    return len(tests)


def _tests(step: StepComparison) -> Iterator[_Test]:
    old, new = step.before, step.after
    lone = new if new.present else old
    if min(old.present, new.present) == 0 and lone.present == lone.runs:
        step._verdicts.append(f"only in {'b' if new.present else 'a'}")
        return
    yield _rate_test(step, "appears", (old.present, old.runs), (new.present, new.runs))
    if old.present and new.present:
        yield _rate_test(step, "fails", (old.failing, old.present), (new.failing, new.present))
    for measure, words in _WORDS.items():
        values = old.distribution(measure).values, new.distribution(measure).values
        if all(values):
            yield _rank_test(step, words, *values)


def _rate_test(
    step: StepComparison, verb: str, before: tuple[int, int], after: tuple[int, int]
) -> _Test:
    """Compare two rates, hits and all, by Fisher's exact test."""
    hits, size, all_hits = before[0], before[1], before[0] + after[0]
    ways = [
        math.comb(size, k) * math.comb(after[1], all_hits - k) if k <= all_hits else 0
        for k in range(size + 1)
    ]
    whole, least = sum(ways), min(filter(None, ways))
    more = after[0] * before[1] > before[0] * after[1]
    return _Test(
        step,
        f"{verb} {'more' if more else 'less'} often",
        sum(way for way in ways if way <= ways[hits]) / whole,
        sum(way for way in ways if way <= least) / whole,
    )


def _rank_test(
    step: StepComparison,
    words: tuple[str, str],
    before: Sequence[float],
    after: Sequence[float],
) -> _Test:
    """Compare two lists of values by how often one of the later ones is the larger of two.

    It is the test of Mann and Whitney, exact where both lists are short; equal values make it
    careful, not hasty.
    """
    ordered, pairs = sorted(before), len(before) * len(after)
    larger = sum(bisect_left(ordered, v) + bisect_right(ordered, v) for v in after) / 2
    word = words[0 if larger > pairs / 2 else 1]
    if pairs <= _EXACT:
        ways = _ways(len(before), len(after))
        tail = sum(ways[: math.ceil(min(larger, pairs - larger)) + 1])
        likelihood, least = 2 * tail / sum(ways), 2 / sum(ways)
    else:
        spread = math.sqrt(pairs * (len(before) + len(after) + 1) / 12)
        likelihood = 2 * statistics.NormalDist().cdf((0.5 - abs(larger - pairs / 2)) / spread)
        least = 0.0
    is_flat = min(*before, *after) == max(*before, *after)  # nothing can be found there
    return _Test(step, word, min(likelihood, 1.0), 1.0 if is_flat else least)


_EXACT = 10_000  # pairs of values up to which the exact likelihood is computed


@lru_cache(maxsize=16)
def _ways(size: int, other_size: int) -> list[int]:
    """Return how many orders of two lists have 0, 1, 2, ... pairs whose later member is larger."""
    ways = [1] + [0] * (size * other_size)
    for item in range(1, size + 1):
        for count in range(len(ways) - 1, other_size + item - 1, -1):
            ways[count] -= ways[count - other_size - item]
        for count in range(item, len(ways)):
            ways[count] += ways[count - item]
    return ways


@dataclass(slots=True)
class GroupComparison:
    """Two groups of runs, step by step, in the order in which steps are first seen."""

    runs: tuple[int, int]
    steps: list[StepComparison]
    tests: int  # how many differences were looked at to tell them from chance

    @property
    def flaky(self) -> list[StepComparison]:
        """The steps that fail in some runs of a group and succeed in others."""
        return [step for step in self.steps if step.before.is_flaky or step.after.is_flaky]

    @property
    def different(self) -> list[StepComparison]:
        """The steps about which there is a verdict."""
        return [step for step in self.steps if step.verdicts()]

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON data."""
        return {
            "runs": {"before": self.runs[0], "after": self.runs[1]},
            "tests": self.tests,
            "steps": [
                {
                    "path": list(step.path),
                    "verdicts": step.verdicts(),
                    "before": _step_runs_to_dict(step.before),
                    "after": _step_runs_to_dict(step.after),
                }
                for step in self.steps
            ],
        }


def _step_runs_to_dict(step: StepRuns) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "runs": step.runs,
        "present": step.present,
        "failing": step.failing,
        "count": step.count,
        "flaky": step.is_flaky,
    }
    for measure in _MEASURES:
        values = step.distribution(measure)
        if values.values:
            between = values.interval()
            facts[measure] = {
                "median": values.median,
                "p95": values.p95,
                "interval": None if between is None else list(between),
            }
    return facts


# ---- Reading the runs --------------------------------------------------------------------------


def compare_groups(
    before: Iterable[TraceGraph],
    after: Iterable[TraceGraph],
    *,
    cost: Callable[[Node], float | None] | None = None,
    seed: int = 0,
) -> GroupComparison:
    """Compare two groups of runs of an agent that never does quite the same twice.

    A step is known by its place: the types and names from the root down to it. Runs are read one
    after the other, so a generator may load them.
    """
    tallies: tuple[list[_Tally], list[_Tally]] = ([], [])
    places = _Places()
    for runs, group in zip(tallies, (before, after)):
        runs += [_tally(trace, places, cost) for trace in group]
    before_runs, after_runs = tallies
    steps = [
        StepComparison(
            places.path(place),
            _step_runs(before_runs, place, seed),
            _step_runs(after_runs, place, seed),
        )
        for place in range(1, len(places))
    ]
    return GroupComparison((len(before_runs), len(after_runs)), steps, _judge(steps))


_LONGEST_PATH = 12  # labels shown of the path to a step
_Tally = dict[int, dict[str, float]]  # what each place came to in one run


class _Places:
    """Number the places at which steps stand; number 0 is where roots are.

    Runs with a single root have that in common, whatever it is called; the first gives the name.
    """

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, str | None], int] = {}
        self._keys: list[tuple[int, str]] = [(-1, "")]

    def __len__(self) -> int:
        return len(self._keys)

    def number(self, parent: int, label: str, *, is_run: bool = False) -> int:
        """Return the number of a place, by its parent's and the step's label."""
        key = (parent, None if is_run else label)
        if key not in self._numbers:
            self._numbers[key] = len(self._keys)
            self._keys.append((parent, label))
        return self._numbers[key]

    def path(self, place: int) -> tuple[str, ...]:
        """Return the labels from the root down to a place; of a very long path, the end."""
        labels: list[str] = []
        while place > 0 and len(labels) < _LONGEST_PATH:
            place, label = self._keys[place]
            labels.append(label)
        return (*(("...",) if place > 0 else ()), *reversed(labels))


def _tally(
    trace: TraceGraph, places: _Places, cost: Callable[[Node], float | None] | None
) -> _Tally:
    marks = attempt_titles(trace)
    run = trace.root_nodes[0] if len(trace.root_nodes) == 1 else None
    tally: _Tally = {}
    path = [0]
    for level, node in trace.walk():
        del path[level + 1 :]
        mark = marks.get(node.id, "#1")
        title = title_of(node)  # a first try is a step like any other
        label = title if mark == "#1" else f"{title} {mark}"
        place = places.number(path[-1], label, is_run=node is run)
        path.append(place)
        measures = tally.setdefault(place, {"failures": 0})
        measures["failures"] += node.status == NodeStatus.FAILED
        values = (1.0, node.duration_ms, tokens_of(node), None if cost is None else cost(node))
        for measure, value in zip(_MEASURES, values):
            if value is not None:
                measures[measure] = measures.get(measure, 0.0) + value
    return tally


def _step_runs(tallies: list[_Tally], place: int, seed: int) -> StepRuns:
    step = StepRuns(len(tallies), _seed=seed)
    for tally in tallies:
        if place in tally:
            step.add(tally[place])
    return step
