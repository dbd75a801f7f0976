"""AutoGen: the result of a task, and the lines of its event log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conventions.usage import usage_facts
from ..conventions.values import object_of, parse_json
from ._conversation import Call, Result, Said, run_of
from ._kinds import count_kinds, most_are, sample_of
from ._message_facts import facts_of_message
from ._message_parts import calls_in
from ._spans import SpanRecord
from ._values import clock_time, text_of

__all__ = [
    "is_autogen_log",
    "is_autogen_result",
    "read_autogen_log",
    "read_autogen_result",
]

_SILENT = ("ThoughtEvent", "ModelClientStreamingChunkEvent", "SelectorEvent", "SelectSpeakerEvent")


def _is_message(message: Any) -> bool:
    kind = message.get("type") if isinstance(message, dict) else None
    return (
        isinstance(kind, str)
        and kind.endswith(("Message", "Event"))
        and "source" in message
        and "models_usage" in message
    )


def is_autogen_result(document: dict[str, Any]) -> bool:
    messages = document.get("messages")
    return isinstance(messages, list) and most_are(_is_message, sample_of(messages))


def read_autogen_result(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    kept = {"autogen.stop_reason": document["stop_reason"]} if document.get("stop_reason") else {}
    root, talk = run_of("autogen", source, kept)
    thought: Any = None
    left = []
    for message in document["messages"]:
        if not _is_message(message):
            left.append(message)
            continue
        kind = message["type"]
        if kind == "ThoughtEvent":  # told before the calls of the same answer
            thought = message.get("content")
        elif kind == "ToolCallExecutionEvent":
            talk.add(_results(message))
        elif kind in _SILENT:
            left.append(message)
        else:
            talk.add(_said(message, kind, thought))
            thought = None
    root.kinds = count_kinds(left)
    return talk.close(root)


def _said(message: dict[str, Any], kind: str, thought: Any) -> Said:
    """Tell a message: a model's has usage, or asks for tools; a summary only repeats results."""
    calls = message.get("content") if kind == "ToolCallRequestEvent" else []
    asked = [_call(call) for call in (calls if isinstance(calls, list) else [])]
    usage = object_of(message.get("models_usage"))
    source = text_of(message.get("source"))
    is_model = bool(usage) or bool(asked)
    role = "assistant" if is_model else "user" if source == "user" else source or kind
    said = Said(role, {"role": role, "content": message.get("content")}, asked)
    if thought:
        said.message["reasoning_content"] = thought
    said.end = clock_time(message.get("created_at"))
    said.start = None if is_model else said.end
    if is_model:
        said.metadata = usage_facts(usage)
        said.name = source
    said.metadata["autogen.type"] = kind
    return said


def _call(call: Any) -> Call:
    told = object_of(call)
    return Call(
        text_of(told.get("name")), parse_json(told.get("arguments")), text_of(told.get("id"))
    )


def _results(message: dict[str, Any]) -> Said:
    content = message.get("content")
    results = [
        Result(
            text_of(told.get("call_id")),
            text_of(told.get("name")),
            {"content": told.get("content")},
            (told.get("content") or "the tool failed") if told.get("is_error") is True else None,
        )
        for told in map(object_of, content if isinstance(content, list) else [])
    ]
    said = Said("tool", {"role": "tool", "content": content}, results=results)
    said.is_more_than_results = False
    said.start = said.end = clock_time(message.get("created_at"))
    return said


# ---- The event log -------------------------------------------------------------------------------

_LOGGED = ("LLMCall", "LLMStreamEnd", "ToolCall")


def _is_logged(event: Any) -> bool:
    return isinstance(event, dict) and event.get("type") in (*_LOGGED, "LLMStreamStart", *_PASSED)


_PASSED = ("Message", "MessageDropped", "MessageHandlerException", "AgentConstructionException")


def is_autogen_log(documents: list[Any]) -> bool:
    some = sample_of(documents)
    calls = [one for one in some if isinstance(one, dict) and one.get("type") in _LOGGED]
    known = any("agent_id" in one or "tool_name" in one for one in calls)
    return known and most_are(_is_logged, some)


def read_autogen_log(documents: list[Any], source: str) -> Iterator[SpanRecord]:
    root, talk = run_of("autogen", source)
    left = []
    sent = 0
    for event in documents:
        kind = event.get("type") if isinstance(event, dict) else None
        if kind in ("LLMCall", "LLMStreamEnd"):
            messages = event.get("messages")
            listed = messages if isinstance(messages, list) else []
            for message in listed[sent:]:  # each call is told with the whole history
                if isinstance(message, dict) and message.get("role") in ("system", "user"):
                    talk.add(Said(message["role"], message))
            sent = max(sent, len(listed))
            talk.add(_logged_call(event))
        elif kind == "ToolCall":
            talk.add(_logged_tool(event))
        else:
            left.append(event)
    root.kinds = count_kinds(left)
    return talk.close(root)


def _logged_call(event: dict[str, Any]) -> Said:
    response = object_of(event.get("response"))
    choices = response.get("choices")
    first = object_of(choices[0]) if isinstance(choices, list) and choices else {}
    message = {"role": "assistant", **object_of(first.get("message"))}
    said = Said("assistant", message, calls_in(message))
    facts_of_message(said, {**first, **response, "created": None})
    for fact, name in (("input", "prompt_tokens"), ("output", "completion_tokens")):
        if isinstance(event.get(name), int):
            said.metadata[f"gen_ai.usage.{fact}_tokens"] = event[name]
    if event.get("agent_id"):
        said.metadata["gen_ai.agent.name"] = text_of(event["agent_id"])
    return said


def _logged_tool(event: dict[str, Any]) -> Said:
    """Tell a tool's run, which names no call: it is the first of its name that is open."""
    output = {"content": event.get("result")}
    result = Result("", text_of(event.get("tool_name")), output)
    message = {"role": "tool", "name": result.name, **output}
    return Said("tool", message, results=[result], is_more_than_results=False)
