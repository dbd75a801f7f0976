"""Laws: what all good runs of an agent have in common, and which of them another run breaks.

    laws = learn(good_runs)
    for finding in broken(laws, run):
        print(finding.message)

A law is learned from runs without an exception, and only from so many that chance does not explain
it. Sections, in order: laws, reading a run, learning, holding a run to them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from logtracer import LogtracerError, Node, NodeStatus, NodeType, TraceGraph

from ..analysis import measure
from .findings import Finding

__all__ = ["Law", "LawError", "broken", "learn"]

# ---- Laws --------------------------------------------------------------------------------------

_TOTALS = ("model calls", "tool calls", "tokens")


class LawError(LogtracerError, ValueError):
    """A document of laws cannot be read; the message says what is wrong with it."""


@dataclass(frozen=True)
class Law:
    """Something that held in every good run that could have broken it.

    `kind` is one of: `count` (from `low` to `high` nodes of a name), `never_fails`, `only_after`
    (each after an `other`), `present`, `type`, `one_of`, `range` (of the value at the path
    `other`), `total` (of a run: model calls, tool calls, tokens), `known` (no other names).
    `runs` is in how many runs it was seen to hold.
    """

    kind: str
    name: str = ""
    other: str = ""
    low: float | None = None
    high: float | None = None
    values: tuple[Any, ...] = ()
    runs: int = 0

    @property
    def text(self) -> str:
        """The law in a sentence."""
        return _SENTENCES[self.kind](self)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data, without what is empty."""
        data = {**asdict(self), "values": list(self.values)}
        return {key: value for key, value in data.items() if value not in (None, "", [])}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Law:
        """Read it back; LawError when it is none."""
        if not isinstance(data, Mapping) or data.get("kind") not in _SENTENCES:
            raise LawError(f"not a law: {str(data)[:80]}; known kinds: {', '.join(_SENTENCES)}")
        known = {key: data[key] for key in cls.__dataclass_fields__ if key in data}
        return cls(**{**known, "values": tuple(known.get("values", ()))})


def _count_text(law: Law) -> str:
    if law.low == law.high:
        return f"{law.name} runs {_times(law.low)}"
    least = "" if not law.low else f"at least {_times(law.low)} and "
    return f"{law.name} runs {least}at most {_times(law.high)}"


def _times(number: float | None) -> str:
    return "once" if number == 1 else f"{number:g} times" if number is not None else "any times"


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(value if isinstance(value, str) else repr(value) for value in values)


_SENTENCES: dict[str, Callable[[Law], str]] = {
    "count": _count_text,
    "never_fails": lambda law: f"{law.name} never fails",
    "only_after": lambda law: f"{law.name} runs only after {law.other}",
    "present": lambda law: f"{law.name} has {law.other}",
    "type": lambda law: f"{law.other} of {law.name} is {' or '.join(law.values)}",
    "one_of": lambda law: f"{law.other} of {law.name} is one of: {_listed(law.values)}",
    "range": lambda law: f"{law.other} of {law.name} is from {law.low} to {law.high}",
    "total": lambda law: f"a run takes at most {law.high} {law.other}",
    "known": lambda law: f"nothing runs but {_listed(law.values)}",
}

# ---- Reading a run -----------------------------------------------------------------------------

_SHORT = 60  # characters of a text that may be one of a few
_PATHS = 200  # values read of one node


@dataclass
class _Facts:
    """What laws are about, of one run."""

    nodes: dict[str, list[Node]] = field(default_factory=dict)
    totals: dict[str, float] = field(default_factory=dict)
    first_start: dict[str, float] = field(default_factory=dict)
    first_end: dict[str, float] = field(default_factory=dict)

    def after(self, name: str, other: str) -> bool:
        """Whether an `other` had ended before the first node of a name started."""
        end = self.first_end.get(other)
        return end is not None and end <= self.first_start.get(name, -1.0)


def _facts_of(trace: TraceGraph) -> _Facts:
    run = measure(trace, infer=False)
    facts = _Facts()
    for step in run.by_id.values():
        name = step.node.name
        if step.node.node_type == "trace":
            continue
        facts.nodes.setdefault(name, []).append(step.node)
        facts.first_start[name] = min(step.start, facts.first_start.get(name, step.start))
        facts.first_end[name] = min(step.end, facts.first_end.get(name, step.end))
    kinds = Counter(step.node.node_type for step in run.steps)
    tokens = sum(step.total.tokens for step in run.top if step.total is not None)
    amounts = kinds[NodeType.LLM_CALL], kinds[NodeType.TOOL_CALL], tokens
    facts.totals = dict(zip(_TOTALS, amounts))
    return facts


def _values(node: Node) -> dict[str, Any]:
    """Return the values of a node by path: arguments two levels deep, results one, the model."""
    found: dict[str, Any] = {}
    for key, value in node.input_data.items():
        found[f"input.{key}"] = value
        if isinstance(value, dict):
            found.update((f"input.{key}.{inner}", item) for inner, item in value.items())
    if node.status == NodeStatus.COMPLETED:
        found.update((f"output.{key}", value) for key, value in node.output_data.items())
    model = node.metadata.get("gen_ai.request.model")
    if model is not None:
        found["metadata.gen_ai.request.model"] = model
    return dict(list(found.items())[:_PATHS])


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if value is None:
        return "nothing"
    words = (("text", str), ("list", (list, tuple)), ("object", dict))
    word = next((word for word, kind in words if isinstance(value, kind)), "value")
    return f"{'a' if value else 'an empty'} {word}"


# ---- Learning ----------------------------------------------------------------------------------

_CHANCE = 0.05  # the share of laws that chance may explain
_RARE = 0.8  # what holds less often than this in all runs is no law
_FEW = 6  # values that may be all there are
_SEEN = 10  # times each of them was seen, on average, before that is believed


def learn(traces: Iterable[TraceGraph]) -> list[Law]:
    """Return what all these runs have in common, in the order in which the runs show it.

    A law of which n runs say nothing else would be a matter of chance 0.8 ** n times, if it held
    in eight runs of ten. Of many laws some would be learned by chance; Benjamini and Hochberg keep
    those at five in a hundred. So it takes about 14 runs to learn anything.
    """
    runs = [_facts_of(trace) for trace in traces]
    names = list(dict.fromkeys(name for facts in runs for name in facts.nodes))
    candidates = [
        *_counts(runs, names),
        *_orders(runs, names),
        *(law for name in names for law in _value_laws(runs, name)),
        *_totals(runs),
    ]
    if runs:
        candidates.append(Law("known", values=tuple(names), runs=len(runs)))
    return _without_implied(_believed(candidates))


def _believed(candidates: Sequence[Law]) -> list[Law]:
    """Keep the laws that chance does not explain, of all laws that were looked at."""
    ordered = sorted(_RARE**law.runs for law in candidates)
    bounds = [
        likelihood
        for rank, likelihood in enumerate(ordered, 1)
        if likelihood <= _CHANCE * rank / len(ordered)
    ]
    bound = max(bounds, default=-1.0)
    return [law for law in candidates if _RARE**law.runs <= bound]


def _counts(runs: list[_Facts], names: list[str]) -> Iterator[Law]:
    for name in names:
        counts = [len(facts.nodes.get(name, ())) for facts in runs]
        low, high = min(counts), max(counts)
        if low != high:
            low, high = min(low, 1), high + (high - low)  # a sample does not show the extremes
        yield Law("count", name, low=low, high=high, runs=len(runs))
        having = [facts.nodes[name] for facts in runs if name in facts.nodes]
        if not any(node.status == NodeStatus.FAILED for nodes in having for node in nodes):
            yield Law("never_fails", name, runs=len(having))


def _orders(runs: list[_Facts], names: list[str]) -> Iterator[Law]:
    for name in names:
        having = [facts for facts in runs if name in facts.nodes]
        for other in names:
            if other != name and all(facts.after(name, other) for facts in having):
                yield Law("only_after", name, other, runs=len(having))


def _value_laws(runs: list[_Facts], name: str) -> Iterator[Law]:
    """Yield the laws about the values of nodes of a name."""
    having = [
        [_values(node) for node in facts.nodes[name]] for facts in runs if name in facts.nodes
    ]
    paths = dict.fromkeys(path for nodes in having for values in nodes for path in values)
    for path in paths:
        told = [[values[path] for values in nodes if path in values] for nodes in having]
        support = sum(bool(found) for found in told)
        if all(path in values for nodes in having for values in nodes):
            yield Law("present", name, path, runs=support)
        yield from _domain(name, path, [value for found in told for value in found], support)


def _domain(name: str, path: str, found: list[Any], support: int) -> Iterator[Law]:
    """Yield what the values of a path have in common: a type, a few values, a range."""
    types = sorted({_type_of(value) for value in found})
    yield Law("type", name, path, values=tuple(types), runs=support)
    if path.startswith("output.") or not set(types) <= {"a text", "a number", "true or false"}:
        return
    seen = Counter((type(value), value) for value in found if len(str(value)) <= _SHORT)
    is_closed = len(seen) == 1 or len(seen) <= _FEW and len(found) >= _SEEN * len(seen)
    if is_closed and sum(seen.values()) == len(found) and min(seen.values()) > 2:
        values = tuple(sorted((value for _, value in seen), key=repr))
        yield Law("one_of", name, path, values=values, runs=support)
    elif types == ["a number"]:
        low, high = min(found), max(found)
        span = high - low
        yield Law("range", name, path, low=low - span, high=high + span, runs=support)


def _totals(runs: list[_Facts]) -> Iterator[Law]:
    for what in _TOTALS:
        amounts = [facts.totals[what] for facts in runs]
        if any(amounts):
            high = 2 * max(amounts) if what == "tokens" else 2 * max(amounts) - min(amounts) + 1
            yield Law("total", other=what, high=high, runs=len(runs))


def _without_implied(laws: list[Law]) -> list[Law]:
    """Leave out an order that two others imply: c after b and b after a say c after a."""
    after = {(law.name, law.other) for law in laws if law.kind == "only_after"}
    names = {name for pair in after for name in pair}
    implied = {
        (last, first)
        for last, first in after
        if any((last, middle) in after and (middle, first) in after for middle in names)
    }
    return [law for law in laws if law.kind != "only_after" or (law.name, law.other) not in implied]


# ---- Holding a run to laws ---------------------------------------------------------------------


def broken(laws: Iterable[Law], trace: TraceGraph) -> list[Finding]:
    """Return a finding for each law that a run breaks, in the order of the laws."""
    facts = _facts_of(trace)
    found: list[Finding] = []
    for law in laws:
        for nodes, evidence in _breaches(law, facts):
            ids = tuple(node.id for node in nodes)
            message = f"{law.text}, as in {law.runs} good runs; {evidence}"
            found.append(Finding("broken_law", ids, message, evidence))
    return found


def _breaches(law: Law, facts: _Facts) -> Iterator[tuple[list[Node], str]]:
    """Yield the nodes that break a law, and how; one breach a law is enough."""
    nodes = facts.nodes.get(law.name, [])
    if law.kind == "count":
        if not _is_within(len(nodes), law):
            yield nodes, f"here {_times(len(nodes)) if nodes else 'never'}"
    elif law.kind == "never_fails":
        failed = [node for node in nodes if node.status == NodeStatus.FAILED]
        if failed:
            yield failed, f"here: {failed[0].error_type or ''} {failed[0].error or 'failed'}"
    elif law.kind == "only_after":
        if nodes and not facts.after(law.name, law.other):
            yield nodes[:1], "here before it" if law.other in facts.nodes else "here without it"
    elif law.kind == "total":
        if not _is_within(facts.totals.get(law.other, 0), law):
            yield [], f"here {facts.totals[law.other]:,g}"
    elif law.kind == "known":
        yield from _unknown(law, facts)
    else:
        yield from _wrong_values(law, nodes)


def _is_within(number: float, law: Law) -> bool:
    is_enough = law.low is None or number >= law.low
    return is_enough and (law.high is None or number <= law.high)


def _unknown(law: Law, facts: _Facts) -> Iterator[tuple[list[Node], str]]:
    known = {_without_number(str(name)) for name in law.values}
    for name, nodes in facts.nodes.items():
        if _without_number(name) not in known:
            yield nodes[:1], f"here {name}"


def _without_number(name: str) -> str:
    return re.sub(r"[\s_#.-]*[0-9]+$", "", name)


def _wrong_values(law: Law, nodes: list[Node]) -> Iterator[tuple[list[Node], str]]:
    for node in nodes:
        values = _values(node)
        if law.other not in values:
            is_told = law.kind == "present" and _is_told(law.other, node)
            if is_told:
                yield [node], "here it has none"
                return
            continue
        value = values[law.other]
        if not _is_lawful(law, value):
            yield (
                [node],
                f"here {str(value)[:80]!r}" if law.kind != "type" else (f"here {_type_of(value)}"),
            )
            return


def _is_told(path: str, node: Node) -> bool:
    """Whether a node that has not a value could have it: what failed gives no result."""
    return not path.startswith("output.") or node.status == NodeStatus.COMPLETED


def _is_lawful(law: Law, value: Any) -> bool:
    if law.kind == "type":
        return _type_of(value) in law.values
    if law.kind == "one_of":
        return any(type(each) is type(value) and each == value for each in law.values)
    if law.kind == "range":
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return not is_number or _is_within(value, law)  # of its type, another law tells
    return True
