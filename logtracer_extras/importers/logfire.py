"""Logfire: rows of its table of records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conventions.values import first_of, object_of, parse_json
from ._records import Record, renamed

__all__ = ["is_logfire", "logfire_span"]


def is_logfire(record: Record) -> bool:
    return "start_timestamp" in record and "span_id" in record


def logfire_span(record: Record) -> Iterator[Record]:
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
    yield renamed(
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
