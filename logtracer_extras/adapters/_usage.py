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
    fields = fields_of(usage)  # asking an SDK's object for what it has not is slow
    sent, received = "prompt_tokens", "completion_tokens"
    if fields.get(sent) is None and fields.get(received) is None:
        sent, received = "input_tokens", "output_tokens"
    given, made = _part(fields, f"{sent}_details"), _part(fields, f"{received}_details")
    lifetimes = _part(fields, "cache_creation") or given
    counts = {
        "input_tokens": fields.get(sent),
        "output_tokens": fields.get(received),
        "cache_read.input_tokens": _any_of(fields, _CACHED, given, "cached_tokens"),
        "cache_creation.input_tokens": _written(fields, given, lifetimes),
        "reasoning.output_tokens": first(
            made.get("reasoning_tokens"),
            made.get("thinking_tokens"),
            fields.get("reasoning_tokens"),
        ),
    }
    for kind in _KINDS:
        counts[f"{kind}.input_tokens"] = given.get(f"{kind}_tokens")
        counts[f"{kind}.output_tokens"] = made.get(f"{kind}_tokens")
    _include_cached(counts, fields)
    _include_reasoning(counts, fields.get("total_tokens"))
    facts = {f"{_USAGE}{name}": count for name, count in counts.items() if count is not None}
    facts.update((f"{_CACHE_CREATION}.{name}", lifetimes.get(name) or None) for name in _LIFETIMES)
    tools = _part(fields, "server_tool_use")
    facts.update((f"{_USAGE}{name}", tools.get(name) or None) for name in _TOOLS)
    facts[f"{_USAGE}cost"] = fields.get("cost")
    facts["gen_ai.response.service_tier"] = fields.get("service_tier")
    return {name: fact for name, fact in facts.items() if fact is not None}


_USAGE = "gen_ai.usage."
_CACHED = ("cache_read_input_tokens", "prompt_cache_hit_tokens", "cached_tokens")  # by provider
_KINDS = ("audio", "image", "accepted_prediction", "rejected_prediction")


def _part(fields: dict[str, Any], name: str) -> dict[str, Any]:
    part = fields.get(name)
    return {} if part is None else fields_of(part)


def _any_of(
    fields: dict[str, Any], names: Iterable[str], details: dict[str, Any], name: str
) -> Any:
    """Return the first of some counts that is there, or else one of the details."""
    return first(*map(fields.get, names), details.get(name))


def _written(fields: dict[str, Any], given: dict[str, Any], lifetimes: dict[str, Any]) -> Any:
    """Return how much was written to the cache, if need be as the sum of its lifetimes."""
    written = first(
        fields.get("cache_creation_input_tokens"),
        given.get("cache_write_tokens"),
        given.get("cache_creation_tokens"),
        fields.get("cache_write_tokens"),
    )
    return written or first(_sum(map(lifetimes.get, _LIFETIMES)), written)


def _include_cached(counts: dict[str, Any], fields: dict[str, Any]) -> None:
    """Add what the cache took part in to the input, which Anthropic counts apart."""
    is_apart = "prompt_tokens" not in fields and any(
        fields.get(name) is not None for name in _ANTHROPIC
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
