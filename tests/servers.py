"""Programs that a test starts, talks to over the network, and stops."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    command: list[str], port: int, folder: Path, patience: float, **environment: str
) -> Iterator[None]:
    """Start a program in a folder, wait until it listens, and end it with all that it started."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=log,
            stderr=log,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    try:
        until(lambda: process.poll() is not None or _listens(port), patience)
        assert process.poll() is None, (folder / "log").read_text(errors="replace")[-2_000:]
        yield
    finally:
        with suppress(ProcessLookupError):  # it ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def until(ask: Callable[[], Found], patience: float) -> Found:
    """Ask again and again until the answer is yes; return it."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        answer = ask()
        if answer:
            return answer
        threading.Event().wait(0.1)
    raise AssertionError(f"no answer within {patience:.0f} s")
