"""Record what Agno's agents, teams and workflows do (agno 3).

    from logtracer_extras.adapters import agno, openai

    agno.install()
    openai.install()        # the model calls come from the model's SDK

Runs and tools are nodes. A run that fails returns its error instead of raising it, so its node
is failed by what it returns; one that waits for a person is paused, and has the same
`agno.run_id` as the run that goes on.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from logtracer import NodeStatus, Span

from ._calls import Call, watch_calls
from ._installing import Adapter
from ._model_facts import read
from ._steps import ReportedError

_RUNS = (
    ("agno.agent.agent", "Agent"),
    ("agno.team.team", "Team"),
    ("agno.workflow.workflow", "Workflow"),
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


def _finish_run(span: Span, run: Any) -> BaseException | None:
    content = read(run, "content")
    if content is not None:
        span.output(content=content)
    facts = {name: read(run, name) for name in ("run_id", "session_id", "parent_run_id")}
    span.metadata(**{f"agno.{name}": fact for name, fact in facts.items() if fact})
    status = str(read(run, "status", "value") or "").lower()
    if status == "paused" or "paused" in str(read(run, "event") or "").lower():
        span.set_status(NodeStatus.PAUSED)
    elif status == "cancelled":
        span.set_status(NodeStatus.CANCELLED)
    return ReportedError(str(content)) if status == "error" else None


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
    for module, name in _RUNS:
        runner = getattr(adapter.load(module), name)
        for method in ("run", "continue_run"):
            watch(runner, method, _describe_run, _finish_run, _is_streamed)
        for method in ("arun", "acontinue_run"):
            watch(runner, method, _describe_run, _finish_run, _is_always_later)
    tool = adapter.load("agno.tools.function").FunctionCall
    for method in ("execute", "aexecute"):
        watch(tool, method, _describe_tool, _finish_tool)


ADAPTER = Adapter("agno", ("agno",), _connect)
install = ADAPTER.install
uninstall = ADAPTER.uninstall
