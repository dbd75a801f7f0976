"""Trajectories of evaluations: the calls, what the tools answered, how the run ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from logtracer import Node, NodeStatus, TraceGraph, TraceLoadError
from logtracer_extras.importers import import_file, import_traces

RUNS = Path(__file__).parents[1] / "data" / "runs"


def only(name: str) -> TraceGraph:
    (trace,) = import_file(RUNS / name)
    return trace


def read(*documents: Any) -> TraceGraph:
    (trace,) = import_traces("\n".join(map(json.dumps, documents)))
    return trace


def types_of(trace: TraceGraph) -> list[str]:
    return [str(node.node_type) for node in trace.nodes.values()][1:]


def of_type(trace: TraceGraph, node_type: str) -> list[Node]:
    return [node for node in trace.nodes.values() if node.node_type == node_type]


def total(trace: TraceGraph, name: str) -> Any:
    return sum(node.metadata.get(f"gen_ai.usage.{name}", 0) for node in trace.nodes.values())


# ---- OpenHands -----------------------------------------------------------------------------------


def test_actions_and_what_was_observed_are_calls_and_tools() -> None:
    trace = only("openhands.json")
    edit, finish = of_type(trace, "tool_call")

    assert types_of(trace) == ["human_input", "llm_call", "tool_call", "llm_call", "tool_call"]
    assert (edit.name, edit.input_data["command"]) == ("str_replace_editor", "create")
    assert edit.duration_ms == pytest.approx(36.897)
    assert finish.status == NodeStatus.COMPLETED
    assert (total(trace, "input_tokens"), total(trace, "output_tokens")) == (8132, 1312)


def acted(number: int, response: str, call: str, spent: float) -> dict[str, Any]:
    calls = [{"id": name, "function": {"name": "run", "arguments": "{}"}} for name in ("a", "b")]
    answer = {"id": response, "model": "m", "choices": [{"message": {"tool_calls": calls}}]}
    told = {"function_name": "run", "tool_call_id": call, "model_response": answer}
    return {
        "id": number,
        "source": "agent",
        "action": "run",
        "args": {"command": "ls"},
        "tool_call_metadata": told,
        "llm_metrics": {"accumulated_cost": spent},
    }


def observed(cause: int, code: int) -> dict[str, Any]:
    extras = {"metadata": {"exit_code": code}}
    event = {"id": 90 + cause, "source": "agent", "observation": "run", "extras": extras}
    return {**event, "content": f"exit {code}", "cause": cause}


PARALLEL = [acted(1, "r", "a", 0.5), acted(2, "r", "b", 0.5), observed(2, 1), observed(1, 0)]


def test_actions_of_one_answer_are_one_call_that_cost_what_the_sum_grew_by() -> None:
    trace = read([*PARALLEL, acted(3, "s", "a", 0.75)])
    calls, tools = of_type(trace, "llm_call"), of_type(trace, "tool_call")

    assert [call.metadata["gen_ai.usage.cost"] for call in calls] == [0.5, 0.25]
    assert [tool.status.value for tool in tools[:2]] == ["completed", "failed"]
    assert (tools[1].error, tools[1].output_data["exit_code"]) == ("exit 1", 1)


def test_a_line_of_output_is_a_run_with_its_metrics() -> None:
    usage = {"response_id": "r", "prompt_tokens": 7, "completion_tokens": 2}
    line = {"instance_id": "i-1", "history": PARALLEL, "metrics": {"token_usages": [usage]}}
    traces = import_traces(json.dumps(line) + "\n" + json.dumps({**line, "error": "timeout"}))

    assert [trace.name for trace in traces] == ["i-1", "i-1"]
    assert [total(trace, "input_tokens") for trace in traces] == [7, 7]
    assert traces[1].root_nodes[0].error == "timeout"


def test_a_history_of_pairs_is_read_one_by_one() -> None:
    pair = [
        {"action": "run", "args": {"command": "ls", "thought": "look"}, "id": 1},
        observed(1, 0),
    ]
    trace = read([pair])

    assert types_of(trace) == ["llm_call", "tool_call"]
    assert of_type(trace, "tool_call")[0].input_data == {"command": "ls"}


def sdk_events() -> list[dict[str, Any]]:
    def event(kind: str, at: int, source: str = "agent", **more: Any) -> dict[str, Any]:
        time = f"2026-01-01T00:00:{at:02}"
        return {"kind": kind, "id": f"e{at}", "timestamp": time, "source": source, **more}

    def action(at: int, call: str) -> dict[str, Any]:
        asked = {"id": call, "name": "terminal", "arguments": '{"command": "ls"}'}
        more: dict[str, Any] = {"tool_name": "terminal", "tool_call_id": call, "tool_call": asked}
        return event("ActionEvent", at, llm_response_id="r", thought=[], **more)

    def seen(at: int, of: int, **more: Any) -> dict[str, Any]:
        told = {"tool_name": "terminal", "action_id": f"e{of}", "observation": more}
        return event("ObservationEvent", at, "environment", **told)

    said = {"role": "user", "content": [{"type": "text", "text": "go"}]}
    usage = {"response_id": "r", "model": "m", "prompt_tokens": 9, "completion_tokens": 4}
    agent: dict[str, Any] = {"token_usages": [usage], "costs": [{"cost": 0.25}]}
    agent["response_latencies"] = [{"response_id": "r", "latency": 1.5}]
    stats = {"usage_to_metrics": {"agent": agent}}
    return [
        event("MessageEvent", 1, "user", llm_message=said),
        action(3, "a"),
        action(4, "b"),
        seen(5, 4, exit_code=2),
        seen(6, 3, exit_code=0, output="one"),
        event("ConversationStateUpdateEvent", 7, key="stats", value=stats),
    ]


def test_events_of_the_sdk_are_calls_with_what_the_statistics_say() -> None:
    trace = read(*sdk_events())
    (call,), tools = of_type(trace, "llm_call"), of_type(trace, "tool_call")

    assert types_of(trace) == ["human_input", "llm_call", "tool_call", "tool_call"]
    assert (call.name, call.duration_ms, call.metadata["gen_ai.usage.cost"]) == ("m", 1500.0, 0.25)
    assert [tool.error for tool in tools] == [None, "exit code 2"]
    assert trace.metadata["logtracer.import.kinds"] == {"ConversationStateUpdateEvent": 1}


def test_a_line_of_output_may_hold_events_of_the_sdk() -> None:
    trace = read({"instance_id": "i-1", "history": sdk_events(), "test_result": {"git_patch": ""}})

    assert (trace.name, len(of_type(trace, "tool_call"))) == ("i-1", 2)


# ---- SWE-agent -----------------------------------------------------------------------------------


def test_a_step_of_swe_agent_is_a_call_and_its_action_and_no_demonstration() -> None:
    trace = only("swe_agent.traj")

    assert types_of(trace) == ["custom", "human_input", *["llm_call", "tool_call"] * 12]
    assert of_type(trace, "tool_call")[-1].name == "submit"
    assert total(trace, "cost") == pytest.approx(1.26719)
    assert total(trace, "input_tokens") == 122_612


def test_a_call_of_swe_agent_with_tools_has_its_name_and_arguments() -> None:
    asked = [{"id": "c", "function": {"name": "bash", "arguments": '{"command": "ls"}'}}]
    spoken = {"role": "assistant", "content": "", "tool_calls": asked}
    step = {"action": "ls", "observation": "a.py", "response": "look", "execution_time": 0.5}
    trace = read({"trajectory": [step], "history": [spoken], "info": {"exit_status": "exit_cost"}})
    (tool,) = of_type(trace, "tool_call")

    assert (tool.name, tool.input_data, tool.output_data) == (
        ("bash", {"command": "ls"}, {"content": "a.py"})
    )
    assert trace.root_nodes[0].error_type == "exit_cost"


def test_mini_swe_agent_keeps_refused_answers_and_how_it_ended() -> None:
    trace = only("mini_swe_agent.json")

    assert len(of_type(trace, "llm_call")) == 4
    assert total(trace, "input_tokens") == 4412
    assert [tool.error for tool in of_type(trace, "tool_call")] == [None, "exit code 1"]
    assert trace.root_nodes[0].error_type == "RepeatedFormatError"


def test_versions_without_tools_wrote_the_command_into_the_text() -> None:
    messages = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": "Look.\n```bash\nls\n```"},
        {"role": "user", "content": "a.py", "extra": {"returncode": 1}},
    ]
    trace = read({"trajectory_format": "mini-swe-agent-1", "info": {}, "messages": messages})
    (tool,) = of_type(trace, "tool_call")

    assert (tool.input_data, tool.error) == ({"command": "ls"}, "exit code 1")


# ---- tau-bench -----------------------------------------------------------------------------------


def simulation(**more: Any) -> dict[str, Any]:
    call = {"id": "c", "name": "find_user", "arguments": {"name": "x"}, "requestor": "assistant"}
    told = {"cost": 0.5, "usage": {"prompt_tokens": 10, "completion_tokens": 2}}
    messages = [
        {"role": "assistant", "content": "Hi", "timestamp": "2026-01-01T00:00:01"},
        {"role": "user", "content": "help", "timestamp": "2026-01-01T00:00:02", **told},
        {"role": "assistant", "tool_calls": [call], "timestamp": "2026-01-01T00:00:03", **told},
        {"role": "tool", "id": "c", "content": "no user", "error": True, "requestor": "assistant"},
    ]
    run = {"id": "s", "task_id": "7", "termination_reason": "user_stop", "messages": messages}
    return {**run, "reward_info": {"reward": 1.0}, **more}


def test_a_simulation_is_a_trace_in_which_both_sides_are_models() -> None:
    results = {"info": {}, "tasks": [], "simulations": [simulation(), simulation(id="t")]}
    first, second = import_traces(json.dumps(results))

    assert first.trace_id != second.trace_id
    assert types_of(first) == ["llm_call", "llm_call", "llm_call", "tool_call"]
    assert [node.name for node in first.nodes.values()][2] == "user simulator"
    assert (total(first, "cost"), first.failed_nodes[0].error) == (1.0, "no user")
    assert first.root_nodes[0].output_data == {"reward": 1.0}


def test_a_simulation_of_ticks_is_read_from_what_was_said_in_them() -> None:
    chunk = {"role": "assistant", "content": "Hi"}
    ticks = [{"timestamp": "2026-01-01T00:00:01", "agent_chunk": chunk}, {"user_chunk": None}]
    trace = read(simulation(messages=None, ticks=ticks))

    assert types_of(trace) == ["llm_call"]


def test_results_without_simulations_are_refused() -> None:
    with pytest.raises(TraceLoadError, match="without a simulation"):
        import_traces(json.dumps({"info": {}, "tasks": [], "simulations": []}))


def test_a_run_of_tau_bench_has_its_reward() -> None:
    call = {"id": "c", "function": {"name": "find", "arguments": "{}"}}
    talk = [{"role": "assistant", "content": None, "tool_calls": [call]}]
    trace = read({"task_id": 3, "reward": 0.0, "info": {}, "traj": talk, "trial": 0})

    assert (trace.root_nodes[0].output_data, types_of(trace)) == (
        ({"reward": 0.0}, ["llm_call", "tool_call"])
    )


# ---- Terminal-Bench ------------------------------------------------------------------------------


def test_a_trial_of_harbor_is_its_phases_with_what_the_agent_used() -> None:
    def phase(start: int, end: int) -> dict[str, str]:
        first, last = (f"2026-01-01T00:00:{at:02}Z" for at in (start, end))
        return {"started_at": first, "finished_at": last}

    trial = {
        "task_name": "t",
        "trial_name": "t__1",
        "agent_info": {"name": "terminus-2", "version": "2"},
        "agent_result": {"n_input_tokens": 9, "n_output_tokens": 2, "cost_usd": 0.5},
        "verifier_result": {"rewards": {"reward": 1.0}},
        "exception_info": {"exception_type": "AgentTimeoutError", "exception_message": "too slow"},
        "agent_execution": phase(2, 7),
        "verifier": phase(7, 9),
        **phase(0, 9),
    }
    trace = read(trial)
    agent, verifier = list(trace.nodes.values())[1:]

    assert (trace.name, trace.root_nodes[0].error_type) == ("t__1", "AgentTimeoutError")
    assert (agent.name, agent.node_type, agent.duration_ms) == ("terminus-2", "sub_agent", 5000.0)
    assert (total(trace, "input_tokens"), total(trace, "cost")) == (9, 0.5)
    assert (verifier.node_type, verifier.output_data) == (
        "validation",
        {"rewards": {"reward": 1.0}},
    )


def test_results_of_terminal_bench_are_a_trace_for_each_trial() -> None:
    result = {
        "task_id": "t",
        "trial_name": "t.1-of-1",
        "is_resolved": False,
        "failure_mode": "agent_timeout",
        "parser_results": {"test_a": "passed", "test_b": "failed"},
        "total_input_tokens": 9,
    }
    traces = import_traces(json.dumps({"results": [result, {**result, "failure_mode": "unset"}]}))

    assert [trace.root_nodes[0].error_type for trace in traces] == ["agent_timeout", None]
    assert list(traces[0].nodes.values())[2].output_data["test_b"] == "failed"
