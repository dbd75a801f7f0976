"""Disks that fail at random: the host goes on, and what was acknowledged can be read."""

from __future__ import annotations

import contextlib
import os
import random
import threading
from pathlib import Path

import pytest

from logtracer import FileStore, Span, StoreError, Tracer
from logtracer_extras.stores.sqlite import SQLiteStore
from logtracer_extras.stores.tee import TeeStore
from store_suite import summaries, summaries_by_loading
from stress.disks import Acknowledging, FailingDisk, lost
from stress.figures import figure


class Program:
    """A random program of steps: nested, linked, late, failing, in threads, joined, paused."""

    def __init__(self, chance: random.Random, tracer: Tracer) -> None:
        self.chance = chance
        self.tracer = tracer
        self.late: list[Span] = []

    def run(self) -> None:
        """Record a run."""
        with contextlib.suppress(ValueError), self.tracer.trace("run") as root:
            for number in range(self.chance.randint(1, 4)):
                self.step(root, number)
            if self.chance.random() < 0.2:
                root.pause("a human")
            if self.chance.random() < 0.2:
                raise ValueError("the agent failed")
        for span in self.late:
            span.end()

    def step(self, parent: Span, number: int, depth: int = 0) -> None:
        """Record a step of a random kind."""
        kind = self.chance.choice(
            ["plain", "nested", "failing", "late", "linked", "thread", "part"]
        )
        span = parent.node(f"{kind} {number}")
        if kind == "late":
            self.late.append(span.start())
            return
        if kind == "part":
            with self.tracer.trace("part", parent=parent) as part, part.node("within"):
                return
        with contextlib.suppress(ValueError), span:
            span.input(text="x" * self.chance.choice([1, 100, 3_000]))
            if kind == "failing":
                raise ValueError(number)
            if kind == "linked":
                parent.link(span, "retry_of")
            if kind == "nested" and depth < 3:
                self.step(span, number, depth + 1)
            if kind == "thread":
                thread = threading.Thread(target=span.node("beside").start().end)
                thread.start()
                thread.join()


@pytest.mark.parametrize("share", [0.02, 0.2])
@pytest.mark.parametrize("programs", [figure(60, 3_000)])
def test_what_a_failing_disk_took_can_be_read(share: float, programs: int, tmp_path: Path) -> None:
    for seed in range(programs):
        directory = tmp_path / str(seed)
        chance = random.Random(seed)
        store = Acknowledging(str(directory))
        program = Program(chance, Tracer(storage=store))
        with FailingDisk(chance, share).installed():
            program.run()
        reader = FileStore(directory)
        found = {trace_id: reader.load(trace_id) for trace_id in reader.list_traces()}
        traces = {trace_id: trace for trace_id, trace in found.items() if trace is not None}
        assert list(lost(store, traces)) == [], f"seed {seed}"
        assert summaries(reader) == summaries_by_loading(reader)
        counts = program.tracer.stats()
        assert counts["started"] == counts["finished"] == counts["saved"] + counts["dropped"]
        ended = [n for trace in traces.values() for n in trace.nodes.values() if n.end_time]
        assert len(ended) == counts["saved"], f"seed {seed}"


@pytest.mark.parametrize("programs", [figure(40, 1_000)])
def test_a_tee_reads_what_any_of_its_stores_took(programs: int, tmp_path: Path) -> None:
    for seed in range(programs):
        chance = random.Random(seed)
        stores = [Acknowledging(str(tmp_path / f"{seed}.{number}")) for number in range(2)]
        tee = TeeStore(*stores)
        program = Program(chance, Tracer(storage=tee))
        with FailingDisk(chance, 0.1).installed():
            program.run()
        found = {trace_id: tee.load(trace_id) for trace_id in tee.list_traces()}
        traces = {trace_id: trace for trace_id, trace in found.items() if trace is not None}
        assert [each for store in stores for each in lost(store, traces)] == [], f"seed {seed}"


def test_nothing_is_left_open_by_failures(tmp_path: Path) -> None:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("descriptors are counted in /proc")
    before = len(os.listdir("/proc/self/fd"))
    for seed in range(20):
        chance = random.Random(seed)
        tracer = Tracer(storage=FileStore(tmp_path))
        with FailingDisk(chance, 0.2).installed(), tracer.trace("run") as root:
            for _ in range(20):
                with root.node("step"):
                    pass
    assert len(os.listdir("/proc/self/fd")) == before


class Forgetful(SQLiteStore):
    """Refuses some of the events."""

    chance = random.Random(0)

    def write_event(self, trace_id: str, event: str, line: str) -> None:
        """Take an event, or do not."""
        if self.chance.random() < 0.15:
            raise StoreError("not now")
        super().write_event(trace_id, event, line)


@pytest.mark.parametrize("programs", [figure(60, 1_500)])
def test_a_list_counts_what_loading_counts_whatever_was_refused(
    programs: int, tmp_path: Path
) -> None:
    store = Forgetful(tmp_path / "traces.db")
    for seed in range(programs):
        store.chance = random.Random(seed)
        Program(store.chance, Tracer(storage=store)).run()
    assert len(store.list_traces()) == programs
    assert summaries(store) == summaries_by_loading(store)
