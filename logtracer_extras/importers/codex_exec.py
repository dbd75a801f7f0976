"""Codex: what `codex exec --json` prints, events without times and with one count a turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conventions.values import first_of, integer_of, object_of
from ._sessions import RECORD, Session, assistant_message, end_tool
from ._spans import SpanRecord, add_failure
from ._values import text_of
from .codex import token_facts

__all__ = ["is_codex_exec", "read_codex_exec"]

Record = dict[str, Any]

_EVENTS = ("item.completed", "item.started", "thread.started", "turn.completed", "turn.started")
_TOOLS = ("command_execution", "file_change", "mcp_tool_call", "web_search")


def is_codex_exec(documents: list[Any]) -> bool:
    kinds = [object_of(line).get("type") for line in documents[:20]]
    return any(kind in _EVENTS for kind in kinds)


def read_codex_exec(documents: list[Any], source: str) -> Iterator[SpanRecord]:
    lines = [line for line in documents if isinstance(line, dict)]
    thread_id = next((text_of(line["thread_id"]) for line in lines if line.get("thread_id")), "")
    reader = _Exec(Session("codex", thread_id, f"{thread_id or source}/exec"))
    for number, line in enumerate(lines, 1):
        reader.read(line, f"record {number}")
    yield from reader.finish()


class _Exec:
    """Walk through the events of one run."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._thread = session.thread()
        self._call: SpanRecord | None = None
        self._said: list[Record] = []
        self._asked: list[Record] = []
        self._tools: dict[str, SpanRecord] = {}
        self._total: dict[str, int] = {}

    def finish(self) -> list[SpanRecord]:
        self._close()
        return self._session.finish({})

    def read(self, line: Record, place: str) -> None:
        kind, item = text_of(line.get("type")), object_of(line.get("item"))
        if kind == "turn.started":
            self._close()
            self._thread.begin_turn(place, None)
        elif kind in ("turn.completed", "turn.failed"):
            self._end_turn(line, place)
        elif kind in ("item.started", "item.completed") and item.get("type") in _TOOLS:
            self._read_tool(item, is_done=kind == "item.completed")
        elif kind == "item.completed" and item.get("type") in ("agent_message", "reasoning"):
            if self._asked:
                self._close()
            self._open()
            self._said.append(item)
        elif kind == "item.completed" and item.get("type") == "error":
            add_failure(self._thread.event("error", None, place), item.get("message") or "error")
        elif kind == "error":
            add_failure(self._thread.event("error", None, place), line.get("message") or "error")
        elif kind != "thread.started":
            self._session.put_aside(" ".join(filter(None, (kind, text_of(item.get("type"))))), line)

    def _open(self) -> SpanRecord:
        if self._call is None:
            self._call = self._thread.call(f"{self._thread.calls}", "")
        return self._call

    def _close(self) -> None:
        """End the open model call with what it said and asked for."""
        if self._call is None:
            return
        texts, thoughts = (
            [text_of(item.get("text")) for item in self._said if item.get("type") == kind]
            for kind in ("agent_message", "reasoning")
        )
        calls = [(text_of(item.get("id")), *_asked_of(item)) for item in self._asked]
        self._thread.answer(self._call, assistant_message(texts, thoughts, calls), None)
        self._call, self._said, self._asked = None, [], []

    def _read_tool(self, item: Record, *, is_done: bool) -> None:
        key = text_of(item.get("id"))
        tool = self._tools.get(key)
        if tool is None:
            self._asked.append(item)
            name, arguments = _asked_of(item)
            tool = self._thread.tool(self._open(), key, name, arguments, None)
            self._tools[key] = tool
        if is_done:
            content = first_of(item, "error", "aggregated_output", "result", "changes")
            failed = item.get("status") == "failed"
            self._thread.say({"role": "tool", "tool_call_id": key, "content": content}, None)
            self._thread.feed(tool)
            end_tool(
                tool, content, None, failed=failed, exit_code=integer_of(item.get("exit_code"))
            )

    def _end_turn(self, line: Record, place: str) -> None:
        """End a turn with what its calls used together: the thread's sum without the one before."""
        self._close()
        turn = self._thread.place
        if line.get("type") == "turn.failed":
            add_failure(turn, line.get("error") or "failed")
        total = token_facts(line.get("usage"))
        if total:
            grown = {key: total[key] - self._total.get(key, 0) for key in total}
            is_sum = all(count >= 0 for count in grown.values())
            if any(grown.values()):  # else the event stands there twice
                turn.facts.metadata |= (grown if is_sum else total) | {RECORD: place}
            self._total = total


def _asked_of(item: Record) -> tuple[str, Any]:
    """Return the name of a tool and what it was asked."""
    kind = text_of(item.get("type"))
    if kind == "mcp_tool_call":
        return text_of(item.get("tool")) or kind, item.get("arguments")
    taken = ("command", "query", "changes")
    return kind, {key: item[key] for key in taken if item.get(key) is not None}
