"""Draw the list of what ran: `logtracer list`.

from logtracer_extras.list_table import lines

for line in lines(list_summaries(store), total, "./traces", pen):
    ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timezone
from types import MappingProxyType
from typing import Any, NamedTuple

from logtracer import TraceGraph

from ..analysis import measure
from ..analysis.tokens import PriceTable
from ..stores.summaries import TraceSummary
from ._columns import Line, Pen, seconds_text, short_cost_text, tokens_text

__all__ = ["Cost", "cost_of", "lines", "sort_key", "to_dict"]


class Cost(NamedTuple):
    """What a run cost as far as there are prices for it, and how many calls have none."""

    known: float | None = None
    unpriced: int = 0


Costs = Mapping[str, Cost]  # by trace id
_NO_COSTS: Costs = MappingProxyType({})
_NO_COST = Cost()


def cost_of(trace: TraceGraph, prices: PriceTable) -> Cost:
    """Return what a run cost."""
    top = measure(trace, prices, infer=False).top
    known = [step.total_cost for step in top if step.total_cost is not None]
    return Cost(sum(known) if known else None, sum(step.unpriced for step in top))


def sort_key(order: str, costs: Costs = _NO_COSTS) -> Callable[[TraceSummary], float]:
    """Return the key that sorts by `time`, `cost` or `errors`, largest last."""
    keys: dict[str, Callable[[TraceSummary], float]] = {
        "time": lambda summary: summary.duration_ms or 0.0,
        "cost": lambda summary: costs.get(summary.trace_id, _NO_COST).known or 0.0,
        "errors": lambda summary: summary.error_count,
    }
    return keys[order]


def to_dict(summary: TraceSummary, costs: Costs = _NO_COSTS) -> dict[str, Any]:
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


def lines(
    summaries: Iterable[TraceSummary],
    total: int,
    place: str,
    pen: Pen,
    costs: Costs = _NO_COSTS,
) -> Iterator[Line]:
    """Yield the table, and below it how many traces there are and what the marks mean."""
    is_part = any(cost.known is not None and cost.unpriced for cost in costs.values())
    columns = _Columns(pen.width, 8 if is_part else 7)
    yield [(columns.head(), "heading")]
    shown = 0
    marks: dict[str, str] = {}
    for summary in summaries:
        shown += 1
        marks[summary.status] = _MARKED.get(summary.status, "")
        yield _line(summary, costs.get(summary.trace_id, _NO_COST), columns, pen)
    legend = [f"{pen.glyph(status)} {words}" for status, words in marks.items() if words]
    runs = f"{shown:,} of {total:,}" if shown < total else f"{total:,}"
    runs += " run" if total == 1 else " runs"
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
        head = f"{'RUN':<10}{'NAME':<{self.name}} "
        if not self.has_counts:
            return f"{head}{'TIME':>8}"
        head += f"{'STARTED (UTC)':<{self.started}}{'TIME':>8}{'NODES':>7}{'ERR':>4}"
        return head + ("COST".rjust(self.cost) if self.cost else "")


def _line(summary: TraceSummary, cost: Cost, columns: _Columns, pen: Pen) -> Line:
    short_id = pen.fit(summary.trace_id[:8], 8)
    if summary.problem:
        text = pen.clip(f"(unreadable: {summary.problem})", max(20, pen.width - 10))
        return [(f"{short_id}  ", "dim"), (text, "failed")]
    mark = pen.glyph(summary.status)
    time = "-" if summary.duration_ms is None else seconds_text(round(summary.duration_ms * 1_000))
    line: Line = [(f"{short_id}  ", "dim"), (f"{mark} ", summary.status)]
    line.append((pen.fit(summary.name, columns.name - len(mark) - 1) + " ", ""))
    if not columns.has_counts:
        return [*line, (f"{time:>8}", "")]
    start = summary.start_time
    started = "" if start is None else start.astimezone(timezone.utc).strftime(columns.moment)
    nodes = (
        f"{summary.node_count:,}"
        if summary.node_count < 100_000
        else tokens_text(summary.node_count)
    )
    line.append((f"{started:<{columns.started}}", "dim"))
    line.append((f"{time:>8}{nodes:>7}", ""))
    line.append((f"{summary.error_count:>4}", "failed" if summary.error_count else "dim"))
    if columns.cost:
        is_part = cost.known is not None and cost.unpriced > 0
        line.append(((short_cost_text(cost.known) + "+" * is_part).rjust(columns.cost), "dim"))
    return line
