"""Cline: `session.messages.json`, messages as Anthropic has them with times, models and costs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from ..conventions.values import integer_of, object_of
from ._records import MILLISECOND
from ._sessions import RECORD, Session, Thread, assistant_message
from ._spans import SpanRecord
from ._values import moment_of, text_of

__all__ = ["is_cline", "read_cline"]

Record = dict[str, Any]


def is_cline(documents: list[Any]) -> bool:
    if len(documents) != 1 or not isinstance(documents[0], dict):
        return False
    messages = documents[0].get("messages")
    listed = messages if isinstance(messages, list) else []
    told = [each for each in listed if isinstance(each, dict) and "role" in each]
    return "sessionId" in documents[0] and any("metrics" in each or "ts" in each for each in told)


def read_cline(documents: list[Any], source: str) -> Iterator[SpanRecord]:
    document: Record = documents[0]
    session_id = text_of(document.get("sessionId"))
    session = Session("cline", session_id, session_id or source)
    thread = session.thread()
    if document.get("system_prompt"):
        thread.say({"role": "system", "content": document["system_prompt"]}, None)
    seen: set[str] = set()
    for number, message in enumerate(document["messages"], 1):
        if not isinstance(message, dict):
            session.put_aside("not an object", message)
            continue
        key = text_of(message.get("id")) or f"message {number}"
        if key not in seen:  # a message that stands there twice counts once
            seen.add(key)
            _read_message(session, thread, message, key, f"message {number}")
    told = ("agent", "version", "updated_at")
    yield from session.finish({f"cline.{name}": document.get(name) for name in told})


def _read_message(session: Session, thread: Thread, message: Record, key: str, place: str) -> None:
    content = message.get("content")
    listed = content if isinstance(content, list) else [{"type": "text", "text": content}]
    parts = [part for part in listed if isinstance(part, dict)]
    moment = _moment(message.get("ts"))
    if message.get("role") == "assistant":
        _read_answer(thread, message, parts, key, place)
    elif message.get("role") == "user":
        for part in parts:
            if part.get("type") == "tool_result":
                _read_result(thread, part, moment)
        said = [part for part in parts if part.get("type") != "tool_result"]
        if said:
            only = said[0].get("text") if len(said) == 1 else None
            thread.prompt(only or said, moment, key)
    else:
        session.put_aside(f"message {text_of(message.get('role'))}", message)


def _read_answer(
    thread: Thread, message: Record, parts: list[Record], key: str, place: str
) -> None:
    model = object_of(message.get("modelInfo"))
    moment = _moment(message.get("ts"))
    call = thread.call(key, text_of(model.get("id")), moment)
    asked = [part for part in parts if part.get("type") == "tool_use"]
    calls = [
        (text_of(part.get("id")), text_of(part.get("name")), part.get("input")) for part in asked
    ]
    said = [text_of(part.get("text")) for part in parts if part.get("type") == "text"]
    thoughts = [text_of(part.get("thinking")) for part in parts]
    thread.answer(call, assistant_message(said, thoughts, calls), moment)
    call.facts.metadata |= _facts_of(object_of(message.get("metrics")))
    call.facts.metadata |= {
        "gen_ai.provider.name": model.get("provider"),
        "gen_ai.response.id": message.get("id"),
        RECORD: place,
    }
    for call_id, name, arguments in calls:
        thread.tool(call, call_id, name, arguments, moment)


def _facts_of(metrics: Record) -> dict[str, Any]:
    """Return what a call used; Cline counts cached tokens within the input."""
    names = {
        "inputTokens": "gen_ai.usage.input_tokens",
        "outputTokens": "gen_ai.usage.output_tokens",
        "cacheReadTokens": "gen_ai.usage.cache_read.input_tokens",
        "cacheWriteTokens": "gen_ai.usage.cache_creation.input_tokens",
    }
    counts = {names[key]: integer_of(metrics.get(key)) for key in names}
    facts: dict[str, Any] = {key: count for key, count in counts.items() if count is not None}
    cost = metrics.get("cost")
    return facts | ({"gen_ai.usage.cost": cost} if isinstance(cost, (int, float)) else {})


def _read_result(thread: Thread, part: Record, moment: datetime | None) -> None:
    content = part.get("content")
    answers = content if isinstance(content, list) else [content]
    failed = part.get("is_error") is True or any(
        object_of(each).get("success") is False for each in answers
    )
    span = thread.result(text_of(part.get("tool_use_id")), content, moment, failed=failed)
    span.name = span.name if span.name != "tool" else text_of(part.get("name")) or span.name


def _moment(value: Any) -> datetime | None:
    number = integer_of(value)
    return None if number is None else moment_of(number * MILLISECOND)
