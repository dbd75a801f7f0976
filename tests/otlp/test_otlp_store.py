"""OTLPStore over HTTP: what it sends, when it tries again, and what it never gives away."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from logtracer import MemoryStore, StoreError, Tracer
from logtracer_extras.importers import import_traces
from logtracer_extras.otlp import OTLPStore
from logtracer_extras.stores.background import BackgroundStore
from logtracer_extras.stores.tee import TeeStore
from needs import needs
from otlp_traces import everything


class Receiver:
    """A receiver on this machine that remembers requests and answers as it is told."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        if context is not None:
            self.url = self.url.replace("http:", "https:")
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Plan the answer to a request; without a plan it is 200."""
        self.answers.append((status, {k.replace("_", "-"): v for k, v in headers.items()}, body))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {key.lower(): value for key, value in self.headers.items()}
                receiver.requests.append((self.path, headers, body))
                planned = receiver.answers.pop(0) if receiver.answers else (200, {}, b"")
                status, extra, answer = planned
                self.send_response(status)
                for key, value in {**extra, "Content-Length": str(len(answer))}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def no_otel_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


# ---- What is sent --------------------------------------------------------------------------------


def test_a_trace_arrives_compressed_with_the_exact_content_type(
    receiver: Receiver,
) -> None:
    OTLPStore(receiver.url, protocol="http/json").save(everything())
    path, headers, body = receiver.requests[0]

    assert (path, headers["content-type"]) == ("/v1/traces", "application/json")
    assert len(import_traces(gzip.decompress(body))[0].nodes) == len(everything().nodes)


def test_protobuf_is_the_default_and_compression_can_be_switched_off(receiver: Receiver) -> None:
    OTLPStore(receiver.url, compression="none").save(everything())
    _, headers, body = receiver.requests[0]

    assert headers["content-type"] == "application/x-protobuf"
    assert "content-encoding" not in headers
    assert body.startswith(b"\x0a")


def test_a_tracer_writes_to_it(receiver: Receiver) -> None:
    tracer = Tracer(storage=OTLPStore(receiver.url, protocol="http/json"))
    with tracer.trace("run") as root, root.node("step"):
        pass
    sent = import_traces(gzip.decompress(receiver.requests[0][2]))[0]

    assert sent.trace_id == root.trace.trace_id
    assert [node.name for node in sent.nodes.values()] == ["run", "step"]


@pytest.mark.parametrize("wrap", [lambda store: TeeStore(MemoryStore(), store), BackgroundStore])
def test_it_works_beside_and_behind_other_stores(
    receiver: Receiver, wrap: Callable[[OTLPStore], Any]
) -> None:
    inner = OTLPStore(receiver.url)
    tracer = Tracer(storage=wrap(inner))
    with tracer.trace("run") as root, root.node("step"):
        pass
    tracer.close()

    assert inner.stats()["sent"] == 2
    assert tracer.stats()["dropped"] == 0


def test_it_travels_to_another_process_without_its_counts(receiver: Receiver) -> None:
    store = OTLPStore(receiver.url, headers={"x-api-key": "k"})
    store.save(everything())
    copy = pickle.loads(pickle.dumps(store))
    copy.save(everything())

    assert receiver.requests[1][1]["x-api-key"] == "k"
    assert copy.stats()["requests"] == 1


def test_standard_variables_are_honoured(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url + "/base")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b,x=y")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "my-agent")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    OTLPStore().save(everything())
    path, headers, body = receiver.requests[0]
    resource = json.loads(body)["resourceSpans"][0]["resource"]["attributes"]
    facts = {item["key"]: item["value"]["stringValue"] for item in resource}

    assert (path, headers["api-key"], headers["x"]) == ("/base/v1/traces", "a b", "y")
    assert (facts["service.name"], facts["deployment.environment"]) == ("my-agent", "test")


def test_arguments_win_over_variables(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9/elsewhere")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "from-outside")
    store = OTLPStore(
        receiver.url + "/v1/traces", service_name="mine", protocol="http/json", compression="none"
    )
    store.save(everything())

    assert receiver.requests[0][0] == "/v1/traces"
    assert b'"mine"' in receiver.requests[0][2]


def test_variables_for_traces_win_over_those_for_everything(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    general = {"ENDPOINT": "http://127.0.0.1:9", "HEADERS": "a=1", "PROTOCOL": "grpc"}
    special = {"ENDPOINT": receiver.url + "/as/is", "HEADERS": "b=2", "PROTOCOL": "http/json"}
    for name, value in {**general, "COMPRESSION": "gzip", "TIMEOUT": "oops"}.items():
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)
    for name, value in {**special, "COMPRESSION": "none", "TIMEOUT": "9000"}.items():
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_TRACES_{name}", value)
    OTLPStore().save(everything())
    path, headers, body = receiver.requests[0]

    assert (path, headers["b"], headers.get("a")) == ("/as/is", "2", None)
    assert len(import_traces(body)[0].nodes) == len(everything().nodes)


def test_a_receiver_that_says_nothing_is_waited_for_no_longer_than_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "50")  # milliseconds
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = OTLPStore(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(StoreError, match="timed out"):
            store.save(everything())


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Return a certificate of this machine that nobody has signed, its key in the same file."""
    path = tmp_path / "certificate.pem"
    command = [needs("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-batch"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(path), "-out", str(tmp_path / "public.pem")]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + (tmp_path / "public.pem").read_text())
    return path


def test_a_certificate_is_trusted_only_when_it_is_named(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with closing(Receiver(context)) as receiver:
        with pytest.raises(StoreError, match="CERTIFICATE_VERIFY_FAILED"):
            OTLPStore(receiver.url, headers={"api-key": "x"}).save(everything())
        assert receiver.requests == []
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(certificate))
        OTLPStore(receiver.url, headers={"api-key": "x"}).save(everything())
        assert len(receiver.requests) == 1


# ---- Trying again --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_receiver_is_asked_again(receiver: Receiver, status: int) -> None:
    receiver.answer(status)
    receiver.answer(status)
    clock = Clock()
    store = OTLPStore(receiver.url, sleep=clock.sleep, clock=clock)
    store.save(everything())

    assert len(receiver.requests) == 3
    assert 0 < clock.slept[0] < clock.slept[1]
    assert store.stats()["retries"] == 2


@pytest.mark.parametrize("status", [400, 401, 404, 413, 500, 501])
def test_a_refusal_is_final(receiver: Receiver, status: int) -> None:
    receiver.answer(status, b"no such thing")
    store = OTLPStore(receiver.url, sleep=Clock().sleep)

    with pytest.raises(StoreError, match=f"{status}.*no such thing"):
        store.save(everything())
    assert len(receiver.requests) == 1
    assert store.stats()["failed"] == len(everything().nodes)


def test_the_receiver_says_how_long_to_wait(receiver: Receiver) -> None:
    receiver.answer(503, Retry_After="7")
    receiver.answer(429, Retry_After="Thu, 01 Jan 1970 00:00:00 GMT")
    clock = Clock()
    OTLPStore(receiver.url, sleep=clock.sleep, clock=clock).save(everything())

    assert clock.slept == [7.0, 0.0]


def test_it_gives_up_in_time(receiver: Receiver) -> None:
    for _ in range(50):
        receiver.answer(503)
    clock = Clock()

    with pytest.raises(StoreError, match="503"):
        OTLPStore(receiver.url, retry_for=20, sleep=clock.sleep, clock=clock).save(everything())
    assert clock.now <= 20


def test_a_receiver_that_is_not_there_is_a_store_error() -> None:
    receiver = Receiver()
    receiver.close()

    with pytest.raises(StoreError, match="did not answer"):
        OTLPStore(receiver.url).save(everything())


# ---- Partial success -----------------------------------------------------------------------------

PARTIAL_JSON = b'{"partialSuccess": {"rejectedSpans": "3", "errorMessage": "too old"}}'
PARTIAL_PROTOBUF = b"\x0a\x0b\x08\x03\x12\x07too old"


@pytest.mark.parametrize(
    ("kind", "body"),
    [("application/json", PARTIAL_JSON), ("application/x-protobuf", PARTIAL_PROTOBUF)],
)
def test_rejected_spans_are_counted(
    receiver: Receiver, caplog: pytest.LogCaptureFixture, kind: str, body: bytes
) -> None:
    receiver.answer(200, body, Content_Type=kind)
    store = OTLPStore(receiver.url)
    store.save(everything())

    assert store.stats()["rejected"] == 3
    assert store.stats()["sent"] == len(everything().nodes) - 3
    assert "rejected 3 spans: too old" in caplog.text


@pytest.mark.parametrize("body", [b"\xff" * 40, b"OK", b"\x0a\x7f", b"{", b"[1]", b"\x00" * 70_000])
@pytest.mark.parametrize("kind", ["application/json", "application/x-protobuf", "text/plain"])
def test_an_odd_answer_to_a_success_is_still_a_success(
    receiver: Receiver, kind: str, body: bytes
) -> None:
    receiver.answer(200, body, Content_Type=kind)
    store = OTLPStore(receiver.url)
    store.save(everything())

    assert store.stats()["sent"] == len(everything().nodes)


# ---- Secrets -------------------------------------------------------------------------------------


def test_a_redirect_is_a_failure_and_the_stranger_gets_nothing(receiver: Receiver) -> None:
    stranger = Receiver()
    try:
        for status in (301, 302, 303, 307, 308):
            receiver.answer(status, Location=stranger.url + "/v1/traces")
            with pytest.raises(StoreError, match="redirects"):
                OTLPStore(receiver.url, headers={"authorization": "Bearer x"}).save(everything())
        assert stranger.requests == []
    finally:
        stranger.close()


@pytest.mark.parametrize(
    "make",
    [
        lambda: OTLPStore("http://collector.example", headers={"Authorization": "x"}),
        lambda: OTLPStore("http://collector.example", headers={"x-honeycomb-team": "x"}),
        lambda: OTLPStore("http://127.0.0.1.example", headers={"x-api-key": "x"}),
        lambda: OTLPStore("http://collector.example/v1/traces?api_key=x"),
        lambda: OTLPStore("https://user:secret@collector.example"),
        lambda: OTLPStore("file:///etc/passwd"),
        lambda: OTLPStore("ftp://collector.example"),
        lambda: OTLPStore("collector:4318"),
        lambda: OTLPStore("https://collector.example", headers={"a": "b\r\nc: d"}),
        lambda: OTLPStore("https://collector.example", headers={"a b": "c"}),
        lambda: OTLPStore("https://collector.example", protocol="grpc"),
        lambda: OTLPStore("https://collector.example", compression="zstd"),
        lambda: OTLPStore("https://collector.example", timeout=0),
    ],
)
def test_a_setting_that_cannot_work_or_leaks_is_refused_at_once(
    make: Callable[[], OTLPStore],
) -> None:
    with pytest.raises(ValueError) as caught:
        make()
    assert "secret" not in str(caught.value).replace("'secret'", "")


def test_a_certificate_that_cannot_be_read_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such/file.pem")

    with pytest.raises(ValueError, match="file.pem"):
        OTLPStore("https://collector.example")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_credentials_may_stay_on_this_machine(host: str) -> None:
    OTLPStore(f"http://{host}:4318", headers={"authorization": "x"})


def test_no_secret_is_shown(receiver: Receiver) -> None:
    receiver.answer(401, b"bad key hunter22 \x1b[31m")
    store = OTLPStore(receiver.url + "?key=hunter33", headers={"x-api-key": "hunter22"})

    with pytest.raises(StoreError) as caught:
        store.save(everything())
    assert "hunter" not in str(caught.value) + repr(store)
    assert "\x1b" not in str(caught.value)


def test_plain_http_does_not_go_through_a_proxy(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    OTLPStore(receiver.url).save(everything())

    assert len(receiver.requests) == 1
