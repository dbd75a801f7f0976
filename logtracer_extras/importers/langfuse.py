"""Langfuse: a trace with its observations, or observations alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conventions.reading import INPUT_MESSAGES, INPUT_VALUES, OUTPUT_MESSAGES, OUTPUT_VALUES
from ..conventions.values import first_of, object_of, objects_in, parse_json
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
    metadata = dict(object_of(parse_json(record.get("metadata"))))  # a text in the page's download
    attributes = _own_attributes(record, object_of(parse_json(metadata.pop("attributes", None))))
    for name, keys in _OBSERVATION_ATTRIBUTES.items():
        attributes[f"langfuse.observation.{name}"] = first_of(record, *keys)
    if not attributes["langfuse.observation.usage_details"]:
        attributes["langfuse.observation.usage_details"] = _old_usage(record)
    if not attributes["langfuse.observation.cost_details"]:
        total = first_of(record, "calculatedTotalCost", "totalCost")
        attributes["langfuse.observation.cost_details"] = {"total": total} if total else None
    resource = object_of(metadata.pop("resourceAttributes", None))
    attributes["langfuse.metadata"] = metadata or None
    rest = {key: value for key, value in record.items() if key not in _OBSERVATION_TAKEN}
    attributes |= {f"langfuse.{key}": value for key, value in rest.items() if value}
    return {
        "name": record.get("name"),
        "traceId": first_of(record, "traceId", "trace_id", "id"),
        "spanId": record.get("id"),
        "parentSpanId": first_of(record, "parentObservationId", "parent_observation_id"),
        "startTime": first_of(record, "startTime", "start_time"),
        "endTime": first_of(record, "endTime", "end_time") or _instant_end(record),
        "attributes": without_none(attributes),
        "resource": {"attributes": resource},
    }


_CONTENT = {
    "input": (*INPUT_MESSAGES, *INPUT_VALUES),
    "output": (*OUTPUT_MESSAGES, *OUTPUT_VALUES),
}


def _own_attributes(record: Record, attributes: Record) -> Record:
    """Return the span's own attributes, without what Langfuse has read from them already."""
    names = [name for way in _CONTENT if record.get(way) is not None for name in _CONTENT[way]]
    mime = [f"{way}.mime_type" for way in _CONTENT]
    begins = tuple(f"{name}." for name in names)
    return {
        key: value
        for key, value in attributes.items()
        if key not in names and key not in mime and not key.startswith(begins)
    }


def _old_usage(record: Record) -> Any:
    """Return the counts of an older server, which has a column for each."""
    usage = object_of(record.get("usage"))
    if any(usage.values()):
        return usage
    names = {
        "input": ("inputUsage", "promptTokens"),
        "output": ("outputUsage", "completionTokens"),
    }
    return without_none({way: first_of(record, *keys) for way, keys in names.items()}) or None


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
    "name",
    "traceId",
    "trace_id",
    "parentObservationId",
    "parent_observation_id",
    "startTime",
    "start_time",
    "endTime",
    "end_time",
    "metadata",
    "usage",
    "latency",  # seconds from the one door and milliseconds from the other: the times say it
    "calculatedInputCost",
    "calculatedOutputCost",
    "calculatedTotalCost",
    "inputCost",
    "outputCost",
    "totalCost",
    "inputUsage",
    "outputUsage",
    "totalUsage",
    "promptTokens",
    "completionTokens",
    "totalTokens",
    *(key for keys in _OBSERVATION_ATTRIBUTES.values() for key in keys),
}


def observations(record: Record) -> Iterator[Record]:
    yield _observation(record)
