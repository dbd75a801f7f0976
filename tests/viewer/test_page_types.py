"""The page's scripts pass the type checker of TypeScript, strictly."""

from __future__ import annotations

import json
import re
import subprocess

from needs import needs
from viewer.browser import PAGE

SOURCE = PAGE.parent / "source"


def test_scripts_of_the_page_pass_the_type_checker() -> None:
    command = [needs("tsc"), "--project", str(SOURCE), "--pretty", "false"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (result.returncode, result.stdout) == (0, "")


def test_type_checker_is_strict_and_nothing_is_kept_from_it() -> None:
    options = json.loads((SOURCE / "tsconfig.json").read_text(encoding="utf-8"))["compilerOptions"]
    assert options["strict"] is True
    assert options["checkJs"] is True
    for script in SOURCE.glob("**/*.[jt]s"):
        text = script.read_text(encoding="utf-8")
        assert not re.search(r"@ts-|@\w+ \{[^}\n]*\bany\b|: any;", text), script.name
