"""Jaeger's own model of spans as JSON, as its storage and its gRPC interface give it.

Ids are base64, times are ISO 8601, durations are texts such as "5000ns" or "0.005s", and a value
stands under the name of its type. A reference without a type is to the parent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from ..conventions.values import first_of, object_of, objects_in
from ._spans import SpanRecord
from ._values import moment_of, text_of
from .otel import shared_facts, span_of

__all__ = ["is_jaeger_model", "read_jaeger_model"]


def is_jaeger_model(document: dict[str, Any]) -> bool:
    return "operationName" in document and "spanId" in document and "traceId" in document


def read_jaeger_model(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    process = object_of(document.get("process"))
    tags = _tags_in(document.get("tags"))
    failed = tags.pop("otel.status_code", None) == "ERROR" or tags.get("error") in (True, "true")
    parent, others = _references(document)
    rest = {key: value for key, value in document.items() if key not in _TAKEN}
    record = rest | {
        "name": document.get("operationName"),
        "parentSpanId": object_of(parent).get("spanId"),
        "startTime": document.get("startTime"),
        "attributes": tags,
        "kind": tags.pop("span.kind", None),
        "status": {
            "code": 2 if failed else 0,
            "message": tags.pop("otel.status_description", None),
        },
        "events": [_event(log) for log in objects_in(document.get("logs"), "logs")],
        "links": others,
    }
    resource = {"service.name": process.get("serviceName"), **_tags_in(process.get("tags"))}
    span = span_of(record, source, shared_facts(resource, {}))
    lasted = _duration(document.get("duration"))
    if span.start is not None and lasted is not None:
        span.end = span.start + lasted
    yield span


_TAKEN = {"operationName", "references", "duration", "tags", "logs", "process", "processId"}
_VALUES = ("vStr", "vBool", "vInt64", "vFloat64", "vBinary")


def _tags_in(tags: Any) -> dict[str, Any]:
    """Return tags by their keys; a tag without a value is an empty text, as proto leaves it out."""
    found: dict[str, Any] = {}
    for tag in objects_in(tags, "tags"):
        value = first_of(tag, *_VALUES)
        found[text_of(tag.get("key"))] = "" if value is None else value
    return found


_CHILD_OF = ("CHILD_OF", 0, None)


def _references(document: dict[str, Any]) -> tuple[Any, list[dict[str, Any]]]:
    """Return the parent, which is of the same trace, and the other references as links."""
    references = objects_in(document.get("references"), "references")
    parents = [item for item in references if item.get("refType") in _CHILD_OF]
    own = [item for item in parents if item.get("traceId") == document.get("traceId")]
    parent = next(iter(own or parents), None)
    others = [
        {**item, "attributes": {"opentracing.ref_type": text_of(item.get("refType"))}}
        for item in references
        if item is not parent
    ]
    return parent, others


def _event(log: dict[str, Any]) -> dict[str, Any]:
    fields = _tags_in(log.get("fields"))
    moment = moment_of(log.get("timestamp"))
    return {
        "name": fields.pop("event", "log"),
        "time": None if moment is None else moment.isoformat(),
        "attributes": fields,
    }


_DURATION = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)(ns|us|µs|ms|s)", re.ASCII)
_MICROSECONDS = {"ns": 0.001, "us": 1.0, "µs": 1.0, "ms": 1_000.0, "s": 1_000_000.0}


def _duration(value: Any) -> timedelta | None:
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    try:
        return timedelta(microseconds=round(float(found[1]) * _MICROSECONDS[found[2]]))
    except OverflowError:
        return None
