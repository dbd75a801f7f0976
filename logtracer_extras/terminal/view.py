"""`logtracer view`: a trace in the browser."""

from __future__ import annotations

import argparse
import contextlib
import os
import re

from logtracer_cli import (
    TRACE_HELP,
    CommandError,
    Screen,
    Stored,
    add_prices,
    complain,
    find_file,
    find_node,
    find_trace,
    locate,
    measured,
)

from ..viewer import LiveServer, trace_page, write_page

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("trace", nargs="?", default="latest", help=TRACE_HELP)
    parser.add_argument(
        "--live", action="store_true", help="follow a trace that is still being recorded"
    )
    parser.add_argument("--output", metavar="FILE", help="where to write the page")
    parser.add_argument("--node", metavar="ID", help="open the page at this node")
    parser.add_argument("--no-io", action="store_true", help="leave inputs and outputs out")
    parser.add_argument("--no-open", action="store_true", help="only write it, open no browser")
    parser.add_argument("--force", action="store_true", help="replace a file that is no such page")
    parser.add_argument("--keep", action="store_true", help="with --live: serve on until Ctrl-C")
    add_prices(parser)


def run(options: argparse.Namespace, screen: Screen) -> int:
    """Write the page and print its path; with --live, serve it and print its address."""
    if options.live:
        return _view_live(options, screen)
    import pathlib  # for one line of one command

    trace = find_trace(options.trace, options.store)
    run = measured(trace, options)
    costs = {step.node.id: step.cost for step in run.steps}
    shown = "" if options.node is None else f"#n={find_node(trace, options.node).id}"
    page = trace_page(trace, edges=run.edges, costs=costs, with_values=not options.no_io)
    path = write_page(page, options.output or _page_name(options), force=options.force)
    if not options.no_io:
        complain("note: the page contains recorded inputs and outputs (--no-io leaves them out)")
    address = pathlib.Path(path).as_uri()  # a path may hold characters that an address must not
    screen.show([[(path, "")]])
    _open_browser(address + shown, options)
    return 0


def _page_name(options: argparse.Namespace) -> str:
    """Return the path of the page: that of the trace, but for its ending; else one right here."""
    if options.trace == "-":
        return "trace.html"
    found = locate(options.trace, options.store)
    if isinstance(found, Stored) and not found.path:  # in a database
        return re.sub("[^0-9A-Za-z_-]", "_", found.trace_id)[:64] + ".html"
    return os.path.splitext(find_file(options.trace, options.store))[0] + ".html"


def _view_live(options: argparse.Namespace, screen: Screen) -> int:
    path = find_file(options.trace, options.store)
    if not path.endswith(".jsonl"):
        raise CommandError(options.trace, "the run has ended; show it without --live")
    with LiveServer(path, keep=options.keep) as server:
        screen.show([[(server.url, "")]])
        screen.close()  # the address must be on the screen before the wait
        _open_browser(server.url, options)
        with contextlib.suppress(KeyboardInterrupt):  # stopping is how it ends
            server.serve_forever()
    return 0


def _open_browser(address: str, options: argparse.Namespace) -> None:
    """Open the page; where that is not possible, its address is on the screen."""
    if options.no_open:
        return
    import webbrowser

    with contextlib.suppress(webbrowser.Error, OSError):
        webbrowser.open(address)
