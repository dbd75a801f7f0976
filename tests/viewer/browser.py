"""A real Chromium for the viewer's tests, with a record of what a page asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from needs import needs

PAGE = Path(__file__).parents[2] / "logtracer_extras" / "viewer" / "viewer.html"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Visitor:
    """One open page: its requests, its dialogs and what it complained of."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._heard)
        page.on("dialog", self._saw_dialog)

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _saw_dialog(self, dialog: Any) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def open(self, address: str) -> None:
        """Go to a page and wait until it has drawn its trace."""
        self.page.goto(address)
        self.until("() => document.documentElement.dataset.painted && logtracerApp.hasLanded")

    def ask(self, script: str, argument: Any = None) -> Any:
        """Evaluate a function in the page."""
        return self.page.evaluate(script, argument)

    def until(self, script: str, tries: int = 300) -> Any:
        """Ask until the answer is yes. (`wait_for_function` needs eval, which the page forbids.)"""
        for _ in range(tries):
            answer = self.page.evaluate(script)
            if answer:
                return answer
            self.page.wait_for_timeout(30)
        raise AssertionError(f"never true: {script}; the page says {self.complaints}")

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, and let the page draw."""
        for key in keys:
            self.page.keyboard.press(key)
        self.page.wait_for_timeout(60)


@contextmanager
def chromium() -> Iterator[Any]:
    """Start a Chromium of this machine; skip without one, or without playwright."""
    needs("playwright")
    path = needs("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def visit(browser: Any, width: int = 1440, height: int = 900, **options: Any) -> Iterator[Visitor]:
    """Open a window with a fresh profile."""
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    yield Visitor(context.new_page())
    context.close()
