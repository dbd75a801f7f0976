"""What a long trace costs: from its first step to its last, memory, disk, reading it back.

    python benchmarks/scale.py [--steps 1000000] [--held 100000] [--json]

Traces of 1,000 steps, ten times as many, and so on up to `--steps`, each into a FileStore in a
process of its own, then read by `logtracer inspect`. And what a step holds in memory while its
trace is kept there, of `--held` steps, beside other libraries.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import contenders
from benchmarks.tables import ROOT, Rows, options, show
from logtracer import FileStore, Span, Tracer

PARTS = 100  # of a trace, each timed by itself: what else the machine does spoils few of them
MEGABYTE = 1 << 20


def steps(root: Span, first: int, count: int) -> None:
    """Record steps with texts of their own, all of one length: longer ones would cost more."""
    for number in range(first, first + count):
        with root.node("step", "llm_call") as step:
            step.input(query=f"What is the weather in Paris, {number:07}?")
            step.output(answer=f"Mild, {number:07}")
            step.annotate(f"because {number:07}")


def record(directory: str, count: int) -> dict[str, float]:
    """Record a trace into files; return microseconds of CPU a step, and megabytes at the peak."""
    tracer = Tracer(storage=FileStore(directory))
    part = max(count // PARTS, 1)
    marks = []
    with tracer.trace("long") as root:
        for number in range(PARTS):
            marks.append(time.process_time())
            steps(root, number * part, part)
        marks.append(time.process_time())
    ended = time.process_time()
    times = [later - earlier for earlier, later in zip(marks, marks[1:])]
    first, last = (statistics.median(tenth) / part * 1e6 for tenth in (times[:10], times[-10:]))
    assert tracer.stats()["saved"] == part * PARTS + 1, tracer.stats()
    return {
        "first tenth, µs": first,
        "last tenth, µs": last,
        "last/first": last / first,
        "end, s": ended - marks[-1],
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024,
    }


def inspect(path: str, *arguments: str) -> tuple[float, float]:
    """Return the seconds of CPU until `inspect` first prints something, and its megabytes then."""
    command = [sys.executable, str(ROOT / "logtracer_cli.py"), "inspect", path, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.kill()  # the rest of the tree is a matter of the terminal
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0  # has been waited for
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1_024


def long_trace(count: int) -> dict[str, float]:
    """Record and read a trace, each in a process of its own whose memory is measured."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, __file__, "--record", directory, str(count)]
        figures: dict[str, float] = json.loads(subprocess.check_output(command))
        (path,) = Path(directory).iterdir()
        figures["file, MB"] = path.stat().st_size / MEGABYTE
        figures["inspect, s"], figures["its peak MB"] = inspect(str(path))
        figures["--json, s"], _ = inspect(str(path), "--json")
    return figures


def bytes_held(contender: contenders.Contender, count: int) -> float:
    """Return the bytes that a step holds in a trace that is kept in memory."""
    tracemalloc.start()
    with contender() as work:
        work(1_000)
        before = tracemalloc.get_traced_memory()[0]
        work(count)
        held = (tracemalloc.get_traced_memory()[0] - before) / count
    tracemalloc.stop()
    return held


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--record"]:  # the process whose memory is measured
        directory, count = sys.argv[2:]
        print(json.dumps(record(directory, int(count))))
        return
    chosen = options("What a long trace costs.", steps=1_000_000, held=100_000)
    sizes = [size for size in (10**power for power in range(3, 10)) if size <= chosen.steps]
    long: Rows = {f"{size:,} steps": long_trace(size) for size in sizes or [chosen.steps]}
    held: Rows = {
        name: {"bytes": bytes_held(contender, chosen.held)}
        for name, contender in contenders.in_memory().items()
    }
    show({"a trace in a file": long, f"a step held, of {chosen.held:,}": held}, chosen.json)


if __name__ == "__main__":
    main()
