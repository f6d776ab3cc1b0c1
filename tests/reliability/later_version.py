"""Makes the program a later version of itself: with two more migrations, which change every record."""

from crmflow.store.schema import MIGRATIONS

MIGRATIONS["900_score"] = (
    "ALTER TABLE record ADD COLUMN score INTEGER NOT NULL DEFAULT 0",
    "UPDATE record SET score = length(key)",
    "CREATE INDEX record_by_score ON record (score)",
)
MIGRATIONS["901_visit"] = (
    "CREATE TABLE visit (record_id INTEGER NOT NULL REFERENCES record (id), at TEXT NOT NULL) STRICT",
    "INSERT INTO visit SELECT id, added_at FROM record",
    "UPDATE record SET score = score + 1",
)
