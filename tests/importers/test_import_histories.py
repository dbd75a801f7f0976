"""What SDKs keep of a run, what batches answer and what coding agents log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from logtracer import Node, TraceGraph
from logtracer_extras.importers import import_file, import_traces

RUNS = Path(__file__).parents[1] / "data" / "runs"


def only(name: str) -> TraceGraph:
    (trace,) = import_file(RUNS / name)
    return trace


def read(*documents: Any) -> TraceGraph:
    (trace,) = import_traces("\n".join(map(json.dumps, documents)))
    return trace


def types_of(trace: TraceGraph) -> list[str]:
    return [str(node.node_type) for node in trace.nodes.values()][1:]


def of_type(trace: TraceGraph, node_type: str) -> list[Node]:
    return [node for node in trace.nodes.values() if node.node_type == node_type]


def total(trace: TraceGraph, name: str) -> Any:
    return sum(node.metadata.get(f"gen_ai.usage.{name}", 0) for node in trace.nodes.values())


# ---- Histories of SDKs ---------------------------------------------------------------------------


def test_messages_of_pydantic_ai_are_paired_by_id_and_tell_what_was_retried() -> None:
    trace = only("pydantic_ai_all_messages.json")
    done, retried = of_type(trace, "tool_call")

    assert types_of(trace) == (
        ["custom", "human_input", "llm_call", "tool_call", "tool_call", "llm_call"]
    )
    assert (done.error, retried.error) == (None, "no such file")
    assert (total(trace, "input_tokens"), total(trace, "output_tokens")) == (2135, 100)
    assert trace.metadata["session_id"] == "01a22d11-0540-757d-a631-0ee71e435bdc"


def test_a_session_of_adk_is_the_messages_of_its_agents() -> None:
    trace = only("adk.json")
    transfers = of_type(trace, "tool_call")

    assert len(of_type(trace, "llm_call")) == 6
    assert [tool.name for tool in transfers] == ["transfer_to_other_agent"] * 2
    assert transfers[0].output_data["target_agent_name"] == "research_assistant"
    assert trace.metadata["session_id"] == "683bcc98-7359-4b65-9cdb-307f85ae62c0"


def said(kind: str, source: str, content: Any, **usage: int) -> dict[str, Any]:
    times = {"created_at": "2026-01-01T00:00:00Z"}
    return {
        "type": kind,
        "source": source,
        "content": content,
        "models_usage": usage or None,
        **times,
    }


CALL = {"id": "c", "name": "look", "arguments": '{"at": 1}'}
ANSWER = {"call_id": "c", "name": "look", "content": "no", "is_error": True}
TASK = {
    "stop_reason": "done",
    "messages": [
        said("TextMessage", "user", "go"),
        said("ThoughtEvent", "helper", "let me look"),
        said("ToolCallRequestEvent", "helper", [CALL], prompt_tokens=9, completion_tokens=2),
        said("ToolCallExecutionEvent", "helper", [ANSWER]),
        said("ToolCallSummaryMessage", "helper", "no"),
    ],
}


def test_a_task_of_autogen_is_calls_tools_and_what_agents_said() -> None:
    trace = read(TASK)
    (call,), (tool,) = of_type(trace, "llm_call"), of_type(trace, "tool_call")

    assert types_of(trace) == ["human_input", "llm_call", "tool_call", "custom"]
    assert call.output_data["message"]["reasoning_content"] == "let me look"
    assert (tool.input_data, tool.error, total(trace, "input_tokens")) == ({"at": 1}, "no", 9)


def test_the_log_of_autogen_is_one_run_with_its_calls() -> None:
    asked = {"id": "c", "function": {"name": "look", "arguments": "{}"}}
    answer = {"message": {"role": "assistant", "tool_calls": [asked]}}
    sent = [{"role": "user", "content": "go"}]
    call = {"type": "LLMCall", "messages": sent, "response": {"model": "m", "choices": [answer]}}
    lines = [
        {"type": "Message", "kind": "MessageKind.PUBLISH"},
        {**call, "prompt_tokens": 9, "completion_tokens": 2, "agent_id": "helper"},
        {"type": "ToolCall", "tool_name": "look", "arguments": {}, "result": "seen"},
        {
            **call,
            "messages": [*sent, {"role": "assistant"}, {"role": "tool"}],
            "agent_id": "helper",
        },
    ]
    trace = read(*lines)

    assert types_of(trace) == ["human_input", "llm_call", "tool_call", "llm_call", "tool_call"]
    assert of_type(trace, "tool_call")[0].output_data == {"content": "seen"}
    assert trace.metadata["logtracer.import.kinds"] == {"Message": 1}


def test_steps_of_smolagents_are_calls_with_their_times_and_tools() -> None:
    timing = {"start_time": 1_700_000_000.0, "end_time": 1_700_000_002.0, "duration": 2.0}
    tool = {"id": "c", "type": "function", "function": {"name": "look", "arguments": {"at": 1}}}
    step = {
        "step_number": 1,
        "timing": timing,
        "token_usage": {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11},
        "model_output_message": {"role": "assistant", "content": "looking"},
        "tool_calls": [tool],
        "observations": None,
        "error": {"type": "AgentToolExecutionError", "message": "no"},
    }
    trace = read([{"system_prompt": "be short"}, {"task": "go", "task_images": None}, step])
    (call,), (used,) = of_type(trace, "llm_call"), of_type(trace, "tool_call")

    assert types_of(trace) == ["custom", "human_input", "llm_call", "tool_call"]
    assert (call.duration_ms, call.metadata["gen_ai.usage.input_tokens"]) == (2000.0, 9)
    assert (used.input_data, used.error_type) == ({"at": 1}, "AgentToolExecutionError")


# ---- Batches -------------------------------------------------------------------------------------


def test_each_line_of_a_batch_is_a_trace_with_its_answer() -> None:
    traces = import_file(RUNS / "openai_batch_output.jsonl")

    assert [trace.name for trace in traces] == ["request-0", "request-1", "request-2"]
    assert [total(trace, "input_tokens") for trace in traces] == [1083, 1084, 1085]


def test_a_request_of_a_batch_that_failed_tells_why() -> None:
    message = {"type": "message", "role": "assistant", "content": [], "usage": {"input_tokens": 4}}
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "too long"}}
    results = [{"type": "succeeded", "message": message}, {"type": "errored", "error": error}]
    lines = [{"custom_id": str(at), "result": result} for at, result in enumerate(results)]
    fine, failed = import_traces("\n".join(map(json.dumps, lines)))

    assert total(fine, "input_tokens") == 4
    root = failed.root_nodes[0]
    assert (root.error_type, root.error) == ("invalid_request_error", "too long")


# ---- Trackers ------------------------------------------------------------------------------------


def test_calls_of_weave_have_their_names_parents_and_exceptions() -> None:
    trace = only("weave.jsonl")

    assert [(level, node.name) for level, node in trace.walk()] == (
        [(0, "agent"), (1, "search"), (1, "search")]
    )
    (failed,) = trace.failed_nodes
    assert (failed.error_type, failed.error) == ("ValueError", "no such thing")
    assert "in search" in (failed.error_traceback or "")


def test_a_call_of_weave_with_a_model_has_its_tokens_and_cost_and_its_parent_has_not() -> None:
    usage = {"gpt": {"prompt_tokens": 9, "completion_tokens": 2}}
    costs = {"gpt": {"prompt_tokens_total_cost": 0.2, "completion_tokens_total_cost": 0.3}}
    shared = {"trace_id": "t", "summary": {"usage": usage, "weave": {"costs": costs}}}
    inner = {**shared, "id": "b", "parent_id": "a", "op_name": "weave:///e/p/op/openai.chat:d"}
    outer = {**shared, "id": "a", "parent_id": None, "op_name": "weave:///e/p/op/agent:d"}
    trace = read(outer, {**inner, "inputs": {"model": "gpt"}})

    assert (total(trace, "input_tokens"), total(trace, "cost")) == (9, 0.5)
    assert types_of(trace) == ["llm_call"]


def test_the_halves_of_a_call_that_weave_sends_are_one_call() -> None:
    times = {"started_at": "2026-01-01T00:00:00Z"}
    start = {"id": "a", "trace_id": "t", "op_name": "weave:///e/p/op/look:d", "inputs": {}, **times}
    end = {"id": "a", "ended_at": "2026-01-01T00:00:02Z", "output": 7, "summary": {}}
    batch = [{"mode": "start", "req": {"start": start}}, {"mode": "end", "req": {"end": end}}]

    for documents in ([{"start": start}, {"end": end}], [{"batch": batch}]):
        (call,) = read(*documents).nodes.values()
        assert (call.name, call.duration_ms, call.output_data) == ("look", 2000.0, {"value": 7})


def test_a_trace_of_opik_has_its_spans_and_who_it_is_of() -> None:
    trace = only("opik.json")
    (call,) = of_type(trace, "llm_call")

    assert types_of(trace) == ["tool_call", "tool_call", "llm_call"]
    assert (call.metadata["gen_ai.usage.cost"], total(trace, "input_tokens")) == (0.0012, 100)
    assert (trace.name, trace.metadata["session_id"]) == ("agent", "th-1")
    assert trace.failed_nodes[0].error_type == "ValueError"


def test_what_came_later_in_a_batch_of_langfuse_adds_to_its_step() -> None:
    def event(kind: str, **body: Any) -> dict[str, Any]:
        return {"id": "e", "type": kind, "timestamp": "2026-01-01T00:00:00Z", "body": body}

    times = {"startTime": "2026-01-01T00:00:00Z"}
    batch = [
        event("trace-create", id="t", name="run", sessionId="s"),
        event("span-create", id="a", traceId="t", name="agent", **times),
        event(
            "generation-create", id="g", traceId="t", parentObservationId="a", model="m", **times
        ),
        event("generation-update", id="g", traceId="t", usage={"input": 9, "output": 2}),
        event("span-update", id="a", endTime="2026-01-01T00:00:02Z"),
        event("score-create", id="s", traceId="t", name="good", value=1),
    ]
    for trace in (read({"batch": batch}), read({"batch": batch[:3]}, {"batch": batch[3:]})):
        assert [(level, node.name) for level, node in trace.walk()] == [(0, "agent"), (1, "")]
        assert (trace.root_nodes[0].duration_ms, total(trace, "input_tokens")) == (2000.0, 9)
        assert trace.metadata["langfuse.trace"]["scores"][0]["name"] == "good"


# ---- Logs ----------------------------------------------------------------------------------------


def record(at: int, name: str, **attributes: Any) -> dict[str, Any]:
    told = {"event.name": name.partition(".")[2] or name, "session.id": "s", **attributes}
    listed = [{"key": key, "value": {"stringValue": str(value)}} for key, value in told.items()]
    time = str(1_700_000_000_000_000_000 + at * 1_000_000_000)
    return {"timeUnixNano": time, "body": {"stringValue": name}, "attributes": listed}


def logs(*records: dict[str, Any]) -> dict[str, Any]:
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": list(records)}]}]}


CLAUDE = [
    record(1, "claude_code.user_prompt", prompt="go"),
    record(
        4,
        "claude_code.api_request",
        model="m",
        cost_usd="0.25",
        duration_ms="2000",
        input_tokens="5",
        output_tokens="7",
        cache_read_tokens="90",
        cache_creation_tokens="10",
    ),
    record(6, "claude_code.tool_result", tool_name="Bash", success="false", duration_ms="500"),
    record(7, "claude_code.tool_decision", tool_name="Bash", decision="accept"),
]


def test_events_of_claude_code_are_the_steps_of_its_session() -> None:
    trace = read(logs(*CLAUDE))
    (call,), (tool,) = of_type(trace, "llm_call"), of_type(trace, "tool_call")

    assert types_of(trace) == ["human_input", "llm_call", "tool_call"]
    assert (call.duration_ms, call.metadata["gen_ai.usage.input_tokens"]) == (2000.0, 105)
    assert (call.metadata["gen_ai.usage.cost"], tool.error) == (0.25, "the tool failed")
    assert trace.metadata["logtracer.import.kinds"] == {"tool_decision": 1}


def test_events_of_a_session_that_has_spans_are_not_counted_again() -> None:
    attributes = {"session.id": "s", "input_tokens": 5, "output_tokens": 7, "model": "m"}
    span = {"traceId": "ab" * 16, "spanId": "01" * 8, "name": "claude_code.llm_request"}
    spans = {"resourceSpans": [{"scopeSpans": [{"spans": [{**span, "attributes": attributes}]}]}]}
    trace = read(spans, logs(*CLAUDE))

    assert len(trace.nodes) == 1
    assert (total(trace, "input_tokens"), len(trace.root_nodes[0].metadata["otel.events"])) == (
        5,
        4,
    )


def test_an_event_of_a_request_is_said_of_the_span_of_that_request() -> None:
    attributes = {"session.id": "s", "request_id": "r", "input_tokens": 5, "model": "m"}
    shared = {"traceId": "ab" * 16, "attributes": attributes}
    other = {**shared, "spanId": "02" * 8, "name": "claude_code.interaction", "attributes": {}}
    call = {**shared, "spanId": "01" * 8, "name": "claude_code.llm_request"}
    spans = {"resourceSpans": [{"scopeSpans": [{"spans": [other, call]}]}]}
    told = record(1, "claude_code.api_request", request_id="r", cost_usd="0.25", input_tokens="5")
    trace = read(spans, logs(told))

    assert (len(trace.nodes), total(trace, "cost"), total(trace, "input_tokens")) == (2, 0.25, 5)
    assert len(of_type(trace, "llm_call")[0].metadata["otel.events"]) == 1


def test_events_of_gemini_cli_and_codex_are_calls_and_tools() -> None:
    gemini = [
        record(
            1,
            "gemini_cli.api_response",
            model="g",
            duration_ms=5,
            input_token_count=9,
            output_token_count=2,
            thoughts_token_count=3,
        ),
        record(2, "gemini_cli.tool_call", function_name="ls", function_args='{"at": 1}'),
    ]
    codex = [
        record(1, "codex.sse_event", **{"event.kind": "response.created"}),
        record(2, "codex.sse_event", **{"event.kind": "response.completed"}, input_token_count=9),
        record(3, "codex.tool_result", tool_name="shell", call_id="c", output="one"),
    ]

    assert total(read(logs(*gemini)), "output_tokens") == 5
    assert types_of(read(logs(*gemini))) == ["llm_call", "tool_call"]
    assert types_of(read(logs(*codex))) == ["llm_call", "tool_call"]


@pytest.mark.parametrize(
    "told",
    [
        [
            ("gen_ai.user.message", {"content": "hi"}),
            ("gen_ai.choice", {"message": {"content": "yes"}}),
        ],
        [
            (
                "gen_ai.client.inference.operation.details",
                {
                    "gen_ai.input.messages": '[{"role": "user", "content": "hi"}]',
                    "gen_ai.output.messages": '[{"role": "assistant", "content": "yes"}]',
                },
            )
        ],
    ],
    ids=["an event a message", "one event"],
)
def test_messages_that_are_log_records_are_their_spans(told: list[Any]) -> None:
    ids = {"traceId": "ab" * 16, "spanId": "01" * 8}
    span = {**ids, "name": "chat m", "attributes": {"gen_ai.operation.name": "chat"}}
    spans = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    records = [{**ids, "eventName": name, "attributes": said} for name, said in told]
    (call,) = read(spans, logs(*records)).nodes.values()

    assert call.input_data["messages"][0]["content"] == "hi"
    assert call.output_data["messages"][0]["content"] == "yes"


# ---- Words of the conventions --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "name", "node_type"),
    [
        ({"openinference.span.kind": "DECISION"}, "", "decision"),
        ({"gen_ai.operation.name": "plan"}, "plan a", "decision"),
        ({"gen_ai.operation.name": "search_memory"}, "", "retrieval"),
        ({"gen_ai.operation.name": "upsert_memory"}, "", "tool_call"),
        ({"tool_name": "Bash"}, "claude_code.tool", "tool_call"),
        ({}, "claude_code.tool.blocked_on_user", "human_input"),
        ({"model": "m"}, "claude_code.llm_request", "llm_call"),
    ],
)
def test_a_step_is_of_the_kind_that_its_words_say(
    attributes: dict[str, Any], name: str, node_type: str
) -> None:
    span = {"traceId": "ab" * 16, "parentSpanId": "02" * 8, "spanId": "01" * 8, "name": name}

    assert (
        next(iter(read({**span, "attributes": attributes}).nodes.values())).node_type == node_type
    )


def test_models_asked_and_answering_are_told_apart() -> None:
    told = {"llm.request.model_name": "small", "llm.response.model_name": "small-2"}
    (call,) = read({"openinference.span.kind": "LLM", **told}).nodes.values()

    assert call.metadata["gen_ai.request.model"] == "small"
    assert call.metadata["gen_ai.response.model"] == "small-2"


def test_a_tool_of_smolagents_that_failed_is_told_by_the_models_message_alone() -> None:
    asked = {"id": "c", "type": "function", "function": {"name": "look", "arguments": {"at": 2}}}
    message = {"role": "assistant", "content": "hm", "tool_calls": [asked]}
    error = {"type": "AgentToolExecutionError", "message": "no"}
    step = {"step_number": 1, "timing": {}, "model_output_message": message, "error": error}
    trace = read([{"task": "go"}, {**step, "tool_calls": None}])

    assert of_type(trace, "tool_call")[0].error == "no"
    assert of_type(trace, "llm_call")[0].error is None
