"""Inspect's archives in the compression that Python cannot read by itself before 3.14."""

from __future__ import annotations

import importlib
import io
import json
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable

import pytest

from logtracer import TraceLoadError
from logtracer_extras.importers import import_traces
from needs import needs

FILES = {
    "header.json": {"eval": {"task": "sums"}},
    "samples/a_epoch_1.json": {"id": "a", "epoch": 1, "messages": [{"role": "user"}]},
}


def archive(compress: Callable[[bytes], bytes]) -> bytes:
    """Return an archive whose files say that they are compressed with Zstandard."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as target:
        for name, content in FILES.items():
            target.writestr(name, compress(json.dumps(content).encode()))
    data = bytearray(file.getvalue())
    for item, content in zip(zipfile.ZipFile(file).infolist(), FILES.values(), strict=True):
        plain = json.dumps(content).encode()
        central = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02"))
        while data[central + 46 : central + 46 + len(item.filename)] != item.filename.encode():
            central = data.index(b"PK\x01\x02", central + 4)
        data[central + 10 : central + 12] = struct.pack("<H", 93)
        data[central + 16 : central + 20] = struct.pack("<I", zlib.crc32(plain))
        data[central + 24 : central + 28] = struct.pack("<I", len(plain))
        data[item.header_offset + 8 : item.header_offset + 10] = struct.pack("<H", 93)
    return bytes(data)


before_3_14 = pytest.mark.skipif(sys.version_info >= (3, 14), reason="Python reads them itself")


@before_3_14
def test_zstandard_without_its_package_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(TraceLoadError, match="pip install zstandard"):
        import_traces(archive(lambda data: data))


@before_3_14
def test_a_log_compressed_with_zstandard_is_read() -> None:
    zstandard = importlib.import_module(needs("zstandard"))
    half = 10  # Inspect writes large files in several frames

    def frames(data: bytes) -> bytes:
        compressor = zstandard.ZstdCompressor()
        return b"".join(compressor.compress(part) for part in (data[:half], data[half:]))

    (trace,) = import_traces(archive(frames))
    assert [node.name for node in trace.nodes.values()] == ["sums a", "user"]


@before_3_14
def test_damaged_zstandard_is_refused() -> None:
    needs("zstandard")
    with pytest.raises(TraceLoadError):
        import_traces(archive(lambda data: data))
