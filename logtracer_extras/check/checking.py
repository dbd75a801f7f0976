"""All detectors over one run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from logtracer import TraceGraph

from ..analysis.tokens import PriceTable
from .answers import find_bad_answers, find_full_contexts
from .claims import find_claims
from .findings import Finding
from .grounding import find_unused_retrievals
from .loops import find_loops, find_vain_searches
from .reading import Reading
from .results import find_hidden_errors

__all__ = ["KINDS", "check"]

KINDS = {
    "repeated_call": "the same call with the same result, again and again",
    "alternation": "a few calls in turns, always with the same results",
    "no_progress": "many calls in a row that bring nothing new",
    "retry_unchanged": "tried again with the same arguments, and the same error",
    "waiting": "asked for something that was never ready, and went on as if it were",
    "hidden_error": "a call that completed with a result that says error",
    "truncated": "an answer that was cut off",
    "empty_answer": "an answer without a word or a call",
    "refusal": "a model that refused",
    "context_limit": "a call at the end of its model's context, or beyond it",
    "claimed_tests": "tests are said to pass, and none was run, or the last failed",
    "claimed_file": "a file is said to be written, and no call wrote it",
    "claimed_message": "a message is said to be sent, and no call sent one",
    "claimed_commit": "a commit or a push is claimed, and no call made one",
    "claimed_deploy": "a deployment is claimed, and no call made one",
    "claimed_search": "a search is claimed, and no call looked anything up",
    "unused_retrieval": "an answer that uses nothing of what was retrieved for it",
    "over_budget": "a run that uses more than it may; a watch finds it, a check does not",
}
"""Every kind of finding, and what it means."""


def check(
    trace: TraceGraph,
    *,
    prices: PriceTable | None = None,
    context_windows: Mapping[str, int] | None = None,
    ignore: Iterable[str] = (),
) -> list[Finding]:
    """Return what is wrong with a run, in the order in which it began.

    `context_windows` holds how many tokens models take, by name or pattern; `ignore` names kinds
    that do not matter here. ValueError when one of them is none of KINDS.
    """
    ignored = set(ignore)
    if not ignored <= KINDS.keys():
        unknown = sorted(ignored - KINDS.keys())
        raise ValueError(f"unknown kind {unknown[0]!r}; known: {', '.join(KINDS)}")
    reading = Reading(trace, prices)
    detectors = (
        find_loops,
        find_vain_searches,
        find_hidden_errors,
        find_bad_answers,
        find_full_contexts(context_windows or {}),
        find_claims,
        find_unused_retrievals,
    )
    found = [finding for detector in detectors for finding in detector(reading)]
    wanted = [finding for finding in _each_once(found) if finding.kind not in ignored]
    return sorted(wanted, key=lambda finding: (reading.order[finding.nodes[0]], finding.kind))


def _each_once(found: list[Finding]) -> list[Finding]:
    """Leave out an error that is the evidence against a claim: the claim tells of it."""
    claimed = {
        node for finding in found if finding.kind == "claimed_tests" for node in finding.nodes
    }
    return [
        finding
        for finding in found
        if finding.kind != "hidden_error" or claimed.isdisjoint(finding.nodes)
    ]
