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

import contextlib
import functools
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar

from logtracer import (
    LogtracerError,
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
    from psycopg.conninfo import conninfo_to_dict, make_conninfo
except ImportError as error:
    raise ImportError(
        "logtracer_extras.postgres needs psycopg: pip install 'psycopg[binary]'"
    ) from error

from . import _trace_table as trace_table
from ._connections import Connections
from ._streaming import check_id
from .retention import prune
from .summaries import EVERYTHING, TraceFilter, TraceSummary

__all__ = ["PostgresStore"]

T = TypeVar("T")

_SCHEMA_VERSION = 2  # 2 added the table of traces, and dropped what it made useless
_OPTIONS = {  # of libpq, where the user's string does not say otherwise
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,  # milliseconds; without, a lost network holds a call for minutes
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
_PATIENCE = "SET lock_timeout = '2s'"  # as long as a host waits for another writer of SQLite
_NO_TABLES = {"3F000", "42P01"}  # no such schema, no such table
_LOST = {None, "57P01", "57P02", "57P03"}  # what is said when a connection or server ends
_REST = 4  # no new attempt to connect for so many times as long as the last one took in vain
_LEVELS = 2  # calls of one thread at once: one, and one that interrupted it
_TABLES = f"""
CREATE SCHEMA IF NOT EXISTS {{schema}};
CREATE TABLE IF NOT EXISTS {{schema}}.logtracer_version (version integer PRIMARY KEY);
CREATE TABLE IF NOT EXISTS {{events}} (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    trace_id text NOT NULL,
    event text NOT NULL,
    line text NOT NULL
);
CREATE INDEX IF NOT EXISTS events_of_trace ON {{events}} (trace_id, position);
{trace_table.TABLE}
"""
_UPGRADE = """
DROP INDEX IF EXISTS {schema}.traces_begun;
DROP INDEX IF EXISTS {schema}.events_written;
ALTER TABLE {events} DROP COLUMN IF EXISTS written;
INSERT INTO {schema}.logtracer_version VALUES ({version}) ON CONFLICT DO NOTHING;
"""
_IN_URL = re.compile(r"(?<=[?&])schema=([^&]*)(?:&|$)")
_VERSION = "SELECT max(version) FROM {schema}.logtracer_version"
_INSERT = "INSERT INTO {events} (trace_id, event, line) VALUES (?, ?, ?)"
_SELECT = "SELECT event, line FROM {events} WHERE trace_id = ? ORDER BY position"

_Scope = Callable[[psycopg.Connection], contextlib.AbstractContextManager[Any]]
_transaction: _Scope = psycopg.Connection.transaction
_no_transaction: _Scope = contextlib.nullcontext  # one statement: begin and commit are round trips


class PostgresStore:
    """Keep each trace as the rows of its events, in a schema made on first use.

    `dsn` is what libpq takes: a URL or `host=... dbname=...`; a URL may name the schema as well,
    `postgresql://HOST/DATABASE?schema=NAME`. Raises ValueError for a schema that is no plain
    name; StoreError when the server cannot be reached or does not do as it is told.
    LogtracerError for a trace that it will never take, such as one with an endless session id.
    A connection belongs to one thread of one process, and is made anew when it breaks.
    """

    def __init__(self, dsn: str, *, schema: str = "logtracer") -> None:
        if _IN_URL.search(dsn):  # libpq knows no such parameter
            schema = _IN_URL.findall(dsn)[-1]
            dsn = _IN_URL.sub("", dsn).rstrip("?&")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", schema):
            raise ValueError(f"schema {schema!r} is not a plain name of letters, digits and _")
        self._dsn = dsn
        self._schema = schema
        self._connections = Connections(self._connect)
        self._has_tables = False
        self._statements: dict[str, bytes] = {}  # ours, and as they are sent
        self._begun: set[str] = set()  # the traces we write that are known to have a row
        self._calls = threading.local()  # how many are under way
        self._rests_until = 0.0

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return functools.partial(type(self), schema=self._schema), (self._dsn,)

    def __repr__(self) -> str:
        """Show where, never the password."""
        try:
            parts = conninfo_to_dict(self._dsn)
        except psycopg.Error:
            return f"PostgresStore(..., schema={self._schema!r})"
        place = " ".join(
            f"{key}={parts[key]}" for key in ("host", "port", "dbname") if key in parts
        )
        return f"PostgresStore({place!r}, schema={self._schema!r})"

    def save(self, trace: TraceGraph) -> None:
        """Keep a trace as one document, replacing what is there."""
        check_id(trace.trace_id)
        document = trace_to_json(trace, indent=None)

        def replace(execute: _Execute) -> None:
            trace_table.delete(execute, [trace.trace_id])
            execute(_INSERT, (trace.trace_id, "document", document))
            trace_table.keep(execute, trace)

        self._run(replace)

    def load(self, trace_id: str) -> TraceGraph | None:
        """Return the trace, finished or not; None when there is none of that id."""
        if "\x00" in trace_id or not trace_id.isascii():
            return None
        return self._run(lambda execute: _load(execute, trace_id), _no_transaction)

    def list_traces(self) -> list[str]:
        """Return the ids of all traces, oldest first."""
        return [trace_id for (trace_id,) in self._execute(trace_table.IDS)]

    def list_summaries(
        self, wanted: TraceFilter = EVERYTHING, limit: int | None = None
    ) -> Iterator[TraceSummary]:
        """Yield the wanted traces, newest first; see logtracer_extras.listing.ListingBackend."""
        return trace_table.select(self._execute, self.load, wanted, limit)

    def write_event(self, trace_id: str, event: str, line: str) -> None:
        """Commit one event; see logtracer.StreamingBackend."""
        self.write_events([(trace_id, event, line)])

    def write_events(self, events: Sequence[tuple[str, str, str]]) -> None:
        """Commit several events at once: trace id, kind and line of each."""

        def write(execute: _Execute) -> tuple[set[str], set[str]]:
            execute.many(_INSERT, events)
            load = functools.partial(_load, execute)
            return trace_table.follow(execute, events, self._begun, load)

        started, ended = self._run(write)
        self._begun.update(started)
        self._begun.difference_update(ended)

    def delete(self, trace_ids: Iterable[str]) -> None:
        """Remove traces."""
        known = list(trace_ids)
        self._run(lambda execute: trace_table.delete(execute, known))

    def prune(self, older_than: datetime) -> int:
        """Remove the traces to which nothing was added since, none that may still run.

        Returns how many; logtracer_extras.retention.prune knows more conditions.
        """
        return len(prune(self, older_than=older_than))

    def close(self) -> None:
        """Close this process's connections; others are opened when they are needed."""
        self._connections.close()

    def _execute(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        return self._run(lambda execute: execute(statement, values), _no_transaction)

    def _run(self, action: Callable[[_Execute], T], scope: _Scope = _transaction) -> T:
        """Do something in a transaction, on a new connection when the old one has broken."""
        with self._level() as level:
            try:
                return self._do(level, action, scope)
            except psycopg.OperationalError as problem:
                if problem.sqlstate not in _LOST:
                    raise self._in_our_words(problem) from None
            except psycopg.Error as problem:
                raise self._in_our_words(problem) from None
            try:  # the server was restarted: once more, afresh
                return self._do(level, action, scope)
            except psycopg.Error as problem:
                raise self._in_our_words(problem) from None

    @contextlib.contextmanager
    def _level(self) -> Iterator[int]:
        """Count the calls of this thread that are under way; each has a connection of its own.

        A signal handler or a finalizer that traces may interrupt a call, and a connection that
        is in use would have it wait for ever.
        """
        level: int = getattr(self._calls, "level", 0)
        if level == _LEVELS:
            raise StoreError("a call that interrupted another one was interrupted")
        self._calls.level = level + 1
        try:
            yield level
        finally:
            self._calls.level = level

    def _do(self, level: int, action: Callable[[_Execute], T], scope: _Scope) -> T:
        with self._connections.lent(level) as connection:
            try:
                with scope(connection), connection.cursor() as cursor:
                    return action(_Execute(cursor, self._sql))
            except psycopg.Error:
                self._connections.drop(level)
                raise

    def _in_our_words(self, problem: psycopg.Error) -> LogtracerError:
        """Return the error to raise: a StoreError, unless trying again is in vain."""
        if problem.sqlstate in _NO_TABLES:  # somebody dropped them: the next connection makes them
            self._has_tables = False
            self._begun.clear()
        text = f"{self!r}: {self._without_password(str(problem))}"
        is_too_much = (problem.sqlstate or "").startswith("54")  # "program limit exceeded"
        is_refused = is_too_much or isinstance(problem, psycopg.DataError)
        return LogtracerError(text) if is_refused else StoreError(text)

    def _connect(self) -> psycopg.Connection:
        began = time.monotonic()
        if began < self._rests_until:
            raise StoreError(f"{self!r}: no connection, and it is too early to try again")
        try:
            options: dict[str, Any] = {**_OPTIONS, **conninfo_to_dict(self._dsn)}
            connection = psycopg.connect(make_conninfo(**options), autocommit=True)
        except psycopg.Error as problem:
            now = time.monotonic()
            self._rests_until = now + _REST * (now - began)
            raise self._in_our_words(problem) from None
        try:
            connection.execute(_PATIENCE)
            self._make_tables(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _make_tables(self, connection: psycopg.Connection) -> None:
        """Make what is missing, bring older tables up to date, refuse those of a newer version."""
        if self._has_tables:
            return
        with connection.transaction(), connection.cursor() as cursor:
            execute = _Execute(cursor, self._sql)
            # two processes that make the same tables at once would stumble over each other
            execute("SELECT pg_advisory_xact_lock(hashtext('logtracer tables'))")
            execute(_TABLES)
            version = execute(_VERSION)[0][0]
            if version is None or version < _SCHEMA_VERSION:
                execute(_UPGRADE)
                trace_table.fill(execute, functools.partial(_load, execute))
        if version is not None and version > _SCHEMA_VERSION:
            raise StoreError(
                f"{self!r} has tables of version {version}, this logtracer knows {_SCHEMA_VERSION};"
                " install a newer logtracer"
            )
        self._has_tables = True

    def _sql(self, text: str) -> bytes:
        """Return a statement with the names in it; all else is passed as parameters."""
        if text not in self._statements:
            names = {
                "schema": sql.Identifier(self._schema),
                "events": sql.Identifier(self._schema, "events"),
                "traces": sql.Identifier(self._schema, "traces"),
                "text": sql.SQL('text COLLATE "C"'),  # sorts as SQLite and Python do
                "version": sql.Literal(_SCHEMA_VERSION),
            }
            query = sql.SQL(text.replace("?", "%s"))
            self._statements[text] = query.format(**names).as_bytes(None)
        return self._statements[text]

    def _without_password(self, text: str) -> str:
        try:
            password = conninfo_to_dict(self._dsn).get("password")
        except psycopg.Error:
            return "the connection string cannot be read"
        return text.replace(str(password), "[REDACTED]") if password else text


class _Execute:
    """Runs statements in a transaction and returns their rows."""

    def __init__(self, cursor: psycopg.Cursor, to_sql: Callable[[str], bytes]) -> None:
        self._cursor = cursor
        self._to_sql = to_sql

    def __call__(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Run one statement."""
        self._cursor.execute(self._to_sql(statement), values or None)
        return self._cursor.fetchall() if self._cursor.description else []

    def many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for every row."""
        self._cursor.executemany(self._to_sql(statement), rows)


def _load(execute: _Execute, trace_id: str) -> TraceGraph | None:
    rows = execute(_SELECT, [trace_id])
    parts = [trace_from_json(line) for event, line in rows if event == "document"]
    lines = [line for event, line in rows if event != "document"]
    parts += [trace_from_journal(lines, trace_id)] if lines else []
    return merge_traces(parts) if parts else None
