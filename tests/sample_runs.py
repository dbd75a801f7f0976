"""A good and a bad run of the same agent, and the lines that compare them."""

from __future__ import annotations

from logtracer import EdgeType, Node, NodeStatus, TraceGraph
from sample_traces import Sample, failing, usage


def support(*, is_bad: bool) -> TraceGraph:
    """Return a run that answers; or one that searches twice as often, retries and fails."""
    sample = Sample("support-agent", 12.4 if is_bad else 9.81, "7f3a9c21" if is_bad else "52b0e0aa")
    sample.root.status = NodeStatus.FAILED if is_bad else NodeStatus.COMPLETED
    sample.node("plan", "custom", 0.0, 1.9 if is_bad else 1.88)
    end = 6.2 if is_bad else 5.0
    gather = sample.node("gather", "custom", 1.9, end)
    researcher = sample.node("researcher", "sub_agent", 1.9, end, parent=gather)
    for at in range(4 if is_bad else 2):
        sample.node("web_search", "tool_call", 2 + at, 3 + at, parent=researcher)
    for at in range(11):
        sample.node(f"read_{at}", "tool_call", 6.0, 6.1, parent=gather)
    _answer(sample, is_bad)
    return sample.trace


def _answer(sample: Sample, is_bad: bool) -> None:
    state = {"status": NodeStatus.FAILED} if is_bad else {}
    error = failing(error_type="RateLimit", error="429, retry after 1s")
    output = {"output_data": {"text": "Your order shipped on Monday"}}
    answer = sample.node("answer", "custom", 6.2, 9.8, **state)
    facts = error if is_bad else output
    first = sample.node("chat large-1", "llm_call", 6.2, 8.3, parent=answer, **facts)
    first.metadata = usage("large-1", 1_000, 100)
    if is_bad:
        second = sample.node("chat large-1", "llm_call", 8.3, 9.8, parent=answer)
        third = sample.node("chat small-1", "llm_call", 9.8, 10.9, parent=answer)
        second.metadata, third.metadata = usage("large-1", 1_000, 100), usage("small-1", 700, 0)
        sample.link(first, second, EdgeType.RETRY_OF)
        sample.link(second, third, EdgeType.FALLBACK_OF)
    sample.node("send_email", "tool_call", 11.0, 12.0, parent=answer, **state)


def dollars(node: Node) -> float | None:
    """Price a step: a cent for a thousand tokens read."""
    read = node.metadata.get("gen_ai.usage.input_tokens")
    return None if read is None else read / 100_000


GOLDEN = """\
--- a  52b0e0aa  support-agent  2026-11-22 18:24:23Z  9.81s  20 nodes
+++ b  7f3a9c21  support-agent  2026-11-22 18:24:23Z  12.40s  24 nodes
first difference: gather / sub_agent researcher / tool_call web_search: added
@@ support-agent @@  time +2.59s (+26%)  cost +$0.0170  completed → failed
  plan                                                 1.88s → 1.90s
  gather / sub_agent researcher                        3.10s → 4.30s
  ⋯ 2 unchanged nodes
~    tool_call web_search                              x2 → x4
  ⋯ 11 unchanged nodes
~ answer                                               completed → failed
~    llm_call chat large-1 #1                          completed → failed
-       output.text: "Your order shipped on Monday"
+       error: RateLimit: 429, retry after 1s
+    llm_call chat large-1 #2 (retry)                  1.50s
+    llm_call chat small-1 (fallback)                  1.10s
~    tool_call send_email                              completed → failed

4 changed · 4 added · 0 removed · 16 same   (--brief, --stat, --json, --html)"""
GOLDEN_ASCII = """\
--- a  52b0e0aa  support-agent  2026-11-22 18:24:23Z  9.81s  20 nodes
+++ b  7f3a9c21  support-agent  2026-11-22 18:24:23Z  12.40s  24 nodes
first difference: gather / sub_agent researcher / tool_call web_search: added
@@ support-agent @@  time +2.59s (+26%)  cost +$0.0170  completed -> failed
  plan                                                 1.88s -> 1.90s
  gather / sub_agent researcher                        3.10s -> 4.30s
  ... 2 unchanged nodes
~    tool_call web_search                              x2 -> x4
  ... 11 unchanged nodes
~ answer                                               completed -> failed
~    llm_call chat large-1 #1                          completed -> failed
-       output.text: "Your order shipped on Monday"
+       error: RateLimit: 429, retry after 1s
+    llm_call chat large-1 #2 (retry)                  1.50s
+    llm_call chat small-1 (fallback)                  1.10s
~    tool_call send_email                              completed -> failed

4 changed | 4 added | 0 removed | 16 same   (--brief, --stat, --json, --html)"""
