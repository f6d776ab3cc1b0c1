"""Doing a list of tasks: a short one here, a long one by as many processes as there are processors."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from itertools import chain, islice
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from crmflow.operations.engines.cargo import Cargo

if TYPE_CHECKING:
    from concurrent.futures import Future

    from crmflow.operations.engines.pool import Orders, Pool

FEW_TASKS = 4
"""So many are done sooner than a process is started."""

_AHEAD = 1
"""How many tasks wait for each process while it works: more would only fill the memory."""

_Task = TypeVar("_Task")


class Processes:
    """A pool that is made with the first long list of tasks; leave it as a context manager."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._pool: Pool | None = None

    def __enter__(self) -> Self:
        """Return the pool itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the processes; a task that nobody waits for any more is not finished."""
        if self._pool is not None:
            self._pool.end()

    def map_in_order(
        self, work: Callable[[_Task], bytes], tasks: Iterable[_Task], *, ahead: int = 0
    ) -> Generator[bytes, None, None]:
        """Yield the result of every task, in the order of the tasks; tasks are taken little by little.

        So many results are fetched `ahead`, also while nobody asks for one: then tasks are taken in other threads, one
        at a time, until the generator is closed. Raises what the work or the taking of a task raises, and
        `CrmflowError` where a process was killed.
        """
        rest = iter(tasks)
        first = list(islice(rest, FEW_TASKS))
        if len(first) < FEW_TASKS or self._count == 1:
            yield from map(work, first)
            yield from map(work, rest)
            return
        pool = self._started()
        if ahead:
            yield from self._fetched(pool.orders(work, chain(first, rest)), ahead)
            return
        waiting: deque[Future[bytes]] = deque(pool.submit(work, task) for task in first)
        for task in rest:
            if len(waiting) >= self._count * (1 + _AHEAD):
                yield waiting.popleft().result()
            waiting.append(pool.submit(work, task))
        while waiting:
            yield waiting.popleft().result()

    def _fetched(self, orders: "Orders", ahead: int) -> Generator[bytes, None, None]:
        """Yield results in the order of the tasks, so many of them ahead."""
        with orders:
            waiting = deque(orders.next_result() for _ in range(max(ahead, self._count)))
            while (result := waiting.popleft().result()) is not None:
                waiting.append(orders.next_result())
                yield result

    def map_with_file(
        self, work: Callable[[str, _Task], bytes], cargo: Cargo, tasks: Iterable[_Task]
    ) -> Iterator[bytes]:
        """Do the same with work that takes the path of a file first."""
        return self.map_in_order(partial(work, str(cargo.path)), tasks)

    def _started(self) -> "Pool":
        """Return the pool; what it needs is loaded only now."""
        from crmflow.operations.engines.pool import Pool

        self._pool = self._pool or Pool(self._count)
        return self._pool
