"""What documents are: how many of them have a format, and what the others call themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ._values import text_of

__all__ = ["brief_keys", "count_kinds", "kind_of", "most_are", "sample_of"]

_WORDS = ("type", "kind", "event", "record_type", "event_type", "object", "level")
_MOST_CHARACTERS = 60  # of a kind's name
_MOST_KINDS = 50  # counted by name; a file with more has no kinds but texts
_JSON_TYPES = {dict: "object", list: "list", str: "text", bool: "boolean", type(None): "null"}
_SAMPLE = 200  # items looked at to tell what a list is of


def kind_of(document: Any) -> str:
    """Return what a document calls itself, else the names of its first keys."""
    if not isinstance(document, dict):
        return _JSON_TYPES.get(type(document), "number")
    for word in _WORDS:
        value = document.get(word)
        if isinstance(value, str) and value:
            return text_of(value)[:_MOST_CHARACTERS]
    return brief_keys(document)[:_MOST_CHARACTERS]


def count_kinds(documents: Iterable[Any]) -> dict[str, int]:
    """Count documents by what they call themselves; rare names of very many count as others."""
    counts: dict[str, int] = {}
    for document in documents:
        kind = kind_of(document)
        kind = kind if kind in counts or len(counts) < _MOST_KINDS else "others"
        counts[kind] = counts.get(kind, 0) + 1
    return counts


def sample_of(items: list[Any]) -> list[Any]:
    """Return items from all over a list, enough to tell what most of them are."""
    return items[:: max(1, len(items) // _SAMPLE)]


def most_are(has_form: Callable[[Any], bool], items: list[Any]) -> bool:
    """Tell whether at least half of some items have a form; none have it when there are none."""
    return bool(items) and 2 * sum(map(has_form, items)) >= len(items)


_TELLING = ("schema_version", "version", "format", "type", "kind", "role", "id", "name")
_MOST_KEYS = 8


def brief_keys(document: dict[str, Any]) -> str:
    """Return the keys of an object for a message, those first that tell what it is."""
    known = [key for key in _TELLING if key in document]
    keys = known + [str(key) for key in document if key not in known]
    shown = ", ".join(text_of(key)[:_MOST_CHARACTERS] for key in keys[:_MOST_KEYS])
    return shown + (", ..." if len(keys) > _MOST_KEYS else "")
