"""Which mail is of which workflow, and the events that only their mail can attribute to one.

Both are only ever added to, so that it makes no difference which of the two was read first.
"""

from collections.abc import Iterable
from typing import NamedTuple

from crmflow.core.model import Event
from crmflow.core.times import from_stored, stored
from crmflow.store.connection import Store, array
from crmflow.store.enrollments import Origin
from crmflow.store.faults import kept


class Attributed(NamedTuple):
    """An event with the workflow that its mail is of, its record's number, and the number of what was read of it."""

    record: int
    reading: int
    event: Event


def save_workflows(store: Store, run: int, told: Iterable[tuple[int, Event]]) -> None:
    """Keep of which workflows mails are, as events say it, given with their record's number."""
    store.insert(
        "message_workflow (message, workflow, record_id, run_id)",
        ((event.message, event.workflow, record, run) for record, event in told),
        otherwise="ON CONFLICT DO NOTHING",
    )


def save_unattributed(store: Store, origin: Origin, events: Iterable[tuple[int, Event]]) -> None:
    """Keep events that name their mail but no workflow, given with their record's number, each of them once."""
    store.insert(
        "unattributed_event (message, record_id, type, happened_at, event_id, is_suspect, reading_id, line, run_id)",
        (
            (
                event.message,
                record,
                event.type,
                stored(event.at),
                event.id or "",
                event.is_suspect,
                origin.reading,
                event.line,
                origin.run,
            )
            for record, event in events
        ),
        otherwise="ON CONFLICT DO NOTHING",
    )


def attributed(store: Store, messages: Iterable[str]) -> list[Attributed]:
    """Return all kept events about these mails, once for each workflow that their mail is said to be of."""
    rows = store.rows(
        "SELECT DISTINCT event.record_id, reading_id, type, happened_at, event_id, is_suspect, line, workflow"
        " FROM json_each(?) AS wanted CROSS JOIN unattributed_event AS event ON event.message = wanted.value"
        " JOIN message_workflow ON message_workflow.message = event.message"
        " ORDER BY reading_id, line, event_id, workflow",
        [array(sorted(messages))],
    )
    return [
        Attributed(
            record,
            reading,
            Event(
                type=kind,
                at=kept(from_stored, at),
                record_type="prospect",
                name="",
                line=line,
                id=event_id or None,
                workflow=workflow,
                is_suspect=bool(is_suspect),
            ),
        )
        for record, reading, kind, at, event_id, is_suspect, line, workflow in rows
    ]
