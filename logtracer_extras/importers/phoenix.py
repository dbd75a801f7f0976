"""Phoenix: rows of its table of spans."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conventions.values import integer_of, object_of
from ._records import MICROSECOND, MILLISECOND, Record

__all__ = ["is_row", "rows"]


def is_row(record: Record) -> bool:
    return "context.span_id" in record


def rows(document: Record) -> Iterator[Record]:
    """Give the spans of a row, or of a whole table whose columns are objects."""
    if not isinstance(document["context.span_id"], dict):
        yield _row(document)
        return
    for key in document["context.span_id"]:
        yield _row({name: object_of(column).get(key) for name, column in document.items()})


def _row(record: Record) -> Record:
    prefix = "attributes."
    span = {key: value for key, value in record.items() if not key.startswith(prefix)}
    attributes = {
        key[len(prefix) :]: value
        for key, value in record.items()
        if key.startswith(prefix) and value not in (None, "NaN")  # pandas fills gaps with these
    }
    for name in ("trace_id", "span_id"):
        span[name] = span.pop(f"context.{name}", None)
    for name in ("start_time", "end_time"):
        span[name] = _from_pandas(span.get(name))
    if span.get("parent_id") == "NaN":
        span["parent_id"] = None
    return span | {"attributes": attributes}


def _from_pandas(value: Any) -> Any:
    """Return nanoseconds: pandas writes times as milliseconds, unless told a finer unit."""
    number = integer_of(value)
    if number is None:
        return value
    for unit in (MILLISECOND, MICROSECOND):
        if abs(number) * unit < 10**19:
            return number * unit
    return number
