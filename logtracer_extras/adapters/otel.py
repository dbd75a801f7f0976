"""Take the OpenTelemetry spans of the process as nodes: pydantic-ai, MCP, Google ADK and others.

    from logtracer_extras.adapters import otel

    otel.install()
    pydantic_ai.Agent.instrument_all()      # or whatever switches the product's spans on

It takes nobody's place. Where there is a tracer provider, before or after `install`, it adds a span
processor to it, and what that provider exports it goes on to export. Where there is none, which
needs opentelemetry-api alone, spans are nodes and no more. A model call that another adapter
records too is one node, and a span that is current for OpenTelemetry is so for logtracer.
"""

from __future__ import annotations

import contextvars
import itertools
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from logtracer import EdgeType, Span
from logtracer_extras.conventions import (
    add_message_events,
    facts_of,
    is_message_event,
    parse_json,
    to_json,
    type_of,
)

from . import autogen, mcp
from ._installing import Adapter, Patch, quietly, report
from ._messages import as_chat
from ._otel_spans import SpanMethods, Told, context_of, problem_of
from ._reading import first, read
from ._steps import (
    ModelCall,
    ReportedError,
    Step,
    add_resolver,
    has_call_below,
    is_model_call,
    open_model_call,
    open_step,
    parent_span,
    reported,
    request_in_progress,
    trace_of,
)
from ._tracer_parts import is_explicit, leave, link_by_id, make_current, rename, set_start

_ALL_MESSAGES = "pydantic_ai.all_messages"
_NAMES = {
    "tool_call": ("gen_ai.tool.name", "tool.name"),
    "sub_agent": ("gen_ai.agent.name", "agent.name"),
}
_NAMED_AFTER = ("execute_tool", "invoke_agent")  # before the name of the tool or agent
_TYPE_OF_FIRST_WORD = {
    "chat": "llm_call",
    "generate_content": "llm_call",
    "text_completion": "llm_call",
    "embeddings": "retrieval",
}  # of names like "chat MODEL"; many spans say no more before they end
_USAGE = "gen_ai.usage."
_TOKENS = (f"{_USAGE}input_tokens", f"{_USAGE}output_tokens")
_REASONS = "gen_ai.response.finish_reasons"
_DETAILS = "gen_ai.client.inference.operation.details"
_NO_STEPS = ("execute_tool (merged)",)  # Google ADK's: it repeats the tools that ran in parallel
_MAX_IDS = 10_000  # spans that have ended, to which others may link


class _Recorded:
    """A span that is a node, whoever made the span."""

    def __init__(self, bridge: _Bridge, step: Step | ModelCall, above: _Recorded | None) -> None:
        self.span = step.span
        self._bridge = bridge
        self._step = step
        self._above = above
        self._usage_below: tuple[Any, ...] | None = None
        self._is_open = True
        self.is_timed = False
        self.span_id = 0

    @property
    def node(self) -> Span | None:
        """The node, None when it has ended."""
        return self.span if self._is_open else None

    def close(self, told: Told) -> None:
        """Record what the span tells and end the node."""
        if not self._is_open:
            return
        self._is_open = False
        error: BaseException | None = None
        with quietly("otel"):
            error = _error_of(told, self._step.error_in_flight())
        with quietly("otel"):
            self._record(told)
        with quietly("otel"):  # recorded badly or well: what is open must be ended
            self._step.end(error, told.end_time)

    def _record(self, told: Told) -> None:
        self._take_events(told)
        attributes = told.attributes
        _forget_answers(attributes)
        node_type = self._settle_type(told)
        self._tell_usage_once(attributes)
        rename(self.span, _title_of(told.name, node_type, attributes), node_type)
        facts = facts_of(attributes, told.name)
        _make_reasons_plain(facts.metadata)
        for add, values in (
            (self.span.input, as_chat(facts.input_data, is_output=False)),
            (self.span.output, as_chat(facts.output_data, is_output=True)),
        ):
            if values:
                add(**values)
        if isinstance(self._step, ModelCall):
            self._step.complete(facts.metadata)
        elif facts.metadata:
            self.span.metadata(**facts.metadata)
        self._bridge.link(self.span, told.links)

    def _take_events(self, told: Told) -> None:
        """Take messages as messages, and note what else happened."""
        said: list[dict[str, Any]] = []
        for event in told.events:
            about = dict(read(event, "attributes") or {})
            if is_message_event(event.name):
                said.append({"event.name": event.name, **about})
            elif event.name == _DETAILS:
                told.attributes.update({**about, **told.attributes})
            elif event.name != "exception" or told.problem is None:
                self.span.annotate(f"{event.name}: {about}" if about else event.name)
        if type_of(told.attributes, told.name) == "tool_call":
            _take_tool_events(told.attributes, said)
        else:
            add_message_events(told.attributes, said)

    def _settle_type(self, told: Told) -> str:
        """Return what the span turns out to be, now that it has told everything."""
        node_type = _type_of(told.attributes, told.name)
        is_second = node_type == "llm_call" and not isinstance(self._step, ModelCall)
        if not (is_second and has_call_below(self.span)):
            return node_type
        # An SDK's adapter has recorded the call below, before this span said that it is the same.
        self.span.metadata(**{"logtracer.plumbing": True})
        _forget_usage(told.attributes)
        return "custom"

    def _tell_usage_once(self, attributes: dict[str, Any]) -> None:
        """Leave tokens to the model call right below: Google ADK's older format repeats them."""
        usage = tuple(map(attributes.get, _TOKENS))
        if usage == (None, None):
            return
        if usage == self._usage_below:
            _forget_usage(attributes)
        elif isinstance(self._step, ModelCall) and self._above is not None:
            self._above._usage_below = usage


def _type_of(attributes: dict[str, Any], name: str) -> str:
    node_type = str(type_of(attributes, name))
    words = name.split(" ")
    if node_type == "custom" and len(words) <= 2:
        return _TYPE_OF_FIRST_WORD.get(words[0], node_type)
    return node_type


def _title_of(name: str, node_type: str, attributes: dict[str, Any]) -> str:
    """Return the name of the tool or agent, if the span tells it by now."""
    operation, _, target = name.partition(" ")
    if target and operation in _NAMED_AFTER:
        return target
    names = _NAMES.get(node_type, ())
    return next((str(attributes[key]) for key in names if attributes.get(key)), name)


def _forget_usage(attributes: dict[str, Any]) -> None:
    for key in [key for key in attributes if key.startswith((_USAGE, "llm.token_count."))]:
        del attributes[key]


def _forget_answers(attributes: dict[str, Any]) -> None:
    """Leave of a whole conversation what it began with: the model calls tell the rest."""
    messages = parse_json(attributes.get(_ALL_MESSAGES))
    if isinstance(messages, list):
        asked = itertools.takewhile(lambda message: read(message, "role") != "assistant", messages)
        attributes[_ALL_MESSAGES] = to_json(list(asked))


def _make_reasons_plain(facts: dict[str, Any]) -> None:
    """Turn reasons that are JSON text, or the text of an enumeration, into a list of words."""
    reasons = parse_json(facts.get(_REASONS))
    if isinstance(reasons, str):
        reasons = [reasons]
    if isinstance(reasons, (list, tuple)):
        facts[_REASONS] = [
            text.rpartition(".")[2].lower() if text.startswith("FinishReason.") else text
            for text in map(str, reasons)
        ]


def _take_tool_events(attributes: dict[str, Any], said: list[dict[str, Any]]) -> None:
    """Read what a tool was given and what it returned, where messages tell it."""
    for event in said:
        content = first(event.get("content"), event.get("message"))
        is_result = event["event.name"] == "gen_ai.choice"
        name = "gen_ai.tool.call.result" if is_result else "gen_ai.tool.call.arguments"
        if content is not None:
            attributes.setdefault(name, content)


def _error_of(told: Told, in_flight: BaseException | None) -> BaseException | None:
    """Return what a span failed with: the exception itself, or else what the span says of it.

    What is no Exception, such as a cancellation, is passed over by OpenTelemetry.
    """
    if in_flight is not None and not isinstance(in_flight, Exception):
        return in_flight
    if told.problem is None:
        return None
    if told.error is not None or in_flight is not None:
        return told.error or in_flight
    for event in reversed(told.events):
        if event.name == "exception":
            kind = str(event.attributes.get("exception.type") or "").rpartition(".")[2]
            text = str(event.attributes.get("exception.message") or told.problem)
            return reported(kind, text)
    return ReportedError(told.problem or str(told.attributes.get("error.type") or "error"))


def _is_told_by_autogen(name: str, attributes: dict[str, Any]) -> bool:
    """Tell whether a span is one of AutoGen's, whose own adapter records the same steps."""
    is_its = name.startswith("autogen ") or attributes.get("gen_ai.system") == "autogen"
    return is_its and autogen.ADAPTER.is_installed


def _is_told_by_mcp(nearest: Span | None, name: str, attributes: dict[str, Any]) -> bool:
    """Tell whether a span repeats the call of a tool that mcp's own adapter records."""
    if not mcp.is_call(nearest) or nearest is None:
        return False
    node_type = _type_of(attributes, name)
    is_same = node_type == "tool_call" and _title_of(name, node_type, attributes) == nearest.name
    return is_same or name.startswith("MCP send ")


class _Bridge:
    """What turns spans into nodes while the adapter is installed."""

    def __init__(self, adapter: Adapter, api: Any) -> None:
        self.is_active = True
        self.api = api
        self._adapter = adapter
        self._span_class: Any = type("LogtracerSpan", (SpanMethods, api.Span), {})
        self._open: weakref.WeakValueDictionary[int, _Recorded] = weakref.WeakValueDictionary()
        self._ids: dict[int, tuple[str, str]] = {}  # of spans: trace and node

    def current(self) -> Span | None:
        """Return the node of OpenTelemetry's current span."""
        recorded = self.recorded(self.api.get_current_span())
        return None if recorded is None else recorded.node

    def recorded(self, span: Any) -> _Recorded | None:
        """Return what is recorded of an open span, or of the one nearest above it that is."""
        return self._open.get(span.get_span_context().span_id)

    def know(self, span: Any, recorded: _Recorded, is_own: bool = True) -> None:
        """Remember which node a span is, or is below."""
        span_id = span.get_span_context().span_id
        self._open[span_id] = recorded
        if is_own:
            recorded.span_id = span_id
            self._ids[span_id] = (trace_of(recorded.span), recorded.span.id)
            if len(self._ids) > _MAX_IDS:
                self._ids.pop(next(iter(self._ids)), None)

    def link(self, span: Span, links: list[Any]) -> None:
        """Link the nodes that led to a span; what leads elsewhere is noted."""
        foreign = []
        for one in links:
            trace_id, node_id = self._ids.get(one.context.span_id, ("", ""))
            if trace_id == trace_of(span):
                link_by_id(span, node_id, EdgeType.DATA_FLOW, "link")
            else:
                ids = {"trace_id": one.context.trace_id, "span_id": one.context.span_id}
                shown = {name: format(number, "x") for name, number in ids.items()}
                foreign.append({**shown, **dict(one.attributes or {})})
        if foreign:
            span.metadata(**{"otel.links": foreign})

    def begin(
        self,
        name: str,
        above: Any,
        is_explicit_parent: bool,
        attributes: dict[str, Any],
        start_time: int | None,
    ) -> _Recorded | None:
        """Open the node of a span; None when it is not to be one."""
        if not self.is_active or name in _NO_STEPS or _is_told_by_autogen(name, attributes):
            return None
        if _is_told_by_mcp(self._nearest(above, is_explicit_parent), name, attributes):
            return None
        above_it = self.recorded(above)
        parent = above_it.node if above_it is not None and is_explicit_parent else None
        step = self._open_step(name, parent, attributes)
        if step is None:
            return None
        recorded = _Recorded(self, step, above_it)
        if start_time is not None:
            recorded.is_timed = True
            set_start(step.span, start_time)
        return recorded

    def _nearest(self, above: Any, is_explicit_parent: bool) -> Span | None:
        """Return the open node that a span is below."""
        recorded = self.recorded(above) if is_explicit_parent else None
        return parent_span() if recorded is None else recorded.node

    def stand_in(self, above: Any, is_explicit_parent: bool) -> _Recorded | None:
        """Return what a span that is no node stands for: the node that it is below."""
        nearest = self._nearest(above, is_explicit_parent) if self.is_active else None
        return None if nearest is None else _Recorded(self, Step(nearest, None), None)

    def _open_step(
        self, name: str, parent: Span | None, attributes: dict[str, Any]
    ) -> Step | ModelCall | None:
        node_type = _type_of(attributes, name)
        if node_type != "llm_call":
            title = _title_of(name, node_type, attributes)
            return open_step(self._adapter, title, node_type, parent)
        if request_in_progress() is not None or is_model_call(parent or parent_span()):
            return None  # an SDK tells of a call that is recorded already
        return open_model_call(self._adapter, name, "llm_call", parent)

    # Programs without a provider

    def start(self, tracer: Any, name: str, context: Any = None, *args: Any, **given: Any) -> Any:
        """Start a span of our own; one that is no node passes its parent's ids on."""
        given.update(zip(("kind", "attributes", "links", "start_time"), args))
        above = self.api.get_current_span(context)
        with quietly("otel"):
            attributes = dict(given.get("attributes") or {})
            start_time = given.get("start_time")
            recorded = self.begin(name, above, context is not None, attributes, start_time)
            if recorded is not None:
                span = self._span_class()
                scope = read(tracer, "_instrumenting_module_name")
                ids = above.get_span_context()
                span.begin(self.api, recorded, name, above=ids, scope=scope, **given)
                self.know(span, recorded)
                return span
            return self._silent(above, context is not None)
        return self.api.NonRecordingSpan(above.get_span_context())

    def _silent(self, above: Any, is_explicit_parent: bool) -> Any:
        """Return a span that records nothing, and passes on the ids of what it is below."""
        context = above.get_span_context()
        recorded = self.recorded(above) or self.stand_in(above, is_explicit_parent)
        if recorded is not None and not context.is_valid:
            context = context_of(self.api, recorded.span)
        span = self.api.NonRecordingSpan(context)
        if recorded is not None:
            span.logtracer = recorded  # as long as the span lives, it can be looked up
            self.know(span, recorded, is_own=False)
        return span

    def has_provider(self) -> bool:
        """Tell whether the program has a tracer provider by now."""
        return not isinstance(self.api.get_tracer_provider(), self.api.ProxyTracerProvider)


class _Processor:
    """Tells the bridge of a provider's spans; it has the methods of an SDK's span processor."""

    def __init__(self, bridge: _Bridge) -> None:
        self._bridge = bridge
        self._alive: weakref.WeakKeyDictionary[Any, _Recorded] = weakref.WeakKeyDictionary()

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Open the node of a span."""
        with quietly("otel"):
            bridge = self._bridge
            above = bridge.api.get_current_span(parent_context)
            start_time = span.start_time if is_explicit(span.start_time) else None
            attributes = dict(span.attributes or {})
            recorded = bridge.begin(
                span.name, above, parent_context is not None, attributes, start_time
            )
            has_parent = parent_context is not None
            nearest = recorded or bridge.recorded(above) or bridge.stand_in(above, has_parent)
            if nearest is not None:
                self._alive[span] = nearest
                bridge.know(span, nearest, is_own=recorded is not None)

    def _on_ending(self, span: Any) -> None:
        """Do nothing yet: other processors may still add to the span."""

    def on_end(self, span: Any) -> None:
        """End the node."""
        with quietly("otel"):
            recorded = self._bridge.recorded(span)
            if recorded is not None and recorded.span_id == span.get_span_context().span_id:
                recorded.close(_told_by(span, recorded.is_timed or is_explicit(span.end_time)))

    def shutdown(self) -> None:
        """Do nothing: what is open ends with its spans."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Do nothing: nothing is buffered here."""
        return True


def _told_by(span: Any, is_timed: bool) -> Told:
    """Return what an SDK's span tells."""
    return Told(
        span.name,
        dict(span.attributes or {}),
        list(span.events),
        list(span.links),
        None,
        problem_of(span.status),
        span.end_time if is_timed else None,
    )


# ---- Where spans become current: OpenTelemetry's context ---------------------------------------

# What has been attached here: token, node, what was current before, and the same for the one below.
_attached: contextvars.ContextVar[Any] = contextvars.ContextVar("logtracer_otel", default=None)


def _make_attach(bridge: _Bridge, original: Any, patch: Patch) -> Any:
    def attach(self: Any, context: Any) -> Any:
        node = None
        if patch.is_active:
            with quietly("otel"):
                node = _newly_current(bridge, context)
        token = original(self, context)
        if node is not None:
            with quietly("otel"):
                _attached.set((token, node, make_current(node), _attached.get()))
        return token

    return attach


def _newly_current(bridge: _Bridge, context: Any) -> Span | None:
    """Return the node of the span that a context makes current, if another one was before."""
    span = bridge.api.get_current_span(context)
    if span is bridge.api.get_current_span():
        return None
    recorded = bridge.recorded(span)
    is_own = recorded is not None and recorded.span_id == span.get_span_context().span_id
    if recorded is None or not is_own or hasattr(span, "logtracer"):
        return None  # what only stands for a node must not hide what runs below that node
    return recorded.node


def _make_detach(original: Any, patch: Patch) -> Any:
    def detach(self: Any, token: Any) -> Any:
        with quietly("otel"):
            entry = _attached.get()
            while entry is not None and entry[0] is not token:
                entry = entry[3]
            if entry is not None:
                leave(entry[1], entry[2])
                _attached.set(entry[3])
        return original(self, token)

    return detach


# ---- Who makes spans: a provider, before or after us, or nobody ----------------------------------


class _Providers:
    """The tracer providers that have our processor."""

    def __init__(self, adapter: Adapter, bridge: _Bridge) -> None:
        self._adapter = adapter
        self._bridge = bridge
        self._joined: list[Any] = []

    def join(self, provider: Any) -> None:
        """Add our processor to a provider, once."""
        if any(known is provider for known in self._joined):
            return
        add = getattr(provider, "add_span_processor", None)
        if add is None:
            name = type(provider).__name__
            problem = f"{name} takes no span processors; its spans are not recorded"
            report("otel provider", TypeError(problem))
            return
        processor = _Processor(self._bridge)
        add(processor)
        self._joined.append(provider)
        self._adapter.on_uninstall(lambda: _take_out(provider, processor))

    def make_set(self, original: Any, patch: Patch) -> Any:
        """Join the provider that the program sets later."""

        def set_provider(tracer_provider: Any, *args: Any, **kwargs: Any) -> Any:
            if patch.is_active:
                with quietly("otel"):
                    self.join(tracer_provider)
            return original(tracer_provider, *args, **kwargs)

        return set_provider


def _take_out(provider: Any, processor: _Processor) -> None:
    """Take a processor out; there is no public way, and one that stays does nothing."""
    multi = getattr(provider, "_active_span_processor", None)
    known = getattr(multi, "_span_processors", None)
    if multi is not None and isinstance(known, tuple):
        multi._span_processors = tuple(one for one in known if one is not processor)


def _make_start(bridge: _Bridge, original: Any, patch: Patch) -> Any:
    def start_span(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not patch.is_active or bridge.has_provider():
            return original(self, *args, **kwargs)
        return bridge.start(self, *args, **kwargs)

    return start_span


_HOW = ("record_exception", "set_status_on_exception", "end_on_exit")  # last of the arguments


def _make_start_as_current(bridge: _Bridge, manager: Any, original: Any, patch: Patch) -> Any:
    def start_as_current_span(self: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        if not patch.is_active or bridge.has_provider():
            with original(self, *args, **kwargs) as span:
                yield span
            return
        how = {"end_on_exit": True, **dict(zip(_HOW, args[6:]))}
        how.update({name: kwargs.pop(name) for name in _HOW if name in kwargs})
        with bridge.api.use_span(bridge.start(self, *args[:6], **kwargs), **how) as span:
            yield span

    return manager(start_as_current_span)


def _manager_of(adapter: Adapter) -> Any:
    """Return what OpenTelemetry makes of a generator: it decorates coroutines too."""
    try:
        return adapter.load("opentelemetry.util._decorator")._agnosticcontextmanager
    except (ImportError, AttributeError):
        return contextmanager


def _connect(adapter: Adapter) -> None:
    api = adapter.load("opentelemetry.trace")
    bridge = _Bridge(adapter, api)
    adapter.on_uninstall(lambda: setattr(bridge, "is_active", False))
    add_resolver(adapter, bridge.current)
    context = adapter.load("opentelemetry.context.contextvars_context").ContextVarsRuntimeContext
    adapter.patch(context, "attach", lambda *of: _make_attach(bridge, *of))
    adapter.patch(context, "detach", _make_detach)
    proxy = api.ProxyTracer
    manager = _manager_of(adapter)
    adapter.patch(proxy, "start_span", lambda *of: _make_start(bridge, *of))
    adapter.patch(
        proxy, "start_as_current_span", lambda *of: _make_start_as_current(bridge, manager, *of)
    )
    providers = _Providers(adapter, bridge)
    # The inner one also hears of what the public one's earlier importers set.
    is_inner = hasattr(api, "_set_tracer_provider")
    name = "_set_tracer_provider" if is_inner else "set_tracer_provider"
    adapter.patch(api, name, providers.make_set)
    if bridge.has_provider():
        providers.join(api.get_tracer_provider())


ADAPTER = Adapter("otel", ("opentelemetry.trace",), _connect)
install = ADAPTER.install
uninstall = ADAPTER.uninstall
