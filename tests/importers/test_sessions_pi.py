"""pi's sessions become traces, with the costs that they record."""

from __future__ import annotations

from typing import Any

from logtracer import NodeStatus
from logtracer_extras.importers import import_file
from session_files import SESSIONS, calls, kinds, named, read_lines, tokens, tools

HEADER = {"type": "session", "id": "s", "cwd": "/project", "timestamp": "2026-01-01T00:00:00Z"}


def entry(second: int, above: int | None, **message: Any) -> dict[str, Any]:
    moment = f"2026-01-01T00:00:{second:02}Z"
    parent = None if above is None else f"e{above}"
    return {
        "type": "message",
        "id": f"e{second}",
        "parentId": parent,
        "timestamp": moment,
        "message": message,
    }


def answer(second: int, above: int, stop: str = "stop", **more: Any) -> dict[str, Any]:
    usage = {"input": 10, "output": 2, "cacheRead": 5, "cacheWrite": 3, "cost": {"total": 0.25}}
    said = [{"type": "text", "text": "ok"}]
    facts = {"content": said, "model": "m", "usage": usage, "stopReason": stop}
    return entry(second, above, role="assistant", **facts | more)


def test_a_session_is_read_with_its_costs() -> None:
    (trace,) = import_file(SESSIONS / "pi" / "session.jsonl")
    used = tokens(trace)
    assert (kinds(trace)["llm_call"], kinds(trace)["tool_call"]) == (2, 1)
    assert (used.input, used.output) == (300, 60)
    assert [node.metadata["gen_ai.usage.cost"] for node in calls(trace)] == [0.01, 0.005]
    assert len(named(trace, "compaction")) == 1


def test_the_input_includes_the_cache() -> None:
    trace = read_lines([HEADER, entry(1, None, role="user", content="a"), answer(2, 1)])
    used = tokens(trace)
    assert (used.input, used.cache_read, used.cache_write) == (18, 5, 3)


def test_an_aborted_answer_is_interrupted_and_an_error_has_failed() -> None:
    lines = [HEADER, entry(1, None, role="user", content="a"), answer(2, 1, "aborted")]
    lines += [
        entry(3, 2, role="user", content="b"),
        answer(4, 3, "error", errorMessage="overloaded"),
    ]
    trace = read_lines(lines)
    assert [node.status for node in calls(trace)] == [NodeStatus.INTERRUPTED, NodeStatus.FAILED]
    assert calls(trace)[1].error == "overloaded"


def test_a_tool_without_a_result_is_interrupted() -> None:
    ask = [{"type": "toolCall", "id": "c1", "name": "read", "arguments": {"path": "a"}}]
    ask += [{"type": "toolCall", "id": "c2", "name": "read", "arguments": {"path": "b"}}]
    done = {"toolCallId": "c2", "toolName": "read", "content": [], "isError": True}
    lines = [HEADER, entry(1, None, role="user", content="a"), answer(2, 1, content=ask)]
    trace = read_lines([*lines, entry(3, 2, role="toolResult", **done)])
    assert [node.status for node in tools(trace)] == [NodeStatus.INTERRUPTED, NodeStatus.FAILED]


def test_a_command_of_the_person_keeps_its_exit_code() -> None:
    run = {"command": "ls", "output": "no", "exitCode": 2, "cancelled": False}
    trace = read_lines([HEADER, entry(1, None, role="bashExecution", **run)])
    (tool,) = tools(trace)
    assert (tool.status, tool.output_data["exit_code"]) == (NodeStatus.FAILED, 2)


def test_a_prompt_that_goes_on_from_an_earlier_entry_is_rewound() -> None:
    lines = [HEADER, entry(1, None, role="user", content="a"), answer(2, 1)]
    trace = read_lines([*lines, entry(3, 1, role="user", content="again"), answer(4, 3)])
    assert named(trace, "turn 2")[0].annotations
    assert not named(trace, "turn 1")[0].annotations


def test_a_session_shared_in_this_form_is_read_though_it_names_no_directory() -> None:
    header = {"type": "session", "id": "s", "harness": "some-agent"}
    trace = read_lines([header, entry(1, None, role="user", content="a"), answer(2, 1)])
    assert (kinds(trace)["llm_call"], trace.metadata["pi.harness"]) == (1, "some-agent")


def test_what_pi_itself_wrote_of_a_resumed_session_is_two_turns() -> None:
    (trace,) = import_file(SESSIONS / "pi" / "resumed.jsonl")
    used = tokens(trace)
    assert (used.input, used.cache_read, used.output) == (4_022, 2_400, 222)
    assert (kinds(trace)["human_input"], len(tools(trace)), len(trace.failed_nodes)) == (2, 4, 2)
    assert not named(trace, "turn 2")[0].annotations  # it goes on; nothing was rewound
