"""Compare groups of runs of an agent that never does quite the same twice.

    from logtracer_extras.diff_groups import compare_groups, render_groups

    comparison = compare_groups(runs_with_old_prompt, runs_with_new_prompt)
    print("\n".join(render_groups(comparison)))

Per step: how often it appears and fails, how its time, tokens and cost are distributed, and which
differences chance does not explain. Sections, in order: distributions, steps, reading the runs,
drawing.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from logtracer import Node, NodeStatus, TraceGraph

from .diff import step_marks, step_title, tokens_of
from .diff_text import Paper, duration_text

__all__ = [
    "Distribution",
    "GroupComparison",
    "StepComparison",
    "StepRuns",
    "compare_groups",
    "render_groups",
    "render_groups_brief",
]

# ---- Distributions: what a measure came to in each run -----------------------------------------

_RESAMPLES = 1_000
# Runs in a group below which no interval is worth its name: the median of 3 runs lies between the
# least and the most of them only 75 times in 100, of 4 runs 88 times, of 5 runs 94 times.
_ENOUGH = 5
_CHANCE = 0.05  # how likely chance may be to explain a difference that is still called one


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
        return _middle(self.resampled_medians())

    def resampled_medians(self) -> list[float]:
        """Return the medians of samples drawn from the values, with replacement."""
        generator, size = random.Random(self.seed), len(self.values)
        draws = (generator.choices(self.values, k=size) for _ in range(_RESAMPLES))
        return [statistics.median(draw) for draw in draws]


def _quantile(ordered: Sequence[float], share: float) -> float:
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def _middle(values: Iterable[float]) -> tuple[float, float]:
    ordered = sorted(values)
    return _quantile(ordered, 0.025), _quantile(ordered, 0.975)


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
        """Return the values of a measure: `time_ms`, `tokens` or `cost`."""
        return Distribution(tuple(self._values.get(measure, ())), self._seed)

    def add(self, measures: Mapping[str, float]) -> None:
        """Count one run that has the step."""
        self.present += 1
        self.failing += measures["failures"] > 0
        self.count += round(measures["count"])
        for measure in _MEASURES:
            if measure in measures:
                self._values.setdefault(measure, []).append(measures[measure])


_MEASURES = ("time_ms", "tokens", "cost")
_WORDS = {
    "time_ms": ("slower", "faster"),
    "tokens": ("more", "fewer"),
    "cost": ("dearer", "cheaper"),
}


@dataclass(slots=True)
class StepComparison:
    """How a step went in either group. `path` holds the labels from the run's root down."""

    path: tuple[str, ...]
    before: StepRuns
    after: StepRuns

    def verdicts(self) -> list[str]:
        """Return what chance alone does not explain: `slower`, `fails more often`, `only in b`."""
        old, new = self.before, self.after
        if not old.present or not new.present:
            lone = new if new.present else old
            return [f"only in {'b' if new.present else 'a'}"] if lone.present == lone.runs else []
        found = [_rate_word((old.present, old.runs), (new.present, new.runs), "appears")]
        found.append(_rate_word((old.failing, old.present), (new.failing, new.present), "fails"))
        found += [self._measure_word(measure) for measure in _MEASURES]
        return [word for word in found if word]

    def _measure_word(self, measure: str) -> str:
        old, new = self.before.distribution(measure), self.after.distribution(measure)
        if min(len(old.values), len(new.values)) < _ENOUGH:
            return ""
        medians = zip(old.resampled_medians(), replace(new, seed=new.seed + 1).resampled_medians())
        low, high = _middle(after - before for before, after in medians)
        if low <= 0 <= high:
            return ""
        word = _WORDS[measure][0 if low > 0 else 1]
        return f"{word} tokens" if measure == "tokens" else word


def _rate_word(before: tuple[int, int], after: tuple[int, int], verb: str) -> str:
    if _likelihood(*before, *after) >= _CHANCE:
        return ""
    more = after[0] * before[1] > before[0] * after[1]
    return f"{verb} {'more' if more else 'less'} often"


def _likelihood(hits: int, size: int, other_hits: int, other_size: int) -> float:
    """Return how likely chance makes two rates differ this much (Fisher's exact test)."""
    whole, all_hits = size + other_size, hits + other_hits
    ways = [
        math.comb(size, k) * math.comb(other_size, all_hits - k) if k <= all_hits else 0
        for k in range(size + 1)
    ]
    return sum(way for way in ways if way <= ways[hits]) / math.comb(whole, all_hits)


@dataclass(slots=True)
class GroupComparison:
    """Two groups of runs, step by step, in the order in which steps are first seen."""

    runs: tuple[int, int]
    steps: list[StepComparison]

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
    steps = [
        StepComparison(places.path(place), *(_step_runs(runs, place, seed) for runs in tallies))
        for place in range(1, len(places))
    ]
    return GroupComparison((len(tallies[0]), len(tallies[1])), steps)


_LONGEST_PATH = 12  # labels shown of the path to a step
_Tally = dict[int, dict[str, float]]  # what each place came to in one run


class _Places:
    """Number the places at which steps stand; number 0 is where roots are."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, str], int] = {}
        self._keys: list[tuple[int, str]] = [(-1, "")]

    def __len__(self) -> int:
        return len(self._keys)

    def number(self, parent: int, label: str) -> int:
        """Return the number of a place, by its parent's and the step's label."""
        key = (parent, label)
        if key not in self._numbers:
            self._numbers[key] = len(self._keys)
            self._keys.append(key)
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
    marks = step_marks(trace)
    tally: _Tally = {}
    path = [0]
    for level, node in trace.walk():
        del path[level + 1 :]
        mark = marks.get(node.id, "#1")
        title = step_title(node)  # a first try is a step like any other
        place = places.number(path[-1], title if mark == "#1" else f"{title} {mark}")
        path.append(place)
        measures = tally.setdefault(place, {"count": 0, "failures": 0})
        measures["count"] += 1
        measures["failures"] += node.status == NodeStatus.FAILED
        values = (node.duration_ms, tokens_of(node), None if cost is None else cost(node))
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


# ---- Drawing -----------------------------------------------------------------------------------


def render_groups(
    comparison: GroupComparison,
    *,
    width: int = 80,
    unicode: bool = True,
    limit: int = 200,
    whole: bool = False,
) -> list[str]:
    """Return what differs between two groups of runs, and which steps are flaky, as lines.

    A line of a group reads: in how many runs, how many of them failed, then the median, the
    interval it lies in 95 times in 100, and the 95th percentile of time, tokens and cost.
    """
    paper = Paper(unicode, width, whole)
    sizes = [f"{size} run{'' if size == 1 else 's'}" for size in comparison.runs]
    lines = [f"--- a  {sizes[0]}", f"+++ b  {sizes[1]}"]
    if min(comparison.runs) < _ENOUGH:
        lines.append(f"no verdicts on time, tokens, cost: they take {_ENOUGH} runs in each group")
    drawn = [line for step in comparison.steps for line in _step_lines(step, paper)]
    lines += drawn[:limit]
    if len(drawn) > limit:
        lines.append(f"  {paper.glyph('fold')} {len(drawn) - limit} more lines")
    return [*lines, "", *render_groups_brief(comparison, unicode=unicode)]


def render_groups_brief(comparison: GroupComparison, *, unicode: bool = True) -> list[str]:
    """Return one line: how many steps differ, are flaky, and are alike."""
    alike = sum(not _group_notes(step) for step in comparison.steps)
    counts = (f"{len(comparison.different)} different", f"{len(comparison.flaky)} flaky")
    return [Paper(unicode, 80, whole=True).glyph("dot").join([*counts, f"{alike} alike"])]


def _step_lines(step: StepComparison, paper: Paper) -> Iterator[str]:
    """Yield a step and how it went in either group, when there is anything to say of it."""
    notes = _group_notes(step)
    if notes:
        yield paper.step_line(_group_sign(notes), 0, " / ".join(step.path), ", ".join(notes))
        for sign, group in (("-", step.before), ("+", step.after)):
            if group.present:
                yield paper.line(sign, 1, _group_text(group, paper))


def _group_notes(step: StepComparison) -> list[str]:
    groups = (("a", step.before), ("b", step.after))
    return [*step.verdicts(), *(f"flaky in {name}" for name, runs in groups if runs.is_flaky)]


def _group_sign(notes: list[str]) -> str:
    signs = {"only in a": "-", "only in b": "+", "slower": ">", "faster": "<"}
    return signs.get(notes[0], "~") if len(notes) == 1 else "~"


def _group_text(group: StepRuns, paper: Paper) -> str:
    words = [f"in {group.present} of {group.runs}", f"{group.failing} failed"]
    for measure, write in _WRITTEN.items():
        values = group.distribution(measure)
        if values.median is None or values.p95 is None:
            continue
        text = write(values.median)
        between = values.interval()
        if len(set(values.values)) > 1:
            bounds = "" if between is None else f" [{write(between[0])}..{write(between[1])}]"
            text += f"{bounds} p95 {write(values.p95)}"
        words.append(text)
    return ", ".join(words)


_WRITTEN: dict[str, Callable[[float], str]] = {
    "time_ms": duration_text,
    "tokens": lambda count: f"{count:,.0f} tok",
    "cost": lambda amount: f"${amount:.4f}",
}
