"""What importing costs over a bare Python, in milliseconds of CPU.

    python benchmarks/startup.py [--rounds 20] [--json]

Every round starts a fresh process for each contender in turn; the first round compiles what is
imported. The floor is what a tracer of dataclasses cannot do without.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.tables import ROOT, has, medians, options, show

BARE = "pass"
FLOOR = "import json, dataclasses, contextvars"
PROGRAMS = {
    "eliot": "import eliot",
    "structlog": "import structlog",
    "nodetracer": "import nodetracer",
    "opentelemetry-sdk": "import opentelemetry.sdk.trace",
}


def milliseconds(program: str) -> float:
    """Return the CPU time of a fresh process that runs a program."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else compiling is what is measured
    process = subprocess.Popen([sys.executable, "-c", program], env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)  # has been waited for
    assert process.returncode == 0, program
    return (usage.ru_utime + usage.ru_stime) * 1_000


def main() -> None:
    """Measure and print."""
    chosen = options("What importing costs.", rounds=20)
    programs = [BARE, FLOOR, "import logtracer"]
    programs += [program for name, program in PROGRAMS.items() if has(name)]
    found = medians({each: partial(milliseconds, each) for each in programs}, chosen.rounds)
    bare = found.pop(BARE)
    floor = found[FLOOR] - bare
    rows = {
        program: {"ms": figure - bare, "x floor": (figure - bare) / floor}
        for program, figure in found.items()
    }
    show({f"over a bare Python ({bare:.1f} ms)": rows}, chosen.json)


if __name__ == "__main__":
    main()
