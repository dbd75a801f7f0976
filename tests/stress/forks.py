"""Fork a process, and fork one whose threads trace meanwhile."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from logtracer import Tracer


def in_child(work: Callable[[], None]) -> int:
    """Run the work in a forked process and return how it ended; a hung one dies of a signal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads: the point
        process_id = os.fork()
    if process_id == 0:
        code = 1
        try:
            signal.alarm(20)
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process_id, 0)[1])


@contextmanager
def tracing_threads(tracer: Tracer, count: int) -> Iterator[None]:
    """Keep threads busy recording."""

    def record() -> None:
        while not stop.is_set():
            with tracer.trace("in thread") as root:
                for _ in range(20):
                    with root.node("step"):
                        pass

    stop = threading.Event()
    threads = [threading.Thread(target=record) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def fork_while_tracing(tracer: Tracer, forks: int) -> None:
    """Check that each child of a process whose threads trace records, reads and closes."""

    def work() -> None:
        with tracer.trace("in child") as root, root.node("step") as step:
            step.output(answer=42)
        found = tracer.storage.load(root.trace.trace_id)
        assert found is not None and len(found.nodes) == 2
        assert tracer.stats()["errors"] == 0
        tracer.close()

    with tracing_threads(tracer, 3):
        assert [in_child(work) for _ in range(forks)] == [0] * forks
    assert tracer.stats()["errors"] == 0
