"""Doing a list of tasks on the workers of a Dask cluster, one that runs already or one of this host's own.

A worker that dies is replaced, and its tasks are done by another; where too many die, where none is left, or where the
scheduler is gone, the run ends with an error. https://distributed.dask.org
"""

import os
import platform
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from crmflow import __version__
from crmflow.core.errors import CrmflowError, UsageError
from crmflow.operations.engines.cargo import Cargo

if TYPE_CHECKING:
    from distributed import Future, Worker

MOST_LOSSES = 3
"""How often workers may be lost, with nothing done in between, before the run is given up."""

_AHEAD = 2
_LOOK_EVERY = 1.0
_NOTHING = "nothing was changed; the same command again starts anew"
_LOST = "workers of the cluster were lost, again and again"
_Task = TypeVar("_Task")


class _Version(NamedTuple):
    """What must be the same here and on every worker: results are exchanged as Python's and our own bytes."""

    crmflow: str
    python: str


VERSION = _Version(__version__, ".".join(platform.python_version_tuple()[:2]))


class Cluster:
    """The workers of a scheduler at an address or, without one, of this host; use it as a context manager.

    `patience` is for how many seconds a scheduler may not answer, or be without any worker.
    """

    def __init__(self, scheduler: str | None, *, patience: float = 30.0) -> None:
        """Connect to nothing yet."""
        self._scheduler = scheduler
        self._patience = patience
        self._opened = ExitStack()
        self._client: Any = None

    def __enter__(self) -> Self:
        """Connect, or start workers; raises `UsageError` where Dask is not installed, `CrmflowError` if that fails."""
        try:
            from distributed import Client, LocalCluster
        except ImportError as error:
            raise UsageError("Dask is not installed", hint="pip install 'crmflow[dask]'") from error
        try:
            address: object = self._scheduler or self._opened.enter_context(
                LocalCluster(
                    n_workers=_processor_count(),
                    threads_per_worker=1,
                    dashboard_address="127.0.0.1:0",
                    silence_logs="CRITICAL",
                )
            )
            self._client = self._opened.enter_context(Client(address, set_as_default=False, timeout=self._patience))
        except (OSError, RuntimeError, TimeoutError, ValueError) as error:
            self._opened.close()
            where = f"scheduler at {self._scheduler}" if self._scheduler else "cluster on this host"
            raise CrmflowError(f"no {where}: {error}", hint="is it running?") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Let go of the cluster, and end it where it is our own."""
        self._opened.close()

    def map_with_file(
        self, work: Callable[[str, _Task], bytes], cargo: Cargo, tasks: Iterable[_Task]
    ) -> Iterator[bytes]:
        """Yield the result of `work` with each task, in their order; tasks are taken little by little.

        `work` is given the path of a copy of the file. Raises what the work raises, and `CrmflowError` where the
        cluster fails.
        """
        rest, losses = iter(tasks), 0
        with _explained():
            self._share(cargo)
            waiting = deque((task, self._submitted(work, cargo, task)) for task in islice(rest, self._most_waiting()))
            while waiting:
                try:
                    yield self._result(waiting[0][1])
                except (CancelledError, _NoFileError):  # workers are lost, and there are new ones
                    losses += 1
                    if losses == MOST_LOSSES:
                        raise CrmflowError(f"{_LOST} (out of memory?)", hint=_NOTHING) from None
                    self._share(cargo)
                    waiting = deque((task, self._submitted(work, cargo, task)) for task, _ in waiting)
                else:
                    losses = 0
                    waiting.popleft()
                    waiting.extend((task, self._submitted(work, cargo, task)) for task in islice(rest, 1))

    def _share(self, cargo: Cargo) -> None:
        """Bring the file to all workers that don't have it, a piece at a time: no worker holds all of it in memory."""
        self._client.wait_for_workers(1, timeout=self._patience)
        have = self._client.run(_has, cargo)
        lacking = [worker for worker, has in have.items() if not has]
        offset = 0
        for piece in chain(cargo.pieces() if lacking else (), [b""] if lacking else ()):
            [held] = self._client.scatter([piece], broadcast=True, workers=lacking, hash=False)
            each = [
                self._client.submit(_take, cargo, offset, held, workers=[worker], allow_other_workers=False, pure=False)
                for worker in lacking
            ]
            self._client.gather(each)
            offset += len(piece)

    def _submitted(self, work: Callable[[str, _Task], bytes], cargo: Cargo, task: _Task) -> "Future[bytes]":
        future: Future[bytes] = self._client.submit(done, work, cargo, task, VERSION, pure=False)
        return future

    def _most_waiting(self) -> int:
        threads: int = sum(self._client.nthreads().values())
        return max(1, threads) * (1 + _AHEAD)

    def _result(self, future: "Future[bytes]") -> bytes:
        """Wait for a task as long as there is anybody who could do it."""
        alone_since = None
        while True:
            try:
                result: bytes = future.result(timeout=_LOOK_EVERY)
            except TimeoutError:
                alone_since = None if self._client.nthreads() else alone_since or time.monotonic()
                if alone_since is not None and time.monotonic() - alone_since > self._patience:
                    raise CrmflowError("the cluster has no worker any more", hint=_NOTHING) from None
            else:
                return result


class _explained:  # noqa: N801 - reads as what it is, a context
    """Turn what Dask raises into `CrmflowError`."""

    def __enter__(self) -> None:
        """Do nothing yet."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Explain an error that is not ours."""
        if isinstance(error, Exception) and not isinstance(error, CrmflowError):
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise CrmflowError(f"the cluster failed: {reason}", hint=_NOTHING) from error


class _NoFileError(Exception):
    """A worker that came later has no file yet."""


def _folder() -> Path:
    from distributed import get_worker

    return Path(get_worker().local_directory)


def _has(cargo: Cargo, dask_worker: "Worker") -> bool:
    return cargo.received(Path(dask_worker.local_directory), cargo.name) is not None


def _take(cargo: Cargo, offset: int, piece: bytes) -> None:
    cargo.receive(_folder(), cargo.name, offset, piece)


def done(work: Callable[[str, Any], bytes], cargo: Cargo, task: object, version: _Version) -> bytes:
    """Do a task on a worker.

    Raises `CrmflowError` on one of another version, and `_NoFileError` on one that came after the file.
    """
    if version != VERSION:
        raise CrmflowError(
            f"a worker has crmflow {VERSION.crmflow} on Python {VERSION.python},"
            f" this is crmflow {version.crmflow} on Python {version.python}",
            hint="install the same versions everywhere",
        )
    path = cargo.received(_folder(), cargo.name)
    if path is None:
        raise _NoFileError
    return work(str(path), task)


def _processor_count() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
