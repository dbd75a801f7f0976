"""Tools that completed with a result that says error, and nobody who looked at it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from logtracer import EdgeType, NodeStatus

from .findings import Finding
from .reading import Call, Reading, says_failure

__all__ = ["find_hidden_errors"]

_LAST = 3  # calls before the end of an agent's work; an error among them was its last word
# What changes the world: that it did not work matters however long ago it was.
_EFFECTS = re.compile(
    r"write|send|post|create|update|delete|remove|deploy|commit|push|publish|install|build|test"
    r"|save|upload|submit|pay|book|order|insert|apply|patch|edit|migrate|release|merge",
    re.IGNORECASE,
)


def find_hidden_errors(reading: Reading) -> Iterator[Finding]:
    """Yield errors in results of completed calls that no later call and no answer accounts for.

    A call that failed openly is no matter here. An error is accounted for by a later call of the
    same tool that went well, a retry or fallback that completed, or an answer that owns up to it.
    Looking for something that is not there is how one explores: only what changes the world, and
    what was tried last, is looked at.
    """
    if not reading.looks_successful or says_failure(reading.answer[0]):
        return
    mended = _mended(reading)
    for calls in reading.calls.values():
        well: set[str] = set(mended)  # nodes and tools of which no error is left
        for place, call in enumerate(reversed(calls)):
            if not call.error:
                well.add(call.tool)
            elif well.isdisjoint((call.tool, call.node.id)) and _matters(call, place):
                well.add(call.tool)  # the last error of a tool speaks for those before it
                message = f"{call.tool} completed with an error that nothing came of"
                yield reading.finding("hidden_error", [call.node], message, call.error, spent=False)


def _matters(call: Call, place: int) -> bool:
    if call.node.status != NodeStatus.COMPLETED:
        return False
    return place < _LAST or _EFFECTS.search(f"{call.node.name} {call.command}") is not None


def _mended(reading: Reading) -> set[str]:
    """Return the ids of nodes that a completed retry or fallback follows."""
    nodes = reading.trace.nodes
    again = (EdgeType.RETRY_OF, EdgeType.FALLBACK_OF)
    return {
        edge.source_id
        for edge in reading.trace.edges
        if edge.edge_type in again
        and edge.target_id in nodes
        and nodes[edge.target_id].status == NodeStatus.COMPLETED
        and not Call(nodes[edge.target_id]).error
    }
