"""The OpenAI SDK, whichever of its major versions is installed."""

from __future__ import annotations

import asyncio
import gc
import json
import urllib.request
import warnings
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
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
from adapters.trees import only_call, tree
from logtracer import Span, propagate_context
from logtracer_extras.adapters import openai as adapter

openai = product("openai")

ADAPTERS = [adapter]

pytestmark = pytest.mark.usefixtures("model_apis")

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def said(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def text_of(chunk: Any) -> str:
    return (chunk.choices[0].delta.content or "") if chunk.choices else ""


class TestChat(
    Conformance,
    StreamConformance,
    AsyncStreamConformance,
    CancellationConformance,
    ExampleConformance,
):
    adapter = adapter
    example = "openai_sdk"
    patched = [
        "openai._base_client:SyncAPIClient.request",
        "openai._base_client:AsyncAPIClient.request",
        "openai._base_client:SyncAPIClient._sleep_for_retry",
    ]

    def ask(self, question: str) -> str:
        with openai.OpenAI(max_retries=0) as client:
            answer = client.chat.completions.create(model="gpt-4o", messages=said(question))
            return str(answer.choices[0].message.content)

    def stream(self, question: str) -> Iterator[str]:
        with openai.OpenAI(max_retries=0) as client:
            chunks = client.chat.completions.create(
                model="gpt-4o", messages=said(question), stream=True
            )
            with chunks:
                yield from filter(None, map(text_of, chunks))

    async def astream(self, question: str) -> AsyncIterator[str]:
        async with openai.AsyncOpenAI(max_retries=0) as client:
            chunks = await client.chat.completions.create(
                model="gpt-4o", messages=said(question), stream=True
            )
            async for chunk in chunks:
                if text_of(chunk):
                    yield text_of(chunk)


@pytest.fixture
def client(model_apis: str) -> Iterator[Any]:
    """Return a client made before the adapter is installed."""
    with openai.OpenAI(max_retries=1) as client:
        yield client


def finish(root: Span) -> Any:
    """End the run and return its one model call."""
    root.end()
    return only_call(root.trace)


def test_a_completion_tells_all_its_facts(client: Any, run: Span) -> None:
    client.chat.completions.create(
        model="gpt-4o", messages=said("weather?"), tools=[TOOL], temperature=0.5, max_tokens=99
    )
    call = finish(run)
    facts = {key: value for key, value in call.metadata.items() if key.startswith("gen_ai.")}
    assert facts.pop("gen_ai.response.id")
    assert facts == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 99,
        "gen_ai.response.model": "gpt-4o",
        "gen_ai.response.finish_reasons": ["tool_calls"],
        "gen_ai.usage.input_tokens": 50,
        "gen_ai.usage.output_tokens": 12,
    }
    assert call.name == "chat gpt-4o"
    assert call.metadata["server.address"] == "127.0.0.1"
    assert call.input_data == {"messages": said("weather?"), "tools": [TOOL]}
    called = {"name": "get_weather", "arguments": '{"city":"Paris"}'}
    assert call.output_data["message"]["tool_calls"] == [
        {"id": "call_w1", "type": "function", "function": called}
    ]


def test_a_stream_is_put_together_again(client: Any, run: Span) -> None:
    stream = client.chat.completions.create(
        model="gpt-4o",
        messages=said("weather?"),
        tools=[TOOL],
        stream=True,
        stream_options={"include_usage": True},
    )
    assert type(stream) is openai.Stream
    assert stream.response.status_code == 200
    count = sum(1 for _ in stream)
    call = finish(run)
    assert call.metadata["stream.chunks"] == count
    assert call.metadata["gen_ai.response.time_to_first_chunk"] > 0
    assert call.metadata["gen_ai.usage.input_tokens"] == 50
    assert call.metadata["gen_ai.response.finish_reasons"] == ["tool_calls"]
    function = call.output_data["message"]["tool_calls"][0]["function"]
    assert (function["name"], json.loads(function["arguments"])) == (
        "get_weather",
        {"city": "Paris"},
    )


def test_the_stream_helper_is_one_call(client: Any, run: Span) -> None:
    with client.chat.completions.stream(model="gpt-4o", messages=said("hello")) as events:
        assert events.get_final_completion().choices[0].message.content == "Hello from the mock."
    assert finish(run).output_data["message"]["content"] == "Hello from the mock."


def test_a_stream_cut_by_the_server_keeps_what_came(client: Any, run: Span) -> None:
    stream = client.chat.completions.create(model="gpt-4o", messages=said("cut short"), stream=True)
    with pytest.raises(Exception) as caught:
        list(stream)
    call = finish(run)
    assert call.status == "failed"
    assert call.error_type == type(caught.value).__name__
    assert "This answer stops".startswith(call.output_data["message"]["content"][:10])


@pytest.mark.parametrize("is_started", [True, False])
def test_a_dropped_stream_ends_its_node(client: Any, run: Span, is_started: bool) -> None:
    stream = client.chat.completions.create(model="gpt-4o", messages=said("hello"), stream=True)
    if is_started:
        next(stream)
    del stream
    gc.collect()
    call = only_call(run.trace)
    assert (call.status, call.metadata["stream.ended_early"]) == ("completed", True)


def test_parse_returns_the_parsed_type(client: Any, run: Span) -> None:
    pydantic = pytest.importorskip("pydantic")
    shape = pydantic.create_model("Place", city=(str, ...), celsius=(int, ...))
    completions = client.chat.completions
    if not hasattr(completions, "parse"):
        completions = client.beta.chat.completions
    answer = completions.parse(model="gpt-4o", messages=said("as JSON"), response_format=shape)
    assert isinstance(answer.choices[0].message.parsed, shape)
    assert json.loads(finish(run).output_data["message"]["content"])["city"] == "Paris"


def test_a_raw_response_is_recorded_unparsed(client: Any, run: Span) -> None:
    raw = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=said("hello"))
    call = finish(run)
    assert call.output_data["message"]["content"] == "Hello from the mock."
    assert call.metadata["request_id"] == raw.headers["x-request-id"]
    assert raw.parse().choices[0].message.content == "Hello from the mock."


def test_a_raw_stream_ends_with_its_stream(client: Any, run: Span) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="gpt-4o", messages=said("hello"), stream=True
    )
    assert "".join(map(text_of, raw.parse())) == "Hello from the mock."
    assert finish(run).output_data["message"]["content"] == "Hello from the mock."


@pytest.mark.parametrize("reader", ["parse", "json", "iter_lines", None])
def test_a_streaming_response_ends_however_it_is_read(
    client: Any, run: Span, reader: str | None
) -> None:
    with client.chat.completions.with_streaming_response.create(
        model="gpt-4o", messages=said("hello")
    ) as response:
        value: Any = getattr(response, reader)() if reader else None
        if reader == "iter_lines":
            list(value)
    call = finish(run)
    assert call.status == "completed"
    if reader in ("parse", "json"):
        assert call.output_data["message"]["content"] == "Hello from the mock."


def test_the_responses_api_reads_like_chat(client: Any, run: Span) -> None:
    client.responses.create(model="gpt-4o", instructions="Be brief.", input="hello")
    call = finish(run)
    assert call.input_data["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hello"},
    ]
    assert call.output_data["message"]["content"] == "Hello from the mock."
    assert call.metadata["gen_ai.response.finish_reasons"] == ["completed"]


def test_a_stream_of_responses_is_put_together(client: Any, run: Span) -> None:
    for _ in client.responses.create(model="gpt-4o", input="hello", stream=True):
        pass
    assert finish(run).output_data["message"]["content"] == "Hello from the mock."


def test_embeddings_keep_their_size_only(client: Any, run: Span) -> None:
    client.embeddings.create(model="text-embedding-3-small", input="hello")
    run.end()
    (node,) = [node for node in run.trace.nodes.values() if node.parent_id]
    assert (node.name, node.node_type) == ("embeddings text-embedding-3-small", "retrieval")
    assert node.output_data["embeddings"] == 1
    assert node.output_data["dimensions"] > 1


def test_other_requests_are_left_alone(client: Any, run: Span) -> None:
    client.models.list()
    assert tree(run.trace) == []


def test_retries_are_noted_on_the_one_call(client: Any, run: Span, model_apis: str) -> None:
    fail_next(model_apis, 429)
    client.chat.completions.create(model="gpt-4o", messages=said("hello"))
    call = finish(run)
    assert call.status == "completed"
    assert call.metadata["retries"] == [{"attempt": 1, "status": 429}]


def test_a_refused_connection_is_a_failed_call_with_its_retry(run: Span) -> None:
    client = openai.OpenAI(base_url="http://127.0.0.1:9/v1", max_retries=1)
    with client, pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model="gpt-4o", messages=said("hello"))
    call = finish(run)
    assert (call.status, call.error_type) == ("failed", "APIConnectionError")
    assert call.metadata["retries"] == [{"attempt": 1}]


def test_calls_of_concurrent_tasks_keep_to_their_branches(run: Span) -> None:
    async def ask(client: Any, city: str) -> None:
        with run.node(city):
            await client.chat.completions.create(model="gpt-4o", messages=said("hello"))

    async def main() -> None:
        async with openai.AsyncOpenAI() as client:
            await asyncio.gather(ask(client, "Paris"), ask(client, "Rome"))

    asyncio.run(main())
    assert sorted(tree(run.trace)) == [
        "  llm_call chat gpt-4o",
        "  llm_call chat gpt-4o",
        "custom Paris",
        "custom Rome",
    ]


def test_calls_in_threads_nest_when_the_context_is_propagated(client: Any, run: Span) -> None:
    def ask() -> None:
        client.chat.completions.create(model="gpt-4o", messages=said("hello"))

    with ThreadPoolExecutor() as pool:
        pool.submit(propagate_context(ask)).result()
    assert tree(run.trace) == ["llm_call chat gpt-4o"]


def test_a_cancelled_call_is_cancelled(run: Span) -> None:
    async def main() -> None:
        async with openai.AsyncOpenAI(timeout=30) as client:
            task = asyncio.ensure_future(
                client.chat.completions.create(model="gpt-4o", messages=said("hello"))
            )
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert finish(run).status == "cancelled"


def test_warnings_point_at_the_caller(client: Any, run: Span) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client.chat.completions.create(model="gpt-4o", messages=said("hello"))
    assert all(__file__ == warning.filename for warning in caught)


def test_a_client_of_azure_says_so(run: Span, model_apis: str) -> None:
    client = openai.AzureOpenAI(
        azure_endpoint=model_apis, api_version="2024-06-01", api_key="test", max_retries=0
    )
    with client, pytest.raises(openai.APIError):
        client.chat.completions.create(model="always broken", messages=said("always broken"))
    assert finish(run).metadata["gen_ai.provider.name"] == "azure.ai.openai"


def fail_next(server: str, status: int) -> None:
    """Make the server answer its next request with an error."""
    body = json.dumps({"status": status, "body": {"error": {"message": "later"}}}).encode()
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{server}/__aimock/error", body, headers)
    urllib.request.urlopen(request, timeout=5).close()
