"""OpenHands' SDK: a conversation's events, a line each or a file each.

Actions of one answer share `llm_response_id`. What the calls used stands in the last event of
statistics, by that id.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from ..conventions.usage import COST, amount_of, usage_facts
from ..conventions.values import object_of, objects_in, parse_json, well_formed
from ._conversation import Call, Result, Said, run_of
from ._kinds import count_kinds, most_are, sample_of
from ._message_parts import calls_in
from ._spans import SpanRecord, add_failure
from ._values import clean_values, clock_time, text_of

__all__ = [
    "is_openhands_sdk",
    "is_openhands_sdk_output",
    "read_openhands_sdk",
    "read_openhands_sdk_output",
]

_KINDS = {
    "ActionEvent",
    "ObservationEvent",
    "AgentErrorEvent",
    "MessageEvent",
    "SystemPromptEvent",
    "ConversationStateUpdateEvent",
    "ConversationErrorEvent",
    "UserRejectObservation",
    "CondensationRequest",
    "Condensation",
    "PauseEvent",
    "TokenEvent",
}


def _is_event(event: Any) -> bool:
    kind = event.get("kind") if isinstance(event, dict) else None
    return isinstance(kind, str) and kind in _KINDS


def is_openhands_sdk(documents: list[Any]) -> bool:
    return most_are(_is_event, sample_of(documents))


def read_openhands_sdk(documents: list[Any], source: str) -> Iterator[SpanRecord]:
    run = _Run(source, _statistics([event for event in documents if _is_event(event)]))
    left = [event for event in documents if not (_is_event(event) and run.tell(event))]
    run.tell_answer()
    run.root.kinds = count_kinds(left)
    return run.talk.close(run.root)


def is_openhands_sdk_output(document: dict[str, Any]) -> bool:
    events = document.get("history")
    return isinstance(events, list) and is_openhands_sdk(events)


def read_openhands_sdk_output(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    """Read a line of a benchmark's `output.jsonl`."""
    spans = list(read_openhands_sdk(document["history"], source))
    root = spans[0]
    root.name = text_of(document.get("instance_id")) or root.name
    kept = {f"openhands.{key}": document[key] for key in document if key not in _OUTPUT_TAKEN}
    root.facts.metadata |= clean_values(kept)
    if document.get("error"):
        add_failure(root, document["error"])
    return iter(spans)


_OUTPUT_TAKEN = ("history", "instance")


def _statistics(events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what each call used, by the id of its response."""
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        told = object_of(event.get("value"))
        if event.get("key") == "full_state":
            told = object_of(told.get("stats"))
        for metrics in object_of(told.get("usage_to_metrics")).values():
            _add_metrics(found, object_of(metrics))
    return found


def _add_metrics(found: dict[str, dict[str, Any]], metrics: dict[str, Any]) -> None:
    usages = objects_in(metrics.get("token_usages"), "token_usages")
    costs = objects_in(metrics.get("costs"), "costs")
    for position, usage in enumerate(usages):
        facts = usage_facts(usage)
        if len(costs) == len(usages):
            amount = amount_of(costs[position].get("cost"))
            facts |= {} if amount is None else {COST: amount}
        if isinstance(usage.get("model"), str):
            facts["gen_ai.response.model"] = well_formed(usage["model"])
        found.setdefault(text_of(usage.get("response_id")), {}).update(facts)
    for one in objects_in(metrics.get("response_latencies"), "response_latencies"):
        latency = one.get("latency")
        if isinstance(latency, (int, float)) and 0 <= latency < 1e6:
            found.setdefault(text_of(one.get("response_id")), {})["latency"] = latency


class _Run:
    """The events of one conversation."""

    def __init__(self, source: str, used: dict[str, dict[str, Any]]) -> None:
        self.root, self.talk = run_of("openhands", source)
        self._used = used
        self._answer: Said | None = None  # an answer of the model, while its actions are told
        self._response = ""
        self._actions: dict[str, str] = {}

    def tell(self, event: dict[str, Any]) -> bool:
        """Tell an event; False when it says nothing of a step."""
        kind = event["kind"]
        if kind == "ActionEvent":
            self._act(event)
            return True
        self.tell_answer()
        if kind in ("ObservationEvent", "UserRejectObservation", "AgentErrorEvent"):
            self._observe(event)
        elif kind == "MessageEvent":
            self._message(event)
        elif kind == "SystemPromptEvent":
            self._say("system", event, {"content": event.get("system_prompt")})
        elif kind in ("Condensation", "ConversationErrorEvent", "PauseEvent"):
            self._say(kind, event, {key: event[key] for key in event if key not in _TAKEN})
        else:
            return False
        return True

    def _say(self, role: str, event: dict[str, Any], rest: dict[str, Any]) -> None:
        moment = clock_time(event.get("timestamp"))
        said = Said(role, {"role": role, **rest}, start=moment, end=moment)
        if role == "ConversationErrorEvent":
            said.error = event.get("detail") or event.get("code") or "failed"
        self.talk.add(said)

    def _act(self, event: dict[str, Any]) -> None:
        response = text_of(event.get("llm_response_id"))
        if self._answer is None or not response or response != self._response:
            self.tell_answer()
            self._answer = self._new_answer(event, response)
        call = object_of(event.get("tool_call"))
        arguments = parse_json(call.get("arguments"))
        if not isinstance(arguments, dict):
            arguments = object_of(event.get("action"))
        key = text_of(event.get("tool_call_id") or call.get("id"))
        self._answer.calls.append(Call(text_of(event.get("tool_name")), arguments, key))
        self._answer.message.setdefault("tool_calls", []).append(call)
        self._answer.end = clock_time(event.get("timestamp")) or self._answer.end
        self._actions[text_of(event.get("id"))] = key

    def _new_answer(self, event: dict[str, Any], response: str) -> Said:
        message = {"role": "assistant", "content": event.get("thought")}
        if event.get("reasoning_content"):
            message["reasoning_content"] = event["reasoning_content"]
        self._response = response
        said = Said("assistant", message)
        self._add_usage(said, response)
        return said

    def _add_usage(self, said: Said, response: str) -> None:
        said.metadata |= self._used.get(response, {})
        if response:
            said.metadata["gen_ai.response.id"] = response
        said.name = text_of(said.metadata.get("gen_ai.response.model")) or said.name

    def tell_answer(self) -> None:
        """Tell the answer whose actions are all there."""
        said, self._answer = self._answer, None
        if said is not None:
            self._add(said)

    def _add(self, said: Said) -> None:
        latency = said.metadata.pop("latency", None)
        if latency is not None and said.end is not None:
            said.start = said.end - timedelta(seconds=latency)
        self.talk.add(said)

    def _message(self, event: dict[str, Any]) -> None:
        message = object_of(event.get("llm_message"))
        role = _ROLES.get(str(event.get("source")), "environment")
        said = Said(role, {**message, "role": role}, calls_in(message))
        said.end = clock_time(event.get("timestamp"))
        said.start = None if role == "assistant" else said.end
        if role == "assistant":
            self._add_usage(said, text_of(event.get("llm_response_id")))
        self._add(said)

    def _observe(self, event: dict[str, Any]) -> None:
        seen = object_of(event.get("observation"))
        key = text_of(event.get("tool_call_id")) or self._actions.get(
            text_of(event.get("action_id")), ""
        )
        output = {name: value for name, value in seen.items() if name not in ("kind", "command")}
        error = event.get("error") or event.get("rejection_reason")
        code = seen.get("exit_code")
        if seen.get("error") or seen.get("is_error") is True:
            error = seen.get("error") or _text_in(seen.get("content")) or "the tool failed"
        elif type(code) is int and code not in (0, -1):
            error = f"exit code {code}"
        moment = clock_time(event.get("timestamp"))
        result = Result(key, text_of(event.get("tool_name")), output, error)
        message = {"role": "tool", "tool_call_id": key, **output}
        said = Said("tool", message, results=[result], is_more_than_results=False)
        said.start = said.end = moment
        self.talk.add(said)


def _text_in(content: Any) -> str:
    parts = content if isinstance(content, list) else [content]
    return "\n".join(
        text_of(object_of(part).get("text")) if isinstance(part, dict) else text_of(part)
        for part in parts
    )


_TAKEN = ("kind", "id", "timestamp", "source")
_ROLES = {"user": "user", "agent": "assistant"}
