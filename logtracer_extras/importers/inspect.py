"""Inspect: the logs of its evaluations, a trace for each sample."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from logtracer import NodeType

from ..conventions.reading import Facts
from ..conventions.usage import usage_facts
from ..conventions.values import first_of, integer_of, object_of, objects_in
from ._conversation import CARRIED
from ._spans import SpanRecord, add_failure
from ._values import (
    MAX_DEPTH,
    SPAN_DIGITS,
    TRACE_DIGITS,
    clean_value,
    clean_values,
    hashed_id,
    moment_of,
    text_of,
)
from .messages import read_messages

__all__ = ["is_inspect", "read_inspect"]


def is_inspect(document: dict[str, Any]) -> bool:
    return isinstance(document.get("eval"), dict) and isinstance(document.get("samples"), list)


def read_inspect(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    evaluation = object_of(document["eval"])
    for sample in objects_in(document["samples"], "samples"):
        key = sample.get("uuid") or f"{source}/{sample.get('id')}/{sample.get('epoch')}"
        yield from _InspectSample(evaluation, sample, hashed_id(text_of(key), TRACE_DIGITS)).spans()


class _InspectSample:
    """Join the events of one sample into a tree."""

    def __init__(self, evaluation: dict[str, Any], sample: dict[str, Any], trace_id: str) -> None:
        self._evaluation = evaluation
        self._sample = sample
        self._trace_id = trace_id
        old = object_of(sample.get("transcript"))  # what logs of 2024 have, instead of events
        self._events = first_of(sample, "events") or old.get("events")
        self._attachments = object_of(sample.get("attachments")) or object_of(old.get("content"))
        pool = first_of(object_of(sample.get("events_data")), "messages") or sample.get(
            "message_pool"
        )
        self._pool = pool if isinstance(pool, list) else []
        self._restorable = _MAX_RESTORED
        self._open: list[SpanRecord] = []  # spans begun and not ended, for logs without span ids
        self._by_id: dict[str, SpanRecord] = {}
        self._all: list[SpanRecord] = []
        self._sent: dict[str | None, list[Any]] = {}  # the messages of the last call in each span
        self._begun: dict[tuple[str | None, str], list[SpanRecord]] = {}  # and without their event

    def spans(self) -> Iterator[SpanRecord]:
        """Return the sample itself and every step in it."""
        root = self._root()
        self._all.append(root)
        self._open.append(root)
        if isinstance(self._events, list) and self._events:
            self._read_events(objects_in(self._events, "events"))
        else:
            below = read_messages(self._sample.get("messages"), self._trace_id, root.span_id)
            self._all.extend(below)
        self._close(root)
        return iter(self._all)

    def _root(self) -> SpanRecord:
        sample = self._sample
        task = text_of(self._evaluation.get("task")) or "sample"
        outcome = {key: sample[key] for key in ("output", "scores") if sample.get(key)}
        asked = {key: sample[key] for key in ("input", "target") if sample.get(key)}
        kept = {key: sample[key] for key in sample if key not in _SAMPLE_TAKEN and sample[key]}
        facts = Facts("trace", self._data(asked), self._data(outcome))
        facts.metadata = {
            "inspect.sample": self._data(kept),
            "inspect.eval": clean_value(self._evaluation),
        }
        root = self._new(f"{task} {text_of(sample.get('id'))}".strip(), facts, None)
        if sample.get("error"):
            add_failure(root, sample["error"])
        return root

    def _close(self, root: SpanRecord) -> None:
        root.start = min((span.start for span in self._all if span.start), default=None)
        root.end = max((span.end for span in self._all if span.end), default=None)

    def _data(self, values: dict[str, Any]) -> dict[str, Any]:
        return object_of(clean_value(self._resolve(values)))

    def _resolve(self, value: Any, depth: int = 0) -> Any:
        """Put attachments back where a log only refers to them."""
        if isinstance(value, str) and value.startswith("attachment://"):
            return self._attachments.get(value[len("attachment://") :], value)
        if isinstance(value, dict) and depth < MAX_DEPTH:
            return {key: self._resolve(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list) and depth < MAX_DEPTH:
            return [self._resolve(item, depth + 1) for item in value]
        return value

    def _with_messages(self, event: dict[str, Any]) -> dict[str, Any]:
        """Put the messages back of a model's event that only refers to ranges of a pool."""
        references = event.get("input_refs")
        if event.get("input") or not isinstance(references, list):
            return event
        messages: list[Any] = []
        for reference in references:
            if not (isinstance(reference, list) and [type(at) for at in reference] == [int, int]):
                return event
            messages += self._pool[slice(*reference)][: self._restorable - len(messages)]
        self._restorable -= len(messages)
        return {**event, "input": messages}

    def _new(self, name: str, facts: Facts, parent: SpanRecord | None) -> SpanRecord:
        span_id = hashed_id(f"{self._trace_id}/{len(self._all)}", SPAN_DIGITS)
        return SpanRecord(
            self._trace_id, name, facts, span_id, None if parent is None else parent.span_id
        )

    def _read_events(self, events: list[dict[str, Any]]) -> None:
        waiting = [iter(events)]
        while waiting:
            event = next(waiting[-1], None)
            if event is None:
                waiting.pop()
                if waiting:  # the events of a tool or a subtask end with it
                    self._open.pop()
                continue
            span = self._take(event)
            inner = objects_in(event.get("events"), "events")
            if span is not None and inner:
                self._open.append(span)
                waiting.append(iter(inner))

    def _take(self, event: dict[str, Any]) -> SpanRecord | None:
        """Make a span of an event, or note it on the span around it."""
        kind = text_of(event.get("event"))
        if kind in ("span_end", "step") and event.get("action", "end") == "end":
            self._end(event)
            return None
        if kind == "span_begin" or kind == "step":
            return self._begin(event)
        if kind in _INSPECT_TYPES:
            return self._add(event, kind)
        noted = self._around(event).facts.metadata.setdefault("inspect.events", [])
        noted.append(clean_value(event))
        return None

    def _around(self, event: dict[str, Any]) -> SpanRecord:
        return self._by_id.get(text_of(event.get("span_id")), self._open[-1])

    def _begin(self, event: dict[str, Any]) -> SpanRecord:
        parent = self._by_id.get(text_of(event.get("parent_id")), self._open[-1])
        kind = text_of(event.get("type"))
        kept = {f"inspect.{key}": event[key] for key in event if key not in _EVENT_TAKEN}
        facts = Facts(_INSPECT_SPANS.get(kind, NodeType.CUSTOM), metadata=clean_values(kept))
        span = self._new(text_of(event.get("name")) or kind, facts, parent)
        span.start = moment_of(event.get("timestamp"))
        self._by_id[text_of(event.get("id"))] = span
        self._open.append(span)
        self._all.append(span)
        if kind in _SPANS_OF_EVENTS:
            self._begun.setdefault((span.parent_id, span.name), []).append(span)
        return span

    def _span_begun(self, event: dict[str, Any], kind: str, name: str) -> SpanRecord | None:
        """Return the span that Inspect put around an event: of a tool or a scorer, of its name."""
        if kind not in _SPANS_OF_EVENTS:
            return None
        around = self._around(event)
        inner = self._begun.get((around.span_id, name))
        if inner:  # a tool's event is told of the span around the tool's own
            return inner.pop(0)
        name = around.name if kind == "score" and not event.get("scorer") else name
        own = self._begun.get((around.parent_id, name), [])
        return own.pop(0) if own and own[0] is around else None

    def _end(self, event: dict[str, Any]) -> None:
        span = self._by_id.get(text_of(event.get("id")), self._open[-1])
        if span in self._open[1:]:
            self._open.remove(span)
        if span is not self._all[0]:
            ends = (span.end, moment_of(event.get("timestamp")))
            span.end = max((end for end in ends if end is not None), default=None)

    def _add(self, event: dict[str, Any], kind: str) -> SpanRecord:
        event, carried = self._with_new_messages(self._with_messages(event))
        names = ("function", "model", "name", "scorer", "approver")
        name = next((text_of(event[name]) for name in names if event.get(name)), kind)
        asked = {key: event[key] for key in _INSPECT_INPUT if event.get(key)}
        outcome = {key: event[key] for key in _INSPECT_OUTPUT if event.get(key)}
        kept = {
            f"inspect.{key}": event[key]
            for key in event
            if key not in (*_EVENT_TAKEN, *asked, *outcome) and event[key] not in (None, "", [], {})
        }
        facts = Facts(
            _INSPECT_TYPES[kind], self._data(asked), self._data(outcome), [], clean_values(kept)
        )
        span = self._span_begun(event, kind, name)
        if span is None:
            span = self._new(name, facts, self._around(event))
            self._all.append(span)
        else:
            facts.metadata = span.facts.metadata | facts.metadata
            span.facts = facts
        begun = moment_of(event.get("timestamp"))
        starts = [moment for moment in (span.start, begun) if moment is not None]
        span.start = min(starts, default=None)
        span.end = moment_of(event.get("completed")) or begun
        if event.get("error"):
            add_failure(span, event["error"])
        if kind == "model":
            facts.metadata.update(_inspect_model_facts(event))
        if carried:
            facts.metadata[CARRIED] = carried
        return span

    def _with_new_messages(self, event: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """Leave out the messages that the call before it was sent already; return their number."""
        messages = event.get("input")
        if event.get("event") != "model" or not isinstance(messages, list):
            return event, 0
        key = self._around(event).span_id
        before, self._sent[key] = self._sent.get(key, []), messages
        pairs = enumerate(zip(before, messages))
        same = next((at for at, (old, new) in pairs if old != new), min(len(before), len(messages)))
        rest = {name: value for name, value in event.items() if name != "input"}
        return {**rest, "messages": messages[same:]}, same


_MAX_RESTORED = 1_000_000  # messages of one sample; a few references can stand for any number
_SAMPLE_TAKEN = {
    "events",
    "events_data",
    "message_pool",
    "transcript",
    "attachments",
    "messages",
    "input",
    "target",
    "output",
    "scores",
    "error",
}
_EVENT_TAKEN = ("event", "events", "timestamp", "completed", "span_id", "id", "parent_id", "error")
_INSPECT_INPUT = ("input", "messages", "arguments", "tools", "target", "call_arguments", "cmd")
_INSPECT_OUTPUT = ("output", "result", "score", "decision")
_INSPECT_TYPES = {
    "model": NodeType.LLM_CALL,
    "tool": NodeType.TOOL_CALL,
    "score": NodeType.VALIDATION,
    "input": NodeType.HUMAN_INPUT,
    "approval": NodeType.HUMAN_INPUT,
    "subtask": NodeType.CUSTOM,
    "sandbox": NodeType.CUSTOM,
    "error": NodeType.CUSTOM,
}
_SPANS_OF_EVENTS = ("tool", "scorer", "score")  # kinds of spans and of events alike
_INSPECT_SPANS = {
    "agent": NodeType.SUB_AGENT,
    "tool": NodeType.TOOL_CALL,
    "scorer": NodeType.VALIDATION,
}


def _inspect_model_facts(event: dict[str, Any]) -> dict[str, Any]:
    output = object_of(event.get("output"))
    usage = object_of(output.get("usage"))
    facts: dict[str, Any] = usage_facts(usage)
    cached = (usage.get("input_tokens_cache_read"), usage.get("input_tokens_cache_write"))
    parts = [usage.get("input_tokens"), usage.get("output_tokens"), *cached]
    counts = [part for part in parts if type(part) is int]
    if any(cached) and usage.get("total_tokens") == sum(counts):
        # the provider counts cached tokens apart from the input; the GenAI names do not
        facts["gen_ai.usage.input_tokens"] = sum(counts) - (integer_of(parts[1]) or 0)
    provider, _, model = text_of(event.get("model")).partition("/")
    facts["gen_ai.provider.name" if model else "gen_ai.request.model"] = provider
    if model:
        facts["gen_ai.request.model"] = model
    if output.get("model"):
        facts["gen_ai.response.model"] = text_of(output["model"])
    return facts
