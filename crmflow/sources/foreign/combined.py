r"""The combined log format of Apache and nginx, also with the host in front and with further fields behind.

Quotes in a field are escaped (`\"`), other bytes too (`\xHH`).
https://httpd.apache.org/docs/2.4/logs.html#combined
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import partial

from crmflow.core.model import Reject
from crmflow.core.times import FUTURE_TOLERANCE
from crmflow.core.triggers import Interest
from crmflow.sources.batches import NOTHING, Batch, Outcome
from crmflow.sources.lines import decode_lines, outcomes_of
from crmflow.sources.logs import Piece
from crmflow.sources.objects import LineError, shortened
from crmflow.sources.terms import Head, Terms
from crmflow.sources.visits import Request, visit

_QUOTED = rb'"((?:[^"\\]|\\.)*)"'
_LINE = re.compile(
    rb"\[(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)\] "
    + _QUOTED
    + rb" (\d{3}|-) (?:\d+|-) "
    + _QUOTED
    + rb" "
    + _QUOTED
    + rb"(?=\s|$)"
)
_MONTHS = {name: number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_ESCAPED = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_LOOKED_AT = 20
_WITH_HOST = 4
"""How many fields stand before the time if the first is the host: host, address, identity, user."""


def _found(data: bytes) -> re.Match[bytes] | None:
    start = data.find(b" [")
    return _LINE.match(data, start + 1) if start > 0 else None


def understand(data: bytes, line: int, _offset: int, terms: Terms, now: datetime) -> Iterator[Outcome]:
    """Yield the visit that a line tells, or that it tells nothing; raises `LineError` for a line of another form."""
    found = _found(data)
    if found is None:
        raise LineError("no line of a combined access log")
    method, target = _request(found[10])
    if not target or f"{terms.prospect_param}=" not in target:
        yield NOTHING
        return
    before = data[: found.start()].split()
    host = before[0].decode("utf-8", "replace").rpartition(":")[0] if len(before) >= _WITH_HOST else ""
    visited = visit(Request(method, target, found[11].decode(), host, _text(found[12]), _text(found[13])), terms)
    if visited is None:
        yield NOTHING
        return
    at = _time(found)
    if at > now + FUTURE_TOLERANCE:
        raise LineError(f"time more than a day in the future: {shortened(at.isoformat())}")
    own = f"sha256:{hashlib.sha256(data[: found.end()]).hexdigest()}"
    yield visited.told(at, own, line, source=terms.format)


def _request(quoted: bytes) -> tuple[str, str]:
    """Return method and target; empty ones of what is no request of HTTP (`-`, the beginning of TLS)."""
    parts = _text(quoted).split(" ")
    return (parts[0], parts[1]) if len(parts) == 3 and parts[2].startswith("HTTP/") else ("", "")  # noqa: PLR2004


def _text(quoted: bytes) -> str:
    if b"\\" in quoted:
        quoted = _ESCAPED.sub(lambda each: bytes([int(each[1], 16)]) if each[1] else each[2], quoted)
    return quoted.decode("utf-8", "replace")


def _time(found: re.Match[bytes]) -> datetime:
    day, month, *rest = found.groups()[:9]
    year, hour, minute, second = map(int, rest[:4])
    sign = -1 if rest[4] == b"-" else 1
    try:
        offset = timezone(sign * timedelta(hours=int(rest[5]), minutes=int(rest[6])))
        return datetime(year, _MONTHS[month], int(day), hour, minute, second, tzinfo=offset).astimezone(UTC)
    except (KeyError, ValueError, OverflowError) as error:
        raise LineError("no time in the brackets") from error


class _Combined:
    """The format."""

    def recognises(self, head: Head) -> bool:
        """Tell whether one of the first lines has its form."""
        lines = head.data.split(b"\n", _LOOKED_AT)[:_LOOKED_AT]
        return any(_found(line.rstrip(b"\r")) for line in lines if not line.startswith((b"{", b"#")))

    def decode(self, piece: Piece, terms: Terms, now: datetime, _interest: Interest) -> Batch:
        """Return what a piece says."""
        return decode_lines(piece, partial(understand, terms=terms, now=now), needs_end=True)

    def decode_again(self, kept: Reject, terms: Terms, now: datetime) -> Sequence[Outcome]:
        """Return what the text of a reject says now."""
        return outcomes_of(kept.text, kept.line, kept.offset, partial(understand, terms=terms, now=now))


SOURCE = _Combined()
