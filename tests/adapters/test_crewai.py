"""CrewAI, with the adapter of the SDK below, and inside LangGraph."""

from __future__ import annotations

from typing import Any, TypedDict

import pytest

from adapters.conformance import Conformance, ExampleConformance
from adapters.products import product
from adapters.trees import nodes_of_type, tree
from adapters.weather import get_weather
from logtracer import Span, current_span
from logtracer_extras.adapters import crewai as adapter
from logtracer_extras.adapters import langchain
from logtracer_extras.adapters import openai as sdk

crewai = product("crewai")
make_tool = product("crewai.tools").tool
langgraph = product("langgraph.graph")

ADAPTERS = [sdk, adapter]

# The product and its clients warn, and leave sockets to the garbage collector.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("model_apis")]


def make_crew(question: str, *tools: Any) -> Any:
    model = crewai.LLM(model="openai/gpt-4o", max_retries=0)
    agent = crewai.Agent(
        role="forecaster", goal="g", backstory="b", tools=list(tools), llm=model, max_iter=3
    )
    task = crewai.Task(description=question, expected_output="text", agent=agent)
    return crewai.Crew(agents=[agent], tasks=[task])


def ask(question: str, *tools: Any) -> str:
    return str(make_crew(question, *tools).kickoff())


class TestCrew(Conformance, ExampleConformance):
    adapter = adapter
    example = "crewai_crew"
    patched = ["crewai.events.event_bus:CrewAIEventsBus._prepare_event"]

    def ask(self, question: str) -> str:
        return ask(question)


def test_a_crew_is_a_tree_and_each_call_is_one_node(run: Span) -> None:
    ask("two cities", make_tool("get_weather")(get_weather))
    assert tree(run.trace) == [
        "sub_agent crew",
        "  custom task",
        "    sub_agent forecaster",
        "      llm_call chat gpt-4o",
        "      tool_call get_weather",
        "        custom look_up",
        "      tool_call get_weather",
        "        custom look_up",
        "      llm_call chat gpt-4o",
    ]
    assert current_span() is run
    call = nodes_of_type(run.trace, "llm_call")[0]
    assert call.metadata["request_id"]  # the SDK's adapter has seen the same call
    tool = nodes_of_type(run.trace, "tool_call")[0]
    assert "Paris" in str(tool.input_data)


def test_a_failing_tool_fails_its_node(run: Span) -> None:
    ask("failing tool", make_tool("get_weather")(get_weather))
    names = [node.name for node in run.trace.failed_nodes]
    assert "look_up" in names
    assert "get_weather" in names


def test_a_crew_inside_a_graph_nests_below_its_node(run: Span) -> None:
    class State(TypedDict):
        answer: str

    graph = langgraph.StateGraph(State)
    graph.add_node("crew", lambda state: {"answer": ask("hello")})
    graph.add_edge(langgraph.START, "crew")
    with langchain.install():
        graph.compile().invoke({"answer": ""})
    assert tree(run.trace) == [
        "sub_agent LangGraph",
        "  custom crew",
        "    sub_agent crew",
        "      custom task",
        "        sub_agent forecaster",
        "          llm_call chat gpt-4o",
    ]
