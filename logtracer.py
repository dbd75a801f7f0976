"""Record what an AI agent did, as a graph you can read: steps, why they connect, and when.

    from logtracer import FileStore, Tracer

    tracer = Tracer(storage=FileStore("./traces"))
    with tracer.trace("weather_agent") as root:
        with root.node("weather_api", node_type="tool_call") as step:
            step.input(city="Paris")
            step.output(celsius=18)

Then run `logtracer inspect latest`. This file is the whole tracer: standard library only, made
to be copied into a project as it is. Its sections, in order: errors, values, safe values and
redaction, serialization, stores, context, spans, the tracer, the decorator, convenience, import
paths.
"""

from __future__ import annotations

import contextvars
import itertools
import json
import os
import re
import sys
import time
import weakref
from _thread import RLock, get_ident
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import Enum
from types import MappingProxyType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Protocol
else:  # importing typing would cost a tenth of what importing this whole file costs
    Any = object

    class Protocol:
        """Stand in for typing.Protocol, which only type checkers look at."""


__version__ = "0.1.0"

SCHEMA_VERSION = "0.1.0"  # of the .json document; another major version is refused

# ---- Errors ------------------------------------------------------------------------------------


class LogtracerError(Exception):
    """Root of every error this library raises on purpose."""


class TraceLoadError(LogtracerError, ValueError):
    """A trace could not be read; the message names the source and the reason."""


class StoreError(LogtracerError, OSError):
    """A store cannot do what it was asked: a bad directory, a bad trace id."""


# ---- Reporting: the host never notices, the user can find out -----------------------------------

_QUIET_SECONDS = 60.0  # one log line a minute for each cause, however often it happens
_last_logged: dict[str, float] = {}


def _log(message: str, cause: str = "") -> None:
    """Warn on the `logtracer` logger; never raises (the warnings module would under -W error)."""
    now = time.monotonic()
    cause = cause or message
    if now - _last_logged.get(cause, -_QUIET_SECONDS) < _QUIET_SECONDS:
        return
    _last_logged[cause] = now
    try:
        import logging  # costs more than this whole file, and is rarely needed

        logging.getLogger("logtracer").warning(message)
    except Exception:  # a host's broken log handler is not ours to raise
        return


# ---- Values: what a trace is made of -----------------------------------------------------------


class _Word(str, Enum):
    """A string enum that prints as its value on every Python (StrEnum is 3.11 and newer)."""

    __str__ = str.__str__
    __format__ = str.__format__


class NodeStatus(_Word):
    """Where a step stands; `interrupted` means its process ended before it did."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    INTERRUPTED = "interrupted"


class NodeType(_Word):
    """The usual kinds of step; any other string is as good a node type."""

    LLM_CALL = "llm_call"
    TOOL_CALL = "tool_call"
    DECISION = "decision"
    RETRIEVAL = "retrieval"
    TRANSFORMATION = "transformation"
    VALIDATION = "validation"
    HUMAN_INPUT = "human_input"
    SUB_AGENT = "sub_agent"
    CUSTOM = "custom"


class EdgeType(_Word):
    """Why two steps connect; every edge runs from the earlier step to the later one."""

    CAUSED_BY = "caused_by"
    DATA_FLOW = "data_flow"
    BRANCHED_FROM = "branched_from"
    RETRY_OF = "retry_of"
    FALLBACK_OF = "fallback_of"


_STATUSES = {status.value: status for status in NodeStatus}
_EDGE_TYPES = {edge_type.value: edge_type for edge_type in EdgeType}


@dataclass(slots=True)
class Node:
    """One step of a run. Times are aware UTC datetimes, data is plain JSON data."""

    id: str
    sequence_number: int
    name: str
    node_type: str = "custom"
    status: NodeStatus = NodeStatus.PENDING
    parent_id: str | None = None
    depth: int = 0
    start_time: datetime | None = None
    end_time: datetime | None = None
    input_data: dict[str, Any] = field(default_factory=dict)
    output_data: dict[str, Any] = field(default_factory=dict)
    annotations: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    error_type: str | None = None
    error_traceback: str | None = None

    @property
    def duration_ms(self) -> float | None:
        """Milliseconds from start to end, None while the step is open."""
        return _milliseconds(self.start_time, self.end_time)

    def to_dict(self) -> dict[str, Any]:
        """Return the node's wire form: its fields, times as ISO 8601, and `duration_ms`."""
        return {
            "id": self.id,
            "sequence_number": self.sequence_number,
            "name": self.name,
            "node_type": self.node_type,
            "status": self.status,
            "parent_id": self.parent_id,
            "depth": self.depth,
            "start_time": _time_to_text(self.start_time),
            "end_time": _time_to_text(self.end_time),
            "input_data": self.input_data,
            "output_data": self.output_data,
            "annotations": self.annotations,
            "metadata": self.metadata,
            "error": self.error,
            "error_type": self.error_type,
            "error_traceback": self.error_traceback,
            "duration_ms": self.duration_ms,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Node:
        """Build a node from its wire form; unknown keys are ignored.

        Raises TraceLoadError when a field is missing or of the wrong type.
        """
        return cls(
            _field(data, "id", str),
            _field(data, "sequence_number", int),
            _field(data, "name", str),
            _field(data, "node_type", str, "custom"),
            _status(_field(data, "status", str, "pending")),
            _field(data, "parent_id", str, None),
            _field(data, "depth", int, 0),
            _time_from_text(data.get("start_time")),
            _time_from_text(data.get("end_time")),
            _field(data, "input_data", dict, {}),
            _field(data, "output_data", dict, {}),
            _field(data, "annotations", list, []),
            _field(data, "metadata", dict, {}),
            _field(data, "error", str, None),
            _field(data, "error_type", str, None),
            _field(data, "error_traceback", str, None),
        )


@dataclass(slots=True)
class Edge:
    """Why a later node (the target) connects to an earlier one (the source)."""

    source_id: str
    target_id: str
    edge_type: str = EdgeType.CAUSED_BY
    label: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the edge's wire form."""
        return {
            "source_id": self.source_id,
            "target_id": self.target_id,
            "edge_type": self.edge_type,
            "label": self.label,
            "metadata": self.metadata,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Edge:
        """Build an edge from its wire form; an edge type of somebody else's stays a string."""
        edge_type = _field(data, "edge_type", str, "caused_by")
        return cls(
            _field(data, "source_id", str),
            _field(data, "target_id", str),
            _EDGE_TYPES.get(edge_type, edge_type),
            _field(data, "label", str, ""),
            _field(data, "metadata", dict, {}),
        )


@dataclass(slots=True)
class TraceGraph:
    """One run: its nodes by id, in the order they started, and the edges between them."""

    schema_version: str = SCHEMA_VERSION
    trace_id: str = field(default_factory=lambda: os.urandom(16).hex())
    name: str = ""
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    start_time: datetime | None = None
    end_time: datetime | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def duration_ms(self) -> float | None:
        """Milliseconds from start to end, None while the run is open."""
        return _milliseconds(self.start_time, self.end_time)

    @property
    def root_nodes(self) -> list[Node]:
        """The nodes without a parent; a recorded run has one."""
        return [node for node in self.nodes.values() if node.parent_id is None]

    @property
    def failed_nodes(self) -> list[Node]:
        """The nodes whose status is failed."""
        return [node for node in self.nodes.values() if node.status == NodeStatus.FAILED]

    def add_node(self, node: Node) -> None:
        """Add a node, or replace the one with its id."""
        self.nodes[node.id] = node

    def add_edge(self, edge: Edge) -> None:
        """Add an edge; ValueError when one of its ends is not a node of this trace."""
        for node_id in (edge.source_id, edge.target_id):
            if node_id not in self.nodes:
                raise ValueError(f"unknown node {node_id!r}: add it before an edge to it")
        self.edges.append(edge)

    def next_sequence_number(self) -> int:
        """Return a number greater than that of every node here."""
        return 1 + max((node.sequence_number for node in self.nodes.values()), default=-1)

    def children(self, node_id: str | None) -> list[Node]:
        """Return the nodes whose parent is `node_id`, earliest first.

        Reads every node; to visit a whole trace use `walk`.
        """
        return [node for node in self.nodes.values() if node.parent_id == node_id]

    def walk(self) -> Iterator[tuple[int, Node]]:
        """Yield every node once, parents before children, with its level in the tree.

        Nodes whose parent is missing, or whose parents form a circle, follow at level 0: in a
        damaged trace too, no node is left out.
        """
        children: dict[str | None, list[Node]] = {}
        for node in self.nodes.values():
            known = node.parent_id if node.parent_id in self.nodes else None
            children.setdefault(known, []).append(node)
        seen: set[str] = set()
        for top in itertools.chain(children.get(None, ()), self.nodes.values()):
            waiting = [(0, top)]
            while waiting:
                level, node = waiting.pop()
                if node.id not in seen:
                    seen.add(node.id)
                    yield level, node
                    below = children.get(node.id, ())
                    waiting.extend((level + 1, child) for child in reversed(below))

    def to_dict(self) -> dict[str, Any]:
        """Return the `.json` document (schema 0.1.0) as JSON data."""
        return {
            "schema_version": self.schema_version,
            "trace_id": self.trace_id,
            "name": self.name,
            "nodes": {node.id: node.to_dict() for node in self.nodes.values()},
            "edges": [edge.to_dict() for edge in self.edges],
            "start_time": _time_to_text(self.start_time),
            "end_time": _time_to_text(self.end_time),
            "metadata": self.metadata,
            "duration_ms": self.duration_ms,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TraceGraph:
        """Build a trace from a `.json` document; raises TraceLoadError when it is not one."""
        version = _check_version(_field(data, "schema_version", str))
        nodes = [Node.from_dict(_mapping(item)) for item in _field(data, "nodes", dict).values()]
        nodes.sort(key=_start_order)
        metadata = _field(data, "metadata", dict, {})
        if data.get("session_id"):  # nodetracer keeps it outside
            metadata.setdefault("session_id", data["session_id"])
        return cls(
            version,
            _field(data, "trace_id", str),
            _field(data, "name", str, ""),
            {node.id: node for node in nodes},
            [Edge.from_dict(_mapping(item)) for item in _field(data, "edges", list, [])],
            _time_from_text(data.get("start_time")),
            _time_from_text(data.get("end_time")),
            metadata,
        )


_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LAST = datetime(9999, 12, 31, tzinfo=timezone.utc)
_REQUIRED: Any = object()


def _milliseconds(start: datetime | None, end: datetime | None) -> float | None:
    if start is None or end is None:
        return None
    return (end - start) / timedelta(milliseconds=1)


def _start_order(node: Node) -> tuple[datetime, int]:
    return node.start_time or _LAST, node.sequence_number


def _time_to_text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="microseconds")


def _time_from_text(text: Any) -> datetime | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise TraceLoadError(f"a time must be ISO 8601 text, not {_brief(text)}")
    if text.endswith("Z"):  # Python 3.10 does not read it
        text = text[:-1] + "+00:00"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise TraceLoadError(f"{_brief(text)} is not an ISO 8601 time") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)


def _field(data: dict[str, Any], key: str, kind: type, default: Any = _REQUIRED) -> Any:
    value = data.get(key, default)
    if type(value) is kind or value is default is not _REQUIRED:
        return value
    if value is _REQUIRED:
        raise TraceLoadError(f"{key!r} is missing")
    if value is None and default is not _REQUIRED:
        return default
    raise TraceLoadError(f"{key!r} must be a {kind.__name__}, not {_brief(value)}")


def _mapping(item: Any) -> dict[str, Any]:
    if type(item) is dict:
        return item
    raise TraceLoadError(f"expected an object, not {_brief(item)}")


def _status(word: str) -> NodeStatus:
    try:
        return _STATUSES[word]
    except KeyError:
        raise TraceLoadError(f"unknown status {_brief(word)}") from None


def _check_version(version: str) -> str:
    if not re.fullmatch(r"[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}", version):
        raise TraceLoadError(f"schema_version {_brief(version)} is not like {SCHEMA_VERSION}")
    if version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise TraceLoadError(
            f"schema {version} is not readable by logtracer {__version__} (schema"
            f" {SCHEMA_VERSION}); install a newer logtracer"
        )
    if version.split(".")[1] != SCHEMA_VERSION.split(".")[1]:
        _log(f"schema {version} is not {SCHEMA_VERSION}; unknown fields are ignored")
    return version


def _brief(value: object) -> str:
    """Show a foreign value in a message: short, and with every odd character escaped."""
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."


# ---- Safe values and redaction -----------------------------------------------------------------

_MAX_DEPTH = 24  # levels of containers in one value
_MAX_ITEMS = 20_000  # items in one value, nested ones included
_MAX_VALUE = 1_000_000  # characters of text in one value, nested ones included
_MAX_TEXT = 64_000  # characters of an error, a traceback or an annotation
_MAX_KEY = 200  # characters of a dictionary key or a name
_REDACTED = "[REDACTED]"
_UNREADABLE = "[NON-SERIALIZABLE]"
_ATOMS = frozenset({str, int, float, bool, type(None)})
_VIEWS = (type({}.keys()), type({}.values()), type({}.items()))
_ITERABLES = (set, frozenset, deque, *_VIEWS)

# Names whose values are secrets, as sentry-sdk and logfire list them, matched as whole words of a
# snake_case, kebab-case or camelCase key. `token` counts only as the last word: `max_tokens` and
# `token_count` are plain facts of an LLM call.
_SECRET_KEY = re.compile(
    r"(?:^|_)(?:"
    r"passwords?|passwd|pwd|passphrase|secrets?|credentials?|authorization|auth|cookies?|csrf|xsrf"
    r"|apikeys?|api_keys?|access_keys?|account_key|private_keys?|privatekey|secret_?key|signing_key"
    r"|encryption_key|service_key|jwt|bearer|session_?key|sessionid|ssn|mysql_pwd|pgpassword"
    r"|connection_string|dsn|x_api_key|accesstoken|authtoken|refreshtoken|idtoken"
    r")(?:_|$)|(?:^|_)token$"
)

# A text without one of these characters holds no secret that the patterns below know: most
# short texts are done here.
_SUSPECT = re.compile("[-_=:@9ABGJ]").search
_SHORTEST_SECRET = 12  # characters

_TOKEN_PREFIXES = (
    r"sk-|pk-lf-|sk_live_|sk_test_|rk_live_|rk_test_|pk_live_|whsec_|gh[pousr]_|github_pat_"
    r"|gl[a-z]{2,6}-|xox[a-z]-|xapp-|AIza|ya29\.|GOCSPX-|hf_|npm_|pypi-|SG\.|dop_v1_|doo_v1_"
    r"|shp(?:at|ca|pa|ss)_|key-|lin_api_|gsk_|pplx-|xai-|nvapi-|tvly-|lsv2_|ls__|r8_|dckr_pat_"
    r"|ATATT3|PMAK-|hvs\.|hvb\.|dapi|sq0[a-z]{3}-|EAAC|AGE-SECRET-KEY-|csk-|fw_|tok_|vcp_"
)
_SECRET_TEXTS = (
    (
        re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY.*?(?:-----END [A-Z0-9 ]*-----|\Z)", re.S),
        _REDACTED,
    ),
    (re.compile(r"(?<=://)[^\s/@'\"<>]{1,512}@"), _REDACTED + "@"),
    (re.compile(r"\beyJ[\w-]{6,}(?:\.[\w-]+){1,4}"), _REDACTED),
    (re.compile(r"(?<![A-Za-z0-9])(?:%s)[\w.-]{12,}" % _TOKEN_PREFIXES), _REDACTED),
    (re.compile(r"\b(?:AKIA|ASIA|ABIA|ACCA|AIDA|AROA|AGPA|ANPA)[A-Z0-9]{12,}"), _REDACTED),
    (re.compile(r"\b(?:AC|SK)[0-9a-f]{32}\b"), _REDACTED),
    (re.compile(r"\b[0-9]{8,10}:[\w-]{35}\b"), _REDACTED),
    (
        re.compile(r"(?i)\b(bearer|basic|token)(\s+)(?=\S*[0-9A-Z=])(?-i:[\w.~+/-]{8,}=*)"),
        r"\1\2" + _REDACTED,
    ),
    (
        re.compile(
            r"(?i)((?:password|passwd|pwd|passphrase|secret|api[_-]?key|access[_-]?key|private[_-]?key"
            r"|account[_-]?key|secret[_-]?key|auth[_-]?token|access[_-]?token|refresh[_-]?token"
            r"|id[_-]?token|client[_-]?secret|authorization|cookie|sig|signature)"
            r"[\"']?\s{0,3}[=:]\s{0,3}[\"']?)(?!\[REDACTED)(?!(?:bearer|basic|token)\s)"
            r"[^\s\"',;&}\])]{4,}"
        ),
        r"\1" + _REDACTED,
    ),
)
_NESTED_REPEAT = re.compile(r"[+*}]\)[+*{]")  # (a+)+ and its like take exponential time
_SLOW_PATTERN = 0.1  # seconds; a user's pattern that takes longer on one text is switched off


class _Redactor:
    """Decide which keys and which texts are secrets; made once from a tracer's configuration."""

    def __init__(
        self,
        keys: Iterable[str] = (),
        patterns: Iterable[str] = (),
        callback: Callable[[str, str], str] | None = None,
        defaults: bool = True,
    ) -> None:
        self._names = {_snake_case(key) for key in keys}
        self._patterns = [re.compile(pattern) for pattern in patterns]
        self._callback = callback
        self._defaults = defaults
        self._known_keys: dict[str, bool] = {}
        self.is_eager = bool(self._patterns or callback)  # every text must be looked at
        self.failures = 0

    def is_secret(self, key: str) -> bool:
        """Tell whether the value under this key is to be hidden, whatever it is."""
        known = self._known_keys.get(key)
        if known is None:
            name = _snake_case(key)
            known = name in self._names or bool(self._defaults and _SECRET_KEY.search(name))
            if len(self._known_keys) < 4_096:  # a host with endless keys must not grow us
                self._known_keys[key] = known
        return known

    def text(self, text: str, key: str = "") -> str:
        """Return the text with every secret replaced; the whole of it when redaction fails."""
        try:
            if self._defaults and len(text) >= _SHORTEST_SECRET and _SUSPECT(text):
                for pattern, replacement in _SECRET_TEXTS:
                    text = pattern.sub(replacement, text)
            for pattern in self._patterns[:]:
                text = self._apply(pattern, text)
            return text if self._callback is None else str(self._callback(key, text))
        except Exception:  # fail closed: rather no value than a secret
            self.failures += 1
            _log("a redactor failed; the value was dropped", "redactor")
            return _REDACTED

    def _apply(self, pattern: re.Pattern[str], text: str) -> str:
        began = time.perf_counter()
        text = pattern.sub(_REDACTED, text)
        if time.perf_counter() - began > _SLOW_PATTERN and pattern in self._patterns:
            self._patterns.remove(pattern)
            self.failures += 1
            _log(f"redact_patterns: {pattern.pattern!r} is too slow and was switched off")
        return text


def _snake_case(key: str) -> str:
    """Return apiKey, X-API-Key and api key as api_key."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key[:_MAX_KEY])
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


class _Cleaner:
    """Turn any one value into JSON data: total, bounded, redacted. One instance, one value."""

    def __init__(self, redactor: _Redactor, max_text: int | None, max_value: int) -> None:
        self._redactor = redactor
        self._max_text = _MAX_VALUE if max_text is None else max_text
        self._room = max_value
        self._items = _MAX_ITEMS
        self._path: set[int] = set()

    def clean(self, value: Any, key: str = "", depth: int = 0) -> Any:
        """Return JSON data for the value; never raises, never calls it more than it must."""
        kind = type(value)
        if value is None or kind is bool:
            return value
        if key and self._redactor.is_secret(key):
            return _REDACTED
        if kind is str:
            return self._text(value, key)
        if kind is int:
            return value if value.bit_length() < 4_096 else f"{_UNREADABLE} int"
        if kind is float:
            return value if value - value == 0.0 else repr(value)  # JSON has no NaN
        try:
            return self._other(value, kind, key, depth)
        except RecursionError:
            return f"{_UNREADABLE} too deep"
        except Exception:  # the value's own code raised: describe it by its type alone
            return self._text(f"{_UNREADABLE} {_type_name(kind)}")

    def _other(self, value: Any, kind: type, key: str, depth: int) -> Any:
        if issubclass(kind, (bytes, bytearray)):
            head = bytes(memoryview(value)[: self._max_text + 4])
            return self._text(head.decode("utf-8", "backslashreplace"), key, len(value))
        if issubclass(kind, Enum):
            return self.clean(value._value_, key, depth)
        if issubclass(kind, str):
            return self._text(str.__str__(value), key)
        if issubclass(kind, int):
            return self.clean(int.__int__(value), key, depth)
        if issubclass(kind, float):
            return self.clean(float.__float__(value), key, depth)
        if issubclass(kind, datetime):
            return datetime.isoformat(value)
        return self._container(value, kind, depth)

    def _container(self, value: Any, kind: type, depth: int) -> Any:
        if depth >= _MAX_DEPTH or id(value) in self._path:
            return "[CIRCULAR]" if id(value) in self._path else "[TRUNCATED: too deep]"
        self._path.add(id(value))
        try:
            pairs = _pairs_of(value, kind, self._items + 1)
            if pairs is not None:
                return self._mapping(pairs, depth + 1)
            items = _items_of(value, kind, self._items + 1)
            if items is not None:
                return self._sequence(*items, depth + 1)
        finally:
            self._path.discard(id(value))
        return self._text(f"{_text_of(value, kind.__repr__)} {_UNREADABLE}")

    def _mapping(self, pairs: list[tuple[Any, Any]], depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for position, (name, value) in enumerate(pairs):
            if not self._take_item():
                result["[TRUNCATED]"] = f"original_size={len(pairs)}"
                break
            key = self._key(name)
            if key in result:  # {1: ..., "1": ...}
                key = f"{key} ({position})"
            result[key] = self.clean(value, key, depth)
        return result

    def _sequence(self, items: list[Any], size: int, depth: int) -> list[Any]:
        result: list[Any] = []
        for item in items:
            if not self._take_item():
                result.append(f"[TRUNCATED: original_size={size}]")
                break
            result.append(self.clean(item, "", depth))
        return result

    def _take_item(self) -> bool:
        self._items -= 1
        return self._items >= 0 and self._room > 0

    def _key(self, name: Any) -> str:
        if type(name) is not str:
            name = str(name) if type(name) in _ATOMS else _text_of(name, type(name).__repr__)
        if len(name) > _MAX_KEY:
            name = name[: _MAX_KEY * 4]
        return _well_formed(self._redactor.text(name))[:_MAX_KEY]

    def _text(self, text: str, key: str = "", size: int | None = None) -> str:
        limit = min(self._max_text, max(self._room, 0))
        whole = len(text) if size is None else size
        if whole > limit:  # look a little further than the cut: a secret may lie across it
            text = text[: limit + 4_096]
        text = _well_formed(self._redactor.text(text, key))
        if whole > limit:
            text = f"{text[:limit]}... [TRUNCATED: original_size={whole}]"
        self._room -= len(text)
        return text


def _well_formed(text: str) -> str:
    """Spell out lone surrogates: JSON could carry them, but no UTF-8 file can."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _type_name(kind: type) -> str:
    name = type.__dict__["__name__"].__get__(kind)  # a metaclass may lie about it
    return name if type(name) is str else "object"


def _text_of(value: object, function: Callable[[Any], Any]) -> str:
    """Return str(value) or repr(value), whatever the value's own code does."""
    try:
        text = function(value)
        return text if type(text) is str else str.__str__(text)
    except Exception:
        return f"<{_type_name(type(value))}>"


def _pairs_of(value: Any, kind: type, most: int) -> list[tuple[Any, Any]] | None:
    """Return the value's keys and values when it is a mapping or a record, else None."""
    if kind is MappingProxyType:
        value, kind = dict(value), dict
    if issubclass(kind, dict):
        return _head(value, most) if dict.__len__(value) > most else [*dict.copy(value).items()]
    members = _members(kind)
    if issubclass(kind, tuple) and type(members.get("_fields")) is tuple:
        return list(zip(members["_fields"], tuple.__iter__(value)))
    if "__pydantic_fields__" in members or "__fields__" in members:
        return _pairs_of(object.__getattribute__(value, "__dict__"), dict, most)
    if "__dataclass_fields__" in members:
        names = list(members["__dataclass_fields__"])
    elif "__attrs_attrs__" in members:
        names = [attribute.name for attribute in members["__attrs_attrs__"]]
    else:
        return None
    return [(name, _attribute(value, name)) for name in names[:most]]


def _members(kind: type) -> dict[str, Any]:
    """Return what a class and its bases define, without asking the class itself."""
    members: dict[str, Any] = {}
    for base in reversed(type.__dict__["__mro__"].__get__(kind)):
        members.update(type.__dict__["__dict__"].__get__(base))
    return members


def _attribute(value: Any, name: str) -> Any:
    try:
        return object.__getattribute__(value, name)
    except Exception:
        return f"{_UNREADABLE} unset"


def _head(value: dict[Any, Any], most: int) -> list[tuple[Any, Any]]:
    for _ in range(3):  # another thread may change it meanwhile
        try:
            return list(itertools.islice(dict.items(value), most))
        except RuntimeError:
            continue
    return list(itertools.islice(dict.copy(value).items(), most))


def _items_of(value: Any, kind: type, most: int) -> tuple[list[Any], int] | None:
    """Return the first items and the size of a list-like value, else None.

    Works through the built-in types' own methods: a subclass may override them without end.
    """
    if issubclass(kind, list):
        return list.__getitem__(value, slice(most)), list.__len__(value)
    if issubclass(kind, tuple):
        return list(tuple.__getitem__(value, slice(most))), tuple.__len__(value)
    for base in _ITERABLES:
        if issubclass(kind, base):
            return _iterate(value, base, most), base.__len__(value)
    members = _members(kind)
    if "dtype" in members and "tolist" in members and value.size <= most:  # arrays
        items = kind.tolist(value)
        return (items, len(items)) if type(items) is list else ([items], 1)
    return None


def _iterate(value: Any, base: Any, most: int) -> list[Any]:
    for _ in range(3):  # another thread may change it meanwhile
        try:
            return list(itertools.islice(base.__iter__(value), most))
        except RuntimeError:
            continue
    return []


# ---- Serialization: the .json document and the .jsonl journal ----------------------------------

_MAX_FILE = 4 << 30  # bytes; larger files are refused before they are read


def trace_to_json(trace: TraceGraph, *, indent: int | None = 2) -> str:
    """Return the trace as a `.json` document (schema 0.1.0)."""
    document = trace.to_dict()
    try:
        text = json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False)
        text.encode("utf-8")
    except (TypeError, ValueError, RecursionError):  # nodes made by hand may hold anything
        text = json.dumps(_cleaned_document(document), indent=indent, ensure_ascii=False)
    return text


def _cleaned_document(document: dict[str, Any]) -> dict[str, Any]:
    """Clean the nodes and edges one by one: the bounds are for one value, not for a trace."""

    def clean(value: Any) -> Any:
        return _Cleaner(_Redactor(defaults=False), None, _MAX_VALUE).clean(value)

    return {
        **{key: clean(value) for key, value in document.items()},
        "nodes": {clean(key): clean(node) for key, node in document["nodes"].items()},
        "edges": [clean(edge) for edge in document["edges"]],
    }


def trace_from_json(text: str | bytes) -> TraceGraph:
    """Read a `.json` document; raises TraceLoadError, and nothing else, when it cannot."""
    return TraceGraph.from_dict(_mapping(_parse(text)))


def save_trace_json(
    trace: TraceGraph, path: str | os.PathLike[str], *, indent: int | None = 2
) -> None:
    """Write the trace as a `.json` file, readable by its owner only, whole or not at all."""
    directory = os.path.dirname(os.path.abspath(path))
    os.makedirs(directory, exist_ok=True)
    _replace_file(os.fspath(path), [trace_to_json(trace, indent=indent).encode("utf-8")])


def load_trace_json(path: str | os.PathLike[str]) -> TraceGraph:
    """Read a `.json` file; raises OSError when it cannot be opened, else TraceLoadError."""
    return _named(path, trace_from_json, _read_file(os.fspath(path)))


def load_trace(path: str | os.PathLike[str], trace_id: str | None = None) -> TraceGraph:
    """Read a `.json` file, a `.jsonl` journal (running, finished or torn), or a directory's trace.

    Raises OSError when the file cannot be opened, TraceLoadError when it is not a trace.
    """
    name = os.fspath(path)
    if trace_id is not None:
        found = FileStore(name).load(trace_id)
        if found is None:
            raise TraceLoadError(f"{name}: holds no trace {trace_id!r}")
        return found
    data = _read_file(name)
    if name.endswith(".jsonl"):
        return _named(name, trace_from_journal, data.split(b"\n"))
    return _named(name, _trace_from_bytes, data)


def trace_from_journal(lines: Iterable[str | bytes]) -> TraceGraph:
    """Build a trace from the events of a journal, in any order; bad lines are skipped.

    What was skipped is counted in `metadata["logtracer.damaged_lines"]`. Steps that never ended
    are `interrupted`. Raises TraceLoadError when no line belongs to a trace.
    """
    journal = _Journal()
    for line in lines:
        if line.strip():
            journal.add(line)
    return journal.trace()


class _Journal:
    """Collect the events of a trace, written by any number of processes, into one graph."""

    def __init__(self) -> None:
        self._header: dict[str, Any] = {}
        self._end: dict[str, Any] = {}
        self._nodes: dict[str, dict[str, Any]] = {}
        self._edges: list[dict[str, Any]] = []
        self._damaged = 0

    def add(self, line: str | bytes) -> None:
        """Take one line; a bad one is counted."""
        try:
            self._take(_mapping(_parse(line)))
        except TraceLoadError:
            self._damaged += 1

    def _take(self, event: dict[str, Any]) -> None:
        kind = _field(event, "event", str)
        if kind == "trace.started":
            _check_version(_field(event, "schema_version", str))
            self._header = self._header or event
        elif kind == "trace.completed":
            self._end = event
        elif kind == "edge":
            self._edges.append(event)
        elif kind == "node.updated":
            self._nodes.setdefault(_field(event, "id", str), {}).update(event)
        else:
            self._merge_node(_field(event, "node", dict))

    def _merge_node(self, node: dict[str, Any]) -> None:
        known = self._nodes.setdefault(_field(node, "id", str), {})
        if not known.get("end_time"):  # a start record that comes late says nothing new
            known.update(node)

    def trace(self) -> TraceGraph:
        """Return the graph of all that was taken."""
        header = self._header
        trace_id = header.get("trace_id") or self._end.get("trace_id")
        if trace_id is None and not self._nodes:
            raise TraceLoadError("no line of it is an event of a trace")
        document = {
            "schema_version": header.get("schema_version", SCHEMA_VERSION),
            "trace_id": trace_id or "unknown",
            "name": header.get("name", ""),
            "nodes": {},
            "start_time": header.get("start_time"),
            "end_time": self._end.get("end_time"),
            "metadata": {**header.get("metadata", {}), **self._end.get("metadata", {})},
        }
        trace = TraceGraph.from_dict(document)
        for data in self._nodes.values():
            self._add_node(trace, data)
        trace.nodes = {node.id: node for node in sorted(trace.nodes.values(), key=_start_order)}
        trace.edges = _tree_edges(trace.nodes.values())
        trace.edges += [Edge.from_dict(edge) for edge in self._edges if self._joins(edge, trace)]
        if self._damaged:
            trace.metadata["logtracer.damaged_lines"] = self._damaged
        return trace

    def _add_node(self, trace: TraceGraph, data: dict[str, Any]) -> None:
        try:
            node = Node.from_dict(data)
        except TraceLoadError:  # an update whose start record was lost
            self._damaged += 1
            return
        if node.status == NodeStatus.RUNNING:
            node.status = NodeStatus.INTERRUPTED
        trace.nodes[node.id] = node

    @staticmethod
    def _joins(edge: dict[str, Any], trace: TraceGraph) -> bool:
        return edge.get("source_id") in trace.nodes and edge.get("target_id") in trace.nodes


def _tree_edges(nodes: Iterable[Node]) -> list[Edge]:
    """Return the caused_by edge of every node that has a parent."""
    return [Edge(node.parent_id, node.id) for node in nodes if node.parent_id is not None]


def _trace_from_bytes(data: bytes) -> TraceGraph:
    """Read a document or a journal, whatever the file is called."""
    if data.startswith(b'{"event":'):
        return trace_from_journal(data.split(b"\n"))
    return trace_from_json(data)


def _parse(text: str | bytes) -> Any:
    """Parse JSON strictly; every way in which it can fail is a TraceLoadError."""
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        return json.loads(text, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise TraceLoadError(f"not UTF-8 text (byte {error.start})") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise TraceLoadError(f"not JSON: {error.msg} at {where}") from None
    except RecursionError:
        raise TraceLoadError("nested too deeply") from None
    except ValueError as error:  # an integer of more digits than Python reads
        raise TraceLoadError(f"not JSON: {_brief(str(error))}") from None


def _refuse_constant(name: str) -> Any:
    raise TraceLoadError(f"{name} is not JSON")


def _named(path: object, read: Callable[[Any], TraceGraph], data: Any) -> TraceGraph:
    """Read data that came from a file, naming the file when it cannot be read."""
    try:
        return read(data)
    except TraceLoadError as error:
        raise TraceLoadError(f"{path}: {error}") from None


def _read_file(path: str) -> bytes:
    """Read a regular file; a FIFO or a device would hold the reader up for ever."""
    import stat

    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise TraceLoadError(f"{path}: not a regular file")
        if status.st_size > _MAX_FILE:
            raise TraceLoadError(f"{path}: larger than {_MAX_FILE >> 30} GiB")
        return file.read()


def _replace_file(path: str, chunks: Iterable[bytes]) -> None:
    """Write a file that appears whole or not at all, for its owner's eyes only."""
    temporary = f"{path}.{os.urandom(8).hex()}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _O_SAFE, 0o600)
    try:
        with os.fdopen(descriptor, "wb", 1 << 20) as file:
            file.writelines(chunks)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


_O_SAFE = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
