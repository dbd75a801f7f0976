"""`logtracer check`: what it prints, what it answers with, and the laws it learns."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from law_agents import REGRESSIONS, Agent, bad_run, good_runs
from logtracer import TraceGraph, save_trace_json
from logtracer_cli import main
from logtracer_extras.testing import TraceBuilder


def looping() -> TraceGraph:
    builder = TraceBuilder("agent")
    for number in range(3):
        builder.node("chat", "llm_call", input={"n": number}, tokens=(1_000, 50))
        builder.node("search", "tool_call", input={"q": "a"}, output={"hits": []})
    return builder.trace


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["check", *arguments])
    return code, capsys.readouterr().out


@pytest.fixture
def run(empty_directory: Path) -> str:
    save_trace_json(looping(), "run.json")
    return "run.json"


def test_findings_name_their_nodes_and_what_they_wasted(
    run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(capsys, run, "--ascii")
    assert code == 1
    assert text == (
        "agent  00000000\n"
        "  repeated_call  search was called 3 times with the same result\n"
        "    {'hits': []}\n"
        "    search 00000003, search 00000005, search 00000007, 2.1k tokens wasted\n"
        "\n"
        "1 finding in 1 trace\n"
    )


def test_a_run_in_which_nothing_is_wrong_is_answered_with_0(
    run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, run, "--ignore", "repeated_call") == (0, "nothing found in 1 trace\n")


def test_findings_as_json(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, run, run, "--json")
    assert code == 1
    assert [item["kind"] for item in json.loads(text)] == ["repeated_call"] * 2


def test_trouble_is_answered_with_2(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("laws.json").write_text("{}")
    for arguments in (
        ["missing.json"],
        [run, "--laws", "missing.json"],
        [run, "--laws", "laws.json"],
        [run, "--learn", "--laws", "laws.json"],
        [run, "--write-test"],
        ["latest", "--write-test", "--laws", "laws.json"],
    ):
        assert main(["check", *arguments]) == 2, arguments
        assert capsys.readouterr().err


def test_laws_are_learned_kept_and_held_against_a_run(
    empty_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = Agent(2)
    for number, trace in enumerate(good_runs(agent, 20)):
        save_trace_json(trace, f"good{number}.json")
    code, text = said(capsys, "--learn", *(f"good{number}.json" for number in range(20)))
    assert code == 0
    Path("laws.json").write_text(text)
    save_trace_json(bad_run(agent, 99, REGRESSIONS[2]), "bad.json")
    assert said(capsys, "good0.json", "--laws", "laws.json")[0] == 0
    code, text = said(capsys, "bad.json", "--laws", "laws.json")
    assert code == 1
    assert "broken_law  delete runs only after confirm, as in 20 good runs" in text
    code, text = said(capsys, "good0.json", "--laws", "laws.json", "--write-test")
    assert code == 0
    assert "assert_never_without(trace, 'delete', 'confirm')" in text
    ast.parse(text)
