"""Cursor: composers of its database, and the transcripts of its terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from logtracer import NodeStatus

from ..conventions.values import first_of, integer_of, object_of, parse_json, to_json
from ._records import MILLISECOND
from ._sessions import RECORD, Session, Thread, assistant_message, end_tool
from ._spans import SpanRecord, add_note
from ._values import moment_of, text_of

__all__ = ["COMPOSER", "is_cursor", "read_cursor"]

COMPOSER = "logtracer/cursor-composer"  # the type of a document that holds a conversation

Record = dict[str, Any]


def is_cursor(documents: list[Any]) -> bool:
    return any(map(_is_composer, documents)) or (
        bool(documents) and all(map(_is_transcript, documents))
    )


def _is_composer(document: Any) -> bool:
    if not isinstance(document, dict) or document.get("type") != COMPOSER:
        return False
    composer, bubbles = document.get("composer"), document.get("bubbles")
    return isinstance(composer, dict) and isinstance(bubbles, dict)


def _is_transcript(line: Any) -> bool:
    """Tell a line of a transcript, which has a role and beside it a message without one."""
    if not isinstance(line, dict) or line.get("role") not in ("user", "assistant"):
        return False
    message = line.get("message")
    return "type" not in line and isinstance(message, dict) and "content" in message


def read_cursor(documents: list[Any], source: str) -> Iterator[SpanRecord]:
    """Read every composer; those that another one started are read below it."""
    composers = {text_of(each.get("id")): each for each in documents if _is_composer(each)}
    if not composers:
        composers = {"": {"id": "", "composer": {}, "bubbles": _from_transcript(documents)}}
    below = {
        text_of(child)
        for each in composers.values()
        for child in _listed(each["composer"].get("subComposerIds"))
    }
    for composer_id, each in composers.items():
        if composer_id not in below:
            yield from _read_family(each, composers, source)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _from_transcript(lines: list[Any]) -> dict[str, Record]:
    """Return the lines of a transcript as bubbles; it has no times, and no results of tools."""
    bubbles: dict[str, Record] = {}
    for number, line in enumerate(lines, 1):
        content = line["message"]["content"]
        kind = 1 if line["role"] == "user" else 2
        listed = content if isinstance(content, list) else [{"type": "text", "text": content}]
        for at, part in enumerate(each for each in listed if isinstance(each, dict)):
            bubble: Record = {"type": kind, "text": text_of(part.get("text"))}
            if part.get("type") == "tool_use":
                bubble["toolFormerData"] = {"name": part.get("name"), "rawArgs": part.get("input")}
            bubbles[f"{number}/{at}"] = bubble
    return bubbles


def _read_family(
    document: Record, composers: dict[str, Record], source: str
) -> Iterator[SpanRecord]:
    composer_id = text_of(document.get("id"))
    session = Session("cursor", composer_id, composer_id or source)
    session.title = text_of(document["composer"].get("name"))
    _Composer(session, session.thread(), document).read()
    waiting = _listed(document["composer"].get("subComposerIds"))[:]
    seen = {composer_id}
    while waiting:
        child = text_of(waiting.pop(0))
        each = composers.get(child)
        if each is not None and child not in seen:
            seen.add(child)
            thread = session.sub_agent(child, text_of(each["composer"].get("name")))
            _Composer(session, thread, each).read()
            _hang(session, thread.top, child)
            waiting += _listed(each["composer"].get("subComposerIds"))
    cents = [
        object_of(each).get("costInCents")
        for each in object_of(document["composer"].get("usageData")).values()
    ]
    costs = [each for each in cents if isinstance(each, (int, float))]
    if costs:
        session.root.facts.metadata["gen_ai.usage.cost"] = sum(costs) / 100
    told = ("status", "unifiedMode", "forceMode")
    yield from session.finish({f"cursor.{key}": document["composer"].get(key) for key in told})


def _hang(session: Session, top: SpanRecord, child: str) -> None:
    """Put a sub-agent below the tool call that names it."""
    for tool in session.tools.values():
        if child in to_json([tool.facts.input_data, tool.facts.output_data]):
            session.hang(top, tool)
            return
    add_note(top, "the tool call that started it is not in this file")


class _Composer:
    """Walk through the bubbles of one conversation."""

    def __init__(self, session: Session, thread: Thread, document: Record) -> None:
        self._session = session
        self._thread = thread
        self._composer: Record = document["composer"]
        self._bubbles: dict[str, Record] = document["bubbles"]
        self._model = text_of(object_of(self._composer.get("modelConfig")).get("modelName"))
        self._said: list[tuple[str, Record]] = []  # what the open model call has said
        self._asked: list[tuple[str, Record]] = []  # and the tools that it asked for

    def read(self) -> None:
        for bubble_id, bubble in self._in_order():
            is_tool = bool(object_of(bubble.get("toolFormerData")))
            if bubble.get("type") == 1:
                self._close()
                moment = _moment(bubble.get("createdAt"))
                self._thread.prompt(text_of(bubble.get("text")), moment, bubble_id)
            elif bubble.get("type") == 2:
                if self._asked and not is_tool:
                    self._close()
                (self._asked if is_tool else self._said).append((bubble_id, bubble))
            else:
                self._session.put_aside(f"bubble {text_of(bubble.get('type'))}", bubble)
        self._close()

    def _in_order(self) -> Iterator[tuple[str, Record]]:
        """Yield the bubbles in the order of their headers; where there are none, as they stand."""
        headers = self._composer.get("fullConversationHeadersOnly")
        inline = self._composer.get("conversation")
        listed = _listed(headers) or _listed(inline) or [{"bubbleId": key} for key in self._bubbles]
        seen: set[str] = set()
        for header in listed:
            key = text_of(object_of(header).get("bubbleId"))
            bubble = object_of(self._bubbles.get(key)) or object_of(header)
            if key not in seen and "type" in bubble:
                seen.add(key)
                yield key, bubble

    def _close(self) -> None:
        """Make a model call of the bubbles since the last one."""
        if not self._said and not self._asked:
            return
        bubbles = [*self._said, *self._asked]
        key, first = bubbles[0]
        named = object_of(first.get("modelInfo")).get("modelName")
        call = self._thread.call(
            key, text_of(named) or self._model, _moment(first.get("createdAt"))
        )
        tools = [(each_id, object_of(each["toolFormerData"])) for each_id, each in self._asked]
        calls = [
            (text_of(tool.get("toolCallId")) or each_id, *_asked_of(tool))
            for each_id, tool in tools
        ]
        said = [text_of(bubble.get("text")) for _, bubble in self._said]
        thoughts = [
            text_of(object_of(bubble.get("thinking")).get("text")) for _, bubble in self._said
        ]
        last = (self._said or self._asked)[-1][1]
        self._thread.answer(
            call, assistant_message(said, thoughts, calls), _moment(last.get("createdAt"))
        )
        call.facts.metadata |= _usage_of(bubbles) | {"gen_ai.response.id": key}
        for (_, bubble), (call_id, name, arguments) in zip(self._asked, calls, strict=True):
            self._read_tool(call, bubble, call_id, name, arguments)
        self._said, self._asked = [], []

    def _read_tool(
        self, call: SpanRecord, bubble: Record, call_id: str, name: str, arguments: Any
    ) -> None:
        told = object_of(bubble["toolFormerData"])
        moment = _moment(bubble.get("createdAt"))
        tool = self._thread.tool(call, call_id, name, arguments, moment)
        status = told.get("status")
        result = parse_json(first_of(told, "result", "error"))
        if result is None and status not in ("completed", "error"):
            if status == "cancelled":
                tool.status = NodeStatus.INTERRUPTED
            return
        code = integer_of(object_of(result).get("exitCode"))
        self._thread.say({"role": "tool", "tool_call_id": call_id, "content": result}, None)
        self._thread.feed(tool)
        end_tool(tool, result, None, failed=status == "error", exit_code=code)


def _asked_of(tool: Record) -> tuple[str, Any]:
    return text_of(tool.get("name")), parse_json(first_of(tool, "rawArgs", "params"))


def _usage_of(bubbles: list[tuple[str, Record]]) -> Record:
    """Return the tokens of a call; they stand on the last bubble of a turn alone."""
    facts: Record = {}
    for bubble_id, bubble in bubbles:
        counts = object_of(bubble.get("tokenCount"))
        sent, made = (integer_of(counts.get(f"{way}Tokens")) or 0 for way in ("input", "output"))
        if sent or made:
            facts = {
                "gen_ai.usage.input_tokens": facts.get("gen_ai.usage.input_tokens", 0) + sent,
                "gen_ai.usage.output_tokens": facts.get("gen_ai.usage.output_tokens", 0) + made,
                RECORD: f"bubble {bubble_id}",
            }
    return facts


def _moment(value: Any) -> datetime | None:
    number = integer_of(value)
    return moment_of(value) if number is None else moment_of(number * MILLISECOND)
