"""Golden traces: what counts as the same, how a difference reads, when the file is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from logtracer import Edge, TraceGraph, Tracer, load_trace
from logtracer_extras.testing import TraceBuilder, assert_same, normalised, save_golden


def run(query: str = "weather", *, calls: int = 1, start: float = 0.0) -> TraceGraph:
    builder = TraceBuilder("agent", new_id=lambda number: f"{number + round(start):016x}")
    builder.node("plan", "llm_call", start=start, output={"text": "search"})
    for _ in range(calls):
        builder.node("search", "tool_call", input={"query": query}, output={"found": 3})
    return builder.trace


def recorded(query: str) -> TraceGraph:
    with Tracer().trace("agent") as root, root.node("search", "tool_call") as step:
        step.input(query=query)
    return root.trace


def failure(trace: TraceGraph, golden: TraceGraph | Path) -> str:
    with pytest.raises(AssertionError) as caught:
        assert_same(trace, golden)
    return str(caught.value)


def test_ids_and_times_do_not_count() -> None:
    assert_same(run(start=5.0), run())
    assert_same(recorded("a"), recorded("a"))


def test_a_difference_names_the_node_and_the_value() -> None:
    assert failure(run("news"), run()) == (
        "differs from trace 'agent'\n"
        "  changed tool_call search\n"
        "    input.query: 'weather' -> 'news'"
    )
    assert "added tool_call search" in failure(run(calls=2), run())
    assert "removed tool_call search" in failure(run(calls=0), run())


def test_ignored_paths_and_masked_texts_are_the_same() -> None:
    assert_same(run("news"), run(), ignore=["input.query"])
    assert_same(run("order 12"), run("order 34"), mask=["[0-9]+"])


def test_a_message_is_short_and_says_what_it_leaves_out() -> None:
    text = failure(run(calls=50), TraceBuilder("agent").trace)
    assert len(text.splitlines()) <= 15
    text = failure(run(calls=3), TraceBuilder("agent").trace)
    assert "more" not in text
    others = TraceBuilder("agent")
    for number in range(50):
        others.node(f"step {number}")
    text = failure(others.trace, run())
    assert len(text.splitlines()) <= 15
    assert text.splitlines()[-1].endswith("more changes")


def test_a_long_text_is_shown_where_it_differs() -> None:
    text = failure(run("x" * 500 + "new"), run("x" * 500 + "old"))
    assert "xold' -> " in text
    assert len(max(text.splitlines(), key=len)) < 200


def test_a_golden_trace_is_written_on_request_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = tmp_path / "golden" / "weather.json"
    assert "no golden trace" in failure(run(), golden)
    monkeypatch.setenv("LOGTRACER_UPDATE", "1")
    assert_same(run(), golden)
    monkeypatch.delenv("LOGTRACER_UPDATE")
    assert_same(run(start=3.0), golden)
    assert "LOGTRACER_UPDATE=1" in failure(run("news"), golden)


def test_two_runs_that_did_the_same_give_the_same_bytes(tmp_path: Path) -> None:
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path in paths:
        save_golden(recorded("a"), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_golden_trace_is_a_trace_without_what_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "golden.json"
    save_golden(run(), path)
    assert [node.name for node in load_trace(path).nodes.values()] == ["agent", "plan", "search"]
    text = path.read_text(encoding="utf-8")
    assert "null" not in text
    assert "time" not in text
    assert list(json.loads(text)["nodes"]) == [f"{number:016x}" for number in (1, 2, 3)]


def side_by_side(*names: str, lane: bool) -> TraceGraph:
    builder = TraceBuilder("agent")
    for at, name in enumerate(names):
        facts = {"lane": f"{name}#{at}"} if lane else {}
        times = (at, at + 0.5) if lane else (at * 0.1, 9)
        builder.node("search", start=times[0], end=times[1], input={"q": name}, metadata=facts)
    return builder.trace


@pytest.mark.parametrize("lane", [True, False])
def test_nodes_that_ran_at_once_have_no_order(lane: bool, tmp_path: Path) -> None:
    first, second = side_by_side("a", "b", lane=lane), side_by_side("b", "a", lane=lane)
    assert_same(first, second)
    save_golden(second, tmp_path / "golden.json")
    assert_same(first, tmp_path / "golden.json")


def test_nodes_that_ran_one_after_the_other_have_one() -> None:
    first, second = TraceBuilder("agent"), TraceBuilder("agent")
    for builder, names in ((first, "ab"), (second, "ba")):
        for name in names:
            builder.node(name)
    assert "moved" in failure(first.trace, second.trace)


def test_links_beyond_the_tree_count() -> None:
    one, two = run(calls=2), run(calls=2)
    first, second = list(two.nodes)[2:]
    two.edges.append(Edge(first, second, "retry_of"))
    assert "search #2 (retry)" in failure(two, one)
    assert_same(two, two)


def test_a_normal_form_is_its_own_normal_form() -> None:
    once = normalised(side_by_side("b", "a", "c", lane=True))
    assert normalised(once).to_dict() == once.to_dict()


def test_a_damaged_trace_loses_no_node() -> None:
    builder = TraceBuilder("agent")
    lost, a = builder.node("lost", parent="missing"), builder.node("a")
    a.parent_id = builder.node("b", parent=a).id
    assert len(normalised(builder.trace).nodes) == len(builder.trace.nodes) == 4
    assert lost.name in {node.name for node in normalised(builder.trace).nodes.values()}
