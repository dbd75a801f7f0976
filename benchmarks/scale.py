"""What a long trace costs: time from first step to last, memory, size on disk, reading it back.

    python benchmarks/scale.py [--steps 100000] [--json]

One trace into a FileStore, in a process of its own; then `logtracer inspect` of its file.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import logtracer  # noqa: E402


def steps(root: logtracer.Span, count: int, first: int = 0) -> None:
    """Record steps with an input, an output and an annotation of their own."""
    for number in range(first, first + count):
        with root.node("step", "llm_call") as step:
            step.input(query=f"What is the weather in Paris, {number}?")
            step.output(answer=f"Mild, {number}")
            step.annotate(f"because {number}")


def record(directory: str, count: int) -> dict[str, float]:
    """Record a trace into files; return microseconds of CPU a step, and megabytes at the peak."""
    tracer = logtracer.Tracer(storage=logtracer.FileStore(directory))
    tenth = count // 10
    marks = []
    with tracer.trace("long") as root:
        for part in range(10):
            marks.append(time.process_time())
            steps(root, tenth, part * tenth)
        marks.append(time.process_time())
    tenths = [later - earlier for earlier, later in zip(marks, marks[1:])]
    return {
        "first tenth, µs a step": tenths[0] / tenth * 1e6,
        "last tenth, µs a step": tenths[-1] / tenth * 1e6,
        "end of the trace, s": time.process_time() - marks[-1],
        "peak of the process, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def bytes_in_memory(count: int) -> float:
    """Return the bytes that a step of a trace in memory holds."""
    tracer = logtracer.Tracer()
    tracemalloc.start()
    with tracer.trace("held") as root:
        steps(root, 1_000)
        before = tracemalloc.get_traced_memory()[0]
        steps(root, count)
        held = (tracemalloc.get_traced_memory()[0] - before) / count
    tracemalloc.stop()
    return held


def read(directory: str) -> dict[str, float]:
    """Return the seconds until `inspect` prints its first line, and until it is done."""
    (name,) = os.listdir(directory)
    path = os.path.join(directory, name)
    command = [sys.executable, str(ROOT / "logtracer_cli.py"), "inspect", path]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        first = time.perf_counter() - began
        process.stdout.read()
    return {
        "size of the file, MB": os.path.getsize(path) / 1e6,
        "inspect, first line, s": first,
        "inspect, all of it, s": time.perf_counter() - began,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What a long trace costs.")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="print the figures for programs")
    parser.add_argument("--record", metavar="DIRECTORY", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.record:  # the process whose memory is measured
        print(json.dumps(record(options.record, options.steps)))
        return
    with tempfile.TemporaryDirectory() as directory:
        count = ["--steps", str(options.steps)]
        command = [sys.executable, __file__, "--record", directory, *count]
        figures: dict[str, Any] = json.loads(subprocess.check_output(command))
        figures.update(read(directory))
    figures["held in memory, bytes a step"] = bytes_in_memory(min(options.steps, 100_000))
    if options.json:
        print(json.dumps(figures))
        return
    for name, figure in figures.items():
        print(f"{name:32} {figure:10.2f}")


if __name__ == "__main__":
    main()
