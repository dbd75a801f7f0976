"""A disk that fails at random, and what a store said it had kept."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

from logtracer import Edge, FileStore, Node, TraceGraph

ERRORS = [errno.ENOSPC, errno.EIO, errno.EINTR, errno.EMFILE]
CALLS = ["open", "write", "ftruncate", "replace", "makedirs", "unlink", "fstat"]


class FailingDisk:
    """Lets calls to the operating system fail, each with the same chance."""

    def __init__(self, chance: random.Random, share: float) -> None:
        self._chance = chance
        self._share = share

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Let calls fail for a while."""
        real = {name: getattr(os, name) for name in CALLS}
        for name, function in real.items():
            setattr(os, name, self._failing(name, function))
        try:
            yield
        finally:
            for name, function in real.items():
                setattr(os, name, function)

    def _failing(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if self._chance.random() >= self._share:
                return function(*arguments, **options)
            if name == "write" and self._chance.random() < 0.5:
                descriptor, data = arguments
                return function(descriptor, data[: self._chance.randrange(len(data))])
            raise OSError(self._chance.choice(ERRORS), "the disk fails")

        return call


class Acknowledging(FileStore):
    """Notes every event that the store took without a complaint."""

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self.taken: list[tuple[str, str, dict[str, Any]]] = []

    def write_event(self, trace_id: str, event: str, line: str) -> None:
        """Take an event, and note it when that went well."""
        super().write_event(trace_id, event, line)
        self.taken.append((trace_id, event, json.loads(line)))


def lost(store: Acknowledging, traces: dict[str, TraceGraph]) -> Iterator[str]:
    """Yield what a store acknowledged and what cannot be read."""
    for trace_id, event, facts in store.taken:
        trace = traces.get(trace_id)
        if trace is None or trace.trace_id != trace_id:
            yield f"{trace_id}: {event}"
        elif event == "edge":
            edge = Edge.from_dict(facts)
            if trace.edges.count(edge) != 1:
                yield f"{edge}, {trace.edges.count(edge)} times"
        elif event == "trace.started":
            if trace.name != facts["name"]:
                yield f"the name {facts['name']}"
        elif event == "trace.completed":
            if trace.end_time is None:
                yield "the end"
        elif event.startswith("node.") and event != "node.updated":
            node = Node.from_dict(facts["node"])
            read = trace.nodes.get(node.id)
            if read is None or (event != "node.started" and read.end_time is None):
                yield f"{event} of {node.name}"
