"""What the attributes of a span say, in the words of the GenAI conventions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from logtracer import NodeType

from .messages import is_message, join_tool_calls, spread_events
from .types import NODE_TYPE, type_of
from .usage import rename, take_claude_code_usage, take_usage
from .values import mapping, parse_json
from .writing import is_derived

__all__ = [
    "INPUT_MESSAGES",
    "INPUT_VALUES",
    "OUTPUT_MESSAGES",
    "OUTPUT_VALUES",
    "Facts",
    "facts_of",
]


# ---- Reading: anybody's attributes as a node's facts ---------------------------------------------


@dataclass(slots=True)
class Facts:
    """What a span's attributes say about a node."""

    node_type: str
    input_data: dict[str, Any] = field(default_factory=dict)
    output_data: dict[str, Any] = field(default_factory=dict)
    annotations: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)


def facts_of(attributes: Mapping[str, Any], name: str = "") -> Facts:
    """Read the attributes of a span; those nobody knows stay in `metadata`."""
    rest = dict(attributes)
    if NODE_TYPE in rest:
        return _own_facts(rest, type_of(rest, name))
    _flatten(rest)
    facts = Facts(type_of(rest, name), metadata=rest)
    spread_events(rest)
    join_tool_calls(rest)
    facts.input_data = _take_data(rest, INPUT_MESSAGES, INPUT_VALUES)
    facts.output_data = _take_data(rest, OUTPUT_MESSAGES, OUTPUT_VALUES)
    _take_documents(rest, facts.output_data)
    for canonical, aliases in _ALIASES.items():
        rename(rest, canonical, aliases)
    if name == "claude_code.llm_request":
        take_claude_code_usage(rest)
    if facts.node_type in (NodeType.LLM_CALL, NodeType.RETRIEVAL):
        take_usage(rest)
    _take_finish_reason(rest)
    return facts


def _own_facts(attributes: dict[str, Any], node_type: str) -> Facts:
    metadata = {name: value for name, value in attributes.items() if not is_derived(name)}
    metadata.update(mapping(parse_json(attributes.get("logtracer.metadata"))))
    annotations = attributes.get("logtracer.annotations")
    return Facts(
        node_type,
        mapping(parse_json(attributes.get("input.value"))),
        mapping(parse_json(attributes.get("output.value"))),
        list(map(str, annotations)) if isinstance(annotations, list) else [],
        metadata,
    )


# GenAI name -> what others, and older versions of it, call the same.
_ALIASES = {
    "gen_ai.provider.name": (
        "gen_ai.system",
        "llm.provider",
        "llm.system",
        "llm.vendor",
        "ai.model.provider",
        "mlflow.llm.provider",
    ),
    "gen_ai.request.model": (
        "llm.model_name",
        "llm.request.model_name",
        "llm.request.model",
        "ai.model.id",
        "langfuse.observation.model.name",
        "mlflow.llm.model",
    ),
    "gen_ai.response.model": ("ai.response.model", "llm.response.model_name", "llm.response.model"),
    "gen_ai.response.id": ("ai.response.id",),
    "gen_ai.tool.name": ("tool.name", "ai.toolCall.name", "tool_name"),
    "gen_ai.tool.description": ("tool.description",),
    "gen_ai.tool.call.id": ("ai.toolCall.id", "tool_call.id"),
    "gen_ai.agent.name": ("agent.name", "agent_name"),
}


_FINISH_REASONS = (
    "ai.response.finishReason",
    "ai.finishReason",
    "llm.finish_reason",
    "gen_ai.response.finish_reason",
)


def _take_finish_reason(attributes: dict[str, Any]) -> None:
    reasons = attributes.get("gen_ai.response.finish_reasons")
    if isinstance(reasons, str):
        attributes["gen_ai.response.finish_reasons"] = parse_json(reasons)
    for name in _FINISH_REASONS:
        reason = attributes.get(name)
        if not isinstance(reason, str):
            continue
        if attributes.setdefault("gen_ai.response.finish_reasons", [reason]) == [reason]:
            del attributes[name]


# ---- Reading: inputs and outputs -----------------------------------------------------------------

INPUT_MESSAGES = (
    "gen_ai.input.messages",
    "llm.input_messages",
    "gen_ai.prompt",
    "llm.prompts",
    "ai.prompt.messages",
    "pydantic_ai.all_messages",
    "all_messages_events",
)
INPUT_VALUES = (
    "input.value",
    "gen_ai.tool.call.arguments",
    "traceloop.entity.input",
    "langfuse.observation.input",
    "mlflow.spanInputs",
    "ai.prompt",
    "ai.toolCall.args",
    "ai.value",
    "ai.values",
    "tool_arguments",
    "gen_ai.prompt",
    "gen_ai.retrieval.query.text",
    "gen_ai.memory.query.text",
    "input",
)
OUTPUT_MESSAGES = (
    "gen_ai.output.messages",
    "llm.output_messages",
    "gen_ai.completion",
    "llm.completions",
)
OUTPUT_VALUES = (
    "output.value",
    "gen_ai.tool.call.result",
    "traceloop.entity.output",
    "langfuse.observation.output",
    "mlflow.spanOutputs",
    "ai.response.text",
    "ai.response.object",
    "ai.result.text",
    "ai.result.object",
    "ai.toolCall.result",
    "ai.embedding",
    "ai.embeddings",
    "final_result",
    "tool_response",
    "gen_ai.completion",
    "output",
)


def _take_data(
    attributes: dict[str, Any], message_names: Iterable[str], value_names: Iterable[str]
) -> dict[str, Any]:
    """Take the first list of messages and the first other value; the rest stays where it is."""
    data: dict[str, Any] = {}
    for name in message_names:
        messages = _take_messages(attributes, name)
        if messages:
            data["messages"] = messages
            break
    taken = next((name for name in value_names if name in attributes), None)
    if taken is None:
        return data
    value = parse_json(attributes.pop(taken))
    if taken.endswith(".value"):
        attributes.pop(taken[: -len("value")] + "mime_type", None)
    if isinstance(value, dict) and not data:
        return value
    is_chat = isinstance(value, list) and value and all(map(is_message, value))
    data["messages" if is_chat and not data else "value"] = value
    return data


def _take_messages(attributes: dict[str, Any], name: str) -> list[Any] | None:
    """Take messages that are one JSON text, one list, or an attribute for every field."""
    whole = parse_json(attributes.get(name))
    if isinstance(whole, list):
        del attributes[name]
        return whole
    return _take_list(attributes, name)


def _take_documents(attributes: dict[str, Any], output: dict[str, Any]) -> None:
    """Take what was retrieved or remembered: OpenInference's documents, those of GenAI, records."""
    documents = _take_list(attributes, "retrieval.documents")
    if documents:
        output.setdefault("documents", documents)
    for name, key in (
        ("gen_ai.retrieval.documents", "documents"),
        ("gen_ai.memory.records", "records"),
    ):
        told = parse_json(attributes.get(name))
        if isinstance(told, list) and key not in output:
            output[key] = told
            del attributes[name]


# ---- Reading: objects in objects, as Phoenix gives attributes back -------------------------------

_NESTING_ROOTS = ("llm", "openinference", "gen_ai", "retrieval", "embedding", "reranker", "tool")
_NESTED_LISTS = ("llm.", "retrieval.", "reranker.", "embedding.")


def _flatten(attributes: dict[str, Any]) -> None:
    """Give nested facts the dotted names that they have on a span."""
    nested = [name for name in _NESTING_ROOTS if isinstance(attributes.get(name), dict)]
    for way in ("input", "output"):
        if "value" in mapping(attributes.get(way)):
            nested.append(way)
    lists = [
        name
        for name, value in attributes.items()
        if name.startswith(_NESTED_LISTS) and isinstance(value, list) and value
        if all(isinstance(item, dict) for item in value)
    ]
    for name in (*nested, *lists):
        for path, value in _leaves(name, attributes.pop(name)):
            attributes.setdefault(path, value)


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    waiting = [(name, value)]
    while waiting:
        path, value = waiting.pop()
        is_deep = path.count(".") >= _MAX_LEVELS
        is_list = isinstance(value, list) and path.startswith(_NESTED_LISTS)
        if isinstance(value, dict) and value and not is_deep:
            waiting += [(f"{path}.{key}", below) for key, below in value.items()]
        elif is_list and any(isinstance(item, dict) for item in value) and not is_deep:
            waiting += [(f"{path}.{at}", below) for at, below in enumerate(value)]
        elif value is not None:
            yield path, value


# ---- Reading: lists written as one attribute for every field -------------------------------------

_MAX_LEVELS = 16  # of a dotted name; nobody's conventions need more than eight
_WRAPPERS = {"message", "message_content", "tool_call", "document", "tool"}


def _take_list(attributes: dict[str, Any], name: str) -> list[Any]:
    """Take `name.0.role`, `name.0.content`, `name.1.role` ... as a list of objects."""
    prefix = name + "."
    tree: dict[str, Any] = {}
    for key in [key for key in attributes if key.startswith(prefix)]:
        path = key[len(prefix) :].split(".")
        if path[0].isdecimal() and len(path) <= _MAX_LEVELS and _plant(tree, path, attributes[key]):
            del attributes[key]
    return _ordered(tree) if tree else []


def _plant(tree: dict[str, Any], path: list[str], value: Any) -> bool:
    """Put a value at its path; False when an earlier value is in the way."""
    for step in path[:-1]:
        below = tree.setdefault(step, _Branch())
        if not isinstance(below, _Branch):
            return False
        tree = below
    if path[-1] in tree:
        return False
    tree[path[-1]] = value
    return True


class _Branch(dict[str, Any]):
    """An object of ours within the tree, unlike a value that happens to be an object."""


def _ordered(tree: dict[str, Any]) -> list[Any]:
    return [_grown(tree[key]) for key in sorted(tree, key=lambda key: (len(key), key))]


def _grown(value: Any) -> Any:
    """Turn branches whose names are all numbers into lists, and open their wrappers."""
    if not isinstance(value, _Branch):
        return value
    if all(key.isdecimal() for key in value):
        return _ordered(value)
    if len(value) == 1 and next(iter(value)) in _WRAPPERS:
        return _grown(next(iter(value.values())))
    return {key: _grown(below) for key, below in value.items()}
