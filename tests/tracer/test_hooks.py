"""Hooks: told of what happens, in order, and unable to disturb what they watch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from logtracer import Node, TraceGraph, Tracer, current_span, trace_node
from stress.quiet import minutes_later
from stress.reading import only_trace
from stress.stores import STORES

EVENTS = ["trace.started", "node.started", "node.updated", "node.completed", "node.failed",
          "trace.completed"]  # fmt: skip


class Recorder:
    """Notes every event, as a hook with all methods."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def on_trace_started(self, trace: TraceGraph) -> None:
        self.events.append(("trace.started", trace.name))

    def on_node_started(self, node: Node, trace_id: str) -> None:
        self.events.append(("node.started", node.name))

    def on_node_updated(self, node: Node, trace_id: str) -> None:
        self.events.append(("node.updated", node.name))

    def on_node_completed(self, node: Node, trace_id: str) -> None:
        self.events.append(("node.completed", node.name))

    def on_node_failed(self, node: Node, trace_id: str) -> None:
        self.events.append(("node.failed", node.name))

    def on_trace_completed(self, trace: TraceGraph) -> None:
        self.events.append(("trace.completed", trace.name))


EXPECTED = [
    ("trace.started", "run"),
    ("node.started", "run"),
    ("node.started", "step"),
    ("node.updated", "step"),
    ("node.completed", "step"),
    ("node.started", "bad"),
    ("node.failed", "bad"),
    ("node.completed", "run"),
    ("trace.completed", "run"),
]


def run(tracer: Tracer) -> None:
    """Record a trace in which every event happens."""
    with tracer.trace("run") as root:
        with root.node("step") as step:
            step.output(answer=42)
        with pytest.raises(ValueError), root.node("bad"):
            raise ValueError("bad")


@pytest.fixture(params=STORES)
def tracer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tracer]:
    """Give a tracer with each store in turn."""
    yield Tracer(storage=STORES[request.param](tmp_path))


def test_a_hook_is_told_of_everything_in_order(tracer: Tracer) -> None:
    hook = Recorder()
    tracer.hooks.append(hook)
    run(tracer)
    assert hook.events == EXPECTED


def test_a_listener_is_told_of_its_event_alone(tracer: Tracer) -> None:
    for event in EVENTS:
        heard: list[str] = []
        stop = tracer.on(event, lambda subject, *ids, heard=heard: heard.append(subject.name))
        run(tracer)
        stop()
        run(tracer)
        assert heard == [name for kind, name in EXPECTED if kind == event]


def test_unsubscribing_twice_does_nothing() -> None:
    tracer = Tracer()
    stop = tracer.on("node.started", lambda node, trace_id: None)
    stop()
    stop()


def test_an_unknown_event_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"node\.finished.*node\.completed"):
        Tracer().on("node.finished", print)


def test_a_hook_may_define_any_subset(tracer: Tracer) -> None:
    class Counter:
        """Counts failures alone."""

        failures = 0

        def on_node_failed(self, node: Node, trace_id: str) -> None:
            self.failures += 1

    hook: Any = Counter()
    tracer.hooks.append(hook)
    run(tracer)
    assert hook.failures == 1


def test_a_listener_that_comes_while_a_trace_runs_hears_the_rest(tracer: Tracer) -> None:
    heard: list[str] = []
    with tracer.trace("run") as root:
        with root.node("before"):
            pass
        tracer.on("node.completed", lambda node, trace_id: heard.append(node.name))
        with root.node("after"):
            pass
    assert heard == ["after", "run"]


def test_a_hook_sees_the_node_as_it_stands(tracer: Tracer) -> None:
    seen: list[Node] = []
    tracer.on("node.updated", lambda node, trace_id: seen.append(node))
    tracer.on("node.completed", lambda node, trace_id: seen.append(node))
    with tracer.trace("run") as root:
        root.input(a=1)
        root.output(b=2)
    assert [(node.input_data, node.output_data) for node in seen] == [
        ({"a": 1}, {}),
        ({"a": 1}, {"b": 2}),
        ({"a": 1}, {"b": 2}),
    ]


def test_a_hook_that_raises_is_counted_and_disturbs_nobody(
    tracer: Tracer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    minutes_later(monkeypatch)

    def fail(*arguments: object) -> None:
        raise RuntimeError("broken hook")

    hook = Recorder()
    for event in EVENTS:
        tracer.on(event, fail)
    tracer.hooks.append(hook)
    run(tracer)
    assert hook.events == EXPECTED
    assert tracer.stats()["errors"] == len(EXPECTED)
    assert len(only_trace(tracer).nodes) == 3
    assert len(caplog.records) == 1


@pytest.mark.parametrize("event", EVENTS[:2])
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_a_hook_that_stops_the_program_at_its_start_leaves_a_whole_record(
    event: str, kind: type[BaseException], tracer: Tracer
) -> None:
    check_stopping_at(event, kind, tracer)


@pytest.mark.parametrize("event", EVENTS[2:])
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_a_hook_that_stops_the_program_leaves_a_whole_record(
    event: str, kind: type[BaseException], tracer: Tracer
) -> None:
    check_stopping_at(event, kind, tracer)


def check_stopping_at(event: str, kind: type[BaseException], tracer: Tracer) -> None:
    """Check what is recorded when a hook ends the program."""

    def stop(*arguments: object) -> None:
        unsubscribe()
        raise kind

    unsubscribe = tracer.on(event, stop)
    with pytest.raises(kind):
        run(tracer)
    assert current_span() is None
    trace = only_trace(tracer)
    assert trace.end_time is not None
    assert all(node.end_time for node in trace.nodes.values())
    assert tracer.stats()["finished"] == tracer.stats()["saved"] == len(trace.nodes)


def test_what_a_hook_traces_is_recorded_and_calls_no_hook(tracer: Tracer) -> None:
    def record(node: Node, trace_id: str) -> None:
        with tracer.trace("from hook") as root, root.node("inside"):
            heard.append(node.name)

    heard: list[str] = []
    tracer.on("node.completed", record)
    with tracer.trace("run") as root, root.node("step"):
        pass
    assert heard == ["step", "run"]
    assert len(tracer.storage.list_traces()) == 3
    assert current_span() is None


def test_a_log_handler_may_trace_what_is_logged(tracer: Tracer) -> None:
    class Tracing(logging.Handler):
        """Records each message as a node, of the tracer's own messages too."""

        def emit(self, record: logging.LogRecord) -> None:
            span = current_span()
            if span is not None:
                with span.node("log") as node:
                    node.annotate(record.getMessage())

    logger = logging.getLogger()
    logger.addHandler(handler := Tracing())
    try:
        with tracer.trace("run") as root:
            logger.warning("hello")
            with root.node("step") as step:
                pass
            step.annotate("too late: the tracer logs this itself")
    finally:
        logger.removeHandler(handler)
    names = [node.name for node in only_trace(tracer).nodes.values()]
    assert names[:2] == ["run", "log"]
    assert len(names) <= 4


def test_hooks_of_one_thread_do_not_silence_those_of_another() -> None:
    import threading

    def record(node: Node, trace_id: str) -> None:
        heard.append(node.name)
        if node.name == "first":
            thread = threading.Thread(target=trace, args=("second",))
            thread.start()
            thread.join()

    def trace(name: str) -> None:
        with tracer.trace("run") as root, root.node(name):
            pass

    heard: list[str] = []
    tracer = Tracer()
    tracer.on("node.started", record)
    trace("first")
    assert heard == ["run", "first", "run", "second"]


def test_a_hook_whose_methods_cannot_be_called_is_passed_over() -> None:
    class Everything:
        """Has every attribute, none of them callable."""

        def __getattr__(self, name: str) -> Any:
            return 42

    tracer = Tracer(hooks=[Everything()])
    with tracer.trace("run"):
        pass
    assert len(only_trace(tracer).nodes) == 1


def count(calls: list[str]) -> Callable[..., None]:
    return lambda *arguments: calls.append("called")


def test_two_tracers_have_hooks_of_their_own() -> None:
    first, second = Tracer(), Tracer()
    calls: list[str] = []
    first.on("trace.completed", count(calls))
    run(second)
    assert calls == []


def test_a_hook_that_raises_when_it_is_looked_at_never_reaches_the_host() -> None:
    class Lazy:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("not bound yet")

    tracer = Tracer(hooks=[Lazy()])
    with tracer.trace("run") as root:
        root.output(answer=42)
    assert tracer.stats()["saved"] == 1


def test_a_hook_that_removes_itself_lets_the_next_one_hear_the_event() -> None:
    class Once:
        def on_trace_started(self, trace: TraceGraph) -> None:
            hooks.remove(self)

    recorder = Recorder()
    watched = Tracer(hooks=[recorder])
    hooks = watched.hooks
    hooks.insert(0, Once())
    with watched.trace("run"):
        pass
    assert recorder.events[0] == ("trace.started", "run")


def test_a_start_comes_before_the_arguments_that_were_given_ahead_of_it() -> None:
    @trace_node(name="step", capture_args=True)
    def step(number: int) -> int:
        return number

    recorder = Recorder()
    with Tracer(hooks=[recorder]).trace("run"):
        step(1)
    kinds = [kind for kind, name in recorder.events if name == "step"]
    assert kinds == ["node.started", "node.completed"]
