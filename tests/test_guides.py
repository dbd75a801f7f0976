"""The guides: their snippets run, every page is in the index, the API page is what code says."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from test_readme import fenced, run_snippet

DOCS = ROOT / "docs"
GUIDES = ("production", "fastapi", "notebooks")
SNIPPETS = [
    pytest.param(snippet, id=f"{name}-{number}")
    for name in GUIDES
    for number, snippet in enumerate(
        fenced((DOCS / f"{name}.md").read_text(encoding="utf-8"), "python")
    )
]


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_snippet_of_a_guide_runs(snippet: str, tmp_path: Path) -> None:
    run_snippet(tmp_path, snippet)


def test_the_index_links_every_page() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in DOCS.glob("*.md")} - {"README.md"}
    assert {page for page in pages if f"]({page})" not in index} == set()


def test_the_page_of_the_api_says_what_the_docstrings_say() -> None:
    assert runpy.run_path(str(DOCS / "build_api.py"))["build"]() == (DOCS / "api.md").read_text(
        encoding="utf-8"
    )


def test_every_public_name_is_on_the_page_of_the_api() -> None:
    import logtracer

    page = (DOCS / "api.md").read_text(encoding="utf-8")
    assert [name for name in logtracer.__all__ if f"### `{name}`" not in page] == []


def test_the_examples_of_docstrings_run() -> None:
    command = [sys.executable, "-m", "doctest", str(ROOT / "logtracer.py")]
    ran = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
    assert (ran.returncode, ran.stdout) == (0, "")
