"""Traces for the tests of what leaves logtracer: any trace at all, and one with everything."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from logtracer import Edge, EdgeType, Node, NodeStatus, NodeType, TraceGraph, trace_to_json
from logtracer_extras.testing import TraceBuilder

START = datetime(2026, 11, 22, 18, 0, tzinfo=timezone.utc)
TOKENS = {
    "gen_ai.usage.input_tokens": 120,
    "gen_ai.usage.output_tokens": 30,
    "gen_ai.usage.cache_read.input_tokens": 64,
    "gen_ai.usage.cache_creation.input_tokens": 16,
    "gen_ai.usage.reasoning.output_tokens": 8,
}


def everything() -> TraceGraph:
    """Return a trace with every node type, edge type, status and kind of token."""
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    builder = TraceBuilder("everything", trace_id=trace_id, start=START, end=60)
    trace = builder.trace
    trace.metadata = {"session_id": "session-1", "user_id": "user-1", "tags": ["a", "b"]}
    kinds = [(f"a {node_type}", node_type.value, "completed") for node_type in NodeType]
    kinds += [(f"{status} step", "tool_call", status.value) for status in NodeStatus]
    for number, (name, node_type, status) in enumerate(kinds, 1):
        builder.node(name, node_type, status=status, start=number, end=number + 1)
    nodes = list(trace.nodes.values())
    for position, edge_type in enumerate(EdgeType):
        edge = builder.link(nodes[position + 1], nodes[position + 2], edge_type, "why")
        edge.metadata = {"weight": 0.5}
    _fill(trace, nodes)
    return trace


HOSTILE = 'a "quoted" <b>\n--> ]] %% #quot; | ` \\ ;end\nsubgraph x[ &amp; \\"'


def hostile() -> TraceGraph:
    """Return a trace with everything, each name of which means something to some viewer."""
    trace = everything()
    for node in trace.nodes.values():
        node.name = HOSTILE
    trace.add_edge(Edge(f"{1:016x}", f"{2:016x}", HOSTILE, HOSTILE))
    return trace


def _fill(trace: TraceGraph, nodes: list[Node]) -> None:
    by_type = {node.node_type: node for node in reversed(nodes)}
    call = by_type["llm_call"]
    call.metadata = {
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.temperature": 0.2,
        "gen_ai.response.finish_reasons": ["stop"],
        **TOKENS,
    }
    call.input_data = {"messages": [{"role": "user", "content": "How warm is it in Zürich?"}]}
    function = {"name": "weather", "arguments": '{"city": "Zürich"}'}
    asked = {"role": "assistant", "tool_calls": [{"id": "c1", "function": function}]}
    call.output_data = {"messages": [asked]}
    by_type["tool_call"].input_data = {"city": "Zürich"}
    by_type["retrieval"].input_data = {"query": "weather"}
    by_type["retrieval"].output_data = {"documents": [{"id": "d1", "content": "8°", "score": 0.9}]}
    by_type["decision"].annotations = ["the tool is cheaper", "and exact"]
    for node in trace.failed_nodes:
        node.error, node.error_type = "timed out", "TimeoutError"
        node.error_traceback = "Traceback (most recent call last): ..."


def document(trace: TraceGraph) -> dict[str, Any]:
    """Return a trace as data, its edges in an order of their own."""
    data: dict[str, Any] = json.loads(trace_to_json(trace))
    data["edges"] = sorted(data["edges"], key=json.dumps)
    return data


# ---- Any trace at all ----------------------------------------------------------------------------

TEXT = st.text(st.characters(codec="utf-8") | st.sampled_from("\x00\n\"\\'<>&é\u2028"), max_size=8)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats(allow_nan=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
).filter(lambda value: value not in (float("inf"), float("-inf")))
FACTS = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.integers(0, 1 << 40) for name in TOKENS},
        "gen_ai.provider.name": TEXT,
        "gen_ai.request.model": TEXT,
        "gen_ai.request.temperature": st.floats(0, 2),
        "gen_ai.operation.name": st.sampled_from(["chat", "embeddings"]),
        "gen_ai.tool.name": JSON,
        "input.value": JSON,
        "logtracer.metadata": JSON,
        "llm.model_name": TEXT,
        "error.type": TEXT,
        "tag.tags": JSON,
        "lane": st.integers(0, 3),
    },
)


@st.composite
def nodes(draw: st.DrawFn, number: int, earlier: list[Node], plain: bool) -> Node:
    """Return a node below one of the earlier ones."""
    node_id = (
        f"{number + 1:016x}"
        if plain
        else draw(st.sampled_from([f"{number + 1:016x}", f"n{number}"]))
    )
    node = Node(
        node_id, number, draw(TEXT), draw(st.sampled_from([*map(str, NodeType), "trace", "x"]))
    )
    if earlier:
        parent = draw(st.sampled_from(earlier))
        node.parent_id, node.depth = parent.id, parent.depth + 1
    node.start_time = START + timedelta(microseconds=number * 1_000 + draw(st.integers(0, 999)))
    node.status = draw(st.sampled_from(list(NodeStatus)))
    node.end_time = node.start_time + timedelta(microseconds=draw(st.integers(0, 1 << 40)))
    if plain:
        node.metadata = draw(st.fixed_dictionaries({name: st.integers(0, 9999) for name in TOKENS}))
        return node
    node.end_time = draw(st.sampled_from([node.end_time, None]))
    node.input_data = draw(st.dictionaries(TEXT, JSON, max_size=2))
    node.output_data = draw(st.dictionaries(TEXT, JSON, max_size=2))
    node.annotations = draw(st.lists(TEXT, max_size=2))
    node.metadata = {**draw(st.dictionaries(TEXT, JSON, max_size=2)), **draw(FACTS)}
    for field in ("error", "error_type", "error_traceback"):
        setattr(node, field, draw(st.none() | TEXT))
    return node


@st.composite
def traces(draw: st.DrawFn, plain: bool = False) -> TraceGraph:
    """Return any trace as a tracer could have recorded it; a plain one has no odd facts."""
    trace = TraceGraph(trace_id="ab" * 16 if plain else draw(st.sampled_from(["ab" * 16, "run_7"])))
    trace.name = draw(TEXT)
    for number in range(draw(st.integers(1, 5))):
        node = draw(nodes(number, list(trace.nodes.values()), plain))
        trace.add_node(node)
        if node.parent_id is not None:
            trace.add_edge(Edge(node.parent_id, node.id))
    ids = list(trace.nodes)
    for _ in range(draw(st.integers(0, 3))):
        trace.add_edge(draw(_edges(ids, plain)))
    trace.start_time = next(iter(trace.nodes.values())).start_time
    if not plain:
        trace.end_time = draw(st.sampled_from([None, START + timedelta(days=1)]))
        trace.metadata = draw(st.dictionaries(TEXT, JSON, max_size=2))
    return trace


def _edges(ids: list[str], plain: bool) -> st.SearchStrategy[Edge]:
    words = st.sampled_from(list(EdgeType)) if plain else st.sampled_from([*EdgeType, "odd", ""])
    labels: Any = st.just("") if plain else TEXT
    facts: Any = st.just({}) if plain else st.dictionaries(TEXT, JSON, max_size=1)
    return st.builds(Edge, st.sampled_from(ids), st.sampled_from(ids), words, labels, facts)
