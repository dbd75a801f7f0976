"""An agent of Google's Agent Development Kit with a tool, from the OpenTelemetry spans it makes.

Set GOOGLE_API_KEY, or GOOGLE_GEMINI_BASE_URL to a server that speaks its protocol.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # a checkout needs no installation
os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"  # with messages

from google.adk.agents import Agent
from google.adk.runners import InMemoryRunner
from google.genai import types

import logtracer
from logtracer_cli import render_trace


def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return f"21 and sunny in {city}"


async def main() -> None:
    """Ask the agent."""
    agent = Agent(name="forecaster", model="gemini-2.5-flash", tools=[get_weather])
    runner = InMemoryRunner(agent=agent, app_name="weather")
    session = await runner.session_service.create_session(app_name="weather", user_id="user")
    question = types.Content(role="user", parts=[types.Part(text="What's the weather in Paris?")])
    ids = {"user_id": "user", "session_id": session.id}
    async for _ in runner.run_async(new_message=question, **ids):
        pass


logtracer.configure(auto_instrument=["otel"])

with logtracer.trace("question") as root:
    asyncio.run(main())

kinds = [node.node_type for node in root.trace.nodes.values()]
assert kinds.count("llm_call") == 2
assert kinds.count("tool_call") == 1
print(render_trace(root.trace))
