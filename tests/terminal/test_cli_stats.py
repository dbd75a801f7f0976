"""`logtracer stats`: where time, tokens and money went, in one run or a whole store."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from logtracer import TraceGraph, save_trace_json
from logtracer_cli import cell_width, main
from sample_traces import PRICES, Sample, support_agent, usage, weather

Stats = Callable[..., str]


@pytest.fixture
def stats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Stats:
    """Write a trace, show its statistics with flags, return what was printed."""
    (tmp_path / "prices").write_text(PRICES)

    def run(trace: TraceGraph, *flags: str) -> str:
        save_trace_json(trace, tmp_path / "run.json")
        arguments = [str(tmp_path / "run.json"), "--prices", str(tmp_path / "prices")]
        assert main(["stats", *arguments, *flags]) == 0
        return capsys.readouterr().out

    return run


UNICODE = """\
support-agent  7f3a9c21   12.40s wall · 15.80s work · parallelism 1.3x

BY NAME                       N  ERR    TOTAL     SELF     P50     P95  SHARE
llm_call chat                 5    1    7.70s    7.70s   1.50s   2.10s  █████
custom answer                 1    1    6.20s    1.10s   6.20s   6.20s  ████
custom gather                 1    0    4.30s      0ms   4.30s   4.30s  ███
sub_agent researcher          1    0    4.30s      0ms   4.30s   4.30s  ███
tool_call web_search          4    0    4.00s    4.00s   1.00s   1.00s  ██
sub_agent sql                 1    0    2.10s    1.00s   2.10s   2.10s  █
decision plan                 1    0    1.90s    100ms   1.90s   1.90s  █
tool_call send_email          1    1    800ms    800ms   800ms   800ms  █
llm_call chat_small           1    0    700ms    700ms   700ms   700ms  ▌
tool_call vector_lookup       1    0    400ms    400ms   400ms   400ms  ▌

BY MODEL                           N         IN       OUT    CACHED       COST
large-1                            5     18,000     1,400         0    $0.0750
small-1                            1      1,500       200         0    $0.0012

RETRIES  2 failed attempts · 3.60s spent · 1.10s waited
         8.2k tokens · $0.0270

CRITICAL PATH  12.40s of 12.40s
  decision plan / llm_call chat                                    1.80s    14%
  custom gather / sub_agent researcher (itself)                    1.10s     8%
  sub_agent researcher / tool_call web_search                      1.00s     8%
  sub_agent researcher / tool_call web_search                      1.00s     8%
  sub_agent researcher / llm_call chat                             1.20s     9%
  custom answer / llm_call chat                                    2.10s    16%
  custom answer / waiting for the next try                         1.10s     8%
  custom answer / llm_call chat                                    1.50s    12%
  custom answer / llm_call chat_small                              700ms     5%
  custom answer / tool_call send_email                             800ms     6%
  1 shorter part: 100ms
"""

ASCII = """\
support-agent  7f3a9c21   12.40s wall | 15.80s work | parallelism 1.3x

BY NAME                       N  ERR    TOTAL     SELF     P50     P95  SHARE
llm_call chat                 5    1    7.70s    7.70s   1.50s   2.10s  #####
custom answer                 1    1    6.20s    1.10s   6.20s   6.20s  ####
custom gather                 1    0    4.30s      0ms   4.30s   4.30s  ###
sub_agent researcher          1    0    4.30s      0ms   4.30s   4.30s  ###
tool_call web_search          4    0    4.00s    4.00s   1.00s   1.00s  ##
sub_agent sql                 1    0    2.10s    1.00s   2.10s   2.10s  #
decision plan                 1    0    1.90s    100ms   1.90s   1.90s  #
tool_call send_email          1    1    800ms    800ms   800ms   800ms  #
llm_call chat_small           1    0    700ms    700ms   700ms   700ms  =
tool_call vector_lookup       1    0    400ms    400ms   400ms   400ms  =

BY MODEL                           N         IN       OUT    CACHED       COST
large-1                            5     18,000     1,400         0    $0.0750
small-1                            1      1,500       200         0    $0.0012

RETRIES  2 failed attempts | 3.60s spent | 1.10s waited
         8.2k tokens | $0.0270

CRITICAL PATH  12.40s of 12.40s
  decision plan / llm_call chat                                    1.80s    14%
  custom gather / sub_agent researcher (itself)                    1.10s     8%
  sub_agent researcher / tool_call web_search                      1.00s     8%
  sub_agent researcher / tool_call web_search                      1.00s     8%
  sub_agent researcher / llm_call chat                             1.20s     9%
  custom answer / llm_call chat                                    2.10s    16%
  custom answer / waiting for the next try                         1.10s     8%
  custom answer / llm_call chat                                    1.50s    12%
  custom answer / llm_call chat_small                              700ms     5%
  custom answer / tool_call send_email                             800ms     6%
  1 shorter part: 100ms
"""


def test_stats_of_several_agents(stats: Stats) -> None:
    assert stats(support_agent()) == UNICODE


def test_stats_in_ascii_say_the_same(stats: Stats) -> None:
    assert stats(support_agent(), "--ascii") == ASCII
    assert ASCII.isascii()


@pytest.mark.parametrize("width", [60, 70, 80, 120])
def test_stats_fit_the_width(width: int, stats: Stats) -> None:
    lines = stats(support_agent(), "--width", str(width)).splitlines()
    assert all(cell_width(line) <= width for line in lines)


def test_narrow_stats_leave_out_the_median_before_the_names(stats: Stats) -> None:
    lines = stats(support_agent(), "--width", "60").splitlines()
    assert lines[3].split() == ["BY", "NAME", "N", "ERR", "TOTAL", "SELF", "P95"]
    assert lines[6].startswith("custom gather ")
    assert lines[7].startswith("sub_agent researcher ")


def test_unknown_price_is_a_dash_never_zero(stats: Stats) -> None:
    sample = Sample("run", 1.0)
    facts = {"gen_ai.request.model": "odd", "gen_ai.usage.input_tokens": 10}
    sample.node("chat", "llm_call", 0.0, 1.0, metadata=facts)
    row = next(line for line in stats(sample.trace).splitlines() if line.startswith("odd"))
    assert row.split() == ["odd", "1", "10", "0", "0", "-"]


def test_waste_that_leaves_calls_out_says_so(stats: Stats) -> None:
    sample = Sample("run", 3.0)
    models = ("large-1", "odd", "large-1")
    tries = [
        sample.node("chat", "llm_call", at, at + 1.0, metadata=usage(model, 1_000_000, 0))
        for at, model in enumerate(models)
    ]
    for earlier, later in zip(tries, tries[1:]):
        sample.link(earlier, later, "retry_of")
    assert "2.0M tokens · $3.00+\n" in stats(sample.trace)


def test_limit_says_how_much_is_left_out(stats: Stats) -> None:
    assert "9 more names: --limit 0 shows all\n" in stats(support_agent(), "--limit", "1")
    assert "more names" not in stats(support_agent(), "--limit", "0")


def test_json_holds_the_numbers(stats: Stats) -> None:
    document = json.loads(stats(support_agent(), "--json"))
    assert document["runs"] == 1
    assert document["wall_ms"] == 12_400
    assert document["by_name"][0]["name"] == "chat"
    assert document["by_model"][0]["cost"] == pytest.approx(0.075)
    assert sum(part["time_ms"] for part in document["critical_path"]) == 12_400


def test_stats_of_a_store_add_its_runs_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        trace = support_agent()
        trace.trace_id = f"{number:032x}"
        save_trace_json(trace, tmp_path / f"{trace.trace_id}.json")
    (tmp_path / "broken.json").write_text("{")
    assert main(["stats", "--store", str(tmp_path)]) == 0
    written = capsys.readouterr()
    assert written.out.startswith("3 traces   37.20s wall")
    assert "CRITICAL PATH" not in written.out
    assert "broken.json" in written.err
    assert written.err.endswith("; left out\n")


def test_stats_of_an_instant_run_and_of_nothing(
    tmp_path: Path, stats: Stats, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "weather_agent" in stats(weather())
    (tmp_path / "empty").mkdir()
    assert main(["stats", str(tmp_path / "empty")]) == 0
    assert capsys.readouterr().out == "0 traces   0ms wall · 0ms work\n"


@pytest.mark.parametrize("content", ["{", "[]", '{"m": {"input": -1, "output": 1}}'])
def test_bad_prices_are_one_line(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prices").write_text(content)
    save_trace_json(weather(), tmp_path / "run.json")
    arguments = [str(tmp_path / "run.json"), "--prices", str(tmp_path / "prices")]
    assert main(["stats", *arguments]) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"logtracer: {tmp_path / 'prices'}: ")
    assert message.count("\n") == 1


def test_prices_may_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prices").write_text(PRICES)
    monkeypatch.setenv("LOGTRACER_PRICES", str(tmp_path / "prices"))
    save_trace_json(support_agent(), tmp_path / "run.json")
    assert main(["stats", str(tmp_path / "run.json")]) == 0
    assert "$0.0750" in capsys.readouterr().out
