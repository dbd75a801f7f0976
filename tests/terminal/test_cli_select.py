"""Parts of a trace: failed nodes, matching nodes, a few levels, one node; and the exit status."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from logtracer import NodeStatus, TraceGraph, save_trace_json
from logtracer_cli import main
from sample_traces import PRICES, Sample, failing, support_agent, weather

Inspect = Callable[..., list[str]]


@pytest.fixture
def inspect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Inspect:
    """Write a trace, inspect it with flags, return the lines from the tree on."""

    def run(trace: TraceGraph, *flags: str) -> list[str]:
        save_trace_json(trace, tmp_path / "run.json")
        assert main(["inspect", str(tmp_path / "run.json"), "--verbosity", "minimal", *flags]) == 0
        return capsys.readouterr().out.partition("\n\n")[2].splitlines()

    return run


def test_failed_shows_failed_nodes_and_those_above_them(inspect: Inspect) -> None:
    assert inspect(support_agent(), "--failed", "--width", "200")[:-2] == [
        "Trace: support-agent (12.40s) ✗",
        "└── [custom] answer (6.20s) ✗",
        "    ├── [llm_call] chat (2.10s) ✗  4.1k tok",
        "    └── [tool_call] send_email (800ms) ✗",
    ]


def test_filter_shows_matching_nodes_and_those_above_them(inspect: Inspect) -> None:
    assert inspect(support_agent(), "--filter", "type:tool_call name:lookup")[:3] == [
        "Trace: support-agent (12.40s) ✗",
        "└── [custom] gather (4.30s) ✓",
        "    └── [tool_call] vector_lookup (400ms) ✓",
    ]


def test_filters_together_show_what_meets_all(inspect: Inspect) -> None:
    shown = inspect(support_agent(), "--filter", "type:llm_call", "--failed")
    assert [line for line in shown if "chat" in line] == [
        "    └── [llm_call] chat (2.10s) ✗  4.1k tok"
    ]
    assert not any("send_email" in line for line in shown)


def test_depth_shows_so_many_levels(inspect: Inspect) -> None:
    sample = Sample("run")
    parent = sample.node("one", "custom")
    parent = sample.node("two", "custom", parent=parent)
    sample.node("three", "custom", parent=parent)
    assert inspect(sample.trace, "--depth", "2", "--width", "200")[:-1] == [
        "Trace: run (0ms)",
        "└── [custom] one (0ms) ✓",
        "    └── [custom] two (0ms) ✓",
        "",
    ]
    assert inspect(sample.trace, "--depth", "0")[-1].endswith("three (0ms) ✓")


def test_what_is_hidden_is_counted_and_the_way_back_shown(inspect: Inspect) -> None:
    last = inspect(support_agent(), "--failed", "--width", "300")[-1]
    assert last.startswith("14 nodes hidden by --failed.  Show all: logtracer inspect ")


def test_costs_stand_in_the_tree_when_there_are_prices(inspect: Inspect, tmp_path: Path) -> None:
    (tmp_path / "prices").write_text(PRICES)
    shown = inspect(support_agent(), "--prices", str(tmp_path / "prices"))
    assert "│   └── [llm_call] chat (1.80s) ✓  1.4k tok  $0.0066" in shown


def test_node_shows_all_about_one_node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = Sample("run", 2.0)
    agent = sample.node("agent", "sub_agent", 0.0, 2.0)
    first = sample.node("send", "tool_call", 0.0, 1.0, parent=agent, **failing())
    node = sample.node(
        "send", "tool_call", 1.5, 2.0, parent=agent, **failing(error="no\x1b answer")
    )
    node.annotations, node.input_data = ["again"], {"to": ["ann"]}
    sample.link(first, node, "retry_of")
    save_trace_json(sample.trace, tmp_path / "run.json")
    assert main(["inspect", str(tmp_path / "run.json"), "--node", "4"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "[tool_call] send  ✗ failed   0000000000000004   500ms",
        "in: run › agent",
        "started: 2026-11-22 18:24:24.500+00:00",
        "← retry of send",
        'annotation: "again"',
        "error: no\\x1b answer",
        "input:",
        "  {",
        '    "to": [',
        '      "ann"',
        "    ]",
        "  }",
    ]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("zz", "zz: no node id in this trace ends with it"),
        ("0", "0: no node id in this trace ends with it"),
        ("", ": ambiguous: matches 3 nodes: 0000000000000001, 0000000000000002, 0000000000000003."),
    ],
)
def test_node_that_is_not_one_is_an_error(
    argument: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_trace_json(weather(), tmp_path / "run.json")
    assert main(["inspect", str(tmp_path / "run.json"), "--node", argument]) == 1
    assert capsys.readouterr().err.startswith(f"logtracer: {message}")


@pytest.mark.parametrize("status", list(NodeStatus))
def test_exit_status_is_1_unless_the_run_completed(status: NodeStatus, tmp_path: Path) -> None:
    sample = Sample("run")
    sample.root.status = status
    save_trace_json(sample.trace, tmp_path / "run.json")
    path = str(tmp_path / "run.json")
    assert main(["inspect", path]) == 0
    assert main(["inspect", path, "--exit-status"]) == int(status != NodeStatus.COMPLETED)


def test_query_that_is_not_one_says_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_trace_json(weather(), tmp_path / "run.json")
    assert main(["inspect", str(tmp_path / "run.json"), "--filter", "duraton>3"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("logtracer: filter: unknown field 'duraton' at 1")
    assert message.count("\n") == 1


@pytest.mark.usefixtures("no_extras")
def test_extras_that_were_not_copied_along_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_trace_json(weather(), tmp_path / "run.json")
    assert main(["inspect", str(tmp_path / "run.json")]) == 0
    missing = ("inspect", str(tmp_path / "run.json"), "--timeline"), ("list", str(tmp_path))
    for command in missing:
        assert main([*command]) == 1
        message = capsys.readouterr().err
        assert message.startswith("logtracer: logtracer_extras")
        assert message.endswith(": not found; copy the folder beside logtracer_cli.py\n")


def test_a_node_is_printed_as_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = weather()
    save_trace_json(trace, tmp_path / "run.json")
    assert main(["inspect", str(tmp_path / "run.json"), "--node", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == trace.nodes[f"{2:016x}"].to_dict()


def test_a_mistake_in_a_filter_is_told_before_anything_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_trace_json(weather(), tmp_path / "run.json")
    assert main(["inspect", str(tmp_path / "run.json"), "--filter", "duraton>2s"]) == 2
    assert capsys.readouterr().out == ""
