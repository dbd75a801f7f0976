"""Record what a Dify application did, from the events that its server streams to the client.

    from logtracer_extras.adapters import dify

    dify.install()                      # watches the streamed answers of dify-client, or:
    for line in dify.watch(lines):      # any iterable of events, or of the lines that hold them
        ...

Dify runs in a server of its own, so this is all that can be seen from outside: the workflow, its
nodes with their iterations and loops, agent thoughts, and usage. Answers that are not streamed
tell only their end and are left to the http adapter.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from logtracer import NodeStatus, Span

from ._installing import Adapter, Patch, quietly
from ._reading import read
from ._steps import ReportedError, Step, note_ids, open_step, parent_span
from ._usage import usage_facts

T = TypeVar("T")

_TYPES = {
    "llm": "llm_call",
    "tool": "tool_call",
    "http-request": "tool_call",
    "code": "transformation",
    "template-transform": "transformation",
    "knowledge-retrieval": "retrieval",
    "if-else": "decision",
    "question-classifier": "decision",
    "agent": "sub_agent",
}
_STARTS = ("node_started", "iteration_started", "loop_started")
_ENDS = ("node_finished", "iteration_completed", "loop_completed")
_STOPPED = ("stopped", "paused")


def watch(lines: Iterable[T]) -> Iterator[T]:
    """Yield the events, or the lines that hold them, and record what they tell."""
    events = _Events(ADAPTER)
    error: BaseException | None = None
    try:
        for line in lines:
            with quietly("dify"):
                events.take(_parse(line))
            yield line
    except BaseException as problem:
        error = problem
        raise
    finally:
        with quietly("dify"):
            events.close(error)


def _parse(line: Any) -> dict[str, Any]:
    """Return the event a line holds; empty for pings and blank lines."""
    if isinstance(line, dict):
        return line
    text = line.decode("utf-8") if isinstance(line, bytes) else str(line)
    if not text.startswith("data:"):
        return {}
    event = json.loads(text[len("data:") :])
    return event if isinstance(event, dict) else {}


class _Events:
    """Turns the events of one answer into nodes."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self._parent = parent_span()
        self._run: Step | None = None
        self._steps: dict[str, Step] = {}  # by the id of a node's run
        self._boxes: dict[str, Span] = {}  # iterations and loops, by the id of their node
        self._answer: list[str] = []

    def take(self, event: dict[str, Any]) -> None:
        """Take one event; unknown ones are passed over."""
        kind = event.get("event")
        data = event.get("data") or {}
        if kind == "workflow_started":
            self._start_run(event, "workflow", data.get("inputs"))
        elif kind in _STARTS:
            self._start_node(str(kind), event, data)
        elif kind in _ENDS:
            self._end_node(data)
        elif kind == "workflow_finished" and self._run is not None:
            self._run.span.output(**_known({"outputs": data.get("outputs")}))
            self._note_usage(data)
            self._note_status(self._run.span, data)
            if data.get("error"):
                self.close(ReportedError(str(data["error"])))
        elif kind in ("message", "agent_message"):
            self._start_run(event, "chat", None)
            self._answer.append(str(event.get("answer") or ""))
        elif kind == "agent_thought":
            self._take_thought(event)
        elif kind == "message_end" and self._run is not None:
            self._run.span.metadata(**_known(usage_facts(read(event, "metadata", "usage"))))
        elif kind == "error":
            self._start_run(event, "chat", None)
            self.close(ReportedError(f"{event.get('code')}: {event.get('message')}"))

    def close(self, error: BaseException | None = None) -> None:
        """End what is open: the stream is over, or was left."""
        for step in reversed(self._steps.values()):
            step.end(error)
        self._steps.clear()
        if self._run is not None:
            if self._answer:
                self._run.span.output(answer="".join(self._answer))
            self._run.end(error)
        self._run, self._answer = None, []

    def _start_run(self, event: dict[str, Any], name: str, inputs: Any) -> None:
        if self._run is None:
            self._run = open_step(self._adapter, f"dify {name}", "sub_agent", self._parent)
        if self._run is None:
            return
        if inputs:
            self._run.span.input(inputs=inputs)
        names = ("task_id", "workflow_run_id", "message_id", "conversation_id")
        facts = {f"dify.{name}": event.get(name) for name in names}
        note_ids(self._run.span, **facts)

    def _start_node(self, kind: str, event: dict[str, Any], data: dict[str, Any]) -> None:
        self._start_run(event, "workflow", None)
        if self._run is None:
            return
        box = data.get("iteration_id") or data.get("loop_id")
        parent = self._boxes.get(str(box), self._run.span)
        node_type = str(data.get("node_type") or kind.partition("_")[0])
        name = str(data.get("title") or data.get("node_id") or node_type)
        step = open_step(self._adapter, name, _TYPES.get(node_type, "custom"), parent)
        if step is None:
            return
        self._steps[str(data.get("id"))] = step
        if kind != "node_started" or node_type in ("iteration", "loop"):
            self._boxes[str(data.get("node_id"))] = step.span
        step.span.input(**_known({"inputs": data.get("inputs")}))
        facts = {"node_type": node_type, "predecessor": data.get("predecessor_node_id")}
        step.span.metadata(**_known({f"dify.{name}": fact for name, fact in facts.items()}))

    def _end_node(self, data: dict[str, Any]) -> None:
        step = self._steps.pop(str(data.get("id")), None)
        if step is None:
            return
        step.span.output(**_known({"outputs": data.get("outputs")}))
        step.span.metadata(**_known(usage_facts(read(data, "process_data", "usage"))))
        price = read(data, "execution_metadata", "total_price")
        tokens = read(data, "execution_metadata", "total_tokens")
        step.span.metadata(**_known({"dify.total_tokens": tokens, "dify.total_price": price}))
        self._note_status(step.span, data)
        step.end(ReportedError(str(data["error"])) if data.get("error") else None)

    def _take_thought(self, event: dict[str, Any]) -> None:
        self._start_run(event, "chat", None)
        if self._run is None or not event.get("tool"):
            return
        step = open_step(self._adapter, str(event["tool"]), "tool_call", self._run.span)
        if step is not None:  # it is told when it is over
            step.span.input(arguments=event.get("tool_input"))
            step.span.output(result=event.get("observation"))
            if event.get("thought"):
                step.span.annotate(str(event["thought"]))
            step.end()

    def _note_usage(self, data: dict[str, Any]) -> None:
        facts = {"dify.total_tokens": data.get("total_tokens"), "steps": data.get("total_steps")}
        if self._run is not None:
            self._run.span.metadata(**_known(facts))

    def _note_status(self, span: Span, data: dict[str, Any]) -> None:
        if data.get("status") in _STOPPED:
            stopped = data["status"] == "stopped"
            span.set_status(NodeStatus.CANCELLED if stopped else NodeStatus.PAUSED)


def _known(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: fact for name, fact in facts.items() if fact is not None}


def _make_send(original: Any, patch: Patch) -> Any:
    @functools.wraps(original)
    def send(self: Any, *args: Any, **kwargs: Any) -> Any:
        answer = original(self, *args, **kwargs)
        with quietly("dify"):
            headers = read(answer, "headers") or {}
            if patch.is_active and "event-stream" in headers.get("content-type", ""):
                read_lines = answer.iter_lines
                answer.iter_lines = lambda *a, **k: watch(read_lines(*a, **k))
        return answer

    return send


def _connect(adapter: Adapter) -> None:
    client = adapter.load("dify_client").DifyClient
    adapter.patch(client, "_send_request", _make_send)


ADAPTER = Adapter("dify", ("dify_client",), _connect)
install = ADAPTER.install
uninstall = ADAPTER.uninstall
