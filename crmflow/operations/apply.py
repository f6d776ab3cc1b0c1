"""Takes what was matched into the store: all of it in one transaction, each log once.

Between the snapshot and now the store may have moved on. Matching would see some records differently then, and events
about them may have been left out: where checksums tell that there are any, the logs concerned are read again, for those
records only. The outcome is that of an ingest that runs now.
"""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from crmflow.core.errors import CrmflowError, SourceError
from crmflow.core.model import EMAIL_FIELD, Event, Moment
from crmflow.core.triggers import answered
from crmflow.operations.absorb import Absorbed, absorb
from crmflow.operations.harvest import rules_of
from crmflow.operations.ingest import ReadSource, Summary
from crmflow.operations.reconsider import reconsider
from crmflow.sources.exits import Exits, MatchedLog, checksum, read_exits
from crmflow.sources.logs import open_log
from crmflow.sources.searching import Search, names_to_find, search
from crmflow.sources.terms import pack_terms
from crmflow.store import logs, moves, records, retractions, runs, workflows
from crmflow.store.connection import Store
from crmflow.store.enrollments import Origin
from crmflow.store.logs import KnownLog
from crmflow.store.snapshots import store_id

_MATCH_AGAIN = "export a snapshot and match again"
_FEW = 3


class Applied(NamedTuple):
    """What became of the lines that were matched; which logs were taken in before, and which were read on meanwhile.

    `read_again` are the logs that were read again for records that had changed.
    """

    summary: Summary
    done_before: list[str]
    left: list[str]
    read_again: list[str]


def exits_in(paths: Iterable[str]) -> list[Exits]:
    """Return what these files of exits hold; raises `CrmflowError` for one that is none."""
    return [read_exits(Path(path)) for path in paths]


def apply(store: Store, found: Sequence[Exits], moment: Moment) -> Applied:
    """Take in what was matched; nothing that was taken in before has an effect again.

    Raises `CrmflowError`, with nothing changed, where it is of another store or of other rules, or where a log that has
    to be read again is not there.
    """
    with store.change():
        for exits in found:
            _require_fitting(store, exits)
        return _Applying(store, moment).take_in(found)


def _require_fitting(store: Store, exits: Exits) -> None:
    if exits.store != store_id(store):
        raise CrmflowError("these exits are of another store", hint="apply them to the store that the snapshot is of")
    if exits.definitions != workflows.contents(store):
        raise CrmflowError("workflows have changed since the snapshot; nothing was changed", hint=_MATCH_AGAIN)
    if exits.run > moves.last_run(store):
        raise CrmflowError("the snapshot is newer than the store (was a backup put back?)", hint=_MATCH_AGAIN)
    if moves.has_lost_sight(store, exits.run):
        raise CrmflowError("a retraction was taken back since the snapshot; nothing was changed", hint=_MATCH_AGAIN)


class _Fresh:
    """A log of which nothing was taken in yet: where it is read into, and what became of its lines."""

    def __init__(self, log: MatchedLog, exits: Exits, known: KnownLog, reading: int) -> None:
        self.log = log
        self.matched = log.matched
        self.now = exits.now
        self.rules = rules_of(exits.definitions)
        self.known = known
        self.reading = reading
        self.exits = self.moved = self.found_now = self.hasty = 0

    def events(self) -> list[Event]:
        """Return all events that were kept, each once."""
        return [*self.matched.batch.events, *dict.fromkeys(each.event for each in self.matched.earliest)]

    def may_concern(self, names: Iterable[str]) -> set[str]:
        """Return those of these names of which not all events were kept."""
        passed = self.matched.passed_names | self.matched.unmatched_names
        return {name for name in names if checksum(name) in passed}

    def again(self, names: Collection[str]) -> list[Event]:
        """Read the log again for these names; raises `SourceError` where it is not there as it was."""
        end, terms, found = self.matched.batch.end_offset, self.log.terms, names_to_find(set(names))
        with open_log(self.log.path) as log:
            if log.fingerprint(end) != self.log.fingerprint:
                raise SourceError(f"{self.log.path} is another log by now")
            pieces = log.cut(terms.layout, self.log.from_offset, self.log.from_line, end=end)
            events = [event for each in pieces for event in search(Search(0, each, terms, self.now, found)).events]
        wanted = [event for event in events if self.rules.is_wanted(event)]
        return [event for event in wanted if not (answered(event) and self.was_unmatched(event))]

    def was_unmatched(self, event: Event) -> bool:
        """Tell whether nobody of the snapshot is called as an event says; of those, replies were kept all the same."""
        return checksum(event.name) in self.matched.unmatched_names

    def absorbed(self) -> Absorbed:
        """Return what became of the lines."""
        matched = self.matched
        unmatched, considered = matched.unmatched - self.found_now, matched.considered + self.found_now
        return Absorbed(unmatched, considered, self.exits, self.moved, matched.retracted, self.hasty)


class _Applying:
    """One run of `apply`, and its outcome so far."""

    def __init__(self, store: Store, moment: Moment) -> None:
        self._store = store
        self._moment = moment
        self._run: int | None = None
        self._overtaken: set[int] = set()
        self._outcome = Applied(Summary(), [], [], [])

    def take_in(self, found: Sequence[Exits]) -> Applied:
        affected = set[int]().union(*(moves.affected_since(self._store, run) for run in {each.run for each in found}))
        names = {name.casefold() for name in records.names_of(self._store, affected)}
        fresh = [begun for exits in found for log in exits.logs if (begun := self._begun(log, exits)) is not None]
        for each in fresh:
            events = each.events()
            names |= self._names_of_retracted(events) | _addresses_told(events)
            self._absorb(each, [event for event in events if not each.was_unmatched(event)])
            each.found_now += self._absorb(each, [event for event in events if each.was_unmatched(event)])
        self._look_for(names, fresh)
        for each in fresh:
            self._note(each)
        if self._overtaken:
            anew = reconsider(self._store, self._number(), self._moment, self._overtaken)
            self._outcome.summary.reconsidered(anew)
        return self._finished()

    def _look_for(self, names: set[str], fresh: Sequence[_Fresh]) -> None:
        """Read logs again for these names, and for those that events about them tell."""
        looked_for: set[str] = set()
        while names := names - looked_for:
            looked_for |= names
            told: set[str] = set()
            for each in fresh:
                if concerned := each.may_concern(names):
                    told |= self._read_again(each, concerned)
            names = told

    def _read_again(self, fresh: _Fresh, names: Collection[str]) -> set[str]:
        """Take in all events of a log about these names; return the addresses that they tell."""
        try:
            events = fresh.again(names)
        except SourceError as error:
            raise CrmflowError(
                f"the store has changed since the snapshot, and {fresh.log.path} can't be read again for"
                f" {_few(names)}: {error.what}; nothing was changed",
                hint=_MATCH_AGAIN,
            ) from error
        if fresh.log.path not in self._outcome.read_again:
            self._outcome.read_again.append(fresh.log.path)
        fresh.found_now += self._absorb(fresh, [event for event in events if fresh.was_unmatched(event)])
        self._absorb(fresh, [event for event in events if not fresh.was_unmatched(event)])
        return _addresses_told(events)

    def _absorb(self, fresh: _Fresh, events: Sequence[Event]) -> int:
        """Take events in; return how many are about records that there are."""
        absorbed = absorb(self._store, Origin(self._number(), fresh.reading), fresh.rules, events)
        fresh.exits += absorbed.exits
        fresh.moved += absorbed.moved
        fresh.hasty += absorbed.hasty
        self._overtaken |= absorbed.overtaken
        return absorbed.considered

    def _names_of_retracted(self, events: Sequence[Event]) -> set[str]:
        """Return whom those of the events are about that count no more: a later one may matter now."""
        return {events[place].name.casefold() for place in retractions.among(self._store, events)}

    def _begun(self, log: MatchedLog, exits: Exits) -> _Fresh | None:
        """Write down that a log is read, where nothing stands against it; else say what does."""
        end = log.matched.batch.end_offset
        if end == log.from_offset:
            return None
        known = self._known(log)
        if known is not None and known.length >= end:
            self._outcome.done_before.append(log.path)
            return None
        if known is not None and known.length != log.from_offset:
            self._outcome.left.append(log.path)
            return None
        known = known or logs.get(self._store, logs.add(self._store, log.absolute_path, log.first_line))
        place = logs.Place(log.path, known.id, log.from_offset, pack_terms(log.terms))
        return _Fresh(log, exits, known, logs.add_reading(self._store, self._number(), place))

    def _known(self, log: MatchedLog) -> KnownLog | None:
        """Return the log as the store knows it by now, None where it does not."""
        if log.log is not None:
            return logs.get(self._store, log.log)
        end = log.matched.batch.end_offset
        return next(
            (
                each
                for each in logs.beginning_with(self._store, log.first_line)
                if (each.length == end and each.fingerprint == log.fingerprint) or each.path == log.absolute_path
            ),
            None,
        )

    def _note(self, fresh: _Fresh) -> None:
        """Keep the rejects of a log and how far it was read, and add what became of its lines."""
        log, batch = fresh.log, fresh.matched.batch
        logs.save_rejects(self._store, fresh.reading, batch.rejects)
        logs.extend_reading(self._store, fresh.reading, batch.end_offset, batch.lines)
        moved_on = KnownLog(fresh.known.id, log.absolute_path, batch.end_offset, batch.end_line, log.fingerprint)
        logs.save_progress(self._store, moved_on)
        summary = self._outcome.summary
        summary.rejected += fresh.matched.dropped_rejects
        summary.count(batch, fresh.absorbed())
        summary.incomplete += batch.incomplete
        source = ReadSource(log.path, log.from_offset, batch.end_offset, batch.lines, log.terms.format)
        summary.sources.append(source)

    def _finished(self) -> Applied:
        summary = self._outcome.summary
        if self._run is not None:
            plain = summary.as_json()
            del plain["run"]
            runs.note(self._store, self._run, plain)
            summary.run = self._store.shown(self._run)
        return self._outcome

    def _number(self) -> int:
        if self._run is None:
            self._run = runs.begin(self._store, "ingest", self._moment)
        return self._run


def _addresses_told(events: Iterable[Event]) -> set[str]:
    """Return the emails that events give prospects, without case."""
    return {
        each.value.casefold()
        for each in events
        if each.field == EMAIL_FIELD and each.record_type == "prospect" and isinstance(each.value, str)
    }


def _few(names: Collection[str]) -> str:
    first = sorted(names)[:_FEW]
    rest = len(names) - len(first)
    return f"{', '.join(first)} and {rest} others" if rest else ", ".join(first)
