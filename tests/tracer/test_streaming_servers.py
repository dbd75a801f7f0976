"""Generators whose steps run where the last one did not: in other threads, tasks and contexts."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import logtracer
from logtracer import Span, Tracer, current_span, trace_node
from stress.reading import only_trace, parents


@pytest.fixture(autouse=True)
def without_generators_of_other_tests() -> None:
    """Forget generators that tests before these have left suspended, and may still hold."""
    logtracer._streaming.clear()


@trace_node()
def tool(number: int) -> str:
    return str(number)


def answer(tracer: Tracer, count: int = 3) -> Iterator[str]:
    """Answer a request bit by bit, as a streaming server is given it."""
    with tracer.trace("run"):
        for number in range(count):
            yield tool(number)


async def async_answer(tracer: Tracer, count: int = 3) -> AsyncIterator[str]:
    with tracer.trace("run"):
        for number in range(count):
            yield tool(number)


END = object()


def in_copies(steps: Iterator[str]) -> None:
    """Run each step in a copy of the context, as servers do that have a pool of threads."""
    while contextvars.copy_context().run(next, steps, END) is not END:
        assert current_span() is None


def in_a_pool(steps: Iterator[str]) -> None:
    with ThreadPoolExecutor(3) as pool:
        step: Any = next
        while pool.submit(contextvars.copy_context().run, step, steps, END).result() is not END:
            assert current_span() is None


@pytest.mark.parametrize("consume", [list, in_copies, in_a_pool])
def test_every_step_of_a_generator_is_below_its_span(consume: Callable[[Any], Any]) -> None:
    tracer = Tracer()
    consume(answer(tracer))
    trace = only_trace(tracer)
    assert [node.name for node in trace.nodes.values()] == ["run", "tool", "tool", "tool"]
    assert parents(trace)["tool"] == "run"
    assert not logtracer._streaming


async def a_task_for_each_step(steps: AsyncIterator[str]) -> None:
    while True:
        try:
            await asyncio.ensure_future(steps.__anext__())
        except StopAsyncIteration:
            return
        assert current_span() is None


async def one_task(steps: AsyncIterator[str]) -> None:
    async for _ in steps:
        assert current_span() is None


@pytest.mark.parametrize("consume", [one_task, a_task_for_each_step])
def test_every_step_of_an_async_generator_is_below_its_span(consume: Any) -> None:
    tracer = Tracer()
    asyncio.run(consume(async_answer(tracer)))
    trace = only_trace(tracer)
    assert [node.name for node in trace.nodes.values()] == ["run", "tool", "tool", "tool"]
    assert not logtracer._streaming


def test_steps_that_move_between_tasks_are_no_branches() -> None:
    tracer = Tracer()
    asyncio.run(a_task_for_each_step(async_answer(tracer)))
    trace = only_trace(tracer)
    assert not trace.links()
    assert all("lane" not in node.metadata for node in trace.nodes.values())


def test_steps_of_a_generator_are_below_its_span_in_the_context_of_another() -> None:
    tracer = Tracer()
    with tracer.trace("request"):
        in_foreign = contextvars.copy_context()
    steps = answer(tracer)
    with tracer.trace("other") as other:
        while contextvars.copy_context().run(next, steps, END) is not END:
            assert current_span() is other
            assert in_foreign.run(current_span) is None
    counts = {len(trace.nodes) for trace in map(tracer.storage.load, tracer.storage.list_traces())
              if trace is not None}  # fmt: skip
    assert counts == {1, 4}


def test_the_innermost_open_span_of_a_generator_is_resumed() -> None:
    def nested(tracer: Tracer) -> Iterator[str]:
        with tracer.trace("run") as root:
            yield tool(0)
            with root.node("inner"):
                yield tool(1)
                yield tool(2)
            yield tool(3)

    tracer = Tracer()
    in_copies(nested(tracer))
    trace = only_trace(tracer)
    names = [trace.nodes[node.parent_id or ""].name for node in trace.find_all("tool")]
    assert names == ["run", "inner", "inner", "run"]
    assert not logtracer._streaming


def test_a_generator_within_a_generator_keeps_its_own_span() -> None:
    def outer(tracer: Tracer) -> Iterator[str]:
        with tracer.trace("outer"):
            yield tool(0)
            yield from answer(tracer, 2)
            yield tool(3)

    tracer = Tracer()
    in_copies(outer(tracer))
    shapes = [[n.name for n in trace.nodes.values()]
              for trace in map(tracer.storage.load, tracer.storage.list_traces())
              if trace is not None]  # fmt: skip
    assert sorted(shapes) == [["outer", "tool", "tool"], ["run", "tool", "tool"]]


def test_a_decorated_generator_in_a_generator_keeps_its_own_span() -> None:
    @trace_node()
    def words(count: int) -> Iterator[str]:
        for number in range(count):
            yield tool(number)

    def outer(tracer: Tracer) -> Iterator[str]:
        with tracer.trace("outer"):
            yield from words(2)

    tracer = Tracer()
    in_copies(outer(tracer))
    trace = only_trace(tracer)
    assert parents(trace) == {"outer": None, "words": "outer", "tool": "words"}


def test_a_generator_that_is_dropped_is_forgotten() -> None:
    tracer = Tracer()
    steps = answer(tracer)
    next(steps)
    assert len(logtracer._streaming) == 1
    del steps
    assert not logtracer._streaming
    assert only_trace(tracer).status == "completed"


def test_a_generator_resumed_in_a_newer_span_of_its_consumer_keeps_its_own() -> None:
    tracer = Tracer()
    steps = answer(tracer, 2)
    with tracer.trace("consumer") as consumer:
        assert next(steps) == "0"
        with consumer.node("newer"):
            assert next(steps) == "1"
            current = current_span()
            assert current is not None and current.name == "newer"
        assert current_span() is consumer
        assert next(steps, END) is END
    traces = [tracer.storage.load(trace_id) for trace_id in tracer.storage.list_traces()]
    shapes = [[n.name for n in trace.nodes.values()] for trace in traces if trace is not None]
    assert sorted(shapes) == [["consumer", "newer"], ["run", "tool", "tool"]]


def test_a_generator_goes_on_in_its_outer_span_whatever_lies_between() -> None:
    def layered(tracer: Tracer) -> Iterator[str]:
        with tracer.trace("run"):
            middle = opened("middle")
            with opened("inner"):
                yield tool(0)
            middle.end()
            yield tool(1)
            yield tool(2)

    def opened(name: str) -> Span:
        span = current_span()
        assert span is not None
        return span.node(name).__enter__() if name == "middle" else span.node(name)

    tracer = Tracer()
    in_copies(layered(tracer))
    trace = only_trace(tracer)
    names = [trace.nodes[node.parent_id or ""].name for node in trace.find_all("tool")]
    assert names == ["inner", "run", "run"]
    assert not logtracer._streaming
