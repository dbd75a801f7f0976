"""Clients of the Model Context Protocol, and how their calls share a node with other adapters."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adapters.products import product
from adapters.trees import nodes_of_type, tree
from adapters.weather import look_up
from logtracer import Node, Span, Tracer, current_span
from logtracer_extras.adapters import mcp as adapter
from logtracer_extras.adapters import otel

Server = product("mcp.server").MCPServer
Client = product("mcp.client").Client

ADAPTERS = [adapter]

pytestmark = pytest.mark.filterwarnings("ignore")


async def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return look_up(city)


def serve(*tools: Callable[..., Awaitable[Any]]) -> Any:
    server = Server("weather")
    for tool in tools:
        server.add_tool(tool)
    return server


def call(*cities: str, server: Any = None, name: str = "get_weather") -> list[Any]:
    """Call the tool for each city and return the results."""

    async def main() -> list[Any]:
        async with Client(server or serve(get_weather)) as client:
            return [await client.call_tool(name, {"city": city}) for city in cities]

    return asyncio.run(main())


def calls_in(run: Span) -> list[Node]:
    return nodes_of_type(run.trace, "tool_call")


def test_a_call_has_its_arguments_and_its_result(run: Span) -> None:
    call("Paris")
    (node,) = calls_in(run)
    assert (node.name, node.status) == ("get_weather", "completed")
    assert node.input_data == {"arguments": {"city": "Paris"}}
    assert "21 in Paris" in str(node.output_data["result"])


def test_a_call_that_the_server_says_failed_has_failed(run: Span) -> None:
    call("Atlantis")
    call("Paris", name="no_such_tool")
    first, second = calls_in(run)
    assert (first.status, first.error_type) == ("failed", "tool_error")
    assert first.error == "Error executing tool get_weather"  # why is the server's secret
    assert second.status == "failed"


def test_the_host_gets_the_same_result(tracer: Tracer) -> None:
    plain = [call("Paris"), call("Atlantis")]
    with adapter.install(tracer), tracer.trace("run") as root:
        assert [call("Paris"), call("Atlantis")] == plain
        assert current_span() is root


def test_a_cancelled_call_is_cancelled(run: Span) -> None:
    started = asyncio.Event()

    async def slow(city: str) -> str:
        """Return the weather of a city, at some time."""
        started.set()
        await asyncio.Event().wait()
        return city

    async def main() -> None:
        async with Client(serve(slow)) as client:
            task = asyncio.ensure_future(client.call_tool("slow", {"city": "Paris"}))
            await started.wait()
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(main())
    assert calls_in(run)[0].status == "cancelled"


def test_a_frameworks_tool_of_the_same_name_is_the_call(run: Span) -> None:
    with run.node("get_weather", "tool_call"):
        call("Atlantis")
    (node,) = calls_in(run)
    assert (node.status, node.input_data) == ("failed", {"arguments": {"city": "Atlantis"}})


def test_beside_the_spans_of_client_and_server_a_call_is_one_node(
    run: Span, tracer: Tracer
) -> None:
    with otel.install(tracer):
        call("Paris", "Atlantis")
    known = [line for line in tree(run.trace) if "tools/list" not in line and "server/" not in line]
    assert known == [
        "tool_call get_weather",
        "  custom look_up",
        "tool_call get_weather (failed)",
        "  custom look_up (failed)",
    ]


def test_nothing_is_recorded_after_uninstalling(tracer: Tracer) -> None:
    session = product("mcp.client.session").ClientSession
    before = session.call_tool
    with adapter.install(tracer):
        assert session.call_tool is not before
    assert session.call_tool is before


def test_outside_any_trace_a_call_runs_untouched(tracer: Tracer) -> None:
    with adapter.install(tracer):
        call("Paris")
    assert tracer.storage.list_traces() == []
