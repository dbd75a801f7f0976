"""`logtracer export`: a trace for another viewer."""

from __future__ import annotations

import argparse
import os
import sys

from logtracer_cli import TRACE_HELP, Screen, UsageError, find_trace

from ..formats import FORMATS

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("trace", help=TRACE_HELP)
    parser.add_argument(
        "--format",
        required=True,
        metavar="FORMAT",
        help="chrome (Perfetto), csv, dot, html, json, mermaid, otlp or speedscope",
    )
    parser.add_argument("--output", metavar="FILE", help="where to write; without it to stdout")


def run(options: argparse.Namespace, screen: Screen) -> int:
    """Run the command and return its exit code."""
    if options.format not in FORMATS:
        raise UsageError("export", f"--format is one of {', '.join(FORMATS)}")
    text = FORMATS[options.format].write(find_trace(options.trace, options.store))
    if options.output is not None:
        _write_private(options.output, text)
        screen.show([[(options.output, "")]])
    elif sys.stdout.isatty():  # a terminal obeys what a trace may hold, so there it is escaped
        screen.show([[(line, "")] for line in text.splitlines()])
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8"))
    return 0


def _write_private(path: str, text: str) -> None:
    """Write a file that only its owner can read, as the traces themselves are."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text.encode("utf-8"))
