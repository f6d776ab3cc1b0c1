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
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import IO, TypeVar

from crmflow.core.errors import CrmflowError

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
