"""Lists runs and shows one."""

from typing import Any

from crmflow.core.errors import CrmflowError
from crmflow.store import runs
from crmflow.store.connection import Store


def listed(store: Store) -> list[dict[str, Any]]:
    """Return all runs, newest first, each with its summary."""
    return runs.listed(store)


def show(store: Store, run: int) -> dict[str, Any]:
    """Return one run with what it read and how much it wrote; raises `CrmflowError` where there is none."""
    with store.snapshot():
        found = runs.get(store, run)
    if found is None:
        raise CrmflowError(f"there is no run {run}", hint="see crmflow run list")
    return found
