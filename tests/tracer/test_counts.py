"""Counts and bounds of a tracer: saved is what can be read, and what is stored is let go."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from logtracer import FileStore, StoreError, Tracer
from logtracer_extras.stores.sqlite import SQLiteStore
from stress.reading import only_trace, statuses


class Choosy(FileStore):
    """A store that refuses one kind of event when it is told to."""

    refuses = ""

    def write_event(self, trace_id: str, event: str, line: str) -> None:
        if event == self.refuses:
            raise StoreError("not now")
        super().write_event(trace_id, event, line)


def test_an_end_that_is_refused_drops_no_step_that_can_be_read(tmp_path: Path) -> None:
    store = Choosy(tmp_path)
    tracer = Tracer(storage=store)
    with tracer.trace("run") as root, root.node("step"):
        store.refuses = "trace.completed"
    assert len(only_trace(tracer).nodes) == 2
    assert (tracer.stats()["saved"], tracer.stats()["dropped"]) == (2, 0)


def test_a_step_that_ends_late_and_is_refused_counts_as_dropped(tmp_path: Path) -> None:
    store = Choosy(tmp_path)
    tracer = Tracer(storage=store)
    with tracer.trace("run") as root:
        late = root.node("late").start()
    store.refuses = "node.completed"
    late.end()
    assert (tracer.stats()["saved"], tracer.stats()["dropped"]) == (1, 1)


def test_a_finished_trace_that_is_on_disk_is_let_go_and_can_be_asked_for(tmp_path: Path) -> None:
    tracer = Tracer(storage=FileStore(tmp_path))
    with tracer.trace("run") as root:
        for _ in range(50):
            with root.node("step") as step:
                step.output(text="x" * 500)
    assert root._recording.finished == []
    assert root.trace == only_trace(tracer)
    assert len(root.trace.nodes) == 51


def test_many_open_runs_hold_little_of_what_their_store_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logtracer._KEPT_TEXT", 1_000_000)
    tracer = Tracer(storage=FileStore(tmp_path))
    roots = [tracer.trace(f"run {number}").__enter__() for number in range(10)]
    for _ in range(30):
        for root in roots:
            with root.node("step") as step:
                step.output(text="x" * 20_000)
    assert sum(root._recording.held for root in roots) < 1_200_000
    assert {len(root.trace.nodes) for root in roots} == {31}
    for root in reversed(roots):
        root.end()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("make", [FileStore, lambda path: SQLiteStore(path / "traces.db")])
def test_a_pause_in_a_forked_child_is_not_its_parents(make: Any, tmp_path: Path) -> None:
    tracer = Tracer(storage=make(tmp_path))
    with tracer.trace("run") as root, root.node("ask") as ask:
        process_id = os.fork()
        if not process_id:
            ask.input(question="in the child")
            ask.pause("a human")
            ask.resume()
            os._exit(0)
        os.waitpid(process_id, 0)
    assert statuses(only_trace(tracer)) == {"run": "completed", "ask": "completed"}


@pytest.mark.parametrize(("hours", "waited"), [(8, 28_800_000.0), (-2, 0.0)])
def test_the_time_waited_is_that_of_the_clock_on_the_wall(
    hours: int, waited: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time_ns()
    monkeypatch.setattr("logtracer._Clock.wall", lambda: now)
    with Tracer().trace("run") as root:
        root.pause("a human")
        now += hours * 3_600 * 10**9  # the machine was suspended, or its clock set back
        root.resume()
    assert root.node_record.metadata["logtracer.waited_ms"] == waited
