"""Codex's rollouts become traces: tokens by the growth of a total, steps by items."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from logtracer import NodeStatus, TraceLoadError
from logtracer_extras.importers import import_file, import_traces
from needs import needs
from session_files import (
    CODEX,
    SESSIONS,
    calls,
    kinds,
    lines_of,
    named,
    parent,
    read_lines,
    tokens,
    tools,
)

PARENT = "019b0000-0000-7000-8000-000000000001"
CHILD = "019b0000-0001-7000-8000-000000000002"
LATER = "2026-01-01T00:01:00Z"


def item(second: int, kind: str, **payload: Any) -> dict[str, Any]:
    return line(second, "response_item", type=kind, **payload)


def event(second: int, kind: str, **payload: Any) -> dict[str, Any]:
    return line(second, "event_msg", type=kind, **payload)


def line(second: int, kind: str, **payload: Any) -> dict[str, Any]:
    return {"timestamp": f"2026-01-01T00:00:{second:02}Z", "type": kind, "payload": payload}


def said(second: int, role: str, text: str) -> dict[str, Any]:
    return item(second, "message", role=role, content=[{"type": "text", "text": text}])


def count(second: int, total: int, last: int) -> dict[str, Any]:
    usage = [
        {"input_tokens": n, "output_tokens": n // 10, "total_tokens": n} for n in (total, last)
    ]
    return event(
        second, "token_count", info={"total_token_usage": usage[0], "last_token_usage": usage[1]}
    )


def rollout(session_id: str = PARENT, **meta: Any) -> list[dict[str, Any]]:
    """Return a session of two calls, 300 tokens in and 30 out."""
    return [
        line(0, "session_meta", id=session_id, **meta),
        said(1, "user", "go"),
        item(2, "function_call", name="spawn_agent", arguments="{}", call_id="c1"),
        count(3, 100, 100),
        item(4, "function_call_output", call_id="c1", output=json.dumps({"agent_id": CHILD})),
        said(5, "assistant", "done"),
        count(6, 300, 200),
    ]


def test_a_call_ends_at_its_token_count_and_counts_once() -> None:
    trace = read_lines(lines_of(CODEX))
    used = tokens(trace)
    assert (len(calls(trace)), kinds(trace)["tool_call"]) == (3, 2)
    assert (used.input, used.cache_read, used.output, used.reasoning) == (3_129, 1_800, 279, 48)


def test_a_count_that_is_written_twice_counts_once() -> None:
    (trace,) = import_file(SESSIONS / "codex" / "2025-12.jsonl")
    used = tokens(trace)
    assert (used.input, used.cache_read, used.output) == (26_740, 22_912, 408)
    assert [len(node.metadata.get("logtracer.import.repeats", ())) for node in calls(trace)] == [
        1, 1, 1, 1, 1, 1, 0,
    ]  # fmt: skip


def test_the_last_of_the_files_own_totals_is_kept() -> None:
    (told,) = read_lines(lines_of(CODEX)).metadata["logtracer.import.totals"]
    assert told["gen_ai.usage.input_tokens"] == 3_129


def test_a_command_keeps_its_exit_code_and_a_failed_one_has_failed() -> None:
    ok, failed = tools(read_lines(lines_of(CODEX)))
    assert (ok.status, ok.output_data["exit_code"]) == ("completed", 0)
    assert (failed.status, failed.output_data["exit_code"]) == ("failed", 1)


def test_an_exit_code_in_the_text_is_read_above_the_output_alone() -> None:
    (trace,) = import_file(SESSIONS / "codex" / "2025-12.jsonl")
    assert [node.output_data["exit_code"] for node in tools(trace)] == [0, 0, 1, 1, 0]
    lines = rollout()
    lines[4]["payload"]["output"] = "Exit code: 0\nOutput:\nExit code: 7\n"
    assert tools(read_lines(lines))[0].output_data["exit_code"] == 0


def test_the_person_is_told_from_what_codex_put_in() -> None:
    trace = read_lines(lines_of(CODEX))
    asked = [node.output_data["content"] for node in named(trace, "user")]
    assert asked == ["say one and read the missing file", "again: say one"]
    sent = calls(trace)[0].input_data["messages"]
    assert [message["role"] for message in sent] == ["developer", "user", "user"]


def test_an_aborted_turn_is_interrupted() -> None:
    lines = [
        line(0, "session_meta", id=PARENT),
        event(1, "task_started", turn_id="t"),
        said(2, "user", "go"),
        said(3, "assistant", "well"),
        event(4, "turn_aborted", turn_id="t", reason="interrupted"),
    ]
    turn = named(read_lines(lines), "turn 1")[0]
    assert (turn.status, turn.annotations) == (NodeStatus.INTERRUPTED, ["interrupted"])


def test_a_sub_agents_rollout_is_found_and_hung_below_its_call(tmp_path: Path) -> None:
    day = tmp_path / "sessions" / "2026" / "01" / "01"
    day.mkdir(parents=True)
    spawn = {"thread_spawn": {"parent_thread_id": PARENT, "agent_nickname": "Ada", "depth": 1}}
    child = rollout(CHILD, source={"subagent": spawn})
    for name, lines in ((PARENT, rollout()), (CHILD, child)):
        file = day / f"rollout-2026-01-01T00-00-00-{name}.jsonl"
        file.write_text("\n".join(map(json.dumps, lines)))
    (trace,) = import_file(day / f"rollout-2026-01-01T00-00-00-{PARENT}.jsonl")
    (agent,) = named(trace, "Ada")
    assert parent(trace, agent).name == "spawn_agent"
    assert (tokens(trace).input, tokens(trace).output) == (600, 60)


@pytest.mark.parametrize("by", ["turns", "times", "ordinals"])
def test_the_copied_history_of_a_fork_does_not_count_again(by: str) -> None:
    copied = rollout()
    own = [said(1, "user", "more"), said(2, "assistant", "ok"), count(3, 350, 50)]
    turns = [
        ("019b0000-0000-7000-8000-00000000000a", 0),
        ("019b0000-0002-7000-8000-00000000000b", 9),
    ]
    if by == "turns":
        marks = [event(9, "task_started", turn_id=turn) for turn, _ in turns]
        copied, own = [copied[0], marks[0], *copied[1:]], [marks[1], *own]
    meta: dict[str, Any] = {"forked_from_id": PARENT}
    if by == "ordinals":
        meta |= {"subagent_history_start_ordinal": len(copied) + 1}
    lines = [line(8, "session_meta", id=CHILD, **meta), *copied, *own]
    for number, each in enumerate(lines):
        each["timestamp"] = "2026-01-01T00:00:59Z" if number <= len(copied) else LATER
        if by == "ordinals":
            each["ordinal"] = number
    trace = read_lines(lines)
    assert (len(calls(trace)), tokens(trace).input, tokens(trace).output) == (1, 50, 5)
    assert trace.metadata["codex.forked_from"] == PARENT


def test_a_total_that_begins_anew_counts_from_there() -> None:
    lines = [*rollout(), said(7, "user", "again"), said(8, "assistant", "yes"), count(9, 40, 40)]
    assert tokens(read_lines(lines)).input == 340


def test_a_rollout_without_its_envelope_is_one_trace() -> None:
    bare = [each["payload"] for each in rollout() if each["type"] == "response_item"]
    header = {"id": PARENT, "timestamp": LATER, "instructions": None}
    lines = [header, *(each for one in bare for each in (one, {"record_type": "state"}))]
    trace = read_lines(lines)
    assert (kinds(trace)["llm_call"], kinds(trace)["tool_call"]) == (2, 1)
    assert trace.metadata["logtracer.import.kinds"] == {"state": 4}


def test_waiting_for_a_permission_is_kept_apart_from_the_work() -> None:
    asked = event(3, "exec_approval_request", call_id="c1")
    lines = [*rollout()[:3], asked, event(4, "exec_command_begin", call_id="c1"), *rollout()[4:]]
    assert tools(read_lines(lines))[0].metadata["logtracer.waited_ms"] == 1_000


def test_a_change_of_the_model_is_said_where_it_happens() -> None:
    lines = rollout()
    lines.insert(1, line(1, "turn_context", model="small"))
    lines.insert(6, line(4, "turn_context", model="large"))
    first, second = calls(read_lines(lines))
    assert (first.annotations, second.annotations) == ([], ["model changed from small to large"])


def test_a_packed_rollout_is_read(tmp_path: Path) -> None:
    pack = importlib.import_module(needs("zstandard")).ZstdCompressor().compress
    file = tmp_path / (CODEX.name + ".zst")
    file.write_bytes(pack(CODEX.read_bytes()))
    (trace,) = import_file(file)
    assert tokens(trace).input == 3_129
    file.write_bytes(pack(CODEX.read_bytes())[:-30])
    with pytest.raises(TraceLoadError, match="damaged Zstandard|not JSON"):
        import_file(file)


def test_a_packed_rollout_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(TraceLoadError, match="pip install zstandard, or use Python 3.14"):
        import_traces(b"\x28\xb5\x2f\xfd rest")


def test_the_events_of_a_headless_run_are_a_turn_with_one_count() -> None:
    (trace,) = import_file(SESSIONS / "codex" / "exec_json.jsonl")
    assert (kinds(trace)["llm_call"], kinds(trace)["tool_call"]) == (2, 2)
    assert [node.output_data["exit_code"] for node in tools(trace)] == [0, 1]
    facts = named(trace, "turn 1")[0].metadata
    assert (facts["gen_ai.usage.input_tokens"], facts["gen_ai.usage.output_tokens"]) == (2_082, 182)


def test_the_count_of_a_later_turn_is_what_the_sum_has_grown_by() -> None:
    lines = lines_of(SESSIONS / "codex" / "exec_json.jsonl")
    usage = {"input_tokens": 3_129, "output_tokens": 279}
    lines += [{"type": "turn.started"}, {"type": "turn.completed", "usage": usage}]
    facts = named(read_lines(lines), "turn 2")[0].metadata
    assert (facts["gen_ai.usage.input_tokens"], facts["gen_ai.usage.output_tokens"]) == (1_047, 97)


def test_a_turn_whose_end_stands_there_twice_counts_once() -> None:
    lines = lines_of(SESSIONS / "codex" / "exec_json.jsonl")
    facts = named(read_lines([*lines, lines[-1]]), "turn 1")[0].metadata
    assert facts["gen_ai.usage.input_tokens"] == 2_082


def test_what_codex_itself_wrote_of_a_forked_sub_agent_is_one_trace() -> None:
    folder = SESSIONS / "codex" / "forked_agent" / "sessions"
    above, below = sorted(folder.rglob("rollout-*.jsonl"))
    (trace,) = import_file(above)
    (agent,) = named(trace, "Russell")
    assert parent(trace, agent).name == "spawn_agent"
    assert (tokens(trace).input, tokens(trace).output) == (5_040, 290)
    (alone,) = import_file(below)
    assert (tokens(alone).input, kinds(alone)["human_input"]) == (2_017, 0)


def test_what_codex_itself_wrote_of_an_interrupted_turn_is_interrupted() -> None:
    (trace,) = import_file(SESSIONS / "codex" / "aborted.jsonl")
    turn = named(trace, "turn 1")[0]
    assert (turn.status, turn.annotations) == (NodeStatus.INTERRUPTED, ["interrupted"])
    assert (tokens(trace).input, tokens(trace).output) == (1_001, 51)
