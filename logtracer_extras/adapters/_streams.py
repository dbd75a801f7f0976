"""Chunks of streamed answers, put together into what the whole answer would have been."""

from __future__ import annotations

import json
from typing import Any, Protocol

from ._reading import fields_of, first, plain, read, read_extra
from ._usage import merge_usage


class Chunks(Protocol):
    """Puts the chunks of a stream together into what one answer would have been."""

    def add(self, chunk: Any) -> None:
        """Take one chunk."""

    def whole(self) -> dict[str, Any]:
        """Return the answer so far, in the form of the whole one."""

    def is_complete(self) -> bool:
        """Tell whether the stream has said that the answer is over."""


# ---- Chat completions --------------------------------------------------------------------------


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
            self._answer["usage"] = merge_usage(self._answer.get("usage"), usage)
        tier = read(chunk, "service_tier")
        if tier:
            self._answer["service_tier"] = tier
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

    def is_complete(self) -> bool:
        """Tell whether every choice has said why it finished."""
        return bool(self._choices) and all(
            choice.finish_reason for choice in self._choices.values()
        )


_PIECES = {"content", "role", "tool_calls", "function_call", "audio", "refusal"}
_THOUGHTS = ("reasoning_content", "reasoning")


class _Choice:
    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._thoughts: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._function: dict[str, Any] | None = None
        self._audio: dict[str, Any] | None = None
        self._others: dict[str, Any] = {}
        self._error: Any = None

    def add(self, choice: Any) -> None:
        self.finish_reason = read(choice, "finish_reason") or self.finish_reason
        self._error = self._error or read_extra(choice, "error")
        delta = read(choice, "delta")
        if delta is None:
            self._keep(self._texts, read(choice, "text"))
            return
        self._keep(self._texts, read(delta, "content"))
        self._keep(self._refusals, read(delta, "refusal"))
        for call in read(delta, "tool_calls") or ():
            self._add_call(call)
        if read(delta, "function_call") is not None:
            self._function = self._function or {"name": "", "arguments": ""}
            _add_pieces(self._function, read(delta, "function_call"))
        self._add_others(fields_of(delta))

    def _keep(self, pieces: list[str], piece: Any) -> None:
        if isinstance(piece, str) and piece:
            pieces.append(piece)

    def _add_others(self, fields: dict[str, Any]) -> None:
        """Take what only some servers, or some versions of the SDK, know of.

        These are thoughts, spoken words, images, sources.
        """
        thought = first(*(fields.get(name) for name in _THOUGHTS))
        self._keep(self._thoughts, thought)
        if fields.get("audio") is not None:
            self._add_audio(fields["audio"])
        for name, value in fields.items():
            if isinstance(value, list) and value and name not in _PIECES:
                self._others.setdefault(name, []).extend(map(plain, value))

    def _add_audio(self, piece: Any) -> None:
        self._audio = self._audio or {"transcript": ""}
        for name, value in fields_of(piece).items():
            if name in ("transcript", "data"):
                self._audio[name] = self._audio.get(name, "") + (value or "")
            elif value is not None:
                self._audio[name] = value

    def _add_call(self, call: Any) -> None:
        function = read(call, "function") or read(call, "custom")
        known = self._find_call(call, function)
        if known is None:
            known = {"id": None, "type": None, "function": {"name": "", "arguments": ""}}
            known["index"] = read(call, "index")
            self._calls.append(known)
        known["id"] = known["id"] or read(call, "id")
        is_custom = read(call, "type") == "custom" or read(call, "custom") is not None
        known["type"] = "custom" if is_custom else known["type"]
        _add_pieces(known["function"], function)

    def _find_call(self, call: Any, function: Any) -> dict[str, Any] | None:
        """Return the call that a piece belongs to; its id says, else its place, else the order.

        Servers that send whole calls give them all the same place, or none.
        """
        call_id, index = read(call, "id"), read(call, "index")
        if call_id:
            same = [known for known in self._calls if known["id"] == call_id]
            if same:
                return same[-1]
        same = [known for known in self._calls if index is None or known["index"] == index]
        last = same[-1] if same else None
        if last is None or (call_id and last["id"]) or _begins_anew(last["function"], function):
            return None
        return last

    def whole(self) -> dict[str, Any]:
        """Return the choice so far, in the form of the whole one."""
        text = "".join(self._texts)
        message = {
            "content": text or None,
            "refusal": "".join(self._refusals) or None,
            "reasoning": "".join(self._thoughts) or None,
            "tool_calls": [
                {name: part for name, part in call.items() if name != "index"}
                for call in self._calls
            ],
            "function_call": self._function,
            "audio": self._audio,
            **self._others,
        }
        choice = {"message": message, "text": text, "finish_reason": self.finish_reason}
        return choice if self._error is None else {**choice, "error": self._error}


def _add_pieces(function: dict[str, Any], piece: Any) -> None:
    """Add a piece of a call; a name that comes again, or from its start, is no new piece of it."""
    name = read(piece, "name") or ""
    if name.startswith(function["name"]):
        function["name"] = name or function["name"]
    elif not function["arguments"]:
        function["name"] += name
    arguments = first(read(piece, "arguments"), read(piece, "input"))
    if isinstance(arguments, str):
        function["arguments"] += arguments
    elif arguments is not None:  # some servers send what others send as text
        function["arguments"] = plain(arguments)


def _begins_anew(function: dict[str, Any], piece: Any) -> bool:
    """Tell whether a piece is the start of another call: the one before has all its arguments."""
    arguments = first(read(piece, "arguments"), read(piece, "input"))
    if not read(piece, "name") or not function["arguments"] or not arguments:
        return False
    if not isinstance(arguments, str):
        return True
    try:
        return isinstance(json.loads(function["arguments"]), dict)
    except ValueError:
        return False


# ---- Responses ---------------------------------------------------------------------------------

_LAST_EVENTS = ("response.completed", "response.incomplete", "response.failed", "error")
_TEXT_PIECES = {  # the ending of an event's type: the field of the item that it adds to
    "function_call_arguments.delta": "arguments",
    "mcp_call_arguments.delta": "arguments",
    "custom_tool_call_input.delta": "input",
    "code_interpreter_call_code.delta": "code",
}
_PART_PIECES = {  # the same for the parts of an item: its list, the type and the field of a part
    "output_text.delta": ("content", "output_text", "text"),
    "refusal.delta": ("content", "refusal", "refusal"),
    "reasoning_text.delta": ("content", "reasoning_text", "text"),
    "reasoning_summary_text.delta": ("summary", "summary_text", "text"),
    "audio.transcript.delta": ("content", "output_audio", "transcript"),
}


class ResponseEvents:
    """Events of the Responses API: the last one holds the whole answer, if it comes."""

    def __init__(self) -> None:
        self._response: Any = None
        self._error: Any = None
        self._is_over = False
        self._items: dict[int, dict[str, Any]] = {}
        self._done: dict[int, Any] = {}

    def add(self, chunk: Any) -> None:
        """Take one event."""
        kind = str(read(chunk, "type"))
        self._is_over = self._is_over or kind in _LAST_EVENTS
        response = read(chunk, "response")
        if response is not None:
            self._response = response
        elif kind == "error":
            names = ("code", "message", "param")
            self._error = first(read(chunk, "error"), {name: read(chunk, name) for name in names})
        elif kind.startswith("response."):
            self._add_piece(kind[len("response.") :], chunk)

    def _add_piece(self, kind: str, chunk: Any) -> None:
        place = read(chunk, "output_index") or 0
        if kind == "output_item.done":
            self._done[place] = read(chunk, "item")
        elif kind == "output_item.added":
            self._items[place] = plain(read(chunk, "item"))
        elif kind in _TEXT_PIECES:
            item, name = self._item(place), _TEXT_PIECES[kind]
            item[name] = (item.get(name) or "") + (read(chunk, "delta") or "")
        elif kind in _PART_PIECES:
            self._add_to_part(place, chunk, *_PART_PIECES[kind])

    def _item(self, place: int) -> dict[str, Any]:
        return self._items.setdefault(place, {"type": "message"})

    def _add_to_part(self, place: int, chunk: Any, parts: str, kind: str, name: str) -> None:
        item = self._item(place)
        known = item.get(parts)
        if not isinstance(known, list):
            known = item[parts] = []
        index = first(read(chunk, "content_index"), read(chunk, "summary_index")) or 0
        while len(known) <= index:
            known.append({"type": kind})
        part = known[index]
        part[name] = (part.get(name) or "") + (read(chunk, "delta") or "")

    def whole(self) -> dict[str, Any]:
        """Return the answer so far, in the form of the whole one."""
        names = (
            "id", "model", "status", "usage", "incomplete_details", "output", "error",
            "service_tier", "background",
        )  # fmt: skip
        answer = {name: read(self._response, name) for name in names}
        if not answer["output"]:
            items = {**self._items, **self._done}
            answer["output"] = [items[place] for place in sorted(items)]
        answer["error"] = first(self._error, answer["error"])
        return answer

    def is_complete(self) -> bool:
        """Tell whether an event has said how the answer ended."""
        return self._is_over


# ---- Anthropic's messages ----------------------------------------------------------------------


class AnthropicEvents:
    """Events of Anthropic's messages."""

    def __init__(self) -> None:
        self._answer: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._inputs: dict[int, list[str]] = {}
        self._is_over = False

    def add(self, chunk: Any) -> None:
        """Take one event."""
        kind = read(chunk, "type")
        if kind == "message_start":
            names = ("id", "model", "usage", "container")
            self._answer = {name: read(chunk, "message", name) for name in names}
        elif kind == "content_block_start":
            self._blocks[read(chunk, "index")] = dict(plain(read(chunk, "content_block")))
        elif kind == "content_block_delta":
            self._add_delta(read(chunk, "index"), read(chunk, "delta"))
        elif kind == "message_delta":
            for name, value in fields_of(read(chunk, "delta")).items():
                self._answer[name] = first(value, self._answer.get(name))
            usage = merge_usage(self._answer.get("usage"), read(chunk, "usage"))
            self._answer["usage"] = usage
        elif kind == "error":
            self._answer["error"] = read(chunk, "error")
        self._is_over = self._is_over or kind in ("message_stop", "error")

    def _add_delta(self, index: int, delta: Any) -> None:
        block = self._blocks.get(index)
        if block is None:
            return
        if read(delta, "type") == "citations_delta":
            block["citations"] = [*(block.get("citations") or ()), plain(read(delta, "citation"))]
            return
        for name, piece in fields_of(delta).items():
            if name == "partial_json":
                self._inputs.setdefault(index, []).append(piece or "")
            elif name != "type" and isinstance(piece, str):
                block[name] = (block.get(name) or "") + piece

    def whole(self) -> dict[str, Any]:
        """Return the answer so far, in the form of the whole one."""
        blocks = []
        for index, block in self._blocks.items():
            text = "".join(self._inputs.get(index, ()))
            blocks.append({**block, "input": text} if text else block)
        return {**self._answer, "content": blocks}

    def is_complete(self) -> bool:
        """Tell whether the stream has said that the message is over, or why it stopped."""
        return self._is_over or self._answer.get("stop_reason") is not None
