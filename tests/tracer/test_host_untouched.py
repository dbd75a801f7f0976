"""Programs run as they would without the tracer: what is decorated can be pickled and copied."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import pickle
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from logtracer import (
    FileStore,
    MemoryStore,
    Node,
    Tracer,
    current_span,
    propagate_context,
    trace_node,
)
from needs import needs
from stress import child

# Pickling


DECORATED = """
import asyncio, sys
from logtracer import Tracer, current_span, propagate_context, trace_node

@trace_node(capture_args=True, capture_return=True)
def double(value):
    return 2 * value

@trace_node()
async def triple(value):
    return 3 * value

@trace_node()
def count(limit):
    yield from range(limit)

@trace_node()
async def acount(limit):
    for number in range(limit):
        yield number

class Agent:
    def __init__(self):
        self.tracer = Tracer()

    @trace_node()
    def run(self, value):
        return value + 1

async def collect(items):
    return [item async for item in items]

def use(double, triple, count, acount, agent, bound):
    return [double(2), asyncio.run(triple(2)), list(count(2)), asyncio.run(collect(acount(2))),
            agent.run(2), bound(2)]

THINGS = [double, triple, count, acount, Agent(), propagate_context(double)]
EXPECTED = [4, 6, [0, 1], [0, 1], 3, 4]
assert use(*THINGS) == EXPECTED
"""
RETRACED = """
with Tracer().trace("run") as root:
    assert use(*copies) == EXPECTED
names = [node.name for node in root.trace.nodes.values()]
assert names == ["run", "double", "triple", "count", "acount", "run"], names
"""


def test_decorated_functions_of_a_script_can_be_pickled_by_value() -> None:
    needs("cloudpickle")
    source = f"{DECORATED}\nimport cloudpickle, pickle\n"
    source += "with Tracer().trace('open'):\n    data = cloudpickle.dumps(THINGS)\n"
    run = child.run(f"{source}copies = pickle.loads(data)\n{RETRACED}")
    assert (run.returncode, run.stderr) == (0, "")


def test_decorated_functions_of_a_script_reach_other_processes(tmp_path: Path) -> None:
    needs("cloudpickle")
    data = tmp_path / "functions"
    source = f"{DECORATED}\nimport cloudpickle, pathlib\n"
    source += "data = cloudpickle.dumps((THINGS, use, EXPECTED))\n"
    assert child.run(f"{source}pathlib.Path(sys.argv[1]).write_bytes(data)", data).returncode == 0
    loaded = "import pathlib, pickle, sys\nfrom logtracer import Tracer\n"
    loaded += "copies, use, EXPECTED = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())\n"
    run = child.run(loaded + RETRACED, data)
    assert (run.returncode, run.stderr) == (0, "")


def test_decorated_functions_of_a_script_run_in_a_pool(tmp_path: Path) -> None:
    needs("joblib")
    source = f"{DECORATED}\nimport joblib\n"
    source += "results = joblib.Parallel(n_jobs=2)(joblib.delayed(double)(i) for i in range(3))\n"
    run = child.run(f"{source}assert results == [0, 2, 4], results")
    assert run.returncode == 0, run.stderr


@trace_node()
def square(value: int) -> int:
    return value * value


def test_decorated_functions_of_a_module_can_be_pickled_by_name() -> None:
    assert pickle.loads(pickle.dumps(square)) is square


def test_a_propagated_function_takes_the_context_of_where_it_is_unpickled() -> None:
    tracer = Tracer()
    with tracer.trace("here"):
        data = pickle.dumps(propagate_context(name_of_current))
    with tracer.trace("there"):
        copied = pickle.loads(data)
        assert (copied(), copied.__name__) == ("there", "name_of_current")


def name_of_current() -> str | None:
    span = current_span()
    return None if span is None else span.name


def test_a_tracer_that_is_pickled_records_into_the_same_place(tmp_path: Path) -> None:
    tracer = pickle.loads(pickle.dumps(Tracer(storage=FileStore(tmp_path))))
    with tracer.trace("run") as root:
        pass
    assert FileStore(tmp_path).list_traces() == [root.trace.trace_id]


def test_a_memory_that_is_pickled_arrives_empty() -> None:
    store = MemoryStore(max_traces=3)
    with Tracer(storage=store).trace("run"):
        pass
    assert pickle.loads(pickle.dumps(store)).list_traces() == []


# Copies


@dataclass
class Deps:
    tracer: Tracer = field(default_factory=Tracer)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_copies_of_a_tracer_and_of_a_span_are_the_same(copied: Callable[[Any], Any]) -> None:
    tracer = Tracer()
    with tracer.trace("run") as root, root.node("step") as step:
        assert copied(tracer) is tracer
        assert copied(step) is step
        assert copied([step, {"tracer": tracer}]) == [step, {"tracer": tracer}]


def test_a_tracer_may_be_a_field_of_what_is_copied() -> None:
    deps = Deps()
    assert asdict(deps)["tracer"] is deps.tracer
    assert copy.deepcopy(deps).tracer is deps.tracer


# Methods and other callables


class Shop:
    """Has methods decorated in either order."""

    @trace_node(capture_args=True, capture_return=True)
    @classmethod
    def above_class(cls, item: str) -> str:
        return f"{cls.__name__} {item}"

    @classmethod
    @trace_node(capture_args=True, capture_return=True)
    def below_class(cls, item: str) -> str:
        return f"{cls.__name__} {item}"

    @trace_node(capture_args=True, capture_return=True)
    @staticmethod
    def above_static(item: str) -> str:
        return f"Shop {item}"

    @staticmethod
    @trace_node(capture_args=True, capture_return=True)
    def below_static(item: str) -> str:
        return f"Shop {item}"


@pytest.mark.parametrize("name", ["above_class", "below_class", "above_static", "below_static"])
@pytest.mark.parametrize("owner", [Shop, Shop()], ids=["class", "instance"])
def test_methods_may_be_decorated_in_either_order(name: str, owner: Any) -> None:
    assert getattr(owner, name)("tea") == "Shop tea"
    with Tracer().trace("run") as root:
        assert getattr(owner, name)("tea") == "Shop tea"
    node = root.trace.find(name)
    assert node is not None and node.input_data == {"item": "tea"}
    assert node.output_data == {"return_value": "Shop tea"}


def test_what_is_no_function_is_refused_with_the_remedy() -> None:
    prop: Any = property(lambda self: 1)
    with pytest.raises(TypeError, match=r"cannot trace a property; put @trace_node\(\) below @"):
        trace_node()(prop)


class Doubler:
    def __call__(self, value: int) -> int:
        return 2 * value


class AsyncDoubler:
    async def __call__(self, value: int) -> int:
        return 2 * value


def recorded(function: Callable[[], object]) -> list[Node]:
    """Return the nodes below the root that a function leaves."""
    with Tracer().trace("run") as root:
        function()
    return [node for node in root.trace.nodes.values() if node.depth]


def test_a_partial_is_named_after_its_function_and_records_all_arguments() -> None:
    def join(first: str, second: str, *, end: str) -> str:
        return first + second + end

    part = trace_node(capture_args=True)(functools.partial(join, "a", end="."))
    [node] = recorded(lambda: part("b"))
    assert (node.name, node.input_data) == ("join", {"first": "a", "second": "b", "end": "."})


def test_a_callable_object_is_named_after_its_class() -> None:
    called = trace_node(capture_args=True, capture_return=True)(Doubler())
    [node] = recorded(lambda: called(2))
    assert (node.name, node.input_data) == ("Doubler", {"value": 2})
    assert node.output_data == {"return_value": 4}


# Functions that return work which is yet to be done


async def slow(value: int) -> int:
    await asyncio.sleep(0)
    inner()
    return 2 * value


def numbers(limit: int) -> Iterator[int]:
    for number in range(limit):
        inner()
        yield number


async def anumbers(limit: int) -> AsyncIterator[int]:
    for number in range(limit):
        inner()
        yield number


@trace_node()
def inner() -> None:
    """Be a step of what goes on."""


async def collected(items: AsyncIterator[int]) -> list[int]:
    return [item async for item in items]


def passed_on(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function that a decorator without a kind stands between."""

    @functools.wraps(function)
    def between(*args: Any) -> Any:
        return function(*args)

    return trace_node(capture_return=True)(between)


@pytest.mark.parametrize(
    ("function", "finish", "output"),
    [
        (slow, asyncio.run, {"return_value": 4}),
        (numbers, list, {"yielded": [0, 1]}),
        (anumbers, lambda items: asyncio.run(collected(items)), {"yielded": [0, 1]}),
        (AsyncDoubler(), asyncio.run, {"return_value": 4}),
    ],
    ids=["coroutine", "generator", "async generator", "callable"],
)
def test_the_node_of_a_call_is_open_until_its_work_is_done(
    function: Any, finish: Callable[[Any], Any], output: dict[str, Any]
) -> None:
    def use() -> None:
        work = passed_on(function)(2)
        assert name_of_current() == "run"
        assert finish(work) == finish(function(2))
        assert name_of_current() == "run"

    nodes = recorded(use)
    assert nodes[0].output_data == output and nodes[0].status == "completed"
    below = [node for node in nodes[1:] if node.parent_id == nodes[0].id]
    assert [node.name for node in below] == (
        [] if isinstance(function, AsyncDoubler) else ["inner"] * (1 if function is slow else 2)
    )


def test_work_that_fails_later_fails_its_node() -> None:
    async def broken() -> None:
        raise ValueError("later")

    def use() -> None:
        with pytest.raises(ValueError, match="later"):
            asyncio.run(passed_on(broken)())

    [node] = recorded(use)
    assert (node.status, node.error) == ("failed", "later")


def test_work_that_is_returned_keeps_its_kind_and_its_name() -> None:
    with Tracer().trace("run"):
        work = passed_on(slow)(2)
        assert inspect.iscoroutine(work) and work.__qualname__ == "slow"
        assert asyncio.run(work) == 4
        steps = passed_on(numbers)(1)
        assert inspect.isgenerator(steps) and steps.__name__ == "numbers"
        steps.close()


# What generators yield


def test_what_a_generator_yields_is_its_output() -> None:
    @trace_node(capture_return=True)
    def words() -> Iterator[str]:
        yield "Hello, "
        yield "world"

    @trace_node(capture_return=True)
    def mixed() -> Generator[object, None, int]:
        yield {"n": [1]}
        yield "text"
        return 7

    nodes = recorded(lambda: [*words(), *mixed()])
    assert nodes[0].output_data == {"yielded": "Hello, world"}
    assert nodes[1].output_data == {"yielded": [{"n": [1]}, "text"], "return_value": 7}


def test_what_an_async_generator_yields_is_its_output() -> None:
    @trace_node(capture_return=True)
    async def words() -> AsyncIterator[str]:
        yield "Hello, "
        yield "world"

    async def use() -> None:
        async for _ in words():
            pass

    [node] = recorded(lambda: asyncio.run(use()))
    assert node.output_data == {"yielded": "Hello, world"}


def test_what_was_yielded_before_the_consumer_stopped_is_kept() -> None:
    @trace_node(capture_return=True)
    def words() -> Iterator[str]:
        yield "Hello, "
        yield "world"

    def use() -> None:
        for _ in words():
            break

    [node] = recorded(use)
    assert node.output_data == {"yielded": "Hello, "}


# Annotations that are not known yet


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated lazily from 3.14")
def test_annotations_may_name_what_is_defined_later() -> None:
    space: dict[str, Any] = {"trace_node": trace_node}
    code = "@trace_node(capture_args=True)\ndef make(x: int) -> Later: return x\n"
    exec(compile(code, "later", "exec"), space)
    [node] = recorded(lambda: space["make"](7))
    assert node.input_data == {"x": 7}


def test_a_signature_that_raises_leaves_the_function_alone() -> None:
    class Odd:
        @property
        def __signature__(self) -> Any:
            raise NameError("not yet")

        def __call__(self, value: int) -> int:
            return value

    function = trace_node(capture_args=True)(Odd())
    [node] = recorded(lambda: function(7))
    assert node.name == "Odd"
