"""What the sources of CRMs share: which of their objects are our records, and what a change of one tells.

A record goes by the number or name that the CRM itself gives it: import records with it as their key.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from msgspec import UNSET, UnsetType

from crmflow.core.model import Event, RecordType, Scalar
from crmflow.sources.objects import LineError, read_name, read_scalar
from crmflow.sources.terms import Terms

Value = object | UnsetType


class Record(NamedTuple):
    """Whom a change is about, and when it happened."""

    type: RecordType
    name: str
    at: datetime
    id: str | None = None


def changed(record: Record, field: str, value: Value, old: Value = UNSET) -> Iterator[Event]:
    """Yield that a field has a value now; nothing where the value is nested, which no field of ours can hold.

    Raises `LineError` for a value or a name that no field can have.
    """
    if isinstance(value, dict | list):
        return
    if not field:
        raise LineError("a field without a name")
    told: Scalar | UnsetType = UNSET if isinstance(value, UnsetType) else read_scalar(field, value)
    before: Scalar | UnsetType = UNSET if isinstance(old, UnsetType | dict | list) else read_scalar(field, old)
    yield Event(
        type="field_updated",
        at=record.at,
        record_type=record.type,
        name=record.name,
        id=record.id,
        field=read_name("field", field),
        value=told,
        old=before,
    )


def decided(record: Record, word: str) -> Event:
    """Return that a deal was won or lost (`deal_won`, `deal_lost`)."""
    return Event(type=word, at=record.at, record_type=record.type, name=record.name, id=record.id)


def fate(stage: object, terms: Terms, known: Mapping[str, str]) -> str | None:
    """Return what a stage means: what the user says of it, else what is known of it; None for a deal that goes on."""
    if not isinstance(stage, str):
        return None
    told: Mapping[str, Collection[str]] = {"deal_won": terms.won_stages, "deal_lost": terms.lost_stages}
    return next((word for word, stages in told.items() if stage in stages), known.get(stage))
