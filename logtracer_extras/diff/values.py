"""What counts of a step, and where two values differ: what `diff` compares runs by.

    from logtracer_extras.diff.values import compare_values, line_changes

    compare_values({"a": [1, 2, 3]}, {"a": [1, 3]})  # a[1]: 2 is gone
    line_changes("be kind\nbe brief", "be kind\nbe quick")

Nothing here recurses, and equal values are told by their bytes. Sections, in order: differences,
what counts, bytes, comparing values, comparing texts, sequences.
"""

from __future__ import annotations

import difflib
import marshal
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from typing import Any

from logtracer import LogtracerError, Node

__all__ = [
    "ABSENT",
    "FieldChange",
    "Lens",
    "MaskError",
    "common_ends",
    "compare_facts",
    "compare_values",
    "increasing",
    "line_changes",
    "packed",
    "unique_pairs",
]

# ---- Differences -------------------------------------------------------------------------------


class _Absent:
    """The type of ABSENT."""

    def __repr__(self) -> str:
        return "<absent>"


ABSENT = _Absent()
"""Stands where one of two runs has no such value at all (None is a value)."""

_KNOWN_AT_START = ("input", "lane", "links", "metadata.gen_ai.request")


@dataclass(slots=True)  # not frozen: there may be one for every step, and frozen ones take longer
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


# ---- What counts: the facts of a step, without noise -------------------------------------------

# Facts that no two runs share, whatever the agent does: ids under the names of conventions and
# products, which have dots (what a user calls `order_id` counts, and so does a model), times, the
# tracer's own notes.
_NOISE = re.compile(
    r"lane|logtracer\..*|(?!.*model).*\.(?:.*_)?id|.*\.timestamp|langsmith\.dotted_order"
    r"|gen_ai\.response\.time_to_first_chunk|inspect\.working_start"
)


class MaskError(LogtracerError, ValueError):
    """A mask is no regular expression; the message names it and says why."""


class Lens:
    """Look at a step and see what counts: no noise, no ignored paths, masked text."""

    def __init__(
        self,
        ignore: Iterable[str] = (),
        mask: Iterable[str] = (),
        cost: Callable[[Node], float | None] | None = None,
    ) -> None:
        ignored = [_path_pattern(path) for path in ignore]
        self._ignored = re.compile("|".join(ignored)) if ignored else None
        self._masks = [_mask_pattern(pattern) for pattern in mask]
        self.cost = cost

    def text(self, text: str) -> str:
        """Return a text as it counts: with what the masks match replaced."""
        for mask in self._masks:
            text = mask.sub("[MASKED]", text)
        return text

    def without_ignored(self, changes: list[FieldChange]) -> list[FieldChange]:
        """Return the changes that count; of a step's name, its links and all else."""
        if self._ignored is None:
            return changes
        return [change for change in changes if not self._ignored.fullmatch(change.path)]

    def facts(self, node: Node) -> dict[str, Any]:
        """Return what is compared of a step, as JSON data."""
        facts: dict[str, Any] = {
            "status": str.__str__(node.status),  # the enum's own is ten times as slow
            "error": node.error,
            "error_type": node.error_type,
            "input": _without_call_ids(node, node.input_data),
            "output": _without_call_ids(node, node.output_data),
            "annotations": node.annotations,
            "metadata": node.metadata and _without_noise(node.metadata),
        }
        if self.cost is not None:
            facts["cost"] = self.cost(node)
        if self._ignored is None and not self._masks:
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
            elif isinstance(value, str):
                value = self.text(value)
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


def _mask_pattern(mask: str) -> re.Pattern[str]:
    try:
        return re.compile(mask)
    except re.error as error:
        raise MaskError(f"mask {mask!r}: {error}") from None


_PER_RUN = "logtracer.per_run"  # the names of metadata that identify one run, as adapters say


def _without_noise(metadata: dict[str, Any]) -> dict[str, Any]:
    told = metadata.get(_PER_RUN)
    names = told if isinstance(told, list) else []
    per_run = {_PER_RUN, *(name for name in names if isinstance(name, str))}
    return {
        key: value for key, value in metadata.items() if key not in per_run and not _is_noise(key)
    }


_CALL_IDS = frozenset({"tool_call_id", "tool_use_id", "call_id"})
_CALL_TYPES = frozenset({"function", "custom", "tool_use", "tool_call", "function_call"})
_LEVELS = 16  # of containers in messages, below which ids are compared after all


def _without_call_ids(node: Node, value: Any, level: int = _LEVELS) -> Any:
    """Return the messages of a model call without the ids that providers give to tool calls.

    They are new each time; calls and results are compared by their order.
    """
    if not value or node.node_type != "llm_call" or not level:
        return value
    if isinstance(value, list):
        return [_without_call_ids(node, item, level - 1) for item in value]
    if not isinstance(value, dict):
        return value
    is_call = str(value.get("type")) in _CALL_TYPES or "function" in value
    return {
        key: _without_call_ids(node, item, level - 1)
        for key, item in value.items()
        if key not in _CALL_IDS and not (is_call and key == "id")
    }


@lru_cache(maxsize=1_024)
def _is_noise(key: str) -> bool:
    return _NOISE.fullmatch(key) is not None


# ---- Bytes: equal ones for equal values --------------------------------------------------------


def packed(value: Any) -> bytes:
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


def _is_same(before: Any, after: Any) -> bool:
    if before is after:
        return True
    if isinstance(before, (dict, list)):
        if type(before) is not type(after) or len(before) != len(after):
            return False
        return not before or packed(before) == packed(after)
    if before != before and after != after:  # NaN is not equal to itself
        return True
    return bool(before == after) and isinstance(before, bool) == isinstance(after, bool)


# ---- Comparing values --------------------------------------------------------------------------

_DEEPEST_VALUE = 100  # levels that are compared one by one; what is below counts as one value
_Difference = tuple[str, Any, Any]


def compare_values(before: Any, after: Any, path: str = "") -> list[FieldChange]:
    """Return where two JSON values differ, by path: keys one by one, lists from both their ends.

    >>> compare_values({"a": [1, 2, 3]}, {"a": [1, 3]}, "x")
    [FieldChange(path='x.a[1]', before=2, after=<absent>)]
    """
    changes: list[FieldChange] = []
    waiting = [(0, path, before, after)]
    while waiting:
        level, path, before, after = waiting.pop()
        if level < _DEEPEST_VALUE and isinstance(before, dict) and isinstance(after, dict):
            below = _by_key(path, before, after)
        elif level < _DEEPEST_VALUE and isinstance(before, list) and isinstance(after, list):
            below = _by_index(path, before, after)
        else:
            if not _is_same(before, after):
                changes.append(FieldChange(path, before, after))
            continue
        waiting.extend([(level + 1, *item) for item in reversed(below)])
    return changes


def compare_facts(before: dict[str, Any], after: dict[str, Any]) -> list[FieldChange]:
    """Return where the facts of two steps differ, by path; quick where few of them do."""
    changes: list[FieldChange] = []
    for key in before | after:
        old, new = before.get(key, ABSENT), after.get(key, ABSENT)
        if not _is_same(old, new):
            changes += compare_values(old, new, key)
    return changes


def _by_key(path: str, before: dict[Any, Any], after: dict[Any, Any]) -> list[_Difference]:
    start = f"{path}." if path else ""
    keys = dict.fromkeys([*before, *after])
    return [(f"{start}{key}", before.get(key, ABSENT), after.get(key, ABSENT)) for key in keys]


def _by_index(path: str, before: list[Any], after: list[Any]) -> list[_Difference]:
    """Pair what lies between the equal beginnings and the equal ends of two lists."""
    start = end = 0
    if len(before) != len(after):  # of equal ones, each item has its partner anyway
        start, end = common_ends(list(map(packed, before)), list(map(packed, after)))
    middle = zip_longest(
        before[start : len(before) - end], after[start : len(after) - end], fillvalue=ABSENT
    )
    return [(f"{path}[{index}]", old, new) for index, (old, new) in enumerate(middle, start)]


# ---- Comparing texts ---------------------------------------------------------------------------

_CELLS = 200_000  # comparisons spent on lines that occur several times; those left are replaced
_Block = tuple[int, int, int, int]  # lines of the old text from, to; of the new one from, to


def line_changes(before: str, after: str) -> list[tuple[str, int, str]]:
    """Return the lines in which two texts differ: a sign, the line's number there, the line.

    >>> line_changes("be kind\\nbe brief", "be kind\\nbe quick")
    [('-', 2, 'be brief'), ('+', 2, 'be quick')]
    """
    old, new = before.split("\n"), after.split("\n")
    changes: list[tuple[str, int, str]] = []
    for low, high, new_low, new_high in _replaced(old, new):
        changes += [("-", at + 1, old[at]) for at in range(low, high)]
        changes += [("+", at + 1, new[at]) for at in range(new_low, new_high)]
    return changes


def _replaced(old: list[str], new: list[str]) -> Iterator[_Block]:
    """Yield the blocks of lines that differ, between lines that occur once in either text."""
    anchors = increasing(unique_pairs(old, new))
    low, new_low, cells = 0, 0, _CELLS
    for high, new_high in [*anchors, (len(old), len(new))]:
        block = old[low:high], new[new_low:new_high]
        start, end = common_ends(*block)
        inner = [part[start : len(part) - end] for part in block]
        low, new_low = low + start, new_low + start
        cells -= len(inner[0]) * len(inner[1])
        for at, to, new_at, new_to in _best_blocks(*inner, is_exact=cells > 0):
            yield low + at, low + to, new_low + new_at, new_low + new_to
        low, new_low = high + 1, new_high + 1


def _best_blocks(old: list[str], new: list[str], *, is_exact: bool) -> Iterator[_Block]:
    if not is_exact:
        yield 0, len(old), 0, len(new)
        return
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, *block in matcher.get_opcodes():
        if kind != "equal":
            yield block[0], block[1], block[2], block[3]


# ---- Sequences: what they share ----------------------------------------------------------------

_Pairs = list[tuple[int, int]]


def common_ends(first: Sequence[Any], second: Sequence[Any]) -> tuple[int, int]:
    """Return how long the equal beginning and the equal end of two sequences are."""
    most = min(len(first), len(second))
    start = 0
    while start < most and first[start] == second[start]:
        start += 1
    end = 0
    while end < most - start and first[-1 - end] == second[-1 - end]:
        end += 1
    return start, end


def unique_pairs(first: Sequence[object], second: Sequence[object]) -> _Pairs:
    """Return where the items are that occur once in either sequence, in the order of the first."""
    counts = Counter(first), Counter(second)
    where = {item: at for at, item in enumerate(second) if counts[1][item] == 1}
    return [
        (at, where[item]) for at, item in enumerate(first) if counts[0][item] == 1 and item in where
    ]


def increasing(pairs: _Pairs) -> _Pairs:
    """Return the most of the pairs, in their order, whose second members increase."""
    ends: list[int] = []  # the smallest last member of a chain of each length
    chains: list[int] = []  # and at which pair that chain ends
    before: list[int] = []
    for at, (_, j) in enumerate(pairs):
        length = bisect_left(ends, j)
        before.append(chains[length - 1] if length else -1)
        ends[length : length + 1] = [j]
        chains[length : length + 1] = [at]
    kept: _Pairs = []
    at = chains[-1] if chains else -1
    while at != -1:
        kept.append(pairs[at])
        at = before[at]
    return kept[::-1]
