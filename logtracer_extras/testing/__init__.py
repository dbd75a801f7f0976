"""Tests of agents, made from their traces: plain pytest, no network.

    from logtracer_extras.testing import assert_no_errors, assert_order, assert_same

    assert_order(trace, "search", "answer")
    assert_no_errors(trace)
    assert_same(trace, "tests/golden/weather.json")  # LOGTRACER_UPDATE=1 writes it

`asserts` says what a run must have done, `golden` compares it with one that was right, `builder`
makes traces by hand; `pytest_plugin` brings fixtures and tells why a test failed.
"""

from __future__ import annotations

from .asserts import (
    Matcher,
    Selector,
    assert_budget,
    assert_count,
    assert_never_without,
    assert_no_errors,
    assert_order,
    assert_value,
    find,
    find_all,
    value_of,
)
from .builder import START, TraceBuilder
from .golden import assert_same, normalised, save_golden

__all__ = [
    "START",
    "Matcher",
    "Selector",
    "TraceBuilder",
    "assert_budget",
    "assert_count",
    "assert_never_without",
    "assert_no_errors",
    "assert_order",
    "assert_same",
    "assert_value",
    "find",
    "find_all",
    "normalised",
    "save_golden",
    "value_of",
]
