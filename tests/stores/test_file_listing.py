"""What a directory of traces lists: as loading says, in order, and without reading too much."""

from __future__ import annotations

import builtins
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from logtracer import FileStore, TraceGraph, Tracer, save_trace_json
from logtracer_extras.stores._files import list_directory
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
