"""`logtracer copy` and `logtracer prune`: traces from one store to another, and away."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from logtracer import FileStore, StorageBackend, Tracer, TracerConfig, open_store
from logtracer_cli import main
from logtracer_extras.stores.copying import copy
from logtracer_extras.stores.sqlite import SQLiteStore
from logtracer_extras.stores.summaries import TraceFilter
from named_runs import RUNS, journal, run
from sample_traces import START

Say = Callable[..., list[str]]
HOUR = timedelta(hours=1)


@pytest.fixture(params=["{}/traces", "file://{}/traces", "sqlite://{}/traces.db"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return where a store is that holds the runs, as a user names it."""
    place = str(request.param.format(tmp_path))
    with opened(place) as store:
        for trace_id, hour in RUNS.items():
            store.save(run(trace_id, hour))
    return place


@contextlib.contextmanager
def opened(place: str) -> Iterator[StorageBackend]:
    """Open the store of a place."""
    store = open_store(place if "://" in place else f"file://{place}")
    yield store
    if isinstance(store, SQLiteStore):
        store.close()


def names_in(place: str) -> set[str]:
    """Return the names of the traces in a place."""
    with opened(place) as store:
        traces = map(store.load, store.list_traces())
        return {trace.name for trace in traces if trace is not None}


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a command that works, return its lines."""

    def call(*arguments: str) -> list[str]:
        assert main([*arguments, "--width", "200"]) == 0
        return capsys.readouterr().out.splitlines()

    return call


@pytest.mark.parametrize("target", ["{}/copy", "sqlite://{}/copy.db"])
def test_traces_are_copied_whole(target: str, place: str, tmp_path: Path, say: Say) -> None:
    target = target.format(tmp_path)
    lines = say("copy", place, target)
    assert lines[0] == f"{'bb33'.ljust(32, '0')}  1 node  run bb33"
    assert lines[3:] == ["copied 3 traces"]
    with opened(place) as source, opened(target) as copied:
        for trace_id in source.list_traces():
            assert copied.load(trace_id) == source.load(trace_id)
    assert say("copy", place, target) == ["copied 0 traces, 3 there already"]


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        (["aa"], {"run aa11", "run aa22"}),
        (["bb33", "aa1"], {"run bb33", "run aa11"}),
        (["--since", (START + 2 * HOUR).isoformat()], {"run bb33", "run aa11"}),
        (["aa", "--until", (START + 2 * HOUR).isoformat()], {"run aa22"}),
        (["--name", "33"], {"run bb33"}),
        (["latest~1"], {"run aa11"}),
        (["latest", "--name", "aa"], {"run aa11"}),
    ],
)
def test_what_is_copied_can_be_chosen(
    chosen: list[str], names: set[str], place: str, tmp_path: Path, say: Say
) -> None:
    say("copy", place, str(tmp_path / "copy"), *chosen)
    assert names_in(str(tmp_path / "copy")) == names


def test_what_still_runs_is_left_out_unless_asked_for(tmp_path: Path, say: Say) -> None:
    source, target = str(tmp_path / "from"), str(tmp_path / "to")
    with Tracer(storage=FileStore(source)).trace("going on"):
        (line,) = say("copy", source, target)
        assert line == "copied 0 traces, 1 still running (--running copies as far as they are)"
        assert say("copy", source, target, "--running")[-1] == "copied 1 trace"
    assert names_in(target) == {"going on"}


def test_another_version_is_replaced_only_by_force(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = str(tmp_path / "copy")
    main(["copy", place, target, "bb"])
    other = run("bb33", 9)
    other.name = "changed"
    with opened(place) as store:
        store.save(other)
    capsys.readouterr()
    assert main(["copy", place, target, "bb"]) == 1
    assert "another version of it is there; --force replaces it" in capsys.readouterr().err
    assert names_in(target) == {"run bb33"}
    assert main(["copy", place, target, "bb", "--force"]) == 0
    assert names_in(target) == {"changed"}


def test_a_trace_that_cannot_be_read_does_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    FileStore(tmp_path).save(run("aa11"))
    (tmp_path / "bad.json").write_text("{}")
    assert main(["copy", str(tmp_path), f"sqlite://{tmp_path}/copy.db"]) == 1
    written = capsys.readouterr()
    assert written.out.splitlines()[-1] == "copied 1 trace"
    assert written.err == "logtracer: bad: not copied: 'schema_version' is missing\n"


def test_a_trace_that_cannot_be_written_is_not_there_in_part(tmp_path: Path) -> None:
    class Full(FileStore):
        def save(self, trace: object) -> None:
            raise OSError("no space left")

    FileStore(tmp_path / "from").save(run("aa11"))
    target = Full(tmp_path / "to")
    (outcome,) = copy(FileStore(tmp_path / "from"), target, TraceFilter(prefix="aa"))
    assert (outcome.what, outcome.problem) == ("failed", "no space left")
    assert target.list_traces() == []


@pytest.mark.parametrize("source", ["nowhere", "sqlite://nowhere.db"])
def test_source_that_is_not_there_makes_no_target(
    source: str, empty_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["copy", source, "target"]) == 1
    assert "no such file" in capsys.readouterr().err
    assert list(empty_directory.iterdir()) == []


def test_id_that_no_trace_has_is_one_line(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["copy", place, place, "zz"]) == 1
    assert capsys.readouterr().err == f"logtracer: zz: no such trace in {place}\n"


# ---- prune --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conditions", "left"),
    [
        (["--older-than", (START + 2.5 * HOUR).isoformat()], {"run bb33"}),
        (["--older-than", "2000-01-01"], {"run aa11", "run aa22", "run bb33"}),
        (["--keep", "2"], {"run aa11", "run bb33"}),
        (
            ["--keep", "1", "--older-than", (START + 1.5 * HOUR).isoformat()],
            {"run aa11", "run bb33"},
        ),
        (["--status", "completed"], set()),
        (["--status", "failed"], {"run aa11", "run aa22", "run bb33"}),
    ],
)
def test_what_meets_all_conditions_is_removed(
    conditions: list[str], left: set[str], place: str, say: Say
) -> None:
    before = say("prune", "--store", place, *conditions, "--dry-run")
    assert len(names_in(place)) == 3
    lines = say("prune", "--store", place, *conditions)
    assert names_in(place) == left
    assert lines[-1].endswith(f" from {place}; {len(left)} left")
    assert before == [*lines[:-1], lines[-1].replace("removed", "would remove")]


def test_all_files_of_a_trace_go(tmp_path: Path, say: Say) -> None:
    store = FileStore(tmp_path)
    with Tracer(storage=store).trace("outer") as root:
        pass
    with Tracer(TracerConfig(), store).trace("inner", parent=root):
        pass
    (tmp_path / "notes.txt").touch()
    assert len(list(tmp_path.iterdir())) == 3
    say("prune", "--store", str(tmp_path), "--status", "completed")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_run_that_broke_off_just_now_may_go_on_elsewhere(tmp_path: Path, say: Say) -> None:
    with Tracer(storage=FileStore(tmp_path / "other")).trace("run") as root:
        (path,) = (tmp_path / "other").iterdir()
        text = path.read_text().replace('"process_id":', '"process":')  # of another machine
    (tmp_path / f"{root.trace.trace_id}.jsonl").write_text(text)
    (tmp_path / "old.jsonl").write_text(journal(run("old")))
    prune = ("prune", "--store", str(tmp_path), "--status", "interrupted")
    assert say(*prune)[-1].startswith("removed 1 trace ")
    assert say(*prune, "--running")[-1].startswith("removed 1 trace ")


def test_prune_needs_a_condition(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prune", "--store", place]) == 2
    assert "needs --older-than, --keep or --status" in capsys.readouterr().err
    assert main(["prune", "--store", "nowhere", "--keep", "1"]) == 1
