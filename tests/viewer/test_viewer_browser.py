"""The page in a real Chromium: it draws, answers to keys, and whatever it holds stays inert."""

from __future__ import annotations

import base64
import gzip
import json
import re
import select
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from logtracer import Edge, EdgeType, TraceGraph
from logtracer_extras.diff import diff
from logtracer_extras.viewer import comparison_page, trace_page, write_page
from logtracer_extras.viewer import page as viewer
from viewer.browser import PAGE, Visitor, chromium, visit
from viewer.traces import TraceMaker, chain, fail, fan, hostile_trace, reference_trace

PROBES = Path(__file__).parent
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Any) -> Iterator[Visitor]:
    with visit(browser) as visitor:
        yield visitor


def written(tmp_path: Path, page: str) -> str:
    """Write a page and return its address."""
    return Path(write_page(page, tmp_path / "run.html", force=True)).as_uri()


def asked(model: str) -> dict[str, str]:
    """Return the attributes of a call of a model."""
    return {"gen_ai.request.model": model}


def small_trace() -> TraceGraph:
    """Return a run with a failed call, its retry, a fallback, and parallel work."""
    maker = TraceMaker("support-agent")
    plan = maker.node("plan", "llm_call", maker.root, 0, 2e6, output_data={"text": "search first"})
    gather = maker.node("gather", "custom", maker.root, 2e6, 6e6)
    for place in range(3):
        maker.node("web_search", "tool_call", gather, 2e6 + place, 5e6, input_data={"q": place})
    first = maker.node("chat", "llm_call", maker.root, 6e6, 8e6)
    fail(first, "RateLimit", "429, retry after 1s")
    second = maker.node("chat", "llm_call", maker.root, 9e6, 10e6, metadata=asked("large-1"))
    other = maker.node("chat small", "llm_call", maker.root, 11e6, 12e6, metadata=asked("small-1"))
    maker.trace.edges += [
        Edge(first.id, second.id, EdgeType.RETRY_OF),
        Edge(second.id, other.id, EdgeType.FALLBACK_OF),
        Edge(plan.id, gather.id, EdgeType.DATA_FLOW, "query"),
    ]
    maker.end(maker.root, 12.4e6)
    return maker.trace


def test_page_draws_without_a_request_and_without_a_complaint(
    page: Visitor, tmp_path: Path
) -> None:
    address = written(tmp_path, trace_page(reference_trace(5_000)))
    page.open(address)
    for tab in ("2", "3", "4", "5", "1"):
        page.press(tab)
    page.press("e", "c", "f", "f", "[", "]", "0", "?")
    assert page.requests == [address]
    assert page.complaints == []


ASK_OUTSIDE = """(address) => {
  new Image().src = address;
  fetch(address).catch(() => {});
}"""


@pytest.mark.parametrize("has_policy", [True, False])
def test_policy_keeps_a_page_from_reaching_anybody(
    page: Visitor, tmp_path: Path, has_policy: bool
) -> None:
    text = trace_page(small_trace())
    page.open(written(tmp_path, text if has_policy else POLICY.sub("", text)))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        page.ask(ASK_OUTSIDE, f"http://127.0.0.1:{listener.getsockname()[1]}/")
        page.page.wait_for_timeout(200)
        reached, _, _ = select.select([listener], [], [], 0)
    assert bool(reached) != has_policy


def test_hostile_trace_stays_text_in_every_view(page: Visitor, tmp_path: Path) -> None:
    address = written(tmp_path, trace_page(hostile_trace()))
    page.open(address)
    for _ in range(16):
        page.press("ArrowDown")
    for tab in ("2", "3", "4", "5", "1"):
        page.press(tab)
    page.press("e", "y")
    assert page.ask("() => window.pwned === undefined && ({}).polluted === undefined")
    assert page.requests == [address]
    assert page.complaints == []
    shown = page.ask("() => document.getElementById('main').textContent")
    assert "\u202e" not in shown and "\\u202e" in shown


@pytest.mark.parametrize("is_escaped", [True, False])
@pytest.mark.parametrize("has_policy", [True, False])
def test_each_wall_holds_alone_and_without_both_the_attack_works(
    page: Visitor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_escaped: bool,
    has_policy: bool,
) -> None:
    if not is_escaped:
        monkeypatch.setattr(viewer, "_ESCAPES", {})
    text = trace_page(hostile_trace())
    page.page.goto(written(tmp_path, text if has_policy else POLICY.sub("", text)))
    page.page.wait_for_timeout(300)
    assert page.ask("() => window.pwned === 1") == (not is_escaped and not has_policy)


WAYS_TO_RUN = """async () => {
  await new Promise((later) => setTimeout(later)); // what a debugger starts may do more
  const refuses = (act) => { try { act(); return false; } catch { return true; } };
  const script = document.createElement('script'), attack = 'window.pwned = 1';
  script.append(attack);
  document.body.append(script);
  return [
    refuses(() => { document.createElement('div').innerHTML = '<b></b>'; }),
    refuses(() => { document.createElement('script').text = attack; }),
    refuses(() => eval(attack)),
    refuses(() => trustedTypes.createPolicy('logtracer', {})),
    refuses(() => trustedTypes.createPolicy('other', {})),
    window.pwned === undefined,
  ];
}"""


@pytest.mark.parametrize("has_policy", [True, False])
def test_no_text_becomes_a_script_while_the_policy_stands(
    page: Visitor, tmp_path: Path, has_policy: bool
) -> None:
    text = trace_page(small_trace())
    page.open(written(tmp_path, text if has_policy else POLICY.sub("", text)))
    assert page.ask(WAYS_TO_RUN) == [has_policy] * 6


def with_other_code(page: str, code: bytes) -> str:
    """Exchange what a page carries as its packed scripts."""
    block = re.compile(r'(id="logtracer-code">)[^<]*')
    return block.sub(lambda found: found[1] + base64.b64encode(code).decode(), page)


@pytest.mark.parametrize("has_policy", [True, False])
def test_exchanged_code_does_not_run_while_the_policy_stands(
    page: Visitor, tmp_path: Path, has_policy: bool
) -> None:
    text = with_other_code(trace_page(small_trace()), gzip.compress(b"window.pwned = 1"))
    page.page.goto(written(tmp_path, text if has_policy else POLICY.sub("", text)))
    page.page.wait_for_timeout(300)
    assert page.ask("() => window.pwned === undefined") == has_policy


def test_page_that_was_damaged_says_so(page: Visitor, tmp_path: Path) -> None:
    damaged = with_other_code(trace_page(small_trace()), b"no gzip")
    page.page.goto(written(tmp_path, damaged))
    told = page.until("() => document.getElementById('facts').textContent")
    assert told.startswith("This page cannot be shown: ")


def test_keyboard_alone_finds_reads_and_copies_an_error(page: Visitor, tmp_path: Path) -> None:
    page.open(written(tmp_path, trace_page(small_trace())) + "#v=timeline")
    stops = walk(page)
    for part in (
        "query",
        "hide-others",
        "overview",
        "errors-button",
        "tree",
        "timeline-tab",
        "timeline",
    ):
        assert part in stops
    page.page.locator("#overview").focus()
    page.press("ArrowUp", "ArrowRight")
    assert page.ask("() => logtracerApp.window.to - logtracerApp.window.from") < 12e6
    page.page.locator("#tree").focus()
    page.press("e", "Enter")
    assert "429, retry after 1s" in page.ask("() => document.activeElement.innerText")
    page.ask("() => { navigator.clipboard.writeText = () => Promise.reject(); }")
    while page.ask("() => document.activeElement.textContent") != "Copy JSON":
        page.press("Tab")
    page.press("Enter")
    copied = page.until("() => document.getElementById('copy-text').value")
    assert json.loads(copied)["error"] == "429, retry after 1s"
    page.press("Escape", "Escape")
    assert page.ask("() => document.activeElement.id") == "tree"


def walk(page: Visitor) -> list[str]:
    """Go through the page with Tab; return where one comes by, each with its focus in sight."""
    stops: list[str] = []
    outline = "() => getComputedStyle(document.activeElement).outlineStyle"
    while "detail-button" not in stops[1:] and len(stops) < 60:
        page.page.keyboard.press("Tab")
        stops.append(page.ask("() => document.activeElement.id"))
        assert page.ask(outline) == "solid" or stops[-1] == "", stops
    return stops


def test_every_node_and_fact_is_reachable_by_keyboard(page: Visitor, tmp_path: Path) -> None:
    page.open(written(tmp_path, trace_page(small_trace())))
    page.press("e")
    assert page.ask("() => document.querySelector('#detail h2').textContent").endswith("chat")
    assert "429, retry after 1s" in page.ask("() => document.getElementById('detail').textContent")
    page.press("r")
    assert "attempt 2 of 2, waited 1.00s" in page.ask(
        "() => document.getElementById('detail').textContent"
    )
    page.press("r")
    assert "fallback after 2 attempts, large-1 → small-1, of" in page.ask(
        "() => document.getElementById('detail').textContent"
    )
    page.press("Enter")
    assert page.ask("() => document.activeElement.id") == "detail"
    page.ask("() => { navigator.clipboard.writeText = () => Promise.reject(); }")
    page.press("Escape", "y")
    copied = page.until("() => document.getElementById('copy-text').value")
    assert json.loads(copied)["name"] == "chat small"


def test_selection_is_in_the_address_and_comes_back(page: Visitor, tmp_path: Path) -> None:
    trace = small_trace()
    wanted = next(node.id for node in trace.nodes.values() if node.error)
    address = written(tmp_path, trace_page(trace))
    page.open(f"{address}#n={wanted}&q=status%3Afailed&v=log")
    assert wanted in page.ask("() => document.getElementById('detail').textContent")
    assert page.ask("() => document.getElementById('match-count').textContent") == "1 of 9"
    assert page.ask("() => logtracerApp.tab") == "log"
    page.page.goto("about:blank")
    page.open(f"{address}#n=n99")
    assert "not in this trace" in page.ask("() => document.getElementById('notes').textContent")


def test_address_that_is_pasted_later_is_followed(page: Visitor, tmp_path: Path) -> None:
    trace = small_trace()
    page.open(written(tmp_path, trace_page(trace)))
    wanted = next(node.id for node in trace.nodes.values() if node.name == "gather")
    page.ask("(id) => { location.hash = `n=${id}&v=table`; }", wanted)
    page.until("() => logtracerApp.tab === 'table' && logtracerApp.selected >= 0")
    assert page.ask("() => logtracerApp.model.ids[logtracerApp.selected]") == wanted


def test_lane_of_the_selected_step_fills_the_width(page: Visitor, tmp_path: Path) -> None:
    maker = TraceMaker("agent")
    maker.node("early", "tool_call", maker.root, 2e6, 3e6, metadata={"lane": "side"})
    maker.node("late", "tool_call", maker.root, 4e6, 5e6, metadata={"lane": "side"})
    maker.end(maker.root, 60e6)
    page.open(written(tmp_path, trace_page(maker.trace)))
    page.ask("() => logtracerApp.select(1)")
    page.press("F")
    assert page.ask("() => [logtracerApp.window.from, logtracerApp.window.to]") == [
        pytest.approx(2e6 - 6e4),
        pytest.approx(5e6 + 6e4),
    ]


def test_critical_path_leaves_out_what_the_run_did_between_its_steps(
    page: Visitor, tmp_path: Path
) -> None:
    page.open(written(tmp_path, trace_page(small_trace())) + "#v=table")
    captions = "() => [...document.querySelectorAll('caption')].map((each) => each.textContent)"
    assert page.ask(captions)[-1] == "Critical path: 10.00s of 12.40s"


def test_edges_beyond_two_thousand_are_counted(page: Visitor, tmp_path: Path) -> None:
    maker = TraceMaker("busy")
    source = maker.node("source", "custom", maker.root, 0, 10)
    for place in range(2_050):
        target = maker.node("target", "custom", maker.root, 20 + place, 9_000)
        maker.trace.edges.append(Edge(source.id, target.id, EdgeType.DATA_FLOW))
    maker.end(maker.root, 9_000)
    page.open(written(tmp_path, trace_page(maker.trace)))
    page.ask(
        "() => { logtracerApp.timeline.tellHiddenEdges = (count) => { window.told = count; }; }"
    )
    page.ask("() => logtracerApp.select(1)")
    assert page.until("() => window.told") == 50


def test_summary_of_the_run_names_its_models_and_first_errors(
    page: Visitor, tmp_path: Path
) -> None:
    page.open(written(tmp_path, trace_page(small_trace())))
    summary = page.until("() => document.getElementById('detail').innerText")
    assert "large-1" in summary and "small-1" in summary
    assert "RateLimit: 429, retry after 1s" in summary


def test_filter_marks_hides_and_explains_itself(page: Visitor, tmp_path: Path) -> None:
    page.open(written(tmp_path, trace_page(small_trace())))
    page.press("/")
    page.page.keyboard.type('"search first" OR type:tool')
    page.until("() => document.getElementById('match-count').textContent === '4 of 9'")
    page.page.check("#hide-others")
    assert page.ask("() => logtracerApp.visible.length") == 6
    page.page.fill("#query", "duraton>2s")
    page.until("() => !document.getElementById('query-problem').hidden")
    assert "did you mean 'dur'" in page.ask(
        "() => document.getElementById('query-problem').textContent"
    )
    assert page.ask("() => logtracerApp.matchList.length") == 4, "the last good result stays"


def test_tree_tells_a_screen_reader_what_the_timeline_shows(page: Visitor, tmp_path: Path) -> None:
    page.open(written(tmp_path, trace_page(small_trace())))
    page.press("e")
    snapshot = page.page.locator("body").aria_snapshot()
    for part in ("banner", "search", "main", "complementary", "contentinfo", "tree", "tablist"):
        assert part in snapshot
    assert 'treeitem "failed, llm_call, chat, 2.00s" [level=2] [selected]' in snapshot
    row = (
        "() => { const row = document.getElementById(document.getElementById('tree')"
        ".getAttribute('aria-activedescendant')); return [row.getAttribute('aria-level'),"
        " row.getAttribute('aria-posinset'), row.getAttribute('aria-setsize')]; }"
    )
    assert page.ask(row) == ["2", "3", "5"]


def test_tree_keeps_few_elements_however_long_it_is(page: Visitor, tmp_path: Path) -> None:
    page.open(written(tmp_path, trace_page(reference_trace(30_000))))
    page.ask("() => { document.getElementById('tree').scrollTop = 300000; }")
    page.page.wait_for_timeout(100)
    assert page.ask("() => document.querySelectorAll('*').length") < 1_500


def test_deep_and_wide_traces_open(page: Visitor, tmp_path: Path) -> None:
    for trace in (chain(20_000), fan(20_000)):
        page.open(written(tmp_path, trace_page(trace)))
        page.press("End", "[", "]", "3", "2", "1")
        assert page.ask("() => logtracerApp.model.count") == 20_000
    assert page.complaints == []


WITHOUT_STRIPS = """() => {
  const { timeline } = logtracerApp, paint = timeline.paintBars;
  timeline.paintBars = function () { this.strips.length = 0; paint.call(this); };
}"""
RED_ROWS = (PROBES / "red_rows.js").read_text(encoding="utf-8")


def test_every_row_with_an_error_shows_it_at_full_zoom_out(page: Visitor, tmp_path: Path) -> None:
    trace = reference_trace(20_000)
    for number, node in enumerate(trace.nodes.values()):
        if number % 997 == 5:
            fail(node, "Rare", "one of many")
    page.open(written(tmp_path, trace_page(trace)) + "#v=timeline")
    result = page.ask(RED_ROWS)
    assert result["rows"] > 8 and result["missing"] == []
    page.ask(WITHOUT_STRIPS)
    assert page.ask(RED_ROWS)["missing"] != [], "the test can fail"


CONTRAST = (PROBES / "contrast.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_told_apart(browser: Any, tmp_path: Path, scheme: str) -> None:
    with visit(browser, color_scheme=scheme) as page:
        page.open(written(tmp_path, trace_page(small_trace())))
        assert page.ask("() => document.documentElement.dataset.theme") == scheme
        assert page.ask(CONTRAST) == []


LEFT_EDGE = """() => {
  const { timeline, layout, palette } = logtracerApp, { canvas } = timeline;
  const ratio = canvas.width / canvas.clientWidth;
  const x = Math.floor(timeline.xOf(logtracerApp.model.start[0]));
  const y = timeline.yOf(layout.row[0]) + 8;
  const dot = canvas.getContext('2d').getImageData((x + 0.5) * ratio, y * ratio, 1, 1).data;
  return [...dot.slice(0, 3)].map((part) => part.toString(16).padStart(2, '0')).join('');
}"""


@pytest.mark.parametrize(("contrast", "has_edge"), [("more", True), ("no-preference", False)])
def test_bars_have_an_edge_where_more_contrast_is_asked_for(
    browser: Any, tmp_path: Path, contrast: str, has_edge: bool
) -> None:
    with visit(browser, contrast=contrast) as page:
        page.open(written(tmp_path, trace_page(small_trace())) + "#v=timeline")
        ink = page.ask("() => logtracerApp.palette.ink.slice(1)")
        assert (near(page.ask(LEFT_EDGE), ink)) == has_edge


def near(colour: str, other: str) -> bool:
    """Tell whether two colours are the same to the eye; edges are smoothed."""
    parts = zip(bytes.fromhex(colour), bytes.fromhex(other))
    return max(abs(one - two) for one, two in parts) < 24


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_works_in_the_colours_of_the_system(browser: Any, tmp_path: Path, scheme: str) -> None:
    with visit(browser, color_scheme=scheme, forced_colors="active") as page:
        page.open(written(tmp_path, trace_page(small_trace())))
        page.press("e", "c", "2", "3", "4", "5", "1", "Escape")
        assert page.complaints == []
        assert page.ask(RED_ROWS)["missing"] == []


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (900, 560), (320, 640)])
def test_nothing_is_lost_on_a_narrow_screen(
    browser: Any, tmp_path: Path, width: int, height: int
) -> None:
    with visit(browser, width, height) as page:
        page.open(written(tmp_path, trace_page(small_trace())) + "#v=timeline")
        page.press("e")
        assert page.ask("() => document.documentElement.scrollWidth") <= width
        for part in ("tree", "timeline", "detail", "query", "footer"):
            page.page.locator(f"#{part}").scroll_into_view_if_needed()
            box = page.page.locator(f"#{part}").bounding_box()
            assert box is not None and box["height"] >= 20, part
            assert box["x"] >= 0 and box["x"] + box["width"] <= width + 1, part
            assert box["y"] >= -1 or width < 600, part


def test_dropped_file_opens_in_the_page_as_it_is(page: Visitor, tmp_path: Path) -> None:
    trace = tmp_path / "trace.json"
    trace.write_text(json.dumps(small_trace().to_dict()))
    page.page.goto(PAGE.as_uri())
    page.until("() => !document.getElementById('drop').hidden")
    page.page.set_input_files("#file", trace)
    page.until("() => window.logtracerApp && logtracerApp.model")
    page.press("e")
    page.until("() => document.getElementById('detail').textContent.includes('429')")
    assert page.complaints == []


def test_file_that_is_no_trace_is_refused_in_words(page: Visitor, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"nodes": 3}')
    page.page.goto(PAGE.as_uri())
    page.page.set_input_files("#file", other)
    problem = page.until("() => document.getElementById('drop-problem').textContent")
    assert problem.startswith("other.json: ")


def test_page_of_another_format_says_so(page: Visitor, tmp_path: Path) -> None:
    text = trace_page(small_trace()).replace('"version":2', '"version":9')
    page.page.goto(written(tmp_path, text))
    problem = page.until("() => document.getElementById('drop-problem').textContent")
    assert "reads format 2, the trace has 9" in problem


def test_comparison_shows_each_difference_and_walks_through_them(
    page: Visitor, tmp_path: Path
) -> None:
    before, after = small_trace(), small_trace()
    plan = next(node for node in after.nodes.values() if node.name == "plan")
    plan.output_data = {"text": "guess first"}
    after.add_node(replace(plan, id="f" * 16, name="extra", node_type="decision"))
    rows = diff(before, after).rows
    page.open(written(tmp_path, comparison_page(before, after, rows)))
    assert page.ask("() => logtracerApp.diff.counts().sort()") == ["1 added", "1 changed"]
    page.press("n")
    detail = "() => document.getElementById('detail').textContent"
    assert "search first" in page.ask(detail) and "guess first" in page.ask(detail)
    page.press("n")
    assert page.ask("() => logtracerApp.model.nameOf(logtracerApp.selected)") == "extra"
    assert "A · main" in page.ask("() => logtracerApp.lanes.labels")
    page.ask("() => logtracerApp.search.set('diff:added')")
    page.until("() => document.getElementById('match-count').textContent.startsWith('1 of')")
    assert page.complaints == []


def searching_run(searches: int, text: str) -> TraceGraph:
    """Return a run with some equal steps, some searches, and an answer that ends it."""
    maker = TraceMaker("agent")
    for place in range(3):
        maker.node(f"step {place}", "custom", maker.root, place * 1e6, place * 1e6 + 9e5)
    for place in range(searches):
        maker.node("search", "tool_call", maker.root, 3e6 + place, 4e6, input_data={"q": place})
    tokens = {"gen_ai.usage.input_tokens": 1000 * searches}
    answer = {"output_data": {"text": text}, "metadata": tokens}
    maker.node("answer", "llm_call", maker.root, 4e6, (4 + searches) * 1e6, **answer)
    maker.end(maker.root, (4 + searches) * 1e6)
    return maker.trace


@pytest.fixture
def compared(page: Visitor, tmp_path: Path) -> Visitor:
    """Two runs of a searching agent, the later one with more searches and another answer."""
    runs = searching_run(2, "one\ntwo\nthree"), searching_run(4, "one\n2\nthree")
    page.open(written(tmp_path, comparison_page(*runs, diff(*runs).rows)))
    return page


TREE = "() => document.getElementById('tree').innerText.replaceAll('\\n', ' ')"


def test_comparison_counts_what_is_the_same_and_what_repeats(compared: Visitor) -> None:
    text = compared.ask(TREE)
    assert "⋯ 3 unchanged" in text and "search ×2 → ×4" in text and "+2.0k" in text
    compared.press("n", "n")
    assert compared.ask("() => logtracerApp.visible.length") == 7, "the searches are unfolded"
    compared.press("]")
    assert compared.ask("() => logtracerApp.visible.length") == 9
    assert "unchanged" not in compared.ask(TREE)


def test_comparison_adds_up_each_run_for_itself(compared: Visitor) -> None:
    totals = compared.ask("() => Object.fromEntries(logtracerApp.totals())")
    assert totals["time"] == "6.00s → 8.00s"
    assert totals["nodes"] == "7 → 9"
    assert totals["lanes"] == "1"
    assert totals["tokens"] == "2.0k → 4.0k"


def test_comparison_shows_texts_line_by_line(compared: Visitor) -> None:
    compared.ask("() => logtracerApp.select(logtracerApp.model.count - 1)")
    lines = compared.until(
        "() => [...document.querySelectorAll('#detail pre div')].map((line) => line.textContent)"
        ".join('|')"
    )
    assert lines == "  one|- two|+ 2|  three"


def test_comparison_is_aligned_by_start_by_step_and_by_percent(compared: Visitor) -> None:
    ends = "() => [0, logtracerApp.model.secondRun].map((node) => logtracerApp.drawn.endOf(node))"
    assert compared.ask(ends) == [6e6, 8e6]
    compared.ask("() => logtracerApp.select(logtracerApp.model.count - 1)")
    compared.press("t")
    assert compared.ask("() => document.getElementById('align-button').textContent") == (
        "aligned by step"
    )
    compared.press("t")
    assert compared.ask(ends) == [6e6, 6e6]
    assert compared.complaints == []


def test_comparison_of_hostile_runs_stays_text(page: Visitor, tmp_path: Path) -> None:
    before, after = hostile_trace(), hostile_trace()
    for node in after.nodes.values():
        node.output_data = {"changed": node.name}
    address = written(tmp_path, comparison_page(before, after, diff(before, after).rows))
    page.open(address)
    page.press("n", "n", "n", "2", "3", "4")
    assert page.ask("() => window.pwned === undefined")
    assert page.requests == [address] and page.complaints == []
