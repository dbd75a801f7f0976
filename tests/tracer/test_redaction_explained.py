"""Why a text is redacted: every rule can say what it went by."""

from __future__ import annotations

import doctest

import pytest

import logtracer_extras.redaction
from logtracer_extras.redaction import Finding, explain

RANDOM = "Zq7Xw3Kp9Rt5Ym2N"


@pytest.mark.parametrize(
    ("text", "rule", "mark"),
    [
        ("ghp_" + RANDOM * 3, "token", "'ghp_'"),
        ("AKIA" + RANDOM.upper(), "shape", "'A'"),
        (f"DB_PASS={RANDOM}", "name", "'DB_PASS'"),
        (f"user,password\nada,{RANDOM}", "column", "'password'"),
        (f"the password is {RANDOM}", "said", "'pass'"),
        (f"deploy --token {RANDOM}", "said", "'token'"),
    ],
)
def test_a_finding_says_where_and_why(text: str, rule: str, mark: str) -> None:
    finding = next(finding for finding in explain(text) if finding.rule == rule)
    assert mark in finding.why
    assert text[finding.start : finding.end] in (RANDOM, text)


def test_nothing_is_explained_where_nothing_is_hidden() -> None:
    assert explain("The password is required.") == []


def test_the_example_is_true() -> None:
    assert doctest.testmod(logtracer_extras.redaction).failed == 0
    assert explain("pwd=abcd1234") == [Finding(4, 12, "name", "is the value of the name 'pwd'")]
