"""Takes a person out of every table, and the bytes out of the file and its write-ahead log.

What stays are numbers: the record without a name, its enrollments and exits without what identifies events.
"""

from crmflow.core.model import Moment, Record
from crmflow.core.times import stored
from crmflow.store.connection import Store

_ITS_ENROLLMENTS = "enrollment_id IN (SELECT id FROM enrollment WHERE record_id = ?)"
_FORGET = (
    "DELETE FROM email WHERE record_id = ?",
    "DELETE FROM field_change WHERE record_id = ?",
    "DELETE FROM bounce WHERE record_id = ?",
    "DELETE FROM message_workflow WHERE record_id = ?",
    "DELETE FROM unattributed_event WHERE record_id = ?",
    "DELETE FROM mail_click WHERE record_id = ?",
    "DELETE FROM retraction WHERE record_id = ?",
    "DELETE FROM withdrawn_enrollment WHERE record_id = ?",
    "DELETE FROM deal_prospect WHERE ? IN (deal_id, prospect_id)",
    f"UPDATE exit SET event_id = NULL, note = NULL WHERE {_ITS_ENROLLMENTS}",
    f"UPDATE OR REPLACE step_completion SET event_id = '' WHERE {_ITS_ENROLLMENTS}",
)


def erase(store: Store, record: Record, moment: Moment) -> int:
    """Take a record's data out of all tables, inside a change; returns how many rejects named it and went with it."""
    names = {record.key, *_addresses(store, record.id)}
    doomed = [(number,) for number, text in store.rows("SELECT id, text FROM reject") if _names_any(text, names)]
    store.execute_many("DELETE FROM reject WHERE id = ?", doomed)
    for statement in _FORGET:
        store.execute(statement, [record.id])
    store.execute(
        "UPDATE record SET key = NULL, email = NULL, fields = '{}', removed_at = ? WHERE id = ?",
        [stored(moment.at), record.id],
    )
    return len(doomed)


def _addresses(store: Store, number: int) -> set[str]:
    return {address for (address,) in store.rows("SELECT address FROM email WHERE record_id = ?", [number])}


def _names_any(text: bytes, names: set[str]) -> bool:
    folded = text.decode("utf-8", "replace").casefold()
    return any(name.casefold() in folded for name in names)


def scrub(store: Store) -> bool:
    """Take the bytes of what was deleted out of the write-ahead log too (the file's are overwritten by the deletion).

    Not inside a change. Returns False where a reader keeps them there until it ends.
    """
    return store.checkpoint()
