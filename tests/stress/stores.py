"""Every store there is, made in a directory: what one must do, all must do.

PostgreSQL, which needs a server, passes the same suite in test_postgres.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from logtracer import FileStore, MemoryStore, StorageBackend
from logtracer_extras.stores.background import BackgroundStore
from logtracer_extras.stores.sqlite import SQLiteStore
from logtracer_extras.stores.tee import TeeStore


def all_at_once(directory: Path) -> StorageBackend:
    """Make a tee of the stores that lie on this machine."""
    files, database = FileStore(directory / "traces"), SQLiteStore(directory / "traces.db")
    return TeeStore(MemoryStore(max_traces=2_000), files, database)


STORES: dict[str, Callable[[Path], StorageBackend]] = {
    "memory": lambda directory: MemoryStore(max_traces=2_000),
    "file": lambda directory: FileStore(directory / "traces"),
    "sqlite": lambda directory: SQLiteStore(directory / "traces.db"),
    "background": lambda directory: BackgroundStore(
        SQLiteStore(directory / "traces.db"), on_full="block"
    ),
    "tee": all_at_once,
}
