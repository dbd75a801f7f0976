"""Traces for the viewer's tests and benchmark: large, deep, wide and hostile ones."""

from __future__ import annotations

import random
from datetime import datetime, timezone
from typing import Any

from logtracer import Edge, EdgeType, Node, NodeStatus, TraceGraph
from logtracer_extras.testing import TraceBuilder

START = datetime(2026, 11, 22, 18, 24, 23, tzinfo=timezone.utc)
AGENTS = ("researcher", "coder", "critic", "writer")
TOOLS = ("web_search", "read_file", "sql_query")
WORDS = ("the", "plan", "is", "to", "search", "papers", "and", "compare", "their", "results")


class TraceMaker:
    """A builder in microseconds; ids look like real ones, and are the same every time."""

    def __init__(self, name: str = "run", seed: int = 1) -> None:
        self.random = random.Random(seed)
        self._builder = TraceBuilder(
            name,
            trace_id="0" * 32,
            start=START,
            end=0,
            new_id=lambda number: f"{self.random.getrandbits(64):016x}",
        )
        self.trace = self._builder.trace
        self.root = next(iter(self.trace.nodes.values()))

    def node(
        self, name: str, kind: str, parent: Node | None, start: float, end: float, **facts: Any
    ) -> Node:
        """Add a node that ran from `start` to `end`."""
        begins, ends = int(start) / 1e6, int(end) / 1e6
        node = self._builder.node(name, kind, parent=parent, start=begins, end=ends)
        for field, value in facts.items():
            setattr(node, field, value)
        return node

    def end(self, node: Node, end: float) -> None:
        """Let a node end later than was said."""
        self._builder.end(node, int(end) / 1e6)


def reference_trace(count: int, seed: int = 1) -> TraceGraph:
    """Return a run of several agents in turns: calls, tools, one failure in a hundred, retries."""
    maker = TraceMaker("reference-agent", seed)
    clock, turns = 0.0, 0
    while len(maker.trace.nodes) < count:
        turn = maker.node(f"turn {turns}", "custom", maker.root, clock, clock)
        agents = AGENTS[: maker.random.randint(1, 4)]
        nodes = maker.trace.nodes
        ends = [_agent(maker, name, turn, clock, count) for name in agents if len(nodes) < count]
        clock = max(ends, default=clock)
        maker.end(turn, clock)
        turns += 1
    maker.end(maker.root, clock)
    return maker.trace


def _agent(maker: TraceMaker, name: str, turn: Node, clock: float, count: int) -> float:
    clock += maker.random.uniform(0, 2e5)
    agent = maker.node(name, "sub_agent", turn, clock, clock)
    before: Node | None = None
    for _ in range(maker.random.randint(3, 12)):
        if len(maker.trace.nodes) >= count:
            break
        took = maker.random.lognormvariate(13, 0.8)
        if maker.random.random() < 0.5:
            call = _call(maker, agent, clock, took)
            if before is not None and before.status is NodeStatus.FAILED:
                maker.trace.edges.append(Edge(before.id, call.id, EdgeType.RETRY_OF))
            before = call
        else:
            _tool(maker, agent, clock, took / 3)
        clock += took * 1.02
    maker.end(agent, clock)
    return clock


def _text(maker: TraceMaker, words: int) -> str:
    return " ".join(maker.random.choice(WORDS) for _ in range(words))


def _call(maker: TraceMaker, agent: Node, start: float, took: float) -> Node:
    model = maker.random.choice(("large-1", "small-1"))
    call = maker.node(f"chat {model}", "llm_call", agent, start, start + took)
    call.input_data = {"messages": [{"role": "user", "content": _text(maker, 6)}]}
    call.metadata = {
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": maker.random.randint(100, 4_000),
        "gen_ai.usage.output_tokens": maker.random.randint(10, 900),
    }
    if maker.random.random() < 0.01:
        fail(call, "RateLimit", "429, retry after 1s")
    else:
        call.output_data = {"text": _text(maker, 8)}
    return call


def _tool(maker: TraceMaker, agent: Node, start: float, took: float) -> None:
    tool = maker.node(maker.random.choice(TOOLS), "tool_call", agent, start, start + took)
    tool.input_data = {"query": _text(maker, 4)}
    tool.output_data = {"rows": maker.random.randint(0, 99)}
    if maker.random.random() < 0.01:
        fail(tool, "TimeoutError", "no answer in 800 ms")


def fail(node: Node, error_type: str, error: str) -> None:
    """Let a node have failed."""
    node.status = NodeStatus.FAILED
    node.error_type = error_type
    node.error = error


def chain(count: int) -> TraceGraph:
    """Return steps in steps in steps, one child each."""
    maker = TraceMaker("deep")
    above = maker.root
    for level in range(1, count):
        above = maker.node(f"level {level}", "custom", above, level, 2 * count - level)
    maker.end(maker.root, 2 * count)
    return maker.trace


def fan(count: int) -> TraceGraph:
    """Return one step with all others beside each other below it."""
    maker = TraceMaker("wide")
    for place in range(1, count):
        maker.node("search", "tool_call", maker.root, place, count + place)
    maker.end(maker.root, 2 * count)
    return maker.trace


# ---- What a stranger may have put into a trace --------------------------------------------------

FLAG = "window.pwned=1"
ATTACKS = (
    f"<script>{FLAG}</script>",
    f"</script><script>{FLAG}</script>",
    f"</SCRIPT ><img src=x onerror={FLAG}>",
    f"<!--<script>{FLAG}//",
    f"--></script><svg onload={FLAG}>",
    f"\"'><iframe srcdoc='<script>parent.{FLAG}</script>'>",
    f"javascript:{FLAG}",
    f"</title></noscript></style><script>{FLAG}</script>",
    f"<!--logtracer:data--><script>{FLAG}</script><!--logtracer:title-->",
    f"<base href='//example.invalid/'><link rel=stylesheet href=//example.invalid/x.css>{FLAG}",
    f"${{{FLAG}}} {{{{constructor.constructor('{FLAG}')()}}}}",
    "\u2028\u2029\u0000\u001b]0;title\u0007\u202egnp.exe\u202c\u200b\ufeff",
    "__proto__",
    "constructor",
    "\ud800 half a character",
)


def hostile_trace() -> TraceGraph:
    """Return a trace with every attack in every place that holds a text."""
    maker = TraceMaker(ATTACKS[1])
    maker.trace.trace_id = ATTACKS[1]
    maker.trace.metadata = {attack: attack for attack in ATTACKS}
    before = maker.root
    for number, attack in enumerate(ATTACKS):
        start = number * 1_000
        node = maker.node(attack, attack, before if number % 3 else maker.root, start, start + 900)
        fail(node, attack, attack)
        node.error_traceback = attack
        node.input_data = {attack: {attack: [attack]}, "__proto__": {"polluted": attack}}
        node.output_data = {"messages": [{"role": attack, "content": attack}]}
        node.annotations = [attack]
        node.metadata = {"lane": attack, "gen_ai.request.model": attack, attack: attack}
        maker.trace.edges.append(Edge(before.id, node.id, attack, attack))
        before = node
    maker.end(maker.root, len(ATTACKS) * 1_000)
    return maker.trace
