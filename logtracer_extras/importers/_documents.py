"""From the bytes of a file to JSON documents: gzip, byte order marks, JSON lines, damage."""

from __future__ import annotations

import json
import os
import re
import stat
import zlib
from typing import Any

from logtracer import TraceLoadError

__all__ = ["GZIP", "MAX_FILE", "decode_text", "documents_in", "read_bytes", "unpacked"]


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
        raise TraceLoadError(f"not JSON: {reason}")
    return documents, damaged


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


def unpacked(data: bytes) -> bytes:
    """Decompress a file of gzip, which a few bytes can make endless."""
    reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        found = reader.decompress(data, MAX_FILE)
    except zlib.error as error:
        raise TraceLoadError(f"damaged gzip: {error}") from None
    if reader.unconsumed_tail:
        raise TraceLoadError(f"holds more than {MAX_FILE >> 30} GiB")
    if found.startswith(GZIP):
        raise TraceLoadError("gzip within gzip")
    return found


def decode_text(data: bytes) -> str:
    """Decode UTF-8, or the UTF-16 that some shells write, told by its first bytes."""
    utf_16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return data.decode("utf-16" if utf_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise TraceLoadError(f"not UTF-8 text (byte {error.start})") from None
