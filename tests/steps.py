"""Random runs for tests of comparisons: a tree of steps that is changed, then made a trace."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from random import Random
from typing import Any

from logtracer import TraceGraph
from logtracer_extras.testing import TraceBuilder

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
    moment = START + timedelta(seconds=later)
    builder = TraceBuilder(root.name, trace_id=prefix * 32, start=moment, has_root=False)
    ids = {step: f"{prefix}{number}" for number, step in enumerate(root.walk())}
    sizes = {step: len(step.walk()) for step in ids}
    begins, parents = {root: 0.0}, parents_of(root)
    for step, node_id in ids.items():
        node = builder.node(
            step.name,
            step.node_type,
            id=node_id,
            parent=None if step is root else ids[parents[step]],
            start=begins[step] * tempo,
            end=(begins[step] + sizes[step]) * tempo,
            input=copy.deepcopy(step.given),
        )
        for name, value in step.facts.items():
            setattr(node, name, value)
        begin = begins[step] + 0.01
        for child in step.children:
            begins[child] = begin
            begin += 0.001 if step.is_parallel else sizes[child]
    nodes = builder.trace.nodes
    for step in ids:
        if step.retry_of is not None and step.retry_of in ids:
            builder.link(nodes[ids[step.retry_of]], nodes[ids[step]], "retry_of")
    return builder.trace
