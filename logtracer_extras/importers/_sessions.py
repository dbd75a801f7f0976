"""What the sessions of all coding agents share: turns, model calls, tools, sub-agents.

A reader of one agent's files walks through their lines and tells a `Thread` what it meets; the
thread makes the spans. One thread is one agent's talk: that of the person, or of a sub-agent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from logtracer import EdgeType, NodeStatus, NodeType

from ..conventions.reading import Facts
from ..conventions.values import to_json, well_formed
from ._spans import SpanLink, SpanRecord, add_failure, add_note
from ._values import SPAN_DIGITS, TRACE_DIGITS, clean_value, clean_values, hashed_id, id_of, text_of

__all__ = [
    "CALL",
    "CARRIED",
    "RECORD",
    "REPEATED",
    "REPEATS",
    "TOTALS",
    "WAITED",
    "Session",
    "Thread",
    "assistant_message",
    "end_tool",
]

CALL = "logtracer.import.call"  # what a call is known by in copies, where it has no id
CARRIED = "logtracer.messages.carried"  # how many messages a call was sent again
RECORD = "logtracer.import.record"  # where in the file a call's tokens stand
REPEATED = "logtracer.import.repeated"  # lines that stand there twice, and what they repeat
REPEATS = "logtracer.import.repeats"  # records that tell the same tokens again
TOTALS = "logtracer.import.totals"  # what the file itself says its tokens are
WAITED = "logtracer.waited_ms"  # for a person, which is no work
_KINDS = "logtracer.import.kinds"
_LINES = "logtracer.import.lines"
_MAX_KEPT = 100  # lines of kinds that nobody reads
_MAX_LINE = 1_000  # characters of one; an attachment can hold a whole screenshot
_MAX_NAME = 80  # characters of a prompt that stands for a title


class Session:
    """The spans of one session, and what is said of it as a whole."""

    def __init__(self, agent: str, session_id: str, key: str) -> None:
        self.agent = agent
        self.session_id = session_id
        self.trace_id = id_of(key, TRACE_DIGITS) or hashed_id(agent, TRACE_DIGITS)
        self.spans: list[SpanRecord] = []
        self.tools: dict[str, SpanRecord] = {}
        self.totals: list[dict[str, Any]] = []
        self.title = ""
        self._seen: dict[tuple[str, str], str] = {}
        self._repeated: dict[str, str] = {}
        self._prompt = ""
        self._task = ""  # what the first sub-agent was asked for
        self._kinds: Counter[str] = Counter()
        self._lines: list[Any] = []
        self._keys: Counter[str] = Counter()
        self._holders: dict[str, SpanRecord] = {}  # last as long as what is in them
        self.root = self.add("session", agent, "trace", None, None)
        self._hold(self.root)

    def add(
        self, key: str, name: str, node_type: str, parent: SpanRecord | None, start: datetime | None
    ) -> SpanRecord:
        """Add a span; its id follows from its key, so that a longer file gives the same ids."""
        self._keys[key] += 1
        again = f"/{self._keys[key]}" if self._keys[key] > 1 else ""
        span_id = hashed_id(f"{self.trace_id}/{key}{again}", SPAN_DIGITS)
        parent_id = None if parent is None else parent.span_id
        span = SpanRecord(self.trace_id, name, Facts(node_type), span_id, parent_id, start)
        self.spans.append(span)
        return span

    def open(self, key: str, name: str, node_type: str, parent: SpanRecord) -> SpanRecord:
        """Add a span that begins and ends with what is below it."""
        span = self.add(key, name, node_type, parent, None)
        self._hold(span)
        return span

    def _hold(self, span: SpanRecord) -> None:
        self._holders[span.span_id or ""] = span

    def thread(self) -> Thread:
        """Return the talk with the person."""
        return Thread(self, self.root, has_turns=True)

    def sub_agent(self, key: str, name: str) -> Thread:
        """Return the talk of another agent; `hang` puts it below what called it."""
        top = self.open(f"agent/{key}", name or "agent", NodeType.SUB_AGENT, self.root)
        return Thread(self, top, has_turns=False)

    def hang(self, span: SpanRecord, tool: SpanRecord | None) -> None:
        """Put a sub-agent below the tool call that started it, unless that is one of its own."""
        by_id = {each.span_id: each for each in self.spans}
        above, seen = tool, set[str | None]()
        while above is not None and above is not span and above.span_id not in seen:
            seen.add(above.span_id)
            above = by_id.get(above.parent_id)
        if tool is not None and above is None:
            span.parent_id = tool.span_id

    def put_aside(self, kind: str, line: Any) -> None:
        """Count a line that is no step of the session, and keep it when it is short."""
        self._kinds[well_formed(kind)] += 1
        if len(self._lines) < _MAX_KEPT and len(to_json(line)) <= _MAX_LINE:
            self._lines.append(clean_value(line))

    def is_repeat(self, mark: str, place: str, file: str = "") -> bool:
        """Tell whether a line stands there a second time, as where a session was resumed."""
        first = self._seen.setdefault((file, mark), place)
        if first != place:
            self._repeated[place] = first
        return first != place

    def first_prompt(self, text: str) -> None:
        """Take what the person said first for a title."""
        self._prompt = self._prompt or text

    def first_task(self, text: str) -> None:
        """Take what a sub-agent was asked for as one, should its file stand alone."""
        self._task = self._task or text

    def finish(self, facts: Mapping[str, Any]) -> list[SpanRecord]:
        """Return all spans, with what is known of the session on its root."""
        below = {span.parent_id for span in self.spans if span.facts.node_type == "llm_call"}
        task = "" if self.root.span_id in below else self._task
        title = (self.title or self._prompt or task).strip().partition("\n")[0]
        self.root.name = well_formed(title[:_MAX_NAME] or self.agent)
        self.root.facts.metadata["gen_ai.conversation.id"] = self.session_id or None
        whole = {"agent": self.agent, **facts, "title": title, _KINDS: dict(self._kinds)}
        whole |= {_LINES: self._lines, TOTALS: self.totals, REPEATED: self._repeated}
        self.root.shared = {key: value for key, value in clean_values(whole).items() if value}
        _keep_order([span for span in self.spans if span.span_id not in self._holders])
        self._spread_times()
        self._spread_waits()
        for span in self.spans:
            _clean(span)
        return self.spans

    def _spread_times(self) -> None:
        """Let turns, sub-agents and the session last as long as what is in them."""
        by_id = {span.span_id: span for span in self.spans}
        for span in self.spans:
            above: SpanRecord | None = span
            while above is not None:
                above = by_id.get(above.parent_id)
                if above is not None and above.span_id in self._holders:
                    _cover(above, span)
        for span in self._holders.values():
            span.end = span.end or span.start

    def _spread_waits(self) -> None:
        """Say of the whole how long it waited for the person: in steps, and between turns."""
        by_id = {span.span_id: span for span in self.spans}
        waits: dict[str | None, float] = {}
        for span in self.spans:
            waited, above = span.facts.metadata.get(WAITED), by_id.get(span.parent_id)
            while waited and above is not None:
                waits[above.span_id] = waits.get(above.span_id, 0.0) + waited
                above = by_id.get(above.parent_id)
        last: datetime | None = None
        for span in self._holders.values():
            if span.parent_id == self.root.span_id and span.facts.node_type == NodeType.CUSTOM:
                gap = (span.start - last).total_seconds() if span.start and last else 0.0
                waits[self.root.span_id] = waits.get(self.root.span_id, 0.0) + max(0.0, gap * 1_000)
                last = span.end or last
        for span in self._holders.values():
            if waits.get(span.span_id):
                span.facts.metadata[WAITED] = round(waits[span.span_id], 3)


def _keep_order(spans: list[SpanRecord]) -> None:
    """Let steps without a time stand where their file has them, between those that have one."""
    moment = next((span.start or span.end for span in spans if span.start or span.end), None)
    for span in spans:
        if span.start is None and moment is not None:
            span.start = moment
            add_note(span, "its start is not known; it stands in the order of its file")
        moment = span.end or span.start


def _cover(holder: SpanRecord, span: SpanRecord) -> None:
    moments = [moment for moment in (holder.start, span.start, span.end) if moment]
    holder.start = min(moments, default=None)
    moments = [moment for moment in (holder.end, span.start, span.end) if moment]
    holder.end = max(moments, default=None)


def _clean(span: SpanRecord) -> None:
    facts = span.facts
    span.name = well_formed(span.name)
    facts.input_data = clean_values(facts.input_data)
    facts.output_data = clean_values(facts.output_data)
    facts.annotations = [well_formed(text) for text in facts.annotations]
    given = {key: value for key, value in facts.metadata.items() if value is not None}
    facts.metadata = clean_values(given)
    if span.start and span.end and span.end < span.start:
        span.start = span.end  # a clock that was set back
    if facts.node_type == NodeType.TOOL_CALL and span.status is None and span.end is None:
        add_note(span, "it has no result")
        span.status = NodeStatus.INTERRUPTED


class Thread:
    """One agent's talk. What is told of it becomes spans below its turns."""

    def __init__(self, session: Session, top: SpanRecord, *, has_turns: bool) -> None:
        self.session = session
        self.top = top
        self.turn: SpanRecord | None = None
        self.calls = 0
        self._has_turns = has_turns
        self._turns = 0
        self._prompts = 0  # of this turn
        self._waiting: list[dict[str, Any]] = []  # messages for the next model call
        self._carried = 0
        self._ready: datetime | None = None  # when the next model call can begin
        self._feeding: list[SpanRecord] = []  # tools whose results it will read
        self._model = ""

    @property
    def place(self) -> SpanRecord:
        """The turn, or where there is none the whole talk."""
        return self.turn or self.top

    def begin_turn(self, key: str, moment: datetime | None) -> SpanRecord | None:
        """Open a turn before its prompt is known."""
        if self._has_turns:
            self._turns += 1
            name = f"turn {self._turns}"
            self.turn = self.session.open(f"turn/{key}", name, NodeType.CUSTOM, self.top)
            self.turn.start = moment
            self._prompts = 0
        return self.turn

    def prompt(
        self, content: Any, moment: datetime | None, key: str, *, joins: bool = False
    ) -> None:
        """Take what the person said: it opens a turn, unless it joins the one that is open."""
        self.say({"role": "user", "content": content}, moment)
        text = _plain(content)
        if not self._has_turns:
            self.top.facts.input_data.setdefault("prompt", text)
            self.session.first_task(text)
            self.top.start = self.top.start or moment
            return
        if self.turn is None or not joins:
            self.begin_turn(key, moment)
        if self.turn is not None and not self._prompts:
            self.turn.facts.input_data["prompt"] = text
        self._prompts += 1
        self.session.first_prompt(text)
        asked = self.session.add(f"prompt/{key}", "user", NodeType.HUMAN_INPUT, self.place, moment)
        asked.end = moment
        asked.facts.output_data = {"content": content}

    def say(self, message: dict[str, Any], moment: datetime | None) -> None:
        """Take a message that the next model call is sent: context, which no person wrote."""
        self._waiting.append(message)
        self._ready = moment or self._ready

    def call(self, key: str, model: str, begun: datetime | None = None) -> SpanRecord:
        """Open a model call, sent all that was said since the one before."""
        start = self._ready or begun
        if begun is not None and start is not None and start > begun:
            start = begun
        span = self.session.add(
            f"call/{key}", model or "model", NodeType.LLM_CALL, self.place, start
        )
        span.facts.input_data = {"messages": self._waiting} if self._waiting else {}
        span.facts.metadata[CARRIED] = self._carried
        if model:
            span.facts.metadata["gen_ai.request.model"] = model
        if self._model and model and model != self._model:
            span.facts.annotations.append(f"model changed from {self._model} to {model}")
        self._model = model or self._model
        for tool in self._feeding:
            _flow(tool, span)
        self._carried += len(self._waiting) + 1
        self._waiting, self._feeding = [], []
        self.calls += 1
        return span

    def answer(self, call: SpanRecord, message: dict[str, Any], end: datetime | None) -> None:
        """Close a model call with what it said."""
        call.facts.output_data = {"message": message}
        call.status = call.status or NodeStatus.COMPLETED
        call.end = end
        call.start = call.start or end
        self._ready = end or self._ready

    def tool(
        self,
        call: SpanRecord | None,
        call_id: str,
        name: str,
        arguments: Any,
        moment: datetime | None,
    ) -> SpanRecord:
        """Add a tool call, which `result` ends."""
        key = f"tool/{call_id or len(self.session.spans)}"
        span = self.session.add(key, name or "tool", NodeType.TOOL_CALL, self.place, moment)
        given = {} if arguments is None else {"arguments": arguments}
        span.facts.input_data = arguments if isinstance(arguments, dict) else given
        span.facts.metadata["gen_ai.tool.call.id"] = call_id or None
        if call is not None:
            _flow(call, span)
        if call_id:
            self.session.tools.setdefault(call_id, span)
        return span

    def result(
        self,
        call_id: str,
        content: Any,
        moment: datetime | None,
        *,
        failed: bool = False,
        exit_code: int | None = None,
    ) -> SpanRecord:
        """End the tool call of this id; one whose asking is not in the file is added."""
        span = self.session.tools.get(call_id)
        if span is None:
            span = self.tool(None, call_id, "", None, moment)
        self.say({"role": "tool", "tool_call_id": call_id, "content": content}, moment)
        end_tool(span, content, moment, failed=failed, exit_code=exit_code)
        self.feed(span)
        return span

    def feed(self, tool: SpanRecord) -> None:
        """Let the next model call read what a tool has answered."""
        self._feeding.append(tool)

    def event(self, name: str, moment: datetime | None, key: str) -> SpanRecord:
        """Add what happened at one moment: a compaction, a resume, a failed request."""
        span = self.session.add(f"event/{key}", name, NodeType.CUSTOM, self.place, moment)
        span.end = moment
        return span

    def carry(self, count: int) -> None:
        """Begin with a history that was told elsewhere."""
        self._carried += count

    def forget(self) -> None:
        """Begin anew with an empty history, as after a compaction."""
        self._carried, self._feeding = 0, []

    def interrupt(self, reason: str) -> None:
        """End the turn where somebody stopped it."""
        place = self.place
        place.status = NodeStatus.INTERRUPTED
        if reason:
            place.facts.annotations.append(reason)

    def end_turn(self) -> None:
        """Let what follows stand beside the turn, not in it."""
        self.turn = None
        self._prompts = 0


def end_tool(
    span: SpanRecord,
    content: Any,
    moment: datetime | None,
    *,
    failed: bool = False,
    exit_code: int | None = None,
) -> None:
    """Give a tool call its result; a program that ended with another code than 0 has failed."""
    span.facts.output_data = {"content": content}
    span.end = moment or span.end
    if exit_code is not None:
        span.facts.output_data["exit_code"] = exit_code
    if failed or exit_code:
        add_failure(span, _plain(content) or (f"exit code {exit_code}" if exit_code else "failed"))
    else:
        span.status = span.status or NodeStatus.COMPLETED


def _flow(source: SpanRecord, target: SpanRecord) -> None:
    edge = {"logtracer.edge.type": EdgeType.DATA_FLOW.value}
    target.links.append(SpanLink(target.trace_id, source.span_id, edge))


def _plain(content: Any) -> str:
    """Return the text of a message's content, whether it is a text or a list of parts."""
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "\n".join(text for text in texts if isinstance(text, str)) or text_of(content)
    return text_of(content)


def assistant_message(
    texts: Iterable[str], thoughts: Iterable[str], calls: Iterable[tuple[str, str, Any]]
) -> dict[str, Any]:
    """Return what a model said: its text, apart from it what it thought, and what it asked for."""
    said = [{"type": "text", "text": text} for text in texts if text]
    thought = [{"type": "reasoning", "content": text} for text in thoughts if text]
    content: Any = [*thought, *said] if thought or len(said) > 1 else ""
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if not content and said:
        message["content"] = said[0]["text"]
    asked = [
        {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for call_id, name, arguments in calls
    ]
    return message | ({"tool_calls": asked} if asked else {})
