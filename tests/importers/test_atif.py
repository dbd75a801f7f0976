"""ATIF, in and out: every step with its tools, sub-agents below what called them, and back."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from logtracer import Node, NodeStatus, TraceGraph
from logtracer_extras.formats import to_atif
from logtracer_extras.importers import import_file, import_traces
from needs import needs
from otlp_traces import everything, hostile, traces

RUNS = Path(__file__).parents[1] / "data" / "runs"
SAMPLES = sorted(RUNS.glob("*.json*"))


def only(name: str) -> TraceGraph:
    (trace,) = import_file(RUNS / name)
    return trace


def read(document: dict[str, Any]) -> TraceGraph:
    (trace,) = import_traces(json.dumps(document))
    return trace


def tree(trace: TraceGraph) -> list[tuple[int, str, str]]:
    return [(level, str(node.node_type), node.name) for level, node in trace.walk()]


# ---- In ------------------------------------------------------------------------------------------


def test_every_step_is_a_node_and_every_call_has_its_result() -> None:
    trace = only("atif_tools.json")
    nodes = list(trace.nodes.values())
    tools = [node for node in nodes if node.node_type == "tool_call"]

    assert [node.name for node in tools] == (
        ["financial_search", "financial_search", "news_search", "analyst_estimates"]
    )
    assert tools[1].input_data["ticker"] == "MSFT"
    assert tools[1].output_data["content"].startswith("Microsoft Corp.")
    calls = [node for node in nodes if node.node_type == "llm_call"]
    assert [len(call.input_data["messages"]) for call in calls] == [1, 4, 1]
    assert sum(call.metadata["gen_ai.usage.cost"] for call in calls) == pytest.approx(0.0074)


def test_a_step_that_only_tells_when_it_was_has_no_duration() -> None:
    trace = only("atif_tools.json")

    assert {node.duration_ms for node in trace.nodes.values() if node.parent_id} == {0.0}
    assert trace.root_nodes[0].duration_ms == 14_000.0


def test_a_sub_agent_is_below_the_call_that_began_it() -> None:
    assert tree(only("atif_sub_agents.json")) == [
        (0, "trace", "orchestrator"),
        (1, "human_input", "user"),
        (1, "tool_call", "delegate_research"),
        (2, "sub_agent", "researcher"),
        (3, "human_input", "user"),
        (3, "llm_call", "gpt-4.1-mini"),
        (1, "custom", "system"),
        (1, "llm_call", "gpt-4.1"),
    ]


def test_steps_that_another_trajectory_has_counted_are_not_counted_again() -> None:
    trace = only("atif_continued.json")
    calls = [node for node in trace.nodes.values() if node.node_type == "llm_call"]

    assert len(calls) == 4
    assert sum(call.metadata["gen_ai.usage.input_tokens"] for call in calls) == 4250
    assert "its total says 7802" in trace.root_nodes[0].metadata["logtracer.import.note"]


STEP = {"step_id": 1, "source": "agent", "message": "done"}
CALL = {"tool_call_id": "c", "function_name": "look", "arguments": {"at": 1}}


def document(*steps: dict[str, Any], version: str = "1.8", **more: Any) -> dict[str, Any]:
    numbered = [{**step, "step_id": at} for at, step in enumerate(steps, 1)]
    agent = {"name": "a", "version": "1"}
    return {"schema_version": f"ATIF-v{version}", "agent": agent, "steps": numbered, **more}


@pytest.mark.parametrize("minor", range(9))
def test_every_version_is_read(minor: int) -> None:
    trace = read(document(STEP, version=f"1.{minor}", session_id="s"))

    assert (tree(trace)[1:], trace.metadata["session_id"]) == ([(1, "llm_call", "assistant")], "s")


def test_a_step_without_a_model_is_only_its_tools() -> None:
    observed = {"results": [{"source_call_id": "c", "content": "seen"}]}
    step = {**STEP, "message": "", "llm_call_count": 0, "tool_calls": [CALL]}
    trace = read(document(step, {**step, "observation": observed}))
    first, second = list(trace.nodes.values())[1:]

    assert (first.name, first.status) == ("look", NodeStatus.PENDING)
    assert second.output_data == {"content": "seen"}


def test_a_result_without_an_id_is_of_the_only_call() -> None:
    step = {**STEP, "tool_calls": [CALL], "observation": {"results": [{"content": "seen"}]}}

    assert list(read(document(step)).nodes.values())[2].output_data == {"content": "seen"}


def test_a_reference_to_another_file_is_kept_where_it_was() -> None:
    reference = {"trajectory_path": "other.json"}
    result = {"source_call_id": "c", "subagent_trajectory_ref": [reference]}
    step = {**STEP, "tool_calls": [CALL], "observation": {"results": [result]}}
    tool = list(read(document(step)).nodes.values())[2]

    assert tool.metadata["atif.subagent_trajectory_ref"] == [reference]


# ---- Out and back --------------------------------------------------------------------------------


def facts(node: Node) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(json.dumps(node.to_dict()))
    return data


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_trace_comes_back_from_atif_as_it_was(path: Path) -> None:
    for trace in import_file(path):
        (again,) = import_traces(to_atif(trace))

        assert list(map(facts, again.nodes.values())) == list(map(facts, trace.nodes.values()))
        assert (again.trace_id, again.name, again.metadata) == (
            (trace.trace_id, trace.name, trace.metadata)
        )
        assert {(edge.source_id, edge.target_id, edge.edge_type) for edge in again.edges} == (
            {(edge.source_id, edge.target_id, edge.edge_type) for edge in trace.edges}
        )


@settings(max_examples=60, deadline=None)
@given(traces(plain=True))
def test_any_trace_comes_back_from_atif(trace: TraceGraph) -> None:
    (again,) = import_traces(to_atif(trace))

    assert [facts(again.nodes[key]) for key in trace.nodes] == (
        [facts(node) for node in trace.nodes.values()]
    )


@pytest.mark.parametrize("make", [everything, hostile])
def test_what_harbor_reads_is_written(make: Any) -> None:
    check(make())


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_harbor_reads_what_was_imported_from_others(path: Path) -> None:
    for trace in import_file(path):
        check(trace)


def check(trace: TraceGraph) -> None:
    """Give what is written to Harbor's own models, which refuse an unknown key."""
    needs("harbor")
    models = importlib.import_module("harbor.models.trajectories")
    models.Trajectory.model_validate(json.loads(to_atif(trace)))
