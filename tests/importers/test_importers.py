"""Other people's traces: every sample whole, every oddity shown, nothing but TraceLoadError."""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logtracer import Node, NodeStatus, TraceGraph, TraceLoadError, trace_to_json
from logtracer_extras.importers import import_file, import_traces

FOREIGN = Path(__file__).parents[1] / "data" / "foreign"
SAMPLES = sorted(path for path in FOREIGN.iterdir() if path.suffix != ".md")


def objects_in(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every JSON object in a value, however deep."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, (dict, list)):
            yield from objects_in(item)


INSPECT_STEPS = {"span_begin", "model", "tool", "input", "approval", "subtask", "error"}


def raw_count(path: Path) -> int:
    """Count the steps in a raw file without the help of what is tested."""
    text = path.read_text(encoding="utf-8")
    if path.name.endswith(".console.txt"):
        return len(re.findall(r'^    "parent_id"', text, re.MULTILINE))
    found = [one for line in split(text) for one in objects_in(json.loads(line))]
    if path.name.startswith("inspect"):
        samples = sum("epoch" in one and "target" in one for one in found)
        events = sum(one.get("event") in INSPECT_STEPS for one in found)
        messages = sum(one.get("role") == "tool" for one in found)
        return samples + (events or messages)
    if "attributes" in path.name:
        return 1
    marks = {
        "startTimeUnixNano",
        "start_time_unix_nano",
        "operationName",
        "spanContext",
        "run_type",
    }
    return sum(bool(marks & one.keys()) for one in found)


def split(text: str) -> list[str]:
    return text.splitlines() if text.startswith('{"resourceSpans"') else [text]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_every_step_in_a_foreign_file_becomes_a_node(path: Path) -> None:
    traces = import_file(path)

    assert sum(len(trace.nodes) for trace in traces) == raw_count(path) > 0
    for trace in traces:
        assert len(list(trace.walk())) == len(trace.nodes)
        assert len({node.sequence_number for node in trace.nodes.values()}) == len(trace.nodes)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_an_imported_trace_survives_our_own_file(path: Path) -> None:
    for trace in import_file(path):
        again = import_traces(trace_to_json(trace))
        assert again[0].to_dict() == trace.to_dict()
        assert re.fullmatch("[0-9a-f]{32}", trace.trace_id)
        assert all(re.fullmatch("[0-9a-f]{16}", node_id) for node_id in trace.nodes)


def only(name: str) -> TraceGraph:
    return import_file(FOREIGN / name)[0]


def named(trace: TraceGraph, name: str) -> Node:
    return next(node for node in trace.nodes.values() if node.name == name)


# ---- What each tool's words mean -----------------------------------------------------------------


def test_openinference_spans_keep_types_tokens_and_messages() -> None:
    trace = only("openinference_langgraph.otlp.jsonl")
    call = named(trace, "M")

    assert call.node_type == "llm_call"
    assert call.metadata["gen_ai.usage.input_tokens"] == 10
    assert call.metadata["gen_ai.usage.output_tokens"] == 5
    assert "llm.token_count.prompt" not in call.metadata
    assert call.input_data["messages"] == [{"role": "user", "content": "What is OTLP?"}]
    assert trace.root_nodes[0].node_type == "trace"


def test_the_console_says_the_same_as_otlp() -> None:
    console = only("openinference_langgraph.console.txt")
    otlp = only("openinference_langgraph.otlp.jsonl")

    assert list(console.nodes) == list(otlp.nodes)
    for ours, theirs in zip(console.nodes.values(), otlp.nodes.values()):
        assert (ours.node_type, ours.parent_id, ours.start_time, ours.input_data) == (
            (theirs.node_type, theirs.parent_id, theirs.start_time, theirs.input_data)
        )


def test_genai_spans_of_pydantic_ai_keep_agents_and_tools() -> None:
    trace = only("pydantic_ai.otlp.jsonl")
    tool = named(trace, "execute_tool ask_weather")
    agent = named(trace, "invoke_agent weather_agent")

    assert (tool.node_type, tool.input_data) == ("tool_call", {"city": "Zürich"})
    assert tool.output_data == {"value": "42 degrees"}
    assert (agent.node_type, agent.parent_id) == ("sub_agent", tool.id)
    assert [node.name for node in trace.root_nodes] == ["invoke_agent concierge"]


def test_jaeger_keeps_parents_times_and_services() -> None:
    trace = only("jaeger_kagent.json")
    raw = json.loads((FOREIGN / "jaeger_kagent.json").read_text())["data"][0]["spans"][0]
    node = trace.nodes[raw["spanID"]]

    assert node.name == raw["operationName"]
    assert node.parent_id == raw["references"][0]["spanID"]
    assert node.duration_ms == raw["duration"] / 1_000
    assert trace.metadata["otel.resource"]["service.name"] == "helm_agent"


def test_langsmith_runs_keep_kinds_errors_and_tokens() -> None:
    trace = only("langsmith_runs.json")
    types = [node.node_type for node in trace.nodes.values()]
    failed = trace.failed_nodes[0]

    assert types[:4] == ["trace", "llm_call", "tool_call", "tool_call"]
    assert types[4:] == ["transformation", "retrieval", "llm_call"]
    assert (failed.error_type, failed.error) == ("ValueError", "ValueError('bad query')")
    assert failed.error_traceback and failed.error_traceback.startswith("Traceback")
    assert named(trace, "ChatFake").metadata["gen_ai.usage.input_tokens"] == 10
    assert "gen_ai.usage.input_tokens" not in trace.root_nodes[0].metadata


def test_mlflow_keeps_types_inputs_tokens_and_errors() -> None:
    trace = only("mlflow_trace.json")
    types = [node.node_type for node in trace.nodes.values()]
    call, failed = named(trace, "chat"), named(trace, "broken")

    assert types == ["trace", "llm_call", "tool_call", "retrieval", "tool_call"]
    assert call.input_data["messages"][0]["content"] == "How warm is it in Zürich?"
    assert call.metadata["gen_ai.usage.input_tokens"] == 10
    assert call.metadata["gen_ai.request.model"] == "fake-model"
    assert (failed.status, failed.error_type) == (NodeStatus.FAILED, "ValueError")
    assert trace.metadata["mlflow.info"]["state"] == "OK"


def test_inspect_samples_become_traces_with_their_spans_and_calls() -> None:
    trace = only("inspect_security_guide.json")
    call = next(node for node in trace.nodes.values() if node.node_type == "llm_call")
    assert call.parent_id is not None
    scorer = named(trace, "model_graded_fact")

    assert trace.nodes[call.parent_id].name == "generate"
    assert call.metadata["gen_ai.request.model"] == "gpt-4o-mini"
    assert call.duration_ms and call.duration_ms > 500
    assert "attachment://" not in json.dumps(call.input_data)
    assert scorer.node_type == "validation"


def test_inspect_messages_keep_the_errors_of_tools() -> None:
    trace = only("inspect_tool_errors.json")

    assert len(trace.failed_nodes) == 11
    assert {node.error_type for node in trace.failed_nodes} >= {"timeout", "permission"}


def test_vercel_spans_count_tokens_on_the_call_and_not_on_the_span_around_it() -> None:
    inner, outer = import_file(FOREIGN / "vercel_ai_sdk_v6.json")[:2]

    assert inner.root_nodes[0].metadata["gen_ai.usage.input_tokens"] == 14
    assert "gen_ai.usage.input_tokens" not in outer.root_nodes[0].metadata
    assert outer.root_nodes[0].metadata["ai.usage.promptTokens"] == 14
    assert inner.root_nodes[0].input_data["messages"][0]["role"] == "user"


def test_attributes_alone_are_read_in_old_and_new_spellings() -> None:
    new, old = only("genai_attributes.json"), only("genai_attributes_deprecated.json")

    for trace in (new, old):
        call = trace.root_nodes[0]
        assert call.node_type == "llm_call"
        assert call.input_data["messages"][0]["role"] == "user"
        assert call.metadata["gen_ai.usage.output_tokens"] == 52


def test_messages_become_calls_tools_and_people() -> None:
    call = {"id": "c1", "function": {"name": "search", "arguments": '{"q": "x"}'}}
    messages = [
        {"role": "system", "content": "help"},
        {"role": "user", "content": "find x"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "found"},
    ]
    trace = import_traces(json.dumps({"messages": messages}))[0]
    nodes = list(trace.nodes.values())

    assert [node.node_type for node in nodes] == (
        ["trace", "custom", "human_input", "llm_call", "tool_call"]
    )
    assert (nodes[4].name, nodes[4].input_data) == ("search", {"q": "x"})


TRACELOOP = {
    "traceloop.span.kind": "task",
    "traceloop.entity.input": '{"inputs": {"a": 1}}',
    "gen_ai.prompt.0.role": "user",
    "gen_ai.prompt.0.content": "hi",
    "gen_ai.usage.prompt_tokens": 3,
    "llm.usage.total_tokens": 3,
    "llm.request.type": "chat",
}
LANGFUSE = {
    "langfuse.observation.type": "generation",
    "langfuse.observation.model.name": "m",
    "langfuse.observation.usage_details": '{"input": 3, "output": 4}',
    "langfuse.observation.input": "hi",
    "session.id": "s",
}


@pytest.mark.parametrize("attributes", [TRACELOOP, LANGFUSE])
def test_a_call_by_another_tools_words_is_a_call(attributes: dict[str, Any]) -> None:
    trace = import_traces(json.dumps(attributes))[0]
    node = trace.root_nodes[0]

    assert node.node_type == "llm_call"
    assert node.metadata["gen_ai.usage.input_tokens"] == 3
    assert node.input_data


# ---- Oddities: shown and marked, never dropped ---------------------------------------------------


def span(number: int, parent: int | None = None, **fields: Any) -> dict[str, Any]:
    record: dict[str, Any] = {
        "traceId": "ab" * 16,
        "spanId": f"{number:016x}",
        "name": f"step {number}",
        "startTimeUnixNano": str(1_700_000_000_000_000_000 + number * 1_000_000),
        "endTimeUnixNano": str(1_700_000_001_000_000_000),
    }
    if parent is not None:
        record["parentSpanId"] = f"{parent:016x}"
    return {**record, **fields}


def otlp(*spans: dict[str, Any]) -> str:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]})


def note(trace: TraceGraph, number: int) -> str:
    return str(trace.nodes[f"{number:016x}"].metadata.get("logtracer.import.note", ""))


def test_a_span_without_its_parent_is_shown_and_marked() -> None:
    trace = import_traces(otlp(span(1), span(2, parent=9)))[0]

    assert len(list(trace.walk())) == 2
    assert "parent 0000000000000009 is not in this file" in note(trace, 2)


def test_a_circle_of_parents_is_shown_and_marked() -> None:
    trace = import_traces(otlp(span(1, parent=2), span(2, parent=1), span(3, parent=3)))[0]

    assert len(list(trace.walk())) == 3
    assert all("circle" in note(trace, number) for number in (1, 2, 3))


def test_spans_with_one_id_are_all_kept() -> None:
    trace = import_traces(otlp(span(1), span(1), span(1), span(2, parent=1)))[0]
    notes = [node.metadata.get("logtracer.import.note", "") for node in trace.nodes.values()]

    assert len(trace.nodes) == 4
    assert sum("used twice" in text for text in notes) == 2


def test_a_span_without_an_end_is_interrupted() -> None:
    trace = import_traces(otlp(span(1, endTimeUnixNano="0")))[0]
    node = trace.root_nodes[0]

    assert (node.status, node.end_time) == (NodeStatus.INTERRUPTED, None)
    assert "no end" in note(trace, 1)


def test_spans_of_several_traces_are_kept_apart() -> None:
    traces = import_traces(otlp(span(1), span(1, traceId="cd" * 16)))

    assert [trace.trace_id for trace in traces] == ["ab" * 16, "cd" * 16]


def test_children_come_after_their_parents_whatever_the_order_of_the_file() -> None:
    spans = [span(3, parent=2), span(2, parent=1), span(1)]
    for record in spans:
        record["startTimeUnixNano"] = "1700000000000000000"
    trace = import_traces(otlp(*spans))[0]

    assert [node.name for node in trace.nodes.values()] == ["step 1", "step 2", "step 3"]
    assert [node.depth for node in trace.nodes.values()] == [0, 1, 2]


@pytest.mark.parametrize(
    "written",
    [
        "AB" * 16,
        "0x" + "ab" * 16,
        "q6urq6urq6urq6urq6urqw==",
        "abababab-abab-abab-abab-abababababab",
    ],
)
def test_a_trace_id_is_one_id_however_it_is_written(written: str) -> None:
    assert len(import_traces(otlp(span(1), span(2, traceId=written)))) == 1


@pytest.mark.parametrize(
    "attributes",
    [
        [{"key": "n", "value": {"intValue": "5"}}],
        [{"key": "n", "value": {"intValue": 5}}],
        [{"key": "n", "value": {"string_value": None, "int_value": 5}}],
        {"n": 5},
    ],
)
def test_an_attribute_is_one_value_however_it_is_written(attributes: Any) -> None:
    assert import_traces(otlp(span(1, attributes=attributes)))[0].root_nodes[0].metadata["n"] == 5


def test_snake_case_and_iso_times_are_read() -> None:
    record = {
        "trace_id": "ab" * 16,
        "span_id": "1" * 16,
        "name": "x",
        "start_time": "2026-11-22T18:00:00.5Z",
        "end_time": "2026-11-22T19:00:01.123456789+01:00",
        "attributes": None,
    }
    node = import_traces(json.dumps({"data": [record]}))[0].root_nodes[0]

    assert node.duration_ms == 623.456


def test_a_link_is_an_edge_and_one_to_another_trace_is_kept() -> None:
    here = {"traceId": "ab" * 16, "spanId": f"{1:016x}", "attributes": {"edge.type": "retry_of"}}
    there = {"traceId": "cd" * 16, "spanId": "9" * 16}
    trace = import_traces(otlp(span(1), span(2, links=[here, there])))[0]

    assert [(edge.edge_type, edge.source_id) for edge in trace.edges] == [("retry_of", f"{1:016x}")]
    assert trace.nodes[f"{2:016x}"].metadata["otel.links"][0]["span_id"] == "9" * 16


def test_what_has_no_place_is_kept() -> None:
    event = {"name": "cache", "timeUnixNano": "1700000000000000000", "attributes": {"hit": True}}
    trace = import_traces(otlp(span(1, events=[event], traceState="a=b", strange=[1], kind=2)))[0]
    metadata = trace.root_nodes[0].metadata

    assert metadata["otel.events"][0]["attributes"] == {"hit": True}
    assert (metadata["otel.traceState"], metadata["otel.strange"]) == ("a=b", [1])
    assert metadata["otel.kind"] == "server"


def test_a_recovered_exception_is_kept_and_is_no_failure() -> None:
    exception = {"name": "exception", "attributes": {"exception.message": "try again"}}
    node = import_traces(otlp(span(1, events=[exception])))[0].root_nodes[0]

    assert (node.status, node.error) == (NodeStatus.COMPLETED, "try again")


# ---- Files: torn, mixed with other output, in other encodings ------------------------------------


def test_a_torn_last_line_costs_that_line_alone() -> None:
    whole = "\n".join(otlp(span(number)) for number in range(1, 4))
    trace = import_traces(whole[:-40])[0]

    assert len(trace.nodes) == 2
    assert trace.metadata["logtracer.damaged_lines"] == 1


def test_a_programs_own_output_between_spans_is_passed_over() -> None:
    text = (
        f"starting\n{json.dumps(span(1), indent=4)}\nworking...\n{json.dumps(span(2), indent=4)}\n"
    )

    assert len(import_traces(text)[0].nodes) == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_other_encodings_of_text_are_read(encoding: str) -> None:
    trace = import_traces(otlp(span(1, name="Zürich")).encode(encoding))[0]

    assert trace.name == "Zürich"


def test_our_own_files_are_read_too() -> None:
    trace = TraceGraph(name="own")
    trace.add_node(Node("a" * 16, 0, "root", "trace", NodeStatus.COMPLETED))
    journal = (
        '{"event": "trace.started", "trace_id": "t", "schema_version": "0.1.0", "name": "j"}\n'
    )

    assert import_traces(trace_to_json(trace))[0].to_dict() == trace.to_dict()
    assert import_traces(journal)[0].name == "j"


# ---- Hostile documents ---------------------------------------------------------------------------

BOMBS = [
    "",
    "\x00" * 100,
    "{}",
    "[]",
    "null",
    "7",
    "[" * 200_000,
    '{"a":' * 200_000,
    "9" * 10_000,
    '{"resourceSpans": 5}',
    '{"resourceSpans": [5]}',
    '{"resourceSpans": [{"scopeSpans": [{"spans": [{"attributes": 5}]}]}]}',
    '{"data": [{"traceID": "x", "spans": 5}]}',
    '[{"role": "user"}, 5]',
    '{"schema_version": "0.1.0", "nodes": []}',
    '{"schema_version": "9.0.0", "trace_id": "x", "nodes": {}}',
    '{"event": "trace.started"}',
    '{"eval": {}, "samples": [5]}',
    '{"run_type": "llm"}' + "[" * 5_000,
]


@pytest.mark.parametrize("text", BOMBS, ids=lambda text: text[:20])
def test_a_hostile_document_is_refused_by_the_one_error(text: str) -> None:
    with pytest.raises(TraceLoadError):
        for trace in import_traces(text):
            raise TraceLoadError(f"{len(trace.nodes)} nodes, but some were lost")


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(TraceLoadError, match="not UTF-8"):
        import_traces(b"\xff\xfa\x00")


def test_a_file_that_never_ends_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(TraceLoadError, match="pipe: not a regular file"):
        import_file(tmp_path / "pipe")


def test_json_within_json_is_made_safe_too() -> None:
    inner = json.dumps({"a": ["\ud800"]})
    node = import_traces(otlp(span(1, attributes={"input.value": inner})))[0].root_nodes[0]

    assert node.input_data == {"a": ["\\ud800"]}


def test_a_log_with_many_brackets_is_passed_over_in_no_time() -> None:
    text = "[INFO] working\n{oops}\n" * 20_000 + json.dumps(span(1))

    assert len(import_traces(text)[0].nodes) == 1


def test_a_value_nested_without_end_is_kept_as_text() -> None:
    deep = '{"a":' * 400 + "1" + "}" * 400
    node = import_traces(otlp(span(1, attributes={"deep": json.loads(deep)})))[0].root_nodes[0]

    assert '"a":1' in json.dumps(node.metadata["deep"]).replace("\\", "")


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["0", "-1", "9" * 30, "\ud800", "0x", "NaN", "2026-99-99T00:00:00Z"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.sampled_from(["key", "value", "values", "code", "name"]), st.integers()),
)


def places_in(value: Any) -> list[tuple[Any, Any]]:
    """Return every place in a document where a value can be put."""
    found: list[tuple[Any, Any]] = []
    for one in objects_in(value):
        found += [(one, key) for key in one]
        for item in one.values():
            found += [(item, place) for place in range(len(item) if isinstance(item, list) else 0)]
    return found


SMALL = [path for path in SAMPLES if path.suffix == ".json" and path.stat().st_size < 12_000]


@settings(max_examples=400)
@given(st.data())
def test_a_damaged_document_loads_or_raises_the_one_error(data: st.DataObject) -> None:
    document = copy.deepcopy(json.loads(data.draw(st.sampled_from(SMALL)).read_text()))
    for _ in range(data.draw(st.integers(1, 3))):
        owner, key = data.draw(st.sampled_from(places_in(document)))
        owner[key] = data.draw(JUNK)
    try:
        traces = import_traces(json.dumps(document))
    except TraceLoadError:
        return
    for trace in traces:
        assert len(list(trace.walk())) == len(trace.nodes)
        assert TraceGraph.from_dict(json.loads(trace_to_json(trace))).nodes.keys() == (
            trace.nodes.keys()
        )


@settings(max_examples=200)
@given(st.sampled_from(SMALL), st.data())
def test_damaged_bytes_load_or_raise_the_one_error(path: Path, data: st.DataObject) -> None:
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        import_traces(bytes(raw))
    except TraceLoadError:
        return


TREES = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.booleans()), max_size=12)


@given(TREES)
def test_no_node_vanishes_from_any_set_of_spans(records: list[tuple[int, int, bool]]) -> None:
    spans = [
        span(number, parent, **({} if ended else {"endTimeUnixNano": None}))
        for number, parent, ended in records
    ]
    traces = import_traces(otlp(*spans)) if spans else []

    assert sum(len(list(trace.walk())) for trace in traces) == len(spans)
