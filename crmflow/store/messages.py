"""Which mail is of which workflow, the events that only their mail can attribute to one, and the clicks on mails.

All are kept, so that it makes no difference which was read first.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from crmflow.core.haste import Click, Mail
from crmflow.core.model import Event
from crmflow.core.times import from_stored, stored
from crmflow.store.connection import Row, Store, array
from crmflow.store.enrollments import Origin
from crmflow.store.faults import kept
from crmflow.store.runs import TAKEN_OVER, UNDONE


class Unattributed(NamedTuple):
    """An event that names no workflow, with its record's number and the number of the reading that told it."""

    record: int
    reading: int
    event: Event


def save_workflows(store: Store, run: int, told: Iterable[tuple[int, Event]]) -> None:
    """Keep of which workflows mails are, as events say it, given with their record's number."""
    store.insert(
        "message_workflow (message, workflow, record_id, told_at, event_id, run_id)",
        ((event.message, event.workflow, record, stored(event.at), event.id or "", run) for record, event in told),
        otherwise=TAKEN_OVER.format(table="message_workflow"),
    )


def save_unattributed(store: Store, origin: Origin, events: Iterable[tuple[int, Event]]) -> None:
    """Keep events that name their mail but no workflow, given with their record's number, each of them once."""
    store.insert(
        "unattributed_event (message, record_id, type, happened_at, event_id, is_suspect, reading_id, line, run_id)",
        ((*_unattributed(record, event), origin.reading, event.line, origin.run) for record, event in events),
        otherwise=(
            "ON CONFLICT DO UPDATE SET run_id = excluded.run_id, reading_id = excluded.reading_id, line = excluded.line"
            f" WHERE unattributed_event.run_id IN {UNDONE}"
        ),
    )


def save_clicks(store: Store, run: int, clicks: Iterable[tuple[int, Event]]) -> None:
    """Keep clicks on mails, given with their record's number, each of them once."""
    store.insert(
        "mail_click (message, record_id, clicked_at, url, event_id, run_id)",
        ((event.message, record, stored(event.at), event.url or "", event.id or "", run) for record, event in clicks),
        otherwise=TAKEN_OVER.format(table="mail_click"),
    )


def clicks(store: Store, mails: Iterable[Mail]) -> dict[Mail, set[Click]]:
    """Return the clicks on these mails that are known, by mail; mails without one are left out."""
    found: dict[Mail, set[Click]] = {}
    for message, record, at, url in _about(store, mails, "mail_click", "clicked_at, url"):
        found.setdefault((message, record), set()).add(Click(kept(from_stored, at), url))
    return found


def arrivals(store: Store, mails: Iterable[Mail]) -> dict[Mail, set[datetime]]:
    """Return when these mails were sent or delivered, by mail; mails of which that is not known are left out."""
    found: dict[Mail, set[datetime]] = {}
    for message, record, at in _about(store, mails, "message_workflow", "told_at"):
        found.setdefault((message, record), set()).add(kept(from_stored, at))
    return found


def _about(store: Store, mails: Iterable[Mail], table: str, columns: str) -> list[Row]:
    """Return what standing runs keep about mails in a table: message, record, and these columns."""
    return store.rows(
        f"SELECT message, record_id, {columns} FROM json_each(?) AS wanted CROSS JOIN {table}"
        " ON message = json_extract(wanted.value, '$[0]') AND record_id = json_extract(wanted.value, '$[1]')"
        f" WHERE run_id NOT IN {UNDONE}",
        [array(sorted(mails))],
    )


def ended_by_click(store: Store, moments: Iterable[tuple[int, datetime]]) -> list[tuple[int, str]]:
    """Return the enrollments, and their workflows, that a click of these records at these moments has ended."""
    rows = store.rows(
        "SELECT enrollment.id, workflow.name FROM json_each(?) AS wanted"
        " CROSS JOIN enrollment ON record_id = json_extract(wanted.value, '$[0]')"
        " JOIN exit ON exit.id = exit_id AND exited_at = json_extract(wanted.value, '$[1]')"
        " JOIN workflow ON workflow.id = workflow_id WHERE trigger = 'link_clicked'",
        [array([record, stored(at)] for record, at in sorted(moments))],
    )
    return [(number, name) for number, name in rows]


def _unattributed(record: int, event: Event) -> tuple[Any, ...]:
    return event.message, record, event.type, stored(event.at), event.id or "", event.is_suspect


def recipients(store: Store, messages: Iterable[str]) -> dict[str, set[int]]:
    """Return the numbers of the records that these mails went to, by mail; mails that are not known are left out."""
    rows = store.rows(
        "SELECT DISTINCT message, record_id FROM json_each(?) AS wanted"
        f" CROSS JOIN message_workflow ON message = wanted.value WHERE run_id NOT IN {UNDONE}",
        [array(sorted(messages))],
    )
    found: dict[str, set[int]] = {}
    for message, record in rows:
        found.setdefault(message, set()).add(record)
    return found


def sent_to(store: Store, records: Iterable[int]) -> set[str]:
    """Return what the mails are called that went to these records."""
    rows = store.rows(
        f"SELECT DISTINCT message FROM message_workflow WHERE run_id NOT IN {UNDONE}"
        " AND record_id IN (SELECT value FROM json_each(?))",
        [array(records)],
    )
    return {message for (message,) in rows}


def workflows(store: Store, messages: Iterable[str]) -> dict[str, list[str]]:
    """Return the workflows that these mails are said to be of, by mail; mails of none are left out."""
    rows = store.rows(
        "SELECT DISTINCT message, workflow FROM json_each(?) AS wanted"
        " CROSS JOIN message_workflow ON message = wanted.value"
        f" WHERE run_id NOT IN {UNDONE} ORDER BY message, workflow",
        [array(sorted(messages))],
    )
    found: dict[str, list[str]] = {}
    for message, workflow in rows:
        found.setdefault(message, []).append(workflow)
    return found


def unattributed(store: Store, messages: Iterable[str]) -> list[Unattributed]:
    """Return all events that are kept about these mails, in the order of their reading."""
    rows = store.rows(
        "SELECT record_id, reading_id, event.type, happened_at, event_id, is_suspect, line, message"
        " FROM json_each(?) AS wanted CROSS JOIN unattributed_event AS event ON message = wanted.value"
        f" WHERE run_id NOT IN {UNDONE} ORDER BY reading_id, line, event_id",
        [array(sorted(messages))],
    )
    return [Unattributed(row[0], row[1], kept(_event, row[2:])) for row in rows]


def _event(row: Row) -> Event:
    kind, at, event_id, is_suspect, line, message = row
    return Event(
        type=kind,
        at=from_stored(at),
        record_type="prospect",
        name="",
        line=line,
        id=event_id or None,
        message=message,
        is_suspect=bool(is_suspect),
    )
