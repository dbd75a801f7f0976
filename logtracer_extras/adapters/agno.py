"""Record what Agno's agents, teams and workflows do (agno 3).

    from logtracer_extras.adapters import agno, openai

    agno.install()
    openai.install()        # the model calls come from the model's SDK

Runs, tools and the steps of workflows are nodes. A run that fails returns its error instead of
raising it, so its node is failed by what it returns; one that waits for a person is paused, and
has the same `agno.run_id` as the run that goes on.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from logtracer import NodeStatus, Span

from ._calls import Call, Gathered, watch_calls
from ._installing import Adapter
from ._reading import first, read
from ._steps import Pauses, ReportedError, note_ids

_RUNS = (  # with the name of the events that are pieces of the answer
    ("agno.agent.agent", "Agent", "RunContent"),
    ("agno.team.team", "Team", "TeamRunContent"),
    ("agno.workflow.workflow", "Workflow", "WorkflowRunContent"),
)
_STEPS = (  # of workflows: the type of their nodes is by what they do
    ("agno.workflow.step", "Step", "custom"),
    ("agno.workflow.steps", "Steps", "custom"),
    ("agno.workflow.parallel", "Parallel", "custom"),
    ("agno.workflow.loop", "Loop", "custom"),
    ("agno.workflow.condition", "Condition", "decision"),
    ("agno.workflow.router", "Router", "decision"),
)


def _describe_run(runner: Any, *args: Any, **kwargs: Any) -> Call:
    name = read(runner, "name") or read(runner, "id") or type(runner).__name__
    given = kwargs.get("input", args[0] if args and isinstance(args[0], str) else None)
    facts = {"gen_ai.agent.name": name, "agno.class": type(runner).__name__}
    return Call(str(name), "sub_agent", {"input": given}, facts)


def _is_streamed(runner: Any, *args: Any, stream: Any = None, **kwargs: Any) -> bool:
    return bool(read(runner, "stream") if stream is None else stream)


def _is_always_later(*args: Any, **kwargs: Any) -> bool:
    return True


class _Continuation(Call):
    """A run that goes on after a person has answered."""

    pauses: Pauses
    run_id: str | None

    def record(self, span: Span) -> None:
        """Record what the run was given, and link it to where it stopped."""
        super().record(span)
        if self.run_id:
            self.pauses.resume(span, self.run_id)


def _describe_continuation(pauses: Pauses, runner: Any, *args: Any, **kwargs: Any) -> Call:
    call = _describe_run(runner)
    going_on = _Continuation(call.name, call.node_type, call.given, call.facts)
    going_on.pauses = pauses
    run = kwargs.get("run_response", args[0] if args else None)
    going_on.run_id = kwargs.get("run_id") or read(run, "run_id")
    return going_on


def _piece_of(event_name: str, event: Any) -> str | None:
    """Return the text of an event of the run's own stream; its members' have other names."""
    content = read(event, "content")
    is_own = read(event, "event") == event_name and isinstance(content, str)
    return content if is_own else None


def _finish_run(pauses: Pauses, span: Span, run: Any) -> BaseException | None:
    text = None
    if isinstance(run, Gathered):
        text, run = run.text, run.last
    is_piece = str(read(run, "event") or "").endswith("Content")
    content = text if is_piece and text else read(run, "content")
    if content is not None:
        span.output(content=content)
    facts = {name: read(run, name) for name in ("run_id", "session_id", "parent_run_id")}
    note_ids(span, **{f"agno.{name}": fact for name, fact in facts.items()})
    status = str(read(run, "status", "value") or "").lower()
    event = str(read(run, "event") or "")  # the last of a stream, in place of a status
    if status == "paused" or event.endswith("Paused"):
        pauses.pause(span, str(facts["run_id"]), "the run waits for a person")
    elif status == "cancelled":
        span.set_status(NodeStatus.CANCELLED)
    has_failed = status == "error" or event.endswith("Error")
    return ReportedError(str(content)) if has_failed else None


def _describe_step(node_type: str, step: Any, *args: Any, **kwargs: Any) -> Call:
    name = read(step, "name") or type(step).__name__
    given = kwargs.get("step_input", args[0] if args else None)
    content = first(read(given, "previous_step_content"), read(given, "input"))
    return Call(str(name), node_type, {"input": content}, {"agno.class": type(step).__name__})


def _finish_step(span: Span, output: Any) -> BaseException | None:
    content = read(output, "content")
    if content is not None:
        span.output(content=content)
    return ReportedError(str(read(output, "error"))) if read(output, "success") is False else None


def _describe_tool(call: Any) -> Call:
    facts = {"gen_ai.tool.call.id": call.call_id}
    return Call(str(call.function.name), "tool_call", {"arguments": call.arguments}, facts)


def _finish_tool(span: Span, result: Any) -> BaseException | None:
    value = read(result, "result")
    if isinstance(value, (str, int, float, bool, dict, list)):  # else a generator to be read
        span.output(result=value)
    if read(result, "status") == "failure":
        return ReportedError(str(read(result, "error")))
    return None


def _connect(adapter: Adapter) -> None:
    watch: Callable[..., None] = functools.partial(watch_calls, adapter)
    pauses = Pauses(adapter, "agno.run_id")
    finish = functools.partial(_finish_run, pauses)
    go_on = functools.partial(_describe_continuation, pauses)
    for module, name, event in _RUNS:
        runner = getattr(adapter.load(module), name)
        pieces = functools.partial(_piece_of, event)
        watch(runner, "run", _describe_run, finish, _is_streamed, pieces)
        watch(runner, "arun", _describe_run, finish, _is_always_later, pieces)
        watch(runner, "continue_run", go_on, finish, _is_streamed, pieces)
        watch(runner, "acontinue_run", go_on, finish, _is_always_later, pieces)
    for module, name, node_type in _STEPS:
        step = getattr(adapter.load(module), name)
        describe = functools.partial(_describe_step, node_type)
        for method in ("execute", "aexecute", "execute_stream", "aexecute_stream"):
            watch(step, method, describe, _finish_step)
    tool = adapter.load("agno.tools.function").FunctionCall
    for method in ("execute", "aexecute"):
        watch(tool, method, _describe_tool, _finish_tool)


ADAPTER = Adapter("agno", ("agno",), _connect)
install = ADAPTER.install
uninstall = ADAPTER.uninstall
