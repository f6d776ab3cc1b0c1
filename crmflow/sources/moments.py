"""The times that other programs write: numbers since 1970 in some unit, and ISO 8601 in all its spellings."""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import parsedate_to_datetime

from crmflow.core.times import TimeError, parse_time
from crmflow.sources.objects import LineError, shortened

_START = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""No event is older: what seems to be is a number of something else, or a clock that was never set."""

_MICROSECONDS = ((1e11, 1_000_000), (1e14, 1_000), (1e17, 1))
"""How many microseconds one is, of a number below a bound: seconds, milliseconds, microseconds; else nanoseconds."""

_PLAINLY_SECONDS = 10**9, 10**10
"""Numbers of seconds that need no second look: the years 2001 to 2286."""

_NO_MOMENT = 1e30
"""From here on a number names no moment, whatever its unit."""

_PLAIN_ISO = re.compile(r"20\d\d-\d\d-\d\dT[01]\d:\d\d:\d\d(?:\.\d{3}|\.\d{6})?Z", re.ASCII)
"""What needs no second look."""

_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:\d\d)?(?:[.,](\d+))? ?(?:([Zz]|UTC)|([+-]\d\d)(?::?(\d\d))?)?", re.ASCII
)


def epoch(value: object) -> datetime:
    """Return the moment that a number since 1970 names, or its text, whatever its unit: from seconds to nanoseconds.

    Raises `LineError` for what is no such number, and for a moment before the year 2000.
    """
    if type(value) is int and _PLAINLY_SECONDS[0] <= value < _PLAINLY_SECONDS[1]:
        return datetime.fromtimestamp(value, UTC)
    number = _number(value)
    factor = next((each for bound, each in _MICROSECONDS if abs(number) < bound), 0.001)
    try:
        at = _START + timedelta(microseconds=round(number * factor))
    except OverflowError as error:
        raise _no_time(value) from error
    return _not_too_early(at, value)


def iso(value: object, zone: tzinfo | None = None) -> datetime:
    """Return the moment, in UTC, that an ISO 8601 text names; where it names no offset, by the clocks of `zone`.

    Decimals beyond the microsecond are cut off. Raises `LineError` for anything else, for a text without an offset
    where there is no zone, and for a moment before the year 2000.
    """
    if isinstance(value, str) and _PLAIN_ISO.fullmatch(value):
        with suppress(ValueError):
            return datetime.fromisoformat(value)
    match = _ISO.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise _no_time(value)
    day, minute, second, fraction, utc, hours, minutes = match.groups()
    local = f"{day}T{minute}{second or ':00'}.{fraction or '0'}"
    offset = "Z" if utc else f"{hours}:{minutes or '00'}" if hours else None
    try:
        if offset is not None:
            return _not_too_early(parse_time(local + offset), value)
        if zone is None:
            raise LineError(f"time without an offset: {shortened(repr(value))} (--assume-tz says which)")
        naive = parse_time(f"{local}Z").replace(tzinfo=zone)
        return _not_too_early(naive.astimezone(UTC), value)
    except (TimeError, OverflowError) as error:
        raise _no_time(value) from error


def rfc5322(text: str, zone: tzinfo | None = None) -> datetime:
    """Return the moment, in UTC, that a mail's header names (`Tue, 03 Mar 2026 10:00:00 +0100`), or an ISO 8601 text.

    Where it names no offset, it is by the clocks of `zone`; `-0000` is UTC. Raises `LineError` as `iso` does.
    """
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):  # which one depends on how wrong a date is
        return iso(text, zone)
    is_utc = at.tzinfo is None and "-0000" in text  # the moment is known, only the sender's clock is not
    return iso(f"{at.isoformat()}Z" if is_utc else at.isoformat(), zone)


def _number(value: object) -> float:
    """Return a number as it is, an integer exactly; of a text, the number that it writes."""
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,30}(\.\d{1,30})?", value.strip(), re.ASCII):
        value = float(value) if "." in value else int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _NO_MOMENT:
        raise _no_time(value)
    return value


def _not_too_early(at: datetime, value: object) -> datetime:
    if at < EARLIEST:
        raise LineError(f"time before the year 2000: {shortened(repr(value))}")
    return at


def _no_time(value: object) -> LineError:
    return LineError(f"no time: {shortened(repr(value))}")
