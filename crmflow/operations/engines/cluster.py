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
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from crmflow import __version__
from crmflow.core.errors import CrmflowError, UsageError
from crmflow.operations.engines.cargo import Cargo

if TYPE_CHECKING:
    from distributed import Future

MOST_LOSSES = 3
"""How often all workers may be lost at once before the run is given up."""

_AHEAD = 2
_LOOK_EVERY = 1.0
_NOTHING = "nothing was changed; the same command again starts anew"
_LOST = "all workers of the cluster were lost, again and again"
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
                    n_workers=_processor_count(), threads_per_worker=1, dashboard_address=None, silence_logs="CRITICAL"
                )
            )
            self._client = self._opened.enter_context(Client(address, set_as_default=False, timeout=self._patience))
        except (OSError, TimeoutError, ValueError) as error:
            self._opened.close()
            raise CrmflowError(f"no scheduler at {self._scheduler}: {error}", hint="is it running?") from error
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
        carried = _Carried(work, cargo.name, cargo.unfold)
        rest, losses = iter(tasks), 0
        with _explained():
            content = self._shared(cargo)
            waiting = deque(
                (task, self._submitted(carried, content, task)) for task in islice(rest, self._most_waiting())
            )
            while waiting:
                try:
                    yield self._result(waiting[0][1])
                except CancelledError:  # every worker that had the file is lost
                    losses += 1
                    if losses == MOST_LOSSES:
                        raise CrmflowError(f"{_LOST} (out of memory?)", hint=_NOTHING) from None
                    content = self._shared(cargo)
                    waiting = deque((task, self._submitted(carried, content, task)) for task, _ in waiting)
                else:
                    waiting.popleft()
                    waiting.extend((task, self._submitted(carried, content, task)) for task in islice(rest, 1))

    def _shared(self, cargo: Cargo) -> "Future[bytes]":
        """Bring the file to all workers."""
        content: Future[bytes]
        [content] = self._client.scatter([cargo.content()], broadcast=True, hash=False)
        return content

    def _submitted(self, carried: "_Carried", content: "Future[bytes]", task: object) -> "Future[bytes]":
        future: Future[bytes] = self._client.submit(done, carried, content, task, VERSION, pure=False)
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


class _Carried(NamedTuple):
    """What is done with every task: the work, and what makes the file that it needs on a worker."""

    work: Callable[[str, Any], bytes]
    name: str
    unfold: Callable[[Path, str, bytes], Path]


def done(carried: _Carried, content: bytes, task: object, version: _Version) -> bytes:
    """Do a task on a worker; raises `CrmflowError` on one of another version."""
    from distributed import get_worker

    if version != VERSION:
        raise CrmflowError(
            f"a worker has crmflow {VERSION.crmflow} on Python {VERSION.python},"
            f" this is crmflow {version.crmflow} on Python {version.python}",
            hint="install the same versions everywhere",
        )
    path = carried.unfold(Path(get_worker().local_directory), carried.name, content)
    return carried.work(str(path), task)


def _processor_count() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
