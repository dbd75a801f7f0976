"""`logtracer vendor`: a copy inside a package works there, and says when it is old or edited."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from logtracer_cli import main

PROGRAM = """
import sys
from pkg._vendor import logtracer
from pkg._vendor.logtracer import SQLiteStore, Tracer, configure, load_trace
from pkg._vendor.logtracer_extras.stores.sqlite import SQLiteStore as Same

assert SQLiteStore is Same
tracer = Tracer(storage=SQLiteStore("traces.db"))
with tracer.trace("run") as root, root.node("step") as step:
    step.output(answer=42)
assert tracer.storage.list_traces() == [root.trace.trace_id]
assert not {name for name in sys.modules if name.split(".")[0] in ("logtracer", "logtracer_extras")}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").touch()
    return tmp_path


def python(project: Path, *arguments: str) -> str:
    command = [sys.executable, "-I", "-W", "error", "-c"]
    start = f"import sys; sys.path.insert(0, {str(project)!r}); sys.argv[1:] = {arguments[1:]!r}\n"
    ran = subprocess.run(
        [*command, start + arguments[0]],
        cwd=project,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def vendor(project: Path, *arguments: str) -> int:
    return main(["vendor", str(project / "pkg" / "_vendor"), *arguments])


def test_a_copy_in_a_package_meets_no_other_logtracer(project: Path) -> None:
    assert vendor(project, "--with", "sqlite") == 0
    python(project, PROGRAM)


def test_a_part_brings_what_it_needs_and_no_more(project: Path) -> None:
    assert vendor(project, "--with", "query") == 0
    extras = project / "pkg" / "_vendor" / "logtracer_extras"
    assert {path.name for path in extras.iterdir()} >= {"query.py", "analysis", "facts.py"}
    assert not (extras / "terminal").exists()


def test_the_terminal_runs_from_within_a_package(project: Path) -> None:
    assert vendor(project, "--with", "terminal") == 0
    run = "import runpy; runpy.run_module('pkg._vendor.logtracer_cli', None, '__main__', True)"
    quiet = f"try:\n    {run}\nexcept SystemExit as end:\n    assert not end.code, end.code"
    python(project, quiet, "demo", "--ascii")
    assert "trip_planner" in python(project, quiet, "list", "--ascii")
    assert "BY NAME" in python(project, quiet, "stats", "--ascii")


def test_an_adapter_is_found_by_name_within_a_package(project: Path) -> None:
    assert vendor(project, "--with", "http") == 0
    python(
        project,
        "from pkg._vendor import logtracer\n"
        "try:\n    logtracer.Tracer(logtracer.TracerConfig(auto_instrument=['http'])).close()\n"
        "except ImportError as error:\n    assert 'the http adapter needs' in str(error), error",
    )


def test_a_fresh_copy_is_the_same(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vendor(project)
    capsys.readouterr()
    assert vendor(project, "--check") == 0
    assert capsys.readouterr().out == "1 file, 0 old or edited\n"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text + "# mine\n", "edited since it was copied"),
        (
            lambda text: text.replace("# logtracer 0.1.0,", "# logtracer 0.0.9,", 1),
            "another version",
        ),
        (lambda text: "", "not copied by logtracer vendor"),
    ],
    ids=["edited", "old", "other"],
)
def test_a_copy_that_is_not_as_it_was_made_is_told(
    change: Callable[[str], str], said: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vendor(project)
    copy = project / "pkg" / "_vendor" / "logtracer.py"
    copy.write_text(change(copy.read_text(encoding="utf-8")), encoding="utf-8")
    capsys.readouterr()
    assert vendor(project, "--check") == 1
    assert said in capsys.readouterr().err


def test_an_edited_file_is_replaced_on_request_only(project: Path) -> None:
    vendor(project)
    copy = project / "pkg" / "_vendor" / "logtracer.py"
    fresh = copy.read_bytes()
    copy.write_bytes(fresh + b"# mine\n")
    assert vendor(project) == 1
    assert copy.read_bytes() == fresh + b"# mine\n"
    assert vendor(project, "--force") == 0
    assert copy.read_bytes() == fresh


def test_outside_a_package_the_imports_stay_as_they_are(tmp_path: Path) -> None:
    assert main(["vendor", str(tmp_path / "lib"), "--with", "tee"]) == 0
    text = (tmp_path / "lib" / "logtracer_extras" / "stores" / "tee.py").read_text("utf-8")
    assert "from logtracer import" in text


def test_an_unknown_part_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vendor(project, "--with", "sqlight") == 2
    assert "unknown part 'sqlight'; available: " in capsys.readouterr().err
    assert not (project / "pkg" / "_vendor").exists()
