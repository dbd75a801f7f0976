"""`logtracer inspect --timeline`: when each step ran, as a tree with bars."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logtracer import TraceGraph, save_trace_json
from logtracer_cli import Pen, cell_width, main
from logtracer_extras.analysis import measure
from logtracer_extras.terminal._timeline import timeline_lines as lines
from sample_traces import PRICES, Sample, failing, support_agent, usage

Timeline = Callable[..., list[str]]

UNICODE = """\
support-agent  ✗ failed   7f3a9c21   2026-11-22 18:24:23Z   12.40s
18 nodes · 6 llm_call · 6 tool_call · 2 custom · 2 sub_agent · 1 decision
4 errors · 1 retry · 1 fallback
tokens 19,500 in / 1,600 out · cost $0.0762 · critical path 12.40s (100%)

NODE                                      0s      12.40s    TIME    TOK    COST
✗ trace support-agent                     ██████████████  12.40s  21.1k $0.0762
├─ ✓ decision plan                        ██▌···········   1.90s   1.4k $0.0066
│  └─ ✓ llm_call chat                     ██▌···········   1.80s   1.4k $0.0066
├─ ✓ custom gather  [3 parallel]          ··█████·······   4.30s   9.8k $0.0414
│  ├─ ✓ sub_agent research…  [2 parallel] ··█████·······   4.30s   5.1k $0.0225
│  │  ├─ ✓ tool_call web_search x4        ··███▌········   3.10s
│  │  └─ ✓ llm_call chat                  ·····▌█·······   1.20s   5.1k $0.0225
│  ├─ ✓ sub_agent sql                     ··██▌·········   2.10s   4.7k $0.0189
│  │  └─ ✓ llm_call chat                  ··█▌··········   1.10s   4.7k $0.0189
│  └─ ✓ tool_call vector_lookup           ··▌···········   400ms
└─ ✗ custom answer                        ·······███████   6.20s   9.9k $0.0282
   ├─ ✗ llm_call chat  #1                 ·······██▌····   2.10s   4.1k $0.0135
   │     RateLimit: 429, retry after 1s
   ├─ ↻ llm_call chat  #2 (retry)         ··········▌█▌·   1.50s   4.1k $0.0135
   ├─ ⇢ llm_call chat_small (fallback)    ············▌▌   700ms   1.7k $0.0012
   └─ ✗ tool_call send_email              ·············█   800ms
         TimeoutError: smtp did not answer in 800 ms
"""

ASCII = """\
support-agent  !! failed   7f3a9c21   2026-11-22 18:24:23Z   12.40s
18 nodes | 6 llm_call | 6 tool_call | 2 custom | 2 sub_agent | 1 decision
4 errors | 1 retry | 1 fallback
tokens 19,500 in / 1,600 out | cost $0.0762 | critical path 12.40s (100%)

NODE                                      0s      12.40s    TIME    TOK    COST
!! trace support-agent                    ##############  12.40s  21.1k $0.0762
+- ok decision plan                       ##=...........   1.90s   1.4k $0.0066
|  `- ok llm_call chat                    ##=...........   1.80s   1.4k $0.0066
+- ok custom gather  [3 parallel]         ..#####.......   4.30s   9.8k $0.0414
|  +- ok sub_agent resea...  [2 parallel] ..#####.......   4.30s   5.1k $0.0225
|  |  +- ok tool_call web_search x4       ..###=........   3.10s
|  |  `- ok llm_call chat                 .....=#.......   1.20s   5.1k $0.0225
|  +- ok sub_agent sql                    ..##=.........   2.10s   4.7k $0.0189
|  |  `- ok llm_call chat                 ..#=..........   1.10s   4.7k $0.0189
|  `- ok tool_call vector_lookup          ..=...........   400ms
`- !! custom answer                       .......#######   6.20s   9.9k $0.0282
   +- !! llm_call chat  #1                .......##=....   2.10s   4.1k $0.0135
   |     RateLimit: 429, retry after 1s
   +- re llm_call chat  #2 (retry)        ..........=#=.   1.50s   4.1k $0.0135
   +- fb llm_call chat_small (fallback)   ............==   700ms   1.7k $0.0012
   `- !! tool_call send_email             .............#   800ms
         TimeoutError: smtp did not answer in 800 ms
"""


@pytest.fixture
def timeline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Timeline:
    """Write a trace, show its timeline with flags, return the lines."""
    (tmp_path / "prices.json").write_text(PRICES)

    def run(trace: TraceGraph, *flags: str) -> list[str]:
        save_trace_json(trace, tmp_path / "run.json")
        arguments = [str(tmp_path / "run.json"), "--prices", str(tmp_path / "prices.json")]
        assert main(["inspect", *arguments, "--timeline", *flags]) == 0
        return capsys.readouterr().out.splitlines()

    return run


def test_timeline_of_several_agents(timeline: Timeline) -> None:
    assert timeline(support_agent()) == UNICODE.splitlines()


def test_timeline_in_ascii_says_the_same(timeline: Timeline) -> None:
    assert timeline(support_agent(), "--ascii") == ASCII.splitlines()
    assert ASCII.isascii()
    assert ASCII.count("\n") == UNICODE.count("\n")


@pytest.mark.parametrize("width", [44, 50, 60, 80, 132])
def test_timeline_fits_the_width(width: int, timeline: Timeline) -> None:
    flags = ("--width", str(width))
    assert all(cell_width(line) <= width for line in timeline(support_agent(), *flags))


def test_narrow_timeline_leaves_out_money_and_tokens_then_the_bar(timeline: Timeline) -> None:
    wide, narrow = (
        next(line for line in timeline(support_agent(), "--width", width) if "NODE" in line)
        for width in ("59", "40")
    )
    assert wide.split() == ["NODE", "0s", "12.40s", "TIME"]
    assert narrow.split() == ["NODE", "TIME"]


def test_marks_leave_a_name_its_room(timeline: Timeline) -> None:
    lines = timeline(support_agent(), "--width", "70", "--depth", "0")
    names = [line[:32].rstrip() for line in lines]
    assert "│  ├─ ✓ sub_agent researcher" in names
    assert "   ├─ ⇢ llm_call chat_small" in names


def test_sum_that_leaves_calls_out_says_so(timeline: Timeline) -> None:
    sample = Sample("mixed", 1.0)
    sample.node("known", "llm_call", 0.0, 0.5, metadata=usage("large-1", 1_000_000, 0))
    sample.node("unknown", "llm_call", 0.5, 1.0, metadata=usage("odd", 10, 0))
    lines = timeline(sample.trace)
    ends = [line.split()[-1] for line in lines[-4:]]
    assert ends == ["COST", "$3.00+", "$3.00", "-"]
    assert max(map(cell_width, lines)) <= 80


def test_no_bars_leaves_the_columns(timeline: Timeline) -> None:
    assert not any("█" in line for line in timeline(support_agent(), "--no-bars"))


def test_depth_hides_nodes_but_never_a_failed_one(timeline: Timeline) -> None:
    shown = timeline(support_agent(), "--depth", "1")
    assert any("send_email" in line for line in shown)
    assert not any("vector_lookup" in line for line in shown)
    assert shown[-2] == "12 nodes hidden by --depth 1."
    assert shown[-1].startswith("Show all: logtracer inspect ")
    assert shown[-1].endswith(" --timeline --depth 0")


def test_folded_neighbours_are_alike_in_every_way(timeline: Timeline) -> None:
    sample = Sample("run", 4.0)
    for number, name in enumerate(["a", "a", "b", "a", "a"]):
        sample.node(name, "custom", number * 0.5, number * 0.5 + 0.5)
    sample.node("a", "custom", 3.0, 4.0, **failing(error="no"))
    shown = [line for line in timeline(sample.trace) if "─ " in line]
    rows = [line.split(" custom ")[1].split("  ")[0] for line in shown]
    assert rows == ["a x2", "b", "a x2", "a"]


def test_inferred_retry_is_marked_as_inferred(timeline: Timeline) -> None:
    sample = Sample("run", 4.0)
    sample.node("search", "tool_call", 0, 1, input_data={"q": "a"}, **failing(error="no"))
    sample.node("search", "tool_call", 1, 2, input_data={"q": "a"})
    assert any("  #2 (retry, inferred)" in line for line in timeline(sample.trace))


def test_lost_nodes_are_drawn_and_marked_detached(timeline: Timeline) -> None:
    sample = Sample("run", 1.0)
    sample.node("orphan", "custom", 0.2, 0.4, parent="gone")
    assert any("custom orphan  detached" in line for line in timeline(sample.trace))


def test_ten_thousand_nested_steps_draw(timeline: Timeline) -> None:
    sample = Sample("run", 1.0)
    parent = sample.root
    for number in range(10_000):
        parent = sample.node(f"n{number}", "custom", 0.0, 1.0, parent=parent)
    shown = timeline(sample.trace, "--depth", "0")
    assert sum("custom n" in line for line in shown) == 10_000
    assert max(map(cell_width, shown)) <= 80


SPANS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 5)), max_size=8)


@given(SPANS, st.integers(40, 100))
def test_every_step_leaves_a_mark_and_no_line_is_too_wide(
    spans: list[tuple[int, int, int]], width: int
) -> None:
    sample = Sample("run", 50.0)
    nodes = [sample.root]
    for number, (start, length, parent) in enumerate(spans):
        above = nodes[min(parent, number)]
        nodes.append(sample.node(f"n{number}", "custom", start, start + length, parent=above))
    style = Pen(width=width)
    drawn = [style.text(line) for line in lines(measure(sample.trace), style)]
    assert len(drawn) == len(nodes) + 1
    assert all(cell_width(line) <= width for line in drawn)
    if "0s" in drawn[0]:
        assert all("█" in line or "▌" in line for line in drawn[1:])
