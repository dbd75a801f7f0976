"""What the shell completes, with argcomplete; without it nothing changes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from logtracer_cli import main
from needs import needs


def completed(line: str, directory: Path) -> list[str]:
    """Return what the shell would offer after a line that was typed so far."""
    answer = directory / "answer"
    environment = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, str(ROOT / "logtracer_cli.py")]
    subprocess.run(command, env=environment, cwd=directory, check=True, timeout=60)
    return [word.strip() for word in answer.read_text().split("\x0b")]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("logtracer ins", ["inspect"]),
        ("logtracer inspect --timel", ["--timeline"]),
        ("logtracer inspect x --verbosity f", ["full"]),
        ("logtracer inspect ru", ["run.json"]),
    ],
)
def test_shell_completes_commands_flags_choices_and_files(
    line: str, words: list[str], tmp_path: Path
) -> None:
    needs("argcomplete")
    (tmp_path / "run.json").write_text("{}")
    assert completed(line, tmp_path) == words


def test_without_argcomplete_the_command_just_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_ARGCOMPLETE", "1")
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    assert main(["--help"]) == 0
    assert "inspect" in capsys.readouterr().out
