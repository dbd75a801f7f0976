"""Weave: calls as its server exports them or as its SDK sends them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conventions.usage import COST, amount_of, usage_facts
from ..conventions.values import first_of, object_of, objects_in, parse_json
from ._kinds import count_kinds, most_are, sample_of
from ._records import Record, without_none
from ._spans import SpanRecord, with_kinds
from ._values import text_of
from .otel import span_of

__all__ = ["is_weave", "read_weave"]


def _halves_of(record: Any) -> dict[str, Any]:
    """Return a call, or the half of one that the SDK sends when it begins and when it ends."""
    told = object_of(record)
    if "req" in told:  # as its batches wrap it
        told = object_of(told["req"])
    for name in ("start", "end"):
        if isinstance(told.get(name), dict):
            told = told[name]
    return told


def _is_call(record: Any) -> bool:
    told = _halves_of(record)
    begins = "op_name" in told and "trace_id" in told
    return begins or ("ended_at" in told and "summary" in told and "id" in told)


def is_weave(documents: list[Any]) -> bool:
    return most_are(_is_call, sample_of(documents))


def read_weave(documents: list[Any], source: str) -> Iterator[SpanRecord]:
    left = count_kinds(one for one in documents if not _is_call(one))
    return with_kinds(_spans(documents, source), left)


def _spans(documents: list[Any], source: str) -> Iterator[SpanRecord]:
    calls: dict[str, Record] = {}
    for document in documents:
        if _is_call(document):
            told = _halves_of(document)
            calls.setdefault(text_of(told.get("id")), {}).update(without_none(told))
    for call in calls.values():
        yield span_of(_span(call), source, {})


def _span(call: Record) -> Record:
    operation = text_of(call.get("op_name"))
    short = operation.rpartition("/op/")[2].partition(":")[0] or operation
    failure = _failure(call.get("exception"))
    summary = object_of(call.get("summary"))
    attributes: Record = {
        "input.value": call.get("inputs"),
        "output.value": call.get("output"),
        "weave.op_name": operation,
        "session.id": call.get("thread_id"),
        **_kind_facts(call, summary),
    }
    attributes |= {f"weave.{key}": call[key] for key in call if key not in _TAKEN and call[key]}
    return {
        "trace_id": call.get("trace_id"),
        "span_id": call.get("id"),
        "parent_id": call.get("parent_id"),
        "name": call.get("display_name") or short,
        "start_time": call.get("started_at"),
        "end_time": call.get("ended_at"),
        "attributes": without_none(attributes),
        "status": {"code": 2 if failure else 0},
        "events": [{"name": "exception", "attributes": failure}] if failure else [],
    }


_TAKEN = {
    "id",
    "trace_id",
    "parent_id",
    "op_name",
    "display_name",
    "started_at",
    "ended_at",
    "inputs",
    "output",
    "exception",
    "thread_id",
}
_KINDS = {"llm": "LLM", "tool": "TOOL", "agent": "AGENT", "scorer": "EVALUATOR"}


def _kind_facts(call: Record, summary: Record) -> Record:
    """Return what a call is and what it used; one that is above calls repeats their sums."""
    usage = object_of(summary.get("usage"))
    told = object_of(object_of(call.get("attributes")).get("weave")).get("kind")
    kind = _KINDS.get(str(first_of(object_of(call.get("attributes")), "kind") or told))
    if kind is None and len(usage) == 1 and _is_of_model(call):
        kind = "LLM"
    facts: Record = {"openinference.span.kind": kind}
    if kind == "LLM" and len(usage) == 1:
        model, counts = next(iter(usage.items()))
        facts |= {"gen_ai.request.model": model, **usage_facts(object_of(counts))}
        costs = object_of(object_of(object_of(summary.get("weave")).get("costs")).get(model))
        parts = [amount_of(costs.get(f"{way}_tokens_total_cost")) for way in _WAYS]
        if any(part is not None for part in parts):
            facts[COST] = sum(part for part in parts if part is not None)
    return facts


_WAYS = ("prompt", "completion")
_OF_MODELS = ("chat", "completion", "messages", "generate", "invoke_model", "responses", "converse")


def _is_of_model(call: Record) -> bool:
    """Tell a provider's own operation, which Weave names after the method that it wraps."""
    operation = text_of(call.get("op_name")).lower()
    return "model" in object_of(call.get("inputs")) or any(word in operation for word in _OF_MODELS)


def _failure(told: Any) -> Record:
    """Read an exception, which is a JSON text of its parts, or its text alone."""
    if not told:
        return {}
    parts = parse_json(told)
    if not isinstance(parts, dict):
        return {"exception.message": text_of(told)}
    frames = parts.get("traceback")
    lines = objects_in(frames, "traceback") if isinstance(frames, list) else []
    trace = "\n".join(
        f'  File "{frame.get("filename")}", line {frame.get("line_number")},'
        f" in {frame.get('function_name')}\n    {frame.get('text')}"
        for frame in lines
    )
    words = {
        "exception.type": parts.get("type"),
        "exception.message": parts.get("message"),
        "exception.stacktrace": trace or None,
    }
    return without_none(words)
