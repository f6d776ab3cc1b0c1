"""Opening and making a store, and the one way to change it: a transaction under the write lock."""

import os
import sqlite3
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from crmflow.core.codec import encode_value
from crmflow.core.errors import CrmflowError
from crmflow.store.faults import MAYBE_CHANGED, NOTHING_CHANGED, ONLY_BEFORE_KEPT, damaged, explained, system_explained
from crmflow.store.lock import WriteLock
from crmflow.store.schema import APPLICATION_ID, MIGRATION_SET, MIGRATIONS

ROWS_A_STATEMENT = 100
"""How many rows are inserted at once: more save nothing."""

LONGEST_BUSY_MS = 10_000
SHORTEST_BUSY_MS = 100
"""How long SQLite itself waits for another program, or for a connection that is being closed."""

_PRAGMAS = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA secure_delete = ON",
    "PRAGMA synchronous = FULL",
    "PRAGMA cache_size = -32768",
    "PRAGMA wal_autocheckpoint = 16384",
)
_BESIDE = ("-journal", "-wal", "-shm", ".lock")
"""What the names of the files that lie beside a store end with."""

Row = tuple[Any, ...]


class Store:
    """An open store: one connection of one process. Close it, or use it as a context manager.

    `outcome` says, for the sentence of an error, what this process has changed so far.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, *, wait: float) -> None:
        """Wrap a connection that `open_store` or `create_store` made."""
        self.path = path
        self._connection = connection
        self._lock = WriteLock(path, wait=wait)
        self.is_rehearsal = False
        self._is_whole = False
        self.outcome = NOTHING_CHANGED

    def __enter__(self) -> Self:
        """Return the store itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the store; a fault that damage to its file explains becomes the error that says so."""
        try:
            if isinstance(error, Exception) and not isinstance(error, CrmflowError):
                self._blame_damage(error)
        finally:
            self.close()

    def _blame_damage(self, fault: Exception) -> None:
        """Raise `CrmflowError` where the store's file is damaged: then nothing that fails is surprising."""
        from crmflow.store.soundness import damage

        if (found := damage(self._connection.execute)) is not None:
            raise damaged(self.path, found, self.outcome) from fault

    def close(self) -> None:
        """Close the connection; what was not committed is not kept."""
        self._connection.close()

    def is_at(self, path: str) -> bool:
        """Tell whether a path leads to this store's file, by whatever name; the file is not opened."""
        try:
            return Path(path).samefile(self.path)
        except OSError:
            return False

    def owns(self, path: str) -> bool:
        """Tell whether a path leads to this store's file or to one that lies beside it for it; nothing is opened."""
        here = self.path.resolve()
        beside = [here.with_name(here.name + suffix) for suffix in _BESIDE]
        return self.is_at(path) or Path(path).resolve() in beside

    def shown(self, run: int | None) -> int | None:
        """Return the number of a run that is kept; None for none, and in a rehearsal."""
        return None if self.is_rehearsal else run

    def rows(self, sql: str, parameters: Iterable[Any] = ()) -> list[Row]:
        """Return all rows of a query, read to the end before any is handed out."""
        with explained(self.path, self.outcome):
            return self._connection.execute(sql, tuple(parameters)).fetchall()

    def row(self, sql: str, parameters: Iterable[Any] = ()) -> Row | None:
        """Return the first row of a query, or None."""
        rows = self.rows(sql, parameters)
        return rows[0] if rows else None

    def execute(self, sql: str, parameters: Iterable[Any] = ()) -> int:
        """Run one writing statement and return the rowid that it inserted last; only inside `change`."""
        with explained(self.path, self.outcome):
            return self._connection.execute(sql, tuple(parameters)).lastrowid or 0

    def execute_many(self, sql: str, rows: Iterable[Row]) -> None:
        """Run one writing statement for each row of parameters; only inside `change`."""
        with explained(self.path, self.outcome):
            self._connection.executemany(sql, rows)

    def insert(self, into: str, rows: Iterable[Row], *, otherwise: str = "") -> None:
        """Insert rows, all as wide as the first, `into` a table (`table (columns)`); only inside `change`.

        Many rows go into one statement, which costs half of one statement for each. `otherwise` says what becomes of a
        row that is there already: `ON CONFLICT ...`.
        """
        rest = iter(rows)
        with explained(self.path, self.outcome):
            while some := list(islice(rest, ROWS_A_STATEMENT)):
                row = f"({', '.join('?' * len(some[0]))})"
                sql = f"INSERT INTO {into} VALUES {', '.join([row] * len(some))} {otherwise}"
                self._connection.execute(sql, list(chain.from_iterable(some)))

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let every query in the block see the same state; writers are not held up by it."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._roll_back()

    @contextmanager
    def change(self) -> Iterator[None]:
        """Run the block as one transaction under the write lock: all of it is kept, or nothing.

        Raises `BusyError` where the lock can't be had, `CrmflowError` where SQLite fails.
        """
        if self._is_whole:
            yield
            return
        with self._lock.held(self.outcome), explained(self.path, self.outcome), self._transaction():
            yield
            self._commit()

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Make every `change` in the block part of one transaction: all of them are kept at its end, or nothing."""
        with self.change():
            was_whole, self._is_whole = self._is_whole, True
            try:
                yield
            finally:
                self._is_whole = was_whole

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Let everything in the block happen, every `change` of it in one transaction, and keep nothing of it."""
        with self._lock.held(self.outcome), explained(self.path, self.outcome), self._transaction():
            self.is_rehearsal = self._is_whole = True
            try:
                yield
            finally:
                self.is_rehearsal = self._is_whole = False

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Begin a transaction, and take back what the block has not committed."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
        finally:
            self._roll_back()

    def _commit(self) -> None:
        self.outcome = MAYBE_CHANGED  # after a COMMIT that fails the change may be there
        with explained(self.path, self.outcome):
            self._connection.execute("COMMIT")
        self.outcome = ONLY_BEFORE_KEPT

    def _roll_back(self) -> None:
        if self._connection.in_transaction:  # after SQLITE_FULL or SQLITE_IOERR SQLite has rolled back itself
            self._connection.execute("ROLLBACK")

    def checkpoint(self) -> bool:
        """Bring the write-ahead log into the file and empty it, so that nothing deleted is left in it.

        Returns False where a reader that does not end keeps it from being emptied; closing the last connection after
        that reader does it then.
        """
        if self.is_rehearsal:
            return True
        with self._lock.held(self.outcome), explained(self.path, self.outcome):
            [(is_blocked, _, _)] = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return not is_blocked

    def copy_to(self, target: sqlite3.Connection) -> None:
        """Copy the whole store, as it is at one moment, into an empty database."""
        with explained(self.path, self.outcome):
            self._connection.backup(target)

    @contextmanager
    def reading_beside(self, other: "Store", name: str) -> Iterator[None]:
        """Run the block as one change in which queries may read another store, whose tables stand behind `name`.

        All of them see that store as it is at one moment; its writers are not held up by it.
        """
        self.rows(f"ATTACH ? AS {name}", [_address(other.path, "ro")])
        try:
            with self.change():
                yield
        finally:
            self.rows(f"DETACH {name}")

    @contextmanager
    def writing_beside(self, path: Path, name: str) -> Iterator[None]:
        """Run the block as one reading of the store, in which statements may make tables in a file, behind `name`.

        The file at `path` must be empty. Writers of the store are not held up by it.
        """
        self.rows(f"ATTACH ? AS {name}", [_address(path, "rw")])
        try:
            with explained(self.path, self.outcome):
                self._connection.execute("BEGIN")
                yield
                self._connection.execute("COMMIT")
        finally:
            self._roll_back()
            self.rows(f"DETACH {name}")

    def upgrade(self) -> None:
        """Run the migrations that this store has not had yet, all of them or none."""
        with self._lock.held(self.outcome):
            self._migrate()

    def lay_out(self) -> None:
        """Make an empty file a store; the caller sees to it that nobody else has it open.

        The write-ahead log is switched on last: until then every failure to write is one that SQLite reports.
        """
        self._migrate()
        [(mode,)] = self.rows("PRAGMA journal_mode = WAL")
        if mode != "wal":
            raise CrmflowError(f"{self.path}: this file system can't keep a store (journal mode {mode}, not wal)")

    def _migrate(self) -> None:
        from crmflow.store.migrations import migrate

        with explained(self.path, self.outcome), self._transaction():
            try:
                migrate(self._connection)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                    raise
                raise damaged(self.path, f"its tables are not those that were made: {error}", self.outcome) from error
            self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._commit()
        self.outcome = NOTHING_CHANGED  # of what the user asked for


def open_store(path: Path, *, wait: float = 60.0) -> Store:
    """Open the store at `path`, bringing an older one up to date.

    Raises `CrmflowError` where there is none, where the file is something else or damaged, or was made by a newer
    version; none of them changes the file.
    """
    _require_file(path)
    with ExitStack() as stack:
        store = stack.enter_context(Store(_connect(path, wait), path, wait=wait))
        if _pending(store):
            store.upgrade()
        stack.pop_all()
    return store


def _require_file(path: Path) -> None:
    with system_explained(f"open {path}"):
        try:
            mode = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            what = "does not exist"
        else:
            if stat.S_ISREG(mode):
                return
            what = "is a directory" if stat.S_ISDIR(mode) else "is no file"
    raise CrmflowError(f"there is no store: {path} {what}", hint=f"make one with: crmflow --db {path} init")


def create_store(path: Path, *, wait: float = 60.0) -> Store:
    """Make an empty store at `path`, readable and writable by its owner only.

    It is made under another name and moved to its place when it is whole. Raises `CrmflowError` where something is
    there already or the directory can't be written.
    """
    _require_nothing(path)
    with system_explained(f"make a store at {path}"):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with WriteLock(path, wait=wait).held(), system_explained(f"make a store at {path}"):
        _require_nothing(path)
        _make(path, wait)
    return open_store(path, wait=wait)


def _require_nothing(path: Path) -> None:
    if os.path.lexists(path):
        raise CrmflowError(f"{path} is there already", hint="choose another place with --db PATH")


def _make(path: Path, wait: float) -> None:
    draft = path.with_name(f"{path.name}.new")
    _remove_files(draft)
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with Store(_connect(draft, wait), draft, wait=wait) as store:
            store.lay_out()
        _remove_files(path)
        draft.rename(path)
    except BaseException:
        _remove_files(draft)
        raise
    sync(path.parent)


def delete_store(path: Path, *, wait: float = 60.0) -> None:
    """Delete a store with all that belongs to it but the lock; the caller knows that nobody needs it."""
    with WriteLock(path, wait=wait).held(), system_explained(f"delete {path}"):
        _remove_files(path)


def _remove_files(path: Path) -> None:
    """Remove a database; what an earlier one of its name left beside it SQLite would take for its own."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Make sure that a file or the entries of a directory are on the disk; never to be used on a live store."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _connect(path: Path, wait: float) -> sqlite3.Connection:
    busy_ms = round(min(max(1000 * wait, SHORTEST_BUSY_MS), LONGEST_BUSY_MS))
    with explained(path):
        connection = sqlite3.connect(_address(path, "rw"), uri=True, isolation_level=None)
        try:
            for pragma in (f"PRAGMA busy_timeout = {busy_ms}", *_PRAGMAS):
                connection.execute(pragma).fetchall()
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1_000_000_000)
        except sqlite3.OperationalError as error:
            connection.close()
            if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise
            raise damaged(path, str(error), NOTHING_CHANGED) from error  # an "unsupported file format"
        except BaseException:
            connection.close()
            raise
    return connection


def _address(path: Path, mode: str) -> str:
    """Return the file at `path` as SQLite opens it, for reading (`ro`) or for writing too (`rw`)."""
    return f"file:{quote(str(path.absolute()))}?mode={mode}"


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
    return encode_value(list(values))
