"""`logtracer inspect`: the published tree, the summary, and traces that are odd."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from logtracer import NodeStatus, TraceGraph, save_trace_json
from logtracer_cli import cell_width, main, render_trace
from logtracer_extras.diff import diff
from sample_traces import START, Sample, failing, weather

PUBLISHED = """\
Trace: weather_agent (0ms)
├── [llm_call] classify_intent (0ms) ✓
│   └── annotation: "High confidence — routing to weather tool"
└── [tool_call] weather_api (0ms) ✓
    ├── input: {'location': 'Paris'}
    └── output: {'temperature_c': 18, 'condition': 'partly cloudy'}
"""

Inspect = Callable[..., str]


@pytest.fixture
def inspect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Inspect:
    """Write a trace, inspect it with flags, return what was printed."""

    def run(trace: TraceGraph, *flags: str) -> str:
        path = tmp_path / "run.json"
        save_trace_json(trace, path)
        assert main(["inspect", str(path), *flags]) == 0
        return capsys.readouterr().out

    return run


def test_render_trace_returns_the_published_tree() -> None:
    assert render_trace(weather()) == PUBLISHED


def test_inspect_prints_a_summary_and_the_published_tree(inspect: Inspect) -> None:
    assert inspect(weather()) == (
        "weather_agent  ✓ completed   7f3a9c21   2026-11-22 18:24:23Z   0ms\n"
        "3 nodes · 1 llm_call · 1 tool_call\n\n" + PUBLISHED
    )


def test_ascii_says_the_same_in_ascii(inspect: Inspect) -> None:
    assert inspect(weather(), "--ascii").splitlines() == [
        "weather_agent  ok completed   7f3a9c21   2026-11-22 18:24:23Z   0ms",
        "3 nodes | 1 llm_call | 1 tool_call",
        "",
        "Trace: weather_agent (0ms)",
        "+-- [llm_call] classify_intent (0ms) ok",
        r'|   `-- annotation: "High confidence \u2014 routing to weather tool"',
        "`-- [tool_call] weather_api (0ms) ok",
        "    +-- input: {'location': 'Paris'}",
        "    `-- output: {'temperature_c': 18, 'condition': 'partly cloudy'}",
    ]


def test_minimal_shows_structure_status_and_time_only() -> None:
    assert render_trace(weather(), verbosity="minimal").splitlines() == [
        "Trace: weather_agent (0ms)",
        "├── [llm_call] classify_intent (0ms) ✓",
        "└── [tool_call] weather_api (0ms) ✓",
    ]


def test_full_shows_everything_a_node_says() -> None:
    sample = Sample("run")
    sample.node(
        "step",
        "custom",
        **failing(
            annotations=["first", "second"],
            error="no answer",
            error_type="TimeoutError",
            error_traceback="Traceback:\n  line 1\nTimeoutError: no answer\n",
            input_data={"a": 1},
            output_data={"b": None},
            metadata={"c": [True]},
        ),
    )
    assert render_trace(sample.trace, verbosity="full").splitlines() == [
        "Trace: run (0ms)",
        "└── [custom] step (0ms) ✗",
        '    ├── annotation: "first"',
        '    ├── annotation: "second"',
        "    ├── error: TimeoutError: no answer",
        "    ├── input: {'a': 1}",
        "    ├── output: {'b': None}",
        "    ├── metadata: {'c': [True]}",
        "    └── traceback:",
        "            Traceback:",
        "              line 1",
        "            TimeoutError: no answer",
    ]


def test_unknown_verbosity_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'loud'"):
        render_trace(weather(), verbosity="loud")


def test_edges_stand_at_the_later_node() -> None:
    sample = Sample("run")
    first = sample.node("a", "tool_call", **failing())
    second = sample.node("b", "tool_call")
    third = sample.node("c", "tool_call")
    sample.link(first, second, "retry_of")
    sample.link(second, third, "fallback_of", "cheaper")
    sample.link(first, third, "supersedes")
    assert render_trace(sample.trace).splitlines() == [
        "Trace: run (0ms)",
        "├── [tool_call] a (0ms) ✗",
        "├── [tool_call] b (0ms) ✓ ← retry of a",
        "└── [tool_call] c (0ms) ✓ ← fallback of b (cheaper), supersedes: a",
    ]


def test_edges_to_nowhere_are_counted_not_dropped() -> None:
    sample = Sample("run")
    node = sample.node("a", "custom")
    sample.link(node, node, "data_flow")
    sample.trace.edges[-1].target_id = "gone"
    sample.link(node, node, "data_flow")
    sample.trace.edges[-1].source_id = "gone"
    assert render_trace(sample.trace).splitlines() == [
        "Trace: run (0ms)",
        "└── [custom] a (0ms) ✓ ← data from gone",
        "1 edge to nodes that are not in this trace",
    ]


def test_tokens_stand_at_the_end_of_the_line_when_there_are_any(inspect: Inspect) -> None:
    sample = Sample("run")
    usage = {"gen_ai.usage.input_tokens": 20_300, "gen_ai.usage.output_tokens": 800}
    sample.node("chat", "llm_call", metadata=usage)
    written = inspect(sample.trace)
    assert "tokens 20,300 in / 800 out\n" in written
    assert "└── [llm_call] chat (0ms) ✓  21.1k tok\n" in written


def test_tokens_that_a_step_repeats_of_those_below_it_count_once(inspect: Inspect) -> None:
    sample = Sample("run")
    usage = {"gen_ai.usage.input_tokens": 50, "gen_ai.usage.output_tokens": 12}
    agent = sample.node("agent", "sub_agent", metadata=usage)
    task = sample.node("task", "custom", parent=agent)
    sample.node("chat", "llm_call", parent=task, metadata=usage)
    assert "tokens 50 in / 12 out\n" in inspect(sample.trace)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0ms"),
        (0.0004, "0ms"),
        (0.812, "812ms"),
        (12.4, "12.40s"),
        (59.999, "1m00s"),
        (1_300, "21m40s"),
    ],
)
def test_times_are_said_as_people_say_them(seconds: float, shown: str) -> None:
    assert f"Trace: run ({shown})" in render_trace(Sample("run", seconds).trace)


def test_every_status_has_a_mark_of_its_own() -> None:
    sample = Sample("run")
    for status in NodeStatus:
        sample.node("step", "custom", status=status)
    lines = render_trace(sample.trace).splitlines()[1:]
    assert len({line[-1] for line in lines}) == len(NodeStatus)


def test_open_and_interrupted_nodes_say_so(inspect: Inspect) -> None:
    sample = Sample("run")
    sample.trace.end_time = sample.root.end_time = None
    sample.root.status = NodeStatus.INTERRUPTED
    sample.node("step", "custom", end=None, status=NodeStatus.INTERRUPTED, input_data={"a": 1})
    written = inspect(sample.trace)
    assert written.startswith("run  ◌ interrupted   7f3a9c21   2026-11-22 18:24:23Z   open\n")
    assert written.endswith("Trace: run (open) ◌\n└── [custom] step (open) ◌\n"
                            "    └── input: {'a': 1}\n")  # fmt: skip


def test_lost_and_circular_nodes_are_marked_detached_and_shown() -> None:
    sample = Sample("run")
    sample.node("orphan", "custom", parent="gone")
    first = sample.node("first", "custom")
    second = sample.node("second", "custom", parent=first)
    first.parent_id = second.id
    sample.trace.edges.clear()
    assert render_trace(sample.trace).splitlines() == [
        "Trace: run (0ms)",
        "├── [custom] orphan (0ms) ✓ detached",
        "└── [custom] first (0ms) ✓ detached",
        "    └── [custom] second (0ms) ✓",
    ]


def test_trace_without_a_root_of_its_own_hangs_its_first_nodes_under_the_title() -> None:
    sample = Sample("run")
    sample.trace.nodes.clear()
    sample.trace.edges.clear()
    parent = sample.node("a", "custom", parent=None)
    sample.node("b", "custom", parent=parent)
    assert render_trace(sample.trace).splitlines() == [
        "Trace: run (0ms)",
        "└── [custom] a (0ms) ✓",
        "    └── [custom] b (0ms) ✓",
    ]


def test_trace_without_nodes_is_a_title() -> None:
    trace = TraceGraph(name="empty", start_time=START, end_time=START)
    assert render_trace(trace) == "Trace: empty (0ms)\n"


def test_failed_root_shows_its_error_under_the_title() -> None:
    sample = Sample("run")
    sample.root.status = NodeStatus.FAILED
    sample.root.error, sample.root.error_type = "boom", "ValueError"
    sample.node("step", "custom")
    assert render_trace(sample.trace).splitlines() == [
        "Trace: run (0ms) ✗",
        "├── error: ValueError: boom",
        "└── [custom] step (0ms) ✓",
    ]


def test_ten_thousand_nested_nodes_are_all_shown() -> None:
    sample = Sample("run")
    parent = sample.root
    for number in range(10_000):
        parent = sample.node(f"step {number}.", "custom", parent=parent)
    tree = render_trace(sample.trace)
    assert tree.count("[custom] step ") == 10_000
    assert "(level 9999) [custom] step 9999. (0ms) ✓\n" in tree
    assert len(tree) < 5_000_000


def test_every_node_of_a_wide_trace_is_shown() -> None:
    sample = Sample("run")
    for number in range(2_000):
        sample.node(f"step {number}.", "custom")
    assert all(f"] step {number}. (" in render_trace(sample.trace) for number in (0, 999, 1_999))
    assert render_trace(sample.trace).count("\n") == 2_001


def test_long_values_are_cut_to_a_line_unless_wide(inspect: Inspect) -> None:
    sample = Sample("run")
    sample.node("step", "custom", input_data={"text": "long " * 100})
    cut = next(line for line in inspect(sample.trace).splitlines() if "input" in line)
    assert len(cut) == 80
    assert cut.endswith("…")
    assert "long " * 100 in inspect(sample.trace, "--wide")


def test_width_follows_the_flag(inspect: Inspect) -> None:
    sample = Sample("run")
    sample.node("step", "custom", input_data={"text": "long " * 100})
    cut = next(
        line for line in inspect(sample.trace, "--width", "60").splitlines() if "inp" in line
    )
    assert len(cut) == 60


def lengthy() -> TraceGraph:
    """Return a run whose names, notes and errors are wider than a terminal."""
    sample = Sample("agent " * 20)
    above = sample.root
    for level in range(30):
        above = sample.node(f"level_{level}", "custom", parent=above)
    error = failing(error_type="Refused", error="the server says 日本語の長い名前です no " * 3)
    failed = sample.node(
        "look_up_" * 12, "tool_call", annotations=["because it must " * 9], **error
    )
    again = sample.node("look_up", "tool_call", parent=failed, output_data={"x\x1b": "y" * 300})
    sample.link(failed, again, "retry_of", "a label of some length, to be broken up")
    return sample.trace


@pytest.mark.parametrize("width", [44, 60, 80, 120])
@pytest.mark.parametrize("verbosity", ["standard", "full"])
@pytest.mark.parametrize("characters", [[], ["--ascii"]])
def test_no_line_of_the_tree_is_wider_than_the_terminal(
    width: int, verbosity: str, characters: list[str], inspect: Inspect
) -> None:
    flags = ("--width", str(width), "--verbosity", verbosity, *characters)
    lines = inspect(lengthy(), *flags).splitlines()
    assert max(map(cell_width, lines)) <= width
    words = [word for line in lines for word in line.split()]
    assert words.count("because") + words.count('"because') == 9


def test_what_is_broken_goes_on_below_its_own_branch(inspect: Inspect) -> None:
    sample = Sample("run")
    sample.node("fetch", "tool_call", annotations=["word " * 9 + "end"])
    sample.node("next", "tool_call")
    lines = inspect(sample.trace, "--width", "48").splitlines()
    assert lines[lines.index("Trace: run (0ms)") + 1 :][:3] == [
        "├── [tool_call] fetch (0ms) ✓",
        '│   └── annotation: "word word word word word',
        '│           word word word word end"',
    ]


def test_a_pipe_gets_each_text_on_a_line_of_its_own(inspect: Inspect) -> None:
    sample = Sample("run")
    sample.node("fetch", "tool_call", annotations=["word " * 30 + "end"])
    assert inspect(sample.trace).splitlines()[-1].endswith('word end"')


def test_json_prints_the_documented_keys_with_every_status(inspect: Inspect) -> None:
    summary = json.loads(inspect(weather(), "--json"))
    assert list(summary.items()) == [
        ("trace_id", "7f3a9c21".ljust(32, "0")),
        ("name", "weather_agent"),
        ("schema_version", "0.1.0"),
        ("duration_ms", 0.0),
        ("node_count", 3),
        ("edge_count", 2),
        (
            "status_counts",
            {status.value: 3 if status == NodeStatus.COMPLETED else 0 for status in NodeStatus},
        ),
        ("node_type_counts", {"llm_call": 1, "tool_call": 1, "trace": 1}),
    ]


def test_json_output_goes_to_the_file(inspect: Inspect, tmp_path: Path) -> None:
    target = tmp_path / "summary.json"
    assert inspect(weather(), "--json", "--output", str(target)) == ""
    assert target.read_text() == inspect(weather(), "--json")


def test_output_without_json_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "any.json", "--output", "s.json"]) == 2
    assert "--output" in capsys.readouterr().err


@pytest.mark.parametrize("hours", [-14, 14])
def test_a_time_at_the_edge_of_the_calendar_is_shown(hours: int, inspect: Inspect) -> None:
    sample = Sample("edge")
    edge = datetime.min if hours > 0 else datetime.max
    sample.trace.start_time = edge.replace(tzinfo=timezone(timedelta(hours=hours)))
    assert "edge  ✓ completed" in inspect(sample.trace)


def test_a_count_that_no_model_ever_reached_is_shown(inspect: Inspect) -> None:
    sample = Sample("huge")
    sample.node("call", "llm_call", metadata={"gen_ai.usage.input_tokens": 10**400})
    assert "[llm_call] call" in inspect(sample.trace)
    assert diff(sample.trace, Sample("huge").trace).changes
