"""A journal as it grows: what is followed, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from logtracer import FileStore, TraceLoadError, Tracer
from logtracer_extras.following import Follower

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Path]:
    """Give the journal of a run that goes on."""
    with Tracer(storage=FileStore(tmp_path)).trace("run"):
        yield next(tmp_path.glob("*.jsonl"))


Make = Callable[[Path, Path], None]


def make_fifo(path: Path, journal: Path) -> None:
    os.mkfifo(path)


def make_link(path: Path, journal: Path) -> None:
    path.symlink_to(journal)


def make_link_to_nowhere(path: Path, journal: Path) -> None:
    path.symlink_to("nowhere")


def make_directory(path: Path, journal: Path) -> None:
    path.mkdir()


def make_device(path: Path, journal: Path) -> None:
    path.symlink_to("/dev/zero")


def is_open(path: Path) -> bool:
    """Tell whether this process holds a file open."""
    links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return str(path) in {os.readlink(link) for link in links if os.path.islink(link)}


@pytest.mark.parametrize("make", [make_fifo, make_directory, make_device])
def test_what_is_no_file_is_refused_at_once(make: Make, journal: Path) -> None:
    path = journal.with_name("odd.jsonl")
    make(path, journal)
    with pytest.raises(TraceLoadError, match=r"odd\.jsonl: not a regular file"):
        Follower(str(path))
    assert not os.path.isdir("/proc/self/fd") or not is_open(path)


@pytest.mark.parametrize(
    "make", [make_fifo, make_directory, make_device, make_link, make_link_to_nowhere]
)
def test_a_part_that_loading_refuses_is_not_followed(make: Make, journal: Path) -> None:
    make(journal.with_suffix(f".{'0' * 16}.jsonl"), journal)
    with closing(Follower(str(journal))) as follower:
        events = [event["event"] for event in follower.poll()]
        assert events == ["trace.started", "node.started"]
        assert list(follower.poll()) == []
