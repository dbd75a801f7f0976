"""Zipkin: a list of spans with times in microseconds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conventions.values import first_of, integer_of, object_of, objects_in
from ._records import MICROSECOND, Record, start_and_end

__all__ = ["is_micro_span", "micro_span"]


def is_micro_span(record: Record) -> bool:
    return (
        "traceId" in record
        and "id" in record
        and "spanId" not in record
        and any(name in record for name in ("timestamp", "duration", "localEndpoint", "tags"))
    )


def micro_span(record: Record) -> Iterator[Record]:
    tags = object_of(first_of(record, "attributes", "tags"))
    times = start_and_end(record.get("timestamp"), record.get("duration"), MICROSECOND)
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
    return {"name": note.get("value"), **_at(note.get("timestamp"), MICROSECOND)}


def _at(moment: Any, unit: int) -> Record:
    number = integer_of(moment)
    return {"time": moment if number is None else number * unit}
