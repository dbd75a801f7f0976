"""`logtracer redact`: a text without its secrets, or which it has and why."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from logtracer_cli import main

Captured = pytest.CaptureFixture[str]

TEXT = "host=db\nDB_PASS=correct-horse-battery-9\nport=5432\n"


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "service.env"
    path.write_text(TEXT, encoding="utf-8")
    return str(path)


def test_the_text_is_printed_without_its_secrets(file: str, capsys: Captured) -> None:
    assert main(["redact", file]) == 0
    assert capsys.readouterr().out == "host=db\nDB_PASS=[REDACTED]\nport=5432\n"


def test_stdin_is_read_too(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(TEXT))
    assert main(["redact", "-"]) == 0
    assert "[REDACTED]" in capsys.readouterr().out


def test_a_secret_is_explained_without_being_shown(file: str, capsys: Captured) -> None:
    assert main(["redact", file, "--explain"]) == 0
    shown = capsys.readouterr().out
    assert "2:9  name  23 characters: " in shown
    assert "'DB_PASS'" in shown
    assert "horse" not in shown


def test_a_text_without_secrets_is_a_negative_result(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "plain.txt").write_text("nothing to see\n", encoding="utf-8")
    assert main(["redact", str(tmp_path / "plain.txt"), "--explain"]) == 1
    assert capsys.readouterr().out == "nothing is redacted\n"


def test_a_directory_is_refused_in_one_line(tmp_path: Path, capsys: Captured) -> None:
    assert main(["redact", str(tmp_path)]) == 1
    assert capsys.readouterr().err.endswith(": is a directory; pass a text file\n")
