"""Going back from a failure to its cause."""

from __future__ import annotations

import pytest

import drawn
from logtracer import EdgeType, Node, NodeStatus, TraceGraph
from logtracer_extras.why import UnknownNodeError, explain
from sample_traces import Sample

FAILED = {"status": NodeStatus.FAILED, "error_type": "Busy", "error": "try later"}


def relations(trace: TraceGraph, node_id: str | None = None) -> list[tuple[str, str]]:
    (explanation,) = explain(trace, node_id)
    return [(cause.relation, cause.node.name) for cause in explanation.causes]


def failed_run() -> tuple[Sample, Node]:
    """Return a run: a decision, a call tried twice, a fallback, and a tool fed by it that fails."""
    sample = Sample("agent", 9.0)
    sample.root.status = NodeStatus.FAILED
    sample.node("choose", "decision", 0, 1, annotations=["ask the large one"])
    first = sample.node("large", "llm_call", 1, 2, **FAILED)
    second = sample.node("large", "llm_call", 3, 4, **FAILED)
    small = sample.node("small", "llm_call", 5, 6, output_data={"to": "nobody@"})
    mail = sample.node("mail", "tool_call", 7, 8, status=NodeStatus.FAILED, error="no such address")
    mail.input_data = {"to": "nobody@"}
    sample.link(first, second, EdgeType.RETRY_OF)
    sample.link(second, small, EdgeType.FALLBACK_OF)
    sample.link(small, mail, EdgeType.DATA_FLOW)
    return sample, mail


def test_a_failure_leads_back_over_data_fallback_retry_and_decision() -> None:
    sample, mail = failed_run()
    explanation = explain(sample.trace)[0]
    assert explanation.node is mail
    assert [(str(cause.relation), cause.node.name) for cause in explanation.causes] == [
        ("data_flow", "small"),
        ("fallback_of", "large"),
        ("retry_of", "large"),
        ("decision", "choose"),
    ]
    assert [cause.level for cause in explanation.causes] == [1, 2, 3, 4]
    assert explanation.cause.name == "large"
    assert explanation.consequences == [sample.root]


def test_what_was_made_good_comes_last_and_says_by_what() -> None:
    sample, _ = failed_run()
    names = [(item.node.name, item.recovered_by) for item in explain(sample.trace)]
    assert [name for name, _ in names] == ["mail", "large"]
    assert names[1][1] is not None and names[1][1].name == "small"


def test_the_failing_leaf_is_explained_and_not_the_steps_around_it() -> None:
    sample = Sample("agent", 3.0)
    outer = sample.node("outer", "sub_agent", 0, 2, **FAILED)
    leaf = sample.node("leaf", "tool_call", 0, 1, parent=outer, **FAILED)
    (explanation,) = explain(sample.trace)
    assert (explanation.node, explanation.consequences) == (leaf, [outer])


def test_a_step_that_fails_after_its_child_recovered_fails_by_itself() -> None:
    sample = Sample("agent", 9.0)
    outer = sample.node("outer", "sub_agent", 0, 8, **FAILED)
    first = sample.node("call", "llm_call", 0, 1, parent=outer, **FAILED)
    second = sample.node("call", "llm_call", 2, 3, parent=outer)
    sample.link(first, second, EdgeType.RETRY_OF)
    assert [item.node for item in explain(sample.trace)] == [outer, first]


def test_the_failure_that_came_first_comes_first() -> None:
    sample = Sample("agent", 9.0)
    late = sample.node("late", "tool_call", 5, 6, **FAILED)
    early = sample.node("early", "tool_call", 1, 7, **FAILED)
    assert [item.node for item in explain(sample.trace)] == [early, late]


def test_a_run_that_was_cut_off_leads_to_what_ran_then() -> None:
    sample = Sample("agent", 9.0)
    call = sample.node("call", "llm_call", 0, 8)
    http = sample.node("http", "tool_call", 1, 8, parent=call)
    for node in (sample.root, call, http):
        node.status = NodeStatus.INTERRUPTED
    (explanation,) = explain(sample.trace)
    assert (explanation.node, explanation.consequences) == (http, [call, sample.root])
    assert drawn.why(sample.trace)[1] == "     which also interrupted: llm_call call, agent"


def test_a_time_limit_leads_to_the_step_that_was_too_slow() -> None:
    sample = Sample("agent", 9.0)
    outer = sample.node("outer", "sub_agent", 0, 2, status=NodeStatus.FAILED, error="TimeoutError")
    slow = sample.node("slow", "tool_call", 0, 2, parent=outer, status=NodeStatus.CANCELLED)
    (explanation,) = explain(sample.trace)
    assert (explanation.node, explanation.consequences) == (slow, [outer])


def test_steps_that_are_cancelled_because_another_failed_are_not_the_cause() -> None:
    sample = Sample("agent", 9.0)
    outer = sample.node("outer", "sub_agent", 0, 2, **FAILED)
    bad = sample.node("bad", "tool_call", 0, 1, parent=outer, **FAILED)
    other = sample.node("other", "sub_agent", 0, 1, parent=outer, status=NodeStatus.CANCELLED)
    sample.node("below", "tool_call", 0, 1, parent=other, status=NodeStatus.CANCELLED)
    assert [item.node for item in explain(sample.trace)] == [bad]


def test_the_loser_of_a_race_did_not_fail() -> None:
    sample = Sample("agent", 9.0)
    sample.node("fast", "tool_call", 0, 1)
    sample.node("slow", "tool_call", 0, 1, status=NodeStatus.CANCELLED)
    assert explain(sample.trace) == []


def test_a_failure_that_the_step_around_it_handled_has_no_consequences_further_out() -> None:
    sample = Sample("agent", 9.0)
    sample.root.status = NodeStatus.FAILED
    outer = sample.node("outer", "sub_agent", 0, 2)
    handled = sample.node("handled", "tool_call", 0, 1, parent=outer, **FAILED)
    fatal = sample.node("fatal", "tool_call", 3, 4, **FAILED)
    explanations = explain(sample.trace)
    assert [item.node for item in explanations] == [fatal, handled]  # what the run failed with
    assert [item.consequences for item in explanations] == [[sample.root], []]
    assert [item.handled_by for item in explanations] == [None, outer]
    assert "     but sub_agent outer completed" in drawn.why(sample.trace)


def test_a_failure_inside_an_attempt_is_made_good_by_the_next_one() -> None:
    sample = Sample("agent", 9.0)
    first = sample.node("call", "sub_agent", 0, 1, **FAILED)
    leaf = sample.node("leaf", "tool_call", 0, 1, parent=first, **FAILED)
    second = sample.node("call", "sub_agent", 2, 3)
    sample.link(first, second, EdgeType.RETRY_OF)
    (explanation,) = explain(sample.trace)
    assert (explanation.node, explanation.recovered_by) == (leaf, second)
    assert drawn.why(sample.trace)[0].startswith("~")


def test_a_loop_of_decisions_leads_back_to_the_last_one() -> None:
    sample = Sample("agent", 99.0)
    for turn in range(30):
        sample.node(f"decide {turn}", "decision", 2 * turn, 2 * turn + 1)
        sample.node("act", "tool_call", 2 * turn + 1, 2 * turn + 2, **FAILED)
    for turn, explanation in enumerate(explain(sample.trace)):
        assert [cause.node.name for cause in explanation.causes] == [f"decide {turn}"]


def test_many_failures_and_long_ways_back_are_cut_and_counted() -> None:
    sample = Sample("agent", 999.0)
    steps = [sample.node("step", "tool_call", at, at + 1, **FAILED) for at in range(90)]
    for earlier, later in zip(steps, steps[1:]):
        sample.link(earlier, later, EdgeType.DATA_FLOW)
    lines = drawn.why(sample.trace)
    assert 200 <= len(lines) < 250 and lines[-1].endswith("more failures")
    assert sum("more failures" in line for line in drawn.why(sample.trace, limit=9_999)) == 0
    lines = drawn.why(sample.trace, steps[-1].id)
    assert len(lines) < 60 and "69 more nodes back" in "".join(lines)
    assert lines[-1] == "  it began with tool_call step"
    assert len(drawn.why(sample.trace, steps[-1].id, is_wide=True)) > 180


def test_of_a_long_path_the_step_itself_is_kept() -> None:
    sample = Sample("agent", 9.0)
    parent = sample.root
    for at in range(5):
        parent = sample.node(f"the sub-agent number {at}", "sub_agent", parent=parent)
    sample.node("divide", "tool_call", 0, 1, parent=parent, **FAILED)
    line = drawn.why(sample.trace)[0]
    assert line.startswith("! … / sub_agent the sub-agent number 4 / tool_call divide ")
    assert line.endswith("  failed")


def test_a_step_around_the_failure_with_a_reason_is_a_cause() -> None:
    sample = Sample("agent", 3.0)
    outer = sample.node("outer", "sub_agent", 0, 2, annotations=["take the short way"])
    sample.node("leaf", "tool_call", 0, 1, parent=outer, **FAILED)
    assert relations(sample.trace) == [("part_of", "outer")]


def test_what_is_around_the_recovery_is_no_cause() -> None:
    sample = Sample("agent", 9.0)
    sample.root.annotations = ["the mail was not sent"]
    outer = sample.node("outer", "sub_agent", 0, 8, annotations=["the large one is busy"])
    first = sample.node("large", "llm_call", 0, 1, parent=outer, **FAILED)
    sample.link(first, sample.node("small", "llm_call", 2, 3, parent=outer), EdgeType.FALLBACK_OF)
    assert relations(sample.trace) == [("part_of", "outer")]


def test_one_step_can_be_asked_for_whether_it_failed_or_not() -> None:
    sample, _ = failed_run()
    small = next(node for node in sample.trace.nodes.values() if node.name == "small")
    assert relations(sample.trace, small.id)[0] == ("fallback_of", "large")


def test_an_unknown_node_is_named() -> None:
    with pytest.raises(UnknownNodeError, match="unknown node 'nope'; see the ids"):
        explain(Sample("agent").trace, "nope")


def test_a_run_without_failures_needs_no_explanation() -> None:
    assert explain(Sample("agent").trace) == []
    assert drawn.why(Sample("agent").trace) == []


def test_circular_edges_and_parents_come_to_an_end() -> None:
    sample = Sample("agent", 3.0)
    one = sample.node("one", "tool_call", 0, 1, **FAILED)
    two = sample.node("two", "tool_call", 1, 2, **FAILED)
    sample.link(one, two, EdgeType.RETRY_OF)
    sample.link(two, one, EdgeType.DATA_FLOW)
    one.parent_id, two.parent_id = two.id, one.id
    assert explain(sample.trace, one.id) and drawn.why(sample.trace, two.id)


def test_a_chain_of_ten_thousand_attempts_is_followed() -> None:
    sample = Sample("agent", 3.0)
    attempts = [sample.node("call", "llm_call", at, at + 1, **FAILED) for at in range(10_000)]
    for earlier, later in zip(attempts, attempts[1:]):
        sample.link(earlier, later, EdgeType.RETRY_OF)
    (explanation,) = explain(sample.trace)
    assert explanation.cause is attempts[0]
    assert len(explanation.causes) == 9_999
    assert max(map(len, drawn.why(sample.trace))) <= 80


EXPECTED = """\
! tool_call mail                                       failed
     error: no such address
     given: {'to': 'nobody@'}
     which also failed: agent
     fed by llm_call small (fallback)                  completed
        gave: {'to': 'nobody@'}
        fallback after llm_call large #2 (retry)       failed
           error: Busy: try later
           retry of llm_call large #1                  failed
              error: Busy: try later
              decided by decision choose               completed
                 note: "ask the large one"
  it began with llm_call large #1
"""


def test_an_explanation_reads_from_the_failure_to_its_cause() -> None:
    lines = drawn.why(failed_run()[0].trace)
    assert "\n".join(lines[:13]) + "\n" == EXPECTED
    assert lines[13:16] == [
        "",
        "~ llm_call large #2 (retry)                            failed",
        "     error: Busy: try later",
    ]


def test_hostile_text_stays_text() -> None:
    sample = Sample("agent", 1.0)
    sample.node(
        "\x1b[31mred\u202e",
        "tool_call",
        status=NodeStatus.FAILED,
        error="a\nb\r",
        annotations=["é\x07"],
    )
    text = "\n".join(drawn.why(sample.trace, unicode=False))
    assert text.isascii() and text.replace("\n", "").isprintable()
    assert "\\x1b[31mred\\u202e" in text
