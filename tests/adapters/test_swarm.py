"""OpenAI's Swarm, with the adapter of the SDK below."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from adapters.conformance import Conformance, ExampleConformance, StreamConformance
from adapters.products import product
from adapters.trees import nodes_of_type, tree
from adapters.weather import look_up
from logtracer import Span, current_span
from logtracer_extras.adapters import openai as sdk
from logtracer_extras.adapters import swarm as adapter

swarm = product("swarm")
openai = product("openai")

ADAPTERS = [sdk, adapter]

# The product and its clients warn, and leave sockets to the garbage collector.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("model_apis")]


def get_weather(city: str, context_variables: dict[str, Any]) -> str:
    assert context_variables["unit"] == "celsius"  # the product reads the function's code
    return look_up(city)


FORECASTER = swarm.Agent(name="weather_agent", functions=[get_weather])


def transfer_to_weather_agent() -> Any:
    return FORECASTER


TRIAGE = swarm.Agent(name="triage", functions=[transfer_to_weather_agent])


def ask(agent: Any, question: str, **settings: Any) -> Any:
    client = swarm.Swarm(openai.OpenAI(max_retries=0))
    messages = [{"role": "user", "content": question}]
    context = {"unit": "celsius"}
    return client.run(agent=agent, messages=messages, context_variables=context, **settings)


class TestSwarm(Conformance, ExampleConformance, StreamConformance):
    adapter = adapter
    example = "swarm_handoff"
    patched = [
        "swarm.core:Swarm.run",
        "swarm.core:Swarm.get_chat_completion",
        "swarm.core:Swarm.handle_tool_calls",
    ]

    def ask(self, question: str) -> str:
        return str(ask(FORECASTER, question).messages[-1]["content"])

    def stream(self, question: str) -> Iterator[str]:
        for chunk in ask(FORECASTER, question, stream=True):
            if chunk.get("content"):
                yield chunk["content"]


def test_a_handoff_is_a_tree_of_turns(run: Span) -> None:
    ask(TRIAGE, "hand over")
    assert tree(run.trace) == [
        "sub_agent swarm",
        "  sub_agent triage",
        "    llm_call chat gpt-4o",
        "  tool_call transfer_to_weather_agent",
        "  sub_agent weather_agent",
        "    llm_call chat gpt-4o",
        "  tool_call get_weather",
        "    custom look_up",
        "  sub_agent weather_agent",
        "    llm_call chat gpt-4o",
    ]
    handoff = nodes_of_type(run.trace, "tool_call")[0]
    assert handoff.metadata["handoff_to"] == "weather_agent"


def test_a_streamed_run_leaves_the_consumers_span_alone(run: Span) -> None:
    for _ in ask(FORECASTER, "weather?", stream=True):
        assert current_span() is run
    lines = tree(run.trace)
    assert lines[0] == "sub_agent swarm"
    assert [line.strip() for line in lines].count("llm_call chat gpt-4o") == 2
    assert all(node.end_time for node in run.trace.nodes.values() if node.parent_id)


def test_a_failing_function_fails_the_run(run: Span) -> None:
    with pytest.raises(ValueError, match="no such city"):
        ask(FORECASTER, "failing tool")
    names = [node.name for node in run.trace.failed_nodes]
    assert names == ["swarm", "get_weather", "look_up"]
