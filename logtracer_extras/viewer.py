"""Write a trace as one HTML page that opens anywhere, without a network.

    from logtracer import load_trace
    from logtracer_extras.viewer import trace_page, write_page

    write_page(trace_page(load_trace("traces/7f3a9c21.json")), "run.html")

The page itself is `viewer.html` beside this file: it works from `file://`, asks the network for
nothing and holds the trace as data that cannot run. It contains what was recorded, inputs and
outputs included, so the file is written for its owner's eyes only. Sections, in order: columns,
blocks of data, filling the page, writing it.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import os
import pkgutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from logtracer import Edge, EdgeType, LogtracerError, Node, NodeStatus, TraceGraph

__all__ = ["PageError", "trace_page", "write_page"]


class PageError(LogtracerError, ValueError):
    """A page cannot be made or written; the message says why and what to do."""


# ---- Columns: a trace as the page's script wants it ---------------------------------------------

_FORMAT_VERSION = 1
_MOST_NODES = 1_000_000  # what a browser still opens in a few seconds
_STATUS_CODES = {
    NodeStatus.COMPLETED: 0,
    NodeStatus.FAILED: 1,
    NodeStatus.RUNNING: 2,
    NodeStatus.INTERRUPTED: 3,
    NodeStatus.CANCELLED: 4,
    NodeStatus.PAUSED: 5,
    NodeStatus.PENDING: 6,
}
_UNKNOWN = -1  # of a number of tokens, a cost, the duration of an open node
_NO_PARENT = -1
_LARGEST = 2**53  # beyond it, JavaScript rounds
_LONGEST_ERROR = 300  # characters of an error in its column; the whole stands in the details
_MICROSECOND = timedelta(microseconds=1)
_NUMBER_COLUMNS = {
    "tokensIn": "gen_ai.usage.input_tokens",
    "tokensOut": "gen_ai.usage.output_tokens",
    "cached": "gen_ai.usage.cache_read.input_tokens",
}
_ABSENT = dict.fromkeys([*_NUMBER_COLUMNS, "cost"], _UNKNOWN)  # a column of these is left out
_Columns = dict[str, list[Any]]


class _Strings:
    """Texts by number: each distinct text stands in the page once. Number 0 is the empty one."""

    def __init__(self) -> None:
        self.texts = [""]
        self._numbers = {"": 0}

    def number(self, text: str) -> int:
        """Return the number of a text, a new one for a new text."""
        number = self._numbers.setdefault(text, len(self.texts))
        if number == len(self.texts):
            self.texts.append(text)
        return number


def _columns(
    trace: TraceGraph, nodes: list[Node], strings: _Strings, costs: Mapping[str, float | None]
) -> _Columns:
    """Return the columns of nodes that stand parents first."""
    number = strings.number
    parents = _parents(nodes)
    starts, durations = _times(trace, nodes, parents)
    columns: _Columns = {
        "parent": parents,
        "start": starts,
        "duration": durations,
        "status": [_STATUS_CODES[node.status] for node in nodes],
        "type": [number(str(node.node_type)) for node in nodes],
        "name": [number(node.name) for node in nodes],
        "error": [number(_error_line(node)) for node in nodes],
        "lane": [number(_text(node.metadata.get("lane"))) for node in nodes],
        "model": [number(_model(node.metadata)) for node in nodes],
        "cost": [_number(costs.get(node.id)) for node in nodes] if costs else [],
    }
    for name, key in _NUMBER_COLUMNS.items():
        columns[name] = [_number(node.metadata.get(key)) for node in nodes]
    return {
        name: column for name, column in columns.items() if set(column) - {_ABSENT.get(name, 0)}
    }


def _parents(nodes: list[Node]) -> list[int]:
    index: dict[str, int] = {}
    parents = []
    for place, node in enumerate(nodes):
        # A parent that comes later closes a circle; it is cut here, as walk() cuts it.
        parents.append(_NO_PARENT if node.parent_id is None else index.get(node.parent_id, -1))
        index[node.id] = place
    return parents


def _times(trace: TraceGraph, nodes: list[Node], parents: list[int]) -> tuple[list[int], list[int]]:
    """Return when each node started and how long it took, in microseconds of the run."""
    known = (node.start_time for node in nodes if node.start_time is not None)
    origin = trace.start_time or min(known, default=None)
    starts: list[int] = []
    durations: list[int] = []
    for node, parent in zip(nodes, parents):
        start = _micros(node.start_time, origin)
        if start is None:
            start = starts[parent] if parent >= 0 else 0
        end = _micros(node.end_time, origin)
        starts.append(start)
        durations.append(_UNKNOWN if end is None else max(0, end - start))
    return starts, durations


def _micros(moment: datetime | None, origin: datetime | None) -> int | None:
    if moment is None or origin is None:
        return None
    return (moment - origin) // _MICROSECOND


def _error_line(node: Node) -> str:
    if not node.error and not node.error_type:
        return ""
    line = ": ".join(filter(None, (node.error_type, node.error)))
    return line if len(line) <= _LONGEST_ERROR else line[: _LONGEST_ERROR - 1] + "…"


def _model(metadata: dict[str, Any]) -> str:
    name = metadata.get("gen_ai.response.model") or metadata.get("gen_ai.request.model")
    return name if isinstance(name, str) else ""


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _number(value: object) -> float:
    """Return a count or a cost; anything but a plain number of 0 or more was not recorded."""
    if type(value) is int or type(value) is float:
        return value if 0 <= value < _LARGEST else _UNKNOWN
    return _UNKNOWN


def _edges(
    edges: Iterable[Edge], nodes: list[Node], parents: list[int], strings: _Strings
) -> list[int]:
    """Return source, target, kind and label of each edge that the tree does not show already."""
    index = {node.id: place for place, node in enumerate(nodes)}
    flat: list[int] = []
    for edge in edges:
        source, target = index.get(edge.source_id), index.get(edge.target_id)
        if source is None or target is None:
            continue
        if edge.edge_type == EdgeType.CAUSED_BY and parents[target] == source:
            continue
        flat += source, target, strings.number(str(edge.edge_type)), strings.number(edge.label)
    return flat


# ---- Blocks: JSON that cannot end its element, or packed ----------------------------------------

_PACKED_FROM = 256 * 1024  # characters of all blocks; below, a reader can look at the JSON
_BLOCK_NODES = 2_048
_BLOCK_SIZE = 8_000_000  # characters: the page refuses blocks of more than 64 MB
_LARGEST_DETAIL = 16_000_000  # characters of one node
_ESCAPES = str.maketrans(
    {"&": "\\u0026", "<": "\\u003c", ">": "\\u003e", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)
_encode = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=repr
).encode


def _details(nodes: Iterable[Node], with_values: bool) -> Iterator[str]:
    """Yield, for each node, what only its detail panel shows, as one line of JSON."""
    for node in nodes:
        detail: dict[str, Any] = {}
        if with_values:
            detail = {"input_data": node.input_data, "output_data": node.output_data}
        detail["annotations"] = node.annotations
        detail["metadata"] = node.metadata
        detail["error"] = node.error
        detail["error_type"] = node.error_type
        detail["error_traceback"] = node.error_traceback
        yield _line({key: value for key, value in detail.items() if value})


def _line(detail: dict[str, Any]) -> str:
    try:
        line = _encode(detail)
    except (ValueError, RecursionError):  # nodes made by hand may hold NaN, or themselves
        line = _encode({"problem": "not JSON data"})
    if len(line) > _LARGEST_DETAIL:
        line = _encode({"problem": f"{len(line)} characters, too large for a page"})
    return line


def _blocks(lines: Iterable[str]) -> Iterator[list[str]]:
    """Group lines into blocks that the page reads one at a time."""
    block: list[str] = []
    size = 0
    for line in lines:
        if len(block) == _BLOCK_NODES or (block and size + len(line) > _BLOCK_SIZE):
            yield block
            block, size = [], 0
        block.append(line)
        size += len(line)
    if block:
        yield block


def _elements(blocks: dict[str, str]) -> str:
    """Return the script elements that carry the blocks; none of them can run."""
    is_packed = sum(map(len, blocks.values())) > _PACKED_FROM
    element = _packed_element if is_packed else _plain_element
    return "\n".join(element(f"logtracer-{name}", text) for name, text in blocks.items())


def _plain_element(name: str, text: str) -> str:
    return f'<script type="application/json" id="{name}">{text.translate(_ESCAPES)}</script>'


def _packed_element(name: str, text: str) -> str:
    packed = gzip.compress(text.encode("utf-8", "replace"), compresslevel=6, mtime=0)
    return f'<script type="text/plain" id="{name}">{base64.b64encode(packed).decode()}</script>'


# ---- Filling the page ---------------------------------------------------------------------------

_MARKS = ("title", "summary", "data")


def trace_page(
    trace: TraceGraph,
    *,
    edges: Iterable[Edge] | None = None,
    costs: Mapping[str, float | None] | None = None,
    with_values: bool = True,
) -> str:
    """Return the page that shows a trace.

    `edges` replaces the trace's own, for a caller that found more; `costs` gives dollars by node
    id. Without values, recorded inputs and outputs are left out. Raises PageError when the trace
    has more nodes than a page can hold.
    """
    nodes = [node for _, node in trace.walk()]
    _check_size(len(nodes))
    blocks = _trace_blocks(trace, nodes, edges, costs or {}, with_values)
    return _fill(trace.name or "trace", _summary(trace, nodes), _elements(blocks))


def _check_size(count: int) -> None:
    if count > _MOST_NODES:
        raise PageError(
            f"the trace has {count:,} nodes; a page holds {_MOST_NODES:,}. Show a part of it"
        )


def _trace_blocks(
    trace: TraceGraph,
    nodes: list[Node],
    edges: Iterable[Edge] | None,
    costs: Mapping[str, float | None],
    with_values: bool,
) -> dict[str, str]:
    strings = _Strings()
    columns = _columns(trace, nodes, strings, costs)
    flat = _edges(
        trace.edges if edges is None else edges, nodes, columns.get("parent", [0]), strings
    )
    details = list(_blocks(_details(nodes, with_values)))
    first, chunks = 0, []
    for block in details:
        chunks.append(first)
        first += len(block)
    head = {
        "version": _FORMAT_VERSION,
        "name": trace.name,
        "traceId": trace.trace_id,
        "started": None if trace.start_time is None else trace.start_time.isoformat(),
        "metadata": trace.metadata,
        "notes": _notes(nodes, columns.get("parent", [0])),
        "hasValues": with_values,
        "count": len(nodes),
        "chunks": chunks,
        "strings": strings.texts,
        "columns": columns,
        "edges": flat,
    }
    return {
        "head": _line(head),
        "ids": _encode([node.id for node in nodes]),
        **{f"details-{number}": "\n".join(block) for number, block in enumerate(details)},
    }


def _notes(nodes: list[Node], parents: list[int]) -> list[str]:
    orphans = sum(
        node.parent_id is not None and parent == _NO_PARENT for node, parent in zip(nodes, parents)
    )
    return [f"{orphans:,} nodes name a parent that is not in the trace."] if orphans else []


def _summary(trace: TraceGraph, nodes: list[Node]) -> str:
    """Return what a reader without JavaScript sees."""
    counts = Counter(node.status.value for node in nodes)
    lines = [
        f"{trace.name or 'trace'} {trace.trace_id}",
        f"{len(nodes):,} nodes: " + ", ".join(f"{n:,} {status}" for status, n in counts.items()),
        *(f"failed: {node.name}: {_error_line(node)}" for node in trace.failed_nodes[:20]),
        "This page shows the run with JavaScript, which is switched off here.",
    ]
    return "".join(f"<p>{html.escape(line)}</p>" for line in lines)


def _fill(title: str, summary: str, data: str) -> str:
    """Put the parts into the page at their marks; nothing in them is looked at for marks."""
    parts = {"title": html.escape(f"{title} · logtracer"), "summary": summary, "data": data}
    rest = _with_policy(_template())
    filled: list[str] = []
    for mark in _MARKS:
        before, _, rest = rest.partition(f"<!--logtracer:{mark}-->")
        filled += before, parts[mark]
    return "".join([*filled, rest])


def _template() -> str:
    data = pkgutil.get_data("logtracer_extras", "viewer.html")
    if data is None:
        raise PageError("viewer.html is missing beside logtracer_extras/viewer.py; copy it there")
    return data.decode("utf-8").replace("\r\n", "\n")  # another line end is another hash


def _with_policy(page: str) -> str:
    """Allow the page's own scripts and style by their hashes, and nothing else."""
    scripts = [_hash(_between(page, f'<script id="{name}">', "</script>")) for name in _SCRIPTS]
    style = _hash(_between(page, "<style>", "</style>"))
    page = page.replace("script-src 'unsafe-inline'", f"script-src {' '.join(scripts)}", 1)
    return page.replace("style-src 'unsafe-inline'", f"style-src {style}", 1)


_SCRIPTS = ("core", "ui")


def _between(text: str, start: str, end: str) -> str:
    return text.partition(start)[2].partition(end)[0]


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


# ---- Writing it ---------------------------------------------------------------------------------

_OURS = b'<meta name="generator" content="logtracer viewer">'
_OURS_WITHIN = 4_096  # bytes from the start of a page


def write_page(page: str, path: str | os.PathLike[str], *, force: bool = False) -> str:
    """Write a page for its owner's eyes only, whole or not at all; return its full path.

    A file that is not a page of this module is replaced only with `force`; else PageError.
    """
    target = os.path.abspath(path)
    if not force and os.path.exists(target) and not _is_ours(target):
        raise PageError(f"{target}: is not a page of logtracer; use force to replace it")
    temporary = f"{target}.{os.urandom(8).hex()}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(page.encode("utf-8", "replace"))
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
    return target


def _is_ours(path: str) -> bool:
    with open(path, "rb") as file:
        return _OURS in file.read(_OURS_WITHIN)
