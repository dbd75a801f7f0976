"""The critical path: which nodes a run would have been faster without."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .run import Run, Step

__all__ = ["Segment", "critical_path", "merge_path"]


@dataclass(slots=True)
class Segment:
    """A stretch of the critical path: time in which the whole run was held up by one step."""

    step: Step | None  # None: no step of the trace was running
    waiting: bool  # the step only waited for its next try of something
    start: int
    time: int


@dataclass(slots=True)
class _Frame:
    """A step being walked back through, from its end to its start."""

    step: Step | None
    floor: int
    cursor: int
    children: list[Step]  # the last to finish is the last of the list
    later: Step | None = None  # the child that was taken before

    def next_child(self) -> Step | None:
        """Return the child that was last to finish before the cursor, None when there is none."""
        limit = self.cursor
        while self.children:
            child = self.children.pop()
            overlaps = child.end > limit and self.later is not None
            if not overlaps and max(child.start, self.floor) < min(child.end, limit):
                return child
        return None


def critical_path(run: Run) -> list[Segment]:
    """Return what held the run up, moment by moment from its start to its end, without a gap.

    Walks back from the end: the child that finished last held its parent up, then the one that
    had finished before that one started, and so on down into each. What remains is the parent's
    own time, or its waiting when the two children are tries of the same thing. A child that
    outlives its parent counts up to the parent's end.
    """
    place = {id(step): number for number, chain in enumerate(run.chains) for step in chain}
    found: list[Segment] = []
    frames = [_Frame(None, 0, run.wall, _by_end(run.top, run.wall))]
    while frames:
        frame = frames[-1]
        child = frame.next_child()
        end = frame.floor if child is None else min(child.end, frame.cursor)
        if frame.cursor > end:
            waiting = child is not None and place.get(id(child), -1) == place.get(id(frame.later))
            found.append(Segment(frame.step, waiting, end, frame.cursor - end))
        if child is None:
            frames.pop()
            continue
        floor = max(child.start, frame.floor)
        frame.cursor, frame.later = floor, child
        if child.children:
            frames.append(_Frame(child, floor, end, _by_end(child.children, end)))
        elif end > floor:
            found.append(Segment(child, False, floor, end - floor))
    return found[::-1]


def _by_end(steps: list[Step], limit: int) -> list[Step]:
    return sorted(steps, key=lambda step: (min(step.end, limit), -step.start))


def merge_path(segments: Iterable[Segment], *, depth: int | None = None) -> list[Segment]:
    """Join the segments of each step, in the order of their first one.

    With a depth, the time of deeper steps goes to their ancestor at that level.
    """
    merged: dict[tuple[int, bool], Segment] = {}
    for segment in segments:
        step = segment.step
        waiting = segment.waiting
        while step is not None and depth is not None and step.level > depth:
            step, waiting = step.parent, False
        key = (id(step), waiting)
        if key in merged:
            merged[key].time += segment.time
        else:
            merged[key] = Segment(step, waiting, segment.start, segment.time)
    return list(merged.values())
