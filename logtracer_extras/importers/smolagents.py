"""smolagents: the steps of an agent's memory, as `get_full_steps()` gives them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conventions.usage import usage_facts
from ..conventions.values import object_of, objects_in, parse_json
from ._conversation import Call, Result, Said, run_of
from ._kinds import count_kinds, most_are, sample_of
from ._message_parts import calls_in
from ._spans import SpanRecord
from ._values import clock_time, text_of

__all__ = ["is_smolagents", "read_smolagents"]


_WORDS = ("step_number", "system_prompt", "task", "plan", "final_answer", "output")


def is_smolagents(documents: list[Any]) -> bool:
    """Tell a memory by a step in it that acts, and by the others that prompt, plan or end."""
    some = sample_of(documents)
    return any(map(_acts, some)) and most_are(_is_step, some)


def _is_step(step: Any) -> bool:
    return isinstance(step, dict) and any(word in step for word in _WORDS)


def _acts(step: Any) -> bool:
    return isinstance(step, dict) and "step_number" in step and "timing" in step


def read_smolagents(documents: list[Any], source: str) -> Iterator[SpanRecord]:
    root, talk = run_of("smolagents", source)
    left = []
    for step in documents:
        if not isinstance(step, dict):
            left.append(step)
        elif "step_number" in step:
            talk.extend(_action(step))
        elif "plan" in step:
            talk.add(_answer_of_model(step, step.get("plan")))
        elif "task" in step or "system_prompt" in step:
            role = "user" if "task" in step else "system"
            content = step.get("task", step.get("system_prompt"))
            talk.add(Said(role, {"role": role, "content": content}))
        elif "output" in step or "final_answer" in step:
            root.facts.output_data = {"value": step.get("output", step.get("final_answer"))}
        else:
            left.append(step)
    root.kinds = count_kinds(left)
    return talk.close(root)


def _answer_of_model(step: dict[str, Any], content: Any) -> Said:
    message = object_of(step.get("model_output_message"))
    told = {**message, "role": "assistant", "content": message.get("content") or content}
    said = Said("assistant", {key: told[key] for key in told if key not in ("raw", "token_usage")})
    usage = object_of(step.get("token_usage")) or object_of(message.get("token_usage"))
    said.metadata = usage_facts(usage)
    timing = object_of(step.get("timing"))
    said.start, said.end = clock_time(timing.get("start_time")), clock_time(timing.get("end_time"))
    return said


def _action(step: dict[str, Any]) -> Iterator[Said]:
    """Tell a step: what the model said, its tools, and what was observed of them together.

    A step whose tool failed has no list of its calls: they are in the model's message alone. Of
    several the failed one is not told.
    """
    said = _answer_of_model(step, step.get("model_output"))
    said.metadata["smolagents.step_number"] = step.get("step_number")
    calls = objects_in(step.get("tool_calls"), "tool_calls")
    said.calls = [_call(call) for call in calls] or calls_in(said.message)
    error = step.get("error") or None
    if error and len(said.calls) != 1:
        said.error = error
    yield said
    if calls or (error and len(said.calls) == 1):
        yield _observed(step, said, error if len(said.calls) == 1 else None)


def _observed(step: dict[str, Any], said: Said, error: Any) -> Said:
    seen = {"content": step.get("observations")}
    if step.get("action_output") is not None:
        seen["value"] = step["action_output"]
    results = [Result(call.id, call.name, dict(seen), error) for call in said.calls]
    message = {"role": "tool", "content": step.get("observations")}
    answer = Said("tool", message, results=results, is_more_than_results=False)
    answer.end = said.end
    return answer


def _call(call: dict[str, Any]) -> Call:
    function = object_of(call.get("function")) or call
    return Call(
        text_of(function.get("name")),
        parse_json(function.get("arguments")),
        text_of(call.get("id")),
    )
