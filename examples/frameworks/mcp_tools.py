"""A server of the Model Context Protocol and its client in one process; it needs no model.

The tool's call is a node by the mcp adapter; what else the session does is told by the spans of
the protocol's own package.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # a checkout needs no installation

from mcp.client import Client
from mcp.server import MCPServer

import logtracer
from logtracer_cli import render_trace


@logtracer.trace_node("look up")
def look_up(city: str) -> str:
    """Return the weather, as code does that records itself."""
    return f"21 and sunny in {city}"


async def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return look_up(city)


async def main() -> None:
    """Serve the tool, and call it as a client."""
    server = MCPServer("weather")
    server.add_tool(get_weather)
    async with Client(server) as client:
        await client.call_tool("get_weather", {"city": "Paris"})


logtracer.configure(auto_instrument=["mcp", "otel"])

with logtracer.trace("question") as root:
    asyncio.run(main())

(tool,) = [node for node in root.trace.nodes.values() if node.node_type == "tool_call"]
assert tool.input_data == {"arguments": {"city": "Paris"}}
(looked_up,) = [node for node in root.trace.nodes.values() if node.name == "look up"]
assert looked_up.parent_id == tool.id
print(render_trace(root.trace))
