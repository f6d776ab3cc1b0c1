"""Formats of JSON bodies: what one program posts to another about events, kept one to a line or one to a file.

A source of such a format is a `JsonSource`: how to know a body, and what it tells. All else is done here, the same for
all of them: cutting, taking envelopes off, ids, and counting.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import NamedTuple

import msgspec

from crmflow.core.model import Event, Reject
from crmflow.core.times import FUTURE_TOLERANCE
from crmflow.core.triggers import EVERYTHING, NAMING_WORKFLOW, Interest, tells_workflow
from crmflow.sources.batches import NOTHING, Batch, Outcome, Passed
from crmflow.sources.envelopes import unwrap
from crmflow.sources.lines import BLANK, decode_lines, outcomes_of, rejected
from crmflow.sources.logs import Piece
from crmflow.sources.objects import Body, Element, LineError, quickly_read, read_elements, read_utf8, shortened
from crmflow.sources.terms import Head, Terms
from crmflow.sources.units import Cursor, Unit, decode_whole

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
    key in an object). `read` returns the JSON values that a line holds that is not one JSON object.
    """

    knows: Callable[[Body], bool]
    tell: Callable[[Body, Terms], Iterable[Told]]
    noise: tuple[str, ...] = ()
    read: Callable[[str], list[Element]] = read_elements

    def recognises(self, head: Head) -> bool:
        """Tell whether the first body of a log is of the format."""
        return head.body is not None and self.knows(head.body)

    def decode(self, piece: Piece, terms: Terms, now: datetime, interest: Interest) -> Batch:
        """Return what a piece says."""
        how = _How(terms, now + FUTURE_TOLERANCE, interest.unwanted_types)
        if terms.layout == "whole":
            return decode_whole(piece, partial(self._outcomes, how=how))
        return decode_lines(piece, partial(self._of_line, how=how))

    def decode_again(self, kept: Reject, terms: Terms, now: datetime) -> Sequence[Outcome]:
        """Return what the text of a reject says now."""
        how = _How(terms, now + FUTURE_TOLERANCE, EVERYTHING.unwanted_types)
        return outcomes_of(kept.text, kept.line, kept.offset, partial(self._of_line, how=how))

    def _of_line(self, data: bytes, line: int, offset: int, how: "_How") -> list[Outcome]:
        if (body := quickly_read(data)) is not None:
            return self._outcomes(Unit(body, data.rstrip(BLANK), line, offset), how)
        text = read_utf8(data)
        elements = self.read(text)
        found = [each for unit in Cursor(text, line, offset).units(elements) for each in self._outcomes(unit, how)]
        return found if elements else [NOTHING]

    def _outcomes(self, unit: Unit, how: "_How") -> list[Outcome]:
        """Return what a unit tells: each of its bodies, and at most one reject of it."""
        found: list[Outcome] = []
        fault: str | None = None
        try:
            for body in unwrap(unit.value):
                try:
                    found += self._of_body(body, unit.line, how)
                except LineError as error:
                    fault = fault or str(error)
        except LineError as error:
            fault = fault or str(error)
        if fault is not None:
            found.append(rejected(unit.line, unit.offset, fault, unit.text))
        return found or [NOTHING]

    def _of_body(self, body: Body, line: int, how: "_How") -> list[Outcome]:
        told = list(self.tell(body, how.terms)) or [NOTHING]
        if len(told) == 1 and isinstance(told[0], Event):
            return [self._finished(body, told[0], line, how)]
        events = [each for each in told if isinstance(each, Event)]
        passed = [how.is_passed(each) for each in events]
        if all(passed):
            return [NOTHING if isinstance(each, Event) else _named(each, how.terms) for each in told]
        told_of = iter(zip(self._ids(body, events, how.terms.format), passed, strict=True))
        found: list[Outcome] = []
        for each in told:
            if not isinstance(each, Event):
                found.append(_named(each, how.terms))
                continue
            id_, is_passed = next(told_of)
            found.append(NOTHING if is_passed else msgspec.structs.replace(each, line=line, id=id_))
        return found

    def _finished(self, body: Body, event: Event, line: int, how: "_How") -> Outcome:
        """Return the one event of a body with its place and id."""
        if how.is_passed(event):
            return NOTHING
        return msgspec.structs.replace(event, line=line, id=f"{how.terms.format}:{event.id or self._digest(body)}")

    def _ids(self, body: Body, events: Sequence[Event], name: str) -> list[str]:
        """Return an id for each of several events of a body: the provider's, else a digest, and what it is about."""
        content = "" if all(each.id for each in events) else self._digest(body)
        ids = [f"{name}:{each.id or content}" for each in events]
        about = [each.name for each in events]
        is_enough = len(set(about)) == len(about)
        parts = about if is_enough else [f"{each.name}/{each.field or each.type}" for each in events]
        return [f"{id_}#{part}" for id_, part in zip(ids, parts, strict=True)]

    def _digest(self, body: Body) -> str:
        for path in self.noise:
            body = _without(body, path.split("."))
        return f"sha256:{hashlib.sha256(_canonical(body)).hexdigest()}"


class _How(NamedTuple):
    """How bodies are understood: the terms of the log, the last moment that is past, and types to pass over."""

    terms: Terms
    latest: datetime
    unwanted_types: frozenset[str]

    def is_passed(self, event: Event) -> bool:
        """Tell whether an event has no effect: nothing wants it, or it is a click of no mail that we could ever know.

        Raises `LineError` for one in the future.
        """
        if event.at > self.latest:
            raise LineError(f"time more than a day in the future: {event.at.isoformat()}")
        if event.type in NAMING_WORKFLOW and not event.workflow and not event.message:
            return True
        return event.type in self.unwanted_types and not tells_workflow(event)


def _canonical(body: Body) -> bytes:
    """Return a body as JSON that is the same for equal bodies."""
    try:
        return _encode_sorted(body)
    except (ValueError, OverflowError):  # half a surrogate pair, a huge number
        return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


_encode_sorted = msgspec.json.Encoder(order="sorted").encode


def _named(passed: Passed, terms: Terms) -> Passed:
    return passed if passed.is_known else msgspec.structs.replace(passed, type=f"{terms.format}:{passed.type}")


def _without(body: Body, path: Sequence[str]) -> Body:
    """Return a body without what lies at a path."""
    first, *rest = path
    if not rest:
        return {key: value for key, value in body.items() if key != first}
    inner = body.get(first)
    return {**body, first: _without(inner, rest)} if isinstance(inner, dict) else body
