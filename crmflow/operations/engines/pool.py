"""Processes that do tasks for this one, each through a thread that waits for it.

Each is a Python of its own that reads tasks and writes results (`crmflow.operations.engines.worker`). It has none of
our files open, ends when we do, however that is, and is in no terminal's foreground: an interruption is for us alone.
One that is killed is an error, never a wait without end.
"""

import os
import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import IO, Any, Self, TypeVar

from crmflow.core.errors import CrmflowError

PIPE_BYTES = 1024 * 1024
"""What a pipe to a process holds: each time it is full, its thread has to wait for its turn."""

_Task = TypeVar("_Task")


class Pool:
    """So many threads, each with a process that is started with its first task."""

    def __init__(self, count: int) -> None:
        """Start nothing yet."""
        self._threads = ThreadPoolExecutor(count)
        self._own = threading.local()
        self._processes: list[subprocess.Popen[bytes]] = []

    def end(self) -> None:
        """End the processes; a task that nobody waits for any more is not finished."""
        for process in self._processes:
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            with suppress(BrokenPipeError), process:  # of a task that was on its way
                pass

    def submit(self, work: Callable[[_Task], bytes], task: _Task) -> Future[bytes]:
        """Have a task done; the future raises what the work raises, and `CrmflowError` where its process was killed."""
        return self._threads.submit(self._ask, work, task)

    def orders(self, work: Callable[[_Task], bytes], tasks: Iterator[_Task]) -> "Orders":
        """Return a way to have tasks done that the threads take themselves."""
        return Orders(self._threads, partial(self._ask, work), tasks)

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
                pipesize=PIPE_BYTES,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)},
                process_group=0,
            )
            self._own.process = process
            self._processes.append(process)
        return process


class Orders:
    """Tasks that are taken by the thread that does them, when a result is ordered; close it, or use it as a manager.

    So reading what the tasks are made of goes on while the one who orders does something else.
    """

    def __init__(self, threads: ThreadPoolExecutor, ask: Callable[[Any], bytes], tasks: Iterator[Any]) -> None:
        """Take nothing yet."""
        self._threads = threads
        self._ask = ask
        self._tasks = tasks
        self._due: deque[Future[bytes | None]] = deque()
        self._taking = threading.Lock()

    def __enter__(self) -> Self:
        """Return the orders themselves."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Take no more tasks; none is being taken any more."""
        with self._taking:
            self._tasks = iter(())

    def next_result(self) -> "Future[bytes | None]":
        """Order the result of the next task; it is None where there is none, and raises what taking or doing raises."""
        future: Future[bytes | None] = Future()
        self._due.append(future)
        self._threads.submit(self._do_next)
        return future

    def _do_next(self) -> None:
        with self._taking:
            future = self._due.popleft()
            try:
                task = next(self._tasks, None)
            except Exception as error:  # noqa: BLE001 - it is raised again where the result is waited for
                future.set_exception(error)
                return
        try:
            future.set_result(None if task is None else self._ask(task))
        except Exception as error:  # noqa: BLE001 - it is raised again where the result is waited for
            future.set_exception(error)


def _opened(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise AssertionError("the process has pipes")
    return stream
