"""LangSmith: runs as its API and its exports give them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from logtracer import NodeStatus

from ..conventions.usage import COST, amount_of, usage_facts
from ..conventions.values import first_of, integer_of, object_of, objects_in
from ._spans import SpanRecord, clean_facts
from ._values import (
    SPAN_DIGITS,
    TRACE_DIGITS,
    clean_values,
    hashed_id,
    id_of,
    moment_of,
    optional_text,
    text_of,
    without_none,
)

__all__ = ["is_langsmith", "read_langsmith"]


def is_langsmith(document: dict[str, Any]) -> bool:
    runs = document.get("runs")
    if isinstance(runs, list) and runs and isinstance(runs[0], dict):
        return "run_type" in runs[0]
    return "run_type" in document


def read_langsmith(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    for run in _runs_in(objects_in(document.get("runs", [document]), "runs")):
        name = text_of(run.get("name"))
        attributes = _langsmith_attributes(run)
        span = SpanRecord(
            id_of(first_of(run, "trace_id", "id"), TRACE_DIGITS) or hashed_id(source, TRACE_DIGITS),
            name,
            clean_facts(attributes, name),
            id_of(run.get("id"), SPAN_DIGITS),
            id_of(run.get("parent_run_id"), SPAN_DIGITS),
            _langsmith_moment(run.get("start_time")),
            _langsmith_moment(run.get("end_time")),
        )
        if run.get("error") or run.get("status") == "error":
            _read_langsmith_error(span, text_of(run.get("error")))
        yield span


def _runs_in(runs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield every run, those within others too, which need not name what they are within."""
    waiting = runs[::-1]
    while waiting:
        run = waiting.pop()
        above = {"parent_run_id": run.get("id"), "trace_id": first_of(run, "trace_id", "id")}
        below = objects_in(run.get("child_runs"), "child_runs")
        waiting += [{**above, **without_none(child)} for child in reversed(below)]
        yield run


def _langsmith_moment(value: Any) -> datetime | None:
    """Return a time given as text, or in milliseconds as the JavaScript library counts it."""
    milliseconds = integer_of(value)
    return moment_of(value if milliseconds is None else milliseconds * 1_000_000)


_LANGSMITH_TAKEN = {
    "name",
    "run_type",
    "inputs",
    "outputs",
    "error",
    "trace_id",
    "parent_run_id",
    "child_runs",
    "start_time",
    "end_time",
}


def _langsmith_attributes(run: dict[str, Any]) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        f"langsmith.{key}": value
        for key, value in run.items()
        if key not in _LANGSMITH_TAKEN and value not in (None, "", [], {})
    }
    attributes["langsmith.span.kind"] = run.get("run_type")
    for name, key in (("input.value", "inputs"), ("output.value", "outputs")):
        if run.get(key):
            attributes[name] = run[key]
    extra = object_of(run.get("extra"))
    facts, asked = object_of(extra.get("metadata")), object_of(extra.get("invocation_params"))
    attributes["gen_ai.provider.name"] = facts.get("ls_provider")
    model = facts.get("ls_model_name") or first_of(asked, "model", "model_name")
    attributes["gen_ai.request.model"] = model
    if run.get("run_type") == "llm":  # a chain repeats the usage of the calls in it
        attributes.update(_langsmith_usage(run, facts))
        attributes.setdefault(COST, amount_of(run.get("total_cost")))
    return clean_values({key: value for key, value in attributes.items() if value is not None})


def _langsmith_usage(run: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """Return the token counts of a call, from the first of the places that have any."""
    outputs = object_of(run.get("outputs"))
    old = object_of(outputs.get("llm_output")).get("token_usage")
    message = _langchain_message(outputs)
    places = (
        facts.get("usage_metadata"),
        outputs.get("usage_metadata"),
        run,
        message.get("usage_metadata"),
        old,
        outputs.get("usage"),
    )
    return next(filter(None, (usage_facts(object_of(place)) for place in places)), {})


def _langchain_message(outputs: dict[str, Any]) -> dict[str, Any]:
    """Return what the first message says that a chat model of LangChain answered."""
    found: Any = outputs.get("generations")
    while isinstance(found, list) and found:
        found = found[0]
    message = object_of(object_of(found).get("message"))
    return object_of(message.get("kwargs")) or message


def _read_langsmith_error(span: SpanRecord, text: str) -> None:
    """Divide `ValueError('why')`, an empty line and a traceback."""
    span.status = NodeStatus.FAILED
    message, found, traceback = text.partition("Traceback (most recent call last)")
    span.error = message.strip() or optional_text(text)
    span.error_traceback = found + traceback if found else None
    name = re.match(r"([A-Za-z_][\w.]*)\(", text)
    span.error_type = name[1] if name else None
