"""Threads, tasks, signals, collection, shutdown: who inherits, and that all is kept."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from logtracer import Span, TraceGraph, Tracer, current_span, propagate_context, trace_node
from stress import child
from stress.figures import figure
from stress.reading import named, only_trace, parents
from stress.stores import STORES


def name_of_current() -> str | None:
    span = current_span()
    return None if span is None else span.name


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Run the work in threads that start together, and wait for them."""
    barrier = threading.Barrier(count)

    def run(number: int) -> None:
        barrier.wait()
        work(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# ---- Threads ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("spans", [figure(200, 10_000)])
def test_spans_of_many_threads_are_all_kept_with_ids_and_numbers_of_their_own(
    kind: str, spans: int, tmp_path: Path
) -> None:
    def work(number: int) -> None:
        for _ in range(spans):
            with root.node("step") as step:
                step.output(thread=number)

    threads = figure(16, 32)
    tracer = Tracer(storage=STORES[kind](tmp_path))
    with tracer.trace("run") as root:
        in_threads(threads, work)
    nodes = only_trace(tracer).nodes.values()
    assert len({node.id for node in nodes}) == threads * spans + 1
    assert len({node.sequence_number for node in nodes}) == threads * spans + 1
    assert tracer.stats()["saved"] == threads * spans + 1


def test_traces_of_many_threads_do_not_meet() -> None:
    def work(number: int) -> None:
        for _ in range(50):
            with tracer.trace(f"run {number}"):
                step = trace_node(f"step {number}")(name_of_current)
                assert step() == f"step {number}"

    tracer = Tracer()
    in_threads(8, work)
    traces = [tracer.storage.load(trace_id) for trace_id in tracer.storage.list_traces()]
    assert len(traces) == 400
    for trace in traces:
        assert trace is not None and [node.depth for node in trace.nodes.values()] == [0, 1]


def test_a_trace_read_while_threads_record_has_every_parent() -> None:
    def work(number: int) -> None:
        for _ in range(300):
            with root.node("outer") as outer, outer.node("inner"):
                pass

    with Tracer().trace("run") as root:
        recorders = threading.Thread(target=in_threads, args=(4, work))
        recorders.start()
        while recorders.is_alive():
            nodes = root.trace.nodes
            assert all(n.parent_id in nodes for n in nodes.values() if n.name != "run")
        recorders.join()


def test_a_span_may_be_left_by_another_thread() -> None:
    tracer = Tracer()
    with tracer.trace("run") as root:
        step = root.node("step").__enter__()
        in_threads(1, lambda number: step.__exit__(None, None, None))
        assert current_span() is root
    assert named(only_trace(tracer), "step").status == "completed"


def inherited_by_thread() -> str | None:
    found: list[str | None] = []
    in_threads(1, lambda number: found.append(name_of_current()))
    return found[0]


async def in_executor(function: Callable[[], str | None]) -> str | None:
    return await asyncio.get_running_loop().run_in_executor(None, function)


async def by_call_soon() -> str | None:
    future: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: future.set_result(name_of_current()))
    return await future


async def in_task() -> str | None:
    async def ask() -> str | None:
        return name_of_current()

    return await asyncio.create_task(ask())


async def in_executor_propagated() -> str | None:
    return await in_executor(propagate_context(name_of_current))


INHERITANCE: dict[str, tuple[Callable[[], Any], str | None]] = {
    "to_thread": (lambda: asyncio.to_thread(name_of_current), "run"),
    "create_task": (in_task, "run"),
    "call_soon": (by_call_soon, "run"),
    "run_in_executor": (lambda: in_executor(name_of_current), None),
    "run_in_executor propagated": (in_executor_propagated, "run"),
}


@pytest.mark.parametrize("way", INHERITANCE)
def test_the_current_span_is_inherited_as_documented(way: str) -> None:
    start, expected = INHERITANCE[way]

    async def main() -> None:
        async with Tracer().trace("run"):
            assert await start() == expected

    asyncio.run(main())


def test_threads_and_pools_inherit_through_propagate_context() -> None:
    def ask(number: int) -> str | None:
        return name_of_current()

    with ThreadPoolExecutor(2) as pool, Tracer().trace("run"):
        names = list(pool.map(propagate_context(ask), range(20)))
    assert names == ["run"] * 20


def test_an_explicit_parent_is_kept_in_any_thread() -> None:
    def work(number: int) -> None:
        with root.node(f"step {number}"):
            assert name_of_current() == f"step {number}"

    tracer = Tracer()
    with tracer.trace("run") as root:
        in_threads(4, work)
    assert set(parents(only_trace(tracer)).values()) == {None, "run"}


def test_a_thread_that_inherits_an_ended_span_heals() -> None:
    with Tracer().trace("run"):
        bound = propagate_context(name_of_current)
    assert bound() is None


# ---- Tasks --------------------------------------------------------------------------------------


def test_five_hundred_tasks_each_have_their_own_current_span() -> None:
    async def work(root: Span, number: int) -> None:
        async with root.node(f"step {number}"):
            await asyncio.sleep(0)
            assert name_of_current() == f"step {number}"
            trace_node(f"below {number}")(name_of_current)()

    async def main() -> None:
        async with tracer.trace("run") as root:
            await asyncio.gather(*(work(root, number) for number in range(500)))

    tracer = Tracer()
    asyncio.run(main())
    found = parents(only_trace(tracer))
    assert all(found[f"below {number}"] == f"step {number}" for number in range(500))


def test_a_cancelled_task_leaves_its_node_cancelled_and_its_caller_alone() -> None:
    async def work() -> None:
        with trace_span("work"):
            await asyncio.Event().wait()

    async def main() -> None:
        async with tracer.trace("run") as root:
            task = asyncio.create_task(work())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert current_span() is root

    tracer = Tracer()
    asyncio.run(main())
    assert named(only_trace(tracer), "work").status == "cancelled"


def trace_span(name: str) -> Span:
    """Return a span below the current one."""
    current = current_span()
    assert current is not None
    return current.node(name)


# ---- Lanes --------------------------------------------------------------------------------------


def lanes(trace: TraceGraph) -> dict[str, str | None]:
    return {node.name: node.metadata.get("lane") for node in trace.nodes.values()}


def branches(trace: TraceGraph) -> set[tuple[str, str]]:
    nodes = trace.nodes
    return {
        (nodes[edge.source_id].name, nodes[edge.target_id].name)
        for edge in trace.edges
        if edge.edge_type == "branched_from"
    }


@pytest.mark.parametrize("kind", STORES)
def test_children_in_other_threads_have_lanes_and_branch_from_their_parent(
    kind: str, tmp_path: Path
) -> None:
    def work(number: int) -> None:
        with root.node(f"step {number}") as step, step.node(f"below {number}"):
            pass

    tracer = Tracer(storage=STORES[kind](tmp_path))
    with tracer.trace("run") as root:
        in_threads(2, work)
    trace = only_trace(tracer)
    found = lanes(trace)
    assert found["step 0"] and found["step 1"] and found["step 0"] != found["step 1"]
    assert branches(trace) == {("run", "step 0"), ("run", "step 1")}
    assert found["below 0"] is None


def test_children_in_tasks_of_their_own_have_lanes() -> None:
    @trace_node("search")
    async def search() -> None:
        await asyncio.sleep(0)

    async def main() -> None:
        async with tracer.trace("run"):
            await asyncio.gather(search(), search(), search())

    tracer = Tracer()
    asyncio.run(main())
    nodes = [node for node in only_trace(tracer).nodes.values() if node.name == "search"]
    assert len({node.metadata["lane"] for node in nodes}) == 3


def test_sequential_work_has_neither_lanes_nor_branches() -> None:
    async def main() -> None:
        async with tracer.trace("run") as root:
            for name in ("first", "second"):
                async with root.node(name):
                    await asyncio.sleep(0)

    tracer = Tracer()
    asyncio.run(main())
    trace = only_trace(tracer)
    assert branches(trace) == set()
    assert set(lanes(trace).values()) == {None}


# ---- Where Python interrupts itself -------------------------------------------------------------


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")
@pytest.mark.parametrize("kind", STORES)
def test_a_signal_handler_may_trace_at_any_moment(kind: str, tmp_path: Path) -> None:
    def handler(number: int, frame: object) -> None:
        with tracer.trace("in handler") as inner, inner.node("step"), root.node("beside"):
            pass
        signals.append(number)
        if len(signals) < enough:  # only now, or a slow machine handles signals in handlers
            signal.setitimer(signal.ITIMER_REAL, 0.0005)

    signals: list[int] = []
    enough = figure(100, 5_000)
    tracer = Tracer(storage=STORES[kind](tmp_path))
    previous = signal.signal(signal.SIGALRM, handler)
    try:
        with tracer.trace("run") as root:
            signal.setitimer(signal.ITIMER_REAL, 0.0005)
            while len(signals) < enough:
                with root.node("step") as step:
                    step.output(text="x" * 100)
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert tracer.stats()["errors"] == 0
    assert tracer.stats()["finished"] == tracer.stats()["saved"]
    assert current_span() is None


class TracesWhenCollected:
    """Records a node from `__del__`, in a cycle so that only the collector frees it."""

    def __init__(self, root: Span) -> None:
        self._root = root
        self._self = self

    def __del__(self) -> None:
        with self._root.node("in __del__"):
            pass


@pytest.mark.parametrize("kind", STORES)
def test_an_object_may_trace_while_it_is_collected(kind: str, tmp_path: Path) -> None:
    tracer = Tracer(storage=STORES[kind](tmp_path))
    thresholds = gc.get_threshold()
    with tracer.trace("run") as root:
        gc.set_threshold(5)  # collect inside the tracer's own allocations
        for number in range(200):
            TracesWhenCollected(root)
            with root.node("step") as step:
                step.output(values=[number])
        gc.set_threshold(*thresholds)
        gc.collect()
    names = [node.name for node in only_trace(tracer).nodes.values()]
    assert (names.count("in __del__"), names.count("step")) == (200, 200)


COLLECTION = """
import gc
from logtracer import Tracer

class TracesWhenCollected:
    def __init__(self):
        self.cycle = self
    def __del__(self):
        with root.node("in __del__"):
            pass

with Tracer().trace("run") as root:
    for threshold in 2, 5, 7, 11:
        gc.set_threshold(threshold)
        for number in range(300):
            TracesWhenCollected()
            with root.node("step"):
                [[] for _ in range(number % 7)]
"""


def test_a_collection_while_the_current_span_changes_crashes_no_interpreter() -> None:
    assert child.run(COLLECTION).returncode == 0


def test_a_finished_trace_is_freed_with_its_tracer() -> None:
    tracer = Tracer()
    with tracer.trace("run") as root:
        pass
    gone = weakref.ref(root)
    del root, tracer
    gc.collect()
    assert gone() is None


SHUTDOWN = """
import atexit, sys, threading
from pathlib import Path
from logtracer import Tracer
from stress.stores import STORES

tracer = Tracer(storage=STORES[sys.argv[1]](Path(sys.argv[2])))

def trace(name):
    with tracer.trace(name) as root, root.node("step"):
        pass

def trace_for_ever():
    while True:
        trace("in daemon")
        started.set()

atexit.register(trace, "in atexit")
started = threading.Event()
threading.Thread(target=trace_for_ever, daemon=True).start()
started.wait()
trace("main")
opened = tracer.trace("open").__enter__()
opened.node("open step").start()
%s
"""
EXITS = {
    "end of file": ("", 0),
    "sys.exit(3)": ("sys.exit(3)", 3),
    "an exception": ("raise ValueError('the host fails')", 1),
}


@pytest.mark.parametrize("way", EXITS)
def test_a_process_that_ends_keeps_its_traces_and_its_exit_code(way: str, tmp_path: Path) -> None:
    statement, code = EXITS[way]
    run = child.run(SHUTDOWN % statement, "file", tmp_path, seconds=20)
    assert run.returncode == code
    assert "logtracer" not in run.stderr and "Exception ignored" not in run.stderr
    store = STORES["file"](tmp_path)
    found = [store.load(trace_id) for trace_id in store.list_traces()]
    names = {trace.name for trace in found if trace is not None}
    assert {"main", "in atexit", "open", "in daemon"} <= names


SPAWNED = """
import multiprocessing, sys
from pathlib import Path
from logtracer import FileStore, Tracer

def work(store, number):
    tracer = Tracer(storage=store)
    for _ in range(12):
        with tracer.trace(f"run {number}") as root, root.node("step"):
            pass
    return tracer.stats()["saved"]

if __name__ == "__main__":
    store = FileStore(sys.argv[2])
    Tracer(storage=store).trace("parent").__enter__()
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(3) as pool:
        assert pool.starmap(work, [(store, number) for number in range(3)]) == [24] * 3
        pool.close()
        pool.join()
"""


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_one_store_serves_a_pool_of_processes(method: str, tmp_path: Path) -> None:
    import multiprocessing

    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"needs the start method {method}")
    script = tmp_path / "pool.py"
    script.write_text(SPAWNED, encoding="utf-8")
    source = f"import runpy, sys; sys.argv[0] = {str(script)!r}; runpy.run_path({str(script)!r}"
    run = child.run(source + ", run_name='__main__')", method, tmp_path / "traces")
    assert (run.returncode, run.stderr) == (0, "")
    store = STORES["file"](tmp_path)
    assert len(store.list_traces()) == 37
