"""Values of attributes and documents: read whatever stands there, write what all receivers take.

What cannot be read is None or empty; a list that must hold objects and does not is a
TraceLoadError, because going on without it would lose steps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from logtracer import TraceLoadError

__all__ = [
    "MOST_CHARACTERS",
    "as_text",
    "first_of",
    "integer_of",
    "is_simple",
    "mapping",
    "object_of",
    "objects_in",
    "parse_json",
    "to_json",
    "well_formed",
]


def first_of(record: Mapping[str, Any], *names: str) -> Any:
    """Return what stands under the first of these names that says anything."""
    for name in names:
        value = record.get(name)
        if value is not None:
            return value
    return None


def objects_in(value: Any, what: str) -> list[dict[str, Any]]:
    """Return a list of objects; an absent one is empty, anything else is refused."""
    if value is None:
        return []
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return value
    raise TraceLoadError(f"{what} must be a list of objects, not {_brief(value)}")


def object_of(value: Any) -> dict[str, Any]:
    """Return an object as it is; anything else is an empty one."""
    return value if isinstance(value, dict) else {}


def integer_of(value: Any) -> int | None:
    """Return a whole number given as one, as a float or as digits."""
    try:
        if isinstance(value, str):
            return int(value) if value.lstrip("-").isdecimal() and len(value) < 40 else None
        return int(value) if isinstance(value, (int, float)) else None
    except (ValueError, OverflowError):
        return None


def _brief(value: Any) -> str:
    """Return a value as a short text for a message."""
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."


MOST_CHARACTERS = 1 << 63  # integers on the wire are signed and have 64 bits


def is_simple(value: Any) -> bool:
    """Tell whether an OpenTelemetry attribute can carry the value as it is."""
    kind = type(value)
    if kind is str:
        return bool(value.isascii()) or value == well_formed(value)
    if kind is int:
        return bool(-MOST_CHARACTERS <= value < MOST_CHARACTERS)
    if kind is float:
        return bool(value - value == 0.0)  # one NaN costs a receiver's whole batch
    if kind is list and value and type(value[0]) is not list:
        return len({type(item) for item in value}) == 1 and all(map(is_simple, value))
    return kind is bool


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def to_json(value: Any) -> str:
    """Return compact JSON; what JSON cannot carry becomes its text."""
    try:
        text = _encode(value)
    except (TypeError, ValueError, RecursionError):
        text = json.dumps(_bounded(value), ensure_ascii=False, default=repr, separators=(",", ":"))
    return well_formed(text)


def well_formed(text: str) -> str:
    """Spell out lone surrogates, which no UTF-8 receiver takes."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


_MAX_DEPTH = 24  # levels; the tracer records no deeper ones


def _bounded(value: Any, depth: int = 0) -> Any:
    """Return the value with nothing in it that JSON refuses and nothing too deep to read."""
    if isinstance(value, float) and value - value != 0.0:
        return repr(value)
    if not isinstance(value, (dict, list, tuple)):
        return value
    if depth == _MAX_DEPTH:
        return "[TRUNCATED: too deep]"
    if isinstance(value, dict):
        return {str(key): _bounded(item, depth + 1) for key, item in value.items()}
    return [_bounded(item, depth + 1) for item in value]


def as_text(value: Any) -> str:
    return well_formed(value) if isinstance(value, str) else to_json(value)


def parse_json(value: Any) -> Any:
    """Return what a JSON text holds; anything else as it is."""
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value, parse_constant=str)
    except (ValueError, RecursionError):
        return value


def mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
