"""Fixed traces for tests of what is drawn: no clock, no random ids."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from logtracer import Node, NodeStatus, TraceGraph
from logtracer_extras.testing import TraceBuilder

START = datetime(2026, 11, 22, 18, 24, 23, tzinfo=timezone.utc)


class Sample:
    """A builder for traces whose every time matters: each node says when it starts and ends."""

    def __init__(self, name: str, seconds: float = 0.0, trace_id: str = "7f3a9c21") -> None:
        whole_id = trace_id.ljust(32, "0")
        self._builder = TraceBuilder(name, trace_id=whole_id, start=START, end=seconds)
        self.trace = self._builder.trace
        self.root = next(iter(self.trace.nodes.values()))
        self.link = self._builder.link

    def node(
        self,
        name: str,
        node_type: str,
        start: float = 0.0,
        end: float | None = 0.0,
        *,
        parent: Node | None | str = "root",
        **facts: Any,
    ) -> Node:
        """Add a node that ran from `start` to `end` seconds; `end=None` leaves it open."""
        above = self.root if parent == "root" else parent
        stop = start if end is None else end
        node = self._builder.node(name, node_type, parent=above, start=start, end=stop)
        node.end_time = None if end is None else node.end_time
        for field, value in facts.items():
            setattr(node, field, value)
        return node


def weather() -> TraceGraph:
    """Return the run of the published README."""
    sample = Sample("weather_agent")
    sample.node(
        "classify_intent",
        "llm_call",
        input_data={"query": "What's the weather in Paris?"},
        output_data={"intent": "weather_lookup", "confidence": 0.95},
        annotations=["High confidence — routing to weather tool"],
    )
    sample.node(
        "weather_api",
        "tool_call",
        input_data={"location": "Paris"},
        output_data={"temperature_c": 18, "condition": "partly cloudy"},
    )
    return sample.trace


def failing(**facts: Any) -> dict[str, Any]:
    """Return the facts of a node that failed."""
    return {"status": NodeStatus.FAILED, **facts}


def support_agent() -> TraceGraph:
    """Return a run of several agents: steps at once, a retry, a fallback, two errors."""
    sample = Sample("support-agent", 12.4)
    sample.root.status = NodeStatus.FAILED
    plan = sample.node("plan", "decision", 0.0, 1.9)
    sample.node("chat", "llm_call", 0.0, 1.8, parent=plan, metadata=usage("large-1", 1_200, 200))
    gather = sample.node("gather", "custom", 1.9, 6.2)
    researcher = sample.node("researcher", "sub_agent", 1.9, 6.2, parent=gather)
    for start in (1.9, 2.6, 3.3, 4.0):
        sample.node("web_search", "tool_call", start, start + 1.0, parent=researcher)
    sample.node(
        "chat", "llm_call", 5.0, 6.2, parent=researcher, metadata=usage("large-1", 4_500, 600)
    )
    sql = sample.node("sql", "sub_agent", 1.9, 4.0, parent=gather)
    sample.node("chat", "llm_call", 1.9, 3.0, parent=sql, metadata=usage("large-1", 4_300, 400))
    sample.node("vector_lookup", "tool_call", 1.9, 2.3, parent=gather)
    _answer(sample)
    return sample.trace


def _answer(sample: Sample) -> None:
    answer = sample.node("answer", "custom", 6.2, 12.4, status=NodeStatus.FAILED)
    error = failing(error_type="RateLimit", error="429, retry after 1s")
    first = sample.node("chat", "llm_call", 6.2, 8.3, parent=answer, **error)
    first.metadata = usage("large-1", 4_000, 100)
    second = sample.node("chat", "llm_call", 9.3, 10.8, parent=answer)
    second.metadata = usage("large-1", 4_000, 100)
    third = sample.node("chat_small", "llm_call", 10.9, 11.6, parent=answer)
    third.metadata = usage("small-1", 1_500, 200)
    sample.link(first, second, "retry_of")
    sample.link(second, third, "fallback_of")
    error = failing(error_type="TimeoutError", error="smtp did not answer in 800 ms")
    sample.node("send_email", "tool_call", 11.6, 12.4, parent=answer, **error)


def usage(model: str, read: int, wrote: int) -> dict[str, Any]:
    """Return the metadata of a model call."""
    return {
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": read,
        "gen_ai.usage.output_tokens": wrote,
    }


PRICES = '{"large-1": {"input": 3, "output": 15}, "small-1": {"input": 0.5, "output": 2}}'
