"""The page in Firefox: it opens, asks for nothing, and a hostile trace stays text there too."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from logtracer import TraceGraph
from logtracer_extras.diff import diff
from logtracer_extras.viewer import comparison_page, trace_page, write_page
from logtracer_extras.viewer import page as viewer
from needs import needs
from viewer.talks import hostile_talk, talk_trace
from viewer.traces import hostile_trace, reference_trace

POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
PAINTED = (
    "return document.documentElement.dataset.painted !== undefined && !!logtracerApp.hasLanded"
)


class Firefox:
    """Speaks Marionette, Firefox's own protocol: a length, a colon, and JSON."""

    def __init__(self, port: int) -> None:
        self._socket = self._connect(port)
        self._file = self._socket.makefile("rb")
        self._number = 0
        self._read()  # its greeting
        self.call("WebDriver:NewSession")

    @staticmethod
    def _connect(port: int) -> socket.socket:
        for _ in range(300):
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=60)
            except OSError:
                time.sleep(0.1)  # it is starting
        raise AssertionError("Firefox did not open its port")

    def _read(self) -> Any:
        length = b""
        while (character := self._file.read(1)) != b":":
            length += character
        return json.loads(self._file.read(int(length)))

    def call(self, command: str, **arguments: Any) -> Any:
        """Send a command and return its result."""
        self._number += 1
        message = json.dumps([0, self._number, command, arguments]).encode()
        self._socket.sendall(b"%d:%s" % (len(message), message))
        _, _, error, result = self._read()
        assert error is None, error
        return result

    def ask(self, script: str) -> Any:
        """Run a script in the page and return what it returns."""
        answer = self.call("WebDriver:ExecuteScript", script=script, args=[], sandbox=None)
        return answer["value"]

    def open(self, address: str) -> None:
        """Go to a page and wait until it has drawn its trace."""
        self.call("WebDriver:Navigate", url=address)
        for _ in range(600):
            if self.ask(PAINTED):
                return
            time.sleep(0.05)
        raise AssertionError(self.ask("return document.body.innerText"))

    def close(self) -> None:
        """End the session and the connection."""
        self._file.close()
        self._socket.close()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    program = needs("firefox-esr")
    profile, port = tmp_path_factory.mktemp("profile"), free_port()
    (profile / "user.js").write_text(f'user_pref("marionette.port", {port});\n')
    command = [program, "--headless", "--marionette", "--no-remote", "--profile", str(profile)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        browser = Firefox(port)
        yield browser
        browser.close()
        process.terminate()


def opened(firefox: Firefox, tmp_path: Path, trace: TraceGraph) -> None:
    """Write the page of a trace and open it."""
    firefox.open(Path(write_page(trace_page(trace), tmp_path / "run.html")).as_uri())


def test_comparison_opens_and_is_aligned(firefox: Firefox, tmp_path: Path) -> None:
    before, after = reference_trace(300), reference_trace(400)
    page = comparison_page(before, after, diff(before, after).rows)
    firefox.open(Path(write_page(page, tmp_path / "diff.html")).as_uri())
    firefox.ask("for (let turn = 0; turn < 3; turn++) logtracerApp.alignNext()")
    firefox.ask("logtracerApp.stepMatch(1)")
    assert firefox.ask("return logtracerApp.diff.counts().length") > 0
    assert firefox.ask("return logtracerApp.selected") >= 300


def test_conversation_draws_markdown_and_a_recorded_picture(
    firefox: Firefox, tmp_path: Path
) -> None:
    opened(firefox, tmp_path, talk_trace())
    drawn = "return document.querySelectorAll('.talk %s').length"
    assert firefox.ask(drawn % ".prose table td") == 2
    assert firefox.ask(drawn % "img") == 1
    assert firefox.ask(drawn % "a") == 0
    firefox.ask("logtracerApp.stepCall(1)")
    assert firefox.ask("return logtracerApp.selected") > 0
    assert firefox.ask("return performance.getEntriesByType('resource').length") <= 1


def test_hostile_conversation_stays_text(firefox: Firefox, tmp_path: Path) -> None:
    opened(firefox, tmp_path, hostile_talk())
    firefox.ask("for (const each of document.querySelectorAll('details')) each.open = true")
    firefox.ask("logtracerApp.conversation.toggleRaw()")
    assert firefox.ask("return document.querySelectorAll('.talk .card').length") > 5
    assert firefox.ask("return window.pwned === undefined && ({}).polluted === undefined")
    assert firefox.ask("return performance.getEntriesByType('resource').length") == 0


def test_page_opens_and_answers_to_its_views(firefox: Firefox, tmp_path: Path) -> None:
    opened(firefox, tmp_path, reference_trace(5_000))
    assert firefox.ask("return logtracerApp.model.count") >= 5_000
    firefox.ask(
        "for (const tab of ['flame', 'table', 'log', 'timeline']) logtracerApp.showTab(tab)"
    )
    firefox.ask("logtracerApp.stepError(1)")
    assert firefox.ask("return logtracerApp.selected") > 0
    assert firefox.ask("return performance.getEntriesByType('resource').length") == 0


@pytest.mark.parametrize("is_escaped", [True, False])
@pytest.mark.parametrize("has_policy", [True, False])
def test_each_wall_holds_alone_and_without_both_the_attack_works(
    firefox: Firefox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_escaped: bool,
    has_policy: bool,
) -> None:
    if not is_escaped:
        monkeypatch.setattr(viewer, "_ESCAPES", {})
    text = trace_page(hostile_trace())
    page = write_page(text if has_policy else POLICY.sub("", text), tmp_path / "run.html")
    firefox.call("WebDriver:Navigate", url=Path(page).as_uri())
    was_run = firefox.ask("return window.pwned === 1")
    assert was_run == (not is_escaped and not has_policy)


def test_hostile_trace_stays_text(firefox: Firefox, tmp_path: Path) -> None:
    opened(firefox, tmp_path, hostile_trace())
    firefox.ask("for (let node = 0; node < 16; node++) logtracerApp.select(node)")
    firefox.ask(
        "for (const tab of ['flame', 'table', 'log', 'timeline']) logtracerApp.showTab(tab)"
    )
    assert firefox.ask("return window.pwned === undefined && ({}).polluted === undefined")
    assert firefox.ask("return performance.getEntriesByType('resource').length") == 0
