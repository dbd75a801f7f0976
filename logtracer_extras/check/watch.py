"""Look for loops, bad answers and spent budgets while a run goes on.

    with Watch(tracer, tokens=50_000, on_finding=print) as watch, tracer.trace("agent"):
        while not agent.is_done:
            agent.turn()
            watch.raise_if_found()

A hook cannot stop the agent: what it raises never reaches the host. So the host asks, in its loop,
with `raise_if_found` or `pause_if_found`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from logtracer import LogtracerError, Node, NodeType, TraceGraph, Tracer, current_span

from ..analysis.tokens import PriceTable
from ..facts import models_of, usage_of
from .answers import answer_problem
from .checking import check
from .findings import Finding
from .loops import Loop, LoopDetector
from .reading import CALLS, Call, Scopes

__all__ = ["RunStopped", "Watch"]

_REPEATS = 5  # more than a check needs: while a run goes on, nobody knows how it ends


class RunStopped(LogtracerError, RuntimeError):
    """A watched run goes wrong; `findings` says how."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("; ".join(finding.message for finding in findings))
        self.findings = findings


def log_finding(finding: Finding) -> None:
    """Log a finding as a warning; what a watch does unless it is told otherwise."""
    logging.getLogger("logtracer").warning("%s: %s", finding.kind, finding.message)


@dataclass
class _Watched:
    """What is known of one trace so far."""

    scopes: Scopes = field(default_factory=Scopes)
    scope_of: dict[str, object] = field(default_factory=dict)
    detectors: dict[object, LoopDetector] = field(default_factory=dict)
    began: datetime | None = None
    spent: dict[str, float] = field(default_factory=dict)
    reported: set[tuple[str, str]] = field(default_factory=set)
    waiting: list[Finding] = field(default_factory=list)  # found, and not asked for yet


class Watch:
    """Watches every trace of a tracer until it is closed.

    The limits count for each trace on its own; `cost` needs `prices`. `repeats` is how many rounds
    make a loop. `on_finding` is called at once, in the thread of the agent; when a trace ends, it
    is checked as a whole.
    """

    def __init__(
        self,
        tracer: Tracer,
        *,
        repeats: int = _REPEATS,
        model_calls: int | None = None,
        tool_calls: int | None = None,
        tokens: int | None = None,
        cost: float | None = None,
        seconds: float | None = None,
        prices: PriceTable | None = None,
        on_finding: Callable[[Finding], object] = log_finding,
    ) -> None:
        if cost is not None and prices is None:
            raise TypeError("cost needs prices=PriceTable(...), or load_prices(path)")
        self.findings: list[Finding] = []
        self._repeats, self._prices, self._on_finding = repeats, prices, on_finding
        self._limits = {
            "model calls": model_calls,
            "tool calls": tool_calls,
            "tokens": tokens,
            "cost": cost,
            "seconds": seconds,
        }
        self._watched: dict[str, _Watched] = {}
        self._lock = threading.RLock()
        self._undo = [
            tracer.on("node.started", self._started),
            tracer.on("node.completed", self._ended),
            tracer.on("node.failed", self._ended),
            tracer.on("trace.completed", self._completed),
        ]

    def raise_if_found(self) -> None:
        """Raise RunStopped when something was found in the current trace since the last time."""
        found = self._take()
        if found:
            raise RunStopped(found)

    def pause_if_found(self) -> bool:
        """Pause the current span, and those above it, when something was found; tell whether."""
        found, span = self._take(), current_span()
        if found and span is not None:
            span.pause("; ".join(finding.message for finding in found))
        return bool(found)

    def close(self) -> None:
        """Watch no longer."""
        for undo in self._undo:
            undo()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # What the tracer tells

    def _started(self, node: Node, trace_id: str) -> None:
        with self._lock:
            watched = self._watched.setdefault(trace_id, _Watched())
            watched.scope_of[node.id] = watched.scopes.of(node)
            watched.began = watched.began or node.start_time

    def _ended(self, node: Node, trace_id: str) -> None:
        with self._lock:
            watched = self._watched.setdefault(trace_id, _Watched())
            found = [*self._spend(watched, node), *self._judge(watched, node)]
            new = [each for each in found if self._is_new(watched, each)]
            watched.waiting += new
        self._report(new)

    def _completed(self, trace: TraceGraph) -> None:
        with self._lock:
            watched = self._watched.pop(trace.trace_id, _Watched())
        found = check(trace, prices=self._prices)
        self._report([each for each in found if self._is_new(watched, each)])

    def _judge(self, watched: _Watched, node: Node) -> list[Finding]:
        """Return what a call that ended shows of its agent."""
        is_model = node.node_type == NodeType.LLM_CALL
        if not is_model and node.node_type not in CALLS:
            return []
        key = is_model, watched.scope_of.pop(node.id, "")
        detector = watched.detectors.setdefault(key, LoopDetector(self._repeats))
        detector.take(Call(node))
        loop = detector.current()
        found = [] if loop is None else [_of_loop(loop)]
        problem = answer_problem(node) if is_model else None
        if problem is not None:
            found.append(Finding(problem[0], (node.id,), problem[1], problem[2]))
        return found

    def _spend(self, watched: _Watched, node: Node) -> list[Finding]:
        """Count what a node used; return the limits that this breaks."""
        spent = watched.spent
        for name, amount in self._used(watched, node).items():
            spent[name] = amount if name == "seconds" else spent.get(name, 0) + amount
        return [
            Finding("over_budget", (node.id,), f"{name}: {spent[name]:,.6g}, at most {limit:,.6g}")
            for name, limit in self._limits.items()
            if limit is not None and spent.get(name, 0) > limit
        ]

    def _used(self, watched: _Watched, node: Node) -> dict[str, float]:
        used: dict[str, float] = {}
        if node.end_time is not None and watched.began is not None:
            used["seconds"] = (node.end_time - watched.began).total_seconds()
        if node.node_type == NodeType.TOOL_CALL:
            used["tool calls"] = 1
        if node.node_type != NodeType.LLM_CALL:
            return used
        used["model calls"] = 1
        usage = usage_of(node)
        if usage is not None:
            used["tokens"] = usage.tokens
            if self._prices is not None:
                used["cost"] = self._prices.cost(usage, models_of(node)) or 0.0
        return used

    def _is_new(self, watched: _Watched, finding: Finding) -> bool:
        """Whether this was not reported before; a limit is broken once, a loop begins once."""
        about = finding.nodes[0]
        if finding.kind == "over_budget":
            about = finding.message.partition(":")[0]
        key = finding.kind, about
        is_new = key not in watched.reported
        watched.reported.add(key)
        return is_new

    def _report(self, found: list[Finding]) -> None:
        """Tell of findings, without the lock: what is called may trace."""
        self.findings += found
        for finding in found:
            self._on_finding(finding)

    def _take(self) -> list[Finding]:
        """Return what was found in the current trace, and forget it."""
        span = current_span()
        trace_id = "" if span is None else span.traceparent.split("-")[1]
        with self._lock:
            watched = self._watched.get(trace_id)
            if watched is None:
                return []
            found, watched.waiting = watched.waiting, []
        return found


def _of_loop(loop: Loop) -> Finding:
    ids = tuple(call.node.id for call in loop.calls)
    return Finding(loop.kind, ids, loop.message, loop.calls[-1].result[:120])
