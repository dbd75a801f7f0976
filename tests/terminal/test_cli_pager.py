"""Long output is paged on a terminal, as git does."""

from __future__ import annotations

import os
import select
import sys
from contextlib import closing
from pathlib import Path

import pytest

from logtracer import save_trace_json
from logtracer_cli import Pen, Screen
from sample_traces import Sample

pty = pytest.importorskip("pty")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def long_trace(tmp_path: Path) -> str:
    """Return the path of a trace that no terminal shows at once."""
    sample = Sample("run")
    for number in range(300):
        sample.node(f"step {number}", "custom")
    save_trace_json(sample.trace, tmp_path / "run.json")
    return str(tmp_path / "run.json")


def on_a_terminal(*arguments: str, **environment: str) -> bytes:
    """Run the terminal's command on a terminal and return what that showed."""
    seen = bytearray()

    def keep(descriptor: int) -> bytes:
        data = os.read(descriptor, 1 << 16)
        seen.extend(data)
        return data

    settings = {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT), **environment}
    words = [f"{key}={value}" for key, value in settings.items()]
    pty.spawn(["env", *words, sys.executable, "-m", "logtracer_cli", *arguments], keep)
    return bytes(seen)


def test_long_output_goes_through_the_pager(long_trace: str) -> None:
    shown = on_a_terminal("inspect", long_trace, PAGER="sed s/^/paged:/")
    assert shown.count(b"paged:") > 300


def test_first_lines_of_what_will_be_long_are_paged_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "seen")
    seen = os.open(tmp_path / "seen", os.O_RDONLY | os.O_NONBLOCK)
    with closing(Screen(Pen(), sys.stdout, pager=f"tee {tmp_path / 'seen'}")) as screen:
        screen.expect(1_000)
        screen.show([[("first", "")]])
        screen.flush()
        assert select.select([seen], [], [], 60.0)[0]
        assert os.read(seen, 100) == b"first\n"
    os.close(seen)


def test_short_output_does_not(tmp_path: Path) -> None:
    save_trace_json(Sample("run").trace, tmp_path / "run.json")
    shown = on_a_terminal("inspect", str(tmp_path / "run.json"), PAGER="sed s/^/paged:/")
    assert b"paged:" not in shown
    assert b"run" in shown


@pytest.mark.parametrize("pager", ["cat", "", "no-such-program-here", "'"])
def test_without_a_pager_all_is_printed(pager: str, long_trace: str) -> None:
    assert on_a_terminal("inspect", long_trace, PAGER=pager).count(b"step") == 300


def test_no_pager_is_obeyed(long_trace: str) -> None:
    shown = on_a_terminal("inspect", long_trace, "--no-pager", PAGER="sed s/^/paged:/")
    assert b"paged:" not in shown


def test_pager_that_ends_early_is_no_error(long_trace: str) -> None:
    shown = on_a_terminal("inspect", long_trace, PAGER="head -1")
    assert b"Traceback" not in shown
    assert shown.count(b"\n") == 1


def test_terminal_gets_colours_and_no_color_takes_them_away(long_trace: str) -> None:
    pytest.importorskip("rich")
    assert b"\x1b[32m" in on_a_terminal("inspect", long_trace, PAGER="cat")
    assert b"\x1b[" not in on_a_terminal("inspect", long_trace, PAGER="cat", NO_COLOR="1")
