"""What recording one step costs, next to the least it could cost and to other libraries.

    python benchmarks/capture.py [--rounds 15] [--json]

The work: a child span with a type, one short input, one short output and one annotation, a
thousand in a trace. All contenders run in turn in every round, in CPU time; the median round
counts. "floor" is the least a tracer in Python can do in memory; "floor, file" adds one JSON
encoding and a buffered write for each step. Libraries that are not installed are left out.
"""

from __future__ import annotations

import argparse
import contextvars
import gc
import importlib
import importlib.metadata
import importlib.util
import io
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import logtracer  # noqa: E402

STEPS = 1_000
QUERY = "What is the weather in Paris?"
ANSWER = "Mild and partly cloudy."
WHY = "High confidence, routing to the weather tool"

current: contextvars.ContextVar[Any] = contextvars.ContextVar("floor", default=None)


class Floor:
    """A span that does the least: one context variable, two clock readings, a list."""

    __slots__ = ("end", "inputs", "name", "node_type", "notes", "out", "outputs", "start", "token")

    def __init__(self, name: str, node_type: str, out: list[Floor]) -> None:
        self.name = name
        self.node_type = node_type
        self.out = out
        self.inputs: dict[str, Any] = {}
        self.outputs: dict[str, Any] = {}
        self.notes: list[str] = []

    def node(self, name: str, node_type: str) -> Floor:
        return Floor(name, node_type, self.out)

    def __enter__(self) -> Floor:
        self.token = current.set(self)
        self.start = time.perf_counter_ns()
        return self

    def __exit__(self, *error: object) -> None:
        self.end = time.perf_counter_ns()
        current.reset(self.token)
        self.out.append(self)

    def input(self, **values: Any) -> None:
        self.inputs.update(values)

    def output(self, **values: Any) -> None:
        self.outputs.update(values)

    def annotate(self, text: str) -> None:
        self.notes.append(text)


class FileFloor(Floor):
    """The same, and one JSON line through a buffered file: lost when the process is killed."""

    __slots__ = ()
    file: io.TextIOBase
    encode = staticmethod(json.JSONEncoder(ensure_ascii=False).encode)

    def node(self, name: str, node_type: str) -> FileFloor:
        return FileFloor(name, node_type, self.out)

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        facts = {
            "name": self.name,
            "type": self.node_type,
            "start": self.start,
            "end": self.end,
            "input": self.inputs,
            "output": self.outputs,
            "annotations": self.notes,
        }
        self.file.write(self.encode(facts) + "\n")


def steps(root: Any) -> None:
    """Do the work with a span that has logtracer's methods."""
    for _ in range(STEPS):
        with root.node("step", "llm_call") as step:
            step.input(query=QUERY)
            step.output(answer=ANSWER)
            step.annotate(WHY)


def floor() -> None:
    with Floor("trace", "trace", []) as root:
        steps(root)


def floor_file(directory: str) -> Callable[[], None]:
    def run() -> None:
        with open(os.path.join(directory, "floor.jsonl"), "w", encoding="utf-8") as file:
            FileFloor.file = file
            with FileFloor("trace", "trace", []) as root:
                steps(root)

    return run


def traced(tracer: logtracer.Tracer) -> Callable[[], None]:
    def run() -> None:
        with tracer.trace("trace") as root:
            steps(root)

    return run


def decorated() -> None:
    for _ in range(STEPS):
        untraced()


@logtracer.trace_node()
def untraced() -> None:
    """Do nothing, outside any trace."""


def bare() -> None:
    for _ in range(STEPS):
        nothing()


def nothing() -> None:
    """Do nothing."""


def nodetracer(storage: Any) -> Callable[[], None]:
    from nodetracer.core import Tracer

    tracer = Tracer(storage=storage)

    def run() -> None:
        with tracer.trace("trace") as root:
            steps(root)

    return run


def eliot(destination: Callable[[Any], None]) -> Callable[[], None]:
    library: Any = importlib.import_module("eliot")
    library.add_destinations(destination)

    def run() -> None:
        with library.start_action(action_type="trace"):
            for _ in range(STEPS):
                with library.start_action(action_type="step", kind="llm_call", query=QUERY) as step:
                    step.add_success_fields(answer=ANSWER, annotation=WHY)

    return run


def opentelemetry(exporter: Any) -> Callable[[], None]:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("benchmark")

    def run() -> None:
        with tracer.start_as_current_span("trace"):
            for _ in range(STEPS):
                with tracer.start_as_current_span("step") as span:
                    span.set_attribute("type", "llm_call")
                    span.set_attribute("query", QUERY)
                    span.set_attribute("answer", ANSWER)
                    span.add_event(WHY)

    return run


def has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def contenders(directory: str) -> dict[str, tuple[str, Callable[[], None]]]:
    """Return for each name the floor it is compared with and its work."""
    files = os.path.join(directory, "traces")
    found: dict[str, tuple[str, Callable[[], None]]] = {
        "floor": ("floor", floor),
        "floor, file": ("floor, file", floor_file(directory)),
        "logtracer, memory": ("floor", traced(logtracer.Tracer())),
        "logtracer, file": (
            "floor, file",
            traced(logtracer.Tracer(storage=logtracer.FileStore(files))),
        ),
        "logtracer, disabled": (
            "floor",
            traced(logtracer.Tracer(logtracer.TracerConfig(enabled=False))),
        ),
        "a bare call": ("floor", bare),
        "a call of a @trace_node function outside a trace": ("floor", decorated),
    }
    if has("nodetracer"):
        from nodetracer.storage import FileStore, MemoryStore

        found["nodetracer, memory"] = ("floor", nodetracer(MemoryStore()))
        found["nodetracer, file (lost on kill)"] = (
            "floor, file",
            nodetracer(FileStore(os.path.join(directory, "nodetracer"))),
        )
    if has("opentelemetry.sdk"):
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        text = open(os.path.join(directory, "otel.txt"), "w", encoding="utf-8")  # noqa: SIM115
        console = ConsoleSpanExporter(out=text)
        found["OpenTelemetry SDK, memory"] = ("floor", opentelemetry(InMemorySpanExporter()))
        found["OpenTelemetry SDK, file"] = ("floor, file", opentelemetry(console))
    if has("eliot"):
        library: Any = importlib.import_module("eliot")
        out = open(os.path.join(directory, "eliot.txt"), "wb", buffering=0)  # noqa: SIM115
        found["eliot, file"] = ("floor, file", eliot(library.FileDestination(file=out)))
    return found


def measure(found: dict[str, tuple[str, Callable[[], None]]], rounds: int) -> dict[str, float]:
    """Return the median CPU time of a step in microseconds, all contenders in turn."""
    times: dict[str, list[float]] = {name: [] for name in found}
    for turn in range(rounds + 1):
        for name, (_, work) in found.items():
            gc.collect()
            began = time.process_time_ns()
            work()
            if turn:  # the first warms up
                times[name].append((time.process_time_ns() - began) / STEPS / 1_000)
    return {name: statistics.median(values) for name, values in times.items()}


def versions() -> str:
    """Name what was compared."""
    names = ["nodetracer", "eliot", "opentelemetry-sdk"]
    known = {each.metadata["Name"]: each.version for each in importlib.metadata.distributions()}
    found = [f"{name} {known[name]}" for name in names if name in known]
    python = f"Python {platform.python_version()}"
    return ", ".join([python, f"logtracer {logtracer.__version__}", *found])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What recording one step costs.")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true", help="print the figures for programs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        found = contenders(directory)
        medians = measure(found, options.rounds)
    if options.json:
        print(json.dumps(medians))
        return
    print(f"{versions()}\n\n{'':50} µs a step   x floor")
    for name, median in medians.items():
        print(f"{name:50} {median:9.2f} {median / medians[found[name][0]]:9.2f}")


if __name__ == "__main__":
    main()
