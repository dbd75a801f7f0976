"""The page: a run, two of them, or one that goes on, in a browser; see `page` and `live`."""

from __future__ import annotations

from .live import LiveServer
from .page import ComparedRow, PageError, comparison_page, trace_page, write_page

__all__ = ["ComparedRow", "LiveServer", "PageError", "comparison_page", "trace_page", "write_page"]
