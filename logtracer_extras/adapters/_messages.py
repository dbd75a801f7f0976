"""Messages of OpenTelemetry and OpenInference in the form that all adapters share."""

from __future__ import annotations

from typing import Any

from logtracer_extras.conventions import parse_json

from ._reading import first, known, read

_TEXTS = ("text", "output_text", "input_text", None)
_THOUGHTS = ("reasoning", "thinking")
_ANSWERS = ("tool_call_response", "tool_result", "function_response")


def as_chat(data: dict[str, Any], is_output: bool) -> dict[str, Any]:
    """Return an input or output whose messages, if it has any, are chat messages."""
    messages = data.get("messages")
    if not isinstance(messages, list):
        return data
    said = [one for message in messages for one in _chat_messages(message)]
    rest = {name: value for name, value in data.items() if name != "messages"}
    if is_output and len(said) == 1:
        return {"message": said[0], **rest}
    return {"messages": said, **rest}


def _chat_messages(message: Any) -> list[Any]:
    """Return a message of parts as chat messages: each result of a tool is one of its own."""
    if not isinstance(message, dict):
        return [message]
    content = message.get("content")
    parts = first(message.get("parts"), message.get("contents"))
    if parts is None and isinstance(content, list) and any(map(_is_untyped, content)):
        parts = content
    if not isinstance(parts, list):
        return [_with_types(message)]
    parts = [_typed(part) for part in parts]
    own = [part for part in parts if _kind_of(part) not in _ANSWERS]
    found: list[Any] = []
    if own or not parts:
        found.append(_chat_message(message, own))
    found += [_answer(part) for part in parts if _kind_of(part) in _ANSWERS]
    return found


def _with_types(message: dict[str, Any]) -> dict[str, Any]:
    """Return a chat message whose calls say that they are of functions."""
    said = {name: value for name, value in message.items() if name != "finish_reason"}
    calls = said.get("tool_calls")
    if isinstance(calls, list):
        said["tool_calls"] = [
            {"type": "function", **call} if "function" in call else call
            for call in calls
            if isinstance(call, dict)
        ]
    return said


def _is_untyped(part: Any) -> bool:
    """Tell whether a part is one of Bedrock's, which have the name of their kind as their key."""
    return isinstance(part, dict) and "type" not in part and len(part) == 1


def _typed(part: Any) -> Any:
    """Return a part of Bedrock's with a type, others as they are."""
    if not _is_untyped(part):
        return part
    ((kind, value),) = part.items()
    if kind == "text":
        return {"type": "text", "text": value}
    if kind == "reasoningContent":
        return {"type": "reasoning", "text": read(value, "reasoningText", "text")}
    if kind == "toolUse":
        return {
            "type": "tool_call",
            "id": read(value, "toolUseId"),
            "name": read(value, "name"),
            "arguments": read(value, "input"),
        }
    if kind == "toolResult":
        content = read(value, "content")
        return {"type": "tool_result", "id": read(value, "toolUseId"), "content": content}
    return part


def _kind_of(part: Any) -> Any:
    return read(part, "type") if isinstance(part, dict) else None


def _chat_message(message: dict[str, Any], parts: list[Any]) -> dict[str, Any]:
    calls = [_call(part) for part in parts if _kind_of(part) == "tool_call"]
    rest = [part for part in parts if _kind_of(part) not in ("tool_call", *_THOUGHTS)]
    thoughts = [_text(part) for part in parts if _kind_of(part) in _THOUGHTS]
    is_text = all(_kind_of(part) in _TEXTS for part in rest)
    content: Any = "".join(map(_text, rest)) or None if is_text else rest
    said = {"role": message.get("role") or "assistant", "content": content}
    others = {
        name: value
        for name, value in message.items()
        if name not in ("role", "parts", "contents", "content", "finish_reason")
    }
    extras = {"reasoning": "".join(thoughts), "tool_calls": calls, **others}
    said.update((name, value) for name, value in extras.items() if value)
    return said


def _text(part: Any) -> str:
    if isinstance(part, str):
        return part
    return str(first(read(part, "content"), read(part, "text"), ""))


def _call(part: dict[str, Any]) -> dict[str, Any]:
    function = {"name": part.get("name"), "arguments": parse_json(part.get("arguments"))}
    return {"id": part.get("id"), "type": "function", "function": function}


def _answer(part: dict[str, Any]) -> dict[str, Any]:
    content = first(part.get("response"), part.get("result"), part.get("content"))
    return known({"role": "tool", "tool_call_id": part.get("id"), "content": parse_json(content)})
