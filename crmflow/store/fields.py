"""Fields: the latest change decides, whatever order changes come in.

Changes of one moment are ordered by hand after events, then by event id, then by value: the last one decides.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from crmflow.core.codec import decode_value, encode_value
from crmflow.core.model import EMAIL_FIELD, FieldChange, Record
from crmflow.core.times import stored
from crmflow.store.connection import Row, Store, array
from crmflow.store.faults import kept
from crmflow.store.records import load, runs_adding
from crmflow.store.runs import TAKEN_OVER, UNDONE

Field = tuple[int, str]
"""A field: the number of the record, and the name."""

Stamp = tuple[str, int, str, str]
"""What orders the changes of one field: time, by which run by hand (0: by an event), event id, value as JSON."""

_STANDS = f"(changed_at = '' OR run_id NOT IN {UNDONE})"


def save(store: Store, run: int, changes: Collection[FieldChange]) -> None:
    """Remember changes and give each field concerned the value of its latest one; repeats make no difference."""
    by_field: dict[Field, list[Stamp]] = {}
    for change in changes:
        stamp = (stored(change.at), run if change.is_by_hand else 0, change.event_id, encode_value(change.value))
        by_field.setdefault((change.record_id, change.field), []).append(stamp)
    if not by_field:
        return
    records = load(store, {number for number, _ in by_field})
    known = _latest(store, by_field)
    first = _first_values(store, records, by_field.keys() - known.keys())
    if any(change.is_by_hand for change in changes):
        _forget_earlier(store, by_field)
        known = _latest(store, by_field)
    store.insert(
        "field_change",
        sorted([*first, *((*field, *stamp, run) for field, stamps in by_field.items() for stamp in stamps)]),
        otherwise=TAKEN_OVER.format(table="field_change"),
    )
    _remember_addresses(store, records, by_field)
    _set(store, records, {field: max([*stamps, *known.get(field, [])])[-1] for field, stamps in by_field.items()})


def _set(store: Store, records: dict[int, Record], values: Mapping[Field, str]) -> None:
    """Give these fields these values, where they have others."""
    changed: dict[int, dict[str, Any]] = {}
    for (number, field), text in values.items():
        record, value = records[number], as_value(text)
        if record.type == "prospect" and field == EMAIL_FIELD:
            _set_email(store, number, value)
        elif field not in record.fields or encode_value(record.fields[field]) != text:
            changed.setdefault(number, {})[field] = value
    store.execute_many(
        "UPDATE record SET fields = ? WHERE id = ?",
        ((encode_value({**records[number].fields, **values}), number) for number, values in sorted(changed.items())),
    )


def as_value(text: str) -> Any:
    """Return the value that a stored change holds."""
    return kept(decode_value, text)


def _first_values(store: Store, records: dict[int, Record], fields: Iterable[Field]) -> list[Row]:
    """Return rows that tell what fields without a change were added with, now that there is one."""
    found: dict[Field, object] = {}
    for number, field in fields:
        record = records[number]
        if record.type == "prospect" and field == EMAIL_FIELD:
            found[number, field] = record.email
        elif field in record.fields:
            found[number, field] = record.fields[field]
    added_by = runs_adding(store, {number for number, _ in found})
    return [(*field, "", 0, "", encode_value(value), added_by[field[0]]) for field, value in found.items()]


def _forget_earlier(store: Store, by_field: dict[Field, list[Stamp]]) -> None:
    """Forget what the same run by hand set before: of two rows about one record the later one decides."""
    store.execute_many(
        "DELETE FROM field_change WHERE record_id = ? AND field = ? AND changed_at = ? AND hand_run_id = ?",
        ((*field, at, run) for field, stamps in by_field.items() for at, run, *_ in stamps if run),
    )


def _latest(store: Store, fields: Collection[Field]) -> dict[Field, list[Stamp]]:
    """Return the latest change of each of these fields that has one, as a list of it alone."""
    rows = store.rows(
        "SELECT record_id, field, changed_at, hand_run_id, event_id, field_change.value"
        " FROM json_each(?) AS wanted CROSS JOIN field_change ON record_id = wanted.value"
        f" WHERE {_STANDS} ORDER BY record_id, field, changed_at, hand_run_id, event_id, field_change.value",
        [array(sorted({number for number, _ in fields}))],
    )
    return {(number, field): [tuple(stamp)] for number, field, *stamp in rows if (number, field) in fields}


def _remember_addresses(store: Store, records: dict[int, Record], by_field: dict[Field, list[Stamp]]) -> None:
    addresses = (
        (value.casefold(), number)
        for (number, field), stamps in by_field.items()
        if field == EMAIL_FIELD and records[number].type == "prospect"
        for *_, text in stamps
        if isinstance(value := as_value(text), str) and value
    )
    store.execute_many("INSERT INTO email VALUES (?, ?, 0) ON CONFLICT DO NOTHING", addresses)


def _set_email(store: Store, number: int, email: object) -> None:
    address = email if isinstance(email, str) and email else None
    store.execute("UPDATE record SET email = ? WHERE id = ?", [address, number])
    store.execute("UPDATE email SET is_current = 0 WHERE record_id = ?", [number])
    if address is not None:
        store.execute(
            "INSERT INTO email VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET is_current = 1",
            [address.casefold(), number],
        )


def settle_again(store: Store, numbers: Collection[int], forgotten: Iterable[Field] = ()) -> None:
    """Give the fields of these records, and their emails, the values of the latest changes that stand.

    `forgotten` are fields of which changes were deleted: there may be none left.
    """
    wanted = array(sorted(numbers))
    rows = store.rows(
        "SELECT DISTINCT record_id, field FROM json_each(?) AS wanted"
        " CROSS JOIN field_change ON record_id = wanted.value",
        [wanted],
    )
    changed: set[Field] = {(number, field) for number, field in rows} | set(forgotten)
    latest = _latest(store, changed)
    records = load(store, {number for number, _ in changed})
    for number, field in sorted(changed):
        texts = [stamps[0][-1]] if (stamps := latest.get((number, field))) else []
        if records[number].type == "prospect" and field == EMAIL_FIELD:
            _settle_addresses(store, number, as_value(texts[0]) if texts else None)
        elif texts:
            records[number].fields[field] = as_value(texts[0])
        else:
            records[number].fields.pop(field, None)
    store.execute_many(
        "UPDATE record SET fields = ? WHERE id = ?",
        ((encode_value(each.fields), number) for number, each in sorted(records.items())),
    )


def _settle_addresses(store: Store, number: int, email: object) -> None:
    """Let a prospect go by the addresses that it has or had by changes that stand."""
    store.execute("DELETE FROM email WHERE record_id = ?", [number])
    rows = store.rows(
        f"SELECT field_change.value FROM field_change WHERE record_id = ? AND field = ? AND {_STANDS}",
        [number, EMAIL_FIELD],
    )
    addresses = {value.casefold() for (text,) in rows if isinstance(value := as_value(text), str) and value}
    store.execute_many("INSERT INTO email VALUES (?, ?, 0)", ((each, number) for each in sorted(addresses)))
    _set_email(store, number, email)
