"""Search many runs and draw what was found: `logtracer search`.

    from logtracer_extras.search_results import lines, search

    found = search(traces, parse("status:failed"))
    for line in lines(found, pen, str):
        ...
    print(found.matches, found.runs)

Runs are read one by one and let go, so a store of any size can be searched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from logtracer import TraceGraph

from ..analysis import measure
from ..analysis.run import Step
from ..analysis.tokens import PriceTable
from ..query import Found, Match, Query
from ._columns import Line, Pen

__all__ = ["Result", "Search", "lines", "search", "to_dicts"]

_TEXTS = 2  # matching texts shown of a step
_ID = 8  # characters of a node's id that are shown: its end, which tells it from the others
_BEFORE = 24  # columns shown before the part that matches
_OBVIOUS = frozenset({"name", "type", "id", "status"})  # the line of the step shows them


class Result(NamedTuple):
    """What was found in one run."""

    trace: TraceGraph
    matches: list[Match]


class Search:
    """The results of a search, found as they are asked for, and counted."""

    def __init__(
        self,
        traces: Iterable[TraceGraph],
        query: Query,
        prices: PriceTable | None = None,
        limit: int = 50,
    ) -> None:
        self._traces = traces
        self._query = query
        self._prices = prices
        self._limit = limit
        self.matches = 0
        self.runs = 0  # with a match
        self.searched = 0
        self.is_cut = False  # more was found than the limit

    def __iter__(self) -> Iterator[Result]:
        for trace in self._traces:
            self.searched += 1
            matches = self._query.search_run(measure(trace, self._prices))
            if not matches:
                continue
            room = self._limit - self.matches
            self.is_cut = len(matches) > room
            self.runs += 1
            self.matches += min(room, len(matches))
            yield Result(trace, matches[:room])
            if self.matches >= self._limit:
                return


def search(
    traces: Iterable[TraceGraph],
    query: Query,
    prices: PriceTable | None = None,
    *,
    limit: int = 50,
) -> Search:
    """Return a search that finds at most `limit` steps as it is iterated over."""
    return Search(traces, query, prices, limit)


def to_dicts(result: Result) -> Iterator[dict[str, Any]]:
    """Yield the matches of a run as JSON data."""
    for match in result.matches:
        node = match.step.node
        yield {
            "trace_id": result.trace.trace_id,
            "trace_name": result.trace.name,
            "node_id": node.id,
            "path": [step.node.name for step in match.step.path],
            "node_type": node.node_type,
            "status": node.status.value,
            "duration_ms": node.duration_ms,
            "found": [{"where": found.where, "text": found.text} for found in match.found],
        }


def lines(found: Search, pen: Pen, name_of: Callable[[str], str]) -> Iterator[Line]:
    """Yield the matches run by run, and at last how many there were and where to look.

    `name_of` turns the id of a trace into what a command finds it by.
    """
    first: Result | None = None
    for result in found:
        first = first or result
        yield _run_line(result.trace, pen)
        for match in result.matches:
            yield _step_line(match.step, pen)
            yield from _text_lines(match, pen)
    if first is not None:
        yield []
    yield from _ending(found, first, name_of)


def _run_line(trace: TraceGraph, pen: Pen) -> Line:
    start = trace.start_time
    started = "" if start is None else start.strftime("%Y-%m-%d %H:%M:%SZ")
    name = pen.clip(trace.name, max(10, pen.width - 34))
    return [
        (f"{pen.clip(trace.trace_id[:8], 8)}  ", "dim"),
        (name, "heading"),
        (f"  {started}", "dim"),
    ]


def _step_line(step: Step, pen: Pen) -> Line:
    mark = f"{pen.glyph(step.node.status)} "
    room = max(16, pen.width - len(mark) - _ID - 4)
    path = [part for part in step.path if part.parent is not None or part is step]
    names = [f"{part.node.node_type} {part.node.name}" for part in path]
    if step.attempt is not None:
        names[-1] += f" #{step.attempt}"
    place, left = " / ".join(names), len(names)
    while len(place) > room and left > 1:  # its own name matters most
        left -= 1
        place = " / ".join([pen.glyph("cut"), *names[-left:]])
    shown_id = pen.fit(step.node.id[-_ID:], _ID)
    return [(f"  {shown_id}", "dim"), (f"  {mark}", step.node.status), (pen.clip(place, room), "")]


def _text_lines(match: Match, pen: Pen) -> Iterator[Line]:
    """Yield the texts that matched, unless the step's own line shows them."""
    texts = [found for found in match.found if found.where not in _OBVIOUS]
    for found in texts[:_TEXTS]:
        indent = " " * (_ID + 4)
        where = f"{pen.clip(found.where, 30)}: "
        room = max(10, pen.width - len(indent) - len(where))
        yield [(indent + where, "dim"), *_marked(found, room, pen)]


def _marked(found: Found, room: int, pen: Pen) -> Line:
    """Return the part of a text around what matched, which stands in brackets."""
    opening, closing, cut = (pen.glyph(name) for name in ("open", "close", "cut"))
    begin = found.start - _BEFORE if found.start > _BEFORE + len(cut) else 0
    before = (cut if begin else "") + pen.clip(found.text[begin : found.start], 8 * _BEFORE)
    hit = pen.clip(found.text[found.start : found.end], max(4, room - len(before) - 2))
    left = room - len(before) - len(hit) - len(opening) - len(closing)
    after = pen.clip(found.text[found.end :], left) if left > 0 else ""
    return [(before, ""), (f"{opening}{hit}{closing}", "heading"), (after, "")]


def _ending(found: Search, first: Result | None, name_of: Callable[[str], str]) -> Iterator[Line]:
    searched = f"{found.searched:,} run{'s' * (found.searched != 1)}"
    if first is None:
        yield [(f"nothing found in {searched}", "dim")]
        return
    counted = (
        f"{found.matches:,} match{'es' * (found.matches != 1)} in {found.runs:,} of {searched}"
    )
    if found.is_cut:
        counted = f"the first {counted}; --limit 0 shows all"
    yield [(counted, "dim")]
    node_id = first.matches[0].step.node.id[-_ID:]
    where = f"{name_of(first.trace.trace_id)} --node {node_id}"
    yield [(f"look at one: logtracer inspect {where}", "dim")]
