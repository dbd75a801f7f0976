"""What a list says of a trace, and which traces are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from logtracer import LogtracerError, TraceGraph, TraceLoadError

__all__ = ["EVERYTHING", "TraceFilter", "TraceSummary", "newest_first", "summarize", "summary_of"]


MILLISECOND = timedelta(milliseconds=1)
_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """What a list says of a trace; `problem` is why it cannot be read."""

    trace_id: str
    name: str = ""
    status: str = ""  # how the run as a whole stands
    start_time: datetime | None = None
    duration_ms: float | None = None
    node_count: int = 0
    error_count: int = 0  # failed nodes
    session_id: str | None = None
    user_id: str | None = None
    tags: tuple[str, ...] = ()
    path: str = ""  # of the file it is in, "" in a database
    problem: str = ""

    @property
    def last_time(self) -> datetime | None:
        """When the run ended, or said something for the last time."""
        if self.start_time is None:
            return None
        return self.start_time + timedelta(milliseconds=self.duration_ms or 0.0)


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """Which traces are wanted: those that meet all that is given."""

    since: datetime | None = None  # started then or later
    until: datetime | None = None  # started before
    name: str = ""  # is part of the name
    status: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    tag: str | None = None
    prefix: str = ""  # the id begins so

    def matches(self, summary: TraceSummary) -> bool:
        """Tell whether a trace is wanted."""
        return self.matches_start(summary) and self.status in (None, summary.status)

    def matches_start(self, summary: TraceSummary) -> bool:
        """Tell whether a trace is wanted as far as its start says, which knows no status."""
        start = summary.start_time or _LONG_AGO
        return (
            summary.trace_id.startswith(self.prefix)
            and self.name in summary.name
            and (self.since is None or start >= self.since)
            and (self.until is None or start < self.until)
            and self.session_id in (None, summary.session_id)
            and self.user_id in (None, summary.user_id)
            and (self.tag is None or self.tag in summary.tags)
        )


EVERYTHING = TraceFilter()


def newest_first(summary: TraceSummary) -> tuple[float, str]:
    """Return the key that sorts traces as a list has them."""
    start = summary.start_time
    return float("inf") if start is None else -start.timestamp(), summary.trace_id


def summary_of(
    trace_id: str, load: Callable[[], TraceGraph | None], path: str = ""
) -> TraceSummary | None:
    """Return what a list says of a trace that is loaded for it; None when it is gone."""
    try:
        trace = load()
        return None if trace is None else summarize(trace, trace_id, path)
    except FileNotFoundError:  # removed between the listing and the reading
        return None
    except Exception as error:  # of whatever kind: one odd trace must not end a list
        return TraceSummary(trace_id, path=path, problem=_reason(error).removeprefix(f"{path}: "))


def _reason(error: Exception) -> str:
    """Return in a line what is wrong with a trace."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    is_ours = isinstance(error, (LogtracerError, OSError))
    return str(error) if is_ours else f"{type(error).__name__}: {error}"


def summarize(trace: TraceGraph, trace_id: str = "", path: str = "") -> TraceSummary:
    """Return what a list says of a trace, under the id that its store has it by."""
    return TraceSummary(
        trace_id or trace.trace_id,
        trace.name,
        _status(trace),
        in_utc(trace.start_time),
        _duration(trace),
        len(trace.nodes),
        len(trace.failed_nodes),
        **labels_of(trace.metadata),
        path=path,
    )


def in_utc(moment: datetime | None) -> datetime | None:
    """Return a time in UTC; one without a zone, of a trace made by hand, is taken to be so.

    Raises TraceLoadError for one at the edge of the calendar, where no reckoning is possible.
    """
    if moment is None:
        return None
    if not 1 < moment.year < 9_999:
        raise TraceLoadError(f"{moment.isoformat()} is too near the edge of the calendar")
    if moment.tzinfo is None:
        return moment.replace(tzinfo=timezone.utc)
    return moment.astimezone(timezone.utc)


def labels_of(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return session, user and tags, as far as they are what they should be."""
    session_id, user_id = metadata.get("session_id"), metadata.get("user_id")
    tags = metadata.get("tags")
    return {
        "session_id": session_id if isinstance(session_id, str) else None,
        "user_id": user_id if isinstance(user_id, str) else None,
        "tags": tuple(filter(_is_text, tags)) if isinstance(tags, list) else (),
    }


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _status(trace: TraceGraph) -> str:
    """Return how the run stands: as its root does, else the worst of its first nodes."""
    tops = {node.node_type: node.status.value for node in trace.root_nodes}
    if "trace" in tops:
        return tops["trace"]
    return worst_status(tops.values(), has_ended=trace.end_time is not None)


def worst_status(statuses: Iterable[str], *, has_ended: bool) -> str:
    """Return how a run without a root of its own stands."""
    found = set(statuses)
    for status in ("running", "interrupted", "failed"):
        if status in found:
            return status
    return "completed" if has_ended else "interrupted"


def _duration(trace: TraceGraph) -> float | None:
    """Return how long the run took; of one without an end, until the last thing it said."""
    start, last = in_utc(trace.start_time), in_utc(trace.end_time)
    if start is None:
        return None
    if last is None:
        ends = [node.end_time or node.start_time for node in trace.nodes.values()]
        last = max((end for end in map(in_utc, ends) if end is not None), default=start)
    return (last - start) / MILLISECOND
