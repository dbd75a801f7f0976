"""Loops: the same call again, two calls in turns, much work that brings nothing new.

What counts is what is new. A test that runs again after an edit is not a loop, because the edit is
new; nor is asking again for something that is not ready, when in the end it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from .findings import Finding
from .reading import Call, Reading, brief, is_pending

__all__ = ["Loop", "LoopDetector", "find_loops", "find_vain_searches"]

REPEATS = 3  # rounds that make a loop
_STALE = 8  # calls in a row that bring nothing new, whatever their order
_LONGEST_PERIOD = 4
_POLLS = 10  # times that something may not be ready while a run goes on
_WAITS = re.compile(r"(?:^|[_.\s])(?:sleep|wait|delay|pause)(?:$|[_.\s])", re.IGNORECASE)
# Errors that the same call again may well get over, and those that it will not.
_TRANSIENT = re.compile(
    r"time(?:d[ -]?)?out|429|\b50[0234]\b|rate.?limit|overloaded|temporar|unavailable"
    r"|connection|try again|too many requests|throttl",
    re.IGNORECASE,
)
_PERMANENT = re.compile(
    r"not found|no such|invalid|unknown|permission|denied|unauthori[sz]ed|forbidden|\b40[0134]\b"
    r"|\b422\b|type ?error|key ?error|value ?error|attribute ?error|syntax ?error|validation"
    r"|missing|unsupported|does not exist|not allowed|required|malformed",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Loop:
    """Calls in a row that brought nothing new, the first of them included."""

    kind: str
    calls: list[Call]
    rounds: int

    @property
    def message(self) -> str:
        """What happened, in a sentence."""
        names = list(dict.fromkeys(call.node.name for call in self.calls))
        if self.kind == "retry_unchanged":
            return f"{names[0]} was tried {self.rounds} times with the same arguments and error"
        if self.kind == "waiting":
            return f"{names[0]} was asked {self.rounds} times and was never ready"
        if self.kind == "repeated_call":
            return f"{names[0]} was called {self.rounds} times with the same result"
        if self.kind == "alternation":
            return f"{' and '.join(names)} took turns {self.rounds} times with the same results"
        return f"{len(self.calls)} calls in a row brought nothing new"


@lru_cache(maxsize=256)
def _is_waiting(name: str) -> bool:
    return _WAITS.search(name) is not None


class LoopDetector:
    """Watches the calls of one agent, one by one, in the order they ended."""

    def __init__(self, repeats: int = REPEATS) -> None:
        self._repeats = repeats
        self._first: dict[bytes, Call] = {}
        self._seen: set[tuple[bytes, str]] = set()
        self._before: list[Call] = []  # the last few up to the last one that was new
        self._row: list[Call] = []  # those since, none of which was new

    def take(self, call: Call) -> Loop | None:
        """Take a call; return the loop that it ends, if there was one."""
        if _is_waiting(call.node.name):
            return None
        if not call.has_result:  # for all we know, it changed everything
            loop = self._end(None)
            self._before = []
            return loop
        if not self._is_new(call):
            self._row.append(call)
            return None
        loop = self._end(call) if self._row else None
        self._before.append(call)
        del self._before[:-_LONGEST_PERIOD]
        return loop

    def _is_new(self, call: Call) -> bool:
        """Whether nothing like it came before; results are only read where arguments are alike."""
        first = self._first.setdefault(call.what, call)
        if first is call:
            return True
        self._seen.add((first.what, first.result))
        event = (call.what, call.result)
        if event in self._seen:
            return False
        self._seen.add(event)
        return True

    def end(self) -> Loop | None:
        """Return the loop in which the calls ended."""
        return self._end(None)

    def current(self) -> Loop | None:
        """Return the loop that goes on now; nobody knows yet whether it ends well."""
        loop = self._loop()
        if loop is not None and loop.kind == "waiting" and loop.rounds < _POLLS:
            return None
        return loop

    def _end(self, follower: Call | None) -> Loop | None:
        loop = self._loop()
        if loop is not None and follower is not None and self._is_answered(loop, follower):
            loop = None
        self._before = [*self._before, *self._row][-_LONGEST_PERIOD:]
        self._row = []
        return loop

    def _is_answered(self, loop: Loop, follower: Call) -> bool:
        """Whether asking again helped: the same call gave another result, and no error."""
        asked = {call.what for call in loop.calls}
        return len(asked) == 1 and follower.what in asked and not follower.error

    def _loop(self) -> Loop | None:
        if not self._row:
            return None
        calls = [*self._before, *self._row]
        loop = self._same(calls)
        if loop is not None or len(self._row) < 2 * (self._repeats - 1):
            return loop
        if any(call.is_pending for call in self._row):
            return None
        return self._turns(calls) or self._stale()

    def _same(self, calls: list[Call]) -> Loop | None:
        """Return the loop in which the last calls are all the same."""
        last, start = calls[-1], len(calls) - 1
        while start and (calls[start - 1].what, calls[start - 1].result) == (
            last.what,
            last.result,
        ):
            start -= 1
        alike, rounds = calls[start:], len(calls) - start
        if rounds == 1:
            return None
        if last.is_pending:
            return Loop("waiting", alike, rounds) if rounds >= self._repeats else None
        if last.error:
            least = self._tries(last.error)
            return Loop("retry_unchanged", alike, rounds) if rounds >= least else None
        return Loop("repeated_call", alike, rounds) if rounds >= self._repeats else None

    def _tries(self, error: str) -> int:
        """Return how many tries are too many."""
        if _TRANSIENT.search(error):
            return 2 * self._repeats
        return max(2, self._repeats - 1) if _PERMANENT.search(error) else self._repeats

    def _turns(self, calls: list[Call]) -> Loop | None:
        events = [(call.what, call.result) for call in calls]
        for period in range(2, _LONGEST_PERIOD + 1):
            start = len(events) - period
            while start > 0 and events[start - 1] == events[start - 1 + period]:
                start -= 1
            rounds = (len(events) - start) // period
            if rounds >= self._repeats:
                return Loop("alternation", calls[start:], rounds)
        return None

    def _stale(self) -> Loop | None:
        return Loop("no_progress", list(self._row), 1) if len(self._row) >= _STALE else None


def find_loops(reading: Reading) -> Iterator[Finding]:
    """Yield the loops of every agent, of its tools and of its models."""
    for streams in (reading.calls, reading.models):
        for calls in streams.values():
            detector = LoopDetector()
            loops = [*map(detector.take, calls), detector.end()]
            for loop in filter(None, loops):
                if loop.kind != "waiting" or _is_taken_for_work(reading, loop):
                    yield _finding(reading, loop)


_LOOKS = re.compile(r"search|find|look|query|grep|list|retriev|fetch|get", re.IGNORECASE)


def find_vain_searches(reading: Reading) -> Iterator[Finding]:
    """Yield rows of calls that look for something, each for something else, and find nothing."""
    for calls in reading.calls.values():
        row: list[Call] = []
        for call in [*calls, None]:
            is_vain = call is not None and _LOOKS.search(call.node.name) and call.found_nothing
            if call is not None and is_vain:
                row.append(call)
                continue
            if len({each.what for each in row}) >= _STALE:
                nodes = [each.node for each in row]
                message = f"{len(row)} calls in a row found nothing"
                yield reading.finding("no_progress", nodes, message, row[-1].result, spent=True)
            row = []


def _is_taken_for_work(reading: Reading, loop: Loop) -> bool:
    """Whether the run ended well, it says, while what it asked for was not ready."""
    return reading.looks_successful and not is_pending(reading.answer[0][:300])


def _finding(reading: Reading, loop: Loop) -> Finding:
    again = [call.node for call in loop.calls[1:]]
    spent = [*again, *reading.between(loop.calls[0].node, loop.calls[-1].node)]
    found = reading.finding(loop.kind, spent, "", spent=True)
    ids = tuple(call.node.id for call in loop.calls)
    evidence = loop.calls[-1].error or loop.calls[-1].result
    return Finding(loop.kind, ids, loop.message, brief(evidence), found.tokens, found.cost)
