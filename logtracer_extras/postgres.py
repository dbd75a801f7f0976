"""`PostgresStore`, by the path that people import it from; it lives in `stores.postgres`."""

from .stores.postgres import PostgresStore

__all__ = ["PostgresStore"]
