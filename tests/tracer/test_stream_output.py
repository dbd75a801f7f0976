"""`span.stream`: every chunk passes, what is kept of them says what is missing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from logtracer import Node, Tracer, TracerConfig


def streamed(chunks: list[Any], config: TracerConfig | None = None) -> Node:
    with Tracer(config).trace("run") as root, root.node("step") as step:
        passed = [*step.stream(chunks)]
    assert all(given is got for given, got in zip(chunks, passed)) and len(passed) == len(chunks)
    return step.node_record


def test_texts_are_joined() -> None:
    node = streamed(["Hello, ", "world"])
    assert node.output_data == {"text": "Hello, world"}
    assert node.metadata["stream.chunks"] == 2


def test_a_text_that_is_cut_says_so() -> None:
    text = streamed(["0123456789"] * 10_000).output_data["text"]
    assert text == "0123456789" * 6_400 + "... [TRUNCATED: original_size=100000]"


@pytest.mark.parametrize("size", [1, 63_999, 64_000])
def test_a_text_that_fits_is_whole(size: int) -> None:
    assert streamed(["x" * size]).output_data == {"text": "x" * size}


def test_a_text_one_character_too_long_is_cut() -> None:
    text = streamed(["x" * 64_000, "y"]).output_data["text"]
    assert text == "x" * 64_000 + "... [TRUNCATED: original_size=64001]"


def test_bytes_are_joined_as_text() -> None:
    snowman = "☃".encode()
    assert streamed([snowman[:1], snowman[1:], b"!"]).output_data == {"text": "☃!"}


def test_other_chunks_are_listed_as_they_were() -> None:
    chunk = {"n": [1], "password": "hunter2"}
    node = streamed([chunk, "text", b"bytes", 7, None])
    expected = [{"n": [1], "password": "[REDACTED]"}, "text", "bytes", 7, None]
    assert node.output_data == {"chunks": expected}


def test_a_list_of_chunks_that_is_cut_says_so() -> None:
    chunks = streamed([{"text": "x" * 1_000}] * 100).output_data["chunks"]
    assert len(chunks) < 70
    assert chunks[-1] == "[TRUNCATED: original_size=100]"


def test_a_secret_that_was_streamed_in_pieces_is_hidden() -> None:
    node = streamed(["password=hun", "ter2secret"])
    assert node.output_data == {"text": "password=[REDACTED]"}


def test_an_async_stream_is_kept_alike() -> None:
    async def chunks() -> Any:
        for number in range(2):
            yield {"n": number}

    async def use() -> Node:
        with Tracer().trace("run") as root:
            stream: Any = root.stream(chunks())
            assert [chunk async for chunk in stream]
        return root.node_record

    assert asyncio.run(use()).output_data == {"chunks": [{"n": 0}, {"n": 1}]}


def test_nothing_is_kept_below_the_full_level() -> None:
    node = streamed([{"n": 1}], TracerConfig(capture_level="standard"))
    assert node.output_data == {} and node.metadata["stream.chunks"] == 1
