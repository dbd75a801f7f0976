"""SWE-agent's `.traj` and mini-swe-agent's trajectories.

SWE-agent keeps a trajectory of actions and a history of messages: the steps are of the trajectory,
which demonstrations are no part of, and the calls' ids are in the history. The tokens are only
told as sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from ..conventions.usage import COST, INPUT, OUTPUT, amount_of
from ..conventions.values import first_of, integer_of, object_of, objects_in, parse_json
from ._conversation import Call, Conversation, Result, Said, run_of
from ._message_facts import facts_of_message
from ._spans import SpanRecord, add_failure
from ._values import text_of
from .messages import said_in

__all__ = ["is_mini_swe", "is_swe_agent", "read_mini_swe", "read_swe_agent"]


def is_swe_agent(document: dict[str, Any]) -> bool:
    steps = document.get("trajectory")
    return (
        isinstance(steps, list)
        and all(isinstance(step, dict) and "action" in step for step in steps[:3])
        and ("history" in document or "info" in document)
    )


def read_swe_agent(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    info = object_of(document.get("info"))
    root, talk = _run(document, info, source)
    history = objects_in(document.get("history"), "history")
    spoken = [one for one in history if one.get("is_demo") is not True]
    for message in spoken:
        if message.get("role") == "assistant":
            break
        talk.extend(said_in([{key: message[key] for key in message if key != "agent"}]))
    asked = iter([one for one in spoken if one.get("role") == "assistant"])
    for position, step in enumerate(objects_in(document["trajectory"], "trajectory")):
        _add_step(talk, step, object_of(next(asked, None)), position)
    _add_sums(root, talk, object_of(info.get("model_stats")))
    return talk.close(root)


def _add_sums(root: SpanRecord, talk: Conversation, sums: dict[str, Any]) -> None:
    """Put what a run used as a whole on the root, when its calls do not tell their parts."""
    names = {INPUT: "tokens_sent", OUTPUT: "tokens_received"}
    for fact, name in names.items():
        count = integer_of(sums.get(name))
        if count and not any(fact in span.facts.metadata for span in talk.spans):
            root.facts.metadata[fact] = count
    cost = amount_of(sums.get("instance_cost"))
    if cost and not any(span.facts.metadata.get(COST) for span in talk.spans):
        root.facts.metadata[COST] = cost


def _run(
    document: dict[str, Any], info: dict[str, Any], source: str
) -> tuple[SpanRecord, Conversation]:
    kept = {f"swe_agent.{key}": info[key] for key in info if key != "config"}
    for key in ("environment", "trajectory_format", "instance_id"):
        if document.get(key):
            kept[f"swe_agent.{key}"] = document[key]
    name = text_of(first_of(document, "instance_id", "environment")) or "swe-agent"
    root, talk = run_of(name, source, kept)
    status = text_of(info.get("exit_status"))
    if status and status.lower() not in _WELL_ENDED:
        add_failure(root, {"message": f"exit status {status}", "type": status})
    if info.get("submission"):
        root.facts.output_data = {"submission": text_of(info["submission"])}
    return root, talk


_WELL_ENDED = ("submitted", "completed", "success")


def _add_step(
    talk: Conversation, step: dict[str, Any], message: dict[str, Any], position: int
) -> None:
    """Tell a step: what the model said, and what came of the action in it."""
    action = text_of(step.get("action")).strip()
    said = Said(
        "assistant", {"role": "assistant", "content": first_of(step, "response", "thought")}
    )
    calls = step.get("tool_calls") or message.get("tool_calls")
    ids = calls if isinstance(calls, list) else []
    key = text_of(object_of(next(iter(ids), None)).get("id")) or f"step {position}"
    if ids:
        said.message["tool_calls"] = ids
    named = object_of(object_of(next(iter(ids), None)).get("function"))
    arguments = parse_json(named.get("arguments"))
    if action or ids:
        name = text_of(named.get("name")) or (action.split() or ["action"])[0][:80]
        given = arguments if isinstance(arguments, dict) else {"action": step.get("action")}
        said.calls = [Call(name, given, key)]
    facts_of_message(said, message)
    if step.get("state"):
        said.metadata["swe_agent.state"] = parse_json(step["state"])
    span = talk.add(said)
    if not said.calls:
        return
    result = Result(key, "", {"content": step.get("observation")})
    lasted = step.get("execution_time")
    if isinstance(lasted, (int, float)) and 0 <= lasted < 1e6:
        result.metadata["swe_agent.execution_time"] = lasted
        if span is not None and span.end is not None:
            result.end = span.end + timedelta(seconds=lasted)
    answer = {"role": "tool", "tool_call_id": key, "content": step.get("observation")}
    talk.add(Said("tool", answer, results=[result], is_more_than_results=False))


def is_mini_swe(document: dict[str, Any]) -> bool:
    form = document.get("trajectory_format")
    is_named = isinstance(form, str) and form.startswith("mini-swe-agent")
    info = object_of(document.get("info"))
    return isinstance(document.get("messages"), list) and (is_named or "mini_version" in info)


def read_mini_swe(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    root, talk = _run(document, object_of(document.get("info")), source)
    messages = objects_in(document.get("messages"), "messages")
    for message in messages:
        _add_message(talk, message)
    _add_sums(root, talk, object_of(object_of(document.get("info")).get("model_stats")))
    return talk.close(root)


def _add_message(talk: Conversation, message: dict[str, Any]) -> None:
    """Tell a message; a complaint about an answer tells that answer, which stands nowhere else."""
    extra = object_of(message.get("extra"))
    refused = object_of(extra.get("response"))
    if message.get("role") == "user" and refused.get("choices"):
        choices = objects_in(refused["choices"], "choices")
        said = next(said_in([object_of(choices[0].get("message")) if choices else {}]))
        said.role = "assistant"
        facts_of_message(said, {"extra": extra, **refused, "created": None})
        said.error = text_of(extra.get("interrupt_type")) or None
        talk.add(said)
        message = {**message, "extra": {key: extra[key] for key in extra if key != "response"}}
    actions = extra.get("actions")
    for said in said_in([message]):
        told = parse_json(message.get("content"))
        if message.get("role") == "assistant" and not said.calls:
            listed = actions if isinstance(actions, list) else _commands_in(message)
            said.calls = [Call("bash", _command_of(one)) for one in listed]
        elif message.get("role") == "user" and "returncode" in extra:  # versions without tools
            output = {"content": first_of(extra, "raw_output") or told}
            code = extra["returncode"]
            error = f"exit code {code}" if code not in (0, None) else None
            said.results = [Result("", "", output, error)]
            said.role, said.is_more_than_results = "tool", False
        talk.add(said)


def _command_of(action: Any) -> dict[str, Any]:
    inner = object_of(action)
    return inner if inner else {"command": action}


def _commands_in(message: dict[str, Any]) -> list[str]:
    """Return the one command in a fence of `bash` that versions before 2 wrote into the text."""
    text = text_of(message.get("content"))
    _, found, rest = text.partition("```bash\n")
    return [rest.partition("\n```")[0]] if found else []
