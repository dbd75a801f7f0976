"""`logtracer check`: what is wrong with traces that look successful, and which laws they break."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from typing import Any

from logtracer import LogtracerError, TraceGraph
from logtracer_cli import (
    TRACE_HELP,
    CommandError,
    Line,
    Pen,
    Screen,
    UsageError,
    add_prices,
    prices_of,
    reason_of,
)

from ..check import KINDS, Finding, Law, LawError, broken, check, law_tests, learn
from ._options import traces_of

__all__ = ["add_arguments", "run"]

_SHOWN = 3  # ids of a finding's nodes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Find what is wrong with traces that look successful, by rules and without a model:"
        " exit code 0 when nothing is found, 1 when something is, 2 on trouble."
    )
    parser.add_argument(
        "traces", nargs="*", metavar="TRACE", help=f"{TRACE_HELP}; else the whole store"
    )
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        choices=list(KINDS),
        metavar="KIND",
        help=f"a kind that does not matter: {', '.join(KINDS)}",
    )
    parser.add_argument("--learn", action="store_true", help="print what these good traces share")
    parser.add_argument("--laws", metavar="FILE", help="check against what --learn has printed too")
    parser.add_argument(
        "--write-test", action="store_true", help="print the laws as a pytest file for the trace"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    add_prices(parser)


def run(options: argparse.Namespace, screen: Screen) -> int:
    """Check; what is found is answered with 1, trouble with 2."""
    if options.learn and (options.laws or options.write_test):
        raise UsageError("check", "--learn makes laws; --laws and --write-test use them")
    files = [path for path in options.traces if os.path.isfile(path)]
    if options.write_test and not (options.laws and files == options.traces and len(files) == 1):
        raise UsageError("check", "--write-test needs --laws FILE and the file of one trace")
    try:
        if options.learn:
            screen.show_json([law.to_dict() for law in learn(_traces(options))])
            return 0
        laws = _read_laws(options.laws) if options.laws else []
        if options.write_test:
            return _write_test(laws, options, screen)
        return _check(laws, options, screen)
    except (LogtracerError, OSError) as error:
        raise CommandError("check", reason_of(error), code=2) from None


def _traces(options: argparse.Namespace) -> Iterator[TraceGraph]:
    for argument in options.traces or [None]:
        yield from traces_of(argument, options.store)


def _read_laws(path: str) -> list[Law]:
    with open(path, encoding="utf-8") as file:
        try:
            document = json.load(file)
        except (ValueError, RecursionError) as error:
            raise LawError(f"{path}: not JSON: {error}") from None
    if not isinstance(document, list):
        raise LawError(f"{path}: must be the list that `logtracer check --learn` prints")
    return [Law.from_dict(item) for item in document]


def _write_test(laws: list[Law], options: argparse.Namespace, screen: Screen) -> int:
    (trace,) = _traces(options)
    text = law_tests(laws, agent=trace.name, path=options.traces[0])
    screen.show([[(line, "")] for line in text.splitlines()])
    return 0


def _check(laws: list[Law], options: argparse.Namespace, screen: Screen) -> int:
    prices = prices_of(options)
    results: list[tuple[TraceGraph, list[Finding]]] = []
    for trace in _traces(options):
        found = check(trace, prices=prices, ignore=options.ignore)
        results.append((trace, [*found, *broken(laws, trace)]))
    if options.json:
        screen.show_json([item for result in results for item in _to_dicts(*result)])
    else:
        screen.show([line for result in results for line in _lines(*result, screen.pen)])
        screen.show([_summary(results)])
    return 1 if any(found for _, found in results) else 0


def _to_dicts(trace: TraceGraph, found: list[Finding]) -> Iterator[dict[str, Any]]:
    for finding in found:
        yield {"trace_id": trace.trace_id, "name": trace.name, **finding.to_dict()}


def _lines(trace: TraceGraph, found: list[Finding], pen: Pen) -> Iterator[Line]:
    """Yield the findings of a trace below its name; nothing when there are none."""
    if not found:
        return
    yield [(trace.name or "(unnamed)", "heading"), (f"  {trace.trace_id[:8]}", "dim")]
    for finding in found:
        yield [("  ", ""), (finding.kind, "failed"), (f"  {finding.message}", "")]
        if finding.evidence and finding.evidence not in finding.message:
            yield [("    ", ""), (finding.evidence, "dim")]
        yield [("    ", ""), (_where(trace, finding, pen), "dim")]
    yield []


def _where(trace: TraceGraph, finding: Finding, pen: Pen) -> str:
    """Return which nodes a finding is about, and what they wasted."""
    names = [f"{trace.nodes[node_id].name} {node_id[-8:]}" for node_id in finding.nodes[:_SHOWN]]
    left = len(finding.nodes) - _SHOWN
    more = [f"{left} more"] if left > 0 else []
    spent = [f"{pen.tokens(finding.tokens)} tokens wasted"] if finding.tokens else []
    paid = [pen.cost(finding.cost)] if finding.cost else []
    return ", ".join([*names, *more, *spent, *paid]) or "the trace as a whole"


def _summary(results: list[tuple[TraceGraph, list[Finding]]]) -> Line:
    count = sum(len(found) for _, found in results)
    traces = f"{len(results)} trace{'' if len(results) == 1 else 's'}"
    findings = f"{count} finding{'' if count == 1 else 's'}" if count else "nothing found"
    return [(f"{findings} in {traces}", "")]
