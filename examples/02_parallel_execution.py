"""An agent searches three places at once and merges what it finds.

Shows that every task has a context of its own: each step finds its parent, however they interleave.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # a checkout needs no installation

from logtracer import EdgeType, Tracer, current_span, trace_node
from logtracer_cli import render_trace

ROUNDS = 3


@trace_node(node_type="tool_call", capture_args=True, capture_return=True)
async def fetch_page(source: str, page: int) -> dict[str, object]:
    """Stand in for a request; gives way to the other tasks in the middle."""
    await asyncio.sleep(0)
    return {"source": source, "hits": page + 1}


@trace_node(node_type="retrieval", capture_args=True)
async def search(source: str) -> int:
    """Fetch a source's pages, one after another."""
    hits = 0
    for page in range(ROUNDS):
        answer = await fetch_page(source, page)
        assert answer["source"] == source
        hits += page + 1
    step = current_span()
    assert step is not None
    step.annotate(f"{source}: {hits} hits")
    return hits


async def main() -> None:
    """Record one run, check it, and print it."""
    tracer = Tracer()
    sources = ["web", "docs", "arxiv"]

    async with tracer.trace("parallel_search") as root:
        found = await asyncio.gather(*(search(source) for source in sources))
        with root.node("merge", node_type="transformation") as merge:
            merge.output(total=sum(found))

    trace = root.trace
    searches = [node for node in trace.nodes.values() if node.name == "search"]
    branched = {edge.target_id for edge in trace.edges if edge.edge_type == EdgeType.BRANCHED_FROM}

    assert [node.input_data["source"] for node in searches] == sources
    assert {node.id for node in searches} == branched
    for node in searches:
        pages = trace.children(node.id)
        assert [page.name for page in pages] == ["fetch_page"] * ROUNDS
        assert {page.input_data["source"] for page in pages} == {node.input_data["source"]}
    assert current_span() is None

    print(render_trace(trace))


if __name__ == "__main__":
    asyncio.run(main())
