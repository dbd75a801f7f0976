"""pydantic-ai: the messages of a run, as `all_messages_json()` gives them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conventions.usage import COST, amount_of, usage_facts
from ..conventions.values import first_of, object_of, objects_in, parse_json, well_formed
from ._conversation import Call, Result, Said, run_of
from ._kinds import count_kinds, most_are, sample_of
from ._spans import SpanRecord
from ._values import clock_time, text_of

__all__ = ["is_pydantic_ai", "read_pydantic_ai"]


def _is_message(message: Any) -> bool:
    return (
        isinstance(message, dict)
        and message.get("kind") in ("request", "response")
        and isinstance(message.get("parts"), list)
    )


def is_pydantic_ai(documents: list[Any]) -> bool:
    return most_are(_is_message, sample_of(documents))


def read_pydantic_ai(documents: list[Any], source: str) -> Iterator[SpanRecord]:
    messages = [message for message in documents if _is_message(message)]
    session = next((one["conversation_id"] for one in messages if one.get("conversation_id")), None)
    root, talk = run_of("pydantic-ai", source, {"session.id": session} if session else {})
    root.kinds = count_kinds(one for one in documents if not _is_message(one))
    for message in messages:
        reader = _request if message["kind"] == "request" else _response
        talk.extend(reader(message))
    return talk.close(root)


def _request(message: dict[str, Any]) -> Iterator[Said]:
    """Tell each part of what was sent to the model: instructions, a person's word, results."""
    for part in objects_in(message["parts"], "parts"):
        kind = text_of(part.get("part_kind"))
        moment = clock_time(part.get("timestamp")) or clock_time(message.get("timestamp"))
        if kind in ("tool-return", "builtin-tool-return") or (
            kind == "retry-prompt" and part.get("tool_call_id")
        ):
            yield _result(part, kind, moment)
        else:
            role = "system" if kind == "system-prompt" else "user"
            said = Said(role, {"role": role, "content": part.get("content")})
            said.start = said.end = moment
            yield said


_FAILED = ("failed", "retried", "denied", "error")


def _result(part: dict[str, Any], kind: str, moment: Any) -> Said:
    content = part.get("content")
    failed = kind == "retry-prompt" or part.get("outcome") in _FAILED
    error = (content or "the tool failed") if failed else None
    output = {"content": content}
    result = Result(
        text_of(part.get("tool_call_id")), text_of(part.get("tool_name")), output, error
    )
    if part.get("outcome"):
        result.metadata["pydantic_ai.outcome"] = part["outcome"]
    message = {"role": "tool", "tool_call_id": result.id, **output}
    said = Said("tool", message, results=[result], is_more_than_results=False)
    said.start = said.end = moment
    return said


def _response(message: dict[str, Any]) -> Iterator[Said]:
    parts = objects_in(message["parts"], "parts")
    said = Said("assistant", {"role": "assistant", "content": [_plain(part) for part in parts]})
    for part in parts:
        kind = text_of(part.get("part_kind"))
        if kind in ("tool-call", "builtin-tool-call"):
            name, key = text_of(part.get("tool_name")), text_of(part.get("tool_call_id"))
            said.calls.append(Call(name, parse_json(part.get("args")), key))
        elif kind == "builtin-tool-return":
            said.results += _result(part, kind, None).results
    usage = object_of(message.get("usage"))
    said.metadata = usage_facts(usage)
    amount = amount_of(usage.get("cost"))
    if amount is not None:
        said.metadata[COST] = amount
    _describe(said, message)
    yield said


def _plain(part: dict[str, Any]) -> dict[str, Any]:
    """Return a part in the common words, without the fields that say nothing."""
    told = {key: value for key, value in part.items() if value is not None and key != "part_kind"}
    return {"type": text_of(part.get("part_kind")), **told}


def _describe(said: Said, message: dict[str, Any]) -> None:
    said.end = clock_time(message.get("timestamp"))
    names = {
        "gen_ai.response.model": "model_name",
        "gen_ai.provider.name": "provider_name",
        "gen_ai.response.id": "provider_response_id",
    }
    for fact, name in names.items():
        if isinstance(message.get(name), str):
            said.metadata[fact] = well_formed(message[name])
    reason = first_of(message, "finish_reason")
    if isinstance(reason, str):
        said.metadata["gen_ai.response.finish_reasons"] = [well_formed(reason)]
    said.name = text_of(message.get("model_name")) if message.get("model_name") else ""
