"""CrewAI, with the adapter of the SDK below, and inside LangGraph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

import pytest

from adapters.conformance import Conformance, ExampleConformance, assert_goes_on
from adapters.products import product
from adapters.trees import nodes_of_type, only_call, tree
from adapters.weather import AGENT_TREE, get_weather
from logtracer import FileStore, Span, Tracer, current_span, trace_node
from logtracer_extras.adapters import crewai as adapter
from logtracer_extras.adapters import langchain
from logtracer_extras.adapters import openai as sdk

crewai = product("crewai")
make_tool = product("crewai.tools").tool
Memory = product("crewai.memory.unified_memory").Memory
flows = product("crewai.flow.flow")
human_feedback = product("crewai.flow.human_feedback").human_feedback
HumanFeedbackPending = product("crewai.flow.async_feedback.types").HumanFeedbackPending
SQLiteFlowPersistence = product("crewai.flow.persistence").SQLiteFlowPersistence
langgraph = product("langgraph.graph")

ADAPTERS = [sdk, adapter]

# The product and its clients warn, and leave sockets to the garbage collector.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("model_apis")]


def make_model(**settings: Any) -> Any:
    return crewai.LLM(model="openai/gpt-4o", max_retries=0, **settings)


def make_agent(*tools: Any, **settings: Any) -> Any:
    model = make_model(**settings)
    texts = {"role": "forecaster", "goal": "g", "backstory": "b"}
    return crewai.Agent(**texts, tools=list(tools), llm=model, max_iter=3, max_retry_limit=0)


def make_crew(question: str, agent: Any, **settings: Any) -> Any:
    task = crewai.Task(description=question, expected_output="text", agent=agent)
    return crewai.Crew(agents=[agent], tasks=[task], **settings)


def ask(question: str, *tools: Any) -> str:
    return str(make_crew(question, make_agent(*tools)).kickoff())


class TestCrew(Conformance, ExampleConformance):
    adapter = adapter
    example = "crewai_crew"
    patched = ["crewai.events.event_bus:CrewAIEventsBus._prepare_event"]

    def ask(self, question: str) -> str:
        return ask(question)


CREW_TREE = ["sub_agent crew", "  custom task", *(f"    {line}" for line in AGENT_TREE)]


def test_a_crew_is_a_tree_and_each_call_is_one_node(run: Span) -> None:
    ask("two cities", make_tool("get_weather")(get_weather))
    assert tree(run.trace) == CREW_TREE
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


def test_a_streamed_crew_is_the_same_tree_and_leaves_the_consumers_span_alone(run: Span) -> None:
    agent = make_agent(make_tool("get_weather")(get_weather))
    for _ in make_crew("two cities", agent, stream=True).kickoff():
        assert current_span() is run
    assert tree(run.trace) == CREW_TREE
    last = nodes_of_type(run.trace, "llm_call")[-1]
    assert last.output_data["message"]["content"] == "Paris 21, Rome 21."
    assert last.metadata["gen_ai.response.time_to_first_chunk"] > 0


def test_a_streamed_answer_that_is_cut_keeps_the_text_so_far(run: Span) -> None:
    with pytest.raises(Exception, match="closed"):
        make_crew("cut short", make_agent(stream=True)).kickoff()
    call = only_call(run.trace)
    assert call.status == "failed"
    assert "This answer stops".startswith(call.output_data["message"]["content"])


def test_an_agent_without_a_crew_has_its_name(run: Span) -> None:
    make_agent().kickoff("hello")
    assert tree(run.trace) == ["sub_agent forecaster", "  llm_call chat gpt-4o"]


@trace_node("clean")
def clean(text: str) -> str:
    return text.strip()


def make_flow(name: str, *methods: Any, **settings: Any) -> Any:
    named = {method.__name__: method for method in methods}
    return type(flows.Flow)(name, (flows.Flow,), named)(**settings)


def make_report() -> Any:
    def prepare(self: Any) -> str:
        return clean(" hello ")

    def forecast(self: Any, question: str) -> str:
        return ask(question)

    async def publish(self: Any, text: str) -> str:
        return clean(text)

    first = flows.start()(prepare)
    second = flows.listen(first)(forecast)
    return make_flow("Report", first, second, flows.listen(second)(publish))


def test_a_flow_has_its_methods_with_the_crews_and_steps_in_them(run: Span) -> None:
    make_report().kickoff()
    assert tree(run.trace) == [
        "sub_agent Report",
        "  custom prepare",
        "    custom clean",
        "  custom forecast",
        "    sub_agent crew",
        "      custom task",
        "        sub_agent forecaster",
        "          llm_call chat gpt-4o",
        "  custom publish",
        "    custom clean",
    ]
    (forecast,) = [node for node in run.trace.nodes.values() if node.name == "forecast"]
    assert "hello" in forecast.input_data["params"].values()
    assert forecast.output_data == {"result": "Hello from the mock."}


def test_a_method_that_raises_fails_its_flow(run: Span) -> None:
    def publish(self: Any) -> None:
        raise ValueError("no paper")

    with pytest.raises(ValueError, match="no paper"):
        make_flow("Broken", flows.start()(publish)).kickoff()
    assert tree(run.trace) == ["sub_agent Broken (failed)", "  custom publish (failed)"]


class Desk:
    """Asks a person who answers later."""

    def request_feedback(self, context: Any, flow: Any) -> str:
        raise HumanFeedbackPending(context=context)


def make_reviewed(kept: Any) -> Any:
    def draft(self: Any) -> str:
        return "draft"

    def publish(self: Any) -> str:
        return "published"

    asked = human_feedback(message="Good enough?", provider=Desk())(draft)
    first = flows.start()(asked)
    return make_flow("Reviewed", first, flows.listen(first)(publish), persistence=kept)


def test_a_flow_that_waits_for_a_person_is_paused_and_goes_on(run: Span, tmp_path: Path) -> None:
    kept = SQLiteFlowPersistence(str(tmp_path / "flows.db"))
    flow = make_reviewed(kept)
    pending = flow.kickoff()
    assert tree(run.trace) == ["sub_agent Reviewed (paused)", "  custom draft (paused)"]
    waiting = type(flow).from_pending(pending.context.flow_id, kept)
    assert waiting.resume("yes") == "published"
    first, second = nodes_of_type(run.trace, "sub_agent")
    assert (first.status, second.status) == ("paused", "completed")
    (edge,) = [edge for edge in run.trace.edges if edge.label == "resumed"]
    assert run.trace.nodes[edge.source_id].name == "draft"
    assert edge.target_id == second.id
    assert run.node_record.status == "running"  # it waited, and goes on


def test_a_flow_goes_on_in_its_trace_an_hour_later(tmp_path: Path) -> None:
    kept = SQLiteFlowPersistence(str(tmp_path / "flows.db"))
    flow = make_reviewed(kept)
    tracer = Tracer(storage=FileStore(tmp_path / "traces"))
    with adapter.install(tracer), tracer.trace("run"):
        pending = flow.kickoff()
    waiting = type(flow).from_pending(pending.context.flow_id, kept)
    assert_goes_on(tmp_path / "traces", adapter, lambda: waiting.resume("yes"))


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Any]:
    """Return a memory, whose threads end with the test and let go of their sockets."""

    def embed(texts: list[str]) -> list[list[float]]:
        return [[1.0] * 8 for _ in texts]

    kept = Memory(llm=make_model(), storage=str(tmp_path), embedder=embed)
    yield kept
    kept.close()


def test_memory_tells_what_it_keeps_and_what_it_finds(run: Span, memory: Any) -> None:
    memory.remember("Paris is sunny", scope="/towns", categories=["weather"], importance=0.5)
    memory.recall("Paris", depth="shallow")
    assert tree(run.trace) == ["custom memory_save", "retrieval memory_query"]
    save, query = (node for node in run.trace.nodes.values() if node.parent_id)
    assert save.input_data == {"value": "Paris is sunny"}
    assert query.input_data == {"query": "Paris"}
    assert "Paris is sunny" in str(query.output_data)


def test_a_crew_looks_into_its_memory_before_the_agent_begins(run: Span, memory: Any) -> None:
    memory.remember("Rome is wet", scope="/towns", categories=["weather"], importance=0.5)
    make_crew("hello", make_agent(), memory=memory).kickoff()
    lines = tree(run.trace)
    at = lines.index("    retrieval memory_retrieval")
    assert lines[at + 1] == "      retrieval memory_query"
    assert at < lines.index("    sub_agent forecaster")
    assert not any("Flow" in line for line in lines)  # those of the product say nothing new
    assert not any("running" in line for line in lines)  # though the product mixes its ends up
    found = [node for node in run.trace.nodes.values() if node.name == "memory_retrieval"]
    assert "Rome is wet" in str(found[0].output_data)
