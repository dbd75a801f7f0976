"""Stores: where traces go, how they are listed, copied and removed."""

from ._files import list_directory, trace_ids_in

__all__ = ["list_directory", "trace_ids_in"]
