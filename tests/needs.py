"""Say what a test needs beyond Python: it skips where that is missing, or fails where it must not.

    from needs import needs

    chromium = needs("chromium")

Call it in a test, in a fixture, or at the top of a test file.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import pytest


def needs(name: str) -> str:
    """Return the path of the program, or the name of the module, called `name`.

    Without either the test is skipped; with LOGTRACER_REQUIRE_ALL=1 it fails.
    """
    found = shutil.which(name) or (name if _is_importable(name) else None)
    if found is not None:
        return found
    reason = f"needs {name}, which is neither a program on the PATH nor an importable module"
    pytest.skip(_not_required(reason), allow_module_level=True)


def needs_node_package(name: str) -> Path:
    """Return the folder of an npm package that lies beside the programs on the PATH."""
    for directory in os.environ["PATH"].split(os.pathsep):
        package = Path(directory).parent / "lib" / "node_modules" / name
        if package.is_dir():
            return package
    reason = f"needs the npm package {name}, which is not beside any program on the PATH"
    pytest.skip(_not_required(reason), allow_module_level=True)


def _not_required(reason: str) -> str:
    if os.environ.get("LOGTRACER_REQUIRE_ALL") == "1":
        pytest.fail(reason, pytrace=False)
    return reason


def _is_importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the parent of a dotted name is missing
        return False
