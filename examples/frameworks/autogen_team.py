"""A team of two AutoGen agents, one of them with a tool, recorded without a change to it.

Set OPENAI_API_KEY, or OPENAI_BASE_URL to a server that speaks its protocol.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # a checkout needs no installation

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient

import logtracer
from logtracer_cli import render_trace


async def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return f"21 and sunny in {city}"


logtracer.configure(auto_instrument=["autogen", "openai"])
model = OpenAIChatCompletionClient(model="gpt-4o")
forecaster = AssistantAgent("forecaster", model_client=model, tools=[get_weather])
writer = AssistantAgent("writer", model_client=model)
team = RoundRobinGroupChat([forecaster, writer], termination_condition=MaxMessageTermination(3))

with logtracer.trace("report") as root:
    asyncio.run(team.run(task="What's the weather in Paris?"))

nodes = {node.name: node for node in root.trace.nodes.values()}
assert nodes["forecaster"].parent_id == nodes["writer"].parent_id
assert nodes["get_weather"].parent_id == nodes["forecaster"].id
assert nodes["chat gpt-4o"].parent_id == nodes["writer"].id  # the last of them
print(render_trace(root.trace))
