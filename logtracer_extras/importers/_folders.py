"""The files of a directory that may hold traces."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

__all__ = ["files_in"]

_SUFFIXES = (
    ".json",
    ".jsonl",
    ".ndjson",
    ".log",
    ".txt",
    ".traj",
    ".eval",
    ".gz",
    ".zst",
    ".otlp",
)
_BESIDE = "subagents"  # a folder that belongs to the session of the folder's name around it
_EVENT = re.compile(r"event-\d+(-.*)?\.json")  # of OpenHands' SDK: one run, a file for each event


def files_in(path: str) -> Iterator[list[str]]:
    """Yield the files of formats that hold traces, folder by folder, in the order of their names.

    Those that are one run together are yielded together.
    """
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not _is_left_out(folder, name))
        files = [name for name in sorted(names) if _may_hold_traces(name)]
        events = [name for name in files if _EVENT.fullmatch(name)]
        if events:
            yield [os.path.join(folder, name) for name in events]
        for name in files:
            if not _EVENT.fullmatch(name):
                yield [os.path.join(folder, name)]


def _may_hold_traces(name: str) -> bool:
    return name.endswith(_SUFFIXES) and not name.startswith(".")


def _is_left_out(folder: str, name: str) -> bool:
    """Tell whether a folder is hidden, or is read with the session that stands beside it."""
    return name.startswith(".") or (name == _BESIDE and os.path.exists(f"{folder}.jsonl"))
