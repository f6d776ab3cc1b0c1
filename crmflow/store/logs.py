"""Logs known by their content, what each run read of them, and the lines that were not understood."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from crmflow.core.model import Reject
from crmflow.core.times import from_stored
from crmflow.store.connection import Row, Store
from crmflow.store.faults import kept


class KnownLog(NamedTuple):
    """A log as far as it was read: `length` bytes (decompressed), the number of the next line, what they look like."""

    id: int
    path: str
    length: int
    next_line: int
    fingerprint: str


class Place(NamedTuple):
    """Where a reading begins: the source as the user named it, log, offset; `terms` tell how it is read."""

    path: str
    log: int | None = None
    offset: int = 0
    terms: str = "{}"


class StandingReading(NamedTuple):
    """What an ingest that was not undone read of a source: bytes `from_offset` to `to_offset` (decompressed).

    `log` is the number of the log, None for what can't be known again; `path` is the source as the user named it;
    `now` is the clock's time when it was read, `terms` tell how.
    """

    id: int
    run: int
    log: int | None
    path: str
    from_offset: int
    to_offset: int
    now: datetime
    terms: str


class KeptReject(NamedTuple):
    """A reject with its number, the run that met it, the source as the user named it, and how that was read."""

    id: int
    run: int
    source: str
    terms: str
    reject: Reject


_COLUMNS = "id, path, length, next_line, fingerprint"


def beginning_with(store: Store, first_line: str) -> list[KnownLog]:
    """Return the logs whose first line has this digest, the longest first."""
    rows = store.rows(f"SELECT {_COLUMNS} FROM log WHERE first_line = ? ORDER BY length DESC, id DESC", [first_line])
    return [KnownLog(*row) for row in rows]


def at_path(store: Store, path: str) -> KnownLog | None:
    """Return the log that was last read under an absolute path, or None."""
    row = store.row(f"SELECT {_COLUMNS} FROM log WHERE path = ? ORDER BY id DESC LIMIT 1", [path])
    return KnownLog(*row) if row else None


def paths_in(store: Store, folder: str) -> list[str]:
    """Return the absolute paths of all known logs that were last read somewhere below a folder."""
    rows = store.rows("SELECT path FROM log WHERE path >= ? AND path < ?", [f"{folder}/", f"{folder}0"])
    return [path for (path,) in rows]


def get(store: Store, log: int) -> KnownLog:
    """Return a log by its number."""
    [row] = store.rows(f"SELECT {_COLUMNS} FROM log WHERE id = ?", [log])
    return KnownLog(*row)


def first_lines(store: Store) -> dict[int, str]:
    """Return the digest of every log's first line, by the log's number."""
    return dict(store.rows("SELECT id, first_line FROM log ORDER BY id"))


def standing_readings(store: Store) -> list[StandingReading]:
    """Return what ingests read that were not undone, in the order of their reading."""
    rows = store.rows(
        "SELECT reading.id, run_id, log_id, path, from_offset, to_offset, started_at, terms FROM reading"
        " JOIN run ON run.id = run_id WHERE command = 'ingest' AND undone_by_run_id IS NULL AND to_offset > from_offset"
        " ORDER BY reading.id"
    )
    return [
        StandingReading(number, run, log, path, start, end, kept(from_stored, started_at), terms)
        for number, run, log, path, start, end, started_at, terms in rows
    ]


def rejected_lines(store: Store) -> set[tuple[int, int]]:
    """Return the lines that are kept as rejects, each as the number of the reading that met it and of the line."""
    return {(reading, line) for reading, line in store.rows("SELECT reading_id, line FROM reject")}


def add(store: Store, path: str, first_line: str) -> int:
    """Get to know a log of which nothing was read yet; returns its number."""
    return store.execute(
        "INSERT INTO log (path, first_line, length, next_line, fingerprint) VALUES (?, ?, 0, 1, '')", [path, first_line]
    )


def save_progress(store: Store, known: KnownLog) -> None:
    """Keep how far a log was read, and where it lies now."""
    store.execute(
        "UPDATE log SET path = ?, length = ?, next_line = ?, fingerprint = ? WHERE id = ?",
        [known.path, known.length, known.next_line, known.fingerprint, known.id],
    )


def add_reading(store: Store, run: int, place: Place) -> int:
    """Write down that a run begins to read a source; returns the reading's number."""
    return store.execute(
        "INSERT INTO reading (run_id, log_id, path, from_offset, to_offset, line_count, terms)"
        " VALUES (?, ?, ?, ?, ?, 0, ?)",
        [run, place.log, place.path, place.offset, place.offset, place.terms],
    )


def sources(store: Store) -> dict[str, list[int]]:
    """Return the logs that ingests have read under each name that a user gave, the latest first."""
    rows = store.rows(
        "SELECT DISTINCT reading.path, log_id FROM reading JOIN run ON run.id = run_id"
        " WHERE command = 'ingest' AND log_id IS NOT NULL ORDER BY log_id DESC"
    )
    found: dict[str, list[int]] = {}
    for path, log in rows:
        found.setdefault(path, []).append(log)
    return found


def logs_of_readings(store: Store) -> dict[int, int | None]:
    """Return the log that each reading is of, None for what can't be known again, by the reading's number."""
    return dict(store.rows("SELECT id, log_id FROM reading"))


def latest_terms(store: Store, log: int) -> str | None:
    """Return how a log was read the last time that an ingest read it, None where none did."""
    row = store.row("SELECT terms FROM reading WHERE log_id = ? ORDER BY id DESC LIMIT 1", [log])
    return row[0] if row else None


def extend_reading(store: Store, reading: int, to_offset: int, line_count: int) -> None:
    """Write down how far a reading came, and how many lines more it read."""
    store.execute(
        "UPDATE reading SET to_offset = ?, line_count = line_count + ? WHERE id = ?", [to_offset, line_count, reading]
    )


def save_rejects(store: Store, reading: int, rejects: Iterable[Reject]) -> None:
    """Keep the lines that were not understood, each line of a log once however often it is read."""
    rejects = list(rejects)
    if not rejects:
        return
    known = {
        offset
        for (offset,) in store.rows(
            "SELECT offset FROM reject JOIN reading ON reading.id = reading_id WHERE offset BETWEEN ? AND ?"
            " AND log_id = (SELECT log_id FROM reading WHERE id = ?)",
            [rejects[0].offset, rejects[-1].offset, reading],
        )
    }
    store.execute_many(
        "INSERT INTO reject (reading_id, line, offset, reason, text) VALUES (?, ?, ?, ?, ?)",
        ((reading, each.line, each.offset, each.reason, each.text) for each in rejects if each.offset not in known),
    )


def rejects(store: Store) -> list[KeptReject]:
    """Return every reject that is kept, in the order in which they were met."""
    return [_kept(row) for row in store.rows(_REJECTS)]


def first_reject(store: Store) -> KeptReject | None:
    """Return the reject that was met first, or None."""
    row = store.row(f"{_REJECTS} LIMIT 1")
    return _kept(row) if row else None


_REJECTS = (
    "SELECT reject.id, run_id, path, terms, line, offset, reason, text FROM reject"
    " JOIN reading ON reading.id = reading_id ORDER BY reject.id"
)


def drop_rejects(store: Store, numbers: Sequence[int]) -> None:
    """Forget these rejects."""
    store.execute_many("DELETE FROM reject WHERE id = ?", ((number,) for number in numbers))


def _kept(row: Row) -> KeptReject:
    number, run, path, terms, *reject = row
    return KeptReject(number, run, path, terms, Reject(*reject))


def reject_counts(store: Store) -> dict[str, Any]:
    """Return how many rejects are kept, by source."""
    return dict(
        store.rows(
            "SELECT path, count(*) FROM reject JOIN reading ON reading.id = reading_id GROUP BY path ORDER BY path"
        )
    )
