"""Record the HTTP requests of requests, httpx and aiohttp.

    from logtracer_extras.adapters import http

    http.install()

Each request below the current span becomes a node with its method, its address and its status;
bodies and headers are left out. A status of 400 or more is a failure. The requests a recorded model
call makes are part of that call.
A request ends when its answer's head is there; httpx and requests have then read the body too,
unless they were told to stream.
"""

from __future__ import annotations

import weakref
from http import HTTPStatus
from typing import Any

from logtracer import Span

from ._calls import Call, watch_calls
from ._installing import Adapter, is_importable
from ._reading import read
from ._steps import is_model_call, parent_span, reported, request_in_progress

_requests: weakref.WeakSet[Span] = weakref.WeakSet()


def _describe(method: Any, url: Any) -> Call | None:
    """Return what a request is; None for one inside another, as redirects are."""
    parent = parent_span()
    if request_in_progress() is not None or is_model_call(parent) or parent in _requests:
        return None
    address, method = str(url), str(method).upper()
    place = address.partition("://")[2].partition("/")[0].partition("?")[0]
    host = place.rpartition("@")[2].partition(":")[0]
    facts = {"http.request.method": method, "server.address": host}
    return _Request(f"{method} {host}", "custom", {"method": method, "url": address}, facts)


class _Request(Call):
    def record(self, span: Span) -> None:
        """Record what the request was given."""
        _requests.add(span)
        super().record(span)


def _describe_request(client: Any, request: Any, *args: Any, **kwargs: Any) -> Call | None:
    return _describe(request.method, request.url)


def _describe_address(client: Any, method: Any, url: Any, *args: Any, **kwargs: Any) -> Call | None:
    return _describe(method, url)


def _finish(span: Span, answer: Any) -> BaseException | None:
    """Record the status; 400 and above is a failure of the request, though clients return it."""
    status = read(answer, "status_code") or read(answer, "status")
    if not isinstance(status, int):
        return None
    span.output(status=status)
    span.metadata(**{"http.response.status_code": status})
    return reported("HTTPStatusError", _title_of(status)) if status >= 400 else None


def _title_of(status: int) -> str:
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:  # not one of the known ones
        return f"HTTP {status}"


_METHODS = (
    ("requests", "Session", "send", _describe_request),
    ("httpx", "Client", "send", _describe_request),
    ("httpx", "AsyncClient", "send", _describe_request),
    ("httpx2", "Client", "send", _describe_request),
    ("httpx2", "AsyncClient", "send", _describe_request),
    ("aiohttp", "ClientSession", "_request", _describe_address),
)


def _connect(adapter: Adapter) -> None:
    for module, owner, method, describe in _METHODS:
        if is_importable(module):
            client = getattr(adapter.load(module), owner)
            watch_calls(adapter, client, method, describe, _finish)


ADAPTER = Adapter("http", ("requests", "httpx", "httpx2", "aiohttp"), _connect)
install = ADAPTER.install
uninstall = ADAPTER.uninstall
