"""Recalls events: reads again what ingests have read of logs, for some records only.

An event that was read is not kept; its log is. What is read again are the bytes that an ingest read which was not
undone, with that run's clock: what was a reject then is one now. A log is known by its content, wherever it lies now.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from crmflow.core.errors import SourceError
from crmflow.core.model import Event
from crmflow.core.times import FUTURE_TOLERANCE
from crmflow.core.triggers import Rules
from crmflow.operations.engines.processes import Processes
from crmflow.operations.locating import located
from crmflow.sources.inputs import STANDARD_INPUT
from crmflow.sources.logs import Layout, Log, Piece, open_log
from crmflow.sources.mailboxes import logs_at
from crmflow.sources.rotation import can_be_read_again, whereabouts
from crmflow.sources.searching import Found, Search, is_quick, names_to_find, search, search_packed, unpack
from crmflow.sources.terms import Terms, pack_terms, unpack_terms
from crmflow.store import faults, logs, messages, records, runs
from crmflow.store.connection import Store
from crmflow.store.logs import KnownLog, StandingReading


class Recalled(NamedTuple):
    """An event about a record that was asked for.

    `reading`, `run` and `source` (the path as the user named it) are those of the first reading that told it and
    stands; `runs` are all runs that read it and stand, the first one first.
    """

    record: int
    event: Event
    reading: int
    run: int
    source: str
    runs: tuple[int, ...]


class Gone(NamedTuple):
    """A log, or a part of one, that can't be read again: `run` is the first one that stands and read it.

    `read_at` is the clock's time when it was last read: nothing in it happened more than a day later.
    """

    path: str
    run: int
    why: str
    read_at: datetime


class Memory(NamedTuple):
    """What could be recalled, by log and line, and what is gone."""

    events: list[Recalled]
    gone: list[Gone]


class _Segment(NamedTuple):
    """Bytes of a log that were all read by the same readings, the first one first."""

    start: int
    end: int
    readings: tuple[StandingReading, ...]


def recall(
    store: Store, wanted: Collection[int], *, given: Sequence[str] = (), interest: Rules | None = None
) -> Memory:
    """Return the events about records (by number) that standing ingests have read, each line of a log once.

    A log that lies elsewhere now may be `given`. With an interest, events are left out that nothing in it could want.
    Events that were retracted are among the others. Queries are made until the end: call it in a snapshot or a change.
    """
    if not wanted:
        return Memory([], [])
    with Processes() as processes:
        return _Recall(store, frozenset(wanted), given).read(processes, interest)


class _Recall:
    """One recalling: the segments that are read so far, and what is gone."""

    def __init__(self, store: Store, wanted: frozenset[int], given: Sequence[str]) -> None:
        self._store = store
        self._wanted = wanted
        self._shelf = Shelf(store, given)
        self._names = names_to_find(records.names_of(store, wanted) | messages.sent_to(store, wanted))
        self._rejected = logs.rejected_lines(store)
        self._segments: list[_Segment] = []
        self._gone: list[Gone] = []

    def read(self, processes: Processes, interest: Rules | None) -> Memory:
        by_log: dict[tuple[int, str], list[StandingReading]] = {}
        for reading in _with_latest_clocks(self._store):
            if reading.log is None:
                self._lose([reading], called(reading.path), _STREAM)
            else:
                by_log.setdefault((reading.log, reading.terms), []).append(reading)
        searches = (each for key in sorted(by_log) for each in self._searches(*key, by_log[key]))
        events = [
            recalled
            for found in _found(processes, searches, is_quick=is_quick(self._names))
            for recalled in self._recalled(found)
            if interest is None or interest.is_wanted(recalled.event)
        ]
        return Memory(events, self._gone)

    def _lose(self, readings: Sequence[StandingReading], path: str, why: str) -> None:
        self._gone.append(Gone(path, readings[0].run, why, max(each.now for each in readings)))

    def _searches(self, number: int, read_as: str, readings: Sequence[StandingReading]) -> Iterator[Search]:
        """Yield the pieces of a log, as it was read, that are to be looked through; note what of it is gone."""
        known, segments = logs.get(self._store, number), _segments(readings)
        terms = faults.kept(unpack_terms, read_as)
        try:
            with self._shelf.taken_from(known) as log:
                if log is None:
                    self._lose(readings, known.path, _OTHER if can_be_read_again(known.path) else _NOTHING)
                    return
                end = 0
                for segment, piece in _cut(log, terms.layout, segments):
                    end = piece.end_offset
                    self._segments.append(segment)
                    latest = max(reading.now for reading in segment.readings)
                    yield Search(len(self._segments) - 1, piece, terms, latest, self._names)
                if end < segments[-1].end:
                    self._lose(readings, known.path, log.fault or _SHORTER)
        except SourceError as error:
            self._lose(readings, known.path, error.what)

    def _recalled(self, found: Found) -> Iterator[Recalled]:
        """Yield what was found that is about a record asked for, and was understood when it was read."""
        for record, event in located(self._store, found.events):
            telling = [each for each in self._segments[found.number].readings if self._understood(each, event)]
            if record in self._wanted and telling:
                first = telling[0]
                yield Recalled(record, event, first.id, first.run, first.path, tuple(each.run for each in telling))

    def _understood(self, reading: StandingReading, event: Event) -> bool:
        is_rejected = (reading.id, event.line) in self._rejected and reading.terms == _OURS
        return event.at <= reading.now + FUTURE_TOLERANCE and not is_rejected


_OURS = pack_terms(Terms())
"""How logs are read whose lines say one thing each."""


_STREAM = "what came through a pipe can't be read again"
_NOTHING = "it is not there any more, nor beside its place under another name"
_OTHER = "another log lies in its place, and it is not beside it under another name"
_SHORTER = "it became shorter while it was read"


def called(path: str) -> str:
    """Return what a source is called to people."""
    return "standard input" if path == STANDARD_INPUT else path


class Shelf:
    """The files in which known logs may lie: at their paths, beside those, and those that are given."""

    def __init__(self, store: Store, given: Sequence[str]) -> None:
        """Look at nothing yet."""
        self._store = store
        self._given = [log for path in given for log in logs_at(path)]
        self._given_by_first_line: dict[str | None, list[str]] | None = None
        self._first_lines: dict[str, str | None] = {}
        self._known_first_lines = logs.first_lines(store)

    @contextmanager
    def taken_from(self, known: KnownLog) -> Iterator[Log | None]:
        """Yield a known log, open, for the length of the block; None where it is nowhere."""
        first_line = self._known_first_lines[known.id]
        places = dict.fromkeys((*whereabouts(known.path), *self._given_beginning_with(first_line)))
        places.pop(STANDARD_INPUT, None)
        with ExitStack() as opened:
            fitting = (
                log
                for place in places
                if self._first_line(place) == first_line and (log := _opened(opened, place, known)) is not None
            )
            yield next(fitting, None)

    def _given_beginning_with(self, first_line: str) -> list[str]:
        if self._given_by_first_line is None:
            self._given_by_first_line = {}
            for path in self._given:
                self._given_by_first_line.setdefault(self._first_line(path), []).append(path)
        return self._given_by_first_line.get(first_line, [])

    def _first_line(self, path: str) -> str | None:
        """Return the digest of a file's first line; None where it can't be a log. None of the store's files is opened.

        Closing one of them would take SQLite's locks away.
        """
        if path not in self._first_lines:
            is_out_of_reach = self._store.owns(path) or not can_be_read_again(path)
            self._first_lines[path] = None if is_out_of_reach else _read_first_line(path)
        return self._first_lines[path]


def _read_first_line(path: str) -> str | None:
    try:
        with open_log(path) as log:
            return log.first_line
    except SourceError:
        return None


def _opened(opened: ExitStack, path: str, known: KnownLog) -> Log | None:
    """Open a file that may be a known log; None where it is not."""
    try:
        log = opened.enter_context(open_log(path))
        return log if log.fingerprint(known.length) == known.fingerprint else None
    except SourceError:
        return None


def _with_latest_clocks(store: Store) -> Iterator[StandingReading]:
    """Yield the readings that stand, each with the clock that its lines were last held against.

    That is its run's own, or that of the last time that its rejects were tried again before they were forgotten.
    """
    retries, clears = runs.standing(store, "rejects retry"), runs.standing(store, "rejects clear")
    for reading in logs.standing_readings(store):
        cleared = next((run for run, _ in clears if run > reading.run), None)
        tried = [now for run, now in retries if run > reading.run and (cleared is None or run < cleared)]
        yield reading._replace(now=max([reading.now, *tried]))


def _segments(readings: Sequence[StandingReading]) -> list[_Segment]:
    """Cut what was read of a log where a reading begins or ends, and leave out what nobody read."""
    borders = sorted({border for each in readings for border in (each.from_offset, each.to_offset)})
    segments = (
        _Segment(start, end, tuple(each for each in readings if each.from_offset <= start and end <= each.to_offset))
        for start, end in pairwise(borders)
    )
    return [each for each in segments if each.readings]


def _cut(log: Log, layout: Layout, segments: Sequence[_Segment]) -> Iterator[tuple[_Segment, Piece]]:
    """Yield the parts of a log's pieces that lie in segments; lines are counted from the log's start."""
    rest = list(reversed(segments))
    for piece in log.cut(layout, 0, 1):
        while rest and rest[-1].start < piece.end_offset:
            segment = rest[-1]
            start, end = max(segment.start, piece.offset), min(segment.end, piece.end_offset)
            yield segment, _part(piece, start, end)
            if segment.end > piece.end_offset:
                break
            rest.pop()
        if not rest:
            return


def _part(piece: Piece, start: int, end: int) -> Piece:
    """Return the part of a piece between two offsets of its log; a line that is too long for a piece has no parts."""
    if piece.oversized is not None or (start, end) == (piece.offset, piece.end_offset):
        return piece
    before = piece.data[: start - piece.offset]
    data = piece.data[start - piece.offset : end - piece.offset]
    return Piece(data, start, piece.line + before.count(b"\n"), piece.is_last and end == piece.end_offset)


def _found(processes: Processes, searches: Iterable[Search], *, is_quick: bool) -> Iterator[Found]:
    """Yield what is found where anything is, in the order of the searches."""
    found = map(search, searches) if is_quick else map(unpack, processes.map_in_order(search_packed, searches))
    return (each for each in found if each.events)
