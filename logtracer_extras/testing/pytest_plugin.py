"""The plugin for pytest: fixtures that record, and why a test failed in its report.

    def test_the_agent_searches_first(traced: Span) -> None:
        answer("weather in Paris")  # its @trace_node functions record into the test's trace
        assert_order(traced.trace, "search", "answer")

An installed logtracer brings it (entry point `pytest11`); in a copied folder, write
`pytest_plugins = ["logtracer_extras.testing.pytest_plugin"]` into `conftest.py`.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest

from logtracer import FileStore, MemoryStore, Span, TraceGraph, Tracer, TracerConfig

from .golden import UPDATE
from .outline import outline, why_text

_TRACER = pytest.StashKey[Tracer]()
_ROOT = pytest.StashKey[Span]()
_SECTIONS = 5  # traces shown of one failed test


def pytest_addoption(parser: pytest.Parser) -> None:
    """Called when pytest reads its options."""
    group = parser.getgroup("logtracer")
    group.addoption(
        "--logtracer-update",
        action="store_true",
        help="write golden traces anew, as LOGTRACER_UPDATE=1 does",
    )
    group.addoption(
        "--logtracer-dir",
        metavar="DIR",
        help="keep the traces of failed tests in DIR, for `logtracer inspect` and `view`",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Called when pytest starts, and in every worker of pytest-xdist."""
    if config.getoption("--logtracer-update"):
        before = os.environ.get(UPDATE)
        os.environ[UPDATE] = "1"
        config.add_cleanup(lambda: _set_back(before))


def _set_back(before: str | None) -> None:
    os.environ.pop(UPDATE, None)
    if before is not None:
        os.environ[UPDATE] = before


@pytest.fixture
def memory_tracer(request: pytest.FixtureRequest) -> Tracer:
    """A tracer that keeps its traces in memory; a failed test shows them in its report."""
    config = TracerConfig(capture_level="full", sample_rate=1.0, enabled=True)
    tracer = Tracer(config, MemoryStore())  # whatever the environment says
    request.node.stash[_TRACER] = tracer
    return tracer


@pytest.fixture
def traced(request: pytest.FixtureRequest, memory_tracer: Tracer) -> Span:
    """The root span of a trace around the test; `traced.trace` is what was recorded so far."""
    context = memory_tracer.trace(request.node.name)
    root = context.__enter__()
    request.addfinalizer(lambda: context.__exit__(None, None, None))
    request.node.stash[_ROOT] = root
    return root


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, Any]:
    """Called when a phase of a test has run: add its traces to the report of a failure."""
    report: Any = yield
    if report.when == "call" and report.failed and _TRACER in item.stash:
        _end(item, call)
        for trace in _traces(item)[:_SECTIONS]:
            report.sections.append((f"trace {trace.name}", _section(item, trace)))
    return report


def _end(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """End the test's own trace: with the error of the agent, not with that of an assertion."""
    if _ROOT in item.stash and call.excinfo is not None:
        error = call.excinfo.value
        item.stash[_ROOT].end(None if isinstance(error, AssertionError) else error)


def _traces(item: pytest.Item) -> list[TraceGraph]:
    store = item.stash[_TRACER].storage
    found = [store.load(trace_id) for trace_id in store.list_traces()]
    return [trace for trace in found if trace is not None]


def _section(item: pytest.Item, trace: TraceGraph) -> str:
    lines = [*outline(trace), *why_text(trace)]
    directory = item.config.getoption("--logtracer-dir")
    if directory:
        try:
            FileStore(directory).save(trace)
            lines.append(f"kept as {os.path.join(directory, trace.trace_id)}.json")
        except OSError as error:  # StoreError is one; the report matters more
            lines.append(f"not kept: {error}")
    return "\n".join(lines)
