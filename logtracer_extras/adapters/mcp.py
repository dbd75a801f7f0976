"""Record the tools that clients of the Model Context Protocol call (mcp 1.x and 2.x).

    from logtracer_extras.adapters import mcp

    mcp.install()

A call is one `tool_call` node with its arguments and its result, and failed when the server says
so: the client does not raise then. Where a framework records the same call as its tool, it stays
one node. What else a session does (listing tools, reading resources) is told by the otel adapter.
"""

from __future__ import annotations

import weakref
from typing import Any

from logtracer import NodeStatus, Span

from ._installing import Adapter, Patch, quietly
from ._reading import first, plain, read
from ._steps import Step, open_step, parent_span, reported

_calls: weakref.WeakSet[Span] = weakref.WeakSet()


def is_call(span: Span | None) -> bool:
    """Tell whether a span is a tool's call that this adapter records."""
    return span is not None and span in _calls


class _ToolCall:
    """A call that is being recorded: a step of its own, or the framework's."""

    def __init__(self, step: Step | None, span: Span) -> None:
        self._step = step
        self._span = span

    def end(self, result: Any = None, error: BaseException | None = None) -> None:
        """Record what came back and end the step that is ours."""
        with quietly("mcp"):
            problem = self._take(result) if error is None else None
            if self._step is not None:
                self._step.end(error or problem)
            elif problem is not None:
                self._span.set_status(NodeStatus.FAILED)

    def _take(self, result: Any) -> BaseException | None:
        said = [plain(part) for part in read(result, "content") or ()]
        is_text = len(said) == 1 and read(said[0], "type") == "text"
        text = read(said[0], "text") if is_text else None
        structured = first(read(result, "structured_content"), read(result, "structuredContent"))
        value = first(structured, text, said or None)
        if value is not None:
            self._span.output(result=value)
        if not first(read(result, "is_error"), read(result, "isError")):
            return None
        return reported("tool_error", str(text if text is not None else said or "failed"))


def _begin(adapter: Adapter, name: str, arguments: Any) -> _ToolCall | None:
    """Open the node of a call, or join the framework's tool of the same name."""
    with quietly("mcp"):
        parent = parent_span()
        is_joined = parent is not None and (parent.node_type, parent.name) == ("tool_call", name)
        step = None if is_joined else open_step(adapter, name, "tool_call", parent)
        span = parent if step is None else step.span
        if span is None:
            return None
        _calls.add(span)
        call = _ToolCall(step, span)
        with quietly("mcp"):  # recorded badly or well: what is open must be ended
            if arguments is not None:
                span.input(arguments=arguments)
            if step is not None:
                span.__enter__()
                span.metadata(**{"mcp.method.name": "tools/call"})
        return call
    return None


def _make_call_tool(adapter: Adapter, original: Any, patch: Patch) -> Any:
    async def call_tool(self: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        call = None
        if patch.is_active:
            call = _begin(adapter, name, kwargs.get("arguments", args[0] if args else None))
        if call is None:
            return await original(self, name, *args, **kwargs)
        try:
            result = await original(self, name, *args, **kwargs)
        except BaseException as error:
            call.end(error=error)
            raise
        call.end(result)
        return result

    return call_tool


def _connect(adapter: Adapter) -> None:
    session = adapter.load("mcp.client.session").ClientSession
    adapter.patch(session, "call_tool", lambda *of: _make_call_tool(adapter, *of))


ADAPTER = Adapter("mcp", ("mcp",), _connect)
install = ADAPTER.install
uninstall = ADAPTER.uninstall
