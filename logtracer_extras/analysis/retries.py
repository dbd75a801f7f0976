"""Find the retries and fallbacks that nobody recorded."""

from __future__ import annotations

import re
from collections.abc import Callable

from logtracer import Edge, EdgeType, Node, NodeStatus, NodeType

from ..facts import AGAIN
from .run import Run, Step
from .tokens import models_of

__all__ = ["infer_edges"]


# Facts of a call that say which try it is, and others that a further try may change.
_TRY_KEYS = frozenset(
    ("attempt", "attempts", "attempt_number", "retry", "retries", "retry_count", "try", "tries")
)
_MODEL_KEYS = ("model", "model_name", "provider", "engine", "deployment", "base_url", "api_base")
_CHANGING = _TRY_KEYS | {
    *("timeout", "timeout_s", "timeout_ms", "timeout_seconds", "deadline"),
    *("request_id", "idempotency_key", "timestamp", *_MODEL_KEYS),
}
_TRY_WORDS = ("attempt", "retry", "try")
_NUMBERING = " _-.:#()[]0123456789"
_FALLBACK_NAME = re.compile(r"fall_?back", re.IGNORECASE)
_FALLBACK_NOTE = re.compile(
    r"\b(?:fell|falls?|falling)[ -]back\b|\bfallback (?:to|for|after)\b|\bas (?:a )?fallback\b",
    re.IGNORECASE,
)
_UNDONE = (NodeStatus.FAILED, NodeStatus.CANCELLED)
# Kinds of step of which one can stand in for another when both get the same input. Several
# checks or transformations of one text are an ordinary pipeline.
_STAND_INS: dict[str, str] = {
    NodeType.LLM_CALL: "model",
    NodeType.TOOL_CALL: "tool",
    NodeType.RETRIEVAL: "tool",
    NodeType.SUB_AGENT: "agent",
}
# What a tool's name says that takes the input of a failed one, but not to replace it.
_AFTERMATH = frozenset(
    (
        *("abort", "cancel", "clean", "cleanup", "close", "delete", "release", "remove"),
        *("revert", "rollback", "undo", "alert", "create", "log", "notify", "record", "report"),
    )
)
_WORD = re.compile("[A-Z]?[a-z]+|[A-Z]+")


def infer_edges(run: Run) -> list[Edge]:
    links = _Links([edge for edge in run.trace.edges if edge.edge_type in AGAIN])
    scopes: dict[int, list[Step]] = {}
    for step in run.steps:
        if step.node.status in _UNDONE:
            scopes[id(step.parent)] = step.parent.children if step.parent else run.top
    for scope in scopes.values():
        if len(scope) > 1:
            _infer_scope(scope, links)
    links.inferred.sort(key=lambda edge: run.by_id[edge.target_id].start)
    return links.inferred


class _Links:
    """The retries and fallbacks known so far, recorded or inferred."""

    def __init__(self, recorded: list[Edge]) -> None:
        self.inferred: list[Edge] = []
        self._explained = {edge.target_id for edge in recorded}
        retries = [edge for edge in recorded if edge.edge_type == EdgeType.RETRY_OF]
        self._earlier = {edge.target_id: edge.source_id for edge in retries}
        self._retried = {edge.source_id for edge in retries}

    def add(self, earlier: str, later: str, edge_type: EdgeType) -> None:
        """Note an inferred edge, unless what it explains is explained already."""
        if later in self._explained:
            return
        self._explained.add(later)
        if edge_type == EdgeType.RETRY_OF:
            self._earlier[later] = earlier
            self._retried.add(earlier)
        self.inferred.append(Edge(earlier, later, edge_type, "", {"inferred": True}))

    def gave_up(self, step: Step) -> bool:
        """Tell whether a step failed and was not tried again."""
        return step.node.status in _UNDONE and step.node.id not in self._retried

    def first_try(self, node_id: str) -> str:
        """Return the first try of what this step tried again."""
        climbed: dict[str, None] = {}  # in order, and safe from recorded circles
        while node_id in self._earlier and node_id not in climbed:
            climbed[node_id] = None
            node_id = self._earlier[node_id]
        for later in climbed:  # so that asking for each of a long chain stays cheap
            self._earlier[later] = node_id
        return node_id


def _infer_scope(scope: list[Step], links: _Links) -> None:
    """Infer the edges between siblings, given in the order they started."""
    undone = [number for number, step in enumerate(scope) if step.node.status in _UNDONE]
    lost = {_given(scope[number].node) for number in undone}
    groups: dict[str, list[Step]] = {}  # of steps that got the same input
    following: dict[int, Step | None] = {}
    for step, next_step in zip(scope, [*scope[1:], None]):
        given = _given(step.node)
        if given in lost and (given or _says_try(step.node)):
            groups.setdefault(given, []).append(step)
            following[id(step)] = next_step
    for given, group in groups.items():
        for alike in _split(group, _identity):
            _link_retries(alike, following, links)
        for alike in _split(group, _stand_in_kind) if given else ():
            _link_fallbacks(alike, links)
    for number in undone:
        for next_step in scope[number + 1 : number + 2]:
            _link_said_fallback(scope[number], next_step, links)


def _split(steps: list[Step], key: Callable[[Step], object]) -> list[list[Step]]:
    groups: dict[object, list[Step]] = {}
    for step in steps:
        groups.setdefault(key(step), []).append(step)
    return list(groups.values())


def _link_retries(alike: list[Step], following: dict[int, Step | None], links: _Links) -> None:
    tries = _first_tries(alike)
    if any(step is following[id(tries[-1])] for step in alike):
        return  # the same call straight after it succeeded: a loop that polls or samples
    rounds = {_identity(step) for end in (0, -1) if (step := following[id(tries[end])])}
    if len(alike) > len(tries) and len(rounds) == 1:
        return  # such a loop, with a pause or the like recorded in each round
    for earlier, later in zip(tries, tries[1:]):
        links.add(earlier.node.id, later.node.id, EdgeType.RETRY_OF)


def _link_fallbacks(alike: list[Step], links: _Links) -> None:
    tries = _first_tries(alike)
    names = {_identity(step) for step in tries}
    if any(_identity(step) not in names for step in alike):
        return  # a third name at work on the same input: a pipeline, not a replacement
    for earlier, later in zip(tries, tries[1:]):
        is_other = _identity(earlier) != _identity(later)
        if is_other and _stand_in_kind(earlier) and not _cleans_up(earlier, later):
            links.add(links.first_try(earlier.node.id), later.node.id, EdgeType.FALLBACK_OF)


def _link_said_fallback(earlier: Step, later: Step, links: _Links) -> None:
    """Link a failed step with its next sibling, if that says it is a fallback."""
    if links.gave_up(earlier) and later.start >= earlier.end and _says_fallback(later.node):
        links.add(links.first_try(earlier.node.id), later.node.id, EdgeType.FALLBACK_OF)


def _first_tries(group: list[Step]) -> list[Step]:
    """Return the failures a group begins with and what came after them.

    What fails after it had succeeded is part of a loop, what overlaps is a fan-out: then there
    is nothing but the first step.
    """
    if any(later.start < earlier.end for earlier, later in zip(group, group[1:])):
        return group[:1]
    for number, step in enumerate(group):
        if step.node.status not in _UNDONE:
            return group[: number + 1]
    return group


def _cleans_up(earlier: Step, later: Step) -> bool:
    """Tell whether a tool deals with the failure of another one, rather than do its work."""
    if _stand_in_kind(later) != "tool":
        return False
    before, after = (set(_WORD.findall(step.node.name)) for step in (earlier, later))
    return any(word.lower() in _AFTERMATH for word in after - before)


def _stand_in_kind(step: Step) -> str | None:
    return _STAND_INS.get(step.node.node_type)


def _identity(step: Step) -> tuple[str, ...]:
    """Return what tries of one thing have in common, whatever they were given."""
    node = step.node
    given = (node.input_data.get(key) for key in _MODEL_KEYS)
    models = [*models_of(node)[:1], *(model for model in given if isinstance(model, str))]
    return node.node_type, _plain_name(node.name)[0], *models


def _plain_name(name: str) -> tuple[str, bool]:
    """Return a name without the number at its end, and whether it said to be a try.

    >>> _plain_name("api_call_attempt_2"), _plain_name("turn 3"), _plain_name("registry")
    (('api_call', True), ('turn', False), ('registry', False))
    >>> _plain_name("attempt_2")
    ('attempt', True)
    """
    stem = name.rstrip(_NUMBERING)
    for word in _TRY_WORDS:
        rest = stem[: -len(word)]
        if stem.lower().endswith(word) and not rest[-1:].isalnum():
            return rest.rstrip(_NUMBERING) or stem, True
    return stem or name, False


def _given(node: Node) -> str:
    """Return the input that tells a try from a call for something else, "" when there is none."""
    given = node.input_data
    kept = [key for key in given if key not in _CHANGING and given[key] != "[REDACTED]"]
    try:
        return repr([(key, given[key]) for key in sorted(kept)]) if kept else ""
    except (TypeError, ValueError, RecursionError):  # of a node made by hand
        return ""


def _says_try(node: Node) -> bool:
    """Tell whether a step without input says itself that it is a try of something."""
    keys = {*node.input_data, *node.metadata}
    return _plain_name(node.name)[1] or not keys.isdisjoint(_TRY_KEYS)


def _says_fallback(node: Node) -> bool:
    return bool(_FALLBACK_NAME.search(node.name)) or any(
        isinstance(note, str) and _FALLBACK_NOTE.search(note) for note in node.annotations
    )
