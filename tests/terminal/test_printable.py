"""Nothing in a trace can steer a terminal or hide from the eye."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logtracer import NodeStatus, TraceGraph, save_trace_json
from logtracer_cli import (
    Pen,
    cell_width,
    clip,
    main,
    printable,
    render_trace,
    value_text,
)
from sample_traces import Sample

PAYLOADS = [
    "\x1b[31mred\x1b[0m",
    "\x1b[2J\x1b[H",
    "\x1b]0;title\x07",
    "\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x9b31mred",
    "\x9d0;title\x9c",
    "\x1bP+q544e\x1b\\",
    "\x1bc",
    "safe\rEVIL",
    "safe\b\b\b\bEVIL",
    "\x00\x07\x7f",
    "user\u202egnp.exe",
    "\u2066hidden\u2069",
    "zero\u200bwidth\u200d\ufeff",
    "soft\u00adhyphen",
    "line\n└── [tool_call] forged (0ms) ✓",
    "line\u2028separator\u2029",
    "lone \ud800 surrogate",
    "tags \U000e0041\U000e0042",
]
MARKUP = [
    "[bold red]x[/]",
    "[/]",
    ":skull:",
    "[link=https://a.example]x[/link]",
    "\\[a]",
    "<b>&amp;",
    "%s {0}",
]
SGR = re.compile(r"\x1b\[[0-9;]*m")


def everywhere(payload: str) -> TraceGraph:
    """Return a trace that holds the payload wherever a trace holds text."""
    sample = Sample(payload, trace_id="feed")
    first = sample.node("first", "custom")
    node = sample.node(
        payload,
        payload,
        status=NodeStatus.FAILED,
        annotations=[payload],
        error=payload,
        error_type=payload,
        error_traceback=payload,
        input_data={payload: [payload]},
        output_data={"key": {payload: payload}},
        metadata={payload: payload, "lane": payload},
    )
    sample.link(first, node, payload, label=payload)
    return sample.trace


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("verbosity", ["minimal", "standard", "full"])
def test_tree_of_a_hostile_trace_is_printable(payload: str, verbosity: str) -> None:
    for line in render_trace(everywhere(payload), verbosity=verbosity).split("\n"):
        assert line.isprintable()
        assert not line.startswith("└── [tool_call] forged")


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("flags", [["--color", "always"], ["--ascii"], ["--wide"], ["--json"]])
def test_hostile_trace_changes_nothing_but_visible_text(
    payload: str, flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "hostile.json"
    save_trace_json(everywhere(payload), path)
    assert main(["inspect", str(path), "--verbosity", "full", *flags]) == 0
    written = capsys.readouterr().out
    assert all(line.isprintable() for line in SGR.sub("", written).split("\n"))
    assert written.isascii() or "--ascii" not in flags


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a directory with a trace for every payload."""
    directory = tmp_path_factory.mktemp("hostile")
    for number, payload in enumerate(PAYLOADS):
        save_trace_json(everywhere(payload), directory / f"feed{number:02}.json")
    return str(directory)


COMMANDS = [
    ["list"],
    ["list", "--json"],
    ["stats", "--limit", "0"],
    ["stats", "--json"],
    ["search", "status:failed"],
    ["search", "status:failed", "--json"],
    *(["inspect", f"feed{number:02}", "--timeline"] for number in range(len(PAYLOADS))),
    *(["inspect", f"feed{number:02}", "--node", "3"] for number in range(len(PAYLOADS))),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_hostile_traces_are_printable_in_every_command(
    command: list[str], store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for flags in (["--color", "always"], ["--ascii", "--width", "60"]):
        assert main([*command, "--store", store, *flags]) == 0
        written = SGR.sub("", capsys.readouterr().out)
        assert all(line.isprintable() for line in written.split("\n"))
        assert not any(line.startswith("└── [tool_call] forged") for line in written.split("\n"))
    assert written.isascii()


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_name_in_an_error_message_is_one_printable_line(
    payload: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", f"{payload}.json".replace("\0", "")]) == 1
    message = capsys.readouterr().err
    assert message.endswith("\n")
    assert message[:-1].isprintable()


@pytest.mark.parametrize("payload", MARKUP)
def test_markup_is_shown_as_it_is(payload: str) -> None:
    assert f"[custom] {payload} (0ms)" in render_trace(named(payload))


@pytest.mark.parametrize("payload", MARKUP)
def test_markup_is_shown_as_it_is_in_colour(
    payload: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "markup.json"
    save_trace_json(named(payload), path)
    main(["inspect", str(path), "--color", "always"])
    assert f"[custom] {payload} (0ms)" in SGR.sub("", capsys.readouterr().out)


def named(name: str) -> TraceGraph:
    sample = Sample("run")
    sample.node(name, "custom")
    return sample.trace


@given(st.text())
def test_printable_leaves_printable_text_alone_and_no_other_character(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown
    assert shown == text or not text.isprintable()


@given(st.text(max_size=40))
def test_ascii_style_writes_ascii(text: str) -> None:
    assert Pen(unicode=False).text([(text, "")]).isascii()


@given(st.text(max_size=60), st.integers(min_value=2, max_value=40))
def test_clipped_text_fits_its_columns(text: str, width: int) -> None:
    assert cell_width(clip(text, width)) <= width


def test_wide_characters_count_two_columns_and_combining_ones_none() -> None:
    assert cell_width("日本") == 4
    assert cell_width("e\u0301") == 1
    assert clip("日本語", 5) == "日本…"


def values(text: st.SearchStrategy[str]) -> st.SearchStrategy[object]:
    """Return JSON data whose strings are drawn from `text`."""
    return st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | text,
        lambda below: st.lists(below, max_size=4) | st.dictionaries(text, below, max_size=4),
        max_leaves=12,
    )


@given(values(st.text(max_size=8)))
def test_value_text_is_repr(value: object) -> None:
    assert value_text(value, 100_000) == repr(value)


@given(values(st.text("ab\n", max_size=8)), st.integers(min_value=1, max_value=30))
def test_value_text_begins_as_repr_does(value: object, limit: int) -> None:
    assert value_text(value, limit)[:limit] == repr(value)[:limit]


def test_value_text_survives_depth_width_and_broken_objects() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert value_text(deep, 50).startswith("[[[[")
    assert value_text(list(range(1_000_000)), 20).startswith("[0, 1, 2")
    assert value_text({"a": Broken()}, 20) == "{'a': <Broken>}"
    assert len(value_text("x" * 1_000_000, 10)) < 20
