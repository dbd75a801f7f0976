"""Values of foreign documents: texts, ids and times, total whatever stands there."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from ..conventions.values import integer_of, to_json, well_formed

__all__ = [
    "MAX_DEPTH",
    "NO_SPAN",
    "SPAN_DIGITS",
    "TRACE_DIGITS",
    "clean_value",
    "clean_values",
    "clock_time",
    "decoded_json",
    "hashed_id",
    "id_of",
    "known_id",
    "moment_of",
    "optional_text",
    "span_id_of",
    "text_of",
    "without_none",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def text_of(value: Any) -> str:
    if isinstance(value, str):
        return well_formed(value)
    return "" if value is None else to_json(value)


def optional_text(value: Any) -> str | None:
    return None if value in (None, "") else text_of(value)


MAX_DEPTH = 24  # levels of containers in one value


def clean_value(value: Any, depth: int = 0) -> Any:
    """Return the value as data that every store takes; its deepest levels as one JSON text."""
    if isinstance(value, str):
        return well_formed(value)
    if not isinstance(value, (dict, list)):
        return value
    if depth == MAX_DEPTH:
        return to_json(value)
    if isinstance(value, list):
        return [clean_value(item, depth + 1) for item in value]
    return {well_formed(str(key)): clean_value(item, depth + 1) for key, item in value.items()}


def clean_values(values: Mapping[str, Any]) -> dict[str, Any]:
    return {well_formed(str(key)): clean_value(value) for key, value in values.items()}


SPAN_DIGITS = 16
TRACE_DIGITS = 32
_HEX = re.compile(r"(?:0x)?([0-9a-fA-F]{1,32})")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


NO_SPAN = "0" * SPAN_DIGITS  # what says "none"; a scrubbed file may mean a span by it


def span_id_of(value: Any) -> str | None:
    """Return a span's id; zeros stay zeros, because others may point to them."""
    is_zero = isinstance(value, str) and len(value) >= SPAN_DIGITS and not value.strip("0")
    return NO_SPAN if is_zero else id_of(value, SPAN_DIGITS)


def id_of(value: Any, digits: int) -> str | None:
    """Return an id as lower-case hex of this size, None when there is none.

    Takes hex of either case, with 0x or without leading zeros, base64, UUIDs and numbers; any
    other text is hashed, so that equal ids stay equal.
    """
    if value is None or value == "" or isinstance(value, (dict, list, bool)):
        return None
    text = format(value, "x") if type(value) is int and value > 0 else str(value)
    found = known_id(text, digits) or hashed_id(text, digits)
    return found if found.strip("0") else None


def hashed_id(text: str, digits: int) -> str:
    return hashlib.sha256(well_formed(text).encode()).hexdigest()[:digits]


def known_id(text: str, digits: int) -> str | None:
    found = _HEX.fullmatch(text)
    if found and len(found[1]) <= digits:
        return found[1].lower().rjust(digits, "0")
    if digits == TRACE_DIGITS and _UUID.fullmatch(text):
        return text.replace("-", "").lower()
    if len(text) in (digits * 3 // 4, -(-digits * 2 // 3)):  # with and without its padding
        return _from_base64(text, digits)
    return None


def _from_base64(text: str, digits: int) -> str | None:
    try:
        standard = text.replace("-", "+").replace("_", "/")
        found = base64.b64decode(standard + "=" * (-len(text) % 4), validate=True).hex()
    except (binascii.Error, ValueError):
        return None
    return found if len(found) == digits else None


_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9})\d*)?\s*(Z|[+-]\d\d:?\d\d)?", re.ASCII
)


def moment_of(value: Any) -> datetime | None:
    """Return a time given as nanoseconds, as [seconds, nanoseconds] or as ISO 8601 text."""
    if isinstance(value, list) and len(value) == 2:
        seconds, nanoseconds = integer_of(value[0]), integer_of(value[1])
        if seconds is None or nanoseconds is None:
            return None
        return _from_nanoseconds(seconds * 1_000_000_000 + nanoseconds)
    number = integer_of(value)
    if number is not None:
        return _from_nanoseconds(number) if number else None
    return _from_iso(value) if isinstance(value, str) else None


_CLOCK_UNITS = (  # a number of this size or more is a time in units of so many nanoseconds
    (10**17, 1),
    (10**14, 1_000),
    (10**11, 1_000_000),
    (10**8, 1_000_000_000),
)


def clock_time(value: Any) -> datetime | None:
    """Return a time given as ISO 8601 text or as a number, whose size tells its unit."""
    try:
        number = float(value) if not isinstance(value, (bool, list, dict)) else None
    except (TypeError, ValueError, OverflowError):
        return _from_iso(value) if isinstance(value, str) else None
    if number is None or not number < 10**19:
        return None
    for least, nanoseconds in _CLOCK_UNITS:
        if number >= least:
            whole = integer_of(value)
            return _from_nanoseconds(
                whole * nanoseconds if whole == number else round(number * nanoseconds)
            )
    return None


def _from_nanoseconds(number: int) -> datetime | None:
    try:
        return _EPOCH + timedelta(microseconds=(number + 500) // 1_000)
    except OverflowError:
        return None


def _from_iso(text: str) -> datetime | None:
    found = _ISO.fullmatch(text.strip())
    if found is None:
        return None
    day, time, fraction, zone = found.groups()
    zone = "+00:00" if zone in (None, "Z") else zone
    zone = zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"
    try:
        moment = datetime.fromisoformat(f"{day}T{time}.{(fraction or '')[:6]:0<6}{zone}")
        return moment.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


def decoded_json(value: Any) -> Any:
    try:
        return json.loads(value, parse_constant=str) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value


def without_none(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if value is not None}
