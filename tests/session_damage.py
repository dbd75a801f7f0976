"""Ways to damage the files of sessions, so that reading them can be tried on anything."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from session_files import SESSIONS

SAMPLES = (
    *sorted((SESSIONS / "claude_code").glob("*.json*")),
    *sorted((SESSIONS / "codex").glob("*.jsonl")),
    *sorted((SESSIONS / "gemini_cli").glob("*.json*")),
    SESSIONS / "opencode" / "export.json",
    SESSIONS / "pi" / "session.jsonl",
    SESSIONS / "cline" / "session.messages.json",
)
# What the readers of Goose and of Cursor are given of a database.
DOCUMENTS = (
    {
        "type": "logtracer/goose-session",
        "session": {"id": "s", "name": "look", "model_config_json": '{"model_name": "m"}'},
        "messages": [
            {"role": "user", "content_json": '[{"type": "text", "text": "go"}]'},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm"},
                    {"type": "toolRequest", "id": "t", "toolCall": {"value": {"name": "shell"}}},
                ],
                "created_timestamp": 2,
            },
            {
                "role": "user",
                "content": [{"type": "toolResponse", "id": "t", "toolResult": {"value": []}}],
            },
        ],
        "usage": [{"id": 1, "created_timestamp": 3, "input_tokens": 5, "output_tokens": 1}],
    },
    {
        "type": "logtracer/cursor-composer",
        "id": "c",
        "composer": {
            "name": "title",
            "fullConversationHeadersOnly": [{"bubbleId": "a"}, {"bubbleId": "b"}],
            "subComposerIds": ["d"],
            "usageData": {"m": {"costInCents": 25}},
        },
        "bubbles": {
            "a": {"type": 1, "text": "go", "createdAt": 1767225600000},
            "b": {
                "type": 2,
                "toolFormerData": {"name": "run", "rawArgs": "{}", "result": '{"exitCode": 2}'},
                "tokenCount": {"inputTokens": 50, "outputTokens": 5},
            },
        },
    },
)
_ODD: tuple[Any, ...] = (None, True, -1, 0, 1e308, 10**30, "", "x", "\ud800", [], {}, [[]], {"": 0})


def damaged(text: str, chance: random.Random) -> str:
    """Return the text with up to three changes, of its characters, its lines or its values."""
    for _ in range(chance.randint(1, 3)):
        text = chance.choice(_CHANGES)(text, chance)
    return text


def sample(path: Path, chance: random.Random) -> str:
    """Return a sample, of a long one a stretch of lines."""
    lines = path.read_text(encoding="utf-8").splitlines()
    if path.suffix != ".jsonl":
        return "\n".join(lines)
    start = chance.choice((0, 0, chance.randrange(len(lines))))
    return "\n".join(lines[start : start + 25])


def _characters(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text) + 1)
    end = min(len(text), at + chance.choice((0, 1, 5, 400)))
    return text[:at] + chance.choice(("", "{", '"', "]", "\n", "\x00", "9" * 5)) + text[end:]


def _lines(text: str, chance: random.Random) -> str:
    lines = text.split("\n")
    line = chance.choice(lines)
    change = chance.randrange(3)
    if change == 0:
        lines.remove(line)
    elif change == 1:
        lines.insert(chance.randrange(len(lines) + 1), line)
    else:
        chance.shuffle(lines)
    return "\n".join(lines)


def _values(text: str, chance: random.Random) -> str:
    """Put an odd value somewhere into a line that is JSON."""
    lines = text.split("\n")
    at = chance.randrange(len(lines))
    try:
        document = json.loads(lines[at])
    except ValueError:
        return text
    place: Any = document
    while isinstance(place, (dict, list)) and place:
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key = chance.choice(keys)
        below = place[key]
        if not isinstance(below, (dict, list)) or not below or chance.random() < 0.3:
            place[key] = chance.choice(_ODD)
            break
        place = below
    lines[at] = json.dumps(document)
    return "\n".join(lines)


_CHANGES: tuple[Callable[[str, random.Random], str], ...] = (_characters, _lines, _values, _values)
