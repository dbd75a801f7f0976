"""Messages of model calls, in the forms that the conventions give them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .values import as_text, first_of, mapping, parse_json, well_formed

__all__ = [
    "add_message_events",
    "genai_message",
    "is_message",
    "is_message_event",
    "join_tool_calls",
    "messages_in",
    "openinference_message",
    "spread_events",
]


_MESSAGE_KEYS = frozenset({"messages", "message", "choices", "role", "tool_calls"})


def messages_in(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the chat messages that an llm_call's input or output holds, in whatever form."""
    if _MESSAGE_KEYS.isdisjoint(data):
        return []
    candidates = (data.get("messages"), [data.get("message")], _choices(data), [dict(data)])
    for candidate in candidates:
        if isinstance(candidate, list) and candidate and all(map(is_message, candidate)):
            return candidate
    return []


def _choices(data: Mapping[str, Any]) -> list[Any]:
    choices = data.get("choices")
    if not isinstance(choices, list):
        return []
    return [
        {"finish_reason": choice.get("finish_reason"), **choice["message"]}
        for choice in choices
        if isinstance(choice, dict) and isinstance(choice.get("message"), dict)
    ]


def is_message(item: Any) -> bool:
    return isinstance(item, dict) and (isinstance(item.get("role"), str) or "tool_calls" in item)


def genai_message(message: dict[str, Any], way: str) -> dict[str, Any]:
    parts = message.get("parts")
    if isinstance(parts, list):
        parts = [_genai_part(part) for part in parts if part not in (None, "")]
    else:
        parts = [*_content_parts(message), *map(_tool_call_part, _tool_calls(message))]
    result = {"role": message.get("role") or "assistant", "parts": parts}
    if way == "output":  # the published schema requires it
        result["finish_reason"] = str(message.get("finish_reason") or "stop")
    return result


def _content_parts(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    content = message.get("content")
    if message.get("role") == "tool":
        yield {
            "type": "tool_call_response",
            "id": message.get("tool_call_id"),
            "response": content,
        }
        return
    for part in content if isinstance(content, list) else [content]:
        if part not in (None, ""):
            yield _genai_part(part)


_CALLS = ("toolUse", "function_call", "functionCall")  # of Bedrock and Google, by these keys
_RESULTS = ("toolResult", "function_response", "functionResponse")
_CALL_TYPES = ("tool_use", "server_tool_use", "tool-call")
_RESULT_TYPES = ("tool_result", "tool-result")
_IDS = ("id", "toolUseId", "toolCallId", "tool_use_id")


def _genai_part(part: Any) -> dict[str, Any]:
    """Return a part of a message in the words of the GenAI conventions, whoever wrote it."""
    if not isinstance(part, dict):
        return {"type": "text", "content": as_text(part)}
    kind = part.get("type")
    call = next((part[name] for name in _CALLS if isinstance(part.get(name), dict)), None)
    result = next((part[name] for name in _RESULTS if isinstance(part.get(name), dict)), None)
    if call is not None or kind in _CALL_TYPES:
        called = part if call is None else call
        given = first_of(called, "input", "args", "arguments")
        name = as_text(first_of(called, "name", "toolName") or "")
        key = first_of(called, *_IDS)
        return {"type": "tool_call", "id": key, "name": name, "arguments": given}
    if result is not None or kind in _RESULT_TYPES:
        answer = part if result is None else result
        told = first_of(answer, "content", "response", "output", "result")
        return {"type": "tool_call_response", "id": first_of(answer, *_IDS), "response": told}
    if kind in ("text", None) and ("text" in part or "content" in part):
        return {"type": "text", "content": as_text(part.get("text", part.get("content")))}
    return part if isinstance(kind, str) else {"type": next(iter(part), "empty"), **part}


def _tool_calls(message: dict[str, Any]) -> list[dict[str, Any]]:
    calls = message.get("tool_calls")
    return [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []


def _tool_call_part(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function")
    called = function if isinstance(function, dict) else call
    return {
        "type": "tool_call",
        "id": call.get("id"),
        "name": as_text(called.get("name")),
        "arguments": parse_json(called.get("arguments")),
    }


def openinference_message(message: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "role", as_text(message.get("role") or "assistant")
    content = message.get("content", message.get("parts"))
    if content is not None:
        yield "content", as_text(content)
    if isinstance(message.get("tool_call_id"), str):
        yield "tool_call_id", well_formed(message["tool_call_id"])
    for position, call in enumerate(_tool_calls(message)):
        part = _tool_call_part(call)
        prefix = f"tool_calls.{position}.tool_call."
        if isinstance(part["id"], str):
            yield prefix + "id", well_formed(part["id"])
        yield prefix + "function.name", part["name"]
        yield prefix + "function.arguments", as_text(part["arguments"])


_ROLE_OF_EVENT = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
    "gen_ai.choice": "assistant",
}


def is_message_event(name: Any) -> bool:
    """Tell whether an event of this name stands for messages that were sent or received."""
    return name in _ROLE_OF_EVENT or name in _MESSAGES_OF_EVENT


_MESSAGES_OF_EVENT = {
    "gen_ai.content.prompt": "gen_ai.prompt",
    "gen_ai.content.completion": "gen_ai.completion",
}


def add_message_events(attributes: dict[str, Any], events: Iterable[Mapping[str, Any]]) -> None:
    """Add what message events say as messages, unless the attributes say it themselves."""
    sent: list[Any] = []
    received: list[Any] = []
    for event in events:
        name = event.get("event.name")
        if name in _MESSAGES_OF_EVENT:
            whole = _MESSAGES_OF_EVENT[name]
            attributes.setdefault(whole, event.get(whole))
        elif name in _ROLE_OF_EVENT:
            way = received if name == "gen_ai.choice" else sent
            way.append(_message_of_event(event, _ROLE_OF_EVENT[name]))
    for key, messages in (("gen_ai.input.messages", sent), ("gen_ai.output.messages", received)):
        if messages:
            attributes.setdefault(key, messages)


def _message_of_event(event: Mapping[str, Any], role: str) -> dict[str, Any]:
    said = {key: parse_json(value) for key, value in event.items() if key not in _EVENT_NAMES}
    body = said.pop("gen_ai.event.content", None)
    said.update(mapping(body))
    message = said.pop("message", None)
    if isinstance(message, dict):
        said.update(message)
    elif message is not None:
        said["content"] = message
    return {"role": role, **said}


_EVENT_NAMES = ("event.name", "gen_ai.system", "gen_ai.message.index")


def spread_events(attributes: dict[str, Any]) -> None:
    """Read the list of events that pydantic-ai and Logfire wrote into one attribute."""
    events = parse_json(attributes.get("events"))
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        return
    if events and all(is_message_event(event.get("event.name")) for event in events):
        add_message_events(attributes, events)
        del attributes["events"]


def join_tool_calls(attributes: dict[str, Any]) -> None:
    """Put the tools that a model asked for beside its text, where the Vercel AI SDK parts them."""
    for root in ("ai.response", "ai.result"):
        calls = parse_json(attributes.get(f"{root}.toolCalls"))
        if isinstance(calls, list) and calls and all(isinstance(call, dict) for call in calls):
            del attributes[f"{root}.toolCalls"]
            message = {
                "role": "assistant",
                "content": attributes.pop(f"{root}.text", None),
                "tool_calls": [_vercel_call(call) for call in calls],
            }
            attributes.setdefault("gen_ai.output.messages", [message])


def _vercel_call(call: Mapping[str, Any]) -> dict[str, Any]:
    names = {"toolCallId": "id", "toolName": "name", "args": "arguments", "input": "arguments"}
    return {names.get(key, key): value for key, value in call.items()}
