"""The step that is measured, as logtracer and other libraries record it.

A step is a child span with a type, one short input, one short output and one annotation. A
contender opens a trace and yields what does a number of steps in it. The floors are the least that
a tracer in Python can do. Libraries that are not installed are left out.
"""

from __future__ import annotations

import contextvars
import importlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from benchmarks.tables import has
from logtracer import FileStore, MemoryStore, Tracer, TracerConfig

Contender = Callable[[], AbstractContextManager[Callable[[int], None]]]

QUERY = "What is the weather in Paris?"
ANSWER = "Mild and partly cloudy."
WHY = "High confidence, routing to the weather tool"

# What agents pass around is longer, with figures and punctuation: it is searched for secrets.
LONG_QUERY = "Compare the 3 cheapest flights from Oslo to Paris on 2026-05-17, max. 1 stop. " * 4
LONG_ANSWER = "1. OSL-CDG 07:35, 2 h 25 min, EUR 89; 2. OSL-ORY 12:10, EUR 94 (hand luggage). " * 4

current: contextvars.ContextVar[Any] = contextvars.ContextVar("floor", default=None)


class Floor:
    """A span that does the least: one context variable, two clock readings, a list."""

    __slots__ = ("end", "inputs", "name", "node_type", "notes", "outputs", "start", "take", "token")

    def __init__(self, name: str, node_type: str, take: Callable[[Any], object]) -> None:
        self.name = name
        self.node_type = node_type
        self.take = take
        self.inputs: dict[str, Any] = {}
        self.outputs: dict[str, Any] = {}
        self.notes: list[str] = []

    def node(self, name: str, node_type: str) -> Floor:
        return Floor(name, node_type, self.take)

    def __enter__(self) -> Floor:
        self.token = current.set(self)
        self.start = time.perf_counter_ns()
        return self

    def __exit__(self, *error: object) -> None:
        self.end = time.perf_counter_ns()
        current.reset(self.token)
        self.take(self)

    def input(self, **values: Any) -> None:
        self.inputs.update(values)

    def output(self, **values: Any) -> None:
        self.outputs.update(values)

    def annotate(self, text: str) -> None:
        self.notes.append(text)


class Nothing:
    """A span that is off and does nothing at all."""

    def node(self, name: str, node_type: str) -> Nothing:
        return self

    def __enter__(self) -> Nothing:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def input(self, **values: Any) -> None:
        return None

    output = input

    def annotate(self, text: str) -> None:
        return None


def steps(root: Any, query: str, answer: str, count: int) -> None:
    """Do steps below a span that has logtracer's methods."""
    for _ in range(count):
        with root.node("step", "llm_call") as step:
            step.input(query=query)
            step.output(answer=answer)
            step.annotate(WHY)


def spans(trace: Any, query: str = QUERY, answer: str = ANSWER) -> Contender:
    """Return the contender of what opens traces whose root has logtracer's methods."""

    @contextmanager
    def opened() -> Iterator[Callable[[int], None]]:
        with trace() as root:
            yield partial(steps, root, query, answer)

    return opened


def floor() -> Floor:
    """Return a root whose steps are kept in a list."""
    kept: list[Floor] = []
    return Floor("trace", "trace", kept.append)


@contextmanager
def floor_file(path: str) -> Iterator[Floor]:
    """Yield a root whose steps are kept, and written as JSON lines through a buffered file."""
    encode = json.JSONEncoder(ensure_ascii=False).encode
    kept: list[Floor] = []
    with open(path, "w", encoding="utf-8") as file:

        def take(step: Floor) -> None:
            kept.append(step)
            facts = {
                "name": step.name,
                "type": step.node_type,
                "start": step.start,
                "end": step.end,
                "input": step.inputs,
                "output": step.outputs,
                "annotations": step.notes,
            }
            file.write(encode(facts) + "\n")

        with Floor("trace", "trace", take) as root:
            yield root


def traces(storage: Any = None, **configuration: Any) -> Any:
    """Return what opens traces of a logtracer of its own."""
    return partial(Tracer(TracerConfig(**configuration), storage).trace, "trace")


def nodetracer(store: str, *arguments: str) -> Any:
    """Return what opens traces of nodetracer."""
    core: Any = importlib.import_module("nodetracer.core")
    storage: Any = importlib.import_module("nodetracer.storage")
    return partial(core.Tracer(storage=getattr(storage, store)(*arguments)).trace, "trace")


def eliot(destination: Callable[[Any], object]) -> Contender:
    """Return the contender of eliot, writing to a destination."""
    library: Any = importlib.import_module("eliot")

    def work(count: int) -> None:
        for _ in range(count):
            with library.start_action(action_type="step", kind="llm_call", query=QUERY) as step:
                step.add_success_fields(answer=ANSWER, annotation=WHY)

    @contextmanager
    def opened() -> Iterator[Callable[[int], None]]:
        library.add_destinations(destination)
        try:
            with library.start_action(action_type="trace"):
                yield work
        finally:
            library.remove_destination(destination)

    return opened


def opentelemetry(exporter: Any, sampler: Any = None) -> Contender:
    """Return the contender of the OpenTelemetry SDK, every span exported as it ends."""
    sdk: Any = importlib.import_module("opentelemetry.sdk.trace")
    export: Any = importlib.import_module("opentelemetry.sdk.trace.export")
    provider = sdk.TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("benchmark")

    def work(count: int) -> None:
        for _ in range(count):
            with tracer.start_as_current_span("step") as span:
                span.set_attribute("type", "llm_call")
                span.set_attribute("query", QUERY)
                span.set_attribute("answer", ANSWER)
                span.add_event(WHY)

    @contextmanager
    def opened() -> Iterator[Callable[[int], None]]:
        with tracer.start_as_current_span("trace"):
            yield work

    return opened


def structlog(*last: Any, logger: Any = None) -> Contender:
    """Return the contender of structlog: an event when a step begins, and one when it ends."""
    library: Any = importlib.import_module("structlog")
    stamp = library.processors.TimeStamper(fmt="iso", utc=True)
    usual = [library.contextvars.merge_contextvars, library.processors.add_log_level, stamp]
    wrapper = library.make_filtering_bound_logger("info")
    log = library.wrap_logger(logger, processors=[*usual, *last], wrapper_class=wrapper).bind()

    def work(count: int) -> None:
        for _ in range(count):
            step = log.bind(step="step", type="llm_call")
            step.info("started", query=QUERY)
            step.info("ended", answer=ANSWER, annotation=WHY)

    @contextmanager
    def opened() -> Iterator[Callable[[int], None]]:
        with library.contextvars.bound_contextvars(trace="trace"):
            yield work

    return opened


def in_memory() -> dict[str, Contender]:
    """Return those that keep their steps in memory."""
    found = {"floor": spans(floor), "logtracer": spans(traces(MemoryStore()))}
    if has("eliot"):
        kept: list[Any] = []
        found["eliot"] = eliot(kept.append)
    if has("structlog"):
        testing: Any = importlib.import_module("structlog.testing")
        found["structlog"] = structlog(testing.LogCapture())
    if has("nodetracer"):
        found["nodetracer"] = spans(nodetracer("MemoryStore"))
    if has("opentelemetry-sdk"):
        name = "opentelemetry.sdk.trace.export.in_memory_span_exporter"
        exporter: Any = importlib.import_module(name)
        found["OpenTelemetry SDK"] = opentelemetry(exporter.InMemorySpanExporter())
    return found


def to_a_file(directory: str) -> dict[str, Contender]:
    """Return those that write their steps to files in a directory."""

    path = partial(os.path.join, directory)
    found = {
        "floor (lost on kill -9)": spans(partial(floor_file, path("floor"))),
        "logtracer": spans(traces(FileStore(path("logtracer")))),
    }
    if has("eliot"):
        library: Any = importlib.import_module("eliot")
        raw = open(path("eliot"), "wb", buffering=0)  # noqa: SIM115
        found["eliot"] = eliot(library.FileDestination(file=raw))
    if has("structlog"):
        library = importlib.import_module("structlog")
        logger = library.WriteLogger(open(path("structlog"), "w", encoding="utf-8"))  # noqa: SIM115
        found["structlog"] = structlog(library.processors.JSONRenderer(), logger=logger)
    if has("nodetracer"):
        found["nodetracer (lost on kill -9)"] = spans(nodetracer("FileStore", path("nodetracer")))
    if has("opentelemetry-sdk"):
        export: Any = importlib.import_module("opentelemetry.sdk.trace.export")
        out = open(path("opentelemetry"), "w", encoding="utf-8")  # noqa: SIM115
        found["OpenTelemetry SDK"] = opentelemetry(export.ConsoleSpanExporter(out=out))
    return found


def with_long_texts(directory: str) -> dict[str, Contender]:
    """Return floors and logtracer with inputs and outputs of 300 characters."""
    long = partial(spans, query=LONG_QUERY, answer=LONG_ANSWER)
    path = partial(os.path.join, directory)
    unsearched = traces(FileStore(path("unsearched")), redact_defaults=False)
    return {
        "floor, memory": long(floor),
        "logtracer, memory": long(traces(MemoryStore())),
        "floor, file": long(partial(floor_file, path("long floor"))),
        "logtracer, file": long(traces(FileStore(path("long")))),
        "logtracer without redaction, file": long(unsearched),
    }


def switched_off() -> dict[str, Contender]:
    """Return those that are there but record nothing."""
    found = {
        "floor: empty methods": spans(Nothing),
        "logtracer, disabled": spans(traces(enabled=False)),
        "logtracer, sampled out": spans(traces(sample_rate=0.0)),
    }
    if has("opentelemetry-sdk"):
        sampling: Any = importlib.import_module("opentelemetry.sdk.trace.sampling")
        found["OpenTelemetry SDK, sampled out"] = opentelemetry(None, sampling.ALWAYS_OFF)
    return found
