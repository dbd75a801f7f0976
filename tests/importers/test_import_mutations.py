"""Damaged files of every format give traces or the one error, and no format takes too long."""

from __future__ import annotations

import contextlib
import copy
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logtracer import TraceGraph, TraceLoadError, trace_to_json
from logtracer_extras.formats import to_atif
from logtracer_extras.importers import import_traces

RUNS = Path(__file__).parents[1] / "data" / "runs"
SAMPLES = sorted(path for path in RUNS.iterdir() if path.stat().st_size < 40_000)
JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 1e300, "", "x", "\ud800", "9" * 30, "NaN", [], [None], [[]], {}, {"a": {}}]
)


def documents_of(path: Path) -> list[Any]:
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines() if path.suffix == ".jsonl" else [text]
    return [json.loads(line) for line in lines]


def places_in(value: Any) -> list[tuple[Any, Any]]:
    """Return every place in a document where a value can be put."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    found = [(value, key) for key in keys]
    for key in keys:
        if isinstance(value[key], (dict, list)):
            found += places_in(value[key])
    return found


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_run_loads_or_raises_the_one_error(data: st.DataObject) -> None:
    documents = copy.deepcopy(documents_of(data.draw(st.sampled_from(SAMPLES))))
    for _ in range(data.draw(st.integers(1, 4))):
        owner, key = data.draw(st.sampled_from(places_in(documents)))
        owner[key] = data.draw(JUNK)
    try:
        traces = import_traces("\n".join(map(json.dumps, documents)))
    except TraceLoadError:
        return
    for trace in traces:
        again = TraceGraph.from_dict(json.loads(trace_to_json(trace)))
        assert again.nodes.keys() == trace.nodes.keys()
        assert len(list(trace.walk())) == len(trace.nodes)
        assert len(import_traces(to_atif(trace))[0].nodes) == len(trace.nodes)


def calls(count: int) -> list[Any]:
    return [{"type": "tool_use", "id": f"t{at}", "name": "a", "input": {}} for at in range(count)]


def results(count: int, key: str = "t") -> list[Any]:
    return [{"type": "tool_result", "tool_use_id": f"{key}{at}"} for at in range(count)]


LARGE: dict[str, Callable[[int], Any]] = {
    "calls at once": lambda count: [{"role": "assistant", "content": calls(count)}],
    "results of nothing": lambda count: [{"role": "user", "content": results(count, "x")}],
    "answered twice": lambda count: [
        {"role": "assistant", "content": calls(count)},
        *[{"role": "user", "content": results(count)}] * 2,
    ],
    "calls without ids": lambda count: [
        {"role": "model", "parts": [{"functionCall": {"name": "a"}}] * count},
        {"role": "user", "parts": [{"functionResponse": {"name": "a"}}] * count},
    ],
    "turns": lambda count: [{"role": "user", "content": "x"}, {"role": "assistant"}] * count,
    "lists in lists": lambda count: {"data": [[] for _ in range(count)]},
    "halves of calls": lambda count: [
        {"traceId": "a", "id": "b", "timestamp": 1, "kind": "SERVER"} for _ in range(count)
    ],
    "steps of a trajectory": lambda count: {
        "schema_version": "ATIF-v1.8",
        "agent": {"name": "a", "version": "1"},
        "steps": [{"step_id": 1, "source": "agent", "message": ""}] * count,
    },
    "steps without a model": lambda count: {
        "schema_version": "ATIF-v1.8",
        "agent": {"name": "a", "version": "1"},
        "steps": [
            {
                "source": "agent",
                "message": "",
                "llm_call_count": 0,
                "tool_calls": [{"tool_call_id": f"{at}", "function_name": "f", "arguments": {}}],
            }
            for at in range(count)
        ],
    },
}


@pytest.mark.parametrize("name", LARGE)
def test_ten_times_as_much_takes_ten_times_as_long_and_not_a_hundred(name: str) -> None:
    def seconds(count: int) -> float:
        text = json.dumps(LARGE[name](count))
        begun = time.process_time()
        with contextlib.suppress(TraceLoadError):
            import_traces(text)
        return time.process_time() - begun

    assert seconds(2_000) < 40 * max(seconds(200), 0.01)
