"""HTTP clients that reach no network: model calls are answered, everything else is refused.

Patched are the transports of httpx, the adapter of requests, aiohttp's session and urllib, each
only while a block runs, and put back as it was.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from logtracer import LogtracerError, Node

from ._answers import endpoint_of, failure_of

__all__ = ["Answers", "without_network"]


class Answers(Protocol):
    """Who knows the recorded answers."""

    passthrough: frozenset[str]

    def take(self, name: str, given: dict[str, Any]) -> Node:
        """Return the recording of a call."""

    def problem(self, text: str) -> LogtracerError:
        """Remember that a call had no answer, and return the error to raise."""


class _Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    content: bytes


# An SDK must not try again what is recorded as failed, or not recorded at all.
_FINAL = {"content-type": "application/json", "x-should-retry": "false"}


def _reply(answers: Answers, method: str, url: str, body: bytes) -> _Reply | None:
    """Return the answer to a request, None when it may go on to the network."""
    if urlsplit(url).hostname in answers.passthrough:
        return None
    endpoint = endpoint_of(url) if method.upper() == "POST" else None
    asked = _json(body)
    if endpoint is None or not isinstance(asked, dict):
        raise answers.problem(f"{method} {url.partition('?')[0]} is no recorded model call")
    name = f"model {asked.get('model')}"
    try:
        node = answers.take(name, {"messages": endpoint.asked(asked)})
    except LogtracerError as error:
        return _Reply(400, _FINAL, _error_body(str(error)))
    failure = failure_of(node)
    if failure is not None:
        return _Reply(failure[0], _FINAL, _error_body(failure[1]))
    if asked.get("stream"):
        events = "".join(endpoint.events(node, asked)).encode()
        return _Reply(200, {"content-type": "text/event-stream"}, events)
    content = json.dumps(endpoint.answer(node)).encode()
    return _Reply(200, {"content-type": "application/json"}, content)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _error_body(message: str) -> bytes:
    error = {"type": "replay_error", "code": "replay_error", "message": message}
    return json.dumps({"type": "error", "error": error}).encode()


# ---- Clients -----------------------------------------------------------------------------------


def _httpx(module: Any, answers: Answers) -> Iterator[tuple[Any, str, Any]]:
    def response(request: Any, body: bytes) -> Any:
        reply = _reply(answers, request.method, str(request.url), body)
        if reply is None:
            return None
        headers = reply.headers
        return module.Response(
            reply.status, headers=headers, content=reply.content, request=request
        )

    original, original_async = (
        module.HTTPTransport.handle_request,
        module.AsyncHTTPTransport.handle_async_request,
    )

    def handle(self: Any, request: Any) -> Any:
        return response(request, request.read()) or original(self, request)

    async def handle_async(self: Any, request: Any) -> Any:
        return response(request, await request.aread()) or await original_async(self, request)

    yield module.HTTPTransport, "handle_request", handle
    yield module.AsyncHTTPTransport, "handle_async_request", handle_async


def _requests(module: Any, answers: Answers) -> Iterator[tuple[Any, str, Any]]:
    adapter = module.adapters.HTTPAdapter
    original = adapter.send

    def send(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        reply = _reply(answers, request.method, request.url, body)
        if reply is None:
            return original(self, request, *args, **kwargs)
        response = module.Response()
        response.status_code, response.url = reply.status, request.url
        response.headers.update(reply.headers)
        response.raw, response.request = io.BytesIO(reply.content), request
        return response

    yield adapter, "send", send


def _aiohttp(module: Any, answers: Answers) -> Iterator[tuple[Any, str, Any]]:
    original = module.ClientSession._request

    async def request(self: Any, method: str, url: Any, *args: Any, **kwargs: Any) -> Any:
        if urlsplit(str(url)).hostname not in answers.passthrough:
            raise answers.problem(f"{method} {url} is no recorded model call")
        return await original(self, method, url, *args, **kwargs)

    yield module.ClientSession, "_request", request


def _urllib(module: Any, answers: Answers) -> Iterator[tuple[Any, str, Any]]:
    original = module.OpenerDirector.open

    def opened(self: Any, address: Any, *args: Any, **kwargs: Any) -> Any:
        url = address if isinstance(address, str) else address.full_url
        if urlsplit(url).hostname not in answers.passthrough:
            raise answers.problem(f"{url.partition('?')[0]} is no recorded model call")
        return original(self, address, *args, **kwargs)

    yield module.OpenerDirector, "open", opened


_CLIENTS: dict[str, Callable[[Any, Answers], Iterator[tuple[Any, str, Any]]]] = {
    "httpx": _httpx,
    "httpx2": _httpx,
    "requests": _requests,
    "aiohttp": _aiohttp,
    "urllib.request": _urllib,
}


@contextlib.contextmanager
def without_network(answers: Answers) -> Iterator[None]:
    """Patch the clients that are installed; put them back when the block ends."""
    with contextlib.ExitStack() as stack:
        for name, patches in _CLIENTS.items():
            if importlib.util.find_spec(name.partition(".")[0]) is not None:
                for owner, attribute, patch in patches(importlib.import_module(name), answers):
                    stack.callback(setattr, owner, attribute, owner.__dict__[attribute])
                    setattr(owner, attribute, patch)
        yield
