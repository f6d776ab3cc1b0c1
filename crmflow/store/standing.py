"""What runs wrote as far as they stand, and what of it a run that is taken back has part in."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from crmflow.core.codec import encode_value
from crmflow.core.identity import ID_MARK
from crmflow.core.model import UNSET, Completion, Enrollment, Event, Exit
from crmflow.core.times import from_stored, stored
from crmflow.core.triggers import field_change
from crmflow.store.connection import Row, Store, array
from crmflow.store.enrollments import completion_of, exit_of
from crmflow.store.faults import kept
from crmflow.store.fields import Field, as_value
from crmflow.store.runs import UNDONE


class KeptExit(NamedTuple):
    """An exit, standing or superseded, that a standing run decided by hand or from what a standing run read.

    `path` and `log` are of the log that its event stands in, None where there is none; `is_in_log` tells whether the
    event was read by an ingest. `decided_at` is the time of the run.
    """

    id: int
    enrollment: int
    exit: Exit
    decided_at: datetime
    path: str | None
    log: int | None
    is_in_log: bool


class KeptCompletion(NamedTuple):
    """A completed step that a standing run wrote down; `path` as in `KeptExit`, None where `advance` completed it."""

    enrollment: int
    completion: Completion
    path: str | None


_READING = " LEFT JOIN reading ON reading.id = reading_id LEFT JOIN run AS reader ON reader.id = reading.run_id"


def exits(store: Store, enrollments: Iterable[int]) -> dict[int, list[KeptExit]]:
    """Return the exits of these enrollments that stand on runs that do, by enrollment, the oldest first."""
    rows = store.rows(
        "SELECT exit.id, enrollment_id, run.at, reading.path, reading.log_id, reader.command = 'ingest',"
        " exited_at, cause, trigger, event_id, event_type, line, note FROM json_each(?) AS wanted"
        f" CROSS JOIN exit ON enrollment_id = wanted.value JOIN run ON run.id = exit.run_id{_READING}"
        f" WHERE exit.run_id NOT IN {UNDONE} AND (reader.id IS NULL OR reader.id NOT IN {UNDONE}) ORDER BY exit.id",
        [array(enrollments)],
    )
    found: dict[int, list[KeptExit]] = {}
    for row in rows:
        found.setdefault(row[1], []).append(kept(_kept_exit, row))
    return found


def _kept_exit(row: Row) -> KeptExit:
    number, enrollment, decided_at, path, log, is_in_log, *columns = row
    return KeptExit(number, enrollment, exit_of(*columns), from_stored(decided_at), path, log, bool(is_in_log))


def completions(store: Store, enrollments: Iterable[int]) -> dict[int, list[KeptCompletion]]:
    """Return the completed steps of these enrollments that standing runs wrote down, by enrollment."""
    rows = store.rows(
        "SELECT enrollment_id, reading.path, step, position, completed_at, event_id, line FROM json_each(?) AS wanted"
        " CROSS JOIN step_completion ON enrollment_id = wanted.value LEFT JOIN reading ON reading.id = reading_id"
        f" WHERE step_completion.run_id NOT IN {UNDONE}",
        [array(enrollments)],
    )
    found: dict[int, list[KeptCompletion]] = {}
    for number, path, *columns in rows:
        completion = kept(completion_of, columns)
        found.setdefault(number, []).append(KeptCompletion(number, completion, path))
    return found


def updates_by_hand(store: Store, records: Iterable[int]) -> list[tuple[int, Event]]:
    """Return the updates of these records that people made in standing runs, each with the record's number.

    Their `old` is what the field was for what stands of the runs before.
    """
    rows = store.rows(
        "SELECT record.id, record.type, record.key, field, changed_at, field_change.value,"
        " (SELECT earlier.value FROM field_change AS earlier WHERE earlier.record_id = record.id"
        "   AND earlier.field = field_change.field AND earlier.run_id < field_change.run_id"
        f"  AND (earlier.changed_at = '' OR earlier.run_id NOT IN {UNDONE})"
        "   ORDER BY earlier.changed_at DESC, earlier.hand_run_id DESC, earlier.event_id DESC, earlier.value DESC)"
        " FROM json_each(?) AS wanted CROSS JOIN field_change ON record_id = wanted.value"
        " JOIN record ON record.id = record_id"
        f" WHERE hand_run_id <> 0 AND field_change.run_id NOT IN {UNDONE}",
        [array(records)],
    )
    return [(row[0], kept(_update, row)) for row in rows]


def _update(row: Row) -> Event:
    _, kind, key, field, at, value, old = row
    return Event(
        type="field_updated",
        at=from_stored(at),
        record_type=kind,
        name=key,
        field=field,
        value=as_value(value),
        old=UNSET if old is None else as_value(old),
    )


def touched_enrollments(store: Store, run: int) -> set[int]:
    """Return the enrollments that a run ended, moved, put back or completed steps of, or whose records it changed."""
    rows = store.rows(
        "SELECT enrollment_id FROM exit WHERE ?1 IN (run_id, superseded_run_id, restored_run_id)"
        " UNION SELECT enrollment_id FROM exit JOIN reading ON reading.id = reading_id WHERE reading.run_id = ?1"
        " UNION SELECT enrollment_id FROM step_completion WHERE run_id = ?1"
        " UNION SELECT enrollment_id FROM reconsidered WHERE run_id = ?1"
        " UNION SELECT enrollment.id FROM enrollment JOIN field_change USING (record_id) WHERE field_change.run_id = ?1"
        " UNION SELECT enrollment.id FROM enrollment JOIN bounce USING (record_id) WHERE bounce.run_id = ?1"
        " UNION SELECT enrollment.id FROM enrollment JOIN mail_click USING (record_id) WHERE mail_click.run_id = ?1"
        " UNION SELECT enrollment.id FROM enrollment JOIN message_workflow USING (record_id)"
        "  WHERE message_workflow.run_id = ?1"
        " UNION SELECT enrollment.id FROM enrollment JOIN retraction USING (record_id)"
        "  WHERE ?1 IN (retraction.run_id, taken_back_run_id)",
        [run],
    )
    return {number for (number,) in rows}


def touched_records(store: Store, run: int) -> set[int]:
    """Return the records whose fields, bounces or mails a run changed, or whose events it retracted or gave back."""
    rows = store.rows(
        "SELECT record_id FROM field_change WHERE run_id = ?1 UNION SELECT record_id FROM bounce WHERE run_id = ?1"
        " UNION SELECT record_id FROM message_workflow WHERE run_id = ?1"
        " UNION SELECT record_id FROM unattributed_event WHERE run_id = ?1"
        " UNION SELECT record_id FROM mail_click WHERE run_id = ?1"
        " UNION SELECT record_id FROM retraction WHERE ?1 IN (run_id, taken_back_run_id) AND record_id IS NOT NULL",
        [run],
    )
    return {number for (number,) in rows}


def note_reconsidered(store: Store, run: int, enrollments: Iterable[int]) -> None:
    """Write down which enrollments a run settled anew and changed."""
    store.insert("reconsidered", ((run, number) for number in sorted(enrollments)))


def begun_by(store: Store, run: int) -> set[int]:
    """Return the enrollments that a run began."""
    return {number for (number,) in store.rows("SELECT id FROM enrollment WHERE run_id = ?", [run])}


def built_on(store: Store, enrollments: Iterable[int], run: int) -> set[int]:
    """Return which of these enrollments have an exit, or a completed step, by another run than this that stands."""
    rows = store.rows(
        "SELECT wanted.value FROM json_each(?1) AS wanted WHERE EXISTS (SELECT 1 FROM exit"
        f" WHERE enrollment_id = wanted.value AND run_id <> ?2 AND run_id NOT IN {UNDONE})"
        " OR EXISTS (SELECT 1 FROM step_completion"
        f" WHERE enrollment_id = wanted.value AND run_id <> ?2 AND run_id NOT IN {UNDONE})",
        [array(enrollments), run],
    )
    return {number for (number,) in rows}


def withdraw(store: Store, run: int, enrollments: Iterable[int]) -> None:
    """Take away enrollments that nothing is built on; they are kept aside, with the run that took them away."""
    numbers = array(sorted(enrollments))
    its = "IN (SELECT value FROM json_each(?))"
    store.execute(
        "INSERT INTO withdrawn_enrollment SELECT id, record_id, workflow_id, enrolled_at, run_id, ? FROM enrollment"
        f" WHERE id {its}",
        [run, numbers],
    )
    for table in ("reconsidered", "step_completion", "exit"):
        store.execute(f"DELETE FROM {table} WHERE enrollment_id {its}", [numbers])
    store.execute(f"DELETE FROM enrollment WHERE id {its}", [numbers])


class Withdrawn(NamedTuple):
    """An enrollment that was taken away."""

    id: int
    record_id: int
    workflow: str
    enrolled_at: datetime

    def as_enrollment(self) -> Enrollment:
        """Return it as the active enrollment that it was."""
        return Enrollment(id=self.id, record_id=self.record_id, workflow=self.workflow, enrolled_at=self.enrolled_at)


def withdrawn_by(store: Store, run: int) -> list[Withdrawn]:
    """Return the enrollments that a run took away, the oldest first."""
    rows = store.rows(
        "SELECT withdrawn_enrollment.id, record_id, workflow.name, enrolled_at FROM withdrawn_enrollment"
        " JOIN workflow ON workflow.id = workflow_id WHERE withdrawn_run_id = ? ORDER BY withdrawn_enrollment.id",
        [run],
    )
    return [Withdrawn(number, record, workflow, kept(from_stored, at)) for number, record, workflow, at in rows]


def bring_back(store: Store, enrollments: Iterable[int]) -> None:
    """Let enrollments that were taken away be there again, active and without a completed step."""
    numbers = array(sorted(enrollments))
    store.execute(
        "INSERT INTO enrollment (id, record_id, workflow_id, enrolled_at, run_id)"
        " SELECT id, record_id, workflow_id, enrolled_at, run_id FROM withdrawn_enrollment"
        " WHERE id IN (SELECT value FROM json_each(?))",
        [numbers],
    )
    store.execute("DELETE FROM withdrawn_enrollment WHERE id IN (SELECT value FROM json_each(?))", [numbers])


def next_enrollments(store: Store, records: Iterable[int]) -> dict[int, datetime]:
    """Return when these records were enrolled anew in the same workflow, by the number of the enrollment before."""
    rows = store.rows(
        "SELECT enrollment.id, lead(enrolled_at) OVER (PARTITION BY record_id, workflow_id"
        " ORDER BY enrolled_at, enrollment.id) FROM json_each(?) AS wanted"
        " CROSS JOIN enrollment ON record_id = wanted.value",
        [array(records)],
    )
    return {number: kept(from_stored, at) for number, at in rows if at is not None}


def records_of_event(store: Store, event_id: str) -> list[int]:
    """Return the records of which something is kept that the event of this id told or decided."""
    rows = store.rows(
        "SELECT record_id FROM exit JOIN enrollment ON enrollment.id = enrollment_id WHERE event_id = ?1"
        " UNION SELECT record_id FROM step_completion JOIN enrollment ON enrollment.id = enrollment_id"
        "  WHERE event_id = ?1"
        " UNION SELECT record_id FROM field_change WHERE event_id = ?1"
        " UNION SELECT record_id FROM message_workflow WHERE event_id = ?1"
        " UNION SELECT record_id FROM unattributed_event WHERE event_id = ?1"
        " UNION SELECT record_id FROM mail_click WHERE event_id = ?1"
        " UNION SELECT record_id FROM bounce WHERE event_id = ?1 ORDER BY 1",
        [event_id],
    )
    return [number for (number,) in rows]


_TELLING = {
    "bounce": "bounced_at",
    "message_workflow": "told_at",
    "unattributed_event": "happened_at",
    "mail_click": "clicked_at",
}
"""Tables that keep events as such, and the column of their time."""


def forget(store: Store, record: int, name: str, event: Event | None) -> list[Field]:
    """Forget what an event told of a record: fields, bounces, mails, completed steps; returns the fields it had set.

    It is named by its identity. An event without an id is known by what it says.
    """
    event_id = name.removeprefix(ID_MARK) if name.startswith(ID_MARK) else ""
    at = stored(event.at) if event else ""
    told = [record, event_id, at]
    is_it = "event_id = ?2 AND (?2 <> '' OR {} = ?3)"
    its = "enrollment_id IN (SELECT id FROM enrollment WHERE record_id = ?1)"
    for table, time in _TELLING.items():
        store.execute(f"DELETE FROM {table} WHERE record_id = ?1 AND {is_it.format(time)}", told)
    store.execute(
        f"DELETE FROM step_completion WHERE line IS NOT NULL AND {its} AND {is_it.format('completed_at')}", told
    )
    change = field_change(event) if event else None
    said = [*told, *((change[0], encode_value(change[1])) if change else ("", ""))]
    its_changes = (
        "FROM field_change WHERE record_id = ?1 AND hand_run_id = 0 AND changed_at <> ''"
        f" AND {is_it.format('changed_at')} AND (?2 <> '' OR (field = ?4 AND value = ?5))"
    )
    changed = [(record, field) for (field,) in store.rows(f"SELECT DISTINCT field {its_changes}", said)]
    store.execute(f"DELETE {its_changes}", said)
    return changed
