"""The sessions of coding agents that tests read, and what they count in them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from logtracer import Node, TraceGraph
from logtracer_extras.analysis.tokens import Usage, usage_of
from logtracer_extras.importers import import_traces

SESSIONS = Path(__file__).parent / "data" / "sessions"
CLAUDE = SESSIONS / "claude_code" / "7ac6efd5-3986-4f79-a618-6177e7e1e8a1.jsonl"
CODEX = next((SESSIONS / "codex").glob("rollout-*.jsonl"))
GEMINI = next((SESSIONS / "gemini_cli").glob("session-*.jsonl"))


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def read_lines(lines: list[Any]) -> TraceGraph:
    """Read the one trace that these lines are."""
    (trace,) = import_traces("\n".join(map(json.dumps, lines)))
    return trace


def kinds(trace: TraceGraph) -> Counter[str]:
    return Counter(node.node_type for node in trace.nodes.values())


def named(trace: TraceGraph, name: str) -> list[Node]:
    return [node for node in trace.nodes.values() if node.name == name]


def calls(trace: TraceGraph) -> list[Node]:
    return [node for node in trace.nodes.values() if node.node_type == "llm_call"]


def tools(trace: TraceGraph) -> list[Node]:
    return [node for node in trace.nodes.values() if node.node_type == "tool_call"]


def tokens(trace: TraceGraph) -> Usage:
    """Add up what the model calls used."""
    total = Usage()
    for node in calls(trace):
        total += usage_of(node) or Usage()
    return total


def below(trace: TraceGraph, top: Node) -> list[Node]:
    """Return what lies anywhere below a node; parents come before their children."""
    inside = {top.id}
    for node in trace.nodes.values():
        if node.parent_id in inside:
            inside.add(node.id)
    return [node for node in trace.nodes.values() if node.id in inside - {top.id}]


def parent(trace: TraceGraph, node: Node) -> Node:
    assert node.parent_id is not None
    return trace.nodes[node.parent_id]
