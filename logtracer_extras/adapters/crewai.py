"""Record what CrewAI's crews and flows do (crewai 1.15).

    from logtracer_extras.adapters import crewai

    crewai.install()

It listens where the event bus numbers each event, because the bus hands its events to listeners
in other threads, later. With an SDK's adapter installed too, a model call is one node.
"""

from __future__ import annotations

import functools
from typing import Any

from logtracer import Span

from ._installing import Adapter, Patch, quietly
from ._reading import read
from ._steps import (
    ModelCall,
    Pauses,
    ReportedError,
    Step,
    open_model_call,
    open_step,
    parent_span,
)
from ._usage import usage_facts

_TYPES = {
    "crew_kickoff": "sub_agent",
    "flow": "sub_agent",
    "agent_execution": "sub_agent",
    "lite_agent_execution": "sub_agent",
    "llm_call": "llm_call",
    "tool_usage": "tool_call",
    "mcp_tool_execution": "tool_call",
    "memory_query": "retrieval",
    "memory_retrieval": "retrieval",
    "knowledge_query": "retrieval",
    "knowledge_retrieval": "retrieval",
    "llm_guardrail": "validation",
}
_NAMES = ("tool_name", "method_name", "flow_name", "crew_name", "name")
_ENDS = ("_completed", "_finished", "_failed", "_error", "_errored", "_paused")
# The flows by which the product runs an agent and keeps its memory: they say nothing new.
_INNER = {"AgentExecutor", "EncodingFlow", "RecallFlow"}
_INPUTS = ("inputs", "params", "query", "value")
_OUTPUTS = ("output", "result", "results", "memory_content")


class _Events:
    """Turns started events into nodes, and ends them with the events that end those."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self._pauses = Pauses(adapter, "crewai.flow_id")
        self._steps: dict[str, Step | ModelCall] = {}  # by the id of the started event
        self._borrowed: set[str] = set()  # ids whose step is their parent's
        self._told: dict[str, tuple[str, int]] = {}  # by the same: what started, and of whom
        self._started_by: dict[str, str] = {}  # ids of started events, by that of the model call

    def take(self, source: Any, event: Any) -> None:
        """Take one event, numbered, of the crew, flow or whatever sent it."""
        kind = event.type
        if kind.endswith("_started"):
            what = kind.rpartition("_")[0]
            self._open(event, what)
            if event.event_id in self._steps:
                self._told[event.event_id] = (what, id(source))
                self._resume(source, event)
        elif kind.endswith(_ENDS):
            self._end(event, kind, self._start_of(source, event))

    def _resume(self, source: Any, event: Any) -> None:
        pending = read(source, "pending_feedback") if event.type == "flow_started" else None
        if pending is not None:
            self._pauses.resume(self._steps[event.event_id].span, pending.flow_id)

    def _open(self, event: Any, kind: str) -> None:
        if kind == "agent_logs":
            return
        above = self._steps.get(event.parent_event_id or "")
        if above is not None and _INNER & {read(event, "flow_name"), read(event, "name")}:
            self._steps[event.event_id] = above
            self._borrowed.add(event.event_id)
            return
        parent = parent_span() if above is None else above.span
        node_type = _TYPES.get(kind, "custom")
        open_one = open_model_call if node_type == "llm_call" else open_step
        step = open_one(self._adapter, _name_of(event, kind), node_type, parent)
        if step is None:
            return
        self._steps[event.event_id] = step
        if read(event, "call_id"):
            self._started_by[event.call_id] = event.event_id
        step.span.__enter__()
        _record_start(step.span, event, node_type)

    def _start_of(self, source: Any, event: Any) -> str:
        """Return the id of the event that started what ends.

        A failed model call is told twice. From the second time on the product names wrong starts,
        those of what stands above.
        """
        call_id = read(event, "call_id")
        if call_id:
            return self._started_by.pop(call_id, "")
        named = event.started_event_id or ""
        what = event.type.rpartition("_")[0]
        if named in self._told and self._told[named][0] == what:
            return named
        told = (what, id(source))
        return next(
            (start for start in reversed([*self._told]) if self._told.get(start) == told), ""
        )

    def _end(self, event: Any, kind: str, started: str) -> None:
        step = self._steps.pop(started, None)
        self._told.pop(started, None)
        if step is None or started in self._borrowed:
            self._borrowed.discard(started)
            return
        error = None
        try:
            if kind.endswith(("_failed", "_error", "_errored")):
                error = ReportedError(str(read(event, "error")))
            _record_end(step, event)
            if kind == "method_execution_paused":
                self._pauses.pause(step.span, event.flow_id, event.message)
        finally:
            step.end(error)


def _name_of(event: Any, kind: str) -> str:
    if kind == "llm_call":
        return f"chat {read(event, 'model') or ''}".rstrip()
    if kind == "agent_execution":
        return str(read(event, "agent", "role") or read(event, "agent_role") or kind).strip()
    if kind == "lite_agent_execution":
        return str(read(event, "agent_info", "role") or kind).strip()
    if kind == "task":
        return "task"
    return str(next((value for value in (read(event, name) for name in _NAMES) if value), kind))


def _record_start(span: Span, event: Any, node_type: str) -> None:
    if node_type == "llm_call":
        messages = read(event, "messages")
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        span.input(messages=messages)
        span.metadata(
            **{"gen_ai.operation.name": "chat", "gen_ai.request.model": read(event, "model")}
        )
    elif node_type == "tool_call":
        span.input(arguments=read(event, "tool_args"))
    elif read(event, "task", "description"):
        span.input(task=read(event, "task", "description"))
    else:
        given = {name: read(event, name) for name in _INPUTS}
        span.input(**{name: value for name, value in given.items() if value})


def _record_end(step: Step | ModelCall, event: Any) -> None:
    span = step.span
    response = read(event, "response")
    if response is not None:
        span.output(message=_message(response))
    for name in _OUTPUTS:
        value = read(event, name)
        if value is not None:
            span.output(result=read(value, "raw") or value)
    facts = usage_facts(read(event, "usage"))
    reason = read(event, "finish_reason")
    facts["gen_ai.response.finish_reasons"] = [reason] if reason else None
    if isinstance(step, ModelCall):
        step.complete(facts)


def _message(response: Any) -> dict[str, Any]:
    """Return what a model answered: a text, or the tools it calls, as a chat message."""
    if isinstance(response, list) and all(read(call, "function") for call in response):
        return {"role": "assistant", "content": None, "tool_calls": response}
    return {"role": "assistant", "content": response}


def _make_prepare(adapter: Adapter, original: Any, patch: Patch) -> Any:
    events = _Events(adapter)

    def prepare(self: Any, source: Any, event: Any) -> Any:
        prepared = original(self, source, event)
        if patch.is_active:
            with quietly("crewai"):
                events.take(source, event)
        return prepared

    return prepare


def _connect(adapter: Adapter) -> None:
    bus = adapter.load("crewai.events.event_bus").CrewAIEventsBus
    adapter.patch(bus, "_prepare_event", functools.partial(_make_prepare, adapter))


ADAPTER = Adapter("crewai", ("crewai",), _connect)
install = ADAPTER.install
uninstall = ADAPTER.uninstall
