"""Comparisons of two traces, or of two groups of them, as lines of the terminal.

The first character of a line says what it is, `+`, `-`, `~`, `>` (slower), `<` (faster), and
colours it. Sections, in order: layout, heading and totals, nodes and their values, groups.
"""

from __future__ import annotations

import math
import os
import reprlib
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from logtracer_cli import Line, Pen, cell_width

from ..diff import Change, Kind, Row, Totals, TraceDiff
from ..diff.groups import CHANCE, GroupComparison, StepComparison, StepRuns
from ..diff.values import ABSENT, FieldChange, line_changes
from ..facts import error_text, title_of

__all__ = [
    "Layout",
    "brief_lines",
    "difference_lines",
    "group_brief_lines",
    "group_lines",
    "more",
    "stat_lines",
]

# ---- Layout: where the pieces of a line go -----------------------------------------------------

_NOTE_COLUMN = 55
_DEEPEST = 12  # levels that are indented; deeper ones would push the text off any screen
_FIELDS = 6  # changed values shown of one node, changed lines of one text
_VALUE = 24  # columns kept for a value, however long its path is
_SPAN = 100_000  # characters shown of one value, at the very most
_TOP = -1  # the parent of rows that have none
_SIGNS: dict[Kind, str] = {
    "changed": "~",
    "renamed": "~",
    "moved": "~",
    "added": "+",
    "removed": "-",
    "slower": ">",
    "faster": "<",
}
_ROLES = {
    "+": "added",
    "-": "removed",
    "~": "changed",
    ">": "slower",
    "<": "faster",
    "!": "failed",
    "@": "heading",
}
_IN_NOTE = ("name", "node_type", "status", "duration_ms", "metadata.gen_ai.request.model")


@dataclass(frozen=True)
class Layout:
    """How lines with a sign, an indent and a note are laid out; a wide pen cuts nothing."""

    pen: Pen

    def clip(self, text: str, width: int) -> str:
        """Return the text cut to so many columns, with a mark where something is missing."""
        return self.pen.plain(text) if self.pen.is_wide else self.pen.clip(text, width)

    def path(self, path: str, width: int) -> str:
        """Return the path to a node without as many of its first labels as there is no room for."""
        text, labels = path, path.split(" / ")
        while len(labels) > 1 and cell_width(text) > width and not self.pen.is_wide:
            del labels[0]
            text = " / ".join([self.pen.glyph("cut"), *labels])
        return self.clip(text, width)

    def line(self, sign: str, level: int, text: str) -> Line:
        """Return a line of a comparison: its sign and its text."""
        cut = self.clip(f"{sign} {_indent(level)}{self.pen.plain(text)}", self.pen.width)
        return [(cut, _ROLES.get(sign, ""))]

    def node_line(self, sign: str, level: int, path: str, note: str = "") -> Line:
        """Return a line about a node: its sign, its path, and a note in a column of its own."""
        width, role = self.pen.width, _ROLES.get(sign, "")
        start, note = f"{sign} {_indent(level)}", self.pen.plain(note)
        room = max(width - cell_width(note) - 2, width // 3) if note else width
        left = start + self.path(self.pen.plain(path), room - len(start))
        if not note:
            return [(self.clip(left, width), role)]
        column = max(min(_NOTE_COLUMN - 2, room) - cell_width(left), 0)
        return [(self.clip(f"{left}{' ' * column}  {note}", width), role)]

    def packed(self, start: str, words: Iterable[str], gap: str) -> Iterator[Line]:
        """Yield lines that begin with `start`, as many of the words on each as it holds."""
        line, role = "", _ROLES.get(start[0], "")
        for word in map(self.pen.plain, words):
            longer = f"{line}{gap}{word}" if line else word
            if line and not self.pen.is_wide and cell_width(start + longer) > self.pen.width:
                yield [(self.clip(start + line, self.pen.width), role)]
                longer = word
            line = longer
        yield [(self.clip(start + line, self.pen.width), role)]

    def value(self, value: Any) -> str:
        """Return a value as text, bounded in size and, unlike repr, in depth."""
        if isinstance(value, str):
            return f'"{value[:_SPAN]}"'
        shortener = reprlib.Repr()
        shortener.maxlevel = 12
        shortener.maxdict = shortener.maxlist = shortener.maxtuple = 1_000
        shortener.maxstring = shortener.maxother = shortener.maxlong = _SPAN
        return shortener.repr(value)[:_SPAN]

    def pair(self, before: object, after: object) -> str:
        """Return both values with an arrow between them."""
        return f"{before}{self.pen.glyph('to')}{after}"

    def fold(self, words: str) -> Line:
        """Return a line for what is not shown."""
        return [(f"  {self.pen.glyph('fold')} {words}", "")]


def more(number: int, noun: str) -> str:
    """Return how many there are that are not shown."""
    return f"{number} more {noun}{'s' * (number != 1)}"


def _indent(level: int) -> str:
    return "   " * min(level, _DEEPEST)


def _percent(before: float, after: float) -> str:
    return f"{(after - before) / before:+.0%}" if before else "from 0"


# ---- Heading and totals ------------------------------------------------------------------------


def difference_lines(difference: TraceDiff, pen: Pen, *, limit: int = 200) -> list[Line]:
    """Return the comparison of two traces as lines; none when they are the same.

    `limit` bounds the lines about nodes; a wide pen cuts no value and no line.
    """
    if not difference.changes:
        return []
    layout = Layout(pen)
    lines = [*_runs(difference, layout), _first_line(difference, layout)]
    lines += _whole(difference, layout)
    body = _Sheet(difference, layout).lines()
    lines += islice(body, limit)
    hidden = sum(1 for _ in body)
    if hidden:
        lines.append(layout.fold(f"{hidden} more lines"))
    counts = _count_text(difference, layout)
    hint = _HINT if len(counts + _HINT) <= pen.width else ""
    return [*lines, [], [(counts + hint, "")]]


_HINT = "   (--brief, --stat, --json, --html)"


def _runs(difference: TraceDiff, layout: Layout) -> Iterator[Line]:
    """Yield what the two traces are."""
    runs = (("--- a", difference.before), ("+++ b", difference.after))
    for (mark, trace), totals in zip(runs, difference.totals):
        started = "" if trace.start_time is None else f"{trace.start_time:%Y-%m-%d %H:%M:%SZ}"
        took = layout.pen.duration(totals.milliseconds)
        words = [mark, *filter(None, (trace.trace_id[:8], trace.name, started, took))]
        text = "  ".join([*words, f"{len(trace.nodes)} nodes"])
        yield [(layout.clip(layout.pen.plain(text), layout.pen.width), "heading")]


def _whole(difference: TraceDiff, layout: Layout) -> Iterator[Line]:
    """Yield how the two traces differ as a whole: their totals, and their root if there is one."""
    root = difference.rows[0]
    is_single = sum(row.level == 0 for row in difference.rows) == 1
    name = difference.label(root.node) if is_single else difference.after.name
    words = [f"{name} @@", *_total_notes(*difference.totals, layout.pen)]
    if is_single and root.change is not None:
        words.append(_root_note(root.change, difference, layout))
    yield from layout.packed("@@ ", filter(None, words), "  ")
    if is_single and root.change is not None:
        yield from _Sheet(difference, layout).values(root.change, 1)


def _root_note(change: Change, difference: TraceDiff, layout: Layout) -> str:
    """Return how the root of a trace changed; its time is said with the totals."""
    fields = tuple(item for item in change.fields if item.path != "duration_ms")
    return _Sheet(difference, layout).note(replace(change, fields=fields))


def _total_notes(before: Totals, after: Totals, pen: Pen) -> Iterator[str]:
    if before.milliseconds is not None and after.milliseconds is not None:
        apart = after.milliseconds - before.milliseconds
        sign = "+" if apart >= 0 else "-"
        share = _percent(before.milliseconds, after.milliseconds)
        yield f"time {sign}{pen.duration(abs(apart))} ({share})"
    if before.cost is not None and after.cost is not None:
        apart = after.cost - before.cost
        if apart:
            yield f"cost {'+' if apart >= 0 else '-'}{pen.cost(abs(apart))}"
    elif before.tokens != after.tokens and before.tokens is not None and after.tokens is not None:
        yield f"tokens {after.tokens - before.tokens:+,}"  # where no prices make it dollars


def brief_lines(difference: TraceDiff, pen: Pen) -> list[Line]:
    """Return one line: the first difference; none when the traces are the same."""
    return [_first_line(difference, Layout(pen))] if difference.changes else []


def _first_line(difference: TraceDiff, layout: Layout) -> Line:
    """Return where the traces part, and by what."""
    first = difference.first
    assert first is not None  # there are changes
    sheet, plain, width = _Sheet(difference, layout), layout.pen.plain, layout.pen.width
    path, what = plain(difference.path(first)), plain(sheet.reason(first))
    path = layout.path(path, max(width - len("first difference: ") - cell_width(what) - 2, 24))
    return [(layout.clip(f"first difference: {path}: {what}", width), "heading")]


def _count_text(difference: TraceDiff, layout: Layout) -> str:
    counts = difference.counts
    always = ("changed", "added", "removed")
    words = [f"{counts[kind]} {kind}" for kind in _SIGNS if counts[kind] or kind in always]
    return layout.pen.glyph("dot").join([*words, f"{counts['same']} same"])


def stat_lines(difference: TraceDiff, pen: Pen) -> list[Line]:
    """Return a line for each kind of step that differs, then the totals; none when nothing does."""
    if not difference.changes:
        return []
    layout = Layout(pen)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in difference.rows:
        if row.differs:
            kind = row.change.kind if row.change else "added" if row.after else "removed"
            counts[title_of(row.node)][kind] += 1
    ordered = sorted(counts.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    lines = [
        layout.node_line(
            " ", 0, title, ", ".join(f"{count[kind]} {kind}" for kind in _SIGNS if count[kind])
        )
        for title, count in ordered
    ]
    return [*lines, [(_count_text(difference, layout), "")]]


# ---- Nodes and their values --------------------------------------------------------------------


class _Sheet:
    """Lay the rows of a comparison out: what differs, its context, folds for all the rest."""

    def __init__(self, difference: TraceDiff, layout: Layout) -> None:
        self._difference, self._layout = difference, layout
        self._rows = difference.rows
        self._tallies: dict[int, dict[str, tuple[int, int]]] = {}

    def lines(self) -> Iterator[Line]:
        """Yield the lines about steps, then their changed values."""
        self._survey()
        levels: list[int] = []  # where each row is drawn
        prefixes: list[str] = []  # the steps above it that are not drawn, or drawn within its label
        hidden: list[Line] = []
        until = 0
        for index, row in enumerate(self._rows):
            parent = self._parents[index]
            level = levels[parent] + self._is_drawn(parent) if parent != _TOP else self._top
            levels.append(level)
            prefixes.append(self._prefix(index, prefixes))
            if index < until or self._is_joined(index):
                continue
            if not self._is_drawn(index):
                note = self._times_note(row)
                hidden.append(self._layout.node_line(" ", level, self._label(row), note))
                continue
            yield from self._folded(hidden)
            hidden.clear()
            until = self._end_of_repeats(index)
            yield from self._drawn(index, until, level, prefixes[index])
        yield from self._folded(hidden)

    def _survey(self) -> None:
        """Find the parent of each row, the end of its branch, and what differs below it."""
        self._parents: list[int] = []
        self._ends = list(range(1, len(self._rows) + 1))
        self._below = [0] * len(self._rows)  # children that differ, or have such below them
        path: list[int] = []
        for index, row in enumerate(self._rows):
            del path[row.level :]
            self._parents.append(path[-1] if path else _TOP)
            path.append(index)
        for index in range(len(self._rows) - 1, -1, -1):
            parent = self._parents[index]
            if parent != _TOP:
                self._ends[parent] = max(self._ends[parent], self._ends[index])
                self._below[parent] += self._rows[index].differs or self._below[index] > 0
        is_single = self._parents.count(_TOP) == 1
        self._top = -1 if is_single else 0  # a single root is in the heading

    def _is_drawn(self, index: int) -> bool:
        return self._rows[index].differs or self._below[index] > 1 or self._is_heading(index)

    def _is_heading(self, index: int) -> bool:
        return index == 0 and self._top < 0

    def _is_joined(self, index: int) -> bool:
        """Say whether a step only leads to one that differs; it is drawn within its label."""
        return not self._is_drawn(index) and self._below[index] == 1

    def _prefix(self, index: int, prefixes: list[str]) -> str:
        parent = self._parents[index]
        if parent == _TOP or not self._is_joined(parent):
            return ""
        prefix = f"{prefixes[parent]}{self._label(self._rows[parent])} / "
        return (
            prefix
            if len(prefix) < 4 * self._layout.pen.width
            else f"{self._layout.pen.glyph('cut')} / "
        )

    def _folded(self, hidden: list[Line]) -> Iterator[Line]:
        if len(hidden) == 1:
            yield hidden[0]
        elif hidden:
            yield self._layout.fold(f"{len(hidden)} unchanged nodes")

    def _label(self, row: Row) -> str:
        return self._difference.label(row.node, is_before=row.after is None)

    # Repeated steps

    def _end_of_repeats(self, index: int) -> int:
        """Return where the equal steps end that were added, or removed, beside each other."""
        row, end = self._rows[index], self._ends[index]
        if row.change is None or row.change.kind not in ("added", "removed"):
            return index
        while end < len(self._rows) and self._is_repeat(index, end):
            end = self._ends[end]
        is_repeated = end > self._ends[index] or min(self._times(index)) > 0
        return end if is_repeated and self._is_plain(index, end) else index

    def _is_repeat(self, index: int, other: int) -> bool:
        first, second = self._rows[index], self._rows[other]
        return (
            self._parents[index] == self._parents[other]
            and second.change is not None
            and first.change is not None
            and first.change.kind == second.change.kind
            and self._label(first) == self._label(second)
        )

    def _is_plain(self, index: int, end: int) -> bool:
        """Say whether a branch holds nothing but what came or went with it."""
        rows = self._rows[index:end]
        return all(row.before is None for row in rows) or all(row.after is None for row in rows)

    def _times(self, index: int) -> tuple[int, int]:
        """Return how often a step of this label stands beside this one in either run."""
        parent, label = self._parents[index], self._label(self._rows[index])
        if parent not in self._tallies:
            self._tallies[parent] = self._tally(parent)
        return self._tallies[parent].get(label, (0, 0))

    def _tally(self, parent: int) -> dict[str, tuple[int, int]]:
        tally: dict[str, tuple[int, int]] = {}
        index = parent + 1
        end = self._ends[parent] if parent != _TOP else len(self._rows)
        while index < end:
            row = self._rows[index]
            before, after = tally.get(self._label(row), (0, 0))
            tally[self._label(row)] = (
                before + (row.before is not None),
                after + (row.after is not None),
            )
            index = self._ends[index]
        return tally

    # One step

    def _drawn(self, index: int, until: int, level: int, prefix: str) -> Iterator[Line]:
        row, layout = self._rows[index], self._layout
        label = prefix + self._label(row)
        if until > index:
            yield from self._repeats(index, until, level, label)
        elif row.change is None:
            if not self._is_heading(index):
                sign = " " if row.before and row.after else "+" if row.after else "-"
                yield layout.node_line(sign, level, label, self._times_note(row))
        elif not self._is_heading(index):
            yield layout.node_line(_SIGNS[row.change.kind], level, label, self.note(row.change))
            yield from self.values(row.change, level + 1)

    def _repeats(self, index: int, until: int, level: int, label: str) -> Iterator[Line]:
        before, after = self._times(index)
        if before and after:
            times = self._layout.pair(f"x{before}", f"x{after}")
            yield self._layout.node_line("~", level, label, times)
        else:
            sign = "+" if after else "-"
            yield self._layout.node_line(sign, level, label, f"x{before or after}")

    def _times_note(self, row: Row) -> str:
        """Return how long a step that is only there as context took in either run."""
        if row.before is None or row.after is None:
            return ""
        before, after = row.before.duration_ms, row.after.duration_ms
        if before is None or after is None:
            return ""
        times = self._layout.pen.duration(before), self._layout.pen.duration(after)
        return "" if times[0] == times[1] else self._layout.pair(*times)

    def note(self, change: Change) -> str:
        """Return what stands beside a step: how its state, its name, its model or time changed."""
        duration = self._layout.pen.duration
        if change.kind in ("added", "removed"):
            steps = f"({change.steps} nodes)" if change.steps > 1 else ""
            return "  ".join(filter(None, [duration(change.node.duration_ms), steps]))
        words = [self._origin(change)] if change.kind in ("moved", "renamed") else []
        for item in change.fields:
            if item.path == "duration_ms":
                times = self._layout.pair(duration(item.before), duration(item.after))
                words.append(f"{times}  {_percent(item.before, item.after)}")
            elif item.path in ("status", "metadata.gen_ai.request.model"):
                words.append(self._layout.pair(item.before, item.after))
        return "  ".join(words)

    def _origin(self, change: Change) -> str:
        assert change.before is not None and change.after is not None  # it is in both runs
        if change.kind == "renamed":
            return f"was {self._difference.label(change.before, is_before=True)}"
        path = self._difference.path(change, is_before=True).rpartition(" / ")[0]
        here = self._difference.path(change).rpartition(" / ")[0]
        return f"moved from {path or 'the top'}" if path != here else "moved among its siblings"

    def reason(self, change: Change) -> str:
        """Return in a few words what a change is."""
        if change.kind in ("added", "removed"):
            return change.kind
        if change.kind in ("moved", "renamed"):
            return self._origin(change)
        early = [item for item in change.fields if item.is_known_at_start]
        item = (early or change.fields)[0]
        if item.path in _IN_NOTE or item.path.startswith("duration"):
            return f"{item.path.rpartition('.')[2]} {self.note(change)}"
        return f"{item.path} differs"

    def values(self, change: Change, level: int) -> Iterator[Line]:
        """Yield the values that differ in a step, old and new."""
        hidden = (*_IN_NOTE, "error", "error_type")
        fields = [item for item in change.fields if item.path not in hidden]
        width = self._layout.pen.width - len(f"+ {_indent(level)}")
        shown = fields if self._layout.pen.is_wide else fields[:_FIELDS]
        for item in shown:
            for sign, text in _value_lines(item, self._layout, width):
                yield self._layout.line(sign, level, text)
        if len(fields) > len(shown):
            yield self._layout.line("~", level, f"{len(fields) - len(shown)} more values differ")
        if any(item.path in hidden[-2:] for item in change.fields):
            yield from self._errors(change, level)

    def _errors(self, change: Change, level: int) -> Iterator[Line]:
        for sign, node in (("-", change.before), ("+", change.after)):
            if node is not None and (node.error or node.error_type):
                text = error_text(node)
                yield self._layout.line(sign, level, f"error: {text[:_SPAN]}")


def _value_lines(item: FieldChange, layout: Layout, width: int) -> Iterator[tuple[str, str]]:
    """Yield the old and the new value; of long texts, the lines or the part where they differ."""
    before, after = item.before, item.after
    path = layout.pen.plain(item.path)
    if not layout.pen.is_wide and len(path) > width - _VALUE:
        path = layout.pen.glyph("cut") + path[len(path) - max(width - _VALUE, 1) :]
    if isinstance(before, str) and isinstance(after, str):
        width -= len(f"{path}: ")
        if "\n" in before or "\n" in after:
            yield from _text_lines(path, line_changes(before, after), layout, width)
            return
        before, after = _from_difference(before, after, layout, width)
    for sign, value in (("-", before), ("+", after)):
        if value is not ABSENT:
            yield sign, f"{path}: {layout.value(value)}"


def _text_lines(
    path: str, changes: list[tuple[str, int, str]], layout: Layout, width: int
) -> Iterator[tuple[str, str]]:
    """Yield the lines in which two texts differ, of either text some when they are many."""
    counts = Counter(sign for sign, _, _ in changes)
    most = max(counts.values()) if layout.pen.is_wide else _FIELDS
    shown: Counter[str] = Counter()
    for (sign, number, _), line in zip(changes, _cut_lines(changes, layout, width)):
        shown[sign] += 1
        if shown[sign] <= most:
            yield sign, f"{path}:{number}: {line[:_SPAN]}"
    hidden = sum(max(count - most, 0) for count in counts.values())
    if hidden:
        yield "~", f"{path}: {more(hidden, 'line')}"


def _cut_lines(changes: list[tuple[str, int, str]], layout: Layout, width: int) -> list[str]:
    """Return the lines, without the equal beginnings of those that replace each other."""
    lines = [line for _, _, line in changes]
    replaced: deque[int] = deque()
    for at, (sign, _, line) in enumerate(changes):
        if sign == "-":
            if at and changes[at - 1][0] == "+":  # other lines begin
                replaced.clear()
            replaced.append(at)
        elif replaced:
            old = replaced.popleft()
            lines[old], lines[at] = _from_difference(lines[old], line, layout, width)
    return lines


def _from_difference(before: str, after: str, layout: Layout, width: int) -> tuple[str, str]:
    """Cut the equal beginnings of two texts that would fill the line alone."""
    start = len(os.path.commonprefix([before, after]))
    if layout.pen.is_wide or start < width // 2:
        return before, after
    mark, start = layout.pen.glyph("cut"), start - min(12, width // 4)
    return mark + before[start:], mark + after[start:]


# ---- Groups ------------------------------------------------------------------------------------


def group_lines(comparison: GroupComparison, pen: Pen, *, limit: int = 200) -> list[Line]:
    """Return what differs between two groups of traces, and which nodes are flaky, as lines.

    A line of a group reads: in how many traces, how many of them failed, then the median, the
    interval it lies in 95 times in 100, and the 95th percentile of time, tokens and cost.
    """
    layout = Layout(pen)
    sizes = [f"{size} trace{'' if size == 1 else 's'}" for size in comparison.runs]
    lines: list[Line] = [[(f"--- a  {sizes[0]}", "heading")], [(f"+++ b  {sizes[1]}", "heading")]]
    least = 2 / math.comb(sum(comparison.runs), comparison.runs[0])
    if least >= CHANCE:
        lines.append([("no verdicts on time, tokens, cost: too few traces to rule out chance", "")])
    elif least * comparison.tests > CHANCE:
        few = f"few traces for {comparison.tests} tests: a single slower node may go unnamed"
        lines.append([(few, "")])
    drawn = list(_steps_lines(comparison.steps, layout))
    lines += drawn[:limit]
    if len(drawn) > limit:
        lines.append(layout.fold(f"{len(drawn) - limit} more lines"))
    return [*lines, [], *group_brief_lines(comparison, pen)]


def group_brief_lines(comparison: GroupComparison, pen: Pen) -> list[Line]:
    """Return one line: how many nodes differ, are flaky, and are alike."""
    alike = sum(not _group_notes(step) for step in comparison.steps)
    counts = (f"{len(comparison.different)} different", f"{len(comparison.flaky)} flaky")
    return [[(pen.glyph("dot").join([*counts, f"{alike} alike"]), "")]]


def _steps_lines(steps: Sequence[StepComparison], layout: Layout) -> Iterator[Line]:
    """Yield the steps of which there is anything to say, and how they went in either group."""
    tops = _lone_tops(steps)
    sizes = Counter(tops.values())
    for step in steps:
        notes = _group_notes(step)
        if not notes or (len(notes) == 1 and tops.get(step.path, step.path) != step.path):
            continue
        if sizes[step.path] > 1:
            notes[0] += f" ({sizes[step.path]} nodes)"
        yield layout.node_line(_group_sign(step), 0, " / ".join(step.path), ", ".join(notes))
        for sign, group in (("-", step.before), ("+", step.after)):
            if group.present:
                yield from layout.packed(f"{sign}    ", _group_words(group, layout.pen), ", ")


def _lone_tops(steps: Iterable[StepComparison]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Return, for each step of only one group, the topmost step around it that is one too."""
    tops: dict[tuple[str, ...], tuple[str, ...]] = {}
    for step in steps:  # what is around a step comes before it
        if _only_in(step):
            tops[step.path] = tops.get(step.path[:-1], step.path)
    return tops


def _group_notes(step: StepComparison) -> list[str]:
    groups = (("a", step.before), ("b", step.after))
    return [*step.verdicts(), *(f"flaky in {name}" for name, runs in groups if runs.is_flaky)]


def _only_in(step: StepComparison) -> str:
    return next((word[-1] for word in step.verdicts() if word.startswith("only in")), "")


def _group_sign(step: StepComparison) -> str:
    notes = _group_notes(step)
    signs = {"only in a": "-", "only in b": "+", "slower": ">", "faster": "<"}
    return signs.get(notes[0], "~") if len(notes) == 1 else "~"


def _group_words(group: StepRuns, pen: Pen) -> Iterator[str]:
    yield f"in {group.present} of {group.runs}"
    yield f"{group.failing} failed"
    for measure, (write, unit) in _written(pen).items():
        values = group.distribution(measure)
        if values.median is None or values.p95 is None or set(values.values) == _USUAL.get(measure):
            continue
        text = write(values.median)
        if len(set(values.values)) > 1:
            between = values.interval()
            bounds = "" if between is None else f" [{write(between[0])}..{write(between[1])}]"
            text += f"{bounds} p95 {write(values.p95)}"
        yield text + unit


_USUAL = {"per_run": {1.0}}  # goes without saying


def _written(pen: Pen) -> dict[str, tuple[Callable[[float], str], str]]:
    return {
        "per_run": (lambda count: f"x{count:g}", ""),
        "time_ms": (pen.duration, ""),
        "tokens": (lambda count: f"{count:,.0f}", " tok"),
        "cost": (pen.cost, ""),
    }
