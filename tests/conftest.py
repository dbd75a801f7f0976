"""What holds for every test: no settings from outside, and laws checked without a stopwatch."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# How long one example takes says nothing about the law, and a busy machine is no bug.
hypothesis.settings.register_profile("logtracer", deadline=None)
hypothesis.settings.load_profile("logtracer")

pytest.register_assert_rewrite("shared_suite", "store_suite")  # explain their asserts, too

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the LOGTRACER_... variables and the locale of whoever runs the tests from the code."""
    for name in list(os.environ):
        if name.startswith("LOGTRACER_") and name != "LOGTRACER_REQUIRE_ALL":
            monkeypatch.delenv(name)
    for name in ("LC_ALL", "LC_CTYPE", "LANG", "PYTHONUTF8", "PYTHONIOENCODING"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Run a test from an empty directory, as a newcomer would."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path


@pytest.fixture
def no_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `logtracer_extras` be a folder that was not copied along."""
    loaded = [name for name in sys.modules if name.partition(".")[0] == "logtracer_extras"]
    for name in {"logtracer_extras", *loaded}:
        monkeypatch.setitem(sys.modules, name, None)
