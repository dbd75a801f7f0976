"""Write traces on one thread of their own, so that a slow store never holds the host up.

from logtracer import Tracer
from logtracer_extras.background import BackgroundStore
from logtracer_extras.postgres import PostgresStore

tracer = Tracer(storage=BackgroundStore(PostgresStore("postgresql://localhost/traces")))
"""

from __future__ import annotations

import atexit
import logging
import math
import os
import queue
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

from logtracer import StorageBackend, StoreError, TraceGraph

from ._streaming import as_streaming, check_id, flushed
from .listing import list_summaries
from .summaries import EVERYTHING, TraceFilter, TraceSummary

__all__ = ["BackgroundStore"]

_logger = logging.getLogger("logtracer")
_BATCH = 500  # events handed to a store at once
_EXIT_SECONDS = 5.0  # what the end of the program may wait for a store
_RETRY_SECONDS = (0.1, 0.3, 1.0, 3.0)  # between attempts at a store that cannot be reached
_PAUSE = 0.005  # seconds between looks at a full queue

_stores: weakref.WeakSet[BackgroundStore] = weakref.WeakSet()


class BackgroundStore:
    """Hand everything to `inner` on a daemon thread, which starts with the first event.

    At most `max_queue` events wait. When they do, `on_full="drop"` refuses further ones, which
    the tracer counts as dropped; `on_full="block"` waits for room. A store that raises OSError
    (StoreError is one) is tried again; what it refuses otherwise is counted in `dropped`. What
    waits when the program ends is written within five seconds, or lost and counted there.
    """

    def __init__(
        self, inner: StorageBackend, *, max_queue: int = 100_000, on_full: str = "drop"
    ) -> None:
        if on_full not in ("drop", "block"):
            raise ValueError(f"on_full {on_full!r} is not 'drop' or 'block'")
        if max_queue < 1:
            raise ValueError(f"max_queue must be at least 1, not {max_queue!r}")
        self.inner = inner
        self.dropped = 0
        self._stream: Any = as_streaming(inner)
        self._max_queue = max_queue
        self._blocks = on_full == "block"
        self._start_afresh()
        _stores.add(self)
        atexit.register(_close_at_exit, weakref.ref(self))

    def __repr__(self) -> str:
        return f"BackgroundStore({self.inner!r})"

    def save(self, trace: TraceGraph) -> None:
        """Keep a trace; returns before the store has it."""
        check_id(trace.trace_id)  # while somebody hears of it
        self._put(("save", trace))

    def load(self, trace_id: str) -> TraceGraph | None:
        """Return the trace, once what waits has been written."""
        self.flush(_EXIT_SECONDS)
        trace: TraceGraph | None = self._stream.load(trace_id)
        return trace

    def list_traces(self) -> list[str]:
        """Return the ids of all traces, once what waits has been written."""
        self.flush(_EXIT_SECONDS)
        ids: list[str] = self._stream.list_traces()
        return ids

    def list_summaries(
        self, wanted: TraceFilter = EVERYTHING, limit: int | None = None
    ) -> Iterator[TraceSummary]:
        """Yield the wanted traces, newest first, once what waits has been written."""
        self.flush(_EXIT_SECONDS)
        return list_summaries(self._stream, wanted, limit)

    def write_event(self, trace_id: str, event: str, line: str) -> None:
        """Queue one event; raises StoreError when the queue is full."""
        self._put((trace_id, event, line))

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that was given so far has been written or refused; tell whether it was."""
        until = math.inf if timeout is None else time.monotonic() + timeout
        if self._thread is not None or not self._queue.empty():
            if not self._has_thread():
                self._write(self._taken_back())
            elif not self._waited(timeout):
                return False
        return flushed(self.inner, None if timeout is None else max(0, until - time.monotonic()))

    def close(self) -> None:
        """Write what waits, at most five seconds, and stop the thread; later events are written
        at once. What was not written by then is lost, and counted.
        """
        self._closing = time.monotonic() + _EXIT_SECONDS
        self._hurries.set()
        if not self.flush(_EXIT_SECONDS):
            self._give_up()
        self._is_closed = True
        self._closing = -math.inf
        close = getattr(self.inner, "close", None)
        if callable(close):
            close()

    def _start_afresh(self) -> None:
        """Begin with an empty queue and no thread; in a forked child the parent keeps its own."""
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()  # its put may be interrupted
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._counting = threading.RLock()  # re-entrant: a signal handler may trace, too
        self._in_hand = 0  # events that the thread has taken and not yet written
        self._given_up = 0  # those of them that are counted as lost; they may be written yet
        self._is_closed = False
        self._hurries: threading.Event = threading.Event()
        self._closing = math.inf  # the moment after which nothing is tried again

    def _put(self, item: Any) -> None:
        if self._is_closed or not self._has_thread():
            self._write([*self._taken_back(), item])
            return
        while self._queue.qsize() >= self._max_queue:
            if not self._blocks:
                raise StoreError(f"the queue of {self.inner!r} is full")
            time.sleep(_PAUSE)
        self._queue.put(item)

    def _has_thread(self) -> bool:
        """Tell whether the thread runs, starting it if need be; at exit it may be too late."""
        thread = self._thread
        if thread is not None and (thread.ident is None or thread.is_alive()):
            return True
        if not self._starting.acquire(blocking=False):  # another thread, or we were interrupted
            return True
        try:
            # set before it starts: a flush in another thread must see that there is one
            self._thread = threading.Thread(target=self._work, name="logtracer", daemon=True)
            self._thread.start()
            return True
        except RuntimeError:
            self._thread = None
            return False
        finally:
            self._starting.release()

    def _waited(self, timeout: float | None) -> bool:
        """Wait for the thread to come to what is put into the queue now."""
        thread = self._thread
        if timeout is None and (thread is None or thread.ident is None):
            timeout = _EXIT_SECONDS  # it is being started, which may yet fail
        mark = _Mark()
        self._queue.put(("flush", mark))
        return mark.wait(timeout) and mark.was_reached

    def _taken_back(self) -> list[Any]:
        """Empty the queue."""
        items = []
        while True:
            try:
                items.append(self._queue.get_nowait())
            except queue.Empty:
                return items

    def _give_up(self) -> None:
        """Count what waits as lost, and what the thread is about to write, until it has."""
        items = self._taken_back()
        for mark in (item[1] for item in items if item[0] == "flush" and len(item) == 2):
            mark.set()  # without having been reached
        with self._counting:
            count = _events_in(items) + self._in_hand - self._given_up
            self._given_up = self._in_hand
            self.dropped += count
        if count:
            name = type(self.inner).__name__
            _logger.warning("%s: closed before it took all events; %d are lost", name, count)

    def _work(self) -> None:
        while True:
            batch = [self._queue.get()]
            while len(batch) < _BATCH and not self._queue.empty():
                batch.append(self._queue.get())
            self._in_hand = _events_in(batch)
            self._write(batch)

    def _write(self, batch: list[Any]) -> None:
        """Write a batch in order: events together, saves and flushes as they come."""
        events: list[tuple[str, str, str]] = []
        for item in batch:
            if len(item) == 3:
                events.append(item)
                continue
            self._write_events(events)
            events = []
            if item[0] == "flush":
                item[1].was_reached = True
                item[1].set()
            else:
                self._persist(1, self._stream.save, item[1])
        self._write_events(events)

    def _write_events(self, events: list[tuple[str, str, str]]) -> None:
        together = getattr(self._stream, "write_events", None)
        if together is not None and events:
            self._persist(len(events), together, events)
            return
        self._write_one_by_one(events)

    def _persist(self, count: int, write: Any, *arguments: Any) -> None:
        """Call a store until it takes what it is given; give up when the program ends."""
        attempt = 0
        while True:
            try:
                write(*arguments)
                self._settle(count, 0)
                return
            except OSError as problem:
                if self._is_over() or not self._is_worker():
                    self._lose(count, problem)
                    return
                if self._hurries.wait(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)]):
                    time.sleep(_RETRY_SECONDS[0])
                attempt += 1
            except BaseException as problem:  # the store will never take it
                if not (isinstance(problem, Exception) or self._is_worker()):
                    raise  # a Ctrl-C in the host's own thread
                if count == 1:
                    self._lose(count, problem)
                else:  # but perhaps all the others that were given together
                    self._write_one_by_one(*arguments)
                return

    def _write_one_by_one(self, events: list[tuple[str, str, str]]) -> None:
        for event in events:
            self._persist(1, self._stream.write_event, *event)

    def _is_over(self) -> bool:
        return time.monotonic() > self._closing

    def _is_worker(self) -> bool:
        return threading.current_thread() is self._thread

    def _lose(self, count: int, problem: BaseException) -> None:
        if not self.dropped:
            _logger.warning("%s: events are lost: %s", type(self.inner).__name__, problem)
        self._settle(count, count)

    def _settle(self, count: int, lost: int) -> None:
        """Count events that are done with; some may have been given up while they were written."""
        with self._counting:
            given_up = 0
            if self._is_worker():
                self._in_hand -= count
                given_up = min(count, self._given_up)
                self._given_up -= given_up
            self.dropped += lost - given_up


class _Mark(threading.Event):
    """A place in the queue that somebody waits for."""

    was_reached = False


def _events_in(items: list[Any]) -> int:
    return sum(len(item) == 3 or item[0] == "save" for item in items)


def _close_at_exit(reference: weakref.ref[BackgroundStore]) -> None:
    store = reference()
    if store is not None:
        store.close()


def _after_fork() -> None:
    for store in list(_stores):
        store._start_afresh()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
