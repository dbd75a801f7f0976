"""Compare two runs of an agent: what differs, and where it began.

    from logtracer_extras.diff import diff
    from logtracer_extras.diff_text import render

    difference = diff(good_run, bad_run)
    print(difference.first)  # the change that came first in time
    print("\n".join(render(difference)))

Two runs are compared as trees: steps are paired by what they are and what they were given, never
by their ids or times. The sections, in order: what a comparison says, what counts, values, trees,
pairing, from pairs to changes, comparing two runs.
"""

from __future__ import annotations

import difflib
import marshal
import re
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from itertools import zip_longest
from typing import Any, Literal

from logtracer import EdgeType, Node, TraceGraph

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


class _Absent:
    """The type of ABSENT."""

    def __repr__(self) -> str:
        return "<absent>"


ABSENT = _Absent()
"""Stands where one of two runs has no such value at all (None is a value)."""

Kind = Literal["added", "removed", "moved", "renamed", "changed", "slower", "faster"]
_KINDS: tuple[Kind, ...] = (
    "changed",
    "renamed",
    "moved",
    "added",
    "removed",
    "slower",
    "faster",
)
_MIRRORED: dict[Kind, Kind] = {
    "added": "removed",
    "removed": "added",
    "slower": "faster",
    "faster": "slower",
}


_KNOWN_AT_START = ("input", "lane", "links", "metadata.gen_ai.request")


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One value of a step that differs, by its path: `output.items[2].price`."""

    path: str
    before: Any
    after: Any

    @property
    def is_known_at_start(self) -> bool:
        """Whether the value was there when the step started, as its input was."""
        return self.path.startswith(_KNOWN_AT_START)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data; a side where the value is absent has no key."""
        sides = {"before": self.before, "after": self.after}
        present = {side: value for side, value in sides.items() if value is not ABSENT}
        return {"path": self.path, **present}


@dataclass(frozen=True, slots=True)
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

    @property
    def mirrored_kind(self) -> Kind:
        """What the change is called when the two runs change places."""
        return _MIRRORED.get(self.kind, self.kind)


@dataclass(slots=True)  # not frozen: there is one for every step, and frozen ones take longer
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


def step_title(node: Node) -> str:
    """Return a step's type and name; the types that say nothing about it are left out."""
    name = node.name or "(unnamed)"
    return name if node.node_type in ("custom", "trace") else f"{node.node_type} {name}"


_LONGEST_PATH = (
    12  # labels shown of the path to a step: climbing from each of many deep ones is slow
)


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


# ---- What counts: the facts of a step, without noise -------------------------------------------

# Facts that no two runs share, whatever the agent does.
_NOISE = {
    "lane",
    "gen_ai.response.id",
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.tool.call.id",
    "gen_ai.conversation.id",
}
_NOISE_PREFIX = "logtracer."  # the tracer's own notes about the recording


class _Lens:
    """Look at a step and see what counts: no noise, no ignored paths, masked text."""

    def __init__(
        self,
        ignore: Iterable[str],
        mask: Iterable[str],
        cost: Callable[[Node], float | None] | None,
    ) -> None:
        ignored = [_path_pattern(path) for path in ignore]
        self._ignored = re.compile("|".join(ignored)) if ignored else None
        masked = [f"(?:{pattern})" for pattern in mask]
        self._masked = re.compile("|".join(masked)) if masked else None
        self._cost = cost

    def facts(self, node: Node) -> dict[str, Any]:
        """Return what is compared of a step, as JSON data."""
        facts: dict[str, Any] = {
            "status": str(node.status),
            "error": node.error,
            "error_type": node.error_type,
            "input": node.input_data,
            "output": node.output_data,
            "annotations": node.annotations,
            "metadata": node.metadata and _without_noise(node.metadata),
        }
        if self._cost is not None:
            facts["cost"] = self._cost(node)
        if self._ignored is None and self._masked is None:
            return facts
        return self._cleaned(facts)

    def _cleaned(self, facts: dict[str, Any]) -> dict[str, Any]:
        """Copy nested data without ignored parts and with masked text, however deep it is."""
        result: dict[str, Any] = {}
        waiting: list[tuple[str, dict[str, Any] | list[Any], Any, Any]] = []
        waiting += [(key, result, key, value) for key, value in reversed(facts.items())]
        while waiting:
            path, target, key, value = waiting.pop()
            if self._ignored is not None and self._ignored.fullmatch(path):
                value = ABSENT if isinstance(target, dict) else "[IGNORED]"
            elif self._masked is not None and isinstance(value, str):
                value = self._masked.sub("[MASKED]", value)
            copy = type(value)() if isinstance(value, (dict, list)) else value
            _put(target, key, copy)
            if isinstance(value, (dict, list)):
                below = [(where, copy, name, item) for name, where, item in _items(path, value)]
                waiting.extend(reversed(below))
        return result


def _put(target: dict[str, Any] | list[Any], key: Any, value: Any) -> None:
    if isinstance(target, list):
        target.append(value)
    elif value is not ABSENT:
        target[key] = value


def _items(path: str, value: dict[Any, Any] | list[Any]) -> list[tuple[Any, str, Any]]:
    if isinstance(value, dict):
        return [(key, f"{path}.{key}", item) for key, item in value.items()]
    return [(index, f"{path}[{index}]", item) for index, item in enumerate(value)]


def _path_pattern(path: str) -> str:
    """Translate a path with wildcards to a regular expression for it and all that is below it.

    `*` stands for one key or part of one, `[*]` for any index, `**` for anything.
    """
    words = {"**": ".*", "[*]": r"\[[0-9]+\]", "*": r"[^.\[]*"}
    parts = re.split(r"(\*\*|\[\*\]|\*)", path)
    return "".join(words.get(part, re.escape(part)) for part in parts) + r"(?:[.\[].*)?"


def _without_noise(metadata: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if not _is_noise(key)}


@lru_cache(maxsize=1_024)
def _is_noise(key: str) -> bool:
    return key in _NOISE or key.startswith(_NOISE_PREFIX)


def _packed(value: Any) -> bytes:
    """Return bytes that are equal for equal values, and differ for different ones.

    Nothing in Python does this faster than marshal, which has no names for exotic types and only
    so much depth. Its version 2 is the last that writes equal values equally.
    """
    try:
        return marshal.dumps(value, 2)
    except ValueError:
        return _packed_slowly(value)


def _packed_slowly(value: object) -> bytes:
    waiting: list[tuple[str, Any]] = [("", value)]
    parts: list[str] = []
    while waiting:
        key, item = waiting.pop()
        if isinstance(item, (dict, list)):
            parts.append(f"{key}{type(item).__name__}{len(item)}")
            waiting.extend((f"{name!r}:", below) for name, _, below in _items("", item))
        else:
            parts.append(f"{key}{item!r}")
    return "\n".join(parts).encode("utf-8", "backslashreplace")


# ---- Values: where two of them differ ----------------------------------------------------------


_DEEPEST_VALUE = 100  # levels that are compared one by one; what is below counts as one value


def compare_values(before: Any, after: Any, path: str = "") -> list[FieldChange]:
    """Return where two JSON values differ, by path: keys one by one, lists from both their ends.

    >>> compare_values({"a": [1, 2, 3]}, {"a": [1, 3]}, "x")
    [FieldChange(path='x.a[1]', before=2, after=<absent>)]
    """
    changes: list[FieldChange] = []
    waiting = [(0, path, before, after)]
    while waiting:
        level, path, before, after = waiting.pop()
        below: list[_Difference] | None = None
        if level < _DEEPEST_VALUE and isinstance(before, dict) and isinstance(after, dict):
            below = _by_key(path, before, after)
        elif level < _DEEPEST_VALUE and isinstance(before, list) and isinstance(after, list):
            below = _by_index(path, before, after)
        elif not _is_same(before, after):
            changes.append(FieldChange(path, before, after))
        waiting.extend((level + 1, *item) for item in reversed(below or ()))
    return changes


def _is_same(before: Any, after: Any) -> bool:
    if before is after or before != before and after != after:  # NaN is not equal to itself
        return True
    if isinstance(before, (dict, list)) or isinstance(after, (dict, list)):
        return type(before) is type(after) and _packed(before) == _packed(after)
    return bool(before == after) and isinstance(before, bool) == isinstance(after, bool)


_Difference = tuple[str, Any, Any]


def _by_key(path: str, before: dict[Any, Any], after: dict[Any, Any]) -> list[_Difference]:
    start = f"{path}." if path else ""
    keys = dict.fromkeys([*before, *after])
    return [(f"{start}{key}", before.get(key, ABSENT), after.get(key, ABSENT)) for key in keys]


def _by_index(path: str, before: list[Any], after: list[Any]) -> list[_Difference]:
    """Pair what lies between the equal beginnings and the equal ends of two lists."""
    if len(before) == len(after) == 1:
        return [(f"{path}[0]", before[0], after[0])]
    first = [_packed(item) for item in before]
    second = [_packed(item) for item in after]
    start, end = _common_ends(first, second)
    middle = zip_longest(
        before[start : len(before) - end], after[start : len(after) - end], fillvalue=ABSENT
    )
    return [(f"{path}[{index}]", old, new) for index, (old, new) in enumerate(middle, start)]


def _common_ends(first: Sequence[Any], second: Sequence[Any]) -> tuple[int, int]:
    """Return how long the equal beginning and the equal end of two sequences are."""
    most = min(len(first), len(second))
    start = 0
    while start < most and first[start] == second[start]:
        start += 1
    end = 0
    while end < most - start and first[-1 - end] == second[-1 - end]:
        end += 1
    return start, end


_MOST_LINES = 2_000  # beyond this, the lines between equal ends count as replaced


def line_changes(before: str, after: str) -> list[tuple[str, int, str]]:
    """Return the lines in which two texts differ: a sign, the line's number there, the line.

    >>> line_changes("be kind\\nbe brief", "be kind\\nbe quick")
    [('-', 2, 'be brief'), ('+', 2, 'be quick')]
    """
    old, new = before.split("\n"), after.split("\n")
    start, end = _common_ends(old, new)
    old_middle, new_middle = old[start : len(old) - end], new[start : len(new) - end]
    blocks = [("replace", 0, len(old_middle), 0, len(new_middle))]
    if len(old_middle) + len(new_middle) <= _MOST_LINES:
        matcher = difflib.SequenceMatcher(None, old_middle, new_middle, autojunk=False)
        blocks = [block for block in matcher.get_opcodes() if block[0] != "equal"]
    changes: list[tuple[str, int, str]] = []
    for _, low, high, new_low, new_high in blocks:
        changes += [("-", start + at + 1, old_middle[at]) for at in range(low, high)]
        changes += [("+", start + at + 1, new_middle[at]) for at in range(new_low, new_high)]
    return changes


# ---- Trees: a run in preorder, with the keys its steps are paired by ---------------------------

_NONE = -1
_Signature = tuple[str, str, str, str]  # type, name, lane, and whether it is a retry or a fallback


class _Tree:
    """The steps of a run in reading order, by index; index 0 stands for the run itself.

    There are no lists of children: the first child of a step follows it, and the next sibling of
    a step follows the last step of its branch.
    """

    def __init__(self, trace: TraceGraph, lens: _Lens) -> None:
        self.trace, self.lens = trace, lens
        self.nodes = [Node("", 0, trace.name)]
        self.parents = [_NONE]
        self._lay_out(trace)
        self.signatures: list[_Signature] = [("", "", "", "")]
        self.texts = [0]  # all that counts of the step itself
        self.inputs = [0]  # what it was given, and the model; 0 when nothing
        self._read(_roles(trace))
        self.sizes = [1] * len(self.nodes)  # steps of the branch, its top included
        self.branches = self.texts[:]  # all that counts of the step and of all below it
        self.openings = self.inputs[:]  # as inputs, or those of the first child where it has none
        self._sum_up()
        self.contents = [
            hash((signature, opening)) if opening else 0
            for signature, opening in zip(self.signatures, self.openings)
        ]
        self.concurrent = self._find_concurrent()
        self._places: dict[int, dict[int, int]] = {}

    def place(self, index: int) -> int:
        """Return how many siblings come before a step."""
        parent = self.parents[index]
        if parent not in self._places:
            self._places[parent] = {child: at for at, child in enumerate(self.children(parent))}
        return self._places[parent][index]

    def children(self, index: int) -> list[int]:
        """Return the children of a step, earliest first."""
        found: list[int] = []
        child, end = index + 1, index + self.sizes[index]
        while child < end:
            found.append(child)
            child += self.sizes[child]
        return found

    def text(self, index: int) -> bytes:
        """Return all that counts of a step itself."""
        signature = [str(part) for part in self.signatures[index]]
        return _packed([*signature, *self.lens.facts(self.nodes[index]).values()])

    def _lay_out(self, trace: TraceGraph) -> None:
        path = [0]
        for level, node in trace.walk():
            del path[level + 1 :]
            self.parents.append(path[-1])
            path.append(len(self.nodes))
            self.nodes.append(node)

    def _read(self, roles: dict[str, str]) -> None:
        lanes: list[object] = [None]
        for index in range(1, len(self.nodes)):
            node = self.nodes[index]
            outer = lanes[self.parents[index]]
            lane = node.metadata.get("lane", outer)
            lanes.append(lane)
            own_lane = "" if lane == outer else _lane_name(lane)
            signature = (node.node_type, node.name, own_lane, roles.get(node.id, ""))
            facts = self.lens.facts(node)
            given, metadata = facts.get("input"), facts.get("metadata")
            model = metadata.get("gen_ai.request.model") if metadata else None
            self.signatures.append(signature)
            self.inputs.append(hash((_packed(given), model)) if given or model else 0)
            self.texts.append(hash((signature, _packed(list(facts.values())))))

    def _sum_up(self) -> None:
        """Add every step to its parent; its own children were added to it before."""
        for index in range(len(self.nodes) - 1, 0, -1):
            parent = self.parents[index]
            self.sizes[parent] += self.sizes[index]
            self.branches[parent] = hash((self.branches[parent], self.branches[index]))
            if not self.inputs[parent]:  # the first child comes last here, and stays
                self.openings[parent] = self.openings[index]

    def _find_concurrent(self) -> bytearray:
        """Mark the steps that overlap a sibling in time, or run in a lane of their own."""
        marks = bytearray(signature[2] != "" for signature in self.signatures)
        latest: dict[int, tuple[datetime, int]] = {}  # the child of each step that ends last
        for index in range(1, len(self.nodes)):
            node, parent = self.nodes[index], self.parents[index]
            before = latest.get(parent)
            if before is not None and node.start_time is not None and node.start_time < before[0]:
                marks[index] = marks[before[1]] = 1
            if node.end_time is not None and (before is None or node.end_time > before[0]):
                latest[parent] = node.end_time, index
        return marks


def _lane_name(lane: object) -> str:
    """Return what two runs share of a lane's name: not the number of its task or thread."""
    return re.sub("[0-9]+", "", lane) if isinstance(lane, str) else "lane"


def _roles(trace: TraceGraph) -> dict[str, str]:
    """Return which attempt a retry is, and which steps are fallbacks, by id."""
    retried = {edge.target_id: edge.source_id for edge in _edges(trace, EdgeType.RETRY_OF)}
    attempts: dict[str, int] = {}
    for node_id in trace.nodes:  # in start order: an attempt comes after the one it repeats
        if node_id in retried:
            attempts[node_id] = attempts.get(retried[node_id], 1) + 1
    roles = {edge.target_id: "fallback" for edge in _edges(trace, EdgeType.FALLBACK_OF)}
    roles.update({node_id: f"retry {attempt}" for node_id, attempt in attempts.items()})
    return roles


def _edges(trace: TraceGraph, edge_type: str) -> Iterator[Any]:
    return (edge for edge in trace.edges if edge.edge_type == edge_type)


def step_marks(trace: TraceGraph) -> dict[str, str]:
    """Return what is written behind the titles of attempts and fallbacks, by id."""
    marks = {edge.source_id: "#1" for edge in _edges(trace, EdgeType.RETRY_OF)}
    for node_id, role in _roles(trace).items():
        word, _, attempt = role.partition(" ")
        marks[node_id] = f"#{attempt} ({word})" if attempt else f"({word})"
    return marks


# ---- Pairing: which step of one run is which step of the other ---------------------------------

_CELLS = 4_000_000  # comparisons spent on finding best orders in one diff: about two seconds
_SMALL = 2_500  # comparisons below which the best order is cheaper than anything cleverer
_SIMILAR = 0.6  # how alike names must be for a step to count as renamed
_NAME_LENGTH = 200  # characters of names looked at for that

_Keys = tuple[Sequence[object], Sequence[object]]
_Gap = tuple[list[int], list[int]]


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
        self._incomplete: list[tuple[int, int]] = []  # pairs with unpaired children on both sides
        self._cells = _CELLS
        self._exact = (left.branches, right.branches)
        self._content = (left.contents, right.contents)
        self._signature = (left.signatures, right.signatures)

    def run(self) -> None:
        """Pair all that can be paired."""
        tops = self._left.children(0), self._right.children(0)
        if len(tops[0]) == len(tops[1]) == 1:  # whatever they are called
            self._pair(tops[0][0], tops[1][0])
        self._descend()
        self._pair_all(self._renamed())
        self._pair_all(self._moved_branches(), may_move=True)
        self._pair_all(self._reordered(), may_move=True)
        self._pair_all(self._named_alike())
        self._pair_all(self._moved_steps(), may_move=True)

    def _pair_all(self, found: Iterable[tuple[int, int]], *, may_move: bool = False) -> None:
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
        size = self._left.sizes[i]
        is_equal = self._left.branches[i] == self._right.branches[j]
        if is_equal and max(self.to_right[i : i + size]) == _NONE == max(
            self.to_left[j : j + size]
        ):
            self.to_right[i : i + size] = range(j, j + size)
            self.to_left[j : j + size] = range(i, i + size)
        else:
            self.to_right[i], self.to_left[j] = j, i
            self._waiting.append((i, j))

    def _descend(self) -> None:
        while self._waiting:
            i, j = self._waiting.pop()
            lefts, rights = self._unpaired(i, j)
            if lefts and rights:
                for pair in self._aligned(lefts, rights):
                    self._pair(*pair)
                self._incomplete.append((i, j))

    def _unpaired(self, i: int, j: int) -> _Gap:
        lefts = [child for child in self._left.children(i) if self.to_right[child] == _NONE]
        rights = [child for child in self._right.children(j) if self.to_left[child] == _NONE]
        return lefts, rights

    # Children of a pair

    def _aligned(self, lefts: list[int], rights: list[int]) -> list[tuple[int, int]]:
        """Return which of two lists of siblings belong together.

        Concurrent ones are sets: which of them started first is chance. The others keep their
        order.
        """
        pairs: list[tuple[int, int]] = []
        lefts, rights = self._trimmed(lefts, rights, pairs)
        if not lefts or not rights:
            return pairs
        either: tuple[_Keys, ...] = (self._exact, self._content)
        for keys in either:
            lefts, rights = self._as_sets(lefts, rights, keys, pairs)
        gaps = [(lefts, rights)]
        for keys in (*either, self._signature):
            gaps = [part for gap in gaps for part in self._split(gap, keys, pairs)]
        for gap in gaps:
            pairs += self._in_order(*gap)
        done_left, done_right = {i for i, _ in pairs}, {j for _, j in pairs}
        lefts = [i for i in lefts if i not in done_left]
        rights = [j for j in rights if j not in done_right]
        self._as_sets(lefts, rights, self._signature, pairs)
        return pairs

    def _trimmed(self, lefts: list[int], rights: list[int], pairs: list[tuple[int, int]]) -> _Gap:
        """Pair the equal beginnings and the equal ends of two lists; return what is between."""
        branches, others = self._exact
        start, end = _common_ends([branches[i] for i in lefts], [others[j] for j in rights])
        pairs += zip(lefts[:start], rights[:start])
        if end:
            pairs += zip(lefts[-end:], rights[-end:])
        return lefts[start : len(lefts) - end], rights[start : len(rights) - end]

    def _as_sets(
        self, lefts: list[int], rights: list[int], keys: _Keys, pairs: list[tuple[int, int]]
    ) -> _Gap:
        """Pair concurrent siblings with equal keys, earliest first; return the others."""
        waiting = _queues((keys[0][i], i) for i in lefts if keys[0][i] and self._left.concurrent[i])
        found: dict[int, int] = {}  # by their index on the right
        for j in rights:
            queue = waiting.get(keys[1][j]) if self._right.concurrent[j] else None
            if queue:
                found[j] = queue.popleft()
        pairs += [(i, j) for j, i in found.items()]
        taken = set(found.values())
        return [i for i in lefts if i not in taken], [j for j in rights if j not in found]

    def _split(self, gap: _Gap, keys: _Keys, pairs: list[tuple[int, int]]) -> Iterator[_Gap]:
        """Pair equal ends and what is unique in both lists; yield the gaps between."""
        lefts, rights = self._trimmed(*gap, pairs)
        anchors: list[tuple[int, int]] = []
        if len(lefts) * len(rights) > _SMALL:
            anchors = _increasing(_unique_pairs(lefts, rights, keys))
        pairs += anchors
        low, new_low = 0, 0
        for i, j in [*anchors, (_NONE, _NONE)]:
            high = lefts.index(i, low) if i != _NONE else len(lefts)
            new_high = rights.index(j, new_low) if j != _NONE else len(rights)
            if high > low and new_high > new_low:
                yield lefts[low:high], rights[new_low:new_high]
            low, new_low = high + 1, new_high + 1

    def _in_order(self, lefts: list[int], rights: list[int]) -> list[tuple[int, int]]:
        """Return the best pairs that keep the order of both lists."""
        cells = len(lefts) * len(rights)
        if cells > self._cells:
            return _increasing(_ordinal_pairs(lefts, rights, self._signature))
        if cells > _SMALL:
            self._cells -= cells
        return self._best_order(lefts, rights)

    def _best_order(self, lefts: list[int], rights: list[int]) -> list[tuple[int, int]]:
        """Return the pairs of greatest weight; a byte for each two siblings, not their weights."""
        above = [0] * (len(rights) + 1)
        choices: list[bytearray] = []
        for i in lefts:
            scores, choice, signature = [0], bytearray(), self._left.signatures[i]
            for column, j in enumerate(rights):
                best, taken = (
                    (scores[-1], 1) if scores[-1] > above[column + 1] else (above[column + 1], 2)
                )
                if signature == self._right.signatures[j]:
                    paired = above[column] + self._weight(i, j)
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

    def _moved_branches(self) -> Iterator[tuple[int, int]]:
        """Yield branches found elsewhere exactly as they were, larger ones first."""
        for i, j in self._elsewhere(self._exact):
            is_telling = self._left.openings[i] or self._left.sizes[i] > 1
            if is_telling or self._is_top(i, j):
                yield i, j

    def _is_top(self, i: int, j: int) -> bool:
        """Say whether one of two lone steps has a parent that is paired."""
        parents = self._left.parents[i], self._right.parents[j]
        return self.to_right[parents[0]] != _NONE or self.to_left[parents[1]] != _NONE

    def _moved_steps(self) -> Iterator[tuple[int, int]]:
        """Yield steps found elsewhere that were given the same; below them something differs."""
        return self._elsewhere(self._content)

    def _elsewhere(self, keys: _Keys) -> Iterator[tuple[int, int]]:
        lone = (i for i in range(1, len(self._left.nodes)) if self.to_right[i] == _NONE)
        waiting = _queues((keys[0][i], i) for i in lone if keys[0][i])
        for j in range(1, len(self._right.nodes)):
            queue = waiting.get(keys[1][j], ()) if self.to_left[j] == _NONE else ()
            while queue:
                i = queue.popleft()
                if self.to_right[i] == _NONE:
                    yield i, j
                    break

    def _reordered(self) -> Iterator[tuple[int, int]]:
        """Yield steps that now come before or after siblings they came after or before."""
        for pair in self._incomplete:
            lefts, rights = self._unpaired(*pair)
            waiting = _queues((self._left.signatures[i], i) for i in lefts)
            for j in rights:
                queue = waiting.get(self._right.signatures[j])
                if queue and self._may_be_same(queue[0], j):
                    yield queue.popleft(), j

    def _may_be_same(self, i: int, j: int) -> bool:
        has_children = bool(self._left.children(i) and self._right.children(j))
        return has_children or self._left.contents[i] == self._right.contents[j]

    def _renamed(self) -> Iterator[tuple[int, int]]:
        """Yield lone steps of one place and type that were given the same, or hold the same.

        Not those that are found elsewhere just as they were.
        """
        left, right = self._left.branches, self._right.branches
        here = {left[i] for i, j in enumerate(self.to_right) if j == _NONE}
        there = {right[j] for j, i in enumerate(self.to_left) if i == _NONE}
        both = here & there
        for pair in self._incomplete:
            for lefts, rights in self._gaps(*pair):
                lefts = [i for i in lefts if left[i] not in both]
                rights = [j for j in rights if right[j] not in both]
                yield from _increasing(
                    sorted(_same_inside(self._left, self._right, (lefts, rights)))
                )

    def _named_alike(self) -> Iterator[tuple[int, int]]:
        """Yield lone steps of one place with similar names."""
        for pair in self._incomplete:
            for gap in self._gaps(*pair):
                yield from _increasing(sorted(_alike(self._left, self._right, gap)))

    def _gaps(self, i: int, j: int) -> Iterator[_Gap]:
        """Yield the lone children that lie between the same paired siblings."""
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
        return (gap for gap in gaps.values() if gap[0] and gap[1])


def _same_inside(left: _Tree, right: _Tree, gap: _Gap) -> Iterator[tuple[int, int]]:
    """Yield steps of one type that were given the same, or have the same children."""
    waiting = _queues((key, i) for i in gap[0] for key in _inside(left, i))
    taken: set[int] = set()
    for j in gap[1]:
        for key in _inside(right, j):
            queue = waiting.get(key, ())
            while queue and queue[0] in taken:
                queue.popleft()
            if queue:
                i = queue.popleft()
                taken.add(i)
                yield i, j
                break


def _alike(left: _Tree, right: _Tree, gap: _Gap) -> Iterator[tuple[int, int]]:
    """Yield steps with similar names, the most similar first."""
    if len(gap[0]) * len(gap[1]) > _SMALL:  # names are slow to compare
        return
    scores = [
        (-_likeness(left.signatures[i], right.signatures[j]), i, j) for i in gap[0] for j in gap[1]
    ]
    taken: set[tuple[str, int]] = set()
    for score, i, j in sorted(scores):
        if -score >= _SIMILAR and ("left", i) not in taken and ("right", j) not in taken:
            taken |= {("left", i), ("right", j)}
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


def _inside(tree: _Tree, index: int) -> Iterator[object]:
    """Yield the keys by which a step is known whatever its name."""
    kind = tree.signatures[index][0]
    if tree.inputs[index]:
        yield kind, "input", tree.inputs[index]
    if tree.children(index):
        yield kind, "children", tuple(tree.branches[child] for child in tree.children(index))


def _queues(items: Iterable[tuple[object, int]]) -> dict[object, deque[int]]:
    queues: dict[object, deque[int]] = {}
    for key, index in items:
        queues.setdefault(key, deque()).append(index)
    return queues


def _unique_pairs(lefts: list[int], rights: list[int], keys: _Keys) -> list[tuple[int, int]]:
    """Return the pairs whose key occurs once in either list, in the order of the left one."""
    left_counts = Counter(keys[0][i] for i in lefts)
    right_counts = Counter(keys[1][j] for j in rights)
    where = {keys[1][j]: j for j in rights if right_counts[keys[1][j]] == 1 and keys[1][j]}
    return [
        (i, where[keys[0][i]])
        for i in lefts
        if keys[0][i] in where and left_counts[keys[0][i]] == 1
    ]


def _ordinal_pairs(lefts: list[int], rights: list[int], keys: _Keys) -> list[tuple[int, int]]:
    """Return the first with the first of a key, the second with the second, and so on."""
    waiting = _queues((keys[1][j], j) for j in rights)
    pairs = []
    for i in lefts:
        queue = waiting.get(keys[0][i])
        if queue:
            pairs.append((i, queue.popleft()))
    return pairs


def _increasing(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the most of the pairs, in their order, whose second members increase."""
    ends: list[int] = []  # the smallest last member of a chain of each length
    chains: list[int] = []  # and at which pair that chain ends
    before: list[int] = []
    for at, (_, j) in enumerate(pairs):
        length = bisect_left(ends, j)
        before.append(chains[length - 1] if length else _NONE)
        ends[length : length + 1] = [j]
        chains[length : length + 1] = [at]
    kept: list[tuple[int, int]] = []
    at = chains[-1] if chains else _NONE
    while at != _NONE:
        kept.append(pairs[at])
        at = before[at]
    return kept[::-1]


def _traced_back(
    choices: list[bytearray], lefts: list[int], rights: list[int]
) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
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
    if not _comes_after(left, right):
        pairing = _Pairing(left, right)
        pairing.run()
        return pairing.to_right, pairing.to_left, pairing.moved
    pairing = _Pairing(right, left)
    pairing.run()
    return pairing.to_left, pairing.to_right, {pairing.to_right[i] for i in pairing.moved}


def _comes_after(left: _Tree, right: _Tree) -> bool:
    """Order two trees by what is in them; hashes would order them differently in each process."""
    for i, (one, other) in enumerate(zip(left.texts, right.texts)):
        if one != other:
            return left.text(i) > right.text(i)
    return left.parents > right.parents


# ---- From pairs to changes ---------------------------------------------------------------------

_TREE_EDGES = (EdgeType.CAUSED_BY, EdgeType.BRANCHED_FROM)  # between a step and its parent
_Moment = tuple[float, int]
_Place = tuple[int, int, int]  # level, index on the left, index on the right
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

    def places(self) -> Iterator[_Place]:
        """Yield every place of the union of both trees in reading order."""
        waiting: list[_Place] = [
            (_NONE, 0, 0)
        ]  # the level above the first, the two runs themselves
        while waiting:
            level, i, j = waiting.pop()
            if level != _NONE:
                yield level, i, j
            below = [(level + 1, *place) for place in self._merged(i, j)]
            waiting.extend(reversed(below))

    def _merged(self, i: int, j: int) -> list[tuple[int, int]]:
        """Return the children of one place; removed ones follow the sibling they followed."""
        if i == _NONE and not self._right.children(j) or j == _NONE and not self._left.children(i):
            return []
        gone: dict[int, list[tuple[int, int]]] = defaultdict(list)
        previous = _NONE
        for child in self._left.children(i) if i != _NONE else ():
            partner = self._to_right[child]
            if partner == _NONE:
                gone[previous].append((child, _NONE))
            elif child not in self._moved:
                previous = partner
        merged = gone[_NONE]
        for child in self._right.children(j) if j != _NONE else ():
            merged.append((self._to_left[child], child))
            merged += gone.get(child, ())
        return merged

    def row(self, level: int, i: int, j: int) -> Row:
        """Return what there is to say of one place."""
        if j == _NONE:
            return Row(level, self._left.nodes[i], None, self._gone(i))
        if i == _NONE:
            return Row(level, None, self._right.nodes[j], self._come(j))
        return Row(level, self._left.nodes[i], self._right.nodes[j], self._changed(i, j))

    def _gone(self, i: int) -> Change | None:
        tree, partners = self._left, self._to_right
        if partners[tree.parents[i]] == _NONE:
            return None
        return Change("removed", tree.nodes[i], None, (), _lone(tree, i, partners), tree.place(i))

    def _come(self, j: int) -> Change | None:
        tree, partners = self._right, self._to_left
        if partners[tree.parents[j]] == _NONE:
            return None
        return Change("added", None, tree.nodes[j], (), _lone(tree, j, partners), tree.place(j))

    def _changed(self, i: int, j: int) -> Change | None:
        before, after = self._left.nodes[i], self._right.nodes[j]
        fields: list[FieldChange] = []
        if self._left.signatures[i] != self._right.signatures[j]:
            fields += compare_values(self._identity(i, self._left), self._identity(j, self._right))
        if self._left.texts[i] != self._right.texts[j]:
            fields += _changed_facts(self._left.lens.facts(before), self._right.lens.facts(after))
        fields += self._links.get(j, ())
        slower = self._timing.change(before, after)
        kind = self._kind(i, fields, slower)
        if kind is None:
            return None
        return Change(kind, before, after, (*fields, *slower), 1, self._right.place(j))

    def _identity(self, index: int, tree: _Tree) -> dict[str, str]:
        kind, name, lane, _ = tree.signatures[index]
        return {"name": name, "node_type": kind, "lane": "own" if lane else "parent's"}

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
        old = Counter(self._mapped_links())
        new = Counter(_links(self._right, self._to_left))
        changes: dict[int, list[FieldChange]] = defaultdict(list)
        for link in (old - new).elements():
            source = self._left.nodes[self._to_left[link[2]]]
            changes[link[3]].append(FieldChange("links", _link_text(link, source), ABSENT))
        for link in (new - old).elements():
            source = self._right.nodes[link[2]]
            changes[link[3]].append(FieldChange("links", ABSENT, _link_text(link, source)))
        return changes

    def _mapped_links(self) -> Iterator[_Link]:
        """Yield the edges of the left tree with the indexes of the right one."""
        for kind, label, source, target in _links(self._left, self._to_right):
            yield kind, label, self._to_right[source], self._to_right[target]

    def first(self, rows: Iterable[Row], places: Iterable[_Place]) -> Change | None:
        """Return the change that came first in time.

        Runs drift apart, so time is counted in what both have: the starts and ends of paired
        steps that came before. A step's end is when its output and its error came to be.
        """
        left, right = _Clock(self._left), _Clock(self._right)
        firsts: list[tuple[_Moment, Change] | None] = [None, None]
        for (_, i, j), row in zip(places, rows):
            if row.change is None:
                continue
            is_end = _came_at_end(row.change)
            for side, (clock, at) in enumerate(((left, i), (right, j))):
                if at != _NONE:
                    moment, best = clock.moment(at, is_end), firsts[side]
                    if best is None or moment < best[0]:
                        firsts[side] = moment, row.change
        return self._earlier(left, right, *firsts)

    def _earlier(
        self,
        left: _Clock,
        right: _Clock,
        on_left: tuple[_Moment, Change] | None,
        on_right: tuple[_Moment, Change] | None,
    ) -> Change | None:
        """Return which of the changes that come first in one run each comes first in both."""
        if on_left is None or on_right is None:
            found = on_left or on_right
            return found and found[1]
        counts = left.count(on_left[0], self._to_right), right.count(on_right[0], self._to_left)
        if counts[0] != counts[1]:
            return (on_left if counts[0] < counts[1] else on_right)[1]
        return min(on_left[1], on_right[1], key=_names)


def _names(change: Change) -> list[tuple[str, str]]:
    """Order changes that came at the same time, whichever run is called the earlier one."""
    return sorted((step_title(node), node.id) for node in (change.before, change.after) if node)


def _lone(tree: _Tree, top: int, partners: list[int]) -> int:
    """Count the steps of a branch without those that moved into it, or out, with what is below."""
    count, index, end = 0, top, top + tree.sizes[top]
    while index < end:
        is_lone = partners[index] == _NONE
        count += is_lone
        index += 1 if is_lone else tree.sizes[index]
    return count


def _changed_facts(before: dict[str, Any], after: dict[str, Any]) -> list[FieldChange]:
    changes: list[FieldChange] = []
    for key in before | after:
        old, new = before.get(key, ABSENT), after.get(key, ABSENT)
        if old is not new and _packed(old) != _packed(new):
            changes += compare_values(old, new, key)
    return changes


_AT_END = ("changed", "slower", "faster")


def _came_at_end(change: Change) -> bool:
    return change.kind in _AT_END and not any(item.is_known_at_start for item in change.fields)


class _Clock:
    """Order the starts and ends of steps; steps without times take those around them."""

    def __init__(self, tree: _Tree) -> None:
        self._tree = tree
        self._levels = [0]
        for index in range(1, len(tree.nodes)):
            self._levels.append(self._levels[tree.parents[index]] + 1)
        self._starts, self._ends = _times(tree)

    def moment(self, index: int, is_end: bool) -> _Moment:
        """Return a time, and the place in the order of entering and leaving for equal times."""
        entered = 2 * index - self._levels[index]
        if is_end:
            return self._ends[index], entered + 2 * self._tree.sizes[index] - 1
        return self._starts[index], entered

    def count(self, moment: _Moment, partners: list[int]) -> int:
        """Return how many starts and ends of paired steps come before a moment."""
        latest = moment[0]
        early = [i for i, start in enumerate(self._starts) if start <= latest]
        early = [i for i in early if partners[i] != _NONE]
        return sum(
            (self.moment(i, False) < moment) + (self.moment(i, True) < moment) for i in early
        )


def _times(tree: _Tree) -> tuple[list[float], list[float]]:
    starts: list[float] = [0.0]
    for node, parent in zip(tree.nodes[1:], tree.parents[1:]):
        known = node.start_time
        starts.append(starts[parent] if known is None else known.timestamp())
    ends = starts[:]  # of a step without an end: when the last step below it started or ended
    for index in range(len(ends) - 1, 0, -1):
        known, parent = tree.nodes[index].end_time, tree.parents[index]
        if known is not None:
            ends[index] = known.timestamp()
        ends[parent] = max(ends[parent], ends[index])
    return starts, ends


def _links(tree: _Tree, partners: list[int]) -> Iterator[_Link]:
    """Yield the edges between paired steps, but for those that only repeat the tree."""
    indexes = {node.id: index for index, node in enumerate(tree.nodes)} if tree.trace.edges else {}
    for edge in tree.trace.edges:
        source, target = indexes.get(edge.source_id, _NONE), indexes.get(edge.target_id, _NONE)
        if (
            source == _NONE
            or target == _NONE
            or partners[source] == _NONE
            or (partners[target] == _NONE)
        ):
            continue
        if edge.edge_type not in _TREE_EDGES or tree.parents[target] != source:
            yield edge.edge_type, edge.label, source, target


def _link_text(link: _Link, source: Node) -> str:
    label = f" ({link[1]})" if link[1] else ""
    return f"{link[0]!s} from {step_title(source)}{label}"


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
    lens = _Lens(ignore, mask, cost)
    left, right = _Tree(before, lens), _Tree(after, lens)
    comparison = _Comparison(left, right, _Timing(timing, time_share, time_minimum_ms))
    places = list(comparison.places())
    rows = [comparison.row(*place) for place in places]
    first = comparison.first(rows, places) if any(row.change for row in rows) else None
    marks = step_marks(before), step_marks(after)
    return TraceDiff(before, after, rows, first, (_totals(left, cost), _totals(right, cost)), marks)


def _totals(tree: _Tree, cost: Callable[[Node], float | None] | None) -> Totals:
    costs = [cost(node) for node in tree.nodes] if cost is not None else []
    tokens = _summed(tree, [tokens_of(node) for node in tree.nodes])
    return Totals(
        tree.trace.duration_ms,
        None if tokens is None else round(tokens),
        _summed(tree, costs) if costs else None,
    )


def _summed(tree: _Tree, values: Sequence[float | None]) -> float | None:
    """Add up what the steps say; a step that reports the sum of those below it adds nothing."""
    if not any(value is not None for value in values):
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
