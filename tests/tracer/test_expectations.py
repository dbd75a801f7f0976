"""What a person tries first: other ways to say the same, and clear answers to mistakes."""

from __future__ import annotations

import doctest
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import logtracer
from logtracer import FileStore, MemoryStore, Span, Tracer, TracerConfig, configure, open_store
from stress.quiet import minutes_later


def recorded(tell: Any) -> logtracer.Node:
    """Return the node of a step that was told something."""
    with Tracer().trace("run") as root, root.node("step") as step:
        tell(step)
    return step.node_record


# Storage


@pytest.mark.parametrize("place", ["file://./traces", "./traces", Path("traces")])
def test_a_store_can_be_named(empty_directory: Path, place: str | Path) -> None:
    for tracer in (Tracer(storage=place), configure(storage=place)):
        with tracer.trace("run") as root:
            pass
        assert FileStore("traces").load(root.trace.trace_id) is not None
    assert [path.name for path in empty_directory.iterdir()] == ["traces"]


def test_memory_can_be_named() -> None:
    assert isinstance(Tracer(storage="memory").storage, MemoryStore)
    assert isinstance(configure(storage="memory").storage, MemoryStore)


def test_a_database_can_be_named(tmp_path: Path) -> None:
    from logtracer_extras.sqlite import SQLiteStore

    assert isinstance(Tracer(storage=f"sqlite://{tmp_path}/traces.db").storage, SQLiteStore)


def test_a_directory_that_is_there_needs_no_separator(empty_directory: Path) -> None:
    (empty_directory / "traces").mkdir()
    store = open_store("traces")
    assert isinstance(store, FileStore) and store.directory == str(empty_directory / "traces")


def test_a_directory_may_be_below_the_home(
    empty_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(empty_directory))
    monkeypatch.setenv("USERPROFILE", str(empty_directory))
    assert getattr(open_store("~/traces"), "directory") == str(empty_directory / "traces")


@pytest.mark.parametrize("text", ["", "memry", "file://", "sqlite:/tmp/x.db", "s3://bucket/x"])
def test_a_text_that_names_no_store_is_refused(empty_directory: Path, text: str) -> None:
    for make in (Tracer, configure):
        with pytest.raises(ValueError, match=r"unknown storage: .*; use memory, a directory"):
            make(storage=text)
    assert not [*empty_directory.iterdir()]


@pytest.mark.parametrize(
    "thing", [object(), 7, {}, MemoryStore, b"./traces"], ids=lambda value: type(value).__name__
)
def test_a_thing_that_is_no_store_is_refused(thing: Any) -> None:
    for make in (Tracer, configure):
        with pytest.raises(TypeError, match="storage is not a store: .*; give one with save, load"):
            make(storage=thing)


@pytest.mark.parametrize(
    "thing", ["my-agent", MemoryStore(), {}], ids=lambda value: type(value).__name__
)
def test_a_configuration_that_is_none_is_refused(thing: Any) -> None:
    with pytest.raises(TypeError, match=r"config must be a TracerConfig: .*; a store goes into"):
        Tracer(thing)


def test_one_pattern_is_not_taken_for_its_letters() -> None:
    pattern: Any = "secret-[0-9]+"
    with pytest.raises(ValueError, match="redact_patterns must be a list of texts"):
        configure(redact_patterns=pattern)


def test_a_bad_setting_in_the_environment_leaves_the_host_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    minutes_later(monkeypatch)
    monkeypatch.setattr(logtracer, "_default", None)
    monkeypatch.setenv("LOGTRACER_STORAGE", "carrier-pigeon://loft")
    for _ in range(2):
        with logtracer.trace("run") as root, root.node("step") as step:
            step.output(answer=42)
    (record,) = caplog.records
    assert "nothing is traced: unknown storage: 'carrier-pigeon'" in record.getMessage()


# Adapters


def test_one_adapter_can_be_named_without_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[str] = []

    class Adapter:
        def __init__(self, name: str) -> None:
            self.name = name

        def install(self, tracer: Tracer) -> None:
            installed.append(self.name)

    monkeypatch.setattr(logtracer, "_adapter", Adapter)
    Tracer(TracerConfig(auto_instrument="http"))
    configure(auto_instrument="http")
    configure(auto_instrument=("http", "otel"))
    assert installed == ["http", "http", "http", "otel"]


def test_an_unknown_adapter_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(
        ValueError, match=r"^unknown adapter 'opanai'; did you mean 'openai'\?"
    ) as e:
        configure(auto_instrument="opanai")
    assert re.search("available: agno, all, .*, openai,", str(e.value))


def test_an_unknown_adapter_like_none_is_refused_with_all_names() -> None:
    with pytest.raises(ValueError, match="^unknown adapter 'zzz'; available: agno, all, "):
        Tracer(TracerConfig(auto_instrument=["zzz"]))


def test_an_adapter_of_another_name_is_found_by_its_alias(monkeypatch: pytest.MonkeyPatch) -> None:
    from logtracer_extras import adapters

    monkeypatch.setattr(adapters, "ALIASES", {"requests": "http"}, raising=False)
    with pytest.raises(ValueError, match="unknown adapter 'Requests'; did you mean 'http'"):
        configure(auto_instrument=["Requests"])


# Spans


@pytest.mark.parametrize("method", ["input", "output", "metadata"])
@pytest.mark.parametrize(
    ("given", "named", "expected"),
    [
        (({"q": 1},), {}, {"q": 1}),
        (("text",), {}, {"value": "text"}),
        ((None,), {}, {"value": None}),
        (([1, 2],), {}, {"value": [1, 2]}),
        (({1: 2},), {}, {"value": {"1": 2}}),
        (({"q": 1},), {"k": 2}, {"q": 1, "k": 2}),
        ((1, 2), {}, {"value": [1, 2]}),
        ((), {"self": 1, "given": 2, "value": 3}, {"self": 1, "given": 2, "value": 3}),
    ],
)
def test_values_may_be_given_without_names(
    method: str, given: tuple[Any, ...], named: dict[str, Any], expected: dict[str, Any]
) -> None:
    node = recorded(lambda step: getattr(step, method)(*given, **named))
    assert expected in (node.input_data, node.output_data, node.metadata)


def test_a_dict_given_without_a_name_is_a_snapshot() -> None:
    values = {"q": [1]}

    def tell(step: Span) -> None:
        step.input(values)
        values["q"].append(2)
        values["r"] = []

    assert recorded(tell).input_data == {"q": [1]}
    assert values == {"q": [1, 2], "r": []}


def test_a_model_may_be_given_without_its_name() -> None:
    assert recorded(lambda step: step.llm("m")).metadata["gen_ai.request.model"] == "m"


def test_a_cost_that_was_told_has_a_name_of_its_own() -> None:
    node = recorded(lambda step: step.llm("m", cost=0.01))
    assert node.metadata["gen_ai.usage.cost"] == 0.01
    assert "gen_ai.request.cost" not in node.metadata


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("modle", "model"),
        ("input_token", "input_tokens"),
        ("cached_token", "cached_tokens"),
        ("finish_reasons", "finish_reason"),
        ("provder", "provider"),
        ("costs", "cost"),
    ],
)
def test_a_misspelt_argument_of_llm_is_kept_and_reported(
    name: str, meant: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    minutes_later(monkeypatch)
    node = recorded(lambda step: step.llm(**{name: 7}))
    assert f"gen_ai.request.{name}" in node.metadata
    (record,) = caplog.records
    assert f"unknown argument: {name}; did you mean {meant}?" in record.getMessage()


def test_parameters_of_a_request_are_no_mistakes(caplog: pytest.LogCaptureFixture) -> None:
    tracer = Tracer()
    with tracer.trace("run") as root:
        root.llm("m", temperature=0.5, top_p=1, max_tokens=9, max_output_tokens=9, seed=1, stop=[])
        root.llm("m", n=2, user="u", stream=True, tools=[], tool_choice="auto", host="h", port=1)
    assert tracer.stats()["errors"] == 0 and not caplog.records


def test_a_step_can_fail_with_a_message() -> None:
    node = recorded(lambda step: step.fail("not in stock"))
    assert (node.status, node.error) == ("failed", "not in stock")
    assert node.error_type is None and node.error_traceback is None


def test_a_step_can_fail_with_an_error_that_was_caught() -> None:
    def tell(step: Span) -> None:
        try:
            raise KeyError("sku")
        except KeyError as error:
            step.fail(error)

    node = recorded(tell)
    assert (node.status, node.error, node.error_type) == ("failed", "'sku'", "KeyError")
    assert "in tell" in (node.error_traceback or "")


def test_a_failure_by_message_is_told_to_hooks_and_stores(tmp_path: Path) -> None:
    tracer = Tracer(storage=FileStore(tmp_path))
    seen: list[str | None] = []
    tracer.on("node.failed", lambda node, trace_id: seen.append(node.error))
    with tracer.trace("run") as root, root.node("step") as step:
        step.fail("password=hunter22secret")
    trace = tracer.storage.load(root.trace.trace_id)
    assert trace is not None and [node.error for node in trace.failed_nodes] == seen
    assert seen == ["password=[REDACTED]"]


class Odd:
    """A value whose own code always raises."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("no class")

    @__class__.setter
    def __class__(self, value: Any) -> None:
        raise RuntimeError("no class")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("no attribute")

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not comparable")

    def __hash__(self) -> int:
        raise RuntimeError("no hash")

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")


PLAIN = [None, 7, "text", b"\xff", {}, {1: 2}, [], object(), Odd, ValueError("x"), Span]


@pytest.mark.parametrize("make", [*(lambda odd=odd: odd for odd in PLAIN), Odd])
def test_a_span_bears_whatever_it_is_given(make: Callable[[], Any]) -> None:
    odd = make()
    with Tracer().trace("run") as root:
        with root.node(odd, odd) as step:
            for tell in (step.input, step.output, step.metadata):
                tell(odd)
                tell(odd, odd, key=odd)
            step.annotate(odd)
            step.set_status(odd)
            step.link(odd, odd, odd)
            step.llm(odd, provider=odd, input_tokens=odd, finish_reason=odd, cost=odd, other=odd)
            step.fail(odd)
            step.pause(odd)
            step.resume()
            root.node("next").end(odd)
            root.node("last").start().end(odd)
        assert next(iter(root.stream([odd]))) is odd
    assert len(root.trace.nodes) == 3
    assert logtracer.trace_from_json(logtracer.trace_to_json(root.trace)).nodes.keys()


def test_examples_in_docstrings_run() -> None:
    assert doctest.testmod(logtracer, exclude_empty=True).attempted >= 5
    assert doctest.testmod(logtracer).failed == 0
