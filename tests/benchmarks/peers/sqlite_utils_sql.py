"""sqlite-utils: `insert --nl` puts the log into a table, one UPDATE ends the enrollments. Fields are not touched.

The logs write all times alike, and all as wide, so that time, rank and event id put together compare as text.
"""

import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.benchmarks.peers import plain_python
from tests.benchmarks.peers.contest import enter

EVENT_TABLE = """
CREATE TABLE event (
    id TEXT, type TEXT, time TEXT, prospect TEXT, deal TEXT, workflow TEXT, step TEXT, url TEXT, field TEXT, value TEXT,
    old TEXT
)
"""

UPDATE = """
WITH face (type, record_type, record, time, id, workflow, url, field, value) AS (
    SELECT type, iif(deal IS NULL, 'prospect', 'deal'), coalesce(prospect, deal), time, id, workflow,
           rtrim(substr(url, 1, instr(url || '?', '?') - 1), '/'), field, value
    FROM event
    WHERE type IN (SELECT trigger FROM trigger) AND (type <> 'field_updated' OR old IS NULL OR old <> value)
    UNION ALL
    SELECT 'field_updated', 'deal', deal, time, id, NULL, NULL, 'status', iif(type = 'deal_won', 'won', 'lost')
    FROM event WHERE type IN ('deal_won', 'deal_lost')
    UNION ALL
    SELECT iif(value = 'won', 'deal_won', 'deal_lost'), 'deal', deal, time, id, NULL, NULL, NULL, NULL
    FROM event
    WHERE type = 'field_updated' AND deal IS NOT NULL AND field = 'status' AND value IN ('won', 'lost')
      AND (old IS NULL OR old <> value)
),
first AS (
    SELECT enrollment.id AS enrollment, min(face.time || char(64 + trigger.rank) || face.id), face.time AS time,
           trigger.rank AS rank, trigger.trigger AS trigger, face.id AS event
    FROM face
    CROSS JOIN enrollment ON enrollment.record = face.record AND face.time >= enrolled_at
        AND (exited_at IS NULL OR face.time < exited_at)
    CROSS JOIN trigger ON trigger.trigger = face.type AND trigger.type = face.record_type
        AND trigger.workflow = enrollment.workflow
    WHERE (face.type <> 'link_clicked' OR face.workflow = enrollment.workflow)
      AND (face.type <> 'page_visited' OR face.url GLOB trigger.url)
      AND (face.type <> 'field_updated' OR trigger.field = face.field AND trigger.value IN ('', face.value))
    GROUP BY enrollment.id
)
UPDATE enrollment SET exited_at = time, rank = first.rank, trigger = first.trigger, event = first.event
FROM first WHERE enrollment.id = first.enrollment
"""


def prepare(folder: Path, database: Path) -> None:
    """Make the tables of the plain program, an index of the triggers, and an empty table for the log."""
    plain_python.prepare(folder, database)
    connection = sqlite3.connect(database)
    connection.execute(EVENT_TABLE)
    connection.execute("CREATE INDEX trigger_of_workflow ON trigger (workflow, trigger)")
    connection.commit()
    connection.close()


def ingest(log: Path, database: Path) -> None:
    """Insert the log and run the update, as a script of two lines would."""
    command = str(Path(sys.executable).with_name("sqlite-utils"))
    subprocess.run([command, "insert", str(database), "event", str(log), "--nl"], check=True)
    subprocess.run([command, "query", str(database), UPDATE], check=True)


def outcome(database: Path) -> Iterable[Iterable[str]]:
    """Return exits."""
    return sqlite3.connect(database).execute(
        "SELECT 'exit', workflow, record, exited_at, trigger, event FROM enrollment WHERE event IS NOT NULL"
    )


if __name__ == "__main__":
    enter(prepare, ingest, outcome)
