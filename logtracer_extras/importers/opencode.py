"""OpenCode: `opencode export`, `opencode run --format json`, and sessions of its database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from logtracer import NodeStatus

from ..conventions.values import first_of, integer_of, object_of
from ._records import MILLISECOND
from ._sessions import RECORD, WAITED, Session, Thread, assistant_message, end_tool
from ._spans import SpanRecord, add_failure, add_note
from ._values import moment_of, text_of

__all__ = ["is_opencode", "read_opencode"]

Record = dict[str, Any]


def is_opencode(documents: list[Any]) -> bool:
    return any(map(_is_session, documents)) or any(map(_is_printed, documents))


def _is_session(document: Any) -> bool:
    if not isinstance(document, dict) or not isinstance(document.get("info"), dict):
        return False
    messages = document.get("messages")
    if not isinstance(messages, list) or "id" not in document["info"]:
        return False
    return all(isinstance(object_of(each).get("parts"), list) for each in messages)


def _is_printed(document: Any) -> bool:
    is_line = isinstance(document, dict) and isinstance(document.get("part"), dict)
    return is_line and isinstance(document.get("sessionID"), str)


def read_opencode(documents: list[Any], source: str) -> Iterator[SpanRecord]:
    """Read sessions; those that another one of them started are read below it."""
    sessions = {text_of(each["info"]["id"]): each for each in documents if _is_session(each)}
    if not sessions:
        sessions = _printed_sessions(documents)
    below: dict[str, list[Record]] = {}
    for each in sessions.values():
        below.setdefault(text_of(each["info"].get("parentID")), []).append(each)
    read: set[str] = set()
    for session_id, each in sessions.items():
        if text_of(each["info"].get("parentID")) not in sessions:
            yield from _read_family(session_id, each, below, read)
    for session_id, each in sessions.items():
        if session_id not in read:  # their parents form a circle
            yield from _read_family(session_id, each, {}, read)


def _read_family(
    session_id: str, document: Record, below: dict[str, list[Record]], read: set[str]
) -> Iterator[SpanRecord]:
    session = Session("opencode", session_id, session_id)
    main = _OpenCode(session, session.thread())
    main.read(document)
    read.add(session_id)
    session.title = text_of(document["info"].get("title"))
    waiting = list(below.get(session_id, ()))
    agents = [main]
    while waiting:
        each = waiting.pop(0)
        info = each["info"]
        child = text_of(info["id"])
        read.add(child)
        thread = session.sub_agent(child, text_of(info.get("agent") or info.get("title")))
        agent = _OpenCode(session, thread)
        agent.read(each)
        agents.append(agent)
        waiting += below.get(child, ())
    tools = {child: tool for each in agents for child, tool in each.started.items()}
    for each_agent in agents[1:]:
        tool = tools.get(each_agent.session_id)
        session.hang(each_agent.thread.top, tool)
        if tool is None:
            add_note(each_agent.thread.top, "the tool call that started it is not in this file")
    yield from session.finish(main.facts)


def _printed_sessions(lines: list[Any]) -> dict[str, Record]:
    """Put the parts that `opencode run --format json` prints back into their messages."""
    sessions: dict[str, Record] = {}
    messages: dict[str, Record] = {}
    for line in filter(_is_printed, lines):
        session_id, part = line["sessionID"], line["part"]
        session = sessions.setdefault(session_id, {"info": {"id": session_id}, "messages": []})
        message_id = text_of(part.get("messageID")) or session_id
        if message_id not in messages:
            info = {"id": message_id, "role": "assistant"}
            messages[message_id] = {"info": info, "parts": []}
            session["messages"].append(messages[message_id])
        messages[message_id]["parts"].append(part)
    return sessions


class _OpenCode:
    """Walk through the messages of one session."""

    def __init__(self, session: Session, thread: Thread) -> None:
        self.session = session
        self.thread = thread
        self.session_id = ""
        self.facts: Record = {}
        self.started: dict[str, SpanRecord] = {}  # session of a sub-agent -> the tool call

    def read(self, document: Record) -> None:
        info = document["info"]
        self.session_id = text_of(info["id"])
        for name in ("directory", "version", "agent", "parentID", "slug"):
            self.facts[f"opencode.{name}"] = info.get(name)
        reverted = text_of(object_of(info.get("revert")).get("messageID"))
        if self.thread.top is not self.session.root:
            self.thread.top.facts.metadata["gen_ai.agent.id"] = self.session_id
        seen: set[str] = set()
        is_gone = False
        for number, message in enumerate(document["messages"], 1):
            told = object_of(message.get("info"))
            message_id = text_of(told.get("id")) or f"message {number}"
            is_gone = is_gone or message_id == reverted
            if message_id not in seen:  # a message that stands there twice counts once
                seen.add(message_id)
                self._read_message(message_id, told, _parts_of(message), is_gone)
        total = _usage_of(object_of(info.get("tokens")))
        if total.get("gen_ai.usage.input_tokens"):
            agent = "" if self.thread.top is self.session.root else self.session_id
            told = {"name": "tokens of the session", RECORD: "info.tokens", "agent": agent}
            self.session.totals.append({**told, **total})

    def _read_message(
        self, message_id: str, info: Record, parts: list[Record], is_gone: bool
    ) -> None:
        if info.get("role") == "user":
            self._read_user(message_id, info, parts)
        elif info.get("role") == "assistant":
            for number, step in enumerate(_steps(parts)):
                key = f"{message_id}/{number}" if number else message_id
                call = self._read_step(key, info, step)
                if is_gone:
                    call.facts.metadata["opencode.reverted"] = True
        else:
            self.session.put_aside(f"message {text_of(info.get('role'))}", info)

    def _read_user(self, message_id: str, info: Record, parts: list[Record]) -> None:
        moment = _moment(object_of(info.get("time")).get("created"))
        put_in = [part for part in parts if part.get("synthetic") is True]
        said = [part for part in parts if part not in put_in and part.get("type") in _SAID]
        if any(part.get("type") == "compaction" for part in parts):
            self.thread.event("compaction", moment, message_id)
        if said:
            only = said[0].get("text") if len(said) == 1 else None
            self.thread.prompt(only or said, moment, message_id)
        for part in put_in:
            self.thread.say({"role": "user", "content": text_of(part.get("text"))}, moment)
        for part in parts:
            if part not in said and part not in put_in:
                self.session.put_aside(f"part {text_of(part.get('type'))}", part)

    def _read_step(self, key: str, info: Record, parts: list[Record]) -> SpanRecord:
        times = object_of(info.get("time"))
        if info.get("summary") is True:  # the call that writes the summary
            self.thread.forget()
        call = self.thread.call(key, text_of(info.get("modelID")), _moment(times.get("created")))
        tools = [part for part in parts if part.get("type") == "tool"]
        calls = [
            (
                text_of(part.get("callID")),
                text_of(part.get("tool")),
                object_of(part.get("state")).get("input"),
            )
            for part in tools
        ]
        said = [text_of(part.get("text")) for part in parts if part.get("type") == "text"]
        thoughts = [text_of(part.get("text")) for part in parts if part.get("type") == "reasoning"]
        end = _end_of(parts) or _moment(times.get("completed"))
        self.thread.answer(call, assistant_message(said, thoughts, calls), end)
        call.facts.metadata |= _call_facts(key, info, parts)
        for part in tools:
            self._read_tool(call, part)
        for part in parts:
            if part.get("type") not in _READ:
                self.session.put_aside(f"part {text_of(part.get('type'))}", part)
        self._read_error(call, object_of(info.get("error")))
        return call

    def _read_error(self, call: SpanRecord, error: Record) -> None:
        if not error:
            return
        told = object_of(error.get("data")).get("message") or error.get("name")
        if error.get("name") == "MessageAbortedError":
            call.status = NodeStatus.INTERRUPTED
            self.thread.interrupt(text_of(told))
        else:
            add_failure(call, {"message": told, "type": error.get("name")})

    def _read_tool(self, call: SpanRecord, part: Record) -> None:
        state = object_of(part.get("state"))
        times, told = object_of(state.get("time")), object_of(state.get("metadata"))
        call_id, name = text_of(part.get("callID")), text_of(part.get("tool"))
        start, end = _moment(times.get("start")), _moment(times.get("end"))
        tool = self.thread.tool(call, call_id, name, state.get("input"), start)
        if told.get("sessionId"):
            self.started[text_of(told["sessionId"])] = tool
            tool.facts.metadata["gen_ai.agent.id"] = told["sessionId"]
        if state.get("status") not in ("completed", "error"):
            return
        failed = state["status"] == "error"
        content = first_of(state, "error", "output") if failed else state.get("output")
        exit_code = integer_of(told.get("exit"))
        self.thread.say({"role": "tool", "tool_call_id": call_id, "content": content}, end)
        self.thread.feed(tool)
        end_tool(tool, content, end, failed=failed, exit_code=exit_code)
        if name == "question" and start and end:
            tool.facts.metadata[WAITED] = (end - start).total_seconds() * 1_000


_SAID = ("agent", "file", "subtask", "text")
_READ = ("reasoning", "step-finish", "step-start", "text", "tool")


def _parts_of(message: Record) -> list[Record]:
    """Return the parts of a message; one that stands there twice counts once."""
    parts: dict[str, Record] = {}
    for number, part in enumerate(message["parts"]):
        if isinstance(part, dict):
            parts[text_of(part.get("id")) or f"{number}"] = part
    return list(parts.values())


def _steps(parts: list[Record]) -> list[list[Record]]:
    """Return the parts of each model call: older versions put several into one message."""
    steps: list[list[Record]] = [[]]
    for part in parts:
        if part.get("type") == "step-start" and any(
            each.get("type") == "step-finish" for each in steps[-1]
        ):
            steps.append([])
        steps[-1].append(part)
    return steps


def _call_facts(key: str, info: Record, parts: list[Record]) -> Record:
    ends = [part for part in parts if part.get("type") == "step-finish"]
    is_only = "tokens" in info and "/" not in key and len(ends) < 2
    told = info if is_only and _usage_of(object_of(info["tokens"])) else (ends or [info])[-1]
    facts: Record = {
        "gen_ai.provider.name": info.get("providerID"),
        "gen_ai.response.id": info.get("id"),
        RECORD: text_of(told.get("id")) or None,
    }
    facts |= _usage_of(object_of(told.get("tokens")))
    reason = first_of(told, "finish", "reason")
    if isinstance(reason, str):
        facts["gen_ai.response.finish_reasons"] = [reason]
    cost = told.get("cost")
    if isinstance(cost, (int, float)) and cost > 0:  # 0 says that the price is not known
        facts["gen_ai.usage.cost"] = cost
    return facts


def _usage_of(tokens: Record) -> dict[str, int]:
    """Return the counts; OpenCode tells the cache beside the input, thoughts beside the output."""
    cache = object_of(tokens.get("cache"))
    sent, made, thought = (
        integer_of(tokens.get(name)) or 0 for name in ("input", "output", "reasoning")
    )
    read, written = (integer_of(cache.get(name)) or 0 for name in ("read", "write"))
    if not any((sent, made, thought, read, written)):
        return {}
    return {
        "gen_ai.usage.input_tokens": sent + read + written,
        "gen_ai.usage.output_tokens": made + thought,
        "gen_ai.usage.cache_read.input_tokens": read,
        "gen_ai.usage.cache_creation.input_tokens": written,
        "gen_ai.usage.reasoning.output_tokens": thought,
    }


def _end_of(parts: list[Record]) -> datetime | None:
    """Return when a model had said all: its message itself ends when the tools have ended."""
    moments = [
        _moment(object_of(part.get("time")).get("end"))
        for part in parts
        if part.get("type") in ("reasoning", "text")
    ]
    moments += [
        _moment(object_of(object_of(part.get("state")).get("time")).get("start"))
        for part in parts
        if part.get("type") == "tool"
    ]
    return max(filter(None, moments), default=None)


def _moment(value: Any) -> datetime | None:
    number = integer_of(value)
    return None if number is None else moment_of(number * MILLISECOND)
