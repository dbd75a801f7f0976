"""Reading what SDKs and frameworks hand out: objects or dictionaries, with or without a field."""

from __future__ import annotations

from typing import Any

# The types of what SDKs put where nothing was given.
_GAPS = frozenset(
    {"NotGiven", "NotGivenType", "Omit", "OmitType", "PydanticUndefinedType", "UNSET", "Unset"}
    | {"UnsetType", "_NotGiven", "_Unset"}
)


def read(value: Any, *names: str) -> Any:
    """Return a field of an object or a dictionary, nested ones too; None when it is not there."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else getattr(value, name, None)
    return value


def read_extra(value: Any, *names: str) -> Any:
    """Return the first of some fields that only some servers send.

    Asking an SDK's object for what it has not costs more than all that it has, so this looks
    where such objects keep what they do not know.
    """
    extra = value if isinstance(value, dict) else getattr(value, "model_extra", None)
    return first(*map(extra.get, names)) if extra else None


def fields_of(value: Any) -> dict[str, Any]:
    """Return all fields of an object or a dictionary, those that its class does not know too."""
    if isinstance(value, dict):
        return value
    extra = getattr(value, "model_extra", None) or {}
    return {**getattr(value, "__dict__", {}), **extra}


def plain(value: Any) -> Any:
    """Return objects of an SDK, nested ones too, as dictionaries of what they hold."""
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict) or hasattr(value, "model_fields_set"):
        fields = fields_of(value)
        return {name: plain(field) for name, field in fields.items() if field is not None}
    return value


def first(*values: Any) -> Any:
    """Return the first value that is not None."""
    return next((value for value in values if value is not None), None)


def known(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts that there are: those that are not None, nor an SDK's word for not given."""
    return {name: fact for name, fact in facts.items() if fact is not None and is_given(fact)}


def is_given(value: Any) -> bool:
    """Tell whether a value was given, and is not what an SDK puts where nothing was."""
    return type(value).__name__ not in _GAPS


def without_gaps(value: Any) -> Any:
    """Return a value without the parts that were not given; the same object when it has none."""
    if isinstance(value, dict):
        kept = {key: without_gaps(item) for key, item in value.items() if is_given(item)}
        is_same = len(kept) == len(value) and all(kept[key] is value[key] for key in kept)
        return value if is_same else kept
    if isinstance(value, list):
        items = [without_gaps(item) for item in value if is_given(item)]
        is_same = len(items) == len(value) and all(map(_is, items, value))
        return value if is_same else items
    return value


def _is(one: Any, other: Any) -> bool:
    return one is other
