"""Agno's agents and teams, with the adapter of the SDK below."""

from __future__ import annotations

import asyncio
import gc
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
from logtracer import FileStore, Span, Tracer, current_span, trace_node
from logtracer_extras.adapters import agno as adapter
from logtracer_extras.adapters import openai as sdk

Agent = product("agno.agent").Agent
Team = product("agno.team").Team
OpenAIChat = product("agno.models.openai").OpenAIChat
make_tool = product("agno.tools").tool
InMemoryDb = product("agno.db.in_memory").InMemoryDb
workflows = product("agno.workflow")
workflow_types = product("agno.workflow.types")

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
        "agno.workflow.step:Step.execute",
        "agno.workflow.parallel:Parallel.aexecute_stream",
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


def output_of(run: Span, name: str) -> Any:
    return next(node for node in run.trace.nodes.values() if node.name == name).output_data


@pytest.mark.parametrize("how", [{}, {"stream_events": True}])
def test_a_streamed_agent_keeps_its_whole_answer(run: Span, how: dict[str, bool]) -> None:
    list(make_agent(tools=[]).run("hello", stream=True, **how))
    assert output_of(run, "forecaster") == {"content": "Hello from the mock."}


def test_so_does_an_asynchronous_one_and_a_team(run: Span) -> None:
    async def main() -> None:
        async for _ in make_agent(tools=[]).arun("hello", stream=True):
            pass

    asyncio.run(main())
    assert output_of(run, "forecaster") == {"content": "Hello from the mock."}
    list(Team(name="team", members=[make_agent()], model=make_model()).run("hello", stream=True))
    assert output_of(run, "team") == {"content": "Hello from the mock."}


def test_a_streamed_agent_that_is_left_keeps_what_it_said(run: Span) -> None:
    events = make_agent(tools=[]).run("slow answer", stream=True)
    first = next(event.content for event in events if event.content)
    events.close()
    assert output_of(run, "forecaster") == {"content": first}


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


@trace_node("clean")
def clean(text: str) -> str:
    return text.strip()


def prepare(given: Any) -> Any:
    return workflow_types.StepOutput(content=clean(" two cities "))


def make_step(name: str = "prepare", executor: Any = prepare, **settings: Any) -> Any:
    return workflows.Step(name=name, executor=executor, max_retries=0, **settings)


def make_workflow(*steps: Any, **settings: Any) -> Any:
    return workflows.Workflow(name="report", steps=list(steps), telemetry=False, **settings)


def make_report() -> Any:
    return make_workflow(make_step(), workflows.Step(name="ask", agent=make_agent()))


REPORT_TREE = [
    "sub_agent report",
    "  custom prepare",
    "    custom clean",
    "  custom ask",
    *(f"    {line}" for line in AGENT_TREE),
]


def test_a_workflow_has_its_steps_with_what_runs_in_them(run: Span) -> None:
    make_report().run("hello")
    assert tree(run.trace) == REPORT_TREE
    (ask,) = [node for node in run.trace.nodes.values() if node.name == "ask"]
    assert ask.input_data == {"input": "two cities"}  # of the step before
    assert ask.output_data == {"content": "Paris 21, Rome 21."}


def test_a_streamed_workflow_is_the_same_tree(run: Span) -> None:
    for _ in make_report().run("hello", stream=True):
        assert current_span() is run
    assert tree(run.trace) == REPORT_TREE


def test_an_asynchronous_workflow_is_the_same_tree(run: Span) -> None:
    asyncio.run(make_report().arun("hello"))
    assert tree(run.trace) == REPORT_TREE


def test_an_asynchronous_stream_of_a_workflow_is_the_same_tree(run: Span) -> None:
    async def main() -> None:
        async for _ in make_report().arun("hello", stream=True):
            assert current_span() is run

    asyncio.run(main())
    assert tree(run.trace) == REPORT_TREE


def test_a_workflow_left_while_a_step_streams_has_no_open_step(run: Span) -> None:
    stream = make_report().run("hello", stream=True)
    assert any(event.event == "RunContent" for event in stream)  # stops there
    stream.close()
    del stream
    gc.collect()  # the product drops what a step streams, unclosed
    lines = tree(run.trace)
    assert lines[3:5] == ["  custom ask", "    sub_agent forecaster"]
    assert not any("running" in line or "failed" in line for line in lines)


PARTS_TREE = [
    "sub_agent report",
    "  custom both",
    "    custom side",
    "      custom clean",
    "    custom side",
    "      custom clean",
    "  custom again",
    "    custom prepare",
    "      custom clean",
    "    custom prepare",
    "      custom clean",
    "  decision perhaps",
    "    custom prepare",
    "      custom clean",
    "  decision which",
    "    custom side",
    "      custom clean",
]


def make_parts() -> Any:
    side = make_step("side")
    return make_workflow(
        workflows.Parallel(side, make_step("side"), name="both"),
        workflows.Loop(name="again", steps=[make_step()], max_iterations=2),
        workflows.Condition(name="perhaps", evaluator=lambda given: True, steps=[make_step()]),
        workflows.Router(name="which", selector=lambda given: [side], choices=[side, make_step()]),
    )


def test_branches_loops_and_choices_of_a_workflow_hold_their_steps(run: Span) -> None:
    make_parts().run("hello")
    assert tree(run.trace) == PARTS_TREE


def test_parallel_steps_that_stream_hold_what_they_do(run: Span) -> None:
    async def main() -> None:
        async for _ in make_parts().arun("hello", stream=True):
            pass

    asyncio.run(main())
    assert tree(run.trace) == PARTS_TREE


def test_a_step_that_raises_fails_alone_when_the_workflow_skips_it(run: Span) -> None:
    def tear(given: Any) -> None:
        raise ValueError("no paper")

    make_workflow(make_step("tear", tear), make_step()).run("hello")
    assert tree(run.trace)[:2] == ["sub_agent report", "  custom tear (failed)"]
    assert "no paper" in str(run.trace.failed_nodes[0].error)


def test_a_workflow_that_waits_for_a_person_is_paused_and_goes_on(run: Span) -> None:
    review = workflow_types.HumanReview(requires_confirmation=True)
    workflow = make_workflow(make_step(human_review=review), db=InMemoryDb())
    paused = workflow.run("hello")
    for wanted in paused.steps_requiring_confirmation:
        wanted.confirm()
    workflow.continue_run(paused)
    assert tree(run.trace) == [
        "sub_agent report (paused)",
        "sub_agent report",
        "  custom prepare",
        "    custom clean",
    ]
    assert [edge.label for edge in run.trace.edges].count("resumed") == 1
