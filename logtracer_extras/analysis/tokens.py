"""Tokens of a node, and what they cost by a table of prices."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from logtracer import LogtracerError, Node

__all__ = ["PriceError", "PriceTable", "Usage", "load_prices", "models_of", "usage_of"]


@dataclass(slots=True)
class Usage:
    """Tokens in buckets that do not overlap: each token is in one, and has one price."""

    uncached_input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    plain_output: int = 0
    reasoning: int = 0

    @property
    def input(self) -> int:
        """All that was sent, cached or not."""
        return self.uncached_input + self.cache_read + self.cache_write

    @property
    def output(self) -> int:
        """All that came back, reasoning included."""
        return self.plain_output + self.reasoning

    @property
    def tokens(self) -> int:
        """Everything: input and output."""
        return self.input + self.output

    def __add__(self, other: Usage) -> Usage:
        """Return both together, bucket by bucket."""
        return Usage(
            self.uncached_input + other.uncached_input,
            self.cache_read + other.cache_read,
            self.cache_write + other.cache_write,
            self.plain_output + other.plain_output,
            self.reasoning + other.reasoning,
        )

    def beyond(self, part: Usage) -> Usage:
        """Return what this total holds beyond a part of it, nothing where the part is larger."""
        extra_input = max(self.input - part.input, 0)
        extra_output = max(self.output - part.output, 0)
        cache_read = min(max(self.cache_read - part.cache_read, 0), extra_input)
        cache_write = min(max(self.cache_write - part.cache_write, 0), extra_input - cache_read)
        reasoning = min(max(self.reasoning - part.reasoning, 0), extra_output)
        uncached = extra_input - cache_read - cache_write
        return Usage(uncached, cache_read, cache_write, extra_output - reasoning, reasoning)


def usage_of(node: Node) -> Usage | None:
    """Return the tokens a node recorded under the GenAI names, None when it recorded none.

    The recorded input includes cached tokens, the recorded output includes reasoning. Somebody
    else's trace may count them beside it: a part larger than its whole shows that, and is added.
    """
    facts = node.metadata
    whole_input = _count(facts.get("gen_ai.usage.input_tokens"))
    whole_output = _count(facts.get("gen_ai.usage.output_tokens"))
    if whole_input is None and whole_output is None:
        return None
    cache_read = _count(facts.get("gen_ai.usage.cache_read.input_tokens")) or 0
    cache_write = _count(facts.get("gen_ai.usage.cache_creation.input_tokens")) or 0
    reasoning = _count(facts.get("gen_ai.usage.reasoning.output_tokens")) or 0
    uncached = _without(whole_input or 0, cache_read + cache_write)
    return Usage(
        uncached, cache_read, cache_write, _without(whole_output or 0, reasoning), reasoning
    )


def models_of(node: Node) -> list[str]:
    """Return the model that was asked for, then the one that answered, as far as recorded."""
    asked = node.metadata.get("gen_ai.request.model")
    answered = node.metadata.get("gen_ai.response.model")
    return [name for name in (asked, answered) if isinstance(name, str) and name]


def _count(value: object) -> int | None:
    """Return a recorded number of tokens; anything but a plain number was not recorded."""
    if type(value) is int or type(value) is float and math.isfinite(value):
        return int(value) if value > 0 else 0
    return None


def _without(whole: int, part: int) -> int:
    return whole if part > whole else whole - part


_PRICE_KEYS = ("input", "cache_read", "cache_write", "output", "reasoning")
_PER = 1_000_000  # tokens; providers publish their prices per million


class PriceError(LogtracerError, ValueError):
    """A price table is not what it should be; the message names the model and the remedy."""


class PriceTable:
    """Prices per million tokens by model name, `*` standing for any characters.

    An exact name wins over a pattern, a longer pattern over a shorter one. Cached input costs
    what `input` costs, and reasoning what `output` costs, unless the table says otherwise.

    >>> table = PriceTable({"small-*": {"input": 2.0, "output": 8.0}})
    >>> table.cost(Usage(uncached_input=500_000), ["small-1"])
    1.0
    >>> print(table.cost(Usage(uncached_input=500_000), ["large-1"]))
    None
    """

    def __init__(self, table: Mapping[str, Mapping[str, float]]) -> None:
        self._prices = {
            pattern.lower(): _checked_price(pattern, table[pattern])
            for pattern in sorted(table, key=len, reverse=True)
        }
        self._known: dict[str, tuple[float, ...] | None] = {}

    def cost(self, usage: Usage, models: Iterable[str]) -> float | None:
        """Return what the tokens cost; None, never 0, when no model has a price.

        The last model with a price counts: the one that answered rather than the one asked for.
        """
        price: tuple[float, ...] | None = None
        for model in models:
            price = self._price(model) or price
        if price is None:
            return None
        uncached, cache_read, cache_write, output, reasoning = price
        spent = usage.uncached_input * uncached
        spent += usage.cache_read * cache_read + usage.cache_write * cache_write
        spent += usage.plain_output * output + usage.reasoning * reasoning
        return spent / _PER

    def _price(self, model: str) -> tuple[float, ...] | None:
        if model not in self._known:
            self._known[model] = self._find(model.lower())
        return self._known[model]

    def _find(self, model: str) -> tuple[float, ...] | None:
        if model in self._prices:
            return self._prices[model]
        for pattern, price in self._prices.items():  # the longest pattern first
            if fnmatchcase(model, pattern.replace("[", "[[]")):
                return price
        return None


def load_prices(path: str | os.PathLike[str]) -> PriceTable:
    """Read a price table from a JSON file: `{"MODEL*": {"input": 3, "output": 15, ...}, ...}`.

    Raises OSError when the file cannot be opened, PriceError when it is not a price table.
    """
    with open(path, encoding="utf-8") as file:
        try:
            table = json.load(file)
        except (ValueError, RecursionError) as error:
            raise PriceError(f"{os.fspath(path)}: not JSON: {error}") from None
    if not isinstance(table, dict):
        raise PriceError(f"{os.fspath(path)}: must be an object of model names and their prices")
    try:
        return PriceTable(table)
    except PriceError as error:
        raise PriceError(f"{os.fspath(path)}: {error}") from None


def _checked_price(model: str, given: object) -> tuple[float, ...]:
    if not isinstance(given, Mapping):
        raise PriceError(f"{model!r}: must be an object such as {{'input': 3, 'output': 15}}")
    for key, value in given.items():
        if key not in _PRICE_KEYS:
            raise PriceError(f"{model!r}: unknown price {key!r}; known: {', '.join(_PRICE_KEYS)}")
        if type(value) not in (int, float) or not 0 <= value < math.inf:
            raise PriceError(f"{model!r}: {key} must be a number of 0 or more, not {value!r}")
    for key in ("input", "output"):
        if key not in given:
            raise PriceError(f"{model!r}: {key!r} is missing; give the price per million tokens")
    price = {"cache_read": given["input"], "cache_write": given["input"]}
    price |= {"reasoning": given["output"], **given}
    return tuple(float(price[key]) for key in _PRICE_KEYS)
