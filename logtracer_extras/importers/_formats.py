"""All formats: which one a document has, and what reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..conventions.values import first_of, object_of
from ._kinds import count_kinds, most_are, sample_of
from ._records import SHARED, Record
from ._spans import ReadSpans, SpanRecord, with_kinds
from ._values import clean_values
from .adk import is_adk, is_adk_events, read_adk, read_adk_events
from .atif import is_atif, read_atif
from .autogen import is_autogen_log, is_autogen_result, read_autogen_log, read_autogen_result
from .batches import is_batch_line, read_batch_line
from .claude_code import is_claude_code, read_claude_code
from .cline import is_cline, read_cline
from .codex import is_codex, read_codex
from .codex_exec import is_codex_exec, read_codex_exec
from .cursor import is_cursor, read_cursor
from .datadog import datadog_span, is_datadog
from .gemini_cli import is_gemini_cli, read_gemini_cli
from .go import go_span, is_go
from .goose import is_goose, read_goose
from .inspect import is_inspect, read_inspect
from .jaeger import is_jaeger, is_jaeger_span, read_jaeger, read_jaeger_span
from .jaeger_model import is_jaeger_model, read_jaeger_model
from .langfuse import is_langfuse_trace, is_observation, langfuse_trace, observations
from .langfuse_batch import is_langfuse_batches, read_langfuse_batches
from .langsmith import is_langsmith, read_langsmith
from .logfire import is_logfire, logfire_span
from .messages import is_conversation, is_message, read_conversation, read_message_list
from .mlflow import is_mlflow, read_mlflow
from .openai_agents import is_agents_sdk, read_agents_sdk
from .opencode import is_opencode, read_opencode
from .openhands import (
    is_openhands,
    is_openhands_output,
    read_openhands,
    read_openhands_output,
)
from .openhands_sdk import (
    is_openhands_sdk,
    is_openhands_sdk_output,
    read_openhands_sdk,
    read_openhands_sdk_output,
)
from .opik import is_opik, is_opik_span, opik_spans, opik_trace
from .otel import is_attributes, is_otlp, is_span, read_attributes, read_otlp, read_span, span_of
from .otlp_logs import is_otlp_logs, read_otlp_logs
from .phoenix import is_row, rows
from .pi import is_pi, read_pi
from .pydantic_ai import is_pydantic_ai, read_pydantic_ai
from .smolagents import is_smolagents, read_smolagents
from .swe_agent import is_mini_swe, is_swe_agent, read_mini_swe, read_swe_agent
from .tau import is_tau, is_tau2, read_tau, read_tau2
from .terminal_bench import (
    is_harbor_trial,
    is_terminal_bench,
    read_harbor_trial,
    read_terminal_bench,
)
from .weave import is_weave, read_weave
from .xray import is_xray, xray_spans
from .zipkin import is_zipkin, read_zipkin

__all__ = [
    "RECORD_FORMATS",
    "file_reader_of",
    "is_journal",
    "is_native",
    "read_with",
    "reader_of",
]


_LIST_NAMES = ("spans", "traces", "data", "rows")


def _is_span_list(document: dict[str, Any]) -> bool:
    items = first_of(document, *_LIST_NAMES)
    return isinstance(items, list) and _reader_of_list(items) is not None


def _read_span_list(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    return _read_list(first_of(document, *_LIST_NAMES), source)


def _is_grouped(document: dict[str, Any]) -> bool:
    """Tell whether spans stand in lists under names of somebody's own, as those of traces."""
    if not document or first_of(document, *_LIST_NAMES) is not None:
        return False  # looked at already: to look twice at every level would never end
    return all(
        isinstance(items, list) and _reader_of_list(items) is not None
        for items in document.values()
    )


def _read_grouped(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    for position, items in enumerate(document.values()):
        reader = _reader_of_list(items)
        if reader is not None:
            yield from read_with(reader, items, source, position)


def _read_list(items: Any, source: str) -> Iterator[SpanRecord]:
    reader = _reader_of_list(items)
    return iter(()) if reader is None else read_with(reader, items, source, 0)


def _reader_of_records(records: Callable[[dict[str, Any]], Iterator[dict[str, Any]]]) -> ReadSpans:
    def read(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
        for record in records(document):
            shared = object_of(record.pop(SHARED, None))
            yield span_of(record, source, clean_values(shared))

    return read


RECORD_FORMATS: tuple[
    tuple[str, Callable[[Record], bool], Callable[[Record], Iterator[Record]]], ...
] = (
    ("langfuse", is_langfuse_trace, langfuse_trace),
    ("langfuse", is_observation, observations),
    ("opik", is_opik, opik_trace),
    ("opik", is_opik_span, opik_spans),
    ("go", is_go, go_span),
    ("phoenix", is_row, rows),
    ("logfire", is_logfire, logfire_span),
    ("datadog", is_datadog, datadog_span),
    ("xray", is_xray, xray_spans),
)

_FORMATS: tuple[tuple[str, Callable[[dict[str, Any]], bool], ReadSpans], ...] = (
    ("otlp", is_otlp, read_otlp),
    ("atif", is_atif, read_atif),
    *((name, has_form, _reader_of_records(records)) for name, has_form, records in RECORD_FORMATS),
    ("jaeger", is_jaeger, read_jaeger),
    ("jaeger", is_jaeger_span, read_jaeger_span),
    ("jaeger", is_jaeger_model, read_jaeger_model),
    ("mlflow", is_mlflow, read_mlflow),
    ("inspect", is_inspect, read_inspect),
    ("langsmith", is_langsmith, read_langsmith),
    ("adk", is_adk, read_adk),
    ("autogen", is_autogen_result, read_autogen_result),
    ("batch", is_batch_line, read_batch_line),
    ("openhands", is_openhands_output, read_openhands_output),
    ("openhands", is_openhands_sdk_output, read_openhands_sdk_output),
    ("swe_agent", is_swe_agent, read_swe_agent),
    ("mini_swe_agent", is_mini_swe, read_mini_swe),
    ("tau2", is_tau2, read_tau2),
    ("tau", is_tau, read_tau),
    ("terminal_bench", is_harbor_trial, read_harbor_trial),
    ("terminal_bench", is_terminal_bench, read_terminal_bench),
    ("spans", is_span, read_span),
    ("spans", _is_span_list, _read_span_list),
    ("messages", is_conversation, read_conversation),
    ("spans", _is_grouped, _read_grouped),
    ("attributes", is_attributes, read_attributes),
)

# Formats whose files are read as a whole: a session with an event on each line. Each is given all
# documents of a file, and most of them have to have its form.
_FILE_FORMATS: tuple[tuple[str, Callable[[list[Any]], bool], ReadSpans], ...] = (
    ("codex", is_codex, read_codex),
    ("codex", is_codex_exec, read_codex_exec),
    ("gemini_cli", is_gemini_cli, read_gemini_cli),
    ("pi", is_pi, read_pi),
    ("opencode", is_opencode, read_opencode),
    ("cline", is_cline, read_cline),
    ("goose", is_goose, read_goose),
    ("cursor", is_cursor, read_cursor),
    ("claude_code", is_claude_code, read_claude_code),
    ("openai_agents", is_agents_sdk, read_agents_sdk),
    ("otlp", is_otlp_logs, read_otlp_logs),
    ("langfuse", is_langfuse_batches, read_langfuse_batches),
    ("weave", is_weave, read_weave),
    ("adk", is_adk_events, read_adk_events),
    ("autogen", is_autogen_log, read_autogen_log),
    ("pydantic_ai", is_pydantic_ai, read_pydantic_ai),
    ("smolagents", is_smolagents, read_smolagents),
    ("openhands", is_openhands, read_openhands),
    ("openhands", is_openhands_sdk, read_openhands_sdk),
    ("zipkin", is_zipkin, read_zipkin),
)


def file_reader_of(documents: list[Any]) -> tuple[str, ReadSpans] | None:
    """Return what reads documents together, None when each of them stands for itself."""
    for name, has_form, read in _FILE_FORMATS:
        if has_form(documents):
            return name, read
    return None


def is_native(document: Any) -> bool:
    return isinstance(document, dict) and "schema_version" in document and "nodes" in document


def is_journal(document: Any) -> bool:
    event = document.get("event") if isinstance(document, dict) else None
    return isinstance(event, str) and event.startswith(("trace.", "node.", "edge"))


def reader_of(document: Any) -> tuple[str, ReadSpans] | None:
    """Return the name of a document's format and its reader."""
    if isinstance(document, list):
        return _reader_of_list(document)
    if not isinstance(document, dict):
        return None
    for name, has_form, read in _FORMATS:
        if has_form(document):
            return name, read
    return None


def _reader_of_list(items: list[Any]) -> tuple[str, ReadSpans] | None:
    """Return what reads a list: the format that most of its items have."""
    together = file_reader_of(items)
    if together is not None:
        return together
    some = sample_of(items)
    if most_are(is_message, some):
        return "messages", read_message_list
    readers = [reader for reader in map(reader_of, some) if reader is not None]
    empty = sum(item == [] for item in some)
    if not readers or 2 * len(readers) < len(some) - empty:
        return None
    return readers[0][0], _read_items


def _read_items(items: list[Any], source: str) -> Iterator[SpanRecord]:
    unknown = count_kinds(item for item in items if item != [] and reader_of(item) is None)
    return with_kinds(_spans_of(items, source), unknown)


def _spans_of(items: list[Any], source: str) -> Iterator[SpanRecord]:
    for position, item in enumerate(items):
        reader = reader_of(item)
        if reader is not None:
            yield from read_with(reader, item, source, position)


def read_with(
    reader: tuple[str, ReadSpans], document: Any, source: str, position: int
) -> Iterator[SpanRecord]:
    """Read one of several documents. Those without a trace id are a trace each, spans are not."""
    name, read = reader
    for span in read(document, source if name == "spans" else f"{source}/{position}"):
        span.format = span.format or name
        yield span
