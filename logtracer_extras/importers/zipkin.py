"""Zipkin: a list of spans with times in microseconds.

The two halves of a call, the client's and the server's, share one id. Here the server's half is
below the client's, and what each service did is below its own half.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conventions.values import first_of, integer_of, object_of, objects_in
from ._kinds import count_kinds, most_are, sample_of
from ._records import MICROSECOND, Record, start_and_end
from ._spans import SpanRecord, with_kinds
from ._values import SPAN_DIGITS, hashed_id, text_of
from .otel import span_of

__all__ = ["is_zipkin", "read_zipkin"]


def _is_micro_span(record: Any) -> bool:
    return (
        isinstance(record, dict)
        and "traceId" in record
        and "id" in record
        and not record.keys() & {"spanId", "parentObservationId", "observationId"}
        and any(name in record for name in ("timestamp", "duration", "localEndpoint", "tags"))
    )


def is_zipkin(documents: list[Any]) -> bool:
    return most_are(_is_micro_span, sample_of(documents))


def read_zipkin(documents: list[Any], source: str) -> Iterator[SpanRecord]:
    left = count_kinds(one for one in documents if not _is_micro_span(one))
    return with_kinds(_spans(documents, source), left)


def _spans(documents: list[Any], source: str) -> Iterator[SpanRecord]:
    records = [document for document in documents if _is_micro_span(document)]
    services = {_service(record) for record in records} - {""}
    for record in _with_halves_parted(records):
        span = span_of(_micro_span(record), source, {})
        if len(services) > 1 and _service(record):
            span.name = f"{_service(record)} {span.name}"
        yield span


def _service(record: Record) -> str:
    return text_of(object_of(record.get("localEndpoint")).get("serviceName"))


def _key(record: Record, name: str) -> tuple[str, str]:
    return text_of(record.get("traceId")), text_of(record.get(name))


def _with_halves_parted(records: list[Record]) -> Iterator[Record]:
    """Give the server's half of each call an id of its own, below the client's half."""
    halves: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        halves.setdefault(_key(record, "id"), []).append(record)
    servers = {key: _server_of(both) for key, both in halves.items() if len(both) == 2}
    for record in records:
        key = _key(record, "id")
        if servers.get(key) is record:
            yield {**record, "id": _server_id(key), "parentId": record["id"]}
            continue
        above = servers.get(_key(record, "parentId"))
        if above is not None and _service(above) == _service(record):
            record = {**record, "parentId": _server_id(_key(record, "parentId"))}
        yield record


def _server_id(key: tuple[str, str]) -> str:
    return hashed_id("/".join((*key, "server")), SPAN_DIGITS)


def _server_of(both: list[Record]) -> Record | None:
    """Return the half that its server told; None when two spans merely have one id."""
    kinds = [text_of(record.get("kind")).upper() for record in both]
    for record, kind, other in zip(both, kinds, kinds[::-1]):
        is_server = record.get("shared") is True or (kind, other) == ("SERVER", "CLIENT")
        if is_server and other != "SERVER":
            return record
    return None


def _micro_span(record: Record) -> Record:
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
    return span


def _zipkin_event(note: Record) -> Record:
    return {"name": note.get("value"), **_at(note.get("timestamp"), MICROSECOND)}


def _at(moment: Any, unit: int) -> Record:
    number = integer_of(moment)
    return {"time": moment if number is None else number * unit}
