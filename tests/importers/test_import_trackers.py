"""What trackers and tracing servers write: each step once, with name, cost and place."""

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


def tree(trace: TraceGraph) -> list[tuple[int, str, str]]:
    return [(level, str(node.node_type), node.name) for level, node in trace.walk()]


def of_type(trace: TraceGraph, node_type: str) -> list[Node]:
    return [node for node in trace.nodes.values() if node.node_type == node_type]


# ---- Inspect -------------------------------------------------------------------------------------


def test_a_tool_of_inspect_and_the_span_around_it_are_one_node() -> None:
    trace = only("inspect_tool_error.json")
    tools = of_type(trace, "tool_call")

    assert [(tool.name, tool.input_data["arguments"]) for tool in tools] == [
        ("add", {"x": 1, "y": 2}),
        ("add", {"x": 101, "y": 2}),
        ("submit", {"answer": "3"}),
    ]
    assert [tool.error for tool in tools] == [None, "too large", None]
    assert tools[0].output_data == {"result": "3"}


def test_a_scorer_of_inspect_and_its_score_are_one_node() -> None:
    (scorer,) = of_type(only("inspect_tool_error.json"), "validation")

    assert (scorer.name, scorer.output_data["score"]["value"]) == ("includes", "C")


def test_a_call_of_inspect_is_given_what_is_new() -> None:
    calls = of_type(only("inspect_tool_error.json"), "llm_call")

    assert [len(call.input_data["messages"]) for call in calls] == [2, 2, 2]
    assert [call.metadata.get("logtracer.messages.carried") for call in calls] == [None, 2, 4]


# ---- Langfuse ------------------------------------------------------------------------------------


def test_a_span_of_langfuse_is_of_the_kind_its_own_attributes_tell() -> None:
    trace = only("langfuse_koog.json")
    hello = next(node for node in trace.nodes.values() if node.name == "tool.HelloTool")

    assert (hello.node_type, hello.input_data) == ("tool_call", {"name": "Bob"})
    assert hello.metadata["gen_ai.tool.call.id"] == "call_n2HaWg9KFP0BZDqXv6G4b3nJ"
    assert trace.metadata["otel.resource"]["service.name"] == "ai.koog"


def test_a_cost_that_langfuse_tells_is_on_the_call() -> None:
    calls = of_type(only("langfuse_koog.json"), "llm_call")

    assert [call.metadata["gen_ai.usage.cost"] for call in calls] == [0.0011775, 0.00061]
    assert sum(call.metadata["gen_ai.usage.input_tokens"] for call in calls) == 215


def test_a_call_within_a_call_is_counted_once() -> None:
    trace = only("langfuse_vercel.json")
    (call,) = of_type(trace, "llm_call")

    assert (call.metadata["gen_ai.usage.input_tokens"], trace.root_nodes[0].node_type) == (
        (62, "trace")
    )
    assert "gen_ai.usage.input_tokens" not in trace.root_nodes[0].metadata


def test_a_model_that_a_tool_of_a_model_calls_is_counted_too() -> None:
    kinds = [("GENERATION", None), ("TOOL", "1"), ("GENERATION", "2")]
    observations = [
        {"id": str(at), "parentObservationId": above, "type": kind, "usage": {"input": 5}}
        for at, (kind, above) in enumerate(kinds, 1)
    ]

    assert len(of_type(read({"id": "t", "observations": observations}), "llm_call")) == 2


def test_a_download_of_langfuse_is_its_answer_with_a_text_in_it() -> None:
    answer = json.loads((RUNS / "langfuse_koog.json").read_text())
    for one in answer["observations"]:
        one["metadata"] = json.loads(one["metadata"])
        one["latency"] = one.get("latency", 0) * 1000

    assert [node.to_dict() for node in read(answer).nodes.values()] == (
        [node.to_dict() for node in only("langfuse_koog.json").nodes.values()]
    )


@pytest.mark.parametrize(
    "columns",
    [{"inputUsage": 1200, "outputUsage": 15}, {"promptTokens": 1200, "completionTokens": 15}],
)
def test_counts_in_columns_of_their_own_are_read(columns: dict[str, int]) -> None:
    shared: dict[str, Any] = {
        "id": "o",
        "parentObservationId": None,
        "type": "GENERATION",
        "usageDetails": {},
    }
    (call,) = read({**shared, **columns}).nodes.values()

    assert call.metadata["gen_ai.usage.input_tokens"] == 1200
    assert call.metadata["gen_ai.usage.output_tokens"] == 15


# ---- OpenAI Agents SDK ---------------------------------------------------------------------------


@pytest.mark.parametrize("turned", [False, True], ids=["last", "first"])
def test_what_the_line_of_a_trace_says_is_the_traces(turned: bool) -> None:
    lines = (RUNS / "openai_agents.jsonl").read_text().splitlines()
    (trace,) = import_traces("\n".join(lines[::-1] if turned else lines))

    assert (trace.name, trace.metadata["session_id"]) == ("My flow", "thread-7")
    assert trace.metadata["openai.metadata"] == {"k": "v"}


def test_the_agents_sdk_tells_cached_tokens_and_why_a_tool_failed() -> None:
    trace = only("openai_agents.jsonl")
    calls, (failed,) = of_type(trace, "llm_call"), trace.failed_nodes

    assert [call.metadata["gen_ai.usage.cache_read.input_tokens"] for call in calls] == [600, 600]
    assert sum(call.metadata["gen_ai.usage.reasoning.output_tokens"] for call in calls) == 32
    assert failed.metadata["openai.error.data"]["tool_name"] == "bash"


# ---- Zipkin and Jaeger ---------------------------------------------------------------------------


@pytest.mark.parametrize("turned", [False, True])
def test_the_servers_half_of_a_call_is_below_the_clients(turned: bool) -> None:
    spans = json.loads((RUNS / "zipkin_shared.json").read_text())
    trace = read(spans[::-1] if turned else spans)

    assert tree(trace) == [
        (0, "trace", "servicea get"),
        (1, "custom", "servicea post"),
        (2, "custom", "serviceb post"),
        (3, "custom", "serviceb async"),
    ]
    assert not any("logtracer.import.note" in node.metadata for node in trace.nodes.values())


def test_jaegers_own_model_keeps_names_times_and_parents() -> None:
    trace = only("jaeger_model.json")
    names = [(level, node.name, node.duration_ms) for level, node in trace.walk()]

    assert names == [
        (0, "test-general-conversion", 0.005),
        (1, "some-operation", 0.005),
        (1, "reference-test", 0.005),
        (2, "preserveParentID-test", 0.004),
        (0, "some-operation", 0.005),
    ]
    (failed,) = trace.failed_nodes
    assert failed.metadata["temperature"] == 72.5


# ---- MLflow, Phoenix -----------------------------------------------------------------------------


def test_a_row_of_mlflows_traces_is_read_like_a_saved_trace() -> None:
    path = RUNS.parent / "foreign" / "mlflow_trace.json"
    saved = json.loads(path.read_text())
    row = {"trace_id": "tr-1", "trace_metadata": {}, "tags": {}, "spans": saved["data"]["spans"]}
    nodes = list(read(row).nodes.values())

    assert [(node.node_type, node.output_data) for node in nodes] == (
        [(node.node_type, node.output_data) for node in import_file(path)[0].nodes.values()]
    )


def test_a_span_whose_id_was_scrubbed_to_zeros_is_still_a_parent() -> None:
    shared = {"trace_id": "ab" * 16}
    spans = [{**shared, "span_id": f"{at:016x}", "parent_id": "0" * 16} for at in (1, 2, 3)]
    with_root = read({**shared, "span_id": "0" * 16, "parent_id": None, "name": "root"}, *spans)

    assert [node.name for node in with_root.root_nodes] == ["root"]
    assert len(read(*spans).root_nodes) == 3


# ---- Cost ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "told",
    [
        {"llm.cost.total": 0.5},
        {"llm.cost.prompt": 0.2, "llm.cost.completion": 0.3},
        {"operation.cost": "0.5"},
        {"gen_ai.usage.cost": 0.5},
        {"langfuse.observation.cost_details": '{"input": 0.2, "output": 0.3}'},
        {"mlflow.llm.cost": {"input_cost": 0.2, "output_cost": 0.3, "total_cost": 0.5}},
    ],
    ids=lambda told: next(iter(told)),
)
def test_a_cost_is_one_fact_whoever_tells_it(told: dict[str, Any]) -> None:
    (call,) = read({"openinference.span.kind": "LLM", **told}).nodes.values()
    assert call.metadata["gen_ai.usage.cost"] == 0.5

    (step,) = read({"openinference.span.kind": "CHAIN", **told}).nodes.values()
    assert "gen_ai.usage.cost" not in step.metadata or "gen_ai.usage.cost" in told


def test_counts_given_as_text_are_numbers() -> None:
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": "100"}
    attributes["gen_ai.usage.cache_write.input_tokens"] = "40"
    (call,) = read(attributes).nodes.values()

    assert call.metadata["gen_ai.usage.input_tokens"] == 100
    assert call.metadata["gen_ai.usage.cache_creation.input_tokens"] == 40
