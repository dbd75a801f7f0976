"""The terminal of logtracer: `logtracer COMMAND ...`, also `python -m logtracer_cli COMMAND ...`.

As a library: `main(argv)` runs a command and returns its exit code, `render_trace(trace)` returns
the tree as text. Lines are formatted here; rich, when it is installed, lends its colours. The
sections, in order: text, style, screen, finding traces, facts, the tree, the commands one by one,
the dispatcher. A command is a function that adds its parser and a function that runs it.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import importlib
import itertools
import json
import os
import re
import shlex
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO, cast

from logtracer import (
    Edge,
    LogtracerError,
    Node,
    NodeStatus,
    StorageBackend,
    TraceGraph,
    TraceLoadError,
    Tracer,
    __version__,
    load_trace,
    load_trace_json,
    open_store,
    trace_from_journal,
    trace_from_json,
)

__all__ = [
    "CommandError",
    "Line",
    "Screen",
    "Stored",
    "Style",
    "UsageError",
    "cell_width",
    "clip",
    "find_file",
    "find_trace",
    "main",
    "opened_store",
    "printable",
    "render_trace",
    "stored_traces",
    "value_text",
]

if TYPE_CHECKING:
    import subprocess

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

Line = list[tuple[str, str]]  # pieces of text, each with the role that colours it ("" for none)


class CommandError(LogtracerError):
    """What a command says when it cannot do its work: one line on stderr, and its exit code."""

    def __init__(self, subject: str, reason: str, code: int = 1) -> None:
        super().__init__(f"{subject}: {reason}")
        self.code = code


class UsageError(CommandError):
    """The command was called in a way that makes no sense: exit code 2."""

    def __init__(self, command: str, reason: str) -> None:
        super().__init__(command, reason, code=2)


# ---- Text: what a trace holds, made safe and made to fit ---------------------------------------


def printable(text: str) -> str:
    """Return the text with every character that draws nothing itself spelled out, as `\\x1b`.

    Controls, escapes, line breaks, bidirectional marks, zero-width characters, lone surrogates:
    none of them may steer a terminal or hide from the eye.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _spelled(char) for char in text)


def _spelled(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def cell_width(text: str) -> int:
    """Return how many terminal columns a printable text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_cells, text))


@functools.lru_cache(maxsize=4096)  # a text uses few characters, many times each
def _cells(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def clip(text: str, width: int, mark: str = "…") -> str:
    """Return the text as printed, cut to `width` columns with a mark where something is missing."""
    text = printable(text[: 8 * width + 8])
    if cell_width(text) <= width:
        return text
    return text[: _fitting(text, width - cell_width(mark))] + mark


def _fitting(text: str, width: int) -> int:
    """Return how many characters of a printable text fit into so many columns."""
    if text.isascii():  # most is, and needs no counting
        return max(width, 0)
    return sum(1 for columns in itertools.accumulate(map(_cells, text)) if columns <= width)


def _words(text: str, width: int) -> Iterator[str]:
    """Yield the words of a text, each with the spaces before it, cut where they are too wide."""
    for word in re.findall(" *[^ ]+| +", text):
        while cell_width(word) > width:
            end = max(1, _fitting(word, width))
            yield word[:end]
            word = word[end:]
        yield word


def value_text(value: Any, limit: int) -> str:
    """Return at least the first `limit` characters of repr(value), whatever its depth or size."""
    if _is_small(value, limit):  # most are, and the long way takes five times as long
        return repr(value)
    parts: list[str] = []
    room = limit + 1
    waiting = [(False, value)]  # and whether it is text already
    while waiting and room > 0:
        is_text, item = waiting.pop()
        if not is_text and isinstance(item, (dict, list)):
            waiting.extend(reversed(_opened(item, room)))
            continue
        text = item if is_text else _repr(item, room)
        room -= len(text)
        parts.append(text)
    return "".join(parts)


_ATOMS = frozenset({int, float, bool, type(None)})


def _is_small(value: Any, limit: int) -> bool:
    if type(value) is not dict or len(value) > 8:
        return False
    items = (*value, *value.values())
    return all(type(item) in _ATOMS or type(item) is str and len(item) < limit for item in items)


def _opened(item: dict[Any, Any] | list[Any], room: int) -> list[tuple[bool, Any]]:
    """Return the pieces of a container, no more of them than there is room for."""
    pieces: list[tuple[bool, Any]] = []
    between = ""
    if isinstance(item, dict):
        for key, value in itertools.islice(item.items(), room):
            pieces += [(True, f"{between}{_repr(key, room)}: "), (False, value)]
            between = ", "
        return [(True, "{"), *pieces, (True, "}")]
    for value in itertools.islice(item, room):
        pieces += [(True, between), (False, value)]
        between = ", "
    return [(True, "["), *pieces, (True, "]")]


def _repr(item: Any, room: int) -> str:
    try:
        return repr(item[:room] if isinstance(item, str) else item)
    except Exception:  # a trace made by hand may hold any object
        return f"<{type(item).__name__}>"


# ---- Style: which characters, which colours, how wide ------------------------------------------

_LEAST_TEXT = 24  # columns a value gets however deep its node is

# The check mark and the cross are those of the published tree: unlike the heavy ones they have no
# emoji form, which some terminals draw two columns wide.
_GLYPHS = {
    "completed": ("✓", "ok"),
    "failed": ("✗", "!!"),
    "cancelled": ("⊘", "--"),
    "running": ("●", ".."),
    "paused": ("‖", "||"),
    "pending": ("○", "__"),
    "interrupted": ("◌", "??"),
    "retry": ("↻", "re"),
    "fallback": ("⇢", "fb"),
    "branch": ("├── ", "+-- "),
    "last": ("└── ", "`-- "),
    "bar": ("│   ", "|   "),
    "from": ("←", "<-"),
    "to": (" → ", " -> "),
    "into": (" › ", " > "),
    "tee": ("├─ ", "+- "),
    "elbow": ("└─ ", "`- "),
    "pipe": ("│  ", "|  "),
    "open": ("«", "["),
    "close": ("»", "]"),
    "full": ("█", "#"),
    "half": ("▌", "="),
    "empty": ("·", "."),
    "dot": (" · ", " | "),
    "cut": ("…", "..."),
}

# In the words of rich, which knows the terminal; sixteen-colour names, so that themes hold.
_COLOURS = {
    "completed": "green",
    "failed": "bold red",
    "cancelled": "yellow",
    "running": "cyan",
    "paused": "cyan",
    "pending": "dim",
    "interrupted": "dim yellow",
    "retry": "yellow",
    "fallback": "magenta",
    "llm_call": "blue",
    "tool_call": "green",
    "sub_agent": "magenta",
    "heading": "bold",
    "dim": "dim",
    "added": "green",
    "removed": "red",
    "changed": "yellow",
    "slower": "red",
    "faster": "green",
}


@dataclass(frozen=True)
class Style:
    """How to draw: Unicode or ASCII, with which colours, on how many columns."""

    unicode: bool = True
    width: int = 80
    is_wide: bool = False  # show values whole, however long
    colours: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    is_folding: bool = False  # break what is wider than the columns, and indent the rest

    def glyph(self, name: str) -> str:
        """Return a drawing character by name, or its ASCII twin."""
        return _GLYPHS[name][0 if self.unicode else 1]

    def text(self, line: Line) -> str:
        """Return a line as it is written: escaped, in the right characters, coloured."""
        if not self.colours:
            return self.plain("".join([text for text, _ in line]))
        return "".join([self._coloured(self.plain(text), role) for text, role in line])

    def clip(self, text: str, width: int) -> str:
        """Return the text as it is written, cut to at most so many columns."""
        return clip(self.plain(text[: 8 * width + 8]), width, self.glyph("cut"))

    def fit(self, text: str, width: int) -> str:
        """Return the text as it is written, cut or filled up to exactly so many columns."""
        text = self.clip(text, width)
        return text + " " * (width - cell_width(text))

    def folded(self, line: Line, hang: str) -> Iterator[Line]:
        """Yield a line in as many as it needs; all but the first, unbroken piece hang below it."""
        if not self.is_folding:
            yield line
            return
        line = [(self.plain(text), role) for text, role in line]
        if sum(cell_width(text) for text, _ in line) <= self.width:
            yield line
            return
        room = max(_LEAST_TEXT, self.width - len(hang))
        part, left = line[:1], self.width - cell_width(line[0][0])
        for text, role in line[1:]:
            for word in _words(text, room):
                if cell_width(word) > left:
                    yield part
                    part, left, word = [(hang, "dim")], room, word.lstrip(" ")
                part.append((word, role))
                left -= cell_width(word)
        yield part

    def plain(self, text: str) -> str:
        """Return a text as it is written: escaped, in ASCII where that is all there is."""
        text = printable(text)
        if self.unicode or text.isascii():
            return text
        return text.encode("ascii", "backslashreplace").decode("ascii")

    def _coloured(self, text: str, role: str) -> str:
        start, end = self.colours.get(role, ("", ""))
        return f"{start}{text}{end}"


def choose_style(options: argparse.Namespace, stream: TextIO) -> Style:
    """Decide from the flags, the environment and the stream how to draw."""
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("_", "-")
    unicode = not options.ascii and encoding in ("utf-8", "utf8", "cp65001")
    wanted = options.color == "always" or (
        options.color == "auto"
        and unicode
        and stream.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )
    colours = _rich_colours() if wanted else {}
    if colours is None and options.color == "always" and not options.ascii:
        complain("rich is not installed; plain output (pip install rich, or --ascii to hide this)")
    width = options.width or _terminal_size(stream)[0]
    is_folding = not options.wide and (options.width is not None or stream.isatty())
    return Style(unicode, width, options.wide, colours or {}, is_folding)


def _terminal_size(stream: TextIO) -> tuple[int, int]:
    """Return columns and lines; what cannot be known is 80 by 24."""
    try:
        columns, lines = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError, AttributeError):  # a pipe, a closed stream, a stand-in
        columns, lines = 0, 0
    asked = os.environ.get("COLUMNS", "")
    return int(asked) if asked.isdecimal() and int(asked) else columns or 80, lines or 24


def _rich_colours() -> dict[str, tuple[str, str]] | None:
    """Return the terminal codes of each role, or None when rich is not installed."""
    try:
        from rich.color import ColorSystem
        from rich.style import Style as RichStyle
    except ImportError:
        return None
    codes = {}
    for role, words in _COLOURS.items():
        start, end = (
            RichStyle.parse(words).render("|", color_system=ColorSystem.STANDARD).split("|")
        )
        codes[role] = (start, end)
    return codes


# ---- Screen: the one place that writes ---------------------------------------------------------

_BLOCK = 512  # lines written at once: a line at a time takes a second for 100,000


class Screen:
    """Where a command's lines go: everything a user sees is escaped, coloured and written here."""

    def __init__(self, style: Style, stream: TextIO | None = None, pager: str = "") -> None:
        self.style = style
        self._stream = stream or sys.stdout
        self._pager = pager
        self._held = ""  # what is not written yet: too little so far to need the pager
        self._process: subprocess.Popen[str] | None = None

    def show(self, lines: Iterable[Line]) -> None:
        """Write lines, in blocks."""
        texts = map(self.style.text, lines)
        while block := list(itertools.islice(texts, _BLOCK)):
            self._write("\n".join(block) + "\n")

    def show_json(self, value: object) -> None:
        """Write a value as indented JSON in pure ASCII."""
        self._write(json_text(value))

    def expect(self, lines: int) -> None:
        """Start the pager now if that many lines will need it: so the first ones are seen."""
        if self._pager and self._process is None and lines >= _terminal_size(self._stream)[1]:
            self._start_pager()

    def flush(self) -> None:
        """Let what was written be seen at once."""
        self._stream.flush()

    def close(self) -> None:
        """Write what is held back, and wait for the user to leave the pager."""
        held, self._held = self._held, ""
        if self._process is None:
            self._stream.write(held)
            self._stream.flush()
            return
        with contextlib.suppress(BrokenPipeError):  # the user has left the pager
            self._stream.close()
        while self._process.poll() is None:
            with contextlib.suppress(KeyboardInterrupt):  # a key of the pager's
                self._process.wait()

    def _write(self, text: str) -> None:
        if self._pager and self._process is None:
            text, self._held = self._held + text, ""
            if text.count("\n") < _terminal_size(self._stream)[1]:
                self._held = text
                return
            self._start_pager()
        self._stream.write(text)

    def _start_pager(self) -> None:
        """Page as git does: colours pass, and a page that fits is left on the screen."""
        import shlex  # costs, with subprocess, as much as all else that is imported here
        import subprocess

        environment = {"LESS": "FRX", **os.environ}
        try:
            self._process = subprocess.Popen(
                shlex.split(self._pager),
                stdin=subprocess.PIPE,
                env=environment,
                encoding="utf-8",
                errors="backslashreplace",
            )
        except (OSError, ValueError):  # no such program: then without
            self._pager = ""
            return
        if self._process.stdin is not None:
            self._stream = cast("TextIO", self._process.stdin)


def choose_pager(options: argparse.Namespace, stream: TextIO) -> str:
    """Return the program that pages what is longer than the terminal, "" for none."""
    if options.no_pager or not stream.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return ""
    pager = os.environ.get("PAGER", "less").strip()
    return "" if pager == "cat" else pager


def json_text(value: object) -> str:
    """Return indented JSON that no terminal can trip over: ASCII, control characters escaped."""
    text = json.dumps(value, indent=2, allow_nan=False)
    return text.replace("\x7f", "\\u007f") + "\n"  # JSON itself lets DEL pass


def complain(message: str) -> None:
    """Say something on stderr, as one line."""
    if sys.stderr is None:  # closed by the shell, `2>&-`: print would take stdout instead
        return
    print(f"logtracer: {printable(message)}", file=sys.stderr)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'output'}: {error.strerror.lower()}"
    return str(error)


# ---- Finding traces: a path, `-`, `latest`, or the start of an id ------------------------------

STORE = "./traces"  # unless --store names another place
TRACE_HELP = "a file, - (stdin), latest, latest~1, or the start of a trace id in --store"

_LATEST = re.compile(r"latest(?:~[0-9]{1,6})?")
_TRACE_FILE = re.compile(r"[0-9A-Za-z_-]{1,64}(?:\.json|(?:\.[0-9a-f]{16})?\.jsonl)")


def find_trace(argument: str, store: str) -> TraceGraph:
    """Load the trace a user names.

    That is a path, `-` (stdin), `latest`, `latest~1`, or the start of an id in the store.
    """
    if argument == "-":
        return _read_stdin()
    found = _find(argument, store)
    if isinstance(found, Stored) and not found.path:
        return found.load()
    path = found if isinstance(found, str) else found.path
    try:
        trace = load_file(path)
    except TraceLoadError as error:
        trace = _first_foreign(argument, error, lambda read: read.import_file(path))
    damaged = trace.metadata.get("logtracer.damaged_lines")
    if damaged:
        complain(f"warning: {argument}: shown without {counted(damaged, 'damaged line')}")
    return trace


def _first_foreign(
    name: str, error: TraceLoadError, read: Callable[[Any], list[TraceGraph]]
) -> TraceGraph:
    """Load what is no trace of ours as somebody else's; of several traces, the first."""
    try:
        importers = extra("importers")
    except CommandError:  # not copied along: then it stays what it was
        raise error from None
    traces = read(importers)
    if len(traces) > 1:
        complain(
            f"note: {name} holds {len(traces)} traces; this is the first."
            f" To have them all: logtracer import {name}"
        )
    return traces[0]


def find_file(argument: str, store: str) -> str:
    """Return the path of the trace file a user names; CommandError says why there is none."""
    found = _find(argument, store)
    if isinstance(found, str):
        return found
    if not found.path:
        raise CommandError(
            argument, f"is in {_without_password(store)}, not in a file. See logtracer export"
        )
    return found.path


class Stored(NamedTuple):
    """A trace of a store: its id, its file where it is one, and how to load it."""

    trace_id: str
    path: str  # "" in a database
    load: Callable[[], TraceGraph]
    summary: Any = None  # what a list says of it: a logtracer_extras.listing.TraceSummary


def _find(argument: str, store: str) -> str | Stored:
    """Return the path or the stored trace that a user names."""
    if not argument:  # of a shell variable that was never set
        raise CommandError("''", f"is no trace; name {TRACE_HELP}")
    if argument == "-":
        raise UsageError("-", "stdin cannot be followed; name a file or a store")
    if _LATEST.fullmatch(argument):
        return _latest(argument, store)
    if os.path.isfile(argument):
        return argument
    if os.path.isdir(argument):
        raise CommandError(argument, f"a directory; see its traces: logtracer list {argument}")
    if os.path.lexists(argument):  # a device, a dangling link: loading it names the reason
        return argument
    if os.path.dirname(argument) or argument.endswith((".json", ".jsonl")):
        raise CommandError(argument, "no such file. Recent traces: logtracer list")
    return _of_id(argument, store)


def stored_traces(store: str, limit: int | None = None, **wanted: Any) -> Iterator[Stored]:
    """Yield traces of a directory or of a store's URL, the run that started last first.

    `wanted` are the fields of a logtracer_extras.listing.TraceFilter. Only of what is yielded,
    and as little as can be, is read.
    """
    try:
        chosen = extra("listing").TraceFilter(**wanted)
    except CommandError:  # not copied along: files can be found without it
        prefix = wanted.pop("prefix", "")
        if wanted or _is_database(store):
            raise
        return itertools.islice(_by_file_time(store.removeprefix("file://"), prefix), limit)
    if _is_database(store):
        return itertools.islice(_in_database(store, chosen, limit), limit)
    return itertools.islice(_in_directory(store.removeprefix("file://"), chosen), limit)


def _is_database(store: str) -> bool:
    return "://" in store and not store.startswith("file://")


def _in_directory(directory: str, wanted: Any) -> Iterator[Stored]:
    try:
        for summary in extra("stores._files").list_directory(directory, wanted):
            path = summary.path
            if path.endswith(".json"):
                load = functools.partial(load_file, path)
            else:
                load = functools.partial(load_trace, directory, summary.trace_id)
            yield Stored(summary.trace_id, path, load, summary)
    except OSError as error:
        raise _no_directory(directory, error) from None


def _by_file_time(directory: str, prefix: str) -> Iterator[Stored]:
    """Yield the traces of a directory, the file written last first."""
    files: dict[str, str] = {}
    try:
        for name in sorted(os.listdir(directory)):  # a document, then its journal, then its parts
            if _TRACE_FILE.fullmatch(name) and name.startswith(prefix):
                files.setdefault(trace_id_of(name), os.path.join(directory, name))
    except OSError as error:
        raise _no_directory(directory, error) from None
    for path in sorted(files.values(), key=os.path.getmtime, reverse=True):
        yield Stored(trace_id_of(path), path, functools.partial(load_file, path))


def _no_directory(directory: str, error: OSError) -> CommandError:
    reason = (error.strerror or str(error)).lower()
    begin = f", or begin with: {_typed_command()} demo" if directory == STORE else ""
    return CommandError(directory, f"{reason}; name the directory with --store{begin}")


def _typed_command() -> str:
    """Return how the user called us: there is no `logtracer` on the PATH of a mere checkout."""
    script = sys.argv[0]
    return f"python3 {script}" if script.endswith("logtracer_cli.py") else "logtracer"


def _in_database(url: str, wanted: Any, limit: int | None) -> Iterator[Stored]:
    with opened_store(url, must_exist=True) as store:
        for summary in extra("listing").list_summaries(store, wanted, limit):
            load = functools.partial(_load_from, store, summary.trace_id, url)
            yield Stored(summary.trace_id, "", load, summary)


def _load_from(store: StorageBackend, trace_id: str, url: str) -> TraceGraph:
    trace = store.load(trace_id)
    if trace is None:
        raise CommandError(trace_id, f"is no longer in {_without_password(url)}")
    return trace


def count_traces(store: str) -> int:
    """Return how many traces a directory or the store of a URL has."""
    if _is_database(store):
        with opened_store(store, must_exist=True) as opened:
            return len(opened.list_traces())
    directory = store.removeprefix("file://")
    try:
        return len(extra("stores._files").trace_ids_in(directory))
    except OSError as error:
        raise _no_directory(directory, error) from None


@contextlib.contextmanager
def opened_store(place: str, *, must_exist: bool = False) -> Iterator[StorageBackend]:
    """Open the store of a directory or a URL for a while; wrong use when it is neither.

    What is not there is made, unless it must exist.
    """
    path = place.removeprefix("file://").removeprefix("sqlite://")
    if must_exist and "://" not in path and not os.path.exists(path):
        raise CommandError(place, "no such file or directory")
    try:
        store = open_store(place if "://" in place else f"file://{place}")
    except ImportError as error:
        raise CommandError(_without_password(place), str(error)) from None
    except ValueError:  # its text may hold the URL with its password
        known = "a directory, sqlite://FILE or postgresql://USER@HOST/DATABASE"
        raise UsageError(_without_password(place), f"is not {known}") from None
    try:
        yield store
    finally:
        close: Callable[[], object] = getattr(store, "close", lambda: None)
        close()


def _without_password(url: str) -> str:
    """Return a URL as it may be shown; a directory is one without anything to hide."""
    if "://" not in url:
        return url
    return re.sub(r"://[^/]*@", "://", re.sub(r"\bpassword=[^&]*", "password=", url))


def trace_id_of(path: str) -> str:
    """Return the trace id that a file of a store is named for."""
    return os.path.basename(path).split(".")[0]


def load_file(path: str) -> TraceGraph:
    """Load a trace: `load_trace`, but a directory of many is listed once, not every time."""
    directory = os.path.dirname(path) or "."
    if path.endswith(".json"):
        shared = _shared(directory, os.stat(directory).st_mtime_ns)
        if trace_id_of(path) not in shared:
            return load_trace_json(path)
    return load_trace(path)


@functools.lru_cache(maxsize=1)
def _shared(directory: str, changed: int) -> frozenset[str]:
    """Return the ids of the traces that have several files in a directory."""
    names = filter(_TRACE_FILE.fullmatch, os.listdir(directory))
    files = Counter(trace_id_of(name) for name in names)
    return frozenset(trace_id for trace_id, number in files.items() if number > 1)


def _latest(argument: str, store: str, **wanted: Any) -> Stored:
    """Return the trace that `latest` or `latest~1` names among those that are wanted."""
    steps = int(argument.partition("~")[2] or 0)
    traces = stored_traces(store, steps + 1, **wanted)
    found = next(itertools.islice(traces, steps, None), None)
    if found is None:
        number = counted(count_traces(store), "trace")
        raise CommandError(argument, f"{_without_password(store)} holds {number}")
    return found


def _of_id(prefix: str, store: str) -> Stored:
    traces = list(stored_traces(store, prefix=prefix))
    exact = [trace for trace in traces if trace.trace_id == prefix]
    if exact or len(traces) == 1:
        return (exact or traces)[0]
    if not traces:
        place = _without_password(store)
        raise CommandError(prefix, f"no trace in {place} begins so. Recent traces: logtracer list")
    ids = ", ".join(_short_ids([trace.trace_id for trace in traces[:5]]))
    more = f" and {len(traces) - 5} more" if len(traces) > 5 else ""
    raise CommandError(prefix, f"fits {len(traces)} runs: {ids}{more}. Give more characters.")


def _short_ids(ids: list[str]) -> list[str]:
    """Cut ids to eight characters, or to as many as tell them apart."""
    length = 8
    while len({text[:length] for text in ids}) < len(set(ids)):
        length += 4
    return [text[:length] for text in ids]


def _read_stdin() -> TraceGraph:
    stream: Any = getattr(sys.stdin, "buffer", sys.stdin)
    data = stream.read()
    data = data.encode("utf-8", "replace") if isinstance(data, str) else data
    try:
        return _trace_of(data)
    except TraceLoadError as error:
        raise TraceLoadError(f"stdin: {error}") from None


def _trace_of(data: bytes) -> TraceGraph:
    try:
        if data.startswith(b'{"event":'):
            return trace_from_journal(data.split(b"\n"))
        return trace_from_json(data)
    except TraceLoadError as error:
        return _first_foreign("stdin", error, lambda read: read.import_traces(data))


# ---- Extras: the optional modules a command may need ---------------------------------------------


def extra(name: str) -> Any:
    """Import `logtracer_extras.NAME`, or say that it was not copied along."""
    try:
        return importlib.import_module(f"logtracer_extras.{name}")
    except ModuleNotFoundError as error:
        if error.name not in ("logtracer_extras", f"logtracer_extras.{name}"):
            raise CommandError(name, str(error)) from None
        place = f"logtracer_extras/{name}.py"
        raise CommandError(place, "not found; copy the folder beside logtracer_cli.py") from None
    except ImportError as error:  # the module says itself what to install
        raise CommandError(name, str(error)) from None


def _add_prices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prices", metavar="FILE", help="prices per million tokens, as JSON (or LOGTRACER_PRICES)"
    )


def prices_of(options: argparse.Namespace) -> Any:
    """Return the price table the user gave, None without one: then nothing is said of cost."""
    path = options.prices or os.environ.get("LOGTRACER_PRICES")
    return extra("analysis").load_prices(path) if path else None


def _add_data_flow(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-flow", action="store_true", help="also find what steps gave to later ones"
    )


def with_data_flow(trace: TraceGraph, options: argparse.Namespace) -> TraceGraph:
    """Add to a trace in memory the data flow nobody recorded, where the user asks for it."""
    if options.data_flow:
        trace.edges += extra("analysis").infer_data_flow(trace)
    return trace


def inferred_edges(trace: TraceGraph) -> list[Edge]:
    """Return the retries and fallbacks nobody recorded; none where the extra was not copied."""
    if not any(node.status in ("failed", "cancelled") for node in trace.nodes.values()):
        return []
    try:
        edges: list[Edge] = extra("analysis").infer_retries(trace)
    except CommandError:
        return []
    return edges


def measured(trace: TraceGraph, options: argparse.Namespace) -> Any:
    """Return the trace measured by `logtracer_extras.analysis`."""
    return extra("analysis").measure(trace, prices_of(options))


# ---- Facts: what is said about a node or a run -------------------------------------------------


def duration_text(milliseconds: float | None) -> str:
    """Return a time as people say it: `812ms`, `12.40s`, `21m40s`, `3h02m`; `open` without one."""
    if milliseconds is None:
        return "open"
    if milliseconds < 999.5:
        return f"{milliseconds:.0f}ms"
    if milliseconds < 59_995:
        return f"{milliseconds / 1000:.2f}s"
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    if minutes < 60:
        return f"{minutes}m{seconds:02}s"
    return f"{minutes // 60}h{minutes % 60:02}m"


def count_text(number: int) -> str:
    """Return a number of tokens in few characters: `812`, `21.1k`, `3.2M`."""
    if number < 1_000:
        return str(number)
    if number < 999_950:
        return f"{number / 1_000:.1f}k"
    return f"{number / 1_000_000:.1f}M"


def counted(number: int, noun: str) -> str:
    """Return `1 node`, `38 nodes`, `2 retries`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def start_text(trace: TraceGraph) -> str:
    """Return when a run started, in UTC, to the second."""
    if trace.start_time is None:
        return "start unknown"
    return trace.start_time.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")


def tokens_of(node: Node) -> tuple[int, int]:
    """Return the tokens a node read and wrote, 0 where it says nothing."""
    read = node.metadata.get("gen_ai.usage.input_tokens")
    wrote = node.metadata.get("gen_ai.usage.output_tokens")
    return read if type(read) is int else 0, wrote if type(wrote) is int else 0


def root_of(trace: TraceGraph) -> Node | None:
    """Return the node that stands for the whole run; files of other libraries may have none."""
    for node in trace.nodes.values():
        if node.parent_id is None and node.node_type == "trace":
            return node
    return None


def run_status(trace: TraceGraph) -> NodeStatus:
    """Return how the run as a whole stands."""
    root = root_of(trace)
    if root is not None:
        return root.status
    statuses = {node.status for node in trace.root_nodes}
    for status in (NodeStatus.RUNNING, NodeStatus.INTERRUPTED, NodeStatus.FAILED):
        if status in statuses:
            return status
    return NodeStatus.COMPLETED if trace.end_time is not None else NodeStatus.INTERRUPTED


def waited_ms(trace: TraceGraph) -> float:
    """Return how long the run was paused, most often for a human; 0.0 for one that never was."""
    root = root_of(trace)
    waited = None if root is None else root.metadata.get("logtracer.waited_ms")
    return max(0.0, float(waited)) if isinstance(waited, (int, float)) else 0.0


def worked_ms(trace: TraceGraph) -> float | None:
    """Return how long the run took without the time it waited; None while it is open."""
    if trace.duration_ms is None:
        return None
    return max(0.0, trace.duration_ms - waited_ms(trace))


def summary_of(trace: TraceGraph) -> dict[str, Any]:
    """Return the facts of `inspect --json`."""
    statuses = Counter(node.status for node in trace.nodes.values())
    types = Counter(node.node_type for node in trace.nodes.values())
    waited = {"waited_ms": waited_ms(trace), "worked_ms": worked_ms(trace)}
    return {
        "trace_id": trace.trace_id,
        "name": trace.name,
        "schema_version": trace.schema_version,
        "duration_ms": trace.duration_ms,
        "node_count": len(trace.nodes),
        "edge_count": len(trace.edges),
        "status_counts": {status.value: statuses[status] for status in NodeStatus},
        "node_type_counts": dict(sorted(types.items())),
        **(waited if waited["waited_ms"] else {}),
    }


# ---- The tree: rows of a trace, drawn line by line ---------------------------------------------

VERBOSITIES = ("minimal", "standard", "full")

_MOST_TEXT = 200  # columns of a name, a value or an error, unless --wide
_ENDLESS = 1 << 40  # columns of a value with --wide
_MOST_INDENT = 40  # levels drawn by indenting; a deeper node says its level instead
_HANG = "    "  # before what a line too wide goes on with
_LAST_LINES = 12  # lines of a traceback, counted from its end, unless --wide

_EDGE_WORDS = {
    "caused_by": "caused by",
    "data_flow": "data from",
    "branched_from": "branched from",
    "retry_of": "retry of",
    "fallback_of": "fallback of",
}
_EDGE_ROLES = {"retry_of": "retry", "fallback_of": "fallback"}


class Row(NamedTuple):
    """A node's place in the drawn tree."""

    level: int
    node: Node
    is_last: bool  # no sibling follows
    is_parent: bool
    is_detached: bool  # its parent is missing, or its parents form a circle


def rows_of(trace: TraceGraph, shown: set[str] | None = None) -> list[Row]:
    """Return every node but the root as a row; what has lost its parent stands at level 0.

    `shown` are the ids of the nodes to keep, None for all.
    """
    root = root_of(trace)
    places: list[tuple[int, Node, bool]] = []
    lift = 0  # the root is the title: what is below it moves one level up
    for level, node in trace.walk():
        if level == 0:
            lift = 1 if node is root else 0
        if node is not root and (shown is None or node.id in shown):
            places.append((level - lift, node, level == 0 and node.parent_id is not None))
    return _placed(places)


def _placed(places: list[tuple[int, Node, bool]]) -> list[Row]:
    """Make rows from the last to the first: only so is it known which sibling is the last."""
    rows: list[Row] = []
    seen_levels: list[bool] = []  # whether a later sibling was seen, level by level
    for level, node, is_detached in reversed(places):
        is_parent = len(seen_levels) > level + 1
        del seen_levels[level + 1 :]
        seen_levels.extend([False] * (level + 1 - len(seen_levels)))
        rows.append(Row(level, node, not seen_levels[level], is_parent, is_detached))
        seen_levels[level] = True
    rows.reverse()
    return rows


def tree_lines(
    trace: TraceGraph,
    verbosity: str,
    style: Style,
    shown: set[str] | None = None,
    costs: Mapping[str, float] = MappingProxyType({}),
    inferred: Iterable[Edge] = (),
) -> Iterator[Line]:
    """Yield the published tree of a trace, line by line.

    `shown` are the ids of the nodes to draw, None for all; `costs` what nodes cost, by id;
    `inferred` edges beside the recorded ones.
    """
    tree = _Tree(trace, verbosity, style, costs, _reasons_of(trace, style, inferred))
    rows = rows_of(trace, shown)
    yield from tree.title(bool(rows))
    for row in rows:
        yield from tree.row(row)
    lost = sum(1 for edge in trace.edges if edge.target_id not in trace.nodes)
    if lost:
        yield [(f"{counted(lost, 'edge')} to nodes that are not in this trace", "dim")]


def render_trace(trace: TraceGraph, *, verbosity: str = "standard") -> str:
    """Return the tree of a trace as plain text.

    `verbosity` is "minimal" (structure, status, time), "standard" (and what explains a node) or
    "full" (everything).
    """
    if verbosity not in VERBOSITIES:
        raise ValueError(f"verbosity must be one of {', '.join(VERBOSITIES)}, not {verbosity!r}")
    style = Style(width=_MOST_TEXT)
    return "".join(f"{style.text(line)}\n" for line in tree_lines(trace, verbosity, style))


class _Tree:
    """Draw the rows of one trace."""

    def __init__(
        self,
        trace: TraceGraph,
        verbosity: str,
        style: Style,
        costs: Mapping[str, float],
        reasons: Mapping[str, Line],
    ) -> None:
        self._trace = trace
        self._costs = costs
        self._verbosity = verbosity
        self._style = style
        self._reasons = reasons
        self._indents = [""]  # what stands before a row, level by level
        self._deepest = _MOST_INDENT
        if style.is_folding:
            self._deepest = max(1, min(_MOST_INDENT, (style.width - _LEAST_TEXT) // 4 - 2))

    def title(self, has_rows: bool) -> Iterator[Line]:
        """Yield the line of the whole run, and what its root says."""
        trace, root = self._trace, root_of(self._trace)
        line: Line = [("Trace: ", ""), (self._cut(trace.name or trace.trace_id), "heading")]
        line.append((f" ({duration_text(trace.duration_ms)})", "dim"))
        if root is None:
            yield from self._style.folded(line, _HANG)
            return
        if root.status != NodeStatus.COMPLETED:
            line.append((f" {self._style.glyph(root.status)}", root.status))
        yield from self._style.folded(line + self._ends(root), _HANG)
        yield from self._details(root, "", has_rows)

    def row(self, row: Row) -> Iterator[Line]:
        """Yield the line of a node and the lines of what is said about it."""
        style, node, level = self._style, row.node, min(row.level, self._deepest)
        del self._indents[level + 1 :]
        indent = self._indents[level]
        line: Line = [(indent + style.glyph("last" if row.is_last else "branch"), "dim")]
        if row.level > level:
            line.append((f"(level {row.level}) ", "dim"))
        line.append((f"[{self._cut(node.node_type)}] ", node.node_type))
        line.append((self._cut(node.name), ""))
        line.append((f" ({duration_text(node.duration_ms)}) ", "dim"))
        line.append((style.glyph(node.status), node.status))
        if row.is_detached:
            line.append((" detached", "failed"))
        below = indent + ("    " if row.is_last else style.glyph("bar"))
        yield from style.folded(line + self._ends(node), below + _HANG)
        self._indents.append(below)
        yield from self._details(node, below, row.is_parent)

    def _ends(self, node: Node) -> Line:
        """Return what follows a node's status: why it connects, and what it used."""
        reasons = self._reasons.get(node.id)
        line: Line = [(" ", ""), *reasons] if reasons else []
        tokens = sum(tokens_of(node))
        if tokens:
            line.append((f"  {count_text(tokens)} tok", "dim"))
        if node.id in self._costs:
            line.append((f"  ${self._costs[node.id]:.4f}", "dim"))
        return line

    def _details(self, node: Node, indent: str, is_parent: bool) -> Iterator[Line]:
        details = self._said_of(node, max(_LEAST_TEXT, self._style.width - len(indent) - 4))
        for position, (label, texts, role) in enumerate(details, 1):
            is_last = position == len(details) and not is_parent
            branch = self._style.glyph("last" if is_last else "branch")
            hang = indent + ("    " if is_last else self._style.glyph("bar")) + _HANG
            line: Line = [(indent + branch, "dim"), (label, "dim"), (texts[0], role)]
            yield from self._style.folded(line, hang)
            for text in texts[1:]:
                yield from self._style.folded([(hang, "dim"), (text, role)], hang)

    def _said_of(self, node: Node, room: int) -> list[tuple[str, list[str], str]]:
        """Return what a node says as labels and their lines, by verbosity."""
        if self._verbosity == "minimal":
            return []
        said = [("annotation: ", [self._quoted(note)], "") for note in node.annotations]
        if node.error is not None or node.error_type is not None:
            error = ": ".join(part for part in (node.error_type, node.error) if part)
            said.append(("error: ", [self._cut(error)], "failed"))
        if self._verbosity == "full":
            room = _MOST_TEXT
        elif said:
            return said
        values = [("input: ", node.input_data), ("output: ", node.output_data)]
        if self._verbosity == "full":
            values.append(("metadata: ", node.metadata))
        said += [(label, [self._value(label, data, room)], "") for label, data in values if data]
        if self._verbosity == "full" and node.error_traceback:
            said.append(("traceback:", self._traceback(node.error_traceback), "dim"))
        return said

    def _quoted(self, note: object) -> str:
        return f'"{self._cut(note if isinstance(note, str) else value_text(note, _MOST_TEXT))}"'

    def _value(self, label: str, data: object, room: int) -> str:
        if self._style.is_wide:
            return value_text(data, _ENDLESS)
        room -= len(label)
        return clip(value_text(data, room), room, self._style.glyph("cut"))

    def _traceback(self, text: str) -> list[str]:
        lines = text.rstrip("\n").split("\n")
        if self._style.is_wide or len(lines) <= _LAST_LINES:
            return ["", *lines]
        return [f" {len(lines) - _LAST_LINES} more lines above", *lines[-_LAST_LINES:]]

    def _cut(self, text: str) -> str:
        if self._style.is_wide or (len(text) <= _MOST_TEXT and text.isascii()):
            return text
        return clip(text, _MOST_TEXT, self._style.glyph("cut"))


def _reasons_of(trace: TraceGraph, style: Style, inferred: Iterable[Edge]) -> dict[str, Line]:
    """Return, by the id of the later node, its edges in words; the tree shows its parent."""
    reasons: dict[str, Line] = {}
    for edge in itertools.chain(trace.edges, inferred):
        target = trace.nodes.get(edge.target_id)
        if target is None or (edge.edge_type, edge.source_id) == ("caused_by", target.parent_id):
            continue
        known = reasons.setdefault(target.id, [])
        before = ", " if known else f"{style.glyph('from')} "
        text = before + clip(_edge_text(trace, edge, style), _MOST_TEXT, style.glyph("cut"))
        known.append((text, _EDGE_ROLES.get(edge.edge_type, "dim")))
    return reasons


def _edge_text(trace: TraceGraph, edge: Edge, style: Style) -> str:
    source = trace.nodes.get(edge.source_id)
    words = _EDGE_WORDS.get(edge.edge_type, f"{edge.edge_type}:")
    said = [edge.label] if edge.label else []
    if "source_path" in edge.metadata and "target_path" in edge.metadata:
        paths = (str(edge.metadata[end]) for end in ("source_path", "target_path"))
        said.append(style.glyph("to").join(paths))
    if edge.metadata.get("inferred") is True:
        said.append("inferred")
    return f"{words} {source.name if source else edge.source_id}" + (
        f" ({', '.join(said)})" if said else ""
    )


# ---- inspect: one trace, its summary and its tree ----------------------------------------------


def _add_inspect(commands: Commands, shared: argparse.ArgumentParser) -> None:
    parser = commands.add_parser("inspect", parents=[shared], help="show a trace")
    parser.add_argument("trace", help=TRACE_HELP)
    parser.add_argument("--verbosity", choices=VERBOSITIES, default="standard")
    parser.add_argument("--timeline", action="store_true", help="when each node ran, as bars")
    parser.add_argument("--no-bars", action="store_true", help="with --timeline: columns only")
    parser.add_argument("--failed", action="store_true", help="only failed nodes, and those above")
    parser.add_argument("--filter", metavar="QUERY", help="only matching nodes, and those above")
    parser.add_argument(
        "--depth", type=_count, metavar="N", help="levels to show, 0 for all; 3 in a timeline"
    )
    parser.add_argument(
        "--node", metavar="ID", help="one node in detail; the end of its id will do"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the summary, or the --node, as JSON"
    )
    parser.add_argument("--output", metavar="FILE", help="with --json: write it to a file")
    parser.add_argument(
        "--exit-status", action="store_true", help="exit 1 if the run has not succeeded"
    )
    _add_data_flow(parser)
    _add_prices(parser)
    parser.set_defaults(run=_inspect)


def _inspect(options: argparse.Namespace, screen: Screen) -> int:
    if options.output is not None and not options.json:
        raise UsageError("inspect", "--output goes with --json")
    if options.filter:
        parsed_query(options.filter)  # a mistake in it is told before anything is shown
    trace = find_trace(options.trace, options.store)
    node = None if options.node is None else find_node(trace, options.node)
    if options.json:
        document = summary_of(trace) if node is None else node.to_dict()
        _show_json(document, options.output, screen)
    elif node is not None:
        screen.show(node_lines(with_data_flow(trace, options), node, screen.style))
    else:
        _show_run(trace, options, screen)
    return int(options.exit_status and run_status(trace) != NodeStatus.COMPLETED)


def _show_json(document: object, path: str | None, screen: Screen) -> None:
    if path is None:
        screen.show_json(document)
        return
    with open(path, "w", encoding="ascii") as file:
        file.write(json_text(document))


def _show_run(trace: TraceGraph, options: argparse.Namespace, screen: Screen) -> None:
    """Show the summary, at once however long the trace is, then its nodes."""
    is_priced = bool(options.prices or os.environ.get("LOGTRACER_PRICES"))
    run = measured(trace, options) if options.timeline or options.filter or is_priced else None
    if not (options.timeline or options.depth or options.failed or options.filter):
        screen.expect(len(trace.nodes))  # a line at least for each
    screen.show(summary_lines(trace, screen.style, run))
    screen.flush()
    screen.show(_nodes_lines(with_data_flow(trace, options), options, run, screen.style))


def _nodes_lines(
    trace: TraceGraph, options: argparse.Namespace, run: Any, style: Style
) -> Iterator[Line]:
    """Yield the tree or the timeline, and how many nodes are not in it."""
    depth = 3 * options.timeline if options.depth is None else options.depth
    shown = _shown(trace, options, depth, run)
    yield []
    if options.timeline:
        timeline = extra("terminal._timeline")
        yield from timeline.lines(run, style, shown=shown, bars=not options.no_bars)
    else:
        costs = {step.node.id: step.cost for step in run.steps if step.cost} if run else {}
        inferred = run.inferred if run else inferred_edges(trace)
        yield from tree_lines(trace, options.verbosity, style, shown, costs, inferred)
    hidden = 0 if shown is None else len(trace.nodes) - len(shown)
    if hidden:
        flags = ["--failed"] * options.failed + ["--filter"] * bool(options.filter)
        flags += [f"--depth {depth}"] * bool(depth)
        again = f"logtracer inspect {_again(options.trace, options.store)}"
        again += " --timeline --depth 0" * options.timeline
        hints = (f"{counted(hidden, 'node')} hidden by {' '.join(flags)}.", f"Show all: {again}")
        yield []
        yield from ([(text, "dim")] for text in _wrapped(hints, "  ", style.width))


def _again(named: str | None, store: str, trace_id: str = "") -> str:
    """Return the arguments that name a trace once more: as it was named, or by its id."""
    from shlex import quote  # for a hint at the end

    name = named or trace_id[:8]
    is_enough = store == STORE or os.path.exists(name)
    return quote(name) + ("" if is_enough else f" --store {quote(_without_password(store))}")


def _shown(trace: TraceGraph, options: argparse.Namespace, depth: int, run: Any) -> set[str] | None:
    """Return the ids of the nodes that the flags leave to see, None for all.

    Whatever the depth, failed nodes are shown. With a node, all nodes above it are.
    """
    shown: set[str] | None = None
    failed = _with_ancestors(trace, {node.id for node in trace.failed_nodes})
    if depth:
        shown = failed | {node.id for level, node in trace.walk() if level <= depth}
    if options.filter:
        matches = parsed_query(options.filter).search_run(run)
        found = _with_ancestors(trace, {match.step.node.id for match in matches})
        shown = found if shown is None else shown & found
    if options.failed:
        shown = failed if shown is None else shown & failed
    return shown


def parsed_query(text: str) -> Any:
    """Return a query of the filter language, parsed; a mistake in it is wrong use."""
    query = extra("query")
    try:
        return query.parse(text)
    except query.QueryError as error:
        raise UsageError("filter", str(error)) from None


def _with_ancestors(trace: TraceGraph, ids: set[str]) -> set[str]:
    found: set[str] = set()
    for node_id in ids:
        above: str | None = node_id
        while above in trace.nodes and above not in found:
            found.add(above)
            above = trace.nodes[above].parent_id
    return found


def find_node(trace: TraceGraph, argument: str) -> Node:
    """Return the node of that id, or the one whose id ends so; CommandError when it is not one.

    Ids of one run often begin alike, so it is their end that tells them apart.
    """
    found = [node for node in trace.nodes.values() if node.id.endswith(argument)]
    exact = trace.nodes.get(argument)
    if exact is not None or len(found) == 1:
        return exact or found[0]
    if not found:
        raise CommandError(argument, "no node of this trace has an id that ends so")
    ids = ", ".join(node.id for node in found[:5])
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    raise CommandError(argument, f"fits {len(found)} nodes: {ids}{more}. Give more characters.")


def node_lines(trace: TraceGraph, node: Node, style: Style) -> Iterator[Line]:
    """Yield all that is known about one node."""
    yield [
        (f"[{node.node_type}] ", node.node_type),
        (f"{node.name}  ", "heading"),
        (f"{style.glyph(node.status)} {node.status}", node.status),
        (f"   {node.id}   ", "dim"),
        (duration_text(node.duration_ms), ""),
    ]
    yield [("in: ", "dim"), (style.glyph("into").join(_names_above(trace, node)), "")]
    if node.start_time is not None:
        yield [("started: ", "dim"), (node.start_time.isoformat(" ", "milliseconds"), "")]
    for text, role in _reasons_of(trace, style, inferred_edges(trace)).get(node.id, ()):
        yield [(text.removeprefix(", "), role)]
    for note in node.annotations:
        yield [("annotation: ", "dim"), (f'"{note}"', "")]
    if node.error is not None or node.error_type is not None:
        error = ": ".join(part for part in (node.error_type, node.error) if part)
        yield [("error: ", "dim"), (error, "failed")]
    for line in (node.error_traceback or "").splitlines():
        yield [(f"  {line}", "dim")]
    values = {"input": node.input_data, "output": node.output_data, "metadata": node.metadata}
    for label, value in values.items():
        if value:
            yield [(f"{label}:", "dim")]
            yield from ([(f"  {line}", "")] for line in _json_lines(value))


def _names_above(trace: TraceGraph, node: Node) -> list[str]:
    names: list[str] = []
    seen = {node.id}
    above = trace.nodes.get(node.parent_id or "")
    while above is not None and above.id not in seen:
        seen.add(above.id)
        names.append(above.name)
        above = trace.nodes.get(above.parent_id or "")
    return names[::-1] or ["nothing: it is at the top"]


def _json_lines(value: Any) -> list[str]:
    try:
        return json.dumps(value, indent=2, ensure_ascii=False, default=repr).splitlines()
    except (RecursionError, TypeError, ValueError):  # made by hand, or very deep
        return [value_text(value, 10_000)]


def summary_lines(trace: TraceGraph, style: Style, run: Any = None) -> Iterator[Line]:
    """Yield what a run was, in a few lines: name, status, id, start, time, counts, tokens.

    Of a measured run also what it cost and its critical path.
    """
    status = run_status(trace)
    name = style.clip(trace.name or "(no name)", style.width // 2)
    title: Line = [(f"{name}  ", "heading"), (f"{style.glyph(status)} {status}", status)]
    about = f"{style.clip(trace.trace_id[:8], 8)}   {start_text(trace)}   "
    rest: Line = [(about, "dim"), (duration_text(trace.duration_ms), "")]
    if sum(cell_width(text) for text, _ in [*title, *rest]) + 3 <= style.width:
        yield [*title, ("   ", ""), *rest]
    else:
        yield from (title, rest)
    dot = style.glyph("dot")
    if waited_ms(trace):
        words = f"waited {duration_text(waited_ms(trace))} for a human"
        yield [(f"{words}{dot}worked {duration_text(worked_ms(trace))}", "")]
    for words in _wrapped(_counts(trace), dot, style.width):
        yield [(words, "")]
    facts = _token_facts(trace) if run is None else extra("terminal._timeline").facts(run)
    if facts:
        yield from ([(words, "")] for words in _wrapped(facts, dot, style.width))


def _token_facts(trace: TraceGraph) -> list[str]:
    """Return the tokens of a run, each once: a step may repeat what those below it used."""
    told = {node.id: tokens_of(node) for node in trace.nodes.values() if node.metadata}
    told = {node_id: tokens for node_id, tokens in told.items() if any(tokens)}
    tokens = list(told.values())
    if not told.keys().isdisjoint(_above(trace, told)):
        try:
            top = extra("analysis").measure(trace, infer=False).top
        except CommandError:  # not copied along, and no sum at all is better than a wrong one
            return []
        tokens = [(step.total.input, step.total.output) for step in top if step.total]
    read, wrote = sum(read for read, _ in tokens), sum(wrote for _, wrote in tokens)
    return [f"tokens {read:,} in / {wrote:,} out"] if read or wrote else []


def _above(trace: TraceGraph, node_ids: Iterable[str]) -> set[str]:
    """Return the ids of all nodes around some."""
    found: set[str] = set()
    for node_id in node_ids:
        parent_id = trace.nodes[node_id].parent_id
        while parent_id in trace.nodes and parent_id not in found:
            found.add(parent_id)
            parent_id = trace.nodes[parent_id].parent_id
    return found


def _counts(trace: TraceGraph) -> list[str]:
    """Return the counts worth a word: nodes, lanes, types, failures, retries, fallbacks."""
    nodes = trace.nodes.values()
    types = Counter([node.node_type for node in nodes])
    types.pop("trace", None)
    lanes = {str(node.metadata.get("lane", "")) if node.metadata else "" for node in nodes}
    # Comparing first: the hash of an enum is worked out anew each time, for most edges in vain.
    edges = Counter([edge.edge_type for edge in trace.edges if edge.edge_type != "caused_by"])
    counts = [counted(len(trace.nodes), "node")]
    if len(lanes) > 1:
        counts.append(counted(len(lanes), "lane"))
    counts += [f"{number:,} {clip(kind, 40)}" for kind, number in types.most_common(12)]
    for number, word in (
        (len(trace.failed_nodes), "error"),
        (edges["retry_of"], "retry"),
        (edges["fallback_of"], "fallback"),
    ):
        if number:
            counts.append(counted(number, word))
    return counts


def _wrapped(words: Iterable[str], between: str, width: int) -> Iterator[str]:
    line = ""
    for word in words:
        if line and cell_width(line + between + word) > width:
            yield line
            line = ""
        line += between + word if line else word
    yield line


# ---- list: what ran ------------------------------------------------------------------------------


def _add_list(commands: Commands, shared: argparse.ArgumentParser) -> None:
    parser = commands.add_parser("list", parents=[shared], help="show what ran, newest first")
    parser.add_argument("directory", nargs="?", help="where the traces are, instead of --store")
    parser.add_argument("--sort", choices=("started", "time", "cost", "errors"), default="started")
    parser.add_argument("--limit", type=_count, default=20, metavar="N", help="0 for all")
    _add_narrowing(parser)
    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    _add_prices(parser)
    parser.set_defaults(run=_list)


def _add_narrowing(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say which runs of a store are meant."""
    group = parser.add_argument_group("which runs")
    group.add_argument("--since", type=_since, metavar="TIME", help="2h, 30m, 7d or 2026-11-22")
    group.add_argument("--until", type=_since, metavar="TIME", help="started before; the same")
    group.add_argument("--status", choices=[status.value for status in NodeStatus])
    group.add_argument("--name", metavar="TEXT", default="", help="the name contains it")
    group.add_argument("--session", metavar="ID", dest="session_id")
    group.add_argument("--user", metavar="ID", dest="user_id")
    group.add_argument("--tag", metavar="TEXT")


def _wanted(options: argparse.Namespace) -> dict[str, Any]:
    """Return which runs the flags mean, as fields of a TraceFilter; empty for all."""
    names = ("since", "until", "status", "name", "session_id", "user_id", "tag")
    return {name: getattr(options, name) for name in names if getattr(options, name)}


def _list(options: argparse.Namespace, screen: Screen) -> int:
    table = extra("terminal.list")
    place = options.directory or options.store
    limit = options.limit or None
    is_sorted = options.sort != "started"
    found = list(stored_traces(place, None if is_sorted else limit, **_wanted(options)))
    costs = _costs_of(found, prices_of(options))
    summaries = [stored.summary for stored in found]
    if is_sorted:
        summaries.sort(key=table.sort_key(options.sort, costs), reverse=True)
    summaries = sorted(summaries[:limit], key=lambda summary: bool(summary.problem))
    if options.json:
        screen.show_json([table.to_dict(summary, costs) for summary in summaries])
    else:
        total = count_traces(place)
        lines = table.lines(summaries, total, _without_password(place), screen.style, costs)
        screen.show(lines)
    return 0


def _costs_of(found: Iterable[Stored], prices: Any) -> dict[str, Any]:
    """Return what runs cost, by their ids; each is loaded for it."""
    costs: dict[str, Any] = {}
    for stored in found if prices else ():
        with contextlib.suppress(LogtracerError, OSError):  # the list says what is wrong with it
            costs[stored.trace_id] = extra("terminal.list").cost_of(stored.load(), prices)
    return costs


def _since(text: str) -> datetime:
    """Return the moment that `2h`, `30m`, `7d` ago was, or that an ISO date names."""
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if found is not None:
        unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[found[2]]
        return datetime.now(timezone.utc) - timedelta(**{unit: int(found[1])})
    try:
        moment = datetime.fromisoformat(re.sub("Z$", "+00:00", text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 2h, 30m, 7d or a date") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)


# ---- stats: where the time and the money went ----------------------------------------------------

_COLLECTED = 50_000  # nodes read of a store until memory is collected


def _add_stats(commands: Commands, shared: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "stats", parents=[shared], help="show where time, tokens and money went"
    )
    parser.add_argument(
        "trace", nargs="?", help=f"{TRACE_HELP}; a directory; without it the whole store"
    )
    parser.add_argument("--limit", type=_count, default=15, metavar="N", help="0 for all rows")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    _add_prices(parser)
    parser.set_defaults(run=_stats)


def _stats(options: argparse.Namespace, screen: Screen) -> int:
    table = extra("terminal.stats")
    prices = prices_of(options)
    measure = extra("analysis").measure
    totals = extra("analysis").Statistics()
    run = None
    for trace in traces_of(options.trace, options.store):
        run = measure(trace, prices)
        totals.add(run)
    only = run if totals.runs == 1 else None
    if options.json:
        screen.show_json(table.to_dict(totals, only))
    else:
        limit = options.limit or sys.maxsize
        screen.show(table.lines(totals, screen.style, limit=limit, run=only))
    return 0


def traces_of(argument: str | None, store: str, **wanted: Any) -> Iterator[TraceGraph]:
    """Yield the one trace a user names, or the wanted ones of a directory or the whole store.

    Of many, those that cannot be read are named on stderr and left out.
    """
    if argument is not None and not os.path.isdir(argument):
        yield find_trace(argument, store)
        return
    nodes = 0
    for stored in stored_traces(argument or store, **wanted):
        try:
            trace = stored.load()
        except (LogtracerError, OSError) as error:
            complain(f"warning: {_reason(error)}; left out")
            continue
        yield trace
        nodes += len(trace.nodes)
        if nodes >= _COLLECTED:
            gc.collect()  # it is switched off, and what was measured holds itself in circles
            nodes = 0


# ---- search: which steps of which runs -----------------------------------------------------------


def _add_search(commands: Commands, shared: argparse.ArgumentParser) -> None:
    parser = commands.add_parser("search", parents=[shared], help="find steps in all runs")
    parser.add_argument(
        "query", help='what to find: timeout, status:failed, "type:llm_call dur>2s"'
    )
    parser.add_argument(
        "trace", nargs="?", help=f"{TRACE_HELP}; a directory; without it the whole store"
    )
    parser.add_argument("--limit", type=_count, default=50, metavar="N", help="steps, 0 for all")
    _add_narrowing(parser)
    parser.add_argument("--json", action="store_true", help="print the matches as JSON")
    _add_data_flow(parser)
    _add_prices(parser)
    parser.set_defaults(run=_search)


def _search(options: argparse.Namespace, screen: Screen) -> int:
    """Print what matches as it is found; as for grep, nothing found is 1 and trouble is 2."""
    results = extra("terminal.search")
    query = parsed_query(options.query)
    try:
        prices = prices_of(options)
        read = traces_of(options.trace, options.store, **_wanted(options))
        traces = (with_data_flow(trace, options) for trace in read)
        found = results.search(traces, query, prices, limit=options.limit or sys.maxsize)
        if options.json:
            screen.show_json([match for result in found for match in results.to_dicts(result)])
        else:
            is_one = options.trace is not None and not os.path.isdir(options.trace)
            place = options.store if is_one else options.trace or options.store
            name_of = functools.partial(_again, options.trace if is_one else None, place)
            screen.show(results.lines(found, screen.style, name_of))
    except (LogtracerError, OSError) as error:
        raise CommandError("search", _reason(error), code=2) from None
    return 0 if found.matches else 1


# ---- diff: what differs between two runs, or two groups of runs --------------------------------

_DIFF_ROLES = {"+": "added", "-": "removed", "~": "changed", ">": "slower", "<": "faster"}


def _add_diff(commands: Commands, shared: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "diff",
        parents=[shared],
        help="compare two runs, or groups of runs",
        description="Compare two runs: exit code 0 when they are the same, 1 when they differ,"
        " 2 on trouble. With more than two runs, compare the first with all the others.",
    )
    parser.add_argument("traces", nargs="+", metavar="TRACE", help=f"A, then B: {TRACE_HELP}")
    parser.add_argument("--against", nargs="+", metavar="TRACE", help="a second group of runs")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--brief", action="store_true", help="only say where they part")
    form.add_argument("--stat", action="store_true", help="count what differs by kind of step")
    form.add_argument("--json", action="store_true", help="print all that differs as JSON")
    form.add_argument("--html", metavar="FILE", help="write both runs and what differs as a page")
    _add_diff_bounds(parser)
    _add_prices(parser)
    parser.set_defaults(run=_diff)


def _add_diff_bounds(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="PATH",
        help="a value that does not count, such as output.id or 'input.messages[*].id'",
    )
    parser.add_argument(
        "--mask", action="append", default=[], metavar="REGEX", help="text that does not count"
    )
    parser.add_argument("--timing", action="store_true", help="slower or faster is different too")
    parser.add_argument(
        "--time-pct", type=_count, metavar="N", help="by how many percent of the shorter time (20)"
    )
    parser.add_argument("--time-min", type=_count, metavar="MS", help="and milliseconds (50)")
    parser.add_argument("--limit", type=_count, default=200, metavar="N", help="lines, 0 for all")
    parser.add_argument(
        "--exit-code", action="store_true", help="as for git diff; here it is always so"
    )


def _diff(options: argparse.Namespace, screen: Screen) -> int:
    """Compare; as for GNU diff, a difference is 1 and trouble is 2."""
    before, after = options.traces, options.against or options.traces[1:]
    if not after:
        raise UsageError("diff", "needs two runs: logtracer diff A B")
    if options.against is None:
        before = before[:1]
    _check_diff(options, are_groups=len(before) + len(after) > 2)
    try:
        if len(before) == len(after) == 1:
            return _diff_runs(before[0], after[0], options, screen)
        return _diff_groups(before, after, options, screen)
    except (LogtracerError, OSError) as error:
        raise CommandError("diff", _reason(error), code=2) from None


_OF_TWO_RUNS = ("ignore", "mask", "timing", "stat", "html")  # no groups


def _check_diff(options: argparse.Namespace, *, are_groups: bool) -> None:
    """Refuse what would be ignored without a word."""
    for name in _OF_TWO_RUNS if are_groups else ():
        if getattr(options, name):
            raise UsageError(
                "diff", f"--{name} is for two runs; groups are compared by how often and how long"
            )
    if not options.timing and (options.time_pct is not None or options.time_min is not None):
        raise UsageError("diff", "--time-pct and --time-min go with --timing")


def _diff_runs(before: str, after: str, options: argparse.Namespace, screen: Screen) -> int:
    difference = extra("diff").diff(
        find_trace(before, options.store),
        find_trace(after, options.store),
        ignore=options.ignore,
        mask=options.mask,
        timing=options.timing,
        time_share=(20 if options.time_pct is None else options.time_pct) / 100,
        time_minimum_ms=50 if options.time_min is None else options.time_min,
        cost=_cost_of_node(options),
    )
    text, style = extra("terminal._diff_text"), screen.style
    look = {"width": style.width, "unicode": style.unicode}
    if options.json:
        screen.show_json(difference.to_dict())
    elif options.html:
        screen.show([[(_write_comparison(difference, options), "")]])
    elif options.brief:
        screen.show(map(_signed, text.render_brief(difference, **look)))
    elif options.stat:
        screen.show(map(_signed, text.render_stat(difference, **look)))
    else:
        limit = options.limit or sys.maxsize
        lines = text.render(difference, limit=limit, whole=style.is_wide, **look)
        screen.show(map(_signed, lines))
    return 1 if difference.changes else 0


def _write_comparison(difference: Any, options: argparse.Namespace) -> str:
    viewer, traces = extra("viewer"), (difference.before, difference.after)
    steps = (step for trace in traces for step in measured(trace, options).steps)
    costs = {step.node.id: step.cost for step in steps}
    page = viewer.comparison_page(*traces, difference.rows, costs=costs)
    path: str = viewer.write_page(page, options.html)
    return path


def _diff_groups(
    before: list[str], after: list[str], options: argparse.Namespace, screen: Screen
) -> int:
    groups, text = extra("diff.groups"), extra("terminal._diff_text")
    comparison = groups.compare_groups(
        (find_trace(name, options.store) for name in before),
        (find_trace(name, options.store) for name in after),
        cost=_cost_of_node(options),
    )
    style, limit = screen.style, options.limit or sys.maxsize
    look = {"width": style.width, "unicode": style.unicode, "whole": style.is_wide}
    if options.json:
        screen.show_json(comparison.to_dict())
    elif options.brief:
        lines = text.render_groups_brief(comparison, unicode=style.unicode)
        screen.show(map(_signed, lines))
    else:
        screen.show(map(_signed, text.render_groups(comparison, limit=limit, **look)))
    return 1 if comparison.different else 0


def _cost_of_node(options: argparse.Namespace) -> Any:
    """Return a function that prices a node, None when the user gave no prices."""
    prices = prices_of(options)
    if prices is None:
        return None
    analysis = extra("analysis")

    def cost(node: Node) -> float | None:
        usage = analysis.usage_of(node)
        return None if usage is None else prices.cost(usage, analysis.models_of(node))

    return cost


def _signed(line: str) -> Line:
    """Colour a line by its first character, as readers of git know it."""
    if line.startswith(("--- ", "+++ ", "@@ ", "first difference")):
        return [(line, "heading")]
    return [(line, _DIFF_ROLES.get(line[:1], ""))]


# ---- why: from a failure back to its cause -----------------------------------------------------


def _add_why(commands: Commands, shared: argparse.ArgumentParser) -> None:
    parser = commands.add_parser("why", parents=[shared], help="go from a failure to its cause")
    parser.add_argument("trace", help=TRACE_HELP)
    parser.add_argument("node", nargs="?", help="a node's id, or how it ends; else every failure")
    parser.add_argument("--json", action="store_true", help="print the explanations as JSON")
    parser.add_argument("--limit", type=_count, default=200, metavar="N", help="lines, 0 for all")
    _add_data_flow(parser)
    parser.set_defaults(run=_why)


def _why(options: argparse.Namespace, screen: Screen) -> int:
    """Explain; a run in which nothing failed is answered with 1."""
    why, style = extra("why"), screen.style
    trace = with_data_flow(find_trace(options.trace, options.store), options)
    trace.edges += inferred_edges(trace)
    node_id = None if options.node is None else find_node(trace, options.node).id
    if options.json:
        explanations = why.explain(trace, node_id)
        screen.show_json([explanation.to_dict() for explanation in explanations])
        return 0 if explanations else 1
    limit = options.limit or sys.maxsize
    look = {"width": style.width, "unicode": style.unicode, "whole": style.is_wide}
    lines = extra("terminal.why").render_why(trace, node_id, limit=limit, **look)
    roles = {"!": "failed", "~": "changed"}
    shown: list[Line] = [[(line, roles.get(line[:1], ""))] for line in lines]
    screen.show(shown or [[("nothing failed in this run", "")]])
    return 0 if lines else 1


# ---- view: a trace in the browser --------------------------------------------------------------


def _add_view(commands: Commands, shared: argparse.ArgumentParser) -> None:
    parser = commands.add_parser("view", parents=[shared], help="show a trace in the browser")
    parser.add_argument("trace", help=TRACE_HELP)
    parser.add_argument("--live", action="store_true", help="follow a run that is still going on")
    parser.add_argument("--output", metavar="FILE", help="where to write the page")
    parser.add_argument("--node", metavar="ID", help="open the page at this node")
    parser.add_argument("--no-io", action="store_true", help="leave inputs and outputs out")
    parser.add_argument("--no-open", action="store_true", help="only write it, open no browser")
    parser.add_argument("--force", action="store_true", help="replace a file that is no such page")
    parser.add_argument("--keep", action="store_true", help="with --live: serve on until Ctrl-C")
    _add_prices(parser)
    parser.set_defaults(run=_view)


def _view(options: argparse.Namespace, screen: Screen) -> int:
    """Write the page and print its path; with --live, serve it and print its address."""
    if options.live:
        return _view_live(options, screen)
    import pathlib  # for one line of one command

    viewer = extra("viewer")
    trace = find_trace(options.trace, options.store)
    run = measured(trace, options)
    costs = {step.node.id: step.cost for step in run.steps}
    shown = "" if options.node is None else f"#n={find_node(trace, options.node).id}"
    page = viewer.trace_page(trace, edges=run.edges, costs=costs, with_values=not options.no_io)
    path = viewer.write_page(page, options.output or _page_name(options), force=options.force)
    if not options.no_io:
        complain("note: the page contains recorded inputs and outputs (--no-io leaves them out)")
    address = pathlib.Path(path).as_uri()  # a path may hold characters that an address must not
    screen.show([[(path, "")]])
    _open_browser(address + shown, options)
    return 0


def _page_name(options: argparse.Namespace) -> str:
    """Return the path of the page: that of the trace, but for its ending; else one right here."""
    if options.trace == "-":
        return "trace.html"
    found = _find(options.trace, options.store)
    if isinstance(found, Stored) and not found.path:  # in a database
        return re.sub("[^0-9A-Za-z_-]", "_", found.trace_id)[:64] + ".html"
    return os.path.splitext(find_file(options.trace, options.store))[0] + ".html"


def _view_live(options: argparse.Namespace, screen: Screen) -> int:
    path = find_file(options.trace, options.store)
    if not path.endswith(".jsonl"):
        raise CommandError(options.trace, "the run has ended; show it without --live")
    with extra("viewer").LiveServer(path, keep=options.keep) as server:
        screen.show([[(server.url, "")]])
        screen.close()  # the address must be on the screen before the wait
        _open_browser(server.url, options)
        with contextlib.suppress(KeyboardInterrupt):  # stopping is how it ends
            server.serve_forever()
    return 0


def _open_browser(address: str, options: argparse.Namespace) -> None:
    """Open the page; where that is not possible, its address is on the screen."""
    if options.no_open:
        return
    import webbrowser

    with contextlib.suppress(webbrowser.Error, OSError):
        webbrowser.open(address)


# ---- import and export: other people's formats ---------------------------------------------------


def _add_import(commands: Commands, shared: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "import", parents=[shared], help="keep other people's traces as our own"
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="OTLP, Jaeger, LangSmith, Inspect, messages, ..."
    )
    parser.add_argument("--to", metavar="STORE", help="a directory or a store's URL, not --store")
    parser.add_argument("--force", action="store_true", help="replace traces that are there")
    parser.set_defaults(run=_import)


def _import(options: argparse.Namespace, screen: Screen) -> int:
    """Save every trace of every file; one that cannot be read does not stop the others."""
    importers = extra("importers")
    place = options.to or options.store
    failed = 0
    with opened_store(place) as store:
        for name in options.files:
            try:
                for trace in importers.import_file(name):
                    failed += not _keep(trace, store, options, screen)
            except (LogtracerError, OSError) as error:
                complain(_reason(error))
                failed += 1
    return int(failed > 0)


def _keep(trace: TraceGraph, store: Any, options: argparse.Namespace, screen: Screen) -> bool:
    """Save a trace; False when another one with its id is there."""
    known = None if options.force else store.load(trace.trace_id)
    if known is not None and known.to_dict() != trace.to_dict():
        complain(f"{trace.trace_id}: another trace of this id is there; --force replaces it")
        return False
    store.save(trace)
    nodes = counted(len(trace.nodes), "node")
    screen.show([[(trace.trace_id, "dim"), (f"  {nodes}  ", ""), (trace.name, "heading")]])
    return True


def _add_export(commands: Commands, shared: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "export", parents=[shared], help="write a trace for another viewer"
    )
    parser.add_argument("trace", help=TRACE_HELP)
    parser.add_argument(
        "--format",
        required=True,
        metavar="FORMAT",
        help="chrome (Perfetto), csv, dot, html, json, mermaid, otlp or speedscope",
    )
    parser.add_argument("--output", metavar="FILE", help="where to write; without it to stdout")
    parser.set_defaults(run=_export)


def _export(options: argparse.Namespace, screen: Screen) -> int:
    formats = extra("formats").FORMATS
    if options.format not in formats:
        raise UsageError("export", f"--format is one of {', '.join(formats)}")
    text = formats[options.format].write(find_trace(options.trace, options.store))
    if options.output is not None:
        _write_private(options.output, text)
        screen.show([[(options.output, "")]])
    elif sys.stdout.isatty():  # a terminal obeys what a trace may hold, so there it is escaped
        screen.show([[(line, "")] for line in text.splitlines()])
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8"))
    return 0


def _write_private(path: str, text: str) -> None:
    """Write a file that only its owner can read, as the traces themselves are."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text.encode("utf-8"))


# ---- copy and prune: traces from one store to another, and away ----------------------------------


def _add_copy(commands: Commands, shared: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "copy",
        parents=[shared],
        help="copy traces from one store to another",
        description="Copy traces, each whole or not at all. A directory or a URL names a store.",
    )
    parser.add_argument("source", metavar="SRC", help="where the traces are")
    parser.add_argument("target", metavar="DST", help="where they go; made if need be")
    parser.add_argument(
        "traces", nargs="*", metavar="ID", help="or how an id begins, or latest; else all"
    )
    _add_narrowing(parser)
    parser.add_argument("--running", action="store_true", help="also what still runs, as it is now")
    parser.add_argument("--force", action="store_true", help="replace other versions in DST")
    parser.set_defaults(run=_copy)


def _copy(options: argparse.Namespace, screen: Screen) -> int:
    """Copy; one trace that cannot be copied does not stop the others."""
    copy_one = extra("stores.copying").copy_one
    counts: Counter[str] = Counter()
    found = _to_copy(options)
    first = next(found, None)  # a source that is not there makes no target
    with opened_store(options.target) as target:
        for stored in () if first is None else itertools.chain([first], found):
            outcome = copy_one(
                stored.summary, stored.load, target, running=options.running, replace=options.force
            )
            counts[outcome.what] += 1
            _tell_copied(outcome, screen)
    screen.show([[(_copied_text(counts), "dim")]])
    return int(counts["failed"] + counts["differs"] > 0)


def _to_copy(options: argparse.Namespace) -> Iterator[Stored]:
    """Yield the traces to copy, each once; CommandError for the start of an id that none has."""
    wanted = _wanted(options)
    seen: set[str] = set()
    for prefix in options.traces or [""]:
        is_found = False
        if _LATEST.fullmatch(prefix):
            found: Iterable[Stored] = [_latest(prefix, options.source, **wanted)]
        else:
            found = stored_traces(options.source, prefix=prefix, **wanted)
        for stored in found:
            is_found = True
            if stored.trace_id not in seen:
                seen.add(stored.trace_id)
                yield stored
        if prefix and not is_found:
            raise CommandError(prefix, f"no such trace in {_without_password(options.source)}")


def _tell_copied(outcome: Any, screen: Screen) -> None:
    summary = outcome.summary
    if outcome.what == "copied":
        nodes = counted(summary.node_count, "node")
        name = (summary.name, "heading")
        screen.show([[(summary.trace_id, "dim"), (f"  {nodes}  ", ""), name]])
    elif outcome.what == "differs":
        complain(f"{summary.trace_id}: another version of it is there; --force replaces it")
    elif outcome.what == "failed":
        complain(f"{summary.trace_id}: not copied: {outcome.problem}")


def _copied_text(counts: Mapping[str, int]) -> str:
    text = f"copied {counted(counts['copied'], 'trace')}"
    if counts["same"]:
        text += f", {counts['same']:,} there already"
    if counts["running"]:
        text += f", {counts['running']:,} still running (--running copies as far as they are)"
    return text


def _add_prune(commands: Commands, shared: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "prune",
        parents=[shared],
        help="remove old traces",
        description="Remove the traces of --store that meet all conditions.",
    )
    parser.add_argument(
        "--older-than",
        type=_since,
        metavar="TIME",
        help="nothing was added since: 30d, 12h or 2026-11-22",
    )
    parser.add_argument("--keep", type=_count, default=0, metavar="N", help="but the newest N")
    parser.add_argument("--status", choices=[status.value for status in NodeStatus])
    parser.add_argument("--running", action="store_true", help="also what may still run")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    parser.set_defaults(run=_prune)


def _prune(options: argparse.Namespace, screen: Screen) -> int:
    if not (options.older_than or options.keep or options.status):
        raise UsageError("prune", "needs --older-than, --keep or --status")
    retention = extra("stores.retention")
    conditions = {
        name: getattr(options, name) for name in ("older_than", "keep", "status", "running")
    }
    with opened_store(options.store, must_exist=True) as store:
        prune = retention.prunable if options.dry_run else retention.prune
        removed = list(prune(store, **conditions))
        left = len(store.list_traces()) - (len(removed) if options.dry_run else 0)
    for summary in removed:
        start = "" if summary.start_time is None else f"  {summary.start_time:%Y-%m-%d %H:%M:%SZ}"
        screen.show([[(summary.trace_id, "dim"), (f"  {summary.name}", "heading"), (start, "dim")]])
    verb = "would remove" if options.dry_run else "removed"
    place = _without_password(options.store)
    words = f"{verb} {counted(len(removed), 'run')} from {place}; {left:,} left"
    screen.show([[(words, "dim")]])
    return 0


# ---- watch: what is happening now ----------------------------------------------------------------

_POLL = 0.25  # seconds between two looks for a run to start


def _add_watch(commands: Commands, shared: argparse.ArgumentParser) -> None:
    parser = commands.add_parser("watch", parents=[shared], help="follow a run while it goes on")
    parser.add_argument(
        "trace",
        nargs="?",
        help="a file, latest, or the start of a trace id in --store; else the newest that runs",
    )
    _add_prices(parser)
    parser.set_defaults(run=_watch, no_pager=True)


def _watch(options: argparse.Namespace, screen: Screen) -> int:
    prices = prices_of(options)
    found = _to_watch(options)
    follower: Any = None
    if found.path.endswith(".jsonl"):
        follower = extra("following").Follower(found.path)
    elif not found.path:
        follower = extra("following").StoreFollower(found.load)
    if follower is not None:
        with contextlib.closing(follower):
            loop = extra("terminal.watch").WatchLoop(follower, screen, prices)
            live = _live_screen(screen)
            if live is None:
                loop.by_line()
            else:
                style_now = functools.partial(choose_style, options, sys.stdout)
                open_page = functools.partial(open_live_page, found.path) if found.path else None
                loop.on_screen(live, style_now, open_page)
                screen.style = choose_style(options, sys.stdout)  # the terminal may have changed
    document = found.path.removesuffix("l")  # what a journal becomes when its run ends
    trace = load_trace(document) if os.path.exists(document) else found.load()
    run = extra("analysis").measure(trace, prices) if prices else None
    screen.show(summary_lines(trace, screen.style, run))
    return 0


def open_live_page(path: str) -> None:
    """Show a run in the browser, from a process that outlives the watch and ends by itself."""
    import subprocess  # for one key

    with open(os.devnull, "r+b") as nowhere:  # the terminal is the watch's
        subprocess.Popen(
            [sys.executable, __file__, "view", "--live", path],
            stdin=nowhere,
            stdout=nowhere,
            stderr=nowhere,
            start_new_session=True,  # Ctrl-C in the watch is not meant for it
        )


def _to_watch(options: argparse.Namespace) -> Stored:
    """Return the trace that is named, or the newest that runs; wait for one where none does."""
    if options.trace is not None:
        found = _find(options.trace, options.store)
        if isinstance(found, Stored):
            return found
        return Stored(trace_id_of(found), found, functools.partial(load_trace, found))
    is_waiting = False
    while True:
        is_there = "://" in options.store or os.path.lexists(options.store)
        for found in stored_traces(options.store) if is_there else ():
            if not found.path.endswith(".json"):
                return found
        if not is_waiting:
            place = _without_password(options.store)
            complain(f"waiting for a run to start in {place} (Ctrl-C stops)")
        is_waiting = True
        time.sleep(_POLL)


def _live_screen(screen: Screen) -> Any:
    """Return the screen to draw on, None where lines are to be printed one after the other."""
    if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return None
    try:
        live = extra("terminal._live_screen")
    except CommandError as error:  # without rich
        complain(f"{error}; printing events line by line")
        return None
    return live.LiveScreen(_COLOURS if screen.style.colours else {})


# ---- demo: a run to look at --------------------------------------------------------------------


def _add_demo(commands: Commands, shared: argparse.ArgumentParser) -> None:
    parser = commands.add_parser("demo", parents=[shared], help="record a small run and show it")
    parser.set_defaults(run=_demo)


def _demo(options: argparse.Namespace, screen: Screen) -> int:
    demo = extra("terminal.demo")
    with opened_store(options.store) as store:
        trace_id = demo.record(Tracer(storage=store))
    trace = find_trace(trace_id, options.store)
    screen.show(summary_lines(trace, screen.style))
    screen.show([[], *tree_lines(trace, "standard", screen.style)])
    path = os.path.join(options.store, f"{trace_id}.json")
    place = path if os.path.exists(path) else _without_password(options.store)
    again = f"{_typed_command()} inspect latest --verbosity full"
    if options.store != STORE:
        again += f" --store {shlex.quote(_without_password(options.store))}"
    hints = (f"Recorded in {place}", f"Look again: {again}")
    screen.show([[], *([(hint, "dim")] for hint in hints)])
    return 0


# ---- The dispatcher ----------------------------------------------------------------------------


def _shared_options() -> argparse.ArgumentParser:
    """Return the options every command takes."""
    shared = argparse.ArgumentParser(add_help=False)
    group = shared.add_argument_group("output")
    group.add_argument("--ascii", action="store_true", help="plain ASCII characters only")
    group.add_argument("--color", choices=("auto", "always", "never"), default="auto")
    group.add_argument("--width", type=_positive, metavar="N", help="columns to draw on")
    group.add_argument("--wide", action="store_true", help="show long values whole")
    group.add_argument("--no-pager", action="store_true", help="do not page long output")
    place = "where traces are: a directory (default: ./traces), sqlite://FILE or postgresql://..."
    shared.add_argument("--store", default=STORE, metavar="PLACE", help=place)
    return shared


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) < 1_000_000:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")


def _positive(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) < 100_000:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")


_COMMANDS = (
    _add_inspect,
    _add_list,
    _add_watch,
    _add_stats,
    _add_search,
    _add_diff,
    _add_why,
    _add_view,
    _add_import,
    _add_export,
    _add_copy,
    _add_prune,
    _add_demo,
)


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="logtracer",
        description="Look at what an agent did.",
        epilog="To begin, `logtracer demo` records a small run and shows it.",
    )
    parser.add_argument("--version", action="version", version=f"logtracer {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for add_command in _COMMANDS:
        add_command(commands, _shared_options())
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run a command and return its exit code.

    0 done, 1 no or not readable, 2 wrong use, 130 stopped by Ctrl-C.
    """
    parser = _build_parser()
    _complete_for_shell(parser)
    try:
        options = parser.parse_args(argv)
    except SystemExit as stop:  # argparse has said all there is to say
        return stop.code if isinstance(stop.code, int) else 2
    if options.command is None:
        parser.print_help(sys.stderr)
        return 2
    was_on = gc.isenabled()
    gc.disable()  # loading 100,000 nodes takes half the time without the garbage collector
    try:
        return _run(options)
    finally:
        if argv is None:  # a program that ends now: looking at what is left takes 0.3 s of them
            gc.freeze()
        elif was_on:
            gc.enable()


def _complete_for_shell(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks how a command goes on, where argcomplete is installed."""
    if "_ARGCOMPLETE" in os.environ:
        with contextlib.suppress(ImportError):
            importlib.import_module("argcomplete").autocomplete(parser)


def _run(options: argparse.Namespace) -> int:
    if sys.stdout is None:  # closed by the shell, `>&-`
        complain("output: it is closed")
        return 1
    try:
        style, pager = choose_style(options, sys.stdout), choose_pager(options, sys.stdout)
        with contextlib.closing(Screen(style, pager=pager)) as screen:
            code: int = options.run(options, screen)
        return code
    except BrokenPipeError:  # `logtracer inspect x | head`: whoever read us has seen enough
        _silence_stdout()
        return 0
    except KeyboardInterrupt:
        return 130
    except CommandError as error:
        complain(str(error))
        return error.code
    except (LogtracerError, OSError) as error:
        complain(_reason(error))
        if isinstance(error, OSError) and error.filename is None:  # stdout itself, on a full disk
            _silence_stdout()
        return 1


def _silence_stdout() -> None:
    """Let the interpreter's last flush of a closed pipe or a full disk go nowhere."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    raise SystemExit(main())
