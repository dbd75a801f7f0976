"""How often a test tries: a few times in every run, very often in the `stress` session.

LOGTRACER_STRESS=1 python -m pytest tests/tracer/test_kill.py
"""

from __future__ import annotations

import os

# Read when tests are collected: while one runs, no LOGTRACER_ variable is set.
IS_STRESS = os.environ.get("LOGTRACER_STRESS") == "1"


def figure(usual: int, stress: int) -> int:
    """Return how often to try: `usual`, or `stress` under LOGTRACER_STRESS=1."""
    return stress if IS_STRESS else usual
