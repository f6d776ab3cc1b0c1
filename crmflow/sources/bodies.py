"""Formats of JSON bodies: what one program posts to another about events, kept one to a line or one to a file.

A source of such a format is a `JsonSource`: how to know a body, and what it tells. All else is done here, the same for
all of them: cutting, taking envelopes off, ids, and counting.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import msgspec

from crmflow.core.model import Event, Reject
from crmflow.core.times import FUTURE_TOLERANCE
from crmflow.core.triggers import NAMING_WORKFLOW, Interest
from crmflow.sources.batches import NOTHING, Batch, Outcome, Passed
from crmflow.sources.envelopes import unwrap
from crmflow.sources.lines import decode_lines, outcomes_of, rejected
from crmflow.sources.logs import Piece
from crmflow.sources.objects import Body, Element, LineError, read_elements, read_utf8, shortened
from crmflow.sources.terms import Head, Terms
from crmflow.sources.units import Cursor, Understand, Unit, decode_whole

Told = Event | Passed
"""What a body tells: an event, or that there is none of ours."""


def unknown(word: object) -> Passed:
    """Return what a body tells whose word for the event we don't know."""
    return Passed(shortened(str(word)), is_known=False)


def ambiguous(word: str) -> Passed:
    """Return what a body tells of an event of ours (its type) that is about one of several, and does not say which."""
    return Passed(word, is_known=True, is_ambiguous=True)


@dataclass(frozen=True)
class JsonSource:
    """A format of JSON bodies: `knows` tells whether a body is of it, `tell` yields what a body tells.

    An event that `tell` yields carries the provider's own id or none, and no line; `tell` raises `LineError` for a body
    that it can't understand. `noise` names the keys that another delivery of the same body changes (`meta.attempt`: the
    key in an object). `read` returns the JSON values that a line holds.
    """

    knows: Callable[[Body], bool]
    tell: Callable[[Body, Terms], Iterable[Told]]
    noise: tuple[str, ...] = ()
    read: Callable[[str], list[Element]] = read_elements

    def recognises(self, head: Head) -> bool:
        """Tell whether the first body of a log is of the format."""
        return head.body is not None and self.knows(head.body)

    def decode(self, piece: Piece, terms: Terms, now: datetime, _interest: Interest) -> Batch:
        """Return what a piece says."""
        understand = partial(self._outcomes, terms=terms, now=now)
        if terms.layout == "whole":
            return decode_whole(piece, understand)
        return decode_lines(piece, partial(self._of_line, understand=understand))

    def decode_again(self, kept: Reject, terms: Terms, now: datetime) -> Sequence[Outcome]:
        """Return what the text of a reject says now."""
        understand = partial(self._outcomes, terms=terms, now=now)
        return outcomes_of(kept.text, kept.line, kept.offset, partial(self._of_line, understand=understand))

    def _of_line(self, data: bytes, line: int, offset: int, understand: Understand) -> Iterator[Outcome]:
        text = read_utf8(data)
        elements = self.read(text)
        for unit in Cursor(text, line, offset).units(elements):
            yield from understand(unit)
        if not elements:
            yield NOTHING

    def _outcomes(self, unit: Unit, terms: Terms, now: datetime) -> list[Outcome]:
        """Return what a unit tells: each of its bodies, and at most one reject of it."""
        found: list[Outcome] = []
        fault: str | None = None
        try:
            for body in unwrap(unit.value):
                try:
                    found += self._of_body(body, unit.line, terms, now)
                except LineError as error:
                    fault = fault or str(error)
        except LineError as error:
            fault = fault or str(error)
        if fault is not None:
            found.append(rejected(unit.line, unit.offset, fault, unit.text))
        return found or [NOTHING]

    def _of_body(self, body: Body, line: int, terms: Terms, now: datetime) -> list[Outcome]:
        told = list(self.tell(body, terms)) or [NOTHING]
        events = [each for each in told if isinstance(each, Event)]
        ids = iter(self._ids(body, events, terms.format))
        return [
            _finished(each, line, next(ids), now) if isinstance(each, Event) else _named(each, terms) for each in told
        ]

    def _ids(self, body: Body, events: Sequence[Event], name: str) -> list[str]:
        """Return an id for each event of a body: the provider's, else a digest of the body; several tell whose."""
        content = "" if all(each.id for each in events) else self._digest(body)
        ids = [f"{name}:{each.id or content}" for each in events]
        if len(events) == 1:
            return ids
        about = [each.name for each in events]
        is_enough = len(set(about)) == len(about)
        parts = about if is_enough else [f"{each.name}/{each.field or each.type}" for each in events]
        return [f"{id_}#{part}" for id_, part in zip(ids, parts, strict=True)]

    def _digest(self, body: Body) -> str:
        for path in self.noise:
            body = _without(body, path.split("."))
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


def _finished(event: Event, line: int, id_: str, now: datetime) -> Outcome:
    """Return an event with its place and id; a click of no mail that we could ever know has no effect."""
    if event.at > now + FUTURE_TOLERANCE:
        raise LineError(f"time more than a day in the future: {event.at.isoformat()}")
    if event.type in NAMING_WORKFLOW and not event.workflow and not event.message:
        return Passed(event.type, is_known=True)
    return msgspec.structs.replace(event, line=line, id=id_)


def _named(passed: Passed, terms: Terms) -> Passed:
    return passed if passed.is_known else msgspec.structs.replace(passed, type=f"{terms.format}:{passed.type}")


def _without(body: Body, path: Sequence[str]) -> Body:
    """Return a body without what lies at a path."""
    first, *rest = path
    if not rest:
        return {key: value for key, value in body.items() if key != first}
    inner = body.get(first)
    return {**body, first: _without(inner, rest)} if isinstance(inner, dict) else body
