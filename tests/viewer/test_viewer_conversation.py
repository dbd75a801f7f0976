"""The conversation of a run: each message once, results beside calls, nothing that runs."""

from __future__ import annotations

from typing import Any

import pytest

from logtracer import TraceGraph
from logtracer_extras.viewer import trace_page
from viewer.browser import Visitor, visit
from viewer.conftest import Open
from viewer.talks import ANSWER, TalkMaker, call, hostile_talk, talk_trace
from viewer.traces import TraceMaker

TALK = "() => document.querySelector('.talk').innerText"


def talk(show: Open, trace: TraceGraph) -> Visitor:
    page = show(trace_page(trace))
    page.until("() => document.querySelector('.talk .step')")
    return page


def count(page: Visitor, selector: str) -> int:
    return int(page.ask("(selector) => document.querySelectorAll(selector).length", selector))


def test_run_with_model_calls_opens_with_its_conversation(show: Open) -> None:
    page = talk(show, talk_trace())
    assert page.ask("() => logtracerApp.tab") == "conversation"
    assert page.ask("() => location.hash.includes('v=')") is False
    page.press("1")
    assert page.until("() => location.hash.includes('v=timeline')")


def test_run_without_messages_opens_with_the_timeline(show: Open) -> None:
    maker = TraceMaker("agent")
    maker.node("chat", "llm_call", maker.root, 0, 1)
    maker.end(maker.root, 2)
    page = show(trace_page(maker.trace))
    assert page.ask("() => logtracerApp.tab") == "timeline"
    page.press("5")
    assert page.ask(TALK).strip().endswith("no answer was recorded")
    page = show(trace_page(talk_trace(), with_values=False))
    assert page.ask("() => logtracerApp.tab") == "timeline"


def test_each_message_is_said_once_and_repeats_are_counted(show: Open) -> None:
    page = talk(show, talk_trace())
    text = page.ask(TALK)
    assert text.count("Is the blue chair in stock?") == 1
    assert text.count("3 messages carried") == 1, "system, question and the first answer"
    page.page.locator(".carried summary").first.click()
    assert page.ask(TALK).count("blue chair") == 2


def test_reader_who_says_the_same_twice_is_heard_twice(show: Open) -> None:
    maker = TalkMaker()
    yes = {"role": "user", "content": "yes, please"}
    ok = {"role": "assistant", "content": "More?"}
    maker.ask([yes], ok)
    maker.ask([yes, ok, yes], {"role": "assistant", "content": "Done."})
    assert talk(show, maker.trace).ask(TALK).count("yes, please") == 2


def test_result_stands_beside_its_call_with_arguments_parsed(show: Open) -> None:
    page = talk(show, talk_trace())
    cards = page.ask("() => [...document.querySelectorAll('.card')].map((card) => card.innerText)")
    assert len(cards) == 2, "the tools of the tree are the calls of the model"
    assert cards[0].splitlines()[0] == "→ check_stock" and "900ms" in cards[0]
    assert 'sku: "BLU-CHAIR "' in cards[0] and "stock: 0" in cards[0]
    assert "find_image" in cards[1] and '"found"' in cards[1]
    assert "c1" not in page.ask(TALK)


def test_turns_tell_model_tokens_cost_and_time(show: Open) -> None:
    trace = talk_trace()
    calls = [node.id for node in trace.nodes.values() if node.node_type == "llm_call"]
    page = show(trace_page(trace, costs={calls[0]: 0.0123}))
    page.until("() => document.querySelector('.talk .step')")
    lines = page.ask(
        "() => [...document.querySelectorAll('.call-line')].map((line) => line.innerText)"
    )
    assert lines[0] == "chat · large-1 · 1.2k → 56 tok · $0.0123 · 900ms"
    assert lines[1] == "chat · large-1 · 1.2k → 56 tok · 900ms"
    assert len(lines) == 4


def test_thinking_and_system_prompt_are_folded(show: Open) -> None:
    page = talk(show, talk_trace())
    assert page.ask(TALK).count("You are the order agent.") < 6
    page.page.locator(".talk summary", has_text="SYSTEM").first.click()
    assert page.ask(TALK).count("You are the order agent.") >= 40
    folded = page.page.locator(".talk summary", has_text="thinking: The user wants")
    assert folded.count() == 1


def test_markdown_is_drawn_and_raw_shows_the_text(show: Open) -> None:
    page = talk(show, talk_trace())
    for selector in (".heading", "em", "code", "table td", "ul ul", "pre", ".address"):
        assert count(page, f".talk .prose {selector}") >= 1, selector
    assert count(page, ".talk a") == 0
    assert "the shop (https://shop.example/chair)" in page.ask(TALK)
    page.press("x")
    assert count(page, ".talk .prose") == 0
    assert ANSWER.strip() in page.ask(TALK)
    page.press("x")
    assert count(page, ".talk .prose table") == 1


def test_json_in_an_answer_is_a_tree(show: Open) -> None:
    text = talk(show, talk_trace()).ask(TALK)
    assert "found: " in text and "[1, 2]" in text and '{"found"' not in text


def test_recorded_picture_is_drawn_and_an_address_is_only_shown(show: Open) -> None:
    page = talk(show, talk_trace())
    assert page.until("() => document.querySelector('.talk img')?.naturalWidth") == 16
    assert count(page, ".talk img") == 1
    assert "https://shop.example/x.png" in page.ask(TALK)


def test_recorded_sound_can_be_played(show: Open) -> None:
    maker = TalkMaker()
    sound = {"type": "input_audio", "input_audio": {"format": "wav", "data": "UklGRg=="}}
    maker.ask([{"role": "user", "content": [sound]}], {"role": "assistant", "content": "heard"})
    page = talk(show, maker.trace)
    assert page.ask("() => document.querySelector('.talk audio').src") == (
        "data:audio/wav;base64,UklGRg=="
    )
    page.ask("() => document.querySelector('.talk audio').load()")
    page.page.wait_for_timeout(200)  # the policy would complain now


def test_agent_is_nested_and_foldable_and_errors_stand_where_they_happened(show: Open) -> None:
    page = talk(show, talk_trace())
    inside = "() => document.querySelector('.step.agent').innerText"
    assert "researcher" in page.ask(inside) and "2 steps" in page.ask(inside)
    assert "✖ RateLimit: 429, retry after 1s" in page.ask(inside)
    page.page.locator(".step.agent > details > summary b").first.click()
    assert "RateLimit" not in page.ask(inside)
    page.press("e")
    assert "RateLimit" in page.until(inside), "it is unfolded to be shown"


def test_tool_that_calls_a_model_holds_that_conversation(show: Open) -> None:
    maker = TalkMaker()
    asked = {"role": "assistant", "content": None, "tool_calls": [call("c1", "expert", q="x")]}
    maker.ask([{"role": "user", "content": "help"}], asked)
    tool = maker.step("expert", "tool_call", metadata={"gen_ai.tool.call.id": "c1"})
    inner = [{"role": "user", "content": "as an expert, x?"}]
    maker.ask(inner, {"role": "assistant", "content": "inner answer"}, parent=tool)
    page = talk(show, maker.trace)
    card = page.ask("() => document.querySelector('.card').innerText")
    assert "inside: 1 step" in card and "as an expert, x?" in card and "inner answer" in card


def test_agent_that_takes_over_repeats_nothing(show: Open) -> None:
    maker = TalkMaker()
    said = [{"role": "user", "content": "my bill is wrong"}]
    first = {"role": "assistant", "content": "I hand you over."}
    maker.ask(said, first, parent=maker.step("triage", "sub_agent"))
    answer = {"role": "assistant", "content": "Paid back."}
    maker.ask([*said, first], answer, parent=maker.step("billing", "sub_agent"))
    text = talk(show, maker.trace).ask(TALK)
    assert text.count("my bill is wrong") == 1 and text.count("I hand you over.") == 1


def run_of_agents(count: int) -> TraceGraph:
    """Return a run of agents that each ask a model thirty times."""
    maker = TalkMaker()
    for number in range(count):
        agent = maker.step(f"agent {number}", "sub_agent")
        for turn in range(30):
            question = {"role": "user", "content": f"question {number} {turn}"}
            maker.ask([question], {"content": f"answer {number} {turn}"}, parent=agent)
    return maker.trace


def test_long_agent_is_folded_unless_it_is_the_whole_run(show: Open) -> None:
    assert "answer 0 29" in talk(show, run_of_agents(1)).ask(TALK)
    text = talk(show, run_of_agents(2)).ask(TALK)
    assert "agent 1" in text and "answer" not in text


def test_agents_within_agents_are_drawn_however_deep_they_are(show: Open) -> None:
    maker = TalkMaker()
    above = maker.root
    for level in range(3_000):
        above = maker.node(f"agent {level}", "sub_agent", above, level, 9_000 - level)
    maker.ask([{"role": "user", "content": "deep"}], {"content": "down here"}, parent=above)
    page = talk(show, maker.trace)
    assert 2 <= count(page, ".step.agent") <= 10
    page.ask("() => logtracerApp.select(logtracerApp.model.count - 1)")
    page.page.wait_for_timeout(100)
    assert count(page, ".step.agent") < 100


def test_call_that_two_layers_recorded_is_one_turn(show: Open) -> None:
    maker = TalkMaker()
    said, answer = [{"role": "user", "content": "hi"}], {"role": "assistant", "content": "hello"}
    outer = maker.ask(said, answer)
    maker.ask(said, answer, parent=outer)
    page = talk(show, maker.trace)
    assert page.ask(TALK).count("hello") == 1 and count(page, ".call-line") == 1


def test_band_and_keys_lead_from_call_to_call(show: Open) -> None:
    page = talk(show, talk_trace())
    names = "() => [...document.querySelectorAll('.chips button')].map((chip) => chip.className)"
    assert page.ask(names) == ["", "", "failed", ""]
    page.page.locator(".chips button", has_text="4").click()
    assert page.ask("() => logtracerApp.model.nameOf(logtracerApp.selected)") == "chat"
    assert page.ask("() => document.querySelector('.band .count').innerText") == "4 of 4"
    page.press("J", "J")
    assert page.ask("() => document.querySelector('.band .count').innerText") == "2 of 4"
    page.press("j")
    box = page.page.locator(".step.selected .call-line").first.bounding_box()
    assert box is not None and 150 < box["y"] < 900


def test_match_is_marked_in_the_conversation(show: Open) -> None:
    page = talk(show, talk_trace())
    page.press("/")
    page.page.keyboard.type('"red chair"')
    page.press("Enter")
    assert page.until("() => document.querySelector('.talk mark')?.innerText") == "red chair"
    page.page.fill("#query", "blue")
    page.until(
        "() => [...document.querySelectorAll('.talk mark')].every((e) => e.innerText === 'blue')"
    )
    page.page.fill("#query", "")
    page.until("() => document.querySelectorAll('.talk mark').length === 0")


def test_long_conversation_is_drawn_as_one_reads(show: Open) -> None:
    maker = TalkMaker()
    for turn in range(300):
        maker.ask([{"role": "user", "content": f"question {turn}"}], {"content": f"answer {turn}"})
    page = talk(show, maker.trace)
    assert count(page, ".talk .step") < 120
    page.page.locator(".chips button", has_text="300").click()
    assert page.until("() => document.querySelector('.step.selected')?.innerText.includes('299')")


def test_message_can_be_copied_from_the_conversation(show: Open) -> None:
    page = talk(show, talk_trace())
    page.ask("() => { navigator.clipboard.writeText = async (text) => { window.copied = text; }; }")
    page.page.locator(".talk").get_by_role("button", name="Copy this user message").first.click()
    assert page.until("() => window.copied") == "Is the **blue chair** in stock?"


UNFOLD = """() => {
  for (const each of document.querySelectorAll('.talk details')) each.open = true;
}"""


def test_hostile_conversation_stays_text(show: Open) -> None:
    page = talk(show, hostile_talk())
    for _ in range(3):
        page.ask(
            "() => document.querySelectorAll('.talk details').forEach((e) => { e.open = true; })"
        )
        page.page.wait_for_timeout(100)
    page.press("x", "j", "e", "x")
    assert page.ask("() => window.pwned === undefined && ({}).polluted === undefined")
    assert count(page, ".talk a, .talk script, .talk iframe, .talk svg, .talk img, .talk link") == 0
    assert (
        page.ask("() => document.querySelector('.talk').textContent.includes('\\u202e')") is False
    )


@pytest.mark.parametrize(("width", "height"), [(1000, 700), (320, 640)])
def test_conversation_fits_a_narrow_window(
    browser: Any, tmp_path: Any, width: int, height: int
) -> None:
    with visit(browser, width, height) as page:
        target = tmp_path / "run.html"
        target.write_text(trace_page(talk_trace()), encoding="utf-8")
        page.open(target.as_uri())
        page.until("() => document.querySelector('.talk .step')")
        assert page.ask("() => document.documentElement.scrollWidth") <= width
        assert page.complaints == []
