"""Finds events in logs: the one that stands in a line, or all that have something in common."""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from crmflow.core.addresses import UrlPattern
from crmflow.core.errors import CrmflowError
from crmflow.core.model import Event, Moment
from crmflow.core.times import from_stored
from crmflow.operations.lookup import require_other_file
from crmflow.operations.recall import Shelf
from crmflow.sources import formats
from crmflow.sources.batches import Batch
from crmflow.sources.logs import Log, open_log
from crmflow.sources.terms import Options, Terms, unpack_terms
from crmflow.store import faults, logs
from crmflow.store.connection import Store

_PLACE = re.compile(r"(?P<source>.+):(?P<line>[1-9]\d*)", re.DOTALL)


class Found(NamedTuple):
    """An event and the log that it stands in, as the user named it."""

    event: Event
    source: str


class Selection(NamedTuple):
    """What events have in common; None: anything. `since` counts, `until` no more."""

    source: str | None = None
    type: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    url: UrlPattern | None = None

    def takes(self, event: Event) -> bool:
        """Tell whether an event is selected; that it stands in the source is the caller's to know."""
        return (
            self.type in {None, event.type}
            and (self.since is None or event.at >= self.since)
            and (self.until is None or event.at < self.until)
            and (self.url is None or (event.url is not None and self.url.matches(event.url)))
        )

    def takes_listed(self, retraction: dict[str, Any]) -> bool:
        """Tell whether the event of a retraction, as it is listed, is selected; of its page nothing is kept."""
        at = None if retraction["time"] is None else from_stored(retraction["time"])
        return (
            self.source in {None, retraction["source"]}
            and self.type in {None, retraction["type"]}
            and (self.since is None or (at is not None and at >= self.since))
            and (self.until is None or (at is not None and at < self.until))
        )


def split_place(store: Store, name: str) -> tuple[str, int] | None:
    """Return the source and the line that `SOURCE:LINE` names; None where the name is no place in a log there is."""
    match = _PLACE.fullmatch(name)
    if match is None:
        return None
    source = match["source"]
    is_source = Path(source).is_file() or source in logs.sources(store)
    return (source, int(match["line"])) if is_source else None


def find_at(store: Store, source: str, line: int, moment: Moment) -> Found:
    """Return the event in a line of a log; raises `CrmflowError` where there is none."""
    with ExitStack() as stack:
        for batch in _batches(*_open(store, stack, source), moment):
            for event in batch.events:
                if event.line == line:
                    return Found(event, source)
            if batch.end_line > line:
                break
    raise CrmflowError(f"{source}:{line} holds no event", hint=f"look at it: sed -n {line}p {source}")


def find_selected(store: Store, selection: Selection, given: Sequence[str], moment: Moment) -> list[Found]:
    """Return the selected events of one log, or of all known logs; raises `CrmflowError` for a log that is gone."""
    sources = [selection.source] if selection.source else sorted(logs.sources(store))
    found = []
    for source in sources:
        with ExitStack() as stack:
            for batch in _batches(*_open(store, stack, source, given), moment):
                found += [Found(event, source) for event in batch.events if selection.takes(event)]
    return found


def _open(store: Store, stack: ExitStack, source: str, given: Sequence[str] = ()) -> tuple[Log, Terms]:
    """Return a log, open, and how it is read.

    It is the known one that was read under this name, wherever it lies now, as it was read last; else the file itself.
    """
    shelf = Shelf(store, given)
    for number in logs.sources(store).get(source, ()):
        log = stack.enter_context(shelf.taken_from(logs.get(store, number)))
        if log is not None:
            return log, faults.kept(unpack_terms, logs.latest_terms(store, number) or "{}")
    require_other_file(store, source)
    log = stack.enter_context(open_log(source))
    return log, formats.terms_for(log.head, Options())


def _batches(log: Log, terms: Terms, moment: Moment) -> Iterator[Batch]:
    for piece in log.cut(terms.layout, 0, 1):
        yield formats.decode(piece, terms, moment.now)
