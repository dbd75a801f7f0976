"""`logtracer watch`: what is happening now."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import logtracer_cli
from logtracer import Node, NodeStatus, TraceGraph, save_trace_json
from logtracer_cli import Pen, Screen, cell_width, main
from logtracer_extras.analysis import PriceTable
from logtracer_extras.following import Follower, StoreFollower
from logtracer_extras.stores.sqlite import SQLiteStore
from logtracer_extras.terminal import watch
from logtracer_extras.terminal._progress import Progress, screen_lines
from logtracer_extras.terminal.watch import WatchLoop
from needs import needs
from sample_traces import PRICES, START, Sample, failing, usage


def event(kind: str, **facts: Any) -> dict[str, Any]:
    """Return an event as it is read from a journal."""
    found: dict[str, Any] = json.loads(json.dumps({"event": kind, **facts}))
    return found


def started(trace: TraceGraph, process_id: int = 1 << 22) -> dict[str, Any]:
    """Return the event that opens a journal; by default that of a process that is gone."""
    return event(
        "trace.started",
        schema_version="0.1.0",
        trace_id=trace.trace_id,
        name=trace.name,
        start_time=START.isoformat(),
        process_id=process_id,
        metadata={},
    )


def opened(node: Node) -> dict[str, Any]:
    return event("node.started", node={**node.to_dict(), "status": "running", "end_time": None})


def ended(node: Node) -> dict[str, Any]:
    return event("node.failed" if node.error else "node.completed", node=node.to_dict())


def write(path: Path, *events: dict[str, Any]) -> None:
    """Append events to a journal."""
    with path.open("a") as file:
        file.writelines(json.dumps(item) + "\n" for item in events)


def batch() -> tuple[Sample, list[dict[str, Any]]]:
    """Return a run in the middle of its work, and its events so far."""
    sample = Sample("nightly-batch", 0.0, "c1177d3e")
    events = [started(sample.trace), opened(sample.root)]
    for number in range(6):
        fast = sample.node("read_file", "tool_call", number, number + 0.01)
        events += [opened(fast), ended(fast)]
    coder = sample.node("coder", "sub_agent", 6.0, None)
    error = failing(error_type="RateLimit", error="429")
    failed = sample.node("chat", "llm_call", 6.0, 6.5, parent=coder, **error)
    again = sample.node("chat", "llm_call", 7.0, None, parent=coder)
    slow = sample.node("read_file", "tool_call", 7.0, None, parent=coder)
    retry = event("edge", source_id=failed.id, target_id=again.id, edge_type="retry_of", label="")
    events += [opened(coder), opened(failed), ended(failed), opened(again), retry, opened(slow)]
    return sample, events


def progress_of(events: list[dict[str, Any]]) -> Progress:
    progress = Progress()
    for item in events:
        progress.take(item)
    return progress


def drawn(events: list[dict[str, Any]], now: datetime, **flags: Any) -> list[str]:
    style = Pen(unicode=flags.pop("unicode", True))
    lines = screen_lines(progress_of(events), now, 212.0, style, **flags)
    return [style.text(line) for line in lines]


def test_screen_shows_the_run_what_is_open_and_what_happened() -> None:
    assert drawn(batch()[1], START + timedelta(seconds=8)) == SCREEN


def test_screen_in_ascii_says_the_same() -> None:
    shown = drawn(batch()[1], START + timedelta(seconds=8), unicode=False)
    assert shown == [
        ".. nightly-batch  c1177d3e   RUNNING 00:00:08   11 nodes   +212/s",
        "  tool_call 7 | llm_call 2 | sub_agent 1 | errors 1 | retries 1",
        "",
        "OPEN NOW (2)",
        "  .. coder > llm_call chat                           1.00s",
        "  .. coder > tool_call read_file                     1.00s  slow: p95 is 10ms",
        "",
        "LAST EVENTS",
        "  18:24:23  ok  tool_call read_file                     10ms",
        "  18:24:24  ok  tool_call read_file                     10ms",
        "  18:24:25  ok  tool_call read_file                     10ms",
        "  18:24:26  ok  tool_call read_file                     10ms",
        "  18:24:27  ok  tool_call read_file                     10ms",
        "  18:24:28  ok  tool_call read_file                     10ms",
        "  18:24:29  !!  coder / llm_call chat                   RateLimit: 429",
        "  18:24:30  re  coder / llm_call chat                   retry of chat",
    ]


SCREEN = [
    "● nightly-batch  c1177d3e   RUNNING 00:00:08   11 nodes   +212/s",
    "  tool_call 7 · llm_call 2 · sub_agent 1 · errors 1 · retries 1",
    "",
    "OPEN NOW (2)",
    "  ● coder › llm_call chat                            1.00s",
    "  ● coder › tool_call read_file                      1.00s  slow: p95 is 10ms",
    "",
    "LAST EVENTS",
    "  18:24:23  ✓  tool_call read_file                      10ms",
    "  18:24:24  ✓  tool_call read_file                      10ms",
    "  18:24:25  ✓  tool_call read_file                      10ms",
    "  18:24:26  ✓  tool_call read_file                      10ms",
    "  18:24:27  ✓  tool_call read_file                      10ms",
    "  18:24:28  ✓  tool_call read_file                      10ms",
    "  18:24:29  ✗  coder / llm_call chat                    RateLimit: 429",
    "  18:24:30  ↻  coder / llm_call chat                    retry of chat",
]


def test_screen_can_show_errors_only() -> None:
    shown = drawn(batch()[1], START + timedelta(seconds=8), only_errors=True)
    assert shown[2:] == ["", "LAST ERRORS", SCREEN[-2]]


def paused(node: Node, reason: str) -> dict[str, Any]:
    facts = {"logtracer.paused_reason": reason, "logtracer.paused_at": START.isoformat()}
    return event("node.updated", id=node.id, status="paused", metadata=facts)


def test_a_step_that_waits_for_a_person_says_so_and_is_not_slow() -> None:
    sample, events = batch()
    last = [*sample.trace.nodes.values()][-1]
    events = [*events, paused(last, "ask Bob")]
    later = START + timedelta(seconds=8)
    shown = drawn(events, later)
    assert shown[5] == "  ‖ coder › tool_call read_file                      1.00s  paused: ask Bob"
    assert shown[-1] == "  18:24:23  ‖  coder / tool_call read_file              paused: ask Bob"
    went_on = event("node.updated", id=last.id, status="running", metadata={})
    assert drawn([*events, went_on], later)[5] == SCREEN[5]


def test_a_run_that_only_waits_is_paused() -> None:
    sample = Sample("run")
    ask = sample.node("ask", "human_input", 0.0, None)
    events = [started(sample.trace), opened(sample.root), opened(ask), paused(ask, "")]
    assert "   PAUSED 00:00:00   2 nodes" in drawn(events, START)[0]


def test_an_event_is_told_with_the_agent_above_it() -> None:
    sample = Sample("many")
    coder = sample.node("coder", "sub_agent", 0.0, None)
    turn = sample.node("turn 3", "custom", 0.0, None, parent=coder)
    calls = [
        sample.node(name, "tool_call", 0.0, 1.0, parent=turn) for name in ("a", "read_a_long_file")
    ]
    shown = drawn([*map(opened, (coder, turn)), *map(ended, calls)], START)
    assert [line[15:].split("  ")[0] for line in shown[-2:]] == [
        "coder / turn 3 / tool_call a",
        "coder / tool_call read_a_long_file",
    ]


def test_a_narrow_screen_keeps_the_name_of_what_is_open() -> None:
    style = Pen(width=52)
    lines = [*screen_lines(progress_of(batch()[1]), START, 0.0, style)]
    assert style.text(lines[4]).startswith("  ● llm_call chat ")
    assert style.text(lines[5]).startswith("  ● tool_call read_fi…")


def spent(*calls: tuple[str, str, dict[str, Any]], prices: str = PRICES) -> str:
    """Return the line of counts after calls, each a type, a parent's name and its metadata."""
    sample, progress = Sample("run", 1.0), Progress(PriceTable(json.loads(prices)))
    agent = sample.node("agent", "sub_agent", 0.0, 0.5)
    for node_type, parent, metadata in calls:
        above = {"root": sample.root, "agent": agent}[parent]
        node = sample.node("call", node_type, 0.0, 0.5, parent=above, metadata=metadata)
        progress.take(ended(node))
    agent.metadata = usage("large-1", 1_000_000, 0)
    progress.take(ended(agent))
    style = Pen(unicode=False)
    return [style.text(line) for line in screen_lines(progress, START, 0.0, style)][1]


def test_cost_is_shown_and_a_parent_that_repeats_it_counts_once() -> None:
    line = spent(("llm_call", "agent", usage("large-1", 1_000_000, 0)))
    assert line.endswith("tokens 1.0M | cost $3.00")


def test_cost_of_an_unknown_model_is_a_dash_never_zero() -> None:
    unknown = {"other": {"input": 1, "output": 1}}
    line = spent(("llm_call", "root", usage("odd", 10, 0)), prices=json.dumps(unknown))
    assert line.endswith("cost -")


def test_cost_that_leaves_calls_out_says_so() -> None:
    line = spent(("llm_call", "root", usage("odd", 10, 0)))
    assert line.endswith("cost $3.00+")


@pytest.mark.parametrize("width", [40, 60, 80])
def test_counts_leave_out_types_before_money(width: int) -> None:
    progress = progress_of(batch()[1])
    style = Pen(width=width)
    line = style.text([*screen_lines(progress, START, 0.0, style)][1])
    assert cell_width(line) <= width
    assert "errors 1 · retries 1" in line
    assert ("llm_call 2" in line) == (width > 40)


@pytest.mark.parametrize("height", [6, 14, 18, 24, 40])
def test_screen_fits_the_height(height: int) -> None:
    sample = Sample("many")
    nodes = [sample.node("step", "custom", 0.0, None) for _ in range(50)]
    events = [started(sample.trace), *map(opened, nodes)]
    events += [ended(sample.node("done", "custom", 0.0, 0.5)) for _ in range(12)]
    shown = drawn(events, START, height=height)
    assert len(shown) + 2 <= max(height, 13)  # the keys stand below it
    assert shown[-1].endswith("500ms")
    assert any(line.endswith(" more") for line in shown)


def test_finished_run_prints_each_event_and_then_the_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample, events = batch()
    path = tmp_path / f"{sample.trace.trace_id}.jsonl"
    end = (START + timedelta(seconds=9)).isoformat()
    done = event("trace.completed", trace_id=sample.trace.trace_id, end_time=end, metadata={})
    write(path, *events, done)
    assert main(["watch", "--store", str(tmp_path), "--ascii"]) == 0
    written = capsys.readouterr().out.splitlines()
    lines = [line for line in written if line[:2] == "18"]
    assert len(lines) == 18  # ten starts, seven ends, a retry
    assert "18:24:30  re  coder / llm_call chat" in written[16]
    assert written[-2].startswith("nightly-batch  ?? interrupted   c1177d3e")


def test_run_of_a_dead_process_ends_the_watch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(WatchLoop.__init__, "__defaults__", (None, 0.0, 1.0))
    write(tmp_path / "c1.jsonl", *batch()[1])
    assert main(["watch", "c1", "--store", str(tmp_path)]) == 0
    assert "◌ interrupted" in capsys.readouterr().out


def test_run_in_a_database_is_watched_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = batch()[0]
    sample.trace.end_time = START + timedelta(seconds=9)
    store = SQLiteStore(tmp_path / "runs.db")
    store.save(sample.trace)
    store.close()
    assert main(["watch", "--store", f"sqlite://{tmp_path / 'runs.db'}", "--ascii"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("18:24:") for line in lines) == 17  # ten starts, seven ends
    assert lines[-2].startswith("nightly-batch  ok completed")


def test_store_follower_tells_each_thing_once() -> None:
    sample = batch()[0]
    follower = StoreFollower(lambda: sample.trace, every=0.0)
    first = [item["event"] for item in follower.poll()]
    assert first.count("node.started") == len(sample.trace.nodes)
    waiting = next(node for node in sample.trace.nodes.values() if node.end_time is None)
    waiting.status = NodeStatus.PAUSED
    assert next(follower.poll())["event"] == "node.updated"
    late = sample.node("late", "custom", 8.0, 8.5)
    assert [item["node"]["id"] for item in follower.poll() if "node" in item] == [late.id] * 2


def test_summary_at_the_end_tells_the_cost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = Sample("done", 1.0)
    sample.node("chat", "llm_call", metadata=usage("large-1", 1_000_000, 0))
    save_trace_json(sample.trace, tmp_path / "done.json")
    (tmp_path / "prices").write_text(PRICES)
    assert main(["watch", str(tmp_path / "done.json"), "--prices", str(tmp_path / "prices")]) == 0
    assert "cost $3.00" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "code"), [(["-"], 2), (["--store", os.devnull], 1)])
def test_what_no_run_can_come_from_is_not_waited_for(
    arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", *arguments]) == code
    assert capsys.readouterr().err.count("\n") == 1


def test_finished_trace_is_its_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_trace_json(Sample("done").trace, tmp_path / "done.json")
    assert main(["watch", str(tmp_path / "done.json")]) == 0
    assert capsys.readouterr().out.startswith("done  ✓ completed")


def test_follower_waits_for_the_end_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "aa.jsonl"
    path.write_text('{"event": "one"}\n{"event": "t')
    follower = Follower(str(path))
    assert [item["event"] for item in follower.poll()] == ["one"]
    with path.open("a") as file:
        file.write('wo"}\nnot an event\n[1]\n')
    assert [item["event"] for item in follower.poll()] == ["two"]
    assert list(follower.poll()) == []
    follower.close()


def test_follower_reads_processes_that_join(tmp_path: Path) -> None:
    write(tmp_path / "aa.jsonl", event("one"))
    follower = Follower(str(tmp_path / "aa.jsonl"))
    assert len(list(follower.poll())) == 1
    write(tmp_path / f"aa.{'0' * 16}.jsonl", event("two"))
    write(tmp_path / "aab.jsonl", event("of another run"))
    assert [item["event"] for item in follower.poll()] == ["two"]
    follower.close()


def test_no_event_of_many_is_lost(tmp_path: Path) -> None:
    sample = Sample("many")
    path = tmp_path / "many.jsonl"
    write(path, started(sample.trace))
    follower, progress = Follower(str(path)), Progress()
    for _ in range(20):
        write(path, *(opened(sample.node("step", "custom", 0.0, None)) for _ in range(250)))
        for item in follower.poll():
            progress.take(item)
    follower.close()
    assert progress.nodes == 5_000
    assert len(progress.open_steps) == 5_000


@pytest.mark.parametrize(
    "damaged",
    [
        {"event": "node.started"},
        {"event": "node.started", "node": 3},
        {"event": "node.completed", "node": {"id": "x"}},
        {"event": "edge"},
        {"event": "edge", "edge_type": "retry_of"},
        {"event": "trace.started", "name": 3, "trace_id": None, "start_time": 5},
        {"event": "trace.started"},
        {"event": "new in another version"},
    ],
)
def test_damaged_event_is_passed_over(damaged: dict[str, Any]) -> None:
    progress = Progress()
    assert progress.take(damaged) is None
    assert progress.nodes == 0


def test_hostile_names_are_printable_on_the_screen() -> None:
    sample = Sample("\x1b[2J" * 9)
    node = sample.node("a\nb\u202e", "c\x07", 0.0, None)
    events = [started(sample.trace), opened(node)]
    for line in drawn(events, START):
        assert line.isprintable()
        assert cell_width(line) <= 80


class Keys:
    """A screen that keeps what is drawn, and on which keys are pressed one after the other."""

    height = 24

    def __init__(self, *keys: str) -> None:
        self.keys = list(keys)
        self.drawn: list[list[str]] = []

    def __enter__(self) -> Keys:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def draw(self, lines: Iterable[list[tuple[str, str]]]) -> None:
        self.drawn.append([Pen().text(line) for line in lines])

    def key(self, seconds: float) -> str:
        return self.keys.pop(0)


def watched(path: Path, *keys: str, widths: Iterable[int] = ()) -> list[list[str]]:
    """Watch the batch while keys are pressed, and return every screen that was drawn."""
    write(path, *batch()[1])
    live, follower, left = Keys(*keys), Follower(str(path)), iter(widths)
    loop = WatchLoop(follower, Screen(Pen()), quiet=60.0)
    loop.on_screen(live, lambda: Pen(width=next(left, 80)))
    follower.close()
    return live.drawn


def test_long_run_is_drawn_while_it_is_still_read(tmp_path: Path) -> None:
    path, sample = tmp_path / "c1.jsonl", Sample("long")
    nodes = [sample.node("step", "custom", 0.0, 1.0) for _ in range(3)]
    done = event("trace.completed", trace_id=sample.trace.trace_id, end_time=None, metadata={})
    write(path, started(sample.trace), done, *map(ended, nodes))  # of a process that joined
    live, follower = Keys("", "", "", "", ""), Follower(str(path))
    WatchLoop(follower, Screen(Pen()), look=0.0).on_screen(live, Pen)
    follower.close()
    facts = [screen[0].split("   ")[2:] for screen in live.drawn]
    assert facts == [[f"{number} nodes", "+0/s"] for number in (0, 0, 1, 2, 3, 3)]


def test_space_pauses_and_goes_on(tmp_path: Path) -> None:
    footers = [screen[-1][:24] for screen in watched(tmp_path / "c1.jsonl", " ", "", "", " ", "q")]
    assert footers == ["q quit   space pause   e", "q quit   space go on   e", *footers[:1]]


def test_e_shows_errors_only_and_then_all_again(tmp_path: Path) -> None:
    heads = [screen[3] for screen in watched(tmp_path / "c1.jsonl", "e", "e", "q")]
    assert heads == ["OPEN NOW (2)", "LAST ERRORS", "OPEN NOW (2)"]


def test_screen_follows_the_terminal_that_changes_its_width(tmp_path: Path) -> None:
    screens = watched(tmp_path / "c1.jsonl", "", "q", widths=[80, 44])
    assert [max(map(cell_width, screen)) > 44 for screen in screens] == [True, False]


def test_v_opens_the_page_once(tmp_path: Path) -> None:
    path, pages = tmp_path / "c1.jsonl", iter(["the only one"])
    write(path, *batch()[1])
    live, follower = Keys("v", "v", "q"), Follower(str(path))
    loop = WatchLoop(follower, Screen(Pen()), quiet=60.0)
    loop.on_screen(live, Pen, lambda: next(pages))
    follower.close()
    assert live.drawn[0][-1].endswith("e errors only   v open in browser")
    assert live.drawn[1][-1].endswith("e errors only")


def test_page_of_a_run_is_shown_by_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[list[str], bool]] = []

    def start(command: list[str], *, start_new_session: bool, **streams: Any) -> None:
        assert {stream.name for stream in streams.values()} == {os.devnull}
        started.append((command, start_new_session))

    monkeypatch.setattr("subprocess.Popen", start)
    watch.open_live_page("traces/c1.jsonl")
    command = [sys.executable, logtracer_cli.__file__, "view", "--live", "traces/c1.jsonl"]
    assert started == [(command, True)]


def test_live_screen_draws_in_place_and_ends_with_the_run(tmp_path: Path) -> None:
    needs("rich")
    pty = pytest.importorskip("pty")
    sample, events = batch()
    done = event("trace.completed", trace_id=sample.trace.trace_id, end_time=None, metadata={})
    write(tmp_path / "c1.jsonl", *events, done)
    seen = bytearray()

    def keep(descriptor: int) -> bytes:
        data = os.read(descriptor, 1 << 16)
        seen.extend(data)
        return data

    environment = {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    command = f"cd {logtracer_cli.__file__.rpartition('/')[0]} && exec "
    command += "env " + " ".join(f"{key}={value}" for key, value in environment.items())
    command += f" {sys.executable} -m logtracer_cli watch {tmp_path / 'c1.jsonl'}"
    pty.spawn(["sh", "-c", command], keep)
    assert b"OPEN NOW (2)" in seen
    assert b"nightly-batch" in seen.rpartition(b"\x1b[?1049l")[2]
