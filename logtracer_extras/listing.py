"""Listings of a store, by the path that people import them from; they live in `stores`."""

from .stores.listing import ListingBackend, list_summaries
from .stores.summaries import (
    EVERYTHING,
    TraceFilter,
    TraceSummary,
    newest_first,
    summarize,
    summary_of,
)

__all__ = [
    "EVERYTHING",
    "ListingBackend",
    "TraceFilter",
    "TraceSummary",
    "list_summaries",
    "newest_first",
    "summarize",
    "summary_of",
]
