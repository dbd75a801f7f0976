"""Model calls answered from a trace: what the SDKs return is what they returned when it ran."""

from __future__ import annotations

import asyncio
import copy
import json
from typing import Any

import pytest

from adapters.products import product
from logtracer import Node, TraceGraph, Tracer
from logtracer_extras.adapters import openai as adapter
from logtracer_extras.testing import TraceBuilder, assert_same
from logtracer_extras.testing.replay import ReplayError, replaying

CALL = {"id": "c1", "type": "function", "function": {"name": "get", "arguments": '{"a": 1}'}}
QUESTION = [{"role": "user", "content": "How warm is it?"}]


def recorded(
    message: dict[str, Any] | None, *, reason: str = "stop", **facts: Any
) -> tuple[TraceGraph, Node]:
    builder = TraceBuilder("agent")
    node = builder.node(
        "chat model-1",
        "llm_call",
        input={"messages": QUESTION},
        output={"message": {"role": "assistant", **message}} if message else {},
        model="model-1",
        tokens=(12, 5),
        metadata={"gen_ai.response.finish_reasons": [reason], **facts.pop("metadata", {})},
        **facts,
    )
    return builder.trace, node


@pytest.fixture
def openai() -> Any:
    return product("openai")


@pytest.fixture
def anthropic() -> Any:
    return product("anthropic")


def open_client(module: Any) -> Any:
    return module.OpenAI(api_key="none", base_url="http://model.invalid/v1")


def test_a_chat_completion(openai: Any) -> None:
    trace, _ = recorded({"content": "18 degrees", "tool_calls": [CALL]}, reason="tool_calls")
    with replaying(trace) as replay:
        assert [node.name for node in replay.unused] == ["chat model-1"]
        answer = open_client(openai).chat.completions.create(model="model-1", messages=QUESTION)
        assert replay.unused == []
    choice = answer.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("18 degrees", "tool_calls")
    assert choice.message.tool_calls[0].function.arguments == '{"a": 1}'
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (12, 5)


def test_a_chat_stream(openai: Any) -> None:
    trace, _ = recorded({"content": "it has 18 degrees", "tool_calls": [CALL]})
    asked: dict[str, Any] = {"model": "model-1", "messages": QUESTION, "stream": True}
    with replaying(trace):
        chunks = [*open_client(openai).chat.completions.create(**asked)]
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(delta.content or "" for delta in deltas) == "it has 18 degrees"
    assert [delta.tool_calls[0].function.name for delta in deltas if delta.tool_calls] == ["get"]
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_an_async_client(openai: Any) -> None:
    trace, _ = recorded({"content": "18"})

    async def ask() -> Any:
        client = openai.AsyncOpenAI(api_key="none", base_url="http://model.invalid/v1")
        return await client.chat.completions.create(model="model-1", messages=QUESTION)

    with replaying(trace):
        assert asyncio.run(ask()).choices[0].message.content == "18"


def test_a_response_and_its_stream(openai: Any) -> None:
    asked: dict[str, Any] = {"model": "model-1", "input": "How warm is it?"}
    trace, _ = recorded({"content": "18 degrees", "tool_calls": [CALL]}, reason="completed")
    with replaying(trace):
        answer = open_client(openai).responses.create(**asked)
    assert answer.output_text == "18 degrees"
    assert [item.type for item in answer.output] == ["message", "function_call"]
    with replaying(trace):
        events = [*open_client(openai).responses.create(**asked, stream=True)]
    said = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(said) == "18 degrees"
    assert events[-1].response.output_text == "18 degrees"


def test_a_message_and_its_stream(anthropic: Any) -> None:
    asked: dict[str, Any] = {"model": "model-1", "messages": QUESTION, "max_tokens": 99}
    trace, _ = recorded({"content": "18 degrees", "tool_calls": [CALL]}, reason="tool_use")
    client = anthropic.Anthropic(api_key="none", base_url="http://model.invalid")
    with replaying(trace):
        answer = client.messages.create(**asked)
    assert [block.type for block in answer.content] == ["text", "tool_use"]
    assert (answer.content[0].text, answer.content[1].input) == ("18 degrees", {"a": 1})
    assert (answer.stop_reason, answer.usage.input_tokens) == ("tool_use", 12)
    with replaying(trace), client.messages.stream(**asked) as stream:
        whole = stream.get_final_message()
    assert whole.content[0].text == "18 degrees"
    assert whole.content[1].input == {"a": 1}


def test_a_system_prompt_counts(anthropic: Any) -> None:
    trace, node = recorded({"content": "18"})
    node.input_data["messages"] = [{"role": "system", "content": "Be brief."}, *QUESTION]
    client = anthropic.Anthropic(api_key="none", base_url="http://model.invalid")
    asked: dict[str, Any] = {"model": "model-1", "messages": QUESTION, "max_tokens": 99}
    with replaying(trace):
        assert client.messages.create(**asked, system="Be brief.").content[0].text == "18"
    refused = pytest.raises(anthropic.BadRequestError, match="input.messages")
    with pytest.raises(ReplayError, match="never called so"), replaying(trace), refused:
        client.messages.create(**asked, system="Be long.")


def test_a_recorded_failure_is_the_error_of_the_sdk_and_not_tried_again(openai: Any) -> None:
    status = {"http.response.status_code": 429}
    trace, _ = recorded(None, error="slow down", error_type="RateLimitError", metadata=status)
    with replaying(trace), pytest.raises(openai.RateLimitError, match="slow down"):
        open_client(openai).chat.completions.create(model="model-1", messages=QUESTION)


def test_a_call_that_nobody_recorded_tells_what_differs(openai: Any) -> None:
    trace, node = recorded({"content": "18"})
    other = [{"role": "user", "content": "How cold is it?"}]
    refused = pytest.raises(openai.BadRequestError, match=node.id)
    with pytest.raises(ReplayError, match="How warm.*How cold"), replaying(trace), refused:
        open_client(openai).chat.completions.create(model="model-1", messages=other)


def ask_twice(client: Any) -> TraceGraph:
    """Ask with and without a stream, recorded by the adapter."""
    asked: dict[str, Any] = {"model": "model-1", "messages": QUESTION}
    with Tracer().trace("agent") as root:
        client.chat.completions.create(**asked)
        for _ in client.chat.completions.create(**asked, stream=True):
            pass
    return root.trace


def test_what_the_adapter_records_is_what_it_had_recorded(openai: Any) -> None:
    adapter.install()
    try:
        trace, _ = recorded({"content": "18 degrees", "tool_calls": [CALL]})
        twice = copy.deepcopy(trace)
        again = copy.deepcopy(next(node for node in twice.nodes.values() if node.parent_id))
        again.id, again.sequence_number = "f" * 16, 9
        twice.add_node(again)
        with replaying(twice):
            first = ask_twice(open_client(openai))
        with replaying(first):
            second = ask_twice(open_client(openai))
    finally:
        adapter.uninstall()
    assert [node.name for node in first.nodes.values()] == ["agent", *["chat model-1"] * 2]
    assert_same(second, first)


def test_other_requests_are_refused() -> None:
    httpx = product("httpx")
    trace, _ = recorded({"content": "18"})
    refused = pytest.raises(ReplayError, match="GET http://example.invalid/x is no recorded")
    with refused, replaying(trace):
        httpx.get("http://example.invalid/x?key=1")


def test_requests_is_answered_too() -> None:
    requests = product("requests")
    trace, _ = recorded({"content": "18"})
    with replaying(trace):
        url = "http://model.invalid/v1/chat/completions"
        answer = requests.post(url, json={"model": "model-1", "messages": QUESTION})
    assert answer.json()["choices"][0]["message"]["content"] == "18"
    assert json.loads(answer.text)["model"] == "model-1"


def test_aiohttp_is_refused() -> None:
    aiohttp = product("aiohttp")

    async def ask() -> None:
        async with aiohttp.ClientSession() as session, session.get("http://example.invalid/"):
            pass

    with pytest.raises(ReplayError, match="example.invalid"), replaying(TraceGraph()):
        asyncio.run(ask())
