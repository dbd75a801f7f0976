"""Files and directories: what is no trace is said, what unpacks without end is refused."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from logtracer import TraceLoadError
from logtracer_extras.importers import import_directory, import_file, import_traces

TALK = json.dumps([{"role": "user", "content": "hi"}])

MEASURED = """
import gzip, re, sys
from logtracer import TraceLoadError
from logtracer_extras.importers import import_traces

data = gzip.compress(sys.argv[1].encode() * int(sys.argv[2]))
try:
    import_traces(data)
except TraceLoadError as error:
    print(error)
with open("/proc/self/status") as status:  # ru_maxrss has what the parent used, too
    print(int(re.search(r"VmHWM:\\s+(\\d+)", status.read())[1]) // 1_000)
"""


@pytest.mark.parametrize("part", ["[],", "{},", '[[0],"ab"],', '{"a":{}},'])
def test_a_small_file_that_holds_a_large_one_is_refused(part: str) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc, which says how much memory a process used")
    arguments = [sys.executable, "-c", MEASURED, part, str(60_000_000 // len(part))]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=60)
    *why, megabytes = done.stdout.splitlines()

    assert "decompress it first" in why[0]
    assert int(megabytes) < 600


def test_a_compressed_file_of_several_members_is_read_whole() -> None:
    line = json.dumps({"role": "user", "content": "hi"}).encode() + b"\n"
    (trace,) = import_traces(gzip.compress(line) + gzip.compress(line))

    assert len(trace.nodes) == 3


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"SQLite format 3\0" + b"\xff" * 20, "SQLite"),
        (b"PAR1\xff", "Parquet"),
        (b"# aider chat started at 2026\n\n#### hello {x}\n", "begins with '# aider chat"),
        (b'[{"kind": "step", "parts": []}]', "the keys of its first item: 'kind, parts'"),
        (b'{"zz": 1, "aa": 2, "type": "x"}', "its keys: 'type, zz, aa'"),
    ],
)
def test_a_file_that_is_something_else_is_refused_by_what_it_is(data: bytes, reason: str) -> None:
    with pytest.raises(TraceLoadError, match=reason):
        import_traces(data)


def test_every_file_of_a_directory_is_read_and_what_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "one.json").write_text(TALK)
    (tmp_path / "a" / "b" / "two.jsonl").write_text(TALK.replace("hi", "there"))
    (tmp_path / "a" / "bad.json").write_text("{")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    refused: list[Exception] = []

    traces = list(import_directory(tmp_path, refused=refused.append))

    assert len({trace.trace_id for trace in traces}) == 2
    assert [str(error).partition(": ")[0] for error in refused] == [str(tmp_path / "a/bad.json")]
    assert len(import_file(tmp_path)) == 2


def test_a_directory_without_a_trace_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(TraceLoadError, match=f"{tmp_path.name}: no file in it holds a trace"):
        import_file(tmp_path)


def test_files_of_sub_agents_are_read_with_the_session_beside_them(tmp_path: Path) -> None:
    (tmp_path / "s" / "subagents").mkdir(parents=True)
    (tmp_path / "s.jsonl").write_text(TALK)
    (tmp_path / "s" / "subagents" / "agent-1.jsonl").write_text(TALK.replace("hi", "there"))

    assert len(import_file(tmp_path)) == 1


def test_events_with_a_file_each_are_one_run(tmp_path: Path) -> None:
    said = {"role": "user", "content": []}
    event = {"kind": "MessageEvent", "source": "user", "llm_message": said}
    for at in range(3):
        (tmp_path / f"event-{at:05}-ab.json").write_text(json.dumps({**event, "id": str(at)}))

    (trace,) = import_file(tmp_path)
    assert len(trace.nodes) == 4


ZIPKIN = {"traceId": "ab", "id": "cd", "name": "x", "timestamp": 1, "duration": 1}
AGENTS = {"object": "trace.span", "id": "s", "trace_id": "t", "span_data": {"type": "agent"}}
WEAVE = {"id": "a", "trace_id": "t", "op_name": "look"}
SPANS = {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "ab", "spanId": "cd"}]}]}]}
LOGS: dict[str, object] = {"resourceLogs": []}
BATCH = {"batch": [{"type": "span-create", "body": {"id": "a", "traceId": "t"}}]}


@pytest.mark.parametrize(
    "documents",
    [[ZIPKIN], [AGENTS], [WEAVE], [SPANS, LOGS], [BATCH]],
    ids=lambda one: str(one)[:20],
)
def test_what_a_file_holds_beside_its_format_is_counted(documents: list[object]) -> None:
    (trace,) = import_traces("\n".join(map(json.dumps, [*documents, {"type": "note"}])))

    assert trace.metadata["logtracer.import.kinds"] == {"note": 1}
