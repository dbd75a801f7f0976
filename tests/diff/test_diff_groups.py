"""Comparing groups of runs: what chance explains, what it does not, and which steps are flaky."""

from __future__ import annotations

from random import Random

import pytest

import drawn
from logtracer import EdgeType, NodeStatus, TraceGraph
from logtracer_extras.diff.groups import (
    Distribution,
    GroupComparison,
    StepComparison,
    compare_groups,
)
from sample_traces import Sample

OK, FAILED = NodeStatus.COMPLETED, NodeStatus.FAILED


def run(
    seconds: float = 1.0, status: NodeStatus = OK, *, tokens: int = 10, extra: str = ""
) -> TraceGraph:
    sample = Sample("agent", 9.0)
    metadata = {"gen_ai.usage.input_tokens": tokens}
    sample.node("call", "llm_call", 0, seconds, status=status, metadata=metadata)
    if extra:
        sample.node(extra, "tool_call")
    return sample.trace


def step(comparison: GroupComparison, name: str) -> StepComparison:
    return next(item for item in comparison.steps if item.path[-1] == name)


def test_the_median_and_p95_are_those_of_the_values() -> None:
    values = Distribution(tuple(float(value) for value in range(1, 101)))
    assert (values.median, values.p95) == (50.5, 95.05)
    assert (Distribution(()).median, Distribution(()).p95) == (None, None)


def test_the_interval_holds_the_median_and_is_the_same_every_time() -> None:
    random = Random(7)
    values = tuple(random.gauss(100, 10) for _ in range(40))
    low, high = Distribution(values).interval() or (0, 0)
    assert low < (Distribution(values).median or 0) < high
    assert Distribution(values).interval() == (low, high)
    assert Distribution(values, seed=1).interval() != (low, high)
    assert Distribution((1.0, 2.0, 3.0, 4.0)).interval() is None


def test_the_interval_covers_the_true_median_about_as_often_as_it_says() -> None:
    random = Random(3)
    hits = 0
    for _ in range(100):
        low, high = Distribution(tuple(random.gauss(5, 1) for _ in range(15))).interval() or (0, 0)
        hits += low <= 5 <= high
    assert hits >= 85


def test_a_clear_difference_is_told_and_noise_is_not() -> None:
    random = Random(1)
    before = [run(1 + random.random() / 10, tokens=10) for _ in range(8)]
    after = [run(2 + random.random() / 10, tokens=10) for _ in range(8)]
    assert step(compare_groups(before, after), "llm_call call").verdicts() == ["slower"]
    assert step(compare_groups(after, before), "llm_call call").verdicts() == ["faster"]
    noise = [run(1 + random.random() / 10) for _ in range(16)]
    assert step(compare_groups(noise[::2], noise[1::2]), "llm_call call").verdicts() == []


def test_one_run_proves_nothing_about_time() -> None:
    comparison = compare_groups([run(1)], [run(5 + at) for at in range(5)])
    assert comparison.different == []
    assert drawn.groups(comparison)[2].startswith("no verdicts on time")


def test_more_failures_are_told_when_chance_does_not_explain_them() -> None:
    good, bad = [run() for _ in range(8)], [run(status=FAILED) for _ in range(8)]
    assert step(compare_groups(good, bad), "llm_call call").verdicts() == ["fails more often"]
    one_bad = [*good[:7], run(status=FAILED)]
    assert step(compare_groups(good, one_bad), "llm_call call").verdicts() == []


def test_a_step_that_fails_now_and_then_is_flaky() -> None:
    comparison = compare_groups([run()] * 3, [run(), run(status=FAILED), run()])
    assert [item.path for item in comparison.flaky] == [("agent", "llm_call call")]
    assert not step(comparison, "llm_call call").before.is_flaky


def test_a_step_of_only_one_group_is_named() -> None:
    comparison = compare_groups([run()] * 2, [run(extra="search")] * 2)
    assert step(comparison, "tool_call search").verdicts() == ["only in b"]
    sometimes = compare_groups([run()] * 2, [run(extra="search"), run()])
    assert step(sometimes, "tool_call search").verdicts() == []


def test_repeats_within_a_run_add_up_and_attempts_are_told_apart() -> None:
    sample = Sample("agent", 9.0)
    first = sample.node("call", "llm_call", 0, 1, status=FAILED)
    sample.link(first, sample.node("call", "llm_call", 1, 3), EdgeType.RETRY_OF)
    for at in range(3):
        sample.node("search", "tool_call", at, at + 1)
    comparison = compare_groups([sample.trace], [sample.trace])
    assert [item.path[-1] for item in comparison.steps[1:]] == [
        "llm_call call",
        "llm_call call #2 (retry)",
        "tool_call search",
    ]
    searches = step(comparison, "tool_call search").before
    assert (searches.present, searches.count) == (1, 3)
    assert searches.distribution("time_ms").values == (3_000.0,)


def test_costs_are_distributed_like_the_rest() -> None:
    before = [run(tokens=10 + at % 2) for at in range(6)]
    after = [run(tokens=20 + at % 2) for at in range(6)]
    comparison = compare_groups(
        before, after, cost=lambda node: node.metadata.get("gen_ai.usage.input_tokens", 0) / 10
    )
    call = step(comparison, "llm_call call")
    assert call.verdicts() == ["more tokens", "dearer"]
    assert call.after.distribution("cost").median == 2.05


def test_groups_may_be_generators_and_empty() -> None:
    comparison = compare_groups((run() for _ in range(2)), iter(()))
    assert comparison.runs == (2, 0)
    assert drawn.groups(comparison, unicode=False)


def test_a_deep_run_is_read_in_linear_time() -> None:
    sample = Sample("agent", 9.0)
    parent = sample.root
    for at in range(10_000):
        parent = sample.node(f"n{at}", "custom", parent=parent)
    assert len(compare_groups([sample.trace], [sample.trace]).steps) == 10_001


def test_the_lines_name_what_differs_and_what_is_flaky() -> None:
    slow = [run(2 + at / 5, FAILED if at == 1 else OK) for at in range(5)]
    quick = [run(1 + at / 5, extra="search") for at in range(5)]
    lines = drawn.groups(compare_groups(quick, slow), width=78)
    assert [" ".join(line.split()) for line in lines] == [
        "--- a 5 traces",
        "+++ b 5 traces",
        "~ agent / llm_call call slower, flaky in b",
        "- in 5 of 5, 0 failed, 1.40s [1.00s..1.80s] p95 1.76s, 10 tok",
        "+ in 5 of 5, 1 failed, 2.40s [2.00s..2.80s] p95 2.76s, 10 tok",
        "- agent / tool_call search only in a",
        "- in 5 of 5, 0 failed, 0ms",
        "",
        "2 different · 1 flaky · 1 alike",
    ]


def test_the_json_form_holds_the_numbers() -> None:
    document = compare_groups([run(1 + at) for at in range(5)], [run(2)] * 5).to_dict()
    call = document["steps"][1]["before"]
    assert (call["present"], call["flaky"], call["time_ms"]["median"]) == (5, False, 3_000.0)
    assert call["time_ms"]["interval"] == [1_000.0, 5_000.0]


@pytest.mark.parametrize(("hits", "size"), [(0, 1), (3, 3)])
def test_equal_rates_are_no_difference(hits: int, size: int) -> None:
    group = [run(status=FAILED)] * hits + [run()] * (size - hits)
    assert compare_groups(group, group).different == []


def test_verdicts_on_time_are_right_as_often_as_they_say() -> None:
    random = Random(11)
    wrong = 0
    for _ in range(100):
        group = [run(random.gauss(5, 1)) for _ in range(10)]
        wrong += bool(compare_groups(group[:5], group[5:]).different)
    assert wrong <= 10  # 5 in 100 by chance


@pytest.mark.parametrize(("failing", "verdicts"), [(3, []), (4, ["fails more often"])])
def test_rates_differ_by_fishers_exact_test(failing: int, verdicts: list[str]) -> None:
    good, bad = [run()] * failing, [run(status=FAILED)] * failing  # 2 in 20, and 2 in 70, by chance
    assert step(compare_groups(good, bad), "llm_call call").verdicts() == verdicts


def many_steps(random: Random, count: int, slow: int = -1) -> TraceGraph:
    """Return a run of many steps that take about a second each, and one of them twice as long."""
    sample = Sample("agent", 9.0)
    for at in range(count):
        seconds = random.gauss(1, 0.1) * (2 if at == slow else 1)
        status = FAILED if random.random() < 0.1 else OK
        sample.node(f"step {at}", "tool_call", 0, seconds, status=status)
    return sample.trace


def test_many_steps_of_runs_that_are_alike_are_hardly_ever_called_different() -> None:
    random = Random(1)
    wrong = 0
    for _ in range(100):
        runs = [many_steps(random, 15) for _ in range(16)]
        wrong += bool(compare_groups(runs[:8], runs[8:]).different)
    assert wrong <= 10  # 5 by chance; with each step judged alone it would be half of them


def test_few_runs_do_not_tell_one_step_of_many_from_chance_and_say_so() -> None:
    def lines(runs: int) -> list[str]:
        random = Random(1)
        before = [many_steps(random, 15) for _ in range(runs)]
        return drawn.groups(compare_groups(before, [many_steps(random, 15, 3) for _ in before]))

    assert lines(4)[2].startswith("few traces for ")
    assert any("tool_call step 3 " in line and "slower" in line for line in lines(8))


@pytest.mark.parametrize(("sizes", "verdicts"), [((3, 4), []), ((4, 4), ["slower"])])
def test_ranks_are_compared_by_the_exact_test(sizes: tuple[int, int], verdicts: list[str]) -> None:
    before, after = ([run(base + at) for at in range(n)] for base, n in zip((1, 9), sizes))
    # all later ones are slower by chance: 2 times in 35, and 2 in 70
    assert step(compare_groups(before, after), "llm_call call").verdicts() == verdicts


def test_large_groups_are_compared_too() -> None:
    random = Random(2)
    before = [run(random.gauss(5, 1)) for _ in range(120)]
    after = [run(random.gauss(6, 1)) for _ in range(120)]
    assert step(compare_groups(before, after), "llm_call call").verdicts() == ["slower"]


def test_a_step_that_most_runs_of_one_group_have_and_none_of_the_other_is_named() -> None:
    after = [run(extra="search")] * 9 + [run()]
    comparison = compare_groups([run()] * 10, after)
    assert step(comparison, "tool_call search").verdicts() == ["appears more often"]


def test_how_often_a_step_repeats_within_a_run_is_compared() -> None:
    def loop(turns: int) -> TraceGraph:
        sample = Sample("agent", 9.0)
        for _ in range(turns):
            sample.node("think", "llm_call")
        return sample.trace

    comparison = compare_groups([loop(2)] * 6, [loop(4)] * 6)
    assert step(comparison, "llm_call think").verdicts() == ["repeats more often"]
    assert "in 6 of 6, 0 failed, x4" in "".join(drawn.groups(comparison))


def test_runs_of_other_names_are_compared_step_by_step() -> None:
    groups = [[run() for _ in range(2)] for _ in "ab"]
    for number, trace in enumerate([*groups[0], *groups[1]]):
        trace.root_nodes[0].name = f"agent {number}"
    comparison = compare_groups(*groups)
    assert [item.path for item in comparison.steps] == [
        ("agent 0",),
        ("agent 0", "llm_call call"),
    ]
    assert comparison.different == []


def test_a_branch_of_only_one_group_is_one_entry_and_flaky_steps_in_it_another() -> None:
    def with_critic(status: NodeStatus) -> TraceGraph:
        sample = Sample("agent", 9.0)
        critic = sample.node("critic", "sub_agent")
        sample.node("read", "tool_call", parent=critic)
        sample.node("score", "tool_call", 0, 1, status=status, parent=critic)
        return sample.trace

    comparison = compare_groups([run()] * 2, [with_critic(OK), with_critic(FAILED)])
    lines = [" ".join(line.split()) for line in drawn.groups(comparison)]
    assert "+ agent / sub_agent critic only in b (3 nodes)" in lines
    assert "~ agent / sub_agent critic / tool_call score only in b, flaky in b" in lines
    assert not any("tool_call read" in line for line in lines)


def test_lines_of_a_group_are_broken_rather_than_cut() -> None:
    groups = [[run(1 + at + more, tokens=9_000 + at) for at in range(6)] for more in (0, 9)]
    lines = drawn.groups(compare_groups(*groups, cost=lambda node: node.duration_ms), width=60)
    assert max(map(len, lines)) <= 60 and not any("…" in line for line in lines)
    assert sum(" tok" in line for line in lines) == sum("$" in line for line in lines) == 2


def test_groups_of_unequal_size_and_a_run_beside_itself_are_compared() -> None:
    one = run(extra="search")
    for groups in (([one], [one]), ([one], [one] * 9), ([one] * 7, [one] * 6)):
        comparison = compare_groups(*groups)
        assert (comparison.different, comparison.flaky) == ([], [])
        assert all(item.before.present == len(groups[0]) for item in comparison.steps)


def test_the_tenth_attempt_keeps_its_name() -> None:
    sample = Sample("agent", 9.0)
    attempts = [sample.node("call", "llm_call") for _ in range(10)]
    for earlier, later in zip(attempts, attempts[1:]):
        sample.link(earlier, later, EdgeType.RETRY_OF)
    comparison = compare_groups([sample.trace], [sample.trace])
    assert comparison.steps[-1].path[-1] == "llm_call call #10 (retry)"


def test_lines_that_are_not_shown_are_counted() -> None:
    groups = [[run(extra=f"{name} {at}") for at in range(1)] for name in ("one", "two")]
    lines = drawn.groups(compare_groups(*groups), limit=1)
    assert lines[-3:-1] == ["  ⋯ 3 more lines", ""]
