"""Time that a test has frozen or replaced: traces keep the real one."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from unittest import mock

import pytest

from logtracer import Tracer, trace_from_json, trace_to_json
from needs import needs


@contextlib.contextmanager
def frozen_by_mock() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for name in ("time_ns", "time", "perf_counter_ns"):
            stack.enter_context(mock.patch(f"time.{name}", return_value=7))
        yield


@contextlib.contextmanager
def frozen_by_freezegun() -> Iterator[None]:
    with importlib.import_module(needs("freezegun")).freeze_time("2012-01-14"):
        yield


@pytest.mark.parametrize("frozen", [frozen_by_mock, frozen_by_freezegun])
@pytest.mark.parametrize("is_whole", [True, False], ids=["trace", "step"])
def test_a_frozen_clock_changes_no_time(frozen: Any, is_whole: bool) -> None:
    before, tracer = datetime.now(timezone.utc), Tracer()
    wait = time.sleep
    if is_whole:
        with frozen(), tracer.trace("run") as root, root.node("step"):
            wait(0.002)
    else:
        with tracer.trace("run") as root, frozen(), root.node("step"):
            wait(0.002)
    trace = trace_from_json(trace_to_json(root.trace))
    step = trace.find("step")
    assert step is not None and step.start_time is not None
    assert abs(step.start_time - before) < timedelta(minutes=1)
    assert 2 <= (step.duration_ms or 0) <= (trace.duration_ms or 0) < 60_000
    assert [node.name for node in trace.nodes.values()] == ["run", "step"]
