"""Answers that use nothing of what was retrieved for them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from logtracer import NodeStatus, NodeType

from .findings import Finding
from .reading import Call, Reading, says_failure, strings_in

__all__ = ["find_unused_retrievals"]

_LOOKS_UP = re.compile(r"search|retriev|lookup|look_up|knowledge|fetch_doc|rag\b", re.IGNORECASE)
_WORDS = re.compile(r"[^\W\d_]{4,}|\d[\d.,:]*\d")
# Scripts that write no spaces: two characters are a word.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]")
_STEM = 5  # letters of a word that count: searches, searched and searching are one
_ENOUGH = 6  # words of its own on either side, without which nothing can be told
# Words that say nothing of a subject.
_COMMON = (
    "about after again also because been before being between both could does doing down "
    "during each from further have having here itself just more most only other over same "
    "should some such than that their them then there these they this those through under "
    "until very were what when where which while will with would your yours answer found "
    "result results search source sources document documents information question"
)
_COMMON_STEMS = frozenset(word[:_STEM] for word in _COMMON.split())


def find_unused_retrievals(reading: Reading) -> Iterator[Finding]:
    """Yield the retrievals of a run whose answer has no word of what they found.

    Words of the question count for neither. An answer that says that nothing was found is honest.
    """
    text, node = reading.answer
    if node is None or says_failure(text):
        return
    found = [call for call in reading.every_call() if _is_retrieval(call)]
    if not found:
        return
    asked = _words(" ".join(_given(reading, found)))
    retrieved: set[str] = set()
    for call in found:
        retrieved |= _words(" ".join(strings_in(call.node.output_data)))
    own, told = retrieved - asked, _words(text) - asked
    if min(len(own), len(told)) >= _ENOUGH and own.isdisjoint(told):
        nodes = [call.node for call in found]
        message = f"the answer uses nothing of what {nodes[0].name} found"
        yield reading.finding("unused_retrieval", nodes, message, text, spent=True)


def _is_retrieval(call: Call) -> bool:
    if call.node.status != NodeStatus.COMPLETED or call.error:
        return False
    return call.node.node_type == NodeType.RETRIEVAL or bool(_LOOKS_UP.search(call.node.name))


def _given(reading: Reading, found: list[Call]) -> Iterator[str]:
    """Yield the texts of the question: what the run and its retrievals were given."""
    for top in reading.trace.root_nodes:
        yield from strings_in(top.input_data)
    for call in found:
        yield from strings_in(call.node.input_data)


def _words(text: str) -> set[str]:
    text = text[:200_000].lower()
    words = {word[:_STEM] if word[0].isalpha() else word for word in _WORDS.findall(text)}
    unspaced = _UNSPACED.findall(text)
    words |= {first + second for first, second in zip(unspaced, unspaced[1:])}
    return words - _COMMON_STEMS
