"""Runs: one execution of a command that changes the store; everything it writes points back to it."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from crmflow.core.model import Moment
from crmflow.core.times import from_stored, shorten, stored
from crmflow.store.connection import Store
from crmflow.store.faults import kept


def begin(store: Store, command: str, moment: Moment) -> int:
    """Write down that a run of `command` begins and return its number."""
    return store.execute(
        "INSERT INTO run (command, at, started_at) VALUES (?, ?, ?)",
        [command, stored(moment.at), stored(moment.now)],
    )


def note(store: Store, run: int, summary: Mapping[str, Any], *, is_finished: bool = True) -> None:
    """Keep what the run has done so far, as JSON, and whether it came to its end."""
    text = json.dumps(summary, ensure_ascii=False)
    store.execute("UPDATE run SET summary = ?, is_finished = ? WHERE id = ?", [text, int(is_finished), run])


def listed(store: Store, *, limit: int | None = None) -> list[dict[str, Any]]:
    """Return the runs, newest first, each with its summary."""
    rows = store.rows(f"{_SELECT} ORDER BY id DESC LIMIT ?", [-1 if limit is None else limit])
    return [_run(*row) for row in rows]


def standing(store: Store, command: str) -> list[tuple[int, datetime]]:
    """Return number and time (the clock's) of the runs of a command that were not undone, the oldest first."""
    rows = store.rows(
        "SELECT id, started_at FROM run WHERE command = ? AND undone_by_run_id IS NULL ORDER BY id", [command]
    )
    return [(number, kept(from_stored, started_at)) for number, started_at in rows]


def get(store: Store, run: int) -> dict[str, Any] | None:
    """Return one run with all that points back to it counted, or None."""
    row = store.row(f"{_SELECT} WHERE id = ?", [run])
    if row is None:
        return None
    wrote = {name: _count(store, sql, run) for name, sql in _WROTE.items()}
    return {**_run(*row), "wrote": wrote, "sources": _sources(store, run)}


_SELECT = "SELECT id, command, at, started_at, is_finished, summary FROM run"

_WROTE = {
    "records": "SELECT count(*) FROM record WHERE run_id = ?",
    "field_changes": "SELECT count(*) FROM field_change WHERE run_id = ?",
    "definitions": "SELECT count(*) FROM definition WHERE run_id = ?",
    "enrollments": "SELECT count(*) FROM enrollment WHERE run_id = ?",
    "steps": "SELECT count(*) FROM step_completion WHERE run_id = ?",
    "exits": "SELECT count(*) FROM exit WHERE run_id = ?",
    "rejects": "SELECT count(*) FROM reject JOIN reading ON reading.id = reading_id WHERE run_id = ?",
}
"""What a run can have written, and how it is counted."""


def _run(number: int, command: str, at: str, started_at: str, is_finished: int, summary: str) -> dict[str, Any]:
    return {
        "run": number,
        "command": command,
        "at": shorten(at),
        "started_at": shorten(started_at),
        "finished": bool(is_finished),
        "summary": kept(json.loads, summary),
    }


def _count(store: Store, sql: str, run: int) -> int:
    [(count,)] = store.rows(sql, [run])
    return int(count)


def _sources(store: Store, run: int) -> list[dict[str, Any]]:
    names: Iterable[str] = ("path", "from_offset", "to_offset", "lines")
    rows = store.rows(
        "SELECT path, from_offset, to_offset, line_count FROM reading WHERE run_id = ? ORDER BY id", [run]
    )
    return [dict(zip(names, row, strict=True)) for row in rows]
