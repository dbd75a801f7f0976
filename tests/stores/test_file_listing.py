"""What a directory of traces lists: as loading says, in order, and without reading too much."""

from __future__ import annotations

import builtins
import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from logtracer import (
    FileStore,
    MemoryStore,
    TraceGraph,
    TraceLoadError,
    Tracer,
    save_trace_json,
)
from logtracer_extras.stores._files import list_directory
from logtracer_extras.stores.copying import copy
from logtracer_extras.stores.listing import list_summaries
from logtracer_extras.stores.retention import prune
from logtracer_extras.stores.sqlite import SQLiteStore
from logtracer_extras.stores.summaries import TraceFilter, TraceSummary
from named_runs import journal, run
from sample_traces import START
from store_suite import summaries, summaries_by_loading

LARGE = {"text": "x" * 40_000}
METADATA: list[dict[str, Any]] = [
    {},
    {"start_time": "2020-01-01T00:00:00+00:00", "tags": ["a", 3], "session_id": "s"},
    {"deep": {"start_time": "x", "end_time": "y", "metadata": {}}, "user_id": 7},
    LARGE,
]


def several(count: int) -> list[TraceGraph]:
    """Return runs that started an hour after each other."""
    return [run(f"{number:02x}", number) for number in range(count)]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("metadata", METADATA, ids=["none", "tricky", "nested", "large"])
def test_a_large_document_is_listed_as_it_is_loaded(
    metadata: dict[str, Any], indent: int | None, tmp_path: Path
) -> None:
    trace = run("aa")
    trace.name, trace.metadata = '{"name": "odd\\"}, [] é', metadata
    trace.root_nodes[0].input_data = LARGE
    save_trace_json(trace, tmp_path / f"{trace.trace_id}.json", indent=indent)
    store = FileStore(tmp_path)
    assert summaries(store) == summaries_by_loading(store)
    assert summaries(store, session_id="s") == (
        summaries(store) if metadata.get("session_id") else []
    )


@pytest.mark.parametrize("lie", ["true", "all alike", "newer than all"])
def test_whatever_the_times_of_files_say_later_than_the_start_the_order_is_right(
    lie: str, tmp_path: Path
) -> None:
    for number, trace in enumerate(several(20)):
        path = tmp_path / f"{trace.trace_id}.json"
        save_trace_json(trace, path)
        moments = {"true": number, "all alike": 30, "newer than all": 60 - number}
        seconds = (START + timedelta(hours=moments[lie])).timestamp()
        os.utime(path, (seconds, seconds))
    names = [summary.name for summary in list_directory(str(tmp_path))]
    assert names == [trace.name for trace in reversed(several(20))]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note which files are opened to be listed."""
    names: list[str] = []

    def noting(path: str, *arguments: Any) -> Any:
        names.append(os.path.basename(path))
        return builtins.open(path, *arguments)

    monkeypatch.setattr("logtracer_extras.stores._files.open", noting, raising=False)
    return names


def test_only_what_may_be_next_is_read(tmp_path: Path, opened: list[str]) -> None:
    for trace in several(40):
        path = tmp_path / f"{trace.trace_id}.json"
        save_trace_json(trace, path)
        seconds = trace.end_time.timestamp() if trace.end_time else 0.0
        os.utime(path, (seconds, seconds))
    listed = list_directory(str(tmp_path))
    assert [next(listed).name for _ in range(3)] == [t.name for t in several(40)[:36:-1]]
    assert len(opened) == 3
    wanted = TraceFilter(since=START + timedelta(hours=30))
    assert len(list(list_directory(str(tmp_path), wanted))) == 10
    assert len(opened) == len(set(opened)) + 3 == 13


def test_a_document_is_read_once_however_long_the_list(tmp_path: Path, opened: list[str]) -> None:
    for trace in several(10):
        save_trace_json(trace, tmp_path / f"{trace.trace_id}.json")
    assert len(list(list_directory(str(tmp_path)))) == 10
    assert sorted(opened) == sorted(os.listdir(tmp_path))


def test_parts_of_other_processes_belong_to_the_line(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    with Tracer(storage=store).trace("outer") as root:
        for _ in range(2):
            with Tracer(storage=FileStore(tmp_path)).trace("inner", parent=root):
                pass
    assert len(list(tmp_path.iterdir())) == 3
    (summary,) = list_directory(str(tmp_path))
    assert (summary.name, summary.status, summary.node_count) == ("outer", "completed", 3)
    os.unlink(summary.path)
    (summary,) = list_directory(str(tmp_path))
    assert (summary.name, summary.node_count) == ("inner", 2)


def test_what_cannot_be_read_comes_last_with_its_problem(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{}")
    (tmp_path / "torn.jsonl").write_text("garbage\n")
    (tmp_path / "begun.jsonl").touch()  # its process is about to write
    (tmp_path / "gone.json").symlink_to("nowhere")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "fine.jsonl").write_text(journal(run("fine")))
    listed = list(list_directory(str(tmp_path)))
    assert [summary.trace_id for summary in listed] == ["fine", "bad", "folder", "torn"]
    assert problems(listed) == ["is missing", "not a regular file", "no line of it is an event"]


def problems(listed: list[TraceSummary]) -> list[str]:
    """Return the telling words of the problems."""
    words = ("is missing", "not a regular file", "no line of it is an event")
    return [word for summary in listed for word in words if word in summary.problem]


EDGES = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+00:00"]
PLACES = ["start_time", "end_time"]


@pytest.mark.parametrize("ending", ["json", "jsonl"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("time", EDGES)
def test_a_time_at_the_edge_of_the_calendar_ends_no_list(
    time: str, place: str, ending: str, tmp_path: Path
) -> None:
    trace, fine = run("odd"), run("fine")
    data = trace.to_dict()
    data["nodes"] = {key: {**node, place: time} for key, node in data["nodes"].items()}
    data[place] = time
    head = {
        "event": "trace.started",
        **{key: data[key] for key in ("schema_version", "start_time")},
    }
    events = [head, *({"event": "node.completed", "node": node} for node in data["nodes"].values())]
    text = json.dumps(data) if ending == "json" else "\n".join(map(json.dumps, events))
    (tmp_path / f"{trace.trace_id}.{ending}").write_text(text)
    store = FileStore(tmp_path)
    store.save(fine)
    good, bad = list_directory(str(tmp_path))
    assert (good.name, good.problem) == ("run fine", "")
    assert bad.trace_id == trace.trace_id
    assert "too near the edge of the calendar" in bad.problem
    copied = SQLiteStore(tmp_path / "copies.db")
    assert {outcome.what for outcome in copy(store, copied)} == {"copied", "failed"}
    assert [removed.name for removed in prune(store, older_than=START + timedelta(days=9))] == [
        "run fine"
    ]


def test_a_store_that_is_given_an_odd_time_keeps_it_and_lists_the_others(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "traces.db")
    trace = run("odd")
    trace.start_time = datetime.min.replace(tzinfo=timezone.utc)
    for each in (trace, run("fine")):
        store.save(each)
    assert [bool(summary.problem) for summary in list_summaries(store)] == [False, True]
    assert store.load(trace.trace_id) == trace


@pytest.mark.parametrize("ending", ["json", "jsonl", "0123456789abcdef.jsonl"])
def test_a_list_reads_through_no_link_that_loading_refuses(ending: str, tmp_path: Path) -> None:
    outside, store = FileStore(tmp_path / "outside"), FileStore(tmp_path / "inside")
    outside.save(run("secret"))
    os.symlink(
        tmp_path / "outside" / f"{run('secret').trace_id}.json", tmp_path / f"inside/a.{ending}"
    )
    (summary,) = list_directory(store.directory)
    with pytest.raises(TraceLoadError) as refused:
        store.load("a")
    assert summary.name == "" and summary.problem and summary.problem in str(refused.value)
    assert [outcome.what for outcome in copy(store, MemoryStore())] == ["failed"]


def test_whatever_goes_wrong_with_one_trace_is_its_problem_alone() -> None:
    class Odd(MemoryStore):
        """A store of which one trace cannot be read, for a reason that nobody thought of."""

        def load(self, trace_id: str) -> TraceGraph | None:
            if trace_id.startswith("bad"):
                raise ZeroDivisionError("division by zero")
            return super().load(trace_id)

    store = Odd()
    for name in ("bad", "fine"):
        store.save(run(name))
    assert [s.problem for s in list_summaries(store)] == ["", "ZeroDivisionError: division by zero"]
    assert [outcome.what for outcome in copy(store, MemoryStore())] == ["copied", "failed"]


def test_a_file_that_was_written_a_moment_before_its_run_started_keeps_its_place(
    tmp_path: Path,
) -> None:
    for number, trace in enumerate(several(4)):  # a file system with coarse times
        path = tmp_path / f"{trace.trace_id}.json"
        save_trace_json(trace, path)
        seconds = (START + timedelta(hours=number)).timestamp() - (1.5 if number % 2 else 0)
        os.utime(path, (seconds, seconds))
    wanted = TraceFilter(since=START + timedelta(hours=3))
    assert [summary.name for summary in list_directory(str(tmp_path), wanted)] == ["run 03"]
