"""tau2-bench's simulations, and the trajectories of tau-bench before it.

In tau2 both the agent and the simulated user are models and may call tools; a message of the user
with usage is a model's too, and a tool's message tells whose call it answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from logtracer import TraceLoadError

from ..conventions.values import object_of, objects_in
from ._conversation import Conversation, run_of
from ._message_facts import facts_of_message
from ._spans import SpanRecord, add_failure
from ._values import clock_time, text_of
from .messages import said_in

__all__ = ["is_tau", "is_tau2", "read_tau", "read_tau2"]


def is_tau2(document: dict[str, Any]) -> bool:
    runs = document.get("simulations")
    if isinstance(runs, list) and all(isinstance(run, dict) for run in runs):
        return any("messages" in run or "ticks" in run for run in runs) or "info" in document
    is_one = "termination_reason" in document and "task_id" in document
    return is_one and ("messages" in document or "ticks" in document)


def read_tau2(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    runs = document.get("simulations", [document])
    if not runs:
        raise TraceLoadError("tau2 results without a simulation in them")
    for position, run in enumerate(objects_in(runs, "simulations")):
        yield from _simulation(run, f"{source}/{position}/{text_of(run.get('id'))}")


def _simulation(run: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    kept = {f"tau2.{key}": run[key] for key in run if key not in _TAKEN}
    root, talk = run_of(f"task {text_of(run.get('task_id'))}", source, kept)
    root.start, root.end = clock_time(run.get("start_time")), clock_time(run.get("end_time"))
    reward = object_of(run.get("reward_info"))
    if reward:
        root.facts.output_data = {"reward": reward.get("reward")}
    reason = text_of(run.get("termination_reason"))
    if reason.endswith(("error", "errors")) or reason == "max_steps":
        add_failure(root, {"message": f"ended by {reason}", "type": reason})
    for message in _messages_of(run):
        _add(talk, message)
    return talk.close(root)


_TAKEN = ("messages", "ticks", "start_time", "end_time")


def _messages_of(run: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the messages in order: those of a full-duplex run stand in its ticks, in pieces."""
    if run.get("messages"):
        yield from objects_in(run["messages"], "messages")
        return
    for tick in objects_in(run.get("ticks"), "ticks"):
        for name in _OF_TICK:
            told = tick.get(name)
            for message in told if isinstance(told, list) else [told]:
                if isinstance(message, dict) and (message.get("content") or _has_tools(message)):
                    yield {"timestamp": tick.get("timestamp"), **message}


_OF_TICK = (
    "user_chunk",
    "user_message",
    "user_tool_calls",
    "user_tool_results",
    "agent_chunk",
    "agent_message",
    "agent_tool_calls",
    "agent_tool_results",
)


def _has_tools(message: dict[str, Any]) -> bool:
    return bool(message.get("tool_calls") or message.get("tool_messages"))


def _add(talk: Conversation, message: dict[str, Any]) -> None:
    inner = message.get("tool_messages")  # several results told as one message
    if isinstance(inner, list):
        for one in objects_in(inner, "tool_messages"):
            _add(talk, {"role": "tool", **one})
        return
    if message.get("role") == "tool":
        message = {"tool_call_id": message.get("id"), **message}
        if message.get("error") is True:
            message = {**message, "error": message.get("content") or "the tool failed"}
        elif message.get("error") is False:
            message = {key: message[key] for key in message if key != "error"}
    for said in said_in([message]):
        is_simulated = said.role == "user" and bool(message.get("usage") or said.calls)
        if is_simulated:
            said.metadata["tau2.role"] = "user"
            said.role = "assistant"
            facts_of_message(said, message)
            said.name = "user simulator"
        talk.add(said)


def is_tau(document: dict[str, Any]) -> bool:
    return "reward" in document and "task_id" in document and isinstance(document.get("traj"), list)


def read_tau(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    kept = {f"tau.{key}": document[key] for key in document if key not in ("traj", "reward")}
    root, talk = run_of(f"task {text_of(document.get('task_id'))}", source, kept)
    root.facts.output_data = {"reward": document.get("reward")}
    talk.extend(said_in(objects_in(document["traj"], "traj")))
    return talk.close(root)
