"""`logtracer view` and `diff --html`: they write a page, say where, and refuse what they must."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from logtracer import Tracer, open_store, save_trace_json
from logtracer_cli import main
from logtracer_extras.sqlite import SQLiteStore
from viewer.traces import reference_trace


@pytest.fixture
def trace_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_trace_json(reference_trace(40), tmp_path / "run.json")
    return tmp_path / "run.json"


def test_view_writes_beside_the_trace_and_prints_only_the_path(
    trace_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["view", str(trace_file), "--no-open"]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{trace_file.with_suffix('.html')}\n"
    assert "recorded inputs and outputs" in printed.err


def test_view_of_a_trace_in_a_database_writes_the_page_right_here(
    trace_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = reference_trace(40)
    SQLiteStore("runs.db").save(trace)
    assert main(["view", "latest", "--store", "sqlite://runs.db", "--no-open"]) == 0
    assert capsys.readouterr().out == f"{trace_file.parent / trace.trace_id}.html\n"


def test_a_page_stays_here_whatever_a_database_calls_its_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with Tracer(storage=open_store("sqlite://runs.db")).trace("run"):
        pass
    with contextlib.closing(sqlite3.connect("runs.db")) as database, database:
        for table in ("events", "traces"):
            database.execute(f"UPDATE {table} SET trace_id = '../evil'")
    assert main(["view", "latest", "--store", "sqlite://runs.db", "--no-open"]) == 0
    assert [path.name for path in tmp_path.glob("**/*.html")] == ["___evil.html"]


def test_view_at_a_node_that_is_not_there_writes_nothing(trace_file: Path) -> None:
    assert main(["view", str(trace_file), "--node", "zzz", "--no-open"]) == 1
    assert not trace_file.with_suffix(".html").exists()


def test_view_without_values_needs_no_warning(
    trace_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["view", str(trace_file), "--no-open", "--no-io", "--output", "small.html"]) == 0
    assert capsys.readouterr().err == ""
    assert '"hasValues":false' in Path("small.html").read_text(encoding="utf-8")


def test_view_opens_the_page_at_a_node(trace_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    node = list(reference_trace(40).nodes)[3]
    assert main(["view", str(trace_file), "--node", node]) == 0
    assert opened == [f"{trace_file.with_suffix('.html').as_uri()}#n={node}"]


def test_view_keeps_a_file_that_is_no_page(
    trace_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("notes.html").write_text("mine")
    assert main(["view", str(trace_file), "--no-open", "--output", "notes.html"]) == 1
    assert "is not a page of logtracer" in capsys.readouterr().err
    assert Path("notes.html").read_text() == "mine"


def test_live_view_of_a_finished_run_is_refused(
    trace_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["view", str(trace_file), "--live", "--no-open"]) == 1
    assert "the run has ended" in capsys.readouterr().err


def test_diff_writes_a_page_of_two_runs_and_of_no_more(
    trace_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", "run.json", "run.json", "--html", "diff.html"]) == 0
    assert capsys.readouterr().out.endswith("diff.html\n")
    assert '"comparison":' in Path("diff.html").read_text(encoding="utf-8")
    assert main(["diff", "run.json", "run.json", "run.json", "--html", "diff.html"]) == 2


def test_page_of_two_runs_knows_what_they_cost(trace_file: Path) -> None:
    Path("prices.json").write_text('{"*": {"input": 3, "output": 15}}')
    command = ["diff", "run.json", "run.json", "--html", "diff.html", "--prices", "prices.json"]
    assert main(command) == 0
    assert '"cost":[' in Path("diff.html").read_text(encoding="utf-8")
