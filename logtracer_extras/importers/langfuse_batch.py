"""Langfuse, version 2: the batches that its SDKs send, in which what came later adds to a step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conventions.values import object_of, objects_in
from ._kinds import count_kinds, most_are, sample_of
from ._records import SHARED, Record, without_none
from ._spans import SpanRecord, with_kinds
from ._values import clean_value, clean_values, text_of
from .langfuse import langfuse_trace
from .otel import span_of

__all__ = ["is_langfuse_batches", "read_langfuse_batches"]


def _is_batch(document: Any) -> bool:
    batch = object_of(document).get("batch")
    first = object_of(batch[0]) if isinstance(batch, list) and batch else {}
    kind = text_of(first.get("type"))
    return isinstance(first.get("body"), dict) and kind.endswith(("-create", "-update", "log"))


def is_langfuse_batches(documents: list[Any]) -> bool:
    return most_are(_is_batch, sample_of(documents))


def read_langfuse_batches(documents: list[Any], source: str) -> Iterator[SpanRecord]:
    left = count_kinds(one for one in documents if not _is_batch(one))
    return with_kinds(_spans(documents, source), left)


def _spans(documents: list[Any], source: str) -> Iterator[SpanRecord]:
    for record in _records([one for one in documents if _is_batch(one)]):
        shared = object_of(record.pop(SHARED, None))
        yield span_of(record, source, clean_values(shared))


def _records(batches: list[Record]) -> Iterator[Record]:
    """Give the spans of all batches, each put together from what was told of it."""
    traces: dict[str, Record] = {}
    steps: dict[str, Record] = {}
    scores: dict[str, list[Any]] = {}
    events = [event for one in batches for event in objects_in(one["batch"], "batch")]
    for event in events:
        what, _, way = text_of(event.get("type")).partition("-")
        body = without_none(object_of(event.get("body")))
        key = text_of(body.get("id"))
        if what == "trace":
            traces.setdefault(key, {}).update(body)
        elif what == "score":
            scores.setdefault(text_of(body.get("traceId")), []).append(clean_value(body))
        elif way in ("create", "update"):
            kind = {} if what == "observation" else {"type": what.upper()}
            steps.setdefault(key, {}).update(kind | body)
    by_trace: dict[str, list[Record]] = {key: [] for key in traces}
    for step in steps.values():
        observation = {"parentObservationId": None, **step}
        by_trace.setdefault(text_of(step.get("traceId")), []).append(observation)
    for key, observations in by_trace.items():
        trace = {"id": key or None, **traces.get(key, {})}
        if key in scores:
            trace["scores"] = scores[key]
        yield from langfuse_trace({"trace": trace, "observations": observations})
