"""What a model call was asked and what it answered, in a line each: for the tree of `inspect`."""

from __future__ import annotations

import json
from typing import Any

from logtracer import Node

__all__ = ["turn_of"]

_MOST = 4  # messages shown of what was new: the results of parallel tools
_RESULTS = ("tool_result", "tool_call_response", "function_call_output", "toolResult")
_CALLS = ("tool_use", "tool_call", "function_call", "toolCall")


def turn_of(node: Node) -> list[tuple[str, str]] | None:
    """Return labels and texts: the last messages of others, then the answer; None without them."""
    asked, answered = _new_messages(node.input_data), _answer(node.output_data)
    lines = [line for message in asked[-_MOST:] for line in _lines(message)]
    lines += [] if answered is None else _lines({**answered, "role": "assistant"})
    return lines or None


def _new_messages(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what came since the model spoke last."""
    messages = data.get("messages")
    found: list[dict[str, Any]] = []
    for message in reversed(messages if isinstance(messages, list) else []):
        role = message.get("role") if isinstance(message, dict) else None
        if role in (None, "assistant", "model", "system", "developer"):
            break
        found.append(message)
    return found[::-1]


def _answer(data: dict[str, Any]) -> dict[str, Any] | None:
    message = data.get("message")
    several = data.get("messages")
    if message is None and isinstance(several, list) and several:
        message = several[-1]
    return message if isinstance(message, dict) else None


def _lines(message: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the texts, the calls and the results of a message."""
    role = message.get("role")
    label = "result: " if role in ("tool", "function") else f"{role}: "
    content = message.get("content", message.get("parts"))
    parts = content if isinstance(content, list) else [content]
    lines: list[tuple[str, str]] = []
    for part in parts:
        lines += _part_lines(part, label)
    calls = message.get("tool_calls")
    told = {text for _, text in lines}
    for call in map(_call_text, calls if isinstance(calls, list) else []):
        lines += [("calls: ", call)] if call and call not in told else []
    return lines


def _part_lines(part: Any, label: str) -> list[tuple[str, str]]:
    if isinstance(part, str):
        return [(label, repr(part))] if part else []
    if not isinstance(part, dict):
        return []
    kind = part.get("type")
    if kind in _CALLS:
        call = _call_text(part)
        return [("calls: ", call)] if call else []
    if kind in _RESULTS:
        names = ("content", "result", "response", "output")
        return [("result: ", repr(next((part[name] for name in names if name in part), None)))]
    text = part.get("text", part.get("content") if kind == "text" else None)
    return [(label, repr(text))] if isinstance(text, str) and text else []


def _call_text(call: Any) -> str:
    """Return a call as Python writes it: check_stock(sku='BLU-CHAIR ')."""
    if not isinstance(call, dict):
        return ""
    function = call.get("function")
    told = function if isinstance(function, dict) else call
    name, given = told.get("name"), told.get("arguments", told.get("input", told.get("args")))
    if not isinstance(name, str):
        return ""
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            return f"{name}({given})"
    if isinstance(given, dict):
        return f"{name}({', '.join(f'{key}={value!r}' for key, value in given.items())})"
    return f"{name}({'' if given is None else repr(given)})"
