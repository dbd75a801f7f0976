"""A handoff between two agents of OpenAI's Swarm, recorded without a change to them.

Set OPENAI_API_KEY, or OPENAI_BASE_URL to a server that speaks its protocol.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # a checkout needs no installation

from swarm import Agent, Swarm

import logtracer
from logtracer_cli import render_trace


def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return f"21 and sunny in {city}"


def transfer_to_weather_agent() -> Agent:
    """Hand over to the agent that knows the weather."""
    return weather_agent


logtracer.configure(auto_instrument=["swarm", "openai"])
weather_agent = Agent(name="weather_agent", functions=[get_weather])
triage = Agent(name="triage", functions=[transfer_to_weather_agent])
question = {"role": "user", "content": "Please hand over: what's the weather in Paris?"}

with logtracer.trace("question") as root:
    Swarm().run(agent=triage, messages=[question])

nodes = root.trace.nodes.values()
(handoff,) = [node for node in nodes if "handoff_to" in node.metadata]
assert handoff.metadata["handoff_to"] == "weather_agent"
assert [node.name for node in nodes].count("chat gpt-4o") == 3
print(render_trace(root.trace))
