"""Records of tools with words of their own, and what printed spans look like, become nodes."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from logtracer import Node, NodeStatus, TraceGraph, TraceLoadError
from logtracer_extras.importers import import_traces

TRACE = "a" * 32
FIRST, SECOND = "1" * 16, "2" * 16
START = 1_700_000_000  # seconds


def read(*documents: Any) -> TraceGraph:
    (trace,) = import_traces("\n".join(json.dumps(document) for document in documents))
    return trace


def nodes_of(*documents: Any) -> list[Node]:
    return list(read(*documents).nodes.values())


def shape(trace: TraceGraph) -> list[tuple[str, str, float | None]]:
    """Return what every format must tell: the parents, who failed, and how long it took."""
    names = {node.id: node.name for node in trace.nodes.values()}
    return [
        (f"{names.get(node.parent_id or '', '')}/{node.name}", node.status.value, node.duration_ms)
        for node in trace.nodes.values()
    ]


# ---- The same two steps, in every tool's words ---------------------------------------------------

LANGFUSE_AGENT = {
    "id": "obs-1",
    "traceId": TRACE,
    "type": "AGENT",
    "name": "agent",
    "startTime": "2023-11-14T22:13:20.000Z",
    "endTime": "2023-11-14T22:13:21.000Z",
    "parentObservationId": None,
    "level": "DEFAULT",
}
LANGFUSE_CALL = LANGFUSE_AGENT | {
    "id": "obs-2",
    "type": "GENERATION",
    "name": "ask",
    "parentObservationId": "obs-1",
    "level": "ERROR",
    "statusMessage": "no answer",
    "model": "large",
    "usageDetails": {"input": 7, "input_cached_tokens": 3, "output": 5, "total": 15},
}
ZIPKIN: list[Any] = [
    {
        "traceId": TRACE,
        "id": FIRST,
        "name": "agent",
        "timestamp": START * 10**6,
        "duration": 10**6,
        "localEndpoint": {"serviceName": "shop"},
        "annotations": [{"timestamp": START * 10**6 + 5, "value": "half way"}],
    },
    {
        "traceId": TRACE,
        "id": SECOND,
        "parentId": FIRST,
        "name": "ask",
        "timestamp": START * 10**6,
        "duration": 10**6,
        "tags": {"error": "no answer"},
    },
]
DATADOG = [
    {
        "trace_id": 77,
        "span_id": 11,
        "parent_id": 0,
        "name": "agent",
        "start": START * 10**9,
        "duration": 10**9,
        "error": 0,
    },
    {
        "trace_id": 77,
        "span_id": 12,
        "parent_id": 11,
        "name": "ask",
        "start": START * 10**9,
        "duration": 10**9,
        "error": 1,
        "meta": {"error.message": "no answer"},
    },
]
DATADOG_LLM = [
    {
        "trace_id": "77",
        "span_id": "11",
        "parent_id": "undefined",
        "name": "agent",
        "start_ns": START * 10**9,
        "duration": 10**9,
        "status": "ok",
        "meta": {"span.kind": "agent"},
    },
    {
        "trace_id": "77",
        "span_id": "12",
        "parent_id": "11",
        "name": "ask",
        "start_ns": START * 10**9,
        "duration": 10**9,
        "status": "error",
        "meta": {"span.kind": "llm", "error.message": "no answer", "model_name": "large"},
        "metrics": {"input_tokens": 10.0, "output_tokens": 5.0},
    },
]
XRAY_SEGMENT = {
    "trace_id": "1-6553f0a0-aaaaaaaaaaaaaaaaaaaaaaaa",
    "id": FIRST,
    "name": "agent",
    "start_time": START + 0.0,
    "end_time": START + 1.0,
    "subsegments": [
        {
            "id": SECOND,
            "name": "ask",
            "start_time": START + 0.0,
            "end_time": START + 1.0,
            "fault": True,
            "cause": {"exceptions": [{"message": "no answer", "type": "Timeout"}]},
        }
    ],
}
XRAY = {"Traces": [{"Id": "1", "Segments": [{"Id": FIRST, "Document": json.dumps(XRAY_SEGMENT)}]}]}
PHOENIX_ROWS: list[dict[str, Any]] = [
    {
        "name": "agent",
        "span_kind": "AGENT",
        "parent_id": None,
        "start_time": START * 1000,
        "end_time": START * 1000 + 1000,
        "status_code": "OK",
        "context.trace_id": TRACE,
        "context.span_id": FIRST,
        "attributes.llm.model_name": None,
    },
    {
        "name": "ask",
        "span_kind": "LLM",
        "parent_id": FIRST,
        "start_time": START * 1000,
        "end_time": START * 1000 + 1000,
        "status_code": "ERROR",
        "status_message": "no answer",
        "context.trace_id": TRACE,
        "context.span_id": SECOND,
        "attributes.llm.model_name": "large",
        "attributes.llm.token_count.prompt": 10.0,
        "attributes.llm.input_messages": [{"message.role": "user", "message.content": "hi"}],
    },
]
LOGFIRE = [
    {
        "trace_id": TRACE,
        "span_id": FIRST,
        "parent_span_id": None,
        "span_name": "agent",
        "start_timestamp": "2023-11-14T22:13:20Z",
        "end_timestamp": "2023-11-14T22:13:21Z",
        "attributes": {},
    },
    {
        "trace_id": TRACE,
        "span_id": SECOND,
        "parent_span_id": FIRST,
        "span_name": "ask",
        "start_timestamp": "2023-11-14T22:13:20Z",
        "end_timestamp": "2023-11-14T22:13:21Z",
        "is_exception": True,
        "exception_message": "no answer",
        "attributes": '{"gen_ai.operation.name": "chat"}',
    },
]
AGENTS_SDK = [
    {"object": "trace", "id": "trace_1", "workflow_name": "shop"},
    {
        "object": "trace.span",
        "id": "span_1",
        "trace_id": "trace_1",
        "parent_id": None,
        "started_at": "2023-11-14T22:13:20+00:00",
        "ended_at": "2023-11-14T22:13:21+00:00",
        "span_data": {"type": "agent", "name": "agent"},
    },
    {
        "object": "trace.span",
        "id": "span_2",
        "trace_id": "trace_1",
        "parent_id": "span_1",
        "started_at": "2023-11-14T22:13:20+00:00",
        "ended_at": "2023-11-14T22:13:21+00:00",
        "span_data": {"type": "function", "name": "ask", "output": "7"},
        "error": {"message": "no answer", "data": None},
    },
]


def go_span(name: str, span_id: str, parent_id: str, code: str) -> dict[str, Any]:
    return {
        "Name": name,
        "SpanContext": {"TraceID": TRACE, "SpanID": span_id},
        "Parent": {"TraceID": TRACE, "SpanID": parent_id},
        "SpanKind": 3,
        "StartTime": "2023-11-14T23:13:20.000000001+01:00",
        "EndTime": "2023-11-14T23:13:21.000000001+01:00",
        "Attributes": [{"Key": "tries", "Value": {"Type": "INT64", "Value": 5}}],
        "Events": None,
        "Links": None,
        "Status": {"Code": code, "Description": "no answer" if code == "Error" else ""},
        "Resource": [{"Key": "service.name", "Value": {"Type": "STRING", "Value": "shop"}}],
    }


GO = [go_span("agent", FIRST, "0" * 16, "Unset"), go_span("ask", SECOND, FIRST, "Error")]
JAEGER_ELASTIC = [
    {
        "traceID": TRACE,
        "spanID": span_id,
        "operationName": name,
        "references": [{"refType": "CHILD_OF", "traceID": TRACE, "spanID": parent}] * bool(parent),
        "startTime": START * 10**6,
        "duration": 10**6,
        "tags": [{"key": "error", "type": "bool", "value": failed}],
        "process": {"serviceName": "shop", "tags": []},
    }
    for name, span_id, parent, failed in (
        ("agent", FIRST, "", "false"),
        ("ask", SECOND, FIRST, "true"),
    )
]

RECORDS: dict[str, list[Any]] = {
    "Langfuse, a trace": [{"id": TRACE, "observations": [LANGFUSE_AGENT, LANGFUSE_CALL]}],
    "Langfuse, as downloaded": [
        {"trace": {"id": TRACE}, "observations": [LANGFUSE_CALL, LANGFUSE_AGENT][::-1]}
    ],
    "Langfuse, a page": [{"data": [LANGFUSE_AGENT, LANGFUSE_CALL], "meta": {"page": 1}}],
    "Langfuse, lines": [LANGFUSE_AGENT, LANGFUSE_CALL],
    "Zipkin": [ZIPKIN],
    "Zipkin, traces": [[ZIPKIN]],
    "Datadog": [DATADOG],
    "Datadog, as sent to its agent": [[DATADOG]],
    "Datadog LLM Observability": [{"spans": DATADOG_LLM}],
    "X-Ray": [XRAY],
    "X-Ray, a segment": [XRAY_SEGMENT],
    "Phoenix, rows": PHOENIX_ROWS,
    "Phoenix, columns": [
        {
            name: {str(at): row.get(name) for at, row in enumerate(PHOENIX_ROWS)}
            for name in PHOENIX_ROWS[1]
        }
    ],
    "Logfire": [{"rows": LOGFIRE}],
    "OpenAI Agents SDK": AGENTS_SDK,
    "Go": GO,
    "any, in groups": [{"agent": GO[:1], "calls": GO[1:]}],
    "any, in traces": [{"exported": "today", "traces": [{"spans": GO}]}],
    "Jaeger in Elasticsearch": JAEGER_ELASTIC,
}


@pytest.mark.parametrize("documents", RECORDS.values(), ids=RECORDS)
def test_two_steps_are_the_same_in_every_tools_words(documents: list[Any]) -> None:
    assert shape(read(*documents)) == [
        ("/agent", "completed", 1000.0),
        ("agent/ask", "failed", 1000.0),
    ]


@pytest.mark.parametrize("name", [name for name in RECORDS if "Elastic" not in name])
def test_what_went_wrong_is_told_in_every_tools_words(name: str) -> None:
    assert nodes_of(*RECORDS[name])[1].error == "no answer"


@pytest.mark.parametrize("name", ["Langfuse, lines", "Datadog LLM Observability", "Phoenix, rows"])
def test_a_model_call_keeps_its_model_and_all_its_input_tokens(name: str) -> None:
    agent, call = nodes_of(*RECORDS[name])
    assert call.node_type == "llm_call"
    assert call.metadata["gen_ai.request.model"] == "large"
    assert repr(call.metadata["gen_ai.usage.input_tokens"]) == "10"


def test_a_langfuse_trace_without_its_observations_is_one_step() -> None:
    (node,) = nodes_of({"id": TRACE, "name": "shop", "input": {"q": 1}, "observations": ["obs-1"]})
    assert (node.name, node.input_data) == ("shop", {"q": 1})


def test_a_langfuse_trace_tells_whose_it_is() -> None:
    about = {"id": TRACE, "sessionId": "s-1", "userId": "ada", "tags": ["new"], "release": "1.4"}
    trace = read({**about, "observations": [LANGFUSE_AGENT]})
    assert trace.metadata["session_id"] == "s-1"
    assert trace.metadata["user_id"] == "ada"
    assert trace.metadata["langfuse.trace"]["release"] == "1.4"


def test_a_go_span_keeps_its_attributes_kind_and_service() -> None:
    trace = read(*GO)
    assert trace.metadata["otel.resource"] == {"service.name": "shop"}
    first = next(iter(trace.nodes.values()))
    assert (first.metadata["tries"], first.metadata["otel.kind"]) == (5, "client")


# ---- What Node.js prints -------------------------------------------------------------------------

PRINTED = """Listening, isn't it?
{
  resource: {
    attributes: {
      'service.name': 'shop',
      argv: [ '/usr/bin/node', '--require', ... 3 more items ]
    }
  },
  instrumentationScope: { name: 'lib', version: undefined },
  traceId: '%s',
  parentSpanContext: undefined,
  name: 'agent',
  id: '1111111111111111',
  kind: 2,
  timestamp: 1700000000000000,
  duration: 1000000,
  attributes: { said: "it's \\u00e9", long: 'one\\n' +
      'two: [Object]', nested: [Object] },
  status: { code: 0 },
  events: [],
  links: []
}
{
  resource: { attributes: [Object] },
  traceId: '%s',
  parentId: '1111111111111111',
  name: 'ask',
  id: '2222222222222222',
  kind: 0,
  timestamp: 1700000000000000,
  duration: 1000000,
  attributes: {},
  status: { code: 2, message: 'no answer' },
  events: [
    { name: 'retry', attributes: { 'n': 1 }, time: [ 1700000000, 5000 ] }
  ],
  links: [],
}
""" % (TRACE, TRACE)


@pytest.mark.parametrize("text", [PRINTED, PRINTED.replace("\n", "\r\n")], ids=["LF", "CRLF"])
def test_spans_that_nodejs_printed_are_read(text: str) -> None:
    (trace,) = import_traces(text)
    assert shape(trace) == [("/agent", "completed", 1000.0), ("agent/ask", "failed", 1000.0)]
    agent, ask = trace.nodes.values()
    assert agent.metadata["otel.kind"] == "client"
    assert agent.metadata["said"] == "it's é"
    assert agent.metadata["long"] == "one\ntwo: [Object]"
    assert ask.metadata["otel.events"][0]["name"] == "retry"


# ---- Messages ------------------------------------------------------------------------------------

ITEMS = [
    {"type": "reasoning", "id": "r", "summary": []},
    {"type": "function_call", "call_id": "c", "name": "look_up", "arguments": '{"id": 1}'},
    {"type": "function_call_output", "call_id": "c", "output": "7"},
    {"type": "web_search_call", "id": "w", "status": "completed"},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ok"}]},
]


def test_the_items_of_one_answer_are_one_call_with_the_tools_it_asked() -> None:
    nodes = nodes_of(ITEMS)[1:]
    assert [node.node_type for node in nodes] == ["llm_call", "tool_call", "llm_call", "tool_call"]
    assert (nodes[1].name, nodes[1].output_data["output"]) == ("look_up", "7")
    assert [item["type"] for item in nodes[2].output_data["message"]["content"]] == (
        ["web_search_call", "message"]
    )


def test_a_line_for_each_message_is_one_conversation() -> None:
    lines = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]
    assert [node.name for node in nodes_of(*lines)] == ["conversation", "user", "assistant"]


def test_what_openai_answered_is_one_call_with_its_tokens() -> None:
    usage = {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 5}
    _, call, *tools = nodes_of({"object": "response", "output": ITEMS[:2], "usage": usage})
    assert [tool.status for tool in tools] == [NodeStatus.PENDING]
    assert call.metadata["gen_ai.usage.input_tokens"] == 10
    assert call.metadata["gen_ai.usage.cache_read.input_tokens"] == 4


def test_a_chat_completion_is_one_call_however_many_choices_it_has() -> None:
    choices = [{"index": at, "message": {"role": "assistant", "content": "hi"}} for at in (0, 1)]
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    _, call = nodes_of({"object": "chat.completion", "choices": choices, "usage": usage})
    assert call.node_type == "llm_call"
    assert call.metadata["gen_ai.usage.output_tokens"] == 5


def test_tokens_that_anthropic_counts_beside_the_input_are_added_to_it() -> None:
    usage = {
        "input_tokens": 10,
        "cache_read_input_tokens": 20,
        "cache_creation_input_tokens": 5,
        "output_tokens": 7,
    }
    message = {"role": "assistant", "model": "large", "stop_reason": "end_turn", "content": []}
    call = nodes_of({**message, "usage": usage})[1]
    assert call.metadata["gen_ai.usage.input_tokens"] == 35
    assert call.metadata["gen_ai.response.finish_reasons"] == ["end_turn"]


def test_a_tool_result_that_is_an_error_has_failed() -> None:
    part = {"type": "tool_result", "tool_use_id": "t", "content": "no such id", "is_error": True}
    node = nodes_of([{"role": "user", "content": [part]}])[1]
    assert (node.status, node.error) == (NodeStatus.FAILED, "no such id")


def test_messages_of_langchain_are_a_conversation() -> None:
    call = {"id": "c", "name": "look_up", "args": {"id": 1}}
    messages = [
        {"type": "human", "content": "hi"},
        {"type": "ai", "content": "", "tool_calls": [call]},
        {"type": "tool", "content": "7", "tool_call_id": "c"},
    ]
    person, model, tool = nodes_of(messages)[1:]
    assert (person.node_type, model.node_type) == ("human_input", "llm_call")
    assert (tool.name, tool.input_data) == ("look_up", {"id": 1})


# ---- Files ---------------------------------------------------------------------------------------


def test_a_compressed_file_is_read() -> None:
    (trace,) = import_traces(gzip.compress(json.dumps(ZIPKIN).encode()))
    assert len(trace.nodes) == 2


@pytest.mark.parametrize(
    "data",
    [b"\x1f\x8b\x08\x00junk", gzip.compress(gzip.compress(b"{}"))],
    ids=["junk", "gzip within gzip"],
)
def test_a_compressed_file_that_cannot_be_read_is_refused(data: bytes) -> None:
    with pytest.raises(TraceLoadError):
        import_traces(data)


@pytest.mark.parametrize("name", ["data", "spans", "own", "trace"])
def test_lists_within_lists_are_looked_through_once(name: str) -> None:
    document: Any = {"nothing": 1}
    for _ in range(100):
        document = {name: [document]}
    with pytest.raises(TraceLoadError):
        import_traces(json.dumps(document))


@pytest.mark.parametrize("mark", ["\ufeff", "\x1e"])
def test_marks_before_documents_cost_no_step(mark: str) -> None:
    (trace,) = import_traces("".join(f"{mark}{json.dumps(span)}\n" for span in GO))
    assert len(trace.nodes) == 2
    assert "logtracer.damaged_lines" not in trace.metadata


def test_attributes_may_be_one_json_text() -> None:
    span = {"trace_id": TRACE, "span_id": FIRST, "name": "ask", "attributes": '{"tries": 5}'}
    assert nodes_of(span)[0].metadata["tries"] == 5
