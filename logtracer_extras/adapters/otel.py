"""Take the OpenTelemetry spans of the process as nodes: pydantic-ai, MCP, Google ADK and others.

    from logtracer_extras.adapters import otel

    otel.install()
    pydantic_ai.Agent.instrument_all()      # or whatever switches the product's spans on

It needs opentelemetry-api alone, and becomes the process's tracer provider; where there is one
already, it refuses. A model call that another adapter records too is one node. OpenTelemetry
has no way to unset a provider: after `uninstall` it stays, and its spans record nothing.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Iterator
from typing import Any

from logtracer import Span
from logtracer_extras.conventions import facts_of, parse_json, to_json, type_of

from . import autogen
from ._installing import Adapter, quietly
from ._model_facts import read
from ._steps import (
    ModelCall,
    ReportedError,
    Step,
    add_resolver,
    is_model_call,
    open_model_call,
    open_step,
    parent_span,
    request_in_progress,
)

_ALL_MESSAGES = "pydantic_ai.all_messages"
_NAMES = ("gen_ai.tool.name", "gen_ai.agent.name")
_NAMED_AFTER = ("execute_tool", "invoke_agent")  # before the name of the tool or agent
_USAGE = "gen_ai.usage."
_TOKENS = (f"{_USAGE}input_tokens", f"{_USAGE}output_tokens")
_NO_STEPS = ("execute_tool (merged)",)  # Google ADK's: it repeats the tools that ran in parallel


class _SpanMethods:
    """A span of OpenTelemetry's interface that is a node."""

    def record_in(self, api: Any, step: Step | ModelCall, name: str, above: Any) -> None:
        """Begin; the interface is made without arguments."""
        self._api = api
        self._step = step
        self._name = name
        self._above = above
        self._usage_below: tuple[Any, ...] | None = None
        self._attributes: dict[str, Any] = {}
        self._error: BaseException | None = None
        self._is_open = True
        _, trace_id, span_id, _ = step.span.traceparent.split("-")
        self._context = api.SpanContext(
            int(trace_id, 16), int(span_id, 16), False, api.TraceFlags(1)
        )

    @property
    def node(self) -> Span | None:
        """The node, None when it has ended."""
        return self._step.span if self._is_open else None

    def get_span_context(self) -> Any:
        """Return the ids, which are the node's own."""
        return self._context

    def is_recording(self) -> bool:
        """Tell whether the span is open."""
        return self._is_open

    def set_attribute(self, key: str, value: Any) -> None:
        """Keep an attribute for the end."""
        self._attributes[key] = value

    def set_attributes(self, attributes: Any) -> None:
        """Keep attributes for the end."""
        self._attributes.update(attributes or {})

    def update_name(self, name: str) -> None:
        """Keep the new name as a fact: a node has the name it began with."""
        self._attributes["otel.name"] = name

    def add_event(self, name: str, attributes: Any = None, timestamp: Any = None) -> None:
        """Note an event."""
        with quietly("otel"):
            if self._is_open:
                self._step.span.annotate(f"{name}: {dict(attributes)}" if attributes else name)

    def add_link(self, context: Any, attributes: Any = None) -> None:
        """Pass over links: what they lead to is seldom a node."""

    def record_exception(
        self, exception: Any, attributes: Any = None, timestamp: Any = None, escaped: bool = False
    ) -> None:
        """Keep an exception, in case the status says that the span failed."""
        self._error = exception

    def set_status(self, status: Any, description: str | None = None) -> None:
        """Take the status: only an error means anything here."""
        code = read(status, "status_code") or status
        if code is self._api.StatusCode.ERROR:
            text = description or read(status, "description") or self._attributes.get("error.type")
            self._error = self._error or ReportedError(str(text or "error"))
        elif code is self._api.StatusCode.OK:
            self._error = None

    def end(self, end_time: int | None = None) -> None:
        """Record the attributes and end the node."""
        if not self._is_open:
            return
        self._is_open = False
        with quietly("otel"):
            try:
                self._note_cancellation()
                _forget_answers(self._attributes)
                self._tell_usage_once()
                facts = facts_of(self._attributes, self._name)
                span = self._step.span
                for add, values in (
                    (span.input, facts.input_data),
                    (span.output, facts.output_data),
                    (span.metadata, facts.metadata),
                ):
                    if values:
                        add(**values)
            finally:
                self._step.end(self._error)

    def _tell_usage_once(self) -> None:
        """Leave tokens to the model call right below: Google ADK's older format repeats them."""
        usage = tuple(map(self._attributes.get, _TOKENS))
        if usage == (None, None):
            return
        if usage == self._usage_below:
            for key in [key for key in self._attributes if key.startswith(_USAGE)]:
                del self._attributes[key]
        elif isinstance(self._step, ModelCall) and isinstance(self._above, _SpanMethods):
            self._above._usage_below = usage

    def _note_cancellation(self) -> None:
        """Notice what is no Exception, such as a cancellation: use_span passes over it."""
        error = self._step.error_in_flight()
        if not isinstance(error, Exception):
            self._error = self._error or error

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if error is not None and self._is_open:
            self._error = error
        self.end()


def _title_of(name: str, attributes: dict[str, Any]) -> str:
    """Return the name of the tool or agent, if the span tells it by now."""
    operation, _, target = name.partition(" ")
    if target and operation in _NAMED_AFTER:
        return target
    return next((str(attributes[key]) for key in _NAMES if attributes.get(key)), name)


def _forget_answers(attributes: dict[str, Any]) -> None:
    """Leave of a whole conversation what it began with: the model calls tell the rest."""
    messages = parse_json(attributes.get(_ALL_MESSAGES))
    if isinstance(messages, list):
        asked = itertools.takewhile(lambda message: read(message, "role") != "assistant", messages)
        attributes[_ALL_MESSAGES] = to_json(list(asked))


class _TracerMethods:
    """A tracer of OpenTelemetry's interface."""

    def record_for(self, bridge: _Bridge) -> None:
        """Begin; the interface is made without arguments."""
        self._bridge = bridge

    def start_span(self, name: str, context: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Open a span that is not current."""
        attributes = kwargs.get("attributes") or (args[1] if len(args) > 1 else None)
        return self._bridge.start(name, context, dict(attributes or {}))

    @contextlib.contextmanager
    def start_as_current_span(
        self, name: str, context: Any = None, *args: Any, **kwargs: Any
    ) -> Iterator[Any]:
        """Open a span that is current within the block, for OpenTelemetry and for logtracer."""
        wanted = ("record_exception", "set_status_on_exception", "end_on_exit")
        how = {name: kwargs.pop(name) for name in wanted if name in kwargs}
        span = self.start_span(name, context, *args, **kwargs)
        node = read(span, "node")
        if node is not None and _is_called_by_a_proxy():
            _enter(node)
        elif node is not None:
            node.__enter__()
        with self._bridge.api.use_span(span, **{"end_on_exit": True, **how}) as current:
            yield current


def _is_called_by_a_proxy() -> bool:
    """Tell whether the tracer that began this block was made before our provider was there.

    Frames: this one, the tracer's method, contextlib's `__enter__`, and who wants the span.
    """
    caller = sys._getframe(2).f_back
    name = None if caller is None else caller.f_globals.get("__name__")
    return str(name).startswith("opentelemetry.")


def _enter(node: Span) -> None:
    """Enter a node from no generator: the proxy's own would pass for one that its user consumes."""
    node.__enter__()


class _ProviderMethods:
    """A tracer provider of OpenTelemetry's interface."""

    def record_for(self, bridge: _Bridge) -> None:
        """Begin; the interface is made without arguments."""
        self._bridge = bridge

    def get_tracer(self, *args: Any, **kwargs: Any) -> Any:
        """Return the one tracer there is."""
        return self._bridge.tracer


def _is_told_by_autogen(name: str, attributes: dict[str, Any]) -> bool:
    """Tell whether a span is one of AutoGen's, whose own adapter records the same steps."""
    is_its = name.startswith("autogen ") or attributes.get("gen_ai.system") == "autogen"
    return is_its and autogen.ADAPTER.is_installed


class _Bridge:
    """OpenTelemetry's classes with our methods, made when it is imported."""

    def __init__(self, adapter: Adapter, api: Any) -> None:
        self.is_active = True
        self.api = api
        self._adapter = adapter
        self._span_class: Any = type("LogtracerSpan", (_SpanMethods, api.Span), {})
        self.tracer: Any = type("LogtracerTracer", (_TracerMethods, api.Tracer), {})()
        self.provider: Any = type("LogtracerProvider", (_ProviderMethods, api.TracerProvider), {})()
        self.tracer.record_for(self)
        self.provider.record_for(self)

    def current(self) -> Span | None:
        """Return the node of OpenTelemetry's current span."""
        span: Span | None = read(self.api.get_current_span(), "node")
        return span

    def start(self, name: str, context: Any, attributes: dict[str, Any]) -> Any:
        """Open the node of a span; one that is not recorded passes its parent's ids on."""
        above = self.api.get_current_span(context)
        with quietly("otel"):
            step = self._open(
                name, read(above, "node") if context is not None else None, attributes
            )
            if step is not None:
                span = self._span_class()
                span.record_in(self.api, step, name, above)
                span.set_attributes(attributes)
                return span
        return self.api.NonRecordingSpan(above.get_span_context())

    def _open(
        self, name: str, parent: Span | None, attributes: dict[str, Any]
    ) -> Step | ModelCall | None:
        if not self.is_active or name in _NO_STEPS or _is_told_by_autogen(name, attributes):
            return None
        node_type = type_of(attributes, name)
        if node_type != "llm_call":
            return open_step(self._adapter, _title_of(name, attributes), node_type, parent)
        if request_in_progress() is not None or is_model_call(parent or parent_span()):
            return None  # an SDK tells of a call that is recorded already
        return open_model_call(self._adapter, name, "llm_call", parent)


_bridges: list[_Bridge] = []  # at most one: a provider cannot be taken back


def _connect(adapter: Adapter) -> None:
    api = adapter.load("opentelemetry.trace")
    if not _bridges:
        if not isinstance(api.get_tracer_provider(), api.ProxyTracerProvider):
            raise RuntimeError("there is a tracer provider already, whose place otel would take")
        _bridges.append(_Bridge(adapter, api))
        api.set_tracer_provider(_bridges[0].provider)
    bridge = _bridges[0]
    bridge.is_active = True
    add_resolver(adapter, bridge.current)
    adapter.on_uninstall(lambda: setattr(bridge, "is_active", False))


ADAPTER = Adapter("otel", ("opentelemetry.trace",), _connect)
install = ADAPTER.install
uninstall = ADAPTER.uninstall
