"""Fork: a child never hangs on what its parent held, and each node is recorded exactly once."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
from itertools import count
from pathlib import Path

import pytest

from logtracer import FileStore, Tracer, current_span
from logtracer_extras.stores.sqlite import SQLiteStore
from stress.figures import figure
from stress.forks import fork_while_tracing, in_child
from stress.reading import only_trace, statuses
from stress.stores import STORES

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("forks", [figure(20, 1_000)])
def test_children_of_a_tracing_process_never_hang(kind: str, forks: int, tmp_path: Path) -> None:
    fork_while_tracing(Tracer(storage=STORES[kind](tmp_path)), forks)


def test_a_child_never_hangs_on_a_store_that_its_parent_was_dropping(tmp_path: Path) -> None:
    def work() -> None:
        assert SQLiteStore(tmp_path / "child.db").list_traces() == []

    def open_and_drop() -> None:
        for number in count():
            if stop.is_set():
                return
            with Tracer(storage=SQLiteStore(tmp_path / f"{number}.db")).trace("run"):
                pass
            gc.collect(0)

    stop = threading.Event()
    thread = threading.Thread(target=open_and_drop)
    thread.start()
    try:
        assert [in_child(work) for _ in range(40)] == [0] * 40
    finally:
        stop.set()
        thread.join()


def test_what_the_forking_thread_does_meanwhile_never_hangs(tmp_path: Path) -> None:
    program = f"""if True:
        import os, signal, sys
        sys.path[:0] = {[str(ROOT)]!r}
        os.register_at_fork(before=lambda: record())
        from logtracer import Tracer
        from logtracer_extras.sqlite import SQLiteStore
        def record():
            with Tracer(storage=SQLiteStore({str(tmp_path / "traces.db")!r})).trace("run"): pass
        signal.alarm(4)
        if os.fork() == 0: os._exit(0)
        os.wait()
    """
    subprocess.run([sys.executable, "-c", program], check=True)
    assert len(SQLiteStore(tmp_path / "traces.db").list_traces()) == 1


def test_a_fork_inside_an_open_trace_records_each_node_once(tmp_path: Path) -> None:
    def work() -> None:
        with root.node("in child"):
            pass
        middle.__exit__(None, None, None)
        root.__exit__(None, None, None)

    tracer = Tracer(storage=FileStore(tmp_path))
    with tracer.trace("run") as root:
        with root.node("before"):
            pass
        with root.node("middle") as middle:
            assert in_child(work) == 0
        with root.node("after"):
            pass
    names = [node.name for node in only_trace(tracer).nodes.values()]
    assert sorted(names) == ["after", "before", "in child", "middle", "run"]
    assert set(statuses(only_trace(tracer)).values()) == {"completed"}


def test_a_child_that_outlives_its_parents_trace_is_merged_into_it(tmp_path: Path) -> None:
    readable, writable = os.pipe()
    tracer = Tracer(storage=FileStore(tmp_path))
    with tracer.trace("run") as root:
        process_id = os.fork()
        if process_id == 0:
            signal.alarm(20)
            os.read(readable, 1)  # until the parent has ended the trace
            with root.node("in child"):
                pass
            os._exit(0)
    os.write(writable, b"!")
    os.waitpid(process_id, 0)
    os.close(readable)
    os.close(writable)
    assert statuses(only_trace(tracer)) == {"run": "completed", "in child": "completed"}


def test_nodes_of_a_child_have_ids_of_their_own(tmp_path: Path) -> None:
    def work() -> None:
        for _ in range(20):
            with root.node("in child"):
                pass

    tracer = Tracer(storage=FileStore(tmp_path))
    with tracer.trace("run") as root:
        codes = [in_child(work) for _ in range(5)]
        work()
    assert codes == [0] * 5
    assert len(only_trace(tracer).nodes) == 1 + 6 * 20


def test_a_child_counts_only_what_it_recorded(tmp_path: Path) -> None:
    def work() -> None:
        with tracer.trace("in child"):
            pass
        assert tracer.stats()["finished"] == tracer.stats()["saved"] == 1

    tracer = Tracer(storage=FileStore(tmp_path))
    with tracer.trace("before"):
        pass
    assert in_child(work) == 0
    assert tracer.stats()["finished"] == 1


def test_a_child_inherits_the_current_span() -> None:
    with Tracer().trace("run") as root:
        assert in_child(lambda: check(current_span() is root)) == 0


def check(holds: bool) -> None:
    """Assert, where only an expression may stand."""
    assert holds


def test_trace_ids_of_children_differ() -> None:
    def work() -> None:
        with Tracer().trace("run") as root:
            os.write(writable, f"{root.trace.trace_id} {root.id}\n".encode())

    readable, writable = os.pipe()
    assert [in_child(work) for _ in range(20)] == [0] * 20
    os.close(writable)
    with os.fdopen(readable, "rb") as said:
        ids = said.read().split()
    assert len(set(ids)) == 40
