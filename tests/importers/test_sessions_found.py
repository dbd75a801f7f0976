"""The sessions of a machine are found where their agents keep them, and listed by a quick look."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from logtracer_extras.importers import import_file
from logtracer_extras.importers._scanning import (
    Tally,
    scan_claude,
    scan_codex,
    scan_gemini,
    scan_messages,
    scan_pi,
)
from logtracer_extras.importers.sessions import find_sessions, open_session
from session_files import CLAUDE, CODEX, GEMINI, SESSIONS, kinds, lines_of, tokens

CLINE = SESSIONS / "cline" / "session.messages.json"
PI = SESSIONS / "pi" / "session.jsonl"


def put(source: Path, *target: str | Path) -> None:
    place = Path(*target)
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, place)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home with a session of each agent that keeps files of text."""
    put(CLAUDE, tmp_path, ".claude/projects/-p", CLAUDE.name)
    shutil.copytree(CLAUDE.with_suffix(""), tmp_path / ".claude/projects/-p" / CLAUDE.stem)
    put(CODEX, tmp_path, ".codex/sessions/2026/11/30", CODEX.name)
    put(GEMINI, tmp_path, ".gemini/tmp/project/chats", GEMINI.name)
    put(PI, tmp_path, ".pi/agent/sessions/--p--", PI.name)
    put(CLINE, tmp_path, ".cline/data/sessions/1", "1.messages.json")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "scan"),
    [
        (CLAUDE, scan_claude),
        (SESSIONS / "claude_code" / "2025-12.jsonl", scan_claude),
        (CODEX, scan_codex),
        (SESSIONS / "codex" / "2025-12.jsonl", scan_codex),
        (GEMINI, scan_gemini),
        (SESSIONS / "gemini_cli" / "2025-12.json", scan_gemini),
        (PI, scan_pi),
        (CLINE, scan_messages),
    ],
    ids=lambda value: value.stem[:12] if isinstance(value, Path) else "",
)
def test_a_quick_look_counts_what_a_whole_reading_counts(
    path: Path, scan: Callable[[bytes], Tally], tmp_path: Path
) -> None:
    put(path, tmp_path, path.name)  # without its sub-agents
    (trace,) = import_file(tmp_path / path.name)
    tally = scan(path.read_bytes())
    used = tokens(trace)
    sent, made = (sum(each[way] for each in tally.used.values()) for way in (0, 1))
    assert (sent, made, tally.turns) == (used.input, used.output, kinds(trace)["human_input"])
    assert tally.errors == len(trace.failed_nodes)
    assert tally.end is not None and trace.end_time is not None
    assert abs(tally.end - trace.end_time).total_seconds() < 10


def test_sessions_are_found_where_their_agents_keep_them(home: Path) -> None:
    found = find_sessions(home, {})
    assert sorted(session.agent for session in found) == [
        "claude_code",
        "cline",
        "codex",
        "gemini_cli",
        "pi",
    ]
    ends = [session.end for session in found if session.end is not None]
    assert ends == sorted(ends, reverse=True)


def test_a_session_tells_what_it_was_about_and_what_it_used(home: Path) -> None:
    (claude,) = [each for each in find_sessions(home, {}) if each.agent == "claude_code"]
    assert (claude.project, claude.turns, claude.errors) == ("/home/user/project", 3, 2)
    assert claude.title == "MAINTASK: say one and read the missing file"
    assert claude.tokens == 35_521 + 444  # sub-agents' included


def test_an_opened_session_has_the_tokens_that_the_list_says(home: Path) -> None:
    for session in find_sessions(home, {}):
        trace = open_session(session)
        assert trace.metadata["session_id"] == session.session_id
        assert tokens(trace).tokens == session.tokens, session.agent


def test_the_variables_of_the_agents_say_where_to_look(home: Path, tmp_path: Path) -> None:
    elsewhere = {
        "CLAUDE_CONFIG_DIR": str(home / ".claude"),
        "CODEX_HOME": str(home / ".codex"),
        "GEMINI_CLI_HOME": str(home),
        "PI_CODING_AGENT_DIR": str(home / ".pi" / "agent"),
        "CLINE_DATA_DIR": str(home / ".cline" / "data"),
    }
    assert len(find_sessions(tmp_path / "nobody", elsewhere)) == 5
    assert find_sessions(tmp_path / "nobody", {}) == []


def test_a_fork_counts_only_what_is_new_in_it(home: Path) -> None:
    fork = [{**line, "sessionId": "fork"} for line in lines_of(CLAUDE)]
    file = home / ".claude/projects/-p/fork.jsonl"
    file.write_text("\n".join(map(json.dumps, fork)), encoding="utf-8")
    found = {each.session_id: each for each in find_sessions(home, {})}
    assert found["fork"].tokens + found[CLAUDE.stem].tokens == 35_521 + 444


def test_a_sub_agent_of_codex_counts_with_the_session_that_started_it(home: Path) -> None:
    spawn = {"thread_spawn": {"parent_thread_id": lines_of(CODEX)[0]["payload"]["id"]}}
    lines = lines_of(SESSIONS / "codex" / "2025-12.jsonl")
    lines[0]["payload"]["source"] = {"subagent": spawn}
    file = home / ".codex/sessions/2026/11/30/rollout-child.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    (codex,) = [each for each in find_sessions(home, {}) if each.agent == "codex"]
    assert codex.tokens == 3_129 + 279 + 26_740 + 408


def test_looking_for_sessions_changes_nothing(home: Path) -> None:
    def files() -> list[tuple[str, float]]:
        return [(path, os.stat(path).st_mtime) for path in sorted(map(str, home.rglob("*")))]

    before = files()
    find_sessions(home, {})
    assert files() == before


def test_a_file_that_cannot_be_read_is_left_out(home: Path) -> None:
    (home / ".claude/projects/-p/broken.jsonl").write_bytes(b"\xff\xfe\x00{")
    (home / ".codex/sessions/rollout-x.jsonl.zst").write_bytes(b"\x28\xb5\x2f\xfdbroken")
    assert len(find_sessions(home, {})) == 5
