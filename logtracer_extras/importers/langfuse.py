"""Langfuse: a trace with its observations, or observations alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conventions.values import first_of, object_of, objects_in
from ._records import SHARED, Record, without_none

__all__ = ["is_langfuse_trace", "is_observation", "langfuse_trace", "observations"]


def is_observation(record: Record) -> bool:
    return "id" in record and ("parentObservationId" in record or "parent_observation_id" in record)


def is_langfuse_trace(document: Record) -> bool:
    items = document.get("observations")
    return isinstance(items, list) and ("id" in document or isinstance(document.get("trace"), dict))


def langfuse_trace(document: Record) -> Iterator[Record]:
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
            span["attributes"].update(without_none(session))
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
        "attributes": without_none(attributes),
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


def observations(record: Record) -> Iterator[Record]:
    yield _observation(record)
