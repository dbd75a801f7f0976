"""Every token counts once: whatever is repeated, resumed or forked, the sum stays the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logtracer_extras.importers import import_directory, import_file
from logtracer_extras.importers.accounts import account_of, count_once
from session_files import CLAUDE, CODEX, GEMINI, SESSIONS, calls, lines_of, read_lines, tokens

LINES = (
    CLAUDE,
    SESSIONS / "claude_code" / "2025-12.jsonl",
    SESSIONS / "claude_code" / "stream-json.jsonl",
    CODEX,
    SESSIONS / "codex" / "2025-12.jsonl",
    GEMINI,
)


def sums(path: Path) -> tuple[int, int]:
    used = [tokens(trace) for trace in import_directory(path)]
    return sum(each.input for each in used), sum(each.output for each in used)


def written(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


@pytest.mark.parametrize("path", LINES, ids=lambda path: f"{path.parent.name}-{path.stem[:12]}")
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_repeated_line_changes_no_sum(path: Path, data: st.DataObject) -> None:
    lines = lines_of(path)
    once = tokens(read_lines(lines_of(path)))
    for _ in range(data.draw(st.integers(1, 4))):
        again = data.draw(st.sampled_from(lines))
        lines.insert(data.draw(st.integers(1, len(lines))), again)
    assert tokens(read_lines(lines)) == once


@pytest.mark.parametrize("path", LINES, ids=lambda path: f"{path.parent.name}-{path.stem[:12]}")
def test_a_file_that_is_there_twice_changes_no_sum(path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path / f"rollout-{path.name}")
    once = sums(tmp_path)
    shutil.copy(path, tmp_path / f"rollout-copy-{path.name}")
    assert sums(tmp_path) == once


@settings(max_examples=15, deadline=None)
@given(cut=st.integers(1, 48))
def test_a_fork_of_claude_code_counts_what_is_new_in_it(cut: int) -> None:
    lines = [{**line, "sessionId": "fork"} for line in lines_of(CLAUDE)[:cut]]
    usage = {"input_tokens": 7, "output_tokens": 3}
    message = {"id": "new", "role": "assistant", "content": "x", "usage": usage}
    own = {"type": "assistant", "uuid": "new", "sessionId": "fork", "message": message}
    traces = [read_lines(lines_of(CLAUDE)), read_lines([*lines, own])]
    count_once(traces)
    assert sum(tokens(trace).input for trace in traces) == 22_597 + 7


def test_a_fork_in_another_file_counts_once_with_its_sub_agents(tmp_path: Path) -> None:
    shutil.copy(CLAUDE, tmp_path)
    shutil.copytree(CLAUDE.with_suffix(""), tmp_path / CLAUDE.stem)
    once = sums(tmp_path)
    fork = [{**line, "sessionId": "fork"} for line in lines_of(CLAUDE)]
    written(tmp_path / "fork.jsonl", fork)
    assert sums(tmp_path) == once
    copied = [
        trace for trace in import_directory(tmp_path) if trace.metadata["session_id"] == "fork"
    ]
    assert all("logtracer.counted_in" in node.metadata for node in calls(copied[0]))


def test_an_account_names_the_record_of_every_token() -> None:
    account = account_of(import_file(SESSIONS / "codex" / "2025-12.jsonl")[0])
    assert (account.sent, account.made) == (26_740, 408)
    assert all(entry.record for entry in account.entries)
    assert [len(entry.repeats) for entry in account.entries] == [1] * 6 + [0]
    assert [total.difference for total in account.totals] == [(0, 0)]


def test_an_account_says_why_the_files_own_total_differs() -> None:
    (total,) = account_of(import_file(SESSIONS / "claude_code" / "stream-json.jsonl")[0]).totals
    assert total.difference == (3_223, 242)
    assert total.reasons == (
        "no record tells the output of 4 of 4 calls",
        "calls of sub-agents are not in the file",
    )


def test_the_history_that_a_fork_of_codex_begins_with_is_named() -> None:
    lines = lines_of(SESSIONS / "codex" / "2025-12.jsonl")
    meta = {"id": "fork", "forked_from_id": "parent"}
    header = {"timestamp": "2026-01-01T00:00:00Z", "type": "session_meta", "payload": meta}
    copied = [{**line, "timestamp": "2026-01-01T00:00:01Z"} for line in lines[:30]]
    own = [{**line, "timestamp": f"2026-01-02{line['timestamp'][10:]}"} for line in lines[30:]]
    account = account_of(read_lines([header, *copied, *own]))
    assert (account.sent, account.made) == (26_740 - 11_031, 408 - 167)
    (total,) = account.totals
    assert total.difference == (0, 0)
    assert total.reasons == ("11,031 in and 167 out were used before its own records",)


def test_a_line_that_stands_there_twice_is_named_with_its_first() -> None:
    lines = lines_of(CODEX)
    account = account_of(read_lines([*lines, lines[-2]]))
    assert account.repeated == {f"record {len(lines) + 1}": f"record {len(lines) - 1}"}


def test_in_a_directory_sub_agents_are_read_with_the_session_that_started_them() -> None:
    folder = SESSIONS / "codex" / "forked_agent"
    (trace,) = import_directory(folder)
    assert trace.name == "MAIN FORK: say one and ask a helper"
    assert tokens(trace).input == 5_040


def test_a_sub_agents_file_alone_is_read_and_named_by_its_task() -> None:
    folder = SESSIONS / "codex" / "forked_agent" / "sessions"
    below = sorted(folder.rglob("rollout-*.jsonl"))[1]
    assert import_file(below)[0].name == "SUBTASK NESTED: say sub"
