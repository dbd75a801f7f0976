"""Compare two runs of an agent: what differs, and where it began.

    from logtracer_extras.diff import diff
    from logtracer_extras.diff_text import render

    difference = diff(good_run, bad_run)
    print(difference.first)  # the change that came first in time
    print("\n".join(render(difference)))

Two runs are compared as trees: steps are paired by what they are and what they were given, never
by their ids or times. The sections, in order: what a comparison says, names of steps, trees,
pairing, from pairs to changes, what came first, comparing two runs.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Literal, get_args

from logtracer import EdgeType, Node, TraceGraph

from .diff_values import (
    ABSENT,
    FieldChange,
    Lens,
    common_ends,
    compare_facts,
    compare_values,
    increasing,
    line_changes,
    packed,
    unique_pairs,
)

__all__ = [
    "ABSENT",
    "Change",
    "FieldChange",
    "Kind",
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
        return f"{step_title(node)} {mark}" if mark else step_title(node)

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


# ---- Names of steps ----------------------------------------------------------------------------


def step_title(node: Node) -> str:
    """Return a step's type and name; the types that say nothing about it are left out."""
    name = node.name or "(unnamed)"
    return name if node.node_type in ("custom", "trace") else f"{node.node_type} {name}"


_LONGEST_PATH = 12  # labels shown of the path to a step: climbing from each deep one is slow


def path_text(trace: TraceGraph, node: Node, label: Callable[[Node], str]) -> str:
    """Return where a step is: the labels of what is around it, joined by ` / `, and its own.

    The root goes without saying. Of a very long path, the end is shown.
    """
    labels: list[str] = []
    around: Node | None = node
    while around is not None and len(labels) <= _LONGEST_PATH:
        labels.append(label(around))
        around = trace.nodes.get(around.parent_id or "")
    if around is not None:
        labels[-1] = "..."
    elif len(labels) > 1:
        labels.pop()
    return " / ".join(reversed(labels))


_AGAIN = (EdgeType.RETRY_OF, EdgeType.FALLBACK_OF)


def step_marks(trace: TraceGraph) -> dict[str, str]:
    """Return what is written behind the titles of attempts and fallbacks, by id."""
    again = [edge for edge in trace.edges if edge.edge_type in _AGAIN]
    retried = {e.target_id: e.source_id for e in again if e.edge_type == EdgeType.RETRY_OF}
    marks = dict.fromkeys(retried.values(), "#1")
    marks.update((e.target_id, "(fallback)") for e in again if e.edge_type != EdgeType.RETRY_OF)
    attempts: dict[str, int] = {}
    for node_id in trace.nodes if retried else ():  # an attempt comes after the one it repeats
        if node_id in retried:
            attempts[node_id] = attempts.get(retried[node_id], 1) + 1
            marks[node_id] = f"#{attempts[node_id]} (retry)"
    return marks


# ---- Trees: a run in preorder, with the keys its steps are paired by ---------------------------

_NONE = -1
_Signature = tuple[str, str, str, str]  # type, name, lane, and whether it is a retry or a fallback


class _Tree:
    """The steps of a run in reading order, by index; index 0 stands for the run itself.

    All below a step follows it: a branch is a slice of these lists, `sizes` long.
    """

    def __init__(self, trace: TraceGraph, lens: Lens) -> None:
        self.trace, self.lens = trace, lens
        self.marks = step_marks(trace)
        self.nodes = [Node("", 0, trace.name)]
        self.parents, self.levels, self.positions = [_NONE], [0], [0]
        self.signatures: list[_Signature] = [("", "", "", "")]
        self.texts = [0]  # all that counts of the step itself
        self.inputs = [0]  # what it was given, and the model; 0 when nothing
        self._children: dict[int, list[int]] = {}
        self._read()
        self.sizes = [1] * len(self.nodes)  # steps of the branch, its top included
        self.branches = self.texts[:]  # all that counts of the step and of all below it
        openings = self.inputs[:]  # as inputs, or those of the first child where it has none
        self._sum_up(openings)
        self.contents = [
            hash((signature, opening)) if opening else 0
            for signature, opening in zip(self.signatures, openings)
        ]
        self.concurrent = self._find_concurrent()

    def children(self, index: int) -> Sequence[int]:
        """Return the children of a step, earliest first."""
        return self._children.get(index, ())

    def branch(self, index: int) -> slice:
        """Return where a step and all below it stand in the lists."""
        return slice(index, index + self.sizes[index])

    def text(self, index: int) -> bytes:
        """Return all that counts of a step itself."""
        signature = [str(part) for part in self.signatures[index]]
        return packed([*signature, *self.lens.facts(self.nodes[index]).values()])

    def _read(self) -> None:
        path = [0]  # the index of the step around, by level
        lanes: list[object] = [None]
        for index, (level, node) in enumerate(self.trace.walk(), 1):
            parent = path[level]
            path[level + 1 :] = (index,)
            siblings = self._children.setdefault(parent, [])
            self.parents.append(parent)
            self.positions.append(len(siblings))
            siblings.append(index)
            self.levels.append(level + 1)
            self.nodes.append(node)
            lanes.append(
                node.metadata.get("lane", lanes[parent]) if node.metadata else lanes[parent]
            )
            self._add_keys(node, "" if lanes[-1] == lanes[parent] else _lane_name(lanes[-1]))

    def _add_keys(self, node: Node, lane: str) -> None:
        role = self.marks.get(node.id, "")
        signature = (node.node_type, node.name, lane, "" if role == "#1" else role)
        facts = self.lens.facts(node)
        given, metadata = facts.pop("input", None), facts.get("metadata")
        model = metadata.get("gen_ai.request.model") if metadata else None
        bytes_given = packed([given, model])
        self.signatures.append(signature)
        self.inputs.append(hash(bytes_given) if given or model else 0)
        self.texts.append(hash((signature, bytes_given, packed(list(facts.values())))))

    def _sum_up(self, openings: list[int]) -> None:
        """Add every step to its parent; its own children were added to it before."""
        sizes, branches, inputs = self.sizes, self.branches, self.inputs
        for index in range(len(self.nodes) - 1, 0, -1):
            parent = self.parents[index]
            sizes[parent] += sizes[index]
            branches[parent] = hash((branches[parent], branches[index]))
            if not inputs[parent]:  # the first child comes last here, and stays
                openings[parent] = openings[index]

    def _find_concurrent(self) -> bytearray:
        """Mark the steps that overlap a sibling in time, or run in a lane of their own."""
        marks = bytearray(signature[2] != "" for signature in self.signatures)
        for siblings in self._children.values():
            latest: tuple[datetime, int] | None = None  # the one that ends last
            for index in siblings if len(siblings) > 1 else ():
                start, end = self.nodes[index].start_time, self.nodes[index].end_time
                if latest is not None and start is not None and start < latest[0]:
                    marks[index] = marks[latest[1]] = 1
                if end is not None and (latest is None or end > latest[0]):
                    latest = end, index
        return marks


def _lane_name(lane: object) -> str:
    """Return what two runs share of a lane's name: not the number of its task or thread."""
    return re.sub("[0-9]+", "", lane) if isinstance(lane, str) else "lane"


# ---- Pairing: which step of one run is which step of the other ---------------------------------

_CELLS = 4_000_000  # comparisons spent on finding best orders in one diff: about two seconds
_SMALL = 2_500  # comparisons below which the best order is cheaper than anything cleverer
_SIMILAR = 0.6  # how alike names must be for a step to count as renamed
_NAME_LENGTH = 200  # characters of names looked at for that

_Pair = tuple[int, int]  # an index on the left, one on the right
_Gap = tuple[list[int], list[int]]
_Keys = tuple[Callable[[int], object], Callable[[int], object]]


class _Pairing:
    """Pair the steps of two trees; `to_right` and `to_left` hold the result.

    From the roots down, children of a pair are aligned by type and name, preferring equal content.
    What stays alone is then looked for elsewhere: moved as it was, moved among its siblings,
    renamed in its place, moved with changes below it.
    """

    def __init__(self, left: _Tree, right: _Tree) -> None:
        self._left, self._right = left, right
        self.to_right = [0] + [_NONE] * (len(left.nodes) - 1)  # the two runs are a pair
        self.to_left = [0] + [_NONE] * (len(right.nodes) - 1)
        self.moved: set[int] = set()  # indexes on the left
        self._waiting = [(0, 0)]  # pairs whose children are still to be aligned
        self._incomplete: list[_Pair] = []  # pairs with unpaired children on both sides
        self._cells = _CELLS
        self._exact: _Keys = left.branches.__getitem__, right.branches.__getitem__
        self._content: _Keys = left.contents.__getitem__, right.contents.__getitem__
        self._signature: _Keys = left.signatures.__getitem__, right.signatures.__getitem__

    def run(self) -> None:
        """Pair all that can be paired."""
        tops = self._left.children(0), self._right.children(0)
        if len(tops[0]) == len(tops[1]) == 1:  # whatever they are called
            self._pair(tops[0][0], tops[1][0])
        self._descend()
        self._settle(self._renamed(_given))
        self._settle(self._renamed(_below))
        self._settle(self._moved_branches(), may_move=True)
        self._settle(self._reordered(), may_move=True)
        self._settle(self._named_alike())
        self._settle(self._elsewhere(self._content), may_move=True)

    def _settle(self, found: Iterable[_Pair], *, may_move: bool = False) -> None:
        """Pair steps that stayed alone, and then what is below them."""
        for i, j in found:
            if may_move and not self._has_same_place(i, j):
                self.moved.add(i)
            self._pair(i, j)
            self._descend()

    def _has_same_place(self, i: int, j: int) -> bool:
        """Say whether two steps have one parent and, being concurrent, no place among siblings."""
        is_free = bool(self._left.concurrent[i] or self._right.concurrent[j])
        return is_free and self.to_right[self._left.parents[i]] == self._right.parents[j]

    def _pair(self, i: int, j: int) -> None:
        if self._left.branches[i] == self._right.branches[j]:
            left, right = self._left.branch(i), self._right.branch(j)
            if max(self.to_right[left]) == max(self.to_left[right]) == _NONE:
                self.to_right[left] = range(right.start, right.stop)
                self.to_left[right] = range(left.start, left.stop)
                return
        self.to_right[i], self.to_left[j] = j, i
        self._waiting.append((i, j))

    def _pair_all(self, found: Iterable[_Pair]) -> None:
        for i, j in found:
            self._pair(i, j)

    def _descend(self) -> None:
        while self._waiting:
            i, j = self._waiting.pop()
            gap = self._alone(self._left.children(i), self._right.children(j))
            if not all(gap):
                continue
            self._align(*gap)
            if all(self._alone(*gap)):
                self._incomplete.append((i, j))

    def _alone(self, lefts: Iterable[int], rights: Iterable[int]) -> _Gap:
        return (
            [i for i in lefts if self.to_right[i] == _NONE],
            [j for j in rights if self.to_left[j] == _NONE],
        )

    def _matches(self, lefts: Iterable[int], rights: Iterable[int], keys: _Keys) -> Iterator[_Pair]:
        """Yield the first with the first of a key, the second with the second, and so on."""
        waiting: dict[object, deque[int]] = defaultdict(deque)
        for i in lefts:
            waiting[keys[0](i)].append(i)
        for j in rights:
            key = keys[1](j)
            queue = waiting.get(key) if key and self.to_left[j] == _NONE else None
            while queue:
                i = queue.popleft()
                if self.to_right[i] == _NONE:  # it may have been paired since, with its branch
                    yield i, j
                    break

    # Children of a pair

    def _align(self, lefts: list[int], rights: list[int]) -> None:
        """Pair what belongs together in two lists of siblings.

        Concurrent ones are sets: which of them started first is chance. The others keep their
        order.
        """
        if len(lefts) == len(rights) == 1:  # all the way down a deep run
            self._pair_all(self._ends(lefts, rights, self._signature))
            return
        self._pair_all(self._ends(lefts, rights, self._exact))
        for keys in (self._exact, self._content):
            self._pair_all(self._matches(*self._concurrent(lefts, rights), keys))
        self._align_in_order(*self._alone(lefts, rights))
        self._pair_all(self._matches(*self._concurrent(lefts, rights), self._signature))

    def _ends(self, lefts: list[int], rights: list[int], keys: _Keys) -> Iterator[_Pair]:
        """Yield the equal beginnings and the equal ends of two lists."""
        start, end = common_ends(list(map(keys[0], lefts)), list(map(keys[1], rights)))
        yield from zip(lefts[:start], rights[:start])
        yield from zip(lefts[len(lefts) - end :], rights[len(rights) - end :])

    def _concurrent(self, lefts: list[int], rights: list[int]) -> _Gap:
        lefts, rights = self._alone(lefts, rights)
        return (
            [i for i in lefts if self._left.concurrent[i]],
            [j for j in rights if self._right.concurrent[j]],
        )

    def _align_in_order(self, lefts: list[int], rights: list[int]) -> None:
        gaps = [(lefts, rights)]
        if len(lefts) * len(rights) > _SMALL:
            for keys in (self._exact, self._content, self._signature):
                gaps = [part for gap in gaps for part in self._split(*gap, keys)]
        for gap in gaps:
            self._pair_all(self._in_order(*gap))

    def _split(self, lefts: list[int], rights: list[int], keys: _Keys) -> Iterator[_Gap]:
        """Pair equal ends and what is unique in both lists; yield the gaps between."""
        self._pair_all(self._ends(lefts, rights, self._exact))
        lefts, rights = self._alone(lefts, rights)
        mine, theirs = list(map(keys[0], lefts)), list(map(keys[1], rights))
        anchors = increasing([pair for pair in unique_pairs(mine, theirs) if mine[pair[0]]])
        self._pair_all((lefts[at], rights[to]) for at, to in anchors)
        low, new_low = 0, 0
        for high, new_high in [*anchors, (len(lefts), len(rights))]:
            if high > low and new_high > new_low:
                yield lefts[low:high], rights[new_low:new_high]
            low, new_low = high + 1, new_high + 1

    def _in_order(self, lefts: list[int], rights: list[int]) -> Iterable[_Pair]:
        """Return the best pairs that keep the order of both lists."""
        if not self._share_content(lefts, rights):  # then it is only names that count
            self._pair_all(self._ends(lefts, rights, self._signature))
            lefts, rights = self._alone(lefts, rights)
        cells = len(lefts) * len(rights)
        if cells > self._cells:
            return increasing(sorted(self._matches(lefts, rights, self._signature)))
        self._cells -= cells if cells > _SMALL else 0
        return self._best_order(lefts, rights)

    def _share_content(self, lefts: list[int], rights: list[int]) -> bool:
        for key, other_key in (self._exact, self._content):
            if any(set(map(key, lefts)).intersection(map(other_key, rights))):
                return True
        return False

    def _best_order(self, lefts: list[int], rights: list[int]) -> list[_Pair]:
        """Return the pairs of greatest weight; a byte for each two siblings, not their weights."""
        above = [0] * (len(rights) + 1)
        choices: list[bytearray] = []
        signatures = [self._right.signatures[j] for j in rights]
        for i in lefts:
            scores, choice, signature = [0], bytearray(), self._left.signatures[i]
            for column, other in enumerate(signatures):
                best, taken = above[column + 1], 2
                if scores[-1] > best:
                    best, taken = scores[-1], 1
                if signature == other:
                    paired = above[column] + self._weight(i, rights[column])
                    if paired >= best:
                        best, taken = paired, 3
                scores.append(best)
                choice.append(taken)
            above = scores
            choices.append(choice)
        return _traced_back(choices, lefts, rights)

    def _weight(self, i: int, j: int) -> int:
        """Return how well two steps of one type and name fit: their content counts most."""
        content = self._left.contents[i]
        weight = 6 if content and content == self._right.contents[j] else 2
        return weight + 2 if self._left.branches[i] == self._right.branches[j] else weight

    # Steps that stay alone in their place

    def _elsewhere(self, keys: _Keys) -> Iterator[_Pair]:
        """Yield lone steps that are found anywhere in the other run."""
        lone = self._alone(range(len(self.to_right)), range(len(self.to_left)))
        return self._matches(*lone, keys)

    def _moved_branches(self) -> Iterator[_Pair]:
        """Yield branches found elsewhere exactly as they were, larger ones first."""
        for i, j in self._elsewhere(self._exact):
            parents = self._left.parents[i], self._right.parents[j]
            is_top = self.to_right[parents[0]] != _NONE or self.to_left[parents[1]] != _NONE
            if is_top or self._left.contents[i] or self._left.sizes[i] > 1:
                yield i, j

    def _reordered(self) -> Iterator[_Pair]:
        """Yield steps that now come before or after siblings they came after or before."""
        keys = self._keys(_signature_and_content)
        for i, j in self._incomplete:
            lone = self._alone(self._left.children(i), self._right.children(j))
            yield from self._matches(*lone, keys)

    def _renamed(self, key: Callable[[_Tree, int], object]) -> Iterator[_Pair]:
        """Yield lone steps of one place with equal keys, not those found elsewhere as they were."""
        lone = self._alone(range(len(self.to_right)), range(len(self.to_left)))
        both = set(map(self._exact[0], lone[0])).intersection(map(self._exact[1], lone[1]))
        keys = self._keys(key)
        for lefts, rights in self._gaps():
            lefts = [i for i in lefts if self._left.branches[i] not in both]
            rights = [j for j in rights if self._right.branches[j] not in both]
            yield from increasing(sorted(self._matches(lefts, rights, keys)))

    def _keys(self, key: Callable[[_Tree, int], object]) -> _Keys:
        return partial(key, self._left), partial(key, self._right)

    def _named_alike(self) -> Iterator[_Pair]:
        """Yield lone steps of one place with similar names."""
        for lefts, rights in self._gaps():
            yield from increasing(sorted(_alike(self._left, self._right, lefts, rights)))

    def _gaps(self) -> Iterator[_Gap]:
        """Yield the lone children of a pair that lie between the same paired siblings."""
        for i, j in self._incomplete:
            gaps: dict[int, _Gap] = defaultdict(lambda: ([], []))
            previous = _NONE
            for child in self._left.children(i):
                partner = self.to_right[child]
                if partner == _NONE:
                    gaps[previous][0].append(child)
                elif self._right.parents[partner] == j and child not in self.moved:
                    previous = partner
            previous = _NONE
            for child in self._right.children(j):
                partner = self.to_left[child]
                if partner == _NONE:
                    gaps[previous][1].append(child)
                elif self._left.parents[partner] == i and partner not in self.moved:
                    previous = child
            yield from filter(all, gaps.values())


def _given(tree: _Tree, index: int) -> object:
    """Return what a step is and was given, whatever its name."""
    return tree.inputs[index] and (tree.signatures[index][0], tree.inputs[index])


def _below(tree: _Tree, index: int) -> object:
    """Return what a step is and what is below it, whatever its name."""
    children = [tree.branches[child] for child in tree.children(index)]
    return (tree.signatures[index][0], *children) if children else None


def _signature_and_content(tree: _Tree, index: int) -> object:
    """Return how siblings know a step that changed places with others; children may differ."""
    return tree.signatures[index], tree.contents[index] if not tree.children(index) else 0


def _alike(left: _Tree, right: _Tree, lefts: list[int], rights: list[int]) -> Iterator[_Pair]:
    """Yield steps with similar names, the most similar first."""
    if len(lefts) * len(rights) > _SMALL:  # names are slow to compare
        return
    likeness = {
        (i, j): _likeness(left.signatures[i], right.signatures[j]) for i in lefts for j in rights
    }
    taken: tuple[set[int], set[int]] = set(), set()
    for i, j in sorted(likeness, key=lambda pair: (-likeness[pair], pair)):
        if likeness[i, j] >= _SIMILAR and i not in taken[0] and j not in taken[1]:
            taken[0].add(i)
            taken[1].add(j)
            yield i, j


def _likeness(one: _Signature, other: _Signature) -> float:
    kind, name, _, role = one
    other_kind, other_name, _, other_role = other
    if name == other_name:
        return 1.0 if name else 0.0
    if kind != other_kind or role != other_role:
        return 0.0
    names = name[:_NAME_LENGTH], other_name[:_NAME_LENGTH]
    return difflib.SequenceMatcher(None, *names, autojunk=False).ratio()


def _traced_back(choices: list[bytearray], lefts: list[int], rights: list[int]) -> list[_Pair]:
    pairs: list[_Pair] = []
    row, column = len(lefts) - 1, len(rights) - 1
    while row >= 0 and column >= 0:
        choice = choices[row][column]
        if choice == 3:
            pairs.append((lefts[row], rights[column]))
        row -= choice != 1
        column -= choice != 2
    return pairs[::-1]


def _paired(left: _Tree, right: _Tree) -> tuple[list[int], list[int], set[int]]:
    """Pair two trees in an order that does not depend on which of them comes first.

    Where several pairings are as good, this makes diff(a, b) the mirror of diff(b, a).
    """
    if _comes_after(left, right):
        to_left, to_right, moved = _paired_in_order(right, left)
        return to_right, to_left, {to_left[j] for j in moved}
    return _paired_in_order(left, right)


def _paired_in_order(left: _Tree, right: _Tree) -> tuple[list[int], list[int], set[int]]:
    pairing = _Pairing(left, right)
    pairing.run()
    return pairing.to_right, pairing.to_left, pairing.moved


def _comes_after(left: _Tree, right: _Tree) -> bool:
    """Order two trees by what is in them; hashes would order them differently in each process."""
    for i, (one, other) in enumerate(zip(left.texts, right.texts)):
        if one != other:
            return left.text(i) > right.text(i)
    return left.parents > right.parents


# ---- From pairs to changes ---------------------------------------------------------------------

_TREE_EDGES = (EdgeType.CAUSED_BY, EdgeType.BRANCHED_FROM)  # between a step and its parent
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

    def __init__(self, left: _Tree, right: _Tree, timing: _Timing) -> None:
        self._left, self._right, self._timing = left, right, timing
        self._to_right, self._to_left, self._moved = _paired(left, right)
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
            before, after = lefts[i] if i != _NONE else None, rights[j] if j != _NONE else None
            self.rows.append(Row(level, before, after, change))
            below = self._merged(i, j)
            if below:
                waiting.extend([(level + 1, *place) for place in reversed(below)])

    def _merged(self, i: int, j: int) -> list[tuple[int, int]]:
        """Return the children of one place; removed ones follow the sibling they followed."""
        lefts = self._left.children(i) if i != _NONE else ()
        rights = self._right.children(j) if j != _NONE else ()
        if not lefts and not rights:
            return []
        gone: dict[int, list[tuple[int, int]]] = defaultdict(list)
        previous = _NONE
        for child in lefts:
            partner = self._to_right[child]
            if partner == _NONE:
                gone[previous].append((child, _NONE))
            elif child not in self._moved:
                previous = partner
        merged = gone[_NONE]
        for child in rights:
            merged.append((self._to_left[child], child))
            merged += gone.get(child, ())
        return merged

    def _change(self, i: int, j: int) -> Change | None:
        if j == _NONE:
            return _lone_change("removed", self._left, i, self._to_right)
        if i == _NONE:
            return _lone_change("added", self._right, j, self._to_left)
        left, right = self._left, self._right
        before, after = left.nodes[i], right.nodes[j]
        fields: list[FieldChange] = []
        if left.signatures[i] != right.signatures[j]:
            fields += compare_values(_identity(left, i), _identity(right, j))
        if left.texts[i] != right.texts[j]:
            fields += compare_facts(left.lens.facts(before), right.lens.facts(after))
        fields += self._links.get(j, ())
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
                if place[side] != _NONE
            )
            moment, at = min(moments, default=(None, 0))
            if moment is not None:
                change = self._changed[at][0]
                found.append((clock.count(moment, partners), _names(change), change))
        return min(found, key=lambda item: item[:2])[2] if found else None


def _lone_change(kind: Kind, tree: _Tree, index: int, partners: list[int]) -> Change | None:
    """Return the change of a step without a partner; the top of a branch speaks for all of it."""
    if partners[tree.parents[index]] == _NONE:
        return None
    node, position = tree.nodes[index], tree.positions[index]
    before, after = (node, None) if kind == "removed" else (None, node)
    return Change(kind, before, after, (), _lone_steps(tree, index, partners), position)


def _lone_steps(tree: _Tree, top: int, partners: list[int]) -> int:
    """Count the steps of a branch without those that moved into it, or out, with what is below."""
    count, index, end = 0, top, top + tree.sizes[top]
    while index < end:
        is_lone = partners[index] == _NONE
        count += is_lone
        index += 1 if is_lone else tree.sizes[index]
    return count


def _identity(tree: _Tree, index: int) -> dict[str, str]:
    kind, name, lane, _ = tree.signatures[index]
    return {"name": name, "node_type": kind, "lane": "own" if lane else "parent's"}


def _links(tree: _Tree, partners: list[int]) -> Iterator[_Link]:
    """Yield the edges between paired steps, but for those that only repeat the tree."""
    nodes = tree.trace.nodes
    edges = [
        edge
        for edge in tree.trace.edges
        if edge.edge_type not in _TREE_EDGES
        or (edge.target_id in nodes and nodes[edge.target_id].parent_id != edge.source_id)
    ]
    indexes = {node.id: index for index, node in enumerate(tree.nodes)} if edges else {}
    for edge in edges:
        source, target = indexes.get(edge.source_id, _NONE), indexes.get(edge.target_id, _NONE)
        if min(source, target) != _NONE and min(partners[source], partners[target]) != _NONE:
            yield edge.edge_type, edge.label, source, target


def _link_text(link: _Link, source: Node) -> str:
    label = f" ({link[1]})" if link[1] else ""
    return f"{link[0]!s} from {step_title(source)}{label}"


# ---- What came first ---------------------------------------------------------------------------

_Moment = tuple[float, int]
_AT_END = ("changed", "slower", "faster")


def _came_at_end(change: Change) -> bool:
    return change.kind in _AT_END and not any(item.is_known_at_start for item in change.fields)


def _names(change: Change) -> list[tuple[str, str]]:
    """Order changes that came at the same time, whichever run is called the earlier one."""
    return sorted((step_title(node), node.id) for node in (change.before, change.after) if node)


class _Clock:
    """Order the starts and ends of steps; steps without times take those around them."""

    def __init__(self, tree: _Tree) -> None:
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
            if start <= moment[0] and partners[index] != _NONE
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
    expressions: text they match is the same as other text they match. With `timing`, a step that
    took longer or shorter by `time_share` of the shorter time, and `time_minimum_ms` at least, is
    a difference too. `cost` prices a step.
    """
    lens = Lens(ignore, mask, cost)
    left, right = _Tree(before, lens), _Tree(after, lens)
    comparison = _Comparison(left, right, _Timing(timing, time_share, time_minimum_ms))
    totals, marks = (_totals(left), _totals(right)), (left.marks, right.marks)
    return TraceDiff(before, after, comparison.rows, comparison.first(), totals, marks)


def _totals(tree: _Tree) -> Totals:
    price = tree.lens.cost
    cost = None if price is None else _summed(tree, [price(node) for node in tree.nodes])
    tokens = _summed(tree, [tokens_of(node) for node in tree.nodes])
    return Totals(tree.trace.duration_ms, None if tokens is None else round(tokens), cost)


def _summed(tree: _Tree, values: Sequence[float | None]) -> float | None:
    """Add up what the steps say; a step that reports the sum of those below it adds nothing."""
    if all(value is None for value in values):
        return None
    sums = [0.0] * len(tree.nodes)
    for index in range(len(sums) - 1, 0, -1):
        sums[index] = max(sums[index], values[index] or 0.0)
        sums[tree.parents[index]] += sums[index]
    return sums[0]


_TOKENS = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")


def tokens_of(node: Node) -> int | None:
    """Return the tokens a step read and wrote, None when it says nothing of them."""
    if not node.metadata:
        return None
    counts = [node.metadata[key] for key in _TOKENS if type(node.metadata.get(key)) is int]
    return sum(counts) if counts else None
