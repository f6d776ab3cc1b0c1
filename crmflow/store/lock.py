"""The lock that every writer holds from before its transaction begins until after the checkpoint.

SQLite's own busy handler is not fair, and versions before 3.51.3 can lose a commit when two connections write and
checkpoint at the same instant. A file beside the store, held with `flock(2)`, is fair, is let go by the kernel when its
holder dies, and can say who holds it. The store's own file is never opened here: closing any descriptor of it would
drop SQLite's locks.
"""

import fcntl
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from crmflow.core.errors import BusyError
from crmflow.store.faults import NOTHING_CHANGED, system_explained

_PID_WIDTH = 20
"""The holder's number is written over the last one's: where there was room once, a full disk is no obstacle."""


class _WaitedEnoughError(Exception):
    pass


class WriteLock:
    """The lock of one store; `wait` is how many seconds a writer waits for it."""

    def __init__(self, store_path: Path, *, wait: float) -> None:
        """Name the lock file: the store's path with `.lock` behind it."""
        self._store_path = store_path
        self._path = store_path.with_name(store_path.name + ".lock")
        self._wait = wait

    @contextmanager
    def held(self, outcome: str = NOTHING_CHANGED) -> Iterator[None]:
        """Hold the lock for the length of the block.

        Raises `BusyError` naming the holder after waiting in vain, `CrmflowError` where there can be no lock; both
        tell the `outcome`: what that leaves of the run's changes.
        """
        with system_explained(f"lock {self._store_path}", outcome):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with system_explained(f"lock {self._store_path}", outcome):
                if not self._acquire(descriptor):
                    raise self._busy(descriptor, outcome)
                os.pwrite(descriptor, f"{os.getpid():<{_PID_WIDTH}}".encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def _acquire(self, descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._wait > 0 and _wait_for(descriptor, self._wait)
        return True

    def _busy(self, descriptor: int, outcome: str) -> BusyError:
        holder = os.pread(descriptor, _PID_WIDTH, 0).decode("ascii", "replace").strip()
        who = f" (process {holder})" if holder else ""
        return BusyError(
            f"another run holds the store{who}; waited {self._wait:g} s",
            hint=f"{outcome}: run this again later, or wait longer with --wait SECONDS",
        )


def _wait_for(descriptor: int, seconds: float) -> bool:
    """Block until the lock is ours (True) or the time is up (False); only the main thread can be woken by a timer."""
    if threading.current_thread() is not threading.main_thread():
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return True
    before = signal.signal(signal.SIGALRM, _wake)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except _WaitedEnoughError:  # it may also come just after the lock
        return False
    finally:
        signal.signal(signal.SIGALRM, before)
    return True


def _wake(_number: int, _frame: FrameType | None) -> None:
    raise _WaitedEnoughError
