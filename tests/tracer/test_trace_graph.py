"""A trace as a value: what it says of itself, how it is searched, made by hand and shown."""

from __future__ import annotations

import html.parser
import re
from datetime import datetime, timezone

import pytest

from logtracer import Edge, EdgeType, Node, NodeStatus, NodeType, TraceGraph, Tracer

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)


def graph_of(*nodes: Node) -> TraceGraph:
    trace = TraceGraph(trace_id="a" * 32, name="run")
    for node in nodes:
        trace.add_node(node)
    return trace


def test_the_root_is_the_node_of_type_trace() -> None:
    with Tracer().trace("run") as root, root.node("step"):
        pass
    assert root.trace.root == root.node_record


def test_a_trace_of_another_tool_may_have_no_root() -> None:
    assert graph_of(Node(name="agent")).root is None
    assert graph_of(Node(name="agent", node_type="trace", parent_id="elsewhere")).root is None
    assert TraceGraph().root is None


def test_the_status_is_that_of_the_root() -> None:
    with Tracer().trace("run") as root:
        assert root.trace.status == "running"
        with pytest.raises(ValueError), root.node("step"):
            raise ValueError
    assert root.trace.status == "completed"


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["completed", "failed"], NodeStatus.FAILED),
        (["failed", "interrupted"], NodeStatus.INTERRUPTED),
        (["interrupted", "running"], NodeStatus.RUNNING),
        (["completed", "cancelled"], NodeStatus.COMPLETED),
        ([], NodeStatus.COMPLETED),
    ],
)
def test_without_a_root_the_worst_root_node_says_the_status(
    statuses: list[str], expected: NodeStatus
) -> None:
    trace = graph_of(*(Node(name="agent", status=NodeStatus(status)) for status in statuses))
    trace.end_time = NOON
    assert trace.status is expected


def test_an_open_trace_without_a_root_is_interrupted() -> None:
    assert graph_of(Node(name="agent", status=NodeStatus.COMPLETED)).status == "interrupted"


def test_session_user_and_tags_are_read_as_they_were_given() -> None:
    tracer = Tracer()
    with tracer.trace("run", session_id="s", user_id="u", tags=["a", "b"]) as root:
        pass
    trace = root.trace
    assert (trace.session_id, trace.user_id, trace.tags) == ("s", "u", ["a", "b"])


def test_session_user_and_tags_may_be_missing_or_odd() -> None:
    assert (TraceGraph().session_id, TraceGraph().user_id, TraceGraph().tags) == (None, None, [])
    odd = TraceGraph(metadata={"session_id": 7, "user_id": None, "tags": "a,b"})
    assert (odd.session_id, odd.user_id, odd.tags) == ("7", None, [])
    assert TraceGraph(metadata={"tags": ["a", 1, None]}).tags == ["a"]


def test_ancestors_stand_nearest_first() -> None:
    trace = graph_of(
        Node("1", name="root"), Node("2", name="a", parent_id="1"), Node("3", parent_id="2")
    )
    assert [node.id for node in trace.ancestors("3")] == ["2", "1"]
    assert trace.ancestors("1") == trace.ancestors("unknown") == []


def test_ancestors_survive_circles_and_missing_parents() -> None:
    circle = graph_of(Node("1", parent_id="3"), Node("2", parent_id="1"), Node("3", parent_id="2"))
    assert [node.id for node in circle.ancestors("1")] == ["3", "2"]
    assert graph_of(Node("1", parent_id="1")).ancestors("1") == []
    assert graph_of(Node("1", parent_id="gone")).ancestors("1") == []
    below = graph_of(Node("1", parent_id="2"), Node("2", parent_id="2"))
    assert [node.id for node in below.ancestors("1")] == ["2"]


def test_links_are_the_edges_that_say_more_than_the_tree() -> None:
    trace = graph_of(Node("1"), Node("2", parent_id="1"), Node("3", parent_id="1"))
    tree = [Edge("1", "2"), Edge("1", "3")]
    more = [Edge("1", "2", EdgeType.BRANCHED_FROM), Edge("2", "3", EdgeType.RETRY_OF)]
    more += [Edge("2", "3", EdgeType.CAUSED_BY), Edge("1", "2", "their own type")]
    trace.edges = [*tree, *more]
    assert trace.links() == more


def test_nodes_are_found_by_name_type_and_status() -> None:
    tracer = Tracer()
    with tracer.trace("run") as root:
        for number in range(3):
            with root.node("ask", NodeType.LLM_CALL) as step:
                step.input(number=number)
        with pytest.raises(ValueError), root.node("ask", "tool_call"):
            raise ValueError
    trace = root.trace
    first = trace.find("ask")
    assert first is not None and first.input_data == {"number": 0}
    assert len(trace.find_all("ask", node_type="llm_call")) == 3
    assert [n.node_type for n in trace.find_all(status=NodeStatus.FAILED)] == ["tool_call"]
    assert trace.find("ask", node_type="llm_call", status=NodeStatus.FAILED) is None
    assert trace.find("nobody") is None and trace.find_all("nobody") == []


def test_nodes_made_by_hand_get_ids_and_numbers() -> None:
    plan, act = Node(name="plan"), Node(name="act")
    trace = graph_of(plan, act, Node("x", 7, "later"), Node(name="last"))
    assert [node.sequence_number for node in trace.nodes.values()] == [0, 1, 7, 8]
    assert re.fullmatch("[0-9a-f]{16}", plan.id) and plan.id != act.id
    assert (plan.node_type, plan.status, plan.depth) == ("custom", NodeStatus.PENDING, 0)


def test_a_trace_made_by_hand_can_be_written_and_read() -> None:
    plan, act = Node(name="plan"), Node(name="act")
    trace = graph_of(plan, act)
    trace.add_edge(Edge(plan.id, act.id))
    assert TraceGraph.from_dict(trace.to_dict()) == trace


def test_repr_is_one_short_line() -> None:
    trace = graph_of(*(Node(name=f"step {number}") for number in range(50)))
    trace.name = "weather\n" * 100
    assert repr(trace).startswith(f"<TraceGraph {'a' * 32} 'weather\\nweather")
    assert repr(trace).endswith("... interrupted: 50 nodes, 0 edges>")
    assert len(repr(trace)) < 200 and "\n" not in repr(trace)


class Page(html.parser.HTMLParser):
    """Collects the elements and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        assert all(name == "style" for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_notebook_shows_the_tree_with_everything_escaped() -> None:
    root = Tracer().trace("<script>alert(1)</script>").__enter__()
    with pytest.raises(ValueError), root.node("<img src=x>", "a&b") as step:
        step.input(question="<b onclick='x'>\ud800")
        raise ValueError("</div><script>")
    root.end()
    page = Page(root.trace._repr_html_())
    assert page.elements == {"div", "b", "details", "summary"}
    assert {"<script>alert(1)</script>", "<img src=x>", "error: </div><script>"} <= {*page.texts}
    "".join(page.texts).encode("utf-8")


def test_a_notebook_shows_a_long_trace_in_bounded_size() -> None:
    trace = graph_of(*(Node(name="x" * 5_000, input_data={"a": "<" * 5_000}) for _ in range(300)))
    shown = trace._repr_html_()
    assert shown.count("<details") == 200 and "... and 100 more" in shown
    assert len(shown) < 500_000


def test_a_notebook_shows_the_trace_of_a_span() -> None:
    with Tracer().trace("run") as root, root.node("step") as step:
        pass
    assert step._repr_html_() == root.trace._repr_html_()
