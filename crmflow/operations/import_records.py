"""Imports records from a file: those that are new are added, a changed field of the others is an update."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from crmflow.core.errors import CrmflowError
from crmflow.core.model import EMAIL_FIELD, Event, Moment, Record, RecordType, Scalar
from crmflow.core.triggers import written
from crmflow.operations.absorb import settle_by_hand
from crmflow.operations.edit_record import require_email, updates
from crmflow.operations.links import organization_of, split_links
from crmflow.operations.lookup import require_other_file
from crmflow.operations.settling import rules_in_force
from crmflow.sources.tables import Row, Table, read_rows
from crmflow.store import logs, records, runs
from crmflow.store.connection import Store
from crmflow.store.enrollments import Origin
from crmflow.store.records import NewRecord

BATCH_SIZE = 5_000
KEY_COLUMN = "key"


@dataclass
class ImportSummary:
    """What became of the rows of a file: counts, and the rows that are invalid, each with its reason."""

    run: int | None = None
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    invalid: int = 0
    exits: int = 0
    moved: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the summary as plain values."""
        return asdict(self)


class Entry(NamedTuple):
    """A row that was understood: the record that it is about, its fields, and a deal's prospects (None: not said).

    A row without a key `is_by_email`: its key is the email that it gives.
    """

    line: int
    key: str
    is_by_email: bool
    email: str | None
    fields: dict[str, Scalar]
    prospects: list[str] | None


def import_records(
    store: Store, kind: RecordType, path: str, moment: Moment, watch: Callable[[Table], None]
) -> ImportSummary:
    """Import a CSV, TSV or JSON lines file in one transaction; `watch` is told after each batch how far it is read.

    Raises `CrmflowError` for a file that is no such table or has no column that names records.
    """
    require_other_file(store, path)
    table = read_rows(path)
    _require_key_column(table, kind)
    with store.change():
        run = _Import(store, kind, table, moment)
        for batch in _batches(table, run):
            run.take_in(batch)
            watch(table)
        return run.finish()


def _require_key_column(table: Table, kind: RecordType) -> None:
    wanted = [KEY_COLUMN, EMAIL_FIELD] if kind == "prospect" else [KEY_COLUMN]
    if table.columns and not set(wanted) & set(table.columns):
        raise CrmflowError(
            f"{table.path}: there is no column {' or '.join(wanted)}; its columns are {', '.join(table.columns)}",
            hint="rename the column that identifies a record to key",
        )


def _batches(table: Table, run: "_Import") -> Iterator[list[Entry]]:
    """Yield entries in batches in which no key and no email comes twice."""
    batch: list[Entry] = []
    names: set[str] = set()
    for row in table:
        entry = run.understand(row)
        if entry is None:
            continue
        its_names = {entry.key.casefold(), *([entry.email.casefold()] if entry.email else [])}
        if len(batch) >= BATCH_SIZE or names & its_names:
            yield batch
            batch, names = [], set()
        batch.append(entry)
        names |= its_names
    if batch:
        yield batch


class _Import:
    """One run over one file, inside a change."""

    def __init__(self, store: Store, kind: RecordType, table: Table, moment: Moment) -> None:
        self._store = store
        self._kind = kind
        self._table = table
        self._moment = moment
        self._rules = rules_in_force(store)
        self._begun: Origin | None = None
        self._summary = ImportSummary()

    def _origin(self) -> Origin:
        """Return the run and its reading, which begin with the first change."""
        if self._begun is None:
            number = runs.begin(self._store, "record import", self._moment)
            self._begun = Origin(number, logs.add_reading(self._store, number, logs.Place(self._table.path)))
        return self._begun

    def understand(self, row: Row) -> Entry | None:
        """Return what a row says; None for an invalid one, which is counted."""
        try:
            return self._entry(row)
        except CrmflowError as error:
            self._refuse(row.line, error.what)
            return None

    def _entry(self, row: Row) -> Entry:
        if row.fault is not None:
            raise CrmflowError(row.fault)
        fields, prospects = split_links(self._kind, row.cells)
        key = written(fields.pop(KEY_COLUMN, None))
        email = fields.pop(EMAIL_FIELD, None) if self._kind == "prospect" else None
        is_by_email = KEY_COLUMN not in row.cells and email is not None
        if is_by_email:
            key = written(email)
        if not key:
            raise CrmflowError("the key is empty" if KEY_COLUMN in row.cells else "there is no key")
        address = require_email(email) if written(email) else None
        return Entry(row.line, key, is_by_email, address, fields, prospects if "prospects" in row.cells else None)

    def _refuse(self, line: int, reason: str) -> None:
        self._summary.invalid += 1
        self._summary.rows.append({"row": line, "outcome": "invalid", "reason": reason})

    def take_in(self, batch: Sequence[Entry]) -> None:
        """Add the records of a batch that are new, update the others."""
        while batch:
            end = self._end_of_part(batch)
            self._take_in_part(batch[:end])
            batch = batch[end:]

    def _end_of_part(self, batch: Sequence[Entry]) -> int:
        """Return how many rows come before the first one about a record, or an email of it, that another is about."""
        numbers, owners = self._known(batch), self._owners(batch)
        seen: set[int] = set()
        for position, each in enumerate(batch):
            concerned = set(owners.get((each.email or "").casefold(), ()))
            if each.key in numbers:
                concerned.add(numbers[each.key])
            if seen & concerned:
                return position
            seen |= concerned
        return len(batch)

    def _take_in_part(self, batch: Sequence[Entry]) -> None:
        entries = self._linkable(batch)
        numbers = self._known(entries)
        known = records.load(self._store, numbers.values())
        fresh = [each for each in entries if each.key not in numbers]
        if fresh:
            records.add(self._store, self._origin().run, [self._new(each) for each in fresh], self._moment)
        self._summary.added += len(fresh)
        self._update([(known[numbers[each.key]], each) for each in entries if each.key in numbers])
        if self._kind == "deal" and fresh:
            added = records.find(self._store, "deal", (each.key for each in fresh))
            for each in fresh:
                self._link(added[each.key], each)

    def _known(self, entries: Sequence[Entry]) -> dict[str, int]:
        """Return the numbers of the records that are there already, by the entry's key.

        A key names only the record that has it; the email of a row without a key may be a prospect's present or
        former one.
        """
        keys = [each.key for each in entries if not each.is_by_email]
        emails = [each.key for each in entries if each.is_by_email]
        return records.find_by_key(self._store, self._kind, keys) | records.find(self._store, self._kind, emails)

    def _owners(self, entries: Sequence[Entry]) -> dict[str, set[int]]:
        return records.owners(self._store, (each.email for each in entries if each.email))

    def _linkable(self, batch: Sequence[Entry]) -> list[Entry]:
        """Return the entries without those that name a record that is not there, or take another prospect's email."""
        organizations = {name for each in batch if (name := organization_of(self._kind, each.fields))}
        known_organizations = records.find(self._store, "organization", organizations)
        known_prospects = records.find(
            self._store, "prospect", {name for each in batch for name in each.prospects or ()}
        )
        owners = self._owners(batch)
        numbers = self._known(batch) if owners else {}
        kept = []
        for each in batch:
            organization = organization_of(self._kind, each.fields)
            missing = [f"prospect:{name}" for name in each.prospects or () if name not in known_prospects]
            if organization and organization not in known_organizations:
                missing.append(f"organization:{organization}")
            its_owners = owners.get((each.email or "").casefold())
            if missing:
                self._refuse(each.line, f"there is no {missing[0]}")
            elif its_owners and numbers.get(each.key) not in its_owners:
                self._refuse(each.line, f"{each.email} is the email of another prospect")
            else:
                kept.append(each)
        return kept

    def _new(self, entry: Entry) -> NewRecord:
        fields: dict[str, Scalar] = {
            name: value for name, value in entry.fields.items() if value is not None and value != ""
        }
        return NewRecord(self._kind, entry.key, entry.email, fields)

    def _update(self, pairs: Sequence[tuple[Record, Entry]]) -> None:
        located: list[tuple[int, Event]] = []
        for record, entry in pairs:
            events = updates(record, self._values(record, entry), self._moment, entry.line)
            is_relinked = self._link(record.id, entry)
            self._summary.changed += bool(events or is_relinked)
            self._summary.unchanged += not (events or is_relinked)
            located += [(record.id, event) for event in events]
        if not located:
            return
        settled = settle_by_hand(self._store, self._origin(), self._rules, located)
        self._summary.exits += settled.exits
        self._summary.moved += settled.moved

    def _values(self, record: Record, entry: Entry) -> dict[str, Scalar]:
        """Return the values that a row gives a record; a cell without types that reads as the present value is that."""
        email = {EMAIL_FIELD: entry.email} if entry.email and not _is_same_address(entry.email, record.email) else {}
        if self._table.is_typed:
            return {**entry.fields, **email}
        values = {
            name: (value or None)
            for name, value in entry.fields.items()
            if written(value) != written(record.fields.get(name))
        }
        return {**values, **email}

    def _link(self, number: int, entry: Entry) -> bool:
        if entry.prospects is None:
            return False
        wanted = set(records.find(self._store, "prospect", entry.prospects).values())
        if wanted == {each for each, _ in records.prospects_of(self._store, number)}:
            return False
        self._origin()
        records.link_prospects(self._store, number, wanted)
        return True

    def finish(self) -> ImportSummary:
        """Close the run, if anything was changed, and return its summary."""
        summary = self._summary
        summary.rows.sort(key=lambda row: int(row["row"]))
        if self._begun is not None:
            plain = summary.as_json()
            del plain["run"], plain["rows"]
            runs.note(self._store, self._begun.run, {"type": self._kind, **plain})
            line_count = summary.added + summary.changed + summary.unchanged + summary.invalid
            logs.extend_reading(self._store, self._begun.reading or 0, self._table.bytes_read, line_count)
            summary.run = self._store.shown(self._begun.run)
        return summary


def _is_same_address(one: str, other: str | None) -> bool:
    return other is not None and one.casefold() == other.casefold()
