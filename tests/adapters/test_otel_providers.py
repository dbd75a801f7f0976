"""The bridge beside a tracer provider of the program's own, and what its spans tell."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from adapters.products import product
from adapters.trees import begin_trace, nodes_of_type, tree
from adapters.wire import ask_chat, completion, sdk_client
from logtracer import EdgeType, FileStore, Span, Tracer, current_span, load_trace, trace_node
from logtracer_extras.adapters import openai as sdk
from logtracer_extras.adapters import otel as adapter

api = product("opentelemetry.trace")
context_api = product("opentelemetry.context")
sdk_trace = product("opentelemetry.sdk.trace")
export = product("opentelemetry.sdk.trace.export")
in_memory = product("opentelemetry.sdk.trace.export.in_memory_span_exporter")

SECOND = 1_000_000_000


@pytest.fixture(autouse=True)
def no_provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin without a provider, and uninstall at the end."""
    once = product("opentelemetry.util._once").Once()
    monkeypatch.setattr(api, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(api, "_TRACER_PROVIDER_SET_ONCE", once)
    yield
    adapter.uninstall()


class Exporting:
    """A program's own provider and what it has exported."""

    def __init__(self) -> None:
        self.provider = sdk_trace.TracerProvider()
        self.exporter = in_memory.InMemorySpanExporter()
        self.provider.add_span_processor(export.SimpleSpanProcessor(self.exporter))

    def names(self) -> list[str]:
        return [span.name for span in self.exporter.get_finished_spans()]


@pytest.fixture(params=["no provider", "before", "after"])
def run(request: pytest.FixtureRequest, tracer: Tracer) -> Iterator[Span]:
    """Record a trace with the adapter, whoever makes the spans."""
    program = Exporting()
    if request.param == "before":
        api.set_tracer_provider(program.provider)
    adapter.install(tracer)
    if request.param == "after":
        api.set_tracer_provider(program.provider)
    with ExitStack() as stack:
        yield begin_trace(stack, tracer)


def start(name: str, **given: Any) -> Any:
    return api.get_tracer("test").start_span(name, **given)


def start_current(name: str, **given: Any) -> Any:
    return api.get_tracer("test").start_as_current_span(name, **given)


def only(run: Span) -> Any:
    """Return the one node below the root."""
    (node,) = [node for node in run.trace.nodes.values() if node.parent_id]
    return node


@trace_node("look_up")
def look_up() -> None:
    """Stand for code of the user's that records itself."""


@pytest.mark.parametrize("order", ["before", "after"])
def test_the_programs_own_export_gets_what_it_would_get(tracer: Tracer, order: str) -> None:
    program = Exporting()
    if order == "before":
        api.set_tracer_provider(program.provider)
    with adapter.install(tracer):
        if order == "after":
            api.set_tracer_provider(program.provider)
        with tracer.trace("run") as root, start_current("step"):
            pass
    assert api.get_tracer_provider() is program.provider
    assert program.names() == ["step"]
    assert tree(root.trace) == ["custom step"]


def test_installing_takes_nobodys_place(tracer: Tracer) -> None:
    before = api.get_tracer_provider()
    with adapter.install(tracer):
        assert api.get_tracer_provider() is before


def test_uninstalling_leaves_the_provider_as_it_was(tracer: Tracer) -> None:
    program = Exporting()
    before = program.provider._active_span_processor._span_processors
    api.set_tracer_provider(program.provider)
    with adapter.install(tracer):
        assert program.provider._active_span_processor._span_processors != before
    assert program.provider._active_span_processor._span_processors == before


def test_a_provider_that_takes_no_processors_is_left_alone(tracer: Tracer) -> None:
    api.set_tracer_provider(api.NoOpTracerProvider())
    with adapter.install(tracer), tracer.trace("run") as root, start_current("step"):
        pass
    assert tree(root.trace) == []


def test_outside_any_trace_spans_record_nothing(tracer: Tracer) -> None:
    with adapter.install(tracer), start_current("step") as span:
        assert not span.is_recording()
    assert tracer.storage.list_traces() == []


@pytest.mark.filterwarnings("ignore")  # some of them are deprecated
def test_a_span_has_every_attribute_that_an_sdks_has(run: Span) -> None:
    given = {"attributes": {"size": 3}, "kind": api.SpanKind.CLIENT, "start_time": SECOND}
    with start_current("outer") as outer, start_current("step", **given) as span:
        span.add_event("found", {"count": 2})
        known = [name for name in dir(sdk_trace.Span) if not name.startswith("_")]
        for name in known:
            getattr(span, name)
        assert dict(span.attributes) == {"size": 3}
        assert (span.name, span.kind, span.start_time) == ("step", api.SpanKind.CLIENT, SECOND)
        assert span.parent.span_id == outer.get_span_context().span_id
        assert span.status.status_code is api.StatusCode.UNSET
        assert span.events[0].name == "found"
        assert span.instrumentation_scope.name == "test"
        assert span.end_time is None
        assert '"step"' in span.to_json()
    assert isinstance(span.end_time, int)
    assert not span.is_recording()


def test_times_that_are_given_are_the_times_of_the_node(run: Span) -> None:
    span = start("step", start_time=1_000 * SECOND)
    span.end(end_time=1_003 * SECOND)
    node = only(run)
    assert node.start_time.timestamp() == 1_000
    assert node.duration_ms == 3_000


def test_a_new_name_is_the_name_of_the_node(run: Span) -> None:
    with start_current("step") as span:
        span.update_name("a better name")
    assert only(run).name == "a better name"


@pytest.mark.parametrize(
    ("name", "attributes", "expected"),
    [
        ("x", {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "t"}, "tool_call t"),
        ("x", {"openinference.span.kind": "LLM"}, "llm_call x"),
        ("x", {"openinference.span.kind": "AGENT", "agent.name": "a"}, "sub_agent a"),
        ("invoke_agent a", {}, "sub_agent a"),
        ("chat", {}, "llm_call chat"),
        ("chat gpt-4o", {}, "llm_call chat gpt-4o"),
        ("embeddings small", {}, "retrieval embeddings small"),
        ("chat with the customer", {}, "custom chat with the customer"),
    ],
)
def test_what_a_span_says_at_its_end_decides_its_type(
    run: Span, name: str, attributes: dict[str, Any], expected: str
) -> None:
    with start_current(name) as span:
        span.set_attributes(attributes)
    assert tree(run.trace) == [expected]


def test_a_call_that_is_named_as_one_is_one_node_with_the_sdks(
    run: Span, tracer: Tracer, model_apis: str
) -> None:
    said = [{"role": "user", "content": "hello"}]
    with sdk.install(tracer), product("openai").OpenAI() as client, start_current("chat") as span:
        client.chat.completions.create(model="gpt-4o", messages=said)
        span.set_attributes({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 0})
    assert tree(run.trace) == ["llm_call chat"]
    assert only(run).metadata["gen_ai.usage.input_tokens"] > 0  # what the SDK told stands


def test_a_call_that_nobody_makes_current_is_one_node_with_the_sdks(
    run: Span, tracer: Tracer
) -> None:
    asked = {"gen_ai.operation.name": "chat"}
    with sdk.install(tracer), sdk_client("openai", completion({"content": "hi"})) as client:
        span = start("openai.chat", kind=api.SpanKind.CLIENT, attributes=asked)
        ask_chat(client)
        start("other").end()
        span.end()
    assert tree(run.trace) == ["llm_call openai.chat", "custom other"]
    (call,) = nodes_of_type(run.trace, "llm_call")
    assert call.output_data["message"]["content"] == "hi"


def test_a_span_that_turns_out_to_be_a_recorded_call_is_plumbing(
    run: Span, tracer: Tracer, model_apis: str
) -> None:
    said = [{"role": "user", "content": "hello"}]
    with sdk.install(tracer), product("openai").OpenAI() as client, start_current("done") as span:
        client.chat.completions.create(model="gpt-4o", messages=said)
        span.set_attributes({"openinference.span.kind": "LLM", "llm.token_count.prompt": 7})
    assert tree(run.trace) == ["custom done", "  llm_call chat gpt-4o"]
    outer = next(node for node in run.trace.nodes.values() if node.name == "done")
    assert outer.metadata["logtracer.plumbing"] is True
    assert "7" not in map(str, outer.metadata.values())


def test_the_users_own_steps_hang_below_a_span_that_use_span_makes_current(run: Span) -> None:
    span = start("execute_tool weather")
    with api.use_span(span, end_on_exit=True):
        inside = current_span()
        assert inside is not None
        assert inside.name == "weather"
        look_up()
    assert current_span() is run
    assert tree(run.trace) == ["tool_call weather", "  custom look_up"]


def test_the_users_own_steps_hang_below_a_span_that_is_attached(run: Span) -> None:
    with run.node("outer") as outer:
        span = start("execute_tool weather")
        token = context_api.attach(api.set_span_in_context(span))
        look_up()
        context_api.detach(token)
        assert current_span() is outer
        span.end()
    assert tree(run.trace) == ["custom outer", "  tool_call weather", "    custom look_up"]


def test_a_context_with_no_other_span_changes_nothing(run: Span) -> None:
    with start_current("step"), run.node("inner") as inner:
        token = context_api.attach(context_api.set_value("key", "value"))
        assert current_span() is inner
        context_api.detach(token)
        assert current_span() is inner


def test_a_span_that_many_tasks_use_at_once_leaves_each_to_itself(run: Span) -> None:
    async def work(span: Any, name: str) -> None:
        with run.node(name) as own:
            with api.use_span(span):
                await asyncio.sleep(0)
                look_up()
            assert current_span() is own

    async def main() -> None:
        span = start("execute_tool weather")
        await asyncio.gather(work(span, "first"), work(span, "second"))
        span.end()

    asyncio.run(main())
    assert current_span() is run
    assert tree(run.trace).count("  custom look_up") == 2


def test_a_generators_span_is_not_its_consumers(run: Span) -> None:
    def steps() -> Iterator[int]:
        with start_current("step"):
            yield 1
            look_up()
            yield 2

    for _ in steps():
        assert current_span() is run
    assert tree(run.trace) == ["custom step", "  custom look_up"]


def test_a_decorated_coroutine_is_a_step(run: Span) -> None:
    async def work() -> int:
        look_up()
        return 3

    assert asyncio.run(start_current("step")(work)()) == 3
    assert tree(run.trace) == ["custom step", "  custom look_up"]


def test_a_link_to_a_span_of_the_trace_is_an_edge(run: Span) -> None:
    first = start("first")
    first.end()
    second = start("second", links=[api.Link(first.get_span_context())])
    second.end()
    (edge,) = [edge for edge in run.trace.edges if edge.edge_type == EdgeType.DATA_FLOW]
    assert run.trace.nodes[edge.source_id].name == "first"
    assert run.trace.nodes[edge.target_id].name == "second"


def test_a_link_that_leads_elsewhere_is_noted(run: Span) -> None:
    context = api.SpanContext(0xABC, 0xDEF, True)
    start("step", links=[api.Link(context, {"why": "batch"})]).end()
    link = {"trace_id": "abc", "span_id": "def", "why": "batch"}
    assert only(run).metadata["otel.links"] == [link]


def test_events_are_notes(run: Span) -> None:
    with start_current("step") as span:
        span.add_event("found", {"count": 2})
    assert only(run).annotations == ["found: {'count': 2}"]


def test_messages_told_as_events_are_messages(run: Span) -> None:
    with start_current("chat m") as span:
        span.add_event("gen_ai.user.message", {"content": "hello"})
        span.add_event("gen_ai.choice", {"message": "hi", "finish_reason": "stop"})
    assert only(run).input_data["messages"] == [{"role": "user", "content": "hello"}]
    assert only(run).output_data["message"]["content"] == "hi"


def test_what_a_tool_was_given_and_returned_may_be_told_as_events(run: Span) -> None:
    with start_current("execute_tool weather") as span:
        span.add_event("gen_ai.tool.message", {"role": "tool", "content": '{"city": "Paris"}'})
        span.add_event("gen_ai.choice", {"message": '[{"text": "21"}]', "id": "c1"})
    node = only(run)
    assert node.input_data == {"city": "Paris"}
    assert node.output_data == {"value": [{"text": "21"}]}


def test_messages_told_as_one_event_are_messages(run: Span) -> None:
    with start_current("chat m") as span:
        said = '[{"role": "user", "parts": [{"type": "text", "content": "hello"}]}]'
        name = "gen_ai.client.inference.operation.details"
        span.add_event(name, {"gen_ai.input.messages": said})
    assert only(run).input_data["messages"] == [{"role": "user", "content": "hello"}]
    assert only(run).annotations == []


def test_messages_of_parts_are_chat_messages(run: Span) -> None:
    call = {"type": "tool_call", "id": "c1", "name": "get_weather", "arguments": {"city": "Paris"}}
    answer = {"type": "tool_call_response", "id": "c1", "response": "21"}
    given = [
        {"role": "user", "parts": [{"type": "text", "content": "weather?"}]},
        {"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}, call]},
        {"role": "tool", "parts": [answer]},
    ]
    picture = {"type": "uri", "uri": "https://example.org/a.png"}
    made = [{"role": "assistant", "parts": [{"type": "text", "content": "It is:"}, picture]}]
    with start_current("chat m") as span:
        span.set_attribute("gen_ai.input.messages", json.dumps(given))
        span.set_attribute("gen_ai.output.messages", json.dumps(made))
    asked, called, answered = only(run).input_data["messages"]
    assert asked == {"role": "user", "content": "weather?"}
    assert called["reasoning"] == "hm"
    assert called["tool_calls"][0]["function"]["name"] == "get_weather"
    assert answered == {"role": "tool", "tool_call_id": "c1", "content": "21"}
    assert only(run).output_data["message"]["content"] == made[0]["parts"]


def test_messages_of_bedrocks_parts_are_chat_messages(run: Span) -> None:
    use = {"toolUse": {"toolUseId": "c1", "name": "get_weather", "input": {"city": "Paris"}}}
    answer = {"toolResult": {"toolUseId": "c1", "content": [{"text": "21"}], "status": "success"}}
    with start_current("chat m") as span:
        span.add_event("gen_ai.user.message", {"content": json.dumps([{"text": "weather?"}])})
        said = json.dumps([{"text": "Let me see."}, use])
        span.add_event("gen_ai.assistant.message", {"content": said})
        span.add_event("gen_ai.user.message", {"content": json.dumps([answer])})
        told = {"message": json.dumps([{"text": "It is 21."}]), "finish_reason": "end_turn"}
        span.add_event("gen_ai.choice", told)
    asked, called, answered = only(run).input_data["messages"]
    assert asked == {"role": "user", "content": "weather?"}
    assert called["content"] == "Let me see."
    assert called["tool_calls"][0]["function"]["arguments"] == {"city": "Paris"}
    assert (answered["role"], answered["tool_call_id"]) == ("tool", "c1")
    assert only(run).output_data["message"] == {"role": "assistant", "content": "It is 21."}


@pytest.mark.parametrize("told", ['["stop"]', ["FinishReason.STOP"], "stop"])
def test_finish_reasons_are_a_list_of_words(run: Span, told: Any) -> None:
    with start_current("chat m") as span:
        span.set_attribute("gen_ai.response.finish_reasons", told)
    assert only(run).metadata["gen_ai.response.finish_reasons"] == ["stop"]


def test_an_exception_fails_the_node(run: Span) -> None:
    with pytest.raises(KeyError), start_current("step"):
        raise KeyError("gone")
    assert (only(run).status, only(run).error_type) == ("failed", "KeyError")


def test_an_exception_that_is_told_fails_the_node_by_its_name(run: Span) -> None:
    span = start("step")
    span.record_exception(KeyError("gone"))
    span.set_status(api.Status(api.StatusCode.ERROR))
    span.end()
    assert (only(run).error_type, only(run).error) == ("KeyError", "'gone'")


def test_a_cancelled_step_is_cancelled(run: Span) -> None:
    async def main() -> None:
        with start_current("step"):
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert only(run).status == "cancelled"


def test_a_handled_exception_is_no_failure(run: Span) -> None:
    with start_current("step") as span:
        span.record_exception(KeyError("gone"))
        span.set_status(api.Status(api.StatusCode.OK))
        span.set_status(api.Status(api.StatusCode.ERROR, "too late"))
    assert only(run).status == "completed"


def test_a_store_that_was_told_the_start_is_told_the_rest(tmp_path: Path) -> None:
    tracer = Tracer(storage=FileStore(tmp_path))
    with adapter.install(tracer), tracer.trace("run") as root:
        span = start("x", start_time=1_000 * SECOND)
        span.set_attribute("gen_ai.operation.name", "execute_tool")
        span.update_name("execute_tool weather")
        span.end(end_time=1_002 * SECOND)
    node = only(root)
    kept = load_trace(tmp_path, root.trace.trace_id).nodes[node.id]
    assert (kept.name, kept.node_type, kept.duration_ms) == ("weather", "tool_call", 2_000)
