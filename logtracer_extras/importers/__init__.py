"""Read other people's traces as logtracer's own; which format a file has shows in its content.

    from logtracer_extras.importers import import_file

    for trace in import_file("spans.jsonl"):
        print(trace.trace_id, len(trace.nodes))

Reads OpenTelemetry (OTLP as JSON, also in snake case, as JSON lines, as Tempo exports it, as
console exporters print it), with the attributes of OpenInference, GenAI, Traceloop, Langfuse,
pydantic-ai and the Vercel AI SDK; Jaeger; MLflow; LangSmith runs; Inspect logs; lists of chat
messages; logtracer's own files and those of nodetracer; what `span_records` turns into spans.

Every span becomes a node, whatever is wrong with it: a missing parent, a circle of parents, an id
used twice, no end. What is wrong is said in the node's metadata, under `logtracer.import.note`,
and so is everything that has no place of its own. A file that cannot be read raises
TraceLoadError, and nothing else.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any

from logtracer import TraceGraph, TraceLoadError, trace_from_journal, trace_from_json

from ._documents import GZIP, MAX_FILE, decode_text, documents_in, read_bytes, unpacked
from ._families import companions
from ._formats import is_journal, is_native, read_with, reader_of, reader_of_session
from ._inspect_archive import ZIP, read_archive
from ._joining import assemble
from ._node_js import json_of_printed
from ._spans import SpanRecord
from ._zstandard import ZSTANDARD, unpacked_zstandard
from .messages import is_message

__all__ = ["import_file", "import_traces"]


def _why_nothing(documents: list[Any]) -> str:
    if reader_of(documents[0]) is not None:
        return "holds no spans"
    first = documents[0]
    keys = ", ".join(sorted(first)[:6]) if isinstance(first, dict) else ""
    return "not a trace in a known format" + (f" (its keys: {ascii(keys)})" if keys else "")


def _import(data: str | bytes, path: str | None = None) -> list[TraceGraph]:
    if isinstance(data, bytes) and data.startswith(ZIP):
        log, damaged = read_archive(data, MAX_FILE)
        return _import_documents([log], damaged, hashlib.sha256(data).hexdigest())
    if isinstance(data, bytes) and data.startswith(GZIP):
        return _import(unpacked(data), path)
    if isinstance(data, bytes) and data.startswith(ZSTANDARD):
        return _import(unpacked_zstandard(data, MAX_FILE), path)
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
    if all(map(is_message, documents)):  # a line for each
        documents = [documents]
    traces: list[TraceGraph] = []
    spans: list[SpanRecord] = []
    session = reader_of_session(documents)
    if session is not None:
        spans.extend(read_with(session, documents, source, 0))
        documents = []
    for position, document in enumerate(documents):
        if is_native(document):
            traces.append(TraceGraph.from_dict(document))
        elif (reader := reader_of(document)) is not None:
            spans.extend(read_with(reader, document, source, position))
        else:
            damaged += 1
    traces += assemble(spans)
    if not traces:
        raise TraceLoadError(_why_nothing(documents))
    if damaged:
        traces[0].metadata["logtracer.damaged_lines"] = damaged
    return traces


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
    """Read every trace in a file; OSError when it cannot be opened, else TraceLoadError.

    The files of a session's sub-agents, which lie beside it, are read with it.
    """
    try:
        return _import_or_refuse(read_bytes(os.fspath(path)), os.fspath(path))
    except TraceLoadError as error:
        raise TraceLoadError(f"{os.fspath(path)}: {error}") from None
