"""A small CRM made from the sample data, with a month of events ingested: something to look at."""

from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from crmflow.core.errors import CrmflowError
from crmflow.core.model import Moment, RecordType
from crmflow.core.times import parse_time
from crmflow.operations import enroll, import_records, ingest, workflows
from crmflow.operations.selection import Request
from crmflow.store import enrollments, runs
from crmflow.store.connection import Store, create_store, delete_store, open_store

ENROLLED_AT = parse_time("2026-03-01T08:00:00Z")
_IMPORT_ORDER: tuple[RecordType, ...] = ("organization", "prospect", "deal")


class Demo(NamedTuple):
    """What the demo made: its store, the log that it read, what became of the log's lines, and who left."""

    store: str
    replaced: bool
    log: str
    ingest: dict[str, Any]
    exits: list[dict[str, Any]]


def sample_data() -> Path:
    """Return the directory of the sample data: of the checkout, or of the installed package."""
    package = Path(__file__).resolve().parent.parent
    for candidate in (package / "sample_data", package.parent / "sample_data"):
        if candidate.is_dir():
            return candidate
    raise CrmflowError(f"the sample data are missing from {package}", hint="install crmflow again")


def demo(path: Path, now: Moment) -> Demo:
    """Make the demo's store at `path`, anew where an earlier demo made one there, and ingest the sample log.

    Raises `CrmflowError` where another store is there.
    """
    data = sample_data()
    replaced = _clear(path)
    with create_store(path) as store:
        _load(store, data, Moment(ENROLLED_AT, now.now))
        log = str(data / "events.jsonl")
        watcher = ingest.Watcher(lambda _bytes: None, lambda _text: None)
        summary = ingest.ingest(store, [log], now, watcher)
        exits = [each for each in enrollments.listed(store) if each["exit"] is not None]
        return Demo(str(path), replaced, log, summary.as_json(), exits)


def _clear(path: Path) -> bool:
    if not path.exists():
        return False
    with open_store(path) as store:
        is_demo = any(run["command"] == "demo" for run in runs.listed(store))
    if not is_demo:
        raise CrmflowError(f"{path} is a store that no demo made", hint="give the demo a place of its own: --db PATH")
    delete_store(path)
    return True


def _load(store: Store, data: Path, moment: Moment) -> None:
    before = Moment(moment.at - timedelta(days=1), moment.now)
    with store.change():
        runs.note(store, runs.begin(store, "demo", before), {"data": str(data)})
    for kind in _IMPORT_ORDER:
        import_records.import_records(store, kind, str(data / f"{kind}s.csv"), before, lambda _table: None)
    workflows.apply(store, [str(each) for each in sorted((data / "workflows").glob("*.yaml"))], before)
    for selection in sorted((data / "enrollments").glob("*.csv")):
        enroll.bulk_enroll(store, Request(str(selection)), selection.stem, moment)
