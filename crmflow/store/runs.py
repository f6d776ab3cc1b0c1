"""Runs: one execution of a command that changes the store; everything it writes points back to it."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from crmflow.core.model import Moment
from crmflow.core.times import from_stored, shorten, stored
from crmflow.store.connection import Store, array
from crmflow.store.faults import kept

UNDONE = "(SELECT id FROM run WHERE undone_by_run_id IS NOT NULL)"
"""The runs that were undone, for `NOT IN`: what they wrote does not count."""

TAKEN_OVER = f"ON CONFLICT DO UPDATE SET run_id = excluded.run_id WHERE {{table}}.run_id IN {UNDONE}"
"""What becomes of a fact that is known already: it makes no difference, but where only an undone run told it."""


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


def times(store: Store, numbers: Iterable[int]) -> dict[int, datetime]:
    """Return the times of these runs, by number."""
    rows = store.rows(
        "SELECT run.id, at FROM json_each(?) AS wanted JOIN run ON run.id = wanted.value", [array(numbers)]
    )
    return {number: kept(from_stored, at) for number, at in rows}


def mark_undone(store: Store, run: int, by: int) -> None:
    """Let a run count no more, because of another one."""
    store.execute("UPDATE run SET undone_by_run_id = ? WHERE id = ?", [by, run])


def undone_by(store: Store, run: int) -> list[int]:
    """Return the runs that count no more because of this one."""
    return [number for (number,) in store.rows("SELECT id FROM run WHERE undone_by_run_id = ?", [run])]


def let_stand(store: Store, numbers: Iterable[int]) -> None:
    """Let runs count again that were undone."""
    store.execute_many("UPDATE run SET undone_by_run_id = NULL WHERE id = ?", ((number,) for number in numbers))


_SELECT = "SELECT id, command, at, started_at, is_finished, summary, undone_by_run_id FROM run"

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


def _run(number: int, command: str, at: str, started_at: str, *state: Any) -> dict[str, Any]:
    is_finished, summary, undone_by = state
    return {
        "run": number,
        "command": command,
        "at": shorten(at),
        "started_at": shorten(started_at),
        "finished": bool(is_finished),
        "undone_by": undone_by,
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
