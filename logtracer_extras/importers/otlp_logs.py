"""OpenTelemetry's log records: what coding agents and GenAI instrumentations tell as events.

A record that names a span of the same file, by the span's id, the request's or the tool's, is said
of that span: its messages are the span's input and output, its cost is the span's, anything else is
kept as its event. Records of Claude Code, Codex and Gemini CLI that
name none are the steps of their session, told one by one; when the session has spans as well, the
spans are its steps and the records events of them, so that nothing counts twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from logtracer import NodeStatus, NodeType

from ..conventions.messages import add_message_events, is_message_event
from ..conventions.reading import Facts, facts_of
from ..conventions.usage import CACHE_READ, CACHE_WRITE, COST, INPUT, OUTPUT, REASONING, amount_of
from ..conventions.values import first_of, integer_of, object_of, objects_in, parse_json
from ._kinds import count_kinds, most_are
from ._spans import SpanRecord, add_failure, with_kinds
from ._values import (
    SPAN_DIGITS,
    TRACE_DIGITS,
    clean_value,
    clean_values,
    hashed_id,
    id_of,
    moment_of,
    text_of,
)
from .otel import attributes_in, is_otlp, read_otlp

__all__ = ["is_otlp_logs", "read_otlp_logs"]

_CONTAINERS = ("resourceLogs", "resource_logs")
_SESSIONS = ("session.id", "conversation.id", "gen_ai.conversation.id")
_KEYS = ("request_id", "tool_use_id", "gen_ai.tool.call.id")
_AGENTS = ("claude_code", "codex", "gemini_cli")


def _has_logs(document: Any) -> bool:
    return isinstance(document, dict) and first_of(document, *_CONTAINERS) is not None


def _is_export(document: Any) -> bool:
    return _has_logs(document) or (isinstance(document, dict) and is_otlp(document))


def is_otlp_logs(documents: list[Any]) -> bool:
    return any(map(_has_logs, documents)) and most_are(_is_export, documents)


def read_otlp_logs(documents: list[Any], source: str) -> Iterator[SpanRecord]:
    files = [one for one in documents if isinstance(one, dict)]
    spans = [span for one in files if is_otlp(one) for span in read_otlp(one, source)]
    joined = _Joined(spans, source).read(record for one in files for record in _records(one))
    left = count_kinds(one for one in documents if not _is_export(one))
    return with_kinds(iter(joined), left)


def _records(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield log records with their attributes as an object, those of the resource behind them."""
    for group in objects_in(first_of(document, *_CONTAINERS), "resourceLogs"):
        resource = attributes_in(object_of(group.get("resource")).get("attributes"))
        for scope in objects_in(first_of(group, "scopeLogs", "scope_logs"), "scopeLogs"):
            for record in objects_in(first_of(scope, "logRecords", "log_records"), "logRecords"):
                own = clean_values(attributes_in(record.get("attributes")))
                body = attributes_in([{"key": "body", "value": record.get("body")}]).get("body")
                yield {**record, "attributes": own, "body": body, "resource": resource}


class _Joined:
    """The spans of a file with its log records."""

    def __init__(self, spans: list[SpanRecord], source: str) -> None:
        self._spans = spans
        self._source = source
        self._by_id = {(span.trace_id, span.span_id): span for span in spans}
        self._sessions: dict[str, SpanRecord] = {}
        self._named: dict[str, SpanRecord] = {}  # by the request or the tool's call
        for span in spans:
            metadata = span.facts.metadata
            for key in {text_of(metadata.get(name)) for name in _KEYS} - {""}:
                self._named.setdefault(key, span)
            session = text_of(first_of(span.facts.metadata, *_SESSIONS))
            if session:
                self._sessions.setdefault(session, span)
        self._messages: dict[tuple[str, str | None], list[dict[str, Any]]] = {}
        self._roots: dict[str, SpanRecord] = {}
        self._calls: dict[str, SpanRecord] = {}  # the last model call of each session

    def read(self, records: Iterator[dict[str, Any]]) -> list[SpanRecord]:
        for record in sorted(records, key=_order):
            self._take(record)
        for key, events in self._messages.items():
            _add_messages(self._by_id[key], events)
        below: dict[str | None, list[SpanRecord]] = {}
        for span in self._spans:
            below.setdefault(span.parent_id, []).append(span)
        for root in self._roots.values():
            _close(root, below.get(root.span_id, []))
        return self._spans

    def _take(self, record: dict[str, Any]) -> None:
        name = _name_of(record)
        trace_id = id_of(first_of(record, "traceId", "trace_id"), TRACE_DIGITS)
        span_id = id_of(first_of(record, "spanId", "span_id"), SPAN_DIGITS)
        span = self._by_id.get((trace_id or "", span_id))
        told = record["attributes"]
        if span is not None and (is_message_event(name) or _has_messages(told)):
            body = object_of(parse_json(record["body"]))
            event = {**body, **told, "event.name": name}
            self._messages.setdefault((span.trace_id, span.span_id), []).append(event)
            return
        session = text_of(first_of(told, *_SESSIONS) or first_of(record["resource"], *_SESSIONS))
        keys = (text_of(told.get(key)) for key in _KEYS)
        named = next((self._named[key] for key in keys if key in self._named), None)
        agent, _, what = name.partition(".")
        if named is not None and told.get("cost_usd") is not None:
            cost = amount_of(told["cost_usd"])
            named.facts.metadata.setdefault(COST, cost)
        span = span or named or self._sessions.get(session)
        if span is not None:
            span.facts.metadata.setdefault("otel.events", []).append(_event(record, name))
        elif agent in _AGENTS:
            self._add_step(record, what, session or self._source, agent)
        else:
            self._add_note(record, name, trace_id)

    def _root_of(self, session: str, agent: str) -> SpanRecord:
        if session not in self._roots:
            trace_id = hashed_id(f"{agent}/{session}", TRACE_DIGITS)
            facts = Facts("trace", metadata={"session.id": session})
            root = SpanRecord(trace_id, agent, facts, trace_id[:SPAN_DIGITS])
            self._roots[session] = root
            self._spans.append(root)
        return self._roots[session]

    def _add_note(self, record: dict[str, Any], name: str, trace_id: str | None) -> None:
        """Make a record of nobody known a step without a duration."""
        trace_id = trace_id or hashed_id(self._source, TRACE_DIGITS)
        facts = facts_of(record["attributes"], name)
        if record["body"] not in (None, ""):
            facts.output_data = {"body": clean_value(record["body"])}
        span = SpanRecord(trace_id, name or "log", facts)
        span.span_id = hashed_id(f"{trace_id}/log/{len(self._spans)}", SPAN_DIGITS)
        span.start = span.end = _moment(record)
        self._spans.append(span)

    def _add_step(self, record: dict[str, Any], what: str, session: str, agent: str) -> None:
        root = self._root_of(session, agent)
        told = record["attributes"]
        if what == "assistant_response" and session in self._calls:
            content = first_of(told, "response", "text", "content")
            message = {"role": "assistant", "content": content}
            self._calls[session].facts.output_data.setdefault("message", message)
            return
        if what == "sse_event" and told.get("event.kind") != "response.completed":
            what = ""
        read = _STEPS.get(what)
        if read is None:
            root.kinds[what or "sse_event"] = root.kinds.get(what or "sse_event", 0) + 1
            return
        span = SpanRecord(root.trace_id, what, Facts(NodeType.CUSTOM), parent_id=root.span_id)
        span.span_id = hashed_id(f"{root.trace_id}/log/{len(self._spans)}", SPAN_DIGITS)
        span.status = NodeStatus.COMPLETED
        span.end = _moment(record)
        lasted = integer_of(first_of(told, "duration_ms", "duration"))
        span.start = span.end
        if span.end is not None and lasted is not None and 0 <= lasted < 10**10:
            span.start = span.end - timedelta(milliseconds=lasted)
        read(span, told)
        if span.facts.node_type == NodeType.LLM_CALL:
            self._calls[session] = span
        self._spans.append(span)


def _order(record: dict[str, Any]) -> tuple[int, int]:
    moment = integer_of(first_of(record, *_MOMENTS)) or 0
    return moment, integer_of(record["attributes"].get("event.sequence")) or 0


_MOMENTS = ("timeUnixNano", "time_unix_nano", "observedTimeUnixNano", "observed_time_unix_nano")


def _moment(record: dict[str, Any]) -> datetime | None:
    return moment_of(first_of(record, *_MOMENTS))


def _name_of(record: dict[str, Any]) -> str:
    """Return an event's name; Claude Code's attribute has it without the agent's."""
    own = text_of(first_of(record, "eventName", "event_name"))
    told = own or text_of(record["attributes"].get("event.name"))
    body = text_of(record["body"]) if isinstance(record["body"], str) else ""
    return body if body.partition(".")[0] in _AGENTS and told not in ("", body) else told or body


def _event(record: dict[str, Any], name: str) -> dict[str, Any]:
    moment = _moment(record)
    return {
        "name": name,
        "time": None if moment is None else moment.isoformat(timespec="microseconds"),
        "attributes": record["attributes"],
    }


def _has_messages(told: dict[str, Any]) -> bool:
    return "gen_ai.input.messages" in told or "gen_ai.output.messages" in told


def _add_messages(span: SpanRecord, events: list[dict[str, Any]]) -> None:
    """Take what records say was sent and received, unless the span says it itself."""
    attributes: dict[str, Any] = {}
    for event in events:
        attributes |= {name: event[name] for name in event if name.startswith("gen_ai.")}
    if not _has_messages(attributes):
        attributes = {}
        add_message_events(attributes, events)
    facts = facts_of(attributes)
    span.facts.input_data = span.facts.input_data or clean_values(facts.input_data)
    span.facts.output_data = span.facts.output_data or clean_values(facts.output_data)


def _close(root: SpanRecord, steps: list[SpanRecord]) -> None:
    root.start = min((span.start for span in steps if span.start), default=None)
    root.end = max((span.end for span in steps if span.end), default=None)


# ---- What coding agents tell ---------------------------------------------------------------------

_COUNTS = {
    INPUT: ("input_tokens", "input_token_count"),
    OUTPUT: ("output_tokens", "output_token_count"),
    CACHE_READ: ("cache_read_tokens", "cached_token_count", "cached_content_token_count"),
    CACHE_WRITE: ("cache_creation_tokens",),
    REASONING: ("reasoning_token_count", "thoughts_token_count"),
}


def _model_call(span: SpanRecord, told: dict[str, Any]) -> None:
    facts = span.facts
    facts.node_type = NodeType.LLM_CALL
    for fact, names in _COUNTS.items():
        count = integer_of(first_of(told, *names))
        if count is not None:
            facts.metadata[fact] = count
    if "cache_read_tokens" in told and INPUT in facts.metadata:  # Claude Code counts it beside
        cached = (facts.metadata.get(name, 0) for name in (CACHE_READ, CACHE_WRITE))
        facts.metadata[INPUT] += sum(cached)
    if "thoughts_token_count" in told and OUTPUT in facts.metadata:
        facts.metadata[OUTPUT] += facts.metadata.get(REASONING, 0)
    cost = amount_of(told.get("cost_usd"))
    if cost is not None:
        facts.metadata[COST] = cost
    model = text_of(told.get("model"))
    if model:
        facts.metadata["gen_ai.request.model"] = span.name = model
    if told.get("response_text"):
        facts.output_data = {"message": {"role": "assistant", "content": told["response_text"]}}
    _keep(span, told)


def _failed_call(span: SpanRecord, told: dict[str, Any]) -> None:
    _model_call(span, told)
    kind = text_of(first_of(told, "error_type", "error.type", "status_code")) or None
    message = text_of(first_of(told, "error", "error.message", "error_message")) or "failed"
    add_failure(span, {"message": message, "type": kind})


def _tool_call(span: SpanRecord, told: dict[str, Any]) -> None:
    facts = span.facts
    facts.node_type = NodeType.TOOL_CALL
    span.name = text_of(first_of(told, "tool_name", "function_name", "name")) or "tool"
    given = parse_json(
        first_of(told, "tool_input", "arguments", "function_args", "tool_parameters")
    )
    if given not in (None, ""):
        facts.input_data = given if isinstance(given, dict) else {"arguments": given}
    result = first_of(told, "output", "tool_output", "content")
    if result not in (None, ""):
        facts.output_data = {"content": result}
    if told.get("call_id") or told.get("tool_use_id"):
        facts.metadata["gen_ai.tool.call.id"] = first_of(told, "call_id", "tool_use_id")
    if str(told.get("success", "true")).lower() == "false":
        kind = text_of(told.get("error_type")) or None
        message = text_of(first_of(told, "error", "output")) or "the tool failed"
        add_failure(span, {"message": message, "type": kind})
    _keep(span, told)


def _prompt(span: SpanRecord, told: dict[str, Any]) -> None:
    span.facts.node_type = NodeType.HUMAN_INPUT
    span.name = "user"
    if told.get("prompt"):
        span.facts.output_data = {"content": told["prompt"]}
    _keep(span, told)


_STEPS = {
    "user_prompt": _prompt,
    "api_request": _model_call,
    "api_response": _model_call,
    "api_error": _failed_call,
    "sse_event": _model_call,
    "tool_result": _tool_call,
    "tool_call": _tool_call,
}
_TOLD = {
    "prompt",
    "response_text",
    "tool_input",
    "arguments",
    "function_args",
    "output",
    "tool_output",
    *(name for names in _COUNTS.values() for name in names),
}


def _keep(span: SpanRecord, told: dict[str, Any]) -> None:
    rest = {f"event.{name}": told[name] for name in told if name not in _TOLD}
    span.facts.metadata |= {name.replace("event.event.", "event."): rest[name] for name in rest}
