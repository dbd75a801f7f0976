"""From what was said, asked and answered to the steps of a run.

Every format of messages reads its own into `Said`, one for each message; `Conversation` makes the
nodes: a model call for what a model said, a tool call for each tool it asked, paired with what the
tool answered, and a step for each person's word. A model call's input is what was new since the
call before it: the whole history in each of them would be a square of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from logtracer import EdgeType, NodeStatus, NodeType

from ..conventions.reading import Facts
from ._spans import SpanLink, SpanRecord, add_failure
from ._values import SPAN_DIGITS, TRACE_DIGITS, clean_value, clean_values, hashed_id, text_of

__all__ = ["CARRIED", "Call", "Conversation", "Result", "Said", "run_of"]

_CALL_ID = "gen_ai.tool.call.id"
CARRIED = "logtracer.messages.carried"  # how many messages of a call's input are not repeated


@dataclass(slots=True)
class Call:
    """What a model asked of a tool."""

    name: str
    arguments: Any = None
    id: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Result:
    """What a tool answered; an error of None is none."""

    id: str = ""
    name: str = ""
    output: dict[str, Any] = field(default_factory=dict)
    error: Any = None
    start: datetime | None = None
    end: datetime | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Said:
    """One message, or one that holds several results of tools and a person's word."""

    role: str
    message: dict[str, Any]
    calls: list[Call] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    is_more_than_results: bool = True
    name: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    start: datetime | None = None
    end: datetime | None = None
    error: Any = None


def run_of(
    name: str, source: str, metadata: dict[str, Any] | None = None
) -> tuple[SpanRecord, Conversation]:
    """Return the root of a run that is told in one document, and the talk below it."""
    trace_id = hashed_id(source, TRACE_DIGITS)
    facts = Facts("trace", metadata=clean_values(metadata or {}))
    root = SpanRecord(trace_id, text_of(name), facts, trace_id[:SPAN_DIGITS])
    return root, Conversation(trace_id, root.span_id)


class Conversation:
    """The steps of a run below one span, in the order in which they were said."""

    def __init__(self, trace_id: str, parent_id: str | None, key: str = "message") -> None:
        self.spans: list[SpanRecord] = []
        self._trace_id = trace_id
        self._parent_id = parent_id
        self._key = key
        self._asked: dict[str, SpanRecord] = {}  # calls of tools by their ids
        self._waiting: dict[str, deque[SpanRecord]] = {}  # by the tool's name, and all under ""
        self._last: SpanRecord | None = None  # the last step that is no call of a tool
        self._tools: list[SpanRecord] = []  # those since then
        self._new: list[Any] = []  # messages since the last model call
        self._count = 0
        self._made = 0
        self._moment: datetime | None = None

    def add(self, said: Said) -> SpanRecord | None:
        """Add a message; return the step of who said it, None when it only answers for tools."""
        if said.role == "assistant":
            step: SpanRecord | None = self._add_model(said)
        else:
            for result in said.results:
                self._answer(result, said)
            step = self._add_other(said) if said.is_more_than_results else None
            self._new.append(clean_value(said.message))
        self._count += 1
        moments = (said.end, said.start)
        self._moment = next((moment for moment in moments if moment is not None), self._moment)
        return step

    def extend(self, messages: Iterable[Said]) -> list[SpanRecord]:
        """Add messages and return all steps so far."""
        for said in messages:
            self.add(said)
        return self.spans

    def remove(self, span: SpanRecord) -> None:
        """Take a step out that nobody made: its tools follow what it followed."""
        if self._last is span:
            self._last = None
        for tool in self._tools:
            tool.links = [*span.links]
        at = next(at for at in reversed(range(len(self.spans))) if self.spans[at] is span)
        del self.spans[at]

    def close(self, root: SpanRecord) -> Iterator[SpanRecord]:
        """Give the root the time of its steps; return it and them."""
        starts = [span.start for span in self.spans if span.start is not None]
        ends = [span.end for span in self.spans if span.end is not None]
        root.start = root.start or min(starts, default=None)
        root.end = root.end or max(starts + ends, default=None)
        if root.status is None and root.start is not None:
            root.status = NodeStatus.COMPLETED
        moment = root.start
        for span in self.spans:  # one without a time stays where it was said
            span.order = moment = span.start or moment
            if span.status != NodeStatus.PENDING:  # nobody says how long: an open end is for ever
                span.end = span.end or span.start
        yield root
        yield from self.spans

    def _add_model(self, said: Said) -> SpanRecord:
        facts = Facts(NodeType.LLM_CALL, output_data={"message": clean_value(said.message)})
        facts.metadata = clean_values(said.metadata)
        carried = self._count - len(self._new)
        if self._new:
            facts.input_data = {"messages": self._new}
        if carried > 0:
            facts.metadata[CARRIED] = carried
        self._new = []
        span = self._new_span(said.name or "assistant", facts)
        span.start = said.start or (self._moment if said.end else None)
        span.end = said.end
        if span.end is not None and span.start is not None and span.start > span.end:
            span.start = span.end
        span.status = NodeStatus.COMPLETED
        if said.error is not None:
            add_failure(span, said.error)
        self._last, self._tools = span, []
        for call in said.calls:
            self._ask(call, span)
        for result in said.results:  # the provider runs some tools itself
            self._answer(result, said)
        return span

    def _ask(self, call: Call, model: SpanRecord) -> None:
        data = call.arguments if isinstance(call.arguments, dict) else {}
        if call.arguments not in (None, "", {}) and not data:
            data = {"arguments": call.arguments}
        facts = Facts(NodeType.TOOL_CALL, clean_values(data), metadata=clean_values(call.metadata))
        if call.id:
            facts.metadata[_CALL_ID] = call.id
        span = self._new_tool(call.name, facts)
        span.start = model.end or model.start
        span.status = NodeStatus.PENDING
        if call.id:
            self._asked[call.id] = span
        for name in ("", span.name):
            self._waiting.setdefault(name, deque()).append(span)

    def _answer(self, result: Result, said: Said) -> None:
        span = self._span_answered(result)
        span.facts.output_data = clean_values(result.output)
        span.facts.metadata.update(clean_values(result.metadata))
        span.end = result.end or said.end or said.start
        span.start = result.start or span.start or (span.end and self._moment) or span.end
        if span.start is not None and span.end is not None and span.start > span.end:
            span.start = span.end
        span.status = NodeStatus.COMPLETED
        if result.error is not None:
            add_failure(span, result.error)

    def _span_answered(self, result: Result) -> SpanRecord:
        """Return the step that a result is of: by its id, else the first one of its name."""
        asked = self._asked.get(result.id) if result.id else self._first_waiting(result.name)
        if asked is not None and asked.status == NodeStatus.PENDING:
            return asked
        facts = Facts(NodeType.TOOL_CALL)
        if result.id:
            facts.metadata[_CALL_ID] = result.id
        if asked is not None:  # answered before: a second answer is a step of its own
            facts.input_data = dict(asked.facts.input_data)
        return self._new_tool(result.name or ("" if asked is None else asked.name), facts)

    def _first_waiting(self, name: str) -> SpanRecord | None:
        waiting = self._waiting.get(name, deque())
        while waiting and waiting[0].status != NodeStatus.PENDING:
            waiting.popleft()
        return waiting[0] if waiting else None

    def _add_other(self, said: Said) -> SpanRecord:
        kind = NodeType.HUMAN_INPUT if said.role == "user" else NodeType.CUSTOM
        kept = {key: value for key, value in said.message.items() if key != "role"}
        facts = Facts(kind, output_data=clean_values(kept), metadata=clean_values(said.metadata))
        span = self._new_span(said.name or said.role or "message", facts)
        span.start, span.end = said.start or said.end, said.end or said.start
        span.status = NodeStatus.COMPLETED
        if said.error is not None:
            add_failure(span, said.error)
        self._last, self._tools = span, []
        return span

    def _new_tool(self, name: str, facts: Facts) -> SpanRecord:
        """Make a step for a tool, which follows who asked it and not the tools beside it."""
        beside, self._tools = self._tools, []
        span = self._new_span(name or "tool", facts)
        self._tools = beside
        beside.append(span)
        return span

    def _new_span(self, name: str, facts: Facts) -> SpanRecord:
        """Make a step that follows the tools before it, or else the step before it."""
        before = self._tools or [step for step in (self._last,) if step is not None]
        span_id = hashed_id(f"{self._trace_id}/{self._key}/{self._made}", SPAN_DIGITS)
        self._made += 1
        span = SpanRecord(self._trace_id, text_of(name), facts, span_id, self._parent_id)
        for step in before:
            edge = {"logtracer.edge.type": EdgeType.DATA_FLOW.value}
            span.links.append(SpanLink(self._trace_id, step.span_id, edge))
        self.spans.append(span)
        return span
