"""How a user names a trace: a path, `-`, `latest`, the start of an id."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

from logtracer import save_trace_json
from logtracer_cli import CommandError, find_file, find_trace, main, stored_traces
from logtracer_extras.stores.sqlite import SQLiteStore
from named_runs import RUNS, journal, run


@pytest.fixture
def store(tmp_path: Path) -> str:
    """Return a directory that holds the runs, written in another order than they started."""
    for trace_id, hour in RUNS.items():
        trace = run(trace_id, hour)
        save_trace_json(trace, tmp_path / f"{trace.trace_id}.json")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("argument", "name"),
    [
        ("latest", "run bb33"),
        ("latest~1", "run aa11"),
        ("latest~2", "run aa22"),
        ("b", "run bb33"),
        ("aa2", "run aa22"),
        ("aa11".ljust(32, "0"), "run aa11"),
    ],
)
def test_names_a_user_may_give(argument: str, name: str, store: str) -> None:
    assert find_trace(argument, store).name == name


@pytest.mark.parametrize(("argument", "name"), [("latest", "run aa22"), ("b", "run bb33")])
@pytest.mark.usefixtures("no_extras")
def test_two_files_are_enough_to_find_a_trace(argument: str, name: str, store: str) -> None:
    (written_last,) = Path(store).glob("aa22*")
    os.utime(written_last, (2e9, 2e9))
    assert find_trace(argument, store).name == name


def trace_files(store: str) -> list[str]:
    """Return the files of a directory's traces as the terminal finds them."""
    return [trace.path for trace in stored_traces(store)]


def test_path_is_read_wherever_it_lies(store: str) -> None:
    assert find_trace(trace_files(store)[0], "elsewhere").name == "run bb33"


def test_live_journal_is_a_trace_whose_open_nodes_are_interrupted(store: str) -> None:
    Path(store, "cc44.jsonl").write_text(journal(run("cc44", 9)))
    assert find_trace("latest", store).failed_nodes == []
    assert find_trace("cc", store).root_nodes[0].status == "interrupted"


def test_finished_trace_hides_the_journal_it_leaves_behind(store: str) -> None:
    finished = trace_files(store)[0]
    Path(finished + "l").write_text(journal(run("bb33", 3)))
    assert trace_files(store).count(finished) == 1
    assert len(trace_files(store)) == len(RUNS)


def test_torn_journal_is_shown_with_a_warning(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(store, "dd55.jsonl")
    path.write_text(journal(run("dd55")) + '{"event": "node.st')
    assert main(["inspect", str(path)]) == 0
    written = capsys.readouterr()
    assert "run dd55" in written.out
    assert written.err == f"logtracer: warning: {path}: shown without 1 damaged line\n"


@pytest.mark.parametrize("form", ["document", "journal"])
def test_dash_reads_stdin(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.dumps(run("ee").to_dict()) if form == "document" else journal(run("ee"))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert find_trace("-", "nowhere").name == "run ee"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("aa", "aa: ambiguous: matches 2 traces: aa110000, aa220000. Type more characters."),
        ("zz", "zz: no trace id in STORE starts with it; recent traces: logtracer list"),
        ("latest~3", "latest~3: STORE holds 3 traces"),
        (
            "",
            "'': is not a trace: pass a file, - (stdin), latest, latest~1, or the start of a"
            " trace id in --store",
        ),
        ("zz.json", "zz.json: no such file. Recent traces: logtracer list"),
        ("STORE", "STORE: a directory; see its traces: logtracer list STORE"),
    ],
)
def test_name_that_fits_nothing_or_too_much(
    argument: str, message: str, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", argument.replace("STORE", store), "--store", store]) == 1
    assert capsys.readouterr().err == f"logtracer: {message}\n".replace("STORE", store)


def test_ambiguous_ids_are_shown_long_enough_to_tell_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(8):
        Path(tmp_path, f"{'f' * 20}{number}.json").write_text("{}")
    assert main(["inspect", "ff", "--store", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert "matches 8 traces" in message
    assert f"{'f' * 20}0, {'f' * 20}1" in message
    assert "and 3 more" in message


def test_store_that_is_not_there_names_the_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "latest", "--store", "nowhere"]) == 1
    assert "nowhere: no such file or directory; name the directory with --store" in (
        capsys.readouterr().err
    )


@pytest.fixture
def database(tmp_path: Path) -> str:
    """Return the URL of a database that holds the runs, in the order they started."""
    store = SQLiteStore(tmp_path / "runs.db")
    for trace_id in sorted(RUNS, key=lambda known: RUNS[known]):
        store.save(run(trace_id, RUNS[trace_id]))
    store.close()
    return f"sqlite://{tmp_path / 'runs.db'}"


@pytest.mark.parametrize(
    ("argument", "name"),
    [("latest", "run bb33"), ("latest~2", "run aa22"), ("aa1", "run aa11")],
)
def test_traces_in_a_database_are_named_as_those_in_a_directory(
    argument: str, name: str, database: str
) -> None:
    assert find_trace(argument, database).name == name


def test_list_search_and_stats_read_a_database(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", database]) == 0
    assert "bb330000" in capsys.readouterr().out.splitlines()[1]
    assert main(["search", "name:aa22", "--store", database]) == 0
    assert "1 match in 1 of 3 traces" in capsys.readouterr().out
    assert main(["stats", "--store", database]) == 0
    assert capsys.readouterr().out.startswith("3 traces")


def test_directory_may_be_given_as_a_url(store: str) -> None:
    assert find_trace("latest", f"file://{store}").name == "run bb33"


@pytest.mark.parametrize(
    ("url", "reason", "code"),
    [
        ("sqlite://nowhere.db", "no such file", 1),
        ("redis://ann:secret@host/0", "is not a directory, sqlite://FILE or", 2),
    ],
)
def test_store_that_cannot_be_opened_is_one_line(
    url: str, reason: str, code: int, empty_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", "--store", url]) == code
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert reason in message
    assert "secret" not in message
    assert list(empty_directory.iterdir()) == []


def test_file_is_asked_of_a_database_in_vain(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CommandError, match="not in a file"):
        find_file("latest", database)
