"""`logtracer list`: what ran, newest first."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timezone
from types import MappingProxyType
from typing import Any, NamedTuple

from logtracer import LogtracerError, TraceGraph
from logtracer_cli import (
    Line,
    Pen,
    Screen,
    Stored,
    add_prices,
    count,
    count_traces,
    prices_of,
    stored_traces,
    without_password,
)

from ..analysis import measure
from ..analysis.tokens import PriceTable
from ..stores.summaries import TraceSummary
from ._options import add_narrowing, wanted_of

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("directory", nargs="?", help="where the traces are, instead of --store")
    parser.add_argument("--sort", choices=("started", "time", "cost", "errors"), default="started")
    parser.add_argument("--limit", type=count, default=20, metavar="N", help="0 for all")
    add_narrowing(parser)
    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    add_prices(parser)


def run(options: argparse.Namespace, screen: Screen) -> int:
    """Run the command and return its exit code."""
    place = options.directory or options.store
    limit = options.limit or None
    is_sorted = options.sort != "started"
    found = list(stored_traces(place, None if is_sorted else limit, **wanted_of(options)))
    costs = _costs_of(found, prices_of(options))
    summaries = [stored.summary for stored in found if stored.summary is not None]
    if is_sorted:
        summaries.sort(key=_sort_key(options.sort, costs), reverse=True)
    summaries = sorted(summaries[:limit], key=lambda summary: bool(summary.problem))
    if options.json:
        screen.show_json([_to_dict(summary, costs) for summary in summaries])
    else:
        total = count_traces(place)
        lines = _lines(summaries, total, without_password(place), screen.pen, costs)
        screen.show(lines)
    return 0


class _Cost(NamedTuple):
    """What a run cost as far as there are prices for it, and how many calls have none."""

    known: float | None = None
    unpriced: int = 0


Costs = Mapping[str, _Cost]  # by trace id

_NO_COSTS: Costs = MappingProxyType({})

_NO_COST = _Cost()


def _cost_of(trace: TraceGraph, prices: PriceTable) -> _Cost:
    """Return what a run cost."""
    top = measure(trace, prices, infer=False).top
    known = [step.total_cost for step in top if step.total_cost is not None]
    return _Cost(sum(known) if known else None, sum(step.unpriced for step in top))


def _sort_key(order: str, costs: Costs = _NO_COSTS) -> Callable[[TraceSummary], float]:
    """Return the key that sorts by `time`, `cost` or `errors`, largest last."""
    keys: dict[str, Callable[[TraceSummary], float]] = {
        "time": lambda summary: summary.duration_ms or 0.0,
        "cost": lambda summary: costs.get(summary.trace_id, _NO_COST).known or 0.0,
        "errors": lambda summary: summary.error_count,
    }
    return keys[order]


def _to_dict(summary: TraceSummary, costs: Costs = _NO_COSTS) -> dict[str, Any]:
    """Return a line of the list as JSON data."""
    start, cost = summary.start_time, costs.get(summary.trace_id, _NO_COST)
    return {
        "trace_id": summary.trace_id,
        "name": summary.name,
        "status": summary.status or None,
        "start_time": None if start is None else start.isoformat(timespec="microseconds"),
        "duration_ms": summary.duration_ms,
        "node_count": summary.node_count,
        "error_count": summary.error_count,
        "cost": cost.known,
        "unpriced_calls": cost.unpriced,
        "path": summary.path,
        "problem": summary.problem or None,
        "session_id": summary.session_id,
        "user_id": summary.user_id,
        "tags": [*summary.tags],
    }


_MARKED = {
    "running": "running",
    "interrupted": "interrupted (its process ended early)",
    "paused": "paused",
}


def _lines(
    summaries: Iterable[TraceSummary],
    total: int,
    place: str,
    pen: Pen,
    costs: Costs = _NO_COSTS,
) -> Iterator[Line]:
    """Yield the table, and below it how many traces there are and what the marks mean."""
    is_part = any(cost.known is not None and cost.unpriced for cost in costs.values())
    columns = _Columns(pen.width, 10 if is_part else 9)
    yield [(columns.head(), "heading")]
    shown = 0
    marks: dict[str, str] = {}
    for summary in summaries:
        shown += 1
        marks[summary.status] = _MARKED.get(summary.status, "")
        yield _line(summary, costs.get(summary.trace_id, _NO_COST), columns, pen)
    legend = [f"{pen.glyph(status)} {words}" for status, words in marks.items() if words]
    runs = f"{shown:,} of {total:,}" if shown < total else f"{total:,}"
    runs += " trace" if total == 1 else " traces"
    yield []
    yield [(pen.glyph("dot").join([f"{runs} in {place}", *legend]), "dim")]


class _Columns:
    """Which columns a width has room for: the money goes first, then all but name and time."""

    def __init__(self, width: int, cost: int) -> None:
        is_roomy = width >= 70
        self.cost = cost if is_roomy else 0
        self.started = 19 if is_roomy else 13
        self.moment = "%Y-%m-%d %H:%M:%S" if is_roomy else "%m-%d %H:%M"
        self.has_counts = width >= 60
        others = 32 + self.started + self.cost if self.has_counts else 20
        self.name = max(8, width - others)

    def head(self) -> str:
        """Return the names of the columns."""
        head = f"{'TRACE':<10}{'NAME':<{self.name}} "
        if not self.has_counts:
            return f"{head}{'TIME':>8}"
        head += f"{'STARTED (UTC)':<{self.started}}{'TIME':>8}{'NODES':>7}{'ERR':>4}"
        return head + ("COST".rjust(self.cost) if self.cost else "")


def _line(summary: TraceSummary, cost: _Cost, columns: _Columns, pen: Pen) -> Line:
    short_id = pen.fit(summary.trace_id[:8], 8)
    if summary.problem:
        text = pen.clip(f"(unreadable: {summary.problem})", max(20, pen.width - 10))
        return [(f"{short_id}  ", "dim"), (text, "failed")]
    mark = pen.glyph(summary.status)
    time = "-" if summary.duration_ms is None else pen.duration(summary.duration_ms)
    line: Line = [(f"{short_id}  ", "dim"), (f"{mark} ", summary.status)]
    line.append((pen.fit(summary.name, columns.name - len(mark) - 1) + " ", ""))
    if not columns.has_counts:
        return [*line, (f"{time:>8}", "")]
    start = summary.start_time
    started = "" if start is None else start.astimezone(timezone.utc).strftime(columns.moment)
    nodes = (
        f"{summary.node_count:,}"
        if summary.node_count < 100_000
        else pen.tokens(summary.node_count)
    )
    line.append((f"{started:<{columns.started}}", "dim"))
    line.append((f"{time:>8}{nodes:>7}", ""))
    line.append((f"{summary.error_count:>4}", "failed" if summary.error_count else "dim"))
    if columns.cost:
        is_part = cost.known is not None and cost.unpriced > 0
        line.append(((pen.cost(cost.known) + "+" * is_part).rjust(columns.cost), "dim"))
    return line


def _costs_of(found: Iterable[Stored], prices: Any) -> dict[str, Any]:
    """Return what runs cost, by their ids; each is loaded for it."""
    costs: dict[str, Any] = {}
    for stored in found if prices else ():
        with contextlib.suppress(LogtracerError, OSError):  # the list says what is wrong with it
            costs[stored.trace_id] = _cost_of(stored.load(), prices)
    return costs
