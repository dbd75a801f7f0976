"""A streamed answer of a Dify application, recorded from the events that its server sends.

The events here are written by hand, as a stand-in for a server. With one, pass the lines of its
answer to `watch`, or install the adapter and use dify-client as ever.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # a checkout needs no installation

import logtracer
from logtracer_cli import render_trace
from logtracer_extras.adapters import dify

QUESTION = {"id": "run-1", "inputs": {"question": "What's the weather in Paris?"}}
USAGE = {"prompt_tokens": 80, "completion_tokens": 9}
SEARCH = {"id": "n1", "node_id": "a", "node_type": "knowledge-retrieval", "title": "Search"}
ANSWER = {"id": "n2", "node_id": "b", "node_type": "llm", "title": "Answer"}
FOUND = {"status": "succeeded", "outputs": {"result": ["Paris is sunny."]}}
SAID = {"status": "succeeded", "outputs": {"text": "21 and sunny."}}
EVENTS = [
    {"event": "workflow_started", "task_id": "task-1", "data": QUESTION},
    {"event": "node_started", "data": SEARCH},
    {"event": "node_finished", "data": {**SEARCH, **FOUND}},
    {"event": "node_started", "data": ANSWER},
    {"event": "node_finished", "data": {**ANSWER, **SAID, "process_data": {"usage": USAGE}}},
    {"event": "workflow_finished", "data": SAID},
]


def lines_of_the_answer() -> Iterator[bytes]:
    """Yield what `requests.post(..., stream=True).iter_lines()` would."""
    for event in EVENTS:
        yield b"data: " + json.dumps(event).encode()
        yield b""


with logtracer.trace("question") as root:
    for _ in dify.watch(lines_of_the_answer()):
        pass

names = [node.name for node in root.trace.nodes.values()]
assert names == ["question", "dify workflow", "Search", "Answer"]
print(render_trace(root.trace))
