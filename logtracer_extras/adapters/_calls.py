"""Record the calls of a method, whatever it is: function, coroutine or generator of either kind.

`describe` says what a call is, or None when it is not to be recorded; `finish` records what came
of it. While its code runs, and only then, the node is current.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from logtracer import Span, current_span, trace_node

from ._installing import Adapter, Patch, quietly
from ._steps import Step, open_step


@dataclass(slots=True)
class Call:
    """What a call is: the name and the type of its node, and what it was given."""

    name: str
    node_type: str
    given: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def record(self, span: Span) -> None:
        """Record what the call was given."""
        for add, values in ((span.input, self.given), (span.metadata, self.facts)):
            known = {name: value for name, value in values.items() if value is not None}
            if known:
                add(**known)


@dataclass(slots=True)
class Gathered:
    """What a generator yielded: the last item, and the pieces of text among all of them."""

    last: Any
    text: str


Describe = Callable[..., "Call | None"]
Finish = Callable[[Span, Any], "BaseException | None"]


def keep_result(span: Span, value: Any) -> None:
    """Record what a call returned: the simplest `finish`."""
    span.output(result=value)


def keep_nothing(span: Span, value: Any) -> None:
    """Record nothing of what a call returned."""


@dataclass(frozen=True, slots=True)
class _Watched:
    """A method that is recorded."""

    adapter: Adapter
    describe: Describe
    finish: Finish
    patch: Patch
    piece_of: Callable[[Any], str | None] | None = None

    def gather(self, last: Any, pieces: list[str]) -> Any:
        """Return what `finish` takes of a generator."""
        return last if self.piece_of is None else Gathered(last, "".join(pieces))

    def keep_piece(self, pieces: list[str], item: Any) -> None:
        """Keep the piece of text that an item is."""
        with quietly(self.adapter.name):
            piece = None if self.piece_of is None else self.piece_of(item)
            if piece:
                pieces.append(piece)

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        """Return what a call is, None when it is not to be recorded."""
        with quietly(self.adapter.name):
            return self.describe(*args, **kwargs) if self.patch.is_active else None
        return None

    def begin(self, call: Call | None) -> Step | None:
        """Open the node of a call and make it current."""
        step = None
        with quietly(self.adapter.name):
            step = open_step(self.adapter, call.name, call.node_type) if call else None
            if step is not None and call is not None:
                step.span.__enter__()
                call.record(step.span)
        return step  # recorded badly or well: what is open must be ended

    def end(self, step: Step, value: Any) -> None:
        """Record what came of a call, and end its node: failed when `finish` returns an error."""
        error = None
        with quietly(self.adapter.name):
            error = self.finish(step.span, value)
        step.end(error)


def watch_calls(
    adapter: Adapter,
    owner: Any,
    name: str,
    describe: Describe,
    finish: Finish,
    is_lazy: Callable[..., bool] = lambda *args, **kwargs: False,
    piece_of: Callable[[Any], str | None] | None = None,
) -> None:
    """Record the calls of a method until the adapter is uninstalled.

    `is_lazy` tells of a plain function whether this call returns a coroutine or a generator, in
    which the work is done later. With `piece_of`, which returns the text of an item, `finish`
    takes what a generator yielded as `Gathered`, even when its consumer leaves it.
    """

    def make(original: Any, patch: Patch) -> Any:
        watched = _Watched(adapter, describe, finish, patch, piece_of)
        if inspect.iscoroutinefunction(original):
            return _make_coroutine(watched, original)
        if inspect.isasyncgenfunction(original) or inspect.isgeneratorfunction(original):
            return _make_plain(watched, original, lambda *args, **kwargs: True)
        return _make_plain(watched, original, is_lazy)

    adapter.patch(owner, name, make)


def _make_plain(
    watched: _Watched, original: Any, is_lazy: Callable[..., bool]
) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        call = watched.call(args, kwargs)
        if call is None:
            return original(*args, **kwargs)
        if is_lazy(*args, **kwargs):
            return _later(watched, call, original(*args, **kwargs))
        step = watched.begin(call)
        if step is None:
            return original(*args, **kwargs)
        try:
            value = original(*args, **kwargs)
        except BaseException as error:
            step.end(error)
            raise
        watched.end(step, value)
        return value

    return run


def _make_coroutine(watched: _Watched, original: Any) -> Callable[..., Any]:
    async def run(*args: Any, **kwargs: Any) -> Any:
        call = watched.call(args, kwargs)
        return await _awaited(watched, call, original(*args, **kwargs))

    return run


async def _awaited(watched: _Watched, call: Call | None, coroutine: Any) -> Any:
    step = watched.begin(call)
    if step is None:
        return await coroutine
    try:
        value = await coroutine
    except BaseException as error:
        step.end(error)
        raise
    watched.end(step, value)
    return value


def _later(watched: _Watched, call: Call, work: Any) -> Any:
    """Return what does the work, recorded when it is done."""
    if inspect.isasyncgen(work):
        return _async_generated(watched, call, work)
    if inspect.isgenerator(work):
        return _generated(watched, call, work)
    if inspect.isawaitable(work):
        return _awaited(watched, call, work)
    return work


def _generated(watched: _Watched, call: Call, items: Any) -> Iterator[Any]:
    """Yield the items; the decorator makes the node current during each step alone."""

    def steps() -> Iterator[Any]:
        _record_here(watched, call)
        last, pieces = None, list[str]()
        try:
            for last in items:
                watched.keep_piece(pieces, last)
                yield last
        except BaseException:
            _keep_here(watched, last, pieces)
            raise
        finally:
            items.close()
        _finish_here(watched, watched.gather(last, pieces))

    with ExitStack() as stack:
        _open_trace(watched, call, stack)
        yield from trace_node(call.name, call.node_type)(steps)()


async def _async_generated(watched: _Watched, call: Call, items: Any) -> AsyncIterator[Any]:
    """Yield the items; the decorator makes the node current during each step alone."""

    @trace_node(call.name, call.node_type)
    async def steps() -> AsyncIterator[Any]:
        _record_here(watched, call)
        last, pieces = None, list[str]()
        try:
            async for item in items:
                last = item
                watched.keep_piece(pieces, item)
                yield item
        except BaseException:
            _keep_here(watched, last, pieces)
            raise
        finally:
            await items.aclose()
        _finish_here(watched, watched.gather(last, pieces))

    with ExitStack() as stack:
        _open_trace(watched, call, stack)
        recorded: Any = steps()
        try:
            async for item in recorded:
                yield item
        finally:
            await recorded.aclose()


def _open_trace(watched: _Watched, call: Call, stack: ExitStack) -> None:
    with quietly(watched.adapter.name):
        if watched.adapter.opens_traces and current_span() is None:
            stack.enter_context(watched.adapter.open_trace(call.name))


def _record_here(watched: _Watched, call: Call) -> None:
    with quietly(watched.adapter.name):
        span = current_span()
        if span is not None:
            call.record(span)


def _keep_here(watched: _Watched, last: Any, pieces: list[str]) -> None:
    """Keep the text of a generator that is left or fails; how it ended is told by the end."""
    with quietly(watched.adapter.name):
        span = current_span()
        if span is not None and pieces:
            watched.finish(span, watched.gather(last, pieces))


def _finish_here(watched: _Watched, last: Any) -> None:
    with quietly(watched.adapter.name):
        span = current_span()
        error = None if span is None else watched.finish(span, last)
        if span is not None and error is not None:
            span.end(error)


def argument(function: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return an argument of a call by its name, None when it was left out."""
    if name in kwargs:
        return kwargs[name]
    names = _parameters(inspect.unwrap(function))
    position = names.index(name) if name in names else len(args)
    return args[position] if position < len(args) else None


@functools.lru_cache(maxsize=256)
def _parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)
