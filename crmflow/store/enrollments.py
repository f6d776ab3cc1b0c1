"""Enrollments, the steps that they completed, and their exits: the one that stands and those that were superseded."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from crmflow.core.model import Completion, Enrollment, Exit
from crmflow.core.times import from_stored, shorten, stored
from crmflow.store.connection import Row, Store, array
from crmflow.store.faults import kept
from crmflow.store.runs import TAKEN_OVER, UNDONE

ROWS_AT_ONCE = 20_000
"""How many enrollments are held at once where all are gone through."""


class Outcome(NamedTuple):
    """What a settlement changes in one enrollment: the exit that now stands, and the last step that counts.

    `kept_id` is the number of an exit that is kept already and stands again; `waiting_since` is written with that.
    """

    enrollment: Enrollment
    exit: Exit | None
    completion: Completion | None
    step_position: int | None
    kept_id: int | None = None
    waiting_since: datetime | None = None


class Origin(NamedTuple):
    """Where what is written comes from: the run, and what it read (None: no log)."""

    run: int
    reading: int | None = None


_COLUMNS = (
    "enrollment.id, record_id, workflow.name, enrolled_at, step, step_position, step_at, waiting_since,"
    " exit.id, exited_at, cause, trigger, event_id, event_type, line, note, exit.run_id"
)
_JOINS = " JOIN workflow ON workflow.id = workflow_id LEFT JOIN exit ON exit.id = exit_id"


def of_records(store: Store, records: Iterable[int], workflow: str | None = None) -> list[Enrollment]:
    """Return all enrollments of these records (in one workflow, or in any), the oldest first."""
    rows = store.rows(
        f"SELECT {_COLUMNS} FROM json_each(?) AS wanted CROSS JOIN enrollment ON record_id = wanted.value{_JOINS}"
        " WHERE ? IN ('', workflow.name) ORDER BY enrollment.id",
        [array(records), workflow or ""],
    )
    return [kept(_enrollment, row) for row in rows]


def histories(store: Store, records: Iterable[int], workflow: str) -> dict[int, list[Enrollment]]:
    """Return the enrollments of these records in a workflow by record, the oldest first."""
    found: dict[int, list[Enrollment]] = {}
    for each in of_records(store, records, workflow):
        found.setdefault(each.record_id, []).append(each)
    return found


def open_within(
    store: Store, records: Iterable[int], since: datetime, until: datetime
) -> Iterator[tuple[int, int, str]]:
    """Yield number, record and workflow of each enrollment of these records that a time between the two may concern.

    That is: it began until `until`, and had not ended before `since`.
    """
    names: dict[int, str] = dict(store.rows("SELECT id, name FROM workflow"))
    rows = store.rows(
        "SELECT enrollment.id, record_id, workflow_id FROM json_each(?) AS wanted"
        " CROSS JOIN enrollment ON record_id = wanted.value LEFT JOIN exit ON exit.id = exit_id"
        " WHERE enrolled_at <= ? AND (exit_id IS NULL OR exited_at >= ?)",
        [array(sorted(records)), stored(until), stored(since)],
    )
    return ((number, record, names[workflow]) for number, record, workflow in rows)


def load(store: Store, numbers: Iterable[int]) -> list[Enrollment]:
    """Return the enrollments of these numbers, in their order."""
    rows = store.rows(
        f"SELECT {_COLUMNS} FROM json_each(?) AS wanted CROSS JOIN enrollment ON enrollment.id = wanted.value{_JOINS}"
        " ORDER BY enrollment.id",
        [array(sorted(numbers))],
    )
    return [kept(_enrollment, row) for row in rows]


def numbers_in(store: Store, names: Iterable[str]) -> set[int]:
    """Return the numbers of all enrollments in these workflows, those that ended included."""
    rows = store.rows(
        "SELECT enrollment.id FROM enrollment JOIN workflow ON workflow.id = workflow_id"
        " WHERE name IN (SELECT value FROM json_each(?))",
        [array(names)],
    )
    return {number for (number,) in rows}


def active_in(store: Store, workflow: str) -> list[Enrollment]:
    """Return the active enrollments of a workflow, the oldest first."""
    rows = store.rows(
        f"SELECT {_COLUMNS} FROM enrollment{_JOINS}"
        " WHERE state = 'active' AND workflow.name = ? ORDER BY enrollment.id",
        [workflow],
    )
    return [kept(_enrollment, row) for row in rows]


def every(store: Store, workflows: Iterable[str]) -> Iterator[Enrollment]:
    """Yield the enrollments of these workflows in the order of their numbers, without those of removed records."""
    names, last = array(workflows), 0
    while rows := store.rows(
        f"SELECT {_COLUMNS} FROM enrollment{_JOINS} JOIN record ON record.id = record_id"
        " WHERE enrollment.id > ? AND workflow.name IN (SELECT value FROM json_each(?)) AND removed_at IS NULL"
        " ORDER BY enrollment.id LIMIT ?",
        [last, names, ROWS_AT_ONCE],
    ):
        yield from (kept(_enrollment, row) for row in rows)
        last = rows[-1][0]


def _enrollment(row: Row) -> Enrollment:
    number, record, workflow, enrolled_at, step, position, step_at, waiting, exit_id, *exit_columns, exit_run = row
    return Enrollment(
        id=number,
        record_id=record,
        workflow=workflow,
        enrolled_at=from_stored(enrolled_at),
        step=step,
        step_position=position,
        step_at=None if step_at is None else from_stored(step_at),
        waiting_since=None if waiting is None else from_stored(waiting),
        exit=None if exit_id is None else exit_of(*exit_columns),
        exit_id=exit_id,
        exit_run=exit_run,
    )


def exit_of(*columns: Any) -> Exit:
    """Return the exit that these columns hold: exited_at, cause, trigger, event_id, event_type, line, note."""
    at, cause, trigger, event_id, event_type, line, note = columns
    return Exit(
        at=from_stored(at),
        cause=cause,
        trigger=trigger,
        event_id=event_id,
        event_type=event_type,
        line=line,
        note=note,
    )


def completions(store: Store, enrollments: Iterable[int]) -> dict[int, list[Completion]]:
    """Return the steps that these enrollments are known to have completed, by enrollment."""
    rows = store.rows(
        "SELECT enrollment_id, step, position, completed_at, event_id, line"
        " FROM json_each(?) AS wanted CROSS JOIN step_completion ON enrollment_id = wanted.value"
        f" WHERE run_id NOT IN {UNDONE}",
        [array(enrollments)],
    )
    found: dict[int, list[Completion]] = {}
    for number, *columns in rows:
        found.setdefault(number, []).append(kept(completion_of, columns))
    return found


def completion_of(columns: Sequence[Any]) -> Completion:
    """Return the completed step that these columns hold: step, position, completed_at, event_id, line."""
    step, position, at, event_id, line = columns
    return Completion(step=step, position=position, at=from_stored(at), event_id=event_id or None, line=line)


def add(store: Store, run: int, workflow_id: int, records: Iterable[int], at: datetime) -> None:
    """Enroll records that are not active in the workflow."""
    store.insert(
        "enrollment (record_id, workflow_id, enrolled_at, run_id)",
        ((record, workflow_id, stored(at), run) for record in records),
    )


def save_completions(store: Store, origin: Origin, completed: Iterable[tuple[int, Completion]]) -> None:
    """Remember completed steps, given with their enrollment's number; repeats make no difference."""
    store.insert(
        "step_completion",
        (
            (
                number,
                each.step,
                each.position,
                stored(each.at),
                each.event_id or "",
                origin.reading,
                each.line,
                origin.run,
            )
            for number, each in completed
        ),
        otherwise=TAKEN_OVER.format(table="step_completion"),
    )


def save_outcomes(store: Store, origin: Origin, outcomes: Sequence[Outcome]) -> None:
    """Write what a settlement decided; an exit that no longer stands is kept as superseded."""
    exits = [each for each in outcomes if each.exit is not None and each.exit is not each.enrollment.exit]
    _supersede(store, origin.run, exits)
    written_at = {at: stored(at) for at in {each.exit.at for each in exits if each.exit}}
    deciding: dict[str, int | None] = dict(store.rows("SELECT name, definition_id FROM workflow"))
    [(first,)] = store.rows("SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'exit'), 0) + 1")
    store.insert(
        "exit (id, enrollment_id, exited_at, cause, trigger, event_id, event_type, reading_id, line, note, run_id,"
        " definition_id)",
        (
            (*_exit_row(number, each, origin, written_at), deciding.get(each.enrollment.workflow))
            for number, each in enumerate(exits, start=first)
        ),
    )
    store.execute(
        "UPDATE enrollment SET exit_id = decided.id,"
        " state = CASE decided.cause WHEN 'completed' THEN 'completed' ELSE 'disenrolled' END"
        " FROM exit AS decided WHERE decided.id >= ? AND enrollment.id = decided.enrollment_id",
        [first],
    )
    _save_steps(store, outcomes)


def put_back(store: Store, run: int, outcomes: Sequence[Outcome]) -> None:
    """Let exits stand again that are kept, and enrollments go on that have none; what stood before is superseded."""
    changed = [each for each in outcomes if each.exit is not each.enrollment.exit]
    _supersede(store, run, changed)
    store.execute_many(
        "UPDATE exit SET restored_run_id = ?, superseded_run_id = NULL WHERE id = ?",
        ((run, each.kept_id) for each in changed if each.kept_id is not None),
    )
    _save_steps(store, outcomes)
    states = {"completed": "completed", "manual": "disenrolled", "trigger": "disenrolled"}
    store.execute_many(
        "UPDATE enrollment SET exit_id = ?, state = ?, waiting_since = ? WHERE id = ?",
        (
            (
                each.kept_id,
                states[each.exit.cause] if each.exit else "active",
                None if each.waiting_since is None else stored(each.waiting_since),
                each.enrollment.id,
            )
            for each in changed
        ),
    )


def _supersede(store: Store, run: int, outcomes: Iterable[Outcome]) -> None:
    store.execute_many(
        "UPDATE exit SET superseded_run_id = ? WHERE id = ?",
        ((run, each.enrollment.exit_id) for each in outcomes if each.enrollment.exit_id is not None),
    )


def _save_steps(store: Store, outcomes: Iterable[Outcome]) -> None:
    store.execute_many(
        "UPDATE enrollment SET step = ?, step_position = ?, step_at = ?, waiting_since = NULL WHERE id = ?",
        (_step_row(each) for each in outcomes if _has_new_step(each)),
    )


def _exit_row(number: int, outcome: Outcome, origin: Origin, written_at: Mapping[datetime, str]) -> tuple[Any, ...]:
    exit_ = outcome.exit
    if exit_ is None:
        raise AssertionError("only exits are written")
    reading = None if exit_.line is None else origin.reading
    return (
        number,
        outcome.enrollment.id,
        written_at[exit_.at],
        exit_.cause,
        exit_.trigger,
        exit_.event_id,
        exit_.event_type,
        reading,
        exit_.line,
        exit_.note,
        origin.run,
    )


def _has_new_step(outcome: Outcome) -> bool:
    enrollment, last = outcome.enrollment, outcome.completion
    if last is None:
        return enrollment.step is not None
    return (last.step, last.at) != (enrollment.step, enrollment.step_at)


def _step_row(outcome: Outcome) -> tuple[Any, ...]:
    last = outcome.completion
    if last is None:
        return (None, None, None, outcome.enrollment.id)
    return (last.step, outcome.step_position, stored(last.at), outcome.enrollment.id)


def listed(
    store: Store, *, workflow: str | None = None, record: int | None = None, state: str | None = None
) -> list[dict[str, Any]]:
    """Return enrollments as SPEC's JSON has them, ordered by workflow, record key and time of enrollment."""
    conditions = {"workflow.name = ?": workflow, "record.id = ?": record, "state = ?": state}
    given = {sql: value for sql, value in conditions.items() if value is not None}
    rows = store.rows(
        "SELECT workflow.name, record.type, record.key, state, enrolled_at, step, exited_at, cause, trigger, event_id,"
        " event_type, reading.path, line, exit.run_id, note FROM enrollment"
        f"{_JOINS} JOIN record ON record.id = record_id LEFT JOIN reading ON reading.id = reading_id"
        f" WHERE {' AND '.join(['record.removed_at IS NULL', *given])}"
        " ORDER BY workflow.name, record.key, enrolled_at, enrollment.id",
        given.values(),
    )
    return [_listed(row) for row in rows]


def _listed(row: Row) -> dict[str, Any]:
    workflow, kind, key, state, enrolled_at, step, exited_at, cause, *decided = row
    return {
        "workflow": workflow,
        "type": kind,
        "record": key,
        "state": state,
        "enrolled_at": shorten(enrolled_at),
        "step": step,
        "exited_at": None if exited_at is None else shorten(exited_at),
        "exit": None if cause is None else _listed_exit(shorten(exited_at), cause, *decided),
    }


def _listed_exit(at: str, cause: str, *decided: Any) -> dict[str, Any]:
    trigger, event_id, event_type, path, line, run, note = decided
    event = {"id": event_id, "type": event_type, "time": at, "source": path, "line": line} if event_type else None
    return {"cause": cause, "trigger": trigger, "event": event, "run": run, "note": note}


class Counted(NamedTuple):
    """How many enrollments of a workflow are alike in state, last step and what they left by."""

    state: str
    step: str | None
    trigger: str | None
    number: int


def counted(store: Store) -> dict[str, list[Counted]]:
    """Return the counts of enrollments by workflow."""
    rows = store.rows(
        "SELECT workflow.name, state, CASE state WHEN 'active' THEN step END AS at_step, trigger, count(*)"
        f" FROM enrollment{_JOINS} GROUP BY workflow.name, state, at_step, trigger"
    )
    found: dict[str, list[Counted]] = {}
    for workflow, *columns in rows:
        found.setdefault(workflow, []).append(Counted(*columns))
    return found
