"""`logtracer stats`: where time, tokens and money went."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from heapq import nlargest
from operator import attrgetter
from typing import Any

from logtracer import NodeType
from logtracer_cli import TRACE_HELP, Line, Pen, Screen, add_prices, count, prices_of

from ..analysis import measure
from ..analysis.critical_path import Segment, critical_path, merge_path
from ..analysis.run import Run, Step
from ..analysis.statistics import ModelRow, NameRow, RetryWaste, Statistics
from ._options import traces_of
from ._timeline import is_whole_run

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "trace", nargs="?", help=f"{TRACE_HELP}; a directory; without it the whole store"
    )
    parser.add_argument("--limit", type=count, default=15, metavar="N", help="0 for all rows")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    add_prices(parser)


def run(options: argparse.Namespace, screen: Screen) -> int:
    """Run the command and return its exit code."""
    prices = prices_of(options)
    totals = Statistics()
    run = None
    for trace in traces_of(options.trace, options.store):
        run = measure(trace, prices)
        totals.add(run)
    only = run if totals.runs == 1 else None
    if options.json:
        screen.show_json(_to_dict(totals, only))
    else:
        limit = options.limit or sys.maxsize
        screen.show(_lines(totals, screen.pen, limit=limit, run=only))
    return 0


_SHARE = 8  # columns of the share's bar at most

_PATH_ROWS = 12  # steps of the critical path that are shown

_NUMBERS = 44  # columns of the numbers of the first table, its share left out

_P50 = 8  # of them those of the median, which a narrow terminal leaves to the names


def _to_dict(totals: Statistics, run: Run | None = None) -> dict[str, Any]:
    """Return the numbers as JSON data, times in milliseconds; `run` when there is only one."""
    document: dict[str, Any] = {
        "runs": totals.runs,
        "nodes": totals.nodes,
        "errors": totals.errors,
        "wall_ms": totals.wall / 1_000,
        "work_ms": totals.work / 1_000,
        "parallelism": totals.parallelism,
        "input_tokens": totals.usage.input,
        "output_tokens": totals.usage.output,
        "cost": totals.cost,
        "unpriced_calls": totals.unpriced,
        "by_name": [_name_dict(row) for row in totals.by_name()],
        "by_model": [_model_dict(row) for row in totals.by_model()],
        "retry_waste": _waste_dict(totals.retry_waste),
    }
    if run is not None:
        document["critical_path"] = [_part_dict(part) for part in merge_path(critical_path(run))]
    return document


def _name_dict(row: NameRow) -> dict[str, Any]:
    return {
        "node_type": row.node_type,
        "name": row.name,
        "count": row.count,
        "errors": row.errors,
        "total_ms": row.total / 1_000,
        "self_ms": row.self_time / 1_000,
        "p50_ms": row.p50 / 1_000,
        "p95_ms": row.p95 / 1_000,
        "share": row.share,
    }


def _model_dict(row: ModelRow) -> dict[str, Any]:
    return {
        "model": row.model,
        "count": row.count,
        "errors": row.errors,
        "input_tokens": row.usage.input,
        "output_tokens": row.usage.output,
        "cached_tokens": row.usage.cache_read,
        "cost": row.cost,
        "unpriced_calls": row.unpriced,
    }


def _waste_dict(waste: RetryWaste) -> dict[str, Any]:
    return {
        "attempts": waste.attempts,
        "time_ms": waste.time / 1_000,
        "waited_ms": waste.waited / 1_000,
        "tokens": waste.tokens,
        "cost": waste.cost,
        "unpriced_calls": waste.unpriced,
    }


def _part_dict(part: Segment) -> dict[str, Any]:
    return {
        "node_id": None if part.step is None else part.step.node.id,
        "name": None if part.step is None else part.step.node.name,
        "waiting": part.waiting,
        "time_ms": part.time / 1_000,
    }


def _lines(
    totals: Statistics, pen: Pen, *, limit: int = 15, run: Run | None = None
) -> Iterator[Line]:
    """Yield the tables: by name, by model, what tries were in vain; of one run its critical path.

    `limit` is how many names and models are shown.
    """
    yield from _title(totals, pen, run)
    names = totals.by_name()
    if names:
        yield []
        yield from _names(names[:limit], pen)
        yield from _more(len(names) - limit, "name")
    models = totals.by_model()
    if models:
        yield []
        yield from _models(models[:limit], pen)
        yield from _more(len(models) - limit, "model")
    if totals.retry_waste.attempts:
        yield []
        yield from _waste(totals.retry_waste, pen)
    if run is not None and run.wall:
        yield []
        yield from _path(run, pen)


def _title(totals: Statistics, pen: Pen, run: Run | None) -> Iterator[Line]:
    who = f"{totals.runs:,} traces" if run is None else _who(run, pen)
    both = (("wall", totals.wall), ("work", totals.work))
    facts = [f"{pen.duration(time / 1_000)} {word}" for word, time in both]
    if totals.parallelism is not None:
        facts.append(f"parallelism {totals.parallelism:.1f}x")
    times = pen.glyph("dot").join(facts)
    if len(who) + len(times) + 3 <= pen.width:
        yield [(f"{who}   {times}", "")]
    else:
        yield from ([(who, "")], [(times, "")])


def _who(run: Run, pen: Pen) -> str:
    return f"{pen.clip(run.trace.name, pen.width // 3)}  {pen.clip(run.trace.trace_id[:8], 8)}"


def _more(number: int, what: str) -> Iterator[Line]:
    if number > 0:
        yield [(f"{number:,} more {what}{'s' * (number > 1)}: --limit 0 shows all", "dim")]


def _names(rows: list[NameRow], pen: Pen) -> Iterator[Line]:
    is_roomy = pen.width >= 70
    share = f"  {'SHARE':<{_SHARE}}" if is_roomy else ""
    room = max(12, pen.width - _NUMBERS - len(share) + (0 if is_roomy else _P50))
    median = f"{'P50':>{_P50}}" if is_roomy else ""
    head = f"{'N':>5}{'ERR':>5}{'TOTAL':>9}{'SELF':>9}{median}{'P95':>8}{share}"
    yield [(pen.fit("BY NAME", room) + head.rstrip(), "heading")]
    for row in rows:
        bar = _share_bar(row.share, pen) if is_roomy else ""
        median = f"{pen.duration(row.p50 / 1_000):>{_P50}}" if is_roomy else ""
        yield [
            (pen.fit(f"{row.node_type} {row.name}", room - 1) + " ", row.node_type),
            (f"{pen.tokens(row.count):>5}", ""),
            (f"{pen.tokens(row.errors):>5}", "failed" if row.errors else "dim"),
            (f"{pen.duration(row.total / 1_000):>9}{pen.duration(row.self_time / 1_000):>9}", ""),
            (f"{median}{pen.duration(row.p95 / 1_000):>8}", ""),
            (f"  {bar}".rstrip(), row.node_type),
        ]


def _share_bar(share: float, pen: Pen) -> str:
    """Return a bar of the wall time covered; whatever took time has a mark."""
    cells = round(share * _SHARE)
    return pen.glyph("full") * cells if cells else pen.glyph("half") * (share > 0)


def _models(rows: list[ModelRow], pen: Pen) -> Iterator[Line]:
    room = max(12, pen.width - 49)
    head = f"{'N':>5}{'IN':>11}{'OUT':>10}{'CACHED':>10}{'COST':>11}"
    yield [(pen.fit("BY MODEL", room) + head, "heading")]
    for row in rows:
        cost = pen.cost(row.cost) + ("+" if row.cost is not None and row.unpriced else "")
        numbers = f"{pen.tokens(row.count):>5}{row.usage.input:>11,}{row.usage.output:>10,}"
        numbers += f"{row.usage.cache_read:>10,}{cost:>11}"
        yield [(pen.fit(row.model, room - 1) + " ", NodeType.LLM_CALL), (numbers, "")]


def _waste(waste: RetryWaste, pen: Pen) -> Iterator[Line]:
    tries = f"{waste.attempts:,} failed attempt{'s' * (waste.attempts != 1)}"
    times = (("spent", waste.time), ("waited", waste.waited))
    facts = [tries, *(f"{pen.duration(time / 1_000)} {word}" for word, time in times)]
    if waste.tokens:
        facts.append(f"{pen.tokens(waste.tokens)} tokens")
    if waste.cost is not None:
        facts.append(pen.cost(waste.cost) + "+" * (waste.unpriced > 0))
    yield [("RETRIES  ", "heading"), (pen.glyph("dot").join(facts[:3]), "")]
    if facts[3:]:
        yield [("         " + pen.glyph("dot").join(facts[3:]), "")]


def _path(run: Run, pen: Pen) -> Iterator[Line]:
    """Yield what held the run up, in the order it did."""
    parts = [part for part in merge_path(critical_path(run)) if not is_whole_run(part.step)]
    time = sum(part.time for part in parts)
    total = f"{pen.duration(time / 1_000)} of {pen.duration(run.wall / 1_000)}"
    yield [("CRITICAL PATH  ", "heading"), (total, "")]
    longest = nlargest(_PATH_ROWS, parts, key=attrgetter("time"))
    shown = [part for part in longest if 100 * part.time >= run.wall]
    for part in sorted(shown, key=lambda part: part.start):
        text = pen.fit(_place(part), max(16, pen.width - 20))
        percent = f"{100 * part.time // run.wall}%"
        yield [(f"  {text}{pen.duration(part.time / 1_000):>10}{percent:>7}", "")]
    rest = time - sum(part.time for part in shown)
    if rest > 0:
        number = len(parts) - len(shown)
        shorter = f"{number:,} shorter part{'s' * (number != 1)}"
        yield [(f"  {shorter}: {pen.duration(rest / 1_000)}", "dim")]


def _place(part: Segment) -> str:
    """Return where a part of the path lies: the step it is in, and the step itself."""
    if part.step is None:
        return "no node was running"
    place = " / ".join(_named(step) for step in part.step.path[-2:] if not is_whole_run(step))
    if part.waiting:
        return f"{place} / waiting for the next try"
    return place + (" (itself)" if part.step.children else "")


def _named(step: Step) -> str:
    return f"{step.node.node_type} {step.node.name}"
