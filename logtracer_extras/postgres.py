"""Keep traces in PostgreSQL, where many machines write and read at once.

    from logtracer import Tracer
    from logtracer_extras.background import BackgroundStore
    from logtracer_extras.postgres import PostgresStore

    store = BackgroundStore(PostgresStore("postgresql://agent@db.internal/traces"))
    tracer = Tracer(storage=store)

On its own every event is one round trip to the server; behind BackgroundStore events travel in
batches, and wait out a restart of the server.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from logtracer import (
    StoreError,
    TraceGraph,
    merge_traces,
    trace_from_journal,
    trace_from_json,
    trace_to_json,
)

try:
    import psycopg
    from psycopg import sql
except ImportError as error:
    raise ImportError(
        "logtracer_extras.postgres needs psycopg: pip install 'psycopg[binary]'"
    ) from error

from .connections import Connections

__all__ = ["PostgresStore"]

T = TypeVar("T")

_SCHEMA_VERSION = 1
_CONNECT_SECONDS = 5
_TABLES = """
CREATE SCHEMA IF NOT EXISTS {schema};
CREATE TABLE IF NOT EXISTS {schema}.logtracer_version (version integer PRIMARY KEY);
CREATE TABLE IF NOT EXISTS {schema}.events (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    trace_id text NOT NULL,
    event text NOT NULL,
    line text NOT NULL,
    written timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS events_of_trace ON {schema}.events (trace_id, position);
CREATE INDEX IF NOT EXISTS traces_begun ON {schema}.events (position)
    WHERE event IN ('trace.started', 'document');
CREATE INDEX IF NOT EXISTS events_written ON {schema}.events (written);
INSERT INTO {schema}.logtracer_version VALUES ({version}) ON CONFLICT DO NOTHING;
"""
_INSERT = "INSERT INTO {schema}.events (trace_id, event, line) VALUES (%s, %s, %s)"
_SELECT = "SELECT event, line FROM {schema}.events WHERE trace_id = %s ORDER BY position"
_LIST = "SELECT trace_id FROM {schema}.events GROUP BY trace_id ORDER BY min(position)"
_DELETE = "DELETE FROM {schema}.events WHERE trace_id = %s"
_PRUNE = """
DELETE FROM {schema}.events WHERE trace_id IN (
    SELECT trace_id FROM {schema}.events GROUP BY trace_id HAVING max(written) < %s
)
"""


class PostgresStore:
    """Keep each trace as the rows of its events, in a schema made on first use.

    `dsn` is what libpq takes: a URL or `host=... dbname=...`. Raises ValueError for a schema that
    is no plain name; StoreError when the server cannot be reached or does not do as it is told.
    A connection belongs to one thread of one process, and is made anew when it breaks.
    """

    def __init__(self, dsn: str, *, schema: str = "logtracer") -> None:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", schema):
            raise ValueError(f"schema {schema!r} is not a plain name of letters, digits and _")
        self._dsn = dsn
        self._schema = schema
        self._connections = Connections(self._connect)
        self._has_tables = False

    def __repr__(self) -> str:
        """Show where, never the password."""
        try:
            parts = psycopg.conninfo.conninfo_to_dict(self._dsn)
        except psycopg.Error:
            return f"PostgresStore(..., schema={self._schema!r})"
        place = " ".join(
            f"{key}={parts[key]}" for key in ("host", "port", "dbname") if key in parts
        )
        return f"PostgresStore({place!r}, schema={self._schema!r})"

    def save(self, trace: TraceGraph) -> None:
        """Keep a trace as one document, replacing what is there."""
        row = (trace.trace_id, "document", trace_to_json(trace, indent=None))

        def replace(cursor: psycopg.Cursor) -> None:
            cursor.execute(self._sql(_DELETE), row[:1])
            cursor.execute(self._sql(_INSERT), row)

        self._run(replace)

    def load(self, trace_id: str) -> TraceGraph | None:
        """Return the trace, finished or not; None when there is none of that id."""
        if "\x00" in trace_id or not trace_id.isascii():
            return None
        rows = self._run(lambda cursor: cursor.execute(self._sql(_SELECT), [trace_id]).fetchall())
        parts = [trace_from_json(line) for event, line in rows if event == "document"]
        lines = [line for event, line in rows if event != "document"]
        parts += [trace_from_journal(lines)] if lines else []
        return merge_traces(parts) if parts else None

    def list_traces(self) -> list[str]:
        """Return the ids of all traces, oldest first."""
        rows = self._run(lambda cursor: cursor.execute(self._sql(_LIST)).fetchall())
        return [trace_id for (trace_id,) in rows]

    def write_event(self, trace_id: str, event: str, line: str) -> None:
        """Commit one event; see logtracer.StreamingBackend."""
        self.write_events([(trace_id, event, line)])

    def write_events(self, events: Sequence[tuple[str, str, str]]) -> None:
        """Commit several events at once: trace id, kind and line of each."""
        self._run(lambda cursor: cursor.executemany(self._sql(_INSERT), events))

    def prune(self, older_than: datetime) -> int:
        """Delete the traces to which nothing was added since; return the number of events."""
        return self._run(lambda cursor: cursor.execute(self._sql(_PRUNE), [older_than]).rowcount)

    def close(self) -> None:
        """Close this process's connections; others are opened when they are needed."""
        self._connections.close()

    def _run(self, action: Callable[[psycopg.Cursor], T]) -> T:
        """Do something in a transaction, on a new connection when the old one has broken."""
        try:
            try:
                return self._transact(action)
            except psycopg.OperationalError:  # the server was restarted: once more, afresh
                self._connections.drop()
                return self._transact(action)
        except psycopg.Error as problem:
            self._connections.drop()
            raise StoreError(f"{self!r}: {self._without_password(str(problem))}") from None

    def _transact(self, action: Callable[[psycopg.Cursor], T]) -> T:
        connection = self._connections.get()
        with connection.transaction(), connection.cursor() as cursor:
            return action(cursor)

    def _connect(self) -> psycopg.Connection:
        connection = psycopg.connect(self._dsn, autocommit=True, connect_timeout=_CONNECT_SECONDS)
        try:
            self._make_tables(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _make_tables(self, connection: psycopg.Connection) -> None:
        """Make what is missing, refusing tables of a newer version."""
        if self._has_tables:
            return
        with connection.transaction():
            # two processes that make the same tables at once would stumble over each other
            connection.execute("SELECT pg_advisory_xact_lock(hashtext('logtracer tables'))")
            connection.execute(self._sql(_TABLES))
            newest = "SELECT max(version) FROM {schema}.logtracer_version"
            row = connection.execute(self._sql(newest)).fetchone()
        if row is not None and row[0] > _SCHEMA_VERSION:
            raise StoreError(
                f"{self!r} has tables of version {row[0]}, this logtracer knows {_SCHEMA_VERSION};"
                " install a newer logtracer"
            )
        self._has_tables = True

    def _sql(self, text: str) -> sql.Composed:
        """Return a statement with the schema's name in it; all else is passed as parameters."""
        names = {"schema": sql.Identifier(self._schema), "version": sql.Literal(_SCHEMA_VERSION)}
        return sql.SQL(text).format(**names)

    def _without_password(self, text: str) -> str:
        try:
            password = psycopg.conninfo.conninfo_to_dict(self._dsn).get("password")
        except psycopg.Error:
            return "the connection string cannot be read"
        return text.replace(str(password), "[REDACTED]") if password else text
