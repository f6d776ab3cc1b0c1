"""Reads logs into the store, each byte once.

A piece of a log is decoded first and then taken in, together with how far the log was read, in one transaction: the
store is consistent and the offset exact after each. Between two pieces other runs may change the store; a piece that
another run has read meanwhile is passed over.
"""

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from crmflow.core.errors import SourceError, UsageError
from crmflow.core.model import Moment
from crmflow.operations.absorb import EVENTS_AT_ONCE, Absorbed, absorb
from crmflow.operations.collecting import paused_collection
from crmflow.operations.engines.processes import Processes
from crmflow.operations.harvest import Task, harvest_packed, rules_of
from crmflow.operations.lookup import require_other_file
from crmflow.operations.reconsider import Reconsidered, reconsider
from crmflow.sources import formats
from crmflow.sources.batches import Batch, joined, unpack
from crmflow.sources.logs import PIECE_SIZE, Held, Log, open_log
from crmflow.sources.mailboxes import is_maildir, mails_in, name_of, place_of
from crmflow.sources.terms import MAIL, OURS, Options, Terms, pack_terms
from crmflow.store import logs, runs, workflows
from crmflow.store.connection import Store
from crmflow.store.enrollments import Origin
from crmflow.store.logs import KnownLog

PIECES_AT_ONCE = 18
"""How many pieces of a log are taken in at once, in one transaction: each page of the store is then written once.

Others wait for its end, so it is a few seconds long.
"""

PIECES_OF_A_STREAM = 6
"""The same of what comes through a pipe: more may not come for a while."""

PIECES_AHEAD = 12
"""How many pieces are decoded while others are taken in; they wait as bytes."""

MOST_UNKNOWN_TYPES = 1_000
MAILS_A_TRANSACTION = 500
"""How many mails of a Maildir are taken in before that is committed: a second's work."""

OTHER_TYPES = "(other types)"
"""What stands for all unknown types beyond the first thousand: garbage must not fill the memory."""


@dataclass
class ReadSource:
    """What a run read of one source, in bytes (decompressed) and lines."""

    path: str
    from_offset: int
    to_offset: int
    lines: int = 0
    format: str = OURS


@dataclass
class Summary:
    """What became of every line that a run read: SPEC 7's JSON of `ingest`, and the sources that could not be read.

    Of the lines considered `retracted` are events that count no more. `suspect` and `ambiguous` events are in one of
    the classes like all others. `reopened` enrollments go on: a click that had ended them turned out to be hasty.
    """

    run: int | None = None
    lines: int = 0
    rejected: int = 0
    unknown_types: dict[str, int] = field(default_factory=dict)
    without_effect: int = 0
    unmatched: int = 0
    considered: int = 0
    retracted: int = 0
    suspect: int = 0
    ambiguous: int = 0
    exits: int = 0
    moved: int = 0
    reopened: int = 0
    incomplete: int = 0
    sources: list[ReadSource] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def count(self, batch: Batch, absorbed: Absorbed) -> None:
        """Add what became of one piece's lines, each of which must be in exactly one class."""
        self.lines += batch.lines
        self.rejected += len(batch.rejects)
        for word, number in batch.unknown_types.items():
            known = word if word in self.unknown_types or len(self.unknown_types) < MOST_UNKNOWN_TYPES else OTHER_TYPES
            self.unknown_types[known] = self.unknown_types.get(known, 0) + number
        self.without_effect += batch.without_effect
        self.suspect += batch.suspect + absorbed.hasty
        self.ambiguous += batch.ambiguous
        self.unmatched += absorbed.unmatched
        self.considered += absorbed.considered
        self.retracted += absorbed.retracted
        self.exits += absorbed.exits
        self.moved += absorbed.moved
        self._require_classes()

    def reconsidered(self, found: Reconsidered) -> None:
        """Add what became of enrollments that were settled anew."""
        self.moved += sum(each.what == "moved" for each in found.changes)
        self.reopened += sum(each.what == "reopened" for each in found.changes)

    def _require_classes(self) -> None:
        classes = self.rejected + self.without_effect + self.unmatched + self.considered
        if self.lines != classes + sum(self.unknown_types.values()):
            raise AssertionError(f"{self.lines} lines, but not as many in their classes: {self}")

    def as_json(self) -> dict[str, Any]:
        """Return the summary as plain values; the faults are said, not part of it.

        Retracted, suspect and ambiguous events, and reopened enrollments, are told only if there are any, a format only
        if it is not ours.
        """
        plain = asdict(self)
        del plain["faults"]
        for name in ("retracted", "suspect", "ambiguous", "reopened"):
            if not plain[name]:
                del plain[name]
        for each in plain["sources"]:
            if each["format"] == OURS:
                del each["format"]
        return plain


class Watcher(NamedTuple):
    """Whom an ingest tells what happens: how many more bytes it has read, and sentences for the user."""

    read: Callable[[int], None]
    say: Callable[[str], None]


class Manner(NamedTuple):
    """How logs are to be read: what the user says about them, whether all of it again, how much of it at once."""

    options: Options = Options()
    from_start: bool = False
    piece_size: int = PIECE_SIZE
    events_at_once: int = EVENTS_AT_ONCE


PLAINLY = Manner()
"""The manner of who says nothing about logs."""


class _Place(NamedTuple):
    """Where the reading of a log goes on; `log` is the store's number, None for what can't be known again."""

    log: int | None
    offset: int
    line: int


def ingest(store: Store, paths: Sequence[str], moment: Moment, watcher: Watcher, manner: Manner = PLAINLY) -> Summary:
    """Read what is new in these logs, a transaction for about each `piece_size` bytes; returns what became of it.

    A source that can't be read is named in the summary's `faults` and does not stop the others. Raises `UsageError`
    for a directory and `CrmflowError` for the store itself, before anything is read.
    """
    _refuse_what_is_no_log(store, paths)
    with paused_collection(), Processes() as processes:
        run = _Ingest(store, moment, watcher, processes, manner)
        for path in paths:
            run.read(path)
        return run.finish()


def _refuse_what_is_no_log(store: Store, paths: Sequence[str]) -> None:
    for path in paths:
        require_other_file(store, path)
        with suppress(OSError):  # what can't be looked at is for `open_log` to explain
            if Path(path).is_dir() and not is_maildir(path):
                hint = f"name the files in it, for example {path.rstrip('/')}/*.jsonl"
                raise UsageError(f"{path} is a directory; nothing was read", hint=hint)


class _Ingest:
    """One run over several logs: its number once it has read something, and its summary so far."""

    def __init__(self, store: Store, moment: Moment, watcher: Watcher, processes: Processes, manner: Manner) -> None:
        self._store = store
        self._moment = moment
        self._watcher = watcher
        self._processes = processes
        self._manner = manner
        self._seen: set[tuple[int, int]] = set()
        self._run: int | None = None
        self._readings: dict[str, tuple[int, ReadSource]] = {}
        self._maildir: ReadSource | None = None
        self._held: Held | None = None
        self._rules = rules_of(())
        self.summary = Summary()

    def read(self, path: str) -> None:
        """Read a log, or the new mails of a Maildir; what can't be read is noted."""
        try:
            if is_maildir(path):
                self._read_maildir(path)
            else:
                self._read_file(path)
        except SourceError as error:
            self._note_fault(error)

    def _note_fault(self, fault: SourceError) -> None:
        self.summary.faults.append(fault.what if fault.hint is None else f"{fault.what} ({fault.hint})")

    def _read_maildir(self, path: str) -> None:
        """Read the mails that no run has read; a mail keeps its name, but for its flags."""
        read_before = () if self._manner.from_start else logs.paths_in(self._store, str(Path(path).absolute()))
        names = set(map(name_of, read_before))
        rest = iter([each for each in mails_in(path) if name_of(each) not in names])
        self._maildir = ReadSource(path, 0, 0, format=MAIL)
        while some := list(islice(rest, MAILS_A_TRANSACTION)):
            with self._store.whole():
                for each in some:
                    self._read_mail(each)
        self._maildir = None

    def _read_mail(self, path: str) -> None:
        """Read a mail where it lies by now; one that was taken out of its Maildir meanwhile is no fault."""
        try:
            if Path(path).exists() or (path := place_of(path) or ""):
                self._read_file(path)
        except SourceError as error:
            self._note_fault(error)

    def _read_file(self, path: str) -> None:
        with open_log(path) as log:
            if log.file_id is not None and log.file_id in self._seen:
                self._watcher.say(f"{path}: the same file as one before it; read once")
                return
            if log.file_id is not None:
                self._seen.add(log.file_id)
            self._read(log)
            if log.fault is not None:
                self.summary.faults.append(f"{path}: {log.fault}")

    def _read(self, log: Log) -> None:
        terms = formats.terms_for(log.head, self._manner.options, None if self._maildir is None else MAIL)
        place = self._recognise(log)
        self._held = None if log.has_identity else Held(log.cut(terms.layout, 0, 1, self._manner.piece_size))
        if place is not None and self._manner.from_start:
            place = place._replace(offset=0, line=1)
        while place is not None:
            place = self._read_from(log, terms, place)

    def finish(self) -> Summary:
        if self._run is not None:
            with self._store.change():
                self._note(is_finished=True)
            self.summary.run = self._store.shown(self._run)
        return self.summary

    def _recognise(self, log: Log) -> _Place | None:
        """Return where to go on reading; None for a log without a line."""
        if not log.has_identity:
            return _Place(None, 0, 1)
        if log.first_line is None:
            return None
        for known in logs.beginning_with(self._store, log.first_line):
            if log.fingerprint(known.length) == known.fingerprint:
                return _Place(known.id, known.length, known.next_line)
        if logs.at_path(self._store, log.absolute_path) is not None:
            self._watcher.say(
                f"{log.path}: new content since it was last read (rotated or replaced); read from its start"
            )
        return _Place(0, 0, 1)

    def _read_from(self, log: Log, terms: Terms, place: _Place) -> _Place | None:
        """Read a log from a place on; returns where to go on instead, where another run has changed what that needs."""
        definitions = workflows.contents(self._store)
        self._rules = rules_of(definitions)
        read_before = 0
        with closing(self._stretches(log, terms, place, definitions)) as stretches:
            for batch in stretches:
                with self._store.change():
                    known = self._known(log, place)
                    if known is not None and not self._manner.from_start and known.length != place.offset:
                        return _Place(known.id, known.length, known.next_line)
                    place = place._replace(log=known.id if known else None)
                    if workflows.contents(self._store) != definitions:
                        return place
                    self._take_in(log, terms, known, place.offset, batch)
                    place = place._replace(offset=batch.end_offset, line=batch.end_line)
                if self._held is not None:
                    self._held.release(place.offset)
                self._watcher.read(log.bytes_read - read_before)
                read_before = log.bytes_read
                del batch  # only one is held at a time
        return None

    def _stretches(
        self, log: Log, terms: Terms, place: _Place, definitions: tuple[str, ...]
    ) -> Generator[Batch, None, None]:
        """Yield what the log says from a place on, many pieces as one batch; say where its end is not complete.

        What can be read comes before the fault that ends it.
        """
        pieces = self._held or log.cut(terms.layout, place.offset, place.line, self._manner.piece_size)
        tasks = (Task(piece, terms, self._moment.now, definitions) for piece in pieces)
        at_once = PIECES_AT_ONCE if log.has_identity else PIECES_OF_A_STREAM
        ahead = 0 if log.file_id is None else PIECES_AHEAD  # what others send may not come: that must be interruptible
        offset = place.offset
        faults: list[SourceError] = []
        with closing(self._processes.map_in_order(harvest_packed, tasks, ahead=ahead)) as packed:
            while batches := [unpack(each) for each in _until_fault(islice(packed, at_once), faults)]:
                batch = joined(batches)
                del batches
                if batch.incomplete:
                    self.summary.incomplete += 1
                    self._watcher.say(f"{log.path}: the last line is not complete; left for the next run")
                if batch.end_offset > offset:
                    offset = batch.end_offset
                    yield batch
                del batch
        if faults:
            raise faults[0]

    def _known(self, log: Log, place: _Place) -> KnownLog | None:
        if place.log is None:
            return None
        if place.log:
            return logs.get(self._store, place.log)
        if log.first_line is None:
            raise AssertionError("a log without a line has no pieces")
        for known in logs.beginning_with(self._store, log.first_line):
            if log.fingerprint(known.length) == known.fingerprint:
                return known
        return logs.get(self._store, logs.add(self._store, log.absolute_path, log.first_line))

    def _take_in(self, log: Log, terms: Terms, known: KnownLog | None, offset: int, batch: Batch) -> None:
        reading, source = self._reading(log, terms, known, offset)
        origin = Origin(self._number(), reading)
        absorbed = absorb(self._store, origin, self._rules, batch.events, at_once=self._manner.events_at_once)
        logs.save_rejects(self._store, reading, batch.rejects)
        logs.extend_reading(self._store, reading, batch.end_offset, batch.lines)
        if known is not None and batch.end_offset > known.length:
            fingerprint = log.fingerprint(batch.end_offset) or ""
            moved_on = KnownLog(known.id, log.absolute_path, batch.end_offset, batch.end_line, fingerprint)
            logs.save_progress(self._store, moved_on)
        if absorbed.overtaken:
            self._reconsider(absorbed.overtaken)
        source.to_offset += batch.end_offset - offset
        source.lines += batch.lines
        self.summary.count(batch, absorbed)
        self._note(is_finished=False)

    def _reconsider(self, overtaken: Collection[int]) -> None:
        """Settle enrollments anew that a click had ended of which it is known by now that no person made it."""
        found = reconsider(self._store, self._number(), self._moment, overtaken)
        self.summary.reconsidered(found)
        for path, why in found.gone.items():
            self._watcher.say(f"{path}: {why}; enrollments that a hasty click in it ended stay as they are")

    def _note(self, *, is_finished: bool) -> None:
        plain = self.summary.as_json()
        del plain["run"]
        runs.note(self._store, self._number(), plain, is_finished=is_finished)

    def _number(self) -> int:
        if self._run is None:
            self._run = runs.begin(self._store, "ingest", self._moment)
        return self._run

    def _reading(self, log: Log, terms: Terms, known: KnownLog | None, offset: int) -> tuple[int, ReadSource]:
        before = self._readings.get(log.path)
        if before is None or before[1].to_offset != offset:  # another run read between
            place = logs.Place(log.path, known.id if known else None, offset, pack_terms(terms))
            number = logs.add_reading(self._store, self._number(), place)
            source = self._maildir or ReadSource(log.path, offset, offset, format=terms.format)
            self._readings[log.path] = number, source
            if not source.lines:  # else it is a mail of a Maildir that is told of already
                self._tell_of(source, is_new=before is None)
        return self._readings[log.path]

    def _tell_of(self, source: ReadSource, *, is_new: bool) -> None:
        self.summary.sources.append(source)
        if source.format != OURS and is_new:
            self._watcher.say(f"{source.path}: read as {formats.FORMATS[source.format].title}")


def _until_fault(results: Iterator[bytes], faults: list[SourceError]) -> Iterator[bytes]:
    """Pass on what can be read, so that it is kept; a fault that ends it is left in `faults`."""
    try:
        yield from results
    except SourceError as fault:
        faults.append(fault)
