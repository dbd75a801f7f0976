"""Claude Code's sessions become traces: a node a model call, a node a tool call."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

from logtracer import NodeStatus
from logtracer_extras.importers import import_directory, import_file, import_traces
from session_files import (
    CLAUDE,
    SESSIONS,
    below,
    calls,
    kinds,
    lines_of,
    named,
    parent,
    read_lines,
    tokens,
    tools,
)

FOLDER = SESSIONS / "claude_code"


def step(
    kind: str, uuid: str, content: Any, above: str | None = None, **more: Any
) -> dict[str, Any]:
    message = {"role": kind, "content": content, **more.pop("message", {})}
    moment = f"2026-01-01T00:00:{int(uuid):02}Z"
    return {
        "type": kind,
        "uuid": uuid,
        "parentUuid": above,
        "sessionId": "s",
        "timestamp": moment,
        "message": message,
        **more,
    }


def answer(uuid: str, content: Any, above: str | None = None, **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": 10, "output_tokens": 5}
    message = {"id": f"msg_{uuid}", "model": "m", "stop_reason": "end_turn", "usage": usage}
    return step(
        "assistant", uuid, content, above, message=message | more.pop("message", {}), **more
    )


def test_a_model_call_is_one_node_whatever_lines_it_spans() -> None:
    trace = read_lines(lines_of(CLAUDE))
    assert kinds(trace)["llm_call"] == 7
    assert kinds(trace)["tool_call"] == 6
    assert len(trace.failed_nodes) == 2


def test_the_tokens_of_a_call_count_once_and_include_the_cache() -> None:
    used = tokens(read_lines(lines_of(CLAUDE)))
    assert (used.input, used.output, used.cache_read, used.cache_write) == (
        22_597,
        393,
        21_000,
        1_400,
    )


def test_the_last_of_several_counts_is_the_one_that_counts() -> None:
    (trace,) = import_file(FOLDER / "2025-12.jsonl")
    assert (len(calls(trace)), tokens(trace).output) == (6, 844)


def test_sub_agents_lie_below_the_tool_calls_that_started_them() -> None:
    (trace,) = import_file(CLAUDE)
    agents = named(trace, "general-purpose")
    assert [parent(trace, agent).name for agent in agents] == ["Agent", "Agent"]
    for agent in agents:
        inside = [node.node_type for node in below(trace, agent)]
        assert sorted(inside) == ["llm_call", "llm_call", "tool_call"]


def test_a_nested_sub_agent_hangs_on_the_call_that_its_sidecar_names(tmp_path: Path) -> None:
    shutil.copy(CLAUDE, tmp_path)
    shutil.copytree(CLAUDE.with_suffix(""), tmp_path / CLAUDE.stem)
    folder = tmp_path / CLAUDE.stem / "subagents"
    lines = [step("user", "1", "deep", agentId="deep", isSidechain=True)]
    lines += [answer("2", "done", "1", agentId="deep", isSidechain=True)]
    (folder / "agent-deep.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (folder / "agent-deep.meta.json").write_text(
        '{"agentType": "deep", "toolUseId": "toolu_000008"}'
    )
    lines[0]["sessionId"] = lines[1]["sessionId"] = CLAUDE.stem
    (folder / "agent-deep.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (trace,) = import_file(tmp_path / CLAUDE.name)
    (deep,) = named(trace, "deep")
    assert parent(trace, deep).metadata["gen_ai.tool.call.id"] == "toolu_000008"
    assert parent(trace, parent(trace, deep)).name == "general-purpose"


def test_a_sub_agents_file_beside_the_session_is_found_by_the_id_in_its_result() -> None:
    (trace,) = import_file(FOLDER / "agent_session.jsonl")
    (agent,) = named(trace, "Explore")
    assert parent(trace, agent).name == "Task"
    assert tokens(trace).output == 140


def test_sidechains_in_the_same_file_are_told_apart_by_their_prompts() -> None:
    ask = {"type": "tool_use", "id": "t1", "name": "Task", "input": {"prompt": "look"}}
    lines = [
        step("user", "1", "go"),
        answer("2", [ask], "1"),
        step("user", "3", "look", isSidechain=True),
        answer("4", "seen", "3", isSidechain=True),
        step("user", "5", [{"type": "tool_result", "tool_use_id": "t1", "content": "seen"}], "2"),
    ]
    trace = read_lines(lines)
    (agent,) = [node for node in trace.nodes.values() if node.node_type == "sub_agent"]
    assert parent(trace, agent).name == "Task"
    assert [node.node_type for node in below(trace, agent)] == ["llm_call"]


def test_a_tool_call_ends_with_its_result_and_keeps_its_exit_code() -> None:
    trace = read_lines(lines_of(CLAUDE))
    ok, failed = tools(trace)[:2]
    assert (ok.duration_ms, ok.status, failed.duration_ms) == (182, "completed", 116)
    assert failed.output_data["exit_code"] == 1
    assert "No such file" in (failed.error or "")


def test_thinking_is_apart_from_what_was_said() -> None:
    message = calls(read_lines(lines_of(CLAUDE)))[0].output_data["message"]
    thought, said = message["content"]
    assert thought == {"type": "reasoning", "content": "I should look at two things at once."}
    assert said == {"type": "text", "text": "Looking at both."}
    assert [call["function"]["name"] for call in message["tool_calls"]] == ["Bash", "Bash"]


def test_a_call_holds_the_new_messages_and_counts_the_old_ones() -> None:
    first, second, third = calls(read_lines(lines_of(CLAUDE)))[:3]
    assert [message["role"] for message in first.input_data["messages"]] == ["user"]
    assert [message["role"] for message in second.input_data["messages"]] == ["tool", "tool"]
    carried = [node.metadata["logtracer.messages.carried"] for node in (first, second, third)]
    assert carried == [0, 2, 5]


def test_the_person_is_told_from_what_was_put_in_for_the_model() -> None:
    trace = read_lines(lines_of(CLAUDE))
    said = [node.output_data["content"] for node in named(trace, "user")]
    assert said == [
        "MAINTASK: say one and read the missing file",
        "MAINTASK again: what was said?",
        "MAINTASK third: and now?",
    ]


def test_compaction_resume_and_commands_stand_beside_the_turns() -> None:
    trace = read_lines(lines_of(CLAUDE))
    beside = [node.name for node in trace.nodes.values() if node.depth == 1]
    assert beside == ["turn 1", "turn 2", "/compact", "compaction", "resumed", "turn 3"]
    assert named(trace, "compaction")[0].metadata["claude_code.preTokens"] == 3282


def test_a_compaction_empties_what_the_next_call_carries() -> None:
    (trace,) = import_file(FOLDER / "compaction_session.jsonl")
    first, second = calls(trace)
    assert second.metadata["logtracer.messages.carried"] == 0
    assert len(second.input_data["messages"]) == 2
    assert first.input_data["messages"][0]["content"] == "Start a long conversation"


def test_lines_of_other_kinds_are_counted_and_never_called_damaged() -> None:
    trace = read_lines(
        [*lines_of(CLAUDE), {"type": "new-kind", "uuid": "x", "sessionId": CLAUDE.stem}]
    )
    assert trace.metadata["logtracer.import.kinds"]["new-kind"] == 1
    assert trace.metadata["logtracer.import.kinds"]["queue-operation"] == 8
    assert "logtracer.damaged_lines" not in trace.metadata


def test_an_interrupted_turn_is_interrupted_and_so_is_its_open_tool() -> None:
    ask = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "sleep 9"}}
    stop = [{"type": "text", "text": "[Request interrupted by user for tool use]"}]
    trace = read_lines(
        [step("user", "1", "go"), answer("2", [ask], "1"), step("user", "3", stop, "2")]
    )
    assert named(trace, "turn 1")[0].status == NodeStatus.INTERRUPTED
    assert tools(trace)[0].status == NodeStatus.INTERRUPTED
    assert kinds(trace)["human_input"] == 1


def test_a_rewound_turn_says_so_and_its_tokens_still_count() -> None:
    lines = [step("user", "1", "a"), answer("2", "b", "1"), step("user", "3", "c", "2")]
    lines += [answer("4", "d", "3"), step("user", "5", "c again", "2"), answer("6", "e", "5")]
    trace = read_lines(lines)
    assert [len(node.annotations) for node in trace.nodes.values() if "turn" in node.name] == [
        0,
        0,
        1,
    ]
    assert tokens(trace).output == 15


def test_an_output_count_of_a_line_flushed_early_is_unknown() -> None:
    early = {"stop_reason": None, "usage": {"input_tokens": 7, "output_tokens": 1}}
    lines = [step("user", "1", "a"), answer("2", "b", "1"), answer("3", "c", "2", message=early)]
    trace = read_lines(lines)
    assert (tokens(trace).input, tokens(trace).output) == (17, 5)
    assert "not known" in calls(trace)[1].metadata["logtracer.import.note"]


def test_an_error_of_the_api_is_no_model_call() -> None:
    synthetic = {"model": "<synthetic>", "usage": {"input_tokens": 0, "output_tokens": 0}}
    failed = answer("2", "API Error: 529", "1", message=synthetic, isApiErrorMessage=True)
    trace = read_lines([step("user", "1", "a"), failed])
    assert kinds(trace)["llm_call"] == 0
    assert named(trace, "api error")[0].error == "API Error: 529"


def test_an_answer_of_a_person_is_waiting_and_not_work() -> None:
    ask = {"type": "tool_use", "id": "t1", "name": "AskUserQuestion", "input": {}}
    result = [{"type": "tool_result", "tool_use_id": "t1", "content": "yes"}]
    trace = read_lines(
        [step("user", "1", "a"), answer("2", [ask], "1"), step("user", "9", result, "2")]
    )
    assert tools(trace)[0].metadata["logtracer.waited_ms"] == 7_000


def test_a_copy_of_another_session_does_not_count_its_tokens_again() -> None:
    origin = {"sessionId": "other", "messageUuid": "2"}
    lines = [step("user", "1", "a", forkedFrom=origin), answer("2", "b", "1", forkedFrom=origin)]
    trace = read_lines([*lines, step("user", "3", "c", "2"), answer("4", "d", "3")])
    assert tokens(trace).output == 5
    assert calls(trace)[0].metadata["logtracer.copied_from"] == "other"


def test_cache_writes_are_read_where_only_their_lifetimes_are_told() -> None:
    usage: dict[str, Any] = {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 3}
    usage["cache_creation"] = {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5}
    trace = read_lines([step("user", "1", "a"), answer("2", "b", "1", message={"usage": usage})])
    assert (tokens(trace).input, tokens(trace).cache_write) == (13, 9)


def test_the_output_of_a_headless_run_has_its_own_total_and_cost() -> None:
    (trace,) = import_file(FOLDER / "stream-json.jsonl")
    facts = trace.root_nodes[0].metadata
    assert (facts["gen_ai.usage.input_tokens"], facts["gen_ai.usage.output_tokens"]) == (
        16_102,
        242,
    )
    assert facts["gen_ai.usage.cost"] == 0.02031
    (agent,) = named(trace, "general-purpose")
    assert parent(trace, agent).name == "Agent"


def test_the_same_session_as_one_array_or_as_log_lines_reads_alike() -> None:
    lines = lines_of(CLAUDE)
    (as_array,) = import_traces(json.dumps(lines))
    (as_lines,) = import_traces(json.dumps({"loglines": lines}))
    assert kinds(as_array) == kinds(as_lines) == kinds(read_lines(lines))
    (web,) = import_file(FOLDER / "loglines.json")
    assert kinds(web)["tool_call"] == 12


def test_lines_of_two_sessions_in_one_file_are_two_traces() -> None:
    other = copy.deepcopy(lines_of(FOLDER / "compaction_session.jsonl"))
    both = "\n".join(map(json.dumps, [*lines_of(CLAUDE), *other]))
    assert [tokens(trace).output for trace in import_traces(both)] == [393, 40]


def test_steps_without_a_time_stand_where_the_file_has_them() -> None:
    (trace,) = import_file(FOLDER / "stream-json.jsonl")
    top = [node.node_type for node in trace.nodes.values() if node.depth == 1]
    assert top == ["llm_call", "tool_call", "tool_call", "llm_call", "tool_call", "llm_call"]


def test_the_time_between_turns_is_waiting_for_the_person() -> None:
    lines = [step("user", "1", "a"), answer("2", "b", "1"), step("user", "9", "c", "2")]
    trace = read_lines([*lines, answer("10", "d", "9")])
    assert trace.root_nodes[0].metadata["logtracer.waited_ms"] == 7_000
    assert "logtracer.waited_ms" not in named(trace, "turn 1")[0].metadata


def test_what_a_tool_waited_is_waiting_of_its_turn_and_of_the_session() -> None:
    ask = {"type": "tool_use", "id": "t1", "name": "AskUserQuestion", "input": {}}
    result = [{"type": "tool_result", "tool_use_id": "t1", "content": "yes"}]
    trace = read_lines(
        [step("user", "1", "a"), answer("2", [ask], "1"), step("user", "9", result, "2")]
    )
    for node in (named(trace, "turn 1")[0], trace.root_nodes[0]):
        assert node.metadata["logtracer.waited_ms"] == 7_000


def test_what_claude_code_itself_wrote_of_nested_sub_agents_is_nested() -> None:
    folder = FOLDER / "nested_and_fork"
    (trace,) = import_file(folder / "ec531a59-d4af-412c-a87c-6f0a040ae2e6.jsonl")
    outer, inner = named(trace, "general-purpose")
    assert parent(trace, parent(trace, inner)).id == outer.id
    assert (kinds(trace)["llm_call"], kinds(trace)["tool_call"]) == (6, 5)
    assert (tokens(trace).input, tokens(trace).output) == (19_281, 261)


def test_what_claude_code_itself_wrote_of_a_fork_counts_once() -> None:
    (fork, first) = import_directory(FOLDER / "nested_and_fork")
    assert tokens(first).input + tokens(fork).input == 19_281 + 6_445
    assert len(calls(fork)) == 4


def test_what_was_typed_while_the_model_worked_belongs_to_the_same_turn() -> None:
    def queued(uuid: str, text: str) -> dict[str, Any]:
        attachment = {"type": "queued_command", "commandMode": "prompt", "prompt": text}
        return {**step("attachment", uuid, ""), "attachment": attachment}

    lines = [step("user", "1", "a"), answer("2", "b", "1"), queued("3", "and c")]
    trace = read_lines([*lines, queued("4", "<task-notification>done"), answer("5", "d", "3")])
    said = [node.output_data["content"] for node in named(trace, "user")]
    assert said == ["a", "and c"]
    assert {parent(trace, node).name for node in named(trace, "user")} == {"turn 1"}


def test_a_result_that_stands_alone_tells_what_the_run_used() -> None:
    trace = read_lines([lines_of(FOLDER / "stream-json.jsonl")[-1]])
    (root,) = trace.root_nodes
    assert root.metadata["gen_ai.usage.input_tokens"] == 16_102
    assert root.output_data == {"result": "All done: one was said, the file is missing."}
