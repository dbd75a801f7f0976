"""Gemini CLI's chats become traces, though they are a log of changes."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from logtracer_extras.importers import import_directory, import_file
from session_files import (
    GEMINI,
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

HEADER = {"sessionId": "s-1", "projectHash": "h", "startTime": "2026-01-01T00:00:00Z"}


def user(second: int, text: str) -> dict[str, Any]:
    return {"id": f"u{second}", "timestamp": at(second), "type": "user", "content": text}


def gemini(second: int, text: str, **more: Any) -> dict[str, Any]:
    counts = {"input": 10, "output": 2, "cached": 0, "thoughts": 1, "tool": 0, "total": 13}
    return {
        "id": f"g{second}",
        "timestamp": at(second),
        "type": "gemini",
        "content": text,
        "tokens": counts,
        "model": "m",
        **more,
    }


def at(second: int) -> str:
    return f"2026-01-01T00:00:{second:02}Z"


def test_a_message_that_grew_is_one_call_and_counts_once() -> None:
    trace = read_lines(lines_of(GEMINI))
    used = tokens(trace)
    assert (len(calls(trace)), used.input, used.cache_read) == (2, 2_099, 1_000)
    assert (used.output, used.reasoning) == (100, 40)  # thoughts are told beside the output
    assert calls(trace)[0].metadata["logtracer.import.repeats"] == ["record 5"]


def test_a_command_that_failed_has_failed_though_its_status_says_success() -> None:
    ok, failed = tools(read_lines(lines_of(GEMINI)))
    assert (ok.status, failed.status, failed.output_data["exit_code"]) == ("completed", "failed", 1)


def test_the_person_is_told_from_the_context_and_from_results() -> None:
    trace = read_lines(lines_of(GEMINI))
    assert [node.output_data["content"] for node in named(trace, "user")] == [
        "say one and read the missing file"
    ]
    assert len(calls(trace)[0].input_data["messages"]) == 2


def test_the_older_single_document_reads_alike() -> None:
    (trace,) = import_file(SESSIONS / "gemini_cli" / "2025-12.json")
    used = tokens(trace)
    assert (kinds(trace)["llm_call"], kinds(trace)["tool_call"]) == (7, 5)
    assert (used.input, used.output, used.reasoning) == (67_273, 677, 377)
    thought = calls(trace)[0].output_data["message"]["content"][0]
    assert thought["type"] == "reasoning"


def test_what_was_rewound_still_counts_and_the_next_turn_says_so() -> None:
    lines = [HEADER, user(1, "a"), gemini(2, "b"), user(3, "c"), gemini(4, "d")]
    lines += [{"$rewindTo": "u3"}, user(5, "e"), gemini(6, "f")]
    trace = read_lines(lines)
    assert tokens(trace).output == 9
    assert [len(node.annotations) for node in trace.nodes.values() if "turn" in node.name] == [
        0,
        0,
        1,
    ]
    assert [node.metadata.get("gemini_cli.rewound") for node in calls(trace)] == [None, True, None]


def test_an_update_may_come_before_its_message() -> None:
    counts = {"input": 99, "output": 1, "cached": 0, "thoughts": 0, "tool": 1, "total": 101}
    update = {"type": "message_update", "id": "g2", "tokens": counts}
    for lines in ([update, user(1, "a"), gemini(2, "b")], [user(1, "a"), gemini(2, "b"), update]):
        trace = read_lines([HEADER, *copy.deepcopy(lines)])
        assert (len(calls(trace)), tokens(trace).input) == (1, 100)


def test_a_list_that_replaces_the_messages_is_a_compaction() -> None:
    summary = {"id": "x", "timestamp": at(3), "type": "user", "content": "<session_context> short"}
    lines: list[Any] = [HEADER, user(1, "a"), gemini(2, "b"), {"$set": {"messages": [summary]}}]
    trace = read_lines([*lines, user(4, "c"), gemini(5, "d")])
    assert len(named(trace, "compaction")) == 1
    assert calls(trace)[1].metadata["logtracer.messages.carried"] == 0
    assert tokens(trace).output == 6


def test_a_tool_that_waits_for_a_permission_is_paused() -> None:
    call = {
        "id": "c",
        "name": "shell",
        "args": {},
        "status": "awaiting_approval",
        "timestamp": at(3),
    }
    trace = read_lines([HEADER, user(1, "a"), gemini(2, "b", toolCalls=[call])])
    assert tools(trace)[0].status == "paused"


def test_a_sub_agents_chat_is_found_and_hung_below_its_call(tmp_path: Path) -> None:
    call: dict[str, Any] = {
        "id": "c",
        "name": "researcher",
        "args": {},
        "status": "success",
        "agentId": "a-1",
    }
    call |= {"timestamp": at(4), "result": [{"functionResponse": {"response": {"output": "ok"}}}]}
    folder = tmp_path / "s-1"
    folder.mkdir()
    main = [HEADER, user(1, "a"), gemini(2, "b", toolCalls=[call])]
    below = [{**HEADER, "sessionId": "a-1", "kind": "subagent"}, user(3, "look"), gemini(3, "seen")]
    for file, lines in ((tmp_path / "session-1.jsonl", main), (folder / "a-1.jsonl", below)):
        file.write_text("\n".join(map(json.dumps, lines)))
    (trace,) = import_file(tmp_path / "session-1.jsonl")
    (agent,) = [node for node in trace.nodes.values() if node.node_type == "sub_agent"]
    assert (parent(trace, agent).name, parent(trace, agent).node_type) == (
        "researcher",
        "tool_call",
    )
    assert tokens(trace).output == 6


def test_what_gemini_cli_itself_wrote_of_a_sub_agent_is_one_trace() -> None:
    (trace,) = import_directory(SESSIONS / "gemini_cli" / "sub_agent")
    (agent,) = [node for node in trace.nodes.values() if node.node_type == "sub_agent"]
    assert (agent.name, parent(trace, agent).name) == ("generalist", "invoke_agent")
    assert (kinds(trace)["llm_call"], kinds(trace)["tool_call"]) == (4, 3)
