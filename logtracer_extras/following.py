"""A journal or a store as it grows."""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from logtracer import (
    EdgeType,
    LogtracerError,
    Node,
    NodeStatus,
    TraceGraph,
    TraceLoadError,
    trace_from_journal,
)

__all__ = ["Follower", "StoreFollower"]


_CHUNK = 1 << 20  # bytes read of a journal at a time
_NO_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # as each system has them
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_PART = re.compile(r"\.[0-9a-f]{16}\.jsonl")


class Follower:
    """Reads a growing journal, and the journals of processes that join the run.

    Raises OSError when the journal cannot be opened, TraceLoadError for what is no regular file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._opened = contextlib.ExitStack()
        self._files = {path: (self._open(path), b"")}  # and what follows the last whole line
        self._odd: set[str] = set()  # parts that are no files of ours
        self._head: list[bytes] = []  # the lines that tell whose process writes

    def poll(self) -> Iterator[dict[str, Any]]:
        """Yield the events appended since the last poll, whole lines only."""
        for path in self._new_parts():
            try:
                self._files[path] = self._open(path, _NO_LINK), b""
            except (LogtracerError, OSError):  # the run is worth following without it
                self._odd.add(path)
        for path in list(self._files):
            yield from self._read(path)

    def close(self) -> None:
        """Close the journals."""
        self._opened.close()

    def is_abandoned(self) -> bool:
        """Tell whether the process that wrote the journal is gone without having ended the run."""
        try:
            trace = trace_from_journal(self._head)
        except LogtracerError:  # not a line of it yet
            return False
        return all(node.status == NodeStatus.INTERRUPTED for node in trace.nodes.values())

    def _open(self, path: str, flags: int = 0) -> BinaryIO:
        """Open a regular file; a FIFO or a device would hold the reader up for ever."""
        descriptor = os.open(path, os.O_RDONLY | _NO_WAIT | flags)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise TraceLoadError(f"{path}: not a regular file")
        return self._opened.enter_context(os.fdopen(descriptor, "rb"))

    def _new_parts(self) -> list[str]:
        directory, name = os.path.split(self._path)
        stem = name.removesuffix(".jsonl")
        names = os.listdir(directory or ".")
        parts = [
            os.path.join(directory, part)
            for part in sorted(names)
            if part.startswith(stem) and _PART.fullmatch(part[len(stem) :])
        ]
        return [part for part in parts if part not in self._files and part not in self._odd]

    def _read(self, path: str) -> Iterator[dict[str, Any]]:
        file, rest = self._files[path]
        while chunk := file.read(_CHUNK):
            *whole, rest = (rest + chunk).split(b"\n")
            self._files[path] = (file, rest)
            if len(self._head) < 2:
                self._head += whole[: 2 - len(self._head)]
            for line in whole:
                event = _parsed(line)
                if event is not None:
                    yield event


class StoreFollower:
    """Loads a run from a database again and again, and tells what is new as events."""

    def __init__(self, load: Callable[[], TraceGraph], every: float = 1.0) -> None:
        self._load = load
        self._every = every  # seconds: a database is asked for the whole run each time
        self._loaded_at: float | None = None
        self._told: dict[str, str] = {}  # the status of each node as it was told last
        self._ended: set[str] = set()
        self._edges = 0
        self._is_abandoned = False

    def poll(self) -> Iterator[dict[str, Any]]:
        """Yield what is new since the last poll."""
        now = time.monotonic()
        if self._loaded_at is not None and now - self._loaded_at < self._every:
            return
        trace = self._load()
        if self._loaded_at is None and trace.start_time is not None:
            head = {"name": trace.name, "trace_id": trace.trace_id}
            yield {"event": "trace.started", **head, "start_time": trace.start_time.isoformat()}
        self._loaded_at = now
        for node in trace.nodes.values():
            yield from self._events_of(node)
        links = [edge for edge in trace.edges if edge.edge_type != EdgeType.CAUSED_BY]
        for edge in links[self._edges :]:
            yield {"event": "edge", **edge.to_dict()}
        self._edges = len(links)
        roots = [node.status for node in trace.root_nodes]
        self._is_abandoned = all(status == NodeStatus.INTERRUPTED for status in roots)
        if trace.end_time is not None:
            yield {"event": "trace.completed"}

    def close(self) -> None:
        """Do nothing: the database belongs to whoever gave it."""

    def is_abandoned(self) -> bool:
        """Tell whether the process that wrote the run is gone without having ended it."""
        return self._is_abandoned

    def _events_of(self, node: Node) -> Iterator[dict[str, Any]]:
        facts = {**node.to_dict(), "status": node.status.value}
        if node.id not in self._told:
            yield {"event": "node.started", "node": {**facts, "end_time": None}}
        elif node.end_time is None and node.status.value != self._told[node.id]:
            yield {"event": "node.updated", **facts}
        self._told[node.id] = node.status.value
        if node.end_time is not None and node.id not in self._ended:
            self._ended.add(node.id)
            yield {"event": "node.completed", "node": facts}


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return an event, None for a line that is not one: a crash may have torn it."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None
