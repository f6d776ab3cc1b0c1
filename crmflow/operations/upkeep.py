"""Making a store, looking after it, copying it."""

from pathlib import Path
from typing import Any, NamedTuple

from crmflow.core.errors import CrmflowError
from crmflow.store import upkeep
from crmflow.store.connection import Store
from crmflow.store.upkeep import Finding


class BackedUp(NamedTuple):
    """A copy of the store that was made and checked; its size in bytes."""

    path: str
    bytes: int


def examine(store: Store) -> list[Finding]:
    """Return what is wrong with a store, faults first."""
    with store.snapshot():
        return sorted(upkeep.examine(store), key=lambda finding: not finding.is_fault)


def as_json(store: Store, findings: list[Finding]) -> dict[str, Any]:
    """Return findings as plain values."""
    return {
        "store": str(store.path),
        "sound": not any(finding.is_fault for finding in findings),
        "findings": [finding._asdict() for finding in findings],
    }


def back_up(store: Store, target: str, *, overwrite: bool = False) -> BackedUp:
    """Copy the store to a file while others may write; raises `CrmflowError` where that can't be done."""
    path = Path(target)
    if store.is_at(target):
        raise CrmflowError(f"{target} is the store itself", hint="name another file for the copy")
    return BackedUp(str(path), upkeep.back_up(store, path, overwrite=overwrite))
