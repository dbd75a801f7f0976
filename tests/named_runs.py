"""Runs whose ids a user can begin to type, as documents and as the journals of killed processes."""

from __future__ import annotations

import json
from datetime import timedelta

from logtracer import TraceGraph
from sample_traces import START, Sample

RUNS = {"aa11": 2, "aa22": 1, "bb33": 3}  # the start of each id, and the hour it started


def run(trace_id: str, hour: int = 0) -> TraceGraph:
    """Return a run of that id that started at that hour."""
    sample = Sample(f"run {trace_id}", trace_id=trace_id)
    sample.trace.start_time = sample.root.start_time = START + timedelta(hours=hour)
    sample.trace.end_time = sample.root.end_time = START + timedelta(hours=hour)
    return sample.trace


def journal(trace: TraceGraph) -> str:
    """Return the journal a process leaves that was killed in the middle of the trace."""
    node = {**next(iter(trace.nodes.values())).to_dict(), "end_time": None, "status": "running"}
    header = {
        "event": "trace.started",
        "schema_version": "0.1.0",
        "trace_id": trace.trace_id,
        "name": trace.name,
        "start_time": node["start_time"],
    }
    events = [header, {"event": "node.started", "node": node}]
    return "".join(json.dumps(event) + "\n" for event in events)
