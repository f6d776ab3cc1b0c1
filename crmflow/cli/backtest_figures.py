"""What a backtest found in a terminal, each figure under its heading, and as one table of rows that are all alike."""

from collections.abc import Iterable, Iterator

from crmflow.cli.render import Cell, Table
from crmflow.core.model import Definition
from crmflow.core.times import shown
from crmflow.operations.backtest_findings import (
    WAYS,
    Backtest,
    Leaving,
    Row,
    Steps,
    causes,
    rows_of,
    saved_and_lost,
    tally_of,
)
from crmflow.operations.differences import by

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_SHOWN_UNITS = 2


def plain(test: Backtest) -> Table:
    """Return each enrollment that comes out differently as a row."""
    columns = ["workflow", "record", "enrolled_at", "change", "before_at", "before_by", "after_at", "after_by"]
    steps = ["steps_done_before", "steps_done_after", "steps_due_before", "steps_due_after"]
    return Table([*columns, "difference", *steps], map(_plain_row, test.rows))


def _plain_row(row: Row) -> list[Cell]:
    enrolled_at = shown(row.changed.after.enrolled_at)
    before, after = row.before.steps, row.after.steps
    exits = [*_exit(row.before), *_exit(row.after)]
    steps = [before.done, after.done, before.due, after.due]
    return [row.workflow, row.record.key, enrolled_at, row.changed.what, *exits, _difference(row), *steps]


def _exit(leaving: Leaving) -> list[Cell]:
    return [None, None] if leaving.exit is None else [shown(leaving.exit.at), by(leaving.exit)]


def drawn(test: Backtest) -> Iterator[tuple[str, Table]]:
    """Yield the figures with their headings: for each workflow the totals, who stays, who leaves, and who otherwise."""
    for declared in test.question.after.values():
        name = declared.workflow.workflow
        tally, rows = tally_of(test, name), rows_of(test, name)
        columns = ["left by", "before", "after", "difference"]
        totals: list[list[Cell]] = [
            [
                each or "(still in)",
                tally.before[each],
                tally.after[each],
                _signed(tally.after[each] - tally.before[each]),
            ]
            for each in causes(tally)
        ]
        yield f"{name}: {tally.before.total()} enrolled; {_compared(test, declared)}", Table(columns, totals)
        yield from _changes(name, rows)


def _changes(name: str, rows: Iterable[Row]) -> Iterator[tuple[str, Table]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.changed.what if row.seconds is None else "otherwise", []).append(row)
    steps = ["steps done", "steps due"]
    for what, when, way in (("stays", "left at", "stay"), ("leaves", "leaves at", "leave")):
        if what in found:
            columns = ["record", "enrolled at", when, "by", *steps]
            yield f"{name}: who would {way}", Table(columns, map(_one_sided, found[what]))
    if "otherwise" in found:
        columns = ["record", "before", "by", "after", "by", "difference", *steps]
        yield (
            f"{name}: who would leave at another time, or by something else",
            Table(columns, map(_two_sided, found["otherwise"])),
        )


def _one_sided(row: Row) -> list[Cell]:
    leaving = row.before if row.after.exit is None else row.after
    return [row.record.key, shown(row.changed.after.enrolled_at), *_exit(leaving), *_steps(row)]


def _two_sided(row: Row) -> list[Cell]:
    return [row.record.key, *_exit(row.before), *_exit(row.after), _difference(row), *_steps(row)]


def _steps(row: Row) -> list[Cell]:
    return [_signed(getattr(row.after.steps, word) - getattr(row.before.steps, word)) for word in ("done", "due")]


def _signed(number: int) -> str | None:
    return f"{number:+d}" if number else None


def _difference(row: Row) -> str | None:
    """Return how much earlier or later an enrollment ends, None where it does not by either rules."""
    if row.seconds is None:
        return None
    return f"{length(abs(row.seconds))} {row.changed.what}" if row.seconds else "same time"


def length(seconds: float) -> str:
    """Return a length of time in its two largest units: `2d 4h`; less than a second as `<1s`."""
    rest, counts = int(seconds), {}
    for unit, size in _UNITS:
        counts[unit], rest = divmod(rest, size)
    units = [unit for unit, count in counts.items() if count]
    if not units:
        return "<1s"
    first = list(counts).index(units[0])
    return " ".join(f"{count}{unit}" for unit, count in list(counts.items())[first : first + _SHOWN_UNITS] if count)


def _compared(test: Backtest, declared: Definition) -> str:
    before = test.question.compared_with(declared.workflow.workflow)
    where = "in force" if test.unlike_store is not None else before and before.path
    return f"before: {where if before else 'no triggers'}, after: {declared.path}"


def summary(test: Backtest) -> Iterator[str]:
    """Yield in a sentence for each workflow what differs."""
    for declared in test.question.after.values():
        name = declared.workflow.workflow
        count, rows = tally_of(test, name).before.total(), rows_of(test, name)
        before = test.question.compared_with(name)
        if not count:
            yield f"{name}: nobody is or was enrolled"
        elif before is not None and before.digest == declared.digest:
            yield f"{name}: {count} enrolled; both definitions mean the same"
        elif not rows:
            yield f"{name}: {count} enrolled, none of whom would come out differently"
        else:
            ways = [f"{number} {_WORDS[what]}" for what in WAYS if (number := _count(rows, what))]
            yield f"{name}: {count} enrolled; {'; '.join([', '.join(ways), *_steps_in_words(rows)])}"


_WORDS = {
    "stays": "would stay",
    "leaves": "would leave",
    "earlier": "earlier",
    "later": "later",
    "otherwise": "by something else",
}


def _count(rows: Iterable[Row], what: str) -> int:
    return sum(row.changed.what == what for row in rows)


def _steps_in_words(rows: list[Row]) -> Iterator[str]:
    """Yield how many steps are saved and lost, of those that would come due and of those known to be done."""
    for word in Steps._fields:
        counts = saved_and_lost(rows, word)
        if any(counts):
            yield f"steps {word}: {counts.saved} saved, {counts.lost} lost"
