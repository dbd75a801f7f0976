"""The table of a database store that says of each trace what it is, beside that of its events.

A row is made with the first event of a trace and filled in when the trace ends, from how its
events begin: only three of them are parsed. While `status` is null the trace goes on or was
broken off, and only loading it tells how it stands. Texts are kept as JSON spells them, in ASCII,
because PostgreSQL takes no NUL. SQLite and PostgreSQL both know these statements.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import json
import operator
import re
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from logtracer import LogtracerError, TraceGraph, TraceLoadError

from .summaries import (
    MILLISECOND,
    TraceFilter,
    TraceSummary,
    in_utc,
    labels_of,
    summarize,
    summary_of,
)

__all__ = ["IDS", "TABLE", "TURNS", "Execute", "delete", "fill", "follow", "keep", "select"]

Execute = Callable[[str, Sequence[Any]], list[Any]]  # runs a statement and returns its rows
Load = Callable[[str], "TraceGraph | None"]
Event = tuple[str, str, str]  # trace id, kind, line

TABLE = """
CREATE TABLE IF NOT EXISTS {traces} (
    trace_id {text} PRIMARY KEY,
    name {text} NOT NULL,
    status {text},
    start_time {text} NOT NULL,
    duration_ms double precision,
    node_count integer NOT NULL,
    error_count integer NOT NULL,
    session_id {text},
    user_id {text},
    tags {text} NOT NULL
);
CREATE INDEX IF NOT EXISTS traces_by_start ON {traces} (start_time DESC, trace_id);
CREATE INDEX IF NOT EXISTS traces_of_session ON {traces} (session_id, start_time DESC);
CREATE INDEX IF NOT EXISTS traces_of_user ON {traces} (user_id, start_time DESC);
"""
_COLUMNS = (
    "trace_id, name, status, start_time, duration_ms, node_count, error_count,"
    " session_id, user_id, tags"
)
_INSERT = (
    f"INSERT INTO {{traces}} ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (trace_id) DO "
)
_KNOWN_BEFORE = {  # what becomes of the row that is there, by the kind of the event
    "trace.started": "UPDATE SET name = excluded.name, status = NULL,"
    " start_time = excluded.start_time, session_id = excluded.session_id,"
    " user_id = excluded.user_id, tags = excluded.tags",
    "part.started": "UPDATE SET status = NULL",  # it is resumed, or another process joins it
}
_LATE = dict.fromkeys(  # the same, when a writer that knows of no row comes with these
    ("node.started", "node.completed", "node.failed"),
    "UPDATE SET status = NULL, start_time ="
    " CASE traces.start_time WHEN '' THEN excluded.start_time ELSE traces.start_time END",
)
_ENDS = frozenset({"trace.completed", "part.completed"})
TURNS = _ENDS | frozenset(_KNOWN_BEFORE)  # the events that change a row
_UNSETTLED = frozenset({"running", "interrupted"})  # not for good, as long as events may come
_REPLACE = "UPDATE SET " + ", ".join(
    f"{column} = excluded.{column}" for column in _COLUMNS.split(", ")[1:]
)
_OPEN = "UPDATE {traces} SET status = NULL WHERE trace_id = ?"
_SETTLE = (
    "UPDATE {traces} SET status = ?, duration_ms = ?, node_count = ?, error_count = ?"
    " WHERE trace_id = ?"
)
_BEGINNINGS = (  # enough of a line to hold a node's id
    "SELECT position, event, substr(line, 1, 100) FROM {events} WHERE trace_id = ?"
    " AND event NOT IN ('edge', 'node.updated') ORDER BY position"
)
_LINES = "SELECT line FROM {events} WHERE position IN (?, ?, ?) ORDER BY position"
_NODE_ID = re.compile(r'"node": ?\{"id": ?"([^"]+)"')
_PAGE = 2_000  # rows asked for at once
_AT_ONCE = 500  # traces removed by one statement
_NEVER = ""  # sorts before every time


def follow(
    execute: Execute, events: Iterable[Event], begun: Container[str], load: Load
) -> tuple[set[str], set[str]]:
    """Keep the rows up with events that were just written, in the same transaction.

    `begun` are the ids of traces known to have a row. Returns the ids of those that have one
    now, and of those that a process has ended. In the order of ids: two writers that lock the
    same rows do not wait for each other.
    """
    started: set[str] = set()
    ended: set[str] = set()
    for trace_id, event, line in sorted(events, key=operator.itemgetter(0)):
        if event in _KNOWN_BEFORE or not (trace_id in begun or trace_id in started):
            _begin(execute, trace_id, event, line)
            if event in _KNOWN_BEFORE or event in _LATE:
                started.add(trace_id)
        if event in _ENDS:
            ended.add(trace_id)
    for trace_id in sorted(ended):
        _settle(execute, trace_id, load)
    return started, ended


def _begin(execute: Execute, trace_id: str, event: str, line: str) -> None:
    """Make the row of the trace that an event belongs to; what was settled is open again."""
    head = json.loads(line) if event in _KNOWN_BEFORE or event in _LATE else {}
    labels = labels_of(head.get("metadata") or {})
    summary = TraceSummary(trace_id, str(head.get("name", "")), **labels)
    row = _row_of(summary, _start_in(head))
    what = _KNOWN_BEFORE.get(event) or _LATE.get(event, "NOTHING")
    execute(_INSERT + what, row)


def _start_in(head: dict[str, Any]) -> str:
    """Return when a trace began; when its first line is lost, when a step of it did."""
    try:
        return _time_text(datetime.fromisoformat(head.get("node", head)["start_time"]))
    except (LookupError, TypeError, ValueError):  # TraceLoadError is a ValueError
        return _NEVER


def keep(execute: Execute, trace: TraceGraph) -> None:
    """Make or replace the row of a trace from the whole of it."""
    try:
        summary = summarize(trace)
    except TraceLoadError:  # it is loaded for each list, which says what is odd
        summary = TraceSummary(trace.trace_id, trace.name)
    if summary.status in _UNSETTLED:
        summary = dataclasses.replace(summary, status="")
    execute(_INSERT + _REPLACE, _row_of(summary, _time_text(summary.start_time)))


def _settle(execute: Execute, trace_id: str, load: Load) -> None:
    """Fill in the row of a trace of which a process has just written its last event."""
    execute(_OPEN, [trace_id])  # so that of two processes the later one sees all events
    rows = execute(_BEGINNINGS, [trace_id])
    facts = _tally(execute, rows)
    if facts is not None:
        execute(_SETTLE, [*facts, trace_id])
        return
    with contextlib.suppress(TraceLoadError):  # listed with its problem, as every time
        trace = load(trace_id)
        if trace is not None:
            keep(execute, trace)


def _tally(execute: Execute, rows: list[Any]) -> tuple[str, float, int, int] | None:
    """Return status, duration, nodes and errors of a trace from how its events begin.

    None when they do not tell: the root was not recorded here or has not ended.
    """
    ends: dict[str, tuple[int, str]] = {}  # where each node's last event stands, and its kind
    for position, event, beginning in rows:
        if event.startswith("node."):
            found = _NODE_ID.search(beginning)
            if found is None:
                return None
            ends[found[1]] = position, event
    kinds = {event: position for position, event, _ in rows}
    if "document" in kinds or "trace.completed" not in kinds or rows[0][1] != "trace.started":
        return None
    root_id = next(iter(ends), None)  # its start comes right after that of the trace
    if root_id is None or ends[root_id][1] == "node.started":
        return None
    last = max(kinds["trace.completed"], kinds.get("part.completed", 0))
    failures = sum(event == "node.failed" for _, event in ends.values())
    places = sorted([rows[0][0], ends[root_id][0], last])
    lines = [json.loads(line) for (line,) in execute(_LINES, places)]
    try:
        return _outcome(lines, ends, failures)
    except (LookupError, TypeError, ValueError):  # the lines of another program
        return None


def _outcome(
    lines: list[dict[str, Any]], ends: dict[str, Any], failures: int
) -> tuple[str, float, int, int] | None:
    """Return the same, given the first event, the end of the root and the last event."""
    first, end, last = lines
    node = end["node"]
    if node["parent_id"] is not None or node["node_type"] != "trace":
        return None
    begin_time = in_utc(datetime.fromisoformat(first["start_time"]))
    end_time = in_utc(datetime.fromisoformat(last["end_time"]))
    if begin_time is None or end_time is None:
        return None
    duration = (end_time - begin_time) / MILLISECOND
    return node["status"], duration, len(ends), failures


def fill(execute: Execute, load: Load) -> None:
    """Make the rows of the traces from a time when there was no such table."""
    for (trace_id,) in execute("SELECT DISTINCT trace_id FROM {events}", []):
        _begin(execute, trace_id, "", "")
        with contextlib.suppress(LogtracerError):  # listed with its problem, as every time
            trace = load(trace_id)
            if trace is not None:
                keep(execute, trace)


def delete(execute: Execute, trace_ids: Iterable[str]) -> None:
    """Remove the rows of traces, and their events."""
    waiting = list(trace_ids)
    while waiting:
        some, waiting = waiting[:_AT_ONCE], waiting[_AT_ONCE:]
        marks = ", ".join("?" * len(some))
        execute(f"DELETE FROM {{events}} WHERE trace_id IN ({marks})", some)
        execute(f"DELETE FROM {{traces}} WHERE trace_id IN ({marks})", some)


def select(
    execute: Execute, load: Load, wanted: TraceFilter, limit: int | None
) -> Iterator[TraceSummary]:
    """Yield the wanted traces, the one that started last first, asking for a page at a time."""
    return itertools.islice(_select(execute, load, wanted, min(limit or _PAGE, _PAGE)), limit)


def _select(execute: Execute, load: Load, wanted: TraceFilter, size: int) -> Iterator[TraceSummary]:
    conditions, values = _conditions(wanted)
    after: list[Any] = []
    while True:
        where = " AND ".join([*conditions, *([_AFTER] if after else ["1 = 1"])])
        rows = execute(f"{_SELECT} WHERE {where} {_ORDER}", [*values, *after, size])
        for row in rows:
            summary = _summary_of(row, load)
            if summary is not None and wanted.matches(summary):
                yield summary
        if len(rows) < size:
            return
        after = [rows[-1][3], rows[-1][3], rows[-1][0]]
        size = min(2 * size, _PAGE)


IDS = "SELECT trace_id FROM {traces} ORDER BY start_time, trace_id"
_SELECT = f"SELECT {_COLUMNS} FROM {{traces}}"
_AFTER = "start_time <= ? AND (start_time < ? OR trace_id > ?)"
_ORDER = "ORDER BY start_time DESC, trace_id LIMIT ?"


def _conditions(wanted: TraceFilter) -> tuple[list[str], list[str]]:
    """Return what narrows the rows down; it may let too many pass, never too few."""
    found: dict[str, str] = {}
    for condition, moment in (("start_time >= ?", wanted.since), ("start_time < ?", wanted.until)):
        if moment is not None:
            found[condition] = _time_text(moment)
    for column in ("session_id", "user_id"):
        text = getattr(wanted, column)
        if text is not None:
            found[f"{column} = ?"] = _spelled(text)
    if wanted.status is not None:
        found["(status = ? OR status IS NULL)"] = _spelled(wanted.status)
    if wanted.name:
        found["(name LIKE ? ESCAPE '!' OR status IS NULL)"] = _containing(_spelled(wanted.name))
    if wanted.tag is not None:
        found["tags LIKE ? ESCAPE '!'"] = _containing(json.dumps(wanted.tag))
    if wanted.prefix:
        found["trace_id >= ?"] = _ascii(wanted.prefix)
        found["trace_id < ?"] = _ascii(wanted.prefix) + "\x7f"
    return [*found], [*found.values()]


def _time_text(moment: datetime | None) -> str:
    """Return a time as text that sorts as the times do."""
    moment = in_utc(moment)
    return _NEVER if moment is None else moment.isoformat(timespec="microseconds")


def _containing(text: str) -> str:
    """Return the pattern of LIKE for texts that contain this one."""
    return "%" + re.sub("([!%_])", r"!\1", text) + "%"


def _ascii(text: str) -> str:
    """Return a prefix of ids as a database takes it; ids are ASCII, so no others begin so."""
    return text.encode("ascii", "replace").decode().replace("\x00", "?")


def _spelled(text: str) -> str:
    return json.dumps(text)[1:-1]


def _unspelled(text: str | None) -> Any:
    return None if text is None else json.loads(f'"{text}"')


def _row_of(summary: TraceSummary, start: str) -> list[Any]:
    return [
        summary.trace_id,
        _spelled(summary.name),
        None if not summary.status else _spelled(summary.status),
        start,
        summary.duration_ms,
        summary.node_count,
        summary.error_count,
        None if summary.session_id is None else _spelled(summary.session_id),
        None if summary.user_id is None else _spelled(summary.user_id),
        json.dumps(summary.tags),
    ]


def _summary_of(row: Any, load: Load) -> TraceSummary | None:
    trace_id, name, status, start, duration, nodes, errors, session_id, user_id, tags = row
    if status is None:
        return summary_of(trace_id, functools.partial(load, trace_id))
    return TraceSummary(
        trace_id,
        _unspelled(name),
        _unspelled(status),
        datetime.fromisoformat(start) if start else None,
        duration,
        nodes,
        errors,
        _unspelled(session_id),
        _unspelled(user_id),
        tuple(json.loads(tags)),
    )
