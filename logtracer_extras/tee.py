"""`TeeStore`, by the path that people import it from; it lives in `stores.tee`."""

from .stores.tee import TeeStore

__all__ = ["TeeStore"]
