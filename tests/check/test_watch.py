"""A watch over a run that goes on: what it finds, when, and how the host is stopped."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from logtracer import NodeStatus, Span, Tracer
from logtracer_extras.analysis import PriceTable
from logtracer_extras.check import Finding, RunStopped, Watch


@pytest.fixture
def tracer() -> Iterator[Tracer]:
    yield Tracer()


def search(parent: Span, query: str = "a") -> None:
    with parent.node("search", node_type="tool_call") as step:
        step.input(query=query)
        step.output(hits=[])


def think(parent: Span, tokens: int = 10, text: str = "next") -> None:
    with parent.node("chat", node_type="llm_call") as step:
        step.llm(model="m", input_tokens=tokens, output_tokens=0)
        step.output(text=text)


def test_a_loop_is_found_while_it_goes_on_and_reported_once(tracer: Tracer) -> None:
    found: list[Finding] = []
    with Watch(tracer, repeats=3, on_finding=found.append), tracer.trace("agent") as root:
        for number in range(6):
            search(root)
            assert len(found) == (number >= 2)
    assert [finding.kind for finding in found] == ["repeated_call"]


def test_the_host_is_stopped_in_its_own_loop(tracer: Tracer) -> None:
    watch = Watch(tracer, repeats=3, on_finding=lambda finding: None)
    with pytest.raises(RunStopped, match="called 3 times"), tracer.trace("agent") as root:
        for _ in range(9):
            search(root)
            watch.raise_if_found()
    assert len(root.trace.nodes) == 1 + 3
    assert root.node_record.status == NodeStatus.FAILED


def test_a_run_is_paused_and_may_go_on(tracer: Tracer) -> None:
    watch = Watch(tracer, tool_calls=1, on_finding=lambda finding: None)
    with tracer.trace("agent") as root:
        search(root, "a")
        assert not watch.pause_if_found()
        search(root, "b")
        assert watch.pause_if_found()
        assert root.node_record.status == NodeStatus.PAUSED
        root.resume()
        search(root, "c")
        assert not watch.pause_if_found()


def test_each_limit_is_named_once(tracer: Tracer) -> None:
    prices = PriceTable({"m": {"input": 1_000.0, "output": 0.0}})
    found: list[Finding] = []
    with (
        Watch(tracer, model_calls=2, tokens=25, cost=0.02, prices=prices, on_finding=found.append),
        tracer.trace("agent") as root,
    ):
        for number in range(5):
            think(root, text=f"step {number}")
    assert [finding.message for finding in found] == [
        "model calls: 3, at most 2",
        "tokens: 30, at most 25",
        "cost: 0.03, at most 0.02",
    ]
    with pytest.raises(TypeError, match="prices"):
        Watch(tracer, cost=1.0)


def test_limits_count_for_each_trace(tracer: Tracer) -> None:
    with Watch(tracer, model_calls=2) as watch:
        for _ in range(3):
            with tracer.trace("agent") as root:
                think(root, text="a")
                think(root, text="b")
    assert watch.findings == []


def test_the_whole_run_is_checked_when_it_ends(tracer: Tracer) -> None:
    with Watch(tracer, on_finding=lambda finding: None) as watch:
        with tracer.trace("agent") as root:
            think(root, text="All tests pass.")
        assert [finding.kind for finding in watch.findings] == ["claimed_tests"]


def test_an_answer_that_was_cut_off_is_found_at_once(tracer: Tracer) -> None:
    with Watch(tracer, on_finding=lambda finding: None) as watch, tracer.trace("agent") as root:
        with root.node("chat", node_type="llm_call") as step:
            step.llm(model="m", finish_reason="length")
            step.output(text="and so")
        assert [finding.kind for finding in watch.findings] == ["truncated"]


def test_findings_are_logged_unless_told_otherwise(
    tracer: Tracer, caplog: pytest.LogCaptureFixture
) -> None:
    Watch(tracer, tool_calls=0)
    with caplog.at_level(logging.WARNING, "logtracer"), tracer.trace("agent") as root:
        search(root)
    assert caplog.messages == ["over_budget: tool calls: 1, at most 0"]


def test_a_closed_watch_sees_nothing(tracer: Tracer) -> None:
    watch = Watch(tracer, tool_calls=0)
    watch.close()
    with tracer.trace("agent") as root:
        search(root)
    assert watch.findings == []
    watch.raise_if_found()
