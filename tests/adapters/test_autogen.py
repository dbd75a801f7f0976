"""AutoGen's agents and teams, with the adapter of the SDK below."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.conformance import (
    AsyncStreamConformance,
    CancellationConformance,
    Conformance,
    ExampleConformance,
)
from adapters.products import product
from adapters.trees import nodes_of_type, tree
from adapters.weather import AGENT_TREE, look_up
from logtracer import Span, Tracer, current_span
from logtracer_extras.adapters import autogen as adapter
from logtracer_extras.adapters import openai as sdk
from logtracer_extras.adapters import otel

agents = product("autogen_agentchat.agents")
teams = product("autogen_agentchat.teams")
conditions = product("autogen_agentchat.conditions")
models = product("autogen_ext.models.openai")

ADAPTERS = [sdk, adapter]

# The product and its clients warn, and leave sockets to the garbage collector.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("model_apis")]


async def get_weather(city: str) -> str:
    """Return the weather of a city.

    A plain function would run in an executor, which starts with an empty context.
    """
    return look_up(city)


def make_agent(name: str = "forecaster", **settings: Any) -> Any:
    model = models.OpenAIChatCompletionClient(model="gpt-4o", max_retries=0)
    tools = {"tools": [get_weather], "reflect_on_tool_use": True}
    return agents.AssistantAgent(name, model_client=model, **{**tools, **settings})


def make_team() -> Any:
    ending = conditions.MaxMessageTermination(3)
    members = [make_agent("first", tools=[]), make_agent("second", tools=[])]
    return teams.RoundRobinGroupChat(members, termination_condition=ending)


def text_of(result: Any) -> str:
    return str(result.messages[-1].content)


class TestAgent(Conformance, ExampleConformance, AsyncStreamConformance, CancellationConformance):
    adapter = adapter
    example = "autogen_team"
    patched = [
        "autogen_agentchat.agents:BaseChatAgent.run",
        "autogen_agentchat.agents:BaseChatAgent.run_stream",
        "autogen_core.tools:BaseTool.run_json",
    ]

    def ask(self, question: str) -> str:
        return text_of(asyncio.run(make_agent(tools=[]).run(task=question)))

    async def astream(self, question: str) -> AsyncIterator[str]:
        async for item in make_agent(tools=[]).run_stream(task=question):
            if hasattr(item, "content"):
                yield str(item.content)


def test_an_agent_is_a_tree(run: Span) -> None:
    asyncio.run(make_agent().run(task="two cities"))
    assert tree(run.trace) == AGENT_TREE
    tool = nodes_of_type(run.trace, "tool_call")[0]
    assert tool.input_data["arguments"] == {"city": "Paris"}
    assert tool.output_data["result"] == "21 in Paris"
    assert tool.metadata["gen_ai.tool.call.id"] == "call_a"


def test_spans_of_its_own_are_no_second_nodes(run: Span, tracer: Tracer) -> None:
    with otel.install(tracer):
        asyncio.run(make_agent().run(task="two cities"))
        assert tree(run.trace) == AGENT_TREE
        asyncio.run(make_team().run(task="hello"))
    kinds = [node.node_type for node in run.trace.nodes.values()][1 + len(AGENT_TREE) :]
    assert sorted(kinds) == ["llm_call"] * 2 + ["sub_agent"] * 3


def test_without_the_adapter_its_own_spans_tell_its_tools(tracer: Tracer) -> None:
    with otel.install(tracer), tracer.trace("run") as root:
        asyncio.run(make_agent().run(task="two cities"))
    assert [node.name for node in nodes_of_type(root.trace, "tool_call")] == ["get_weather"] * 2


def test_a_streamed_agent_leaves_the_consumers_span_alone(run: Span) -> None:
    async def consume(items: AsyncIterator[Any]) -> None:
        async for _ in items:
            assert current_span() is run

    asyncio.run(consume(make_agent().run_stream(task="two cities")))
    assert tree(run.trace) == AGENT_TREE


def test_a_stream_left_early_ends_its_nodes(run: Span) -> None:
    async def main() -> None:
        items = make_agent().run_stream(task="two cities")
        await anext(items)
        await items.aclose()

    asyncio.run(main())
    assert tree(run.trace) == ["sub_agent forecaster"]


def test_a_team_is_the_turns_of_its_agents(run: Span) -> None:
    asyncio.run(make_team().run(task="hello"))
    assert tree(run.trace) == [
        "sub_agent RoundRobinGroupChat",
        "  sub_agent first",
        "    llm_call chat gpt-4o",
        "  sub_agent second",
        "    llm_call chat gpt-4o",
    ]


def test_a_failing_model_fails_the_team(run: Span) -> None:
    with pytest.raises(Exception, match="Broken"):
        asyncio.run(make_team().run(task="always broken"))
    failed = [node.name for node in run.trace.failed_nodes]
    assert "RoundRobinGroupChat" in failed
    assert "chat gpt-4o" in failed


def test_a_failing_tool_fails_its_node_alone(run: Span) -> None:
    asyncio.run(make_agent().run(task="failing tool"))
    assert [node.name for node in run.trace.failed_nodes] == ["get_weather", "look_up"]


def test_an_agent_that_is_a_tool_is_below_the_call_of_that_tool(run: Span) -> None:
    tool = product("autogen_agentchat.tools").AgentTool
    model = product("autogen_ext.models.replay").ReplayChatCompletionClient
    core = product("autogen_core")
    inner = agents.AssistantAgent("forecaster", model_client=model(["21"]), description="d")
    outer = tool(inner)

    async def main() -> None:
        token = core.CancellationToken()
        async for _ in outer.run_json_stream({"task": "weather?"}, token):
            assert current_span() is run

    asyncio.run(main())
    assert tree(run.trace) == ["tool_call forecaster", "  sub_agent forecaster"]
    (call,) = nodes_of_type(run.trace, "tool_call")
    assert call.output_data["result"]["content"] == "21"
