"""What a check finds in runs that look successful, and what it lets alone."""

from __future__ import annotations

from typing import Any

import pytest

from check_runs import CLEAN, CONTEXT_WINDOWS, FAULTY, LabelledRun, labelled_runs
from logtracer import TraceGraph
from logtracer_extras.analysis import PriceTable
from logtracer_extras.check import KINDS, Finding, check
from logtracer_extras.testing import TraceBuilder

RUNS = labelled_runs(2 * max(len(CLEAN), len(FAULTY)), seed=3)


def kinds(trace: TraceGraph) -> list[str]:
    return [finding.kind for finding in check(trace)]


def after_call(output: dict[str, Any], answer: str = "It is set.", **facts: Any) -> TraceGraph:
    """Return a run of one tool call, and an answer."""
    builder = TraceBuilder("agent")
    builder.node("update_record", "tool_call", input={"id": 1}, output=output, **facts)
    builder.node("chat", "llm_call", output={"text": answer})
    return builder.trace


def answering(text: str, **call: Any) -> TraceGraph:
    builder = TraceBuilder("agent")
    if call:
        builder.node(call.pop("name"), "tool_call", **call)
    builder.node("chat", "llm_call", output={"text": text})
    return builder.trace


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.story)
def test_each_kind_of_run_gives_its_findings_and_no_others(run: LabelledRun) -> None:
    found = check(run.trace, context_windows=CONTEXT_WINDOWS)
    assert {finding.kind for finding in found} == run.kinds
    assert all(node_id in run.trace.nodes for each in found for node_id in each.nodes)


def test_every_kind_is_documented_and_has_a_run() -> None:
    told = {teller.__name__ for teller in FAULTY}
    assert told == KINDS.keys() - {"over_budget"}
    with pytest.raises(ValueError, match="unknown kind 'loop'; known: repeated_call"):
        check(TraceGraph(), ignore=["loop"])


def test_kinds_that_do_not_matter_are_left_out() -> None:
    trace = after_call({"exit_code": 2})
    assert kinds(trace) == ["hidden_error"]
    assert check(trace, ignore=["hidden_error"]) == []


def test_a_loop_says_how_often_with_what_and_what_it_wasted() -> None:
    builder = TraceBuilder("agent")
    for number in range(4):
        tokens = (100 * (number + 1), 10)
        builder.node("chat", "llm_call", input={"n": number}, model="m", tokens=tokens)
        builder.node("search", "tool_call", input={"q": "a"}, output={"hits": []})
    prices = PriceTable({"m": {"input": 1.0, "output": 1.0}})
    (found,) = check(builder.trace, prices=prices)
    assert found.message == "search was called 4 times with the same result"
    assert found.nodes == tuple(node.id for node in builder.trace.nodes.values())[2::2]
    assert found.tokens == 200 + 300 + 400 + 3 * 10
    assert found.cost == pytest.approx(930 / 1e6)
    assert Finding(**{**found.to_dict(), "nodes": found.nodes}) == found


@pytest.mark.parametrize(
    "output",
    [
        {"exit_code": 0, "stderr": "Error: only a warning"},
        {"ok": True, "text": "Error: as asked"},
        {"status": 200, "body": "Error: the title of a page"},
        {"error": None, "rows": 3},
        {"errors": []},
        {"text": "The log has an Error: line somewhere."},
        {"status": "active"},
        {"code": 500},
        {"content": "Process exited with code 0\nOutput:\nError: as asked"},
        {"content": '{"returncode": 0, "output": "Error: as asked"}'},
    ],
)
def test_a_result_that_says_it_went_well_is_believed(output: dict[str, Any]) -> None:
    assert kinds(after_call(output)) == []


@pytest.mark.parametrize(
    "output",
    [
        {"returncode": 1},
        {"result": {"exit_code": 3}},
        {"is_error": True},
        {"status": "failed", "reason": "locked"},
        {"http_status": 404},
        {"return_value": "ValueError: bad id"},
        {"content": [{"type": "text", "text": "Error: no such record"}]},
        {"content": '{"returncode": 2, "output": "no"}'},
        {"content": "Wall time: 0.2 seconds\nProcess exited with code 2\nOutput:\nno"},
        {"content": "Exit code 1\nno such record"},
    ],
)
def test_an_error_in_a_result_is_found_in_every_form(output: dict[str, Any]) -> None:
    assert kinds(after_call(output)) == ["hidden_error"]


def test_an_error_that_the_answer_owns_up_to_is_no_secret() -> None:
    assert kinds(after_call({"exit_code": 1}, "The update failed.")) == []
    assert kinds(after_call({"exit_code": 1}, "Done, with no errors.")) == ["hidden_error"]


def test_an_open_failure_and_a_failed_run_are_not_hidden() -> None:
    assert kinds(after_call({}, error="no")) == []
    trace = after_call({"exit_code": 1})
    trace.root_nodes[0].status = trace.root_nodes[0].status.FAILED
    assert kinds(trace) == []


def test_a_later_success_of_the_same_tool_mends_an_error() -> None:
    builder = TraceBuilder("agent")
    for code, command in ((1, "make"), (0, "ls"), (0, "make -j1")):
        builder.node("bash", "tool_call", input={"command": command}, output={"exit_code": code})
    assert kinds(builder.trace) == []


@pytest.mark.parametrize(
    "text",
    [
        "All tests pass.",
        "I ran it and the tests passed.",
        "I wrote the table to out/data.csv.",
        "The message was sent.",
        "I've pushed it.",
        "It was deployed.",
        "I checked the documentation.",
    ],
)
def test_a_claim_needs_a_call(text: str) -> None:
    assert [kind.partition("_")[0] for kind in kinds(answering(text))] == ["claimed"]


@pytest.mark.parametrize(
    "text",
    [
        "The tests do not pass.",
        "Do the tests pass?",
        "The tests should pass.",
        "Tests pass only if the server runs.",
        "I could not write data.csv.",
        "You can send the email with this text.",
        "No tests passed.",
        "It wasn't deployed.",
    ],
)
def test_a_denial_a_plan_or_a_question_is_no_claim(text: str) -> None:
    assert kinds(answering(text)) == []


@pytest.mark.parametrize(
    ("text", "name", "given"),
    [
        ("All tests pass.", "bash", {"command": "cargo test"}),
        ("I wrote out/data.csv.", "save", {"path": "/srv/out/data.csv"}),
        ("I wrote data.csv.", "bash", {"command": "python make.py > data.csv"}),
        ("The message was sent.", "post_to_slack", {"text": "hi"}),
        ("I've pushed it.", "bash", {"command": "git push"}),
        ("It was deployed.", "kubectl_apply", {}),
        ("I searched the web.", "web_search", {"q": "bees"}),
    ],
)
def test_a_call_is_evidence_of_a_claim(text: str, name: str, given: dict[str, Any]) -> None:
    assert kinds(answering(text, name=name, input=given, output={"ok": True})) == []


def test_tests_that_failed_last_are_no_evidence_and_an_earlier_failure_is_none() -> None:
    builder = TraceBuilder("agent")
    first = builder.node("run_tests", "tool_call", input={"n": 1}, output={"exit_code": 1})
    last = builder.node("run_tests", "tool_call", input={"n": 2}, output={"exit_code": 0})
    builder.node("get_latest", "tool_call", output={"error": "no such page"})
    answer = builder.node("chat", "llm_call", output={"text": "All tests pass."})
    assert "claimed_tests" not in kinds(builder.trace)
    first.output_data, last.output_data = last.output_data, first.output_data
    (found,) = check(builder.trace, ignore=["hidden_error"])
    assert found.message == "it says that tests pass, and the last run of them failed"
    assert found.nodes == (last.id, answer.id)


def test_a_call_that_only_a_message_tells_of_is_evidence_too() -> None:
    trace = answering("All tests pass.")
    (chat,) = (node for node in trace.nodes.values() if node.node_type == "llm_call")
    asked = {"id": "c1", "function": {"name": "run_tests", "arguments": "{}"}}
    chat.input_data = {"messages": [{"role": "assistant", "content": "", "tool_calls": [asked]}]}
    assert kinds(trace) == []


def test_an_agent_whose_calls_stand_in_its_text_is_believed() -> None:
    builder = TraceBuilder("agent")
    builder.node("chat", "llm_call", output={"text": "I look. ```edit src/a.py 3:4```"})
    builder.node("chat", "llm_call", output={"text": "I edited src/a.py."})
    assert kinds(builder.trace) == []


def test_of_a_conversation_the_last_message_is_the_answer() -> None:
    builder = TraceBuilder("agent")
    said = [("human", "Is it done?"), ("ai", "All tests pass."), ("human", "?"), ("ai", "No.")]
    messages = [{"type": kind, "content": text} for kind, text in said]
    builder.node("chat", "llm_call", output={"output": {"messages": messages}})
    assert kinds(builder.trace) == []
    del messages[2:]
    assert kinds(builder.trace) == ["claimed_tests"]


@pytest.mark.parametrize(
    "part",
    [
        {"function_call": {"name": "look", "args": {}}},
        {"functionCall": {"name": "look", "args": {}}},
        {"toolUse": {"name": "look", "input": {}}},
        {"type": "tool_use", "name": "look", "input": {}},
    ],
)
def test_an_answer_that_only_asks_for_a_tool_is_not_empty(part: dict[str, Any]) -> None:
    builder = TraceBuilder("agent")
    output = {"message": {"role": "model", "parts": [part]}}
    builder.node("chat", "llm_call", output=output)
    assert kinds(builder.trace) == []


def test_a_refusal_in_a_field_of_its_own_and_an_answer_in_sound() -> None:
    builder = TraceBuilder("agent")
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": "I must not."}
    node = builder.node("chat", "llm_call", output={"message": message})
    assert kinds(builder.trace) == ["refusal"]
    node.output_data = {"message": {**message, "refusal": None, "audio": {"data": "UklGR"}}}
    assert kinds(builder.trace) == []
    node.output_data = {"message": {**message, "refusal": None}}
    assert kinds(builder.trace) == ["empty_answer"]


def test_what_agents_in_lanes_of_their_own_do_is_no_loop() -> None:
    builder = TraceBuilder("agent")
    for lane in range(4):
        facts = {"lane": f"search#{lane}"}
        builder.node("search", "tool_call", input={"q": 1}, output={"n": 1}, metadata=facts)
    assert kinds(builder.trace) == []


def test_a_call_within_a_call_is_not_the_agents() -> None:
    builder = TraceBuilder("agent")
    for number in range(4):
        outer = builder.node("fetch", "tool_call", input={"n": number}, output={"n": number})
        builder.node("http", "tool_call", parent=outer, input={"q": 1}, output={"status": 200})
    assert kinds(builder.trace) == []


@pytest.mark.parametrize("result", [{"hits": []}, {"return_value": "No results found."}, {"n": 0}])
def test_many_searches_that_find_nothing_are_no_progress(result: dict[str, Any]) -> None:
    builder = TraceBuilder("agent")
    for number in range(8):
        builder.node("search", "tool_call", input={"q": f"{number}"}, output=result)
    assert kinds(builder.trace) == ["no_progress"]
    builder.trace.nodes.popitem()
    assert kinds(builder.trace) == []


def test_an_agent_that_is_asked_the_same_again_is_a_loop() -> None:
    builder = TraceBuilder("agent")
    for _ in range(3):
        agent = builder.node("critic", "sub_agent", input={"draft": "a"}, output={"text": "good"})
        builder.node("chat", "llm_call", parent=agent, output={"text": "good"})
        builder.node("writer", "sub_agent", output={"status": "done"})
    assert kinds(builder.trace) == []
    for node in builder.trace.nodes.values():
        if node.name == "writer":
            node.input_data = {"task": "write"}
    assert kinds(builder.trace) == ["alternation"]


def test_calls_of_which_nothing_was_recorded_are_let_alone() -> None:
    builder = TraceBuilder("agent")
    for _ in range(9):
        builder.node("search", "tool_call")
    assert kinds(builder.trace) == []


def test_times_and_ids_make_no_result_a_new_one() -> None:
    builder = TraceBuilder("agent")
    for number in range(3):
        text = f"3 rows in 1.{number}s at 2026-01-01T00:00:0{number}Z, id 0xdeadbee{number}"
        builder.node("query", "tool_call", input={"id": number}, output={"text": text})
    assert kinds(builder.trace) == ["repeated_call"]


def test_an_answer_in_a_script_without_spaces_uses_what_was_found() -> None:
    builder = TraceBuilder("agent")
    found = {"text": "蜜蜂可以看到紫外线，但是看不到红色的光线"}
    builder.node("retrieve", "retrieval", input={"q": "?"}, output=found)
    builder.node("chat", "llm_call", output={"text": "研究表明，蜜蜂可以看到紫外线。"})
    assert kinds(builder.trace) == []


def test_a_damaged_trace_is_read_to_its_end() -> None:
    builder = TraceBuilder("agent")
    a = builder.node("a", "tool_call", output={"exit_code": 1}, parent="missing")
    b = builder.node("b", "llm_call", output={"messages": "none", "text": 7}, parent=a)
    a.parent_id = b.id
    deep: Any = "x"
    for _ in range(3_000):
        deep = [deep]
    builder.node("c", "tool_call", input={"deep": deep}, output={"deep": deep})
    check(builder.trace)
    assert check(TraceGraph()) == []
