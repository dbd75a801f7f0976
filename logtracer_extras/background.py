"""`BackgroundStore`, by the path that people import it from; it lives in `stores.background`."""

from .stores.background import BackgroundStore

__all__ = ["BackgroundStore"]
