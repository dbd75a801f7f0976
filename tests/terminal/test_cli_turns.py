"""`inspect` says of a model call what it was asked and what it did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from logtracer import TraceGraph, save_trace_json
from logtracer_cli import main, render_trace, summary_of
from sample_traces import Sample

USER = {"role": "user", "content": "Two blue chairs, please"}


def tree_of(asked: list[Any], answered: dict[str, Any]) -> list[str]:
    sample = Sample("agent")
    sample.node("chat", "llm_call", input_data={"messages": asked}, output_data=answered)
    return [line.strip("├└│─ ") for line in render_trace(sample.trace).splitlines()[2:]]


def openai_call(arguments: str) -> dict[str, Any]:
    function = {"name": "check_stock", "arguments": arguments}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": function}]}


def test_a_call_is_written_with_its_arguments_as_they_are() -> None:
    answer = openai_call('{"sku": "BLU-CHAIR ", "warehouse": "lyon"}')
    assert tree_of([{"role": "system", "content": "Be brief"}, USER], {"message": answer}) == [
        "user: 'Two blue chairs, please'",
        "calls: check_stock(sku='BLU-CHAIR ', warehouse='lyon')",
    ]


def test_results_that_are_new_stand_before_the_answer() -> None:
    results = [{"role": "tool", "tool_call_id": "c", "content": '{"stock": 4}'}]
    asked = [USER, openai_call("{}"), *results]
    assert tree_of(asked, {"message": {"role": "assistant", "content": "Yes."}}) == [
        "result: '{\"stock\": 4}'",
        "assistant: 'Yes.'",
    ]


@pytest.mark.parametrize(
    "answered",
    [
        {"message": {"role": "assistant", "content": [{"type": "text", "text": "Yes."}]}},
        {"messages": [{"role": "assistant", "parts": [{"type": "text", "content": "Yes."}]}]},
    ],
    ids=["blocks", "parts"],
)
def test_answers_of_other_providers_are_read_too(answered: dict[str, Any]) -> None:
    assert tree_of([USER], answered)[-1] == "assistant: 'Yes.'"


def test_blocks_of_anthropic_are_calls_and_results() -> None:
    use = {"type": "tool_use", "id": "t", "name": "check_stock", "input": {"sku": "X"}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "4"}
    shown = tree_of([{"role": "user", "content": [result]}], {"message": {"content": [use]}})
    assert shown == ["result: '4'", "calls: check_stock(sku='X')"]


@pytest.mark.parametrize("arguments", ["not JSON", '"text"', "[1]", ""])
def test_odd_arguments_are_shown(arguments: str) -> None:
    (_, call) = tree_of([USER], {"message": openai_call(arguments)})
    assert call.startswith("calls: check_stock(")


@pytest.mark.parametrize("messages", [3, "text", [3], [None], [{"role": 3}], {}])
def test_what_is_no_conversation_is_shown_as_it_is(messages: Any) -> None:
    sample = Sample("agent")
    sample.node("chat", "llm_call", input_data={"messages": messages})
    assert f"input: {{'messages': {messages!r}}}" in render_trace(sample.trace)


@pytest.mark.usefixtures("no_extras")
def test_two_files_alone_show_input_and_output() -> None:
    assert tree_of([USER], {})[0].startswith("input: {'messages': [{'role': 'user'")


def labelled() -> TraceGraph:
    sample = Sample("agent")
    labels = {"session_id": "s-17", "user_id": "u-7", "tags": ["canary"], "release": "1.4"}
    sample.trace.metadata.update(labels)
    return sample.trace


def test_the_summary_for_programs_names_session_user_and_tags() -> None:
    summary = summary_of(labelled())
    found = (summary["session_id"], summary["user_id"], summary["tags"])
    assert found == ("s-17", "u-7", ["canary"])
    assert "session_id" not in summary_of(Sample("plain").trace)


def test_inspect_names_session_user_tags_and_what_else_was_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_trace_json(labelled(), tmp_path / "run.json")
    assert main(["inspect", str(tmp_path / "run.json")]) == 0
    shown = capsys.readouterr().out
    assert "session s-17 · user u-7 · tags canary · release 1.4\n" in shown
