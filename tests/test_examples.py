"""The examples run, each from an empty directory, and check themselves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

EXAMPLES = sorted(ROOT.glob("examples/[0-9]*.py"))


def test_the_promised_examples_are_there() -> None:
    assert [example.name for example in EXAMPLES][:4] == [
        "01_sequential_tool_calling.py",
        "02_parallel_execution.py",
        "03_retry_and_fallback.py",
        "04_multi_agent_handoff.py",
    ]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_example_runs_and_prints_its_trace(example: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(example)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("Trace: ")


def test_every_example_asserts_what_it_shows() -> None:
    assert all("    assert " in example.read_text(encoding="utf-8") for example in EXAMPLES)
