"""Laws written out as a file of tests that a person can read, keep and change."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .laws import Law

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

    `path` is the trace that the tests look at.
    """
    bodies: dict[str, list[str]] = {}
    runs = 0
    for law in laws:
        lines = _lines(law)
        if lines:
            bodies.setdefault(law.name, []).extend(lines)
            runs = max(runs, law.runs)
    tests = [_test(name, lines) for name, lines in bodies.items()]
    used = sorted(set(re.findall(r"\bassert_\w+(?=\()", "\n".join(tests))))
    head = _HEAD.format(agent=_plain(agent), runs=runs, names=", ".join(used), path=path)
    return "\n\n".join([head, *tests])


def _plain(text: str) -> str:
    return re.sub(r"[^\w .-]", "_", text)


def _test(name: str, lines: list[str]) -> str:
    title = re.sub(r"\W+", "_", name).strip("_").lower() or "run"
    body = "\n".join(f"    {line}" for line in lines)
    return f"def test_{title if name else 'the_whole_run'}(trace: TraceGraph) -> None:\n{body}\n"


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
