"""The products that the adapters are for, imported only where they are installed."""

from __future__ import annotations

import importlib
from typing import Any

from needs import needs


def product(module: str) -> Any:
    """Import a module; the tests of the calling file are skipped where it is missing."""
    needs(module.partition(".")[0])
    return importlib.import_module(module)
