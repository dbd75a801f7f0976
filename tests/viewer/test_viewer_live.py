"""The live server: it follows a journal exactly, and answers nobody it does not know."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from logtracer import FileStore, Tracer
from logtracer_extras.viewer import LiveServer
from stress import child
from stress.figures import figure
from viewer.browser import chromium, visit


def event(number: int, **facts: Any) -> bytes:
    """Return one line of a journal: a step that has ended."""
    time = f"2026-11-22T18:24:{number // 1000 % 60:02d}.{number % 1000:03d}000+00:00"
    node = {"id": f"n{number}", "name": f"step {number}", "status": "completed", **facts}
    node |= {"start_time": time, "end_time": time, "input_data": {"number": number}}
    return json.dumps({"event": "node.completed", "node": node}).encode() + b"\n"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "run.jsonl"
    path.write_bytes(event(0) + event(1))
    return path


@contextmanager
def serving(journal: Path) -> Iterator[LiveServer]:
    """Serve a journal in a thread."""
    with LiveServer(journal) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def server(journal: Path) -> Iterator[LiveServer]:
    with serving(journal) as started:
        yield started


@dataclass
class Answer:
    """What a server answered."""

    status: int
    headers: Message
    body: bytes


def connect(server: LiveServer, path: str, method: str, headers: dict[str, str]) -> HTTPConnection:
    """Send a request, as a browser that has the cookie unless told otherwise."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    connection.request(
        method, path, headers={"Cookie": server.cookie, "Connection": "close"} | named
    )
    return connection


def ask(server: LiveServer, path: str, method: str = "GET", **headers: str) -> Answer:
    """Send one request and return the whole answer."""
    with closing(connect(server, path, method, headers)) as connection:
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())


class Events:
    """Reads the stream of a server as a browser does."""

    def __init__(self, server: LiveServer, last_id: str = "") -> None:
        self._connection = connect(server, "/events", "GET", {"Last-Event-ID": last_id})
        self._answer = self._connection.getresponse()
        self.last_id = last_id

    def next(self) -> tuple[str, Any]:
        """Return the kind and the data of the next message that is no sign of life."""
        kind, data = "message", None
        while line := self._answer.readline().decode().rstrip("\n"):
            name, _, value = line.partition(":")
            if name == "id":
                self.last_id = value.strip()
            elif name == "event":
                kind = value.strip()
            elif name == "data":
                data = value.strip()
        if kind == "beat":
            return self.next()
        return kind, json.loads(data) if kind == "message" and data else data

    def names(self, count: int) -> list[str]:
        """Return the names of the next steps."""
        names: list[str] = []
        while len(names) < count:
            kind, batch = self.next()
            assert kind == "message"
            names += [each["node"]["name"] for _, each in batch]
        return names

    def close(self) -> None:
        """Go away in the middle of the stream, as a browser does."""
        self._answer.close()
        self._connection.close()


@pytest.fixture
def events(server: LiveServer) -> Iterator[Callable[..., Events]]:
    """Open streams that are closed when the test is over."""
    opened: list[Events] = []

    def open_stream(last_id: str = "") -> Events:
        opened.append(Events(server, last_id))
        return opened[-1]

    yield open_stream
    for stream in opened:
        stream.close()


def append(journal: Path, data: bytes) -> None:
    with open(journal, "ab") as file:
        file.write(data)


def test_every_event_arrives_once_across_a_lost_connection(
    server: LiveServer, journal: Path, events: Callable[..., Events]
) -> None:
    first = events()
    assert first.names(2) == ["step 0", "step 1"]
    append(journal, event(2))
    assert first.names(1) == ["step 2"]
    first.close()
    append(journal, event(3) + event(4))
    assert events(first.last_id).names(2) == ["step 3", "step 4"]


def test_thousands_of_events_arrive_in_order(
    server: LiveServer, journal: Path, events: Callable[..., Events]
) -> None:
    append(journal, b"".join(event(number) for number in range(2, 12_000)))
    assert events().names(12_000) == [f"step {number}" for number in range(12_000)]


def test_torn_line_waits_until_it_is_whole(
    server: LiveServer, journal: Path, events: Callable[..., Events]
) -> None:
    line = event(2)
    stream = events()
    stream.names(2)
    append(journal, line[:30])
    append(journal, line[30:] + b"not json\n" + event(3))
    assert stream.names(2) == ["step 2", "step 3"]


def test_replaced_file_is_read_anew(
    server: LiveServer, journal: Path, tmp_path: Path, events: Callable[..., Events]
) -> None:
    stream = events()
    stream.names(2)
    (tmp_path / "new").write_bytes(event(7))
    os.replace(tmp_path / "new", journal)
    assert stream.next()[0] == "reset"
    assert stream.names(1) == ["step 7"]


def test_place_of_another_file_is_not_trusted(
    server: LiveServer, events: Callable[..., Events]
) -> None:
    stream = events("1-99999")
    assert stream.next()[0] == "reset"
    assert stream.names(2) == ["step 0", "step 1"]


def test_stream_ends_when_the_journal_is_gone(
    server: LiveServer, journal: Path, events: Callable[..., Events]
) -> None:
    stream = events()
    stream.names(2)
    journal.unlink()
    assert stream.next()[0] == "end"


def test_long_values_are_sent_only_when_asked_for(
    server: LiveServer, events: Callable[..., Events]
) -> None:
    batch = events().next()[1]
    assert "input_data" not in batch[1][1]["node"]
    record = json.loads(ask(server, f"/detail/{batch[1][0]}").body)
    assert record["node"]["input_data"] == {"number": 1}


@pytest.mark.parametrize("offset", ["5", "99999", "-1", "1e3", "0x0", "../run.jsonl", "0/1"])
def test_detail_is_given_only_for_the_start_of_a_line(server: LiveServer, offset: str) -> None:
    assert ask(server, f"/detail/{offset}").status == 404


def test_address_lets_in_and_hides_its_secret(server: LiveServer) -> None:
    answer = ask(server, f"/?t={server.token}", Cookie="")
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and server.token not in cookie
    assert ask(server, "/", Cookie=cookie.partition(";")[0]).status == 200


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {"Host": "evil.example"}, 421),
        ("/", {"Host": "127.0.0.1"}, 421),
        ("/", {"Sec_Fetch_Site": "cross-site"}, 403),
        ("/events", {"Sec_Fetch_Site": "same-site"}, 403),
        ("/", {"Cookie": ""}, 403),
        ("/events", {"Cookie": "lt=guess"}, 403),
        ("/detail/0", {"Cookie": "lt\u00e9=guess"}, 403),
        ("/save", {"Cookie": ""}, 403),
        ("/?t=guess", {}, 403),
        ("/?t=", {}, 403),
        ("/etc/passwd", {}, 404),
        ("/../run.jsonl", {}, 404),
        ("/%2e%2e/run.jsonl", {}, 404),
        ("//127.0.0.1/", {}, 404),
    ],
)
def test_stranger_is_refused(
    server: LiveServer, path: str, headers: dict[str, str], status: int
) -> None:
    answer = ask(server, path, **headers)
    assert answer.status == status
    assert answer.body == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_only_reading_is_possible(server: LiveServer, method: str) -> None:
    answer = ask(server, "/", method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_every_answer_forbids_framing_sniffing_and_keeping(server: LiveServer) -> None:
    for path in ("/", "/nothing"):
        headers = ask(server, path).headers
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in headers


def test_server_listens_on_this_machine_alone(server: LiveServer) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_fifth_stream_is_refused(server: LiveServer, events: Callable[..., Events]) -> None:
    streams = [events() for _ in range(4)]
    for stream in streams:
        stream.names(2)
    assert ask(server, "/events").status == 503


def test_fifth_window_says_so_and_follows_when_there_is_room(journal: Path) -> None:
    with chromium() as browser, visit(browser) as page, serving(journal) as server:
        streams = [Events(server) for _ in range(4)]
        page.page.goto(server.url)
        page.until("() => document.getElementById('banner').textContent.includes('busy')")
        for stream in streams:
            stream.close()
        append(journal, b"".join(event(number) for number in range(2, 40)))  # they are missed
        page.until("() => window.logtracerApp?.model?.count === 40", tries=600)
        assert page.ask("() => document.getElementById('banner').hidden")


def test_browser_follows_a_run_to_its_end(tmp_path: Path) -> None:
    with chromium() as browser, visit(browser) as page, ExitStack() as run:
        root = run.enter_context(Tracer(storage=FileStore(tmp_path)).trace("live agent"))
        with root.node("first", node_type="llm_call") as step:
            step.output(answer="a long answer")
        (journal,) = tmp_path.glob("*.jsonl")
        with serving(journal) as server:
            page.open(server.url)
            with root.node("second", node_type="tool_call"):
                page.until("() => logtracerApp.model.count === 3")
            page.ask("() => logtracerApp.select(1)")
            page.until("() => location.hash.includes(`n=${logtracerApp.model.ids[1]}`)")
            page.until(
                "() => document.getElementById('detail').textContent.includes('long answer')"
            )
            page.press("5")
            page.until("() => document.querySelector('.talk').innerText.includes('a long answer')")
            page.press("1")
            page.until("() => logtracerApp.layout.row.length === 3")
            rows = page.ask("() => [...logtracerApp.layout.row]")
            page.press("k")
            assert page.ask("() => [...logtracerApp.layout.row]") == rows
            run.close()
            page.until("() => document.getElementById('live-badge').textContent === 'finished'")
            assert page.ask("() => document.getElementById('compact-button').hidden")
            assert b"a long answer" in ask(server, "/save").body
            assert server.token not in page.page.url
            assert {urlsplit(each).netloc for each in page.requests} == {f"127.0.0.1:{server.port}"}
        assert page.complaints == []


def test_open_step_tells_its_time_while_nothing_happens(tmp_path: Path) -> None:
    facts = "document.getElementById('facts').textContent"
    journal = tmp_path / "run.jsonl"
    journal.write_bytes(b"")
    head = {"event": "trace.started", "schema_version": "0.1.0", "process_id": os.getpid()}
    now = datetime.now(timezone.utc).isoformat()
    node = {"id": "n", "name": "slow", "status": "running", "start_time": now}
    with chromium() as browser, visit(browser) as page, serving(journal) as server:
        page.page.goto(server.url)
        page.until(f"() => {facts} === 'waiting for the first step'")
        for line in (head, {"event": "node.started", "node": node}):
            append(journal, json.dumps(line).encode() + b"\n")
        page.until(f"() => /running ?[2-9][.0-9]*s/.test({facts})")
        row = "document.querySelector('[role=treeitem]').textContent"
        page.until(f"() => /[2-9][.0-9]*s/.test({row})")


KILLED = """
import os, signal, sys
from logtracer import FileStore, Tracer
with Tracer(storage=FileStore(sys.argv[1])).trace("run") as root, root.node("step"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_run_of_a_killed_process_ends_as_interrupted(tmp_path: Path) -> None:
    child.run(KILLED, tmp_path)
    (journal,) = tmp_path.glob("*.jsonl")
    os.utime(journal, (0, 0))  # nothing was written for long
    with chromium() as browser, visit(browser) as page, serving(journal) as server:
        page.open(server.url)
        page.until("() => document.getElementById('live-badge').textContent === 'interrupted'")
        assert "running" not in page.ask("() => document.getElementById('facts').textContent")
        rows = "[...document.querySelectorAll('[role=treeitem]')].map((row) => row.textContent)"
        assert ["◌" in row for row in page.ask(f"() => {rows}")] == [True, True]


def test_browser_has_every_record_once_across_a_cut(journal: Path) -> None:
    count = figure(2_000, 60_000)  # a thousand a second
    with chromium() as browser, visit(browser) as page, serving(journal) as server:
        page.page.goto(server.url)
        page.until("() => window.logtracerApp && logtracerApp.model")
        for first in range(2, count, 100):
            append(journal, b"".join(event(number) for number in range(first, first + 100)))
            if first == 2 + count // 2:
                server.is_stopping = True  # ends the stream, as a network does
                page.until("() => logtracerApp.live.failures")
                assert page.ask("() => !document.getElementById('banner').hidden")
                server.is_stopping = False
            page.page.wait_for_timeout(100)
        page.until(f"() => logtracerApp.live.taken >= {count + 2 - count % 100}")
        assert page.ask("() => logtracerApp.live.taken === logtracerApp.live.builder.model.count")
        page.until("() => document.getElementById('banner').hidden")
