"""Terminal-Bench: results of its first version, and a trial's `result.json` as Harbor writes it.

A trial has no steps but its phases; what the agent did stands in the trajectory beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from logtracer import NodeStatus, NodeType

from ..conventions.reading import Facts
from ..conventions.usage import CACHE_READ, COST, INPUT, OUTPUT, amount_of
from ..conventions.values import first_of, integer_of, object_of, objects_in
from ._conversation import run_of
from ._spans import SpanRecord, add_failure
from ._values import SPAN_DIGITS, clean_values, clock_time, hashed_id, text_of

__all__ = ["is_harbor_trial", "is_terminal_bench", "read_harbor_trial", "read_terminal_bench"]


def is_harbor_trial(document: dict[str, Any]) -> bool:
    return all(name in document for name in ("trial_name", "task_name", "agent_info"))


def is_terminal_bench(document: dict[str, Any]) -> bool:
    results = document.get("results")
    first = object_of(results[0]) if isinstance(results, list) and results else document
    return "is_resolved" in first and "task_id" in first and "failure_mode" in first


def read_harbor_trial(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    kept = {f"harbor.{key}": document[key] for key in document if key not in _TRIAL_TAKEN}
    root, _ = run_of(text_of(document.get("trial_name")), source, kept)
    root.start, root.end = _times(document)
    root.status = NodeStatus.COMPLETED
    rewards = object_of(document.get("verifier_result")).get("rewards")
    if rewards is not None:
        root.facts.output_data = {"rewards": rewards}
    failure = object_of(document.get("exception_info"))
    if failure:
        add_failure(root, {name: failure.get(f"exception_{name}") for name in _FAILURE})
    yield root
    for name in _PHASES:
        told = object_of(document.get(name))
        if told:
            span = _phase(root, name, _PHASES[name], told)
            if name == "agent_execution":
                span.name = text_of(object_of(document["agent_info"]).get("name")) or name
                span.facts.metadata |= _used(object_of(document.get("agent_result")))
            elif name == "verifier" and rewards is not None:
                span.facts.output_data = {"rewards": rewards}
            yield span


_FAILURE = ("message", "type", "traceback")
_PHASES = {
    "environment_setup": NodeType.CUSTOM,
    "agent_setup": NodeType.CUSTOM,
    "agent_execution": NodeType.SUB_AGENT,
    "verifier": NodeType.VALIDATION,
}
_TRIAL_TAKEN = (*_PHASES, "trial_name", "started_at", "finished_at", "exception_info", "config")
_STARTS = ("started_at", "trial_started_at")
_ENDS = ("finished_at", "trial_ended_at")


def _times(told: dict[str, Any]) -> tuple[Any, Any]:
    return clock_time(first_of(told, *_STARTS)), clock_time(first_of(told, *_ENDS))


def _phase(root: SpanRecord, name: str, kind: str, told: dict[str, Any]) -> SpanRecord:
    span = SpanRecord(root.trace_id, name, Facts(kind), parent_id=root.span_id)
    span.span_id = hashed_id(f"{root.trace_id}/{name}", SPAN_DIGITS)
    span.start, span.end = _times(told)
    span.status = NodeStatus.COMPLETED
    return span


def _used(told: dict[str, Any]) -> dict[str, Any]:
    """Return what an agent used as a whole: of the calls in it nothing is told here."""
    names = {INPUT: "n_input_tokens", OUTPUT: "n_output_tokens", CACHE_READ: "n_cache_tokens"}
    counts = {fact: integer_of(told.get(name)) for fact, name in names.items()}
    facts: dict[str, Any] = {fact: count for fact, count in counts.items() if count is not None}
    cost = amount_of(told.get("cost_usd"))
    return facts if cost is None else {**facts, COST: cost}


def read_terminal_bench(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    trials = document.get("results", [document])
    for position, trial in enumerate(objects_in(trials, "results")):
        yield from _trial(trial, f"{source}/{position}")


_WELL_ENDED = ("", "none", "unset", "null")


def _trial(trial: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    kept = {f"terminal_bench.{key}": trial[key] for key in trial if key not in _RESULT_TAKEN}
    name = text_of(first_of(trial, "trial_name", "task_id"))
    root, _ = run_of(name, source, kept)
    root.start, root.end = _times(trial)
    root.status = NodeStatus.COMPLETED
    root.facts.input_data = (
        {"instruction": trial["instruction"]} if trial.get("instruction") else {}
    )
    root.facts.output_data = {"is_resolved": trial.get("is_resolved")}
    mode = text_of(trial.get("failure_mode"))
    if mode.lower() not in _WELL_ENDED:
        add_failure(root, {"message": f"failure mode {mode}", "type": mode})
    yield root
    agent = _phase(root, "agent", NodeType.SUB_AGENT, _of_phase(trial, "agent"))
    counts = {INPUT: trial.get("total_input_tokens"), OUTPUT: trial.get("total_output_tokens")}
    agent.facts.metadata = {fact: count for fact, count in counts.items() if type(count) is int}
    yield agent
    tests = _phase(root, "tests", NodeType.VALIDATION, _of_phase(trial, "test"))
    tests.facts.output_data = clean_values(object_of(trial.get("parser_results")))
    yield tests


_RESULT_TAKEN = ("trial_name", "instruction", "is_resolved", "parser_results")


def _of_phase(trial: dict[str, Any], name: str) -> dict[str, Any]:
    return {
        "started_at": trial.get(f"{name}_started_at"),
        "finished_at": trial.get(f"{name}_ended_at"),
    }
