"""Traces built by hand: times without a clock, ids without chance."""

from __future__ import annotations

from logtracer import Node, NodeStatus, trace_to_json
from logtracer_extras.testing import START, TraceBuilder


def seconds(node: Node) -> tuple[float, float]:
    assert node.start_time is not None
    assert node.end_time is not None
    return (node.start_time - START).total_seconds(), (node.end_time - START).total_seconds()


def test_nodes_run_one_after_the_other() -> None:
    builder = TraceBuilder()
    first, second = builder.node("a"), builder.node("b")
    assert [seconds(first), seconds(second)] == [(0, 1), (1, 2)]


def test_what_is_around_a_node_ends_with_it() -> None:
    builder = TraceBuilder()
    outer = builder.node("outer")
    builder.node("a", parent=outer)
    builder.node("b", parent=outer)
    after = builder.node("after")
    assert seconds(outer) == (0, 2)
    assert seconds(after) == (2, 3)
    assert builder.trace.duration_ms == 3_000


def test_a_node_that_is_told_when_to_end_ends_then() -> None:
    builder = TraceBuilder(end=10)
    outer = builder.node("outer", end=0.5)
    builder.node("late", parent=outer)
    assert seconds(outer) == (0, 0.5)
    assert builder.trace.duration_ms == 10_000


def test_an_error_makes_a_node_failed_and_a_running_one_has_no_end() -> None:
    builder = TraceBuilder()
    failed = builder.node("a", error="no")
    running = builder.node("b", status="running")
    assert (failed.status, running.end_time) == (NodeStatus.FAILED, None)


def test_the_same_calls_give_the_same_bytes() -> None:
    def build() -> str:
        builder = TraceBuilder("run")
        plan = builder.node("plan", "llm_call", model="small-1", tokens=(10, 2))
        builder.link(plan, builder.node("search", parent=plan, input={"q": 1}))
        return trace_to_json(builder.trace)

    assert build() == build()


def test_children_hang_below_their_parent_with_an_edge_and_a_depth() -> None:
    builder = TraceBuilder()
    plan = builder.node("plan")
    child = builder.node("child", parent=plan)
    assert (child.parent_id, child.depth) == (plan.id, 2)
    assert (plan.id, child.id) in {(e.source_id, e.target_id) for e in builder.trace.edges}


def test_a_trace_without_a_root_and_a_parent_that_is_missing() -> None:
    builder = TraceBuilder(has_root=False)
    top, lost = builder.node("top"), builder.node("lost", parent="feed")
    assert builder.root is None
    assert [top.parent_id, lost.parent_id] == [None, "feed"]
    assert [level for level, _ in builder.trace.walk()] == [0, 0]
