"""What the terminal does when something is wrong: one line, an exit code, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import logtracer
from logtracer import save_trace_json
from logtracer_cli import main
from named_runs import journal
from sample_traces import Sample, weather

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = json.dumps(weather().to_dict()).encode()

BAD_FILES = {
    "empty": b"",
    "binary": bytes(range(256)),
    "nul": b"\0" * 100,
    "not a trace": b'{"hello": "world"}',
    "a list": b"[]",
    "100,000 brackets": b"[" * 100_000 + b"]" * 100_000,
    "100,000 brackets inside": DOCUMENT[:-1] + b', "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "newer schema": DOCUMENT.replace(b'"0.1.0"', b'"9.0.0"'),
    "odd status": DOCUMENT.replace(b'"completed"', b'"splendid"'),
    "UTF-16": DOCUMENT.decode().encode("utf-16"),
}


def run_cli(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the terminal as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "logtracer_cli", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        timeout=60,
    )


@pytest.mark.parametrize("kind", BAD_FILES)
def test_bad_file_is_one_line_that_names_it_and_exit_code_1(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(BAD_FILES[kind])
    assert main(["inspect", str(path)]) == 1
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.startswith(f"logtracer: {path}: ")
    assert written.err.count("\n") == 1


DAMAGED = {
    "truncated": DOCUMENT[: len(DOCUMENT) // 2],
    "wrong types": DOCUMENT.replace(b'"parent_id": null', b'"parent_id": 3'),
    "NaN": DOCUMENT.replace(b"0.95", b"NaN"),
    "5,000 digits": DOCUMENT.replace(b"0.95", b"9" * 5_000),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_file_is_shown_as_far_as_it_can_be_read(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "damaged.json"
    path.write_bytes(DAMAGED[kind])
    assert main(["inspect", str(path)]) == 0
    written = capsys.readouterr()
    assert "Trace: weather_agent" in written.out
    assert written.err.startswith(f"logtracer: warning: {path}: ")
    assert written.err.count("\n") == 1


def test_newer_schema_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new.json"
    path.write_bytes(BAD_FILES["newer schema"])
    main(["inspect", str(path)])
    assert "9.0.0" in capsys.readouterr().err


def test_device_is_refused_not_read_for_ever(capsys: pytest.CaptureFixture[str]) -> None:
    if not os.path.exists("/dev/zero"):
        pytest.skip("needs /dev/zero")
    assert main(["inspect", "/dev/zero"]) == 1
    assert capsys.readouterr().err == "logtracer: /dev/zero: not a regular file\n"


def test_output_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_trace_json(weather(), tmp_path / "run.json")
    target = str(tmp_path / "no" / "such" / "place.json")
    assert main(["inspect", str(tmp_path / "run.json"), "--json", "--output", target]) == 1
    assert capsys.readouterr().err == f"logtracer: {target}: no such file or directory\n"


@pytest.mark.parametrize("arguments", [[], ["why"], ["inspect", "x", "--width", "0"]])
def test_wrong_use_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "usage: logtracer" in capsys.readouterr().err


def test_without_a_command_the_help_says_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "`logtracer demo` records a small trace" in capsys.readouterr().err


def test_store_nobody_made_says_how_to_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["logtracer"])
    assert main(["inspect", "latest"]) == 1
    assert capsys.readouterr().err == (
        "logtracer: ./traces: no such file or directory; name the directory with --store,"
        " or begin with: logtracer demo\n"
    )


def test_version_is_that_of_the_module(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"logtracer {logtracer.__version__}\n"


def test_stdout_closed_by_the_shell_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", None)  # as Python finds it after `>&-`
    assert main(["list"]) == 1
    assert capsys.readouterr().err == "logtracer: output: it is closed\n"


def test_stderr_closed_by_the_shell_leaves_stdout_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(journal(weather()) + '{"torn')  # something to warn about
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["inspect", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "weather_agent"


def test_help_is_exit_code_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "inspect" in capsys.readouterr().out


def test_ctrl_c_is_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        def read(self) -> str:
            raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdin", Interrupted())
    assert main(["inspect", "-"]) == 130


def test_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    sample = Sample("run")
    for number in range(5_000):
        sample.node(f"step {number}", "custom")
    save_trace_json(sample.trace, tmp_path / "run.json")
    command = [sys.executable, "-m", "logtracer_cli", "inspect", str(tmp_path / "run.json")]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"run")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


def test_full_disk_is_one_line(tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    save_trace_json(weather(), tmp_path / "run.json")
    command = [sys.executable, "-m", "logtracer_cli", "inspect", str(tmp_path / "run.json")]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 1
    assert done.stderr == b"logtracer: output: no space left on device\n"


def test_ascii_locale_gets_ascii(tmp_path: Path) -> None:
    save_trace_json(weather(), tmp_path / "run.json")
    done = run_cli(
        "inspect",
        str(tmp_path / "run.json"),
        LC_ALL="C",
        PYTHONUTF8="0",
        PYTHONCOERCECLOCALE="0",
        PYTHONIOENCODING="",
    )
    assert done.returncode == 0
    assert done.stderr == b""
    assert b"`-- [tool_call] weather_api (0ms) ok" in done.stdout
    assert done.stdout.isascii()


def test_file_name_of_no_encoding_is_named_in_the_error() -> None:
    done = run_cli("inspect", os.fsdecode(b"caf\xe9\x1b[31m.json"), LC_ALL="C.UTF-8")
    assert done.returncode == 1
    assert done.stderr == (
        b"logtracer: caf\\udce9\\x1b[31m.json: no such file. Recent traces: logtracer list\n"
    )


def test_no_colour_when_piped_nor_under_no_color(tmp_path: Path) -> None:
    save_trace_json(weather(), tmp_path / "run.json")
    assert b"\x1b" not in run_cli("inspect", str(tmp_path / "run.json")).stdout


def test_colour_when_asked_for_says_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rich")
    save_trace_json(weather(), tmp_path / "run.json")
    main(["inspect", str(tmp_path / "run.json"), "--color", "always"])
    coloured = capsys.readouterr().out
    assert "\x1b[32m✓" in coloured


def test_colour_without_rich_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("rich.color", "rich.style"):
        monkeypatch.setitem(sys.modules, name, None)
    save_trace_json(weather(), tmp_path / "run.json")
    assert main(["inspect", str(tmp_path / "run.json"), "--color", "always"]) == 0
    written = capsys.readouterr()
    assert "\x1b" not in written.out
    assert written.err.startswith("logtracer: rich is not installed; plain output")
    assert main(["inspect", str(tmp_path / "run.json"), "--color", "always", "--ascii"]) == 0
    assert capsys.readouterr().err == ""
