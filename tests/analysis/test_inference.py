"""Retries, fallbacks and data flow found in a trace: all that are there, and no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logtracer import Edge, EdgeType, Node, NodeStatus, TraceGraph, Tracer
from logtracer_extras.analysis import infer_data_flow, infer_retries, measure
from sample_traces import Sample

FAILED, DONE = NodeStatus.FAILED, NodeStatus.COMPLETED


class Scope:
    """Steps one after the other under one parent; each says whether it failed."""

    def __init__(self) -> None:
        self.sample = Sample("run", 100)
        self.now = 0.0

    def step(
        self,
        name: str,
        failed: bool = False,
        node_type: str = "tool_call",
        *,
        beside: bool = False,
        model: str = "",
        note: str = "",
        **given: Any,
    ) -> Node:
        """Add a step of a second; one `beside` the step before starts with it."""
        start = self.now - 1 if beside else self.now
        self.now = start + 1
        node = self.sample.node(name, node_type, start, self.now, input_data=given)
        node.status = FAILED if failed else DONE
        node.metadata = {"gen_ai.request.model": model} if model else {}
        node.annotations = [note] if note else []
        return node

    def edges(self) -> list[tuple[str, str, str]]:
        """Return the inferred edges, their ends as the number of the step (1, 2, ...)."""
        edges = infer_retries(self.sample.trace)
        assert all(edge.metadata == {"inferred": True} for edge in edges)
        return [
            (str(edge.edge_type), _number(edge.source_id), _number(edge.target_id))
            for edge in edges
        ]


def _number(node_id: str) -> str:
    return str(int(node_id, 16) - 1)  # the first is the run itself


# ---- What is one -------------------------------------------------------------------------------


def same_call_again(scope: Scope) -> str:
    scope.step("search", True, query="x")
    scope.step("search", query="x")
    return "retry 1-2"


def three_tries(scope: Scope) -> str:
    for failed in (True, True, False):
        scope.step("search", failed, query="x")
    return "retry 1-2, retry 2-3"


def numbered_tries(scope: Scope) -> str:
    scope.step("call #1", True, "llm_call", prompt="hi")
    scope.step("call #2", False, "llm_call", prompt="hi")
    return "retry 1-2"


def a_longer_timeout(scope: Scope) -> str:
    scope.step("api", True, endpoint="/v1", timeout=5)
    scope.step("api (retry)", endpoint="/v1", timeout=10)
    return "retry 1-2"


def tries_without_input_that_say_so(scope: Scope) -> str:
    scope.step("fetch_attempt_1", True)
    scope.step("fetch_attempt_2")
    return "retry 1-2"


def a_counted_try(scope: Scope) -> str:
    scope.step("fetch", True, attempt=1)
    scope.step("fetch", attempt=2)
    return "retry 1-2"


def with_steps_between(scope: Scope) -> str:
    scope.step("chat", False, "llm_call", messages=["a"])
    scope.step("search", True, query="x")
    scope.step("chat", False, "llm_call", messages=["a", "error"])
    scope.step("search", query="x")
    return "retry 2-4"


def retries_of_several_things(scope: Scope) -> str:
    scope.step("get", True, url="a")
    scope.step("get", True, url="b")
    scope.step("get", url="a")
    scope.step("get", url="b")
    return "retry 1-3, retry 2-4"


def another_model(scope: Scope) -> str:
    scope.step("chat", True, "llm_call", model="large", prompt="hi")
    scope.step("chat", False, "llm_call", model="small", prompt="hi")
    return "fallback 1-2"


def another_model_among_the_inputs(scope: Scope) -> str:
    scope.step("chat", True, "llm_call", prompt="hi", model_name="large")
    scope.step("chat", False, "llm_call", prompt="hi", model_name="small")
    return "fallback 1-2"


def retry_then_another_model(scope: Scope) -> str:
    scope.step("chat", True, "llm_call", model="large", prompt="hi")
    scope.step("chat", True, "llm_call", model="large", prompt="hi")
    scope.step("chat", False, "llm_call", model="small", prompt="hi")
    return "retry 1-2, fallback 1-3"


def another_tool(scope: Scope) -> str:
    scope.step("search_web", True, query="x")
    scope.step("search_cache", False, "retrieval", query="x")
    return "fallback 1-2"


def one_fallback_after_the_other(scope: Scope) -> str:
    scope.step("primary", True, query="x")
    scope.step("secondary", True, query="x")
    scope.step("last_resort", query="x")
    return "fallback 1-2, fallback 2-3"


def a_fallback_by_name(scope: Scope) -> str:
    scope.step("answer", True, "llm_call", prompt="hi")
    scope.step("fallback_answer", False, "custom")
    return "fallback 1-2"


def a_fallback_by_annotation(scope: Scope) -> str:
    scope.step("api_call_attempt_1", True, endpoint="/v1/data", timeout=5)
    scope.step("api_call_attempt_2", True, endpoint="/v1/data", timeout=10)
    scope.step(
        "cache_lookup", False, "retrieval", note="Fell back to cached data", cache_key="data_v1"
    )
    scope.step("synthesize", False, "llm_call", data_source="cache")
    return "retry 1-2, fallback 1-3"


def another_way_to_delete(scope: Scope) -> str:
    scope.step("delete_file", True, path="/x")
    scope.step("delete_by_shell", path="/x")
    return "fallback 1-2"


def a_call_needed_again_later(scope: Scope) -> str:
    for failed in (True, False):
        scope.step("search", failed, query="x")
    scope.step("chat", False, "llm_call", messages=["a"])
    scope.step("search", query="x")
    return "retry 1-2"


TRUE_CASES: list[Callable[[Scope], str]] = [
    same_call_again,
    three_tries,
    numbered_tries,
    a_longer_timeout,
    tries_without_input_that_say_so,
    a_counted_try,
    with_steps_between,
    retries_of_several_things,
    another_model,
    another_model_among_the_inputs,
    retry_then_another_model,
    another_tool,
    one_fallback_after_the_other,
    a_fallback_by_name,
    a_fallback_by_annotation,
    another_way_to_delete,
    a_call_needed_again_later,
]


@pytest.mark.parametrize("case", TRUE_CASES, ids=lambda case: case.__name__)
def test_what_was_tried_again_is_found(case: Callable[[Scope], str]) -> None:
    scope = Scope()
    expected = case(scope)
    found = [f"{kind[:-3]} {one}-{two}" for kind, one, two in scope.edges()]
    assert ", ".join(found) == expected


# ---- What is none ------------------------------------------------------------------------------


def map_over_items(scope: Scope) -> None:
    for number in range(6):
        scope.step("process", number == 2, item=f"item {number}")


def map_over_numbered_names(scope: Scope) -> None:
    for number in range(6):
        scope.step(f"process_{number}", number in (0, 3), folder="in")


def a_loop_without_recorded_input(scope: Scope) -> None:
    for number in range(6):
        scope.step("process", number in (0, 3))


def numbered_steps_without_input(scope: Scope) -> None:
    for number in range(4):
        scope.step(f"step_{number}", number == 0)


def pagination(scope: Scope) -> None:
    for page in range(1, 6):
        scope.step("list_orders", page == 1, url="https://example.org/orders", page=page)


def pagination_by_cursor(scope: Scope) -> None:
    for number, cursor in enumerate(["", "abc", "def"]):
        scope.step("list_orders", number == 1, limit=50, cursor=cursor)


def pages_fetched_with_timeouts(scope: Scope) -> None:
    scope.step("get", True, url="https://example.org/1", timeout=5)
    scope.step("get", False, url="https://example.org/2", timeout=5)


def parallel_fan_out_of_the_same_prompt(scope: Scope) -> None:
    for number in range(5):
        scope.step("sample", number == 1, "llm_call", beside=number > 0, prompt="same")


def a_fan_out_in_two_waves(scope: Scope) -> None:
    scope.step("sample", True, "llm_call", prompt="same")
    scope.step("sample", False, "llm_call", beside=True, prompt="same")
    scope.step("sample", False, "llm_call", prompt="same")
    scope.step("sample", False, "llm_call", beside=True, prompt="same")


def parallel_models_on_one_prompt(scope: Scope) -> None:
    scope.step("chat", True, "llm_call", model="a", prompt="same")
    scope.step("chat", False, "llm_call", beside=True, model="b", prompt="same")
    scope.step("chat", False, "llm_call", beside=True, model="c", prompt="same")


def models_compared_one_by_one(scope: Scope) -> None:
    for number, model in enumerate("abcd"):
        scope.step("chat", number == 0, "llm_call", model=model, prompt="same")


def models_compared_the_second_fails(scope: Scope) -> None:
    for number, model in enumerate("abc"):
        scope.step("chat", number == 1, "llm_call", model=model, prompt="same")


def polling(scope: Scope) -> None:
    for number in range(6):
        scope.step("job_status", number in (0, 3), job="j1")


def polling_with_pauses(scope: Scope) -> None:
    for number in range(6):
        scope.step("ping", number in (0, 3), host="h")
        scope.step("sleep", False, "custom", seconds=1)


def cleaning_up_after_a_failure(scope: Scope) -> None:
    scope.step("upload", True, path="/x")
    scope.step("delete_temp", path="/x")


def the_failure_is_reported_with_its_input(scope: Scope) -> None:
    scope.step("fetch", True, url="u")
    scope.step("reportFailure", url="u")


def what_was_not_found_is_made(scope: Scope) -> None:
    scope.step("get_user", True, id=5)
    scope.step("create_user", id=5)


def samples_one_after_the_other(scope: Scope) -> None:
    for number in range(4):
        scope.step("sample", number == 0, "llm_call", prompt="same")


def a_pipeline_over_one_text(scope: Scope) -> None:
    scope.step("extract_names", True, text="t")
    scope.step("extract_dates", text="t")
    scope.step("extract_places", text="t")


def checks_of_one_text(scope: Scope) -> None:
    scope.step("check_tone", True, "validation", text="t")
    scope.step("check_facts", False, "validation", text="t")


def transformations_of_one_text(scope: Scope) -> None:
    scope.step("clean", True, "custom", text="t")
    scope.step("split", False, "custom", text="t")


def tool_after_a_failed_tool(scope: Scope) -> None:
    scope.step("search", True, query="x")
    scope.step("calculator", False, expression="1+1")


def tool_and_model_take_turns(scope: Scope) -> None:
    for turn in range(4):
        scope.step("chat", False, "llm_call", messages=["m"] * turn)
        scope.step("run", turn == 1, command=f"command {turn}")


def a_conversation_that_goes_on(scope: Scope) -> None:
    for turn in range(4):
        scope.step("chat", turn == 1, "llm_call", messages=["m"] * turn)


def the_error_is_reported(scope: Scope) -> None:
    scope.step("send_email", True, to="a@example.org")
    scope.step("log_error", False, "custom", message="send_email failed")


def hidden_inputs(scope: Scope) -> None:
    scope.step("login", True, user="[REDACTED]")
    scope.step("login", False, user="[REDACTED]")


def words_that_end_like_a_try(scope: Scope) -> None:
    scope.step("registry", True)
    scope.step("registry")
    scope.step("country 1", True)
    scope.step("country 2")


def everything_went_well(scope: Scope) -> None:
    for _ in range(3):
        scope.step("search", query="x")


FALSE_CASES: list[Callable[[Scope], None]] = [
    map_over_items,
    map_over_numbered_names,
    a_loop_without_recorded_input,
    numbered_steps_without_input,
    pagination,
    pagination_by_cursor,
    pages_fetched_with_timeouts,
    parallel_fan_out_of_the_same_prompt,
    a_fan_out_in_two_waves,
    parallel_models_on_one_prompt,
    models_compared_one_by_one,
    models_compared_the_second_fails,
    polling,
    polling_with_pauses,
    cleaning_up_after_a_failure,
    the_failure_is_reported_with_its_input,
    what_was_not_found_is_made,
    samples_one_after_the_other,
    a_pipeline_over_one_text,
    checks_of_one_text,
    transformations_of_one_text,
    tool_after_a_failed_tool,
    tool_and_model_take_turns,
    a_conversation_that_goes_on,
    the_error_is_reported,
    hidden_inputs,
    words_that_end_like_a_try,
    everything_went_well,
]


@pytest.mark.parametrize("case", FALSE_CASES, ids=lambda case: case.__name__)
def test_an_ordinary_run_has_no_retries(case: Callable[[Scope], None]) -> None:
    scope = Scope()
    case(scope)
    assert scope.edges() == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=12))
def test_calls_for_different_things_are_never_connected(calls: list[tuple[str, bool]]) -> None:
    scope = Scope()
    for number, (name, failed) in enumerate(calls):
        scope.step(name, failed, query=f"question {number}")
    assert scope.edges() == []


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.booleans()), max_size=9))
def test_an_inferred_edge_leads_from_a_failure_to_a_later_step(
    calls: list[tuple[str, bool, bool]],
) -> None:
    scope = Scope()
    for name, failed, beside in calls:
        scope.step(name, failed, beside=beside, query="same")
    run = measure(scope.sample.trace)
    for edge in run.inferred:
        earlier, later = run.by_id[edge.source_id], run.by_id[edge.target_id]
        assert earlier.failed and earlier.end <= later.start
    targets = [edge.target_id for edge in run.inferred]
    assert len(targets) == len(set(targets))


# ---- Together with what was recorded -----------------------------------------------------------


def test_a_recorded_edge_is_not_inferred_once_more() -> None:
    scope = Scope()
    first, second = scope.step("search", True, query="x"), scope.step("search", query="x")
    scope.sample.link(first, second, "retry_of")
    assert scope.edges() == []


def test_a_fallback_starts_from_the_first_of_recorded_tries() -> None:
    scope = Scope()
    first, second = scope.step("ask", True, q="x"), scope.step("ask again", True, q="x or y")
    scope.sample.link(first, second, "retry_of")
    scope.step("fallback", q="x or y")
    assert scope.edges() == [("fallback_of", "1", "3")]


def test_the_trace_itself_is_left_as_it_is() -> None:
    scope = Scope()
    same_call_again(scope)
    before = scope.sample.trace.to_dict()
    assert [edge.edge_type for edge in measure(scope.sample.trace).inferred] == ["retry_of"]
    assert scope.sample.trace.to_dict() == before
    assert measure(scope.sample.trace, infer=False).inferred == []


def test_siblings_at_the_top_of_a_trace_without_a_root_are_a_scope_too() -> None:
    sample = Sample("run", 9)
    for start, status in ((1, FAILED), (3, DONE)):
        node = sample.node("search", "tool_call", start, start + 1, parent=None)
        node.status, node.input_data = status, {"query": "x"}
    assert [edge.edge_type for edge in infer_retries(sample.trace)] == ["retry_of"]


def test_a_call_cancelled_by_a_timeout_counts_as_failed() -> None:
    scope = Scope()
    scope.step("search", query="x").status = NodeStatus.CANCELLED
    scope.step("search", query="x")
    assert scope.edges() == [("retry_of", "1", "2")]


def test_inputs_that_cannot_be_compared_are_no_evidence() -> None:
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    scope = Scope()
    scope.step("search", True, query=deep)
    scope.step("search", query=deep)
    scope.step("chat", True, model_name=deep)
    scope.step("chat", model_name=deep)
    scope.step("count", True, number=10**5_000)
    scope.step("count", number=10**5_000)
    assert scope.edges() == []


def test_a_recorded_run_yields_its_edges_without_links() -> None:
    with Tracer().trace("resilient_agent") as root:
        for attempt, timeout in ((1, 5), (2, 10)):
            with root.node(f"api_call_attempt_{attempt}", node_type="tool_call") as step:
                step.input(endpoint="/v1/data", timeout=timeout)
                step.set_status(NodeStatus.FAILED)
                step.annotate("The API timed out")
        with root.node("cache_lookup", node_type="retrieval") as cache:
            cache.input(cache_key="data_v1")
            cache.annotate("Fell back to cached data after API failures")
        with root.node("synthesize", node_type="llm_call") as answer:
            answer.input(data_source="cache", value=42)
    named = {node.id: node.name for node in root.trace.nodes.values()}
    edges = infer_retries(root.trace)
    assert [(edge.edge_type, named[edge.source_id], named[edge.target_id]) for edge in edges] == [
        (EdgeType.RETRY_OF, "api_call_attempt_1", "api_call_attempt_2"),
        (EdgeType.FALLBACK_OF, "api_call_attempt_1", "cache_lookup"),
    ]


# ---- Data flow ---------------------------------------------------------------------------------

PAPERS = ["Attention in long contexts", "Tools for small models", "A survey of memory"]
ANSWER = "Small models use tools well when the tools are few."


def research() -> tuple[TraceGraph, dict[str, Node]]:
    """Return a run in which papers are found, summed up and reported."""
    sample = Sample("run", 9)
    sample.root.input_data = {"question": "What is known about small models?"}
    nodes = {
        "search": sample.node("search", "retrieval", 0, 1),
        "summarize": sample.node("summarize", "llm_call", 1, 2),
        "report": sample.node("report", "llm_call", 3, 4),
    }
    nodes["search"].input_data = {"query": "What is known about small models?"}
    nodes["search"].output_data = {"results": {"papers": PAPERS}}
    nodes["summarize"].input_data = {"papers": list(PAPERS)}
    nodes["summarize"].output_data = {"text": ANSWER, "ok": True}
    nodes["report"].input_data = {"messages": [{"role": "user", "content": ANSWER}], "ok": True}
    return sample.trace, nodes


def flows(trace: TraceGraph) -> list[tuple[str, str, str, str]]:
    def told(edge: Edge) -> tuple[str, str, str, str]:
        names = trace.nodes[edge.source_id].name, trace.nodes[edge.target_id].name
        return (*names, edge.metadata["source_path"], edge.metadata["target_path"])

    edges = infer_data_flow(trace)
    assert all(edge.edge_type == EdgeType.DATA_FLOW and edge.metadata["inferred"] for edge in edges)
    return [told(edge) for edge in edges]


def test_a_value_is_followed_from_an_output_to_later_inputs() -> None:
    assert flows(research()[0]) == [
        ("search", "summarize", "$.results.papers", "$.papers"),
        ("summarize", "report", "$.text", "$.messages[0].content"),
    ]


def test_arguments_and_results_are_followed_through_the_json_that_models_speak() -> None:
    sample = Sample("run", 9)
    ask, use, tell = (
        sample.node("ask", "llm_call", 0, 1),
        sample.node("use", "tool_call", 1, 2),
        sample.node("tell", "llm_call", 2, 3),
    )
    call = {"function": {"name": "use", "arguments": '{"city":"Lisbon","nights":2}'}}
    ask.output_data = {"message": {"role": "assistant", "tool_calls": [call]}}
    use.input_data = {"nights": 2, "city": "Lisbon"}
    use.output_data = {"price": 290, "name": "Casa"}
    tell.input_data = {"messages": [{"role": "tool", "content": '{"price": 290, "name": "Casa"}'}]}
    assert flows(sample.trace) == [
        ("ask", "use", "$.message.tool_calls[0].function.arguments", "$"),
        ("use", "tell", "$", "$.messages[0].content"),
    ]


def test_a_value_that_was_an_input_before_did_not_come_from_an_echo() -> None:
    trace, nodes = research()
    nodes["search"].output_data["query"] = "What is known about small models?"
    nodes["report"].input_data = {"question": "What is known about small models?"}
    assert [flow[1] for flow in flows(trace)] == ["summarize"]


def test_short_values_and_flags_are_no_flow() -> None:
    trace, nodes = research()
    nodes["summarize"].output_data = {"text": "yes", "ok": True, "n": 42}
    nodes["report"].input_data = {"text": "yes", "ok": True, "n": 42}
    assert [flow[1] for flow in flows(trace)] == ["summarize"]


def test_a_value_does_not_flow_into_what_ran_beside_it() -> None:
    trace, nodes = research()
    nodes["report"].start_time = nodes["summarize"].start_time
    assert [flow[1] for flow in flows(trace)] == ["summarize"]


def test_a_result_handed_up_comes_from_the_agent_not_from_within_it() -> None:
    sample = Sample("run", 9)
    agent = sample.node("agent", "sub_agent", 0, 2)
    inner = sample.node("inner", "llm_call", 1, 2, parent=agent)
    agent.output_data = inner.output_data = {"text": ANSWER}
    final = sample.node("final", "llm_call", 3, 4)
    final.input_data = {"a strange key": ANSWER}
    assert flows(sample.trace) == [("agent", "final", "$.text", '$["a strange key"]')]


def test_values_of_any_depth_and_odd_kinds_are_looked_through() -> None:
    trace, nodes = research()
    deep: Any = ANSWER
    for _ in range(100_000):
        deep = [deep]
    odd: dict[Any, Any] = {"deep": deep, "surrogate": "\ud800" * 30, 3: ANSWER}
    nodes["report"].input_data = odd
    assert [flow[:2] for flow in flows(trace)] == [("search", "summarize"), ("summarize", "report")]
