"""Remove old traces from a directory, a SQLite file or a PostgreSQL server: `logtracer prune`.

    from logtracer_extras.stores.retention import prune

    removed = prune(store, older_than=datetime.now(timezone.utc) - timedelta(days=30), keep=100)

A run that has not ended and said something within the last hour may still go on, here or on
another machine; it is let be unless `running` says otherwise.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone

from logtracer import FileStore, StorageBackend, StoreError

from ._files import files_of
from .listing import list_summaries
from .summaries import TraceFilter, TraceSummary

__all__ = ["prunable", "prune"]

_QUIET = timedelta(hours=1)  # after which a run that never ended is taken to be dead


def prune(
    store: StorageBackend,
    *,
    older_than: datetime | None = None,
    keep: int = 0,
    status: str | None = None,
    running: bool = False,
) -> list[TraceSummary]:
    """Remove the traces that meet all conditions; return what was said of them.

    Raises StoreError for a store that cannot remove.
    """
    remove = _remover(store)
    chosen = list(prunable(store, older_than=older_than, keep=keep, status=status, running=running))
    remove(summary.trace_id for summary in chosen)
    return chosen


def prunable(
    store: StorageBackend,
    *,
    older_than: datetime | None = None,
    keep: int = 0,
    status: str | None = None,
    running: bool = False,
) -> Iterator[TraceSummary]:
    """Yield the traces that `prune` would remove.

    That are those to which nothing was added since `older_than`, but not the `keep` newest ones
    of the store, and only those of a status if one is given.
    """
    # started before it is ended before it, but what is kept is counted among all
    wanted = TraceFilter() if keep else TraceFilter(until=older_than, status=status)
    now = datetime.now(timezone.utc)
    for summary in itertools.islice(list_summaries(store, wanted), keep, None):
        last = summary.last_time
        if summary.problem or last is None or status not in (None, summary.status):
            continue
        is_old = older_than is None or last < older_than
        if is_old and (running or not _may_run(summary.status, now - last)):
            yield summary


def _may_run(status: str, silence: timedelta) -> bool:
    return status == "running" or (status == "interrupted" and silence < _QUIET)


def _remover(store: StorageBackend) -> Callable[[Iterable[str]], None]:
    own: Callable[[Iterable[str]], None] | None = getattr(store, "delete", None)
    if callable(own):
        return own
    if isinstance(store, FileStore):
        directory = FileStore(store.directory).directory  # a new one removes old temporary files
        return lambda trace_ids: _remove_files(directory, trace_ids)
    raise StoreError(f"{type(store).__name__} cannot remove traces")


def _remove_files(directory: str, trace_ids: Iterable[str]) -> None:
    files = files_of(directory)
    for trace_id in trace_ids:
        for path in reversed(files.get(trace_id, [])):  # what names the trace goes last
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
