"""What every adapter has: installing and uninstalling, patches that can be undone, quiet failure.

An adapter's module says what it needs and how it connects:

    def _connect(adapter: Adapter) -> None:
        adapter.patch(SomeClass, "method", make_wrapper)

    ADAPTER = Adapter("product", ("product",), _connect)
    install = ADAPTER.install
    uninstall = ADAPTER.uninstall
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import inspect
import logging
from collections.abc import Callable, Iterable
from typing import Any

from logtracer import Tracer, trace

_reported: set[str] = set()


def report(cause: str, problem: object) -> None:
    """Log a failure of an adapter, once for each cause; the host goes on untraced."""
    if cause not in _reported:
        _reported.add(cause)
        logging.getLogger("logtracer").warning("%s: %s: %s", cause, type(problem).__name__, problem)


class quietly:
    """Keep an adapter's own failure away from the host, within a `with` block."""

    __slots__ = ("_cause",)

    def __init__(self, cause: str) -> None:
        self._cause = cause

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if not isinstance(error, Exception):
            return False
        report(self._cause, error)
        return True


def is_importable(module: str) -> bool:
    """Tell whether a module is there, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # its parent is missing, or it is half imported
        return False


class Patch:
    """One attribute of a class or a module, replaced until `undo`."""

    def __init__(self, owner: Any, name: str, make: Callable[[Any, Patch], Any]) -> None:
        self.is_active = True  # what was made asks this: somebody may have patched on top of it
        self._owner = owner
        self._name = name
        self._was_own = name in vars(owner)
        self._original = inspect.getattr_static(owner, name)
        is_static = isinstance(self._original, (staticmethod, classmethod))
        function = self._original.__func__ if is_static else self._original
        made = functools.wraps(function)(make(function, self))
        self._made = type(self._original)(made) if is_static else made
        setattr(owner, name, self._made)

    def undo(self) -> None:
        """Put back what was there, or only fall silent when somebody patched on top."""
        self.is_active = False
        if vars(self._owner).get(self._name) is not self._made:
            return
        if self._was_own:
            setattr(self._owner, self._name, self._original)
        else:
            delattr(self._owner, self._name)


class Installation:
    """What `install` returns: a context manager that uninstalls, unless it was installed before."""

    def __init__(self, undo: Callable[[], None] | None) -> None:
        self._undo = undo

    def __enter__(self) -> Installation:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Uninstall, unless it was installed before."""
        if self._undo is not None:
            self._undo()


class Adapter:
    """The state of one adapter: whether it is installed, for which tracer, and how to undo it."""

    def __init__(
        self, name: str, needs: Iterable[str], connect: Callable[[Adapter], object]
    ) -> None:
        self.name = name
        self.needs = tuple(needs)  # modules, any one of which will do
        self.opens_traces = False
        self.is_installed = False
        self.tracer: Tracer | None = None  # None stands for the default one
        self._connect = connect
        self._undo = contextlib.ExitStack()

    def install(self, tracer: Tracer | None = None, *, opens_traces: bool = False) -> Installation:
        """Begin to record; installing again only changes the tracer and the option.

        Calls outside any trace run untouched, unless `opens_traces`: then each opens a trace of
        its own, with this tracer or the default one.
        """
        self.tracer, self.opens_traces = tracer, opens_traces
        if self.is_installed:
            return Installation(None)
        if not self.is_available():
            raise ImportError(f"the {self.name} adapter needs {' or '.join(self.needs)}")
        try:
            self._connect(self)
        except BaseException:
            self._undo.close()
            raise
        self.is_installed = True
        return Installation(self.uninstall)

    def is_available(self) -> bool:
        """Tell whether the product is there, without importing it."""
        return any(map(is_importable, self.needs))

    def uninstall(self) -> None:
        """Stop recording and put everything back; does nothing when not installed."""
        self.is_installed = False
        self._undo.close()

    def patch(self, owner: Any, name: str, make: Callable[[Any, Patch], Any]) -> None:
        """Replace an attribute by `make(original, patch)` until the adapter is uninstalled."""
        self._undo.callback(Patch(owner, name, make).undo)

    def on_uninstall(self, undo: Callable[[], object]) -> None:
        """Call `undo` when the adapter is uninstalled."""
        self._undo.callback(undo)

    def open_trace(self, name: str) -> Any:
        """Return the context manager of a new trace, with the tracer of this adapter."""
        return trace(name) if self.tracer is None else self.tracer.trace(name)

    def load(self, module: str) -> Any:
        """Import a module of the product."""
        return importlib.import_module(module)
