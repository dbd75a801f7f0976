"""The plugin for pytest: what its fixtures record, and what a failed test shows."""

from __future__ import annotations

import pytest

from conftest import ROOT
from logtracer import load_trace
from needs import needs

pytest_plugins = ["pytester"]

AGENT = """
from logtracer import trace_node
from logtracer_extras.testing import assert_order, assert_same

@trace_node(node_type="tool_call", capture_args=True)
def search(query):
    if query == "storm":
        raise TimeoutError("no answer in 5 s")
    return [query]
"""


@pytest.fixture
def agent_tests(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("LOGTRACER_DISABLED", "1")  # the agent's own setting, not the tests'
    pytester.makeconftest('pytest_plugins = ["logtracer_extras.testing.pytest_plugin"]')
    return pytester


def run(pytester: pytest.Pytester, body: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(AGENT + body)
    # Not the one that an installed logtracer brings: the conftest has this one.
    blocked = ("-p", "no:cacheprovider", "-p", "no:logtracer")
    return pytester.runpytest_subprocess(*blocked, *options, timeout=60)


def test_what_a_test_calls_is_recorded_below_its_own_trace(agent_tests: pytest.Pytester) -> None:
    body = """
def test_agent(traced):
    search("weather")
    assert_order(traced.trace, "test_agent", "search")
"""
    run(agent_tests, body).assert_outcomes(passed=1)


def test_a_failed_test_shows_its_trace_and_the_cause(agent_tests: pytest.Pytester) -> None:
    result = run(agent_tests, 'def test_agent(traced):\n    search("storm")\n')
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*trace test_agent*",
            "*tool_call search failed TimeoutError: no answer in 5 s {'query': 'storm'}",
            "why: tool_call search: TimeoutError: no answer in 5 s",
        ]
    )


def test_the_traces_of_a_tracer_of_its_own_are_shown_too(agent_tests: pytest.Pytester) -> None:
    body = """
def test_agent(memory_tracer):
    with memory_tracer.trace("agent") as root:
        search("weather")
    assert_order(root.trace, "answer")
"""
    result = run(agent_tests, body)
    result.stdout.fnmatch_lines(["E*no node 'answer'; there are 'agent', 'search'"])
    result.stdout.fnmatch_lines(["*trace agent*", "  tool_call search {'query': 'weather'}"])


def test_a_test_that_passes_shows_nothing(agent_tests: pytest.Pytester) -> None:
    result = run(agent_tests, 'def test_agent(traced):\n    search("weather")\n', "-rA")
    assert "trace test_agent" not in result.stdout.str()


def test_the_traces_of_failed_tests_are_kept_where_asked(agent_tests: pytest.Pytester) -> None:
    run(agent_tests, 'def test_agent(traced):\n    search("storm")\n', "--logtracer-dir=kept")
    (path,) = (agent_tests.path / "kept").glob("*.json")
    assert [node.name for node in load_trace(path).nodes.values()] == ["test_agent", "search"]


def test_a_place_where_nothing_can_be_kept_is_no_internal_error(
    agent_tests: pytest.Pytester,
) -> None:
    (agent_tests.path / "file").write_text("")
    body = 'def test_agent(traced):\n    search("storm")\n'
    result = run(agent_tests, body, "--logtracer-dir=file/kept")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["not kept: *"])


GOLDEN = """
def test_agent(traced):
    search("weather")
    assert_same(traced.trace, "golden/agent.json")
"""


def test_golden_traces_are_written_by_an_option(agent_tests: pytest.Pytester) -> None:
    run(agent_tests, GOLDEN).assert_outcomes(failed=1)
    run(agent_tests, GOLDEN, "--logtracer-update").assert_outcomes(passed=1)
    run(agent_tests, GOLDEN).assert_outcomes(passed=1)


def test_workers_of_xdist_report_and_write_as_well(agent_tests: pytest.Pytester) -> None:
    needs("xdist")
    run(agent_tests, GOLDEN, "--logtracer-update", "-n", "2").assert_outcomes(passed=1)
    result = run(agent_tests, GOLDEN.replace("weather", "storm"), "-n", "2")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*trace test_agent*"])
