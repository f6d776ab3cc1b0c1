"""A selection of records from a file, and what became of each of its rows."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Literal, NamedTuple

from crmflow.core.errors import CrmflowError
from crmflow.core.model import EMAIL_FIELD, RecordType
from crmflow.core.triggers import written
from crmflow.operations.lookup import require_other_file
from crmflow.sources.tables import Row, read_rows
from crmflow.store import records
from crmflow.store.connection import Store

Outcome = Literal["done", "already_out", "already_in", "not_enrolled", "unknown", "duplicate", "invalid"]

KEY_COLUMN = "key"
ROWS_AT_ONCE = 20_000
_HINDRANCES: tuple[Outcome, ...] = ("not_enrolled", "unknown", "duplicate", "invalid")


class Request(NamedTuple):
    """What the user asks of a selection: its file, the column of the keys, and whether it is all rows or none."""

    path: str
    column: str | None = None
    all_or_nothing: bool = False


class Selected(NamedTuple):
    """One row: its line in the file, the name that it gives, why it is invalid, and the record that it means."""

    row: int
    name: str
    fault: str | None
    record: int | None


class BulkSummary(NamedTuple):
    """What became of a selection: counts by outcome, and the rows that are not *done*."""

    run: int | None
    counts: dict[str, int]
    rows: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """Return SPEC 7's JSON of the bulk commands."""
        return {"run": self.run, **self.counts, "rows": self.rows}


Judge = Callable[[int], tuple[Outcome, str | None]]
"""What tells of a record whether it can be done, and where it is for the user to know why not, the reason."""


class Choice:
    """What became of the rows of a selection so far: counts by outcome, and the rows that are passed over."""

    def __init__(self, already: Outcome) -> None:
        """Take the word for records with which there is nothing to do."""
        self.counts: dict[str, int] = dict.fromkeys(("done", already, *_HINDRANCES), 0)
        self.rows: list[dict[str, Any]] = []
        self._seen: set[int] = set()

    def take(self, part: Iterable[Selected], judge: Judge) -> list[int]:
        """Judge some rows, the first one that means a record by `judge`; return the records to act on, in order."""
        done: list[int] = []
        for row in part:
            outcome, reason = self._judge(row, judge)
            self.counts[outcome] += 1
            if outcome == "done" and row.record is not None:
                done.append(row.record)
            else:
                told = {"row": row.row, "record": row.name, "outcome": outcome}
                self.rows.append({**told, "reason": reason} if reason else told)
        return done

    def _judge(self, row: Selected, judge: Judge) -> tuple[Outcome, str | None]:
        if row.fault is not None:
            return "invalid", row.fault
        if row.record is None:
            return "unknown", None
        if row.record in self._seen:
            return "duplicate", None
        self._seen.add(row.record)
        return judge(row.record)

    def guard(self, request: Request) -> None:
        """Raise `CrmflowError` where all was asked for and a row can't be done."""
        hindered = [row for row in self.rows if row["outcome"] in {"not_enrolled", "unknown", "invalid"}]
        if request.all_or_nothing and hindered:
            first = hindered[0]
            raise CrmflowError(
                f"{request.path}: {len(hindered)} rows can't be done, the first in row {first['row']}"
                f" ({first['record'] or first['reason']}: {first['outcome'].replace('_', ' ')}); nothing was changed",
                hint="mend them, or leave --all-or-nothing out",
            )


def read_selection(store: Store, request: Request, kind: RecordType) -> Iterator[list[Selected]]:
    """Yield what a file selects, part by part.

    Raises `CrmflowError` for a file without the column or without a row; that may show only at its end.
    """
    path, column, _ = request
    wanted = [column] if column else [KEY_COLUMN, EMAIL_FIELD] if kind == "prospect" else [KEY_COLUMN]
    require_other_file(store, path)
    table = read_rows(path)
    if not table.is_typed:
        _require_column(path, wanted, table.columns)
    is_empty, has_fault = True, False
    columns: dict[str, None] = {}
    rows = iter(table)
    while part := list(islice(rows, ROWS_AT_ONCE)):
        is_empty = False
        has_fault = has_fault or any(row.fault is not None for row in part)
        if table.is_typed:
            columns |= {name: None for row in part for name in row.cells}
        yield _located(store, kind, part, wanted)
    if is_empty:
        raise CrmflowError(f"{path}: no row is selected", hint="a selection without rows does not mean everything")
    if table.is_typed and not has_fault:
        _require_column(path, wanted, columns)


def _located(store: Store, kind: RecordType, part: Sequence[Row], wanted: Sequence[str]) -> list[Selected]:
    named = [_name_in(row, wanted) for row in part]
    found = records.find(store, kind, {name for name, fault in named if fault is None})
    return [
        Selected(row.line, name, fault, None if fault else found.get(name))
        for row, (name, fault) in zip(part, named, strict=True)
    ]


def _require_column(path: str, wanted: Sequence[str], columns: Collection[str]) -> None:
    if not any(each in columns for each in wanted):
        raise CrmflowError(
            f"{path}: there is no column {' or '.join(wanted)}; its columns are {', '.join(columns)}",
            hint="name the column that holds the keys with --column NAME",
        )


def _name_in(row: Row, wanted: Sequence[str]) -> tuple[str, str | None]:
    """Return the name that a row gives in the first of these columns that it has, and why it is invalid."""
    if row.fault:
        return "", row.fault
    column = next((each for each in wanted if each in row.cells), wanted[0]) if len(wanted) > 1 else wanted[0]
    name = written(row.cells.get(column))
    return name, None if name else f"{column} is empty"
