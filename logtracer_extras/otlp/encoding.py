"""OTLP requests, in protobuf and in JSON."""

from __future__ import annotations

import functools
import os
import struct
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any, NamedTuple

import logtracer
from logtracer import TraceGraph

from ..conventions.values import well_formed
from .spans import spans_of

__all__ = [
    "encode_requests",
    "encoding_of",
    "fields_in",
    "pairs_in",
    "portions_of",
    "resource_attributes",
]


# ---- Fields: how one value is written, in protobuf and in JSON -----------------------------------


@functools.lru_cache(maxsize=1 << 14)  # nearly all are sizes and counts, which come again
def _varint(number: int) -> bytes:
    if number < 0:  # int64 in two's complement
        number += 1 << 64
    result = bytearray()
    while number > 127:
        result.append(number & 127 | 128)
        number >>= 7
    result.append(number)
    return bytes(result)


def _sized(data: bytes) -> bytes:
    return _varint(len(data)) + data


class _Field(NamedTuple):
    """How a field is appended to a protobuf message, and what stands for it in a JSON text."""

    write: Callable[[list[bytes], Any], None]
    to_json: Callable[[Any], str]


def _tag(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _delimited(
    number: int, encode: Callable[[Any], bytes], in_json: Callable[[Any], str]
) -> _Field:
    """Return a field of bytes with their length before them."""
    tag = _tag(number, 2)

    def _write(out: list[bytes], value: Any) -> None:
        data = encode(value)
        out += (tag, _varint(len(data)), data)

    return _Field(_write, in_json)


def _string(number: int) -> _Field:
    return _delimited(number, str.encode, encode_basestring)


def _hex(number: int) -> _Field:
    return _delimited(number, bytes.fromhex, '"{}"'.format)


def _number(number: int) -> _Field:
    """Return a field for a small number: a varint, and a JSON number."""
    tag = _tag(number, 0)

    def _write(out: list[bytes], value: int) -> None:
        out += (tag, _varint(value))

    return _Field(_write, str)


def _nanoseconds_field(number: int) -> _Field:
    """Return a field for a time: eight bytes, and a JSON string because of its size."""
    tag, pack = _tag(number, 1), struct.Struct("<Q").pack

    def _write(out: list[bytes], value: int) -> None:
        out += (tag, pack(value))

    return _Field(_write, '"{}"'.format)


def _many(item: _Field) -> _Field:
    """Return the field for any number of such values."""

    def _write(out: list[bytes], values: Iterable[Any]) -> None:
        for value in values:
            item.write(out, value)

    def _in_json(values: Iterable[Any]) -> str:
        return f"[{','.join(map(item.to_json, values))}]"

    return _Field(_write, _in_json)


@dataclass(frozen=True)
class _Message:
    """A kind of message: its fields by their JSON names."""

    fields: Mapping[str, _Field]

    def encode(self, message: Mapping[str, Any]) -> bytes:
        """Return the message as protobuf."""
        out: list[bytes] = []
        for name, value in message.items():
            self.fields[name].write(out, value)
        return b"".join(out)

    def to_json(self, message: Mapping[str, Any]) -> str:
        """Return the message as OTLP's JSON."""
        fields = self.fields
        members = [f'"{name}":{fields[name].to_json(value)}' for name, value in message.items()]
        return f"{{{','.join(members)}}}"

    def field(self, number: int) -> _Field:
        """Return a field that holds one such message."""
        return _delimited(number, self.encode, self.to_json)


# ---- Attributes: the bulk of every span, so written without detours ------------------------------

_DOUBLE = struct.Struct("<d").pack
_REPEATED = 24  # characters; texts as short as "application/json" often come again
_remember = functools.lru_cache(maxsize=4_096)


def _any_value(value: Any) -> bytes:
    """Return an AnyValue message; `attributes_of` gives only what has a case here."""
    kind = type(value)
    if kind is str:
        return b"\x0a" + _sized(value.encode())
    if kind is bool:
        return b"\x10\x01" if value else b"\x10\x00"
    if kind is int:
        return b"\x18" + _varint(value)
    if kind is float:
        return b"\x21" + _DOUBLE(value)
    items = b"".join([b"\x0a" + _sized(_any_value(item)) for item in value])
    return b"\x2a" + _sized(items)


def _any_json(value: Any) -> str:
    kind = type(value)
    if kind is str:
        return f'{{"stringValue":{encode_basestring(value)}}}'
    if kind is bool:
        return '{"boolValue":true}' if value else '{"boolValue":false}'
    if kind is int:
        return f'{{"intValue":"{value}"}}'
    if kind is float:
        return f'{{"doubleValue":{value!r}}}'
    return f'{{"arrayValue":{{"values":[{",".join(map(_any_json, value))}]}}}}'


@_remember  # the same few names stand on every span
def _key(name: str) -> bytes:
    return b"\x0a" + _sized(name.encode()) + b"\x12"


@_remember
def _key_in_json(name: str) -> str:
    return f'{{"key":{encode_basestring(name)},"value":'


@_remember
def _short_in_json(name: str, value: str) -> str:
    return f"{_key_in_json(name)}{_any_json(value)}}}"


def _attributes_in_json(attributes: Mapping[str, Any]) -> str:
    items = [
        _short_in_json(name, value)
        if type(value) is str and len(value) <= _REPEATED
        else f"{_key_in_json(name)}{_any_json(value)}}}"
        for name, value in attributes.items()
    ]
    return f"[{','.join(items)}]"


def _attributes(number: int) -> _Field:
    tag = _tag(number, 2)

    @_remember
    def _short(name: str, value: str) -> bytes:
        return tag + _sized(_key(name) + _sized(_any_value(value)))

    def _write(out: list[bytes], attributes: Mapping[str, Any]) -> None:
        for name, value in attributes.items():
            if type(value) is str and len(value) <= _REPEATED:
                out.append(_short(name, value))
            else:
                data = _any_value(value)
                key, size = _key(name), _varint(len(data))
                out += (tag, _varint(len(key) + len(size) + len(data)), key, size, data)

    return _Field(_write, _attributes_in_json)


# ---- Schema: opentelemetry/proto/trace/v1/trace.proto, and what it refers to ---------------------

_STATUS = _Message({"message": _string(2), "code": _number(3)})
_EVENT = _Message(
    {"timeUnixNano": _nanoseconds_field(1), "name": _string(2), "attributes": _attributes(3)}
)
_LINK = _Message({"traceId": _hex(1), "spanId": _hex(2), "attributes": _attributes(4)})
_SPAN = _Message(
    {
        "traceId": _hex(1),
        "spanId": _hex(2),
        "parentSpanId": _hex(4),
        "name": _string(5),
        "kind": _number(6),
        "startTimeUnixNano": _nanoseconds_field(7),
        "endTimeUnixNano": _nanoseconds_field(8),
        "attributes": _attributes(9),
        "events": _many(_EVENT.field(11)),
        "links": _many(_LINK.field(13)),
        "status": _STATUS.field(15),
    }
)
_SCOPE = _Message({"name": _string(1), "version": _string(2)})
_RESOURCE = _Message({"attributes": _attributes(1)})
_ENCODED = _delimited(2, bytes, str)  # spans are encoded one by one, as a request grows
_SCOPE_SPANS = _Message({"scope": _SCOPE.field(1), "spans": _many(_ENCODED)})
_RESOURCE_SPANS = _Message({"resource": _RESOURCE.field(1), "scopeSpans": _SCOPE_SPANS.field(2)})
_REQUEST = _Message({"resourceSpans": _RESOURCE_SPANS.field(1)})


# ---- Requests: spans in portions that receivers take ---------------------------------------------

_MAX_SPANS = 2_000  # in one request
_MAX_BYTES = 2 << 20  # in one request before compression; gRPC bridges refuse more than 4 MiB
_SCOPE_FACTS = {"name": "logtracer", "version": logtracer.__version__}


class _Encoding(NamedTuple):
    """A way to write export requests."""

    content_type: str  # exact: receivers refuse it with a charset behind it
    encode: Callable[[Mapping[str, Any]], bytes]
    wrap: Callable[[Mapping[str, Any], list[bytes]], bytes]


def _wrap_protobuf(resource: Mapping[str, Any], spans: list[bytes]) -> bytes:
    scope_spans = {"scope": _SCOPE_FACTS, "spans": spans}
    resource_spans = {"resource": {"attributes": resource}, "scopeSpans": scope_spans}
    return _REQUEST.encode({"resourceSpans": resource_spans})


def _encode_json(span: Mapping[str, Any]) -> bytes:
    return _SPAN.to_json(span).encode()


def _wrap_json(resource: Mapping[str, Any], spans: list[bytes]) -> bytes:
    head = _RESOURCE.to_json({"attributes": resource}).encode()
    return b"".join(
        (
            b'{"resourceSpans":[{"resource":',
            head,
            b',"scopeSpans":[{"scope":',
            _SCOPE.to_json(_SCOPE_FACTS).encode(),
            b',"spans":[',
            b",".join(spans),
            b"]}]}]}",
        )
    )


_ENCODINGS = {
    "http/protobuf": _Encoding("application/x-protobuf", _SPAN.encode, _wrap_protobuf),
    "http/json": _Encoding("application/json", _encode_json, _wrap_json),
}


def encode_requests(
    traces: Iterable[TraceGraph],
    *,
    protocol: str = "http/json",
    resource: Mapping[str, Any] | None = None,
) -> Iterator[bytes]:
    """Yield export requests that hold these traces; in JSON each is one line of an OTLP file."""
    encoding = encoding_of(protocol)
    facts = resource_attributes(resource)
    for spans in portions_of(traces, encoding):
        yield encoding.wrap(facts, spans)


def encoding_of(protocol: str) -> _Encoding:
    if protocol in _ENCODINGS:
        return _ENCODINGS[protocol]
    known = " or ".join(map(repr, _ENCODINGS))
    raise ValueError(f"protocol must be {known}, not {protocol!r}")


def portions_of(traces: Iterable[TraceGraph], encoding: _Encoding) -> Iterator[list[bytes]]:
    waiting: list[bytes] = []
    size = 0
    for trace in traces:
        for span in spans_of(trace):
            data = encoding.encode(span)
            if waiting and (len(waiting) == _MAX_SPANS or size + len(data) > _MAX_BYTES):
                yield waiting
                waiting, size = [], 0
            waiting.append(data)
            size += len(data)
    if waiting:
        yield waiting


def pairs_in(text: str) -> dict[str, str]:
    """Read `key=value,key=value` with percent-encoded values."""
    pairs = (part.partition("=") for part in text.split(",") if "=" in part)
    return {key.strip(): urllib.parse.unquote(value.strip()) for key, _, value in pairs}


def resource_attributes(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return who sends: the service's name, and what else the user says about it."""
    resource: dict[str, Any] = {
        "service.name": "unknown_service",
        "telemetry.sdk.name": "logtracer",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": logtracer.__version__,
        **pairs_in(os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")),
    }
    name = os.environ.get("OTEL_SERVICE_NAME")
    if name:
        resource["service.name"] = name
    resource.update(given or {})
    return {well_formed(key): well_formed(str(value)) for key, value in resource.items()}


def fields_in(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the numbers and texts of a protobuf message; IndexError where it is cut short."""
    position = 0
    while position < len(data):
        tag, position = _read_varint(data, position)
        value, position = _read_varint(data, position)
        if tag & 7 == 2:
            yield tag >> 3, data[position : position + value]
            position += value
        elif tag & 7 == 0:
            yield tag >> 3, value
        else:
            raise ValueError("not an export response")


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[position]
        position += 1
        result |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return result, position
