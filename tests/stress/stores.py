"""Every store there is, made in a directory: what one must do, all must do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from logtracer import FileStore, MemoryStore, StorageBackend

STORES: dict[str, Callable[[Path], StorageBackend]] = {
    "memory": lambda directory: MemoryStore(max_traces=2_000),
    "file": lambda directory: FileStore(directory / "traces"),
}
