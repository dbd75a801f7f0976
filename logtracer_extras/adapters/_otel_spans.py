"""Spans for programs that have no tracer provider: all that an SDK's span has, and a node.

OpenTelemetry's own spans record nothing then, and instrumentations ask those that do record for
whatever an SDK's span tells of itself.
"""

from __future__ import annotations

import json
import time
import traceback
from dataclasses import dataclass, field
from types import MappingProxyType, SimpleNamespace
from typing import Any

from logtracer import Span
from logtracer_extras.conventions import to_json

from ._installing import quietly
from ._reading import read


@dataclass(slots=True)
class Event:
    """Something that happened while a span was open."""

    name: str
    attributes: dict[str, Any]
    timestamp: int
    dropped_attributes: int = 0


@dataclass(slots=True)
class Told:
    """What a span tells when it ends, whoever made it."""

    name: str
    attributes: dict[str, Any]
    events: list[Any] = field(default_factory=list)
    links: list[Any] = field(default_factory=list)
    error: BaseException | None = None
    problem: str | None = None  # what its status says of a failure; None when it did not fail
    end_time: int | None = None  # only one that was given


class SpanMethods:
    """A span of OpenTelemetry's interface that is a node; it is mixed into the class there."""

    dropped_attributes = dropped_events = dropped_links = 0

    def begin(self, api: Any, recorded: Any, name: str, **given: Any) -> None:
        """Begin; the interface is made without arguments."""
        self._api = api
        self._recorded = recorded
        self._name = name
        self._attributes: dict[str, Any] = dict(given.get("attributes") or {})
        self._events: list[Event] = []
        self._links: list[Any] = list(given.get("links") or ())
        self._error: BaseException | None = None
        self._status = api.Status(api.StatusCode.UNSET)
        self._start_time = given.get("start_time") or time.time_ns()
        self._end_time: int | None = None
        self.kind = given.get("kind") or api.SpanKind.INTERNAL
        scope: dict[str, Any] = {
            "name": given.get("scope"),
            "version": "",
            "schema_url": "",
            "attributes": {},
        }
        self.instrumentation_scope = self.instrumentation_info = SimpleNamespace(**scope)
        self.resource = SimpleNamespace(attributes=MappingProxyType({}), schema_url="")
        above = given.get("above")
        self.parent = above if above is not None and above.is_valid else None
        self._context = context_of(api, recorded.span)

    # What can be read of it.

    @property
    def name(self) -> str:
        """The name it has by now."""
        return self._name

    @property
    def context(self) -> Any:
        """The ids, which are the node's own."""
        return self._context

    def get_span_context(self) -> Any:
        """Return the ids, which are the node's own."""
        return self._context

    @property
    def attributes(self) -> Any:
        """The attributes so far."""
        return MappingProxyType(self._attributes)

    @property
    def events(self) -> tuple[Event, ...]:
        """The events so far."""
        return tuple(self._events)

    @property
    def links(self) -> tuple[Any, ...]:
        """The links so far."""
        return tuple(self._links)

    @property
    def status(self) -> Any:
        """The status by now."""
        return self._status

    @property
    def start_time(self) -> int:
        """Nanoseconds since 1970."""
        return int(self._start_time)

    @property
    def end_time(self) -> int | None:
        """Nanoseconds since 1970, None while the span is open."""
        return self._end_time

    def is_recording(self) -> bool:
        """Tell whether the span is open."""
        return self._end_time is None

    def to_json(self, indent: int | None = 4) -> str:
        """Return what the span says, as JSON text."""
        context = {
            "trace_id": f"0x{self._context.trace_id:032x}",
            "span_id": f"0x{self._context.span_id:016x}",
            "trace_state": "[]",
        }
        known = {
            "name": self._name,
            "context": context,
            "kind": str(self.kind),
            "parent_id": None if self.parent is None else f"0x{self.parent.span_id:016x}",
            "start_time": self._start_time,
            "end_time": self._end_time,
            "status": {"status_code": self._status.status_code.name},
            "attributes": self._attributes,
            "events": [{"name": one.name, "attributes": one.attributes} for one in self._events],
            "links": [{"attributes": dict(link.attributes or {})} for link in self._links],
            "resource": {"attributes": {}, "schema_url": ""},
        }
        return json.dumps(json.loads(to_json(known)), indent=indent)

    def _readable_span(self) -> Any:
        return self

    # What it is told.

    def start(self, start_time: int | None = None, parent_context: Any = None) -> None:
        """Do nothing: it has started when it is made."""

    def set_attribute(self, key: str, value: Any) -> None:
        """Keep an attribute for the end."""
        if self.is_recording():
            self._attributes[key] = value

    def set_attributes(self, attributes: Any) -> None:
        """Keep attributes for the end."""
        if self.is_recording():
            self._attributes.update(attributes or {})

    def update_name(self, name: str) -> None:
        """Take a new name."""
        if self.is_recording():
            self._name = name

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        """Keep an event for the end."""
        if self.is_recording():
            self._events.append(Event(name, dict(attributes or {}), timestamp or time.time_ns()))

    def add_link(self, context: Any, attributes: Any = None) -> None:
        """Keep a link for the end."""
        if self.is_recording():
            self._links.append(self._api.Link(context, attributes))

    def record_exception(
        self, exception: Any, attributes: Any = None, timestamp: Any = None, escaped: bool = False
    ) -> None:
        """Keep an exception, in case the status says that the span failed."""
        if not self.is_recording():
            return
        self._error = exception
        with quietly("otel"):
            about = {
                "exception.type": type(exception).__qualname__,
                "exception.message": str(exception),
                "exception.stacktrace": "".join(traceback.format_exception(exception)),
                "exception.escaped": str(escaped),
                **(attributes or {}),
            }
            self.add_event("exception", about, timestamp)

    def set_status(self, status: Any, description: str | None = None) -> None:
        """Take the status; one that says all is well is final."""
        codes = self._api.StatusCode
        code = read(status, "status_code") or status
        is_final = self._status.status_code is codes.OK or code is codes.UNSET
        if self.is_recording() and not is_final:
            text = description or read(status, "description")
            self._status = self._api.Status(code, text if code is codes.ERROR else None)

    def end(self, end_time: int | None = None) -> None:
        """End the node with all that the span was told."""
        if not self.is_recording():
            return
        self._end_time = end_time or time.time_ns()
        self._recorded.close(
            Told(
                self._name,
                dict(self._attributes),
                list(self._events),
                self._links,
                self._error,
                problem_of(self._status),
                end_time,
            )
        )

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if error is not None and self.is_recording():
            self.record_exception(error)
            with quietly("otel"):
                text = f"{type(error).__name__}: {error}"
                self.set_status(self._api.Status(self._api.StatusCode.ERROR, text))
        self.end()


def context_of(api: Any, node: Span) -> Any:
    """Return the ids of a node as OpenTelemetry's."""
    _, trace_id, span_id, _ = node.traceparent.split("-")
    return api.SpanContext(int(trace_id, 16), int(span_id, 16), False, api.TraceFlags(1))


def problem_of(status: Any) -> str | None:
    """Return what a status says of a failure, None when the span did not fail."""
    if read(status, "status_code", "name") != "ERROR":
        return None
    return str(read(status, "description") or "")
