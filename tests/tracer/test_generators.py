"""Generators with spans inside: while one is suspended, its consumer does not notice."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any

import pytest

from logtracer import Span, Tracer, current_span, trace_node
from stress.reading import named, only_trace, parents, statuses


def step(name: str) -> None:
    """Record a node below whatever is current."""
    current = current_span()
    assert current is not None
    with current.node(name):
        pass


def plain(name: str, count: int = 2) -> Generator[int, None, None]:
    """Open a span in a plain generator."""
    current = current_span()
    assert current is not None
    with current.node(name):
        for number in range(count):
            step(f"in {name} {number}")
            yield number


@trace_node("decorated")
def decorated(count: int = 2) -> Generator[int, None, None]:
    for number in range(count):
        step(f"in decorated {number}")
        yield number


async def plain_async(name: str, count: int = 2) -> AsyncGenerator[int, None]:
    current = current_span()
    assert current is not None
    async with current.node(name):
        for number in range(count):
            step(f"in {name} {number}")
            yield number


@trace_node("decorated")
async def decorated_async(count: int = 2) -> AsyncGenerator[int, None]:
    for number in range(count):
        step(f"in decorated {number}")
        yield number


# ---- Plain generators ---------------------------------------------------------------------------


def test_the_consumer_of_a_suspended_generator_keeps_its_own_current_span() -> None:
    tracer = Tracer()
    with tracer.trace("run") as root:
        generator = plain("generator")
        next(generator)
        assert current_span() is root
        step("caller")
        list(generator)
    found = parents(only_trace(tracer))
    assert found["caller"] == "run"
    assert found["in generator 0"] == found["in generator 1"] == "generator"


def test_two_generators_closed_out_of_order_keep_their_own_children() -> None:
    tracer = Tracer()
    with tracer.trace("run") as root:
        first, second = plain("first"), plain("second")
        for generator in (first, second, first, second):
            next(generator)
        first.close()
        second.close()
        assert current_span() is root
    found = parents(only_trace(tracer))
    assert found["in first 1"] == "first"
    assert found["in second 1"] == "second"
    assert found["first"] == found["second"] == "run"


def test_a_generator_inside_a_generator_is_below_it() -> None:
    def outer() -> Iterator[int]:
        with root.node("outer"):
            for number in plain("inner"):
                step(f"between {number}")
                yield number

    tracer = Tracer()
    with tracer.trace("run") as root:
        for number in outer():
            step(f"caller {number}")
    found = parents(only_trace(tracer))
    assert found["inner"] == found["between 0"] == "outer"
    assert found["caller 0"] == found["caller 1"] == "run"


def test_a_generator_that_delegates_is_suspended_with_its_delegate() -> None:
    def outer() -> Iterator[int]:
        with root.node("outer"):
            yield from plain("inner")

    tracer = Tracer()
    with tracer.trace("run") as root:
        for number in outer():
            step(f"caller {number}")
    found = parents(only_trace(tracer))
    assert (found["inner"], found["in inner 0"], found["caller 0"]) == ("outer", "inner", "run")


def test_a_context_manager_made_of_a_generator_encloses_its_with_block() -> None:
    @contextlib.contextmanager
    def phase(name: str) -> Iterator[Span]:
        with root.node(name) as span:
            yield span

    tracer = Tracer()
    with tracer.trace("run") as root:
        with phase("phase"):
            step("inside")
        step("after")
    found = parents(only_trace(tracer))
    assert (found["inside"], found["after"]) == ("phase", "run")


def through_a_helper(root: Span) -> Iterator[None]:
    @contextlib.contextmanager
    def phase() -> Iterator[None]:
        with root.node("inside"):
            yield

    with phase():
        yield


def through_an_exit_stack(root: Span) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        stack.enter_context(root.node("inside"))
        yield


@pytest.mark.parametrize("generate", [through_a_helper, through_an_exit_stack])
def test_a_span_that_a_helper_opens_in_a_generator_is_suspended_with_it(generate: Any) -> None:
    with Tracer().trace("run") as root:
        generator = generate(root)
        next(generator)
        assert current_span() is root
        generator.close()


def test_a_generator_left_early_ends_quietly(caplog: pytest.LogCaptureFixture) -> None:
    tracer = Tracer()
    with tracer.trace("run") as root:
        for _ in plain("generator", count=5):
            break
        gc.collect()
        assert current_span() is root
    node = named(only_trace(tracer), "generator")
    assert node.status == "completed"
    assert "GeneratorExit" in str(node.metadata)
    assert caplog.records == []


def test_a_generator_that_outlives_its_trace_is_kept_when_it_ends() -> None:
    tracer = Tracer()
    with tracer.trace("run"):
        generator = plain("generator")
        next(generator)
    assert current_span() is None
    generator.close()
    assert statuses(only_trace(tracer))["generator"] == "completed"


def test_a_trace_opened_in_a_generator_is_hidden_while_it_is_suspended() -> None:
    def run() -> Iterator[None]:
        with tracer.trace("inner"):
            yield
            step("inside")

    tracer = Tracer()
    generator = run()
    next(generator)
    assert current_span() is None
    assert list(generator) == []
    assert parents(only_trace(tracer))["inside"] == "inner"


# ---- Decorated generators -----------------------------------------------------------------------


def test_a_decorated_generator_covers_its_iteration_and_not_its_consumer() -> None:
    tracer = Tracer()
    with tracer.trace("run"):
        for number in decorated():
            step(f"caller {number}")
        step("after")
    found = parents(only_trace(tracer))
    assert found["in decorated 0"] == found["in decorated 1"] == "decorated"
    assert found["caller 0"] == found["caller 1"] == found["after"] == "run"


def test_a_decorated_generator_is_timed_from_its_first_step_to_its_end() -> None:
    tracer = Tracer()
    with tracer.trace("run"):
        generator = decorated()
        step("before")
        list(generator)
        step("after")
    order = list(parents(only_trace(tracer)))
    assert order == ["run", "before", "decorated", "in decorated 0", "in decorated 1", "after"]
    ends = {node.name: node.end_time for node in only_trace(tracer).nodes.values()}
    assert sorted(ends, key=lambda name: str(ends[name]))[3:5] == ["decorated", "after"]


def test_a_decorated_generator_passes_send_throw_and_return_value() -> None:
    @trace_node()
    def echo() -> Generator[Any, Any, str]:
        received = yield "first"
        try:
            yield received
        except KeyError as error:
            yield error
        return "done"

    with Tracer().trace("run"):
        generator = echo()
        problem = KeyError("thrown")
        assert [next(generator), generator.send("sent")] == ["first", "sent"]
        assert generator.throw(problem) is problem
        with pytest.raises(StopIteration) as stopped:
            next(generator)
    assert stopped.value.value == "done"


@pytest.mark.parametrize("is_recorded", [True, False])
def test_a_decorated_generator_runs_its_cleanup_when_closed(is_recorded: bool) -> None:
    seen: list[str] = []

    @trace_node()
    def careful() -> Generator[int, None, None]:
        try:
            yield 1
        finally:
            seen.append("cleanup")

    with Tracer().trace("run") if is_recorded else contextlib.nullcontext():
        generator = careful()
        next(generator)
        generator.close()
    assert seen == ["cleanup"]


def test_an_error_in_a_decorated_generator_reaches_the_consumer_and_fails_the_node() -> None:
    problem = RuntimeError("inside")

    @trace_node()
    def broken() -> Iterator[int]:
        yield 1
        raise problem

    tracer = Tracer()
    with tracer.trace("run"), pytest.raises(RuntimeError) as raised:
        list(broken())
    assert raised.value is problem
    assert statuses(only_trace(tracer))["broken"] == "failed"


def test_an_error_in_the_consumer_does_not_touch_a_decorated_generator() -> None:
    tracer = Tracer()
    with tracer.trace("run"):
        generator = decorated()
        with contextlib.suppress(ValueError):
            for _ in generator:
                raise ValueError("the consumer's own")
        del generator
        gc.collect()
    assert statuses(only_trace(tracer))["decorated"] == "completed"


def test_a_decorated_generator_may_be_consumed_from_several_contexts() -> None:
    tracer = Tracer()
    with tracer.trace("run"):
        generator = decorated()
        for _ in range(2):
            contextvars.copy_context().run(next, generator)
        generator.close()
    assert parents(only_trace(tracer))["in decorated 1"] == "decorated"


@pytest.mark.parametrize(
    ("function", "is_kind"),
    [
        (decorated, inspect.isgeneratorfunction),
        (decorated_async, inspect.isasyncgenfunction),
    ],
)
def test_a_decorated_generator_function_keeps_its_kind(function: Any, is_kind: Any) -> None:
    assert is_kind(function)


# ---- Async generators ---------------------------------------------------------------------------


def run_traced(main: Any) -> Tracer:
    """Run a coroutine function, given the root span, in a trace."""

    async def traced() -> None:
        async with tracer.trace("run") as root:
            await main(root)
        assert current_span() is None

    tracer = Tracer()
    asyncio.run(traced())
    return tracer


@pytest.mark.parametrize("generate", [lambda: plain_async("decorated"), decorated_async])
def test_the_consumer_of_an_async_generator_keeps_its_own_current_span(generate: Any) -> None:
    async def main(root: Span) -> None:
        async for number in generate():
            assert current_span() is root
            step(f"caller {number}")

    found = parents(only_trace(run_traced(main)))
    assert found["in decorated 0"] == found["in decorated 1"] == "decorated"
    assert found["caller 0"] == found["caller 1"] == "run"


@pytest.mark.parametrize("generate", [lambda: plain_async("decorated"), decorated_async])
def test_an_async_generator_closed_by_another_task_ends_quietly(
    generate: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(root: Span) -> None:
        chunks = generate()
        await chunks.__anext__()
        await asyncio.create_task(chunks.aclose())
        assert current_span() is root

    tracer = run_traced(main)
    assert statuses(only_trace(tracer)) == dict.fromkeys(
        ["run", "decorated", "in decorated 0"], "completed"
    )
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []
    assert tracer.stats()["errors"] == 0


@pytest.mark.parametrize("generate", [lambda: plain_async("decorated"), decorated_async])
def test_an_async_generator_left_by_break_ends_when_it_is_collected(
    generate: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(root: Span) -> None:
        async for _ in generate():
            break
        gc.collect()
        await asyncio.sleep(0)  # the loop closes it in a task of its own
        await asyncio.sleep(0)
        assert current_span() is root

    assert statuses(only_trace(run_traced(main)))["decorated"] == "completed"
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_a_stream_drained_by_another_task_loses_no_chunk() -> None:
    async def drain(chunks: AsyncIterator[int]) -> list[int]:
        return [chunk async for chunk in chunks]

    async def main(root: Span) -> None:
        chunks = decorated_async(4)
        first = await chunks.__anext__()
        rest = await asyncio.create_task(drain(chunks))
        assert [first, *rest] == [0, 1, 2, 3]

    found = parents(only_trace(run_traced(main)))
    assert found["in decorated 3"] == "decorated"


def test_a_decorated_async_generator_passes_asend_and_athrow() -> None:
    @trace_node()
    async def echo() -> AsyncGenerator[Any, Any]:
        received = yield "first"
        try:
            yield received
        except KeyError as error:
            yield error

    async def main(root: Span) -> None:
        generator = echo()
        problem = KeyError("thrown")
        assert [await generator.asend(None), await generator.asend("sent")] == ["first", "sent"]
        assert await generator.athrow(problem) is problem
        assert [item async for item in generator] == []

    assert statuses(only_trace(run_traced(main)))["echo"] == "completed"


def test_a_decorated_async_generator_started_outside_a_trace_sees_one_opened_later() -> None:
    @trace_node()
    async def names() -> AsyncIterator[str | None]:
        for _ in range(2):
            span = current_span()
            yield None if span is None else span.name

    async def main() -> list[str | None]:
        generator = names()
        outside = await generator.__anext__()
        with Tracer().trace("run"):
            return [outside, await generator.__anext__()]

    assert asyncio.run(main()) == [None, "run"]


def test_work_that_an_async_generator_awaits_is_below_its_span() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        step("work")

    async def gather() -> AsyncIterator[int]:
        current = current_span()
        assert current is not None
        async with current.node("generator"):
            await asyncio.gather(work())
            yield 1

    async def main(root: Span) -> None:
        async for _ in gather():
            step("caller")

    found = parents(only_trace(run_traced(main)))
    assert (found["work"], found["caller"]) == ("generator", "run")
