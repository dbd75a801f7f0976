"""The open runs of LangChain: the steps they are, below which others, and how they end."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from logtracer import Span, current_span

from ._installing import Adapter, quietly
from ._langchain_reading import is_agent
from ._reading import read
from ._steps import ModelCall, Pauses, Step, open_model_call, open_step, parent_span
from ._tracer_parts import join_lane, parent_of, rename


class Run:
    """An open run, and what its end needs to know."""

    def __init__(
        self,
        step: Step | ModelCall,
        above: Run | None,
        is_ours: bool = True,
        key: object = None,
    ) -> None:
        self.span = step.span
        self.step = step
        self.above = above
        self.is_ours = is_ours  # a hidden run stands for its parent's
        self.key = key
        self.began = time.perf_counter()
        self.pieces: list[str] = []  # of a stream
        self.has_chunks = False
        self.open_below = 0
        self.cancelled: list[tuple[Run, BaseException, int]] = []  # below it, with the time
        self.task = _task()

    def is_given_up(self, above: Run) -> bool:
        """Tell whether a call must be over, now that its task or what awaited it is.

        The product does not tell of a call that a timeout of the user's has cancelled.
        """
        if self.task is None or self.has_chunks or not isinstance(self.step, ModelCall):
            return False
        return self.task is above.task or bool(getattr(self.task, "done")())

    def is_left(self, error: BaseException | None) -> bool:
        """Tell whether a cancellation means that the consumer of a stream left it.

        Nobody has cancelled its task then: the event loop cleans up what was left.
        """
        cancelling = getattr(self.task, "cancelling", None)
        if not isinstance(error, asyncio.CancelledError) or cancelling is None:
            return False
        return not (cancelling() or getattr(self.task, "cancelled")())


def _task() -> object:
    """Return the task that runs now, None outside any."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


class Runs:
    """The runs that are open, by the product's ids of them."""

    def start_recording(self, adapter: Adapter) -> None:
        """Begin; the product makes handlers without arguments."""
        self.is_active = True
        self._adapter = adapter
        self._runs: dict[Any, Run] = {}
        self._failed: dict[object, Span] = {}  # attempts of graph nodes, to link their retries
        self._pauses = Pauses(adapter, "thread_id")

    def span_of(self, run_id: Any) -> Span | None:
        """Return the span of an open run."""
        run = self._runs.get(run_id)
        return None if run is None else run.span

    def _open(
        self,
        run_id: Any,
        parent_run_id: Any,
        name: str,
        node_type: str,
        is_current: bool = True,
        key: object = None,
        parent: Span | None = None,
    ) -> Span | None:
        if not self.is_active:
            return None
        above = self._runs.get(parent_run_id)
        if above is not None:
            parent = above.span
            if not above.open_below:  # nothing runs beside it, whichever task or thread this is
                join_lane(parent)
        elif parent is None:
            parent = parent_span()
        open_one = open_model_call if node_type == "llm_call" else open_step
        step = open_one(self._adapter, name, node_type, parent)
        if step is None:
            return None
        self._runs[run_id] = Run(step, above, key=key)
        if above is not None:
            above.open_below += 1
        if is_current:
            step.span.__enter__()
        return step.span

    def _close(self, run_id: Any, error: BaseException | None = None, **output: Any) -> None:
        run = self._runs.pop(run_id, None)
        if run is None:
            return
        for key in [key for key, other in self._runs.items() if other.above is run]:
            if error is not None:  # a cancelled task says nothing of what was inside it
                self._close(key, error)
            elif self._runs[key].is_given_up(run):
                self._close(key, asyncio.CancelledError())
        if not run.is_ours:
            return
        if run.above is not None:
            run.above.open_below -= 1
        if run.pieces and error is not None and not output:
            output = {"message": {"role": "assistant", "content": "".join(run.pieces)}}
        with quietly("langchain"):  # recorded badly or well: what is open must be ended
            values = {name: value for name, value in output.items() if value is not None}
            run.span.output(**values)
            if _is_a("GraphInterrupt", error):
                self._pause(run, error)
        if _is_a("GraphBubbleUp", error):  # no failure: an interrupt, or a command to the graph
            error = None
        elif error is not None and run.key is not None:
            self._failed[run.key] = run.span
        self._end(run, error)

    def _end(self, run: Run, error: BaseException | None) -> None:
        """End a run, and what was cancelled below it: when its consumer left it, so were they."""
        above = run.above
        while above is not None and not above.is_ours:
            above = above.above
        if above is not None and isinstance(error, asyncio.CancelledError):
            above.cancelled += [*run.cancelled, (run, error, time.time_ns())]
            return
        if run.is_left(error):
            error = GeneratorExit()
        for below, its_error, moment in run.cancelled:
            below.step.end(error if isinstance(error, GeneratorExit) else its_error, moment)
        run.step.end(error)

    def _hide(self, run_id: Any, above: Run, runnable: Any) -> None:
        """Let a run stand for its parent's; a graph that is a graph's node makes it an agent."""
        hidden = self._runs[run_id] = Run(above.step, above, is_ours=False)
        hidden.key = None
        if is_agent(runnable):
            rename(above.span, above.span.name, "sub_agent")

    def _resume(self, span: Span, thread_id: str, is_answer: bool) -> None:
        """Join a graph that goes on to where it stopped."""
        if is_answer or thread_id in self._pauses:
            self._pauses.resume(span, thread_id)

    def _pause(self, run: Run, error: BaseException | None) -> None:
        """Mark a graph's node and all above it: the graph will return as if it had finished."""
        outermost = run
        while outermost.above is not None:
            outermost = outermost.above
        run.span.pause(_question_of(error))
        thread_id = outermost.span.node_record.metadata.get("thread_id")
        if thread_id is not None:
            self._pauses.pause(outermost.span, thread_id, "a node was interrupted")

    def pause_within(self, interrupt: BaseException) -> None:
        """End the user's own steps between here and the graph's node that is interrupted."""
        spans = {run.span for run in self._runs.values()}
        within = []
        span = current_span()
        while span is not None and span not in spans:
            within.append(span)
            span = parent_of(span)
        for step in within if span is not None else ():
            step.pause(_question_of(interrupt))
            step.end()


def _question_of(interrupt: BaseException | None) -> str:
    """Return what an interrupt asks a person."""
    asked = [read(one, "value") for one in (interrupt and interrupt.args[0]) or ()]
    return "; ".join(map(str, asked)) or "interrupt"


def _is_a(name: str, error: BaseException | None) -> bool:
    return any(base.__name__ == name for base in type(error).__mro__)
