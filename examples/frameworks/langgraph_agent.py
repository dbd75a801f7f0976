"""An agent of LangChain with a tool, recorded without a change to it.

Set OPENAI_API_KEY, or OPENAI_BASE_URL to a server that speaks its protocol.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # a checkout needs no installation

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI

import logtracer
from logtracer_cli import render_trace


def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return f"21 and sunny in {city}"


logtracer.configure(auto_instrument=["langchain", "openai"])
agent = create_agent(ChatOpenAI(model="gpt-4o"), [get_weather], name="forecaster")

with logtracer.trace("question") as root:
    agent.invoke({"messages": [{"role": "user", "content": "What's the weather in Paris?"}]})

kinds = [node.node_type for node in root.trace.nodes.values()]
assert kinds.count("llm_call") == 2
assert kinds.count("tool_call") == 1
print(render_trace(root.trace))
