"""CrewAI, with the adapter of the SDK below, and inside LangGraph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, TypedDict

import pytest

from adapters.conformance import Conformance
from adapters.products import product
from adapters.trees import begin_run, nodes_of_type, tree
from logtracer import Span, Tracer, current_span, trace_node
from logtracer_extras.adapters import crewai as adapter
from logtracer_extras.adapters import langchain
from logtracer_extras.adapters import openai as sdk

crewai = product("crewai")
make_tool = product("crewai.tools").tool
langgraph = product("langgraph.graph")

# The product and its clients warn, and leave sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore")


@trace_node("look_up")
def look_up(city: str) -> str:
    if city == "Atlantis":
        raise ValueError("no such city")
    return f"21 in {city}"


def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return look_up(city)


def make_crew(question: str, *tools: Any) -> Any:
    model = crewai.LLM(model="openai/gpt-4o", max_retries=0)
    agent = crewai.Agent(
        role="forecaster", goal="g", backstory="b", tools=list(tools), llm=model, max_iter=3
    )
    task = crewai.Task(description=question, expected_output="text", agent=agent)
    return crewai.Crew(agents=[agent], tasks=[task])


def ask(question: str, *tools: Any) -> str:
    return str(make_crew(question, *tools).kickoff())


class TestCrew(Conformance):
    adapter = adapter
    patched = ["crewai.events.event_bus:CrewAIEventsBus._prepare_event"]

    def ask(self, question: str) -> str:
        return ask(question)


@pytest.fixture
def run(tracer: Tracer, model_apis: str) -> Iterator[Span]:
    """Record a trace with both adapters installed."""
    with ExitStack() as stack:
        stack.enter_context(sdk.install(tracer))
        yield begin_run(stack, adapter, tracer)


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
