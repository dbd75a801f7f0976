"""Assertions about traces: what passes, and what the message of a failure says."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from logtracer import TraceGraph
from logtracer_extras.analysis import PriceTable
from logtracer_extras.query import MISSING, parse
from logtracer_extras.testing import (
    TraceBuilder,
    assert_budget,
    assert_count,
    assert_never_without,
    assert_no_errors,
    assert_order,
    assert_value,
    find,
    find_all,
    value_of,
)


@pytest.fixture
def trace() -> TraceGraph:
    builder = TraceBuilder("agent")
    builder.node("plan", "llm_call", model="small-1", tokens=(100, 20))
    builder.node("search", "tool_call", input={"query": "weather", "limit": 5, "in": [{"id": 7}]})
    builder.node("search", "tool_call", input={"query": "news", "limit": 10, "in": [{"id": 8}]})
    builder.node("answer", "llm_call", model="small-1", tokens=(300, 40), output={"text": "18"})
    return builder.trace


def message(check: Callable[..., object], *args: object, **options: object) -> str:
    with pytest.raises(AssertionError) as caught:
        check(*args, **options)
    return str(caught.value)


def test_nodes_are_found_by_name_query_and_both(trace: TraceGraph) -> None:
    assert len(find_all(trace)) == 5
    assert [node.name for node in find_all(trace, where="type:llm")] == ["plan", "answer"]
    assert find(trace, "search", where="input:news").input_data["limit"] == 10
    assert find_all(trace, parse("type:tool"), where="input:news") == [find_all(trace, "search")[1]]


def test_a_name_that_is_not_there_names_the_one_that_was_meant(trace: TraceGraph) -> None:
    assert message(find, trace, "serach") == "no node 'serach'; did you mean 'search'?"
    assert "there are 'agent', 'plan', 'search', 'answer'" in message(find, trace, "x")
    assert message(find, TraceGraph(), "x") == "no node 'x'; it is empty"


def test_order_may_have_others_between(trace: TraceGraph) -> None:
    assert_order(trace, "plan", "search", "search", parse("type:llm name:answer"))
    failed = message(assert_order, trace, "search", "plan")
    assert failed.startswith("no node 'plan' after 'search'")
    assert message(assert_order, trace, "search", "search", "search").startswith("no node 'search'")


def test_counts_say_what_was_found(trace: TraceGraph) -> None:
    assert_count(trace, "search", 2)
    assert_count(trace, "search", at_least=1, at_most=2)
    assert_count(trace, "delete", 0)
    failed = message(assert_count, trace, "search", 1)
    assert failed == "2 nodes 'search', expected 1; found 'search' #1, 'search' #2"
    assert "1 node 'plan', expected at least 2" in message(assert_count, trace, "plan", at_least=2)
    assert "expected at most 1" in message(assert_count, trace, where="type:tool", at_most=1)


def test_a_node_that_never_comes_without_another(trace: TraceGraph) -> None:
    assert_never_without(trace, "answer", "search")
    assert_never_without(trace, "delete", "confirm")
    failed = message(assert_never_without, trace, "search", "answer")
    assert failed == "'search' #1 ran without 'answer' before it"
    assert "without 'confirm' before it; there are" in message(
        assert_never_without, trace, "answer", "confirm"
    )


def test_what_has_not_ended_was_not_before() -> None:
    builder = TraceBuilder()
    builder.node("confirm", start=0, end=2)
    builder.node("delete", start=1, end=3)
    assert "ran without" in message(assert_never_without, builder.trace, "delete", "confirm")


def test_values_by_path_and_matcher(trace: TraceGraph) -> None:
    assert_value(trace, "search", "input.limit", lambda limit: limit <= 10)
    assert_value(trace, "search", "input.query", re.compile("weather|news"))
    assert_value(trace, "search", "input.in[0].id", int)
    assert_value(trace, "answer", "metadata.gen_ai.request.model", "small-1")
    assert_value(trace, "search", "input.query", "news", where="input:news")


def test_a_wrong_value_names_the_node_and_the_value(trace: TraceGraph) -> None:
    failed = message(assert_value, trace, "search", "input.query", "weather")
    assert failed == "input.query of 'search' #2 is 'news', expected 'weather'"
    failed = message(assert_value, trace, "search", "input.in[0].key", 7)
    assert failed == "'search' #1 has no input.in[0].key; input.in[0] has id"
    assert "expected a text with /x/" in message(
        assert_value, trace, "answer", "output.text", re.compile("x")
    )
    assert "no node 'none'" in message(assert_value, trace, "none", "input", 1)


def test_a_path_that_leads_nowhere_is_missing_and_none_is_not(trace: TraceGraph) -> None:
    node = find(trace, "plan")
    assert value_of(node, "input.a.b") is MISSING
    assert value_of(node, "error") is None


def test_budgets_name_each_limit_that_is_broken(trace: TraceGraph) -> None:
    prices = PriceTable({"small-*": {"input": 1.0, "output": 1.0}})
    assert_budget(
        trace, model_calls=2, tool_calls=2, tokens=460, seconds=4, cost=0.01, prices=prices
    )
    failed = message(assert_budget, trace, model_calls=1, tool_calls=1, tokens=400, seconds=3)
    assert failed == (
        "over budget: model calls: 2, at most 1; tool calls: 2, at most 1; "
        "tokens: 460, at most 400; seconds: 4, at most 3"
    )


def test_a_cost_that_is_not_known_is_over_every_budget(trace: TraceGraph) -> None:
    prices = PriceTable({"large-*": {"input": 1.0, "output": 1.0}})
    assert "2 nodes of models without a price" in message(
        assert_budget, trace, cost=1.0, prices=prices
    )
    with pytest.raises(TypeError, match="prices"):
        assert_budget(trace, cost=1.0)


def test_only_a_failure_that_nobody_handled_is_an_error() -> None:
    builder = TraceBuilder("agent")
    first = builder.node("fetch", "tool_call", error="timed out", error_type="TimeoutError")
    builder.link(first, builder.node("fetch", "tool_call"), "retry_of")
    assert_no_errors(builder.trace)
    assert builder.root is not None
    builder.root.status = builder.node("send", "tool_call", error="no route").status
    assert message(assert_no_errors, builder.trace) == "nobody handled: 'send': no route"
