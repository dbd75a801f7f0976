"""Read an `.eval` file of Inspect: a zip archive with a file for each sample."""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from typing import Any

from logtracer import TraceLoadError

from ..conventions.values import object_of
from ._documents import largest_unpacked, zstandard

__all__ = ["ZIP", "read_archive"]

ZIP = b"PK\x03\x04"
_SAMPLE_FILE = re.compile(r"samples/[^/]+\.json")
_HEADERS = ("header.json", "_journal/start.json")  # the second one while the evaluation runs
_BAD_ARCHIVE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
_ZSTANDARD = 93  # the number of this compression in a zip archive


def read_archive(data: bytes, limit: int) -> tuple[dict[str, Any], int]:
    """Return an archive as the document of a log, and the number of unreadable samples.

    Raises TraceLoadError when it is not one, or when it would hold more bytes than the limit.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = {item.filename: item for item in archive.infolist()}
            names = [name for name in files if _SAMPLE_FILE.fullmatch(name)]
            header = next((name for name in _HEADERS if name in files), None)
            if header is None:
                raise TraceLoadError("a zip archive, but not of an Inspect log")
            limit = min(limit, largest_unpacked(len(data)))
            if sum(files[name].file_size for name in (header, *names)) > limit:
                raise TraceLoadError(f"its {len(data):,} bytes hold more than {limit:,}")
            samples = [_member(archive, files[name], data) for name in names]
            document = _member(archive, files[header], data)
    except _BAD_ARCHIVE as error:
        raise TraceLoadError(f"a damaged zip archive: {error}") from None
    found = [sample for sample in samples if sample]
    return {"eval": {}, **document, "samples": found}, len(samples) - len(found)


def _member(archive: zipfile.ZipFile, item: zipfile.ZipInfo, data: bytes) -> dict[str, Any]:
    """Return the object in a file of an archive; an empty one when it is damaged."""
    try:
        return object_of(json.loads(_content(archive, item, data), parse_constant=str))
    except TraceLoadError:
        raise
    except (*_BAD_ARCHIVE, ValueError):
        return {}


def _content(archive: zipfile.ZipFile, item: zipfile.ZipInfo, data: bytes) -> bytes:
    try:
        return archive.read(item)
    except NotImplementedError:
        if item.compress_type != _ZSTANDARD:
            raise
    return _zstandard(data, item)


def _zstandard(data: bytes, item: zipfile.ZipInfo) -> bytes:
    """Decompress a file as newer Inspects write them."""
    header = data[item.header_offset : item.header_offset + 30]
    name, extra = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
    start = item.header_offset + 30 + name + extra
    found = zstandard(data[start : start + item.compress_size], item.file_size)[: item.file_size]
    if zlib.crc32(found) != item.CRC:
        raise zipfile.BadZipFile("a wrong checksum")
    return found
