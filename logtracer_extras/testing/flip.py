"""Find the few answers that turn a good run into a bad one.

    def fails(mixture):
        with replaying(mixture):
            return "18" not in run_agent("weather in Paris")

    for node in flip(good, bad, fails):
        print(node.name, node.output_data)

Both runs are recorded. The agent is run again on mixtures of their answers, by halves, until no
smaller set of answers of the bad run makes it fail (delta debugging).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

from logtracer import LogtracerError, Node, TraceGraph

from ..diff import diff

__all__ = ["FlipError", "flip"]


class FlipError(LogtracerError, ValueError):
    """The two runs cannot be told apart by `fails`; the message says which is wrong."""


def flip(good: TraceGraph, bad: TraceGraph, fails: Callable[[TraceGraph], bool]) -> list[Node]:
    """Return the nodes of the bad run whose answers are enough to fail, and all needed for it.

    `fails` gets a trace: the good run with some of its answers replaced by those of the bad one.
    It tells whether the agent, replayed on it, fails. FlipError when it fails on the good answers
    alone, or does not on all of the bad ones.
    """
    differing = [
        (change.before, change.after)
        for change in diff(good, bad).changes
        if change.before is not None and change.after is not None
    ]

    def is_bad(chosen: Sequence[tuple[Node, Node]]) -> bool:
        return fails(_mixture(good, chosen))

    if is_bad([]):
        raise FlipError("the good run fails as well; `fails` must be false for it")
    if not is_bad(differing):
        raise FlipError(
            f"all {len(differing)} differing answers of the bad run do not make the good one fail;"
            " what differs may be calls that only one of them made"
        )
    return [after for _, after in _fewest(differing, is_bad)]


def _mixture(good: TraceGraph, chosen: Sequence[tuple[Node, Node]]) -> TraceGraph:
    mixture = copy.deepcopy(good)
    for before, after in chosen:
        node = mixture.nodes[before.id]
        node.output_data = copy.deepcopy(after.output_data)
        node.status, node.error, node.error_type = after.status, after.error, after.error_type
    return mixture


def _fewest(
    items: list[tuple[Node, Node]], is_bad: Callable[[Sequence[tuple[Node, Node]]], bool]
) -> list[tuple[Node, Node]]:
    """Return a part of the items that is bad, and would not be without any one of them."""
    parts = 2
    while len(items) > 1:
        size = -(-len(items) // parts)
        chunks = [items[at : at + size] for at in range(0, len(items), size)]
        rests = [[item for item in items if item not in chunk] for chunk in chunks]
        smaller = next((part for part in [*chunks, *rests] if part and is_bad(part)), None)
        if smaller is not None and len(smaller) < len(items):
            parts = 2 if len(smaller) == size else max(parts - 1, 2)
            items = smaller
        elif size == 1:
            break
        else:
            parts = min(2 * parts, len(items))
    return items
