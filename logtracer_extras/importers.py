"""Read other people's traces as logtracer's own; which format a file has shows in its content.

    from logtracer_extras.importers import import_file

    for trace in import_file("spans.jsonl"):
        print(trace.trace_id, len(trace.nodes))

Reads OpenTelemetry (OTLP as JSON, also in snake case, as JSON lines, as Tempo exports it, as
console exporters print it), with the attributes of OpenInference, GenAI, Traceloop, Langfuse,
pydantic-ai and the Vercel AI SDK; Jaeger; MLflow; LangSmith runs; Inspect logs; lists of chat
messages; logtracer's own files and those of nodetracer; what `span_records` turns into spans.

Every span becomes a node, whatever is wrong with it: a missing parent, a circle of parents, an id
used twice, no end. What is wrong is said in the node's metadata, under `logtracer.import.note`,
and so is everything that has no place of its own. A file that cannot be read raises
TraceLoadError, and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from logtracer import (
    Edge,
    EdgeType,
    Node,
    NodeStatus,
    NodeType,
    TraceGraph,
    TraceLoadError,
    trace_from_journal,
    trace_from_json,
)
from logtracer_extras.conventions import (
    NODE_TYPE,
    Facts,
    add_message_events,
    facts_of,
    is_message_event,
    parse_json,
    to_json,
    type_of_kind,
    well_formed,
)
from logtracer_extras.inspect_archive import ZIP, read_archive
from logtracer_extras.javascript_text import json_of_printed
from logtracer_extras.lenient import first_of, integer_of, object_of, objects_in
from logtracer_extras.span_records import RECORD_FORMATS, SHARED

__all__ = ["import_file", "import_traces"]

_MAX_FILE = 1 << 30  # bytes; a larger file is refused before it is read
_NOTE = "logtracer.import.note"
_FORMAT = "logtracer.import.format"
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LAST = datetime(9999, 12, 31, tzinfo=timezone.utc)


# ---- Reading values: total, whatever stands there ------------------------------------------------


def _text(value: Any) -> str:
    if isinstance(value, str):
        return well_formed(value)
    return "" if value is None else to_json(value)


def _optional_text(value: Any) -> str | None:
    return None if value in (None, "") else _text(value)


_MAX_DEPTH = 24  # levels of containers in one value


def _clean(value: Any, depth: int = 0) -> Any:
    """Return the value as data that every store takes; its deepest levels as one JSON text."""
    if isinstance(value, str):
        return well_formed(value)
    if not isinstance(value, (dict, list)):
        return value
    if depth == _MAX_DEPTH:
        return to_json(value)
    if isinstance(value, list):
        return [_clean(item, depth + 1) for item in value]
    return {well_formed(str(key)): _clean(item, depth + 1) for key, item in value.items()}


def _cleaned(values: Mapping[str, Any]) -> dict[str, Any]:
    return {well_formed(str(key)): _clean(value) for key, value in values.items()}


# ---- Reading ids ---------------------------------------------------------------------------------

_SPAN_DIGITS = 16
_TRACE_DIGITS = 32
_HEX = re.compile(r"(?:0x)?([0-9a-fA-F]{1,32})")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _id(value: Any, digits: int) -> str | None:
    """Return an id as lower-case hex of this size, None when there is none.

    Takes hex of either case, with 0x or without leading zeros, base64, UUIDs and numbers; any
    other text is hashed, so that equal ids stay equal.
    """
    if value is None or value == "" or isinstance(value, (dict, list, bool)):
        return None
    text = format(value, "x") if type(value) is int and value > 0 else str(value)
    found = _known_id(text, digits) or _hash(text, digits)
    return found if found.strip("0") else None


def _hash(text: str, digits: int) -> str:
    return hashlib.sha256(well_formed(text).encode()).hexdigest()[:digits]


def _known_id(text: str, digits: int) -> str | None:
    found = _HEX.fullmatch(text)
    if found and len(found[1]) <= digits:
        return found[1].lower().rjust(digits, "0")
    if digits == _TRACE_DIGITS and _UUID.fullmatch(text):
        return text.replace("-", "").lower()
    if len(text) in (digits * 3 // 4, -(-digits * 2 // 3)):  # with and without its padding
        return _from_base64(text, digits)
    return None


def _from_base64(text: str, digits: int) -> str | None:
    try:
        standard = text.replace("-", "+").replace("_", "/")
        found = base64.b64decode(standard + "=" * (-len(text) % 4), validate=True).hex()
    except (binascii.Error, ValueError):
        return None
    return found if len(found) == digits else None


# ---- Reading times -------------------------------------------------------------------------------

_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9})\d*)?\s*(Z|[+-]\d\d:?\d\d)?", re.ASCII
)


def _moment(value: Any) -> datetime | None:
    """Return a time given as nanoseconds, as [seconds, nanoseconds] or as ISO 8601 text."""
    if isinstance(value, list) and len(value) == 2:
        seconds, nanoseconds = integer_of(value[0]), integer_of(value[1])
        if seconds is None or nanoseconds is None:
            return None
        return _from_nanoseconds(seconds * 1_000_000_000 + nanoseconds)
    number = integer_of(value)
    if number is not None:
        return _from_nanoseconds(number) if number else None
    return _from_iso(value) if isinstance(value, str) else None


def _from_nanoseconds(number: int) -> datetime | None:
    try:
        return _EPOCH + timedelta(microseconds=(number + 500) // 1_000)
    except OverflowError:
        return None


def _from_iso(text: str) -> datetime | None:
    found = _ISO.fullmatch(text.strip())
    if found is None:
        return None
    day, time, fraction, zone = found.groups()
    zone = "+00:00" if zone in (None, "Z") else zone
    zone = zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"
    try:
        moment = datetime.fromisoformat(f"{day}T{time}.{(fraction or '')[:6]:0<6}{zone}")
        return moment.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


# ---- Spans: what every format is brought to ------------------------------------------------------


@dataclass(slots=True)
class _Link:
    """A reason why a span connects to another one, which came before it."""

    trace_id: str | None
    span_id: str | None
    attributes: dict[str, Any]


@dataclass(slots=True)
class _Span:
    """One step of somebody's trace, read but not yet joined to the others."""

    trace_id: str
    name: str
    facts: Facts
    span_id: str | None = None
    parent_id: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    status: NodeStatus | None = None
    error: str | None = None
    error_type: str | None = None
    error_traceback: str | None = None
    links: list[_Link] = field(default_factory=list)
    shared: dict[str, Any] = field(default_factory=dict)  # what most spans of its trace repeat
    own: dict[str, Any] = field(default_factory=dict)  # the logtracer.* attributes, if any
    format: str = ""
    node_id: str = ""

    @property
    def sequence_number(self) -> int:
        """The number its recorder gave it; zero when that was not logtracer."""
        return integer_of(self.own.get("logtracer.node.sequence_number")) or 0


_Read = Callable[[Any, str], Iterator[_Span]]


def _clean_facts(attributes: Mapping[str, Any], name: str) -> Facts:
    """Read a span's attributes, some of which hold JSON texts, which may hold anything again."""
    facts = facts_of(attributes, name)
    facts.input_data = _cleaned(facts.input_data)
    facts.output_data = _cleaned(facts.output_data)
    facts.annotations = [well_formed(text) for text in facts.annotations]
    facts.metadata = _cleaned(facts.metadata)
    return facts


# ---- OpenTelemetry: attributes -------------------------------------------------------------------


def _attributes(value: Any) -> dict[str, Any]:
    """Return attributes given as an object, as its JSON text or as a list of keys and values."""
    value = parse_json(value)
    if isinstance(value, dict):
        return value
    result = {}
    for item in objects_in(value, "attributes"):
        result[_text(item.get("key"))] = _any_value(item.get("value"))
    return result


_SIMPLE_VALUES = ("stringValue", "boolValue", "doubleValue", "bytesValue")
_SNAKE_VALUES = {
    "string_value": "stringValue",
    "bool_value": "boolValue",
    "int_value": "intValue",
    "double_value": "doubleValue",
    "bytes_value": "bytesValue",
    "array_value": "arrayValue",
    "kvlist_value": "kvlistValue",
}


def _any_value(value: Any, depth: int = 0) -> Any:
    """Return what an OTLP value holds; a plain one, as Jaeger has them, is what it is."""
    if not isinstance(value, dict):
        return value
    for name, inner in value.items():
        if inner is None:  # the empty cases of a choice, as Phoenix writes them
            continue
        name = _SNAKE_VALUES.get(name, name)
        if name in _SIMPLE_VALUES:
            return inner
        if name == "intValue":
            number = integer_of(inner)
            return inner if number is None else number
        if name == "arrayValue" and depth < _MAX_DEPTH:
            return [_any_value(item, depth + 1) for item in _values_in(inner)]
        if name == "kvlistValue" and depth < _MAX_DEPTH:
            return {
                _text(object_of(item).get("key")): _any_value(
                    object_of(item).get("value"), depth + 1
                )
                for item in _values_in(inner)
            }
    return None if not any(item is not None for item in value.values()) else value


def _values_in(inner: Any) -> list[Any]:
    values = object_of(inner).get("values")
    return values if isinstance(values, list) else []


# ---- OpenTelemetry: OTLP, Tempo, Phoenix, the console, the Vercel AI SDK -------------------------

_CONTAINERS = ("resourceSpans", "resource_spans", "batches")
_SCOPES = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans", "ilSpans")


def _is_otlp(document: dict[str, Any]) -> bool:
    return any(name in document for name in _CONTAINERS) or any(
        isinstance(document.get(name), dict) and _is_otlp(document[name])
        for name in ("trace", "result")
    )


def _read_otlp(document: dict[str, Any], source: str) -> Iterator[_Span]:
    for name in ("trace", "result"):  # how Tempo and Jaeger wrap it in their answers
        if isinstance(document.get(name), dict) and _is_otlp(document[name]):
            yield from _read_otlp(document[name], source)
    for group in objects_in(first_of(document, *_CONTAINERS), "resourceSpans"):
        resource = _attributes(object_of(group.get("resource")).get("attributes"))
        for scope_group in objects_in(first_of(group, *_SCOPES), "scopeSpans"):
            scope = object_of(first_of(scope_group, "scope", "instrumentationLibrary"))
            shared = _shared(resource, scope)
            for record in objects_in(scope_group.get("spans"), "spans"):
                yield _span_of(record, source, shared)


def _is_span(document: dict[str, Any]) -> bool:
    return isinstance(first_of(document, *_CONTEXT), dict) or bool(
        first_of(document, "spanId", "span_id")
    )


def _read_span(document: dict[str, Any], source: str) -> Iterator[_Span]:
    yield _span_of(document, source, {})


_LIST_NAMES = ("spans", "traces", "data", "rows")


def _is_span_list(document: dict[str, Any]) -> bool:
    items = first_of(document, *_LIST_NAMES)
    return isinstance(items, list) and _reader_of_list(items) is not None


def _read_span_list(document: dict[str, Any], source: str) -> Iterator[_Span]:
    return _read_items(objects_in(first_of(document, *_LIST_NAMES), "spans"), source)


def _is_grouped(document: dict[str, Any]) -> bool:
    """Tell whether spans stand in lists under names of somebody's own, as those of traces."""
    if not document or first_of(document, *_LIST_NAMES) is not None:
        return False  # looked at already: to look twice at every level would never end
    return all(
        isinstance(items, list) and _reader_of_list(items) is not None
        for items in document.values()
    )


def _read_grouped(document: dict[str, Any], source: str) -> Iterator[_Span]:
    for items in document.values():
        yield from _read_items(items, source)


def _shared(resource: Mapping[str, Any], scope: Mapping[str, Any]) -> dict[str, Any]:
    named = {key: scope[key] for key in ("name", "version") if scope.get(key)}
    named.update(_attributes(scope.get("attributes")))
    return {
        key: _clean(value)
        for key, value in (("otel.resource", dict(resource)), ("otel.scope", named))
        if value
    }


# The fields that `_span_of` takes; whatever else a record says is kept in the metadata.
_TRACE_ID = ("traceId", "trace_id", "traceID")
_SPAN_ID = ("spanId", "span_id", "spanID")
_PARENT_ID = ("parentSpanId", "parent_span_id", "parentSpanID", "parent_id", "parentId")
_START = ("startTimeUnixNano", "start_time_unix_nano", "startTime", "start_time")
_END = ("endTimeUnixNano", "end_time_unix_nano", "endTime", "end_time")
_CONTEXT = ("spanContext", "span_context", "context", "_spanContext")
_PARENT_CONTEXT = ("parentSpanContext", "parent_span_context", "parent")
_TAKEN = frozenset(
    (*_TRACE_ID, *_SPAN_ID, *_PARENT_ID, *_CONTEXT, *_PARENT_CONTEXT, *_START, *_END)
) | {
    "name",
    "status",
    "status_code",
    "status_message",
    "attributes",
    "events",
    "links",
    "resource",
    "instrumentationScope",
    "instrumentationLibrary",
    "kind",
    "flags",
}


def _span_of(record: dict[str, Any], source: str, shared: dict[str, Any]) -> _Span:
    """Read a span record in any of the spellings that OpenTelemetry tools use."""
    context = object_of(first_of(record, *_CONTEXT))
    parent = object_of(first_of(record, *_PARENT_CONTEXT))
    attributes = _cleaned(_attributes(record.get("attributes")))
    if type_of_kind(record.get("span_kind")) != NodeType.CUSTOM:  # where Phoenix says it again
        attributes.setdefault("openinference.span.kind", record["span_kind"])
    events = _with_messages_taken(record, attributes)
    name = _text(record.get("name"))
    trace_id = first_of(record, *_TRACE_ID) or first_of(context, *_TRACE_ID)
    span_id = first_of(record, *_SPAN_ID) or first_of(context, *_SPAN_ID)
    parent_id = first_of(record, *_PARENT_ID) or first_of(parent, *_SPAN_ID)
    span = _Span(
        _id(trace_id, _TRACE_DIGITS) or _hash(source, _TRACE_DIGITS),
        name,
        _clean_facts(attributes, name),
        _id(span_id, _SPAN_DIGITS),
        _id(parent_id, _SPAN_DIGITS),
        _moment(first_of(record, *_START)),
        _moment(first_of(record, *_END)),
        links=[_link_of(link) for link in objects_in(record.get("links"), "links")],
    )
    _read_status(span, record)
    if NODE_TYPE in attributes:
        span.own = {key: value for key, value in attributes.items() if key.startswith("logtracer")}
        _read_own(span)
    else:
        span.shared = shared or _shared_of(record)
        _keep_rest(span, record)
    _read_events(span, events)
    return span


def _with_messages_taken(
    record: dict[str, Any], attributes: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return the events of a span without those that stand for messages, unless said twice."""
    events = objects_in(record.get("events"), "events")
    if NODE_TYPE in attributes or "gen_ai.input.messages" in attributes:
        return events
    kept: list[dict[str, Any]] = []
    messages: list[dict[str, Any]] = []
    for event in events:
        name = event.get("name")
        if isinstance(name, str) and is_message_event(name):
            said = _cleaned(_attributes(event.get("attributes")))
            messages.append({**said, "event.name": name})
        else:
            kept.append(event)
    add_message_events(attributes, messages)
    return kept


def _shared_of(record: dict[str, Any]) -> dict[str, Any]:
    scope = first_of(record, "instrumentationScope", "instrumentationLibrary")
    resource = _attributes(object_of(record.get("resource")).get("attributes"))
    return _shared(resource, object_of(scope))


def _link_of(record: dict[str, Any]) -> _Link:
    context = object_of(first_of(record, *_CONTEXT)) or record
    return _Link(
        _id(first_of(context, *_TRACE_ID), _TRACE_DIGITS),
        _id(first_of(context, *_SPAN_ID), _SPAN_DIGITS),
        _cleaned(_attributes(record.get("attributes"))),
    )


def _read_status(span: _Span, record: dict[str, Any]) -> None:
    status = object_of(record.get("status"))
    code = first_of(status, "code", "status_code") or record.get("status_code") or ""
    metadata = span.facts.metadata
    message = first_of(status, "message", "description") or record.get("status_message")
    level = metadata.get("langfuse.observation.level")
    if level == "ERROR":
        message = message or metadata.get("langfuse.observation.status_message")
    if str(code) == "2" or "ERROR" in (str(code).upper().rpartition("_")[2], level):
        span.status = NodeStatus.FAILED
        span.error_type = _optional_text(metadata.get("error.type"))
    span.error = _optional_text(message)


def _read_events(span: _Span, events: list[dict[str, Any]]) -> None:
    """Take the exception into the node's error; keep every other event in its metadata."""
    kept = []
    is_taken = False
    for event in events:
        attributes = _cleaned(_attributes(event.get("attributes")))
        if event.get("name") == "exception" and not is_taken:
            _take_exception(span, attributes)
            is_taken = True
        else:
            kept.append(_event_of(event, attributes))
    if kept:
        span.facts.metadata["otel.events"] = kept


def _take_exception(span: _Span, attributes: dict[str, Any]) -> None:
    if "exception.message" in attributes:
        span.error = _text(attributes["exception.message"])
    if "exception.type" in attributes:
        span.error_type = _text(attributes["exception.type"])
    if "exception.stacktrace" in attributes:
        span.error_traceback = _text(attributes["exception.stacktrace"])


def _event_of(event: dict[str, Any], attributes: dict[str, Any]) -> dict[str, Any]:
    moment = _moment(first_of(event, "timeUnixNano", "time_unix_nano", "time", "timestamp"))
    return {
        "name": _text(event.get("name")),
        "time": None if moment is None else moment.isoformat(timespec="microseconds"),
        "attributes": attributes,
    }


def _read_own(span: _Span) -> None:
    """Take what our own exporter says beyond the attributes that every tool reads."""
    word = span.own.get("logtracer.node.status")
    span.status = _STATUSES.get(str(word)) or span.status or NodeStatus.COMPLETED
    span.error = span.error_type = None  # the exception event says exactly which of them it had
    for name in ("start", "end"):
        if span.own.get(f"logtracer.node.no_{name}"):
            setattr(span, name, None)


_STATUSES = {status.value: status for status in NodeStatus}


def _keep_rest(span: _Span, record: dict[str, Any]) -> None:
    """Keep in the metadata what no field of a node can hold."""
    metadata = span.facts.metadata
    for key, value in record.items():
        if key not in _TAKEN and value not in (None, "", 0, [], {}, "[]"):
            metadata[f"otel.{well_formed(key)}"] = _clean(value)
    kind = _kind(record.get("kind"))
    if isinstance(first_of(record, *_START), list) and type(record.get("kind")) is int:
        kind = _kind(record["kind"] + 1)  # JavaScript's own numbers have no "unspecified"
    if kind not in ("", "internal", "unspecified"):
        metadata["otel.kind"] = kind
    for name, value, moment in (
        ("otel.start_time", first_of(record, *_START), span.start),
        ("otel.end_time", first_of(record, *_END), span.end),
    ):
        if moment is None and value not in _NO_TIME:
            metadata[name] = _clean(value)
    _keep_ids(metadata, record)


_NO_TIME = (None, "", 0, "0", [0, 0])


def _keep_ids(metadata: dict[str, Any], record: dict[str, Any]) -> None:
    """Keep ids that are not OpenTelemetry's: the node has a hash of them."""
    context = object_of(first_of(record, *_CONTEXT))
    for names, digits in ((_TRACE_ID, _TRACE_DIGITS), (_SPAN_ID, _SPAN_DIGITS)):
        value = first_of(record, *names) or first_of(context, *names)
        if isinstance(value, str) and value and _known_id(value, digits) is None:
            metadata[f"otel.{names[1]}"] = well_formed(value)


_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")


def _kind(value: Any) -> str:
    """Return the kind of a span given as 3, SPAN_KIND_CLIENT, SpanKind.CLIENT or client."""
    if type(value) is int and 0 <= value < len(_KINDS):
        return _KINDS[value]
    return str(value or "").lower().rpartition("kind_")[2].rpartition(".")[2]


# ---- Attributes alone, without a span around them ------------------------------------------------

_KNOWN_ROOTS = {"gen_ai", "openinference", "llm", "traceloop", "langfuse", "logtracer", "ai"}


def _is_attributes(document: dict[str, Any]) -> bool:
    return any(key.partition(".")[0] in _KNOWN_ROOTS and "." in key for key in document)


def _read_attributes(document: dict[str, Any], source: str) -> Iterator[_Span]:
    attributes = _cleaned(document)
    name = _text(first_of(attributes, *_NAMES_IN_ATTRIBUTES) or "span")
    yield _Span(_hash(source, _TRACE_DIGITS), name, _clean_facts(attributes, name))


_NAMES_IN_ATTRIBUTES = (
    "gen_ai.tool.name",
    "gen_ai.agent.name",
    "gen_ai.request.model",
    "llm.model_name",
    "gen_ai.operation.name",
)


# ---- Jaeger --------------------------------------------------------------------------------------


def _is_jaeger(document: dict[str, Any]) -> bool:
    data = document.get("data", document)
    first = data[0] if isinstance(data, list) and data else data
    return isinstance(first, dict) and "traceID" in first and "spans" in first


def _read_jaeger(document: dict[str, Any], source: str) -> Iterator[_Span]:
    traces = document.get("data", [document])
    for trace in objects_in([traces] if isinstance(traces, dict) else traces, "data"):
        processes = {
            key: _attributes(object_of(process).get("tags"))
            | {"service.name": object_of(process).get("serviceName")}
            for key, process in object_of(trace.get("processes")).items()
        }
        for record in objects_in(trace.get("spans"), "spans"):
            resource = processes.get(str(record.get("processID")), {})
            yield _span_of(_from_jaeger(record), source, _shared(resource, {}))


def _is_jaeger_span(document: dict[str, Any]) -> bool:
    return "spanID" in document and "operationName" in document


def _read_jaeger_span(document: dict[str, Any], source: str) -> Iterator[_Span]:
    """Read a span alone, as Jaeger keeps them in Elasticsearch, with its process in it."""
    process = object_of(document.get("process"))
    resource = _attributes(process.get("tags")) | {"service.name": process.get("serviceName")}
    record = {key: value for key, value in document.items() if key != "process"}
    yield _span_of(_from_jaeger(record), source, _shared(resource, {}))


def _from_jaeger(record: dict[str, Any]) -> dict[str, Any]:
    """Return a Jaeger span in OpenTelemetry's words; its times are microseconds."""
    tags = _attributes(record.get("tags"))
    failed = tags.pop("otel.status_code", None) == "ERROR" or tags.get("error") in (True, "true")
    start = integer_of(record.get("startTime"))
    duration = integer_of(record.get("duration"))
    parent, others = _jaeger_references(record)
    rest = {key: value for key, value in record.items() if key not in _JAEGER_TAKEN}
    return rest | {
        "name": record.get("operationName"),
        "parentSpanId": parent,
        "startTime": None if start is None else start * 1_000,
        "endTime": None if start is None or duration is None else (start + duration) * 1_000,
        "attributes": tags,
        "kind": tags.pop("span.kind", None),
        "status": {
            "code": 2 if failed else 0,
            "message": tags.pop("otel.status_description", None),
        },
        "events": [_jaeger_event(log) for log in objects_in(record.get("logs"), "logs")],
        "links": others,
    }


_JAEGER_TAKEN = {
    "operationName",
    "references",
    "duration",
    "tags",
    "logs",
    "processID",
    "startTime",
}


def _jaeger_references(record: dict[str, Any]) -> tuple[Any, list[dict[str, Any]]]:
    """Return the parent's id, and as links the other spans referred to."""
    references = objects_in(record.get("references"), "references")
    parent = next((item for item in references if item.get("refType") == "CHILD_OF"), None)
    others = [
        {**item, "attributes": {"opentracing.ref_type": item.get("refType")}}
        for item in references
        if item is not parent
    ]
    return (None if parent is None else parent.get("spanID")), others


def _jaeger_event(log: dict[str, Any]) -> dict[str, Any]:
    fields = _attributes(log.get("fields"))
    moment = integer_of(log.get("timestamp"))
    return {
        "name": fields.pop("event", "log"),
        "time": None if moment is None else moment * 1_000,
        "attributes": fields,
    }


# ---- MLflow --------------------------------------------------------------------------------------


def _mlflow_parts(document: dict[str, Any]) -> tuple[Any, Any]:
    """Return what is said of a trace, and its spans: as the server answers, or as saved."""
    answer = document.get("trace", document)
    if isinstance(answer, dict) and isinstance(answer.get("trace_info"), dict):
        return answer["trace_info"], answer.get("spans")
    return document.get("info"), object_of(document.get("data")).get("spans")


def _is_mlflow(document: dict[str, Any]) -> bool:
    info, spans = _mlflow_parts(document)
    return isinstance(info, dict) and isinstance(spans, list)


def _read_mlflow(document: dict[str, Any], source: str) -> Iterator[_Span]:
    info, records = _mlflow_parts(document)
    for record in objects_in(records, "spans"):
        attributes = record.get("attributes")
        if isinstance(attributes, dict):  # as saved: every value is a JSON text
            attributes = {key: _from_json(value) for key, value in attributes.items()}
        yield _span_of({**record, "attributes": attributes}, source, {"mlflow.info": _clean(info)})


def _from_json(value: Any) -> Any:
    try:
        return json.loads(value, parse_constant=str) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value


# ---- LangSmith -----------------------------------------------------------------------------------


def _is_langsmith(document: dict[str, Any]) -> bool:
    runs = document.get("runs")
    if isinstance(runs, list) and runs and isinstance(runs[0], dict):
        return "run_type" in runs[0]
    return "run_type" in document


def _read_langsmith(document: dict[str, Any], source: str) -> Iterator[_Span]:
    for run in _runs_in(objects_in(document.get("runs", [document]), "runs")):
        name = _text(run.get("name"))
        attributes = _langsmith_attributes(run)
        span = _Span(
            _id(first_of(run, "trace_id", "id"), _TRACE_DIGITS) or _hash(source, _TRACE_DIGITS),
            name,
            _clean_facts(attributes, name),
            _id(run.get("id"), _SPAN_DIGITS),
            _id(run.get("parent_run_id"), _SPAN_DIGITS),
            _langsmith_moment(run.get("start_time")),
            _langsmith_moment(run.get("end_time")),
        )
        if run.get("error") or run.get("status") == "error":
            _read_langsmith_error(span, _text(run.get("error")))
        yield span


def _runs_in(runs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield every run, those within others too, which need not name what they are within."""
    waiting = runs[::-1]
    while waiting:
        run = waiting.pop()
        above = {"parent_run_id": run.get("id"), "trace_id": first_of(run, "trace_id", "id")}
        below = objects_in(run.get("child_runs"), "child_runs")
        waiting += [{**above, **_without_none(child)} for child in reversed(below)]
        yield run


def _without_none(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if value is not None}


def _langsmith_moment(value: Any) -> datetime | None:
    """Return a time given as text, or in milliseconds as the JavaScript library counts it."""
    milliseconds = integer_of(value)
    return _moment(value if milliseconds is None else milliseconds * 1_000_000)


_LANGSMITH_TAKEN = {
    "name",
    "run_type",
    "inputs",
    "outputs",
    "error",
    "trace_id",
    "parent_run_id",
    "child_runs",
    "start_time",
    "end_time",
}


def _langsmith_attributes(run: dict[str, Any]) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        f"langsmith.{key}": value
        for key, value in run.items()
        if key not in _LANGSMITH_TAKEN and value not in (None, "", [], {})
    }
    attributes["langsmith.span.kind"] = run.get("run_type")
    for name, key in (("input.value", "inputs"), ("output.value", "outputs")):
        if run.get(key):
            attributes[name] = run[key]
    extra = object_of(run.get("extra"))
    facts, asked = object_of(extra.get("metadata")), object_of(extra.get("invocation_params"))
    attributes["gen_ai.provider.name"] = facts.get("ls_provider")
    model = facts.get("ls_model_name") or first_of(asked, "model", "model_name")
    attributes["gen_ai.request.model"] = model
    if run.get("run_type") == "llm":  # a chain repeats the usage of the calls in it
        attributes.update(_langsmith_usage(run, facts))
    return _cleaned({key: value for key, value in attributes.items() if value is not None})


def _langsmith_usage(run: dict[str, Any], facts: dict[str, Any]) -> dict[str, int]:
    """Return the token counts of a call, from the first of the places that have any."""
    outputs = object_of(run.get("outputs"))
    old = object_of(outputs.get("llm_output")).get("token_usage")
    message = _langchain_message(outputs)
    places = (
        facts.get("usage_metadata"),
        outputs.get("usage_metadata"),
        run,
        message.get("usage_metadata"),
        old,
        outputs.get("usage"),
    )
    return next(filter(None, (_usage(object_of(place)) for place in places)), {})


def _langchain_message(outputs: dict[str, Any]) -> dict[str, Any]:
    """Return what the first message says that a chat model of LangChain answered."""
    found: Any = outputs.get("generations")
    while isinstance(found, list) and found:
        found = found[0]
    message = object_of(object_of(found).get("message"))
    return object_of(message.get("kwargs")) or message


def _read_langsmith_error(span: _Span, text: str) -> None:
    """Divide `ValueError('why')`, an empty line and a traceback."""
    span.status = NodeStatus.FAILED
    message, found, traceback = text.partition("Traceback (most recent call last)")
    span.error = message.strip() or _optional_text(text)
    span.error_traceback = found + traceback if found else None
    name = re.match(r"([A-Za-z_][\w.]*)\(", text)
    span.error_type = name[1] if name else None


_USAGE = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "prompt_tokens": "gen_ai.usage.input_tokens",
    "completion_tokens": "gen_ai.usage.output_tokens",
    "input_tokens_cache_read": "gen_ai.usage.cache_read.input_tokens",
    "input_tokens_cache_write": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}
_USAGE_DETAILS = {
    ("input_token_details", "cache_read"): "gen_ai.usage.cache_read.input_tokens",
    ("input_token_details", "cache_creation"): "gen_ai.usage.cache_creation.input_tokens",
    ("output_token_details", "reasoning"): "gen_ai.usage.reasoning.output_tokens",
    ("prompt_tokens_details", "cached_tokens"): "gen_ai.usage.cache_read.input_tokens",
    ("input_tokens_details", "cached_tokens"): "gen_ai.usage.cache_read.input_tokens",
    ("completion_tokens_details", "reasoning_tokens"): "gen_ai.usage.reasoning.output_tokens",
    ("output_tokens_details", "reasoning_tokens"): "gen_ai.usage.reasoning.output_tokens",
}
_USAGE_BESIDE = {  # what Anthropic counts beside the input; the GenAI names count it within
    "cache_read_input_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_creation_input_tokens": "gen_ai.usage.cache_creation.input_tokens",
}


def _usage(usage: Mapping[str, Any]) -> dict[str, int]:
    """Return token counts under their GenAI names."""
    found = {name: usage[key] for key, name in _USAGE.items() if type(usage.get(key)) is int}
    for (group, key), name in _USAGE_DETAILS.items():
        count = object_of(usage.get(group)).get(key)
        if type(count) is int:
            found[name] = count
    for key, name in _USAGE_BESIDE.items():
        count = usage.get(key)
        if type(count) is int and "gen_ai.usage.input_tokens" in found:
            found[name] = count
            found["gen_ai.usage.input_tokens"] += count
    return found


# ---- Lists of chat messages ----------------------------------------------------------------------


def _is_message(item: Any) -> bool:
    return isinstance(item, dict) and bool(_role_of(item))


def _role_of(message: dict[str, Any]) -> str:
    """Return who speaks; the items of OpenAI's newer interface have a type instead of a role."""
    role = message.get("role")
    if isinstance(role, str):
        return well_formed(role)
    kind = message.get("type")
    if not isinstance(kind, str):
        return ""
    if "content" in message and kind in _LANGCHAIN_ROLES:
        return _LANGCHAIN_ROLES[kind]
    if kind in _ITEMS:
        return "assistant"
    call, _, output = kind.rpartition("_")
    return "tool" if call in _CALLS and output == "output" else ""


_LANGCHAIN_ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}
_CALLS = (
    "apply_patch_call",
    "code_interpreter_call",
    "computer_call",
    "custom_tool_call",
    "file_search_call",
    "function_call",
    "image_generation_call",
    "local_shell_call",
    "mcp_call",
    "shell_call",
    "web_search_call",
)
_ITEMS = (*_CALLS, "reasoning")  # what a model says


def _is_conversation(document: dict[str, Any]) -> bool:
    messages = _messages_of(document)
    return isinstance(messages, list) and bool(messages) and _is_message(messages[0])


def _messages_of(document: dict[str, Any]) -> Any:
    """Return the messages of a conversation, or of what a model's provider answered."""
    if document.get("object") == "response":
        return document.get("output")
    if document.get("object") == "chat.completion":
        choices = objects_in(document.get("choices"), "choices")
        return [object_of(choice.get("message")) for choice in choices]
    return [document] if _is_message(document) else document.get("messages")


_ANSWERS = ("response", "chat.completion")


def _read_conversation(document: dict[str, Any], source: str) -> Iterator[_Span]:
    trace_id = _hash(source, _TRACE_DIGITS)
    messages = _messages_of(document)
    kept = {} if _is_message(document) else _cleaned(document)
    is_answer = document.get("object") in _ANSWERS
    kept.pop("output" if document.get("object") == "response" else "messages", None)
    if is_answer:
        kept.update(_message_facts(document))
    root = _Span(trace_id, "conversation", Facts("trace", metadata=kept), trace_id[:_SPAN_DIGITS])
    yield root
    yield from _read_messages(messages, trace_id, root.span_id)


def _message_facts(message: dict[str, Any]) -> dict[str, Any]:
    """Return the model, the tokens and the reason for the end that an answer tells."""
    facts: dict[str, Any] = _usage(object_of(message.get("usage")))
    if isinstance(message.get("model"), str):
        facts["gen_ai.response.model"] = well_formed(message["model"])
    reason = first_of(message, "finish_reason", "stop_reason")
    if isinstance(reason, str):
        facts["gen_ai.response.finish_reasons"] = [well_formed(reason)]
    return facts


def _read_message_list(messages: list[Any], source: str) -> Iterator[_Span]:
    return _read_conversation({"messages": messages}, source)


def _read_messages(messages: Any, trace_id: str, parent_id: str | None) -> Iterator[_Span]:
    """Make a node of every message: what the model said, what a tool or a person answered."""
    called: dict[str, dict[str, Any]] = {}
    previous: _Span | None = None
    for position, message in enumerate(objects_in(messages, "messages")):
        span = _message_span(message, called)
        span.trace_id, span.parent_id = trace_id, parent_id
        span.span_id = _hash(f"{trace_id}/message/{position}", _SPAN_DIGITS)
        if previous is not None:
            edge = {"logtracer.edge.type": EdgeType.DATA_FLOW.value}
            span.links.append(_Link(trace_id, previous.span_id, edge))
        for call in _calls_in(message):
            called[_text(first_of(call, "call_id", "id"))] = call
        yield span
        previous = span


def _message_span(message: dict[str, Any], called: dict[str, dict[str, Any]]) -> _Span:
    role = _role_of(message) or _text(message.get("type")) or "message"
    results = [_text(part.get("tool_use_id")) for part in _parts(message, "tool_result")]
    kept = {key: message[key] for key in message if key not in ("role", "error")}
    if role == "assistant":
        name = _text(message.get("model")) or role
        span = _Span("", name, Facts(NodeType.LLM_CALL, output_data={"message": message}))
        span.facts.metadata.update(_message_facts(message))
    elif role in ("tool", "function") or results:
        answered = _text(first_of(message, "tool_call_id", "call_id"))
        call = called.get((results or [answered])[0], {})
        span = _tool_span(message, call, kept)
    elif role == "user":
        span = _Span("", role, Facts(NodeType.HUMAN_INPUT, output_data=kept))
    else:
        span = _Span("", role, Facts(NodeType.CUSTOM, output_data=kept))
    span.facts.output_data = _cleaned(span.facts.output_data)
    span.facts.metadata["message.role"] = role
    if message.get("error"):
        _fail(span, message["error"])
    for part in _parts(message, "tool_result"):
        if part.get("is_error") is True:
            _fail(span, part.get("content") or "the tool failed")
    return span


def _tool_span(message: dict[str, Any], call: dict[str, Any], kept: dict[str, Any]) -> _Span:
    function = object_of(call.get("function")) or call
    name = _text(first_of(message, "name", "function") or function.get("name")) or "tool"
    arguments = parse_json(first_of(function, "arguments", "input", "args"))
    asked = {} if arguments is None else {"arguments": arguments}
    data = arguments if isinstance(arguments, dict) else asked
    return _Span("", name, Facts(NodeType.TOOL_CALL, _cleaned(data), kept))


def _calls_in(message: dict[str, Any]) -> list[dict[str, Any]]:
    calls = message.get("tool_calls")
    listed = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    own = [message] if message.get("type") in _CALLS else []
    return listed + own + _parts(message, "tool_use")


def _parts(message: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    content = message.get("content")
    if not isinstance(content, list):
        return []
    return [part for part in content if isinstance(part, dict) and part.get("type") == kind]


# ---- Inspect: one trace for every sample of an evaluation ----------------------------------------


def _is_inspect(document: dict[str, Any]) -> bool:
    return isinstance(document.get("eval"), dict) and isinstance(document.get("samples"), list)


def _read_inspect(document: dict[str, Any], source: str) -> Iterator[_Span]:
    evaluation = object_of(document["eval"])
    for sample in objects_in(document["samples"], "samples"):
        key = sample.get("uuid") or f"{source}/{sample.get('id')}/{sample.get('epoch')}"
        yield from _InspectSample(evaluation, sample, _hash(_text(key), _TRACE_DIGITS)).spans()


class _InspectSample:
    """Join the events of one sample into a tree."""

    def __init__(self, evaluation: dict[str, Any], sample: dict[str, Any], trace_id: str) -> None:
        self._evaluation = evaluation
        self._sample = sample
        self._trace_id = trace_id
        old = object_of(sample.get("transcript"))  # what logs of 2024 have, instead of events
        self._events = first_of(sample, "events") or old.get("events")
        self._attachments = object_of(sample.get("attachments")) or object_of(old.get("content"))
        pool = first_of(object_of(sample.get("events_data")), "messages") or sample.get(
            "message_pool"
        )
        self._pool = pool if isinstance(pool, list) else []
        self._restorable = _MAX_RESTORED
        self._open: list[_Span] = []  # spans begun and not ended, for logs without span ids
        self._by_id: dict[str, _Span] = {}
        self._all: list[_Span] = []

    def spans(self) -> Iterator[_Span]:
        """Return the sample itself and every step in it."""
        root = self._root()
        self._all.append(root)
        self._open.append(root)
        if isinstance(self._events, list) and self._events:
            self._read_events(objects_in(self._events, "events"))
        else:
            below = _read_messages(self._sample.get("messages"), self._trace_id, root.span_id)
            self._all.extend(below)
        self._close(root)
        return iter(self._all)

    def _root(self) -> _Span:
        sample = self._sample
        task = _text(self._evaluation.get("task")) or "sample"
        outcome = {key: sample[key] for key in ("output", "scores") if sample.get(key)}
        asked = {key: sample[key] for key in ("input", "target") if sample.get(key)}
        kept = {key: sample[key] for key in sample if key not in _SAMPLE_TAKEN and sample[key]}
        facts = Facts("trace", self._data(asked), self._data(outcome))
        facts.metadata = {
            "inspect.sample": self._data(kept),
            "inspect.eval": _clean(self._evaluation),
        }
        root = self._new(f"{task} {_text(sample.get('id'))}".strip(), facts, None)
        if sample.get("error"):
            _fail(root, sample["error"])
        return root

    def _close(self, root: _Span) -> None:
        root.start = min((span.start for span in self._all if span.start), default=None)
        root.end = max((span.end for span in self._all if span.end), default=None)

    def _data(self, values: dict[str, Any]) -> dict[str, Any]:
        return object_of(_clean(self._resolve(values)))

    def _resolve(self, value: Any, depth: int = 0) -> Any:
        """Put attachments back where a log only refers to them."""
        if isinstance(value, str) and value.startswith("attachment://"):
            return self._attachments.get(value[len("attachment://") :], value)
        if isinstance(value, dict) and depth < _MAX_DEPTH:
            return {key: self._resolve(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list) and depth < _MAX_DEPTH:
            return [self._resolve(item, depth + 1) for item in value]
        return value

    def _with_messages(self, event: dict[str, Any]) -> dict[str, Any]:
        """Put the messages back of a model's event that only refers to ranges of a pool."""
        references = event.get("input_refs")
        if event.get("input") or not isinstance(references, list):
            return event
        messages: list[Any] = []
        for reference in references:
            if not (isinstance(reference, list) and [type(at) for at in reference] == [int, int]):
                return event
            messages += self._pool[slice(*reference)][: self._restorable - len(messages)]
        self._restorable -= len(messages)
        return {**event, "input": messages}

    def _new(self, name: str, facts: Facts, parent: _Span | None) -> _Span:
        span_id = _hash(f"{self._trace_id}/{len(self._all)}", _SPAN_DIGITS)
        return _Span(
            self._trace_id, name, facts, span_id, None if parent is None else parent.span_id
        )

    def _read_events(self, events: list[dict[str, Any]]) -> None:
        waiting = [iter(events)]
        while waiting:
            event = next(waiting[-1], None)
            if event is None:
                waiting.pop()
                if waiting:  # the events of a tool or a subtask end with it
                    self._open.pop()
                continue
            span = self._take(event)
            inner = objects_in(event.get("events"), "events")
            if span is not None and inner:
                self._open.append(span)
                waiting.append(iter(inner))

    def _take(self, event: dict[str, Any]) -> _Span | None:
        """Make a span of an event, or note it on the span around it."""
        kind = _text(event.get("event"))
        if kind in ("span_end", "step") and event.get("action", "end") == "end":
            self._end(event)
            return None
        if kind == "span_begin" or kind == "step":
            return self._begin(event)
        if kind in _INSPECT_TYPES:
            return self._add(event, kind)
        noted = self._around(event).facts.metadata.setdefault("inspect.events", [])
        noted.append(_clean(event))
        return None

    def _around(self, event: dict[str, Any]) -> _Span:
        return self._by_id.get(_text(event.get("span_id")), self._open[-1])

    def _begin(self, event: dict[str, Any]) -> _Span:
        parent = self._by_id.get(_text(event.get("parent_id")), self._open[-1])
        kind = _text(event.get("type"))
        kept = {f"inspect.{key}": event[key] for key in event if key not in _EVENT_TAKEN}
        facts = Facts(_INSPECT_SPANS.get(kind, NodeType.CUSTOM), metadata=_cleaned(kept))
        span = self._new(_text(event.get("name")) or kind, facts, parent)
        span.start = _moment(event.get("timestamp"))
        self._by_id[_text(event.get("id"))] = span
        self._open.append(span)
        self._all.append(span)
        return span

    def _end(self, event: dict[str, Any]) -> None:
        span = self._by_id.get(_text(event.get("id")), self._open[-1])
        if span in self._open[1:]:
            self._open.remove(span)
        if span is not self._all[0]:
            span.end = _moment(event.get("timestamp"))

    def _add(self, event: dict[str, Any], kind: str) -> _Span:
        event = self._with_messages(event)
        names = ("function", "model", "name", "scorer", "approver")
        name = next((_text(event[name]) for name in names if event.get(name)), kind)
        asked = {key: event[key] for key in _INSPECT_INPUT if event.get(key)}
        outcome = {key: event[key] for key in _INSPECT_OUTPUT if event.get(key)}
        kept = {
            f"inspect.{key}": event[key]
            for key in event
            if key not in (*_EVENT_TAKEN, *asked, *outcome) and event[key] not in (None, "", [], {})
        }
        facts = Facts(
            _INSPECT_TYPES[kind], self._data(asked), self._data(outcome), [], _cleaned(kept)
        )
        span = self._new(name, facts, self._around(event))
        span.start = _moment(event.get("timestamp"))
        span.end = _moment(event.get("completed")) or span.start
        if event.get("error"):
            _fail(span, event["error"])
        if kind == "model":
            facts.metadata.update(_inspect_model_facts(event))
        self._all.append(span)
        return span


_MAX_RESTORED = 1_000_000  # messages of one sample; a few references can stand for any number
_SAMPLE_TAKEN = {
    "events",
    "events_data",
    "message_pool",
    "transcript",
    "attachments",
    "messages",
    "input",
    "target",
    "output",
    "scores",
    "error",
}
_EVENT_TAKEN = ("event", "events", "timestamp", "completed", "span_id", "id", "parent_id", "error")
_INSPECT_INPUT = ("input", "arguments", "tools", "target", "call_arguments", "cmd")
_INSPECT_OUTPUT = ("output", "result", "score", "decision")
_INSPECT_TYPES = {
    "model": NodeType.LLM_CALL,
    "tool": NodeType.TOOL_CALL,
    "score": NodeType.VALIDATION,
    "input": NodeType.HUMAN_INPUT,
    "approval": NodeType.HUMAN_INPUT,
    "subtask": NodeType.CUSTOM,
    "sandbox": NodeType.CUSTOM,
    "error": NodeType.CUSTOM,
}
_INSPECT_SPANS = {
    "agent": NodeType.SUB_AGENT,
    "tool": NodeType.TOOL_CALL,
    "scorer": NodeType.VALIDATION,
}


def _inspect_model_facts(event: dict[str, Any]) -> dict[str, Any]:
    output = object_of(event.get("output"))
    usage = object_of(output.get("usage"))
    facts: dict[str, Any] = _usage(usage)
    cached = (usage.get("input_tokens_cache_read"), usage.get("input_tokens_cache_write"))
    parts = [usage.get("input_tokens"), usage.get("output_tokens"), *cached]
    counts = [part for part in parts if type(part) is int]
    if any(cached) and usage.get("total_tokens") == sum(counts):
        # the provider counts cached tokens apart from the input; the GenAI names do not
        facts["gen_ai.usage.input_tokens"] = sum(counts) - (integer_of(parts[1]) or 0)
    provider, _, model = _text(event.get("model")).partition("/")
    facts["gen_ai.provider.name" if model else "gen_ai.request.model"] = provider
    if model:
        facts["gen_ai.request.model"] = model
    if output.get("model"):
        facts["gen_ai.response.model"] = _text(output["model"])
    return facts


def _fail(span: _Span, error: Any) -> None:
    """Mark a span failed with an error given as an object or as text."""
    span.status = NodeStatus.FAILED
    if isinstance(error, dict):
        span.error = _optional_text(error.get("message"))
        span.error_type = _optional_text(error.get("type"))
        span.error_traceback = _optional_text(error.get("traceback"))
    else:
        span.error = _text(error)


# ---- Formats: how each is recognised, and who reads it -------------------------------------------


def _reader_of_records(records: Callable[[dict[str, Any]], Iterator[dict[str, Any]]]) -> _Read:
    def read(document: dict[str, Any], source: str) -> Iterator[_Span]:
        for record in records(document):
            shared = object_of(record.pop(SHARED, None))
            yield _span_of(record, source, _cleaned(shared))

    return read


_FORMATS: tuple[tuple[str, Callable[[dict[str, Any]], bool], _Read], ...] = (
    ("otlp", _is_otlp, _read_otlp),
    *((name, has_form, _reader_of_records(records)) for name, has_form, records in RECORD_FORMATS),
    ("jaeger", _is_jaeger, _read_jaeger),
    ("jaeger", _is_jaeger_span, _read_jaeger_span),
    ("mlflow", _is_mlflow, _read_mlflow),
    ("inspect", _is_inspect, _read_inspect),
    ("langsmith", _is_langsmith, _read_langsmith),
    ("spans", _is_span, _read_span),
    ("spans", _is_span_list, _read_span_list),
    ("messages", _is_conversation, _read_conversation),
    ("spans", _is_grouped, _read_grouped),
    ("attributes", _is_attributes, _read_attributes),
)


def _is_native(document: Any) -> bool:
    return isinstance(document, dict) and "schema_version" in document and "nodes" in document


def _is_journal(document: Any) -> bool:
    event = document.get("event") if isinstance(document, dict) else None
    return isinstance(event, str) and event.startswith(("trace.", "node.", "edge"))


def _reader_of(document: Any) -> tuple[str, _Read] | None:
    """Return the name of a document's format and its reader."""
    if isinstance(document, list):
        return _reader_of_list(document)
    if not isinstance(document, dict):
        return None
    for name, has_form, read in _FORMATS:
        if has_form(document):
            return name, read
    return None


def _reader_of_list(items: list[Any]) -> tuple[str, _Read] | None:
    if not items:
        return None
    if _is_message(items[0]):
        return "messages", _read_message_list
    inner = _reader_of(items[0])
    return None if inner is None else (inner[0], _read_items)


def _read_items(items: list[Any], source: str) -> Iterator[_Span]:
    for position, item in enumerate(items):
        reader = _reader_of(item)
        if reader is None and item != []:
            raise TraceLoadError(f"item {position} of the list is not in a known format")
        if reader is not None:
            yield from _read_with(reader, item, source, position)


def _read_with(
    reader: tuple[str, _Read], document: Any, source: str, position: int
) -> Iterator[_Span]:
    """Read one of several documents. Those without a trace id are a trace each, spans are not."""
    name, read = reader
    for span in read(document, source if name == "spans" else f"{source}/{position}"):
        span.format = span.format or name
        yield span


# ---- Documents: one JSON value, JSON lines, or values printed one after the other ----------------

_SPACE = re.compile(r"[\s,\ufeff\x1e]*")  # files put together keep their marks
_NEXT_DOCUMENT = re.compile(r'\n(?=\{\s*["}]|\[\s*[{\]])')  # and not a log's "[INFO] ..."
_MAX_DAMAGED = 10_000  # places; a file with more is something else, and finding each costs time


def _documents(text: str) -> tuple[list[Any], int]:
    """Return the JSON values in a text and the number of places that were not JSON.

    Programs print between spans, and a killed one leaves half a line: reading goes on at the
    next line that begins like a document.
    """
    decoder = json.JSONDecoder(parse_constant=str)  # Python's tools do write NaN
    documents: list[Any] = []
    damaged = 0
    reason = "empty"
    position = _skip_space(text, 0)
    while position < len(text):
        try:
            document, end = decoder.raw_decode(text, position)
            documents.append(document)
            position = _skip_space(text, end)
        except json.JSONDecodeError as error:
            reason = f"{error.msg} at line {error.lineno}, column {error.colno}"
            damaged += 1
            past = damaged > _MAX_DAMAGED
            position = len(text) if past else _next_document(text, position)
        except ValueError:
            raise TraceLoadError("not JSON: a number with too many digits") from None
    if not documents:
        raise TraceLoadError(f"not JSON: {reason}")
    return documents, damaged


def _skip_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _next_document(text: str, position: int) -> int:
    found = _NEXT_DOCUMENT.search(text, position)
    return found.end() if found else len(text)


# ---- Joining spans into traces -------------------------------------------------------------------


def _assemble(spans: Iterable[_Span]) -> list[TraceGraph]:
    groups: dict[str, list[_Span]] = {}
    for span in spans:
        groups.setdefault(span.trace_id, []).append(span)
    return [_join(group) for group in groups.values()]


def _join(spans: list[_Span]) -> TraceGraph:
    """Build the graph of spans of one trace: all of them, in the order in which they started."""
    by_id = _name_spans(spans)
    levels = _levels(spans, by_id)
    for span in spans:
        _note_oddities(span, by_id)
    ordered = sorted(spans, key=lambda span: _start_order(span, levels))  # equal ones: file order
    is_ours = all(span.own for span in spans)
    trace = TraceGraph(trace_id=spans[0].trace_id)
    for position, span in enumerate(ordered):
        number = span.sequence_number if is_ours else position
        trace.add_node(_node_of(span, number, levels[_key(span)], by_id))
    trace.edges = [*_tree_edges(ordered, by_id), *_link_edges(ordered, by_id)]
    _describe(trace, ordered)
    return trace


def _key(span: _Span) -> str:
    return span.span_id or ""


def _start_order(span: _Span, levels: Mapping[str, int]) -> tuple[datetime, int, int]:
    return span.start or _LAST, span.sequence_number, levels[_key(span)]


def _name_spans(spans: list[_Span]) -> dict[str, _Span]:
    """Give every span an id and a node id that no other has; return the spans by their ids."""
    by_id: dict[str, _Span] = {}
    names: set[str] = set()
    for position, span in enumerate(spans):
        if span.span_id is None or span.span_id in by_id:
            _note(span, f"its id {span.span_id} is used twice" if span.span_id else "it has no id")
            span.span_id = _hash(f"{span.trace_id}/{span.span_id}/{position}", _SPAN_DIGITS)
        span.node_id = _text(span.own.get("logtracer.node.id")) or span.span_id
        if span.node_id in names:
            span.node_id = span.span_id
        names.add(span.node_id)
        by_id[span.span_id] = span
    return by_id


def _note(span: _Span, text: str) -> None:
    known = str(span.facts.metadata.get(_NOTE, ""))
    if text not in known:  # a trace that was imported before says it already
        span.facts.metadata[_NOTE] = f"{known}; {text}" if known else text


def _levels(spans: list[_Span], by_id: Mapping[str, _Span]) -> dict[str, int]:
    """Return how deep each span lies; a circle of parents is cut where it closes."""
    levels: dict[str, int] = {}
    for span in spans:
        path: list[_Span] = []
        above: _Span | None = span
        while above is not None and _key(above) not in levels:
            levels[_key(above)] = -1  # until its own parents are known
            path.append(above)
            above = by_id.get(above.parent_id or "")
        if above is not None and above in path:
            for member in path[path.index(above) :]:
                _note(member, "its parents form a circle")
        level = -1 if above is None else levels[_key(above)]
        for member in reversed(path):
            level += 1
            levels[_key(member)] = level
    return levels


def _note_oddities(span: _Span, by_id: Mapping[str, _Span]) -> None:
    if span.parent_id is not None and span.parent_id not in by_id:
        _note(span, f"its parent {span.parent_id} is not in this file")
    if span.status is None and span.start is not None and span.end is None:
        _note(span, "it has no end")
        span.status = NodeStatus.INTERRUPTED


def _node_of(span: _Span, number: int, level: int, by_id: Mapping[str, _Span]) -> Node:
    parent = by_id.get(span.parent_id or "")
    named = _optional_text(span.own.get("logtracer.node.parent_id")) or span.parent_id
    return Node(
        span.node_id,
        number,
        span.name,
        str(span.facts.node_type),
        span.status or NodeStatus.COMPLETED,
        named if parent is None else parent.node_id,
        level,
        span.start,
        span.end,
        span.facts.input_data,
        span.facts.output_data,
        span.facts.annotations,
        span.facts.metadata,
        span.error,
        span.error_type,
        span.error_traceback,
    )


# ---- Joining: edges ------------------------------------------------------------------------------

_EDGE_TYPES = {edge_type.value: edge_type for edge_type in EdgeType}
_EDGE_TYPE_NAMES = ("logtracer.edge.type", "edge.type", "opentracing.ref_type")


def _tree_edges(spans: Iterable[_Span], by_id: Mapping[str, _Span]) -> Iterator[Edge]:
    for span in spans:
        parent = by_id.get(span.parent_id or "")
        if parent is not None and parent is not span:
            yield Edge(parent.node_id, span.node_id)


def _link_edges(spans: Iterable[_Span], by_id: Mapping[str, _Span]) -> Iterator[Edge]:
    """Make an edge of each link within the trace; the others are kept in the metadata."""
    for span in spans:
        for link in _own_links(span) or span.links:
            source = by_id.get(link.span_id or "")
            if source is not None and link.trace_id in (None, span.trace_id):
                yield _edge_of(link, source.node_id, span.node_id)
            elif not span.own:
                kept = span.facts.metadata.setdefault("otel.links", [])
                kept.append(_kept_link(link))


def _own_links(span: _Span) -> list[_Link]:
    """Return the edges that our exporter repeats in an attribute: some receivers lose links."""
    edges = parse_json(span.own.get("logtracer.edges"))
    return [
        _Link(None, _id(edge.pop("source", None), _SPAN_DIGITS), _cleaned(edge))
        for edge in (edges if isinstance(edges, list) else [])
        if isinstance(edge, dict)
    ]


def _edge_of(link: _Link, source_id: str, target_id: str) -> Edge:
    rest = dict(link.attributes)
    words = [rest.pop(name) for name in _EDGE_TYPE_NAMES if isinstance(rest.get(name), str)]
    word = words[0] if words else "link"
    label = _text(rest.pop("logtracer.edge.label", ""))
    rest.update(object_of(parse_json(rest.pop("logtracer.edge.metadata", None))))
    return Edge(source_id, target_id, _EDGE_TYPES.get(word, word), label, rest)


def _kept_link(link: _Link) -> dict[str, Any]:
    return {"trace_id": link.trace_id, "span_id": link.span_id, "attributes": link.attributes}


# ---- Joining: what is said about the trace as a whole --------------------------------------------

_ROOT_TYPES = (NodeType.SUB_AGENT, NodeType.TRANSFORMATION, NodeType.CUSTOM)
_SESSION_NAMES = (
    "session.id",
    "langfuse.session.id",
    "gen_ai.conversation.id",
    "traceloop.association.properties.session_id",
    "ai.telemetry.metadata.sessionId",
)
_USER_NAMES = (
    "user.id",
    "langfuse.user.id",
    "enduser.id",
    "traceloop.association.properties.user_id",
    "ai.telemetry.metadata.userId",
)
_TAG_NAMES = ("tag.tags", "langfuse.trace.tags", "langsmith.tags")


def _describe(trace: TraceGraph, spans: list[_Span]) -> None:
    top = [span for span in spans if span.parent_id is None]
    first = (top or spans)[0]
    trace.name = first.name
    trace.start_time = min((span.start for span in spans if span.start), default=None)
    trace.end_time = max((span.end for span in spans if span.end), default=None)
    header = next((span for span in spans if "logtracer.trace" in span.own), None)
    if header is not None:
        _read_header(trace, object_of(parse_json(header.own["logtracer.trace"])))
        return
    if len(top) == 1 and first.facts.node_type in _ROOT_TYPES and not first.own:
        trace.nodes[first.node_id].node_type = "trace"
    trace.metadata = {_FORMAT: first.format, **first.shared, **_session(first.facts.metadata)}
    for span in spans:
        for key, value in span.shared.items():
            if trace.metadata.get(key) != value:
                trace.nodes[span.node_id].metadata[key] = value


def _read_header(trace: TraceGraph, header: dict[str, Any]) -> None:
    """Take what our exporter says about the whole trace on its first span."""
    trace.trace_id = _text(header.get("trace_id")) or trace.trace_id
    trace.name = _text(header.get("name"))
    trace.start_time = _moment(header.get("start_time"))
    trace.end_time = _moment(header.get("end_time"))
    trace.metadata = object_of(header.get("metadata"))
    trace.edges += [Edge.from_dict(edge) for edge in objects_in(header.get("edges"), "edges")]


def _session(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return whose trace it is, under the names that our own tracer uses."""
    extra = object_of(object_of(metadata.get("langsmith.extra")).get("metadata"))
    found = {
        "session_id": first_of(metadata, *_SESSION_NAMES)
        or first_of(extra, "session_id", "thread_id", "conversation_id"),
        "user_id": first_of(metadata, *_USER_NAMES) or extra.get("user_id"),
        "tags": first_of(metadata, *_TAG_NAMES),
    }
    return {key: value for key, value in found.items() if value}


# ---- Reading a file ------------------------------------------------------------------------------


def _read(path: str) -> bytes:
    """Read a regular file; a FIFO would hold the reader up for ever."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise TraceLoadError("not a regular file")
        if status.st_size > _MAX_FILE:
            raise TraceLoadError(f"larger than {_MAX_FILE >> 30} GiB")
        return file.read()


_GZIP = b"\x1f\x8b"


def _decompress(data: bytes) -> bytes:
    """Decompress a file of gzip, which a few bytes can make endless."""
    reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        found = reader.decompress(data, _MAX_FILE)
    except zlib.error as error:
        raise TraceLoadError(f"damaged gzip: {error}") from None
    if reader.unconsumed_tail:
        raise TraceLoadError(f"holds more than {_MAX_FILE >> 30} GiB")
    if found.startswith(_GZIP):
        raise TraceLoadError("gzip within gzip")
    return found


def _decode(data: bytes) -> str:
    """Decode UTF-8, or the UTF-16 that some shells write, told by its first bytes."""
    utf_16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return data.decode("utf-16" if utf_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise TraceLoadError(f"not UTF-8 text (byte {error.start})") from None


def _why_nothing(documents: list[Any]) -> str:
    if _reader_of(documents[0]) is not None:
        return "holds no spans"
    first = documents[0]
    keys = ", ".join(sorted(first)[:6]) if isinstance(first, dict) else ""
    return "not a trace in a known format" + (f" (its keys: {ascii(keys)})" if keys else "")


def _import(data: str | bytes) -> list[TraceGraph]:
    if isinstance(data, bytes) and data.startswith(ZIP):
        log, damaged = read_archive(data, _MAX_FILE)
        return _import_documents([log], damaged, hashlib.sha256(data).hexdigest())
    if isinstance(data, bytes) and data.startswith(_GZIP):
        return _import(_decompress(data))
    text = data if isinstance(data, str) else _decode(data)
    documents, damaged = _documents(json_of_printed(text) or text)
    if len(documents) == 1 and _is_native(documents[0]):
        return [trace_from_json(data)]  # our own reader, no more lenient here than elsewhere
    if _is_journal(documents[0]):
        return [trace_from_journal(text.split("\n"))]
    source = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
    return _import_documents(documents, damaged, source)


def _import_documents(documents: list[Any], damaged: int, source: str) -> list[TraceGraph]:
    if all(map(_is_message, documents)):  # a line for each
        documents = [documents]
    traces: list[TraceGraph] = []
    spans: list[_Span] = []
    for position, document in enumerate(documents):
        if _is_native(document):
            traces.append(TraceGraph.from_dict(document))
        elif (reader := _reader_of(document)) is not None:
            spans.extend(_read_with(reader, document, source, position))
        else:
            damaged += 1
    traces += _assemble(spans)
    if not traces:
        raise TraceLoadError(_why_nothing(documents))
    if damaged:
        traces[0].metadata["logtracer.damaged_lines"] = damaged
    return traces


def import_traces(data: str | bytes) -> list[TraceGraph]:
    """Read every trace in a text, in the order in which they first appear.

    Raises TraceLoadError, and nothing else, when it holds none.
    """
    try:
        return _import(data)
    except RecursionError:
        raise TraceLoadError("nested too deeply") from None


def import_file(path: str | os.PathLike[str]) -> list[TraceGraph]:
    """Read every trace in a file; OSError when it cannot be opened, else TraceLoadError."""
    try:
        return import_traces(_read(os.fspath(path)))
    except TraceLoadError as error:
        raise TraceLoadError(f"{os.fspath(path)}: {error}") from None
