"""Read other people's traces as logtracer's own; which format a file has shows in its content.

    from logtracer_extras.importers import import_file

    for trace in import_file("spans.jsonl"):
        print(trace.trace_id, len(trace.nodes))

Reads OpenTelemetry (OTLP as JSON, also in snake case, as JSON lines, as Tempo exports it, as
console exporters print it), with the attributes of OpenInference, GenAI, Traceloop, Langfuse,
pydantic-ai and the Vercel AI SDK; trackers; trajectories of evaluations; lists of chat messages;
logtracer's own files and those of nodetracer. `_formats.py` lists them all.

A file is of the format that most of its documents have. Every span becomes a node, whatever is
wrong with it: a missing parent, a circle of parents, an id used twice, no end. What is wrong is
said in the node's metadata, under `logtracer.import.note`, and so is everything that has no place
of its own. What was left out is said in the trace's: torn lines under `logtracer.damaged_lines`,
documents of other kinds, counted by kind, under `logtracer.import.kinds`. A file that cannot be
read raises TraceLoadError, and nothing else.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from typing import Any

from logtracer import TraceGraph, TraceLoadError, trace_from_journal, trace_from_json

from ._databases import database_documents, is_database
from ._documents import GZIP, MAX_FILE, ZSTANDARD, decode_text, documents_in, read_bytes, unpacked
from ._families import companions, is_read_with_another
from ._folders import files_in
from ._formats import file_reader_of, is_journal, is_native, read_with, reader_of
from ._inspect_archive import ZIP, read_archive
from ._joining import KINDS, assemble
from ._kinds import brief_keys, count_kinds
from ._node_js import json_of_printed
from ._spans import SpanRecord
from .accounts import count_once
from .messages import is_message, read_message_list

__all__ = ["import_directory", "import_file", "import_traces"]


def _import(data: str | bytes, path: str | None = None) -> list[TraceGraph]:
    if isinstance(data, bytes) and data.startswith(ZIP):
        log, damaged = read_archive(data, MAX_FILE)
        return _import_documents([log], damaged, hashlib.sha256(data).hexdigest())
    if isinstance(data, bytes) and data.startswith((GZIP, ZSTANDARD)):
        return _import(unpacked(data), path)
    text = data if isinstance(data, str) else decode_text(data)
    documents, damaged = documents_in(json_of_printed(text) or text)
    if len(documents) == 1 and is_native(documents[0]):
        return [trace_from_json(data)]  # our own reader, no more lenient here than elsewhere
    if is_journal(documents[0]):
        return [trace_from_journal(text.split("\n"))]
    if path is not None:
        documents += companions(path, documents)
    source = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
    return _import_documents(documents, damaged, source)


def _import_documents(documents: list[Any], damaged: int, source: str) -> list[TraceGraph]:
    """Read the documents of a file: all of them as one, else each by itself."""
    whole = file_reader_of(documents)
    if whole is not None:
        traces = assemble(read_with(whole, documents, source, 0))
    else:
        traces = _import_each(documents, source)
    if not traces:
        raise TraceLoadError(_why_nothing(documents))
    if damaged:
        traces[0].metadata["logtracer.damaged_lines"] = damaged
    return traces


def _import_each(documents: list[Any], source: str) -> list[TraceGraph]:
    traces: list[TraceGraph] = []
    spans: list[SpanRecord] = []
    messages: list[Any] = []  # a line for each: those of one file are one conversation
    names: list[str] = []
    unknown: list[Any] = []
    for position, document in enumerate(documents):
        reader = reader_of(document)
        if is_native(document):
            traces.append(TraceGraph.from_dict(document))
            names.append("native")
        elif reader is None:
            unknown.append(document)
        elif reader[0] == "messages" and is_message(document):
            messages.append(document)
            names.append("messages")
        else:
            spans.extend(read_with(reader, document, source, position))
            names.append(reader[0])
    _refuse_few(names, unknown, len(documents))
    if messages:
        spans.extend(read_with(("messages", read_message_list), messages, source, 0))
    traces += assemble(spans)
    if traces and unknown:
        traces[0].metadata.setdefault(KINDS, {}).update(count_kinds(unknown))
    return traces


_UNCERTAIN = ("messages", "attributes")  # formats that a line of anything may look like


def _refuse_few(names: list[str], unknown: list[Any], count: int) -> None:
    """Refuse a file most of whose documents are of no known format."""
    if 2 * len(names) >= count or any(name not in _UNCERTAIN for name in names) or not names:
        return
    what = "a chat message" if names[0] == "messages" else "a span's attributes"
    kinds = ", ".join(f"{number} {ascii(kind)}" for kind, number in count_kinds(unknown).items())
    raise TraceLoadError(
        f"not a trace in a known format: {len(names)} of {count} lines "
        f"{'looks' if len(names) == 1 else 'look'} like {what}; the others: {kinds[:200]}"
    )


def _why_nothing(documents: list[Any]) -> str:
    first = documents[0]
    if reader_of(first) is not None:
        return "holds no spans"
    what = "not a trace in a known format"
    if isinstance(first, list) and first and isinstance(first[0], dict):
        return f"{what} (a list; the keys of its first item: {ascii(brief_keys(first[0]))})"
    if isinstance(first, dict) and first:
        return f"{what} (its keys: {ascii(brief_keys(first))})"
    return what


def import_traces(data: str | bytes) -> list[TraceGraph]:
    """Read every trace in a text, in the order in which they first appear.

    Raises TraceLoadError, and nothing else, when it holds none.
    """
    return _import_or_refuse(data)


def _import_or_refuse(data: str | bytes, path: str | None = None) -> list[TraceGraph]:
    try:
        return _import(data, path)
    except RecursionError:
        raise TraceLoadError("nested too deeply") from None


def import_file(path: str | os.PathLike[str]) -> list[TraceGraph]:
    """Read every trace in a file, or in the files of a directory.

    The files of a session's sub-agents, which lie beside it, are read with it.
    Raises OSError when it cannot be opened, else TraceLoadError.
    """
    place = os.fspath(path)
    if os.path.isdir(place):
        return list(import_directory(place))
    try:
        if is_database(place):
            return _import_documents(database_documents(place), 0, place)
        return _import_or_refuse(read_bytes(place), place)
    except TraceLoadError as error:
        raise TraceLoadError(f"{place}: {error}") from None


def _import_together(names: list[str]) -> list[TraceGraph]:
    """Read files that are one run: their texts, one after the other."""
    if len(names) == 1:
        return import_file(names[0])
    try:
        return import_traces(b"\n".join(map(read_bytes, names)))
    except TraceLoadError as error:
        raise TraceLoadError(f"{names[0]} and others: {error}") from None


def import_directory(
    path: str | os.PathLike[str],
    *,
    refused: Callable[[Exception], None] | None = None,
) -> Iterator[TraceGraph]:
    """Read every trace in the files of a directory and of those in it, one file at a time.

    A call that several sessions repeat, because one was resumed or forked into another, counts
    once. A file that cannot be read is told to `refused` and does not stop the others. Raises
    TraceLoadError, at the end, when no file holds a trace.
    """
    found = False
    counted: dict[str, str] = {}
    first: Exception | None = None
    for names in files_in(os.fspath(path)):
        names = [name for name in names if not is_read_with_another(name)]
        if not names:
            continue
        try:
            for trace in _import_together(names):
                found = True
                count_once([trace], counted)
                yield trace
        except (TraceLoadError, OSError) as error:
            first = first or error
            if refused is not None:
                refused(error)
    if not found:
        why = f"; the first of its files: {first}" if first is not None else ""
        raise TraceLoadError(f"{os.fspath(path)}: no file in it holds a trace{why}")
