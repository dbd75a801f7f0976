"""Files for other people's viewers: well formed, every node in them, nothing that runs."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logtracer import Node, NodeStatus, TraceGraph, trace_from_json
from logtracer_extras.formats import FORMATS, to_chrome, to_csv, to_dot, to_mermaid, to_speedscope
from logtracer_extras.importers import import_file, import_traces
from needs import needs
from otlp_traces import START, everything, hostile, traces

FOREIGN = Path(__file__).parent / "data" / "foreign"


@st.composite
def overlapping(draw: st.DrawFn) -> TraceGraph:
    """Return a trace whose nodes run at the same time, outlive their parents or never end."""
    trace = TraceGraph(name="parallel")
    for number in range(draw(st.integers(1, 12))):
        node = Node(f"{number + 1:016x}", number, "step", "custom", NodeStatus.COMPLETED)
        if number:
            node.parent_id = f"{draw(st.integers(1, number)):016x}"
        start = draw(st.none() | st.integers(0, 8))
        if start is not None:
            node.start_time = START + timedelta(microseconds=start)
            length = draw(st.none() | st.integers(0, 8))
            if length is not None:
                node.end_time = node.start_time + timedelta(microseconds=length)
        trace.add_node(node)
    return trace


def by_lane(trace: TraceGraph) -> dict[int, list[tuple[int, int]]]:
    lanes = defaultdict(list)
    for event in json.loads(to_chrome(trace))["traceEvents"]:
        if event["ph"] == "X":
            lanes[event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    return lanes


# ---- Chrome trace --------------------------------------------------------------------------------


@given(overlapping())
def test_slices_of_one_lane_never_overlap(trace: TraceGraph) -> None:
    lanes = by_lane(trace)

    assert sum(map(len, lanes.values())) == len(trace.nodes)
    for slices in lanes.values():
        for position, (start, end) in enumerate(slices):
            for other_start, other_end in slices[position + 1 :]:
                apart = other_start >= end or start >= other_end
                inside = other_start >= start and other_end <= end
                assert apart or inside


def test_steps_in_sequence_share_their_parents_lane_and_parallel_ones_do_not() -> None:
    trace = TraceGraph(name="lanes")
    times = {"root": (0, 10), "first": (0, 4), "second": (4, 8), "beside": (5, 9)}
    for number, (name, (start, end)) in enumerate(times.items()):
        node = Node(f"{number:016x}", number, name, "custom", NodeStatus.COMPLETED)
        node.parent_id = None if name == "root" else f"{0:016x}"
        node.start_time = START + timedelta(seconds=start)
        node.end_time = START + timedelta(seconds=end)
        trace.add_node(node)
    events = json.loads(to_chrome(trace))["traceEvents"]
    lanes = {event["name"]: event["tid"] for event in events if event["ph"] == "X"}

    assert lanes["root"] == lanes["first"] == lanes["second"] != lanes["beside"]


def test_every_typed_edge_is_an_arrow_between_its_slices() -> None:
    trace = everything()
    events = json.loads(to_chrome(trace))["traceEvents"]
    slices = {event["args"]["id"]: event for event in events if event["ph"] == "X"}
    starts = [event for event in events if event["ph"] == "s"]
    ends = {event["id"]: event for event in events if event["ph"] == "f"}
    typed = trace.edges[-5:]

    assert [event["name"] for event in starts] == [str(edge.edge_type) for edge in typed]
    for edge, event in zip(typed, starts):
        source, target, end = slices[edge.source_id], slices[edge.target_id], ends[event["id"]]
        assert (event["tid"], event["ts"]) == (source["tid"], source["ts"])
        assert (end["tid"], end["ts"], end["bp"]) == (target["tid"], target["ts"], "e")


# ---- speedscope ----------------------------------------------------------------------------------


@given(overlapping())
def test_speedscope_events_open_and_close_in_order(trace: TraceGraph) -> None:
    document = json.loads(to_speedscope(trace))
    opened = 0
    for profile in document["profiles"]:
        stack: list[Any] = []
        moment = profile["startValue"]
        for event in profile["events"]:
            assert event["at"] >= moment
            moment = event["at"]
            if event["type"] == "O":
                stack.append(event["frame"])
                opened += 1
            else:
                assert stack.pop() == event["frame"]
        assert not stack
        assert moment == profile["endValue"]
    assert opened == len(trace.nodes)


# ---- Graphs --------------------------------------------------------------------------------------


def test_mermaid_labels_hold_nothing_that_means_something() -> None:
    text = to_mermaid(hostile())
    labels = re.findall(r'"([^"\n]*)"', text)

    assert len(labels) == len(hostile().nodes) + 6
    assert all(re.fullmatch(r"(?:[\w .,]|#\d+;)*", label) for label in labels)
    assert text.count(" --> ") == len(hostile().nodes) - 1


def test_graphviz_draws_every_node_whatever_its_name() -> None:
    program = needs("dot")
    drawn = subprocess.run(
        [program, "-Tplain"], input=to_dot(hostile()), capture_output=True, text=True, check=True
    )

    assert drawn.stdout.count("\nnode ") == len(hostile().nodes)
    assert drawn.stderr == ""


def test_a_dot_label_cannot_leave_its_quotes() -> None:
    for line in to_dot(hostile()).splitlines()[1:-1]:
        outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", line)
        assert re.fullmatch(r"[\w\s\[\]=,;>-]*", outside)


# ---- The table -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum", "\t=1", "\r=1", "\n=1", "＝1"])
def test_no_cell_is_a_formula(text: str) -> None:
    trace = everything()
    for node in trace.nodes.values():
        node.name = node.error = node.error_type = text
    rows = list(csv.reader(io.StringIO(to_csv(trace), newline="")))

    assert len(rows) == len(trace.nodes) + 1
    assert all(row[4] == f"'{text}" for row in rows[1:])
    assert not any(cell[:1] in "=+-@\t\r\n＝" for row in rows for cell in row if cell)


def test_programs_can_have_the_cells_as_they_are() -> None:
    trace = everything()
    trace.root_nodes[0].name = "=1+1"
    rows = list(csv.DictReader(io.StringIO(to_csv(trace, formulas=True), newline="")))

    assert rows[0]["name"] == "=1+1"
    assert rows[1]["input_tokens"] == "120"


@given(traces())
def test_every_node_has_one_row(trace: TraceGraph) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(trace), newline="")))

    assert [row["level"] for row in rows] == [str(level) for level, _ in trace.walk()]


# ---- All of them ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_format_writes_every_sample(name: str) -> None:
    for path in FOREIGN.glob("*.json"):
        for trace in import_file(path)[:2]:
            text = FORMATS[name].write(trace)
            assert text.encode("utf-8")
    assert FORMATS[name].write(TraceGraph(name="empty")) is not None


def test_our_own_formats_come_back() -> None:
    trace = everything()

    assert trace_from_json(FORMATS["json"].write(trace)).to_dict() == trace.to_dict()
    assert import_traces(FORMATS["otlp"].write(trace))[0].nodes.keys() == trace.nodes.keys()


def test_ten_thousand_levels_are_written_by_every_format() -> None:
    trace = TraceGraph(name="deep")
    for number in range(10_000):
        node = Node(f"{number:016x}", number, "step", "custom", NodeStatus.COMPLETED)
        node.parent_id = f"{number - 1:016x}" if number else None
        node.start_time, node.end_time = START, START + timedelta(seconds=1)
        trace.add_node(node)

    for name, form in FORMATS.items():
        assert name == "html" or len(form.write(trace)) > 10_000
