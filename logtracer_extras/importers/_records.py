"""Turn the records of tools with words of their own into OpenTelemetry's words for a span.

Langfuse, Zipkin, Datadog, AWS X-Ray, Logfire, the OpenAI Agents SDK, rows of Phoenix's span
table, and what Go's and JavaScript's exporters print. Each format is a test that knows a document
and a function that gives the spans in it; the importers read those like any other span.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..conventions.values import integer_of

__all__ = [
    "MICROSECOND",
    "MILLISECOND",
    "Record",
    "SHARED",
    "from_seconds",
    "renamed",
    "start_and_end",
    "without_none",
]


Record = dict[str, Any]
SHARED = "logtracer.shared"  # under which a record holds what is said of its whole trace

MICROSECOND = 1_000  # nanoseconds
MILLISECOND = 1_000_000


def renamed(record: Record, names: Mapping[str, str], **changes: Any) -> Record:
    """Return a record under other names; what nobody has a name for stays as it is."""
    return {names.get(key, key): value for key, value in record.items()} | changes


def start_and_end(start: Any, duration: Any, unit: int) -> Record:
    """Return a start and an end in nanoseconds."""
    begun, lasted = integer_of(start), integer_of(duration)
    if begun is None:
        return {"startTime": start}
    end = None if lasted is None else (begun + lasted) * unit
    return {"startTime": begun * unit, "endTime": end}


def without_none(record: Mapping[str, Any]) -> Record:
    return {key: value for key, value in record.items() if value is not None}


def from_seconds(value: Any) -> Any:
    """Return nanoseconds of a time in seconds, to the microsecond that a float can hold."""
    if not isinstance(value, (int, float)) or not 0 <= value < 1e11:
        return value
    return round(value * 1_000_000) * MICROSECOND
