"""What a node is called in the attributes of a span."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from logtracer import Node

from .messages import genai_message, messages_in, openinference_message
from .types import NODE_TYPE, OPENINFERENCE_KIND, OPERATION
from .values import MOST_CHARACTERS, as_text, is_simple, to_json, well_formed

__all__ = ["attributes_of", "is_derived"]


# GenAI name -> OpenInference name, for facts that mean the same in both.
_ALSO = {
    "gen_ai.provider.name": "llm.provider",
    "gen_ai.request.model": "llm.model_name",
    "gen_ai.usage.input_tokens": "llm.token_count.prompt",
    "gen_ai.usage.output_tokens": "llm.token_count.completion",
    "gen_ai.usage.cache_read.input_tokens": "llm.token_count.prompt_details.cache_read",
    "gen_ai.usage.cache_creation.input_tokens": "llm.token_count.prompt_details.cache_write",
    "gen_ai.usage.reasoning.output_tokens": "llm.token_count.completion_details.reasoning",
}

# Names that we derive from a node's other facts: on the way back they are dropped. Metadata that
# uses one of them travels in `logtracer.metadata`, so that it is not dropped with them.
_DERIVED = frozenset(
    {
        "gen_ai.operation.name",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.tool.name",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result",
        "gen_ai.agent.name",
        "gen_ai.workflow.name",
        "gen_ai.retrieval.query.text",
        "gen_ai.conversation.id",
        "agent.name",
        "tool.name",
        "session.id",
        "user.id",
        "tag.tags",
        "error.type",
    }
)
_DERIVED_ROOTS = frozenset(
    {"logtracer", "openinference", "llm", "input", "output", "retrieval", "mlflow"}
)
_DERIVED_BY_RECEIVERS = "tool.parameters"  # Phoenix adds it, and names below it for each argument


def is_derived(name: str) -> bool:
    root = name.partition(".")[0]
    return name in _DERIVED or root in _DERIVED_ROOTS or name.startswith(_DERIVED_BY_RECEIVERS)


def attributes_of(node: Node) -> dict[str, Any]:
    """Return a node's facts as flat attributes: text, numbers, booleans and lists of them.

    Reading them back with `facts_of` gives the same type, data, annotations and metadata.
    """
    kind = str(node.node_type)
    attributes: dict[str, Any] = {
        NODE_TYPE: kind,
        "openinference.span.kind": OPENINFERENCE_KIND.get(kind, "CHAIN"),
    }
    if kind in OPERATION:
        attributes["gen_ai.operation.name"] = OPERATION[kind]
    if node.metadata:
        _add_metadata(attributes, node.metadata)
    if node.input_data:
        attributes["input.value"] = to_json(node.input_data)
        attributes["input.mime_type"] = "application/json"
    if node.output_data:
        attributes["output.value"] = to_json(node.output_data)
        attributes["output.mime_type"] = "application/json"
    if node.annotations:
        attributes["logtracer.annotations"] = [well_formed(text) for text in node.annotations]
    add = _DETAILS.get(kind)
    if add is not None:
        add(attributes, node)
    return attributes


def _add_metadata(attributes: dict[str, Any], metadata: Mapping[str, Any]) -> None:
    """Add each fact as an attribute; what an attribute cannot carry goes into one JSON text."""
    rest: dict[str, Any] = {}
    for name, value in metadata.items():
        fate = _fate(name)
        if fate is not _KEPT and is_simple(value):
            attributes[name] = value
        if fate is not _SENT or name not in attributes:
            rest[name] = value
    if rest:
        attributes["logtracer.metadata"] = to_json(rest)


_SENT = "sent as an attribute"
_KEPT = "kept in logtracer.metadata"
_BOTH = "wins over what we would derive, so it is sent, and kept to come back"


@functools.lru_cache(maxsize=4_096)  # the same few names stand on every node
def _fate(name: object) -> str:
    if not isinstance(name, str) or not name or name != well_formed(name):
        return _KEPT
    if name in _DERIVED:
        return _BOTH
    return _KEPT if is_derived(name) else _SENT


def _add_llm(attributes: dict[str, Any], node: Node) -> None:
    parameters = {}
    for name in node.metadata:
        if name in _ALSO and name in attributes:
            attributes[_ALSO[name]] = attributes[name]
        elif type(name) is str and name.startswith("gen_ai.request."):
            parameters[name[15:]] = node.metadata[name]
    sent = attributes.get("gen_ai.usage.input_tokens")
    received = attributes.get("gen_ai.usage.output_tokens")
    if type(sent) is int and type(received) is int:
        attributes["llm.token_count.total"] = min(sent + received, MOST_CHARACTERS - 1)
    if parameters:
        attributes["llm.invocation_parameters"] = to_json(parameters)
    _add_messages(attributes, "input", messages_in(node.input_data))
    _add_messages(attributes, "output", messages_in(node.output_data))


def _add_messages(attributes: dict[str, Any], way: str, messages: list[dict[str, Any]]) -> None:
    if not messages:
        return
    attributes[f"gen_ai.{way}.messages"] = to_json([genai_message(item, way) for item in messages])
    for position, message in enumerate(messages):
        prefix = f"llm.{way}_messages.{position}.message."
        for name, value in openinference_message(message):
            attributes[prefix + name] = value


def _add_tool(attributes: dict[str, Any], node: Node) -> None:
    name = well_formed(node.name)
    attributes.setdefault("gen_ai.tool.name", name)
    attributes["tool.name"] = attributes["gen_ai.tool.name"]
    if "input.value" in attributes:
        attributes.setdefault("gen_ai.tool.call.arguments", attributes["input.value"])
    if "output.value" in attributes:
        attributes.setdefault("gen_ai.tool.call.result", attributes["output.value"])


def _add_retrieval(attributes: dict[str, Any], node: Node) -> None:
    query = node.input_data.get("query")
    if isinstance(query, str):
        attributes.setdefault("gen_ai.retrieval.query.text", well_formed(query))
    documents = node.output_data.get("documents")
    if isinstance(documents, list):
        for position, document in enumerate(documents):
            prefix = f"retrieval.documents.{position}.document."
            for name, value in _document_fields(document):
                attributes[prefix + name] = value


def _document_fields(document: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(document, dict):
        yield "content", as_text(document)
        return
    for name in ("id", "content", "score"):
        value = document.get(name)
        if value is not None:
            yield name, value if is_simple(value) else to_json(value)
    rest = {key: document[key] for key in document if key not in ("id", "content", "score")}
    if rest:
        yield "metadata", to_json(rest)


def _add_agent(attributes: dict[str, Any], node: Node) -> None:
    name = well_formed(node.name)
    attributes["agent.name"] = attributes.setdefault("gen_ai.agent.name", name)


def _add_workflow(attributes: dict[str, Any], node: Node) -> None:
    attributes.setdefault("gen_ai.workflow.name", well_formed(node.name))


_DETAILS = {
    "trace": _add_workflow,
    "llm_call": _add_llm,
    "tool_call": _add_tool,
    "retrieval": _add_retrieval,
    "sub_agent": _add_agent,
}
