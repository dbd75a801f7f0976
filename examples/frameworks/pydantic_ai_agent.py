"""An agent of Pydantic AI with a tool, recorded from the OpenTelemetry spans it makes.

Set OPENAI_API_KEY, or OPENAI_BASE_URL to a server that speaks its protocol.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # a checkout needs no installation

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel

import logtracer
from logtracer_cli import render_trace


async def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return f"21 and sunny in {city}"


logtracer.configure(auto_instrument=["otel", "openai"])
Agent.instrument_all()
agent = Agent(OpenAIChatModel("gpt-4o"), name="forecaster", tools=[get_weather])

with logtracer.trace("question") as root:
    agent.run_sync("What's the weather in Paris?")

kinds = [node.node_type for node in root.trace.nodes.values()]
assert kinds.count("llm_call") == 2
assert kinds.count("tool_call") == 1
print(render_trace(root.trace))
