"""Arguments that several commands take: which traces of a store are meant."""

from __future__ import annotations

import argparse
import gc
import os
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

from logtracer import LogtracerError, NodeStatus, TraceGraph
from logtracer_cli import complain, find_trace, reason_of, stored_traces

__all__ = ["add_narrowing", "moment_of", "traces_of", "wanted_of"]


def add_narrowing(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say which traces of a store are meant."""
    group = parser.add_argument_group("which traces")
    group.add_argument("--since", type=moment_of, metavar="TIME", help="2h, 30m, 7d or 2026-11-22")
    group.add_argument("--until", type=moment_of, metavar="TIME", help="started before; the same")
    group.add_argument("--status", choices=[status.value for status in NodeStatus])
    group.add_argument("--name", metavar="TEXT", default="", help="the name contains it")
    group.add_argument("--session", metavar="ID", dest="session_id")
    group.add_argument("--user", metavar="ID", dest="user_id")
    group.add_argument("--tag", metavar="TEXT")


def wanted_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return which traces the flags mean, as fields of a TraceFilter; empty for all."""
    names = ("since", "until", "status", "name", "session_id", "user_id", "tag")
    return {name: getattr(options, name) for name in names if getattr(options, name)}


def moment_of(text: str) -> datetime:
    """Return the moment that `2h`, `30m`, `7d` ago was, or that an ISO date names."""
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if found is not None:
        unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[found[2]]
        return datetime.now(timezone.utc) - timedelta(**{unit: int(found[1])})
    try:
        moment = datetime.fromisoformat(re.sub("Z$", "+00:00", text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 2h, 30m, 7d or a date") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)


_COLLECTED = 50_000  # nodes read of a store until memory is collected


def traces_of(argument: str | None, store: str, **wanted: Any) -> Iterator[TraceGraph]:
    """Yield the one trace a user names, or the wanted ones of a directory or the whole store.

    Of many, those that cannot be read are named on stderr and left out.
    """
    if argument is not None and not os.path.isdir(argument):
        yield find_trace(argument, store)
        return
    nodes = 0
    for stored in stored_traces(argument or store, **wanted):
        try:
            trace = stored.load()
        except (LogtracerError, OSError) as error:
            complain(f"warning: {reason_of(error)}; left out")
            continue
        yield trace
        nodes += len(trace.nodes)
        if nodes >= _COLLECTED:
            gc.collect()  # the program runs without it, and what was measured holds itself
            nodes = 0
