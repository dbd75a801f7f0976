"""What has ended is let go, however long the contexts live that saw it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from pathlib import Path

import pytest

from logtracer import FileStore, Span, Tracer, current_span


def recorded(tracer: Tracer) -> weakref.ref[Span]:
    """Record a trace with a large step and return a weak reference to its root."""
    with tracer.trace("run") as root, root.node("step") as step:
        step.output(text="x" * 100_000)
        tracer_contexts.append(contextvars.copy_context())
    return weakref.ref(root)


tracer_contexts: list[contextvars.Context] = []


def test_a_context_that_outlives_a_trace_does_not_hold_it(tmp_path: Path) -> None:
    tracer = Tracer(storage=FileStore(tmp_path))
    roots = [recorded(tracer) for _ in range(3)]
    gc.collect()
    assert [root() for root in roots] == [None] * 3
    assert [context.run(current_span) for context in tracer_contexts] == [None] * 3
    tracer_contexts.clear()


def test_a_timer_that_outlives_a_trace_does_not_hold_it(tmp_path: Path) -> None:
    async def run() -> weakref.ref[Span]:
        with Tracer(storage=FileStore(tmp_path)).trace("run") as root:
            asyncio.get_running_loop().call_later(60, print)
            waiting.append(asyncio.ensure_future(asyncio.sleep(60)))
            await asyncio.sleep(0)
        return weakref.ref(root)

    async def use() -> None:
        ended = await run()
        gc.collect()
        assert ended() is None
        waiting[0].cancel()

    waiting: list[asyncio.Future[None]] = []
    asyncio.run(use())


@pytest.mark.parametrize("is_held", [True, False])
def test_a_span_that_the_host_holds_can_be_read_after_its_trace(is_held: bool) -> None:
    with Tracer().trace("run") as root, root.node("step") as step:
        step.output(answer=42)
    context = contextvars.copy_context() if is_held else None
    gc.collect()
    assert root.trace.find("step") == step.node_record
    assert context is None or context.run(current_span) is None
