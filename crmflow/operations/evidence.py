"""What logs tell of one record: the events that ingests have read, and those of logs that need not have been read."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from crmflow.core.errors import SourceError
from crmflow.core.identity import identity
from crmflow.core.model import Event
from crmflow.operations.attribution import attributed
from crmflow.operations.haste import judged
from crmflow.operations.locating import located
from crmflow.operations.lookup import require_other_file
from crmflow.operations.recall import Gone, recall
from crmflow.sources import formats
from crmflow.sources.logs import open_log
from crmflow.sources.mailboxes import logs_at
from crmflow.sources.searching import Search, names_to_find, search
from crmflow.store import messages, records, retractions
from crmflow.store.connection import Store
from crmflow.store.retractions import Retraction


class Told(NamedTuple):
    """An event, the log that told it (as the user named it), the runs that read it (none: not read), its retraction."""

    event: Event
    source: str
    runs: tuple[int, ...]
    retraction: Retraction | None = None


class Evidence(NamedTuple):
    """Every event that can be told of a record, in the order of time; logs that are gone; given ones with a fault."""

    events: list[Told]
    gone: list[Gone]
    faults: list[str]


def gather(store: Store, record: int, given: Sequence[str], now: datetime) -> Evidence:
    """Return what the known logs and the given ones tell of a record, each event once; inside a snapshot.

    A given log that can't be read is among the faults. Raises `UsageError` for a directory.
    """
    given = [log for path in given for log in logs_at(path)]
    for path in given:
        require_other_file(store, path)
    memory = recall(store, [record], given=given)
    found: dict[str, Told] = {}
    for each in memory.events:
        earlier = found.setdefault(identity(each.event), Told(each.event, each.source, ()))
        runs = tuple(sorted({*earlier.runs, *each.runs}))
        found[identity(each.event)] = earlier._replace(runs=runs)
    faults = []
    for path in given:
        try:
            for event in _look_through(store, path, record, now):
                found.setdefault(identity(event), Told(event, path, ()))
        except SourceError as error:
            faults.append(error.what if error.hint is None else f"{error.what} ({error.hint})")
    retracted = retractions.in_force(store, found)
    events = [told._replace(retraction=retracted.get(name)) for name, told in found.items()]
    judged_events = judged(store, [(record, told.event) for told in events])
    events = [told._replace(event=event) for told, (_, event) in zip(events, judged_events, strict=True)]
    of_workflows = attributed(store, [(number, told.event) for number, told in enumerate(events)])
    events = [events[number]._replace(event=event) for number, event in of_workflows]
    return Evidence(sorted(events, key=lambda told: told.event.at), memory.gone, faults)


def _look_through(store: Store, path: str, record: int, now: datetime) -> Iterator[Event]:
    names = names_to_find(records.names_of(store, [record]) | messages.sent_to(store, [record]))
    with open_log(path) as log:
        for piece, terms in formats.pieces_of(log):
            events = search(Search(0, piece, terms, now, names)).events
            yield from (event for number, event in located(store, events) if number == record)
        if log.fault is not None:
            raise SourceError(f"{path}: {log.fault}")
