"""Node types and what every convention calls them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from logtracer import NodeType

__all__ = ["NODE_TYPE", "OPENINFERENCE_KIND", "OPERATION", "type_of", "type_of_kind"]


NODE_TYPE = "logtracer.node.type"  # present on every span of ours: it decides how one is read

OPENINFERENCE_KIND = {
    "trace": "AGENT",
    "llm_call": "LLM",
    "tool_call": "TOOL",
    "retrieval": "RETRIEVER",
    "validation": "GUARDRAIL",
    "sub_agent": "AGENT",
}  # the others are steps of a CHAIN

OPERATION = {
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
    "create_memory": NodeType.TOOL_CALL,
    "update_memory": NodeType.TOOL_CALL,
    "upsert_memory": NodeType.TOOL_CALL,
    "delete_memory": NodeType.TOOL_CALL,
    "create_memory_store": NodeType.TOOL_CALL,
    "delete_memory_store": NodeType.TOOL_CALL,
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
    "decision": NodeType.DECISION,
    "guardrail": NodeType.VALIDATION,
    "evaluator": NodeType.VALIDATION,
    "chain": NodeType.TRANSFORMATION,
    "task": NodeType.TRANSFORMATION,
    "prompt": NodeType.TRANSFORMATION,
    "parser": NodeType.TRANSFORMATION,
}

_TYPE_OF_NAME = {  # the spans of Claude Code, which have no word for their kind
    "claude_code.interaction": NodeType.SUB_AGENT,
    "claude_code.llm_request": NodeType.LLM_CALL,
    "claude_code.tool": NodeType.TOOL_CALL,
    "claude_code.tool.blocked_on_user": NodeType.HUMAN_INPUT,
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
        or _TYPE_OF_NAME.get(name)
        or _TYPE_OF_OPERATION.get(name.split(" ")[0] if "_" in name.split(" ")[0] else "")
    )
    return found or _type_by_presence(attributes) or NodeType.CUSTOM


def _type_by_presence(attributes: Mapping[str, Any]) -> NodeType | None:
    """Return what a span without a word for its kind must be: those of older pydantic-ai."""
    if "all_messages_events" in attributes or "pydantic_ai.all_messages" in attributes:
        return NodeType.SUB_AGENT
    if "gen_ai.request.model" in attributes:
        return NodeType.LLM_CALL
    return NodeType.TOOL_CALL if "gen_ai.tool.name" in attributes else None


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
