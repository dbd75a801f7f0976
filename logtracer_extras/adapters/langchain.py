"""Record what LangChain and LangGraph do: graphs, nodes, chains, model calls, tools, retrievers.

    from logtracer_extras.adapters import langchain

    langchain.install()

It is one callback handler, registered in the way the product offers for tracing, so every thread
and task has it. With an SDK's adapter installed too, a model call is one node.
"""

from __future__ import annotations

import contextvars
import importlib
import inspect
import time
from typing import Any

from logtracer import EdgeType, NodeStatus, Span

from ._installing import Adapter, Patch, is_importable, quietly
from ._langchain_reading import (
    answer_facts,
    answer_output,
    generations_of,
    is_agent,
    is_plumbing,
    message_of,
    plain_state,
    starter,
)
from ._langchain_runs import Run, Runs
from ._reading import known, read
from ._steps import (
    ModelCall,
    add_resolver,
    note_ids,
    parent_span,
)

_HIDDEN = "langsmith:hidden"  # the product's own tag for runs that nobody wants to see
_batch: contextvars.ContextVar[tuple[int, Span | None]] = contextvars.ContextVar(
    "logtracer_langchain_batch", default=(0, None)
)  # of a batch of model calls that start one after the other: how many are to come, and where
_model_run: contextvars.ContextVar[ModelCall | None] = contextvars.ContextVar(
    "logtracer_langchain", default=None
)


class _Handler(Runs):
    """The callbacks. They are called inline, in the context of the work they tell of."""

    raise_error = False
    run_inline = True

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
            runnable = starter()
            if above is not None and (_HIDDEN in (tags or ()) or _repeats(name, above, metadata)):
                self._hide(run_id, above, runnable)
                return
            place = metadata or {}
            key = None
            if above is not None and name == place.get("langgraph_node"):
                key = (parent_run_id, place.get("langgraph_checkpoint_ns"))
            node_type = "sub_agent" if is_agent(runnable) else "custom"
            title = str(name or read(serialized, "name") or "chain")
            span = self._open(run_id, parent_run_id, title, node_type, above is not None, key)
            if span is None:
                return
            span.input(value=plain_state(inputs))
            names = ("langgraph_node", "langgraph_step")
            span.metadata(**{name: place[name] for name in names if name in place})
            note_ids(span, thread_id=place.get("thread_id"))
            if is_plumbing(runnable):
                span.metadata(**{"logtracer.plumbing": True})
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
            self._close(run_id, value=plain_state(outputs))

    def on_chain_error(self, error: BaseException, *, run_id: Any, **rest: Any) -> None:
        """End the node with its error; an interrupt is a pause."""
        with quietly("langchain"):
            self._close(run_id, error)

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
            said = [message_of(message) for message in messages[0]]
            self._open_model_call(run_id, parent_run_id, {"messages": said}, rest)

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
        parent = self._parent_of_batch(parent_run_id, rest.get("batch_size") or 1)
        span = self._open(run_id, parent_run_id, title, "llm_call", False, parent=parent)
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
        span.metadata(**known(facts))

    def _parent_of_batch(self, parent_run_id: Any, size: int) -> Span | None:
        """Return what the calls of a batch, which all start before the first ends, are below."""
        if parent_run_id in self._runs:
            return None
        left, parent = _batch.get()
        if left <= 0 or size == 1:
            left, parent = size, parent_span()
        _batch.set((left - 1, parent))
        return parent

    def enter_call(self, run_manager: Any) -> None:
        """Say which of several calls the work that follows is for."""
        run = self._runs.get(read(run_manager, "run_id"))
        if run is not None and isinstance(run.step, ModelCall):
            _model_run.set(run.step)

    def on_llm_new_token(self, token: Any, *, run_id: Any, chunk: Any = None, **rest: Any) -> None:
        """Keep a piece of a stream, in case it never ends, and note when the first one came."""
        with quietly("langchain"):
            run = self._runs.get(run_id)
            if run is None:
                return
            if isinstance(token, str) and token:
                run.pieces.append(token)
            if not run.has_chunks:
                run.has_chunks = True
                seconds = time.perf_counter() - run.began
                run.span.metadata(**{"gen_ai.response.time_to_first_chunk": seconds})

    def on_llm_end(self, response: Any, *, run_id: Any, **rest: Any) -> None:
        """End a model call with its answer, even an empty one."""
        with quietly("langchain"):
            _model_run.set(None)
            self._take_answer(run_id, response)
            output: dict[str, Any] = {}
            with quietly("langchain"):
                output = answer_output(generations_of(response))
            self._close(run_id, **output)

    def _take_answer(self, run_id: Any, response: Any) -> None:
        run = self._runs.get(run_id)
        with quietly("langchain"):
            if run is not None and isinstance(run.step, ModelCall):
                run.step.complete(answer_facts(response))

    def on_llm_error(
        self, error: BaseException, *, run_id: Any, response: Any = None, **rest: Any
    ) -> None:
        """End a model call with its error and what had come by then."""
        with quietly("langchain"):
            _model_run.set(None)
            self._take_answer(run_id, response)
            output: dict[str, Any] = {}
            with quietly("langchain"):
                output = answer_output(generations_of(response))
            self._close(run_id, error, **output)

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
                    note_ids(span, **{"gen_ai.tool.call.id": rest["tool_call_id"]})

    def on_tool_end(self, output: Any, *, run_id: Any, **rest: Any) -> None:
        """End a tool call; one whose error the product handled is failed all the same."""
        with quietly("langchain"):
            run = self._runs.get(run_id)
            if run is not None and read(output, "status") == "error":
                run.span.set_status(NodeStatus.FAILED)
            self._close(run_id, result=plain_state(read(output, "content") or output))

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


def _repeats(name: Any, above: Run, metadata: Any) -> bool:
    """Tell whether a run is the function inside a graph's node of the same name."""
    return above.key is not None and name == read(metadata, "langgraph_node") == above.span.name


def _make_generate(handler: Any, original: Any, patch: Patch) -> Any:
    """Say whose work it is, before it is done in the context of here or in a task of its own."""

    def generate(self: Any, *args: Any, **kwargs: Any) -> Any:
        with quietly("langchain"):
            if patch.is_active:
                handler.enter_call(kwargs.get("run_manager"))
        return original(self, *args, **kwargs)

    async def agenerate(self: Any, *args: Any, **kwargs: Any) -> Any:
        with quietly("langchain"):
            if patch.is_active:
                handler.enter_call(kwargs.get("run_manager"))
        return await original(self, *args, **kwargs)

    return agenerate if inspect.iscoroutinefunction(original) else generate


def _interrupt_class() -> Any:
    """Return the exception of LangGraph that waits for a person, None without LangGraph."""
    if not is_importable("langgraph"):
        return None
    return getattr(importlib.import_module("langgraph.errors"), "GraphInterrupt", None)


def _make_interrupt(handler: Any, original: Any, patch: Patch) -> Any:
    """Let the steps that an interrupt passes through wait, rather than fail with its exception."""

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        with quietly("langchain"):
            if patch.is_active:
                handler.pause_within(self)

    return __init__


def _connect(adapter: Adapter) -> None:
    base = adapter.load("langchain_core.callbacks").BaseCallbackHandler
    tracers = adapter.load("langchain_core.tracers.context")
    config = adapter.load("langchain_core.runnables.config").var_child_runnable_config
    handler: Any = type("LogtracerHandler", (_Handler, base), {})()
    handler.start_recording(adapter)
    # As the variable's default the handler is there in every thread, without any setting up.
    variable = contextvars.ContextVar("logtracer_handler", default=handler)
    tracers.register_configure_hook(variable, True)

    model = adapter.load("langchain_core.language_models.chat_models").BaseChatModel
    for name in ("_generate_with_cache", "_agenerate_with_cache"):
        if hasattr(model, name):  # several calls at once go through it, one by one
            adapter.patch(model, name, lambda *of: _make_generate(handler, *of))
    interrupt = _interrupt_class()
    if interrupt is not None:
        adapter.patch(interrupt, "__init__", lambda *of: _make_interrupt(handler, *of))

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
