"""Times as people and programs write them, and lengths of time."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmflow.core.times import TimeError, from_stored, parse_duration, parse_time, shown, stored

offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(timezones=st.just(UTC))


def _shifted(moment: datetime, offset: timezone) -> datetime | None:
    try:
        return moment.astimezone(offset)
    except OverflowError:
        return None


# --- what is read ---


@given(moments, offsets)
def test_reads_a_moment_wherever_it_was_written(moment: datetime, offset: timezone) -> None:
    """A time with any offset is the moment that it names, in UTC."""
    written = _shifted(moment, offset) or moment
    read = parse_time(written.isoformat())
    assert read == moment
    assert read.tzinfo is UTC


@given(moments)
def test_small_letters_and_a_space_are_read_too(moment: datetime) -> None:
    """RFC 3339 allows `t` and `z`, and a space for the `T`."""
    text = shown(moment)
    assert parse_time(text.lower()) == parse_time(text.replace("T", " ")) == moment


@given(moments.map(lambda moment: moment.replace(microsecond=0)), st.text("0123456789", min_size=1, max_size=30))
def test_decimals_beyond_the_microsecond_are_cut_off(second: datetime, decimals: str) -> None:
    """However many decimals a time has, it is rounded down to the microsecond."""
    text = shown(second).replace("Z", f".{decimals}Z")
    assert parse_time(text) == second + timedelta(microseconds=int(decimals[:6].ljust(6, "0")))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01T09:30:00Z", datetime(2026, 3, 1, 9, 30, tzinfo=UTC)),
        ("2026-03-01T10:00:00+01:00", datetime(2026, 3, 1, 9, tzinfo=UTC)),
        ("2026-02-28T19:15:00-05:45", datetime(2026, 3, 1, 1, tzinfo=UTC)),
        ("2026-03-01T09:30:00-00:00", datetime(2026, 3, 1, 9, 30, tzinfo=UTC)),
        ("2024-02-29T00:00:00Z", datetime(2024, 2, 29, tzinfo=UTC)),
        ("2000-02-29T00:00:00Z", datetime(2000, 2, 29, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00-14:00", datetime(1, 1, 1, 14, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999Z", datetime.max.replace(tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2016, 12, 31, 23, 59, 59, 999999, UTC)),
        ("2017-01-01T00:59:60.25+01:00", datetime(2016, 12, 31, 23, 59, 59, 999999, UTC)),
    ],
)
def test_reads_rfc_3339(text: str, expected: datetime) -> None:
    """Offsets, leap days, the first and the last year, and a leap second, which is the end of its minute."""
    assert parse_time(text) == expected


def test_the_hour_that_comes_twice_is_two_hours() -> None:
    """When clocks go back the offset tells the two hours apart."""
    summer, winter = parse_time("2026-10-25T02:30:00+02:00"), parse_time("2026-10-25T02:30:00+01:00")
    assert winter - summer == timedelta(hours=1)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("2026-03-01T09:30:00", "time without an offset"),
        ("2026-03-01 09:30", "time without an offset"),
        ("2026-03-01", "a date, not a time"),
        ("2026-02-29T00:00:00Z", "no such time"),
        ("1900-02-29T00:00:00Z", "no such time"),
        ("2026-13-01T00:00:00Z", "no such time"),
        ("2026-03-01T09:60:00Z", "no such time"),
        ("2026-03-01T09:30:61Z", "no such time"),
        ("2026-03-01T09:30:00+24:00", "no such time"),
        ("0000-01-01T00:00:00Z", "no such time"),
        ("0001-01-01T00:00:00+14:00", "no such time"),
        ("9999-12-31T23:59:59-00:01", "no such time"),
        ("2026-03-01T24:00:00Z", "not an RFC 3339 time"),
        ("2026-W09-7T09:30:00Z", "not an RFC 3339 time"),
        ("2026-060T09:30:00Z", "not an RFC 3339 time"),
        ("20260301T093000Z", "not an RFC 3339 time"),
        ("2026-03-01T09:30Z", "not an RFC 3339 time"),
        ("2026-03-01T09:30:00,5Z", "not an RFC 3339 time"),
        ("2026-03-01T09:30:00.Z", "not an RFC 3339 time"),
        ("2026-03-01T09:30:00+0100", "not an RFC 3339 time"),
        ("2026-03-01T09:30:00+01", "not an RFC 3339 time"),
        ("2026-03-01T09:30:00+01:60", "not an RFC 3339 time"),
        ("2026-03-01T09:30:00Z\n", "not an RFC 3339 time"),
        (" 2026-03-01T09:30:00Z", "not an RFC 3339 time"),
        ("٢٠٢٦-03-01T09:30:00Z", "not an RFC 3339 time"),
        ("12026-03-01T09:30:00Z", "not an RFC 3339 time"),
        ("1772357400", "not an RFC 3339 time"),
        ("now", "not an RFC 3339 time"),
        ("", "not an RFC 3339 time"),
    ],
)
def test_what_names_no_moment_is_refused(text: str, what: str) -> None:
    """Nothing is guessed: the error says what is missing and shows a good time."""
    with pytest.raises(TimeError) as caught:
        parse_time(text)
    assert caught.value.what.startswith(what)
    assert repr(text) in caught.value.what


@given(st.text(max_size=30) | st.text("0123456789-+:.TtZz", max_size=30))
def test_any_other_text_is_an_error(text: str) -> None:
    """Whatever stands there, it is a moment in UTC or a `TimeError`."""
    with suppress(TimeError):
        assert parse_time(text).tzinfo is UTC


# --- what is kept and shown ---


@given(moments, moments)
def test_kept_times_sort_as_texts(one: datetime, other: datetime) -> None:
    """What the store keeps has a fixed width, comes back the same, and its order as text is the order of time."""
    assert len(stored(one)) == 27
    assert from_stored(stored(one)) == one
    assert (stored(one) < stored(other)) == (one < other)


@given(moments)
def test_shown_times_are_as_short_as_can_be(moment: datetime) -> None:
    """A shown time reads back as the same moment and ends in no needless decimals."""
    text = shown(moment)
    assert parse_time(text) == moment
    assert ("." in text) == (moment.microsecond != 0)
    assert not text.endswith((".Z", "0Z")) or "." not in text


@pytest.mark.parametrize(
    ("microsecond", "text"),
    [(0, "0987-03-01T09:30:00Z"), (500_000, "0987-03-01T09:30:00.5Z"), (1, "0987-03-01T09:30:00.000001Z")],
)
def test_shows_as_many_decimals_as_needed(microsecond: int, text: str) -> None:
    """None for whole seconds; the year always has four digits."""
    assert shown(datetime(987, 3, 1, 9, 30, 0, microsecond, UTC)) == text


# --- lengths of time ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0d", timedelta(0)),
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("4h", timedelta(hours=4)),
        ("3d", timedelta(days=3)),
        ("2w", timedelta(weeks=2)),
        ("007d", timedelta(days=7)),
        ("36500d", timedelta(days=36_500)),
    ],
)
def test_reads_durations(text: str, expected: timedelta) -> None:
    """A whole number and a unit: seconds, minutes, hours, days, weeks."""
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "d", "3", "3 d", "-3d", "1.5h", "3D", "3d12h", "P3D", "3y", "٣d", "3d\n"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Nothing else is a length of time; the error shows good ones."""
    with pytest.raises(TimeError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["36501d", "999999999w", "999999999d"])
def test_nothing_takes_longer_than_a_hundred_years(text: str) -> None:
    """A longer step is a slip of the keyboard."""
    with pytest.raises(TimeError, match="longer than a hundred years"):
        parse_duration(text)
