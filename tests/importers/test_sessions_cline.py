"""Cline's messages become traces with their times, models, tokens and costs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from logtracer_extras.importers import import_file
from session_files import SESSIONS, calls, kinds, read_lines, tokens, tools

FILE = SESSIONS / "cline" / "session.messages.json"


def test_every_message_keeps_its_model_its_tokens_and_its_cost() -> None:
    (trace,) = import_file(FILE)
    used = tokens(trace)
    assert (used.input, used.cache_read, used.output) == (630_254, 534_435, 4_395)
    cost = sum(node.metadata["gen_ai.usage.cost"] for node in calls(trace))
    assert cost == pytest.approx(2.036022565)
    assert (len(calls(trace)), kinds(trace)["human_input"]) == (16, 5)


def test_tools_are_paired_and_have_times() -> None:
    (trace,) = import_file(FILE)
    assert len(tools(trace)) == 11
    assert all(node.duration_ms is not None for node in tools(trace))
    assert trace.metadata["session_id"] == "1784094124598_rruoq"


def test_a_tool_that_was_not_successful_has_failed() -> None:
    document: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    result = document["messages"][2]["content"][0]
    result["content"] = [{"query": "x", "result": "not found", "success": False}]
    assert tools(read_lines([document]))[0].status == "failed"


def test_a_message_that_stands_there_twice_counts_once() -> None:
    document: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    document["messages"] += document["messages"][1:4]
    assert tokens(read_lines([document])).output == 4_395
