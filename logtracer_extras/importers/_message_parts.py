"""The parts of a message that ask something of a tool, or that are what it answered."""

from __future__ import annotations

from typing import Any

from ..conventions.values import first_of, object_of, parse_json
from ._conversation import Call, Result
from ._values import text_of

__all__ = [
    "ITEM_CALLS",
    "calls_in",
    "is_result",
    "parts_of",
    "results_in",
    "said_by_item",
    "unwrapped",
]

ITEM_CALLS = (  # of OpenAI's Responses; their answers have "_output" behind
    "apply_patch_call",
    "code_interpreter_call",
    "computer_call",
    "custom_tool_call",
    "file_search_call",
    "function_call",
    "image_generation_call",
    "local_shell_call",
    "mcp_call",
    "shell_call",
    "tool_search_call",
    "web_search_call",
)
_RUN_BY_PROVIDER = {  # whose answer is on the call itself
    "code_interpreter_call": "outputs",
    "file_search_call": "results",
    "image_generation_call": "result",
    "mcp_call": "output",
    "web_search_call": "action",
}


def said_by_item(kind: str) -> str:
    """Return who says an item without a role; nothing when it is none."""
    if kind in ITEM_CALLS or kind == "reasoning":
        return "assistant"
    call, _, output = kind.rpartition("_")
    return "tool" if call in ITEM_CALLS and output == "output" else ""


def unwrapped(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message of LangChain out of what `messages_to_dict` or `dumps` put around it."""
    data = message.get("data")
    if isinstance(data, dict) and "content" in data and isinstance(message.get("type"), str):
        return {"type": message["type"], **data}
    name = message.get("id")
    if message.get("lc") and isinstance(name, list) and name and "kwargs" in message:
        words = object_of(message["kwargs"])
        kind = str(name[-1]).removesuffix("Chunk").removesuffix("Message").lower()
        return {"type": kind, **words} if "content" in words else message
    return message


def parts_of(message: dict[str, Any]) -> list[Any]:
    """Return the parts of a message, under whichever name; a text alone is one of them."""
    content = message.get("content")
    parts = message.get("parts")
    found = list(content) if isinstance(content, list) else []
    if isinstance(content, dict):
        found = list(content["parts"]) if isinstance(content.get("parts"), list) else [content]
    elif isinstance(content, str) and content:
        found = [{"type": "text", "text": content}]
    return found + (parts if isinstance(parts, list) else [])


# ---- Asking --------------------------------------------------------------------------------------


def calls_in(message: dict[str, Any]) -> list[Call]:
    """Return what a message asks of tools; the same call told twice is one."""
    found: list[Call] = []
    for name in ("tool_calls", "toolCalls", "invalid_tool_calls"):
        listed = message.get(name)
        for call in listed if isinstance(listed, list) else []:
            if isinstance(call, dict):
                found.append(_listed_call(call))
    if not found and isinstance(message.get("function_call"), dict):
        found.append(_listed_call(message["function_call"]))
    if message.get("type") in ITEM_CALLS:
        found.append(_item_call(message))
    known = {call.id for call in found if call.id}
    calls = (_part_call(part) for part in parts_of(message) if isinstance(part, dict))
    return found + [call for call in calls if call is not None and call.id not in known]


def _listed_call(call: dict[str, Any]) -> Call:
    function = object_of(first_of(call, "function", "custom")) or call
    arguments = first_of(function, "arguments", "args", "input")
    name = first_of(function, "name", "toolName") or call.get("name")
    key = first_of(call, "id", "toolCallId", "call_id", "tool_call_id")
    return Call(text_of(name), parse_json(arguments), text_of(key))


def _item_call(item: dict[str, Any]) -> Call:
    arguments = first_of(item, "arguments", "input", "action", "code", "queries", "operation")
    kind = text_of(item.get("type")).removesuffix("_call")
    return Call(
        text_of(item.get("name")) or kind,
        parse_json(arguments),
        text_of(first_of(item, "call_id", "id")),
    )


def _part_call(part: dict[str, Any]) -> Call | None:
    kind = part.get("type")
    kind = kind if isinstance(kind, str) else ""
    bedrock = part.get("toolUse")
    google = first_of(part, "function_call", "functionCall")
    if isinstance(bedrock, dict):
        return Call(
            text_of(bedrock.get("name")), bedrock.get("input"), text_of(bedrock.get("toolUseId"))
        )
    if isinstance(google, dict):
        return Call(text_of(google.get("name")), google.get("args"), text_of(google.get("id")))
    if kind.endswith("tool_use") or kind in ("tool_call", "server_tool_call", "tool-call"):
        return _listed_call(part if "toolName" not in part else {**part, "name": part["toolName"]})
    if kind == "tool-invocation":
        part = object_of(part.get("toolInvocation"))
    elif not ((kind.startswith("tool-") and kind != "tool-result") or kind == "dynamic-tool"):
        return None
    name = text_of(part.get("toolName")) or kind.removeprefix("tool-")
    return Call(name, first_of(part, "input", "args"), text_of(part.get("toolCallId")))


# ---- Answering -----------------------------------------------------------------------------------


def results_in(message: dict[str, Any]) -> list[Result]:
    """Return what tools answered in a message, each for itself."""
    found = [_part_result(part) for part in parts_of(message) if is_result(part)]
    if found:
        return found
    kind = text_of(message.get("type"))
    if kind in _RUN_BY_PROVIDER:
        return _provider_result(message, kind)
    role = first_of(message, "role", "type")
    is_output = isinstance(role, str) and role.endswith("_call_output")
    return _whole_results(message) if is_output or role in ("tool", "function") else []


def _provider_result(item: dict[str, Any], kind: str) -> list[Result]:
    if item.get("status") not in ("completed", "failed", "incomplete", None):
        return []
    output = {key: item[key] for key in (_RUN_BY_PROVIDER[kind], "status") if item.get(key)}
    failed = item.get("error") or (item.get("status") if item.get("status") == "failed" else None)
    return [Result(text_of(first_of(item, "call_id", "id")), "", output, failed)]


def _whole_results(message: dict[str, Any]) -> list[Result]:
    """Read a message that is a result; one with several ids is the answer to each of them."""
    ids = message.get("tool_call_ids")
    if not (isinstance(ids, list) and ids):
        ids = [first_of(message, "tool_call_id", "call_id", "toolCallId")]
    output = {key: message[key] for key in message if key not in ("role", "error", "tool_call_ids")}
    name = message.get("name") or message.get("tool_name") or message.get("function")
    content = first_of(message, "content", "output")
    return [
        Result(
            text_of(one),
            text_of(name) if isinstance(name, str) else "",
            dict(output),
            _whole_error(message, content),
        )
        for one in ids
    ]


def _whole_error(message: dict[str, Any], content: Any) -> Any:
    if message.get("error"):
        return message["error"]
    flagged = message.get("is_error") is True or message.get("isError") is True
    if flagged or message.get("status") in ("error", "failed"):
        return _text_in(content) or "the tool failed"
    code = object_of(message.get("extra")).get("returncode")
    if type(code) is int and code != 0:
        return f"exit code {code}"
    return None


def is_result(part: Any) -> bool:
    if not isinstance(part, dict):
        return False
    kind = part.get("type")
    if isinstance(kind, str):
        if kind.endswith("tool_result") or kind in ("tool-result", "tool_call_response"):
            return True
        if kind.startswith("tool-") or kind == "dynamic-tool":
            inner = object_of(part.get("toolInvocation")) or part
            return inner.get("state") in ("result", "output-available", "output-error")
    return any(isinstance(part.get(name), dict) for name in _NAMED_RESULTS)


_NAMED_RESULTS = ("toolResult", "function_response", "functionResponse")
_OUTPUTS = ("content", "response", "result", "output", "errorText")


def _part_result(part: dict[str, Any]) -> Result:
    """Read a result of whichever provider: an id, a name, what came back, whether it failed."""
    named = next((part[name] for name in _NAMED_RESULTS if isinstance(part.get(name), dict)), None)
    inner = object_of(part.get("toolInvocation")) or part if named is None else named
    key = first_of(inner, "tool_use_id", "toolUseId", "toolCallId", "tool_call_id", "id")
    name = first_of(inner, "name", "toolName")
    content = first_of(inner, *_OUTPUTS)
    output = {"content" if "content" in inner else "result": content}
    if "response" in inner and isinstance(content, dict):
        output = content
    return Result(
        text_of(key), text_of(name) if isinstance(name, str) else "", output, _error(inner, content)
    )


def _error(inner: dict[str, Any], content: Any) -> Any:
    """Return what went wrong, as the provider says it; None when nothing did."""
    told = object_of(content)
    kind = told.get("type")
    coded = isinstance(kind, str) and kind.endswith(("_error", "error-text", "error-json"))
    flagged = inner.get("is_error") is True or inner.get("isError") is True
    bad = inner.get("status") == "error" or inner.get("state") == "output-error"
    if flagged or coded or bad:
        return _text_in(content) or "the tool failed"
    if "response" in inner and told.get("error") and not told.keys() & {"output", "result"}:
        return told["error"]
    return None


def _text_in(content: Any) -> str:
    """Return the text of a result: itself, or what its parts say."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(filter(None, (_text_in(part) for part in content[:100])))
    told = object_of(content)
    value = first_of(told, "text", "message", "error_code", "value")
    return text_of(value if value is not None else content or None)
