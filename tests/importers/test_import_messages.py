"""Chat messages of every provider: calls paired with answers, one file one conversation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from logtracer import Node, NodeStatus, TraceLoadError
from logtracer_extras.conventions import attributes_of
from logtracer_extras.importers import import_file, import_traces

RUNS = Path(__file__).parents[1] / "data" / "runs"


def nodes_of(*documents: Any) -> list[Node]:
    (trace,) = import_traces("\n".join(map(json.dumps, documents)))
    return list(trace.nodes.values())


def types_of(nodes: list[Node]) -> list[str]:
    return [str(node.node_type) for node in nodes[1:]]


# ---- Two tools asked at once, in everybody's words -----------------------------------------------

ONE, MISSING = {"command": "echo one"}, {"command": "cat /no/such/file"}


def anthropic() -> list[Any]:
    calls = [
        {"type": "tool_use", "id": f"t{at}", "name": "bash", "input": asked}
        for at, asked in enumerate((ONE, MISSING))
    ]
    results = [
        {"type": "tool_result", "tool_use_id": "t1", "content": "no file", "is_error": True},
        {"type": "tool_result", "tool_use_id": "t0", "content": [{"type": "text", "text": "one"}]},
    ]
    return [{"role": "assistant", "content": calls}, {"role": "user", "content": results}]


def gemini(ids: bool) -> list[Any]:
    def named(at: int) -> dict[str, Any]:
        return {"name": "bash", **({"id": f"t{at}"} if ids else {})}

    calls = [{"functionCall": {**named(0), "args": ONE}}]
    calls += [{"functionCall": {**named(1), "args": MISSING}}]
    results = [{"functionResponse": {**named(0), "response": {"output": "one"}}}]
    results += [{"functionResponse": {**named(1), "response": {"error": "no file"}}}]
    return [{"role": "model", "parts": calls}, {"role": "user", "parts": results}]


def bedrock() -> list[Any]:
    calls = [
        {"toolUse": {"toolUseId": f"t{at}", "name": "bash", "input": asked}}
        for at, asked in enumerate((ONE, MISSING))
    ]
    results = [
        {"toolResult": {"toolUseId": "t0", "status": "success", "content": [{"text": "one"}]}},
        {"toolResult": {"toolUseId": "t1", "status": "error", "content": [{"text": "no file"}]}},
    ]
    return [{"role": "assistant", "content": calls}, {"role": "user", "content": results}]


def vercel() -> list[Any]:
    calls = [
        {"type": "tool-call", "toolCallId": f"t{at}", "toolName": "bash", "input": asked}
        for at, asked in enumerate((ONE, MISSING))
    ]
    outputs = [{"type": "text", "value": "one"}, {"type": "error-text", "value": "no file"}]
    results = [
        {"type": "tool-result", "toolCallId": f"t{at}", "toolName": "bash", "output": output}
        for at, output in enumerate(outputs)
    ]
    return [{"role": "assistant", "content": calls}, {"role": "tool", "content": results}]


def vercel_page() -> list[Any]:
    shared = {"type": "tool-bash"}
    done = {**shared, "toolCallId": "t0", "state": "output-available", "output": "one"}
    bad = {**shared, "toolCallId": "t1", "state": "output-error", "errorText": "no file"}
    return [{"role": "assistant", "parts": [{**done, "input": ONE}, {**bad, "input": MISSING}]}]


def genai() -> list[Any]:
    calls = [
        {"type": "tool_call", "id": f"t{at}", "name": "bash", "arguments": asked}
        for at, asked in enumerate((ONE, MISSING))
    ]
    results = [
        {"type": "tool_call_response", "id": "t0", "response": "one"},
        {"type": "tool_call_response", "id": "t1", "response": {"error": "no file"}},
    ]
    return [{"role": "assistant", "parts": calls}, {"role": "tool", "parts": results}]


def langchain() -> list[Any]:
    calls = [
        {"id": f"t{at}", "name": "bash", "args": asked} for at, asked in enumerate((ONE, MISSING))
    ]
    results = [
        {"type": "tool", "content": "one", "tool_call_id": "t0", "status": "success"},
        {"type": "tool", "content": "no file", "tool_call_id": "t1", "status": "error"},
    ]
    return [{"type": "ai", "content": "", "tool_calls": calls}, *results]


def dumped_langchain() -> list[Any]:
    names = {"ai": "AIMessage", "tool": "ToolMessage"}
    return [
        {"lc": 1, "type": "constructor", "id": ["x", names[one["type"]]], "kwargs": one}
        for one in langchain()
    ]


def responses() -> list[Any]:
    calls = [
        {"type": "function_call", "call_id": f"t{at}", "name": "bash", "arguments": json.dumps(a)}
        for at, a in enumerate((ONE, MISSING))
    ]
    results = [
        {"type": "function_call_output", "call_id": "t0", "output": "one"},
        {"type": "function_call_output", "call_id": "t1", "output": "no file", "status": "failed"},
    ]
    return [*calls, *results]


FORMS = {
    "anthropic": anthropic(),
    "gemini": gemini(ids=False),
    "gemini with ids": gemini(ids=True),
    "bedrock": bedrock(),
    "vercel": vercel(),
    "vercel's page": vercel_page(),
    "genai": genai(),
    "langchain": langchain(),
    "langchain, dumped": dumped_langchain(),
    "openai's responses": responses(),
}


@pytest.mark.parametrize("form", FORMS)
def test_two_tools_asked_at_once_are_two_nodes_and_one_failed(form: str) -> None:
    nodes = nodes_of(FORMS[form])

    assert types_of(nodes) == ["llm_call", "tool_call", "tool_call"]
    done, failed = nodes[2:]
    assert (done.name, done.input_data, done.status) == ("bash", ONE, NodeStatus.COMPLETED)
    assert (failed.name, failed.input_data, failed.error) == ("bash", MISSING, "no file")
    assert "one" in json.dumps(done.output_data)


@pytest.mark.parametrize("form", FORMS)
def test_a_line_a_message_says_the_same_as_a_list(form: str) -> None:
    by_line, in_list = nodes_of(*FORMS[form]), nodes_of(FORMS[form])

    assert [(node.name, node.output_data) for node in by_line] == (
        [(node.name, node.output_data) for node in in_list]
    )


def test_text_beside_results_stays_what_a_person_said() -> None:
    messages = anthropic()
    messages[1]["content"].append({"type": "text", "text": "now stop"})
    person = nodes_of(messages)[-1]

    assert person.node_type == "human_input"
    assert person.output_data["content"] == [{"type": "text", "text": "now stop"}]


def test_a_tool_that_nobody_answered_for_is_pending() -> None:
    assert [node.status for node in nodes_of(anthropic()[:1])[2:]] == [NodeStatus.PENDING] * 2


def test_a_tool_that_the_provider_runs_is_paired_within_its_message() -> None:
    parts = [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"title": "found"}]},
    ]
    tool = nodes_of([{"role": "assistant", "content": parts}])[2]

    assert (tool.name, tool.status) == ("web_search", NodeStatus.COMPLETED)
    assert tool.output_data["content"] == [{"title": "found"}]


def test_a_message_with_several_ids_answers_each_call() -> None:
    calls = [{"id": f"t{at}", "function": {"name": "bash", "arguments": "{}"}} for at in (0, 1)]
    answer = {"role": "tool", "content": "done", "tool_call_ids": ["t0", "t1"]}
    tools = nodes_of([{"role": "assistant", "content": "", "tool_calls": calls}, answer])[2:]

    assert [tool.output_data["content"] for tool in tools] == ["done", "done"]


# ---- What a call was given -----------------------------------------------------------------------


def test_a_calls_input_is_what_is_new_since_the_call_before() -> None:
    turns = [
        {"role": role, "content": f"{role} {at}"}
        for at in range(50)
        for role in ("user", "assistant")
    ]
    calls = [node for node in nodes_of(turns) if node.node_type == "llm_call"]

    assert [call.input_data["messages"] for call in calls] == [
        [{"role": "user", "content": f"user {at}"}] for at in range(50)
    ]
    assert [call.metadata.get("logtracer.messages.carried", 0) for call in calls] == (
        list(range(0, 100, 2))
    )


# ---- Files that hold more than messages ----------------------------------------------------------

TALK = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]


def test_one_line_that_is_no_message_does_not_part_a_conversation() -> None:
    (trace,) = import_traces("\n".join(map(json.dumps, [{"event": "start"}, *TALK])))

    assert len(trace.nodes) == 3
    assert trace.metadata["logtracer.import.kinds"] == {"start": 1}
    assert "logtracer.damaged_lines" not in trace.metadata


def test_a_file_is_not_believed_for_one_line_in_many() -> None:
    lines = [{"type": "user", "uuid": str(at)} for at in range(48)]
    lines.insert(20, {"type": "system", "content": "Conversation compacted"})

    with pytest.raises(TraceLoadError, match="1 of 49 lines looks like a chat message.*48 'user'"):
        import_traces("\n".join(map(json.dumps, lines)))


def test_a_list_is_not_believed_for_its_first_item() -> None:
    items = [{"role": "user", "content": "hi"}, *({"step": at} for at in range(9))]

    with pytest.raises(TraceLoadError, match="its first item"):
        import_traces(json.dumps(items))


@pytest.mark.parametrize("name", ["history", "chat_history", "conversation", "input"])
def test_messages_under_any_one_name_are_one_conversation(name: str) -> None:
    assert types_of(nodes_of({name: TALK})) == ["human_input", "llm_call"]


@pytest.mark.parametrize(
    "document",
    [
        {"id": "r1", "context": {"a": 1}, "events": [{"x": 1}]},
        {"context": {"_time": "2024-12-15"}, "events": []},
        {"spanContext": {}, "name": "no time"},
    ],
)
def test_an_object_with_a_context_is_not_a_span(document: Any) -> None:
    with pytest.raises(TraceLoadError, match="not a trace in a known format"):
        import_traces(json.dumps(document))


# ---- When, by whom, how much ---------------------------------------------------------------------


def test_times_models_tokens_and_cost_are_read_where_tools_write_them() -> None:
    extra = {
        "timestamp": 1_700_000_002.5,
        "cost": 0.25,
        "response": {"model": "m", "usage": {"prompt_tokens": 10, "completion_tokens": 5}},
    }
    said = {"role": "assistant", "content": "yes", "extra": extra}
    asked = {"role": "user", "content": "hi", "ts": 1_700_000_000_000}
    root, person, call = nodes_of([asked, said])

    assert (root.duration_ms, person.duration_ms, call.duration_ms) == (2500.0, 0.0, 2500.0)
    assert (call.name, call.metadata["gen_ai.usage.cost"]) == ("m", 0.25)
    assert call.metadata["gen_ai.usage.input_tokens"] == 10


def test_the_log_of_a_call_has_the_call_with_its_answer() -> None:
    answer = {"role": "assistant", "content": "yes"}
    response = {"model": "m", "choices": [{"message": answer}], "usage": {"prompt_tokens": 10}}
    log = {"messages": TALK[:1], "response": response, "cost": 0.5}
    log |= {"timestamp": 1_700_000_002, "latency_sec": 2.0}
    call = nodes_of(log)[-1]

    assert call.output_data["message"] == answer
    assert (call.duration_ms, call.metadata["gen_ai.usage.cost"]) == (2000.0, 0.5)
    assert call.input_data["messages"] == TALK[:1]


@pytest.mark.parametrize(
    ("usage", "sent", "received"),
    [
        ({"prompt_tokens": 900, "prompt_cache_hit_tokens": 800, "completion_tokens": 1}, 900, 1),
        ({"input_tokens": "100", "output_tokens": "7"}, 100, 7),
        ({"promptTokenCount": 9, "candidatesTokenCount": 2, "thoughtsTokenCount": 3}, 9, 5),
        (
            {
                "prompt_tokens": 32,
                "completion_tokens": 2000,
                "completion_tokens_details": {"reasoning_tokens": 94},
                "total_tokens": 2126,
            },
            32,
            2094,
        ),
        (
            {"inputTokens": 5, "outputTokens": 2, "cacheReadInputTokens": 90, "totalTokens": 97},
            95,
            2,
        ),
        (
            {"inputTokens": 95, "outputTokens": 2, "cacheReadInputTokens": 90, "totalTokens": 97},
            95,
            2,
        ),
        ({"prompt_tokens": 90, "completion_tokens": 2, "cache_read_input_tokens": 80}, 90, 2),
    ],
)
def test_tokens_are_counted_whole(usage: Any, sent: int, received: int) -> None:
    call = nodes_of([{"role": "assistant", "content": "yes", "usage": usage}])[1]

    assert call.metadata["gen_ai.usage.input_tokens"] == sent
    assert call.metadata["gen_ai.usage.output_tokens"] == received


def test_parts_of_langchains_cache_are_added_up() -> None:
    details = {"cache_creation": 0, "ephemeral_5m_input_tokens": 400}
    details |= {"ephemeral_1h_input_tokens": 600, "flex_cache_read": 600}
    usage = {"input_tokens": 2000, "output_tokens": 1, "input_token_details": details}
    call = nodes_of([{"type": "ai", "content": "", "usage_metadata": usage}])[1]

    assert call.metadata["gen_ai.usage.cache_creation.input_tokens"] == 1000
    assert call.metadata["gen_ai.usage.cache_read.input_tokens"] == 600


# ---- What real tools wrote -----------------------------------------------------------------------

WRITTEN = {
    "anthropic_parallel_tools.json": (0, 0),
    "gemini_contents.json": (0, 0),
    "langchain_messages_to_dict.json": (2227, 100),
    "strands_bedrock_style.json": (2219, 100),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_run_with_two_tools_is_read_from_everybodys_messages(name: str) -> None:
    (trace,) = import_file(RUNS / name)
    nodes = list(trace.nodes.values())

    assert types_of(nodes) == ["human_input", "llm_call", "tool_call", "tool_call", "llm_call"]
    sums = [
        sum(node.metadata.get(f"gen_ai.usage.{way}_tokens", 0) for node in nodes)
        for way in ("input", "output")
    ]
    assert tuple(sums) == WRITTEN[name]
    failed = [node.input_data["command"] for node in trace.failed_nodes]
    assert failed == ([] if name.startswith("gemini") else ["cat /no/such/file"])


@pytest.mark.parametrize("form", FORMS)
def test_every_providers_message_goes_out_in_the_words_of_genai(form: str) -> None:
    call = nodes_of(FORMS[form])[1]
    attributes = attributes_of(call)
    (message,) = json.loads(attributes["gen_ai.output.messages"])
    parts = message["parts"]

    if form != "openai's responses":  # whose items have types of their own
        asked = [part for part in parts if part["type"] == "tool_call"]
        assert form == "vercel's page" or [part["name"] for part in asked] == ["bash", "bash"]
    assert all(isinstance(part["type"], str) for part in parts)
    assert "null" not in json.dumps([part for part in parts if part["type"] == "text"])


GOOGLE = {
    "candidates": [
        {"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP"}
    ],
    "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 2},
    "modelVersion": "m",
}
BEDROCK = {
    "output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}},
    "stopReason": "STOP",
    "usage": {"inputTokens": 4, "outputTokens": 2, "totalTokens": 6},
}


@pytest.mark.parametrize("answer", [GOOGLE, BEDROCK], ids=["google", "bedrock"])
def test_an_answer_of_a_provider_is_one_call_with_its_tokens(answer: dict[str, Any]) -> None:
    call = nodes_of(answer)[1]

    assert (call.metadata["gen_ai.usage.input_tokens"], call.node_type) == (4, "llm_call")
    assert call.metadata["gen_ai.response.finish_reasons"] == ["STOP"]


def test_two_messages_of_a_model_are_two_calls() -> None:
    said = [{"type": "message", **message} for message in (anthropic()[0], anthropic()[0])]

    assert types_of(nodes_of(said)) == ["llm_call", "tool_call", "tool_call"] * 2
