"""Print what recording model calls adds to them, in microseconds of processor time.

    python benchmarks/adapters.py

Needs the openai SDK. Its requests are answered by a transport inside the process. The first
figure leaves out the SDK altogether: the adapter is given the arguments and the answer of one
real call again and again. The second is the same node recorded by hand, which is the price of
what is kept. The others are differences between whole calls of the SDK with and without the
adapter: they have the caches of a busy processor in them, and its noise.
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

CALLS = 100
ROUNDS = 15
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

Call = Callable[[], object]


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


def replay_of(client: Any) -> Call:
    """Return a call that goes through the adapter, with nothing of the SDK below it."""
    base: Any = type(client).__mro__[1]
    original = base.request
    seen: list[Any] = []

    def listen(*args: Any, **kwargs: Any) -> Any:
        seen[:] = args, kwargs, original(*args, **kwargs)
        return seen[2]

    base.request = listen
    client.chat.completions.create(**REQUEST)
    args, kwargs, answer = seen
    base.request = lambda *args, **kwargs: answer
    return lambda: base.request(*args, **kwargs)


def record_by_hand(tracer: Tracer) -> Call:
    """Return what records by hand the node that the adapter records."""
    root = tracer.trace("by hand").__enter__()
    answer: Any = ANSWER

    def record() -> None:
        span = root.node("chat gpt-4o", "llm_call").start()
        span.input(messages=REQUEST["messages"])
        span.metadata(**{"server.address": "api.openai.com"})
        span.llm(
            model="gpt-4o",
            provider="openai",
            input_tokens=answer["usage"]["prompt_tokens"],
            output_tokens=answer["usage"]["completion_tokens"],
            finish_reason="stop",
        )
        span.metadata(**{"gen_ai.response.id": "chatcmpl-1", "gen_ai.response.model": "gpt-4o"})
        span.output(message=answer["choices"][0]["message"])
        span.end()

    return record


def microseconds(call: Call) -> float:
    """Return how long one call keeps the processor, of many."""
    began = time.process_time()
    for _ in range(CALLS):
        call()
    return (time.process_time() - began) / CALLS * 1e6


def median_of(call: Call) -> float:
    """Return how long one call keeps the processor: the median over the rounds."""
    return statistics.median(microseconds(call) for _ in range(ROUNDS))


def added(call: Call) -> float:
    """Return what the adapter adds to a call: the median over alternating rounds."""
    differences = []
    for _ in range(ROUNDS):
        plain = microseconds(call)
        tracer = Tracer()
        with adapter.install(tracer), tracer.trace("run"):
            differences.append(microseconds(call) - plain)
    return statistics.median(differences)


def main() -> None:
    """Measure both kinds of call."""
    client = make_client()

    def whole() -> None:
        client.chat.completions.create(**REQUEST)

    def streamed() -> None:
        for _ in client.chat.completions.create(**REQUEST, stream=True):
            pass

    in_whole_calls, in_streams = added(whole), added(streamed)
    by_hand = record_by_hand(Tracer())
    print(f"one completion, the adapter alone       {added(replay_of(client)):7.1f} µs")
    print(f"the same node recorded by hand          {median_of(by_hand):7.1f} µs")
    print(f"one completion, as part of whole calls  {in_whole_calls:7.1f} µs")
    print(f"one stream of {CHUNKS} chunks, the same        {in_streams:7.1f} µs")


if __name__ == "__main__":
    main()
