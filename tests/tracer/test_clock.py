"""Time: taken from the wall once for each trace, and from a clock that never jumps after that."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from logtracer import Tracer, load_trace
from stress import child
from stress.reading import named, only_trace
from stress.stores import STORES

SOURCE = """
import sys, time
wall, monotonic = [1_700_000_000_000_000_000], [5_000_000_000]
time.time_ns = lambda: wall[0]
time.perf_counter_ns = lambda: monotonic[0]
from logtracer import FileStore, Tracer

with Tracer(storage=FileStore(sys.argv[1])).trace("run") as root:
    with root.node("step"):
        wall[0] -= int(sys.argv[2])  # somebody sets the clock
        monotonic[0] += 250_000_000
"""
HOUR = 3_600_000_000_000


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 10**18, 0])
def test_a_wall_clock_that_jumps_changes_no_duration(jump: int, tmp_path: Path) -> None:
    run = child.run(SOURCE, tmp_path, jump)
    assert (run.returncode, run.stderr) == (0, "")
    [path] = tmp_path.glob("*.json")
    trace = load_trace(path)
    assert trace.duration_ms == named(trace, "step").duration_ms == 250.0
    assert trace.start_time == datetime.fromtimestamp(1_700_000_000, timezone.utc)


@pytest.mark.parametrize("kind", STORES)
def test_times_are_aware_ordered_and_close_to_the_wall(kind: str, tmp_path: Path) -> None:
    before = datetime.now(timezone.utc)
    tracer = Tracer(storage=STORES[kind](tmp_path))
    with tracer.trace("run") as root:
        for _ in range(50):
            with root.node("step"):
                pass
    after = datetime.now(timezone.utc)
    trace = only_trace(tracer)
    slack = timedelta(milliseconds=50)
    last = trace.start_time
    for node in trace.nodes.values():
        assert node.start_time is not None and node.end_time is not None and last is not None
        assert before - slack <= last <= node.start_time <= node.end_time <= after + slack
        last = node.start_time
    assert trace.root_nodes[0].start_time is not None and trace.start_time is not None
    assert trace.start_time <= trace.root_nodes[0].start_time


@pytest.mark.parametrize("kind", STORES)
def test_durations_are_never_negative(kind: str, tmp_path: Path) -> None:
    tracer = Tracer(storage=STORES[kind](tmp_path))
    with tracer.trace("run") as root:
        for _ in range(500):
            with root.node("step"):
                pass
    durations = [node.duration_ms for node in only_trace(tracer).nodes.values()]
    assert all(duration is not None and duration >= 0 for duration in durations)


@pytest.mark.parametrize("kind", STORES)
def test_a_node_that_is_open_has_no_end_and_no_duration(kind: str, tmp_path: Path) -> None:
    with Tracer(storage=STORES[kind](tmp_path)).trace("run") as root:
        node = root.node_record
        assert (node.end_time, node.duration_ms, root.trace.duration_ms) == (None, None, None)


def test_a_parent_spans_its_children() -> None:
    tracer = Tracer()
    with tracer.trace("run") as root, root.node("outer") as outer, outer.node("inner"):
        pass
    trace = only_trace(tracer)
    times = [(named(trace, n).start_time, named(trace, n).end_time) for n in ("outer", "inner")]
    (outer_start, outer_end), (inner_start, inner_end) = times
    assert str(outer_start) <= str(inner_start) <= str(inner_end) <= str(outer_end)
