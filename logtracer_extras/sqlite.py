"""Keep traces in one SQLite file that many processes and threads may write and read at once.

    from logtracer import Tracer
    from logtracer_extras.sqlite import SQLiteStore

    tracer = Tracer(storage=SQLiteStore("traces.db"))

Every event is committed as it happens (write-ahead log, synchronous=NORMAL): a killed process
loses nothing it was told; only a power failure may cost the last moments.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence

from logtracer import (
    StoreError,
    TraceGraph,
    merge_traces,
    trace_from_journal,
    trace_from_json,
    trace_to_json,
)

from .connections import Connections

__all__ = ["SQLiteStore"]

_SCHEMA_VERSION = 1
_BUSY_SECONDS = 2.0  # how long a host may wait for another writer before its event is dropped
_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    position INTEGER PRIMARY KEY,
    trace_id TEXT NOT NULL,
    event TEXT NOT NULL,
    line TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_of_trace ON events (trace_id, position);
CREATE INDEX IF NOT EXISTS traces_started ON events (position) WHERE event = 'trace.started';
"""


class SQLiteStore:
    """Keep each trace as the rows of its events.

    Raises StoreError when the file cannot be opened, is no SQLite database, or was written by a
    newer version. A connection belongs to one thread of one process; a forked child opens its own.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(os.fspath(path))
        self._connections = Connections(self._open)
        if not os.path.exists(self.path):  # readable by its owner only, from the first byte
            try:
                os.makedirs(os.path.dirname(self.path), 0o700, exist_ok=True)
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            except OSError as error:
                raise StoreError(f"cannot keep traces in {self.path}: {error}") from None
        try:
            self._migrate(self._connections.get())
        except sqlite3.Error as error:
            raise StoreError(f"cannot keep traces in {self.path}: {error}") from None

    def __repr__(self) -> str:
        return f"SQLiteStore({self.path!r})"

    def __reduce__(self) -> tuple[type[SQLiteStore], tuple[str]]:
        return type(self), (self.path,)

    def save(self, trace: TraceGraph) -> None:
        """Keep a trace as one document, replacing what is there."""
        row = (trace.trace_id, "document", trace_to_json(trace, indent=None))
        connection = self._connections.get()
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DELETE FROM events WHERE trace_id = ?", row[:1])
            connection.execute(_INSERT, row)

    def load(self, trace_id: str) -> TraceGraph | None:
        """Return the trace, finished or not; None when there is none of that id."""
        query = "SELECT event, line FROM events WHERE trace_id = ? ORDER BY position"
        try:
            rows = self._connections.get().execute(query, (trace_id,)).fetchall()
        except (UnicodeEncodeError, ValueError):  # an id that no database could hold
            return None
        parts = [trace_from_json(line) for event, line in rows if event == "document"]
        lines = [line for event, line in rows if event != "document"]
        parts += [trace_from_journal(lines)] if lines else []
        return merge_traces(parts) if parts else None

    def list_traces(self) -> list[str]:
        """Return the ids of all traces, oldest first."""
        query = "SELECT trace_id FROM events GROUP BY trace_id ORDER BY min(position)"
        return [trace_id for (trace_id,) in self._connections.get().execute(query)]

    def write_event(self, trace_id: str, event: str, line: str) -> None:
        """Commit one event; see logtracer.StreamingBackend."""
        self._connections.get().execute(_INSERT, (trace_id, event, line))

    def write_events(self, events: Sequence[tuple[str, str, str]]) -> None:
        """Commit several events at once: trace id, kind and line of each."""
        connection = self._connections.get()
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_INSERT, events)

    def delete(self, trace_ids: Iterable[str]) -> None:
        """Remove traces."""
        connection = self._connections.get()
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "DELETE FROM events WHERE trace_id = ?", [(trace_id,) for trace_id in trace_ids]
            )

    def close(self) -> None:
        """Close this process's connections; others are opened when they are needed."""
        self._connections.close()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,  # a thread that has ended cannot close its own
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        """Bring the file to this version's tables, refusing a newer one."""
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > _SCHEMA_VERSION:
            raise StoreError(
                f"{self.path} has tables of version {version}, this logtracer knows"
                f" {_SCHEMA_VERSION}; install a newer logtracer"
            )
        if version < _SCHEMA_VERSION:
            connection.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;"
            )


_INSERT = "INSERT INTO events (trace_id, event, line) VALUES (?, ?, ?)"
