"""Turn the records of tools with words of their own into OpenTelemetry's words for a span.

Langfuse, Zipkin, Datadog, AWS X-Ray, Logfire, the OpenAI Agents SDK, rows of Phoenix's span
table, and what Go's and JavaScript's exporters print. Each format is a test that knows a document
and a function that gives the spans in it; the importers read those like any other span.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from logtracer_extras.conventions import parse_json
from logtracer_extras.lenient import first_of, integer_of, object_of, objects_in

__all__ = ["RECORD_FORMATS", "SHARED"]

Record = dict[str, Any]
SHARED = "logtracer.shared"  # under which a record holds what is said of its whole trace

_MICROSECOND = 1_000  # nanoseconds
_MILLISECOND = 1_000_000


def _renamed(record: Record, names: Mapping[str, str], **changes: Any) -> Record:
    """Return a record under other names; what nobody has a name for stays as it is."""
    return {names.get(key, key): value for key, value in record.items()} | changes


def _times(start: Any, duration: Any, unit: int) -> Record:
    """Return a start and an end in nanoseconds."""
    begun, lasted = integer_of(start), integer_of(duration)
    if begun is None:
        return {"startTime": start}
    end = None if lasted is None else (begun + lasted) * unit
    return {"startTime": begun * unit, "endTime": end}


def _without_none(record: Mapping[str, Any]) -> Record:
    return {key: value for key, value in record.items() if value is not None}


# ---- Langfuse: a trace with its observations, or observations alone ------------------------------


def _is_observation(record: Record) -> bool:
    return "id" in record and ("parentObservationId" in record or "parent_observation_id" in record)


def _is_langfuse_trace(document: Record) -> bool:
    items = document.get("observations")
    return isinstance(items, list) and ("id" in document or isinstance(document.get("trace"), dict))


def _langfuse_trace(document: Record) -> Iterator[Record]:
    """Give the observations of a trace, or the trace itself when they are only counted or named."""
    trace = object_of(document.get("trace")) or document
    about = {key: value for key, value in trace.items() if key != "observations"}
    items = document["observations"]
    if not (items and isinstance(items[0], dict)):
        yield _observation({"type": "SPAN", "startTime": trace.get("timestamp"), **about})
        return
    session = {
        "session.id": first_of(trace, "sessionId", "session_id"),
        "user.id": first_of(trace, "userId", "user_id"),
        "langfuse.trace.tags": trace.get("tags"),
    }
    for item in objects_in(items, "observations"):
        span = _observation({"traceId": trace.get("id"), **item})
        if span.get("parentSpanId") is None:
            span["attributes"].update(_without_none(session))
        yield span | {SHARED: {"langfuse.trace": about}}


def _observation(record: Record) -> Record:
    attributes = {
        f"langfuse.observation.{name}": first_of(record, *keys)
        for name, keys in _OBSERVATION_ATTRIBUTES.items()
    }
    usage = attributes["langfuse.observation.usage_details"]
    if not usage:
        attributes["langfuse.observation.usage_details"] = record.get("usage")
    rest = {key: value for key, value in record.items() if key not in _OBSERVATION_TAKEN}
    return rest | {
        "traceId": first_of(record, "traceId", "trace_id", "id"),
        "spanId": record.get("id"),
        "parentSpanId": first_of(record, "parentObservationId", "parent_observation_id"),
        "startTime": first_of(record, "startTime", "start_time"),
        "endTime": first_of(record, "endTime", "end_time") or _instant_end(record),
        "attributes": _without_none(attributes),
    }


def _instant_end(record: Record) -> Any:
    """An event of Langfuse has no end because it takes no time."""
    is_event = record.get("type") == "EVENT"
    return first_of(record, "startTime", "start_time") if is_event else None


_OBSERVATION_ATTRIBUTES = {
    "type": ("type",),
    "input": ("input",),
    "output": ("output",),
    "level": ("level",),
    "status_message": ("statusMessage", "status_message"),
    "model.name": ("model", "providedModelName"),
    "model.parameters": ("modelParameters", "model_parameters"),
    "usage_details": ("usageDetails", "usage_details"),
    "cost_details": ("costDetails", "cost_details"),
}
_OBSERVATION_TAKEN = {
    "id",
    "parentObservationId",
    "parent_observation_id",
    *(key for keys in _OBSERVATION_ATTRIBUTES.values() for key in keys),
}


# ---- Zipkin, and what JavaScript's console exporter prints: microseconds -------------------------


def _is_micro_span(record: Record) -> bool:
    return (
        "traceId" in record
        and "id" in record
        and "spanId" not in record
        and any(name in record for name in ("timestamp", "duration", "localEndpoint", "tags"))
    )


def _micro_span(record: Record) -> Iterator[Record]:
    tags = object_of(first_of(record, "attributes", "tags"))
    times = _times(record.get("timestamp"), record.get("duration"), _MICROSECOND)
    service = object_of(record.get("localEndpoint")).get("serviceName")
    taken = ("id", "timestamp", "duration", "tags", "annotations")
    span = {key: value for key, value in record.items() if key not in taken}
    span |= {"spanId": record.get("id"), "attributes": tags, **times}
    if type(record.get("kind")) is int:
        span["kind"] = record["kind"] + 1  # JavaScript's own numbers have no "unspecified"
    if "error" in tags and "status" not in record:  # Zipkin: there is such a tag, or there is not
        span["status"] = {"code": 2, "message": tags["error"]}
    if service:
        span["resource"] = {"attributes": {"service.name": service}}
    notes = objects_in(record.get("annotations"), "annotations")
    if notes:
        span["events"] = [_zipkin_event(note) for note in notes]
    yield span


def _zipkin_event(note: Record) -> Record:
    return {"name": note.get("value"), **_at(note.get("timestamp"), _MICROSECOND)}


def _at(moment: Any, unit: int) -> Record:
    number = integer_of(moment)
    return {"time": moment if number is None else number * unit}


# ---- Datadog: spans of its tracers, and of LLM Observability -------------------------------------


def _is_datadog(record: Record) -> bool:
    return "span_id" in record and (
        "start_ns" in record or ("start" in record and "duration" in record)
    )


def _datadog_span(record: Record) -> Iterator[Record]:
    meta = object_of(record.get("meta"))
    start = first_of(record, "start_ns", "start")
    failed = record.get("status") == "error" or record.get("error") in (1, True)
    rest = {key: value for key, value in record.items() if key not in _DATADOG_TAKEN}
    parent = record.get("parent_id")
    yield rest | {
        "name": first_of(record, "name", "resource"),
        "parent_id": None if parent in ("undefined", 0, "0") else parent,
        **_times(start, record.get("duration"), 1),
        "attributes": _datadog_attributes(record, meta),
        "status": {"code": 2 if failed else 0, "message": _datadog_error(meta)},
    }


_DATADOG_TAKEN = {"meta", "metrics", "start", "start_ns", "duration", "error", "status"}


def _datadog_error(meta: Record) -> Any:
    return first_of(meta, "error.message", "error.msg") or object_of(meta.get("error")).get(
        "message"
    )


def _datadog_attributes(record: Record, meta: Record) -> Record:
    attributes = {**meta, **object_of(record.get("metrics"))}
    kind = first_of(meta, "span.kind", "kind")
    if "start_ns" not in record:
        return attributes
    attributes["openinference.span.kind"] = kind  # the same words
    for name, canonical in _DATADOG_NAMES.items():
        if name in attributes:
            attributes[canonical] = attributes.pop(name)
    for way in ("input", "output"):
        said = object_of(attributes.pop(way, None))
        messages = said.get("messages")
        attributes[f"{way}.value"] = said if messages is None else {"messages": messages}
    return {key: value for key, value in attributes.items() if value not in (None, {})}


_DATADOG_NAMES = {
    "model_name": "gen_ai.request.model",
    "model_provider": "gen_ai.provider.name",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_input_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_input_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "total_tokens": "llm.token_count.total",
}


# ---- AWS X-Ray: segments with subsegments in them; seconds as fractions --------------------------


def _is_xray(document: Record) -> bool:
    if isinstance(first_of(document, "Traces", "Segments"), list):
        return True
    trace_id = document.get("trace_id")
    return isinstance(trace_id, str) and trace_id.startswith("1-") and "id" in document


def _xray_spans(document: Record) -> Iterator[Record]:
    waiting = [(segment, None, None) for segment in reversed(list(_segments(document)))]
    while waiting:
        segment, trace_id, parent = waiting.pop()
        trace_id = segment.get("trace_id", trace_id)
        inner = objects_in(segment.get("subsegments"), "subsegments")
        waiting += [(item, trace_id, segment.get("id")) for item in reversed(inner)]
        yield _xray_span(segment, trace_id, segment.get("parent_id", parent))


def _segments(document: Record) -> Iterator[Record]:
    """Give the segments of an answer of the API, each of which is a JSON text, or one alone."""
    if "Traces" not in document and "Segments" not in document:
        yield document
        return
    for trace in objects_in(document.get("Traces", [document]), "Traces"):
        for segment in objects_in(trace.get("Segments"), "Segments"):
            text = parse_json(segment.get("Document"))
            yield text if isinstance(text, dict) else {**segment, "id": segment.get("Id")}


def _xray_span(segment: Record, trace_id: Any, parent: Any) -> Record:
    failed = any(segment.get(name) for name in ("fault", "error", "throttle"))
    taken = ("id", "trace_id", "subsegments", "start_time", "end_time", "annotations", "error")
    rest = {key: value for key, value in segment.items() if key not in taken}
    causes = object_of(segment.get("cause")).get("exceptions")
    return rest | {
        "trace_id": trace_id[2:].replace("-", "") if isinstance(trace_id, str) else None,
        "span_id": segment.get("id"),
        "parent_id": parent,
        "startTime": _from_seconds(segment.get("start_time")),
        "endTime": _from_seconds(segment.get("end_time")),
        "attributes": object_of(segment.get("annotations")),
        "status": {"code": 2 if failed else 0},
        "events": [_xray_exception(cause) for cause in objects_in(causes, "exceptions")],
    }


def _xray_exception(cause: Record) -> Record:
    words = {"exception.type": cause.get("type"), "exception.message": cause.get("message")}
    return {"name": "exception", "attributes": _without_none(words)}


def _from_seconds(value: Any) -> Any:
    """Return nanoseconds of a time in seconds, to the microsecond that a float can hold."""
    if not isinstance(value, (int, float)) or not 0 <= value < 1e11:
        return value
    return round(value * 1_000_000) * _MICROSECOND


# ---- Rows of Phoenix's span table: every column a dotted name ------------------------------------


def _is_row(record: Record) -> bool:
    return "context.span_id" in record


def _rows(document: Record) -> Iterator[Record]:
    """Give the spans of a row, or of a whole table whose columns are objects."""
    if not isinstance(document["context.span_id"], dict):
        yield _row(document)
        return
    for key in document["context.span_id"]:
        yield _row({name: object_of(column).get(key) for name, column in document.items()})


def _row(record: Record) -> Record:
    prefix = "attributes."
    span = {key: value for key, value in record.items() if not key.startswith(prefix)}
    attributes = {
        key[len(prefix) :]: value
        for key, value in record.items()
        if key.startswith(prefix) and value not in (None, "NaN")  # pandas fills gaps with these
    }
    for name in ("trace_id", "span_id"):
        span[name] = span.pop(f"context.{name}", None)
    for name in ("start_time", "end_time"):
        span[name] = _from_pandas(span.get(name))
    if span.get("parent_id") == "NaN":
        span["parent_id"] = None
    return span | {"attributes": attributes}


def _from_pandas(value: Any) -> Any:
    """Return nanoseconds: pandas writes times as milliseconds, unless told a finer unit."""
    number = integer_of(value)
    if number is None:
        return value
    for unit in (_MILLISECOND, _MICROSECOND):
        if abs(number) * unit < 10**19:
            return number * unit
    return number


# ---- Logfire: rows of its `records` table --------------------------------------------------------


def _is_logfire(record: Record) -> bool:
    return "start_timestamp" in record and "span_id" in record


def _logfire_span(record: Record) -> Iterator[Record]:
    names = {
        "span_name": "name",
        "start_timestamp": "start_time",
        "end_timestamp": "end_time",
        "otel_events": "events",
        "otel_links": "links",
        "otel_resource_attributes": "resource",
    }
    attributes = dict(object_of(parse_json(record.get("attributes"))))
    if record.get("exception_type"):
        attributes["error.type"] = record["exception_type"]
    code = record.get("otel_status_code") or ("ERROR" if record.get("is_exception") else None)
    message = first_of(record, "exception_message", "otel_status_message")
    lists = {key: _listed(record.get(key)) for key in ("otel_events", "otel_links")}
    resource = {"attributes": object_of(parse_json(record.get("otel_resource_attributes")))}
    yield _renamed(
        record | lists | {"otel_resource_attributes": resource},
        names,
        kind=record.get("otel_span_kind"),
        attributes=attributes,
        status={"code": code, "message": message},
    )


def _listed(value: Any) -> Any:
    found = parse_json(value)
    return [
        {**object_of(item), "name": first_of(object_of(item), "name", "event_name")}
        for item in (found if isinstance(found, list) else [])
    ]


# ---- The OpenAI Agents SDK -----------------------------------------------------------------------


def _is_agents_sdk(record: Record) -> bool:
    return record.get("object") in ("trace", "trace.span")


def _agents_sdk_span(record: Record) -> Iterator[Record]:
    if record["object"] == "trace":  # says the same of the whole that its spans do
        return
    data = object_of(record.get("span_data"))
    kind = str(data.get("type"))
    usage = object_of(data.get("usage"))
    attributes = {
        "openinference.span.kind": _AGENTS_SDK_KINDS.get(kind),
        "input.value": data.get("input"),
        "output.value": data.get("output"),
        "gen_ai.request.model": data.get("model"),
        "gen_ai.usage.input_tokens": usage.get("input_tokens"),
        "gen_ai.usage.output_tokens": usage.get("output_tokens"),
    }
    taken = ("type", "name", "input", "output", "model")
    attributes |= {f"openai.{key}": data[key] for key in data if key not in taken}
    error = record.get("error")
    rest = {key: value for key, value in record.items() if key not in _AGENTS_SDK_TAKEN}
    yield rest | {
        "name": data.get("name") or kind,
        "spanId": record.get("id"),
        "startTime": record.get("started_at"),
        "endTime": record.get("ended_at"),
        "attributes": _without_none(attributes),
        "status": {"code": 2 if error else 0, "message": object_of(error).get("message", error)},
    }


_AGENTS_SDK_TAKEN = ("object", "id", "started_at", "ended_at", "span_data", "error")
_AGENTS_SDK_KINDS = {
    "agent": "AGENT",
    "generation": "LLM",
    "response": "LLM",
    "function": "TOOL",
    "mcp_tools": "TOOL",
    "guardrail": "GUARDRAIL",
    "handoff": "CHAIN",
}


# ---- Go: what its console exporter prints --------------------------------------------------------


def _is_go(record: Record) -> bool:
    return isinstance(record.get("SpanContext"), dict) and "Name" in record


def _go_span(record: Record) -> Iterator[Record]:
    status = object_of(record.get("Status"))
    scope = object_of(first_of(record, "InstrumentationScope", "InstrumentationLibrary"))
    rest = {key: value for key, value in record.items() if key not in _GO_TAKEN}
    yield rest | {
        "name": record.get("Name"),
        "context": _go_ids(record.get("SpanContext")),
        "parent": _go_ids(record.get("Parent")),
        "kind": record.get("SpanKind", 1),
        "startTime": record.get("StartTime"),
        "endTime": record.get("EndTime"),
        "attributes": _go_values(record.get("Attributes")),
        "resource": {"attributes": _go_values(record.get("Resource"))},
        "instrumentationScope": {"name": scope.get("Name"), "version": scope.get("Version")},
        "status": {"code": status.get("Code"), "message": status.get("Description")},
        "events": [_go_event(event) for event in objects_in(record.get("Events"), "Events")],
        "links": [_go_link(link) for link in objects_in(record.get("Links"), "Links")],
    }


_GO_TAKEN = {
    "Name",
    "SpanContext",
    "Parent",
    "SpanKind",
    "StartTime",
    "EndTime",
    "Attributes",
    "Resource",
    "InstrumentationScope",
    "InstrumentationLibrary",
    "Status",
    "Events",
    "Links",
}


def _go_ids(context: Any) -> Record:
    return {
        "trace_id": object_of(context).get("TraceID"),
        "span_id": object_of(context).get("SpanID"),
    }


def _go_event(event: Record) -> Record:
    attributes = _go_values(event.get("Attributes"))
    return {"name": event.get("Name"), "time": event.get("Time"), "attributes": attributes}


def _go_link(link: Record) -> Record:
    return {
        "context": _go_ids(link.get("SpanContext")),
        "attributes": _go_values(link.get("Attributes")),
    }


def _go_values(items: Any) -> Record:
    return {
        str(item.get("Key")): object_of(item.get("Value")).get("Value", item.get("Value"))
        for item in objects_in(items, "Attributes")
    }


# ---- All of them ---------------------------------------------------------------------------------


def _observations(record: Record) -> Iterator[Record]:
    yield _observation(record)


RECORD_FORMATS: tuple[
    tuple[str, Callable[[Record], bool], Callable[[Record], Iterator[Record]]], ...
] = (
    ("langfuse", _is_langfuse_trace, _langfuse_trace),
    ("langfuse", _is_observation, _observations),
    ("go", _is_go, _go_span),
    ("phoenix", _is_row, _rows),
    ("logfire", _is_logfire, _logfire_span),
    ("openai_agents", _is_agents_sdk, _agents_sdk_span),
    ("datadog", _is_datadog, _datadog_span),
    ("xray", _is_xray, _xray_spans),
    ("zipkin", _is_micro_span, _micro_span),
)
