"""Run an agent again without a model: what its recorded run was answered, it is answered now.

    with replaying(load_trace("traces/7f3a9c21.json")):
        run_agent("weather in Paris")  # no network: calls are answered from the trace

The model calls of the OpenAI and Anthropic SDKs are answered, streams too, and functions that ask
for it (`@replayable`). A call that nobody recorded fails, and says which recording comes nearest
and what differs. Sections, in order: errors, recordings, functions, the block, programs.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import difflib
import functools
import inspect
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from logtracer import (
    LogtracerError,
    Node,
    NodeStatus,
    NodeType,
    TraceGraph,
    Tracer,
    TracerConfig,
    current_span,
    load_trace,
)

from ..diff import compare_values
from ..diff.values import Lens, packed
from ._http import without_network
from .golden import field_text

__all__ = [
    "ENVIRONMENT",
    "Replay",
    "ReplayError",
    "ReplayedFailure",
    "replay_from_environment",
    "replayable",
    "replaying",
]

P = ParamSpec("P")
R = TypeVar("R")

# ---- Errors ------------------------------------------------------------------------------------


class ReplayError(LogtracerError, LookupError):
    """A call has no recorded answer; the message names the nearest one and what differs."""


class ReplayedFailure(LogtracerError, RuntimeError):
    """A recorded call failed with an error whose class is not one of Python's own."""


# ---- Recordings --------------------------------------------------------------------------------

_DIFFERENCES = 3  # shown of a call and the nearest recording
_NAMES = 8


class Replay:
    """The recorded calls of a run, each of which answers once, in the order they were made."""

    def __init__(
        self,
        trace: TraceGraph,
        *,
        ignore: Iterable[str] = (),
        mask: Iterable[str] = (),
        passthrough: Iterable[str] = (),
    ) -> None:
        self.problems: list[str] = []  # calls that had no answer, whoever caught their error
        self.passthrough = frozenset(passthrough)
        self._lens = Lens(ignore, mask)
        self._lock = threading.Lock()
        self._left: dict[str, list[Node]] = {}  # by what was called
        self._taken: dict[str, list[Node]] = {}
        for node in trace.nodes.values():
            for name in _names_of(node):
                self._left.setdefault(name, []).append(node)

    @property
    def unused(self) -> list[Node]:
        """The recorded model calls that nobody made again."""
        left = {node.id: node for nodes in self._left.values() for node in nodes}
        return [node for node in left.values() if node.node_type == NodeType.LLM_CALL]

    def knows(self, name: str) -> bool:
        """Whether calls of a name were recorded."""
        return name in self._left

    def take(self, name: str, given: dict[str, Any]) -> Node:
        """Return the recording of a call, and use it up; ReplayError when there is none."""
        given = _recorded_form(given)
        wanted = self._key(given)
        with self._lock:
            left = self._left.get(name, [])
            for node in left:
                known = self._input(node, given)
                if not known or self._key(known) == wanted:
                    self._use_up(node)
                    return node
            raise self._missed(name, given, wanted)

    def _use_up(self, node: Node) -> None:
        for name in _names_of(node):
            self._left[name].remove(node)
            self._taken.setdefault(name, []).append(node)

    def problem(self, text: str) -> ReplayError:
        """Remember that a call had no answer, and return the error to raise."""
        self.problems.append(text)
        return ReplayError(text)

    def _input(self, node: Node, given: dict[str, Any]) -> dict[str, Any]:
        """Return what of a recorded input the call could repeat: of a model, its messages."""
        if node.node_type == NodeType.LLM_CALL and set(given) == {"messages"}:
            return {"messages": node.input_data.get("messages")}
        return node.input_data

    def _key(self, given: dict[str, Any]) -> bytes:
        return packed(_sorted(self._seen(given)))

    def _seen(self, given: dict[str, Any]) -> Any:
        return self._lens.facts(Node("", 0, "", input_data=given)).get("input")

    def _missed(self, name: str, given: dict[str, Any], wanted: bytes) -> ReplayError:
        taken = self._taken.get(name, [])
        if any(self._key(self._input(node, given)) == wanted for node in taken):
            return self.problem(f"{name} was called more often than recorded ({len(taken)} times)")
        known = [*self._left.get(name, ()), *taken]
        if not known:
            names = sorted({*self._left, *self._taken})
            like = difflib.get_close_matches(name, names, _NAMES) or names[:_NAMES]
            text = f"{name} was never called; recorded: {', '.join(like) or 'nothing'}"
            return self.problem(text)
        changes = [
            compare_values(self._seen(self._input(node, given)), self._seen(given), "input")
            for node in known
        ]
        nearest = min(range(len(known)), key=lambda place: len(changes[place]))
        texts = [field_text(change) for change in changes[nearest]]
        more = f"\n  ... and {len(texts) - _DIFFERENCES} more" * (len(texts) > _DIFFERENCES)
        differing = "\n  ".join(texts[:_DIFFERENCES])
        head = f"{name} was never called so; nearest is node {known[nearest].id}, which differs in"
        return self.problem(f"{head}\n  {differing}{more}")


def _names_of(node: Node) -> list[str]:
    """Return what a recorded call is found by: its name, and of a model call the model."""
    model = node.metadata.get("gen_ai.request.model")
    is_model = node.node_type == NodeType.LLM_CALL and isinstance(model, str)
    return [node.name, f"model {model}"] if is_model else [node.name]


_plain_tracer = Tracer(TracerConfig(capture_level="full", sample_rate=1.0, enabled=True))


def _recorded_form(given: dict[str, Any]) -> dict[str, Any]:
    """Return arguments as a tracer would have recorded them."""
    with _plain_tracer.trace("arguments") as root:
        root.input(**{str(name): value for name, value in given.items()})
        return root.node_record.input_data


def _sorted(value: Any) -> Any:
    """Put the keys of nested objects in order: two that are equal give the same bytes."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value, key=str)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


# ---- Functions ---------------------------------------------------------------------------------

_active: list[Replay] = []


def replayable(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function be answered from a trace within `replaying`; otherwise it is called.

    Put it below `@trace_node(capture_args=True, capture_return=True)`: the new run then has the
    node as well. Results come back as they were recorded, as JSON data.
    """
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{function.__name__} is a generator; its items were not recorded one by one"
        )
    signature = inspect.signature(function)

    original: Any = function

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> Any:
        return _answer(function, signature, args, kwargs) if _active else original(*args, **kwargs)

    @functools.wraps(function)
    async def run_later(*args: P.args, **kwargs: P.kwargs) -> Any:
        if _active:
            return _answer(function, signature, args, kwargs)
        return await original(*args, **kwargs)

    return cast("Callable[P, R]", run_later if inspect.iscoroutinefunction(function) else run)


def _answer(function: Any, signature: inspect.Signature, args: Any, kwargs: Any) -> Any:
    replay, span = _active[-1], current_span()
    name = function.__name__
    if not replay.knows(name) and span is not None and replay.knows(span.name):
        name = span.name  # what @trace_node(name=...) above it calls it
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    given = {key: value for key, value in bound.arguments.items() if key not in ("self", "cls")}
    node = replay.take(name, given)
    if node.status == NodeStatus.FAILED:
        raise _error_of(node)
    if not node.output_data:
        raise replay.problem(f"{name}: its result was not recorded; use capture_return=True")
    lost = next((text for text in _texts(node.output_data) if _is_lost(text)), None)
    if lost is not None:
        raise replay.problem(f"{name}: its result was not recorded whole: {lost[:60]!r}")
    only_value = node.output_data.keys() == {"return_value"}
    return node.output_data["return_value"] if only_value else dict(node.output_data)


def _error_of(node: Node) -> Exception:
    """Return the error of a recorded call, as the class it was, if Python has it."""
    kind = getattr(builtins, (node.error_type or "").rpartition(".")[2], None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        with contextlib.suppress(TypeError):  # some classes need more than a message
            return kind(node.error or "")
    return ReplayedFailure(f"{node.error_type}: {node.error}")


def _texts(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, (dict, list)):
            waiting += item.values() if isinstance(item, dict) else item


def _is_lost(text: str) -> bool:
    return text.startswith("[NON-SERIALIZABLE") or "[TRUNCATED: original_size=" in text


# ---- The block ---------------------------------------------------------------------------------


@contextlib.contextmanager
def replaying(
    trace: TraceGraph,
    *,
    ignore: Iterable[str] = (),
    mask: Iterable[str] = (),
    passthrough: Iterable[str] = (),
) -> Iterator[Replay]:
    """Answer calls from a trace while the block runs; nothing reaches the network.

    `ignore` and `mask` say what of an input does not count, as for `diff`: `input.request_id`,
    a date in a prompt. `passthrough` names hosts that may be reached all the same. A call without
    a recording raises ReplayError, and once more when the block ends: an agent may have caught it.
    """
    replay = Replay(trace, ignore=ignore, mask=mask, passthrough=passthrough)
    _active.append(replay)
    try:
        with without_network(replay):
            yield replay
    finally:
        _active.remove(replay)
    if replay.problems:
        raise ReplayError("; ".join(dict.fromkeys(replay.problems)))


# ---- A program that knows nothing of it --------------------------------------------------------

ENVIRONMENT = "LOGTRACER_REPLAY"
"""The variable that names the folder of `logtracer replay`: settings, and what had no answer."""


def replay_from_environment() -> None:
    """Answer calls from a trace until the program ends; `logtracer replay` starts it so."""
    directory = Path(os.environ[ENVIRONMENT])
    settings = json.loads((directory / "settings.json").read_text(encoding="utf-8"))
    context = replaying(load_trace(directory / "trace.json"), **settings)
    replay = context.__enter__()

    @atexit.register
    def end() -> None:
        with contextlib.suppress(ReplayError):  # the command says what it would
            context.__exit__(None, None, None)
        text = "\n".join(dict.fromkeys(replay.problems))
        if text:
            path = directory / f"problems-{os.getpid()}.txt"
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
