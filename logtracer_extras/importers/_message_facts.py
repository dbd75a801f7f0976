"""When a message was said, by which model, and what it used: wherever a tool writes that."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from ..conventions.usage import COST, amount_of, usage_facts
from ..conventions.values import first_of, object_of, well_formed
from ._conversation import Said
from ._values import clock_time

__all__ = ["facts_of_message", "moment_in"]

_INNER = ("extra", "response_metadata", "metadata", "modelInfo", "message")
_TIMES = ("timestamp", "ts", "created_at", "createdAt", "created", "time")
_USAGES = ("usage_metadata", "usageMetadata", "usage", "token_usage", "metrics", "tokens")
_MODELS = (
    "model",
    "model_name",
    "modelName",
    "model_id",
    "modelID",
    "modelId",
    "modelVersion",
    "model_version",
)
_REASONS = ("finish_reason", "stop_reason", "finishReason", "stopReason")


def _places(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a message and what hangs on it, where its facts may stand."""
    yield message
    for name in _INNER:
        inner = object_of(message.get(name))
        if inner:
            yield inner
            yield object_of(inner.get("response"))


def moment_in(message: dict[str, Any]) -> datetime | None:
    """Return when a message was said."""
    for place in _places(message):
        for name in _TIMES:
            moment = clock_time(place.get(name))
            if moment is not None:
                return moment
    return None


def facts_of_message(said: Said, message: dict[str, Any]) -> None:
    """Take the times, the model, the usage and the reason to end that a message tells."""
    _take_times(said, message)
    if said.role != "assistant":
        return
    for place in _places(message):
        for name, value in _facts_in(place).items():
            said.metadata.setdefault(name, value)
    model = said.metadata.get("gen_ai.response.model")
    if not said.name and isinstance(model, str):
        said.name = model


def _take_times(said: Said, message: dict[str, Any]) -> None:
    """Take the times of a message: a provider says when an answer began, others when it was."""
    moment = moment_in(message)
    begins = "created" in message or ("created_at" in message and "object" in message)
    start = clock_time(message.get("start_time")) or (moment if begins else None)
    end = clock_time(first_of(message, "end_time", "completed_at"))
    said.start = said.start or start
    said.end = said.end or end or (None if begins else moment)


def _facts_in(place: dict[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for name in _USAGES:
        facts = usage_facts(object_of(place.get(name)))
        if facts:
            break
    amount = amount_of(first_of(place, "cost", "cost_usd", "total_cost"))
    if amount is not None:
        facts[COST] = amount
    model = first_of(place, *_MODELS)
    if not isinstance(model, str) and isinstance(place.get("id"), str) and "provider" in place:
        model = place["id"]  # as Cline tells it
    if isinstance(model, str) and model:
        facts["gen_ai.response.model"] = well_formed(model)
    provider = first_of(place, "model_provider", "provider")
    if isinstance(provider, str) and provider:
        facts["gen_ai.provider.name"] = well_formed(provider)
    reason = first_of(place, *_REASONS)
    if isinstance(reason, str):
        facts["gen_ai.response.finish_reasons"] = [well_formed(reason)]
    return facts
