"""One trace, written in the ways in which tools differ, is read as one and the same."""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logtracer import NodeStatus, TraceGraph, TraceLoadError
from logtracer_extras.importers import import_file, import_traces
from logtracer_extras.otlp import encode_requests
from otlp_traces import document, traces

FOREIGN = Path(__file__).parents[1] / "data" / "foreign"
Request = dict[str, Any]

# ---- OTLP in other spellings ---------------------------------------------------------------------

ID_NAMES = ("traceId", "spanId", "parentSpanId")


def changed(value: Any, change: Callable[[str, Any], tuple[str, Any]]) -> Any:
    """Return a document with each member of each object changed, the innermost first."""
    if isinstance(value, list):
        return [changed(item, change) for item in value]
    if not isinstance(value, dict):
        return value
    return dict(change(key, changed(item, change)) for key, item in value.items())


def with_ids(write: Callable[[str], str]) -> Callable[[Request], str]:
    return lambda request: json.dumps(
        changed(request, lambda key, value: (key, write(value) if key in ID_NAMES else value))
    )


def with_numbers(request: Request) -> str:
    names = ("intValue", "startTimeUnixNano", "endTimeUnixNano", "timeUnixNano")
    return json.dumps(
        changed(request, lambda key, value: (key, int(value) if key in names else value))
    )


def in_snake_case(request: Request) -> str:
    def snake(key: str, value: Any) -> tuple[str, Any]:
        return re.sub("[A-Z]", lambda found: "_" + found[0].lower(), key), value

    return json.dumps(changed(request, snake))


def renamed(**names: str) -> Callable[[Request], str]:
    return lambda request: json.dumps(
        changed(request, lambda key, value: (names.get(key, key), value))
    )


def spans_in(request: Request) -> list[Request]:
    found: list[Request] = request["resourceSpans"][0]["scopeSpans"][0]["spans"]
    return found


def request_of(*spans: Request) -> str:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]})


OTLP: dict[str, Callable[[Request], str | bytes]] = {
    "upper case": with_ids(str.upper),
    "base64": with_ids(lambda text: base64.b64encode(bytes.fromhex(text)).decode()),
    "0x": with_ids("0x{}".format),
    "numbers": with_numbers,
    "snake case": in_snake_case,
    "Tempo's batches": renamed(
        resourceSpans="batches", scopeSpans="instrumentationLibrarySpans", scope="library"
    ),
    "Tempo's answer": lambda request: json.dumps({"trace": request}),
    "Jaeger's answer": lambda request: json.dumps({"result": request}),
    "indented": lambda request: json.dumps(request, indent=2),
    "a line for each span": lambda request: "\n".join(map(request_of, spans_in(request))),
    "bare spans, a line each": lambda request: "\n".join(map(json.dumps, spans_in(request))),
    "a list of spans": lambda request: json.dumps(spans_in(request)),
    "children first": lambda request: request_of(*reversed(spans_in(request))),
    "UTF-16": lambda request: json.dumps(request).encode("utf-16"),
    "a byte order mark": lambda request: json.dumps(request).encode("utf-8-sig"),
}

# ---- The same spans as other programs print them -------------------------------------------------


def plain(value: dict[str, Any]) -> Any:
    """Return what an OTLP value holds."""
    ((kind, inner),) = value.items()
    if kind == "arrayValue":
        return [plain(item) for item in inner["values"]]
    return int(inner) if kind == "intValue" else inner


def attributes_of(record: Request) -> dict[str, Any]:
    return {item["key"]: plain(item["value"]) for item in record.get("attributes", [])}


def iso(nanoseconds: str) -> str:
    seconds, rest = divmod(int(nanoseconds), 10**9)
    moment = datetime.fromtimestamp(seconds, timezone.utc).replace(microsecond=rest // 1_000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def python_context(record: Request) -> dict[str, str]:
    return {"trace_id": "0x" + record["traceId"], "span_id": "0x" + record["spanId"]}


def python_span(span: Request) -> Request:
    """Return a span as Python's console exporter prints it."""
    status = span.get("status", {})
    events = [
        {
            "name": one["name"],
            "timestamp": iso(one["timeUnixNano"]),
            "attributes": attributes_of(one),
        }
        for one in span.get("events", [])
    ]
    return {
        "name": span["name"],
        "context": {**python_context(span), "trace_state": "[]"},
        "kind": "SpanKind.INTERNAL",
        "parent_id": "0x" + span["parentSpanId"] if "parentSpanId" in span else None,
        "start_time": iso(span["startTimeUnixNano"]),
        "end_time": iso(span["endTimeUnixNano"]),
        "status": {"status_code": ("UNSET", "OK", "ERROR")[status.get("code", 0)]},
        "attributes": attributes_of(span),
        "events": events,
        "links": [
            {"context": python_context(link), "attributes": attributes_of(link)}
            for link in span.get("links", [])
        ],
    }


def javascript_span(span: Request) -> Request:
    """Return a span as JavaScript's SDK holds it."""

    def moment(text: str) -> list[int]:
        return list(divmod(int(text), 10**9))

    return {
        "name": span["name"],
        "_spanContext": {"traceId": span["traceId"], "spanId": span["spanId"], "traceFlags": 1},
        "parentSpanId": span.get("parentSpanId"),
        "kind": 0,
        "startTime": moment(span["startTimeUnixNano"]),
        "endTime": moment(span["endTimeUnixNano"]),
        "status": span.get("status", {"code": 0}),
        "attributes": attributes_of(span),
        "events": [
            {**one, "time": moment(one["timeUnixNano"]), "attributes": attributes_of(one)}
            for one in span.get("events", [])
        ],
        "links": [
            {"context": link, "attributes": attributes_of(link)} for link in span.get("links", [])
        ],
    }


PRINTED: dict[str, Callable[[Request], str | bytes]] = {
    "Python's console": lambda request: "\n".join(
        json.dumps(python_span(span), indent=4) for span in spans_in(request)
    ),
    "JavaScript's spans": lambda request: json.dumps(list(map(javascript_span, spans_in(request)))),
}


@pytest.mark.parametrize("way", [*OTLP, *PRINTED])
@settings(max_examples=25)
@given(trace=traces())
def test_a_trace_is_the_same_however_it_is_written(way: str, trace: TraceGraph) -> None:
    request = json.loads(next(iter(encode_requests([trace]))))
    written = {**OTLP, **PRINTED}[way](request)

    (again,) = import_traces(written)
    assert document(again) == document(trace)


# ---- Jaeger --------------------------------------------------------------------------------------


def jaeger_span(span: Request) -> Request:
    """Return a span as Jaeger's API gives it; our own names are left out."""
    start, end = (int(span[f"{name}TimeUnixNano"]) // 1_000 for name in ("start", "end"))
    reference = {"refType": "CHILD_OF", "traceID": span["traceId"]}
    failed = [{"key": "otel.status_code", "type": "string", "value": "ERROR"}]
    return {
        "traceID": span["traceId"],
        "spanID": span["spanId"],
        "operationName": span["name"],
        "references": [{**reference, "spanID": span["parentSpanId"]}]
        if "parentSpanId" in span
        else [],
        "startTime": start,
        "duration": end - start,
        "tags": failed if span.get("status", {}).get("code") == 2 else [],
        "logs": [],
        "processID": "p1",
    }


def skeleton(trace: TraceGraph) -> list[Any]:
    return sorted(
        (node.id, node.name, node.parent_id, node.start_time, node.end_time, failed)
        for node in trace.nodes.values()
        for failed in [node.status == NodeStatus.FAILED]
    )


@settings(max_examples=50)
@given(traces(plain=True))
def test_jaeger_keeps_the_tree_the_times_and_what_failed(trace: TraceGraph) -> None:
    request = json.loads(next(iter(encode_requests([trace]))))
    spans = [jaeger_span(span) for span in spans_in(request)]
    data = {"traceID": trace.trace_id, "spans": spans, "processes": {"p1": {"serviceName": "s"}}}

    (again,) = import_traces(json.dumps({"data": [data], "errors": None}))
    assert skeleton(again) == skeleton(trace)


# ---- LangSmith -----------------------------------------------------------------------------------


def run(number: int, **facts: Any) -> Request:
    """Return a run as LangSmith's API gives it."""
    made = {"id": f"00000000-0000-4000-8000-{number:012x}", "run_type": "chain", "name": "step"}
    times = {"start_time": "2026-01-01T00:00:00", "end_time": "2026-01-01T00:00:01.5"}
    return {**made, **times, **facts}


def test_runs_within_runs_become_nodes_below_them() -> None:
    inner = run(3, run_type="tool", parent_run_id=None)
    nested = run(1, child_runs=[run(2, child_runs=[inner]), run(4)])
    (trace,) = import_traces(json.dumps(nested))

    assert [level for level, _ in trace.walk()] == [0, 1, 2, 1]
    assert not any("logtracer.import.note" in node.metadata for node in trace.nodes.values())


@pytest.mark.parametrize(
    "facts",
    [
        {"extra": {"metadata": {"usage_metadata": {"input_tokens": 7, "output_tokens": 2}}}},
        {"outputs": {"usage_metadata": {"input_tokens": 7, "output_tokens": 2}}},
        {"outputs": {"llm_output": {"token_usage": {"prompt_tokens": 7, "completion_tokens": 2}}}},
        {"prompt_tokens": 7, "completion_tokens": 2},
    ],
)
def test_the_tokens_of_a_run_are_found_wherever_they_are(facts: dict[str, Any]) -> None:
    (trace,) = import_traces(json.dumps([run(1, run_type="llm", **facts)]))
    metadata = trace.root_nodes[0].metadata

    assert metadata["gen_ai.usage.input_tokens"] == 7
    assert metadata["gen_ai.usage.output_tokens"] == 2


def test_a_runs_times_may_be_milliseconds_and_its_error_a_mere_status() -> None:
    times = {"start_time": 1_700_000_000_000, "end_time": 1_700_000_000_250}
    (trace,) = import_traces(json.dumps({"runs": [run(1, **times, status="error")]}))

    assert trace.root_nodes[0].duration_ms == 250
    assert trace.root_nodes[0].status == NodeStatus.FAILED


# ---- Inspect's archives --------------------------------------------------------------------------

LOG = json.loads((FOREIGN / "inspect_security_guide.json").read_text(encoding="utf-8"))


def archive(files: dict[str, str], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a log as the archive that Inspect writes, some of its parts replaced by these."""
    parts = {"header": json.dumps({**LOG, "samples": None})}
    for number, sample in enumerate(LOG["samples"]):
        parts[f"samples/{number}_epoch_1"] = json.dumps(sample)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as made:
        for name, text in {**parts, **files}.items():
            made.writestr(name + ".json", text)
    return out.getvalue()


def test_an_archive_says_the_same_as_the_log() -> None:
    packed = import_traces(archive({}))
    loose = import_file(FOREIGN / "inspect_security_guide.json")

    assert [trace.to_dict() for trace in packed] == [trace.to_dict() for trace in loose]


def test_a_damaged_sample_does_not_cost_the_others() -> None:
    found = import_traces(archive({"samples/0_epoch_1": "{oops"}))

    assert len(found) == len(LOG["samples"]) - 1
    assert found[0].metadata["logtracer.damaged_lines"] == 1


def test_the_header_of_a_run_that_goes_on_lies_in_its_journal() -> None:
    started = archive({"_journal/start": json.dumps({"eval": LOG["eval"]})})

    assert import_traces(started.replace(b"header.json", b"header.tmp?"))
    with pytest.raises(TraceLoadError, match="not of an Inspect log"):
        import_traces(archive({}).replace(b"header.json", b"header.tmp?"))


def test_messages_that_are_kept_apart_are_put_back() -> None:
    call = {"event": "model", "model": "m/n", "input": [], "input_refs": [[0, 2]], "output": {}}
    pool = [{"role": "system", "content": "help"}, {"role": "user", "content": "hi"}]
    sample = {"id": 1, "epoch": 1, "events": [call], "events_data": {"messages": pool}}
    (trace,) = import_traces(json.dumps({"eval": {"task": "t"}, "samples": [sample]}))

    assert list(trace.nodes.values())[1].input_data["messages"] == pool


def test_logs_of_2024_have_their_events_in_a_transcript() -> None:
    events = [{"event": "step", "action": "begin", "name": "s"}, {"event": "model", "model": "m"}]
    sample = {"id": 1, "epoch": 1, "transcript": {"events": events, "content": {}}}
    (trace,) = import_traces(json.dumps({"eval": {}, "samples": [sample]}))

    assert [level for level, _ in trace.walk()] == [0, 1, 2]


SMALL = archive({"samples/0_epoch_1": '{"id": 1, "epoch": 1}'}, zipfile.ZIP_STORED)


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_archive_loads_or_raises_the_one_error(data: st.DataObject) -> None:
    raw = bytearray(SMALL)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        import_traces(bytes(raw))
    except TraceLoadError:
        return


# ---- Lists of messages ---------------------------------------------------------------------------


def test_items_of_openais_responses_become_calls_and_answers() -> None:
    items = [
        {"role": "user", "content": "How warm is it?"},
        {"type": "reasoning", "summary": []},
        {"type": "function_call", "call_id": "c", "name": "weather", "arguments": '{"city": "B"}'},
        {"type": "function_call_output", "call_id": "c", "output": "42"},
    ]
    (trace,) = import_traces(json.dumps(items))
    nodes = list(trace.nodes.values())[1:]

    assert [node.node_type for node in nodes] == ["human_input", "llm_call", "tool_call"]
    assert (nodes[2].name, nodes[2].input_data) == ("weather", {"city": "B"})
