"""Laws written out as a file of tests that a person can read, keep and change."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .laws import Law, LawError

__all__ = ["law_tests"]

_HEAD = '''\
"""What every run of {agent} does, learned from {runs} good runs."""

from __future__ import annotations

import pytest

from logtracer import TraceGraph, load_trace
from logtracer_extras.testing import {names}


@pytest.fixture
def trace() -> TraceGraph:
    return load_trace({path!r})
'''


def law_tests(laws: Iterable[Law], *, agent: str, path: str) -> str:
    """Return the text of a pytest file: one test for each node's name, one for the whole run.

    `path` is the trace that the tests look at. LawError when no law can be said so.
    """
    bodies: dict[str, list[str]] = {}
    runs = 0
    for law in laws:
        lines = _lines(law)
        if lines:
            bodies.setdefault(_title(law.name), []).extend(lines)
            runs = max(runs, law.runs)
    if not bodies:
        raise LawError("no law to write a test of; learn from 14 good runs or more")
    tests = [_test(title, lines) for title, lines in bodies.items()]
    used = [name for name in _ASSERTIONS if any(f"    {name}(" in test for test in tests)]
    head = _HEAD.format(agent=_plain(agent), runs=runs, names=", ".join(used), path=path)
    return "\n\n".join([head, *tests])


_ASSERTIONS = ("assert_budget", "assert_count", "assert_never_without", "assert_value")


def _plain(text: str) -> str:
    return re.sub(r"[^\w .-]", "_", text)


def _title(name: str) -> str:
    """Return what the test of a node's name is called; names that read alike share a test."""
    return re.sub(r"\W+", "_", name).strip("_").lower() or "the_whole_run"


def _test(title: str, lines: list[str]) -> str:
    body = "\n".join(f"    {line}" for line in lines)
    return f"def test_{title}(trace: TraceGraph) -> None:\n{body}\n"


def _lines(law: Law) -> list[str]:
    """Return the assertions that say a law; none for what tests say better in other words."""
    if law.kind == "count" and law.low == law.high:
        return [f"assert_count(trace, {law.name!r}, {law.low:g})"]
    if law.kind == "count":
        return [f"assert_count(trace, {law.name!r}, at_least={law.low:g}, at_most={law.high:g})"]
    if law.kind == "only_after":
        return [f"assert_never_without(trace, {law.name!r}, {law.other!r})"]
    if law.kind == "total":
        return [f"assert_budget(trace, {law.other.replace(' ', '_')}={law.high:g})"]
    if law.kind == "never_fails":
        return [f'assert_count(trace, {law.name!r}, 0, where="status:failed")']
    return [f"assert_value(trace, {law.name!r}, {law.other!r}, {_matcher(law)})"] * bool(
        _matcher(law)
    )


def _matcher(law: Law) -> str:
    if law.kind == "one_of" and len(law.values) == 1:
        return repr(law.values[0])
    if law.kind == "one_of":
        return f"lambda value: value in {list(law.values)!r}"
    if law.kind == "range":
        return f"lambda value: {law.low:g} <= value <= {law.high:g}"
    return ""
