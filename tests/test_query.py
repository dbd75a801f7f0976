"""The query language: data/query_vectors.json, shared with the viewer, says what it finds."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from logtracer import LogtracerError, Node, TraceGraph
from logtracer_extras.analysis import PriceTable, measure
from logtracer_extras.query import Match, Query, QueryError, parse
from logtracer_extras.testing import TraceBuilder

VECTORS = json.loads(
    Path(__file__).with_name("data").joinpath("query_vectors.json").read_text(encoding="utf-8")
)
TRACES = {name: TraceGraph.from_dict(document) for name, document in VECTORS["traces"].items()}
PRICES = PriceTable(VECTORS["prices"])
START = datetime(2026, 11, 22, 18, 24, tzinfo=timezone.utc)


def trace_of(*nodes: Node) -> TraceGraph:
    builder = TraceBuilder(start=START, has_root=False)
    for node in nodes:
        node.start_time = node.start_time or START
        builder.add(node)
    return builder.trace


def found_in(text: str, trace: TraceGraph) -> Match:
    (match,) = parse(text).search(trace)
    return match


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["query"])
def test_a_query_finds_the_nodes_its_vector_names(vector: dict[str, Any]) -> None:
    matches = parse(vector["query"]).search(TRACES[vector["trace"]], PRICES)
    assert sorted(match.step.node.id for match in matches) == sorted(vector["matches"])


@pytest.mark.parametrize("vector", VECTORS["errors"], ids=lambda vector: vector["query"][:40])
def test_a_broken_query_is_refused_with_its_place(vector: dict[str, Any]) -> None:
    with pytest.raises(QueryError) as caught:
        parse(vector["query"])
    assert (caught.value.position, str(caught.value)) == (vector["position"], vector["message"])


def test_every_field_has_a_vector() -> None:
    asked = {name for vector in VECTORS["vectors"] for name in parse(vector["query"]).fields}
    known = "name type status lane model error id parent depth dur self start tokens in out cost"
    assert asked == {*known.split(), "attempt", "kind", "input", "output", "has", "attr"}


def test_an_error_is_one_of_ours_and_a_value_error() -> None:
    assert issubclass(QueryError, LogtracerError)
    with pytest.raises(ValueError, match="without its"):
        parse("(a")


def test_matches_come_in_the_order_the_steps_started() -> None:
    matches = parse("type:llm OR type:tool").search(TRACES["support"])
    found = " ".join(match.step.node.id for match in matches)
    assert found == "n3 n6 n7 n11 n12 n13 n14"


def test_a_predicate_and_a_search_agree() -> None:
    query, trace = parse("status:failed dur>2s"), TRACES["support"]
    matches = query.predicate(measure(trace))
    by_predicate = [node.id for node in trace.nodes.values() if matches(node)]
    assert by_predicate == [match.step.node.id for match in query.search(trace)]


def test_a_query_tells_which_fields_it_asks_about() -> None:
    assert parse("cost>1 (type:llm OR attr.a.b=1) word").fields == {"cost", "type", "attr"}


def test_cost_matches_nothing_without_prices() -> None:
    assert parse("cost>=0").search(TRACES["support"]) == []


# What is shown of a match


def test_a_match_shows_the_part_of_the_text_that_was_found() -> None:
    match = found_in('"RETRY after"', TRACES["support"])
    (found,) = match.found
    assert (found.where, found.text) == ("error", "RateLimit: 429, retry after 1s")
    assert found.text[found.start : found.end] == "retry after"


def test_a_match_in_the_details_tells_its_path() -> None:
    match = found_in("map", TRACES["support"])
    assert match.found[0].where == "output.results[1].title"


def test_every_text_of_a_query_is_shown() -> None:
    match = found_in("name:send error:smtp attr.tags:mail dur<1s", TRACES["support"])
    assert [found.where for found in match.found] == ["name", "error", "attr.tags[0]"]


def test_a_match_without_a_text_shows_nothing() -> None:
    assert found_in("dur>50% -name:x", TRACES["support"]).found == []


def test_a_letter_that_grows_in_lower_case_marks_the_whole_text() -> None:
    match = found_in("bul", trace_of(Node("a", 0, "İstanbul")))
    assert (match.found[0].start, match.found[0].end) == (0, 8)


def test_the_steps_down_to_a_match_can_be_named() -> None:
    match = found_in("id:n11", TRACES["support"])
    names = [step.node.name for step in match.step.path]
    assert names == ["support-agent", "answer", "chat large-1"]


# Odd and hostile input


@given(st.text(alphabet='ab:=<>!-()"/\\ .*+|5s%ORduτattr', max_size=30))
@example('-"')
@example("a:(")
@example("/[/")
@example("attr.:1")
@example("dur>999999999999999999999999h")
def test_any_text_is_a_query_or_a_query_error(text: str) -> None:
    try:
        query = parse(text)
    except QueryError as error:
        assert 1 <= error.position <= len(text) + 1
    else:
        query.search(TRACES["live"])


@given(st.sampled_from(VECTORS["vectors"]), st.sampled_from(VECTORS["vectors"]))
def test_or_is_the_union_and_and_the_intersection(one: dict[str, Any], two: dict[str, Any]) -> None:
    def ids(text: str) -> set[str]:
        return {match.step.node.id for match in parse(text).search(TRACES["support"], PRICES)}

    a, b = f"({one['query']})", f"({two['query']})"
    assert ids(f"{a} OR {b}") == ids(a) | ids(b)
    assert ids(f"{a} {b}") == ids(a) & ids(b)
    assert ids(f"-{a}") == set(TRACES["support"].nodes) - ids(a)


LETTERS = "nulTRUe10.'\"\\\n é"
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(LETTERS, max_size=4)
JSON_DATA = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(LETTERS, max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(JSON_DATA, st.text(LETTERS, min_size=1, max_size=3))
@example(None, "ul")
@example(1.0, "1")
@example('it\'s "so"', "t's")
@example({"a\nb": 1}, "a\nb")
def test_a_word_finds_what_its_pattern_finds(data: Any, word: str) -> None:
    trace = trace_of(Node("a", 0, "x", input_data={"k": data}))
    quoted = re.sub(r'(["\\])', r"\\\1", word)
    pattern = re.sub(r"([.\\])", r"\\\1", word)
    by_word, by_pattern = parse(f'"{quoted}"').search(trace), parse(f"/{pattern}/i").search(trace)
    assert [match.found for match in by_word] == [match.found for match in by_pattern]


@given(st.text(alphabet="ab|()*+?{2,}[]", max_size=12))
def test_an_accepted_pattern_means_what_python_means_by_it(pattern: str) -> None:
    trace = trace_of(Node("a", 0, "aabba"))
    try:
        query = parse(f"name:/{pattern}/")
    except QueryError:
        return
    assert bool(query.search(trace)) == bool(re.search(pattern, "aabba"))


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|a)*$", "(a|aa)+$", "((a+)b?)+$", "(?:a?){40}b", "(a*a*)*b", "(.*)*x"]
)
def test_a_pattern_that_takes_for_ever_is_refused(pattern: str) -> None:
    with pytest.raises(QueryError, match="a repeated group"):
        parse(f"/{pattern}/")


def test_a_pattern_sees_the_first_20000_characters_of_a_value() -> None:
    trace = trace_of(Node("a", 0, "step", output_data={"text": "x" * 20_000 + "end"}))
    assert parse("/end/").search(trace) == []
    assert parse("end").search(trace) != []


def test_deep_and_wide_values_are_searched_without_recursion() -> None:
    deep: Any = "needle"
    for _ in range(50_000):
        deep = [deep]
    trace = trace_of(Node("a", 0, "step", input_data={"deep": deep, "wide": [1] * 10_000}))
    assert len(parse("needle").search(trace)) == 1


def test_numbers_without_end_are_no_text() -> None:
    trace = trace_of(Node("a", 0, "step", input_data={"n": 10**5_000, "x": float("inf")}))
    assert parse("input=inf").search(trace) != []
    assert parse("input:1000").search(trace) == []


def test_a_damaged_trace_loses_no_node() -> None:
    circle = trace_of(Node("a", 0, "one", parent_id="b"), Node("b", 1, "two", parent_id="a"))
    assert [match.step.node.id for match in parse("dur>=0").search(circle)] == ["a", "b"]


def test_a_query_is_reused() -> None:
    query: Query = parse("has:retry")
    assert len(query.search(TRACES["support"])) == len(query.search(TRACES["support"])) == 2
