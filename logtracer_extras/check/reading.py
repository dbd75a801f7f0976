"""A trace as the detectors read it: who called what in which order, and what was said in the end.

Sections, in order: texts, calls, errors that a result tells of, a run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from logtracer import Node, NodeStatus, NodeType, TraceGraph

from ..analysis.tokens import PriceTable
from ..conventions.messages import messages_in
from ..conventions.values import parse_json
from ..diff.values import packed
from ..facts import models_of, usage_of
from .findings import Finding

__all__ = [
    "CALLS",
    "Call",
    "Reading",
    "Scopes",
    "brief",
    "error_in",
    "is_pending",
    "says_failure",
    "strings_in",
    "text_of",
    "tool_calls_in",
]

# ---- Texts -------------------------------------------------------------------------------------

_MOST_TEXT = 20_000  # characters of one value that are read


def brief(text: str, size: int = 120) -> str:
    """Return the beginning of a text on one line."""
    line = " ".join(text[: 4 * size].split())
    return line if len(line) <= size else line[: size - 3] + "..."


def strings_in(data: Any, most: int = 200) -> Iterator[str]:
    """Yield the texts in JSON data, in reading order, without keys."""
    waiting = [data]
    while waiting and most:
        value = waiting.pop()
        if isinstance(value, str):
            most -= 1
            yield value[:_MOST_TEXT]
        elif isinstance(value, dict):
            waiting += list(value.values())[::-1]
        elif isinstance(value, (list, tuple)):
            waiting += list(value)[::-1]


def text_of(node: Node) -> str | None:
    """Return what a model call or a run answered in words; None when it recorded no answer."""
    return "\n".join(strings_in(_said(node.output_data))).strip() if node.output_data else None


_ANSWERS = ("text", "content", "answer", "output_text", "response", "return_value", "output")
_OWN = (None, "assistant", "model", "ai")
_DEEPEST = 3  # levels of outputs within outputs


def _said(data: Any, level: int = 0) -> Any:
    """Return the part of an output that holds what was said: of several messages, the last."""
    if not isinstance(data, dict) or level == _DEEPEST:
        return data
    listed = data.get("messages")
    messages = messages_in(data) or (listed if isinstance(listed, list) else [])
    if messages and all(isinstance(message, dict) for message in messages):
        own = [each for each in messages if each.get("role", each.get("type")) in _OWN]
        return _content((own or messages)[-1])
    known = [_said(data[key], level + 1) for key in _ANSWERS if key in data]
    return known or data


def _content(message: dict[str, Any]) -> Any:
    parts = message.get("content", message.get("parts"))
    if not isinstance(parts, list):
        return parts
    spoken = [part for part in parts if isinstance(part, dict) and "tool" not in _kind(part)]
    return [part.get("text", part.get("content")) for part in spoken] or [
        part for part in parts if isinstance(part, str)
    ]


def _kind(part: dict[str, Any]) -> str:
    return str(part.get("type", ""))


def tool_calls_in(node: Node) -> list[dict[str, Any]]:
    """Return the tool calls that the messages of a model call ask for or hold."""
    messages = [*messages_in(node.input_data), *messages_in(node.output_data)]
    found: list[Any] = []
    for message in [node.output_data, *messages]:
        asked = message.get("tool_calls")
        parts = message.get("content", message.get("parts"))
        found += asked if isinstance(asked, list) else []
        found += [part for part in parts if _is_tool_part(part)] if isinstance(parts, list) else []
    return [call for call in found if isinstance(call, dict)]


_TOOL_PARTS = ("tool_use", "tool_call", "tool-call", "function_call")
_TOOL_KEYS = frozenset({"function_call", "functionCall", "toolUse", "tool_call", "toolCall"})


def _is_tool_part(part: Any) -> bool:
    """Whether a part of a message asks for a tool: its type says so, or its only key."""
    if not isinstance(part, dict):
        return False
    return _kind(part) in _TOOL_PARTS or not _TOOL_KEYS.isdisjoint(part)


# ---- Calls -------------------------------------------------------------------------------------

_AGENTS = (NodeType.SUB_AGENT.value, "agent")
CALLS = (NodeType.TOOL_CALL.value, NodeType.RETRIEVAL.value, *_AGENTS)
# What differs between two calls that are the same: keys whose values no two calls share.
_NOISE_KEYS = frozenset({"id", "call_id", "tool_call_id", "request_id", "run_id", "timestamp"})
# Times and ids, which no two results share. The first character alone decides where to look.
_NOISE = re.compile(
    r"[0-9a-f](?:"
    r"\d{3}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?"  # a moment
    r"|\d:\d\d:\d\d(?:\.\d+)?"
    r"|(?<=\d)\d*(?:\.\d+)? ?(?:ms|µs|us|s|sec|secs|seconds|minutes)\b"  # how long it took
    r"|[0-9a-f]{7}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"
    r"|x[0-9a-f]{6,}\b)"
)
_UNREAD = "\0"


class Call:
    """A call of a tool or a model; what it says is read when it is asked for."""

    __slots__ = ("_error", "_result", "node", "what")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.what = packed([node.name, _without_noise(node.input_data)])
        self._result = self._error = _UNREAD

    @property
    def has_result(self) -> bool:
        """Whether it was recorded what came out, and for an agent, what was asked of it."""
        node = self.node
        if node.node_type in _AGENTS and not node.input_data:
            return False
        return bool(node.output_data) or node.status == NodeStatus.FAILED

    @property
    def result(self) -> str:
        """What came out, without times and ids."""
        if self._result is _UNREAD:
            node = self.node
            if node.status == NodeStatus.FAILED:
                text = f"{node.error_type}: {node.error}"[:_MOST_TEXT]
            else:
                text = _shown(_without_noise(node.output_data))
            self._result = _NOISE.sub("~", text)
        return self._result

    @property
    def error(self) -> str:
        """What went wrong, as its status or its result says; empty when nothing did."""
        if self._error is _UNREAD:
            node = self.node
            is_failed = node.status == NodeStatus.FAILED
            told = f"{node.error_type or 'failed'}: {node.error or ''}"
            self._error = told if is_failed else error_in(node)
        return self._error

    @property
    def found_nothing(self) -> bool:
        """Whether the result holds nothing at all, or says that nothing was found."""
        data = self.node.output_data
        texts = [text for text in strings_in(data, 20) if text.strip()]
        if texts:
            return all(_NOTHING.match(text) for text in texts)
        return bool(data) and not any(_numbers(data))

    @property
    def is_pending(self) -> bool:
        """Whether the result says that something else is not ready yet."""
        return is_pending(" ".join(strings_in(self.node.output_data, 20)))

    @property
    def command(self) -> str:
        """The command line it was given, if it is a shell or the like."""
        given = self.node.input_data
        for key in _COMMANDS:
            if key in given:
                command = given[key]
                return command if isinstance(command, str) else " ".join(strings_in(command))
        return ""

    @property
    def tool(self) -> str:
        """The tool's name, and of a shell the program too."""
        program = self.command.split(maxsplit=1)[:1]
        return " ".join([self.node.name, *program])


_NOTHING = re.compile(
    r"\s*(?:\[\]|\{\}|none|null|0|no \w+(?: \w+)?(?: found)?\.?|not found\.?)\s*$", re.I
)


def _numbers(data: Any) -> Iterator[Any]:
    """Yield the plain values in JSON data that are no texts."""
    waiting = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, (dict, list)):
            waiting += value.values() if isinstance(value, dict) else value
        elif not isinstance(value, str):
            yield value


_COMMANDS = ("command", "cmd", "script")


def _without_noise(data: dict[str, Any]) -> dict[str, Any]:
    if _NOISE_KEYS.isdisjoint(data):
        return data
    return {key: value for key, value in data.items() if key not in _NOISE_KEYS}


def _shown(value: Any) -> str:
    try:
        return repr(value)[:_MOST_TEXT]
    except (RecursionError, ValueError):  # too deep, or an integer of too many digits
        return packed(value).hex()


_PENDING = re.compile(
    r"\b(?:pending|queued|in[ _-]progress|still running|running|processing|waiting|not ready"
    r"|not yet|starting|scheduled)\b",
    re.IGNORECASE,
)


def is_pending(text: str) -> bool:
    """Whether a short text says that something is not ready yet."""
    return len(text) <= 300 and _PENDING.search(text) is not None


# ---- Errors that a result tells of -------------------------------------------------------------

_EXIT_CODES = ("exit_code", "exitCode", "exit_status", "returncode", "return_code")
_FLAGS = {"is_error": True, "isError": True, "success": False, "ok": False}
_HTTP = ("status_code", "statusCode", "http_status", "status")
_FAILURE_WORDS = ("error", "failed", "failure")
_ERRORS = ("error", "errors", "exception")
_INNER = ("return_value", "result", "content", "output", "response", "data", "structured_content")
_ERROR_TEXT = re.compile(
    r"\s*(?:(?:fatal )?error|exception|fatal|failure|failed)\s*:"
    r"|\s*traceback \(most recent call last\):"
    r"|\s*[a-z_.]*(?:error|exception): \S"
    r"|\s*http(?: error)? [45]\d\d\b"
    r"|\s*command (?:failed|not found)\b|\s*\S{1,40}: command not found",
    re.IGNORECASE,
)
_EXIT_TEXT = re.compile(  # as shells of agents write it
    r"^(?:process |command )?exit(?:ed)?(?: with)? (?:code|status):? (\d{1,3})\b", re.I | re.M
)
# Programs whose exit code of 1 is an answer: nothing found, or not the same.
_ONE_IS_NO = frozenset({"grep", "egrep", "rg", "ag", "diff", "cmp", "test", "[", "which", "pgrep"})


def error_in(node: Node) -> str:
    """Return what an output says went wrong, empty when it says nothing of that.

    An exit code, a flag, a status of HTTP, an `error` that holds something; else a text that
    begins with one of a few words: Error:, Traceback, ValueError: ... What tells that it went well
    (exit code 0, `ok`) is believed, whatever its text says.
    """
    output = node.output_data
    inner = [parse_json(output[key]) for key in _INNER if key in output]
    for level in [output, *(value for value in inner if isinstance(value, dict))]:
        told = _told(level, node)
        if told is not None:
            return told
    for text in _first_texts(output):
        code = _EXIT_TEXT.search(text[:300])
        if code is not None:
            is_answer = code[1] == "1" and _program(node) in _ONE_IS_NO
            return "" if int(code[1]) == 0 or is_answer else brief(text)
        if _ERROR_TEXT.match(text):
            return brief(text)
    return ""


def _told(level: dict[str, Any], node: Node) -> str | None:
    """Return what fields say: an error, that there is none (empty), or nothing (None)."""
    for key in _EXIT_CODES:
        if type(level.get(key)) is int:
            is_answer = level[key] == 1 and _program(node) in _ONE_IS_NO
            return "" if level[key] == 0 or is_answer else f"{key} {level[key]}"
    for key, is_bad in _FLAGS.items():
        if type(level.get(key)) is bool:
            return brief(f"{key} {level[key]}: {_first(level)}") if level[key] is is_bad else ""
    for key in _HTTP:
        if type(level.get(key)) is int and 200 <= level[key] < 600:
            return f"{key} {level[key]}" if level[key] >= 400 else ""
        if isinstance(level.get(key), str) and level[key].lower() in _FAILURE_WORDS:
            return brief(f"{key} {level[key]}: {_first(level)}")
    for key in _ERRORS:
        if level.get(key) and isinstance(level[key], (str, dict, list)):
            return brief(f"{key}: {level[key]}")
    return None


def _first(level: dict[str, Any]) -> str:
    return next((text for text in strings_in(level, 5) if text), "")


def _program(node: Node) -> str:
    return (Call(node).command.split(maxsplit=1) or [""])[0].rpartition("/")[2]


def _first_texts(output: dict[str, Any]) -> Iterator[str]:
    """Yield the texts that stand at the top of an output, or in its list of contents."""
    for value in output.values():
        if isinstance(value, str):
            yield value[:500]
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield str(value[0].get("text", ""))[:500]


_FAILURE = re.compile(
    r"\b(?:fail(?:ed|s|ing|ure)?|errors?|could ?n[o']t|couldn't|can ?not|can't|unable|did not"
    r"|didn't|not (?:found|available|possible|work\w*|able)|no (?:such|results?)|problem"
    r"|unfortunately|broken|timed out|denied|skipped|without success)\b",
    re.IGNORECASE,
)
_NO_FAILURE = re.compile(
    r"\b(?:no|0|zero|without(?: any)?|free of) (?:errors?|failures?|problems?|failed|failing)\b",
    re.IGNORECASE,
)


def says_failure(text: str) -> bool:
    """Whether an answer owns up to something that did not work."""
    return _FAILURE.search(_NO_FAILURE.sub("", text)) is not None


# ---- A run -------------------------------------------------------------------------------------


class Scopes:
    """Tell calls apart by who made them: an agent, in one lane; or the call they happen in."""

    def __init__(self) -> None:
        self._inner: dict[str | None, object] = {None: ""}
        self._lanes: dict[str | None, object] = {None: None}

    def of(self, node: Node) -> object:
        """Return the scope of a node; its parent must have been asked about before."""
        above = node.parent_id if node.parent_id in self._inner else None
        lane = (
            node.metadata.get("lane", self._lanes[above]) if node.metadata else (self._lanes[above])
        )
        scope = self._inner[above]
        if lane != self._lanes[above]:
            scope = (scope, str(lane))
        self._lanes[node.id] = lane
        self._inner[node.id] = node.id if node.node_type in CALLS else scope
        return scope


def _parents_first(trace: TraceGraph) -> Iterable[Node]:
    """Return the nodes in the order they started; of a trace out of order, as a tree."""
    seen: set[str | None] = {None}
    for node in trace.nodes.values():
        if node.parent_id not in seen and node.parent_id in trace.nodes:
            return [node for _, node in trace.walk()]
        seen.add(node.id)
    return trace.nodes.values()


@dataclass
class Reading:
    """A run, read once for all detectors."""

    trace: TraceGraph
    prices: PriceTable | None = None
    calls: dict[object, list[Call]] = field(default_factory=dict)
    models: dict[object, list[Call]] = field(default_factory=dict)
    scope_of: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        scopes = Scopes()
        for node in _parents_first(self.trace):
            scope = scopes.of(node)
            if node.node_type in CALLS:
                self.calls.setdefault(scope, []).append(Call(node))
                self.scope_of[node.id] = scope
            elif node.node_type == NodeType.LLM_CALL:
                self.models.setdefault(scope, []).append(Call(node))
                self.scope_of[node.id] = scope

    @cached_property
    def order(self) -> dict[str, int]:
        """The place of each node among all, in the order they started."""
        return {node_id: place for place, node_id in enumerate(self.trace.nodes)}

    @cached_property
    def looks_successful(self) -> bool:
        """Whether the run itself says that it completed."""
        tops = self.trace.root_nodes
        return all(node.status == NodeStatus.COMPLETED for node in tops)

    @cached_property
    def answer(self) -> tuple[str, Node | None]:
        """What the run said in the end, and the node that said it."""
        for node in self.trace.root_nodes:
            text = text_of(node)
            if text:
                return text, node
        last = [calls[-1].node for calls in self.models.values()]
        ordered = sorted(last, key=lambda node: self.order[node.id])
        for node in reversed(ordered):
            text = text_of(node)
            if text:
                return text, node
        return "", None

    def every_call(self) -> Iterator[Call]:
        """Yield all calls of tools, one agent after the other."""
        for calls in self.calls.values():
            yield from calls

    def finding(
        self, kind: str, nodes: Iterable[Node], message: str, evidence: str = "", *, spent: bool
    ) -> Finding:
        """Make a finding; with `spent`, what the nodes used was spent to no end."""
        nodes = list(nodes)
        tokens, cost = self._spent(nodes) if spent else (0, None)
        ids = tuple(node.id for node in nodes)
        return Finding(kind, ids, message, brief(evidence), tokens, cost)

    def between(self, first: Node, last: Node) -> list[Node]:
        """Return the model calls that the same agent made from one call to another."""
        start, end = self.order[first.id], self.order[last.id]
        calls = self.models.get(self.scope_of[first.id], ())
        return [call.node for call in calls if start < self.order[call.node.id] <= end]

    def _spent(self, nodes: list[Node]) -> tuple[int, float | None]:
        used = [(usage_of(node), models_of(node)) for node in nodes]
        tokens = sum(usage.tokens for usage, _ in used if usage is not None)
        if self.prices is None:
            return tokens, None
        costs = [self.prices.cost(usage, models) for usage, models in used if usage is not None]
        return tokens, sum(cost for cost in costs if cost is not None)


Detector = Callable[[Reading], Iterator[Finding]]
