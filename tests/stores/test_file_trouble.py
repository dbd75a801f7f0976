"""Files in trouble: torn lines, lost lines, few descriptors, little memory, what is left behind."""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from logtracer import FileStore, StoreError, TraceGraph, TraceLoadError, Tracer
from logtracer_extras.stores.listing import list_summaries
from logtracer_extras.stores.retention import prune
from sample_traces import weather
from store_suite import summaries, summaries_by_loading
from stress import child

TRACE_ID = "ab" * 16


def line(event: str, **facts: Any) -> str:
    return json.dumps({"event": event, **facts}, separators=(",", ":")) + "\n"


def head(trace_id: str = TRACE_ID, event: str = "trace.started", **facts: Any) -> str:
    start = "2026-11-22T18:24:23.000000+00:00"
    known = {"schema_version": "0.1.0", "trace_id": trace_id, "name": "run", "start_time": start}
    return line(event, **known, **facts)


def ended(number: int, parent: int | None = 0, **facts: Any) -> str:
    """Return the line of a step that has ended; number 0 is the root."""
    times = {"start_time": "2026-11-22T18:24:23+00:00", "end_time": "2026-11-22T18:24:24+00:00"}
    above = None if parent is None else f"{parent:016x}"
    node = {"id": f"{number:016x}", "parent_id": above, "sequence_number": number}
    kind = "trace" if parent is None else "custom"
    node.update(name=f"step {number}", node_type=kind, depth=0, status="completed", **times)
    return line("node.completed", node={**node, **facts})


def loaded(store: FileStore, trace_id: str = TRACE_ID) -> TraceGraph:
    trace = store.load(trace_id)
    assert trace is not None
    return trace


def names(trace: TraceGraph) -> set[str]:
    return {node.name for node in trace.nodes.values()}


@contextmanager
def half_written(*, cut_back: bool = True) -> Iterator[None]:
    """Let writing take half of a line, and let cutting it off again fail unless told otherwise."""
    write, truncate = os.write, os.ftruncate

    def refuse(descriptor: int, length: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    def write_half(descriptor: int, data: Any) -> int:
        return write(descriptor, data[: len(data) // 2])

    os.write = write_half
    os.ftruncate = truncate if cut_back else refuse
    try:
        yield
    finally:
        os.write, os.ftruncate = write, truncate


# ---- Lines that are torn, or were never written -------------------------------------------------


@pytest.mark.parametrize("cut_back", [True, False])
def test_half_a_line_takes_no_other_line_with_it(cut_back: bool, tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.write_event(TRACE_ID, "trace.started", head())
    for number in range(6):
        if number % 2:
            store.write_event(TRACE_ID, "node.completed", ended(number))
            continue
        with half_written(cut_back=cut_back), pytest.raises(OSError):
            store.write_event(TRACE_ID, "node.completed", ended(number))
    trace = loaded(store)
    assert names(trace) == {"step 1", "step 3", "step 5"}
    assert trace.metadata.get("logtracer.damaged_lines", 0) == (0 if cut_back else 3)


def test_the_document_of_a_journal_with_a_torn_line_has_all_the_others(tmp_path: Path) -> None:
    tracer = Tracer(storage=FileStore(tmp_path))
    with tracer.trace("run") as root:
        with half_written(cut_back=False), root.node("lost"):
            pass
        with root.node("kept"):
            pass
    assert [path.name for path in tmp_path.iterdir()] == [f"{root.trace.trace_id}.json"]
    assert names(loaded(FileStore(tmp_path), root.trace.trace_id)) == {"run", "kept"}


def test_a_full_disk_costs_as_much_however_long_the_journal_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(tmp_path)
    store.write_event(TRACE_ID, "trace.started", head())

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("the journal was read")

    monkeypatch.setattr(os, "read", refuse)
    monkeypatch.setattr(os, "fdopen", refuse)
    for number in range(3):
        with half_written(), pytest.raises(StoreError, match="no room"):
            store.write_event(TRACE_ID, "node.completed", ended(number))
    store.write_event(TRACE_ID, "node.completed", ended(7))
    monkeypatch.undo()
    assert names(loaded(store)) == {"step 7"}


def test_a_part_that_is_torn_from_its_first_line_hides_nothing_else(tmp_path: Path) -> None:
    (tmp_path / f"{TRACE_ID}.jsonl").write_text(head() + ended(0, None) + ended(1))
    (tmp_path / f"{TRACE_ID}.{'0' * 16}.jsonl").write_text(ended(2)[:-20])
    (tmp_path / f"{TRACE_ID}.{'1' * 16}.jsonl").write_text(ended(3))
    store = FileStore(tmp_path)
    trace = loaded(store)
    assert names(trace) == {"step 0", "step 1", "step 3"}
    assert trace.metadata["logtracer.damaged_lines"] == 1
    assert summaries(store) == summaries_by_loading(store)


def test_a_first_line_may_be_torn_anywhere(tmp_path: Path) -> None:
    path = tmp_path / f"{TRACE_ID}.jsonl"
    for length in range(len(head()) - 1):
        path.write_text(head()[:length] + "\n" + ended(0, None))
        assert loaded(FileStore(tmp_path)).name == "step 0"
        assert summaries(FileStore(tmp_path)) == summaries_by_loading(FileStore(tmp_path))


def test_a_trace_of_which_no_file_can_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / f"{TRACE_ID}.jsonl").write_text(head()[:-9])
    (tmp_path / f"{TRACE_ID}.{'0' * 16}.jsonl").write_text("garbage\n")
    with pytest.raises(TraceLoadError, match=rf"{TRACE_ID}\.jsonl: not JSON"):
        FileStore(tmp_path).load(TRACE_ID)


def test_a_trace_whose_first_line_is_lost_has_its_id_and_the_name_of_its_root(
    tmp_path: Path,
) -> None:
    (tmp_path / f"{TRACE_ID}.jsonl").write_text(ended(1))
    assert (loaded(FileStore(tmp_path)).trace_id, loaded(FileStore(tmp_path)).name) == (
        TRACE_ID,
        "",
    )
    with open(tmp_path / f"{TRACE_ID}.jsonl", "a") as file:
        file.write(ended(0, None))
    trace = loaded(FileStore(tmp_path))
    assert (trace.name, trace.duration_ms) == ("step 0", 1_000.0)
    assert summaries(FileStore(tmp_path)) == summaries_by_loading(FileStore(tmp_path))


def test_a_trace_whose_first_line_was_refused_becomes_a_document_under_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(tmp_path)
    with half_written(), pytest.raises(OSError):
        store.write_event(TRACE_ID, "trace.started", head())
    store.write_event(TRACE_ID, "node.completed", ended(0, None))
    store.write_event(TRACE_ID, "trace.completed", line("trace.completed"))
    assert store.list_traces() == [TRACE_ID]
    assert loaded(store).name == "step 0"


def test_when_there_can_be_no_document_the_journal_stays_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracer = Tracer(storage=FileStore(tmp_path))

    def refuse(*paths: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as patch, tracer.trace("run") as root:
        patch.setattr(os, "replace", refuse)
        with root.node("step"):
            pass
        root.end()
    assert [path.suffix for path in tmp_path.iterdir()] == [".jsonl"]
    trace = loaded(FileStore(tmp_path), root.trace.trace_id)
    assert names(trace) == {"run", "step"} and trace.end_time is not None
    assert (tracer.stats()["saved"], tracer.stats()["dropped"]) == (2, 0)


# ---- Other processes, other machines ------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_a_forked_child_says_of_its_parents_steps_damages_nothing(tmp_path: Path) -> None:
    tracer = Tracer(storage=FileStore(tmp_path))
    with tracer.trace("run") as root, root.node("ask") as ask:
        process_id = os.fork()
        if not process_id:
            ask.input(question="in the child")
            ask.pause("a human")
            ask.resume()
            os._exit(0)
        os.waitpid(process_id, 0)
    trace = loaded(FileStore(tmp_path), root.trace.trace_id)
    assert {node.status for node in trace.nodes.values()} == {"completed"}
    assert "logtracer.damaged_lines" not in trace.metadata


def paused_and_resumed(resumed_at: str, waited: float) -> tuple[str, str]:
    """Return the journals of a run that waits, and of a machine that goes on with it and ends."""
    waiting = {"logtracer.paused_at": "2026-11-22T18:24:23.5+00:00"}
    gone_on = {**waiting, "logtracer.resumed_at": resumed_at, "logtracer.waited_ms": waited}
    first = ended(0, None, status="paused", metadata=waiting)
    end = {"end_time": resumed_at, "metadata": gone_on}
    last = ended(0, None, **end)
    tail = line("trace.completed", end_time="2026-11-22T18:24:24+00:00")
    return head() + first + tail, head(event="part.started") + last + line("part.completed", **end)


@pytest.mark.parametrize("resumed_at", ["2026-11-22T16:00:00+00:00", "2026-11-23T16:00:00+00:00"])
@pytest.mark.parametrize("together", [True, False])
def test_a_run_that_went_on_has_ended_whatever_the_clock_of_that_machine_says(
    resumed_at: str, together: bool, tmp_path: Path
) -> None:
    first, second = paused_and_resumed(resumed_at, 5.0)
    path = tmp_path / f"{TRACE_ID}.jsonl"
    path.write_text(first + second if together else first)
    if not together:
        (tmp_path / f"{TRACE_ID}.{'0' * 16}.jsonl").write_text(second)
    trace = loaded(FileStore(tmp_path))
    assert trace.root_nodes[0].status == "completed"
    assert trace.end_time is not None
    assert [summary.status for summary in list_summaries(FileStore(tmp_path))] == ["completed"]


@pytest.mark.parametrize(
    ("time", "gap"), [("20:00:00", 5_736_000.0), ("18:24:23", None), ("16:00:00", -8_663_000.0)]
)
def test_a_part_far_outside_of_what_it_joins_is_named(
    time: str, gap: float | None, tmp_path: Path
) -> None:
    moment = f"2026-11-22T{time}+00:00"
    (tmp_path / f"{TRACE_ID}.jsonl").write_text(head() + ended(0, None))
    part = ended(1, node_type="trace", start_time=moment, end_time=moment)
    (tmp_path / f"{TRACE_ID}.{'0' * 16}.jsonl").write_text(head(event="part.started") + part)
    assert loaded(FileStore(tmp_path)).metadata.get("logtracer.clock_gap_ms") == gap


# ---- Bounds -------------------------------------------------------------------------------------

MANY_RUNS = """
import resource, socket, sys
from logtracer import FileStore, Tracer
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
tracer = Tracer(storage=FileStore(sys.argv[1]))
roots = [tracer.trace(f"run {number}").__enter__() for number in range(300)]
for turn in range(2):
    for root in roots:
        with root.node(f"step {turn}"):
            pass
with socket.socket():
    pass
for root in roots:
    root.end()
print(tracer.stats()["saved"], tracer.stats()["errors"])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_more_runs_than_descriptors_leave_the_host_its_own(tmp_path: Path) -> None:
    run = child.run(MANY_RUNS, tmp_path)
    assert (run.stdout, run.stderr) == ("900 0\n", "")
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"] * 300
    counts = {len(loaded(FileStore(tmp_path), path.stem).nodes) for path in tmp_path.iterdir()}
    assert counts == {3}


def test_the_nodes_that_are_held_for_documents_are_few_however_many_runs_are_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logtracer._KEPT_BYTES", 100_000)
    store = FileStore(tmp_path)
    runs = [f"{number:032x}" for number in range(20)]
    for trace_id in runs:
        store.write_event(trace_id, "trace.started", head(trace_id))
    for number in range(10):
        for trace_id in runs:
            step = ended(number, output_data={"text": "x" * 2_000})
            store.write_event(trace_id, "node.completed", step)
    held = sum(len(node) for journal in store._journals.values() for node in journal._ended)
    assert held < 100_000


# ---- What is left behind ------------------------------------------------------------------------


def leave_behind(directory: Path) -> list[str]:
    """Make files as killed processes leave them, and others; return the names that are to stay."""
    directory.mkdir(exist_ok=True)
    gone = [f"{TRACE_ID}.json.{'0' * 16}.tmp", f".{'f' * 16}.tmp"]
    stay = ["notes.tmp", f"{TRACE_ID}.json.tmp", f"{TRACE_ID}.json.{'0' * 15}.tmp"]
    for name in gone + stay:
        (directory / name).write_text("{")
        os.utime(directory / name, (0, time.time() - 4_000))
    (directory / f"{TRACE_ID}.json.{'1' * 16}.tmp").write_text("{")  # of a process at work
    return sorted([*stay, f"{TRACE_ID}.json.{'1' * 16}.tmp"])


@pytest.mark.parametrize("clean", [FileStore, lambda directory: prune(FileStore(directory))])
def test_old_temporary_files_are_removed_and_no_others(
    clean: Callable[[Path], object], tmp_path: Path
) -> None:
    stay = leave_behind(tmp_path)
    clean(tmp_path)
    assert sorted(os.listdir(tmp_path)) == stay


def test_prune_removes_temporary_files_that_became_old_since_the_store_was_made(
    tmp_path: Path,
) -> None:
    store = FileStore(tmp_path)
    stay = leave_behind(tmp_path)
    prune(store)
    assert sorted(os.listdir(tmp_path)) == stay


# ---- For the eyes of others ---------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no groups of this kind")
def test_a_shared_store_is_readable_by_its_group_whatever_the_umask_says(tmp_path: Path) -> None:
    previous = os.umask(0o077)
    try:
        store = FileStore(tmp_path / "traces", shared=True)
        tracer = Tracer(storage=store)
        with tracer.trace("run") as root:
            modes = {mode(path) for path in (tmp_path / "traces").iterdir()}
            with Tracer(storage=store).trace("part", parent=root):
                pass
        store.save(weather())
    finally:
        os.umask(previous)
    modes |= {mode(path) for path in (tmp_path / "traces").iterdir()}
    assert modes == {"0o640"}
    assert mode(tmp_path / "traces") == "0o750"


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o7777)
