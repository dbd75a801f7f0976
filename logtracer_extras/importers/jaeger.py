"""Jaeger: traces as its API and its page give them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conventions.values import integer_of, object_of, objects_in
from ._spans import SpanRecord
from .otel import attributes_in, shared_facts, span_of

__all__ = ["is_jaeger", "is_jaeger_span", "read_jaeger", "read_jaeger_span"]


def is_jaeger(document: dict[str, Any]) -> bool:
    data = document.get("data", document)
    first = data[0] if isinstance(data, list) and data else data
    return isinstance(first, dict) and "traceID" in first and "spans" in first


def read_jaeger(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    traces = document.get("data", [document])
    for trace in objects_in([traces] if isinstance(traces, dict) else traces, "data"):
        processes = {
            key: attributes_in(object_of(process).get("tags"))
            | {"service.name": object_of(process).get("serviceName")}
            for key, process in object_of(trace.get("processes")).items()
        }
        for record in objects_in(trace.get("spans"), "spans"):
            resource = processes.get(str(record.get("processID")), {})
            yield span_of(_from_jaeger(record), source, shared_facts(resource, {}))


def is_jaeger_span(document: dict[str, Any]) -> bool:
    return "spanID" in document and "operationName" in document


def read_jaeger_span(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    """Read a span alone, as Jaeger keeps them in Elasticsearch, with its process in it."""
    process = object_of(document.get("process"))
    resource = attributes_in(process.get("tags")) | {"service.name": process.get("serviceName")}
    record = {key: value for key, value in document.items() if key != "process"}
    yield span_of(_from_jaeger(record), source, shared_facts(resource, {}))


def _from_jaeger(record: dict[str, Any]) -> dict[str, Any]:
    """Return a Jaeger span in OpenTelemetry's words; its times are microseconds."""
    tags = attributes_in(record.get("tags"))
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
    fields = attributes_in(log.get("fields"))
    moment = integer_of(log.get("timestamp"))
    return {
        "name": fields.pop("event", "log"),
        "time": None if moment is None else moment * 1_000,
        "attributes": fields,
    }
