"""What users get: the built wheel with the source tree away, and the one file copied."""

from __future__ import annotations

import re
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from conftest import ROOT
from needs import needs
from wheels import build_sdist, build_wheel, make_environment, make_stand_in, run, vendor

STUBS = [
    *(f"logtracer-stubs/{name}.pyi" for name in ("core", "models", "storage", "serializers")),
    "logtracer-stubs/__init__.pyi",
    "logtracer_cli-stubs/__init__.pyi",
]

RECORD = """
with tracer.trace("run") as root:
    with root.node("step", node_type="tool_call") as step:
        step.output(answer=42)
"""

VENDORED = f"""
import pickle, sys
from unittest import mock
from app._vendor import logtracer
from app._vendor.logtracer import MemoryStore, Tracer
from app._vendor.logtracer.core import Tracer as OldTracer

tracer = Tracer(storage=MemoryStore())
{RECORD}
assert OldTracer is Tracer
assert sys.modules["app._vendor.logtracer.storage"] is logtracer
assert "logtracer" not in sys.modules and "logtracer.core" not in sys.modules
assert pickle.loads(pickle.dumps(root.trace)) == root.trace
with mock.patch("app._vendor.logtracer.core.Tracer") as patched:
    assert logtracer.Tracer is patched
"""

TOGETHER = f"""
import logtracer
from app._vendor import logtracer as vendored

assert vendored.Tracer is not logtracer.Tracer
tracer = logtracer.Tracer()
with vendored.Tracer().trace("theirs") as theirs:
    assert logtracer.current_span() is None
    {RECORD.strip().replace(chr(10), chr(10) + "    ")}
    assert vendored.current_span() is theirs
assert [node.name for node in root.trace.nodes.values()] == ["run", "step"]
assert [node.name for node in theirs.trace.nodes.values()] == ["theirs"]
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel and nothing else."""
    return make_environment(tmp_path_factory.mktemp("installed"), wheel)


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_wheel_carries_the_modules_the_extras_and_the_stubs_alone(wheel: Path) -> None:
    files = {name for name in contents(wheel) if ".dist-info/" not in name}
    extras = [path for path in (ROOT / "logtracer_extras").rglob("*.*") if path.suffix != ".pyc"]
    names = {path.relative_to(ROOT).as_posix() for path in extras}
    assert files == {"logtracer.py", "logtracer_cli.py", *names, *STUBS}
    assert "logtracer_extras/py.typed" in files


def test_stubs_are_the_modules_themselves(wheel: Path) -> None:
    files = contents(wheel)
    for module in ("logtracer", "logtracer_cli"):
        source = (ROOT / f"{module}.py").read_bytes()
        assert files[f"{module}.py"] == source
        assert files[f"{module}-stubs/__init__.pyi"].startswith(source)


def test_wheel_takes_its_version_from_the_source(wheel: Path) -> None:
    source = (ROOT / "logtracer.py").read_text(encoding="utf-8")
    version = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    assert version is not None
    assert wheel.name == f"logtracer-{version[1]}-py3-none-any.whl"


def test_wheel_requires_nothing(wheel: Path) -> None:
    (metadata,) = [text for name, text in contents(wheel).items() if name.endswith("/METADATA")]
    required = re.findall(r"^Requires-Dist: (.*)$", str(metadata, "utf-8"), re.MULTILINE)
    assert required
    assert all("extra ==" in requirement for requirement in required)


def test_wheel_of_the_source_distribution_is_the_same(wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(build_sdist(tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    rebuilt = build_wheel(source, tmp_path / "rebuilt")
    assert contents(rebuilt) == contents(wheel)


def test_installed_tracer_records_with_the_source_away(installed: Path, tmp_path: Path) -> None:
    program = f"""
from logtracer.core import Tracer, TracerConfig
from logtracer.storage import FileStore
import logtracer

tracer = Tracer(config=TracerConfig(), storage=FileStore("./traces"))
{RECORD}
print(logtracer.__file__)
"""
    where = run(tmp_path, installed, "-W", "error", "-c", program)
    assert installed.parents[1] in Path(where.strip()).parents
    printed = run(tmp_path, installed.with_name("logtracer"), "inspect", "latest")
    assert "[tool_call] step" in printed


def test_demo_of_an_installation_names_its_command(installed: Path, tmp_path: Path) -> None:
    shown = run(tmp_path, installed.with_name("logtracer"), "demo")
    assert shown.endswith("Look again: logtracer inspect latest --verbosity full\n")


def test_installed_command_is_also_a_module(installed: Path, tmp_path: Path) -> None:
    command = run(tmp_path, installed.with_name("logtracer"), "--help")
    module = run(tmp_path, installed, "-m", "logtracer_cli", "--help")
    assert command == module


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A directory of wheels that stand in for what the extras need."""
    make_stand_in("rich", tmp_path)
    make_stand_in("psycopg", tmp_path, "binary")
    return tmp_path


def install_extras(wheel: Path, shelf: Path, python: Path, *command: str | Path) -> str:
    wanted = f"logtracer[rich,postgres] @ {wheel.as_uri()}"
    run(shelf, *command, "--no-index", "--find-links", shelf, wanted)
    program = "from importlib.metadata import version; print(version('rich'), version('psycopg'))"
    return run(shelf, python, "-c", program).strip()


def test_pip_brings_what_extras_need(wheel: Path, shelf: Path) -> None:
    # Python 3.10 makes environments with pip 23.0, the oldest that must do.
    python = make_environment(shelf / "environment", wheel)
    assert install_extras(wheel, shelf, python, python, "-m", "pip", "install") == "99 99"


def test_uv_brings_what_extras_need(wheel: Path, shelf: Path) -> None:
    python = make_environment(shelf / "environment")
    command = (needs("uv"), "pip", "install", "--python", python)
    assert install_extras(wheel, shelf, python, *command) == "99 99"


def test_copied_terminal_names_the_folder_it_lacks(tmp_path: Path) -> None:
    for module in ("logtracer.py", "logtracer_cli.py"):
        shutil.copy(ROOT / module, tmp_path)
    python = make_environment(tmp_path / "environment")
    program = f"from logtracer import *; tracer = Tracer(storage=FileStore('traces'))\n{RECORD}"
    run(tmp_path, python, "-c", program)
    terminal = (python, "logtracer_cli.py")
    assert "[tool_call] step" in run(tmp_path, *terminal, "inspect", "latest")
    with pytest.raises(AssertionError, match=r"logtracer_extras.* copy the folder"):
        run(tmp_path, *terminal, "list")


def test_vendored_tracer_works_alone_under_another_name(tmp_path: Path) -> None:
    vendor(tmp_path)
    python = make_environment(tmp_path / "environment")
    run(tmp_path, python, "-W", "error", "-c", VENDORED)


def test_vendored_and_installed_tracers_keep_apart(installed: Path, tmp_path: Path) -> None:
    vendor(tmp_path)
    run(tmp_path, installed, "-W", "error", "-c", TOGETHER)
    run(tmp_path, installed, "-W", "error", "-c", VENDORED)
