"""What the scripts here share: their options, medians of interleaved rounds, and tables."""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import logtracer

ROOT = Path(__file__).resolve().parent.parent
PEERS = ("eliot", "nodetracer", "opentelemetry-sdk", "structlog")

Rows = dict[str, dict[str, float]]  # of each row its figures, by column


def options(description: str, **defaults: int) -> argparse.Namespace:
    """Read the command line: a number for each of `defaults`, and --json."""
    parser = argparse.ArgumentParser(description=description)
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"default {default:,}")
    parser.add_argument("--json", action="store_true", help="print the figures for programs")
    return parser.parse_args()


def versions() -> dict[str, str]:
    """Return the version of everything that is measured, as far as it is installed."""
    known = {each.metadata["Name"]: each.version for each in importlib.metadata.distributions()}
    return {
        "Python": platform.python_version(),
        "logtracer": logtracer.__version__,
        **{name: known[name] for name in PEERS if name in known},
    }


def has(name: str) -> bool:
    """Tell whether a library is installed."""
    return name in versions()


def medians(works: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Return the median figure of each work; all take turns in every round, the first warms up."""
    figures: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            gc.collect()
            gc.freeze()  # nobody pays for collecting what others have kept
            figure = work()
            if turn:
                figures[name].append(figure)
    return {name: statistics.median(values) for name, values in figures.items()}


def cpu_microseconds(work: Callable[[], object], count: int) -> float:
    """Return the microseconds of CPU, of all threads, that each of `count` things took."""
    began = time.process_time_ns()
    work()
    return (time.process_time_ns() - began) / count / 1_000


def show(tables: dict[str, Rows], as_json: bool) -> None:
    """Print the tables, as Markdown, with the versions of what they compare."""
    if as_json:
        print(json.dumps({"versions": versions(), "tables": tables}, indent=2))
        return
    print(", ".join(f"{name} {version}" for name, version in versions().items()))
    for title, rows in tables.items():
        columns = list(dict.fromkeys(column for row in rows.values() for column in row))
        widths = [max(len(column), 6) for column in columns]
        first = max(map(len, (title, *rows)))
        print(f"\n{_line(title.ljust(first), columns, widths)}")
        print("|".join(["", "-" * (first + 2), *("-" * (width + 1) + ":" for width in widths), ""]))
        for name, row in rows.items():
            cells = [_figure(row[column]) for column in columns]
            print(_line(name.ljust(first), cells, widths))


def _line(name: str, cells: Iterable[str], widths: Iterable[int]) -> str:
    padded = [cell.rjust(width) for cell, width in zip(cells, widths)]
    return f"| {' | '.join([name, *padded])} |"


def _figure(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.2f}"
