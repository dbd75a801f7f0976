"""What a step costs when many are recorded at once, by threads and by asyncio tasks.

    python benchmarks/parallel.py [--rounds 7] [--steps 10000] [--json]

Eight threads share `--steps` steps, below a parent of theirs in one trace, or each in a trace of
its own; or there is a task for each step, all of them open at the same time. Microseconds of CPU of
all threads, medians of interleaved rounds, the end of the traces included; every trace must be
whole in the end.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.contenders import ANSWER, QUERY, WHY, floor, steps
from benchmarks.tables import Rows, cpu_microseconds, medians, options, show
from logtracer import FileStore, Tracer

THREADS = 8

Trace = Callable[[], AbstractContextManager[Any]]


def alone(trace: Trace, count: int) -> None:
    """Do all steps in one thread."""
    with trace() as root:
        steps(root, QUERY, ANSWER, count)


def in_threads(work: Callable[[], None]) -> None:
    """Do a work in eight threads at once."""
    threads = [Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def one_trace(trace: Trace, count: int) -> None:
    """Share the steps among threads that are given their parent."""

    def branch() -> None:
        with root.node("branch", "sub_agent") as parent:
            steps(parent, QUERY, ANSWER, count // THREADS)

    with trace() as root:
        in_threads(branch)


def a_trace_each(trace: Trace, count: int) -> None:
    """Share the steps among threads that each open a trace."""
    in_threads(partial(alone, trace, count // THREADS))


def in_tasks(trace: Trace, count: int) -> None:
    """Do each step in a task of its own; all of them are open before one ends."""

    async def task(root: Any) -> None:
        with root.node("step", "llm_call") as step:
            step.input(query=QUERY)
            await asyncio.sleep(0)
            step.output(answer=ANSWER)
            step.annotate(WHY)

    async def run() -> None:
        with trace() as root:
            await asyncio.gather(*(task(root) for _ in range(count)))

    asyncio.run(run())


WORKS = {
    "one thread": alone,
    "8 threads, one trace": one_trace,
    "8 threads, a trace each": a_trace_each,
    "a task for each step, one trace": in_tasks,
}


def main() -> None:
    """Measure and print."""
    chosen = options("What a step costs beside others.", rounds=7, steps=10_000)
    with tempfile.TemporaryDirectory() as directory:
        tracers = {"memory": Tracer(), "file": Tracer(storage=FileStore(directory))}
        traces: dict[str, Trace] = {
            "floor": floor,
            **{name: partial(tracer.trace, "trace") for name, tracer in tracers.items()},
        }
        count = chosen.steps
        works = {
            f"{title}: {name}": partial(cpu_microseconds, partial(work, trace, count), count)
            for title, work in WORKS.items()
            for name, trace in traces.items()
        }
        found = medians(works, chosen.rounds)
        for tracer in tracers.values():
            totals = tracer.stats()
            assert totals["started"] == totals["saved"] and not totals["errors"], totals
    rows: Rows = {
        title: {f"{name}, µs": found[f"{title}: {name}"] for name in traces} for title in WORKS
    }
    show({"a step": rows}, chosen.json)


if __name__ == "__main__":
    main()
