"""MLflow: a trace with its spans, as the API and the page export it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conventions.values import object_of, objects_in
from ._spans import SpanRecord
from ._values import clean_value, decoded_json
from .otel import span_of

__all__ = ["is_mlflow", "read_mlflow"]


def _mlflow_parts(document: dict[str, Any]) -> tuple[Any, Any]:
    """Return what is said of a trace, and its spans: as answered, as saved, as a table's row."""
    answer = document.get("trace", document)
    if isinstance(answer, dict) and isinstance(answer.get("trace_info"), dict):
        return answer["trace_info"], answer.get("spans")
    if any(isinstance(document.get(name), dict) for name in _ROW_MARKS) and "spans" in document:
        left_out = ("spans", "trace", "request", "response")
        return {key: document[key] for key in document if key not in left_out}, document["spans"]
    return document.get("info"), object_of(document.get("data")).get("spans")


_ROW_MARKS = ("trace_metadata", "request_metadata")  # of `search_traces()`


def is_mlflow(document: dict[str, Any]) -> bool:
    info, spans = _mlflow_parts(document)
    return isinstance(info, dict) and isinstance(spans, list)


def read_mlflow(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    info, records = _mlflow_parts(document)
    for record in objects_in(records, "spans"):
        attributes = record.get("attributes")
        if isinstance(attributes, dict):  # as saved: every value is a JSON text
            attributes = {key: decoded_json(value) for key, value in attributes.items()}
        yield span_of(
            {**record, "attributes": attributes}, source, {"mlflow.info": clean_value(info)}
        )
