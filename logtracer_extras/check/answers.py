"""Answers of models that are none: cut off, empty, refused, or at the end of their context."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from logtracer import Node, NodeStatus

from ..conventions.messages import messages_in
from ..facts import models_of, usage_of
from .findings import Finding
from .reading import Reading, strings_in, text_of, tool_calls_in

__all__ = ["answer_problem", "find_bad_answers", "find_full_contexts"]

_CUT_OFF = frozenset(
    {"length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"}
)
_REFUSED = frozenset({"refusal", "content_filter", "safety", "prohibited_content", "blocked"})
_SHORT = 16  # tokens; who asks for so few wants a word, and gets it cut off
_REFUSAL = re.compile(
    r"\s*(?:(?:i'm|i am) (?:very )?sorry,? (?:but )?|unfortunately,? |as an ai[^.,]*,? )?"
    r"i (?:can(?:'t|not|no't)|am (?:unable|not able) to|won't|will not)"
    r" (?:help|assist|comply|fulfil+|provide|do that|discuss|create|generate|continue)\b"
    r"|\s*i must decline\b",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(
    r"context[ _](?:length|window)|prompt is too long|maximum context|too many (?:input )?tokens",
    re.IGNORECASE,
)
_NEARLY_FULL = 0.9  # of a context; what is left does not hold an answer


def answer_problem(node: Node) -> tuple[str, str, str] | None:
    """Return what is wrong with one answer: its kind, a message, what shows it."""
    if node.status != NodeStatus.COMPLETED:
        return None
    reasons = {reason.lower() for reason in _reasons(node)}
    text = text_of(node)
    if reasons & _CUT_OFF and not _wants_little(node):
        return "truncated", f"the answer of {node.name} was cut off", _end(text)
    said = (message.get("refusal") for message in messages_in(node.output_data))
    refused = next(filter(None, said), "")
    if refused or reasons & _REFUSED or (text and _REFUSAL.match(text.replace("\u2019", "'"))):
        evidence = text or str(refused) or ", ".join(sorted(reasons))
        return "refusal", f"{node.name} refused", evidence
    if text == "" and not reasons & {"tool_calls", "tool_use"} and _is_bare(node):
        return "empty_answer", f"{node.name} answered nothing", ""
    return None


_LABELS = frozenset(
    {"assistant", "model", "ai", "text", "message", "stop", "end_turn", "completed"}
)


def _is_bare(node: Node) -> bool:
    """Whether an output holds no text but labels, and no call: no sound, no picture, no data."""
    texts = {text.strip().lower() for text in strings_in(node.output_data)}
    return texts - {""} <= _LABELS and not tool_calls_in(node)


def _reasons(node: Node) -> list[str]:
    listed = node.metadata.get("gen_ai.response.finish_reasons")
    told: list[Any] = [*listed] if isinstance(listed, list) else [listed]
    told += [node.output_data.get("finish_reason"), node.output_data.get("stop_reason")]
    return [reason for reason in told if isinstance(reason, str)]


def _wants_little(node: Node) -> bool:
    most = node.metadata.get("gen_ai.request.max_tokens")
    return type(most) is int and most <= _SHORT


def _end(text: str | None) -> str:
    return f"...{text[-80:]}" if text else ""


def find_bad_answers(reading: Reading) -> Iterator[Finding]:
    """Yield answers that are none, but for those that the same agent asked for again.

    An empty answer or a refusal in the middle of its work is made good by what came after.
    """
    for calls in reading.models.values():
        for place, call in enumerate(calls, 1):
            problem = answer_problem(call.node)
            if problem is not None and (problem[0] == "truncated" or place == len(calls)):
                if problem[0] == "truncated" and place < len(calls) and _goes_on(calls[place].node):
                    continue
                kind, message, evidence = problem
                spent = kind != "truncated"
                yield reading.finding(kind, [call.node], message, evidence, spent=spent)


def _goes_on(node: Node) -> bool:
    """Whether a call asks to go on with the answer that was cut off."""
    return re.search(r"\b(?:continue|go on)\b", str(node.input_data)[-300:], re.I) is not None


def find_full_contexts(windows: Mapping[str, int]) -> Callable[[Reading], Iterator[Finding]]:
    """Return the detector of calls near the end of a model's context, and of those beyond it.

    `windows` holds the tokens that models take, by name, `*` standing for any characters. Without
    an entry only a call that failed for it is found.
    """

    def find(reading: Reading) -> Iterator[Finding]:
        for calls in reading.models.values():
            full = [call.node for call in calls if _is_full(call.node, windows)]
            if full:
                message = f"{full[0].name} ran at the end of its context"
                evidence = f"{_read(full[0]):,} tokens" if not full[0].error else full[0].error
                yield reading.finding("context_limit", full, message, evidence, spent=False)

    return find


def _is_full(node: Node, windows: Mapping[str, int]) -> bool:
    if node.status == NodeStatus.FAILED:
        return _TOO_LONG.search(f"{node.error_type} {node.error}") is not None
    sizes = [
        size
        for pattern, size in windows.items()
        for model in models_of(node)
        if fnmatchcase(model, pattern)
    ]
    return bool(sizes) and _read(node) >= _NEARLY_FULL * max(sizes)


def _read(node: Node) -> int:
    usage = usage_of(node)
    return 0 if usage is None else usage.input
