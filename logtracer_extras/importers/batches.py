"""Outputs of the batch interfaces of OpenAI and Anthropic: a line an answer, each its own trace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conventions.values import first_of, object_of
from ._spans import SpanRecord, add_failure
from ._values import clean_value, text_of
from .messages import is_conversation, read_conversation

__all__ = ["is_batch_line", "read_batch_line"]


def is_batch_line(document: dict[str, Any]) -> bool:
    if not isinstance(document.get("custom_id"), str):
        return False
    result = object_of(document.get("result"))
    answer = object_of(document.get("response"))
    return "type" in result or "body" in answer or isinstance(document.get("error"), dict)


def read_batch_line(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    """Read the answer to one request; a request that failed has none, and the reason."""
    result, answer = object_of(document.get("result")), object_of(document.get("response"))
    body = object_of(first_of(result, "message") or answer.get("body"))
    spans = list(read_conversation(body if is_conversation(body) else {"messages": []}, source))
    root = spans[0]
    root.name = text_of(document["custom_id"])
    root.facts.metadata["batch.custom_id"] = root.name
    for name in ("id", "request_id", "status_code"):
        value = first_of(answer, name) if name != "id" else document.get("id")
        if value is not None:
            root.facts.metadata[f"batch.{name}"] = clean_value(value)
    failure = document.get("error") or result.get("error") or body.get("error")
    outcome = text_of(result.get("type"))
    if failure or outcome in ("errored", "canceled", "expired"):
        inner = object_of(failure)
        add_failure(root, object_of(inner.get("error")) or inner or failure or outcome)
    return iter(spans)
