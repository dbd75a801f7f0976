"""The OpenAI Agents SDK, alone and together with the adapter of its own SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.conformance import (
    AsyncStreamConformance,
    CancellationConformance,
    Conformance,
    ExampleConformance,
    assert_goes_on,
)
from adapters.products import product
from adapters.trees import last_trace, nodes_of_type, only_call, tree
from adapters.weather import get_weather
from logtracer import FileStore, Span, Tracer, current_span
from logtracer_extras.adapters import openai as sdk
from logtracer_extras.adapters import openai_agents as adapter

agents = product("agents")
openai = product("openai")


ADAPTERS = [sdk, adapter]

# The SDK and its clients warn, and leave sockets to the garbage collector.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("model_apis")]


WEATHER = agents.function_tool(get_weather)
GUARDED = agents.function_tool(get_weather, needs_approval=True)


def make_agent(name: str = "forecaster", **settings: Any) -> Any:
    client = openai.AsyncOpenAI(max_retries=0)
    model = agents.OpenAIChatCompletionsModel(model="gpt-4o", openai_client=client)
    return agents.Agent(name=name, **{"model": model, "tools": [WEATHER], **settings})


@pytest.fixture(autouse=True)
def no_exporter() -> None:
    """Take out the SDK's exporter, which would send its traces to its maker."""
    agents.set_trace_processors([])


async def answer_to(agent: Any, question: Any) -> Any:
    return await agents.Runner.run(agent, question)


class TestRunner(Conformance, ExampleConformance, AsyncStreamConformance, CancellationConformance):
    adapter = adapter
    example = "openai_agents_run"
    patched: list[str] = []  # it is told by a processor

    def ask(self, question: str) -> str:
        return str(asyncio.run(answer_to(make_agent(), question)).final_output)

    async def astream(self, question: str) -> AsyncIterator[str]:
        result = agents.Runner.run_streamed(make_agent(), question)
        async for event in result.stream_events():
            if event.type == "raw_response_event" and event.data.type.endswith("text.delta"):
                yield event.data.delta


def test_tools_run_in_parallel_and_each_call_is_one_node(run: Span) -> None:
    asyncio.run(answer_to(make_agent(), "two cities"))
    assert tree(run.trace) == [
        "sub_agent Agent workflow",
        "  sub_agent forecaster",
        "    custom turn 1",
        "      llm_call chat gpt-4o",
        "      tool_call get_weather",
        "        custom look_up",
        "      tool_call get_weather",
        "        custom look_up",
        "    custom turn 2",
        "      llm_call chat gpt-4o",
    ]
    call = nodes_of_type(run.trace, "llm_call")[0]
    assert call.metadata["request_id"]  # the SDK's adapter has seen the same call
    assert call.metadata["gen_ai.request.model"] == "gpt-4o"
    assert call.output_data["message"]["tool_calls"]
    assert call.input_data["messages"][-1] == {"role": "user", "content": "two cities"}


def test_agents_and_workflows_have_the_first_input_and_the_last_output(run: Span) -> None:
    asyncio.run(answer_to(make_agent(), "two cities"))
    for node in nodes_of_type(run.trace, "sub_agent"):
        assert node.input_data["messages"] == [{"role": "user", "content": "two cities"}]
        answer = {"role": "assistant", "content": "Paris 21, Rome 21."}
        assert node.output_data == {"message": answer}


def test_a_handoff_is_a_decision_between_two_agents(run: Span) -> None:
    forecaster = make_agent("weather_agent")
    asyncio.run(answer_to(make_agent("triage", tools=[], handoffs=[forecaster]), "hand over"))
    lines = tree(run.trace)
    assert "      decision handoff from triage" in lines
    assert lines.index("  sub_agent triage") < lines.index("  sub_agent weather_agent")
    (decision,) = nodes_of_type(run.trace, "decision")
    assert decision.output_data == {"to_agent": "weather_agent"}


def test_a_failing_tool_fails_its_node_and_not_the_run(run: Span) -> None:
    asyncio.run(answer_to(make_agent(), "failing tool"))
    (tool,) = nodes_of_type(run.trace, "tool_call")
    assert tool.status == "failed"
    assert str(tool.error).startswith("Error running tool")
    assert run.trace.nodes[run.id].status == "running"


async def cancel_in_tool() -> None:
    """Cancel a run while its tool waits."""
    started = asyncio.Event()

    async def get_weather(city: str) -> None:
        """Return the weather of a city."""
        started.set()
        await asyncio.Event().wait()

    agent = make_agent(tools=[agents.function_tool(get_weather)])
    task = asyncio.create_task(answer_to(agent, "weather?"))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_cancelled_run_is_cancelled_down_to_the_tool_that_ran(run: Span) -> None:
    asyncio.run(cancel_in_tool())
    assert tree(run.trace) == [
        "sub_agent Agent workflow (cancelled)",
        "  sub_agent forecaster (cancelled)",
        "    custom turn 1 (cancelled)",
        "      llm_call chat gpt-4o",
        "      tool_call get_weather (cancelled)",
    ]
    assert run.node_record.status == "running"  # nothing waits for a person


def test_a_run_that_raises_has_failed_from_the_model_call_up(run: Span) -> None:
    with pytest.raises(openai.InternalServerError):
        asyncio.run(answer_to(make_agent(), "always broken"))
    assert tree(run.trace) == [
        "sub_agent Agent workflow (failed)",
        "  sub_agent forecaster (failed)",
        "    custom turn 1 (failed)",
        "      llm_call chat gpt-4o (failed)",
    ]


def test_a_run_that_cleans_up_after_a_cancellation_is_not_cancelled(run: Span) -> None:
    async def main() -> None:
        try:
            raise asyncio.CancelledError
        except asyncio.CancelledError:
            await answer_to(make_agent(), "hello")

    asyncio.run(main())
    assert {node.status for node in run.trace.nodes.values()} == {"running", "completed"}


def test_a_streamed_run_leaves_the_consumers_span_alone(run: Span) -> None:
    async def main() -> None:
        result = agents.Runner.run_streamed(make_agent(), "weather?")
        async for _ in result.stream_events():
            assert current_span() is run

    asyncio.run(main())
    assert len(nodes_of_type(run.trace, "llm_call")) == 2
    assert all(node.end_time for node in run.trace.nodes.values() if node.parent_id)


async def leave_stream(question: str) -> Any:
    """Stream a run, leave it at the first text and return it."""
    result = agents.Runner.run_streamed(make_agent(), question)
    async for event in result.stream_events():
        if event.type == "raw_response_event" and event.data.type.endswith("text.delta"):
            break
    return result


def test_a_streamed_run_that_its_reader_leaves_goes_on_until_it_is_done(run: Span) -> None:
    async def main() -> None:
        result = await leave_stream("hello")
        await result.run_loop_task

    asyncio.run(main())
    assert {node.status for node in run.trace.nodes.values() if node.parent_id} == {"completed"}
    assert "Hello from the mock." in str(only_call(run.trace).output_data)


def test_a_streamed_run_that_is_left_and_cancelled_keeps_the_text_so_far(run: Span) -> None:
    async def main() -> None:
        result = await leave_stream("slow answer")
        result.cancel()
        await asyncio.wait([result.run_loop_task])

    asyncio.run(main())
    assert {node.status for node in run.trace.nodes.values() if node.parent_id} == {"cancelled"}
    text = only_call(run.trace).output_data["message"]["content"]
    assert text
    assert "Slowly, word by word".startswith(text)


def test_a_tool_that_waits_for_approval_is_paused_and_goes_on(run: Span) -> None:
    async def main() -> None:
        result = await answer_to(make_agent(tools=[GUARDED]), "weather?")
        state = result.to_state()
        state.approve(result.interruptions[0])
        await answer_to(make_agent(tools=[GUARDED]), state)

    asyncio.run(main())
    assert [node.status for node in nodes_of_type(run.trace, "tool_call")] == [
        "paused",
        "completed",
    ]
    assert [edge.label for edge in run.trace.edges].count("resumed") == 1
    assert run.node_record.status == "running"  # it waited, and goes on


def test_a_run_goes_on_in_its_trace_an_hour_later(tmp_path: Path) -> None:
    tracer = Tracer(storage=FileStore(tmp_path))
    with adapter.install(tracer), tracer.trace("run"):
        paused = asyncio.run(answer_to(make_agent(tools=[GUARDED]), "weather?"))
    kept = paused.to_state().to_json()

    async def go_on() -> None:
        agent = make_agent(tools=[GUARDED])
        state = await agents.RunState.from_json(agent, kept)
        state.approve(state.get_interruptions()[0])
        await answer_to(agent, state)

    assert_goes_on(tmp_path, adapter, lambda: asyncio.run(go_on()))


def test_parallel_runs_keep_to_their_workflow(run: Span) -> None:
    async def main() -> None:
        with agents.trace("both"):
            await asyncio.gather(
                answer_to(make_agent("first"), "hello"), answer_to(make_agent("second"), "hello")
            )

    asyncio.run(main())
    lines = tree(run.trace)
    assert lines[0] == "sub_agent both"
    assert {"  sub_agent first", "  sub_agent second"} <= set(lines)
    assert lines.count("      llm_call chat gpt-4o") == 2


def test_the_responses_api_is_read_from_its_answer(tracer: Tracer, model_apis: str) -> None:
    agents.set_default_openai_client(openai.AsyncOpenAI(), use_for_tracing=False)
    with adapter.install(tracer), tracer.trace("run"):
        asyncio.run(answer_to(agents.Agent(name="brief", model="gpt-4o"), "hello"))
    (call,) = nodes_of_type(last_trace(tracer), "llm_call")
    assert call.output_data["message"] == {"role": "assistant", "content": "Hello from the mock."}
    assert call.metadata["gen_ai.request.model"] == "gpt-4o"
    assert call.name == "chat gpt-4o"
