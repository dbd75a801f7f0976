"""OpenAI Agents SDK: traces and spans as its processors export them."""

from __future__ import annotations

from collections.abc import Iterator

from ..conventions.values import object_of
from ._records import Record, without_none

__all__ = ["agents_sdk_span", "is_agents_sdk"]


def is_agents_sdk(record: Record) -> bool:
    return record.get("object") in ("trace", "trace.span")


def agents_sdk_span(record: Record) -> Iterator[Record]:
    if record["object"] == "trace":  # says the same of the whole that its spans do
        return
    data = object_of(record.get("span_data"))
    kind = str(data.get("type"))
    usage = object_of(data.get("usage"))
    attributes = {
        "openinference.span.kind": _AGENTS_SDK_KINDS.get(kind),
        "input.value": data.get("input"),
        "output.value": data.get("output"),
        "gen_ai.request.model": data.get("model"),
        "gen_ai.usage.input_tokens": usage.get("input_tokens"),
        "gen_ai.usage.output_tokens": usage.get("output_tokens"),
    }
    taken = ("type", "name", "input", "output", "model")
    attributes |= {f"openai.{key}": data[key] for key in data if key not in taken}
    error = record.get("error")
    rest = {key: value for key, value in record.items() if key not in _AGENTS_SDK_TAKEN}
    yield rest | {
        "name": data.get("name") or kind,
        "spanId": record.get("id"),
        "startTime": record.get("started_at"),
        "endTime": record.get("ended_at"),
        "attributes": without_none(attributes),
        "status": {"code": 2 if error else 0, "message": object_of(error).get("message", error)},
    }


_AGENTS_SDK_TAKEN = ("object", "id", "started_at", "ended_at", "span_data", "error")
_AGENTS_SDK_KINDS = {
    "agent": "AGENT",
    "generation": "LLM",
    "response": "LLM",
    "function": "TOOL",
    "mcp_tools": "TOOL",
    "guardrail": "GUARDRAIL",
    "handoff": "CHAIN",
}
