"""The sessions of coding agents on this machine: where they are, what each was about.

    from logtracer_extras.importers.sessions import find_sessions, open_session

    latest = find_sessions()[0]
    print(latest.agent, latest.title, latest.tokens)
    trace = open_session(latest)

Looks where each agent keeps its sessions, also where its own variables say (CLAUDE_CONFIG_DIR,
CODEX_HOME, GEMINI_CLI_HOME, ...), and writes nothing anywhere.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from logtracer import TraceGraph, TraceLoadError

from ..conventions.values import integer_of, object_of
from . import import_file
from ._databases import opencode_tallies
from ._documents import ZSTANDARD, read_bytes, unpacked
from ._scanning import Tally, scan_claude, scan_codex, scan_gemini, scan_messages, scan_pi

__all__ = ["Session", "find_sessions", "open_session"]


@dataclass(frozen=True, slots=True)
class Session:
    """What is known of a session without reading all of it.

    Tokens are those in and out, sub-agents' included, each counted in one session alone; a cost
    is only there where the agent records it.
    """

    agent: str
    session_id: str
    project: str
    title: str
    start: datetime | None
    end: datetime | None
    turns: int
    tokens: int
    cost: float | None
    errors: int
    path: str


def find_sessions(
    home: str | os.PathLike[str] | None = None, environ: Mapping[str, str] | None = None
) -> list[Session]:
    """Return all sessions, newest first; files that cannot be read are left out."""
    place = Path.home() if home is None else Path(home)
    given = os.environ if environ is None else environ
    found: list[tuple[str, str, Tally]] = []
    for agent, look in _AGENTS:
        found += [(agent, path, tally) for path, tally in look(place, given)]
    found.sort(key=lambda each: each[2].start or _NEVER)
    seen: set[tuple[str, str]] = set()
    sessions = [_session(agent, path, tally, seen) for agent, path, tally in found]
    return sorted(sessions, key=lambda each: each.end or _NEVER, reverse=True)


_NEVER = datetime.min.replace(tzinfo=timezone.utc)


def _session(agent: str, path: str, tally: Tally, seen: set[tuple[str, str]]) -> Session:
    tokens = 0
    for key, (sent, made) in tally.used.items():
        if (agent, key) not in seen:  # a forked session repeats the calls of the one before
            seen.add((agent, key))
            tokens += sent + made
    return Session(
        agent,
        tally.session_id or Path(path).stem,
        tally.project,
        tally.title,
        tally.start,
        tally.end,
        tally.turns,
        tokens,
        tally.cost,
        tally.errors,
        path,
    )


def open_session(session: Session) -> TraceGraph:
    """Read a session as a trace; OSError or TraceLoadError when it cannot be."""
    traces = import_file(session.path)
    named = [trace for trace in traces if trace.metadata.get("session_id") == session.session_id]
    return (named or traces)[0]


def _tally(file: Path, scan: Callable[[bytes], Tally]) -> Tally | None:
    try:
        data = read_bytes(os.fspath(file))
        return scan(unpacked(data) if data.startswith(ZSTANDARD) else data)
    except (OSError, TraceLoadError, RecursionError):
        return None


def _scanned(files: Iterable[Path], scan: Callable[[bytes], Tally]) -> Iterator[tuple[Path, Tally]]:
    for file in sorted(files):
        tally = _tally(file, scan)
        if tally is not None and (tally.turns or tally.used):
            yield file, tally


Found = Iterator[tuple[str, Tally]]


def _claude(home: Path, environ: Mapping[str, str]) -> Found:
    """Look through the projects; each session's sub-agents have a folder of its name."""
    root = Path(environ.get("CLAUDE_CONFIG_DIR") or home / ".claude") / "projects"
    for file, tally in _scanned(root.glob("*/*.jsonl"), scan_claude):
        if file.name.startswith("agent-"):
            continue
        below = (file.with_suffix("") / "subagents").rglob("agent-*.jsonl")
        for _, agent in _scanned(below, scan_claude):
            tally.add(agent)
        tally.session_id = file.stem
        yield str(file), tally


def _codex(home: Path, environ: Mapping[str, str]) -> Found:
    """Look through the rollouts; those of sub-agents count with the session that started them."""
    root = Path(environ.get("CODEX_HOME") or home / ".codex")
    files = [*root.glob("sessions/**/rollout-*.jsonl*"), *root.glob("archived_sessions/*.jsonl*")]
    tallies = dict(_scanned(files, scan_codex))
    by_id = {tally.session_id: tally for tally in tallies.values()}
    for tally in tallies.values():
        above = by_id.get(tally.above)
        if above is not None and above is not tally:
            above.add(tally)
    for file, tally in tallies.items():
        if tally.above not in by_id:
            yield str(file), tally


def _gemini(home: Path, environ: Mapping[str, str]) -> Found:
    root = Path(environ.get("GEMINI_CLI_HOME") or home) / ".gemini" / "tmp"
    for file, tally in _scanned(root.glob("*/chats/session-*.json*"), scan_gemini):
        for _, agent in _scanned(
            (file.parent / (tally.session_id or "?")).glob("*.json*"), scan_gemini
        ):
            tally.add(agent)
        tally.project = tally.project or file.parent.parent.name
        yield str(file), tally


def _pi(home: Path, environ: Mapping[str, str]) -> Found:
    root = Path(environ.get("PI_CODING_AGENT_DIR") or home / ".pi" / "agent")
    for file, tally in _scanned(root.glob("sessions/**/*.jsonl"), scan_pi):
        yield str(file), tally


def _cline(home: Path, environ: Mapping[str, str]) -> Found:
    root = Path(environ.get("CLINE_DATA_DIR") or home / ".cline" / "data")
    for file, tally in _scanned(root.glob("sessions/*/*.messages.json"), scan_messages):
        yield str(file), tally


def _data_home(home: Path, environ: Mapping[str, str]) -> Path:
    return Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share")


def _opencode(home: Path, environ: Mapping[str, str]) -> Found:
    files = [*(_data_home(home, environ) / "opencode").glob("opencode*.db")]
    files += [Path(environ["OPENCODE_DB"])] if environ.get("OPENCODE_DB") else []
    for file in sorted({file.absolute() for file in files if file.is_file()}):
        try:
            for tally in opencode_tallies(str(file)):
                yield str(file), tally
        except (OSError, TraceLoadError):
            yield from _traces_in(file)


def _goose(home: Path, environ: Mapping[str, str]) -> Found:
    root = environ.get("GOOSE_PATH_ROOT")
    place = Path(root) / "data" if root else _data_home(home, environ) / "goose"
    yield from _traces_in(place / "sessions" / "sessions.db")


def _cursor(home: Path, environ: Mapping[str, str]) -> Found:
    base = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    if sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    elif sys.platform == "win32":
        base = Path(environ.get("APPDATA") or home / "AppData" / "Roaming")
    yield from _traces_in(base / "Cursor" / "User" / "globalStorage" / "state.vscdb")
    for file in sorted(home.glob(".cursor/projects/*/agent-transcripts/**/*.jsonl")):
        yield from _traces_in(file)


def _traces_in(file: Path) -> Found:
    """Yield what traces tell, where there is no quicker way."""
    try:
        traces = import_file(file) if file.is_file() else []
    except (OSError, TraceLoadError):
        traces = []
    for trace in traces:
        yield str(file), _tally_of(trace)


def _tally_of(trace: TraceGraph) -> Tally:
    told = trace.metadata
    tally = Tally(str(told.get("session_id") or trace.trace_id), title=trace.name)
    tally.project = str(told.get("goose.working_dir") or "")
    tally.start, tally.end = trace.start_time, trace.end_time
    tally.errors = len(trace.failed_nodes)
    nodes = trace.nodes.values()
    tally.turns = sum(node.node_type == "human_input" for node in nodes)
    counted = [node for node in nodes if node.node_type == "llm_call"]
    whole = [node for node in nodes if node.parent_id is None]
    for node in counted if any(map(_used_by, (each.metadata for each in counted))) else whole:
        tally.used[f"{trace.trace_id}/{node.id}"] = _used_by(node.metadata) or (0, 0)
        tally.spent(node.metadata.get("gen_ai.usage.cost"))
    return tally


def _used_by(metadata: Mapping[str, object]) -> tuple[int, int] | None:
    facts = object_of(metadata)
    sent, made = (
        integer_of(facts.get(f"gen_ai.usage.{way}_tokens")) for way in ("input", "output")
    )
    return None if sent is None and made is None else (sent or 0, made or 0)


_AGENTS: tuple[tuple[str, Callable[[Path, Mapping[str, str]], Found]], ...] = (
    ("claude_code", _claude),
    ("codex", _codex),
    ("gemini_cli", _gemini),
    ("opencode", _opencode),
    ("pi", _pi),
    ("cline", _cline),
    ("goose", _goose),
    ("cursor", _cursor),
)
