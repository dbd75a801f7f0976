"""What has ended is let go, however long the contexts live that saw it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from pathlib import Path

import pytest

import logtracer
from logtracer import FileStore, Span, TraceGraph, Tracer, current_span


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


def test_large_steps_are_let_go_once_they_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logtracer, "_KEPT_TEXT", 300_000)
    tracer = Tracer(storage=FileStore(tmp_path))
    with tracer.trace("run") as root, tracer.trace("beside") as beside:
        for number in range(20):
            with root.node(f"step {number}") as step:
                step.output(text="x" * 50_000)
            assert sum(map(len, root._recording.finished)) <= 200_000
    assert beside.trace.status == "completed"
    texts = [len(node.output_data["text"]) for node in root.trace.nodes.values() if node.depth]
    assert texts == [50_000] * 20
    assert tracer.stats()["saved"] == 22


def test_a_store_that_fails_to_load_what_it_holds_leaves_the_host_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(FileStore):
        def load(self, trace_id: str) -> TraceGraph | None:
            raise OSError("the disk is gone")

    monkeypatch.setattr(logtracer, "_KEPT_TEXT", 100)
    monkeypatch.setattr(logtracer, "_KEPT_SHARE", 100)
    tracer = Tracer(storage=Broken(tmp_path))
    with tracer.trace("run") as root, root.node("step") as step:
        step.output(text="x" * 200)
    assert root.trace.name == "run"
    assert tracer.stats()["errors"] == 1
