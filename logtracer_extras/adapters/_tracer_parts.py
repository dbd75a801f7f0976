"""What adapters do to a span that the tracer has no public word for, in this one place.

Another tool's spans become current and cease to be without ending, are told their times, and are
named and typed at last when they end.
"""

from __future__ import annotations

import sys
import time
from types import FrameType
from typing import Any

from logtracer import (
    Span,
    _current,
    _fail,
    _forget_generator,
    _note_generator,
    _set_current,
    _task_or_thread_id,
)

_BETWEEN = ("contextlib", "opentelemetry.", str(__package__))  # the host and its span


def make_current(span: Span) -> Any:
    """Make a span current in this context; what this returns is for `leave`.

    As with one that is entered, the consumer of a generator that does this does not see it.
    """
    previous = _current.get()
    if not span._is_entered:  # only once: spans that lead to each other would have no end
        span._is_entered = True
        span._entry = [span, previous]
    caller = _caller()
    if caller is not None:
        _note_generator(span, caller)
    if span._entry is not None:
        _set_current(span._entry)
    return previous


def leave(span: Span, previous: Any) -> None:
    """Make what was current before a span so again, unless another was made current since."""
    if span._entry is not None and _current.get() is span._entry:
        _set_current(previous)


def _caller() -> FrameType | None:
    """Return the frame that wants a span to be current, beyond those that only pass it on."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if not str(frame.f_globals.get("__name__")).startswith(_BETWEEN):
            return frame
        frame = frame.f_back
    return None


def is_explicit(moment: int | None) -> bool:
    """Tell whether a time, in nanoseconds since 1970, is another one than now."""
    return moment is not None and abs(moment - time.time_ns()) > 1_000_000  # a clock's jitter


def set_start(span: Span, moment: int) -> None:
    """Let a span that has just started have started at a time, in nanoseconds since 1970."""
    span._start = (moment - span._recording.offset) or 1  # 0 stands for not started
    _tell_again(span)


def end_at(span: Span, error: BaseException | None, moment: int) -> None:
    """End a span at a time, in nanoseconds since 1970, but never before its start."""
    recording = span._recording
    if span._end:
        return
    if error is not None:
        _fail(span, error)
    elif span._status == "running":
        span._status = "completed"
    span._end = max(moment - recording.offset, span._start)
    entry = span._entry
    if entry is not None:
        leave(span, entry[1])
        if span._frame is not None:
            _forget_generator(span, entry)
        entry[0] = span._entry = None  # whatever context still has it goes on without
    if span._number in recording.open:  # else it was opened before a fork
        recording.span_ended(span)


def rename(span: Span, name: str, node_type: str) -> None:
    """Give an open span the name and the type that it turns out to have."""
    if not span._end and (span.name, span.node_type) != (name, node_type):
        span.name, span.node_type = name, node_type
        _tell_again(span)


def has_output(span: Span) -> bool:
    """Tell whether a span has been given an output."""
    return bool(span._outputs)


def parent_of(span: Span) -> Span | None:
    """Return the span above one, None for the root of a trace."""
    return span._parent


def join_lane(span: Span) -> None:
    """Let what runs here be in the lane of a span, though it may be another task or thread."""
    span._task_or_thread = _task_or_thread_id()


def link_by_id(span: Span, earlier: str, edge_type: str, label: str) -> None:
    """Link an earlier node of the same trace, which may have ended long ago, to a span."""
    span._recording.link(earlier, span.id, edge_type, label)


def _tell_again(span: Span) -> None:
    if span._head:  # what a store has been told; its end tells all of it once more
        span._head = span._recording._head(span)
