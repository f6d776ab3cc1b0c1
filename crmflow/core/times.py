"""Times and durations: what is read, what is kept, what is shown.

A time is an aware `datetime` in UTC everywhere inside crmflow. It is read as RFC 3339 with an offset, kept as text of a
fixed width (so that it sorts in any SQLite tool) and shown with as many decimals as it needs.
"""

import re
from datetime import UTC, datetime, timedelta

from crmflow.core.errors import CrmflowError

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ]((?:[01]\d|2[0-3]):\d\d:)(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:[0-5]\d)",
    re.ASCII,
)
_DURATION = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
DURATION_PATTERN = r"^[0-9]{1,9}[smhdw]$"
LONGEST_DURATION = timedelta(days=36_500)
FUTURE_TOLERANCE = timedelta(days=1)


class TimeError(CrmflowError):
    """A text that is no time; `what` says why."""


def parse_time(text: str) -> datetime:
    """Return the moment that an RFC 3339 text names, in UTC.

    Decimals beyond the microsecond are cut off; a leap second (`:60`) becomes the last microsecond of its minute.
    Raises `TimeError` for anything else: no offset, no time of day, 24:00, a day that does not exist, a moment outside
    the years 1 to 9999.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise TimeError(_why_no_time(text), hint="write it like 2026-03-01T09:30:00Z or 2026-03-01T10:30:00+01:00")
    day, minute, second, fraction, offset = match.groups()
    if second == "60":
        second, fraction = "59", "999999"
    fraction = (fraction or "")[:6].ljust(6, "0")
    try:
        return datetime.fromisoformat(f"{day}T{minute}{second}.{fraction}{offset.upper()}").astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise TimeError(f"no such time: {text!r}") from error


def _why_no_time(text: str) -> str:
    if re.fullmatch(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?", text, re.ASCII):
        return f"time without an offset: {text!r}"
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        return f"a date, not a time: {text!r}"
    return f"not an RFC 3339 time: {text!r}"


def stored(at: datetime) -> str:
    """Return the 27 characters that the store keeps: UTC, microseconds, `Z`; their order is the order of time."""
    return at.isoformat("T", "microseconds")[:26] + "Z"


def from_stored(text: str) -> datetime:
    """Return the moment that `stored` wrote."""
    return datetime.fromisoformat(text)


def shown(at: datetime) -> str:
    """Return the time for people and JSON: UTC, `Z`, with as many decimals as needed (none for whole seconds)."""
    return shorten(stored(at))


def shorten(text: str) -> str:
    """Turn a stored time into a shown one without parsing it."""
    seconds, _, fraction = text[:-1].partition(".")
    digits = fraction.rstrip("0")
    return f"{seconds}.{digits}Z" if digits else f"{seconds}Z"


def parse_duration(text: str) -> timedelta:
    """Return the length that a text such as `90s`, `15m`, `4h`, `3d` or `2w` names; raises `TimeError`."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise TimeError(f"not a duration: {text!r}", hint="write a whole number and a unit: 90s 15m 4h 3d 2w")
    try:
        length = timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        length = timedelta.max
    if length > LONGEST_DURATION:
        raise TimeError(f"longer than a hundred years: {text!r}")
    return length
