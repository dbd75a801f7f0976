"""What a session's file tells of it as a whole, without making a trace of it.

Only the lines are decoded that say something: results of tools are most of a file, and no part of
its sums.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..conventions.values import first_of, integer_of, object_of, to_json
from ._values import moment_of, text_of
from .claude_code import ENDLESS, HALF_MADE, was_typed

__all__ = ["Tally", "scan_claude", "scan_codex", "scan_gemini", "scan_messages", "scan_pi"]

Line = dict[str, Any]


@dataclass(slots=True)
class Tally:
    """What one file says of its session."""

    session_id: str = ""
    project: str = ""
    title: str = ""
    start: datetime | None = None
    end: datetime | None = None
    turns: int = 0
    errors: int = 0
    cost: float | None = None
    above: str = ""  # the session that started it, if it is a sub-agent's
    used: dict[str, tuple[int, int]] = field(default_factory=dict)  # call -> tokens in and out

    def took_place(self, *moments: Any) -> None:
        """Widen the time by moments of any form."""
        for moment in filter(None, map(moment_of, moments)):
            self.start = min(self.start or moment, moment)
            self.end = max(self.end or moment, moment)

    def asked(self, text: str) -> None:
        """Count a prompt; the first is the title until a better one is found."""
        self.turns += 1
        self.title = self.title or text.strip().partition("\n")[0][:80]

    def spent(self, cost: Any) -> None:
        """Add the cost of a call, where it is known."""
        if isinstance(cost, (int, float)) and cost > 0:
            self.cost = (self.cost or 0.0) + cost

    def add(self, other: Tally) -> None:
        """Add what a sub-agent did, which is no turn of the person's."""
        self.errors += other.errors
        self.used |= {key: each for key, each in other.used.items() if key not in self.used}
        self.took_place(_iso(other.start), _iso(other.end))
        self.spent(other.cost)


def _iso(moment: datetime | None) -> str:
    return moment.isoformat() if moment is not None else ""


_TAIL = 100_000  # bytes looked at in one go, from the end on
_TIMESTAMP = re.compile(rb'"timestamp":\s?"([^"]{10,40})"')


def _times(data: bytes) -> Iterator[str]:
    """Yield the first and the last time in a file, which may be followed by much that has none."""
    first = _TIMESTAMP.search(data)
    if first is None:
        return
    yield first[1].decode("utf-8", "replace")
    start, last = len(data), first
    while last is first and start > first.end():
        start = max(first.end(), start - _TAIL)
        found = [*_TIMESTAMP.finditer(data, start, min(len(data), start + _TAIL + 60))]
        last = found[-1] if found else last
    yield last[1].decode("utf-8", "replace")


def _decoded(line: bytes) -> Line:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _lines_with(data: bytes, mark: re.Pattern[bytes]) -> Iterator[bytes]:
    """Yield the lines in which a mark is found, each once."""
    end = -1
    for found in mark.finditer(data):
        if found.start() >= end:
            start = data.rfind(b"\n", 0, found.start()) + 1
            end = data.find(b"\n", found.end())
            end = len(data) if end < 0 else end
            yield data[start:end]


_CLAUDE = re.compile(
    rb'"type":\s?"(?:assistant|user|summary|custom-title|ai-title)"'
    rb'|"role":\s?"(?:assistant|user)"'
)
_IS_ERROR = re.compile(rb'"is_error":\s?true')


def scan_claude(data: bytes) -> Tally:
    """Scan a session of Claude Code, or one of its sub-agents."""
    tally = Tally()
    calls: dict[str, tuple[int, int, bool]] = {}
    is_endless = False
    seen: set[str] = set()
    tells_ends = False
    for raw in _lines_with(data, _CLAUDE):
        if b'"tool_result"' in raw:
            tally.errors += len(_IS_ERROR.findall(raw))
            continue
        line = _decoded(raw)
        uuid, kind = text_of(line.get("uuid")), line.get("type")
        if uuid and uuid in seen:
            continue
        seen.add(uuid)
        tally.session_id = text_of(line.get("sessionId")) or tally.session_id
        tally.project = tally.project or text_of(line.get("cwd"))
        message = object_of(line.get("message"))
        if kind == "assistant":
            key, call = text_of(message.get("id")) or uuid, _claude_call(line, message)
            is_endless = is_endless or text_of(line.get("version")).startswith(ENDLESS)
            tells_ends = tells_ends or call[2]
            calls[key] = max(calls.get(key, call), call, key=lambda each: (each[2], each[1]))
        elif kind == "user":
            typed = was_typed(line)
            if typed is not None:
                tally.asked(typed)
        else:
            title = first_of(line, "customTitle", "aiTitle", "summary", "title")
            tally.title = text_of(title) or tally.title
    counts_all = is_endless and not tells_ends
    tally.used = {
        key: (sent, 0 if not (has_ended or counts_all) and made <= HALF_MADE else made)
        for key, (sent, made, has_ended) in calls.items()
        if sent or made
    }
    tally.took_place(*_times(data))
    return tally


def _claude_call(line: Line, message: Line) -> tuple[int, int, bool]:
    """Return the tokens in and out of a call, and whether its answer had ended."""
    usage = message.get("usage")
    if not isinstance(usage, dict) or "forkedFrom" in line:
        return 0, 0, False
    written = usage.get("cache_creation_input_tokens")
    if not written:  # newer files tell cache writes only by how long they last
        written = sum(map(_number, object_of(usage.get("cache_creation")).values()))
    sent = _number(usage.get("input_tokens")) + _number(usage.get("cache_read_input_tokens"))
    made = _number(usage.get("output_tokens"))
    return sent + _number(written), made, bool(message.get("stop_reason"))


def _number(value: Any) -> int:
    return value if type(value) is int else 0


_CODEX_PROMPT = re.compile(rb'"type":\s?"(?:user_message|UserMessage)"')
_CODEX_FAILED = re.compile(rb"(?:Process exited with code|Exit code:) -?[1-9]")
_CODEX_CODE = re.compile(rb'"exit_code":\s?-?[1-9]')


def scan_codex(data: bytes) -> Tally:
    """Scan a rollout of Codex, by its last total; that of a fork includes its parent's."""
    tally = Tally()
    header = _decoded(data[: data.find(b"\n") if b"\n" in data else len(data)])
    meta = object_of(header.get("payload")) or header
    spawn = object_of(object_of(meta.get("source")).get("subagent")).get("thread_spawn")
    tally.session_id, tally.project = text_of(meta.get("id")), text_of(meta.get("cwd"))
    tally.above = text_of(object_of(spawn).get("parent_thread_id"))
    for raw in _lines_with(data, _CODEX_PROMPT):
        event = object_of(_decoded(raw).get("payload"))
        content = object_of(event.get("item")).get("content")
        parts = content if isinstance(content, list) else []
        texts = [text_of(object_of(part).get("text")) for part in parts]
        tally.asked(text_of(event.get("message")) or "\n".join(texts))
    tally.errors = max(len(_CODEX_FAILED.findall(data)), len(_CODEX_CODE.findall(data)))
    at = data.rfind(b'"total_token_usage"')
    if at >= 0:
        end = data.find(b"\n", at)
        line = _decoded(data[data.rfind(b"\n", 0, at) + 1 : end if end >= 0 else len(data)])
        info = object_of(object_of(line.get("payload")).get("info"))
        total = object_of(info.get("total_token_usage"))
        counts = [integer_of(total.get(f"{way}_tokens")) or 0 for way in ("input", "output")]
        tally.used = {tally.session_id: (counts[0], counts[1])}
    tally.took_place(*_times(data))
    return tally


_PI = re.compile(rb'"role":\s?"(?:assistant|user)"|"type":\s?"(?:session|session_info)"')


def scan_pi(data: bytes) -> Tally:
    """Scan a session of pi."""
    tally = Tally()
    for number, raw in enumerate(_lines_with(data, _PI)):
        line = _decoded(raw)
        message = object_of(line.get("message"))
        if line.get("type") == "session":
            tally.session_id, tally.project = text_of(line.get("id")), text_of(line.get("cwd"))
        elif line.get("type") == "session_info":
            tally.title = text_of(line.get("name")) or tally.title
        elif message.get("role") == "user":
            tally.asked(_text_of(message.get("content")))
        elif message.get("role") == "assistant":
            usage = object_of(message.get("usage"))
            names = ("input", "cacheRead", "cacheWrite", "output")
            *sent, made = (integer_of(usage.get(name)) or 0 for name in names)
            tally.used[text_of(message.get("timestamp")) or f"{number}"] = (sum(sent), made)
            tally.spent(object_of(usage.get("cost")).get("total"))
            tally.errors += message.get("stopReason") == "error"
    tally.errors += len(re.findall(rb'"isError":\s?true', data))
    tally.took_place(*_times(data))
    return tally


def _text_of(content: Any) -> str:
    parts = content if isinstance(content, list) else [content]
    texts = [part.get("text") if isinstance(part, dict) else part for part in parts]
    return "\n".join(text for text in texts if isinstance(text, str))


_GEMINI_CODE = re.compile(r"Exit Code: -?[1-9]")


def scan_gemini(data: bytes) -> Tally:
    """Scan a chat of Gemini CLI, whose messages stand there again when they grow."""
    tally = Tally()
    whole = _decoded(data)
    listed = whole.get("messages") if whole else None
    lines: list[Any] = listed if isinstance(listed, list) else []
    lines = [whole, *lines] if whole else [_decoded(raw) for raw in data.splitlines()]
    failed: set[str] = set()
    prompts: set[str] = set()
    for line in lines:
        line = object_of(line)
        tally.session_id = text_of(line.get("sessionId")) or tally.session_id
        key, kind = text_of(line.get("id")), line.get("type")
        if kind == "user" and key not in prompts:
            prompts.add(key)
            text = _text_of(line.get("content"))
            if text and not text.startswith(("<session_context>", "<hook_context>", "/", "?")):
                tally.asked(text)
        elif kind == "gemini" and line.get("tokens"):
            tokens = object_of(line["tokens"])
            names = ("input", "tool", "output", "thoughts")
            sent, tool, made, thought = (integer_of(tokens.get(name)) or 0 for name in names)
            tally.used[key] = (sent + tool, made + thought)
        listed = line.get("toolCalls")
        for call in listed if isinstance(listed, list) else ():
            if object_of(call).get("status") == "error" or _GEMINI_CODE.search(to_json(call)):
                failed.add(text_of(object_of(call).get("id")))
    tally.errors = len(failed)
    tally.took_place(*_times(data), whole.get("startTime"), whole.get("lastUpdated"))
    return tally


def scan_messages(data: bytes) -> Tally:
    """Scan the messages of a session of Cline."""
    tally = Tally()
    document = _decoded(data)
    tally.session_id = text_of(document.get("sessionId"))
    messages = document.get("messages")
    for number, message in enumerate(messages if isinstance(messages, list) else ()):
        message = object_of(message)
        content = message.get("content")
        parts = (
            [part for part in content if isinstance(part, dict)]
            if isinstance(content, list)
            else []
        )
        said = [part for part in parts if part.get("type") != "tool_result"]
        if message.get("role") == "user" and (said or isinstance(content, str)):
            tally.asked(_text_of(said or content))
        elif message.get("role") == "assistant":
            metrics = object_of(message.get("metrics"))
            sent, made = (
                integer_of(metrics.get(f"{way}Tokens")) or 0 for way in ("input", "output")
            )
            tally.used[text_of(message.get("id")) or f"{number}"] = (sent, made)
            tally.spent(metrics.get("cost"))
        tally.errors += sum(part.get("is_error") is True for part in parts)
        moment = integer_of(message.get("ts"))
        tally.took_place(moment * 1_000_000 if moment else None)
    return tally
