"""`logtracer prune`: remove old traces."""

from __future__ import annotations

import argparse

from logtracer import NodeStatus
from logtracer_cli import (
    Screen,
    UsageError,
    count,
    counted,
    opened_store,
    without_password,
)

from ..stores.retention import prunable, prune
from ._options import moment_of

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = "Remove the traces of --store that meet all conditions."
    parser.add_argument(
        "--older-than",
        type=moment_of,
        metavar="TIME",
        help="nothing was added since: 30d, 12h or 2026-11-22",
    )
    parser.add_argument(
        "--keep", type=count, default=0, metavar="N", help="always keep the newest N"
    )
    parser.add_argument("--status", choices=[status.value for status in NodeStatus])
    parser.add_argument(
        "--running", action="store_true", help="include traces that may still be going"
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be removed")


def run(options: argparse.Namespace, screen: Screen) -> int:
    """Run the command and return its exit code."""
    if not (options.older_than or options.keep or options.status):
        raise UsageError("prune", "needs --older-than, --keep or --status")
    conditions = {
        name: getattr(options, name) for name in ("older_than", "keep", "status", "running")
    }
    with opened_store(options.store, must_exist=True) as store:
        choose = prunable if options.dry_run else prune
        removed = list(choose(store, **conditions))
        left = len(store.list_traces()) - (len(removed) if options.dry_run else 0)
    for summary in removed:
        start = "" if summary.start_time is None else f"  {summary.start_time:%Y-%m-%d %H:%M:%SZ}"
        screen.show([[(summary.trace_id, "dim"), (f"  {summary.name}", "heading"), (start, "dim")]])
    verb = "would remove" if options.dry_run else "removed"
    place = without_password(options.store)
    words = f"{verb} {counted(len(removed), 'trace')} from {place}; {left:,} left"
    screen.show([[(words, "dim")]])
    return 0
