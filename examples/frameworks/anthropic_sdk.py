"""A message and a stream of the Anthropic SDK, recorded without a change to them.

Set ANTHROPIC_API_KEY, or ANTHROPIC_BASE_URL to a server that speaks its protocol.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # a checkout needs no installation

import anthropic

import logtracer
from logtracer_cli import render_trace

logtracer.configure(auto_instrument=["anthropic"])
client = anthropic.Anthropic()
request = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 200,
    "messages": [{"role": "user", "content": "Say hello."}],
}

with logtracer.trace("two calls") as root:
    client.messages.create(**request)
    with client.messages.stream(**request) as stream:
        for _ in stream.text_stream:
            pass

calls = [node for node in root.trace.nodes.values() if node.node_type == "llm_call"]
assert len(calls) == 2
assert all(call.output_data["message"]["content"] for call in calls)
assert all(call.metadata["gen_ai.response.finish_reasons"] == ["end_turn"] for call in calls)
print(render_trace(root.trace))
