"""Token counts of every provider under the same names, and what else its usage tells.

gen_ai.usage.input_tokens                          with the cached ones, read and written
gen_ai.usage.output_tokens                         with the reasoning ones
gen_ai.usage.cache_read.input_tokens
gen_ai.usage.cache_creation.input_tokens           all that was written, of whatever lifetime
gen_ai.usage.cache_creation.ephemeral_5m_input_tokens, .ephemeral_1h_input_tokens
gen_ai.usage.reasoning.output_tokens
gen_ai.usage.audio.input_tokens, .audio.output_tokens, and so for images
gen_ai.usage.cost                                  when the provider tells it
gen_ai.response.service_tier                       the one that served, not the one asked for
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ._reading import fields_of, first, known, read

_LIFETIMES = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
_CACHE_CREATION = "gen_ai.usage.cache_creation"
_ANTHROPIC = ("cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation")
_TOOLS = ("web_search_requests", "web_fetch_requests")


def usage_facts(usage: Any) -> dict[str, Any]:
    """Return the facts of a usage in whichever of its spellings; unknown ones are left out."""
    if usage is None:
        return {}
    sent, received = "prompt_tokens", "completion_tokens"
    if read(usage, sent) is None and read(usage, received) is None:
        sent, received = "input_tokens", "output_tokens"
    counts = {
        "input_tokens": read(usage, sent),
        "output_tokens": read(usage, received),
        **_cache_counts(usage, sent),
        **_kinds(usage, sent, received),
    }
    _include_cached(counts, usage)
    _include_reasoning(counts, read(usage, "total_tokens"))
    facts = {f"gen_ai.usage.{name}": count for name, count in counts.items()}
    return known({**facts, **_lifetimes(usage, sent), **_other_facts(usage)})


def _cache_counts(usage: Any, sent: str) -> dict[str, Any]:
    details = read(usage, f"{sent}_details")
    written = first(
        read(usage, "cache_creation_input_tokens"),
        read(details, "cache_write_tokens"),
        read(details, "cache_creation_tokens"),
        read(usage, "cache_write_tokens"),
    )
    parts = _sum(read(usage, "cache_creation", name) for name in _LIFETIMES)
    return {
        "cache_read.input_tokens": first(
            read(usage, "cache_read_input_tokens"),
            read(details, "cached_tokens"),
            read(usage, "prompt_cache_hit_tokens"),  # DeepSeek
            read(usage, "cached_tokens"),  # Moonshot and others
        ),
        "cache_creation.input_tokens": written or first(parts, written),
    }


def _kinds(usage: Any, sent: str, received: str) -> dict[str, Any]:
    """Return the counts that are parts of the others: of reasoning, audio, images."""
    sent_details, details = read(usage, f"{sent}_details"), read(usage, f"{received}_details")
    reasoning = first(
        read(details, "reasoning_tokens"),
        read(details, "thinking_tokens"),
        read(usage, "reasoning_tokens"),
    )
    return {
        "reasoning.output_tokens": reasoning,
        "audio.input_tokens": read(sent_details, "audio_tokens"),
        "audio.output_tokens": read(details, "audio_tokens"),
        "image.input_tokens": read(sent_details, "image_tokens"),
        "image.output_tokens": read(details, "image_tokens"),
        "accepted_prediction.output_tokens": read(details, "accepted_prediction_tokens"),
        "rejected_prediction.output_tokens": read(details, "rejected_prediction_tokens"),
    }


def _include_cached(counts: dict[str, Any], usage: Any) -> None:
    """Add what the cache took part in to the input, which Anthropic counts apart."""
    is_apart = read(usage, "prompt_tokens") is None and any(
        read(usage, name) is not None for name in _ANTHROPIC
    )
    if is_apart and counts["input_tokens"] is not None:
        cached = (counts["cache_read.input_tokens"], counts["cache_creation.input_tokens"])
        counts["input_tokens"] += _sum(cached) or 0


def _include_reasoning(counts: dict[str, Any], total: Any) -> None:
    """Add the reasoning to the output, where only the total has it in (xAI)."""
    sent, received = counts["input_tokens"], counts["output_tokens"]
    reasoning = counts["reasoning.output_tokens"]
    are_numbers = all(isinstance(count, int) for count in (sent, received, reasoning, total))
    if are_numbers and reasoning and total == sent + received + reasoning:
        counts["output_tokens"] = received + reasoning


def _lifetimes(usage: Any, sent: str) -> dict[str, Any]:
    parts = first(read(usage, "cache_creation"), read(usage, f"{sent}_details"))
    return {f"{_CACHE_CREATION}.{name}": read(parts, name) or None for name in _LIFETIMES}


def _other_facts(usage: Any) -> dict[str, Any]:
    tools = read(usage, "server_tool_use")
    return {
        "gen_ai.usage.cost": read(usage, "cost"),
        "gen_ai.response.service_tier": read(usage, "service_tier"),
        **{f"gen_ai.usage.{name}": read(tools, name) or None for name in _TOOLS},
    }


def merge_usage(earlier: Any, later: Any) -> Any:
    """Return the later counts of a stream, with the earlier where the later tell nothing or 0."""
    if earlier is None or later is None:
        return later if earlier is None else earlier
    if not _is_group(earlier) or not _is_group(later):
        return later or earlier
    before, after = fields_of(earlier), fields_of(later)
    names = [*before, *(name for name in after if name not in before)]
    return {name: merge_usage(before.get(name), after.get(name)) for name in names}


def _is_group(value: Any) -> bool:
    return isinstance(value, dict) or hasattr(value, "__dict__")


def langchain_usage(usage: Any) -> dict[str, Any]:
    """Return the facts of LangChain's own form, in which a service tier may prefix a count."""
    given, made = read(usage, "input_token_details"), read(usage, "output_token_details")
    lifetimes = {name: read(given, name) for name in _LIFETIMES}
    counts = {
        "input_tokens": read(usage, "input_tokens"),
        "output_tokens": read(usage, "output_tokens"),
        "cache_read.input_tokens": _with_tier(given, "cache_read"),
        "cache_creation.input_tokens": _with_tier(given, "cache_creation")
        or first(_sum(lifetimes.values()), read(given, "cache_creation")),
        "reasoning.output_tokens": _with_tier(made, "reasoning"),
        "audio.input_tokens": read(given, "audio"),
        "audio.output_tokens": read(made, "audio"),
    }
    facts = {f"gen_ai.usage.{name}": count for name, count in counts.items()}
    apart = {f"{_CACHE_CREATION}.{name}": count or None for name, count in lifetimes.items()}
    return known({**facts, **apart})


def _with_tier(details: Any, name: str) -> Any:
    """Return a count, or else what stands under its name behind that of a service tier."""
    count = read(details, name)
    if count:
        return count
    ending = f"_{name}"
    tiers = [
        value for key, value in fields_of(details).items() if str(key).endswith(ending) and value
    ]
    return first(_sum(tiers), count)


def _sum(counts: Iterable[Any]) -> int | None:
    """Return the sum of the counts that are there, None when none is."""
    found = [count for count in counts if isinstance(count, int)]
    return sum(found) if found else None
