"""A pool of processes, as many as there are processors; started when there is enough to do.

Each is a Python of its own that reads tasks and writes results (`crmflow.operations.engines.worker`), and that a thread
of this process waits for. It has none of our files open, ends when we do, however that is, and is in no terminal's
foreground: an interruption is for us alone. One that is killed is an error, never a wait without end.
"""

import os
import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from types import TracebackType
from typing import IO, Self, TypeVar

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
        self._count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._threads = ThreadPoolExecutor(self._count)
        self._own = threading.local()
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        """Return the pool itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the processes; a task that nobody waits for any more is not finished."""
        for process in self._processes:
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            with suppress(BrokenPipeError), process:  # of a task that was on its way
                pass

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
        waiting: deque[Future[bytes]] = deque(self._threads.submit(self._ask, work, task) for task in first)
        for task in rest:
            if len(waiting) >= self._count * (1 + _AHEAD):
                yield waiting.popleft().result()
            waiting.append(self._threads.submit(self._ask, work, task))
        while waiting:
            yield waiting.popleft().result()

    def _ask(self, work: Callable[[_Task], bytes], task: _Task) -> bytes:
        """Have this thread's process do a task."""
        process = self._process()
        try:
            pickle.dump((work, task), _opened(process.stdin))
            _opened(process.stdin).flush()
            result: bytes | Exception = pickle.load(_opened(process.stdout))  # noqa: S301 - written by our own process
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise CrmflowError(
                "a process that read the log was killed (out of memory?)",
                hint="what was done before is kept; the same command again does what is left",
            ) from error
        if isinstance(result, Exception):
            raise result
        return result

    def _process(self) -> "subprocess.Popen[bytes]":
        process: subprocess.Popen[bytes] | None = getattr(self._own, "process", None)
        if process is None:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "crmflow.operations.engines.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)},
                process_group=0,
            )
            self._own.process = process
            self._processes.append(process)
        return process


def _opened(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise AssertionError("the process has pipes")
    return stream
