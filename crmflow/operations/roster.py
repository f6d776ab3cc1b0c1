"""Who is taken to be enrolled where no store says it: everybody whom logs name, or the rows of a table."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import NamedTuple

from crmflow.core.errors import CrmflowError, SourceError
from crmflow.core.model import Moment, RecordType, Ref, Workflow
from crmflow.core.times import parse_time
from crmflow.core.triggers import written
from crmflow.operations.engines.processes import Processes
from crmflow.sources import formats
from crmflow.sources.batches import pack, unpack_refs
from crmflow.sources.logs import Piece, open_log
from crmflow.sources.mailboxes import logs_at
from crmflow.sources.tables import Row, Table, read_rows
from crmflow.sources.terms import Options, Terms

KEY_COLUMNS = ("key", "record")
COLUMNS = ("workflow", "enrolled_at")


class Entry(NamedTuple):
    """Somebody to enroll: the workflow, the record, a prospect's email, and since when."""

    workflow: str
    record: Ref
    email: str | None
    enrolled_at: datetime


class Roster(NamedTuple):
    """Whom to enroll; `faults` says which rows can't be understood, `passed_over` counts rows of other workflows."""

    entries: list[Entry]
    faults: list[str]
    passed_over: int = 0


class _Task(NamedTuple):
    piece: Piece
    terms: Terms
    now: datetime


def _named_packed(task: _Task) -> bytes:
    return pack({Ref(event.record_type, event.name) for event in formats.decode(*task).events})


def everybody(
    workflows: Iterable[Workflow], logs: Sequence[str], at: datetime, moment: Moment, options: Options = formats.ANY
) -> Roster:
    """Return a roster on which each record that the logs name is in every workflow of its type since `at`.

    Every name is a record of its own; an email is the same one however it is written. A log that can't be read names
    nobody.
    """
    named = _distinct(_named_in(logs, moment.now, options))
    entries = [
        Entry(each.workflow, ref, _email_in(ref), at) for each in workflows for ref in named if ref.type == each.type
    ]
    return Roster(entries, [])


def _named_in(logs: Sequence[str], now: datetime, options: Options) -> set[Ref]:
    found: set[Ref] = set()
    with Processes() as processes:
        for path in chain.from_iterable(map(logs_at, logs)):
            try:
                with open_log(path) as log:
                    tasks = (_Task(piece, terms, now) for piece, terms in formats.pieces_of(log, options))
                    for packed in processes.map_in_order(_named_packed, tasks):
                        found |= unpack_refs(packed)
            except SourceError:  # whoever reads the log for its events says why
                continue
    return found


def _distinct(named: Iterable[Ref]) -> list[Ref]:
    """Return names in order, of emails that differ only in case the first one."""
    found: dict[Ref, Ref] = {}
    for ref in sorted(named):
        found.setdefault(Ref(ref.type, ref.name.casefold()) if _email_in(ref) else ref, ref)
    return list(found.values())


def _email_in(ref: Ref) -> str | None:
    return ref.name if ref.type == "prospect" and "@" in ref.name else None


def from_table(workflows: Iterable[Workflow], path: str) -> Roster:
    """Return the roster that a table holds: columns `workflow`, `key` (or `record`), `enrolled_at` and perhaps `email`.

    That is what `enrollment list --csv` prints. Rows of other workflows are passed over. Raises `CrmflowError` for a
    file that is no such table.
    """
    types = {each.workflow: each.type for each in workflows}
    table = read_rows(path)
    if not table.is_typed:
        _require_columns(table)
    roster, passed_over = Roster([], []), 0
    for row in table:
        try:
            entry = _entry(row, types)
        except CrmflowError as error:
            roster.faults.append(f"{path}:{row.line}: {error.what}")
            continue
        if entry is None:
            passed_over += 1
        else:
            roster.entries.append(entry)
    return Roster(list(dict.fromkeys(roster.entries)), roster.faults, passed_over)


def _require_columns(table: Table) -> None:
    missing = [each for each in COLUMNS if each not in table.columns]
    if not set(KEY_COLUMNS) & set(table.columns):
        missing.append(" or ".join(KEY_COLUMNS))
    if missing:
        raise CrmflowError(
            f"{table.path}: there is no column {missing[0]}; its columns are {', '.join(table.columns)}",
            hint="crmflow enrollment list --csv prints such a table",
        )


def _entry(row: Row, types: Mapping[str, RecordType]) -> Entry | None:
    """Return what a row says, None for one of another workflow; raises `CrmflowError`."""
    if row.fault is not None:
        raise CrmflowError(row.fault)
    cells = {name: written(value) for name, value in row.cells.items()}
    workflow, key = cells.get("workflow", ""), next((cells[each] for each in KEY_COLUMNS if cells.get(each)), "")
    if not workflow or not key:
        raise CrmflowError("the key is empty" if workflow else "the workflow is empty")
    if workflow not in types:
        return None
    ref = Ref(types[workflow], key)
    email = cells.get("email") if ref.type == "prospect" else None
    return Entry(workflow, ref, email or _email_in(ref), parse_time(cells.get("enrolled_at", "")))
