"""Times, counts and costs: written by the terminal as by the page."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conftest import ROOT
from logtracer_cli import Pen

VECTORS = json.loads((ROOT / "tests/data/writing_vectors.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("milliseconds", "written"), VECTORS["times"])
def test_a_time_is_written_as_on_the_page(milliseconds: float | None, written: str) -> None:
    assert Pen().duration(milliseconds) == written


@pytest.mark.parametrize(("number", "written"), VECTORS["counts"])
def test_a_count_is_written_as_on_the_page(number: int, written: str) -> None:
    assert Pen().tokens(number) == written


@pytest.mark.parametrize(("cost", "written"), VECTORS["costs"])
def test_a_cost_is_written_as_on_the_page(cost: Any, written: str) -> None:
    assert Pen().cost(cost) == written
