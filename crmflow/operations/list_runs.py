"""Lists runs and shows one."""

from typing import Any

from crmflow.operations.lookup import require_run
from crmflow.store import runs
from crmflow.store.connection import Store


def listed(store: Store) -> list[dict[str, Any]]:
    """Return all runs, newest first, each with its summary."""
    return runs.listed(store)


def show(store: Store, run: int) -> dict[str, Any]:
    """Return one run with what it read and how much it wrote; raises `CrmflowError` where there is none."""
    with store.snapshot():
        return require_run(store, run)
