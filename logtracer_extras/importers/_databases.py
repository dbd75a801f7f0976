"""Databases in which agents keep their sessions: those of OpenCode, Goose and Cursor.

They are somebody else's, and in use: nothing is ever written, not even the files that SQLite
makes beside one. A database with changes that are not yet in it is copied and read elsewhere.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from logtracer import TraceLoadError

from ..conventions.values import integer_of
from ._documents import MAX_FILE
from ._scanning import Tally
from .cursor import COMPOSER
from .goose import SESSION

__all__ = ["database_documents", "is_database", "opencode_tallies"]

_MAGIC = b"SQLite format 3\0"

Row = dict[str, Any]


def is_database(path: str) -> bool:
    """Tell whether a regular file is an SQLite database."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def database_documents(path: str) -> list[Any]:
    """Return the sessions in a database, a document each."""
    try:
        with _opened(Path(path)) as connection:
            tables = _names(connection, "SELECT name FROM sqlite_master WHERE type = 'table'")
            for needed, read in _FORMATS:
                if needed <= tables:
                    return list(read(connection)) or _nothing()
    except sqlite3.Error as error:
        raise TraceLoadError(f"a database that cannot be read: {error}") from None
    named = ", ".join(sorted(tables)[:6])
    raise TraceLoadError(f"an SQLite database, but of no agent's sessions (tables: {named!a})")


def _nothing() -> list[Any]:
    raise TraceLoadError("a database without a session")


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    log = path.with_name(path.name + "-wal")
    if log.is_file() and log.stat().st_size:
        with tempfile.TemporaryDirectory(prefix="logtracer-") as folder:
            if path.stat().st_size + log.stat().st_size > MAX_FILE:
                raise TraceLoadError(f"larger than {MAX_FILE >> 30} GiB")
            copy = Path(folder) / "copy.db"
            shutil.copyfile(log, f"{copy}-wal")  # first: what is in it may leave it for the other
            shutil.copyfile(path, copy)
            with closing(sqlite3.connect(copy.as_uri() + "?mode=rw", uri=True)) as connection:
                yield _prepared(connection)
        return
    address = path.absolute().as_uri() + "?mode=ro&immutable=1"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        yield _prepared(connection)


def _prepared(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.row_factory = sqlite3.Row
    connection.text_factory = lambda data: data.decode("utf-8", "backslashreplace")
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _names(connection: sqlite3.Connection, query: str) -> set[str]:
    return {str(row[0]) for row in connection.execute(query)}


def _rows(connection: sqlite3.Connection, query: str, *values: str) -> Iterator[Row]:
    for row in connection.execute(query, values):
        yield dict(row)


def _object(text: Any) -> Row:
    """Return the object in a JSON text; an empty one when it holds none."""
    try:
        found = json.loads(text, parse_constant=str)
    except (TypeError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _opencode(connection: sqlite3.Connection) -> Iterator[Row]:
    for row in _rows(connection, "SELECT * FROM session ORDER BY time_created, id"):
        session_id = str(row["id"])
        parts: dict[Any, list[Row]] = {}
        query = "SELECT id, message_id, data FROM part WHERE session_id = ? ORDER BY id"
        for part in _rows(connection, query, session_id):
            found: Row = {**_object(part["data"]), "id": part["id"]}
            parts.setdefault(part["message_id"], []).append(found)
        query = "SELECT id, data FROM message WHERE session_id = ? ORDER BY time_created, id"
        messages: list[Row] = []
        for each in _rows(connection, query, session_id):
            info: Row = {**_object(each["data"]), "id": each["id"]}
            messages.append({"info": info, "parts": parts.get(each["id"], [])})
        yield {"info": _opencode_info(row), "messages": messages}


def _opencode_info(row: Row) -> Row:
    """Return what an export says of a session, from the columns of its row."""
    counts = {key: row.get(f"tokens_{key}") for key in ("input", "output", "reasoning")}
    cache = {key: row.get(f"tokens_cache_{key}") for key in ("read", "write")}
    taken = ("id", "title", "directory", "version", "slug", "agent", "cost")
    info = {key: row[key] for key in taken if row.get(key) is not None}
    info |= {"parentID": row.get("parent_id"), "tokens": {**counts, "cache": cache}}
    return {**info, "revert": _object(row.get("revert"))}


def _goose(connection: sqlite3.Connection) -> Iterator[Row]:
    tables = _names(connection, "SELECT name FROM sqlite_master WHERE type = 'table'")
    for row in _rows(connection, "SELECT * FROM sessions ORDER BY created_at, id"):
        session_id = str(row["id"])
        query = "SELECT * FROM messages WHERE session_id = ? ORDER BY id"
        messages = list(_rows(connection, query, session_id))
        query = "SELECT * FROM usage_ledger WHERE session_id = ? ORDER BY id"
        used = list(_rows(connection, query, session_id)) if "usage_ledger" in tables else []
        yield {"type": SESSION, "session": row, "messages": messages, "usage": used}


def _cursor(connection: sqlite3.Connection) -> Iterator[Row]:
    """Read the two prefixes that hold conversations: the same table holds logins."""
    query = "SELECT key, value FROM cursorDiskKV WHERE key >= ? AND key < ? ORDER BY key"
    for row in _rows(connection, query, "composerData:", "composerData;"):
        composer = _object(row["value"])
        composer_id = str(row["key"]).partition(":")[2]
        prefix = f"bubbleId:{composer_id}:"
        bubbles = {
            str(each["key"])[len(prefix) :]: _object(each["value"])
            for each in _rows(connection, query, prefix, prefix[:-1] + ";")
        }
        if composer and (bubbles or composer.get("conversation")):
            yield {"type": COMPOSER, "id": composer_id, "composer": composer, "bubbles": bubbles}


_FORMATS: tuple[tuple[set[str], Callable[[sqlite3.Connection], Iterator[Row]]], ...] = (
    ({"session", "message", "part"}, _opencode),
    ({"cursorDiskKV"}, _cursor),
    ({"sessions", "messages"}, _goose),
)


def opencode_tallies(path: str) -> list[Tally]:
    """Return what OpenCode's own columns tell of each session; sub-agents count with theirs."""
    try:
        with _opened(Path(path)) as connection:
            rows = list(_rows(connection, _OPENCODE_SUMS))
    except sqlite3.Error as error:
        raise TraceLoadError(f"a database that cannot be read: {error}") from None
    tallies = {str(row["id"]): _opencode_tally(row) for row in rows}
    for tally in tallies.values():
        above = tallies.get(tally.above)
        if above is not None and above is not tally:
            above.add(tally)
    return [tally for tally in tallies.values() if tally.above not in tallies]


_OPENCODE_SUMS = """
SELECT session.*,
    (SELECT count(*) FROM message WHERE session_id = session.id
        AND json_extract(data, '$.role') = 'user') AS turns,
    (SELECT count(*) FROM part WHERE session_id = session.id
        AND json_extract(data, '$.state.status') = 'error') AS errors,
    tokens_input + tokens_cache_read + tokens_cache_write AS sent,
    tokens_output + tokens_reasoning AS made
FROM session ORDER BY time_created, id
"""


def _opencode_tally(row: Row) -> Tally:
    tally = Tally(str(row["id"]), str(row["directory"]), str(row["title"]))
    tally.above = str(row["parent_id"] or "")
    tally.turns, tally.errors = row["turns"], row["errors"]
    sent, made = (integer_of(row[name]) or 0 for name in ("sent", "made"))
    tally.used = {tally.session_id: (sent, made)}
    tally.spent(row["cost"])
    for name in ("time_created", "time_updated"):
        tally.took_place((integer_of(row[name]) or 0) * 1_000_000)
    return tally
