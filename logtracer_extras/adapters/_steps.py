"""The steps adapters open: below which span, who makes them current, and what a model call shares.

The current span is a suggestion of one context variable. Some frameworks keep their own idea of
what runs now; their adapters add a resolver, and `parent_span` takes whichever is nearer.
"""

from __future__ import annotations

import contextvars
import sys
import weakref
from collections.abc import Callable
from typing import Any

from logtracer import EdgeType, Span, current_span

from ._installing import Adapter, quietly
from ._tracer_parts import end_at, has_output

# ---- The parent: the nearest span that anybody knows of ------------------------------------------

Resolver = Callable[[], "Span | None"]
_resolvers: list[Resolver] = []
_opened_below: weakref.WeakKeyDictionary[Span, Span | None] = weakref.WeakKeyDictionary()
_above_calls: weakref.WeakSet[Span] = weakref.WeakSet()


def add_resolver(adapter: Adapter, resolver: Resolver) -> None:
    """Ask `resolver` for the framework's open span that runs here, while the adapter is there."""
    _resolvers.append(resolver)
    adapter.on_uninstall(lambda: _resolvers.remove(resolver))


def parent_span() -> Span | None:
    """Return the nearest open span: the current one, or a framework's that was opened below it.

    Frameworks nest in each other, so each answer is asked again what was opened below it.
    """
    span = current_span()
    if not _resolvers:
        return span
    waiting = _resolvers[:]
    while waiting:
        nearer = next((found for found in map(_below(span), waiting) if found), None)
        if nearer is None:
            return span
        resolver, span = nearer
        waiting.remove(resolver)
    return span


def _below(span: Span | None) -> Callable[[Resolver], tuple[Resolver, Span] | None]:
    def ask(resolver: Resolver) -> tuple[Resolver, Span] | None:
        with quietly("resolver"):
            found = resolver()
            if found is not None and found is not span and _is_below(found, span):
                return resolver, found
        return None

    return ask


def _is_below(step: Span, span: Span | None) -> bool:
    """Tell whether steps of adapters lead from a span down to a step."""
    while step in _opened_below:
        above = _opened_below[step]
        if above is span:
            return True
        if above is None:
            return False
        step = above
    return False


# ---- Steps -------------------------------------------------------------------------------------


class ReportedError(Exception):
    """A failure that a framework tells as text, without an exception."""


def reported(kind: str, text: str) -> ReportedError:
    """Return an error of a type that has the name of the one that was reported."""
    made: type[ReportedError] = ReportedError
    if kind.isidentifier():
        made = type(kind, (ReportedError,), {})
    return made(text)


class Step:
    """A span that an adapter opened, with the trace that was opened for it, if one was."""

    __slots__ = ("span", "_root", "_handled")

    def __init__(self, span: Span, root: Span | None) -> None:
        self.span = span
        self._root = root
        self._handled = id(sys.exc_info()[1])  # what the step may be there to clean up after

    def error_in_flight(self) -> BaseException | None:
        """Return the exception that ends the step, for a framework that does not tell of it.

        It is seen while it passes through a `with` or a `finally`, a cancellation too. A generator
        that is closed is no failure.
        """
        error = sys.exc_info()[1]
        is_other = isinstance(error, GeneratorExit) or id(error) == self._handled
        return None if is_other else error

    def end(self, error: BaseException | None = None, at: int | None = None) -> None:
        """End the span, now or at a time, and the trace that was opened for it."""
        if at is None:
            self.span.end(error)
        else:
            end_at(self.span, error, at)
        if self._root is not None:
            self._root.end(error)


def open_step(
    adapter: Adapter, name: str, node_type: str, parent: Span | None = None
) -> Step | None:
    """Start a span that is not current; None outside any trace, unless the adapter opens one."""
    root = None
    if parent is None:
        parent = parent_span()
    if parent is None:
        if not adapter.opens_traces:
            return None
        # In a context of its own, so that the trace does not become current for the host.
        root = contextvars.copy_context().run(adapter.open_trace(name).__enter__)
        parent = root
    span = parent.node(name, node_type).start()
    _opened_below[span] = None if root is not None else parent
    if node_type == "llm_call":
        _above_calls.add(parent)
    return Step(span, root)


_ids: weakref.WeakKeyDictionary[Span, list[str]] = weakref.WeakKeyDictionary()


def note_ids(span: Span, **ids: Any) -> None:
    """Record what identifies this run alone, and say that it does: equal runs differ in it.

    The names of these facts stand in the node's metadata as `logtracer.per_run`.
    """
    found = {name: value for name, value in ids.items() if value}
    names = _ids.setdefault(span, [])
    names += [name for name in found if name not in names]
    if found:
        span.metadata(**found, **{"logtracer.per_run": list(names)})


def has_call_below(span: Span) -> bool:
    """Tell whether a model call has been opened right below a span."""
    return span in _above_calls


# ---- Pauses: what waits for a person, and what goes on later -------------------------------------

_MAX_PAUSED = 1_000  # runs that wait; some are never resumed


class Pauses:
    """The steps that wait, by the framework's own id, which `name` in their metadata holds too.

    What goes on is linked to where it stopped. In a trace that `Tracer.resume` opened again, the
    paused step is in the store, and the new one names it in its metadata as `resumes`.
    """

    def __init__(self, adapter: Adapter, name: str) -> None:
        self._adapter = adapter
        self._name = name
        self._spans: dict[str, Span] = {}

    def __contains__(self, framework_id: object) -> bool:
        return framework_id in self._spans

    def pause(self, span: Span, framework_id: str, reason: str) -> None:
        """Let a step, and those above it, end as paused."""
        note_ids(span, **{self._name: framework_id})
        span.pause(reason)
        if len(self._spans) < _MAX_PAUSED:
            self._spans[framework_id] = span

    def resume(self, span: Span, framework_id: str) -> None:
        """Link the step that goes on to the one that waits."""
        paused = self._spans.pop(framework_id, None)
        if paused is None:
            self._note(span, self._stored(trace_of(span), framework_id))
        elif trace_of(paused) != trace_of(span):
            note_ids(span, resumes=paused.id, resumes_trace=trace_of(paused))
        elif paused.trace.end_time is None:
            paused.resume()
            paused.link(span, EdgeType.CAUSED_BY, "resumed")
        else:  # its trace was saved and opened again
            self._note(span, paused.id)

    def _note(self, span: Span, node_id: str | None) -> None:
        if node_id is not None:
            note_ids(span, resumes=node_id)

    def _stored(self, trace_id: str, framework_id: str) -> str | None:
        tracer = self._adapter.tracer
        stored = None if tracer is None else tracer.storage.load(trace_id)
        for node in reversed(stored.nodes.values() if stored else ()):
            if node.status == "paused" and node.metadata.get(self._name) == framework_id:
                return node.id
        return None


def trace_of(span: Span) -> str:
    """Return the id of a span's trace."""
    return span.traceparent.split("-")[1]


# ---- Model calls: one node, however many adapters see the call -----------------------------------


class ModelCall:
    """A model call that is being recorded, by the adapter that saw it first.

    A framework's call is shared with the SDK's request inside it; a request is shared with
    whatever its transport records.
    """

    def __init__(self, step: Step) -> None:
        self.span = step.span
        self.is_open = True
        self.is_taken = False  # an SDK's request has been merged into it
        self._step = step
        self._retries: list[dict[str, Any]] = []
        self._told: set[str] = set()
        self._problem: BaseException | None = None
        self._answer: dict[str, Any] = {}

    def add(self, **facts: Any) -> None:
        """Add facts, unless the call has ended."""
        if self.is_open:
            known = {name: value for name, value in facts.items() if value is not None}
            self._told.update(known)
            self.span.metadata(**known)

    def complete(self, facts: dict[str, Any]) -> None:
        """Add what a framework tells, but for the counts that the SDK inside has told itself.

        Frameworks make the counts of all providers alike, and lose some on the way.
        """
        has_usage = any(name.startswith(_USAGE) for name in self._told)
        self.span.metadata(
            **{
                name: value
                for name, value in facts.items()
                if value is not None and not (has_usage and name.startswith(_USAGE))
            }
        )

    def error_in_flight(self) -> BaseException | None:
        """Return the exception that ends the call, as a step does."""
        return self._step.error_in_flight()

    def note_request_id(self, request_id: Any) -> None:
        """Add what the provider calls this request."""
        if self.is_open:
            note_ids(self.span, request_id=request_id)

    def offer_answer(self, output: dict[str, Any]) -> None:
        """Keep the SDK's answer, in case the framework tells none of its own."""
        self._answer = output

    def fail_unless_retried(self, error: BaseException | None) -> None:
        """Remember that the answer was a failure, in case the framework does not say so."""
        self._problem = error

    def note_retry(self, attempt: int | None, status: Any, error: str | None = None) -> None:
        """Add a failed attempt that is tried again; without a status there was no answer."""
        facts = {"attempt": attempt, "status": status, "error": error}
        self._retries.append({name: fact for name, fact in facts.items() if fact is not None})
        self.add(retries=self._retries)

    def end(self, error: BaseException | None = None, at: int | None = None) -> None:
        """End the call, now or at a time; a second end does nothing."""
        if self.is_open:
            self.is_open = False
            if self._answer and not has_output(self.span):
                self.span.output(**self._answer)
            self._step.end(error or self._problem, at)


_USAGE = "gen_ai.usage."
_calls: weakref.WeakKeyDictionary[Span, ModelCall] = weakref.WeakKeyDictionary()
_last_opened: contextvars.ContextVar[ModelCall | None] = contextvars.ContextVar(
    "logtracer_last_opened", default=None
)
_requesting: contextvars.ContextVar[ModelCall | None] = contextvars.ContextVar(
    "logtracer_request", default=None
)


def open_model_call(
    adapter: Adapter, name: str, node_type: str = "llm_call", parent: Span | None = None
) -> ModelCall | None:
    """Open a framework's model call, which an SDK's request inside it joins; None as above."""
    step = open_step(adapter, name, node_type, parent)
    if step is None:
        return None
    call = ModelCall(step)
    _calls[step.span] = call
    _last_opened.set(call)
    return call


def shared_call(parent: Span | None) -> ModelCall | None:
    """Return the framework's call that runs here and that no request has joined yet.

    Some instrumentations open a call without making it current: then it is the last one that was
    opened here, beside what would be the request's own.
    """
    last = _last_opened.get()
    call = None if parent is None else _calls.get(parent)
    if call is None and last is not None and _opened_below.get(last.span) is parent:
        call = last
    return call if call is not None and call.is_open and not call.is_taken else None


def is_model_call(span: Span | None) -> bool:
    """Tell whether a span is the model call of a framework."""
    return span is not None and span in _calls


def request_in_progress() -> ModelCall | None:
    """Return the model call whose request is on its way in this context."""
    call = _requesting.get()
    return call if call is not None and call.is_open else None


def enter_request(call: ModelCall) -> contextvars.Token[ModelCall | None]:
    """Say that the request of a call is on its way; `leave_request` takes the token."""
    return _requesting.set(call)


def leave_request(token: contextvars.Token[ModelCall | None]) -> None:
    """Say that the request is over, in the context that entered it."""
    _requesting.reset(token)
