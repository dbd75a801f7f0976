"""Goose: sessions of its database, and the JSON lines that it wrote before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from ..conventions.values import first_of, integer_of, object_of, objects_in, parse_json
from ._records import from_seconds
from ._sessions import RECORD, Session, Thread, assistant_message
from ._spans import SpanRecord, add_failure, add_note
from ._values import moment_of, text_of

__all__ = ["SESSION", "is_goose", "read_goose"]

SESSION = "logtracer/goose-session"  # the type of a document that holds a session of the database

Record = dict[str, Any]

_PARTS = ("frontendToolRequest", "toolRequest", "toolResponse")


def is_goose(documents: list[Any]) -> bool:
    return any(map(_is_session, documents)) or any(map(_is_message, documents))


def _is_session(document: Any) -> bool:
    is_ours = isinstance(document, dict) and document.get("type") == SESSION
    return is_ours and isinstance(document.get("session"), dict)


def _is_message(document: Any) -> bool:
    content = document.get("content") if isinstance(document, dict) else None
    parts = content if isinstance(content, list) else []
    return any(object_of(part).get("type") in _PARTS for part in parts)


def read_goose(documents: list[Any], source: str) -> Iterator[SpanRecord]:
    """Read every session; those that another one started are read below it."""
    sessions = [each for each in documents if _is_session(each)] or [_from_lines(documents)]
    known = {text_of(each["session"].get("id")) for each in sessions}
    below: dict[str, list[Record]] = {}
    for each in sessions:
        below.setdefault(text_of(each["session"].get("parent_session_id")), []).append(each)
    for each in sessions:
        above = text_of(each["session"].get("parent_session_id"))
        if above not in known or above == text_of(each["session"].get("id")):
            yield from _read_family(each, below, source)


def _from_lines(documents: list[Any]) -> Record:
    """Return the session that a file of lines is: a header, and a message on each line."""
    lines = [line for line in documents if isinstance(line, dict)]
    header = lines[0] if lines and "role" not in lines[0] else {}
    return {"session": header, "messages": [line for line in lines if "role" in line], "usage": []}


def _read_family(
    document: Record, below: dict[str, list[Record]], source: str
) -> Iterator[SpanRecord]:
    session_id = text_of(document["session"].get("id"))
    session = Session("goose", session_id, f"goose/{session_id}" if session_id else source)
    facts = _read_session(session, session.thread(), document)
    waiting = list(below.get(session_id, ())) if session_id else []
    seen = {session_id}
    while waiting:
        each = waiting.pop(0)
        child = text_of(each["session"].get("id"))
        if child not in seen:
            seen.add(child)
            thread = session.sub_agent(child, text_of(each["session"].get("name")))
            _read_session(session, thread, each)
            add_note(thread.top, "the file does not say which call started it")
            waiting += below.get(child, ())
    yield from session.finish(facts)


def _read_session(session: Session, thread: Thread, document: Record) -> Record:
    told = document["session"]
    model = object_of(parse_json(told.get("model_config_json")))
    reader = _Goose(session, thread, text_of(first_of(model, "model_name", "model")))
    if thread.top is session.root:
        session.title = text_of(told.get("name") or told.get("description"))
    used = [
        row for row in objects_in(document.get("usage"), "usage") if not row.get("is_compaction")
    ]
    for number, message in enumerate(objects_in(document.get("messages"), "messages"), 1):
        reader.read(message, f"message {number}")
    for row in used:
        reader.count(row, text_of(told.get("provider_name")))
    if not used:
        reader.count_whole(told)
    names = ("working_dir", "session_type", "provider_name", "project_id")
    return {f"goose.{name}": told.get(name) for name in names}


class _Goose:
    """Walk through the messages of one session."""

    def __init__(self, session: Session, thread: Thread, model: str) -> None:
        self._session = session
        self._thread = thread
        self._model = model
        self._calls: list[tuple[datetime | None, SpanRecord]] = []  # those without tokens yet

    def read(self, message: Record, place: str) -> None:
        content = parse_json(first_of(message, "content_json", "content"))
        listed = content if isinstance(content, list) else [{"type": "text", "text": content}]
        parts = [part for part in listed if isinstance(part, dict)]
        moment = _moment(first_of(message, "created_timestamp", "created"))
        shown = object_of(parse_json(first_of(message, "metadata_json", "metadata")))
        key = text_of(message.get("message_id") or message.get("id")) or place
        if message.get("role") == "assistant":
            self._read_answer(key, parts, moment)
        else:
            self._read_user(key, parts, moment, shown.get("userVisible") is not False)

    def _read_user(
        self, key: str, parts: list[Record], moment: datetime | None, is_person: bool
    ) -> None:
        for part in parts:
            if part.get("type") == "toolResponse":
                self._read_result(part, moment)
        said = [part for part in parts if part.get("type") != "toolResponse"]
        content = said[0].get("text") if len(said) == 1 and "text" in said[0] else said
        if said and is_person:
            self._thread.prompt(content, moment, key)
        elif said:
            self._thread.say({"role": "user", "content": content}, None)

    def _read_answer(self, key: str, parts: list[Record], moment: datetime | None) -> None:
        call = self._thread.call(key, self._model, moment)
        asked = [part for part in parts if part.get("type") in _PARTS[:2]]
        values = [object_of(object_of(part.get("toolCall")).get("value")) for part in asked]
        calls = [
            (text_of(part.get("id")), text_of(value.get("name")), value.get("arguments"))
            for part, value in zip(asked, values, strict=True)
        ]
        said = [text_of(part.get("text")) for part in parts]
        thoughts = [text_of(part.get("thinking")) for part in parts]
        self._thread.answer(call, assistant_message(said, thoughts, calls), moment)
        call.facts.metadata["gen_ai.response.id"] = key
        self._calls.append((moment, call))
        for part, (call_id, name, arguments) in zip(asked, calls, strict=True):
            tool = self._thread.tool(call, call_id, name, arguments, moment)
            error = object_of(part.get("toolCall")).get("error")
            if error:
                tool.end = moment
                add_failure(tool, error)

    def _read_result(self, part: Record, moment: datetime | None) -> None:
        result = object_of(part.get("toolResult"))
        value = result.get("value")
        content = value.get("content") if isinstance(value, dict) else value
        failed = result.get("status") == "error" or object_of(value).get("isError") is True
        told = first_of(result, "error") if result.get("status") == "error" else content
        self._thread.result(text_of(part.get("id")), told, moment, failed=failed)

    def count(self, row: Record, provider: str) -> None:
        """Give a row of the ledger to the last call before it that has none."""
        moment = _moment(row.get("created_timestamp"))
        fitting = [
            at
            for at, (said, _) in enumerate(self._calls)
            if said is None or moment is None or said <= moment
        ]
        if fitting:
            call = self._calls.pop(fitting[-1])[1]
        else:
            call = self._thread.call(f"ledger/{row.get('id')}", self._model, moment)
            call.end = moment
            add_note(call, "the file tells its tokens and nothing that it said")
        call.facts.metadata |= _usage_of(row) | {RECORD: f"usage_ledger {row.get('id')}"}
        call.facts.metadata["gen_ai.provider.name"] = provider or None
        if row.get("model"):
            call.name = text_of(row["model"])
            call.facts.metadata["gen_ai.request.model"] = call.name
        if row.get("cost") is not None:
            call.facts.metadata["gen_ai.usage.cost"] = row["cost"]

    def count_whole(self, told: Record) -> None:
        """Take what older versions tell: the sum of a session alone."""
        names = ("input", "output", "total", "cache_read", "cache_write")
        sums = {
            f"{name}_tokens": first_of(told, f"accumulated_{name}_tokens", f"{name}_tokens")
            for name in names
        }
        usage = _usage_of(sums)
        self._thread.top.facts.metadata |= usage
        if usage:
            self._session.totals.append({"name": "session", RECORD: "sessions", **usage})


def _usage_of(row: Record) -> dict[str, int]:
    """Return the counts; whether the cache is told beside the input shows in the total."""
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    sent, made, read, written = (integer_of(row.get(name)) or 0 for name in names)
    if not any((sent, made, read, written)):
        return {}
    is_beside = integer_of(row.get("total_tokens")) == sent + made + read + written
    return {
        "gen_ai.usage.input_tokens": sent + read + written if is_beside else sent,
        "gen_ai.usage.output_tokens": made,
        "gen_ai.usage.cache_read.input_tokens": read,
        "gen_ai.usage.cache_creation.input_tokens": written,
    }


def _moment(value: Any) -> datetime | None:
    return moment_of(from_seconds(value))
