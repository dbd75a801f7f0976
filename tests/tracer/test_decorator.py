"""The decorator: records calls, and changes nothing else about a function."""

from __future__ import annotations

import asyncio
import inspect
import pickle
from collections import namedtuple
from collections.abc import Iterator
from typing import Any

import pytest

import logtracer
from logtracer import Node, NodeType, Tracer, trace_node
from stress.reading import named, only_trace, parents


@trace_node("module_level", NodeType.TOOL_CALL)
def module_level(city: str, *, unit: str = "C") -> dict[str, Any]:
    """Return the weather."""
    return {"city": city, "unit": unit}


def call_traced(function: Any, *args: Any, **kwargs: Any) -> Node:
    """Call a decorated function in a trace and return its node."""
    tracer = Tracer()
    with tracer.trace("run"):
        function(*args, **kwargs)
    [node] = [node for node in only_trace(tracer).nodes.values() if node.depth == 1]
    return node


def test_a_call_is_a_node_below_the_current_span() -> None:
    node = call_traced(module_level, "Paris")
    assert (node.name, node.node_type, node.status) == ("module_level", "tool_call", "completed")
    assert (node.input_data, node.output_data) == ({}, {})


def test_outside_a_trace_a_call_goes_straight_through() -> None:
    assert module_level("Paris", unit="F") == {"city": "Paris", "unit": "F"}


def test_the_name_is_the_functions_unless_given() -> None:
    @trace_node()
    def search() -> None:
        return None

    assert call_traced(search).name == "search"


def test_a_decorated_function_keeps_its_face() -> None:
    assert module_level.__name__ == "module_level"
    assert module_level.__doc__ == "Return the weather."
    assert list(inspect.signature(module_level).parameters) == ["city", "unit"]
    assert pickle.loads(pickle.dumps(module_level)) is module_level


async def coroutine() -> int:
    return 1


def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> Any:
    yield 1


@pytest.mark.parametrize("function", [coroutine, generator, async_generator, call_traced])
def test_a_decorated_function_keeps_its_kind(function: Any) -> None:
    decorated = trace_node()(function)
    for is_kind in (
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
    ):
        assert is_kind(decorated) == is_kind(function)


def test_arguments_are_recorded_when_asked_for_with_their_defaults() -> None:
    @trace_node(capture_args=True)
    def many(a: int, *rest: int, b: int = 2, **more: int) -> None:
        return None

    node = call_traced(many, 1, 7, 8, c=3)
    assert node.input_data == {"a": 1, "rest": [7, 8], "b": 2, "more": {"c": 3}}


class Agent:
    """Has methods of all kinds."""

    @trace_node(capture_args=True)
    def ask(self, question: str) -> None:
        return None

    @classmethod
    @trace_node(capture_args=True)
    def make(cls, name: str) -> None:
        return None

    @staticmethod
    @trace_node(capture_args=True)
    def check(value: int) -> None:
        return None


def test_self_and_cls_are_never_recorded() -> None:
    assert call_traced(Agent().ask, "why").input_data == {"question": "why"}
    assert call_traced(Agent.make, "ada").input_data == {"name": "ada"}
    assert call_traced(Agent.check, 1).input_data == {"value": 1}


Pair = namedtuple("Pair", "left right")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": 1}, {"a": 1}),
        ({}, {}),
        (Pair(1, 2), {"left": 1, "right": 2}),
        (42, {"return_value": 42}),
        (None, {"return_value": None}),
        ([1, 2], {"return_value": [1, 2]}),
        ({1: 2}, {"return_value": {"1": 2}}),
    ],
)
def test_a_returned_record_is_the_output_and_anything_else_its_return_value(
    value: Any, expected: dict[str, Any]
) -> None:
    @trace_node(capture_return=True)
    def give() -> Any:
        return value

    assert call_traced(give).output_data == expected


def test_the_returned_object_itself_is_returned() -> None:
    @trace_node(capture_return=True)
    def give() -> object:
        return value

    value = object()
    with Tracer().trace("run"):
        assert give() is value


def test_a_call_with_wrong_arguments_fails_as_without_the_decorator() -> None:
    decorated: Any = trace_node(capture_args=True)(module_level)
    with Tracer().trace("run"), pytest.raises(TypeError, match="argument"):
        decorated()


def test_calls_nest() -> None:
    @trace_node()
    def outer(levels: int) -> None:
        inner()
        if levels:
            outer(levels - 1)

    @trace_node()
    def inner() -> None:
        return None

    tracer = Tracer()
    with tracer.trace("run"):
        outer(1)
    depths = [(node.name, node.depth) for node in only_trace(tracer).nodes.values()]
    assert depths == [("run", 0), ("outer", 1), ("inner", 2), ("outer", 2), ("inner", 3)]


def test_a_coroutine_is_timed_until_it_returns() -> None:
    @trace_node(capture_return=True)
    async def outer() -> int:
        await asyncio.sleep(0)
        return await inner()

    @trace_node()
    async def inner() -> int:
        return 42

    async def main() -> int:
        async with tracer.trace("run"):
            return await outer()

    tracer = Tracer()
    assert asyncio.run(main()) == 42
    assert parents(only_trace(tracer)) == {"run": None, "outer": "run", "inner": "outer"}
    assert named(only_trace(tracer), "outer").output_data == {"return_value": 42}


def test_a_coroutine_that_is_never_awaited_is_no_node() -> None:
    tracer = Tracer()
    with tracer.trace("run"):
        trace_node()(coroutine)().close()
    assert len(only_trace(tracer).nodes) == 1


def test_hostile_arguments_and_results_pass() -> None:
    class Hostile:
        """Raises whatever is asked of it."""

        def __getattribute__(self, name: str) -> Any:
            raise LookupError(name)

    @trace_node(capture_args=True, capture_return=True)
    def same(value: Hostile) -> Hostile:
        return value

    value = Hostile()
    with Tracer().trace("run"):
        assert same(value) is value


@pytest.mark.parametrize("function", [len, dict, str.upper, list])
def test_built_in_functions_can_be_decorated(function: Any) -> None:
    decorated = trace_node(capture_args=True)(function)
    with Tracer().trace("run"):
        assert decorated("") == function("")


def test_forgotten_parentheses_are_refused_at_once() -> None:
    decorate: Any = trace_node
    with pytest.raises(TypeError, match="parentheses"):
        decorate(coroutine)


def test_the_decorator_of_the_old_import_path_is_the_same() -> None:
    from importlib import import_module

    assert import_module("logtracer.core").trace_node is logtracer.trace_node
