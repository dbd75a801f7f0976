"""OpenCode's exports, printed parts and sessions become traces."""

from __future__ import annotations

import copy
import json
from typing import Any

from logtracer import NodeStatus
from logtracer_extras.importers import import_file, import_traces
from session_files import SESSIONS, calls, kinds, named, parent, read_lines, tokens, tools

EXPORT = SESSIONS / "opencode" / "export.json"


def exported() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(EXPORT.read_text(encoding="utf-8"))
    return document


def test_an_export_is_read_with_cache_and_thoughts_within_its_counts() -> None:
    (trace,) = import_file(EXPORT)
    used = tokens(trace)
    assert (used.input, used.cache_read, used.output, used.reasoning) == (1_052, 600, 50, 10)
    assert (kinds(trace)["llm_call"], kinds(trace)["tool_call"]) == (1, 2)


def test_a_tool_takes_as_long_as_its_state_says_and_fails_with_its_error() -> None:
    ok, failed = tools(import_file(EXPORT)[0])
    assert (ok.duration_ms, ok.output_data["exit_code"], ok.status) == (518, 0, "completed")
    assert (failed.duration_ms, failed.status) == (332, "failed")
    assert failed.error == "The user rejected permission to use this specific tool call."


def test_a_command_that_completed_with_another_code_than_0_has_failed() -> None:
    document = exported()
    document["messages"][1]["parts"][2]["state"]["metadata"]["exit"] = 3
    assert [node.status for node in tools(read_lines([document]))] == ["failed", "failed"]


def test_a_cost_of_0_is_unknown() -> None:
    document = exported()
    assert "gen_ai.usage.cost" not in calls(read_lines([document]))[0].metadata
    document["messages"][1]["info"]["cost"] = 0.5
    assert calls(read_lines([document]))[0].metadata["gen_ai.usage.cost"] == 0.5


def test_several_steps_in_one_message_are_a_call_each() -> None:
    document = exported()
    parts = document["messages"][1]["parts"]
    again = copy.deepcopy(parts)
    for part in again:
        part["id"] += "x"
    document["messages"][1]["parts"] = parts + again
    trace = read_lines([document])
    assert (len(calls(trace)), tokens(trace).output) == (2, 100)


def test_printed_parts_are_put_back_into_messages() -> None:
    parts = exported()["messages"][1]["parts"]
    lines = [{"type": part["type"], "sessionID": part["sessionID"], "part": part} for part in parts]
    trace = read_lines(lines)
    assert (kinds(trace)["llm_call"], kinds(trace)["tool_call"]) == (1, 2)
    assert (tokens(trace).input, tokens(trace).output) == (1_052, 50)


def test_a_session_that_another_one_started_lies_below_its_call() -> None:
    above, below = exported(), exported()
    tool = above["messages"][1]["parts"][2]
    tool["tool"], tool["state"]["metadata"]["sessionId"] = "task", "ses_child"
    below["info"] |= {"id": "ses_child", "parentID": above["info"]["id"], "agent": "general"}
    trace = read_lines([below, above])
    (agent,) = named(trace, "general")
    assert (parent(trace, agent).name, agent.node_type) == ("task", "sub_agent")
    assert tokens(trace).output == 100


def test_sessions_whose_parents_form_a_circle_are_all_read() -> None:
    one, two = exported(), exported()
    one["info"] |= {"id": "ses_1", "parentID": "ses_2"}
    two["info"] |= {"id": "ses_2", "parentID": "ses_1"}
    both = import_traces("\n".join(map(json.dumps, [one, two])))
    assert [len(calls(trace)) for trace in both] == [1, 1]


def test_an_aborted_message_is_interrupted() -> None:
    document = exported()
    document["messages"][1]["info"]["error"] = {"name": "MessageAbortedError", "data": {}}
    trace = read_lines([document])
    assert calls(trace)[0].status == NodeStatus.INTERRUPTED
    assert named(trace, "turn 1")[0].status == NodeStatus.INTERRUPTED
