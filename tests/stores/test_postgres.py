"""The PostgreSQL store, against a server of our own that is started and restarted."""

from __future__ import annotations

import glob
import os
import pickle
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from logtracer import StorageBackend, StoreError, TraceGraph, Tracer, open_store
from logtracer_cli import main
from logtracer_extras.stores.background import BackgroundStore
from logtracer_extras.stores.listing import list_summaries
from needs import needs
from sample_traces import weather
from shared_suite import SharedSuite
from store_suite import StoreSuite, only, record_all_kinds
from stress import child
from stress.figures import figure
from stress.forks import fork_while_tracing

needs("psycopg")

import psycopg  # noqa: E402

from logtracer_extras.stores.postgres import PostgresStore  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


class Server:
    """A PostgreSQL server in a directory of its own; it refuses to run as root."""

    def __init__(self, directory: str) -> None:
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_ctl"))
        self.programs = Path(found[-1] if found else needs("pg_ctl")).parent
        self.data = os.path.join(directory, "data")
        self.sockets = directory
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        if os.getuid() == 0:
            shutil.chown(directory, "postgres")
        self.run("initdb", "-D", self.data, "-U", "agent", "-A", "trust", "-E", "UTF8", "-N")
        self.make_certificate()

    def make_certificate(self) -> None:
        """Let clients encrypt what they say, as they do when the server is another machine."""
        key, certificate = f"{self.data}/server.key", f"{self.data}/server.crt"
        request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-batch"]
        self.run(needs("openssl"), *request, "-keyout", key, "-out", certificate)
        os.chmod(key, 0o600)

    def run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self.programs / program, *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if program.endswith("openssl") else None,
            cwd=self.sockets,
            user="postgres" if os.getuid() == 0 else None,
        )

    def start(self) -> None:
        options = f"-p {self.port} -k {self.sockets} -c listen_addresses=127.0.0.1 -F -c ssl=on"
        self.run("pg_ctl", "-D", self.data, "-w", "-l", f"{self.data}.log", "-o", options, "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", self.data, "-w", "-m", "immediate", "stop")

    @property
    def dsn(self) -> str:
        return f"postgresql://agent:hunter2hunter2@127.0.0.1:{self.port}/postgres"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        server = Server(directory)
        server.start()
        yield server
        server.stop()


@pytest.fixture
def store(server: Server, request: pytest.FixtureRequest) -> PostgresStore:
    """Give every test a schema of its own."""
    return PostgresStore(server.dsn, schema=f"schema_of_{abs(hash(request.node.name))}")


def record(store: StorageBackend, steps: int = 3) -> TraceGraph:
    tracer = Tracer(storage=store)
    with tracer.trace("run") as root:
        for number in range(steps):
            with root.node(f"step {number}") as step:
                step.input(number=number, text="NUL \x00, quote ', Zürich")
    assert tracer.stats()["errors"] == 0
    return root.trace


@pytest.fixture
def url(server: Server, request: pytest.FixtureRequest) -> str:
    """Give every test the URL of a schema of its own."""
    return f"{server.dsn}?schema=schema_of_{abs(hash(request.node.name))}"


class TestShared(SharedSuite):
    """PostgreSQL does what every store does that processes share."""


class TestPostgres(StoreSuite):
    """The PostgreSQL store does what every store does."""


def test_a_killed_process_loses_nothing_it_was_told(server: Server) -> None:
    program = """if True:
        import os, sys
        from logtracer import Tracer
        from logtracer_extras.postgres import PostgresStore
        root = Tracer(storage=PostgresStore(sys.argv[1], schema="killed")).trace("run").__enter__()
        with root.node("done"): pass
        root.node("open").start().input(question="why?")
        os.kill(os.getpid(), 9)
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", program, server.dsn], env=environment, check=False)
    store = PostgresStore(server.dsn, schema="killed")
    (trace_id,) = store.list_traces()
    trace = store.load(trace_id)
    assert trace is not None
    found = {node.name: (node.status, node.input_data) for node in trace.nodes.values()}
    assert found["done"] == ("completed", {})
    assert found["open"] == ("interrupted", {"question": "why?"})


def test_a_restart_of_the_server_loses_nothing(server: Server, store: PostgresStore) -> None:
    background = BackgroundStore(store)
    tracer = Tracer(storage=background)
    with tracer.trace("run") as root:
        for _ in range(20):
            with root.node("before"):
                pass
        background.flush(30)
        server.stop()
        for _ in range(20):
            with root.node("while the server is away"):
                pass
        server.start()
        for _ in range(20):
            with root.node("after"):
                pass
    assert background.flush(60)
    trace = store.load(root.trace.trace_id)
    assert trace is not None
    assert trace.nodes == root.trace.nodes
    assert background.dropped == 0


@pytest.mark.parametrize("mode", ["require", "disable"])
@pytest.mark.parametrize("is_plain", [True, False], ids=["plain", "background"])
def test_children_of_a_tracing_process_never_hang(
    server: Server, mode: str, is_plain: bool
) -> None:
    store = PostgresStore(f"{server.dsn}?sslmode={mode}", schema="forks")
    background = BackgroundStore(store, max_queue=1_000, on_full="block")
    fork_while_tracing(Tracer(storage=store if is_plain else background), figure(10, 200))
    assert background.flush(60)


INTERRUPTED = """
import signal, sys
from logtracer import Tracer, open_store

def interrupt(number, frame):
    handled.append(number)
    with root.node("in handler"):
        pass
    if not every:
        signal.setitimer(signal.ITIMER_REAL, 0.01)

handled, every = [], float(sys.argv[2])
tracer = Tracer(storage=open_store(sys.argv[1]))
signal.signal(signal.SIGALRM, interrupt)
with tracer.trace("run") as root:
    signal.setitimer(signal.ITIMER_REAL, every or 0.01, every)
    while len(handled) < 100:
        with root.node("step"):
            pass
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
stats = tracer.stats()
assert stats["finished"] == stats["saved"] + stats["dropped"] > 100, stats
assert every or not stats["errors"], stats
"""


@pytest.mark.parametrize("every", [0, 0.005])
def test_a_signal_handler_may_trace_in_the_middle_of_a_call(url: str, every: float) -> None:
    ended = child.run(INTERRUPTED, url, every)
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    assert "in handler" in {node.name for node in only(open_store(url)).nodes.values()}


@pytest.fixture
def silence() -> Iterator[socket.socket]:
    """Listen like a server that says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def test_a_server_that_says_nothing_holds_the_host_up_once(silence: socket.socket) -> None:
    address = f"postgresql://127.0.0.1:{silence.getsockname()[1]}/x?connect_timeout=2"
    tracer = Tracer(storage=PostgresStore(address))
    with tracer.trace("run") as root:
        for _ in range(20):
            with root.node("step"):
                pass
    assert tracer.stats()["dropped"] == 21
    silence.setblocking(False)
    silence.accept()[0].close()  # the one attempt
    with pytest.raises(BlockingIOError):
        silence.accept()


def test_what_the_server_will_never_take_holds_nothing_else_up(store: PostgresStore) -> None:
    background = BackgroundStore(store)
    endless = "".join(map(chr, random.Random(0).choices(range(33, 127), k=20_000)))
    tracer = Tracer(storage=background)
    with tracer.trace("endless", session_id=endless), tracer.trace("fine") as root:
        pass
    assert background.flush(30)
    assert background.dropped == 2  # its first and its last event, which tell the session
    assert store.load(root.trace.trace_id) == root.trace


def test_a_lock_that_others_hold_costs_seconds_not_the_host(server: Server, url: str) -> None:
    store = open_store(url)
    record(store)
    schema = url.partition("schema=")[2]
    with psycopg.connect(server.dsn) as other:
        other.execute(f"LOCK TABLE {schema}.events IN EXCLUSIVE MODE".encode())
        with pytest.raises(StoreError, match="lock timeout"):
            store.save(weather())
    store.save(weather())


def test_tables_that_somebody_drops_are_made_again(server: Server, url: str) -> None:
    store = open_store(url)
    record(store)
    with psycopg.connect(server.dsn, autocommit=True) as other:
        other.execute(f"DROP SCHEMA {url.partition('schema=')[2]} CASCADE".encode())
    background = BackgroundStore(store)
    trace = record(background)
    assert background.flush(30)
    assert store.list_traces() == [trace.trace_id]
    assert background.dropped == 0


def test_a_store_can_be_handed_to_another_process(store: PostgresStore) -> None:
    trace = record(store)
    assert pickle.loads(pickle.dumps(store)).load(trace.trace_id) == store.load(trace.trace_id)


def test_old_traces_can_be_pruned(store: PostgresStore) -> None:
    old = record(store)
    now = datetime.now(timezone.utc)
    assert store.prune(now - timedelta(hours=1)) == 0
    assert store.prune(now + timedelta(hours=1)) > 0
    assert store.load(old.trace_id) is None


FIRST_VERSION = """
CREATE SCHEMA old;
CREATE TABLE old.logtracer_version (version integer PRIMARY KEY);
INSERT INTO old.logtracer_version VALUES (1);
CREATE TABLE old.events (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, trace_id text NOT NULL,
    event text NOT NULL, line text NOT NULL,
    written timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX events_of_trace ON old.events (trace_id, position);
CREATE INDEX events_written ON old.events (written);
INSERT INTO old.events (trace_id, event, line)
    SELECT trace_id, event, line FROM new.events ORDER BY position;
"""


def test_tables_of_the_first_version_are_brought_up_to_date(server: Server) -> None:
    store = PostgresStore(server.dsn, schema="new")
    record_all_kinds(store)
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(FIRST_VERSION)
    old = PostgresStore(server.dsn, schema="old")
    assert list(list_summaries(old)) == list(list_summaries(store))
    assert record(old).name == "run"


def test_tables_of_a_newer_version_are_refused(server: Server, url: str) -> None:
    store = open_store(url)
    store.list_traces()
    schema = url.partition("schema=")[2]
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(f"INSERT INTO {schema}.logtracer_version VALUES (99)".encode())
    with pytest.raises(StoreError, match="version 99.*install a newer"):
        open_store(url).list_traces()


def test_the_terminal_reads_a_server_and_shows_no_password(
    url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trace = record(open_store(url))
    assert main(["list", "--store", url]) == 0
    assert main(["inspect", "latest", "--store", url]) == 0
    assert main(["search", "step", "--store", url, "--name", "run"]) == 0
    assert main(["copy", url, str(tmp_path), trace.trace_id[:8]]) == 0
    assert main(["copy", str(tmp_path), url, "--force"]) == 0
    assert main(["view", "latest", "--no-open", "--store", url]) == 0
    for wrong in (["inspect", "latest~9"], ["inspect", "zz"]):
        assert main([*wrong, "--store", url]) == 1
    assert main(["prune", "--status", "completed", "--store", url]) == 0
    written = capsys.readouterr()
    assert "hunter2" not in written.out + written.err
    assert written.out.endswith("; 0 left\n")


def test_the_password_is_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    store = PostgresStore("postgresql://agent:hunter2hunter2@127.0.0.1:1/postgres")
    with pytest.raises(StoreError) as raised:
        store.list_traces()
    tracer = Tracer(storage=store)
    with tracer.trace("run"):
        pass
    shown = f"{store!r} {raised.value} {raised.value!r} {caplog.text}"
    assert "hunter2" not in shown
    assert "127.0.0.1" in shown
    assert tracer.stats()["errors"] > 0


@pytest.mark.parametrize("schema", ["t; drop table x", "", "a b", "x" * 64, 'a"b'])
def test_a_schema_that_is_no_plain_name_is_refused(schema: str) -> None:
    with pytest.raises(ValueError, match="plain name"):
        PostgresStore("postgresql://localhost/x", schema=schema)


def test_a_url_names_the_store(server: Server) -> None:
    store = open_store(server.dsn)
    assert isinstance(store, PostgresStore)
    assert store.list_traces() == []
