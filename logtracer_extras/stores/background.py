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

from ._streaming import as_streaming, check_id
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
    waits when the program ends is written within five seconds, or lost.
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
        """Wait until all that was given so far has been written; tell whether it was."""
        thread = self._thread
        if thread is None and self._queue.empty():
            return True
        if thread is not None and thread.ident is not None and not thread.is_alive():
            return True
        if thread is None and timeout is None:  # it is being started, which may yet fail
            timeout = _EXIT_SECONDS
        written = threading.Event()
        self._queue.put(("flush", written))
        return written.wait(timeout)

    def close(self) -> None:
        """Write what waits, at most five seconds, and stop the thread; later events are written
        at once.
        """
        self._closing = time.monotonic() + _EXIT_SECONDS
        if not self.flush(_EXIT_SECONDS):
            name = type(self.inner).__name__
            _logger.warning("%s: closed before it took all events; it has until the end", name)
        self._is_closed = True
        close = getattr(self.inner, "close", None)
        if callable(close):
            close()

    def _start_afresh(self) -> None:
        """Begin with an empty queue and no thread; in a forked child the parent keeps its own."""
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()  # its put may be interrupted
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._is_closed = False
        self._closing = math.inf  # the moment after which nothing is tried again

    def _put(self, item: Any) -> None:
        if self._is_closed or not self._has_thread():
            self._write([item])
            return
        while self._queue.qsize() >= self._max_queue:
            if not self._blocks:
                raise StoreError(f"the queue of {self.inner!r} is full")
            time.sleep(_PAUSE)
        self._queue.put(item)

    def _has_thread(self) -> bool:
        """Tell whether the thread runs, starting it if need be; at exit it may be too late."""
        if self._thread is not None:
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

    def _work(self) -> None:
        while True:
            batch = [self._queue.get()]
            while len(batch) < _BATCH and not self._queue.empty():
                batch.append(self._queue.get())
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
                return
            except OSError as problem:
                if self._is_over() or self._thread is None:
                    self._lose(count, problem)
                    return
                time.sleep(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)])
                attempt += 1
            except Exception as problem:  # the store will never take it
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

    def _lose(self, count: int, problem: Exception) -> None:
        if not self.dropped:
            _logger.warning("%s: events are lost: %s", type(self.inner).__name__, problem)
        self.dropped += count


def _close_at_exit(reference: weakref.ref[BackgroundStore]) -> None:
    store = reference()
    if store is not None:
        store.close()


def _after_fork() -> None:
    for store in list(_stores):
        store._start_afresh()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
