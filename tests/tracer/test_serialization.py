"""Serialization: what is written is read back the same."""

from __future__ import annotations

import copy
import json
import math
import pickle
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings, strategies

from logtracer import (
    Edge,
    EdgeType,
    FileStore,
    Node,
    NodeStatus,
    TraceGraph,
    Tracer,
    load_trace_json,
    save_trace_json,
    trace_from_json,
    trace_to_json,
)
from sample_traces import weather
from stress.figures import figure
from stress.reading import only_trace

texts = strategies.text(strategies.characters(exclude_categories=["Cs"]), max_size=8)
numbers = strategies.integers() | strategies.floats(allow_nan=False, allow_infinity=False)
values = strategies.recursive(
    strategies.none() | strategies.booleans() | numbers | texts,
    lambda inner: (
        strategies.lists(inner, max_size=3) | strategies.dictionaries(texts, inner, max_size=3)
    ),
    max_leaves=6,
)
data = strategies.dictionaries(texts, values, max_size=3)
times = strategies.datetimes(
    datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=strategies.just(timezone.utc)
)


@strategies.composite
def nodes(draw: strategies.DrawFn, number: int) -> Node:
    """Return a strategy for a node whose parent is an earlier one."""
    return Node(
        f"{number:016x}",
        number,
        draw(texts),
        draw(texts),
        draw(strategies.sampled_from(NodeStatus)),
        f"{draw(strategies.integers(0, number - 1)):016x}" if number else None,
        draw(strategies.integers(0, 9)),
        draw(times) if number else datetime(1970, 1, 1, tzinfo=timezone.utc),
        draw(strategies.none() | times),
        draw(data),
        draw(data),
        draw(strategies.lists(texts, max_size=2)),
        draw(data),
        draw(strategies.none() | texts),
        draw(strategies.none() | texts),
        draw(strategies.none() | texts),
    )


@strategies.composite
def traces(draw: strategies.DrawFn) -> TraceGraph:
    """Return a strategy for traces, nodes in the order they started."""
    made = [draw(nodes(number)) for number in range(draw(strategies.integers(0, 5)))]
    made.sort(key=lambda node: (str(node.start_time), node.sequence_number))
    trace = TraceGraph(name=draw(texts), metadata=draw(data), start_time=draw(times))
    for node in made:
        trace.add_node(node)
    for _ in range(draw(strategies.integers(0, 3)) if made else 0):
        ends = draw(strategies.sampled_from(made)).id, draw(strategies.sampled_from(made)).id
        edge_type = draw(strategies.sampled_from([*EdgeType, "inspired_by"]))
        trace.add_edge(Edge(*ends, edge_type, draw(texts), draw(data)))
    return trace


@settings(max_examples=figure(60, 5_000))
@given(traces())
def test_what_is_written_is_read_back_the_same(trace: TraceGraph) -> None:
    text = trace_to_json(trace)
    assert trace_from_json(text) == trace
    assert trace_from_json(text.encode()) == trace
    assert trace_to_json(trace_from_json(text)) == text
    assert TraceGraph.from_dict(trace.to_dict()) == trace


@settings(max_examples=figure(40, 2_000))
@given(data, data, strategies.lists(texts, max_size=2), texts)
def test_what_is_recorded_is_read_back_the_same_from_every_store(
    inputs: dict[str, Any], outputs: dict[str, Any], notes: list[str], name: str
) -> None:
    with TemporaryDirectory() as directory:
        tracer = Tracer(storage=FileStore(directory))
        with tracer.trace(name) as root, root.node(name) as step:
            step.input(value=inputs)
            step.output(value=outputs)
            for note in notes:
                step.annotate(note)
            before = root.trace
        after = only_trace(tracer)
    assert after.nodes[step.id].input_data == before.nodes[step.id].input_data
    assert after.nodes[step.id].annotations == before.nodes[step.id].annotations
    assert trace_from_json(trace_to_json(after)) == after


def test_the_document_has_the_published_shape() -> None:
    document = json.loads(trace_to_json(weather()))
    assert list(document) == [
        "schema_version", "trace_id", "name", "nodes", "edges", "start_time", "end_time",
        "metadata", "duration_ms",
    ]  # fmt: skip
    assert list(next(iter(document["nodes"].values()))) == [
        "id", "sequence_number", "name", "node_type", "status", "parent_id", "depth",
        "start_time", "end_time", "input_data", "output_data", "annotations", "metadata", "error",
        "error_type", "error_traceback", "duration_ms",
    ]  # fmt: skip
    assert document["schema_version"] == "0.1.0"
    assert document["start_time"] == "2026-11-22T18:24:23.000000+00:00"


def test_the_file_store_writes_the_same_document(tmp_path: Path) -> None:
    with Tracer(storage=FileStore(tmp_path)).trace("run") as root, root.node("step") as step:
        step.input(a=1)
        root.link(step, "data_flow")
    [path] = tmp_path.iterdir()
    document = json.loads(path.read_text(encoding="utf-8"))
    again = json.loads(trace_to_json(TraceGraph.from_dict(document)))
    assert {key: document[key] for key in again} == again
    for node_id, node in again["nodes"].items():
        assert document["nodes"][node_id] == node


@pytest.mark.parametrize("indent", [None, 2, 4])
def test_a_file_is_read_back_the_same(indent: int | None, tmp_path: Path) -> None:
    path = tmp_path / "new" / "trace.json"
    save_trace_json(weather(), path, indent=indent)
    assert load_trace_json(path) == weather()
    assert [file.name for file in path.parent.iterdir()] == ["trace.json"]


def test_nodes_made_by_hand_may_hold_anything() -> None:
    trace = weather()
    node = next(iter(trace.nodes.values()))
    node.input_data = {"nan": math.nan, "set": {1}, "object": object(), "surrogate": "\ud800"}
    node.output_data = {"cycle": node.input_data}
    node.input_data["cycle"] = node.output_data
    loaded = trace_from_json(trace_to_json(trace))
    assert loaded.nodes.keys() == trace.nodes.keys()
    assert loaded.nodes[node.id].input_data["set"] == [1]


def test_traces_can_be_copied_compared_and_pickled() -> None:
    trace = weather()
    assert copy.deepcopy(trace) == trace
    assert pickle.loads(pickle.dumps(trace)) == trace


def test_unknown_keys_and_edge_types_survive_or_are_ignored() -> None:
    document = weather().to_dict()
    document["color"] = "red"
    document["edges"][0]["edge_type"] = "inspired_by"
    trace = TraceGraph.from_dict(json.loads(json.dumps(document)))
    assert trace.edges[0].edge_type == "inspired_by"


def test_a_graph_refuses_edges_to_nodes_it_does_not_have() -> None:
    trace = weather()
    with pytest.raises(ValueError, match="'nowhere'"):
        trace.add_edge(Edge("0000000000000001", "nowhere"))


def test_numbers_of_new_nodes_follow_those_there_are() -> None:
    assert TraceGraph().next_sequence_number() == 0
    assert weather().next_sequence_number() == len(weather().nodes) == 3


def test_a_large_graph_made_by_hand_keeps_its_times_when_a_value_must_be_cleaned() -> None:
    now = datetime(2026, 11, 22, tzinfo=timezone.utc)
    trace = TraceGraph(name="by hand", start_time=now, end_time=now, metadata={"kept": True})
    for number in range(2_000):
        trace.add_node(Node(f"{number:016x}", number, "step", output_data={"score": 1.0}))
    trace.nodes["0" * 16].output_data["score"] = float("nan")
    loaded = trace_from_json(trace_to_json(trace))
    assert (loaded.start_time, loaded.metadata, len(loaded.nodes)) == (now, {"kept": True}, 2_000)
