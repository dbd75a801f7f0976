"""A browser for the tests of the page, and a way to open a trace in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from logtracer_extras.viewer import write_page
from viewer.browser import Visitor, chromium, visit

Open = Callable[..., Visitor]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Any) -> Iterator[Visitor]:
    with visit(browser) as visitor:
        yield visitor


@pytest.fixture
def show(page: Visitor, tmp_path: Path) -> Iterator[Open]:
    """Open a page, at a place of it; whatever was shown, nothing may be asked for or complained."""

    def open_page(text: str, place: str = "") -> Visitor:
        address = Path(write_page(text, tmp_path / "run.html", force=True)).as_uri()
        page.open(address + place)
        return page

    yield open_page
    outside = [url for url in page.requests if not url.startswith(("file:", "data:", "blob:"))]
    assert outside == [] and page.complaints == []
