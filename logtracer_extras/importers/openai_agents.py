"""OpenAI Agents SDK: traces and spans as its processors export them.

What a run is called, its group and its metadata stand on the trace's own line alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conventions.usage import usage_facts
from ..conventions.values import object_of
from ._kinds import count_kinds, most_are, sample_of
from ._records import Record, without_none
from ._spans import SpanRecord, with_kinds
from ._values import clean_values, optional_text
from .otel import span_of

__all__ = ["is_agents_sdk", "read_agents_sdk"]


def _is_line(record: Any) -> bool:
    return isinstance(record, dict) and record.get("object") in ("trace", "trace.span")


def is_agents_sdk(documents: list[Any]) -> bool:
    return most_are(_is_line, sample_of(documents))


def read_agents_sdk(documents: list[Any], source: str) -> Iterator[SpanRecord]:
    left = count_kinds(one for one in documents if not _is_line(one))
    return with_kinds(_spans(documents, source), left)


def _spans(documents: list[Any], source: str) -> Iterator[SpanRecord]:
    lines = [document for document in documents if _is_line(document)]
    traces = {str(line.get("id")): line for line in lines if line["object"] == "trace"}
    for line in lines:
        if line["object"] == "trace.span":
            span = span_of(_span(line), source, {})
            span.about = _about(traces.get(str(line.get("trace_id")), {}))
            yield span


def _about(trace: Record) -> dict[str, Any]:
    """Return what a trace's line says of the whole."""
    metadata = {"openai.metadata": trace.get("metadata"), "session_id": trace.get("group_id")}
    return {
        "name": optional_text(trace.get("workflow_name")),
        "metadata": clean_values({key: value for key, value in metadata.items() if value}),
    }


def _span(record: Record) -> Record:
    data = object_of(record.get("span_data"))
    kind = str(data.get("type"))
    attributes = {
        "openinference.span.kind": _KINDS.get(kind),
        "input.value": data.get("input"),
        "output.value": data.get("output"),
        "gen_ai.request.model": data.get("model"),
        "gen_ai.response.id": data.get("response_id"),
    }
    if kind in ("generation", "response"):  # others repeat the sum of what is below them
        attributes |= usage_facts(object_of(data.get("usage")))
    attributes |= {f"openai.{key}": data[key] for key in data if key not in _DATA_TAKEN}
    error = record.get("error")
    attributes["openai.error.data"] = object_of(error).get("data")
    rest = {key: value for key, value in record.items() if key not in _TAKEN}
    return rest | {
        "name": data.get("name") or kind,
        "spanId": record.get("id"),
        "startTime": record.get("started_at"),
        "endTime": record.get("ended_at"),
        "attributes": without_none(attributes),
        "status": {"code": 2 if error else 0, "message": object_of(error).get("message", error)},
    }


_TAKEN = ("object", "id", "started_at", "ended_at", "span_data", "error")
_DATA_TAKEN = ("type", "name", "input", "output", "model", "response_id")
_KINDS = {
    "agent": "AGENT",
    "generation": "LLM",
    "response": "LLM",
    "function": "TOOL",
    "mcp_tools": "TOOL",
    "guardrail": "GUARDRAIL",
    "handoff": "CHAIN",
}
