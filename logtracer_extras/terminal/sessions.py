"""`logtracer sessions`: the sessions of coding agents on this machine, one of them as a trace."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import timezone
from shlex import quote
from typing import Any

from logtracer_cli import (
    CommandError,
    Line,
    Pen,
    Screen,
    count,
    counted,
    summary_lines,
    tree_lines,
)

from ..importers.sessions import Session, find_sessions, open_session

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "session", nargs="?", metavar="ID", help="show this one: the start of its id, or latest"
    )
    parser.add_argument("--agent", metavar="NAME", default="", help="claude_code, codex, ...")
    parser.add_argument("--project", metavar="TEXT", default="", help="its directory contains it")
    parser.add_argument("--limit", type=count, default=20, metavar="N", help="0 for all")
    parser.add_argument("--json", action="store_true", help="print the list as JSON")


def run(options: argparse.Namespace, screen: Screen) -> int:
    """List the sessions, newest first, or show the one that is named."""
    found = [
        session
        for session in find_sessions()
        if options.agent in session.agent and options.project in session.project
    ]
    if options.session is not None:
        _show(_named(options.session, found), screen)
        return 0
    shown = found[: options.limit or None]
    if options.json:
        screen.show_json([_to_dict(session) for session in shown])
    else:
        screen.show(_lines(shown, len(found), screen.pen))
    return 0


def _named(name: str, found: list[Session]) -> Session:
    """Return the session that a name means; a CommandError when it is none, or several."""
    if not found:
        raise CommandError(name, "no session of a coding agent is on this machine")
    if name == "latest":
        return found[0]
    fitting = [session for session in found if session.session_id.startswith(name)]
    if not fitting:
        raise CommandError(name, "no session of this id; `logtracer sessions` lists them")
    if len(fitting) > 1:
        raise CommandError(name, f"fits {len(fitting)} sessions; give more of the id")
    return fitting[0]


def _show(session: Session, screen: Screen) -> None:
    trace = open_session(session)
    screen.expect(len(trace.nodes))
    screen.show(summary_lines(trace, screen.pen))
    screen.show([[]])
    screen.show(tree_lines(trace, "standard", screen.pen))
    if not session.path.endswith(_DATABASES):  # which hold other sessions too
        hint = f"In the browser: logtracer view {quote(session.path)}"
        screen.show([[], [(hint, "dim")]])


_DATABASES = (".db", ".vscdb")


def _to_dict(session: Session) -> dict[str, Any]:
    """Return a line of the list as JSON data."""
    start, end = session.start, session.end
    return {
        "agent": session.agent,
        "session_id": session.session_id,
        "project": session.project,
        "title": session.title,
        "start_time": None if start is None else start.isoformat(timespec="microseconds"),
        "end_time": None if end is None else end.isoformat(timespec="microseconds"),
        "turns": session.turns,
        "tokens": session.tokens,
        "cost": session.cost,
        "error_count": session.errors,
        "path": session.path,
    }


_AGENT = 12  # columns


def _lines(sessions: list[Session], total: int, pen: Pen) -> Iterator[Line]:
    """Yield the table, and below it how many sessions there are."""
    is_wide = pen.width >= 90
    short = _shortest([session.session_id for session in sessions])
    title = max(12, pen.width - short - (62 if is_wide else 24))
    head = f"{'SESSION':<{short + 2}}{'AGENT':<{_AGENT}}{'TITLE':<{title}} "
    head += f"{'STARTED (UTC)':<18}{'TURNS':>6}" * is_wide + f"{'TOKENS':>8}"
    yield [(head + f"{'ERR':>5}{'COST':>9}" * is_wide, "heading")]
    for session in sessions:
        yield _line(session, short, title, pen, is_wide=is_wide)
    shown = f"{len(sessions):,} of " if len(sessions) < total else ""
    yield []
    yield [(f"{shown}{counted(total, 'session')}", "dim")]


def _shortest(ids: list[str]) -> int:
    """Return how many characters tell the ids apart: those of Codex begin with the time."""
    return next((n for n in range(8, 36) if len({each[:n] for each in ids}) == len(set(ids))), 36)


def _line(session: Session, short: int, title: int, pen: Pen, *, is_wide: bool) -> Line:
    line: Line = [(pen.fit(session.session_id[:short], short) + "  ", "dim")]
    line.append((pen.fit(session.agent, _AGENT), ""))
    line.append((pen.fit(session.title or session.project, title) + " ", ""))
    tokens = f"{pen.tokens(session.tokens):>8}"
    if not is_wide:
        return [*line, (tokens, "")]
    start = session.start
    started = "" if start is None else start.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M")
    line.append((f"{started:<18}", "dim"))
    line.append((f"{session.turns:>6}{tokens}", ""))
    line.append((f"{session.errors:>5}", "failed" if session.errors else "dim"))
    return [*line, (pen.cost(session.cost).rjust(9), "dim")]
