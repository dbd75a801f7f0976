"""Exceptions that steer a program, and the schedulers that raise them."""

from __future__ import annotations

import asyncio
import builtins
import concurrent.futures
import importlib
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from logtracer import EXCEPTION_STATUSES, Node, NodeStatus, Span, Tracer, current_span, trace_node
from needs import needs
from stress.reading import parents


def left_by(error: BaseException) -> Node:
    """Return the node of a step that an exception leaves."""
    with Tracer().trace("run") as root:
        with pytest.raises(type(error)) as caught, root.node("step") as step:
            raise error
        assert caught.value is error
    return step.node_record


def made(name: str, base: type[BaseException], message: str = "") -> BaseException:
    """Return an exception of a class of some name, as a framework has it."""
    kind: Any = type(name, (base,), {})
    error: BaseException = type(f"{name}Now", (kind,), {})(message)
    return error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (made("GraphInterrupt", Exception), "paused"),
        (made("CallDeferred", Exception), "paused"),
        (made("ApprovalRequired", Exception), "paused"),
        (made("Cancelled", BaseException), "cancelled"),
        (made("GreenletExit", BaseException), "cancelled"),
        (made("RerunException", BaseException), "completed"),
        (made("StopException", BaseException), "completed"),
        (concurrent.futures.CancelledError(), "cancelled"),
        (asyncio.CancelledError(), "cancelled"),
        (pytest.skip.Exception("not today"), "completed"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_an_exception_that_steers_is_no_failure(error: BaseException, status: str) -> None:
    node = left_by(error)
    assert (node.status, node.error) == (status, None)
    assert node.metadata["logtracer.ended_by"]


@pytest.mark.parametrize(
    "error",
    [
        made("Cancelled", Exception, "an order"),  # an error that has the same name
        made("StopException", Exception),
        made("Skipped", Exception),
        made("Whatever", BaseException),
        pytest.fail.Exception("wrong"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_other_exception_is_a_failure(error: BaseException) -> None:
    node = left_by(error)
    assert (node.status, node.error) == ("failed", str(error))


def test_an_adapter_may_say_what_an_exception_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXCEPTION_STATUSES, "WaitForHuman", NodeStatus.PAUSED)
    assert left_by(made("WaitForHuman", Exception)).status == "paused"


def test_a_pause_by_exception_pauses_the_steps_above() -> None:
    error = made("GraphInterrupt", Exception)
    root = Tracer().trace("run").__enter__()
    with pytest.raises(type(error)), root, root.node("node") as node, node.node("ask"):
        raise error
    assert {n.name: n.status for n in root.trace.nodes.values()} == {
        "run": "paused", "node": "paused", "ask": "paused"}  # fmt: skip
    assert not root.trace.failed_nodes


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups of exceptions are new in 3.11")
def test_a_group_means_what_all_of_its_exceptions_mean() -> None:
    group: Any = getattr(builtins, "BaseExceptionGroup")
    stops = [asyncio.CancelledError(), asyncio.CancelledError()]
    assert left_by(group("stops", stops)).status == "cancelled"
    assert left_by(group("outer", [group("inner", stops)])).status == "cancelled"
    mixed = group("mixed", [asyncio.CancelledError(), ValueError("wrong")])
    assert left_by(mixed).status == "failed"


# Other schedulers


@trace_node()
async def worker(sleep: Any) -> None:
    await sleep(0)


def in_trio(function: Any, *args: Any) -> Any:
    needs("trio")
    return importlib.import_module("trio").run(function, *args)


def test_what_trio_cancels_is_cancelled() -> None:
    async def run() -> Span:
        trio: Any = importlib.import_module("trio")
        with Tracer().trace("run") as root:
            with trio.move_on_after(0), root.node("step"):
                await trio.sleep_forever()
            return root

    root = in_trio(run)
    assert {node.status for node in root.trace.find_all("step")} == {"cancelled"}
    assert root.trace.status == "completed"


def test_tasks_of_trio_have_lanes_and_branch_from_their_parent() -> None:
    async def run() -> Span:
        trio: Any = importlib.import_module("trio")
        with Tracer().trace("run") as root:
            async with trio.open_nursery() as nursery:
                for _ in range(2):
                    nursery.start_soon(worker, trio.sleep)
            with root.node("after"):
                pass
        return root

    trace = in_trio(run).trace
    assert len({node.metadata["lane"] for node in trace.find_all("worker")}) == 2
    assert [edge.edge_type for edge in trace.links()] == ["branched_from"] * 2


def test_tasks_of_trio_in_an_async_generator_are_below_its_span() -> None:
    async def steps() -> AsyncIterator[int]:
        trio: Any = importlib.import_module("trio")
        current = current_span()
        assert current is not None
        with current.node("stream"):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(worker, trio.sleep)
            yield 1

    async def run() -> Span:
        with Tracer().trace("run") as root:
            async for _ in steps():
                assert current_span() is root
        return root

    assert parents(in_trio(run).trace)["worker"] == "stream"


def test_a_greenlet_that_is_killed_is_cancelled() -> None:
    needs("gevent")
    gevent: Any = importlib.import_module("gevent")
    roots: list[Span] = []

    def work() -> None:
        with Tracer().trace("run") as root:
            roots.append(root)
            gevent.sleep(60)

    greenlet = gevent.spawn(work)
    gevent.sleep(0)
    greenlet.kill()
    assert roots[0].trace.status == "cancelled"
