"""Langfuse, version 2: the batches that its SDKs send, in which what came later adds to a step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conventions.values import object_of, objects_in
from ._records import Record, without_none
from ._values import clean_value, text_of
from .langfuse import langfuse_trace

__all__ = ["is_langfuse_batch", "langfuse_batch"]


def is_langfuse_batch(document: Record) -> bool:
    batch = document.get("batch")
    first = object_of(batch[0]) if isinstance(batch, list) and batch else {}
    kind = text_of(first.get("type"))
    return isinstance(first.get("body"), dict) and kind.endswith(("-create", "-update", "log"))


def langfuse_batch(document: Record) -> Iterator[Record]:
    traces: dict[str, Record] = {}
    steps: dict[str, Record] = {}
    scores: dict[str, list[Any]] = {}
    for event in objects_in(document["batch"], "batch"):
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
