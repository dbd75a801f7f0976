"""Codex: its rollouts, with the envelope of late 2025 and without it.

The same step stands there as an item of the response and as events; items make the steps, events
tell exit codes, turns and tokens. Tokens are counted by how the file's own total grows, because a
count is often written twice. A forked session or sub-agent begins with a copy of its parent's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from ..conventions.values import first_of, integer_of, object_of, parse_json, to_json
from ._sessions import CALL, RECORD, REPEATS, WAITED, Session, Thread, assistant_message
from ._spans import SpanRecord, add_failure, add_note
from ._values import moment_of, text_of

__all__ = ["COMPANION", "is_codex", "parent_of", "read_codex", "spawned_in", "token_facts"]

COMPANION = "logtracer/rollout"  # the type of a document that holds a sub-agent's rollout

Line = dict[str, Any]

_ENVELOPES = ("session_meta", "response_item", "event_msg", "turn_context", "compacted")
_ITEMS = (
    "custom_tool_call",
    "custom_tool_call_output",
    "function_call",
    "function_call_output",
    "local_shell_call",
    "message",
    "reasoning",
    "web_search_call",
)
_LOOKED_AT = 50  # lines; a rollout shows what it is in its first


def is_codex(documents: list[Any]) -> bool:
    first = [line for line in documents[:_LOOKED_AT] if isinstance(line, dict)]
    if any(
        line.get("type") in _ENVELOPES and isinstance(line.get("payload"), dict) for line in first
    ):
        return True
    is_old = any(line.get("record_type") == "state" for line in first) or (
        bool(first) and "instructions" in first[0] and "id" in first[0] and "type" not in first[0]
    )
    return is_old and any(line.get("type") in _ITEMS for line in first)


def read_codex(documents: list[Any], source: str) -> Iterator[SpanRecord]:
    """Read a rollout, and those of its sub-agents that were found beside it."""
    numbered = _numbered([each for each in documents if not _is_companion(each)], "")
    session_id = text_of(_meta_of(numbered).get("id"))
    session = Session("codex", session_id, session_id or source)
    lines = _without_repeats(session, numbered, "")
    rollouts = [_Rollout(session, _thread_of(session, _meta_of(lines)), lines)]
    for each in filter(_is_companion, documents):
        file = f"{text_of(each.get('name'))}: "
        below = _without_repeats(session, _numbered(each["lines"], file), file)
        thread = _thread_of(session, _meta_of(below))
        rollouts.append(_Rollout(session, thread, below))
    for rollout in rollouts:
        rollout.read()
    callers = {child: call for each in rollouts for child, call in each.spawned.items()}
    for rollout in rollouts[1:]:
        tool = session.tools.get(callers.get(rollout.session_id, ""))
        session.hang(rollout.thread.top, tool)
    yield from session.finish(rollouts[0].facts)


def _thread_of(session: Session, meta: Line) -> Thread:
    """Return the talk of a rollout: with the person, unless a sub-agent's rollout it is."""
    spawn = _spawn_of(meta)
    if not object_of(meta.get("source")).get("subagent"):
        return session.thread()
    name = text_of(first_of(spawn, "agent_nickname", "agent_role", "agent_path"))
    return session.sub_agent(text_of(meta.get("id")), name)


def parent_of(header: Line) -> str:
    """Return the id of the session that started this one as a sub-agent; "" for none."""
    return text_of(_spawn_of(object_of(header.get("payload"))).get("parent_thread_id"))


def spawned_in(documents: list[Any]) -> set[str]:
    """Return the ids of the sub-agents that a rollout tells it has started."""
    found: set[str] = set()
    for line in documents:
        payload = object_of(line.get("payload")) if isinstance(line, dict) else {}
        found |= {child for child, _ in _spawns(payload)}
    return found


def _spawns(payload: Line) -> Iterator[tuple[str, str]]:
    call_id = text_of(payload.get("call_id"))
    if payload.get("type") == "collab_agent_spawn_end" and payload.get("new_thread_id"):
        yield text_of(payload["new_thread_id"]), call_id
    if payload.get("type") == "function_call_output":
        child = object_of(parse_json(payload.get("output"))).get("agent_id")
        if isinstance(child, str) and child:
            yield child, call_id


def _is_companion(document: Any) -> bool:
    is_ours = isinstance(document, dict) and document.get("type") == COMPANION
    return is_ours and isinstance(document.get("lines"), list)


def _numbered(documents: list[Any], file: str) -> list[tuple[str, Line]]:
    """Return the lines with their places, those without an envelope put into one."""
    lines = []
    for number, line in enumerate(documents, 1):
        if not isinstance(line, dict):
            line = {"type": "not an object", "payload": {"value": line}}
        elif line.get("type") in _ITEMS and "payload" not in line:
            line = {"type": "response_item", "payload": line}
        elif "type" not in line and number == 1:
            line = {"type": "session_meta", "payload": line}
        lines.append((f"{file}record {number}", line))
    return lines


def _without_repeats(
    session: Session, lines: list[tuple[str, Line]], file: str
) -> list[tuple[str, Line]]:
    """Leave out lines that stand there twice; those that nothing marks may well be said twice."""
    kept = []
    for place, line in lines:
        payload = object_of(line.get("payload"))
        is_marked = line.get("timestamp") or payload.get("call_id") or payload.get("id")
        if not (is_marked and session.is_repeat(to_json(line), place, file)):
            kept.append((place, line))
    if len(kept) < len(lines):  # the one that was kept may have stood before its time
        kept.sort(key=lambda each: text_of(each[1].get("timestamp")))
    return kept


def _meta_of(lines: list[tuple[str, Line]]) -> Line:
    """Return the header; a copied one of the parent's may follow it."""
    found = (line for _, line in lines if line.get("type") == "session_meta")
    return object_of(next(found, {}).get("payload"))


def _spawn_of(meta: Line) -> Line:
    source = object_of(object_of(meta.get("source")).get("subagent"))
    return object_of(source.get("thread_spawn"))


class _Tokens:
    """What one thread has used so far, by the totals that its file tells."""

    def __init__(self) -> None:
        self.total: dict[str, int] | None = None
        self.copied: dict[str, int] = {}  # what was used before the file's own records
        self._seen: set[tuple[int, ...]] = set()

    def growth(self, total: dict[str, int], last: dict[str, int]) -> dict[str, int]:
        """Return what a count adds; nothing when the same total was told before."""
        key = tuple(total.get(name, 0) for name in _TOKEN_NAMES)
        if key in self._seen:
            return {}
        self._seen.add(key)
        known, self.total = self.total, total
        if known is None and last:
            self.copied = {name: total[name] - last.get(name, 0) for name in total}
        if (known is None and last) or (known is not None and total["whole"] < known["whole"]):
            return last  # the first count of all, or the first of a count that began anew
        before = known or {}
        return {name: max(total[name] - before.get(name, 0), 0) for name in total}


_TOKEN_NAMES = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "cached_input_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_input_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "reasoning_output_tokens": "gen_ai.usage.reasoning.output_tokens",
}


def _counts(usage: Any) -> dict[str, int]:
    found = {name: integer_of(object_of(usage).get(name)) for name in _TOKEN_NAMES}
    counts = {name: count for name, count in found.items() if count is not None}
    if counts:
        counts["whole"] = counts.get("input_tokens", 0) + counts.get("output_tokens", 0)
    return counts


def _facts_of(counts: dict[str, int]) -> dict[str, int]:
    return {_TOKEN_NAMES[name]: counts[name] for name in counts if name in _TOKEN_NAMES}


def token_facts(usage: Any) -> dict[str, int]:
    """Return what Codex calls its tokens under the names of the GenAI conventions."""
    return _facts_of(_counts(usage))


class _Rollout:
    """Walk through the lines of one rollout."""

    def __init__(self, session: Session, thread: Thread, lines: list[tuple[str, Line]]) -> None:
        self.session = session
        self.thread = thread
        self.facts: dict[str, Any] = {}
        self.spawned: dict[str, str] = {}  # sub-agent -> id of the call that started it
        self._meta = _meta_of(lines)
        self.session_id = text_of(self._meta.get("id"))
        self._tokens = _Tokens()
        self._lines = self._without_history(lines)
        self._ends = _command_ends(self._lines)
        types = [object_of(line.get("payload")).get("type") for _, line in self._lines]
        self._has_items = any(line.get("type") == "response_item" for _, line in self._lines)
        self._has_counts = "token_count" in types or any(
            line.get("type") == "token_usage_record" for _, line in self._lines
        )
        self._model = ""
        self._effort: Any = None
        self._in_task = False
        self._asked: dict[str, datetime] = {}  # calls that wait for a permission
        self._call: SpanRecord | None = None
        self._last_call: SpanRecord | None = None
        self._items: list[Line] = []  # what the open call has said
        self._end: datetime | None = None
        self._place = self._total_at = ""

    # ---- a copied history -----------------------------------------------------------------------

    def _without_history(self, lines: list[tuple[str, Line]]) -> list[tuple[str, Line]]:
        """Leave out the parent's history at the start: its tokens stand in the parent's file."""
        length = _history_length(lines, self._meta)
        told = [object_of(line.get("payload")) for _, line in lines[:length]]
        for payload in told:
            total = _counts(object_of(payload.get("info")).get("total_token_usage"))
            total = total or _counts(payload.get("thread_token_usage"))
            if total:
                self._tokens.growth(total, {})
                self._tokens.copied = total
        if length:
            self.thread.carry(sum(payload.get("type") in _ITEMS for payload in told))
            self.facts["codex.copied_lines"] = length
        own = next((each for each in lines if each[1].get("type") == "session_meta"), None)
        return ([own] if own and length else []) + lines[length:]

    # ---- line by line ---------------------------------------------------------------------------

    def read(self) -> None:
        for place, line in self._lines:
            self._place = place
            kind, payload = text_of(line.get("type")), object_of(line.get("payload"))
            moment = moment_of(line.get("timestamp"))
            if kind == "session_meta":
                self._read_meta(payload)
            elif kind == "turn_context":
                self._model = text_of(payload.get("model")) or self._model
                self._effort = payload.get("effort")
            elif kind == "response_item":
                self._read_item(payload, moment)
            elif kind == "event_msg":
                self._read_event(payload, moment, line)
            elif kind == "token_usage_record":
                self._count(payload.get("thread_token_usage"), payload.get("usage"), payload)
            elif kind == "compacted":
                self._close()
                self.thread.event("compaction", moment, place).facts.output_data = {
                    "summary": payload.get("message")
                }
                self.thread.forget()
            else:
                self.session.put_aside(kind or text_of(line.get("record_type")) or "no type", line)
        self._close()
        if self._tokens.total is not None:
            agent = "" if self.thread.top is self.session.root else self.session_id
            told = {"name": "total_token_usage", RECORD: self._total_at, "agent": agent}
            is_copy = any(self._tokens.copied.values())
            copied = {"copied": _facts_of(self._tokens.copied)} if is_copy else {}
            self.session.totals.append({**told, **copied, **_facts_of(self._tokens.total)})

    def _read_meta(self, meta: Line) -> None:
        if self.facts.get("codex.id"):
            self.session.put_aside("session_meta", meta)
            return
        taken = ("id", "cwd", "originator", "cli_version", "model_provider", "git", "source")
        self.facts |= {f"codex.{name}": meta.get(name) for name in taken}
        self.facts["codex.forked_from"] = meta.get("forked_from_id")
        self.facts["codex.parent"] = _spawn_of(meta).get("parent_thread_id")
        if self.thread.top is not self.session.root:
            self.thread.top.facts.metadata |= self.facts
            self.thread.top.facts.metadata["gen_ai.agent.id"] = self.session_id

    def _read_item(self, item: Line, moment: datetime | None) -> None:
        kind = text_of(item.get("type"))
        role = text_of(item.get("role"))
        if role and role != "assistant":
            self._close()
            self._read_said(item, role, moment)
        elif kind.endswith("_output"):
            if not self._has_counts:
                self._close()
            self._read_output(item, moment)
        elif role or kind in _ITEMS:
            self._say(item, moment)
        else:
            self.session.put_aside(f"response_item {kind}", item)

    def _say(self, item: Line, moment: datetime | None) -> None:
        """Add an item to what the open model call has said, and open one when there is none."""
        if self._call is None:
            self._open_call()
        self._items.append(item)
        self._end = moment or self._end
        name = text_of(item.get("name"))
        kind = text_of(item.get("type"))
        call_id = text_of(item.get("call_id") or item.get("id"))
        if kind.endswith("_call"):
            given = first_of(item, "arguments", "input", "action")
            tool = self.thread.tool(
                self._call, call_id, name or kind.removesuffix("_call"), parse_json(given), moment
            )
            if kind == "web_search_call":  # its results go to the model alone
                tool.end, tool.facts.output_data = moment, {"status": item.get("status")}

    def _open_call(self) -> SpanRecord:
        call = self.thread.call(f"{self.session_id}/{self.thread.calls}", self._model)
        call.facts.metadata["gen_ai.provider.name"] = self.facts.get("codex.model_provider")
        call.facts.metadata["codex.effort"] = self._effort
        self._call, self._items, self._end = call, [], None
        return call

    def _close(self) -> None:
        """End the open model call with the items that it said."""
        if self._call is None:
            return
        texts, thoughts, calls = [], [], []
        for item in self._items:
            kind = text_of(item.get("type"))
            if kind == "reasoning":
                thoughts.append(
                    _text_of_parts(item.get("summary")) or _text_of_parts(item.get("content"))
                )
            elif kind.endswith("_call"):
                given = parse_json(first_of(item, "arguments", "input", "action"))
                call_id = text_of(item.get("call_id") or item.get("id"))
                calls.append((call_id, text_of(item.get("name")) or kind, given))
            else:
                texts.append(_text_of_parts(item.get("content")))
        self.thread.answer(self._call, assistant_message(texts, thoughts, calls), self._end)
        self._last_call, self._call = self._call, None

    def _read_said(self, item: Line, role: str, moment: datetime | None) -> None:
        content = _text_of_parts(item.get("content"))
        if role != "user" or not _is_person(item, content):
            self.thread.say({"role": role, "content": content}, None)
            return
        self.thread.prompt(content, moment, self._place, joins=self._in_task)

    def _read_output(self, item: Line, moment: datetime | None) -> None:
        call_id = text_of(item.get("call_id"))
        content = parse_json(item.get("output"))
        exit_code, failed = self._ends.get(call_id, (None, False))
        if isinstance(content, dict):
            told = object_of(content.get("metadata"))
            exit_code = integer_of(told.get("exit_code")) if exit_code is None else exit_code
            failed = failed or content.get("success") is False
            content = first_of(content, "output", "content") if "output" in content else content
        elif exit_code is None:
            exit_code = _exit_code_in(text_of(content))
        if isinstance(content, list):
            content = _text_of_parts(content) or content
        span = self.thread.result(call_id, content, moment, failed=failed, exit_code=exit_code)
        if call_id in self._asked and moment is not None:
            waited = moment - self._asked.pop(call_id)
            span.facts.metadata[WAITED] = waited.total_seconds() * 1_000
        self.spawned.update(_spawns(item))

    # ---- events ---------------------------------------------------------------------------------

    def _read_event(self, event: Line, moment: datetime | None, line: Line) -> None:
        kind = text_of(event.get("type"))
        self.spawned.update(_spawns(event))
        if kind == "token_count":
            info = object_of(event.get("info"))
            self._count(info.get("total_token_usage"), info.get("last_token_usage"), {})
        elif kind in ("task_started", "turn_started"):
            self._close()
            self.thread.begin_turn(text_of(event.get("turn_id")) or self._place, moment)
            self._in_task = True
        elif kind in ("task_complete", "turn_complete", "turn_aborted"):
            self._end_task(event, kind == "turn_aborted")
        elif kind.endswith("_approval_request") and moment is not None:
            self._asked[text_of(event.get("call_id"))] = moment
        elif kind in ("exec_command_begin", "patch_apply_begin"):
            self._granted(text_of(event.get("call_id")), moment)
        elif kind in _NOTABLE:
            happened = self.thread.event(kind.replace("_", " "), moment, self._place)
            happened.facts.metadata |= {
                f"codex.{key}": event[key] for key in event if key != "type"
            }
            if kind in ("error", "stream_error"):
                add_failure(happened, event.get("message") or kind)
        elif not self._has_items and kind in ("user_message", "agent_message", "agent_reasoning"):
            self._read_told(kind, text_of(first_of(event, "message", "text")), moment)
        else:
            inner = text_of(object_of(event.get("item")).get("type"))
            self.session.put_aside(" ".join(filter(None, ("event_msg", kind, inner))), line)

    def _read_told(self, kind: str, text: str, moment: datetime | None) -> None:
        """Take an event for a step, in a file that has no items."""
        if kind == "user_message":
            self._close()
            self.thread.prompt(text, moment, self._place, joins=self._in_task)
        else:
            item = "reasoning" if kind == "agent_reasoning" else "message"
            part = {"type": "text", "text": text}
            self._say({"type": item, "content": [part], "summary": [part]}, moment)

    def _end_task(self, event: Line, is_aborted: bool) -> None:
        self._close()
        facts = self.thread.place.facts.metadata
        for name in ("turn_id", "duration_ms", "time_to_first_token_ms"):
            facts[f"codex.{name}"] = event.get(name)
        if is_aborted:
            self.thread.interrupt(text_of(event.get("reason")) or "aborted")
        self._in_task = False

    def _granted(self, call_id: str, moment: datetime | None) -> None:
        """Note how long a call waited for the person's leave: that was no work."""
        asked, span = self._asked.pop(call_id, None), self.session.tools.get(call_id)
        if asked is not None and moment is not None and span is not None:
            waited = (moment - asked).total_seconds() * 1_000
            span.facts.metadata[WAITED] = waited

    def _count(self, total: Any, last: Any, record: Line) -> None:
        """Give the open model call, or the one before, what the total has grown by."""
        whole, latest = _counts(total), _counts(last)
        if not whole:
            return
        growth = self._tokens.growth(whole, latest)
        self._total_at = self._place
        call = self._call or self._last_call
        if not growth.get("whole"):
            if call is not None and "gen_ai.usage.input_tokens" in call.facts.metadata:
                call.facts.metadata.setdefault(REPEATS, []).append(self._place)
            return
        if call is None or "gen_ai.usage.input_tokens" in call.facts.metadata:
            call = self._open_call()
            add_note(call, "the file tells its tokens and nothing that it said")
        number = self.thread.calls - 1
        call.facts.metadata |= _facts_of(growth) | {RECORD: self._place}
        call.facts.metadata[CALL] = f"{self.session_id}/{number}"
        call.facts.metadata["gen_ai.response.id"] = record.get("response_id")
        self._close()


_NOTABLE = (
    "entered_review_mode",
    "error",
    "exited_review_mode",
    "stream_error",
    "thread_rolled_back",
)
_INJECTED = (
    "# AGENTS.md instructions",
    "<environment_context>",
    "<permissions instructions>",
    "<skill",
    "<subagent_notification>",
    "<turn_aborted>",
    "<user_instructions>",
    "<user_shell_command>",
)
_EXIT_CODE = re.compile(r"^(?:Exit code:|Process exited with code) (-?\d{1,9})\s*$", re.M | re.A)


def _exit_code_in(text: str) -> int | None:
    """Return the exit code in the lines that Codex puts above a command's own output."""
    above, output, _ = text.partition("\nOutput:")
    found = _EXIT_CODE.search(above) if output else None
    return int(found[1]) if found else None


def _text_of_parts(content: Any) -> str:
    parts = content if isinstance(content, list) else [content]
    texts = [part.get("text") if isinstance(part, dict) else part for part in parts]
    return "\n".join(text for text in texts if isinstance(text, str))


def _is_person(item: Line, text: str) -> bool:
    """Tell what a person said from what Codex put in; newer files say so."""
    passed = object_of(item.get("internal_chat_message_metadata_passthrough"))
    told = passed.get("content_item_metadata")
    origins = {
        object_of(part.get("provenance")).get("type")
        for part in (told if isinstance(told, list) else [])
        if isinstance(part, dict)
    }
    if origins & {"user", "harness"}:
        return "user" in origins
    return not text.lstrip().startswith(_INJECTED)


def _command_ends(lines: list[tuple[str, Line]]) -> dict[str, tuple[int | None, bool]]:
    """Return the exit code of each command, and whether it failed, from the events."""
    ends: dict[str, tuple[int | None, bool]] = {}
    for _, line in lines:
        event = object_of(line.get("payload"))
        kind = text_of(event.get("type"))
        item = object_of(event.get("item")) if kind == "item_completed" else event
        if line.get("type") != "event_msg" or not (item is not event or kind.endswith("_end")):
            continue
        exit_code = integer_of(item.get("exit_code"))
        failed = item.get("status") == "failed" or item.get("success") is False
        if exit_code is not None or failed:
            ends[text_of(first_of(item, "call_id", "id"))] = exit_code, failed
    return ends


_UUID_7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


def _history_length(lines: list[tuple[str, Line]], meta: Line) -> int:
    """Return how many lines at the start are a copy of the parent's."""
    start = integer_of(meta.get("subagent_history_start_ordinal"))
    ordinals = [integer_of(line.get("ordinal")) for _, line in lines]
    if start is not None and any(ordinal is not None for ordinal in ordinals):
        return next(
            (at for at, each in enumerate(ordinals) if each is not None and each >= start), 0
        )
    metas = [at for at, (_, line) in enumerate(lines) if line.get("type") == "session_meta"]
    is_copy = len(metas) > 1 and metas[0] == 0 and metas[1] <= 2
    if not metas or not (meta.get("forked_from_id") or is_copy and _spawn_of(meta)):
        return 0
    by_turn = _first_own_turn(lines, text_of(meta.get("id")))
    return _first_other_time(lines, metas[0]) if by_turn is None else by_turn


def _first_own_turn(lines: list[tuple[str, Line]], session_id: str) -> int | None:
    """Return where the first turn begins that is younger than the session, by their ids."""
    turns = 0
    for at, (_, line) in enumerate(lines):
        turn_id = text_of(object_of(line.get("payload")).get("turn_id"))
        is_mark = line.get("type") == "turn_context" or (
            object_of(line.get("payload")).get("type") in ("task_started", "turn_started")
        )
        if is_mark and turn_id:
            if not (_UUID_7.fullmatch(turn_id) and _UUID_7.fullmatch(session_id)):
                return None
            turns += 1
            if turn_id > session_id:
                return at
    return len(lines) if turns else None


def _first_other_time(lines: list[tuple[str, Line]], first: int) -> int:
    """Return where the lines end that were all written at one moment."""
    stamps = [text_of(line.get("timestamp")) for _, line in lines]
    copied = stamps[first + 1] if len(stamps) > first + 1 else ""
    for at in range(first + 1, len(stamps)):
        if stamps[at] != copied:
            return at
    return len(stamps)
