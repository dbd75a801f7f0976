"""Spans: what each method of one records."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from logtracer import EdgeType, FileStore, NodeStatus, NodeType, Tracer, current_span
from stress.reading import named, only_trace, parents, statuses


def test_a_span_records_what_it_is_given() -> None:
    tracer = Tracer()
    with tracer.trace("run") as root, root.node("step", NodeType.TOOL_CALL) as step:
        step.input(city="Paris")
        step.output(celsius=18)
        step.metadata(source="api")
        step.annotate("first")
        step.annotate("second")
    node = named(only_trace(tracer), "step")
    assert (node.input_data, node.output_data) == ({"city": "Paris"}, {"celsius": 18})
    assert (node.metadata, node.annotations) == ({"source": "api"}, ["first", "second"])
    assert (node.node_type, node.depth, node.status) == ("tool_call", 1, "completed")


def test_the_root_is_a_node_of_its_own_kind() -> None:
    tracer = Tracer()
    with tracer.trace("run"):
        pass
    root = only_trace(tracer).root_nodes[0]
    assert (root.node_type, root.depth, root.sequence_number, root.parent_id) == (
        "trace",
        0,
        0,
        None,
    )


def test_any_text_is_a_node_type() -> None:
    with Tracer().trace("run") as root, root.node("step", "dream") as step:
        assert step.node_record.node_type == "dream"


def test_ids_have_the_sizes_of_w3c_trace_context() -> None:
    with Tracer().trace("run") as root, root.node("step") as step:
        assert re.fullmatch("[0-9a-f]{32}", root.trace.trace_id)
        assert re.fullmatch("[0-9a-f]{16}", step.id)
    assert step.id != "0" * 16


def test_ids_of_many_traces_differ() -> None:
    tracer, ids = Tracer(), set()
    for _ in range(500):
        with tracer.trace("run") as root:
            ids |= {root.trace.trace_id, root.id}
    assert len(ids) == 1_000


def test_session_user_and_tags_are_metadata_of_the_trace() -> None:
    tracer = Tracer()
    with tracer.trace("run", {"a": 1}, session_id="s", user_id="u", tags=["x", "y"]):
        pass
    metadata = only_trace(tracer).metadata
    assert metadata == {"a": 1, "session_id": "s", "user_id": "u", "tags": ["x", "y"]}


@pytest.mark.parametrize("status", [s for s in NodeStatus if s not in ("running", "pending")])
def test_a_status_that_was_set_stays(status: NodeStatus) -> None:
    tracer = Tracer()
    with tracer.trace("run") as root, root.node("step") as step:
        step.set_status(status)
    assert statuses(only_trace(tracer))["step"] == status


def test_an_unknown_status_is_ignored_and_counted() -> None:
    tracer = Tracer()
    odd: Any = "finished"
    with tracer.trace("run") as root:
        root.set_status(odd)
    assert statuses(only_trace(tracer)) == {"run": "completed"}
    assert tracer.stats()["errors"] == 1


@pytest.mark.parametrize("edge_type", [*EdgeType, "inspired_by"])
def test_a_link_runs_from_the_earlier_span_to_the_later(edge_type: str) -> None:
    tracer = Tracer()
    with tracer.trace("run") as root:
        with root.node("first") as first:
            pass
        with root.node("second") as second:
            first.link(second, edge_type, "label")
    edge = only_trace(tracer).edges[-1]
    assert (edge.source_id, edge.target_id) == (first.id, second.id)
    assert (edge.edge_type, edge.label) == (edge_type, "label")


def test_a_link_to_a_span_of_another_trace_is_ignored_and_counted() -> None:
    tracer = Tracer()
    with tracer.trace("one") as one, tracer.trace("two") as two:
        one.link(two)
        one.link(one.node("never started"))
    assert one.trace.edges == two.trace.edges == []
    assert tracer.stats()["errors"] == 2


def test_start_and_end_enclose_work_that_no_with_can() -> None:
    tracer = Tracer()
    with tracer.trace("run") as root:
        step = root.node("step").start()
        assert current_span() is root
        with step.node("below"):
            pass
        step.end()
    assert parents(only_trace(tracer)) == {"run": None, "step": "run", "below": "step"}
    assert statuses(only_trace(tracer))["step"] == "completed"


def test_a_model_call_made_by_hand_has_its_facts_under_their_usual_names() -> None:
    with Tracer().trace("run") as root:
        root.llm(
            model="m-1",
            provider="acme",
            input_tokens=10,
            output_tokens=5,
            cached_tokens=4,
            cache_write_tokens=3,
            reasoning_tokens=2,
            finish_reason="stop",
            temperature=0.5,
        )
    assert root.node_record.metadata == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "acme",
        "gen_ai.request.model": "m-1",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.cache_creation.input_tokens": 3,
        "gen_ai.usage.reasoning.output_tokens": 2,
    }


def test_facts_of_a_model_call_that_are_not_given_are_absent() -> None:
    with Tracer().trace("run") as root:
        root.llm(model="m-1")
    found = root.node_record.metadata
    assert found == {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m-1"}


# ---- Streams ------------------------------------------------------------------------------------


def test_a_stream_passes_its_chunks_and_records_their_text() -> None:
    tracer = Tracer()
    with tracer.trace("run") as root:
        assert list(root.node("stream").stream(["a", "b", "c"])) == ["a", "b", "c"]
    node = named(only_trace(tracer), "stream")
    assert node.output_data == {"text": "abc"}
    assert node.metadata["stream.chunks"] == 3
    assert node.metadata["gen_ai.response.time_to_first_chunk"] >= 0
    assert node.status == "completed"


def test_an_async_stream_is_one_still() -> None:
    async def chunks() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    async def main() -> list[str]:
        async with tracer.trace("run") as root:
            stream: Any = root.node("stream").stream
            return [chunk async for chunk in stream(chunks())]

    tracer = Tracer()
    assert asyncio.run(main()) == ["a", "b"]
    assert named(only_trace(tracer), "stream").output_data == {"text": "ab"}


def test_a_stream_that_fails_fails_its_span_and_passes_the_error() -> None:
    def chunks() -> Iterator[str]:
        yield "a"
        raise OSError("connection lost")

    tracer = Tracer()
    with tracer.trace("run") as root, pytest.raises(OSError, match="connection lost"):
        list(root.node("stream").stream(chunks()))
    node = named(only_trace(tracer), "stream")
    assert (node.status, node.output_data) == ("failed", {"text": "a"})


def test_a_stream_left_early_ends_its_span() -> None:
    tracer = Tracer()
    with tracer.trace("run") as root:
        chunks = root.node("stream").stream(iter("abc"))
        next(chunks)
        del chunks
    node = named(only_trace(tracer), "stream")
    assert (node.status, node.metadata["stream.chunks"]) == ("completed", 1)


def test_a_stream_within_a_with_block_leaves_the_end_to_it() -> None:
    with Tracer().trace("run") as root, root.node("step") as step:
        assert list(step.stream([1, 2])) == [1, 2]
        assert step.node_record.end_time is None


# ---- Copies -------------------------------------------------------------------------------------


def test_what_a_span_shows_is_a_copy() -> None:
    with Tracer().trace("run") as root:
        root.input(list=[1])
        root.node_record.input_data["list"].append(2)
        root.trace.nodes.clear()
        assert root.node_record.input_data == {"list": [1]}
        assert len(root.trace.nodes) == 1


def test_a_span_shows_itself_briefly() -> None:
    with Tracer().trace("run") as root:
        assert repr(root) == "<Span 'run' running>"
    assert repr(root) == "<Span 'run' completed>"


def test_counts_add_up(tmp_path: Path) -> None:
    tracer = Tracer(storage=FileStore(tmp_path))
    with tracer.trace("run") as root:
        with root.node("step"):
            pass
        assert tracer.stats()["started"] == 2
    expected = {"started": 2, "finished": 2, "saved": 2, "dropped": 0, "errors": 0}
    assert tracer.stats() == expected
