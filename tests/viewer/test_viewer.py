"""The page as a file: what is in it, what cannot get into it, and how it is written."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import re
import stat
from html.parser import HTMLParser
from pathlib import Path

import pytest

from logtracer import Node, TraceGraph
from logtracer_extras.viewer import PageError, comparison_page, trace_page, write_page
from logtracer_extras.viewer import page as viewer
from viewer.browser import PAGE
from viewer.traces import ATTACKS, START, chain, hostile_trace, reference_trace

SOURCE = PAGE.read_text(encoding="utf-8")
FORBIDDEN = (
    r"innerHTML",
    r"outerHTML",
    r"insertAdjacentHTML",
    r"document\.write",
    r"\beval\s*\(",
    r"new Function",
    r"set(?:Timeout|Interval)\(\s*['\"`]",
    r"srcdoc",
    r"setAttribute\(\s*['\"](?:style|on)",
    r"importScripts|import\(",
    r"XMLHttpRequest|WebSocket|sendBeacon",
    r"https?://",
    r"postMessage",
)


class Elements(HTMLParser):
    """Counts the elements of a page as a browser would find them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def scripts(page: str) -> str:
    """Return what can run in a page."""
    return "".join(re.findall(r'<script id="(?:boot|core|ui)">(.*?)</script>', page, re.S))


def unpacked(page: str, name: str) -> str:
    """Return the text of a packed block."""
    block = re.search(rf'<script type="text/plain" id="logtracer-{name}">([^<]*)<', page)
    assert block is not None
    return gzip.decompress(base64.b64decode(block[1])).decode()


def test_hostile_trace_adds_no_element_and_no_attribute() -> None:
    plain = Elements(trace_page(reference_trace(30)))
    hostile = Elements(trace_page(hostile_trace()))
    added = set(hostile.attributes) - set(plain.attributes)
    assert [tag for tag in hostile.tags if tag != "p"] == [tag for tag in plain.tags if tag != "p"]
    assert {name for name, _ in added} <= {"content"}


def test_json_blocks_hold_no_character_that_markup_is_made_of() -> None:
    blocks = re.findall(
        r'<script type="application/json"[^>]*>([^<]*)<', trace_page(hostile_trace())
    )
    assert len(blocks) == 3
    assert not re.search("[<>&\u2028\u2029]", "".join(blocks))
    assert json.loads(blocks[0])["name"] == ATTACKS[1]


def test_policy_allows_exactly_the_scripts_and_the_style_of_the_page() -> None:
    page = trace_page(reference_trace(30))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None and "unsafe" not in policy[1]
    running = re.findall(r'<script id="boot">(.*?)</script>|<style>(.*?)</style>', page, re.S)
    running += [(unpacked(page, "code"), "")]
    for text in ("".join(pair) for pair in running):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy[1]
    assert policy[1].count("sha256-") == len(running) == 3
    assert "default-src 'none'" in policy[1] and "connect-src 'none'" in policy[1]


@pytest.mark.parametrize("pattern", FORBIDDEN)
def test_source_uses_no_forbidden_interface(pattern: str) -> None:
    assert not re.search(pattern, scripts(SOURCE))


def test_source_names_no_address_outside() -> None:
    assert not re.search(r"(?:src|href)\s*=\s*[\"'](?!data:,|/save')", SOURCE)


def test_same_trace_gives_the_same_bytes() -> None:
    assert trace_page(reference_trace(4_000)) == trace_page(reference_trace(4_000))


def test_large_page_is_packed_and_a_small_one_is_readable() -> None:
    large, small = trace_page(reference_trace(4_000)), trace_page(reference_trace(300))
    assert json.loads(unpacked(large, "head"))["name"] == "reference-agent"
    assert '"name":"reference-agent"' in small


def test_page_is_small() -> None:
    assert len(trace_page(TraceGraph()).encode()) <= 220_000
    assert len(trace_page(reference_trace(100_000)).encode()) <= 4_000_000


def test_number_that_a_column_holds_is_not_carried_twice() -> None:
    trace = TraceGraph(name="once")
    for number, tokens in enumerate((1_234_567, True, 7.5, -3)):
        metadata = {"gen_ai.usage.input_tokens": tokens, "team": "blue"}
        trace.add_node(Node(f"{number:02x}", number, "step", metadata=metadata))
    page = trace_page(trace)
    assert page.count("1234567") == 1 and page.count('"gen_ai.usage.input_tokens"') == 3
    assert page.count('"team":"blue"') == 4


def test_page_without_values_holds_no_input_and_no_output() -> None:
    trace = TraceGraph(name="secret")
    trace.add_node(
        Node("a", 0, "step", input_data={"q": "the-input"}, output_data={"a": "the-out"})
    )
    assert "the-input" in trace_page(trace)
    without = trace_page(trace, with_values=False)
    assert "the-input" not in without and "the-out" not in without


def test_values_that_are_no_json_are_told_and_harm_nobody_else() -> None:
    trace = TraceGraph(name="odd")
    trace.add_node(Node("a", 0, "bad", input_data={"x": float("nan")}))
    trace.add_node(Node("b", 1, "good", input_data={"x": "kept"}))
    page = trace_page(trace)
    assert "not JSON data" in page and "kept" in page and "NaN" not in page.partition("</style>")[0]


def test_nodes_without_their_parent_are_told() -> None:
    trace = TraceGraph(name="torn")
    trace.add_node(Node("a", 0, "lost", parent_id="gone", start_time=START))
    assert "1 node names a parent that is not in the trace" in trace_page(trace)
    trace.add_node(Node("b", 1, "lost too", parent_id="gone", start_time=START))
    assert "2 nodes name a parent that is not in the trace" in trace_page(trace)


def test_comparison_says_in_which_run_a_parent_is_missing() -> None:
    torn, whole = TraceGraph(name="torn"), TraceGraph(name="whole")
    torn.add_node(Node("a", 0, "lost", parent_id="gone", start_time=START))
    page = comparison_page(torn, whole, [])
    assert "A: 1 node names a parent" in page and "B: 1 node" not in page


def test_circle_of_parents_and_empty_trace_give_a_page() -> None:
    trace = TraceGraph(name="circle")
    trace.add_node(Node("a", 0, "a", parent_id="b"))
    trace.add_node(Node("b", 1, "b", parent_id="a"))
    assert '"count":2' in trace_page(trace)
    assert '"count":0' in trace_page(TraceGraph(name="empty"))


def test_chain_of_20000_steps_gives_a_page() -> None:
    assert len(trace_page(chain(20_000))) > 100_000


def test_too_many_nodes_are_refused_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer, "_MOST_NODES", 10)
    with pytest.raises(PageError, match="a page holds 10"):
        trace_page(reference_trace(20))


def test_reader_without_javascript_sees_a_summary() -> None:
    summary = trace_page(hostile_trace()).partition("<noscript>")[2].partition("</noscript>")[0]
    assert "16 nodes, 15 failed" in summary
    assert not re.search("<(?!/?p>)", summary)


def test_page_is_for_its_owner_only(tmp_path: Path) -> None:
    path = write_page("page", tmp_path / "run.html")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert os.listdir(tmp_path) == ["run.html"]


def test_foreign_file_is_replaced_only_by_force(tmp_path: Path) -> None:
    target = tmp_path / "notes.html"
    target.write_text("mine")
    with pytest.raises(PageError, match="use force"):
        write_page(trace_page(reference_trace(5)), target)
    assert target.read_text() == "mine"
    write_page(trace_page(reference_trace(5)), target, force=True)
    write_page(trace_page(reference_trace(6)), target)  # now it is a page


def test_place_that_cannot_be_written_is_named_as_it_was_given(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        write_page("page", tmp_path / "nowhere" / "run.html")
    assert caught.value.filename == str(tmp_path / "nowhere" / "run.html")


def test_failed_write_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="no"):
        write_page("page", tmp_path / "run.html")
    assert os.listdir(tmp_path) == []
