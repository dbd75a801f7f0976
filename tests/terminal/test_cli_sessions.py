"""`logtracer sessions` and `logtracer reconcile`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from logtracer_cli import main
from session_files import CLAUDE, CODEX, SESSIONS


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home with two sessions, the one of this process."""
    for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for source, place in ((CLAUDE, ".claude/projects/-p"), (CODEX, ".codex/sessions/2026/11/30")):
        (tmp_path / place).mkdir(parents=True)
        shutil.copy(source, tmp_path / place)
    return tmp_path


def test_sessions_are_listed_newest_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sessions", "--width", "100"]) == 0
    head, first, second, _, total = capsys.readouterr().out.splitlines()
    assert head.split() == ["SESSION", "AGENT", "TITLE", "STARTED", "(UTC)", "TURNS", "TOKENS"] + [
        "ERR",
        "COST",
    ]
    assert (first.split()[:2], second.split()[:2]) == (
        ["01a22d0e", "codex"],
        ["7ac6efd5", "claude_code"],
    )
    assert total == "2 sessions"


def test_the_list_as_json_has_every_fact(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sessions", "--json", "--agent", "claude"]) == 0
    (session,) = json.loads(capsys.readouterr().out)
    assert (session["tokens"], session["turns"], session["error_count"]) == (22_990, 3, 2)
    assert session["start_time"] == "2026-11-30T15:23:25.543000+00:00"


def test_a_session_is_shown_by_the_start_of_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sessions", "7ac6"]) == 0
    shown = capsys.readouterr().out
    assert "tokens 22,597 in / 393 out" in shown
    assert "[custom] compaction" in shown
    assert main(["sessions", "latest"]) == 0
    assert "exec_command" in capsys.readouterr().out


def test_an_unknown_session_is_named_with_a_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sessions", "nothing"]) == 1
    told = capsys.readouterr().err
    assert told == "logtracer: nothing: no session of this id; `logtracer sessions` lists them\n"


def test_every_count_names_its_record(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reconcile", str(SESSIONS / "codex" / "2025-12.jsonl")]) == 0
    shown = capsys.readouterr().out
    assert "       3,505       101  record 11  gpt-5.1-codex-max" in shown
    assert "record 14: repeats record 11" in shown
    assert "      26,740       408  the file's own total_token_usage, record 55" in shown
    assert "           0         0  difference" in shown


def test_an_account_as_json_has_its_totals(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reconcile", str(CODEX), "--json"]) == 0
    (account,) = json.loads(capsys.readouterr().out)
    assert (account["input_tokens"], account["output_tokens"]) == (3_129, 279)
    assert account["totals"][0]["difference"] == [0, 0]


def test_a_difference_that_nothing_explains_is_an_exit_code(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads((SESSIONS / "opencode" / "export.json").read_text(encoding="utf-8"))
    document["info"]["tokens"]["input"] += 5
    file = home / "export.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    assert main(["reconcile", str(file)]) == 1
    assert "           5         0  difference" in capsys.readouterr().out
