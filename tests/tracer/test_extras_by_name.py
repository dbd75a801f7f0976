"""Parts that are imported by name: from the package that the tracer lies in, or not at all."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from wheels import run, vendor

STORE = "class SQLiteStore:\n    def __init__(self, path): self.path = path\n"
ADAPTER = "def install(tracer): tracer.installed = __name__\n"
PROGRAM = """
from app._vendor.logtracer import SQLiteStore, Tracer, TracerConfig, open_store

print(SQLiteStore.__module__, open_store("sqlite://traces.db").path)
print(Tracer(TracerConfig(auto_instrument=["known"])).installed)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the tracer and a folder of extras in its `_vendor` package."""
    extras = vendor(tmp_path).parent / "logtracer_extras"
    (extras / "adapters").mkdir(parents=True)
    (extras / "sqlite.py").write_text(STORE, encoding="utf-8")
    (extras / "adapters" / "known.py").write_text(ADAPTER, encoding="utf-8")
    return tmp_path


def test_a_vendored_tracer_takes_the_extras_of_its_own_package(project: Path) -> None:
    printed = run(project, sys.executable, "-c", PROGRAM)
    extras = "app._vendor.logtracer_extras"
    assert printed == f"{extras}.sqlite traces.db\n{extras}.adapters.known\n"


def test_a_vendored_tracer_without_extras_says_so_in_one_error(tmp_path: Path) -> None:
    vendor(tmp_path)
    with pytest.raises(AssertionError) as found:
        run(tmp_path, sys.executable, "-c", "from app._vendor.logtracer import SQLiteStore")
    message = str(found.value)
    assert "sqlite needs the folder logtracer_extras; copy it beside logtracer.py" in message
    assert message.count("Traceback") == 1
