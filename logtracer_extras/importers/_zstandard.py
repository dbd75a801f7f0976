"""Zstandard, in which Codex packs its older rollouts; Python reads it by itself since 3.14."""

from __future__ import annotations

import importlib
import io
from typing import Any

from logtracer import TraceLoadError

__all__ = ["ZSTANDARD", "unpacked_zstandard"]

ZSTANDARD = b"\x28\xb5\x2f\xfd"


def unpacked_zstandard(data: bytes, limit: int) -> bytes:
    """Decompress a file, which a few bytes can make endless."""
    reader, failures = _reader(data)
    try:
        found: bytes = reader.read(limit + 1)
    except failures as error:
        raise TraceLoadError(f"damaged Zstandard: {error}") from None
    if len(found) > limit:
        raise TraceLoadError(f"holds more than {limit >> 30} GiB")
    if found.startswith(ZSTANDARD):
        raise TraceLoadError("Zstandard within Zstandard")
    return found


def _reader(data: bytes) -> tuple[Any, tuple[type[Exception], ...]]:
    try:
        module = importlib.import_module("compression.zstd")
        return module.ZstdFile(io.BytesIO(data)), (module.ZstdError, EOFError, OSError)
    except ImportError:
        pass  # before Python 3.14
    try:
        module = importlib.import_module("zstandard")
    except ImportError:
        hint = "pip install zstandard, or use Python 3.14"
        raise TraceLoadError(f"compressed with Zstandard: {hint}") from None
    reader = module.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True)
    return reader, (module.ZstdError, EOFError)
