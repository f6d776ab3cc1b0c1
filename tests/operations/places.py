"""A store with a few records, logs beside it, and a short way to read and to recall them."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from crmflow.core.model import Moment, RecordType, Ref
from crmflow.core.triggers import Rules
from crmflow.operations import edit_record
from crmflow.operations.ingest import Manner, Watcher, ingest
from crmflow.operations.recall import Memory, recall
from crmflow.store import records
from crmflow.store.connection import Store

LOG = "events.jsonl"
NOW = datetime(2026, 3, 10, tzinfo=UTC)
QUIET = Watcher(lambda _count: None, lambda _words: None)


def said(number: int, prospect: str = "p-1", **more: object) -> dict[str, object]:
    """Return what an event says: a reply in the hour of its number."""
    at = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=number)
    return {"id": f"e-{number}", "type": "replied", "time": at.isoformat(), "prospect": prospect, **more}


class Place:
    """A store with two prospects, a deal and an organization, and the logs beside it."""

    def __init__(self, directory: Path, store: Store) -> None:
        """Take the directory and the open store in it."""
        self.directory = directory
        self.store = store
        moment = Moment(NOW, NOW)
        edit_record.add(store, "prospect:p-1", ["email=ana@acme.example"], moment)
        edit_record.add(store, "prospect:p-2", ["email=zoë@acme.example"], moment)
        edit_record.add(store, "deal:D-1", [], moment)
        edit_record.add(store, "organization:9", [], moment)

    def path(self, name: str = LOG) -> Path:
        """Return the path of a file in the directory."""
        return self.directory / name

    def log(self, *events: Mapping[str, object] | bytes, name: str = LOG) -> None:
        """Append events, or lines as they are, to a log."""
        with self.path(name).open("ab") as file:
            file.writelines(each if isinstance(each, bytes) else json.dumps(each).encode() + b"\n" for each in events)

    def ingest(self, name: str = LOG, *, now: datetime = NOW, from_start: bool = False) -> int:
        """Read what is new in a log, and return the number of the run."""
        manner = Manner(from_start=from_start)
        summary = ingest(self.store, [str(self.path(name))], Moment(now, now), QUIET, manner)
        assert summary.run is not None, summary
        return summary.run

    def undo(self, run: int) -> None:
        """Let a run not stand any more."""
        with self.store.change():
            self.store.execute("UPDATE run SET undone_by_run_id = ? WHERE id = ?", [run, run])

    def number(self, name: str, kind: RecordType = "prospect") -> int:
        """Return the number of a record."""
        record = records.find_one(self.store, Ref(kind, name))
        assert record is not None
        return record.id

    def recall(self, *names: str, given: Sequence[str] = (), interest: Rules | None = None) -> Memory:
        """Recall the events about prospects."""
        numbers = [self.number(name) for name in names or ("p-1",)]
        with self.store.snapshot():
            return recall(self.store, numbers, given=given, interest=interest)

    def ids(self, *names: str) -> list[str | None]:
        """Return the ids of the events about prospects, nothing of which is gone."""
        memory = self.recall(*names)
        assert memory.gone == []
        return [each.event.id for each in memory.events]
