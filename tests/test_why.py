"""Going back from a failure to its cause."""

from __future__ import annotations

import pytest

from logtracer import EdgeType, Node, NodeStatus, TraceGraph
from logtracer_extras.why import UnknownNodeError, explain, render_why
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
    assert render_why(Sample("agent").trace) == []


def test_circular_edges_and_parents_come_to_an_end() -> None:
    sample = Sample("agent", 3.0)
    one = sample.node("one", "tool_call", 0, 1, **FAILED)
    two = sample.node("two", "tool_call", 1, 2, **FAILED)
    sample.link(one, two, EdgeType.RETRY_OF)
    sample.link(two, one, EdgeType.DATA_FLOW)
    one.parent_id, two.parent_id = two.id, one.id
    assert explain(sample.trace, one.id) and render_why(sample.trace, two.id)


def test_a_chain_of_ten_thousand_attempts_is_followed() -> None:
    sample = Sample("agent", 3.0)
    attempts = [sample.node("call", "llm_call", at, at + 1, **FAILED) for at in range(10_000)]
    for earlier, later in zip(attempts, attempts[1:]):
        sample.link(earlier, later, EdgeType.RETRY_OF)
    (explanation,) = explain(sample.trace)
    assert explanation.cause is attempts[0]
    assert len(explanation.causes) == 9_999
    assert max(map(len, render_why(sample.trace))) <= 80


EXPECTED = """\
! tool_call mail                                       failed
     error: no such address
     given: {'to': 'nobody@'}
     so failed: agent
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
    lines = render_why(failed_run()[0].trace)
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
    text = "\n".join(render_why(sample.trace, unicode=False))
    assert text.isascii() and text.replace("\n", "").isprintable()
    assert "\\x1b[31mred\\u202e" in text
