"""Which traces are kept, and how much of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from logtracer import Tracer, TracerConfig, current_span, trace_node
from stress.reading import named, only_trace
from stress.stores import STORES


def record(config: TracerConfig, kind: str, directory: Path, *, fails: bool = False) -> Tracer:
    """Record a trace of two nodes, one of which may fail."""
    tracer = Tracer(config, STORES[kind](directory))
    with tracer.trace("run") as root, root.node("step") as step:
        step.input(question=1)
        if fails:
            with pytest.raises(ValueError), root.node("bad"):
                raise ValueError("bad")
    return tracer


NOTHING: list[dict[str, Any]] = [
    {"sample_rate": 0},
    {"enabled": False},
    {"sampler": lambda name, metadata: False},
    {"sample_rate": 0, "keep_failed": True},
    {"enabled": False, "keep_failed": True},
]


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("options", NOTHING, ids="-".join)
def test_what_is_not_sampled_is_not_kept(
    options: dict[str, Any], kind: str, tmp_path: Path
) -> None:
    tracer = record(TracerConfig(**options), kind, tmp_path)
    assert tracer.storage.list_traces() == []
    counts = tracer.stats()
    assert (counts["saved"], counts["errors"]) == (0, 0)
    assert counts["finished"] == counts["dropped"]
    assert list(tmp_path.rglob("*.json*")) == []


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("options", [{"sample_rate": 1}, {"sampler": lambda name, metadata: True}])
def test_what_is_sampled_is_kept(options: dict[str, Any], kind: str, tmp_path: Path) -> None:
    tracer = record(TracerConfig(**options), kind, tmp_path)
    assert len(only_trace(tracer).nodes) == 2


@pytest.mark.parametrize("kind", STORES)
def test_a_trace_that_fails_is_kept_whatever_the_rate(kind: str, tmp_path: Path) -> None:
    tracer = record(TracerConfig(sample_rate=0, keep_failed=True), kind, tmp_path, fails=True)
    trace = only_trace(tracer)
    assert [node.status for node in trace.nodes.values()] == ["completed", "completed", "failed"]
    assert named(trace, "step").input_data == {"question": 1}
    assert tracer.stats()["saved"] == 3


def test_a_failing_trace_is_not_kept_unless_asked_for(tmp_path: Path) -> None:
    tracer = record(TracerConfig(sample_rate=0), "memory", tmp_path, fails=True)
    assert tracer.storage.list_traces() == []


def test_a_rate_keeps_about_its_share() -> None:
    tracer = Tracer(TracerConfig(sample_rate=0.25))
    for _ in range(2_000):
        with tracer.trace("run"):
            pass
    assert 400 < len(tracer.storage.list_traces()) < 600  # five standard deviations


def test_a_sampler_decides_by_name_and_metadata_and_overrides_the_rate() -> None:
    def sampler(name: str, metadata: dict[str, Any]) -> bool:
        return name == "wanted" and metadata["user"] == "ada"

    tracer = Tracer(TracerConfig(sampler=sampler, sample_rate=0))
    for name, user in (("wanted", "ada"), ("wanted", "bob"), ("other", "ada")):
        with tracer.trace(name, {"user": user}):
            pass
    assert only_trace(tracer).name == "wanted"


def test_a_broken_sampler_is_counted_and_the_host_goes_on(tmp_path: Path) -> None:
    def sampler(name: str, metadata: dict[str, Any]) -> bool:
        raise RuntimeError("broken sampler")

    tracer = record(TracerConfig(sampler=sampler), "memory", tmp_path)
    assert tracer.stats()["errors"] == 1


@pytest.mark.parametrize("options", NOTHING[:3], ids="-".join)
def test_what_is_not_recorded_takes_every_call(options: dict[str, Any]) -> None:
    tracer = Tracer(TracerConfig(**options))
    with tracer.trace("run") as root, root.node("step") as step:
        step.input(a=1)
        step.output(b=2)
        step.metadata(c=3)
        step.annotate("why")
        step.llm(model="m")
        root.link(step)
        assert list(step.stream([1, 2])) == [1, 2]
        step.start().end(ValueError("bad"))
        assert step.trace.nodes == {}
        assert step.node_record.name == ""
        assert current_span() is None
    assert trace_node()(lambda: 42)() == 42


def test_a_disabled_trace_inside_a_recorded_one_leaves_it_current() -> None:
    with Tracer().trace("outer") as outer:
        with Tracer(TracerConfig(enabled=False)).trace("inner"):
            pass
        assert current_span() is outer


@pytest.mark.parametrize("setting", ["1", "true", "yes", "TRUE"])
def test_the_environment_can_disable(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGTRACER_DISABLED", setting)
    assert TracerConfig().enabled is False
    assert TracerConfig(enabled=True).enabled is True  # code wins


@pytest.mark.parametrize("setting", ["", "0", "false", "no"])
def test_the_environment_can_leave_enabled(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGTRACER_DISABLED", setting)
    assert TracerConfig().enabled is True


def test_the_environment_gives_the_rate_and_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGTRACER_SAMPLE_RATE", "0.5")
    monkeypatch.setenv("LOGTRACER_CAPTURE_LEVEL", "minimal")
    config = TracerConfig()
    assert (config.sample_rate, config.capture_level) == (0.5, "minimal")
    assert TracerConfig(sample_rate=1.0).sample_rate == 1.0


@pytest.mark.parametrize(
    ("variable", "value"), [("SAMPLE_RATE", "many"), ("SAMPLE_RATE", "2"), ("CAPTURE_LEVEL", "all")]
)
def test_a_wrong_setting_in_the_environment_is_refused(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"LOGTRACER_{variable}", value)
    with pytest.raises(ValueError, match=variable.lower() + "|" + variable):
        TracerConfig()


WRONG: list[tuple[str, Any]] = [
    ("capture_level", "everything"),
    ("sample_rate", -0.1),
    ("sample_rate", 1.1),
    ("sample_rate", "half"),
    ("sample_rate", float("nan")),
    ("max_input_size", 0),
    ("max_output_size", -1),
    ("max_input_size", "10"),
    ("max_value_size", 0),
]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_a_wrong_field_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        TracerConfig(**{field: value})


# ---- Capture levels -----------------------------------------------------------------------------

LEVELS: dict[str, tuple[bool, bool]] = {  # keeps data, keeps notes
    "minimal": (False, False),
    "standard": (False, True),
    "full": (True, True),
}


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("level", LEVELS)
def test_a_capture_level_keeps_what_it_says(level: str, kind: str, tmp_path: Path) -> None:
    keeps_data, keeps_notes = LEVELS[level]
    tracer = Tracer(TracerConfig(capture_level=level), STORES[kind](tmp_path))
    with pytest.raises(ValueError), tracer.trace("run") as root, root.node("step") as step:
        step.input(a=1)
        step.output(b=2)
        step.annotate("why")
        step.metadata(c=3)
        raise ValueError("bad")
    node = named(only_trace(tracer), "step")
    assert (bool(node.input_data), bool(node.output_data)) == (keeps_data, keeps_data)
    assert (bool(node.annotations), bool(node.metadata), bool(node.error)) == (keeps_notes,) * 3
    assert node.status == "failed"
    assert node.duration_ms is not None
    assert tracer.stats()["errors"] == 0


def test_a_trace_that_is_off_hides_the_outer_one_after_its_steps_too() -> None:
    @trace_node(name="hidden")
    def hidden() -> None:
        return None

    tracer, off = Tracer(), Tracer(TracerConfig(enabled=False))
    with tracer.trace("outer"), off.trace("inner") as root:
        with root.node("step"):
            hidden()
        hidden()
        assert current_span() is None
    assert [node.name for node in only_trace(tracer).nodes.values()] == ["outer"]
