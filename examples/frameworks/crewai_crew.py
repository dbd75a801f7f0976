"""A crew of CrewAI with a tool, recorded without a change to it.

Set OPENAI_API_KEY, or OPENAI_BASE_URL to a server that speaks its protocol.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # a checkout needs no installation

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool

import logtracer
from logtracer_cli import render_trace


def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return f"21 and sunny in {city}"


logtracer.configure(auto_instrument=["crewai", "openai"])
forecaster = Agent(
    role="forecaster",
    goal="Tell the weather",
    backstory="You have looked at the sky for years.",
    tools=[tool("get_weather")(get_weather)],
    llm=LLM(model="openai/gpt-4o"),
)
task = Task(
    description="What's the weather in Paris?", expected_output="one sentence", agent=forecaster
)

with logtracer.trace("report") as root:
    Crew(agents=[forecaster], tasks=[task]).kickoff()

kinds = [node.node_type for node in root.trace.nodes.values()]
assert kinds.count("llm_call") == 2
assert kinds.count("tool_call") == 1
print(render_trace(root.trace))
