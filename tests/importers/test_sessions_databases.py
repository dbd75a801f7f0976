"""Sessions in the databases of OpenCode, Goose and Cursor, which nothing is ever written to."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from logtracer import TraceGraph, TraceLoadError
from logtracer_extras.importers import import_file
from session_files import SESSIONS, calls, kinds, named, parent, tokens, tools

GOOSE = """
CREATE TABLE sessions (id TEXT, name TEXT, created_at TEXT, parent_session_id TEXT,
    model_config_json TEXT, accumulated_input_tokens INT, accumulated_output_tokens INT);
CREATE TABLE messages (id INTEGER PRIMARY KEY, message_id TEXT, session_id TEXT, role TEXT,
    content_json TEXT, created_timestamp INT, metadata_json TEXT);
"""
LEDGER = """
CREATE TABLE usage_ledger (id INTEGER PRIMARY KEY, session_id TEXT, created_timestamp INT,
    model TEXT, input_tokens INT, output_tokens INT, total_tokens INT, cache_read_tokens INT,
    cache_write_tokens INT, cost REAL, is_compaction INT);
"""
OPENCODE = """
CREATE TABLE session (id TEXT, parent_id TEXT, title TEXT, agent TEXT, time_created INT);
CREATE TABLE message (id TEXT, session_id TEXT, time_created INT, data TEXT);
CREATE TABLE part (id TEXT, message_id TEXT, session_id TEXT, data TEXT);
"""


def database(path: Path, script: str, *rows: tuple[str, Iterable[Any]]) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    for table, values in rows:
        given = tuple(values)
        marks = ", ".join("?" * len(given))
        connection.execute(f"INSERT INTO {table} VALUES ({marks})", given)
    connection.commit()
    return connection


def opencode_rows(session: str, above: str | None, started: str = "") -> list[tuple[str, Any]]:
    text = (SESSIONS / "opencode" / "export.json").read_text(encoding="utf-8")
    document = json.loads(text)
    rows: list[tuple[str, Any]] = [("session", (session, above, "title", "general", 1))]
    for number, message in enumerate(document["messages"]):
        key = f"{session}-{number}"
        rows.append(("message", (key, session, number, json.dumps(message["info"]))))
        for part in message["parts"]:
            if started and part.get("callID") == "call_000053":
                part["state"]["metadata"]["sessionId"] = started
            data = json.dumps({name: part[name] for name in part if name != "id"})
            rows.append(("part", (f"{session}-{part['id']}", key, session, data)))
    return rows


def goose_message(session: str, role: str, second: int, *parts: Any) -> tuple[str, Any]:
    return "messages", (None, f"{role}{second}", session, role, json.dumps(parts), second, "{}")


def goose_file(folder: Path, *more: tuple[str, Any], script: str = GOOSE) -> TraceGraph:
    ask = {"name": "shell", "arguments": {"command": "ls"}}
    asked = {"type": "toolRequest", "id": "t", "toolCall": {"status": "success", "value": ask}}
    value = {"content": [{"type": "text", "text": "no"}], "isError": True}
    result = {"status": "success", "value": value}
    path = folder / "sessions.db"
    database(
        path,
        script,
        ("sessions", ("s", "look", "2026", None, '{"model_name": "m"}', 70, 7)),
        goose_message("s", "user", 1, {"type": "text", "text": "go"}),
        goose_message("s", "assistant", 2, {"type": "thinking", "thinking": "hm"}, asked),
        goose_message("s", "user", 3, {"type": "toolResponse", "id": "t", "toolResult": result}),
        goose_message("s", "assistant", 4, {"type": "text", "text": "done"}),
        *more,
    ).close()
    (trace,) = import_file(path)
    return trace


def test_sessions_of_opencode_are_read_with_those_they_started(tmp_path: Path) -> None:
    path = tmp_path / "opencode.db"
    rows = [*opencode_rows("one", None, started="two"), *opencode_rows("two", "one")]
    database(path, OPENCODE, *rows).close()
    (trace,) = import_file(path)
    (agent,) = named(trace, "general")
    assert parent(trace, agent).metadata["gen_ai.tool.call.id"] == "call_000053"
    assert (tokens(trace).input, tokens(trace).output) == (2_104, 100)


def test_nothing_is_written_beside_a_database(tmp_path: Path) -> None:
    path = tmp_path / "opencode.db"
    connection = database(path, "PRAGMA journal_mode = WAL;" + OPENCODE)
    connection.close()
    before = path.read_bytes()
    with pytest.raises(TraceLoadError, match="a database without a session"):
        import_file(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["opencode.db"]


def test_what_is_still_in_the_log_of_a_database_is_read(tmp_path: Path) -> None:
    path = tmp_path / "opencode.db"
    script = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;" + OPENCODE
    connection = database(path, script, *opencode_rows("one", None))
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    (trace,) = import_file(path)
    assert len(calls(trace)) == 1
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    connection.close()


def test_a_session_of_goose_pairs_its_tools_and_keeps_thinking_apart(tmp_path: Path) -> None:
    trace = goose_file(tmp_path)
    assert (kinds(trace)["llm_call"], kinds(trace)["human_input"]) == (2, 1)
    (tool,) = tools(trace)
    assert (tool.name, tool.status, tool.error, tool.duration_ms) == (
        "shell",
        "failed",
        "no",
        1_000,
    )
    thought = calls(trace)[0].output_data["message"]["content"][0]
    assert thought == {"type": "reasoning", "content": "hm"}


def test_the_ledger_of_goose_tells_the_tokens_and_the_cost_of_each_call(tmp_path: Path) -> None:
    beside = (None, "s", 2, "m-1", 100, 20, 160, 30, 10, 0.5, 0)
    within = (None, "s", 4, "m-1", 100, 20, 120, 30, 0, 0.25, 0)
    compaction = (None, "s", 5, "m-1", 900, 90, 990, 0, 0, 1.0, 1)
    rows = [("usage_ledger", row) for row in (beside, within, compaction)]
    trace = goose_file(tmp_path, *rows, script=GOOSE + LEDGER)
    assert [node.metadata["gen_ai.usage.input_tokens"] for node in calls(trace)] == [140, 100]
    assert [node.metadata["gen_ai.usage.cost"] for node in calls(trace)] == [0.5, 0.25]


def test_an_older_goose_tells_the_sum_alone(tmp_path: Path) -> None:
    trace = goose_file(tmp_path)
    facts = trace.root_nodes[0].metadata
    assert (facts["gen_ai.usage.input_tokens"], facts["gen_ai.usage.output_tokens"]) == (70, 7)


def cursor_rows(**more: Any) -> list[tuple[str, Any]]:
    tool = {"name": "run_terminal_cmd", "toolCallId": "t", "status": "completed"}
    tool |= {"rawArgs": '{"command": "ls"}', "result": '{"output": "", "exitCode": 2}'}
    bubbles: dict[str, Any] = {
        "b1": {"type": 1, "text": "go", "createdAt": "2026-01-01T00:00:01Z"},
        "b2": {"type": 2, "text": "look", "createdAt": "2026-01-01T00:00:02Z"},
        "b3": {"type": 2, "text": "", "toolFormerData": tool},
        "b4": {"type": 2, "text": "ok", "tokenCount": {"inputTokens": 50, "outputTokens": 5}},
    }
    headers = [{"bubbleId": key, "type": bubble["type"]} for key, bubble in bubbles.items()]
    composer = {"name": "title", "fullConversationHeadersOnly": headers, **more}
    rows = [("cursorDiskKV", (f"bubbleId:c:{key}", json.dumps(bubbles[key]))) for key in bubbles]
    return [*rows, ("cursorDiskKV", ("composerData:c", json.dumps(composer)))]


CURSOR = "CREATE TABLE cursorDiskKV (key TEXT, value BLOB); CREATE TABLE ItemTable (key, value);"


def test_a_composer_of_cursor_is_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "state.vscdb"
    usage = {"m": {"costInCents": 25}}
    database(path, CURSOR, *cursor_rows(usageData=usage, modelConfig={"modelName": "m"})).close()
    (trace,) = import_file(path)
    assert (len(calls(trace)), kinds(trace)["human_input"], tokens(trace).input) == (2, 1, 50)
    (tool,) = tools(trace)
    assert (tool.status, tool.output_data["exit_code"]) == ("failed", 2)
    assert trace.root_nodes[0].metadata["gen_ai.usage.cost"] == 0.25


def test_of_cursors_database_nothing_but_conversations_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.vscdb"
    secret = [
        ("cursorDiskKV", ("cursorAuth/accessToken", "secret")),
        ("ItemTable", ("x", "secret")),
    ]
    database(path, CURSOR, *cursor_rows(), *secret).close()
    read: list[str] = []
    connect = sqlite3.connect

    def watched(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.set_trace_callback(read.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", watched)
    (trace,) = import_file(path)
    assert "secret" not in repr(trace)
    selects = [query for query in read if "cursorDiskKV" in query or "ItemTable" in query]
    assert selects and all("key >= '" in query for query in selects)


def test_a_transcript_of_cursors_terminal_is_a_trace(tmp_path: Path) -> None:
    use = {"type": "tool_use", "name": "Shell", "input": {"command": "ls"}}
    lines: list[Any] = [{"role": "user", "message": {"content": [{"type": "text", "text": "go"}]}}]
    lines += [{"role": "assistant", "message": {"content": [{"type": "text", "text": "ok"}, use]}}]
    path = tmp_path / "transcript.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    (trace,) = import_file(path)
    assert (kinds(trace)["llm_call"], tools(trace)[0].name) == (1, "Shell")


def test_another_database_is_refused_by_its_tables(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    database(path, "CREATE TABLE traces (id TEXT);").close()
    with pytest.raises(TraceLoadError, match="of no agent's sessions .tables: 'traces'"):
        import_file(path)


def test_a_damaged_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    path.write_bytes(b"SQLite format 3\0" + b"x" * 200)
    with pytest.raises(TraceLoadError, match="a database that cannot be read"):
        import_file(path)
