"""How long a person waits at the prompt: the terminal on long traces, many traces, a busy run.

    python benchmarks/terminal.py [--nodes 100000] [--traces 1000] [--rounds 3] [--json]

Each command runs in a process of its own, as a user starts it; the best of some rounds counts.
Beside the seconds on the clock stand those of the processor, which a busy machine changes less.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import logtracer  # noqa: E402

_EVENTS = 5_000  # of the run that is watched
_RATE = 1_000  # of them in a second


class Took(NamedTuple):
    """Seconds on the clock and of the processor."""

    clock: float
    processor: float


def record_long(directory: str, count: int) -> str:
    """Record one trace of so many steps and return its path."""
    tracer = logtracer.Tracer(storage=logtracer.FileStore(directory))
    with tracer.trace("long") as root:
        for number in range(count):
            with root.node("step", "llm_call") as step:
                step.input(query=f"What is the weather in Paris, {number}?")
                step.output(answer=f"Mild, {number}")
                step.annotate(f"because {number}")
    return os.path.join(directory, f"{root.trace.trace_id}.json")


def record_many(directory: str, count: int) -> None:
    """Record so many traces of 37 steps; one tool call in twenty fails."""
    tracer = logtracer.Tracer(storage=logtracer.FileStore(directory))
    for number in range(count):
        with tracer.trace(f"agent {number % 7}") as root:
            for turn in range(9):
                record_turn(root, 9 * number + turn)


def record_turn(root: logtracer.Span, number: int) -> None:
    """Record a decision, a model call and two tool calls."""
    with root.node("turn", "decision") as turn:
        with turn.node("chat", "llm_call") as chat:
            chat.input(messages=[{"role": "user", "content": "What is the weather? " * 20}])
            chat.llm(model="large-1", provider="acme", input_tokens=100, output_tokens=20)
            chat.output(text="Mild. " * 30)
        for place in (0, 1):
            with contextlib.suppress(TimeoutError), turn.node("search", "tool_call") as search:
                search.input(query=f"weather {number}")
                if number % 10 == 0 and place == 0:
                    raise TimeoutError("no answer in 5 s")
                search.output(results=["Mild, some clouds. " * 3] * 5)


def record_busy(directory: str) -> None:
    """Record a run at a steady number of events a second: half of them starts, half ends."""
    tracer = logtracer.Tracer(storage=logtracer.FileStore(directory))
    with tracer.trace("busy") as root:
        begun = time.monotonic()
        for number in range(_EVENTS // 2):
            time.sleep(max(0.0, begun + 2 * number / _RATE - time.monotonic()))
            with root.node("step", "tool_call") as step:
                step.input(number=number)


def run(*arguments: str) -> tuple[Took, Took]:
    """Run the terminal; return what it took to its first line, and to its end."""
    began, before = time.perf_counter(), os.times()
    command = [sys.executable, str(ROOT / "logtracer_cli.py"), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        os.read(process.stdout.fileno(), 1)
        first = Took(time.perf_counter() - began, processor_of(process.pid))
        process.stdout.read()
    after = os.times()
    spent = after.children_user + after.children_system
    spent -= before.children_user + before.children_system
    return first, Took(time.perf_counter() - began, spent)


def processor_of(process_id: int) -> float:
    """Return the seconds of processor a running process took; 0 where Linux does not tell."""
    try:
        facts = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(facts[11]) + int(facts[12])) / os.sysconf("SC_CLK_TCK")


def watched(directory: str) -> tuple[int, float]:
    """Watch a busy run; return how many events were shown, and the processor's seconds for it."""
    cli = [sys.executable, str(ROOT / "logtracer_cli.py"), "watch", "--store", directory]
    writer = subprocess.Popen([sys.executable, __file__, "--record-busy", directory])
    with subprocess.Popen(cli, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as watch:
        assert watch.stdout is not None
        shown = sum(b"tool_call step" in line for line in watch.stdout)
        before = os.times()
        watch.wait()
        after = os.times()
    writer.wait()
    spent = after.children_user + after.children_system
    return shown, spent - before.children_user - before.children_system


def commands(directory: str, nodes: int, traces: int) -> dict[str, list[str]]:
    """Record what is to be shown, and return the commands that show it by what they are."""
    long = record_long(os.path.join(directory, "long"), nodes)
    many = os.path.join(directory, "many")
    record_many(many, traces)
    return {
        f"inspect, {nodes:,} nodes": ["inspect", long],
        f"inspect --timeline, {nodes:,} nodes": ["inspect", long, "--timeline"],
        f"stats, {nodes:,} nodes": ["stats", long],
        f"list, {traces:,} traces": ["list", many, "--limit", "0"],
        f"search for a word, {traces:,} traces": ["search", "timeout", many, "--limit", "0"],
        f"search in vain, {traces:,} traces": ["search", "nowhere", many],
    }


def measured(rounds: int, nodes: int, traces: int) -> dict[str, Took]:
    """Return the seconds of every command, to its first line and to its end."""
    figures: dict[str, Took] = {}
    with tempfile.TemporaryDirectory() as directory:
        for name, command in commands(directory, nodes, traces).items():
            tries = [run(*command) for _ in range(rounds)]
            figures[f"{name}, first line"] = Took(*map(min, zip(*(first for first, _ in tries))))
            figures[name] = Took(*map(min, zip(*(whole for _, whole in tries))))
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="How long a person waits at the prompt.")
    parser.add_argument("--nodes", type=int, default=100_000)
    parser.add_argument("--traces", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print the figures for programs")
    parser.add_argument("--record-busy", metavar="DIRECTORY", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.record_busy:  # the process whose run is watched
        record_busy(options.record_busy)
        return
    figures = measured(options.rounds, options.nodes, options.traces)
    with tempfile.TemporaryDirectory() as directory:
        shown, spent = watched(directory)
    if options.json:
        document: dict[str, object] = {name: took._asdict() for name, took in figures.items()}
        print(json.dumps({**document, "watch": {"events": _EVENTS, "shown": shown, "s": spent}}))
        return
    for name, took in figures.items():
        print(f"{name:44} {took.clock:7.2f} s {took.processor:7.2f} s of processor")
    print(f"{f'watch, {_RATE:,} events a second':44} {shown:,} of {_EVENTS:,} shown, {spent:.2f} s")


if __name__ == "__main__":
    main()
