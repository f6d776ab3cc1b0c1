"""Writes what logs of any format say as our own events, so that one can look, and read it as a log of ours.

A word that we don't know stays one: it is written as the type of an event that says nothing else.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from crmflow.core.errors import CrmflowError, SourceError
from crmflow.core.model import UNSET, Event, Moment
from crmflow.core.times import shown
from crmflow.sources import formats as known
from crmflow.sources.batches import Batch
from crmflow.sources.logs import open_log
from crmflow.sources.mailboxes import logs_at
from crmflow.sources.terms import OURS, Options

Json = dict[str, Any]


class Converted(NamedTuple):
    """What a piece of a log says: lines of our own, and what was not understood, with its place."""

    lines: list[Json]
    faults: list[str]


def convert(paths: Sequence[str], options: Options, moment: Moment, say: Callable[[str], None]) -> Iterator[Converted]:
    """Yield what these logs say, piece by piece.

    A log that can't be read, or not to its end, is among the faults. Raises `UsageError` for a directory that is no
    Maildir, and at the end `CrmflowError` where none of the logs could be read.
    """
    is_any_read = False
    told: set[tuple[str, str]] = set()
    for path, log_path in _named(paths):
        try:
            with open_log(log_path) as log:
                terms = known.terms_for(log.head, options)
                if terms.format != OURS and (path, terms.format) not in told:
                    say(f"{path}: read as {known.FORMATS[terms.format].title}")
                    told.add((path, terms.format))
                is_any_read = True
                for piece, _ in known.pieces_of(log, options):
                    yield _converted(log_path, known.decode(piece, terms, moment.now))
                if log.fault is not None:
                    yield Converted([], [f"{log_path}: {log.fault}"])
        except SourceError as error:
            yield Converted([], [error.in_one_line()])
    if not is_any_read:
        raise CrmflowError("none of the logs could be read")


def _named(paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each log with the path by which the user named it."""
    for path in paths:
        for each in logs_at(path):
            yield path, each


def _converted(path: str, batch: Batch) -> Converted:
    lines = [as_line(event) for event in batch.events]
    unknown = [{"type": word} for word, count in batch.unknown_types.items() for _ in range(count)]
    faults = [f"{path}:{each.line}: {each.reason}" for each in batch.rejects]
    if batch.incomplete:
        faults.append(f"{path}:{batch.end_line}: the last line is not complete")
    return Converted(lines + unknown, faults)


def formats() -> list[tuple[str, str]]:
    """Return the name of every format, and what it is."""
    return [(each.name, each.title) for each in known.FORMATS.values()]


def as_line(event: Event) -> dict[str, Any]:
    """Return an event as a line of our own log has it."""
    said = {
        "id": event.id,
        "type": event.type,
        "time": shown(event.at),
        event.record_type: event.name,
        "workflow": event.workflow,
        "step": event.step,
        "url": event.url,
        "message": event.message,
        "suspect": event.is_suspect or None,
        "field": event.field,
    }
    values = {"value": event.value, "old": event.old}
    return {key: value for key, value in said.items() if value is not None} | {
        key: value for key, value in values.items() if value is not UNSET
    }
