"""What comparing two long runs costs: seconds of CPU, and megabytes beyond the runs themselves.

    python benchmarks/diff.py [--steps 100000] [--edited 1] [--shape bushy|deep|wide]

Two runs of the same steps, of which `--edited` in a hundred were given something else.
"""

from __future__ import annotations

import argparse
import sys
import time
import tracemalloc
from datetime import datetime, timedelta, timezone
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from logtracer import Edge, Node, NodeStatus, TraceGraph  # noqa: E402
from logtracer_extras.diff import diff

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def parent_of(number: int, shape: str, random: Random) -> int:
    """Return the number of the step around a step."""
    if shape == "wide":
        return 0
    return number - 1 if shape == "deep" else random.randrange(max(0, number - 2_000), number)


def run(steps: int, shape: str, edited: float, prefix: str) -> TraceGraph:
    """Return a run; the same arguments give the same run, but for the ids and the edited steps."""
    random = Random(1)
    trace = TraceGraph(name="big", start_time=START, end_time=START + timedelta(hours=1))
    for number in range(steps):
        node = Node(f"{prefix}{number}", number, random.choice("abcde"), "tool_call")
        node.status = NodeStatus.COMPLETED
        if number:
            node.parent_id = f"{prefix}{parent_of(number, shape, random)}"
        node.start_time = START + timedelta(milliseconds=2 * number)
        node.end_time = node.start_time + timedelta(milliseconds=1)
        changed = prefix if number * edited % 100 >= 100 - edited else ""
        node.input_data = {"query": f"What about number {number}{changed}?", "limit": 5}
        node.output_data = {"answer": [1, 2, number]}
        node.metadata = {"gen_ai.usage.input_tokens": 12}
        trace.add_node(node)
        if node.parent_id is not None:
            trace.edges.append(Edge(node.parent_id, node.id))
    return trace


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--edited", type=float, default=1.0)
    parser.add_argument("--shape", choices=("bushy", "deep", "wide"), default="bushy")
    options = parser.parse_args()
    runs = [run(options.steps, options.shape, options.edited, prefix) for prefix in "ab"]
    started = time.process_time()
    difference = diff(*runs)
    seconds = time.process_time() - started
    tracemalloc.start()
    diff(*runs)
    megabytes = tracemalloc.get_traced_memory()[1] / 1e6
    counts = {kind: count for kind, count in difference.counts.items() if count}
    print(f"{options.shape} {options.steps}: {seconds:.2f} s, {megabytes:.0f} MB, {counts}")


if __name__ == "__main__":
    main()
