"""Print what recording one model call adds to it, in microseconds.

    python benchmarks/adapters.py

Needs the openai SDK. The requests are answered by a transport inside the process, so what is
measured is the SDK alone, with and without the adapter.
"""

from __future__ import annotations

import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # a checkout needs no installation

from logtracer import Tracer
from logtracer_extras.adapters import openai as adapter

CALLS = 300
ROUNDS = 7
CHUNKS = 50

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "It is 21 and sunny in Paris."},
        }
    ],
    "usage": {"prompt_tokens": 80, "completion_tokens": 9, "total_tokens": 89},
}
DELTA = {"index": 0, "delta": {"content": "word "}, "finish_reason": None}
CHUNK = {**ANSWER, "object": "chat.completion.chunk", "usage": None, "choices": [DELTA]}
STREAM = (f"data: {json.dumps(CHUNK)}\n\n" * CHUNKS + "data: [DONE]\n\n").encode()
REQUEST = {"model": "gpt-4o", "messages": [{"role": "user", "content": "weather in Paris?"}]}


def make_client() -> Any:
    """Return a client whose transport answers at once."""
    openai: Any = importlib.import_module("openai")
    module = "httpx2" if int(openai.__version__.split(".")[0]) >= 3 else "httpx"
    http: Any = importlib.import_module(module)

    def answer(request: Any) -> Any:
        if b'"stream":true' in request.content.replace(b" ", b""):
            headers = {"content-type": "text/event-stream"}
            return http.Response(200, content=STREAM, headers=headers)
        return http.Response(200, json=ANSWER)

    client = http.Client(transport=http.MockTransport(answer))
    return openai.OpenAI(api_key="none", http_client=client)


def microseconds(call: Callable[[], object]) -> float:
    """Return how long one call takes, of many."""
    began = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - began) / CALLS * 1e6


def overhead(call: Callable[[], object]) -> float:
    """Return what the adapter adds to a call: the median over alternating rounds."""
    tracer = Tracer()
    added = []
    for _ in range(ROUNDS):
        plain = microseconds(call)
        with adapter.install(tracer), tracer.trace("run"):
            added.append(microseconds(call) - plain)
    return statistics.median(added)


def main() -> None:
    """Measure both kinds of call."""
    client = make_client()

    def whole() -> None:
        client.chat.completions.create(**REQUEST)

    def streamed() -> None:
        for _ in client.chat.completions.create(**REQUEST, stream=True):
            pass

    print(f"one completion            {overhead(whole):7.1f} µs")
    print(f"one stream of {CHUNKS} chunks   {overhead(streamed):7.1f} µs")


if __name__ == "__main__":
    main()
