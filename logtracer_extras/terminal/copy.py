"""`logtracer copy`: traces from one store to another."""

from __future__ import annotations

import argparse
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from logtracer_cli import (
    LATEST,
    CommandError,
    Screen,
    Stored,
    complain,
    counted,
    latest_trace,
    opened_store,
    stored_traces,
    without_password,
)

from ..stores.copying import Outcome, copy_one
from ..stores.summaries import TraceSummary
from ._options import add_narrowing, wanted_of

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Copy traces, each whole or not at all. A directory or a URL names a store."
    )
    parser.add_argument("source", metavar="SRC", help="where the traces are")
    parser.add_argument("target", metavar="DST", help="where they go; made if need be")
    parser.add_argument(
        "traces", nargs="*", metavar="ID", help="or how an id begins, or latest; else all"
    )
    add_narrowing(parser)
    parser.add_argument(
        "--running",
        action="store_true",
        help="include traces that are still being recorded, as they are now",
    )
    parser.add_argument("--force", action="store_true", help="replace other versions in DST")


def run(options: argparse.Namespace, screen: Screen) -> int:
    """Copy; one trace that cannot be copied does not stop the others."""
    counts: Counter[str] = Counter()
    found = _to_copy(options)
    first = next(found, None)  # a source that is not there makes no target
    with opened_store(options.target) as target:
        for stored in () if first is None else itertools.chain([first], found):
            summary = stored.summary or TraceSummary(stored.trace_id)
            outcome = copy_one(
                summary, stored.load, target, running=options.running, replace=options.force
            )
            counts[outcome.what] += 1
            _tell_copied(outcome, screen)
    screen.show([[(_copied_text(counts), "dim")]])
    return int(counts["failed"] + counts["differs"] > 0)


def _to_copy(options: argparse.Namespace) -> Iterator[Stored]:
    """Yield the traces to copy, each once; CommandError for the start of an id that none has."""
    wanted = wanted_of(options)
    seen: set[str] = set()
    for prefix in options.traces or [""]:
        is_found = False
        if LATEST.fullmatch(prefix):
            found: Iterable[Stored] = [latest_trace(prefix, options.source, **wanted)]
        else:
            found = stored_traces(options.source, prefix=prefix, **wanted)
        for stored in found:
            is_found = True
            if stored.trace_id not in seen:
                seen.add(stored.trace_id)
                yield stored
        if prefix and not is_found:
            raise CommandError(prefix, f"no such trace in {without_password(options.source)}")


def _tell_copied(outcome: Outcome, screen: Screen) -> None:
    summary = outcome.summary
    if outcome.what == "copied":
        nodes = counted(summary.node_count, "node")
        name = (summary.name, "heading")
        screen.show([[(summary.trace_id, "dim"), (f"  {nodes}  ", ""), name]])
    elif outcome.what == "differs":
        complain(f"{summary.trace_id}: another version of it is there; --force replaces it")
    elif outcome.what == "failed":
        complain(f"{summary.trace_id}: not copied: {outcome.problem}")


def _copied_text(counts: Mapping[str, int]) -> str:
    text = f"copied {counted(counts['copied'], 'trace')}"
    if counts["same"]:
        text += f", {counts['same']:,} there already"
    if counts["running"]:
        text += f", {counts['running']:,} still running (--running copies as far as they are)"
    return text
