"""From the bytes of a file to JSON documents: gzip, byte order marks, JSON lines, damage."""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import stat
import zlib
from typing import Any

from logtracer import TraceLoadError

__all__ = [
    "GZIP",
    "MAX_FILE",
    "ZSTANDARD",
    "decode_text",
    "documents_in",
    "largest_unpacked",
    "read_bytes",
    "unpacked",
    "zstandard",
]


MAX_FILE = 1 << 30  # bytes; a larger file is refused before it is read


_SPACE = re.compile(r"[\s,\ufeff\x1e]*")  # files put together keep their marks
_NEXT_DOCUMENT = re.compile(r'\n(?=\{\s*["}]|\[\s*[{\]])')  # and not a log's "[INFO] ..."
_MAX_DAMAGED = 10_000  # places; a file with more is something else, and finding each costs time


def documents_in(text: str) -> tuple[list[Any], int]:
    """Return the JSON values in a text and the number of places that were not JSON.

    Programs print between spans, and a killed one leaves half a line: reading goes on at the
    next line that begins like a document.
    """
    decoder = json.JSONDecoder(parse_constant=str)  # Python's tools do write NaN
    documents: list[Any] = []
    damaged = 0
    reason = "empty"
    position = _skip_space(text, 0)
    while position < len(text):
        try:
            document, end = decoder.raw_decode(text, position)
            documents.append(document)
            position = _skip_space(text, end)
        except json.JSONDecodeError as error:
            reason = f"{error.msg} at line {error.lineno}, column {error.colno}"
            damaged += 1
            past = damaged > _MAX_DAMAGED
            position = len(text) if past else _next_document(text, position)
        except ValueError:
            raise TraceLoadError("not JSON: a number with too many digits") from None
    if not documents:
        raise TraceLoadError(f"not JSON: {_reason(text, reason)}")
    return documents, damaged


def _reason(text: str, reason: str) -> str:
    """Say how a text that is none of our formats begins; else where its JSON ends."""
    start = text.lstrip("\ufeff \t\r\n")[:60]
    if start[:1] in ("", "{", "["):
        return reason
    return f"it begins with {ascii(start.splitlines()[0])}"


def _skip_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _next_document(text: str, position: int) -> int:
    found = _NEXT_DOCUMENT.search(text, position)
    return found.end() if found else len(text)


def read_bytes(path: str) -> bytes:
    """Read a regular file; a FIFO would hold the reader up for ever."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise TraceLoadError("not a regular file")
        if status.st_size > MAX_FILE:
            raise TraceLoadError(f"larger than {MAX_FILE >> 30} GiB")
        return file.read()


GZIP = b"\x1f\x8b"
ZSTANDARD = b"\x28\xb5\x2f\xfd"
_PLAIN_SIZE = 1 << 24  # bytes; what unpacks to less can do no harm
_GROWTH = 100  # times; traces shrink to a tenth or a fortieth, what shrinks more is a trap


def largest_unpacked(size: int) -> int:
    """Return how many bytes a compressed file of a size may hold: a few can make many."""
    return min(MAX_FILE, max(_PLAIN_SIZE, size * _GROWTH))


def unpacked(data: bytes) -> bytes:
    """Decompress a file of gzip or Zstandard, which a few bytes can make endless."""
    limit = largest_unpacked(len(data))
    try:
        found = _gunzip(data, limit) if data.startswith(GZIP) else zstandard(data, limit)
    except zlib.error as error:
        raise TraceLoadError(f"damaged: {error}") from None
    if len(found) > limit:
        raise TraceLoadError(
            f"its {len(data):,} bytes hold more than {limit:,};"
            " if that is no mistake, decompress it first"
        )
    if found.startswith((GZIP, ZSTANDARD)):
        raise TraceLoadError("compressed twice")
    return found


def _gunzip(data: bytes, limit: int) -> bytes:
    parts = []
    while data and limit >= 0:  # files put together have several members
        reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
        parts.append(reader.decompress(data, limit + 1))
        limit -= len(parts[-1])
        data = reader.unused_data.lstrip(b"\0")
    return b"".join(parts)


def zstandard(data: bytes, limit: int) -> bytes:
    """Decompress up to one byte more than a limit; Python can do it by itself since 3.14.

    Raises zlib.error when it is damaged, TraceLoadError when there is nothing to read it with.
    """
    for name in ("compression.zstd", "zstandard"):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        source = io.BytesIO(data)
        try:
            if name == "zstandard":
                reader = module.ZstdDecompressor().stream_reader(source, read_across_frames=True)
            else:
                reader = module.ZstdFile(source)
            found: bytes = reader.read(limit + 1)
        except (module.ZstdError, EOFError) as error:
            raise zlib.error(str(error)) from None
        return found
    hint = "pip install zstandard, or use Python 3.14"
    raise TraceLoadError(f"compressed with Zstandard: {hint}")


_OTHER_FILES = {
    b"SQLite format 3\0": "an SQLite database, of no program whose tables are known",
    b"PAR1": "a Parquet file; save its rows as JSON lines",
    b"%PDF": "a PDF file",
    b"\x80\x04": "a pickle, which could run anything; save it as JSON",
    b"ARROW1": "an Arrow file; save its rows as JSON lines",
}


def decode_text(data: bytes) -> str:
    """Decode UTF-8, or the UTF-16 that some shells write, told by its first bytes."""
    for mark, what in _OTHER_FILES.items():
        if data.startswith(mark):
            raise TraceLoadError(what)
    utf_16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return data.decode("utf-16" if utf_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise TraceLoadError(f"not UTF-8 text (byte {error.start})") from None
