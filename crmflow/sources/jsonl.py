"""Our own JSONL: one event per line, as SPEC's section 5 describes it.

A line is understood in one of two ways. `_understand` is the truth: plain Python over a strictly read object, with a
reason for each refusal. `_understand_ordinary` is five times as fast and takes only lines in which nothing is unusual:
it answers None in doubt, and where it answers, a test holds that both say the same.

What the fast decoder can't see is a duplicate key: the last one wins silently. Strings are counted instead. The line
has as many quotes, escaped ones left out, as its keys and texts have, twice each; the decoded line, written out again,
has as many as the keys and texts that were kept. A duplicate key, and a key unknown to us, is one that was not kept:
equal counts mean that everything was, once.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from crmflow.core.model import RECORD_TYPES, Event, RecordType, Reject, Scalar
from crmflow.core.times import FUTURE_TOLERANCE, TimeError, parse_time
from crmflow.core.triggers import EVENT_RECORD_TYPES, WITHOUT_EFFECT_TYPES
from crmflow.sources.inputs import BOM
from crmflow.sources.logs import KEPT_BYTES, MAX_LINE_BYTES, Piece
from crmflow.sources.objects import (
    LARGEST_INTEGER,
    SMALLEST_INTEGER,
    LineError,
    read_name,
    read_object,
    read_scalar,
    read_text,
    shortened,
)

REQUIRED_KEYS: dict[str, tuple[str, ...]] = {
    "link_clicked": ("workflow",),
    "step_completed": ("workflow", "step"),
    "page_visited": ("url",),
    "field_updated": ("field",),
}
"""What an event of a type must say besides its time and its record."""

_TEXT_KEYS = ("workflow", "step", "url", "field")
_VALUE_KEYS = ("value", "old")
_BLANK = b" \t\r"
_TOO_LONG = "line longer than 1 MiB"


class Passed(msgspec.Struct, frozen=True):
    """A line that is understood and changes nothing: its type is unknown, or known to be without effect."""

    type: str
    is_known: bool


Outcome = Event | Passed | Reject | None
"""What a line is; None for a blank one, which is no line."""


class Batch(msgspec.Struct):
    """What the lines of a piece say: each of the `lines` is an event, a reject, of unknown type or without effect.

    `end_offset` is where to go on reading, `end_line` the number of the line that lies there. `incomplete` is 1 where
    the log ends in an unfinished line that is no event yet: it is not counted, and left before `end_offset`.
    """

    end_offset: int
    end_line: int
    lines: int = 0
    events: list[Event] = []
    rejects: list[Reject] = []
    unknown_types: dict[str, int] = {}
    without_effect: int = 0
    incomplete: int = 0

    def take(self, outcome: Outcome) -> None:
        """Count a line as what it is."""
        match outcome:
            case None:
                return
            case Event():
                self.events.append(outcome)
            case Reject():
                self.rejects.append(outcome)
            case Passed(is_known=True):
                self.without_effect += 1
            case Passed(type=word):
                self.unknown_types[word] = self.unknown_types.get(word, 0) + 1
        self.lines += 1


def decode(piece: Piece, now: datetime) -> Batch:
    """Return what a piece of a log says; an event more than a day after `now` is a reject."""
    batch = Batch(piece.offset, piece.line)
    if piece.oversized is not None:
        _take_oversized(batch, piece)
        return batch
    data = piece.data.removeprefix(BOM) if piece.offset == 0 else piece.data
    batch.end_offset += len(piece.data) - len(data)
    latest = now + FUTURE_TOLERANCE
    *finished, unfinished = data.split(b"\n")
    for text in finished:
        batch.take(_decode_line(text, batch.end_line, batch.end_offset, latest))
        batch.end_offset += len(text) + 1
        batch.end_line += 1
    outcome = _decode_line(unfinished, batch.end_line, batch.end_offset, latest)
    if isinstance(outcome, Reject):
        batch.incomplete = 1
    else:
        batch.take(outcome)
        batch.end_offset += len(unfinished)
    return batch


def decode_line(data: bytes, *, line: int, offset: int, now: datetime) -> Outcome:
    """Return what one line says, without its newline: the line of number `line`, which begins at byte `offset`."""
    return _decode_line(data, line, offset, now + FUTURE_TOLERANCE)


def _decode_line(data: bytes, line: int, offset: int, latest: datetime) -> Outcome:
    outcome = _understand_ordinary(data, line, latest)
    if outcome is not None:
        return outcome
    if len(data) > MAX_LINE_BYTES:
        return Reject(line, offset, _TOO_LONG, data[:KEPT_BYTES])
    if not data.strip(_BLANK):
        return None
    try:
        return _understand(data, line, latest)
    except LineError as fault:
        return Reject(line, offset, str(fault), data.removesuffix(b"\r")[:KEPT_BYTES])


def _take_oversized(batch: Batch, piece: Piece) -> None:
    if not piece.data.endswith(b"\n"):
        batch.incomplete = 1
        return
    batch.take(Reject(piece.line, piece.offset, _TOO_LONG, piece.data[:KEPT_BYTES]))
    batch.end_offset = piece.end_offset
    batch.end_line += 1


def _understand(data: bytes, line: int, latest: datetime) -> Event | Passed:
    """Return what a line says; raises `LineError` with the reason why it can't be understood."""
    keys = read_object(data)
    keys = {key: value for key, value in keys.items() if value is not None or key in _VALUE_KEYS}
    kind = _required(keys, "type", read_text, "event")
    if kind not in EVENT_RECORD_TYPES:
        return Passed(kind, is_known=False)
    at = _time(_required(keys, "time", read_text, kind), latest)
    record_type, name = _record(keys, kind)
    texts = {key: read_text(key, keys[key]) for key in _TEXT_KEYS if key in keys}
    values = {key: read_scalar(key, keys[key]) for key in _VALUE_KEYS if key in keys}
    for key in REQUIRED_KEYS.get(kind, ()):
        _required(texts, key, read_text, kind)
    if kind in WITHOUT_EFFECT_TYPES:
        read_name("id", keys.get("id", ""))
        return Passed(kind, is_known=True)
    return Event(
        type=kind,
        at=at,
        record_type=record_type,
        name=name,
        line=line,
        id=read_name("id", keys["id"]) if "id" in keys else None,
        workflow=texts.get("workflow"),
        step=texts.get("step"),
        url=texts.get("url"),
        field=texts.get("field"),
        value=values.get("value", UNSET),
        old=values.get("old", UNSET),
    )


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


def _time(text: str, latest: datetime) -> datetime:
    try:
        at = parse_time(text)
    except TimeError as error:
        raise LineError(shortened(error.what)) from error
    if at > latest:
        raise LineError(f"time more than a day in the future: {shortened(repr(text))}")
    return at


class _Line(msgspec.Struct, omit_defaults=True, gc=False):
    """A line in which nothing is unusual; a key that says null is unusual, but for values."""

    type: str
    time: str
    id: str | int | None = None
    prospect: str | int | None = None
    organization: str | int | None = None
    deal: str | int | None = None
    workflow: str | None = None
    step: str | None = None
    url: str | None = None
    field: str | None = None
    value: Scalar | UnsetType = UNSET
    old: Scalar | UnsetType = UNSET


_decode = msgspec.json.Decoder(_Line).decode
_encode = msgspec.json.Encoder().encode
_PASSED = {word: Passed(word, is_known=True) for word in WITHOUT_EFFECT_TYPES}


def _understand_ordinary(data: bytes, line: int, latest: datetime) -> Event | Passed | None:
    """Return what `_understand` would, or None where a line is not ordinary."""
    found = _decode_ordinary(data)
    if found is None:
        return None
    kind = found.type
    if kind not in EVENT_RECORD_TYPES:
        return Passed(kind, is_known=False)
    try:
        at = _time(found.time, latest)
    except LineError:
        return None
    record_type, name = _named(found)
    if not name or record_type not in EVENT_RECORD_TYPES[kind] or not _is_sound(found):
        return None
    return _PASSED.get(kind) or Event(
        type=kind,
        at=at,
        record_type=record_type,
        name=name,
        line=line,
        id=str(found.id) if isinstance(found.id, int) else found.id,
        workflow=found.workflow,
        step=found.step,
        url=found.url,
        field=found.field,
        value=found.value,
        old=found.old,
    )


def _decode_ordinary(data: bytes) -> _Line | None:
    """Return a line that holds only keys known to us, each once, with values of their types; None for another one."""
    if len(data) > MAX_LINE_BYTES or b"\\u0000" in data:
        return None
    try:
        found = _decode(data)
    except (ValueError, RecursionError):
        return None
    is_complete = _quote_count(data) == _quote_count(_encode(found))
    return found if is_complete and found.type else None


def _quote_count(data: bytes) -> int:
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    return data.count(b'"')


def _named(found: _Line) -> tuple[RecordType, str]:
    """Return the record that a line names, an empty name where that is not exactly one."""
    prospect, organization, deal = found.prospect, found.organization, found.deal
    if organization is None and deal is None:
        return "prospect", "" if prospect is None else str(prospect)
    if prospect is None and organization is None:
        return "deal", str(deal)
    if prospect is None and deal is None:
        return "organization", str(organization)
    return "prospect", ""


def _is_sound(found: _Line) -> bool:
    """Tell whether a line has the keys that its type requires, and no integer beyond 64 bits."""
    for key in REQUIRED_KEYS.get(found.type, ()):
        if not getattr(found, key):
            return False
    for value in (found.value, found.old):
        if isinstance(value, int) and not SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
            return False
    return True
