"""The links among records: a prospect and a deal may name an organization, a deal its prospects."""

from collections.abc import Iterable, Mapping, Sequence

from crmflow.core.model import RecordType, Scalar
from crmflow.core.triggers import written
from crmflow.store import records
from crmflow.store.connection import Store

ORGANIZATION_FIELD = "organization"
PROSPECTS_FIELD = "prospects"
_NAMING_ORGANIZATION = ("prospect", "deal")


def split_links(kind: RecordType, fields: Mapping[str, Scalar]) -> tuple[dict[str, Scalar], list[str]]:
    """Return the fields without a deal's `prospects`, and those as names (separated by space, comma or semicolon)."""
    kept = dict(fields)
    if kind != "deal" or PROSPECTS_FIELD not in kept:
        return kept, []
    return kept, written(kept.pop(PROSPECTS_FIELD)).replace(",", " ").replace(";", " ").split()


def unknown_links(
    store: Store, kind: RecordType, rows: Iterable[tuple[Mapping[str, Scalar], Sequence[str]]]
) -> list[str]:
    """Return the records (as `TYPE:NAME`) that rows of fields and prospects' names link to and that are not there."""
    rows = list(rows)
    organizations = {name for fields, _ in rows if (name := organization_of(kind, fields))}
    prospects = {name for _, names in rows for name in names}
    known_organizations = records.find(store, "organization", organizations)
    known_prospects = records.find(store, "prospect", prospects)
    return [
        *(f"organization:{name}" for name in sorted(organizations - known_organizations.keys())),
        *(f"prospect:{name}" for name in sorted(prospects - known_prospects.keys())),
    ]


def organization_of(kind: RecordType, fields: Mapping[str, Scalar]) -> str | None:
    """Return the key of the organization that a prospect's or deal's fields name, or None."""
    if kind not in _NAMING_ORGANIZATION:
        return None
    return written(fields.get(ORGANIZATION_FIELD)) or None
