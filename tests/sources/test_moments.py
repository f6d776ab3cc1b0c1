"""The times that other programs write."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmflow.core.errors import UsageError
from crmflow.sources.moments import epoch, iso
from crmflow.sources.objects import LineError
from crmflow.sources.terms import zone_named

MOMENT = datetime(2026, 3, 3, 10, tzinfo=UTC)
SECONDS = 1772532000


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 1_000_000_000])
@pytest.mark.parametrize("form", [int, float, str])
def test_a_number_since_1970_may_have_any_unit_and_form(unit: int, form: Any) -> None:  # noqa: ANN401 - a type
    """Its size tells seconds, milliseconds, microseconds and nanoseconds apart."""
    assert epoch(form(SECONDS * unit)) == MOMENT


def test_decimals_of_seconds_are_kept() -> None:
    """To the microsecond, as a number or as text."""
    expected = MOMENT + timedelta(microseconds=123_457)
    assert epoch(SECONDS + 0.123457) == epoch(f"{SECONDS}.123457") == epoch(SECONDS * 1_000_000 + 123_457) == expected


@pytest.mark.parametrize(
    "value", [True, False, None, "", "soon", "1e9", "٣", [], {}, float("nan"), float("inf"), 10**400]
)
def test_what_is_no_number_of_time_is_refused(value: object) -> None:
    """A truth value is none, though Python takes it for one."""
    with pytest.raises(LineError, match="no time"):
        epoch(value)


@pytest.mark.parametrize("value", [0, 1, -SECONDS, 946_684_799, "1999-12-31T23:59:59Z"])
def test_a_time_before_the_year_2000_is_refused(value: object) -> None:
    """It is a clock that was never set, or a number of something else."""
    with pytest.raises(LineError, match="before the year 2000"):
        iso(value) if isinstance(value, str) else epoch(value)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-03T10:00:00Z",
        "2026-03-03T10:00:00.0000000Z",
        "2026-03-03t10:00:00z",
        "2026-03-03 10:00:00 UTC",
        "2026-03-03T11:00:00+01:00",
        "2026-03-03T11:00:00 +0100",
        "2026-03-03T05:00:00.000-05",
        " 2026-03-03T10:00Z ",
        "2026-03-03T10:00:00,0Z",
    ],
)
def test_iso_8601_comes_in_many_spellings(text: str) -> None:
    """All of them name the same moment; a zone makes no difference where the text has an offset."""
    assert iso(text) == iso(text, timezone(timedelta(hours=9))) == MOMENT


def test_decimals_beyond_the_microsecond_are_cut_off() -> None:
    """A leap second becomes the last microsecond of its minute."""
    assert iso("2026-03-03T10:00:00.1234567Z") == MOMENT + timedelta(microseconds=123_456)
    assert iso("2016-12-31T23:59:60Z") == datetime(2016, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


def test_a_time_without_an_offset_needs_a_zone() -> None:
    """Of an hour that comes twice it is the first one."""
    with pytest.raises(LineError, match=r"without an offset.*--assume-tz"):
        iso("2026-03-03T10:00:00")
    assert iso("2026-03-03T11:00:00", zone_named("Europe/Berlin")) == MOMENT
    assert iso("2026-07-03T12:00:00", zone_named("Europe/Berlin")) == datetime(2026, 7, 3, 10, tzinfo=UTC)
    assert iso("2026-10-25T02:30:00", zone_named("Europe/Berlin")) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert iso("2026-03-03T08:30:00", zone_named("-01:30")) == MOMENT


@pytest.mark.parametrize(
    "text", ["2026-03-03", "10:00", "2026-02-30T10:00:00Z", "2026-03-03T24:00:00Z", "yesterday", 5, None]
)
def test_what_is_no_time_is_refused(text: object) -> None:
    """With the text."""
    with pytest.raises(LineError, match="no time"):
        iso(text)


@pytest.mark.parametrize("name", ["Mars/Olympus", "../../etc/passwd", "+25:00", "+1", ""])
def test_a_zone_that_there_is_not(name: str) -> None:
    """It is wrong usage, with what would be right."""
    with pytest.raises(UsageError, match="no such time zone"):
        zone_named(name)


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers())))
def test_anything_is_a_time_or_refused(value: object) -> None:
    """Nothing else is ever raised, and what is a time is one in UTC."""
    for read in (epoch, iso):
        with suppress(LineError):
            assert read(value).utcoffset() == timedelta(0)
