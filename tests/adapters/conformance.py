"""What every adapter must do. A test file makes a subclass for its product:

class TestProduct(Conformance):
    adapter = product
    patched = ["product.module:Class.method"]

    def ask(self, question: str) -> str: ...
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.trees import last_trace, nodes_of_type, tree, unreadable_in
from conftest import ROOT
from logtracer import FileStore, NodeStatus, Span, Tracer, current_span, load_trace, trace_to_json

SECRET = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"


@pytest.mark.usefixtures("model_apis")
class Conformance:
    """Calls that end at once: where they nest, how they fail, what is left when it is over."""

    adapter: Any
    patched: list[str]
    fails_by_raising: bool = True

    def ask(self, question: str) -> str:
        """Ask the model through the product and return its answer."""
        raise AssertionError("the subclass says how")

    @pytest.fixture(autouse=True)
    def leave_nothing_behind(self) -> Iterator[None]:
        """Uninstall after each test."""
        yield
        self.adapter.uninstall()

    def test_a_call_outside_any_trace_runs_untouched(self, tracer: Tracer) -> None:
        with self.adapter.install(tracer):
            assert self.ask("hello") == "Hello from the mock."
        assert tracer.storage.list_traces() == []

    def test_a_call_outside_any_trace_opens_one_when_asked(self, tracer: Tracer) -> None:
        with self.adapter.install(tracer, opens_traces=True):
            self.ask("hello")
        assert len(tracer.storage.list_traces()) == 1
        assert last_trace(tracer).end_time is not None
        assert len(last_trace(tracer).nodes) > 1

    def test_a_call_nests_below_the_current_span(self, tracer: Tracer) -> None:
        with self.adapter.install(tracer), tracer.trace("run") as root:
            with root.node("outer") as outer:
                self.ask("hello")
            assert current_span() is root
        found = [node for node in last_trace(tracer).nodes.values() if node.parent_id == outer.id]
        assert found
        assert all(node.status == NodeStatus.COMPLETED for node in found)

    def test_the_host_gets_the_same_answer(self, tracer: Tracer) -> None:
        plain = self.ask("hello")
        with self.adapter.install(tracer), tracer.trace("run"):
            assert self.ask("hello") == plain

    def test_a_failure_reaches_the_host_as_before(self, tracer: Tracer) -> None:
        plain = outcome(self.ask, "always broken")
        with self.adapter.install(tracer), tracer.trace("run"):
            traced = outcome(self.ask, "always broken")
        assert traced == plain
        assert isinstance(plain, type) == self.fails_by_raising
        assert [node for node in last_trace(tracer).failed_nodes if node.parent_id]

    def test_an_adapter_that_breaks_is_not_noticed(
        self, tracer: Tracer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*args: object, **kwargs: object) -> Any:
            raise ZeroDivisionError

        with self.adapter.install(tracer), tracer.trace("run"):
            for name in ("node", "metadata", "output"):
                with monkeypatch.context() as patches:
                    patches.setattr(Span, name, broken)
                    assert self.ask("hello") == "Hello from the mock."

    def test_secrets_stay_out_of_the_trace(self, tracer: Tracer) -> None:
        with self.adapter.install(tracer), tracer.trace("run"):
            self.ask(f"hello, my key is {SECRET}")
        assert SECRET not in trace_to_json(last_trace(tracer))

    def test_what_is_kept_can_be_read(self, tracer: Tracer) -> None:
        with self.adapter.install(tracer), tracer.trace("run"):
            self.ask("hello")
            outcome(self.ask, "always broken")
        assert unreadable_in(last_trace(tracer)) == []

    def test_nothing_is_recorded_after_uninstalling(self, tracer: Tracer) -> None:
        before = [attribute(path) for path in self.patched]
        with self.adapter.install(tracer):
            assert all(attribute(path) is not old for path, old in zip(self.patched, before))
        assert [attribute(path) for path in self.patched] == before
        with tracer.trace("run"):
            self.ask("hello")
        assert tree(last_trace(tracer)) == []

    def test_somebody_elses_patch_on_top_stays(self, tracer: Tracer) -> None:
        self.adapter.install(tracer)
        for path in self.patched:
            owner, name = owner_of(path)
            patch_on_top(owner, name)
        tops = [attribute(path) for path in self.patched]
        try:
            self.adapter.uninstall()
            assert [attribute(path) for path in self.patched] == tops
            with tracer.trace("run"):
                assert self.ask("hello") == "Hello from the mock."
            assert tree(last_trace(tracer)) == []
        finally:
            for path in self.patched:
                owner, name = owner_of(path)
                setattr(owner, name, attribute(path).plain)

    def test_installing_twice_is_installing_once(self, tracer: Tracer) -> None:
        with self.adapter.install(tracer):
            with self.adapter.install(tracer):
                pass
            with tracer.trace("run"):
                self.ask("hello")
        assert len(nodes_of_type(last_trace(tracer), "llm_call")) <= 1
        assert tree(last_trace(tracer))


@pytest.mark.usefixtures("model_apis")
class StreamConformance:
    """Streams: each of their ends, and the consumer's context while they flow."""

    adapter: Any

    def stream(self, question: str) -> Iterator[str]:
        """Yield the answer in pieces, through the product."""
        raise AssertionError("the subclass says how")

    def test_a_stream_comes_through_whole(self, tracer: Tracer) -> None:
        plain = list(self.stream("hello"))
        with self.adapter.install(tracer), tracer.trace("run"):
            assert list(self.stream("hello")) == plain
        assert all(node.status == "completed" for node in last_trace(tracer).nodes.values())

    def test_the_consumers_current_span_is_untouched(self, tracer: Tracer) -> None:
        with self.adapter.install(tracer), tracer.trace("run") as root:
            for _ in self.stream("hello"):
                assert current_span() is root

    def test_a_stream_left_early_ends_its_node(self, tracer: Tracer) -> None:
        with self.adapter.install(tracer), tracer.trace("run"):
            pieces: Any = self.stream("hello")
            assert next(pieces)
            pieces.close()
        assert all(node.end_time for node in last_trace(tracer).nodes.values())
        assert last_trace(tracer).failed_nodes == []

    def test_a_dropped_stream_ends_its_node(self, tracer: Tracer) -> None:
        with self.adapter.install(tracer), tracer.trace("run"):
            pieces = self.stream("hello")
            assert next(pieces)
            del pieces
            gc.collect()
        assert all(node.end_time for node in last_trace(tracer).nodes.values())
        assert last_trace(tracer).failed_nodes == []

    def test_a_stream_cut_by_the_server_fails_its_node(self, tracer: Tracer) -> None:
        plain = outcome(list, self.stream("cut short"))
        with self.adapter.install(tracer), tracer.trace("run"):
            assert outcome(list, self.stream("cut short")) == plain
        assert [node for node in last_trace(tracer).failed_nodes if node.parent_id]
        assert all(node.end_time for node in last_trace(tracer).nodes.values())


@pytest.mark.usefixtures("model_apis")
class AsyncStreams:
    """What the two classes below ask of a product."""

    adapter: Any

    def astream(self, question: str) -> AsyncIterator[str]:
        """Yield the answer in pieces, asynchronously."""
        raise AssertionError("the subclass says how")


class AsyncStreamConformance(AsyncStreams):
    """Asynchronous streams: the consumer's context while they flow."""

    def test_an_asynchronous_stream_leaves_its_consumers_span_alone(self, tracer: Tracer) -> None:
        async def main() -> None:
            plain = [piece async for piece in self.astream("hello")]
            with self.adapter.install(tracer), tracer.trace("run") as root:
                async for piece in self.astream("hello"):
                    assert current_span() is root
                    assert piece == plain.pop(0)
            assert plain == []

        asyncio.run(main())
        assert tree(last_trace(tracer))
        assert all(node.status == "completed" for node in last_trace(tracer).nodes.values())


class CancellationConformance(AsyncStreams):
    """Asynchronous streams whose consumer is cancelled."""

    def test_a_cancelled_stream_is_cancelled_in_the_trace(self, tracer: Tracer) -> None:
        async def consume(started: asyncio.Event) -> None:
            async for _ in self.astream("slow answer"):
                started.set()

        async def main() -> None:
            started = asyncio.Event()
            with tracer.trace("run"):
                task = asyncio.create_task(consume(started))
                await asyncio.wait_for(started.wait(), 60)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

        with self.adapter.install(tracer):
            asyncio.run(main())
        assert any(node.status == "cancelled" for node in last_trace(tracer).nodes.values())
        assert all(node.end_time for node in last_trace(tracer).nodes.values())


@pytest.mark.usefixtures("model_apis")
class ExampleConformance:
    """The script that shows the product, run as a user would run it."""

    example: str

    def test_the_example_runs_and_prints_its_trace(self) -> None:
        command = [sys.executable, "-W", "ignore", f"examples/frameworks/{self.example}.py"]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=120)
        assert run.returncode == 0, run.stderr
        assert run.stdout.startswith("Trace: ")


def assert_goes_on(directory: Path, adapter: Any, go_on: Callable[[], object]) -> None:
    """Resume the one trace in a directory, with nothing left in memory of what paused it."""
    tracer = Tracer(storage=FileStore(directory))
    (trace_id,) = tracer.storage.list_traces()
    before = load_trace(directory, trace_id)
    assert before.root_nodes[0].status == NodeStatus.PAUSED
    with adapter.install(tracer), tracer.resume(trace_id):
        go_on()
    after = load_trace(directory, trace_id)
    assert after.root_nodes[0].status == NodeStatus.COMPLETED
    assert len(after.nodes) > len(before.nodes)
    (resumed,) = [node for node in after.nodes.values() if "resumes" in node.metadata]
    assert before.nodes[resumed.metadata["resumes"]].status == NodeStatus.PAUSED


def owner_of(path: str) -> tuple[Any, str]:
    """Return the class or module, and the name, of `module:Class.attribute`."""
    module, _, names = path.partition(":")
    owner: Any = importlib.import_module(module)
    *classes, name = names.split(".")
    for part in classes:
        owner = getattr(owner, part)
    return owner, name


def attribute(path: str) -> Any:
    """Return what stands at a path, without binding it."""
    return inspect.getattr_static(*owner_of(path))


def patch_on_top(owner: Any, name: str) -> None:
    """Patch as another tool would; `plain` is what the attribute was without any patch."""
    below = inspect.getattr_static(owner, name)

    def on_top(*args: Any, **kwargs: Any) -> Any:
        return below(*args, **kwargs)

    marked: Any = on_top
    marked.plain = below.__wrapped__
    setattr(owner, name, marked)


def outcome(function: Any, *args: Any) -> Any:
    """Return the type of what a function raises, or else what it returns."""
    try:
        return function(*args)
    except Exception as error:
        return type(error)
