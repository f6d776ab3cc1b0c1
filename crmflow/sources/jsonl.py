"""Our own JSONL: one event per line, as SPEC's section 5 describes it.

A line is understood in one of two ways. `_understand` is the truth: plain Python over a strictly read object, with a
reason for each refusal. `crmflow.sources.ordinary` is ten times as fast and takes only lines in which nothing is
unusual; where it takes one, a test holds that both say the same.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from msgspec import UNSET

from crmflow.core.model import RECORD_TYPES, Event, RecordType, Reject
from crmflow.core.times import FUTURE_TOLERANCE, TimeError, parse_time
from crmflow.core.triggers import EVENT_RECORD_TYPES, EVERYTHING, Interest
from crmflow.sources.batches import Batch, Outcome, Passed
from crmflow.sources.lines import Understand, decode_lines, outcomes_of
from crmflow.sources.logs import Piece
from crmflow.sources.objects import (
    Body,
    LineError,
    read_name,
    read_object,
    read_scalar,
    read_text,
    shortened,
    text_of,
    word_of,
)
from crmflow.sources.ordinary import Line, is_just_of_a_prospect, named, ordinary, time_of
from crmflow.sources.terms import Head, Terms
from crmflow.sources.units import Unit, decode_whole

REQUIRED_KEYS: dict[str, tuple[str, ...]] = {
    "link_clicked": ("workflow",),
    "step_completed": ("workflow", "step"),
    "page_visited": ("url",),
    "field_updated": ("field",),
}
"""What an event of a type must say besides its time and its record."""

PASSABLE_TYPES = EVENT_RECORD_TYPES.keys() - REQUIRED_KEYS.keys() - {"deal_won", "deal_lost"}
"""Types of events about a prospect that say no more than that and when."""

_VISIT = "page_visited"
_TEXT_KEYS = ("workflow", "step", "url", "field", "message")
_VALUE_KEYS = ("value", "old")
OUR_WORDS = frozenset(EVENT_RECORD_TYPES)


def decode(piece: Piece, now: datetime, interest: Interest = EVERYTHING) -> Batch:
    """Return what a piece of a log says; an event more than a day after `now` is a reject.

    Events of prospects that are of no `interest` are only counted, as without effect.
    """

    def take_finished(batch: Batch, data: bytes) -> None:
        _take_lines(batch, data, now, interest)

    return decode_lines(piece, _line_reader(now), take_finished)


def _take_lines(batch: Batch, data: bytes, now: datetime, interest: Interest) -> None:
    """Take finished lines in, given without the newline of the last one."""
    latest = now + FUTURE_TOLERANCE
    passable = PASSABLE_TYPES & interest.unwanted_types
    passed = 0
    line, offset = batch.end_line, batch.end_offset
    lines = data.split(b"\n")
    for text, found in zip(lines, ordinary(data, lines), strict=True):
        if found is None:
            batch.take(decode_line(text, line=line, offset=offset, now=now))
        elif is_just_of_a_prospect(found, latest) and (
            found.type in passable or (found.type == _VISIT and found.url and not interest.is_wanted_page(found.url))
        ):
            passed += 1
        else:
            outcome = _understand_ordinary(found, text, line, latest)
            batch.take(outcome or decode_line(text, line=line, offset=offset, now=now))
        line += 1
        offset += len(text) + 1
    batch.lines += passed
    batch.without_effect += passed
    batch.end_line, batch.end_offset = line, offset


def decode_line(data: bytes, *, line: int, offset: int, now: datetime) -> Outcome:
    """Return what one line says, without its newline: the line of number `line`, which begins at byte `offset`."""
    return next(iter(outcomes_of(data, line, offset, _line_reader(now))), None)


def _line_reader(now: datetime) -> Understand:
    def understand(data: bytes, line: int, _offset: int) -> list[Outcome]:
        return [_understand(data, line, now + FUTURE_TOLERANCE)]

    return understand


def _understand(data: bytes, line: int, latest: datetime) -> Event | Passed:
    """Return what a line says; raises `LineError` with the reason why it can't be understood."""
    return understand_object(read_object(data), line=line, latest=latest)


def understand_object(keys: Body, *, line: int | None = None, latest: datetime | None = None) -> Event | Passed:
    """Return what an object of ours says, of line `line`; raises `LineError`, also for an event after `latest`."""
    keys = {key: value for key, value in keys.items() if value is not None or key in _VALUE_KEYS}
    kind = _required(keys, "type", read_text, "event")
    if kind not in EVENT_RECORD_TYPES:
        return Passed(kind, is_known=False)
    at = _time(_required(keys, "time", read_text, kind), latest)
    record_type, name = _record(keys, kind)
    texts = {key: read_text(key, keys[key]) for key in _TEXT_KEYS if key in keys}
    values = {key: read_scalar(key, keys[key]) for key in _VALUE_KEYS if key in keys}
    for key in required_keys(kind, texts.get("message")):
        _required(texts, key, read_text, kind)
    return Event(
        type=kind,
        at=at,
        record_type=record_type,
        name=name,
        line=line,
        id=text_of(keys, "id"),
        workflow=texts.get("workflow"),
        step=texts.get("step"),
        url=texts.get("url"),
        field=texts.get("field"),
        value=values.get("value", UNSET),
        old=values.get("old", UNSET),
        message=texts.get("message"),
        is_suspect=_flag(keys, "suspect"),
    )


def required_keys(kind: str, message: str | None) -> tuple[str, ...]:
    """Return what an event of a type must say; a click that names its mail may leave the workflow out."""
    return () if kind == "link_clicked" and message else REQUIRED_KEYS.get(kind, ())


def _flag(keys: Body, key: str) -> bool:
    if not isinstance(value := keys.get(key, False), bool):
        raise LineError(f"{key} must be true or false")
    return value


def _required(keys: dict[str, Any], key: str, read: Callable[[str, object], str], kind: str) -> str:
    if key not in keys:
        raise LineError(f"{kind} without {key!r}")
    text = read(key, keys[key])
    if not text:
        raise LineError(f"{key} is empty")
    return text


def _record(keys: dict[str, Any], kind: str) -> tuple[RecordType, str]:
    named = [each for each in RECORD_TYPES if each in keys]
    if not named:
        raise LineError(f"{kind} without a record: 'prospect', 'organization' or 'deal'")
    if len(named) > 1:
        raise LineError(f"more than one record: {' and '.join(map(repr, named))}")
    record_type = named[0]
    if record_type not in EVENT_RECORD_TYPES[kind]:
        raise LineError(f"{kind} is about a {' or '.join(EVENT_RECORD_TYPES[kind])}, not about a {record_type}")
    return record_type, _required(keys, record_type, read_name, kind)


def _time(text: str, latest: datetime | None) -> datetime:
    try:
        at = parse_time(text)
    except TimeError as error:
        raise LineError(shortened(error.what)) from error
    if latest is not None and at > latest:
        raise LineError(f"time more than a day in the future: {shortened(repr(text))}")
    return at


def _understand_ordinary(found: Line, text: bytes, line: int, latest: datetime) -> Event | Passed | None:
    """Return what `_understand` would of a line that was decoded, or None where it has to look at it."""
    kind = found.type
    types = EVENT_RECORD_TYPES.get(kind)
    if types is None:
        return Passed(kind, is_known=False)
    at = time_of(found, text)
    record_type, name = named(found)
    if at is None or at > latest or not name or record_type not in types:
        return None
    for key in required_keys(kind, found.message):
        if not getattr(found, key):
            return None
    return Event(
        type=kind,
        at=at,
        record_type=record_type,
        name=name,
        line=line,
        id=str(found.id) if isinstance(found.id, int) else found.id or None,
        workflow=found.workflow,
        step=found.step,
        url=found.url,
        field=found.field,
        value=found.value,
        old=found.old,
        message=found.message,
        is_suspect=bool(found.suspect),
    )


class _OurSource:
    """Our own events: one on a line, or a file of them."""

    def recognises(self, head: Head) -> bool:
        """Tell whether the first object says what happened in our words, and when, and is no CloudEvent."""
        body = head.body
        return body is not None and "time" in body and word_of(body, "type") in OUR_WORDS and "specversion" not in body

    def decode(self, piece: Piece, terms: Terms, now: datetime, interest: Interest) -> Batch:
        """Return what a piece says."""
        if terms.layout == "lines":
            return decode(piece, now, interest)
        return decode_whole(piece, partial(_of_unit, now=now))

    def decode_again(self, kept: Reject, _terms: Terms, now: datetime) -> list[Outcome]:
        """Return what the text of a reject says now."""
        return [decode_line(kept.text, line=kept.line, offset=kept.offset, now=now)]


def _of_unit(unit: Unit, now: datetime) -> list[Outcome]:
    return [decode_line(unit.text, line=unit.line, offset=unit.offset, now=now)]


SOURCE = _OurSource()
"""What the table of formats knows of us."""
