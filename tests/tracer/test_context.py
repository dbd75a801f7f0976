"""Which span is current: always the nearest one that has not ended, in every Context."""

from __future__ import annotations

import asyncio
import contextvars

import pytest
from hypothesis import HealthCheck, given, settings

from logtracer import (
    Span,
    Tracer,
    clear_context,
    current_span,
    get_current_node,
    get_current_trace,
    propagate_context,
)
from stress.figures import figure
from stress.programs import Interpreter, Program, programs
from stress.reading import only_trace, parents


def name_of_current() -> str | None:
    span = current_span()
    return None if span is None else span.name


def test_nothing_is_current_outside_a_trace() -> None:
    assert current_span() is None
    assert get_current_node() is None
    assert get_current_trace() is None


def test_the_innermost_open_span_is_current() -> None:
    with Tracer().trace("run") as root:
        assert current_span() is root
        with root.node("step") as step:
            assert current_span() is step
        assert current_span() is root
    assert current_span() is None


def test_current_node_and_trace_are_those_of_the_current_span() -> None:
    with Tracer().trace("run") as root, root.node("step") as step:
        node, trace = get_current_node(), get_current_trace()
    assert node is not None and node.id == step.id
    assert trace is not None and trace.name == "run"


def test_an_explicit_parent_wins_over_the_current_span() -> None:
    tracer = Tracer()
    with tracer.trace("run") as root, root.node("open"), root.node("beside"):
        pass
    assert parents(only_trace(tracer))["beside"] == "run"


def test_a_span_that_is_only_started_is_not_current() -> None:
    with Tracer().trace("run") as root:
        step = root.node("step").start()
        assert current_span() is root
        step.end()


def test_a_trace_inside_a_trace_is_its_own_and_the_outer_is_current_again() -> None:
    tracer = Tracer()
    with tracer.trace("outer") as outer:
        with tracer.trace("inner") as inner:
            assert current_span() is inner
        assert current_span() is outer
    assert len(tracer.storage.list_traces()) == 2
    assert inner.trace.trace_id != outer.trace.trace_id


def test_an_inner_trace_keeps_its_nodes_apart_from_the_outer() -> None:
    tracer = Tracer()
    with tracer.trace("outer") as outer, tracer.trace("inner") as inner, inner.node("step"):
        pass
    assert parents(outer.trace) == {"outer": None}
    assert parents(inner.trace) == {"inner": None, "step": "inner"}


def test_a_span_left_in_another_context_heals_where_it_was_entered() -> None:
    with Tracer().trace("run") as root:
        step = root.node("step").__enter__()
        contextvars.Context().run(step.__exit__, None, None, None)
        assert current_span() is root


def test_a_span_entered_in_another_context_does_not_show_here() -> None:
    with Tracer().trace("run") as root:
        step = root.node("step")
        contextvars.copy_context().run(step.__enter__)
        assert current_span() is root
        step.__exit__(None, None, None)
        assert current_span() is root


def test_a_context_that_inherited_an_ended_span_sees_its_open_ancestor() -> None:
    with Tracer().trace("run") as root:
        with root.node("step"):
            inherited = contextvars.copy_context()
        assert inherited.run(current_span) is root
    assert inherited.run(current_span) is None


def test_spans_left_out_of_order_leave_the_context_clean() -> None:
    with Tracer().trace("run") as root:
        first = root.node("first").__enter__()
        second = first.node("second").__enter__()
        first.__exit__(None, None, None)
        assert current_span() is second
        second.__exit__(None, None, None)
        assert current_span() is root
    assert current_span() is None


def test_a_span_left_twice_ends_once() -> None:
    tracer = Tracer()
    with tracer.trace("run") as root:
        step = root.node("step").__enter__()
        step.__exit__(None, None, None)
        end_time = step.node_record.end_time
        step.__exit__(ValueError, ValueError("late"), None)
        step.end(ValueError("later"))
        assert step.node_record.end_time == end_time
    assert tracer.stats()["finished"] == 2


def test_a_span_entered_twice_is_one_node() -> None:
    tracer = Tracer()
    with tracer.trace("run") as root:
        step = root.node("step")
        with step, step:
            pass
        assert current_span() is root
    assert list(parents(only_trace(tracer))) == ["run", "step"]


def test_a_span_that_is_used_again_after_its_end_records_nothing_new() -> None:
    tracer = Tracer()
    with tracer.trace("run") as root:
        with root.node("step") as step:
            pass
        with step:
            assert current_span() is root
    assert list(parents(only_trace(tracer))) == ["run", "step"]
    assert current_span() is None


def test_a_trace_context_that_is_entered_again_is_another_trace() -> None:
    tracer = Tracer()
    context = tracer.trace("run")
    with context, context:
        pass
    assert len(tracer.storage.list_traces()) == 2
    assert current_span() is None


def test_leaving_what_was_never_entered_does_nothing() -> None:
    tracer = Tracer()
    tracer.trace("run").__exit__(None, None, None)
    with tracer.trace("run") as root:
        root.node("never").__exit__(None, None, None)
        root.node("never").end()
    assert list(parents(only_trace(tracer))) == ["run"]


def late_calls(span: Span) -> None:
    span.input(value=1)
    span.output(value=1)
    span.metadata(value=1)
    span.annotate("late")


def test_what_comes_after_the_end_is_ignored_and_counted() -> None:
    tracer = Tracer()
    with tracer.trace("run") as root:
        with root.node("step") as step:
            pass
        late_calls(step)
    node = step.node_record
    assert (node.input_data, node.output_data, node.annotations) == ({}, {}, [])
    assert tracer.stats()["errors"] == 4


def test_a_child_may_start_after_its_trace_has_ended() -> None:
    tracer = Tracer()
    with tracer.trace("run") as root:
        pass
    with root.node("late") as late:
        assert current_span() is late
    assert current_span() is None
    assert parents(only_trace(tracer)) == {"run": None, "late": "run"}


def test_a_child_may_end_after_its_trace() -> None:
    tracer = Tracer()
    with tracer.trace("run") as root:
        slow = root.node("slow").start()
    slow.end()
    assert only_trace(tracer).nodes[slow.id].status == "completed"


def test_clear_context_forgets_the_current_span_and_leaves_it_open() -> None:
    with Tracer().trace("run") as root:
        clear_context()
        assert current_span() is None
        assert root.node_record.end_time is None
    assert current_span() is None


def test_a_propagated_function_keeps_its_name_arguments_and_result() -> None:
    def double(value: int) -> int:
        """Double it."""
        return 2 * value

    bound = propagate_context(double)
    assert (bound(21), bound.__name__, bound.__doc__) == (42, "double", "Double it.")


def test_a_propagated_function_sees_the_context_of_when_it_was_bound() -> None:
    with Tracer().trace("run") as root:
        with root.node("step"):
            bound = propagate_context(name_of_current)
            assert contextvars.Context().run(bound) == "step"
        assert contextvars.Context().run(bound) == "run"
    assert bound() is None


def test_a_propagated_function_may_call_itself() -> None:
    def countdown(number: int) -> int:
        return number and bound(number - 1)

    bound = propagate_context(countdown)
    assert bound(3) == 0


def test_a_chain_of_ended_spans_does_not_grow_in_a_context_that_lives_long() -> None:
    with Tracer().trace("run") as root:
        for _ in range(5_000):  # a chain as long would overflow the stack when it is freed
            step = root.node("step").__enter__()
            contextvars.copy_context().run(step.__exit__, None, None, None)
        assert current_span() is root


def test_ten_thousand_spans_inside_each_other_are_recorded() -> None:
    tracer = Tracer()
    with tracer.trace("run") as root:
        opened = [root]
        for number in range(10_000):
            opened.append(opened[-1].node(str(number)).__enter__())
        for span in reversed(opened[1:]):
            span.__exit__(None, None, None)
        assert current_span() is root
    assert [level for level, _ in only_trace(tracer).walk()] == list(range(10_001))


@settings(
    max_examples=figure(80, 5_000), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(programs())
def test_in_any_program_every_node_has_the_parent_that_the_program_means(program: Program) -> None:
    asyncio.run(Interpreter(program).run())


def test_the_oracle_of_programs_notices_a_wrong_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    def below_the_root(self: Span, name: str, node_type: str = "custom") -> Span:
        while self.depth:
            self = parents_of[self]
        parents_of[made := real(self, name, node_type)] = self
        return made

    real = Span.node
    parents_of: dict[Span, Span] = {}
    monkeypatch.setattr(Span, "node", below_the_root)
    with pytest.raises(AssertionError):
        asyncio.run(Interpreter([("span", [("step",)])]).run())
