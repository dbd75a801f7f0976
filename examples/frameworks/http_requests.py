"""Requests of requests and of httpx below the step that makes them, without a change to them.

The server they ask is one of the standard library's, in a thread.
"""

from __future__ import annotations

import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # a checkout needs no installation

import httpx
import requests

import logtracer
from logtracer_cli import render_trace


class Files(SimpleHTTPRequestHandler):
    """Serve files, and say nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


logtracer.configure(auto_instrument=["http"])

with ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    with logtracer.trace("look up") as root, root.node("ask twice", node_type="tool_call"):
        requests.get(f"{address}/", timeout=10)
        httpx.get(f"{address}/nowhere")
    server.shutdown()

found = [node for node in root.trace.nodes.values() if node.name == "GET 127.0.0.1"]
assert [node.output_data["status"] for node in found] == [200, 404]
print(render_trace(root.trace))
