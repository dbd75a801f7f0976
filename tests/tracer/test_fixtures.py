"""Generators that serve as context managers: what they open encloses what they serve."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from logtracer import Span, Tracer, current_span, trace_node
from needs import needs
from stress.reading import parents

TRACER = Tracer()


@trace_node()
def tool() -> None:
    """Be a step of the test that asks for a fixture."""


@pytest.fixture
def traced() -> Iterator[Span]:
    with TRACER.trace("test") as root:
        yield root


@pytest.fixture
def entered() -> Iterator[Span]:
    context = TRACER.trace("test")
    yield context.__enter__()
    context.__exit__(None, None, None)


@pytest.fixture
def delegated() -> Iterator[Span]:
    def opened() -> Iterator[Span]:
        with TRACER.trace("test") as root:
            yield root

    yield from opened()


@pytest.fixture(params=["traced", "entered", "delegated"])
def root(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def test_a_trace_that_a_fixture_opens_is_current_in_the_test(root: Span) -> None:
    tool()
    assert current_span() is root
    assert parents(root.trace) == {"test": None, "tool": "test"}


def test_nothing_is_current_after_a_fixture() -> None:
    assert current_span() is None


class Manager:
    """A context manager made of a generator by hand."""

    def __init__(self, steps: Iterator[Span]) -> None:
        self._steps = steps

    def __enter__(self) -> Span:
        return next(self._steps)

    def __exit__(self, *error: object) -> None:
        next(self._steps, None)


def opened(tracer: Tracer) -> Iterator[Span]:
    with tracer.trace("run") as root:
        yield root


def of_a_library(name: str) -> Callable[[Tracer], Any]:
    def make(tracer: Tracer) -> Any:
        needs(name)
        return importlib.import_module(name).contextmanager(opened)(tracer)

    return make


@pytest.mark.parametrize(
    "make",
    [
        contextlib.contextmanager(opened),
        lambda tracer: Manager(opened(tracer)),
        of_a_library("contextlib2"),
    ],
    ids=["contextlib", "by hand", "contextlib2"],
)
def test_a_trace_that_a_context_manager_opens_is_current_in_its_block(
    make: Callable[[Tracer], Any],
) -> None:
    with make(Tracer()) as made:
        root: Span = made
        tool()
        assert current_span() is root
    assert parents(root.trace) == {"run": None, "tool": "run"}
    assert current_span() is None


async def async_opened(tracer: Tracer) -> AsyncIterator[Span]:
    async with tracer.trace("run") as root:
        yield root


@pytest.mark.parametrize("library", ["contextlib", "asyncstdlib"])
def test_a_trace_that_an_async_context_manager_opens_is_current_in_its_block(library: str) -> None:
    module = importlib.import_module(needs(library))
    manager = getattr(module, "asynccontextmanager", None) or module.contextmanager

    async def use() -> Span:
        async with manager(async_opened)(Tracer()) as made:
            root: Span = made
            tool()
            assert current_span() is root
        assert current_span() is None
        return root

    assert parents(asyncio.run(use()).trace) == {"run": None, "tool": "run"}


def test_a_trace_that_a_hook_wrapper_opens_is_current_in_the_hooks() -> None:
    pluggy: Any = importlib.import_module("pluggy")  # comes with pytest
    spec: Any = pluggy.HookspecMarker("logtracer")
    impl: Any = pluggy.HookimplMarker("logtracer")
    roots: list[Span] = []

    class Spec:
        def work(self) -> None: ...

        work = spec(work)

    class Wrapper:
        def work(self) -> Any:
            with Tracer().trace("run") as root:
                roots.append(root)
                return (yield)

        work = impl(work, wrapper=True)

    class Worker:
        def work(self) -> None:
            tool()

        work = impl(work)

    manager = pluggy.PluginManager("logtracer")
    manager.add_hookspecs(Spec)
    for plugin in (Wrapper(), Worker()):
        manager.register(plugin)
    manager.hook.work()
    assert parents(roots[0].trace) == {"run": None, "tool": "run"}
    assert current_span() is None


def test_a_consumer_that_asks_for_one_item_is_not_enclosed() -> None:
    steps = opened(Tracer())
    root = next(steps)
    assert current_span() is None
    assert next(steps, None) is None
    assert root.node_record.status == "completed"
