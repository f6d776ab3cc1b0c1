"""Amazon CloudFront's standard logs: fields between tabs, named by the line `#Fields:`, in UTC.

User agents are written with percent signs, of old twice over.
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html
"""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache, partial

from crmflow.core.model import Reject
from crmflow.core.times import FUTURE_TOLERANCE
from crmflow.core.triggers import Interest
from crmflow.sources.batches import NOTHING, Batch, Outcome
from crmflow.sources.lines import decode_lines, outcomes_of
from crmflow.sources.logs import Piece
from crmflow.sources.moments import iso
from crmflow.sources.objects import LineError, read_utf8, shortened
from crmflow.sources.terms import Head, Terms
from crmflow.sources.visits import Request, decoded, may_be_visit, visit

_FIELDS = "#Fields:"
_NEEDED = ("date", "time", "cs-method", "cs-uri-stem", "sc-status", "cs-uri-query")
_NOTHING_SAID = "-"


@lru_cache
def _places(header: str) -> dict[str, int]:
    """Return where each field stands; raises `LineError` where the log does not say it, or lacks one that is needed."""
    line = next((each for each in reversed(header.split("\n")) if each.startswith(_FIELDS)), None)
    places = {name: place for place, name in enumerate((line or "").removeprefix(_FIELDS).split())}
    if missing := [name for name in _NEEDED if name not in places]:
        raise LineError(f"the log's #Fields name no {missing[0]}")
    return places


def understand(data: bytes, line: int, _offset: int, terms: Terms, now: datetime) -> Iterator[Outcome]:
    """Yield the visit that a line tells, or that it tells nothing; raises `LineError` for a line of another form."""
    if data.startswith(b"#"):
        return
    cells, places = read_utf8(data).rstrip("\r").split("\t"), _places(terms.header)
    if len(cells) < len(places):
        raise LineError(f"{len(cells)} fields, not {len(places)}")
    said = {name: "" if (cell := cells[place]) == _NOTHING_SAID else cell for name, place in places.items()}
    target = f"{said['cs-uri-stem']}?{said['cs-uri-query']}"
    host = said.get("x-host-header") or said.get("cs(Host)", "")
    agent = decoded(said["cs(User-Agent)"]) if "cs(User-Agent)" in said else None
    referer = decoded(said.get("cs(Referer)", ""))
    request = Request(said["cs-method"], target, said["sc-status"], host, referer, agent)
    if not may_be_visit(target, terms) or (visited := visit(request, terms)) is None:
        yield NOTHING
        return
    at = iso(f"{said['date']}T{said['time']}Z")
    if at > now + FUTURE_TOLERANCE:
        raise LineError(f"time more than a day in the future: {shortened(at.isoformat())}")
    own = said.get("x-edge-request-id") or f"sha256:{hashlib.sha256(data.rstrip()).hexdigest()}"
    yield visited.told(at, own, line, source=terms.format)


class _CloudFront:
    """The format."""

    def recognises(self, head: Head) -> bool:
        """Tell whether a log names its fields, and among them one that only CloudFront has."""
        return head.data.startswith(b"#") and b"cs-uri-stem" in head.data and b"x-edge-" in head.data

    def decode(self, piece: Piece, terms: Terms, now: datetime, _interest: Interest) -> Batch:
        """Return what a piece says."""
        return decode_lines(piece, partial(understand, terms=terms, now=now), needs_end=True)

    def decode_again(self, kept: Reject, terms: Terms, now: datetime) -> Sequence[Outcome]:
        """Return what the text of a reject says now."""
        return outcomes_of(kept.text, kept.line, kept.offset, partial(understand, terms=terms, now=now))


SOURCE = _CloudFront()
