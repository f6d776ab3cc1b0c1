"""Periods of the calendar: every day lies in exactly one, and a report has few of them."""

from datetime import date, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crmflow.operations.periods import MOST_PERIODS, Unit, period_of, unit_for, width_for

UNITS: tuple[Unit, ...] = ("day", "week", "month", "year")


@given(st.dates(), st.sampled_from(UNITS))
@example(date.max, "week")
@example(date.max, "month")
@example(date.min, "week")
def test_every_day_of_a_period_lies_in_it(day: date, unit: Unit) -> None:
    """A period holds the day that it was asked for, and each of its days, its neighbours excepted, names the same."""
    period = period_of(day, unit)
    assert period.first_day <= day <= period.last_day
    assert period_of(period.first_day, unit) == period_of(period.last_day, unit) == period
    for beside in (period.first_day.toordinal() - 1, period.last_day.toordinal() + 1):
        if date.min.toordinal() <= beside <= date.max.toordinal():
            assert period_of(date.fromordinal(beside), unit) != period


@given(st.lists(st.dates(date(2020, 1, 1), date(2050, 1, 1))))
def test_there_are_few_periods(days: list[date]) -> None:
    """However far days lie apart, up to decades, the periods from the first to the last can be shown side by side."""
    unit = unit_for(days)
    if days:
        first, last = min(days).toordinal(), max(days).toordinal()
        between = {period_of(date.fromordinal(day), unit) for day in range(first, last + 1)}
        assert len(between) <= MOST_PERIODS + 1


@pytest.mark.parametrize(("days", "unit"), [(1, "day"), (45, "day"), (46, "week"), (315, "week"), (316, "month")])
def test_periods_are_as_short_as_they_can_be(days: int, unit: Unit) -> None:
    """The longer the time, the longer its periods."""
    first = date(2026, 3, 1)
    assert unit_for([first, first + timedelta(days=days - 1)]) == unit


@given(st.integers(min_value=0, max_value=100_000_000))
def test_there_are_few_classes_of_lengths(hours: int) -> None:
    """However long the longest stay is, there are at most 24 classes up to it, of whole days from a day on."""
    width = width_for(hours)
    assert hours // width < 24
    assert width < 24 or width % 24 == 0
