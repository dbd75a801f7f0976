"""OpenTelemetry: OTLP as JSON, in snake case too, what console exporters print, bare attributes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from logtracer import NodeStatus, NodeType

from ..conventions.messages import add_message_events, is_message_event
from ..conventions.types import NODE_TYPE, type_of_kind
from ..conventions.values import (
    first_of,
    integer_of,
    object_of,
    objects_in,
    parse_json,
    well_formed,
)
from ._spans import STATUSES, SpanLink, SpanRecord, clean_facts
from ._values import (
    MAX_DEPTH,
    SPAN_DIGITS,
    TRACE_DIGITS,
    clean_value,
    clean_values,
    hashed_id,
    id_of,
    known_id,
    moment_of,
    optional_text,
    span_id_of,
    text_of,
)

__all__ = [
    "attributes_in",
    "is_attributes",
    "is_otlp",
    "is_span",
    "read_attributes",
    "read_otlp",
    "read_span",
    "shared_facts",
    "span_of",
]


def attributes_in(value: Any) -> dict[str, Any]:
    """Return attributes given as an object, as its JSON text or as a list of keys and values."""
    value = parse_json(value)
    if isinstance(value, dict):
        return value
    result = {}
    for item in objects_in(value, "attributes"):
        result[text_of(item.get("key"))] = _any_value(item.get("value"))
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
        if name == "arrayValue" and depth < MAX_DEPTH:
            return [_any_value(item, depth + 1) for item in _values_in(inner)]
        if name == "kvlistValue" and depth < MAX_DEPTH:
            return {
                text_of(object_of(item).get("key")): _any_value(
                    object_of(item).get("value"), depth + 1
                )
                for item in _values_in(inner)
            }
    return None if not any(item is not None for item in value.values()) else value


def _values_in(inner: Any) -> list[Any]:
    values = object_of(inner).get("values")
    return values if isinstance(values, list) else []


_CONTAINERS = ("resourceSpans", "resource_spans", "batches")
_SCOPES = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans", "ilSpans")


def is_otlp(document: dict[str, Any]) -> bool:
    return any(name in document for name in _CONTAINERS) or any(
        isinstance(document.get(name), dict) and is_otlp(document[name])
        for name in ("trace", "result")
    )


def read_otlp(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    for name in ("trace", "result"):  # how Tempo and Jaeger wrap it in their answers
        if isinstance(document.get(name), dict) and is_otlp(document[name]):
            yield from read_otlp(document[name], source)
    for group in objects_in(first_of(document, *_CONTAINERS), "resourceSpans"):
        resource = attributes_in(object_of(group.get("resource")).get("attributes"))
        for scope_group in objects_in(first_of(group, *_SCOPES), "scopeSpans"):
            scope = object_of(first_of(scope_group, "scope", "instrumentationLibrary"))
            shared = shared_facts(resource, scope)
            for record in objects_in(scope_group.get("spans"), "spans"):
                yield span_of(record, source, shared)


def is_span(document: dict[str, Any]) -> bool:
    """Tell a span by an id in it or in its context, else by a context, a name and a time."""
    context = first_of(document, *_CONTEXT)
    if first_of(document, "spanId", "span_id"):
        return True
    if not isinstance(context, dict):
        return False
    has_time = first_of(document, *_START) is not None
    return bool(first_of(context, *_SPAN_ID) or first_of(context, *_TRACE_ID)) or (
        has_time and isinstance(document.get("name"), str)
    )


def read_span(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    yield span_of(document, source, {})


def shared_facts(resource: Mapping[str, Any], scope: Mapping[str, Any]) -> dict[str, Any]:
    named = {key: scope[key] for key in ("name", "version") if scope.get(key)}
    named.update(attributes_in(scope.get("attributes")))
    return {
        key: clean_value(value)
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


def span_of(record: dict[str, Any], source: str, shared: dict[str, Any]) -> SpanRecord:
    """Read a span record in any of the spellings that OpenTelemetry tools use."""
    context = object_of(first_of(record, *_CONTEXT))
    parent = object_of(first_of(record, *_PARENT_CONTEXT))
    attributes = clean_values(attributes_in(record.get("attributes")))
    if type_of_kind(record.get("span_kind")) != NodeType.CUSTOM:  # where Phoenix says it again
        attributes.setdefault("openinference.span.kind", record["span_kind"])
    events = _with_messages_taken(record, attributes)
    name = text_of(record.get("name"))
    trace_id = first_of(record, *_TRACE_ID) or first_of(context, *_TRACE_ID)
    span_id = first_of(record, *_SPAN_ID) or first_of(context, *_SPAN_ID)
    parent_id = first_of(record, *_PARENT_ID) or first_of(parent, *_SPAN_ID)
    span = SpanRecord(
        id_of(trace_id, TRACE_DIGITS) or hashed_id(source, TRACE_DIGITS),
        name,
        clean_facts(attributes, name),
        span_id_of(span_id),
        span_id_of(parent_id),
        moment_of(first_of(record, *_START)),
        moment_of(first_of(record, *_END)),
        links=[_link_of(link) for link in objects_in(record.get("links"), "links")],
    )
    _read_status(span, record)
    if NODE_TYPE in attributes:
        span.own = {key: value for key, value in attributes.items() if key.startswith("logtracer")}
        _read_own(span)
    else:
        span.shared = _shared_of(record) | shared
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
            said = clean_values(attributes_in(event.get("attributes")))
            messages.append({**said, "event.name": name})
        else:
            kept.append(event)
    add_message_events(attributes, messages)
    return kept


def _shared_of(record: dict[str, Any]) -> dict[str, Any]:
    scope = first_of(record, "instrumentationScope", "instrumentationLibrary")
    resource = attributes_in(object_of(record.get("resource")).get("attributes"))
    return shared_facts(resource, object_of(scope))


def _link_of(record: dict[str, Any]) -> SpanLink:
    context = object_of(first_of(record, *_CONTEXT)) or record
    return SpanLink(
        id_of(first_of(context, *_TRACE_ID), TRACE_DIGITS),
        id_of(first_of(context, *_SPAN_ID), SPAN_DIGITS),
        clean_values(attributes_in(record.get("attributes"))),
    )


def _read_status(span: SpanRecord, record: dict[str, Any]) -> None:
    status = object_of(record.get("status"))
    code = first_of(status, "code", "status_code") or record.get("status_code") or ""
    metadata = span.facts.metadata
    message = first_of(status, "message", "description") or record.get("status_message")
    level = metadata.get("langfuse.observation.level")
    if level == "ERROR":
        message = message or metadata.get("langfuse.observation.status_message")
    if str(code) == "2" or "ERROR" in (str(code).upper().rpartition("_")[2], level):
        span.status = NodeStatus.FAILED
        span.error_type = optional_text(metadata.get("error.type"))
    span.error = optional_text(message)


def _read_events(span: SpanRecord, events: list[dict[str, Any]]) -> None:
    """Take the exception into the node's error; keep every other event in its metadata."""
    kept = []
    is_taken = False
    for event in events:
        attributes = clean_values(attributes_in(event.get("attributes")))
        if event.get("name") == "exception" and not is_taken:
            _take_exception(span, attributes)
            is_taken = True
        else:
            kept.append(_event_of(event, attributes))
    if kept:
        span.facts.metadata["otel.events"] = kept


def _take_exception(span: SpanRecord, attributes: dict[str, Any]) -> None:
    if "exception.message" in attributes:
        span.error = text_of(attributes["exception.message"])
    if "exception.type" in attributes:
        span.error_type = text_of(attributes["exception.type"])
    if "exception.stacktrace" in attributes:
        span.error_traceback = text_of(attributes["exception.stacktrace"])


def _event_of(event: dict[str, Any], attributes: dict[str, Any]) -> dict[str, Any]:
    moment = moment_of(first_of(event, "timeUnixNano", "time_unix_nano", "time", "timestamp"))
    return {
        "name": text_of(event.get("name")),
        "time": None if moment is None else moment.isoformat(timespec="microseconds"),
        "attributes": attributes,
    }


def _read_own(span: SpanRecord) -> None:
    """Take what our own exporter says beyond the attributes that every tool reads."""
    word = span.own.get("logtracer.node.status")
    span.status = STATUSES.get(str(word)) or span.status or NodeStatus.COMPLETED
    span.error = span.error_type = None  # the exception event says exactly which of them it had
    for name in ("start", "end"):
        if span.own.get(f"logtracer.node.no_{name}"):
            setattr(span, name, None)


def _keep_rest(span: SpanRecord, record: dict[str, Any]) -> None:
    """Keep in the metadata what no field of a node can hold."""
    metadata = span.facts.metadata
    for key, value in record.items():
        if key not in _TAKEN and value not in (None, "", 0, [], {}, "[]"):
            metadata[f"otel.{well_formed(key)}"] = clean_value(value)
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
            metadata[name] = clean_value(value)
    _keep_ids(metadata, record)


_NO_TIME = (None, "", 0, "0", [0, 0])


def _keep_ids(metadata: dict[str, Any], record: dict[str, Any]) -> None:
    """Keep ids that are not OpenTelemetry's: the node has a hash of them."""
    context = object_of(first_of(record, *_CONTEXT))
    for names, digits in ((_TRACE_ID, TRACE_DIGITS), (_SPAN_ID, SPAN_DIGITS)):
        value = first_of(record, *names) or first_of(context, *names)
        if isinstance(value, str) and value and known_id(value, digits) is None:
            metadata[f"otel.{names[1]}"] = well_formed(value)


_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")


def _kind(value: Any) -> str:
    """Return the kind of a span given as 3, SPAN_KIND_CLIENT, SpanKind.CLIENT or client."""
    if type(value) is int and 0 <= value < len(_KINDS):
        return _KINDS[value]
    return str(value or "").lower().rpartition("kind_")[2].rpartition(".")[2]


_KNOWN_ROOTS = {"gen_ai", "openinference", "llm", "traceloop", "langfuse", "logtracer", "ai"}


def is_attributes(document: dict[str, Any]) -> bool:
    return any(key.partition(".")[0] in _KNOWN_ROOTS and "." in key for key in document)


def read_attributes(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    attributes = clean_values(document)
    name = text_of(first_of(attributes, *_NAMES_IN_ATTRIBUTES) or "span")
    yield SpanRecord(hashed_id(source, TRACE_DIGITS), name, clean_facts(attributes, name))


_NAMES_IN_ATTRIBUTES = (
    "gen_ai.tool.name",
    "gen_ai.agent.name",
    "gen_ai.request.model",
    "llm.model_name",
    "gen_ai.operation.name",
)
