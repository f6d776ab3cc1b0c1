"""Snapshots: what matching needs of a store, in a file that can be taken anywhere.

A snapshot holds the definitions in force, what records are called, from when to when each enrollment was open, how far
logs were read, and which events were retracted. It is an SQLite file that nobody writes to once it is made, and is
known by the digest of its bytes. It holds personal data: keys and emails.

Enrollments that ended are in it with the time of their exit, because an earlier event may still move that.
"""

import hashlib
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import quote

from crmflow.core.errors import CrmflowError
from crmflow.core.model import RecordType
from crmflow.store.connection import Row, Store, array
from crmflow.store.files import placed
from crmflow.store.runs import UNDONE

FORMAT = 1
_PIECE_SIZE = 16 * 1024 * 1024
_APPLICATION_ID = 0x63726D73
"""`crms`, in the file's header."""

_MICROSECONDS = "CAST(strftime('%s', substr({0}, 1, 19)) AS INTEGER) * 1000000 + CAST(substr({0}, 21, 6) AS INTEGER)"

_MADE = (
    "CREATE TABLE snapshot.header (format INTEGER, store TEXT, run INTEGER) STRICT",
    f"INSERT INTO snapshot.header SELECT {FORMAT}, identity.id, (SELECT coalesce(max(id), 0) FROM run) FROM identity",
    "CREATE TABLE snapshot.definition (name TEXT PRIMARY KEY, content TEXT) STRICT, WITHOUT ROWID",
    """
    INSERT INTO snapshot.definition SELECT name, content FROM workflow
    JOIN definition ON definition.id = workflow.definition_id ORDER BY name
    """,
    "CREATE TABLE snapshot.workflow (id INTEGER PRIMARY KEY, name TEXT) STRICT",
    "INSERT INTO snapshot.workflow SELECT id, name FROM workflow",
    """
    CREATE TABLE snapshot.record (key TEXT, type TEXT, id INTEGER, PRIMARY KEY (key, type)) STRICT, WITHOUT ROWID
    """,
    "INSERT INTO snapshot.record SELECT key, type, id FROM record WHERE key IS NOT NULL ORDER BY key, type",
    "CREATE TABLE snapshot.email (address TEXT PRIMARY KEY, record_id INTEGER) STRICT, WITHOUT ROWID",
    """
    INSERT INTO snapshot.email SELECT address, record_id FROM (
        SELECT address, record_id,
            row_number() OVER (PARTITION BY address ORDER BY is_current DESC, record_id) AS place FROM email
    ) WHERE place = 1 ORDER BY address
    """,
    """
    CREATE TABLE snapshot.enrollment (
        record_id INTEGER, workflow_id INTEGER, id INTEGER, since INTEGER, until INTEGER,
        PRIMARY KEY (record_id, workflow_id, id)
    ) STRICT, WITHOUT ROWID
    """,
    f"""
    INSERT INTO snapshot.enrollment
    SELECT record_id, workflow_id, enrollment.id, {_MICROSECONDS.format("enrolled_at")},
        {_MICROSECONDS.format("exited_at")}
    FROM enrollment LEFT JOIN exit ON exit.id = exit_id ORDER BY record_id, workflow_id, enrollment.id
    """,
    """
    CREATE TABLE snapshot.log (
        id INTEGER PRIMARY KEY, first_line TEXT, length INTEGER, next_line INTEGER, fingerprint TEXT
    ) STRICT
    """,
    "INSERT INTO snapshot.log SELECT id, first_line, length, next_line, fingerprint FROM log",
    "CREATE TABLE snapshot.retraction (identity TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
    f"""
    INSERT OR IGNORE INTO snapshot.retraction SELECT identity FROM retraction
    WHERE taken_back_run_id IS NULL AND run_id NOT IN {UNDONE}
    """,
    f"PRAGMA snapshot.application_id = {_APPLICATION_ID}",
)


class Header(NamedTuple):
    """What a snapshot says of itself: its digest, the store that it is of, and the last run in it."""

    digest: str
    store: str
    run: int
    definitions: tuple[str, ...]


class Exported(NamedTuple):
    """What was written: the snapshot's digest and size in bytes, and how many records and enrollments it holds."""

    digest: str
    size: int
    records: int
    enrollments: int


class SnapshotLog(NamedTuple):
    """A log as far as the store had read it, as `crmflow.store.logs.KnownLog`."""

    id: int
    length: int
    next_line: int
    fingerprint: str


class Window(NamedTuple):
    """An enrollment, open from `since` until its exit (None: it has none), in microseconds since 1970."""

    record: int
    workflow: str
    enrollment: int
    since: int
    until: int | None


def export(store: Store, path: Path, *, overwrite: bool) -> Exported:
    """Write a snapshot of a store as it is at one moment; writers are not held up by it.

    Raises `CrmflowError` as `crmflow.store.files.placed`.
    """
    with placed(path, overwrite=overwrite) as made:
        with store.writing_beside(made, "snapshot"):
            for statement in _MADE:
                store.rows(statement)
        with open_snapshot(made) as snapshot:
            records, enrollments = snapshot.counts()
            digest = snapshot.header.digest
        return Exported(digest, made.stat().st_size, records, enrollments)


def store_id(store: Store) -> str:
    """Return what a store is called in its snapshots; a copy of it is called the same."""
    [(name,)] = store.rows("SELECT id FROM identity")
    return str(name)


class Snapshot:
    """An open snapshot; close it, or use it as a context manager."""

    def __init__(self, connection: sqlite3.Connection, digest: str, path: Path) -> None:
        """Take a connection that `open_snapshot` made."""
        self._connection = connection
        self.path = path
        self.header = self._header(digest)
        self._workflows: dict[int, str] = dict(self._rows("SELECT id, name FROM workflow"))
        self._has_retractions = bool(self._rows("SELECT 1 FROM retraction LIMIT 1"))

    def __enter__(self) -> Self:
        """Return the snapshot itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._connection.close()

    def find(self, kind: RecordType, names: Collection[str]) -> dict[str, int]:
        """Return the numbers of the records that go by these names, as `crmflow.store.records.find`."""
        found: dict[str, int] = dict(
            self._rows(
                "SELECT wanted.value, record.id FROM json_each(?) AS wanted"
                " CROSS JOIN record ON record.key = wanted.value AND record.type = ?",
                array(sorted(names)),
                kind,
            )
        )
        if kind == "prospect" and len(found) < len(names):
            rest = {name: name.casefold() for name in names if name not in found}
            by_address: dict[str, int] = dict(
                self._rows(
                    "SELECT address, record_id FROM json_each(?) AS wanted CROSS JOIN email ON address = wanted.value",
                    array(sorted(set(rest.values()))),
                )
            )
            found |= {name: by_address[address] for name, address in rest.items() if address in by_address}
        return found

    def windows(self, records: Iterable[int]) -> Iterator[Window]:
        """Yield the enrollments of these records."""
        for record, workflow, *rest in self._rows(
            "SELECT record_id, workflow_id, enrollment.id, since, until FROM json_each(?) AS wanted"
            " CROSS JOIN enrollment ON record_id = wanted.value",
            array(sorted(records)),
        ):
            yield Window(record, self._workflows[workflow], *rest)

    def retracted(self, identities: Collection[str]) -> set[str]:
        """Return which of these events count no more."""
        if not self._has_retractions:
            return set()
        sql = "SELECT identity FROM json_each(?) AS wanted CROSS JOIN retraction ON identity = wanted.value"
        return {name for (name,) in self._rows(sql, array(identities))}

    @property
    def has_retractions(self) -> bool:
        """Tell whether there is any event that counts no more."""
        return self._has_retractions

    def logs_beginning_with(self, first_line: str) -> list[SnapshotLog]:
        """Return the logs whose first line has this digest, the longest first."""
        rows = self._rows(
            "SELECT id, length, next_line, fingerprint FROM log WHERE first_line = ? ORDER BY length DESC, id DESC",
            first_line,
        )
        return [SnapshotLog(*row) for row in rows]

    def counts(self) -> tuple[int, int]:
        """Return how many records and enrollments there are."""
        [(records, enrollments)] = self._rows("SELECT (SELECT count(*) FROM record), (SELECT count(*) FROM enrollment)")
        return int(records), int(enrollments)

    def _header(self, digest: str) -> Header:
        if self._rows("PRAGMA application_id") != [(_APPLICATION_ID,)]:
            raise _no_snapshot(self.path)
        [(version, store, run)] = self._rows("SELECT format, store, run FROM header")
        if version != FORMAT:
            raise CrmflowError(
                f"{self.path} is a snapshot of another version of crmflow (format {version}, not {FORMAT})",
                hint="have the same version of crmflow export, match and apply",
            )
        contents = tuple(content for (content,) in self._rows("SELECT content FROM definition ORDER BY name"))
        return Header(digest, store, run, contents)

    def _rows(self, sql: str, *parameters: object) -> list[Row]:
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:
                raise
            raise _no_snapshot(self.path) from error


def open_snapshot(path: Path, digest: str | None = None) -> Snapshot:
    """Open a snapshot, whose `digest` may be known already; raises `CrmflowError` where there is none at `path`."""
    if not path.is_file():
        raise CrmflowError(f"there is no snapshot at {path}", hint="make one with: crmflow snapshot export FILE")
    digest = digest or digest_of(path)
    address = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
    connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
    try:
        return Snapshot(connection, digest, path)
    except BaseException:
        connection.close()
        raise


def pieces(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a snapshot, up to 16 MiB at a time."""
    with path.open("rb") as file:
        while piece := file.read(_PIECE_SIZE):
            yield piece


def received(folder: Path, digest: str) -> Path | None:
    """Return the path of the snapshot of this digest in a folder that has received all of it, else None."""
    path = _place_in(folder, digest)
    return path if path.exists() else None


def receive(folder: Path, digest: str, offset: int, piece: bytes) -> None:
    """Add a piece of a snapshot to what a folder has of it; an empty one says that this was all."""
    path = _place_in(folder, digest)
    draft = path.with_name(f"{path.name}.part")
    if not piece:
        draft.replace(path)
        return
    with draft.open("r+b" if draft.exists() else "w+b") as file:
        file.seek(offset)
        file.truncate()
        file.write(piece)


def _place_in(folder: Path, digest: str) -> Path:
    return folder / f"{digest.replace(':', '-')}.snapshot"


def digest_of(path: Path) -> str:
    """Return the digest of a file's bytes."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _no_snapshot(path: Path) -> CrmflowError:
    return CrmflowError(f"{path} is no snapshot, or it is damaged", hint="make one with: crmflow snapshot export FILE")
