"""Matches a part of a log against a snapshot: without the store, anywhere, and any number of times.

Everything that comes of it can be merged with what comes of other parts, in any order, and is taken into the store once
(`crmflow.operations.apply`). What can't change anything is left out, but for a checksum of the name: should the store
have moved on by then, that tells which logs have to be read again, for which records.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from crmflow.core.earliest import Candidate, Earliest, listed, offer
from crmflow.core.errors import SourceError
from crmflow.core.haste import is_of_mail
from crmflow.core.identity import identity
from crmflow.core.model import Event, RecordType
from crmflow.core.triggers import Rules, answered, has_lasting_effect, lacks_workflow
from crmflow.operations.harvest import Task, harvest, rules_of
from crmflow.sources.batches import Batch
from crmflow.sources.exits import Matched, checksum, merged, pack, unpack
from crmflow.sources.logs import Piece, open_log
from crmflow.sources.terms import Terms
from crmflow.store.snapshots import Snapshot, Window, open_snapshot

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FAULT = b"\xc1"
"""What MessagePack never begins with."""

CHANGED = "it changed while it was read; what is new in it waits for the next run"


class Part(NamedTuple):
    """Bytes of a log from `start` to `end` (None: all there are then), whole lines of it, and how it is read.

    `line` is the number of the first line, `first_line` what the log must be known by, `now` the clock's time, and of
    more than `most_rejects` rejects only the number is told.
    """

    path: str
    start: int
    end: int | None
    first_line: str | None
    terms: Terms
    now: datetime
    most_rejects: int


def match_part(snapshot: str, part: Part) -> bytes:
    """Return what a part of a log says, lines counted from 1, or why it can't be read: see `matched_part`.

    `snapshot` is the path of a snapshot.
    """
    try:
        return pack(merged(_pieces(_opened(snapshot), part), part.start, 1, part.most_rejects))
    except SourceError as error:
        return _FAULT + str(error).encode()


def matched_part(data: bytes) -> Matched:
    """Return what `match_part` found; raises `SourceError` where it could not read the log."""
    if data.startswith(_FAULT):
        raise SourceError(data.removeprefix(_FAULT).decode())
    return unpack(data)


def match(snapshot: Snapshot, batch: Batch, rules: Rules) -> Matched:
    """Return what a harvest says of the records in a snapshot, reduced to what may change something."""
    events = batch.events
    batch.events = []
    found = Matched.of(batch)
    located = _located(snapshot, rules, events, found)
    retracted = _retracted(snapshot, [event for _, event in located])
    found.retracted = len(retracted)
    may_end: dict[int, list[Event]] = {}
    for number, (record, event) in enumerate(located):
        if number in retracted:
            found.passed_names.add(checksum(event.name))
        elif has_lasting_effect(event) or lacks_workflow(event) or is_of_mail(event):
            batch.events.append(event)
        else:
            may_end.setdefault(record, []).append(event)
    _reduce(snapshot, rules, may_end, found)
    return found


@lru_cache(maxsize=1)
def _opened(path: str) -> Snapshot:
    """Open a snapshot for this process; whoever hands it out has looked at its digest."""
    return open_snapshot(Path(path), digest="")


def _pieces(snapshot: Snapshot, part: Part) -> Iterator[Matched]:
    """Yield what each piece says, its lines counted from 1."""
    definitions = snapshot.header.definitions
    rules = rules_of(definitions)
    with open_log(part.path) as log:
        if log.first_line != part.first_line:
            raise SourceError(f"{part.path}: {CHANGED}")
        for piece in log.cut(part.terms.layout, part.start, 1, end=part.end):
            beginning = Piece(piece.data, piece.offset, 1, piece.is_last, piece.oversized)
            yield match(snapshot, harvest(Task(beginning, part.terms, part.now, definitions)), rules)
        if log.fault is not None:
            raise SourceError(f"{part.path}: {log.fault}")


def _located(snapshot: Snapshot, rules: Rules, events: Sequence[Event], found: Matched) -> list[tuple[int, Event]]:
    """Return the events about records that are known, each with the record's number; count all."""
    of_ours = [event for event in events if rules.has_workflow_of(event)]
    names: dict[RecordType, set[str]] = {}
    for event in of_ours:
        names.setdefault(event.record_type, set()).add(event.name)
    numbers = {kind: snapshot.find(kind, its_names) for kind, its_names in names.items()}
    located = []
    for event in of_ours:
        number = numbers[event.record_type].get(event.name)
        if number is None:
            found.unmatched_names.add(checksum(event.name))
            found.batch.events += [event] if answered(event) else []
        else:
            located.append((number, event))
    found.considered = len(located)
    found.unmatched = len(events) - len(located)
    return located


def _retracted(snapshot: Snapshot, events: Sequence[Event]) -> set[int]:
    """Return which of these events count no more, by their places."""
    if not snapshot.has_retractions:
        return set()
    identities = [identity(event) for event in events]
    retracted = snapshot.retracted(set(identities))
    return {place for place, each in enumerate(identities) if each in retracted}


def _reduce(snapshot: Snapshot, rules: Rules, may_end: dict[int, list[Event]], found: Matched) -> None:
    """Keep the earliest event for each enrollment and type, and of all others the checksum of the name."""
    earliest: Earliest = {}
    windows: dict[int, list[Window]] = {}
    for window in snapshot.windows(may_end):
        windows.setdefault(window.record, []).append(window)
    for record, events in may_end.items():
        for event in events:
            offer(earliest, _candidates(event, rules.wanting(event), windows.get(record, ())))
    found.earliest = listed(earliest)
    kept = {id(event) for event in earliest.values()}
    passed = (event for events in may_end.values() for event in events if id(event) not in kept)
    found.passed_names |= {checksum(event.name) for event in passed}


def _candidates(event: Event, workflows: Collection[str], windows: Iterable[Window]) -> Iterator[Candidate]:
    """Yield the enrollments that an event could end: open at its time, in one of the workflows that want it."""
    at = (event.at - _EPOCH) // _MICROSECOND
    for each in windows:
        if each.workflow in workflows and each.since <= at and (each.until is None or at <= each.until):
            yield Candidate(each.enrollment, event)
