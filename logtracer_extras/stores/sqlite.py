"""Keep traces in one SQLite file that many processes and threads may write and read at once.

    from logtracer import Tracer
    from logtracer_extras.sqlite import SQLiteStore

    tracer = Tracer(storage=SQLiteStore("traces.db"))

Every event is committed as it happens (write-ahead log, synchronous=NORMAL): a killed process
loses nothing it was told; only a power failure may cost the last moments.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from logtracer import (
    StoreError,
    TraceGraph,
    merge_traces,
    trace_from_journal,
    trace_from_json,
    trace_to_json,
)

from . import _trace_table as trace_table
from ._connections import Connections, ForkGate
from ._streaming import check_id
from .retention import prune
from .summaries import EVERYTHING, TraceFilter, TraceSummary

__all__ = ["SQLiteStore"]

_SCHEMA_VERSION = 2  # 2 added the table of traces, and dropped what it made useless
_BUSY_SECONDS = 2.0  # how long a host may wait for another writer before its event is dropped
_IMPATIENT_SECONDS = 0.01  # the same, once it has waited in vain
_PAUSE = 0.005  # seconds between two attempts to open a file that others open
_NAMES = {"traces": "traces", "events": "events", "text": "TEXT"}
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS events (
    position INTEGER PRIMARY KEY,
    trace_id TEXT NOT NULL,
    event TEXT NOT NULL,
    line TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_of_trace ON events (trace_id, position);
DROP INDEX IF EXISTS traces_started;
{trace_table.TABLE.format(**_NAMES)}
"""


_gate = ForkGate()  # SQLite has locks that all connections of a process share


class _Connection(sqlite3.Connection):
    """A connection that knows its file, and how long it waits for other writers."""

    _seconds = 0.0
    file: tuple[int, int] | None = None  # device and number
    has_tables = False  # those of this version

    def wait_for_others(self, seconds: float) -> None:
        """Change how long this connection waits."""
        if seconds != self._seconds:
            self.execute(f"PRAGMA busy_timeout = {int(seconds * 1_000)}")
            self._seconds = seconds

    def close(self) -> None:
        """Close it, whoever asks: a store of which nothing is left does so in any thread."""
        with _gate:
            super().close()


class SQLiteStore:
    """Keep each trace as the rows of its events.

    Raises StoreError when the file cannot be opened, is no SQLite database, or was written by a
    newer version. A connection belongs to one thread of one process; a forked child opens its own.
    A file that is made here is for its owner; with `shared` for its group as well, to write to:
    SQLite lets nobody read who may not write.
    """

    def __init__(self, path: str | os.PathLike[str], *, shared: bool = False) -> None:
        self.path = os.path.abspath(os.fspath(path))
        self.shared = shared
        self._connections = Connections(self._open)
        self._begun: set[str] = set()  # the traces we write that are known to have a row
        with self._connected():
            pass

    def __repr__(self) -> str:
        return f"SQLiteStore({self.path!r})"

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return functools.partial(type(self), shared=self.shared), (self.path,)

    def save(self, trace: TraceGraph) -> None:
        """Keep a trace as one document, replacing what is there."""
        check_id(trace.trace_id)
        document = trace_to_json(trace, indent=None)
        with self._transaction() as execute:
            trace_table.delete(execute, [trace.trace_id])
            execute(_INSERT, (trace.trace_id, "document", document))
            trace_table.keep(execute, trace)

    def load(self, trace_id: str) -> TraceGraph | None:
        """Return the trace, finished or not; None when there is none of that id."""
        query = "SELECT event, line FROM events WHERE trace_id = ? ORDER BY position"
        try:
            rows = self._execute(query, (trace_id,))
        except (UnicodeEncodeError, ValueError):  # an id that no database could hold
            return None
        parts = [trace_from_json(line) for event, line in rows if event == "document"]
        lines = [line for event, line in rows if event != "document"]
        parts += [trace_from_journal(lines, trace_id)] if lines else []
        return merge_traces(parts) if parts else None

    def list_traces(self) -> list[str]:
        """Return the ids of all traces, oldest first."""
        rows = self._execute(trace_table.IDS)
        return [trace_id for (trace_id,) in rows]

    def list_summaries(
        self, wanted: TraceFilter = EVERYTHING, limit: int | None = None
    ) -> Iterator[TraceSummary]:
        """Yield the wanted traces, newest first; see logtracer_extras.listing.ListingBackend."""
        return trace_table.select(self._execute, self.load, wanted, limit)

    def write_event(self, trace_id: str, event: str, line: str) -> None:
        """Commit one event; see logtracer.StreamingBackend."""
        if trace_id in self._begun and event not in trace_table.TURNS:
            with self._connected() as connection:
                connection.execute(_INSERT, (trace_id, event, line))
        else:
            self.write_events([(trace_id, event, line)])

    def write_events(self, events: Sequence[tuple[str, str, str]]) -> None:
        """Commit several events at once: trace id, kind and line of each."""
        with self._transaction() as execute:
            with self._connections.lent() as connection:
                connection.executemany(_INSERT, events)
            started, ended = trace_table.follow(execute, events, self._begun, self.load)
        self._begun.update(started)
        self._begun.difference_update(ended)

    def delete(self, trace_ids: Iterable[str]) -> None:
        """Remove traces."""
        with self._transaction() as execute:
            trace_table.delete(execute, trace_ids)

    def prune(self, older_than: datetime) -> int:
        """Remove the traces to which nothing was added since, none that may still run.

        Returns how many; logtracer_extras.retention.prune knows more conditions.
        """
        return len(prune(self, older_than=older_than))

    def close(self) -> None:
        """Close this process's connections; others are opened when they are needed."""
        self._connections.close()

    def _execute(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._connected() as connection:
            return connection.execute(statement.format(**_NAMES), values).fetchall()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[trace_table.Execute]:
        with self._connected() as connection:
            if connection.in_transaction:  # a signal handler that traces interrupted another one
                yield self._execute
                return
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                yield self._execute

    @contextlib.contextmanager
    def _connected(self) -> Iterator[_Connection]:
        """Give this thread's connection; what SQLite raises becomes a StoreError.

        Once a thread has waited in vain for another writer, it waits no more until it gets
        through: a file that stays locked holds the host up once, not with every event.
        """
        with _gate, self._connections.lent() as connection:
            if connection.file != _file_at(self.path):  # what is written there, nobody can read
                self._connections.drop()
                raise StoreError(f"{self.path}: the file was removed or replaced")
            try:
                if not connection.has_tables:
                    self._migrate(connection)
                yield connection
            except sqlite3.OperationalError as error:
                if _is_for_good(error) and not connection.in_transaction:
                    self._connections.drop()  # the next call opens the file anew
                else:
                    connection.wait_for_others(_IMPATIENT_SECONDS)
                raise StoreError(f"{self.path}: {error}") from None
            except sqlite3.DatabaseError as error:
                raise StoreError(f"{self.path}: {error}") from None
            connection.wait_for_others(_BUSY_SECONDS)

    def _open(self) -> _Connection:
        try:
            if not os.path.exists(self.path):  # readable by whom it may be from the first byte
                _create(self.path, shared=self.shared)
            connection = sqlite3.connect(
                self.path,
                timeout=_BUSY_SECONDS,
                factory=_Connection,
                isolation_level=None,
                check_same_thread=False,  # a thread that has ended cannot close its own
            )
            try:
                _switch_to_wal(connection)
                connection.execute("PRAGMA synchronous = NORMAL")
                (version,) = connection.execute("PRAGMA user_version").fetchone()
            except sqlite3.Error:
                connection.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"cannot keep traces in {self.path}: {error}") from None
        connection.file = _file_at(self.path)
        connection.has_tables = version == _SCHEMA_VERSION
        return connection

    def _migrate(self, connection: _Connection) -> None:
        """Bring the file to this version's tables, refusing a newer one."""
        self._begun.clear()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > _SCHEMA_VERSION:
            raise StoreError(
                f"{self.path} has tables of version {version}, this logtracer knows"
                f" {_SCHEMA_VERSION}; install a newer logtracer"
            )
        connection.has_tables = True  # for the calls within
        try:
            with self._transaction() as execute:
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                trace_table.fill(execute, self.load)
                connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        except BaseException:
            connection.has_tables = False
            raise


def _create(path: str, *, shared: bool) -> None:
    """Make an empty file, and the way to it, for the owner or for the group, too."""
    directory = os.path.dirname(path)
    is_new = not os.path.isdir(directory)
    os.makedirs(directory, 0o700, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    if shared:  # whatever the umask says; SQLite gives its other files the mode of this one
        os.chmod(path, 0o660)
        if is_new:
            os.chmod(directory, 0o770)


def _file_at(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_for_good(error: sqlite3.OperationalError) -> bool:
    """Tell whether a connection will fail again: it could only be opened to read, or it broke."""
    return re.search("readonly|unable to open|disk I/O", str(error)) is not None


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Wait ourselves: SQLite refuses this at once while another process does the same."""
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(_PAUSE)


_INSERT = "INSERT INTO events (trace_id, event, line) VALUES (?, ?, ?)"
