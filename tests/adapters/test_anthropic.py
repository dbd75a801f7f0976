"""The Anthropic SDK: what differs from OpenAI's, whose patch it shares."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from adapters.conformance import (
    AsyncStreamConformance,
    CancellationConformance,
    Conformance,
    ExampleConformance,
    StreamConformance,
)
from adapters.products import product
from adapters.trees import only_call
from logtracer import Span
from logtracer_extras.adapters import anthropic as adapter

anthropic = product("anthropic")

ADAPTERS = [adapter]

SETTINGS: dict[str, Any] = {"model": "claude-test", "max_tokens": 200}
TOOL = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def said(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


class TestMessages(
    Conformance,
    StreamConformance,
    AsyncStreamConformance,
    CancellationConformance,
    ExampleConformance,
):
    adapter = adapter
    example = "anthropic_sdk"
    patched = [
        "anthropic._base_client:SyncAPIClient.request",
        "anthropic._base_client:AsyncAPIClient.request",
    ]

    def ask(self, question: str) -> str:
        with anthropic.Anthropic(max_retries=0) as client:
            answer = client.messages.create(messages=said(question), **SETTINGS)
            return str(read_text(answer))

    def stream(self, question: str) -> Iterator[str]:
        with (
            anthropic.Anthropic(max_retries=0) as client,
            client.messages.stream(messages=said(question), **SETTINGS) as stream,
        ):
            yield from stream.text_stream

    async def astream(self, question: str) -> AsyncIterator[str]:
        async with (
            anthropic.AsyncAnthropic(max_retries=0) as client,
            client.messages.stream(messages=said(question), **SETTINGS) as stream,
        ):
            async for text in stream.text_stream:
                yield text


def read_text(answer: Any) -> Any:
    return answer.content[0].text


@pytest.fixture
def client(model_apis: str) -> Iterator[Any]:
    """Return a client made before the adapter is installed."""
    with anthropic.Anthropic(max_retries=1) as client:
        yield client


def finish(root: Span) -> Any:
    """End the run and return its one model call."""
    root.end()
    return only_call(root.trace)


def test_a_message_tells_all_its_facts(client: Any, run: Span) -> None:
    client.messages.create(
        messages=said("weather?"),
        tools=[TOOL],
        system="Be brief.",
        stop_sequences=["END"],
        **SETTINGS,
    )
    call = finish(run)
    assert call.name == "chat claude-test"
    assert call.input_data["messages"][0] == {"role": "system", "content": "Be brief."}
    assert call.input_data["tools"] == [TOOL]
    assert call.metadata["gen_ai.provider.name"] == "anthropic"
    assert call.metadata["gen_ai.request.stop_sequences"] == ["END"]
    assert call.metadata["gen_ai.request.max_tokens"] == 200
    assert call.metadata["gen_ai.response.finish_reasons"] == ["tool_use"]
    assert call.metadata["gen_ai.usage.output_tokens"] >= 0
    function = call.output_data["message"]["tool_calls"][0]["function"]
    assert function == {"name": "get_weather", "arguments": {"city": "Paris"}}


def test_a_stream_of_events_is_put_together(client: Any, run: Span) -> None:
    stream = client.messages.create(
        messages=said("weather?"), tools=[TOOL], stream=True, **SETTINGS
    )
    assert isinstance(stream, anthropic.Stream)
    events = list(stream)
    call = finish(run)
    assert call.metadata["stream.chunks"] == len(events)
    assert call.metadata["gen_ai.response.finish_reasons"] == ["tool_use"]
    function = call.output_data["message"]["tool_calls"][0]["function"]
    assert function == {"name": "get_weather", "arguments": '{"city":"Paris"}'}


def test_the_stream_helper_is_one_call(client: Any, run: Span) -> None:
    with client.messages.stream(messages=said("hello"), **SETTINGS) as stream:
        assert read_text(stream.get_final_message()) == "Hello from the mock."
    assert finish(run).output_data["message"]["content"] == "Hello from the mock."


def test_a_helper_left_early_ends_its_call(client: Any, run: Span) -> None:
    with client.messages.stream(messages=said("hello"), **SETTINGS) as stream:
        next(iter(stream))
    call = only_call(run.trace)
    assert (call.status, call.metadata["stream.ended_early"]) == ("completed", True)


def test_a_raw_response_is_recorded(client: Any, run: Span) -> None:
    raw = client.messages.with_raw_response.create(messages=said("hello"), **SETTINGS)
    assert read_text(raw.parse()) == "Hello from the mock."
    assert finish(run).output_data["message"]["content"] == "Hello from the mock."


def test_a_streaming_response_is_recorded(client: Any, run: Span) -> None:
    with client.messages.with_streaming_response.create(
        messages=said("hello"), **SETTINGS
    ) as response:
        assert read_text(response.parse()) == "Hello from the mock."
    assert finish(run).output_data["message"]["content"] == "Hello from the mock."
