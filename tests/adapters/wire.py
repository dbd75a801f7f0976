"""Model APIs played by a transport under the real SDKs: what they answer is written in the test."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable
from typing import Any

from adapters.products import product

Answer = Any  # a dictionary is sent as JSON, a list as a stream of events, anything else as it is


def sdk_client(sdk: str, *answers: Answer, **settings: Any) -> Any:
    """Return a client of an SDK whose requests get these answers, one after the other."""
    module = product(sdk)
    name = "OpenAI" if sdk == "openai" else "Anthropic"
    waiting = list(answers)
    http = _http_module(module)
    transport = http.MockTransport(lambda request: _response(http, waiting.pop(0)))
    given = {"api_key": "test", "max_retries": 0, **settings}
    return getattr(module, name)(http_client=http.Client(transport=transport), **given)


def _http_module(module: Any) -> Any:
    """Return the HTTP library that a version of an SDK is built on."""
    base = module.DefaultHttpxClient.__mro__[1]
    return importlib.import_module(base.__module__.partition(".")[0])


def _response(http: Any, answer: Answer) -> Any:
    headers = {"x-request-id": "req_1", "request-id": "req_1"}
    if isinstance(answer, dict):
        return http.Response(200, json=answer, headers=headers)
    if isinstance(answer, list):
        headers["content-type"] = "text/event-stream"
        return http.Response(200, text="".join(map(_event, answer)), headers=headers)
    return answer


def _event(event: Any) -> str:
    if isinstance(event, str):
        return f"data: {event}\n\n"
    kind = event.get("type") if isinstance(event, dict) else None
    head = f"event: {kind}\n" if kind else ""
    return f"{head}data: {json.dumps(event)}\n\n"


def drain(stream: Iterable[Any]) -> list[Any]:
    """Read a stream to its end."""
    return list(stream)


# ---- Chat completions --------------------------------------------------------------------------


def completion(message: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return a chat completion with one message."""
    choice = {"index": 0, "message": {"role": "assistant", "content": None, **(message or {})}}
    choice["finish_reason"] = "stop"
    known = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m"}
    return {**known, "choices": [choice], **more}


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> Any:
    """Return a chunk of a chat completion."""
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    known = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**known, "choices": [choice], **more}


def call_piece(**piece: Any) -> dict[str, Any]:
    """Return the delta that holds a piece of a tool call."""
    return {"tool_calls": [piece]}


def ask_chat(client: Any, **request: Any) -> Any:
    """Ask for a chat completion."""
    said = [{"role": "user", "content": "hello"}]
    return client.chat.completions.create(**{"model": "m", "messages": said, **request})


# ---- Responses ---------------------------------------------------------------------------------


def response(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return an answer of the Responses API."""
    known = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m"}
    rest: dict[str, Any] = {
        "status": "completed",
        "error": None,
        "tools": [],
        "parallel_tool_calls": True,
    }
    return {**known, **rest, "tool_choice": "auto", "output": list(items), **more}


def text_item(text: str, **more: Any) -> dict[str, Any]:
    """Return an item of the Responses API that is a message."""
    part = {"type": "output_text", "text": text, "annotations": [], **more}
    known = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
    return {**known, "content": [part]}


# ---- Anthropic's messages ----------------------------------------------------------------------


def message(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a message of Anthropic's."""
    known = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}
    usage = {"input_tokens": 10, "output_tokens": 5}
    rest = {"stop_reason": "end_turn", "stop_sequence": None, "usage": usage}
    return {**known, **rest, "content": list(blocks), **more}


def message_events(
    *blocks: tuple[dict[str, Any], list[dict[str, Any]]],
    usage: dict[str, Any] | None = None,
    last_usage: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Return the events of a streamed message: of each block its start and its deltas."""
    began = message(stop_reason=None)
    began["usage"] = usage or began["usage"]
    events: list[dict[str, Any]] = [{"type": "message_start", "message": began}]
    for index, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [
            {"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas
        ]
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    last = {"type": "message_delta", "delta": delta, "usage": last_usage or {"output_tokens": 5}}
    return [*events, last, {"type": "message_stop"}]


def ask_anthropic(client: Any, **request: Any) -> Any:
    """Ask for a message."""
    said = [{"role": "user", "content": "hello"}]
    return client.messages.create(**{"model": "m", "max_tokens": 9, "messages": said, **request})
