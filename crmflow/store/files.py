"""Files that are made beside the store: whole or not at all, and for their owner alone."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crmflow.core.errors import CrmflowError
from crmflow.store.connection import sync
from crmflow.store.faults import system_explained


@contextmanager
def placed(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield the path of an empty file of the owner's; what the block makes of it takes the name `target` in one step.

    If the block fails, nothing is left. Raises `CrmflowError` where something is there already (unless it is to be
    overwritten), where `target` is a database in use, and where the system fails.
    """
    with system_explained(f"write {target}"):
        _require_place(target, overwrite=overwrite)
        with tempfile.TemporaryDirectory(prefix=".crmflow-", dir=target.parent) as directory:
            made = Path(directory) / target.name
            os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            yield made
            sync(made)
            if overwrite:
                made.replace(target)
            else:
                _link(made, target)
        sync(target.parent)


def write(target: Path, text: str, *, overwrite: bool) -> int:
    """Write a file of text in UTF-8; returns its size in bytes. Raises as `placed`."""
    content = text.encode()
    with placed(target, overwrite=overwrite) as made:
        made.write_bytes(content)
    return len(content)


def _require_place(target: Path, *, overwrite: bool) -> None:
    if os.path.lexists(target) and not overwrite:
        raise _there_already(target)
    if not target.parent.is_dir():
        raise CrmflowError(f"there is no directory {target.parent}", hint="make it first")
    if target.with_name(f"{target.name}-wal").exists():
        raise CrmflowError(f"{target} is a database in use: {target.name}-wal is beside it", hint="name another file")


def _link(made: Path, target: Path) -> None:
    """Give the file its name, if nobody has taken it meanwhile."""
    try:
        target.hardlink_to(made)
    except FileExistsError as error:
        raise _there_already(target) from error


def _there_already(target: Path) -> CrmflowError:
    return CrmflowError(f"{target} is there already", hint="name another file, or replace it with --overwrite")
