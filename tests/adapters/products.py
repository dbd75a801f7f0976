"""The products that the adapters are for, imported only where they are installed."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from needs import needs


def product(module: str) -> Any:
    """Import a module; the tests of the calling file are skipped where it is missing."""
    needs(module.partition(".")[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what products do while they are imported is theirs
        return importlib.import_module(module)
