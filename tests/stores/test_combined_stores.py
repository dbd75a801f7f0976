"""Stores that lie beside the tracer: SQLite, background, tee."""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from logtracer import (
    FileStore,
    LogtracerError,
    MemoryStore,
    StorageBackend,
    StoreError,
    TraceGraph,
    Tracer,
    open_store,
)
from logtracer_extras.stores.background import BackgroundStore
from logtracer_extras.stores.inferring import InferringStore
from logtracer_extras.stores.listing import list_summaries
from logtracer_extras.stores.sqlite import SQLiteStore
from logtracer_extras.stores.tee import TeeStore
from sample_traces import Sample, weather
from store_suite import record_all_kinds

ROOT = Path(__file__).resolve().parents[2]


class Broken:
    """A store that takes nothing."""

    def save(self, trace: TraceGraph) -> None:
        raise StoreError("broken")

    def load(self, trace_id: str) -> TraceGraph | None:
        return None

    def list_traces(self) -> list[str]:
        return []


class Slow(MemoryStore):
    """A store that waits to be let go on."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go_on = threading.Event()
        self.is_busy = threading.Event()

    def write_event(self, trace_id: str, event: str, line: str) -> None:
        self.is_busy.set()
        self.may_go_on.wait(30)


def record(store: Any, steps: int = 3) -> TraceGraph:
    tracer = Tracer(storage=store)
    with tracer.trace("run") as root:
        for number in range(steps):
            with root.node(f"step {number}") as step:
                step.input(number=number)
    assert tracer.stats()["errors"] == 0
    return root.trace


def test_sqlite_keeps_what_a_killed_process_was_told(tmp_path: Path) -> None:
    program = """if True:
        import os, sys
        from logtracer import Tracer
        from logtracer_extras.sqlite import SQLiteStore
        root = Tracer(storage=SQLiteStore(sys.argv[1])).trace("killed").__enter__()
        with root.node("done"): pass
        root.node("open").start().input(question="why?")
        os.kill(os.getpid(), 9)
    """
    path = tmp_path / "traces.db"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", program, path], env=environment, check=False)
    (trace_id,) = SQLiteStore(path).list_traces()
    trace = SQLiteStore(path).load(trace_id)
    assert trace is not None
    found = {node.name: (node.status, node.input_data) for node in trace.nodes.values()}
    assert found["done"] == ("completed", {})
    assert found["open"] == ("interrupted", {"question": "why?"})


def test_sqlite_refuses_what_a_newer_version_wrote(tmp_path: Path) -> None:
    SQLiteStore(tmp_path / "traces.db").close()
    with closing(sqlite3.connect(tmp_path / "traces.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="version 99.*install a newer"):
        SQLiteStore(tmp_path / "traces.db")


FIRST_VERSION = """
CREATE TABLE events (
    position INTEGER PRIMARY KEY, trace_id TEXT NOT NULL, event TEXT NOT NULL, line TEXT NOT NULL
);
CREATE INDEX events_of_trace ON events (trace_id, position);
CREATE INDEX traces_started ON events (position) WHERE event = 'trace.started';
PRAGMA user_version = 1;
"""


def test_sqlite_brings_a_file_of_the_first_version_up_to_date(tmp_path: Path) -> None:
    with closing(SQLiteStore(tmp_path / "new.db")) as store:
        record_all_kinds(store)
        expected = list(list_summaries(store))
    with closing(sqlite3.connect(tmp_path / "old.db", isolation_level=None)) as connection:
        connection.executescript(FIRST_VERSION)
        connection.execute("ATTACH ? AS new", [str(tmp_path / "new.db")])
        connection.execute("INSERT INTO events SELECT * FROM new.events")
    assert list(list_summaries(SQLiteStore(tmp_path / "old.db"))) == expected
    assert record(SQLiteStore(tmp_path / "old.db")).name == "run"


def test_a_file_that_stays_locked_costs_events_not_the_hosts_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logtracer_extras.stores.sqlite._BUSY_SECONDS", 0.05)
    tracer = Tracer(storage=SQLiteStore(tmp_path / "traces.db"))
    other = sqlite3.connect(tmp_path / "traces.db", isolation_level=None)
    with closing(other), tracer.trace("run") as root:
        other.execute("BEGIN IMMEDIATE")
        for _ in range(20):
            with root.node("lost"):
                pass
        other.execute("COMMIT")
        with root.node("kept"):
            pass
    assert tracer.stats()["dropped"] == 20
    trace = tracer.storage.load(root.trace.trace_id)
    assert trace is not None
    assert [node.name for node in trace.nodes.values()] == ["run", "kept"]
    assert trace.metadata["logtracer.dropped_nodes"] == 20


def test_what_sqlite_cannot_read_is_a_store_error_that_names_the_file(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "traces.db")
    with closing(sqlite3.connect(tmp_path / "traces.db")) as connection:
        connection.execute("DROP TABLE traces")
    with pytest.raises(StoreError, match=r"traces\.db: no such table"):
        store.list_traces()


def test_sqlite_refuses_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database" * 100)
    with pytest.raises(StoreError, match=r"notes\.txt"):
        SQLiteStore(tmp_path / "notes.txt")


def test_sqlite_files_are_their_owners_alone(tmp_path: Path) -> None:
    record(SQLiteStore(tmp_path / "traces.db"))
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}, modes


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no groups of this kind")
def test_a_shared_sqlite_file_is_its_groups_whatever_the_umask_says(tmp_path: Path) -> None:
    previous = os.umask(0o077)
    try:
        store = SQLiteStore(tmp_path / "new" / "traces.db", shared=True)
        with Tracer(storage=pickle.loads(pickle.dumps(store))).trace("run"):
            modes = {
                path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()
            }
    finally:
        os.umask(previous)
    assert modes == dict.fromkeys(["traces.db", "traces.db-wal", "traces.db-shm"], 0o660)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o770


@pytest.mark.parametrize("wrap", [lambda store: store, BackgroundStore])
def test_a_connection_that_can_only_read_is_made_anew(
    wrap: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "traces.db"
    SQLiteStore(path).close()
    connect, opened = sqlite3.connect, []

    def first_to_read(database: str, **options: Any) -> sqlite3.Connection:
        """Open as SQLite does when it cannot open a file for writing at that moment."""
        opened.append(database)
        reading: sqlite3.Connection = connect(f"file:{database}?mode=ro", uri=True, **options)
        return reading

    monkeypatch.setattr(sqlite3, "connect", first_to_read)
    store = SQLiteStore(path)
    monkeypatch.undo()
    background = wrap(store)
    tracer = Tracer(storage=background)
    for _ in range(3):
        with tracer.trace("run"):
            pass
    tracer.flush(30)
    assert len(store.list_traces()) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no open file")
@pytest.mark.parametrize("is_replaced", [False, True])
def test_sqlite_writes_to_no_file_that_was_removed_or_replaced(
    is_replaced: bool, tmp_path: Path
) -> None:
    tracer = Tracer(storage=SQLiteStore(tmp_path / "traces.db"))
    with tracer.trace("before"):
        pass
    (tmp_path / "old").mkdir()
    for path in tmp_path.glob("traces.db*"):
        path.rename(tmp_path / "old" / path.name)
    if is_replaced:
        record(SQLiteStore(tmp_path / "traces.db"))
    for _ in range(2):
        with tracer.trace("after"):
            pass
    counts = tracer.stats()
    store = SQLiteStore(tmp_path / "traces.db")
    listed = list(list_summaries(store))
    assert [summary.name for summary in listed].count("after") == 2
    assert (counts["saved"], counts["dropped"]) == (3, 0)
    assert (tmp_path / "traces.db").stat().st_mode & 0o777 == 0o600


def test_a_list_of_runs_that_started_at_once_has_each_of_them_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logtracer_extras.stores._trace_table._PAGE", 2)
    store = SQLiteStore(tmp_path / "traces.db")
    ids = [f"{number:032x}" for number in range(5)]
    for trace_id in reversed(ids):
        store.save(Sample("run", trace_id=trace_id).trace)
    assert [summary.trace_id for summary in list_summaries(store)] == ids


LINES_OF_OTHERS = [
    {"start_time": "yesterday"},
    {"start_time": 7},
    {"start_time": "0001-01-01T00:00:00+14:00"},
    {"metadata": None, "name": None},
]


@pytest.mark.parametrize("odd", LINES_OF_OTHERS, ids=ascii)
def test_odd_lines_of_another_program_cost_sqlite_no_event(
    odd: dict[str, Any], tmp_path: Path
) -> None:
    store = SQLiteStore(tmp_path / "traces.db")
    node = weather().root_nodes[0].to_dict()
    head = {"schema_version": "0.1.0", "trace_id": "a" * 32, "name": "run", **odd}
    for event, facts in (
        ("trace.started", head),
        ("node.started", {"node": {**node, "end_time": None}}),
        ("node.completed", {"node": node}),
        ("trace.completed", {}),
    ):
        store.write_event("a" * 32, event, json.dumps({"event": event, **facts}) + "\n")
    store.save(weather())
    assert {summary.trace_id for summary in list_summaries(store)} == {
        "a" * 32,
        weather().trace_id,
    }


def test_many_processes_may_make_the_same_database_at_once(tmp_path: Path) -> None:
    program = f"""if True:
        import os, sys
        sys.path.insert(0, {str(ROOT)!r})
        from logtracer_extras.sqlite import SQLiteStore
        for number in range(40):
            start, go = os.pipe()
            children = []
            for _ in range(8):
                children.append(os.fork())
                if not children[-1]:
                    os.close(go)
                    os.read(start, 1)
                    SQLiteStore(f"{tmp_path}/{{number}}.db")
                    os._exit(0)
            os.close(go)
            assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    """
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_forked_child_writes_through_a_connection_of_its_own(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "traces.db")
    parent = record(store)
    program = f"""if True:
        import os, sys
        sys.path.insert(0, {str(ROOT)!r})
        from logtracer import Tracer
        from logtracer_extras.sqlite import SQLiteStore
        tracer = Tracer(storage=SQLiteStore({str(tmp_path / "traces.db")!r}))
        with tracer.trace("before the fork"): pass
        child = os.fork()
        with tracer.trace("both"): pass
        if child: sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        os._exit(0)
    """
    subprocess.run([sys.executable, "-c", program], check=True)
    traces = [store.load(trace_id) for trace_id in store.list_traces()]
    names = sorted(trace.name for trace in traces if trace is not None)
    assert names == ["before the fork", "both", "both", parent.name]


def test_a_broken_store_does_not_stop_the_others() -> None:
    memory = MemoryStore()
    store = TeeStore(Broken(), memory)
    trace = record(store)
    assert memory.load(trace.trace_id) is not None
    assert store.failures[0] > 0
    assert store.failures[1] == 0


class Refusing(MemoryStore):
    """A store that takes no trace, for good or for now."""

    def __init__(self, reason: Exception) -> None:
        super().__init__()
        self.reason = reason

    def save(self, trace: TraceGraph) -> None:
        raise self.reason


@pytest.mark.parametrize("reason", [LogtracerError("never"), StoreError("not now")])
def test_a_tee_lets_go_of_the_traces_that_a_store_refuses(reason: Exception) -> None:
    store = TeeStore(Refusing(reason), MemoryStore())
    for _ in range(30):
        record(store)
    gathering: Any = store._streams[0]
    assert len(gathering._lines) <= 1
    assert store.failures == [30, 0]


def test_a_trace_that_is_refused_for_now_is_whole_when_it_is_taken() -> None:
    class Flaky(MemoryStore):
        fails = 2

        def save(self, trace: TraceGraph) -> None:
            self.fails -= 1
            if self.fails >= 0:
                raise StoreError("not now")
            super().save(trace)

    flaky = Flaky()
    store = BackgroundStore(TeeStore(flaky))
    trace = record(store)
    assert store.flush(30)
    assert flaky.load(trace.trace_id) == trace


def test_a_tee_reads_what_any_of_its_stores_has(tmp_path: Path) -> None:
    files, database = FileStore(tmp_path / "files"), SQLiteStore(tmp_path / "traces.db")
    store = TeeStore(files, database)
    with Tracer(storage=store).trace("run", {"model": "m"}) as root:
        for number in range(4):
            refusing: Any = (files, database)[number % 2]
            with pytest.MonkeyPatch.context() as patch, root.node(f"step {number}") as step:
                patch.setattr(refusing, "write_event", raise_store_error)
                step.end()
    assert [count_in(each, root.trace.trace_id) for each in (files, database)] == [5, 5]
    trace = store.load(root.trace.trace_id)
    assert trace is not None
    assert {node.status for node in trace.nodes.values()} == {"completed"}
    assert len(trace.edges) == 4 and trace.metadata["model"] == "m"
    (listed,) = list_summaries(store)
    assert (listed.name, listed.status, listed.node_count) == ("run", "completed", 5)


def count_in(store: StorageBackend, trace_id: str) -> int:
    trace = store.load(trace_id)
    assert trace is not None
    return len(trace.nodes)


def raise_store_error(*arguments: object) -> None:
    raise StoreError("not now")


def test_a_tee_lists_what_its_stores_say_together() -> None:
    first, second = MemoryStore(), MemoryStore()
    for store, missing in ((first, [2]), (second, [1, 3])):
        trace = run_of_steps(4)
        for number in missing:
            del trace.nodes[f"{number:016x}"]
        store.save(trace)
    (listed,) = list_summaries(TeeStore(first, second))
    assert (listed.node_count, listed.name) == (4, "run")
    assert [count_in(store, trace.trace_id) for store in (first, second)] == [3, 2]


def test_a_tee_reads_a_trace_that_was_made_by_hand_without_time_zones(tmp_path: Path) -> None:
    trace = weather()
    for node in trace.nodes.values():
        node.start_time = node.end_time = datetime(2026, 1, 1)
    store = TeeStore(MemoryStore(), FileStore(tmp_path))
    store.save(trace)
    found = store.load(trace.trace_id)
    assert found is not None and len(found.nodes) == 3


def run_of_steps(count: int) -> TraceGraph:
    sample = Sample("run")
    for number in range(1, count):
        sample.node(f"step {number}", "custom")
    return sample.trace


class Unreadable(MemoryStore):
    """A store that takes everything and tells nothing, as a server that went away."""

    def load(self, trace_id: str) -> TraceGraph | None:
        raise StoreError("not reachable")

    def list_traces(self) -> list[str]:
        raise StoreError("not reachable")


def test_a_store_that_cannot_be_read_hides_nothing_that_others_have(
    caplog: pytest.LogCaptureFixture,
) -> None:
    memory = MemoryStore()
    store = TeeStore(Unreadable(), memory)
    memory.save(weather())
    trace_id = weather().trace_id
    assert store.load(trace_id) == weather()
    assert store.list_traces() == [trace_id]
    assert [summary.trace_id for summary in list_summaries(store)] == [trace_id]
    assert caplog.text.count("not reachable") == 1


def test_a_tee_that_may_not_have_seen_all_does_not_say_that_there_is_nothing() -> None:
    with pytest.raises(StoreError, match="not reachable"):
        TeeStore(Unreadable(), MemoryStore()).load("0" * 32)
    with pytest.raises(StoreError, match="not reachable"):
        TeeStore(Unreadable(), Unreadable()).list_traces()
    with pytest.raises(StoreError, match="not reachable"):
        list_summaries(TeeStore(Unreadable()))


class Particular(MemoryStore):
    """A store that does not take everything, and nothing until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go_on = threading.Event()
        self.lines: list[str] = []

    def write_events(self, events: list[tuple[str, str, str]]) -> None:
        self.may_go_on.wait(30)
        lines = [line for _, _, line in events]
        if "wrong" in lines:
            raise ValueError("refused")
        self.lines += lines

    def write_event(self, trace_id: str, event: str, line: str) -> None:
        self.write_events([(trace_id, event, line)])


def test_an_event_that_a_store_refuses_takes_no_others_with_it() -> None:
    particular = Particular()
    store = BackgroundStore(particular)
    for line in ("first", "second", "wrong", "last"):
        store.write_event("a" * 32, "note", line)
    particular.may_go_on.set()
    assert store.flush(30)
    assert particular.lines == ["first", "second", "last"]
    assert store.dropped == 1


def test_what_a_store_did_not_take_before_the_end_is_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logtracer_extras.stores.background._EXIT_SECONDS", 0.1)
    slow = Slow()
    store = BackgroundStore(slow)
    for _ in range(9):
        store.write_event("a" * 32, "note", "")
    slow.is_busy.wait(30)
    store.close()
    assert "Slow: closed before it took all events; 9 are lost" in caplog.text
    slow.may_go_on.set()


class Away(MemoryStore):
    """A store that cannot be reached."""

    attempts = 0

    def write_event(self, trace_id: str, event: str, line: str) -> None:
        self.write_events([(trace_id, event, line)])

    def write_events(self, events: list[tuple[str, str, str]]) -> None:
        self.attempts += 1
        raise StoreError("not reachable")


def test_what_a_store_that_is_away_does_not_get_is_counted_when_it_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("logtracer_extras.stores.background._EXIT_SECONDS", 0.1)
    store = BackgroundStore(Away())
    for _ in range(3_000):
        store.write_event("a" * 32, "note", "")
    store.close()
    store.close()
    assert store.dropped == 3_000


def test_what_is_written_after_all_counts_as_lost_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logtracer_extras.stores.background._EXIT_SECONDS", 0.1)
    slow = Slow()
    store = BackgroundStore(slow)
    store.write_event("a" * 32, "note", "")
    slow.is_busy.wait(30)
    store.write_event("a" * 32, "note", "")
    store.close()
    assert store.dropped == 2
    slow.may_go_on.set()
    while store.dropped == 2:
        time.sleep(0.001)
    assert store.dropped == 1


def test_all_events_of_a_batch_that_is_lost_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    away = Away()
    store = BackgroundStore(away)
    store.close()  # from here on it tries once
    store._write([("a" * 32, "note", "")] * 7)
    assert (store.dropped, away.attempts) == (7, 1)


def test_after_the_close_a_store_that_is_away_costs_the_host_one_attempt() -> None:
    away = Away()
    store = BackgroundStore(away)
    store.close()
    store.write_event("a" * 32, "note", "")
    assert (store.dropped, away.attempts) == (1, 1)


def test_a_store_that_ends_its_thread_does_not_end_the_writing() -> None:
    class Leaving(MemoryStore):
        """A store that raises what no handler of Exception catches, once."""

        lines: tuple[str, ...] = ()

        def write_event(self, trace_id: str, event: str, line: str) -> None:
            if line == "leave":
                raise SystemExit
            self.lines += (line,)

    leaving = Leaving()
    store = BackgroundStore(leaving)
    for line in ("first", "leave", "last"):
        store.write_event("a" * 32, "note", line)
    assert store.flush(30)
    assert (leaving.lines, store.dropped) == (("first", "last"), 1)


class Unhurried(MemoryStore):
    """A store that keeps what it is told for itself until it is flushed, and says so."""

    finishes = False

    def flush(self, timeout: float | None = None) -> bool:
        return self.finishes


@pytest.mark.parametrize("finishes", [True, False])
@pytest.mark.parametrize("wrap", [BackgroundStore, TeeStore, InferringStore])
def test_a_flush_tells_whether_the_store_within_has_finished(wrap: Any, finishes: bool) -> None:
    inner = Unhurried()
    inner.finishes = finishes
    store = wrap(inner)
    record(store)
    assert store.flush(30) is finishes


def test_a_flush_does_not_say_that_a_store_which_waits_has_finished() -> None:
    slow = Slow()
    store = BackgroundStore(slow)
    store.write_event("a" * 32, "note", "")
    assert store.flush(0.01) is TeeStore(store, MemoryStore()).flush(0.01) is False
    slow.may_go_on.set()
    assert store.flush(30)


def test_a_full_queue_drops_and_counts() -> None:
    slow = Slow()
    tracer = Tracer(storage=BackgroundStore(slow, max_queue=1))
    with tracer.trace("run") as root:
        slow.is_busy.wait(30)
        for _ in range(5):
            with root.node("step"):
                pass
        assert tracer.stats()["dropped"] > 0
        slow.may_go_on.set()
    stats = tracer.stats()
    assert stats["finished"] == stats["saved"] + stats["dropped"]


def test_a_store_that_comes_back_gets_everything() -> None:
    class Flaky(MemoryStore):
        fails = 3

        def save(self, trace: TraceGraph) -> None:
            if self.fails:
                self.fails -= 1
                raise StoreError("not reachable")
            super().save(trace)

    store = BackgroundStore(Flaky())
    trace = record(store)
    assert store.load(trace.trace_id) == store.inner.load(trace.trace_id)
    assert store.list_traces() == [trace.trace_id]
    assert store.dropped == 0


def test_the_queue_is_written_before_the_program_ends(tmp_path: Path) -> None:
    program = """if True:
        import sys
        from logtracer import FileStore, Tracer
        from logtracer_extras.background import BackgroundStore
        with Tracer(storage=BackgroundStore(FileStore(sys.argv[1]))).trace("run") as root:
            for _ in range(50):
                with root.node("step"): pass
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", program, tmp_path], env=environment, check=True)
    (trace_id,) = FileStore(tmp_path).list_traces()
    trace = FileStore(tmp_path).load(trace_id)
    assert trace is not None
    assert len(trace.nodes) == 51


@pytest.mark.parametrize("url", ["memory", "file://{}", "sqlite://{}/traces.db"])
def test_a_url_names_a_store(url: str, tmp_path: Path) -> None:
    trace = record(open_store(url.format(tmp_path)))
    assert len(trace.nodes) == 4


@pytest.mark.parametrize("url", ["", "redis://x", "file://", "traces", "sqlite:/x"])
def test_a_wrong_url_is_told_the_right_ones(url: str) -> None:
    with pytest.raises(ValueError, match="file://DIRECTORY, sqlite://FILE"):
        open_store(url)


def test_bad_options_are_refused() -> None:
    with pytest.raises(ValueError, match="on_full 'wait'"):
        BackgroundStore(MemoryStore(), on_full="wait")
    with pytest.raises(ValueError, match="max_queue"):
        BackgroundStore(MemoryStore(), max_queue=0)
    with pytest.raises(ValueError, match="at least one"):
        TeeStore()
