"""Plain Python: each line is parsed and acted on by itself, with SQLite's own module and one transaction.

No validation, no rejects, no offsets, no evidence; the logs write all times alike, so that they compare as text.
"""

import csv
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.peers.contest import enter

TABLES = """
CREATE TABLE enrollment (
    id INTEGER PRIMARY KEY, workflow TEXT, record TEXT, enrolled_at TEXT, exited_at TEXT, rank INTEGER, trigger TEXT,
    event TEXT
);
CREATE TABLE trigger (
    workflow TEXT, type TEXT, trigger TEXT, rank INTEGER, url TEXT, field TEXT, value TEXT
);
CREATE TABLE record (type TEXT, key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE field (
    record TEXT, name TEXT, value TEXT, at TEXT, event TEXT, PRIMARY KEY (record, name)
) WITHOUT ROWID;
CREATE TABLE bounced (record TEXT PRIMARY KEY) WITHOUT ROWID;
"""
WON_OR_LOST = {"deal_won": "won", "deal_lost": "lost"}

Event = dict[str, str]
Trigger = dict[str, Any]


def prepare(folder: Path, database: Path) -> None:
    """Make tables of enrollments, triggers and records."""
    connection = sqlite3.connect(database)
    connection.executescript(TABLES)
    connection.executemany(
        "INSERT INTO enrollment (workflow, record, enrolled_at, exited_at)"
        " VALUES (:workflow, :record, :enrolled_at, nullif(:exited_at, ''))",
        _rows(folder / "enrollments.csv"),
    )
    connection.executemany(
        "INSERT INTO trigger VALUES (:workflow, :type, :trigger, :rank, :url, :field, :value)",
        _rows(folder / "triggers.csv"),
    )
    connection.executemany("INSERT INTO record VALUES ('prospect', :email)", _rows(folder / "prospects.csv"))
    connection.executemany("INSERT INTO record VALUES ('deal', :key)", _rows(folder / "deals.csv"))
    connection.execute("CREATE INDEX enrollment_of_record ON enrollment (record, workflow)")
    connection.commit()
    connection.close()


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def ingest(log: Path, database: Path) -> None:
    """Act on every event of a log."""
    connection = sqlite3.connect(database)
    triggers = _triggers(connection)
    with log.open(encoding="utf-8") as lines:
        for line in lines:
            event = json.loads(line)
            _keep_facts(connection, event)
            for face in _faces(event):
                for trigger in triggers.get(face["type"], ()):
                    if _is_meant(trigger, face):
                        _end(connection, trigger, face)
    connection.commit()
    connection.close()


def _triggers(connection: sqlite3.Connection) -> dict[str, list[Trigger]]:
    connection.row_factory = sqlite3.Row
    found: dict[str, list[Trigger]] = {}
    for row in connection.execute("SELECT * FROM trigger ORDER BY rank"):
        pattern = re.compile(re.escape(row["url"]).replace(r"\*", ".*"))
        found.setdefault(row["trigger"], []).append({**dict(row), "url": pattern})
    connection.row_factory = None
    return found


def _faces(event: Event) -> list[Event]:
    """Return the event, and what else it is: a deal's won or lost is an update of its status, and the reverse."""
    if event["type"] in WON_OR_LOST:
        return [event, {**event, "type": "field_updated", "field": "status", "value": WON_OR_LOST[event["type"]]}]
    if event["type"] != "field_updated":
        return [event]
    if event.get("old") == event["value"]:
        return []
    also = [word for word, value in WON_OR_LOST.items() if event["value"] == value and event["field"] == "status"]
    return [event, *({**event, "type": word} for word in also if "deal" in event)]


def _is_meant(trigger: Trigger, event: Event) -> bool:
    if trigger["type"] not in event:
        return False
    match event["type"]:
        case "link_clicked":
            return bool(event["workflow"] == trigger["workflow"])
        case "page_visited":
            page = event["url"].partition("#")[0].partition("?")[0].removesuffix("/")
            return bool(trigger["url"].fullmatch(page))
        case "field_updated":
            return trigger["field"] in {"", event["field"]} and trigger["value"] in {"", event["value"]}
        case _:
            return True


def _end(connection: sqlite3.Connection, trigger: Trigger, event: Event) -> None:
    """End the enrollment by this event, if it was in the workflow by then and nothing ended it before."""
    reason = (event["time"], trigger["rank"], event["id"])
    for number, enrolled_at, *so_far in connection.execute(
        "SELECT id, enrolled_at, exited_at, rank, event FROM enrollment WHERE record = ? AND workflow = ?",
        [event[trigger["type"]], trigger["workflow"]],
    ).fetchall():
        exited_at, rank, event_id = so_far
        standing = (exited_at, rank or 0, event_id or "")
        if event["time"] >= enrolled_at and (exited_at is None or reason < standing):
            connection.execute(
                "UPDATE enrollment SET exited_at = ?, rank = ?, trigger = ?, event = ? WHERE id = ?",
                [event["time"], trigger["rank"], trigger["trigger"], event["id"], number],
            )


def _keep_facts(connection: sqlite3.Connection, event: Event) -> None:
    record = event.get("prospect") or event.get("deal")
    if event["type"] == "hard_bounced":
        connection.execute("INSERT INTO bounced SELECT key FROM record WHERE key = ? ON CONFLICT DO NOTHING", [record])
    elif event["type"] == "field_updated" or event["type"] in WON_OR_LOST:
        value = WON_OR_LOST.get(event["type"]) or event["value"]
        connection.execute(
            "INSERT INTO field SELECT key, ?, ?, ?, ? FROM record WHERE key = ?"
            " ON CONFLICT DO UPDATE SET value = excluded.value, at = excluded.at, event = excluded.event"
            " WHERE (excluded.at, excluded.event) > (at, event)",
            [event.get("field", "status"), value, event["time"], event["id"], record],
        )


def outcome(database: Path) -> Iterable[Iterable[str]]:
    """Return exits, fields that were updated, and bounces."""
    connection = sqlite3.connect(database)
    yield from connection.execute(
        "SELECT 'exit', workflow, record, exited_at, trigger, event FROM enrollment WHERE event IS NOT NULL"
    )
    yield from connection.execute("SELECT 'field', record, name, value FROM field")
    yield from connection.execute("SELECT 'bounced', record FROM bounced")


if __name__ == "__main__":
    enter(prepare, ingest, outcome)
