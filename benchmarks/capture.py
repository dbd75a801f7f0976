"""What recording one step costs, next to the least it could cost and to other libraries.

    python benchmarks/capture.py [--rounds 15] [--steps 1000] [--json]

All contenders of benchmarks/contenders.py do a trace of `--steps` steps in turn in every round; the
figures are medians of CPU time, the end of the trace included. A row is compared with the floor of
its kind, "floor, file" for "logtracer, file", or else with the first row of its table.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import contenders
from benchmarks.tables import Rows, cpu_microseconds, has, medians, options, show
from logtracer import trace_node


def whole_trace(contender: contenders.Contender, count: int) -> None:
    """Open a trace, do the steps and end it."""
    with contender() as steps:
        steps(count)


def nothing() -> None:
    """Do nothing."""


def calls(function: Callable[[], object], count: int) -> None:
    """Call a function many times."""
    for _ in range(count):
        function()


def decorated() -> dict[str, Callable[[], object]]:
    """Return functions that a tracer decorates, to be called outside any trace."""
    found: dict[str, Callable[[], object]] = {
        "a bare call": nothing,
        "logtracer's @trace_node": trace_node()(nothing),
    }
    if has("nodetracer"):
        core: Any = importlib.import_module("nodetracer.core")
        found["nodetracer's @trace_node"] = core.trace_node()(nothing)
    return found


def measured(directory: str, count: int) -> dict[str, dict[str, Callable[[], object]]]:
    """Return what is measured, table by table."""
    traced = {
        "one step, in memory": contenders.in_memory(),
        "one step, to a file": contenders.to_a_file(directory),
        "one step, texts of 300 characters": contenders.with_long_texts(directory),
        "one step, not recorded": contenders.switched_off(),
    }
    tables: dict[str, dict[str, Callable[[], object]]] = {
        title: {name: partial(whole_trace, each, count) for name, each in group.items()}
        for title, group in traced.items()
    }
    functions = decorated().items()
    tables["one call outside a trace"] = {name: partial(calls, f, count) for name, f in functions}
    return tables


def floor_of(name: str, table: dict[str, float]) -> float:
    """Return the figure that a row is compared with."""
    kind = name.partition(", ")[2]
    return table.get(f"floor, {kind}") or next(iter(table.values()))


def main() -> None:
    """Measure and print."""
    chosen = options("What recording one step costs.", rounds=15, steps=1_000)
    with tempfile.TemporaryDirectory() as directory:
        tables = measured(directory, chosen.steps)
        works = {
            f"{title}: {name}": partial(cpu_microseconds, work, chosen.steps)
            for title, group in tables.items()
            for name, work in group.items()
        }
        found = medians(works, chosen.rounds)
    result: dict[str, Rows] = {}
    for title, group in tables.items():
        figures = {name: found[f"{title}: {name}"] for name in group}
        result[title] = {
            name: {"µs": figure, "x floor": figure / floor_of(name, figures)}
            for name, figure in figures.items()
        }
    show(result, chosen.json)


if __name__ == "__main__":
    main()
