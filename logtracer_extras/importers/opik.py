"""Opik: a trace with its spans as its export command writes them, and spans alone."""

from __future__ import annotations

from collections.abc import Iterator

from ..conventions.usage import COST, usage_facts
from ..conventions.values import first_of, object_of, objects_in
from ._records import SHARED, Record, without_none

__all__ = ["is_opik", "is_opik_span", "opik_spans", "opik_trace"]


def is_opik(document: Record) -> bool:
    spans = document.get("spans")
    trace = document.get("trace")
    return (
        isinstance(trace, dict)
        and isinstance(spans, list)
        and "project_name" in document
        and all(isinstance(span, dict) for span in spans)
    )


def is_opik_span(record: Record) -> bool:
    return (
        "trace_id" in record
        and "id" in record
        and str(record.get("type")) in _KINDS
        and ("parent_span_id" in record or "project_name" in record or "project_id" in record)
    )


def opik_trace(document: Record) -> Iterator[Record]:
    """Give the trace itself as the root of its spans: a decorator's own span says the same."""
    trace = object_of(document.get("trace"))
    spans = objects_in(document.get("spans"), "spans")
    tops = [span for span in spans if span.get("parent_span_id") is None]
    about = {"session.id": trace.get("thread_id"), "tag.tags": trace.get("tags")}
    shared = {SHARED: {"opik.trace": {key: trace[key] for key in trace if key not in _REPEATED}}}
    repeats = len(tops) == 1 and tops[0].get("name") == trace.get("name")
    if not repeats:
        root = _span({**trace, "type": "general", "trace_id": trace.get("id")}, about)
        yield root | shared
    for span in spans:
        if repeats:
            yield _span(span, about if span is tops[0] else {}) | shared
        else:
            above = span.get("parent_span_id") or trace.get("id")
            yield _span({**span, "parent_span_id": above}, {}) | shared


_REPEATED = ("input", "output")


def opik_spans(record: Record) -> Iterator[Record]:
    yield _span(record, {})


def _span(record: Record, about: Record) -> Record:
    failure = _failure(object_of(record.get("error_info")))
    kind = _KINDS.get(str(record.get("type")))
    attributes: Record = {
        "openinference.span.kind": kind,
        "input.value": record.get("input"),
        "output.value": record.get("output"),
        "gen_ai.provider.name": record.get("provider"),
        "gen_ai.request.model": record.get("model"),
        **about,
    }
    if kind == "LLM":
        attributes |= usage_facts(object_of(record.get("usage")))
        attributes[COST] = first_of(record, "total_cost", "total_estimated_cost")
    attributes |= {
        f"opik.{key}": record[key] for key in record if key not in _TAKEN and record[key]
    }
    return {
        "trace_id": record.get("trace_id"),
        "span_id": record.get("id"),
        "parent_id": record.get("parent_span_id"),
        "name": record.get("name"),
        "start_time": record.get("start_time"),
        "end_time": record.get("end_time"),
        "attributes": without_none(attributes),
        "status": {"code": 2 if record.get("error_info") else 0},
        "events": [{"name": "exception", "attributes": failure}] if failure else [],
    }


_KINDS = {
    "general": "CHAIN",
    "tool": "TOOL",
    "llm": "LLM",
    "guardrail": "GUARDRAIL",
}
_TAKEN = {
    "id",
    "trace_id",
    "parent_span_id",
    "name",
    "type",
    "start_time",
    "end_time",
    "input",
    "output",
    "model",
    "provider",
    "usage",
    "total_cost",
    "total_estimated_cost",
    "error_info",
    "last_updated_at",
    "thread_id",
    "tags",
}


def _failure(told: Record) -> Record:
    return without_none(
        {
            "exception.type": told.get("exception_type"),
            "exception.message": told.get("message"),
            "exception.stacktrace": told.get("traceback"),
        }
    )
