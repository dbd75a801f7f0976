"""What requests and answers of model APIs say, in one form for all of them.

Input is `messages` (and `tools`), output is `message`; facts go under their OpenTelemetry GenAI
names. A message's `content` is its text, or the list of its parts as they came and in their order
where there is more than text. Answers may be the SDK's objects or plain dictionaries.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ._reading import fields_of, first, known, plain, read, read_extra
from ._streams import AnthropicEvents, ChatChunks, Chunks, ResponseEvents
from ._usage import usage_facts


@dataclass(slots=True)
class Answer:
    """What came back from a model."""

    output: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    problem: tuple[str, str] | None = None  # it failed: the word for what, and the message


@dataclass(frozen=True, slots=True)
class Api:
    """One kind of endpoint: how its requests and answers read."""

    operation: str
    node_type: str
    read_input: Callable[[dict[str, Any]], dict[str, Any]]
    read_output: Callable[[Any], dict[str, Any]]
    read_facts: Callable[[Any], dict[str, Any]]
    chunks: Callable[[], Chunks]

    def request_facts(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return what a request asks for besides its messages."""
        facts = {"gen_ai.operation.name": self.operation, "gen_ai.request.model": body.get("model")}
        for name, value in body.items():
            if name not in _CONTENT:
                facts[f"gen_ai.request.{_PARAMETERS.get(name, name)}"] = value
        return known(facts)

    def answer(self, value: Any) -> Answer:
        """Return what an answer holds."""
        value = fields_of(value) or value  # asking an SDK's object for what it has not is slow
        facts = {
            "gen_ai.response.id": read(value, "id"),
            "gen_ai.response.model": read(value, "model"),
            "gen_ai.response.service_tier": read(value, "service_tier"),
            **usage_facts(read(value, "usage")),
            **self.read_facts(value),
        }
        return Answer(self.read_output(value), known(facts), problem_in(value))


_CONTENT = frozenset(
    {"model", "messages", "input", "prompt", "instructions", "system", "tools", "extra_body"}
)
_PARAMETERS = {
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "stop": "stop_sequences",
    "n": "choice.count",
}


def problem_in(answer: Any) -> tuple[str, str] | None:
    """Return the code and the message of an answer that says it failed, None for others."""
    error = read(answer, "error")
    choices = read(answer, "choices")
    if error is None and isinstance(choices, (list, tuple)):
        error = first(*(read_extra(choice, "error") for choice in choices))
    if not error:
        return ("failed", "failed") if read(answer, "status") == "failed" else None
    if isinstance(error, str):
        return "", error
    code = first(read(error, "code"), read(error, "type"), "")
    return str(code), str(first(read(error, "message"), plain(error)))


# ---- Requests ----------------------------------------------------------------------------------


def _with_tools(messages: list[Any], body: dict[str, Any]) -> dict[str, Any]:
    tools = body.get("tools")
    return {"messages": messages, "tools": tools} if tools else {"messages": messages}


def _chat_input(body: dict[str, Any]) -> dict[str, Any]:
    given = _with_tools(list(body.get("messages") or ()), body)
    functions = body.get("functions")  # the older form of tools
    return {**given, "functions": functions} if functions else given


def _anthropic_input(body: dict[str, Any]) -> dict[str, Any]:
    messages = list(body.get("messages") or ())
    if body.get("system"):
        messages.insert(0, {"role": "system", "content": body["system"]})
    return _with_tools(messages, body)


def _responses_input(body: dict[str, Any]) -> dict[str, Any]:
    given = body.get("input")
    if isinstance(given, str):
        messages = [{"role": "user", "content": given}]
    else:
        messages = [_response_item(item) for item in given or ()]
    if body.get("instructions"):
        messages.insert(0, {"role": "system", "content": body["instructions"]})
    whole = _with_tools(messages, body)
    return {**whole, "prompt": body["prompt"]} if body.get("prompt") else whole


def _response_item(item: Any) -> Any:
    """Return an item of the Responses API as a chat message, where it is one."""
    kind = read(item, "type")
    if kind in ("function_call", "custom_tool_call"):
        return {"role": "assistant", "tool_calls": [_item_call(item)]}
    if kind in ("function_call_output", "custom_tool_call_output"):
        content = read(item, "output")
        return {"role": "tool", "tool_call_id": read(item, "call_id"), "content": content}
    return item


def _plain_input(body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in ("prompt", "input") if name in body}


# ---- Answers -----------------------------------------------------------------------------------


def called(call_id: Any, name: Any, arguments: Any, kind: str = "function") -> dict[str, Any]:
    """Return a tool call as chat completions have it."""
    return {"id": call_id, "type": kind, "function": {"name": name, "arguments": arguments}}


def message_of(content: Any, tool_calls: Any = None, **more: Any) -> dict[str, Any]:
    """Return a message of the model; what there is nothing of is left out."""
    message: dict[str, Any] = {"role": "assistant", "content": content}
    more["tool_calls"] = tool_calls
    message.update((name, value) for name, value in more.items() if value)
    return message


def output_of(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Return messages as an output: one by itself, several as a list."""
    if len(messages) == 1:
        return {"message": messages[0]}
    return {"messages": messages} if messages else {}


def _chat_output(answer: Any) -> dict[str, Any]:
    return output_of([_choice_message(choice) for choice in read(answer, "choices") or ()])


_READ_ALREADY = {"role", "content", "tool_calls", "reasoning", "reasoning_content", "parsed"}


def _choice_message(choice: Any) -> dict[str, Any]:
    return message_of_chat(read(choice, "message"))


def message_of_chat(message: Any) -> dict[str, Any]:
    """Return a message that a chat completion holds: all its fields in which there is anything."""
    message = fields_of(message) or message
    calls = [_chat_call(call) for call in read(message, "tool_calls") or ()]
    others = {
        name: plain(value)
        for name, value in fields_of(message).items()
        if value and name not in _READ_ALREADY
    }
    if "audio" in others:
        others["audio"] = _without_sound(others["audio"])
    reasoning = first(read(message, "reasoning_content"), read(message, "reasoning"))
    return message_of(read(message, "content"), calls, reasoning=reasoning, **others)


def _chat_call(call: Any) -> dict[str, Any]:
    call = fields_of(call) or call
    custom = read(call, "custom")
    body = first(custom, read(call, "function"))
    arguments = read(body, "input" if custom is not None else "arguments")
    is_custom = custom is not None or read(call, "type") == "custom"
    kind = "custom" if is_custom else "function"
    return called(read(call, "id"), read(body, "name"), arguments, kind)


def _without_sound(audio: Any) -> Any:
    """Return what was said, and of the sound its size: its letters tell a reader nothing."""
    data = read(audio, "data")
    if not isinstance(data, str) or not isinstance(audio, dict):
        return audio
    return {**audio, "data": f"[{len(data)} characters of base64]"}


def _text_output(answer: Any) -> dict[str, Any]:
    texts = [read(choice, "text") for choice in read(answer, "choices") or ()]
    return output_of([message_of(text) for text in texts])


_CALLS_OF_BLOCKS = ("tool_use", "server_tool_use", "mcp_tool_use")


def _anthropic_output(answer: Any) -> dict[str, Any]:
    blocks = list(read(answer, "content") or ())
    if not blocks:
        return {}
    calls = [
        called(read(block, "id"), read(block, "name"), read(block, "input"))
        for block in blocks
        if read(block, "type") in _CALLS_OF_BLOCKS
    ]
    content: Any = [plain(block) for block in blocks]
    if _is_simple(blocks, ("thinking",), "text", ("tool_use",), "citations"):
        content = _text_of(blocks, "text") or None
    return {"message": message_of(content, calls, reasoning=_text_of(blocks, "thinking"))}


def _is_simple(
    parts: Iterable[Any], before: tuple[str, ...], text: str, after: tuple[str, ...], mark: str
) -> bool:
    """Tell whether parts are at most thoughts, one text without marks, and calls, in that order."""
    place = 0
    for part in parts:
        kind = read(part, "type")
        if read(part, "encrypted_content"):
            return False
        if kind == text and place < 1 and not read(part, mark):
            place = 1
        elif kind in after:
            place = 2
        elif kind not in before or place:
            return False
    return True


_SILENT = ("reasoning", "refusal", "function_call")  # parts that say no text


def _responses_output(answer: Any) -> dict[str, Any]:
    items = list(read(answer, "output") or ())
    if not items:
        return {}
    calls = [_item_call(item) for item in items if str(read(item, "type")).endswith("_call")]
    parts = _parts_of(items)
    kinds = ("reasoning",), "output_text", ("function_call",)
    is_simple = _is_simple(parts, *kinds, "annotations")
    if is_simple or all(read(part, "type") in _SILENT for part in parts):
        content: Any = _text_of(parts, "text") or None
    else:
        content = [plain(part) for part in parts]
    thoughts = [
        part
        for item in items
        if read(item, "type") == "reasoning"
        for part in (*(read(item, "summary") or ()), *(read(item, "content") or ()))
    ]
    return {
        "message": message_of(
            content, calls, reasoning=_text_of(thoughts, "text"), refusal=_text_of(parts, "refusal")
        )
    }


def _text_of(parts: Iterable[Any], name: str) -> str:
    return "".join(filter(None, (read(part, name) for part in parts)))


def _parts_of(items: list[Any]) -> list[Any]:
    """Return the items in their order, a message as the parts that it has."""
    parts: list[Any] = []
    for item in items:
        if read(item, "type") == "message":
            parts.extend(read(item, "content") or ())
        else:
            parts.append(item)
    return parts


_NOT_ARGUMENTS = {"id", "call_id", "type", "status", "name", "output", "error", "role"}


def _item_call(item: Any) -> dict[str, Any]:
    """Return a call among the items: of the host's tools, or of the provider's own.

    The provider's own have their results with them. Those without a name are named after their
    kind, and what they tell is their arguments.
    """
    kind = str(read(item, "type"))
    arguments = first(read(item, "arguments"), read(item, "input"))
    call_id = first(read(item, "call_id"), read(item, "id"))
    name = read(item, "name") or kind.removesuffix("_call")
    if kind in _HOSTS_CALLS:
        return called(call_id, name, arguments, _HOSTS_CALLS[kind])
    if arguments is None:
        fields = plain(item)
        arguments = {name: field for name, field in fields.items() if name not in _NOT_ARGUMENTS}
    results = {name: plain(read(item, name)) for name in ("output", "error", "status")}
    return {**called(call_id, name, arguments, kind), **known(results)}


_HOSTS_CALLS = {"function_call": "function", "custom_tool_call": "custom"}


def _embeddings_output(answer: Any) -> dict[str, Any]:
    """Return the size of the embeddings: thousands of numbers tell a reader nothing."""
    vectors = read(answer, "data") or ()
    vector = read(vectors[0], "embedding") if vectors else None
    dimensions = len(vector) if isinstance(vector, (list, tuple)) else None
    return {"embeddings": len(vectors), "dimensions": dimensions}


# ---- How it ended ------------------------------------------------------------------------------


def _anthropic_facts(answer: Any) -> dict[str, Any]:
    reason = read(answer, "stop_reason")
    return {"gen_ai.response.finish_reasons": [reason] if reason else None}


def _chat_facts(answer: Any) -> dict[str, Any]:
    reasons = [read(choice, "finish_reason") for choice in read(answer, "choices") or ()]
    return {"gen_ai.response.finish_reasons": [reason for reason in reasons if reason] or None}


def _responses_facts(answer: Any) -> dict[str, Any]:
    reason = read(answer, "incomplete_details", "reason") or read(answer, "status")
    return {"gen_ai.response.finish_reasons": [reason] if reason else None}


# ---- The endpoints -----------------------------------------------------------------------------

CHAT = Api("chat", "llm_call", _chat_input, _chat_output, _chat_facts, ChatChunks)
TEXT = Api("text_completion", "llm_call", _plain_input, _text_output, _chat_facts, ChatChunks)
RESPONSES = Api(
    "chat", "llm_call", _responses_input, _responses_output, _responses_facts, ResponseEvents
)
ANTHROPIC = Api(
    "chat", "llm_call", _anthropic_input, _anthropic_output, _anthropic_facts, AnthropicEvents
)
EMBEDDINGS = Api(
    "embeddings", "retrieval", _plain_input, _embeddings_output, _chat_facts, ChatChunks
)

# Whole paths, but for what proxies and clouds put before them: an assistant's thread has messages.
_ENDPOINTS = (
    (r".*/chat/completions", CHAT),
    (r".*/completions", TEXT),
    (r"(?:/openai)?(?:/v\d+\w*)?/responses", RESPONSES),
    (r"(?:/anthropic)?(?:/v\d+)?/messages", ANTHROPIC),
    (r".*/embeddings", EMBEDDINGS),
)


@functools.lru_cache(maxsize=256)
def api_of(path: str) -> Api | None:
    """Return how the endpoint at a path reads, None for one that is no model call."""
    path = re.sub(r"^https?://[^/]*", "", path).partition("?")[0].rstrip("/")
    return next((api for form, api in _ENDPOINTS if re.fullmatch(form, path)), None)
