"""What LangChain's objects say: messages, answers, and which runs only pass things through."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from ._model_facts import output_of
from ._reading import first, known, plain, read
from ._usage import langchain_usage, usage_facts

_ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant"}
_THOUGHTS = ("reasoning_content", "reasoning")
_TOLD_ALREADY = (*_THOUGHTS, "tool_calls", "parsed")

# ---- Messages ----------------------------------------------------------------------------------


def message_of(message: Any) -> dict[str, Any]:
    """Return a message of the product as a chat message."""
    kind = read(message, "type")
    said = {"role": _ROLES.get(kind, kind), "content": read(message, "content")}
    more = read(message, "additional_kwargs") or {}
    bad_calls = [
        known({name: read(call, name) for name in ("id", "name", "args", "error")})
        for call in read(message, "invalid_tool_calls") or ()
    ]
    extras = {
        "reasoning": first(*(more.get(name) for name in _THOUGHTS)),
        "tool_calls": [_call_of(call) for call in read(message, "tool_calls") or ()],
        "invalid_tool_calls": bad_calls,
        "tool_call_id": read(message, "tool_call_id"),
        **{name: plain(value) for name, value in more.items() if name not in _TOLD_ALREADY},
    }
    said.update((name, value) for name, value in extras.items() if value)
    return said


def _call_of(call: Any) -> dict[str, Any]:
    function = {"name": read(call, "name"), "arguments": read(call, "args")}
    return {"id": read(call, "id"), "type": "function", "function": function}


def plain_state(value: Any) -> Any:
    """Return a graph's state with its messages as chat messages."""
    if isinstance(value, dict):
        return {key: plain_state(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_state(item) for item in value]
    if hasattr(value, "goto") and hasattr(value, "update"):  # what to write, and where to go on
        fields = {name: read(value, name) for name in ("graph", "update", "resume", "goto")}
        return {
            name: plain_state(field) for name, field in fields.items() if field not in (None, ())
        }
    if type(value).__name__ == "Send":  # its text has an id that is new in each run
        return {"node": read(value, "node"), "arg": plain_state(read(value, "arg"))}
    if hasattr(value, "content") and hasattr(value, "type"):
        return message_of(value)
    return value


# ---- Answers -----------------------------------------------------------------------------------


def generations_of(response: Any) -> list[Any]:
    """Return the generations that answer one prompt, as many as there are."""
    groups = read(response, "generations") or ()
    return [one for one in (groups[0] if groups else ()) if one is not None]


def answer_output(generations: Iterable[Any]) -> dict[str, Any]:
    """Return what was generated as an output: messages, or texts of models that complete them."""
    messages, texts = [], []
    for generation in generations:
        message = read(generation, "message")
        if message is not None:
            messages.append(message_of(message))
        else:
            texts.append(read(generation, "text"))
    if messages:
        return output_of(messages)
    if len(texts) == 1:
        return {"text": texts[0]}
    return {"texts": texts} if texts else {}


def answer_facts(response: Any) -> dict[str, Any]:
    """Return the facts of an answer: from its messages, or from what comes beside them."""
    generations = generations_of(response)
    beside = read(response, "llm_output")
    message = read(generations[0], "message") if generations else None
    about = read(message, "response_metadata")
    usage = read(message, "usage_metadata")
    told = langchain_usage(usage) if usage else _usage_beside(about, beside)
    reasons = [_reason_of(generation) for generation in generations]
    facts = {
        "gen_ai.response.id": read(about, "id") or read(message, "id"),
        "gen_ai.response.model": first(
            read(about, "model_name"),
            read(about, "model"),
            read(beside, "model_name"),
            read(beside, "model"),
        ),
        "gen_ai.response.finish_reasons": [reason for reason in reasons if reason] or None,
        "gen_ai.response.service_tier": read(about, "service_tier"),
    }
    return known({**facts, **told})


def _usage_beside(*places: Any) -> dict[str, Any]:
    """Return the tokens that older models and those that complete texts tell for the whole call."""
    for place in places:
        usage = first(read(place, "token_usage"), read(place, "usage"))
        if usage:
            return usage_facts(usage)
    return {}


def _reason_of(generation: Any) -> Any:
    about = read(generation, "message", "response_metadata")
    beside = read(generation, "generation_info")
    names = ("finish_reason", "stop_reason", "status")
    return next(
        (value for place in (about, beside) for name in names if (value := read(place, name))), None
    )


# ---- What kind of run it is ----------------------------------------------------------------------

_PRODUCT = ("langchain", "langgraph")  # how the names of the product's own packages begin
_BETWEEN = ("langchain_core.callbacks", "asyncio", str(__package__))
_MAX_FRAMES = 24  # between a callback and who is behind it


def starter() -> Any:
    """Return the object whose run a callback tells of, None when it cannot be seen."""
    frame = sys._getframe(1)
    for _ in range(_MAX_FRAMES):
        if not str(frame.f_globals.get("__name__")).startswith(_BETWEEN):
            return frame.f_locals.get("self")
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return None


def is_agent(runnable: Any) -> bool:
    """Tell whether a runnable is a graph, or the older kind of agent."""
    names = {base.__name__ for base in type(runnable).__mro__}
    return not names.isdisjoint(("Pregel", "RemoteGraph", "AgentExecutor"))


def is_plumbing(runnable: Any) -> bool:
    """Tell whether a runnable is the product's own and no agent: it passes on what it is given."""
    if runnable is None or is_agent(runnable):
        return False
    steps = read(runnable, "steps")
    if isinstance(steps, list) and type(runnable).__name__ == "RunnableSeq":  # of a graph's node
        runnable = steps[0] if steps else runnable
        if is_agent(runnable):
            return False
    function = first(read(runnable, "func"), read(runnable, "afunc"))
    function = read(function, "func") or function  # a partial one
    home = read(function, "__module__") if function is not None else type(runnable).__module__
    return str(home).startswith(_PRODUCT)
