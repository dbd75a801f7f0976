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
from ._model_facts import RESPONSES, message_of_chat, output_of
from ._reading import known, plain, read
from ._steps import (
    ModelCall,
    Pauses,
    ReportedError,
    Step,
    add_resolver,
    note_ids,
    open_model_call,
    open_step,
    parent_span,
)
from ._tracer_parts import rename
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
        self._above: dict[str, str] = {}  # the id of what a span is in, up to its workflow
        self._asked: set[str] = set()  # agents and workflows whose first input is known

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
                ids = {"openai_agents.trace_id": trace.trace_id, "session_id": trace.group_id}
                note_ids(step.span, **ids)

    def on_trace_end(self, trace: Any) -> None:
        """End the node of a workflow."""
        with quietly("openai_agents"):
            step = self._steps.pop(trace.trace_id, None)
            self._asked.discard(trace.trace_id)
            if step is not None:
                step.end(step.error_in_flight())

    def on_span_start(self, span: Any) -> None:
        """Open the node of a span and make it current for the code that runs inside."""
        with quietly("openai_agents"):
            if not self.is_active:
                return
            above = self._steps.get(span.parent_id or "") or self._steps.get(span.trace_id)
            self._above[span.span_id] = span.parent_id or span.trace_id
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
                    note_ids(step.span, **{"openai_agents.trace_id": span.trace_id})
                    self._pauses.resume(step.span, span.trace_id)

    def on_span_end(self, span: Any) -> None:
        """Record what the span holds by now, and end its node."""
        with quietly("openai_agents"):
            step = self._steps.pop(span.span_id, None)
            data = span.span_data
            self._asked.discard(span.span_id)
            above = self._above.pop(span.span_id, "")
            if step is None or data.type == "task":
                return
            error = _error_of(span.error) or step.error_in_flight()
            try:
                given, answer = _record(step, data)
                self._pass_up(above, given, answer)
                if data.type == _PAUSABLE and data.output is None and error is None:
                    reason = f"{data.name} waits for approval"
                    self._pauses.pause(step.span, span.trace_id, reason)
            finally:
                step.end(error)

    def _pass_up(self, above: str, given: dict[str, Any], answer: dict[str, Any]) -> None:
        """Tell the agents and the workflow of a call their first input and last output."""
        while above:
            step = self._steps.get(above)
            is_one = step is not None and step.span.node_type == "sub_agent"
            if step is not None and is_one:
                if given and above not in self._asked:
                    self._asked.add(above)
                    step.span.input(**given)
                if answer:
                    step.span.output(**answer)
            above = self._above.get(above, "")

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


def _record(step: Step | ModelCall, data: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Record what a span holds; of a model call return the messages it was given and its answer."""
    span = step.span
    if data.type in _MODEL_CALLS:
        read_call = _read_response if data.type == "response" else _read_generation
        given, answer, facts = read_call(data)
        _record_call(step, given, answer, facts)
        return {name: given[name] for name in given if name == "messages"}, answer
    if data.type == "function":
        span.input(arguments=data.input)
        if data.output is not None:
            span.output(result=data.output)
    elif data.type == "handoff":
        span.output(to_agent=data.to_agent)
    elif data.type == "guardrail":
        span.output(triggered=data.triggered)
    elif data.type == "agent":
        facts = {"tools": data.tools, "handoffs": data.handoffs, "output_type": data.output_type}
        span.metadata(**known(facts))
    return {}, {}


def _record_call(
    step: Step | ModelCall, given: dict[str, Any], answer: dict[str, Any], facts: dict[str, Any]
) -> None:
    span, model = step.span, facts.get("gen_ai.request.model")
    if given:
        span.input(**given)
    if answer:
        span.output(**answer)
    if isinstance(step, ModelCall):
        step.complete(facts)
    if model and span.name == "chat":  # at its start the SDK did not tell the model
        rename(span, f"chat {model}", span.node_type)


def _read_response(data: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    response = data.response
    given: dict[str, Any] = {}
    if data.input is not None:
        body = {"input": data.input, "instructions": read(response, "instructions")}
        given = RESPONSES.read_input(body)
    if response is None:
        return given, {}, {}
    answer = RESPONSES.answer(response)
    facts = {"gen_ai.operation.name": "chat", "gen_ai.request.model": read(response, "model")}
    return given, answer.output, {**facts, **answer.facts}


def _read_generation(data: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    facts = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": data.model,
        **usage_facts(data.usage),
    }
    given = {} if data.input is None else {"messages": plain(data.input)}
    messages = [message_of_chat(message) for message in data.output or ()]
    return given, output_of(messages), known(facts)


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
