"""Where the tokens of an imported session come from, and that none of them counts twice.

from logtracer_extras.importers import import_file
from logtracer_extras.importers.accounts import account_of

account = account_of(import_file("rollout.jsonl")[0])
print(account.sent, account.made, [total.difference for total in account.totals])
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from logtracer import Node, TraceGraph

from ..conventions.values import integer_of, object_of
from ._sessions import CALL, RECORD, REPEATED, REPEATS, TOTALS

__all__ = ["Account", "Entry", "Total", "account_of", "count_once"]

_COPIED_FROM = "logtracer.copied_from"
_COUNTED_IN = "logtracer.counted_in"
_USAGE = "gen_ai.usage."
_SENT = "gen_ai.usage.input_tokens"
_MADE = "gen_ai.usage.output_tokens"


@dataclass(frozen=True, slots=True)
class Entry:
    """The tokens of one model call, and the record of the file that tells them.

    `repeats` are records that tell the same again and are left out; `made` is None where no
    record tells the output, and `elsewhere` names the session in which a copied call counts.
    """

    node_id: str
    name: str
    record: str
    sent: int
    made: int | None
    repeats: tuple[str, ...] = ()
    elsewhere: str = ""


@dataclass(frozen=True, slots=True)
class Total:
    """What a file says that it used, and beside it what was counted of the same calls."""

    name: str
    record: str
    sent: int
    made: int
    ours_sent: int
    ours_made: int
    reasons: tuple[str, ...] = ()  # why they differ, as far as the file shows it

    @property
    def difference(self) -> tuple[int, int]:
        """The file's own sum without what was counted, in and out; (0, 0) when they agree."""
        return self.sent - self.ours_sent, self.made - self.ours_made


@dataclass(slots=True)
class Account:
    """All that was counted in a trace, and what its file says itself."""

    entries: list[Entry] = field(default_factory=list)
    totals: list[Total] = field(default_factory=list)
    repeated: dict[str, str] = field(default_factory=dict)  # whole lines, and what they repeat

    @property
    def sent(self) -> int:
        """All tokens in that were counted."""
        return sum(entry.sent for entry in self.entries)

    @property
    def made(self) -> int:
        """All tokens out that were counted."""
        return sum(entry.made or 0 for entry in self.entries)


def account_of(trace: TraceGraph) -> Account:
    """Return the record behind every token that was counted in an imported session."""
    agents = _agents_of(trace)
    calls = [node for node in trace.nodes.values() if node.node_type == "llm_call"]
    entries = {node.id: _entry_of(node) for node in calls}
    account = Account(list(entries.values()))
    account.repeated = {str(k): str(v) for k, v in object_of(trace.metadata.get(REPEATED)).items()}
    told = trace.metadata.get(TOTALS)
    for total in map(object_of, told if isinstance(told, list) else ()):
        agent = total.get("agent")
        own = [entries[node.id] for node in calls if agent is None or agents[node.id] == agent]
        account.totals.append(_total_of(total, own))
    return account


def _agents_of(trace: TraceGraph) -> dict[str, str]:
    """Return whose each node is: the id of the nearest sub-agent above it, "" for none."""
    agents: dict[str, str] = {}
    for node in trace.nodes.values():  # parents stand before their children
        above = agents.get(node.parent_id or "", "")
        is_agent = node.node_type == "sub_agent"
        agents[node.id] = str(node.metadata.get("gen_ai.agent.id")) if is_agent else above
    return agents


def _entry_of(node: Node) -> Entry:
    facts = node.metadata
    repeats = facts.get(REPEATS)
    return Entry(
        node.id,
        node.name,
        str(facts.get(RECORD) or ""),
        integer_of(facts.get(_SENT)) or 0,
        integer_of(facts.get(_MADE)),
        tuple(map(str, repeats)) if isinstance(repeats, list) else (),
        str(facts.get(_COPIED_FROM) or facts.get(_COUNTED_IN) or ""),
    )


def _total_of(told: dict[str, Any], own: list[Entry]) -> Total:
    sent, made = (integer_of(told.get(name)) or 0 for name in (_SENT, _MADE))
    copied = [integer_of(object_of(told.get("copied")).get(name)) or 0 for name in (_SENT, _MADE)]
    ours = sum(entry.sent for entry in own), sum(entry.made or 0 for entry in own)
    reasons = []
    if any(copied):
        reasons.append(f"{copied[0]:,} in and {copied[1]:,} out were used before its own records")
        ours = ours[0] + copied[0], ours[1] + copied[1]
    unknown = sum(entry.made is None for entry in own)
    if made > ours[1] and unknown:
        reasons.append(f"no record tells the output of {unknown} of {len(own)} calls")
    if sent > ours[0] and told.get("agent") is None:
        reasons.append("calls of sub-agents are not in the file")
    return Total(
        str(told.get("name")), str(told.get(RECORD)), sent, made, ours[0], ours[1], tuple(reasons)
    )


def count_once(traces: Iterable[TraceGraph], seen: dict[str, str] | None = None) -> None:
    """Take the tokens off every call that an earlier one of these traces has counted.

    A session that was resumed or forked into a new file repeats the one before, word by word. The
    call stays; its counts move under another name, beside the trace in which they count. `seen`
    carries on from one call of this to the next.
    """
    known = {} if seen is None else seen
    for trace in traces:
        for node in trace.nodes.values():
            if node.node_type != "llm_call" or RECORD not in node.metadata:
                continue
            facts = node.metadata
            named = facts.get("gen_ai.response.id") or facts.get(CALL)
            key = f"{trace.metadata.get('agent')}/{named or f'{trace.trace_id}/{node.id}'}"
            first = known.setdefault(key, f"{trace.trace_id}/{node.id}/{id(trace)}")
            if first != f"{trace.trace_id}/{node.id}/{id(trace)}":
                counts = {name: facts.pop(name) for name in list(facts) if name.startswith(_USAGE)}
                facts[_COUNTED_IN] = first.partition("/")[0]
                facts["logtracer.copied_usage"] = counts
