"""What LangChain's models answer, in whatever form, and what kind of step each run is."""

from __future__ import annotations

import asyncio
import operator
import sys
from collections.abc import Iterator
from typing import Annotated, Any, TypedDict

import pytest

from adapters.products import product
from adapters.trees import nodes_of_type, only_call, tree
from adapters.wire import message, sdk_client
from logtracer import Span, current_span, trace_node
from logtracer_extras.adapters import anthropic as anthropic_sdk
from logtracer_extras.adapters import langchain as adapter

langgraph = product("langgraph.graph")
types = product("langgraph.types")
messages = product("langchain_core.messages")
outputs = product("langchain_core.outputs")
runnables = product("langchain_core.runnables")
prompts = product("langchain_core.prompts")
models = product("langchain_core.language_models")
create_agent = product("langchain.agents").create_agent
make_tool = product("langchain_core.tools").tool
InMemorySaver = product("langgraph.checkpoint.memory").InMemorySaver

ADAPTERS = [anthropic_sdk, adapter]

needs_contexts_of_tasks = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="the product carries no context into its tasks"
)

pytestmark = pytest.mark.filterwarnings("ignore")


class ScriptedMethods:
    """A model that gives the results, or raises the errors, of the test."""

    results: Any

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, said: Any, *args: Any, **kwargs: Any) -> Any:
        result = self.results.pop(0)
        if isinstance(result, BaseException):
            raise result
        return result


class StreamingMethods(ScriptedMethods):
    """A model that streams its pieces, and may fail in between."""

    def _stream(self, said: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        for piece in self.results:
            if isinstance(piece, BaseException):
                raise piece
            yield outputs.ChatGenerationChunk(message=messages.AIMessageChunk(piece))


class SlowMethods(ScriptedMethods):
    """A model that never answers."""

    async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
        await asyncio.Event().wait()


class CompletingMethods:
    """A model that completes texts."""

    @property
    def _llm_type(self) -> str:
        return "completing"

    def _call(self, prompt: str, *args: Any, **kwargs: Any) -> str:
        return f"{prompt}!"


def make_model(methods: type, base: Any, **fields: Any) -> Any:
    """Return a class of models with methods of ours."""
    make = product("pydantic").create_model
    return make("Model", __base__=(methods, base), **fields)


Scripted = make_model(ScriptedMethods, models.BaseChatModel, results=(list, []))
Streaming = make_model(StreamingMethods, models.BaseChatModel, results=(list, []))
Slow = make_model(SlowMethods, models.BaseChatModel, results=(list, []))
Completing = make_model(CompletingMethods, models.LLM)


def result(*answers: Any, **more: Any) -> Any:
    """Return the result of a chat model."""
    found = [outputs.ChatGeneration(message=answer) for answer in answers]
    return outputs.ChatResult(generations=found, **more)


def ai(text: str = "hi", **more: Any) -> Any:
    return messages.AIMessage(text, **more)


def ask(answer: Any) -> Any:
    return Scripted(results=[answer]).invoke("hello")


# ---- Answers -------------------------------------------------------------------------------------


def test_an_answer_of_nothing_ends_the_call(run: Span) -> None:
    with pytest.raises(IndexError):
        ask(result())
    assert only_call(run.trace).status == "completed"


def test_each_of_several_answers_is_kept(run: Span) -> None:
    ask(result(ai("one"), ai("two")))
    said = [one["content"] for one in only_call(run.trace).output_data["messages"]]
    assert said == ["one", "two"]


def test_tokens_that_stand_beside_the_answer_are_counted(run: Span) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    ask(result(ai(), llm_output={"token_usage": usage, "model_name": "old"}))
    facts = only_call(run.trace).metadata
    assert facts["gen_ai.usage.input_tokens"] == 7
    assert facts["gen_ai.usage.output_tokens"] == 3
    assert facts["gen_ai.response.model"] == "old"


def test_thoughts_refusals_and_broken_calls_are_kept(run: Span) -> None:
    bad = {"name": "t", "args": "{", "id": "c1", "error": "no JSON", "type": "invalid_tool_call"}
    more = {"reasoning_content": "hm", "refusal": "No."}
    ask(result(ai(additional_kwargs=more, invalid_tool_calls=[bad])))
    said = only_call(run.trace).output_data["message"]
    assert (said["reasoning"], said["refusal"]) == ("hm", "No.")
    (call,) = said["invalid_tool_calls"]
    assert (call["name"], call["args"], call["error"]) == ("t", "{", "no JSON")


@pytest.mark.parametrize(
    ("details", "written", "cached"),
    [
        ({"ephemeral_5m_input_tokens": 400, "ephemeral_1h_input_tokens": 600}, 1_000, None),
        (
            {
                "ephemeral_5m_input_tokens": 400,
                "ephemeral_1h_input_tokens": 600,
                "cache_creation": 0,
                "cache_read": 5,
            },
            1_000,
            5,
        ),
        ({"flex_cache_read": 600, "flex": 400}, None, 600),
        ({"cache_creation": 32, "cache_read": 0}, 32, 0),
    ],
)
def test_cached_tokens_are_counted_whatever_they_are_called(
    run: Span, details: dict[str, int], written: int | None, cached: int | None
) -> None:
    usage = {"input_tokens": 2_000, "output_tokens": 5, "total_tokens": 2_005}
    ask(result(ai(usage_metadata={**usage, "input_token_details": details})))
    facts = only_call(run.trace).metadata
    assert facts.get("gen_ai.usage.cache_creation.input_tokens") == written
    assert facts.get("gen_ai.usage.cache_read.input_tokens") == cached


def test_the_counts_of_an_sdk_are_not_lost_on_the_way(run: Span) -> None:
    usage = {
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_creation_input_tokens": 32,
        "cache_creation": {"ephemeral_5m_input_tokens": 32, "ephemeral_1h_input_tokens": 0},
    }
    model = product("langchain_anthropic").ChatAnthropic(model="m", api_key="test")
    answer = message({"type": "text", "text": "hi"}, usage=usage)
    with sdk_client("anthropic", answer) as client:
        vars(model)["_client"] = client
        model.invoke("hello")
    facts = only_call(run.trace).metadata
    assert facts["gen_ai.usage.cache_creation.input_tokens"] == 32
    assert facts["gen_ai.usage.input_tokens"] == 42
    assert facts["request_id"] == "req_1"


# ---- Batches -------------------------------------------------------------------------------------


def prompts_of(words: str) -> list[Any]:
    return [[messages.HumanMessage(word)] for word in words]


def test_the_calls_of_a_batch_stand_side_by_side(run: Span) -> None:
    model = Scripted(results=[result(ai(word)) for word in "ABC"])
    model.generate(prompts_of("abc"))
    assert tree(run.trace) == ["llm_call chat"] * 3
    calls = nodes_of_type(run.trace, "llm_call")
    assert [call.output_data["message"]["content"] for call in calls] == ["A", "B", "C"]


def test_so_do_those_of_an_asynchronous_batch(run: Span) -> None:
    model = Scripted(results=[result(ai(word)) for word in "ABC"])
    asyncio.run(model.agenerate(prompts_of("abc")))
    assert tree(run.trace) == ["llm_call chat"] * 3


def test_so_do_those_of_a_model_that_completes_texts(run: Span) -> None:
    Completing().batch(["a", "b", "c"])
    assert tree(run.trace) == ["llm_call chat"] * 3
    texts = [call.output_data["text"] for call in nodes_of_type(run.trace, "llm_call")]
    assert texts == ["a!", "b!", "c!"]


def test_the_one_of_a_batch_that_fails_is_the_only_failure(run: Span) -> None:
    model = Scripted(results=[result(ai("A")), ValueError("bad"), result(ai("C"))])
    with pytest.raises(ValueError, match="bad"):
        model.generate(prompts_of("abc"))
    assert tree(run.trace)[1] == "llm_call chat (failed)"
    assert {node.depth for node in nodes_of_type(run.trace, "llm_call")} == {1}


def test_the_requests_of_a_batch_belong_to_their_calls(run: Span) -> None:
    model = product("langchain_anthropic").ChatAnthropic(model="m", api_key="test")
    answers = [message({"type": "text", "text": text}, id=f"id_{text}") for text in "AB"]
    with sdk_client("anthropic", *answers) as client:
        vars(model)["_client"] = client
        model.generate(prompts_of("ab"))
    calls = nodes_of_type(run.trace, "llm_call")
    assert tree(run.trace) == ["llm_call chat m"] * 2
    assert [call.metadata["gen_ai.response.id"] for call in calls] == ["id_A", "id_B"]
    assert [call.output_data["message"]["content"] for call in calls] == ["A", "B"]
    assert all(call.metadata["request_id"] for call in calls)


# ---- Streams that do not come to their end -------------------------------------------------------

PIECES = ["Hel", "lo ", "there"]


def test_a_stream_that_is_left_keeps_its_text(run: Span) -> None:
    for _ in Streaming(results=PIECES).stream("hello"):
        break
    call = only_call(run.trace)
    assert call.output_data["message"]["content"] == "Hel"
    assert call.status == "completed"


def test_a_stream_that_fails_keeps_its_text(run: Span) -> None:
    with pytest.raises(ValueError, match="broken"):
        list(Streaming(results=["Hel", "lo", ValueError("broken")]).stream("hello"))
    call = only_call(run.trace)
    assert (call.status, call.output_data["message"]["content"]) == ("failed", "Hello")


def leave(stream: Any, is_closed: bool) -> None:
    async def main() -> None:
        pieces = stream()
        async for _ in pieces:
            break
        if is_closed:
            await pieces.aclose()

    asyncio.run(main())


@needs_contexts_of_tasks
@pytest.mark.parametrize("is_closed", [True, False])
def test_an_asynchronous_stream_that_is_left_ends_as_a_plain_one_does(
    run: Span, is_closed: bool
) -> None:
    leave(lambda: Streaming(results=PIECES).astream("hello"), is_closed)
    call = only_call(run.trace)
    assert call.status == "completed"
    assert call.output_data["message"]["content"].startswith("Hel")


@needs_contexts_of_tasks
@pytest.mark.parametrize("is_closed", [True, False])
def test_so_does_an_agent_whose_stream_is_left(run: Span, is_closed: bool) -> None:
    agent = create_agent(Streaming(results=PIECES), [], name="forecaster")
    said = {"messages": [{"role": "user", "content": "hello"}]}
    leave(lambda: agent.astream(said, stream_mode="messages"), is_closed)
    ends = {node.status for node in run.trace.nodes.values() if node.parent_id}
    assert ends == {"completed"}


@needs_contexts_of_tasks
def test_a_cancelled_step_of_a_graph_that_goes_on_is_cancelled(run: Span) -> None:
    async def impatient(state: State) -> dict[str, Any]:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(Slow().ainvoke("hello"), 0.01)
        return {"found": [1]}

    asyncio.run(graph_of(impatient=impatient).compile().ainvoke({"found": []}))
    assert only_call(run.trace).status == "cancelled"
    assert [line for line in tree(run.trace) if "(" in line] == ["    llm_call chat (cancelled)"]


# ---- What kind of step a run is ------------------------------------------------------------------


class State(TypedDict):
    """What the graphs below work on."""

    found: Annotated[list[Any], operator.add]


def graph_of(**nodes: Any) -> Any:
    """Return a graph of one node after another."""
    graph = langgraph.StateGraph(State)
    last = langgraph.START
    for name, node in nodes.items():
        graph.add_node(name, node)
        graph.add_edge(last, name)
        last = name
    return graph


def agent(name: str = "forecaster") -> Any:
    model = Scripted(results=[result(ai()) for _ in range(9)])
    return create_agent(model, [], name=name)


SAID = {"messages": [{"role": "user", "content": "hello"}]}


def test_an_agent_that_a_node_calls_is_an_agent(run: Span) -> None:
    def call(state: State) -> dict[str, Any]:
        return {"found": [agent().invoke(SAID)["messages"][-1].content]}

    graph_of(call=call).compile(name="outer").invoke({"found": []})
    assert tree(run.trace)[:3] == ["sub_agent outer", "  custom call", "    sub_agent forecaster"]


def test_an_agent_that_is_a_node_is_an_agent(run: Span) -> None:
    graph = langgraph.StateGraph(langgraph.MessagesState)
    graph.add_node("forecaster", agent())
    graph.add_edge(langgraph.START, "forecaster")
    graph.compile(name="outer").invoke(SAID)
    assert tree(run.trace)[:2] == ["sub_agent outer", "  sub_agent forecaster"]


def test_functions_and_sequences_by_themselves_are_no_agents(run: Span) -> None:
    def add_one(number: int) -> int:
        return number + 1

    step = runnables.RunnableLambda(add_one)
    step.batch([1, 2])
    (step | step).invoke(1)
    assert {node.node_type for node in run.trace.nodes.values() if node.parent_id} == {"custom"}


def plumbing(run: Span) -> set[str]:
    """Return the names of the steps that only pass on what they are given."""
    nodes = run.trace.nodes.values()
    return {node.name for node in nodes if node.metadata.get("logtracer.plumbing")}


def test_what_only_passes_things_on_is_plumbing(run: Span) -> None:
    def shout(said: Any) -> str:
        return str(said.content).upper()

    prompt = prompts.ChatPromptTemplate.from_messages([("user", "{question}")])
    chain = prompt | Scripted(results=[result(ai())]) | runnables.RunnableLambda(shout)
    assert chain.invoke({"question": "hello"}) == "HI"
    assert plumbing(run) == {"RunnableSequence", "ChatPromptTemplate"}


def test_the_nodes_of_a_users_graph_are_no_plumbing_but_an_agents_are(run: Span) -> None:
    def call(state: State) -> dict[str, Any]:
        agent().invoke(SAID)
        return {"found": []}

    graph_of(call=call).compile(name="outer").invoke({"found": []})
    assert plumbing(run) == {"model"}


# ---- Lanes ---------------------------------------------------------------------------------------


@needs_contexts_of_tasks
def test_a_graph_that_runs_one_thing_after_another_has_one_lane(run: Span) -> None:
    def step(state: State) -> dict[str, Any]:
        Scripted(results=[result(ai())]).invoke("hello")
        return {"found": []}

    compiled = graph_of(first=step, second=step, third=step).compile()
    compiled.invoke({"found": []})
    for _ in compiled.stream({"found": []}):
        pass

    async def main() -> None:
        with run.node("inside the loop"):
            await compiled.ainvoke({"found": []})

    asyncio.run(main())
    branched = [edge.target_id for edge in run.trace.edges if edge.edge_type == "branched_from"]
    assert {run.trace.nodes[node_id].name for node_id in branched} <= {"inside the loop"}


def test_branches_that_run_at_once_still_have_lanes(run: Span) -> None:
    async def work(state: State) -> dict[str, Any]:
        await asyncio.sleep(0.01)
        return {"found": [1]}

    graph = graph_of(start=lambda state: {"found": []})
    graph.add_node("work", work)
    graph.add_conditional_edges("start", lambda state: [types.Send("work", state)] * 2)
    asyncio.run(graph.compile().ainvoke({"found": []}))
    lanes = [node.metadata.get("lane") for node in run.trace.nodes.values() if node.name == "work"]
    assert len(set(lanes)) == 2


def test_where_a_graph_sends_its_work_is_the_same_in_each_run(run: Span) -> None:
    graph = graph_of(start=lambda state: {"found": []})
    graph.add_node("work", lambda state: {"found": [1]})
    graph.add_conditional_edges("start", lambda state: [types.Send("work", {"found": [1]})])
    graph.compile().invoke({"found": []})
    assert "0x" not in str([node.output_data for node in run.trace.nodes.values()])
    assert "NON-SERIALIZABLE" not in str([node.output_data for node in run.trace.nodes.values()])


# ---- Waiting for a person --------------------------------------------------------------------


def ask_in_a_span(state: State) -> dict[str, Any]:
    span = current_span()
    assert span is not None
    with span.node("ask", "human_input"):
        return {"found": [types.interrupt("go on?")]}


@trace_node("ask")
def ask_decorated(state: State) -> dict[str, Any]:
    return {"found": [types.interrupt("go on?")]}


@pytest.mark.parametrize("node", [ask_in_a_span, ask_decorated])
def test_a_step_that_waits_for_a_person_is_paused(run: Span, node: Any) -> None:
    graph = graph_of(approve=node).compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "thread-1"}}
    graph.invoke({"found": []}, config)
    assert [node.status for node in run.trace.nodes.values()] == ["paused"] * 4
    asked = next(node for node in run.trace.nodes.values() if node.name == "ask")
    assert asked.metadata["logtracer.paused_reason"] == "go on?"
    graph.invoke(types.Command(resume="yes"), config)
    done = [node for node in run.trace.nodes.values() if node.status == "completed"]
    assert len(done) == 3
    assert [edge.label for edge in run.trace.edges].count("resumed") == 1
