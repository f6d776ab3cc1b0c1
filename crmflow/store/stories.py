"""What the store tells of a record's way through workflows: what stands, what stood, and which run wrote it."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from crmflow.core.codec import decode, decode_value
from crmflow.core.model import Exit, Scalar, Workflow
from crmflow.core.times import from_stored, stored
from crmflow.store.connection import Row, Store, array
from crmflow.store.faults import kept


class KeptRun(NamedTuple):
    """A run by its number, and the number of the run that undid it."""

    run: int
    command: str
    undone_by: int | None


class KeptStep(NamedTuple):
    """A step of an enrollment that was completed; `source` and `line` are those of the event that told it, if any."""

    enrollment: int
    step: str
    at: datetime
    event_id: str | None
    source: str | None
    line: int | None
    run: int


class KeptExit(NamedTuple):
    """An exit of an enrollment: whether it stands, and the runs that wrote, superseded and restored it."""

    enrollment: int
    exit: Exit
    source: str | None
    definition: int | None
    run: int
    superseded_by: int | None
    restored_by: int | None
    stands: bool


class Withdrawn(NamedTuple):
    """An enrollment that was taken back: the runs that made it and withdrew it."""

    workflow: str
    enrolled_at: datetime
    run: int
    withdrawn_by: int


class Version(NamedTuple):
    """A definition as a file declared it, and the run that put it in force."""

    workflow: Workflow
    path: str
    digest: str
    run: int


def beginnings(store: Store, record: int) -> dict[int, int]:
    """Return the run that made each enrollment of a record, by the enrollment's number."""
    return dict(store.rows("SELECT id, run_id FROM enrollment WHERE record_id = ?", [record]))


def steps(store: Store, record: int) -> list[KeptStep]:
    """Return the steps that a record completed in any workflow, in the order of time."""
    rows = store.rows(
        "SELECT enrollment_id, step_completion.step, completed_at, event_id, reading.path, line, step_completion.run_id"
        " FROM enrollment JOIN step_completion ON enrollment_id = enrollment.id"
        " LEFT JOIN reading ON reading.id = reading_id WHERE record_id = ? ORDER BY completed_at, position",
        [record],
    )
    return [
        KeptStep(number, step, kept(from_stored, at), event_id or None, source, line, run)
        for number, step, at, event_id, source, line, run in rows
    ]


def exits(store: Store, record: int) -> list[KeptExit]:
    """Return every exit that a record has or had in any workflow, in the order in which they were written."""
    rows = store.rows(
        "SELECT enrollment_id, exited_at, cause, trigger, event_id, event_type, line, note, reading.path,"
        " definition_id, exit.run_id, superseded_run_id, restored_run_id, exit.id = enrollment.exit_id FROM enrollment"
        " JOIN exit ON enrollment_id = enrollment.id LEFT JOIN reading ON reading.id = reading_id"
        " WHERE record_id = ? ORDER BY exit.id",
        [record],
    )
    return [_exit(row) for row in rows]


def _exit(row: Row) -> KeptExit:
    number, at, cause, trigger, event_id, event_type, line, note, source, definition, run, over, back, stands = row
    exit_ = Exit(
        at=kept(from_stored, at),
        cause=cause,
        trigger=trigger,
        event_id=event_id,
        event_type=event_type,
        line=line,
        note=note,
    )
    return KeptExit(number, exit_, source, definition, run, over, back, bool(stands))


def withdrawn(store: Store, record: int) -> list[Withdrawn]:
    """Return the enrollments of a record that were taken back, in the order in which they were made."""
    rows = store.rows(
        "SELECT name, enrolled_at, run_id, withdrawn_run_id FROM withdrawn_enrollment"
        " JOIN workflow ON workflow.id = workflow_id WHERE record_id = ? ORDER BY withdrawn_enrollment.id",
        [record],
    )
    return [Withdrawn(name, kept(from_stored, at), run, by) for name, at, run, by in rows]


def versions(store: Store, numbers: Iterable[int]) -> dict[int, Version]:
    """Return the definitions of these numbers, by number."""
    rows = store.rows(
        "SELECT id, content, path, digest, run_id FROM definition WHERE id IN (SELECT value FROM json_each(?))",
        [array(numbers)],
    )
    return {number: Version(kept(decode, content), *columns) for number, content, *columns in rows}


def runs(store: Store) -> dict[int, KeptRun]:
    """Return all runs, by number."""
    rows = store.rows("SELECT id, command, undone_by_run_id FROM run ORDER BY id")
    return {row[0]: KeptRun(*row) for row in rows}


def updates_at(store: Store, record: int, at: datetime) -> list[tuple[str, Scalar]]:
    """Return the fields that were set at a time, and their values then."""
    rows = store.rows(
        "SELECT field, value FROM field_change WHERE record_id = ? AND changed_at = ? ORDER BY field, value",
        [record, stored(at)],
    )
    return [(field, kept(decode_value, value)) for field, value in rows]
