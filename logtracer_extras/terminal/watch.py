"""`logtracer watch`: follow a trace while it is recorded, until it ends or the user quits."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Protocol

import logtracer_cli
from logtracer import load_trace
from logtracer_cli import (
    COLOURS,
    CommandError,
    Line,
    Pen,
    Screen,
    Stored,
    add_prices,
    choose_pen,
    complain,
    locate,
    prices_of,
    stored_traces,
    summary_lines,
    trace_id_of,
    vendored,
    without_password,
)

from ..analysis import measure
from ..analysis.tokens import PriceTable
from ..following import Follower, StoreFollower
from ._progress import Happening, Progress, event_line, screen_lines

__all__ = ["add_arguments", "run"]

if TYPE_CHECKING:
    from ._live_screen import LiveScreen


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "trace",
        nargs="?",
        help="a file, latest, or the start of a trace id in --store; else the newest open one",
    )
    add_prices(parser)
    parser.set_defaults(no_pager=True)


def run(options: argparse.Namespace, screen: Screen) -> int:
    """Run the command and return its exit code."""
    prices = prices_of(options)
    found = _to_watch(options)
    follower: Follower | StoreFollower | None = None
    if found.path.endswith(".jsonl"):
        follower = Follower(found.path)
    elif not found.path:
        follower = StoreFollower(found.load)
    if follower is not None:
        with contextlib.closing(follower):
            loop = WatchLoop(follower, screen, prices)
            live = _live_screen(screen)
            if live is None:
                loop.by_line()
            else:
                style_now = functools.partial(choose_pen, options, sys.stdout)
                open_page = functools.partial(open_live_page, found.path) if found.path else None
                loop.on_screen(live, style_now, open_page)
                screen.pen = choose_pen(options, sys.stdout)  # the terminal may have changed
    document = found.path.removesuffix("l")  # what a journal becomes when its run ends
    trace = load_trace(document) if os.path.exists(document) else found.load()
    measured = measure(trace, prices) if prices else None
    screen.show(summary_lines(trace, screen.pen, measured))
    return 0


_POLL = 0.25  # seconds between two looks for events, and between two drawings

_QUIET = 3.0  # seconds without an event until it is asked whether the process still lives

_RATE_WINDOW = 12  # looks over which the rate of nodes is taken


class _Follower(Protocol):
    def poll(self) -> Iterator[dict[str, Any]]:
        """Yield the events since the last poll."""

    def is_abandoned(self) -> bool:
        """Tell whether nobody will end the run any more."""


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
        screen: Screen,
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
            self._screen.show(event_line(item, self._screen.pen) for item in happened)
            self._screen.flush()
            if self._is_over():
                return
            time.sleep(self._pause())

    def on_screen(
        self,
        live: _Live,
        choose_style: Callable[[], Pen],
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
        self, seen: deque[tuple[float, int]], style: Pen, height: int, only_errors: bool
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


_POLL = 0.25  # seconds between two looks for a run to start


def open_live_page(path: str) -> None:
    """Show a run in the browser, from a process that outlives the watch and ends by itself."""
    import subprocess  # for one key

    with open(os.devnull, "r+b") as nowhere:  # the terminal is the watch's
        subprocess.Popen(
            [sys.executable, logtracer_cli.__file__, "view", "--live", path],
            stdin=nowhere,
            stdout=nowhere,
            stderr=nowhere,
            start_new_session=True,  # Ctrl-C in the watch is not meant for it
        )


def _to_watch(options: argparse.Namespace) -> Stored:
    """Return the trace that is named, or the newest that runs; wait for one where none does."""
    if options.trace is not None:
        found = locate(options.trace, options.store)
        if isinstance(found, Stored):
            return found
        return Stored(trace_id_of(found), found, functools.partial(load_trace, found))
    is_waiting = False
    while True:
        is_there = "://" in options.store or os.path.lexists(options.store)
        for found in stored_traces(options.store) if is_there else ():
            if not found.path.endswith(".json"):
                return found
        if not is_waiting:
            place = without_password(options.store)
            complain(f"waiting for a trace to start in {place} (Ctrl-C stops)")
        is_waiting = True
        time.sleep(_POLL)


def _live_screen(screen: Screen) -> LiveScreen | None:
    """Return the screen to draw on, None where lines are to be printed one after the other."""
    if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return None
    try:
        with vendored():
            from ._live_screen import LiveScreen
    except CommandError as error:  # without rich
        complain(f"{error}; printing events line by line")
        return None
    return LiveScreen(COLOURS if screen.pen.colours else {})
