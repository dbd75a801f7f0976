"""What a test says of a trace: which nodes, in what order, how many, with what, at what cost.

Every function takes the trace first. A *selector* is a name, or a query for more than a name:
`parse("type:llm_call model:small")` of `logtracer_extras.query`. A failure is an AssertionError
that says what was found instead.
"""

from __future__ import annotations

import difflib
import re
from typing import Any, TypeAlias

from logtracer import Node, NodeType, TraceGraph

from ..analysis import PriceTable, measure
from ..query import MISSING, Query, parse, value_at
from ..why import explain
from .outline import failure_text

__all__ = [
    "Matcher",
    "Selector",
    "assert_budget",
    "assert_count",
    "assert_never_without",
    "assert_no_errors",
    "assert_order",
    "assert_value",
    "find",
    "find_all",
    "value_of",
]

Selector: TypeAlias = "str | Query"
Matcher: TypeAlias = Any
"""A value to be equal to, a compiled pattern to be found, a type, or a function that tells."""

_SHOWN = 10  # names or nodes in a message

# ---- Finding -----------------------------------------------------------------------------------


def find_all(trace: TraceGraph, selector: Selector | None = None, *, where: str = "") -> list[Node]:
    """Return the nodes a selector means, in the order they started; `where` is a query too.

    >>> from logtracer_extras.testing import TraceBuilder
    >>> builder = TraceBuilder()
    >>> node = builder.node("search", "tool_call", input={"query": "weather"})
    >>> [node.name for node in find_all(builder.trace, where="type:tool input:weather")]
    ['search']
    """
    queries = [selector] if isinstance(selector, Query) else []
    queries += [parse(where)] if where else []
    if not queries:
        nodes = list(trace.nodes.values())
    else:
        run = measure(trace)
        tests = [query.predicate(run) for query in queries]
        nodes = [node for node in trace.nodes.values() if all(test(node) for test in tests)]
    return [node for node in nodes if node.name == selector] if type(selector) is str else nodes


def find(trace: TraceGraph, selector: Selector | None = None, *, where: str = "") -> Node:
    """Return the first node a selector means; fails when there is none."""
    __tracebackhide__ = True
    found = find_all(trace, selector, where=where)
    if not found:
        raise AssertionError(f"no node {_wanted(selector, where)}; {_instead(trace, selector)}")
    return found[0]


def value_of(node: Node, path: str) -> Any:
    """Return what lies at a path of a node, `MISSING` (of `query`) where nothing does.

    Paths are those that a diff prints: `input.query`, `output.items[0].id`,
    `metadata.gen_ai.request.model`, `error`, `status`.
    """
    data = {
        "name": node.name,
        "node_type": str(node.node_type),
        "status": str(node.status),
        "error": node.error,
        "error_type": node.error_type,
        "input": node.input_data,
        "output": node.output_data,
        "annotations": node.annotations,
        "metadata": node.metadata,
    }
    return value_at(data, re.sub(r"\[([0-9]+)\]", r".\1", path))


# ---- Assertions --------------------------------------------------------------------------------


def assert_order(trace: TraceGraph, *selectors: Selector) -> None:
    """Check that there are such nodes, each of which started after the one before it.

    Others may lie between them.
    """
    __tracebackhide__ = True
    places = {node_id: place for place, node_id in enumerate(trace.nodes)}
    last = -1
    for number, selector in enumerate(selectors):
        found = [places[node.id] for node in find_all(trace, selector)]
        later = [place for place in found if place > last]
        if not later:
            after = f" after {_wanted(selectors[number - 1])}" if found and number else ""
            raise AssertionError(f"no node {_wanted(selector)}{after}; {_instead(trace, selector)}")
        last = later[0]


def assert_count(
    trace: TraceGraph,
    selector: Selector | None = None,
    exactly: int | None = None,
    *,
    at_least: int = 0,
    at_most: int | None = None,
    where: str = "",
) -> None:
    """Check how many nodes a selector means; 0 says that there is none."""
    __tracebackhide__ = True
    found = find_all(trace, selector, where=where)
    least, most = (at_least, at_most) if exactly is None else (exactly, exactly)
    if len(found) < least or (most is not None and len(found) > most):
        range_text = "at most" if exactly is None and len(found) >= least else "at least"
        wanted = exactly if exactly is not None else most if range_text == "at most" else least
        limits = f"{'' if exactly is not None else range_text + ' '}{wanted}"
        raise AssertionError(
            f"{_nodes(len(found))} {_wanted(selector, where)}, expected {limits}; "
            + (_listed(trace, found) if found else _instead(trace, selector))
        )


def assert_never_without(trace: TraceGraph, selector: Selector, needed: Selector) -> None:
    """Check that before each node of the first kind there ended one of the second.

    `assert_never_without(trace, "delete", "confirm")`. It holds where there is no `delete`.
    """
    __tracebackhide__ = True
    ends = [node.end_time for node in find_all(trace, needed) if node.end_time is not None]
    earliest = min(ends, default=None)
    for node in find_all(trace, selector):
        if earliest is None or node.start_time is None or node.start_time < earliest:
            raise AssertionError(
                f"{_place(trace, node)} ran without {_wanted(needed)} before it"
                + ("" if ends else f"; {_instead(trace, needed)}")
            )


def assert_value(
    trace: TraceGraph, selector: Selector, path: str, expected: Matcher, *, where: str = ""
) -> None:
    """Check a value of every node that a selector means; there must be one at least.

    `expected` is a value, a compiled pattern that is found in the text, a type, or a function
    that returns true: `assert_value(trace, "search", "input.limit", lambda n: n <= 10)`.
    """
    __tracebackhide__ = True
    find(trace, selector, where=where)
    for node in find_all(trace, selector, where=where):
        value = value_of(node, path)
        if value is MISSING:
            raise AssertionError(f"{_place(trace, node)} has no {path}; {_nearest(node, path)}")
        if not _matches(value, expected):
            raise AssertionError(
                f"{path} of {_place(trace, node)} is {_brief(value)}, "
                f"expected {_expected_text(expected)}"
            )


def assert_budget(
    trace: TraceGraph,
    *,
    model_calls: int | None = None,
    tool_calls: int | None = None,
    tokens: int | None = None,
    cost: float | None = None,
    seconds: float | None = None,
    prices: PriceTable | None = None,
) -> None:
    """Check that a run took no more than this; every limit that it broke is named.

    `cost` needs `prices`. A model without a price fails it: what is not known is not cheap.
    """
    __tracebackhide__ = True
    if cost is not None and prices is None:
        raise TypeError("cost needs prices=PriceTable(...), or load_prices(path)")
    run = measure(trace, prices)
    kinds = [step.node.node_type for step in run.steps]
    spent = sum(step.total.tokens for step in run.top if step.total is not None)
    paid = sum(step.total_cost or 0.0 for step in run.top)
    unpriced = sum(step.unpriced for step in run.top)
    limits: list[tuple[str, float, float | None]] = [
        ("model calls", kinds.count(NodeType.LLM_CALL), model_calls),
        ("tool calls", kinds.count(NodeType.TOOL_CALL), tool_calls),
        ("tokens", spent, tokens),
        ("cost", paid, cost),
        ("seconds", run.wall / 1e6, seconds),
    ]
    broken = [
        f"{name}: {found:,.6g}, at most {limit:,.6g}"
        for name, found, limit in limits
        if limit is not None and found > limit
    ]
    if cost is not None and unpriced:
        broken.append(f"cost: {_nodes(unpriced)} of models without a price")
    if broken:
        raise AssertionError("over budget: " + "; ".join(broken))


def assert_no_errors(trace: TraceGraph) -> None:
    """Check that no failure reached the end of the run.

    One that a retry or a fallback made good, or that a node around it handled, is none.
    """
    __tracebackhide__ = True
    left = [item for item in explain(trace) if not (item.recovered_by or item.handled_by)]
    if left:
        causes = [f"{_place(trace, item.cause)}: {failure_text(item.cause)}" for item in left]
        raise AssertionError("nobody handled: " + "; ".join(causes[:_SHOWN]))


# ---- Words of messages -------------------------------------------------------------------------


def _matches(value: Any, expected: Matcher) -> bool:
    if isinstance(expected, re.Pattern):
        return isinstance(value, str) and expected.search(value) is not None
    if isinstance(expected, type):
        return isinstance(value, expected)
    if callable(expected):
        return bool(expected(value))
    return bool(value == expected)


def _expected_text(expected: Matcher) -> str:
    if isinstance(expected, re.Pattern):
        return f"a text with /{expected.pattern}/"
    if isinstance(expected, type):
        return f"a {expected.__name__}"
    if callable(expected):
        return f"{getattr(expected, '__name__', expected)!s} to hold"
    return _brief(expected)


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _wanted(selector: Selector | None, where: str = "") -> str:
    texts = [selector.text if isinstance(selector, Query) else selector, where]
    shown = [repr(text) for text in texts if text]
    return " where ".join(shown) or "at all"


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"


def _place(trace: TraceGraph, node: Node) -> str:
    """Return where a node is: the names from below the root down, and its number there."""
    names = [repr(node.name)]
    seen = {node.id}
    above = trace.nodes.get(node.parent_id or "")
    while above is not None and above.id not in seen and above.node_type != "trace":
        seen.add(above.id)
        names.append(repr(above.name))
        above = trace.nodes.get(above.parent_id or "")
    same = [each.id for each in trace.nodes.values() if each.name == node.name]
    number = f" #{same.index(node.id) + 1}" if len(same) > 1 else ""
    return " in ".join(names[:3]).replace(names[0], names[0] + number, 1)


def _listed(trace: TraceGraph, nodes: list[Node]) -> str:
    places = [_place(trace, node) for node in nodes[:_SHOWN]]
    more = f", and {len(nodes) - _SHOWN} more" if len(nodes) > _SHOWN else ""
    return "found " + ", ".join(places) + more


def _instead(trace: TraceGraph, selector: Selector | None) -> str:
    """Say what there is: names like the one looked for, or all of them."""
    names = list(dict.fromkeys(node.name for node in trace.nodes.values()))
    like = difflib.get_close_matches(selector, names, 3) if isinstance(selector, str) else []
    if like and selector not in like:
        return "did you mean " + " or ".join(map(repr, like)) + "?"
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return "there are " + ", ".join(map(repr, names[:_SHOWN])) + more if names else "it is empty"


def _nearest(node: Node, path: str) -> str:
    outer = path.rpartition(".")[0]
    value = value_of(node, outer) if outer else MISSING
    if isinstance(value, dict) and value:
        return f"{outer} has {', '.join(sorted(map(str, value))[:_SHOWN])}"
    return "paths look like input.query, output.items[0].id"
