"""docs/terminal.md tells what the terminal does: its marks, its JSON, its commands' help."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from logtracer import NodeStatus, save_trace_json
from logtracer_cli import Pen, main
from sample_traces import support_agent

PAGE = (Path(__file__).parents[2] / "docs" / "terminal.md").read_text(encoding="utf-8")
COMMANDS = ["inspect", "list", "search", "stats"]


@pytest.mark.parametrize("command", COMMANDS)
def test_documented_keys_are_those_of_the_json(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_trace_json(support_agent(), tmp_path / "run.json")
    arguments = {"inspect": ["latest"], "search": ["status:failed"]}.get(command, [])
    assert main([command, *arguments, "--json", "--store", str(tmp_path)]) == 0
    document = json.loads(capsys.readouterr().out)
    keys = document[0] if isinstance(document, list) else document
    paragraph = PAGE.partition(f"- `{command} --json`")[2].partition("\n- ")[0]
    assert set(keys) <= set(re.findall(r"`(\w+)`", paragraph))


@pytest.mark.parametrize("status", list(NodeStatus))
def test_every_mark_is_documented(status: NodeStatus) -> None:
    for style in (Pen(), Pen(unicode=False)):
        assert style.glyph(status).replace("|", "\\|") in PAGE


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    commands = re.findall(r"^    (\w+)  +\S", capsys.readouterr().out, re.MULTILINE)
    assert {"inspect", "list", "watch", "stats", "search", "demo"} <= set(commands)
    for command in commands:
        assert main([command, "--help"]) == 0
        assert "--store" in capsys.readouterr().out
