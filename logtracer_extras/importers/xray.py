"""AWS X-Ray: segments with their subsegments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conventions.values import first_of, object_of, objects_in, parse_json
from ._records import Record, from_seconds, without_none

__all__ = ["is_xray", "xray_spans"]


def is_xray(document: Record) -> bool:
    if isinstance(first_of(document, "Traces", "Segments"), list):
        return True
    trace_id = document.get("trace_id")
    return isinstance(trace_id, str) and trace_id.startswith("1-") and "id" in document


def xray_spans(document: Record) -> Iterator[Record]:
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
        "startTime": from_seconds(segment.get("start_time")),
        "endTime": from_seconds(segment.get("end_time")),
        "attributes": object_of(segment.get("annotations")),
        "status": {"code": 2 if failed else 0},
        "events": [_xray_exception(cause) for cause in objects_in(causes, "exceptions")],
    }


def _xray_exception(cause: Record) -> Record:
    words = {"exception.type": cause.get("type"), "exception.message": cause.get("message")}
    return {"name": "exception", "attributes": without_none(words)}
