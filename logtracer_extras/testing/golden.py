"""Golden traces: a run that was right once, kept in git, that later runs are compared with."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from logtracer import Edge, Node, TraceGraph, load_trace_json, trace_to_json

from ..diff import ABSENT, Change, FieldChange, TraceDiff, diff
from ..diff.values import Lens, packed
from ..facts import REPEATS_PARENT, links_of

__all__ = ["UPDATE", "assert_same", "changes_text", "field_text", "normalised", "save_golden"]

UPDATE = "LOGTRACER_UPDATE"
"""The variable of the environment that has `assert_same` write golden traces, when it is 1."""


def assert_same(
    trace: TraceGraph,
    golden: TraceGraph | str | os.PathLike[str],
    *,
    ignore: Iterable[str] = (),
    mask: Iterable[str] = (),
) -> None:
    """Check that a run did what another one did; ids and times never count.

    `golden` is a trace, or the path of a golden trace, which `LOGTRACER_UPDATE=1` or `pytest
    --logtracer-update` writes anew. `ignore` names values that do not count, by path
    (`output.request_id`, `input.messages[*].id`); text that the regular expressions of `mask`
    match is the same as other text they match.
    """
    __tracebackhide__ = True
    ignore, mask = tuple(ignore), tuple(mask)
    if isinstance(golden, TraceGraph):
        known, name = golden, f"trace {golden.name!r}"
    else:
        path = Path(golden)
        name = str(path)
        if os.environ.get(UPDATE) == "1":
            save_golden(trace, path, ignore=ignore, mask=mask)
            return
        if not path.exists():
            raise AssertionError(f"no golden trace {name}; {UPDATE}=1 writes it")
        known = load_trace_json(path)
    before, after = (normalised(each, ignore=ignore, mask=mask) for each in (known, trace))
    before.name = after.name = ""
    comparison = diff(before, after, ignore=ignore, mask=mask)
    if comparison.changes:
        remedy = "" if isinstance(golden, TraceGraph) else f"; if it should, {UPDATE}=1"
        raise AssertionError("\n".join([f"differs from {name}{remedy}", *changes_text(comparison)]))


# ---- Golden files ------------------------------------------------------------------------------


def save_golden(
    trace: TraceGraph,
    path: str | os.PathLike[str],
    *,
    ignore: Iterable[str] = (),
    mask: Iterable[str] = (),
) -> None:
    """Write the normal form of a trace: a trace file like any other, without what is empty.

    The same run gives the same bytes, so a golden trace changes in git where the agent did.
    """
    normal = normalised(trace, ignore=ignore, mask=mask)
    document = json.loads(trace_to_json(normal))
    nodes = {key: _told(node) for key, node in document["nodes"].items()}
    links = [_told(edge.to_dict()) for edge in normal.edges]
    facts = {key: document[key] for key in ("schema_version", "trace_id", "name")}
    text = json.dumps({**facts, "nodes": nodes, "edges": links}, indent=2, ensure_ascii=False)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text + "\n", encoding="utf-8", newline="\n")


def _told(item: dict[str, Any]) -> dict[str, Any]:
    """Leave out what says nothing; readers of traces put it back."""
    return {key: value for key, value in item.items() if value or key == "sequence_number"}


# ---- Normal form -------------------------------------------------------------------------------


@dataclass(slots=True)
class _Branch:
    """A node, its lane, and what is below it."""

    node: Node
    lane: Any
    children: list[_Branch] = field(default_factory=list)


def normalised(
    trace: TraceGraph, *, ignore: Iterable[str] = (), mask: Iterable[str] = ()
) -> TraceGraph:
    """Return a copy in which two runs that did the same are the same.

    Ids count up; times, tracebacks and what no two runs share are left out. Nodes that ran at the
    same time stand in the order of what they were given, not of the race.
    """
    lens = Lens(ignore, mask)
    normal = TraceGraph(trace.schema_version, "0" * 32, lens.text(trace.name))
    ids: dict[str, str] = {}
    waiting: list[tuple[Node | None, Any, _Branch]] = []
    waiting += [(None, None, top) for top in reversed(_stable(_tops(trace), None, lens))]
    while waiting:
        above, lane, branch = waiting.pop()
        copy = _copy(branch.node, lens, len(ids))
        if above is not None:
            copy.parent_id, copy.depth = above.id, above.depth + 1
        if branch.lane != lane:
            copy.metadata["lane"] = re.sub("[0-9]+", "", str(branch.lane))
        ids[branch.node.id] = copy.id
        normal.add_node(copy)
        below = _stable(branch.children, branch.lane, lens)
        waiting += [(copy, branch.lane, child) for child in reversed(below)]
    normal.edges = _links(trace, ids)
    return normal


def _tops(trace: TraceGraph) -> list[_Branch]:
    """Return the trace as trees; whatever its parents say, no node is left out."""
    levels: list[list[_Branch]] = [[]]  # where a node of each level belongs
    lanes: list[Any] = [None]
    for level, node in trace.walk():
        branch = _Branch(node, node.metadata.get("lane", lanes[level]))
        levels[level].append(branch)
        levels[level + 1 :], lanes[level + 1 :] = [branch.children], [branch.lane]
    return levels[0]


def _stable(siblings: list[_Branch], lane: Any, lens: Lens) -> list[_Branch]:
    """Put siblings that ran at the same time into an order that the race does not decide."""
    ordered: list[_Branch] = []
    for group in _at_once(siblings, lane):
        ordered += sorted(group, key=lambda branch: _content(branch.node, lens))
    return ordered


def _at_once(siblings: list[_Branch], lane: Any) -> Iterator[list[_Branch]]:
    """Group siblings that overlap in time, or run in lanes of their own."""
    group: list[_Branch] = []
    until: datetime | None = None
    for branch in siblings:
        start, end = branch.node.start_time, branch.node.end_time
        overlaps = until is not None and start is not None and start < until
        is_aside = branch.lane != lane and group and group[-1].lane != lane
        if group and not overlaps and not is_aside:
            yield group
            group, until = [], None
        group.append(branch)
        until = max(filter(None, (until, end)), default=None)
    yield group


def _content(node: Node, lens: Lens) -> tuple[str, str, bytes]:
    return lens.text(node.name), str(node.node_type), packed(lens.facts(node).get("input"))


def _copy(node: Node, lens: Lens, number: int) -> Node:
    facts = lens.facts(node)
    copy = Node(f"{number + 1:016x}", number, lens.text(node.name), str(node.node_type))
    copy.status, copy.error = node.status, facts.get("error")
    copy.error_type = facts.get("error_type")
    copy.input_data, copy.output_data = facts.get("input", {}), facts.get("output", {})
    copy.annotations = facts.get("annotations", [])
    copy.metadata = dict(facts.get("metadata") or {})
    return copy


def _links(trace: TraceGraph, ids: dict[str, str]) -> list[Edge]:
    """Return the edges that say more than the tree, between the new ids."""
    links = [
        Edge(ids[edge.source_id], ids[edge.target_id], str(edge.edge_type), edge.label)
        for edge in links_of(trace, repeats=REPEATS_PARENT)
        if edge.source_id in ids and edge.target_id in ids
    ]
    return sorted(links, key=lambda edge: (edge.target_id, edge.source_id, edge.edge_type))


# ---- Changes as text ---------------------------------------------------------------------------

_LINES = 14  # of a message; the whole of it is what `logtracer diff` draws
_FIELDS = 3  # shown of one node
_WIDTH = 60  # characters shown of a value


def changes_text(comparison: TraceDiff, *, lines: int = _LINES) -> list[str]:
    """Return the changes in a few lines: the first in time first, each with the node it is of."""
    first = [comparison.first] if comparison.first is not None else []
    changes = [*first, *(each for each in comparison.changes if each is not comparison.first)]
    texts: list[str] = []
    for number, change in enumerate(changes):
        new = _change_text(comparison, change)
        left = len(changes) - number
        if len(texts) + len(new) > lines - (left > 1):
            return [*texts, f"  ... and {left} more {'change' if left == 1 else 'changes'}"]
        texts += new
    return texts


def _change_text(comparison: TraceDiff, change: Change) -> list[str]:
    size = f" ({change.steps} nodes)" if change.steps > 1 else ""
    lines = [f"  {change.kind} {comparison.path(change)}{size}"]
    lines += [f"    {field_text(item)}" for item in change.fields[:_FIELDS]]
    left = len(change.fields) - _FIELDS
    return [*lines, f"    ... and {left} more values"] if left > 0 else lines


def field_text(item: FieldChange) -> str:
    """Return in one line how a value changed; a long text from where it differs."""
    if item.before is ABSENT:
        return f"{item.path}: new {_brief(item.after)}"
    if item.after is ABSENT:
        return f"{item.path}: gone {_brief(item.before)}"
    start = 0
    if isinstance(item.before, str) and isinstance(item.after, str):
        start = max(len(os.path.commonprefix([item.before, item.after])) - 20, 0)
    return f"{item.path}: {_brief(item.before, start)} -> {_brief(item.after, start)}"


def _brief(value: Any, start: int = 0) -> str:
    """Show a value, a long text from a little before the place where it differs."""
    if isinstance(value, str) and len(value) > _WIDTH and start:
        return "..." + _brief(value[start:])
    text = repr(value)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."
