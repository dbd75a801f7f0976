"""Random runs for tests of comparisons: a tree of steps that is changed, then made a trace."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from random import Random
from typing import Any

from logtracer import Edge, EdgeType, Node, NodeStatus, TraceGraph

START = datetime(2026, 11, 22, 18, 0, tzinfo=timezone.utc)
TOKENS = "gen_ai.usage.input_tokens"


@dataclass(eq=False)
class Step:
    """A step as a test writes it down: no ids, no times."""

    name: str
    node_type: str = "custom"
    given: dict[str, Any] = field(default_factory=dict)
    children: list[Step] = field(default_factory=list)
    is_parallel: bool = False  # its children run at the same time
    retry_of: Step | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def walk(self) -> list[Step]:
        """Return the step and all below it, parents first."""
        found, waiting = [], [self]
        while waiting:
            step = waiting.pop()
            found.append(step)
            waiting.extend(reversed(step.children))
        return found


def random_run(random: Random, *, most: int = 24, unique: bool = True) -> Step:
    """Return a random tree; unless `unique`, many of its steps are alike."""
    root = Step("agent", "trace")
    steps = [root]
    for number in range(random.randrange(2, most)):
        question = number if unique else random.randrange(3)
        given = {"prompt": f"question {question}", "arguments": {"items": [question, {"n": 1}]}}
        step = Step(random.choice("abc"), random.choice(["llm_call", "tool_call"]), given)
        step.is_parallel = random.random() < 0.2
        if not unique and random.random() < 0.5:
            step.given = {}
        else:
            step.facts["metadata"] = {"gen_ai.request.model": "large", TOKENS: question}
        random.choice(steps[-6:]).children.append(step)
        steps.append(step)
    return root


def parents_of(root: Step) -> dict[Step, Step]:
    """Return the parent of every step but the root."""
    return {child: step for step in root.walk() for child in step.children}


def copy_of(root: Step) -> Step:
    """Return a copy of a tree, to be changed without changing the tree."""
    return copy.deepcopy(root)


def trace_of(
    root: Step, *, prefix: str = "a", tempo: float = 1.0, later: float = 0.0
) -> TraceGraph:
    """Make a trace of a tree: ids with a prefix, seconds of `tempo` from a `later` start on."""
    trace = TraceGraph(trace_id=prefix * 32, name=root.name)
    trace.start_time = START + timedelta(seconds=later)
    ids = {step: f"{prefix}{number}" for number, step in enumerate(root.walk())}
    sizes = {step: len(step.walk()) for step in ids}
    begins = {root: 0.0}
    for number, (step, node_id) in enumerate(ids.items()):
        node = Node(node_id, number, step.name, step.node_type, NodeStatus.COMPLETED)
        node.input_data = copy.deepcopy(step.given)
        node.start_time = trace.start_time + timedelta(seconds=begins[step] * tempo)
        node.end_time = node.start_time + timedelta(seconds=sizes[step] * tempo)
        for name, value in step.facts.items():
            setattr(node, name, value)
        trace.add_node(node)
        moment = begins[step] + 0.01
        for child in step.children:
            begins[child] = moment
            moment += 0.001 if step.is_parallel else sizes[child]
        trace.end_time = node.end_time if step is root else trace.end_time
    for step, parent in parents_of(root).items():
        trace.nodes[ids[step]].parent_id = ids[parent]
        trace.edges.append(Edge(ids[parent], ids[step], EdgeType.CAUSED_BY))
    for step in ids:
        if step.retry_of is not None and step.retry_of in ids:
            trace.edges.append(Edge(ids[step.retry_of], ids[step], EdgeType.RETRY_OF))
    return trace
