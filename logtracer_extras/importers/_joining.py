"""From spans to traces: parents, circles, edges, order, what the whole trace says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from logtracer import Edge, EdgeType, Node, NodeStatus, NodeType, TraceGraph

from ..conventions.values import first_of, object_of, objects_in, parse_json
from ._spans import SpanLink, SpanRecord, add_note
from ._values import (
    NO_SPAN,
    SPAN_DIGITS,
    clean_values,
    hashed_id,
    id_of,
    moment_of,
    optional_text,
    text_of,
)

__all__ = ["KINDS", "assemble"]

_FORMAT = "logtracer.import.format"
KINDS = "logtracer.import.kinds"  # what a file held beside traces, counted
_LAST = datetime(9999, 12, 31, tzinfo=timezone.utc)


def assemble(spans: Iterable[SpanRecord]) -> list[TraceGraph]:
    groups: dict[str, list[SpanRecord]] = {}
    for span in spans:
        groups.setdefault(span.trace_id, []).append(span)
    return [_join(group) for group in groups.values()]


def _join(spans: list[SpanRecord]) -> TraceGraph:
    """Build the graph of spans of one trace: all of them, in the order in which they started."""
    _settle_zeros(spans)
    by_id = _name_spans(spans)
    levels = _levels(spans, by_id)
    _count_once(spans, by_id)
    for span in spans:
        _note_oddities(span, by_id)
    ordered = sorted(spans, key=lambda span: _start_order(span, levels))  # equal ones: file order
    is_ours = all(span.own for span in spans)
    trace = TraceGraph(trace_id=spans[0].trace_id)
    for position, span in enumerate(ordered):
        number = span.sequence_number if is_ours else position
        trace.add_node(_node_of(span, number, levels[_key(span)], by_id))
    trace.edges = [*_tree_edges(ordered, by_id), *_link_edges(ordered, by_id)]
    _describe(trace, ordered)
    return trace


def _key(span: SpanRecord) -> str:
    return span.span_id or ""


def _start_order(span: SpanRecord, levels: Mapping[str, int]) -> tuple[datetime, int, int]:
    return span.start or span.order or _LAST, span.sequence_number, levels[_key(span)]


def _settle_zeros(spans: list[SpanRecord]) -> None:
    """Read an id of zeros as none, unless it is the id of one span, which others then mean."""
    meant = [span for span in spans if span.span_id == NO_SPAN]
    only = hashed_id(f"{spans[0].trace_id}/zeros", SPAN_DIGITS) if len(meant) == 1 else None
    for span in spans:
        span.parent_id = only if span.parent_id == NO_SPAN else span.parent_id
        span.span_id = only if span.span_id == NO_SPAN else span.span_id
        if span.parent_id == span.span_id == only:
            span.parent_id = None


def _name_spans(spans: list[SpanRecord]) -> dict[str, SpanRecord]:
    """Give every span an id and a node id that no other has; return the spans by their ids."""
    by_id: dict[str, SpanRecord] = {}
    names: set[str] = set()
    for position, span in enumerate(spans):
        if span.span_id is None or span.span_id in by_id:
            add_note(
                span, f"its id {span.span_id} is used twice" if span.span_id else "it has no id"
            )
            span.span_id = hashed_id(f"{span.trace_id}/{span.span_id}/{position}", SPAN_DIGITS)
        span.node_id = text_of(span.own.get("logtracer.node.id")) or span.span_id
        if span.node_id in names:
            span.node_id = span.span_id
        names.add(span.node_id)
        by_id[span.span_id] = span
    return by_id


def _levels(spans: list[SpanRecord], by_id: Mapping[str, SpanRecord]) -> dict[str, int]:
    """Return how deep each span lies; a circle of parents is cut where it closes."""
    levels: dict[str, int] = {}
    for span in spans:
        path: list[SpanRecord] = []
        above: SpanRecord | None = span
        while above is not None and _key(above) not in levels:
            levels[_key(above)] = -1  # until its own parents are known
            path.append(above)
            above = by_id.get(above.parent_id or "")
        if above is not None and above in path:
            for member in path[path.index(above) :]:
                add_note(member, "its parents form a circle")
        level = -1 if above is None else levels[_key(above)]
        for member in reversed(path):
            level += 1
            levels[_key(member)] = level
    return levels


def _note_oddities(span: SpanRecord, by_id: Mapping[str, SpanRecord]) -> None:
    if span.parent_id is not None and span.parent_id not in by_id:
        add_note(span, f"its parent {span.parent_id} is not in this file")
    if span.status is None and span.start is not None and span.end is None:
        add_note(span, "it has no end")
        span.status = NodeStatus.INTERRUPTED


_USAGE = "gen_ai.usage."
_REPEATED = "logtracer.import.repeated_usage"  # of a step around calls that tell their own
_MODELS = ("gen_ai.request.model", "gen_ai.response.model")
_WRAPPERS = (NodeType.CUSTOM, NodeType.TRANSFORMATION, NodeType.LLM_CALL)
_NEAR = 8  # levels between a call and the span around it that repeats its usage


def _count_once(spans: list[SpanRecord], by_id: Mapping[str, SpanRecord]) -> None:
    """Make a step of a model call around model calls: their tokens are its tokens."""
    calls = [span for span in spans if _is_counted(span)]
    for span in calls:
        above = span
        for _ in range(_NEAR):
            parent = by_id.get(above.parent_id or "")
            if parent is None or parent is span or parent.facts.node_type not in _WRAPPERS:
                break
            above = parent
            if _is_counted(above):
                _move_usage(above)
                break


def _is_counted(span: SpanRecord) -> bool:
    """Tell a call of Langfuse, which calls everything a generation that has a model's name."""
    is_call = span.facts.node_type == NodeType.LLM_CALL and span.format == "langfuse"
    return is_call and any(name.startswith(_USAGE) for name in span.facts.metadata)


def _move_usage(span: SpanRecord) -> None:
    metadata = span.facts.metadata
    names = [name for name in metadata if name.startswith(_USAGE) or name in _MODELS]
    metadata[_REPEATED] = {name: metadata.pop(name) for name in names}
    span.facts.node_type = NodeType.TRANSFORMATION


def _node_of(span: SpanRecord, number: int, level: int, by_id: Mapping[str, SpanRecord]) -> Node:
    parent = by_id.get(span.parent_id or "")
    named = optional_text(span.own.get("logtracer.node.parent_id")) or span.parent_id
    return Node(
        span.node_id,
        number,
        span.name,
        str(span.facts.node_type),
        span.status or NodeStatus.COMPLETED,
        named if parent is None else parent.node_id,
        level,
        span.start,
        span.end,
        span.facts.input_data,
        span.facts.output_data,
        span.facts.annotations,
        span.facts.metadata,
        span.error,
        span.error_type,
        span.error_traceback,
    )


_EDGE_TYPES = {edge_type.value: edge_type for edge_type in EdgeType}
_EDGE_TYPE_NAMES = ("logtracer.edge.type", "edge.type", "opentracing.ref_type")


def _tree_edges(spans: Iterable[SpanRecord], by_id: Mapping[str, SpanRecord]) -> Iterator[Edge]:
    for span in spans:
        parent = by_id.get(span.parent_id or "")
        if parent is not None and parent is not span:
            yield Edge(parent.node_id, span.node_id)


def _link_edges(spans: Iterable[SpanRecord], by_id: Mapping[str, SpanRecord]) -> Iterator[Edge]:
    """Make an edge of each link within the trace; the others are kept in the metadata."""
    for span in spans:
        for link in _own_links(span) or span.links:
            source = by_id.get(link.span_id or "")
            if source is not None and link.trace_id in (None, span.trace_id):
                yield _edge_of(link, source.node_id, span.node_id)
            elif not span.own:
                kept = span.facts.metadata.setdefault("otel.links", [])
                kept.append(_kept_link(link))


def _own_links(span: SpanRecord) -> list[SpanLink]:
    """Return the edges that our exporter repeats in an attribute: some receivers lose links."""
    edges = parse_json(span.own.get("logtracer.edges"))
    return [
        SpanLink(None, id_of(edge.pop("source", None), SPAN_DIGITS), clean_values(edge))
        for edge in (edges if isinstance(edges, list) else [])
        if isinstance(edge, dict)
    ]


def _edge_of(link: SpanLink, source_id: str, target_id: str) -> Edge:
    rest = dict(link.attributes)
    words = [rest.pop(name) for name in _EDGE_TYPE_NAMES if isinstance(rest.get(name), str)]
    word = words[0] if words else "link"
    label = text_of(rest.pop("logtracer.edge.label", ""))
    rest.update(object_of(parse_json(rest.pop("logtracer.edge.metadata", None))))
    return Edge(source_id, target_id, _EDGE_TYPES.get(word, word), label, rest)


def _kept_link(link: SpanLink) -> dict[str, Any]:
    return {"trace_id": link.trace_id, "span_id": link.span_id, "attributes": link.attributes}


_ROOT_TYPES = (NodeType.SUB_AGENT, NodeType.TRANSFORMATION, NodeType.CUSTOM)
_SESSION_NAMES = (
    "session.id",
    "langfuse.session.id",
    "gen_ai.conversation.id",
    "traceloop.association.properties.session_id",
    "ai.telemetry.metadata.sessionId",
)
_USER_NAMES = (
    "user.id",
    "langfuse.user.id",
    "enduser.id",
    "traceloop.association.properties.user_id",
    "ai.telemetry.metadata.userId",
)
_TAG_NAMES = ("tag.tags", "langfuse.trace.tags", "langsmith.tags")


def _describe(trace: TraceGraph, spans: list[SpanRecord]) -> None:
    top = [span for span in spans if span.parent_id is None]
    first = (top or spans)[0]
    trace.name = first.name
    trace.start_time = min((span.start for span in spans if span.start), default=None)
    trace.end_time = max((span.end for span in spans if span.end), default=None)
    header = next((span for span in spans if "logtracer.trace" in span.own), None)
    if header is not None:
        _read_header(trace, object_of(parse_json(header.own["logtracer.trace"])))
        return
    if len(top) == 1 and first.facts.node_type in _ROOT_TYPES and not first.own:
        trace.nodes[first.node_id].node_type = "trace"
    trace.metadata = {_FORMAT: first.format, **first.shared, **_session(first.facts.metadata)}
    for span in spans:
        trace.name = span.about.get("name") or trace.name
        trace.metadata.update(span.about.get("metadata", {}))
        for kind, count in span.kinds.items():
            kinds = trace.metadata.setdefault(KINDS, {})
            kinds[kind] = kinds.get(kind, 0) + count
    for span in spans:
        for key, value in span.shared.items():
            if trace.metadata.get(key) != value:
                trace.nodes[span.node_id].metadata[key] = value


def _read_header(trace: TraceGraph, header: dict[str, Any]) -> None:
    """Take what our exporter says about the whole trace on its first span."""
    trace.trace_id = text_of(header.get("trace_id")) or trace.trace_id
    trace.name = text_of(header.get("name"))
    trace.start_time = moment_of(header.get("start_time"))
    trace.end_time = moment_of(header.get("end_time"))
    trace.metadata = object_of(header.get("metadata"))
    trace.edges += [Edge.from_dict(edge) for edge in objects_in(header.get("edges"), "edges")]


def _session(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return whose trace it is, under the names that our own tracer uses."""
    extra = object_of(object_of(metadata.get("langsmith.extra")).get("metadata"))
    found = {
        "session_id": first_of(metadata, *_SESSION_NAMES)
        or first_of(extra, "session_id", "thread_id", "conversation_id"),
        "user_id": first_of(metadata, *_USER_NAMES) or extra.get("user_id"),
        "tags": first_of(metadata, *_TAG_NAMES),
    }
    return {key: value for key, value in found.items() if value}
