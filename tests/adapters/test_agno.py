"""Agno's agents and teams, with the adapter of the SDK below."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.conformance import (
    AsyncStreamConformance,
    CancellationConformance,
    Conformance,
    ExampleConformance,
    StreamConformance,
    assert_goes_on,
)
from adapters.products import product
from adapters.trees import nodes_of_type, tree
from adapters.weather import AGENT_TREE, get_weather
from logtracer import FileStore, Span, Tracer, current_span
from logtracer_extras.adapters import agno as adapter
from logtracer_extras.adapters import openai as sdk

Agent = product("agno.agent").Agent
Team = product("agno.team").Team
OpenAIChat = product("agno.models.openai").OpenAIChat
make_tool = product("agno.tools").tool

ADAPTERS = [sdk, adapter]

# The product and its clients warn, and leave sockets to the garbage collector.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("model_apis")]


def make_model() -> Any:
    return OpenAIChat(id="gpt-4o", max_retries=0)


def make_agent(**settings: Any) -> Any:
    tools = {"tools": [get_weather]}
    return Agent(name="forecaster", model=make_model(), telemetry=False, **{**tools, **settings})


def make_guarded_agent() -> Any:
    confirmed = make_tool(requires_confirmation=True, name="get_weather")(get_weather)
    return make_agent(tools=[confirmed])


class TestAgent(
    Conformance,
    ExampleConformance,
    StreamConformance,
    AsyncStreamConformance,
    CancellationConformance,
):
    adapter = adapter
    example = "agno_agent"
    patched = [
        "agno.agent.agent:Agent.run",
        "agno.agent.agent:Agent.arun",
        "agno.team.team:Team.run",
        "agno.tools.function:FunctionCall.execute",
    ]
    fails_by_raising = False

    def ask(self, question: str) -> str:
        return str(make_agent(tools=[]).run(question).content)

    def stream(self, question: str) -> Iterator[str]:
        for event in make_agent(tools=[]).run(question, stream=True):
            if event.content:
                yield str(event.content)

    async def astream(self, question: str) -> AsyncIterator[str]:
        async for event in make_agent(tools=[]).arun(question, stream=True):
            if event.content:
                yield str(event.content)


def test_an_agent_is_a_tree(run: Span) -> None:
    make_agent().run("two cities")
    assert tree(run.trace) == AGENT_TREE
    assert current_span() is run
    tool = nodes_of_type(run.trace, "tool_call")[0]
    assert tool.input_data["arguments"] == {"city": "Paris"}
    assert tool.output_data["result"] == "21 in Paris"


def test_a_streamed_agent_leaves_the_consumers_span_alone(run: Span) -> None:
    for _ in make_agent().run("two cities", stream=True):
        assert current_span() is run
    assert tree(run.trace) == AGENT_TREE


def test_concurrent_agents_keep_to_their_branches(run: Span) -> None:
    async def stream() -> None:
        async for _ in make_agent().arun("two cities", stream=True):
            pass

    async def main() -> None:
        await asyncio.gather(make_agent().arun("two cities"), stream())

    asyncio.run(main())
    lines = tree(run.trace)
    assert sorted(lines) == sorted(AGENT_TREE * 2)
    assert lines[0] == lines[7] == "sub_agent forecaster"


def test_a_failing_tool_fails_its_node_alone(run: Span) -> None:
    make_agent().run("failing tool")
    assert [node.name for node in run.trace.failed_nodes] == ["get_weather", "look_up"]


def test_a_member_of_a_team_runs_below_the_team(run: Span) -> None:
    member = make_agent(id="forecaster")
    Team(name="desk", model=make_model(), members=[member], telemetry=False).run("delegate")
    lines = tree(run.trace)
    assert lines[0] == "sub_agent desk"
    assert "  tool_call delegate_task_to_member" in lines
    assert "  sub_agent forecaster" in lines


def test_a_run_that_waits_for_a_person_is_paused_and_goes_on(run: Span) -> None:
    agent = make_guarded_agent()
    paused = agent.run("weather?")
    for tool in paused.tools:
        tool.confirmed = True
    agent.continue_run(run_response=paused)
    first, second = nodes_of_type(run.trace, "sub_agent")
    assert (first.status, second.status) == ("paused", "completed")
    assert first.metadata["agno.run_id"] == second.metadata["agno.run_id"]
    (edge,) = [edge for edge in run.trace.edges if edge.label == "resumed"]
    assert (edge.source_id, edge.target_id) == (first.id, second.id)
    assert run.node_record.status == "running"  # it waited, and goes on


def test_a_run_goes_on_in_its_trace_an_hour_later(tmp_path: Path) -> None:
    agent = make_guarded_agent()
    tracer = Tracer(storage=FileStore(tmp_path))
    with adapter.install(tracer), tracer.trace("run"):
        paused = agent.run("weather?")
    for tool in paused.tools:
        tool.confirmed = True
    assert_goes_on(tmp_path, adapter, lambda: agent.continue_run(run_response=paused))
