"""Write a trace as one HTML page that opens anywhere, without a network.

    from logtracer import load_trace
    from logtracer_extras.viewer import trace_page, write_page

    write_page(trace_page(load_trace("traces/7f3a9c21.json")), "run.html")

The page itself is `viewer.html` beside this file: it works from `file://`, asks the network for
nothing and holds the trace as data that cannot run. It contains what was recorded, inputs and
outputs included, so the file is written for its owner's eyes only. Sections, in order: columns,
blocks of data, filling the page, writing it, serving a run while it goes on.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import itertools
import json
import os
import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from logtracer import Edge, LogtracerError, Node, NodeStatus, TraceGraph

from ..facts import EPOCH, MICROSECOND, Moments, error_text, links_of, models_of, usage_of

__all__ = [
    "ComparedRow",
    "PageError",
    "comparison_page",
    "encode_json",
    "fill_template",
    "plain_element",
    "trace_page",
    "write_page",
]


class PageError(LogtracerError, ValueError):
    """A page cannot be made or written; the message says why and what to do."""


# ---- Columns: a trace as the page's script wants it ---------------------------------------------

_FORMAT_VERSION = 2
_MOST_NODES = 1_000_000  # what a browser still opens in a few seconds
_COMPLETED = NodeStatus.COMPLETED
_CODES = {
    _COMPLETED: 0,
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
_TEXT_COLUMNS = ("lane", "model", "answeredBy")
_NUMBER_COLUMNS = ("tokensIn", "tokensOut", "cached", "cost")
_FACT_COLUMNS = (*_TEXT_COLUMNS, *_NUMBER_COLUMNS[:3])
_PLAIN_ID = re.compile("(?:[0-9a-f]{2}){1,32}")
_Columns = dict[str, list[Any]]
_Strings = dict[str, int]  # each distinct text and its number; the empty one has 0


@dataclass(slots=True)
class _Run:
    """A trace to be shown: its nodes, parents before their children, and when it ran."""

    trace: TraceGraph
    nodes: list[Node]
    edges: list[Edge]
    costs: Mapping[str, float | None]
    moments: Moments
    parents: list[int]
    lane_prefix: str = ""

    @property
    def wall(self) -> int:
        """How long the run took, in microseconds."""
        end = self.trace.end_time
        return self.moments.last if end is None else (end - self.moments.origin) // MICROSECOND


def _run(
    trace: TraceGraph,
    edges: Iterable[Edge] | None = None,
    costs: Mapping[str, float | None] | None = None,
    lane_prefix: str = "",
) -> _Run:
    nodes = [node for _, node in trace.walk()]
    shown = list(trace.edges if edges is None else edges)
    moments = Moments(trace)
    return _Run(trace, nodes, shown, costs or {}, moments, _parents(nodes), lane_prefix)


def _columns(run: _Run, strings: _Strings) -> _Columns:
    """Return the columns of a run."""
    nodes = run.nodes
    starts, durations = _times(run)
    columns: _Columns = {
        "parent": [place - at if at >= 0 else 0 for place, at in enumerate(run.parents)],
        "start": _gaps(starts, durations, run.parents),
        "duration": durations,
        "status": [0 if node.status is _COMPLETED else _CODES[node.status] for node in nodes],
        "type": _numbered(strings, (str(node.node_type) for node in nodes)),
        "name": _numbered(strings, (node.name for node in nodes)),
        "error": _numbered(strings, map(_error_line, nodes)),
        "cost": [_number(run.costs.get(node.id)) for node in nodes] if run.costs else [],
    }
    facts = [_facts(node) if node.metadata else _NO_FACTS for node in nodes]
    for name, column in zip(_FACT_COLUMNS, zip(*facts)):
        columns[name] = _numbered(strings, column) if name in _TEXT_COLUMNS else list(column)
    return columns


def _telling(columns: _Columns) -> _Columns:
    """Leave out the columns in which nothing was recorded; the page knows what they hold."""
    return {name: column for name, column in columns.items() if set(column) - {_absent(name)}}


def _absent(column: str) -> int:
    """Return the value of a node of which a column knows nothing."""
    return _UNKNOWN if column in _NUMBER_COLUMNS else 0


def _numbered(strings: _Strings, texts: Iterable[str]) -> list[int]:
    """Return the number of each text; a new one gets the next."""
    return [strings.setdefault(text, len(strings)) for text in texts]


def _number(value: object) -> float:
    """Return a count or a cost; anything but a plain number of 0 or more was not recorded."""
    if type(value) is int or type(value) is float:
        return value if 0 <= value < _LARGEST else _UNKNOWN
    return _UNKNOWN


def _facts(node: Node) -> tuple[str, str, str, float, float, float]:
    """Return what the metadata of a node says, in the order of _FACT_COLUMNS."""
    lane, usage = node.metadata.get("lane"), usage_of(node)
    models = [*models_of(node), "", ""]
    known = [node.metadata.get(f"gen_ai.usage.{name}") for name in _COUNTS]
    asked, wrote, cached = (type(count) in (int, float) for count in known)
    return (
        str(lane) if type(lane) in (str, int) else "",
        models[0],
        models[1] if models[1] != models[0] else "",
        _number(usage.input) if usage and asked else _UNKNOWN,
        _number(usage.output) if usage and wrote else _UNKNOWN,
        _number(usage.cache_read) if usage and cached else _UNKNOWN,
    )


_COUNTS = ("input_tokens", "output_tokens", "cache_read.input_tokens")
_NO_FACTS = _facts(Node())


def _parents(nodes: list[Node]) -> list[int]:
    index: dict[str, int] = {}
    parents = []
    for place, node in enumerate(nodes):
        # A parent that comes later closes a circle; it is cut here, as walk() cuts it.
        parents.append(_NO_PARENT if node.parent_id is None else index.get(node.parent_id, -1))
        index[node.id] = place
    return parents


def _times(run: _Run) -> tuple[list[int], list[int]]:
    """Return when each node started and how long it took, in microseconds of the run."""
    times = [run.moments.of(node) for node in run.nodes]
    durations = [
        _UNKNOWN if node.end_time is None else end - start
        for node, (start, end) in zip(run.nodes, times)
    ]
    return [start for start, _ in times], durations


def _gaps(starts: list[int], durations: list[int], parents: list[int]) -> list[int]:
    """Return how long after its elder sibling's end, or its parent's start, each node started.

    These are small numbers, which pack to half of what the times themselves do.
    """
    gaps = []
    expected = list(starts)  # by node: when its next child would follow
    for place, parent in enumerate(parents):
        start = starts[place]
        if parent == _NO_PARENT:
            gaps.append(start)
        else:
            gaps.append(start - expected[parent])
            expected[parent] = start + max(0, durations[place])
    return gaps


def _error_line(node: Node) -> str:
    line = error_text(node)
    return line if len(line) <= _LONGEST_ERROR else line[: _LONGEST_ERROR - 1] + "…"


def _edges(run: _Run, strings: _Strings) -> list[int]:
    """Return source, target, kind and label of each edge that the tree does not show already."""
    index = {node.id: place for place, node in enumerate(run.nodes)}
    flat: list[int] = []
    for edge in links_of(run.trace, run.edges):
        ends = index[edge.source_id], index[edge.target_id]
        flat += *ends, *_numbered(strings, (str(edge.edge_type), edge.label))
    return flat


# ---- Blocks: JSON that cannot end its element, or packed ----------------------------------------

_PACKED_FROM = 256 * 1024  # characters of all blocks; below, a reader can look at the JSON
_BLOCK_NODES = 2_048
_BLOCK_SIZE = 8_000_000  # characters: the page refuses blocks of more than 64 MB
_LARGEST_DETAIL = 16_000_000  # characters of one node
_ESCAPES = str.maketrans(
    {"&": "\\u0026", "<": "\\u003c", ">": "\\u003e", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)
encode_json = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=repr
).encode


# Attributes that a column holds, and which: the page puts them back into the details.
_TOLD = {
    "gen_ai.usage.input_tokens": "tokensIn",
    "gen_ai.usage.output_tokens": "tokensOut",
    "gen_ai.usage.cache_read.input_tokens": "cached",
}


def _detail(node: Node, with_values: bool, place: int, columns: _Columns) -> dict[str, Any]:
    """Return what only the detail panel shows of a node, without what is empty."""
    detail: dict[str, Any] = {}
    if with_values and node.input_data:
        detail["input_data"] = node.input_data
    if with_values and node.output_data:
        detail["output_data"] = node.output_data
    if node.annotations:
        detail["annotations"] = node.annotations
    if node.metadata and (metadata := _untold(node.metadata, place, columns)):
        detail["metadata"] = metadata
    if node.error or node.error_type:
        facts = ("error", "error_type", "error_traceback")
        detail.update((name, value) for name in facts if (value := getattr(node, name)))
    return detail


def _untold(metadata: dict[str, Any], place: int, columns: _Columns) -> dict[str, Any]:
    return {
        key: value
        for key, value in metadata.items()
        if key not in _TOLD or not _is_told(columns.get(_TOLD[key]), place, value)
    }


def _is_told(column: list[Any] | None, place: int, value: object) -> bool:
    return column is not None and type(value) is int and column[place] == value


def _blocks(nodes: list[Node], with_values: bool, columns: _Columns) -> Iterator[tuple[int, str]]:
    """Yield the details of nodes as JSON lists that are read one at a time, with their lengths."""
    for first in range(0, len(nodes), _BLOCK_NODES):
        details = [
            _detail(node, with_values, place, columns)
            for place, node in enumerate(nodes[first : first + _BLOCK_NODES], first)
        ]
        text = _encoded(details)
        if text is not None and len(text) <= _BLOCK_SIZE:
            yield len(details), text
        else:
            yield from _small_blocks(map(_line, details))


def _small_blocks(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Group the JSON of nodes so that no block is too large for the page to unpack."""
    block: list[str] = []
    for line in lines:
        if block and sum(map(len, block)) + len(line) > _BLOCK_SIZE:
            yield len(block), f"[{','.join(block)}]"
            block = []
        block.append(line)
    yield len(block), f"[{','.join(block)}]"


def _line(detail: dict[str, Any]) -> str:
    line = _encoded(detail)
    if line is None:
        line = encode_json({"problem": "its values are not JSON data"})
    if len(line) > _LARGEST_DETAIL:
        line = encode_json({"problem": f"{len(line):,} characters are too many for a page"})
    return line


def _encoded(value: object) -> str | None:
    try:
        return encode_json(value)
    except (ValueError, RecursionError):  # nodes made by hand may hold NaN, or themselves
        return None


def _elements(blocks: dict[str, str]) -> str:
    """Return the script elements that carry the blocks; none of them can run."""
    is_packed = sum(map(len, blocks.values())) > _PACKED_FROM
    element = _packed_element if is_packed else plain_element
    return "\n".join(element(f"logtracer-{name}", text) for name, text in blocks.items())


def plain_element(name: str, text: str) -> str:
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
    run = _run(trace, edges, costs)
    return _page([run], _head(run, _columns(run, strings := {"": 0}), strings), with_values)


class ComparedRow(Protocol):
    """A step of two runs that were compared, as `logtracer_extras.diff` gives it."""

    @property
    def before(self) -> Node | None:
        """The step in the earlier run."""

    @property
    def after(self) -> Node | None:
        """The step in the later run."""

    @property
    def change(self) -> Any:
        """What differs (`kind`, and `fields` that have a `to_dict`), None when nothing does."""


def comparison_page(
    before: TraceGraph,
    after: TraceGraph,
    rows: Iterable[ComparedRow],
    *,
    costs: Mapping[str, float | None] | None = None,
    with_values: bool = True,
) -> str:
    """Return the page that shows two runs, the later over the earlier, and what differs.

    `rows` are those of `logtracer_extras.diff.diff(before, after)`, so that page and terminal
    agree. Raises PageError when both together have more nodes than a page can hold.
    """
    compared = list(rows)
    runs = [_run(before, costs=costs), _run(after, costs=costs)]
    head = _joined_head(runs)
    indexes = [
        {node.id: first + place for place, node in enumerate(run.nodes)}
        for first, run in zip((0, len(runs[0].nodes)), runs)
    ]
    head["comparison"] = {
        "secondRun": len(runs[0].nodes),
        "rows": [
            [
                indexes[0].get(row.before.id, -1) if row.before else -1,
                indexes[1].get(row.after.id, -1) if row.after else -1,
                _word(row),
            ]
            for row in compared
        ],
    }
    changed = {
        str(number): [each.to_dict() for each in row.change.fields]
        for number, row in enumerate(compared)
        if row.change is not None and with_values
    }
    return _page(runs, head, with_values, {"changes": _encoded(changed) or "{}"})


def _word(row: ComparedRow) -> str:
    """Say in a word how a step differs; inside an added or removed branch only the top says it."""
    if row.change is not None:
        return str(row.change.kind)
    if row.before is None:
        return "added"
    return "removed" if row.after is None else "same"


def _joined_head(runs: list[_Run]) -> dict[str, Any]:
    """Return one head for two runs, the nodes of the second behind those of the first."""
    strings: _Strings = {"": 0}
    first, second = (_columns(run, strings) for run in runs)
    offset = len(runs[0].nodes)
    head = _head(runs[1], {}, strings)
    edges = _edges(runs[0], strings)
    for at in range(0, len(head["edges"]), 4):
        source, target, kind, label = head["edges"][at : at + 4]
        edges += source + offset, target + offset, kind, label
    count = len(runs[1].nodes)
    joined = {name: _padded(first, name, offset) + _padded(second, name, count) for name in second}
    names = [run.trace.name or "trace" for run in runs]
    return head | {
        "name": names[1] if names[0] == names[1] else " → ".join(names),
        "wall": max(run.wall for run in runs),
        "notes": [f"{name}: {note}" for name, run in zip("AB", runs) for note in _notes(run)],
        "count": offset + len(runs[1].nodes),
        "strings": list(strings),
        "columns": _telling(joined),
        "edges": edges,
    }


def _padded(columns: _Columns, name: str, count: int) -> list[Any]:
    """Return a column that is as long as there are nodes."""
    return columns.get(name) or [_absent(name)] * count


def _page(
    runs: list[_Run],
    head: dict[str, Any],
    with_values: bool,
    extra_blocks: Mapping[str, str] | None = None,
) -> str:
    nodes = [node for run in runs for node in run.nodes]
    if len(nodes) > _MOST_NODES:
        raise PageError(
            f"the trace has {len(nodes):,} nodes; a page holds {_MOST_NODES:,}. Show a part of it"
        )
    sizes, details = zip(*_blocks(nodes, with_values, head["columns"])) if nodes else ((), ())
    head["hasValues"] = with_values
    head["blocks"] = [0, *itertools.accumulate(sizes)][:-1]
    head["idLength"] = _common_length(node.id for node in nodes)
    blocks = {"head": encode_json(head), "ids": _ids(nodes, head["idLength"])}
    blocks |= {f"details-{number}": block for number, block in enumerate(details)}
    blocks |= extra_blocks or {}
    summary = "".join(_summary(run) for run in runs)
    return fill_template(runs[-1].trace.name or "trace", summary, _elements(blocks))


def _head(run: _Run, columns: _Columns, strings: _Strings) -> dict[str, Any]:
    """Return what the page reads first: all that its first picture needs."""
    trace = run.trace
    edges = _edges(run, strings)
    return {
        "version": _FORMAT_VERSION,
        "name": trace.name,
        "traceId": trace.trace_id,
        "started": None if run.moments.origin is EPOCH else run.moments.origin.isoformat(),
        "wall": run.wall,
        "metadata": trace.metadata if _encoded(trace.metadata) else {},
        "notes": _notes(run),
        "count": len(run.nodes),
        "strings": list(strings),
        "columns": _telling(columns),
        "edges": edges,
    }


def _ids(nodes: list[Node], length: int) -> str:
    """Return the ids: where they are all of one length, as base64 of their bytes.

    They are random and by far what packs worst, so every bit counts.
    """
    ids = [node.id for node in nodes]
    return base64.b64encode(bytes.fromhex("".join(ids))).decode() if length else encode_json(ids)


def _common_length(ids: Iterable[str]) -> int:
    """Return the length of all ids, 0 when they differ or are not plain hexadecimal."""
    lengths = {len(each) if _PLAIN_ID.fullmatch(each) else 0 for each in ids}
    return lengths.pop() if len(lengths) == 1 else 0


def _notes(run: _Run) -> list[str]:
    """Return what a reader should know before trusting the picture."""
    lost = sum(1 for parent in run.parents if parent == _NO_PARENT)
    orphans = lost - sum(1 for node in run.nodes if node.parent_id is None)
    if not orphans:
        return []
    steps = "1 node names" if orphans == 1 else f"{orphans:,} nodes name"
    return [f"{steps} a parent that is not in the trace, and stands without one."]


def _summary(run: _Run) -> str:
    """Return what a reader without JavaScript sees."""
    failed = run.trace.failed_nodes
    lines = [
        f"{run.trace.name or 'trace'} {run.trace.trace_id}",
        f"{len(run.nodes):,} nodes, {len(failed):,} failed, {run.wall / 1e6:.2f} s",
        *(f"failed: {node.name}: {_error_line(node)}" for node in failed[:20]),
        "This page shows the run with JavaScript, which is switched off here.",
    ]
    return "".join(f"<p>{_shown(line)}</p>" for line in lines)


def _shown(text: str) -> str:
    """Return text for the page's own markup: inert, and with what would not show spelled out."""
    return html.escape("".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text))


def fill_template(title: str, summary: str, data: str) -> str:
    """Put the parts into the page at their marks; nothing in them is looked at for marks."""
    parts = {"title": _shown(f"{title} · logtracer"), "summary": summary, "data": data}
    rest = _secured(_template())
    filled: list[str] = []
    for mark in _MARKS:
        before, _, rest = rest.partition(f"<!--logtracer:{mark}-->")
        filled += before, parts[mark]
    return "".join([*filled, rest])


def _template() -> str:
    data = pkgutil.get_data(__package__, "viewer.html")
    if data is None:
        raise PageError("viewer.html is missing beside page.py; copy it there")
    return data.decode("utf-8").replace("\r\n", "\n")  # another line end is another hash


def _secured(page: str) -> str:
    """Pack the page's scripts, and allow them and the style by their hashes, and nothing else."""
    code = "\n".join(_between(page, f'<script id="{name}">', "</script>") for name in _CODE)
    boot = _between(page, '<script id="boot">', "</script>")
    before, _, rest = page.partition('<script id="boot">')
    page = (
        f"{before}{_packed_element('logtracer-code', code)}\n"
        f'<script id="boot">{boot}</script>{rest.rpartition("</script>")[2]}'
    )
    scripts = f"script-src {_hash(boot)} {_hash(code)}"
    style = f"style-src {_hash(_between(page, '<style>', '</style>'))}"
    page = page.replace("script-src 'unsafe-inline'", scripts, 1)
    return page.replace("style-src 'unsafe-inline'", style, 1)


_CODE = ("core", "ui")


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
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        error.filename = target  # the name that the caller knows
        raise
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
