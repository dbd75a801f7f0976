"""Turn objects as Node.js prints them into JSON: that is how its console exporter shows spans."""

from __future__ import annotations

import json
import re

__all__ = ["json_of_printed"]

# Every alternative that begins like a text takes all up to the end of the line when there is no
# closing quote, so that a search over hostile text stays linear.
_STRING = r"""(?:'(?:[^'\\\n]|\\.)*'?|"(?:[^"\\\n]|\\.)*"?|`(?:[^`\\\n]|\\.)*`?)"""
_TOKEN = re.compile(
    rf"""(?P<text>{_STRING}(?:[ ]\+\n[ ]*{_STRING})*)(?:\.\.\.[ ]\d+[ ]more[ ]characters?)?"""
    r"""|(?P<nothing>\[(?:Object|Array|Circular[ ]\*\d+|Function[^\]\n]*)\]|\bundefined\b)"""
    r"""|(?P<name>[A-Za-z_$][\w$]*)(?=:[ ])"""
    r"""|(?P<rest>,?\s*\.\.\.[ ]\d+[ ]more[ ]items?|,(?=\s*[}\]])|<ref[ ]\*\d+>)""",
    re.ASCII,
)
_PRINTED_SPAN = re.compile(r"^\{\n  (?:resource|traceId|parentId|instrumentationScope): ", re.M)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}


def json_of_printed(text: str) -> str | None:
    """Return the text with every printed object as JSON, None when it holds no printed span."""
    text = text.replace("\r\n", "\n")
    return _TOKEN.sub(_json_of_token, text) if _PRINTED_SPAN.search(text) else None


def _json_of_token(found: re.Match[str]) -> str:
    if found["text"] is not None:
        parts = re.findall(_STRING, found["text"])  # a long text is printed in several
        return json.dumps("".join(_ESCAPE.sub(_unescaped, part[1:-1]) for part in parts))
    if found["name"] is not None:
        return json.dumps(found["name"])
    return "" if found["nothing"] is None else "null"


def _unescaped(found: re.Match[str]) -> str:
    code = found[1] or found[2]
    return chr(int(code, 16)) if code else _ESCAPED.get(found[3], found[3])
