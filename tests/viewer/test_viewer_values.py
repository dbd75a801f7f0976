"""Recorded values on the page: a string looks like one, and what differs can be seen."""

from __future__ import annotations

from typing import Any

from logtracer import TraceGraph
from logtracer_extras.diff import diff
from logtracer_extras.viewer import comparison_page, trace_page
from viewer.conftest import Open
from viewer.traces import TraceMaker

VALUES = "() => document.querySelector('#detail .value').innerText"


def order(**given: Any) -> TraceGraph:
    """Return a run with one tool call of these arguments."""
    maker = TraceMaker("agent")
    maker.node("check_stock", "tool_call", maker.root, 0, 9e5, input_data=given)
    maker.end(maker.root, 1e6)
    return maker.trace


def test_string_stands_between_quotes_and_no_other_value_does(show: Open) -> None:
    values = {"a": "5", "b": 5, "c": "true", "d": True, "e": "", "f": None, "g": "null"}
    page = show(trace_page(order(**values)))
    page.press("End")
    lines = page.until(VALUES).splitlines()
    assert lines == ['a: "5"', "b: 5", 'c: "true"', "d: true", 'e: ""', "f: null", 'g: "null"']
    colours = (
        "() => new Set(['.string', '.json-number', '.json-word'].map((kind) =>"
        " getComputedStyle(document.querySelector('#detail ' + kind)).color)).size"
    )
    assert page.ask(colours) == 3


def test_blanks_at_ends_and_between_words_are_kept_and_marked(show: Open) -> None:
    page = show(trace_page(order(sku="BLU-CHAIR ", two="A  B", plain="A B", lead="\u00a0x")))
    page.press("End")
    assert page.until(VALUES).splitlines()[:2] == ['sku: "BLU-CHAIR "', 'two: "A  B"']
    marked = page.ask("() => [...document.querySelectorAll('.space')].map((e) => e.textContent)")
    assert marked == [" ", "  ", "\u00a0"]
    wide = "() => [...document.querySelectorAll('.space')].map((e) => e.offsetWidth)"
    one, two, _ = page.ask(wide)
    assert 0 < one < two, "white space is not collapsed"


def test_indented_lines_are_not_marked_but_their_ends_are(show: Open) -> None:
    page = show(trace_page(order(code="def f():\n    return  1\n    pass \n")))
    page.press("End")
    page.until(VALUES)
    marked = page.ask("() => [...document.querySelectorAll('.space')].map((e) => e.textContent)")
    assert marked == ["  ", " "]
    assert page.ask("() => document.querySelector('#detail pre').innerText") == (
        '"def f():\n    return  1\n    pass \n"'
    )


def compared(show: Open, before: Any, after: Any) -> Any:
    """Open the comparison of two calls with one argument, and return the page at that call."""
    runs = order(x=before), order(x=after)
    page = show(comparison_page(*runs, diff(*runs).rows))
    page.press("n")
    page.until("() => document.querySelector('#detail .value')")
    return page


SIDES = "() => [...document.querySelectorAll('.sides > div')].map((side) => side.innerText)"
MARKED = (
    "() => [...document.querySelectorAll('#detail del, #detail ins')].map((e) => e.textContent)"
)


def test_comparison_shows_a_blank_that_was_added(show: Open) -> None:
    page = compared(show, "BLU-CHAIR", "BLU-CHAIR ")
    assert page.ask(SIDES) == ['before "BLU-CHAIR"', 'after "BLU-CHAIR "']
    assert page.ask(MARKED) == [" "]
    assert page.ask("() => document.querySelectorAll('ins .space').length") == 1


def test_comparison_keeps_its_words_apart_from_numbers(show: Open) -> None:
    assert compared(show, 4, 0).ask(SIDES) == ["before 4", "after 0"]


def test_comparison_tells_a_text_from_a_number(show: Open) -> None:
    assert compared(show, "5", 5).ask(SIDES) == ['before "5"', "after 5"]


def test_comparison_marks_the_characters_that_differ(show: Open) -> None:
    page = compared(show, "take the grey chair", "take the gray chairs")
    assert page.ask(MARKED) == ["e", "a", "s"]


def test_comparison_marks_characters_within_changed_lines(show: Open) -> None:
    page = compared(show, "one\ntwo words\nthree", "one\ntwo  words\nthree")
    assert page.ask(MARKED) == [" "]
    lines = page.ask("() => document.querySelector('#detail pre').innerText")
    assert lines == "  one\n- two words\n+ two  words\n  three"
    blanks = (
        "(line) => document.querySelectorAll(`#detail pre div:nth-child(${line}) .space`).length"
    )
    assert [page.ask(blanks, line) for line in (1, 2, 3, 4)] == [0, 0, 2, 0]
