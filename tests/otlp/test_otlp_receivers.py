"""A real collector on the network: everything a trace says arrives, in both encodings."""

from __future__ import annotations

import gzip
import importlib
import importlib.util
import sysconfig
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from logtracer import EdgeType, NodeStatus, NodeType
from logtracer_extras.otlp import OTLPStore
from needs import needs
from otlp_traces import TOKENS, everything
from servers import free_port, running

TRACE_SERVICE = "opentelemetry.proto.collector.trace.v1.trace_service_pb2"
_PATIENCE = 20.0  # seconds; it is there in one


class Sink:
    """What a collector forwards to; decodes with OpenTelemetry's own parser."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.arrived = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def take(self, number: int) -> list[Any]:
        """Wait for so many spans, and return them."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.spans) >= number, _PATIENCE)
            taken, self.spans = self.spans, []
        return taken

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add(self, body: bytes) -> None:
        """Take an export request."""
        request = importlib.import_module(TRACE_SERVICE).ExportTraceServiceRequest.FromString(body)
        with self.arrived:
            for group in request.resource_spans:
                self.spans += [span for scope in group.scope_spans for span in scope.spans]
            self.arrived.notify_all()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                sink.add(body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    needs("opentelemetry.proto")
    made = Sink()
    yield made
    made.close()


@pytest.fixture(scope="module")
def collector(sink: Sink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start rotel, a collector that its Python package brings along; return its URL."""
    needs("rotel")
    spec = importlib.util.find_spec("rotel")
    assert spec is not None and spec.origin is not None
    folder, port = tmp_path_factory.mktemp("rotel"), free_port()
    command = [
        str(Path(spec.origin).parent / "rotel-agent"),
        "start",
        *("--pid-file", str(folder / "pid")),
        *("--otlp-grpc-endpoint", f"127.0.0.1:{free_port()}"),
        *("--otlp-http-endpoint", f"127.0.0.1:{port}"),
        *("--exporter", "otlp"),
        *("--otlp-exporter-endpoint", sink.url),
        *("--otlp-exporter-protocol", "http"),
    ]
    python_library = str(sysconfig.get_config_var("LIBDIR"))  # the collector is linked to it
    with running(command, port, folder, _PATIENCE, LD_LIBRARY_PATH=python_library):
        yield f"http://127.0.0.1:{port}"


def attributes(span: Any) -> dict[str, Any]:
    found = {}
    for item in span.attributes:
        value = item.value
        found[item.key] = getattr(value, value.WhichOneof("value"))
    return found


@pytest.fixture(scope="module", params=["http/protobuf", "http/json"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=["gzip", "none"])
def arrived(
    collector: str, sink: Sink, protocol: str, request: pytest.FixtureRequest
) -> dict[str, Any]:
    """Send a trace with everything through the collector; return its spans by name."""
    trace = everything()
    store = OTLPStore(collector, protocol=protocol, compression=request.param)
    store.save(trace)
    spans = sink.take(len(trace.nodes))
    assert store.stats()["sent"] == len(spans) == len(trace.nodes)
    return {span.name: span for span in spans}


def test_the_tree_and_the_times_arrive(arrived: dict[str, Any]) -> None:
    for node in everything().nodes.values():
        span = arrived[node.name]
        assert span.trace_id.hex() == everything().trace_id
        assert (span.span_id.hex(), span.parent_span_id.hex()) == (node.id, node.parent_id or "")
        assert node.duration_ms == (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6


def test_every_node_type_arrives(arrived: dict[str, Any]) -> None:
    kinds = {attributes(span)["logtracer.node.type"] for span in arrived.values()}

    assert kinds == {"trace", *map(str, NodeType)}
    assert attributes(arrived["a llm_call"])["openinference.span.kind"] == "LLM"
    assert attributes(arrived["a llm_call"])["gen_ai.operation.name"] == "chat"


def test_every_edge_type_arrives_as_a_link(arrived: dict[str, Any]) -> None:
    links = [link for span in arrived.values() for link in span.links]

    assert {attributes(link)["logtracer.edge.type"] for link in links} == set(map(str, EdgeType))
    ids = {span.span_id for span in arrived.values()}
    assert all(link.span_id in ids for link in links)


def test_every_status_arrives(arrived: dict[str, Any]) -> None:
    for status in NodeStatus:
        span = arrived[f"{status} step"]
        code = {"completed": 1, "failed": 2}.get(status, 0)
        assert span.status.code == code
        assert code or attributes(span)["logtracer.node.status"] == status


def test_every_kind_of_token_arrives(arrived: dict[str, Any]) -> None:
    found = attributes(arrived["a llm_call"])

    assert {name: found[name] for name in TOKENS} == TOKENS
    assert found["llm.token_count.total"] == 150


def test_an_error_arrives_as_an_exception(arrived: dict[str, Any]) -> None:
    span = arrived["failed step"]

    assert span.status.message == "timed out"
    assert attributes(span.events[0])["exception.type"] == "TimeoutError"
