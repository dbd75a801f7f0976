"""Stores: one suite that all of them pass, then what concerns files."""

from __future__ import annotations

import errno
import gc
import json
import os
import pickle
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from logtracer import (
    FileStore,
    MemoryStore,
    StorageBackend,
    StoreError,
    TraceGraph,
    TraceLoadError,
    Tracer,
    load_trace,
    save_trace_json,
)
from sample_traces import weather
from shared_suite import SharedSuite
from store_suite import ODD_IDS, StoreSuite, record
from stress import child
from stress.quiet import minutes_later
from stress.reading import only_trace
from stress.stores import STORES


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> StorageBackend:
    """Give each store in turn."""
    return STORES[request.param](tmp_path)


@pytest.fixture(params=["file://{}/traces", "sqlite://{}/traces.db"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of each store that processes of one machine share."""
    return str(request.param.format(tmp_path))


class TestShared(SharedSuite):
    """Files and SQLite do what every store does that processes share."""


class TestStores(StoreSuite):
    """Every store of this machine does what every store does."""


# ---- Files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("trace_id", ODD_IDS, ids=ascii)
def test_an_id_that_is_none_writes_nothing(trace_id: str, tmp_path: Path) -> None:
    store = FileStore(tmp_path / "traces")
    trace = weather()
    trace.trace_id = trace_id
    with pytest.raises(StoreError):
        store.save(trace)
    assert [path.name for path in tmp_path.rglob("*")] == ["traces"]


def test_files_are_for_the_eyes_of_their_owner(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        store = FileStore(tmp_path / "new" / "traces")
        with Tracer(storage=store).trace("run"):
            journal = [mode(path) for path in Path(store.directory).iterdir()]
        document = [mode(path) for path in Path(store.directory).iterdir()]
        save_trace_json(weather(), tmp_path / "copy.json")
    finally:
        os.umask(previous)
    assert journal == document == [0o600]
    assert mode(tmp_path / "copy.json") == 0o600
    assert mode(tmp_path / "new" / "traces") == 0o700


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_a_symlink_in_the_store_is_not_followed(ending: str, tmp_path: Path) -> None:
    outside = record(FileStore(tmp_path / "outside"))
    store = FileStore(tmp_path / "inside")
    target = tmp_path / "outside" / f"{outside.trace_id}.json"
    os.symlink(target, tmp_path / "inside" / f"linked.{ending}")
    with pytest.raises(TraceLoadError, match="linked"):
        store.load("linked")


def test_saving_over_a_symlink_leaves_its_target_alone(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious", encoding="utf-8")
    store = FileStore(tmp_path / "traces")
    trace = weather()
    os.symlink(victim, Path(store.directory, f"{trace.trace_id}.json"))
    store.save(trace)
    assert victim.read_text(encoding="utf-8") == "precious"
    assert store.load(trace.trace_id) == trace


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_a_fifo_in_the_store_holds_nobody_up(ending: str, tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    os.mkfifo(tmp_path / f"pipe.{ending}")
    with pytest.raises(TraceLoadError, match="pipe"):
        store.load("pipe")


def test_a_directory_that_is_called_like_a_trace_is_refused(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(TraceLoadError, match="folder"):
        store.load("folder")


@pytest.mark.parametrize(
    "data", [b"\n", b"\0" * 500, b"garbage\n", b"\xff\xfe", b"{}\n", b"[]\n\n"]
)
@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_a_file_that_holds_no_trace_is_named(data: bytes, ending: str, tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    (tmp_path / f"broken.{ending}").write_bytes(data)
    assert store.list_traces() == ["broken"]
    with pytest.raises(TraceLoadError, match=rf"broken\.{ending}"):
        store.load("broken")


def test_a_journal_without_its_first_line_is_no_trace_yet(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    (tmp_path / "begun.jsonl").touch()  # its writer died, or is about to write
    assert store.load("begun") is None


def test_other_files_in_the_directory_are_let_be(tmp_path: Path) -> None:
    for name in ("notes.txt", "a.b.json", ".hidden.json", "x.json.tmp", "README"):
        (tmp_path / name).write_text("mine", encoding="utf-8")
    store = FileStore(tmp_path)
    trace = record(store)
    assert store.list_traces() == [trace.trace_id]
    assert len(list(tmp_path.iterdir())) == 6


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("nowhere/at/all")])
def test_a_directory_that_is_none_is_refused_at_once(
    make: Callable[[Path], Any], tmp_path: Path
) -> None:
    make(tmp_path / "occupied")
    with pytest.raises(StoreError, match="occupied"):
        FileStore(tmp_path / "occupied" / "below")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_a_directory_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError):
        FileStore(tmp_path)


def test_a_directory_that_is_removed_meanwhile_comes_back(tmp_path: Path) -> None:
    tracer = Tracer(storage=FileStore(tmp_path / "traces"))
    (tmp_path / "traces").rmdir()
    with tracer.trace("run"):
        pass
    assert only_trace(tracer).name == "run"


def test_a_directory_that_is_moved_away_while_a_trace_runs_does_not_disturb(tmp_path: Path) -> None:
    tracer = Tracer(storage=FileStore(tmp_path / "traces"))
    with tracer.trace("run") as root:
        (tmp_path / "traces").rename(tmp_path / "moved")
        with root.node("step"):
            pass
    with tracer.trace("later"):
        pass
    assert tracer.stats()["finished"] == 3
    found = [tracer.storage.load(trace_id) for trace_id in tracer.storage.list_traces()]
    names = {trace.name for trace in found if trace is not None}
    assert "later" in names


def test_a_store_travels_to_another_process_by_its_directory(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    copy = pickle.loads(pickle.dumps(store))
    trace = record(copy)
    assert store.load(trace.trace_id) == trace


def test_a_finished_trace_is_one_document_and_no_journal(tmp_path: Path) -> None:
    trace = record(FileStore(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [f"{trace.trace_id}.json"]
    assert load_trace(tmp_path, trace.trace_id) == load_trace(tmp_path / f"{trace.trace_id}.json")


def test_a_memory_store_forgets_the_oldest() -> None:
    store = MemoryStore(max_traces=2)
    names = [record(store, str(number)).trace_id for number in range(3)]
    assert store.list_traces() == names[1:]


# ---- Trouble ------------------------------------------------------------------------------------


class Faulty:
    """Makes one function of `os` fail: from its nth call on, or at that call alone."""

    def __init__(self, name: str, nth: int, *, lasts: bool) -> None:
        self._real = getattr(os, name)
        self._name = name
        self._left = nth
        self._lasts = lasts
        self.has_failed = False

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self._left -= 1
        if self._left == 0 or (self._left < 0 and self._lasts):
            self.has_failed = True
            if self._name == "close":  # it reports an error, and has closed all the same
                self._real(*arguments, **options)
            raise OSError(errno.ENOSPC, "no space left on device")
        return self._real(*arguments, **options)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Install it for a while."""
        setattr(os, self._name, self)
        try:
            yield
        finally:
            setattr(os, self._name, self._real)


def open_descriptors() -> int:
    gc.collect()  # of what earlier tests dropped, too
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


FUNCTIONS = ["open", "write", "replace", "close", "unlink", "fstat", "makedirs", "listdir"]


@pytest.mark.parametrize("lasts", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_whichever_call_fails_the_host_goes_on_and_later_traces_are_kept(
    name: str, lasts: bool, tmp_path: Path
) -> None:
    for nth in range(1, 100):
        directory = tmp_path / str(nth)
        tracer = Tracer(storage=FileStore(directory))
        faulty = Faulty(name, nth, lasts=lasts)
        before = open_descriptors()
        with faulty.installed():
            for _ in range(2):
                with tracer.trace("run") as root, root.node("step") as step:
                    step.input(question=1)
        check_after_trouble(tracer, directory)
        assert open_descriptors() == before
        if not faulty.has_failed:
            return
    raise AssertionError("the failures never end")


def check_after_trouble(tracer: Tracer, directory: Path) -> None:
    """Check that what is there can be read, that nothing is left over, that counts add up."""
    counts = tracer.stats()
    assert counts["finished"] == counts["saved"] + counts["dropped"] == 4
    loaded = [tracer.storage.load(trace_id) for trace_id in tracer.storage.list_traces()]
    kept = sum(len(trace.nodes) for trace in loaded if trace is not None)
    assert kept >= counts["saved"]
    later = record(tracer.storage, "later")
    assert len(later.nodes) == 4
    assert [path for path in directory.iterdir() if path.stat().st_size == 0] == []


def test_a_full_disk_leaves_few_messages_and_nothing_unreadable(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    minutes_later(monkeypatch)
    tracer = Tracer(storage=FileStore(tmp_path))
    with Faulty("write", 1, lasts=True).installed():
        for _ in range(200):
            with tracer.trace("run") as root, root.node("step"):
                pass
    assert 1 <= len(caplog.records) <= 10
    assert tracer.stats()["dropped"] == 400
    assert [path.name for path in tmp_path.iterdir()] == []
    assert record(tracer.storage).end_time is not None


LIMITED = """
import resource, sys
from logtracer import FileStore, Tracer
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
tracer = Tracer(storage=FileStore(sys.argv[1]))
for number in range(40):
    with tracer.trace("run") as root:
        for _ in range(number):
            with root.node("step") as step:
                step.output(text="x" * 1_000)
print(tracer.stats()["saved"])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_file_that_may_not_grow_loses_only_what_does_not_fit(tmp_path: Path) -> None:
    run = child.run(LIMITED, tmp_path)
    assert run.returncode == 0
    assert len(run.stderr.splitlines()) <= 2
    store = FileStore(tmp_path)
    traces = [store.load(trace_id) for trace_id in store.list_traces()]
    assert len(traces) == 40
    kept = sum(len(trace.nodes) for trace in traces if trace is not None)
    assert kept >= int(run.stdout)


DESCRIPTORS = """
import os, resource, sys
from logtracer import FileStore, Tracer
tracer = Tracer(storage=FileStore(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
taken = []
try:
    while True:
        taken.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
with tracer.trace("without"):
    pass
for descriptor in taken:
    os.close(descriptor)
with tracer.trace("with"):
    pass
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_process_out_of_descriptors_goes_on(tmp_path: Path) -> None:
    run = child.run(DESCRIPTORS, tmp_path)
    assert run.returncode == 0
    store = FileStore(tmp_path)
    assert "with" in {trace.name for trace in map(store.load, store.list_traces()) if trace}


class Broken:
    """A store that can do nothing."""

    def save(self, trace: TraceGraph) -> None:
        raise RuntimeError("cannot save")

    def load(self, trace_id: str) -> TraceGraph | None:
        raise RuntimeError("cannot load")

    def list_traces(self) -> list[str]:
        raise RuntimeError("cannot list")


class BrokenStream(Broken):
    """A streaming store that can do nothing."""

    def write_event(self, trace_id: str, event: str, line: str) -> None:
        raise RuntimeError("cannot write")


@pytest.mark.parametrize("broken", [Broken, BrokenStream])
def test_a_broken_store_never_reaches_the_host_and_drops_are_counted(
    broken: type[Broken], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    minutes_later(monkeypatch)
    tracer = Tracer(storage=broken())
    for _ in range(50):
        with tracer.trace("run") as root, root.node("step"):
            pass
    tracer.flush()
    tracer.close()
    counts = tracer.stats()
    assert (counts["finished"], counts["saved"], counts["dropped"]) == (100, 0, 100)
    assert counts["errors"] >= 50
    assert 1 <= len(caplog.records) <= 3


BROKEN_LOGGING = """
import logging
from logtracer import Tracer

class Failing(logging.Handler):
    def emit(self, record):
        raise RuntimeError("the host's handler is broken")

class Broken:
    def save(self, trace): raise RuntimeError("cannot save")
    def load(self, trace_id): return None
    def list_traces(self): return []

logging.getLogger("logtracer").addHandler(Failing())
with Tracer(storage=Broken()).trace("run") as root:
    with root.node("step") as step:
        step.input(value=object())
    step.input(late=1)
print("the host goes on")
"""


def test_nothing_reaches_the_host_when_warnings_are_errors_and_logging_is_broken() -> None:
    run = child.run(BROKEN_LOGGING)
    assert (run.returncode, run.stdout) == (0, "the host goes on\n")


def test_a_store_with_the_three_methods_alone_will_do() -> None:
    class Shelf:
        """Keeps traces as text."""

        def __init__(self) -> None:
            self.documents: dict[str, str] = {}

        def save(self, trace: TraceGraph) -> None:
            self.documents[trace.trace_id] = json.dumps(trace.to_dict())

        def load(self, trace_id: str) -> TraceGraph | None:
            return TraceGraph.from_dict(json.loads(self.documents[trace_id]))

        def list_traces(self) -> list[str]:
            return list(self.documents)

    assert len(record(Shelf()).nodes) == 4


def test_a_link_made_after_the_end_keeps_the_trace_readable(tmp_path: Path) -> None:
    tracer = Tracer(storage=FileStore(tmp_path))
    with tracer.trace("run") as root:
        with root.node("first") as first:
            pass
        with root.node("second") as second:
            pass
    first.link(second, "retry_of")
    assert "retry_of" in {edge.edge_type for edge in only_trace(tracer).edges}


def write_events(store: FileStore, trace_id: str, *events: tuple[str, dict[str, Any]]) -> None:
    """Write events as somebody else's program would: with their keys in its order."""
    for kind, facts in events:
        line = json.dumps({"event": kind, **facts}, separators=(",", ":"))
        store.write_event(trace_id, kind, line + "\n")


def test_lines_of_another_program_make_the_document_that_they_say(tmp_path: Path) -> None:
    trace = weather()
    document = trace.to_dict()
    head = {key: document[key] for key in ("schema_version", "trace_id", "name", "start_time")}
    tail = {key: document[key] for key in ("trace_id", "end_time", "metadata", "duration_ms")}
    nodes = document["nodes"].values()
    write_events(
        FileStore(tmp_path),
        trace.trace_id,
        ("trace.started", {**head, "metadata": {}}),
        *(("node.started", {"node": {**node, "end_time": None}}) for node in nodes),
        *(("node.completed", {"node": node}) for node in nodes),
        ("trace.completed", tail),
    )
    loaded = FileStore(tmp_path).load(trace.trace_id)
    assert loaded is not None and loaded.nodes == trace.nodes
    assert {(e.source_id, e.target_id) for e in loaded.edges} == {
        (node.parent_id, node.id) for node in trace.nodes.values() if node.parent_id
    }


def test_texts_too_long_to_hold_are_read_back_for_the_document(tmp_path: Path) -> None:
    tracer = Tracer(storage=FileStore(tmp_path))
    with tracer.trace("run") as root:
        for number in range(60):
            with root.node(f"step {number}") as step:
                step.output(text="x" * 100_000)
    trace = only_trace(tracer)
    assert (len(trace.nodes), len(trace.edges)) == (61, 60)
    assert all(len(n.output_data["text"]) == 100_000 for n in trace.nodes.values() if n.depth)
