"""Show a run while it goes on, until it ends or the user quits: `logtracer watch`.

    from logtracer_extras.watch_loop import WatchLoop

    WatchLoop(Follower("traces/7f3a9c21.jsonl"), screen).by_line()

Screen and live screen are those of `logtracer_cli`: they escape, colour and write.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from typing import Any, Protocol

from ..analysis.tokens import PriceTable
from ._columns import Line, Pen
from ._progress import Happening, Progress, event_line, screen_lines

__all__ = ["WatchLoop"]

_POLL = 0.25  # seconds between two looks for events, and between two drawings
_QUIET = 3.0  # seconds without an event until it is asked whether the process still lives
_RATE_WINDOW = 12  # looks over which the rate of nodes is taken


class _Follower(Protocol):
    def poll(self) -> Iterator[dict[str, Any]]:
        """Yield the events since the last poll."""

    def is_abandoned(self) -> bool:
        """Tell whether nobody will end the run any more."""


class _Style(Pen, Protocol):
    def plain(self, text: str) -> str:
        """Return a text as it is written, escaped."""


class _Screen(Protocol):
    @property
    def style(self) -> _Style:
        """How to draw."""

    def show(self, lines: Iterable[Line]) -> None:
        """Write lines."""

    def flush(self) -> None:
        """Let what was written be seen."""


class _Live(AbstractContextManager[Any], Protocol):
    @property
    def height(self) -> int:
        """How many lines there are now."""

    def draw(self, lines: Iterable[Line]) -> None:
        """Draw lines in place of those before."""

    def key(self, seconds: float) -> str:
        """Wait for a key."""


class WatchLoop:
    """One run that is followed."""

    def __init__(
        self,
        follower: _Follower,
        screen: _Screen,
        prices: PriceTable | None = None,
        quiet: float = _QUIET,
        look: float = _POLL,
    ) -> None:
        self._follower = follower
        self._events = follower.poll()
        self._look = look  # seconds after which what was read so far is drawn
        self._is_behind = False
        self._progress = Progress(prices)
        self._screen = screen
        self._quiet = quiet
        self._last_event = time.monotonic()

    def by_line(self) -> None:
        """Print one line per event until the run ends."""
        while True:
            happened = self._news()
            self._screen.show(event_line(item, self._screen.style) for item in happened)
            self._screen.flush()
            if self._is_over():
                return
            time.sleep(self._pause())

    def on_screen(
        self,
        live: _Live,
        choose_style: Callable[[], _Style],
        open_page: Callable[[], object] | None = None,
    ) -> None:
        """Draw the run in place until it ends or the user presses q; the style may change.

        `open_page` shows the run in the browser, where that is possible; it is called once.
        """
        only_errors, is_paused, key = False, False, ""
        seen: deque[tuple[float, int]] = deque(maxlen=_RATE_WINDOW)
        with live:
            while key != "q":
                self._news()
                if self._is_behind:  # how fast the past is read is not how fast the run goes
                    seen.clear()
                seen.append((time.monotonic(), self._progress.nodes))
                if key or not is_paused:
                    lines = self._drawn(seen, choose_style(), live.height, only_errors)
                    keys = _keys(only_errors, is_paused) + "   v open in browser" * bool(open_page)
                    live.draw([*lines, [], [(keys, "dim")]])
                key = "q" if self._is_over() else live.key(self._pause())
                only_errors ^= key == "e"
                is_paused ^= key == " "
                if key == "v" and open_page is not None:
                    open_page()
                    open_page = None

    def _news(self) -> list[Happening]:
        """Take what happened since the last look; no event is left out, drawn or not.

        Of a long run that was joined late it takes some at a time, so that the screen fills soon.
        """
        happened = []
        until = time.monotonic() + self._look
        self._is_behind = True
        for event in self._events:
            happened.append(self._progress.take(event))
            if time.monotonic() >= until:
                break
        else:
            self._is_behind, self._events = False, self._follower.poll()
        if happened:
            self._last_event = time.monotonic()
        return [item for item in happened if item is not None]

    def _pause(self) -> float:
        return 0.0 if self._is_behind else _POLL

    def _is_over(self) -> bool:
        if self._is_behind:  # a process that joined may have written more than the end of the run
            return False
        if self._progress.has_ended:
            return True
        is_quiet = time.monotonic() - self._last_event >= self._quiet
        return is_quiet and self._follower.is_abandoned()

    def _drawn(
        self, seen: deque[tuple[float, int]], style: _Style, height: int, only_errors: bool
    ) -> Iterator[Line]:
        (began, nodes_then), (now, nodes_now) = seen[0], seen[-1]
        rate = (nodes_now - nodes_then) / max(now - began, _POLL)
        clock = datetime.now(timezone.utc)
        lines = screen_lines(
            self._progress, clock, rate, style, only_errors=only_errors, height=height
        )
        yield from ([(style.plain(text), role) for text, role in line] for line in lines)


def _keys(only_errors: bool, is_paused: bool) -> str:
    """Return what the keys do now."""
    events = "all events" if only_errors else "errors only"
    return f"q quit   space {'go on' if is_paused else 'pause'}   e {events}"
