"""Files that belong to a session beside the one that was named: those of its sub-agents."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from logtracer import TraceLoadError

from ._documents import GZIP, ZSTANDARD, decode_text, documents_in, read_bytes, unpacked
from .claude_code import AGENT_META, FILE, claude_lines, started_agents
from .codex import COMPANION as ROLLOUT
from .codex import is_codex, parent_of, spawned_in
from .gemini_cli import COMPANION as CHAT
from .gemini_cli import is_gemini_cli, session_id_of

__all__ = ["companions", "is_read_with_another"]

_MAX_FIRST = 1 << 20  # bytes; the header of a rollout holds whole instructions
_MAX_FILES = 1_000  # of one session; a folder with more is something else


def companions(path: str, documents: list[Any]) -> list[Any]:
    """Return the documents of the files that belong to the one at `path`.

    What cannot be read is left out: the session itself is worth showing without it.
    """
    if is_codex(documents):
        return list(_codex_agents(Path(path), documents))
    if is_gemini_cli(documents):
        return list(_gemini_agents(Path(path), documents))
    if claude_lines(documents) is not None and not Path(path).name.startswith("agent-"):
        return list(_claude_agents(Path(path), documents))
    return []


def is_read_with_another(path: str) -> bool:
    """Tell whether a file is a sub-agent's, which the session that started it is read with."""
    file = Path(path)
    if not file.name.startswith(("agent-", "rollout-")) and file.parent.parent.name != "chats":
        return False
    first = _first_line(file)
    if first.get("isSidechain") is True:
        return file.with_name(f"{first.get('sessionId')}.jsonl").is_file()
    if first.get("kind") == "subagent":
        return any(file.parent.parent.glob("session-*.json*"))
    above = parent_of(first)
    return bool(above) and any(above in each.name for each in _rollouts_near(file))


def _first_line(file: Path) -> dict[str, Any]:
    try:
        with open(file, "rb") as opened:
            found = json.loads(opened.readline(_MAX_FIRST))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _claude_agents(session: Path, documents: list[Any]) -> Iterator[Any]:
    """Read `<session>/subagents/**/agent-<id>.jsonl`, and what each says beside it of its caller.

    Until 2026 these files lay beside the session, among those of others.
    """
    folder = session.with_suffix("") / "subagents"
    files = sorted(folder.rglob("agent-*.jsonl")) if folder.is_dir() else []
    known = {file.name for file in files}
    named = [session.with_name(f"agent-{agent}.jsonl") for agent in started_agents(documents)]
    files += [file for file in named if file.name not in known and file.is_file()]
    for file in files[:_MAX_FILES]:
        agent = file.stem.removeprefix("agent-")
        lines = [line for line in _lines_of(file) if isinstance(line, dict)]
        for number, line in enumerate(lines, 1):
            yield {"agentId": agent, **line, FILE: f"{file.stem}: record {number}"}
        told = next(_lines_of(file.with_suffix(".meta.json")), None)
        if lines and isinstance(told, dict):
            yield {**told, "type": AGENT_META, "agentId": agent, FILE: f"{file.stem}: meta"}


def _codex_agents(rollout: Path, documents: list[Any]) -> Iterator[Any]:
    """Read the rollouts of the sub-agents that a rollout names, and of theirs."""
    waiting = sorted(spawned_in(documents))
    if not waiting:
        return
    places = {file.name.partition(".")[0][-36:]: file for file in _rollouts_near(rollout)}
    read: set[str] = set()
    while waiting and len(read) < _MAX_FILES:
        child = waiting.pop(0)
        file = places.get(child)
        if file is not None and child not in read:
            read.add(child)
            lines = list(_lines_of(file))
            yield {"type": ROLLOUT, "name": file.name, "lines": lines}
            waiting += sorted(spawned_in(lines))


def _rollouts_near(rollout: Path) -> Iterator[Path]:
    """Walk through the folder of all sessions, or through the one that the rollout lies in."""
    above = [folder for folder in rollout.absolute().parents[:4] if folder.name == "sessions"]
    folder = above[0] if above else rollout.absolute().parent
    return folder.rglob("rollout-*.jsonl*") if above else folder.glob("rollout-*.jsonl*")


def _gemini_agents(chat: Path, documents: list[Any]) -> Iterator[Any]:
    """Read the chats in the folder that is called after this one's session."""
    name = re.sub(r"[^0-9A-Za-z_.-]", "_", session_id_of(documents)).strip(".")
    folder = chat.parent / name
    if not name or not folder.is_dir():
        return
    for file in sorted(folder.glob("*.json*"))[:_MAX_FILES]:
        lines = list(_lines_of(file))
        if is_gemini_cli(lines):
            yield {"type": CHAT, "name": file.name, "lines": lines}


def _lines_of(file: Path) -> Iterator[Any]:
    try:
        data = read_bytes(os.fspath(file))
        if data.startswith((GZIP, ZSTANDARD)):
            data = unpacked(data)
        yield from documents_in(decode_text(data))[0]
    except (OSError, TraceLoadError, json.JSONDecodeError, RecursionError):
        return
