"""Datadog: spans of the agent and of LLM Observability."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conventions.usage import DATADOG_USAGE
from ..conventions.values import first_of, object_of
from ._records import Record, start_and_end

__all__ = ["datadog_span", "is_datadog"]


def is_datadog(record: Record) -> bool:
    return "span_id" in record and (
        "start_ns" in record or ("start" in record and "duration" in record)
    )


def datadog_span(record: Record) -> Iterator[Record]:
    meta = object_of(record.get("meta"))
    start = first_of(record, "start_ns", "start")
    failed = record.get("status") == "error" or record.get("error") in (1, True)
    rest = {key: value for key, value in record.items() if key not in _DATADOG_TAKEN}
    parent = record.get("parent_id")
    yield rest | {
        "name": first_of(record, "name", "resource"),
        "parent_id": None if parent in ("undefined", 0, "0") else parent,
        **start_and_end(start, record.get("duration"), 1),
        "attributes": _datadog_attributes(record, meta),
        "status": {"code": 2 if failed else 0, "message": _datadog_error(meta)},
    }


_DATADOG_TAKEN = {"meta", "metrics", "start", "start_ns", "duration", "error", "status"}


def _datadog_error(meta: Record) -> Any:
    return first_of(meta, "error.message", "error.msg") or object_of(meta.get("error")).get(
        "message"
    )


def _datadog_attributes(record: Record, meta: Record) -> Record:
    attributes = {**meta, **object_of(record.get("metrics"))}
    kind = first_of(meta, "span.kind", "kind")
    if "start_ns" not in record:
        return attributes
    attributes["openinference.span.kind"] = kind  # the same words
    for name, canonical in DATADOG_USAGE.items():
        if name in attributes:
            attributes[canonical] = attributes.pop(name)
    for way in ("input", "output"):
        said = object_of(attributes.pop(way, None))
        messages = said.get("messages")
        attributes[f"{way}.value"] = said if messages is None else {"messages": messages}
    return {key: value for key, value in attributes.items() if value not in (None, {})}
