"""A span as every format gives it, before it becomes a node."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from logtracer import NodeStatus

from ..conventions.reading import Facts, facts_of
from ..conventions.values import integer_of, well_formed
from ._values import clean_values, optional_text, text_of

__all__ = [
    "ReadSpans",
    "STATUSES",
    "SpanLink",
    "SpanRecord",
    "add_failure",
    "add_note",
    "clean_facts",
    "with_kinds",
]

_NOTE = "logtracer.import.note"


@dataclass(slots=True)
class SpanLink:
    """A reason why a span connects to another one, which came before it."""

    trace_id: str | None
    span_id: str | None
    attributes: dict[str, Any]


@dataclass(slots=True, eq=False)
class SpanRecord:
    """One step of somebody's trace, read but not yet joined to the others."""

    trace_id: str
    name: str
    facts: Facts
    span_id: str | None = None
    parent_id: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    status: NodeStatus | None = None
    error: str | None = None
    error_type: str | None = None
    error_traceback: str | None = None
    links: list[SpanLink] = field(default_factory=list)
    shared: dict[str, Any] = field(default_factory=dict)  # what most spans of its trace repeat
    own: dict[str, Any] = field(default_factory=dict)  # the logtracer.* attributes, if any
    format: str = ""
    node_id: str = ""
    order: datetime | None = None  # where it stands among the others when it has no start
    about: dict[str, Any] = field(default_factory=dict)  # the name and metadata of its trace
    kinds: dict[str, int] = field(default_factory=dict)  # what its document held beside spans

    @property
    def sequence_number(self) -> int:
        """The number its recorder gave it; zero when that was not logtracer."""
        return integer_of(self.own.get("logtracer.node.sequence_number")) or 0


def with_kinds(spans: Iterator[SpanRecord], kinds: dict[str, int]) -> Iterator[SpanRecord]:
    """Say on the first span what its document held beside spans."""
    for span in spans:
        span.kinds, kinds = span.kinds or kinds, {}
        yield span


ReadSpans = Callable[[Any, str], Iterator[SpanRecord]]


def clean_facts(attributes: Mapping[str, Any], name: str) -> Facts:
    """Read a span's attributes, some of which hold JSON texts, which may hold anything again."""
    facts = facts_of(attributes, name)
    facts.input_data = clean_values(facts.input_data)
    facts.output_data = clean_values(facts.output_data)
    facts.annotations = [well_formed(text) for text in facts.annotations]
    facts.metadata = clean_values(facts.metadata)
    return facts


STATUSES = {status.value: status for status in NodeStatus}


def add_failure(span: SpanRecord, error: Any) -> None:
    """Mark a span failed with an error given as an object or as text."""
    span.status = NodeStatus.FAILED
    if isinstance(error, dict):
        span.error = optional_text(error.get("message"))
        span.error_type = optional_text(error.get("type"))
        span.error_traceback = optional_text(error.get("traceback"))
    else:
        span.error = text_of(error)


def add_note(span: SpanRecord, text: str) -> None:
    known = str(span.facts.metadata.get(_NOTE, ""))
    if text not in known:  # a trace that was imported before says it already
        span.facts.metadata[_NOTE] = f"{known}; {text}" if known else text
