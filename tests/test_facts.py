"""What is asked of a trace has one answer, whoever gives it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from logtracer import Edge, EdgeType, Node, TraceGraph
from logtracer_cli import tokens_of
from logtracer_extras.analysis import measure
from logtracer_extras.diff import tokens_of as tokens_compared
from logtracer_extras.facts import (
    Moments,
    attempt_titles,
    error_text,
    links_of,
    path_text,
    title_of,
    usage_of,
)
from logtracer_extras.formats import to_chrome
from sample_traces import START, Sample


def sparse() -> TraceGraph:
    """Return a trace of six seconds, some of whose nodes have no start, no end, or neither."""
    sample = Sample("sparse", 6.0)
    sample.node("whole", "custom", 1.0, 2.0)
    for name, has_start, has_end in (
        ("without a start", False, True),
        ("without an end", True, False),
        ("without either", False, False),
    ):
        node = sample.node(name, "custom", 3.0, 4.0)
        node.start_time = node.start_time if has_start else None
        node.end_time = node.end_time if has_end else None
    return sample.trace


TIMES = {  # seconds of the trace
    "sparse": (0.0, 6.0),
    "whole": (1.0, 2.0),
    "without a start": (4.0, 4.0),
    "without an end": (3.0, 6.0),
    "without either": (6.0, 6.0),
}


def test_moments_say_when_each_node_ran() -> None:
    trace = sparse()
    moments = Moments(trace)
    assert moments.origin == START
    found = {node.name: moments.of(node) for node in trace.nodes.values()}
    assert found == {name: (start * 1e6, end * 1e6) for name, (start, end) in TIMES.items()}


def test_statistics_and_exports_say_the_same_of_times() -> None:
    measured = {step.node.name: (step.start, step.end) for step in measure(sparse()).steps}
    drawn = {
        event["name"]: (event["ts"], event["ts"] + event["dur"])
        for event in json.loads(to_chrome(sparse()))["traceEvents"]
        if event["ph"] == "X"
    }
    assert measured == drawn == {name: (a * 1e6, b * 1e6) for name, (a, b) in TIMES.items()}


def test_a_node_never_ends_before_it_starts() -> None:
    sample = Sample("back", 1.0)
    node = sample.node("step", "custom", 0.5, 0.5)
    node.end_time = START - timedelta(seconds=1)
    assert Moments(sample.trace).of(node) == (1_500_000, 1_500_000)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"input_tokens": 100, "output_tokens": 10}, (100, 10)),
        ({"input_tokens": 100, "output_tokens": 10, "cache_read.input_tokens": 60}, (100, 10)),
        ({"input_tokens": 100, "output_tokens": 10, "cache_read.input_tokens": 900}, (1_000, 10)),
        (
            {
                "input_tokens": 5,
                "output_tokens": 3,
                "cache_creation.input_tokens": 6,
                "cache_read.input_tokens": 1,
            },
            (12, 3),
        ),
        (
            {"input_tokens": 1, "output_tokens": 3, "reasoning.output_tokens": 9},
            (1, 12),
        ),
    ],
)
def test_tokens_counted_beside_are_added_by_every_reader(
    counts: dict[str, int], expected: tuple[int, int]
) -> None:
    node = Node(name="call", metadata={f"gen_ai.usage.{name}": n for name, n in counts.items()})
    usage = usage_of(node)
    assert usage is not None
    assert (usage.input, usage.output) == tokens_of(node) == expected
    assert tokens_compared(node) == sum(expected)


def test_links_are_the_edges_beyond_the_tree() -> None:
    sample = Sample("run")
    first, second = sample.node("a", "custom"), sample.node("b", "custom")
    root = sample.root
    sample.trace.add_edge(Edge(root.id, first.id, EdgeType.CAUSED_BY))
    sample.trace.add_edge(Edge(root.id, second.id, EdgeType.BRANCHED_FROM))
    sample.trace.add_edge(Edge(first.id, second.id, EdgeType.CAUSED_BY))
    told = [edge for edge in links_of(sample.trace) if edge.source_id != edge.target_id]
    assert [(edge.source_id, edge.target_id) for edge in told] == [
        (root.id, second.id),
        (first.id, second.id),
    ]
    assert sample.trace.links() == told


def test_attempts_are_numbered_alike_in_statistics_and_comparisons() -> None:
    sample = Sample("run")
    tries = [sample.node("call", "tool_call", at, at + 0.5) for at in (0, 1, 2)]
    for later in tries[1:]:  # each of them names the first
        sample.trace.add_edge(Edge(tries[0].id, later.id, EdgeType.RETRY_OF))
    measured = [measure(sample.trace).by_id[node.id].attempt for node in tries]
    titles = attempt_titles(sample.trace)
    assert measured == [1, 2, 3]
    assert [titles[node.id] for node in tries] == ["#1", "#2 (retry)", "#3 (retry)"]


def test_a_path_names_what_is_around_a_node() -> None:
    sample = Sample("run")
    agent = sample.node("researcher", "sub_agent")
    call = sample.node("search", "tool_call", parent=agent)
    call.error_type, call.error = "Timeout", "too slow"
    path = path_text(sample.trace, call, title_of)
    assert path == "sub_agent researcher / tool_call search"
    assert error_text(call) == "Timeout: too slow"
