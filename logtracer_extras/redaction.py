"""Say what redaction hides in a text, and why.

    >>> explain("password=correct-horse-battery")
    [Finding(start=9, end=30, rule='name', why="is the value of the name 'password'")]

Only the built-in rules are explained; patterns, keys and a callback of your own are not.
"""

from __future__ import annotations

from dataclasses import dataclass

from logtracer import find_secrets

__all__ = ["Finding", "explain"]

_WHY = {
    "token": "begins with {!r} and goes on as tokens do that begin so",
    "shape": "has {!r} and the letters around it that a kind of token has",
    "name": "is the value of the name {!r}",
    "column": "stands in a table below the name {!r}",
    "said": "follows {!r}, which is followed by secrets",
}


@dataclass(frozen=True)
class Finding:
    """A part of a text that is hidden: text[start:end], by which rule, and what gave it away."""

    start: int
    end: int
    rule: str
    why: str


def explain(text: str) -> list[Finding]:
    """Return what is hidden in a text, in its order; two rules may find the same part."""
    return [
        Finding(start, end, rule, _WHY[rule].format(mark))
        for start, end, rule, mark in find_secrets(text)
    ]
