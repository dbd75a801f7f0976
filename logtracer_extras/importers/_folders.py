"""The files of a directory that may hold traces."""

from __future__ import annotations

import os
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


def files_in(path: str) -> Iterator[str]:
    """Yield files of formats that hold traces, in the order of their names, folder by folder."""
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not _is_left_out(folder, name))
        for name in sorted(names):
            if name.endswith(_SUFFIXES) and not name.startswith("."):
                yield os.path.join(folder, name)


def _is_left_out(folder: str, name: str) -> bool:
    """Tell whether a folder is hidden, or is read with the session that stands beside it."""
    return name.startswith(".") or (name == _BESIDE and os.path.exists(f"{folder}.jsonl"))
