"""What a check finds of what there is, what it finds that is not there, and what it costs.

    python benchmarks/check.py [--runs 200] [--seed 1] [--nodes 100000]

The runs are made up (tests/check_runs.py): half of them are clean, among them the honest cadence of
edits and tests and the polling of a job; each of the others has one kind of fault.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from check_runs import CONTEXT_WINDOWS, Story, labelled_runs  # noqa: E402
from logtracer import TraceGraph  # noqa: E402
from logtracer_extras.check import check  # noqa: E402


def long_run(nodes: int) -> TraceGraph:
    """Return a run of an agent that reads, edits and tests for a long time."""
    story = Story(Random(1))
    number = 0
    while len(story.builder.trace.nodes) < nodes:
        number += 1
        path = f"src/file_{number % 500}.py"
        story.call("read_file", {"path": path}, {"content": story.words(40)})
        story.call("edit_file", {"path": path, "new": f"{number}"}, {"ok": True})
        story.call("bash", {"command": "pytest"}, {"exit_code": 1, "stdout": "1 failed in 2.1s"})
    return story.builder.trace


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=100_000)
    options = parser.parse_args()
    right = wrong = missed = 0
    trouble: Counter[str] = Counter()
    for run in labelled_runs(options.runs, options.seed):
        found = {finding.kind for finding in check(run.trace, context_windows=CONTEXT_WINDOWS)}
        right += len(found & run.kinds)
        wrong += len(found - run.kinds)
        missed += len(run.kinds - found)
        trouble.update(f"{run.story}: found {kind}" for kind in found - run.kinds)
        trouble.update(f"{run.story}: missed {kind}" for kind in run.kinds - found)
    print(f"{options.runs} runs, seed {options.seed}")
    print(f"precision  {right / (right + wrong):.3f}")
    print(f"recall     {right / (right + missed):.3f}")
    for story, count in trouble.most_common():
        print(f"  {count:3} {story}")
    trace = long_run(options.nodes)
    started = time.process_time()
    check(trace)
    print(f"{len(trace.nodes):,} nodes  {time.process_time() - started:.2f} s of CPU")


if __name__ == "__main__":
    main()
