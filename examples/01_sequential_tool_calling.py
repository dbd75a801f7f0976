"""An agent classifies a question, calls a tool, and answers: steps in a row, one inside another.

Shows that steps nest, and that a trace comes back from its file as it was recorded.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # a checkout needs no installation

from logtracer import FileStore, NodeStatus, Tracer, load_trace, trace_from_json, trace_to_json
from logtracer_cli import render_trace


def call_weather_service(city: str) -> dict[str, object]:
    """Stand in for a service on the network."""
    return {"city": city, "celsius": 18, "condition": "partly cloudy"}


def main() -> None:
    """Record one run, check it, and print it."""
    tracer = Tracer(storage=FileStore("./traces"))
    question = "What's the weather in Paris?"

    with tracer.trace("weather_agent") as root:
        with root.node("classify_intent", node_type="llm_call") as classify:
            classify.input(query=question)
            classify.output(intent="weather", confidence=0.95)
            classify.annotate("High confidence: go to the weather tool")
        with root.node("get_weather", node_type="tool_call") as tool:
            tool.input(city="Paris")
            with tool.node("http_request", node_type="custom") as request:
                request.input(path="/weather/paris")
                weather = call_weather_service("Paris")
                request.output(status=200)
            tool.output(**weather)
        with root.node("answer", node_type="llm_call") as answer:
            answer.input(question=question, facts=weather)
            answer.output(text="18 °C and partly cloudy.")

    trace = load_trace("./traces", root.trace.trace_id)
    steps = {node.name: node for node in trace.nodes.values()}

    assert [(level, node.name) for level, node in trace.walk()] == [
        (0, "weather_agent"),
        (1, "classify_intent"),
        (1, "get_weather"),
        (2, "http_request"),
        (1, "answer"),
    ]
    assert steps["http_request"].parent_id == steps["get_weather"].id
    assert steps["get_weather"].output_data == weather
    assert all(node.status == NodeStatus.COMPLETED for node in trace.nodes.values())
    assert trace_from_json(trace_to_json(trace)) == trace

    print(render_trace(trace))
    print(f"Look at it again: logtracer inspect traces/{trace.trace_id}.json")


if __name__ == "__main__":
    main()
