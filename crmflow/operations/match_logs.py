"""Matches whole logs against a snapshot, part by part, by whatever engine: what `match` does, and half of `ingest`.

Plain logs are cut into parts at ends of lines; an archive, and a log that means something only as a whole, is one part.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple, Protocol

from crmflow.core.errors import SourceError
from crmflow.core.model import Moment
from crmflow.operations.engines.cargo import Cargo
from crmflow.operations.matching import CHANGED, Part, match_part, matched_part
from crmflow.sources import formats
from crmflow.sources.batches import Batch
from crmflow.sources.exits import Exits, Matched, MatchedLog, merged
from crmflow.sources.logs import Log, open_log
from crmflow.sources.mailboxes import logs_at
from crmflow.sources.readings import MIB
from crmflow.sources.terms import OURS, Options
from crmflow.store.snapshots import Snapshot, pieces, receive, received

PART_SIZE = 32 * MIB
MOST_REJECTS = 10_000
_STREAM = "what comes through a pipe can be read only once: read it with crmflow ingest, or name a file"


class Engine(Protocol):
    """Does tasks, here or elsewhere."""

    def map_with_file(self, work: Callable[[str, Part], bytes], cargo: Cargo, tasks: Iterator[Part]) -> Iterator[bytes]:
        """Yield the result of `work` with each task, in their order, given the path of a file that holds the same."""


class Manner(NamedTuple):
    """How logs are matched: what the user says about them, the moment, how many bytes at once, how many rejects.

    Of a log's rejects beyond `most_rejects` only the number is told.
    """

    options: Options
    moment: Moment
    part_size: int = PART_SIZE
    most_rejects: int = MOST_REJECTS


class Watcher(NamedTuple):
    """Whom a matching tells what happens: how many more bytes are done, and sentences for the user."""

    read: Callable[[int], None]
    say: Callable[[str], None]


class _Planned(NamedTuple):
    """A log that has something new, without what it says, and its parts."""

    log: MatchedLog
    parts: list[Part]


def match_logs(
    snapshot: Snapshot, paths: Sequence[str], manner: Manner, engine: Engine, watcher: Watcher
) -> tuple[Exits, list[str]]:
    """Return what is new in these logs for a snapshot, and which of them could not be read, and why."""
    faults: list[str] = []
    planned: list[_Planned] = []
    for path in dict.fromkeys(paths):
        try:
            found = [plan for each in logs_at(path) if (plan := _planned(snapshot, each, manner)) is not None]
        except SourceError as error:
            faults.append(error.in_one_line())
        else:
            planned += found
            for name in {plan.log.terms.format for plan in found} - {OURS}:
                watcher.say(f"{path}: read as {formats.FORMATS[name].title}")
    cargo = Cargo(snapshot.path, snapshot.header.digest, partial(pieces, snapshot.path), received, receive)
    results = engine.map_with_file(match_part, cargo, (part for plan in planned for part in plan.parts))
    logs = []
    for plan in planned:
        its = list(islice(results, len(plan.parts)))
        try:
            logs.append(_finished(plan, map(matched_part, its), manner.most_rejects))
        except SourceError as error:
            faults.append(error.in_one_line())
        watcher.read(sum((part.end or 0) - part.start for part in plan.parts))
    header = snapshot.header
    return Exits(header.digest, header.store, header.run, header.definitions, manner.moment.now, logs), faults


def _planned(snapshot: Snapshot, path: str, manner: Manner) -> _Planned | None:
    """Return what is to be read of a log, None where nothing is new in it; raises `SourceError`."""
    with open_log(path) as log:
        if not log.has_identity:
            raise SourceError(f"{path}: {_STREAM}")
        if log.first_line is None:
            return None
        number, offset, line = _place(snapshot, log)
        terms = formats.terms_for(log.head, manner.options)
        parts = [
            Part(path, start, end, log.first_line, terms, manner.moment.now, manner.most_rejects)
            for start, end in _ranges(log, offset, manner.part_size, is_whole=terms.layout != "lines")
        ]
        nothing = Matched.of(Batch(offset, line))
        known = MatchedLog(path, log.absolute_path, number, log.first_line, offset, line, "", terms, nothing)
        return _Planned(known, parts)


def _place(snapshot: Snapshot, log: Log) -> tuple[int | None, int, int]:
    """Return the store's number of a log (None: it has not read it), and the offset and line where to go on."""
    for known in snapshot.logs_beginning_with(log.first_line or ""):
        if log.fingerprint(known.length) == known.fingerprint:
            return known.id, known.length, known.next_line
    return None, 0, 1


def _ranges(log: Log, offset: int, size: int, *, is_whole: bool) -> Iterator[tuple[int, int | None]]:
    """Yield where the parts of a log begin and end."""
    if is_whole or log.is_packed or log.total_bytes is None:
        yield offset, None
        return
    while offset < log.total_bytes:
        end = log.line_start(min(offset + size, log.total_bytes))
        yield offset, end
        offset = end


def _finished(plan: _Planned, parts: Iterator[Matched], most_rejects: int) -> MatchedLog:
    """Return a log with what its parts say; raises `SourceError` where one of them can't be read."""
    matched = merged(parts, plan.log.from_offset, plan.log.from_line, most_rejects)
    with open_log(plan.log.path) as log:
        fingerprint = log.fingerprint(matched.batch.end_offset) if log.first_line == plan.log.first_line else None
    if fingerprint is None:
        raise SourceError(f"{plan.log.path}: {CHANGED}")
    return plan.log.saying(matched, fingerprint)
