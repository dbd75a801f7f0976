"""Laws that good runs have in common: what is learned, what breaks them, what is a false alarm."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT
from law_agents import REGRESSIONS, Agent, Step, bad_run, good_runs, run_of
from logtracer import TraceGraph, save_trace_json
from logtracer_extras.check import Law, LawError, broken, law_tests, learn

AGENT = Agent(1)
LAWS = learn(good_runs(AGENT, 20))


def texts(traces: list[TraceGraph]) -> list[str]:
    return [law.text for law in learn(traces)]


def run(*names: str, **given: Any) -> TraceGraph:
    return run_of([Step(name, given=dict(given), result={"ok": True}) for name in names])


def test_other_good_runs_break_no_law() -> None:
    assert LAWS
    assert [broken(LAWS, trace) for trace in good_runs(AGENT, 20, first=500)] == [[]] * 20


@pytest.mark.parametrize("regression", REGRESSIONS, ids=lambda regression: regression.__name__)
def test_each_kind_of_change_breaks_a_law(
    regression: Callable[[list[Step], Agent], None],
) -> None:
    trace = bad_run(AGENT, 900, regression)
    found = broken(LAWS, trace)
    assert found
    assert {finding.kind for finding in found} == {"broken_law"}
    assert all(node in trace.nodes for finding in found for node in finding.nodes)


def test_a_few_runs_teach_nothing() -> None:
    assert learn([run("a", "b")] * 5) == []
    assert learn([]) == []


def test_laws_are_sentences_and_implied_orders_are_left_out() -> None:
    assert texts([run("a", "b", "c")] * 20) == [
        "a runs once",
        "a never fails",
        "b runs once",
        "b never fails",
        "c runs once",
        "c never fails",
        "b runs only after a",
        "c runs only after b",
        "a has output.ok",
        "output.ok of a is true or false",
        "b has output.ok",
        "output.ok of b is true or false",
        "c has output.ok",
        "output.ok of c is true or false",
        "a run takes at most 4 tool calls",
        "nothing runs but a, b, c",
    ]


def test_what_runs_in_either_order_has_none() -> None:
    assert not [text for text in texts([run("a", "b"), run("b", "a")] * 10) if "after" in text]


def test_values_are_few_or_in_a_range_or_free() -> None:
    few = texts([run("a", region=region) for region in ("eu", "us") * 15])
    assert "input.region of a is one of: eu, us" in few
    ranged = texts([run("a", page=number) for number in range(20)])
    assert "input.page of a is from -19 to 38" in ranged
    free = texts([run("a", query=f"about {number}") for number in range(20)])
    assert [text for text in free if "query" in text] == [
        "a has input.query",
        "input.query of a is a text",
    ]


def test_a_value_seen_once_is_no_closed_list() -> None:
    traces = [run("a", region="eu")] * 29 + [run("a", region="us")]
    assert "input.region of a is one of: eu, us" not in texts(traces)


def test_a_number_at_the_end_of_a_name_makes_no_new_one() -> None:
    laws = learn([run("turn 1", "turn 2")] * 20)
    known = [law for law in laws if law.kind == "known"]
    assert broken(known, run("turn 1", "turn 2", "turn 3")) == []
    assert broken(known, run("turn 1", "shell"))[0].evidence == "here shell"


def test_a_broken_law_says_what_held_and_what_does_not() -> None:
    laws = learn([run("confirm", "delete")] * 20)
    found = [finding.message for finding in broken(laws, run("delete"))]
    assert "delete runs only after confirm, as in 20 good runs; here without it" in found
    assert "confirm runs once, as in 20 good runs; here never" in found


def test_laws_survive_their_document() -> None:
    document = json.loads(json.dumps([law.to_dict() for law in LAWS]))
    assert [Law.from_dict(item) for item in document] == LAWS
    with pytest.raises(LawError, match="known kinds: count"):
        Law.from_dict({"kind": "gravity"})


def test_names_that_read_alike_share_a_test_and_no_law_gives_none() -> None:
    text = law_tests(learn([run("Look up", "look-up")] * 20), agent="a", path="run.json")
    assert text.count("def test_look_up(") == 1
    assert "'Look up'" in text
    assert "'look-up'" in text
    with pytest.raises(LawError, match="14 good runs"):
        law_tests([], agent="a", path="run.json")


def test_the_tests_of_laws_pass_for_a_good_run_and_fail_for_a_bad_one(tmp_path: Path) -> None:
    outcomes = []
    for trace in (good_runs(AGENT, 1, first=700)[0], bad_run(AGENT, 700, REGRESSIONS[2])):
        save_trace_json(trace, tmp_path / "run.json")
        text = law_tests(LAWS, agent="agent", path=str(tmp_path / "run.json"))
        (tmp_path / "test_laws_of_agent.py").write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
        environment = {"PYTHONPATH": str(ROOT), "PATH": "", "PYTHONHASHSEED": "0"}
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True)
        outcomes.append(done.returncode)
    assert outcomes == [0, 1]
