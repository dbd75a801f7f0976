"""A supervisor hands work to a researcher and a writer, and the writer asks a reviewer.

Shows agents inside agents, what is passed from one to the next, and who the run was for.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # a checkout needs no installation

from logtracer import EdgeType, NodeType, Span, Tracer
from logtracer_cli import render_trace


def research(parent: Span, topic: str) -> tuple[Span, list[str]]:
    """Find facts; returns the agent's span too, for what comes after to link to."""
    with parent.node("researcher", node_type=NodeType.SUB_AGENT) as agent:
        agent.input(topic=topic)
        with agent.node("search", node_type=NodeType.TOOL_CALL) as tool:
            tool.input(query=topic)
            facts = ["bees see ultraviolet light", "bees cannot see red"]
            tool.output(facts=facts)
        agent.output(facts=facts)
    return agent, facts


def review(parent: Span, draft: str) -> bool:
    """Accept a draft or not."""
    with parent.node("reviewer", node_type=NodeType.SUB_AGENT) as agent:
        agent.input(draft=draft)
        with agent.node("check_claims", node_type=NodeType.VALIDATION) as check:
            accepted = "red" in draft
            check.output(accepted=accepted)
        agent.output(accepted=accepted)
    return accepted


def write(parent: Span, researcher: Span, facts: list[str]) -> str:
    """Write a text from the researcher's facts and have it reviewed."""
    with parent.node("writer", node_type=NodeType.SUB_AGENT) as agent:
        researcher.link(agent, EdgeType.DATA_FLOW, label="facts")
        agent.input(facts=facts)
        with agent.node("draft", node_type=NodeType.LLM_CALL) as draft:
            text = f"{' and '.join(facts).capitalize()}."
            draft.output(text=text)
        assert review(agent, text)
        agent.output(text=text)
    return text


def main() -> None:
    """Record one run, check it, and print it."""
    tracer = Tracer()

    with tracer.trace("supervisor", session_id="conversation-7", user_id="ada") as root:
        with root.node("plan", node_type=NodeType.DECISION) as plan:
            plan.annotate("Facts first, then the text")
        researcher, facts = research(root, "how bees see")
        root.output(text=write(root, researcher, facts))

    trace = root.trace
    names = {node.id: node.name for node in trace.nodes.values()}
    flows = [edge for edge in trace.edges if edge.edge_type == EdgeType.DATA_FLOW]

    assert [(level, node.name) for level, node in trace.walk()] == [
        (0, "supervisor"),
        (1, "plan"),
        (1, "researcher"),
        (2, "search"),
        (1, "writer"),
        (2, "draft"),
        (2, "reviewer"),
        (3, "check_claims"),
    ]
    assert [(names[edge.source_id], edge.label, names[edge.target_id]) for edge in flows] == [
        ("researcher", "facts", "writer")
    ]
    assert trace.metadata["session_id"] == "conversation-7"
    assert trace.metadata["user_id"] == "ada"

    print(render_trace(trace))


if __name__ == "__main__":
    main()
