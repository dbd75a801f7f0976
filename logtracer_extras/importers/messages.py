"""Chat messages: a conversation or a bare list of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from logtracer import EdgeType, NodeType

from ..conventions.reading import Facts
from ..conventions.usage import usage_facts
from ..conventions.values import first_of, object_of, objects_in, parse_json, well_formed
from ._spans import SpanLink, SpanRecord, add_failure
from ._values import SPAN_DIGITS, TRACE_DIGITS, clean_values, hashed_id, text_of

__all__ = [
    "is_conversation",
    "is_message",
    "read_conversation",
    "read_message_list",
    "read_messages",
]


def is_message(item: Any) -> bool:
    return isinstance(item, dict) and bool(_role_of(item))


def _role_of(message: dict[str, Any]) -> str:
    """Return who speaks; the items of OpenAI's newer interface have a type instead of a role."""
    role = message.get("role")
    if isinstance(role, str):
        return well_formed(role)
    kind = message.get("type")
    if not isinstance(kind, str):
        return ""
    if "content" in message and kind in _LANGCHAIN_ROLES:
        return _LANGCHAIN_ROLES[kind]
    if kind in _ITEMS:
        return "assistant"
    call, _, output = kind.rpartition("_")
    return "tool" if call in _CALLS and output == "output" else ""


_LANGCHAIN_ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}
_CALLS = (
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
    "web_search_call",
)
_ITEMS = (*_CALLS, "reasoning")  # what a model says


def is_conversation(document: dict[str, Any]) -> bool:
    messages = _messages_of(document)
    return isinstance(messages, list) and bool(messages) and is_message(messages[0])


def _messages_of(document: dict[str, Any]) -> Any:
    """Return the messages of a conversation, or of what a model's provider answered."""
    if document.get("object") == "response":
        return document.get("output")
    if document.get("object") == "chat.completion":
        choices = objects_in(document.get("choices"), "choices")
        return [object_of(choice.get("message")) for choice in choices]
    return [document] if is_message(document) else document.get("messages")


_ANSWERS = ("response", "chat.completion")


def read_conversation(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    trace_id = hashed_id(source, TRACE_DIGITS)
    messages = _messages_of(document)
    kept = {} if is_message(document) else clean_values(document)
    is_answer = document.get("object") in _ANSWERS
    kept.pop("output" if document.get("object") == "response" else "messages", None)
    if is_answer:
        kept.update(_message_facts(document))
    root = SpanRecord(
        trace_id, "conversation", Facts("trace", metadata=kept), trace_id[:SPAN_DIGITS]
    )
    yield root
    yield from read_messages(messages, trace_id, root.span_id)


def _message_facts(message: dict[str, Any]) -> dict[str, Any]:
    """Return the model, the tokens and the reason for the end that an answer tells."""
    facts: dict[str, Any] = usage_facts(object_of(message.get("usage")))
    if isinstance(message.get("model"), str):
        facts["gen_ai.response.model"] = well_formed(message["model"])
    reason = first_of(message, "finish_reason", "stop_reason")
    if isinstance(reason, str):
        facts["gen_ai.response.finish_reasons"] = [well_formed(reason)]
    return facts


def read_message_list(messages: list[Any], source: str) -> Iterator[SpanRecord]:
    return read_conversation({"messages": messages}, source)


def read_messages(messages: Any, trace_id: str, parent_id: str | None) -> Iterator[SpanRecord]:
    """Make a node of every message: what the model said, what a tool or a person answered."""
    called: dict[str, dict[str, Any]] = {}
    previous: SpanRecord | None = None
    for position, message in enumerate(objects_in(messages, "messages")):
        span = _message_span(message, called)
        span.trace_id, span.parent_id = trace_id, parent_id
        span.span_id = hashed_id(f"{trace_id}/message/{position}", SPAN_DIGITS)
        if previous is not None:
            edge = {"logtracer.edge.type": EdgeType.DATA_FLOW.value}
            span.links.append(SpanLink(trace_id, previous.span_id, edge))
        for call in _calls_in(message):
            called[text_of(first_of(call, "call_id", "id"))] = call
        yield span
        previous = span


def _message_span(message: dict[str, Any], called: dict[str, dict[str, Any]]) -> SpanRecord:
    role = _role_of(message) or text_of(message.get("type")) or "message"
    results = [text_of(part.get("tool_use_id")) for part in _parts(message, "tool_result")]
    kept = {key: message[key] for key in message if key not in ("role", "error")}
    if role == "assistant":
        name = text_of(message.get("model")) or role
        span = SpanRecord("", name, Facts(NodeType.LLM_CALL, output_data={"message": message}))
        span.facts.metadata.update(_message_facts(message))
    elif role in ("tool", "function") or results:
        answered = text_of(first_of(message, "tool_call_id", "call_id"))
        call = called.get((results or [answered])[0], {})
        span = _tool_span(message, call, kept)
    elif role == "user":
        span = SpanRecord("", role, Facts(NodeType.HUMAN_INPUT, output_data=kept))
    else:
        span = SpanRecord("", role, Facts(NodeType.CUSTOM, output_data=kept))
    span.facts.output_data = clean_values(span.facts.output_data)
    span.facts.metadata["message.role"] = role
    if message.get("error"):
        add_failure(span, message["error"])
    for part in _parts(message, "tool_result"):
        if part.get("is_error") is True:
            add_failure(span, part.get("content") or "the tool failed")
    return span


def _tool_span(message: dict[str, Any], call: dict[str, Any], kept: dict[str, Any]) -> SpanRecord:
    function = object_of(call.get("function")) or call
    name = text_of(first_of(message, "name", "function") or function.get("name")) or "tool"
    arguments = parse_json(first_of(function, "arguments", "input", "args"))
    asked = {} if arguments is None else {"arguments": arguments}
    data = arguments if isinstance(arguments, dict) else asked
    return SpanRecord("", name, Facts(NodeType.TOOL_CALL, clean_values(data), kept))


def _calls_in(message: dict[str, Any]) -> list[dict[str, Any]]:
    calls = message.get("tool_calls")
    listed = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    own = [message] if message.get("type") in _CALLS else []
    return listed + own + _parts(message, "tool_use")


def _parts(message: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    content = message.get("content")
    if not isinstance(content, list):
        return []
    return [part for part in content if isinstance(part, dict) and part.get("type") == kind]
