"""What anyone asks of a trace: when a node ran, its attempt, its title and path, its tokens.

Each question is answered here once, for the terminal, the page, the exports and the comparisons.
Sections, in order: times, links, attempts, titles and paths, tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from logtracer import Edge, EdgeType, Node, TraceGraph

__all__ = [
    "AGAIN",
    "EPOCH",
    "MICROSECOND",
    "REPEATS_PARENT",
    "Moments",
    "Usage",
    "attempt_chains",
    "attempt_numbers",
    "attempt_titles",
    "cost_of",
    "error_text",
    "links_of",
    "models_of",
    "path_text",
    "title_of",
    "usage_of",
]

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICROSECOND = timedelta(microseconds=1)

# ---- Times -------------------------------------------------------------------------------------


class Moments:
    """When the nodes of a trace ran, in microseconds from the first moment that it knows of.

    A node without an end lasts until `last`, the last moment that the trace knows of; one without
    a start begins where it ends.
    """

    def __init__(self, trace: TraceGraph) -> None:
        nodes = trace.nodes.values()
        times = [node.start_time for node in nodes] + [node.end_time for node in nodes]
        known = [time for time in (*times, trace.start_time, trace.end_time) if time is not None]
        self.origin = min(known, default=EPOCH)
        self.last = (max(known, default=EPOCH) - self.origin) // MICROSECOND

    def of(self, node: Node) -> tuple[int, int]:
        """Return when a node started and ended; it never ends before it starts."""
        end = self.last if node.end_time is None else (node.end_time - self.origin) // MICROSECOND
        if node.start_time is None:
            return end, end
        start = (node.start_time - self.origin) // MICROSECOND
        return start, end if end > start else start


# ---- Links: the edges beyond the tree ----------------------------------------------------------

# Edges that a child also has from its own parent, for which the tree is enough: the second says
# that it ran in another lane.
REPEATS_PARENT = (EdgeType.CAUSED_BY, EdgeType.BRANCHED_FROM)


def links_of(
    trace: TraceGraph,
    edges: Iterable[Edge] | None = None,
    repeats: tuple[str, ...] = (EdgeType.CAUSED_BY,),
) -> list[Edge]:
    """Return the edges beyond the tree of which both ends are in the trace.

    `edges` are looked at in place of the recorded ones, to take inferred ones along; `repeats`
    are the types that only repeat the tree where they come from the parent.
    """
    nodes = trace.nodes
    return [
        edge
        for edge in (trace.edges if edges is None else edges)
        if edge.source_id in nodes
        and edge.target_id in nodes
        and (edge.edge_type not in repeats or nodes[edge.target_id].parent_id != edge.source_id)
    ]


# ---- Attempts ----------------------------------------------------------------------------------

AGAIN = (EdgeType.RETRY_OF, EdgeType.FALLBACK_OF)


def attempt_chains(edges: Iterable[Edge], starts: Mapping[str, int]) -> list[list[str]]:
    """Return the ids of each first attempt, its retries and fallbacks, in the order they ran.

    `starts` says of the id of each node when it ran, in any unit.
    """
    heads: dict[str, str] = {}
    chains: dict[str, list[str]] = {}
    pairs = [
        (edge.source_id, edge.target_id)
        for edge in edges
        if edge.edge_type in AGAIN
        and edge.source_id in starts
        and edge.target_id in starts
        and edge.source_id != edge.target_id
    ]
    for earlier, later in sorted(pairs, key=lambda pair: (starts[pair[1]], starts[pair[0]])):
        head = heads.setdefault(earlier, earlier)
        if later not in heads:
            heads[later] = head
            chains.setdefault(head, [head]).append(later)
    return list(chains.values())


def attempt_numbers(edges: Iterable[Edge], chains: Iterable[list[str]]) -> dict[str, int]:
    """Return, by node id, which attempt at something it is: 1, 2, ...; a fallback begins anew."""
    fallbacks = {edge.target_id for edge in edges if edge.edge_type == EdgeType.FALLBACK_OF}
    numbers: dict[str, int] = {}
    for chain in chains:
        number = 0
        for node_id in chain:
            number = 1 if node_id in fallbacks else number + 1
            numbers[node_id] = number
    return numbers


def attempt_titles(trace: TraceGraph) -> dict[str, str]:
    """Return what is written behind the titles of attempts and fallbacks, by node id."""
    again = [edge for edge in trace.edges if edge.edge_type in AGAIN]
    if not again:
        return {}
    starts = {node_id: place for place, node_id in enumerate(trace.nodes)}
    numbers = attempt_numbers(again, attempt_chains(again, starts))
    retries = {edge.target_id for edge in again if edge.edge_type == EdgeType.RETRY_OF}
    retried = {edge.source_id for edge in again if edge.edge_type == EdgeType.RETRY_OF}
    titles = {}
    for node_id, number in numbers.items():
        if node_id in retries:
            titles[node_id] = f"#{number} (retry)"
        elif node_id in retried:
            titles[node_id] = f"#{number}"
        elif any(edge.target_id == node_id for edge in again):
            titles[node_id] = "(fallback)"
    return titles


# ---- Titles and paths --------------------------------------------------------------------------

_LONGEST_PATH = 12  # labels shown of the path to a node: climbing from each deep one is slow


def title_of(node: Node) -> str:
    """Return a node's type and name; the types that say nothing about it are left out."""
    name = node.name or "(unnamed)"
    return name if node.node_type in ("custom", "trace") else f"{node.node_type} {name}"


def error_text(node: Node) -> str:
    """Return the type and the message of a node's error, "" when it has none."""
    return ": ".join(filter(None, (node.error_type, node.error)))


def path_text(trace: TraceGraph, node: Node, label: Callable[[Node], str]) -> str:
    """Return where a node is: the labels of what is around it, joined by ` / `, and its own.

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


# ---- Tokens ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Usage:
    """Tokens in buckets that do not overlap: each token is in one, and has one price."""

    uncached_input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    plain_output: int = 0
    reasoning: int = 0

    @property
    def input(self) -> int:
        """All that was sent, cached or not."""
        return self.uncached_input + self.cache_read + self.cache_write

    @property
    def output(self) -> int:
        """All that came back, reasoning included."""
        return self.plain_output + self.reasoning

    @property
    def tokens(self) -> int:
        """Everything: input and output."""
        return self.input + self.output

    def __add__(self, other: Usage) -> Usage:
        """Return both together, bucket by bucket."""
        return Usage(
            self.uncached_input + other.uncached_input,
            self.cache_read + other.cache_read,
            self.cache_write + other.cache_write,
            self.plain_output + other.plain_output,
            self.reasoning + other.reasoning,
        )

    def beyond(self, part: Usage) -> Usage:
        """Return what this total holds beyond a part of it, nothing where the part is larger."""
        extra_input = max(self.input - part.input, 0)
        extra_output = max(self.output - part.output, 0)
        cache_read = min(max(self.cache_read - part.cache_read, 0), extra_input)
        cache_write = min(max(self.cache_write - part.cache_write, 0), extra_input - cache_read)
        reasoning = min(max(self.reasoning - part.reasoning, 0), extra_output)
        uncached = extra_input - cache_read - cache_write
        return Usage(uncached, cache_read, cache_write, extra_output - reasoning, reasoning)


def usage_of(node: Node) -> Usage | None:
    """Return the tokens a node recorded under the GenAI names, None when it recorded none.

    The recorded input includes cached tokens, the recorded output includes reasoning. Somebody
    else's trace may count them beside it: a part larger than its whole shows that, and is added.
    """
    facts = node.metadata
    whole_input = _count(facts.get("gen_ai.usage.input_tokens"))
    whole_output = _count(facts.get("gen_ai.usage.output_tokens"))
    if whole_input is None and whole_output is None:
        return None
    cache_read = _count(facts.get("gen_ai.usage.cache_read.input_tokens")) or 0
    cache_write = _count(facts.get("gen_ai.usage.cache_creation.input_tokens")) or 0
    reasoning = _count(facts.get("gen_ai.usage.reasoning.output_tokens")) or 0
    uncached = _without(whole_input or 0, cache_read + cache_write)
    return Usage(
        uncached, cache_read, cache_write, _without(whole_output or 0, reasoning), reasoning
    )


def cost_of(node: Node) -> float | None:
    """Return what a node cost in dollars as whoever recorded it said, None when nobody did."""
    cost: Any = node.metadata.get("gen_ai.usage.cost")
    is_number = type(cost) is int or (type(cost) is float and math.isfinite(cost))
    return float(cost) if is_number and 0 <= cost < _MOST else None


def models_of(node: Node) -> list[str]:
    """Return the model that was asked for, then the one that answered, as far as recorded."""
    asked = node.metadata.get("gen_ai.request.model")
    answered = node.metadata.get("gen_ai.response.model")
    return [name for name in (asked, answered) if isinstance(name, str) and name]


_MOST = 1 << 62  # tokens; a larger count is damage, and no float could add it up


def _count(value: object) -> int | None:
    """Return a recorded number of tokens; anything but a plain number was not recorded."""
    if type(value) is int or type(value) is float and math.isfinite(value):
        return min(int(value), _MOST) if value > 0 else 0
    return None


def _without(whole: int, part: int) -> int:
    return whole if part > whole else whole - part
