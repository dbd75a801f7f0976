"""Comparisons and explanations as a terminal without colours shows them, line by line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from logtracer import TraceGraph
from logtracer_cli import Line, Pen
from logtracer_extras.diff import TraceDiff
from logtracer_extras.diff.groups import GroupComparison
from logtracer_extras.terminal import _diff_text
from logtracer_extras.terminal.why import why_lines

Look = Any  # the fields of a pen


def _texts(lines: Iterable[Line], pen: Pen) -> list[str]:
    return [pen.text(line) for line in lines]


def difference(compared: TraceDiff, *, limit: int = 200, **look: Look) -> list[str]:
    pen = Pen(**look)
    return _texts(_diff_text.difference_lines(compared, pen, limit=limit), pen)


def brief(compared: TraceDiff, **look: Look) -> list[str]:
    pen = Pen(**look)
    return _texts(_diff_text.brief_lines(compared, pen), pen)


def stat(compared: TraceDiff, **look: Look) -> list[str]:
    pen = Pen(**look)
    return _texts(_diff_text.stat_lines(compared, pen), pen)


def groups(comparison: GroupComparison, *, limit: int = 200, **look: Look) -> list[str]:
    pen = Pen(**look)
    return _texts(_diff_text.group_lines(comparison, pen, limit=limit), pen)


def why(
    trace: TraceGraph, node_id: str | None = None, *, limit: int = 200, **look: Look
) -> list[str]:
    pen = Pen(**look)
    return _texts(why_lines(trace, node_id, pen, limit=limit), pen)
