"""Say of each trace of a store what it is, newest first, without loading it where that can be.

    from logtracer_extras.listing import TraceFilter, list_summaries

    for summary in list_summaries(store, TraceFilter(status="failed", tag="canary"), limit=20):
        print(summary.trace_id, summary.name, summary.error_count)

A store that can do this itself has the method of `ListingBackend`; of a FileStore the files are
read, as few and as little of them as the question needs; any other store is loaded.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Protocol

from logtracer import FileStore, StorageBackend

from ._files import list_directory
from .summaries import EVERYTHING, TraceFilter, TraceSummary, newest_first, summary_of

__all__ = ["ListingBackend", "list_summaries"]


class ListingBackend(Protocol):
    """What a store adds to its three methods to say what its traces are without loading them."""

    def list_summaries(
        self, wanted: TraceFilter = EVERYTHING, limit: int | None = None
    ) -> Iterator[TraceSummary]:
        """Yield the wanted traces, the one that started last first; `limit` is None for all.

        Of what started at once the smaller id comes first. Nothing is held while the caller
        does something else between two traces.
        """


def list_summaries(
    store: StorageBackend, wanted: TraceFilter = EVERYTHING, limit: int | None = None
) -> Iterator[TraceSummary]:
    """Yield the wanted traces of any store, the one that started last first."""
    own: Callable[..., Iterator[TraceSummary]] | None = getattr(store, "list_summaries", None)
    if callable(own):
        return own(wanted, limit)
    if isinstance(store, FileStore):
        return itertools.islice(list_directory(store.directory, wanted), limit)
    return itertools.islice(_by_loading(store, wanted), limit)


def _by_loading(store: StorageBackend, wanted: TraceFilter) -> Iterator[TraceSummary]:
    found = []
    for trace_id in store.list_traces():
        if trace_id.startswith(wanted.prefix):
            summary = summary_of(trace_id, functools.partial(store.load, trace_id))
            found += [summary] if summary is not None and wanted.matches(summary) else []
    yield from sorted(found, key=newest_first)
