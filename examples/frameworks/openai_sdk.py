"""A call and a stream of the OpenAI SDK, recorded without a change to them.

Set OPENAI_API_KEY, or OPENAI_BASE_URL to a server that speaks its protocol.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # a checkout needs no installation

import openai

import logtracer
from logtracer_cli import render_trace

logtracer.configure(auto_instrument=["openai"])
client = openai.OpenAI()
question = [{"role": "user", "content": "Say hello."}]

with logtracer.trace("two calls") as root:
    client.chat.completions.create(model="gpt-4o", messages=question)
    for _ in client.chat.completions.create(model="gpt-4o", messages=question, stream=True):
        pass

calls = [node for node in root.trace.nodes.values() if node.node_type == "llm_call"]
assert len(calls) == 2
assert all(call.output_data["message"]["content"] for call in calls)
print(render_trace(root.trace))
