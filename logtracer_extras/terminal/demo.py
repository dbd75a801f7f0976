"""`logtracer demo`: record a small trace to look at."""

from __future__ import annotations

import argparse
import os
import shlex
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from logtracer import EdgeType, Span, Tracer, propagate_context
from logtracer_cli import (
    STORE,
    Screen,
    find_trace,
    opened_store,
    summary_lines,
    tree_lines,
    typed_command,
    without_password,
)

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the command takes the shared options alone."""


def run(options: argparse.Namespace, screen: Screen) -> int:
    """Run the command and return its exit code."""
    with opened_store(options.store) as store:
        trace_id = record(Tracer(storage=store))
    trace = find_trace(trace_id, options.store)
    screen.show(summary_lines(trace, screen.pen))
    screen.show([[], *tree_lines(trace, "standard", screen.pen)])
    path = os.path.join(options.store, f"{trace_id}.json")
    place = path if os.path.exists(path) else without_password(options.store)
    again = f"{typed_command()} inspect latest --verbosity full"
    if options.store != STORE:
        again += f" --store {shlex.quote(without_password(options.store))}"
    hints = (f"Recorded in {place}", f"Look again: {again}")
    screen.show([[], *([(hint, "dim")] for hint in hints)])
    return 0


class RateLimit(Exception):
    """What a busy model answers."""


def record(tracer: Tracer) -> str:
    """Record the run with a tracer, and return its trace id."""
    with tracer.trace("trip_planner", metadata={"user": "demo"}) as root:
        question = "A weekend in Lisbon, under 600 euros?"
        root.input(question=question)
        _plan(root, question)
        found = _research(root)
        answer = _write(root, found)
        _send(root, answer)
        root.output(answer=answer)
    return root.trace.trace_id


def _plan(root: Span, question: str) -> None:
    with root.node("plan", node_type="llm_call") as step:
        step.input(question=question)
        time.sleep(0.06)
        step.llm(model="large-1", provider="acme", input_tokens=412, output_tokens=58)
        step.output(look_up=["flights", "hotels", "weather"])
        step.annotate("Three look-ups that do not need each other: run them side by side")


def _research(root: Span) -> dict[str, object]:
    """Run three look-ups at once, each in a thread of its own."""
    with root.node("researcher", node_type="sub_agent") as agent:
        look_ups: list[Callable[[Span], dict[str, object]]] = [_flights, _hotels, _weather]
        with ThreadPoolExecutor(len(look_ups)) as pool:
            waiting = [pool.submit(propagate_context(look_up), agent) for look_up in look_ups]
            found: dict[str, object] = {}
            for future in waiting:
                found.update(future.result())
        agent.output(**found)
    return found


def _flights(agent: Span) -> dict[str, object]:
    with agent.node("search_flights", node_type="tool_call") as step:
        step.input(to="LIS", nights=2)
        time.sleep(0.12)
        step.output(price=184)
    return {"flight": 184}


def _hotels(agent: Span) -> dict[str, object]:
    """Fail the first time, as networks do, and try again."""
    first = agent.node("search_hotels", node_type="tool_call")
    try:
        with first:
            first.input(city="Lisbon", nights=2)
            time.sleep(0.05)
            raise TimeoutError("hotels.example did not answer in 50 ms")
    except TimeoutError:
        time.sleep(0.03)
    with agent.node("search_hotels", node_type="tool_call") as second:
        first.link(second, EdgeType.RETRY_OF)
        second.input(city="Lisbon", nights=2)
        time.sleep(0.07)
        second.output(price=290)
    return {"hotel": 290}


def _weather(agent: Span) -> dict[str, object]:
    with agent.node("weather_notes", node_type="retrieval") as step:
        step.input(query="Lisbon weekend weather")
        time.sleep(0.04)
        step.output(documents=["Mild and dry, 18 degrees"])
    return {"weather": "dry"}


def _write(root: Span, found: dict[str, object]) -> str:
    """Ask the large model, which is busy, and then the small one."""
    with root.node("writer", node_type="sub_agent") as agent:
        first = agent.node("draft", node_type="llm_call")
        try:
            with first:
                first.input(facts=found)
                first.llm(model="large-1", provider="acme")
                time.sleep(0.03)
                raise RateLimit("large-1 is busy, try again later")
        except RateLimit:
            agent.annotate("The large model is busy; a draft does not need it")
        with agent.node("draft_small", node_type="llm_call") as second:
            first.link(second, EdgeType.FALLBACK_OF)
            second.input(facts=found)
            time.sleep(0.08)
            second.llm(model="small-1", provider="acme", input_tokens=655, output_tokens=143)
            second.output(text="Yes: flight 184, hotel 290, mild and dry.")
        with agent.node("within_budget", node_type="validation") as check:
            first_cost, second_cost = found["flight"], found["hotel"]
            check.input(prices=[first_cost, second_cost], limit=600)
            check.output(ok=True)
    return "Yes: flight 184, hotel 290, mild and dry."


def _send(root: Span, answer: str) -> None:
    """Fail for good: the run goes on, the trace keeps the error."""
    try:
        with root.node("send_mail", node_type="tool_call") as step:
            step.input(text=answer)
            time.sleep(0.02)
            raise ConnectionError("mail.example refused the connection")
    except ConnectionError:
        root.annotate("The mail was not sent; the answer is shown instead")
