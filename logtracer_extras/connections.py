"""Hold a database connection for each thread of each process."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

__all__ = ["Connections"]

C = TypeVar("C", bound=Any)


class Connections(Generic[C]):
    """Give every thread a connection of its own, and a forked child new ones.

    A thread that begins when another has ended may get the connection that one had. All are
    closed with their owner or at exit, but never those that were open before a fork: closing
    them in the child would end the parent's session.
    """

    def __init__(self, connect: Callable[[], C]) -> None:
        self._connect = connect
        self._open: dict[tuple[int, int], C] = {}
        weakref.finalize(self, _close_all, self._open)

    def get(self) -> C:
        """Return this thread's connection, made when there is none."""
        key = os.getpid(), threading.get_ident()
        connection = self._open.get(key)
        if connection is None:
            connection = self._open[key] = self._connect()
        return connection

    def drop(self) -> None:
        """Close this thread's connection, if it has one."""
        connection = self._open.pop((os.getpid(), threading.get_ident()), None)
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Close this process's connections; others are opened when they are needed."""
        _close_all(self._open)


def _close_all(connections: dict[tuple[int, int], Any]) -> None:
    for key in list(connections):
        if key[0] == os.getpid():
            connections.pop(key).close()
