"""Whatever a trace holds, it is read to its end, and nothing in it is changed."""

from __future__ import annotations

import ast
import copy

from hypothesis import given, settings
from hypothesis import strategies as st

from logtracer import NodeStatus, NodeType, TraceGraph
from logtracer_extras.check import broken, check, law_tests, learn
from logtracer_extras.testing import TraceBuilder, assert_same, normalised
from logtracer_extras.testing.outline import outline, why_text

PLAIN = st.none() | st.booleans() | st.integers(-3, 600) | st.floats(allow_nan=False)
TEXTS = st.sampled_from(["", "Error: no", "running", "Tests pass.", '{"returncode": 1}', "[", "a"])
_KEYS = """
exit_code is_error success status error errors result content return_value data messages message
choices role tool_calls type text command id stop_reason finish_reason parts function name arguments
"""
KEYS = st.sampled_from(_KEYS.split())
JSON = st.recursive(
    PLAIN | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
DATA = st.dictionaries(KEYS, JSON, max_size=3)
_FACTS = """
gen_ai.response.finish_reasons gen_ai.request.max_tokens gen_ai.request.model lane
gen_ai.usage.input_tokens
"""
FACTS = st.dictionaries(st.sampled_from(_FACTS.split()), JSON, max_size=3)


@st.composite
def odd_traces(draw: st.DrawFn) -> TraceGraph:
    builder = TraceBuilder("agent")
    for number in range(draw(st.integers(0, 8))):
        names = ["agent", "missing", *(node.id for node in builder.trace.nodes.values())]
        builder.node(
            draw(st.sampled_from(["search", "chat", "sleep", f"step {number}"])),
            draw(st.sampled_from([str(node_type) for node_type in NodeType])),
            parent=draw(st.sampled_from(names)),
            status=draw(st.sampled_from(list(NodeStatus))),
            input=draw(DATA),
            output=draw(DATA),
            error=draw(st.none() | TEXTS),
            metadata=draw(FACTS),
        )
    return builder.trace


@given(odd_traces())
@settings(max_examples=200)
def test_a_check_raises_nothing_and_changes_nothing(trace: TraceGraph) -> None:
    before = copy.deepcopy(trace)
    found = check(trace, context_windows={"*": 100})
    assert trace == before
    assert check(trace, context_windows={"*": 100}) == found
    assert [finding.to_dict()["kind"] for finding in found] == [each.kind for each in found]


@given(odd_traces())
@settings(max_examples=50)
def test_what_is_learned_from_a_run_holds_for_it(trace: TraceGraph) -> None:
    laws = learn([trace] * 20)
    assert broken(laws, trace) == []
    if any(node.node_type != "trace" for node in trace.nodes.values()):
        ast.parse(law_tests(laws, agent=trace.name, path="run.json"))


@given(odd_traces())
@settings(max_examples=100)
def test_a_trace_is_the_same_as_itself(trace: TraceGraph) -> None:
    before = copy.deepcopy(trace)
    assert_same(trace, before)
    assert len(normalised(trace).nodes) == len(trace.nodes)
    assert normalised(normalised(trace)).to_dict() == normalised(trace).to_dict()
    assert len(outline(trace)) == len(trace.nodes)
    why_text(trace)
    assert trace == before
