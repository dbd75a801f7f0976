"""Traces travel to and from nodetracer, the sibling library: each reads what the other writes."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from logtracer import Tracer, load_trace, save_trace_json
from logtracer_cli import render_trace
from needs import needs

STEPS = ("classify", "look_up", "look_up_again")


def sibling(module: str) -> Any:
    needs("nodetracer")
    return importlib.import_module(f"nodetracer.{module}")


def record(tracer: Any, retry_of: Any) -> Any:
    """Record a run with either library: they share this much."""
    with tracer.trace("weather_agent") as root:
        with root.node("classify", node_type="llm_call") as step:
            step.input(query="Paris?")
            step.output(intent="weather", confidence=0.95)
            step.annotate("High confidence")
        with pytest.raises(TimeoutError), root.node("look_up", node_type="tool_call") as first:
            raise TimeoutError("no answer")
        with root.node("look_up_again", node_type="tool_call") as second:
            second.output(celsius=18)
        first.link(second, retry_of)
    return root.trace


def test_our_file_comes_back_whole_through_the_sibling(tmp_path: Path) -> None:
    ours = record(Tracer(), "retry_of")
    save_trace_json(ours, tmp_path / "ours.json")
    theirs = sibling("serializers").load_trace_json(tmp_path / "ours.json")
    sibling("serializers").save_trace_json(theirs, tmp_path / "theirs.json")
    assert load_trace(tmp_path / "theirs.json") == ours
    drawn = sibling("renderers").render_trace(theirs)
    assert [name for name in STEPS if name not in drawn] == []


def test_the_siblings_file_comes_back_whole_through_us(tmp_path: Path) -> None:
    tracer = sibling("core").Tracer()
    theirs = record(tracer, sibling("models").EdgeType.RETRY_OF)
    sibling("serializers").save_trace_json(theirs, tmp_path / "theirs.json")
    ours = load_trace(tmp_path / "theirs.json")
    save_trace_json(ours, tmp_path / "ours.json")
    back = sibling("serializers").load_trace_json(tmp_path / "ours.json")
    assert back.model_dump() == theirs.model_dump()
    drawn = render_trace(ours)
    assert [name for name in STEPS if name not in drawn] == []
