"""Record what an AI agent did, as a graph you can read: steps, why they connect, and when.

    from logtracer import FileStore, Tracer

    tracer = Tracer(storage=FileStore("./traces"))
    with tracer.trace("weather_agent") as root:
        with root.node("weather_api", node_type="tool_call") as step:
            step.input(city="Paris")
            step.output(celsius=18)

Then run `logtracer inspect latest`. This file is the whole tracer: standard library only, made
to be copied into a project as it is. Its sections, in order: errors and reporting, values,
spans, the tracer, the decorator, convenience, context, recording, stores, serialization, safe
values, redaction, import paths.
"""

# Classes here share private fields, values recorded are Any, and callers may not check their types:
# pyright: reportPrivateUsage=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnnecessaryIsInstance=false

from __future__ import annotations

import binascii
import contextlib
import contextvars
import gc
import inspect
import itertools
import json
import math
import os
import re
import stat
import sys
import time
import weakref
from _thread import RLock, get_ident
from collections import UserList, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime, timedelta, timezone
from enum import Enum
from functools import lru_cache, partial, update_wrapper, wraps
from operator import itemgetter
from types import (
    AsyncGeneratorType,
    CoroutineType,
    FrameType,
    GeneratorType,
    MappingProxyType,
    SimpleNamespace,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator
    from typing import Any, BinaryIO, ParamSpec, Protocol, TypeVar, overload

    P = ParamSpec("P")
    R = TypeVar("R")
    S = TypeVar("S", str, bytes)
    T = TypeVar("T")
else:  # importing typing would cost a tenth of what importing this whole file costs
    Any = Protocol = object

    def overload(function: Any) -> Any:
        return function


# fmt: off
__all__ = [
    "EXCEPTION_STATUSES", "Edge", "EdgeType", "FileStore", "LogtracerError", "MemoryStore",
    "Node", "NodeStatus", "NodeType", "SCHEMA_VERSION", "Span", "StorageBackend", "StoreError",
    "StreamingBackend", "TraceContext", "TraceGraph", "TraceLoadError", "Tracer",
    "TracerConfig", "TracerHook", "clear_context", "configure", "current_span", "find_secrets",
    "get_current_node", "get_current_trace", "load_trace", "load_trace_json", "merge_traces",
    "open_store", "propagate_context", "save_trace_json", "trace", "trace_from_journal",
    "trace_from_json", "trace_node", "trace_to_json",
]
# fmt: on
__version__ = "0.1.0"

SCHEMA_VERSION = "0.1.0"  # of the .json document; another major version is refused

# ---- Errors and reporting: the host never notices, the user can find out ------------------------


class LogtracerError(Exception):
    """Root of every error this library raises on purpose."""


class TraceLoadError(LogtracerError, ValueError):
    """A trace could not be read; the message names the source and the reason."""


class StoreError(LogtracerError, OSError):
    """A store cannot do what it was asked: a bad directory, a bad trace id."""


_QUIET_SECONDS = 60.0  # one log line a minute for each cause, however often it happens
_last_logged: dict[str, float] = {}
_fork_aware: weakref.WeakSet[Any] = weakref.WeakSet()  # what must start afresh in a child


def _log(message: str, cause: str = "") -> None:
    """Warn on the `logtracer` logger; never raises (the warnings module would under -W error)."""
    now = time.monotonic()
    if now - _last_logged.get(cause or message, -_QUIET_SECONDS) < _QUIET_SECONDS:
        return
    _last_logged[cause or message] = now
    try:
        import logging  # costs more than this whole file, and is rarely needed

        logging.getLogger("logtracer").warning(message)
    except Exception:  # a host's broken log handler is not ours to raise
        return


def _after_fork() -> None:
    for thing in list(_fork_aware):
        thing._after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)

# ---- Values: what a trace is made of -----------------------------------------------------------


class _StrEnum(str, Enum):
    """A string enum that prints as its value on every Python (StrEnum is 3.11 and newer)."""

    def __str__(self) -> str:
        return str(self.value)


class NodeStatus(_StrEnum):
    """Where a step stands; `interrupted` means its process ended before it did."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    INTERRUPTED = "interrupted"


class NodeType(_StrEnum):
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


class EdgeType(_StrEnum):
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
    """One step of a trace. Times are aware UTC datetimes, data is plain JSON data.

    Of one made by hand the name will do: `TraceGraph.add_node` numbers it.
    """

    id: str = field(default_factory=lambda: os.urandom(8).hex())
    sequence_number: int = -1
    name: str = ""
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
        try:
            values[4] = _STATUSES[values[4]]
        except KeyError:
            raise TraceLoadError(f"unknown status {_brief(values[4])}") from None
        values[7], values[8] = _time_from_text(values[7]), _time_from_text(values[8])
        try:
            "".join(values[11])  # takes texts alone, and is quicker than asking each
        except TypeError:
            raise TraceLoadError("'annotations' must be a list of texts") from None
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
        data: dict[str, Any] = {name: getattr(self, name) for name in _EDGE_FIELDS}
        return {**data, "edge_type": str(self.edge_type)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Edge:
        """Build an edge from its wire form; an edge type of somebody else's stays a string."""
        values = _read_fields(data, _EDGE_FIELDS)
        values[2] = _EDGE_TYPES.get(values[2], values[2])
        return cls(*values)


@dataclass(slots=True, repr=False)
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

    def __repr__(self) -> str:
        counts = f"{len(self.nodes)} nodes, {len(self.edges)} edges"
        return f"<TraceGraph {self.trace_id} {_brief(self.name)} {self.status}: {counts}>"

    def _repr_html_(self) -> str:
        """Show the trace as a tree in a notebook; of a long one, the first steps."""
        rows = itertools.starmap(_html_row, itertools.islice(self.walk(), _HTML_ROWS))
        more = len(self.nodes) - _HTML_ROWS
        rest = f"<div>... and {more:,} more</div>" if more > 0 else ""
        head = f"<b>{_html(self.name)}</b> {_html(self.trace_id)} {_html(self.status)}"
        return f'<div style="line-height:1.6"><div>{head}</div>{"".join(rows)}{rest}</div>'

    @property
    def duration_ms(self) -> float | None:
        """Milliseconds from start to end, None while the run is open."""
        return _milliseconds(self.start_time, self.end_time)

    @property
    def root(self) -> Node | None:
        """The node that stands for the whole run; traces of other tools may have none."""
        tops = (node for node in self.nodes.values() if node.parent_id is None)
        return next((node for node in tops if node.node_type == "trace"), None)

    @property
    def status(self) -> NodeStatus:
        """How the run as a whole stands: as its root, else as the worst of its root nodes."""
        root = self.root
        if root is not None:
            return root.status
        found = {node.status for node in self.root_nodes}
        for status in (NodeStatus.RUNNING, NodeStatus.INTERRUPTED, NodeStatus.FAILED):
            if status in found:
                return status
        return NodeStatus.INTERRUPTED if self.end_time is None else NodeStatus.COMPLETED

    @property
    def session_id(self) -> str | None:
        """The session that `Tracer.trace` was given, kept in the metadata."""
        return _text_or_none(self.metadata.get("session_id"))

    @property
    def user_id(self) -> str | None:
        """The user that `Tracer.trace` was given, kept in the metadata."""
        return _text_or_none(self.metadata.get("user_id"))

    @property
    def tags(self) -> list[str]:
        """The tags that `Tracer.trace` was given, kept in the metadata."""
        tags = self.metadata.get("tags")
        return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []

    @property
    def root_nodes(self) -> list[Node]:
        """The nodes without a parent; a recorded run has one."""
        return self.children(None)

    @property
    def failed_nodes(self) -> list[Node]:
        """The nodes whose status is failed."""
        return [node for node in self.nodes.values() if node.status == NodeStatus.FAILED]

    def add_node(self, node: Node) -> None:
        """Add a node, or replace the one with its id; one without a number follows the last."""
        if node.sequence_number < 0:
            last = next(reversed(self.nodes.values()), node)
            node.sequence_number = max(len(self.nodes), last.sequence_number + 1)
        self.nodes[node.id] = node

    def add_edge(self, edge: Edge) -> None:
        """Add an edge; ValueError when one of its ends is not a node of this trace."""
        for node_id in (edge.source_id, edge.target_id):
            if node_id not in self.nodes:
                raise ValueError(f"unknown node {node_id!r}; add it before an edge to it")
        self.edges.append(edge)

    def next_sequence_number(self) -> int:
        """Return a number greater than that of every node here."""
        return 1 + max((node.sequence_number for node in self.nodes.values()), default=-1)

    def children(self, node_id: str | None) -> list[Node]:
        """Return the nodes whose parent is `node_id`, earliest first.

        Reads every node; to visit a whole trace use `walk`.
        """
        return [node for node in self.nodes.values() if node.parent_id == node_id]

    def ancestors(self, node_id: str) -> list[Node]:
        """Return the nodes above a node, its parent first; in a circle, each of them once."""
        above: list[Node] = []
        seen: set[str | None] = {None, node_id}
        node = self.nodes.get(node_id)
        while node is not None and node.parent_id not in seen:
            seen.add(node.parent_id)
            node = self.nodes.get(str(node.parent_id))
            above += [] if node is None else [node]
        return above

    def links(self) -> list[Edge]:
        """Return the edges that say more than the tree: all but `caused_by` from the parent."""
        parents = {node.id: node.parent_id for node in self.nodes.values()}
        return [
            edge
            for edge in self.edges
            if edge.edge_type != EdgeType.CAUSED_BY or parents.get(edge.target_id) != edge.source_id
        ]

    def find(
        self,
        name: str | None = None,
        *,
        node_type: str | None = None,
        status: NodeStatus | None = None,
    ) -> Node | None:
        """Return the first node of a name, a type, a status; None when there is none."""
        return next(iter(self.find_all(name, node_type=node_type, status=status)), None)

    def find_all(
        self,
        name: str | None = None,
        *,
        node_type: str | None = None,
        status: NodeStatus | None = None,
    ) -> list[Node]:
        """Return the nodes of a name, a type, a status, in the order they started."""
        return [
            node
            for node in self.nodes.values()
            if (name is None or node.name == name)
            and (node_type is None or node.node_type == node_type)
            and (status is None or node.status == status)
        ]

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
            waiting = [] if top.id in seen else [(0, top)]
            while waiting:
                level, node = waiting.pop()
                if node.id not in seen:
                    seen.add(node.id)
                    yield level, node
                    if node.id in children:
                        waiting.extend((level + 1, n) for n in reversed(children[node.id]))

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


_REQUIRED: Any = object()
_WIRE_TYPES = {"int": int, "dict": dict, "list": list}  # all else is text


def _wire_fields(kind: Any, required: str = "") -> dict[str, tuple[type, Any]]:
    """Return the type of each field in the wire form, and its default unless it is required."""
    table: dict[str, tuple[type, Any]] = {}
    for each in fields(kind):
        wire: Any = _WIRE_TYPES.get(each.type.partition("[")[0], str)
        default = wire if wire in (dict, list) else each.default
        is_required = default is MISSING or each.name in required.split()
        table[each.name] = wire, _REQUIRED if is_required else default
    return table


_NODE_FIELDS = _wire_fields(Node, "id sequence_number name")
_EDGE_FIELDS = _wire_fields(Edge)
_TRACE_FIELDS = _wire_fields(TraceGraph, "schema_version trace_id nodes")
_VALUES_OF = {len(f): itemgetter(*f) for f in (_NODE_FIELDS, _EDGE_FIELDS, _TRACE_FIELDS)}
_good_shapes: set[tuple[type, ...]] = set()  # types of fields that were found to be right


def _read_fields(data: dict[str, Any], table: dict[str, tuple[type, Any]]) -> list[Any]:
    """Return the values of a wire form's fields; raises TraceLoadError naming a wrong one."""
    try:
        values = [*_VALUES_OF[len(table)](data)]
    except KeyError:  # it has not all of them
        values = [*map(data.get, table)]
    shape = tuple(map(type, values))
    if shape in _good_shapes:  # steps have few shapes, so most are checked by this one look-up
        return values
    checked = [_field(data, name, *expected) for name, expected in table.items()]
    if checked == values:
        _good_shapes.add(shape)
    return checked


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


def _check_version(version: str) -> None:
    if not re.fullmatch(r"[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}", version):
        raise TraceLoadError(f"schema_version {_brief(version)} is not like {SCHEMA_VERSION}")
    major, minor, _ = version.split(".")
    if major != SCHEMA_VERSION.split(".")[0]:
        ours = f"logtracer {__version__} (schema {SCHEMA_VERSION})"
        raise TraceLoadError(f"schema {version} is not readable by {ours}: get a newer logtracer")
    if minor != SCHEMA_VERSION.split(".")[1]:
        _log(f"schema {version} is not {SCHEMA_VERSION}; unknown fields are ignored")


_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LAST = datetime(9999, 12, 31, tzinfo=timezone.utc)


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
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        try:  # Python 3.10 knows no Z, and only 3 or 6 digits
            moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        except (AttributeError, TypeError, ValueError):
            raise TraceLoadError(f"{_brief(text)} is not an ISO 8601 time") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)


def _text_or_none(value: object) -> str | None:
    return None if value is None else str(value)


_HTML_ROWS = 200  # of a trace in a notebook; the page that `logtracer view` writes shows all


def _html(value: object) -> str:
    import html  # costs a tenth of this whole file, and only notebooks need it

    text = _text_of(value, str)
    return html.escape(_well_formed(text if len(text) <= 200 else text[:199] + "…"))


def _html_row(level: int, node: Node) -> str:
    """Return a node as a line of HTML that opens on its input, output and error."""
    data = {"input": node.input_data, "output": node.output_data, "error": node.error}
    lines = [f"<div>{name}: {_html(value)}</div>" for name, value in data.items() if value]
    time_taken = "" if node.duration_ms is None else f" {node.duration_ms:,.1f} ms"
    head = f"<b>{_html(node.name)}</b> {_html(node.node_type)} {node.status}{time_taken}"
    indent = f"margin-left:{1.5 * min(level, 20)}em"
    return f'<details style="{indent}"><summary>{head}</summary>{"".join(lines)}</details>'


def _brief(value: object) -> str:
    """Show a foreign value in a message: short, and with every odd character escaped."""
    text = _text_of(value, ascii)
    return text if len(text) <= 60 else text[:57] + "..."


# ---- Spans: what the host holds ----------------------------------------------------------------


class Span:
    """A step that is being recorded: use it with `with`, `async with`, or `start` and `end`.

    Its methods never raise because of what they are given, and do nothing once it has ended.

    >>> with Tracer().trace("run") as root, root.node("search", node_type="tool_call") as step:
    ...     step.input(query="weather in Paris")
    ...     step.output({"celsius": 18})
    >>> step.node_record.output_data
    {'celsius': 18}
    """

    # fmt: off
    __slots__ = (
        "__weakref__", "_annotations", "_end", "_entry", "_failure", "_frame", "_head",
        "_input_json", "_inputs", "_is_dirty", "_is_entered", "_metadata", "_number", "_outputs",
        "_parent", "_recording", "_start", "_status", "_task_or_thread", "depth", "name",
        "node_type",
    )
    # fmt: on
    _is_recording = True

    def __init__(
        self, recording: _Recording, name: str, node_type: str, parent: Span | None, depth: int
    ) -> None:
        self._recording = recording
        self.name = name
        self.node_type = node_type
        self._parent = parent
        self.depth = depth
        self._number = self._start = self._end = self._task_or_thread = 0
        self._is_entered = self._is_dirty = False
        self._head = self._input_json = ""
        self._status = "running"
        self._inputs: dict[str, Any] | None = None
        self._outputs: dict[str, Any] | None = None
        self._metadata: dict[str, Any] | None = None
        self._annotations: list[str] | None = None
        self._failure: tuple[str, str | None, str | None] | None = None
        self._entry: _Entry = None  # while it is open and was entered
        self._frame: FrameType | None = None  # of the generator it was entered in

    def __repr__(self) -> str:
        return f"<Span {_text_of(self.name, repr)} {self._status}>"

    def _repr_html_(self) -> str:
        """Show the whole trace in a notebook."""
        return self.trace._repr_html_()

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

    def input(self, /, *given: Any, **values: Any) -> None:
        """Record what the step works on; values are copied now, later ones are added.

        Give names, a dict of names, or a single value, which is named `value`.
        """
        if given:
            values = _named_values(given, values)
        recording = self._recording
        if self._end or not recording.keeps_data:
            _skip(self)
            return
        limit = recording.plain_input
        for value in values.values():
            if type(value) is not str or len(value) > limit:
                recording.capture.keep(values, limit, recording.max_input)
                break
        self._inputs = values if self._inputs is None else {**self._inputs, **values}
        if recording.is_watched:
            recording.input_given(self)

    def output(self, /, *given: Any, **values: Any) -> None:
        """Record what came out of the step, given as for `input`."""
        if given:
            values = _named_values(given, values)
        recording = self._recording
        if self._end or not recording.keeps_data:
            _skip(self)
            return
        limit = recording.plain_output
        for value in values.values():
            if type(value) is not str or len(value) > limit:
                recording.capture.keep(values, limit, recording.max_output)
                break
        self._outputs = values if self._outputs is None else {**self._outputs, **values}
        self._is_dirty = True
        if recording.has_hooks:
            recording.tracer._notify("node.updated", self)

    def metadata(self, /, *given: Any, **values: Any) -> None:
        """Record facts about the step: model, tokens, version, anything but its data."""
        _add_metadata(self, _named_values(given, values) if given else values)

    def annotate(self, text: str) -> None:
        """Record why the step did what it did."""
        recording = self._recording
        if self._end or not recording.keeps_notes:
            _skip(self)
            return
        if type(text) is not str:
            text = recording.capture.text(text, _MAX_TEXT)
        elif len(text) > _PLAIN:
            text = recording.capture.encode(text, "", _MAX_TEXT)
        if self._annotations is None:
            self._annotations = []
        self._annotations.append(text)
        self._is_dirty = True
        if recording.has_hooks:
            recording.tracer._notify("node.updated", self)

    def set_status(self, status: NodeStatus) -> None:
        """Set the status to end with; an exception that leaves the span still makes it failed.

        One of pending, running, completed, failed, cancelled, paused and interrupted; with a
        message for failed, use `fail`.
        """
        if self._end or type(status) not in (str, NodeStatus) or status not in _STATUSES:
            self._recording.tracer._report("status", f"{self!r} cannot become {_brief(status)}")
        else:
            self._status = str(status)

    def fail(self, message: str | BaseException) -> None:
        """Set the status failed, with a message or an error, for a failure that raises nothing."""
        recording = self._recording
        if self._end:
            _skip(self)
            return
        if issubclass(type(message), BaseException):
            _fail(self, message)
        elif recording.keeps_notes:
            self._failure = recording.capture.text(message, _MAX_TEXT), None, None
        self._status, self._is_dirty = "failed", True

    def link(self, other: Span, edge_type: str = EdgeType.DATA_FLOW, label: str = "") -> None:
        """Say why `other`, the later step, connects to this one, the earlier one.

        `a.link(b, "retry_of")` means that b is a retry of a; `a.link(b)`, that b got data from a.
        """
        recording = self._recording
        is_ours = issubclass(type(other), Span) and other._recording is recording
        if is_ours and self._start and other._start:
            clean = recording.capture.text
            recording.link(self.id, other.id, clean(edge_type), clean(label))
        else:
            recording.tracer._report("link", "only started spans of one trace can be linked")

    def llm(
        self,
        model: str | None = None,
        *,
        provider: str | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cached_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        finish_reason: str | None = None,
        cost: float | None = None,
        **request_parameters: Any,
    ) -> None:
        """Record the facts of a model call under their OpenTelemetry GenAI names.

        `input_tokens` includes the cached ones; `cost` is what the call cost, if the provider
        says; `request_parameters` are temperature, top_p, ... A misspelt name is one of these,
        and is reported.
        """
        for name in filter(_misspelt, request_parameters):
            self._recording.tracer._report(
                "llm", f"unknown argument: {name}; did you mean {_misspelt(name)}?"
            )
        facts = {
            "provider.name": provider,
            "request.model": model,
            "usage.input_tokens": input_tokens,
            "usage.output_tokens": output_tokens,
            "usage.cache_read.input_tokens": cached_tokens,
            "usage.cache_creation.input_tokens": cache_write_tokens,
            "usage.reasoning.output_tokens": reasoning_tokens,
            "usage.cost": cost,
            "response.finish_reasons": None if finish_reason is None else [finish_reason],
        }
        _add_metadata(self, _gen_ai({"operation.name": "chat", **facts}, request_parameters))

    def start(self) -> Span:
        """Start without becoming the current span, for work that no `with` block encloses."""
        if not self._start:
            _begin(self)
        return self

    def end(self, error: BaseException | None = None) -> None:
        """End the span, failed when an error is given; a second end does nothing."""
        if self._start:
            self.__exit__(None, error, None)

    def pause(self, reason: str) -> None:
        """Let this step and those above it end as paused: they wait, most often for a human.

        `Tracer.resume` goes on, in another process if need be; `resume` does in this one.
        """
        moment = _time_to_text(_wall_time())
        _add_metadata(self, {"logtracer.paused_reason": reason})
        _change_status(self, "running", "paused", {"logtracer.paused_at": moment})

    def resume(self) -> None:
        """Go on after `pause`; the time waited is kept as `logtracer.waited_ms`."""
        _change_status(self, "paused", "running", {})

    @overload
    def stream(self, chunks: Iterable[T]) -> Iterator[T]: ...

    @overload
    def stream(self, chunks: AsyncIterable[T]) -> AsyncIterator[T]: ...  # noqa: F811

    def stream(self, chunks: Any) -> Any:  # noqa: F811  (ruff does not know our own overload)
        """Yield the chunks as they come and record their number, first delay and text.

        Takes an async iterable as well, and is one then. A span that has not started starts here
        and ends with its stream.
        """
        watch: Any = _watch_async if hasattr(type(chunks), "__aiter__") else _watch
        return watch(_StreamMeter(self), chunks)

    def __enter__(self) -> Span:
        if self._is_entered:  # entering a span again changes nothing
            return self
        self._is_entered = True
        if not self._start:
            _begin(self)
        previous = _current.get()
        if _streaming:
            self._entry = entry = [self, _resumed(previous), previous]  # set again: the last
        else:
            while previous is not _streaming and previous[0] is None:
                previous = previous[1]
            self._entry = entry = [self, previous]
        frame = _getframe(1)
        code = frame.f_code
        if code.co_flags & _GENERATOR or code is _ENTER_CONTEXT:
            _note_generator(self, frame)
        _set_current(entry)
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if self._end or not self._start:
            return
        recording = self._recording
        if error is not None:
            _fail(self, error)
        elif self._status == "running":
            self._status = "completed"
        self._end = _Clock.now()
        entry = self._entry
        if entry is not None:
            entry[0] = self._entry = None
            if self._frame is not None:
                _forget_generator(self, entry)
            if _current.get() is entry:
                _set_current(entry[-1])
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
        _note_generator(self, _getframe(1))
        return self

    async def __aexit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        self.__exit__(kind, error, traceback)

    def __copy__(self) -> Span:
        return self

    def __deepcopy__(self, memo: Any) -> Span:
        return self


def _add_metadata(span: Span, values: dict[str, Any]) -> None:
    recording = span._recording
    if span._end or not recording.keeps_notes:
        _skip(span)
        return
    recording.capture.keep(values, recording.capture.plain(None), None)
    span._metadata = {**span._metadata, **values} if span._metadata else values
    span._is_dirty = True
    if recording.has_hooks:
        recording.tracer._notify("node.updated", span)


def _skip(span: Span) -> None:
    """Report what is given to a span that has ended; what its level leaves out is no trouble."""
    if span._end:
        span._recording.tracer._report("late", f"{span!r} already ended; update ignored")


def _named_values(given: tuple[Any, ...], values: dict[str, Any]) -> dict[str, Any]:
    """Return the values given without a name under a name, those of dicts under their own."""
    named: dict[str, Any] = {}
    unnamed: list[Any] = []
    for value in given:
        fields: dict[Any, Any] = dict.copy(value) if issubclass(type(value), dict) else {0: value}
        if all(type(key) is str for key in fields):
            named.update(fields)
        else:
            unnamed.append(value)
    if unnamed:
        named["value"] = unnamed[0] if len(unnamed) == 1 else unnamed
    return {**named, **values}


@lru_cache(maxsize=1_000)  # a host repeats the names of its request parameters
def _misspelt(name: str) -> str:
    """Return the argument of `Span.llm` that an unknown name is most like, "" if it is not."""
    known = ("model", *(Span.llm.__kwdefaults__ or ()))
    return _closest(name, [each for each in known if abs(len(each) - len(name)) < 3])


def _closest(name: str, known: Iterable[str]) -> str:
    import difflib  # paid for by the first mistake

    return next(iter(difflib.get_close_matches(name, [*known], 1, 0.8)), "")


def _gen_ai(facts: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    facts = {**facts, **{f"request.{name}": value for name, value in request.items()}}
    return {f"gen_ai.{name}": value for name, value in facts.items() if value is not None}


def _begin(span: Span) -> None:
    """Start a span: number it, take the time, and tell who watches."""
    recording, parent = span._recording, span._parent
    has_tasks = "asyncio" in _modules or "trio" in _modules
    span._task_or_thread = strand = _task_or_thread_id() if has_tasks else get_ident()
    span._number = number = next(recording.numbers)
    recording.open[number] = span
    if recording.ended:
        recording.tracer._count(started=1)
    span._start = _Clock.now()
    try:
        if parent is not None and parent._task_or_thread != strand and parent._task_or_thread:
            _branch(span, parent)
        if recording.is_watched:
            recording.span_started(span)
    except Exception as problem:  # whatever it is, the host goes on
        recording.tracer._report("span", problem)
    except BaseException as stop:  # a Ctrl-C in a hook: the `with` will never be entered
        span.end(stop)
        raise


def _branch(span: Span, parent: Span) -> None:
    """Give a step that runs beside its parent, in another task or thread, its own lane."""
    recording = span._recording
    sequence = span._number - recording.base
    span._metadata = {"lane": f"{recording.capture.text(span.name)}#{sequence}"}
    recording.link(parent.id, span.id, "branched_from", "")


def _change_status(span: Span | None, old: str, new: str, facts: dict[str, Any]) -> None:
    """Pause or wake a step and those above it."""
    while span is not None:
        is_ours = not span._start or span._number in span._recording.open  # else of our parent
        if span._status == old and not span._end and is_ours:
            span._status = new
            _add_metadata(span, {**facts} or _time_waited(span))
            if span._recording.stream is not None:
                span._recording.write_facts(span)
        span = span._parent


def _time_waited(span: Span) -> dict[str, Any]:
    """Return how many milliseconds a paused step has waited, now that it goes on."""
    metadata = span._metadata or {}
    try:
        paused_at = _time_from_text(metadata.get("logtracer.paused_at"))
        now = _wall_time()
        waited = max(0.0, _milliseconds(paused_at, now) or 0.0)  # a clock may be behind
        return {
            "logtracer.waited_ms": metadata.get("logtracer.waited_ms", 0.0) + waited,
            _RESUMED_AT: _time_to_text(now),
        }
    except (TraceLoadError, TypeError, OverflowError):  # the host wrote something else there
        return {}


def _wall_time() -> datetime:
    """Return the time of day: a person waits on while a suspended machine's other clock stands."""
    return _EPOCH + timedelta(microseconds=_Clock.wall() // 1_000)


def _fail(span: Span, error: Any) -> None:
    """Give a span the status an exception means: that first, then what may go wrong."""
    span._status, note, recording = "failed", "", span._recording
    try:
        span._status, note = _meaning_of(error)
    except Exception as problem:  # its own class raises when it is looked at
        recording.tracer._report("error", problem)
    if note:
        _add_metadata(span, {"logtracer.ended_by": note})
    elif recording.keeps_notes:
        clean = partial(recording.capture.text, limit=_MAX_TEXT)
        kind, trace = _type_name(type(error)), _traceback_text(error)
        span._failure = clean(_error_text(error)), clean(kind), clean(trace)


def _meaning_of(error: Any) -> tuple[str, str]:
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
    if "exceptions" in _members(kind) and type(getattr(error, "exceptions", None)) is tuple:
        meanings = {_meaning_of(each) for each in error.exceptions}  # of a group
        return meanings.pop() if len(meanings) == 1 else ("failed", "")
    for base in type.__dict__["__mro__"].__get__(kind):
        name = _type_name(base)
        if name in EXCEPTION_STATUSES or (name in _STEERING and not issubclass(kind, Exception)):
            return str(EXCEPTION_STATUSES.get(name) or _STEERING[name]), name
    return "failed", ""


# What exceptions that steer a program mean for the steps they leave, by the name of their class or
# of one that it is made of; adapters may add theirs. All others mean that a step has failed.
EXCEPTION_STATUSES: dict[str, NodeStatus] = {
    "CancelledError": NodeStatus.CANCELLED,
    "GraphInterrupt": NodeStatus.PAUSED,  # the step waits for a human, and is run again
    "CallDeferred": NodeStatus.PAUSED,
    "ApprovalRequired": NodeStatus.PAUSED,
}
_STEERING = {  # names that errors have as well: these are no Exception
    "Cancelled": NodeStatus.CANCELLED,
    "GreenletExit": NodeStatus.CANCELLED,
    "Skipped": NodeStatus.COMPLETED,
    "StopException": NodeStatus.COMPLETED,
    "RerunException": NodeStatus.COMPLETED,
}


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


class _Chunks:
    """Keep what a stream yields as far as there is room: text is joined, all else listed."""

    def __init__(self, recording: _Recording) -> None:
        self.count = 0
        self._capture = recording.capture
        self._kept: list[Any] = []
        self._room = _MAX_TEXT if recording.keeps_data else 0
        self._size = 0  # of all chunks that are text
        self._kind: type | None = None  # of every chunk, if it is one and text

    def take(self, chunk: Any) -> None:
        """Count a chunk, and keep it while there is room."""
        kind = type(chunk) if type(chunk) in (str, bytes) else None
        self._kind = kind if self.count == 0 or kind is self._kind else None
        self.count += 1
        self._size += len(chunk) if kind else 0
        if self._room <= 0:
            return
        if kind is None:
            text = self._capture.encode(chunk, "", None)
            chunk, size = json.loads(text), len(text)
        else:
            chunk, size = chunk[: self._room], len(chunk)
        self._kept.append(chunk)
        self._room -= size

    def value(self) -> Any:
        """Return the text of the stream, or the list of its chunks; what was cut says so."""
        if self._kind is None:
            cut = self.count - len(self._kept)
            return [*self._kept, *([f"[TRUNCATED: original_size={self.count}]"] if cut else ())]
        text: Any = self._kind().join(self._kept)
        if self._kind is bytes:
            text = text.decode("utf-8", "backslashreplace")
        is_whole = self._size <= _MAX_TEXT
        return text if is_whole else f"{text}... [TRUNCATED: original_size={self._size}]"


class _StreamMeter:
    """Record the chunks of a stream with its span, which ends with it unless a `with` ends it."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._owns_span = not span._start
        self._chunks = _Chunks(span._recording)
        span.start()

    def __enter__(self) -> Callable[[Any], None]:
        return self._take

    def _take(self, chunk: Any) -> None:
        if not self._chunks.count:
            seconds = (_Clock.now() - self._span._start) / 1e9
            _add_metadata(self._span, {"gen_ai.response.time_to_first_chunk": seconds})
        self._chunks.take(chunk)

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if self._chunks.count:
            value = self._chunks.value()
            self._span.output(**{"text" if type(value) is str else "chunks": value})
        _add_metadata(self._span, {"stream.chunks": self._chunks.count})
        if self._owns_span:
            self._span.end(error)


def _watch(meter: _StreamMeter, chunks: Iterable[T]) -> Iterator[T]:
    with meter as take:
        for chunk in chunks:
            take(chunk)
            yield chunk


async def _watch_async(meter: _StreamMeter, chunks: AsyncIterable[T]) -> AsyncIterator[T]:
    with meter as take:
        async for chunk in chunks:
            take(chunk)
            yield chunk


class _OffSpan(Span):
    """The one span of all traces that are not recorded: takes everything, keeps nothing."""

    __slots__ = ()
    _is_recording = False

    def __init__(self) -> None:
        nothing: Any = None  # it has no recording
        super().__init__(nothing, "", "custom", None, 0)
        self._status, self._task_or_thread = "pending", _task_or_thread_id()

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

    def _take(self, /, *given: Any, **values: Any) -> None:
        return None

    def _nothing(self, *args: Any, **kwargs: Any) -> None:
        return None

    def node(self, name: str, node_type: str = "custom") -> Span:
        """Return the off span of no trace in particular: its end ends nothing."""
        return _OFF

    def annotate(self, text: str) -> None:
        """Keep nothing."""

    def stream(self, chunks: Any) -> Any:
        """Return the chunks as they are."""
        return chunks if hasattr(type(chunks), "__aiter__") else iter(chunks)

    def __enter__(self) -> Span:
        return self

    async def __aenter__(self) -> Span:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if self is _OFF:
            return
        self._end = 1
        entry = self._entry
        if entry is not None:
            entry[0] = self._entry = None
            if _current.get() is entry:
                _set_current(entry[-1])

    async def __aexit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        self.__exit__(kind, error, traceback)

    input = output = metadata = _take
    set_status = link = llm = end = fail = pause = resume = _nothing
    start = __enter__


# ---- The tracer --------------------------------------------------------------------------------

_EVENTS = (
    "trace.started",
    "trace.completed",
    "node.started",
    "node.updated",
    "node.completed",
    "node.failed",
)
_LEVELS = ("minimal", "standard", "full")


class TracerHook(Protocol):
    """What a hook may define, any part of it; a hook that raises is reported and goes on."""

    def on_trace_started(self, trace: TraceGraph) -> None:
        """Called when a trace starts."""

    def on_node_started(self, node: Node, trace_id: str) -> None:
        """Called when a node starts."""

    def on_node_updated(self, node: Node, trace_id: str) -> None:
        """Called when an open node is given input, output, metadata or an annotation."""

    def on_node_completed(self, node: Node, trace_id: str) -> None:
        """Called when a node ends, unless it has failed."""

    def on_node_failed(self, node: Node, trace_id: str) -> None:
        """Called when a node ends as failed."""

    def on_trace_completed(self, trace: TraceGraph) -> None:
        """Called when a trace ends."""


def _from_environment(variable: str, default: Any, convert: Callable[[str], Any]) -> Any:
    text = os.environ.get(variable, "")
    try:
        return convert(text) if text else default
    except ValueError:
        raise ValueError(f"invalid setting in the environment: {variable}={text!r}") from None


_MAX_VALUE = 1_000_000  # characters of text in one value, nested ones included


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
    auto_instrument: list[str] | str = field(default_factory=list)
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
            may_be_none = name != "max_value_size" and size is None
            if not may_be_none and (type(size) is not int or size < 1):
                raise ValueError(f"{name} {size!r} is not a number of characters above 0")
        if not isinstance(self.sample_rate, (int, float)) or not 0 <= self.sample_rate <= 1:
            raise ValueError(f"sample_rate {self.sample_rate!r} is not between 0 and 1")
        for name in ("redact", "sampler"):
            if getattr(self, name) is not None and not callable(getattr(self, name)):
                raise ValueError(f"{name} {getattr(self, name)!r} cannot be called")
        if isinstance(self.auto_instrument, str):
            self.auto_instrument = [self.auto_instrument]
        for name in ("auto_instrument", "redact_patterns", "redact_keys"):
            texts = getattr(self, name)
            is_list = isinstance(texts, (list, tuple, set, frozenset))
            if not is_list or not all(isinstance(text, str) for text in texts):
                raise ValueError(f"{name} must be a list of texts, not {texts!r}")
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
        if root is _OFF and _current.get() is not _streaming:  # hides the trace it is nested in
            root = _OffSpan()
            root._entry = [root, _current.get()]
            _set_current(root._entry)
        self._roots.append(root)
        root.__enter__()
        if root is not _OFF:
            _note_generator(root, frame)
        return root


class Tracer:
    """Records traces into a store, a MemoryStore unless told otherwise; shares no global state.

    `storage` is a store or what `open_store` takes.

    >>> tracer = Tracer(TracerConfig(capture_level="standard"), storage="memory")
    >>> with tracer.trace("weather_agent", session_id="chat-7") as root:
    ...     with root.node("plan"):
    ...         pass
    >>> tracer.storage.load(root.trace.trace_id).session_id
    'chat-7'
    """

    def __init__(
        self,
        config: TracerConfig | None = None,
        storage: StorageBackend | str | os.PathLike[str] | None = None,
        hooks: Iterable[TracerHook] | None = None,
    ) -> None:
        self.config = TracerConfig() if config is None else config
        if not isinstance(self.config, TracerConfig):
            problem = f"config must be a TracerConfig: {_brief(config)}"
            raise TypeError(f"{problem}; a store goes into Tracer(storage=...)")
        self.storage = _as_store("memory" if storage is None else storage)
        self.hooks: list[Any] = list(hooks or ())
        self._listeners: dict[str, list[Callable[..., object]]] = {}
        is_streaming = callable(getattr(self.storage, "write_event", None))
        self._stream: Any = self.storage if is_streaming else None
        self._keep: Any = getattr(self.storage, "_keep", None)  # of a store in this memory
        self._capture = _Capture(self.config)
        self._lock = RLock()
        self._notifying: set[int] = set()  # threads that are inside a hook: hooks may trace
        self._live: weakref.WeakSet[_Recording] = weakref.WeakSet()
        self._totals = {"started": 0, "finished": 0, "saved": 0, "dropped": 0, "errors": 0}
        _fork_aware.add(self)
        for name in self.config.auto_instrument:
            _adapter(name).install(self)

    def __copy__(self) -> Tracer:
        return self

    def __deepcopy__(self, memo: Any) -> Tracer:
        return self

    def __reduce__(self) -> tuple[Any, ...]:  # in another process it is one of the same making
        return type(self), (self.config, self.storage, self.hooks)

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
            raise ValueError(f"no such trace: {trace_id!r} in {self.storage!r}; nothing to resume")
        if not all(_pattern("[0-9a-f]{16}").fullmatch(node_id) for node_id in stored.nodes):
            raise ValueError(f"not recorded by logtracer: {trace_id!r}; it cannot be resumed")
        return TraceContext(lambda: self._old_root(stored))

    def on(self, event: str, callback: Callable[..., object]) -> Callable[[], None]:
        """Call back at `trace.started|completed` with the trace, at `node.started|updated|
        completed|failed` with the node and the trace id; returns what undoes it.
        """
        if event not in _EVENTS:
            raise ValueError(f"unknown event {event!r}; available: {', '.join(_EVENTS)}")
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
            recording = self._record(_Recording(self, name, clean, is_sampled, joined))
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
        self._record(recording)
        started = (node.start_time or _EPOCH) - _EPOCH
        root = Span(recording, node.name, node.node_type, None, node.depth)
        root._number = int(node.id, 16)
        root._start = started // timedelta(microseconds=1) * 1_000 - recording.offset
        root._start = min(root._start, recording.began)  # another machine's clock may be ahead
        root._task_or_thread = get_ident()
        root._inputs, root._outputs = {**node.input_data}, {**node.output_data}
        root._annotations, root._metadata = [*node.annotations], {**node.metadata}
        for values in (root._inputs, root._outputs, root._metadata):
            self._capture.keep(values, self._capture.plain(None), None)
        recording.open[root._number] = root
        _add_metadata(root, _time_waited(root))
        if recording.is_watched:
            recording.span_started(root)
        if recording.stream is not None:
            recording.write_facts(root)
        return root

    def _record(self, recording: _Recording) -> _Recording:
        with self._lock:
            self._live.add(recording)
        recording.trace_started()
        return recording

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
        method = "on_" + event.replace(".", "_")
        try:
            for hook in [*self.hooks]:
                self._call(hook, method, event, span)
            for callback in [*self._listeners.get(event, ())]:
                self._call(callback, "__call__", event, span)
        finally:
            self._notifying.discard(here)

    def _call(self, listener: Any, method: str, event: str, span: Span) -> None:
        try:
            function = getattr(listener, method, None)
            if function is not None and event.startswith("trace."):
                function(span.trace)
            elif function is not None:
                function(span.node_record, span._recording.trace_id)
        except Exception as error:  # a hook's trouble is not the host's
            self._report("hook", error)

    def _complete(self, recording: _Recording, root: Span) -> None:
        """Save a trace whose root has ended, count its nodes, and tell the hooks."""
        count = len(recording.finished) + recording.released
        started = count + len(recording.open)
        recording.ended = root._end  # from here on, what starts or ends is counted one by one
        is_wanted = recording.is_sampled or recording.has_failures()
        if not (is_wanted and (self._save(recording) or self._can_be_read(recording))):
            recording.dropped = count
        saved = count - recording.dropped
        self._count(started=started, finished=count, saved=saved, dropped=recording.dropped)
        self._notify("trace.completed", root)
        if isinstance(self.storage, FileStore) and not recording.dropped:
            recording.let_go()  # a context that outlives the trace would hold all of it

    def _can_be_read(self, recording: _Recording) -> bool:
        """Tell whether a store has what it took of a trace that it did not let end."""
        if self._stream is None or not recording.is_sampled:
            return False
        try:
            return self.storage.load(recording.trace_id) is not None
        except Exception as error:  # it is in trouble, but said of each step that it has it
            self._report("store", error)
            return True

    def _complete_late(self, recording: _Recording, *, was_told: bool) -> None:
        """Count a node that ended after its trace; a store that does not stream saves again."""
        self._count(finished=1, saved=int(was_told), dropped=int(not was_told))
        if not recording.open and (recording.is_sampled or recording.has_failures()):
            recording.is_part = self._stream is not None  # its journal has been closed
            if self._keep is None:  # else what is kept is the recording itself
                self._save(recording)

    def _save(self, recording: _Recording) -> bool:
        try:
            if self._stream is not None and recording.is_sampled:
                return recording.trace_completed()
            if self._keep is not None:
                self._keep(recording.trace_id, recording.graph)
                return True
            trace = recording.graph()
            stored = self.storage.load(trace.trace_id) if recording.is_part else None
            self.storage.save(trace if stored is None else merge_traces([stored, trace]))
            return True
        except Exception as error:  # the store's trouble is not the host's
            self._report("store", error)
            return False

    def _count(self, **changes: int) -> None:
        with self._lock:
            for name, change in changes.items():
                self._totals[name] += change

    def _report(self, cause: str, problem: object) -> None:
        """Count an error of our own, and log it once a minute."""
        self._count(errors=1)
        text = self._capture.redactor.text(_text_of(problem, str)[: 4 * _MAX_KEY])
        _log(f"{cause}: {_type_name(type(problem))}: {text[:_MAX_KEY]}", cause)

    def _after_fork(self) -> None:
        """In a child process, leave what the parent recorded to the parent."""
        self._lock = RLock()
        self._notifying = set()
        self._totals = dict.fromkeys(self._totals, 0)
        for recording in [each for each in self._live if not each.ended]:
            recording.restart_in_child()


_TRACEPARENT = r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"


def _parse_traceparent(text: str) -> tuple[tuple[str, str] | None, bool]:
    """Return the trace and span id of a W3C traceparent, None when it is none; and whether it
    is sampled.
    """
    match = _pattern(_TRACEPARENT).fullmatch(text)
    if match is None:
        return None, True
    version, trace_id, span_id, flags, suffix = match.groups()
    is_valid = version != "ff" and not (version == "00" and suffix)
    if not (is_valid and int(trace_id, 16) and int(span_id, 16)):
        return None, True
    return (trace_id, span_id), bool(int(flags, 16) & 1)


def _import_extra(name: str) -> Any:
    """Import a module of the folder logtracer_extras, from the package that this file lies in."""
    import importlib

    folder = f"{__package__}.logtracer_extras" if __package__ else "logtracer_extras"
    try:
        return importlib.import_module(f"{folder}.{name}")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(folder):
            raise  # what that module needs in its turn
        what = f"{name} needs the folder logtracer_extras; copy it beside logtracer.py"
        raise ImportError(what, name=error.name) from None


def _adapter(name: str) -> Any:
    adapters = _import_extra("adapters")
    try:
        return _import_extra(f"adapters.{name}")
    except ImportError as error:
        if error.name != f"{adapters.__name__}.{name}":
            raise
    import pkgutil

    modules = [module.name for module in pkgutil.iter_modules(adapters.__path__)]
    names = sorted(each for each in modules if not each.startswith("_"))
    meant = getattr(adapters, "ALIASES", {}).get(name.lower()) or _closest(name.lower(), names)
    hint = f"did you mean {meant!r}? " if meant else ""
    raise ValueError(f"unknown adapter {name!r}; {hint}available: {', '.join(names)}")


# ---- The decorator -----------------------------------------------------------------------------


def trace_node(
    name: str | None = None,
    node_type: str = "custom",
    capture_args: bool = False,
    capture_return: bool = False,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Record every call of a function, coroutine or generator as a node of the current trace.

    Outside a trace the function is called straight through. A generator is timed from its first
    step to its last, a call that returns a coroutine or a generator until that has done its work.
    A dict or a named tuple that is returned becomes the output, anything else its `return_value`,
    and what a generator yields `yielded`; `self` and `cls` are never recorded.
    """
    if name is not None and not isinstance(name, str):
        raise TypeError("write @trace_node() with parentheses")

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        given: Any = function
        if isinstance(given, _METHODS):
            method: Callable[P, R] = type(given)(decorate(given.__func__))
            return method
        if not callable(function):
            kind = _type_name(type(given))
            raise TypeError(f"cannot trace a {kind}; put @trace_node() below @{kind}")
        call = _Call(function, name, node_type, capture_args, capture_return)
        wrapper: Any = _wrap_function
        if inspect.isasyncgenfunction(function):
            wrapper = _wrap_async_generator
        elif inspect.isgeneratorfunction(function):
            wrapper = _wrap_generator
        elif inspect.iscoroutinefunction(function):
            wrapper = _wrap_coroutine
        return wraps(function)(wrapper(call, function))

    return decorate


_METHODS: Any = (classmethod, staticmethod)


class _Call:
    """What a decorated function records.

    Decorated functions of scripts are pickled with what they refer to, so the wrappers below
    reach the context variable through this object, which is made anew where it arrives.
    """

    # fmt: off
    __slots__ = (
        "_given", "_making", "_name", "_node_type", "_signature", "captures_return", "current",
        "unfinished",
    )
    # fmt: on

    def __init__(
        self,
        function: Callable[..., Any],
        name: str | None,
        node_type: str,
        captures_args: bool,
        captures_return: bool,
    ) -> None:
        self._making = function, name, node_type, captures_args, captures_return
        self.current, self.unfinished = _current.get, _UNFINISHED
        self._given: tuple[tuple[Any, ...], dict[str, Any]] = (), {}
        if isinstance(function, partial):
            self._given, function = (function.args, function.keywords), function.func
        self._name = str(name or getattr(function, "__name__", type(function).__name__))
        self._node_type = node_type
        self.captures_return = captures_return
        self._signature: inspect.Signature | None = None
        if captures_args:
            with contextlib.suppress(Exception):  # some have none, or none that is known yet
                self._signature = _signature_of(function)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._making

    def open(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Span:
        """Return a span below the current one with the arguments, outside a trace the off span."""
        parent = current_span()
        if parent is None:
            return _OFF
        span = parent.node(self._name, self._node_type)
        if self._signature is not None:
            args, kwargs = (*self._given[0], *args), {**self._given[1], **kwargs}
            with contextlib.suppress(TypeError):  # the call itself is about to say so
                bound = self._signature.bind(*args, **kwargs)
                bound.apply_defaults()
                given = {k: v for k, v in bound.arguments.items() if k not in ("self", "cls")}
                span.input(**given)
        return span

    def close(self, span: Span, value: Any) -> Any:
        """Record what a call returned, end its span, and return it.

        What has only begun to work, a coroutine or a generator, goes on as one that does.
        """
        if type(value) in self.unfinished and span._entry is not None:
            if _current.get() is span._entry:
                _set_current(span._entry[-1])
            rest = self.unfinished[type(value)](self, lambda: value, span)()
            rest.__name__, rest.__qualname__ = value.__name__, value.__qualname__
            return rest
        if self.captures_return:
            self.result(span, value)
        span.__exit__(None, None, None)
        return value

    def result(self, span: Span, value: Any) -> None:
        """Record what a call returned."""
        fields: Any = value
        if issubclass(type(value), tuple):
            names = _members(type(value)).get("_fields")
            if type(names) is tuple:
                fields = dict(zip(names, tuple.__iter__(value)))
        elif type(value) is dict:
            fields = dict.copy(value)  # another thread may change it meanwhile
        if type(fields) is dict and all(type(key) is str for key in fields):
            span.output(**fields)
        else:
            span.output(return_value=value)

    def yields(self, span: Span) -> _Chunks | None:
        """Return what keeps what a generator yields, if that is asked for."""
        is_wanted = self.captures_return and span._is_recording
        return _Chunks(span._recording) if is_wanted else None


def _signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """Return a signature whose annotations, from 3.14 on, may name what is not there yet."""
    as_values = (inspect.signature.__kwdefaults__ or {}).get("annotation_format")
    if as_values is None:
        return inspect.signature(function)
    unread: Any = {"annotation_format": type(as_values).FORWARDREF}
    return inspect.signature(function, **unread)


def _wrap_function(call: _Call, function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        if not call.current():  # not traced: straight through
            return function(*args, **kwargs)
        span = call.open(args, kwargs)
        span.__enter__()
        try:
            value = function(*args, **kwargs)
        except BaseException as error:
            span.__exit__(None, error, None)
            raise
        if call.captures_return or type(value) in call.unfinished:
            return call.close(span, value)
        span.__exit__(None, None, None)
        return value

    return run


def _wrap_coroutine(call: _Call, function: Callable[..., Any]) -> Callable[..., Any]:
    async def run(*args: Any, **kwargs: Any) -> Any:
        if not call.current():
            return await function(*args, **kwargs)
        with call.open(args, kwargs) as span:
            value = await function(*args, **kwargs)
            if call.captures_return:
                call.result(span, value)
            return value

    return run


def _wrap_generator(
    call: _Call, function: Callable[..., Any], span: Span | None = None
) -> Callable[..., Any]:
    """Do what `yield from function(...)` does, with the span current during each step."""

    def run(*args: Any, **kwargs: Any) -> Any:
        steps = _GeneratorSpan(call, span or call.open(args, kwargs))
        try:
            with steps:
                generator = function(*args, **kwargs)
            step, argument = generator.send, None
            while True:
                try:
                    with steps:
                        item = step(argument)
                except StopIteration as stop:
                    value = stop.value
                    break
                try:
                    step, argument = generator.send, (yield steps.keep(item))
                except GeneratorExit:
                    with steps:
                        generator.close()
                    raise
                except BaseException as error:
                    step, argument = generator.throw, error
        except BaseException as error:
            steps.end(error=error)
            raise
        steps.end(value)
        return value

    _DRIVERS.add(run.__code__)
    return run


def _wrap_async_generator(
    call: _Call, function: Callable[..., Any], span: Span | None = None
) -> Callable[..., Any]:
    async def run(*args: Any, **kwargs: Any) -> Any:
        steps = _GeneratorSpan(call, span or call.open(args, kwargs))
        try:
            with steps:
                generator = function(*args, **kwargs)
            step, argument = generator.asend, None
            while True:
                try:
                    with steps:
                        item = await step(argument)
                except StopAsyncIteration:
                    break
                try:
                    step, argument = generator.asend, (yield steps.keep(item))
                except GeneratorExit:
                    with steps:
                        await generator.aclose()
                    raise
                except BaseException as error:
                    step, argument = generator.athrow, error
        except BaseException as error:
            steps.end(error=error)
            raise
        steps.end()

    _DRIVERS.add(run.__code__)
    return run


def _wrap_begun(
    call: _Call, function: Callable[..., Any], span: Span | None = None
) -> Callable[..., Any]:
    """Await a coroutine that a call has returned, with the span of the call current."""

    async def run() -> Any:
        with _GeneratorSpan(call, span or _OFF) as steps:
            try:
                value = await function()
            except BaseException as error:
                steps.end(error=error)
                raise
            steps.end(value)
            return value

    return run


# What a call may return before its work is done, and how the rest of the work is recorded.
_UNFINISHED: dict[type, Callable[..., Callable[..., Any]]] = {
    CoroutineType: _wrap_begun,
    GeneratorType: _wrap_generator,
    AsyncGeneratorType: _wrap_async_generator,
}
_DRIVERS: set[Any] = set()  # code objects of the wrappers of generators


class _GeneratorSpan:
    """Make a generator's span current while the generator runs, and only then.

    The variable is set back to what the consumer had, whatever Context each step runs in.
    """

    def __init__(self, call: _Call, span: Span) -> None:
        self.span = span
        self._call = call
        self._chunks = call.yields(span)
        self._inner: _Entry = _streaming
        self._outer: _Entry = _streaming
        if span._is_recording:
            self._inner = span.start()._entry = span._entry or [span, _current.get()]

    def __enter__(self) -> _GeneratorSpan:
        if self.span._is_recording:
            self._outer = _current.get()
            _set_current(self._inner)
        return self

    def __exit__(self, *error: object) -> None:
        if self.span._is_recording:
            self._inner = _current.get()
            _set_current(self._outer)

    def keep(self, item: Any) -> Any:
        """Keep what the generator yields, if that is asked for, and return it."""
        if self._chunks is not None:
            self._chunks.take(item)
        return item

    def end(self, value: Any = None, error: BaseException | None = None) -> None:
        """End the span with what was yielded and returned."""
        if self._chunks is not None and self._chunks.count:
            self.span.output(yielded=self._chunks.value())
        if value is not None and self._call.captures_return:
            self._call.result(self.span, value)
        self.span.end(error)


# ---- Convenience: one default tracer -----------------------------------------------------------

_default: Tracer | None = None
_default_lock = RLock()


def configure(
    *,
    capture_level: str | None = None,
    auto_instrument: str | Iterable[str] = (),
    storage: StorageBackend | str | os.PathLike[str] | None = None,
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
        auto_instrument=_listed_texts(auto_instrument),
        redact_patterns=_listed_texts(redact_patterns),
        max_output_size=max_output_size,
        max_input_size=max_input_size,
        **options,
    )
    if storage is None:
        storage = os.environ.get("LOGTRACER_STORAGE") or "memory"
    _default = Tracer(config, storage, hooks)
    return _default


def _listed_texts(texts: Any) -> Any:
    """Return texts as a list, but one alone as it is: TracerConfig knows what it means."""
    return list(texts) if not isinstance(texts, str) and isinstance(texts, Iterable) else texts


def trace(name: str, metadata: dict[str, Any] | None = None, **facts: Any) -> TraceContext:
    """Open a trace with the default tracer, made on first use; `facts` as in Tracer.trace."""
    with _default_lock:  # the first use may come from several threads
        tracer = _from_settings() if _default is None else _default
    return tracer.trace(name, metadata, **facts)


def _from_settings() -> Tracer:
    """Make the default tracer; a bad setting in the environment must not stop the host."""
    global _default
    try:
        return configure()
    except (ImportError, LogtracerError, ValueError) as error:
        _log(f"nothing is traced: {error}; correct it and start again")
        _default = Tracer(TracerConfig("full", sample_rate=0.0, enabled=False))
        return _default


if not TYPE_CHECKING:  # else a misspelt name would pass for one that type checkers cannot see

    def __getattr__(name: str) -> Any:
        """Import the stores of the folder logtracer_extras when they are first asked for."""
        modules = {"SQLiteStore": "sqlite", "BackgroundStore": "background", "TeeStore": "tee"}
        if name not in modules:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(_import_extra(modules[name]), name)


# ---- Context: which span is current ------------------------------------------------------------

# A Context holds an entry, [span, the entry before it], and not the span: where a Context lives on,
# as that of a timer does, a trace that has ended is let go. The span in it is None then. Below the
# first entry lies the table of generators, by their frames, that have a span open: while it is
# empty it is false, and code without a span in its Context cannot be inside of one.
_Entry = Any
_streaming: dict[FrameType, _Entry] = {}
_current: contextvars.ContextVar[_Entry] = contextvars.ContextVar("logtracer", default=_streaming)
_ENTER_CONTEXT = getattr(contextlib.ExitStack.enter_context, "__code__")  # calls __enter__ for us
_getframe, _modules = sys._getframe, sys.modules  # looked up once


class _Clock:
    """The clocks, where what freezes the time for a test does not look: it replaces functions of
    `time` in all modules.
    """

    now, wall = staticmethod(time.perf_counter_ns), staticmethod(time.time_ns)


_GENERATOR = 0x20 | 0x200  # inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR

if sys.version_info >= (3, 12):
    _set_current = _current.set
else:

    def _set_current(entry: _Entry) -> None:
        """Collect nothing in `set`: before 3.12 a finalizer that sets it, too, crashes Python."""
        collects = gc.isenabled()
        gc.disable()
        try:
            _current.set(entry)
        finally:
            if collects:
                gc.enable()


def current_span() -> Span | None:
    """Return the nearest span that has not ended, None outside any trace.

    A span opened inside a generator is current for the generator's own code, not for the code
    that consumes it.
    """
    entry = _current.get()
    if _streaming:
        entry = _resumed(entry)
    while entry is not _streaming:
        span: Span | None = entry[0]
        if span is not None:
            return span if span._is_recording else None
        entry = entry[1]
    return None


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
    _set_current(_streaming)


def propagate_context(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function bound to the context of now, for a thread or an executor to call.

    Threads and executors start with an empty context; tasks and asyncio.to_thread inherit.
    """
    bound: Any = partial(_Snapshot().run, function)
    return update_wrapper(bound, function)


class _Snapshot:
    """The context of when it was made; of a pickled one, that of where it arrives."""

    def __init__(self) -> None:
        self._context = contextvars.copy_context()

    def run(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call the function in a copy of the context: several threads may at a time."""
        return self._context.copy().run(function, *args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()


def _no_loop() -> None:
    """Stand in for asyncio's function while another thread is still importing asyncio."""


def _task_or_thread_id() -> int:
    """Identify the task, or outside one the thread, that runs now."""
    asyncio, trio = _modules.get("asyncio"), _modules.get("trio")
    task = None
    if asyncio is not None and getattr(asyncio, "_get_running_loop", _no_loop)() is not None:
        task = asyncio.current_task()
    if task is None and trio is not None:
        with contextlib.suppress(AttributeError, RuntimeError):  # half imported; not running
            task = trio.lowlevel.current_task()
    return get_ident() if task is None else id(task)


def _is_suspended(span: Span) -> bool:
    """Return whether the generator that opened this span waits for its consumer, who asks."""
    frame = span._frame
    return (
        frame is not None and frame.f_back is None and span._task_or_thread == _task_or_thread_id()
    )


def _generator_frame(frame: FrameType | None) -> FrameType | None:
    """Return the frame of a generator that may be suspended while its consumer goes on.

    A generator that is driven as a context manager is not one: the code of its `with` block, or
    of the test that a fixture serves, runs inside it.
    """
    found = None
    while frame is not None:
        if _is_manager(frame):
            found = None
        elif not frame.f_code.co_flags & _GENERATOR:
            break
        elif found is None:
            found = frame
        frame = frame.f_back
    return found


def _is_manager(frame: FrameType) -> bool:
    """Return whether what runs here enters context managers, or sets up fixtures."""
    module = str(frame.f_globals.get("__name__")).partition(".")[0]
    return module in _MANAGERS or frame.f_code.co_name in ("__enter__", "__aenter__")


_MANAGERS = frozenset(("contextlib", "pluggy", "_pytest"))


def _note_generator(span: Span, frame: FrameType) -> None:
    """Note the generator that a span was entered in: each of its steps may have another Context."""
    span._frame = found = _generator_frame(frame)
    if found is not None and span._entry is not None:
        _streaming[found] = span._entry


def _forget_generator(span: Span, entry: _Entry) -> None:
    """Let the generator go on with the span that it was in before."""
    frame, previous = span._frame, entry[1]
    span._frame = None
    if frame is None or _streaming.get(frame) is not entry:
        return
    while previous is not _streaming and not (previous[0] and previous[0]._frame is frame):
        previous = previous[1]
    if previous is _streaming:
        del _streaming[frame]
    else:
        _streaming[frame] = previous


def _resumed(entry: _Entry) -> _Entry:
    """Return the entry that counts here: not one of a generator that waits for its consumer, and
    in a step of a generator its own, which the Context of the step may lack.
    """
    while entry is not _streaming and (entry[0] is None or _is_suspended(entry[0])):
        entry = entry[1]
    frame: FrameType | None = _getframe(2)
    while frame is not None and frame not in _streaming:
        if frame.f_code in _DRIVERS:  # sets what is current at every step itself
            return entry
        frame = frame.f_back
    inner = None if frame is None else _streaming.get(frame)
    known = entry
    while known is not _streaming and known is not inner:
        known = known[1]
    if inner is None or known is inner or inner[0] is None:
        return entry
    inner[0]._task_or_thread = _task_or_thread_id()  # it has moved here
    return inner


_OFF: Span = _OffSpan()

# ---- Recording: what is kept of one trace while it runs -----------------------------------------

_MAX_KEY = 200  # characters of a dictionary key or a name
_PLAIN = 1_000  # characters; longer texts are cut and encoded when captured, not when read
_KEPT_TEXT = 32 << 20  # characters of finished nodes that all runs of a tracer hold together
_KEPT_SHARE = 64 << 10  # of these, what each may hold however many they are
_KEPT_NODES = 10_000  # finished nodes a recording holds when a streaming store has them as well
_LITERALS = {True: "true", False: "false", None: "null"}
_NO_FAILURE = '"error":null,"error_type":null,"error_traceback":null'
_NO_VALUES: dict[str, Any] = {}
_quote: Callable[[str], str] = getattr(json.encoder, "encode_basestring")  # noqa: B009


def _make_encoder() -> Callable[[Any], str]:
    encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # PyPy
        return encoder.encode
    # what encoder.encode does, without building the C encoder anew for every value
    encode = make(None, encoder.default, _quote, None, ":", ",", False, False, False)
    return lambda data: "".join(encode(data, 0))


_to_json = _make_encoder()


class _Encoded(str):
    """JSON text of a value that was cleaned when it was captured."""

    __slots__ = ()


class _Capture:
    """Snapshot values when a span is given them, and clean them before anybody sees them.

    Numbers and short texts cannot change, so they are kept as they are and cleaned when the node
    is read or written; everything else becomes JSON text at once.
    """

    def __init__(self, config: TracerConfig) -> None:
        self.redactor = _Redactor(config)
        self._max_value = config.max_value_size
        self._names: dict[str, str] = {}
        self._keys: dict[str, str] = {}
        self._headings: dict[tuple[str, str], str] = {}

    def plain(self, max_text: int | None) -> int:
        """Return up to what length a text can be kept as it is."""
        return min(_PLAIN, self._max_value, max_text or _PLAIN)

    def encode(self, value: Any, key: str, limit: int | None) -> _Encoded:
        """Return the JSON text of any value, bounded and redacted."""
        cleaner = _Cleaner(self.redactor, limit, self._max_value)
        return _Encoded(_to_json(cleaner.clean(value, key)))

    def keep(self, values: dict[str, Any], plain: int, max_text: int | None) -> None:
        """Replace in place what could change or is large."""
        for key, value in values.items():
            if type(value) not in _ATOMS or (type(value) is str and len(value) > plain):
                values[key] = self.encode(value, key, max_text)

    def json(self, values: dict[str, Any]) -> str:
        """Return kept values as the text of a JSON object; most are short texts of known keys."""
        keys = self._keys  # of public values, none when every text must be looked at
        parts = [
            keys[key] + _quote(value)
            if type(value) is str
            and key in keys
            and value.isascii()
            and (len(value) < _SHORTEST_SECRET or not _SUSPECT(value))
            else self._entry(key, value)
            for key, value in values.items()
        ]
        return "{" + ",".join(parts) + "}"

    def json_list(self, texts: Iterable[str]) -> str:
        """Return kept texts as the text of a JSON array."""
        return "[" + ",".join([self._json_of(text) for text in texts]) + "]"

    def _entry(self, key: str, value: Any) -> str:
        """Return the JSON text of a key and its value, and remember the key if it is public."""
        name = self._keys.get(key)
        if name is None:
            name = self.name(key) + ":"
            if self.redactor.is_secret(key) or self.redactor.is_eager:
                return name + (value if type(value) is _Encoded else self.encode(value, key, None))
            if len(self._keys) < 4_096:  # a host may have endless keys
                self._keys[key] = name
        return name + self._json_of(value)

    def _json_of(self, value: Any) -> str:
        """Return the JSON text of a kept value, cleaned."""
        kind = type(value)
        if kind is str:
            text = self.redactor.text(value)
            return _quote(text if text.isascii() else _well_formed(text))
        if kind is _Encoded:
            return str(value)
        if kind is bool or value is None:
            return _LITERALS[value]
        return (
            repr(value) if kind is int and -_HUGE < value < _HUGE else self.encode(value, "", None)
        )

    def text(self, value: Any, limit: int = _MAX_KEY) -> str:
        """Return a name, a key, a label or an annotation, clean, whatever it is."""
        clean = _Cleaner(self.redactor, limit, self._max_value).clean(value)
        return clean if type(clean) is str else _to_json(clean)[:limit]

    def name(self, name: Any) -> str:
        """Return the JSON text of a name; names recur, so it is remembered."""
        known = self._names.get(name) if type(name) is str else None
        if known is None:
            known = _to_json(self.text(name))
            if type(name) is str and len(self._names) < 4_096 and len(name) <= _MAX_KEY:
                self._names[name] = known
        return known

    def heading(self, name: Any, node_type: Any) -> str:
        """Return the JSON text of a step's name and type."""
        is_plain = type(name) is str and type(node_type) in (str, NodeType)
        known = self._headings.get((name, node_type)) if is_plain else None
        if known is None:
            known = f'"name":{self.name(name)},"node_type":{self.name(node_type)}'
            is_short = is_plain and len(name) <= _MAX_KEY and len(node_type) <= _MAX_KEY
            if is_short and len(self._headings) < 4_096:
                self._headings[name, node_type] = known
        return known


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
        config = tracer.config
        self.tracer, self.name, self.metadata = tracer, name, metadata
        self.is_sampled = is_sampled  # else kept only if a step fails
        self.capture = tracer._capture
        self.stream = tracer._stream if is_sampled else None
        self.has_hooks = bool(tracer.hooks or tracer._listeners)
        self.is_watched = self.has_hooks or self.stream is not None
        self.keeps_data = config.capture_level == "full"
        self.keeps_notes = config.capture_level != "minimal"
        self.max_input, self.max_output = config.max_input_size, config.max_output_size
        self.plain_input = self.capture.plain(self.max_input)
        self.plain_output = self.capture.plain(self.max_output)
        self.is_part = joined is not None  # of a trace that another process, or this one, began
        self.trace_id, self.remote_parent = joined or (os.urandom(16).hex(), None)
        self.began, self.ended = _Clock.now(), 0
        self.offset = _Clock.wall() - self.began  # from the monotonic clock to the wall clock
        self.open: dict[int, Span] = {}
        self.finished: list[Any] = []  # JSON texts; packed tuples when nothing is streamed
        self.released = 0  # finished nodes that only the store still has
        self.held = 0  # characters of those in `finished`, when they are streamed
        self.dropped = 0
        self.links: list[tuple[str, str, str, str]] = []
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
        past = moment - began
        if not 0 <= past < 1_000_000_000:
            second, past = divmod(moment + self.offset, 1_000_000_000)
            text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
            self._second = moment - past, text
        return f"{text}{str(1_000_000 + past // 1_000)[1:]}+00:00"

    def time(self, moment: int) -> datetime | None:
        """Return a reading of the monotonic clock as a datetime, None for one not taken."""
        if not moment:
            return None
        return _EPOCH + timedelta(microseconds=(moment + self.offset) // 1_000)

    def graph(self) -> TraceGraph:
        """Return the trace as it stands, with the spans still open as running nodes."""
        unfinished = list(self.open.values())  # copied first: what ends meanwhile is in both
        nodes = {node.id: node for node in map(self._node_of, self.finished[:])}
        for span in unfinished:
            if span.id not in nodes:
                nodes[span.id] = span.node_record
        nodes = {**self._released_nodes(), **nodes}
        found = {node.id: node for node in sorted(nodes.values(), key=_start_order)}
        edges = [*_tree_edges(found.values()), *itertools.starmap(Edge, self.links[:])]
        start, end, name = (
            self.time(self.began),
            self.time(self.ended),
            self.capture.text(self.name),
        )
        metadata = {**self.metadata, **self._problems_metadata()}
        return TraceGraph(SCHEMA_VERSION, self.trace_id, name, found, edges, start, end, metadata)

    def _problems_metadata(self) -> dict[str, Any]:
        """Return what a reader should know that went wrong while recording."""
        return {"logtracer.dropped_nodes": self.dropped} if self.dropped else {}

    def _released_nodes(self) -> dict[str, Node]:
        """Return the nodes that only the store has, none of them when it fails."""
        try:
            stored = self.tracer.storage.load(self.trace_id) if self.released else None
        except Exception as error:  # the store's trouble is not the host's
            self.tracer._report("store", error)
            stored = None
        return {} if stored is None else stored.nodes

    def has_failures(self) -> bool:
        """Return whether a finished node failed; of a trace that is not streamed."""
        return any(record[4] == "failed" for record in self.finished[:])

    def _node_of(self, record: Any) -> Node:
        return self.unpack(record) if type(record) is tuple else Node.from_dict(json.loads(record))

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
            json.loads(capture.json(metadata or _NO_VALUES)),
            *(failure or (None, None, None)),
        )

    # What happened: the store is told first, then whoever listens.

    def trace_started(self) -> None:
        """Tell the store that the trace begins, or that this process joins it."""
        head = {
            "schema_version": SCHEMA_VERSION,
            "trace_id": self.trace_id,
            "name": self.capture.text(self.name),
            "start_time": self.text_of_time(self.began),
            "process_id": os.getpid(),
            "metadata": self.metadata,
        }
        self.write("part.started" if self.is_part else "trace.started", _to_json(head)[1:])

    def trace_completed(self) -> bool:
        """Tell the store that the trace, or this process's part of it, has ended."""
        start, end = self.time(self.began), self.time(self.ended)
        tail = {
            "trace_id": self.trace_id,
            "end_time": self.text_of_time(self.ended),
            "process_id": os.getpid(),
            "metadata": {**self.metadata, **self._problems_metadata()},
            "duration_ms": _milliseconds(start, end),
        }
        kind = "part.completed" if self.is_part else "trace.completed"
        return self.write(kind, _to_json(tail)[1:])

    def span_started(self, span: Span) -> None:
        """Tell that a span has started, after what its parent has gathered by now."""
        parent = span._parent
        if self.stream is not None:
            if parent is not None and parent._is_dirty and parent._number in self.open:
                self.write_facts(parent)
            span._head = head = self._head(span)
            given = ""
            if span._inputs:  # before it started: one line for both
                span._input_json = self.capture.json(span._inputs)
                given = f'"input_data":{span._input_json},'
            self.write("node.started", f'"node":{head}{given}"status":"running"}}}}')
        if self.has_hooks:
            if parent is None:
                self.tracer._notify("trace.started", span)
            self.tracer._notify("node.started", span)

    def input_given(self, span: Span) -> None:
        """Tell of a span's input, which must outlive a kill at once."""
        if self.stream is not None and span._number in self.open:  # else of a parent process
            span._input_json = data = self.capture.json(span._inputs or _NO_VALUES)
            self.write("node.updated", f'"id":"{_id_in(span._head)}","input_data":{data}}}')
        if self.has_hooks and span._start:  # else its start will tell
            self.tracer._notify("node.updated", span)

    def write_facts(self, span: Span) -> None:
        """Tell the store what an open span has gathered."""
        span._is_dirty = False
        facts = f'"id":"{span.id}","status":"{span._status}",{self._facts(span)}}}'
        self.write("node.updated", facts)

    def span_ended(self, span: Span) -> None:
        """Keep and tell what an ended span recorded."""
        event = "node.failed" if span._status == "failed" else "node.completed"
        was_told = True
        if self.stream is None:
            self.finished.append(_pack(span))
        else:
            was_told = self._stream_end(span, event)
        self.open.pop(span._number, None)
        try:
            if self.has_hooks:
                self.tracer._notify(event, span)
        finally:  # whatever a hook lets through, a Ctrl-C or a SystemExit
            if span._parent is None:
                self.tracer._complete(self, span)
            elif self.ended:
                self.tracer._complete_late(self, was_told=was_told)

    def _stream_end(self, span: Span, event: str) -> bool:
        offset, end = self.offset, span._end
        time_taken = (end + offset) // 1_000 - (span._start + offset) // 1_000  # µs, 0 or more
        node = (
            f'{span._head or self._head(span)}"status":"{span._status}"'
            f',"end_time":"{self.text_of_time(end)}",{self._facts(span)}'
            f',"duration_ms":{time_taken // 1_000}.{str(1_000 + time_taken % 1_000)[1:]}}}'
        )
        was_told = self.write(event, f'"node":{node}}}')
        if not was_told:
            self.dropped += 1
        self.finished.append(node)
        self.held += len(node)
        is_much = self.held > _KEPT_SHARE and self.held * len(self.tracer._live) > _KEPT_TEXT
        if is_much or len(self.finished) >= _KEPT_NODES:  # a long trace must not grow
            self.let_go()
        return was_told

    def let_go(self) -> None:
        """Keep no finished node: the store has them."""
        self.released += len(self.finished)
        self.finished.clear()
        self.held = 0

    def link(self, source_id: str, target_id: str, edge_type: str, label: str) -> None:
        """Keep an edge and tell the store."""
        edge_type = _EDGE_TYPES.get(edge_type, edge_type)
        self.links.append((source_id, target_id, edge_type, label))
        if self.stream is not None:
            self.write("edge", _to_json(Edge(source_id, target_id, edge_type, label).to_dict())[1:])

    def write(self, event: str, rest: str) -> bool:
        """Hand an event to the streaming store; what the store raises ends here."""
        if self.stream is None:
            return True
        try:
            self.stream.write_event(self.trace_id, event, f'{{"event":"{event}",{rest}\n')
            return True
        except Exception as error:  # the store's trouble is not the host's
            self.tracer._report(type(self.stream).__name__, error)
            return False

    def _head(self, span: Span) -> str:
        """Return the beginning of a node's JSON text; whoever reads it knows where its ids are."""
        number, parent = span._number, span._parent
        if parent is None:
            above, sequence = _to_json(self.remote_parent), 0
        else:
            above, sequence = f'"{_id_in(parent._head) or parent.id}"', number - self.base
        return (
            f'{{"id":"{"%016x" % number}","parent_id":{above},"sequence_number":{sequence}'
            f',{self.capture.heading(span.name, span.node_type)},"depth":{span.depth}'
            f',"start_time":"{self.text_of_time(span._start)}",'
        )

    def _facts(self, span: Span) -> str:
        capture, failure = self.capture, span._failure
        outputs, notes, metadata = span._outputs, span._annotations, span._metadata
        return (
            f'"input_data":{span._input_json or capture.json(span._inputs or _NO_VALUES)}'
            f',"output_data":{capture.json(outputs) if outputs else "{}"}'
            f',"annotations":{capture.json_list(notes) if notes else "[]"}'
            f',"metadata":{capture.json(metadata) if metadata else "{}"}'
            f",{_NO_FAILURE if failure is None else _failure_json(failure)}"
        )


def _failure_json(failure: tuple[str, str | None, str | None]) -> str:
    return '"error":%s,"error_type":%s,"error_traceback":%s' % tuple(map(_to_json, failure))


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
            [(in_keys, in_values)] = inputs.items()
        else:
            in_keys, in_values = _split(inputs, span._recording.shapes)
    if outputs:
        if len(outputs) == 1:
            [(out_keys, out_values)] = outputs.items()
        else:
            out_keys, out_values = _split(outputs, span._recording.shapes)
    return (
        span._number, None if parent is None else parent._number, span.name, span.node_type,
        span._status, span.depth, span._start, span._end, in_keys, in_values, out_keys, out_values,
        tuple(notes) if notes else (), span._metadata, span._failure,
    )  # fmt: skip


def _split(values: dict[str, Any], shapes: dict[Any, Any]) -> tuple[Any, Any]:
    keys = tuple(values)
    return shapes.setdefault(keys, keys), tuple(values.values())


def _join(keys: Any, values: Any) -> dict[str, Any]:
    if keys is None:
        return _NO_VALUES
    return {keys: values} if type(keys) is str else dict(zip(keys, values))


# ---- Stores: where traces go -------------------------------------------------------------------

_TRACE_ID = r"[0-9A-Za-z_-]{1,64}"
_MAIN_FILE = rf"{_TRACE_ID}\.jsonl?"
_LEFTOVER = rf"(?:{_TRACE_ID}\.json)?\.[0-9a-f]{{16}}\.tmp"
_PART_FILE = rf"{_TRACE_ID}\.[0-9a-f]{{16}}\.jsonl"


class StorageBackend(Protocol):
    """Anything that keeps traces; any object with these three methods will do."""

    def save(self, trace: TraceGraph) -> None:
        """Keep a trace, replacing the one with its id."""

    def load(self, trace_id: str) -> TraceGraph | None:
        """Return the trace, or None when there is none of that id."""

    def list_traces(self) -> list[str]:
        """Return the ids of all traces."""
        ...  # noqa: PIE790  (pyright wants a body)


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

    def __reduce__(self) -> tuple[Any, ...]:  # memory is not shared between processes
        return type(self), (self._max_traces,)

    def save(self, trace: TraceGraph) -> None:
        """Keep a trace, replacing the one with its id."""
        self._traces.pop(trace.trace_id, None)
        self._keep(trace.trace_id, lambda: trace)

    def load(self, trace_id: str) -> TraceGraph | None:
        """Return the trace, or None when there is none of that id."""
        parts = [build() for build in self._traces.get(trace_id, ())]
        if len(parts) < 2:
            return next(iter(parts), None)
        return merge_traces(sorted(parts, key=lambda part: not part.root_nodes))  # its name first

    def list_traces(self) -> list[str]:
        """Return the ids of all traces, oldest first."""
        return list(self._traces)

    def _keep(self, trace_id: str, build: Callable[[], TraceGraph]) -> None:
        """Keep a recording as it is: most are never read, so their nodes are built on demand."""
        self._traces.setdefault(trace_id, []).append(build)
        while len(self._traces) > self._max_traces:
            with contextlib.suppress(RuntimeError, StopIteration):  # another thread does the same
                self._traces.pop(next(iter(self._traces)), None)


class FileStore:
    """Keep each trace as a file of a directory: a journal while it runs, then a document.

    Every event is appended to `<trace_id>.jsonl` by one write to the operating system, so a
    killed process loses nothing it was told. When the trace ends, `<trace_id>.json` replaces the
    journal. Other processes that join the trace write `<trace_id>.<random>.jsonl` files, which
    `load` merges. Files are for their owner; with `shared` its group may read them, too. Raises
    StoreError when the directory cannot be written to.
    """

    def __init__(self, directory: str | os.PathLike[str], *, shared: bool = False) -> None:
        self.directory = os.path.abspath(os.fspath(directory))
        self.shared = shared
        self._file_mode = 0o640 if shared else 0o600
        self._journals: dict[str, _JournalFile] = {}  # by trace id, of the traces that run
        self._opened: deque[_JournalFile] = deque()  # those with a descriptor, the oldest first
        self._lock = RLock()
        try:
            self._make_directory()
            probe = os.path.join(self.directory, f".{os.urandom(8).hex()}.tmp")
            os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _O_SAFE, 0o600))
            os.unlink(probe)
        except OSError as error:
            raise StoreError(f"cannot keep traces in {self.directory}: {error}") from None
        _remove_leftovers(self.directory)
        _fork_aware.add(self)

    def __repr__(self) -> str:
        return f"FileStore({self.directory!r})"

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return partial(type(self), shared=self.shared), (self.directory,)

    def save(self, trace: TraceGraph) -> None:
        """Write a trace as `<trace_id>.json`, replacing what is there."""
        path = self._path(trace.trace_id, ".json")
        _replace_file(path, [trace_to_json(trace, indent=None).encode("utf-8")], self._file_mode)

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
            journal = self._journals.get(trace_id) or self._open(trace_id, event)
            if event not in _LAST_EVENTS:
                journal.write(event, data)
                return
            if event == "part.completed" and not journal.is_part:  # the trace goes on
                journal.write(event, data)
                return
            del self._journals[trace_id]
            journal.leave_store()
        self._finish(trace_id, journal, event, data)

    def _path(self, trace_id: str, ending: str) -> str:
        if not _pattern(_TRACE_ID).fullmatch(trace_id):
            raise StoreError(f"trace id {_brief(trace_id)} is not 1 to 64 of 0-9 A-Z a-z _ -")
        return os.path.join(self.directory, trace_id + ending)

    def _make_directory(self) -> None:
        """Make the directory unless it is there; into a shared one its group may look."""
        is_new = not os.path.isdir(self.directory)
        os.makedirs(self.directory, 0o700, exist_ok=True)
        if self.shared and is_new:
            os.chmod(self.directory, 0o750)  # whatever the umask says

    def _open(self, trace_id: str, event: str) -> _JournalFile:
        """Open the trace's own journal at its start, anything later in a file of its own."""
        part = "" if event == "trace.started" else f".{os.urandom(8).hex()}"
        path = self._path(trace_id, f"{part}.jsonl")
        self._make_directory()  # somebody may have removed it
        self._journals[trace_id] = journal = _JournalFile(path, self)
        return journal

    def _finish(self, trace_id: str, journal: _JournalFile, event: str, data: bytes) -> None:
        """Write the last line, then replace the journal of an ended trace by its document."""
        try:
            with os.fdopen(journal.descriptor, "rb", 1 << 18) as file:
                journal.write(event, data)
                if journal.is_part or not self._has_written(trace_id, journal, file, data):
                    return
        finally:
            if not journal.size:  # no line of it could be written
                journal.remove()
        journal.remove()

    def _has_written(
        self, trace_id: str, journal: _JournalFile, file: BinaryIO, last: bytes
    ) -> bool:
        """Write the document; where there can be none the journal stays: it says the same."""
        try:
            self._make_directory()
            if journal.is_complete():
                chunks = journal.document(file, last)
                _replace_file(self._path(trace_id, ".json"), chunks, self._file_mode)
            else:
                file.seek(0)
                self.save(trace_from_journal(file, trace_id))
        except OSError as error:
            _log(f"{journal.path} stays a journal: {error}", "document")
            return False
        return True

    def _after_fork(self) -> None:
        """Forget, in a child process, the files of its parent."""
        self._lock = RLock()
        self._journals = {}
        opened, self._opened = self._opened, deque()
        for journal in opened:
            if journal.descriptor >= 0:
                os.close(journal.descriptor)


class _JournalFile:
    """The journal of a running trace; holds what its document is made of, unless that is much."""

    def __init__(self, path: str, store: FileStore) -> None:
        self.path, self.is_part = path, _is_part(path)
        self.descriptor = -1
        self.size = 0
        self._whole = 0  # up to where its lines are whole
        self._store = store
        self._open(os.O_CREAT | os.O_EXCL)
        self._has_gaps = False  # a line could not be written, or is not like ours
        self._open_ids: set[bytes] = set()
        self._kept = 0  # bytes of the nodes in `_ended`
        self._is_spilled = self.is_part  # then they are read back, if they are needed
        self._ended: list[bytes] = []  # texts of nodes
        self._links: list[bytes] = []

    def _open(self, how: int = 0) -> None:
        """Open the file, after closing older ones of which a store may not have more."""
        opened, most = self._store._opened, _most_open()
        while len(opened) >= most:
            opened[0].close()
        flags = os.O_RDWR | os.O_APPEND | how
        self.descriptor = _open_file(self.path, flags, self._store._file_mode)
        opened.append(self)

    def close(self) -> None:
        """Give the descriptor back; the next write opens the file again."""
        descriptor = self.descriptor
        self.leave_store()
        self.descriptor = -1  # first: a fork must not close it again
        with contextlib.suppress(OSError):
            os.close(descriptor)

    def leave_store(self) -> None:
        """Have a descriptor that the store closes no more."""
        if self.descriptor < 0:
            self._open()
        self._store._opened.remove(self)

    def remove(self) -> None:
        """Remove the file; where that fails it is read beside the document, and says the same."""
        with contextlib.suppress(OSError):
            os.unlink(self.path)

    def write(self, event: str, line: bytes) -> None:
        """Append a line by one call to the operating system."""
        try:
            if event == "node.started":
                self._open_ids.add(line[len(_STARTED) : len(_STARTED) + 16])
            self._append(line)
        except OSError:
            self._has_gaps = True
            raise
        if event == "edge":
            self._links.append(b"{" + line[len(_LINK) : -1])
            self._has_gaps |= not line.startswith(_LINK)
        elif event in _ENDED:
            self._node_ended(line[len(_ENDED[event]) : -2])

    def _append(self, line: bytes) -> None:
        if self.descriptor < 0:
            self._open()
        if self.size != self._whole:  # behind half a line that could not be removed
            line = b"\n" + line
        written = os.write(self.descriptor, line)
        self.size += written
        if written == len(line):
            self._whole = self.size
            return
        os.ftruncate(self.descriptor, self._whole)  # a full disk took half of it
        self.size = self._whole
        raise StoreError("no room for a whole line")

    def _node_ended(self, node: bytes) -> None:
        node_id = _id_in(node)
        if node_id not in self._open_ids or node[23:37] != _ABOVE:  # not written by us
            self._has_gaps = True
        self._open_ids.discard(node_id)
        if self._is_spilled:
            return
        self._kept += len(node)
        self._ended.append(node)
        if self._kept > _KEPT_BYTES // (len(self._store._journals) or 1):
            self._ended.clear()
            self._is_spilled = True

    def is_complete(self) -> bool:
        """Return whether every node has ended and every line is there."""
        return not (self._open_ids or self._has_gaps)

    def document(self, file: BinaryIO, last: bytes) -> Iterator[bytes]:
        """Yield the `.json` document, in little memory however long the journal is."""
        file.seek(0)
        head, tail = json.loads(file.readline()), json.loads(last)
        first = {key: head[key] for key in ("schema_version", "trace_id", "name")}
        yield _to_json(first)[:-1].encode() + b',"nodes":{'
        yield from _listed(b'"%b":%b' % (_id_in(node), node) for node in self._nodes(file))
        yield b'\n},"edges":['
        family = ((node[38:54], _id_in(node)) for node in self._nodes(file) if node[37:38] == b'"')
        yield from _listed(itertools.chain((_TREE_EDGE % ids for ids in family), self._links))
        end = {key: tail[key] for key in ("end_time", "metadata", "duration_ms")}
        yield b"\n]," + _to_json({"start_time": head["start_time"], **end})[1:].encode() + b"\n"

    def _nodes(self, file: BinaryIO) -> Iterable[bytes]:
        if not self._is_spilled:
            return self._ended
        file.seek(0)
        starts = tuple(_ENDED.values())
        return (line[line.index(b"{", 9) : -2] for line in file if line.startswith(starts))


_KEPT_BYTES = 4 << 20  # of the nodes of all running traces; what is more is read back
_STALE_SECONDS = 3_600.0
_LAST_EVENTS = frozenset(("trace.completed", "part.completed"))
_ENDED = {
    event: b'{"event":"%b","node":' % event.encode() for event in ("node.completed", "node.failed")
}
_STARTED = b'{"event":"node.started","node":{"id":"'
_LINK = b'{"event":"edge",'
_ABOVE = b'","parent_id":'  # follows the id in a node's text, then null or another id in quotes
_TREE_EDGE = b'{"source_id":"%b","target_id":"%b","edge_type":"caused_by","label":"","metadata":{}}'


def _id_in(node: S) -> S:
    """Return the id in a node's JSON text as a recording writes it: {"id":"16 digits", first."""
    return node[7:23]


def _listed(items: Iterable[bytes]) -> Iterator[bytes]:
    separator = b"\n"
    for item in items:
        yield separator
        yield item
        separator = b",\n"


def _most_open() -> int:
    """Return how many journals a store may have open: an eighth of what the process may."""
    try:
        import resource  # Windows has none
    except ImportError:
        return 64
    limit: int = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(1, min(limit // 8, 1_024)) if limit > 0 else 1_024


def _remove_leftovers(directory: str) -> None:
    """Remove the temporary files of killed processes: those that nobody wrote to for an hour."""
    names: list[str] = []
    with contextlib.suppress(OSError):
        names += [name for name in os.listdir(directory) if name.endswith(".tmp")]
    for path in (os.path.join(directory, n) for n in names if _pattern(_LEFTOVER).fullmatch(n)):
        with contextlib.suppress(OSError):
            if time.time() - os.lstat(path).st_mtime > _STALE_SECONDS:
                os.unlink(path)


def _trace_files(directory: str, start: str = "") -> list[str]:
    """Return the names of a directory's journals and documents, or of those of one trace."""
    try:
        names = [name for name in os.listdir(directory) if name.startswith(start)]
    except FileNotFoundError:
        return []
    return [name for name in names if _pattern(_MAIN_FILE).fullmatch(name) or _is_part(name)]


def _is_part(path: str) -> bool:
    return _pattern(_PART_FILE).fullmatch(os.path.basename(path)) is not None


def _load_from(directory: str, trace_id: str) -> TraceGraph | None:
    """Return a trace of a directory: what began it, and the parts that others wrote."""
    if not _pattern(_TRACE_ID).fullmatch(trace_id):
        return None
    for _ in range(3):  # a journal may become a document between the listing and the reading
        names = sorted(_trace_files(directory, f"{trace_id}."), key=lambda name: (len(name), name))
        try:
            return _load_files([os.path.join(directory, name) for name in names])
        except FileNotFoundError:
            continue
    return None


def _load_files(paths: Iterable[str], first: TraceGraph | None = None) -> TraceGraph | None:
    """Return what files of one trace say together; raises TraceLoadError when it is nothing."""
    traces = [] if first is None else [first]
    problems: list[TraceLoadError] = []
    for path in paths:
        try:
            trace = _load_file(path)
        except TraceLoadError as problem:  # the others can be read all the same
            problems.append(problem)
        else:
            traces += [] if trace is None else [trace]
    if problems and not traces:
        raise problems[0]
    if problems:
        _count_damage(traces[0], len(problems))
    return merge_traces(traces) if len(traces) > 1 else next(iter(traces), None)


def _load_file(path: str) -> TraceGraph | None:
    try:
        data = _read_file(path, getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise TraceLoadError(f"{path}: {error.strerror}") from None
    if not data and path.endswith("l"):  # its process died before it wrote the first line
        return None
    trace_id = os.path.basename(path).split(".")[0]
    return _named(path, lambda data: _trace_from_bytes(data, trace_id), data)


def open_store(url: str) -> StorageBackend:
    """Return the store a URL names.

    `memory`, `file://DIRECTORY` or a path such as `./traces`, `sqlite://FILE` or
    `postgresql://...`; the last two need the folder logtracer_extras. Raises ValueError for any
    other, naming these.
    """
    if url == "memory":
        return MemoryStore()
    scheme, separator, place = url.partition("://")
    is_path = os.path.dirname(url) or os.path.isdir(url)
    if is_path and not re.match(
        "[A-Za-z][A-Za-z0-9+.-]+:", url
    ):  # one letter is a drive of Windows
        return FileStore(os.path.expanduser(url))
    if scheme == "file" and place:
        return FileStore(place)
    if not (separator and place) or scheme not in ("sqlite", "postgresql", "postgres"):
        raise ValueError(
            f"unknown storage: {_brief(url.partition(':')[0])}; use memory, a directory such as"
            " ./traces, file://DIRECTORY, sqlite://FILE or postgresql://USER@HOST/DATABASE"
        )
    if scheme == "sqlite":
        store: StorageBackend = _import_extra("sqlite").SQLiteStore(place)
    else:
        store = _import_extra("postgres").PostgresStore(url)
    return store


def _as_store(storage: Any) -> StorageBackend:
    """Return a store given as itself, as a URL or as a path; raises TypeError for what is none."""
    if isinstance(storage, str):
        return open_store(storage)
    if isinstance(storage, os.PathLike):
        return FileStore(storage)
    methods = [getattr(storage, name, None) for name in ("save", "load", "list_traces")]
    if isinstance(storage, type) or not all(map(callable, methods)):
        problem = f"storage is not a store: {_brief(storage)}"
        raise TypeError(f"{problem}; give one with save, load and list_traces, or './traces'")
    store: StorageBackend = storage
    return store


# ---- Serialization: the .json document and the .jsonl journal ----------------------------------

_MAX_FILE = 4 << 30  # bytes; larger files are refused before they are read
_O_SAFE = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def trace_to_json(trace: TraceGraph, *, indent: int | None = 2) -> str:
    """Return the trace as a `.json` document (schema 0.1.0)."""
    document = trace.to_dict()
    try:
        text = json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False)
        text.encode("utf-8")
    except (TypeError, ValueError, RecursionError):  # nodes made by hand may hold anything
        nodes, edges = document.pop("nodes"), document.pop("edges")
        cleaned = _cleaned(document)  # the bounds are for one value, not for a trace
        cleaned["nodes"] = {_cleaned(key): _cleaned(node) for key, node in nodes.items()}
        cleaned["edges"] = [_cleaned(edge) for edge in edges]
        text = json.dumps(cleaned, indent=indent, ensure_ascii=False)
    return text


def _cleaned(value: Any) -> Any:
    return _Cleaner(None, None, _MAX_VALUE).clean(value)


def trace_from_json(text: str | bytes) -> TraceGraph:
    """Read a `.json` document; of a damaged one, or one that was cut off, what can be read.

    How many nodes cannot is told by `metadata["logtracer.damaged_lines"]`. Raises
    TraceLoadError, and nothing else, when none can be read.
    """
    try:
        document, damaged = _mapping(_parse(text)), 0
    except _DamagedText:
        document, damaged = _salvage(text)
        if not document.get("nodes"):
            raise
    try:
        trace = TraceGraph.from_dict(document)
    except TraceLoadError:
        given = document.get("nodes")
        nodes = given if type(given) is dict else {}
        readable = {key: node for key, node in nodes.items() if _reads(Node.from_dict, node)}
        if len(readable) in (0, len(nodes)):  # it is not the nodes, or not they alone
            raise
        trace = TraceGraph.from_dict({**document, "nodes": readable})
        damaged += len(nodes) - len(readable)
    if damaged:
        _count_damage(trace, damaged)
    return trace


def save_trace_json(
    trace: TraceGraph, path: str | os.PathLike[str], *, indent: int | None = 2
) -> None:
    """Write the trace as a `.json` file, readable by its owner only, whole or not at all."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
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
    directory, file_name = os.path.split(os.path.abspath(name))
    if not _pattern(_MAIN_FILE).fullmatch(file_name):
        return trace
    beside = sorted(filter(_is_part, _trace_files(directory, file_name.split(".")[0] + ".")))
    return _load_files([os.path.join(directory, part) for part in beside], trace) or trace


def trace_from_journal(lines: Iterable[str | bytes], trace_id: str = "unknown") -> TraceGraph:
    """Build a trace from the events of a journal, in any order; bad lines are skipped.

    What was skipped is counted in `metadata["logtracer.damaged_lines"]`. Steps that never ended
    are `interrupted`, or `running` while the process that writes them lives. `trace_id` is what
    the trace is called when no line says it. Raises TraceLoadError when no line belongs to one.
    """
    journal = _Journal()
    for line in lines:
        if line.strip():
            try:
                journal.take(_mapping(_parse(line)))
            except TraceLoadError:
                journal.damaged += 1
    return journal.trace(trace_id)


class _Journal:
    """Collect the events of a trace into a graph."""

    def __init__(self) -> None:
        self.damaged = 0
        self._head: dict[str, Any] = {}
        self._tail: dict[str, Any] = {}
        self._nodes: dict[str, dict[str, Any]] = {}
        self._edges: list[Edge] = []
        self._part_ended = False
        self._at_work: dict[int, int] = {}  # by process, parts begun and not ended

    def take(self, event: dict[str, Any]) -> None:
        """Take one event."""
        kind = _field(event, "event", str)
        if kind.startswith(("trace.", "part.")):
            _check_facts(event)
        if kind in ("trace.started", "part.started"):
            _check_version(_field(event, "schema_version", str))
            self._count_part(event, 1)
            if kind == "trace.started" or not self._head:
                self._head = event
        elif kind == "trace.completed":
            self._count_part(event, -1)
            self._tail = event
        elif kind == "part.completed":
            self._count_part(event, -1)
            self._part_ended = True
            if self._tail or self._head.get("event") == "part.started":
                self._tail = {**self._tail, **event}  # what went on after a pause has ended
        elif kind == "edge":
            self._edges.append(Edge.from_dict(event))
        else:
            facts = event if kind == "node.updated" else _field(event, "node", dict)
            known = self._nodes.setdefault(_field(facts, "id", str), {})
            if kind == "node.started":
                known.update({**facts, **known})
            elif "metadata" in facts and _turn(facts) != _turn(known):
                if _turn(facts) > _turn(known):  # else it tells of before the pause
                    known.update({"end_time": None, "duration_ms": None, **facts})
            elif "end_time" in facts or not known.get("end_time"):
                known.update(facts)

    def _count_part(self, event: dict[str, Any], change: int) -> None:
        process_id = event.get("process_id")
        if type(process_id) is int:
            self._at_work[process_id] = self._at_work.get(process_id, 0) + change

    def trace(self, trace_id: str) -> TraceGraph:
        """Return the graph of all that was taken; what began it may have been lost."""
        head, tail = self._head, self._tail
        if not (head or tail or self._nodes or self._edges or self._part_ended):
            raise TraceLoadError("no line of it is an event of a trace")
        started, ended = (_field(event, "metadata", dict, dict) for event in (head, tail))
        trace = TraceGraph(
            head.get("schema_version", SCHEMA_VERSION),
            _field({**tail, **head}, "trace_id", str, trace_id),
            _field(head, "name", str, ""),
            start_time=_time_from_text(head.get("start_time")),
            end_time=_time_from_text(tail.get("end_time")),
            metadata={**started, **ended},
        )
        self._add_nodes(trace)
        root = next((node for node in trace.nodes.values() if node.parent_id is None), None)
        if not head:
            trace.name = "" if root is None else root.name
            times = (node.start_time for node in trace.nodes.values() if node.start_time)
            trace.start_time = min(times, default=None)
        if root is not None and not tail:
            trace.end_time = root.end_time
        if self.damaged:
            _count_damage(trace, self.damaged)
        return merge_traces([trace], self._edges)

    def _add_nodes(self, trace: TraceGraph) -> None:
        is_live = any(parts > 0 and _is_alive(process) for process, parts in self._at_work.items())
        for facts in self._nodes.values():
            try:
                node = Node.from_dict(facts)
            except TraceLoadError:  # an update whose start was lost
                if "name" in facts or self._head.get("event") == "trace.started":
                    self.damaged += 1
                continue  # else it was told in a forked child, of a step of its parent's
            if node.status == NodeStatus.RUNNING and not is_live:
                node.status = NodeStatus.INTERRUPTED
            trace.nodes[node.id] = node


def merge_traces(traces: list[TraceGraph], links: Iterable[Edge] = ()) -> TraceGraph:
    """Return the first trace, completed by the nodes and edges of the others, parts of the same.

    Of a node that several have, the one that was resumed or ended last counts.
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
            known = nodes.setdefault(node.id, node)
            if known is not node and _last_turn(known) < _last_turn(node):
                nodes[node.id] = node
    damaged = sum(_damage_of(trace) for trace in traces)
    whole.edges = [*_tree_edges(nodes.values()), *edges.values()]
    whole.nodes = {node.id: node for node in sorted(nodes.values(), key=_start_order)}
    whole.name = whole.name or next((trace.name for trace in traces if trace.name), "")
    whole.start_time = whole.start_time or min(
        (trace.start_time for trace in traces if trace.start_time), default=None
    )
    whole.end_time = max((t.end_time for t in traces if t.end_time), default=None)
    if any(root.end_time is None and _was_resumed(root) for root in whole.root_nodes):
        whole.end_time = None
    whole.metadata = {**metadata, **({_DAMAGED: damaged} if damaged else {}), **_clock_gap(whole)}
    return whole


def _check_facts(event: dict[str, Any]) -> None:
    """Raise TraceLoadError for what a trace cannot begin or end with."""
    for key, kind in (("name", str), ("trace_id", str), ("metadata", dict)):
        _field(event, key, kind, None)
    for key in ("start_time", "end_time"):
        _time_from_text(event.get(key))


_RESUMED_AT = "logtracer.resumed_at"  # in the metadata of a step that went on after a pause
_DAMAGED = "logtracer.damaged_lines"
_NEVER_PAUSED = False, 0.0, ""
_FAR = 1_000.0  # milliseconds between a part and what it joins that no two clocks should differ by


def _turn(facts: dict[str, Any]) -> tuple[bool, float, str]:
    """Return what grows whenever a step goes on after a pause, whatever the clocks say."""
    metadata = _field(facts, "metadata", dict, dict)
    if _RESUMED_AT not in metadata:
        return _NEVER_PAUSED
    waited = metadata.get("logtracer.waited_ms")
    return True, waited if type(waited) is float else 0.0, str(metadata[_RESUMED_AT])


def _was_resumed(node: Node) -> bool:
    return _RESUMED_AT in node.metadata


def _last_turn(node: Node) -> tuple[tuple[bool, float, str], datetime]:
    """Return what is greater the later a step was resumed, then the later it ended."""
    return _turn({"metadata": node.metadata}), node.end_time or _EPOCH


def _clock_gap(trace: TraceGraph) -> dict[str, float]:
    """Name how far another process's part lies outside the step it joins.

    Its machine's clock is off, or it is work that was left for later: nobody can tell.
    """
    gaps = [0.0]
    for part in trace.nodes.values():
        parent = trace.nodes.get(part.parent_id or "") if part.node_type == "trace" else None
        if parent is not None:
            early = _milliseconds(parent.start_time, part.start_time) or 0.0
            late = _milliseconds(parent.end_time, part.start_time) or 0.0
            gaps += [min(early, 0.0), max(late, 0.0)]
    gap = max(gaps, key=abs)
    return {"logtracer.clock_gap_ms": gap} if abs(gap) > _FAR else {}


def _damage_of(trace: TraceGraph) -> int:
    count = trace.metadata.get(_DAMAGED)
    return count if type(count) is int else 0


def _count_damage(trace: TraceGraph, count: int) -> None:
    trace.metadata[_DAMAGED] = _damage_of(trace) + count


def _edge_key(edge: Edge) -> tuple[str, str, str, str]:
    return edge.source_id, edge.target_id, edge.edge_type, edge.label


def _tree_edges(nodes: Iterable[Node]) -> list[Edge]:
    """Return the caused_by edge of every node that has a parent."""
    return [Edge(node.parent_id, node.id) for node in nodes if node.parent_id is not None]


def _is_alive(process_id: Any) -> bool:
    """Return whether a process runs on this machine; never on Windows, where asking kills it."""
    if type(process_id) is not int or process_id < 1 or os.name != "posix":
        return False
    try:
        os.kill(process_id, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def _trace_from_bytes(data: bytes, trace_id: str = "unknown") -> TraceGraph:
    """Read a document or a journal, whatever the file is called."""
    if not data[:200].lstrip().startswith((b'{"schema_version"', b"{\n", b"{\r\n")):
        with contextlib.suppress(TraceLoadError):
            return trace_from_journal(data.split(b"\n"), trace_id)
        return trace_from_json(data)
    try:
        return trace_from_json(data)
    except TraceLoadError:
        with contextlib.suppress(TraceLoadError):  # a journal may be torn after its first brace
            return trace_from_journal(data.split(b"\n"), trace_id)
        raise


def _parse(text: str | bytes) -> Any:
    """Parse JSON strictly; every way in which it can fail is a TraceLoadError."""
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        return json.loads(text, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise _DamagedText(f"not UTF-8 text (byte {error.start})") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        kind = TraceLoadError if error.msg == "Extra data" else _DamagedText
        raise kind(f"not JSON: {error.msg} at {where}") from None
    except RecursionError:
        raise TraceLoadError("nested too deeply") from None
    except ValueError as error:  # an integer of more digits than Python reads
        raise _DamagedText(f"not JSON: {_brief(str(error))}") from None


class _DamagedText(TraceLoadError):
    """What was read is broken JSON text; some of it may be whole."""


_MOST_FAILURES = 1_000  # each costs a look at the whole text
_NODE_AT = r'"(?P<id>[^"\\]{1,64})":\s*(?=\{\s*"id":\s*"(?P=id)")'
_EDGE_AT = r'(?=\{\s*"source_id":\s*"(?P<id>[^"]{1,64})")'
_HEAD = r'"(schema_version|trace_id|name)":\s*("(?:[^"\\]|\\.)*")'


def _salvage(text: str | bytes) -> tuple[dict[str, Any], int]:
    """Return what is whole of a broken `.json` document, and how many of its nodes are lost."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    nodes, lost, at = _salvage_objects(text, _NODE_AT, 0)
    links, _, at = _salvage_objects(text, _EDGE_AT, at)
    found = {name: node for name, node in nodes if _reads(Node.from_dict, node)}
    edges = [edge for _, edge in links if _reads(Edge.from_dict, edge)]
    times = [node["start_time"] for node in found.values() if node.get("start_time")]
    facts: dict[str, Any] = {"trace_id": "unknown", "start_time": min(times, default=None)}
    for key, value in _pattern(_HEAD).findall(text[: text.find("{", 1)]):
        with contextlib.suppress(TraceLoadError):
            facts[key] = _parse(value)
    tail = text.find('"start_time":', at)
    with contextlib.suppress(TraceLoadError):
        facts.update(_mapping(_parse("{" + text[tail:])) if tail >= 0 else {})
    lost |= {name for name, _ in nodes} | {node.get("parent_id") for node in found.values()}
    lost |= {edge[end] for edge in edges for end in ("source_id", "target_id")}
    return {**facts, "nodes": found, "edges": edges}, max(1, len(lost - {None, *found}))


def _salvage_objects(text: str, where: str, at: int) -> tuple[list[tuple[str, Any]], set[Any], int]:
    """Return what can be parsed where a pattern matches, the ids of the rest, and its end."""
    objects, lost, failures = [], set(), 0
    decode = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode
    while failures < _MOST_FAILURES and (match := _pattern(where).search(text, at)):
        at = match.end()
        try:
            item, at = decode(text, at)
            objects.append((match["id"], item))
        except (ValueError, RecursionError) as error:
            lost.add(match["id"])
            failures += 1
            at = max(at + 1, getattr(error, "pos", 0))
    return objects, lost, at


def _reads(read: Callable[[dict[str, Any]], object], item: Any) -> bool:
    try:
        read(_mapping(item))
    except TraceLoadError:
        return False
    return True


def _refuse_constant(name: str) -> Any:
    raise _DamagedText(f"{name} is not JSON")


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


def _open_file(path: str, flags: int, mode: int) -> int:
    """Open a file of ours; a mode for others as well holds whatever the umask says."""
    descriptor = os.open(path, flags | _O_SAFE, mode)
    if flags & os.O_CREAT and mode & 0o077 and hasattr(os, "fchmod"):
        with contextlib.suppress(OSError):  # of a file system without such modes
            os.fchmod(descriptor, mode)
    return descriptor


def _replace_file(path: str, chunks: Iterable[bytes], mode: int = 0o600) -> None:
    """Write a file that appears whole or not at all, unless told otherwise for its owner alone."""
    temporary = f"{path}.{os.urandom(8).hex()}.tmp"
    descriptor = _open_file(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb", 1 << 20) as file:
            file.writelines(chunks)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):  # else the next start of the store removes it
            os.unlink(temporary)
        raise


# ---- Safe values: any object made plain, bounded data --------------------------------------------

_MAX_DEPTH = 24  # levels of containers in one value
_MAX_ITEMS = 20_000  # items in one value, nested ones included
_MAX_TEXT = 64_000  # characters of an error, a traceback or an annotation
_REDACTED = "[REDACTED]"
_UNREADABLE = "[NON-SERIALIZABLE]"
_ATOMS = frozenset({str, int, float, bool, type(None)})
_VIEWS: tuple[Any, ...] = (type({}.keys()), type({}.values()), type({}.items()))
_ITERABLES: tuple[Any, ...] = (set, frozenset, deque, *_VIEWS)
_TEXT_MODULES = frozenset(
    ("datetime", "decimal", "fractions", "ipaddress", "pathlib", "uuid", "zoneinfo")
)  # whose values are what their str() says
_MOMENTS = ("m", "M")  # kinds of numpy's data types for spans and moments
_LONG_BASE64 = 32_768  # characters; small pictures are kept
_BASE64_ENDS = r"(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])(?=[^0-9]*[0-9])[A-Za-z0-9+/=_\s-]+"


class _Cleaner:
    """Turn any one value into JSON data: total, bounded, redacted. One instance, one value."""

    def __init__(self, redactor: _Redactor | None, max_text: int | None, max_value: int) -> None:
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
        if key and self._redactor is not None and self._redactor.is_secret(key, value):
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
        if issubclass(kind, (bytes, bytearray, memoryview)):
            return self._bytes(memoryview(value), kind, key)
        if issubclass(kind, Enum):
            return self.clean(value._value_, key, depth)
        if issubclass(kind, str):  # its own methods are not asked
            return self.clean(str.__str__(value), key, depth)
        if issubclass(kind, int):
            return self.clean(int.__int__(value), key, depth)
        if issubclass(kind, float):
            return self.clean(float.__float__(value), key, depth)
        if issubclass(kind, datetime):  # pandas.NaT is one, and equals nothing
            return datetime.isoformat(value) if value == value else self._text(str(value))
        if depth >= _MAX_DEPTH or id(value) in self._path:
            return "[CIRCULAR]" if id(value) in self._path else "[TRUNCATED: too deep]"
        self._path.add(id(value))
        try:
            return self._container(value, kind, depth + 1)
        finally:
            self._path.discard(id(value))

    def _container(self, value: Any, kind: type, depth: int) -> Any:
        is_list = kind is tuple or issubclass(kind, (list, set, frozenset))
        pairs = None if is_list else _pairs_of(value, kind, self._items + 1)
        if pairs is not None:
            return self._mapping(pairs, depth)
        items = _items_of(value, kind, self._items + 1)
        if items is not None:
            return self._sequence(*items, depth)
        if hasattr(kind, "dtype") and hasattr(kind, "item"):
            return self._of_array_library(value, kind, depth)
        if issubclass(kind, UserList):
            return self.clean(value.data, "", depth)
        if issubclass(kind, type):
            return self._text(_type_name(value))
        for base in type.__dict__["__mro__"].__get__(kind):
            if str(type.__dict__["__module__"].__get__(base)).partition(".")[0] in _TEXT_MODULES:
                return self._text(base.__str__(value))
        text = _text_of(value, repr)
        if kind in (complex, range):
            return text
        return self._text(f"{re.sub(' at 0x[0-9a-fA-F]+', '', text)} {_UNREADABLE}")

    def _of_array_library(self, value: Any, kind: type, depth: int) -> Any:
        """Return a number as Python has it, a moment as text, and of a large array what it is."""
        shape = tuple(value.shape)
        if math.prod(shape) > 1:
            text = f"{_type_name(kind)} of shape {shape} and type {value.dtype}"
            return self._text(f"{text} [TRUNCATED: original_size={math.prod(shape)}]")
        if getattr(value.dtype, "kind", "") in _MOMENTS:
            return self._text(str(value))
        item: Any = value.item()
        return self.clean(float(value) if type(item) is kind else item, "", depth)

    def _bytes(self, value: memoryview, kind: type, key: str) -> Any:
        """Return bytes as the text that they are; of others, the first ones and how many."""
        head, size = bytes(value[: self._max_text + 4]), value.nbytes
        try:
            head[:4_096].decode("utf-8")
            is_text = True
        except UnicodeDecodeError as error:  # the last character may be cut
            is_text = error.start > 4_092 or size <= 256
        if is_text:
            return self._text(head.decode("utf-8", "backslashreplace"), key, size)
        first = head[:64].decode("utf-8", "backslashreplace")
        text = f"{_type_name(kind)} {first}... [TRUNCATED: original_size={size}]"
        return self._text(text, key)

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
                return [*result, f"[TRUNCATED: original_size={size}]"]
            result.append(self.clean(item, "", depth))
        return result

    def _take_item(self) -> bool:
        self._items -= 1
        return self._items >= 0 and self._room > 0

    def _key(self, name: Any) -> str:
        if type(name) is not str:
            name = str(name) if type(name) in _ATOMS else _text_of(name, repr)
        return _well_formed(self._redacted(name[: _MAX_KEY * 4], ""))[:_MAX_KEY]

    def _text(self, text: str, key: str = "", size: int | None = None) -> str:
        if len(text) > _LONG_BASE64:
            text = _without_base64(text)
        limit = min(self._max_text, max(self._room, 0))
        whole = len(text) if size is None else max(size, len(text))
        if whole > limit:  # look a little further than the cut: a secret may lie across it
            text = text[: limit + 4_096]
        text = _well_formed(self._redacted(text, key))
        if whole > limit:
            text = f"{text[:limit]}... [TRUNCATED: original_size={whole}]"
        self._room -= len(text)
        return text

    def _redacted(self, text: str, key: str) -> str:
        return text if self._redactor is None else self._redactor.text(text, key)


def _without_base64(text: str) -> str:
    """Shorten the long base64 in a text, of a picture most often, to its beginning and a check sum.

    Only the ends are looked at closely: the host waits for this, however large the picture is.
    """
    is_base64 = _pattern(_BASE64_ENDS).fullmatch(text[:256] + text[-256:]) is not None
    if is_base64 and not any(mark in text for mark in " \"'{<(,:;"):
        return _shortened(text)
    parts: list[str] = []
    start, found = 0, text.find(";base64,")
    while found >= 0:
        begin, end = found + 8, len(text)
        for mark in "\n\"'\\ )<>,":
            end = text.find(mark, begin, end) % (end + 1)  # -1, for none, leaves the end
        if end - begin > _LONG_BASE64:
            parts += text[start:begin], _shortened(text[begin:end])
            start = end
        found = text.find(";base64,", end)
    return "".join([*parts, text[start:]])


def _shortened(data: str) -> str:
    ends = (data[:65_536] + data[-65_536:]).encode("utf-8", "replace")
    check = f"base64, check sum {binascii.crc32(ends):08x}"
    return f"{data[:64]}... ({check}) [TRUNCATED: original_size={len(data)}]"


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


def _members(kind: type) -> dict[str, Any]:
    """Return what a class and its bases define, without asking the class or its metaclass."""
    members: dict[str, Any] = {}
    for base in reversed(type.__dict__["__mro__"].__get__(kind)):
        members.update(type.__dict__["__dict__"].__get__(base))
    return members


def _pairs_of(value: Any, kind: type, most: int) -> list[tuple[Any, Any]] | None:
    """Return the value's keys and values when it is a mapping or a record, else None."""
    if kind is MappingProxyType:
        value, kind = dict(value), dict
    if issubclass(kind, dict):
        if dict.__len__(value) > most:
            return _first(partial(dict.items, value), most)
        return [*dict.copy(value).items()]
    members = _members(kind)
    if issubclass(kind, tuple) and type(members.get("_fields")) is tuple:
        return list(zip(members["_fields"], tuple.__iter__(value)))
    known = members.get("__pydantic_fields__") or members.get("__fields__")
    if type(known) is dict:  # of pydantic: what it hides is hidden, what it lets pass passes
        extra = _attribute(value, "__pydantic_extra__")
        given = {**object.__getattribute__(value, "__dict__"), **_dict_or_empty(extra)}
        return [pair for pair in given.items() if not _is_excluded(known.get(pair[0]))][:most]
    if issubclass(kind, SimpleNamespace) or "_get_kwargs" in members:  # as argparse has it
        return _pairs_of(object.__getattribute__(value, "__dict__"), dict, most)
    if "__dataclass_fields__" in members:
        record: Any = kind
        names = [each.name for each in fields(record)]
    elif "__attrs_attrs__" in members:
        names = [attribute.name for attribute in members["__attrs_attrs__"]]
    elif {"keys", "items", "__getitem__"} <= members.keys() and "dtype" not in members:
        return _first(value.items, most)  # headers, environments, tables
    else:
        return None
    return [(name, _attribute(value, name)) for name in names[:most]]


def _is_excluded(field_of_model: Any) -> bool:
    return getattr(getattr(field_of_model, "field_info", field_of_model), "exclude", None) is True


def _dict_or_empty(value: Any) -> dict[str, Any]:
    return value if type(value) is dict else {}


def _attribute(value: Any, name: str) -> Any:
    try:
        return object.__getattribute__(value, name)
    except Exception:
        return f"{_UNREADABLE} unset"


def _items_of(value: Any, kind: type, most: int) -> tuple[list[Any], int] | None:
    """Return the first items and the size of a list-like value, else None.

    Works through the built-in types' own methods: a subclass may override them without end.
    """
    if issubclass(kind, (list, tuple)):
        base: Any = list if issubclass(kind, list) else tuple
        return list(base.__getitem__(value, slice(most))), base.__len__(value)
    for base in _ITERABLES:
        if issubclass(kind, base):
            return _first(partial(base.__iter__, value), most), base.__len__(value)
    members = _members(kind)
    if "tolist" not in members or not ("dtype" in members or "typecode" in members):
        return None
    if math.prod(value.shape if "shape" in members else (len(value),)) > most:  # of an array
        return None
    is_of_moments = getattr(getattr(value, "dtype", None), "kind", "") in _MOMENTS
    items = (value.astype(str) if is_of_moments else value).tolist()
    return (items, len(items)) if type(items) is list else None


def _first(iterate: Callable[[], Iterable[Any]], most: int) -> list[Any]:
    for _ in range(3):
        try:
            return list(itertools.islice(iterate(), most))
        except RuntimeError:  # another thread changed it meanwhile
            continue
    return []


# ---- Redaction: secrets out of every text, and their tables --------------------------------------

_pattern = lru_cache(maxsize=None)(re.compile)  # most runs never need most patterns
_SUSPECT = re.compile("[-_=:@<!#$%&*0-9AJKL~\"'`\n]").search  # no secret is without one of these
_SHORTEST_SECRET = 8  # characters
_HUGE = 1 << 4_000  # 1,205 digits; Python refuses to write integers of more than 4,300

# Names in snake_case, one rule for keys of dicts and names in texts. What ends so is secret.
_SECRET_NAME = (
    r"(?:^|_)(?:[a-z0-9]*(?:pass(?:code|phrase|w(?:or)?d|wort)|secret|(?:access|api|auth"
    r"|private)key)s?|[a-z0-9]*token|(?:access|api|auth|bearer|id|refresh|session)_tokens|pwd"
    r"|[a-z]*pw|secret_id|(?:access|account|activation|admin|api|app|application|auth|client"
    r"|consumer|crypto|decryption|deploy|encryption|hmac|integration|kms|licen[cs]e|master|private"
    r"|product|root|secret|server|service|service_role|session|shared|shared_access|signature"
    r"|signing|ssh|storage|subscription|unseal|wallet|webhook)_?keys?|(?:account|admin|app|auth"
    r"|basic|db|email|ftp|http|key|login|mail|my\w*|pg|postgres\w*|proxy|redis|root|smtp|ssh|store"
    r"|sudo|user|vpn|wifi)_?pass|credentials?|creds?|(?:authorization|auth)|cookies?|csrf|xsrf"
    r"|jwts?|bearer|pat|pin|otp|totp|cvv2?|cvc2?|ssn|dsn|[a-z]*sess(?:ion)?id|mnemonic|(?:seed"
    r"|recovery|secret)_(?:phrase|words)|(?:access|auth|authorization|backup|device|login|mfa"
    r"|one_time|otp|pin|recovery|scratch|security|sms|user|verification)_codes?"
    r"|(?:credit_?)?card(?:_?(?:no|num|number))|credit_?card|conn(?:ection)?_?str(?:ing)?|(?:amqp"
    r"|\w*broker|\w*database|db|jdbc|mongo\w*|mysql|pg|postgres\w*|rabbitmq|redis|sql\w*|sas"
    r"|(?:pre)?signed)_ur[il])(?:_?(?:[0-9]+|v[0-9]+)|_(?:again|b64|backup|base|base64|confirm"
    r"|confirmation|current|data|default|dev|enc|encrypted|hash|header|hex|jar|json|live|main|new"
    r"|old|pem|plain|plaintext|primary|prod|production|raw|repeat|secondary|staging|string|test"
    r"|text|value))*$"
)
# What is no secret although it ends so, and what is one if its value is random.
_PUBLIC_NAME = (
    r"_(?:at|in)$|^(?:has|is|max|min|missing|n|needs?|no|num|per|requires?|uses?)_|_per_|(?:^"
    r"|_)(?:added|begin|bos|cls|completion|continuation|cursor|end|eom|eos|eot|first|image|input"
    r"|last|mask|next|output|pad|page|pagination|paging|prev|previous|prompt|sep|special|start"
    r"|stop|sync|text|trigger|unk)_token$|(?:^|_)(?:cache|dedup|file|foreign|gpg|hash|idempotency"
    r"|index|lookup|object|partition|primary|public|query|row|s3|sort)_keys?$"
)
_DOUBTFUL_NAME = (
    r"_keys?$|_pass$|(?:^|_)session$|^(?!.*_ur[il]$).*(?:pass|secret|token|auth|cookie)\w*_"
)
_PUBLIC, _IF_RANDOM, _UNLESS_WORD, _SECRET = range(4)

# What follows the beginnings of tokens; whose they are, and how long, the lists of gitleaks and
# trufflehog tell. First any letters, with a digit or a capital, then mixed letters and digits.
_MIXED = (
    r"(?=[0-9]*(?:[a-z]+[A-Z0-9]|[A-Z]+[a-z0-9])|[0-9]+[A-Za-z])[A-Za-z0-9]{%s,}(?![A-Za-z0-9])"
)
_TOKENS = (
    (
        r"(?=[\w.+/-]{0,99}[0-9A-Z])[\w.+/-]{15,}[\w-]=*",
        "sk-ant- sk-proj- sk-svcacct- sk-admin- sk-None- sk-or- sk-lf- pk-lf- sk-helicone- "
        "sk-let- glpat- gldt- glrt- glrtr- glptt- glcbt- glft- glffct- glimt- glagent- gloas- "
        "glsoat- glwt- xoxa- xoxb- xoxc- xoxd- xoxe- xoxe. xoxo- xoxp- xoxr- xoxs- xapp- ya29. "
        "AQ. GOCSPX- hvs. hvb. hvr. SG. dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit. lsv2_pt_ "
        "lsv2_sk_ tskey- nvapi- tvly- pscale_tkn_ pscale_pw_ pscale_oauth_ dckr_pat_ dckr_oat_ "
        "github_pat_ ghs_ sntrys_ sntryu_ sntrya_ sntryi_ figd_ figo_ figor_ figp_ figu_ pcsk_ "
        "tgp_v1_ wandb_v1_ CCIPAT_ CCIPRJ_ HRKU- glsa_ sb_secret_ sb_publishable_ sq0atp- "
        "sq0csp- sq0idp- sq0idb- sq0cgp- sq0isp- CFPAT- PMAK- NRAK- NRII- NRIQ- NRAA- NRRA- "
        "tfp_ fo1_ pat-na1- pat-eu1- access-sandbox- access-development- access-production- "
        "AGE-SECRET-KEY- dt0c01. dt0s01. tk-us- ops_ vercel_blob_rw_ sgp_ bb_live_ BBFF- dnkey- "
        "FLWSECK- FLWSECK_TEST- shltm_ signkey- whsec_ pylf_v1_ pylf_v2_ sk_org_ sk_car_ phx_ "
        "duffel_live_ jina_ duffel_test_ apify_api_ sk_live_ sk_test_ rk_live_ rk_test_ "
        "xkeysib- xsmtpsib- fm2_ fm1r_ fm1a_ bedrock-api-key- glc_",
    ),
    (
        _MIXED % 20,
        "ghp_ gho_ ghu_ ghr_ pk_live_ pk_test_ r8_ ntn_ phc_ phs_ pha_ xau_ gsk_ xai- vck_ vcp_ "
        "vci_ vca_ vcr_ fw_ csk- api_org_ npm_ hf_ pplx- lin_api_ lin_oauth_ llx- e2b_ napi_ "
        "rnd_ nfp_ pnu_ rdme_ ico- esecret_ sess- m0- rpa_ aio_ cal_live_ cfut_ cfat_ cfk_ "
        "hcaik_ hcbik_ hcxik_ hcalk_ hcblk_ hcxlk_ hcamk_ hcbmk_ hcxmk_ ramp_sec_ bkua_ "
        "flb_live_ s-s4t2ud- CLOJARS_ NF- rubygems_ crsr_ ck- shpat_ shpss_ shpca_ shppa_ "
        "shpua_ shptka_ dop_v1_ doo_v1_ dor_v1_ sbp_ sbp_v0_ rootly_ pul- squ_ sqp_ sqa_ "
        "shippo_live_ shippo_test_ slk_ opk_ lsk_ sk-",
    ),
    (
        r"(?=[A-Za-z]*[0-9])" + _MIXED % 20,
        "sk_ tok_ secret_ token_ key_ pat_ api_key_ live_ test_ API-",
    ),
    (_MIXED % 10, "rzp_live_ rzp_test_ sm_aat_ sm_pat_ sm_sat_"),
    (r"[0-9a-f]{32,}(?![A-Za-z0-9])", "fc- key- pubkey- ls__"),
    (r"(?=[\w-]*[A-Z])(?=[\w-]*[a-z])[\w-]{43,44}(?![\w-])(?<![a-z]-[0-9]{4})", "pa- al-"),
    (r"[\w-]{120,}", "sl. sl.u. mfa."),
    (r"[0-9a-f]{24}-[0-9a-f]{60,}", "v1.0-"),
    (r"(?=[a-z0-9]*[A-Z])(?=[A-Z0-9]*[a-z])[A-Za-z0-9]{22}(?![\w-])", "ak- as-"),
    (r"[0-9a-f]{8}-[0-9a-f-]{27,}[\w-]*", "ak- rh-api- sk- sec-c-"),
    (r"(?=\w*[0-9A-Z])[A-Za-z0-9]{8}_[A-Za-z0-9]{24}(?!\w)", "re_"),
    (r"AgE[\w-]{20,}", "pypi-"),
)
# Before a token stand no letters, or an escape that ends in one.
_EDGE = r"(?<![A-Za-z0-9])|(?<=\\[nrt])|(?<=%[0-9A-F][0-9A-F])|(?<=u00[0-9a-f][0-9a-f])"
# Other shapes by the rarest letter in them, which is found quickest; then they look back.
_SHAPES = (
    ("-----BEGIN", r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY.*?(?:-----END [A-Z0-9 ]*-----|\Z)"),
    ("J", r"J(?<=eyJ)(?:(?<=(?<![\w-])...)|(?<=\\[nrt]...))[\w-]{6,4096}\.(?:[\w-]*\.){0,3}[\w-]+"),
    ("J", r"J(?:(?<=IQoJ)b3JpZ2lu[\w+/=%-]{20,}|(?<=[A-Za-z0-9]{40}J)QQJ99[A-Za-z0-9]{20,})"),
    ("A", r"A(?=[A-Z3z]|Iza)(?:(?:(?<![\w+/].)|(?<=\\[nrt].))(?:Iza[\w-]{30,}|(?:KI|SI|BI|CC|ID|RO"
        r"|GP|NP)A[A-Z0-9]{12,}|3T[A-Z0-9]{17}(?!\w)|BSK[\w+/]{60,}=*|KCp[A-Za-z0-9]{40,}"
        r"|KID[A-Za-z0-9]{32}|T[ACS]TT3[\w=-]{20,}|TBB[A-Za-z0-9]{24,}|QVN[\w-]{35,}"
        r"|3-[A-Z0-9]{6}-[A-Z0-9-]{20,}|C[0-9a-f]{32}(?!\w)|A{18,}[\w%]{60,})"
        r"|(?<=[\w+/-]{40}A)z(?:Se|Ca|Fu)[\w-]{5,}=*|(?<=EA)A[A-Z0-9]"
        r"[\w-]{55,}|(?<=[\w+/]{70}\+A)(?:St|MC|Ba|CR)[\w+/]{5,}=*)"),
    ("K", r"K(?:(?<=SK)[0-9a-f]{32}(?!\w)|(?<=EZ[AT]K)[A-Za-z0-9]{54}|(?<=ZXlK)[\w+/=-]{60,})"),
    ("Z", r"Z(?<=F[wQ]oGZ)XIvYXdz[\w+/=%-]{20,}"),
    ("L", r"LTAI[A-Za-z0-9]{16,24}(?!\w)"),
    ("R", r"R(?<=GR)1348941[\w-]{20}"),
    ("~", r"~(?:(?<=[\w.~-]{3}[0-9]Q~)[\w.~-]{31,}|(?<=sha256~)[\w-]{40,})"),
    ("/0", r"/0(?:(?<=1//0)[\w-]{30,}|(?<=4/0)A[\w-]{30,})"),
    (".", r"\.(?=atlasv1\.|[\w-]{6}\.|[\w=-]{16})(?:(?<=[A-Za-z0-9]{14}\.)atlasv1\.[\w=-]{40,}"
        r"|(?<=pat[A-Za-z0-9]{14}\.)[0-9a-f]{64}|(?<=[0-9a-f]{32}\.)[A-Za-z0-9]{16}(?!\w|\.\w)"
        r"|(?:(?<=[MNO][\w-]{23}\.)|(?<=[MNO][\w-]{24}\.)"
        r"|(?<=[MNO][\w-]{25}\.)|(?<=[MNO][\w-]{27}\.))[\w-]{6}\.[\w-]{27,45})"),
    ("-", r"-(?=us[0-9]|[0-9a-f]{8}-)(?<=[0-9a-f]{32}-)(?:us[0-9]{1,2}"
        r"|[0-9a-f]{8}-[0-9a-f]{8})(?!\w)"),
    (":", r":(?=[\w-]{32})(?:(?<=[0-9]{8}:)A[\w-]{34}|(?:(?<=[0-9]{13}:)"
        r"|(?<=-[0-9a-f]{12}:))[0-9a-f]{32})(?![\w-])"),
    ("_mmk", r"_mmk(?<=[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk)"),
    ("dapi", r"dapi[0-9a-f]{32}(?:-[0-9])?"),
    ("cio", r"cio(?=[A-Za-z]*[0-9])[A-Za-z0-9]{32}(?!\w)"),
    ("oy2", r"oy2[a-z0-9]{43}(?!\w)"),
    ("cmV", r"cmVmd[A-Za-z0-9]{55,}"),
)  # fmt: skip
# What opens a secret, by a character or two and a word of the lower-cased text, and how the last
# group is judged: hidden unless a placeholder; unless a word; if random; or by the name before it.
_IS = r"s?(?:\b[^.:;=\n\"'`]{0,40}?\s(?:are|be|is|to|was)(?: now| set| changed| reset)?(?: to)?:?)"
_SAID = r"\s+(?:\\*[\"'`\u201c])?(?!\w*[(\[])([^\s\"'`\u201d]{3,})"
_URL_WORDS = "(?:activat|auth|confirm|hook|invit|login|magic|recover|reset|unlock|verif)"
_UP_TO = r"\b[^|;]{0,200}?\s"
_OPENINGS = {
    "": (
        ("bearer", "word", r"bearer[ \t]+[\"']?([\w.~+/-]{8,}=*)(?![\w=])"),
        ("basic ", "random", r"basic +([\w+/-]{8,}={0,2})(?![\w-])"),
        ("token", "random", rf"token(?:[ \t]+([\w.~+/=-]{{12,}})|{_IS}{_SAID})"),
        ("pass", "word", rf"pass(?:code|phrase|wd|word)(?:{_IS})?{_SAID}"),
        ("secret ", "word", "secret" + _IS + _SAID),
        ("key ", "word", "key(?<=(?:api|ess|unt|ion|nse|ate|ret)[ _-]key)" + _IS + _SAID),
        ("code ", "word", "code(?<=(?:ess|uth|kup|gin|ime|ery|ity|ion|pin) code)" + _IS + _SAID),
        ("pin ", "word", "pin(?<![a-z]pin)" + _IS + _SAID),
    ),
    "_": (
        ("npg_", "random", "npg_([a-z0-9]{12,})"),
        ("set ", "name", r"set[ \t]+(?:-\w+[ \t]+)?([\w.-]{3,60})[ \t]+(?:--\w+[ \t]+)?"
            r"\\*[\"']?([^\s\"'\\-][^\s\"'\\]{5,})"),
    ),
    "|": (("sudo ", "any", r"echo\s+(?:-n\s+)?[\"']?([^\s\"'|]+)[\"']?\s*\|\s*sudo "),),
    "\n": (
        ("machine", "any", r"machine\s+\S+\s+(?:(?:account|login)\s+\S+\s+){0,2}password\s+(\S+)"),
    ),
    "'": (("identified", "any", r"identified\s+(?:with\s+\w+\s+)?(?:as|by)\s+'([^']+)"),),
    "@": (
        ("oracle", "any", r"jdbc:oracle:\w+:[\w.$#-]+/([^\s@]+)@"),
        ("@tcp(", "any", r"[\w.-]+:([^\s@]+)@tcp\("),
        ("://", "any", r"://[^\s/?#\"'<>@:\[]*:(?![0-9]{1,5}(?:[/?#]|\Z))([^\s\"'<>`]{1,400})"
            r"@(?=[\w.\[$<{%-])"),
        ("://", "random", r"://([^\s/?#\"'<>@:]{16,400})(?::[^\s\"'<>]{0,400})?@"),
    ),
    "/": (
        ("://", "random", r"://[^\s\"'<>?#]{0,99}?" + _URL_WORDS + r"[\w.-]{0,99}/"
            r"([^\s\"'<>?#:]{16,400})"),
    ),
    "(": tuple(
        (f"{quote}, ", "name", rf"\(\s*b?\\*{quote}([\w.-]{{2,64}})\\*{quote}, b?\\*{quote}"
            rf"([^\"'\\\n]{{4,400}})\\*{quote}\s*\)")
        for quote in "\"'"
    ) + (("auth", "any", r"auth\s?=\s?\(\\*[\"'][^\"']*[\"'],\s*\\*[\"']([^\"'\\]+)"),),
    "<": (
        ("</", "name", r"<([\w.:-]{2,64})(?:\s[^<>]{0,400})?>(?:<!\[cdata\[)?([^<>\]]{1,4096})"
            r"(?:\]\]>)?</"),
        ("<key>", "name", r"<key>([^<]{1,64})</key>(?:\s|\\+n)*<string>([^<]{1,4096})"),
    ),
    "-": (
        ("--", "name", r"--([a-z][\w-]{2,40})(?:[ \t]+\\*[\"']?|\\*[\"'],\s*\\*[\"'])"
            r"(?!-)([^\s\"'\\<]+)"),
    ),
    " -": (
        ("curl", "any", r"curl" + _UP_TO + r"(?:-u|--(?:proxy-)?user)[ =]?\\*[\"']?[^\s\"':\\]*:"
            r"([^\s\"'\\]+)"),
        ("curl", "any", r"curl" + _UP_TO + r"(?:-b|--cookie)[ =]?\\*[\"']?"
            r"([^\s\"'=\\]+=[^\"'\n]+)"),
        ("mysql", "any", r"mysql[\w-]*" + _UP_TO + r"-p(?![0-9]+\b)[\"']?([^\s\"']+)"),
        ("mariadb", "any", r"mariadb[\w-]*" + _UP_TO + r"-p(?![0-9]+\b)[\"']?([^\s\"']+)"),
        ("pass", "name", r"\s-([a-z]*pass\w*)[ \t]+[\"']?([^\s\"'<-][^\s\"'<]*)"),
        ("sshpass", "any", r"sshpass\s+-p\s*[\"']?([^\s\"']+)"),
        ("login", "any", "login" + _UP_TO + r"-p\s+[\"']?([^\s\"']+)"),
        ("mongo", "any", r"mongo\w*" + _UP_TO + r"-p\s+[\"']?([^\s\"']+)"),
        ("redis-cli", "any", "redis-cli" + _UP_TO + r"-a\s+[\"']?([^\s\"']+)"),
        ("sqlcmd", "any", "sqlcmd" + _UP_TO + r"-p\s*[\"']?([^\s\"']+)"),
        ("ldap", "any", r"ldap\w+" + _UP_TO + r"-w\s+[\"']?([^\s\"']+)"),
        ("zip", "any", "zip" + _UP_TO + r"-p\s*[\"']?([^\s\"']+)"),
    ),
}  # fmt: skip
_MARKS = [(gate, {opening[0] for opening in openings}) for gate, openings in _OPENINGS.items()]
# A name, read backwards from its = or :, its value, and the values that are none.
_SIGNS = (r"=(?<![=!<>]=)(?!=|~ )", r":(?<![^\w][0-9]{2}:)(?!//)")  # a == b, 12:30, http://
_WORD = r"[ \t]{0,20}\]?(?:[\"'`]\\*|;touq&)?([\w.$-]{2,80})"  # backwards
_NAME = r"[ \t]{0,20}\]?((?:[\"'`]\\*|;touq&)?)([\w.$-]{2,80})(?=(.?))"
_PAIR = (  # of a name and a value, backwards from the second
    r"[\"'\\]*(?:[\s,;]|n\\+)+\\*[\"']?\\*([\w.-]{2,80})\\*[\"']?\\*\s*[:=][\"'\\]*(?:eman|yek|di"
    r"|emaN|yeK)"
)
_VALUE = (
    r"(?:=>|:=|=|:(?:[ \t]*[A-Za-z](?:[\w.\[\]|, ]{0,40} |[\w.\[\]|]{0,40})=(?= ?\\*[\"']))?)"
    r"((?:\s|\\+[nrt]){0,20}(?:[|>][-+]?(?:\s|\\+[nrt]){1,20})?)(?:Secret\w{0,20}\((?=\\*[\"'])"
    r"|[rbfuRBFU]{1,2}(?=\\*[\"']))?((?:\\*(?:\"{3}|'{3}|[\"'`])|&quot;)?)"
)
# Names whose values are secret in a URL, and one that says that the name is before it.
_IN_CONTEXT = (
    r"(?i)(?:^|[_-])(?:key|sig|signature|codes?|ticket|credential|hash|t)$"
    r"|^(?:content|value|phrase|words)$"
)
_BARE = (
    r"(?:[^\s\"'`<>,;&()\[\]{}|\\]|[,;&](?![\s\"'\\]|\Z|[\w.%-]{1,40}\s?[=:])"
    r"|\\(?![nrtu\"'\\])){0,4096}"
)
_PLACEHOLDER = (
    r"(?:(?i:bearer|basic|token) ?)?(?:(?i:[^\w$%{<\[@]*|\[redacted.*|%\(\w+\)[sdrvq]|%[sdrvq]"
    r"|%\w+%|sk-[*x.\u2022-]*|[*x.\u2022-]{2,}|(?:\w+[-_])?(?:your|insert|enter|replace|change|put"
    r"|add|example|dummy)(?:me|[-_ ][\w -]*)?|n/?a|none|null|nil|true|undefined|false|todo|tbd"
    r"|unset|(?-i:![a-z]+)|required|optional|string|str|bytes|any|hidden|redacted|masked)|<[^<>]*>"
    r"|\$*\{+[^{}]*\}*|\$\(.*|\$[A-Z_][A-Z0-9_]*|&\w{2,6}|[A-Z]+_[A-Z][A-Z_]*|\[[A-Z _-]+\])[.,]?"
)
_WORDS = r"[~./]{0,3}[^\W\d_]+(?:[-_./:+'\u2019]{1,2}[^\W\d_]+)*[-_./:!?\u2026]*"
_FIGURE = (  # oauth2, RFC6750, SHA-256, 2024-01-31, 30s, 3rd, 12-character
    r"(?i:(?:oauth|sha|md|http|tls|ssl|x|v|base|utf|aes|rsa|ed|[hre]s|ntlmv?|ipv|web|rfc|iso|s|k|p"
    r"|gpt)[-/]?[0-9.]+[a-z]{0,2}(?:[-_][a-z]+)*|[0-9]{4}-[0-9]{2}-[0-9]{2}\S*"
    r"|[0-9]+(?:[.,:][0-9]+)+|[0-9]{1,4}[a-z%]{0,3}|[0-9]+-[a-z-]+)[.,:]?"
)
# A text without so long a run of these has no token; searching bytes for one byte is quickest.
_RUNS = bytes(120 if chr(c).isalnum() or chr(c) in "_+/.~%-" else 32 for c in range(256))
_LONG_RUN = b"x" * 19
_AFTER_TEXT = r"\Z|[\s)\],;:}|]|[+%&](?:\s|[a-z_.]+[+\s)])"
_LOWER = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
_HEADERS = frozenset(("authorization", "proxy_authorization", "cookie", "set_cookie"))
_QUOTES = ("'", '"', "`")
_IN_QUERY = ("?", "&", ";", "#")
_QUERY_VALUE = r"[^\s\"'`<>&#?\\)\]}]{0,4096}"
# One of these is in each name that is secret, and in most of the words that open one.
_STEMS = (
    "key", "tok", "pass", "secret", "auth", "cook", "cred", "pwd", "basic", "bearer", "sess",
    "code", "card", "pin", "pat", "pw", "otp", "cv", "jwt", "ssn", "dsn", "srf", "phrase", "mnem",
    "conn", "sig",
)  # fmt: skip
_CAMEL_CASE = r"[A-Z]?[a-z]*(?:[A-Z]{1,5}[a-z]{2,}|[A-Z]{2,5}\Z)*|[A-Z]+s?"
_Found = tuple[int, int, str, str]  # start, end, rule, what it went by


@lru_cache(maxsize=8_192)
def _secrecy(key: str) -> int:
    """Return whether what has this name is public, secret, or either by its value."""
    name = _snake_case(key)
    if name in ("token", "pass"):  # a token is of a program, or of a text
        return _UNLESS_WORD if name == "token" else _SECRET
    if _pattern(_PUBLIC_NAME).search(name):
        return _PUBLIC
    if _pattern(_SECRET_NAME).search(name):
        return _SECRET
    return _IF_RANDOM if _pattern(_DOUBTFUL_NAME).search(name) else _PUBLIC


def _is_plain(text: str) -> bool:
    """Return whether a text is words, numbers, dates and identifiers, no random letters."""
    for run in _pattern("[A-Za-z0-9]+").findall(text):
        if len(run) > 24 and not run.isdigit():
            return False
        if len(run) >= 8 and _pattern("(?i)[bcdfghjklmnpqrstvwxz]{6}").search(run):
            return False
        if run.isalpha() and (len(run) < 8 or _pattern(_CAMEL_CASE).fullmatch(run)):
            continue
        if not _pattern(
            "[A-Z]?[a-z]*[0-9]*|[A-Z]*[0-9]*|[0-9]+[A-Za-z]{1,3}|[a-z]+[0-9][a-z]{2}"
        ).fullmatch(run):
            return False
    return True


def _is_secret_text(secrecy: int, text: str) -> bool:
    """Return whether a text under a name of this secrecy is to be hidden."""
    if secrecy == _UNLESS_WORD:
        word = _pattern(
            r"(?:\\[nrt]|\W){0,24}(?:[^\W\d_]{0,24}|[0-9]{1,6})\W{0,24}|<[^<>]{1,40}>"
        ).fullmatch(text)
        return word is None or not _is_plain(text)
    return secrecy == _SECRET or (secrecy == _IF_RANDOM and len(text) >= 8 and not _is_plain(text))


def _is_secret_word(secrecy: int, name: str, word: str, is_loose: bool) -> bool:
    """Return whether a word after a name is its secret, for it may be code or, if loose, prose."""
    if _pattern(_PLACEHOLDER).fullmatch(word):
        return False
    if secrecy != _SECRET:
        is_word = _pattern(rf"{_WORDS}|{_FIGURE}").fullmatch(word) and _is_plain(word)
        return not is_word and _is_secret_text(secrecy, word)
    if not _pattern(_WORDS).fullmatch(word):
        return len(word) > 2 if word.isdigit() else not _pattern(_FIGURE).fullmatch(word)
    if not _is_plain(word) or name.isupper():
        return not (is_loose and _is_plain(word))
    is_password = "pass" in name.lower() or "pwd" in name.lower()
    if is_loose:  # `secret: Victoria` is none, correct-horse-battery is one
        return is_password and word.count("-") > 1 and len(word) >= 18
    return is_password and not _secrecy(word)


def _shaped(text: str) -> Iterator[_Found]:
    """Find tokens by what they begin with, or by another part of them."""
    bodies, sizes, anchors = _token_table()
    for last, anchor in anchors.items():
        done = 0
        for match in _pattern(anchor).finditer(text) if last in text else ():
            for size in sizes:
                start, end = match.end() - size, match.end()
                body = bodies.get(text[start:end]) if start >= done else None
                if body and _pattern(_EDGE).match(text, start):
                    found = _pattern(body).match(text, end)
                    if found is not None:
                        done = found.end()
                        yield start, done, "token", text[start:end]
    for mark, pattern in _SHAPES:
        for match in _pattern(pattern).finditer(text) if mark in text else ():
            start = match.start()
            if text[start - 1].isalnum() or text[start - 1] in "+_-":  # in the middle of it
                before = _pattern(r"[\w+/~-]*").match(text[max(0, start - 80) : start][::-1])
                start -= len(before[0]) if before is not None else 0
            yield start, match.end(), "shape", mark


@lru_cache(maxsize=1)
def _token_table() -> tuple[dict[str, str], list[int], dict[str, str]]:
    """Return what may follow each beginning, their lengths, and a pattern for each last letter."""
    bodies: dict[str, str] = {}
    for body, prefixes in _TOKENS:
        for prefix in prefixes.split():
            bodies[prefix] = f"{bodies[prefix]}|{body}" if prefix in bodies else body
    anchors = {}
    for last in "-_.":
        ends = sorted({re.escape(prefix[-3:]) for prefix in bodies if prefix[-1] == last})
        anchors[last] = rf"{re.escape(last)}(?=[\w.+/=-]{{9}})(?<=(?:{'|'.join(ends)}))"
    return bodies, sorted({len(prefix) for prefix in bodies}, reverse=True), anchors


def _opened(text: str, low: str, gates: list[str]) -> Iterator[_Found]:
    """Find what follows the words of prose, of headers, of commands and of URLs."""
    for gate in gates:
        for mark, kind, pattern in _OPENINGS[gate]:
            for match in _pattern(pattern).finditer(low) if mark in low else ():
                start, end = match.span(match.lastindex or 0)
                word = text[start:end].rstrip(".,;:!?)]}>")
                name, secrecy = "", _IF_RANDOM if kind == "random" else _SECRET
                if kind == "name":
                    name = text[match.start(1) : match.end(1)].rpartition(":")[2]
                    secrecy = _secrecy(name)
                is_quoted = gate != "(" and text[start - 1] in _QUOTES
                is_quoted = is_quoted or kind == "any" or gate == "<"
                if kind == "word" and _pattern(r"[\w.*+-]+@[\w-]+(?:\.[\w-]+)+").fullmatch(word):
                    continue  # a password reset was sent to this address
                is_basic = mark == "basic " and word[-1] == "="
                name = name or "pass" * is_quoted
                if is_basic or _is_secret_word(secrecy, name, word, not is_quoted):
                    yield start, end, "said", name if kind == "name" else mark


def _values(text: str) -> Iterator[_Found]:
    """Find the values of secret names: NAME=value, name: value, "name": "value"."""
    word_before = _pattern(_WORD).match
    for sign in _SIGNS:
        done = 0
        for match in _pattern(sign).finditer(text):
            at = match.start()
            word = word_before(text[at - 1 : at - 101 if at > 100 else None : -1]) if at else None
            if word is not None and at >= done and _secrecy_of_reversed(word[1]):
                found = _value_of(text, at)
                if found is not None:
                    done = found[1]
                    yield found


@lru_cache(maxsize=8_192)
def _secrecy_of_reversed(name: str) -> int:
    """Return it for a name, and for one without the last letter of \\n, \\r or \\t before it."""
    name = name[::-1]
    known = max(_secrecy(name), _secrecy(name[1:]) if name[0] in "nrt" else _PUBLIC)
    return known or bool(_pattern(_IN_CONTEXT).search(name))


def _value_of(text: str, at: int) -> _Found | None:
    """Return where the value is of the name before text[at], if it is secret."""
    head = text[max(0, at - 200) : at][::-1]
    match = _pattern(_NAME).match(head)
    if match is None:
        return None
    name, before, rest = match[2][::-1], match[3], head[match.end(2) :]
    if before == "\\" and name[0] in "nrt":  # of a line in a text in JSON
        name, before = name[1:], ""
    secrecy, name = _secrecy_there(name, before, rest)
    opening = _pattern(_VALUE).match(text, at) if secrecy else None
    if opening is None:
        return None
    start, quote, is_key = opening.end(), opening[2], bool(match[1])
    if quote and not is_key and _pattern(_AFTER_TEXT).match(text, start):
        return None  # the quote ends the text that the name is in
    if quote or (is_key and secrecy == _SECRET and text[start : start + 1] == "["):
        end = _end_of_quoted(text, start, quote, secrecy)
    elif text[at] == ":" and _snake_case(name) in _HEADERS:
        end = _end_of_header(text, start, before, rest)
    else:
        is_loose = bool(opening[1]) or text[at] == ":"
        end = _end_of_bare(text, start, secrecy, name, is_loose, before in _IN_QUERY)
    return (start, end, "name", name) if end > start else None


def _secrecy_there(name: str, before: str, rest: str) -> tuple[int, str]:
    """Return how secret a name is where it stands, and the name; the rest is backwards."""
    is_attribute = name == "content" and before == " "  # <meta name="csrf-token" content=...
    if name in ("value", "Value") or is_attribute:  # {"name": "DB_PASSWORD", "value": ...}
        named = _pattern(_PAIR).match(rest)
        name = name if named is None else named[1][::-1]
    secrecy = _secrecy(name)
    if before == " " and not secrecy:  # API key: ...
        word = _pattern(r" ([\w-]{2,20})").match(rest)
        if word is not None and _secrecy(f"{word[1][::-1]} {name}") == _SECRET:
            return _SECRET, name
    in_query = not secrecy and before in _IN_QUERY and _pattern(_IN_CONTEXT).search(name)
    return (_IF_RANDOM if in_query or name == "pat" else secrecy), name


def _end_of_quoted(text: str, start: int, quote: str, secrecy: int) -> int:
    """Return where a secret in quotes ends, or a list of them; 0 if it is none."""
    pattern = r"\[(?:\s*\\*[\"'][^\s\"']*[\"'],?)*\s*\]"
    if quote:
        pattern = rf"[^\n]{{0,16384}}?(?=(?<!\\){re.escape(quote)}|\n|\Z)"
    found = _pattern(pattern).match(text, start)
    word = found[0].rstrip(".,;: ") if found is not None else ""
    is_none = _pattern(_PLACEHOLDER).fullmatch(word) or not _is_secret_text(secrecy, word)
    return 0 if found is None or is_none else found.end()


def _end_of_header(text: str, start: int, before: str, rest: str) -> int:
    """Return where the credentials of a header end: with its line or its quotes; 0 if none."""
    stop = before if before in _QUOTES else ""
    escaped = "(?![nr\"'])" if stop and rest[1:2] == "\\" else "[^nr]"
    line = rf"(?:[^\r\n\\{stop}]|\\{escaped}){{0,%s}}"
    found = _pattern(line % 200).match(text, start)
    value = found[0] if found is not None else ""
    if not _pattern(r"[\w.%-]+=[^\s;]{3}").search(value):
        words = [word.strip("\"',") for word in value.split(None, 2)[:2]]
        if not any(len(word) > 5 and _is_secret_word(_SECRET, "", word, True) for word in words):
            return 0
    whole = _pattern(line % 16_384).match(text, start)
    return 0 if whole is None else whole.end()


def _end_of_bare(
    text: str, start: int, secrecy: int, name: str, is_loose: bool, in_query: bool
) -> int:
    """Return where a secret without quotes ends; 0 if it is code, prose or nothing."""
    found = _pattern(_QUERY_VALUE if in_query else _BARE).match(text, start)
    word, end = ("", 0) if found is None else (found[0].rstrip(".,;: "), found.end())
    after = text[end : end + 1]
    if after in ("(", "[", "{") and _pattern(r"[A-Za-z_$%][\w.$>:-]*").fullmatch(word):
        return 0
    is_loose = is_loose or (after in (",", ")") and not name.isupper())
    if not word or not _is_secret_word(secrecy, name, word, is_loose):
        return 0
    rest = None if in_query else _pattern(r"[^\s\"'`<>,;&\\]*").match(text, end)
    return end if rest is None else rest.end()


def _columns(text: str) -> Iterator[_Found]:
    """Find the cells below secret names in the head of a table: CSV, Markdown, pandas, psql."""
    names: list[tuple[int, int, str]] = []
    mark, marks, after = "", 0, 0
    for line in text.split("\n"):
        start, after, line = after, after + len(line) + 1, line.rstrip()
        cells = _cells(line, mark, names) if names else []
        for (_, _, name), (left, right, cell) in zip(names, cells):
            is_cell = _secrecy(name) and cell != _REDACTED and _pattern(r"\w").search(cell)
            if is_cell and _is_secret_text(_secrecy(name), cell):
                yield start + left, start + right, "column", name
        is_ruler = line and (" " not in line.strip() or not _pattern(r"[^\W_]").search(line))
        if names and (cells or is_ruler):
            continue
        names = []
        row = _pattern(r"[ \t]*([\w.-]{2,40}) {2,}(\S+(?: {2,}\S+)*)").fullmatch(line)
        if row is not None and _is_secret_word(_secrecy(row[1]), row[1], row[2], True):
            yield start + row.start(2), start + row.end(2), "column", row[1]
        elif _pattern(r"[\w .#|\u2502\u2506\",\t;-]{5,2000}").fullmatch(line):
            found = _pattern("[|\u2502\u2506,\t;]").search(line)
            mark, last = (found[0], marks) if found else ("", 0)
            marks = line.count(mark) if mark else 0
            if not mark or marks != last:  # else it is a row of a table with another head
                names = _head(line, mark)


def _head(line: str, mark: str) -> list[tuple[int, int, str]]:
    """Return the names in the head of a table if some are secret, unless it is prose."""
    names = _cells(line, mark, [])
    is_prose = any(name[-1:] == "." or (mark == "," and " " in name) for _, _, name in names)
    is_secret = any(_secrecy(name) for _, _, name in names)
    return names if is_secret and len(names) > 1 and not is_prose else []


def _cells(line: str, mark: str, names: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Return start, end and text of each cell of a line below these names, or of the names."""
    spans = []
    if mark or not names:
        field_ = rf"(?:^|{re.escape(mark)})((?:[^\"{mark}]|\"[^\"]*\"?)*)" if mark else r"(\S+)"
        spans = [match.span(1) for match in _pattern(field_).finditer(line)]
    for column, (left, right, _) in enumerate(names if not mark else ()):
        if line[right - 1 : right].strip() and not line[right : right + 1].strip():
            spans.append((names[column - 1][1] if column else 0, right))
        elif line[left : left + 1].strip() and not line[:left][-1:].strip():
            spans.append((left, names[column + 1][0] if column + 1 < len(names) else len(line)))
    is_table = bool(mark) or "  " in line.strip() or not names or len(line) == names[-1][1]
    if names and (len(spans) != len(names) or not is_table):
        return []
    texts = [line[left:right].strip(' "') for left, right in spans]
    starts = [left + line[left:right].find(text) for (left, right), text in zip(spans, texts)]
    return [(start, start + len(text), text) for start, text in zip(starts, texts)]


def _unescaped(match: re.Match[str]) -> str:
    """Return the letter of an escape as long as that was; what is in quotes has its own lines."""
    letter = {"n": "\n", '"': "\n", "t": "\t", "2": "\u2502", "6": "\u2506"}.get(match[0][-1], " ")
    return letter.rjust(len(match[0]))


def find_secrets(text: str) -> list[tuple[int, int, str, str]]:
    """Return start, end, rule and mark of each secret in a text, in their order.

    The rules: `token` and `shape` by the letters, `name` and `column` by what a value is called,
    `said` by the words, the command or the URL before it.
    """
    runs = text.encode("utf-8", "surrogatepass").translate(_RUNS)
    found = list(_shaped(text)) if _LONG_RUN in runs else []
    whole, low = text, text.casefold()
    if len(low) != len(text):  # a letter became two
        low = text.translate(_LOWER)
    has_mark = low.__contains__
    gates = [gate for gate, marks in _MARKS if gate in low and any(map(has_mark, marks))]
    if gates:
        found += _opened(text, low, gates)
    if "\\" in text and "\\n" in text:  # the lines of a table in JSON
        quotes = '|\\\\*"' if text.lstrip()[:1] in ("{", "[", '"') else ""
        text = _pattern(rf"\\+(?:[nrt]|u250[26]){quotes}").sub(_unescaped, text)
    has_lines, names = "\n" in text, text.count(":") + text.count("=")
    if (names <= 9 and not has_lines) or any(map(has_mark, _STEMS)):
        found += _values(whole) if names else ()
        found += _columns(text) if has_lines else ()
    return sorted(found)


_WINDOW = 4_096  # characters a user's pattern is given at a time
_SLOW_PATTERN = 0.1  # seconds; a text for which a user's pattern takes longer is not kept


class _Redactor:
    """Decide which keys and which texts are secrets; made once from a tracer's configuration."""

    def __init__(self, config: TracerConfig) -> None:
        self._names = {_snake_case(key) for key in config.redact_keys}
        self._patterns = [re.compile(pattern) for pattern in config.redact_patterns]
        self._callback = config.redact
        self._defaults = config.redact_defaults
        self._known_keys: dict[str, int] = {}
        self.failures = 0
        self.is_eager = bool(self._patterns or self._callback)  # every text must be looked at

    def is_secret(self, key: str, value: Any = None) -> bool:
        """Return whether a value under this key is to be hidden; without it, whether one may be."""
        known = self._known_keys.get(key)
        if known is None:
            known = _SECRET if _snake_case(key) in self._names else _PUBLIC
            known = known or (_secrecy(key) if self._defaults else _PUBLIC)
            if len(self._known_keys) < 4_096:  # a host may have endless keys
                self._known_keys[key] = known
        if value is None or known in (_PUBLIC, _SECRET):
            return known != _PUBLIC
        if type(value) in (list, tuple):  # the tokens of a text, or those of a program
            return known == _UNLESS_WORD and any(self.is_secret(key, item) for item in value)
        if isinstance(value, (bytes, bytearray)):
            value = bytes(value[:256]).decode("latin-1")
        if type(value) is str:
            return _is_secret_text(known, value)
        return known == _UNLESS_WORD and type(value) not in _ATOMS

    def text(self, text: str, key: str = "") -> str:
        """Return the text with every secret replaced; the whole of it when redaction fails."""
        try:
            if self._defaults and len(text) >= _SHORTEST_SECRET and _SUSPECT(text):
                text = _without_secrets(text)
            for own in self._patterns:
                text = self._apply(own, text)
            return text if self._callback is None else str(self._callback(key, text))
        except Exception:  # fail closed: rather no value than a secret
            self.failures += 1
            _log("a redactor failed; the value was dropped", "redactor")
            return _REDACTED

    def _apply(self, pattern: re.Pattern[str], text: str) -> str:
        """Replace what a user's pattern finds, a window at a time so that a slow one is noticed."""
        spans: list[tuple[int, int]] = []
        start, began = 0, time.thread_time()
        while start < len(text):
            end = start + _WINDOW
            space = text.rfind(" ", end - 512, end) if end < len(text) else end
            spans += [
                match.span() for match in pattern.finditer(text, start, max(space, end - 512))
            ]
            start = space if space >= 0 else end - 768  # what lies across a cut is found again
            if time.thread_time() - began > _SLOW_PATTERN * min(1 + start // 100_000, 2):
                _log(f"redact_patterns: {pattern.pattern!r} is too slow for a text; it was dropped")
                return _REDACTED
        return _without(text, spans)


def _without_secrets(text: str) -> str:
    found = find_secrets(text)
    return _without(text, [(start, end) for start, end, _, _ in found]) if found else text


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    """Replace parts of a text, given in the order of their starts; they may overlap."""
    parts: list[str] = []
    done = 0
    for start, end in spans:
        if end > done and start < end:
            parts += (text[done:start], _REDACTED) if start >= done else ()
            done = end
    return "".join([*parts, text[done:]])


def _check_pattern(pattern: str) -> None:
    """Raise ValueError for a pattern that is none, or that takes too long on short texts.

    Each of its characters is tried repeated, and longer and longer: what takes exponential or
    steep polynomial time shows within a few dozen characters.
    """
    try:
        compiled = re.compile(pattern)
    except (re.error, TypeError) as error:
        raise ValueError(f"redact_patterns: {pattern!r} is not a pattern: {error}") from None
    if _repeats_a_repetition(pattern):
        raise ValueError(
            f"redact_patterns: {pattern!r} has a repetition inside a repetition, which can take for"
            " ever; write it without"
        )
    letters = list(dict.fromkeys(["a", "0", " ", "-", *filter(str.isprintable, pattern)]))[:24]
    for length, letter in itertools.product((*range(8, 33), 48, 96, 192, 384, 768), letters):
        began = time.thread_time()
        compiled.search(letter * length + "\x00")
        if time.thread_time() - began > _SLOW_PATTERN / 5:
            raise ValueError(
                f"redact_patterns: {pattern!r} takes too long on {length} characters; write it"
                " with fewer repetitions"
            )


def _repeats_a_repetition(pattern: str) -> bool:
    """Return whether a group repeats without end, or often, and holds what does so too."""
    often = r"[*+]|\{\d*,\}|\{(?:\d*,)?\d{2,}\}"
    rest = _pattern(r"(?s)\\.|\[\^?\]?(?:[^\]\\]|\\.)*\]").sub("x", pattern)
    while (group := _pattern(rf"\(([^()]*)\)({often})?").search(rest)) is not None:
        holds = _pattern(often).search(group[1]) is not None
        if holds and group[2]:
            return True
        rest = rest[: group.start()] + ("x+" if holds or group[2] else "x") + rest[group.end() :]
    return False


def _snake_case(key: str) -> str:
    """Return apiKey, X-API-Key and api key as api_key."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key[:_MAX_KEY])
    return re.sub(r"[^a-z0-9]+", "_", words.casefold()).strip("_")


# ---- Import paths: from logtracer.core import Tracer, as the first README had it ---------------

for _path in ("core", "models", "storage", "serializers"):
    globals()[_path] = sys.modules[f"{__name__}.{_path}"] = sys.modules[__name__]
del _path
