"""What crmflow's other commands cost: starting at all, one record, a list of everybody."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from tests.benchmarks import outcomes
from tests.benchmarks.cost import CRMFLOW, PYTHON, SQLITE_UTILS, Contestant, crmflow_on, in_turn
from tests.benchmarks.crm import email_of
from tests.benchmarks.data import CROWD, CROWD_SINCE, CROWD_UNTIL, Data, place_copy
from tests.benchmarks.table import Row, Target, compare

IMPORT_TYPER = Contestant([PYTHON, "-c", "import typer"])

_OUT = "SELECT count(*) FROM enrollment WHERE state = 'disenrolled'"


def startup(_data: Data, repeat: int) -> Iterator[list[Row]]:
    """Measure what every command costs before it does anything."""
    costs = in_turn({"crmflow --version": Contestant([CRMFLOW, "--version"]), "import typer": IMPORT_TYPER}, repeat)
    yield compare("startup", costs, {"import typer": Target("wall", 1.3, wish=1.1)})


def disenroll(data: Data, repeat: int) -> Iterator[list[Row]]:
    """Measure taking one record out of the workflows that it is in, in a large store."""
    source, store = data.store(data.scale.crm), data.scratch("store.db")
    command = crmflow_on(store, "disenroll", f"prospect:{email_of(1)}", "--all-workflows")
    contestant = Contestant(command, lambda: place_copy(source, store))
    costs = in_turn({"crmflow disenroll": contestant, "import typer": IMPORT_TYPER}, repeat)
    yield compare("disenroll one record", costs, {"import typer": Target("wall", 2, wish=1.5)})


def bulk_disenroll(data: Data, repeat: int) -> Iterator[list[Row]]:
    """Measure taking everybody out of a workflow by a file, against an import and an update in SQLite's own shell."""
    size, store, database = data.scale.crm, data.scratch("store.db"), data.scratch("shell.db")
    rows, crowd = data.crm(size) / "prospects.csv", data.crowd(size)
    command = crmflow_on(store, "bulk-disenroll", "--at", CROWD_UNTIL, "--workflow", CROWD, str(rows))
    contestants = {"crmflow bulk-disenroll": Contestant(command, lambda: place_copy(crowd, store))}
    title, shell = f"bulk-disenroll of {size.prospects:,} rows", shutil.which("sqlite3")
    if shell is None:
        yield compare(f"{title}: the sqlite3 shell is not installed here", in_turn(contestants, repeat))
        return
    prepared = data.made("shell.db", lambda path: _make_crowd(crowd, path))
    contestants["sqlite3 .import, UPDATE"] = Contestant(
        [shell, str(database), f".import --csv '{rows}' chosen", _TAKE_OUT], lambda: place_copy(prepared, database)
    )
    costs = in_turn(contestants, repeat)
    outcomes.require_count("the sqlite3 shell", outcomes.count(database, _OUT), outcomes.count(store, _OUT))
    yield compare(title, costs, dict.fromkeys(costs, Target("wall", 3, wish=1.5)))


_TAKE_OUT = (
    "UPDATE enrollment SET state = 'disenrolled', exited_at = '2026-02-01T00:00:00Z'"
    " WHERE workflow = 'crowd' AND state = 'active' AND record IN (SELECT email FROM chosen)"
)


def _make_crowd(crowd: Path, path: Path) -> None:
    """Make the shell's own database: the same enrollments in one plain table."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("ATTACH ? AS crowd", [str(crowd)])
        connection.execute(
            "CREATE TABLE enrollment (record TEXT, workflow TEXT, state TEXT, enrolled_at TEXT, exited_at TEXT,"
            " PRIMARY KEY (record, workflow))"
        )
        connection.execute(
            "INSERT INTO enrollment SELECT record, workflow, state, ?, NULL FROM crowd.enrollments", [CROWD_SINCE]
        )


def record_import(data: Data, repeat: int) -> Iterator[list[Row]]:
    """Measure importing records into an empty store, against putting the same file into a table."""
    size, store, database = data.scale.crm, data.scratch("store.db"), data.scratch("table.db")
    rows, empty = str(data.crm(size) / "prospects.csv"), data.empty_store()
    command = crmflow_on(store, "record", "import", "prospect", rows)
    insert = [SQLITE_UTILS, "insert", str(database), "record", rows, "--csv"]
    costs = in_turn(
        {
            "crmflow record import": Contestant(command, lambda: place_copy(empty, store)),
            "sqlite-utils insert --csv": Contestant(insert, lambda: database.unlink(missing_ok=True)),
        },
        repeat,
    )
    count = "SELECT count(*) FROM record"
    outcomes.require_count("sqlite-utils", outcomes.count(database, count), outcomes.count(store, count))
    title = f"record import of {size.prospects:,} rows"
    yield compare(title, costs, {"sqlite-utils insert --csv": Target("wall", 1)})
