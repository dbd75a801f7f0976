"""Dify: events as its server sends them, replayed, and dify-client reading them.

The events were written by hand from the server's source; no Dify server was part of this.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from adapters.conformance import ExampleConformance
from adapters.products import product
from adapters.trees import tree
from logtracer import Span, current_span
from logtracer_extras.adapters import dify as adapter

ADAPTERS: list[Any] = []


class TestExample(ExampleConformance):
    example = "dify_app"


def node(event: str, run: str, title: str, node_type: str, **data: Any) -> dict[str, Any]:
    facts = {"id": run, "node_id": f"{title}-node", "title": title, "node_type": node_type, **data}
    return {"event": event, "task_id": "task-1", "data": facts}


USAGE = {"prompt_tokens": 80, "completion_tokens": 9, "total_tokens": 89}
EVENTS = [
    {
        "event": "workflow_started",
        "task_id": "task-1",
        "workflow_run_id": "run-1",
        "data": {"id": "run-1", "inputs": {"question": "weather?"}},
    },
    node("node_started", "n1", "Ask", "llm"),
    node(
        "node_finished",
        "n1",
        "Ask",
        "llm",
        status="succeeded",
        outputs={"text": "21"},
        process_data={"usage": USAGE},
        execution_metadata={"total_tokens": 89, "total_price": "0.01"},
    ),
    node("iteration_started", "i1", "Each", "iteration"),
    node("node_started", "n2", "Fetch", "http-request", iteration_id="Each-node"),
    node("node_finished", "n2", "Fetch", "http-request", status="failed", error="timeout"),
    node("iteration_completed", "i1", "Each", "iteration", status="succeeded"),
    {"event": "message", "task_id": "task-1", "answer": "It is "},
    {"event": "message", "task_id": "task-1", "answer": "21."},
    {
        "event": "workflow_finished",
        "task_id": "task-1",
        "data": {"status": "succeeded", "outputs": {"text": "21"}, "total_tokens": 89},
    },
    {"event": "message_end", "task_id": "task-1", "metadata": {"usage": USAGE}},
]
TREE = [
    "sub_agent dify workflow",
    "  llm_call Ask",
    "  custom Each",
    "    tool_call Fetch (failed)",
]
LINES = [b"data: " + json.dumps(event).encode() for event in EVENTS] + [b"event: ping", b""]


@pytest.mark.parametrize("lines", [EVENTS, LINES, [line.decode() for line in LINES]])
def test_events_come_through_and_become_a_tree(run: Span, lines: list[Any]) -> None:
    for line, watched in zip(lines, adapter.watch(lines)):
        assert watched is line
        assert current_span() is run
    run.end()
    assert tree(run.trace)[:4] == TREE


def test_usage_outputs_and_ids_are_kept(run: Span) -> None:
    list(adapter.watch(EVENTS))
    nodes = {node.name: node for node in run.trace.nodes.values()}
    assert nodes["Ask"].metadata["gen_ai.usage.input_tokens"] == 80
    assert nodes["Ask"].metadata["dify.total_price"] == "0.01"
    assert nodes["Ask"].output_data == {"outputs": {"text": "21"}}
    workflow = nodes["dify workflow"]
    assert workflow.input_data == {"inputs": {"question": "weather?"}}
    assert workflow.output_data == {"outputs": {"text": "21"}, "answer": "It is 21."}
    assert workflow.metadata["dify.workflow_run_id"] == "run-1"
    assert nodes["Fetch"].error == "timeout"


def test_a_stream_left_early_ends_what_is_open(run: Span) -> None:
    events: Any = adapter.watch(EVENTS)
    next(events)
    next(events)
    events.close()
    assert tree(run.trace) == ["sub_agent dify workflow", "  llm_call Ask"]


def test_a_broken_connection_fails_what_is_open(run: Span) -> None:
    def broken() -> Iterator[Any]:
        yield EVENTS[0]
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        list(adapter.watch(broken()))
    assert tree(run.trace) == ["sub_agent dify workflow (failed)"]


def test_an_error_event_fails_the_run(run: Span) -> None:
    list(adapter.watch([{"event": "error", "code": "quota", "message": "exceeded"}]))
    assert run.trace.failed_nodes[0].error == "quota: exceeded"


def test_a_thought_with_a_tool_is_a_tool_call(run: Span) -> None:
    thought = {"event": "agent_thought", "tool": "search", "thought": "I should look it up"}
    list(adapter.watch([{**thought, "tool_input": "{}", "observation": "found"}]))
    assert tree(run.trace) == ["sub_agent dify chat", "  tool_call search"]


def test_what_is_no_event_passes_through(run: Span) -> None:
    odd = [b"data: {", b"\xff", "data: []", {"event": "unheard of"}, 7]
    assert list(adapter.watch(odd)) == odd
    assert tree(run.trace) == []


class Replay(BaseHTTPRequestHandler):
    """Answer a message with the events."""

    def do_POST(self) -> None:
        """Stream the events."""
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b"\n\n".join(LINES))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def test_dify_client_is_watched_until_it_is_uninstalled(run: Span) -> None:
    client = product("dify_client").ChatClient("key")
    with ThreadingHTTPServer(("127.0.0.1", 0), Replay) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        client.base_url = f"http://127.0.0.1:{server.server_port}/v1"
        for recorded in (True, False):
            if recorded:
                adapter.install()
            with client.create_chat_message({}, "weather?", "user", "streaming") as answer:
                assert [line for line in answer.iter_lines() if line] == LINES[:-1]
            adapter.uninstall()
        server.shutdown()
        thread.join()
    assert tree(run.trace) == TREE
