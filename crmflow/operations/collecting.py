"""Python's collector of cycles, which looks at everything that is alive each time that much has been made."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_collection() -> Iterator[None]:
    """Let the collector rest in the block: batches have no cycles, and looking for them costs a fifth of a run."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
