"""pi: its sessions, a header and a line a message, later ones with the id of the one before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from logtracer import NodeStatus

from ..conventions.values import integer_of, object_of, to_json
from ._records import MILLISECOND
from ._sessions import CALL, RECORD, Session, assistant_message, end_tool
from ._spans import SpanRecord, add_failure
from ._values import moment_of, text_of

__all__ = ["is_pi", "read_pi"]

Line = dict[str, Any]

_ROLES = ("assistant", "bashExecution", "toolResult", "user")


def is_pi(documents: list[Any]) -> bool:
    """Tell a session by its header, or by a message in pi's envelope."""
    lines = [line for line in documents[:20] if isinstance(line, dict)]
    return any(map(_is_header, lines)) and any(map(_is_message, documents))


def _is_header(line: Line) -> bool:
    """Tell a header; other agents' sessions that are shared in pi's form name the agent in it."""
    return line.get("type") == "session" and "id" in line and ("cwd" in line or "harness" in line)


def _is_message(line: Any) -> bool:
    is_line = isinstance(line, dict) and line.get("type") == "message"
    return is_line and object_of(line.get("message")).get("role") in _ROLES


def read_pi(documents: list[Any], source: str) -> Iterator[SpanRecord]:
    header = next(
        line for line in documents if isinstance(line, dict) and line.get("type") == "session"
    )
    session_id = text_of(header.get("id"))
    reader = _PiSession(Session("pi", session_id, session_id or source), header)
    for number, line in enumerate(documents, 1):
        if not reader.session.is_repeat(to_json(line), f"record {number}"):
            reader.read(line, f"record {number}")
    yield from reader.session.finish(reader.facts)


class _PiSession:
    """Walk through the lines of one session."""

    def __init__(self, session: Session, header: Line) -> None:
        self.session = session
        told = ("cwd", "version", "harness", "provider", "modelId", "thinkingLevel", "branchedFrom")
        self.facts: dict[str, Any] = {f"pi.{key}": header.get(key) for key in told}
        self._thread = session.thread()
        self._last = ""  # the id of the entry before

    def read(self, line: Any, place: str) -> None:
        if not isinstance(line, dict):
            self.session.put_aside("not an object", line)
            return
        kind, moment = text_of(line.get("type")), moment_of(line.get("timestamp"))
        if _is_message(line):
            self._read_message(line, line["message"], moment, place)
        elif kind in ("compaction", "branch_summary"):
            event = self._thread.event(kind.replace("_", " "), moment, place)
            event.facts.output_data = {"summary": line.get("summary")}
            event.facts.metadata["pi.tokensBefore"] = line.get("tokensBefore")
            self._thread.forget()
            self._thread.say({"role": "user", "content": line.get("summary")}, None)
        elif kind == "session_info":
            self.session.title = text_of(line.get("name")) or self.session.title
        elif kind != "session":
            self.session.put_aside(kind or "no type", line)
        self._last = text_of(line.get("id")) or self._last

    def _read_message(self, line: Line, message: Line, moment: datetime | None, place: str) -> None:
        key = text_of(line.get("id")) or place
        role = message["role"]
        if role == "user":
            self._thread.prompt(_simple(message.get("content")), moment, key)
            above = line.get("parentId")
            if isinstance(above, str) and self._last and above != self._last:
                note = "rewound: goes on from before what stands above"
                self._thread.place.facts.annotations.append(note)
        elif role == "assistant":
            self._read_answer(key, message, moment, place)
        elif role == "toolResult":
            failed = message.get("isError") is True
            call_id, content = text_of(message.get("toolCallId")), message.get("content")
            span = self._thread.result(call_id, _simple(content), moment, failed=failed)
            span.name = text_of(message.get("toolName")) or span.name
        else:
            self._read_command(key, message, moment)

    def _read_answer(self, key: str, message: Line, moment: datetime | None, place: str) -> None:
        begun = _from_milliseconds(message.get("timestamp"))
        call = self._thread.call(key, text_of(message.get("model")), begun)
        content = message.get("content")
        listed = content if isinstance(content, list) else [{"type": "text", "text": content}]
        parts = [part for part in listed if isinstance(part, dict)]
        calls = [
            (text_of(part.get("id")), text_of(part.get("name")), part.get("arguments"))
            for part in parts
            if part.get("type") == "toolCall"
        ]
        said = [text_of(part.get("text")) for part in parts]
        thoughts = [text_of(part.get("thinking")) for part in parts]
        self._thread.answer(call, assistant_message(said, thoughts, calls), moment)
        call.facts.metadata |= _call_facts(message) | {RECORD: place}
        for call_id, name, arguments in calls:
            self._thread.tool(call, call_id, name, arguments, moment)
        if message.get("stopReason") == "error":
            add_failure(call, message.get("errorMessage") or "error")
        elif message.get("stopReason") == "aborted":
            call.status = NodeStatus.INTERRUPTED
            self._thread.interrupt(text_of(message.get("errorMessage")) or "aborted")

    def _read_command(self, key: str, message: Line, moment: datetime | None) -> None:
        """Read a command that the person ran, whose output the model is sent."""
        asked = {"command": message.get("command")}
        tool = self._thread.tool(None, "", "bash", asked, moment)
        tool.facts.metadata["pi.run_by"] = "user"
        end_tool(tool, message.get("output"), moment, exit_code=integer_of(message.get("exitCode")))
        if message.get("cancelled") is True:
            tool.status = NodeStatus.INTERRUPTED
        self._thread.say({"role": "user", "content": message.get("output")}, None)


def _call_facts(message: Line) -> dict[str, Any]:
    """Return a call's facts; pi counts cached tokens beside the input."""
    usage = object_of(message.get("usage"))
    names = ("input", "output", "cacheRead", "cacheWrite")
    sent, made, read, written = (integer_of(usage.get(name)) or 0 for name in names)
    facts: dict[str, Any] = {
        "gen_ai.provider.name": message.get("provider"),
        "gen_ai.response.id": message.get("responseId"),
        CALL: text_of(message.get("timestamp")) or None,
    }
    if message.get("stopReason"):
        facts["gen_ai.response.finish_reasons"] = [message["stopReason"]]
    if usage:
        facts["gen_ai.usage.input_tokens"] = sent + read + written
        facts["gen_ai.usage.output_tokens"] = made
        facts["gen_ai.usage.cache_read.input_tokens"] = read
        facts["gen_ai.usage.cache_creation.input_tokens"] = written
    cost = object_of(usage.get("cost")).get("total")
    return facts | ({"gen_ai.usage.cost": cost} if isinstance(cost, (int, float)) else {})


def _from_milliseconds(value: Any) -> datetime | None:
    number = integer_of(value)
    return None if number is None else moment_of(number * MILLISECOND)


def _simple(content: Any) -> Any:
    """Return a text that stands alone as one."""
    only = content[0] if isinstance(content, list) and len(content) == 1 else None
    return only.get("text", content) if isinstance(only, dict) else content
