"""A model call fails, is tried again, fails again, and another model takes over.

Shows edges that say why a step came after another, and a run that succeeds with failed steps in it.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # a checkout needs no installation

from logtracer import EdgeType, NodeStatus, Span, Tracer
from logtracer_cli import render_trace

QUESTION = "What is the answer?"


class ModelOverloaded(Exception):
    """What the busy model answers."""


def call_model(span: Span, model: str) -> str:
    """Stand in for a call of a model; the large one is always busy."""
    span.llm(model=model, provider="acme", input_tokens=12)
    if model == "large":
        raise ModelOverloaded("try again later")
    span.llm(output_tokens=3, finish_reason="stop")
    return "The answer is 42."


def main() -> None:
    """Record one run, check it, and print it."""
    tracer = Tracer()

    with tracer.trace("answer_question") as root:
        attempts: list[Span] = []
        for number in range(2):
            attempt = root.node(f"attempt_{number + 1}", node_type="llm_call")
            attempt.input(question=QUESTION)
            try:
                with attempt:
                    call_model(attempt, "large")
            except ModelOverloaded:
                attempts.append(attempt)
        attempts[0].link(attempts[1], EdgeType.RETRY_OF)

        with root.node("small_model", node_type="llm_call") as fallback:
            fallback.input(question=QUESTION)
            attempts[0].link(fallback, EdgeType.FALLBACK_OF, label="the large model is busy")
            fallback.output(text=call_model(fallback, "small"))

    trace = root.trace
    reasons = [
        (trace.nodes[edge.source_id].name, edge.edge_type, trace.nodes[edge.target_id].name)
        for edge in trace.edges
        if edge.edge_type != EdgeType.CAUSED_BY
    ]

    assert reasons == [
        ("attempt_1", EdgeType.RETRY_OF, "attempt_2"),
        ("attempt_1", EdgeType.FALLBACK_OF, "small_model"),
    ]
    assert [node.name for node in trace.failed_nodes] == ["attempt_1", "attempt_2"]
    assert {node.error_type for node in trace.failed_nodes} == {"ModelOverloaded"}
    assert fallback.node_record.status == NodeStatus.COMPLETED
    assert root.node_record.status == NodeStatus.COMPLETED

    print(render_trace(trace))


if __name__ == "__main__":
    main()
