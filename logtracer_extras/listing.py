"""Say in a line what each trace of a directory is: `logtracer list`.

    from logtracer_extras.listing import describe, lines

    briefs = [describe(trace_id, path, load) for trace_id, path, load in stored]

Finished documents are read without building their nodes, so that a thousand take a second.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from logtracer import SCHEMA_VERSION, LogtracerError, NodeStatus, TraceGraph

from .analysis import PriceTable, measure
from .columns import Line, Pen, seconds_text, short_cost_text, tokens_text

__all__ = ["Brief", "describe", "lines", "sort_key", "to_dict"]


@dataclass(slots=True)
class Brief:
    """What a list says of a trace; `problem` is why it cannot be read."""

    path: str
    trace_id: str
    name: str = ""
    status: str = ""
    start_time: datetime | None = None
    duration_ms: float | None = None
    nodes: int = 0
    errors: int = 0
    cost: float | None = None
    problem: str = ""


def describe(
    trace_id: str,
    path: str,
    load: Callable[[], TraceGraph],
    prices: PriceTable | None = None,
) -> Brief:
    """Return what a list says of a trace; `load` reads what is not a document in a file."""
    brief = None if prices or not path.endswith(".json") else _from_document(path)
    if brief is not None:
        return brief
    try:
        return _from_trace(path, load(), prices)
    except (LogtracerError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Brief(path, trace_id, problem=reason.removeprefix(f"{path}: "))


def _from_document(path: str) -> Brief | None:
    """Read a document's facts; None when it is odd in any way, for `load` to say what is."""
    try:
        with open(path, "rb") as file:
            document = json.loads(file.read())
        if document["schema_version"].split(".")[0] != SCHEMA_VERSION.split(".")[0]:
            return None
        nodes = list(document["nodes"].values())
        tops = {node["node_type"]: node["status"] for node in nodes if node["parent_id"] is None}
        return Brief(
            path,
            str(document["trace_id"]),
            str(document["name"]),
            NodeStatus(tops["trace"]).value,
            datetime.fromisoformat(document["start_time"]),
            document["duration_ms"],
            len(nodes),
            sum(node["status"] == "failed" for node in nodes),
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _from_trace(path: str, trace: TraceGraph, prices: PriceTable | None) -> Brief:
    costs: list[float | None] = []
    if prices is not None:
        costs = [step.total_cost for step in measure(trace, prices, infer=False).top]
    known = [cost for cost in costs if cost is not None]
    return Brief(
        path,
        trace.trace_id,
        trace.name,
        _status(trace),
        trace.start_time,
        _duration(trace),
        len(trace.nodes),
        len(trace.failed_nodes),
        sum(known) if known else None,
    )


def _status(trace: TraceGraph) -> str:
    """Return how the run stands: as its root does, else the worst of its first nodes."""
    tops = {node.node_type: node.status.value for node in trace.root_nodes}
    if "trace" in tops:
        return tops["trace"]
    for status in ("running", "interrupted", "failed"):
        if status in tops.values():
            return status
    return "completed" if trace.end_time is not None else "interrupted"


def _duration(trace: TraceGraph) -> float | None:
    """Return how long the run took; of one without an end, until the last thing it said."""
    if trace.end_time is not None or trace.start_time is None:
        return trace.duration_ms
    ends = [node.end_time or node.start_time for node in trace.nodes.values()]
    last = max((end for end in ends if end is not None), default=trace.start_time)
    return (last - trace.start_time).total_seconds() * 1_000


def sort_key(order: str) -> Callable[[Brief], Any]:
    """Return the key that sorts by `started`, `time`, `cost` or `errors`, largest last."""
    keys: dict[str, Callable[[Brief], Any]] = {
        "started": lambda brief: brief.start_time or datetime.min.replace(tzinfo=timezone.utc),
        "time": lambda brief: brief.duration_ms or 0.0,
        "cost": lambda brief: brief.cost or 0.0,
        "errors": lambda brief: brief.errors,
    }
    return keys[order]


def to_dict(brief: Brief) -> dict[str, Any]:
    """Return a line of the list as JSON data."""
    start = brief.start_time
    return {
        "trace_id": brief.trace_id,
        "name": brief.name,
        "status": brief.status or None,
        "start_time": None if start is None else start.isoformat(timespec="microseconds"),
        "duration_ms": brief.duration_ms,
        "node_count": brief.nodes,
        "error_count": brief.errors,
        "cost": brief.cost,
        "path": brief.path,
        "problem": brief.problem or None,
    }


_MARKED = {
    "running": "running",
    "interrupted": "interrupted (its process ended early)",
    "paused": "paused",
}


def lines(briefs: Iterable[Brief], total: int, place: str, pen: Pen) -> Iterator[Line]:
    """Yield the table, and below it how many traces there are and what the marks mean."""
    columns = _Columns(pen.width)
    yield [(columns.head(), "heading")]
    shown = 0
    marks: dict[str, str] = {}
    for brief in briefs:
        shown += 1
        marks[brief.status] = _MARKED.get(brief.status, "")
        yield _line(brief, columns, pen)
    legend = [f"{pen.glyph(status)} {words}" for status, words in marks.items() if words]
    runs = f"{shown:,} of {total:,}" if shown < total else f"{total:,}"
    runs += " run" if total == 1 else " runs"
    yield []
    yield [(pen.glyph("dot").join([f"{runs} in {place}", *legend]), "dim")]


class _Columns:
    """Which columns a width has room for: the money goes first, then all but name and time."""

    def __init__(self, width: int) -> None:
        self.has_cost = width >= 70
        self.has_counts = width >= 60
        self.name = max(8, width - 20 - 30 * self.has_counts - 8 * self.has_cost)

    def head(self) -> str:
        """Return the names of the columns."""
        head = f"{'RUN':<10}{'NAME':<{self.name}} "
        if not self.has_counts:
            return f"{head}{'TIME':>8}"
        return f"{head}{'STARTED (UTC)':<19}{'TIME':>8}{'NODES':>7}{'ERR':>4}" + (
            f"{'COST':>7}" * self.has_cost
        )


def _line(brief: Brief, columns: _Columns, pen: Pen) -> Line:
    short_id = pen.fit(brief.trace_id[:8], 8)
    if brief.problem:
        text = pen.clip(f"(unreadable: {brief.problem})", max(20, pen.width - 10))
        return [(f"{short_id}  ", "dim"), (text, "failed")]
    mark = pen.glyph(brief.status)
    time = "-" if brief.duration_ms is None else seconds_text(round(brief.duration_ms * 1_000))
    line: Line = [(f"{short_id}  ", "dim"), (f"{mark} ", brief.status)]
    line.append((pen.fit(brief.name, columns.name - len(mark) - 1) + " ", ""))
    if not columns.has_counts:
        return [*line, (f"{time:>8}", "")]
    start = brief.start_time
    started = "" if start is None else start.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    nodes = f"{brief.nodes:,}" if brief.nodes < 100_000 else tokens_text(brief.nodes)
    line.append((f"{started:<19}", "dim"))
    line.append((f"{time:>8}{nodes:>7}", ""))
    line.append((f"{brief.errors:>4}", "failed" if brief.errors else "dim"))
    if columns.has_cost:
        line.append((f"{short_cost_text(brief.cost):>7}", "dim"))
    return line
