"""Tokens and cost: what products call them, and what they are called here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from .values import integer_of, mapping, object_of, parse_json

__all__ = [
    "CACHE_READ",
    "CACHE_WRITE",
    "COST",
    "DATADOG_USAGE",
    "INPUT",
    "OUTPUT",
    "REASONING",
    "amount_of",
    "rename",
    "take_claude_code_usage",
    "take_usage",
    "usage_facts",
]

INPUT = "gen_ai.usage.input_tokens"
OUTPUT = "gen_ai.usage.output_tokens"
CACHE_READ = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE = "gen_ai.usage.cache_creation.input_tokens"
REASONING = "gen_ai.usage.reasoning.output_tokens"
COST = "gen_ai.usage.cost"  # US dollars, as the source told them; the conventions have no name

# Only on the call itself: a span around several calls often repeats their sum, and who adds up
# `gen_ai.usage` must not count it twice.
_USAGE_ALIASES = {
    INPUT: (
        "llm.token_count.prompt",
        "gen_ai.usage.prompt_tokens",
        "llm.usage.prompt_tokens",
        "ai.usage.inputTokens",
        "ai.usage.promptTokens",
        "ai.usage.tokens",
    ),
    OUTPUT: (
        "llm.token_count.completion",
        "gen_ai.usage.completion_tokens",
        "llm.usage.completion_tokens",
        "ai.usage.outputTokens",
        "ai.usage.completionTokens",
    ),
    CACHE_READ: (
        "llm.token_count.prompt_details.cache_read",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.details.cache_read_tokens",
        "ai.usage.cachedInputTokens",
    ),
    CACHE_WRITE: (
        "gen_ai.usage.cache_write.input_tokens",
        "llm.token_count.prompt_details.cache_write",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.details.cache_write_tokens",
    ),
    REASONING: (
        "llm.token_count.completion_details.reasoning",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens",
        "ai.usage.reasoningTokens",
    ),
    COST: ("llm.cost.total", "operation.cost", "gen_ai.usage.total_cost", "gen_ai.cost"),
}
_TOTALS = ("llm.token_count.total", "llm.usage.total_tokens", "gen_ai.usage.total_tokens")
_MLFLOW_USAGE = {
    "input_tokens": INPUT,
    "output_tokens": OUTPUT,
    "cache_read_input_tokens": CACHE_READ,
    "cache_creation_input_tokens": CACHE_WRITE,
}
_COST_TABLES = {"langfuse.observation.cost_details": "total", "mlflow.llm.cost": "total_cost"}


def amount_of(value: Any) -> float | None:
    """Return a sum of money given as a number or as its text; None when it is neither."""
    try:
        amount = float(value) if isinstance(value, (int, float, str)) else math.nan
    except (ValueError, OverflowError):
        return None
    return amount if 0 <= amount < math.inf and value is not True and value is not False else None


def _langfuse_usage(usage: Mapping[str, Any]) -> dict[str, int]:
    """Return the counts of Langfuse: buckets beside one another, told by the words in their names.

    What OpenAI's own names say is the whole already, with its parts beside it.
    """
    counts = {str(name): count for name, count in usage.items() if type(count) is int}
    found: dict[str, int] = {}
    for canonical, words in _LANGFUSE_WORDS.items():
        parts = [counts[name] for name in counts if any(word in name for word in words)]
        if parts:
            found[canonical] = sum(parts)
    for wholes, canonical in ((_WHOLE_INPUTS, INPUT), (_WHOLE_OUTPUTS, OUTPUT)):
        whole = next((counts[name] for name in wholes if name in counts), None)
        if whole is not None:
            found[canonical] = whole
    return found


_WHOLE_INPUTS = ("promptTokens", "prompt_tokens")
_WHOLE_OUTPUTS = ("completionTokens", "completion_tokens")
_LANGFUSE_WORDS = {
    INPUT: ("input", "cache_"),
    OUTPUT: ("output",),
    CACHE_READ: ("cached", "cache_read"),
    CACHE_WRITE: ("cache_creation", "cache_write"),
    REASONING: ("reasoning",),
}


def rename(attributes: dict[str, Any], canonical: str, aliases: Iterable[str]) -> None:
    """Move a fact to its GenAI name; an alias that says something else stays beside it."""
    for alias in aliases:
        if alias not in attributes:
            continue
        if attributes.setdefault(canonical, attributes[alias]) == attributes[alias]:
            del attributes[alias]


def take_usage(attributes: dict[str, Any]) -> None:
    """Give the tokens and the cost of a call their GenAI names, from whichever there are."""
    for canonical, aliases in _USAGE_ALIASES.items():
        rename(attributes, canonical, aliases)
    usage = mapping(parse_json(attributes.get("mlflow.chat.tokenUsage")))
    for name, canonical in _MLFLOW_USAGE.items():
        if type(usage.get(name)) is int:
            attributes.setdefault(canonical, usage[name])
    usage = mapping(parse_json(attributes.get("langfuse.observation.usage_details")))
    for canonical, count in _langfuse_usage(usage).items():
        attributes.setdefault(canonical, count)
    _make_counts_whole(attributes)
    _take_cost(attributes)
    counts = [attributes.get(f"gen_ai.usage.{way}_tokens") for way in ("input", "output")]
    if type(counts[0]) is int and type(counts[1]) is int:
        for name in _TOTALS:  # a sum that adds nothing
            if attributes.get(name) == counts[0] + counts[1]:
                del attributes[name]


def take_claude_code_usage(attributes: dict[str, Any]) -> None:
    """Read the counts of Claude Code's own spans, which count cached tokens beside the input."""
    names = {
        INPUT: "input_tokens",
        OUTPUT: "output_tokens",
        CACHE_READ: "cache_read_tokens",
        CACHE_WRITE: "cache_creation_tokens",
    }
    for canonical, name in names.items():
        count = integer_of(attributes.get(name))
        if count is not None:
            attributes[canonical] = count
            del attributes[name]
    if INPUT in attributes:
        attributes[INPUT] += sum(attributes.get(name, 0) for name in (CACHE_READ, CACHE_WRITE))
    rename(attributes, "gen_ai.request.model", ("model",))
    rename(attributes, COST, ("cost_usd",))


def _make_counts_whole(attributes: dict[str, Any]) -> None:
    """Turn counts that went through floats or texts, as in pandas and Datadog, into integers."""
    for name in _USAGE_ALIASES:
        count = attributes.get(name)
        if name != COST and isinstance(count, (str, float)):
            whole = integer_of(count)
            if whole is not None and (isinstance(count, str) or whole == count):
                attributes[name] = whole


def _take_cost(attributes: dict[str, Any]) -> None:
    for name, key in _COST_TABLES.items():
        costs = mapping(parse_json(attributes.get(name)))
        if costs and COST not in attributes:
            parts = [amount_of(part) for part in costs.values()]
            attributes[COST] = costs.get(key, sum(part for part in parts if part is not None))
    if COST not in attributes:
        parts = [amount_of(attributes.get(f"llm.cost.{way}")) for way in ("prompt", "completion")]
        if any(part is not None for part in parts):
            attributes[COST] = sum(part for part in parts if part is not None)
    amount = amount_of(attributes.get(COST))
    if amount is not None:
        attributes[COST] = amount


_USAGE = {
    "input_tokens": INPUT,
    "prompt_tokens": INPUT,
    "inputTokens": INPUT,
    "promptTokens": INPUT,
    "promptTokenCount": INPUT,
    "prompt_token_count": INPUT,
    "output_tokens": OUTPUT,
    "completion_tokens": OUTPUT,
    "outputTokens": OUTPUT,
    "completionTokens": OUTPUT,
    "candidatesTokenCount": OUTPUT,
    "candidates_token_count": OUTPUT,
    "input_tokens_cache_read": CACHE_READ,
    "cache_read_tokens": CACHE_READ,
    "cached_tokens": CACHE_READ,
    "cachedInputTokens": CACHE_READ,
    "cached_input_tokens": CACHE_READ,
    "cachedContentTokenCount": CACHE_READ,
    "cached_content_token_count": CACHE_READ,
    "prompt_cache_hit_tokens": CACHE_READ,
    "input_tokens_cache_write": CACHE_WRITE,
    "cache_write_tokens": CACHE_WRITE,
    "reasoning_tokens": REASONING,
    "reasoningTokens": REASONING,
    "output_reasoning_tokens": REASONING,
    "thoughtsTokenCount": REASONING,
    "thoughts_token_count": REASONING,
}
_DETAILS = (
    "input_token_details",
    "input_tokens_details",
    "prompt_tokens_details",
    "inputTokenDetails",
    "output_token_details",
    "output_tokens_details",
    "completion_tokens_details",
    "outputTokenDetails",
)
_DETAIL = {
    "cache_read": CACHE_READ,
    "cached_tokens": CACHE_READ,
    "cached": CACHE_READ,
    "cacheReadTokens": CACHE_READ,
    "cache_creation": CACHE_WRITE,
    "cache_write": CACHE_WRITE,
    "cache_write_tokens": CACHE_WRITE,
    "cache_creation_tokens": CACHE_WRITE,
    "cacheWriteTokens": CACHE_WRITE,
    "reasoning": REASONING,
    "reasoning_tokens": REASONING,
    "reasoningTokens": REASONING,
}
_USAGE_BESIDE = {  # what Anthropic counts beside the input; the GenAI names count it within
    "cache_read_input_tokens": CACHE_READ,
    "cache_creation_input_tokens": CACHE_WRITE,
}
_BEDROCK_BESIDE = {"cacheReadInputTokens": CACHE_READ, "cacheWriteInputTokens": CACHE_WRITE}
_SUMS = ("total_tokens", "totalTokens", "totalTokenCount", "total_token_count")
_THOUGHTS = ("thoughtsTokenCount", "thoughts_token_count")
_PARTS_OF_WRITE = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")


def usage_facts(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Return token counts, and the cost where it is told, under their GenAI names."""
    found: dict[str, Any] = {}
    if not usage:
        return found
    for key, name in _USAGE.items():
        count = _count(usage[key]) if key in usage else None
        if count is not None:
            found.setdefault(name, count)
    for group in _DETAILS:
        if group in usage:
            _add_details(found, object_of(usage[group]))
    _add_beside(found, usage)
    _add_reasoning_beside(found, usage)
    amount = _told_cost(usage)
    if amount is not None:
        found[COST] = amount
    return found


def _count(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    count = integer_of(value)
    return count if count is not None and count >= 0 else None


def _add_details(found: dict[str, Any], details: Mapping[str, Any]) -> None:
    """Add the parts of a count; LangChain puts the kind of service in front of their names."""
    for key, value in details.items():
        count = _count(value)
        name = _DETAIL.get(str(key)) or _DETAIL.get(str(key).partition("_")[2])
        if count is not None and name is not None:
            found[name] = max(count, found.get(name, 0))
    parts = [_count(details.get(key)) or 0 for key in _PARTS_OF_WRITE]
    if any(parts):
        found[CACHE_WRITE] = max(sum(parts), found.get(CACHE_WRITE, 0))


def _add_beside(found: dict[str, Any], usage: Mapping[str, Any]) -> None:
    """Add cached tokens that are counted beside the input, as Anthropic and Bedrock do."""
    if INPUT not in found:
        return
    within = "prompt_tokens" in usage  # LiteLLM keeps Anthropic's names beside a whole count
    for key, name in _USAGE_BESIDE.items():
        count = _count(usage.get(key))
        if count is not None:
            found[name] = count
            found[INPUT] += 0 if within else count
    counts = {name: _count(usage.get(key)) or 0 for key, name in _BEDROCK_BESIDE.items()}
    found.update({name: count for name, count in counts.items() if count})
    whole = found[INPUT] + found.get(OUTPUT, 0)
    if any(counts.values()) and _total(usage) == whole + sum(counts.values()):
        found[INPUT] += sum(counts.values())


def _total(usage: Mapping[str, Any]) -> int | None:
    totals = (_count(usage.get(name)) for name in _SUMS)
    return next((total for total in totals if total is not None), None)


def _add_reasoning_beside(found: dict[str, Any], usage: Mapping[str, Any]) -> None:
    """Add reasoning that is counted beside the output, as Google and xAI do."""
    reasoning = found.get(REASONING, 0)
    if not reasoning or OUTPUT not in found:
        return
    is_google = any(name in usage for name in _THOUGHTS)
    whole = found.get(INPUT, 0) + found[OUTPUT] + reasoning
    if is_google or _total(usage) == whole:
        found[OUTPUT] += reasoning


def _told_cost(usage: Mapping[str, Any]) -> float | None:
    cost = usage.get("cost")
    for value in (cost, mapping(cost).get("total"), usage.get("total_cost"), usage.get("cost_usd")):
        amount = None if isinstance(value, dict) else amount_of(value)
        if amount is not None:
            return amount
    return None


DATADOG_USAGE = {
    "model_name": "gen_ai.request.model",
    "model_provider": "gen_ai.provider.name",
    "input_tokens": INPUT,
    "output_tokens": OUTPUT,
    "cache_read_input_tokens": CACHE_READ,
    "cache_write_input_tokens": CACHE_WRITE,
    "total_tokens": "llm.token_count.total",
}
