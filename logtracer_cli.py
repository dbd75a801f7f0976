"""The terminal of logtracer: `logtracer COMMAND ...`, also `python -m logtracer_cli COMMAND ...`.

As a library: `main(argv)` runs a command and returns its exit code, `render_trace(trace)` returns
the tree as text. Lines are formatted here; rich, when it is installed, lends its colours. The
sections, in order: text, pen, screen, finding traces, facts, the tree, the commands one by one,
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
import math
import os
import re
import shlex
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timezone
from keyword import iskeyword
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol, TextIO, cast

from logtracer import (
    Edge,
    LogtracerError,
    Node,
    NodeStatus,
    StorageBackend,
    TraceGraph,
    TraceLoadError,
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
    "Pen",
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

    from logtracer_extras.analysis.run import Run
    from logtracer_extras.analysis.tokens import PriceTable
    from logtracer_extras.diff import TraceDiff
    from logtracer_extras.query import Query
    from logtracer_extras.stores.summaries import TraceFilter, TraceSummary

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
    "fold": ("⋯", "..."),
}

# In the words of rich, which knows the terminal; sixteen-colour names, so that themes hold.
COLOURS = {
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
class Pen:
    """How to draw: Unicode or ASCII, with which colours, on how many columns."""

    unicode: bool = True
    width: int = 80
    is_wide: bool = False  # show values whole, however long
    colours: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    is_folding: bool = False  # break what is wider than the columns, and indent the rest

    def glyph(self, name: str) -> str:
        """Return a drawing character by name, or its ASCII twin."""
        return _GLYPHS[name][0 if self.unicode else 1]

    def duration(self, milliseconds: float | None) -> str:
        """Return a time: `812ms`, `12.40s`, `21m40s`, `3h02m`; `open` without one."""
        return duration_text(milliseconds)

    def tokens(self, number: int) -> str:
        """Return a number of tokens in few characters: `812`, `21.1k`, `3.2M`."""
        return count_text(number)

    def cost(self, cost: float | None) -> str:
        """Return money: `$0.0123`, `$12.30`, `$1,234.50`; `-` when it is not known."""
        return cost_text(cost)

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


def choose_pen(options: argparse.Namespace, stream: TextIO) -> Pen:
    """Decide from the flags, the environment and the stream how to draw."""
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("_", "-")
    is_plain = options.ascii or _wants_ascii(stream)
    unicode = not is_plain and encoding in ("utf-8", "utf8", "cp65001")
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
    return Pen(unicode, width, options.wide, colours or {}, is_folding)


def _wants_ascii(stream: TextIO) -> bool:
    """Tell whether the locale or the terminal knows ASCII alone.

    Python writes UTF-8 in the C locale too, so the stream's encoding does not tell.
    """
    if os.environ.get("PYTHONUTF8") == "1" or os.environ.get("PYTHONIOENCODING"):
        return False  # somebody asked for an encoding
    names = (os.environ.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG"))
    locale = next(filter(None, names), "")
    return locale in ("C", "POSIX") or (stream.isatty() and os.environ.get("TERM") == "dumb")


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
    for role, words in COLOURS.items():
        start, end = (
            RichStyle.parse(words).render("|", color_system=ColorSystem.STANDARD).split("|")
        )
        codes[role] = (start, end)
    return codes


# ---- Screen: the one place that writes ---------------------------------------------------------

_BLOCK = 512  # lines written at once: a line at a time takes a second for 100,000


class Screen:
    """Where a command's lines go: everything a user sees is escaped, coloured and written here."""

    def __init__(self, pen: Pen, stream: TextIO | None = None, pager: str = "") -> None:
        self.pen = pen
        self._stream = stream or sys.stdout
        self._pager = pager
        self._held = ""  # what is not written yet: too little so far to need the pager
        self._process: subprocess.Popen[str] | None = None

    def show(self, lines: Iterable[Line]) -> None:
        """Write lines, in blocks."""
        texts = map(self.pen.text, lines)
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


def reason_of(error: Exception) -> str:
    """Return why something failed, in one line: of the system's errors with the file's name."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'output'}: {error.strerror.lower()}"
    return str(error)


# ---- Finding traces: a path, `-`, `latest`, or the start of an id ------------------------------

STORE = "./traces"  # unless --store names another place
TRACE_HELP = "a file, - (stdin), latest, latest~1, or the start of a trace id in --store"

LATEST = re.compile(r"latest(?:~[0-9]{1,6})?")
_TRACE_FILE = re.compile(r"[0-9A-Za-z_-]{1,64}(?:\.json|(?:\.[0-9a-f]{16})?\.jsonl)")


def find_trace(argument: str, store: str) -> TraceGraph:
    """Load the trace a user names.

    That is a path, `-` (stdin), `latest`, `latest~1`, or the start of an id in the store.
    """
    if argument == "-":
        return _read_stdin()
    found = locate(argument, store)
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
        with vendored():
            from logtracer_extras import importers
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
    found = locate(argument, store)
    if isinstance(found, str):
        return found
    if not found.path:
        raise CommandError(
            argument, f"is in {without_password(store)}, not in a file. See logtracer export"
        )
    return found.path


class Stored(NamedTuple):
    """A trace of a store: its id, its file where it is one, and how to load it."""

    trace_id: str
    path: str  # "" in a database
    load: Callable[[], TraceGraph]
    summary: TraceSummary | None = None  # what a list says of it, where that was asked


def locate(argument: str, store: str) -> str | Stored:
    """Return the path or the stored trace that a user names."""
    if not argument:  # of a shell variable that was never set
        raise CommandError("''", f"is not a trace: pass {TRACE_HELP}")
    if argument == "-":
        raise UsageError("-", "stdin cannot be followed; name a file or a store")
    if LATEST.fullmatch(argument):
        return latest_trace(argument, store)
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
        with vendored():
            from logtracer_extras.listing import TraceFilter
    except CommandError:  # not copied along: files can be found without it
        prefix = wanted.pop("prefix", "")
        if wanted or _is_database(store):
            raise
        return itertools.islice(_by_file_time(store.removeprefix("file://"), prefix), limit)
    chosen = TraceFilter(**wanted)
    if _is_database(store):
        return itertools.islice(_in_database(store, chosen, limit), limit)
    return itertools.islice(_in_directory(store.removeprefix("file://"), chosen), limit)


def _is_database(store: str) -> bool:
    return "://" in store and not store.startswith("file://")


def _in_directory(directory: str, wanted: TraceFilter) -> Iterator[Stored]:
    from logtracer_extras.stores import list_directory

    try:
        for summary in list_directory(directory, wanted):
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
    begin = f", or begin with: {typed_command()} demo" if directory == STORE else ""
    return CommandError(directory, f"{reason}; name the directory with --store{begin}")


def typed_command() -> str:
    """Return how the user called us: there is no `logtracer` on the PATH of a mere checkout."""
    script = sys.argv[0]
    return f"python3 {script}" if script.endswith("logtracer_cli.py") else "logtracer"


def _in_database(url: str, wanted: TraceFilter, limit: int | None) -> Iterator[Stored]:
    from logtracer_extras.listing import list_summaries

    with opened_store(url, must_exist=True) as store:
        for summary in list_summaries(store, wanted, limit):
            load = functools.partial(_load_from, store, summary.trace_id, url)
            yield Stored(summary.trace_id, "", load, summary)


def _load_from(store: StorageBackend, trace_id: str, url: str) -> TraceGraph:
    trace = store.load(trace_id)
    if trace is None:
        raise CommandError(trace_id, f"is no longer in {without_password(url)}")
    return trace


def count_traces(store: str) -> int:
    """Return how many traces a directory or the store of a URL has."""
    if _is_database(store):
        with opened_store(store, must_exist=True) as opened:
            return len(opened.list_traces())
    with vendored():
        from logtracer_extras.stores import trace_ids_in
    directory = store.removeprefix("file://")
    try:
        return len(trace_ids_in(directory))
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
        raise CommandError(without_password(place), str(error)) from None
    except ValueError:  # its text may hold the URL with its password
        known = "a directory, sqlite://FILE or postgresql://USER@HOST/DATABASE"
        raise UsageError(without_password(place), f"is not {known}") from None
    try:
        yield store
    finally:
        close: Callable[[], object] = getattr(store, "close", lambda: None)
        close()


def without_password(url: str) -> str:
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


def latest_trace(argument: str, store: str, **wanted: Any) -> Stored:
    """Return the trace that `latest` or `latest~1` names among those that are wanted."""
    steps = int(argument.partition("~")[2] or 0)
    traces = stored_traces(store, steps + 1, **wanted)
    found = next(itertools.islice(traces, steps, None), None)
    if found is None:
        number = counted(count_traces(store), "trace")
        raise CommandError(argument, f"{without_password(store)} holds {number}")
    return found


def _of_id(prefix: str, store: str) -> Stored:
    traces = list(stored_traces(store, prefix=prefix))
    exact = [trace for trace in traces if trace.trace_id == prefix]
    if exact or len(traces) == 1:
        return (exact or traces)[0]
    if not traces:
        place = without_password(store)
        raise CommandError(
            prefix, f"no trace id in {place} starts with it; recent traces: logtracer list"
        )
    ids = ", ".join(_short_ids([trace.trace_id for trace in traces[:5]]))
    more = f" and {len(traces) - 5} more" if len(traces) > 5 else ""
    raise CommandError(
        prefix, f"ambiguous: matches {len(traces)} traces: {ids}{more}. Type more characters."
    )


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


@contextlib.contextmanager
def vendored() -> Iterator[None]:
    """Let imports of `logtracer_extras` that fail say what to copy or to install."""
    try:
        yield
    except ImportError as error:
        _, is_ours, path = (error.name or "").partition("logtracer_extras")
        if not is_ours or not isinstance(error, ModuleNotFoundError):
            raise CommandError("extras", str(error)) from None  # it says itself what to install
        place = f"{is_ours}{path}".replace(".", "/")
        raise CommandError(place, "not found; copy the folder beside logtracer_cli.py") from None


def add_prices(parser: argparse.ArgumentParser) -> None:
    """Add the flag that names a table of prices."""
    parser.add_argument(
        "--prices", metavar="FILE", help="prices per million tokens, as JSON (or LOGTRACER_PRICES)"
    )


def prices_of(options: argparse.Namespace) -> PriceTable | None:
    """Return the price table the user gave, None without one: then nothing is said of cost."""
    path = options.prices or os.environ.get("LOGTRACER_PRICES")
    if not path:
        return None
    with vendored():
        from logtracer_extras.analysis import load_prices
    return load_prices(path)


def add_data_flow(parser: argparse.ArgumentParser) -> None:
    """Add the flag that asks for data flow nobody recorded."""
    parser.add_argument(
        "--data-flow", action="store_true", help="also find which node gave data to which later one"
    )


def with_data_flow(trace: TraceGraph, options: argparse.Namespace) -> TraceGraph:
    """Add to a trace in memory the data flow nobody recorded, where the user asks for it."""
    if options.data_flow:
        with vendored():
            from logtracer_extras.analysis import infer_data_flow
        trace.edges += infer_data_flow(trace)
    return trace


def inferred_edges(trace: TraceGraph) -> list[Edge]:
    """Return the retries and fallbacks nobody recorded; none where the extra was not copied."""
    if not any(node.status in ("failed", "cancelled") for node in trace.nodes.values()):
        return []
    try:
        with vendored():
            from logtracer_extras.analysis import infer_retries
    except CommandError:
        return []
    return infer_retries(trace)


def measured(trace: TraceGraph, options: argparse.Namespace) -> Run:
    """Return the trace measured by `logtracer_extras.analysis`."""
    with vendored():
        from logtracer_extras.analysis import measure
    return measure(trace, prices_of(options))


# ---- Facts: what is said about a node or a run -------------------------------------------------


# Times, counts and costs are written as on the page: tests/data/writing_vectors.json binds both.


def duration_text(milliseconds: float | None) -> str:
    """Return a time: `812ms`, `12.40s`, `21m40s`, `3h02m`; `open` without one."""
    if milliseconds is None:
        return "open"
    micros = math.floor(milliseconds * 1_000 + 0.5)
    if micros < 999_500:
        return f"{(micros + 500) // 1_000}ms"
    if micros < 59_995_000:
        seconds, hundredths = divmod((micros + 5_000) // 10_000, 100)
        return f"{seconds}.{hundredths:02}s"
    minutes, seconds = divmod((micros + 500_000) // 1_000_000, 60)
    if minutes < 60:
        return f"{minutes}m{seconds:02}s"
    return f"{minutes // 60}h{minutes % 60:02}m"


def count_text(number: int) -> str:
    """Return a large number in few characters: `812`, `21.1k`, `3.2M`."""
    if number < 1_000:
        return str(number)
    unit, letter = (1_000, "k") if number < 999_950 else (1_000_000, "M")
    whole, tenths = divmod((number * 10 + unit // 2) // unit, 10)
    return f"{whole}.{tenths}{letter}"


def cost_text(cost: float | None) -> str:
    """Return money in dollars, to a hundredth of a cent below one; `-` when it is not known."""
    if cost is None:
        return "-"
    if cost < 0.99995:
        return f"${math.floor(cost * 10_000 + 0.5) / 10_000:.4f}"
    return f"${math.floor(cost * 100 + 0.5) / 100:,.2f}"


def counted(number: int, noun: str) -> str:
    """Return `1 node`, `38 nodes`, `2 retries`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def start_text(trace: TraceGraph) -> str:
    """Return when a trace started, in UTC, to the second."""
    start = trace.start_time
    if start is None:
        return "start unknown"
    with contextlib.suppress(OverflowError):  # in UTC it would be before or after the calendar
        start = start.astimezone(timezone.utc)
    return f"{start:%Y-%m-%d %H:%M:%SZ}"


def tokens_of(node: Node) -> tuple[int, int]:
    """Return the tokens a node read and wrote, 0 where it says nothing.

    Cached tokens are part of what was read; where they are more, they were counted beside it.
    """
    facts = [node.metadata.get(f"gen_ai.usage.{name}") for name in _COUNTS]
    read, wrote, cached, written, thought = (fact if type(fact) is int else 0 for fact in facts)
    stored = cached + written
    return read + stored * (stored > read), wrote + thought * (thought > wrote)


_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read.input_tokens",
    "cache_creation.input_tokens",
    "reasoning.output_tokens",
)


def _error_text(node: Node) -> str:
    return ": ".join(filter(None, (node.error_type, node.error)))


def waited_ms(trace: TraceGraph) -> float:
    """Return how long the run was paused, most often for a human; 0.0 for one that never was."""
    root = trace.root
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
    labels = {"session_id": trace.session_id, "user_id": trace.user_id, "tags": [*trace.tags]}
    return {
        "trace_id": trace.trace_id,
        "name": trace.name,
        "schema_version": trace.schema_version,
        "duration_ms": trace.duration_ms,
        "node_count": len(trace.nodes),
        "edge_count": len(trace.edges),
        "status_counts": {status.value: statuses[status] for status in NodeStatus},
        "node_type_counts": dict(sorted(types.items())),
        **{name: value for name, value in labels.items() if value},
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
    root = trace.root
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
    pen: Pen,
    shown: set[str] | None = None,
    costs: Mapping[str, float] = MappingProxyType({}),
    inferred: Iterable[Edge] = (),
) -> Iterator[Line]:
    """Yield the published tree of a trace, line by line.

    `shown` are the ids of the nodes to draw, None for all; `costs` what nodes cost, by id;
    `inferred` edges beside the recorded ones.
    """
    tree = _Tree(trace, verbosity, pen, costs, _reasons_of(trace, pen, inferred))
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
    pen = Pen(width=_MOST_TEXT)
    return "".join(f"{pen.text(line)}\n" for line in tree_lines(trace, verbosity, pen))


def render_diff(difference: TraceDiff, *, width: int = 80) -> str:
    """Return what `logtracer diff` says of two traces as plain text, "" when they are the same.

    `difference` is what `logtracer_extras.diff.diff` returns; `width` is in columns.
    """
    with vendored():
        from logtracer_extras.terminal._diff_text import difference_lines
    pen = Pen(width=width)
    return "".join(f"{pen.text(line)}\n" for line in difference_lines(difference, pen))


class _Tree:
    """Draw the rows of one trace."""

    def __init__(
        self,
        trace: TraceGraph,
        verbosity: str,
        pen: Pen,
        costs: Mapping[str, float],
        reasons: Mapping[str, Line],
    ) -> None:
        self._trace = trace
        self._costs = costs
        self._verbosity = verbosity
        self._pen = pen
        self._reasons = reasons
        self._indents = [""]  # what stands before a row, level by level
        self._deepest = _MOST_INDENT
        if pen.is_folding:
            self._deepest = max(1, min(_MOST_INDENT, (pen.width - _LEAST_TEXT) // 4 - 2))

    def title(self, has_rows: bool) -> Iterator[Line]:
        """Yield the line of the whole run, and what its root says."""
        trace, root = self._trace, self._trace.root
        line: Line = [("Trace: ", ""), (self._cut(trace.name or trace.trace_id), "heading")]
        line.append((f" ({self._pen.duration(trace.duration_ms)})", "dim"))
        if root is None:
            yield from self._pen.folded(line, _HANG)
            return
        if root.status != NodeStatus.COMPLETED:
            line.append((f" {self._pen.glyph(root.status)}", root.status))
        yield from self._pen.folded(line + self._ends(root), _HANG)
        yield from self._details(root, "", has_rows)

    def row(self, row: Row) -> Iterator[Line]:
        """Yield the line of a node and the lines of what is said about it."""
        pen, node, level = self._pen, row.node, min(row.level, self._deepest)
        del self._indents[level + 1 :]
        indent = self._indents[level]
        line: Line = [(indent + pen.glyph("last" if row.is_last else "branch"), "dim")]
        if row.level > level:
            line.append((f"(level {row.level}) ", "dim"))
        line.append((f"[{self._cut(node.node_type)}] ", node.node_type))
        line.append((self._cut(node.name), ""))
        line.append((f" ({pen.duration(node.duration_ms)}) ", "dim"))
        line.append((pen.glyph(node.status), node.status))
        if row.is_detached:
            line.append((" detached", "failed"))
        below = indent + ("    " if row.is_last else pen.glyph("bar"))
        yield from pen.folded(line + self._ends(node), below + _HANG)
        self._indents.append(below)
        yield from self._details(node, below, row.is_parent)

    def _ends(self, node: Node) -> Line:
        """Return what follows a node's status: why it connects, and what it used."""
        reasons = self._reasons.get(node.id)
        line: Line = [(" ", ""), *reasons] if reasons else []
        tokens = sum(tokens_of(node))
        if tokens:
            line.append((f"  {self._pen.tokens(tokens)} tok", "dim"))
        if node.id in self._costs:
            line.append((f"  {self._pen.cost(self._costs[node.id])}", "dim"))
        return line

    def _details(self, node: Node, indent: str, is_parent: bool) -> Iterator[Line]:
        details = self._said_of(node, max(_LEAST_TEXT, self._pen.width - len(indent) - 4))
        for position, (label, texts, role) in enumerate(details, 1):
            is_last = position == len(details) and not is_parent
            branch = self._pen.glyph("last" if is_last else "branch")
            hang = indent + ("    " if is_last else self._pen.glyph("bar")) + _HANG
            line: Line = [(indent + branch, "dim"), (label, "dim"), (texts[0], role)]
            yield from self._pen.folded(line, hang)
            for text in texts[1:]:
                yield from self._pen.folded([(hang, "dim"), (text, role)], hang)

    def _said_of(self, node: Node, room: int) -> list[tuple[str, list[str], str]]:
        """Return what a node says as labels and their lines, by verbosity."""
        if self._verbosity == "minimal":
            return []
        said = [("annotation: ", [self._quoted(note)], "") for note in node.annotations]
        if node.error is not None or node.error_type is not None:
            error = _error_text(node)
            said.append(("error: ", [self._cut(error)], "failed"))
        if self._verbosity == "full":
            room = _MOST_TEXT
        elif said:
            return said
        turn = _turn_of(node) if self._verbosity == "standard" else None
        if turn is not None:
            return [(label, [self._shortened(label, text, room)], "") for label, text in turn]
        values = [("input: ", node.input_data), ("output: ", node.output_data)]
        if self._verbosity == "full":
            values.append(("metadata: ", node.metadata))
        said += [(label, [self._value(label, data, room)], "") for label, data in values if data]
        if self._verbosity == "full" and node.error_traceback:
            said.append(("traceback:", self._traceback(node.error_traceback), "dim"))
        return said

    def _shortened(self, label: str, text: str, room: int) -> str:
        if self._pen.is_wide:
            return text
        return clip(text, room - len(label), self._pen.glyph("cut"))

    def _quoted(self, note: object) -> str:
        return f'"{self._cut(note if isinstance(note, str) else value_text(note, _MOST_TEXT))}"'

    def _value(self, label: str, data: object, room: int) -> str:
        if self._pen.is_wide:
            return value_text(data, _ENDLESS)
        room -= len(label)
        return clip(value_text(data, room), room, self._pen.glyph("cut"))

    def _traceback(self, text: str) -> list[str]:
        lines = text.rstrip("\n").split("\n")
        if self._pen.is_wide or len(lines) <= _LAST_LINES:
            return ["", *lines]
        return [f" {len(lines) - _LAST_LINES} more lines above", *lines[-_LAST_LINES:]]

    def _cut(self, text: str) -> str:
        if self._pen.is_wide or (len(text) <= _MOST_TEXT and text.isascii()):
            return text
        return clip(text, _MOST_TEXT, self._pen.glyph("cut"))


def _turn_of(node: Node) -> list[tuple[str, str]] | None:
    """Return what a model call was asked and answered, None where that cannot be told."""
    if node.node_type != "llm_call":
        return None
    try:
        with vendored():
            from logtracer_extras.terminal._turns import turn_of
    except CommandError:  # not copied along: then its input and output are shown as they are
        return None
    return turn_of(node)


def _reasons_of(trace: TraceGraph, pen: Pen, inferred: Iterable[Edge]) -> dict[str, Line]:
    """Return, by the id of the later node, its edges in words; the tree shows its parent."""
    reasons: dict[str, Line] = {}
    for edge in itertools.chain(trace.edges, inferred):
        target = trace.nodes.get(edge.target_id)
        if target is None or (edge.edge_type, edge.source_id) == ("caused_by", target.parent_id):
            continue
        known = reasons.setdefault(target.id, [])
        before = ", " if known else f"{pen.glyph('from')} "
        text = before + clip(_edge_text(trace, edge, pen), _MOST_TEXT, pen.glyph("cut"))
        known.append((text, _EDGE_ROLES.get(edge.edge_type, "dim")))
    return reasons


def _edge_text(trace: TraceGraph, edge: Edge, pen: Pen) -> str:
    source = trace.nodes.get(edge.source_id)
    words = _EDGE_WORDS.get(edge.edge_type, f"{edge.edge_type}:")
    said = [edge.label] if edge.label else []
    if "source_path" in edge.metadata and "target_path" in edge.metadata:
        paths = (str(edge.metadata[end]) for end in ("source_path", "target_path"))
        said.append(pen.glyph("to").join(paths))
    if edge.metadata.get("inferred") is True:
        said.append("inferred")
    return f"{words} {source.name if source else edge.source_id}" + (
        f" ({', '.join(said)})" if said else ""
    )


# ---- inspect: one trace, its summary and its tree ----------------------------------------------


def _add_inspect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", nargs="?", default="latest", help=TRACE_HELP)
    parser.add_argument("--verbosity", choices=VERBOSITIES, default="standard")
    parser.add_argument("--timeline", action="store_true", help="when each node ran, as bars")
    parser.add_argument("--no-bars", action="store_true", help="with --timeline: columns only")
    parser.add_argument("--failed", action="store_true", help="only failed nodes, and those above")
    parser.add_argument("--filter", metavar="QUERY", help="only matching nodes, and those above")
    parser.add_argument(
        "--depth", type=count, metavar="N", help="levels to show, 0 for all; 3 in a timeline"
    )
    parser.add_argument(
        "--node", metavar="ID", help="one node in detail; the end of its id is enough"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the summary, or the --node, as JSON"
    )
    parser.add_argument("--output", metavar="FILE", help="with --json: write it to a file")
    parser.add_argument(
        "--exit-status", action="store_true", help="exit 1 unless the trace completed"
    )
    add_data_flow(parser)
    add_prices(parser)
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
        screen.show(node_lines(with_data_flow(trace, options), node, screen.pen))
    else:
        _show_run(trace, options, screen)
    return int(options.exit_status and trace.status != NodeStatus.COMPLETED)


def _show_json(document: object, path: str | None, screen: Screen) -> None:
    if path is None:
        screen.show_json(document)
        return
    with open(path, "w", encoding="ascii") as file:
        file.write(json_text(document))


def _show_run(trace: TraceGraph, options: argparse.Namespace, screen: Screen) -> None:
    """Show the summary, at once however long the trace is, then its nodes."""
    is_priced = bool(options.prices or os.environ.get("LOGTRACER_PRICES"))
    is_priced = is_priced or any(
        "gen_ai.usage.cost" in each.metadata for each in trace.nodes.values()
    )
    run = measured(trace, options) if options.timeline or options.filter or is_priced else None
    if not (options.timeline or options.depth or options.failed or options.filter):
        screen.expect(len(trace.nodes))  # a line at least for each
    screen.show(summary_lines(trace, screen.pen, run))
    screen.flush()
    screen.show(_nodes_lines(with_data_flow(trace, options), options, run, screen.pen))


def _nodes_lines(
    trace: TraceGraph, options: argparse.Namespace, run: Run | None, pen: Pen
) -> Iterator[Line]:
    """Yield the tree or the timeline, and how many nodes are not in it."""
    depth = 3 * options.timeline if options.depth is None else options.depth
    shown = _shown(trace, options, depth, run)
    yield []
    if options.timeline and run is not None:
        with vendored():
            from logtracer_extras.terminal._timeline import timeline_lines
        yield from timeline_lines(run, pen, shown=shown, bars=not options.no_bars)
    else:
        costs = {step.node.id: step.cost for step in run.steps if step.cost} if run else {}
        inferred = run.inferred if run else inferred_edges(trace)
        yield from tree_lines(trace, options.verbosity, pen, shown, costs, inferred)
    hidden = 0 if shown is None else len(trace.nodes) - len(shown)
    if hidden:
        flags = ["--failed"] * options.failed + ["--filter"] * bool(options.filter)
        flags += [f"--depth {depth}"] * bool(depth)
        again = f"logtracer inspect {name_again(options.trace, options.store)}"
        again += " --timeline --depth 0" * options.timeline
        hints = (f"{counted(hidden, 'node')} hidden by {' '.join(flags)}.", f"Show all: {again}")
        yield []
        yield from ([(text, "dim")] for text in _wrapped(hints, "  ", pen.width))


def name_again(named: str | None, store: str, trace_id: str = "") -> str:
    """Return the arguments that name a trace once more: as it was named, or by its id."""
    from shlex import quote  # for a hint at the end

    name = named or trace_id[:8]
    is_enough = store == STORE or os.path.exists(name)
    return quote(name) + ("" if is_enough else f" --store {quote(without_password(store))}")


def _shown(
    trace: TraceGraph, options: argparse.Namespace, depth: int, run: Run | None
) -> set[str] | None:
    """Return the ids of the nodes that the flags leave to see, None for all.

    Whatever the depth, failed nodes are shown. With a node, all nodes above it are.
    """
    shown: set[str] | None = None
    failed = _with_ancestors(trace, {node.id for node in trace.failed_nodes})
    if depth:
        shown = failed | {node.id for level, node in trace.walk() if level <= depth}
    if options.filter and run is not None:
        matches = parsed_query(options.filter).search_run(run)
        found = _with_ancestors(trace, {match.step.node.id for match in matches})
        shown = found if shown is None else shown & found
    if options.failed:
        shown = failed if shown is None else shown & failed
    return shown


def parsed_query(text: str) -> Query:
    """Return a query of the filter language, parsed; a mistake in it is wrong use."""
    with vendored():
        from logtracer_extras.query import QueryError, parse
    try:
        return parse(text)
    except QueryError as error:
        raise UsageError("filter", str(error)) from None


def _with_ancestors(trace: TraceGraph, ids: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for node_id in ids:
        above: str | None = node_id
        while above in trace.nodes and above not in found:  # once each, however many are below it
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
        raise CommandError(argument, "no node id in this trace ends with it")
    ids = ", ".join(node.id for node in found[:5])
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    raise CommandError(
        argument, f"ambiguous: matches {len(found)} nodes: {ids}{more}. Type more characters."
    )


def node_lines(trace: TraceGraph, node: Node, pen: Pen) -> Iterator[Line]:
    """Yield all that is known about one node."""
    yield [
        (f"[{node.node_type}] ", node.node_type),
        (f"{node.name}  ", "heading"),
        (f"{pen.glyph(node.status)} {node.status}", node.status),
        (f"   {node.id}   ", "dim"),
        (pen.duration(node.duration_ms), ""),
    ]
    names = [above.name for above in reversed(trace.ancestors(node.id))]
    yield [("in: ", "dim"), (pen.glyph("into").join(names or ["nothing: it is at the top"]), "")]
    if node.start_time is not None:
        yield [("started: ", "dim"), (node.start_time.isoformat(" ", "milliseconds"), "")]
    for text, role in _reasons_of(trace, pen, inferred_edges(trace)).get(node.id, ()):
        yield [(text.removeprefix(", "), role)]
    for note in node.annotations:
        yield [("annotation: ", "dim"), (f'"{note}"', "")]
    if node.error is not None or node.error_type is not None:
        error = _error_text(node)
        yield [("error: ", "dim"), (error, "failed")]
    for line in (node.error_traceback or "").splitlines():
        yield [(f"  {line}", "dim")]
    values = {"input": node.input_data, "output": node.output_data, "metadata": node.metadata}
    for label, value in values.items():
        if value:
            yield [(f"{label}:", "dim")]
            yield from ([(f"  {line}", "")] for line in _json_lines(value))


def _json_lines(value: Any) -> list[str]:
    try:
        return json.dumps(value, indent=2, ensure_ascii=False, default=repr).splitlines()
    except (RecursionError, TypeError, ValueError):  # made by hand, or very deep
        return [value_text(value, 10_000)]


def summary_lines(trace: TraceGraph, pen: Pen, run: Run | None = None) -> Iterator[Line]:
    """Yield what a run was, in a few lines: name, status, id, start, time, counts, tokens.

    Of a measured run also what it cost and its critical path.
    """
    status = trace.status
    name = pen.clip(trace.name or "(no name)", pen.width // 2)
    title: Line = [(f"{name}  ", "heading"), (f"{pen.glyph(status)} {status}", status)]
    about = f"{pen.clip(trace.trace_id[:8], 8)}   {start_text(trace)}   "
    rest: Line = [(about, "dim"), (pen.duration(trace.duration_ms), "")]
    if sum(cell_width(text) for text, _ in [*title, *rest]) + 3 <= pen.width:
        yield [*title, ("   ", ""), *rest]
    else:
        yield from (title, rest)
    dot = pen.glyph("dot")
    about_whom = _labels(trace)
    if about_whom:
        yield from ([(words, "dim")] for words in _wrapped(about_whom, dot, pen.width))
    if waited_ms(trace):
        words = f"waited {pen.duration(waited_ms(trace))} for a human"
        yield [(f"{words}{dot}worked {pen.duration(worked_ms(trace))}", "")]
    for words in _wrapped(_counts(trace), dot, pen.width):
        yield [(words, "")]
    facts = _token_facts(trace) if run is None else _facts_of(run, pen)
    if facts:
        yield from ([(words, "")] for words in _wrapped(facts, dot, pen.width))


def _labels(trace: TraceGraph) -> list[str]:
    """Return the session, the user, the tags and the other metadata that a trace was given."""
    known = {"session": trace.session_id, "user": trace.user_id, "tags": ", ".join(trace.tags)}
    labels = [f"{name} {clip(text, 60)}" for name, text in known.items() if text]
    for key, value in trace.metadata.items():
        is_own = key in ("session_id", "user_id", "tags", "lane") or key.startswith("logtracer.")
        if not is_own and isinstance(value, (str, int, float)):
            labels.append(f"{clip(str(key), 40)} {clip(str(value), 60)}")
    return labels[:12]


def _facts_of(run: Run, pen: Pen) -> list[str]:
    with vendored():
        from logtracer_extras.terminal._timeline import facts
    return facts(run, pen)


def _token_facts(trace: TraceGraph) -> list[str]:
    """Return the tokens of a run, each once: a step may repeat what those below it used."""
    told = {node.id: tokens_of(node) for node in trace.nodes.values() if node.metadata}
    told = {node_id: tokens for node_id, tokens in told.items() if any(tokens)}
    tokens = list(told.values())
    parents = [trace.nodes[node_id].parent_id for node_id in told]
    if not told.keys().isdisjoint(_with_ancestors(trace, filter(None, parents))):
        try:
            with vendored():
                from logtracer_extras.analysis import measure
        except CommandError:  # not copied along, and no sum at all is better than a wrong one
            return []
        top = measure(trace, infer=False).top
        tokens = [(step.total.input, step.total.output) for step in top if step.total]
    read, wrote = sum(read for read, _ in tokens), sum(wrote for _, wrote in tokens)
    return [f"tokens {read:,} in / {wrote:,} out"] if read or wrote else []


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
    place += "; LOGTRACER_STORAGE names another default"
    default = os.environ.get("LOGTRACER_STORAGE", "")
    if default in ("", "memory"):  # what is in a program's memory is nowhere else
        default = STORE
    shared.add_argument("--store", default=default, metavar="PLACE", help=place)
    return shared


def count(text: str) -> int:
    """Return the number of a flag that counts; an error of argparse when it is none."""
    if text.isascii() and text.isdigit() and int(text) < 1_000_000:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")


def _positive(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) < 100_000:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")


# In the order of `logtracer --help`. All but `inspect`, which is above, are files of
# logtracer_extras/terminal/ that are found by name.
COMMANDS = {
    "inspect": "show a trace",
    "list": "show what ran, newest first",
    "sessions": "show the sessions of coding agents",
    "watch": "follow a trace while it is recorded",
    "stats": "show where time, tokens and money went",
    "search": "find nodes in all traces",
    "diff": "compare two traces, or groups of traces",
    "why": "go from a failed node to its cause",
    "check": "find what is wrong with traces that look successful",
    "replay": "run a program whose model calls are answered from a trace",
    "view": "show a trace in the browser",
    "import": "import traces from other tools",
    "reconcile": "show where a session's tokens come from",
    "export": "write a trace for another viewer",
    "copy": "copy traces from one store to another",
    "prune": "remove old traces",
    "redact": "print a text without its secrets, or which it has",
    "vendor": "copy logtracer into a project",
    "demo": "record a small trace and show it",
}


class Command(Protocol):
    """A file of `logtracer_extras/terminal/`: the arguments of a command, and what it does."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments of the command to its parser."""

    def run(self, options: argparse.Namespace, screen: Screen) -> int:
        """Run the command and return its exit code."""


def _command(name: str) -> Command:
    place = "logtracer_extras.terminal"
    if __package__:  # copied into a package of the user's
        place = f"{__package__}.{place}"
    with vendored():
        module = importlib.import_module(f"{place}.{name}{'_' * iskeyword(name)}")
    return cast("Command", module)


def _build_parser(wanted: Iterable[str]) -> argparse.ArgumentParser:
    """Return the parser; only the wanted commands get their arguments: each loads its modules."""
    parser = argparse.ArgumentParser(
        prog="logtracer",
        description="Look at what an agent did.",
        epilog="To begin, `logtracer demo` records a small trace and shows it.",
    )
    parser.add_argument("--version", action="version", version=f"logtracer {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, words in COMMANDS.items():
        added = commands.add_parser(name, parents=[_shared_options()], help=words)
        if name == "inspect":
            _add_inspect(added)
        elif name in wanted:
            command = _command(name)
            command.add_arguments(added)
            added.set_defaults(run=command.run)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run a command and return its exit code.

    0 success, 1 negative result or unreadable input, 2 usage error, 130 stopped by Ctrl-C.
    """
    arguments = sys.argv[1:] if argv is None else argv
    try:
        if "_ARGCOMPLETE" in os.environ:
            _complete_for_shell()
        first = next((word for word in arguments if not word.startswith("-")), "")
        _check_command(first)
        options = _build_parser([first]).parse_args(arguments)
    except SystemExit as stop:  # argparse has said all there is to say
        return stop.code if isinstance(stop.code, int) else 2
    except CommandError as error:
        complain(str(error))
        return error.code
    if options.command is None:
        _build_parser([]).print_help(sys.stderr)
        return 2
    return _run(options)


def _check_command(name: str) -> None:
    if not name or name in COMMANDS:
        return
    from difflib import get_close_matches  # for a mistake

    close = get_close_matches(name, COMMANDS, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"available: {', '.join(COMMANDS)}"
    raise UsageError("unknown command", f"{name!r}; {hint}")


def _console() -> NoReturn:
    """Run the program `logtracer`, without the garbage collector.

    Loading 100,000 nodes takes half the time without it, and looking at what is left at the end
    another 0.3 s. That is for a process of our own alone: `main` leaves it as it is.
    """
    gc.disable()
    code = main()
    gc.freeze()
    raise SystemExit(code)


def _complete_for_shell() -> None:
    """Answer a shell that asks how a command goes on, where argcomplete is installed."""
    with contextlib.suppress(ImportError):
        importlib.import_module("argcomplete").autocomplete(_build_parser(COMMANDS))


def _run(options: argparse.Namespace) -> int:
    if sys.stdout is None:  # closed by the shell, `>&-`
        complain("output: it is closed")
        return 1
    try:
        pen, pager = choose_pen(options, sys.stdout), choose_pager(options, sys.stdout)
        with contextlib.closing(Screen(pen, pager=pager)) as screen:
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
        complain(reason_of(error))
        if isinstance(error, OSError) and error.filename is None:  # stdout itself, on a full disk
            _silence_stdout()
        return 1


def _silence_stdout() -> None:
    """Let the interpreter's last flush of a closed pipe or a full disk go nowhere."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    # The commands import their tools from here, by the name that this file has as a module.
    sys.modules[__spec__.name if __spec__ else "logtracer_cli"] = sys.modules[__name__]
    _console()
