"""Sudden death: what had been acknowledged is in the file, and nothing claims to have ended."""

from __future__ import annotations

import itertools
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from logtracer import FileStore, Node, StorageBackend, TraceGraph, Tracer
from logtracer_extras.stores.sqlite import SQLiteStore
from stress.figures import figure

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

STEPS = 12  # in a trace; small, so that deaths also meet the end of one


DEADLY = (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)

MakeStore = Callable[[Path], StorageBackend]
MAKERS: dict[str, MakeStore] = {
    "file": lambda directory: FileStore(directory),
    "sqlite": lambda directory: SQLiteStore(directory / "traces.db"),
}


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest) -> MakeStore:
    """Give what makes each store that outlives its process, in a directory."""
    return MAKERS[request.param]


def record_for_ever(store: StorageBackend, acknowledge: Callable[[str], None]) -> None:
    """Record trace after trace, and say of each node and trace that it has ended."""
    tracer = Tracer(storage=store)
    while True:
        with tracer.trace("run") as root:
            trace_id = root.trace.trace_id
            for number in range(STEPS):
                with root.node("outer") as outer:
                    outer.input(number=number)
                    with outer.node("inner") as inner:
                        inner.output(number=number, text="x" * 500)
                    acknowledge(f"{trace_id} {inner.id}")
                acknowledge(f"{trace_id} {outer.id}")
        acknowledge(f"{trace_id} {root.id}")


Work = Callable[[StorageBackend, Callable[[str], None]], None]


def start(work: Work, make: MakeStore, directory: Path) -> tuple[int, int]:
    """Start the work in a forked process; return its id and the pipe of what it says."""
    readable, writable = os.pipe()
    process_id = os.fork()
    if process_id == 0:
        try:
            os.close(readable)
            for how in DEADLY:  # whatever the test run's own parent chose to ignore
                signal.signal(how, signal.SIG_DFL)
            work(make(directory), lambda line: void(os.write(writable, f"{line}\n".encode())))
        finally:
            os._exit(0)
    os.close(writable)
    return process_id, readable


def void(written: int) -> None:
    """Drop a result."""


def kill_after(
    lines: int, make: MakeStore, directory: Path, how: signal.Signals
) -> list[list[str]]:
    """Let a recording process acknowledge some lines, kill it, and return what it said."""
    process_id, readable = start(record_for_ever, make, directory)
    with os.fdopen(readable, "rb") as said:
        heard = list(itertools.islice(said, lines))
        os.kill(process_id, how)
        os.waitpid(process_id, 0)
        heard += said.readlines()
    return [line.decode().split() for line in heard if line.endswith(b"\n")]


def check_trace(trace: TraceGraph, acknowledged: set[str]) -> None:
    """Check that acknowledged nodes have ended and the others have not."""
    lost = acknowledged - trace.nodes.keys()
    assert lost == set()
    for node in trace.nodes.values():
        assert node.status in ("completed", "interrupted")
        if node.id in acknowledged:
            assert node.status == "completed"
    for node in filter(is_open, trace.nodes.values()):
        children = trace.children(node.id)
        if node.name == "outer" and children:  # its input came before
            assert set(node.input_data) == {"number"}
        assert trace.root_nodes[0].status == "interrupted"


def is_open(node: Node) -> bool:
    """Tell whether a node had not ended when its process died."""
    return node.status == "interrupted"


@pytest.mark.parametrize("kills", [figure(25, 1_000)])
def test_a_killed_process_loses_nothing_that_it_had_acknowledged(
    kills: int, make: MakeStore, tmp_path: Path
) -> None:
    chance = random.Random(0)
    store = make(tmp_path)
    for _ in range(kills):
        said = kill_after(chance.randint(1, 4 * STEPS), make, tmp_path, signal.SIGKILL)
        for trace_id in {trace_id for trace_id, _ in said}:
            trace = store.load(trace_id)
            assert trace is not None
            check_trace(trace, {node_id for known, node_id in said if known == trace_id})
    for trace_id in store.list_traces():
        store.load(trace_id)  # some may hold no line yet; none is unreadable


@pytest.mark.parametrize("how", DEADLY)
def test_a_signal_that_ends_a_process_loses_nothing_either(
    how: signal.Signals, make: MakeStore, tmp_path: Path
) -> None:
    said = kill_after(STEPS, make, tmp_path, how)
    trace = make(tmp_path).load(said[-1][0])
    assert trace is not None
    check_trace(trace, {node_id for trace_id, node_id in said if trace_id == trace.trace_id})


def test_what_ended_before_os_exit_is_kept_and_the_rest_is_interrupted(
    make: MakeStore, tmp_path: Path
) -> None:
    def work(store: StorageBackend, acknowledge: Callable[[str], None]) -> None:
        with Tracer(storage=store).trace("run") as root:
            with root.node("done"):
                pass
            with root.node("open") as node:
                node.input(question="why")
                os._exit(0)

    process_id, readable = start(work, make, tmp_path)
    os.waitpid(process_id, 0)
    os.close(readable)
    store = make(tmp_path)
    trace = store.load(store.list_traces()[0])
    assert trace is not None
    found = {node.name: (node.status.value, node.input_data) for node in trace.nodes.values()}
    assert found == {
        "run": ("interrupted", {}),
        "done": ("completed", {}),
        "open": ("interrupted", {"question": "why"}),
    }


def test_a_trace_that_still_runs_shows_its_open_nodes_as_running(
    make: MakeStore, tmp_path: Path
) -> None:
    with Tracer(storage=make(tmp_path)).trace("run") as root:
        seen = make(tmp_path).load(root.trace.trace_id)
    assert seen is not None and seen.root_nodes[0].status == "running"
