"""`logtracer search`: find nodes in all traces.

Traces are read one by one and let go, so a store of any size can be searched.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from logtracer import LogtracerError, TraceGraph
from logtracer_cli import (
    TRACE_HELP,
    CommandError,
    Line,
    Pen,
    Screen,
    add_data_flow,
    add_prices,
    count,
    name_again,
    parsed_query,
    prices_of,
    reason_of,
    with_data_flow,
)

from ..analysis import measure
from ..analysis.run import Step
from ..analysis.tokens import PriceTable
from ..query import Found, Match, Query
from ._options import add_narrowing, traces_of, wanted_of

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "query", help='what to find: timeout, status:failed, "type:llm_call dur>2s"'
    )
    parser.add_argument(
        "trace", nargs="?", help=f"{TRACE_HELP}; a directory; without it the whole store"
    )
    parser.add_argument("--limit", type=count, default=50, metavar="N", help="nodes, 0 for all")
    add_narrowing(parser)
    parser.add_argument("--json", action="store_true", help="print the matches as JSON")
    add_data_flow(parser)
    add_prices(parser)


def run(options: argparse.Namespace, screen: Screen) -> int:
    """Print what matches as it is found; as for grep, nothing found is 1 and trouble is 2."""
    query = parsed_query(options.query)
    try:
        prices = prices_of(options)
        read = traces_of(options.trace, options.store, **wanted_of(options))
        traces = (with_data_flow(trace, options) for trace in read)
        found = _Search(traces, query, prices, limit=options.limit or sys.maxsize)
        if options.json:
            screen.show_json([match for result in found for match in _to_dicts(result)])
        else:
            is_one = options.trace is not None and not os.path.isdir(options.trace)
            place = options.store if is_one else options.trace or options.store
            name_of = functools.partial(name_again, options.trace if is_one else None, place)
            screen.show(_lines(found, screen.pen, name_of))
    except (LogtracerError, OSError) as error:
        raise CommandError("search", reason_of(error), code=2) from None
    return 0 if found.matches else 1


_TEXTS = 2  # matching texts shown of a step

_ID = 8  # characters of a node's id that are shown: its end, which tells it from the others

_BEFORE = 24  # columns shown before the part that matches

_OBVIOUS = frozenset({"name", "type", "id", "status"})  # the line of the step shows them


class _Result(NamedTuple):
    """What was found in one run."""

    trace: TraceGraph
    matches: list[Match]


class _Search:
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

    def __iter__(self) -> Iterator[_Result]:
        for trace in self._traces:
            self.searched += 1
            matches = self._query.search_run(measure(trace, self._prices))
            if not matches:
                continue
            room = self._limit - self.matches
            self.is_cut = len(matches) > room
            self.runs += 1
            self.matches += min(room, len(matches))
            yield _Result(trace, matches[:room])
            if self.matches >= self._limit:
                return


def _to_dicts(result: _Result) -> Iterator[dict[str, Any]]:
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


def _lines(found: _Search, pen: Pen, name_of: Callable[[str], str]) -> Iterator[Line]:
    """Yield the matches run by run, and at last how many there were and where to look.

    `name_of` turns the id of a trace into what a command finds it by.
    """
    first: _Result | None = None
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


def _ending(found: _Search, first: _Result | None, name_of: Callable[[str], str]) -> Iterator[Line]:
    searched = f"{found.searched:,} trace{'s' * (found.searched != 1)}"
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
