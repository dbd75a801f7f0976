"""From nodes to spans of OTLP."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from logtracer import Edge, EdgeType, Node, NodeStatus, TraceGraph

from ..conventions.values import to_json, well_formed
from ..conventions.writing import attributes_of

__all__ = ["spans_of"]


_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LATEST = (1 << 63) - 1  # nanoseconds; some receivers read them as signed

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
