"""A trace in the words of ATIF, the trajectories of Harbor and Terminal-Bench, version 1.8.

ATIF is a list of steps: what a person, the system or the agent said, with the tools that the agent
asked and what they answered. It knows no durations, no typed edges and no tree but sub-agents; what
it cannot hold travels in `extra.logtracer` of the step or the call, from where it comes back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from logtracer import Edge, EdgeType, Node, NodeType, TraceGraph, __version__

from .messages import messages_in
from .usage import COST
from .values import as_text, mapping, to_json, well_formed

__all__ = ["ASSISTANT_KEYS", "OWN", "VERSION", "document_of", "message_of_step"]

VERSION = "ATIF-v1.8"
OWN = "logtracer"  # the key in `extra` of what ATIF has no field for
ASSISTANT_KEYS = ("message", "reasoning_content", "tool_calls")
_NOTE = (
    "Written by logtracer. ATIF has no field for durations, parallel steps, typed edges, retries"
    f" and the tree of steps: they are in extra.{OWN} of each step and tool call."
)


def message_of_step(step: dict[str, Any]) -> dict[str, Any]:
    """Return what an agent said in a step, as a chat message."""
    message: dict[str, Any] = {"role": "assistant", "content": step.get("message")}
    if step.get("reasoning_content"):
        message["reasoning_content"] = step["reasoning_content"]
    calls = step.get("tool_calls")
    if isinstance(calls, list) and calls:
        message["tool_calls"] = [
            {
                "id": mapping(call).get("tool_call_id"),
                "type": "function",
                "function": {
                    "name": mapping(call).get("function_name"),
                    "arguments": mapping(call).get("arguments"),
                },
            }
            for call in calls
        ]
    return message


def document_of(trace: TraceGraph) -> dict[str, Any]:
    """Return a trace as one trajectory, its sub-agents' embedded in it."""
    nodes = [node for _, node in trace.walk()]
    root = nodes[0] if nodes and nodes[0].node_type == "trace" else None
    owners = _owners(nodes, root)
    edges = _edges_by_target(trace)
    writers: dict[str, _Trajectory] = {"": _Trajectory(root, edges)}
    for node in nodes:
        if node is root:
            continue
        writer = writers[owners[node.id]]
        writer.add(node)
        if node.node_type == NodeType.SUB_AGENT:
            writers[node.id] = _Trajectory(node, edges)
    document = writers.pop("").document(trace.name or "agent")
    header = {
        "trace_id": trace.trace_id,
        "name": trace.name,
        "start_time": _iso(trace.start_time),
        "end_time": _iso(trace.end_time),
        "metadata": trace.metadata,
        "root": None if root is None else _own(root, edges),
    }
    session = trace.metadata.get("session_id")
    document = {
        "schema_version": VERSION,
        "session_id": as_text(session) if session else trace.trace_id,
        "trajectory_id": trace.trace_id,
        **document,
        "notes": _NOTE,
        "final_metrics": _totals(nodes, len(document["steps"])),
        "extra": {OWN: header},
    }
    below = [
        {
            "schema_version": VERSION,
            "trajectory_id": node_id,
            **writer.document(trace.nodes[node_id].name or "agent"),
        }
        for node_id, writer in writers.items()
    ]
    return document | ({"subagent_trajectories": below} if below else {})


def _owners(nodes: list[Node], root: Node | None) -> dict[str, str]:
    """Return for each node the sub-agent it is a step of; parents come first."""
    agents = {node.id for node in nodes if node.node_type == NodeType.SUB_AGENT}
    owners: dict[str, str] = {}
    for node in nodes:
        above = node.parent_id or ""
        owners[node.id] = above if above in agents else owners.get(above, "")
    return owners


def _edges_by_target(trace: TraceGraph) -> dict[str, list[Edge]]:
    """Return the edges that say more than who is whose parent, by the later node."""
    found: dict[str, list[Edge]] = {}
    for edge in trace.edges:
        target = trace.nodes.get(edge.target_id)
        if target is None:
            continue
        if edge.edge_type != EdgeType.CAUSED_BY or target.parent_id != edge.source_id:
            found.setdefault(edge.target_id, []).append(edge)
    return found


class _Trajectory:
    """The steps of one agent, in order."""

    def __init__(self, agent: Node | None, edges: dict[str, list[Edge]]) -> None:
        self._agent = agent
        self._edges = edges
        self._steps: list[dict[str, Any]] = []
        self._asking: dict[str, Any] | None = None  # the model's step whose tools are being told
        self._ids: set[str] = set()
        self._results: dict[str, dict[str, Any]] = {}  # by the node of the call they answer
        self._models: list[str] = []
        self._said: list[tuple[Node, dict[str, Any]]] = []

    def add(self, node: Node) -> None:
        if node.node_type == NodeType.SUB_AGENT:
            self._add_sub_agent(node)
        elif node.node_type in (NodeType.TOOL_CALL, NodeType.RETRIEVAL):
            self._add_tool(node)
        elif node.node_type == NodeType.LLM_CALL:
            self._add_model(node)
        else:
            source = "user" if node.node_type == NodeType.HUMAN_INPUT else "system"
            step = self._step(node, source, _words_of(node))
            step["extra"] = {OWN: _own(node, self._edges)}
            self._asking = None

    def document(self, name: str) -> dict[str, Any]:
        """Return the agent and its steps, when all of them are added."""
        for node, step in self._said:
            step["extra"] = {OWN: _own(node, self._edges, {"message": message_of_step(step)})}
        steps = self._steps or [{"step_id": 1, "source": "system", "message": "no steps"}]
        if not self._steps:
            steps[0]["extra"] = {OWN: {}}
        agent: dict[str, Any] = {"name": well_formed(name), "version": __version__}
        if self._models:
            agent["model_name"] = self._models[0]
        tools = mapping(self._agent.metadata if self._agent else None).get(_DEFINITIONS)
        if isinstance(tools, list) and tools and all(isinstance(tool, dict) for tool in tools):
            agent["tool_definitions"] = tools
        return {"agent": agent, "steps": steps}

    def _step(self, node: Node, source: str, message: str) -> dict[str, Any]:
        step: dict[str, Any] = {"step_id": len(self._steps) + 1}
        moment = _iso(node.start_time or node.end_time)
        if moment is not None:
            step["timestamp"] = moment
        step |= {"source": source, "message": message}
        self._steps.append(step)
        return step

    def _add_model(self, node: Node) -> None:
        said = (messages_in(node.output_data) or [{}])[-1]
        text = said.get("content", said.get("parts"))
        step = self._step(node, "agent", _text_in(text) if said else _words_of(node, "output"))
        model = node.metadata.get("gen_ai.response.model", node.metadata.get(_MODEL))
        if isinstance(model, str):
            step["model_name"] = well_formed(model)
            self._models.append(step["model_name"])
        thought = said.get("reasoning_content")
        if isinstance(thought, str) and thought:
            step["reasoning_content"] = well_formed(thought)
        metrics = _metrics(node)
        if metrics:
            step["metrics"] = metrics
        step["llm_call_count"] = 1
        self._said.append((node, step))  # what it holds is known when its tools are told
        self._asking = step

    def _add_tool(self, node: Node) -> None:
        """Put a call on the step of the model before it, or on one of its own without a model."""
        step = self._asking
        if step is None:
            step = self._step(node, "agent", "")
            step["llm_call_count"] = 0
        key = as_text(node.metadata.get("gen_ai.tool.call.id") or node.id)
        if key in self._ids:  # some models count their calls anew in each answer
            key = node.id
        self._ids.add(key)
        content = node.output_data.get("content")
        plain = isinstance(content, str) and len(node.output_data) == 1
        call = {
            "tool_call_id": key,
            "function_name": well_formed(node.name) or "tool",
            "arguments": node.input_data,
            "extra": {OWN: _own(node, self._edges, {"content": content} if plain else None)},
        }
        step.setdefault("tool_calls", []).append(call)
        if node.output_data or node.error:
            told = content if plain else _words_of(node, "output") or node.error
            result = {"source_call_id": key, "content": well_formed(as_text(told))}
            step.setdefault("observation", {"results": []})["results"].append(result)
            self._results[node.id] = result

    def _add_sub_agent(self, node: Node) -> None:
        """Refer to a sub-agent's trajectory from what called it, or from a step of its own."""
        reference = {"trajectory_id": node.id, "extra": {OWN: _own(node, self._edges)}}
        result = self._results.get(node.parent_id or "")
        if result is None:
            result = {}
            step = self._step(node, "system", well_formed(node.name))
            step["observation"] = {"results": [result]}
            step["extra"] = {OWN: {}}
            self._asking = None
        result.setdefault("subagent_trajectory_ref", []).append(reference)


_MODEL = "gen_ai.request.model"
_DEFINITIONS = "gen_ai.tool.definitions"


def _words_of(node: Node, way: str = "") -> str:
    """Return the text that a step has, else its data as JSON, else what it is called."""
    for data in (node.output_data, {} if way == "output" else node.input_data):
        text = data.get("content", data.get("value"))
        if isinstance(text, str):
            return well_formed(text)
        if data:
            return to_json(data)
    return "" if way == "output" else well_formed(node.name)


def _text_in(content: Any) -> str:
    """Return the text of a message's content; parts that are no text as JSON."""
    if content is None:
        return ""
    if not isinstance(content, list):
        return as_text(content)
    return "\n".join(filter(None, map(_text_of_part, content)))


def _text_of_part(part: Any) -> str:
    if isinstance(part, dict):
        text = part.get("text", part.get("content"))
        return well_formed(text) if isinstance(text, str) else ""
    return as_text(part)


_METRICS = {
    "prompt_tokens": "gen_ai.usage.input_tokens",
    "completion_tokens": "gen_ai.usage.output_tokens",
    "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
}


def _metrics(node: Node) -> dict[str, Any]:
    counts = {name: node.metadata.get(fact) for name, fact in _METRICS.items()}
    found: dict[str, Any] = {
        name: count for name, count in counts.items() if type(count) is int and count >= 0
    }
    cost = node.metadata.get(COST)
    if isinstance(cost, (int, float)) and not isinstance(cost, bool):
        found["cost_usd"] = float(cost)
    return found


def _totals(nodes: list[Node], steps: int) -> dict[str, Any]:
    told = [_metrics(node) for node in nodes if node.node_type == NodeType.LLM_CALL]
    totals: dict[str, Any] = {"total_steps": steps}
    for name in (*_METRICS, "cost_usd"):
        parts = [metrics[name] for metrics in told if name in metrics]
        if parts:
            totals[f"total_{name}"] = sum(parts)
    return totals


_FIELDS = ("error", "error_type", "error_traceback", "annotations", "metadata")


def _own(
    node: Node, edges: dict[str, list[Edge]], held: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return what a step does not hold of a node; `held` is the output that it does hold."""
    own: dict[str, Any] = {
        "id": node.id,
        "parent_id": node.parent_id,
        "sequence_number": node.sequence_number,
        "name": node.name,
        "node_type": str(node.node_type),
        "status": node.status.value,
        "start_time": _iso(node.start_time),
        "end_time": _iso(node.end_time),
    }
    own |= {name: getattr(node, name) for name in _FIELDS if getattr(node, name)}
    if node.input_data and node.node_type not in (NodeType.TOOL_CALL, NodeType.RETRIEVAL):
        own["input_data"] = node.input_data
    if node.output_data != held:
        own["output_data"] = node.output_data
    if node.id in edges:
        own["edges"] = list(_told_edges(edges[node.id]))
    return own


def _told_edges(edges: list[Edge]) -> Iterator[dict[str, Any]]:
    for edge in edges:
        told = {"source": edge.source_id, "type": str(edge.edge_type), "label": edge.label}
        yield {**told, "metadata": edge.metadata} if edge.metadata else told


def _iso(moment: Any) -> str | None:
    return None if moment is None else str(moment.isoformat(timespec="microseconds"))
