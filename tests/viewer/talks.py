"""Runs that talk with a model: tools, a picture, an agent within an agent, errors, markdown."""

from __future__ import annotations

import json
from typing import Any

from logtracer import Node, TraceGraph
from viewer.traces import ATTACKS, FLAG, TraceMaker, fail

PIXEL = (  # a red square of 16 by 16
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAFklEQVR4nGP8z0AaYCJR/aiGUQ1DSAMAQC4BH2bjRnMA"
    "AAAASUVORK5CYII="
)
SYSTEM = {"role": "system", "content": "You are the order agent. " * 40}
QUESTION = {"role": "user", "content": "Is the **blue chair** in stock?"}
ANSWER = """# Not in stock

It is *not* in `lyon`:

| sku | stock |
|---|---:|
| RED | 4 |

- wait
  - or order

```python
print("one  two")
```

See [the shop](https://shop.example/chair).
"""


def call(call_id: str, name: str, **given: Any) -> dict[str, Any]:
    """Return a call of a tool, as OpenAI's API writes it."""
    function = {"name": name, "arguments": json.dumps(given)}
    return {"id": call_id, "type": "function", "function": function}


class TalkMaker(TraceMaker):
    """Builds a trace of model calls, each of which is told all that was said before."""

    def __init__(self, name: str = "order_agent") -> None:
        super().__init__(name)
        self.clock = 0.0

    def step(self, name: str, kind: str, parent: Node | None = None, **facts: Any) -> Node:
        """Add a node behind the one before."""
        self.clock += 1e6
        node = self.node(name, kind, parent or self.root, self.clock, self.clock + 9e5, **facts)
        self.end(self.root, self.clock + 9e5)
        return node

    def ask(self, messages: list[Any], answer: Any = None, parent: Node | None = None) -> Node:
        """Add a model call."""
        facts: dict[str, Any] = {"input_data": {"messages": list(messages)}}
        facts["metadata"] = {
            "gen_ai.request.model": "large-1",
            "gen_ai.usage.input_tokens": 1_234,
            "gen_ai.usage.output_tokens": 56,
        }
        if answer is not None:
            facts["output_data"] = {"message": answer}
        return self.step("chat", "llm_call", parent, **facts)


def talk_trace() -> TraceGraph:
    """Return a run of an agent that looks something up, answers, and asks another agent."""
    maker = TalkMaker()
    said: list[Any] = [SYSTEM, QUESTION]
    look = {
        "role": "assistant",
        "content": None,
        "reasoning": "The user wants the stock.",
        "tool_calls": [call("c1", "check_stock", sku="BLU-CHAIR "), call("c2", "find_image")],
    }
    maker.ask(said, look)
    maker.step("check_stock", "tool_call", metadata={"gen_ai.tool.call.id": "c1"})
    maker.step("find_image", "tool_call")
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    outside = {"type": "image_url", "image_url": {"url": "https://shop.example/x.png"}}
    said += [
        look,
        {"role": "tool", "tool_call_id": "c1", "content": '{"stock": 0}'},
        {"role": "tool", "tool_call_id": "c2", "content": "found"},
        {"role": "user", "content": [{"type": "text", "text": "Like this:"}, picture, outside]},
    ]
    maker.ask(said, {"role": "assistant", "content": ANSWER})
    agent = maker.step("researcher", "sub_agent")
    own = [{"role": "user", "content": "find a red chair"}]
    fail(maker.ask(own, parent=agent), "RateLimit", "429, retry after 1s")
    maker.ask(own, {"role": "assistant", "content": '{"found": [1, 2]}'}, parent=agent)
    return maker.trace


def hostile_talk() -> TraceGraph:
    """Return a run in which every message, tool and picture is an attack."""
    maker = TalkMaker(ATTACKS[1])
    for attack in ATTACKS:
        urls = (attack, f"javascript:{FLAG}", f"data:text/html,<script>{FLAG}</script>")
        links = "".join(f"[x]({url}) ![y]({url}) <{url}>\n" for url in urls)
        svg = f"data:image/svg+xml,<svg onload='{FLAG}' xmlns='http://www.w3.org/2000/svg'/>"
        parts: list[Any] = [{"type": "text", "text": f"# {attack}\n\n| {attack} |\n|-|\n{links}"}]
        parts += [{"type": "image_url", "image_url": {"url": url}} for url in (*urls, svg)]
        parts.append(
            {"type": "blob", "mime_type": f"image/png' onerror='{FLAG}", "content": "AA=="}
        )
        user = {"role": attack, "name": attack, "content": parts, attack: attack}
        answer = {
            "role": "assistant",
            "content": f"```{attack}\n{attack}\n```\n**{attack}**",
            "reasoning": attack,
            "tool_calls": [{"id": attack, "function": {"name": attack, "arguments": attack}}],
        }
        fail(maker.ask([{"role": "system", "content": attack}, user], answer), attack, attack)
        maker.step(attack, "tool_call", output_data={attack: attack})
    return maker.trace
