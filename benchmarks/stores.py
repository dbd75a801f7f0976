"""What stores of many traces answer in: listing, finding, searching, copying, pruning.

    python benchmarks/stores.py [--traces 100000] [--stores file sqlite] [--dsn postgresql://...]

Every trace has an LLM call and three tool calls. The figures are seconds on the wall and, in
brackets, of CPU, without that of a server; the best of three for what only reads. The commands
are run as a user runs them, with Python's start.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import logtracer  # noqa: E402
from logtracer_extras.stores.listing import list_summaries  # noqa: E402
from logtracer_extras.stores.retention import prune  # noqa: E402
from logtracer_extras.stores.summaries import TraceFilter  # noqa: E402

Taken = tuple[float, float]  # seconds on the wall, seconds of CPU (without a server's own)

_LONG = 2.0  # seconds from which on an action is not measured again
START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def model_trace() -> logtracer.TraceGraph:
    """Record one trace, of which all the others are made."""
    tracer = logtracer.Tracer()
    with tracer.trace("agent", session_id="s", tags=["canary"]) as root:
        with root.node("chat", "llm_call") as chat:
            chat.input(prompt="What is the weather in Paris? " * 10)
            chat.output(answer="Mild. " * 20)
        for number in range(3):
            with root.node("lookup", "tool_call") as step:
                step.input(place="Paris", number=number)
                step.output(found=[1, 2, 3])
    trace = tracer.storage.load(root.trace.trace_id)
    assert trace is not None
    return trace


def traces(count: int) -> Iterator[logtracer.TraceGraph]:
    """Yield traces, one a minute; one in a hundred failed, one in a thousand is of session s-7."""
    model, chance = model_trace(), random.Random(0)
    for number in range(count):
        trace = copy.copy(model)
        trace.trace_id = f"{chance.getrandbits(128):032x}"
        trace.name = f"agent {number % 50}"
        trace.start_time = START + timedelta(minutes=number)
        trace.end_time = trace.start_time + timedelta(seconds=5)
        session = "s-7" if number % 1_000 == 7 else f"s-{number}"
        trace.metadata = {**model.metadata, "session_id": session, "tags": [f"t{number % 20}"]}
        root = copy.copy(model.root_nodes[0])
        is_failed = number % 100 == 99
        root.status = logtracer.NodeStatus("failed" if is_failed else "completed")
        trace.nodes = {**model.nodes, root.id: root}
        yield trace


def write(store: logtracer.StorageBackend, count: int) -> None:
    """Save the traces; a file gets the time at which its run would have written it."""
    for trace in traces(count):
        store.save(trace)
        if isinstance(store, logtracer.FileStore) and trace.end_time is not None:
            moment = trace.end_time.timestamp()
            os.utime(f"{store.directory}/{trace.trace_id}.json", (moment, moment))


def seconds(action: Callable[[], object], times: int = 3) -> Taken:
    """Return the seconds an action takes, the best of several unless that would take long."""
    taken = []
    for _ in range(times):
        began, used = time.perf_counter(), cpu_seconds()
        action()
        taken.append((time.perf_counter() - began, cpu_seconds() - used))
        if taken[-1][0] > _LONG:
            break
    return min(taken)


def cpu_seconds() -> float:
    """Return the CPU time of this process and of those it ran."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in usage)


def listing(store: logtracer.StorageBackend, limit: int | None = 20, **wanted: Any) -> Taken:
    """Return the seconds that a list takes."""
    chosen = TraceFilter(**wanted)
    return seconds(lambda: list(list_summaries(store, chosen, limit)))


def command(place: str, *arguments: str) -> Taken:
    """Return the seconds that a command takes."""
    program = [sys.executable, str(ROOT / "logtracer_cli.py"), *arguments, "--store", place]
    return seconds(lambda: subprocess.run(program, check=False, stdout=subprocess.DEVNULL))


def measure(place: str, count: int) -> dict[str, Taken]:
    """Fill the store of a URL and return the seconds that things take."""
    store = logtracer.open_store(place)
    last = next(itertools.islice(traces(count), count - 1, None)).trace_id
    return {
        "write all": seconds(lambda: write(store, count), 1),
        "list the newest 20": listing(store),
        "list all": listing(store, None),
        "the failed ones, 20": listing(store, status="failed"),
        "one session, all": listing(store, None, session_id="s-7"),
        "one tag, 20": listing(store, tag="t3"),
        "a name that is nowhere": listing(store, name="nowhere"),
        "the start of an id": listing(store, None, prefix=last[:8]),
        "the last day, all": listing(store, None, since=START + timedelta(minutes=count - 1_440)),
        "$ logtracer list": command(place, "list"),
        "$ logtracer inspect latest": command(place, "inspect", "latest"),
        "$ logtracer search status:failed": command(place, "search", "status:failed"),
        "$ logtracer search Paris --session s-7": command(
            place, "search", "Paris", "--session", "s-7"
        ),
        "prune the older half": seconds(
            lambda: prune(store, older_than=START + timedelta(minutes=count // 2)), 1
        ),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What stores of many traces answer in.")
    parser.add_argument("--traces", type=int, default=100_000)
    parser.add_argument("--stores", nargs="*", default=["file", "sqlite"])
    parser.add_argument("--dsn", help="of an empty PostgreSQL database, to measure that too")
    parser.add_argument("--json", action="store_true", help="print the figures for programs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        places = {"file": f"file://{directory}/traces", "sqlite": f"sqlite://{directory}/traces.db"}
        chosen = {name: places[name] for name in options.stores}
        if options.dsn:
            chosen["postgresql"] = options.dsn
        figures = {name: measure(place, options.traces) for name, place in chosen.items()}
    if options.json:
        print(json.dumps(figures))
        return
    print(f"{'':40}" + "".join(f"{name:>20}" for name in figures))
    for what in next(iter(figures.values()), {}):
        columns = (
            f"{wall:10.3f} ({cpu:7.3f})" for wall, cpu in (f[what] for f in figures.values())
        )
        print(f"{what:40}" + "".join(columns))


if __name__ == "__main__":
    main()
