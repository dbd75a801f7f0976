"""What the viewer's page costs: to build, to carry, to open, to move through and to search.

    python benchmarks/viewer.py [--nodes 100000] [--rounds 5] [--speedscope DIR] [--million]
                                [--live SECONDS]

Needs playwright and a Chromium on the PATH. Every load is a fresh browser profile; the median of
the rounds counts, and the best stands beside it: other work on the machine only adds. With
`--speedscope` (the `dist/release` folder of the npm package) the same trace is opened in
speedscope in turn with the page, so that the two can be compared. With `--million` a page of a
million nodes is opened, which takes minutes to make. With `--live` a thousand records a second are
written to a journal and followed in the browser.
"""

from __future__ import annotations

import argparse
import base64
import json
import platform
import statistics
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from logtracer import TraceGraph  # noqa: E402
from logtracer_extras.formats import to_speedscope  # noqa: E402
from logtracer_extras.viewer import LiveServer, trace_page, write_page  # noqa: E402
from viewer.browser import chromium, visit  # noqa: E402
from viewer.traces import chain, fan, reference_trace  # noqa: E402

# The same eye for both pages: it looks every 4 ms, and lets the frame be painted first.
EYE = """
const looking = setInterval(() => {
  if (!(%s)) return;
  clearInterval(looking);
  requestAnimationFrame(() => setTimeout(() => { window.seenAfter = performance.now(); }));
}, 4);
"""
OUR_PAGE = "document.documentElement.dataset.painted"
SPEEDSCOPE = "document.querySelector('canvas') && /reference|deep|wide/.test(document.title)"

MOVES = """async () => {
  const app = logtracerApp, frames = [];
  const frame = () => new Promise((next) => requestAnimationFrame(next));
  const whole = app.span.to - app.span.from;
  app.timeline.drawTimes = [];
  let last = await frame();
  const step = async (act) => {
    act();
    const now = await frame();
    frames.push(now - last);
    last = now;
  };
  for (let at = 0; at < 60; at++) await step(() => app.zoom(0.9, app.span.from + whole / 3));
  for (let at = 0; at < 60; at++) await step(() => app.panPart(0.05));
  for (let at = 0; at < 60; at++) await step(() => app.zoom(1 / 0.9));
  for (let at = 0; at < 60; at++) {
    await step(() => {
      app.timeline.scroll += at < 30 ? 20 : -20;
      document.getElementById('tree').scrollTop += 2400;
      app.drawSoon();
    });
  }
  const p95 = (values) => values.sort((a, b) => a - b)[Math.floor(values.length * 0.95)];
  return { draw: p95(app.timeline.drawTimes), frame: p95(frames) };
}"""
SEARCH = """async (query) => {
  const { search } = logtracerApp;
  search.input.value = query;
  await search.run();
  return [search.tookColumns, search.took, logtracerApp.matchList.length];
}"""
SELECT = """async () => {
  const took = [], app = logtracerApp;
  for (let at = 1; at <= 20; at++) {
    const began = performance.now();
    app.select(Math.floor(app.model.count * at / 21));
    await app.detail.refresh();
    took.push(performance.now() - began);
  }
  return took.sort((a, b) => a - b);
}"""


def say(what: str, value: float, unit: str, note: str = "") -> None:
    """Print one number."""
    print(f"{what:44} {value:10.2f} {unit:4} {note}", flush=True)


def say_times(what: str, seconds: Sequence[float]) -> None:
    """Print the middle one of several times, and the best."""
    say(what, statistics.median(seconds), "s", f"best of {len(seconds)}: {min(seconds):.2f}")


def built(trace: TraceGraph, folder: Path, name: str) -> str:
    """Write the page of a trace and return its address."""
    return Path(write_page(trace_page(trace), folder / f"{name}.html", force=True)).as_uri()


def seconds_to_paint(browser: Any, address: str, sign: str) -> float:
    """Open an address in a fresh profile; return when it was seen to have drawn."""
    with visit(browser) as visitor:
        visitor.page.add_init_script(EYE % sign)
        visitor.page.goto(address)
        seen: float = visitor.until("() => window.seenAfter", tries=4_000)
        return seen / 1_000


def measure_building(trace: TraceGraph) -> None:
    """Time and memory of making the page, and its size."""
    took = []
    for _ in range(3):
        began = time.process_time()
        page = trace_page(trace)
        took.append(time.process_time() - began)
    say("build", min(took), "s", "CPU, best of 3")
    say("page", len(page.encode("utf-8", "replace")) / 1e6, "MB")
    say("empty page", len(trace_page(TraceGraph()).encode()) / 1e3, "kB")
    tracemalloc.start()
    trace_page(trace)
    say("build, memory at most", tracemalloc.get_traced_memory()[1] / 1e6, "MB")
    tracemalloc.stop()


def measure_moving(browser: Any, address: str) -> None:
    """Drawing, searching and selecting in an open page."""
    with visit(browser) as visitor:
        visitor.open(address)
        moves = [visitor.ask(MOVES) for _ in range(3)]
        for what, key in (("draw", "draw"), ("frame gap", "frame")):
            times = sorted(move[key] for move in moves)
            say(f"{what}, p95", times[1], "ms", f"best of 3: {times[0]:.1f}")
        for query in ("type:tool_call dur>1s", "status:failed", "429", "papers", "no-such-word"):
            columns, whole, found = visitor.ask(SEARCH, query)
            say(f"search {query!r}", whole, "ms", f"columns {columns:.0f} ms, {found:,} found")
        visitor.ask(SEARCH, "")
        took = visitor.ask(SELECT)
        say("select and show the detail, p95", took[18], "ms", f"median {took[10]:.0f} ms")
        visitor.press("]")
        say(
            "elements in the document",
            visitor.ask("() => document.querySelectorAll('*').length"),
            "",
        )
        say("requests", len(visitor.requests), "", "the page itself")


def measure_speedscope(
    browser: Any, trace: TraceGraph, address: str, release: Path, rounds: int
) -> None:
    """Open the same trace in both, in turn."""
    data = base64.b64encode(to_speedscope(trace).encode()).decode()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "profile.js"
        script.write_text(f"speedscope.loadFileFromBase64('reference.json', '{data}')")
        theirs = f"{(release / 'index.html').as_uri()}#localProfilePath={script}"
        pairs = [
            (
                seconds_to_paint(browser, address, OUR_PAGE),
                seconds_to_paint(browser, theirs, SPEEDSCOPE),
            )
            for _ in range(rounds)
        ]
    ours, others = zip(*pairs)
    say_times("painted, in turn with speedscope", ours)
    say_times("painted by speedscope", others)
    say("ratio", statistics.median(ours) / statistics.median(others), "")


def measure_painting(browser: Any, trace: TraceGraph, folder: Path, rounds: int) -> None:
    """Open the page of a trace again and again."""
    address = built(trace, folder, "painted")
    times = [seconds_to_paint(browser, address, OUR_PAGE) for _ in range(rounds)]
    say_times(f"painted, {trace.name}, {len(trace.nodes):,} nodes", times)


def records(seconds: int) -> Iterator[bytes]:
    """Yield a thousand records for each second, as a journal has them."""
    for number in range(seconds * 1_000):
        minute, second = number // 60_000, number // 1_000 % 60
        stamp = f"2026-11-22T18:{minute:02d}:{second:02d}.{number % 1000:03d}000+00:00"
        node = {"id": f"{number:016x}", "name": f"step {number % 40}", "node_type": "tool_call"}
        node |= {"status": "completed", "start_time": stamp, "end_time": stamp}
        yield json.dumps({"event": "node.completed", "node": node}).encode() + b"\n"


@contextmanager
def serving(journal: Path) -> Iterator[LiveServer]:
    """Serve a journal in a thread."""
    with LiveServer(journal) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


LATENCY = """() => {
  const { live } = logtracerApp, take = live.take.bind(live);
  window.arrivals = [];
  live.take = (batch) => {
    take(batch);
    window.arrivals.push([Date.now(), live.builder.model.count]);
  };
}"""


def measure_live(browser: Any, seconds: int, folder: Path) -> None:
    """Write a thousand records a second: how late does the page have them, and does it all?"""
    journal = folder / "live.jsonl"
    journal.write_bytes(
        b'{"event":"trace.started","schema_version":"0.1.0","trace_id":"t","name":"x"}\n'
    )
    written: list[float] = []
    with serving(journal) as server, visit(browser) as visitor, open(journal, "ab", 0) as file:
        visitor.page.goto(server.url)
        visitor.until("() => window.logtracerApp && logtracerApp.live")
        visitor.ask(LATENCY)
        writer = threading.Thread(target=_write, args=(file, seconds, written))
        writer.start()
        while writer.is_alive():
            visitor.page.wait_for_timeout(500)
        for _ in range(100):
            if visitor.ask("() => logtracerApp.live.builder.model.count") == len(written):
                break
            visitor.page.wait_for_timeout(50)
        arrivals = visitor.ask("() => window.arrivals")
    have = arrivals[-1][1] if arrivals else 0
    late, first = [], 0
    for moment, count in arrivals:
        late += [moment - written[number] * 1_000 for number in range(first, count)]
        first = max(first, count)
    say("live: records written", len(written), "", f"{have} of them arrived")
    say(
        "live: delay p99",
        sorted(late)[int(len(late) * 0.99)],
        "ms",
        f"median {statistics.median(late):.0f} ms",
    )


def _write(file: Any, seconds: int, written: list[float]) -> None:
    began = time.monotonic()
    for number, record in enumerate(records(seconds)):
        ahead = began + number / 1_000 - time.monotonic()
        if ahead > 0.004:
            time.sleep(ahead)
        file.write(record)
        written.append(time.time())


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--speedscope", type=Path, metavar="DIR")
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--live", type=int, default=0, metavar="SECONDS")
    options = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}, {options.nodes:,} nodes")
    trace = reference_trace(options.nodes)
    measure_building(trace)
    with chromium() as browser, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        address = built(trace, folder, "reference")
        if options.speedscope:
            measure_speedscope(browser, trace, address, options.speedscope, options.rounds)
        measure_moving(browser, address)
        for shape in (chain, fan):
            measure_painting(browser, shape(options.nodes), folder, options.rounds)
        for count in (10_000, options.nodes, *([1_000_000] if options.million else [])):
            measure_painting(browser, reference_trace(count), folder, options.rounds)
        if options.live:
            measure_live(browser, options.live, folder)


if __name__ == "__main__":
    main()
