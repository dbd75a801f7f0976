"""Build the wheel and put it into environments of its own, for the tests of what is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

from conftest import ROOT
from needs import needs


def build_wheel(source: Path, directory: Path) -> Path:
    """Build the wheel of a source tree into a directory."""
    return _build(source, directory, "wheel")


def build_sdist(directory: Path) -> Path:
    """Build the source distribution into a directory."""
    return _build(ROOT, directory, "sdist")


def make_stand_in(name: str, directory: Path, *extras: str) -> None:
    """Write an empty wheel of a name, for installers that are kept from the network."""
    provided = "".join(f"Provides-Extra: {extra}\n" for extra in extras)
    files = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 99\n{provided}",
        "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(directory / f"{name}-99-py3-none-any.whl", "w") as archive:
        for file, text in files.items():
            archive.writestr(f"{name}-99.dist-info/{file}", text)


def make_environment(directory: Path, *wheels: Path) -> Path:
    """Make a virtual environment with these wheels and nothing else; returns its interpreter."""
    venv.create(directory, with_pip=bool(wheels))
    python = directory / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if wheels:
        options = ["--quiet", "--no-deps", "--no-index"]
        run(directory, python, "-m", "pip", "install", *options, *wheels)
    return python


def vendor(project: Path) -> Path:
    """Copy the tracer into `app/_vendor/` of a project, as the README says; returns the copy."""
    package = project / "app" / "_vendor"
    package.mkdir(parents=True)
    for directory in (package.parent, package):
        (directory / "__init__.py").touch()
    return Path(shutil.copy(ROOT / "logtracer.py", package))


def run(directory: Path, *command: str | Path) -> str:
    """Run a command in a directory with no module path of ours; returns what it prints."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=directory,
        env={**clean, "PYTHONUTF8": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def _build(source: Path, directory: Path, target: str) -> Path:
    needs("hatchling")
    run(source, sys.executable, "-m", "hatchling", "build", "-t", target, "-d", directory)
    (built,) = directory.iterdir()
    return built
