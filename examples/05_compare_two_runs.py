"""The same agent runs well and badly: what differs, where it began, and why it failed.

The terminal says the same of two stored runs: `logtracer diff A B`, and of one: `logtracer why B`.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # a checkout needs no installation

from logtracer import EdgeType, Span, TraceGraph, Tracer
from logtracer_cli import render_diff, render_trace
from logtracer_extras.diff import diff
from logtracer_extras.why import explain


class OutOfStock(Exception):
    """What the warehouse answers when there is nothing left."""


def plan(root: Span, prompt: str) -> str:
    """Stand in for a model that decides where to look, after what its prompt says."""
    place = "north" if "near" in prompt else "south"
    with root.node("plan", node_type="decision") as step:
        step.input(prompt=prompt, question="Do we have a lamp?")
        step.annotate(f"The prompt says so: look in the {place}")
        step.output(warehouse=place)
    return place


def look_up(root: Span, place: str) -> int:
    """Ask a warehouse, and once more when it has nothing."""
    attempts: list[Span] = []
    for _ in range(2):
        with root.node("warehouse", node_type="tool_call") as step:
            if attempts:
                attempts[-1].link(step, EdgeType.RETRY_OF)
            attempts.append(step)
            step.input(item="lamp", place=place)
            if place == "north":
                step.output(lamps=3)
                return 3
            try:
                raise OutOfStock("no lamp in the south")
            except OutOfStock as error:
                step.end(error=error)
    raise OutOfStock("no lamp in the south")


def run_agent(tracer: Tracer, prompt: str) -> TraceGraph:
    """Answer a customer, and return what was recorded."""
    run = tracer.trace("shop_agent")
    try:
        with run as root:
            look_up(root, plan(root, prompt))
            with root.node("answer", node_type="llm_call") as step:
                step.output(text="Yes, we have three.")
    except OutOfStock:
        pass  # the record tells
    return root.trace


def main() -> None:
    """Record three runs, compare them, and explain the one that failed."""
    tracer = Tracer()
    good = run_agent(tracer, "You are kind.\nLook near the customer first.")
    again = run_agent(tracer, "You are kind.\nLook near the customer first.")
    bad = run_agent(tracer, "You are kind.\nLook where it is cheap first.")

    assert diff(good, again).changes == []  # other ids and times are no difference

    difference = diff(good, bad)
    assert difference.first is not None
    assert difference.path(difference.first) == "decision plan"
    assert [item.path for item in difference.first.fields if item.is_known_at_start] == [
        "input.prompt"
    ]

    (explanation,) = explain(bad)
    assert [cause.node.name for cause in explanation.causes] == ["warehouse", "plan"]
    assert explanation.cause.error == "no lamp in the south"

    print(render_trace(bad), render_diff(difference), sep="\n")
    print("it began with", explanation.cause.name, "because", explanation.cause.error)


if __name__ == "__main__":
    main()
