"""OTLP: what leaves is what a trace says, in both encodings, and it comes back whole."""

from __future__ import annotations

import base64
import importlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from logtracer import Edge, Node, NodeStatus, TraceGraph
from logtracer_extras.importers import import_file, import_traces
from logtracer_extras.otlp import encode_requests, spans_of
from needs import needs
from otlp_traces import TOKENS, document, everything, traces

TRACE_SERVICE = "opentelemetry.proto.collector.trace.v1.trace_service_pb2"
FOREIGN = Path(__file__).parents[1] / "data" / "foreign"


def through_otlp(trace: TraceGraph) -> TraceGraph:
    text = b"\n".join(encode_requests([trace]))
    return import_traces(text)[0]


# ---- Round trips ---------------------------------------------------------------------------------


@given(traces())
def test_a_trace_comes_back_from_otlp_as_it_was(trace: TraceGraph) -> None:
    assert document(through_otlp(trace)) == document(trace)


def test_a_trace_with_everything_comes_back_as_it_was() -> None:
    assert document(through_otlp(everything())) == document(everything())


@pytest.mark.parametrize("path", sorted(FOREIGN.glob("*.json*")), ids=lambda path: path.name)
def test_a_foreign_trace_comes_back_from_otlp_as_it_was(path: Path) -> None:
    for trace in import_file(path):
        assert document(through_otlp(trace)) == document(trace)


OPENINFERENCE = ("openinference.", "llm.", "input.", "output.", "retrieval.")


def without_our_names(trace: TraceGraph, *others: str) -> TraceGraph:
    """Send a trace, take away what other tools would not write, and read it back."""
    request = json.loads(next(iter(encode_requests([trace]))))
    for span in request["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        hidden = ("logtracer.", *others)
        span["attributes"] = [
            item for item in span["attributes"] if not item["key"].startswith(hidden)
        ]
    return import_traces(json.dumps(request))[0]


def skeleton(trace: TraceGraph) -> list[Any]:
    """Return the tree, the times and the edges of a trace, and whether each step failed."""
    nodes = [
        (node.id, node.parent_id, node.start_time, node.end_time, node.status == NodeStatus.FAILED)
        for node in trace.nodes.values()
    ]
    edges = Counter((edge.source_id, edge.target_id, str(edge.edge_type)) for edge in trace.edges)
    return [nodes, edges]


def tokens(trace: TraceGraph) -> list[dict[str, Any]]:
    calls = [node for node in trace.nodes.values() if node.node_type == "llm_call"]
    return [{name: node.metadata.get(name) for name in TOKENS} for node in calls]


@settings(max_examples=50)
@given(traces(plain=True))
def test_genai_names_alone_carry_tree_times_edges_failures_and_tokens(trace: TraceGraph) -> None:
    again = without_our_names(trace, *OPENINFERENCE)

    assert skeleton(again) == skeleton(trace)
    assert tokens(again) == tokens(trace)


@settings(max_examples=50)
@given(traces(plain=True))
def test_openinference_names_alone_carry_them_too(trace: TraceGraph) -> None:
    again = without_our_names(trace, "gen_ai.")

    assert skeleton(again) == skeleton(trace)
    assert tokens(again) == tokens(trace)


def test_both_conventions_are_written_together() -> None:
    spans = {span["attributes"]["logtracer.node.type"]: span for span in spans_of(everything())}
    call = spans["llm_call"]["attributes"]

    assert (call["openinference.span.kind"], call["gen_ai.operation.name"]) == ("LLM", "chat")
    assert call["llm.token_count.total"] == 150
    assert call["llm.input_messages.0.message.role"] == "user"
    part = json.loads(call["gen_ai.output.messages"])[0]["parts"][0]
    assert (part["type"], part["arguments"]) == ("tool_call", {"city": "Zürich"})
    assert spans["retrieval"]["attributes"]["retrieval.documents.0.document.id"] == "d1"
    assert spans["validation"]["attributes"]["openinference.span.kind"] == "GUARDRAIL"


# ---- Values that cost a receiver's whole batch ---------------------------------------------------


def test_no_value_is_sent_that_a_strict_receiver_refuses() -> None:
    values = {
        "nan": float("nan"),
        "infinite": float("-inf"),
        "huge": 1 << 64,
        "nothing": None,
        "surrogate": "a\ud800b",
        "mixed": [1, "a"],
        "nested": {"a": [float("nan")]},
        "a\ud800": 1,
        "": 2,
    }
    node = Node("1" * 16, 0, "n\ud800", "custom", NodeStatus.COMPLETED, metadata=values)
    trace = TraceGraph(nodes={node.id: node}, edges=[Edge("gone", node.id)])

    for protocol in ("http/json", "http/protobuf"):
        request = b"".join(encode_requests([trace], protocol=protocol))
        assert b"\xed\xa0" not in request  # a surrogate is no UTF-8
    span = next(spans_of(trace))
    assert all(isinstance(value, (str, int)) for value in span["attributes"].values())
    assert json.loads(span["attributes"]["logtracer.metadata"])["nan"] == "nan"


def test_large_traces_are_sent_in_portions() -> None:
    trace = TraceGraph(name="large")
    for number in range(4_500):
        trace.add_node(Node(f"{number + 1:016x}", number, "step", "custom", NodeStatus.COMPLETED))
    requests = list(encode_requests([trace]))

    assert len(requests) == 3
    assert len(import_traces(b"\n".join(requests))[0].nodes) == 4_500


def test_an_unknown_protocol_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'grpc'"):
        list(encode_requests([], protocol="grpc"))


# ---- The official parser as judge ----------------------------------------------------------------


def official_request(data: bytes) -> Any:
    needs("opentelemetry.proto")
    request = importlib.import_module(TRACE_SERVICE).ExportTraceServiceRequest()
    request.ParseFromString(data)
    return request


def with_base64_ids(value: Any) -> Any:
    """Return OTLP's JSON as protobuf's own JSON, which writes ids in base64."""
    if isinstance(value, list):
        return [with_base64_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    names = ("traceId", "spanId", "parentSpanId")
    return {
        key: base64.b64encode(bytes.fromhex(item)).decode()
        if key in names
        else with_base64_ids(item)
        for key, item in value.items()
    }


@settings(max_examples=50)
@given(traces())
def test_both_encodings_say_the_same_to_the_official_parser(trace: TraceGraph) -> None:
    needs("opentelemetry.proto")
    json_format = importlib.import_module("google.protobuf.json_format")
    in_protobuf = official_request(next(encode_requests([trace], protocol="http/protobuf")))
    in_json = json.loads(next(encode_requests([trace], protocol="http/json")))
    parsed = json_format.ParseDict(with_base64_ids(in_json), official_request(b""))

    assert in_protobuf == parsed
    assert len(parsed.resource_spans[0].scope_spans[0].spans) == len(trace.nodes)
