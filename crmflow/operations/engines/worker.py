"""One process of a pool: does the tasks that come in on standard input, and writes each result to standard output.

It ends when there are no more, which is also what the end of the process that began it looks like.
"""

import gc
import os
import pickle
import signal
from contextlib import suppress

_END = (EOFError, pickle.UnpicklingError, BrokenPipeError)
"""How the end of the process that began this one looks, between two tasks, within one, within a result."""


def serve() -> None:
    """Do tasks until there are no more; an exception is a result like any other."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(5)  # the process that waits for results has more to do with them than we have
    gc.disable()  # a result has no cycles, and is gone when it is handed over
    with suppress(*_END), os.fdopen(0, "rb") as tasks, os.fdopen(1, "wb") as results:
        while True:
            work, task = pickle.load(tasks)  # noqa: S301 - written by the process that began this one
            try:
                result = work(task)
            except Exception as error:  # noqa: BLE001 - it is raised again where the result is waited for
                result = error
            pickle.dump(result, results)
            results.flush()


if __name__ == "__main__":
    serve()
