"""What SQLite and the system say is wrong with the store's file, in words for the user."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from crmflow.core.errors import BusyError, CrmflowError

NOTHING_CHANGED = "nothing was changed"
MAYBE_CHANGED = "whether the change was kept is not certain; to run this again is safe"
ONLY_BEFORE_KEPT = "what was done before is kept"

_ROOM = "look at the permissions of the directory, and at the room on its disk"
_PERMISSIONS = "look at the permissions of the file and of its directory, and whether the disk may be written"
_FILE_FAULTS: dict[int, tuple[str, str | None]] = {
    sqlite3.SQLITE_NOTADB: ("not a SQLite database", "name the store with --db PATH or CRMFLOW_DB"),
    sqlite3.SQLITE_CORRUPT: ("the store is damaged", "look at it with crmflow doctor, and go back to a backup"),
    sqlite3.SQLITE_FULL: ("the disk is full", "make room and run this again"),
    sqlite3.SQLITE_IOERR: ("reading or writing failed", "look at the disk, then run this again: that is safe"),
    sqlite3.SQLITE_READONLY: ("the store can't be written", _PERMISSIONS),
    sqlite3.SQLITE_CANTOPEN: ("the store can't be opened", _PERMISSIONS),
    sqlite3.SQLITE_PERM: ("no permission", _PERMISSIONS),
    sqlite3.SQLITE_AUTH: ("no permission", None),
    sqlite3.SQLITE_NOLFS: ("the file is too large for this file system", None),
}
_HELD_BY_ANOTHER = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_Stored = TypeVar("_Stored")
_Read = TypeVar("_Read")
_NOT_TEXT = "Could not decode to UTF-8"  # Python's own error, which has no code


@contextmanager
def explained(path: Path, outcome: str = NOTHING_CHANGED) -> Iterator[None]:
    """Turn SQLite's errors about the file at `path` into ours; `outcome` says what they leave of the change.

    A mistake in our own SQL stays what it is.
    """
    try:
        yield
    except UnicodeDecodeError as error:  # SQLite's own message quotes what stands in the damaged file
        raise damaged(path, "text that is not UTF-8", outcome) from error
    except sqlite3.DatabaseError as error:
        raised = _explain(path, error, outcome)
        if raised is None:
            raise
        raise raised from error


def _explain(path: Path, error: sqlite3.DatabaseError, outcome: str) -> CrmflowError | None:
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code in _HELD_BY_ANOTHER:
        return BusyError(
            f"another program holds {path} (not crmflow: a sqlite3 shell?); {outcome}",
            hint="end its transaction and run this again",
        )
    if str(error).startswith(_NOT_TEXT):
        return damaged(path, "text that is not UTF-8", outcome)
    if code not in _FILE_FAULTS:
        return None
    what, hint = _FILE_FAULTS[code]
    return CrmflowError(f"{path}: {what} ({error}); {outcome}", hint=hint)


def damaged(path: Path, reason: str, outcome: str) -> CrmflowError:
    """Return the error that says that the store at `path` is damaged, why, and what is left of the change."""
    what, hint = _FILE_FAULTS[sqlite3.SQLITE_CORRUPT]
    return CrmflowError(f"{path}: {what} ({reason}); {outcome}", hint=hint)


@contextmanager
def system_explained(doing: str, outcome: str = NOTHING_CHANGED) -> Iterator[None]:
    """Turn errors of the system, met while `doing` something with files, into ours."""
    try:
        yield
    except OSError as error:
        raise CrmflowError(f"can't {doing}: {error.strerror or error}", hint=f"{outcome}: {_ROOM}") from error


def kept(read: Callable[[_Stored], _Read], stored: _Stored) -> _Read:
    """Return what `read` makes of a text or row that the store kept.

    Raises `CrmflowError` where damage has changed it.
    """
    try:
        return read(stored)
    except ValueError as error:
        what, hint = _FILE_FAULTS[sqlite3.SQLITE_CORRUPT]
        raise CrmflowError(f"{what}: {str(stored)[:60]} can't be read", hint=hint) from error
