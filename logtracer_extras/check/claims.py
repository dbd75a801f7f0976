"""Claims without evidence: what an answer says was done, and no call did.

A small closed list: tests that pass, a file that was written, a message sent, a commit, a deploy, a
search. A sentence that denies, plans or advises is no claim.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from logtracer import Node

from .findings import Finding
from .reading import Call, Reading, text_of, tool_calls_in

__all__ = ["find_claims"]

_NO_CLAIM = re.compile(  # before it in its sentence
    r"n't\b|\b(?:not|never|no|none|should|would|could|will|once|if|when|before|until|please"
    r"|make sure|needs?|want|going to|let me|let's|to ensure|can|may|might|you|unless|try"
    r"|failed)\b",
    re.IGNORECASE,
)
_CONDITION = re.compile(r"\s*,?\s*(?:once|if|unless|when|after you|only)\b", re.IGNORECASE)
_FILE = r"[`'\"]?(?P<file>[\w./\\-]*[\w-]\.[A-Za-z]\w{0,4})\b"


_OTHERS = ("custom", "validation", "transformation", "sub_agent")
_LOOKED = r"\bi(?:'ve| have)? (?:searched|looked up|checked|browsed|consulted)\b[^.!?\n]{0,30}"


@dataclass(frozen=True)
class _Claim:
    """A thing to claim, and the calls that would be its evidence."""

    kind: str
    claim: re.Pattern[str]
    evidence: re.Pattern[str]
    message: str


def _claim(kind: str, claim: str, evidence: str, message: str) -> _Claim:
    return _Claim(
        kind, re.compile(claim, re.IGNORECASE), re.compile(evidence, re.IGNORECASE), message
    )


_TESTS = _claim(
    "claimed_tests",
    r"\b(?:all |the |unit |\d+ )*tests? (?:suite )?(?:are |is |were |was |now |all |have |has )*"
    r"(?:pass(?:es|ing|ed)?|green|succeed(?:s|ed)?)\b",
    r"test|spec\b|jest|tox|nox|check|verify|coverage|ci\b|\bmake\b",
    "it says that tests pass",
)
_RUNS_TESTS = re.compile(r"(?<!la)(?<!con)test|jest|\b(?:tox|nox)\b", re.IGNORECASE)
_CLAIMS = (
    _claim(
        "claimed_file",
        rf"\b(?:wrote|written|created|saved|updated|edited|generated)\b[^.!?\n]{{0,40}}?{_FILE}",
        r"write|edit|create|save|patch|replace|insert|append|update|generate|export|render|touch|tee"
        r"|>|open\(|\bcp\b|\bmv\b|sed",
        "it says that it wrote a file",
    ),
    _claim(
        "claimed_message",
        r"\b(?:sent|emailed|e-mailed|notified|messaged)\b[^.!?\n]{0,40}"
        r"\b(?:e-?mail|message|notification|mail|reply|invitation|slack)\b"
        r"|\b(?:e-?mail|message|notification|reply|invitation) (?:was|has been|is) sent\b",
        r"mail|send|message|notif|slack|post|reply|sms|smtp|invit|telegram",
        "it says that it sent a message",
    ),
    _claim(
        "claimed_commit",
        r"\b(?:i(?:'ve| have)? |have |been |changes )(?:committed|pushed|merged)\b",
        r"commit|push|merge|\bgit\b|pull.?request|\bpr\b",
        "it says that it committed or pushed",
    ),
    _claim(
        "claimed_deploy",
        r"\b(?:i(?:'ve| have)? |been |is now |was |successfully )(?:deployed|released|published)\b",
        r"deploy|release|publish|upload|kubectl|terraform|docker|push|apply",
        "it says that it deployed",
    ),
    _claim(
        "claimed_search",
        rf"{_LOOKED}\b(?:web|internet|online)\b",
        r"search|brows|fetch|http|curl|url|web|scrape|crawl",
        "it says that it searched the web",
    ),
    _claim(
        "claimed_search",
        rf"{_LOOKED}\b(?:docs|documentation|database|knowledge base|files|repository|logs)\b",
        r"search|fetch|look|retriev|query|read|get|http|grep|find|list|curl|sql|open|check|cat|log",
        "it says that it looked something up",
    ),
)


def find_claims(reading: Reading) -> Iterator[Finding]:
    """Yield what the final answer claims and no call of the run shows."""
    text, node = reading.answer
    if node is None:
        return
    done: _Evidence | None = None
    for claim in (_TESTS, *_CLAIMS):
        for sentence, match in _claims_in(text, claim):
            done = done or _Evidence(reading)
            doubt = done.doubt(claim, match)
            if doubt is not None:
                message = f"{claim.message}, and {doubt[0]}"
                nodes = [*doubt[1], node]
                yield reading.finding(claim.kind, nodes, message, sentence, spent=False)


def _claims_in(text: str, claim: _Claim) -> Iterator[tuple[str, re.Match[str]]]:
    """Yield the sentences that make a claim."""
    for sentence in _sentences(text):
        match = claim.claim.search(sentence)
        if match is None or sentence.rstrip().endswith("?"):
            continue
        before, after = sentence[: match.end()], sentence[match.end() :]
        if not _NO_CLAIM.search(before) and not _CONDITION.match(after):
            yield sentence, match


def _sentences(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.!?])\s+|\n+", text[:20_000]) if part.strip()]


class _Evidence:
    """What a run did, as texts: names and arguments of calls, those that messages ask for too.

    Of an agent whose calls stand in the text of its model, and nowhere else, that text counts.
    """

    def __init__(self, reading: Reading) -> None:
        self._calls = sorted(reading.every_call(), key=lambda call: reading.order[call.node.id])
        models = [call.node for calls in reading.models.values() for call in calls]
        asked = [_dumped(each) for node in models for each in tool_calls_in(node)]
        others = [node for node in reading.trace.nodes.values() if node.node_type in _OTHERS]
        self._texts = [*map(_text, self._calls), *asked]
        if not self._texts:
            said = [text_of(node) or "" for node in models]
            self._texts = [text for text in said if text != reading.answer[0]]
        self._texts += [f"{node.name} {_dumped(node.input_data)}" for node in others]

    def doubt(self, claim: _Claim, match: re.Match[str]) -> tuple[str, list[Node]] | None:
        """Return what speaks against a claim; of a file, that no call was about that name."""
        name = (match.groupdict().get("file") or "").replace("\\", "/").rpartition("/")[2]
        if not any(claim.evidence.search(text) and name in text for text in self._texts):
            return "no test was run" if claim is _TESTS else "no call did", []
        runs = self._calls if claim is _TESTS else []
        runs = [call for call in runs if _RUNS_TESTS.search(_text(call))]
        if runs and runs[-1].error:
            return "the last run of them failed", [runs[-1].node]
        return None


def _text(call: Call) -> str:
    return f"{call.node.name} {_dumped(call.node.input_data)}"


def _dumped(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=str)[:20_000]
    except (RecursionError, ValueError):
        return ""
