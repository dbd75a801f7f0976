"""What sending a long trace costs: seconds of CPU for 100,000 spans, in both encodings of OTLP.

    python benchmarks/export.py [--spans 100000]

A trace as an agent makes it: turns of a model call with messages and tokens, two tool calls and a
retry. It is written into a file, and sent over HTTP to a sink on this machine, which is a process
of its own, with and without compression.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from logtracer import Edge, EdgeType, Node, NodeStatus, TraceGraph  # noqa: E402
from logtracer_extras.otlp import OTLPStore, encode_requests

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
TURN = ("agent", "llm_call", "tool_call", "tool_call", "validation")
SINK = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def call_facts(node: Node, number: int) -> None:
    """Give a model call its messages, its model and its tokens."""
    question = f"What is the weather in city number {number}?"
    node.input_data = {"messages": [{"role": "user", "content": question}]}
    node.output_data = {"messages": [{"role": "assistant", "content": f"I ask the tool, {number}"}]}
    node.metadata = {
        "gen_ai.provider.name": "acme",
        "gen_ai.request.model": "large-1",
        "gen_ai.request.temperature": 0.2,
        "gen_ai.usage.input_tokens": 1_000 + number % 700,
        "gen_ai.usage.output_tokens": 50 + number % 90,
        "gen_ai.response.finish_reasons": ["tool_calls"],
    }


def tool_facts(node: Node, number: int) -> None:
    """Give a tool call its arguments, its result and the reason for it."""
    node.input_data = {"city": f"city number {number}", "unit": "celsius"}
    node.output_data = {"temperature": number % 40, "condition": "partly cloudy"}
    node.annotations = [f"asked because of {number}"]


FACTS: dict[str, Callable[[Node, int], None]] = {"llm_call": call_facts, "tool_call": tool_facts}


def agent_run(spans: int) -> TraceGraph:
    """Return a trace of so many spans."""
    trace = TraceGraph(trace_id="ab" * 16, name="long", start_time=START)
    trace.metadata = {"session_id": "session-1", "user_id": "user-1"}
    root = Node(f"{1:016x}", 0, "long", "trace", NodeStatus.COMPLETED, start_time=START)
    root.end_time = trace.end_time = START + timedelta(hours=1)
    trace.add_node(root)
    turn = root
    for number in range(1, spans):
        kind = TURN[number % len(TURN)]
        node = Node(f"{number + 1:016x}", number, f"a {kind}", kind, NodeStatus.COMPLETED)
        parent = root if kind == "agent" else turn
        turn = node if kind == "agent" else turn
        node.parent_id, node.depth = parent.id, parent.depth + 1
        node.start_time = START + timedelta(milliseconds=2 * number)
        node.end_time = node.start_time + timedelta(milliseconds=1)
        if kind in FACTS:
            FACTS[kind](node, number)
        trace.add_node(node)
        trace.add_edge(Edge(parent.id, node.id))
        if number % len(TURN) == 3 and number > 3:
            trace.add_edge(Edge(f"{number:016x}", node.id, EdgeType.RETRY_OF))
    return trace


def write_file(trace: TraceGraph, protocol: str) -> int:
    """Write the requests into a file; return the number of bytes."""
    with tempfile.TemporaryFile() as file:
        for request in encode_requests([trace], protocol=protocol):
            file.write(request + b"\n")
        return file.tell()


def seconds_of(action: Callable[..., object], *arguments: object) -> float:
    """Return the least CPU time of three runs."""
    took = []
    for _ in range(3):
        started = time.process_time()
        action(*arguments)
        took.append(time.process_time() - started)
    return min(took)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What sending a long trace costs.")
    parser.add_argument("--spans", type=int, default=100_000)
    options = parser.parse_args()
    trace = agent_run(options.spans)
    command = [sys.executable, "-c", SINK]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sink:
        assert sink.stdout is not None
        url = f"http://127.0.0.1:{int(sink.stdout.readline())}"
        for protocol in ("http/protobuf", "http/json"):
            megabytes = write_file(trace, protocol) / 1e6
            seconds = seconds_of(write_file, trace, protocol)
            print(f"{protocol:14} to a file       {seconds:6.2f} s, {megabytes:.0f} MB")
            for compression in ("gzip", "none"):
                store = OTLPStore(url, protocol=protocol, compression=compression)
                seconds = seconds_of(store.save, trace)
                print(f"{protocol:14} to a sink, {compression:4} {seconds:6.2f} s")
        sink.terminate()


if __name__ == "__main__":
    main()
