"""Draw a run as a tree with a bar for each step: `logtracer inspect --timeline`.

    from logtracer_extras.timeline import lines

    for line in lines(measure(trace), pen):
        ...

Neighbours that did the same and have nothing to tell are one line, `web_search x4`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from logtracer import EdgeType, NodeStatus
from logtracer_cli import Line, Pen

from ..analysis.critical_path import critical_path
from ..analysis.run import Run, Step
from ..facts import error_text

__all__ = ["facts", "is_whole_run", "timeline_lines"]

_BAR = 14  # columns; what other columns leave is added
_LEAST_BAR = 10  # where the names need the others
_TIME, _TOKENS, _COST = 8, 7, 8  # columns
_LEAST_NAME = 20
_GOOD_NAME = 26
_LEAST_LABEL = 10  # columns of a step's type and name that any mark behind them must leave
_LEAST_OWN_NAME = 8  # columns of its name that a mark one can do without must leave
_AGAIN = {EdgeType.RETRY_OF.value: "retry", EdgeType.FALLBACK_OF.value: "fallback"}


def facts(run: Run, pen: Pen) -> list[str]:
    """Return what a summary says of a measured run: its tokens, its cost, its critical path."""
    told = []
    usage = [step.total for step in run.top if step.total is not None]
    if usage:
        read, wrote = sum(total.input for total in usage), sum(total.output for total in usage)
        told.append(f"tokens {read:,} in / {wrote:,} out")
    costs = [step.total_cost for step in run.top if step.total_cost is not None]
    if costs:
        is_part = any(step.unpriced for step in run.top)
        told.append(f"cost {pen.cost(sum(costs))}{'+' * is_part}")
    held_up = sum(part.time for part in critical_path(run) if not is_whole_run(part.step))
    if run.wall and len(run.steps) > 1:
        told.append(f"critical path {pen.duration(held_up / 1_000)} ({100 * held_up // run.wall}%)")
    return told


def is_whole_run(step: Step | None) -> bool:
    """Tell whether a step of the critical path is no step but the run as a whole."""
    return step is None or (step.parent is None and step.node.node_type == "trace")


def timeline_lines(
    run: Run, pen: Pen, *, shown: set[str] | None = None, bars: bool = True
) -> Iterator[Line]:
    """Yield the head of the columns and a line per step; `shown` are the ids to draw, or None."""
    table = _Table(run, pen, bars)
    yield table.head()
    for entry in _entries(run, pen, shown):
        yield table.line(entry)
        yield from table.trouble(entry)


class _Entry(NamedTuple):
    """A line to draw: one step, or equal neighbours folded into one."""

    steps: list[Step]
    branch: str  # what stands before its name
    indent: str  # what stands before the names below it
    level: int
    parallel: int  # steps right below it that ran at once


def _entries(run: Run, pen: Pen, shown: set[str] | None) -> Iterator[_Entry]:
    """Yield what to draw, parents before children, without recursion."""
    deepest = max(1, pen.width // 9)  # levels drawn by indenting; deeper ones say their level
    waiting = [([step], "", "", 0) for step in reversed(run.top)]
    while waiting:
        steps, branch, indent, level = waiting.pop()
        if shown is not None and steps[0].node.id not in shown:
            continue
        children = steps[0].children if len(steps) == 1 else []
        visible = [child for child in children if shown is None or child.node.id in shown]
        yield _Entry(steps, branch, indent, level, _at_once(children))
        groups = _folded(visible, shown)
        for position, group in enumerate(reversed(groups)):
            if level >= deepest:
                branch, below = f"(level {level + 1}) ", "   "
            else:
                branch = indent + pen.glyph("elbow" if position == 0 else "tee")
                below = indent + ("   " if position == 0 else pen.glyph("pipe"))
            waiting.append((group, branch, below, level + 1))


def _at_once(steps: list[Step]) -> int:
    """Return how many of the steps, given by start, ran at the same time at most."""
    most = 0
    running: list[int] = []
    for step in steps:
        running = [end for end in running if end > step.start]
        running.append(step.end)
        most = max(most, len(running))
    return most


def _folded(steps: list[Step], shown: set[str] | None) -> list[list[Step]]:
    """Group neighbours that are alike and have nothing below them to show."""
    groups: list[list[Step]] = []
    for step in steps:
        alike = groups and _likeness(groups[-1][-1], shown) == _likeness(step, shown) is not None
        if alike:
            groups[-1].append(step)
        else:
            groups.append([step])
    return groups


def _likeness(step: Step, shown: set[str] | None) -> tuple[str, str] | None:
    """Return what two steps must share to be one line, None for a step with a line of its own."""
    below = any(shown is None or child.node.id in shown for child in step.children)
    if below or step.attempt is not None or step.node.status != NodeStatus.COMPLETED:
        return None
    return step.node.node_type, step.node.name


class _Table:
    """The columns: what is in them, and how wide they are."""

    def __init__(self, run: Run, pen: Pen, bars: bool) -> None:
        self._run = run
        self._pen = pen
        roomy = pen.width >= 60
        self._has_tokens = roomy and any(step.total for step in run.top)
        priced = [step for step in run.top if step.total_cost is not None] if roomy else []
        is_part = any(step.unpriced for step in priced)
        self._cost = _COST + is_part if priced else 0  # columns, one of them for the plus
        used = _TOKENS * self._has_tokens + self._cost
        spare = _TIME + 1 + used
        unused = max(0, (_TOKENS + _COST) * roomy - used)
        self._bar = _BAR if bars and pen.width - spare - _BAR >= _LEAST_NAME else 0
        if self._bar:
            self._bar = max(_LEAST_BAR, min(_BAR, pen.width - spare - _GOOD_NAME))
        if self._bar and pen.width - spare - _BAR - unused >= 2 * _LEAST_NAME:
            self._bar += unused
        self._name = max(_LEAST_NAME, pen.width - spare - self._bar)
        self._again = {
            edge.target_id: (_AGAIN[edge.edge_type], edge.metadata.get("inferred") is True)
            for edge in reversed(run.edges)  # recorded ones come first there, and win
            if edge.edge_type in _AGAIN
        }

    def head(self) -> Line:
        """Return the names of the columns."""
        end = self._pen.duration(self._run.wall / 1_000) if self._bar else ""
        scale = "0s" + end.rjust(self._bar - 2) if self._bar else ""
        text = "NODE".ljust(self._name) + scale + "TIME".rjust(_TIME)
        text += "TOK".rjust(_TOKENS) * self._has_tokens
        return [(text + ("COST".rjust(self._cost) if self._cost else ""), "heading")]

    def line(self, entry: _Entry) -> Line:
        """Return the line of a step or of folded neighbours."""
        step, steps = entry.steps[0], entry.steps
        branch = self._pen.clip(entry.branch, self._name - 4)
        glyph, role = self._mark(step)
        mark = self._pen.glyph(glyph) + " "
        room = self._name - len(branch) - len(mark) - 1
        label = f"{step.node.node_type} {step.node.name}"
        least = min(len(label), len(step.node.node_type) + 1 + _LEAST_OWN_NAME)
        marks = ""
        for each, is_needed in self._marks(entry):
            left = room - len(marks + each)
            marks += each if left >= (_LEAST_LABEL if is_needed else least) else ""
        name = self._pen.clip(label, max(1, room - len(marks)))
        name = self._pen.fit(name + marks, room)
        times = [(step.start, step.end) for step in steps]
        line: Line = [(branch, "dim"), (mark, role), (name + " ", "")]
        line.append((self._bar_of(times), role if step.failed else step.node.node_type))
        line.append((self._pen.duration(_covered(times) / 1_000).rjust(_TIME), ""))
        line.append((self._sums(steps), "dim"))
        return line

    def trouble(self, entry: _Entry) -> Iterator[Line]:
        """Yield, under a failed step, why it failed."""
        node = entry.steps[0].node
        error = error_text(node)
        if error:
            indent = self._pen.clip(entry.indent, self._name - 4) + "   "
            text = self._pen.clip(error, self._pen.width - len(indent))
            yield [(indent, "dim"), (text, "failed")]

    def _mark(self, step: Step) -> tuple[str, str]:
        status = step.node.status.value
        again = self._again.get(step.node.id)
        if again is not None and status == "completed":
            return again[0], again[0]
        return status, status

    def _marks(self, entry: _Entry) -> Iterator[tuple[str, bool]]:
        """Yield what is special about a step, and whether that matters more than its name.

        The gravest comes first. A try is told from others by its mark in front, too.
        """
        step = entry.steps[0]
        again, inferred = self._again.get(step.node.id, ("", False))
        if step.parent is None and step.node.parent_id is not None:
            yield "  detached", True
        if len(entry.steps) > 1:
            yield f" x{len(entry.steps)}", True
        if step.attempt is not None and again != "fallback":
            yield f"  #{step.attempt}", False
        if again:
            yield (f" ({again}, inferred)" if inferred else f" ({again})"), inferred
        if entry.parallel > 1:
            yield f"  [{entry.parallel} parallel]", False

    def _bar_of(self, times: list[tuple[int, int]]) -> str:
        """Return the bar: full where a step ran, half where it ran in a part of the column."""
        if not self._bar:
            return ""
        full, half, empty = (self._pen.glyph(name) for name in ("full", "half", "empty"))
        cells = [0.0] * self._bar
        per_cell = max(self._run.wall, 1) / self._bar
        for start, end in times:
            first = min(int(start / per_cell), self._bar - 1)
            last = min(int(end / per_cell), self._bar - 1)
            for cell in range(first, last + 1):
                begin, until = max(start, cell * per_cell), min(end, (cell + 1) * per_cell)
                part = (until - begin) / per_cell
                is_sign = part > 0 or first == last  # however short a step, it leaves a mark
                cells[cell] += max(part, 0.01) if is_sign else 0.0
        return "".join(full if part >= 0.75 else half if part > 0 else empty for part in cells)

    def _sums(self, steps: list[Step]) -> str:
        """Return the columns of tokens and cost, those of all that is below included."""
        tokens = sum(step.total.tokens for step in steps if step.total)
        costs = [step.total_cost for step in steps if step.total_cost is not None]
        text = ""
        if self._has_tokens:
            text += (self._pen.tokens(tokens) if tokens else "").rjust(_TOKENS)
        if self._cost:
            plus = "+" * any(step.unpriced for step in steps)
            cost = self._pen.cost(sum(costs)) + plus if costs else "-" if tokens else ""
            text += cost.rjust(self._cost)
        return text.rstrip()


def _covered(times: list[tuple[int, int]]) -> int:
    """Return the time in which at least one of the steps ran."""
    covered, until = 0, 0
    for start, end in sorted(times):
        covered += max(0, end - max(start, until))
        until = max(until, end)
    return covered
