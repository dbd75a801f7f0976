"""Whatever stands in a session's file, reading it gives a trace or one TraceLoadError."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from logtracer import TraceLoadError, trace_from_json, trace_to_json
from logtracer_extras.importers import import_traces
from logtracer_extras.importers._scanning import (
    scan_claude,
    scan_codex,
    scan_gemini,
    scan_messages,
    scan_pi,
)
from logtracer_extras.importers.accounts import account_of
from session_damage import DOCUMENTS, SAMPLES, damaged, sample
from stress.figures import figure

ROUNDS = figure(1_000, stress=100_000) // len(SAMPLES) + 1
SCANS = (scan_claude, scan_codex, scan_gemini, scan_messages, scan_pi)


def check(text: str) -> None:
    """Read a text, and all that is known of the traces in it."""
    try:
        traces = import_traces(text.encode("utf-8", "surrogatepass"))
    except TraceLoadError:
        return
    for trace in traces:
        account_of(trace)
        assert trace_from_json(trace_to_json(trace)).to_dict() == trace.to_dict()


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem[:12]}")
def test_a_damaged_session_is_a_trace_or_refused(path: Path) -> None:
    chance = random.Random(path.name)
    for _ in range(ROUNDS):
        check(damaged(sample(path, chance), chance))


@pytest.mark.parametrize("document", DOCUMENTS, ids=("goose", "cursor"))
def test_a_damaged_session_of_a_database_is_a_trace_or_refused(document: dict[str, Any]) -> None:
    chance = random.Random(str(document["type"]))
    for _ in range(ROUNDS):
        check(damaged(json.dumps(document), chance))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem[:12]}")
def test_a_damaged_session_can_still_be_listed(path: Path) -> None:
    chance = random.Random(path.name)
    for _ in range(ROUNDS):
        data = damaged(sample(path, chance), chance).encode("utf-8", "surrogatepass")
        for scan in SCANS:
            assert scan(data).turns >= 0
