"""What the README says happens: its snippets run, its commands run, its tree comes out."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from logtracer import EdgeType, load_trace
from logtracer_cli import main, render_trace

README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

# What is not run here: the test command runs this very test, and installing is tested elsewhere.
RUN_ELSEWHERE = {
    "python3 noxfile.py",
    "python3 -m pip install .",
    "python3 -m pip install '.[rich]'",
    "logtracer replay latest -- python3 agent.py",  # tested with the real SDKs
    "logtracer reconcile session.jsonl",  # a coding agent wrote it; tested with real ones
}

EXIT_CODES = {"logtracer diff latest~1 latest": 1}  # they differ

# The snippets of the first published README, as people copied them into their programs.
PUBLISHED = [
    """
from logtracer.core import Tracer, TracerConfig
from logtracer.storage import FileStore

tracer = Tracer(config=TracerConfig(), storage=FileStore("./traces"))

with tracer.trace("weather_agent") as root:
    with root.node("classify_intent", node_type="llm_call") as step:
        step.input(query="What's the weather in Paris?")
        step.output(intent="weather_lookup", confidence=0.95)
        step.annotate("High confidence — routing to weather tool")
    with root.node("weather_api", node_type="tool_call") as tool:
        tool.input(location="Paris")
        tool.output(temperature_c=18, condition="partly cloudy")
""",
    """
import logtracer
logtracer.configure(storage="file://./traces")
with logtracer.trace("quick_run") as root:
    with root.node("step", node_type="tool_call") as step:
        step.input(location="Paris")
        step.output(temp=18)
""",
    """
from logtracer import trace
from logtracer.core import trace_node

@trace_node(node_type="tool_call")
def fetch_weather(location: str) -> dict:
    return {"temp": 18}

with trace("run") as root:
    fetch_weather("Paris")  # automatically traced as a child node
""",
    """
import asyncio
from logtracer import Tracer, trace_node

tracer = Tracer()

@trace_node(node_type="tool_call")
async def search(source):
    return source

async def main():
    async with tracer.trace("parallel_search") as root:
        results = await asyncio.gather(search("web"), search("docs"), search("arxiv"))
    assert results == ["web", "docs", "arxiv"] and len(root.trace.nodes) == 4

asyncio.run(main())
""",
]


def fenced(text: str, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def snippet_of(name: str) -> str:
    """Return the snippet of the README in which a name stands."""
    return next(snippet for snippet in fenced(README, "python") if name in snippet)


def commands(text: str) -> list[list[str]]:
    """Return the commands of the shell blocks, without their comments."""
    lines = "".join(fenced(text, "sh")).splitlines()
    return [shlex.split(line, comments=True) for line in lines]


def run(directory: Path, *command: str, code: int = 0) -> str:
    """Run a command that must end with an exit code; returns what it says on stderr."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    done = subprocess.run(
        command,
        cwd=directory,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    return done.stderr


def run_snippet(directory: Path, snippet: str) -> None:
    (directory / "snippet.py").write_text(snippet, encoding="utf-8")
    assert run(directory, sys.executable, "-W", "error", "snippet.py") == ""


def without_times(tree: str) -> str:
    return re.sub(r"\(\d+ms\)", "(0ms)", tree).strip()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project's files, with the demo and a trace called abc123 in its store."""
    directory = tmp_path_factory.mktemp("checkout")
    for path in [*ROOT.glob("*.py"), ROOT / "README.md"]:
        shutil.copy(path, directory)
    for name in ("logtracer_extras", "examples"):
        shutil.copytree(ROOT / name, directory / name)
    run_snippet(directory, PUBLISHED[0])
    (trace,) = directory.glob("traces/*.json")
    shutil.copy(trace, trace.with_name("abc123.json"))
    run(directory, sys.executable, "logtracer_cli.py", "demo")
    return directory


@pytest.mark.parametrize("snippet", fenced(README, "python"), ids=lambda text: text.split("\n")[0])
def test_snippet_runs_from_an_empty_directory(snippet: str, tmp_path: Path) -> None:
    run_snippet(tmp_path, snippet)


@pytest.mark.parametrize("snippet", PUBLISHED, ids=["core", "configure", "decorator", "async"])
def test_published_snippet_still_runs(snippet: str, tmp_path: Path) -> None:
    run_snippet(tmp_path, snippet)


@pytest.mark.parametrize("snippet", [snippet_of("weather_agent"), PUBLISHED[0]])
def test_the_printed_tree_comes_out(snippet: str, tmp_path: Path) -> None:
    run_snippet(tmp_path, snippet)
    (path,) = tmp_path.glob("traces/*.json")
    assert without_times(render_trace(load_trace(path))) == fenced(README, "text")[0].strip()


@pytest.mark.parametrize(
    "command",
    [command for command in commands(README) if shlex.join(command) not in RUN_ELSEWHERE],
    ids=shlex.join,
)
def test_command_runs(command: list[str], checkout: Path) -> None:
    code = EXIT_CODES.get(shlex.join(command), 0)
    if command[0] == "logtracer":
        command = [sys.executable, "logtracer_cli.py", *command[1:]]
    elif command[0] == "python3":
        command = [sys.executable, *command[1:]]
    run(checkout, *command, code=code)


def test_every_command_of_the_terminal_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    names = re.findall(r"^    (\w+)  ", capsys.readouterr().out, re.MULTILINE)
    shown = {command[1] for command in commands(README) if command[0] == "logtracer"}
    assert shown >= set(names)
    assert names


def test_every_edge_type_is_explained() -> None:
    assert all(f"| `{edge_type}` |" in README for edge_type in EdgeType)


def test_every_example_is_shown() -> None:
    for example in ROOT.glob("examples/[0-9]*.py"):
        assert ["python3", f"examples/{example.name}"] in commands(README)


def test_every_optional_part_that_is_named_is_there() -> None:
    rows = re.findall(r"^\| (`[a-z_]+(?:\.py|/)`.*?) \|", README, re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert len(names) > 5
    assert [name for name in names if not (ROOT / "logtracer_extras" / name).exists()] == []


def test_every_adapter_is_named() -> None:
    adapters = (ROOT / "logtracer_extras" / "adapters").glob("[a-z]*.py")
    assert [path.stem for path in adapters if f"`{path.stem}`" not in README] == []


def test_every_page_that_is_linked_is_there() -> None:
    pages = re.findall(r"\]\(([\w./-]+)\)", README)
    assert "docs/terminal.md" in pages
    assert [page for page in pages if not (ROOT / page).exists()] == []


def test_every_session_is_listed_for_contributors() -> None:
    source = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    sessions = re.findall(r"@nox\.session.*\ndef (\w+)", source)
    suites = re.findall(r'^    "(\w+)": Suite', source, re.MULTILINE)
    assert len(sessions) > 1
    assert len(suites) > 1
    for name in (*sessions, *suites):
        assert re.search(rf"^\|.*`{name}[-`].*\|", CONTRIBUTING, re.MULTILINE), name
