"""Find which node gave data to which later one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from logtracer import Edge, EdgeType, Node

from .run import by_start

__all__ = ["DataFlow", "MIN_SIZE"]


MIN_SIZE = 20  # characters; shorter values meet by chance
_MAX_LEVELS = 8  # of containers looked into
_WHOLE = "$"  # the path of all that a step was given, or gave
_RECENT = 8  # steps that gave the same value and are looked at, the latest first


class DataFlow:
    """Finds what one step gave and a later one took; keeps hashes of values, not the values."""

    def __init__(self, *, min_size: int = MIN_SIZE) -> None:
        self._min_size = min_size
        self._steps: list[_Exchange] = []

    def add(self, node: Node, start: int, end: int, level: int) -> None:
        """Take a step with its times and its level in the tree, in any order."""
        given = _values(node.input_data, self._min_size)
        gave = _values(node.output_data, self._min_size)
        if given or gave:
            self._steps.append(_Exchange(node.id, start, end, level, given, gave))

    def edges(self, recorded: Iterable[Edge] = ()) -> list[Edge]:
        """Return an edge for each pair of steps, without those that are recorded."""
        sources: dict[bytes, list[tuple[_Exchange, str]]] = {}
        seen: set[bytes] = set()
        flows = [edge for edge in recorded if edge.edge_type == EdgeType.DATA_FLOW]
        known = {(edge.source_id, edge.target_id) for edge in flows}
        edges: dict[tuple[str, str], Edge] = {}
        for step in sorted(self._steps, key=by_start):
            for path, key in step.given:
                source = _source(sources.get(key, []), step, path)
                if source is not None and (source[0].node_id, step.node_id) not in known:
                    edge = _data_edge(source[0], source[1], step, path)
                    edges.setdefault((edge.source_id, edge.target_id), edge)
                seen.add(key)
            for path, key in step.gave:
                if key not in seen:
                    sources.setdefault(key, []).append((step, path))
        return list(edges.values())


@dataclass(slots=True, eq=False)
class _Exchange:
    """Where in a step's input and output which values lay: a path and a hash of each."""

    node_id: str
    start: int
    end: int
    level: int
    given: list[tuple[str, bytes]]
    gave: list[tuple[str, bytes]]


def _source(
    candidates: list[tuple[_Exchange, str]], later: _Exchange, path: str
) -> tuple[_Exchange, str] | None:
    """Return the last to end before a step began, the outermost of several."""
    ended = [item for item in candidates[-_RECENT:] if item[0].end <= later.start]
    ended = [item for item in ended if item[0] is not later]
    if path == _WHOLE:  # all of one is all of another: small facts may meet by chance
        ended = [item for item in ended if item[1] != _WHOLE]
    return max(ended, key=lambda item: (item[0].end, -item[0].level), default=None)


def _data_edge(earlier: _Exchange, source_path: str, later: _Exchange, target_path: str) -> Edge:
    paths = {"source_path": source_path, "target_path": target_path}
    facts = {"inferred": True, **paths}
    return Edge(earlier.node_id, later.node_id, EdgeType.DATA_FLOW, "", facts)


def _values(data: Mapping[str, Any], min_size: int) -> list[tuple[str, bytes]]:
    """Return path and content hash of each value of some size, outer values first, the whole last.

    A text of JSON has two: models give arguments to tools so, and get the results of tools so.
    """
    found: list[tuple[str, bytes]] = []
    waiting: list[tuple[str, Any, int]] = [
        (f"${_key_path(key)}", value, 1) for key, value in reversed(list(data.items()))
    ]
    while waiting:
        path, value, level = waiting.pop()
        text = value if isinstance(value, str) else _container_text(value)
        if len(text) < min_size:
            continue
        found.append((path, _hash(text, b"text" if text is value else b"data")))
        meant = _meant(text) if text is value else ""
        if len(meant) >= min_size:
            found.append((path, _hash(meant, b"data")))
        if level < _MAX_LEVELS:
            waiting += _inner_values(path, value, level + 1)
    whole = _container_text(data)
    if len(whole) >= min_size:
        found.append((_WHOLE, _hash(whole, b"data")))
    return found


def _hash(text: str, kind: bytes) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, person=kind).digest()


def _meant(text: str) -> str:
    """Return, as `_container_text` does, the data that a text of JSON stands for, or ""."""
    if not text.startswith(("{", "[")):
        return ""
    try:
        return _container_text(json.loads(text))
    except (ValueError, RecursionError):
        return ""


def _container_text(value: object) -> str:
    if not isinstance(value, (dict, list)) or not value:
        return ""
    try:
        return json.dumps(value, sort_keys=True)
    except (TypeError, ValueError, RecursionError):  # of a node made by hand
        return ""


def _inner_values(path: str, value: object, level: int) -> list[tuple[str, Any, int]]:
    inner: list[tuple[str, Any, int]] = []
    if isinstance(value, dict):
        inner = [(path + _key_path(key), each, level) for key, each in value.items()]
    elif isinstance(value, list):
        inner = [(f"{path}[{number}]", each, level) for number, each in enumerate(value)]
    return inner[::-1]


def _key_path(key: object) -> str:
    return f".{key}" if str(key).isidentifier() else f"[{json.dumps(str(key))}]"
