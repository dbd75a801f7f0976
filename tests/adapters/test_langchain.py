"""LangChain and LangGraph, alone and together with the adapter of the SDK below."""

from __future__ import annotations

import asyncio
import itertools
import operator
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any, TypedDict

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
from adapters.weather import get_weather
from logtracer import EdgeType, FileStore, Span, Tracer, current_span
from logtracer_extras.adapters import langchain as adapter
from logtracer_extras.adapters import openai as sdk

langgraph = product("langgraph.graph")
types = product("langgraph.types")
create_agent = product("langchain.agents").create_agent
ChatOpenAI = product("langchain_openai").ChatOpenAI
make_tool = product("langchain_core.tools").tool
InMemorySaver = product("langgraph.checkpoint.memory").InMemorySaver

ADAPTERS = [sdk, adapter]

# The product and its clients warn, and leave sockets to the garbage collector.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("model_apis")]


class State(TypedDict):
    """What the graphs below work on."""

    found: Annotated[list[Any], operator.add]


def said(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


# The product keeps a client for each timeout, even when the client's event loop has been closed.
TIMEOUTS = itertools.count(60)


def make_model(**settings: Any) -> Any:
    return ChatOpenAI(model="gpt-4o", max_retries=0, timeout=next(TIMEOUTS), **settings)


def make_agent() -> Any:
    return create_agent(make_model(), [make_tool(get_weather)], name="forecaster")


def make_graph(**nodes: Any) -> Any:
    """Return a graph of one node after another."""
    graph = langgraph.StateGraph(State)
    last = langgraph.START
    for name, node in nodes.items():
        retry = types.RetryPolicy(initial_interval=0.01, retry_on=ConnectionError)
        graph.add_node(name, node, retry_policy=retry)
        graph.add_edge(last, name)
        last = name
    return graph


def approve(state: State) -> dict[str, Any]:
    return {"found": [types.interrupt({"question": "go on?"})]}


class TestModel(Conformance, StreamConformance, AsyncStreamConformance, CancellationConformance):
    adapter = adapter
    patched: list[str] = []  # it is told by a callback handler

    def ask(self, question: str) -> str:
        return str(make_model().invoke(question).content)

    def stream(self, question: str) -> Iterator[str]:
        for chunk in make_model().stream(question):
            if chunk.content:
                yield chunk.content

    async def astream(self, question: str) -> AsyncIterator[str]:
        async for chunk in make_model().astream(question):
            if chunk.content:
                yield chunk.content


class TestGraph(
    Conformance,
    StreamConformance,
    AsyncStreamConformance,
    CancellationConformance,
    ExampleConformance,
):
    adapter = adapter
    example = "langgraph_agent"
    patched: list[str] = []

    def ask(self, question: str) -> str:
        return str(make_agent().invoke(said(question))["messages"][-1].content)

    def stream(self, question: str) -> Iterator[str]:
        for chunk, _ in make_agent().stream(said(question), stream_mode="messages"):
            if chunk.content:
                yield chunk.content

    async def astream(self, question: str) -> AsyncIterator[str]:
        async for chunk, _ in make_agent().astream(said(question), stream_mode="messages"):
            if chunk.content:
                yield chunk.content

    @pytest.mark.skipif(
        sys.version_info < (3, 11), reason="the product gives the answer in one piece, at its end"
    )
    def test_a_cancelled_stream_is_cancelled_in_the_trace(self, tracer: Tracer) -> None:
        super().test_a_cancelled_stream_is_cancelled_in_the_trace(tracer)


AGENT_TREE = [
    "sub_agent forecaster",
    "  custom model",
    "    llm_call chat gpt-4o",
    "  custom tools",
    "    tool_call get_weather",
    "      custom look_up",
    "  custom tools",
    "    tool_call get_weather",
    "      custom look_up",
    "  custom model",
    "    llm_call chat gpt-4o",
]


def test_an_agent_is_a_tree_and_each_call_is_one_node(run: Span) -> None:
    make_agent().invoke(said("two cities"))
    assert tree(run.trace) == AGENT_TREE
    assert current_span() is run
    call = nodes_of_type(run.trace, "llm_call")[0]
    assert call.metadata["request_id"]  # the SDK's adapter has seen the same call
    assert call.metadata["gen_ai.provider.name"] == "openai"
    assert call.input_data["messages"] == [{"role": "user", "content": "two cities"}]
    assert len(call.output_data["message"]["tool_calls"]) == 2


def test_concurrent_agents_keep_to_their_branches(run: Span) -> None:
    async def main() -> None:
        agent = make_agent()
        await asyncio.gather(*(agent.ainvoke(said("two cities")) for _ in range(2)))

    asyncio.run(main())
    assert tree(run.trace) == AGENT_TREE * 2


def test_a_streaming_agent_is_the_same_tree(run: Span) -> None:
    for _ in make_agent().stream(said("two cities"), stream_mode="messages"):
        assert current_span() is run
    assert tree(run.trace) == AGENT_TREE


def test_a_call_of_the_users_own_in_a_tool_nests_below_the_tool(run: Span) -> None:
    openai = product("openai")

    def get_weather(city: str) -> str:
        """Return the weather of a city."""
        with openai.OpenAI() as client:
            client.chat.completions.create(model="own", messages=said("hello")["messages"])
        return "21"

    create_agent(make_model(), [make_tool(get_weather)]).invoke(said("weather?"))
    assert "      llm_call chat own" in tree(run.trace)


def test_a_failing_tool_fails_its_nodes(run: Span) -> None:
    with pytest.raises(ValueError, match="no such city"):
        make_agent().invoke(said("failing tool"))
    assert [node.name for node in run.trace.failed_nodes] == [
        "forecaster",
        "tools",
        "get_weather",
        "look_up",
    ]


def test_a_cancelled_tool_is_cancelled_with_all_above_it(run: Span) -> None:
    started = asyncio.Event()

    async def get_weather(city: str) -> None:
        """Return the weather of a city."""
        started.set()
        await asyncio.Event().wait()

    async def main() -> None:
        agent = create_agent(make_model(), [make_tool(get_weather)], name="forecaster")
        task = asyncio.create_task(agent.ainvoke(said("weather?")))
        await asyncio.wait_for(started.wait(), 60)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())
    cancelled = [node.name for node in run.trace.nodes.values() if node.status == "cancelled"]
    assert cancelled == ["forecaster", "tools", "get_weather"]


def test_a_retried_node_is_linked_to_the_attempt_that_failed(run: Span) -> None:
    attempts = []

    def flaky(state: State) -> dict[str, Any]:
        attempts.append(1)
        if len(attempts) == 1:
            raise ConnectionError("down")
        return {"found": ["up"]}

    make_graph(flaky=flaky).compile().invoke({"found": []})
    lines = tree(run.trace)
    assert lines == ["sub_agent LangGraph", "  custom flaky (failed)", "  custom flaky"]
    (edge,) = [edge for edge in run.trace.edges if edge.edge_type == EdgeType.RETRY_OF]
    assert run.trace.nodes[edge.source_id].status == "failed"
    assert run.trace.nodes[edge.target_id].status == "completed"


def test_an_interrupt_is_a_pause_and_its_resumption_is_linked(run: Span) -> None:
    graph = make_graph(approve=approve).compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "thread-1"}}
    graph.invoke({"found": []}, config)
    assert tree(run.trace) == ["sub_agent LangGraph (paused)", "  custom approve (paused)"]
    graph.invoke(types.Command(resume="yes"), config)
    assert tree(run.trace)[2:] == ["sub_agent LangGraph", "  custom approve"]
    (edge,) = [edge for edge in run.trace.edges if edge.label == "resumed"]
    assert run.trace.nodes[edge.source_id].status == "paused"
    assert all(
        node.metadata.get("thread_id") == "thread-1"
        for node in nodes_of_type(run.trace, "sub_agent")
    )
    assert run.node_record.status == "running"  # it waited, and goes on


def test_a_graph_goes_on_in_its_trace_an_hour_later(tmp_path: Path) -> None:
    graph = make_graph(approve=approve).compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "thread-1"}}
    tracer = Tracer(storage=FileStore(tmp_path))
    with adapter.install(tracer), tracer.trace("run"):
        graph.invoke({"found": []}, config)
    assert_goes_on(tmp_path, adapter, lambda: graph.invoke(types.Command(resume="yes"), config))


def test_a_command_to_the_graph_above_is_no_failure(run: Span) -> None:
    def hand_over(state: State) -> Any:
        return types.Command(graph=types.Command.PARENT, update={"found": ["over"]})

    inner = make_graph(hand_over=hand_over).compile()
    make_graph(inner=inner).compile().invoke({"found": []})
    assert run.trace.failed_nodes == []
    assert not [line for line in tree(run.trace) if "(" in line]


def test_branches_that_run_at_once_are_lanes_of_their_own(run: Span) -> None:
    def work(state: State) -> dict[str, Any]:
        make_model().invoke("hello")
        return {"found": [1]}

    graph = make_graph(start=lambda state: {"found": []})
    graph.add_node("work", work)
    graph.add_conditional_edges("start", lambda state: [types.Send("work", state)] * 2)
    graph.compile().invoke({"found": []})
    assert tree(run.trace).count("    llm_call chat gpt-4o") == 2
    lanes = [node.metadata.get("lane") for node in run.trace.nodes.values() if node.name == "work"]
    assert len(set(lanes)) == 2
