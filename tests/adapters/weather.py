"""The tool of the agents under test, what its code records itself, and the tree they make of it."""

from __future__ import annotations

from logtracer import trace_node


@trace_node("look_up")
def look_up(city: str) -> str:
    """Return the weather, as code of the user does that records itself."""
    if city == "Atlantis":
        raise ValueError("no such city")
    return f"21 in {city}"


def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return look_up(city)


# What an agent with this tool does when it is asked for two cities.
AGENT_TREE = [
    "sub_agent forecaster",
    "  llm_call chat gpt-4o",
    "  tool_call get_weather",
    "    custom look_up",
    "  tool_call get_weather",
    "    custom look_up",
    "  llm_call chat gpt-4o",
]
