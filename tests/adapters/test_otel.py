"""OpenTelemetry spans as nodes: pydantic-ai, and Anthropic's own spans."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.conformance import CancellationConformance, Conformance, ExampleConformance
from adapters.products import product
from adapters.trees import nodes_of_type, tree
from adapters.weather import look_up
from logtracer import Span, current_span
from logtracer_extras.adapters import anthropic as anthropic_sdk
from logtracer_extras.adapters import openai as sdk
from logtracer_extras.adapters import otel as adapter

api = product("opentelemetry.trace")
pydantic_ai = product("pydantic_ai")
models = product("pydantic_ai.models.openai")

ADAPTERS = [sdk, anthropic_sdk, adapter]

# The product and its clients warn, and leave sockets to the garbage collector.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("model_apis")]


async def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return look_up(city)


def make_agent(*tools: Any) -> Any:
    pydantic_ai.Agent.instrument_all()
    return pydantic_ai.Agent(models.OpenAIChatModel("gpt-4o"), name="forecaster", tools=tools)


class TestPydanticAI(Conformance, ExampleConformance, CancellationConformance):
    adapter = adapter
    example = "pydantic_ai_agent"
    patched: list[str] = []  # it is a tracer provider

    def ask(self, question: str) -> str:
        return str(make_agent().run_sync(question).output)

    async def astream(self, question: str) -> AsyncIterator[str]:
        async with make_agent().run_stream(question) as result:
            async for text in result.stream_text(delta=True, debounce_by=None):
                yield text


def test_an_agent_is_a_tree_and_each_call_is_one_node(run: Span) -> None:
    make_agent(get_weather).run_sync("weather?")
    assert current_span() is run
    lines = tree(run.trace)
    assert lines[0] == "sub_agent forecaster"
    assert [line.strip() for line in lines].count("llm_call chat gpt-4o") == 2
    assert "tool_call get_weather" in [line.strip() for line in lines]
    look_up_node = next(node for node in run.trace.nodes.values() if node.name == "look_up")
    assert run.trace.nodes[str(look_up_node.parent_id)].node_type == "tool_call"
    call = nodes_of_type(run.trace, "llm_call")[0]
    assert call.metadata["request_id"]  # the SDK's adapter has seen the same call
    assert call.metadata["gen_ai.usage.input_tokens"] == 50


def test_a_span_of_an_sdk_inside_its_recorded_request_is_no_second_node(run: Span) -> None:
    anthropic = product("anthropic")
    with anthropic.Anthropic() as client:
        messages = [{"role": "user", "content": "hello"}]
        client.messages.create(model="claude-test", max_tokens=9, messages=messages)
    assert [node.name for node in nodes_of_type(run.trace, "llm_call")] == ["chat claude-test"]


def test_a_span_carries_the_ids_of_its_node(run: Span) -> None:
    with api.get_tracer("test").start_as_current_span("step", attributes={"size": 3}) as span:
        node = current_span()
        assert node is not None
        assert f"{span.get_span_context().span_id:016x}" == node.id
        assert f"{span.get_span_context().trace_id:032x}" == run.trace.trace_id
    assert node.node_record.metadata["size"] == 3


def test_an_exception_fails_the_node(run: Span) -> None:
    with pytest.raises(KeyError), api.get_tracer("test").start_as_current_span("step"):
        raise KeyError("gone")
    (node,) = run.trace.failed_nodes
    assert (node.name, node.error_type) == ("step", "KeyError")
