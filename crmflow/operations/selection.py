"""A selection of records from a file, and what became of each of its rows."""

from collections.abc import Callable, Collection, Sequence
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


class Selection(NamedTuple):
    """All rows of a selection, in order."""

    rows: Sequence[Selected]

    @property
    def numbers(self) -> set[int]:
        """Return the records that any row means."""
        return {row.record for row in self.rows if row.record is not None}


class BulkSummary(NamedTuple):
    """What became of a selection: counts by outcome, and the rows that are not *done*."""

    run: int | None
    counts: dict[str, int]
    rows: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """Return SPEC 7's JSON of the bulk commands."""
        return {"run": self.run, **self.counts, "rows": self.rows}


class Choice(NamedTuple):
    """The records to act on, in order, and the rows that are passed over."""

    done: list[int]
    counts: dict[str, int]
    rows: list[dict[str, Any]]

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


def read_selection(store: Store, request: Request, kind: RecordType) -> Selection:
    """Read which records a file selects; raises `CrmflowError` for a file without the column or without a row."""
    path, column, _ = request
    wanted = [column] if column else [KEY_COLUMN, EMAIL_FIELD] if kind == "prospect" else [KEY_COLUMN]
    require_other_file(store, path)
    table = read_rows(path)
    if not table.is_typed:
        _require_column(path, wanted, table.columns)
    rows = list(table)
    if not rows:
        raise CrmflowError(f"{path}: no row is selected", hint="a selection without rows does not mean everything")
    if table.is_typed and all(row.fault is None for row in rows):
        _require_column(path, wanted, {name: None for row in rows for name in row.cells})
    selected = [_selected(row, wanted) for row in rows]
    found = records.find(store, kind, {row.name for row in selected if row.fault is None})
    return Selection([row._replace(record=None if row.fault else found.get(row.name)) for row in selected])


def _require_column(path: str, wanted: Sequence[str], columns: Collection[str]) -> None:
    if not any(each in columns for each in wanted):
        raise CrmflowError(
            f"{path}: there is no column {' or '.join(wanted)}; its columns are {', '.join(columns)}",
            hint="name the column that holds the keys with --column NAME",
        )


def _selected(row: Row, wanted: Sequence[str]) -> Selected:
    column = next((each for each in wanted if each in row.cells), wanted[0])
    name = "" if row.fault else written(row.cells.get(column))
    fault = row.fault or (None if name else f"{column} is empty")
    return Selected(row.line, name, fault, None)


def choose(selection: Selection, already: Outcome, judge: Callable[[int], tuple[Outcome, str | None]]) -> Choice:
    """Judge every row: the first one that means a record by `judge`, which may give a reason; `already` is its word."""
    done: list[int] = []
    counts: dict[str, int] = dict.fromkeys(("done", already, *_HINDRANCES), 0)
    rows = []
    seen: set[int] = set()
    for row in selection.rows:
        outcome, reason = _judge(row, seen, judge)
        counts[outcome] += 1
        if outcome == "done" and row.record is not None:
            done.append(row.record)
        else:
            told = {"row": row.row, "record": row.name, "outcome": outcome}
            rows.append({**told, "reason": reason} if reason else told)
    return Choice(done, counts, rows)


def _judge(
    row: Selected, seen: set[int], judge: Callable[[int], tuple[Outcome, str | None]]
) -> tuple[Outcome, str | None]:
    if row.fault is not None:
        return "invalid", row.fault
    if row.record is None:
        return "unknown", None
    if row.record in seen:
        return "duplicate", None
    seen.add(row.record)
    return judge(row.record)
