"""The HTTP clients, against a server of our own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from adapters.conformance import Conformance, ExampleConformance
from adapters.products import product
from adapters.trees import tree
from logtracer import Span, trace_to_json
from logtracer_extras.adapters import http as adapter
from logtracer_extras.adapters import openai as sdk

requests = product("requests")
httpx = product("httpx")
aiohttp = product("aiohttp")


ADAPTERS = [adapter]


class Answers(BaseHTTPRequestHandler):
    """Redirect once, then answer."""

    def do_GET(self) -> None:
        """Answer a request."""
        moved = self.path.startswith("/moved")
        status = self.path.removeprefix("/status/")
        self.send_response(int(status) if status.isdecimal() else 302 if moved else 200)
        self.send_header("Location", "/here")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Serve on a free port and return the address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def by_requests(url: str) -> int:
    with requests.Session() as session:
        return int(session.get(url).status_code)


def by_httpx(url: str) -> int:
    with httpx.Client(follow_redirects=True) as client:
        return int(client.get(url).status_code)


def by_async_httpx(url: str) -> int:
    async def get() -> int:
        async with httpx.AsyncClient(follow_redirects=True) as client:
            return int((await client.get(url)).status_code)

    return asyncio.run(get())


def by_aiohttp(url: str) -> int:
    async def get() -> int:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return int(answer.status)

    return asyncio.run(get())


CLIENTS = [by_requests, by_httpx, by_async_httpx, by_aiohttp]


class TestRequests(Conformance, ExampleConformance):
    adapter = adapter
    example = "http_requests"
    patched = ["requests:Session.send"]

    @pytest.fixture(autouse=True)
    def keep_address(self, model_apis: str) -> None:
        """Keep the address of the mock server."""
        self.address = model_apis

    def ask(self, question: str) -> str:
        if question == "always broken":
            raise_refused()
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": question}]}
        with requests.Session() as session:
            answer = session.post(f"{self.address}/v1/chat/completions", json=body)
            return str(answer.json()["choices"][0]["message"]["content"])


def raise_refused() -> None:
    with requests.Session() as session:
        session.get("http://127.0.0.1:9/")


@pytest.mark.parametrize("get", CLIENTS)
def test_a_request_is_one_node_with_its_redirects(
    get: Callable[[str], int], run: Span, server: str
) -> None:
    assert get(f"{server}/moved?q=1") == 200
    assert tree(run.trace) == ["custom GET 127.0.0.1"]
    (node,) = [node for node in run.trace.nodes.values() if node.parent_id]
    assert node.input_data == {"method": "GET", "url": f"{server}/moved?q=1"}
    assert node.output_data == {"status": 200}
    assert node.metadata["http.response.status_code"] == 200


@pytest.mark.parametrize("get", CLIENTS)
@pytest.mark.parametrize(
    ("status", "error"),
    [(500, "HTTP 500 Internal Server Error"), (404, "HTTP 404 Not Found"), (599, "HTTP 599")],
)
def test_a_bad_status_fails_the_node_and_not_the_host(
    get: Callable[[str], int], status: int, error: str, run: Span, server: str
) -> None:
    assert get(f"{server}/status/{status}") == status
    (node,) = run.trace.failed_nodes
    assert (node.error, node.output_data) == (error, {"status": status})


@pytest.mark.parametrize("get", CLIENTS)
def test_a_refused_connection_fails_the_node(get: Callable[[str], int], run: Span) -> None:
    with pytest.raises(Exception) as caught:
        get("http://127.0.0.1:9/")
    (node,) = run.trace.failed_nodes
    assert node.error_type == type(caught.value).__name__


def test_credentials_in_an_address_are_hidden(run: Span, server: str) -> None:
    by_requests(f"{server.replace('://', '://user:hunter2-secret@')}/?api_key=abcdefgh12345678")
    document = trace_to_json(run.trace)
    assert "hunter2" not in document
    assert "abcdefgh12345678" not in document


def test_the_request_of_a_model_call_is_part_of_it(run: Span, model_apis: str) -> None:
    openai = product("openai")
    with sdk.install(), openai.OpenAI() as client:
        messages = [{"role": "user", "content": "hello"}]
        client.chat.completions.create(model="gpt-4o", messages=messages)
    assert tree(run.trace) == ["llm_call chat gpt-4o"]
