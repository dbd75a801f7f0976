"""Compare two runs of an agent: what differs, and where it began.

    from logtracer_extras.diff import diff
    from logtracer_extras.diff_text import render

    difference = diff(good_run, bad_run)
    print(difference.first)  # the change that came first in time
    print("\n".join(render(difference)))

Two runs are compared as trees: steps are paired by what they are and what they were given, never
by their ids or times. The sections, in order: what a comparison says, names of steps, from pairs to
changes, what came first, comparing two runs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from logtracer import Node, TraceGraph

from ..facts import REPEATS_PARENT, path_text, title_of, usage_of
from .pairing import NONE, Tree, paired
from .values import (
    ABSENT,
    FieldChange,
    Lens,
    MaskError,
    compare_facts,
    compare_values,
    line_changes,
)

__all__ = [
    "ABSENT",
    "Change",
    "FieldChange",
    "Kind",
    "MaskError",
    "Row",
    "Totals",
    "TraceDiff",
    "compare_values",
    "diff",
    "line_changes",
    "path_text",
    "step_marks",
    "step_title",
    "tokens_of",
]

# ---- What a comparison says --------------------------------------------------------------------

Kind = Literal["changed", "renamed", "moved", "added", "removed", "slower", "faster"]
_KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(slots=True)  # not frozen: there may be one for every step, and frozen ones take longer
class Change:
    """One difference: a step that changed, or a branch that came, went or moved.

    A step that moved or was renamed may have changed as well: `fields` says what. `steps` counts
    the steps of an added or removed branch that its top speaks for. `position` is the place among
    its siblings, in the later run, or, for a removed step, in the earlier one.
    """

    kind: Kind
    before: Node | None
    after: Node | None
    fields: tuple[FieldChange, ...] = ()
    steps: int = 1
    position: int = 0

    @property
    def node(self) -> Node:
        """The step in the later run, or in the earlier one when it was removed."""
        node = self.after or self.before
        assert node is not None  # one of the two is always there
        return node


@dataclass(slots=True)
class Row:
    """A step of the two trees laid over each other; `before` or `after` is None in one of them.

    Inside an added or removed branch only the top row carries the change.
    """

    level: int
    before: Node | None
    after: Node | None
    change: Change | None = None

    @property
    def node(self) -> Node:
        """The step in the later run, or in the earlier one when it was removed."""
        node = self.after or self.before
        assert node is not None  # one of the two is always there
        return node

    @property
    def differs(self) -> bool:
        """Whether the two runs differ here."""
        return self.change is not None or self.before is None or self.after is None


@dataclass(frozen=True, slots=True)
class Totals:
    """What a run took as a whole; None where nothing is known."""

    milliseconds: float | None
    tokens: int | None
    cost: float | None


@dataclass(slots=True)
class TraceDiff:
    """All that differs between two runs."""

    before: TraceGraph
    after: TraceGraph
    rows: list[Row]
    first: Change | None
    totals: tuple[Totals, Totals]
    _marks: tuple[dict[str, str], dict[str, str]] = field(repr=False)

    @property
    def changes(self) -> list[Change]:
        """The differences, in reading order; empty when the runs are the same."""
        return [row.change for row in self.rows if row.change is not None]

    @property
    def pairs(self) -> dict[str, str]:
        """The id of each step of the earlier run that has a counterpart, and whose."""
        return {row.before.id: row.after.id for row in self.rows if row.before and row.after}

    @property
    def counts(self) -> dict[str, int]:
        """How many steps are the same, and how many changed in which way."""
        counts: dict[str, int] = {"same": 0}
        counts.update((kind, 0) for kind in _KINDS)
        for row in self.rows:
            if row.change is not None:
                counts[row.change.kind] += row.change.steps
            elif row.before and row.after:
                counts["same"] += 1
        return counts

    def label(self, node: Node, *, is_before: bool = False) -> str:
        """Return what a step is called: `llm_call chat #2 (retry)`."""
        mark = self._marks[0 if is_before else 1].get(node.id)
        return f"{title_of(node)} {mark}" if mark else title_of(node)

    def path(self, change: Change, *, is_before: bool = False) -> str:
        """Return where a change is: the labels from the run's root down, joined by ` / `.

        It is the place in the later run; in the earlier one for a removed step, or on request.
        """
        is_before = change.after is None or (is_before and change.before is not None)
        trace = self.before if is_before else self.after
        node = (change.before if is_before else change.after) or change.node
        return path_text(trace, node, lambda step: self.label(step, is_before=is_before))

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON data."""
        first = None if self.first is None else self._change_to_dict(self.first)
        return {
            "before": _run_to_dict(self.before, self.totals[0]),
            "after": _run_to_dict(self.after, self.totals[1]),
            "same": not self.changes,
            "counts": self.counts,
            "first": first,
            "changes": [self._change_to_dict(change) for change in self.changes],
        }

    def _change_to_dict(self, change: Change) -> dict[str, Any]:
        return {
            "kind": change.kind,
            "path": self.path(change),
            "before": change.before.id if change.before else None,
            "after": change.after.id if change.after else None,
            "steps": change.steps,
            "position": change.position,
            "fields": [item.to_dict() for item in change.fields],
        }


def _run_to_dict(trace: TraceGraph, totals: Totals) -> dict[str, Any]:
    return {
        "trace_id": trace.trace_id,
        "name": trace.name,
        "node_count": len(trace.nodes),
        "duration_ms": totals.milliseconds,
        "tokens": totals.tokens,
        "cost": totals.cost,
    }


# ---- From pairs to changes ---------------------------------------------------------------------

_Link = tuple[str, str, int, int]  # type, label, index of the source, index of the target


@dataclass(frozen=True)
class _Timing:
    """When a time counts as different; the share is of the shorter of the two times."""

    is_wanted: bool
    share: float
    minimum: float

    def change(self, before: Node, after: Node) -> list[FieldChange]:
        """Return the change of a step's time, when it is one and wanted."""
        if not self.is_wanted:
            return []
        old, new = before.duration_ms, after.duration_ms
        if old is None or new is None:
            return []
        if abs(new - old) < max(self.share * min(old, new), self.minimum):
            return []
        return [FieldChange("duration_ms", old, new)]


class _Comparison:
    """Lay two paired trees over each other and say, place by place, what differs."""

    def __init__(self, left: Tree, right: Tree, timing: _Timing) -> None:
        self._left, self._right, self._timing = left, right, timing
        self._to_right, self._to_left, self._moved = paired(left, right)
        self._links = self._changed_links()
        self.rows: list[Row] = []
        self._changed: list[tuple[Change, tuple[int, int]]] = []  # with their places in the trees
        self._lay_out()

    def _lay_out(self) -> None:
        """Write a row for every place of the union of both trees, in reading order."""
        lefts, rights = self._left.nodes, self._right.nodes
        waiting = [(0, *place) for place in reversed(self._merged(0, 0))]
        while waiting:
            level, i, j = waiting.pop()
            change = self._change(i, j)
            if change is not None:
                self._changed.append((change, (i, j)))
            before, after = lefts[i] if i != NONE else None, rights[j] if j != NONE else None
            self.rows.append(Row(level, before, after, change))
            below = self._merged(i, j)
            if below:
                waiting.extend([(level + 1, *place) for place in reversed(below)])

    def _merged(self, i: int, j: int) -> list[tuple[int, int]]:
        """Return the children of one place; removed ones follow the sibling they followed."""
        lefts = self._left.children(i) if i != NONE else ()
        rights = self._right.children(j) if j != NONE else ()
        if not lefts and not rights:
            return []
        gone: dict[int, list[tuple[int, int]]] = defaultdict(list)
        previous = NONE
        for child in lefts:
            partner = self._to_right[child]
            if partner == NONE:
                gone[previous].append((child, NONE))
            elif child not in self._moved:
                previous = partner
        merged = gone[NONE]
        for child in rights:
            merged.append((self._to_left[child], child))
            merged += gone.get(child, ())
        return merged

    def _change(self, i: int, j: int) -> Change | None:
        if j == NONE:
            return _lone_change("removed", self._left, i, self._to_right)
        if i == NONE:
            return _lone_change("added", self._right, j, self._to_left)
        left, right = self._left, self._right
        before, after = left.nodes[i], right.nodes[j]
        fields: list[FieldChange] = []
        if left.signatures[i] != right.signatures[j]:
            fields += compare_values(_identity(left, i), _identity(right, j))
        if left.texts[i] != right.texts[j]:
            fields += compare_facts(left.lens.facts(before), right.lens.facts(after))
        fields = left.lens.without_ignored([*fields, *self._links.get(j, ())])
        slower = self._timing.change(before, after)
        kind = self._kind(i, fields, slower)
        if kind is None:
            return None
        return Change(kind, before, after, (*fields, *slower), 1, right.positions[j])

    def _kind(self, i: int, fields: list[FieldChange], slower: list[FieldChange]) -> Kind | None:
        if i in self._moved:
            return "moved"
        if any(item.path in ("name", "node_type") for item in fields):
            return "renamed"
        if fields:
            return "changed"
        if slower:
            return "slower" if slower[0].after > slower[0].before else "faster"
        return None

    def _changed_links(self) -> dict[int, list[FieldChange]]:
        """Return the edges between paired steps that only one of the runs has, by their target."""
        old = Counter(
            (kind, label, self._to_right[source], self._to_right[target])
            for kind, label, source, target in _links(self._left, self._to_right)
        )
        new = Counter(_links(self._right, self._to_left))
        changes: dict[int, list[FieldChange]] = defaultdict(list)
        for link in (old - new).elements():
            source = self._left.nodes[self._to_left[link[2]]]
            changes[link[3]].append(FieldChange("links", _link_text(link, source), ABSENT))
        for link in (new - old).elements():
            source = self._right.nodes[link[2]]
            changes[link[3]].append(FieldChange("links", ABSENT, _link_text(link, source)))
        return changes

    def first(self) -> Change | None:
        """Return the change that came first in time.

        Runs drift apart, so time is counted in what both have: the starts and ends of paired
        steps that came before. A step's end is when its output and its error came to be.
        """
        found: list[tuple[int, list[tuple[str, str]], Change]] = []  # the first of either run
        sides = ((self._left, self._to_right), (self._right, self._to_left))
        for side, (tree, partners) in enumerate(sides if self._changed else ()):
            clock = _Clock(tree)
            moments = (
                (clock.moment(place[side], _came_at_end(change)), at)
                for at, (change, place) in enumerate(self._changed)
                if place[side] != NONE
            )
            moment, at = min(moments, default=(None, 0))
            if moment is not None:
                change = self._changed[at][0]
                found.append((clock.count(moment, partners), _names(change), change))
        return min(found, key=lambda item: item[:2])[2] if found else None


def _lone_change(kind: Kind, tree: Tree, index: int, partners: list[int]) -> Change | None:
    """Return the change of a step without a partner; the top of a branch speaks for all of it."""
    if partners[tree.parents[index]] == NONE:
        return None
    node, position = tree.nodes[index], tree.positions[index]
    before, after = (node, None) if kind == "removed" else (None, node)
    return Change(kind, before, after, (), _lone_steps(tree, index, partners), position)


def _lone_steps(tree: Tree, top: int, partners: list[int]) -> int:
    """Count the steps of a branch without those that moved into it, or out, with what is below."""
    count, index, end = 0, top, top + tree.sizes[top]
    while index < end:
        is_lone = partners[index] == NONE
        count += is_lone
        index += 1 if is_lone else tree.sizes[index]
    return count


def _identity(tree: Tree, index: int) -> dict[str, str]:
    kind, name, lane, _ = tree.signatures[index]
    return {"name": name, "node_type": kind, "lane": "own" if lane else "parent's"}


def _links(tree: Tree, partners: list[int]) -> Iterator[_Link]:
    """Yield the edges between paired steps, but for those that only repeat the tree."""
    nodes = tree.trace.nodes
    edges = [
        edge
        for edge in tree.trace.edges
        if edge.edge_type not in REPEATS_PARENT
        or (edge.target_id in nodes and nodes[edge.target_id].parent_id != edge.source_id)
    ]
    indexes = {node.id: index for index, node in enumerate(tree.nodes)} if edges else {}
    for edge in edges:
        source, target = indexes.get(edge.source_id, NONE), indexes.get(edge.target_id, NONE)
        if min(source, target) != NONE and min(partners[source], partners[target]) != NONE:
            yield edge.edge_type, edge.label, source, target


def _link_text(link: _Link, source: Node) -> str:
    label = f" ({link[1]})" if link[1] else ""
    return f"{link[0]!s} from {title_of(source)}{label}"


# ---- What came first ---------------------------------------------------------------------------

_Moment = tuple[float, int]
_AT_END = ("changed", "slower", "faster")


def _came_at_end(change: Change) -> bool:
    return change.kind in _AT_END and not any(item.is_known_at_start for item in change.fields)


def _names(change: Change) -> list[tuple[str, str]]:
    """Order changes that came at the same time, whichever run is called the earlier one."""
    return sorted((title_of(node), node.id) for node in (change.before, change.after) if node)


class _Clock:
    """Order the starts and ends of steps; steps without times take those around them."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        starts = [0.0]
        for node, parent in zip(tree.nodes[1:], tree.parents[1:]):
            known = node.start_time
            starts.append(starts[parent] if known is None else known.timestamp())
        ends = starts[:]  # without one: when the last step below started or ended
        for index in range(len(ends) - 1, 0, -1):
            ended, parent = tree.nodes[index].end_time, tree.parents[index]
            if ended is not None:
                ends[index] = ended.timestamp()
            if ends[index] > ends[parent]:
                ends[parent] = ends[index]
        self._starts, self._ends = starts, ends

    def moment(self, index: int, is_end: bool) -> _Moment:
        """Return a time, and the place in the order of entering and leaving for equal times."""
        entered = 2 * index - self._tree.levels[index]
        if is_end:
            return self._ends[index], entered + 2 * self._tree.sizes[index] - 1
        return self._starts[index], entered

    def count(self, moment: _Moment, partners: list[int]) -> int:
        """Return how many starts and ends of paired steps come before a moment."""
        return sum(
            (self.moment(index, False) < moment) + (self.moment(index, True) < moment)
            for index, start in enumerate(self._starts)
            if start <= moment[0] and partners[index] != NONE
        )


# ---- Comparing two runs ------------------------------------------------------------------------


def diff(
    before: TraceGraph,
    after: TraceGraph,
    *,
    ignore: Iterable[str] = (),
    mask: Iterable[str] = (),
    timing: bool = False,
    time_share: float = 0.2,
    time_minimum_ms: float = 50.0,
    cost: Callable[[Node], float | None] | None = None,
) -> TraceDiff:
    """Compare two runs.

    Ids and times never count. `ignore` names values that do not count either, by path:
    `output.request_id`, `metadata.*.id`, `input.messages[*].name`. `mask` holds regular
    expressions: text they match, in values and in names, is the same as other text they match;
    MaskError says which is none. With `timing`, a step that
    took longer or shorter by `time_share` of the shorter time, and `time_minimum_ms` at least, is
    a difference too. `cost` prices a step.
    """
    lens = Lens(ignore, mask, cost)
    left, right = Tree(before, lens), Tree(after, lens)
    comparison = _Comparison(left, right, _Timing(timing, time_share, time_minimum_ms))
    totals, marks = (_totals(left), _totals(right)), (left.marks, right.marks)
    return TraceDiff(before, after, comparison.rows, comparison.first(), totals, marks)


def _totals(tree: Tree) -> Totals:
    price = tree.lens.cost
    cost = None if price is None else _summed(tree, [price(node) for node in tree.nodes])
    tokens = _summed(tree, [tokens_of(node) for node in tree.nodes])
    return Totals(tree.trace.duration_ms, None if tokens is None else round(tokens), cost)


def _summed(tree: Tree, values: Sequence[float | None]) -> float | None:
    """Add up what the steps say; a step that reports the sum of those below it adds nothing."""
    if all(value is None for value in values):
        return None
    sums = [0.0] * len(tree.nodes)
    for index in range(len(sums) - 1, 0, -1):
        sums[index] = max(sums[index], values[index] or 0.0)
        sums[tree.parents[index]] += sums[index]
    return sums[0]


def tokens_of(node: Node) -> int | None:
    """Return the tokens a node read and wrote, None when it says nothing of them."""
    usage = usage_of(node) if node.metadata else None
    return None if usage is None else usage.tokens
