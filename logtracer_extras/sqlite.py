"""`SQLiteStore`, by the path that people import it from; it lives in `stores.sqlite`."""

from .stores.sqlite import SQLiteStore

__all__ = ["SQLiteStore"]
