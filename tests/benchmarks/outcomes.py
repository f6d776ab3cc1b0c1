"""What came of a log, as the lines of `peers.contest`: a contestant's time counts only if it came to the same."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from tests.benchmarks.crm import AS_IMPORTED
from tests.benchmarks.events import DEAL_VALUES, PROSPECT_VALUES

EXITS = """
SELECT 'exit', workflow, record, substr(exited_at, 1, 19) || 'Z', trigger, event_id FROM exits
WHERE stands AND cause = 'trigger'
"""
FIELDS = """
SELECT 'field', records.key, field.key, field.value FROM records, json_each(fields) AS field
WHERE field.key IN (SELECT value FROM json_each(?)) AND field.value <> ?
"""
BOUNCES = "SELECT DISTINCT 'bounced', record.key FROM bounce JOIN record ON record.id = record_id"


class OutcomeError(Exception):
    """A contestant came to something else than another: their times can't be compared."""


Outcome = frozenset[str]


def of_store(store: Path) -> Outcome:
    """Return what came of the log that a store of crmflow's has read."""
    names = ",".join(f'"{name}"' for name in sorted(PROSPECT_VALUES.keys() | DEAL_VALUES.keys()))
    with closing(sqlite3.connect(store)) as connection:
        rows: list[Iterable[str]] = [
            *connection.execute(EXITS),
            *connection.execute(FIELDS, [f"[{names}]", AS_IMPORTED]),
            *connection.execute(BOUNCES),
        ]
    return frozenset(map(",".join, rows))


def require_same(name: str, theirs: Outcome, ours: Outcome, *, kinds: frozenset[str]) -> None:
    """Raise `OutcomeError` where a contestant came to something else, among the kinds of lines that it tells of."""
    compared = frozenset(line for line in ours if line.partition(",")[0] in kinds)
    if theirs == compared:
        return
    examples = [f"{sign} {min(only)}" for sign, only in (("+", theirs - compared), ("-", compared - theirs)) if only]
    raise OutcomeError(f"{name} came to {len(theirs)} changes, crmflow to {len(compared)}: {'; '.join(examples)}")


def exit_count(outcome: Outcome) -> int:
    """Return how many enrollments were ended."""
    return sum(line.startswith("exit,") for line in outcome)


def count(database: Path, sql: str) -> int:
    """Return the one number that a query of a SQLite database gives."""
    with closing(sqlite3.connect(database)) as connection:
        [(number,)] = connection.execute(sql)
    return int(number)


def require_count(name: str, done: int, wanted: int) -> None:
    """Raise `OutcomeError` where a contestant did not do as many of a thing as it should, or nothing was to do."""
    if done != wanted or not wanted:
        raise OutcomeError(f"{name} did {done}, not {wanted}")
