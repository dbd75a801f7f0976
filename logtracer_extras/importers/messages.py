"""Chat messages: a conversation or a bare list of them, whoever's they are.

OpenAI's (both interfaces), Anthropic's, Google's contents, Bedrock's, LangChain's, the Vercel AI
SDK's and those of the GenAI conventions. Which one a message is shows in each of its parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from ..conventions.values import first_of, object_of, objects_in, well_formed
from ._conversation import Conversation, Said, run_of
from ._kinds import count_kinds
from ._message_facts import facts_of_message, moment_in
from ._message_parts import (
    calls_in,
    is_result,
    parts_of,
    results_in,
    said_by_item,
    unwrapped,
)
from ._spans import SpanRecord
from ._values import clean_values, text_of

__all__ = [
    "is_conversation",
    "is_message",
    "read_conversation",
    "read_message_list",
    "read_messages",
    "role_of",
    "said_in",
    "said_of",
]


def is_message(item: Any) -> bool:
    return isinstance(item, dict) and bool(role_of(unwrapped(item)))


_ROLES = {
    "ai": "assistant",
    "AIMessageChunk": "assistant",
    "human": "user",
    "HumanMessageChunk": "user",
    "model": "assistant",
    "function": "tool",
}
_LANGCHAIN_TYPES = {
    "human",
    "ai",
    "system",
    "tool",
    "function",
    "developer",
    "chat",
} | _ROLES.keys()


def role_of(message: dict[str, Any]) -> str:
    """Return who speaks; the items of OpenAI's newer interface have a type instead of a role."""
    role = message.get("role")
    if isinstance(role, str):
        return _ROLES.get(role, well_formed(role))
    kind = message.get("type")
    if not isinstance(kind, str):
        return ""
    if "content" in message and kind in _LANGCHAIN_TYPES:
        return _ROLES.get(kind, kind)
    return said_by_item(kind)


def is_conversation(document: dict[str, Any]) -> bool:
    if is_message(document) or document.get("object") in _ANSWERS or _only_message(document):
        return True
    messages = _messages_of(document)
    return isinstance(messages, list) and bool(messages) and is_message(messages[0])


def _only_message(document: dict[str, Any]) -> dict[str, Any]:
    """Return the message in an answer of Google's or of Bedrock's; an empty one when it is none."""
    first = object_of(next(iter(_list_of(document.get("candidates"))), None))
    google = object_of(first.get("content"))
    message = google or object_of(object_of(document.get("output")).get("message"))
    return message if is_message(message) else {}


_ANSWERS = ("response", "chat.completion")
_LISTS = ("messages", "history", "contents")


def _messages_of(document: dict[str, Any]) -> Any:
    return first_of(document, *_LISTS)


def read_conversation(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    """Read a conversation, what a provider answered, or the log of one call with its answer."""
    root, talk = run_of("conversation", source)
    if is_message(document):
        talk.extend(said_in([document]))
    elif _only_message(document):
        _describe(root, document, (*_ANSWERED, "candidates", "usageMetadata", "usage_metadata"))
        talk.add(_answered_alone(document))
    elif document.get("object") in _ANSWERS:
        _describe(root, document, _ANSWERED)
        _add_answer(talk, document)
    else:
        _add_messages(root, talk, document)
    return talk.close(root)


def _answered_alone(document: dict[str, Any]) -> Said:
    said = said_of(_only_message(document))
    facts_of_message(said, object_of(next(iter(_list_of(document.get("candidates"))), None)))
    facts_of_message(said, document)
    return said


def _add_messages(root: SpanRecord, talk: Conversation, document: dict[str, Any]) -> None:
    """Add the messages of a document, and the answer to them in the log of a call."""
    _describe(root, document, (*_LISTS, "response"))
    messages = _list_of(_messages_of(document))
    root.kinds = count_kinds(item for item in messages if not isinstance(item, dict))
    talk.extend(said_in([item for item in messages if isinstance(item, dict)]))
    answer = object_of(document.get("response"))
    if answer.get("object") in _ANSWERS or "choices" in answer:
        _describe(root, {"response": _without(answer, _ANSWERED)}, ())
        _add_answer(talk, {**_told_beside(document), **answer})


_ANSWERED = ("output", "choices", "usage", "error")  # what the step of an answer has


def _without(document: dict[str, Any], taken: Iterable[str]) -> dict[str, Any]:
    return {
        key: document[key] for key in document if key not in taken and document[key] is not None
    }


def _describe(root: SpanRecord, document: dict[str, Any], taken: Iterable[str]) -> None:
    """Keep what is said of the whole, on the root."""
    root.facts.metadata |= clean_values(_without(document, taken))
    session = first_of(document, "sessionId", "session_id", "conversation_id", "thread_id")
    if isinstance(session, str):
        root.facts.metadata["session.id"] = well_formed(session)


def _told_beside(document: dict[str, Any]) -> dict[str, Any]:
    """Return what the log of a call says of it, in the words of an answer."""
    beside = {key: document[key] for key in ("cost", "model", "error") if document.get(key)}
    end = moment_in(document)
    latency = document.get("latency_sec")
    if end is not None and isinstance(latency, (int, float)) and 0 <= latency < 1e6:
        beside["start_time"] = (end - timedelta(seconds=latency)).isoformat()
    return beside | ({} if end is None else {"end_time": end.isoformat()})


def _add_answer(talk: Conversation, answer: dict[str, Any]) -> None:
    """Add one model call for all that a provider answered at once."""
    if answer.get("object") == "response":
        items = [item for item in _list_of(answer.get("output")) if isinstance(item, dict)]
        groups = list(said_in(items)) or [Said("assistant", {"role": "assistant", "content": []})]
        first = next((said for said in groups if said.role == "assistant"), groups[0])
    else:
        groups = [_choices_said(answer)]
        first = groups[0]
    facts_of_message(first, answer)
    if answer.get("error") or answer.get("status") == "failed":
        first.error = answer.get("error") or "failed"
    talk.extend(groups)


def _list_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _choices_said(answer: dict[str, Any]) -> Said:
    """Return the message of an answer; several choices are one call still."""
    choices = objects_in(answer.get("choices"), "choices")
    said = [said_of(object_of(choice.get("message"))) for choice in choices]
    if len(said) == 1:
        only = said[0]
        only.role = "assistant"
        facts_of_message(only, choices[0])
        return only
    message = {"role": "assistant", "choices": choices}
    return Said("assistant", message, [call for one in said for call in one.calls])


def read_message_list(messages: list[Any], source: str) -> Iterator[SpanRecord]:
    return read_conversation({"messages": messages}, source)


def read_messages(messages: Any, trace_id: str, parent_id: str | None) -> list[SpanRecord]:
    """Make the steps of a list of messages below a span."""
    return Conversation(trace_id, parent_id).extend(said_in(objects_in(messages, "messages")))


def said_in(messages: list[dict[str, Any]]) -> Iterator[Said]:
    """Read messages; the items of one answer of OpenAI's newer interface are one message."""
    items: list[dict[str, Any]] = []
    for message in map(unwrapped, messages):
        if _is_item_of_model(message):
            items.append(message)
            continue
        if items:
            yield _items_said(items)
            items = []
        yield said_of(message)
    if items:
        yield _items_said(items)


def _is_item_of_model(message: dict[str, Any]) -> bool:
    kind = message.get("type")
    if kind == "message" and message.get("role") == "assistant":
        parts = _list_of(message.get("content"))
        return any(object_of(part).get("type") in ("output_text", "refusal") for part in parts)
    return "role" not in message and isinstance(kind, str) and said_by_item(kind) == "assistant"


def _items_said(items: list[dict[str, Any]]) -> Said:
    if len(items) == 1 and items[0].get("type") == "message":
        return said_of(items[0])
    said = Said("assistant", {"role": "assistant", "content": items})
    for item in items:
        said.calls += calls_in(item)
        said.results += results_in(item)
        facts_of_message(said, item)
    return said


def said_of(message: dict[str, Any]) -> Said:
    """Read one message: who says it, what it asks of tools, what they answered."""
    message = unwrapped(message)
    role = role_of(message) or text_of(message.get("type")) or "message"
    said = Said(role, message, calls_in(message), results_in(message))
    said.metadata["message.role"] = role
    if role == "assistant":
        said.name = text_of(message.get("name")) if message.get("name") else ""
    elif said.results:
        rest = [part for part in parts_of(message) if not is_result(part)]
        said.is_more_than_results = role != "tool" and bool(rest)
        if said.is_more_than_results:  # a person's word beside the results, or a file
            said.message = {**message, "content": rest}
    facts_of_message(said, message)
    if message.get("error") and not (said.results and said.role == "tool"):
        said.error = message["error"]
    return said
