"""Add stub packages to the wheel: PEP 561 knows no `py.typed` for a single module.

`logtracer-stubs/__init__.pyi` is a copy of logtracer.py, which is fully annotated, and of the names
that logtracer.py imports from logtracer_extras when they are asked for. Beside it stands one stub
for each import path that logtracer.py registers when it runs. A plain `force-include` in
pyproject.toml would move logtracer.py instead of copying it, hence this hook. The same goes for
logtracer_cli.py; the folder logtracer_extras has its `py.typed`.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

IMPORT_PATHS = ("core", "models", "storage", "serializers")
EXTRAS = """
from logtracer_extras.background import BackgroundStore as BackgroundStore
from logtracer_extras.sqlite import SQLiteStore as SQLiteStore
from logtracer_extras.tee import TeeStore as TeeStore
"""
SAME_NAMES = f'"""The same names as `logtracer` itself."""\n\nfrom logtracer import *\n{EXTRAS}'


class StubPackages(BuildHookInterface[BuilderConfig]):
    """Write the stubs to a temporary directory and have them packed from there."""

    _directory: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make the stubs, unless the install is editable: a copy would go stale there."""
        if version == "editable":
            return
        self._directory = Path(tempfile.mkdtemp())
        for module in ("logtracer", "logtracer_cli"):
            package = self._directory / f"{module}-stubs"
            package.mkdir()
            shutil.copy(Path(self.root, f"{module}.py"), package / "__init__.pyi")
        stubs = self._directory / "logtracer-stubs"
        with open(stubs / "__init__.pyi", "a", encoding="utf-8") as tracer:
            tracer.write(EXTRAS)
        for name in IMPORT_PATHS:
            (stubs / f"{name}.pyi").write_text(SAME_NAMES, encoding="utf-8")
        for package in self._directory.iterdir():
            build_data["force_include"][str(package)] = package.name

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary directory."""
        if self._directory is not None:
            shutil.rmtree(self._directory)
