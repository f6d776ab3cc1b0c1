"""Opening and making a store, and the one way to change it: a transaction under the write lock."""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from crmflow.core.errors import BusyError, CrmflowError
from crmflow.store.lock import WriteLock
from crmflow.store.schema import APPLICATION_ID, MIGRATION_SET, MIGRATIONS

LONGEST_BUSY_MS = 10_000
SHORTEST_BUSY_MS = 100
"""How long SQLite itself waits for another program, or for a connection that is being closed."""

_PRAGMAS = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA secure_delete = ON",
    "PRAGMA synchronous = FULL",
    "PRAGMA cache_size = -65536",
)
Row = tuple[Any, ...]


class Store:
    """An open store: one connection of one process. Close it, or use it as a context manager."""

    def __init__(self, connection: sqlite3.Connection, path: Path, *, wait: float) -> None:
        """Wrap a connection that `open_store` or `create_store` made."""
        self.path = path
        self._connection = connection
        self._lock = WriteLock(path, wait=wait)
        self.is_rehearsal = False

    def __enter__(self) -> Self:
        """Return the store itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the store."""
        self.close()

    def close(self) -> None:
        """Close the connection; what was not committed is not kept."""
        self._connection.close()

    def is_at(self, path: str) -> bool:
        """Tell whether a path leads to this store's file, by whatever name; the file is not opened."""
        try:
            return Path(path).samefile(self.path)
        except OSError:
            return False

    def shown(self, run: int | None) -> int | None:
        """Return the number of a run that is kept; None for none, and in a rehearsal."""
        return None if self.is_rehearsal else run

    def rows(self, sql: str, parameters: Iterable[Any] = ()) -> list[Row]:
        """Return all rows of a query, read to the end before any is handed out."""
        with explained(self.path):
            return self._connection.execute(sql, tuple(parameters)).fetchall()

    def row(self, sql: str, parameters: Iterable[Any] = ()) -> Row | None:
        """Return the first row of a query, or None."""
        rows = self.rows(sql, parameters)
        return rows[0] if rows else None

    def execute(self, sql: str, parameters: Iterable[Any] = ()) -> int:
        """Run one writing statement and return the rowid that it inserted last; only inside `change`."""
        with explained(self.path):
            return self._connection.execute(sql, tuple(parameters)).lastrowid or 0

    def execute_many(self, sql: str, rows: Iterable[Iterable[Any]]) -> None:
        """Run one writing statement for each row of parameters; only inside `change`."""
        with explained(self.path):
            self._connection.executemany(sql, (tuple(row) for row in rows))

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let every query in the block see the same state; writers are not held up by it."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    @contextmanager
    def change(self) -> Iterator[None]:
        """Run the block as one transaction under the write lock: all of it is kept, or nothing.

        Raises `BusyError` where the lock can't be had, `CrmflowError` where SQLite fails.
        """
        if self.is_rehearsal:
            yield
            return
        with self._lock.held(), explained(self.path), self._transaction("COMMIT"):
            yield

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Let everything in the block happen, every `change` of it in one transaction, and keep nothing of it."""
        with self._lock.held(), explained(self.path), self._transaction("ROLLBACK"):
            self.is_rehearsal = True
            try:
                yield
            finally:
                self.is_rehearsal = False

    @contextmanager
    def _transaction(self, end: str) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute(end)
        except BaseException:
            if self._connection.in_transaction:  # after SQLITE_FULL or SQLITE_IOERR SQLite has rolled back itself
                self._connection.execute("ROLLBACK")
            raise

    def checkpoint(self) -> bool:
        """Bring the write-ahead log into the file and empty it, so that nothing deleted is left in it.

        Returns False where a reader that does not end keeps it from being emptied; closing the last connection after
        that reader does it then.
        """
        if self.is_rehearsal:
            return True
        with self._lock.held(), explained(self.path):
            [(is_blocked, _, _)] = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return not is_blocked

    def copy_to(self, target: sqlite3.Connection) -> None:
        """Copy the whole store, as it is at one moment, into an empty database."""
        with explained(self.path):
            self._connection.backup(target)

    def upgrade(self) -> None:
        """Run the migrations that this store has not had yet."""
        from crmflow.store.migrations import migrate

        with self._lock.held(), explained(self.path):
            migrate(self._connection)


def open_store(path: Path, *, wait: float = 60.0) -> Store:
    """Open the store at `path`, bringing an older one up to date.

    Raises `CrmflowError` where there is none, where the file is something else or damaged, or was made by a newer
    version; none of them changes the file.
    """
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "does not exist"
        raise CrmflowError(f"there is no store: {path} {what}", hint=f"make one with: crmflow --db {path} init")
    store = Store(_connect(path, wait), path, wait=wait)
    try:
        with explained(path):
            pending = _pending(store)
            if pending:
                store.upgrade()
    except BaseException:
        store.close()
        raise
    return store


def create_store(path: Path, *, wait: float = 60.0) -> Store:
    """Make an empty store at `path`, readable and writable by its owner only.

    Raises `CrmflowError` where something is there already or the directory can't be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError as error:
        raise CrmflowError(f"{path} is there already", hint="choose another place with --db PATH") from error
    except OSError as error:
        raise CrmflowError(f"can't make a store at {path}: {error.strerror}") from error
    try:
        store = Store(_connect(path, wait), path, wait=wait)
        _lay_out(store)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return store


def delete_store(path: Path) -> None:
    """Delete a store with all that belongs to it; the caller knows that nobody needs it."""
    for suffix in ("", "-wal", "-shm", ".lock"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _lay_out(store: Store) -> None:
    [(mode,)] = store.rows("PRAGMA journal_mode = WAL")
    if mode != "wal":
        raise CrmflowError(f"{store.path}: this file system can't keep a store (journal mode {mode}, not wal)")
    store.upgrade()
    store.rows(f"PRAGMA application_id = {APPLICATION_ID}")


def _connect(path: Path, wait: float) -> sqlite3.Connection:
    busy_ms = round(min(max(1000 * wait, SHORTEST_BUSY_MS), LONGEST_BUSY_MS))
    with explained(path):
        connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=rw", uri=True, isolation_level=None)
        for pragma in (f"PRAGMA busy_timeout = {busy_ms}", *_PRAGMAS):
            connection.execute(pragma).fetchall()
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1_000_000_000)
    return connection


def _pending(store: Store) -> bool:
    """Tell whether migrations are due; raises `CrmflowError` for a file that is no store of this version."""
    if store.rows("PRAGMA application_id")[0][0] != APPLICATION_ID:
        raise CrmflowError(f"{store.path} is not a crmflow store", hint="name the store with --db PATH or CRMFLOW_DB")
    if not store.rows("SELECT 1 FROM sqlite_schema WHERE name = '_sqlite_migrations'"):
        return True
    applied = {
        name for (name,) in store.rows("SELECT name FROM _sqlite_migrations WHERE migration_set = ?", [MIGRATION_SET])
    }
    if newer := sorted(applied - MIGRATIONS.keys()):
        raise CrmflowError(
            f"{store.path} was made by a newer version of crmflow (it has {newer[-1]})",
            hint="upgrade crmflow: pip install --upgrade crmflow",
        )
    return bool(MIGRATIONS.keys() - applied)


def array(values: Iterable[object]) -> str:
    """Return values as the JSON array that `json_each` takes: how a set is handed to a query."""
    return json.dumps(list(values), ensure_ascii=False)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about the file at `path` into ours; a mistake in our own SQL stays what it is."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise BusyError(
                f"another program holds {path} (not crmflow: a sqlite3 shell?)",
                hint="nothing was changed: end its transaction and run this again",
            ) from error
        if code in _FILE_FAULTS:
            what, hint = _FILE_FAULTS[code]
            raise CrmflowError(f"{path}: {what} ({error}); nothing was changed", hint=hint) from error
        raise


_FILE_FAULTS: dict[int, tuple[str, str | None]] = {
    sqlite3.SQLITE_NOTADB: ("not a SQLite database", "name the store with --db PATH or CRMFLOW_DB"),
    sqlite3.SQLITE_CORRUPT: ("the store is damaged", "look at it with crmflow doctor, and go back to a backup"),
    sqlite3.SQLITE_FULL: ("the disk is full", "make room and run this again"),
    sqlite3.SQLITE_IOERR: ("reading or writing failed", "look at the disk, then run this again: that is safe"),
    sqlite3.SQLITE_READONLY: ("the store can't be written", "look at the file's and its directory's permissions"),
    sqlite3.SQLITE_CANTOPEN: ("the store can't be opened", "look at the file's and its directory's permissions"),
    sqlite3.SQLITE_PERM: ("no permission", "look at the file's and its directory's permissions"),
    sqlite3.SQLITE_AUTH: ("no permission", None),
    sqlite3.SQLITE_NOLFS: ("the file is too large for this file system", None),
}
