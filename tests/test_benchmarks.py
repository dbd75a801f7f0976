"""The scripts that measure still run, with little to do; what they find is not looked at."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from conftest import ROOT


@pytest.mark.parametrize(
    ("script", "row"),
    [
        ("capture.py --rounds 1 --steps 10", "logtracer, file"),
        ("parallel.py --rounds 1 --steps 80", "8 threads, one trace"),
        ("scale.py --steps 1000 --held 100", "1,000 steps"),
        ("startup.py --rounds 1", "import logtracer"),
    ],
)
def test_script_prints_figures_above_zero(script: str, row: str) -> None:
    name, *arguments = script.split()
    command = [sys.executable, str(ROOT / "benchmarks" / name), *arguments, "--json"]
    printed = subprocess.check_output(command, timeout=300)
    rows: dict[str, dict[str, float]] = {}
    for table in json.loads(printed)["tables"].values():
        rows |= table
    assert row in rows
    assert all(figure > 0 for figures in rows.values() for figure in figures.values())
