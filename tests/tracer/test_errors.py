"""Exceptions: each gives its node a status, and reaches the host as it was, whatever it is."""

from __future__ import annotations

import asyncio
import builtins
import gc
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest

from logtracer import Node, Tracer, current_span, trace_node
from stress.reading import named, only_trace
from stress.stores import STORES


def failed_with(error: BaseException, tracer: Tracer | None = None) -> Node:
    """Let an error leave a span, check that it arrives, and return the span's node."""
    tracer = tracer or Tracer()
    caught: BaseException | None = None
    try:
        with tracer.trace("run") as root, root.node("step"):
            raise error
    except BaseException as arrived:
        caught = arrived
    assert caught is error
    assert current_span() is None
    return named(only_trace(tracer), "step")


class OwnBase(BaseException):
    """Neither an Exception nor one of Python's own."""


class Cancelled(asyncio.CancelledError):
    """A library's own kind of cancellation."""


STATUSES: list[tuple[BaseException, str]] = [
    (ValueError("bad"), "failed"),
    (OwnBase("bad"), "failed"),
    (StopIteration(1), "failed"),
    (SystemExit(3), "failed"),
    (SystemExit("message"), "failed"),
    (SystemExit(0), "completed"),
    (SystemExit(None), "completed"),
    (GeneratorExit(), "completed"),
    (KeyboardInterrupt(), "cancelled"),
    (asyncio.CancelledError(), "cancelled"),
    (Cancelled(), "cancelled"),
]


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize(("error", "status"), STATUSES, ids=lambda value: repr(value))
def test_an_exception_gives_its_status_and_passes(
    error: BaseException, status: str, kind: str, tmp_path: Path
) -> None:
    node = failed_with(error, Tracer(storage=STORES[kind](tmp_path)))
    assert node.status == status
    assert (node.error_type is not None) == (status == "failed")
    assert bool(node.metadata.get("logtracer.ended_by")) == (status != "failed")


def test_a_failed_node_has_message_type_and_traceback() -> None:
    node = failed_with(ValueError("bad input"))
    assert (node.error, node.error_type) == ("bad input", "ValueError")
    assert node.error_traceback is not None
    assert "raise error" in node.error_traceback and __file__ in node.error_traceback


def test_a_failure_reaches_every_enclosing_span() -> None:
    tracer = Tracer()
    with pytest.raises(KeyError), tracer.trace("run") as root, root.node("step"):
        raise KeyError("missing")
    assert [node.error_type for node in only_trace(tracer).failed_nodes] == ["KeyError"] * 2


def test_a_failure_that_the_host_handles_inside_the_span_is_none() -> None:
    tracer = Tracer()
    with tracer.trace("run") as root, root.node("step"):
        try:
            raise KeyError("missing")
        except KeyError:
            pass
    assert only_trace(tracer).failed_nodes == []


def test_an_exception_overrides_a_status_that_was_set() -> None:
    tracer = Tracer()
    with pytest.raises(KeyError), tracer.trace("run") as root:
        root.set_status(root.node_record.status)
        raise KeyError("missing")
    assert only_trace(tracer).root_nodes[0].status == "failed"


# ---- Exceptions whose own code misbehaves -------------------------------------------------------


class RaisingStr(Exception):
    def __str__(self) -> str:
        raise RuntimeError("from __str__")

    __repr__ = __str__


class InterruptingStr(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt

    __repr__ = __str__


class NotTextStr(Exception):
    def __str__(self) -> Any:
        return 42


def raise_lookup_error(value: object) -> Any:
    raise LookupError("from a class's own code")


RaisingClass: Any = type("RaisingClass", (Exception,), {"__class__": property(raise_lookup_error)})


RaisingCode: Any = type("RaisingCode", (SystemExit,), {"code": property(raise_lookup_error)})


class RaisingEquality:
    def __eq__(self, other: object) -> bool:
        raise LookupError("from __eq__")


RaisingName: Any = type("RaisingName", (type,), {"__name__": property(raise_lookup_error)})
Unnamed: Any = RaisingName("Unnamed", (Exception,), {})


class RaisingAttributes(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise LookupError(f"from {name}")


def cyclic() -> BaseException:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    first.__context__, second.__context__ = second, first
    return first


def chained(length: int) -> BaseException:
    error: BaseException = ValueError("innermost")
    for number in range(length):
        outer = ValueError(f"outer {number}")
        outer.__cause__ = error
        error = outer
    return error


HOSTILE: dict[str, Any] = {
    "raising __str__": RaisingStr,
    "KeyboardInterrupt from __str__": InterruptingStr,
    "__str__ that is no text": NotTextStr,
    "raising __class__": RaisingClass,
    "raising code": RaisingCode,
    "raising ==": lambda: SystemExit(RaisingEquality()),
    "raising __name__": Unnamed,
    "raising attributes": RaisingAttributes,
    "cyclic causes": cyclic,
    "long chain": lambda: chained(2_000),
    "10 MB message": lambda: ValueError("x" * 10_000_000),
    "surrogate message": lambda: ValueError("\ud800"),
    "bytes message": lambda: ValueError(b"\xff"),
    "recursion": RecursionError,
    "no memory": MemoryError,
}


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("shape", HOSTILE)
def test_an_exception_with_hostile_code_passes_and_fails_its_node(
    shape: str, kind: str, tmp_path: Path
) -> None:
    tracer = Tracer(storage=STORES[kind](tmp_path))
    node = failed_with(HOSTILE[shape](), tracer)
    assert node.status == "failed"
    assert node.error_type
    assert len(node.error or "") < 100_000
    assert len(node.error_traceback or "") < 100_000
    assert tracer.stats()["saved"] == 2


@pytest.mark.skipif(sys.version_info < (3, 11), reason="needs exception groups")
def test_an_exception_group_passes_and_shows_its_members() -> None:
    group = getattr(builtins, "ExceptionGroup")
    node = failed_with(group("many", [ValueError("one"), KeyError("two")]))
    assert node.status == "failed"
    assert "one" in (node.error_traceback or "") and "two" in (node.error_traceback or "")


def test_a_recorded_exception_keeps_nothing_of_the_host_alive() -> None:
    class Local:
        """Something large that a failing function held."""

    def fail() -> weakref.ref[Local]:
        local = Local()
        gone = weakref.ref(local)
        try:
            with tracer.trace("run") as root, root.node("step"):
                raise ValueError("bad")
        except ValueError:
            return gone

    tracer = Tracer()
    gc.disable()  # reference counts alone must free it
    try:
        gone = fail()
        assert gone() is None
    finally:
        gc.enable()


@trace_node()
def decorated(error: BaseException) -> None:
    raise error


@trace_node()
async def decorated_coroutine(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("call", [decorated, lambda e: asyncio.run(decorated_coroutine(e))])
def test_an_exception_passes_through_a_decorated_function(call: Any) -> None:
    error = ValueError("bad")
    tracer = Tracer()
    with pytest.raises(ValueError) as raised, tracer.trace("run"):
        call(error)
    assert raised.value is error
    assert len(only_trace(tracer).failed_nodes) == 2


def test_end_with_an_error_fails_a_span_that_no_with_encloses() -> None:
    tracer = Tracer()
    with tracer.trace("run") as root:
        root.node("step").start().end(ValueError("bad"))
    node = named(only_trace(tracer), "step")
    assert (node.status, node.error, node.error_type) == ("failed", "bad", "ValueError")
