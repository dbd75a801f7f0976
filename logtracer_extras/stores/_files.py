"""List the traces of a directory: what FileStore writes, read as little as the question needs.

The files are taken by the time they were last written, newest first. A run started before its
file was written, so as soon as a run is known to have started later than every file left was
written, it is the next one: the first twenty of 100,000 cost the reading of about twenty. Of a
large document only the start and the end are read until it is known to be wanted.
"""

from __future__ import annotations

import functools
import heapq
import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from logtracer import (
    SCHEMA_VERSION,
    NodeStatus,
    TraceGraph,
    TraceLoadError,
    load_trace,
    load_trace_json,
    merge_traces,
    trace_from_journal,
)

from .summaries import (
    EVERYTHING,
    MILLISECOND,
    TraceFilter,
    TraceSummary,
    in_utc,
    labels_of,
    newest_first,
    summary_of,
    worst_status,
)

__all__ = ["files_of", "list_directory", "trace_ids_in"]

_TRACE_FILE = re.compile(r"([0-9A-Za-z_-]{1,64})(?:\.json|(?:\.[0-9a-f]{16})?\.jsonl)")
_PIECE = 16_384  # bytes at the start and the end of a file that are read at first
_CLOCK_SLACK = 2.0  # seconds by which a file system may set a file's time too early
_ODD = (OSError, ValueError, OverflowError, LookupError, TypeError, AttributeError, RecursionError)
_HEAD = re.compile(rb'\{\s*"schema_version": ?"(\d+)\.[^{}]*?"name": ?("(?:[^"\\]|\\.)*")', re.S)


@dataclass(slots=True)
class _Files:
    """The files of one trace; the first is its document, else its own journal, else a part."""

    trace_id: str
    paths: list[str]
    written: float = 0.0  # when the last of them was
    size: int = 0
    is_regular: bool = True


def list_directory(directory: str, wanted: TraceFilter = EVERYTHING) -> Iterator[TraceSummary]:
    """Yield the wanted traces of a directory, the one that started last first.

    Files that hold no readable trace come last, with their problem. Raises OSError when the
    directory cannot be read.
    """
    waiting: list[tuple[tuple[float, str], TraceSummary, _Files]] = []
    for files in sorted(_files_in(directory, wanted.prefix), key=_written, reverse=True):
        while waiting and -waiting[0][0][0] > files.written + _CLOCK_SLACK:
            yield from _completed(heapq.heappop(waiting), wanted)
        if wanted.since is not None and files.written + _CLOCK_SLACK < wanted.since.timestamp():
            break  # nothing that is left was written since, so nothing started since
        summary = _first_look(files)
        if summary is not None and wanted.matches_start(summary):
            heapq.heappush(waiting, (newest_first(summary), summary, files))
    while waiting:
        yield from _completed(heapq.heappop(waiting), wanted)


def files_of(directory: str) -> dict[str, list[str]]:
    """Return the paths of each trace's files, its document or its own journal first."""
    return {files.trace_id: files.paths for files in _files_in(directory, "")}


def trace_ids_in(directory: str) -> set[str]:
    """Return the ids of the traces of a directory."""
    return {match[1] for match in map(_TRACE_FILE.fullmatch, os.listdir(directory)) if match}


def _written(files: _Files) -> float:
    return files.written


def _files_in(directory: str, prefix: str) -> list[_Files]:
    found: dict[str, _Files] = {}
    with os.scandir(directory) as entries:
        names = {e.name: e for e in entries if e.name.startswith(prefix)}
    for name in sorted(names, key=_length_first):  # a document, its journal, then its parts
        match = _TRACE_FILE.fullmatch(name)
        if match is None:
            continue
        files = found.setdefault(match[1], _Files(match[1], []))
        files.paths.append(names[name].path)
        try:
            status = names[name].stat(follow_symlinks=False)  # a store loads no links
        except OSError:  # removed meanwhile: the reading tells
            files.is_regular = False
            continue
        files.is_regular = files.is_regular and stat.S_ISREG(status.st_mode)
        files.written = max(files.written, status.st_mtime)
        files.size += status.st_size
    return list(found.values())


def _length_first(name: str) -> tuple[int, str]:
    return len(name), name


def _first_look(files: _Files) -> TraceSummary | None:
    """Return what the start and the end of a file say, or all of it when it is small."""
    summary = None
    if files.is_regular:
        summary = _of_document(files) if files.size <= _PIECE else None
        summary = summary or _glimpse(files)
    return summary or _of_loading(files)


def _completed(
    item: tuple[tuple[float, str], TraceSummary, _Files], wanted: TraceFilter
) -> Iterator[TraceSummary]:
    """Yield a trace whose turn has come, read as a whole if it was not yet, if it is wanted."""
    summary: TraceSummary | None = item[1]
    if summary is not None and not (summary.status or summary.problem):
        files = item[2]
        summary = _of_document(files) or _of_loading(files)
    if summary is not None and wanted.matches(summary):
        yield summary


def _of_loading(files: _Files) -> TraceSummary | None:
    return summary_of(files.trace_id, functools.partial(_load, files), files.paths[0])


def _load(files: _Files) -> TraceGraph | None:
    """Return a trace of the files that are its own; None when nothing is in them yet.

    `load_trace` looks through the whole directory for parts, so it is only asked where a file is
    odd: a link, a FIFO, a damaged one. It says what is wrong, or loads the others.
    """
    try:
        if files.is_regular:
            traces = [each for path in files.paths if (each := _load_one(path, files)) is not None]
            return merge_traces(traces) if len(traces) > 1 else next(iter(traces), None)
    except TraceLoadError:
        if len(files.paths) == 1:
            raise
    os.stat(files.paths[0])  # what a link to nowhere names is not there
    return load_trace(os.path.dirname(files.paths[0]), files.trace_id)


def _load_one(path: str, files: _Files) -> TraceGraph | None:
    if path.endswith(".json"):
        return load_trace_json(path)
    with open(path, "rb") as file:
        data = file.read()
    return trace_from_journal(data.split(b"\n"), files.trace_id) if data else None


def _of_document(files: _Files) -> TraceSummary | None:
    """Read a document's facts; None when it is odd in any way, for loading to say what is."""
    if len(files.paths) > 1 or not files.paths[0].endswith(".json"):
        return None
    try:
        with open(files.paths[0], "rb") as file:
            document = json.loads(file.read())
        _check_version(document["schema_version"].split(".")[0])
        nodes = document["nodes"].values()
        statuses = [NodeStatus(node["status"]).value for node in nodes]
        tops = {node["node_type"]: node["status"] for node in nodes if node["parent_id"] is None}
        status = tops.get("trace") or worst_status(
            tops.values(), has_ended=document["end_time"] is not None
        )
        return TraceSummary(
            files.trace_id,
            str(document["name"]),
            status,
            *_times(document),
            len(statuses),
            statuses.count("failed"),
            **labels_of(document["metadata"]),
            path=files.paths[0],
        )
    except _ODD:
        return None


def _check_version(major: str) -> None:
    if major != SCHEMA_VERSION.split(".")[0]:
        raise ValueError


def _times(document: dict[str, Any]) -> tuple[datetime | None, float | None]:
    """Return the start and the duration; ValueError when the end is missing."""
    start = in_utc(datetime.fromisoformat(document["start_time"]))
    end = in_utc(datetime.fromisoformat(document["end_time"]))
    if start is None or end is None:
        raise ValueError
    return start, (end - start) / MILLISECOND


def _glimpse(files: _Files) -> TraceSummary | None:
    """Return what the first and the last bytes of a file say; no status, so it is not all.

    A journal says when it began in its first line; a document behind its nodes and edges.
    """
    path = files.paths[0]
    try:
        with open(path, "rb") as file:
            head = file.read(_PIECE)
            if path.endswith("l"):
                return _of_head(files, json.loads(head[: head.index(b"\n")]))
            file.seek(max(len(head), os.fstat(file.fileno()).st_size - _PIECE))
            tail = file.read(_PIECE)
        found = _HEAD.match(head)
        if found is None or found[1].decode() != SCHEMA_VERSION.split(".")[0]:
            return None
        start = tail.rindex(b'"start_time"')
        facts = json.loads(b"{" + tail[start:])
        return _of_head(files, {**facts, "name": json.loads(found[2])})
    except _ODD:
        return None


def _of_head(files: _Files, facts: dict[str, Any]) -> TraceSummary:
    return TraceSummary(
        files.trace_id,
        facts["name"],
        start_time=in_utc(datetime.fromisoformat(facts["start_time"])),
        **labels_of(facts["metadata"]),
        path=files.paths[0],
    )
