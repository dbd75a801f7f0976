"""Older and rarer names for the facts of a step: types, messages, tokens, reasons to end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from logtracer import Node, NodeStatus
from logtracer_extras.importers import import_traces

HELLO = {"role": "user", "content": "hi"}
ANSWER = {"role": "assistant", "content": "yes"}


def node_of(attributes: dict[str, Any], name: str = "step", **more: Any) -> Node:
    span = {"traceId": "a" * 32, "spanId": "1" * 16, "name": name, "attributes": attributes}
    (trace,) = import_traces(json.dumps(span | more))
    (node,) = trace.nodes.values()
    return node


def counts_of(node: Node) -> dict[str, int]:
    prefix = "gen_ai.usage."
    return {
        name[len(prefix) :].removesuffix("_tokens"): count
        for name, count in node.metadata.items()
        if name.startswith(prefix)
    }


# ---- Messages ------------------------------------------------------------------------------------

OLD_TRACELOOP = {
    "llm.vendor": "acme",
    "llm.request.type": "chat",
    "llm.request.model": "large",
    "llm.prompts.0.role": "user",
    "llm.prompts.0.content": "hi",
    "llm.completions.0.role": "assistant",
    "llm.completions.0.content": "yes",
    "llm.usage.prompt_tokens": 10,
    "llm.usage.completion_tokens": 5,
    "llm.usage.total_tokens": 15,
}
OLD_PYDANTIC_AI = {
    "gen_ai.operation.name": "chat",
    "gen_ai.system": "acme",
    "gen_ai.request.model": "large",
    "gen_ai.usage.input_tokens": 10,
    "gen_ai.usage.output_tokens": 5,
    "events": json.dumps(
        [
            {"event.name": "gen_ai.user.message", "gen_ai.message.index": 0, **HELLO},
            {"event.name": "gen_ai.choice", "message": ANSWER},
        ]
    ),
}
NESTED_OPENINFERENCE = {
    "openinference": {"span": {"kind": "LLM"}},
    "llm": {
        "provider": "acme",
        "model_name": "large",
        "token_count": {"prompt": 10, "completion": 5, "total": 15},
        "input_messages": [{"message": HELLO}],
        "output_messages": [{"message": ANSWER}],
    },
}
LANGFUSE = {
    "gen_ai.provider.name": "acme",
    "langfuse.observation.type": "generation",
    "langfuse.observation.model.name": "large",
    "langfuse.observation.input": json.dumps([HELLO]),
    "langfuse.observation.output": json.dumps([ANSWER]),
    "langfuse.observation.usage_details": json.dumps({"input": 10, "output": 5, "total": 15}),
}


@pytest.mark.parametrize(
    "attributes", [OLD_TRACELOOP, OLD_PYDANTIC_AI, NESTED_OPENINFERENCE, LANGFUSE]
)
def test_a_model_call_is_the_same_in_everybodys_words(attributes: dict[str, Any]) -> None:
    node = node_of(attributes)
    assert node.node_type == "llm_call"
    assert node.metadata["gen_ai.request.model"] == "large"
    assert node.metadata["gen_ai.provider.name"] == "acme"
    assert counts_of(node) == {"input": 10, "output": 5}
    assert node.input_data == {"messages": [HELLO]}
    assert node.output_data == {"messages": [ANSWER]}


def event(name: str, **attributes: str) -> dict[str, Any]:
    return {"name": name, "attributes": attributes}


STRANDS = [
    event("gen_ai.user.message", content='[{"text":"hi"}]'),
    event("gen_ai.choice", message='[{"text":"yes"}]', finish_reason="end_turn"),
]


def test_messages_told_as_events_of_the_span_are_input_and_output() -> None:
    node = node_of({"gen_ai.operation.name": "chat"}, events=[*STRANDS, event("other")])
    assert node.input_data["messages"] == [{"role": "user", "content": [{"text": "hi"}]}]
    (answer,) = node.output_data["messages"]
    assert (answer["content"], answer["finish_reason"]) == ([{"text": "yes"}], "end_turn")
    assert [kept["name"] for kept in node.metadata["otel.events"]] == ["other"]


def test_events_with_whole_conversations_are_input_and_output() -> None:
    prompt = {"gen_ai.prompt": json.dumps([HELLO])}
    answer = {"gen_ai.completion": json.dumps([ANSWER])}
    events = [
        event("gen_ai.content.prompt", **prompt),
        event("gen_ai.content.completion", **answer),
    ]
    node = node_of({"gen_ai.operation.name": "chat"}, events=events)
    assert node.input_data == {"messages": [HELLO]}
    assert node.output_data == {"messages": [ANSWER]}


def test_events_stay_where_the_attributes_have_messages_of_their_own() -> None:
    node = node_of({"gen_ai.input.messages": json.dumps([HELLO])}, events=STRANDS)
    assert node.input_data == {"messages": [HELLO]}
    assert len(node.metadata["otel.events"]) == 2


@pytest.mark.parametrize("root", ["ai.response", "ai.result"])
def test_tools_that_the_vercel_ai_sdk_parts_from_the_text_are_with_it(root: str) -> None:
    calls = [{"toolCallId": "c", "toolName": "look_up", "args": "{}"}]
    node = node_of({f"{root}.text": "wait", f"{root}.toolCalls": json.dumps(calls)})
    (message,) = node.output_data["messages"]
    assert message["content"] == "wait"
    assert message["tool_calls"] == [{"id": "c", "name": "look_up", "arguments": "{}"}]


# ---- Types, reasons, errors ----------------------------------------------------------------------


def test_steps_of_older_pydantic_ai_have_their_types() -> None:
    tool = node_of(
        {"gen_ai.tool.name": "look_up", "tool_arguments": "{}"}, "running tool", links=[]
    )
    assert tool.node_type == "tool_call"
    inner = {"traceId": "a" * 32, "spanId": "2" * 16, "parentSpanId": "1" * 16, "name": "agent run"}
    agent = node_of({"all_messages_events": json.dumps([HELLO])}, **inner)
    assert agent.node_type == "sub_agent"


@pytest.mark.parametrize("name", ["gen_ai.response.finish_reason", "ai.finishReason"])
def test_a_single_reason_to_end_is_the_list_of_one(name: str) -> None:
    assert node_of({name: "stop"}).metadata == {"gen_ai.response.finish_reasons": ["stop"]}


def test_a_failed_langfuse_observation_tells_why() -> None:
    node = node_of(
        {"langfuse.observation.level": "ERROR", "langfuse.observation.status_message": "no answer"}
    )
    assert (node.status, node.error) == (NodeStatus.FAILED, "no answer")


# ---- Tokens --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (
            {"input": 7, "input_cached_tokens": 3, "output": 4, "output_reasoning_tokens": 1},
            {"input": 10, "output": 5, "cache_read.input": 3, "reasoning.output": 1},
        ),
        (
            {"input_tokens": 7, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 1},
            {"input": 10, "cache_read.input": 2, "cache_creation.input": 1},
        ),
        ({"prompt_tokens": 10, "completion_tokens": 5}, {"input": 10, "output": 5}),
    ],
)
def test_the_buckets_of_langfuse_add_up(usage: dict[str, int], counts: dict[str, int]) -> None:
    node = node_of(
        {
            "langfuse.observation.type": "generation",
            "langfuse.observation.usage_details": json.dumps({**usage, "total": 15}),
        }
    )
    assert counts_of(node) == counts


def test_tokens_of_a_langchain_answer_are_read_where_langsmith_has_no_others() -> None:
    usage = {"input_tokens": 10, "output_tokens": 5, "input_token_details": {"cache_read": 4}}
    answer = {"text": "yes", "message": {"kwargs": {"content": "yes", "usage_metadata": usage}}}
    run = {"id": "1" * 16, "run_type": "llm", "outputs": {"generations": [[answer]]}}
    (trace,) = import_traces(json.dumps(run))
    (node,) = trace.nodes.values()
    assert counts_of(node) == {"input": 10, "output": 5, "cache_read.input": 4}


# ---- Documents as the conventions' own tests have them: good and bad ones ------------------------

TALK = [
    {"role": "user", "parts": [{"type": "text", "content": "How warm is it?"}]},
    {"role": "assistant", "parts": [{"type": "tool_call", "id": "c", "name": "weather"}]},
    {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c", "response": "7"}]},
]
ODD_MESSAGES = [
    [{"role": "user", "parts": [{"type": "text"}, {"type": "blob", "mime_type": "image/png"}]}],
    [{"role": "assistant", "parts": [{"type": "redacted_thinking", "data": "x"}]}],
    [{"role": "user"}],
    [{"parts": []}],
    [{"role": 7, "parts": "none"}],
]


def genai_call(**attributes: Any) -> Node:
    told = {f"gen_ai.{name.replace('__', '.')}": value for name, value in attributes.items()}
    (trace,) = import_traces(json.dumps({"gen_ai.operation.name": "chat", **told}))
    return next(iter(trace.nodes.values()))


@pytest.mark.parametrize("messages", [TALK, *ODD_MESSAGES], ids=range(1 + len(ODD_MESSAGES)))
@pytest.mark.parametrize("write", [json.dumps, list], ids=["text", "list"])
def test_messages_are_kept_as_they_were_told(messages: list[Any], write: Any) -> None:
    assert genai_call(input__messages=write(messages)).input_data["messages"] == messages


@pytest.mark.parametrize(("result", "kept"), [('{"a": 1}', {"a": 1}), ("[1]", {"value": [1]})])
def test_a_result_of_a_tool_is_an_object_or_a_value(result: str, kept: Any) -> None:
    tool = genai_call(operation__name="execute_tool", tool__call__result=result)
    assert tool.output_data == kept


def test_what_was_retrieved_and_remembered_is_output() -> None:
    documents = [{"id": "d", "score": 0.9, "title": "t"}, {}]
    found = genai_call(operation__name="retrieval", retrieval__documents=json.dumps(documents))
    records = [{"id": "m", "content": {"fact": "x"}, "score": 0.8}]
    remembered = genai_call(
        operation__name="search_memory", memory__records=records, memory__query__text="x"
    )

    assert found.output_data == {"documents": documents}
    assert (remembered.input_data, remembered.output_data) == ({"value": "x"}, {"records": records})


def test_who_called_and_to_whom_control_went_stays_under_its_name() -> None:
    step = genai_call(transfer__target__name="b", transfer__mode="pass_control", caller__name="a")
    assert step.metadata["gen_ai.transfer.target.name"] == "b"
    assert step.metadata["gen_ai.caller.name"] == "a"
