"""Google's ADK: a session with its events, each one message of some agent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conventions.usage import usage_facts
from ..conventions.values import first_of, object_of, well_formed
from ._conversation import Said, run_of
from ._kinds import count_kinds, most_are, sample_of
from ._spans import SpanRecord
from ._values import clock_time, text_of
from .messages import said_of

__all__ = ["is_adk", "is_adk_events", "read_adk", "read_adk_events"]


def _is_event(event: Any) -> bool:
    return (
        isinstance(event, dict)
        and isinstance(event.get("author"), str)
        and ("invocation_id" in event or "invocationId" in event)
    )


def is_adk_events(documents: list[Any]) -> bool:
    return most_are(_is_event, sample_of(documents))


def is_adk(document: dict[str, Any]) -> bool:
    events = document.get("events")
    return isinstance(events, list) and is_adk_events(events)


def read_adk_events(documents: list[Any], source: str) -> Iterator[SpanRecord]:
    return read_adk({"events": documents}, source)


def read_adk(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    kept = {f"adk.{key}": document[key] for key in document if key not in ("events", "id")}
    if document.get("id"):
        kept["session.id"] = text_of(document["id"])
    user = first_of(document, "user_id", "userId")
    if user:
        kept["user.id"] = text_of(user)
    name = text_of(first_of(document, "app_name", "appName")) or "adk"
    root, talk = run_of(name, source, kept)
    events = document["events"]
    root.kinds = count_kinds(event for event in events if not _is_event(event))
    for event in filter(_is_event, events):
        if event.get("partial") is not True:  # the whole follows
            talk.add(_said(event))
    return talk.close(root)


def _said(event: dict[str, Any]) -> Said:
    content = object_of(event.get("content"))
    author = text_of(event.get("author"))
    role = text_of(content.get("role")) or ("user" if author == "user" else "model")
    said = said_of({"role": role, "parts": content.get("parts") or []})
    moment = clock_time(event.get("timestamp"))
    said.end = moment
    said.start = None if said.role == "assistant" else moment
    usage = first_of(event, "usage_metadata", "usageMetadata")
    said.metadata |= usage_facts(object_of(usage)) if said.role == "assistant" else {}
    said.metadata["gen_ai.agent.name"] = author
    model = first_of(event, "model_version", "modelVersion")
    if isinstance(model, str) and said.role == "assistant":
        said.name = said.metadata["gen_ai.response.model"] = well_formed(model)
    elif said.role == "assistant":
        said.name = author
    reason = first_of(event, "finish_reason", "finishReason")
    if isinstance(reason, str):
        said.metadata["gen_ai.response.finish_reasons"] = [well_formed(reason)]
    failure = first_of(event, "error_message", "errorMessage", "error_code", "errorCode")
    if failure:
        said.error = text_of(failure)
    return said
