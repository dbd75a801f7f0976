"""Random programs of spans, generators, tasks, closes and cancels, with an explicit-parent oracle.

A program is a list of steps. While it runs, every node is opened below whatever the tracer says is
current, and the interpreter notes which parent the program's own nesting means it to have.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Coroutine, Generator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies

from logtracer import Span, Tracer, current_span, trace_node
from stress.reading import only_trace, parents

Program = list[tuple[Any, ...]]
SLOTS = 2  # generators, and tasks, that an actor holds at a time


LEAVES = ["step", "call", "wait", "wait", "next", "next", "close", "drop", "cancel", "join"]
NUMBERED = {"next", "close", "drop", "cancel", "join"}
BLOCKS = ["span", "fail", "task", "task", "trace"]
GENERATORS = ["generator", "plain generator", "plain generator", "async generator"]


@strategies.composite
def programs(draw: strategies.DrawFn, levels: int = 3) -> Program:
    """Return a strategy for programs."""
    steps: Program = []
    kinds = LEAVES if levels == 0 else [*LEAVES, *BLOCKS, *GENERATORS]
    for kind in draw(strategies.lists(strategies.sampled_from(kinds), min_size=1, max_size=7)):
        slot = draw(strategies.integers(0, SLOTS - 1))
        if kind in BLOCKS:
            steps.append((kind, draw(programs(levels - 1))))
        elif kind in GENERATORS:  # one that is suspended somewhere is what matters
            body = [*draw(programs(levels - 1)), ("wait",), *draw(programs(0))]
            steps += [(kind, slot, body), ("next", slot), ("step",)]
        else:
            steps.append((kind, slot) if kind in NUMBERED else (kind,))
    return steps


@dataclass
class Actor:
    """A task, or the body of a generator: its innermost node, and what it holds by number."""

    parent: str
    generators: dict[int, Any] = field(default_factory=dict)
    tasks: dict[int, asyncio.Task[None]] = field(default_factory=dict)

    def inside(self, name: str) -> Actor:
        """Return the same actor within a span."""
        return Actor(name, self.generators, self.tasks)


class Interpreter:
    """Runs a program and notes the parent that each node is meant to have."""

    def __init__(self, program: Program, outer: Interpreter | None = None) -> None:
        self.tracer = Tracer()
        self._program = program
        self._expected: dict[str, str | None] = {"run": None}
        self._ended: set[str] = set()
        self._names = map(str, itertools.count())
        self._unstarted: dict[Any, str] = {}  # decorated generators, and the names of their nodes
        self._tasks: list[asyncio.Task[None]] = []
        # A task that starts while an undecorated generator is suspended inherits its span: the
        # tracer cannot tell who started the task. Programs have the one or the other.
        self._has_tasks: bool = outer._has_tasks if outer else "'task'" in repr(program)

    async def run(self) -> None:
        """Run the program in a trace and compare the record with the notes."""
        outer = current_span()
        try:
            async with self.tracer.trace("run") as root:
                try:
                    await self._body(self._program, Actor("run"))
                    assert current_span() is root
                finally:
                    await self._settle()
        finally:
            assert current_span() is outer or (outer and outer.node_record.end_time)
        assert self.tracer.stats()["errors"] == 0
        assert parents(only_trace(self.tracer)) == self._expected

    async def _settle(self) -> None:
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if not isinstance(result, (type(None), asyncio.CancelledError)):
                raise result

    def _note(self, name: str, actor: Actor) -> str:
        """Note that a node is meant to be below the actor's nearest node that has not ended."""
        parent = actor.parent
        while parent in self._ended:
            parent = str(self._expected[parent])
        self._expected[name] = parent
        return parent

    def _open(self, actor: Actor) -> tuple[str, Span]:
        """Make a span below the current one."""
        name, current = next(self._names), current_span()
        parent = self._note(name, actor)
        assert current is not None and current.name == parent
        return name, current.node(name)

    async def _body(self, program: Program, actor: Actor) -> None:
        for step, *arguments in program:
            method = getattr(self, f"_{step.replace(' ', '_')}")
            result = method(actor, *arguments)
            if result is not None:
                await result

    def _plain_body(self, program: Program, actor: Actor) -> Generator[None, None, None]:
        """Run what of a program needs no event loop, and yield where it would wait."""
        for step, *arguments in program:
            if step == "wait":
                yield
            elif step == "span":
                name, span = self._open(actor)
                with span:
                    yield from self._plain_body(arguments[0], actor.inside(name))
                self._ended.add(name)
            elif step in ("step", "call", "generator", "plain generator", "next", "close", "drop"):
                getattr(self, f"_{step.replace(' ', '_')}")(actor, *arguments)

    # The steps of a program: coroutine functions where they wait.

    def _step(self, actor: Actor) -> None:
        name, span = self._open(actor)
        with span:
            pass
        self._ended.add(name)

    def _call(self, actor: Actor) -> None:
        name = next(self._names)
        self._note(name, actor)
        trace_node(name)(lambda: None)()
        self._ended.add(name)

    async def _wait(self, actor: Actor) -> None:
        await asyncio.sleep(0)

    async def _span(self, actor: Actor, body: Program) -> None:
        name, span = self._open(actor)
        try:
            async with span:
                await self._body(body, actor.inside(name))
        finally:
            self._ended.add(name)

    async def _fail(self, actor: Actor, body: Program) -> None:
        with contextlib.suppress(LookupError):
            await self._span(actor, [*body, ("raise",)])

    def _raise(self, actor: Actor) -> None:
        raise LookupError

    async def _trace(self, actor: Actor, body: Program) -> None:
        await Interpreter(body, self).run()

    async def _task(self, actor: Actor, body: Program) -> None:
        task = asyncio.create_task(self._body(body, Actor(actor.parent)))
        actor.tasks[len(actor.tasks) % SLOTS] = task
        self._tasks.append(task)

    async def _join(self, actor: Actor, slot: int) -> None:
        if slot in actor.tasks:
            await asyncio.wait([actor.tasks[slot]])

    def _cancel(self, actor: Actor, slot: int) -> None:
        if slot in actor.tasks:
            actor.tasks[slot].cancel()

    def _generator(self, actor: Actor, slot: int, body: Program) -> None:
        name = next(self._names)

        @trace_node(name)
        def generate() -> Generator[None, None, None]:
            try:
                yield from self._plain_body(body, Actor(name))
            finally:
                self._ended.add(name)

        actor.generators[slot] = generator = generate()
        self._unstarted[generator] = name

    def _plain_generator(self, actor: Actor, slot: int, body: Program) -> None:
        if self._has_tasks:
            return self._generator(actor, slot, body)
        started: list[Actor] = []
        actor.generators[slot] = self._plain(body, started), started
        return None

    def _plain(self, body: Program, started: list[Actor]) -> Generator[None, None, None]:
        name, span = self._open(started[0])
        try:
            with span:
                yield from self._plain_body(body, Actor(name))
        finally:
            self._ended.add(name)

    def _async_generator(self, actor: Actor, slot: int, body: Program) -> None:
        name = next(self._names)

        @trace_node(name)
        async def generate() -> AsyncGenerator[None, None]:
            inside = Actor(name)
            try:
                for step in body:
                    if step[0] == "wait":
                        yield
                    await self._body([step], inside)
            finally:
                self._ended.add(name)

        actor.generators[slot] = generator = generate()
        self._unstarted[generator] = name

    def _next(self, actor: Actor, slot: int) -> Coroutine[Any, Any, None] | None:
        generator = actor.generators.get(slot)
        if isinstance(generator, tuple):  # undecorated: it is told who steps it first
            generator, started = generator
            started.append(actor)
            if started[0].parent != actor.parent:
                return None  # its own steps would be below the consumer's newer span
        if generator in self._unstarted:
            self._note(self._unstarted.pop(generator), actor)
        if isinstance(generator, AsyncGenerator):
            return exhaust_step(generator)
        if generator is not None:
            next(generator, None)
        return None

    def _close(self, actor: Actor, slot: int) -> Coroutine[Any, Any, None] | None:
        generator = actor.generators.pop(slot, None)
        if isinstance(generator, tuple):
            generator = generator[0]
        self._unstarted.pop(generator, None)
        if isinstance(generator, AsyncGenerator):
            return in_another_task(generator.aclose())
        if generator is not None:
            generator.close()
        return None

    def _drop(self, actor: Actor, slot: int) -> None:
        generator = actor.generators.pop(slot, None)
        if not isinstance(generator, tuple):
            self._unstarted.pop(generator, None)


async def exhaust_step(generator: AsyncGenerator[None, None]) -> None:
    """Step an async generator, which may have ended."""
    with contextlib.suppress(StopAsyncIteration):
        await generator.__anext__()


async def in_another_task(work: Coroutine[Any, Any, None]) -> None:
    """Run what must not matter where it runs."""
    await asyncio.create_task(work)
