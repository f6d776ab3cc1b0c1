"""Looking after the store: what may be wrong with it, and copies of it that can be relied on."""

import sqlite3
from pathlib import Path
from typing import NamedTuple

from crmflow.core.errors import CrmflowError
from crmflow.store.connection import Store
from crmflow.store.faults import explained
from crmflow.store.files import placed

FIXED_SQLITE = (3, 51, 3)
"""The version from which SQLite does not lose a commit when two connections write and checkpoint at one instant."""


class Finding(NamedTuple):
    """Something that `doctor` found: a fault (or only a note), and what to do about it."""

    what: str
    hint: str
    is_fault: bool = True


_IMPOSSIBLE = {
    "enrollments whose exit lies before they began": (
        "SELECT count(*) FROM enrollment JOIN exit ON exit.id = exit_id WHERE exited_at < enrolled_at"
    ),
    "enrollments whose state and exit do not fit": (
        "SELECT count(*) FROM enrollment LEFT JOIN exit ON exit.id = exit_id"
        " WHERE (state = 'active') <> (exit_id IS NULL) OR (state = 'completed') <> (coalesce(cause, '') = 'completed')"
    ),
    "records that are active twice in a workflow": (
        "SELECT count(*) FROM (SELECT 1 FROM enrollment WHERE state = 'active'"
        " GROUP BY record_id, workflow_id HAVING count(*) > 1)"
    ),
    "exits that stand and are marked as superseded": (
        "SELECT count(*) FROM enrollment JOIN exit ON exit.id = exit_id WHERE superseded_run_id IS NOT NULL"
    ),
    "exits that belong to another enrollment": (
        "SELECT count(*) FROM enrollment JOIN exit ON exit.id = exit_id WHERE enrollment_id <> enrollment.id"
    ),
    "enrollments that were taken away and are there": (
        "SELECT count(*) FROM withdrawn_enrollment JOIN enrollment USING (id)"
    ),
    "prospects whose email can't be looked up": (
        "SELECT count(*) FROM record WHERE type = 'prospect' AND email IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM email WHERE record_id = record.id AND is_current)"
    ),
    "records whose fields can't be read": "SELECT count(*) FROM record WHERE NOT json_valid(fields)",
    "definitions of workflows that can't be read": "SELECT count(*) FROM definition WHERE NOT json_valid(content)",
    "runs whose summary can't be read": "SELECT count(*) FROM run WHERE NOT json_valid(summary)",
}
"""States that no run can bring about, and the query that counts them."""

_GO_BACK = "go back to a backup, and ingest the logs since then again"


def examine(store: Store) -> list[Finding]:
    """Return all that is wrong with the store: pages, references, impossible states, offsets, permissions."""
    return [*_integrity(store), *_states(store), *_offsets(store), *_permissions(store), *_versions()]


def _integrity(store: Store) -> list[Finding]:
    damage = [text for (text,) in store.rows("PRAGMA integrity_check(10)") if text != "ok"]
    dangling = store.rows("PRAGMA foreign_key_check")
    findings = [Finding(f"damaged: {text}", _GO_BACK) for text in damage]
    if dangling:
        tables = sorted({str(row[0]) for row in dangling})
        findings.append(Finding(f"{len(dangling)} rows refer to nothing, in {', '.join(tables)}", _GO_BACK))
    return findings


def _states(store: Store) -> list[Finding]:
    counted = {what: store.rows(sql)[0][0] for what, sql in _IMPOSSIBLE.items()}
    return [Finding(f"{count} {what}", _GO_BACK) for what, count in counted.items() if count]


def _offsets(store: Store) -> list[Finding]:
    findings = []
    for path, length in store.rows("SELECT path, max(length) FROM log GROUP BY path ORDER BY path"):
        log = Path(path)
        if log.is_file() and log.suffix not in {".gz", ".zst"} and log.stat().st_size < length:
            what = f"{path} is shorter than what was read of it ({log.stat().st_size} of {length} bytes)"
            findings.append(
                Finding(what, "the next ingest reads it from its start, as a log that was replaced", is_fault=False)
            )
    return findings


def _permissions(store: Store) -> list[Finding]:
    mode = store.path.stat().st_mode
    if mode & 0o077:
        return [Finding(f"{store.path} can be read by others (mode {mode & 0o777:o})", f"chmod 600 {store.path}")]
    return []


def _versions() -> list[Finding]:
    if sqlite3.sqlite_version_info >= FIXED_SQLITE:
        return []
    return [
        Finding(
            f"SQLite {sqlite3.sqlite_version} can lose a commit when two programs write and checkpoint at one instant",
            "crmflow's own lock prevents that among its runs; do not write to the store with other programs",
            is_fault=False,
        )
    ]


def back_up(store: Store, target: Path, *, overwrite: bool) -> int:
    """Copy the store as it is now, check the copy, and put it at `target` in one step; returns its size in bytes.

    Others may write meanwhile. Raises `CrmflowError` where something is there already, where `target` is a database in
    use, or the copy is not sound.
    """
    with placed(target, overwrite=overwrite) as copy:
        _copy(store, copy)
        return copy.stat().st_size


def _copy(store: Store, copy: Path) -> None:
    target = sqlite3.connect(copy, isolation_level=None)
    try:
        with explained(copy):
            store.copy_to(target)
            target.execute("PRAGMA journal_mode = DELETE").fetchall()
            sound = target.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            dangling = target.execute("PRAGMA foreign_key_check").fetchall()
            target.execute("PRAGMA journal_mode = WAL").fetchall()
    finally:
        target.close()
    if not sound or dangling:
        raise CrmflowError("the copy is not sound; nothing was written", hint="look at the store: crmflow doctor")
