"""Tokens: what products call them, and what they are called here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .values import mapping, object_of, parse_json

__all__ = ["DATADOG_USAGE", "rename", "take_usage", "usage_facts"]


# Only on the call itself: a span around several calls often repeats their sum, and who adds up
# `gen_ai.usage` must not count it twice.
_USAGE_ALIASES = {
    "gen_ai.usage.input_tokens": (
        "llm.token_count.prompt",
        "gen_ai.usage.prompt_tokens",
        "llm.usage.prompt_tokens",
        "ai.usage.inputTokens",
        "ai.usage.promptTokens",
        "ai.usage.tokens",
    ),
    "gen_ai.usage.output_tokens": (
        "llm.token_count.completion",
        "gen_ai.usage.completion_tokens",
        "llm.usage.completion_tokens",
        "ai.usage.outputTokens",
        "ai.usage.completionTokens",
    ),
    "gen_ai.usage.cache_read.input_tokens": (
        "llm.token_count.prompt_details.cache_read",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.details.cache_read_tokens",
        "ai.usage.cachedInputTokens",
    ),
    "gen_ai.usage.cache_creation.input_tokens": (
        "llm.token_count.prompt_details.cache_write",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.details.cache_write_tokens",
    ),
    "gen_ai.usage.reasoning.output_tokens": (
        "llm.token_count.completion_details.reasoning",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens",
        "ai.usage.reasoningTokens",
    ),
}
_TOTALS = ("llm.token_count.total", "llm.usage.total_tokens", "gen_ai.usage.total_tokens")
_MLFLOW_USAGE = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_input_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_creation_input_tokens": "gen_ai.usage.cache_creation.input_tokens",
}


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
    for whole, way in (("prompt_tokens", "input"), ("completion_tokens", "output")):
        if whole in counts:
            found[f"gen_ai.usage.{way}_tokens"] = counts[whole]
    return found


_LANGFUSE_WORDS = {
    "gen_ai.usage.input_tokens": ("input", "cache_"),
    "gen_ai.usage.output_tokens": ("output",),
    "gen_ai.usage.cache_read.input_tokens": ("cached", "cache_read"),
    "gen_ai.usage.cache_creation.input_tokens": ("cache_creation", "cache_write"),
    "gen_ai.usage.reasoning.output_tokens": ("reasoning",),
}


def rename(attributes: dict[str, Any], canonical: str, aliases: Iterable[str]) -> None:
    """Move a fact to its GenAI name; an alias that says something else stays beside it."""
    for alias in aliases:
        if alias not in attributes:
            continue
        if attributes.setdefault(canonical, attributes[alias]) == attributes[alias]:
            del attributes[alias]


def take_usage(attributes: dict[str, Any]) -> None:
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
    counts = [attributes.get(f"gen_ai.usage.{way}_tokens") for way in ("input", "output")]
    if type(counts[0]) is int and type(counts[1]) is int:
        for name in _TOTALS:  # a sum that adds nothing
            if attributes.get(name) == counts[0] + counts[1]:
                del attributes[name]


def _make_counts_whole(attributes: dict[str, Any]) -> None:
    """Turn counts that went through floats, as in pandas and in Datadog, back into integers."""
    for name in _USAGE_ALIASES:
        count = attributes.get(name)
        if isinstance(count, float) and count.is_integer():
            attributes[name] = int(count)


_USAGE = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "prompt_tokens": "gen_ai.usage.input_tokens",
    "completion_tokens": "gen_ai.usage.output_tokens",
    "input_tokens_cache_read": "gen_ai.usage.cache_read.input_tokens",
    "input_tokens_cache_write": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}
_USAGE_DETAILS = {
    ("input_token_details", "cache_read"): "gen_ai.usage.cache_read.input_tokens",
    ("input_token_details", "cache_creation"): "gen_ai.usage.cache_creation.input_tokens",
    ("output_token_details", "reasoning"): "gen_ai.usage.reasoning.output_tokens",
    ("prompt_tokens_details", "cached_tokens"): "gen_ai.usage.cache_read.input_tokens",
    ("input_tokens_details", "cached_tokens"): "gen_ai.usage.cache_read.input_tokens",
    ("completion_tokens_details", "reasoning_tokens"): "gen_ai.usage.reasoning.output_tokens",
    ("output_tokens_details", "reasoning_tokens"): "gen_ai.usage.reasoning.output_tokens",
}
_USAGE_BESIDE = {  # what Anthropic counts beside the input; the GenAI names count it within
    "cache_read_input_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_creation_input_tokens": "gen_ai.usage.cache_creation.input_tokens",
}


def usage_facts(usage: Mapping[str, Any]) -> dict[str, int]:
    """Return token counts under their GenAI names."""
    found = {name: usage[key] for key, name in _USAGE.items() if type(usage.get(key)) is int}
    for (group, key), name in _USAGE_DETAILS.items():
        count = object_of(usage.get(group)).get(key)
        if type(count) is int:
            found[name] = count
    for key, name in _USAGE_BESIDE.items():
        count = usage.get(key)
        if type(count) is int and "gen_ai.usage.input_tokens" in found:
            found[name] = count
            found["gen_ai.usage.input_tokens"] += count
    return found


DATADOG_USAGE = {
    "model_name": "gen_ai.request.model",
    "model_provider": "gen_ai.provider.name",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_input_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_input_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "total_tokens": "llm.token_count.total",
}
