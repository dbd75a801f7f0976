"""`logtracer diff`: what differs between two traces, or two groups of traces."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from logtracer import LogtracerError, Node
from logtracer_cli import (
    TRACE_HELP,
    CommandError,
    Screen,
    UsageError,
    add_prices,
    count,
    find_trace,
    measured,
    prices_of,
    reason_of,
)

from ..analysis import models_of, usage_of
from ..diff import TraceDiff
from ..diff import diff as compare
from ..diff.groups import compare_groups
from ..viewer import comparison_page, write_page
from ._diff_text import brief_lines, difference_lines, group_brief_lines, group_lines, stat_lines

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Compare two traces: exit code 0 when they are the same, 1 when they differ, 2 on trouble."
        " With more than two, compare the first with all the others."
    )
    parser.add_argument("traces", nargs="+", metavar="TRACE", help=f"A, then B: {TRACE_HELP}")
    parser.add_argument("--against", nargs="+", metavar="TRACE", help="a second group of traces")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--brief", action="store_true", help="print only the first difference")
    form.add_argument("--stat", action="store_true", help="count what differs by kind of node")
    form.add_argument("--json", action="store_true", help="print all that differs as JSON")
    form.add_argument("--html", metavar="FILE", help="write both traces and what differs as a page")
    _add_diff_bounds(parser)
    add_prices(parser)


def run(options: argparse.Namespace, screen: Screen) -> int:
    """Compare; as for GNU diff, a difference is 1 and trouble is 2."""
    before, after = options.traces, options.against or options.traces[1:]
    if not after:
        raise UsageError("diff", "needs two traces: logtracer diff A B")
    if options.against is None:
        before = before[:1]
    _check_diff(options, are_groups=len(before) + len(after) > 2)
    try:
        if len(before) == len(after) == 1:
            return _diff_runs(before[0], after[0], options, screen)
        return _diff_groups(before, after, options, screen)
    except (LogtracerError, OSError) as error:
        raise CommandError("diff", reason_of(error), code=2) from None


def _add_diff_bounds(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="PATH",
        help="a value that does not count, such as output.id or 'input.messages[*].id'",
    )
    parser.add_argument(
        "--mask", action="append", default=[], metavar="REGEX", help="text that does not count"
    )
    parser.add_argument("--timing", action="store_true", help="slower or faster is different too")
    parser.add_argument(
        "--time-pct", type=count, metavar="N", help="by how many percent of the shorter time (20)"
    )
    parser.add_argument("--time-min", type=count, metavar="MS", help="and milliseconds (50)")
    parser.add_argument("--limit", type=count, default=200, metavar="N", help="lines, 0 for all")
    parser.add_argument(
        "--exit-code",
        action="store_true",
        help="accepted for compatibility with git diff; has no effect",
    )


_OF_TWO_RUNS = ("ignore", "mask", "timing", "stat", "html")  # no groups


def _check_diff(options: argparse.Namespace, *, are_groups: bool) -> None:
    """Refuse what would be ignored without a word."""
    for name in _OF_TWO_RUNS if are_groups else ():
        if getattr(options, name):
            raise UsageError(
                "diff", f"--{name} is for two traces; groups are compared by how often and how long"
            )
    if not options.timing and (options.time_pct is not None or options.time_min is not None):
        raise UsageError("diff", "--time-pct and --time-min go with --timing")


def _diff_runs(before: str, after: str, options: argparse.Namespace, screen: Screen) -> int:
    difference = compare(
        find_trace(before, options.store),
        find_trace(after, options.store),
        ignore=options.ignore,
        mask=options.mask,
        timing=options.timing,
        time_share=(20 if options.time_pct is None else options.time_pct) / 100,
        time_minimum_ms=50 if options.time_min is None else options.time_min,
        cost=_cost_of_node(options),
    )
    if options.json:
        screen.show_json(difference.to_dict())
    elif options.html:
        screen.show([[(_write_comparison(difference, options), "")]])
    elif options.brief:
        screen.show(brief_lines(difference, screen.pen))
    elif options.stat:
        screen.show(stat_lines(difference, screen.pen))
    else:
        limit = options.limit or sys.maxsize
        screen.show(difference_lines(difference, screen.pen, limit=limit))
    return 1 if difference.changes else 0


def _write_comparison(difference: TraceDiff, options: argparse.Namespace) -> str:
    traces = (difference.before, difference.after)
    steps = (step for trace in traces for step in measured(trace, options).steps)
    costs = {step.node.id: step.cost for step in steps}
    page = comparison_page(*traces, difference.rows, costs=costs)
    return write_page(page, options.html)


def _diff_groups(
    before: list[str], after: list[str], options: argparse.Namespace, screen: Screen
) -> int:
    comparison = compare_groups(
        (find_trace(name, options.store) for name in before),
        (find_trace(name, options.store) for name in after),
        cost=_cost_of_node(options),
    )
    if options.json:
        screen.show_json(comparison.to_dict())
    elif options.brief:
        screen.show(group_brief_lines(comparison, screen.pen))
    else:
        limit = options.limit or sys.maxsize
        screen.show(group_lines(comparison, screen.pen, limit=limit))
    return 1 if comparison.different else 0


def _cost_of_node(options: argparse.Namespace) -> Callable[[Node], float | None] | None:
    """Return a function that prices a node, None when the user gave no prices."""
    prices = prices_of(options)
    if prices is None:
        return None

    def cost(node: Node) -> float | None:
        usage = usage_of(node)
        return None if usage is None else prices.cost(usage, models_of(node))

    return cost
