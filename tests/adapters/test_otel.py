"""OpenTelemetry spans as nodes: pydantic-ai, MCP, Google ADK, and Anthropic's own spans."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from adapters.conformance import CancellationConformance, Conformance, ExampleConformance
from adapters.products import product
from adapters.trees import nodes_of_type, tree
from adapters.weather import look_up
from logtracer import Span, Tracer, current_span
from logtracer_extras.adapters import anthropic as anthropic_sdk
from logtracer_extras.adapters import langchain
from logtracer_extras.adapters import openai as sdk
from logtracer_extras.adapters import otel as adapter

api = product("opentelemetry.trace")
pydantic_ai = product("pydantic_ai")
models = product("pydantic_ai.models.openai")

ADAPTERS = [sdk, anthropic_sdk, adapter]

# The product and its clients warn, and leave sockets to the garbage collector.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("model_apis")]


tracer_from_before = api.get_tracer("made before there was a provider")


async def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return look_up(city)


def make_agent(*tools: Any) -> Any:
    pydantic_ai.Agent.instrument_all()
    return pydantic_ai.Agent(models.OpenAIChatModel("gpt-4o"), name="forecaster", tools=tools)


class TestPydanticAI(Conformance, ExampleConformance, CancellationConformance):
    adapter = adapter
    example = "pydantic_ai_agent"
    patched = [
        "opentelemetry.trace:ProxyTracer.start_span",
        "opentelemetry.trace:_set_tracer_provider",
        "opentelemetry.context.contextvars_context:ContextVarsRuntimeContext.attach",
    ]

    def ask(self, question: str) -> str:
        return str(make_agent().run_sync(question).output)

    async def astream(self, question: str) -> AsyncIterator[str]:
        async with make_agent().run_stream(question) as result:
            async for text in result.stream_text(delta=True, debounce_by=None):
                yield text


class TestMCP(ExampleConformance):
    example = "mcp_tools"


class TestGoogleADK(ExampleConformance):
    example = "google_adk_agent"


def test_an_agent_is_a_tree_and_each_call_is_one_node(run: Span) -> None:
    make_agent(get_weather).run_sync("weather?")
    assert current_span() is run
    lines = tree(run.trace)
    assert lines[0] == "sub_agent forecaster"
    assert [line.strip() for line in lines].count("llm_call chat gpt-4o") == 2
    assert "tool_call get_weather" in [line.strip() for line in lines]
    look_up_node = next(node for node in run.trace.nodes.values() if node.name == "look_up")
    assert run.trace.nodes[str(look_up_node.parent_id)].node_type == "tool_call"
    call = nodes_of_type(run.trace, "llm_call")[0]
    assert call.metadata["request_id"]  # the SDK's adapter has seen the same call
    assert call.metadata["gen_ai.usage.input_tokens"] == 50


def test_a_span_of_an_sdk_inside_its_recorded_request_is_no_second_node(run: Span) -> None:
    anthropic = product("anthropic")
    with anthropic.Anthropic() as client:
        messages = [{"role": "user", "content": "hello"}]
        client.messages.create(model="claude-test", max_tokens=9, messages=messages)
    assert [node.name for node in nodes_of_type(run.trace, "llm_call")] == ["chat claude-test"]


def test_a_span_of_an_sdk_inside_a_frameworks_call_is_no_second_node(
    tracer: Tracer, model_apis: str
) -> None:
    model = product("pydantic_ai.models.anthropic").AnthropicModel("claude-test")
    pydantic_ai.Agent.instrument_all()
    with adapter.install(tracer), tracer.trace("run") as root:  # without the adapter of the SDK
        pydantic_ai.Agent(model, name="forecaster").run_sync("hello")
    assert tree(root.trace) == ["sub_agent forecaster", "  llm_call chat claude-test"]


def test_with_two_adapters_and_spans_around_it_each_call_is_one_node(run: Span) -> None:
    def ask_within(city: str) -> str:
        """Return the weather of a city."""
        with product("openai").OpenAI() as client:
            client.responses.create(model="own", input="hello")
        return "21"

    model = product("langchain_openai").ChatOpenAI(model="gpt-4o", timeout=59)
    tool = product("langchain_core.tools").tool("get_weather")(ask_within)
    agent = product("langchain.agents").create_agent(model, [tool])
    with langchain.install(), api.get_tracer("test").start_as_current_span("step"):
        agent.invoke({"messages": [{"role": "user", "content": "weather?"}]})
    calls = [line for line in tree(run.trace) if "llm_call" in line]
    assert calls == [
        f"{'  ' * 3}llm_call chat gpt-4o",
        f"{'  ' * 4}llm_call chat own",
        f"{'  ' * 3}llm_call chat gpt-4o",
    ]


def test_a_span_carries_the_ids_of_its_node(run: Span) -> None:
    with api.get_tracer("test").start_as_current_span("step", attributes={"size": 3}) as span:
        node = current_span()
        assert node is not None
        assert f"{span.get_span_context().span_id:016x}" == node.id
        assert f"{span.get_span_context().trace_id:032x}" == run.trace.trace_id
    assert node.node_record.metadata["size"] == 3


def test_an_exception_fails_the_node(run: Span) -> None:
    with pytest.raises(KeyError), api.get_tracer("test").start_as_current_span("step"):
        raise KeyError("gone")
    (node,) = run.trace.failed_nodes
    assert (node.name, node.error_type) == ("step", "KeyError")


@contextmanager
def step_of_a_product() -> Iterator[None]:
    with tracer_from_before.start_as_current_span("execute_tool look up"):
        yield


def test_a_tracer_from_before_the_provider_opens_spans_that_are_current(run: Span) -> None:
    with step_of_a_product():
        look_up("Paris")
    assert tree(run.trace) == ["tool_call look up", "  custom look_up"]


def test_a_span_that_only_opentelemetry_has_current_is_a_parent_at_any_depth(run: Span) -> None:
    start = api.get_tracer("test").start_span
    with ExitStack() as stack:
        for name in ("outer", "inner"):
            stack.enter_context(api.use_span(start(name), end_on_exit=True))
        start("innermost").end()
    assert tree(run.trace) == ["custom outer", "  custom inner", "    custom innermost"]


def test_the_tools_of_an_mcp_server_are_nodes_of_its_caller(run: Span) -> None:
    server = product("mcp.server").MCPServer("weather")
    server.add_tool(get_weather)

    async def main() -> None:
        async with product("mcp.client").Client(server) as client:
            await client.call_tool("get_weather", {"city": "Paris"})
            await client.call_tool("get_weather", {"city": "Atlantis"})

    asyncio.run(main())
    assert tree(run.trace) == [
        "custom server/discover",
        "tool_call get_weather",
        "  custom look_up",
        "custom tools/list",  # the client wants to know what the tool returns
        "tool_call get_weather (failed)",
        "  custom look_up (failed)",
    ]
    assert run.trace.failed_nodes[0].error == "tool_error"


async def ask_google(question: str, *tools: Any) -> str:
    """Ask an agent of Google ADK."""
    types = product("google.genai.types")
    make = product("google.adk.agents").Agent
    agent = make(name="forecaster", model="gemini-2.5-flash", tools=list(tools))
    runner = product("google.adk.runners").InMemoryRunner(agent=agent, app_name="weather")
    session = await runner.session_service.create_session(app_name="weather", user_id="user")
    message = types.Content(role="user", parts=[types.Part(text=question)])
    names = {"user_id": "user", "session_id": session.id}
    events = [event async for event in runner.run_async(new_message=message, **names)]
    return str(events[-1].content.parts[0].text)


def test_an_agent_of_google_adk_is_a_tree(run: Span) -> None:
    assert asyncio.run(ask_google("two cities", get_weather)) == "Paris 21, Rome 21."
    assert tree(run.trace) == [
        "sub_agent invoke_workflow forecaster",
        "  sub_agent forecaster",
        "    llm_call generate_content gemini-2.5-flash",
        "    tool_call get_weather",
        "      custom look_up",
        "    tool_call get_weather",
        "      custom look_up",
        "    llm_call generate_content gemini-2.5-flash",
    ]


def test_google_adk_tells_messages_and_usage_when_asked(
    run: Span, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    asyncio.run(ask_google("weather?", get_weather))
    (tool,) = nodes_of_type(run.trace, "tool_call")
    assert (tool.input_data, tool.output_data) == ({"city": "Paris"}, {"result": "21 in Paris"})
    call = nodes_of_type(run.trace, "llm_call")[0]
    assert call.metadata["gen_ai.usage.input_tokens"] == 50
    asked = [said for said in call.input_data["messages"] if said["role"] == "user"]
    assert asked == [{"role": "user", "content": "weather?"}]
    (called,) = call.output_data["message"]["tool_calls"]
    assert called["function"] == {"name": "get_weather", "arguments": {"city": "Paris"}}


def test_tokens_of_google_adk_count_once_in_its_older_format(
    run: Span, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADK_TELEMETRY_SCHEMA_VERSION_OPT_IN", "1")
    asyncio.run(ask_google("weather?", get_weather))
    tokens = "gen_ai.usage.input_tokens"
    told = [node for node in run.trace.nodes.values() if tokens in node.metadata]
    assert [node.node_type for node in told] == ["llm_call"] * 2
    assert [node.metadata[tokens] for node in told] == [50, 80]


def test_tokens_beyond_those_of_a_call_below_are_kept(run: Span) -> None:
    tokens = "gen_ai.usage.input_tokens"
    with api.get_tracer("test").start_as_current_span("step", attributes={tokens: 70}):
        facts = {"gen_ai.operation.name": "chat", tokens: 50}
        with api.get_tracer("test").start_as_current_span("chat m", attributes=facts):
            pass
    _, step, call = run.trace.nodes.values()
    assert (step.metadata[tokens], call.metadata[tokens]) == (70, 50)


def test_a_call_that_tells_no_tokens_takes_none_from_the_step_above(run: Span) -> None:
    cached = "gen_ai.usage.cache_read.input_tokens"
    with api.get_tracer("test").start_as_current_span("step", attributes={cached: 7}):
        facts = {"gen_ai.operation.name": "chat"}
        with api.get_tracer("test").start_as_current_span("chat m", attributes=facts):
            pass
    assert list(run.trace.nodes.values())[1].metadata[cached] == 7


def test_a_cancelled_agent_of_google_adk_is_cancelled_with_all_above_it(run: Span) -> None:
    started = asyncio.Event()

    async def get_weather(city: str) -> None:
        """Return the weather of a city."""
        started.set()
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(ask_google("weather?", get_weather))
        await started.wait()
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())
    ends = [node.status for node in run.trace.nodes.values() if node.parent_id]
    assert ends == ["cancelled", "cancelled", "completed", "cancelled"]
