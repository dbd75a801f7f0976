"""A user's program that only type checkers read: what they must know about the public names."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

if sys.version_info >= (3, 11):
    from typing import assert_type
else:
    from typing_extensions import assert_type

from logtracer import (
    Edge,
    EdgeType,
    FileStore,
    MemoryStore,
    Node,
    NodeStatus,
    NodeType,
    Span,
    TraceGraph,
    TraceLoadError,
    Tracer,
    TracerConfig,
    configure,
    current_span,
    get_current_node,
    get_current_trace,
    load_trace,
    propagate_context,
    trace,
    trace_from_json,
    trace_node,
    trace_to_json,
)


@trace_node(node_type=NodeType.TOOL_CALL, capture_args=True)
def fetch(city: str, *, days: int = 1) -> dict[str, int]:
    return {city: days}


@trace_node("ask_model", node_type="llm_call")
async def ask(question: str) -> str:
    return question


@trace_node()
def count(limit: int) -> Iterator[int]:
    yield from range(limit)


@trace_node()
async def stream(text: str) -> AsyncIterator[str]:
    for word in text.split():
        yield word


class Agent:
    @trace_node(node_type=NodeType.SUB_AGENT)
    def run(self, task: str) -> int:
        return len(task)

    @classmethod
    @trace_node()
    def make(cls, count: int) -> list[int]:
        return [count]

    @staticmethod
    @trace_node()
    def measure(text: str) -> int:
        return len(text)


def decorated_functions_keep_their_signatures() -> None:
    assert_type(fetch("Paris", days=2), dict[str, int])
    assert_type(asyncio.run(ask("why?")), str)
    assert_type(list(count(3)), list[int])
    assert_type(Agent().run("tidy up"), int)
    assert_type(Agent.make(2), list[int])
    assert_type(Agent.measure("text"), int)
    bound: Callable[[int], Iterator[int]] = propagate_context(count)
    assert_type(list(bound(3)), list[int])


async def streams_keep_their_items() -> None:
    async for word in stream("a b"):
        assert_type(word, str)


class Shelf:
    """A store of the user's own: three methods and no base class."""

    def __init__(self) -> None:
        self.traces: dict[str, TraceGraph] = {}

    def save(self, trace: TraceGraph) -> None:
        self.traces[trace.trace_id] = trace

    def load(self, trace_id: str) -> TraceGraph | None:
        return self.traces.get(trace_id)

    def list_traces(self) -> list[str]:
        return list(self.traces)


def spans_know_their_types(directory: str) -> None:
    tracer = Tracer(config=TracerConfig(capture_level="full"), storage=FileStore(directory))
    with tracer.trace("run", {"release": "7"}, session_id="s", tags=["demo"]) as root:
        assert_type(root, Span)
        with root.node("step", node_type=NodeType.LLM_CALL) as step:
            assert_type(step, Span)
            step.input(question="why?")
            step.output(answer=["because", 1, None])
            step.metadata(temperature=0.5)
            step.annotate("no doubt")
            step.llm(model="m", provider="p", input_tokens=3, seed=1)
            step.llm("m", cost=0.01)
            step.input({"question": "why?"}, more=1)
            step.output("because")
            step.fail("not in stock")
            step.fail(ValueError("not in stock"))
            step.set_status(NodeStatus.COMPLETED)
        root.link(step, EdgeType.DATA_FLOW, label="question")
        for chunk in root.stream([b"a", b"b"]):
            assert_type(chunk, bytes)
    assert_type(root.id, str)
    assert_type(root.node_record, Node)
    assert_type(root.node_record.duration_ms, "float | None")
    assert_type(root.trace, TraceGraph)


async def spans_are_asynchronous_too(tracer: Tracer) -> None:
    async with tracer.trace("run") as root, root.node("step") as step:
        async for word in step.stream(stream("a b")):
            assert_type(word, str)
        assert_type(root, Span)
        assert_type(step, Span)


def any_store_will_do() -> None:
    for storage in (Shelf(), MemoryStore()):
        Tracer(storage=storage)
    Tracer(storage="file://./traces")
    Tracer(storage=Path("traces"))
    configure(storage=Path("traces"), auto_instrument="http")
    configure(auto_instrument=["http"])
    TracerConfig(auto_instrument="http")
    assert_type(configure(storage=Shelf()), Tracer)
    assert_type(configure(storage="file://./traces", capture_level="minimal"), Tracer)


def callbacks_can_be_taken_back(tracer: Tracer) -> None:
    seen: list[str] = []

    def note(node: Node, trace_id: str) -> None:
        seen.append(f"{trace_id} {node.name}")

    unsubscribe = tracer.on("node.completed", note)
    unsubscribe()


def the_context_may_be_empty() -> None:
    with trace("run"):
        assert_type(current_span(), "Span | None")
        assert_type(get_current_node(), "Node | None")
        assert_type(get_current_trace(), "TraceGraph | None")


def traces_are_plain_data(path: str) -> None:
    try:
        graph = load_trace(path)
    except TraceLoadError as problem:
        assert isinstance(problem, ValueError)
        raise
    assert_type(graph.nodes, dict[str, Node])
    assert_type(graph.edges, list[Edge])
    assert_type(graph.children(None), list[Node])
    assert_type(graph.root, "Node | None")
    assert_type(graph.status, NodeStatus)
    assert_type(graph.session_id, "str | None")
    assert_type(graph.tags, list[str])
    assert_type(graph.links(), list[Edge])
    assert_type(graph.ancestors("1"), list[Node])
    assert_type(graph.find("step", status=NodeStatus.FAILED), "Node | None")
    assert_type(graph.find_all("step", node_type=NodeType.TOOL_CALL), list[Node])
    graph.add_node(Node(name="plan"))
    assert_type(list(graph.walk()), list[tuple[int, Node]])
    assert_type(trace_from_json(trace_to_json(graph)), TraceGraph)
