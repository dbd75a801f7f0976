"""Agents that never do quite the same twice, and twelve ways in which a change may break them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from logtracer import TraceGraph
from logtracer_extras.testing import TraceBuilder

NAMES = ["search", "fetch", "rank", "parse", "book", "mail", "price", "route"]


@dataclass
class Step:
    """A step of a run before it is one: what it is called with, what comes of it."""

    name: str
    kind: str = "tool_call"
    given: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    model: str | None = None
    tokens: tuple[int, int] | None = None


class Agent:
    """A pipeline of steps: some are optional, some repeat, some come in any order."""

    def __init__(self, seed: int) -> None:
        self.random = Random(f"agent {seed}")
        chosen = self.random.sample(NAMES, self.random.randrange(4, 8))
        self.names = chosen
        self.optional = set(self.names[-1:])  # every second run has it
        self.repeated = self.names[0]  # one to four times
        self.regions = self.random.sample(["eu", "us", "asia", "africa"], 2)
        self.limit = self.random.randrange(5, 50)

    def steps(self, seed: int) -> list[Step]:
        """Return the steps of a good run."""
        random = Random(f"{self.names} {seed}")
        steps = [self._model("plan", random)]
        middle = self.names[1:-1]
        if random.random() < 0.5:
            middle = middle[::-1]
        for name in [self.names[0], *middle, *self.names[-1:]]:
            if name in self.optional and random.random() < 0.5:
                continue
            times = random.randrange(1, 5) if name == self.repeated else 1
            steps += [self._tool(name, random) for _ in range(times)]
        steps += [Step("confirm", given={"by": "user"}, result={"yes": True})]
        steps += [self._tool("delete", random), self._model("answer", random)]
        return steps

    def _model(self, name: str, random: Random) -> Step:
        tokens = random.randrange(800, 1_600), random.randrange(50, 200)
        given = {"messages": [f"question {random.random()}"]}
        return Step(
            name, "llm_call", given, {"text": f"{random.random()}"}, None, "large-1", tokens
        )

    def _tool(self, name: str, random: Random) -> Step:
        given = {
            "query": f"about {random.random()}",
            "region": random.choice(self.regions),
            "limit": self.limit,
            "page": random.randrange(1, 9),
        }
        return Step(name, given=given, result={"rows": [random.random()], "took": random.random()})


def run_of(steps: list[Step]) -> TraceGraph:
    """Return the trace of a run of these steps."""
    builder = TraceBuilder("agent")
    for step in steps:
        builder.node(
            step.name,
            step.kind,
            input=step.given,
            output={} if step.error else step.result,
            error=step.error,
            model=step.model,
            tokens=step.tokens,
        )
    return builder.trace


def good_runs(agent: Agent, count: int, first: int = 0) -> list[TraceGraph]:
    return [run_of(agent.steps(first + number)) for number in range(count)]


# ---- What may go wrong after a change ----------------------------------------------------------


def _named(steps: list[Step], name: str) -> Step:
    return next(step for step in steps if step.name == name)


def step_missing(steps: list[Step], agent: Agent) -> None:
    steps.remove(_named(steps, "plan"))


def unknown_tool(steps: list[Step], agent: Agent) -> None:
    steps.insert(2, Step("shell", given={"command": "ls"}, result={"text": "a"}))


def guard_skipped(steps: list[Step], agent: Agent) -> None:
    steps.remove(_named(steps, "confirm"))


def order_swapped(steps: list[Step], agent: Agent) -> None:
    confirm = _named(steps, "confirm")
    steps.remove(confirm)
    steps.insert(steps.index(_named(steps, "delete")) + 1, confirm)


def loop(steps: list[Step], agent: Agent) -> None:
    steps[1:1] = [_named(steps, agent.repeated)] * 12


def argument_missing(steps: list[Step], agent: Agent) -> None:
    del _named(steps, "delete").given["limit"]


def argument_of_another_type(steps: list[Step], agent: Agent) -> None:
    _named(steps, agent.repeated).given["query"] = ["a", "b"]


def argument_out_of_domain(steps: list[Step], agent: Agent) -> None:
    _named(steps, agent.repeated).given["limit"] = agent.limit * 10


def argument_out_of_range(steps: list[Step], agent: Agent) -> None:
    _named(steps, agent.repeated).given["page"] = 400


def tool_fails(steps: list[Step], agent: Agent) -> None:
    _named(steps, agent.repeated).error = "boom"


def another_model(steps: list[Step], agent: Agent) -> None:
    _named(steps, "answer").model = "small-1"


def many_tokens(steps: list[Step], agent: Agent) -> None:
    _named(steps, "answer").tokens = (40_000, 500)


REGRESSIONS: tuple[Callable[[list[Step], Agent], None], ...] = (
    step_missing,
    unknown_tool,
    guard_skipped,
    order_swapped,
    loop,
    argument_missing,
    argument_of_another_type,
    argument_out_of_domain,
    argument_out_of_range,
    tool_fails,
    another_model,
    many_tokens,
)


def bad_run(agent: Agent, seed: int, regression: Callable[[list[Step], Agent], None]) -> TraceGraph:
    """Return a run of the agent after a change."""
    steps = agent.steps(seed)
    regression(steps, agent)
    return run_of(steps)
