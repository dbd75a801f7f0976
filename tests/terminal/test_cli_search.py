"""`logtracer search`: which steps of which runs."""

from __future__ import annotations

import gc
import json
import shlex
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from logtracer import Node, save_trace_json
from logtracer_cli import cell_width, main
from logtracer_extras.analysis import measure
from logtracer_extras.terminal._options import traces_of
from sample_traces import START, Sample, failing, support_agent

Search = Callable[..., list[str]]


@pytest.fixture
def search(empty_directory: Path, capsys: pytest.CaptureFixture[str]) -> Search:
    """Search a store of two runs, return the lines."""
    store = empty_directory / "traces"
    save_trace_json(support_agent(), store / f"{support_agent().trace_id}.json")
    batch = Sample("nightly-batch", 2.0, "c1177d3e")
    coder = batch.node("coder", "sub_agent", 0.0, 2.0)
    turn = batch.node("turn 3", "custom", 0.0, 2.0, parent=coder)
    error = failing(error_type="RateLimit", error="429, retry after 1s")
    batch.node("chat", "llm_call", 0.0, 1.0, parent=turn, **error)
    batch.trace.start_time = START - timedelta(hours=1)
    save_trace_json(batch.trace, store / f"{batch.trace.trace_id}.json")
    save_trace_json(Sample("idle", 0.0, "aa").trace, store / "aa.json")

    def run(*arguments: str, code: int = 0) -> list[str]:
        assert main(["search", *arguments]) == code
        return capsys.readouterr().out.splitlines()

    return run


FOUND = [
    "7f3a9c21  support-agent  2026-11-22 18:24:23Z",
    "  0000000f  ✗ custom answer / llm_call chat #1",
    "            error: «RateLimit»: 429, retry after 1s",
    "  00000012  ✗ custom answer / tool_call send_email",
    "            error: «TimeoutError»: smtp did not answer in 800 ms",
    "c1177d3e  nightly-batch  2026-11-22 17:24:23Z",
    "  00000004  ✗ sub_agent coder / custom turn 3 / llm_call chat",
    "            error: «RateLimit»: 429, retry after 1s",
    "",
    "3 matches in 2 of 3 traces",
    "look at one: logtracer inspect 7f3a9c21 --node 0000000f",
]


def test_search_shows_where_each_match_is(search: Search) -> None:
    assert search("error:RateLimit OR error:TimeoutError") == FOUND


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["my traces"], "7f3a9c21 --store 'my traces'"),
        (["--store", "my traces"], "7f3a9c21 --store 'my traces'"),
        (["latest", "--store", "my traces"], "latest --store 'my traces'"),
        (["my traces/7f3a9c21.json"], "'my traces/7f3a9c21.json'"),
    ],
)
def test_search_says_where_to_look_in_words_that_find_it(
    arguments: list[str], named: str, search: Search
) -> None:
    save_trace_json(support_agent(), "my traces/7f3a9c21.json")
    hint = search("name:plan", *arguments)[-1]
    assert hint == f"look at one: logtracer inspect {named} --node 00000002"
    assert main([*shlex.split(hint.partition("logtracer ")[2])]) == 0


def test_search_in_ascii_says_the_same(search: Search) -> None:
    shown = search("error:RateLimit OR error:TimeoutError", "--ascii")
    expected = [line.replace("«", "[").replace("»", "]").replace("✗", "!!") for line in FOUND]
    assert shown == expected
    assert all(line.isascii() for line in shown)


def test_nothing_found_is_exit_code_1(search: Search) -> None:
    assert search("no-such-text", code=1) == ["nothing found in 3 traces"]


@pytest.mark.parametrize("query", ["duraton>2s", "(", "/(/", "dur>", ""])
def test_query_that_is_not_one_is_exit_code_2(
    query: str, search: Search, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["search", query])
    message = capsys.readouterr().err
    assert message.startswith("logtracer: filter: ")
    assert message.count("\n") == 1
    assert search(query, code=2) == []


def test_store_that_is_not_there_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "x", "--store", "nowhere"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_limit_ends_the_search(search: Search) -> None:
    assert search("type:llm_call", "--limit", "1")[-2].startswith(
        "the first 1 match in 1 of 1 trace"
    )


def test_one_trace_can_be_searched(search: Search) -> None:
    assert search("error:RateLimit", "c11")[-2] == "1 match in 1 of 1 trace"


def test_json_holds_each_match_with_its_path(search: Search) -> None:
    (match,) = json.loads("\n".join(search("error:RateLimit", "c11", "--json")))
    assert match["path"] == ["nightly-batch", "coder", "turn 3", "chat"]
    assert match["node_id"] == "0000000000000004"
    assert match["found"] == [{"where": "error", "text": "RateLimit: 429, retry after 1s"}]


def test_path_too_long_loses_its_beginning(search: Search) -> None:
    found = search("error:RateLimit", "c11", "--width", "52")
    assert found[1] == "  00000004  ✗ … / custom turn 3 / llm_call chat"


def test_match_deep_in_a_long_text_is_shown_in_the_middle(search: Search) -> None:
    sample = Sample("long", 1.0, "bb")
    sample.node("step", "custom", output_data={"text": "x" * 500 + "needle" + "y" * 500})
    save_trace_json(sample.trace, "traces/bb.json")
    (line,) = (line for line in search("needle") if "needle" in line)
    assert "«needle»" in line
    assert cell_width(line) <= 80


@pytest.mark.parametrize("width", [60, 80, 100])
def test_search_fits_the_width(width: int, search: Search) -> None:
    shown = search("type:llm_call OR type:tool_call", "--width", str(width))
    assert all(cell_width(line) <= width for line in shown[:-1])  # the last is a command


def test_runs_that_were_read_are_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(9):
        save_trace_json(Sample("run", 1.0, f"{number:x}").trace, tmp_path / f"{number:x}.json")
    monkeypatch.setattr("logtracer_extras.terminal._options._COLLECTED", 2)
    gc.collect()
    gc.disable()
    try:
        alive = []
        for trace in traces_of(None, str(tmp_path)):
            trace.add_node(Node("child", 1, "child", parent_id=trace.root_nodes[0].id))
            run = measure(trace)  # parents and children that hold each other
            alive.append(sum(type(thing) is type(run.steps[0]) for thing in gc.get_objects()))
    finally:
        gc.enable()
    assert max(alive) <= 6  # of two or three runs, not of nine


@pytest.mark.parametrize("is_on", [True, False])
def test_the_collector_is_left_as_it_was(is_on: bool, search: Search) -> None:
    if not is_on:
        gc.disable()
    try:
        search("name:chat")
        assert gc.isenabled() is is_on
    finally:
        gc.enable()
