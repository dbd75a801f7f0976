"""Record what OpenAI's Swarm does (openai-swarm 0.1).

    from logtracer_extras.adapters import openai, swarm

    swarm.install()
    openai.install()        # the model calls come from the SDK

A run is a node; below it are the turns of its agents and the functions they call. A function
that returns an agent is a handoff.
"""

from __future__ import annotations

import functools
from typing import Any

from logtracer import Span

from ._calls import Call, argument, keep_nothing, watch_calls
from ._installing import Adapter, Patch, quietly
from ._reading import read
from ._steps import Step, open_step


def _describe_run(swarm: Any, *args: Any, **kwargs: Any) -> Call:
    agent = kwargs.get("agent", args[0] if args else None)
    messages = kwargs.get("messages", args[1] if len(args) > 1 else None)
    return Call("swarm", "sub_agent", {"messages": messages}, {"first_agent": read(agent, "name")})


def _describe_turn(swarm: Any, *args: Any, **kwargs: Any) -> Call:
    name = read(kwargs.get("agent", args[0] if args else None), "name")
    return Call(str(name), "sub_agent", facts={"gen_ai.agent.name": name})


def _is_streamed(swarm: Any, *args: Any, **kwargs: Any) -> bool:
    return bool(kwargs.get("stream", args[4] if len(args) > 4 else False))


def _finish_run(span: Span, result: Any) -> None:
    response = read(result, "response") or result  # the last item of a stream holds it
    messages = read(response, "messages")
    if messages:
        known = {name: value for name, value in messages[-1].items() if value is not None}
        span.output(message=known)
        span.metadata(last_agent=read(response, "agent", "name"), messages=len(messages))


class _Function:
    """A function of an agent, recorded; the product looks at its name and its code."""

    def __init__(self, adapter: Adapter, function: Any) -> None:
        functools.update_wrapper(self, function)
        self.__code__ = function.__code__
        self._adapter = adapter
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        step = self._begin(kwargs)
        if step is None:
            return self._function(*args, **kwargs)
        try:
            result = self._function(*args, **kwargs)
        except BaseException as error:
            step.end(error)
            raise
        with quietly("swarm"):
            _record_result(step.span, result)
        step.end()
        return result

    def _begin(self, arguments: dict[str, Any]) -> Step | None:
        step = None
        with quietly("swarm"):
            step = open_step(self._adapter, self._function.__name__, "tool_call")
            if step is not None:
                step.span.__enter__()
                step.span.input(arguments=arguments)
        return step  # recorded badly or well: what is open must be ended


def _record_result(span: Span, result: Any) -> None:
    agent = result if type(result).__name__ == "Agent" else read(result, "agent")
    if agent is not None:
        span.metadata(handoff_to=read(agent, "name"))
    value = read(result, "value")
    span.output(result=read(agent, "name") if value is None and agent is not None else result)


def _make_handle_tool_calls(adapter: Adapter, original: Any, patch: Patch) -> Any:
    def handle_tool_calls(self: Any, *args: Any, **kwargs: Any) -> Any:
        if patch.is_active:
            with quietly("swarm"):
                functions = argument(original, "functions", (self, *args), kwargs)
                recorded = [_Function(adapter, function) for function in functions]
                if "functions" in kwargs:
                    kwargs = {**kwargs, "functions": recorded}
                else:
                    args = (args[0], recorded, *args[2:])
        return original(self, *args, **kwargs)

    return handle_tool_calls


def _connect(adapter: Adapter) -> None:
    swarm = adapter.load("swarm.core").Swarm
    watch_calls(adapter, swarm, "run", _describe_run, _finish_run, _is_streamed)
    watch_calls(adapter, swarm, "get_chat_completion", _describe_turn, keep_nothing)
    adapter.patch(swarm, "handle_tool_calls", functools.partial(_make_handle_tool_calls, adapter))


ADAPTER = Adapter("swarm", ("swarm",), _connect)
install = ADAPTER.install
uninstall = ADAPTER.uninstall
