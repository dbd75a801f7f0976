"""Record the model calls of SDKs that share one generated base client: OpenAI's, Anthropic's.

Everything such an SDK sends (create, parse, stream, raw and streaming responses, sync and async)
goes through one method of its base client, so one patch sees it all and types stay what they are.
A stream keeps its class: only the iterator inside it is replaced by one that listens.
"""

from __future__ import annotations

import functools
import json
import re
import time
import weakref
from collections.abc import Callable
from typing import Any

from logtracer import NodeStatus

from ._installing import Adapter, Patch, quietly
from ._model_facts import ANTHROPIC, RESPONSES, Answer, Api, api_of
from ._reading import read, without_gaps
from ._steps import (
    ModelCall,
    enter_request,
    leave_request,
    open_step,
    parent_span,
    reported,
    request_in_progress,
    shared_call,
)

_CLOUDS = (("azure", "azure.ai.openai"), ("bedrock", "aws.bedrock"), ("vertex", "gcp.vertex_ai"))
_HOSTS = (  # who serves at an address, by a part of it
    ("openai.azure.com", "azure.ai.openai"),
    ("services.ai.azure.com", "azure.ai.inference"),
    ("models.inference.ai.azure.com", "azure.ai.inference"),
    ("api.openai.com", "openai"),
    ("api.anthropic.com", "anthropic"),
    ("openrouter.ai", "openrouter"),
    ("api.groq.com", "groq"),
    ("api.deepseek.com", "deepseek"),
    ("api.x.ai", "x_ai"),
    ("api.mistral.ai", "mistral_ai"),
    ("api.perplexity.ai", "perplexity"),
    ("api.cohere", "cohere"),
    ("api.together", "together"),
    ("api.fireworks.ai", "fireworks"),
    ("api.cerebras.ai", "cerebras"),
    ("api.sambanova.ai", "sambanova"),
    ("api.moonshot", "moonshot"),
    ("api.deepinfra.com", "deepinfra"),
    ("integrate.api.nvidia.com", "nvidia"),
    ("dashscope", "alibaba_cloud"),
    ("huggingface.co", "huggingface"),
    ("models.github.ai", "github"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    ("bedrock", "aws.bedrock"),
    (":11434", "ollama"),
)
_BACKGROUND = ("queued", "in_progress")  # of a response that somebody asks for later
_RESPONSE = re.compile(r".*/responses/([^/?]+)(?:/cancel)?/?(?:\?.*)?")
_MAX_WAITING = 1_000  # responses in the background; some are never asked for


def connect_sdk(adapter: Adapter, module: str, provider: str) -> None:
    """Patch the base clients of an SDK."""
    base = adapter.load(f"{module}._base_client")
    begin = functools.partial(_begin, adapter, provider)
    for client, make_request in (
        (base.SyncAPIClient, _make_request),
        (base.AsyncAPIClient, _make_async_request),
    ):
        adapter.patch(client, "request", functools.partial(make_request, begin))
        if hasattr(client, "_sleep_for_retry"):
            adapter.patch(client, "_sleep_for_retry", _make_sleep)


def _make_request(
    begin: Callable[..., _Request | _Poll | None], original: Any, patch: Patch
) -> Callable[..., Any]:
    def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        recorded = begin(self, *args, **kwargs) if patch.is_active else None
        if recorded is None:
            return original(self, *args, **kwargs)
        token = enter_request(recorded.call)
        try:
            answer = original(self, *args, **kwargs)
        except BaseException as error:
            recorded.fail(error)
            raise
        finally:
            leave_request(token)
        recorded.take(answer)
        return answer

    return request


def _make_async_request(
    begin: Callable[..., _Request | _Poll | None], original: Any, patch: Patch
) -> Callable[..., Any]:
    async def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        recorded = begin(self, *args, **kwargs) if patch.is_active else None
        if recorded is None:
            return await original(self, *args, **kwargs)
        token = enter_request(recorded.call)
        try:
            answer = await original(self, *args, **kwargs)
        except BaseException as error:
            recorded.fail(error)
            raise
        finally:
            leave_request(token)
        recorded.take(answer)
        return answer

    return request


def _make_sleep(original: Any, patch: Patch) -> Callable[..., Any]:
    """Note the retry that follows; the original sleeps, or returns a coroutine that does."""

    def sleep(self: Any, *args: Any, **kwargs: Any) -> Any:
        with quietly("retry"):
            call = request_in_progress()
            if call is not None and patch.is_active:
                status = read(kwargs.get("response"), "status_code")
                call.note_retry(kwargs.get("retries_taken", 0) + 1, status)
        return original(self, *args, **kwargs)

    return sleep


def _begin(
    adapter: Adapter, provider: str, client: Any, cast_to: Any, options: Any = None, **how: Any
) -> _Request | _Poll | None:
    """Open the node of a request, or join the framework's; None when it is not to be recorded."""
    with quietly(adapter.name):
        waiting = _waiting_for(str(options.url))
        if waiting is not None:
            return _Poll(waiting)
        api = api_of(str(options.url)) if str(options.method).lower() == "post" else None
        body = options.json_data
        is_foreign = (api is ANTHROPIC) is not (adapter.name == "anthropic")
        if api is None or is_foreign or not isinstance(body, dict):
            return None
        if request_in_progress() is not None:
            return None
        extra = getattr(options, "extra_json", None)
        body = without_gaps({**body, **extra} if isinstance(extra, dict) else body)
        call, is_shared = _call_of(adapter, api, body)
        if call is None:
            return None
        with quietly(adapter.name):  # recorded badly or well: what is open must be ended
            call.span.input(**api.read_input(body))  # not every framework tells of its tools
            facts = api.request_facts(body)
            facts["gen_ai.provider.name"] = _provider_of(client, provider)
            facts["server.address"] = read(client, "base_url", "host")
            call.add(**facts)
        return _Request(call, api, owns_call=not is_shared)
    return None


def _call_of(adapter: Adapter, api: Api, body: dict[str, Any]) -> tuple[ModelCall | None, bool]:
    """Return the model call of a request, and whether it is a framework's."""
    parent = parent_span()
    shared = shared_call(parent)
    if shared is not None:
        shared.is_taken = True
        shared.fail_unless_retried(None)
        return shared, True
    name = f"{api.operation} {body.get('model') or ''}".rstrip()
    step = open_step(adapter, name, api.node_type, parent)
    return (None if step is None else ModelCall(step)), False


def _provider_of(client: Any, provider: str) -> str:
    """Return who serves a client's requests: its class says, or the address that it asks."""
    return _provider_at(client.__class__, str(read(client, "base_url") or ""), provider)


@functools.lru_cache(maxsize=256)
def _provider_at(client_class: type, address: str, provider: str) -> str:
    name = client_class.__name__.lower()
    place = address.partition("://")[2].partition("/")[0].lower()
    return next(
        (cloud for part, cloud in _CLOUDS if part in name),
        next((serving for part, serving in _HOSTS if part in place), provider),
    )


@functools.lru_cache(maxsize=256)
def _is_stream(answer_class: type) -> bool:
    return hasattr(answer_class, "__next__") or hasattr(answer_class, "__anext__")


@functools.lru_cache(maxsize=256)
def _is_raw(answer_class: type) -> bool:
    return hasattr(answer_class, "http_request") and hasattr(answer_class, "parse")


_waiting: dict[str, _Request] = {}  # responses in the background, by their id


def _waiting_for(url: str) -> _Request | None:
    """Return the call whose response in the background a request asks for or cancels."""
    found = _RESPONSE.fullmatch(url) if _waiting else None
    return None if found is None else _waiting.get(found[1])


class _Poll:
    """A request for a response that was made in the background: it is part of that call."""

    def __init__(self, request: _Request) -> None:
        self.call = request.call
        self._request = request

    def fail(self, error: BaseException) -> None:
        """Do nothing: the host may ask again."""

    def take(self, answer: Any) -> None:
        """Take the response, which may be there by now."""
        self._request.take(answer)


class _Request:
    """A request that is being recorded, until its answer, or the stream of it, is there."""

    def __init__(self, call: ModelCall, api: Api, owns_call: bool) -> None:
        self.call = call
        self._api = api
        self._owns_call = owns_call
        self._began = time.perf_counter()
        self._chunks = api.chunks()
        self._count = 0
        self._is_stepping = False  # the SDK itself closes the response when its stream ends
        self._is_finished = False

    def fail(self, error: BaseException) -> None:
        """Take an error instead of an answer."""
        with quietly("request"):
            status = read(error, "status_code")
            self.call.add(**{"http.response.status_code": status})
            self.call.note_request_id(read(error, "request_id"))
            if self._owns_call:
                self.call.end(error)
            else:  # the framework may try again, and will say how it ended
                self.call.is_taken = False
                self.call.note_retry(None, status, type(error).__name__)

    def take(self, answer: Any) -> None:
        """Take what the SDK returns, of whatever kind it is."""
        with quietly("answer"):
            if _is_raw(answer.__class__):
                self._take_raw(answer)
            elif _is_stream(answer.__class__):
                self._watch_stream(answer)
            else:
                self.call.note_request_id(read(answer, "_request_id"))
                self._finish(answer)

    def _finish(self, answer: Any) -> None:
        self._is_finished = True
        error: BaseException | None = None
        is_waiting = False
        found = Answer()
        try:
            found = self._api.answer(answer)
            error = reported(*found.problem) if found.problem else None
            self.call.add(**found.facts)
            status = read(answer, "status") if self._api is RESPONSES else None
            is_waiting = self._owns_call and status is not None and self._is_waiting(answer)
            if self._owns_call and self.call.is_open and found.output:
                self.call.span.output(**found.output)
            if self._owns_call and status == "cancelled":
                self.call.span.set_status(NodeStatus.CANCELLED)
        finally:
            if not self._owns_call:
                self.call.offer_answer(found.output)
                self.call.fail_unless_retried(error)
                self.call.is_taken = error is None
            elif not is_waiting:
                self.call.end(error)

    def _is_waiting(self, answer: Any) -> bool:
        """Tell whether an answer is made in the background; the host will ask for it."""
        name = str(read(answer, "id"))
        is_waiting = read(answer, "status") in _BACKGROUND and read(answer, "background") is True
        if is_waiting and (name in _waiting or len(_waiting) < _MAX_WAITING):
            _waiting[name] = self
            self._is_finished = False
            self._chunks = self._api.chunks()
            return True
        _waiting.pop(name, None)
        return False

    # Raw responses: read already, or to be read by whoever asked for them.

    def _take_raw(self, answer: Any) -> None:
        response = answer.http_response
        headers = response.headers
        self._note_request_id(response)
        if response.is_closed and "event-stream" not in headers.get("content-type", ""):
            self._finish(json.loads(response.content))
            return
        self._end_on_close(response)
        answer.parse = _listen_to_parse(answer.parse, self._take_parsed)

    def _take_parsed(self, parsed: Any) -> None:
        with quietly("parse"):
            if self._is_finished:
                return
            if _is_stream(parsed.__class__):
                self._watch_stream(parsed)
            else:
                self._finish(parsed)

    def _end_on_close(self, response: Any) -> None:
        """End the node when the response is closed or dropped, if nothing else does before."""
        for name in ("close", "aclose"):
            if hasattr(response, name):
                setattr(response, name, _listen_to_close(getattr(response, name), self._closed))
        weakref.finalize(response, self._closed, None).atexit = False

    def _closed(self, response: Any) -> None:
        with quietly("close"):
            if self._is_finished or self._is_stepping:
                return
            if self._count or response is None or not response.is_stream_consumed:
                self.end_stream(is_early=True)
            elif response.is_closed:  # else it is closing itself, at the end of its body
                self._finish(_body_of(response))

    # Streams

    def _note_request_id(self, response: Any) -> None:
        headers = response.headers
        self.call.note_request_id(headers.get("x-request-id") or headers.get("request-id"))

    def _watch_stream(self, stream: Any) -> None:
        self._note_request_id(stream.response)
        self._end_on_close(stream.response)
        is_async = hasattr(type(stream), "__anext__")
        watched: Any = _AsyncWatch if is_async else _Watch
        stream._iterator = watched(stream._iterator, self)

    def before_step(self) -> None:
        """Note that the stream is asked for a chunk."""
        self._is_stepping = True

    def after_step(self) -> None:
        """Note that the stream has answered."""
        self._is_stepping = False

    def take_chunk(self, chunk: Any) -> None:
        """Take one chunk of the stream."""
        with quietly("chunk"):
            if self._count == 0:
                seconds = time.perf_counter() - self._began
                self.call.add(**{"gen_ai.response.time_to_first_chunk": seconds})
            self._count += 1
            self._chunks.add(chunk)

    def end_stream(self, error: BaseException | None = None, is_early: bool = False) -> None:
        """End the node with what has come so far."""
        with quietly("stream"):
            if self._is_finished:
                return
            facts: dict[str, Any] = {"stream.chunks": self._count}
            if is_early:
                facts["stream.ended_early"] = True
            elif error is None and not self._chunks.is_complete():
                facts["stream.cut_short"] = True
                self.call.span.annotate(_CUT_SHORT)
            self.call.add(**facts)
            whole = self._chunks.whole()
            if (error is not None or is_early) and self.call.is_open:
                # A framework tells no output of its call then, or a better one later.
                self.call.span.output(**self._api.answer(whole).output)
            if error is not None and self._owns_call:
                self._is_finished = True
                self.call.end(error)
            else:
                self._finish(whole)


_CUT_SHORT = "the stream ended without a word on how the answer ended: it may have been cut short"


def _body_of(response: Any) -> Any:
    """Return the body of a closed response, if it was read as a whole."""
    try:
        return json.loads(response.content)
    except Exception:  # read in pieces: only the reader has it
        return {}


def _listen_to_close(close: Any, closed: Callable[[Any], None]) -> Callable[[], Any]:
    """Return a `close` that tells; for `aclose` its coroutine is returned as it is."""

    def listening_close() -> Any:
        closed(close.__self__ if hasattr(close, "__self__") else None)
        return close()

    return listening_close


def _listen_to_parse(parse: Any, take: Callable[[Any], None]) -> Callable[..., Any]:
    def listening_parse(*args: Any, **kwargs: Any) -> Any:
        parsed = parse(*args, **kwargs)
        if not hasattr(parsed, "__await__"):
            take(parsed)
            return parsed

        async def wait() -> Any:
            value = await parsed
            take(value)
            return value

        return wait()

    return listening_parse


class _Watch:
    """The iterator inside a stream, listened to."""

    def __init__(self, chunks: Any, request: _Request) -> None:
        self._chunks = chunks
        self._request = request

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chunks, name)

    def __iter__(self) -> _Watch:
        return self

    def __next__(self) -> Any:
        request = self._request
        request.before_step()
        try:
            chunk = next(self._chunks)
        except StopIteration:
            request.end_stream()
            raise
        except BaseException as error:
            request.end_stream(error)
            raise
        finally:
            request.after_step()
        request.take_chunk(chunk)
        return chunk


class _AsyncWatch:
    """The asynchronous iterator inside a stream, listened to."""

    def __init__(self, chunks: Any, request: _Request) -> None:
        self._chunks = chunks
        self._request = request

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chunks, name)

    def __aiter__(self) -> _AsyncWatch:
        return self

    async def __anext__(self) -> Any:
        request = self._request
        request.before_step()
        try:
            chunk = await self._chunks.__anext__()
        except StopAsyncIteration:
            request.end_stream()
            raise
        except BaseException as error:
            request.end_stream(error)
            raise
        finally:
            request.after_step()
        request.take_chunk(chunk)
        return chunk
