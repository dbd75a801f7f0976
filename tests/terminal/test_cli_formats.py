"""import, export, and other people's files given to any command."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from logtracer import FileStore, load_trace, save_trace_json
from logtracer_cli import main
from logtracer_extras.formats import FORMATS
from logtracer_extras.importers import import_file
from otlp_traces import everything

FOREIGN = Path(__file__).parents[1] / "data" / "foreign"
LANGGRAPH = str(FOREIGN / "openinference_langgraph.otlp.jsonl")


def test_import_keeps_every_trace_of_every_file(
    empty_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", LANGGRAPH, str(FOREIGN / "jaeger_kagent.json"), "--to", "kept"]) == 0

    assert len(FileStore("kept").list_traces()) == 3
    assert "  25 nodes  supervisor\n" in capsys.readouterr().out
    assert main(["inspect", "d38be667", "--store", "kept"]) == 0


def test_import_twice_is_import_once(empty_directory: Path) -> None:
    assert main(["import", LANGGRAPH]) == main(["import", LANGGRAPH]) == 0
    assert len(FileStore("traces").list_traces()) == 2


def test_import_replaces_another_trace_only_when_told(
    empty_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = import_file(LANGGRAPH)[0]
    trace.name = "mine"
    FileStore("traces").save(trace)

    assert main(["import", LANGGRAPH]) == 1
    assert "another trace of this id is there" in capsys.readouterr().err
    assert main(["import", LANGGRAPH, "--force"]) == 0


def test_a_file_that_cannot_be_imported_does_not_stop_the_others(
    empty_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("odd.json").write_text('{"a": 1}')

    assert main(["import", "odd.json", "missing.json", LANGGRAPH]) == 1
    said = capsys.readouterr()
    assert "odd.json: not a trace in a known format" in said.err
    assert "missing.json: no such file" in said.err
    assert "supervisor" in said.out


@pytest.mark.parametrize("to", ["carrier-pigeon://x", "sqlite://"])
def test_an_unknown_store_is_wrong_use(to: str, empty_directory: Path) -> None:
    assert main(["import", LANGGRAPH, "--to", to]) == 2


@pytest.mark.parametrize("path", sorted(FOREIGN.glob("*.*[!d]")), ids=lambda path: path.name)
def test_every_reading_command_takes_every_foreign_file(path: Path, empty_directory: Path) -> None:
    assert main(["inspect", str(path)]) == 0
    assert main(["stats", str(path)]) == 0
    assert main(["diff", str(path), str(path)]) == 0
    assert main(["view", str(path), "--no-open", "--output", "page.html"]) == 0
    assert Path("page.html").stat().st_size > 10_000


@pytest.mark.parametrize("command", [["inspect"], ["inspect", "--json"], ["stats"]])
def test_commands_take_foreign_files(
    command: list[str], empty_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, LANGGRAPH]) == 0
    said = capsys.readouterr()

    assert said.out
    assert "holds 2 traces; this is the first" in said.err


def test_a_foreign_trace_comes_through_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with (FOREIGN / "otel_js.otlp.json").open() as file:
        monkeypatch.setattr("sys.stdin", file)
        assert main(["inspect", "-"]) == 0
    assert "invoke_agent js" in capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_export_writes_every_format_for_its_owner_only(name: str, empty_directory: Path) -> None:
    save_trace_json(everything(), "run.json")
    assert main(["export", "run.json", "--format", name, "--output", "out"]) == 0

    assert Path("out").read_bytes() == FORMATS[name].write(load_trace("run.json")).encode()
    assert stat.S_IMODE(Path("out").stat().st_mode) == 0o600


def test_export_without_a_file_writes_to_stdout(
    empty_directory: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    save_trace_json(everything(), "run.json")
    assert main(["export", "run.json", "--format", "chrome"]) == 0

    assert json.loads(capsysbinary.readouterr().out)["displayTimeUnit"] == "ms"


def test_a_terminal_gets_what_is_exported_escaped(
    empty_directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = everything()
    trace.root_nodes[0].name = "\x9b31mred"
    save_trace_json(trace, "run.json")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["export", "run.json", "--format", "csv", "--no-pager", "--color", "never"]) == 0

    assert "\x9b" not in capsys.readouterr().out


def test_an_unknown_format_is_wrong_use_and_names_the_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["export", LANGGRAPH, "--format", "xls"]) == 2
    assert "speedscope" in capsys.readouterr().err
