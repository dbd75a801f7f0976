"""Write a trace for other people's viewers: Perfetto, speedscope, Mermaid, Graphviz, a spreadsheet.

    from logtracer_extras.formats import to_chrome

    Path("run.trace.json").write_text(to_chrome(trace), encoding="utf-8")

Each function takes a trace and returns text. `FORMATS` lists them with the endings of file names
that the viewers expect.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from heapq import heappop, heappush
from typing import Any, NamedTuple

from logtracer import Edge, Node, NodeStatus, TraceGraph, __version__, trace_to_json

from .conventions.atif import document_of
from .conventions.values import to_json, well_formed
from .facts import Moments, links_of

__all__ = [
    "FORMATS",
    "Format",
    "to_atif",
    "to_chrome",
    "to_csv",
    "to_dot",
    "to_html",
    "to_mermaid",
    "to_otlp",
    "to_speedscope",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)

# ---- Slices: nodes as spans of time, in lanes where they nest ------------------------------------


@dataclass(slots=True)
class _Slice:
    """A node's time in microseconds since the start of the trace, and the lane it is drawn in."""

    node: Node
    start: int
    end: int
    lane: int = 0


def _slices(trace: TraceGraph) -> list[_Slice]:
    """Return every node as a slice; within one lane each lies inside or outside each other."""
    slices = list(_timed(trace))
    slices.sort(key=lambda one: (one.start, -one.end, one.node.depth))
    _assign_lanes(slices)
    return slices


def _timed(trace: TraceGraph) -> Iterator[_Slice]:
    """Give every node a start and an end."""
    moments = Moments(trace)
    for _, node in trace.walk():
        yield _Slice(node, *moments.of(node))


def _assign_lanes(slices: Iterable[_Slice]) -> None:
    """Put each slice below its parent where it fits, else into a lane that is free, else a new one.

    A viewer drops a slice that overlaps another one in its lane.
    """
    stacks: list[list[_Slice]] = []  # what is open in each lane, outermost first
    lanes: dict[str, int] = {}
    free: list[int] = []
    busy: list[tuple[int, int]] = []  # (end, lane) of the outermost slices
    for one in slices:
        while busy and busy[0][0] <= one.start:
            heappush(free, heappop(busy)[1])
        lane = lanes.get(one.node.parent_id or "", -1)
        if lane < 0 or not _fits(stacks[lane], one):
            lane = heappop(free) if free else len(stacks)
            if lane == len(stacks):
                stacks.append([])
            stacks[lane].clear()
            heappush(busy, (one.end, lane))
        stacks[lane].append(one)
        one.lane = lanes[one.node.id] = lane


def _fits(stack: list[_Slice], one: _Slice) -> bool:
    """Tell whether a slice lies within its parent, with no sibling in the way."""
    while stack and stack[-1].end <= one.start and stack[-1].node.id != one.node.parent_id:
        stack.pop()
    return bool(stack) and stack[-1].node.id == one.node.parent_id and one.end <= stack[-1].end


# ---- Chrome trace: Perfetto, chrome://tracing, Firefox Profiler ----------------------------------


def to_chrome(trace: TraceGraph) -> str:
    """Return a Chrome trace: slices that nest, an arrow for every edge that is not the tree's.

    Name the file `*.trace.json`: speedscope takes `*.chrome.json` for another format.
    """
    slices = _slices(trace)
    by_id = {one.node.id: one for one in slices}
    events = [*_lane_names(trace, slices), *map(_slice_event, slices), *_flow_events(trace, by_id)]
    document = {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {"trace_id": trace.trace_id, "exporter": f"logtracer {__version__}"},
    }
    return to_json(document)


def _lane_names(trace: TraceGraph, slices: list[_Slice]) -> Iterator[dict[str, Any]]:
    yield _named("process_name", 0, {"name": trace.name or trace.trace_id})
    for lane in range(max((one.lane + 1 for one in slices), default=0)):
        yield _named("thread_name", lane + 1, {"name": f"lane {lane + 1}"})
        yield _named("thread_sort_index", lane + 1, {"sort_index": lane})


def _named(what: str, thread: int, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": 1, "tid": thread, "ts": 0, "args": arguments}


def _slice_event(one: _Slice) -> dict[str, Any]:
    event = {
        "ph": "X",
        "name": one.node.name or one.node.node_type,
        "cat": str(one.node.node_type),
        "pid": 1,
        "tid": one.lane + 1,
        "ts": one.start,
        "dur": one.end - one.start,
        "args": _facts(one.node),
    }
    if one.node.status == NodeStatus.FAILED:
        event["cname"] = "terrible"  # the viewer's word for red
    return event


def _facts(node: Node) -> dict[str, Any]:
    facts = {
        "id": node.id,
        "status": node.status,
        "input": node.input_data,
        "output": node.output_data,
        "annotations": node.annotations,
        "error": node.error,
        "error_type": node.error_type,
        "metadata": node.metadata,
    }
    return {name: value for name, value in facts.items() if value not in (None, {}, [])}


def _flow_events(trace: TraceGraph, by_id: Mapping[str, _Slice]) -> Iterator[dict[str, Any]]:
    for number, edge in enumerate(links_of(trace), 1):
        shared = {"id": number, "name": str(edge.edge_type), "cat": "edge", "pid": 1}
        for phase, one in (("s", by_id[edge.source_id]), ("f", by_id[edge.target_id])):
            event = {"ph": phase, **shared, "tid": one.lane + 1, "ts": one.start}
            yield {**event, "bp": "e"} if phase == "f" else event  # ends at the slice around it


# ---- speedscope ----------------------------------------------------------------------------------


def to_speedscope(trace: TraceGraph) -> str:
    """Return a speedscope file: one profile for each lane."""
    lanes: dict[int, list[_Slice]] = {}
    for one in _slices(trace):
        lanes.setdefault(one.lane, []).append(one)
    frames: dict[str, int] = {}
    name = trace.name or trace.trace_id
    profiles = [_profile(f"{name}, lane {lane + 1}", lanes[lane], frames) for lane in sorted(lanes)]
    document = {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "name": name,
        "exporter": f"logtracer@{__version__}",
        "activeProfileIndex": 0,
        "shared": {"frames": [{"name": frame} for frame in frames]},
        "profiles": profiles,
    }
    return to_json(document)


def _profile(name: str, slices: list[_Slice], frames: dict[str, int]) -> dict[str, Any]:
    events = list(_open_and_close(slices, frames))
    return {
        "type": "evented",
        "name": name,
        "unit": "microseconds",
        "startValue": events[0]["at"],
        "endValue": events[-1]["at"],
        "events": events,
    }


def _open_and_close(slices: list[_Slice], frames: dict[str, int]) -> Iterator[dict[str, Any]]:
    opened: list[tuple[int, int]] = []  # (end, frame), outermost first
    for one in slices:
        yield from _closing(opened, one.start)
        frame = frames.setdefault(f"[{one.node.node_type}] {one.node.name}", len(frames))
        opened.append((one.end, frame))
        yield {"type": "O", "frame": frame, "at": one.start}
    yield from _closing(opened, None)


def _closing(opened: list[tuple[int, int]], until: int | None) -> Iterator[dict[str, Any]]:
    while opened and (until is None or opened[-1][0] <= until):
        end, frame = opened.pop()
        yield {"type": "C", "frame": frame, "at": end}


# ---- Graphs: Mermaid and Graphviz ----------------------------------------------------------------

_MAX_LABEL = 80  # characters; a longer one makes the drawing unreadable


def to_mermaid(trace: TraceGraph) -> str:
    """Return a Mermaid flowchart: solid arrows for the tree, dotted ones for other edges.

    Mermaid itself draws no more than 500 edges unless its `maxEdges` is raised.
    """
    names = {node_id: f"n{number}" for number, node_id in enumerate(trace.nodes)}
    lines = ["flowchart TD"]
    for node in trace.nodes.values():
        style = ":::failed" if node.status == NodeStatus.FAILED else ""
        lines.append(f'    {names[node.id]}["{_mermaid_text(_label(node))}"]{style}')
    for node in trace.nodes.values():
        if node.parent_id in names:
            lines.append(f"    {names[node.parent_id]} --> {names[node.id]}")
    for edge in links_of(trace):
        text = _mermaid_text(_edge_label(edge))
        lines.append(f'    {names[edge.source_id]} -. "{text}" .-> {names[edge.target_id]}')
    lines.append("    classDef failed fill:#fdd,stroke:#c00")
    return "\n".join(lines) + "\n"


def _label(node: Node) -> str:
    text = f"[{node.node_type}] {node.name}"
    return text if len(text) <= _MAX_LABEL else text[: _MAX_LABEL - 3] + "..."


def _edge_label(edge: Edge) -> str:
    return f"{edge.edge_type}: {edge.label}" if edge.label else str(edge.edge_type) or "edge"


def _mermaid_text(text: str) -> str:
    """Spell every character that could mean something as its code: Mermaid has many."""
    return "".join(map(_mermaid_character, well_formed(text)))


def _mermaid_character(character: str) -> str:
    if character.isalnum() or character in " _.,":
        return character
    return f"#{ord(character)};" if character.isprintable() else " "


def to_dot(trace: TraceGraph) -> str:
    """Return a Graphviz digraph: solid arrows for the tree, dashed ones for other edges."""
    lines = [f"digraph {_dot_text(trace.name or 'trace')} {{", "    node [shape=box];"]
    for node in trace.nodes.values():
        style = ", color=red" if node.status == NodeStatus.FAILED else ""
        lines.append(f"    {_dot_text(node.id)} [label={_dot_text(_label(node))}{style}];")
    for node in trace.nodes.values():
        if node.parent_id in trace.nodes:
            lines.append(f"    {_dot_text(node.parent_id)} -> {_dot_text(node.id)};")
    for edge in links_of(trace):
        ends = f"{_dot_text(edge.source_id)} -> {_dot_text(edge.target_id)}"
        lines.append(f"    {ends} [style=dashed, label={_dot_text(_edge_label(edge))}];")
    lines.append("}")
    return "\n".join(lines) + "\n"


def _dot_text(text: str) -> str:
    """Return a quoted text. Graphviz reads `&...;` as a character even within quotes."""
    plain = "".join(one if one.isprintable() else " " for one in well_formed(text))
    escaped = plain.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


# ---- A table -------------------------------------------------------------------------------------

_FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")  # a spreadsheet runs a cell that begins so
_COLUMNS = (
    "trace_id",
    "id",
    "parent_id",
    "level",
    "name",
    "node_type",
    "status",
    "start_time",
    "end_time",
    "duration_ms",
    "model",
    "input_tokens",
    "output_tokens",
    "error_type",
    "error",
    "input",
    "output",
    "annotations",
    "metadata",
)


def to_csv(trace: TraceGraph, *, formulas: bool = False) -> str:
    """Return a table with a row for every node, parents before children.

    A text that a spreadsheet would run as a formula gets an apostrophe in front; `formulas=True`
    leaves it as it is, for programs that read the file.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for level, node in trace.walk():
        cells = _cells(trace, level, node)
        writer.writerow(cells if formulas else map(_neutral, cells))
    return out.getvalue()


def _cells(trace: TraceGraph, level: int, node: Node) -> list[Any]:
    return [
        trace.trace_id,
        node.id,
        node.parent_id,
        level,
        well_formed(node.name),
        str(node.node_type),
        node.status.value,
        _iso(node.start_time),
        _iso(node.end_time),
        node.duration_ms,
        node.metadata.get("gen_ai.request.model"),
        node.metadata.get("gen_ai.usage.input_tokens"),
        node.metadata.get("gen_ai.usage.output_tokens"),
        node.error_type,
        node.error,
        to_json(node.input_data) if node.input_data else None,
        to_json(node.output_data) if node.output_data else None,
        to_json(node.annotations) if node.annotations else None,
        to_json(node.metadata) if node.metadata else None,
    ]


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="microseconds")


def _neutral(cell: Any) -> Any:
    if isinstance(cell, str):
        cell = well_formed(cell).replace("\x00", "")  # csv readers stop at it
        return f"'{cell}" if _FORMULA.match(cell) else cell
    return cell


# ---- Every format by its name --------------------------------------------------------------------


class Format(NamedTuple):
    """A way to write a trace: the ending of its files, and the function that makes the text."""

    suffix: str
    write: Callable[[TraceGraph], str]


def to_otlp(trace: TraceGraph) -> str:
    """Return OTLP as JSON lines, one export request a line."""
    from .otlp.encoding import encode_requests  # brings an HTTP client: not for a drawing

    return "".join(line.decode() + "\n" for line in encode_requests([trace]))


def to_atif(trace: TraceGraph) -> str:
    """Return an ATIF trajectory, version 1.8, as Harbor and its tools read it."""
    return to_json(document_of(trace))


def to_html(trace: TraceGraph) -> str:
    """Return one self-contained page that shows the trace."""
    from .viewer.page import trace_page  # reads the page's template from the disk

    return trace_page(trace)


FORMATS: dict[str, Format] = {
    "atif": Format(".atif.json", to_atif),
    "chrome": Format(".trace.json", to_chrome),
    "csv": Format(".csv", to_csv),
    "dot": Format(".dot", to_dot),
    "html": Format(".html", to_html),
    "json": Format(".json", trace_to_json),
    "mermaid": Format(".mmd", to_mermaid),
    "otlp": Format(".otlp.jsonl", to_otlp),
    "speedscope": Format(".speedscope.json", to_speedscope),
}
