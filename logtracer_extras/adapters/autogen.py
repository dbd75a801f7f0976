"""Record what AutoGen's agents and teams do (autogen-agentchat 0.7).

    from logtracer_extras.adapters import autogen, openai

    autogen.install()
    openai.install()        # the model calls come from the model's SDK

Teams, agents and tools are nodes; within a team each turn of an agent is one.
"""

from __future__ import annotations

import functools
from typing import Any

from logtracer import Span

from ._calls import Call, keep_nothing, watch_calls
from ._installing import Adapter
from ._reading import read

_TEAMS = "autogen_agentchat.teams._group_chat"


def _describe_run(product: Any, *args: Any, **kwargs: Any) -> Call:
    name = read(product, "name") or type(product).__name__
    facts = {"gen_ai.agent.name": name, "autogen.class": type(product).__name__}
    return Call(str(name), "sub_agent", {"task": _text_of(kwargs.get("task"))}, facts)


def _describe_turn(container: Any, *args: Any, **kwargs: Any) -> Call | None:
    agent = read(container, "_agent")
    name = read(agent, "name")
    if hasattr(agent, "run_stream") and not hasattr(agent, "on_messages_stream"):
        return None  # a team within a team records itself
    return Call(str(name), "sub_agent", facts={"gen_ai.agent.name": name})


def _describe_tool(tool: Any, arguments: Any, *args: Any, **kwargs: Any) -> Call:
    facts = {"gen_ai.tool.call.id": kwargs.get("call_id")}
    return Call(str(tool.name), "tool_call", {"arguments": arguments}, facts)


def _finish_run(span: Span, result: Any) -> None:
    messages = read(result, "messages")
    if messages:
        span.output(result=_text_of(messages[-1]))
        span.metadata(messages=len(messages))
    if read(result, "stop_reason"):
        span.metadata(stop_reason=read(result, "stop_reason"))


def _finish_tool(span: Span, result: Any) -> None:
    """Record what a tool returned; of an agent or a team that is one, what it said last."""
    messages = read(result, "messages")
    span.output(result=_text_of(messages[-1]) if messages else result)


def _text_of(task: Any) -> Any:
    """Return what a task or a message says."""
    if isinstance(task, (list, tuple)):
        return [_text_of(message) for message in task]
    content = read(task, "content")
    return task if content is None else {"source": read(task, "source"), "content": content}


def _connect(adapter: Adapter) -> None:
    agents = adapter.load("autogen_agentchat.agents").BaseChatAgent
    team = adapter.load(f"{_TEAMS}._base_group_chat").BaseGroupChat
    container = adapter.load(f"{_TEAMS}._chat_agent_container").ChatAgentContainer
    tool = adapter.load("autogen_core.tools").BaseTool
    watch = functools.partial(watch_calls, adapter)
    watch(team, "run_stream", _describe_run, _finish_run)
    watch(agents, "run", _describe_run, _finish_run)
    watch(agents, "run_stream", _describe_run, _finish_run)
    watch(container, "handle_request", _describe_turn, keep_nothing)
    watch(tool, "run_json", _describe_tool, _finish_tool)
    streaming = getattr(adapter.load("autogen_core.tools"), "BaseStreamTool", None)
    if streaming is not None:
        watch(streaming, "run_json_stream", _describe_tool, _finish_tool)


ADAPTER = Adapter("autogen", ("autogen_agentchat",), _connect)
install = ADAPTER.install
uninstall = ADAPTER.uninstall
