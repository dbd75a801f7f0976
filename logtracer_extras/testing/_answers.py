"""Recorded model calls as the answers that the APIs gave: whole, or as a stream of events."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from logtracer import Node, NodeStatus

__all__ = ["Endpoint", "endpoint_of", "failure_of"]


class Endpoint:
    """One kind of endpoint: what its requests ask, and how its answers are written."""

    def asked(self, body: dict[str, Any]) -> list[Any]:
        """Return the messages of a request as a trace has them."""
        raise NotImplementedError

    def answer(self, node: Node) -> dict[str, Any]:
        """Return the body of the answer that a node recorded."""
        raise NotImplementedError

    def events(self, node: Node, body: dict[str, Any]) -> Iterator[str]:
        """Yield the same as the lines of a stream."""
        raise NotImplementedError


def endpoint_of(url: str) -> Endpoint | None:
    """Return the kind of endpoint at an address, None when it is no model call."""
    path = re.sub(r"^https?://[^/]*", "", url).partition("?")[0].rstrip("/")
    return next((known for form, known in _ENDPOINTS if re.fullmatch(form, path)), None)


def _messages(node: Node) -> list[dict[str, Any]]:
    one = node.output_data.get("message")
    several = [one] if isinstance(one, dict) else node.output_data.get("messages") or []
    return [message for message in several if isinstance(message, dict)]


def _tokens(node: Node, name: str) -> int:
    value = node.metadata.get(f"gen_ai.usage.{name}")
    return int(value) if isinstance(value, (int, float)) else 0


def _fact(node: Node, name: str, default: str) -> str:
    value = node.metadata.get(f"gen_ai.{name}")
    return value if isinstance(value, str) else default


def _reason(node: Node, place: int, default: str) -> str:
    reasons = node.metadata.get("gen_ai.response.finish_reasons")
    known = reasons if isinstance(reasons, list) else [reasons]
    reason = known[min(place, len(known) - 1)] if known else None
    return reason if isinstance(reason, str) else default


def _model(node: Node) -> str:
    return _fact(node, "response.model", _fact(node, "request.model", ""))


def _event(data: object, name: str = "") -> str:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data)}\n\n"


def _pieces(text: str) -> list[str]:
    """Return a text in the pieces in which a model might have said it."""
    return re.findall(r"\S+\s*|\s+", text)


def _calls(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [call for call in message.get("tool_calls") or () if isinstance(call, dict)]


def _function(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function")
    return function if isinstance(function, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


# ---- Chat completions --------------------------------------------------------------------------


class _Chat(Endpoint):
    def asked(self, body: dict[str, Any]) -> list[Any]:
        return list(body.get("messages") or ())

    def answer(self, node: Node) -> dict[str, Any]:
        choices = [
            {"index": place, "message": message, "finish_reason": _reason(node, place, "stop")}
            for place, message in enumerate(_messages(node))
        ]
        return {**self._head(node, "chat.completion"), "choices": choices, "usage": _usage(node)}

    def events(self, node: Node, body: dict[str, Any]) -> Iterator[str]:
        head = self._head(node, "chat.completion.chunk")
        for place, message in enumerate(_messages(node)):
            deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
            deltas += [{"content": piece} for piece in _pieces(message.get("content") or "")]
            for number, call in enumerate(_calls(message)):
                deltas.append({"tool_calls": [{"index": number, **call}]})
            for delta in deltas:
                choice = {"index": place, "delta": delta, "finish_reason": None}
                yield _event({**head, "choices": [choice]})
            end = {"index": place, "delta": {}, "finish_reason": _reason(node, place, "stop")}
            yield _event({**head, "choices": [end]})
        if (body.get("stream_options") or {}).get("include_usage"):
            yield _event({**head, "choices": [], "usage": _usage(node)})
        yield "data: [DONE]\n\n"

    def _head(self, node: Node, kind: str) -> dict[str, Any]:
        name = _fact(node, "response.id", f"replay-{node.id}")
        return {"id": name, "object": kind, "created": 0, "model": _model(node)}


def _usage(node: Node) -> dict[str, Any]:
    read, wrote = _tokens(node, "input_tokens"), _tokens(node, "output_tokens")
    return {
        "prompt_tokens": read,
        "completion_tokens": wrote,
        "total_tokens": read + wrote,
        "prompt_tokens_details": {"cached_tokens": _tokens(node, "cache_read.input_tokens")},
        "completion_tokens_details": {"reasoning_tokens": _tokens(node, "reasoning.output_tokens")},
    }


# ---- Messages ----------------------------------------------------------------------------------


class _Messages(Endpoint):
    def asked(self, body: dict[str, Any]) -> list[Any]:
        messages = list(body.get("messages") or ())
        if body.get("system"):
            messages.insert(0, {"role": "system", "content": body["system"]})
        return messages

    def answer(self, node: Node) -> dict[str, Any]:
        cached = _tokens(node, "cache_read.input_tokens")
        written = _tokens(node, "cache_creation.input_tokens")
        return {
            "id": _fact(node, "response.id", f"replay-{node.id}"),
            "type": "message",
            "role": "assistant",
            "model": _model(node),
            "content": [block for message in _messages(node) for block in self._blocks(message)],
            "stop_reason": _reason(node, 0, "end_turn"),
            "stop_sequence": None,
            "usage": {
                "input_tokens": max(_tokens(node, "input_tokens") - cached - written, 0),
                "cache_read_input_tokens": cached,
                "cache_creation_input_tokens": written,
                "output_tokens": _tokens(node, "output_tokens"),
            },
        }

    def _blocks(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        content = message.get("content")
        if isinstance(content, list):
            return content  # as they came, calls and all
        blocks: list[dict[str, Any]] = []
        if message.get("reasoning"):
            thought = {"type": "thinking", "thinking": message["reasoning"], "signature": ""}
            blocks.append(thought)
        if content:
            blocks.append({"type": "text", "text": content})
        for call in _calls(message):
            function = _function(call)
            given = function.get("arguments") or {}
            given = json.loads(given) if isinstance(given, str) else given
            named = {"id": call.get("id"), "name": function.get("name"), "input": given}
            blocks.append({"type": "tool_use", **named})
        return blocks

    def events(self, node: Node, body: dict[str, Any]) -> Iterator[str]:
        answer = self.answer(node)
        usage = answer["usage"]
        begun = {**answer, "content": [], "stop_reason": None}
        begun["usage"] = {**usage, "output_tokens": 0}
        yield _event({"type": "message_start", "message": begun}, "message_start")
        for index, block in enumerate(answer["content"]):
            opened, deltas = _deltas(block)
            start = {"type": "content_block_start", "index": index, "content_block": opened}
            yield _event(start, "content_block_start")
            for delta in deltas:
                event = {"type": "content_block_delta", "index": index, "delta": delta}
                yield _event(event, "content_block_delta")
            yield _event({"type": "content_block_stop", "index": index}, "content_block_stop")
        ended = {"stop_reason": answer["stop_reason"], "stop_sequence": None}
        yield _event({"type": "message_delta", "delta": ended, "usage": usage}, "message_delta")
        yield _event({"type": "message_stop"}, "message_stop")


def _deltas(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a block as it begins, and what is added to it piece by piece."""
    if block.get("type") == "text":
        pieces = _pieces(block.get("text") or "")
        return {**block, "text": ""}, [{"type": "text_delta", "text": each} for each in pieces]
    if block.get("type") == "thinking":
        pieces = _pieces(block.get("thinking") or "")
        deltas = [{"type": "thinking_delta", "thinking": each} for each in pieces]
        return {**block, "thinking": ""}, deltas
    if block.get("type") == "tool_use":
        text = json.dumps(block.get("input") or {})
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": text}]
    return block, []


# ---- Responses ---------------------------------------------------------------------------------


class _Responses(Endpoint):
    def asked(self, body: dict[str, Any]) -> list[Any]:
        given = body.get("input")
        texts = [{"role": "user", "content": given}] if isinstance(given, str) else given or ()
        messages = [self._item(item) for item in texts]
        if body.get("instructions"):
            messages.insert(0, {"role": "system", "content": body["instructions"]})
        return messages

    def _item(self, item: Any) -> Any:
        """Return an item as a chat message, where it is one."""
        kind = item.get("type") if isinstance(item, dict) else None
        if kind == "function_call":
            function = {"name": item.get("name"), "arguments": item.get("arguments")}
            call = {"id": item.get("call_id"), "type": "function", "function": function}
            return {"role": "assistant", "tool_calls": [call]}
        if kind == "function_call_output":
            content, name = item.get("output"), item.get("call_id")
            return {"role": "tool", "tool_call_id": name, "content": content}
        return item

    def answer(self, node: Node) -> dict[str, Any]:
        read, wrote = _tokens(node, "input_tokens"), _tokens(node, "output_tokens")
        cached = _tokens(node, "cache_read.input_tokens")
        thought = _tokens(node, "reasoning.output_tokens")
        return {
            **self._head(node),
            "status": "completed",
            "output": [item for message in _messages(node) for item in self._items(node, message)],
            "usage": {
                "input_tokens": read,
                "input_tokens_details": {"cached_tokens": cached},
                "output_tokens": wrote,
                "output_tokens_details": {"reasoning_tokens": thought},
                "total_tokens": read + wrote,
            },
        }

    def _head(self, node: Node) -> dict[str, Any]:
        return {
            "id": _fact(node, "response.id", f"replay-{node.id}"),
            "object": "response",
            "created_at": 0,
            "model": _model(node),
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }

    def _items(self, node: Node, message: dict[str, Any]) -> list[dict[str, Any]]:
        content = message.get("content")
        parts = content if isinstance(content, list) else []
        if isinstance(content, str):
            parts = [{"type": "output_text", "text": content, "annotations": []}]
        if message.get("refusal"):
            parts = [*parts, {"type": "refusal", "refusal": message["refusal"]}]
        said = [part for part in parts if part.get("type") in ("output_text", "refusal")]
        items = [part for part in parts if part not in said]
        if said:
            name = {"id": f"msg-{node.id}", "role": "assistant", "status": "completed"}
            items.append({"type": "message", **name, "content": said})
        known = {item.get("call_id") for item in items}
        for call in _calls(message):
            if call.get("id") not in known:
                items.append(_function_call(call))
        return items

    def events(self, node: Node, body: dict[str, Any]) -> Iterator[str]:
        answer = self.answer(node)
        events: list[dict[str, Any]] = []
        begun = {**self._head(node), "status": "in_progress", "output": []}
        events.append({"type": "response.created", "response": begun})
        for index, item in enumerate(answer["output"]):
            place = {"output_index": index, "item_id": item.get("id", "")}
            opened = {**item, "content": []} if item["type"] == "message" else item
            events.append({"type": "response.output_item.added", **place, "item": opened})
            for number, part in enumerate(item.get("content") or ()):
                events += self._part_events({**place, "content_index": number}, part)
            events.append({"type": "response.output_item.done", **place, "item": item})
        events.append({"type": "response.completed", "response": answer})
        for number, event in enumerate(events):
            yield _event({**event, "sequence_number": number}, event["type"])

    def _part_events(self, place: dict[str, Any], part: dict[str, Any]) -> Iterable[dict[str, Any]]:
        if part.get("type") != "output_text":
            return
        opened = {**part, "text": ""}
        yield {"type": "response.content_part.added", **place, "part": opened}
        for piece in _pieces(part["text"]):
            yield {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
        done = {"type": "response.output_text.done", **place, "text": part["text"]}
        yield {**done, "logprobs": []}
        yield {"type": "response.content_part.done", **place, "part": part}


def _function_call(call: dict[str, Any]) -> dict[str, Any]:
    function = _function(call)
    return {
        "type": "function_call",
        "id": f"fc-{call.get('id')}",
        "call_id": call.get("id"),
        "name": function.get("name"),
        "arguments": _text(function.get("arguments")),
        "status": "completed",
    }


_ENDPOINTS: tuple[tuple[str, Endpoint], ...] = (
    (r".*/chat/completions", _Chat()),
    (r"(?:/openai)?(?:/v\d+\w*)?/responses", _Responses()),
    (r"(?:/anthropic)?(?:/v\d+)?/messages", _Messages()),
)


def failure_of(node: Node) -> tuple[int, str] | None:
    """Return the status of HTTP and the message of a call that failed, None for others."""
    if node.status != NodeStatus.FAILED:
        return None
    status = node.metadata.get("http.response.status_code")
    return status if isinstance(status, int) else 500, node.error or "failed"
