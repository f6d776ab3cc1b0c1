"""Records: finding them by what they are called, adding them, and what their fields are.

A field's value is that of its latest change. A record's first values have no time, so that any dated change replaces
them; they are written down as a change (with an empty time) only once there is another.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from crmflow.core.codec import decode_value, encode_value
from crmflow.core.model import EMAIL_FIELD, Bounce, Moment, Record, RecordType, Ref, Scalar
from crmflow.core.times import stored
from crmflow.store.connection import Row, Store, array
from crmflow.store.faults import kept
from crmflow.store.runs import TAKEN_OVER, UNDONE


class NewRecord(NamedTuple):
    """A record to add."""

    type: RecordType
    key: str
    email: str | None
    fields: dict[str, Scalar]


def find(store: Store, kind: RecordType, names: Iterable[str]) -> dict[str, int]:
    """Return the numbers of the records that go by these names, by name; names that nobody has are left out.

    A prospect is found by key, then by its email, then by an email that it once had (the oldest record first).
    """
    wanted = set(names)
    found = find_by_key(store, kind, wanted)
    if kind == "prospect" and len(found) < len(wanted):
        found |= _find_by_email(store, wanted - found.keys())
    return found


def find_by_key(store: Store, kind: RecordType, keys: Iterable[str]) -> dict[str, int]:
    """Return the numbers of the records that have these keys, by key."""
    return dict(
        store.rows(
            "SELECT wanted.value, record.id FROM json_each(?) AS wanted"
            " CROSS JOIN record ON record.key = wanted.value AND record.type = ?",
            [array(sorted(keys)), kind],
        )
    )


def _find_by_email(store: Store, names: set[str]) -> dict[str, int]:
    rows = store.rows(
        "SELECT address, record_id, is_current FROM json_each(?) AS wanted CROSS JOIN email ON address = wanted.value"
        " ORDER BY address, is_current, record_id DESC",
        [array({name.casefold() for name in names})],
    )
    by_address = {address: number for address, number, _ in rows}
    return {name: by_address[name.casefold()] for name in names if name.casefold() in by_address}


def find_one(store: Store, ref: Ref) -> Record | None:
    """Return the record that a reference means, or None."""
    number = find(store, ref.type, [ref.name]).get(ref.name)
    return None if number is None else load(store, [number])[number]


def load(store: Store, numbers: Iterable[int]) -> dict[int, Record]:
    """Return the records of these numbers, by number."""
    rows = store.rows(
        f"SELECT {_COLUMNS} FROM json_each(?) AS wanted CROSS JOIN record ON record.id = wanted.value",
        [array(sorted(numbers))],
    )
    return {row[0]: _record(row) for row in rows}


def runs_adding(store: Store, numbers: Iterable[int]) -> dict[int, int]:
    """Return the runs that added these records, by the record's number."""
    return dict(
        store.rows(
            "SELECT record.id, run_id FROM json_each(?) AS wanted CROSS JOIN record ON record.id = wanted.value",
            [array(sorted(numbers))],
        )
    )


def listed(store: Store, kind: RecordType) -> list[Record]:
    """Return all records of a type, in the order of their keys."""
    rows = store.rows(
        f"SELECT {_COLUMNS} FROM record WHERE type = ? AND removed_at IS NULL ORDER BY key",
        [kind],
    )
    return [_record(row) for row in rows]


def counts(store: Store) -> dict[str, int]:
    """Return how many records there are of each type that there is any of."""
    return dict(store.rows("SELECT type, count(*) FROM record WHERE removed_at IS NULL GROUP BY type ORDER BY type"))


_COLUMNS = "record.id, record.type, record.key, record.email, record.fields"


def _record(row: Row) -> Record:
    number, kind, key, email, fields = row
    return Record(number, kind, key, email, kept(decode_value, fields))


def names(store: Store, kind: RecordType) -> Iterator[str]:
    """Yield all keys and current emails of a type: what a misspelt name may have meant."""
    for key, email in store.rows("SELECT key, email FROM record WHERE type = ? AND removed_at IS NULL", [kind]):
        yield key
        if email is not None:
            yield email


def names_of(store: Store, numbers: Iterable[int]) -> set[str]:
    """Return all that these records go by: keys and, of prospects, emails that they have or once had."""
    wanted = array(numbers)
    rows = store.rows(
        "SELECT key FROM record WHERE id IN (SELECT value FROM json_each(?)) AND key IS NOT NULL"
        " UNION SELECT address FROM email WHERE record_id IN (SELECT value FROM json_each(?))",
        [wanted, wanted],
    )
    return {name for (name,) in rows}


def add(store: Store, run: int, records: Sequence[NewRecord], moment: Moment) -> None:
    """Add records whose keys are new."""
    at = stored(moment.at)
    store.insert(
        "record (type, key, email, fields, added_at, run_id)",
        ((kind, key, email, encode_value(fields), at, run) for kind, key, email, fields in records),
    )
    store.execute_many(
        "INSERT INTO email (address, record_id, is_current)"
        " SELECT ?, id, 1 FROM record WHERE key = ? AND type = 'prospect'",
        ((each.email.casefold(), each.key) for each in records if each.email is not None),
    )


def link_prospects(store: Store, deal: int, prospects: Iterable[int]) -> None:
    """Make these the prospects of a deal."""
    store.execute("DELETE FROM deal_prospect WHERE deal_id = ?", [deal])
    store.execute_many("INSERT INTO deal_prospect VALUES (?, ?)", ((deal, prospect) for prospect in set(prospects)))


def prospects_of(store: Store, deal: int) -> list[tuple[int, str]]:
    """Return the prospects of a deal, number and key, in the order of their keys."""
    return [
        (number, key)
        for number, key in store.rows(
            "SELECT id, key FROM deal_prospect JOIN record ON id = prospect_id WHERE deal_id = ? ORDER BY key", [deal]
        )
    ]


def owners(store: Store, emails: Iterable[str]) -> dict[str, set[int]]:
    """Return the prospects whose email each of these is now, by email without case; emails of nobody are left out.

    Only by events that say so can an email be that of two.
    """
    found: dict[str, set[int]] = {}
    for address, number in store.rows(
        "SELECT address, record_id FROM json_each(?) AS wanted"
        " CROSS JOIN email ON address = wanted.value AND is_current",
        [array({email.casefold() for email in emails})],
    ):
        found.setdefault(address, set()).add(number)
    return found


def named_by(store: Store, record: Record) -> int:
    """Return how many prospects and deals name this organization; 0 for a record of another type."""
    if record.type != "organization":
        return 0
    [(count,)] = store.rows(
        "SELECT count(*) FROM record WHERE type <> 'organization' AND json_extract(fields, '$.organization') = ?",
        [record.key],
    )
    return int(count)


def save_bounces(store: Store, run: int, bounces: Iterable[Bounce]) -> None:
    """Remember hard bounces; one that is known already makes no difference."""
    store.insert(
        "bounce",
        ((each.record_id, stored(each.at), each.name, each.event_id, run) for each in bounces),
        otherwise=TAKEN_OVER.format(table="bounce"),
    )


def bounced(store: Store, numbers: Iterable[int]) -> set[int]:
    """Return which of these prospects can't be reached: the email that they have now hard-bounced.

    A bounce that named an address concerns that address; one that named the key concerns the email of that time.
    """
    rows = store.rows(
        "SELECT record.id FROM json_each(?) AS wanted CROSS JOIN record ON record.id = wanted.value"
        " JOIN bounce ON bounce.record_id = record.id"
        " LEFT JOIN email ON email.record_id = record.id AND email.address = bounce.name"
        f" WHERE bounce.run_id NOT IN {UNDONE} AND CASE WHEN email.address IS NOT NULL THEN email.is_current"
        " ELSE bounced_at >= coalesce((SELECT max(changed_at) FROM field_change"
        f"  WHERE field_change.record_id = record.id AND field = ? AND field_change.run_id NOT IN {UNDONE}), '') END",
        [array(numbers), EMAIL_FIELD],
    )
    return {number for (number,) in rows}
