"""Record what an AI agent did, as a graph you can read: steps, why they connect, and when.

    from logtracer import FileStore, Tracer

    tracer = Tracer(storage=FileStore("./traces"))
    with tracer.trace("weather_agent") as root:
        with root.node("weather_api", node_type="tool_call") as step:
            step.input(city="Paris")
            step.output(celsius=18)

Then run `logtracer inspect latest`. This file is the whole tracer: standard library only, made
to be copied into a project as it is. Its sections, in order: errors, reporting, values, safe
values and redaction, serialization, stores, context, capture, recording, spans, the tracer, the
decorator, convenience, import paths.
"""

from __future__ import annotations

import contextlib
import contextvars
import inspect
import itertools
import json
import os
import re
import stat
import sys
import time
import weakref
from _thread import RLock, get_ident
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import Enum
from functools import lru_cache, wraps
from types import FrameType, MappingProxyType, SimpleNamespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator
    from typing import Any, BinaryIO, NoReturn, ParamSpec, Protocol, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")
    T = TypeVar("T")
else:  # importing typing would cost a tenth of what importing this whole file costs
    Any = object

    class Protocol:
        """Stand in for typing.Protocol, which only type checkers look at."""


# fmt: off
__all__ = [
    "Edge", "EdgeType", "FileStore", "LogtracerError", "MemoryStore", "Node", "NodeStatus",
    "NodeType", "SCHEMA_VERSION", "Span", "StorageBackend", "StoreError", "StreamingBackend",
    "TraceContext", "TraceGraph", "TraceLoadError", "Tracer", "TracerConfig", "TracerHook",
    "clear_context", "configure", "current_span", "get_current_node", "get_current_trace",
    "load_trace", "load_trace_json", "merge_traces", "open_store", "propagate_context",
    "save_trace_json", "trace", "trace_from_journal", "trace_from_json", "trace_node",
    "trace_to_json",
]
# fmt: on
__version__ = "0.1.0"

SCHEMA_VERSION = "0.1.0"  # of the .json document; another major version is refused

# ---- Errors ------------------------------------------------------------------------------------


class LogtracerError(Exception):
    """Root of every error this library raises on purpose."""


class TraceLoadError(LogtracerError, ValueError):
    """A trace could not be read; the message names the source and the reason."""


class StoreError(LogtracerError, OSError):
    """A store cannot do what it was asked: a bad directory, a bad trace id."""


# ---- Reporting: the host never notices, the user can find out ----------------------------------

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


_fork_aware: weakref.WeakSet[Any] = weakref.WeakSet()  # what must start afresh in a child


def _after_fork() -> None:
    for thing in list(_fork_aware):
        thing._after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


# ---- Values: what a trace is made of -----------------------------------------------------------


class _Word(str, Enum):
    """A string enum that prints as its value on every Python (StrEnum is 3.11 and newer)."""

    def __str__(self) -> str:
        return str(self.value)


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
        data: dict[str, Any] = {name: getattr(self, name) for name in _NODE_FIELDS}
        data["status"] = str(self.status)
        data["start_time"] = _time_to_text(self.start_time)
        data["end_time"] = _time_to_text(self.end_time)
        data["duration_ms"] = self.duration_ms
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Node:
        """Build a node from its wire form; unknown keys are ignored.

        Raises TraceLoadError when a field is missing or of the wrong type.
        """
        values = _read_fields(data, _NODE_FIELDS)
        values[4] = _status(values[4])
        values[7], values[8] = _time_from_text(values[7]), _time_from_text(values[8])
        if values[11] and not all(type(text) is str for text in values[11]):
            raise TraceLoadError("'annotations' must be a list of texts")
        return cls(*values)


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
            "edge_type": str(self.edge_type),
            "label": self.label,
            "metadata": self.metadata,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Edge:
        """Build an edge from its wire form; an edge type of somebody else's stays a string."""
        values = _read_fields(data, _EDGE_FIELDS)
        values[2] = _EDGE_TYPES.get(values[2], values[2])
        return cls(*values)


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
        version, trace_id, name, items, links, start, end, metadata = _read_fields(
            data, _TRACE_FIELDS
        )
        _check_version(version)
        nodes = {key: Node.from_dict(_mapping(item)) for key, item in items.items()}
        if len({node.id for node in nodes.values()}) < len(nodes):  # two of one id: keep both
            for key, node in nodes.items():
                node.id = key
        edges = [Edge.from_dict(_mapping(item)) for item in links]
        if data.get("session_id"):  # nodetracer keeps it outside
            metadata.setdefault("session_id", data["session_id"])
        found = {node.id: node for node in sorted(nodes.values(), key=_start_order)}
        times = _time_from_text(start), _time_from_text(end)
        return cls(version, trace_id, name, found, edges, *times, metadata)


# The fields of the wire form in the order of the dataclasses': type, and default if there is one.
_REQUIRED: Any = object()
# fmt: off
_NODE_FIELDS: dict[str, tuple[type, Any]] = {
    "id": (str, _REQUIRED), "sequence_number": (int, _REQUIRED), "name": (str, _REQUIRED),
    "node_type": (str, "custom"), "status": (str, "pending"), "parent_id": (str, None),
    "depth": (int, 0), "start_time": (str, None), "end_time": (str, None),
    "input_data": (dict, dict), "output_data": (dict, dict), "annotations": (list, list),
    "metadata": (dict, dict), "error": (str, None), "error_type": (str, None),
    "error_traceback": (str, None),
}
_EDGE_FIELDS: dict[str, tuple[type, Any]] = {
    "source_id": (str, _REQUIRED), "target_id": (str, _REQUIRED),
    "edge_type": (str, "caused_by"), "label": (str, ""), "metadata": (dict, dict),
}
_TRACE_FIELDS: dict[str, tuple[type, Any]] = {
    "schema_version": (str, _REQUIRED), "trace_id": (str, _REQUIRED), "name": (str, ""),
    "nodes": (dict, _REQUIRED), "edges": (list, list), "start_time": (str, None),
    "end_time": (str, None), "metadata": (dict, dict),
}
# fmt: on
_good_shapes: set[tuple[type, ...]] = set()  # types of fields that were found to be right


def _read_fields(data: dict[str, Any], fields: dict[str, tuple[type, Any]]) -> list[Any]:
    """Return the values of a wire form's fields; raises TraceLoadError naming a wrong one."""
    values = [*map(data.get, fields)]
    shape = tuple(map(type, values))
    if shape in _good_shapes:  # steps have few shapes, so most are checked by this one look-up
        return values
    checked = [_field(data, name, *expected) for name, expected in fields.items()]
    if checked == values:
        _good_shapes.add(shape)
    return checked


_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LAST = datetime(9999, 12, 31, tzinfo=timezone.utc)


def _milliseconds(start: datetime | None, end: datetime | None) -> float | None:
    if start is None or end is None:
        return None
    return (end - start) / timedelta(milliseconds=1)


def _start_order(node: Node) -> tuple[datetime, int]:
    return node.start_time or _LAST, node.sequence_number


def _end_order(node: Node) -> datetime:
    return node.end_time or _EPOCH


def _time_to_text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="microseconds")


def _time_from_text(text: Any) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        try:  # Python 3.10 knows no Z, and only 3 or 6 digits
            moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        except (AttributeError, TypeError, ValueError):
            raise TraceLoadError(f"{_brief(text)} is not an ISO 8601 time") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)


def _field(data: dict[str, Any], key: str, kind: type, default: Any = _REQUIRED) -> Any:
    value = data.get(key)
    if type(value) is kind:
        return value
    if value is None and default is not _REQUIRED:
        return default() if isinstance(default, type) else default
    if value is None:
        raise TraceLoadError(f"{key!r} is missing")
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
    text = _text_of(value, ascii)
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
_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))
_ITERABLES: tuple[Any, ...] = (set, frozenset, deque, *_VIEWS)

_pattern = lru_cache(maxsize=None)(re.compile)  # most runs never need most patterns

# Names whose values are secrets, as sentry-sdk and logfire list them, matched as whole words of a
# snake_case, kebab-case or camelCase key. `token` counts only as the last word: `max_tokens` and
# `token_count` are plain facts of an LLM call.
_SECRET_KEY = (
    r"(?:^|_)(?:"
    r"passwords?|passwd|pwd|passphrase|secrets?|credentials?|authorization|auth|cookies?|csrf|xsrf"
    r"|apikeys?|api_keys?|access_keys?|account_key|private_keys?|privatekey|secret_?key|signing_key"
    r"|encryption_key|service_key|jwt|bearer|session_?key|sessionid|ssn|mysql_pwd|pgpassword"
    r"|connection_string|dsn|x_api_key|accesstoken|authtoken|refreshtoken|idtoken"
    r")(?:_|$)|(?:^|_)token$"
)

# A text without one of these characters holds no secret that the patterns below know: most
# short texts are done here.
_SUSPECT = re.compile("[-_=:@0-9ABGJK]").search
_SHORTEST_SECRET = 12  # characters
_SURROGATE = re.compile("[\ud800-\udfff]").search
_HUGE = 1 << 4_000  # 1,205 digits; Python refuses to write integers of more than 4,300

_TOKEN_PREFIXES = (
    r"sk-|pk-lf-|sk_live_|sk_test_|rk_live_|rk_test_|pk_live_|whsec_|gh[pousr]_|github_pat_"
    r"|gl[a-z]{2,6}-|xox[a-z]-|xapp-|AIza|ya29\.|GOCSPX-|hf_|npm_|pypi-|SG\.|dop_v1_|doo_v1_"
    r"|shp(?:at|ca|pa|ss)_|key-(?=[0-9a-f]{16})|lin_api_|gsk_|pplx-|xai-|nvapi-|tvly-|lsv2_|ls__|r8_|dckr_pat_"
    r"|ATATT3|PMAK-|hvs\.|hvb\.|dapi|sq0[a-z]{3}-|EAAC|AGE-SECRET-KEY-|csk-|fw_|tok_|vcp_"
)
_SECRET_TEXTS = (  # pattern and replacement
    (r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY.*?(?:-----END [A-Z0-9 ]*-----|\Z)", _REDACTED),
    (r"(?<=://)[^\s/@'\"<>]{1,512}@", _REDACTED + "@"),
    (r"(?<![\w-])eyJ[\w-]{6,4096}(?:\.[\w-]+){1,4}", _REDACTED),
    (r"(?<![A-Za-z0-9])(?:%s)[\w.-]{12,}" % _TOKEN_PREFIXES, _REDACTED),
    (r"\b(?:AKIA|ASIA|ABIA|ACCA|AIDA|AROA|AGPA|ANPA)[A-Z0-9]{12,}", _REDACTED),
    (r"\b(?:AC|SK)[0-9a-f]{32}\b", _REDACTED),
    (r"\b[0-9]{8,10}:[\w-]{35}\b", _REDACTED),
    (
        r"\b((?i:bearer|basic|token))(\s+)(?=\S*[0-9A-Z=])[\w.~+/-]{8,}=*",
        r"\1\2" + _REDACTED,
    ),
    (
        r"(?i)((?:password|passwd|pwd|passphrase|secret|api[_-]?key|access[_-]?key|private[_-]?key"
        r"|account[_-]?key|secret[_-]?key|auth[_-]?token|access[_-]?token|refresh[_-]?token"
        r"|id[_-]?token|client[_-]?secret|authorization|cookie|sig|signature)"
        r"[\"']?\s{0,3}[=:]\s{0,3}[\"']?)(?!\[REDACTED)(?!(?:bearer|basic|token)\s)"
        r"[^\s\"',;&}\])]{4,}",
        r"\1" + _REDACTED,
    ),
)
_WINDOW = 16_384  # characters a user's pattern is given at a time
_SLOW_PATTERN = 0.1  # seconds; a user's pattern that takes longer is refused, or no text kept


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
        self.failures = 0
        self._is_blind = False  # a pattern turned out to be too slow to look with
        self.is_eager = bool(self._patterns or callback)  # every text must be looked at

    def is_secret(self, key: str) -> bool:
        """Tell whether the value under this key is to be hidden, whatever it is."""
        known = self._known_keys.get(key)
        if known is None:
            name = _snake_case(key)
            known = name in self._names or bool(
                self._defaults and _pattern(_SECRET_KEY).search(name)
            )
            if len(self._known_keys) < 4_096:  # a host may have endless keys
                self._known_keys[key] = known
        return known

    def text(self, text: str, key: str = "") -> str:
        """Return the text with every secret replaced; the whole of it when redaction fails."""
        if self._is_blind:
            return _REDACTED
        try:
            if self._defaults and len(text) >= _SHORTEST_SECRET and _SUSPECT(text):
                for pattern, replacement in _SECRET_TEXTS:
                    text = _pattern(pattern).sub(replacement, text)
            for own in self._patterns:
                text = self._apply(own, text)
            return text if self._callback is None else str(self._callback(key, text))
        except Exception:  # fail closed: rather no value than a secret
            self.failures += 1
            _log("a redactor failed; the value was dropped", "redactor")
            return _REDACTED

    def _apply(self, pattern: re.Pattern[str], text: str) -> str:
        """Replace what a user's pattern finds, a window at a time so that a slow one is noticed."""
        parts: list[str] = []
        start, began = 0, time.thread_time()
        while start < len(text):
            end = start + _WINDOW
            end = max(text.rfind(" ", end - 512, end), end - 512) if end < len(text) else end
            parts.append(pattern.sub(_REDACTED, text[start:end]))
            start = end
            if time.thread_time() - began > _SLOW_PATTERN * (1 + start // 100_000):
                self._is_blind = True
                _log(f"redact_patterns: {pattern.pattern!r} is too slow; no text is kept any more")
                return _REDACTED
        return "".join(parts)


def _check_pattern(pattern: str) -> None:
    """Raise ValueError for a pattern that is none, or that takes too long on short texts.

    Each of its characters is tried repeated, and longer and longer: what takes exponential or
    steep polynomial time shows within a few dozen characters.
    """
    try:
        compiled = re.compile(pattern)
    except (re.error, TypeError) as error:
        raise ValueError(f"redact_patterns: {pattern!r} is not a pattern: {error}") from None
    letters = dict.fromkeys(["a", "0", " ", "-", *filter(str.isprintable, pattern)])
    for length in (*range(8, 33), 48, 96, 192):
        for letter in list(letters)[:24]:
            began = time.thread_time()
            compiled.search(letter * length + "\x00")
            if time.thread_time() - began > _SLOW_PATTERN / 5:
                raise ValueError(
                    f"redact_patterns: {pattern!r} takes too long on {length} characters; write"
                    " it without a repetition inside a repetition"
                )


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
            return value if -_HUGE < value < _HUGE else f"{_UNREADABLE} int"
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
            is_list = kind is tuple or issubclass(kind, (list, set, frozenset))
            pairs = None if is_list else _pairs_of(value, kind, self._items + 1)
            if pairs is not None:
                return self._mapping(pairs, depth + 1)
            items = _items_of(value, kind, self._items + 1)
            if items is not None:
                return self._sequence(*items, depth + 1)
        finally:
            self._path.discard(id(value))
        if hasattr(kind, "dtype") and hasattr(kind, "item"):  # a number of an array library
            return self.clean(value.item(), "", depth + 1)
        return self._text(f"{_text_of(value, repr)} {_UNREADABLE}")

    def _mapping(self, pairs: list[tuple[Any, Any]], depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for position, (name, value) in enumerate(pairs):
            if not self._take_item():
                result["[TRUNCATED]"] = f"original_size={len(pairs)}"
                break
            key = self._key(name)
            self._room -= len(key)
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
            name = str(name) if type(name) in _ATOMS else _text_of(name, repr)
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
    is_record = "__pydantic_fields__" in members or "__fields__" in members
    if is_record or issubclass(kind, SimpleNamespace):
        return _pairs_of(object.__getattribute__(value, "__dict__"), dict, most)
    if "__dataclass_fields__" in members:
        names = list(members["__dataclass_fields__"])
    elif "__attrs_attrs__" in members:
        names = [attribute.name for attribute in members["__attrs_attrs__"]]
    else:
        return None
    return [(name, _attribute(value, name)) for name in names[:most]]


def _bases(kind: type) -> tuple[type, ...]:
    bases: tuple[type, ...] = type.__dict__["__mro__"].__get__(kind)  # whatever a metaclass says
    return bases


def _members(kind: type) -> dict[str, Any]:
    """Return what a class and its bases define, without asking the class itself."""
    members: dict[str, Any] = {}
    for base in reversed(_bases(kind)):
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
        items = value.tolist()
        return (items, len(items)) if type(items) is list else None
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
        found = _load_from(name, trace_id)
        if found is None:
            raise TraceLoadError(f"{name}: holds no trace {_brief(trace_id)}")
        return found
    trace = _named(name, _trace_from_bytes, _read_file(name))
    parts = _parts_of(name)
    others = [part for part in map(_load_file, parts) if part is not None]
    return merge_traces([trace, *others]) if others else trace


def _parts_of(path: str) -> list[str]:
    """Return the journals that other processes wrote of the trace in a file."""
    directory, name = os.path.split(os.path.abspath(path))
    if not _pattern(_MAIN_FILE).fullmatch(name):
        return []
    beside = _trace_files(directory, name.split(".")[0] + ".")
    return [os.path.join(directory, part) for part in sorted(beside) if _is_part(part)]


def trace_from_journal(lines: Iterable[str | bytes]) -> TraceGraph:
    """Build a trace from the events of a journal, in any order; bad lines are skipped.

    What was skipped is counted in `metadata["logtracer.damaged_lines"]`. Steps that never ended
    are `interrupted`, or `running` while the process that writes them lives. Raises
    TraceLoadError when no line belongs to a trace.
    """
    journal = _Journal()
    for line in lines:
        if line.strip():
            try:
                journal.take(_mapping(_parse(line)))
            except TraceLoadError:
                journal.damaged += 1
    return journal.trace()


class _Journal:
    """Collect the events of a trace into a graph."""

    def __init__(self) -> None:
        self.damaged = 0
        self._head: dict[str, Any] = {}
        self._tail: dict[str, Any] = {}
        self._nodes: dict[str, dict[str, Any]] = {}
        self._edges: list[Edge] = []

    def take(self, event: dict[str, Any]) -> None:
        """Take one event."""
        kind = _field(event, "event", str)
        if kind in ("trace.started", "part.started"):
            _check_version(_field(event, "schema_version", str))
            if kind == "trace.started" or not self._head:
                self._head = event
        elif kind == "trace.completed":
            self._tail = event
        elif kind == "part.completed":
            if self._tail or self._head.get("event") == "part.started":
                self._tail = {**self._tail, **event}  # what went on after a pause has ended
        elif kind == "edge":
            self._edges.append(Edge.from_dict(event))
        elif kind == "node.updated":
            self._merge(_field(event, "id", str), event)
        else:
            node = _field(event, "node", dict)
            self._merge(_field(node, "id", str), node)

    def _merge(self, node_id: str, facts: dict[str, Any]) -> None:
        known = self._nodes.setdefault(node_id, {})
        if "end_time" in facts or not known.get("end_time"):  # resumed, a step may end again
            known.update(facts)

    def trace(self) -> TraceGraph:
        """Return the graph of all that was taken."""
        head, tail = self._head, self._tail
        if not (head or tail or self._nodes):
            raise TraceLoadError("no line of it is an event of a trace")
        trace = TraceGraph(
            head.get("schema_version", SCHEMA_VERSION),
            _field({**tail, **head}, "trace_id", str, "unknown"),
            _field(head, "name", str, ""),
            start_time=_time_from_text(head.get("start_time")),
            end_time=_time_from_text(tail.get("end_time")),
            metadata={
                **_field(head, "metadata", dict, dict),
                **_field(tail, "metadata", dict, dict),
            },
        )
        is_live = not tail and _is_alive(head.get("process_id"))
        for facts in self._nodes.values():
            self._add(trace, facts, is_live)
        if self.damaged:
            trace.metadata["logtracer.damaged_lines"] = self.damaged
        return merge_traces([trace], self._edges)

    def _add(self, trace: TraceGraph, facts: dict[str, Any], is_live: bool) -> None:
        try:
            node = Node.from_dict(facts)
        except TraceLoadError:  # an update whose start was lost
            self.damaged += 1
            return
        if node.status == NodeStatus.RUNNING and not is_live:
            node.status = NodeStatus.INTERRUPTED
        trace.nodes[node.id] = node


def merge_traces(traces: list[TraceGraph], links: Iterable[Edge] = ()) -> TraceGraph:
    """Return the first trace, completed by the nodes and edges of the others, parts of the same.

    Of a node that several have, the one that ended last counts.
    """
    whole = traces[0]
    nodes = {**whole.nodes}
    edges = {_edge_key(edge): edge for edge in links}
    metadata: dict[str, Any] = {}
    for trace in traces:
        metadata = {**trace.metadata, **metadata}
        for edge in trace.edges:
            if edge.edge_type != EdgeType.CAUSED_BY or edge.label:
                edges.setdefault(_edge_key(edge), edge)
        for node in trace.nodes.values():
            if node.id not in nodes or _end_order(nodes[node.id]) < _end_order(node):
                nodes[node.id] = node
    whole.edges = [*_tree_edges(nodes.values()), *edges.values()]
    whole.nodes = {node.id: node for node in sorted(nodes.values(), key=_start_order)}
    whole.end_time = max((t.end_time for t in traces if t.end_time), default=None)
    whole.metadata = metadata
    return whole


def _edge_key(edge: Edge) -> tuple[str, str, str, str]:
    return edge.source_id, edge.target_id, edge.edge_type, edge.label


def _is_alive(process_id: Any) -> bool:
    """Tell whether a process runs on this machine; never on Windows, where asking kills it."""
    if type(process_id) is not int or process_id < 1 or os.name != "posix":
        return False
    try:
        os.kill(process_id, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def _tree_edges(nodes: Iterable[Node]) -> list[Edge]:
    """Return the caused_by edge of every node that has a parent."""
    return [Edge(node.parent_id, node.id) for node in nodes if node.parent_id is not None]


def _trace_from_bytes(data: bytes) -> TraceGraph:
    """Read a document or a journal, whatever the file is called."""
    if data[:200].lstrip().startswith((b'{"schema_version"', b"{\n", b"{\r\n")):
        return trace_from_json(data)
    try:
        return trace_from_journal(data.split(b"\n"))
    except TraceLoadError:
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


def _read_file(path: str, flags: int = 0) -> bytes:
    """Read a regular file; a FIFO or a device would hold the reader up for ever."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise TraceLoadError(f"{path}: not a regular file")
        if status.st_size > _MAX_FILE:
            raise TraceLoadError(f"{path}: larger than {_MAX_FILE >> 30} GiB")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


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


# ---- Stores: where traces go -------------------------------------------------------------------

_TRACE_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")


class StorageBackend(Protocol):
    """Anything that keeps traces; any object with these three methods will do."""

    def save(self, trace: TraceGraph) -> None:
        """Keep a trace, replacing the one with its id."""

    def load(self, trace_id: str) -> TraceGraph | None:
        """Return the trace, or None when there is none of that id."""

    def list_traces(self) -> list[str]:
        """Return the ids of all traces."""


class StreamingBackend(StorageBackend, Protocol):
    """A store that takes each event as it happens, so that a killed process loses nothing."""

    def write_event(self, trace_id: str, event: str, line: str) -> None:
        """Take one event: its kind, and its whole as one line of JSON ending in a newline.

        Kinds are `trace.started`, `node.started`, `node.updated`, `node.completed`,
        `node.failed`, `edge` and `trace.completed`; in a process that joined somebody else's
        trace `part.started` and `part.completed`. `trace_from_journal` makes a trace of them.
        """


class MemoryStore:
    """Keep the last `max_traces` traces in this process's memory."""

    def __init__(self, max_traces: int = 10_000) -> None:
        if max_traces < 1:
            raise ValueError(f"max_traces must be at least 1, not {max_traces!r}")
        self._max_traces = max_traces
        self._traces: dict[str, list[Callable[[], TraceGraph]]] = {}

    def save(self, trace: TraceGraph) -> None:
        """Keep a trace, replacing the one with its id."""
        self._traces.pop(trace.trace_id, None)
        self._keep(trace.trace_id, lambda: trace)

    def load(self, trace_id: str) -> TraceGraph | None:
        """Return the trace, or None when there is none of that id."""
        parts = [build() for build in self._traces.get(trace_id, ())]
        return merge_traces(parts) if len(parts) > 1 else next(iter(parts), None)

    def list_traces(self) -> list[str]:
        """Return the ids of all traces, oldest first."""
        return list(self._traces)

    def _keep(self, trace_id: str, build: Callable[[], TraceGraph]) -> None:
        """Keep a recording as it is: most are never read, so their nodes are built on demand."""
        self._traces.setdefault(trace_id, []).append(build)
        while len(self._traces) > self._max_traces:
            self._traces.pop(next(iter(self._traces)), None)


class FileStore:
    """Keep each trace as a file of a directory: a journal while it runs, then a document.

    Every event is appended to `<trace_id>.jsonl` by one write to the operating system, so a
    killed process loses nothing it was told. When the trace ends, `<trace_id>.json` replaces the
    journal. Other processes that join the trace write `<trace_id>.<random>.jsonl` files, which
    `load` merges. Raises StoreError when the directory cannot be written to.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = os.path.abspath(os.fspath(directory))
        self._journals: dict[str, tuple[int, str]] = {}  # trace id: descriptor, path
        self._lock = RLock()
        self._prepare()
        _fork_aware.add(self)

    def __repr__(self) -> str:
        return f"FileStore({self.directory!r})"

    def __reduce__(self) -> tuple[type[FileStore], tuple[str]]:
        return type(self), (self.directory,)

    def save(self, trace: TraceGraph) -> None:
        """Write a trace as `<trace_id>.json`, replacing what is there."""
        path = self._path(trace.trace_id, ".json")
        _replace_file(path, [trace_to_json(trace, indent=None).encode("utf-8")])

    def load(self, trace_id: str) -> TraceGraph | None:
        """Return the trace, finished or not; None when there is none of that id."""
        return _load_from(self.directory, trace_id)

    def list_traces(self) -> list[str]:
        """Return the ids of all traces, sorted."""
        return sorted({name.split(".")[0] for name in _trace_files(self.directory)})

    def write_event(self, trace_id: str, event: str, line: str) -> None:
        """Append one event to the trace's journal; see StreamingBackend."""
        data = line.encode("utf-8")
        with self._lock:  # else another thread could end the trace and close the descriptor
            descriptor, path = self._journals.get(trace_id) or self._open(trace_id, event)
            is_last = event == "trace.completed" or (event == "part.completed" and _is_part(path))
            if not is_last:
                if os.write(descriptor, data) != len(data):
                    _cut_back(descriptor)
                return
            del self._journals[trace_id]
        self._finish(trace_id, descriptor, path, data)

    def _prepare(self) -> None:
        try:
            os.makedirs(self.directory, 0o700, exist_ok=True)
            probe = os.path.join(self.directory, f".{os.urandom(8).hex()}.tmp")
            os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _O_SAFE, 0o600))
            os.unlink(probe)
        except OSError as error:
            raise StoreError(f"cannot keep traces in {self.directory}: {error}") from None

    def _path(self, trace_id: str, ending: str) -> str:
        if not _TRACE_ID.fullmatch(trace_id):
            raise StoreError(f"trace id {_brief(trace_id)} is not 1 to 64 of 0-9 A-Z a-z _ -")
        return os.path.join(self.directory, trace_id + ending)

    def _open(self, trace_id: str, event: str) -> tuple[int, str]:
        """Open the trace's own journal at its start, anything later in a file of its own."""
        part = "" if event == "trace.started" else f".{os.urandom(8).hex()}"
        path = self._path(trace_id, f"{part}.jsonl")
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | _O_SAFE
        try:
            descriptor = os.open(path, flags, 0o600)
        except FileNotFoundError:  # somebody removed the directory
            os.makedirs(self.directory, 0o700, exist_ok=True)
            descriptor = os.open(path, flags, 0o600)
        self._journals[trace_id] = descriptor, path
        return descriptor, path

    def _finish(self, trace_id: str, descriptor: int, path: str, data: bytes) -> None:
        """Replace the journal of an ended trace by its document; parts stay as they are."""
        final = self._path(trace_id, ".json")
        with os.fdopen(descriptor, "rb", 1 << 18) as journal:
            try:
                if os.write(descriptor, data) != len(data):
                    _cut_back(descriptor)
                if path != f"{final}l":
                    return
                os.makedirs(self.directory, 0o700, exist_ok=True)
                _replace_file(final, _document_of(journal))
            except _Unfinished:  # a step outlives its trace, or a line is missing
                journal.seek(0)
                self.save(trace_from_journal(journal))
            except OSError:
                if os.fstat(descriptor).st_size:  # what there is can be read
                    raise
        if os.path.exists(path):
            os.unlink(path)

    def _after_fork(self) -> None:
        """Forget, in a child process, the files of its parent."""
        self._lock = RLock()
        journals, self._journals = self._journals, {}
        for descriptor, _ in journals.values():
            os.close(descriptor)


def _trace_files(directory: str, start: str = "") -> list[str]:
    """Return the names of a directory's journals and documents, or of those of one trace."""
    try:
        names = [name for name in os.listdir(directory) if name.startswith(start)]
    except FileNotFoundError:
        return []
    is_trace_file = _pattern(f"{_MAIN_FILE}|{_PART_FILE}").fullmatch
    return [name for name in names if is_trace_file(name)]


def _is_part(path: str) -> bool:
    return _pattern(_PART_FILE).fullmatch(os.path.basename(path)) is not None


def _load_from(directory: str, trace_id: str) -> TraceGraph | None:
    """Return a trace of a directory: what began it, and the parts that others wrote."""
    if not _TRACE_ID.fullmatch(trace_id):
        return None
    for _ in range(3):  # a journal may become a document between the listing and the reading
        names = sorted(_trace_files(directory, f"{trace_id}."), key=lambda name: (len(name), name))
        try:
            files = [_load_file(os.path.join(directory, name)) for name in names]
        except FileNotFoundError:
            continue
        traces = [trace for trace in files if trace is not None]
        return merge_traces(traces) if len(traces) > 1 else next(iter(traces), None)
    return None


def _load_file(path: str) -> TraceGraph | None:
    try:
        data = _read_file(path, getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise TraceLoadError(f"{path}: {error.strerror}") from None
    if not data and path.endswith("l"):  # its process died before it wrote the first line
        return None
    return _named(path, _trace_from_bytes, data)


def _cut_back(descriptor: int) -> NoReturn:
    """Remove the half of a line that a full disk took."""
    with os.fdopen(descriptor, "rb", closefd=False) as journal:
        journal.seek(0)
        whole = sum(len(line) for line in journal if line.endswith(b"\n"))
    os.ftruncate(descriptor, whole)
    raise StoreError("no room for a whole line")


_MAIN_FILE = r"[0-9A-Za-z_-]{1,64}\.jsonl?"
_PART_FILE = r"[0-9A-Za-z_-]{1,64}\.[0-9a-f]{16}\.jsonl"


class _Unfinished(Exception):
    """The journal cannot be turned into a document line by line."""


def _document_of(journal: BinaryIO) -> Iterator[bytes]:
    """Yield the `.json` document of an ended journal, in bounded memory however long it is."""
    journal.seek(0)
    head = json.loads(journal.readline() or b"{}")
    if head.get("event") != "trace.started":
        raise _Unfinished
    first = {key: head[key] for key in ("schema_version", "trace_id", "name")}
    yield _to_json(first)[:-1].encode() + b',"nodes":{'
    unfinished, last = 0, b"{}\n"  # the ids of what began and did not end, XORed
    comma = b"\n"
    for block in _blocks_of(journal):
        for node_id in _pattern(_STARTED).findall(block):
            unfinished ^= int(node_id, 16)
        for node, node_id, _ in _pattern(_ENDED).findall(block):
            yield b'%b"%b":%b' % (comma, node_id, node)
            comma = b",\n"
            unfinished ^= int(node_id, 16)
        last = block[block.rfind(b"\n", 0, -1) + 1 :]
    tail = json.loads(last)
    if unfinished or tail.get("event") != "trace.completed":
        raise _Unfinished
    yield b'\n},"edges":['
    yield from _edges_of(journal)
    end = {key: tail[key] for key in ("end_time", "metadata", "duration_ms")}
    end = {"start_time": head["start_time"], **end}
    yield b"\n]," + _to_json(end)[1:].encode() + b"\n"


def _edges_of(journal: BinaryIO) -> Iterator[bytes]:
    """Yield the edges from parents to children, then those the host linked."""
    comma = b"\n"
    links: list[bytes] = []
    journal.seek(0)
    for block in _blocks_of(journal):
        for _, node_id, parent_id in _pattern(_ENDED).findall(block):
            if parent_id:
                yield _TREE_EDGE % (comma, parent_id, node_id)
                comma = b",\n"
        links += _pattern(_LINK).findall(block)
    for link in links:
        yield comma + b"{" + link
        comma = b",\n"


def _blocks_of(journal: BinaryIO) -> Iterator[bytes]:
    """Yield a journal in blocks of whole lines."""
    rest = b""
    while block := journal.read(_BLOCK):
        end = block.rfind(b"\n") + 1
        if end:
            yield rest + block[:end]
            rest = block[end:]
        else:
            rest += block


_BLOCK = 1 << 20  # bytes
_STARTED = rb'\{"event":"node\.started","node":\{"id":"([0-9a-f]{16})"'
_ENDED = (
    rb'\{"event":"node\.(?:completed|failed)","node":'
    rb'(\{"id":"([0-9a-f]{16})"[^\n]*?"parent_id":(?:null|"([0-9a-f]{16})")[^\n]*\})\}\n'
)
_LINK = rb'\{"event":"edge",([^\n]*)\n'
_TREE_EDGE = (
    b'%b{"source_id":"%b","target_id":"%b","edge_type":"caused_by","label":"","metadata":{}}'
)


def open_store(url: str) -> StorageBackend:
    """Return the store a URL names.

    `memory`, `file://DIRECTORY`, `sqlite://FILE` or `postgresql://...`; the last two need the
    folder logtracer_extras. Raises ValueError for any other, naming these.
    """
    if url == "memory":
        return MemoryStore()
    scheme, separator, place = url.partition("://")
    if not (separator and place) or scheme not in ("file", "sqlite", "postgresql", "postgres"):
        raise ValueError(
            f"storage {scheme!r} is not memory, file://DIRECTORY, sqlite://FILE or"
            " postgresql://USER@HOST/DATABASE"
        )
    if scheme == "file":
        return FileStore(place)
    import importlib

    module = importlib.import_module(f"logtracer_extras.{scheme.replace('postgresql', 'postgres')}")
    store: StorageBackend = (
        module.SQLiteStore(place) if scheme == "sqlite" else module.PostgresStore(url)
    )
    return store


# ---- Context: which span is current ------------------------------------------------------------

_current: contextvars.ContextVar[Span | None] = contextvars.ContextVar("logtracer", default=None)
_ENTER_CONTEXT = getattr(contextlib.ExitStack.enter_context, "__code__")  # calls __enter__ for us
_getframe, _modules, _now = sys._getframe, sys.modules, time.perf_counter_ns  # looked up once
_GENERATOR = 0x20 | 0x200  # inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def current_span() -> Span | None:
    """Return the nearest span that has not ended, None outside any trace.

    A span opened inside a generator is current for the generator's own code, not for the code
    that consumes it.
    """
    span = _current.get()
    while span is not None and (span._end or (span._frame is not None and span._is_suspended())):
        span = span._previous
    return span if span is None or span._is_recording else None


def get_current_node() -> Node | None:
    """Return the current span's node as it stands, None outside any trace."""
    span = current_span()
    return None if span is None else span.node_record


def get_current_trace() -> TraceGraph | None:
    """Return the current trace as it stands, None outside any trace."""
    span = current_span()
    return None if span is None else span.trace


def clear_context() -> None:
    """Forget the current span in this context; spans that are open stay open."""
    _current.set(None)


def propagate_context(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function bound to the context of now, for a thread or an executor to call.

    Threads and executors start with an empty context; tasks and asyncio.to_thread inherit.
    """
    context = contextvars.copy_context()

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        return context.copy().run(function, *args, **kwargs)  # a copy: it may run many at a time

    return run


def _no_loop() -> None:
    """Stand in for asyncio's function while another thread is still importing asyncio."""


def _strand() -> int:
    """Identify the task, or outside one the thread, that runs now."""
    asyncio = _modules.get("asyncio")
    if asyncio is not None and getattr(asyncio, "_get_running_loop", _no_loop)() is not None:
        task = asyncio.current_task()
        if task is not None:
            return id(task)
    return get_ident()


def _generator_frame(frame: FrameType | None) -> FrameType | None:
    """Return the frame of a generator that may be suspended while its consumer goes on.

    The generator of a @contextmanager is not one: the code of its `with` block runs inside it.
    """
    while frame is not None:
        caller = frame.f_back
        if frame.f_globals.get("__name__") != "contextlib":
            if not frame.f_code.co_flags & _GENERATOR:
                return None
            if caller is None or caller.f_globals.get("__name__") != "contextlib":
                return frame
        frame = caller
    return None


# ---- Capture: what a recording keeps of values -------------------------------------------------


class _Encoded(str):
    """JSON text of a value that was cleaned when it was captured."""

    __slots__ = ()


_PLAIN = 1_000  # characters; longer texts are cut and encoded when captured, not when read
_NO_VALUES: dict[str, Any] = {}


def _make_encoder() -> Callable[[Any], str]:
    encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # PyPy
        return encoder.encode
    escape = getattr(json.encoder, "encode_basestring")
    # what encoder.encode does, without building the C encoder anew for every value
    encode = make(None, encoder.default, escape, None, ":", ",", False, False, False)
    return lambda data: "".join(encode(data, 0))


_to_json = _make_encoder()
_quote: Callable[[str], str] = getattr(json.encoder, "encode_basestring")  # noqa: B009
_LITERALS = {True: "true", False: "false", None: "null"}


class _Capture:
    """Snapshot values when a span is given them, and clean them before anybody sees them.

    Numbers and short texts cannot change, so they are kept as they are and cleaned when the node
    is read or written; everything else becomes JSON text at once.
    """

    def __init__(self, redactor: _Redactor, max_value: int) -> None:
        self.redactor = redactor
        self._max_value = max_value
        self._names: dict[str, str] = {}
        self._keys: dict[str, str] = {}
        self._secret_keys: set[str] = set()

    def encode(self, value: Any, key: str, limit: int | None) -> _Encoded:
        """Return the JSON text of any value, bounded and redacted."""
        cleaner = _Cleaner(self.redactor, limit, self._max_value)
        return _Encoded(_to_json(cleaner.clean(value, key)))

    def plain(self, max_text: int | None) -> int:
        """Return up to what length a text can be kept as it is."""
        return min(_PLAIN, self._max_value, max_text or _PLAIN)

    def keep(self, values: dict[str, Any], max_text: int | None) -> None:
        """Replace in place what could change or is large."""
        plain = self.plain(max_text)
        for key, value in values.items():
            if type(value) not in _ATOMS or (type(value) is str and len(value) > plain):
                values[key] = self.encode(value, key, max_text)

    def json(self, values: dict[str, Any]) -> str:
        """Return kept values as the text of a JSON object."""
        keys = self._keys
        parts = []
        for key, value in values.items():
            name = keys.get(key) or self._key(key)
            parts.append(name + self._json_of(value, key))
        return "{" + ",".join(parts) + "}"

    def json_list(self, texts: Iterable[str]) -> str:
        """Return kept texts as the text of a JSON array."""
        return "[" + ",".join([self._json_of(text, "") for text in texts]) + "]"

    def _json_of(self, value: Any, key: str) -> str:
        """Return the JSON text of a kept value; most need no cleaning, which is seen quickly."""
        kind = value.__class__
        if kind is _Encoded:
            return str(value)
        if key in self._secret_keys or self.redactor.is_eager:
            return self.encode(value, key, None)
        if kind is str:
            is_public = len(value) < _SHORTEST_SECRET or not _SUSPECT(value)
            if is_public and (value.isascii() or not _SURROGATE(value)):
                return _quote(value)
        elif kind is int:
            if -_HUGE < value < _HUGE:
                return repr(value)
        elif kind is float:
            if value - value == 0.0:
                return repr(value)
        elif kind is bool or value is None:
            return _LITERALS[value]
        return self.encode(value, key, None)

    def _key(self, key: str) -> str:
        """Return the JSON text of a key and its colon; keys recur, so it is remembered."""
        text = _quote(self.text(key)) + ":"
        if self.redactor.is_secret(key):
            self._secret_keys.add(key)
        elif len(self._keys) < 4_096:  # a host may have endless keys
            self._keys[key] = text
        return text

    def text(self, value: Any, limit: int = _MAX_KEY) -> str:
        """Return a name, a key, a label or an annotation, clean, whatever it is."""
        clean = _Cleaner(self.redactor, limit, self._max_value).clean(value)
        return clean if type(clean) is str else _to_json(clean)[:limit]

    def name(self, name: Any) -> str:
        """Return the JSON text of a name; names recur, so it is remembered."""
        if type(name) is not str:
            name = self.text(name)
        known = self._names.get(name)
        if known is None:
            known = _to_json(self.text(name))
            if len(self._names) < 4_096 and len(name) <= _MAX_KEY:
                self._names[name] = known
        return known


# ---- Recording: one trace while it runs --------------------------------------------------------

_KEPT_NODES = 10_000  # finished nodes a recording holds when a streaming store has them as well
_HEAD = (
    '{"id":"%016x","sequence_number":%d,"name":%s,"node_type":%s,"parent_id":%s,"depth":%d,'
    '"start_time":"%s","status":"'
)
_FACTS = '"input_data":%s,"output_data":%s,"annotations":%s,"metadata":%s,%s'
_FAILURE = '"error":%s,"error_type":%s,"error_traceback":%s'
_NO_FAILURE = _FAILURE % ("null", "null", "null")


class _Recording:
    """What is known of one trace; its spans add to it from any thread or task."""

    def __init__(
        self,
        tracer: Tracer,
        name: str,
        metadata: dict[str, Any],
        is_sampled: bool,
        joined: tuple[str, str | None] | None,
    ) -> None:
        self.tracer = tracer
        self.is_sampled = is_sampled  # else kept only if a step fails
        self.capture = tracer._capture
        self.stream = tracer._stream if is_sampled else None
        self.has_hooks = bool(tracer.hooks or tracer._listeners)
        self.is_watched = self.has_hooks or self.stream is not None
        self.keeps_data = tracer.config.capture_level == "full"
        self.keeps_notes = tracer.config.capture_level != "minimal"
        self.max_input = tracer.config.max_input_size
        self.max_output = tracer.config.max_output_size
        self.plain_input = self.capture.plain(self.max_input)
        self.plain_output = self.capture.plain(self.max_output)
        self.is_part = joined is not None  # of a trace that another process, or this one, began
        self.trace_id, self.remote_parent = joined or (os.urandom(16).hex(), None)
        self.name = name
        self.metadata = metadata
        self.began = _now()
        self.offset = time.time_ns() - self.began  # from the monotonic clock to the wall clock
        self.ended = 0
        self.open: dict[int, Span] = {}
        self.finished: list[Any] = []  # journal lines; packed tuples when nothing is streamed
        self.released = 0  # finished nodes that only the store still has
        self.links: list[tuple[str, str, str, str]] = []
        self.dropped = 0
        self.shapes: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._second = (0, "")
        self.renumber(0)

    def renumber(self, used: int) -> None:
        """Give nodes ids of a fresh random range: unique in all processes, cheap to make."""
        start = int.from_bytes(os.urandom(8), "big") >> 1 | 1
        self.numbers = itertools.count(start)
        self.base = start - used

    def restart_in_child(self) -> None:
        """After a fork, leave to the parent what it recorded, and number anew."""
        self.renumber(next(self.numbers) - self.base)
        self.open.clear()
        self.finished.clear()

    def text_of_time(self, moment: int) -> str:
        """Return a reading of the monotonic clock as ISO 8601 text with microseconds."""
        began, text = self._second
        if not 0 <= moment - began < 1_000_000_000:
            second = (moment + self.offset) // 1_000_000_000
            began = second * 1_000_000_000 - self.offset
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = began, text
        return "%s.%06d+00:00" % (text, (moment - began) // 1_000)

    def time(self, moment: int) -> datetime | None:
        """Return a reading of the monotonic clock as a datetime, None for one not taken."""
        if not moment:
            return None
        return _EPOCH + timedelta(microseconds=(moment + self.offset) // 1_000)

    def graph(self) -> TraceGraph:
        """Return the trace as it stands, with the spans still open as running nodes."""
        unfinished = list(self.open.values())  # copied first: what ends meanwhile is in both
        nodes = [self._node_of(record) for record in self.finished[:]]
        ended = {node.id for node in nodes}
        nodes += [self.unpack(_pack(span)) for span in unfinished if span.id not in ended]
        if self.released:
            stored = self.tracer.storage.load(self.trace_id)
            known = {node.id for node in nodes}
            older = [] if stored is None else stored.nodes.values()
            nodes += [node for node in older if node.id not in known]
        edges = [*_tree_edges(nodes), *itertools.starmap(Edge, self.links[:])]
        found = {node.id: node for node in sorted(nodes, key=_start_order)}
        metadata = {**self.metadata, **self.troubles()}
        start, end = self.time(self.began), self.time(self.ended)
        name = json.loads(self.capture.name(self.name))
        return TraceGraph(SCHEMA_VERSION, self.trace_id, name, found, edges, start, end, metadata)

    def troubles(self) -> dict[str, Any]:
        """Return what a reader should know that went wrong while recording."""
        return {"logtracer.dropped_nodes": self.dropped} if self.dropped else {}

    def has_failures(self) -> bool:
        """Tell whether a finished node failed; of a trace that is not streamed."""
        return any(record[4] == "failed" for record in self.finished[:])

    def _node_of(self, record: Any) -> Node:
        if type(record) is tuple:
            return self.unpack(record)
        return Node.from_dict(json.loads(record))

    def unpack(self, record: tuple[Any, ...]) -> Node:
        """Return the node that `_pack` made a record of."""
        number, parent, name, node_type, status, depth, start, end, *rest = record
        in_keys, in_values, out_keys, out_values, notes, metadata, failure = rest
        capture = self.capture
        return Node(
            "%016x" % number,
            0 if parent is None else number - self.base,
            json.loads(capture.name(name)),
            json.loads(capture.name(node_type)),
            _STATUSES[status],
            self.remote_parent if parent is None else "%016x" % parent,
            depth,
            self.time(start),
            self.time(end),
            json.loads(capture.json(_join(in_keys, in_values))),
            json.loads(capture.json(_join(out_keys, out_values))),
            json.loads(capture.json_list(notes)),
            json.loads(capture.json(metadata or {})),
            *(failure or (None, None, None)),
        )

    # What happened: the store is told first, then whoever listens.

    def trace_started(self) -> None:
        """Tell the store that the trace begins, or that this process joins it."""
        head = {
            "schema_version": SCHEMA_VERSION,
            "trace_id": self.trace_id,
            "name": json.loads(self.capture.name(self.name)),
            "start_time": self.text_of_time(self.began),
            "process_id": os.getpid(),
            "metadata": self.metadata,
        }
        kind = "part" if self.is_part else "trace"
        self._write(f"{kind}.started", _to_json(head)[1:])

    def trace_completed(self) -> bool:
        """Tell the store that the trace, or this process's part of it, has ended."""
        start = (self.began + self.offset) // 1_000
        tail = {
            "trace_id": self.trace_id,
            "end_time": self.text_of_time(self.ended),
            "metadata": {**self.metadata, **self.troubles()},
            "duration_ms": ((self.ended + self.offset) // 1_000 - start) / 1_000,
        }
        kind = "part" if self.is_part else "trace"
        return self._write(f"{kind}.completed", _to_json(tail)[1:])

    def span_started(self, span: Span) -> None:
        """Tell that a span has started, after what its parent has gathered by now."""
        if self.stream is not None:
            parent = span._parent
            if parent is not None and parent._is_dirty:
                self.write_facts(parent)
            span._head = self._head(span)
            self._write("node.started", f'"node":{span._head}running"}}}}')
            if span._inputs:  # given before it started
                self.input_given(span)
        if self.has_hooks and span._parent is None:
            self.tracer._notify("trace.started", span)
        if self.has_hooks:
            self.tracer._notify("node.started", span)

    def input_given(self, span: Span) -> None:
        """Tell of a span's input, which must outlive a kill at once."""
        if self.stream is not None and span._start:
            span._input_json = self.capture.json(span._inputs or _NO_VALUES)
            facts = '"id":"%016x","input_data":%s}' % (span._number, span._input_json)
            self._write("node.updated", facts)
        if self.has_hooks:
            self.tracer._notify("node.updated", span)

    def span_ended(self, span: Span) -> None:
        """Keep and tell what an ended span recorded."""
        event = "node.failed" if span._status == "failed" else "node.completed"
        if self.stream is None:
            self.finished.append(_pack(span))
        else:
            self._keep_streamed(span, event)
        self.open.pop(span._number, None)
        try:
            if self.has_hooks:
                self.tracer._notify(event, span)
        finally:  # whatever a hook lets through, a Ctrl-C or a SystemExit
            if span._parent is None:
                self.ended = span._end
                self.tracer._complete(self, span)
            elif self.ended:
                self.tracer._complete_late(self)

    def link(self, source_id: str, target_id: str, edge_type: str, label: str) -> None:
        """Keep an edge and tell the store."""
        edge_type = _EDGE_TYPES.get(edge_type, edge_type)
        self.links.append((source_id, target_id, edge_type, label))
        if self.stream is not None:
            edge = Edge(source_id, target_id, edge_type, label).to_dict()
            self._write("edge", _to_json(edge)[1:])

    def _write(self, event: str, rest: str) -> bool:
        """Hand an event to the streaming store; what the store raises ends here."""
        if self.stream is None:
            return True
        try:
            self.stream.write_event(self.trace_id, event, f'{{"event":"{event}",{rest}\n')
            return True
        except Exception as error:  # the store's trouble is not the host's
            self.tracer._report(type(self.stream).__name__, error)
            return False

    def _keep_streamed(self, span: Span, event: str) -> None:
        offset = self.offset
        microseconds = (span._end + offset) // 1_000 - (span._start + offset) // 1_000
        node = '%s%s","end_time":"%s",%s,"duration_ms":%s}' % (
            span._head or self._head(span),
            span._status,
            self.text_of_time(span._end),
            self._facts(span),
            microseconds / 1_000,
        )
        if not self._write(event, f'"node":{node}}}'):
            self.dropped += 1
        self.finished.append(node)
        if len(self.finished) >= _KEPT_NODES:  # the store has them: a long trace must not grow
            self.released += len(self.finished)
            self.finished.clear()

    def write_facts(self, span: Span) -> None:
        """Tell the store what an open span has gathered."""
        span._is_dirty = False
        facts = f'"id":"{span.id}","status":"{span._status}",{self._facts(span)}}}'
        self._write("node.updated", facts)

    def _head(self, span: Span) -> str:
        parent, remote = span._parent, self.remote_parent
        parent_id = remote if parent is None else "%016x" % parent._number
        return _HEAD % (
            span._number,
            0 if parent is None else span._number - self.base,
            self.capture.name(span.name),
            self.capture.name(span.node_type),
            "null" if parent_id is None else f'"{parent_id}"',
            span.depth,
            self.text_of_time(span._start),
        )

    def _facts(self, span: Span) -> str:
        capture, failure = self.capture, span._failure
        outputs, notes, metadata = span._outputs, span._annotations, span._metadata
        return _FACTS % (
            span._input_json or capture.json(span._inputs or _NO_VALUES),
            capture.json(outputs) if outputs else "{}",
            capture.json_list(notes) if notes else "[]",
            capture.json(metadata) if metadata else "{}",
            _NO_FAILURE if failure is None else _FAILURE % tuple(map(_to_json, failure)),
        )


def _pack(span: Span) -> tuple[Any, ...]:
    """Make a finished node one tuple of plain values, which the garbage collector lets be.

    Half a million live span objects would cost more to collect than to make; their dicts, most
    of the memory. Keys recur, so they are shared.
    """
    inputs, outputs, notes, parent = span._inputs, span._outputs, span._annotations, span._parent
    in_keys: Any = None
    out_keys: Any = None
    in_values: Any = None
    out_values: Any = None
    if inputs:
        if len(inputs) == 1:  # most often: no tuples at all
            (in_keys,), (in_values,) = inputs, inputs.values()
        else:
            in_keys, in_values = _split(inputs, span._recording.shapes)
    if outputs:
        if len(outputs) == 1:
            (out_keys,), (out_values,) = outputs, outputs.values()
        else:
            out_keys, out_values = _split(outputs, span._recording.shapes)
    return (
        span._number,
        None if parent is None else parent._number,
        span.name,
        span.node_type,
        span._status,
        span.depth,
        span._start,
        span._end,
        in_keys,
        in_values,
        out_keys,
        out_values,
        tuple(notes) if notes else (),
        span._metadata,
        span._failure,
    )


def _split(values: dict[str, Any], shapes: dict[Any, Any]) -> tuple[Any, Any]:
    keys = tuple(values)
    return shapes.setdefault(keys, keys), tuple(values.values())


def _join(keys: Any, values: Any) -> dict[str, Any]:
    if keys is None:
        return _NO_VALUES
    return {keys: values} if type(keys) is str else dict(zip(keys, values))


# ---- Spans: what the host holds ----------------------------------------------------------------


class _Referable:
    """Let weak references be made to spans (dataclass's own way is 3.11 and newer)."""

    __slots__ = ("__weakref__",)


@dataclass(slots=True, eq=False, repr=False)
class Span(_Referable):
    """A step that is being recorded: use it with `with`, `async with`, or `start` and `end`.

    Its methods never raise because of what they are given, and do nothing once it has ended.
    """

    _recording: _Recording
    name: str
    node_type: str
    _parent: Span | None
    depth: int
    _number: int = 0
    _start: int = 0
    _end: int = 0
    _strand: int = 0
    _status: str = "running"
    _head: str = ""
    _is_entered: bool = False
    _is_dirty: bool = False
    _inputs: dict[str, Any] | None = None
    _input_json: str = ""
    _outputs: dict[str, Any] | None = None
    _metadata: dict[str, Any] | None = None
    _annotations: list[str] | None = None
    _failure: tuple[str, str, str] | None = None
    _previous: Span | None = None
    _frame: FrameType | None = None
    _is_recording = True

    def __repr__(self) -> str:
        return f"<Span {_text_of(self.name, repr)} {self._status}>"

    @property
    def id(self) -> str:
        """The node's id, 16 hexadecimal digits; all zeros before the span has started."""
        return "%016x" % self._number

    @property
    def traceparent(self) -> str:
        """The W3C trace context of this span: what another process joins the trace with."""
        return f"00-{self._recording.trace_id}-{self.id}-01"

    def subprocess_env(self) -> dict[str, str]:
        """Return a copy of the environment for a child process, with TRACEPARENT set."""
        return {**os.environ, "TRACEPARENT": self.traceparent}

    @property
    def trace(self) -> TraceGraph:
        """The whole trace as it stands: a copy, made when asked for."""
        return self._recording.graph()

    @property
    def node_record(self) -> Node:
        """The node as it stands: a copy, made when asked for."""
        return self._recording.unpack(_pack(self))

    def node(self, name: str, node_type: str = "custom") -> Span:
        """Make a span below this one; it starts when it is entered."""
        return Span(self._recording, name, node_type, self, self.depth + 1)

    def input(self, /, **values: Any) -> None:
        """Record what the step works on; values are copied now, later ones are added."""
        recording = self._recording
        if self._end or not recording.keeps_data:
            self._skip()
            return
        limit = recording.plain_input
        for value in values.values():
            kind = type(value)
            if (kind is not str or len(value) > limit) and (kind is str or kind not in _ATOMS):
                recording.capture.keep(values, recording.max_input)
                break
        self._inputs = values if self._inputs is None else {**self._inputs, **values}
        if recording.is_watched:
            recording.input_given(self)

    def output(self, /, **values: Any) -> None:
        """Record what came out of the step; values are copied now, later ones are added."""
        recording = self._recording
        if self._end or not recording.keeps_data:
            self._skip()
            return
        limit = recording.plain_output
        for value in values.values():
            kind = type(value)
            if (kind is not str or len(value) > limit) and (kind is str or kind not in _ATOMS):
                recording.capture.keep(values, recording.max_output)
                break
        self._outputs = values if self._outputs is None else {**self._outputs, **values}
        self._is_dirty = True
        if recording.has_hooks:
            recording.tracer._notify("node.updated", self)

    def metadata(self, /, **values: Any) -> None:
        """Record facts about the step: model, tokens, version, anything but its data."""
        self._add_metadata(values)

    def annotate(self, text: str) -> None:
        """Record why the step did what it did."""
        recording = self._recording
        if self._end or not recording.keeps_notes:
            self._skip()
            return
        if type(text) is not str:
            text = recording.capture.text(text, _MAX_TEXT)
        elif len(text) > _PLAIN:
            text = recording.capture.encode(text, "", _MAX_TEXT)
        if self._annotations is None:
            self._annotations = [text]
        else:
            self._annotations.append(text)
        self._is_dirty = True
        if recording.has_hooks:
            recording.tracer._notify("node.updated", self)

    def set_status(self, status: NodeStatus) -> None:
        """Set the status to end with; an exception that leaves the span still makes it failed."""
        if self._end or type(status) not in (str, NodeStatus) or status not in _STATUSES:
            self._recording.tracer._report("status", f"{self!r} cannot become {_brief(status)}")
        else:
            self._status = str(status)

    def link(self, other: Span, edge_type: str = EdgeType.DATA_FLOW, label: str = "") -> None:
        """Say why `other`, the later step, connects to this one: a retry of it, fed by it, ..."""
        recording = self._recording
        if not (
            isinstance(other, Span)
            and self._start
            and other._start
            and other._recording is recording
        ):
            recording.tracer._report("link", "only started spans of one trace can be linked")
            return
        clean = recording.capture.text
        recording.link(self.id, other.id, clean(edge_type), clean(label))

    def llm(
        self,
        *,
        model: str | None = None,
        provider: str | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cached_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        finish_reason: str | None = None,
        **request_parameters: Any,
    ) -> None:
        """Record the facts of a model call under their OpenTelemetry GenAI names.

        `input_tokens` includes the cached ones; `request_parameters` are temperature, top_p, ...
        """
        facts = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model,
            "gen_ai.usage.input_tokens": input_tokens,
            "gen_ai.usage.output_tokens": output_tokens,
            "gen_ai.usage.cache_read.input_tokens": cached_tokens,
            "gen_ai.usage.cache_creation.input_tokens": cache_write_tokens,
            "gen_ai.usage.reasoning.output_tokens": reasoning_tokens,
            "gen_ai.response.finish_reasons": None if finish_reason is None else [finish_reason],
            **{f"gen_ai.request.{name}": value for name, value in request_parameters.items()},
        }
        self._add_metadata({key: value for key, value in facts.items() if value is not None})

    def start(self) -> Span:
        """Start without becoming the current span, for work that no `with` block encloses."""
        if not self._start:
            self._begin()
        return self

    def end(self, error: BaseException | None = None) -> None:
        """End the span, failed when an error is given; a second end does nothing."""
        if self._start:
            self.__exit__(None, error, None)

    def pause(self, reason: str) -> None:
        """Let this step and those above it end as paused: they wait, most often for a human.

        `Tracer.resume` goes on, in another process if need be; `resume` does in this one.
        """
        moment = self._recording.text_of_time(_now())
        self._add_metadata({"logtracer.paused_reason": reason})
        self._change_status("running", "paused", {"logtracer.paused_at": moment})

    def resume(self) -> None:
        """Go on after `pause`; the time waited is kept as `logtracer.waited_ms`."""
        self._change_status("paused", "running", {})

    def _change_status(self, old: str, new: str, facts: dict[str, Any]) -> None:
        span: Span | None = self
        while span is not None:
            if span._status == old and not span._end:
                span._status = new
                span._add_metadata({**facts} if facts else span._waited())
                if span._recording.stream is not None:
                    span._recording.write_facts(span)
            span = span._parent

    def _waited(self) -> dict[str, Any]:
        """Return how many milliseconds this step has waited, now that it goes on."""
        metadata = self._metadata or {}
        try:
            paused_at = _time_from_text(metadata.get("logtracer.paused_at"))
            waited = _milliseconds(paused_at, self._recording.time(_now())) or 0.0
            return {"logtracer.waited_ms": metadata.get("logtracer.waited_ms", 0.0) + waited}
        except (TraceLoadError, TypeError):  # the host wrote something else there
            return {}

    def stream(self, chunks: Iterable[T]) -> Iterator[T]:
        """Yield the chunks as they come and record their number, first delay and text.

        Takes an async iterable as well, and is one then. A span that has not started starts here
        and ends with its stream.
        """
        meter = _StreamMeter(self)
        watch: Any = _watch_async if hasattr(type(chunks), "__aiter__") else _watch
        watched: Iterator[T] = watch(meter, chunks)
        return watched

    def __enter__(self) -> Span:
        if self._is_entered:  # entering a span again changes nothing
            return self
        self._is_entered = True
        if not self._start:
            self._begin()
        frame = _getframe(1)
        code = frame.f_code
        if code.co_flags & _GENERATOR or code is _ENTER_CONTEXT:
            self._frame = _generator_frame(frame)
        previous = _current.get()
        while previous is not None and previous._end:
            previous = previous._previous
        self._previous = previous
        _current.set(self)
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if self._end or not self._start:
            return
        recording = self._recording
        if error is not None:
            self._fail(error)
        elif self._status == "running":
            self._status = "completed"
        self._end = _now()
        self._frame = None
        if _current.get() is self:
            _current.set(self._previous)
        if self._number not in recording.open:  # opened before a fork
            return
        if not recording.is_watched and self._parent is not None and not recording.ended:
            recording.finished.append(_pack(self))
            recording.open.pop(self._number, None)  # last: until then a reader finds it here
            return
        try:
            recording.span_ended(self)
        except Exception as problem:  # the host's exception passes, ours does not
            recording.tracer._report("span", problem)

    async def __aenter__(self) -> Span:
        self.__enter__()
        self._frame = _generator_frame(_getframe(1))
        return self

    async def __aexit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        self.__exit__(kind, error, traceback)

    def _begin(self) -> None:
        recording, parent = self._recording, self._parent
        asyncio = _modules.get("asyncio")
        is_sync = asyncio is None or getattr(asyncio, "_get_running_loop", _no_loop)() is None
        self._strand = strand = get_ident() if is_sync else _strand()
        self._number = number = next(recording.numbers)
        recording.open[number] = self
        if recording.ended:
            recording.tracer._count_late_start()
        self._start = _now()
        try:
            if parent is not None and parent._strand != strand and parent._strand:
                self._branch(parent)
            if recording.is_watched:
                recording.span_started(self)
        except Exception as problem:  # whatever it is, the host goes on
            recording.tracer._report("span", problem)
        except BaseException as stop:  # a Ctrl-C in a hook: the `with` will never be entered
            self.end(stop)
            raise

    def _branch(self, parent: Span) -> None:
        """Give a step that runs beside its parent, in another task or thread, its own lane."""
        sequence = self._number - self._recording.base
        self._metadata = {"lane": f"{self._recording.capture.text(self.name)}#{sequence}"}
        self._recording.link(parent.id, self.id, "branched_from", "")

    def _is_suspended(self) -> bool:
        """Tell whether the generator that opened this span waits for its consumer, who asks."""
        frame = self._frame
        return frame is not None and frame.f_back is None and self._strand == _strand()

    def _add_metadata(self, values: dict[str, Any]) -> None:
        recording = self._recording
        if self._end or not recording.keeps_notes:
            self._skip()
            return
        recording.capture.keep(values, None)
        self._metadata = {**self._metadata, **values} if self._metadata else values
        self._is_dirty = True
        if recording.has_hooks:
            recording.tracer._notify("node.updated", self)

    def _skip(self) -> None:
        if self._end:
            self._recording.tracer._report("late", f"{self!r} had ended: what came later is lost")

    def _fail(self, error: BaseException) -> None:
        """Take the status an exception means: that first, then what may go wrong."""
        self._status, note, recording = "failed", "", self._recording
        try:
            self._status, note = _meaning_of(error)
        except Exception as problem:  # its own class raises when it is looked at
            recording.tracer._report("error", problem)
        if note:
            self._add_metadata({"logtracer.ended_by": note})
        elif recording.keeps_notes:
            texts = (_error_text(error), _type_name(type(error)), _traceback_text(error))
            encode = recording.capture.encode
            text, kind, trace = (json.loads(encode(part, "", _MAX_TEXT)) for part in texts)
            self._failure = (text, kind, trace)


def _meaning_of(error: BaseException) -> tuple[str, str]:
    """Return the status that an exception leaving a span means, and a note on how it ended."""
    kind = type(error)
    if issubclass(kind, GeneratorExit):
        return "completed", "GeneratorExit: the consumer stopped early"
    if issubclass(kind, SystemExit):
        code = getattr(error, "code", 1)
        is_success = code is None or (type(code) is int and code == 0)
        return ("completed", "SystemExit") if is_success else ("failed", "")
    if issubclass(kind, KeyboardInterrupt):
        return "cancelled", "KeyboardInterrupt"
    if any(_type_name(base) == "CancelledError" for base in _bases(kind)):  # of any framework
        return "cancelled", "CancelledError"
    return "failed", ""


def _error_text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # even a KeyboardInterrupt out of __str__ must not hide the error
        return f"<{_type_name(type(error))}>"


def _traceback_text(error: BaseException) -> str:
    import traceback  # paid for by the first failure

    try:
        return "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except Exception:  # a traceback that cannot be shown must not hide the error
        return ""


class _StreamMeter:
    """Count the chunks of a stream for its span, which ends with it unless a `with` ends it."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._owns_span = not span._start
        self._count = 0
        self._texts: list[str] = []
        self._room = _MAX_TEXT
        span.start()

    def take(self, chunk: Any) -> None:
        """Note one chunk."""
        if not self._count:
            seconds = (_now() - self._span._start) / 1e9
            self._span._add_metadata({"gen_ai.response.time_to_first_chunk": seconds})
        self._count += 1
        if type(chunk) is str and self._room > 0:
            self._texts.append(chunk)
            self._room -= len(chunk)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if self._texts:
            self._span.output(text="".join(self._texts))
        self._span._add_metadata({"stream.chunks": self._count})
        if self._owns_span:
            self._span.end(error)


def _watch(meter: _StreamMeter, chunks: Iterable[T]) -> Iterator[T]:
    with meter:
        for chunk in chunks:
            meter.take(chunk)
            yield chunk


async def _watch_async(meter: _StreamMeter, chunks: AsyncIterable[T]) -> AsyncIterator[T]:
    with meter:
        async for chunk in chunks:
            meter.take(chunk)
            yield chunk


class _OffSpan(Span):
    """The one span of all traces that are not recorded: takes everything, keeps nothing."""

    __slots__ = ()
    _is_recording = False

    def __init__(self) -> None:
        nothing: Any = None  # it has no recording
        super().__init__(nothing, "", "custom", None, 0)
        self._status, self._strand, self._previous = "pending", _strand(), _current.get()

    @property
    def traceparent(self) -> str:
        """A trace context that says: not recorded."""
        return f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-00"

    @property
    def trace(self) -> TraceGraph:
        """An empty trace."""
        return TraceGraph(trace_id="0" * 32)

    @property
    def node_record(self) -> Node:
        """An empty node."""
        return Node(self.id, 0, "")

    def _nothing(self, /, *args: Any, **kwargs: Any) -> None:
        return None

    def _itself(self, *args: Any, **kwargs: Any) -> Any:
        return self

    def stream(self, chunks: Any) -> Any:
        """Return the chunks as they are."""
        return chunks if hasattr(type(chunks), "__aiter__") else iter(chunks)

    async def __aenter__(self) -> Span:
        return self

    def __exit__(self, *error: Any) -> None:
        if self is not _OFF:
            self._end = 1
        if _current.get() is self:
            _current.set(self._previous)

    async def __aexit__(self, *error: Any) -> None:
        self.__exit__()

    input = output = metadata = annotate = set_status = link = llm = end = _nothing
    pause = resume = _nothing
    node = start = __enter__ = _itself


# ---- The tracer --------------------------------------------------------------------------------

_EVENTS = {
    "trace.started": "on_trace_started",
    "trace.completed": "on_trace_completed",
    "node.started": "on_node_started",
    "node.updated": "on_node_updated",
    "node.completed": "on_node_completed",
    "node.failed": "on_node_failed",
}
_LEVELS = ("minimal", "standard", "full")


class TracerHook(Protocol):
    """What a hook may define, any part of it; a hook that raises is reported and goes on."""

    def on_trace_started(self, trace: TraceGraph) -> None:
        """Take a trace that has begun."""

    def on_node_started(self, node: Node, trace_id: str) -> None:
        """Take a node that has begun."""

    def on_node_updated(self, node: Node, trace_id: str) -> None:
        """Take an open node that was given input, output, metadata or an annotation."""

    def on_node_completed(self, node: Node, trace_id: str) -> None:
        """Take a node that has ended other than failed."""

    def on_node_failed(self, node: Node, trace_id: str) -> None:
        """Take a node that has failed."""

    def on_trace_completed(self, trace: TraceGraph) -> None:
        """Take a trace that has ended."""


def _from_environment(variable: str, default: Any, convert: Callable[[str], Any]) -> Any:
    text = os.environ.get(variable, "")
    try:
        return convert(text) if text else default
    except ValueError:
        raise ValueError(f"{variable}={text!r} in the environment is not valid") from None


@dataclass
class TracerConfig:
    """What a tracer records; a wrong value raises ValueError naming the field.

    Sizes are characters: `max_input_size` and `max_output_size` bound each text, nested ones too,
    `max_value_size` a whole value. `redact` is called as `redact(key, text)` with every text and
    returns what to keep; `redact_defaults=False` switches the built-in secrets off. `sampler`, or
    else `sample_rate`, decides whether a trace is recorded; with `keep_failed` a trace in which a
    step fails is kept whatever they say.
    """

    capture_level: str = field(
        default_factory=lambda: _from_environment("LOGTRACER_CAPTURE_LEVEL", "full", str)
    )
    auto_instrument: list[str] = field(default_factory=list)
    redact_patterns: list[str] = field(default_factory=list)
    redact_keys: list[str] = field(default_factory=list)
    redact: Callable[[str, str], str] | None = None
    redact_defaults: bool = True
    max_input_size: int | None = None
    max_output_size: int | None = None
    max_value_size: int = _MAX_VALUE
    sample_rate: float = field(
        default_factory=lambda: _from_environment("LOGTRACER_SAMPLE_RATE", 1.0, float)
    )
    sampler: Callable[[str, dict[str, Any]], bool] | None = None
    keep_failed: bool = False
    enabled: bool = field(
        default_factory=lambda: (
            _from_environment("LOGTRACER_DISABLED", "0", str.lower) in ("0", "false", "no", "off")
        )
    )

    def __post_init__(self) -> None:
        if self.capture_level not in _LEVELS:
            raise ValueError(f"capture_level {self.capture_level!r} is not one of {_LEVELS}")
        for name in ("max_input_size", "max_output_size", "max_value_size"):
            size = getattr(self, name)
            if size is not None and (type(size) is not int or size < 1):
                raise ValueError(f"{name} {size!r} is not a number of characters above 0")
        if not isinstance(self.sample_rate, (int, float)) or not 0 <= self.sample_rate <= 1:
            raise ValueError(f"sample_rate {self.sample_rate!r} is not between 0 and 1")
        for name in ("redact", "sampler"):
            if getattr(self, name) is not None and not callable(getattr(self, name)):
                raise ValueError(f"{name} {getattr(self, name)!r} cannot be called")
        for name in ("auto_instrument", "redact_patterns", "redact_keys"):
            if isinstance(getattr(self, name), str):
                raise ValueError(f"{name} must be a list of texts, not {getattr(self, name)!r}")
        for name in ("redact_defaults", "keep_failed", "enabled"):
            if type(getattr(self, name)) is not bool:
                raise ValueError(f"{name} {getattr(self, name)!r} is not True or False")
        for pattern in self.redact_patterns:
            _check_pattern(pattern)


class TraceContext:
    """Opens a trace when entered, with `with` or `async with`, and yields its root span."""

    __slots__ = ("_make_root", "_roots")

    def __init__(self, make_root: Callable[[], Span]) -> None:
        self._make_root = make_root
        self._roots: list[Span] = []  # entered again, it is another trace

    def __enter__(self) -> Span:
        return self._enter(_getframe(1))

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if self._roots:
            self._roots.pop().__exit__(kind, error, traceback)

    async def __aenter__(self) -> Span:
        return self._enter(_getframe(1))

    async def __aexit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        self.__exit__(kind, error, traceback)

    def _enter(self, frame: FrameType) -> Span:
        root = self._make_root()
        if root is _OFF and _current.get() is not None:  # hides the trace it is nested in
            root = _OffSpan()
            _current.set(root)
        self._roots.append(root)
        root.__enter__()
        if root is not _OFF:
            root._frame = _generator_frame(frame)
        return root


class Tracer:
    """Records traces into a store, a MemoryStore unless told otherwise; shares no global state."""

    def __init__(
        self,
        config: TracerConfig | None = None,
        storage: StorageBackend | None = None,
        hooks: Iterable[TracerHook] | None = None,
    ) -> None:
        self.config = TracerConfig() if config is None else config
        self.storage: StorageBackend = MemoryStore() if storage is None else storage
        self.hooks: list[Any] = list(hooks or ())
        self._listeners: dict[str, list[Callable[..., object]]] = {}
        is_streaming = callable(getattr(self.storage, "write_event", None))
        self._stream: Any = self.storage if is_streaming else None
        redactor = _Redactor(
            self.config.redact_keys,
            self.config.redact_patterns,
            self.config.redact,
            self.config.redact_defaults,
        )
        self._capture = _Capture(redactor, self.config.max_value_size)
        self._lock = RLock()
        self._notifying: set[int] = set()  # threads that are inside a hook: hooks may trace
        self._live: weakref.WeakSet[_Recording] = weakref.WeakSet()
        self._totals = {"started": 0, "finished": 0, "saved": 0, "dropped": 0, "errors": 0}
        _fork_aware.add(self)
        for name in self.config.auto_instrument:
            _adapter(name).install(self)

    def trace(
        self,
        name: str,
        metadata: dict[str, Any] | None = None,
        *,
        parent: Span | str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        tags: Iterable[str] = (),
    ) -> TraceContext:
        """Return the context manager of a trace; entering it yields the root span.

        With `parent`, a span or a W3C traceparent (of a header or TRACEPARENT), the root joins
        the parent's trace instead of beginning a new one; what is not a traceparent is ignored.
        """
        given = {"session_id": session_id, "user_id": user_id, "tags": list(tags)}
        facts = {**(metadata or {}), **{key: value for key, value in given.items() if value}}
        return TraceContext(lambda: self._new_root(name, facts, parent))

    def resume(self, trace_id: str) -> TraceContext:
        """Return the context manager that goes on with a paused trace, under its own root.

        Raises ValueError when the store has no such trace.
        """
        stored = self.storage.load(trace_id)
        if stored is None or not stored.nodes:
            raise ValueError(f"there is no trace {trace_id!r} in {self.storage!r} to resume")
        if not all(_pattern("[0-9a-f]{16}").fullmatch(node_id) for node_id in stored.nodes):
            raise ValueError(f"trace {trace_id!r} was not recorded by logtracer: its ids differ")
        return TraceContext(lambda: self._old_root(stored))

    def on(self, event: str, callback: Callable[..., object]) -> Callable[[], None]:
        """Call back at `trace.started|completed` with the trace, at `node.started|updated|
        completed|failed` with the node and the trace id; returns what undoes it.
        """
        if event not in _EVENTS:
            raise ValueError(f"unknown event {event!r}: there are {', '.join(_EVENTS)}")
        self._listeners.setdefault(event, []).append(callback)
        with self._lock:
            for recording in self._live:
                recording.has_hooks = recording.is_watched = True

        def unsubscribe() -> None:
            if callback in self._listeners[event]:
                self._listeners[event].remove(callback)

        return unsubscribe

    def stats(self) -> dict[str, int]:
        """Return counts: nodes started, finished, saved and dropped, and errors of our own.

        Once every trace has ended, finished = saved + dropped.
        """
        with self._lock:
            totals = dict(self._totals)
            totals["errors"] += self._capture.redactor.failures
            live = [recording for recording in list(self._live) if not recording.ended]
        for recording in live:
            finished = len(recording.finished) + recording.released
            totals["started"] += finished + len(recording.open)
            totals["finished"] += finished
            totals["dropped"] += recording.dropped
            totals["saved"] += finished - recording.dropped if self._stream is not None else 0
        return totals

    def flush(self, timeout: float | None = None) -> None:
        """Wait, at most `timeout` seconds, until the store has written what it was given."""
        self._forward("flush", timeout)

    def close(self) -> None:
        """Flush and close the store, if it is one that closes."""
        self._forward("close")

    def _forward(self, method: str, *arguments: Any) -> None:
        function = getattr(self.storage, method, None)
        if callable(function):
            try:
                function(*arguments)
            except Exception as error:
                self._report("store", error)

    def _new_root(self, name: str, metadata: dict[str, Any], parent: Span | str | None) -> Span:
        joined, is_wanted = None, self.config.enabled
        try:
            if isinstance(parent, Span):
                parent = parent.traceparent
            if is_wanted and type(parent) is str:
                joined, is_wanted = _parse_traceparent(parent)
            is_sampled = is_wanted and (joined is not None or self._is_sampled(name, metadata))
            if not is_wanted or not (is_sampled or self.config.keep_failed):
                return _OFF
            clean = json.loads(self._capture.encode(metadata, "", None))
            recording = _Recording(self, name, clean, is_sampled, joined)
            with self._lock:
                self._live.add(recording)
            recording.trace_started()
            return Span(recording, name, "trace", None, 0 if joined is None else 1)
        except Exception as error:  # a broken sampler, no memory: the host goes on untraced
            self._report("trace", error)
            return _OFF

    def _old_root(self, stored: TraceGraph) -> Span:
        """Return the root span of a stored trace, open again."""
        node = (stored.root_nodes or [*stored.nodes.values()])[0]
        if not self.config.enabled:
            return _OFF
        joined = (stored.trace_id, node.parent_id)
        recording = _Recording(self, stored.name, stored.metadata, True, joined)
        recording.renumber(stored.next_sequence_number())
        with self._lock:
            self._live.add(recording)
        recording.trace_started()
        started = (node.start_time or _EPOCH) - _EPOCH
        root = Span(recording, node.name, node.node_type, None, node.depth)
        root._number = int(node.id, 16)
        root._start = started // timedelta(microseconds=1) * 1_000 - recording.offset
        root._strand = get_ident()
        root._inputs, root._outputs = {**node.input_data}, {**node.output_data}
        root._annotations, root._metadata = [*node.annotations], {**node.metadata}
        for values in (root._inputs, root._outputs, root._metadata):
            self._capture.keep(values, None)
        recording.open[root._number] = root
        root._add_metadata(root._waited())
        if recording.is_watched:
            recording.span_started(root)
        return root

    def _is_sampled(self, name: str, metadata: dict[str, Any]) -> bool:
        if self.config.sampler is not None:
            return bool(self.config.sampler(name, metadata))
        rate = self.config.sample_rate
        return rate >= 1 or int.from_bytes(os.urandom(7), "big") < rate * 2**56

    def _notify(self, event: str, span: Span) -> None:
        """Call the hooks; what they raise is reported, and what they trace calls no hook."""
        here = get_ident()
        if here in self._notifying or not (self.hooks or self._listeners):
            return
        self._notifying.add(here)
        try:
            for listener in (*self.hooks, *self._listeners.get(event, ())):
                self._call(listener, event, span)
        finally:
            self._notifying.discard(here)

    def _call(self, listener: Any, event: str, span: Span) -> None:
        try:
            if listener in self.hooks:
                listener = getattr(listener, _EVENTS[event], None)
            if listener is None:
                return
            if event.startswith("trace."):
                listener(span.trace)
            else:
                listener(span.node_record, span._recording.trace_id)
        except Exception as error:  # a hook's trouble is not the host's
            self._report("hook", error)

    def _complete(self, recording: _Recording, root: Span) -> None:
        """Save a trace whose root has ended, count its nodes, and tell the hooks."""
        count = len(recording.finished) + recording.released
        is_wanted = recording.is_sampled or recording.has_failures()
        if not (is_wanted and self._save(recording)):
            recording.dropped = count
        with self._lock:
            self._totals["started"] += count + len(recording.open)
            self._totals["finished"] += count
            self._totals["dropped"] += recording.dropped
            self._totals["saved"] += count - recording.dropped
        self._notify("trace.completed", root)

    def _count_late_start(self) -> None:
        with self._lock:
            self._totals["started"] += 1

    def _complete_late(self, recording: _Recording) -> None:
        """Count a node that ended after its trace; a store that does not stream saves again."""
        with self._lock:
            self._totals["finished"] += 1
            self._totals["saved"] += 1
        if not recording.open and (recording.is_sampled or recording.has_failures()):
            recording.is_part = self._stream is not None  # its journal has been closed
            if type(self.storage) is not MemoryStore:
                self._save(recording)

    def _save(self, recording: _Recording) -> bool:
        try:
            if self._stream is not None and recording.is_sampled:
                return recording.trace_completed()
            if type(self.storage) is MemoryStore:
                self.storage._keep(recording.trace_id, recording.graph)
                return True
            trace = recording.graph()
            stored = self.storage.load(trace.trace_id) if recording.is_part else None
            self.storage.save(trace if stored is None else merge_traces([stored, trace]))
            return True
        except Exception as error:  # the store's trouble is not the host's
            self._report("store", error)
            return False

    def _report(self, cause: str, problem: object) -> None:
        """Count an error of our own, and log it once a minute."""
        with self._lock:
            self._totals["errors"] += 1
        text = self._capture.redactor.text(_text_of(problem, str)[:_MAX_KEY])
        _log(f"{cause}: {_type_name(type(problem))}: {text}", cause)

    def _after_fork(self) -> None:
        """In a child process, leave what the parent recorded to the parent."""
        self._lock = RLock()
        self._notifying = set()
        self._totals = dict.fromkeys(self._totals, 0)
        for recording in [each for each in self._live if not each.ended]:
            recording.restart_in_child()


_OFF: Span = _OffSpan()
_TRACEPARENT = r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"


def _parse_traceparent(text: str) -> tuple[tuple[str, str] | None, bool]:
    """Return the trace and span id of a W3C traceparent, None when it is none; and whether it
    is sampled.
    """
    match = _pattern(_TRACEPARENT).fullmatch(text)
    if match is None:
        return None, True
    version, trace_id, span_id, flags, suffix = match.groups()
    if (
        version == "ff"
        or (version == "00" and suffix)
        or not (int(trace_id, 16) and int(span_id, 16))
    ):
        return None, True
    return (trace_id, span_id), bool(int(flags, 16) & 1)


def _adapter(name: str) -> Any:
    """Find an adapter by name, in the folder that lies beside this file."""
    import importlib
    import pkgutil

    try:
        return importlib.import_module(f"logtracer_extras.adapters.{name}")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("logtracer_extras"):
            raise
    try:
        found = importlib.import_module("logtracer_extras.adapters")
    except ModuleNotFoundError:
        reason = "the folder logtracer_extras/adapters is not installed beside logtracer.py"
    else:
        modules = [module.name for module in pkgutil.iter_modules(found.__path__)]
        names = sorted(name for name in modules if not name.startswith("_"))
        reason = f"there are {', '.join(names)}"
    raise ValueError(f"auto_instrument: no adapter {name!r}: {reason}")


# ---- The decorator -----------------------------------------------------------------------------


def trace_node(
    name: str | None = None,
    node_type: str = "custom",
    capture_args: bool = False,
    capture_return: bool = False,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Record every call of a function, coroutine or generator as a node of the current trace.

    Outside a trace the function is called straight through. A generator is timed from its first
    step to its last. A dict or a named tuple that is returned becomes the output, anything else
    its `return_value`; `self` and `cls` are never recorded.
    """
    if name is not None and not isinstance(name, str):
        raise TypeError("write @trace_node() with parentheses")

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        call = _Call(function, name, node_type, capture_args, capture_return)
        wrapper: Any = _wrap_function
        if inspect.isasyncgenfunction(function):
            wrapper = _wrap_async_generator
        elif inspect.isgeneratorfunction(function):
            wrapper = _wrap_generator
        elif inspect.iscoroutinefunction(function):
            wrapper = _wrap_coroutine
        wrapped: Callable[P, R] = wraps(function)(wrapper(call, function))
        return wrapped

    return decorate


class _Call:
    """What a decorated function records."""

    def __init__(
        self,
        function: Callable[..., Any],
        name: str | None,
        node_type: str,
        capture_args: bool,
        capture_return: bool,
    ) -> None:
        self._name = str(name or getattr(function, "__name__", "callable"))
        self._node_type = node_type
        self._captures_return = capture_return
        self._signature: inspect.Signature | None = None
        if capture_args:
            with contextlib.suppress(TypeError, ValueError):  # some built-ins have none
                self._signature = inspect.signature(function)

    def open(self) -> Span:
        """Return a span below the current one, the off span outside a trace."""
        parent = current_span()
        return _OFF if parent is None else parent.node(self._name, self._node_type)

    def arguments(self, span: Span, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Record the arguments of a call."""
        if self._signature is None:
            return
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError:  # the call itself is about to say so
            return
        bound.apply_defaults()
        span.input(**{k: v for k, v in bound.arguments.items() if k not in ("self", "cls")})

    def result(self, span: Span, value: Any) -> None:
        """Record what a call returned."""
        if not self._captures_return:
            return
        names = _members(type(value)).get("_fields")
        if issubclass(type(value), tuple) and type(names) is tuple:
            value = dict(zip(names, tuple.__iter__(value)))
        if type(value) is dict and all(type(key) is str for key in value):
            span.output(**value)
        else:
            span.output(return_value=value)


def _wrap_function(call: _Call, function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        if _current.get() is None:  # not traced: straight through
            return function(*args, **kwargs)
        with call.open() as span:
            call.arguments(span, args, kwargs)
            value = function(*args, **kwargs)
            call.result(span, value)
            return value

    return run


def _wrap_coroutine(call: _Call, function: Callable[..., Any]) -> Callable[..., Any]:
    async def run(*args: Any, **kwargs: Any) -> Any:
        if _current.get() is None:
            return await function(*args, **kwargs)
        with call.open() as span:
            call.arguments(span, args, kwargs)
            value = await function(*args, **kwargs)
            call.result(span, value)
            return value

    return run


class _Inside:
    """Make a generator's span current while the generator runs, and only then.

    The variable is set back to what the consumer had, whatever Context each step runs in.
    """

    def __init__(self, span: Span) -> None:
        self._is_off = not span._is_recording
        self._inner: Span | None = span
        self._outer: Span | None = None
        if not self._is_off:
            span.start()._previous = _current.get()

    def __enter__(self) -> None:
        if not self._is_off:
            self._outer = _current.get()
            _current.set(self._inner)

    def __exit__(self, *error: object) -> None:
        if not self._is_off:
            self._inner = _current.get()
            _current.set(self._outer)


def _wrap_generator(call: _Call, function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        span = call.open()
        if span is _OFF:
            return (yield from function(*args, **kwargs))
        inside = _Inside(span)
        call.arguments(span, args, kwargs)
        try:
            with inside:
                generator = function(*args, **kwargs)
            value = yield from _drive(generator, inside)
        except BaseException as error:
            span.end(error)
            raise
        call.result(span, value)
        span.end()
        return value

    return run


def _drive(generator: Any, inside: _Inside) -> Any:
    """Do what `yield from generator` does, with the span current during each step."""
    step, argument = generator.send, None
    while True:
        try:
            with inside:
                item = step(argument)
        except StopIteration as stop:
            return stop.value
        try:
            step, argument = generator.send, (yield item)
        except GeneratorExit:
            with inside:
                generator.close()
            raise
        except BaseException as error:
            step, argument = generator.throw, error


def _wrap_async_generator(call: _Call, function: Callable[..., Any]) -> Callable[..., Any]:
    async def run(*args: Any, **kwargs: Any) -> Any:
        span = call.open()
        inside = _Inside(span)
        call.arguments(span, args, kwargs)
        try:
            with inside:
                generator = function(*args, **kwargs)
            step, argument = generator.asend, None
            while True:
                try:
                    with inside:
                        item = await step(argument)
                except StopAsyncIteration:
                    break
                try:
                    step, argument = generator.asend, (yield item)
                except GeneratorExit:
                    with inside:
                        await generator.aclose()
                    raise
                except BaseException as error:
                    step, argument = generator.athrow, error
        except BaseException as error:
            span.end(error)
            raise
        span.end()

    return run


# ---- Convenience: one default tracer -----------------------------------------------------------

_default: Tracer | None = None
_default_lock = RLock()


def configure(
    *,
    capture_level: str | None = None,
    auto_instrument: Iterable[str] = (),
    storage: str | StorageBackend | None = None,
    redact_patterns: Iterable[str] = (),
    max_output_size: int | None = None,
    max_input_size: int | None = None,
    hooks: Iterable[TracerHook] | None = None,
    **options: Any,
) -> Tracer:
    """Make the default tracer and return it; `options` are further fields of TracerConfig.

    `storage` is a store or what `open_store` takes; left out, LOGTRACER_STORAGE says, else memory.
    """
    global _default
    if capture_level is not None:
        options["capture_level"] = capture_level
    config = TracerConfig(
        auto_instrument=list(auto_instrument),
        redact_patterns=list(redact_patterns),
        max_output_size=max_output_size,
        max_input_size=max_input_size,
        **options,
    )
    if storage is None:
        storage = os.environ.get("LOGTRACER_STORAGE") or "memory"
    store = open_store(storage) if isinstance(storage, str) else storage
    _default = Tracer(config, store, hooks)
    return _default


def trace(name: str, metadata: dict[str, Any] | None = None, **facts: Any) -> TraceContext:
    """Open a trace with the default tracer, made on first use; `facts` as in Tracer.trace."""
    with _default_lock:  # the first use may come from several threads
        tracer = configure() if _default is None else _default
    return tracer.trace(name, metadata, **facts)


_BESIDE = {
    "SQLiteStore": "logtracer_extras.sqlite",
    "BackgroundStore": "logtracer_extras.background",
    "TeeStore": "logtracer_extras.tee",
}


def __getattr__(name: str) -> Any:
    """Import the stores that lie beside this file when they are first asked for."""
    if name not in _BESIDE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    try:
        return getattr(importlib.import_module(_BESIDE[name]), name)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{name} needs the folder logtracer_extras beside logtracer.py"
        ) from error


# ---- Import paths: from logtracer.core import Tracer, as the first README had it ---------------

for _path in ("core", "models", "storage", "serializers"):
    globals()[_path] = sys.modules[f"{__name__}.{_path}"] = sys.modules[__name__]
del _path
