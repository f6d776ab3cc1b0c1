"""The fast way through the lines of a log, for lines in which nothing is unusual.

It takes a line only where the plain way of `crmflow.sources.jsonl` would understand it, and the same; a test holds
that. In doubt it leaves a line to the plain way.

What msgspec can't see is a duplicate key: the last one wins silently. Strings are counted instead. A line has as many
quotes, escaped ones left out, as its keys and texts have, twice each; the decoded line, written out again, has as many
as the keys and texts that were kept. Duplicate keys, and keys unknown to us, were not: equal counts mean that
everything was kept, once. No line can have fewer quotes than what was kept of it, so the counts of many lines are
compared at once. Lines with keys that are unknown to us are compared one by one, with all their keys.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from crmflow.core.model import RecordType
from crmflow.sources.logs import MAX_LINE_BYTES
from crmflow.sources.objects import LARGEST_INTEGER, SMALLEST_INTEGER, may_be_deep, quote_count

_Text = Annotated[str, Meta(min_length=1)]
_Name = _Text | int | None
_Value = str | Annotated[int, Meta(ge=SMALLEST_INTEGER, le=LARGEST_INTEGER)] | float | bool | None | UnsetType


class Line(msgspec.Struct, omit_defaults=True, gc=False):
    """A line in which nothing is unusual; a key that says null is unusual, but for values."""

    type: _Text
    time: datetime
    id: str | int | None = None
    prospect: _Name = None
    organization: _Name = None
    deal: _Name = None
    workflow: str | None = None
    step: str | None = None
    url: str | None = None
    field: str | None = None
    value: _Value = UNSET
    old: _Value = UNSET
    message: str | None = None
    suspect: bool | None = False


_decode = msgspec.json.Decoder(Line).decode
_decode_any = msgspec.json.Decoder().decode
_encoder = msgspec.json.Encoder()
_encode = _encoder.encode
_encode_lines = _encoder.encode_lines

_LONG_FRACTION = re.compile(rb"\.\d{7}")
"""msgspec rounds beyond the microsecond, where SPEC has it cut off."""

_OFFSET = re.compile(rb'"[^"]{19,}[+-]\d\d:\d\d"')
"""msgspec takes an offset without a colon, too."""


def ordinary(data: bytes, lines: Sequence[bytes]) -> list[Line | None]:
    """Return each of the lines that `data` consist of decoded, None for one that is not ordinary."""
    found: list[Line | None] = []
    decoded: list[Line] = []
    odd = b""
    for text in lines:
        try:
            line = _decode(text)
        except (ValueError, RecursionError):
            found.append(None)
            odd += text
        else:
            found.append(line)
            decoded.append(line)
    is_plain = b"\\" not in data and not _LONG_FRACTION.search(data) and len(max(lines, key=len)) <= MAX_LINE_BYTES
    if is_plain and data.count(b'"') - odd.count(b'"') == _encode_lines(decoded).count(b'"'):
        return found
    return [each if each and _is_sound(text, each) else None for each, text in zip(found, lines, strict=True)]


def _is_sound(text: bytes, found: Line) -> bool:
    """Tell whether a line has each of its keys once, those that are unknown to us included, and nothing odd."""
    if b"\\u0000" in text or _LONG_FRACTION.search(text) or len(text) > MAX_LINE_BYTES or may_be_deep(text):
        return False
    quotes = quote_count(text)
    if quotes == quote_count(_encode(found)):
        return True
    try:
        return quotes == quote_count(_encode(_decode_any(text)))
    except (ValueError, RecursionError):
        return False


def time_of(found: Line, text: bytes) -> datetime | None:
    """Return the time of an ordinary line in UTC; None where the plain way has to look at it."""
    at = found.time
    if at.tzinfo is UTC:
        return at
    if at.tzinfo is None or not _OFFSET.search(text):
        return None
    try:
        return at.astimezone(UTC)
    except OverflowError:
        return None


def is_just_of_a_prospect(found: Line, latest: datetime) -> bool:
    """Tell whether a line names a prospect, no workflow for a mail, and a time in UTC not after `latest`."""
    return (
        found.time.tzinfo is UTC
        and found.time <= latest
        and found.prospect is not None
        and found.organization is None
        and found.deal is None
        and (found.message is None or found.workflow is None)
    )


def named(found: Line) -> tuple[RecordType, str]:
    """Return the record that a line names, an empty name where that is not exactly one."""
    prospect, organization, deal = found.prospect, found.organization, found.deal
    if organization is None and deal is None:
        return "prospect", "" if prospect is None else str(prospect)
    if prospect is None and organization is None:
        return "deal", str(deal)
    if prospect is None and deal is None:
        return "organization", str(organization)
    return "prospect", ""
