"""Where time, tokens and money went: self time, critical path, statistics, cost."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logtracer import LogtracerError, Node, TraceGraph, Tracer
from logtracer_extras.analysis import (
    NameRow,
    PriceError,
    PriceTable,
    Run,
    Statistics,
    Usage,
    critical_path,
    load_prices,
    measure,
    merge_path,
    usage_of,
)
from sample_traces import START, Sample, usage

SECOND = 1_000_000  # every time is in microseconds


def llm(model: str, given: int, answered: int, **more: int) -> dict[str, Any]:
    """Return the metadata of a model call; `cache_read=5` and its like are more tokens of it."""
    names = {
        "cache_read": "cache_read.input_tokens",
        "cache_write": "cache_creation.input_tokens",
        "reasoning": "reasoning.output_tokens",
    }
    facts: dict[str, Any] = {"gen_ai.request.model": model} if model else {}
    facts |= {"gen_ai.usage.input_tokens": given, "gen_ai.usage.output_tokens": answered}
    return facts | {f"gen_ai.usage.{names[key]}": count for key, count in more.items()}


def support() -> TraceGraph:
    """Return a run with parallel agents, a retry that waited and a fallback."""
    sample = Sample("support-agent", 12.4)
    plan = sample.node("plan", "custom", 0, 1.9)
    sample.node("chat large-1", "llm_call", 0.05, 1.85, parent=plan)
    gather = sample.node("gather", "custom", 1.9, 6.2)
    researcher = sample.node("researcher", "sub_agent", 1.9, 6.2, parent=gather)
    sample.node("sql", "sub_agent", 1.9, 4.0, parent=gather)
    sample.node("web_search", "tool_call", 2.0, 4.2, parent=researcher)
    sample.node("web_search", "tool_call", 3.2, 6.1, parent=researcher)
    answer = sample.node("answer", "custom", 6.2, 12.4)
    first = sample.node("chat large-1", "llm_call", 6.2, 8.3, parent=answer, status="failed")
    second = sample.node("chat large-1", "llm_call", 9.3, 10.8, parent=answer, status="failed")
    third = sample.node("chat small-1", "llm_call", 10.8, 11.5, parent=answer)
    sample.node("send_email", "tool_call", 11.5, 12.2, parent=answer)
    sample.link(first, second, "retry_of")
    sample.link(first, third, "fallback_of")
    return sample.trace


def rows(trace: TraceGraph) -> dict[str, NameRow]:
    return {row.name: row for row in Statistics([measure(trace)]).by_name()}


def path_of(run: Run, depth: int | None = None) -> list[tuple[str, float]]:
    """Return the critical path as names and seconds; waiting is named so."""
    return [
        (
            "waiting" if part.waiting else part.step.node.name if part.step else "nothing",
            part.time / SECOND,
        )
        for part in merge_path(critical_path(run), depth=depth)
    ]


@st.composite
def random_traces(draw: st.DrawFn) -> TraceGraph:
    """Return a run whose steps overlap, outlive their parents and stay open at random."""
    sample = Sample("run", draw(st.integers(0, 20)))
    nodes: list[Node] = [sample.root]
    for number in range(draw(st.integers(0, 12))):
        start, length = draw(st.integers(0, 20)), draw(st.none() | st.integers(0, 10))
        end = None if length is None else start + length
        name, parent = f"s{number % 3}", draw(st.sampled_from(nodes))
        node = sample.node(name, "custom", start, end, parent=parent, metadata=llm("m", 5, 1))
        nodes.append(node)
    return sample.trace


# Self time


def test_self_time_is_the_time_in_which_no_child_ran() -> None:
    run = measure(support())
    own = {step.node.name: step.self_time for step in run.steps}
    assert own["plan"] == 0.1 * SECOND
    assert own["gather"] == 0
    assert own["researcher"] == 0.2 * SECOND  # its two searches overlap
    assert own["answer"] == 1.2 * SECOND


def test_a_child_that_outlives_its_parent_takes_no_more_than_its_time() -> None:
    sample = Sample("run", 4)
    parent = sample.node("parent", "custom", 0, 2)
    sample.node("child", "custom", 1, 4, parent=parent)
    sample.node("late", "custom", 3, 4, parent=parent)
    (step,) = (step for step in measure(sample.trace).steps if step.node is parent)
    assert step.self_time == SECOND


@given(random_traces())
def test_self_time_lies_between_nothing_and_the_whole_step(trace: TraceGraph) -> None:
    assert all(0 <= step.self_time <= step.duration for step in measure(trace).steps)


def test_an_open_step_lasts_until_the_last_thing_the_trace_knows() -> None:
    sample = Sample("run", 0)
    sample.trace.end_time = sample.root.end_time = None
    sample.node("open", "tool_call", 1, None)
    sample.node("done", "tool_call", 2, 5)
    run = measure(sample.trace)
    assert [step.duration for step in run.steps] == [5 * SECOND, 4 * SECOND, 3 * SECOND]
    assert run.wall == 5 * SECOND


def test_a_step_that_has_not_started_takes_no_time() -> None:
    sample = Sample("run", 3)
    node = sample.node("later", "tool_call", 0, None)
    node.start_time = None
    assert measure(sample.trace).by_id[node.id].duration == 0


def test_a_step_that_ends_before_it_starts_takes_no_time() -> None:
    sample = Sample("run", 3)
    odd = sample.node("odd", "custom", 2, 1)
    assert measure(sample.trace).by_id[odd.id].duration == 0


def test_a_trace_without_nodes_or_times_is_measured() -> None:
    totals = Statistics([measure(TraceGraph())])
    assert (totals.wall, totals.parallelism, totals.by_name()) == (0, None, [])
    assert critical_path(measure(TraceGraph())) == []


def test_circles_and_missing_parents_lose_no_step() -> None:
    sample = Sample("run", 3)
    one = sample.node("one", "custom", 0, 1)
    two = sample.node("two", "custom", 1, 2, parent=one)
    one.parent_id = two.id
    sample.node("lost", "custom", 2, 3, parent="gone")
    run = measure(sample.trace)
    levels = {step.node.name: step.level for step in run.steps}
    assert levels == {"run": 0, "one": 0, "two": 1, "lost": 0}
    assert {step.node.name for step in run.top} == {"run", "one", "lost"}


@given(random_traces())
def test_levels_are_those_of_the_walk(trace: TraceGraph) -> None:
    levels = {step.node.id: step.level for step in measure(trace).steps}
    assert levels == {node.id: level for level, node in trace.walk()}


def test_a_chain_of_20000_steps_is_measured() -> None:
    sample = Sample("run", 1)
    parent = sample.root
    for _ in range(20_000):
        parent = sample.node("deeper", "custom", 0, 1, parent=parent)
    run = measure(sample.trace)
    assert run.steps[-1].level == 20_000
    assert sum(part.time for part in critical_path(run)) == run.wall


# Lanes


def test_lanes_are_recorded_or_parallel_agents_or_inherited() -> None:
    trace = support()
    search = next(node for node in trace.nodes.values() if node.name == "web_search")
    search.metadata["lane"] = "worker#3"
    lanes = measure(trace).lanes
    named = {trace.nodes[node_id].name: lane for node_id, lane in lanes.items()}
    assert lanes[search.id] == "worker#3"
    assert named["researcher"] == named["web_search"] == "researcher"
    assert named["answer"] == "main"


def test_agents_one_after_the_other_share_a_lane() -> None:
    sample = Sample("run", 2)
    sample.node("first", "sub_agent", 0, 1)
    sample.node("second", "sub_agent", 1, 2)
    assert set(measure(sample.trace).lanes.values()) == {"main"}


# Statistics


def test_overlapping_steps_count_in_full_in_the_total_and_once_in_the_share() -> None:
    row = rows(support())["web_search"]
    assert (row.count, row.total, row.self_time) == (2, 5.1 * SECOND, 5.1 * SECOND)
    assert row.covered == 4_100_000
    assert row.share == pytest.approx(4.1 / 12.4)


def test_percentiles_are_values_that_occurred() -> None:
    sample = Sample("run", 100)
    for seconds in range(1, 101):
        sample.node("step", "custom", 0, seconds)
    row = rows(sample.trace)["step"]
    assert (row.p50, row.p95) == (50 * SECOND, 95 * SECOND)
    assert rows(support())["plan"].p95 == 1.9 * SECOND


def test_rows_are_by_type_and_name_and_the_run_is_none_of_them() -> None:
    sample = Sample("run", 3)
    sample.node("run", "tool_call", 0, 1)
    sample.node("run", "llm_call", 1, 3, status="failed")
    totals = Statistics([measure(sample.trace)])
    found = [(row.node_type, row.count, row.errors) for row in totals.by_name()]
    assert found == [("llm_call", 1, 1), ("tool_call", 1, 0)]
    assert (totals.nodes, totals.errors) == (3, 1)


def test_statistics_of_many_runs_add_up() -> None:
    one, two = measure(support()), measure(support())
    single, double = Statistics([one]), Statistics([one, two])
    assert double.wall == 2 * single.wall
    assert double.parallelism == single.parallelism
    by_name = {row.name: row for row in double.by_name()}
    for row in single.by_name():
        assert by_name[row.name].count == 2 * row.count
        assert by_name[row.name].share == pytest.approx(row.share)


@given(random_traces())
def test_no_share_is_more_than_the_whole(trace: TraceGraph) -> None:
    assert all(0 <= row.share <= 1 for row in Statistics([measure(trace)]).by_name())


def test_parallelism_is_one_for_one_thing_at_a_time_and_more_beside_each_other() -> None:
    sample = Sample("run", 4)
    sample.node("a", "tool_call", 0, 2)
    sample.node("b", "tool_call", 2, 3)
    assert Statistics([measure(sample.trace)]).parallelism == 1.0
    sample.node("c", "tool_call", 0, 4)
    assert Statistics([measure(sample.trace)]).parallelism == 7 / 4


def test_retry_waste_is_what_the_replaced_tries_took() -> None:
    waste = Statistics([measure(support())]).retry_waste
    assert (waste.attempts, waste.time, waste.waited) == (2, 3.6 * SECOND, SECOND)
    assert waste.cost is None


def test_a_try_that_began_before_the_other_ended_did_not_wait() -> None:
    sample = Sample("run", 9)
    tries = [sample.node("call", "tool_call", at, at + 3) for at in (0, 1, 5)]
    sample.link(tries[0], tries[1], "retry_of")
    sample.link(tries[1], tries[2], "retry_of")
    assert Statistics([measure(sample.trace)]).retry_waste.waited == SECOND


def test_what_lies_below_a_replaced_try_is_not_wasted_twice() -> None:
    sample = Sample("run", 9)
    tries = [sample.node("agent", "sub_agent", at, at + 3) for at in (0, 4)]
    calls = [
        sample.node("chat", "llm_call", at, at + 1, parent=tries[0], metadata=llm("m", 10, 5))
        for at in (0, 1)
    ]
    sample.link(tries[0], tries[1], "retry_of")
    sample.link(calls[0], calls[1], "retry_of")
    waste = Statistics([measure(sample.trace)]).retry_waste
    assert (waste.attempts, waste.time, waste.tokens) == (1, 3 * SECOND, 30)


def test_attempts_count_tries_and_a_fallback_begins_anew() -> None:
    (run,) = measure(support()).top
    attempts = [step.attempt for step in run.children[2].children]
    assert attempts == [1, 2, 1, None]


def test_retries_all_linked_to_the_first_try_are_numbered_too() -> None:
    sample = Sample("run", 9)
    tries = [sample.node("call", "tool_call", at, at + 1) for at in range(4)]
    for later in tries[1:]:
        sample.link(tries[0], later, "retry_of")
    run = measure(sample.trace)
    assert [run.by_id[node.id].attempt for node in tries] == [1, 2, 3, 4]


def test_edges_in_a_circle_and_to_nowhere_do_no_harm() -> None:
    sample = Sample("run", 9)
    one, two = (sample.node("call", "tool_call", at, at + 1) for at in (0, 2))
    for earlier, later in ((one, two), (two, one), (one, one)):
        sample.link(earlier, later, "retry_of")
    sample.trace.edges[-1].target_id = "gone"
    run = measure(sample.trace)
    assert sorted(step.attempt or 0 for step in run.steps) == [0, 1, 2]


# The critical path


def test_the_critical_path_follows_what_finished_last() -> None:
    assert path_of(measure(support())) == [
        ("plan", 0.1),
        ("chat large-1", 1.8),
        ("researcher", 1.4),  # the first search was not over when the second began
        ("web_search", 2.9),
        ("chat large-1", 2.1),
        ("waiting", 1.0),
        ("chat large-1", 1.5),
        ("chat small-1", 0.7),
        ("send_email", 0.7),
        ("answer", 0.2),
    ]


def test_the_critical_path_can_be_told_in_few_steps() -> None:
    told = [("plan", 1.9), ("gather", 4.3), ("answer", 5.2), ("waiting", 1.0)]
    assert path_of(measure(support()), depth=1) == told


def test_waiting_deep_down_is_the_time_of_the_step_above() -> None:
    sample = Sample("run", 5)
    agent = sample.node("agent", "sub_agent", 0, 5)
    loop = sample.node("loop", "custom", 0, 5, parent=agent)
    tries = [sample.node("call", "tool_call", at, at + 2, parent=loop) for at in (0, 3)]
    sample.link(tries[0], tries[1], "retry_of")
    assert path_of(measure(sample.trace), depth=1) == [("agent", 5.0)]
    assert ("waiting", 1.0) in path_of(measure(sample.trace), depth=2)


def test_of_parallel_branches_the_slowest_counts() -> None:
    sample = Sample("run", 5)
    sample.node("fast", "tool_call", 0, 2)
    sample.node("slow", "tool_call", 0, 4)
    sample.node("merge", "llm_call", 4, 5)
    assert path_of(measure(sample.trace)) == [("slow", 4.0), ("merge", 1.0)]


def test_a_branch_that_outlives_its_parent_counts_up_to_the_parents_end() -> None:
    sample = Sample("run", 3)
    parent = sample.node("parent", "custom", 0, 2)
    sample.node("background", "custom", 1, 9, parent=parent)
    assert path_of(measure(sample.trace)) == [("parent", 1.0), ("background", 1.0), ("run", 1.0)]


def test_time_outside_every_step_belongs_to_none() -> None:
    sample = Sample("run", 1)
    sample.trace.end_time = START + timedelta(seconds=3)
    assert path_of(measure(sample.trace)) == [("run", 1.0), ("nothing", 2.0)]


def test_a_gap_between_two_other_steps_is_the_parents_own() -> None:
    sample = Sample("run", 3)
    sample.node("a", "tool_call", 0, 1)
    sample.node("b", "tool_call", 2, 3)
    assert path_of(measure(sample.trace)) == [("a", 1.0), ("run", 1.0), ("b", 1.0)]


@given(random_traces())
def test_the_critical_path_covers_the_run_without_gap_or_overlap(trace: TraceGraph) -> None:
    run = measure(trace)
    at = 0
    for part in critical_path(run):
        assert part.start == at and part.time > 0
        at += part.time
        if part.step is not None:
            assert part.step.start <= part.start and at <= part.step.end
    assert at == run.wall
    merged = merge_path(critical_path(run), depth=1)
    assert sum(part.time for part in merged) == run.wall


# Tokens


def test_openai_counts_cached_tokens_within_the_input() -> None:
    # usage: prompt_tokens 2006, cached_tokens 1920, completion_tokens 300, reasoning_tokens 120
    node = Node("a", 0, "chat", metadata=llm("m", 2006, 300, cache_read=1920, reasoning=120))
    assert usage_of(node) == Usage(86, 1920, 0, 180, 120)


def test_anthropic_counts_cached_tokens_beside_the_input_and_they_were_summed() -> None:
    # usage: input_tokens 50, cache_read_input_tokens 100000, cache_creation_input_tokens 248
    node = Node("a", 0, "chat", metadata=llm("m", 100298, 503, cache_read=100000, cache_write=248))
    assert usage_of(node) == Usage(50, 100000, 248, 503, 0)


def test_parts_larger_than_their_whole_were_counted_beside_it() -> None:
    node = Node("a", 0, "chat", metadata=llm("m", 50, 10, cache_read=1000, reasoning=40))
    assert usage_of(node) == Usage(50, 1000, 0, 10, 40)


@pytest.mark.parametrize("odd", ["12", None, True, [1], float("nan"), float("inf")])
def test_what_is_no_number_of_tokens_was_not_recorded(odd: object) -> None:
    assert usage_of(Node("a", 0, "chat", metadata={"gen_ai.usage.input_tokens": odd})) is None


def totals_of(sample: Sample) -> Usage | None:
    return measure(sample.trace).by_id[sample.root.id].total


def test_a_parent_that_repeats_its_childrens_usage_adds_nothing() -> None:
    sample = Sample("run", 9)
    sample.root.metadata = llm("", 300, 30, cache_read=100)
    agent = sample.node("agent", "sub_agent", metadata=llm("", 300, 30))
    sample.node("chat", "llm_call", parent=agent, metadata=llm("m", 100, 10, cache_read=80))
    sample.node("chat", "llm_call", parent=agent, metadata=llm("m", 200, 20))
    assert totals_of(sample) == Usage(220, 80, 0, 30, 0)


def test_a_parent_that_knows_more_than_its_children_adds_the_rest() -> None:
    sample = Sample("run", 9)
    agent = sample.node("agent", "sub_agent", metadata=llm("", 300, 30, cache_read=90))
    sample.node("chat", "llm_call", parent=agent, metadata=llm("m", 100, 10, cache_read=80))
    assert measure(sample.trace).by_id[agent.id].usage == Usage(190, 10, 0, 20, 0)
    assert totals_of(sample) == Usage(210, 90, 0, 30, 0)


def test_one_call_seen_by_two_layers_counts_once() -> None:
    sample = Sample("run", 9)
    outer = sample.node("chat", "llm_call", metadata=llm("m", 100, 10))
    sample.node("POST", "llm_call", parent=outer, metadata=llm("m", 100, 10, cache_read=60))
    run = measure(sample.trace)
    assert totals_of(sample) == Usage(40, 60, 0, 10, 0)
    assert [(row.model, row.count) for row in Statistics([run]).by_model()] == [("m", 1)]


def test_a_call_made_within_a_call_counts_beside_it() -> None:
    sample = Sample("run", 9)
    outer = sample.node("chat", "llm_call", metadata=llm("m", 500, 50))
    tool = sample.node("tool", "tool_call", parent=outer)
    sample.node("summarize", "llm_call", parent=tool, metadata=llm("m", 300, 30))
    assert totals_of(sample) == Usage(800, 0, 0, 80, 0)


@given(random_traces())
def test_the_shares_of_all_steps_add_up_to_the_total(trace: TraceGraph) -> None:
    run = measure(trace, PriceTable({"m": {"input": 3.0, "output": 15.0}}))
    shares = sum((step.usage for step in run.steps if step.usage), Usage())
    totals = Statistics([run])
    assert shares == totals.usage == sum((s.total for s in run.top if s.total), Usage())
    costs = [step.cost for step in run.steps if step.cost is not None]
    assert sum(costs) == pytest.approx(totals.cost or 0.0)


# Cost

PRICES = PriceTable(
    {
        "large-*": {
            "input": 3.0,
            "cache_read": 0.3,
            "cache_write": 3.75,
            "output": 15.0,
        },
        "large-mini*": {"input": 0.15, "cache_read": 0.075, "output": 0.6},
        "thinker": {"input": 1.0, "output": 2.0, "reasoning": 8.0},
    }
)


def cost_of(metadata: dict[str, Any]) -> float | None:
    sample = Sample("run", 1)
    sample.node("chat", "llm_call", metadata=metadata)
    return Statistics([measure(sample.trace, PRICES)]).cost


def test_an_openai_call_costs_what_its_bill_says() -> None:
    # 86 * 0.15 + 1,920 * 0.075 + 300 * 0.60 dollars per million
    cost = cost_of(llm("large-mini", 2006, 300, cache_read=1920, reasoning=120))
    assert cost == pytest.approx(0.0003369)


def test_an_anthropic_call_costs_what_its_bill_says() -> None:
    # 50 * 3 + 100,000 * 0.30 + 248 * 3.75 + 503 * 15 dollars per million
    cost = cost_of(llm("large-4", 100298, 503, cache_read=100000, cache_write=248))
    assert cost == pytest.approx(0.038625)


def test_reasoning_has_its_own_price_where_the_table_gives_one() -> None:
    assert cost_of(llm("thinker", 0, 1000, reasoning=400)) == pytest.approx(0.0044)


def test_an_unknown_model_costs_none_and_is_counted() -> None:
    sample = Sample("run", 1)
    sample.node("chat", "llm_call", metadata=llm("unheard-of", 10, 10))
    assert Statistics([measure(sample.trace, PRICES)]).cost is None
    sample.node("chat", "llm_call", metadata=llm("thinker", 1_000_000, 0))
    totals = Statistics([measure(sample.trace, PRICES)])
    assert (totals.cost, totals.unpriced) == (1.0, 1)
    assert [(row.model, row.cost) for row in totals.by_model()] == [
        ("thinker", 1.0),
        ("unheard-of", None),
    ]


def test_a_run_without_model_calls_costs_none() -> None:
    assert Statistics([measure(support(), PRICES)]).cost is None


def test_the_model_that_answered_sets_the_price_and_the_one_asked_for_the_name() -> None:
    sample = Sample("run", 1)
    facts = llm("large-latest", 1_000_000, 0) | {"gen_ai.response.model": "thinker"}
    sample.node("chat", "llm_call", metadata=facts)
    (row,) = Statistics([measure(sample.trace, PRICES)]).by_model()
    assert (row.model, row.cost) == ("large-latest", 1.0)


def test_an_exact_name_wins_then_the_longest_pattern() -> None:
    prices = {"*": 1, "a*": 2, "a-b*": 3, "a-b-c": 4, "x[1]*": 5}
    table = PriceTable({key: {"input": each, "output": 0} for key, each in prices.items()})
    million = Usage(uncached_input=1_000_000)
    models = ["z", "a", "A-B-2", "a-b-c", "x[1]-beta"]
    assert [table.cost(million, [model]) for model in models] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"m": {"input": 3}}, "'m': 'output' is missing"),
        ({"m": {"input": 3, "output": 1, "cached": 1}}, "'m': unknown price 'cached'"),
        ({"m": {"input": -3, "output": 1}}, "'m': input must be a number of 0 or more, not -3"),
        ({"m": {"input": "3", "output": 1}}, "'m': input must be a number"),
        ({"m": {"input": True, "output": 1}}, "'m': input must be a number"),
        ({"m": 3}, "'m': must be an object"),
        ([], "must be an object of model names"),
    ],
)
def test_a_wrong_price_table_is_refused_by_name(
    table: object, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(table))
    with pytest.raises(PriceError, match=message) as caught:
        load_prices(path)
    assert str(path) in str(caught.value)
    assert isinstance(caught.value, LogtracerError)


def test_prices_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text('{"m": {"input": 2, "output": 4}}')
    assert load_prices(path).cost(Usage(uncached_input=500_000), ["M"]) == 1.0
    path.write_text("{")
    with pytest.raises(PriceError, match="not JSON"):
        load_prices(path)


# With the real tracer


def test_a_call_recorded_by_hand_is_counted_and_priced() -> None:
    with Tracer().trace("run") as root, root.node("chat", node_type="llm_call") as step:
        step.llm(model="thinker", provider="acme", input_tokens=600_000, cached_tokens=100_000)
        step.llm(model="thinker", provider="acme", output_tokens=250_000)
    totals = Statistics([measure(root.trace, PRICES)])
    assert totals.usage == Usage(500_000, 100_000, 0, 250_000, 0)
    assert totals.cost == pytest.approx(1.1)


# ---- Costs that were recorded --------------------------------------------------------------------


def test_a_recorded_cost_counts_where_there_is_no_price() -> None:
    sample = Sample("run")
    sample.node("chat", "llm_call", metadata={"gen_ai.usage.cost": 0.25})
    (top,) = measure(sample.trace).top
    assert (top.total_cost, top.unpriced) == (0.25, 0)


def test_a_price_wins_over_a_recorded_cost() -> None:
    sample = Sample("run")
    facts = {**usage("large", 1_000_000, 0), "gen_ai.usage.cost": 0.25}
    sample.node("chat", "llm_call", metadata=facts)
    (top,) = measure(sample.trace, PriceTable({"large": {"input": 3.0, "output": 1.0}})).top
    assert top.total_cost == 3.0


def test_a_cost_that_a_parent_repeats_counts_once() -> None:
    sample = Sample("run")
    agent = sample.node("agent", "sub_agent", metadata={"gen_ai.usage.cost": 0.5})
    for _ in range(2):
        sample.node("chat", "llm_call", parent=agent, metadata={"gen_ai.usage.cost": 0.25})
    assert measure(sample.trace).top[0].total_cost == 0.5


@pytest.mark.parametrize("cost", ["0.25", -1, True, float("nan"), None])
def test_what_is_no_cost_is_not_counted(cost: object) -> None:
    sample = Sample("run")
    sample.node("chat", "llm_call", metadata={"gen_ai.usage.cost": cost})
    assert measure(sample.trace).top[0].total_cost is None
