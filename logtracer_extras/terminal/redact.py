"""`logtracer redact`: a text without its secrets, or which are found in it and why."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from logtracer_cli import CommandError, Line, Pen, Screen

from ..redaction import Finding, explain

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Print a text as a trace would keep it. With --explain, print what is redacted instead,"
        " by which rule and why; then the exit code is 1 when nothing is."
    )
    parser.add_argument("file", help="a text file, or - for stdin")
    parser.add_argument("--explain", action="store_true", help="which parts, and why")


def run(options: argparse.Namespace, screen: Screen) -> int:
    """Print the text without its secrets, or what they are."""
    text = _read(options.file)
    found = explain(text)
    if not options.explain:
        screen.show([(line, "")] for line in _redacted(text, found).splitlines())
        return 0
    screen.show(_explained(text, found, screen.pen))
    return 0 if found else 1


def _read(name: str) -> str:
    if name == "-":
        return sys.stdin.read()
    try:
        with open(name, encoding="utf-8", errors="replace") as file:
            return file.read()
    except IsADirectoryError:
        raise CommandError(name, "is a directory; pass a text file") from None


def _redacted(text: str, found: list[Finding]) -> str:
    parts, end = [], 0
    for secret in found:
        if secret.end <= end:
            continue  # two rules found it
        parts += [text[end : max(secret.start, end)], "[REDACTED]" * (secret.start >= end)]
        end = secret.end
    return "".join([*parts, text[end:]])


def _explained(text: str, found: list[Finding], pen: Pen) -> Iterator[Line]:
    """Yield a line for each secret: where it stands, how long it is, never what it is."""
    for secret in found:
        line = text.count("\n", 0, secret.start) + 1
        column = secret.start - (text.rfind("\n", 0, secret.start) + 1) + 1
        place = f"{line}:{column}"
        size = f"{secret.end - secret.start} characters"
        yield [(f"{place:>8}  ", "dim"), (f"{secret.rule}  ", "heading"), (f"{size}: ", "dim")]
        yield [("          ", ""), (pen.clip(secret.why, pen.width - 10), "")]
    if not found:
        yield [("nothing is redacted", "dim")]
