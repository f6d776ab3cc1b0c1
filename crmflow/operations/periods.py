"""Periods of the calendar that a report counts by, and the steps of an axis: as fine as a reader can take in."""

from calendar import monthrange
from datetime import date
from typing import Literal, NamedTuple

Unit = Literal["day", "week", "month", "year"]

MOST_PERIODS = 45
"""How many periods a report shows side by side before it takes longer ones."""

_DAYS: tuple[tuple[Unit, int], ...] = (("day", 1), ("week", 7), ("month", 31))
_WIDTHS = (1, 2, 3, 6, 12, 24, 48, 72, 168, 336, 672, 2_016, 8_760)
_MOST_WIDTHS = 24


class Period(NamedTuple):
    """Whole days of the calendar in UTC, both included."""

    first_day: date
    last_day: date


def unit_for(days: list[date]) -> Unit:
    """Return the shortest unit of which a few cover these days."""
    if not days:
        return "day"
    length = max(days).toordinal() - min(days).toordinal() + 1
    return next((unit for unit, its_days in _DAYS if length <= its_days * MOST_PERIODS), "year")


def period_of(day: date, unit: Unit) -> Period:
    """Return the period in which a day lies; a week begins on Monday."""
    if unit == "week":
        monday = day.toordinal() - day.weekday()
        return Period(date.fromordinal(monday), date.fromordinal(min(monday + 6, date.max.toordinal())))
    if unit == "month":
        last = monthrange(day.year, day.month)[1]
        return Period(day.replace(day=1), day.replace(day=last))
    if unit == "year":
        return Period(day.replace(month=1, day=1), day.replace(month=12, day=31))
    return Period(day, day)


def width_for(hours: int) -> int:
    """Return into how many hours wide classes lengths up to this one are put, so that there are few of them."""
    found = next((width for width in _WIDTHS if hours < width * _MOST_WIDTHS), None)
    return found or _WIDTHS[-1] * (hours // (_WIDTHS[-1] * _MOST_WIDTHS) + 1)
