"""Hold a database connection for each thread of each process, and forks while one is used."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

__all__ = ["Connections", "ForkGate"]

C = TypeVar("C", bound=Any)

_FORK_SECONDS = 5.0  # how long a fork may wait for calls that are under way, and they for it


class Connections(Generic[C]):
    """Give every thread a connection of its own, and a forked child new ones.

    A thread that begins when another has ended may get the connection that one had. All are
    closed with their owner or at exit, but never those that were open before a fork: closing
    them in the child would end the parent's session.
    """

    def __init__(self, connect: Callable[[], C]) -> None:
        self._connect = connect
        self._idle: dict[_Key, list[C]] = {}  # more than one where signals interrupted `lent`
        self._used: dict[_Key, C] = {}
        weakref.finalize(self, _close_all, self._idle, self._used)

    @contextlib.contextmanager
    def lent(self, level: int = 0) -> Iterator[C]:
        """Give this thread's connection, made when there is none; for each level another.

        A call that interrupts another one of its level gets the same. While it is lent no other
        thread closes it, nor does the end of the program: both would crash the process.
        """
        key = os.getpid(), threading.get_ident(), level
        if key in self._used:
            yield self._used[key]
            return
        idle = self._idle.setdefault(key, [])
        connection: C = _taken(idle) or self._connect()
        self._used[key] = connection
        try:
            yield connection
        finally:
            if self._used.pop(key, None) is connection:  # it was not dropped
                idle.append(connection)

    def drop(self, level: int = 0) -> None:
        """Close the connection that is lent to this thread, if there is one."""
        connection = self._used.pop((os.getpid(), threading.get_ident(), level), None)
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Close what this process does not use; others are opened when they are needed."""
        _close_all(self._idle, {})


_Key = tuple[int, int, int]  # process, thread, level
_inherited: list[Any] = []  # connections of a parent process: deleting one would close it, too


def _taken(idle: list[Any]) -> Any:
    """Take the last of what other threads may take at the same time, None when there is none."""
    try:
        return idle.pop()
    except IndexError:
        return None


def _close_all(connections: dict[_Key, list[Any]], used: dict[_Key, Any]) -> None:
    _inherited.extend(used.values())
    for (process_id, _, _), idle in list(connections.items()):
        while connection := _taken(idle):
            if process_id == os.getpid():
                connection.close()
            else:
                _inherited.append(connection)


class ForkGate:
    """Lets calls into a library run side by side, and makes a fork wait until none is under way.

    What locks of its own the library holds for another thread while the process forks would be
    locked in the child for ever. Keep one gate for all that shares such locks.
    """

    def __init__(self) -> None:
        self._start_afresh()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._close,
                after_in_parent=self._open,
                after_in_child=self._start_afresh,
            )

    def __enter__(self) -> None:
        here = threading.get_ident()
        with self._changed:
            if here not in self._inside:
                self._changed.wait_for(lambda: self._forking in (None, here), _FORK_SECONDS)
            self._inside[here] += 1

    def __exit__(self, *error: object) -> None:
        here = threading.get_ident()
        with self._changed:
            self._inside[here] -= 1
            if not self._inside[here]:
                self._inside.pop(here, None)  # a signal handler may have come in between
                self._changed.notify_all()

    def _start_afresh(self) -> None:
        self._changed = threading.Condition()  # re-entrant: a signal handler may trace, too
        self._inside: Counter[int] = Counter()  # calls under way, by thread
        self._forking: int | None = None  # the thread that forks; its signal handlers may enter

    def _close(self) -> None:
        with self._changed:
            self._forking = threading.get_ident()
            self._changed.wait_for(lambda: not self._others(), _FORK_SECONDS)

    def _others(self) -> set[int]:
        return self._inside.keys() - {threading.get_ident()}

    def _open(self) -> None:
        with self._changed:
            self._forking = None
            self._changed.notify_all()
