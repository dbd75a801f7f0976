"""What the terminal's tables share: pieces of lines, times, tokens and money in few columns.

A line is a list of pieces, each a text and the role that colours it. Who draws gets a pen from
`logtracer_cli`, which knows the terminal: its width, its characters, how wide a text is on it.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Line", "Pen", "cost_text", "seconds_text", "short_cost_text", "tokens_text"]

Line = list[tuple[str, str]]


class Pen(Protocol):
    """What a table needs to know of the terminal it is drawn on."""

    @property
    def width(self) -> int:
        """How many columns there are."""

    def glyph(self, name: str) -> str:
        """Return a drawing character by name, or its ASCII twin."""

    def fit(self, text: str, width: int) -> str:
        """Return the text cut or filled up to exactly so many columns."""

    def clip(self, text: str, width: int) -> str:
        """Return the text cut to at most so many columns."""


def seconds_text(microseconds: int) -> str:
    """Return a time for a column: `4.2ms`, `0.41s`, `12.40s`, `21m40s`, `3h02m`."""
    if microseconds < 9_950:
        return f"{microseconds / 1_000:.1f}ms"
    if microseconds < 99_995_000:
        return f"{microseconds / 1_000_000:.2f}s"
    minutes, seconds = divmod(round(microseconds / 1_000_000), 60)
    if minutes < 100:
        return f"{minutes}m{seconds:02}s"
    return f"{minutes // 60:,}h{minutes % 60:02}m"


def cost_text(cost: float | None) -> str:
    """Return money to a hundredth of a cent, `-` when it is not known."""
    if cost is None:
        return "-"
    return f"${cost:.4f}" if cost < 10 else f"${cost:,.2f}"


def short_cost_text(cost: float | None) -> str:
    """Return money in six columns, `-` when it is not known."""
    if cost is None:
        return "-"
    if 0 < cost < 0.005:
        return "<$0.01"
    return f"${cost:.2f}" if cost < 10 else f"${cost:.1f}" if cost < 100 else f"${cost:,.0f}"


def tokens_text(number: int) -> str:
    """Return a number of tokens in six columns: `812`, `21.1k`, `3.2M`."""
    if number < 1_000:
        return str(number)
    if number < 999_950:
        return f"{number / 1_000:.1f}k"
    return f"{number / 1_000_000:,.1f}M"
