"""An agent that stops for a human: one process asks and ends, another one goes on.

    python3 examples/06_human_approval.py

The second process resumes the first one's trace, under the same root. Waiting is no failure, and
the time waited is kept apart from the time worked.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from logtracer import FileStore, NodeStatus, Tracer  # noqa: E402
from logtracer_cli import render_trace  # noqa: E402


def ask(directory: str) -> None:
    """Draft a payment and stop: it needs a signature."""
    with Tracer(storage=FileStore(directory)).trace("payment") as root:
        with root.node("draft", node_type="llm_call") as draft:
            draft.output(amount=1_200, to="the printer's")
        with root.node("approval", node_type="human_input") as approval:
            approval.input(question="Pay 1,200?")
            approval.pause("amounts above 1,000 need a signature")


def approve(directory: str) -> None:
    """Go on, most likely another day: the signature is there."""
    store = FileStore(directory)
    (trace_id,) = store.list_traces()
    with Tracer(storage=store).resume(trace_id) as root:
        with root.node("answer", node_type="human_input") as answer:
            answer.output(approved=True)
        with root.node("pay", node_type="tool_call"):
            pass


def main() -> None:
    """Run both halves, each in a process of its own, and show the one trace."""
    with tempfile.TemporaryDirectory() as directory:
        for half in ("ask", "approve"):
            subprocess.run([sys.executable, __file__, half, directory], check=True)
        store = FileStore(directory)
        (trace_id,) = store.list_traces()
        trace = store.load(trace_id)
    assert trace is not None
    root, draft, approval, answer, pay = trace.nodes.values()
    assert root.status == pay.status == NodeStatus.COMPLETED
    assert approval.status == NodeStatus.PAUSED
    assert {node.parent_id for node in (draft, approval, answer, pay)} == {root.id}
    assert trace.failed_nodes == []
    print(render_trace(trace))
    print(f"waited {root.metadata['logtracer.waited_ms']:.0f} ms of {trace.duration_ms:.0f} ms")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        {"ask": ask, "approve": approve}[sys.argv[1]](sys.argv[2])
    else:
        main()
