"""Trials: stores of a short life, in which it is tried out what rules would do.

A trial holds only what outcomes depend on: what records are called, who was enrolled when, and what people did by hand.
That is kept beside the tables of every store, in `hand_exit`, `hand_step` and `hand_update`, until it is settled by the
rules that are tried out. Nothing in a trial comes from a log, so that logs are read into it from their start.
"""

import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from crmflow.core.model import EMAIL_FIELD, Completion, Event, Exit, RecordType
from crmflow.core.times import from_stored
from crmflow.store.connection import Store, array, create_store, open_store
from crmflow.store.faults import explained, kept
from crmflow.store.fields import as_value

ENROLLMENTS_AT_ONCE = 20_000

_LAYOUT = (
    "DROP INDEX one_active_enrollment",  # an enrollment that ended before the next one began is open again
    """
    CREATE TABLE hand_exit (
        enrollment_id INTEGER NOT NULL,
        exited_at TEXT NOT NULL,
        note TEXT
    ) STRICT
    """,
    """
    CREATE TABLE hand_step (
        enrollment_id INTEGER NOT NULL,
        step TEXT NOT NULL,
        position INTEGER NOT NULL,
        completed_at TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE hand_update (
        enrollment_id INTEGER NOT NULL,
        changed_at TEXT NOT NULL,
        field TEXT NOT NULL,
        value TEXT NOT NULL
    ) STRICT
    """,
)
_INDEXES = tuple(
    f"CREATE INDEX {table}_of_enrollment ON {table} (enrollment_id)"
    for table in ("hand_exit", "hand_step", "hand_update")
)


def create(path: Path) -> Store:
    """Make an empty trial at `path`, its owner's alone; it need not outlive a power failure."""
    trial = _hurried(create_store(path))
    with trial.change():
        for statement in _LAYOUT:
            trial.execute(statement)
    return trial


def twin(trial: Store, path: Path) -> Store:
    """Make another trial at `path` that holds the same."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with explained(path), closing(sqlite3.connect(path, isolation_level=None)) as target:
        trial.copy_to(target)
        target.execute("PRAGMA journal_mode = WAL").fetchall()
    return _hurried(open_store(path))


def _hurried(trial: Store) -> Store:
    trial.rows("PRAGMA synchronous = OFF")
    return trial


# --- what a trial takes over from a store ---

_STANDS = "JOIN live.run AS its_run ON its_run.id = {}.run_id AND its_run.undone_by_run_id IS NULL"
"""A join that leaves out what undone runs wrote."""

_RUN = "(SELECT max(id) FROM run)"
"""The trial's own run, which stands for all those that wrote what is taken over."""

_COPIED = (
    f"""
    INSERT INTO record (id, type, key, email, added_at, run_id)
    SELECT id, type, key, email, added_at, {_RUN} FROM live.record
    WHERE type IN (SELECT type FROM workflow) AND removed_at IS NULL
    """,
    """
    INSERT INTO email
    SELECT address, record_id, is_current FROM live.email JOIN record ON record.id = record_id
    """,
    f"""
    INSERT INTO enrollment (id, record_id, workflow_id, enrolled_at, run_id)
    SELECT its.id, record_id, workflow_id, enrolled_at, {_RUN} FROM live.enrollment AS its
    JOIN workflow ON workflow.id = workflow_id
    JOIN record ON record.id = record_id
    ORDER BY its.id
    """,
    f"""
    INSERT INTO retraction (identity, because, run_id)
    SELECT identity, because, {_RUN} FROM live.retraction {_STANDS.format("retraction")}
    WHERE taken_back_run_id IS NULL
    """,
    # whoever was taken out of a workflow by hand left all enrollments in it that there were at that time
    f"""
    INSERT INTO hand_exit
    SELECT other.id, exited_at, note FROM live.exit {_STANDS.format("exit")}
    JOIN enrollment AS its ON its.id = enrollment_id
    JOIN live.enrollment AS other ON other.record_id = its.record_id AND other.workflow_id = its.workflow_id
    WHERE cause = 'manual' AND other.run_id < exit.run_id
    """,
    f"""
    INSERT INTO hand_step
    SELECT enrollment_id, done.step, position, completed_at FROM live.step_completion AS done {_STANDS.format("done")}
    JOIN enrollment ON enrollment.id = enrollment_id
    WHERE reading_id IS NULL
    """,
    f"""
    INSERT INTO hand_update
    SELECT its.id, changed_at, field, value FROM live.field_change {_STANDS.format("field_change")}
    JOIN live.enrollment AS its ON its.record_id = field_change.record_id AND its.enrolled_at <= changed_at
    JOIN enrollment ON enrollment.id = its.id
    WHERE hand_run_id <> 0 AND its.run_id < field_change.run_id
    """,
    *_INDEXES,
)
"""What is copied out of the store `live`, in this order."""


def take_over(trial: Store, live: Store, workflows: Iterable[str]) -> None:
    """Fill a trial that has only a run with what a store knows of these workflows, as it is at one moment.

    Enrollments come as they began, records as they were called before any log was read. The store is only read, and
    its writers are not held up.
    """
    with trial.reading_beside(live, "live"):
        trial.execute(
            "INSERT INTO workflow (id, name, type) SELECT id, name, type FROM live.workflow"
            " WHERE name IN (SELECT value FROM json_each(?))",
            [array(workflows)],
        )
        for statement in _COPIED:
            trial.execute(statement)
        _take_addresses_back(trial)


def _take_addresses_back(trial: Store) -> None:
    """Take away what only events, or undone runs, said of the emails of prospects."""
    rows = trial.rows(
        "SELECT change.record_id, change.value, undone_by_run_id IS NULL AND (hand_run_id <> 0 OR changed_at = '')"
        " FROM live.field_change AS change JOIN record ON record.id = change.record_id AND record.type = 'prospect'"
        " JOIN live.run AS its_run ON its_run.id = change.run_id"
        " WHERE field = ? ORDER BY change.record_id, changed_at, hand_run_id, event_id, value",
        [EMAIL_FIELD],
    )
    taken_back = {number for number, _, stands in rows if not stands}
    left: dict[int, list[str]] = {number: [] for number in taken_back}
    for number, text, stands in rows:
        if stands and number in left:
            value = as_value(text)
            left[number].append(value if isinstance(value, str) else "")
    for number, emails in left.items():
        _set_emails(trial, number, emails)


def _set_emails(trial: Store, number: int, emails: Iterable[str]) -> None:
    """Give a prospect these emails, one after the other; an empty one stands for none."""
    trial.execute("DELETE FROM email WHERE record_id = ?", [number])
    email = ""
    for email in emails:
        if email:
            trial.execute("INSERT INTO email VALUES (?, ?, 0) ON CONFLICT DO NOTHING", [email.casefold(), number])
    trial.execute("UPDATE record SET email = ? WHERE id = ?", [email or None, number])
    trial.execute("UPDATE email SET is_current = 1 WHERE record_id = ? AND address = ?", [number, email.casefold()])


# --- a trial that no store is behind ---


def declare(trial: Store, workflows: Iterable[tuple[str, RecordType]]) -> dict[str, int]:
    """Let there be workflows, given by name and type; returns their numbers by name."""
    trial.insert("workflow (name, type)", workflows)
    return dict(trial.rows("SELECT name, id FROM workflow"))


# --- what people did by hand ---


class ByHand(NamedTuple):
    """What people did that may concern one enrollment: taking it out, completing its steps, setting fields."""

    exits: list[Exit]
    completed: list[Completion]
    updates: list[Event]


def concerned_by_hand(trial: Store) -> Iterator[list[int]]:
    """Yield the numbers of the enrollments that people's doing may concern, in their order, many at once."""
    last = 0
    tables = ("hand_exit", "hand_step", "hand_update")
    union = " UNION ".join(f"SELECT enrollment_id FROM {table} WHERE enrollment_id > ?" for table in tables)
    while found := [
        number for (number,) in trial.rows(f"{union} ORDER BY 1 LIMIT {ENROLLMENTS_AT_ONCE}", [last] * len(tables))
    ]:
        yield found
        last = found[-1]


def by_hand(trial: Store, enrollments: Collection[int]) -> dict[int, ByHand]:
    """Return what people did, by the number of the enrollment that it may concern."""
    found = {number: ByHand([], [], []) for number in enrollments}
    wanted = array(enrollments)
    for number, at, note in trial.rows(_HAND_EXITS, [wanted]):
        found[number].exits.append(Exit(at=kept(from_stored, at), cause="manual", note=note))
    for number, step, position, at in trial.rows(_HAND_STEPS, [wanted]):
        found[number].completed.append(Completion(step=step, position=position, at=kept(from_stored, at)))
    for number, *row in trial.rows(_HAND_UPDATES, [wanted]):
        found[number].updates.append(_update(*row))
    return found


_ABOUT = "FROM json_each(?) AS wanted CROSS JOIN {0} ON {0}.enrollment_id = wanted.value"
_HAND_EXITS = f"SELECT enrollment_id, exited_at, note {_ABOUT.format('hand_exit')}"
_HAND_STEPS = f"SELECT enrollment_id, step, position, completed_at {_ABOUT.format('hand_step')}"
_HAND_UPDATES = (
    "SELECT enrollment_id, record.type, record.key, changed_at, field, hand_update.value"
    f" {_ABOUT.format('hand_update')}"
    " JOIN enrollment ON enrollment.id = enrollment_id JOIN record ON record.id = record_id"
)


def _update(kind: RecordType, key: str, at: str, field: str, value: str) -> Event:
    return Event(
        type="field_updated",
        at=kept(from_stored, at),
        record_type=kind,
        name=key,
        field=field,
        value=as_value(value),
    )
