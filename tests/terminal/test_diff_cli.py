"""`logtracer diff` and `logtracer why`: forms, habits of git, exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from logtracer import NodeStatus, save_trace_json
from logtracer_cli import main
from needs import needs
from sample_runs import GOLDEN, GOLDEN_ASCII, support
from sample_traces import Sample


@pytest.fixture
def runs(empty_directory: Path) -> list[str]:
    """Return the names of four stored runs; the last two fail."""
    names = []
    for number, (seconds, stock) in enumerate([(1, 3), (2, 3), (1, 0), (1, 0)]):
        status = NodeStatus.COMPLETED if stock else NodeStatus.FAILED
        sample = Sample("order", 3.0, f"{number}a")
        tokens = {"gen_ai.request.model": "large", "gen_ai.usage.input_tokens": 10 + stock}
        sample.node("plan", "llm_call", 0, seconds, output_data={"id": number}, metadata=tokens)
        error = None if stock else "none left"
        sample.node("look_up", "tool_call", 2, 3, status=status, error=error)
        names.append(f"{number}.json")
        save_trace_json(sample.trace, names[-1])
    return names


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main([*arguments, "--color", "never", "--no-pager"])
    return code, capsys.readouterr().out


def test_equal_runs_say_nothing_and_exit_with_0(
    runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, "diff", *runs[:2], "--ignore", "output.id", "--exit-code") == (0, "")
    assert said(capsys, "diff", *runs[:2], "--ignore", "output") == (0, "")


def test_runs_that_differ_exit_with_1_in_every_form(
    runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(capsys, "diff", runs[0], runs[2])
    assert code == 1 and "~ tool_call look_up" in text and "+    error: none left" in text
    code, text = said(capsys, "diff", runs[0], runs[2], "--brief", "--ascii")
    assert (code, text.count("\n"), text.isascii()) == (1, 1, True)
    code, text = said(capsys, "diff", runs[0], runs[2], "--stat")
    assert code == 1 and "1 changed" in text
    code, text = said(capsys, "diff", runs[0], runs[2], "--json")
    assert code == 1 and json.loads(text)["same"] is False


def test_time_is_a_difference_on_request(
    runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(capsys, "diff", *runs[:2], "--timing", "--ignore", "output.id")
    assert code == 1 and "> llm_call plan" in text and "+100%" in text
    options = ("--timing", "--time-pct", "200", "--ignore", "output.id")
    assert said(capsys, "diff", *runs[:2], *options)[0] == 0


def test_prices_make_cost_a_difference(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("prices.json").write_text('{"large": {"input": 1000, "output": 1000}}', encoding="utf-8")
    _, text = said(capsys, "diff", runs[0], runs[2], "--prices", "prices.json")
    assert "cost -$0.0030" in text


def test_trouble_exits_with_2(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([runs[0]], [runs[0], "gone.json"], [*runs[:2], "--mask", "("]):
        assert main(["diff", *arguments]) == 2
        assert capsys.readouterr().err.startswith("logtracer: diff: ")


def test_several_runs_are_compared_as_groups(
    runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(capsys, "diff", runs[0], runs[1], runs[2])
    assert code == 0 and "--- a  1 trace\n+++ b  2 traces" in text and "flaky in b" in text
    code, text = said(capsys, "diff", *runs[:2], "--against", *runs[2:], "--json")
    assert json.loads(text)["runs"] == {"before": 2, "after": 2}


@pytest.mark.parametrize(
    "options",
    [["--ignore", "output"], ["--mask", "x"], ["--timing"], ["--stat"], ["--html", "p.html"]],
    ids=lambda options: options[0],
)
def test_what_only_two_runs_can_be_asked_is_refused_for_groups(
    runs: list[str], capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert main(["diff", *runs[:3], *options]) == 2
    assert capsys.readouterr().err.startswith(f"logtracer: diff: {options[0]} is for two traces")


def test_bounds_of_time_without_timing_are_refused(
    runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", *runs[:2], "--time-min", "5"]) == 2
    assert "go with --timing" in capsys.readouterr().err


def test_groups_have_a_brief_form_a_limit_and_prices(
    runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("prices.json").write_text('{"large": {"input": 1000, "output": 1000}}', encoding="utf-8")
    code, text = said(capsys, "diff", *runs[:3], "--brief", "--ascii", "--exit-code")
    assert (code, text) == (0, "0 different | 1 flaky | 2 alike\n")
    _, text = said(capsys, "diff", *runs[:3], "--limit", "1")
    assert "2 more lines" in text
    _, text = said(capsys, "diff", *runs[:3], "--json", "--prices", "prices.json")
    assert json.loads(text)["steps"][1]["before"]["cost"]["median"] == 0.013


def test_the_terminal_says_it_to_the_letter_in_colour_and_in_ascii(
    empty_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needs("rich")
    price = {"input": 10, "output": 0}
    Path("prices.json").write_text(json.dumps({"large-1": price, "small-1": price}))
    for name, is_bad in (("a.json", False), ("b.json", True)):
        save_trace_json(support(is_bad=is_bad), name)
    command = ["diff", "a.json", "b.json", "--prices", "prices.json", "--no-pager"]
    assert main([*command, "--ascii", "--color", "never"]) == 1
    assert capsys.readouterr().out == GOLDEN_ASCII + "\n"
    assert main([*command, "--color", "always", "--width", "80"]) == 1
    coloured = capsys.readouterr().out
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == GOLDEN + "\n"
    signs = dict(re.findall(r"\x1b\[([0-9;]+)m([-+~]) ", coloured))
    assert sorted(signs.values()) == ["+", "-", "~"]  # a colour for each


def test_why_explains_failures_and_says_1_when_there_are_none(
    runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(capsys, "why", runs[2])
    assert code == 0 and text.startswith("! tool_call look_up")
    assert said(capsys, "why", runs[0]) == (
        1,
        "no node failed; to compare it with another: logtracer diff\n",
    )
    code, text = said(capsys, "why", runs[2], "0003", "--json")
    assert code == 0 and json.loads(text)[0]["node"]["name"] == "look_up"
    assert main(["why", runs[2], "nope"]) == 1
