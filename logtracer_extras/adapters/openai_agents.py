"""Record what the OpenAI Agents SDK does: agents, turns, tools, handoffs, guardrails, calls.

    from logtracer_extras.adapters import openai_agents

    openai_agents.install()

It adds a processor to the SDK's own tracing, so a run with tracing disabled records nothing. The
SDK's default exporter stays as it is. With the openai adapter installed too, a call is one node.
"""

from __future__ import annotations

from typing import Any

from logtracer import Span

from ._installing import Adapter, quietly
from ._model_facts import RESPONSES
from ._reading import read
from ._steps import (
    ModelCall,
    Pauses,
    ReportedError,
    Step,
    add_resolver,
    open_model_call,
    open_step,
    parent_span,
)
from ._usage import usage_facts

_TYPES = {
    "agent": "sub_agent",
    "function": "tool_call",
    "generation": "llm_call",
    "response": "llm_call",
    "handoff": "decision",
    "guardrail": "validation",
    "mcp_tools": "retrieval",
}
_MODEL_CALLS = ("generation", "response")
_PAUSABLE = "function"  # one without an output waits for approval


class _Processor:
    """Turns the SDK's spans into nodes; its methods are called where the work is done."""

    def __init__(self, adapter: Adapter) -> None:
        self.is_active = True
        self._adapter = adapter
        self._steps: dict[str, Step | ModelCall] = {}  # by the id of the SDK's trace or span
        self._pauses = Pauses(adapter, "openai_agents.trace_id")

    def current(self, tracing: Any) -> Span | None:
        """Return the node of the SDK's current span."""
        here = tracing.get_current_span() or tracing.get_current_trace()
        step = self._steps.get(read(here, "span_id") or read(here, "trace_id") or "")
        return None if step is None else step.span

    def on_trace_start(self, trace: Any) -> None:
        """Open the node of a workflow. It is not current: a streamed run outlives this call."""
        with quietly("openai_agents"):
            if not self.is_active:
                return
            step = open_step(self._adapter, trace.name, "sub_agent")
            if step is not None:
                self._steps[trace.trace_id] = step
                facts = {"openai_agents.trace_id": trace.trace_id, "session_id": trace.group_id}
                step.span.metadata(**{name: fact for name, fact in facts.items() if fact})

    def on_trace_end(self, trace: Any) -> None:
        """End the node of a workflow."""
        with quietly("openai_agents"):
            step = self._steps.pop(trace.trace_id, None)
            if step is not None:
                step.end(step.error_in_flight())

    def on_span_start(self, span: Any) -> None:
        """Open the node of a span and make it current for the code that runs inside."""
        with quietly("openai_agents"):
            if not self.is_active:
                return
            above = self._steps.get(span.parent_id or "") or self._steps.get(span.trace_id)
            parent = parent_span() if above is None else above.span
            kind = span.span_data.type
            if kind == "task" and above is not None:  # it only repeats the workflow
                self._steps[span.span_id] = Step(above.span, None)
                return
            open_one = open_model_call if kind in _MODEL_CALLS else open_step
            node_type = _TYPES.get(kind, "custom")
            step = open_one(self._adapter, _name_of(span.span_data), node_type, parent)
            if step is not None:
                self._steps[span.span_id] = step
                step.span.__enter__()
                if above is None:  # a paused run goes on: its workflow has ended before
                    step.span.metadata(**{"openai_agents.trace_id": span.trace_id})
                    self._pauses.resume(step.span, span.trace_id)

    def on_span_end(self, span: Any) -> None:
        """Record what the span holds by now, and end its node."""
        with quietly("openai_agents"):
            step = self._steps.pop(span.span_id, None)
            data = span.span_data
            if step is None or data.type == "task":
                return
            error = _error_of(span.error) or step.error_in_flight()
            try:
                _record(step.span, data)
                if data.type == _PAUSABLE and data.output is None and error is None:
                    reason = f"{data.name} waits for approval"
                    self._pauses.pause(step.span, span.trace_id, reason)
            finally:
                step.end(error)

    def shutdown(self) -> None:
        """Do nothing: what is open ends with its spans."""

    def force_flush(self) -> None:
        """Do nothing: nothing is buffered here."""


def _name_of(data: Any) -> str:
    if data.type == "turn":
        return f"turn {data.turn}"
    if data.type == "handoff":
        return f"handoff from {data.from_agent}"
    if data.type in _MODEL_CALLS:
        return f"chat {read(data, 'model') or ''}".rstrip()
    return str(read(data, "name") or data.type)


def _record(span: Span, data: Any) -> None:
    if data.type == "response":
        _record_response(span, data)
    elif data.type == "generation":
        _record_generation(span, data)
    elif data.type == "function":
        span.input(arguments=data.input)
        if data.output is not None:
            span.output(result=data.output)
    elif data.type == "handoff":
        span.output(to_agent=data.to_agent)
    elif data.type == "guardrail":
        span.output(triggered=data.triggered)
    elif data.type == "agent":
        span.metadata(tools=data.tools, handoffs=data.handoffs, output_type=data.output_type)


def _record_response(span: Span, data: Any) -> None:
    response = data.response
    if data.input is not None:
        body = {"input": data.input, "instructions": read(response, "instructions")}
        span.input(**RESPONSES.read_input(body))
    if response is not None:
        answer = RESPONSES.answer(response)
        span.output(**answer.output)
        facts = {"gen_ai.operation.name": "chat", "gen_ai.request.model": read(response, "model")}
        span.metadata(**facts, **answer.facts)


def _record_generation(span: Span, data: Any) -> None:
    facts = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": data.model,
        **usage_facts(data.usage),
    }
    span.metadata(**{name: fact for name, fact in facts.items() if fact is not None})
    if data.input is not None:
        span.input(messages=list(data.input))
    if data.output:
        messages = list(data.output)
        known = {"message": messages[0]} if len(messages) == 1 else {"messages": messages}
        span.output(**known)


def _error_of(error: Any) -> ReportedError | None:
    if not error:
        return None
    detail = read(error, "data", "error")
    return ReportedError(": ".join(str(part) for part in (read(error, "message"), detail) if part))


def _connect(adapter: Adapter) -> None:
    tracing = adapter.load("agents.tracing")
    processor = _Processor(adapter)
    tracing.add_trace_processor(processor)
    add_resolver(adapter, lambda: processor.current(tracing))

    def remove() -> None:
        processor.is_active = False
        # There is no public way to take out one processor and leave the others.
        multi = getattr(tracing.get_trace_provider(), "_multi_processor", None)
        known = getattr(multi, "_processors", None)
        if multi is not None and known is not None:
            multi.set_processors([other for other in known if other is not processor])

    adapter.on_uninstall(remove)


ADAPTER = Adapter("openai_agents", ("agents",), _connect)
install = ADAPTER.install
uninstall = ADAPTER.uninstall
