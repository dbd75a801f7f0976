"""`logtracer import`: traces of other tools, kept as our own."""

from __future__ import annotations

import argparse
from typing import Any

from logtracer import LogtracerError, TraceGraph
from logtracer_cli import Screen, complain, counted, opened_store, reason_of

from ..importers import import_file

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="OTLP, Jaeger, LangSmith, Inspect, messages, ..."
    )
    parser.add_argument("--to", metavar="STORE", help="a directory or a store's URL, not --store")
    parser.add_argument("--force", action="store_true", help="replace traces that are there")


def run(options: argparse.Namespace, screen: Screen) -> int:
    """Save every trace of every file; one that cannot be read does not stop the others."""
    place = options.to or options.store
    failed = 0
    with opened_store(place) as store:
        for name in options.files:
            try:
                for trace in import_file(name):
                    failed += not _keep(trace, store, options, screen)
            except (LogtracerError, OSError) as error:
                complain(reason_of(error))
                failed += 1
    return int(failed > 0)


def _keep(trace: TraceGraph, store: Any, options: argparse.Namespace, screen: Screen) -> bool:
    """Save a trace; False when another one with its id is there."""
    known = None if options.force else store.load(trace.trace_id)
    if known is not None and known.to_dict() != trace.to_dict():
        complain(f"{trace.trace_id}: another trace of this id is there; --force replaces it")
        return False
    store.save(trace)
    nodes = counted(len(trace.nodes), "node")
    screen.show([[(trace.trace_id, "dim"), (f"  {nodes}  ", ""), (trace.name, "heading")]])
    return True
