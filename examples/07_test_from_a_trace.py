"""From a trace to a test: say what a run must have done, keep a good one, check what looks good.

The terminal finds the same in a stored run: `logtracer check latest`.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # a checkout needs no installation

from logtracer import Span, TraceGraph, Tracer
from logtracer_cli import render_trace
from logtracer_extras.check import RunStopped, Watch, check
from logtracer_extras.testing import (
    assert_budget,
    assert_never_without,
    assert_no_errors,
    assert_order,
    assert_same,
    assert_value,
)


def search(root: Span, city: str) -> float:
    """Stand in for a tool that looks up the weather."""
    with root.node("search", node_type="tool_call") as step:
        step.input(city=city, unit="celsius")
        step.output(temperature=18.0)
    return 18.0


def answer(root: Span, text: str) -> None:
    """Stand in for a model that writes the answer."""
    with root.node("answer", node_type="llm_call") as step:
        step.llm(model="small-1", input_tokens=320, output_tokens=20, finish_reason="stop")
        step.output(text=text)


def run_agent(tracer: Tracer, city: str) -> TraceGraph:
    """Answer a question, and return what was recorded."""
    with tracer.trace("weather_agent") as root:
        temperature = search(root, city)
        answer(root, f"It has {temperature:.0f} degrees in {city}.")
    return root.trace


def test_the_agent(trace: TraceGraph) -> None:
    """Say what each good run does; with pytest, this is a test."""
    assert_order(trace, "search", "answer")
    assert_never_without(trace, "answer", "search")
    assert_value(trace, "search", "input.unit", "celsius")
    assert_budget(trace, model_calls=1, tokens=500)
    assert_no_errors(trace)


def failure_of(trace: TraceGraph, golden: TraceGraph) -> str:
    """Return the message of a test that fails: another city is another run."""
    try:
        assert_same(trace, golden)
    except AssertionError as error:
        return str(error)
    raise SystemExit("this should have differed")


def stopped_loop(tracer: Tracer) -> str:
    """Let an agent search in vain until a watch stops it, and return why."""
    with Watch(tracer, repeats=3, on_finding=lambda finding: None) as watch:
        try:
            with tracer.trace("weather_agent") as root:
                while True:
                    search(root, "Atlantis")
                    watch.raise_if_found()
        except RunStopped as stop:
            return str(stop)


def main() -> None:
    """Test a run, compare it with another one, and find what only looks good."""
    tracer = Tracer()
    golden = run_agent(tracer, "Paris")
    test_the_agent(golden)
    assert_same(run_agent(tracer, "Paris"), golden)

    message = failure_of(run_agent(tracer, "Oslo"), golden)
    assert "input.city: 'Paris' -> 'Oslo'" in message

    with tracer.trace("coding_agent") as root:
        answer(root, "I fixed the bug. All tests pass.")
    (finding,) = check(root.trace)
    assert finding.kind == "claimed_tests"

    reason = stopped_loop(tracer)
    assert reason == "search was called 3 times with the same result"

    print(render_trace(golden))
    print(message)
    print(f"\n{finding.kind}: {finding.message}\n  {finding.evidence}")
    print(f"\nstopped: {reason}")


if __name__ == "__main__":
    main()
