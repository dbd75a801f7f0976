"""Send traces to any OpenTelemetry receiver, or write them as OTLP files.

    from logtracer import Tracer
    from logtracer_extras.otlp import OTLPStore

    tracer = Tracer(storage=OTLPStore("http://localhost:4318"))

Each node becomes a span with the GenAI and the OpenInference attributes, each typed edge a span
link. `logtracer_extras.importers` reads such spans back whole. The standard `OTEL_...` variables
are honoured; arguments win over them. Nothing is read back from a receiver: to keep a copy, write
to several stores with `TeeStore`; to keep the network away from your code, wrap this one in
`BackgroundStore`.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.client
import ipaddress
import json
import logging
import os
import random
import re
import ssl
import struct
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from json.encoder import encode_basestring
from threading import get_ident
from typing import Any, NamedTuple

import logtracer
from logtracer import Edge, EdgeType, Node, NodeStatus, StoreError, TraceGraph
from logtracer_extras.conventions import attributes_of, to_json, well_formed

__all__ = ["OTLPStore", "encode_requests", "spans_of"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LATEST = (1 << 63) - 1  # nanoseconds; some receivers read them as signed

# ---- A trace as spans ----------------------------------------------------------------------------

_CLIENT_TYPES = frozenset({"llm_call", "retrieval"})  # they usually ask another service
_KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
_OK, _ERROR = 1, 2
_HEX_16 = re.compile(r"(?!0{16})[0-9a-f]{16}").fullmatch
_HEX_32 = re.compile(r"(?!0{32})[0-9a-f]{32}").fullmatch


def spans_of(trace: TraceGraph) -> Iterator[dict[str, Any]]:
    """Yield each node as a span: OTLP's field names, whole numbers, flat attributes."""
    span_ids = {node_id: _span_id(node_id) for node_id in trace.nodes}
    links, dangling = _links_by_target(trace, span_ids)
    common = _common_attributes(trace)
    header = _header(trace, dangling)
    trace_id = _trace_id(trace.trace_id)
    for node in trace.nodes.values():
        span = _span(node, trace, span_ids)
        span["traceId"] = trace_id
        attributes = span["attributes"]
        attributes.update(common)
        if header:
            attributes["logtracer.trace"] = header
            header = ""  # once for each trace
        if node.id in links:
            span["links"] = [{"traceId": trace_id, **link} for link in links[node.id]]
            attributes["logtracer.edges"] = _edges_text(links[node.id])
        yield span


def _span_id(node_id: str) -> str:
    """Return the id a span can have; a foreign one is hashed and travels as an attribute."""
    return node_id if _HEX_16(node_id) else _hashed(node_id)[:16]


def _trace_id(trace_id: str) -> str:
    return trace_id if _HEX_32(trace_id) else _hashed(trace_id)[:32]


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def _span(node: Node, trace: TraceGraph, span_ids: Mapping[str, str]) -> dict[str, Any]:
    attributes = attributes_of(node)
    attributes["logtracer.node.sequence_number"] = node.sequence_number
    start, end = _times(node, trace, attributes)
    span: dict[str, Any] = {
        "spanId": span_ids[node.id],
        "name": well_formed(node.name),
        "kind": _kind(node),
        "startTimeUnixNano": start,
        "endTimeUnixNano": end,
        "attributes": attributes,
    }
    if node.id != span["spanId"]:
        attributes["logtracer.node.id"] = well_formed(node.id)
    if node.parent_id is not None:
        span["parentSpanId"] = span_ids.get(node.parent_id) or _span_id(node.parent_id)
        if node.parent_id != span["parentSpanId"]:
            attributes["logtracer.node.parent_id"] = well_formed(node.parent_id)
    _add_status(span, node)
    return span


def _kind(node: Node) -> int:
    known = node.metadata.get("otel.kind") if "otel.kind" in node.metadata else None
    if isinstance(known, str) and known in _KINDS:
        return _KINDS[known]
    return _KINDS["client"] if node.node_type in _CLIENT_TYPES else _KINDS["internal"]


def _times(node: Node, trace: TraceGraph, attributes: dict[str, Any]) -> tuple[int, int]:
    """Return start and end; a span must have both, so the missing ones are marked."""
    start = node.start_time
    if start is None:
        attributes["logtracer.node.no_start"] = True
        parent = trace.nodes.get(node.parent_id or "")
        start = (parent and parent.start_time) or trace.start_time or _EPOCH
    if node.end_time is None:
        attributes["logtracer.node.no_end"] = True
    return _nanoseconds(start), _nanoseconds(node.end_time or start)


def _nanoseconds(moment: datetime) -> int:
    since = moment - _EPOCH  # dividing it by a microsecond takes three times as long
    seconds = since.days * 86_400 + since.seconds
    return min(max((seconds * 1_000_000 + since.microseconds) * 1_000, 0), _LATEST)


def _add_status(span: dict[str, Any], node: Node) -> None:
    attributes = span["attributes"]
    if node.status == NodeStatus.COMPLETED:
        span["status"] = {"code": _OK}
    elif node.status == NodeStatus.FAILED:
        span["status"] = {"code": _ERROR, "message": well_formed(node.error or "")}
    else:
        attributes["logtracer.node.status"] = node.status.value
    exception = _exception(node)
    if exception:
        attributes["error.type"] = exception.get("exception.type") or "_OTHER"
        moment = span["endTimeUnixNano"]
        span["events"] = [{"timeUnixNano": moment, "name": "exception", "attributes": exception}]


def _exception(node: Node) -> dict[str, str]:
    if node.error is None and node.error_type is None and node.error_traceback is None:
        return {}  # as nearly always
    fields = {
        "exception.type": node.error_type,
        "exception.message": node.error,
        "exception.stacktrace": node.error_traceback,
    }
    return {name: well_formed(text) for name, text in fields.items() if text is not None}


def _common_attributes(trace: TraceGraph) -> dict[str, Any]:
    """Return whose trace it is, for every span: receivers filter spans, not traces."""
    session, user, tags = (trace.metadata.get(key) for key in ("session_id", "user_id", "tags"))
    common: dict[str, Any] = {}
    if isinstance(session, str) and session:
        common["session.id"] = common["gen_ai.conversation.id"] = well_formed(session)
    if isinstance(user, str) and user:
        common["user.id"] = well_formed(user)
    if isinstance(tags, (list, tuple)) and tags:
        common["tag.tags"] = [well_formed(str(tag)) for tag in tags]
    return common


def _header(trace: TraceGraph, dangling: list[Edge]) -> str:
    """Return, as JSON, what no span says: it travels with the first one."""
    header: dict[str, Any] = {"name": trace.name, "metadata": trace.metadata}
    if not _HEX_32(trace.trace_id):
        header["trace_id"] = trace.trace_id
    for name, moment in (("start_time", trace.start_time), ("end_time", trace.end_time)):
        if moment is not None:
            header[name] = moment.isoformat(timespec="microseconds")
    if dangling:
        header["edges"] = [edge.to_dict() for edge in dangling]
    return to_json(header)


def _links_by_target(
    trace: TraceGraph, span_ids: Mapping[str, str]
) -> tuple[dict[str, list[dict[str, Any]]], list[Edge]]:
    """Return each node's links to earlier ones, and the edges whose ends are not both here.

    The edge from a parent to its child is left out: it says no more than the parent's id.
    """
    links: dict[str, list[dict[str, Any]]] = {}
    dangling = []
    told: set[str] = set()
    for edge in trace.edges:
        if edge.source_id not in span_ids or edge.target_id not in span_ids:
            dangling.append(edge)
        elif edge.target_id not in told and _is_tree_edge(edge, trace):
            told.add(edge.target_id)
        else:
            link = {"spanId": span_ids[edge.source_id], "attributes": _edge_attributes(edge)}
            links.setdefault(edge.target_id, []).append(link)
    return links, dangling


def _is_tree_edge(edge: Edge, trace: TraceGraph) -> bool:
    is_parent = trace.nodes[edge.target_id].parent_id == edge.source_id != edge.target_id
    is_plain = edge.edge_type == EdgeType.CAUSED_BY and not edge.label and not edge.metadata
    return is_parent and is_plain


def _edge_attributes(edge: Edge) -> dict[str, Any]:
    attributes = {"logtracer.edge.type": well_formed(str(edge.edge_type))}
    if edge.label:
        attributes["logtracer.edge.label"] = well_formed(edge.label)
    if edge.metadata:
        attributes["logtracer.edge.metadata"] = to_json(edge.metadata)
    return attributes


def _edges_text(links: list[dict[str, Any]]) -> str:
    """Repeat the links as text: some receivers take a span and lose its links."""
    return to_json([{"source": link["spanId"], **link["attributes"]} for link in links])


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
    encoding = _encoding(protocol)
    facts = _resource(resource)
    for spans in _portions(traces, encoding):
        yield encoding.wrap(facts, spans)


def _encoding(protocol: str) -> _Encoding:
    if protocol in _ENCODINGS:
        return _ENCODINGS[protocol]
    known = " or ".join(map(repr, _ENCODINGS))
    raise ValueError(f"protocol must be {known}, not {protocol!r}")


def _portions(traces: Iterable[TraceGraph], encoding: _Encoding) -> Iterator[list[bytes]]:
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


# ---- Settings: arguments first, then the standard variables --------------------------------------


def _setting(name: str) -> str | None:
    """Return OTEL_EXPORTER_OTLP_TRACES_<name>, else OTEL_EXPORTER_OTLP_<name>."""
    for prefix in ("OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"):
        value = os.environ.get(prefix + name, "").strip()
        if value:
            return value
    return None


def _pairs(text: str) -> dict[str, str]:
    """Read `key=value,key=value` with percent-encoded values."""
    pairs = (part.partition("=") for part in text.split(",") if "=" in part)
    return {key.strip(): urllib.parse.unquote(value.strip()) for key, _, value in pairs}


def _resource(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return who sends: the service's name, and what else the user says about it."""
    resource: dict[str, Any] = {
        "service.name": "unknown_service",
        "telemetry.sdk.name": "logtracer",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": logtracer.__version__,
        **_pairs(os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")),
    }
    name = os.environ.get("OTEL_SERVICE_NAME")
    if name:
        resource["service.name"] = name
    resource.update(given or {})
    return {well_formed(key): well_formed(str(value)) for key, value in resource.items()}


_TRACES_PATH = "/v1/traces"


def _endpoint(given: str | None) -> str:
    """Return the full URL; the path of the traces is added to a base URL."""
    if given is None:
        exact = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "").strip()
        if exact:
            return exact
        given = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
    parts = urllib.parse.urlsplit(given or "http://localhost:4318")
    path = parts.path.rstrip("/")
    if not path.endswith(_TRACES_PATH):
        path += _TRACES_PATH
    return urllib.parse.urlunsplit(parts._replace(path=path))


_CREDENTIAL = re.compile(r"(?i)auth|key|token|secret|cookie|password|credential|team|signature")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def _check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"headers: {name!r} is not a header's name")
        if not (isinstance(value, str) and value.isprintable() and value.isascii()):
            raise ValueError(f"headers: the value of {name!r} is not printable ASCII text")
    return {name.lower(): value for name, value in headers.items()}


def _check_endpoint(url: str, headers: Mapping[str, str]) -> str:
    """Refuse what could send credentials where they do not belong; return the URL."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"endpoint must be an http:// or https:// URL, not {parts.scheme!r}")
    if "@" in parts.netloc:
        raise ValueError("endpoint must not hold a user name or password; use headers")
    asked = [name for name, _ in urllib.parse.parse_qsl(parts.query, keep_blank_values=True)]
    secret = next((name for name in (*headers, *asked) if _CREDENTIAL.search(name)), None)
    if parts.scheme == "http" and secret and not _is_loopback(parts.hostname):
        raise ValueError(f"{secret!r} would cross the network unencrypted; use https://")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# ---- Delivery: one request, over HTTP ------------------------------------------------------------

_RETRY = frozenset({429, 502, 503, 504})  # what the OTLP specification calls retryable
_MAX_ANSWER = 64 << 10  # bytes that are read of an answer


class _Answer(NamedTuple):
    """What a receiver said."""

    status: int
    content_type: str
    retry_after: str
    body: bytes


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Leave redirects alone: following one sends headers to a stranger and loses the body."""

    def redirect_request(self, *_: Any) -> None:
        """Follow nothing."""


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Return a client for the URL: no redirects, and a proxy only where it cannot look inside."""
    proxies = {k: v for k, v in urllib.request.getproxies().items() if k == "https"}
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.ProxyHandler(proxies),
        _NoRedirect(),
    ]
    if url.startswith("https:"):
        handlers.append(urllib.request.HTTPSHandler(context=_certificates()))
    return urllib.request.build_opener(*handlers)


def _certificates() -> ssl.SSLContext:
    """Return whom to trust and who we are, as the variables say."""
    authority, own = _setting("CERTIFICATE"), _setting("CLIENT_CERTIFICATE")
    try:
        context = ssl.create_default_context(cafile=authority)
        if own:
            context.load_cert_chain(own, _setting("CLIENT_KEY"))
    except OSError as error:  # an ssl.SSLError is one too
        raise ValueError(f"the certificates {authority} and {own}: {error}") from None
    return context


def _post(
    opener: urllib.request.OpenerDirector, request: urllib.request.Request, timeout: float
) -> _Answer:
    try:
        with opener.open(request, timeout=timeout) as response:
            return _answer(response.status, response)
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error.code, error)


def _answer(status: int, response: Any) -> _Answer:
    headers = response.headers
    kind = (headers.get("Content-Type") or "").partition(";")[0].strip()
    return _Answer(status, kind, headers.get("Retry-After") or "", response.read(_MAX_ANSWER))


def _seconds(retry_after: str) -> float | None:
    """Read a Retry-After header: seconds, or a date."""
    if retry_after.isdecimal():
        return float(retry_after)
    try:
        moment = parsedate_to_datetime(retry_after)
        return max((moment - datetime.now(timezone.utc)).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return None


# ---- Answers: how many spans a receiver refused --------------------------------------------------


def _rejected(answer: _Answer) -> tuple[int, str]:
    """Return how many spans were refused by a request that succeeded, and why."""
    try:
        if answer.content_type == "application/json":
            return _rejected_in_json(json.loads(answer.body or b"{}"))
        partial = dict(_fields(answer.body)).get(1, b"")
        inner = dict(_fields(partial if isinstance(partial, bytes) else b""))
    except (ValueError, IndexError, TypeError, OverflowError, RecursionError):
        return 0, ""  # a receiver that says 200 with a body of its own, as some do
    count, reason = inner.get(1, 0), inner.get(2, b"")
    text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else ""
    return (count if isinstance(count, int) else 0), text


def _rejected_in_json(answer: Any) -> tuple[int, str]:
    partial = answer.get("partialSuccess") if isinstance(answer, dict) else None
    if not isinstance(partial, dict):
        return 0, ""
    return int(partial.get("rejectedSpans") or 0), str(partial.get("errorMessage") or "")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
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


# ---- Store ---------------------------------------------------------------------------------------

_log = logging.getLogger("logtracer")


class _Refused(StoreError):
    """One request was refused for what is in it; the next may be taken."""


class OTLPStore:
    """Send every finished trace to an OpenTelemetry receiver over HTTP.

    Args:
        endpoint: the receiver's URL; `/v1/traces` is added unless it ends so.
        headers: sent with each request, such as an API key. Credentials go over https only, or
            to this machine.
        protocol: "http/protobuf" (what every receiver takes) or "http/json".
        compression: "gzip" or "none".
        timeout: seconds for one request.
        retry_for: seconds for which a busy receiver (429, 502, 503, 504) is asked again.
        service_name: shown by receivers as the sender.
        resource: more facts about the sender.

    A proxy named by the environment is used for https only. Raises ValueError for a setting that
    cannot work; `save` raises StoreError when a trace, or a part of it, did not arrive.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        protocol: str | None = None,
        compression: str | None = None,
        timeout: float | None = None,
        retry_for: float = 30.0,
        service_name: str | None = None,
        resource: Mapping[str, Any] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._headers = _check_headers({**_pairs(_setting("HEADERS") or ""), **(headers or {})})
        self._url = _check_endpoint(_endpoint(endpoint), self._headers)
        self._protocol = protocol or _setting("PROTOCOL") or "http/protobuf"
        _encoding(self._protocol)  # an unknown one is refused here
        self._compression = compression or _setting("COMPRESSION") or "gzip"
        if self._compression not in ("gzip", "none"):
            raise ValueError(f"compression must be 'gzip' or 'none', not {self._compression!r}")
        self._timeout = _timeout(timeout)
        self._retry_for = retry_for
        named = {} if service_name is None else {"service.name": service_name}
        self._resource = _resource({**(resource or {}), **named})
        self._sleep, self._clock = sleep, clock
        self._opener: urllib.request.OpenerDirector | None = _opener(self._url)
        self._counts: dict[int, Counter[str]] = {}  # by thread, so that no lock is needed

    def __repr__(self) -> str:
        return f"OTLPStore({self._shown_url!r})"  # never the headers

    def __getstate__(self) -> dict[str, Any]:
        """Travel to another process without the client and the counts, which stay here."""
        return {**self.__dict__, "_opener": None, "_counts": {}}

    def save(self, trace: TraceGraph) -> None:
        """Send a trace, in as many requests as it takes."""
        refused: list[_Refused] = []
        for spans in _portions([trace], _encoding(self._protocol)):
            try:
                self._send(spans)
            except _Refused as error:
                refused.append(error)
        if refused:
            raise refused[0]

    def load(self, trace_id: str) -> TraceGraph | None:
        """Return None: a receiver is not asked for what it was sent."""
        return None

    def list_traces(self) -> list[str]:
        """Return nothing: a receiver is not asked for what it was sent."""
        return []

    def stats(self) -> dict[str, int]:
        """Return the numbers of spans sent and rejected, of requests and of retries."""
        total: Counter[str] = Counter()
        for counts in list(self._counts.values()):
            total.update(counts)
        return {name: total[name] for name in ("sent", "rejected", "failed", "requests", "retries")}

    @property
    def _shown_url(self) -> str:
        """The URL without its query, where some services want a key."""
        return urllib.parse.urlunsplit(urllib.parse.urlsplit(self._url)._replace(query=""))

    def _count(self, name: str, number: int = 1) -> None:
        self._counts.setdefault(get_ident(), Counter())[name] += number

    def _send(self, spans: list[bytes]) -> None:
        request = self._request(_encoding(self._protocol).wrap(self._resource, spans))
        try:
            answer = self._deliver(request)
            self._check(answer)
        except StoreError:
            self._count("failed", len(spans))
            raise
        rejected, reason = _rejected(answer)
        rejected = min(max(rejected, 0), len(spans))
        self._count("rejected", rejected)
        self._count("sent", len(spans) - rejected)
        if rejected:
            _log.warning("%s rejected %d spans: %s", self._shown_url, rejected, self._safe(reason))

    def _request(self, body: bytes) -> urllib.request.Request:
        headers = {
            "user-agent": f"logtracer/{logtracer.__version__}",
            **self._headers,
            "content-type": _encoding(self._protocol).content_type,
        }
        if self._compression == "gzip":
            body = gzip.compress(body, compresslevel=1, mtime=0)  # level 9 saves little, costs much
            headers["content-encoding"] = "gzip"
        return urllib.request.Request(self._url, body, headers, method="POST")

    def _deliver(self, request: urllib.request.Request) -> _Answer:
        """Post a request, again and again while the receiver is busy."""
        give_up = self._clock() + self._retry_for
        delay = 0.5
        while True:
            answer = self._try(request)
            wait = _seconds(answer.retry_after)
            if wait is None:
                wait = delay * random.uniform(0.5, 1.0)  # so that many senders do not meet again
            if answer.status not in _RETRY or self._clock() + wait > give_up:
                return answer
            self._count("retries")
            self._sleep(wait)
            delay = min(delay * 2, 10.0)

    def _try(self, request: urllib.request.Request) -> _Answer:
        self._count("requests")
        try:
            self._opener = self._opener or _opener(self._url)
            return _post(self._opener, request, self._timeout)
        except (OSError, http.client.HTTPException) as error:  # no route, no answer, not HTTP
            reason = self._safe(str(getattr(error, "reason", error)) or type(error).__name__)
            raise StoreError(f"{self._shown_url} did not answer: {reason}") from None

    def _check(self, answer: _Answer) -> None:
        """Raise unless the receiver took the request."""
        if 200 <= answer.status < 300:
            return
        if 300 <= answer.status < 400:
            raise StoreError(
                f"{self._shown_url} redirects elsewhere ({answer.status}); give the final URL"
            )
        said = self._safe(answer.body[:200].decode("utf-8", "replace"))
        message = f"{self._shown_url} refused the spans ({answer.status}): {said}"
        raise StoreError(message) if answer.status in _RETRY else _Refused(message)

    def _safe(self, text: str) -> str:
        """Return somebody's words on one line, without the credentials they may repeat."""
        for value in self._headers.values():
            if value:
                text = text.replace(value, "[REDACTED]")
        return ascii(text)[1:-1]


def _timeout(given: float | None) -> float:
    text = _setting("TIMEOUT")
    if given is None:
        try:
            given = float(text) / 1_000 if text else 10.0  # the variable counts milliseconds
        except ValueError:
            raise ValueError(f"OTEL_EXPORTER_OTLP_TIMEOUT: {text!r} is not a number") from None
    if not given > 0:
        raise ValueError(f"timeout must be positive, not {given!r}")
    return given
