"""A screen that is drawn over and over, and the keys pressed meanwhile: for `logtracer watch`.

    with LiveScreen(colours) as live:
        live.draw(lines)
        key = live.key()

Needs rich, which knows how to draw in place on every terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

from logtracer_cli import Line

try:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text
except ImportError as error:
    raise ImportError("a live screen needs rich: pip install rich") from error

__all__ = ["LiveScreen"]


class LiveScreen:
    """Draws lines in place of those drawn before, and reads single keys, until it is left."""

    def __init__(self, roles: Mapping[str, str]) -> None:
        self._roles = roles
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._live = Live(console=self._console, auto_refresh=False, screen=True)
        self._before: Any = None  # how the keyboard was set

    def __enter__(self) -> LiveScreen:
        self._before = _listen()
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()
        _stop_listening(self._before)

    @property
    def height(self) -> int:
        """How many lines the terminal has now."""
        return self._console.size.height

    def draw(self, lines: Iterable[Line]) -> None:
        """Draw the lines; texts must be printable already."""
        text = Text(no_wrap=True, overflow="crop")
        for line in lines:
            for piece, role in line:
                text.append(piece, style=self._roles.get(role, ""))
            text.append("\n")
        self._live.update(text, refresh=True)

    def key(self, seconds: float) -> str:
        """Wait so long for a key and return it, "" when none was pressed."""
        return _key(seconds)


if sys.platform == "win32":
    import msvcrt
    import time

    def _listen() -> Any:
        return None

    def _stop_listening(before: Any) -> None:
        return None

    def _key(seconds: float) -> str:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if msvcrt.kbhit():
                return msvcrt.getwch()
            time.sleep(0.02)
        return ""

else:
    import select
    import termios
    import time
    import tty

    def _listen() -> Any:
        """Have keys come one by one and unseen; nothing to do when stdin is no terminal."""
        if not sys.stdin.isatty():
            return None
        before = termios.tcgetattr(sys.stdin)
        tty.setcbreak(sys.stdin)
        return before

    def _stop_listening(before: Any) -> None:
        if before is not None:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)

    def _key(seconds: float) -> str:
        if not sys.stdin.isatty():
            time.sleep(seconds)
            return ""
        ready, _, _ = select.select([sys.stdin], [], [], seconds)
        return os.read(sys.stdin.fileno(), 1).decode("ascii", "replace") if ready else ""
