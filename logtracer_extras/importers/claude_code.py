"""Claude Code: its sessions, what `--output-format stream-json` prints, and the web's log lines.

One model call stands on several lines, one for each block of its answer, and each repeats the
usage of the whole; a resumed or forked session repeats lines of another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from logtracer import NodeStatus

from ..conventions.usage import usage_facts
from ..conventions.values import integer_of, object_of, to_json
from ._sessions import RECORD, REPEATS, WAITED, Session, Thread, assistant_message
from ._spans import SpanRecord, add_failure, add_note
from ._values import moment_of, text_of

__all__ = [
    "AGENT_META",
    "ENDLESS",
    "FILE",
    "HALF_MADE",
    "claude_lines",
    "is_claude_code",
    "read_claude_code",
    "started_agents",
    "was_typed",
]

AGENT_META = "logtracer/agent-meta"  # the type of a line that stands for a sub-agent's .meta.json
FILE = "logtracer/file"  # where a line of another file stands


def claude_lines(documents: list[Any]) -> list[Any] | None:
    """Return the lines of a session, whether they were lines, one array, or the web's object."""
    if len(documents) == 1 and isinstance(documents[0], list):
        documents = documents[0]
    elif len(documents) == 1 and isinstance(documents[0], dict):
        documents = documents[0].get("loglines") or documents
    is_session = isinstance(documents, list) and any(map(_is_telling, documents))
    return documents if is_session else None


def _is_step(line: Any) -> bool:
    if not isinstance(line, dict) or line.get("type") not in ("user", "assistant"):
        return False
    message = line.get("message")
    return isinstance(message, dict) and ("content" in message or "role" in message)


def _is_telling(line: Any) -> bool:
    """Tell a step, or the result that `claude -p --output-format json` prints alone."""
    is_result = isinstance(line, dict) and line.get("type") == "result" and "session_id" in line
    return _is_step(line) or is_result


def is_claude_code(documents: list[Any]) -> bool:
    return claude_lines(documents) is not None


def was_typed(line: dict[str, Any]) -> str | None:
    """Return the prompt on a line, None when no person typed what stands there."""
    if line.get("isMeta") is True or line.get("isCompactSummary") is True:
        return None
    parts = _blocks(object_of(line.get("message")))
    text = "\n".join(text_of(part.get("text")) for part in parts).strip()
    if not parts or text.startswith((*_INJECTED, "<command-", "[Request interrupted by user")):
        return None
    return text


def started_agents(documents: list[Any]) -> list[str]:
    """Return the ids of the sub-agents whose results a session tells."""
    told = (line.get("toolUseResult") for line in documents if isinstance(line, dict))
    named = {text_of(object_of(result).get("agentId")) for result in told}
    return sorted(name for name in named if name.isalnum())


def read_claude_code(documents: list[Any], source: str) -> Iterator[SpanRecord]:
    """Read a session; lines of several sessions, put together in one file, are a trace each."""
    sessions: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    aside: list[Any] = []
    current = ""
    for number, line in enumerate(claude_lines(documents) or [], 1):
        if not isinstance(line, dict):
            aside.append(line)
            continue
        current = text_of(line.get("sessionId") or line.get("session_id")) or current
        place = text_of(line.get(FILE)) or f"record {number}"
        sessions.setdefault(current, []).append((place, line))
    if "" in sessions and len(sessions) > 1:  # lines before the first that names its session
        first = next(key for key in sessions if key)
        sessions[first] = sessions.pop("") + sessions[first]
    for session_id, lines in sessions.items():
        if any(_is_telling(line) for _, line in lines):
            key = _trace_key(session_id or source, lines)
            yield from _ClaudeSession(session_id, key, lines).spans(aside)
            aside = []


def _trace_key(session_id: str, lines: list[tuple[str, dict[str, Any]]]) -> str:
    """Return what the id of the trace follows from; a sub-agent's file alone is another trace."""
    steps = [line for _, line in lines if _is_step(line)]
    if steps and all(line.get("isSidechain") is True for line in steps):
        return f"{session_id}/{text_of(steps[0].get('agentId') or steps[0].get('uuid'))}"
    return session_id


class _Answer:
    """The lines of one model call, put together."""

    def __init__(self) -> None:
        self.blocks: list[tuple[dict[str, Any], datetime | None]] = []
        self._known: set[str] = set()  # blocks, as texts
        self.usage: dict[str, Any] = {}
        self.message: dict[str, Any] = {}
        self.stop_reason: str = ""
        self.end: datetime | None = None
        self.record = ""
        self.repeats: list[str] = []

    def take(self, place: str, line: dict[str, Any]) -> None:
        message = object_of(line.get("message"))
        moment = moment_of(line.get("timestamp"))
        for block in _blocks(message):
            if (mark := to_json(block)) not in self._known:
                self._known.add(mark)
                self.blocks.append((block, moment))
        self.message = message
        self.end = max(filter(None, (self.end, moment)), default=None)
        self.stop_reason = text_of(message.get("stop_reason")) or self.stop_reason
        self._take_usage(place, object_of(message.get("usage")))

    def _take_usage(self, place: str, usage: dict[str, Any]) -> None:
        """Keep the count that was written last: earlier ones are of an answer half made."""
        if not usage:
            return
        made, known = (integer_of(each.get("output_tokens")) or 0 for each in (usage, self.usage))
        if self.record and made < known:
            self.repeats.append(place)
            return
        if self.record:
            self.repeats.append(self.record)
        self.usage, self.record = usage, place


def _blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    if isinstance(content, list):
        return [part if isinstance(part, dict) else _text(part) for part in content]
    return [] if content in (None, "") else [_text(content)]


def _text(value: Any) -> dict[str, Any]:
    return {"type": "text", "text": text_of(value)}


class _ClaudeSession:
    """Walk through the lines of one session in the order in which they were written."""

    def __init__(self, session_id: str, key: str, lines: list[tuple[str, dict[str, Any]]]) -> None:
        self._session = Session("claude_code", session_id, key)
        self._lines = [(place, line) for place, line in lines if not self._is_copy(place, line)]
        self._main = self._session.thread()
        self._agents: dict[str, Thread] = {}
        self._asked: dict[str, str] = {}  # sub-agent -> id of the tool call that started it
        self._side = _side_roots(self._lines)
        self._answers = self._put_together()
        self._tells_ends = any(answer.stop_reason for answer in self._answers.values())
        self._facts: dict[str, Any] = {}
        self._command: tuple[str, datetime | None, str] | None = None
        self._order: dict[str, int] = {}  # uuid of a line -> its place, for rewinds
        self._last_call: dict[str, int] = {}  # of the main thread: uuid of a call's line -> place

    def _is_copy(self, place: str, line: dict[str, Any]) -> bool:
        """Tell whether a step stands there twice; a resumed session repeats the one before."""
        uuid = line.get("uuid")
        if isinstance(uuid, str) and uuid:
            return self._session.is_repeat(f"{line.get('type')} {uuid}", place)
        return _is_step(line) and self._session.is_repeat(to_json(line), place)

    def _put_together(self) -> dict[str, _Answer]:
        answers: dict[str, _Answer] = {}
        for place, line in self._lines:
            if line.get("type") == "assistant" and _is_step(line):
                answers.setdefault(_call_key(place, line), _Answer()).take(place, line)
        return answers

    def spans(self, aside: list[Any]) -> list[SpanRecord]:
        for line in aside:
            self._session.put_aside("not an object", line)
        done: set[str] = set()
        for number, (place, line) in enumerate(self._lines):
            uuid = text_of(line.get("uuid"))
            self._order[uuid] = number
            self._describe(line)
            if line.get("type") == "assistant" and _is_step(line):
                if self._thread_of(line) is self._main:
                    self._last_call[uuid] = number
                key = _call_key(place, line)
                if key not in done:
                    done.add(key)
                    self._read_answer(key, line)
            elif line.get("type") == "user" and _is_step(line):
                self._read_user(place, line)
            else:
                self._read_other(place, line)
        self._close_command()
        self._hang_agents()
        return self._session.finish(self._facts)

    # ---- what belongs to whom -------------------------------------------------------------------

    def _thread_of(self, line: dict[str, Any]) -> Thread:
        key = text_of(line.get("agentId") or line.get("parent_tool_use_id"))
        if not key and line.get("isSidechain") is True:
            key = self._side.get(text_of(line.get("uuid")), "sidechain")
        if not key:
            return self._main
        if key not in self._agents:
            name = text_of(line.get("attributionAgent") or line.get("subagent_type"))
            self._agents[key] = self._session.sub_agent(key, name)
            if line.get("parent_tool_use_id"):
                self._asked[key] = key
        return self._agents[key]

    def _hang_agents(self) -> None:
        """Put every sub-agent below the tool call that started it, at whatever depth."""
        alone = not self._main.calls and len(self._agents) == 1
        for key, thread in self._agents.items():
            tool = self._session.tools.get(self._asked.get(key, ""))
            tool = tool or self._asking_with(text_of(thread.top.facts.input_data.get("prompt")))
            self._session.hang(thread.top, tool)
            thread.top.facts.metadata["gen_ai.agent.id"] = key
            if tool is not None:
                asked = tool.facts.input_data
                name = text_of(asked.get("subagent_type"))
                thread.top.name = name if name and thread.top.name == "agent" else thread.top.name
                tool.facts.metadata["gen_ai.agent.id"] = key
            elif not alone:
                add_note(thread.top, "the tool call that started it is not in this file")

    def _asking_with(self, prompt: str) -> SpanRecord | None:
        """Return the tool call that asked for this, for the files of 2025 that do not say."""
        taken = set(self._asked.values())
        for call_id, tool in self._session.tools.items():
            if prompt and call_id not in taken and tool.facts.input_data.get("prompt") == prompt:
                return tool
        return None

    # ---- lines that a model or a person wrote ---------------------------------------------------

    def _read_answer(self, key: str, line: dict[str, Any]) -> None:
        answer, thread = self._answers[key], self._thread_of(line)
        message, moment = answer.message, moment_of(line.get("timestamp"))
        if message.get("model") == "<synthetic>" or line.get("isApiErrorMessage") is True:
            self._read_synthetic(thread, key, line, answer)
            return
        if self._command is not None and thread is self._main:
            self._open_command()
        call = thread.call(key, text_of(message.get("model")), moment)
        call.facts.metadata |= self._call_facts(call, answer, line)
        said = [text_of(block.get("text")) for block, _ in answer.blocks if "text" in block]
        thoughts = [text_of(block.get("thinking")) for block, _ in answer.blocks]
        asked = [(block, at) for block, at in answer.blocks if block.get("type") in _TOOL_BLOCKS]
        calls = [
            (text_of(block.get("id")), text_of(block.get("name")), block.get("input"))
            for block, _ in asked
        ]
        thread.answer(call, assistant_message(said, thoughts, calls), answer.end)
        for (call_id, name, arguments), (_, at) in zip(calls, asked, strict=True):
            thread.tool(call, call_id, name, arguments, at)

    def _call_facts(
        self, call: SpanRecord, answer: _Answer, line: dict[str, Any]
    ) -> dict[str, Any]:
        facts: dict[str, Any] = {"gen_ai.provider.name": "anthropic"}
        facts["gen_ai.response.id"] = answer.message.get("id")
        facts["claude_code.request_id"] = line.get("requestId")
        if answer.stop_reason:
            facts["gen_ai.response.finish_reasons"] = [answer.stop_reason]
        origin = object_of(line.get("forkedFrom"))
        if origin:
            facts["logtracer.copied_from"] = text_of(origin.get("sessionId"))
            return facts
        facts |= _usage_of(answer.usage)
        facts |= {RECORD: answer.record or None, REPEATS: answer.repeats or None}
        made = facts.get("gen_ai.usage.output_tokens", 0)
        tells_ends = self._tells_ends or not text_of(line.get("version")).startswith(ENDLESS)
        if not answer.stop_reason and tells_ends and made <= HALF_MADE:
            facts.pop("gen_ai.usage.output_tokens", None)
            add_note(call, "its output tokens are not known: the line was written before its end")
        return facts

    def _read_synthetic(
        self, thread: Thread, key: str, line: dict[str, Any], answer: _Answer
    ) -> None:
        """Take what Claude Code wrote in the model's place: no call was made, or one failed."""
        said = "\n".join(text_of(block.get("text")) for block, _ in answer.blocks)
        thread.say({"role": "assistant", "content": said}, None)
        if line.get("isApiErrorMessage") is True:
            failed = thread.event("api error", moment_of(line.get("timestamp")), key)
            add_failure(failed, said or line.get("error") or "the request failed")
        else:
            self._session.put_aside("assistant <synthetic>", line)

    def _read_user(self, place: str, line: dict[str, Any]) -> None:
        thread, moment = self._thread_of(line), moment_of(line.get("timestamp"))
        parts = _blocks(object_of(line.get("message")))
        results = [part for part in parts if part.get("type") == "tool_result"]
        for part in results:
            self._read_result(thread, part, line, moment, is_only=len(results) == 1)
        rest = [part for part in parts if part.get("type") != "tool_result"]
        text = "\n".join(text_of(part.get("text")) for part in rest).strip()
        if text.startswith("[Request interrupted by user"):
            thread.interrupt(text)
        elif rest:
            key = text_of(line.get("uuid")) or place
            self._read_said(thread, line, _simple(rest), text, key, bool(results))

    def _read_said(
        self, thread: Thread, line: dict[str, Any], content: Any, text: str, key: str, beside: bool
    ) -> None:
        """Tell what the person typed from what was put in for the model to read."""
        moment = moment_of(line.get("timestamp"))
        name = _COMMAND.search(text)
        if line.get("isCompactSummary") is True:
            thread.say({"role": "user", "content": content}, moment)
        elif name is not None and text.startswith(("<command-name>", "<command-message>")):
            self._close_command()
            arguments = _ARGUMENTS.search(text)
            typed = f"{name[1]} {arguments[1].strip() if arguments else ''}".strip()
            self._command = (typed, moment, key)
        elif text.startswith("<local-command-std"):
            self._close_command()
            thread.say({"role": "user", "content": content}, None)
        elif line.get("isMeta") is True and text == "Continue from where you left off.":
            thread.end_turn()
            thread.event("resumed", moment, key)
        elif beside or line.get("isMeta") is True or text.startswith(_INJECTED):
            thread.say({"role": "user", "content": content}, None)
        else:
            self._read_prompt(thread, line, content, moment, key)

    def _read_prompt(
        self, thread: Thread, line: dict[str, Any], content: Any, moment: datetime | None, key: str
    ) -> None:
        if thread is self._main:
            self._close_command()
        thread.prompt(content, moment, key)
        turn = thread.turn
        at = self._order.get(text_of(line.get("parentUuid")))
        if thread is not self._main or turn is None or at is None:
            return
        undone = [number for number in self._last_call.values() if number > at]
        if undone:
            turn.facts.annotations.append("rewound: goes on from before the calls above")
            turn.facts.metadata["claude_code.rewound_lines"] = len(undone)
            self._last_call = {k: v for k, v in self._last_call.items() if v <= at}

    def _open_command(self) -> None:
        """Take a command as a prompt, now that a model answers it."""
        if self._command is not None:
            typed, moment, key = self._command
            self._command = None
            self._main.prompt(typed, moment, key)

    def _close_command(self) -> None:
        """Take a command as done without a model."""
        if self._command is not None:
            typed, moment, key = self._command
            self._command = None
            self._main.end_turn()
            self._main.event(typed, moment, key)
            if typed == "/clear":
                self._main.forget()

    def _read_result(
        self,
        thread: Thread,
        part: dict[str, Any],
        line: dict[str, Any],
        moment: datetime | None,
        *,
        is_only: bool,
    ) -> None:
        call_id = text_of(part.get("tool_use_id"))
        content, failed = part.get("content"), part.get("is_error") is True
        told = line.get("toolUseResult", line.get("tool_use_result")) if is_only else None
        facts = object_of(told)
        exit_code = integer_of(facts.get("exitCode"))
        found = _EXIT_CODE.match(_first_text(content)) if failed and exit_code is None else None
        exit_code = int(found[1]) if found else exit_code
        span = thread.result(call_id, content, moment, failed=failed, exit_code=exit_code)
        if facts.get("interrupted") is True:
            span.status = NodeStatus.INTERRUPTED
        if facts.get("agentId"):
            self._asked.setdefault(text_of(facts["agentId"]), call_id)
        for name in ("status", "totalDurationMs", "totalTokens", "totalToolUseCount", "durationMs"):
            span.facts.metadata[f"claude_code.{name}"] = facts.get(name)
        if span.name in _ASKS_A_PERSON and span.start and span.end:
            waited = (span.end - span.start).total_seconds() * 1_000
            span.facts.metadata[WAITED] = round(waited, 3)

    # ---- lines of other kinds -------------------------------------------------------------------

    def _describe(self, line: dict[str, Any]) -> None:
        """Take what lines say of the whole session; the last that says it counts."""
        if line.get("type") == "system" and line.get("subtype") == "init":
            taken = ("model", "tools", "permissionMode", "claude_code_version", "cwd")
            self._facts |= {f"claude_code.{key}": line.get(key) for key in taken}
        if line.get("isSidechain") is not True:
            for key in ("cwd", "version", "gitBranch", "slug", "entrypoint"):
                if line.get(key):
                    self._facts[f"claude_code.{key}"] = line[key]
        origin = object_of(line.get("forkedFrom")).get("sessionId")
        if origin:
            self._facts["claude_code.forked_from"] = origin

    def _read_other(self, place: str, line: dict[str, Any]) -> None:
        kind, subtype = text_of(line.get("type")), text_of(line.get("subtype"))
        key = text_of(line.get("uuid")) or place
        thread, moment = self._thread_of(line), moment_of(line.get("timestamp"))
        title = next((line[name] for name in _TITLES.get(kind, ()) if line.get(name)), None)
        if kind == AGENT_META:
            self._read_meta(thread, line)
        elif title is not None:
            self._session.title = text_of(title)
        elif subtype in ("compact_boundary", "microcompact_boundary"):
            compacted = object_of(line.get("compactMetadata"))
            if compacted.get("trigger") == "manual":
                thread.end_turn()
            event = thread.event("compaction", moment, key)
            event.facts.metadata |= {
                f"claude_code.{name}": compacted.get(name)
                for name in ("trigger", "preTokens", "postTokens", "durationMs")
            }
            thread.forget()
        elif subtype == "api_error":
            failed = thread.event("api error", moment, key)
            add_failure(failed, line.get("error") or line.get("cause") or "the request failed")
        elif kind == "result":
            self._read_total(place, line)
        elif _queued(line):
            thread.prompt(_queued(line), moment, key, joins=True)
        else:
            inner = object_of(line.get("attachment")).get("type")
            told = " ".join(filter(None, (kind or "no type", subtype, text_of(inner))))
            self._session.put_aside(told, line)

    def _read_meta(self, thread: Thread, line: dict[str, Any]) -> None:
        """Read the file beside a sub-agent's, the only one that says who called it when nested."""
        key = text_of(line.get("agentId"))
        if line.get("toolUseId"):
            self._asked[key] = text_of(line["toolUseId"])
        thread.top.name = text_of(line.get("agentType")) or thread.top.name
        thread.top.facts.metadata["gen_ai.agent.description"] = line.get("description")
        thread.top.facts.metadata["claude_code.spawn_depth"] = line.get("spawnDepth")

    def _read_total(self, place: str, line: dict[str, Any]) -> None:
        """Read the last line of `claude -p`: what all calls of the run used, sub-agents' too."""
        facts = self._session.root.facts.metadata
        models = object_of(line.get("modelUsage")).values()
        sums = [_camel_usage(object_of(each)) for each in models] or [object_of(line.get("usage"))]
        total: dict[str, int] = {}
        for each in map(_usage_of, sums):
            total |= {key: total.get(key, 0) + count for key, count in each.items()}
        facts |= total
        facts["gen_ai.usage.cost"] = line.get("total_cost_usd")
        self._session.root.facts.output_data = {"result": line.get("result")}
        for name in ("duration_ms", "duration_api_ms", "num_turns", "permission_denials"):
            facts[f"claude_code.{name}"] = line.get(name)
        self._session.totals.append({"name": "result", RECORD: place, **total})
        if line.get("is_error") is True:
            add_failure(self._session.root, line.get("result") or line.get("subtype"))


HALF_MADE = 10  # tokens; what a stream says at its start is 1 to 8
ENDLESS = ("1.", "2.0.")  # versions whose sessions never say why an answer ended
_TOOL_BLOCKS = ("tool_use", "server_tool_use", "mcp_tool_use")
_ASKS_A_PERSON = ("AskUserQuestion", "ExitPlanMode")
_INJECTED = (
    "<bash-",
    "<local-command-",
    "<system-reminder>",
    "<task-notification>",
    "<teammate-message",
    "<user-memory-input>",
    "Caveat: The messages below were generated by the user while running local commands",
)
_TITLES = {
    "summary": ("summary",),
    "custom-title": ("customTitle", "title"),
    "ai-title": ("aiTitle", "title"),
}
_COMMAND = re.compile(r"<command-name>\s*([^<]{1,200}?)\s*</command-name>")
_ARGUMENTS = re.compile(r"<command-args>([^<]*)</command-args>")
_EXIT_CODE = re.compile(r"(?:Error: )?Exit code (\d{1,9})\b", re.ASCII)


def _queued(line: dict[str, Any]) -> str:
    """Return what the person typed while the model was at work, and it read in between."""
    told = object_of(line.get("attachment"))
    text = text_of(told.get("prompt")) if told.get("type") == "queued_command" else ""
    return "" if text.lstrip().startswith("<") else text


def _call_key(place: str, line: dict[str, Any]) -> str:
    """Return what the lines of one model call have in common."""
    said = text_of(object_of(line.get("message")).get("id"))
    return said or text_of(line.get("uuid")) or place


def _side_roots(lines: list[tuple[str, dict[str, Any]]]) -> dict[str, str]:
    """Return which sub-agent each line is of where all stand in one file and none is named."""
    roots: dict[str, str] = {}
    for _, line in lines:
        if line.get("isSidechain") is True and not line.get("agentId"):
            uuid, above = text_of(line.get("uuid")), text_of(line.get("parentUuid"))
            roots[uuid] = roots.get(above, uuid)
    return roots


def _simple(parts: list[dict[str, Any]]) -> Any:
    is_text = len(parts) == 1 and parts[0].get("type") == "text"
    return parts[0].get("text") if is_text else parts


def _first_text(content: Any) -> str:
    for part in content if isinstance(content, list) else [content]:
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(text, str):
            return text
    return ""


def _usage_of(usage: dict[str, Any]) -> dict[str, int]:
    """Return the tokens of a call; newer files tell cache writes only by how long they last."""
    if not usage:
        return {}
    lasting = object_of(usage.get("cache_creation")).values()
    written = sum(count for count in lasting if type(count) is int)
    known = integer_of(usage.get("cache_creation_input_tokens")) or written
    return usage_facts({**usage, "cache_creation_input_tokens": known})


def _camel_usage(usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "input_tokens": usage.get("inputTokens"),
        "output_tokens": usage.get("outputTokens"),
        "cache_read_input_tokens": usage.get("cacheReadInputTokens"),
        "cache_creation_input_tokens": usage.get("cacheCreationInputTokens"),
    }
