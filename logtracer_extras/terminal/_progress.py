"""Follow a run while it goes on: `logtracer watch`.

    from logtracer_extras.watching import Follower, Progress

    follower, progress = Follower("traces/7f3a9c21.jsonl"), Progress()
    for event in follower.poll():
        progress.take(event)

`Follower` reads the events that were appended to a journal since it was asked last, and those of
other processes that joined the run. `Progress` keeps what a person asks: what is open and since
when, what happened last, how many of what. Neither keeps the values that steps recorded.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from logtracer import LogtracerError, Node, NodeStatus
from logtracer_cli import Line, Pen, duration_text

from ..analysis.run import own_usage
from ..analysis.tokens import PriceTable, Usage, models_of, usage_of
from ..facts import error_text

__all__ = ["Happening", "Progress", "event_line", "screen_lines"]

_LAST = 8  # events shown as the last ones
_HEIGHT = 27  # lines of the screen, where nobody says how many there are
_FRAME = 9  # of them that hold neither an open step nor an event
_DURATIONS = 512  # of the latest steps of a name, from which its p95 is taken
_FEW = 5  # steps of a name from which on a p95 says something


@dataclass(slots=True)
class Happening:
    """Something that happened to a step, as one line says it."""

    time: datetime
    mark: str  # running, completed, failed, retry, fallback, ...
    place: list[str]  # the names of the steps around it, and its own with its type
    outcome: str


@dataclass(slots=True)
class _Open:
    """A step that has started and not ended."""

    node: Node
    place: list[str]


@dataclass
class Progress:
    """What is known of a run from its events so far; with prices also what it cost."""

    prices: PriceTable | None = None
    name: str = ""
    trace_id: str = ""
    start_time: datetime | None = None
    has_ended: bool = False
    nodes: int = 0
    errors: int = 0
    retries: int = 0
    tokens: int = 0
    cost: float | None = None  # of the steps whose model has a price
    unpriced: int = 0  # steps with tokens that have none
    types: Counter[str] = field(default_factory=Counter)
    open_steps: dict[str, _Open] = field(default_factory=dict)
    last: deque[Happening] = field(default_factory=lambda: deque(maxlen=_LAST))
    last_errors: deque[Happening] = field(default_factory=lambda: deque(maxlen=_LAST))
    _names: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    _durations: dict[tuple[str, str], deque[float]] = field(default_factory=dict)
    _used: dict[str, list[Usage]] = field(default_factory=dict)  # by children of an open step

    def take(self, event: dict[str, Any]) -> Happening | None:
        """Take an event and return what happened, None when it is nothing worth a line."""
        kind = event["event"]
        try:
            if kind == "trace.started":
                self._start(event)
            elif kind == "trace.completed":
                self.has_ended = True
            elif kind == "edge":
                return self._link(event)
            elif kind == "node.updated" and "status" in event:
                return self._update(event)
            elif kind in ("node.started", "node.completed", "node.failed"):
                return self._step(Node.from_dict(event["node"]))
        except (LogtracerError, AttributeError, LookupError, TypeError, ValueError):  # damaged
            return None
        return None

    def p95_ms(self, node: Node) -> float | None:
        """Return what 95 of 100 steps of that type and name take at most, if enough have ended."""
        known = self._durations.get((node.node_type, node.name), ())
        if len(known) < _FEW:
            return None
        return sorted(known)[-(-len(known) * 95 // 100) - 1]

    def _start(self, event: dict[str, Any]) -> None:
        self.name, self.trace_id = str(event["name"]), str(event["trace_id"])
        self.start_time = datetime.fromisoformat(event["start_time"])

    def _step(self, node: Node) -> Happening | None:
        if node.id not in self._names:
            self._names[node.id] = (node.name, node.parent_id)
            self.nodes += 1
            self.types[node.node_type] += 1
        if node.end_time is not None:
            return self._end(node)
        if node.node_type != "trace":
            self.open_steps[node.id] = _Open(node, self._place(node))
        return self._happened(node.start_time, "running", node, "started")

    def _update(self, event: dict[str, Any]) -> Happening | None:
        """Note that an open step waits, or goes on; only the first is worth a line."""
        step, status = self.open_steps.get(event["id"]), NodeStatus(event["status"])
        if step is None or status == step.node.status:
            return None
        step.node.status, step.node.metadata = status, dict(event["metadata"])
        if status != NodeStatus.PAUSED:
            return None
        paused_at = datetime.fromisoformat(step.node.metadata["logtracer.paused_at"])
        happening = self._happened(paused_at, status.value, step.node, _pause_text(step.node))
        self._keep(happening)
        return happening

    def _end(self, node: Node) -> Happening | None:
        self.open_steps.pop(node.id, None)
        self._spend(node)
        took = node.duration_ms or 0.0
        alike = self._durations.setdefault((node.node_type, node.name), deque(maxlen=_DURATIONS))
        alike.append(took)
        outcome = duration_text(took)
        if node.status == NodeStatus.FAILED:
            self.errors += 1
            outcome = error_text(node) or outcome
        happening = self._happened(node.end_time, node.status.value, node, outcome)
        self._keep(happening)
        return happening

    def _spend(self, node: Node) -> None:
        """Count the tokens of an ended step, and what they cost, once: parents may repeat them."""
        parts = self._used.pop(node.id, [])
        total = sum(parts, Usage()) if parts else None
        recorded = usage_of(node) if node.metadata else None
        own = None if recorded is None else own_usage(node, recorded, total, parts)
        if own is not None:
            self.tokens += own.tokens
            cost = self.prices.cost(own, models_of(node)) if self.prices else None
            self.unpriced += cost is None
            if cost is not None:
                self.cost = (self.cost or 0.0) + cost
            total = own if total is None else total + own
        if total is not None and node.parent_id is not None:
            self._used.setdefault(node.parent_id, []).append(total)

    def _link(self, event: dict[str, Any]) -> Happening | None:
        edge_type = event["edge_type"]
        if edge_type not in ("retry_of", "fallback_of"):
            return None
        self.retries += edge_type == "retry_of"
        mark = edge_type.removesuffix("_of")
        source, _ = self._names.get(event["source_id"], ("a node", None))
        later = self.open_steps.get(event["target_id"])
        if later is None:
            return None
        happening = self._happened(later.node.start_time, mark, later.node, f"{mark} of {source}")
        self._keep(happening)
        return happening

    def _keep(self, happening: Happening | None) -> None:
        if happening is not None:
            self.last.append(happening)
            if happening.mark == "failed":
                self.last_errors.append(happening)

    def _happened(
        self, time: datetime | None, mark: str, node: Node, outcome: str
    ) -> Happening | None:
        if node.node_type == "trace" or time is None:
            return None
        return Happening(time, mark, self._place(node), outcome)

    def _place(self, node: Node) -> list[str]:
        """Return the names of two steps around a step, without the run itself, and its own."""
        place = [f"{node.node_type} {node.name}"]
        above = node.parent_id
        while above in self._names and len(place) < 3:
            name, above = self._names[above]
            if above is not None:
                place.append(name)
        return place[::-1]


def _pause_text(node: Node) -> str:
    reason = node.metadata.get("logtracer.paused_reason")
    return f"paused: {reason}" if reason else "paused"


def event_line(happening: Happening, pen: Pen, indent: str = "") -> Line:
    """Return one line for something that happened; also what a pipe gets."""
    clock = happening.time.astimezone(timezone.utc).strftime("%H:%M:%S")
    mark = pen.glyph(happening.mark)
    head = f"{indent}{clock}  {mark}  "
    room = max(16, (pen.width - len(head)) * 3 // 5)
    place = _shortened(happening.place, " / ", room)
    outcome = pen.clip(happening.outcome, max(8, pen.width - len(head) - room - 2))
    role = happening.mark
    return [
        (f"{indent}{clock}  ", "dim"),
        (f"{mark}  ", role),
        (pen.fit(place, room) + "  ", ""),
        (outcome, role if role == "failed" else ""),
    ]


def _shortened(place: list[str], between: str, room: int) -> str:
    """Return the names around a step and its own, as many as there is room for.

    Its own tells most, then the outermost, which most often is the agent's.
    """
    for names in (place, [place[0], place[-1]]):
        text = between.join(names)
        if len(text) <= room:
            return text
    return place[-1]


def screen_lines(
    progress: Progress,
    now: datetime,
    rate: float,
    pen: Pen,
    *,
    only_errors: bool = False,
    height: int = _HEIGHT,
) -> Iterator[Line]:
    """Yield the whole screen: the run, what is open now, what happened last."""
    yield from _title(progress, now, rate, pen)
    oldest = sorted(_innermost(progress), key=lambda step: _age(step, now), reverse=True)
    spare = max(4, height - _FRAME)
    opened = 0 if only_errors else min(len(oldest), max(spare - _LAST, spare // 2))
    if not only_errors:
        yield []
        yield [(f"OPEN NOW ({len(oldest):,})", "heading")]
        yield from (_open_line(step, progress, now, pen) for step in oldest[:opened])
        if len(oldest) > opened:
            yield [(f"  and {len(oldest) - opened:,} more", "dim")]
    yield []
    yield [("LAST ERRORS" if only_errors else "LAST EVENTS", "heading")]
    happened = progress.last_errors if only_errors else progress.last
    for happening in [*happened][opened - spare :]:
        yield event_line(happening, pen, "  ")


def _innermost(progress: Progress) -> list[_Open]:
    """Return the open steps that wait for no other one: those above them only contain them."""
    waiting = {step.node.parent_id for step in progress.open_steps.values()}
    return [step for node_id, step in progress.open_steps.items() if node_id not in waiting]


def _title(progress: Progress, now: datetime, rate: float, pen: Pen) -> Iterator[Line]:
    waiting = [step.node.status == NodeStatus.PAUSED for step in _innermost(progress)]
    is_paused = bool(waiting) and all(waiting)
    state = "ENDED" if progress.has_ended else "PAUSED" if is_paused else "RUNNING"
    since = max(0, int((now - (progress.start_time or now)).total_seconds()))
    clock = f"{since // 3600:02}:{since // 60 % 60:02}:{since % 60:02}"
    trace_id = pen.clip(progress.trace_id[:8], 8) if pen.width >= 70 else ""
    facts = f"{state} {clock}   {progress.nodes:,} nodes   +{rate:,.0f}/s"
    facts = pen.clip(facts, max(16, pen.width - len(trace_id) - 16))
    name = pen.clip(progress.name, max(8, pen.width - len(facts) - len(trace_id) - 8))
    yield [
        (f"{pen.glyph('running')} ", "running"),
        (f"{name}  ", "heading"),
        (f"{trace_id}   ".lstrip(), "dim"),
        (facts, ""),
    ]
    yield [("  " + pen.clip(_counts(progress, pen), pen.width - 2), "")]


def _counts(progress: Progress, pen: Pen) -> str:
    """Return the counts that fit, of types only the most frequent ones."""
    numbers = [f"errors {progress.errors:,}"]
    if progress.retries:
        numbers.append(f"retries {progress.retries:,}")
    if progress.tokens:
        numbers.append(f"tokens {pen.tokens(progress.tokens)}")
        if progress.prices is not None:
            is_part = progress.cost is not None and progress.unpriced > 0
            numbers.append(f"cost {pen.cost(progress.cost)}{'+' * is_part}")
    dot, facts = pen.glyph("dot"), ""
    types = [(kind, number) for kind, number in progress.types.most_common(5) if kind != "trace"]
    for kind, number in types[:3]:
        longer = f"{facts}{pen.clip(kind, 16)} {number:,}{dot}"
        if len(longer + dot.join(numbers)) > pen.width - 2:
            break
        facts = longer
    return facts + dot.join(numbers)


def _age(step: _Open, now: datetime) -> float:
    start = step.node.start_time
    return 0.0 if start is None else max(0.0, (now - start).total_seconds() * 1_000)


def _open_line(step: _Open, progress: Progress, now: datetime, pen: Pen) -> Line:
    """Return an open step with its age, and whether that is long for its name or why it waits."""
    age, usual = _age(step, now), progress.p95_ms(step.node)
    is_paused = step.node.status == NodeStatus.PAUSED
    status = "paused" if is_paused else "running"
    mark = f"  {pen.glyph(status)} "
    room = max(16, pen.width - len(mark) - 30)
    place = pen.fit(_shortened(step.place, pen.glyph("into"), room), room)
    line: Line = [(mark, status), (place, ""), (f"{pen.duration(age):>8}", "")]
    left = pen.width - len(mark) - room - 8
    if is_paused:
        line.append((pen.clip(f"  {_pause_text(step.node)}", left), status))
    elif usual is not None and age > usual and left > 8:
        slow = f"  slow: p95 is {pen.duration(usual)}"
        line.append((pen.clip(slow, left), "interrupted"))
    return line
