"""Write docs/api.md from the docstrings of logtracer: `python docs/build_api.py [--check]`."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "api.md"
sys.path.insert(0, str(ROOT))

import logtracer  # noqa: E402

# What stands together, in the order in which a newcomer meets it.
SECTIONS = {
    "Recording": "configure trace Tracer TracerConfig TraceContext Span trace_node TracerHook",
    "Context": "current_span get_current_node get_current_trace propagate_context clear_context",
    "What is recorded": "TraceGraph Node Edge NodeStatus NodeType EdgeType",
    "Stores": "open_store MemoryStore FileStore StorageBackend StreamingBackend",
    "Files": "load_trace load_trace_json save_trace_json trace_to_json trace_from_json"
    " trace_from_journal merge_traces SCHEMA_VERSION EXCEPTION_STATUSES find_secrets",
    "Errors": "LogtracerError TraceLoadError StoreError",
}


def build() -> str:
    """Return the page."""
    lines = ["# API", "", "Written from the docstrings by `python docs/build_api.py`.", ""]
    for title, names in SECTIONS.items():
        lines += [f"## {title}", ""]
        for name in names.split():
            lines += _entry(name, getattr(logtracer, name))
    return "\n".join(lines).rstrip() + "\n"


def _entry(name: str, value: object) -> Iterator[str]:
    yield f"### `{name}`"
    yield ""
    if inspect.isclass(value):
        yield from _text(value)
        yield from _members(name, value)
    elif callable(value):
        yield from _code(f"{name}{_signature(value)}")
        yield from _text(value)
    else:
        yield from (f"`{value!r}`", "")


def _members(name: str, kind: type) -> Iterator[str]:
    if issubclass(kind, Exception):
        return
    if issubclass(kind, str):
        words = cast("Iterable[object]", kind)
        yield from (", ".join(f"`{word}`" for word in words), "")
        return
    for member, value in vars(kind).items():
        if member.startswith("_"):
            continue
        if isinstance(value, (classmethod, staticmethod)):
            value = value.__func__
        if isinstance(value, property):
            yield from (f"- **`.{member}`** {_first(value)}", "")
        elif inspect.isfunction(value):
            yield from _code(f"{name}.{member}{_signature(value)}")
            yield from _text(value)


def _signature(value: object) -> str:
    text = str(inspect.signature(value)) if callable(value) else ""
    text = re.sub(r"\(self(, )?", "(", text)
    return re.sub(r"'([^']*)'", r"\1", text) if "->" in text else text


def _code(text: str) -> Iterator[str]:
    yield from ("```text", text, "```", "")


def _text(value: object) -> Iterator[str]:
    document = inspect.getdoc(value) or ""
    example = re.search(r"^>>> .*", document, re.MULTILINE | re.DOTALL)
    text = document[: example.start()] if example else document
    yield from (text.strip(), "")
    if example:
        yield from ("```pycon", example[0].strip(), "```", "")


def _first(value: object) -> str:
    return " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())


def main(arguments: list[str]) -> int:
    """Write the page, or tell with exit code 1 that it is not what the docstrings say."""
    if "--check" in arguments:
        return int(PAGE.read_text(encoding="utf-8") != build())
    PAGE.write_text(build(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
