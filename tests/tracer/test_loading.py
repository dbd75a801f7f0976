"""Reading: whatever a file holds, it loads or is refused with a reason, and no node vanishes."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import logtracer_cli
from logtracer import (
    FileStore,
    MemoryStore,
    TraceGraph,
    TraceLoadError,
    Tracer,
    load_trace,
    load_trace_json,
    trace_from_journal,
    trace_from_json,
    trace_to_json,
)
from sample_traces import weather
from stress.figures import figure
from stress.quiet import minutes_later


def document(**changes: Any) -> dict[str, Any]:
    """Return a good document with some keys changed; `...` takes a key away."""
    changed = {**weather().to_dict(), **changes}
    return {key: value for key, value in changed.items() if value is not ...}


def with_node(**changes: Any) -> dict[str, Any]:
    """Return a document whose one node has some keys changed."""
    node = {**next(iter(document()["nodes"].values())), **changes}
    node = {key: value for key, value in node.items() if value is not ...}
    return document(nodes={"0000000000000001": node}, edges=[])


def with_edge(**changes: Any) -> dict[str, Any]:
    edge = {**document()["edges"][0], **changes}
    return document(edges=[{key: value for key, value in edge.items() if value is not ...}])


HOSTILE: dict[str, str | bytes] = {
    "empty": "",
    "white": " \n\t ",
    "null": "null",
    "number": "42",
    "text": '"trace"',
    "list": "[]",
    "object": "{}",
    "not JSON": "trace",
    "cut": trace_to_json(weather())[:200],
    "two documents": trace_to_json(weather()) * 2,
    "trailing comma": '{"schema_version": "0.1.0",}',
    "NUL bytes": b"\0" * 1_000,
    "not UTF-8": b'{"name": "\xff\xfe"}',
    "UTF-16": trace_to_json(weather()).encode("utf-16"),
    "gzip": b"\x1f\x8b\x08\0\0\0\0\0",
    "SQLite": b"SQLite format 3\0" + b"\0" * 84,
    "PNG": b"\x89PNG\r\n\x1a\n",
    "deep lists": "[" * 100_000,
    "deep lists, closed": "[" * 100_000 + "]" * 100_000,
    "deep objects": '{"a":' * 100_000,
    "deep metadata": json.dumps(document())[:-1] + ',"x":' + "[" * 100_000 + "]" * 100_000 + "}",
    "5,000 digits": '{"schema_version": ' + "9" * 5_000 + "}",
    "5,000 digits inside": json.dumps(with_node(depth=7)).replace(": 7,", f": {'9' * 5_000},"),
    "huge exponent": json.dumps(with_node(depth=7)).replace(": 7,", ": 1e999,"),
    "NaN": json.dumps(with_node(metadata={"x": float("nan")})),
    "Infinity": json.dumps(with_node(metadata={"x": float("-inf")})),
    "no schema": json.dumps(document(schema_version=...)),
    "schema of another type": json.dumps(document(schema_version=1)),
    "schema of another form": json.dumps(document(schema_version="latest")),
    "newer schema": json.dumps(document(schema_version="7.0.0")),
    "endless schema": json.dumps(document(schema_version="1" * 10_000 + ".0.0")),
    "no id": json.dumps(document(trace_id=...)),
    "id of another type": json.dumps(document(trace_id=7)),
    "no nodes": json.dumps(document(nodes=...)),
    "nodes in a list": json.dumps(document(nodes=[])),
    "node of another type": json.dumps(document(nodes={"a": 7})),
    "edges in an object": json.dumps(document(edges={})),
    "edge of another type": json.dumps(document(edges=[7])),
    "metadata of another type": json.dumps(document(metadata=[])),
    "node without id": json.dumps(with_node(id=...)),
    "node without name": json.dumps(with_node(name=...)),
    "name of another type": json.dumps(with_node(name=[])),
    "status of another type": json.dumps(with_node(status={})),
    "unknown status": json.dumps(with_node(status="exploded")),
    "parent of another type": json.dumps(with_node(parent_id=1)),
    "depth of another type": json.dumps(with_node(depth="1")),
    "boolean depth": json.dumps(with_node(depth=True)),
    "time of another type": json.dumps(with_node(start_time=1_700_000_000)),
    "time of another form": json.dumps(with_node(start_time="yesterday")),
    "impossible time": json.dumps(with_node(end_time="2026-13-45T99:99:99")),
    "annotations of another type": json.dumps(with_node(annotations="why")),
    "annotations that are no texts": json.dumps(with_node(annotations=[1, {}])),
    "input of another type": json.dumps(with_node(input_data=[1])),
    "edge without source": json.dumps(with_edge(source_id=...)),
    "edge type of another type": json.dumps(with_edge(edge_type=1)),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_no_trace_is_refused_with_a_reason(kind: str, tmp_path: Path) -> None:
    data = HOSTILE[kind]
    with pytest.raises(TraceLoadError) as refused:
        trace_from_json(data)
    assert str(refused.value) and len(str(refused.value)) < 300
    assert str(refused.value).isprintable()
    path = tmp_path / "bad.json"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    for load in (load_trace_json, load_trace):
        with pytest.raises(TraceLoadError, match=r"bad\.json"):
            load(path)


@pytest.mark.parametrize("text", ["{}", '{"nodes": 7}', '{"nodes": {"a": 7}}'])
def test_what_is_no_document_at_all_is_told_what_it_lacks_first(text: str) -> None:
    with pytest.raises(TraceLoadError, match="'schema_version' is missing"):
        trace_from_json(text)


def test_a_newer_schema_is_refused_by_name() -> None:
    with pytest.raises(TraceLoadError, match=r"7\.0\.0.*newer logtracer"):
        trace_from_json(HOSTILE["newer schema"])


def test_another_minor_schema_is_read_with_a_warning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    minutes_later(monkeypatch)
    assert trace_from_json(json.dumps(document(schema_version="0.9.3"))).name == "weather_agent"
    assert "0.9.3" in caplog.text


TOLERATED: dict[str, dict[str, Any]] = {
    "unknown keys": document(color="red", nodes={}, edges=[]),
    "unknown keys of a node": with_node(color="red"),
    "unknown edge type": with_edge(edge_type="inspired_by"),
    "unknown node type": with_node(node_type="dream"),
    "edge to nowhere": with_edge(target_id="nowhere"),
    "parent that is missing": with_node(parent_id="nowhere"),
    "parent of itself": with_node(parent_id="0000000000000001", id="0000000000000001"),
    "no times": with_node(start_time=None, end_time=None),
    "time without a zone": with_node(start_time="2026-11-22T18:24:23"),
    "time in Z": with_node(start_time="2026-11-22T18:24:23Z"),
    "end before start": with_node(end_time="1999-01-01T00:00:00+00:00"),
    "key that is not the id": document(nodes={"other": with_node()["nodes"]["0000000000000001"]}),
    "no name": document(name=...),
    "no edges": document(edges=...),
    "lone surrogate": with_node(name="\ud800"),
}


@pytest.mark.parametrize("kind", TOLERATED)
def test_what_is_odd_is_read_and_shown_whole(kind: str) -> None:
    source = TOLERATED[kind]
    trace = trace_from_json(json.dumps(source))
    assert len(trace.nodes) == len(source["nodes"])
    check_shown(trace)


def check_shown(trace: TraceGraph) -> None:
    """Check that a trace can be walked, drawn and written, all nodes included."""
    assert sorted(node.id for _, node in trace.walk()) == sorted(trace.nodes)
    assert trace.duration_ms is None or isinstance(trace.duration_ms, float)
    assert logtracer_cli.render_trace(trace, verbosity="full")
    assert len(trace_from_json(trace_to_json(trace)).nodes) == len(trace.nodes)


def test_nodes_whose_parents_form_a_circle_are_all_shown() -> None:
    nodes = {}
    for name, parent in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"), ("e", "gone")):
        nodes[name] = with_node(id=name, name=f"node {name}", parent_id=parent)["nodes"][
            "0000000000000001"
        ]
    trace = trace_from_json(json.dumps(document(nodes=nodes, edges=[])))
    shown = logtracer_cli.render_trace(trace)
    assert all(f"node {name}" in shown for name in "abcde")


# ---- Mutations ----------------------------------------------------------------------------------


def recorded(directory: Path) -> tuple[bytes, bytes]:
    """Record a trace and return its document, and its journal just before the end."""
    store = FileStore(directory)
    with Tracer(storage=store).trace("run", {"model": "m"}) as root:
        previous = root
        for number in range(3):
            with root.node(f"step {number} é\u2028") as step:
                step.input(number=number, nested={"list": [1, None, "x"]})
                step.annotate("why")
                previous.link(step, "retry_of")
            previous = step
        [journal] = directory.glob("*.jsonl")
        lines = journal.read_bytes()
    [path] = directory.glob("*.json")
    return path.read_bytes(), lines


INTERESTING = [
    *(b"", b"\0", b"{", b"}", b"[", b"]", b'"', b",", b":", b"\n", b"{}", b'"":', b"\xff", b"\\u"),
    *(b"null", b"true", b"-1", b"9" * 5_000, b"1e999", b"NaN", b"\\ud800", b"0.2.0", b"7.0.0"),
    *(b'"id":"x",', b"[" * 2_000),
]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return data after one to four random edits."""
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        until = min(len(data), at + chance.choice([0, 1, 1, 2, 8, 64]))
        if chance.random() < 0.3:
            other = chance.randrange(len(data) + 1)
            insert = data[other : other + chance.randint(1, 64)]
        else:
            insert = chance.choice(INTERESTING)
        data = data[:at] + insert + data[until:]
    return data


def read_journal(data: bytes) -> TraceGraph:
    return trace_from_journal(data.split(b"\n"))


@pytest.mark.parametrize("mutations", [figure(1_500, 50_000)])
@pytest.mark.parametrize(("part", "read"), [(0, trace_from_json), (1, read_journal)])
def test_a_mutated_file_loads_or_is_refused(
    part: int, read: Callable[[bytes], TraceGraph], mutations: int, tmp_path: Path
) -> None:
    data = recorded(tmp_path)[part]
    chance = random.Random(part)
    loaded = 0
    for number in range(mutations):
        changed = mutated(data, chance)
        try:
            trace = read(changed)
        except TraceLoadError:
            continue
        loaded += 1
        if number % 20 == 0:
            check_shown(trace)
    assert loaded > mutations // 50  # else the test would show nothing


# ---- Damaged documents --------------------------------------------------------------------------


@pytest.mark.parametrize("indent", [None, 2])
def test_every_prefix_of_a_document_gives_every_node_that_it_holds_whole(
    indent: int | None,
) -> None:
    text = trace_to_json(weather(), indent=indent).replace("—", "-")
    last = text.index('"edges"')
    for length in range(0, len(text) - 2, figure(41, 1)):
        cut = text[:length]
        kept = 3 if length > last else cut.count("0.0\n    }" if indent else "0.0}")
        if not kept:
            with pytest.raises(TraceLoadError):
                trace_from_json(cut)
            continue
        trace = trace_from_json(cut)
        assert len(trace.nodes) >= kept
        assert (trace.name, trace.trace_id) == (weather().name, weather().trace_id)
        assert trace.start_time == weather().start_time
        assert trace.metadata["logtracer.damaged_lines"] >= 1
        check_shown(trace)


@pytest.mark.parametrize("damage", [b"\0", b'"', b"}", b"\xff", b"NaN", b"9" * 5_000])
def test_damage_within_a_node_costs_that_node_alone(damage: bytes, tmp_path: Path) -> None:
    document, _ = recorded(tmp_path)
    at = document.index(b'"number":1') + len(b'"number":')
    path = tmp_path / "damaged.json"
    path.write_bytes(document[:at] + damage + document[at + 1 :])
    trace = load_trace(path)
    steps = {node.name[:6] for node in trace.nodes.values()}
    if damage == b"\xff":  # shown as a sign for what is no text
        steps -= {"step 1"}
    assert steps == {"run", "step 0", "step 2"}
    assert trace.metadata == {"model": "m", "logtracer.damaged_lines": 1}
    assert trace.end_time is not None
    assert [edge.edge_type for edge in trace.edges].count("retry_of") == 3


def test_a_node_that_is_none_costs_that_node_alone() -> None:
    nodes = {**document()["nodes"], "f" * 16: {"id": "f" * 16, "status": "exploded"}, "e" * 16: 7}
    trace = trace_from_json(json.dumps(document(nodes=nodes)))
    assert (trace.nodes, trace.metadata) == (weather().nodes, {"logtracer.damaged_lines": 2})


def test_a_text_full_of_broken_nodes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    text = trace_to_json(weather(), indent=None)
    text = text.replace('"nodes": {', '"nodes": {' + '"a":{"id":"a","x":[' * 900, 1)
    assert len(trace_from_json(text).nodes) == 3
    monkeypatch.setattr("logtracer._MOST_FAILURES", 100)
    with pytest.raises(TraceLoadError, match="not JSON"):
        trace_from_json(text)


# ---- Journals -----------------------------------------------------------------------------------


def whole_lines(data: bytes) -> set[str]:
    """Return the ids of nodes whose last line is whole."""
    found = set()
    for line in data.split(b"\n"):
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if event["event"] == "node.completed":
                found.add(event["node"]["id"])
    return found


def test_every_prefix_of_a_journal_gives_every_node_that_it_holds_whole(tmp_path: Path) -> None:
    _, journal = recorded(tmp_path)
    first_line = journal.index(b"\n")
    for length in range(first_line, len(journal), figure(7, 1)):
        trace = read_journal(journal[:length])
        done = {node.id for node in trace.nodes.values() if node.status == "completed"}
        assert done == whole_lines(journal[:length])
        assert all(n.status in ("completed", "running") for n in trace.nodes.values())


def test_every_torn_tail_is_read_from_the_file(tmp_path: Path) -> None:
    _, journal = recorded(tmp_path / "whole")
    path = tmp_path / "torn.jsonl"
    for cut in range(0, 400, 7):
        path.write_bytes(journal[: len(journal) - cut])
        trace = load_trace(path)
        assert whole_lines(journal[: len(journal) - cut]) <= trace.nodes.keys()


class Lines(MemoryStore):
    """A store that keeps the lines of one trace."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def write_event(self, trace_id: str, event: str, line: str) -> None:
        self.lines.append(line)

    def load(self, trace_id: str) -> TraceGraph | None:
        return trace_from_journal(self.lines)


def test_a_journal_reads_the_same_in_any_order_of_its_lines(tmp_path: Path) -> None:
    _, journal = recorded(tmp_path)
    lines = journal.splitlines()
    expected = trace_from_journal(lines)
    chance = random.Random(0)
    for _ in range(50):
        chance.shuffle(lines)
        trace = trace_from_journal(lines)
        assert trace.nodes == expected.nodes
        assert {str(edge) for edge in trace.edges} == {str(edge) for edge in expected.edges}


def test_a_resumed_journal_reads_the_same_in_any_order_of_its_lines() -> None:
    store = Lines()
    with Tracer(storage=store).trace("run") as root, root.node("ask") as ask:
        ask.pause("a human")
    with Tracer(storage=store).resume(root.trace.trace_id) as again, again.node("act"):
        going_on = [*store.lines]
    chance = random.Random(0)
    for lines, status in ((going_on, "running"), (store.lines, "completed")):
        for _ in range(50):
            chance.shuffle(lines)
            assert trace_from_journal(lines).nodes[root.id].status == status


def test_lines_that_are_damaged_are_skipped_and_counted(tmp_path: Path) -> None:
    _, journal = recorded(tmp_path)
    lines = journal.splitlines()
    damaged = [*lines[:3], b"garbage", b"\xff", b"{}", b"[1]", b"", *lines[3:]]
    trace = trace_from_journal(damaged)
    assert len(trace.nodes) == 4
    assert trace.metadata["logtracer.damaged_lines"] == 4


@pytest.mark.parametrize("key", ["name", "trace_id", "metadata", "start_time", "end_time"])
def test_a_beginning_or_an_end_that_is_odd_is_a_damaged_line(key: str, tmp_path: Path) -> None:
    _, journal = recorded(tmp_path)
    lines = journal.splitlines()
    event = "trace.completed" if key == "end_time" else "trace.started"
    lines.append(json.dumps({"event": event, "schema_version": "0.1.0", key: 7}).encode())
    trace = trace_from_journal(lines)
    assert (trace.name, len(trace.nodes)) == ("run", 4)
    assert trace.metadata["logtracer.damaged_lines"] == 1


def test_any_one_line_of_a_journal_may_be_lost(tmp_path: Path) -> None:
    _, journal = recorded(tmp_path)
    lines = journal.splitlines()
    for number, line in itertools.product(range(len(lines)), (b"", b"\0\0", b'{"event":7}')):
        trace = trace_from_journal([*lines[:number], line, *lines[number + 1 :]])
        lost = {"node.completed", "node.started"} & {json.loads(lines[number]).get("event")}
        assert len(trace.nodes) >= 4 - len(lost)
        check_shown(trace)


def test_lines_end_at_newlines_alone(tmp_path: Path) -> None:
    odd = "a\u2028b\u0085c\x0bd\x0ce\x1cf\rg\u2029h"
    store = FileStore(tmp_path)
    with Tracer(storage=store).trace(odd) as root:
        root.input(text=odd)
        [journal] = tmp_path.glob("*.jsonl")
        trace = load_trace(journal)
    assert trace.name == odd
    assert trace.root_nodes[0].input_data == {"text": odd}
    assert "logtracer.damaged_lines" not in trace.metadata


@pytest.mark.parametrize("lines", [[], [b""], [b"garbage"], [b"{}"], [b'{"event":"odd"}'], [b"[]"]])
def test_lines_without_a_trace_are_refused(lines: list[bytes]) -> None:
    with pytest.raises(TraceLoadError):
        trace_from_journal(lines)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    for load in (load_trace, load_trace_json):
        with pytest.raises(OSError):
            load(tmp_path / "missing.json")


def test_a_directory_named_like_a_trace_is_refused_and_nothing_stays_open(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    free = os.dup(0)
    os.close(free)
    for _ in range(3):
        with pytest.raises(TraceLoadError, match="not a regular file"):
            load_trace(tmp_path / "a.json")
    still_free = os.dup(0)
    os.close(still_free)
    assert still_free == free
