"""Replay: functions and requests answered from a trace, and what happens where it has no answer."""

from __future__ import annotations

import asyncio
import contextlib
import urllib.request
from typing import Any

import pytest

from logtracer import TraceGraph, Tracer, trace_node
from logtracer_extras.testing import TraceBuilder
from logtracer_extras.testing.flip import FlipError, flip
from logtracer_extras.testing.replay import (
    Replay,
    ReplayedFailure,
    ReplayError,
    replayable,
    replaying,
)

CALLS: list[Any] = []


@pytest.fixture(autouse=True)
def no_calls() -> None:
    CALLS.clear()


@trace_node(node_type="tool_call", capture_args=True, capture_return=True)
@replayable
def search(query: str, limit: int = 5) -> Any:
    CALLS.append(query)
    if query == "storm":
        raise TimeoutError("no answer")
    return [query.upper(), limit, len(CALLS)]


@trace_node(name="look_up", node_type="tool_call", capture_args=True, capture_return=True)
@replayable
async def find_later(key: str) -> dict[str, str]:
    CALLS.append(key)
    return {"found": key}


def recorded(*queries: str) -> TraceGraph:
    with Tracer().trace("agent") as root:
        for query in queries:
            search(query)
    CALLS.clear()
    return root.trace


def test_a_call_is_answered_as_it_was_and_not_made() -> None:
    trace = recorded("a", "b")
    with replaying(trace) as replay, Tracer().trace("agent") as root:
        assert search("b") == ["B", 5, 2]
        assert search("a", limit=5) == ["A", 5, 1]
    assert CALLS == []
    assert replay.problems == []
    assert [node.output_data for node in root.trace.nodes.values()][1:] == [
        {"return_value": ["B", 5, 2]},
        {"return_value": ["A", 5, 1]},
    ]


def test_without_a_trace_around_it_functions_are_called() -> None:
    assert search("a") == ["A", 5, 1]


def test_equal_calls_are_answered_in_their_order() -> None:
    with replaying(recorded("a", "a")):
        assert [search("a")[2], search("a")[2]] == [1, 2]


def test_a_call_too_many_fails() -> None:
    trace = recorded("a")
    with pytest.raises(ReplayError, match="more often than recorded .1 times"), replaying(trace):
        search("a")
        search("a")


def test_a_call_that_nobody_recorded_names_the_nearest_and_what_differs() -> None:
    trace = recorded("weather in Paris", "news")
    with pytest.raises(ReplayError) as caught, replaying(trace):
        search("weather in Oslo")
    node_id = list(trace.nodes)[1]
    assert str(caught.value) == (
        f"search was never called so; nearest is node {node_id}, which differs in\n"
        "  input.query: 'weather in Paris' -> 'weather in Oslo'"
    )
    with pytest.raises(ReplayError, match="never called; recorded: agent, search"):
        Replay(trace).take("find_later", {"key": "x"})


def test_a_problem_that_the_agent_swallowed_fails_the_block() -> None:
    quiet, trace = contextlib.suppress(LookupError), recorded("a")
    with pytest.raises(ReplayError, match="never called so"), replaying(trace), quiet:
        search("b")


def test_what_does_not_count_is_ignored_or_masked() -> None:
    with replaying(recorded("order 12"), mask=["[0-9]+"]):
        assert search("order 99")[0] == "ORDER 12"
    with replaying(recorded("a"), ignore=["input.query"]):
        assert search("b")[0] == "A"


def test_a_recorded_failure_is_raised_again_as_what_it_was() -> None:
    with Tracer().trace("agent") as root, pytest.raises(TimeoutError):
        search("storm")
    with replaying(root.trace), pytest.raises(TimeoutError, match="no answer"):
        search("storm")
    builder = TraceBuilder()
    builder.node("search", "tool_call", error="busy", error_type="shop.Busy")
    with replaying(builder.trace), pytest.raises(ReplayedFailure, match="shop.Busy: busy"):
        search("a")


def test_coroutines_are_answered_too_and_by_the_name_of_their_node() -> None:
    async def run() -> Any:
        return await find_later("key")

    with Tracer().trace("agent") as root:
        asyncio.run(run())
    with replaying(root.trace), Tracer().trace("agent"):
        assert asyncio.run(run()) == {"found": "key"}
    assert CALLS == ["key"]


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ({}, "its result was not recorded; use capture_return=True"),
        ({"return_value": {"a": ["[NON-SERIALIZABLE] X"]}}, "not recorded whole"),
        ({"return_value": "abc[TRUNCATED: original_size=9]"}, "not recorded whole"),
    ],
)
def test_a_result_that_was_not_recorded_is_not_made_up(output: Any, reason: str) -> None:
    builder = TraceBuilder()
    builder.node("search", "tool_call", output=output)
    with pytest.raises(ReplayError, match=reason), replaying(builder.trace):
        search("a")


def test_generators_are_refused_when_they_are_decorated() -> None:
    def items() -> Any:
        yield 1

    with pytest.raises(TypeError, match="items is a generator"):
        replayable(items)


def test_nothing_reaches_the_network_and_the_patch_goes() -> None:
    before = urllib.request.OpenerDirector.open
    with pytest.raises(ReplayError, match="//127.0.0.1:9/x is no recorded"), replaying(recorded()):
        urllib.request.urlopen("http://127.0.0.1:9/x?key=1")
    assert urllib.request.OpenerDirector.open is before
    with replaying(recorded(), passthrough=["127.0.0.1"]), pytest.raises(OSError):
        urllib.request.urlopen("http://127.0.0.1:9/x", timeout=2)


# ---- Which answers make a run fail -------------------------------------------------------------


def agent(queries: list[str]) -> int:
    return sum(search(query)[0] == "BAD" for query in queries)


def two_runs(bad: set[str]) -> tuple[TraceGraph, TraceGraph]:
    runs = []
    for wrong in (set[str](), bad):
        builder = TraceBuilder("agent")
        for query in "abcdefgh":
            answer = ["BAD" if query in wrong else f"{query} {len(wrong)}"]
            given = {"query": query, "limit": 5}
            builder.node("search", "tool_call", input=given, output={"return_value": answer})
        runs.append(builder.trace)
    return runs[0], runs[1]


def fails_with(least: int) -> Any:
    def fails(mixture: TraceGraph) -> bool:
        with replaying(mixture):
            return agent(list("abcdefgh")) >= least

    return fails


def test_the_one_answer_that_makes_a_run_fail_is_found() -> None:
    found = flip(*two_runs({"f"}), fails_with(1))
    assert [node.input_data["query"] for node in found] == ["f"]


def test_answers_that_fail_only_together_are_found_together() -> None:
    found = flip(*two_runs({"b", "g"}), fails_with(2))
    assert [node.input_data["query"] for node in found] == ["b", "g"]


def test_runs_that_do_not_differ_so_are_refused() -> None:
    with pytest.raises(FlipError, match="the good run fails as well"):
        flip(*two_runs({"f"}), lambda mixture: True)
    with pytest.raises(FlipError, match="do not make the good one fail"):
        flip(*two_runs({"f"}), lambda mixture: False)
