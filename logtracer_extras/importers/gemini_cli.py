"""Gemini CLI: its chats, a log of changes since 0.40 and one JSON before.

A message stands there again, under the same id, whenever it has grown: the last one counts. What
was rewound or replaced was said all the same, and its tokens were used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from logtracer import NodeStatus

from ..conventions.values import first_of, integer_of, object_of, to_json
from ._sessions import RECORD, REPEATS, Session, Thread, assistant_message
from ._spans import SpanRecord, add_failure, add_note
from ._values import moment_of, text_of

__all__ = ["COMPANION", "is_gemini_cli", "read_gemini_cli", "session_id_of"]

COMPANION = "logtracer/gemini-chat"  # the type of a document that holds a sub-agent's chat

Line = dict[str, Any]


def _is_header(line: Any) -> bool:
    return isinstance(line, dict) and "sessionId" in line and "projectHash" in line


def is_gemini_cli(documents: list[Any]) -> bool:
    return any(map(_is_header, documents[:3]))


def session_id_of(documents: list[Any]) -> str:
    """Return the id of a chat, after which the folder of its sub-agents is called."""
    return next((text_of(line["sessionId"]) for line in documents if _is_header(line)), "")


def read_gemini_cli(documents: list[Any], source: str) -> Iterator[SpanRecord]:
    """Read a chat, and those of its sub-agents that were found beside it."""
    chats = [each for each in documents if _is_companion(each)]
    session_id = session_id_of(documents)
    session = Session("gemini_cli", session_id, session_id or source)
    main = _Chat(session, session.thread(), "")
    main.read([each for each in documents if not _is_companion(each)])
    for each in chats:
        agent = session_id_of(each["lines"])
        below = _Chat(session, session.sub_agent(agent, ""), f"{text_of(each.get('name'))}: ")
        below.read(each["lines"])
        _hang(session, below.thread.top, agent)
    yield from session.finish(main.facts)


def _is_companion(document: Any) -> bool:
    is_ours = isinstance(document, dict) and document.get("type") == COMPANION
    return is_ours and isinstance(document.get("lines"), list)


def _hang(session: Session, top: SpanRecord, agent: str) -> None:
    for tool in list(session.tools.values()):
        if tool.facts.metadata.get("gen_ai.agent.id") == agent:
            top.name = text_of(tool.facts.input_data.get("agent_name")) or tool.name
            session.hang(top, tool)
            return
    add_note(top, "the tool call that started it is not in this file")


class _Message:
    """A message with the records that told it."""

    def __init__(self, place: str, record: Line) -> None:
        self.record = record
        self.place = place
        self.repeats: list[str] = []
        self.is_gone = False  # rewound, or replaced by a summary

    def take(self, place: str, record: Line) -> None:
        if self.record.get("tokens"):
            self.repeats.append(self.place)
        kept = {"tokens": self.record.get("tokens")} if not record.get("tokens") else {}
        self.record, self.place = {**record, **kept}, place


class _Chat:
    """Replay the changes, then walk through the messages."""

    def __init__(self, session: Session, thread: Thread, file: str) -> None:
        self.session = session
        self.thread = thread
        self.facts: dict[str, Any] = {}
        self._file = file
        self._messages: dict[str, _Message] = {}
        self._updates: dict[str, list[tuple[str, Line]]] = {}  # those that came too early
        self._rewound: set[str] = set()  # messages that follow a rewinding
        self._compacted: set[str] = set()  # and those that follow a summary
        self._next: set[str] | None = None

    def read(self, lines: list[Any]) -> None:
        for number, line in enumerate(lines, 1):
            place = f"{self._file}record {number}"
            if not self.session.is_repeat(to_json(line), place, self._file):
                self._replay(line, place)
        for message_id, message in self._messages.items():
            if message_id in self._compacted:
                self._compaction(message_id, message)
            self._walk(message_id, message)

    # ---- the changes ----------------------------------------------------------------------------

    def _replay(self, line: Any, place: str) -> None:
        if not isinstance(line, dict):
            self.session.put_aside("not an object", line)
        elif isinstance(line.get("$rewindTo"), str):
            self._rewind(line["$rewindTo"])
        elif isinstance(line.get("$set"), dict):
            self._set(line["$set"], place)
        elif line.get("type") == "message_update":
            self._update(line, place)
        elif isinstance(line.get("id"), str) and "type" in line:
            self._take(line, place)
        elif _is_header(line):
            self._set(line, place)
        else:
            self.session.put_aside("no type", line)

    def _take(self, record: Line, place: str) -> None:
        message_id = text_of(record["id"])
        if message_id in self._messages:
            self._messages[message_id].take(place, record)
            self._messages[message_id].is_gone = False
            return
        self._messages[message_id] = _Message(place, record)
        if self._next is not None:
            self._next.add(message_id)
            self._next = None
        for told, update in self._updates.pop(message_id, []):
            self._update(update, told)

    def _update(self, line: Line, place: str) -> None:
        message_id = text_of(first_of(line, "id", "messageId"))
        known = self._messages.get(message_id)
        if known is None:
            self._updates.setdefault(message_id, []).append((place, line))
            return
        changes = object_of(first_of(line, "update", "message", "changes")) or line
        fields = {key: changes[key] for key in changes if key not in ("id", "messageId", "type")}
        known.take(place, {**known.record, **fields})

    def _rewind(self, message_id: str) -> None:
        gone = message_id not in self._messages  # then everything is
        for key, message in self._messages.items():
            gone = gone or key == message_id
            message.is_gone = message.is_gone or gone
        self._next = self._rewound

    def _set(self, values: Line, place: str) -> None:
        """Take what is said of the chat; a whole list of messages replaces those before."""
        told = ("projectHash", "startTime", "kind", "directories", "summary")
        self.facts |= {f"gemini_cli.{key}": values[key] for key in told if values.get(key)}
        self.session.title = text_of(values.get("summary")) or self.session.title
        messages = values.get("messages")
        if not isinstance(messages, list):
            return
        records = [each for each in messages if isinstance(each, dict) and "id" in each]
        left = {text_of(each["id"]) for each in records}
        dropped = [key for key in self._messages if key not in left]
        for key in dropped:
            self._messages[key].is_gone = True
        if dropped:
            self._next = self._compacted
        for number, record in enumerate(records, 1):
            self._take(record, f"{place}, message {number}")

    # ---- the messages ---------------------------------------------------------------------------

    def _compaction(self, message_id: str, message: _Message) -> None:
        moment = moment_of(message.record.get("timestamp"))
        self.thread.event("compaction", moment, f"compaction/{message_id}")
        self.thread.forget()

    def _walk(self, message_id: str, message: _Message) -> None:
        record, kind = message.record, text_of(message.record.get("type"))
        moment = moment_of(record.get("timestamp"))
        if kind == "user":
            self._read_user(message_id, record, moment)
        elif kind == "gemini":
            self._read_answer(message_id, message, moment)
        elif kind == "error":
            failed = self.thread.event("error", moment, message_id)
            add_failure(failed, _text_of(record.get("content")) or "error")
        else:
            self.session.put_aside(kind, record)

    def _read_user(self, message_id: str, record: Line, moment: datetime | None) -> None:
        content = record.get("content")
        parts = content if isinstance(content, list) else [content]
        if parts and all(isinstance(part, dict) and "functionResponse" in part for part in parts):
            return  # the results stand with the calls
        text = _text_of(content)
        if text.lstrip().startswith(_INJECTED):
            self.thread.say({"role": "user", "content": text}, None)
            return
        if text.startswith(("/", "?")):  # a command: what Gemini CLI itself does not send
            self.thread.end_turn()
            self.thread.event(text.strip(), moment, message_id)
            return
        self.thread.prompt(text or content, moment, message_id)
        if message_id in self._rewound:
            place = self.thread.place
            place.facts.annotations.append("rewound: goes on from before what stands above")

    def _read_answer(self, message_id: str, message: _Message, moment: datetime | None) -> None:
        record = message.record
        if not any(record.get(key) for key in ("model", "tokens", "toolCalls")):
            said = {"role": "assistant", "content": _text_of(record.get("content"))}
            self.thread.say(said, None)  # put in, as a summary is
            return
        call = self.thread.call(message_id, text_of(record.get("model")), moment)
        call.facts.metadata |= _facts_of(record, message)
        if message.is_gone:
            call.facts.metadata["gemini_cli.rewound"] = True
        listed = record.get("toolCalls")
        asked = [
            each for each in (listed if isinstance(listed, list) else []) if isinstance(each, dict)
        ]
        calls = [
            (text_of(each.get("id")), text_of(each.get("name")), each.get("args")) for each in asked
        ]
        answer = assistant_message([_text_of(record.get("content"))], _thoughts(record), calls)
        self.thread.answer(call, answer, moment)
        for each, (call_id, name, arguments) in zip(asked, calls, strict=True):
            tool = self.thread.tool(call, call_id, name, arguments, moment)
            tool.facts.metadata["gen_ai.agent.id"] = each.get("agentId")
            self._end_tool(tool, call_id, each)

    def _end_tool(self, tool: SpanRecord, call_id: str, told: Line) -> None:
        status, moment = text_of(told.get("status")), moment_of(told.get("timestamp"))
        if status == "awaiting_approval":
            tool.status = NodeStatus.PAUSED
            paused = {"logtracer.paused_reason": "waits for a permission"}
            paused["logtracer.paused_at"] = moment.isoformat() if moment else ""
            tool.facts.metadata |= paused
        elif status in ("success", "error", "cancelled") or told.get("result"):
            content, failed = _response_of(told)
            found = _EXIT_CODE.search(content) if isinstance(content, str) else None
            exit_code = int(found[1]) if found else None
            is_bad = failed or status == "error"
            self.thread.result(call_id, content, moment, failed=is_bad, exit_code=exit_code)
            if status == "cancelled":
                tool.status = NodeStatus.INTERRUPTED


_INJECTED = (
    "<session_context>",
    "<hook_context>",
    "This is the Gemini CLI. We are setting up the context",
)
_EXIT_CODE = re.compile(r"^Exit Code: (-?\d{1,9})\s*$", re.M | re.A)


def _facts_of(record: Line, message: _Message) -> dict[str, Any]:
    """Return a call's facts; the thoughts are counted beside the output, tools beside the input."""
    facts: dict[str, Any] = {"gen_ai.provider.name": "gcp.gemini"}
    facts["gen_ai.response.id"] = record.get("id")
    tokens = object_of(record.get("tokens"))
    if not tokens:
        return facts
    counts = {name: integer_of(tokens.get(name)) or 0 for name in _COUNTED}
    facts["gen_ai.usage.input_tokens"] = counts["input"] + counts["tool"]
    facts["gen_ai.usage.output_tokens"] = counts["output"] + counts["thoughts"]
    facts["gen_ai.usage.cache_read.input_tokens"] = counts["cached"]
    facts["gen_ai.usage.reasoning.output_tokens"] = counts["thoughts"]
    return facts | {RECORD: message.place, REPEATS: message.repeats or None}


_COUNTED = ("input", "output", "cached", "thoughts", "tool")


def _thoughts(record: Line) -> list[str]:
    told = record.get("thoughts")
    thoughts = [each for each in (told if isinstance(told, list) else []) if isinstance(each, dict)]
    return [
        "\n".join(filter(None, (text_of(each.get("subject")), text_of(each.get("description")))))
        for each in thoughts
    ]


def _response_of(told: Line) -> tuple[Any, bool]:
    """Return what a tool answered, and whether that is an error."""
    results = told.get("result")
    listed = results if isinstance(results, list) else [results]
    answers = [
        object_of(object_of(object_of(each).get("functionResponse")).get("response"))
        for each in listed
    ]
    said = [first_of(each, "output", "error") for each in answers if each]
    failed = any("error" in each and "output" not in each for each in answers)
    if len(said) == 1 and said[0] is not None:
        return said[0], failed
    return first_of(told, "resultDisplay") if not any(said) else said, failed


def _text_of(content: Any) -> str:
    parts = content if isinstance(content, list) else [content]
    texts = [part.get("text") if isinstance(part, dict) else part for part in parts]
    return "\n".join(text for text in texts if isinstance(text, str))
