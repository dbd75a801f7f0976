"""OpenHands before its SDK: events as a list, or as `history` in a line of `output.jsonl`.

Actions of one answer share the id of the model's response. What an observation answers stands in
its `cause`, or in the call's id. `llm_metrics` grows from event to event: a call cost the growth.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conventions.usage import COST, amount_of, usage_facts
from ..conventions.values import first_of, object_of, well_formed
from ._conversation import Call, Result, Said, run_of
from ._kinds import most_are, sample_of
from ._message_parts import calls_in
from ._spans import SpanRecord, add_failure
from ._values import clock_time, text_of

__all__ = [
    "is_openhands",
    "is_openhands_output",
    "read_openhands",
    "read_openhands_output",
]


def _is_event(event: Any) -> bool:
    if not isinstance(event, dict):
        return False
    acts = isinstance(event.get("action"), str) and isinstance(event.get("args"), dict)
    sees = isinstance(event.get("observation"), str) and isinstance(event.get("extras"), dict)
    return acts or sees


def _flat(events: list[Any]) -> list[Any]:
    """Return events of 2024, which stood as pairs of an action and what came of it, one by one."""
    if not any(isinstance(event, list) for event in events):
        return events
    return [one for pair in events for one in (pair if isinstance(pair, list) else [pair])]


def is_openhands(documents: list[Any]) -> bool:
    """Tell a run by its events, one of which at least says who acted or what came of it."""
    some = sample_of(_flat(documents))
    told = any("source" in one or "observation" in one for one in some if isinstance(one, dict))
    return told and most_are(_is_event, some)


def is_openhands_output(document: dict[str, Any]) -> bool:
    events = document.get("history")
    return isinstance(events, list) and is_openhands(events)


def read_openhands(documents: list[Any], source: str) -> Iterator[SpanRecord]:
    return _Run("openhands", source, {}, {}).read(_flat(documents))


def read_openhands_output(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    kept = {f"openhands.{key}": document[key] for key in document if key not in _OUTPUT_TAKEN}
    name = text_of(document.get("instance_id")) or "openhands"
    run = _Run(name, source, kept, object_of(document.get("metrics")))
    if document.get("error"):
        add_failure(run.root, document["error"])
    return run.read(_flat(document["history"]))


_OUTPUT_TAKEN = ("history", "instance")
_SILENT = ("change_agent_state", "agent_state_changed", "recall", "null", "user_rejected")
_ANSWERED_AT_ONCE = ("finish", "reject")


class _Run:
    """The events of one run, told to a conversation."""

    def __init__(
        self, name: str, source: str, kept: dict[str, Any], metrics: dict[str, Any]
    ) -> None:
        self.root, self._talk = run_of(name, source, kept)
        self._answers: set[str] = set()  # ids of the models' responses told already
        self._asked: dict[str, str] = {}  # the id of an action -> of its call
        self._spent = 0.0
        usages = metrics.get("token_usages")
        listed = usages if isinstance(usages, list) else []
        self._usages = {text_of(object_of(one).get("response_id")): one for one in listed}

    def read(self, events: list[Any]) -> Iterator[SpanRecord]:
        kinds: dict[str, int] = {}
        for event in events:
            if not _is_event(event):
                kinds["other"] = kinds.get("other", 0) + 1
                continue
            word = text_of(first_of(event, "action", "observation"))
            if word in _SILENT:
                kinds[word] = kinds.get(word, 0) + 1
            elif "observation" in event and "action" not in event:
                self._observe(event, word)
            else:
                self._act(event, word)
        self.root.kinds = kinds
        return self._talk.close(self.root)

    def _act(self, event: dict[str, Any], word: str) -> None:
        arguments = object_of(event.get("args"))
        moment = clock_time(event.get("timestamp"))
        if event.get("source") == "user" or word == "system":
            role = "user" if event.get("source") == "user" else "system"
            content = first_of(arguments, "content") or event.get("message")
            self._talk.add(Said(role, {"role": role, "content": content}, start=moment, end=moment))
            return
        told = object_of(event.get("tool_call_metadata"))
        response = object_of(told.get("model_response"))
        key = text_of(response.get("id"))
        call_id = text_of(told.get("tool_call_id"))
        if not key:
            self._act_alone(event, word, arguments)
        elif key not in self._answers:
            self._answers.add(key)
            self._answer_of_model(event, response, key)
        if call_id:
            self._asked[text_of(event.get("id"))] = call_id
        if word in _ANSWERED_AT_ONCE and (call_id or not key):
            outcome = first_of(arguments, "final_thought", "outputs", "reason", "thought")
            self._answer(Result(call_id or self._key(event), "", {"content": outcome}), event)

    def _key(self, event: dict[str, Any]) -> str:
        return f"action {text_of(event.get('id'))}"

    def _act_alone(self, event: dict[str, Any], word: str, arguments: dict[str, Any]) -> None:
        """Tell an action without the model's own words: its thought and what it did."""
        thought = first_of(arguments, "thought", "content") or event.get("message")
        said = Said("assistant", {"role": "assistant", "content": thought})
        said.end = clock_time(event.get("timestamp"))
        if word != "message":
            rest = {key: value for key, value in arguments.items() if key != "thought"}
            said.calls = [Call(word, rest, self._key(event))]
            self._asked[text_of(event.get("id"))] = self._key(event)
        said.metadata = self._cost(event)
        self._talk.add(said)

    def _answer_of_model(self, event: dict[str, Any], response: dict[str, Any], key: str) -> None:
        choices = response.get("choices")
        first = object_of(choices[0]) if isinstance(choices, list) and choices else {}
        message = {"role": "assistant", **object_of(first.get("message"))}
        said = Said("assistant", message, calls_in(message))
        said.end = clock_time(event.get("timestamp"))
        usage = object_of(response.get("usage")) or object_of(self._usages.get(key))
        said.metadata = usage_facts(usage) | self._cost(event)
        if isinstance(response.get("model"), str):
            said.name = said.metadata["gen_ai.response.model"] = well_formed(response["model"])
        said.metadata["gen_ai.response.id"] = key
        if isinstance(first.get("finish_reason"), str):
            said.metadata["gen_ai.response.finish_reasons"] = [well_formed(first["finish_reason"])]
        self._talk.add(said)

    def _cost(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return by how much the sum of costs has grown."""
        total = amount_of(object_of(event.get("llm_metrics")).get("accumulated_cost"))
        if total is None:
            return {}
        spent, self._spent = self._spent, max(total, self._spent)
        return {COST: self._spent - spent}

    def _observe(self, event: dict[str, Any], word: str) -> None:
        told = object_of(event.get("tool_call_metadata"))
        cause = text_of(event.get("cause"))
        key = text_of(told.get("tool_call_id")) or self._asked.get(cause, "")
        extras = object_of(event.get("extras"))
        output = {"content": first_of(event, "content", "message")}
        code = first_of(object_of(extras.get("metadata")), "exit_code")
        code = first_of(extras, "exit_code") if code is None else code
        if code is not None:
            output["exit_code"] = code
        failed = word == "error" or (type(code) is int and code != 0 and code != -1)
        failed = failed or event.get("success") is False
        error = (output["content"] or f"exit code {code}") if failed else None
        name = text_of(told.get("function_name")) or word
        self._answer(Result(key, "" if key else name, output, error), event)

    def _answer(self, result: Result, event: dict[str, Any]) -> None:
        moment = clock_time(event.get("timestamp"))
        message = {"role": "tool", "tool_call_id": result.id, **result.output}
        said = Said("tool", message, results=[result], is_more_than_results=False)
        said.start = said.end = moment
        self._talk.add(said)
