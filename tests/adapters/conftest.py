"""The mock of the model APIs that all adapter tests talk to, and settings for the products."""

from __future__ import annotations

import gc
import socket
import subprocess
import time
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from adapters.trees import begin_trace, unreadable_in
from logtracer import Span, Tracer, current_span
from needs import needs

ANSWERS = Path(__file__).parent / "model_answers.json"

# The products phone home, or wait for a network at exit, unless told not to.
SETTINGS = {
    "AGNO_TELEMETRY": "false",
    "ANTHROPIC_API_KEY": "test",
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_TESTING": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "GOOGLE_API_KEY": "test",
    "LANGSMITH_TRACING": "false",
    "OPENAI_AGENTS_DISABLE_TRACING": "0",
    "OPENAI_API_KEY": "test",
}


@pytest.fixture(scope="session")
def model_server() -> Iterator[str]:
    """Start the mock server on a free port and return its address."""
    program = needs("llmock")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [program, "-p", str(port), "-f", str(ANSWERS), "--log-level", "silent"]
    environment = {"AIMOCK_STRICT_TURN_INDEX": "1", "PATH": "/usr/local/bin:/usr/bin:/bin"}
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/health", server)
        yield address
    finally:
        server.kill()
        server.wait()


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    """Return when the server answers."""
    for _ in range(200):
        assert server.poll() is None, "the mock server has ended"
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.05)  # it has just been started
    raise AssertionError(f"no answer from {url}")


@pytest.fixture(scope="module", autouse=True)
def sockets_of_the_products() -> Iterator[None]:
    """Collect after each file what its product left open, before another test is blamed."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


@pytest.fixture(autouse=True)
def no_span_from_before() -> None:
    """Begin outside any trace."""
    assert current_span() is None


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the products at the mock server, if there is one, and keep them quiet."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def model_apis(model_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Point the SDKs at the mock server and return its address."""
    monkeypatch.setenv("OPENAI_BASE_URL", f"{model_server}/v1")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", model_server)
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", model_server)
    return model_server


@pytest.fixture
def tracer() -> Iterator[Tracer]:
    """Return a tracer that keeps its traces in memory, and look at the end at what it has kept.

    Whatever product it was: what is kept can be read, and is the same in each run.
    """
    tracer = Tracer()
    yield tracer
    for trace_id in tracer.storage.list_traces():
        kept = tracer.storage.load(trace_id)
        assert kept is None or not unreadable_in(kept)


@pytest.fixture
def run(request: pytest.FixtureRequest, tracer: Tracer) -> Iterator[Span]:
    """Record a trace with the adapters that the test file lists installed."""
    with ExitStack() as stack:
        for adapter in request.module.ADAPTERS:
            stack.enter_context(adapter.install(tracer))
        yield begin_trace(stack, tracer)
