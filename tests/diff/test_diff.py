"""Comparing two runs: what counts, how values differ, what stands on the lines."""

from __future__ import annotations

import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import pytest

import drawn
from logtracer import EdgeType, Node, NodeStatus, TraceGraph, trace_from_json, trace_to_json
from logtracer_extras.diff import ABSENT, FieldChange, MaskError, compare_values, diff, line_changes
from sample_runs import GOLDEN, GOLDEN_ASCII, dollars, support
from sample_traces import Sample
from steps import Step, trace_of


def one_step(**facts: Any) -> TraceGraph:
    sample = Sample("agent", 2.0)
    sample.node("call", "llm_call", 0.0, facts.pop("seconds", 1.0), **facts)
    return sample.trace


def paths(before: TraceGraph, after: TraceGraph, **options: Any) -> list[str]:
    return [
        item.path for change in diff(before, after, **options).changes for item in change.fields
    ]


# What counts


@pytest.mark.parametrize(
    ("facts", "path"),
    [
        ({"status": NodeStatus.FAILED}, "status"),
        ({"error": "no"}, "error"),
        ({"error_type": "OSError"}, "error_type"),
        ({"input_data": {"prompt": "x"}}, "input.prompt"),
        ({"output_data": {"text": ["x"]}}, "output.text"),
        ({"annotations": ["because"]}, "annotations[0]"),
        ({"metadata": {"gen_ai.request.model": "large"}}, "metadata.gen_ai.request.model"),
        ({"metadata": {"gen_ai.usage.input_tokens": 9}}, "metadata.gen_ai.usage.input_tokens"),
    ],
)
def test_a_fact_that_differs_is_named_by_its_path(facts: dict[str, Any], path: str) -> None:
    assert paths(one_step(), one_step(**facts)) == [path]


@pytest.mark.parametrize(
    "metadata",
    [
        {"lane": "worker#7"},
        {"gen_ai.response.id": "r-1"},
        {"gcp.vertex.agent.session_id": "s-1"},
        {"ai.response.timestamp": "12:00"},
        {"logtracer.ended_by": "GeneratorExit"},
    ],
)
def test_what_no_two_runs_share_is_no_difference(metadata: dict[str, Any]) -> None:
    other = {key: f"{value}2" for key, value in metadata.items()}
    assert paths(one_step(metadata=metadata), one_step(metadata=other)) == []


def test_ids_that_a_user_or_a_model_has_count() -> None:
    keys = ("order_id", "id", "ai.model.id")
    runs = (one_step(metadata=dict.fromkeys(keys, number)) for number in (1, 2))
    assert paths(*runs) == [f"metadata.{key}" for key in keys]


def test_ignored_paths_and_all_below_them_do_not_count() -> None:
    before = one_step(output_data={"id": 1, "rows": [{"at": 1, "v": 5}]}, metadata={"a.b": 1})
    after = one_step(output_data={"id": 2, "rows": [{"at": 2, "v": 6}]}, metadata={"a.b": 2})
    assert paths(before, after, ignore=["output.rows[*].at", "output.id", "metadata.a"]) == [
        "output.rows[0].v"
    ]
    assert paths(before, after, ignore=["**"]) == []
    assert paths(before, after, ignore=["out*.id", "output.r*", "metadata"]) == []


def test_masked_text_is_the_same_as_other_masked_text() -> None:
    before = one_step(input_data={"messages": [{"call": "call_1a", "text": "at 12:00"}]})
    after = one_step(input_data={"messages": [{"call": "call_2b", "text": "at 13:30"}]})
    assert paths(before, after, mask=[r"call_\w+", r"\d\d:\d\d"]) == []
    assert paths(before, after, mask=[r"call_\w+"]) == ["input.messages[0].text"]


def test_masks_hold_for_names_and_may_have_flags() -> None:
    def run(name: str, text: str) -> TraceGraph:
        return trace_of(Step("agent", "trace", children=[Step(name, "tool_call", {"q": text})]))

    runs = run("GET /users/17", "Call_A"), run("GET /users/9", "CALL_B")
    assert diff(*runs, mask=[r"/\d+", r"(?i)call_\w", r"(?i)x"]).changes == []
    assert [change.kind for change in diff(*runs, mask=["(?i)call_."]).changes] == ["renamed"]


def test_a_mask_that_is_no_regular_expression_is_named() -> None:
    with pytest.raises(MaskError, match=r"mask '\(': missing \), .* at position 0"):
        diff(one_step(), one_step(), mask=["fine", "("])


def test_names_and_links_can_be_ignored() -> None:
    def run(name: str, is_linked: bool) -> TraceGraph:
        sample = Sample("agent", 2.0)
        one, two = sample.node(name, "tool_call"), sample.node("two", "tool_call")
        if is_linked:
            sample.link(one, two, EdgeType.DATA_FLOW)
        return sample.trace

    runs = run("search", False), run("search!", True)
    assert paths(*runs) == ["name", "links"]
    assert paths(*runs, ignore=["links"]) == ["name"]
    assert paths(*runs, ignore=["name", "links"]) == []


def test_time_counts_only_on_request_and_above_both_bounds() -> None:
    before, after = one_step(seconds=1.0), one_step(seconds=1.3)
    assert diff(before, after).changes == []
    assert [change.kind for change in diff(before, after, timing=True).changes] == ["slower"]
    assert [change.kind for change in diff(after, before, timing=True).changes] == ["faster"]
    assert diff(before, after, timing=True, time_share=0.5).changes == []
    assert diff(before, after, timing=True, time_minimum_ms=500).changes == []


def test_a_price_makes_cost_comparable() -> None:
    def cost(node: Node) -> float | None:
        return node.metadata.get("tokens", 0) / 100 if node.metadata else None

    before, after = one_step(metadata={"tokens": 5}), one_step(metadata={"tokens": 7})
    difference = diff(before, after, cost=cost)
    assert [item.path for item in difference.changes[0].fields] == ["metadata.tokens", "cost"]
    assert [totals.cost for totals in difference.totals] == [0.05, 0.07]


def test_a_step_that_reports_the_tokens_of_those_below_is_not_counted_twice() -> None:
    sample = Sample("agent", 2.0)
    tokens = {"gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 1}
    outer = sample.node("agent", "sub_agent", metadata=tokens)
    sample.node("call", "llm_call", parent=outer, metadata=tokens)
    assert diff(sample.trace, sample.trace).totals[0].tokens == 6


def test_an_edge_that_only_one_run_has_is_a_difference_of_its_later_step() -> None:
    def run(is_linked: bool) -> TraceGraph:
        sample = Sample("agent", 2.0)
        one, two = sample.node("one", "tool_call"), sample.node("two", "tool_call")
        if is_linked:
            sample.link(one, two, EdgeType.DATA_FLOW, "the page")
        return sample.trace

    (change,) = diff(run(False), run(True)).changes
    text = "data_flow from tool_call one (the page)"
    assert (change.node.name, change.fields) == ("two", (FieldChange("links", ABSENT, text),))


# Values


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": 1}, {"a": True}, [("a", 1, True)]),
        ({"a": None}, {}, [("a", None, ABSENT)]),
        ({"a": {"b": [1, 2, 3]}}, {"a": {"b": [1, 9, 3]}}, [("a.b[1]", 2, 9)]),
        ([1, 2], [0, 1, 2], [("[0]", ABSENT, 0)]),
        ({"a": []}, {"a": {}}, [("a", [], {})]),
        ({"a": float("nan")}, {"a": float("nan")}, []),
    ],
)
def test_values_are_compared_by_path(before: Any, after: Any, expected: list[Any]) -> None:
    changes = compare_values(before, after)
    assert [(item.path, item.before, item.after) for item in changes] == expected


def test_values_nested_deeper_than_python_recurses_are_compared() -> None:
    def nested(leaf: int) -> Any:
        value: Any = leaf
        for _ in range(5_000):
            value = [value]
        return {"v": value}

    before, after = one_step(input_data=nested(1)), one_step(input_data=nested(2))
    (change,) = diff(before, after, ignore=["output"]).changes
    assert change.fields[0].path.startswith("input.v[0][0][0]")
    assert diff(before, one_step(input_data=nested(1))).changes == []
    assert drawn.difference(diff(before, after))


def test_long_texts_are_compared_by_lines() -> None:
    before = "\n".join(str(number) for number in range(100))
    assert line_changes(before, before.replace("\n50\n", "\nfifty\n")) == [
        ("-", 51, "50"),
        ("+", 51, "fifty"),
    ]
    assert len(line_changes("a\n" * 5_000, "b\n" * 5_000)) == 10_000  # without taking for ever


# Structure


def test_a_wrapped_step_moved_and_its_wrapper_was_added() -> None:
    inner = Step("search", "tool_call", {"q": "cats"})
    before = Step("agent", "trace", children=[inner])
    after = Step("agent", "trace", children=[Step("guard", "validation", children=[inner])])
    changes = diff(trace_of(before), trace_of(after, prefix="b")).changes
    assert [(change.kind, change.node.name) for change in changes] == [
        ("added", "guard"),
        ("moved", "search"),
    ]


def test_names_that_are_alike_are_a_rename_and_others_are_not() -> None:
    def run(name: str) -> TraceGraph:
        return trace_of(Step("agent", "trace", children=[Step(name, "tool_call")]))

    assert [change.kind for change in diff(run("web_search"), run("web_search_2")).changes] == [
        "renamed"
    ]
    assert {change.kind for change in diff(run("web_search"), run("pay")).changes} == {
        "added",
        "removed",
    }


def kinds(before: list[Step], after: list[Step]) -> list[tuple[str, str, int]]:
    runs = [Step("agent", "trace", children=children) for children in (before, after)]
    changes = diff(trace_of(runs[0]), trace_of(runs[1], prefix="b")).changes
    return [(change.kind, change.node.name, change.steps) for change in changes]


def test_a_step_is_renamed_when_what_is_below_it_stayed() -> None:
    below = [Step("x", "tool_call"), Step("y", "tool_call")]
    before, after = Step("alpha", "sub_agent"), Step("omega", "sub_agent")
    before.children = after.children = below
    assert kinds([before], [after]) == [("renamed", "omega", 1)]


def test_a_branch_that_was_given_nothing_is_moved_all_the_same() -> None:
    branch = Step("x", "sub_agent", children=[Step("y", "tool_call")])
    one, two = Step("one", children=[branch, Step("z")]), Step("two", "tool_call")
    other_one = Step("one", children=[Step("z")])
    other_two = Step("two", "tool_call", children=[branch])
    assert kinds([one, two], [other_one, other_two]) == [("moved", "x", 1)]


def test_siblings_that_changed_places_are_moved_even_when_they_changed_below() -> None:
    def last(question: str) -> Step:
        return Step("c", "sub_agent", children=[Step("y", "tool_call", {"q": question})])

    rest = [Step("a", "tool_call"), Step("b", "tool_call")]
    assert kinds([*rest, last("old")], [last("new"), *rest]) == [
        ("moved", "c", 1),
        ("changed", "y", 1),
    ]


def test_a_branch_that_moved_and_changed_below_is_both() -> None:
    def branch(question: str) -> Step:
        below = [Step("y", "tool_call", {"q": question})]
        return Step("x", "sub_agent", {"task": "look"}, children=below)

    one, two = Step("one", children=[branch("old")]), Step("two", "tool_call")
    other_two = Step("two", "tool_call", children=[branch("new")])
    assert kinds([one, two], [Step("one"), other_two]) == [("moved", "x", 1), ("changed", "y", 1)]


@pytest.mark.parametrize("size", [40, 3_000])
def test_steps_in_another_order_moved_and_did_not_change(size: int) -> None:
    calls = [Step("call", "tool_call", {"q": number}) for number in range(size)]
    shuffled = Random(1).sample(calls, size)
    assert {kind for kind, _, _ in kinds(calls, shuffled)} == {"moved"}


def test_turns_that_were_given_nothing_are_known_by_what_stands_below_them() -> None:
    def turn(question: str, prompt: str) -> Step:
        think = Step("think", "llm_call", {"prompt": prompt})
        return Step("turn", children=[think, Step("search", "tool_call", {"q": question})])

    before = [turn(question, "old") for question in "abcdef"]
    after = [turn(question, "new") for question in "bcdef"]  # of every turn something changed
    assert Counter(kind for kind, _, _ in kinds(before, after)) == {"removed": 1, "changed": 5}


def both_at_once(first: Step, second: Step) -> list[Step]:
    return [Step("fork", children=[first, second], is_parallel=True)]


def test_parallel_steps_that_changed_are_paired_whichever_started_first() -> None:
    old = Step("a", "tool_call", {"q": 1}), Step("b", "tool_call", {"q": 2})
    new = Step("b", "tool_call", {"q": 3}), Step("a", "tool_call", {"q": 4})
    changes = kinds(both_at_once(*old), both_at_once(*new))
    assert changes == [("changed", "b", 1), ("changed", "a", 1)]


def test_steps_that_now_run_at_once_did_not_move() -> None:
    one, two = Step("a", "tool_call", {"q": 1}), Step("b", "tool_call", {"q": 2})
    assert kinds([Step("fork", children=[one, two])], both_at_once(two, one)) == []


@pytest.mark.parametrize("answers", [("1", "2"), ("2", "1")])
def test_of_steps_given_the_same_the_one_with_the_same_result_is_it(answers: list[str]) -> None:
    one, *two = (
        Step("a", "tool_call", {"q": 0}, facts={"output_data": {"v": answer}})
        for answer in ("1", *answers)
    )
    after = [Step("pay", "tool_call"), *two, Step("mail", "llm_call")]
    runs = (Step("agent", "trace", children=children) for children in ([one], after))
    changes = diff(*map(trace_of, runs)).changes
    assert [change.node.output_data for change in changes if change.node.name == "a"] == [
        {"v": "2"}
    ]


def test_steps_that_tell_nothing_do_not_tie_branches_together() -> None:
    gone = Step("gone", "sub_agent", children=[Step("x", "tool_call", {"q": 1}), Step("log")])
    come = Step("come", "retrieval", children=[Step("log"), Step("y", "tool_call", {"q": 2})])
    assert kinds([gone], [come]) == [("removed", "gone", 3), ("added", "come", 3)]


def test_the_first_difference_is_the_cause_and_not_the_step_around_it() -> None:
    def run(status: NodeStatus) -> TraceGraph:
        sample = Sample("agent", 5.0)
        sample.root.status = status
        outer = sample.node("outer", "sub_agent", 0, 4, status=status)
        sample.node("fine", "tool_call", 0, 1, parent=outer)
        sample.node("broken", "tool_call", 1, 2, parent=outer, status=status)
        return sample.trace

    difference = diff(run(NodeStatus.COMPLETED), run(NodeStatus.FAILED))
    assert difference.first is not None
    assert difference.path(difference.first) == "sub_agent outer / tool_call broken"
    assert len(difference.changes) == 3


def test_a_slow_start_of_one_run_does_not_change_what_came_first() -> None:
    def run(slow: float, before: str, after: str) -> TraceGraph:
        sample = Sample("agent", 99.0)
        sample.node("wait", "tool_call", 0, slow)
        sample.node("one", "tool_call", slow, slow + 1, input_data={"v": before})
        sample.node("two", "tool_call", slow + 1, slow + 2, input_data={"v": after})
        return sample.trace

    first = diff(run(1, "a", "b"), run(60, "x", "y")).first
    assert first is not None and first.node.name == "one"


def test_traces_without_times_and_without_nodes_are_compared() -> None:
    run = trace_of(Step("agent", "trace", children=[Step("one")]))
    for node in run.nodes.values():
        node.start_time = node.end_time = None
    assert diff(run, run).changes == []
    difference = diff(TraceGraph(name="empty"), run)
    assert [(change.kind, change.steps) for change in difference.changes] == [("added", 2)]
    assert drawn.difference(difference) and diff(TraceGraph(), TraceGraph()).changes == []


def test_damaged_trees_are_compared_whole() -> None:
    run = trace_of(Step("agent", "trace", children=[Step("one"), Step("two")]))
    run.nodes["a1"].parent_id, run.nodes["a2"].parent_id = "a2", "a1"  # a circle
    assert len(diff(run, run).pairs) == 3
    run.nodes["a1"].parent_id = "gone"
    assert len(diff(run, run).pairs) == 3


def test_a_trace_that_was_stored_is_the_same_as_before() -> None:
    run = trace_of(Step("agent", "trace", children=[Step("one", given={"x": [1, {"y": "é"}]})]))
    assert diff(run, trace_from_json(trace_to_json(run))).changes == []


# Size


def chain(size: int, first: int) -> list[int]:
    return [max(number - 1, 0) for number in range(size)]


def fan(size: int, first: int) -> list[int]:
    return [0] * size


def bushes(size: int, first: int) -> list[int]:
    return [(number - 1) // 10 if number else 0 for number in range(size)]


def big_trace(parents: list[int], edited: set[int], prefix: str) -> TraceGraph:
    trace = TraceGraph(name="big")
    for number, parent in enumerate(parents):
        node = Node(f"{prefix}{number}", number, f"step {number % 7}", "tool_call")
        node.parent_id = f"{prefix}{parent}" if number else None
        node.input_data = {"q": -number if number in edited else number}
        trace.add_node(node)
    return trace


@pytest.mark.parametrize(
    ("shape", "size"),
    [(chain, 10_000), (fan, 100_000), (bushes, 20_000)],
    ids=["deep", "wide", "bushy"],
)
def test_deep_and_wide_runs_are_compared_exactly(
    shape: Callable[[int, int], list[int]], size: int
) -> None:
    edited = {size // 3, size // 2, size - 1}
    before, after = (big_trace(shape(size, 0), e, p) for e, p in ((set(), "a"), (edited, "b")))
    started = time.process_time()
    difference = diff(before, after)
    changed = {change.after.id for change in difference.changes if change.after}
    assert changed == {f"b{number}" for number in edited}
    assert {change.kind for change in difference.changes} == {"changed"}
    assert len(drawn.difference(difference, width=100)) < 40
    assert time.process_time() - started < 60  # not quadratic; how fast it is, a benchmark says


def test_memory_grows_with_the_size_and_not_faster() -> None:
    def peak(size: int) -> int:
        before, after = (big_trace(bushes(size, 0), set(), prefix) for prefix in "ab")
        tracemalloc.start()
        diff(before, after)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    assert peak(8_000) < 5 * peak(2_000)


def test_siblings_that_all_changed_and_repeat_are_paired_in_order() -> None:
    def run(word: str, prefix: str) -> TraceGraph:
        calls = [Step("call", "llm_call", {"q": f"{word} {at}"}) for at in range(3_000)]
        return trace_of(Step("agent", "trace", children=calls), prefix=prefix)

    difference = diff(run("old", "a"), run("new", "b"))
    assert difference.counts["changed"] == 3_000
    assert list(difference.pairs.items())[5] == ("a5", "b5")


# Lines


def test_the_lines_say_what_differs_with_its_context() -> None:
    lines = drawn.difference(diff(support(is_bad=False), support(is_bad=True), cost=dollars))
    assert "\n".join(lines) == GOLDEN
    assert max(map(len, lines)) <= 80


def test_the_ascii_form_says_the_same_in_ascii() -> None:
    difference = diff(support(is_bad=False), support(is_bad=True), cost=dollars)
    lines = drawn.difference(difference, unicode=False)
    assert "\n".join(lines) == GOLDEN_ASCII and GOLDEN_ASCII.isascii()
    assert max(map(len, lines)) <= 80


def test_runs_that_are_the_same_have_no_lines() -> None:
    difference = diff(support(is_bad=True), support(is_bad=True))
    assert drawn.difference(difference) == drawn.brief(difference) == drawn.stat(difference) == []


def test_the_short_forms_say_where_it_began_and_what_kinds_of_step_differ() -> None:
    difference = diff(support(is_bad=False), support(is_bad=True))
    assert drawn.brief(difference, width=100) == [GOLDEN.split("\n")[2]]
    assert drawn.stat(difference)[0].split() == [
        *("llm_call", "chat", "large-1", "1", "changed,", "1", "added")
    ]


def test_lines_keep_their_width_and_their_number() -> None:
    runs = [
        trace_of(
            Step(
                "agent",
                "trace",
                children=[
                    Step(f"{sign} 漢字 {at}" * 9, "tool_call", {"q": "x" * 500 + sign})
                    for at in range(400)
                ],
            )
        )
        for sign in ("one", "other")
    ]
    lines = drawn.difference(diff(*runs), width=72, limit=50)
    assert len(lines) < 60 and lines[-3].endswith("more lines")
    wide = [line for line in lines if len(line) + sum("漢" <= char <= "字" for char in line) > 72]
    assert wide == []


def one_value(before: str, after: str, **look: Any) -> list[str]:
    """Return the lines about a value that differs, in a step below others."""
    runs = [one_step(input_data={"text": text}) for text in (before, after)]
    return [line.strip() for line in drawn.difference(diff(*runs), **look) if "text" in line][1:]


def test_of_values_that_begin_alike_the_part_that_differs_is_shown() -> None:
    alike = "the same words at the start of both, more of them than there is room for, "
    assert one_value(f"{alike}cats", f"{alike}dogs") == [
        '-    input.text: "…s room for, cats"',
        '+    input.text: "…s room for, dogs"',
    ]
    assert one_value(f"a\n{alike}cats\nb", f"a\n{alike}dogs\nb") == [
        "-    input.text:2: …s room for, cats",
        "+    input.text:2: …s room for, dogs",
    ]


def test_of_texts_with_many_other_lines_both_are_shown_and_the_rest_is_counted() -> None:
    lines = one_value("\n".join("abcdefghij"), "\n".join("ABCDEFGHIJ"))
    assert Counter(line[0] for line in lines) == {"-": 6, "+": 6, "~": 1}
    assert lines[-1] == "~    input.text: 8 more lines"
    assert len(one_value("\n".join("abcdefghij"), "\n".join("ABCDEFGHIJ"), is_wide=True)) == 20


def test_a_long_path_leaves_room_for_the_value() -> None:
    runs = [one_step(input_data={"key" * 30: {"text": text}}) for text in ("cats", "dogs")]
    lines = drawn.difference(diff(*runs))
    assert [line[-22:] for line in lines if "cats" in line] == ['keykeykey.text: "cats"']
    assert max(map(len, lines)) <= 80


def test_of_a_long_path_the_step_itself_is_kept() -> None:
    def run(question: str) -> TraceGraph:
        step = Step("search", "tool_call", {"q": question})
        for at in range(5):
            step = Step(f"the sub-agent number {at}", "sub_agent", children=[step])
        return trace_of(step)

    lines = drawn.difference(diff(run("cats"), run("dogs")))
    assert lines[2] == "first difference: … / tool_call search: input.q differs"
    assert lines[4] == "~ … / sub_agent the sub-agent number 0 / tool_call search"


def test_the_heading_of_two_runs_is_broken_rather_than_cut() -> None:
    lines = drawn.difference(diff(support(is_bad=False), support(is_bad=True)), width=50)
    assert lines[3:5] == [
        "@@ support-agent @@  time +2.59s (+26%)",
        "@@ tokens +1,800  completed → failed",
    ]


def test_how_the_root_changed_stands_below_the_heading() -> None:
    runs = [trace_of(Step("agent", "trace", {"q": question})) for question in ("cats", "dogs")]
    assert drawn.difference(diff(*runs))[3:6] == [
        "@@ agent @@  time +0ms (+0%)",
        '-    input.q: "cats"',
        '+    input.q: "dogs"',
    ]


def test_hostile_names_and_values_stay_text() -> None:
    names = ["\x1b]0;title\x07", "a\nb", "\u202eevil", "\ud800", "[bold]x[/]", "\u2028"]
    before = trace_of(Step("agent", "trace"))
    after = trace_of(Step("agent", "trace", {"\x1b": "\r\x9b"}, children=[Step(n) for n in names]))
    for unicode in (True, False):
        lines = drawn.difference(diff(before, after), unicode=unicode)
        assert all(line.isprintable() for line in lines)
        assert sum(line[:2] == "+ " and line[2] != " " for line in lines) == len(names)
        assert unicode or all(line.isascii() for line in lines)


def test_the_json_form_holds_what_the_lines_say() -> None:
    document = diff(support(is_bad=False), support(is_bad=True)).to_dict()
    assert document["same"] is False and document["counts"]["added"] == 4
    assert document["first"]["path"] == "gather / sub_agent researcher / tool_call web_search"
    (chat,) = [change for change in document["changes"] if "large-1 #1" in change["path"]]
    assert {"path": "output.text", "before": "Your order shipped on Monday"} in chat["fields"]


def test_a_step_that_shifted_in_time_is_no_difference() -> None:
    before, after = support(is_bad=True), support(is_bad=True)
    for node in after.nodes.values():
        assert node.start_time is not None
        node.start_time += timedelta(days=1)
    assert diff(before, after).changes == []


# ---- What is new in every run --------------------------------------------------------------------


def model_call(call_id: str, request_id: str, city: str = "Paris") -> TraceGraph:
    sample = Sample("agent")
    call = {"id": call_id, "type": "function", "function": {"name": "look_up", "arguments": city}}
    asked = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call_id, "content": "18"},
    ]
    node = sample.node("chat", "llm_call", input_data={"messages": asked})
    node.metadata.update({"request_id": request_id, "logtracer.per_run": ["request_id"]})
    return sample.trace


def test_what_an_adapter_says_to_be_of_one_run_is_no_difference() -> None:
    assert diff(model_call("call_a", "req_1"), model_call("call_a", "req_2")).changes == []


def test_the_ids_of_tool_calls_are_no_difference() -> None:
    assert diff(model_call("call_a", "req_1"), model_call("call_b", "req_1")).changes == []


def test_what_a_tool_was_asked_is_a_difference_still() -> None:
    changes = diff(model_call("call_a", "r"), model_call("call_b", "r", "Paris ")).changes
    assert [field.path for change in changes for field in change.fields] == [
        "input.messages[0].tool_calls[0].function.arguments"
    ]


@pytest.mark.parametrize("told", ["request_id", 3, [["request_id"]], {"a": 1}])
def test_an_odd_list_of_what_is_of_one_run_is_passed_over(told: object) -> None:
    before, after = model_call("call_a", "req_1"), model_call("call_a", "req_2")
    for trace in (before, after):
        for node in trace.find_all("chat"):
            node.metadata["logtracer.per_run"] = told
            node.input_data["messages"].append({"type": [1], "id": "x"})
    assert [change.kind for change in diff(before, after).changes] == ["changed"]
