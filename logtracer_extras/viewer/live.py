"""The page of a run that goes on: a small server on this machine alone."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from logtracer import LogtracerError, NodeStatus, TraceGraph, load_trace, trace_from_journal

from .page import encode_json, fill_template, plain_element, trace_page

__all__ = ["LiveServer"]


def _live_page(name: str) -> str:
    """Return the page that asks its own server for the run; there is no trace in it yet."""
    page = fill_template(name, "", plain_element("logtracer-live", "{}"))
    return page.replace("connect-src 'none'", "connect-src 'self'", 1)


_MOST_STREAMS = 4
_MOST_EVENTS = 5_000  # in one batch
_READ_SIZE = 4 << 20  # bytes of the journal at a time
_PAUSE = 0.1  # seconds between two looks at the journal
_BEAT = 10.0  # seconds between two signs of life
_QUIET = 3.0  # seconds without a new line until it is asked whether somebody still writes
_IDLE = 600.0  # seconds without a reader before the server stops by itself
_LONG_FIELDS = ("input_data", "output_data", "annotations", "error_traceback")


class LiveServer(ThreadingHTTPServer):
    """Show the journal of a running trace in a browser of this machine, and nowhere else.

    It listens on 127.0.0.1 and answers only who opened `url`, which holds a secret. Use it as a
    context manager around `serve_forever()`; it stops by itself when nobody has looked for ten
    minutes, unless `keep` is set. Raises OSError when the journal cannot be read.
    """

    daemon_threads = True

    def __init__(self, path: str | os.PathLike[str], *, keep: bool = False) -> None:
        self.journal = os.path.abspath(path)
        os.stat(self.journal)
        self.keep = keep
        self.token = secrets.token_urlsafe(32)
        self.session = secrets.token_urlsafe(32)
        self.streams = threading.BoundedSemaphore(_MOST_STREAMS)
        self.is_stopping = False
        self.page = _live_page(os.path.basename(self.journal).partition(".")[0]).encode()
        self._last_seen = time.monotonic()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def port(self) -> int:
        """The port that the system chose."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """The address to open, once, in a browser; it holds the secret."""
        return f"http://127.0.0.1:{self.port}/?t={self.token}"

    @property
    def cookie(self) -> str:
        """The cookie that a browser has which opened `url`."""
        return f"lt{self.port}={self.session}"

    def is_known_host(self, host: str | None) -> bool:
        """Tell whether a request names this server; a rebound name of somebody else's does not."""
        return host in (f"127.0.0.1:{self.port}", f"localhost:{self.port}")

    def saw_reader(self) -> None:
        """Note that somebody is still looking."""
        self._last_seen = time.monotonic()

    def service_actions(self) -> None:
        """Stop when nobody has looked for long; called by `serve_forever` every half second."""
        if not self.keep and time.monotonic() - self._last_seen > _IDLE:
            threading.Thread(target=self.shutdown, daemon=True).start()

    def server_close(self) -> None:
        """Stop listening, and let the streams end."""
        self.is_stopping = True
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: a browser that goes away in the middle of an answer is no news."""


class _Handler(BaseHTTPRequestHandler):
    """Answer one request. No path is ever a path of the file system."""

    server: LiveServer
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        """Answer, or refuse."""
        parts = urlsplit(self.path)
        refusal = self._refusal()
        if refusal:
            self._answer(refusal, b"")
        elif parts.path == "/" and parts.query:
            self._let_in(parts.query)
        elif not self._has_cookie():
            self._answer(403, b"")
        else:
            self._route(parts.path)

    do_HEAD = do_GET

    def _refuse_method(self) -> None:
        """Say that this server is only read; what was sent along is not read either."""
        self.close_connection = True
        self._answer(405, b"", {"Allow": "GET, HEAD", "Connection": "close"})

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _refuse_method

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: the terminal belongs to the run."""

    def _refusal(self) -> int:
        if not self.server.is_known_host(self.headers.get("Host")):
            return 421
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return 403
        return 0

    def _has_cookie(self) -> bool:
        sent = self.headers.get("Cookie", "").encode("utf-8", "replace")
        return any(
            secrets.compare_digest(cookie.strip(), self.server.cookie.encode())
            for cookie in sent.split(b";")
        )

    def _let_in(self, query: str) -> None:
        """Take the secret of the address once, and put it where scripts and links cannot see it."""
        if not secrets.compare_digest(query.encode(), f"t={self.server.token}".encode()):
            self._answer(403, b"")
            return
        cookie = f"{self.server.cookie}; HttpOnly; SameSite=Strict; Path=/"
        self._answer(303, b"", {"Location": "/", "Set-Cookie": cookie})

    def _route(self, path: str) -> None:
        self.server.saw_reader()
        if path == "/":
            self._answer(200, self.server.page, {"Content-Type": "text/html; charset=utf-8"})
        elif path == "/events":
            self._stream()
        elif re.fullmatch("/detail/[0-9]{1,15}", path):
            self._detail(int(path.rpartition("/")[2]))
        elif path == "/save":
            self._save()
        else:
            self._answer(404, b"")

    def _detail(self, offset: int) -> None:
        line = _line_at(self.server.journal, offset)
        if line is None:
            self._answer(404, b"")
        else:
            self._answer(200, line, {"Content-Type": "application/json"})

    def _save(self) -> None:
        """Send the run so far as a page of its own."""
        try:
            page = trace_page(_load(self.server.journal)).encode("utf-8", "replace")
        except (OSError, LogtracerError):
            self._answer(404, b"")
            return
        headers = {
            "Content-Type": "text/html",
            "Content-Disposition": 'attachment; filename="run.html"',
        }
        self._answer(200, page, headers)

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self._send_headers({**(headers or {}), "Content-Length": str(len(body))})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_headers(self, headers: Mapping[str, str]) -> None:
        for name, value in {**_SAFE_HEADERS, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _stream(self) -> None:
        if self.command == "HEAD" or not self.server.streams.acquire(blocking=False):
            self._answer(503, b"")
            return
        try:
            self.send_response(200)
            self._send_headers({"Content-Type": "text/event-stream", "Connection": "close"})
            self.close_connection = True
            for message in self._messages(self.headers.get("Last-Event-ID", "")):
                self.wfile.write(message)
        finally:
            self.server.streams.release()

    def _messages(self, last_seen: str) -> Iterator[bytes]:
        """Yield the journal as server-sent events, from where a reader stopped, until it ends."""
        with contextlib.closing(_Follower(self.server.journal, last_seen)) as follower:
            yield from self._follow(follower)

    def _follow(self, follower: _Follower) -> Iterator[bytes]:
        beaten = -math.inf
        while not self.server.is_stopping:
            self.server.saw_reader()
            if time.monotonic() - beaten > _BEAT:
                beaten = time.monotonic()
                yield f"event: beat\ndata: {time.time() * 1000:.0f}\n\n".encode()
            message = follower.next_message()
            if message:
                yield message
            if follower.is_over:
                return
            if not follower.has_more:
                time.sleep(_PAUSE)


_SAFE_HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class _Follower:
    """Reads a journal as it grows, whole lines only, and says so when another file took its place.

    A place in it is `<inode>-<offset>`: exact, so a reader that lost the connection gets every
    event once. The open file is kept: a journal is removed when its run ends, and read to its end.
    """

    def __init__(self, path: str, place: str) -> None:
        self._path = path
        self._open()
        self.has_more = False
        self.is_over = False
        self._must_reset = False
        if re.fullmatch("[0-9]{1,20}-[0-9]{1,15}", place):
            inode, offset = map(int, place.split("-"))
            self._must_reset = inode != self._inode or offset > os.stat(path).st_size
            self._offset = 0 if self._must_reset else offset

    def _open(self) -> None:
        self._file = io.FileIO(self._path)
        self._inode = os.fstat(self._file.fileno()).st_ino
        self._offset = 0

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def next_message(self) -> bytes:
        """Return what is new as one message, empty when nothing is."""
        if self._must_reset:
            self._must_reset = False
            return _RESET
        lines = self._new_lines()
        return self._message(lines) if lines else self._look_around()

    def _new_lines(self) -> list[bytes]:
        """Return the lines after the current place; the last one only when it is whole."""
        self._file.seek(self._offset)
        data = b""
        while b"\n" not in data:
            more = self._file.read(_READ_SIZE)
            if not more:
                return []
            data += more
        lines = data.split(b"\n")[:-1]
        self.has_more = len(lines) > _MOST_EVENTS or len(data) >= _READ_SIZE
        return lines[:_MOST_EVENTS]

    def _message(self, lines: list[bytes]) -> bytes:
        batch = []
        for line in lines:
            batch += [[self._offset, event] for event in _brief_events(line)]
            self._offset += len(line) + 1
        message = f"id: {self._inode}-{self._offset}\ndata: {encode_json(batch)}\n\n"
        return message.encode("utf-8", "replace")

    def _look_around(self) -> bytes:
        """At the end of the file: is it still the file of that name?"""
        self.has_more = False
        try:
            status = os.stat(self._path)
            if status.st_ino == self._inode and status.st_size >= self._offset:
                is_quiet = time.time() - status.st_mtime > _QUIET
                self.is_over = is_quiet and _is_abandoned(self._path)
                return _ABANDONED if self.is_over else b""
            self.close()
            self._open()
        except OSError:  # the run has ended, and its journal became a document
            self.is_over = True
            return _END
        return _RESET


_RESET = b"event: reset\ndata:\n\n"
_END = b"event: end\ndata:\n\n"
_ABANDONED = b"event: abandoned\ndata:\n\n"


def _is_abandoned(journal: str) -> bool:
    """Tell whether the process that began a journal is gone, from its first two lines."""
    with open(journal, "rb") as file:
        head = [file.readline(), file.readline()]
    try:
        nodes = trace_from_journal(head).nodes.values()
    except LogtracerError:  # no line of it yet
        return False
    return any(nodes) and all(node.status == NodeStatus.INTERRUPTED for node in nodes)


def _brief_events(line: bytes) -> list[dict[str, Any]]:
    """Return the event of a line without its long fields, which the page asks for one by one."""
    try:
        event = json.loads(line)
    except ValueError:
        return []  # damaged; the rest is worth showing
    if not isinstance(event, dict):
        return []
    for record in (event, event.get("node")):
        if isinstance(record, dict):
            for name in _LONG_FIELDS:
                record.pop(name, None)
    return [event]


def _line_at(path: str, offset: int) -> bytes | None:
    """Return the line of a journal that begins at an offset, None when none does."""
    try:
        with open(path, "rb") as file:
            if offset:
                file.seek(offset - 1)
            if offset and file.read(1) != b"\n":
                return None
            line = file.readline()
    except OSError:
        return None
    return line if line.endswith(b"\n") else None


def _load(journal: str) -> TraceGraph:
    """Return the run: from its journal, or from the document that took its place."""
    try:
        return load_trace(journal)
    except FileNotFoundError:
        return load_trace(os.path.splitext(journal)[0] + ".json")
