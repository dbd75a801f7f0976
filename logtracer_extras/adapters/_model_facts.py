"""What requests and answers of model APIs say, in one form for all of them.

Input is `messages` (and `tools`), output is `message`; facts go under their OpenTelemetry GenAI
names. Answers may be the SDK's objects or plain dictionaries: `read` takes both.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol


def read(value: Any, *names: str) -> Any:
    """Return a field of an object or a dictionary, nested ones too; None when it is not there."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else getattr(value, name, None)
    return value


def read_extra(value: Any, *names: str) -> Any:
    """Return the first of some fields that only some servers send.

    Asking an SDK's object for what it has not costs more than all that it has, so this looks
    where such objects keep what they do not know.
    """
    extra = value if isinstance(value, dict) else getattr(value, "model_extra", None)
    return first(*map(extra.get, names)) if extra else None


def first(*values: Any) -> Any:
    """Return the first value that is not None."""
    return next((value for value in values if value is not None), None)


@dataclass(slots=True)
class Answer:
    """What came back from a model."""

    output: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


class Chunks(Protocol):
    """Puts the chunks of a stream together into what one answer would have been."""

    def add(self, chunk: Any) -> None:
        """Take one chunk."""

    def whole(self) -> dict[str, Any]:
        """Return the answer so far, in the form of the whole one."""


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
            if name not in _CONTENT and value is not None:
                facts[f"gen_ai.request.{_PARAMETERS.get(name, name)}"] = value
        return facts

    def answer(self, value: Any) -> Answer:
        """Return what an answer holds."""
        facts = {
            "gen_ai.response.id": read(value, "id"),
            "gen_ai.response.model": read(value, "model"),
            **self.read_facts(value),
        }
        known = {name: fact for name, fact in facts.items() if fact is not None}
        return Answer(self.read_output(value), known)


_CONTENT = frozenset(
    {"model", "messages", "input", "prompt", "instructions", "system", "tools", "extra_body"}
)
_PARAMETERS = {
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "stop": "stop_sequences",
    "n": "choice.count",
}

# ---- Requests ----------------------------------------------------------------------------------


def _with_tools(messages: list[Any], body: dict[str, Any]) -> dict[str, Any]:
    tools = body.get("tools")
    return {"messages": messages, "tools": tools} if tools else {"messages": messages}


def _chat_input(body: dict[str, Any]) -> dict[str, Any]:
    return _with_tools(list(body.get("messages") or ()), body)


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
    return _with_tools(messages, body)


def _response_item(item: Any) -> Any:
    """Return an item of the Responses API as a chat message, where it is one."""
    kind = read(item, "type")
    if kind == "function_call":
        return {"role": "assistant", "tool_calls": [_called(item, read(item, "call_id"))]}
    if kind == "function_call_output":
        content = read(item, "output")
        return {"role": "tool", "tool_call_id": read(item, "call_id"), "content": content}
    return item


def _plain_input(body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in ("prompt", "input") if name in body}


# ---- Answers -----------------------------------------------------------------------------------


def _called(function: Any, call_id: Any, arguments: str = "arguments") -> dict[str, Any]:
    called = {"name": read(function, "name"), "arguments": read(function, arguments)}
    return {"id": call_id, "type": "function", "function": called}


def _message(
    content: Any, tool_calls: list[dict[str, Any]], reasoning: Any = None, refusal: Any = None
) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": content}
    extras = {"reasoning": reasoning, "refusal": refusal, "tool_calls": tool_calls}
    message.update((name, value) for name, value in extras.items() if value)
    return message


def _messages(messages: list[dict[str, Any]]) -> dict[str, Any]:
    if len(messages) == 1:
        return {"message": messages[0]}
    return {"messages": messages} if messages else {}


def _chat_output(answer: Any) -> dict[str, Any]:
    return _messages([_choice_message(choice) for choice in read(answer, "choices") or ()])


def _choice_message(choice: Any) -> dict[str, Any]:
    message = read(choice, "message")
    calls = [
        _called(read(call, "function") or read(call, "custom"), read(call, "id"))
        for call in read(message, "tool_calls") or ()
    ]
    reasoning = read_extra(message, "reasoning_content", "reasoning")
    return _message(read(message, "content"), calls, reasoning, read(message, "refusal"))


def _text_output(answer: Any) -> dict[str, Any]:
    texts = [read(choice, "text") for choice in read(answer, "choices") or ()]
    return _messages([_message(text, []) for text in texts])


def _anthropic_output(answer: Any) -> dict[str, Any]:
    blocks = read(answer, "content") or ()
    texts = [read(block, "text") for block in blocks if read(block, "type") == "text"]
    thoughts = [read(block, "thinking") for block in blocks if read(block, "type") == "thinking"]
    calls = [
        _called(block, read(block, "id"), "input")
        for block in blocks
        if read(block, "type") in ("tool_use", "server_tool_use", "mcp_tool_use")
    ]
    if not (texts or calls or thoughts):
        return {}
    return {"message": _message("".join(texts) or None, calls, "".join(thoughts))}


def _responses_output(answer: Any) -> dict[str, Any]:
    items = read(answer, "output") or ()
    calls = [
        _called(item, read(item, "call_id"))
        for item in items
        if read(item, "type") == "function_call"
    ]
    parts = [part for item in items for part in read(item, "content") or ()]
    summaries = [part for item in items for part in read(item, "summary") or ()]
    text, refusal, reasoning = (
        "".join(filter(None, (read(part, name) for part in some)))
        for some, name in ((parts, "text"), (parts, "refusal"), (summaries, "text"))
    )
    if not (text or refusal or reasoning or calls):
        return {}
    return {"message": _message(text or None, calls, reasoning, refusal)}


def _embeddings_output(answer: Any) -> dict[str, Any]:
    """Return the size of the embeddings: thousands of numbers tell a reader nothing."""
    vectors = read(answer, "data") or ()
    vector = read(vectors[0], "embedding") if vectors else None
    dimensions = len(vector) if isinstance(vector, (list, tuple)) else None
    return {"embeddings": len(vectors), "dimensions": dimensions}


# ---- Usage and how it ended --------------------------------------------------------------------


def usage_facts(usage: Any) -> dict[str, Any]:
    """Return the token counts of an OpenAI-like usage, whichever of its two spellings it has."""
    sent, received = "prompt_tokens", "completion_tokens"
    if read(usage, sent) is None:
        sent, received = "input_tokens", "output_tokens"
    reasoning = read(usage, f"{received}_details", "reasoning_tokens")
    return {
        "gen_ai.usage.input_tokens": read(usage, sent),
        "gen_ai.usage.output_tokens": read(usage, received),
        "gen_ai.usage.cache_read.input_tokens": read(usage, f"{sent}_details", "cached_tokens"),
        "gen_ai.usage.reasoning.output_tokens": reasoning,
    }


def _anthropic_facts(answer: Any) -> dict[str, Any]:
    usage = read(answer, "usage")
    reason = read(answer, "stop_reason")
    cache_read = read(usage, "cache_read_input_tokens")
    cache_written = read(usage, "cache_creation_input_tokens")
    sent = read(usage, "input_tokens")
    if sent is not None:  # Anthropic's count leaves out what the cache took part in
        sent += (cache_read or 0) + (cache_written or 0)
    return {
        "gen_ai.response.finish_reasons": [reason] if reason else None,
        "gen_ai.usage.input_tokens": sent,
        "gen_ai.usage.output_tokens": read(usage, "output_tokens"),
        "gen_ai.usage.cache_read.input_tokens": cache_read,
        "gen_ai.usage.cache_creation.input_tokens": cache_written,
    }


def _chat_facts(answer: Any) -> dict[str, Any]:
    reasons = [read(choice, "finish_reason") for choice in read(answer, "choices") or ()]
    known = [reason for reason in reasons if reason]
    facts = usage_facts(read(answer, "usage"))
    return {"gen_ai.response.finish_reasons": known or None, **facts}


def _responses_facts(answer: Any) -> dict[str, Any]:
    reason = read(answer, "incomplete_details", "reason") or read(answer, "status")
    facts = usage_facts(read(answer, "usage"))
    return {"gen_ai.response.finish_reasons": [reason] if reason else None, **facts}


# ---- Streams -----------------------------------------------------------------------------------


class ChatChunks:
    """Chunks of chat completions, and of the older text completions."""

    def __init__(self) -> None:
        self._answer: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}

    def add(self, chunk: Any) -> None:
        """Take one chunk."""
        if not self._answer:  # both are the same in every chunk
            self._answer.update(id=read(chunk, "id"), model=read(chunk, "model"))
        usage = read(chunk, "usage")
        if usage:
            self._answer["usage"] = usage
        for choice in read(chunk, "choices") or ():
            index = read(choice, "index") or 0
            known = self._choices.get(index)
            if known is None:
                known = self._choices[index] = _Choice()
            known.add(choice)

    def whole(self) -> dict[str, Any]:
        """Return the answer so far, in the form of the whole one."""
        choices = [self._choices[index].whole() for index in sorted(self._choices)]
        return {**self._answer, "choices": choices}


class _Choice:
    def __init__(self) -> None:
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._finish_reason: str | None = None

    def add(self, choice: Any) -> None:
        delta = read(choice, "delta")
        text = read(choice, "text") if delta is None else read(delta, "content")
        if text:
            self._texts.append(text)
        thought = read_extra(delta, "reasoning_content", "reasoning")
        if isinstance(thought, str):
            self._thoughts.append(thought)
        for call in read(delta, "tool_calls") or ():
            self._add_call(call)
        self._finish_reason = read(choice, "finish_reason") or self._finish_reason

    def _add_call(self, call: Any) -> None:
        empty = {"id": None, "function": {"name": "", "arguments": ""}}
        known = self._calls.setdefault(read(call, "index") or 0, empty)
        known["id"] = known["id"] or read(call, "id")
        for name in ("name", "arguments"):
            known["function"][name] += read(call, "function", name) or ""

    def whole(self) -> dict[str, Any]:
        text = "".join(self._texts)
        message = {
            "content": text or None,
            "reasoning": "".join(self._thoughts) or None,
            "tool_calls": list(self._calls.values()),
        }
        return {"message": message, "text": text, "finish_reason": self._finish_reason}


class ResponseEvents:
    """Events of the Responses API: the last one holds the whole answer, if it comes."""

    def __init__(self) -> None:
        self._response: Any = None
        self._texts: list[str] = []

    def add(self, chunk: Any) -> None:
        """Take one event."""
        response = read(chunk, "response")
        if response is not None:
            self._response = response
        elif read(chunk, "type") == "response.output_text.delta":
            self._texts.append(read(chunk, "delta") or "")

    def whole(self) -> dict[str, Any]:
        """Return the answer so far, in the form of the whole one."""
        names = ("id", "model", "status", "usage", "incomplete_details", "output")
        answer = {name: read(self._response, name) for name in names}
        if not answer["output"] and self._texts:
            answer["output"] = [{"type": "message", "content": [{"text": "".join(self._texts)}]}]
        return answer


class AnthropicEvents:
    """Events of Anthropic's messages."""

    def __init__(self) -> None:
        self._answer: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}

    def add(self, chunk: Any) -> None:
        """Take one event."""
        kind = read(chunk, "type")
        if kind == "message_start":
            names = ("id", "model", "usage")
            self._answer = {name: read(chunk, "message", name) for name in names}
        elif kind == "content_block_start":
            start = read(chunk, "content_block")
            block = {name: read(start, name) for name in ("type", "id", "name", "input")}
            block["pieces"] = [first(read(start, "text"), read(start, "thinking")) or ""]
            self._blocks[read(chunk, "index")] = block
        elif kind == "content_block_delta":
            self._add_delta(self._blocks.get(read(chunk, "index")), read(chunk, "delta"))
        elif kind == "message_delta":
            self._answer["stop_reason"] = read(chunk, "delta", "stop_reason")
            self._merge_usage(read(chunk, "usage"))

    def _add_delta(self, block: dict[str, Any] | None, delta: Any) -> None:
        names = ("text", "partial_json", "thinking")
        piece = first(*(read(delta, name) for name in names))
        if block is not None and isinstance(piece, str):
            block["pieces"].append(piece)

    def _merge_usage(self, usage: Any) -> None:
        """Take the later counts where there are any: most are only sent at the start."""
        began = self._answer.get("usage")
        names = (
            "input_tokens",
            "output_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
        )
        self._answer["usage"] = {
            name: first(read(usage, name), read(began, name)) for name in names
        }

    def whole(self) -> dict[str, Any]:
        """Return the answer so far, in the form of the whole one."""
        return {**self._answer, "content": [_joined(block) for block in self._blocks.values()]}


def _joined(block: dict[str, Any]) -> dict[str, Any]:
    text = "".join(block["pieces"])
    if block["type"] in ("text", "thinking"):
        return {"type": block["type"], block["type"]: text}
    return {**block, "input": text or block["input"], "pieces": None}


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

_ENDPOINTS = (
    ("/chat/completions", CHAT),
    ("/completions", TEXT),
    ("/responses", RESPONSES),
    ("/messages", ANTHROPIC),
    ("/embeddings", EMBEDDINGS),
)


@functools.lru_cache(maxsize=256)
def api_of(path: str) -> Api | None:
    """Return how the endpoint at a path reads, None for one that is no model call."""
    path = path.partition("?")[0].rstrip("/")
    return next((api for ending, api in _ENDPOINTS if path.endswith(ending)), None)
