"""The viewer's core under node: layout, drawing, analysis, and the query language's vectors."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from logtracer import trace_from_json
from logtracer_extras.analysis import PriceTable, measure
from logtracer_extras.viewer import trace_page
from needs import needs
from viewer.browser import PAGE

HERE = Path(__file__).parents[1]
VECTORS = HERE / "data" / "query_vectors.json"
WRITING = HERE / "data" / "writing_vectors.json"


def blocks_of(page: str) -> dict[str, Any]:
    """Return the data of a small page: its JSON blocks by name."""
    found = re.findall(r'<script type="application/json" id="logtracer-([^"]+)">([^<]*)<', page)
    return {name: json.loads(text) if name in ("head",) else text for name, text in found}


def vector_traces(vectors: dict[str, Any]) -> dict[str, Any]:
    """Return the traces of the vectors as the page carries them, measured as the terminal does."""
    prices = PriceTable(vectors["prices"])
    traces = {}
    for name, document in vectors["traces"].items():
        run = measure(trace_from_json(json.dumps(document)), prices)
        costs = {step.node.id: step.cost for step in run.steps}
        blocks = blocks_of(trace_page(run.trace, edges=run.edges, costs=costs))
        firsts = blocks["head"]["blocks"]
        details = [
            {"first": first, "text": blocks[f"details-{number}"]}
            for number, first in enumerate(firsts)
        ]
        traces[name] = {"head": blocks["head"], "ids": blocks["ids"], "details": details}
    return traces


def test_core_passes_its_tests_under_node(tmp_path: Path) -> None:
    node = needs("node")
    page = PAGE.read_text(encoding="utf-8")
    core = page.partition('<script id="core">')[2].partition("</script>")[0]
    (tmp_path / "core.js").write_text(core, encoding="utf-8")
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))
    vectors["traces"] = vector_traces(vectors)
    (tmp_path / "vectors.json").write_text(json.dumps(vectors), encoding="utf-8")
    places = {
        "VIEWER_CORE": str(tmp_path / "core.js"),
        "VIEWER_VECTORS": str(tmp_path / "vectors.json"),
        "VIEWER_WRITING": str(WRITING),
    }
    result = subprocess.run(
        [node, "--test", str(HERE / "viewer" / "core.test.mjs")],
        env={**os.environ, **places},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
