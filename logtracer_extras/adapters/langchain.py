"""Record what LangChain and LangGraph do: graphs, nodes, chains, model calls, tools, retrievers.

    from logtracer_extras.adapters import langchain

    langchain.install()

It is one callback handler, registered in the way the product offers for tracing, so every thread
and task has it. With an SDK's adapter installed too, a model call is one node.
"""

from __future__ import annotations

import contextvars
import time
from typing import Any

from logtracer import EdgeType, NodeStatus, Span

from ._installing import Adapter, quietly
from ._reading import read
from ._steps import (
    ModelCall,
    Pauses,
    Step,
    add_resolver,
    open_model_call,
    open_step,
    parent_span,
)

_ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant"}
_HIDDEN = "langsmith:hidden"  # the product's own tag for runs that nobody wants to see
_model_run: contextvars.ContextVar[ModelCall | None] = contextvars.ContextVar(
    "logtracer_langchain", default=None
)


class _Run:
    """An open run, and what its end needs to know."""

    def __init__(
        self,
        step: Step | ModelCall,
        above: _Run | None,
        is_ours: bool = True,
        key: object = None,
    ) -> None:
        self.span = step.span
        self.step = step
        self.above = above
        self.is_ours = is_ours  # a hidden run stands for its parent's
        self.key = key
        self.began = time.perf_counter()
        self.has_chunks = False


class _Handler:
    """The callbacks. They are called inline, in the context of the work they tell of."""

    raise_error = False
    run_inline = True

    def start_recording(self, adapter: Adapter) -> None:
        """Begin; the product makes handlers without arguments."""
        self.is_active = True
        self._adapter = adapter
        self._runs: dict[Any, _Run] = {}
        self._failed: dict[object, Span] = {}  # attempts of graph nodes, to link their retries
        self._pauses = Pauses(adapter, "thread_id")

    def span_of(self, run_id: Any) -> Span | None:
        """Return the span of an open run."""
        run = self._runs.get(run_id)
        return None if run is None else run.span

    def _open(
        self,
        run_id: Any,
        parent_run_id: Any,
        name: str,
        node_type: str,
        is_current: bool = True,
        key: object = None,
    ) -> Span | None:
        if not self.is_active:
            return None
        above = self._runs.get(parent_run_id)
        parent = parent_span() if above is None else above.span
        open_one = open_model_call if node_type == "llm_call" else open_step
        step = open_one(self._adapter, name, node_type, parent)
        if step is None:
            return None
        self._runs[run_id] = _Run(step, above, key=key)
        if is_current:
            step.span.__enter__()
        return step.span

    def _close(self, run_id: Any, error: BaseException | None = None, **output: Any) -> None:
        run = self._runs.pop(run_id, None)
        if run is None or not run.is_ours:
            return
        if error is not None:  # a cancelled task says nothing of what was inside it
            inside = [key for key, other in self._runs.items() if other.above is run]
            for key in inside:
                self._close(key, error)
        known = {name: value for name, value in output.items() if value is not None}
        with quietly("langchain"):  # recorded badly or well: what is open must be ended
            run.span.output(**known)
            if _is_a("GraphInterrupt", error):
                self._pause(run, error)
        if _is_a("GraphBubbleUp", error):  # no failure: an interrupt, or a command to the graph
            error = None
        elif error is not None and run.key is not None:
            self._failed[run.key] = run.span
        run.step.end(error)

    # Graphs, their nodes, and chains

    def on_chain_start(
        self,
        serialized: Any,
        inputs: Any,
        *,
        run_id: Any,
        parent_run_id: Any = None,
        tags: Any = None,
        metadata: Any = None,
        name: Any = None,
        **rest: Any,
    ) -> None:
        """Open the node of a graph, a graph's node or a chain.

        The outermost one is not current: as a stream it would outlive this call, and its
        consumer would work inside it.
        """
        with quietly("langchain"):
            above = self._runs.get(parent_run_id)
            if above is not None and (_HIDDEN in (tags or ()) or _repeats(name, above, metadata)):
                self._runs[run_id] = _Run(above.step, above, is_ours=False)
                return
            place = metadata or {}
            key = None
            if above is not None and name == place.get("langgraph_node"):
                key = (parent_run_id, place.get("langgraph_checkpoint_ns"))
            node_type = "sub_agent" if parent_run_id is None else "custom"
            title = str(name or read(serialized, "name") or "chain")
            span = self._open(run_id, parent_run_id, title, node_type, above is not None, key)
            if span is None:
                return
            span.input(value=_plain(inputs))
            names = ("langgraph_node", "langgraph_step", "thread_id")
            span.metadata(**{name: place[name] for name in names if name in place})
            failed = self._failed.pop(key, None)
            if failed is not None:
                failed.link(span, EdgeType.RETRY_OF)
            if above is None and "thread_id" in place:
                self._resume(span, place["thread_id"], read(inputs, "resume") is not None)

    def _resume(self, span: Span, thread_id: str, is_answer: bool) -> None:
        """Join a graph that goes on to where it stopped."""
        if is_answer or thread_id in self._pauses:
            self._pauses.resume(span, thread_id)

    def on_chain_end(self, outputs: Any, *, run_id: Any, **rest: Any) -> None:
        """End the node; a graph that was interrupted returns, and is paused."""
        with quietly("langchain"):
            self._close(run_id, value=_plain(outputs))

    def on_chain_error(self, error: BaseException, *, run_id: Any, **rest: Any) -> None:
        """End the node with its error; an interrupt is a pause."""
        with quietly("langchain"):
            self._close(run_id, error)

    def _pause(self, run: _Run, error: BaseException | None) -> None:
        """Mark a graph's node and all above it: the graph will return as if it had finished."""
        outermost = run
        while outermost.above is not None:
            outermost = outermost.above
        values = [read(interrupt, "value") for interrupt in (error and error.args[0]) or ()]
        run.span.pause("; ".join(map(str, values)) or "interrupt")
        thread_id = outermost.span.node_record.metadata.get("thread_id")
        if thread_id is not None:
            self._pauses.pause(outermost.span, thread_id, "a node was interrupted")

    # Model calls

    def on_chat_model_start(
        self,
        serialized: Any,
        messages: Any,
        *,
        run_id: Any,
        parent_run_id: Any = None,
        **rest: Any,
    ) -> None:
        """Open a chat call."""
        with quietly("langchain"):
            known = [_message(message) for message in messages[0]]
            self._open_model_call(run_id, parent_run_id, {"messages": known}, rest)

    def on_llm_start(
        self,
        serialized: Any,
        prompts: Any,
        *,
        run_id: Any,
        parent_run_id: Any = None,
        **rest: Any,
    ) -> None:
        """Open a text completion."""
        with quietly("langchain"):
            self._open_model_call(run_id, parent_run_id, {"prompts": prompts}, rest)

    def _open_model_call(
        self, run_id: Any, parent_run_id: Any, given: dict[str, Any], rest: dict[str, Any]
    ) -> None:
        parameters = rest.get("invocation_params") or {}
        metadata = rest.get("metadata") or {}
        model = parameters.get("model") or metadata.get("ls_model_name")
        title = f"chat {model or ''}".rstrip()
        span = self._open(run_id, parent_run_id, title, "llm_call", is_current=False)
        if span is None:
            return
        # Not current, as a streamed call outlives this one; only adapters look here.
        step = self._runs[run_id].step
        _model_run.set(step if isinstance(step, ModelCall) else None)
        tools = parameters.get("tools")
        span.input(**given, **({"tools": tools} if tools else {}))
        facts = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": metadata.get("ls_provider"),
            "gen_ai.request.model": model,
            "gen_ai.request.temperature": metadata.get("ls_temperature"),
            "gen_ai.request.max_tokens": metadata.get("ls_max_tokens"),
        }
        span.metadata(**{name: fact for name, fact in facts.items() if fact is not None})

    def on_llm_new_token(self, token: Any, *, run_id: Any, **rest: Any) -> None:
        """Note when the first piece of a stream came."""
        with quietly("langchain"):
            run = self._runs.get(run_id)
            if run is not None and not run.has_chunks:
                run.has_chunks = True
                seconds = time.perf_counter() - run.began
                run.span.metadata(**{"gen_ai.response.time_to_first_chunk": seconds})

    def on_llm_end(self, response: Any, *, run_id: Any, **rest: Any) -> None:
        """End a model call with its answer."""
        with quietly("langchain"):
            _model_run.set(None)
            run = self._runs.get(run_id)
            if run is None:
                return
            generation = response.generations[0][0]
            message = read(generation, "message")
            if message is None:
                self._close(run_id, text=generation.text)
                return
            with quietly("langchain"):
                run.span.metadata(**_answer_facts(message))
            self._close(run_id, message=_message(message))

    def on_llm_error(self, error: BaseException, *, run_id: Any, **rest: Any) -> None:
        """End a model call with its error."""
        with quietly("langchain"):
            _model_run.set(None)
            self._close(run_id, error)

    # Tools and retrievers

    def on_tool_start(
        self,
        serialized: Any,
        input_str: str,
        *,
        run_id: Any,
        parent_run_id: Any = None,
        inputs: Any = None,
        **rest: Any,
    ) -> None:
        """Open a tool call."""
        with quietly("langchain"):
            name = str(rest.get("name") or read(serialized, "name") or "tool")
            span = self._open(run_id, parent_run_id, name, "tool_call")
            if span is not None:
                span.input(arguments=inputs if inputs is not None else input_str)
                if rest.get("tool_call_id"):
                    span.metadata(**{"gen_ai.tool.call.id": rest["tool_call_id"]})

    def on_tool_end(self, output: Any, *, run_id: Any, **rest: Any) -> None:
        """End a tool call; one whose error the product handled is failed all the same."""
        with quietly("langchain"):
            run = self._runs.get(run_id)
            if run is not None and read(output, "status") == "error":
                run.span.set_status(NodeStatus.FAILED)
            self._close(run_id, result=_plain(read(output, "content") or output))

    def on_tool_error(self, error: BaseException, *, run_id: Any, **rest: Any) -> None:
        """End a tool call with its error."""
        with quietly("langchain"):
            self._close(run_id, error)

    def on_retriever_start(
        self, serialized: Any, query: str, *, run_id: Any, parent_run_id: Any = None, **rest: Any
    ) -> None:
        """Open a retrieval."""
        with quietly("langchain"):
            name = str(rest.get("name") or read(serialized, "name") or "retriever")
            span = self._open(run_id, parent_run_id, name, "retrieval")
            if span is not None:
                span.input(query=query)

    def on_retriever_end(self, documents: Any, *, run_id: Any, **rest: Any) -> None:
        """End a retrieval with what it found."""
        with quietly("langchain"):
            found = [
                {
                    "id": read(document, "id"),
                    "content": read(document, "page_content"),
                    "metadata": read(document, "metadata"),
                }
                for document in documents
            ]
            self._close(run_id, documents=found)

    def on_retriever_error(self, error: BaseException, *, run_id: Any, **rest: Any) -> None:
        """End a retrieval with its error."""
        with quietly("langchain"):
            self._close(run_id, error)


def _repeats(name: Any, above: _Run, metadata: Any) -> bool:
    """Tell whether a run is the function inside a graph's node of the same name."""
    return above.key is not None and name == read(metadata, "langgraph_node") == above.span.name


def _is_a(name: str, error: BaseException | None) -> bool:
    return any(base.__name__ == name for base in type(error).__mro__)


def _message(message: Any) -> dict[str, Any]:
    """Return a message of the product as a chat message."""
    kind = read(message, "type")
    known = {"role": _ROLES.get(kind, kind), "content": read(message, "content")}
    calls = [
        {
            "id": read(call, "id"),
            "type": "function",
            "function": {"name": read(call, "name"), "arguments": read(call, "args")},
        }
        for call in read(message, "tool_calls") or ()
    ]
    if calls:
        known["tool_calls"] = calls
    if read(message, "tool_call_id"):
        known["tool_call_id"] = read(message, "tool_call_id")
    return known


def _plain(value: Any) -> Any:
    """Return a graph's state with its messages as chat messages."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "goto") and hasattr(value, "update"):  # what to write, and where to go on
        fields = {name: read(value, name) for name in ("graph", "update", "resume", "goto")}
        return {name: _plain(field) for name, field in fields.items() if field not in (None, ())}
    if hasattr(value, "content") and hasattr(value, "type"):
        return _message(value)
    return value


def _answer_facts(message: Any) -> dict[str, Any]:
    usage = read(message, "usage_metadata")
    about = read(message, "response_metadata")
    reason = read(about, "finish_reason") or read(about, "stop_reason") or read(about, "status")
    facts = {
        "gen_ai.response.id": read(about, "id") or read(message, "id"),
        "gen_ai.response.model": read(about, "model_name"),
        "gen_ai.response.finish_reasons": [reason] if reason else None,
        "gen_ai.usage.input_tokens": read(usage, "input_tokens"),
        "gen_ai.usage.output_tokens": read(usage, "output_tokens"),
        "gen_ai.usage.cache_read.input_tokens": read(usage, "input_token_details", "cache_read"),
        "gen_ai.usage.cache_creation.input_tokens": read(
            usage, "input_token_details", "cache_creation"
        ),
        "gen_ai.usage.reasoning.output_tokens": read(usage, "output_token_details", "reasoning"),
    }
    return {name: fact for name, fact in facts.items() if fact is not None}


def _connect(adapter: Adapter) -> None:
    base = adapter.load("langchain_core.callbacks").BaseCallbackHandler
    tracers = adapter.load("langchain_core.tracers.context")
    config = adapter.load("langchain_core.runnables.config").var_child_runnable_config
    handler: Any = type("LogtracerHandler", (_Handler, base), {})()
    handler.start_recording(adapter)
    # As the variable's default the handler is there in every thread, without any setting up.
    variable = contextvars.ContextVar("logtracer_handler", default=handler)
    tracers.register_configure_hook(variable, True)

    def current() -> Span | None:
        call = _model_run.get()
        if call is not None and call.is_open:
            return call.span
        callbacks = read(config.get(), "callbacks")
        found: Span | None = handler.span_of(read(callbacks, "parent_run_id"))
        return found

    def remove() -> None:
        handler.is_active = False
        hooks = getattr(tracers, "_configure_hooks", [])  # there is no public way to take one out
        hooks[:] = [hook for hook in hooks if hook[0] is not variable]

    add_resolver(adapter, current)
    adapter.on_uninstall(remove)


ADAPTER = Adapter("langchain", ("langchain_core",), _connect)
install = ADAPTER.install
uninstall = ADAPTER.uninstall
