"""The names that other tracing tools give to the facts of an agent's run, in both directions.

`attributes_of` writes a node's facts under the OpenTelemetry GenAI and the OpenInference names
together, because each receiver reads one of the two. `facts_of` reads the attributes of anybody's
span: those names, their older spellings, and those of Traceloop, Langfuse, MLflow, Logfire and the
Vercel AI SDK. What it does not know stays in the metadata under its own name.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from logtracer import Node, NodeType

__all__ = ["Facts", "attributes_of", "facts_of", "type_of"]

NODE_TYPE = "logtracer.node.type"  # present on every span of ours: it decides how one is read
_LIMIT = 1 << 63  # integers on the wire are signed and have 64 bits

# ---- What a node type is called elsewhere ------------------------------------------------------

_OPENINFERENCE_KIND = {
    "trace": "AGENT",
    "llm_call": "LLM",
    "tool_call": "TOOL",
    "retrieval": "RETRIEVER",
    "validation": "GUARDRAIL",
    "sub_agent": "AGENT",
}  # the others are steps of a CHAIN

_OPERATION = {
    "trace": "invoke_workflow",
    "llm_call": "chat",
    "tool_call": "execute_tool",
    "retrieval": "retrieval",
    "sub_agent": "invoke_agent",
}  # the GenAI conventions have no word for the others

_TYPE_OF_OPERATION = {
    "chat": NodeType.LLM_CALL,
    "generate_content": NodeType.LLM_CALL,
    "text_completion": NodeType.LLM_CALL,
    "completion": NodeType.LLM_CALL,
    "fetch_response": NodeType.LLM_CALL,
    "embedding": NodeType.RETRIEVAL,
    "embeddings": NodeType.RETRIEVAL,
    "rerank": NodeType.RETRIEVAL,
    "retrieval": NodeType.RETRIEVAL,
    "search_memory": NodeType.RETRIEVAL,
    "execute_tool": NodeType.TOOL_CALL,
    "invoke_agent": NodeType.SUB_AGENT,
    "create_agent": NodeType.SUB_AGENT,
    "invoke_workflow": NodeType.SUB_AGENT,
    "plan": NodeType.DECISION,
    "apply_guardrail": NodeType.VALIDATION,
}

# OpenInference, Langfuse, Traceloop, LangSmith and MLflow share the words for a kind of step.
_TYPE_OF_KIND = {
    "llm": NodeType.LLM_CALL,
    "chat_model": NodeType.LLM_CALL,
    "generation": NodeType.LLM_CALL,
    "tool": NodeType.TOOL_CALL,
    "retriever": NodeType.RETRIEVAL,
    "embedding": NodeType.RETRIEVAL,
    "reranker": NodeType.RETRIEVAL,
    "agent": NodeType.SUB_AGENT,
    "workflow": NodeType.SUB_AGENT,
    "guardrail": NodeType.VALIDATION,
    "evaluator": NodeType.VALIDATION,
    "chain": NodeType.TRANSFORMATION,
    "task": NodeType.TRANSFORMATION,
    "prompt": NodeType.TRANSFORMATION,
    "parser": NodeType.TRANSFORMATION,
}

_KIND_NAMES = ("openinference.span.kind", "langsmith.span.kind")
_OPERATION_NAMES = ("gen_ai.operation.name", "llm.request.type")
_LATER_KIND_NAMES = ("traceloop.span.kind", "langfuse.observation.type", "mlflow.spanType")
_VERCEL_CALLS = (".doGenerate", ".doStream")
_VERCEL_EMBEDDINGS = (".doEmbed",)


def type_of(attributes: Mapping[str, Any], name: str = "") -> str:
    """Return the node type that a span's attributes, or at last its name, stand for."""
    own = attributes.get(NODE_TYPE)
    if isinstance(own, str) and own:
        return own
    found = (
        _look_up(attributes, _KIND_NAMES, _TYPE_OF_KIND)
        or _look_up(attributes, _OPERATION_NAMES, _TYPE_OF_OPERATION)
        or _look_up(attributes, _LATER_KIND_NAMES, _TYPE_OF_KIND)
        or _vercel_type(str(attributes.get("ai.operationId", name)))
        or _TYPE_OF_OPERATION.get(name.split(" ")[0] if "_" in name.split(" ")[0] else "")
    )
    return found or _type_by_presence(attributes) or NodeType.CUSTOM


def _type_by_presence(attributes: Mapping[str, Any]) -> NodeType | None:
    """Return what a span without a word for its kind must be: those of older pydantic-ai."""
    if "gen_ai.request.model" in attributes:
        return NodeType.LLM_CALL
    if "gen_ai.tool.name" in attributes:
        return NodeType.TOOL_CALL
    return NodeType.SUB_AGENT if "all_messages_events" in attributes else None


def type_of_kind(kind: object) -> str:
    """Return the node type for another tool's word for a kind of step."""
    return _TYPE_OF_KIND.get(str(kind).lower(), NodeType.CUSTOM)


def _look_up(
    attributes: Mapping[str, Any], names: Iterable[str], types: Mapping[str, NodeType]
) -> NodeType | None:
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str) and value.lower() in types:
            return types[value.lower()]
    return None


def _vercel_type(operation: str) -> NodeType | None:
    if not operation.startswith("ai."):
        return None
    if operation.endswith(_VERCEL_CALLS):
        return NodeType.LLM_CALL
    if operation.endswith(_VERCEL_EMBEDDINGS):
        return NodeType.RETRIEVAL
    return NodeType.TOOL_CALL if operation == "ai.toolCall" else None


# ---- Writing: a node's facts under everybody's names ---------------------------------------------

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


def _is_derived(name: str) -> bool:
    root = name.partition(".")[0]
    return name in _DERIVED or root in _DERIVED_ROOTS or name.startswith(_DERIVED_BY_RECEIVERS)


def attributes_of(node: Node) -> dict[str, Any]:
    """Return a node's facts as flat attributes: text, numbers, booleans and lists of them.

    Reading them back with `facts_of` gives the same type, data, annotations and metadata.
    """
    kind = str(node.node_type)
    attributes: dict[str, Any] = {
        NODE_TYPE: kind,
        "openinference.span.kind": _OPENINFERENCE_KIND.get(kind, "CHAIN"),
    }
    if kind in _OPERATION:
        attributes["gen_ai.operation.name"] = _OPERATION[kind]
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
    return _KEPT if _is_derived(name) else _SENT


def is_simple(value: Any) -> bool:
    """Tell whether an OpenTelemetry attribute can carry the value as it is."""
    kind = type(value)
    if kind is str:
        return bool(value.isascii()) or value == well_formed(value)
    if kind is int:
        return bool(-_LIMIT <= value < _LIMIT)
    if kind is float:
        return bool(value - value == 0.0)  # one NaN costs a receiver's whole batch
    if kind is list and value and type(value[0]) is not list:
        return len({type(item) for item in value}) == 1 and all(map(is_simple, value))
    return kind is bool


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def to_json(value: Any) -> str:
    """Return compact JSON; what JSON cannot carry becomes its text."""
    try:
        text = _encode(value)
    except (TypeError, ValueError, RecursionError):
        text = json.dumps(_bounded(value), ensure_ascii=False, default=repr, separators=(",", ":"))
    return well_formed(text)


def well_formed(text: str) -> str:
    """Spell out lone surrogates, which no UTF-8 receiver takes."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


_MAX_DEPTH = 24  # levels; the tracer records no deeper ones


def _bounded(value: Any, depth: int = 0) -> Any:
    """Return the value with nothing in it that JSON refuses and nothing too deep to read."""
    if isinstance(value, float) and value - value != 0.0:
        return repr(value)
    if not isinstance(value, (dict, list, tuple)):
        return value
    if depth == _MAX_DEPTH:
        return "[TRUNCATED: too deep]"
    if isinstance(value, dict):
        return {str(key): _bounded(item, depth + 1) for key, item in value.items()}
    return [_bounded(item, depth + 1) for item in value]


# ---- Writing: what only one type of node has -----------------------------------------------------


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
        attributes["llm.token_count.total"] = min(sent + received, _LIMIT - 1)
    if parameters:
        attributes["llm.invocation_parameters"] = to_json(parameters)
    _add_messages(attributes, "input", messages_in(node.input_data))
    _add_messages(attributes, "output", messages_in(node.output_data))


def _add_messages(attributes: dict[str, Any], way: str, messages: list[dict[str, Any]]) -> None:
    if not messages:
        return
    attributes[f"gen_ai.{way}.messages"] = to_json([_genai_message(item, way) for item in messages])
    for position, message in enumerate(messages):
        prefix = f"llm.{way}_messages.{position}.message."
        for name, value in _openinference_message(message):
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
        yield "content", _as_text(document)
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

# ---- Messages: chat, Anthropic and GenAI forms ---------------------------------------------------


_MESSAGE_KEYS = frozenset({"messages", "message", "choices", "role", "tool_calls"})


def messages_in(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the chat messages that an llm_call's input or output holds, in whatever form."""
    if _MESSAGE_KEYS.isdisjoint(data):
        return []
    candidates = (data.get("messages"), [data.get("message")], _choices(data), [dict(data)])
    for candidate in candidates:
        if isinstance(candidate, list) and candidate and all(map(_is_message, candidate)):
            return candidate
    return []


def _choices(data: Mapping[str, Any]) -> list[Any]:
    choices = data.get("choices")
    if not isinstance(choices, list):
        return []
    return [
        {"finish_reason": choice.get("finish_reason"), **choice["message"]}
        for choice in choices
        if isinstance(choice, dict) and isinstance(choice.get("message"), dict)
    ]


def _is_message(item: Any) -> bool:
    return isinstance(item, dict) and (isinstance(item.get("role"), str) or "tool_calls" in item)


def _genai_message(message: dict[str, Any], way: str) -> dict[str, Any]:
    parts = message.get("parts")
    if not isinstance(parts, list):
        parts = [*_content_parts(message), *map(_tool_call_part, _tool_calls(message))]
    result = {"role": message.get("role") or "assistant", "parts": parts}
    if way == "output":  # the published schema requires it
        result["finish_reason"] = str(message.get("finish_reason") or "stop")
    return result


def _content_parts(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    content = message.get("content")
    if message.get("role") == "tool":
        yield {
            "type": "tool_call_response",
            "id": message.get("tool_call_id"),
            "response": content,
        }
        return
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, dict) and part.get("type") not in ("text", None):
            yield part
        elif isinstance(part, dict):
            yield {"type": "text", "content": _as_text(part.get("text", part.get("content")))}
        elif part not in (None, ""):
            yield {"type": "text", "content": _as_text(part)}


def _tool_calls(message: dict[str, Any]) -> list[dict[str, Any]]:
    calls = message.get("tool_calls")
    return [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []


def _tool_call_part(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function")
    called = function if isinstance(function, dict) else call
    return {
        "type": "tool_call",
        "id": call.get("id"),
        "name": _as_text(called.get("name")),
        "arguments": parse_json(called.get("arguments")),
    }


def _openinference_message(message: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "role", _as_text(message.get("role") or "assistant")
    content = message.get("content", message.get("parts"))
    if content is not None:
        yield "content", _as_text(content)
    if isinstance(message.get("tool_call_id"), str):
        yield "tool_call_id", well_formed(message["tool_call_id"])
    for position, call in enumerate(_tool_calls(message)):
        part = _tool_call_part(call)
        prefix = f"tool_calls.{position}.tool_call."
        if isinstance(part["id"], str):
            yield prefix + "id", well_formed(part["id"])
        yield prefix + "function.name", part["name"]
        yield prefix + "function.arguments", _as_text(part["arguments"])


def _as_text(value: Any) -> str:
    return well_formed(value) if isinstance(value, str) else to_json(value)


def parse_json(value: Any) -> Any:
    """Return what a JSON text holds; anything else as it is."""
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value, parse_constant=str)
    except (ValueError, RecursionError):
        return value


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
    _spread_events(rest)
    _join_tool_calls(rest)
    facts.input_data = _take_data(rest, _INPUT_MESSAGES, _INPUT_VALUES)
    facts.output_data = _take_data(rest, _OUTPUT_MESSAGES, _OUTPUT_VALUES)
    _take_documents(rest, facts.output_data)
    for canonical, aliases in _ALIASES.items():
        _rename(rest, canonical, aliases)
    if facts.node_type in (NodeType.LLM_CALL, NodeType.RETRIEVAL):
        _take_usage(rest)
    _take_finish_reason(rest)
    return facts


def _own_facts(attributes: dict[str, Any], node_type: str) -> Facts:
    metadata = {name: value for name, value in attributes.items() if not _is_derived(name)}
    metadata.update(_mapping(parse_json(attributes.get("logtracer.metadata"))))
    annotations = attributes.get("logtracer.annotations")
    return Facts(
        node_type,
        _mapping(parse_json(attributes.get("input.value"))),
        _mapping(parse_json(attributes.get("output.value"))),
        list(map(str, annotations)) if isinstance(annotations, list) else [],
        metadata,
    )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


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
        "llm.request.model",
        "ai.model.id",
        "langfuse.observation.model.name",
        "mlflow.llm.model",
    ),
    "gen_ai.response.model": ("ai.response.model", "llm.response.model"),
    "gen_ai.response.id": ("ai.response.id",),
    "gen_ai.tool.name": ("tool.name", "ai.toolCall.name"),
    "gen_ai.tool.description": ("tool.description",),
    "gen_ai.tool.call.id": ("ai.toolCall.id", "tool_call.id"),
    "gen_ai.agent.name": ("agent.name", "agent_name"),
}

# Only on the call itself: a span around several calls often repeats their sum, and who adds up
# `gen_ai.usage` must not count it twice.
_USAGE_ALIASES = {
    "gen_ai.usage.input_tokens": (
        "llm.token_count.prompt",
        "gen_ai.usage.prompt_tokens",
        "llm.usage.prompt_tokens",
        "ai.usage.inputTokens",
        "ai.usage.promptTokens",
        "ai.usage.tokens",
    ),
    "gen_ai.usage.output_tokens": (
        "llm.token_count.completion",
        "gen_ai.usage.completion_tokens",
        "llm.usage.completion_tokens",
        "ai.usage.outputTokens",
        "ai.usage.completionTokens",
    ),
    "gen_ai.usage.cache_read.input_tokens": (
        "llm.token_count.prompt_details.cache_read",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.details.cache_read_tokens",
        "ai.usage.cachedInputTokens",
    ),
    "gen_ai.usage.cache_creation.input_tokens": (
        "llm.token_count.prompt_details.cache_write",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.details.cache_write_tokens",
    ),
    "gen_ai.usage.reasoning.output_tokens": (
        "llm.token_count.completion_details.reasoning",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens",
        "ai.usage.reasoningTokens",
    ),
}
_TOTALS = ("llm.token_count.total", "llm.usage.total_tokens", "gen_ai.usage.total_tokens")
_MLFLOW_USAGE = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_input_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_creation_input_tokens": "gen_ai.usage.cache_creation.input_tokens",
}


def _langfuse_usage(usage: Mapping[str, Any]) -> dict[str, int]:
    """Return the counts of Langfuse: buckets beside one another, told by the words in their names.

    What OpenAI's own names say is the whole already, with its parts beside it.
    """
    counts = {str(name): count for name, count in usage.items() if type(count) is int}
    found: dict[str, int] = {}
    for canonical, words in _LANGFUSE_WORDS.items():
        parts = [counts[name] for name in counts if any(word in name for word in words)]
        if parts:
            found[canonical] = sum(parts)
    for whole, way in (("prompt_tokens", "input"), ("completion_tokens", "output")):
        if whole in counts:
            found[f"gen_ai.usage.{way}_tokens"] = counts[whole]
    return found


_LANGFUSE_WORDS = {
    "gen_ai.usage.input_tokens": ("input", "cache_"),
    "gen_ai.usage.output_tokens": ("output",),
    "gen_ai.usage.cache_read.input_tokens": ("cached", "cache_read"),
    "gen_ai.usage.cache_creation.input_tokens": ("cache_creation", "cache_write"),
    "gen_ai.usage.reasoning.output_tokens": ("reasoning",),
}


def _rename(attributes: dict[str, Any], canonical: str, aliases: Iterable[str]) -> None:
    """Move a fact to its GenAI name; an alias that says something else stays beside it."""
    for alias in aliases:
        if alias not in attributes:
            continue
        if attributes.setdefault(canonical, attributes[alias]) == attributes[alias]:
            del attributes[alias]


def _take_usage(attributes: dict[str, Any]) -> None:
    for canonical, aliases in _USAGE_ALIASES.items():
        _rename(attributes, canonical, aliases)
    usage = _mapping(parse_json(attributes.get("mlflow.chat.tokenUsage")))
    for name, canonical in _MLFLOW_USAGE.items():
        if type(usage.get(name)) is int:
            attributes.setdefault(canonical, usage[name])
    usage = _mapping(parse_json(attributes.get("langfuse.observation.usage_details")))
    for canonical, count in _langfuse_usage(usage).items():
        attributes.setdefault(canonical, count)
    _make_counts_whole(attributes)
    counts = [attributes.get(f"gen_ai.usage.{way}_tokens") for way in ("input", "output")]
    if type(counts[0]) is int and type(counts[1]) is int:
        for name in _TOTALS:  # a sum that adds nothing
            if attributes.get(name) == counts[0] + counts[1]:
                del attributes[name]


def _make_counts_whole(attributes: dict[str, Any]) -> None:
    """Turn counts that went through floats, as in pandas and in Datadog, back into integers."""
    for name in _USAGE_ALIASES:
        count = attributes.get(name)
        if isinstance(count, float) and count.is_integer():
            attributes[name] = int(count)


_FINISH_REASONS = (
    "ai.response.finishReason",
    "ai.finishReason",
    "llm.finish_reason",
    "gen_ai.response.finish_reason",
)


def _take_finish_reason(attributes: dict[str, Any]) -> None:
    for name in _FINISH_REASONS:
        reason = attributes.get(name)
        if not isinstance(reason, str):
            continue
        if attributes.setdefault("gen_ai.response.finish_reasons", [reason]) == [reason]:
            del attributes[name]


# ---- Reading: inputs and outputs -----------------------------------------------------------------

_INPUT_MESSAGES = (
    "gen_ai.input.messages",
    "llm.input_messages",
    "gen_ai.prompt",
    "llm.prompts",
    "ai.prompt.messages",
    "pydantic_ai.all_messages",
    "all_messages_events",
)
_INPUT_VALUES = (
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
    "input",
)
_OUTPUT_MESSAGES = (
    "gen_ai.output.messages",
    "llm.output_messages",
    "gen_ai.completion",
    "llm.completions",
)
_OUTPUT_VALUES = (
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
    is_chat = isinstance(value, list) and value and all(map(_is_message, value))
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
    documents = _take_list(attributes, "retrieval.documents")
    if documents:
        output.setdefault("documents", documents)


# ---- Reading: objects in objects, as Phoenix gives attributes back -------------------------------

_NESTING_ROOTS = ("llm", "openinference", "gen_ai", "retrieval", "embedding", "reranker", "tool")
_NESTED_LISTS = ("llm.", "retrieval.", "reranker.", "embedding.")


def _flatten(attributes: dict[str, Any]) -> None:
    """Give nested facts the dotted names that they have on a span."""
    nested = [name for name in _NESTING_ROOTS if isinstance(attributes.get(name), dict)]
    for way in ("input", "output"):
        if "value" in _mapping(attributes.get(way)):
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


# ---- Reading: messages told as events ------------------------------------------------------------

_ROLE_OF_EVENT = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
    "gen_ai.choice": "assistant",
}


def is_message_event(name: Any) -> bool:
    """Tell whether an event of this name stands for messages that were sent or received."""
    return name in _ROLE_OF_EVENT or name in _MESSAGES_OF_EVENT


_MESSAGES_OF_EVENT = {
    "gen_ai.content.prompt": "gen_ai.prompt",
    "gen_ai.content.completion": "gen_ai.completion",
}


def add_message_events(attributes: dict[str, Any], events: Iterable[Mapping[str, Any]]) -> None:
    """Add what message events say as messages, unless the attributes say it themselves."""
    sent: list[Any] = []
    received: list[Any] = []
    for event in events:
        name = event.get("event.name")
        if name in _MESSAGES_OF_EVENT:
            whole = _MESSAGES_OF_EVENT[name]
            attributes.setdefault(whole, event.get(whole))
        elif name in _ROLE_OF_EVENT:
            way = received if name == "gen_ai.choice" else sent
            way.append(_message_of_event(event, _ROLE_OF_EVENT[name]))
    for key, messages in (("gen_ai.input.messages", sent), ("gen_ai.output.messages", received)):
        if messages:
            attributes.setdefault(key, messages)


def _message_of_event(event: Mapping[str, Any], role: str) -> dict[str, Any]:
    said = {key: parse_json(value) for key, value in event.items() if key not in _EVENT_NAMES}
    body = said.pop("gen_ai.event.content", None)
    said.update(_mapping(body))
    message = said.pop("message", None)
    if isinstance(message, dict):
        said.update(message)
    elif message is not None:
        said["content"] = message
    return {"role": role, **said}


_EVENT_NAMES = ("event.name", "gen_ai.system", "gen_ai.message.index")


def _spread_events(attributes: dict[str, Any]) -> None:
    """Read the list of events that pydantic-ai and Logfire wrote into one attribute."""
    events = parse_json(attributes.get("events"))
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        return
    if events and all(is_message_event(event.get("event.name")) for event in events):
        add_message_events(attributes, events)
        del attributes["events"]


def _join_tool_calls(attributes: dict[str, Any]) -> None:
    """Put the tools that a model asked for beside its text, where the Vercel AI SDK parts them."""
    for root in ("ai.response", "ai.result"):
        calls = parse_json(attributes.get(f"{root}.toolCalls"))
        if isinstance(calls, list) and calls and all(isinstance(call, dict) for call in calls):
            del attributes[f"{root}.toolCalls"]
            message = {
                "role": "assistant",
                "content": attributes.pop(f"{root}.text", None),
                "tool_calls": [_vercel_call(call) for call in calls],
            }
            attributes.setdefault("gen_ai.output.messages", [message])


def _vercel_call(call: Mapping[str, Any]) -> dict[str, Any]:
    names = {"toolCallId": "id", "toolName": "name", "args": "arguments", "input": "arguments"}
    return {names.get(key, key): value for key, value in call.items()}


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
