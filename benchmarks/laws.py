"""How many changes for the worse the laws of good runs catch, and how often they cry wolf.

    python benchmarks/laws.py [--agents 20] [--runs 20] [--fresh 10]

Each made-up agent (tests/law_agents.py) is learned from `--runs` good runs. Then `--fresh` other
good runs of it are held to the laws, and one run for each of twelve kinds of change.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from law_agents import REGRESSIONS, Agent, bad_run, good_runs  # noqa: E402
from logtracer_extras.check import broken, learn  # noqa: E402


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=20)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--fresh", type=int, default=10)
    options = parser.parse_args()
    caught: Counter[str] = Counter()
    wolves: Counter[str] = Counter()
    learned = 0
    for number in range(options.agents):
        agent = Agent(number)
        laws = learn(good_runs(agent, options.runs))
        learned += len(laws)
        for run in good_runs(agent, options.fresh, first=1_000):
            wolves.update(finding.message for finding in broken(laws, run)[:1])
        for regression in REGRESSIONS:
            caught[regression.__name__] += bool(broken(laws, bad_run(agent, 5_000, regression)))
    print(f"{learned / options.agents:.0f} laws an agent")
    print(f"false alarms  {sum(wolves.values())} of {options.agents * options.fresh} good runs")
    for message in list(wolves)[:5]:
        print(f"  {message}")
    for regression in REGRESSIONS:
        print(f"{regression.__name__:26} caught in {caught[regression.__name__]} agents")


if __name__ == "__main__":
    main()
