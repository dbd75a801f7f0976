"""Read values of documents that somebody else wrote: whatever stands there, nothing breaks.

What cannot be read is None or empty; a list that must hold objects and does not is a
TraceLoadError, because going on without it would lose steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from logtracer import TraceLoadError

__all__ = ["first_of", "integer_of", "object_of", "objects_in"]


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
