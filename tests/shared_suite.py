"""What every store must do that several processes share: files, SQLite and PostgreSQL.

A test file makes a class of SharedSuite and a fixture `url`, which open_store takes.
"""

from __future__ import annotations

import subprocess

from logtracer import TraceGraph, Tracer, open_store
from logtracer_extras.stores.listing import list_summaries
from stress import child
from stress.figures import figure

WRITER = """
import sys
from logtracer import Tracer, open_store
tracer = Tracer(storage=open_store(sys.argv[1]))
for number in range(int(sys.argv[2])):
    with tracer.trace("run") as root, root.node("step") as step:
        step.output(text="x" * 5_000)
assert tracer.stats()["errors"] == 0
tracer.close()
"""

ASKER = """
import sys
from logtracer import Tracer, open_store
with Tracer(storage=open_store(sys.argv[1])).trace("payment") as root:
    with root.node("approval", "human_input") as approval:
        approval.pause("a signature")
print(root.trace.trace_id, root.id)
"""

DOER = """
import sys
from logtracer import Tracer, open_store
with Tracer(storage=open_store(sys.argv[1])).resume(sys.argv[2]) as root:
    with root.node("pay", "tool_call"):
        pass
"""

KILLED = """
import os, signal, sys
from logtracer import Tracer, open_store
with Tracer(storage=open_store(sys.argv[1])).resume(sys.argv[2]):
    os.kill(os.getpid(), signal.SIGKILL)
"""

JOINER = """
import os, sys
from logtracer import Tracer, open_store
tracer = Tracer(storage=open_store(sys.argv[1]))
with tracer.trace("child", parent=os.environ["TRACEPARENT"]) as root, root.node("work"):
    pass
"""


def outline(trace: TraceGraph | None) -> list[tuple[int, str, str]]:
    """Return level, name and status of each node."""
    assert trace is not None
    return [(level, node.name, node.status.value) for level, node in trace.walk()]


class SharedSuite:
    """What every store does that several processes share."""

    def test_many_processes_write_at_once(self, url: str) -> None:
        count, each = figure(4, 8), 50
        command = child.command(WRITER, url, each)
        writers = [subprocess.Popen(command, env=child.environment()) for _ in range(count)]
        assert [writer.wait(120) for writer in writers] == [0] * count
        store = open_store(url)
        traces = [store.load(trace_id) for trace_id in store.list_traces()]
        assert len(traces) == count * each
        assert all(trace is not None and len(trace.nodes) == 2 for trace in traces)

    def test_one_process_pauses_and_another_one_resumes(self, url: str) -> None:
        asked = child.run(ASKER, url)
        trace_id, root_id = asked.stdout.split()
        paused = open_store(url).load(trace_id)
        assert outline(paused) == [(0, "payment", "paused"), (1, "approval", "paused")]
        assert child.run(DOER, url, trace_id).stderr == ""
        store = open_store(url)
        trace = store.load(trace_id)
        assert outline(trace) == [
            (0, "payment", "completed"),
            (1, "approval", "paused"),
            (1, "pay", "completed"),
        ]
        assert store.list_traces() == [trace_id]
        assert trace is not None and trace.nodes[root_id].metadata["logtracer.waited_ms"] > 0

    def test_a_resumed_trace_runs_until_it_ends(self, url: str) -> None:
        trace_id = child.run(ASKER, url).stdout.split()[0]
        store = open_store(url)
        with Tracer(storage=open_store(url)).resume(trace_id) as root, root.node("pay"):
            resumed = store.load(trace_id)
            assert [status for _, _, status in outline(resumed)] == ["running", "paused", "running"]
            assert resumed is not None and resumed.end_time is None
            assert [found.status for found in list_summaries(store)] == ["running"]
        assert [found.status for found in list_summaries(store)] == ["completed"]

    def test_a_resumed_trace_that_is_killed_is_interrupted(self, url: str) -> None:
        trace_id = child.run(ASKER, url).stdout.split()[0]
        child.run(KILLED, url, trace_id)
        store = open_store(url)
        assert outline(store.load(trace_id))[0] == (0, "payment", "interrupted")
        assert [found.status for found in list_summaries(store)] == ["interrupted"]

    def test_a_child_process_adds_to_its_parents_trace(self, url: str) -> None:
        with Tracer(storage=open_store(url)).trace("parent") as root:
            command = child.command(JOINER, url)
            environment = {**child.environment(), **root.subprocess_env()}
            environment["PYTHONPATH"] = child.environment()["PYTHONPATH"]
            subprocess.run(command, env=environment, check=True)
        trace = open_store(url).load(root.trace.trace_id)
        assert [name for _, name, _ in outline(trace)] == ["parent", "child", "work"]
