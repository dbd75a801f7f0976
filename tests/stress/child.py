"""Run a piece of Python in a process of its own, warnings as errors, with logtracer importable."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def command(source: str, *arguments: object) -> list[str]:
    """Return the command line that runs a program."""
    return [sys.executable, "-B", "-W", "error", "-c", source, *map(str, arguments)]


def environment() -> dict[str, str]:
    """Return an environment in which the tracer and these helpers can be imported."""
    here = [str(ROOT), str(ROOT / "tests")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(here), "PYTHONIOENCODING": "utf-8"}


def run(source: str, *arguments: object, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return what it printed; it may take `seconds`."""
    return subprocess.run(
        command(source, *arguments),
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=seconds,
    )
