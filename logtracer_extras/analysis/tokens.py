"""Tokens of a node, and what they cost by a table of prices."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from logtracer import LogtracerError

from ..facts import Usage, models_of, usage_of

__all__ = ["PriceError", "PriceTable", "Usage", "load_prices", "models_of", "usage_of"]


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
