"""Find steps of a run: the filter language of `logtracer search`, `inspect --filter`, the viewer.

    from logtracer import load_trace
    from logtracer_extras.query import parse

    query = parse("type:llm dur>2s -lane:critic")
    for match in query.search(load_trace("traces/7f3a9c21.json")):
        print(match.step.node.name, match.found)

The grammar (docs/query.md explains it; tests/data/query_vectors.json holds what it means, for this
parser and the one in the viewer):

    query  := and ("OR" and)*
    and    := not ("AND"? not)*
    not    := "-"? term
    term   := "(" query ")" | field operator value | word | "quoted text" | /regex/i

Sections, in order: errors and results, what a step says, conditions, regular expressions, numbers,
the parser.
"""

from __future__ import annotations

import difflib
import itertools
import operator
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Protocol

from logtracer import EdgeType, LogtracerError, Node, NodeStatus, TraceGraph

from .analysis import measure
from .analysis.run import Run, Step
from .analysis.tokens import PriceTable, models_of
from .facts import error_text

__all__ = ["MISSING", "Found", "Match", "Query", "QueryError", "parse", "value_at"]

# ---- Errors and results ------------------------------------------------------------------------


class QueryError(LogtracerError, ValueError):
    """A query cannot be understood; says where (`position`, counted from 1) and what to do."""

    def __init__(self, problem: str, position: int, hint: str = "") -> None:
        super().__init__(f"{problem} at {position}" + (f" ({hint})" if hint else ""))
        self.position = position


@dataclass(slots=True)
class Found:
    """A text that matched: where it stands, the whole of it, and which part of it."""

    where: str  # "name", "error", "output.results[0].title", ...
    text: str
    start: int
    end: int


@dataclass(slots=True)
class Match:
    """A step that matches, with the texts that made it match."""

    step: Step
    found: list[Found]


@dataclass(slots=True)
class Query:
    """A parsed query; made by `parse`."""

    text: str
    fields: frozenset[str]  # it asks about; one that asks about "cost" needs prices
    condition: _Condition

    def search(self, trace: TraceGraph, prices: PriceTable | None = None) -> list[Match]:
        """Return the steps that match, in the order they started."""
        return self.search_run(measure(trace, prices))

    def search_run(self, run: Run) -> list[Match]:
        """Return the steps of a measured run that match, in the order they started."""
        facts = _Facts(run)
        results = ((step, self.condition.find(step, facts)) for step in run.by_id.values())
        return [Match(step, found) for step, found in results if found is not None]

    def predicate(self, run: Run) -> Callable[[Node], bool]:
        """Return a function that tells whether a node of this run matches."""
        facts = _Facts(run)
        return lambda node: self.condition.find(run.by_id[node.id], facts) is not None


class _Condition(Protocol):
    def find(self, step: Step, facts: _Facts) -> list[Found] | None:
        """Return what in the step meets the condition, None when nothing does."""


# ---- What a step says --------------------------------------------------------------------------

# A field, or where in its JSON data: the outer place, and a key or an index. Writing out where
# every text stands would take most of the time of a search; only what is found is shown.
_Place = str | tuple[Any, str | int]
_Texts = Iterable[tuple[_Place, str]]  # where a text stands, and the text


class _Facts:
    """What conditions ask about a run as a whole; worked out when first asked for."""

    def __init__(self, run: Run) -> None:
        self.run = run

    @cached_property
    def kinds(self) -> dict[str, set[str]]:
        """The edge types that lead to a node: why it ran."""
        kinds: dict[str, set[str]] = {}
        for edge in self.run.edges:
            kinds.setdefault(edge.target_id, set()).add(str(edge.edge_type))
        return kinds

    @cached_property
    def links(self) -> dict[str, set[str]]:
        """The edge types at either end of a node."""
        links = {node_id: set(kinds) for node_id, kinds in self.kinds.items()}
        for edge in self.run.edges:
            links.setdefault(edge.source_id, set()).add(str(edge.edge_type))
        return links


def _short_texts(step: Step, facts: _Facts) -> _Texts:
    """Yield the texts that tell most of a step."""
    node = step.node
    yield "name", node.name
    yield "type", node.node_type
    yield "lane", facts.run.lanes[node.id]
    for model in models_of(node):
        yield "model", model
    if error_text(node):
        yield "error", error_text(node)


def _details(step: Step, facts: _Facts) -> _Texts:
    """Yield all its other texts."""
    node = step.node
    yield from _leaves("annotation", node.annotations)
    yield from _leaves("input", node.input_data)
    yield from _leaves("output", node.output_data)
    yield from _leaves("attr", node.metadata)
    if node.error_traceback:
        yield "traceback", node.error_traceback


def _everything(step: Step, facts: _Facts) -> _Texts:
    return itertools.chain(_short_texts(step, facts), _details(step, facts))


def _leaves(where: str, data: object) -> _Texts:
    """Yield each key and each plain value of JSON data, in reading order."""
    waiting: list[tuple[_Place, object]] = [(where, data)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(place, tuple) and isinstance(place[1], str):
            yield place, place[1]
        if isinstance(value, str):
            yield place, value
        elif isinstance(value, dict):
            waiting += [((place, str(key)), item) for key, item in value.items()][::-1]
        elif isinstance(value, (list, tuple)):
            waiting += [((place, number), item) for number, item in enumerate(value)][::-1]
        else:
            yield place, _leaf_text(value)


def _written(place: _Place) -> str:
    """Return a place as people write it: output.results[0].title."""
    parts: list[str] = []
    while not isinstance(place, str):
        place, key = place
        parts.append(f".{key}" if isinstance(key, str) else f"[{key}]")
    return place + "".join(reversed(parts))


def _leaf_text(value: object) -> str:
    """Return a plain JSON value as a reader of any language would write it: 1.0 is 1."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    try:
        return repr(value)
    except ValueError:  # an integer of more digits than Python writes
        return ""


MISSING: Any = object()
"""What `value_at` returns where nothing lies (None is a value)."""


def value_at(data: dict[str, Any], path: str) -> Any:
    """Return what lies at a dotted path; keys may hold dots themselves, the longest wins."""
    value: Any = data
    parts = path.split(".")
    while parts:
        taken = 1
        if isinstance(value, dict):
            sizes = range(len(parts), 0, -1)
            taken = next((size for size in sizes if ".".join(parts[:size]) in value), 0)
            value = value[".".join(parts[:taken])] if taken else MISSING
        elif isinstance(value, list) and _INDEX.fullmatch(parts[0]) and int(parts[0]) < len(value):
            value = value[int(parts[0])]
        else:
            return MISSING
        parts = parts[taken or len(parts) :]
    return value


def _attribute_texts(path: str, step: Step, facts: _Facts) -> _Texts:
    value = value_at(step.node.metadata, path)
    return () if value is MISSING else _leaves(f"attr.{path}", value)


_INDEX = re.compile(r"[0-9]{1,9}")

_TEXT_FIELDS: dict[str, Callable[[Step, _Facts], _Texts]] = {
    "name": lambda step, facts: [("name", step.node.name)],
    "lane": lambda step, facts: [("lane", facts.run.lanes[step.node.id])],
    "model": lambda step, facts: [("model", model) for model in models_of(step.node)],
    "error": lambda step, facts: [("error", text) for text in [error_text(step.node)] if text],
    "parent": lambda step, facts: [("parent", step.parent.node.name)] if step.parent else [],
    "input": lambda step, facts: _leaves("input", step.node.input_data),
    "output": lambda step, facts: _leaves("output", step.node.output_data),
}

_WORD_FIELDS: dict[str, Callable[[Step, _Facts], Iterable[str]]] = {
    "type": lambda step, facts: [step.node.node_type],
    "status": lambda step, facts: [str(step.node.status)],
    "id": lambda step, facts: [step.node.id],
    "kind": lambda step, facts: facts.kinds.get(step.node.id, ()),
}


def _tokens(part: str) -> Callable[[Step, _Facts], float | None]:
    return lambda step, facts: None if step.total is None else getattr(step.total, part)


_NUMBER_FIELDS: dict[str, Callable[[Step, _Facts], float | None]] = {
    "depth": lambda step, facts: step.level,
    "dur": lambda step, facts: step.duration,
    "self": lambda step, facts: step.self_time,
    "start": lambda step, facts: step.start,
    "tokens": _tokens("tokens"),
    "in": _tokens("input"),
    "out": _tokens("output"),
    "cost": lambda step, facts: step.total_cost,
    "attempt": lambda step, facts: step.attempt,
}

_HAS: dict[str, Callable[[Step, _Facts], bool]] = {
    "annotation": lambda step, facts: bool(step.node.annotations),
    "branch": lambda step, facts: EdgeType.BRANCHED_FROM in facts.links.get(step.node.id, ()),
    "children": lambda step, facts: bool(step.children),
    "cost": lambda step, facts: step.total_cost is not None,
    "data_flow": lambda step, facts: EdgeType.DATA_FLOW in facts.links.get(step.node.id, ()),
    "error": lambda step, facts: bool(error_text(step.node)),
    "fallback": lambda step, facts: EdgeType.FALLBACK_OF in facts.links.get(step.node.id, ()),
    "input": lambda step, facts: bool(step.node.input_data),
    "model": lambda step, facts: bool(models_of(step.node)),
    "output": lambda step, facts: bool(step.node.output_data),
    "retry": lambda step, facts: EdgeType.RETRY_OF in facts.links.get(step.node.id, ()),
    "tokens": lambda step, facts: step.total is not None,
}

_FIELDS = sorted({*_TEXT_FIELDS, *_WORD_FIELDS, *_NUMBER_FIELDS, "has", "attr"})

# What people write for a value that has another name in a trace; the first is meant as well.
_ALSO = {
    "type": {"llm": "llm_call", "tool": "tool_call", "agent": "sub_agent", "human": "human_input"},
    "status": {"error": "failed", "ok": "completed", "incomplete": "interrupted"},
    "kind": {"retry": "retry_of", "fallback": "fallback_of", "branch": "branched_from"},
}

# ---- Conditions --------------------------------------------------------------------------------

_Span = Callable[[str], "tuple[int, int] | None"]  # finds the part of a text that matches
_MAX_SEARCHED = 20_000  # characters of one value that a regular expression sees


@dataclass(slots=True)
class _All:
    parts: list[_Condition]

    def find(self, step: Step, facts: _Facts) -> list[Found] | None:
        """Return what each part found, None when one found nothing."""
        found: list[Found] = []
        for part in self.parts:
            result = part.find(step, facts)
            if result is None:
                return None
            found += result
        return found


@dataclass(slots=True)
class _Any:
    parts: list[_Condition]

    def find(self, step: Step, facts: _Facts) -> list[Found] | None:
        """Return what the parts found that found something."""
        results = [part.find(step, facts) for part in self.parts]
        met = [result for result in results if result is not None]
        return [each for result in met for each in result] if met else None


@dataclass(slots=True)
class _Not:
    part: _Condition

    def find(self, step: Step, facts: _Facts) -> list[Found] | None:
        """Return an empty list when the part finds nothing."""
        return [] if self.part.find(step, facts) is None else None


@dataclass(slots=True)
class _Text:
    """One of the texts matches."""

    read: Callable[[Step, _Facts], _Texts]
    span: _Span

    def find(self, step: Step, facts: _Facts) -> list[Found] | None:
        """Return the first text that matches."""
        for where, text in self.read(step, facts):
            part = self.span(text)
            if part is not None:
                return [Found(_written(where), text, *part)]
        return None


@dataclass(slots=True)
class _Word:
    """A text is found anywhere in a step: what most searches of a whole store look for."""

    wanted: str

    def find(self, step: Step, facts: _Facts) -> list[Found] | None:
        """Return the first text that holds what is wanted."""
        span = partial(_find_text, self.wanted)
        found = _Text(_short_texts, span).find(step, facts)
        if found is None and self._may_be_in_details(step.node):
            found = _Text(_details, span).find(step, facts)
        return found

    def _may_be_in_details(self, node: Node) -> bool:
        """Rule most steps out fast: what repr() writes unchanged stands in it, or nowhere."""
        if not _UNCHANGED.fullmatch(self.wanted) or self.wanted in "null":
            return True
        details = (node.annotations, node.input_data, node.output_data, node.metadata)
        try:
            return self.wanted in repr((*details, node.error_traceback)).lower()
        except (ValueError, RecursionError):  # too deep for it, or made by hand
            return True


_UNCHANGED = re.compile(r"[ !#-&(-\[\]-~]*")  # ASCII without quotes and backslashes


@dataclass(slots=True)
class _Holds:
    """Something is true of the step, with nothing in particular to show for it."""

    test: Callable[[Step, _Facts], bool]

    def find(self, step: Step, facts: _Facts) -> list[Found] | None:
        """Return an empty list when the test holds."""
        return [] if self.test(step, facts) else None


def _find_text(wanted: str, text: str) -> tuple[int, int] | None:
    lowered = text.lower()
    start = lowered.find(wanted)
    if start < 0:
        return None
    if len(lowered) != len(text):  # some letter grew: where in the text it was is not known
        return 0, len(text)
    return start, start + len(wanted)


def _match_text(wanted: str, text: str) -> tuple[int, int] | None:
    return (0, len(text)) if text.lower() == wanted else None


def _find_pattern(pattern: re.Pattern[str], text: str) -> tuple[int, int] | None:
    match = pattern.search(text[:_MAX_SEARCHED])
    return None if match is None else match.span()


def _differs(
    read: Callable[[Step, _Facts], _Texts], span: _Span, step: Step, facts: _Facts
) -> bool:
    """Tell whether a step has such texts, and none of them matches."""
    texts = [text for _, text in read(step, facts)]
    return bool(texts) and all(span(text) is None for text in texts)


def _is_word(
    read: Callable[[Step, _Facts], Iterable[str]],
    wanted: set[str],
    is_wanted: bool,
    step: Step,
    facts: _Facts,
) -> bool:
    """Tell whether a step has one of the words, or, if that is wanted, only others."""
    words = {word.lower() for word in read(step, facts)}
    return bool(words) and words.isdisjoint(wanted) != is_wanted


def _compares(
    read: Callable[[Step, _Facts], float | None],
    compare: Callable[[float, float], bool],
    limit: float,
    is_share: bool,
    step: Step,
    facts: _Facts,
) -> bool:
    """Tell how a number of a step compares with a limit, or with a share of the whole run."""
    value = read(step, facts)
    return value is not None and compare(value, limit * facts.run.wall if is_share else limit)


def _attribute_compares(
    path: str, sign: str, word: str, number: float, step: Step, facts: _Facts
) -> bool:
    """Tell how an attribute compares with a number; texts are ordered as numbers only."""
    value = value_at(step.node.metadata, path)
    compare = _COMPARISONS[sign]
    if isinstance(value, str):
        if sign in ("=", "!="):
            return compare(value == word, True)
        value = float(value) if _PLAIN_NUMBER.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return compare(value, number)


_PLAIN_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?")
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ":": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}

# ---- Regular expressions: the part that every language has, and that ends ----------------------

_MAX_PATTERN = 200  # characters
_REPEAT = re.compile(r"[*+?]|\{[0-9]+(?:,[0-9]*)?\}")
_SET = re.compile(r"\[\^?(?:[^\]\\]|\\.)+\]", re.DOTALL)
_ESCAPES = frozenset("dDwWsSbBnrtfvxu")


def _compiled(pattern: str, flags: str, position: int) -> re.Pattern[str]:
    if not pattern:
        raise QueryError("an empty pattern", position)
    if len(pattern) > _MAX_PATTERN:
        raise QueryError(f"a pattern of more than {_MAX_PATTERN} characters", position)
    _check_pattern(pattern, position)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what later versions of Python may mean by [[
            return re.compile(pattern, re.IGNORECASE if flags else 0)
    except (re.error, OverflowError, RecursionError) as error:
        raise QueryError(f"a broken pattern ({error})", position) from None


def _check_pattern(pattern: str, position: int) -> None:
    """Refuse what takes exponential time, and what not every language has.

    A repeated group may hold neither a repeat nor an alternative: (a+)+ and (a|a)* try out every
    way to split a text.
    """
    open_groups = [False]  # for each: does it hold a repeat or an alternative?
    at = 0
    while at < len(pattern):
        size = _token_size(pattern, at, position)
        token, at = pattern[at : at + size], at + size
        splits = token == "|"
        if token.startswith("("):
            open_groups.append(False)
            continue
        if token == ")" and len(open_groups) > 1:
            splits = open_groups.pop()
        repeat = _REPEAT.match(pattern, at)
        if repeat is not None and token != "|":
            if splits and repeat.group() != "?":
                raise QueryError("a repeated group holds a repeat or a |", position + at)
            splits = True
            at = repeat.end() + (pattern[repeat.end() : repeat.end() + 1] == "?")
            if _REPEAT.match(pattern, at):
                raise QueryError("two repeats in a row", position + at)
        open_groups[-1] = open_groups[-1] or splits


def _token_size(pattern: str, at: int, position: int) -> int:
    """Return how many characters of a pattern belong together as one thing to repeat."""
    if pattern[at] == "[":
        match = _SET.match(pattern, at)
        if match is None:
            raise QueryError("a [ without its ]", position + at, r"write \[ to look for it")
        return match.end() - at
    if pattern[at] == "\\":
        following = pattern[at + 1 : at + 2]
        if following.isalnum() and following not in _ESCAPES or not following:
            raise QueryError(f"\\{following} is not supported", position + at)
        return 2
    if pattern.startswith("(?", at):
        if pattern[at + 2 : at + 3] not in (":", "=", "!"):
            raise QueryError("a group of an unsupported kind", position + at, "use (?: (?= or (?!")
        return 3
    return 1


# ---- Numbers -----------------------------------------------------------------------------------

_NUMBER = re.compile(r"(\$?)([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))([^0-9.].*)?")
_TIMES = {"us": 1.0, "µs": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6, "h": 3600e6, "%": 0.01}
_COUNTS = {"": 1.0, "k": 1e3, "M": 1e6}
_UNITS = {
    **dict.fromkeys(("dur", "self", "start"), _TIMES),
    **dict.fromkeys(("tokens", "in", "out", "attr"), _COUNTS),
    "cost": {"": 1.0, "$": 1.0},
    "depth": {"": 1.0},
    "attempt": {"": 1.0},
}


def _number(name: str, text: str, position: int) -> tuple[float, bool]:
    """Return a number in the field's own unit, and whether it is a share of the whole run."""
    match = _NUMBER.fullmatch(text)
    units = _UNITS[name]
    if match is None:
        example = "2s or 5%" if "s" in units else "100"
        raise QueryError(f"{name} needs a number, not {text!r}", position, f"such as {example}")
    dollar, digits, after = match.groups(default="")
    unit = after or dollar
    if unit not in units and not (unit == "" and float(digits) == 0):
        known = ", ".join(filter(None, units)) or "none"
        problem = f"unknown unit {unit!r}" if unit else f"{name} needs a unit"
        raise QueryError(problem, position + len(text) - len(after), f"units: {known}")
    return float(digits) * units.get(unit, 1.0), unit == "%"


# ---- The parser --------------------------------------------------------------------------------

_MAX_QUERY = 2_000  # characters
_MAX_NESTING = 30  # parentheses within parentheses
_FIELD = re.compile(r'([A-Za-z_][^\s()":=!<>]*)(!=|>=|<=|[:=<>])')
_WORD = re.compile(r'[^\s()"]+')
_SPACE = re.compile(r"\s*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_REGEX = re.compile(r"/((?:[^/\\]|\\.)*)/([^\s()\"]*)", re.DOTALL)
_NAMED_DIFFERENTLY = {"agent": "lane", "latency": "dur", "price": "cost", "time": "dur"}


def parse(text: str) -> Query:
    """Read a query; raises QueryError, and nothing else, when it is none."""
    if len(text) > _MAX_QUERY:
        raise QueryError(f"a query of more than {_MAX_QUERY} characters", _MAX_QUERY + 1)
    parser = _Parser(text)
    condition = parser.whole()
    return Query(text, frozenset(parser.fields), condition)


class _Parser:
    """Recursive descent over the grammar, nested no deeper than _MAX_NESTING."""

    def __init__(self, text: str) -> None:
        self.fields: set[str] = set()
        self._text = text
        self._at = 0  # the next character; in messages counted from 1
        self._nesting = 0

    def whole(self) -> _Condition:
        """Read the text to its end."""
        self._skip_space()
        if self._at == len(self._text):
            raise QueryError("nothing to look for", 1)
        condition = self._alternatives()
        if self._at < len(self._text):
            raise self._error("a ) without its (")
        return condition

    def _alternatives(self) -> _Condition:
        parts = [self._sequence()]
        while self._take_word("OR"):
            parts.append(self._sequence("OR"))
        return parts[0] if len(parts) == 1 else _Any(parts)

    def _sequence(self, after: str = "") -> _Condition:
        parts: list[_Condition] = []
        while not self._at_end_of_sequence():
            parts.append(self._negation())
            after = "AND" if self._take_word("AND") else ""
        if not parts or after:
            raise self._error(f"nothing {'after ' + after if after else 'to look for'}")
        # What takes no reading of texts comes first; what is found is the same.
        parts.sort(key=lambda part: not isinstance(part, _Holds))
        return parts[0] if len(parts) == 1 else _All(parts)

    def _at_end_of_sequence(self) -> bool:
        self._skip_space()
        return self._peek() in ("", ")") or self._next_word() in ("OR", "AND")

    def _negation(self) -> _Condition:
        if self._peek() != "-":
            return self._term()
        self._at += 1
        if self._peek() in ("", "-", ")") or self._peek().isspace():
            raise self._error("nothing to leave out after -", "quote a text that begins with -")
        return _Not(self._term())

    def _term(self) -> _Condition:
        if self._peek() == "(":
            return self._group()
        match = _FIELD.match(self._text, self._at)
        if match is not None:
            return self._field(match)
        if self._text.startswith('""', self._at):
            raise self._error("nothing to look for")
        if self._peek() != "/":
            return _Word(self._plain_value().lower())
        return _Text(_everything, self._text_value(_find_text))

    def _group(self) -> _Condition:
        opened = self._at
        self._nesting += 1
        if self._nesting > _MAX_NESTING:
            raise self._error(f"more than {_MAX_NESTING} parentheses within each other")
        self._at += 1
        condition = self._alternatives()
        if self._peek() != ")":
            raise QueryError("a ( without its )", opened + 1)
        self._at += 1
        self._nesting -= 1
        self._skip_space()
        return condition

    # A field, its operator and its value

    def _field(self, match: re.Match[str]) -> _Condition:
        name, sign = match.groups()
        name, _, path = name.partition(".")
        self._check_field(name, path, match)
        self.fields.add(name)
        self._at = match.end()
        if self._peek() in ("", ")") or self._peek().isspace():
            raise self._error(f"nothing after {match.group()}")
        if name == "attr":
            return self._attribute(path, sign)
        if name in _NUMBER_FIELDS:
            return self._comparison(name, sign)
        if sign not in (":", "=", "!="):
            raise QueryError(f"{name} is text, {sign} compares numbers", match.start(2) + 1)
        if name in _TEXT_FIELDS:
            return self._text_field(_TEXT_FIELDS[name], sign)
        return self._has(sign) if name == "has" else self._word_field(name, sign)

    def _check_field(self, name: str, path: str, match: re.Match[str]) -> None:
        if name == "attr" and not path:
            raise self._error("attr needs a path", "such as attr.http.status")
        if name not in _FIELDS or path and name != "attr":
            known = _NAMED_DIFFERENTLY.get(name) or _closest(name, _FIELDS)
            hint = f"did you mean {known!r}?" if known else "quote it to look for the text"
            raise self._error(f"unknown field {match.group(1)!r}", hint)

    def _text_field(self, read: Callable[[Step, _Facts], _Texts], sign: str) -> _Condition:
        if sign == ":":
            return _Text(read, self._text_value(_find_text))
        span = self._text_value(_match_text)
        return _Text(read, span) if sign == "=" else _Holds(partial(_differs, read, span))

    def _word_field(self, name: str, sign: str) -> _Condition:
        started = self._at
        word = self._plain_value().lower()
        wanted = {word, _ALSO.get(name, {}).get(word, word)}
        if name == "status" and not wanted & {str(status) for status in NodeStatus}:
            raise _unknown("status", word, [*NodeStatus, *_ALSO["status"]], started + 1)
        return _Holds(partial(_is_word, _WORD_FIELDS[name], wanted, sign != "!="))

    def _has(self, sign: str) -> _Condition:
        started = self._at
        word = self._plain_value().lower()
        if word not in _HAS:
            raise _unknown("thing to have", word, _HAS, started + 1)
        return _Holds(_HAS[word]) if sign != "!=" else _Not(_Holds(_HAS[word]))

    def _comparison(self, name: str, sign: str) -> _Condition:
        started = self._at
        number, is_share = _number(name, self._plain_value(), started + 1)
        compare, read = _COMPARISONS[sign], _NUMBER_FIELDS[name]
        return _Holds(partial(_compares, read, compare, number, is_share))

    def _attribute(self, path: str, sign: str) -> _Condition:
        started, word = self._at, self._next_word()
        is_number = self._peek() not in ("/", '"') and _NUMBER.fullmatch(word)
        if sign == ":" or not is_number and sign in ("=", "!="):
            return self._text_field(partial(_attribute_texts, path), sign)
        number, _ = _number("attr", self._plain_value(), started + 1)
        return _Holds(partial(_attribute_compares, path, sign, word, number))

    # Values and words

    def _text_value(self, find: Callable[[str, str], tuple[int, int] | None]) -> _Span:
        """Read a word, a quoted text or a regular expression, and return what finds it."""
        if self._peek() != "/":
            return partial(find, self._plain_value().lower())
        match = _REGEX.match(self._text, self._at)
        if match is None:
            raise self._error("a pattern without its second /", "quote a text that begins with /")
        pattern, flags = match.groups()
        if flags not in ("", "i"):
            position = match.start(2) + 1
            raise QueryError(
                f"unknown flags {flags!r}", position, "quote a text that begins with /"
            )
        self._at = match.end()
        self._skip_space()
        compiled = _compiled(pattern.replace("\\/", "/"), flags, match.start(1) + 1)
        return partial(_find_pattern, compiled)

    def _plain_value(self) -> str:
        """Read a word or a quoted text."""
        if self._peek() != '"':
            word = self._next_word()
            self._at += len(word)
            self._skip_space()
            return word
        match = _QUOTED.match(self._text, self._at)
        if match is None:
            raise self._error('a " without its second one')
        self._at = match.end()
        self._skip_space()
        return re.sub(r'\\(["\\])', r"\1", match.group(1))

    def _take_word(self, word: str) -> bool:
        if self._next_word() != word:
            return False
        self._at += len(word)
        self._skip_space()
        return True

    def _next_word(self) -> str:
        match = _WORD.match(self._text, self._at)
        return match.group() if match else ""

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip_space(self) -> None:
        match = _SPACE.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _error(self, problem: str, hint: str = "") -> QueryError:
        return QueryError(problem, self._at + 1, hint)


def _unknown(what: str, word: str, known: Iterable[str], position: int) -> QueryError:
    names = sorted(str(name) for name in known)
    closest = _closest(word, names)
    hint = f"did you mean {closest!r}?" if closest else "known: " + ", ".join(names)
    return QueryError(f"unknown {what} {word!r}", position, hint)


def _closest(word: str, known: list[str]) -> str | None:
    """Return the name that was most likely meant: one that begins like the word, or looks so."""
    word = word.lower()
    alike = [name for name in known if len(word) > 1 and name.startswith(word)]
    alike += [name for name in known if len(name) > 2 and word.startswith(name)]
    return next(iter(alike or difflib.get_close_matches(word, known, 1)), None)
