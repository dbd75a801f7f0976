"""Say which step of one run is which step of another: what `diff` stands on.

    from logtracer_extras.diff.pairing import Tree, paired

    to_right, to_left, moved = paired(Tree(good_run, lens), Tree(bad_run, lens))

Steps are paired by what they are and what they were given, never by their ids or times. Sections,
in order: attempts, trees, pairing.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial

from logtracer import Node, TraceGraph

from ..facts import attempt_titles
from .values import Lens, common_ends, increasing, packed, unique_pairs

__all__ = ["NONE", "Tree", "paired"]

# ---- Trees: a run in preorder, with the keys its steps are paired by ---------------------------

NONE = -1
_Signature = tuple[str, str, str, str]  # type, name, lane, and whether it is a retry or a fallback


class Tree:
    """The steps of a run in reading order, by index; index 0 stands for the run itself.

    All below a step follows it: a branch is a slice of these lists, `sizes` long.
    """

    def __init__(self, trace: TraceGraph, lens: Lens) -> None:
        self.trace, self.lens = trace, lens
        self.marks = attempt_titles(trace)
        self.nodes = [Node("", 0, trace.name)]
        self.parents, self.levels, self.positions = [NONE], [0], [0]
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
        name = self.lens.text(node.name)
        signature = (node.node_type, name, lane, "" if role == "#1" else role)
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

    def __init__(self, left: Tree, right: Tree) -> None:
        self._left, self._right = left, right
        self.to_right = [0] + [NONE] * (len(left.nodes) - 1)  # the two runs are a pair
        self.to_left = [0] + [NONE] * (len(right.nodes) - 1)
        self.moved: set[int] = set()  # indexes on the left
        self._waiting = [(0, 0)]  # pairs whose children are still to be aligned
        self._incomplete: list[_Pair] = []  # pairs with unpaired children on both sides
        self._cells = _CELLS
        self._kins: dict[int, frozenset[int]] = {}  # by index, on the right negative
        self._twins: dict[int, int] = {}  # of the siblings that are being aligned
        self._twinned: set[int] = set()
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
            if max(self.to_right[left]) == max(self.to_left[right]) == NONE:
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
            [i for i in lefts if self.to_right[i] == NONE],
            [j for j in rights if self.to_left[j] == NONE],
        )

    def _matches(self, lefts: Iterable[int], rights: Iterable[int], keys: _Keys) -> Iterator[_Pair]:
        """Yield the first with the first of a key, the second with the second, and so on."""
        waiting: dict[object, deque[int]] = defaultdict(deque)
        for i in lefts:
            waiting[keys[0](i)].append(i)
        for j in rights:
            key = keys[1](j)
            queue = waiting.get(key) if key and self.to_left[j] == NONE else None
            while queue:
                i = queue.popleft()
                if self.to_right[i] == NONE:  # it may have been paired since, with its branch
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
        self._twins = self._find_twins(lefts, rights)
        self._twinned = set(self._twins.values())
        gaps = [(lefts, rights)]
        if len(lefts) * len(rights) > _SMALL:
            for keys in (self._exact, self._content, self._signature):
                if keys is self._signature:  # twins that are still alone are out of order
                    gaps = [self._without_twins(*gap) for gap in gaps]
                gaps = [part for gap in gaps for part in self._split(*gap, keys)]
        for gap in gaps:
            self._pair_all(self._in_order(*gap))

    def _find_twins(self, lefts: list[int], rights: list[int]) -> dict[int, int]:
        """Return the steps that both lists have once, given the same, and where on the right.

        Two of them are no pair that changed: each has its twin, and at worst that one moved.
        """
        if min(len(lefts), len(rights)) < 2:
            return {}
        mine = [self._content[0](i) or self._exact[0](i) for i in lefts]
        theirs = [self._content[1](j) or self._exact[1](j) for j in rights]
        return {lefts[at]: rights[to] for at, to in unique_pairs(mine, theirs)}

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
        if not self._may_have_kin(lefts, rights) and not self._share_content(lefts, rights):
            self._pair_all(self._ends(lefts, rights, self._signature))  # only names count
            lefts, rights = self._alone(lefts, rights)
        cells = len(lefts) * len(rights)
        if cells > self._cells:
            return increasing(sorted(self._matches(lefts, rights, self._signature)))
        self._cells -= cells if cells > _SMALL else 0
        return self._best_order(lefts, rights)

    def _may_have_kin(self, lefts: list[int], rights: list[int]) -> bool:
        """Say whether what is below several steps of one name may tell which of them is which."""
        if len(lefts) * len(rights) > _SMALL or not any(map(self._left.children, lefts)):
            return False
        names = set(map(self._signature[0], lefts)), set(map(self._signature[1], rights))
        return len(names[0]) < len(lefts) or len(names[1]) < len(rights)

    def _without_twins(self, lefts: list[int], rights: list[int]) -> _Gap:
        if self._twins.keys().isdisjoint(lefts) or self._twinned.isdisjoint(rights):
            return lefts, rights
        return (
            [i for i in lefts if i not in self._twins],
            [j for j in rights if j not in self._twinned],
        )

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
                    weight = self._weight(i, rights[column])
                    if weight and above[column] + weight >= best:
                        best, taken = above[column] + weight, 3
                scores.append(best)
                choice.append(taken)
            above = scores
            choices.append(choice)
        return _traced_back(choices, lefts, rights)

    def _weight(self, i: int, j: int) -> int:
        """Return how well two steps of one type and name fit: their content counts most."""
        content = self._left.contents[i]
        if self._left.branches[i] == self._right.branches[j]:
            return 16 if content else 8
        if content and content == self._right.contents[j]:
            return 12 + self._kinship(i, j)
        if i in self._twins and j in self._twinned:
            return 0
        return 4 + self._kinship(i, j)

    def _kinship(self, i: int, j: int) -> int:
        """Return from 0 to 3 how many of the children of two steps are the same."""
        mine, theirs = self._kin(self._left, i), self._kin(self._right, j)
        if not mine or not theirs:
            return 0
        return -(-3 * len(mine & theirs) // max(len(mine), len(theirs)))

    def _kin(self, tree: Tree, index: int) -> frozenset[int]:
        if not tree.children(index):
            return frozenset()
        key = index if tree is self._left else -index
        if key not in self._kins:
            self._kins[key] = frozenset(tree.branches[child] for child in tree.children(index))
        return self._kins[key]

    # Steps that stay alone in their place

    def _elsewhere(self, keys: _Keys) -> Iterator[_Pair]:
        """Yield lone steps that are found anywhere in the other run."""
        lone = self._alone(range(len(self.to_right)), range(len(self.to_left)))
        return self._matches(*lone, keys)

    def _moved_branches(self) -> Iterator[_Pair]:
        """Yield branches found elsewhere exactly as they were, larger ones first."""
        for i, j in self._elsewhere(self._exact):
            parents = self._left.parents[i], self._right.parents[j]
            is_top = self.to_right[parents[0]] != NONE or self.to_left[parents[1]] != NONE
            if is_top or self._left.contents[i] or self._left.sizes[i] > 1:
                yield i, j

    def _reordered(self) -> Iterator[_Pair]:
        """Yield steps that now come before or after siblings they came after or before."""
        for i, j in self._incomplete:
            for keys in (self._content, self._keys(_signature_and_content)):
                lone = self._alone(self._left.children(i), self._right.children(j))
                yield from self._matches(*lone, keys)

    def _renamed(self, key: Callable[[Tree, int], object]) -> Iterator[_Pair]:
        """Yield lone steps of one place with equal keys, not those found elsewhere as they were."""
        lone = self._alone(range(len(self.to_right)), range(len(self.to_left)))
        both = set(map(self._exact[0], lone[0])).intersection(map(self._exact[1], lone[1]))
        keys = self._keys(key)
        for lefts, rights in self._gaps():
            lefts = [i for i in lefts if self._left.branches[i] not in both]
            rights = [j for j in rights if self._right.branches[j] not in both]
            yield from increasing(sorted(self._matches(lefts, rights, keys)))

    def _keys(self, key: Callable[[Tree, int], object]) -> _Keys:
        return partial(key, self._left), partial(key, self._right)

    def _named_alike(self) -> Iterator[_Pair]:
        """Yield lone steps of one place with similar names."""
        for lefts, rights in self._gaps():
            yield from increasing(sorted(_alike(self._left, self._right, lefts, rights)))

    def _gaps(self) -> Iterator[_Gap]:
        """Yield the lone children of a pair that lie between the same paired siblings."""
        for i, j in self._incomplete:
            gaps: dict[int, _Gap] = defaultdict(lambda: ([], []))
            previous = NONE
            for child in self._left.children(i):
                partner = self.to_right[child]
                if partner == NONE:
                    gaps[previous][0].append(child)
                elif self._right.parents[partner] == j and child not in self.moved:
                    previous = partner
            previous = NONE
            for child in self._right.children(j):
                partner = self.to_left[child]
                if partner == NONE:
                    gaps[previous][1].append(child)
                elif self._left.parents[partner] == i and partner not in self.moved:
                    previous = child
            yield from filter(all, gaps.values())


def _given(tree: Tree, index: int) -> object:
    """Return what a step is and was given, whatever its name."""
    return tree.inputs[index] and (tree.signatures[index][0], tree.inputs[index])


def _below(tree: Tree, index: int) -> object:
    """Return what a step is and what is below it, whatever its name."""
    children = [tree.branches[child] for child in tree.children(index)]
    return (tree.signatures[index][0], *children) if children else None


def _signature_and_content(tree: Tree, index: int) -> object:
    """Return how siblings know a step that changed places with others; children may differ."""
    return tree.signatures[index], tree.contents[index] if not tree.children(index) else 0


def _alike(left: Tree, right: Tree, lefts: list[int], rights: list[int]) -> Iterator[_Pair]:
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


def paired(left: Tree, right: Tree) -> tuple[list[int], list[int], set[int]]:
    """Pair two trees in an order that does not depend on which of them comes first.

    Where several pairings are as good, this makes diff(a, b) the mirror of diff(b, a).
    """
    if _comes_after(left, right):
        to_left, to_right, moved = _paired_in_order(right, left)
        return to_right, to_left, {to_left[j] for j in moved}
    return _paired_in_order(left, right)


def _paired_in_order(left: Tree, right: Tree) -> tuple[list[int], list[int], set[int]]:
    pairing = _Pairing(left, right)
    pairing.run()
    return pairing.to_right, pairing.to_left, pairing.moved


def _comes_after(left: Tree, right: Tree) -> bool:
    """Order two trees by what is in them; hashes would order them differently in each process."""
    for i, (one, other) in enumerate(zip(left.texts, right.texts)):
        if one != other:
            return left.text(i) > right.text(i)
    return left.parents > right.parents
