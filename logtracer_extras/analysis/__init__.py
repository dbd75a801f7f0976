"""Tell where the time, the tokens and the money of a run went, and what was tried again.

    from logtracer import load_trace
    from logtracer_extras.analysis import Statistics, critical_path, measure

    run = measure(load_trace("traces/7f3a9c21.json"))
    totals = Statistics([run])
    for row in totals.by_name():
        print(row.name, row.count, row.total, row.share)

Functions from a trace to rows, without any output of their own. Every time is an integer of
microseconds counted from the start of the run, so that parts add up exactly. Sections, in order:
tokens, prices, measuring a run, statistics, the critical path, retries and fallbacks, data flow.
"""

from __future__ import annotations

from logtracer import Edge, TraceGraph

from .critical_path import Segment, critical_path, merge_path
from .data_flow import MIN_SIZE, DataFlow
from .retries import infer_edges
from .run import (
    Run,
    Step,
    by_start,
    in_order,
    number_attempts,
    own_time,
    own_usage,
    placed_steps,
    roll_up,
)
from .statistics import ModelRow, NameRow, RetryWaste, Statistics
from .tokens import PriceError, PriceTable, Usage, load_prices, models_of, usage_of

__all__ = [
    "DataFlow",
    "ModelRow",
    "NameRow",
    "PriceError",
    "PriceTable",
    "RetryWaste",
    "Run",
    "Segment",
    "Statistics",
    "Step",
    "Usage",
    "critical_path",
    "infer_data_flow",
    "infer_retries",
    "load_prices",
    "measure",
    "merge_path",
    "models_of",
    "own_usage",
    "usage_of",
]


def measure(trace: TraceGraph, prices: PriceTable | None = None, *, infer: bool = True) -> Run:
    """Return every step's place, times, attempt, tokens and cost.

    Retries and fallbacks nobody recorded are inferred, unless `infer` is False.
    """
    placed, wall = placed_steps(trace)
    steps = in_order(placed)
    for step in steps:
        if step.children:
            step.children.sort(key=by_start)
            step.self_time = own_time(step)
    roll_up(steps, prices)
    run = Run(trace, steps, placed, wall)
    if infer:
        run.inferred = infer_edges(run)
    number_attempts(run)
    return run


def infer_retries(trace: TraceGraph) -> list[Edge]:
    """Return the `retry_of` and `fallback_of` edges a trace shows but did not record.

    A retry repeats the name (numbers at its end aside), the type, the model and the input of a
    sibling that failed before it. A fallback takes the input of a failed sibling to another name
    or model, or says itself that it is one. Every edge has `metadata == {"inferred": True}`.
    """
    return measure(trace).inferred


def infer_data_flow(trace: TraceGraph, *, min_size: int = MIN_SIZE) -> list[Edge]:
    """Return a `data_flow` edge for each pair of steps whose output is found in a later input.

    Compares values (texts, lists, objects) of at least `min_size` characters by a hash of their
    content. A value that was an input before it was an output did not come from there, and what
    is recorded already is left out. The edge's metadata tells where the value lay:
    `{"inferred": True, "source_path": "$.result", "target_path": "$.messages[1].content"}`.
    """
    flow = DataFlow(min_size=min_size)
    for step in measure(trace, infer=False).steps:
        flow.add(step.node, step.start, step.end, step.level)
    return flow.edges(trace.edges)
