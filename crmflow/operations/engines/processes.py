"""A pool of processes, as many as there are processors; started when there is enough to do."""

import gc
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from itertools import islice
from multiprocessing.connection import wait
from types import TracebackType
from typing import Self, TypeVar

from crmflow.core.errors import CrmflowError

FEW_TASKS = 4
"""So many are done sooner than a process is started."""

_AHEAD = 1
"""How many tasks wait for each process while it works: more would only fill the memory."""

_Task = TypeVar("_Task")


class Processes:
    """A pool that starts with the first long list of tasks; leave it as a context manager."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._pool: ProcessPoolExecutor | None = None
        self._count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def __enter__(self) -> Self:
        """Return the pool itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the processes; tasks that nobody waits for any more are not begun."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def map_in_order(self, work: Callable[[_Task], bytes], tasks: Iterable[_Task]) -> Iterator[bytes]:
        """Yield the result of every task, in the order of the tasks; tasks are taken little by little.

        Raises what the work raises, and `CrmflowError` where a process was killed.
        """
        rest = iter(tasks)
        first = list(islice(rest, FEW_TASKS))
        if len(first) < FEW_TASKS or self._count == 1:
            yield from map(work, first)
            yield from map(work, rest)
            return
        waiting: deque[Future[bytes]] = deque(self._submit(work, task) for task in first)
        for task in rest:
            if len(waiting) >= self._count * (1 + _AHEAD):
                yield _result(waiting.popleft())
            waiting.append(self._submit(work, task))
        while waiting:
            yield _result(waiting.popleft())

    def _submit(self, work: Callable[[_Task], bytes], task: _Task) -> "Future[bytes]":
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self._count, multiprocessing.get_context("spawn"), initializer=_begin)
        try:
            return self._pool.submit(work, task)
        except BrokenProcessPool as error:
            raise _killed() from error


def _result(future: "Future[bytes]") -> bytes:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise _killed() from error


def _killed() -> CrmflowError:
    return CrmflowError(
        "one of the processes that read the log was killed (out of memory?)",
        hint="what was done before is kept; the same command again does what is left",
    )


def _begin() -> None:
    """Make a process of the pool one that an interruption does not concern, and that ends with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()  # a batch has no cycles, and is gone when it is handed over
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        with suppress(OSError):
            wait([parent.sentinel])
        os._exit(1)
