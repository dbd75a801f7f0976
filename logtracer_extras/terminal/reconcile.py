"""`logtracer reconcile`: the record behind every token that an imported session counts."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from logtracer_cli import Line, Screen, counted

from ..importers import import_file
from ..importers.accounts import Account, Entry, Total, account_of

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("file", metavar="FILE", help="a session of a coding agent")
    parser.add_argument("--json", action="store_true", help="print the account as JSON")


def run(options: argparse.Namespace, screen: Screen) -> int:
    """Show what was counted and what the file says itself; 1 when nothing explains a difference."""
    accounts = [(trace.name, account_of(trace)) for trace in import_file(options.file)]
    if options.json:
        screen.show_json([_to_dict(name, account) for name, account in accounts])
    else:
        for name, account in accounts:
            screen.show(_lines(name, account))
    totals = [total for _, account in accounts for total in account.totals]
    return int(any(any(total.difference) and not total.reasons for total in totals))


def _lines(name: str, account: Account) -> Iterator[Line]:
    yield [(name, "heading")]
    yield []
    yield [(f"{'IN':>12}{'OUT':>10}  COUNTED FROM", "heading")]
    for entry in account.entries:
        yield [(_entry_text(entry), "dim" if entry.elsewhere else "")]
    yield [(f"{account.sent:>12,}{account.made:>10,}  {counted(len(account.entries), 'call')}", "")]
    left_out = [(each, entry.record) for entry in account.entries for each in entry.repeats]
    left_out += account.repeated.items()
    if left_out:
        yield []
        yield [("LEFT OUT", "heading")]
    for record, first in left_out:
        yield [(f"{record}: repeats {first}", "")]
    for total in account.totals:
        yield []
        yield from _total_lines(total)
    yield []


def _entry_text(entry: Entry) -> str:
    made = "?" if entry.made is None else f"{entry.made:,}"
    where = entry.record or "no record"
    if entry.elsewhere:
        where = f"counted in {entry.elsewhere}"
    return f"{entry.sent:>12,}{made:>10}  {where}  {entry.name}"


def _total_lines(total: Total) -> Iterator[Line]:
    sent, made = total.difference
    yield [(f"{total.sent:>12,}{total.made:>10,}  the file's own {total.name}, {total.record}", "")]
    role = "" if sent == made == 0 else "failed"
    yield [(f"{sent:>12,}{made:>10,}  difference", role)]
    for reason in total.reasons:
        yield [(f"{'':>24}{reason}", "dim")]


def _to_dict(name: str, account: Account) -> dict[str, Any]:
    """Return an account as JSON data."""
    return {
        "name": name,
        "input_tokens": account.sent,
        "output_tokens": account.made,
        "calls": [
            {
                "node_id": entry.node_id,
                "name": entry.name,
                "record": entry.record,
                "input_tokens": entry.sent,
                "output_tokens": entry.made,
                "repeated_in": [*entry.repeats],
                "counted_in": entry.elsewhere or None,
            }
            for entry in account.entries
        ],
        "repeated": account.repeated,
        "totals": [
            {
                "name": total.name,
                "record": total.record,
                "input_tokens": total.sent,
                "output_tokens": total.made,
                "difference": [*total.difference],
                "reasons": [*total.reasons],
            }
            for total in account.totals
        ],
    }
