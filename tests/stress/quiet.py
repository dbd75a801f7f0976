"""The tracer logs each cause once a minute: a test that wants to hear it comes minutes later."""

from __future__ import annotations

import itertools
import time

import pytest

_minutes = itertools.count(60, 60)


def minutes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the monotonic clock later than any test before has."""
    ahead, real = 60.0 * next(_minutes), time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: ahead + real())
