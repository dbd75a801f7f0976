"""The detail pane: the answer before the question, one scroll bar, matches marked."""

from __future__ import annotations

from typing import Any

from logtracer import Node, TraceGraph
from logtracer_extras.viewer import trace_page
from viewer.browser import Visitor, visit
from viewer.conftest import Open
from viewer.traces import TraceMaker, fail

DETAIL = "() => document.getElementById('detail').innerText"
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("check_stock", "book_delivery")
]


def long_call(system: str = "You are careful. " * 400) -> TraceGraph:
    """Return a run with one model call: a long question, many tools, a short answer."""
    maker = TraceMaker("agent")
    history = [
        {"role": "user" if turn % 2 == 0 else "assistant", "content": f"turn {turn}\n" * 90}
        for turn in range(40)
    ]
    messages = [{"role": "system", "content": system}, *history]
    answer = {"role": "assistant", "content": "The chair is in stock."}
    maker.node(
        "chat",
        "llm_call",
        maker.root,
        0,
        1.2e6,
        input_data={"messages": messages, "tools": TOOLS * 20},
        output_data={"message": answer},
        metadata={"gen_ai.request.model": "large-1", "gen_ai.usage.input_tokens": 12_345},
    )
    maker.end(maker.root, 1.3e6)
    return maker.trace


def opened_at_call(show: Open, trace: TraceGraph) -> Visitor:
    page = show(trace_page(trace))
    page.ask("() => logtracerApp.select(1)")
    page.until("() => document.querySelector('#detail .role')")
    return page


def test_answer_is_seen_at_once_and_stands_before_the_question(show: Open) -> None:
    page = opened_at_call(show, long_call())
    answer = page.page.locator("#detail .role", has_text="The chair is in stock.").bounding_box()
    assert answer is not None and answer["y"] + answer["height"] < 900
    heads = page.ask("() => [...document.querySelectorAll('#detail h3')].map((e) => e.innerText)")
    assert heads[:3] == ["OUTPUT", "INPUT", "FACTS"]
    assert "1.20s · large-1 · 12.3k → ? tok" in page.ask(DETAIL)


def test_system_prompt_and_tools_are_folded_and_say_what_they_are(show: Open) -> None:
    page = opened_at_call(show, long_call())
    text = page.ask(DETAIL)
    assert text.count("You are careful.") < 10 and "(6.8 kB)" in text
    assert "40 × check_stock, book_delivery" in text and "parameters" not in text
    page.page.locator("#detail summary", has_text="SYSTEM").click()
    assert page.ask(DETAIL).count("You are careful.") > 100


BOXES = """() => [...document.querySelectorAll('#detail *')].filter((element) =>
  element.scrollHeight > element.clientHeight + 1 && element.clientHeight > 0 &&
  ['auto', 'scroll'].includes(getComputedStyle(element).overflowY)).length"""


def test_nothing_in_the_panel_has_a_scroll_bar_of_its_own(show: Open) -> None:
    page = opened_at_call(show, long_call())
    page.page.locator("#detail summary", has_text="SYSTEM").click()
    page.page.locator("#detail button", has_text="Show all").first.click()
    page.page.locator("#detail button", has_text="Wrap").first.click()
    assert page.ask(BOXES) == 0
    assert page.ask("() => document.getElementById('detail').scrollHeight") > 900


def test_panel_takes_two_fifths_of_the_window_and_remembers_its_width(
    browser: Any, show: Open
) -> None:
    page = opened_at_call(show, long_call())
    width = "() => document.getElementById('detail').offsetWidth / innerWidth"
    assert page.ask(width) >= 0.4
    page.page.locator("#right-splitter").focus()
    page.press(*["ArrowLeft"] * 5)
    assert page.ask(width) >= 0.49
    page.page.reload()
    page.until("() => window.logtracerApp && logtracerApp.hasLanded")
    assert page.ask(width) >= 0.49


COPIED = "() => { navigator.clipboard.writeText = async (text) => { window.copied = text; }; }"


def test_one_message_and_one_text_can_be_copied(show: Open) -> None:
    page = opened_at_call(show, long_call())
    page.ask(COPIED)
    page.page.locator("#detail").get_by_role("button", name="Copy this assistant").first.click()
    assert page.until("() => window.copied") == "The chair is in stock."
    page.page.locator("#detail .text button", has_text="Copy").first.click()
    assert page.until("() => window.copied !== 'The chair is in stock.' && window.copied") == (
        "turn 37\n" * 90
    )


def test_beginning_of_a_long_conversation_is_folded(show: Open) -> None:
    page = opened_at_call(show, long_call())
    assert "37 earlier messages" in page.ask(DETAIL) and "turn 36" not in page.ask(DETAIL)
    page.page.locator("#detail summary", has_text="37 earlier messages").click()
    assert "turn 0" in page.ask(DETAIL) and "turn 36" in page.ask(DETAIL)


def test_match_is_marked_opened_and_scrolled_to_and_n_goes_on(show: Open) -> None:
    maker = TraceMaker("agent")
    for place in range(3):
        rows = [{"sku": f"chair-{row}", "stock": row} for row in range(50)]
        rows[30]["note"] = "NEEDLE here" if place else "nothing"
        maker.node("find", "tool_call", maker.root, place, place + 1, output_data={"rows": rows})
    maker.end(maker.root, 9)
    page = show(trace_page(maker.trace))
    page.press("/")
    page.page.keyboard.type("needle")
    page.press("Enter")
    mark = page.until("() => document.querySelector('#detail mark')?.innerText")
    assert mark == "NEEDLE"
    box = page.until(
        "() => { const box = document.querySelector('#detail mark').getBoundingClientRect();"
        " return box.top > 100 && box.bottom < 900 && [box.top]; }"
    )
    assert box
    assert page.ask("() => logtracerApp.selected") == 2
    page.press("n")
    assert page.ask("() => logtracerApp.selected") == 3
    assert page.ask("() => document.getElementById('query').value") == "needle"


def failed_run() -> tuple[TraceGraph, Node]:
    """Return a run in which one exception went through three steps, and where it began."""
    maker = TraceMaker("agent")
    fail(maker.root, "KeyError", "'sku'")
    step = maker.node("answer", "custom", maker.root, 1, 8)
    fail(step, "KeyError", "'sku'")
    tool = maker.node("check_stock", "tool_call", step, 2, 5)
    fail(tool, "KeyError", "'sku'")
    maker.node("log", "tool_call", step, 5, 6)
    maker.end(maker.root, 9)
    return maker.trace, tool


def test_first_error_is_where_the_exception_began_and_it_counts_once(show: Open) -> None:
    trace, tool = failed_run()
    page = show(trace_page(trace))
    assert page.ask("() => document.getElementById('errors-button').textContent") == "✖ 1 error"
    assert page.ask("() => document.title").startswith("(1 ✖)")
    page.press("e")
    assert page.ask("() => logtracerApp.model.ids[logtracerApp.selected]") == tool.id
    assert page.ask("() => document.getElementById('hint').textContent") == "1 of 1"


def test_another_exception_raised_on_the_way_is_an_error_of_its_own(show: Open) -> None:
    trace, _ = failed_run()
    step = next(node for node in trace.nodes.values() if node.name == "answer")
    fail(step, "AgentError", "could not look it up")
    page = show(trace_page(trace))
    assert page.ask("() => logtracerApp.originList.map((n) => logtracerApp.model.nameOf(n))") == [
        "agent",
        "answer",
        "check_stock",
    ]


def test_summary_shows_the_first_line_of_an_error(show: Open) -> None:
    maker = TraceMaker("agent")
    fail(maker.node("run", "tool_call", maker.root, 0, 1), "Bad", "first line\nsecond line")
    maker.end(maker.root, 2)
    page = show(trace_page(maker.trace))
    text = page.until("() => document.querySelector('#detail ul')?.innerText")
    assert "Bad: first line" in text and "second" not in text


def test_detail_is_wide_enough_on_a_small_window(browser: Any, tmp_path: Any) -> None:
    with visit(browser, 1000, 700) as page:
        target = tmp_path / "run.html"
        target.write_text(trace_page(long_call()), encoding="utf-8")
        page.open(target.as_uri())
        assert page.ask("() => document.getElementById('detail').offsetWidth") >= 390
