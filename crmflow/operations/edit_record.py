"""One record: adding it, setting its fields, showing it, removing the person behind it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from crmflow.core.errors import CrmflowError, UsageError
from crmflow.core.model import EMAIL_FIELD, UNSET, Event, Exit, Moment, Record, RecordType, Ref, Scalar
from crmflow.core.triggers import is_same
from crmflow.operations.absorb import settle_by_hand
from crmflow.operations.links import split_links, unknown_links
from crmflow.operations.lookup import parse_ref, require_record
from crmflow.operations.settling import Claim, Settled, rules_in_force, settle_claims
from crmflow.store import enrollments, erasure, records, runs
from crmflow.store.connection import Store
from crmflow.store.enrollments import Origin
from crmflow.store.records import NewRecord


class Edited(NamedTuple):
    """What a command did to one record: the fields that it set, and how many enrollments ended or moved by that."""

    run: int | None
    type: str
    record: str
    changed: dict[str, Scalar]
    exits: int = 0
    moved: int = 0


def parse_fields(texts: Sequence[str]) -> dict[str, Scalar]:
    """Return the fields that `FIELD=VALUE` texts set: a JSON number, `true`, `false`, `null` or `"text"`, else text.

    Raises `UsageError` for one without a name or `=`, or named twice.
    """
    fields: dict[str, Scalar] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"{text!r} is no FIELD=VALUE", hint="write it like status=customer")
        if name in fields:
            raise UsageError(f"{name} is given twice")
        fields[name] = _scalar(value)
    return fields


def _scalar(text: str) -> Scalar:
    import json

    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, dict | list) or value in {float("inf"), float("-inf")} or value != value:  # noqa: PLR0124
        return text
    return value if not isinstance(value, int) or abs(value) < 2**63 else text


def add(store: Store, ref: str, texts: Sequence[str], moment: Moment) -> Edited:
    """Add one record; raises `CrmflowError` where it is there already, or names a record that is not."""
    target, given = parse_ref(ref), parse_fields(texts)
    fields, linked = split_links(target.type, given)
    email = _take_email(target, fields)
    with store.change():
        if records.find(store, target.type, [target.name]):
            raise CrmflowError(
                f"{target} is there already", hint=f"change it with: crmflow record set {target} FIELD=VALUE"
            )
        _require_free(store, email, None)
        prospects = _require_links(store, target.type, fields, linked)
        run = runs.begin(store, "record add", moment)
        records.add(store, run, [NewRecord(target.type, target.name, email, fields)], moment)
        if prospects:
            records.link_prospects(store, records.find(store, target.type, [target.name])[target.name], prospects)
        runs.note(store, run, {"type": target.type, "added": 1})
    return Edited(store.shown(run), target.type, target.name, given)


def _take_email(target: Ref, fields: dict[str, Scalar]) -> str | None:
    if target.type != "prospect":
        return None
    email = fields.pop(EMAIL_FIELD, target.name if "@" in target.name else None)
    return None if email is None else require_email(email)


def require_email(value: Scalar) -> str:
    """Return the address that a value is; raises `CrmflowError` for what can't be one."""
    if isinstance(value, str) and "@" in value.strip("@") and not any(char.isspace() for char in value):
        return value
    raise CrmflowError(f"{value!r} is no email address")


def _require_free(store: Store, email: str | None, owner: int | None) -> None:
    holders = set() if email is None else records.owners(store, [email]).get(email.casefold(), set())
    if holders and owner not in holders:
        [holder, *_] = records.load(store, holders).values()
        raise CrmflowError(f"{email} is the email of prospect:{holder.key}")


def _require_links(store: Store, kind: RecordType, fields: Mapping[str, Scalar], linked: Sequence[str]) -> list[int]:
    missing = unknown_links(store, kind, [(fields, linked)])
    if missing:
        raise CrmflowError(f"there is no {missing[0]}", hint=f"add it first: crmflow record add {missing[0]}")
    return list(records.find(store, "prospect", linked).values())


def set_fields(store: Store, ref: str, texts: Sequence[str], moment: Moment) -> Edited:
    """Set fields of one record; each that changes is an update at that time, which triggers may take.

    Raises `CrmflowError` where there is no such record, or it names one that is not there.
    """
    target, given = parse_ref(ref), parse_fields(texts)
    if "key" in given:
        raise UsageError("a record's key never changes", hint="add a record with the new key")
    fields, linked = split_links(target.type, given)
    with store.change():
        record = require_record(store, target)
        if record.type == "prospect" and EMAIL_FIELD in fields:
            _require_free(store, require_email(fields[EMAIL_FIELD]), record.id)
        prospects = _require_links(store, record.type, fields, linked)
        linked_before = [number for number, _ in records.prospects_of(store, record.id)]
        relinked = "prospects" in given and set(prospects) != set(linked_before)
        events = updates(record, fields, moment)
        if not events and not relinked:
            return Edited(None, record.type, record.key, {})
        run = runs.begin(store, "record set", moment)
        settled = settle_by_hand(store, Origin(run), rules_in_force(store), [(record.id, event) for event in events])
        summary = {"type": record.type, "changed": len(events) + relinked, **settled._asdict()}
        if relinked:
            records.link_prospects(store, record.id, prospects)
            summary["linked"] = {"deal": record.id, "before": sorted(linked_before), "after": sorted(prospects)}
        runs.note(store, run, summary)
    changed = {event.field: given[event.field] for event in events if event.field}
    return Edited(store.shown(run), record.type, record.key, changed, *settled)


def updates(record: Record, fields: Mapping[str, Scalar], moment: Moment, line: int | None = None) -> list[Event]:
    """Return the updates by which a record takes these values; those that it has already are none."""
    current: dict[str, Scalar] = dict(record.fields)
    if record.type == "prospect":
        current[EMAIL_FIELD] = record.email
    return [
        Event(
            type="field_updated",
            at=moment.at,
            record_type=record.type,
            name=record.key,
            line=line,
            field=field,
            value=value,
            old=current.get(field, UNSET),
        )
        for field, value in fields.items()
        if not is_same(current.get(field), value) or (field not in current and value is not None)
    ]


def show(store: Store, ref: str) -> dict[str, Any]:
    """Return one record with its fields, its links and its enrollments; raises `CrmflowError`."""
    with store.snapshot():
        record = require_record(store, parse_ref(ref))
        shown_record = as_plain(record)
        if record.type == "deal":
            shown_record["prospects"] = [key for _, key in records.prospects_of(store, record.id)]
        if record.type == "prospect":
            shown_record["bounced"] = bool(records.bounced(store, [record.id]))
        return {**shown_record, "enrollments": enrollments.listed(store, record=record.id)}


def as_plain(record: Record) -> dict[str, Any]:
    """Return a record as plain values."""
    email = {EMAIL_FIELD: record.email} if record.type == "prospect" else {}
    return {"type": record.type, "key": record.key, **email, "fields": record.fields}


def listed(store: Store, kind: RecordType) -> list[dict[str, Any]]:
    """Return the records of a type, in the order of their keys."""
    return [as_plain(record) for record in records.listed(store, kind)]


class Removed(NamedTuple):
    """What `record remove` took away; enrollments stay as numbers without a name.

    `scrubbed` is False while another program's reading keeps the bytes in the write-ahead log.
    """

    run: int | None
    type: str
    record: str
    enrollments: int
    rejects: int
    scrubbed: bool


def remove(store: Store, ref: str, moment: Moment) -> Removed:
    """Take all that is known of a record out of the store; raises `CrmflowError` while others name it."""
    with store.change():
        record = require_record(store, parse_ref(ref))
        naming = records.named_by(store, record)
        if naming:
            raise CrmflowError(
                f"{naming} records name organization:{record.key}", hint="set another organization first"
            )
        run = runs.begin(store, "record remove", moment)
        history = enrollments.of_records(store, [record.id])
        _leave_all(store, run, history, moment)
        rejects = erasure.erase(store, record, moment)
        runs.note(store, run, {"type": record.type, "enrollments": len(history), "rejects": rejects})
    scrubbed = erasure.scrub(store)
    return Removed(store.shown(run), record.type, record.key, len(history), rejects, scrubbed)


def _leave_all(store: Store, run: int, history: Sequence[Any], moment: Moment) -> Settled:
    at = max([moment.at, *(each.enrolled_at for each in history if each.exit is None)])
    by_hand = Exit(at=at, cause="manual")
    claims = {(each.record_id, each.workflow): Claim(exits=[by_hand]) for each in history if each.exit is None}
    return settle_claims(store, Origin(run), rules_in_force(store), claims)
