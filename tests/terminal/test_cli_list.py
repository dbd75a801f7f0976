"""`logtracer list`: what ran, newest first."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from logtracer import Node, NodeStatus, TraceGraph, save_trace_json
from logtracer_cli import cell_width, main
from named_runs import journal
from sample_traces import PRICES, Sample, failing, usage

List = Callable[..., list[str]]


def moved(sample: Sample, start: datetime) -> TraceGraph:
    """Return the sample's trace as if it had started at another time."""
    trace = sample.trace
    by = start - (trace.start_time or start)
    timed: list[TraceGraph | Node] = [trace, *trace.nodes.values()]
    for item in timed:
        item.start_time = item.start_time and item.start_time + by
        item.end_time = item.end_time and item.end_time + by
    return trace


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a directory with a failed, a fine, an interrupted and an unreadable run."""
    failed = Sample("support-agent", 12.4, "7f3a9c21")
    failed.root.status = NodeStatus.FAILED
    failed.node("chat", "llm_call", **failing(metadata=usage("large-1", 30_000, 800)))
    fine = Sample("support-agent", 9.81, "52b0e0aa")
    fine.node("chat", "llm_call", metadata=usage("unknown", 5_000, 200))
    runs = {"18:24:23": failed, "18:20:02": fine}
    for clock, sample in runs.items():
        start = datetime.fromisoformat(f"2026-11-22T{clock}+00:00")
        save_trace_json(moved(sample, start), tmp_path / f"{sample.trace.trace_id}.json")
    torn = moved(
        Sample("nightly-batch", 0, "9d20b1f4"), datetime(2026, 11, 21, tzinfo=timezone.utc)
    )
    (tmp_path / f"{torn.trace_id}.jsonl").write_text(journal(torn))
    (tmp_path / "3c0a.json").write_text("{}")
    (tmp_path / "prices").write_text(PRICES)
    (tmp_path / "notes.txt").write_text("not a trace")
    return tmp_path


@pytest.fixture
def listed(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> List:
    """List the store with flags, return the lines."""
    monkeypatch.chdir(store.parent)

    def run(*flags: str) -> list[str]:
        assert main(["list", store.name, "--prices", str(store / "prices"), *flags]) == 0
        return capsys.readouterr().out.splitlines()

    return run


def test_list_shows_what_ran_newest_first(listed: List, store: Path) -> None:
    assert listed() == [
        "TRACE     NAME                 STARTED (UTC)          TIME  NODES ERR     COST",
        "7f3a9c21  ✗ support-agent      2026-11-22 18:24:23  12.40s      2   2  $0.1020",
        "52b0e0aa  ✓ support-agent      2026-11-22 18:20:02   9.81s      2   0        -",
        "9d20b1f4  ◌ nightly-batch      2026-11-21 00:00:00     0ms      1   0        -",
        "3c0a      (unreadable: 'schema_version' is missing)",
        "",
        f"4 traces in {store.name} · ◌ interrupted (its process ended early)",
    ]


def test_list_in_ascii_says_the_same(listed: List, store: Path) -> None:
    assert listed("--ascii") == [
        "TRACE     NAME                 STARTED (UTC)          TIME  NODES ERR     COST",
        "7f3a9c21  !! support-agent     2026-11-22 18:24:23  12.40s      2   2  $0.1020",
        "52b0e0aa  ok support-agent     2026-11-22 18:20:02   9.81s      2   0        -",
        "9d20b1f4  ?? nightly-batch     2026-11-21 00:00:00     0ms      1   0        -",
        "3c0a      (unreadable: 'schema_version' is missing)",
        "",
        f"4 traces in {store.name} | ?? interrupted (its process ended early)",
    ]


@pytest.mark.parametrize(
    ("flags", "ids"),
    [
        (["--limit", "1"], ["7f3a9c21"]),
        (["--sort", "errors", "--limit", "2"], ["7f3a9c21", "52b0e0aa"]),
        (["--sort", "time", "--limit", "1"], ["7f3a9c21"]),
        (["--sort", "cost", "--limit", "1"], ["7f3a9c21"]),
        (["--status", "completed"], ["52b0e0aa"]),
        (["--status", "interrupted"], ["9d20b1f4"]),
        (["--status", "paused"], []),
        (["--since", "2026-11-22"], ["7f3a9c21", "52b0e0aa"]),
        (["--since", "2026-11-22T18:22:00Z"], ["7f3a9c21"]),
    ],
)
def test_list_can_be_narrowed_and_sorted(flags: list[str], ids: list[str], listed: List) -> None:
    assert [line.split()[0] for line in listed(*flags)[1:-2]] == ids


def test_since_counts_back_from_now(store: Path, listed: List) -> None:
    recent = moved(Sample("recent", 1, "aa11"), datetime.now(timezone.utc) - timedelta(minutes=5))
    save_trace_json(recent, store / "aa11.json")
    assert [line.split()[0] for line in listed("--since", "1h")[1:-2]] == ["aa11"]


def test_json_has_stable_keys(listed: List) -> None:
    runs = json.loads("\n".join(listed("--json")))
    assert list(runs[0]) == [
        "trace_id",
        "name",
        "status",
        "start_time",
        "duration_ms",
        "node_count",
        "error_count",
        "cost",
        "unpriced_calls",
        "path",
        "problem",
        "session_id",
        "user_id",
        "tags",
    ]
    assert [run["problem"] for run in runs] == [None, None, None, "'schema_version' is missing"]


def test_cost_that_leaves_calls_out_says_so(listed: List, store: Path) -> None:
    sample = Sample("mixed", 1.0, "aa")
    for model in ("large-1", "unknown"):
        sample.node("chat", "llm_call", metadata=usage(model, 400, 0))
    save_trace_json(sample.trace, store / f"{sample.trace.trace_id}.json")
    head, line, *_ = listed("--name", "mixed")
    assert head.endswith("NODES ERR      COST")
    assert line.endswith("      3   0  $0.0012+")
    row = json.loads("\n".join(listed("--name", "mixed", "--json")))[0]
    assert (row["cost"], row["unpriced_calls"]) == (0.0012, 1)


def test_narrow_list_leaves_out_the_year_before_the_name(listed: List) -> None:
    assert listed("--width", "60")[1] == (
        "7f3a9c21  ✗ support-agent 11-22 18:24    12.40s      2   2"
    )


def test_run_of_a_living_process_is_running(store: Path, listed: List) -> None:
    path = next(store.glob("9d20*.jsonl"))
    path.write_text(path.read_text().replace('"name"', f'"process_id": {os.getpid()}, "name"', 1))
    assert "● nightly-batch" in listed()[3]


@pytest.mark.parametrize("width", [30, 50, 60, 100])
def test_list_fits_the_width(width: int, listed: List) -> None:
    assert all(cell_width(line) <= width for line in listed("--width", str(width))[:-2])


def test_empty_directory_lists_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith(f"\n0 traces in {tmp_path}\n")


@pytest.mark.parametrize("since", ["yesterday", "2x", ""])
def test_odd_since_is_wrong_use(since: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--since", since]) == 2
    assert "is not like 2h" in capsys.readouterr().err
