"""Copy traces from one store to another, each whole or not at all: `logtracer copy`.

from logtracer_extras.stores.copying import copy

for outcome in copy(FileStore("traces"), SQLiteStore("traces.db"), TraceFilter(status="failed")):
    print(outcome.summary.trace_id, outcome.what)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from logtracer import StorageBackend, TraceGraph

from .listing import list_summaries
from .summaries import EVERYTHING, TraceFilter, TraceSummary

__all__ = ["Outcome", "copy", "copy_one"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one trace: `copied`, `same`, `running`, `differs` or `failed`."""

    summary: TraceSummary
    what: str
    problem: str = ""  # why it failed


def copy(
    source: StorageBackend,
    target: StorageBackend,
    wanted: TraceFilter = EVERYTHING,
    *,
    running: bool = False,
    replace: bool = False,
) -> Iterator[Outcome]:
    """Copy the wanted traces one by one, newest first, and yield what became of each.

    One that still runs is left out unless `running`: the copy stays as it is at this moment. One
    that the target has in another form is left alone unless `replace`.
    """
    for summary in list_summaries(source, wanted):
        load = functools.partial(source.load, summary.trace_id)
        yield copy_one(summary, load, target, running=running, replace=replace)


def copy_one(
    summary: TraceSummary,
    load: Callable[[], TraceGraph | None],
    target: StorageBackend,
    *,
    running: bool = False,
    replace: bool = False,
) -> Outcome:
    """Copy one trace and return what became of it."""
    if summary.problem:
        return Outcome(summary, "failed", summary.problem)
    if summary.status == "running" and not running:
        return Outcome(summary, "running")
    try:
        trace = load()
        if trace is None:
            return Outcome(summary, "failed", "is no longer there")
        trace.trace_id = summary.trace_id  # under the id that the store has it by
        there = None if replace else target.load(summary.trace_id)
        if there is not None:
            is_same = there.to_dict() == trace.to_dict()
            return Outcome(summary, "same" if is_same else "differs")
        target.save(trace)
    except Exception as error:  # of whatever kind: one odd trace must not end the copying
        return Outcome(summary, "failed", str(error) or type(error).__name__)
    return Outcome(summary, "copied")
