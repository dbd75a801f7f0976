"""Go: what OpenTelemetry's console exporter for Go prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conventions.values import first_of, object_of, objects_in
from ._records import Record

__all__ = ["go_span", "is_go"]


def is_go(record: Record) -> bool:
    return isinstance(record.get("SpanContext"), dict) and "Name" in record


def go_span(record: Record) -> Iterator[Record]:
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
