"""A store that sends every trace to an OTLP receiver."""

from __future__ import annotations

import gzip
import http.client
import ipaddress
import json
import logging
import os
import random
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from threading import get_ident
from typing import Any, NamedTuple

import logtracer
from logtracer import StoreError, TraceGraph

from .encoding import encoding_of, fields_in, pairs_in, portions_of, resource_attributes

__all__ = ["OTLPStore"]


# ---- Settings: arguments first, then the standard variables --------------------------------------


def _setting(name: str) -> str | None:
    """Return OTEL_EXPORTER_OTLP_TRACES_<name>, else OTEL_EXPORTER_OTLP_<name>."""
    for prefix in ("OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"):
        value = os.environ.get(prefix + name, "").strip()
        if value:
            return value
    return None


_TRACES_PATH = "/v1/traces"


def _endpoint(given: str | None) -> str:
    """Return the full URL; the path of the traces is added to a base URL."""
    if given is None:
        exact = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "").strip()
        if exact:
            return exact
        given = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
    parts = urllib.parse.urlsplit(given or "http://localhost:4318")
    path = parts.path.rstrip("/")
    if not path.endswith(_TRACES_PATH):
        path += _TRACES_PATH
    return urllib.parse.urlunsplit(parts._replace(path=path))


_CREDENTIAL = re.compile(r"(?i)auth|key|token|secret|cookie|password|credential|team|signature")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def _check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"headers: {name!r} is not a header's name")
        if not (isinstance(value, str) and value.isprintable() and value.isascii()):
            raise ValueError(f"headers: the value of {name!r} is not printable ASCII text")
    return {name.lower(): value for name, value in headers.items()}


def _check_endpoint(url: str, headers: Mapping[str, str]) -> str:
    """Refuse what could send credentials where they do not belong; return the URL."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"endpoint must be an http:// or https:// URL, not {parts.scheme!r}")
    if "@" in parts.netloc:
        raise ValueError("endpoint must not hold a user name or password; use headers")
    asked = [name for name, _ in urllib.parse.parse_qsl(parts.query, keep_blank_values=True)]
    secret = next((name for name in (*headers, *asked) if _CREDENTIAL.search(name)), None)
    if parts.scheme == "http" and secret and not _is_loopback(parts.hostname):
        raise ValueError(f"{secret!r} would cross the network unencrypted; use https://")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# ---- Delivery: one request, over HTTP ------------------------------------------------------------

_RETRY = frozenset({429, 502, 503, 504})  # what the OTLP specification calls retryable
_MAX_ANSWER = 64 << 10  # bytes that are read of an answer


class _Answer(NamedTuple):
    """What a receiver said."""

    status: int
    content_type: str
    retry_after: str
    body: bytes


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Leave redirects alone: following one sends headers to a stranger and loses the body."""

    def redirect_request(self, *_: Any) -> None:
        """Follow nothing."""


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Return a client for the URL: no redirects, and a proxy only where it cannot look inside."""
    proxies = {k: v for k, v in urllib.request.getproxies().items() if k == "https"}
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.ProxyHandler(proxies),
        _NoRedirect(),
    ]
    if url.startswith("https:"):
        handlers.append(urllib.request.HTTPSHandler(context=_certificates()))
    return urllib.request.build_opener(*handlers)


def _certificates() -> ssl.SSLContext:
    """Return whom to trust and who we are, as the variables say."""
    authority, own = _setting("CERTIFICATE"), _setting("CLIENT_CERTIFICATE")
    try:
        context = ssl.create_default_context(cafile=authority)
        if own:
            context.load_cert_chain(own, _setting("CLIENT_KEY"))
    except OSError as error:  # an ssl.SSLError is one too
        raise ValueError(f"the certificates {authority} and {own}: {error}") from None
    return context


def _post(
    opener: urllib.request.OpenerDirector, request: urllib.request.Request, timeout: float
) -> _Answer:
    try:
        with opener.open(request, timeout=timeout) as response:
            return _answer(response.status, response)
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error.code, error)


def _answer(status: int, response: Any) -> _Answer:
    headers = response.headers
    kind = (headers.get("Content-Type") or "").partition(";")[0].strip()
    return _Answer(status, kind, headers.get("Retry-After") or "", response.read(_MAX_ANSWER))


def _seconds(retry_after: str) -> float | None:
    """Read a Retry-After header: seconds, or a date."""
    if retry_after.isdecimal():
        return float(retry_after)
    try:
        moment = parsedate_to_datetime(retry_after)
        return max((moment - datetime.now(timezone.utc)).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return None


# ---- Answers: how many spans a receiver refused --------------------------------------------------


def _rejected(answer: _Answer) -> tuple[int, str]:
    """Return how many spans were refused by a request that succeeded, and why."""
    try:
        if answer.content_type == "application/json":
            return _rejected_in_json(json.loads(answer.body or b"{}"))
        partial = dict(fields_in(answer.body)).get(1, b"")
        inner = dict(fields_in(partial if isinstance(partial, bytes) else b""))
    except (ValueError, IndexError, TypeError, OverflowError, RecursionError):
        return 0, ""  # a receiver that says 200 with a body of its own, as some do
    count, reason = inner.get(1, 0), inner.get(2, b"")
    text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else ""
    return (count if isinstance(count, int) else 0), text


def _rejected_in_json(answer: Any) -> tuple[int, str]:
    partial = answer.get("partialSuccess") if isinstance(answer, dict) else None
    if not isinstance(partial, dict):
        return 0, ""
    return int(partial.get("rejectedSpans") or 0), str(partial.get("errorMessage") or "")


# ---- Store ---------------------------------------------------------------------------------------

_log = logging.getLogger("logtracer")


class _Refused(StoreError):
    """One request was refused for what is in it; the next may be taken."""


class OTLPStore:
    """Send every finished trace to an OpenTelemetry receiver over HTTP.

    Args:
        endpoint: the receiver's URL; `/v1/traces` is added unless it ends so.
        headers: sent with each request, such as an API key. Credentials go over https only, or
            to this machine.
        protocol: "http/protobuf" (what every receiver takes) or "http/json".
        compression: "gzip" or "none".
        timeout: seconds for one request.
        retry_for: seconds for which a busy receiver (429, 502, 503, 504) is asked again.
        service_name: shown by receivers as the sender.
        resource: more facts about the sender.

    A proxy named by the environment is used for https only. Raises ValueError for a setting that
    cannot work; `save` raises StoreError when a trace, or a part of it, did not arrive.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        protocol: str | None = None,
        compression: str | None = None,
        timeout: float | None = None,
        retry_for: float = 30.0,
        service_name: str | None = None,
        resource: Mapping[str, Any] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._headers = _check_headers({**pairs_in(_setting("HEADERS") or ""), **(headers or {})})
        self._url = _check_endpoint(_endpoint(endpoint), self._headers)
        self._protocol = protocol or _setting("PROTOCOL") or "http/protobuf"
        encoding_of(self._protocol)  # an unknown one is refused here
        self._compression = compression or _setting("COMPRESSION") or "gzip"
        if self._compression not in ("gzip", "none"):
            raise ValueError(f"compression must be 'gzip' or 'none', not {self._compression!r}")
        self._timeout = _timeout(timeout)
        self._retry_for = retry_for
        named = {} if service_name is None else {"service.name": service_name}
        self._resource = resource_attributes({**(resource or {}), **named})
        self._sleep, self._clock = sleep, clock
        self._opener: urllib.request.OpenerDirector | None = _opener(self._url)
        self._counts: dict[int, Counter[str]] = {}  # by thread, so that no lock is needed

    def __repr__(self) -> str:
        return f"OTLPStore({self._shown_url!r})"  # never the headers

    def __getstate__(self) -> dict[str, Any]:
        """Travel to another process without the client and the counts, which stay here."""
        return {**self.__dict__, "_opener": None, "_counts": {}}

    def save(self, trace: TraceGraph) -> None:
        """Send a trace, in as many requests as it takes."""
        refused: list[_Refused] = []
        for spans in portions_of([trace], encoding_of(self._protocol)):
            try:
                self._send(spans)
            except _Refused as error:
                refused.append(error)
        if refused:
            raise refused[0]

    def load(self, trace_id: str) -> TraceGraph | None:
        """Return None: a receiver is not asked for what it was sent."""
        return None

    def list_traces(self) -> list[str]:
        """Return nothing: a receiver is not asked for what it was sent."""
        return []

    def stats(self) -> dict[str, int]:
        """Return the numbers of spans sent and rejected, of requests and of retries."""
        total: Counter[str] = Counter()
        for counts in list(self._counts.values()):
            total.update(counts)
        return {name: total[name] for name in ("sent", "rejected", "failed", "requests", "retries")}

    @property
    def _shown_url(self) -> str:
        """The URL without its query, where some services want a key."""
        return urllib.parse.urlunsplit(urllib.parse.urlsplit(self._url)._replace(query=""))

    def _count(self, name: str, number: int = 1) -> None:
        self._counts.setdefault(get_ident(), Counter())[name] += number

    def _send(self, spans: list[bytes]) -> None:
        request = self._request(encoding_of(self._protocol).wrap(self._resource, spans))
        try:
            answer = self._deliver(request)
            self._check(answer)
        except StoreError:
            self._count("failed", len(spans))
            raise
        rejected, reason = _rejected(answer)
        rejected = min(max(rejected, 0), len(spans))
        self._count("rejected", rejected)
        self._count("sent", len(spans) - rejected)
        if rejected:
            _log.warning("%s rejected %d spans: %s", self._shown_url, rejected, self._safe(reason))

    def _request(self, body: bytes) -> urllib.request.Request:
        headers = {
            "user-agent": f"logtracer/{logtracer.__version__}",
            **self._headers,
            "content-type": encoding_of(self._protocol).content_type,
        }
        if self._compression == "gzip":
            body = gzip.compress(body, compresslevel=1, mtime=0)  # level 9 saves little, costs much
            headers["content-encoding"] = "gzip"
        return urllib.request.Request(self._url, body, headers, method="POST")

    def _deliver(self, request: urllib.request.Request) -> _Answer:
        """Post a request, again and again while the receiver is busy."""
        give_up = self._clock() + self._retry_for
        delay = 0.5
        while True:
            answer = self._try(request)
            wait = _seconds(answer.retry_after)
            if wait is None:
                wait = delay * random.uniform(0.5, 1.0)  # so that many senders do not meet again
            if answer.status not in _RETRY or self._clock() + wait > give_up:
                return answer
            self._count("retries")
            self._sleep(wait)
            delay = min(delay * 2, 10.0)

    def _try(self, request: urllib.request.Request) -> _Answer:
        self._count("requests")
        try:
            self._opener = self._opener or _opener(self._url)
            return _post(self._opener, request, self._timeout)
        except (OSError, http.client.HTTPException) as error:  # no route, no answer, not HTTP
            reason = self._safe(str(getattr(error, "reason", error)) or type(error).__name__)
            raise StoreError(f"{self._shown_url} did not answer: {reason}") from None

    def _check(self, answer: _Answer) -> None:
        """Raise unless the receiver took the request."""
        if 200 <= answer.status < 300:
            return
        if 300 <= answer.status < 400:
            raise StoreError(
                f"{self._shown_url} redirects elsewhere ({answer.status}); give the final URL"
            )
        said = self._safe(answer.body[:200].decode("utf-8", "replace"))
        message = f"{self._shown_url} refused the spans ({answer.status}): {said}"
        raise StoreError(message) if answer.status in _RETRY else _Refused(message)

    def _safe(self, text: str) -> str:
        """Return somebody's words on one line, without the credentials they may repeat."""
        for value in self._headers.values():
            if value:
                text = text.replace(value, "[REDACTED]")
        return ascii(text)[1:-1]


def _timeout(given: float | None) -> float:
    text = _setting("TIMEOUT")
    if given is None:
        try:
            given = float(text) / 1_000 if text else 10.0  # the variable counts milliseconds
        except ValueError:
            raise ValueError(f"OTEL_EXPORTER_OTLP_TIMEOUT: {text!r} is not a number") from None
    if not given > 0:
        raise ValueError(f"timeout must be positive, not {given!r}")
    return given
