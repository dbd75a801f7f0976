"""`logtracer replay`: run a program whose model calls are answered from a trace."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

from logtracer import LogtracerError, save_trace_json
from logtracer_cli import TRACE_HELP, CommandError, Screen, complain, find_trace, reason_of

from ..testing import replay

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Run a Python program offline: the calls of the OpenAI and Anthropic SDKs, and of functions"
        " that are @replayable, are answered from a trace. The exit code is the program's; 1 if it"
        " made a call that nobody recorded, 2 on trouble."
    )
    parser.add_argument("trace", help=TRACE_HELP)
    parser.add_argument("program", nargs="+", metavar="-- COMMAND", help="the program to run")
    for name, words in _BOUNDS.items():
        parser.add_argument(
            f"--{name}", action="append", default=[], help=words[1], metavar=words[0]
        )


_BOUNDS = {
    "ignore": ("PATH", "an input that does not count, such as input.date"),
    "mask": ("REGEX", "text that does not count"),
    "passthrough": ("HOST", "a host that may be reached all the same"),
}


def run(options: argparse.Namespace, screen: Screen) -> int:
    """Run the program, and say which of its calls had no answer."""
    try:
        trace = find_trace(options.trace, options.store)
        with tempfile.TemporaryDirectory(prefix="logtracer-replay-") as name:
            directory = Path(name)
            save_trace_json(trace, directory / "trace.json")
            settings = {name: getattr(options, name) for name in _BOUNDS}
            (directory / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
            done = subprocess.run(options.program, env=_environment(directory))
            problems = [path.read_text("utf-8") for path in sorted(directory.glob("problems-*"))]
    except (LogtracerError, OSError) as error:
        raise CommandError("replay", reason_of(error), code=2) from None
    for line in "\n".join(problems).splitlines():
        complain(line)
    return done.returncode or bool(problems)


def _environment(directory: Path) -> dict[str, str]:
    """Return the environment in which every Python that starts has a trace to answer it."""
    package = Path(replay.__file__).parent
    paths = [str(package / "start"), str(package.parent.parent), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        replay.ENVIRONMENT: str(directory),
    }
